"""Curves against the delay or the epoch: each function draws and returns one Axes.

Data have the axis that the figure runs along and at most one other, whose labels name
the lines; the title is the experiment's.
"""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines

ROUNDING = np.finfo(np.float64).eps
_SHARES = {"selectivity": ("", "largest"), "selectivity_5": ((4, 2), "five largest")}
_SPLITS = {
    "valid_perplexity": ("", "validation"),
    "train_perplexity": ((4, 2), "training"),
}


def plot_memory(
    data: xr.Dataset | xr.DataArray,
    *,
    interval: xr.Dataset | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw sigma_1 against the delay, logarithmically.

    The axis ends at the rounding of float64, 2.2e-16 of the largest: what is below, a
    line or a band, goes on out of sight, for no state could hold it.

    Parameters
    ----------
    data : Dataset with ``memory``, or DataArray, of shape ([line], delay)
        For instance ``spectra``, selected to one state and one group.
    interval : Dataset with ``lower`` and ``upper`` of shape ([quantity], [line], delay)
        Of a block bootstrap, drawn as a band: without an end where it reaches to zero.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import state_gradients as sg
    >>> curve = sg.memory_curve([[[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    >>> ax = sg.plot_memory(curve)
    >>> ax.get_xlabel(), ax.get_yscale()
    ('delay (tokens)', 'log')
    """
    memory = data["memory"] if isinstance(data, xr.Dataset) else data
    ax = style.axes_or_new(ax)
    band = _interval_of(interval, "memory")
    draw_lines(ax, memory, "delay", "plot_memory", band=band)
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", r"memory $\sigma_1$"
    ax = style.finish(ax, data, x=x, y=y, yscale="log")
    largest = float(memory.max())
    if ax.get_ylim()[0] < ROUNDING * largest:
        ax.set_ylim(ROUNDING * largest, 10 * largest)
    return ax


def plot_selectivity(
    data: xr.Dataset, *, interval: xr.Dataset | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the shares of the largest (solid) and the five largest (dashed) of sigma.

    Parameters
    ----------
    data : Dataset with ``selectivity`` and ``selectivity_5`` of shape ([line], delay)
    interval : Dataset with ``lower``, ``upper`` of shape (quantity, [line], delay)
        Of a block bootstrap, drawn as bands.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import state_gradients as sg
    >>> curve = sg.memory_curve([[[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    >>> ax = sg.plot_selectivity(curve)
    >>> ax.get_xlabel(), ax.get_yscale()
    ('delay (tokens)', 'linear')
    """
    return _draw_shares(data, interval, ax, "plot_selectivity", named=True)


def plot_memory_and_selectivity(data, *, interval=None, axes=None):
    """Draw memory and, below it, selectivity, with one legend for the lines of both.

    Parameters
    ----------
    data : Dataset with ``memory``, ``selectivity``, ``selectivity_5``
        Each of shape ([line], delay).
    interval : Dataset with ``lower``, ``upper`` of shape (quantity, [line], delay)
        Of a block bootstrap, drawn as bands.
    axes : two matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    two matplotlib.axes.Axes
        The upper and the lower.
    """
    upper, lower = style.stacked_axes() if axes is None else axes
    plot_memory(data, interval=interval, ax=upper).set_xlabel("")
    _draw_shares(data, interval, lower, "plot_memory_and_selectivity", named=False)
    return upper, lower


def plot_coherence(data: xr.Dataset | xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw against the delay how much of the memory averaging leaves, from 0 to 1.

    Parameters
    ----------
    data : Dataset with ``coherence``, or DataArray, of shape ([line], delay)
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import state_gradients as sg
    >>> import xarray as xr
    >>> ax = sg.plot_coherence(xr.DataArray([1.0, 0.8, 0.5], dims="delay"))
    >>> ax.get_xlabel()
    'delay (tokens)'
    """
    share = data["coherence"] if isinstance(data, xr.Dataset) else data
    ax = draw_lines(style.axes_or_new(ax), share, "delay", "plot_coherence")
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", "coherence"
    return style.finish(ax, data, x=x, y=y, ylim=(0, 1.02), legend="center right")


def plot_training_curves(data, *, ax=None):
    """Draw validation (solid) and training (dashed) perplexity against the epoch.

    Parameters
    ----------
    data : Dataset with ``valid_perplexity`` and ``train_perplexity``, ([line], epoch)
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax, caller = style.axes_or_new(ax), "plot_training_curves"
    for name, (dash, _) in _SPLITS.items():
        named = name == "valid_perplexity"
        every = 1 if data.sizes.get("epoch", 0) <= 15 else 3
        draw_lines(ax, data[name], "epoch", caller, dash=dash, every=every, named=named)
    _name_dashes(ax, _SPLITS)
    style.whole_numbers(ax.xaxis)
    return style.finish(ax, data, x="epoch", y="perplexity", yscale="log")


def _draw_shares(data, interval, ax, caller, *, named):
    """Draw both shares; `named` if title and legend shall tell whose they are."""
    ax = style.axes_or_new(ax)
    for name, (dash, _) in _SHARES.items():
        band = _interval_of(interval, name)
        first = named and name == "selectivity"
        draw_lines(ax, data[name], "delay", caller, band=band, dash=dash, named=first)
    _name_dashes(ax, _SHARES)
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", "share of all singular values"
    titled = data if named else xr.Dataset()
    return style.finish(ax, titled, x=x, y=y, ylim=(0, 1.02), legend="above")


def _name_dashes(ax, looks):
    """Say in the legend what each dash stands for, whatever the line."""
    for dash, name in looks.values():
        [line] = ax.plot([], [], color=style.MUTED, label=name)
        if dash:
            line.set_dashes(dash)


def _interval_of(interval, name):
    """Return one quantity's interval from the result of a block bootstrap, if any."""
    several = interval is not None and "quantity" in interval.dims
    return interval.sel(quantity=name, drop=True) if several else interval
