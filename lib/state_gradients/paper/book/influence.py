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
from scipy.stats import spearmanr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book.pages import has_run
from state_gradients.paper.claims import judging
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
TINY = np.finfo(np.float32).tiny  # below, what is kept has few digits or none


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
        ``observed``, ``lower`` and ``upper``; NaN where float32 has no more than 0.
    """
    ends = ["observed", "lower", "upper"]
    of_each = [
        one[ends].sel(quantity=quantity, drop=True).reset_coords(drop=True)
        for one in found.values()
    ]
    names = pd.Index(found, name="experiment")
    both = xr.concat(of_each, names, join="inner", combine_attrs="drop")
    return both.where(both > TINY)


def plot_by_experiment(data, label, *, log=True, bottom=None, ax=None):
    """Draw :func:`by_experiment` against the delay.

    Parameters
    ----------
    data : Dataset
    label : str
        Of the vertical axis.
    log : bool
        Whether that is logarithmic.
    bottom : float, optional
        Where it ends, and lines that go on below; by default all are drawn whole.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.
    """
    ax = style.axes_or_new(ax)
    smallest = data["observed"].min(skipna=True)
    band = data[["lower", "upper"]].fillna(float(smallest))
    draw_lines(ax, data["observed"], "delay", "plot_by_experiment", band=band)
    if log:
        ax.set_yscale("log")
    ax.set_ylim(bottom=bottom)
    style.whole_numbers(ax.xaxis)
    legend = "best" if bottom is None else "above"  # lines leave the frame below
    return style.finish(ax, data, x="delay (tokens)", y=label, legend=legend)


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
    ax.set_ylim(0, 1.35)  # room for the names of lines that go up and down
    ax.set_yticks(np.linspace(0, 1, 6))
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
    lower, upper = (max(end, 0) + 0.0 for end in (lower, upper))  # and no -0
    return f"{value:.2g} [{lower:.2g}, {upper:.2g}]"


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


TRENDS = {  # claims of the paper, by what is asked of them in nats
    "C083": "fewer directions matter the longer ago: rank correlation below -0.5",
    "C125": "nouns and verbs first at delay 0, above all other classes",
    "C195": "types seen 1000 times or more lowest, at delays 0 and 10",
    "C158": "noun properties above verb properties, mean over the kept delays",
    "C194": "larger influence than untrained at delay 20, in fewer directions",
}
OF_NOUNS = "singular - plural", "common - proper", "genitive - non-genitive"
OF_VERBS = "3rd - non-3rd", "present - past", "present - past participle"
FREQUENT = "seen 1000 or more times"


def trends(name, found):
    """Hold sentences of the paper against the influence.

    Parameters
    ----------
    name : str
        An experiment with the studies of influence, classes and properties.
    found : dict of str to Dataset
        The influence of the experiment, then of its untrained twin, if it has run.

    Returns
    -------
    pandas.DataFrame
        By claim: its text, the verdict on memory
        (:func:`state_gradients.paper.claims.judging.table`), what is asked of it in
        nats, what was found, and the verdict on that.
    """
    judged = judging.table(names=[*TRENDS])
    one, *twin = found.values()
    tests = {
        "C083": _fewer_directions(one),
        "C125": _nouns_and_verbs(one),
        "C195": _frequent_words(one),
        "C158": _properties(name, one),
        "C194": _more_and_fewer(one, *twin),
    }
    rows = {}
    for claim, of_claim in judged.groupby("id", sort=False):
        says, holds = tests[claim]
        verdict = "not run" if holds is None else ("holds" if holds else "does not")
        rows[claim] = {
            "the paper says": of_claim["claim"].iloc[0],
            "of memory": ", ".join(dict.fromkeys(of_claim["verdict"])),
            "asked in nats": TRENDS[claim],
            "found": says,
            "in nats": verdict,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _fewer_directions(one):
    rank = one["observed"].sel(quantity="influence_rank")
    order = float(spearmanr(rank["delay"], rank).statistic)
    first, last = float(rank[0]), float(rank[-1])
    return f"{first:.1f} directions, {last:.1f} in the end; r = {order:.2f}", (
        order < -0.5
    )


def _of_groups(one, delay):
    """Return the largest influence of each group at a delay, by name."""
    if "group_observed" not in one:
        return None
    at = one["group_observed"].sel(quantity="influence", delay=delay)
    return dict(zip(at["group"].values.tolist(), at.values.tolist(), strict=True))


def _nouns_and_verbs(one):
    values = _of_groups(one, 0)
    if values is None:
        return "", None
    classes = {k: v for k, v in values.items() if not k.startswith("seen")}
    order = sorted(classes, key=classes.get, reverse=True)
    return "order: " + ", ".join(order), set(order[:2]) == {"N", "V"}


def _frequent_words(one):
    told, holds = [], True
    for delay in (0, 10):
        values = _of_groups(one, delay)
        if values is None or FREQUENT not in values:
            return "", None
        others = {k: v for k, v in values.items() if k.startswith("seen")}
        mine = others.pop(FREQUENT)
        told.append(f"{mine:.2g} against {min(others.values()):.2g} or more")
        holds &= mine < min(others.values())
    return f"at 0: {told[0]}; at 10: {told[1]}", holds


def _properties(name, one):
    table = properties_table(name, one)
    held = [[p for p in of if p in table.index] for of in (OF_NOUNS, OF_VERBS)]
    if not all(held):
        return "", None
    nouns, verbs = (table.loc[rows].astype(float).mean() for rows in held)
    return f"{nouns.mean():.2f} and {verbs.mean():.2f} of the largest", (
        nouns.mean() > verbs.mean()
    )


def _more_and_fewer(one, twin=None, delay=20):
    if twin is None or delay not in one["delay"].values:
        return "", None
    both = [each["observed"].sel(delay=delay) for each in (one, twin)]
    size = [float(each.sel(quantity="influence")) for each in both]
    rank = [float(each.sel(quantity="influence_rank")) for each in both]
    told = f"{size[0]:.2g} and {size[1]:.2g} nats; {rank[0]:.1f} and {rank[1]:.1f}"
    return f"{told} directions", size[0] > size[1] and rank[0] < rank[1]


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
    at_random = one["spectrum"].mean("component") / one["spectrum"].max("component")
    said["kept-least"] = f"{float(one['share_of_kept'].min()):.2f}"
    said["at-random"] = f"{float(at_random.max()):.2f}"
    return said


def held_against(found, others, delay=20):
    """Return how each network's influence compares with the first's, as text.

    Parameters
    ----------
    found, others : dict of str to Dataset
        The first of `found` is what the others are held against.
    delay : int
        Or the longest there is.

    Returns
    -------
    str
        ``LRU 0.46 [0.40, 0.52], ..``: the ratio, with the ends of the other's interval
        over the first's value; "(not run)" if there are no others.
    """
    first = next(iter(found.values()))
    delay = min(delay, *(int(x["delay"][-1]) for x in (first, *others.values())))

    def at(one, end="observed"):
        return float(one[end].sel(quantity="influence", delay=delay))

    told = [
        f"{label} {at(one) / at(first):.2g} [{max(at(one, 'lower'), 0) / at(first):.2g}"
        f", {at(one, 'upper') / at(first):.2g}]"
        for label, one in others.items()
    ]
    return f"at delay {delay}: {', '.join(told)}" if told else "(not run)"


def _range(values):
    return f"{float(values.min()):.2f} to {float(values.max()):.2f}"
