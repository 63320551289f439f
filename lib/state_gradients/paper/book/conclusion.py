"""The conclusions of the paper's Section 6, the claims behind each, and their fates.

A claim that is judged in several settings, or on several recordings, has a verdict in
each; its *fate* is one word for all of them.
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.project import artifacts

CONCLUSIONS = {  # in our words: what a figure calls it, and the claims behind it
    "On a text whose memory is known, inputs that are needed later have large singular "
    "values, which fall when they are needed no more.": (
        "needed inputs stand out",
        ("C042", "C044", "C047"),
    ),
    "The states of that network hold what its task needs.": (
        "states hold the task",
        ("C020", "C025", "C035", "C039"),
    ),
    "Memory hardly depends on the random initialisation.": ("seeds agree", ("C085",)),
    "Random weights make an exponentially decaying memory that becomes selective "
    "slowly; training makes it longer, and more selective.": (
        "training adds memory",
        ("C088", "C092", "C090", "C091"),
    ),
    "A GRU's memory lies between those of an LSTM's hidden state and cell, and is less "
    "selective than either.": ("GRU between", ("C096", "C099")),
    "A vanilla RNN's memory is much shorter.": ("RNN shorter", ("C101", "C102")),
    "A larger state is less selective, but not in proportion, and how much depends on "
    "the text.": ("size, not in proportion", ("C105", "C108", "C109", "C124")),
    "Embeddings from a large text make memory longer and less selective.": (
        "pre-trained: longer",
        ("C111", "C112"),
    ),
    "The size of the text drives selectivity, its kind drives memory; models of "
    "WikiText remember longer.": ("text: size and kind", ("C115", "C118", "C121")),
    "Frequent words have a smaller and shorter influence.": (
        "frequent: less, shorter",
        ("C130", "C137", "C136"),
    ),
    "Nouns and verbs have the largest influence.": ("nouns, verbs first", ("C125",)),
    "Properties of nouns are remembered better than those of verbs.": (
        "nouns' properties",
        ("C158", "C159"),
    ),
}
SOME = "in some settings"
OPEN = "not judged here"
MARKS = {  # fate: marker, filled, colour's place
    "supported": ("o", True, 2),
    SOME: ("D", False, 3),
    "undecided": ("o", False, 0),
    "not supported": ("^", True, 1),
    OPEN: ("s", False, 0),
}


def fate(verdicts):
    """Return one word for the verdicts of a claim in its settings.

    Parameters
    ----------
    verdicts : iterable of str
        As :func:`state_gradients.paper.claims.judging.table` gives them. Those that
        wait for an experiment, or cannot be tested, count where there is no other.

    Returns
    -------
    str
        One of `MARKS`.
    """
    found = set(verdicts) & {"supported", "undecided", "not supported"}
    if not found:
        return OPEN
    if len(found) == 1:
        return found.pop()
    return SOME if "supported" in found else "undecided"


def fates(judged):
    """Return each conclusion's claims with their fates.

    Parameters
    ----------
    judged : pandas.DataFrame
        As :func:`state_gradients.paper.claims.judging.table` returns it.

    Returns
    -------
    pandas.DataFrame
        Columns conclusion, short, claim, words and fate, a row for each claim.
    """
    of_claim = judged.groupby("id")
    rows = [
        {
            "conclusion": conclusion,
            "short": short,
            "claim": name,
            "words": of_claim.get_group(name)["claim"].iloc[0],
            "fate": fate(of_claim.get_group(name)["verdict"]),
        }
        for conclusion, (short, names) in CONCLUSIONS.items()
        for name in names
    ]
    return pd.DataFrame(rows)


def told(judged, *names):
    """Return the fates of claims as text: ``C042 supported, C044 in some settings``."""
    parts = []
    for name in names:
        verdicts = judged["verdict"][judged["id"] == name]
        parts.append(f"{name} {fate(verdicts)}")
    return ", ".join(parts)


def in_layout(found):
    """Lay the claims of conclusions out in rows, as :func:`plot_fates` takes them.

    Parameters
    ----------
    found : pandas.DataFrame
        Of :func:`fates`.

    Returns
    -------
    xarray.Dataset
        ``claim`` and ``fate`` (conclusion, place), empty where a row has ended.
    """
    place = found.groupby("short", sort=False).cumcount()
    tables = {
        name: found.assign(place=place).pivot(
            index="short", columns="place", values=name
        )
        for name in ("claim", "fate")
    }
    order = list(dict.fromkeys(found["short"]))
    dims = ("conclusion", "place")
    values = {
        name: (dims, t.loc[order].fillna("").to_numpy(str))
        for name, t in tables.items()
    }
    return xr.Dataset(values, {"conclusion": order})


def drawn_fates(found):
    """Return what :func:`plot_fates` draws, a row for each claim of a conclusion."""
    named = found[["short", "claim", "fate"]].rename(columns={"short": "conclusion"})
    return named.assign(place=found.groupby("short", sort=False).cumcount())


def plot_fates(data, *, ax=None):
    """Draw a rung for each conclusion, with a mark for each claim behind it.

    Parameters
    ----------
    data : Dataset with ``claim`` and ``fate``, both (conclusion, place)
        Of :func:`in_layout`.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    n_rungs, n_places = data.sizes["conclusion"], data.sizes["place"]
    ax = style.axes_or_new(ax, height=1.3 + 0.44 * n_rungs)
    colours = style.colours(4)
    for name, (marker, filled, colour) in MARKS.items():
        rung, place = np.nonzero((data["fate"] == name).values)
        ax.plot(
            place,
            rung,
            marker,
            color=colours[colour],
            fillstyle="full" if filled else "none",
            markersize=8,
            label=name,
        )
    below = {"xytext": (0, -6), "textcoords": "offset points", "ha": "center"}
    for rung, place in zip(*np.nonzero((data["claim"] != "").values), strict=True):
        name = str(data["claim"].values[rung, place])
        ax.annotate(name, (place, rung), va="top", **below)
    ax.set_yticks(range(n_rungs), data["conclusion"].values)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    limits = {"xlim": (-0.6, n_places - 0.4), "ylim": (n_rungs - 0.3, -0.5)}
    style.finish(ax, data, x="", y="", **limits)
    # Beside the names of the rungs there is no room for it above the axes alone.
    corner = {"loc": "lower right", "bbox_to_anchor": (1, 1)}
    ax.legend(ncols=2, frameon=False, **corner)
    return ax


def perplexities(names):
    """Return test perplexities of experiments, a dash where one has not been trained.

    Parameters
    ----------
    names : iterable of str
    """
    return {
        name: f"{float(artifacts.load(name, 'training')['test_perplexity']):.1f}"
        if has_run(name, "training")
        else DASH
        for name in names
    }
