"""Targets of the exercises on networks whose memory is known."""

import numpy as np

from state_gradients.paper.exercises.checking import Function, Value, target


@target("P.1")
def delay_from_which_the_shear_is_below(memory):
    """Read off after how many words a transient is over."""
    measured = memory.sel(source="measured")
    shear, rotation = (measured.sel(network=n).values for n in ("shear", "rotation"))
    delays = measured["delay"].values
    after = delays > 0
    right = int(delays[after][np.argmax(shear[after] < rotation[after])])
    return Value(
        right,
        kind=f"a delay, a whole number up to {delays[-1]}",
        hint="Follow the shear beyond its top, to where it crosses the level line.",
        mistakes={
            "That is where it is largest.": int(delays[np.argmax(shear)]),
            "There it still is above.": right - 1,
            "There it is below already, and one word before as well.": right + 1,
        },
    )


def _coherence(q, f, delay):
    return (1 - q + q * f) ** delay / (1 - q + q * f**2) ** (delay / 2)


@target("P.2")
def coherence_of_gates_that_let_a_share_through():
    """Compute means of products of independent factors, and of their squares."""
    trials = [(0.1, 0.5, 7), (0.3, -0.5, 3), (0.2, 0.0, 5)]

    def mean(q, f, delay):
        return (1 - q + q * f) ** delay

    def root_mean_square(q, f, delay):
        return (1 - q + q * f**2) ** (delay / 2)

    def without_root(q, f, delay):
        return mean(q, f, delay) / (1 - q + q * f**2) ** delay

    def of_shut_gates(q, f, delay):
        return (1 - q) ** (delay / 2)

    return Function(
        _coherence,
        trials,
        kind="a function that returns a share, between 0 and 1",
        hint="Coherence is a mean over a root mean square. What is the mean of a "
        "product of independent factors, each f or 1?",
        mistakes={
            "That is the mean; divide by the root mean square.": mean,
            "That is the root mean square.": root_mean_square,
            "You divide by the mean of the squares, and not by its root.": without_root,
            "That is of gates that shut: what is let through is f, not 0.": (
                of_shut_gates
            ),
        },
    )
