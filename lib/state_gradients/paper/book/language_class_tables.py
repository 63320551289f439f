"""Tables and numbers on parts of speech, of the page on three languages.

What they tell is picked and compared in
:mod:`state_gradients.paper.book.language_classes`.
"""

import itertools

import numpy as np
import pandas as pd

from state_gradients.paper.book import language_classes as classes
from state_gradients.paper.book.pages import DASH
from state_gradients.paper.language.tagged_classes import ALL_BANDS, ALL_WORDS, BANDS


def words_table(found):
    """Return what each text has of each class, a row a class, as text.

    Columns are, of each text, the class's share of the words that are followed, how
    frequent they are in its training text (geometric mean, in a million tokens), and
    which share of the class is read as ``<unk>``.
    """
    rows = {}
    for group in classes.CALLED:
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
        rows[classes.CALLED[group]] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def values_table(found, delay, **options):
    """Return the classes relative to all words with their intervals, as text.

    Parameters
    ----------
    found : xarray.Dataset
    delay : int
    **options
        Of :func:`language_classes.relative`.

    Returns
    -------
    pandas.DataFrame
        A row a class, a column a text.
    """
    data = classes.relative(found, delay, **options)
    columns = {
        text: [_told(data.sel(text=text, group=g)) for g in data["group"].values]
        for text in data["text"].values
    }
    return pd.DataFrame(
        columns, index=[classes.CALLED[g] for g in data["group"].values]
    )


def _told(one):
    value, *ends = (float(one[name]) for name in ("value", *classes.ENDS))
    if np.isnan(value):
        return DASH
    return f"{value:.2f} [{max(ends[0], 0):.2f}, {ends[1]:.2f}]"


def differences_table(found, halves, delays=classes.SHOWN, **options):
    """Return how far texts are apart, a row for each pair of texts and delay.

    Parameters
    ----------
    found : xarray.Dataset
    halves : sequence of str
    delays : sequence of int
    **options
        Of :func:`language_classes.relative`.

    Returns
    -------
    pandas.DataFrame
        Rank correlation of the classes, the middle and the largest factor, how many of
        the classes are told apart, and how many are further apart than any of the
        halves'.
    """
    rows = {}
    for pair in classes.pairs_of(found, halves):
        for delay in classes.known(found, delays):
            data = classes.relative(found, delay, **options)
            rows[f"{pair[0]} and {pair[1]}", f"delay {delay}"] = _difference(
                data, pair, classes.largest_of_halves(data, halves)
            )
    frame = pd.DataFrame.from_dict(rows, orient="index")
    return frame.set_axis([f"{pair}, {delay}" for pair, delay in rows], axis="index")


def _difference(data, pair, chance):
    found = classes.apart(data, *pair)
    n_classes = found.sizes["group"]
    n_told = int(found["told_apart"].sum())
    is_far = DASH if chance is None else int((found["factor"] > chance).sum())
    largest = int(found["factor"].argmax("group"))
    return {
        "rank correlation": f"{classes.rank_correlation(data, *pair):.2f}",
        "middle factor": f"{float(found['factor'].median()):.2f}",
        "largest factor": f"{float(found['factor'][largest]):.2f}",
        "of": classes.CALLED[str(found["group"].values[largest])],
        "intervals of the ratio leave out 1": f"{n_told} of {n_classes}",
        "beyond the halves' largest": (
            is_far if is_far == DASH else f"{is_far} of {n_classes}"
        ),
    }


def order(data, text):
    """Return the classes of a text from the best kept down, as text."""
    one = data["value"].sel(text=text).dropna("group")
    falling = one.sortby(-one)
    return " > ".join(classes.CALLED[str(name)] for name in falling["group"].values)


def orders_table(found, texts, delays=classes.SHOWN):
    """Return the order of the classes, a row for each text and delay."""
    rows = {
        f"{text}, delay {delay}": {
            "best kept first": order(classes.relative(found, delay), text)
        }
        for text in texts
        for delay in classes.known(found, delays)
    }
    return pd.DataFrame.from_dict(rows, orient="index")


