"""Figures, tables and numbers of the page on networks whose memory is known.

What is drawn is measured; grey lines behind it are the formulas.
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book.pages import DASH
from state_gradients.paper.planted import trials

TITLES = {
    "memory": "memory",
    "selectivity": "selectivity",
    "effective_rank": "effective rank",
    "rms_memory": "root mean square",
    "coherence": "coherence",
}


def joined(datasets):
    """Return what is known and measured of several networks as one, by their names.

    Parameters
    ----------
    datasets : dict of str to Dataset
        Of :func:`state_gradients.paper.planted.trials.beside`.

    Returns
    -------
    xarray.Dataset
        Each quantity (network, source, delay).
    """
    names = xr.Variable("network", [*datasets])
    return xr.concat(datasets.values(), names, combine_attrs="drop")


def errors(both):
    """Return the largest distance of measured from known, (network, quantity)."""
    off = both.sel(source="measured") - both.sel(source="formula")
    largest = np.abs(off[[*TITLES]]).max("delay").to_dataarray("quantity")
    return largest.transpose("network", "quantity")


def told_errors(both):
    """Return a table of :func:`errors`, as text."""
    found = errors(both).to_pandas().map("{:.0e}".format)
    return found.rename(columns=TITLES).rename_axis(index="network", columns=None)


def told_ranks(both, delays):
    """Return a table of the measured selectivity and effective rank at some delays."""
    found = both.sel(source="measured", delay=list(delays))
    columns = {
        f"{TITLES[name]} at {delay}": [
            DASH if np.isnan(x) else f"{x:.2f}" for x in found[name].sel(delay=delay)
        ]
        for name in ("selectivity", "effective_rank")
        for delay in delays
    }
    return pd.DataFrame(columns, index=pd.Index(found["network"].values))


def told_fits(curves, planted):
    """Return a table of what the fits say of memory curves, beside what is planted.

    Parameters
    ----------
    curves : dict of str to DataArray of shape (delay,)
    planted : dict of str to str
        What is known of each, in words.
    """
    rows = []
    for name, curve in curves.items():
        found = trials.fitted(curve)
        explained = found["r_squared"]
        rows.append(
            {
                "planted": planted[name],
                "fit_decay: b": f"{found['rate'] + 0.0:.3f}",
                "R²": DASH if np.isnan(explained) else f"{explained:.2f}",
                "compare_decays": found["law"],
                "its b": f"{found['b'] + 0.0:.3f}",
                "damped power: b, m": f"{found['rate_of_power'] + 0.0:.3f}, "
                f"{found['m']:.2f}",
            }
        )
    return pd.DataFrame(rows, index=pd.Index(curves, name="network"))


def nearest_gap(singular_values, standard_error):
    """Return where the second singular value comes nearest to the first.

    Parameters
    ----------
    singular_values : DataArray of shape (delay, component)
    standard_error : DataArray of shape (delay,)
        Of the first.

    Returns
    -------
    dict of str to float
        ``delay``; ``share``, the second as a share of the first; ``errors``, the
        distance of the two in standard errors, which is least there.
    """
    first, second = (singular_values.isel(component=k, drop=True) for k in (0, 1))
    errors = (first - second) / standard_error
    delay = int(errors.idxmin("delay"))
    share = float((second / first).sel(delay=delay))
    return {"delay": delay, "share": share, "errors": float(errors.min())}


def told_coverage(one, other):
    """Return a table of how often intervals hold, of gates that shut together or not.

    Parameters
    ----------
    one, other : Dataset
        Of :func:`state_gradients.paper.planted.trials.coverage`.
    """
    parts = {"all four together": one, "each by itself": other}
    rows = {
        (gates, TITLES[name]): [
            f"{float(found['held'].sel(quantity=name, delay=delay)):.0%}"
            for delay in found["delay"].values
        ]
        for gates, found in parts.items()
        for name in ("memory", "selectivity", "effective_rank")
    }
    columns = [f"delay {delay}" for delay in one["delay"].values]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    table.index = [f"{name}, {gates}" for gates, name in rows]
    return table


def plot_planted(both, *, axes=None):
    """Draw memory and, below it, selectivity, measured on their formulas.

    Parameters
    ----------
    both : Dataset
        Of :func:`joined`.
    axes : two matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    two matplotlib.axes.Axes
        The upper and the lower.
    """
    upper, lower = style.stacked_axes() if axes is None else axes
    found = drawn(both)
    for ax, name in ((upper, "memory"), (lower, "selectivity")):
        named = name == "memory"
        known = found[name].sel(source="formula", drop=True)
        _draw_formula(ax, known, "formula" if named else None)
        measured = found[name].sel(source="measured", drop=True)
        draw_lines(ax, measured, "delay", "plot_planted", every=3, named=named)
    y = r"memory $\sigma_1$"
    style.finish(upper, xr.Dataset(), x="", y=y, yscale="log", legend="above")
    style.whole_numbers(lower.xaxis)
    x, y = "delay (tokens)", "selectivity"
    style.finish(lower, xr.Dataset(), x=x, y=y, ylim=(0, 1.02))
    return upper, lower


def drawn(both):
    """Return what :func:`plot_planted` draws: without the zeros, which have no log."""
    found = both[["memory", "selectivity"]]
    return found.where(found["memory"] > 0)


def plot_fits(curves, *, ax=None):
    """Draw memory curves, and behind each the exponential that is fitted to it.

    Parameters
    ----------
    curves : DataArray of shape (network, delay)
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.4)
    both = fits_of(curves)
    fits = both.sel(curve="fit", drop=True)
    _draw_formula(ax, fits, "fitted exponentials")
    measured = both.sel(curve="memory", drop=True)
    draw_lines(ax, measured, "delay", "plot_fits", every=3)
    x, y = "delay (tokens)", r"memory $\sigma_1$"
    style.whole_numbers(ax.xaxis)
    return style.finish(ax, xr.Dataset(), x=x, y=y, yscale="log", legend="above")


