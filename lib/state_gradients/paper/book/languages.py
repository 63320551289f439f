"""One recipe on several texts: what the page on three languages draws and says.

A curve is held against that of a reference, whose seeds say how much of a difference is
a chance of the training:

    ratio(tau) = sigma_1(tau) / mean over the reference's seeds of sigma_1(tau)

and two halves of one corpus, whose documents are drawn at random, against each other:
what they differ by is chance, of the documents and of the training.
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.foundation.settings import load_experiment
from state_gradients.paper.book import average_memory
from state_gradients.paper.book.pages import DASH, as_runs, has_run
from state_gradients.project import artifacts
from state_gradients.text import corpora

SHOWN = 1, 5, 10, 20, 49  # delays of the table
FROM_NOW = (0, *SHOWN)
NEAR = 10  # the last delay of the first words
QUANTITY = "memory"


def texts_table(members, says):
    """Return what each text is, and how well it is predicted, as text.

    Parameters
    ----------
    members : dict of str to (str or tuple of str, str)
        As :func:`average_memory.together` takes them.
    says : dict of str to str
        What kind of text each is.

    Returns
    -------
    pandas.DataFrame
    """
    rows = {}
    for label, (names, _) in members.items():
        ran = [name for name in as_runs(names) if has_run(name, "training")]
        corpus = load_experiment(as_runs(names)[0]).corpus
        known = corpora.REGISTRY.get(corpus.name)
        tokens = known.tokens if known else {}
        found = [artifacts.load(name, "training") for name in ran]
        values = [float(one["valid_perplexity_final"]) for one in found]
        rows[label] = {
            "text": says[label],
            "training tokens": _told_number(tokens.get("train")),
            "validation tokens": _told_number(tokens.get("valid")),
            "types": _told_number(corpus.vocabulary_size),
            "perplexity": f"{sum(values) / len(values):.1f}" if values else DASH,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _told_number(number):
    return DASH if number is None else f"{number:,}"


def ratios(members, reference):
    """Return the memory of each text over that of a reference.

    Parameters
    ----------
    members : dict of str to (str or tuple of str, str)
    reference : str
        One of them, several runs of one experiment.

    Returns
    -------
    xarray.Dataset
        ``ratio``, ``lower``, ``upper`` (experiment, delay): of the reference, 1 and the
        range of its runs; of the others, the 95 % interval of their own text, the
        reference taken as it is.
    """
    mean = average_memory.curves_of(*members[reference])[QUANTITY]
    runs = average_memory.spread({reference: members[reference]}).isel(experiment=0)
    found = {reference: runs.sel(quantity=QUANTITY, drop=True) / mean}
    found[reference] = found[reference].assign(ratio=mean / mean)
    for label, (name, state) in members.items():
        if label == reference or not has_run(name):
            continue
        interval = average_memory.interval_of(name, state).isel(normalization=-1)
        one = interval.sel(quantity=QUANTITY)[["observed", "lower", "upper"]] / mean
        found[label] = one.rename(observed="ratio").reset_coords(drop=True)
    bare = [one.reset_coords(drop=True) for one in found.values()]
    return xr.concat(bare, pd.Index(found, name="experiment"), combine_attrs="drop")


def ratios_table(found, delays=SHOWN):
    """Return :func:`ratios` at some delays, as text."""
    delays = [delay for delay in delays if delay in found["delay"].values]
    at = found.sel(delay=delays)
    columns = {f"delay {delay}": at.sel(delay=delay) for delay in delays}
    told = {
        title: [_told(one, k) for k in one["experiment"].values]
        for title, one in columns.items()
    }
    return pd.DataFrame(told, index=list(found["experiment"].values))


def _told(column, label):
    one = column.sel(experiment=label)
    ratio, *ends = (float(one[name]) for name in ("ratio", "lower", "upper"))
    return f"{ratio:.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"


def plot_ratios(found, *, ax=None):
    """Draw :func:`ratios` with their bands against the delay.

    Parameters
    ----------
    found : Dataset
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax)
    band = found[["lower", "upper"]]
    draw_lines(ax, found["ratio"], "delay", "plot_ratios", band=band)
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", "memory over the reference's"
    return style.finish(ax, found, x=x, y=y)


def numbers(found, reference, *, near=NEAR):
    """Return the numbers of the page's prose, texts by name.

    Parameters
    ----------
    found : Dataset
        Of :func:`ratios`.
    reference : str
    near : int
        The last delay of the first words.
    """
    others = found["ratio"].drop_sel(experiment=reference)
    first = others.sel(delay=slice(0, near))
    last = others.isel(delay=-1)
    seeds = found.sel(experiment=reference)
    off = np.maximum(seeds["upper"] - 1, 1 - seeds["lower"])
    farthest = str(last["experiment"].values[int(last.argmax("experiment"))])
    return {
        "near": str(near),
        "first-least": f"{float(first.min()):.2f}",
        "first-largest": f"{float(first.max()):.2f}",
        "last-delay": str(int(found["delay"][-1])),
        "last-least": f"{float(last.min()):.1f}",
        "last-largest": f"{float(last.max()):.1f}",
        "farthest": farthest,
        "seeds-off-near": _percent(off.sel(delay=slice(0, near))),
        "seeds-off": _percent(off),
    }


