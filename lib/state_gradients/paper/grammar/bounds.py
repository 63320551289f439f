"""What is expected of networks that learnt the language, with bounds, and whether.

A bound was set before all seeds were looked at, from one network with agreement and one
without. It holds in a network if the whole interval is on its side, where the measure
has one.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.paper.grammar.agreement import with_intervals
from state_gradients.paper.grammar.number import around_the_verb
from state_gradients.paper.grammar.swaps import AFTER, ENDS

FAR = 10  # words from the subject to its verb


@dataclass(frozen=True, kw_only=True)
class Bound:
    """One expectation.

    Attributes
    ----------
    what : str
        What is measured, in words.
    measure : callable
        Takes the artifacts ``grammar``, ``training``; returns estimate, lower, upper.
    agrees, control : tuple of (float or None, float or None)
        What must lie below the lower end, and above the upper, in networks with
        agreement to learn and in those without; None where nothing is expected.
    """

    what: str
    measure: Callable
    agrees: tuple
    control: tuple = (None, None)


def _alone(value):
    return (float(value),) * len(ENDS)


def _over_lowest(found, training):
    """Return the test perplexity over the least that the rules allow."""
    return _alone(training["test_perplexity"] / found["lowest_perplexity"])


def balanced_accuracy(found, **chosen):
    """Return the mean over both numbers of the share of verbs that are right.

    Parameters
    ----------
    found : xarray.Dataset
        The artifact ``grammar``.
    **chosen
        Which ``words_between`` and ``attractors``, as ``sel`` takes them.

    Returns
    -------
    tuple of float
        Estimate, lower, upper: means of those of each number.
    """
    counts = found[["verbs_right", "verbs"]].sel(chosen)
    counts = counts.sum([dim for dim in counts.dims if dim != "number_of_subject"])
    each = with_intervals(counts["verbs_right"], counts["verbs"])
    return tuple(float(each[end].mean()) for end in ("accuracy", "lower", "upper"))


def _with_attractors(found, training):
    return balanced_accuracy(found, attractors=slice(1, None))


def _of_number(name):
    def measure(found, training):
        one = found[name]
        return tuple(
            one.sel(swap="number").values if "swap" in one.dims else one.values
        )

    return measure


def _held_far(found, training):
    return tuple(found["held_by_distance"].sel(swap="number", distance=FAR).values)


def relative_memory_at_the_verb(found):
    """Return m at the next word, before the verb and behind it, (distance,) each."""
    m = found[["relative_memory", "chance"]]
    aligned = around_the_verb(m, before=1, after=AFTER)
    return xr.Dataset(
        {
            "next_word": m["relative_memory"].sel(delay=1, drop=True),
            "before": aligned["relative_memory"].sel(offset=-1, drop=True),
            "behind": aligned["relative_memory"].sel(offset=AFTER, drop=True),
            "chance": aligned["chance"].sel(offset=-1, drop=True),
        }
    )


def _relative_held(found, training):
    m = relative_memory_at_the_verb(found)
    ratio = m["before"] / m["next_word"]
    return float(ratio.mean()), float(ratio.min()), float(ratio.max())


def _relative_left(found, training):
    m = relative_memory_at_the_verb(found)
    ratio = m["behind"] / m["before"]
    return float(ratio.mean()), float(ratio.min()), float(ratio.max())


def _above_chance(found, training):
    m = relative_memory_at_the_verb(found)
    ratio = m["before"] / m["chance"]
    return float(ratio.mean()), float(ratio.min()), float(ratio.max())


BOUNDS = {
    "perplexity": Bound(
        what="test perplexity over the lowest",
        measure=_over_lowest,
        agrees=(None, 1.03),
        control=(None, 1.03),
    ),
    "accuracy": Bound(
        what="verbs right across attractors, mean of both numbers",
        measure=_with_attractors,
        agrees=(0.95, None),
        control=(0.45, 0.55),
    ),
    "held": Bound(
        what="change by a swap of number: before the verb over the next word",
        measure=_of_number("held"),
        agrees=(0.8, None),
        control=(None, 0.8),
    ),
    "held far": Bound(
        what=f"the same, with the verb {FAR} words on",
        measure=_held_far,
        agrees=(0.8, None),
        control=(None, 0.8),
    ),
    "left": Bound(
        what=f"the same change: {AFTER} words behind the verb over before it",
        measure=_of_number("left"),
        agrees=(None, 0.3),
    ),
    "excess": Bound(
        what="before the verb: change by number over that by another noun",
        measure=_of_number("excess"),
        agrees=(5, None),
        control=(None, 2),
    ),
    "seen": Bound(
        what="share of that change that a gradient sees",
        measure=_of_number("seen"),
        agrees=(None, 0.5),
        control=(0.9, None),
    ),
    "m held": Bound(
        what="relative memory: before the verb over the next word, all distances",
        measure=_relative_held,
        agrees=(0.8, None),
    ),
    "m left": Bound(
        what=f"relative memory: {AFTER} words behind the verb over before it",
        measure=_relative_left,
        agrees=(None, 0.5),
    ),
    "m": Bound(
        what="relative memory before the verb over that of a random direction",
        measure=_above_chance,
        agrees=(1, None),
        control=(None, 1),
    ),
}


def in_words(bound):
    """Return a bound as text, an en dash where there is none.

    Examples
    --------
    >>> from state_gradients.paper.grammar.bounds import in_words
    >>> in_words((0.45, 0.55)), in_words((None, 2))
    ('0.45 to 0.55', '< 2')
    """
    least, most = bound
    if least is not None and most is not None:
        return f"{least:g} to {most:g}"
    if least is not None:
        return f"> {least:g}"
    return "\N{EN DASH}" if most is None else f"< {most:g}"


def holds(value, bound):
    """Return whether an interval (estimate, lower, upper) lies within a bound."""
    _, lower, upper = value
    least, most = bound
    return (least is None or lower > least) and (most is None or upper < most)


def table():
    """Return the bounds in words, a row each."""
    return pd.DataFrame(
        {
            "measured": [one.what for one in BOUNDS.values()],
            "with agreement": [in_words(one.agrees) for one in BOUNDS.values()],
            "without": [in_words(one.control) for one in BOUNDS.values()],
        },
        index=[*BOUNDS],
    )


def judged(networks, *, side):
    """Return what networks show of every bound.

    Parameters
    ----------
    networks : dict of str to (xarray.Dataset, xarray.Dataset)
        Artifacts ``grammar`` and ``training`` of each.
    side : "agrees" or "control"

    Returns
    -------
    pandas.DataFrame
        A row for each bound that this side has, and each network: estimate, lower,
        upper, whether it ``holds``.
    """
    rows = []
    for name, one in BOUNDS.items():
        bound = getattr(one, side)
        if bound == (None, None):
            continue
        for network, artifacts in networks.items():
            value = one.measure(*artifacts)
            rows.append(
                {"bound": name, "network": network}
                | dict(zip(ENDS, value, strict=True))
                | {"holds": bool(holds(value, bound))}
            )
    frame = pd.DataFrame(rows)
    return frame.astype(dict.fromkeys(ENDS, np.float64))
