"""Targets of the exercises on rulers for one memory."""

import itertools

import numpy as np
from scipy.stats import spearmanr

from state_gradients.paper.exercises.checking import Function, Value, target


@target("O.1")
def where_the_influence_ends(ends, *, second="context"):
    """Read off where the first network's influence crosses its limit."""
    one = ends["value"].isel(experiment=0)
    right = float(one.sel(ruler="influence"))
    return Value(
        right,
        kind="a number of words, to within 15 %",
        hint="In the second panel follow the first network's line to the dashed one, "
        "then go down to the axis, which is logarithmic.",
        rtol=0.15,
        mistakes={
            "That is where its memory has fallen to a tenth, in the first "
            "panel.": float(one.sel(ruler="memory")),
            "That is where cutting costs as much, in the fourth panel.": float(
                one.sel(ruler=second)
            ),
        },
    )


def _pairs(a, b):
    """Return +1 for each pair in one order, -1 for each in the other."""
    return [
        np.sign(a[i] - a[j]) * np.sign(b[i] - b[j])
        for i, j in itertools.combinations(range(len(a)), 2)
    ]


def _tau(a, b):
    return np.mean(_pairs(a, b))


@target("O.2")
def agreement_of_two_orders():
    """Count pairs: Kendall's tau of two lists without ties."""
    rng = np.random.default_rng(1)
    trials = [tuple(rng.permutation(n) + rng.random() for _ in "ab") for n in (5, 8)]

    def share_in_one_order(a, b):
        return np.mean(np.array(_pairs(a, b)) > 0)

    def difference(a, b):
        return np.sum(_pairs(a, b))

    def of_ranks(a, b):
        return spearmanr(a, b).statistic

    def of_neighbours(a, b):
        return np.mean(np.sign(np.diff(a)) * np.sign(np.diff(b)))

    def reversed_sign(a, b):
        return -_tau(a, b)

    return Function(
        _tau,
        trials,
        kind="a function that returns a number between -1 and 1",
        hint="Of n networks there are n (n - 1) / 2 pairs. Of each pair both rulers "
        "say which is longer.",
        mistakes={
            "That is the share of pairs in the same order: take off those in the "
            "other.": share_in_one_order,
            "Divide by the number of pairs.": difference,
            "That is the correlation of ranks, Spearman's.": of_ranks,
            "Every pair counts, not only neighbours in the list.": of_neighbours,
            "A pair in the same order counts +1.": reversed_sign,
        },
    )
