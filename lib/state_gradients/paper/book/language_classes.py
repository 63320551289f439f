"""Parts of speech on the page on three languages: figures, tables, sentences.

Everything is of a class relative to all words of its own text and network,

    r(class) = sigma_1(class) / sigma_1(all words)

corrected for the noise of few inputs, so that texts compare on which memory as such
differs. Two texts are apart in a class by the factor exp |ln r - ln r'|. Two halves of
one corpus say how large that is by chance.
"""

import itertools

import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import Markdown
from scipy import stats

from state_gradients.figures import style
from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.paper.language.tagged_classes import ALL_BANDS, ALL_WORDS, BANDS
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
QUANTITY = "relative_memory"
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


def plot_classes(panels, halves, *, axes=None):
    """Draw a rung for each class: a mark for each text, and behind them two halves.

    Parameters
    ----------
    panels : dict of str to xarray.Dataset
        By title, of :func:`relative`.
    halves : sequence of str
        Texts that are drawn as a band, from the lower end of both intervals to the
        upper end of both.
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
        named = ax is axes[0]
        _draw(style.axes_or_new(ax), data, halves, named=named)
        x = "memory over that of all words" if ax is axes[-1] else ""
        style.finish(ax, data, x=x, y="", xscale="log", legend="above")
        ax.set_title(title, loc="right" if named else "left")
    return axes


def _draw(ax, data, halves, *, named):
    rungs = np.arange(data.sizes["group"])
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


def words_table(found):
    """Return what each text has of each class, a row a class, as text.

    Columns are, of each text, the class's share of the words that are followed, how
    frequent they are in its training text (geometric mean, in a million tokens), and
    which share of the class is read as ``<unk>``.
    """
    rows = {}
    for group in CALLED:
        row = {}
        for text in found["text"].values:
            of_text = found.sel(text=text)
            one = of_text.sel(group=group, band=ALL_BANDS)
            n_words = float(of_text["n_inputs"].sel(group=ALL_WORDS, band=ALL_BANDS))
            row[text, "share"] = f"{float(one['n_inputs']) / n_words:.0%}"
            for title, name, form in (
                ("frequency", "frequency", ",.0f"),
                ("<unk>", "unknown", ".0%"),
            ):
                value = float(one[name])
                row[text, title] = DASH if np.isnan(value) else f"{value:{form}}"
        rows[CALLED[group]] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def values_table(found, delay, **options):
    """Return the classes relative to all words with their intervals, as text.

    Parameters
    ----------
    found : xarray.Dataset
    delay : int
    **options
        Of :func:`relative`.

    Returns
    -------
    pandas.DataFrame
        A row a class, a column a text.
    """
    data = relative(found, delay, **options)
    columns = {
        text: [_told(data.sel(text=text, group=g)) for g in data["group"].values]
        for text in data["text"].values
    }
    return pd.DataFrame(columns, index=[CALLED[g] for g in data["group"].values])


def _told(one):
    value, *ends = (float(one[name]) for name in ("value", *ENDS))
    if np.isnan(value):
        return DASH
    return f"{value:.2f} [{max(ends[0], 0):.2f}, {ends[1]:.2f}]"


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


def differences_table(found, halves, delays=SHOWN, **options):
    """Return how far texts are apart, a row for each pair of texts and delay.

    Parameters
    ----------
    found : xarray.Dataset
    halves : sequence of str
    delays : sequence of int
    **options
        Of :func:`relative`.

    Returns
    -------
    pandas.DataFrame
        Rank correlation of the classes, the middle and the largest factor, how many of
        the classes are told apart, and how many are further apart than any of the
        halves'.
    """
    rows = {}
    for pair in pairs_of(found, halves):
        for delay in delays:
            data = relative(found, delay, **options)
            rows[f"{pair[0]} and {pair[1]}", f"delay {delay}"] = _difference(
                data, pair, largest_of_halves(data, halves)
            )
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return frame.set_axis([f"{pair}, {delay}" for pair, delay in rows], axis="index")


def largest_of_halves(data, halves):
    """Return by how much two halves are apart in any class, None if one is missing."""
    if not set(halves) <= set(data["text"].values.tolist()):
        return None
    return float(apart(data, *halves)["factor"].max())


def _difference(data, pair, chance):
    found = apart(data, *pair)
    n_classes = found.sizes["group"]
    n_told = int(found["told_apart"].sum())
    is_far = DASH if chance is None else int((found["factor"] > chance).sum())
    largest = int(found["factor"].argmax("group"))
    return {
        "rank correlation": f"{rank_correlation(data, *pair):.2f}",
        "middle factor": f"{float(found['factor'].median()):.2f}",
        "largest factor": f"{float(found['factor'][largest]):.2f}",
        "of": CALLED[str(found["group"].values[largest])],
        "intervals of the ratio leave out 1": f"{n_told} of {n_classes}",
        "beyond the halves' largest": (
            is_far if is_far == DASH else f"{is_far} of {n_classes}"
        ),
    }


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


def order(data, text):
    """Return the classes of a text from the best kept down, as text."""
    one = data["value"].sel(text=text).dropna("group")
    falling = one.sortby(-one)
    return " > ".join(CALLED[str(name)] for name in falling["group"].values)


def orders_table(found, texts, delays=SHOWN):
    """Return the order of the classes, a row for each text and delay."""
    rows = {
        f"{text}, delay {delay}": {
            "best kept first": order(relative(found, delay), text)
        }
        for text in texts
        for delay in delays
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def common_order(data, texts):
    """Return which classes stand above which others in all of some texts.

    Parameters
    ----------
    data : xarray.Dataset
        Of :func:`relative`.
    texts : sequence of str

    Returns
    -------
    list of (str, str)
        Pairs above, below whose intervals do not overlap in any of the texts.
    """
    groups = data["group"].values
    lower, upper = (data[end].sel(text=list(texts)) for end in ENDS)
    return [
        (str(above), str(below))
        for above, below in itertools.permutations(groups, 2)
        if bool((lower.sel(group=above) > upper.sel(group=below)).all())
    ]


def kept_better(data, texts):
    """Return the classes that are kept better than the average word, and worse.

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


