"""The page of the generated language: its words, a text with its truth, distances."""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book.pages import DASH
from state_gradients.paper.grammar.agreement import verbs_that_agree
from state_gradients.text.grammar import truth


def lexicon_table():
    """Return the forms that have words to choose from, how many, and how often.

    Returns
    -------
    pandas.DataFrame
        A row for each form of ``grammar``, the most frequent first.
    """
    grammar = truth.grammar("grammar")
    rows = []
    for form, words in grammar.words.items():
        if len(words) > 1:
            first = ", ".join([*words][:3]) + (", .." if len(words) > 3 else "")
            share = grammar.expected[form] / grammar.length
            rows.append((form, len(words), first, share))
    table = pd.DataFrame(rows, columns=["form", "words", "commonest", "share"])
    table = table.sort_values("share", ascending=False)
    return table.assign(share=table["share"].map("{:.1%}".format))


def reading(text, start, stop):
    """Return some tokens of a text with what is known of them, as words.

    Parameters
    ----------
    text : state_gradients.text.grammar.truth.GrammarText
    start, stop : int

    Returns
    -------
    pandas.DataFrame
        A row for each token: the word, its tag, what it shows, what it depends on, how
        far away that is, how many attractors stand between, and whose tense it takes.
    """
    words = truth.vocabulary().decode(text.ids)
    rows = []
    for k in range(start, stop):
        values = [names[getattr(text, kind)[k]] for kind, names in truth.SHOWS.items()]
        shows = [value for value in values if value != "none"]
        shows += ["genitive"] if text.genitive[k] else []
        controller, verb = text.controller[k], text.tense_controller[k]
        depends = controller != truth.NONE
        rows.append(
            {
                "word": words[k],
                "tag": text.tag[k] or DASH,
                "shows": ", ".join(shows) or DASH,
                "depends on": words[controller] if depends else DASH,
                "distance": text.distance[k] if depends else DASH,
                "attractors": text.attractors[k] if depends else DASH,
                "has the tense of": words[verb] if verb != truth.NONE else DASH,
            }
        )
    return pd.DataFrame(rows)


def sentences(variant, *, n, seed):
    """Return the first sentences of a corpus, a list of str."""
    text = truth.generate(40 * n, seed=seed, variant=variant)
    words = " ".join(truth.vocabulary().decode(text.ids))
    return words.removesuffix(" <eos>").split(" <eos> ")[:n]


def frequencies(text):
    """Return the share of each type by its rank: as the rules say, and as counted.

    Parameters
    ----------
    text : state_gradients.text.grammar.truth.GrammarText
        Of the variant ``grammar``.

    Returns
    -------
    DataArray of shape (of, rank)
        Ranks are those of the expected shares.
    """
    tokens = truth.vocabulary().tokens
    shares = truth.grammar("grammar").frequencies
    counted = np.bincount(text.ids, minlength=len(tokens)) / len(text.ids)
    return xr.DataArray(
        [[shares[word] for word in tokens], counted],
        dims=("of", "rank"),
        coords={"of": ["rules", "text"], "rank": np.arange(1, len(tokens) + 1)},
    )


def plot_frequencies(data, *, ax=None):
    """Draw shares against ranks, both logarithmically.

    Parameters
    ----------
    data : DataArray of shape (of, rank)
    """
    ax = draw_lines(style.axes_or_new(ax), data, "rank", "plot_frequencies", every=40)
    names = {"x": "rank of the type", "y": "share of the tokens"}
    return style.finish(ax, data, **names, xscale="log", yscale="log")


def distances(texts, *, most):
    """Return the share of agreeing verbs that stand at each distance or beyond.

    Parameters
    ----------
    texts : dict of str to state_gradients.text.grammar.truth.GrammarText
    most : int

    Returns
    -------
    DataArray of shape (corpus, distance)
        Of distances 1..most; 1 at 1.
    """
    distance = np.arange(1, most + 1)
    shares = [
        [(text.distance[verbs_that_agree(text)] >= one).mean() for one in distance]
        for text in texts.values()
    ]
    return xr.DataArray(
        shares,
        dims=("corpus", "distance"),
        coords={"corpus": [*texts], "distance": distance},
    )


def plot_distances(data, *, ax=None):
    """Draw the share of verbs that stand so far from their subject, or farther.

    Parameters
    ----------
    data : DataArray of shape (corpus, distance)
    """
    ax = draw_lines(style.axes_or_new(ax), data, "distance", "plot_distances")
    style.whole_numbers(ax.xaxis)
    names = {"x": "tokens from the subject to its verb", "y": "share so far or farther"}
    return style.finish(ax, data, **names, yscale="log")