def sides_table(found, texts, delays=classes.SHOWN, **options):
    """Return which classes are kept better and worse than all words, as text.

    Parameters
    ----------
    found : xarray.Dataset
    texts : sequence of str
        Those in all of which they are.
    delays : sequence of int
    **options
        Of :func:`language_classes.relative`.
    """
    rows = {}
    for delay in classes.known(found, delays):
        better, worse = classes.kept_better(
            classes.relative(found, delay, **options), texts
        )
        rows[f"delay {delay}"] = {
            "above all words, in each text": classes.in_words(better),
            "below, in each text": classes.in_words(worse),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def frequency_table(
    found, texts, delay=classes.BANDS_AT, quantity=classes.ROOT_MEAN_SQUARE
):
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
        those of each band, of how many classes. Behind "of", that of the same classes
        among all words.
    """
    rows = {}
    for text in texts:
        rank = classes.rank_with_frequency(found, text, delay, quantity)
        row = {"rank correlation with frequency": f"{rank:.2f}"}
        everywhere = classes.relative(found, delay, quantity=quantity)
        row[classes.TITLES[ALL_BANDS]] = _told_range(everywhere, text)
        for band in BANDS:
            data = classes.relative(found, delay, band=band, quantity=quantity)
            row[classes.TITLES[band]] = _told_range(data, text, everywhere)
        rows[text] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _told_range(data, text, everywhere=None):
    """Return the range of classes, and that of the same ones among all words."""
    ratio = classes.largest_over_smallest(data, text)
    if ratio is None:
        return DASH
    known = data["value"].sel(text=text).dropna("group")["group"].values
    told = f"{ratio:.2f} ({len(known)} classes)"
    if everywhere is None:
        return told
    same = classes.largest_over_smallest(everywhere.sel(group=known), text)
    return f"{told}, of {same:.2f}"


def numbers(found, halves, whole, delay=classes.BANDS_AT):
    """Return the numbers of the page's prose, `DASH` where texts have not been run.

    Parameters
    ----------
    found : xarray.Dataset or None
        Of :func:`language_classes.read`.
    halves : two of str
    whole : str
        The text that they are halves of.
    delay : int

    Returns
    -------
    dict of str to str
    """
    names = (
        *("inputs", "better", "worse", "rank-languages", "rank-halves"),
        *("halves-largest", "halves-of", "halves-told", "beyond"),
        *("rank-frequency", "range", "verb-noun", "noun-unknown"),
        *("determiner", "determiner-frequency"),
        *("whole-largest", "whole-of", "whole-at"),
    )
    told = dict.fromkeys(names, DASH) | {"delay": str(delay)}
    texts = classes.languages_in(found, halves)
    if texts:
        data = classes.relative(found, delay)
        pairs = [*itertools.combinations(texts, 2)]
        told |= _of_languages(found, data, texts, delay)
        if pairs:
            ranks = [classes.rank_correlation(data, *pair) for pair in pairs]
            told["rank-languages"] = _listed(f"{rank:.2f}" for rank in ranks)
        chance = classes.largest_of_halves(data, halves)
        if chance is not None:
            told |= _of_halves(data, halves, pairs, chance)
            if whole in texts:
                told |= _of_whole(found, halves, whole)
    return {f"classes-{name}": text for name, text in told.items()}


def _of_languages(found, data, texts, delay):
    """Return what the prose says of the texts, in their order."""
    better, worse = classes.kept_better(data, texts)
    rms = {"quantity": classes.ROOT_MEAN_SQUARE}
    alike = [classes.relative(found, delay, band=band, **rms) for band in BANDS]
    ranges = [
        classes.largest_over_smallest(classes.relative(found, delay, **rms), text)
        for text in texts
    ]
    of_all = found.sel(text=texts, band=ALL_BANDS)
    verb, noun = (alike[0]["value"].sel(text=texts, group=g) for g in ("VERB", "NOUN"))
    determiner = data["value"].sel(text=texts, group="DET").values
    frequency = of_all["frequency"].sel(group="DET").values
    return {
        "better": classes.in_words(better),
        "worse": classes.in_words(worse),
        "inputs": f"{int(_followed(found).max()):,}",
        "rank-frequency": _from_to(
            [
                classes.rank_with_frequency(found, text, delay, classes.QUANTITY)
                for text in texts
            ]
        ),
        "range": _from_to(ranges, 1),
        "verb-noun": _listed(f"{value:.2f}" for value in (verb / noun).values),
        "noun-unknown": _listed(
            f"{100 * value:.0f} %" for value in of_all["unknown"].sel(group="NOUN")
        ),
        "determiner": _listed(f"{value:.2f}" for value in determiner),
        "determiner-frequency": _listed(f"{value:,.0f}" for value in frequency),
    }


def _listed(texts):
    """Return texts as a list: "a, b and c"."""
    *first, last = texts
    return f"{', '.join(first)} and {last}" if first else last


def _from_to(values, digits=2):
    return f"{min(values):.{digits}f} to {max(values):.{digits}f}"


def _followed(found):
    """Return how many inputs of each text are followed, (text,)."""
    each = found["n_inputs"].sel(band=ALL_BANDS).drop_sel(group=ALL_WORDS)
    return each.sum("group")


def _of_halves(data, halves, pairs, chance):
    found = classes.apart(data, *halves)
    largest = str(found["group"].values[int(found["factor"].argmax("group"))])
    beyond = {
        group for pair in pairs for group in _beyond(classes.apart(data, *pair), chance)
    }
    return {
        "rank-halves": f"{classes.rank_correlation(data, *halves):.2f}",
        "halves-largest": f"{chance:.2f}",
        "halves-of": classes.CALLED[largest],
        "halves-told": f"{int(found['told_apart'].sum())} of {found.sizes['group']}",
        "beyond": classes.in_words(
            [group for group in classes.CALLED if group in beyond]
        ),
    }


def _of_whole(found, halves, whole):
    """Return where, at the delays shown, a text is furthest from one of its halves."""
    each = [
        (float(one), str(one["group"].values), delay)
        for delay in classes.known(found, classes.SHOWN)
        for half in halves
        for one in classes.apart(classes.relative(found, delay), whole, half)["factor"]
    ]
    factor, group, delay = max(each)
    return {
        "whole-largest": f"{factor:.2f}",
        "whole-of": classes.CALLED[group],
        "whole-at": str(delay),
    }


def _beyond(found, chance):
    """Return the classes that are told apart, and by more than chance."""
    is_beyond = (found["told_apart"] & (found["factor"] > chance)).values
    return found["group"].values[is_beyond].tolist()
