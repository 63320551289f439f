"""What is expected of a network that has learnt the flip-flop, set before measuring.

The task says what must be remembered; each bound puts a part of it as a number, once
for a change without size (gradients) and once for a whole one (pulses turned round):

- *held*: just before the next pulse, 79 steps after a pulse, there is at least half of
  what there was one step after it. A bit does not fade.
- *erased*: one step after the next pulse there is at most a tenth of what there was
  one step before it, whenever that comes.
- *nothing else*: of a step without a pulse, 39 steps later, there is at most a tenth of
  what there is of a pulse.

And of the fixed points: there are eight stable ones, one for each combination of bits,
at which the network says its bits to within a fifth.
"""

import numpy as np
import pandas as pd

from state_gradients.paper.flipflop import memory
from state_gradients.text import flipflop

HELD = 0.5
ERASED = 0.1
NOTHING_ELSE = 0.1
SAID = 0.2
VIEWS = {"rms_memory": "gradients", "turned": "pulses turned round"}
EXPECTED = {
    "held": f"at least {HELD:g}",
    "erased": f"at most {ERASED:g}",
    "nothing else": f"at most {NOTHING_ELSE:g}",
}


def ratios(data, view):
    """Return what the bounds are of.

    Parameters
    ----------
    data : Dataset
        The artifact ``flipflop``.
    view : str
        Of `VIEWS`.

    Returns
    -------
    dict of str to float
        ``held``, ``erased`` (at the gap where most is left), ``nothing else``.
    """
    curves = data[view]
    longest = max(flipflop.GAPS)
    held = curves.sel(group=str(longest))
    left = [
        curves.sel(group=str(gap), delay=gap + 1)
        / curves.sel(group=str(gap), delay=gap - 1)
        for gap in flipflop.GAPS
    ]
    before = memory.NO_PULSE_BEFORE
    at = curves.sel(delay=before - 1)
    other = at.sel(group=memory.NO_PULSE) / at.sel(group=str(before))
    return {
        "held": float(held.sel(delay=longest - 1) / held.sel(delay=1)),
        "erased": float(max(left)),
        "nothing else": float(other),
    }


def holds(name, ratio):
    """Return whether a ratio of :func:`ratios` keeps to its bound."""
    if name == "held":
        return ratio >= HELD
    return ratio <= {"erased": ERASED, "nothing else": NOTHING_ELSE}[name]


def memories(data):
    """Return the bits that the stable points hold, and how far what is said is off.

    Returns
    -------
    set of tuple of int
        The combinations, of 1 and -1.
    float
        The largest distance of what is said from 1 or -1.
    """
    said = data["said"].values[data["n_unstable"].values == 0]
    bits = np.where(said > 0, 1, -1)
    off = np.abs(said - bits).max() if len(said) else np.inf
    return {tuple(map(int, row)) for row in bits}, float(off)


def has_eight_memories(data):
    """Return whether there is one stable point for each combination of bits."""
    held, _ = memories(data)
    n_stable = int((data["n_unstable"] == 0).sum())
    return n_stable == len(held) == 2**flipflop.CHANNELS


def judged(runs):
    """Return a table of the bounds, a row for each and each view, a column a run.

    Parameters
    ----------
    runs : dict of str to Dataset
        The artifacts ``flipflop`` by what the columns are called.

    Returns
    -------
    pandas.DataFrame
        Texts: the ratio, and whether it holds.
    """
    rows = []
    for view, title in VIEWS.items():
        found = {run: ratios(data, view) for run, data in runs.items()}
        for name, bound in EXPECTED.items():
            row = {"of": title, "expected": f"{name}: {bound}"}
            for run, by_name in found.items():
                ratio = by_name[name]
                row[run] = f"{ratio:.3g}, {_verdict(holds(name, ratio))}"
            rows.append(row)
    of = {"of": "fixed points"}
    eight = of | {"expected": "eight stable, a combination each"}
    right = of | {"expected": f"bits said to within {SAID:g}"}
    for run, data in runs.items():
        n_stable = int((data["n_unstable"] == 0).sum())
        eight[run] = f"{n_stable}, {_verdict(has_eight_memories(data))}"
        off = memories(data)[1]
        right[run] = f"{off:.3g}, {_verdict(off <= SAID)}"
    return pd.DataFrame([*rows, eight, right])


def _verdict(is_so):
    return "holds" if is_so else "fails"
