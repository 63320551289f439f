"""Targets of the exercises on what each layer of a stack holds."""

import numpy as np

from state_gradients.paper.exercises.checking import Function, Value, target


@target("J.1")
def last_delay_with_a_hundredth(memory, delays):
    """Read off until when a hundredth of a layer's first memory is left."""
    share = np.asarray(memory) / np.asarray(memory)[0]
    delays = [int(delay) for delay in delays]

    def until(left):
        below = share < left
        return delays[int(np.argmax(below)) - 1] if below.any() else delays[-1]

    right = until(0.01)
    wrong = {
        "There a tenth is left, not a hundredth.": until(0.1),
        "There it is below already.": delays[
            min(delays.index(right) + 1, len(delays) - 1)
        ],
    }
    return Value(
        right,
        kind="a delay that is marked, a whole number",
        hint="Two powers of ten below the line's own start.",
        mistakes={why: one for why, one in wrong.items() if one != right},
    )


def _chained(upper, lower):
    return np.array(
        [
            sum(upper[k] @ lower[delay - k] for k in range(delay + 1))
            for delay in range(len(upper))
        ]
    )


@target("J.2")
def what_two_layers_make():
    """Chain the gradients of two layers."""
    rng = np.random.default_rng(0)
    trials = [(rng.normal(size=(n, 3, 4)), rng.normal(size=(n, 4, 2))) for n in (3, 5)]

    def same_delay(upper, lower):
        return np.array([a @ b for a, b in zip(upper, lower, strict=True)])

    def at_once(upper, lower):
        return np.array([a @ lower[0] for a in upper])

    def without_the_ends(upper, lower):
        found = _chained(upper, lower)
        return found - np.array([a @ lower[0] for a in upper])

    return Function(
        _chained,
        trials,
        kind="a function that returns an array (delay, state, embedding)",
        hint="A word waits j steps in the lower layer and k in the upper: j + k is "
        "the delay, and every way of dividing it counts.",
        mistakes={
            "There each layer waits the whole delay, twice as long in all.": same_delay,
            "There the lower layer never waits.": at_once,
            "There one way is missing: the lower layer hands on at once.": (
                without_the_ends
            ),
        },
    )