def sides_table(found, texts, delays=SHOWN, **options):
    """Return which classes are kept better and worse than the average word, as text.

    Parameters
    ----------
    found : xarray.Dataset
    texts : sequence of str
        Those in all of which they are.
    delays : sequence of int
    **options
        Of :func:`relative`.
    """
    rows = {}
    for delay in delays:
        better, worse = kept_better(relative(found, delay, **options), texts)
        rows[f"delay {delay}"] = {
            "better than the average word in all": in_words(better),
            "worse in all": in_words(worse),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def in_words(groups):
    """Return classes as text, "none" for none."""
    return ", ".join(CALLED[name] for name in groups) or "none"


def frequency_table(found, texts, delay=BANDS_AT, quantity=QUANTITY):
    """Return how much classes differ, and how much among words of like frequency.

    Parameters
    ----------
    found : xarray.Dataset
    texts : sequence of str
    delay : int
    quantity : str

    Returns
    -------
    pandas.DataFrame
        A row a text: the rank correlation of the classes' values with their
        frequencies, and the largest class over the smallest, among all words and among
        those of each band, of how many classes.
    """
    rows = {}
    for text in texts:
        rank = _rank_with_frequency(found, text, delay, quantity)
        row = {"rank correlation with frequency": f"{rank:.2f}"}
        for band in (ALL_BANDS, *BANDS):
            row[TITLES[band]] = _told_range(
                relative(found, delay, band=band, quantity=quantity), text
            )
        rows[text] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _rank_with_frequency(found, text, delay, quantity):
    """Return the rank correlation of a text's classes with their frequencies."""
    values = relative(found, delay, quantity=quantity)["value"].sel(text=text)
    values = values.dropna("group")
    frequency = found["frequency"].sel(text=text, band=ALL_BANDS)
    of_classes = frequency.sel(group=values["group"].values)
    return float(stats.spearmanr(values, of_classes).statistic)


def _told_range(data, text):
    if text not in data["text"].values:
        return DASH
    values = data["value"].sel(text=text).dropna("group")
    if values.sizes["group"] < 2:
        return DASH
    ratio = float(values.max() / values.min())
    return f"{ratio:.1f} ({values.sizes['group']} classes)"


def languages_in(found, halves):
    """Return the texts that are no halves, those that have been measured."""
    texts = [] if found is None else found["text"].values.tolist()
    return [text for text in texts if text not in halves]


def numbers(found, halves, delay=BANDS_AT):
    """Return the numbers of the page's prose, `DASH` where texts have not been run.

    Parameters
    ----------
    found : xarray.Dataset or None
        Of :func:`read`.
    halves : two of str
    delay : int

    Returns
    -------
    dict of str to str
    """
    names = (
        *("inputs", "delay", "better", "worse", "better-alike", "worse-alike"),
        *("rank-languages", "rank-halves", "halves-largest", "halves-of"),
        *("halves-told", "beyond", "rank-frequency"),
    )
    told = dict.fromkeys(names, DASH) | {"delay": str(delay)}
    texts = languages_in(found, halves)
    if texts:
        data = relative(found, delay)
        better, worse = kept_better(data, texts)
        told |= {"better": in_words(better), "worse": in_words(worse)}
        told["inputs"] = f"{int(_followed(found).max()):,}"
        pairs = [*itertools.combinations(texts, 2)]
        ranks = [rank_correlation(data, *pair) for pair in pairs]
        if ranks:
            told["rank-languages"] = _told_ranks(ranks)
        alike = [kept_better(relative(found, delay, band=b), texts) for b in BANDS]
        for side, name in enumerate(("better-alike", "worse-alike")):
            in_bands = [set(sides[side]) for sides in alike]
            here = [group for group in CALLED if any(group in one for one in in_bands)]
            told[name] = in_words(here)
        told["rank-frequency"] = _told_ranks(
            [_rank_with_frequency(found, text, delay, QUANTITY) for text in texts]
        )
        chance = largest_of_halves(data, halves)
        if chance is not None:
            told |= _of_halves(data, halves, pairs, chance)
    return {f"classes-{name}": text for name, text in told.items()}


def _followed(found):
    """Return how many inputs of each text are followed, (text,)."""
    each = found["n_inputs"].sel(band=ALL_BANDS).drop_sel(group=ALL_WORDS)
    return each.sum("group")


def _told_ranks(ranks):
    return f"{min(ranks):.2f} to {max(ranks):.2f}"


def _of_halves(data, halves, pairs, chance):
    found = apart(data, *halves)
    largest = str(found["group"].values[int(found["factor"].argmax("group"))])
    beyond = {group for pair in pairs for group in _beyond(apart(data, *pair), chance)}
    return {
        "rank-halves": f"{rank_correlation(data, *halves):.2f}",
        "halves-largest": f"{chance:.2f}",
        "halves-of": CALLED[largest],
        "halves-told": f"{int(found['told_apart'].sum())} of {found.sizes['group']}",
        "beyond": in_words([group for group in CALLED if group in beyond]),
    }


def _beyond(found, chance):
    """Return the classes that are told apart, and by more than chance."""
    is_beyond = (found["told_apart"] & (found["factor"] > chance)).values
    return found["group"].values[is_beyond].tolist()


def by_delay(found, delays=SHOWN):
    """Return what is drawn of all words, :func:`relative` by delay; {} without a text.

    Parameters
    ----------
    found : xarray.Dataset or None
        Of :func:`read`.
    delays : sequence of int
        Those that were measured count.
    """
    known = [] if found is None else found["delay"].values.tolist()
    return {
        f"delay {delay}": relative(found, delay) for delay in delays if delay in known
    }


def by_band(found, delay=BANDS_AT):
    """Return what is drawn of words of like frequency, :func:`relative` by band."""
    if found is None:
        return {}
    panels = {TITLES[band]: relative(found, delay, band=band) for band in BANDS}
    return {title: data for title, data in panels.items() if data.sizes["group"]}
