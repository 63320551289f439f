"""Figures: each function draws computed, labelled data on one Axes and returns it.

Lines differ in colour (Okabe and Ito's, safe for the colour-blind), in dash and in
marker, so that a grey print tells them apart. Data have the axis that the figure runs
along and at most one other, whose labels name the lines; the title is the experiment's.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1)))
MARKERS = "os^Dv"


def _axes(ax, size=(7.0, 3.8)):
    if ax is None:
        ax = plt.subplots(figsize=size, dpi=160, layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _draw(ax, data, along, who, *, band=None, dash=None, suffix=None, every=5):
    """Draw `data` along one axis, a line for each entry of the other, if any."""
    dims = getattr(data, "dims", ())
    others = [dim for dim in dims if dim != along]
    if len(others) > 1 or along not in dims:
        raise ValueError(
            f"{who}: the data must be a DataArray with the dimensions ({along}) or "
            f"(line, {along}), received {getattr(data, 'sizes', type(data))}; select "
            "one entry of every other dimension first."
        )
    lines = data.transpose(*others, along) if others else [data]
    if band is not None:
        band = xr.align(data, band[["lower", "upper"]], join="exact")[1]
    for number, line in enumerate(lines):
        names = [str(line[dim].values) for dim in others if dim in line.coords]
        colour = COLOURS[number % len(COLOURS)]
        if band is not None:
            ends = band.isel({dim: number for dim in others})
            look = {"color": colour, "alpha": 0.2, "linewidth": 0}
            ax.fill_between(line[along], ends["lower"], ends["upper"], **look)
        ax.plot(
            line[along],
            line,
            label=" ".join([*names, suffix] if suffix else names) or None,
            color=colour,
            linestyle=DASHES[number % len(DASHES)] if dash is None else dash,
            marker=MARKERS[number % len(MARKERS)],
            markevery=(number % every, every),
            markersize=4.5,
        )
    return ax


def _interval_of(interval, name):
    """Return one quantity's interval from the result of a block bootstrap, if any."""
    several = interval is not None and "quantity" in interval.dims
    return interval.sel(quantity=name, drop=True) if several else interval


def _finish(ax, data, *, x, y, legend="best", **settings):
    named = data.coords.get("experiment", data.attrs.get("experiment"))
    ax.set(xlabel=x, ylabel=y, **settings)
    if named is not None and np.ndim(named) == 0:
        ax.set_title(str(getattr(named, "values", named)), loc="left", fontsize=10)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize=9, loc=legend)
    return ax


def plot_memory(
    data: xr.Dataset | xr.DataArray,
    *,
    interval: xr.Dataset | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw sigma_1 against the delay, logarithmically.

    Parameters
    ----------
    data : Dataset with ``memory``, or DataArray, of shape ([line], delay)
        For instance ``spectra``, selected to one state and one group.
    interval : Dataset with ``lower`` and ``upper`` of shape ([quantity], [line], delay)
        Of a block bootstrap, drawn as a band: without an end where it reaches to zero.

    Examples
    --------
    >>> import state_gradients as sg
    >>> curve = sg.memory_curve([[[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    >>> ax = sg.plot_memory(curve)
    >>> ax.get_xlabel(), ax.get_yscale()
    ('delay (tokens)', 'log')
    """
    memory = data["memory"] if isinstance(data, xr.Dataset) else data
    band = _interval_of(interval, "memory")
    ax = _draw(_axes(ax), memory, "delay", "plot_memory", band=band)
    x, y = "delay (tokens)", r"memory $\sigma_1$"
    return _finish(ax, data, x=x, y=y, yscale="log")


def plot_selectivity(
    data: xr.Dataset, *, interval: xr.Dataset | None = None, ax: Axes | None = None
) -> Axes:
    """Draw the shares of the largest (solid) and the five largest (dashed) of sigma.

    Parameters
    ----------
    data : Dataset with ``selectivity`` and ``selectivity_5`` of shape ([line], delay)
    interval : Dataset with ``lower``, ``upper`` of shape (quantity, [line], delay)
        Of a block bootstrap, drawn as bands.

    Examples
    --------
    >>> import state_gradients as sg
    >>> curve = sg.memory_curve([[[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    >>> ax = sg.plot_selectivity(curve)
    >>> ax.get_xlabel(), ax.get_yscale()
    ('delay (tokens)', 'linear')
    """
    ax, who = _axes(ax), "plot_selectivity"
    one, five = r"$\sigma_1 / \Sigma\sigma$", r"$\Sigma_5\sigma / \Sigma\sigma$"
    looks = {"selectivity": ("-", one), "selectivity_5": ((0, (4, 2)), five)}
    for name, (dash, suffix) in looks.items():
        band = _interval_of(interval, name)
        _draw(ax, data[name], "delay", who, band=band, dash=dash, suffix=suffix)
    x, y = "delay (tokens)", "share of all singular values"
    return _finish(ax, data, x=x, y=y, ylim=(0, 1.02))


def plot_training_curves(data, *, ax=None):
    """Draw validation (solid) and training (dashed) perplexity against the epoch.

    Parameters
    ----------
    data : Dataset with ``valid_perplexity`` and ``train_perplexity``, ([line], epoch)
    """
    ax, who = _axes(ax), "plot_training_curves"
    curves = {"valid": ("-", "validation"), "train": ((0, (4, 2)), "training")}
    for split, (dash, suffix) in curves.items():
        curve = data[f"{split}_perplexity"]
        _draw(ax, curve, "epoch", who, dash=dash, suffix=suffix, every=1)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return _finish(ax, data, x="epoch", y="perplexity", yscale="log")
