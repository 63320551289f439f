"""What still matters: figures, tables and numbers of the page on influence.

Everything is read from the artifact ``influence`` of an experiment
(:mod:`state_gradients.paper.language.influence`). Beside each other stand three answers
to how much of a word is left, each of a step of one standard deviation: the memory of
the mean gradient, its root mean square, and the square root of the influence, which
like these two grows with the step itself.
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book.pages import has_run
from state_gradients.project import artifacts

SHOWN = 0, 1, 5, 10, 20, 30
ANSWERS = {
    "memory": "memory of the mean",
    "rms_memory": "root mean square",
    "root": "root of the influence",
}
SHARES = {
    "alignment": "cosine of the two directions",
    "share_of_kept": "influence of the one kept best",
}
ENDS = "", "_lower", "_upper"


def that_ran(members):
    """Return the influence of each experiment that has it, a dict by label.

    Parameters
    ----------
    members : dict of str to str
        Experiments by what a figure calls them.
    """
    return {
        label: artifacts.load(name, "influence")
        for label, name in members.items()
        if has_run(name, "influence")
    }


def by_experiment(found, quantity):
    """Return one quantity of several experiments with its interval.

    Parameters
    ----------
    found : dict of str to Dataset
    quantity : str
        "influence", "mean_influence" or "influence_rank".

    Returns
    -------
    xarray.Dataset of shape (experiment, delay)
        ``observed``, ``lower`` and ``upper``; of the influence, which is above 0, the
        lower end too, or NaN.
    """
    ends = ["observed", "lower", "upper"]
    of_each = [
        one[ends].sel(quantity=quantity, drop=True).reset_coords(drop=True)
        for one in found.values()
    ]
    names = pd.Index(found, name="experiment")
    both = xr.concat(of_each, names, join="inner", combine_attrs="drop")
    return both.where(both > 0)


def plot_by_experiment(data, label, *, log=True, ax=None):
    """Draw :func:`by_experiment` against the delay.

    Parameters
    ----------
    data : Dataset
    label : str
        Of the vertical axis.
    log : bool
        Whether that is logarithmic.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.
    """
    ax = style.axes_or_new(ax)
    smallest = data["observed"].min(skipna=True)
    band = data[["lower", "upper"]].fillna(float(smallest))
    draw_lines(ax, data["observed"], "delay", "plot_by_experiment", band=band)
    if log:
        ax.set_yscale("log")
    style.whole_numbers(ax.xaxis)
    return style.finish(ax, data, x="delay (tokens)", y=label)


def answers(one):
    """Return three measures of what is left, each over its own value at delay 0.

    Returns
    -------
    DataArray of shape (answer, delay)
    """
    root = np.sqrt(one["observed"].sel(quantity="influence", drop=True))
    found = [one["memory"], one["rms_memory"], root]
    names = pd.Index(ANSWERS.values(), name="answer")
    both = xr.concat(
        [x.reset_coords(drop=True).drop_attrs() for x in found], names
    ).astype(float)
    return (both / both.isel(delay=0)).where(both > 0).rename("value")


def plot_answers(data, *, ax=None):
    """Draw :func:`answers` against the delay."""
    ax = style.axes_or_new(ax)
    draw_lines(ax, data, "delay", "plot_answers")
    ax.set_yscale("log")
    style.whole_numbers(ax.xaxis)
    return style.finish(ax, data, x="delay (tokens)", y="over its value at delay 0")


def directions(one):
    """Return how the direction kept best and the one that matters most compare.

    Returns
    -------
    DataArray of shape (measure, delay)
    """
    names = pd.Index(SHARES.values(), name="measure")
    found = [one[name].reset_coords(drop=True).drop_attrs() for name in SHARES]
    return xr.concat(found, names).astype(float).rename("value")


def plot_directions(data, *, ax=None):
    """Draw :func:`directions` against the delay."""
    ax = style.axes_or_new(ax)
    draw_lines(ax, data, "delay", "plot_directions")
    ax.set_ylim(0, 1.02)
    style.whole_numbers(ax.xaxis)
    return style.finish(ax, data, x="delay (tokens)", y="share, or cosine")


def _with_ends(one, name, **place):
    value, *ends = (float(one[f"{name}{end}"].sel(place)) for end in ENDS)
    return f"{value:.2f} [{', '.join(f'{end:.2f}' for end in ends)}]"


def linear_table(one):
    """Return, by delay, how far the quadratic form tells what a step changes."""
    small, whole = one["scale"].values
    rows = {}
    for delay in one["step_delay"].values:
        at = {"step_delay": delay}
        by_form = at | {"predictor": "quadratic form"}
        by_length = at | {"predictor": "length of G d"}
        rows[int(delay)] = {
            "a tenth: ratio": _with_ends(one, "ratio", scale=small, **at),
            "a tenth: order": _with_ends(one, "order", scale=small, **by_form),
            "whole: ratio": _with_ends(one, "ratio", scale=whole, **at),
            "whole: order": _with_ends(one, "order", scale=whole, **by_form),
            "whole: order by length": _with_ends(
                one, "order", scale=whole, **by_length
            ),
            "whole: nats": f"{float(one['kl'].sel(scale=whole, **at)):.2g}",
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def groups_table(one, delays=SHOWN):
    """Return the largest influence of each group of words at some delays, as text."""
    if "group_observed" not in one:
        return pd.DataFrame({"groups": ["(not run)"]})
    delays = [delay for delay in delays if delay in one["delay"].values]
    at = one.sel(quantity="influence", delay=delays)
    rows = {}
    for group in one["group"].values:
        values = [
            [float(at[f"group_{end}"].sel(group=group, delay=delay)) for end in _OF]
            for delay in delays
        ]
        rows[str(group)] = {
            f"delay {delay}": _told(*three)
            for delay, three in zip(delays, values, strict=True)
        }
    return pd.DataFrame.from_dict(rows, orient="index")


_OF = "observed", "lower", "upper"


def _told(value, lower, upper):
    if np.isnan(value):
        return "\N{EN DASH}"
    return f"{value:.2g} [{max(lower, 0):.2g}, {upper:.2g}]"


def properties_table(name, one):
    """Return the influence of property directions, over the largest, by delay.

    Parameters
    ----------
    name : str
        An experiment with the study of properties.
    one : Dataset
        Its influence.

    Returns
    -------
    pandas.DataFrame
        Of each property, and of a random direction: the mean eigenvalue over the
        largest.
    """
    if not has_run(name, "properties"):
        return pd.DataFrame({"properties": ["(not run)"]})
    kept = artifacts.load(name, "properties")["direction"].sel(words="all")
    kept = kept.transpose("property", "embedding").dropna("property")
    moment = one["moment"].astype(float).values  # (delay, embedding, embedding)
    largest = np.linalg.eigvalsh(moment)[:, -1]
    shares = np.einsum("pe,def,pf->pd", kept.values, moment, kept.values) / largest
    chance = np.trace(moment, axis1=1, axis2=2) / moment.shape[-1] / largest
    rows = {str(p): row for p, row in zip(kept["property"].values, shares, strict=True)}
    rows["a random direction"] = chance
    columns = [f"delay {delay}" for delay in one["kept_delay"].values]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.map("{:.3f}".format)


def experiments_table(found, delays=SHOWN):
    """Return influence and its rank by experiment at some delays, as text."""
    rows = {}
    for label, one in found.items():
        at = one.sel(delay=[delay for delay in delays if delay in one["delay"].values])
        rows[label] = {
            f"delay {int(delay)}": _told(
                *(float(at[end].sel(quantity="influence", delay=delay)) for end in _OF)
            )
            for delay in at["delay"].values
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def numbers(one):
    """Return the numbers of the page's prose, texts by name.

    Parameters
    ----------
    one : Dataset
        The influence of the page's experiment.
    """
    influence = one["observed"].sel(quantity="influence")
    small, whole = one["scale"].values
    form = one["order"].sel(predictor="quadratic form")
    length = one["order"].sel(predictor="length of G d")
    last = int(one["step_delay"][-1])
    said = {
        "tokens": f"{int(one['n_tokens']):,}",
        "sketch": f"{float(one['sketch_error'].max()):.1%}".replace("%", " %"),
        "small-ratio": _range(one["ratio"].sel(scale=small)),
        "small-order": _range(form.sel(scale=small)),
        "whole-ratio-0": f"{float(one['ratio'].sel(scale=whole, step_delay=0)):.1f}",
        "whole-ratio-later": _range(one["ratio"].sel(scale=whole)[2:]),
        "whole-order-0": f"{float(form.sel(scale=whole, step_delay=0)):.2f}",
        "whole-order-later": _range(form.sel(scale=whole)[2:]),
        "length-order": _range(length.sel(scale=whole)),
        "last": str(last),
        "rank-0": f"{float(one['observed'].sel(quantity='influence_rank')[0]):.0f}",
        "size": str(one.sizes["component"]),
    }
    for delay in (0, 1, 5, 10, 20, last):
        if delay in one["step_delay"].values:
            nats = float(one["kl"].sel(scale=whole, step_delay=delay))
            said[f"nats-{'last' if delay == last else delay}"] = f"{nats:.2g}"
    for delay in (0, 1, 5, 10):
        if delay in one["delay"].values:
            at = one.sel(delay=delay)
            said[f"cosine-{delay}"] = f"{float(at['alignment']):.2f}"
            said[f"kept-{delay}"] = f"{float(at['share_of_kept']):.2f}"
            said[f"influence-{delay}"] = f"{float(influence.sel(delay=delay)):.2g}"
    return said


def _range(values):
    return f"{float(values.min()):.2f} to {float(values.max()):.2f}"