def _percent(shares):
    return f"{float(shares.max()):.0%}".replace("%", " %")


def memory_table(members, delays=FROM_NOW):
    """Return the memory of each text at some delays, as text.

    Parameters
    ----------
    members : dict of str to (str or tuple of str, str)
        As :func:`average_memory.together` takes them.
    delays : sequence of int
    """
    rows = {}
    for label, (names, state) in members.items():
        ran = [name for name in as_runs(names) if has_run(name)]
        curve = average_memory.curves_of(names, state)[QUANTITY] if ran else None
        known = [] if curve is None else curve["delay"].values
        rows[label] = {
            f"delay {delay}": f"{float(curve.sel(delay=delay)):.3g}"
            if delay in known
            else DASH
            for delay in delays
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def half_ratio(names, state="cell"):
    """Return the memory of one half of a corpus over that of the other.

    Their texts are independent, so that the squares of the logarithmic distances from
    a memory to the ends of its interval add up.

    Parameters
    ----------
    names : two of str
        Numerator and denominator, experiments with intervals.
    state : str

    Returns
    -------
    xarray.Dataset or None
        ``ratio``, ``lower``, ``upper`` (delay); None if either has not been run.
    """
    kinds = ("spectra", "intervals")
    if not all(has_run(name, kind) for name in names for kind in kinds):
        return None
    above, below = (
        average_memory.interval_of(name, state)
        .isel(normalization=-1)
        .sel(quantity=QUANTITY)
        .reset_coords(drop=True)
        .drop_attrs()
        for name in names
    )
    ratio = above["observed"] / below["observed"]
    down = np.hypot(_log_distance(above, "lower"), _log_distance(below, "upper"))
    up = np.hypot(_log_distance(above, "upper"), _log_distance(below, "lower"))
    return xr.Dataset(
        {"ratio": ratio, "lower": ratio * np.exp(-down), "upper": ratio * np.exp(up)}
    )


def _log_distance(interval, end):
    return np.log(interval[end] / interval["observed"])


def beside_halves(found, halves, reference, label):
    """Return :func:`ratios` without the reference's own, and below them the halves'.

    Parameters
    ----------
    found : Dataset
        Of :func:`ratios`.
    halves : Dataset or None
        Of :func:`half_ratio`.
    reference : str
    label : str
        What the ratio of the halves is called.
    """
    others = found.drop_sel(experiment=reference)
    if halves is None:
        return others
    names = [*others["experiment"].values.tolist(), label]
    bare = [others.sel(experiment=name, drop=True) for name in names[:-1]]
    axis = pd.Index(names, name="experiment")
    return xr.concat([*bare, halves], axis, join="inner", combine_attrs="drop")


def _factor(ratio):
    """Return by which factor a ratio is off 1, up or down: at least 1."""
    return np.exp(np.abs(np.log(ratio)))


def differences_table(beside, label):
    """Return how far the ratios are off 1, and how often by more than the halves'.

    Parameters
    ----------
    beside : Dataset
        Of :func:`beside_halves`.
    label : str
        What the ratio of the halves is called.
    """
    factor = _factor(beside["ratio"])
    near = factor.sel(delay=slice(0, NEAR))
    is_known = label in beside["experiment"]
    chance = float(factor.sel(experiment=label).max()) if is_known else None
    rows = {}
    for name in beside["experiment"].values:
        one = factor.sel(experiment=name)
        rows[name] = {
            f"largest factor to {NEAR}": f"{near.sel(experiment=name).max():.2f}",
            "largest factor": f"{one.max():.2f}",
            "at delay": str(int(one["delay"][int(one.argmax("delay"))])),
            "delays beyond the halves' largest": (
                f"{int((one > chance).sum())} of {one.size}" if is_known else DASH
            ),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def half_numbers(beside, label, halves, whole):
    """Return the numbers of the prose on the halves, `DASH` where they have not run.

    Parameters
    ----------
    beside : Dataset
        Of :func:`beside_halves`.
    label : str
        What the ratio of the halves is called.
    halves : two of (str, str)
        Experiments and states.
    whole : (str, str)
        Of the corpus that they are halves of.
    """
    names = (
        "half-largest half-at half-last half-told-apart half-of-whole "
        "half-of-whole-at-1"
    )
    if label not in beside["experiment"]:
        return dict.fromkeys(names.split(), DASH)
    one = beside.sel(experiment=label)
    factor = _factor(one["ratio"])
    apart = (one["lower"] > 1) | (one["upper"] < 1)
    told = [str(int(delay)) for delay in one["delay"][apart.values]]
    found = {
        "half-largest": f"{float(factor.max()):.2f}",
        "half-at": int(one["delay"][int(factor.argmax("delay"))]),
        "half-last": _told(beside.isel(delay=-1), label),
        "half-told-apart": ", ".join(told) or "none",
        "half-of-whole": DASH,
        "half-of-whole-at-1": DASH,
    }
    if has_run(whole[0]):
        curves = [average_memory.curves_of(*one)[QUANTITY] for one in (*halves, whole)]
        share = (curves[0] + curves[1]) / 2 / curves[2]
        found["half-of-whole"] = f"{float(share.isel(delay=-1)):.2f}"
        found["half-of-whole-at-1"] = f"{float(share.sel(delay=1)):.2f}"
    return found
