"""Parts of speech on the page on three languages: what is compared, and drawn.

Everything is of a class relative to all words of its own text and network,

    r(class) = sigma_1(class) / sigma_1(all words)

corrected for the noise of few inputs, so that texts compare on which memory as such
differs. Two texts are apart in a class by the factor exp(abs(ln r - ln r')). Two halves
of one corpus say how large that is by chance. Among words of like frequency the root
mean square is compared, for the mean over all words cancels what classes disagree in,
and every class may stand above it.
"""

import itertools

import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import Markdown
from scipy import stats

from state_gradients.figures import style
from state_gradients.paper.book.pages import has_run
from state_gradients.paper.language.tagged_classes import ALL_BANDS, BANDS
from state_gradients.project import artifacts

KIND = "tagged_classes"
CALLED = {  # as Universal Dependencies names them, in words
    "NOUN": "noun",
    "PROPN": "proper noun",
    "VERB": "verb",
    "ADJ": "adjective",
    "ADV": "adverb",
    "PRON": "pronoun",
    "DET": "determiner",
    "ADP": "adposition",
    "CONJ": "conjunction",
    "PART": "particle",
    "NUM": "number",
}
SHOWN = 1, 5, 10  # delays of the figure
BANDS_AT = 5  # the delay of bands of frequency
TITLES = {ALL_BANDS: "all words"} | {band: f"{band} in a million" for band in BANDS}
QUANTITY, ROOT_MEAN_SQUARE = "relative_memory", "relative_rms_memory"
ENDS = "lower", "upper"
COLUMNS = ("value", *ENDS)  # of what is drawn


def missing(members):
    """Say whose parts of speech have not been measured; if all have, nothing.

    Parameters
    ----------
    members : dict of str to (str, str)
        Experiment and state by what a figure calls them.

    Returns
    -------
    IPython.display.Markdown or None
    """
    lines = [
        f"- `state-gradients reproduce {name}`"
        for name, _ in members.values()
        if not has_run(name, KIND)
    ]
    return Markdown("\n".join(["Not run yet:", "", *lines])) if lines else None


def read(members):
    """Return the artifacts of those networks that have them, None if none has.

    Parameters
    ----------
    members : dict of str to (str, str)

    Returns
    -------
    xarray.Dataset or None
        With the first dimension ``text``.
    """
    names = {label: name for label, (name, _) in members.items()}
    found = {
        label: artifacts.load(name, KIND).drop_attrs()
        for label, name in names.items()
        if has_run(name, KIND)
    }
    return xr.concat(found.values(), pd.Index(found, name="text")) if found else None


def languages_in(found, halves):
    """Return the texts that are no halves, those that have been measured."""
    texts = [] if found is None else found["text"].values.tolist()
    return [text for text in texts if text not in halves]


def known(found, delays):
    """Return those of some delays that were measured."""
    return [delay for delay in delays if delay in found["delay"].values]


def relative(found, delay, *, band=ALL_BANDS, quantity=QUANTITY):
    """Return the classes of every text relative to all its words, with intervals.

    Parameters
    ----------
    found : xarray.Dataset
        Of :func:`read`.
    delay : int
    band : str
        Of frequency; all words are then those of the band.
    quantity : str
        "relative_memory" or "relative_rms_memory".

    Returns
    -------
    xarray.Dataset of shape (text, group)
        ``value``, ``lower``, ``upper``, of the classes in `CALLED` that a text has.
    """
    at = {"delay": delay, "band": band, "quantity": quantity}
    one = found[["estimate", *ENDS]].sel(**at, group=[*CALLED], drop=True)
    return one.rename(estimate="value").dropna("group", how="all")


def by_delay(found, delays=SHOWN):
    """Return what is drawn of all words, :func:`relative` by delay; {} without a text.

    Parameters
    ----------
    found : xarray.Dataset or None
        Of :func:`read`.
    delays : sequence of int
        Those that were measured count.
    """
    if found is None:
        return {}
    return {f"delay {d}": relative(found, d) for d in known(found, delays)}


def by_band(found, delay=BANDS_AT):
    """Return what is drawn of words of like frequency, :func:`relative` by band."""
    if found is None:
        return {}
    options = {"quantity": ROOT_MEAN_SQUARE}
    panels = {
        f"{TITLES[band]}, delay {delay}": relative(found, delay, band=band, **options)
        for band in BANDS
    }
    return {title: data for title, data in panels.items() if data.sizes["group"]}


def plot_classes(panels, halves, *, of="memory", xscale="log", axes=None):
    """Draw a rung for each class: a mark for each text, and behind them two halves.

    Parameters
    ----------
    panels : dict of str to xarray.Dataset
        By title, of :func:`relative`.
    halves : sequence of str
        Texts that are drawn as a band, from the lower end of both intervals to the
        upper end of both.
    of : str
        What is drawn, in words.
    xscale : str
        Of the horizontal axis, as Matplotlib calls it.
    axes : sequence of matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    list of matplotlib.axes.Axes
    """
    n_rungs = max(data.sizes["group"] for data in panels.values())
    if axes is None:
        axes = style.stacked_axes(len(panels), height=1.1 + 0.29 * n_rungs)
    axes = list(np.atleast_1d(axes))
    for ax, (title, data) in zip(axes, panels.items(), strict=True):
        _draw(style.axes_or_new(ax), data, halves, named=ax is axes[0])
        x = f"{of} over that of all words" if ax is axes[-1] else ""
        titled = data.assign_coords(experiment=title)
        style.finish(ax, titled, x=x, y="", xscale=xscale, legend="above")
    return axes


