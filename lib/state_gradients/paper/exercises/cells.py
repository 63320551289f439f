"""Targets of the exercises on cells under one protocol."""

import numpy as np

from state_gradients.paper.exercises.checking import Function, Value, target


@target("H.1")
def delay_at_which_a_tenth_is_left(curves, cell="LRU"):
    """Read off when a cell has kept less than a tenth of what it had at first."""
    value = curves["value"].sel(experiment=cell)
    relative, memory = (value.sel(quantity=name) for name in ("relative", "memory"))
    delays = value["delay"].values

    def first_below(curve, share):
        below = np.flatnonzero(curve.values < share)
        return int(delays[below[0]]) if len(below) else int(delays[-1]) + 1

    right = first_below(relative, 0.1)
    return Value(
        right,
        kind=f"a delay, a whole number up to {delays[-1]}",
        hint="In the lower panel, find 0.1 on the axis, go across to the curve, then "
        "down.",
        atol=1,
        mistakes={
            "That is where the memory itself falls below 0.1: take the lower "
            "panel.": first_below(memory, 0.1),
            "That is where half is left.": first_below(relative, 0.5),
            "That is where a hundredth is left.": first_below(relative, 0.01),
        },
    )


def _half_life(factors):
    return np.log(2) / -np.log(factors).mean(axis=0)


@target("H.2")
def half_life_of_a_gate():
    """Compute half-lives from factors that differ from token to token."""
    rng = np.random.default_rng(0)
    trials = [(rng.uniform(0.05, 1, size=(n, 4)),) for n in (30, 50)]

    def of_mean_factor(factors):
        return np.log(2) / -np.log(factors.mean(axis=0))

    def mean_of_half_lives(factors):
        return (np.log(2) / -np.log(factors)).mean(axis=0)

    def time_constant(factors):
        return 1 / -np.log(factors).mean(axis=0)

    def of_sum(factors):
        return np.log(2) / -np.log(factors).sum(axis=0)

    def negative(factors):
        return -_half_life(factors)

    return Function(
        _half_life,
        trials,
        kind="a function that returns tokens, (unit,)",
        hint="After n tokens a unit holds the product of n factors of what it held. "
        "For which n is that a half, if every factor is its geometric mean?",
        mistakes={
            "Factors multiply: their mean is the geometric one, the mean of the "
            "logarithms.": of_mean_factor,
            "You average half-lives, of which a single open gate has a huge "
            "one.": mean_of_half_lives,
            "So long it takes to fall to 1/e.": time_constant,
            "That is of all tokens together: take their mean.": of_sum,
            "A half-life is positive, and ln of a factor is not.": negative,
        },
    )