def fits_of(curves):
    """Return memory curves and what `fit_decay` makes of them.

    Returns
    -------
    DataArray of shape (curve, network, delay)
        "memory", without zeros, and "fit", down to a third of the least memory.
    """
    laws = [trials.fitted(curve) for curve in curves.transpose("network", "delay")]
    scale, rate = (
        xr.DataArray([law[name] for law in laws], dims="network")
        for name in ("scale", "rate")
    )
    fit = scale * np.exp(-rate * curves["delay"])
    memory = curves.where(curves > 0)
    fit = fit.where(fit > memory.min() / 3)
    pair = [memory, fit.transpose(*curves.dims)]
    names = xr.Variable("curve", ["memory", "fit"])
    joined = xr.concat(pair, names, coords="minimal")
    return joined.reset_coords(drop=True).rename("memory")


def plot_interval(both, interval, *, ax=None):
    """Draw memory and root mean square of closing gates, their formulas and intervals.

    Parameters
    ----------
    both : Dataset
        Of :func:`state_gradients.paper.planted.trials.beside`.
    interval : Dataset
        ``lower``, ``upper`` (delay,) of the memory.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.4)
    found = interval_drawn(both, interval)
    known = found["curves"].sel(source="formula", drop=True)
    _draw_formula(ax, known, "formula")
    ends, look = found["interval"], {"alpha": 0.2, "linewidth": 0}
    of_memory = style.colours(2)[1]
    ax.fill_between(
        ends["delay"], ends["lower"], ends["upper"], color=of_memory, **look
    )
    measured = found["curves"].sel(source="measured", drop=True)
    draw_lines(ax, measured, "delay", "plot_interval", every=3)
    x, y = "delay (tokens)", "state units per standard deviation"
    style.whole_numbers(ax.xaxis)
    return style.finish(ax, xr.Dataset(), x=x, y=y, yscale="log", legend="above")


def interval_drawn(both, interval):
    """Return what :func:`plot_interval` draws, a dict of two parts."""
    curves = both[["rms_memory", "memory"]].to_dataarray("quantity")
    names = [TITLES[str(name)] for name in curves["quantity"].values]
    curves = curves.assign_coords(quantity=names).rename("value")
    ends = interval[["lower", "upper"]].reset_coords(drop=True).drop_attrs()
    return {"curves": curves, "interval": ends}


def _draw_formula(ax, lines, label):
    """Draw lines (.., delay) in grey behind what is measured, with one name for all."""
    along = next(name for name in lines.dims if name != "delay")
    look = {"color": style.MUTED, "linewidth": 4, "alpha": 0.45}
    for number, line in enumerate(lines.transpose(along, "delay")):
        name = None if number else label
        ax.plot(line["delay"], line, label=name, solid_capstyle="butt", **look)