def _draw(ax, data, halves, *, named):
    rungs = np.arange(data.sizes["group"])
    ax.use_sticky_edges = False  # a bar would end at the frame
    ax.axvline(1, color=style.MUTED, linewidth=0.8)
    here = [name for name in halves if name in data["text"].values]
    if here:
        of_halves = data.sel(text=here)
        low, high = of_halves["lower"].min("text"), of_halves["upper"].max("text")
        low = low.where(low > 0)
        ax.barh(
            rungs,
            high - low,
            left=low,
            height=0.8,
            color=style.MUTED,
            alpha=0.3,
            label="two halves of Brown" if named else None,
        )
    others = [name for name in data["text"].values if name not in halves]
    looks = zip(style.colours(len(others)), style.markers(len(others)), strict=True)
    for number, (colour, marker) in enumerate(looks):
        one = data.sel(text=others[number])
        places = rungs + 0.26 * (number - (len(others) - 1) / 2)
        ends = one[[*ENDS]].where(one[[*ENDS]] > 0)
        ax.hlines(places, ends["lower"], ends["upper"], color=colour)
        label = style.plain(others[number]) if named else None
        ax.plot(one["value"], places, color=colour, marker=marker, ls="", label=label)
    ax.set_yticks(rungs, [CALLED[name] for name in data["group"].values])
    ax.invert_yaxis()


def apart(data, one, other):
    """Return how far apart two texts are in each class that both have.

    Parameters
    ----------
    data : xarray.Dataset
        Of :func:`relative`.
    one, other : str
        Texts.

    Returns
    -------
    xarray.Dataset of shape (group,)
        ``factor``, at least 1, and ``told_apart``: whether the 95 % interval of the
        ratio leaves out 1. Texts are independent, so that squares of logarithmic
        distances add up.
    """
    both = data.sel(text=[one, other]).dropna("group")
    both = both.where((both["value"] > 0).all("text"), drop=True)
    first, second = both.sel(text=one, drop=True), both.sel(text=other, drop=True)
    log_ratio = np.log(first["value"] / second["value"])
    above = np.hypot(_distance(first, "lower"), _distance(second, "upper"))
    below = np.hypot(_distance(first, "upper"), _distance(second, "lower"))
    told = (log_ratio > above) | (log_ratio < -below)
    return xr.Dataset({"factor": np.exp(abs(log_ratio)), "told_apart": told})


def _distance(data, end):
    """Return the logarithmic distance to an end of an interval; of 0 it is infinite."""
    ratio = (data[end] / data["value"]).values
    logs = np.full(ratio.shape, np.inf)
    np.log(ratio, out=logs, where=ratio > 0)
    return data[end].copy(data=abs(logs))


def pairs_of(found, halves):
    """Return the pairs of texts that are compared: languages, then the halves."""
    texts = [text for text in found["text"].values if text not in halves]
    pairs = [*itertools.combinations(texts, 2)]
    both = [name for name in halves if name in found["text"].values]
    return pairs + ([tuple(both)] if len(both) == 2 else [])


def largest_of_halves(data, halves):
    """Return by how much two halves are apart in any class, None if one is missing."""
    if not set(halves) <= set(data["text"].values.tolist()):
        return None
    return float(apart(data, *halves)["factor"].max())


def rank_correlation(data, one, other):
    """Return the rank correlation of the classes that two texts have.

    Parameters
    ----------
    data : xarray.Dataset
        Of :func:`relative`.
    one, other : str
    """
    both = data["value"].sel(text=[one, other]).dropna("group")
    return float(stats.spearmanr(*both.values).statistic)


def rank_with_frequency(found, text, delay, quantity):
    """Return the rank correlation of a text's classes with their frequencies."""
    values = relative(found, delay, quantity=quantity)["value"].sel(text=text)
    values = values.dropna("group")
    frequency = found["frequency"].sel(text=text, band=ALL_BANDS)
    of_classes = frequency.sel(group=values["group"].values)
    return float(stats.spearmanr(values, of_classes).statistic)


def kept_better(data, texts):
    """Return the classes that are kept better than all words together, and worse.

    Parameters
    ----------
    data : xarray.Dataset
        Of :func:`relative`.
    texts : sequence of str

    Returns
    -------
    better, worse : list of str
        Classes that all of the texts have, on one side of 1 with their whole interval
        in each of them.
    """
    of_texts = data.sel(text=list(texts))
    is_above = (of_texts["lower"] > 1).all("text").values
    is_below = (of_texts["upper"] < 1).all("text").values
    groups = data["group"].values
    return [*map(str, groups[is_above])], [*map(str, groups[is_below])]


def largest_over_smallest(data, text):
    """Return the largest class over the smallest, None of fewer than two."""
    if text not in data["text"].values:
        return None
    values = data["value"].sel(text=text).dropna("group")
    if values.sizes["group"] < 2:
        return None
    return float(values.max() / values.min())


def in_words(groups):
    """Return classes as text, "none" for none."""
    return ", ".join(CALLED[name] for name in groups) or "none"
