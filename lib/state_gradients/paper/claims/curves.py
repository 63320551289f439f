"""Curves of memory and selectivity, compared between runs.

Runs that differ in nothing but their seed say how much a difference may owe to it: what
lies beyond all of them is decided, what lies among them is not.
"""

import numpy as np

PAPER = slice(0, 49)  # the delays that the paper shows
EARLY, LONG, LATE = slice(0, 10), slice(30, 49), slice(40, 49)
SEEDS = ("ptb-lstm-256", "ptb-lstm-256-seed1", "ptb-lstm-256-seed3")
ALIKE = 1.5  # half as much again, a fifth of a decade on the paper's logarithmic axes


def of_run(artifact, name="memory", *, of=None, state="cell"):
    """Return a curve of a run, whitened, over the delays that the paper shows."""
    chosen = {"state_kind": state, "group": "all", "normalization": "whitened"}
    return artifact("spectra", of=of)[name].sel(chosen).sel(delay=PAPER)


def slope(curve):
    """Return the slope of a line through a curve, a word."""
    return np.polyfit(curve["delay"], curve, 1)[0]


def rate(memory, delays=PAPER):
    """Return by how much the logarithm of a memory falls, a word."""
    return -slope(np.log(memory.sel(delay=delays)))


def left(memory):
    """Return what is left of a memory at delay 40."""
    return float(memory.sel(delay=LATE.start) / memory.sel(delay=0))


def first_delay(holds, *, never=PAPER.stop + 1):
    """Return the first delay at which something holds, one beyond the last if none."""
    return float(holds["delay"].where(holds).min().fillna(never))


def distance(one, other):
    """Return the mean absolute difference of the logarithms of two curves."""
    return float(np.abs(np.log(one / other)).mean())


def farthest(runs):
    """Return the largest :func:`distance` between two of several runs' curves."""
    return max(distance(one, other) for one in runs for other in runs)


def below(value, runs):
    """Return whether a value lies below those of all runs, None if among them."""
    if value < min(runs):
        return True
    return False if value > max(runs) else None


def above(value, runs):
    """Return whether a value lies above those of all runs, None if among them."""
    return below(-value, [-run for run in runs])


def larger(ratio, runs):
    """Return whether a ratio is above 1, None if seeds alone make one as large.

    Parameters
    ----------
    ratio : float
        Of two runs' values.
    runs : sequence of float
        The same value of runs that differ in their seed.
    """
    return above(ratio, [min(runs) / max(runs), max(runs) / min(runs)])


def both(*verdicts):
    """Return what several verdicts agree on, None if they do not."""
    return verdicts[0] if len({*verdicts}) == 1 else None
