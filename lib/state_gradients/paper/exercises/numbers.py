"""Targets of the exercises on a network without words, on learning and on tasks."""

import numpy as np

from state_gradients.paper.exercises.checking import Function, Value, target


@target("B.1")
def saddles_of_a_point(data):
    """Count the saddles that lead to one stable point."""
    stable = np.flatnonzero(data["n_unstable"].values == 0)
    ends = data["leads_to"].values
    return Value(
        int((ends == stable[0]).any(axis=1).sum()),
        kind="a number of saddles",
        hint="From a corner of a cube, how many edges leave?",
        mistakes={
            "So many saddles there are in all.": int((ends >= 0).all(axis=1).sum()),
            "So many *other* stable points there are.": len(stable) - 1,
        },
    )


def _last_pulses(inputs):
    said = np.zeros_like(inputs)
    for t in range(len(inputs)):
        before = said[t - 1] if t else np.zeros(inputs.shape[1])
        said[t] = np.where(inputs[t] != 0, inputs[t], before)
    return said


@target("B.2")
def what_must_be_said():
    """Say of each channel its last pulse."""
    rng = np.random.default_rng(0)
    pulses = rng.choice([-1.0, 1.0], size=(2, 30, 3)) * (rng.random((2, 30, 3)) < 0.2)

    def sums(inputs):
        return np.cumsum(inputs, axis=0)

    def one_late(inputs):
        return np.concatenate([np.zeros((1, 3)), _last_pulses(inputs)[:-1]])

    def of_any(inputs):
        said = _last_pulses(inputs)
        any_pulse = (inputs != 0).any(axis=1)
        for t in np.flatnonzero(any_pulse):
            said[t:] = inputs[t]
        return said

    return Function(
        _last_pulses,
        [(one,) for one in pulses],
        kind="a function that returns an array of the inputs' shape",
        hint="Go through the steps: without a pulse a channel says what it said.",
        mistakes={
            "That adds the pulses up.": sums,
            "That says a pulse one step after it has come.": one_late,
            "There a pulse of one channel erases the bits of the others.": of_any,
        },
    )


@target("M.1")
def first_epoch_half_way(data, delay):
    """Read off when half of the memory at a delay has been learnt."""
    memory = data["memory"].isel(state_kind=-1).sel(delay=delay)
    change = memory - memory.isel(epoch=0)
    share = change / change.isel(epoch=-1)
    epochs = data["epoch"].values
    right = int(epochs[np.argmax(share.values >= 0.5)])
    half = int(epochs[np.argmax((memory / memory.isel(epoch=-1)).values >= 0.5)])
    mistakes = {"That is the last epoch.": int(epochs[-1])}
    if half != right:
        mistakes["That is half of the memory, not of what was learnt."] = half
    return Value(
        right,
        kind="an epoch, a whole number",
        hint="Half of the way from the untrained network to the trained one.",
        mistakes={why: wrong for why, wrong in mistakes.items() if wrong != right},
    )


def _half_way(values):
    share = (values - values[0]) / (values[-1] - values[0])
    return int(np.argmax(share >= 0.5))


@target("M.2")
def where_half_has_come_about():
    """Find the first entry at which half of a change has come about."""
    trials = [
        (np.array([1.0, 1.2, 2.5, 2.9, 3.0]),),
        (np.array([5.0, 4.0, 3.1, 1.4, 1.0, 1.0]),),
    ]

    def half_of_the_last(values):
        return int(np.argmax(values >= values[-1] / 2))

    def last_below(values):
        share = (values - values[0]) / (values[-1] - values[0])
        return int(np.flatnonzero(share < 0.5)[-1])

    return Function(
        _half_way,
        trials,
        kind="a function that returns an index, a whole number",
        hint="What share of the whole change has come about at each entry?",
        mistakes={
            "That is where half of the last value is reached, wherever it "
            "began: a fall is done at once.": half_of_the_last,
            "That is the last entry before it.": last_below,
        },
    )


@target("K.1")
def last_delay_of_half(found, label, back):
    """Read off up to which delay a tagger holds half of what it has just read."""
    ratio = found["ratio"].sel(experiment=label)
    below = np.flatnonzero(ratio.values < 0.5)
    right = int(below[0]) - 1 if below.size else len(ratio) - 1
    mistakes = {
        "There it has fallen below one half: give the delay before.": right + 1,
        "That is how far back it is asked; read the line.": back,
    }
    return Value(
        right,
        kind="a delay, a whole number",
        hint="Find 0.5 on the axis, which is logarithmic, and go across to the line.",
        mistakes={why: wrong for why, wrong in mistakes.items() if wrong != right},
    )


def _bits(count, back):
    share = count[count > 0] / count.sum()
    return -(back + 1) * (share * np.log2(share)).sum()


@target("K.2")
def bits_that_must_be_held():
    """Count what a network must hold that names the class so many words back."""
    trials = [(np.array([50, 30, 15, 5]), 5), (np.array([8, 0, 4, 4]), 1)]

    def without_the_word(count, back):
        return _bits(count, back) * back / (back + 1)

    def in_nats(count, back):
        return _bits(count, back) * np.log(2)

    def all_alike(count, back):
        return (back + 1) * np.log2(len(count))

    def one_word(count, back):
        return _bits(count, back) / (back + 1)

    return Function(
        _bits,
        trials,
        kind="a function that returns a number of bits",
        hint="Of how many words will the network be asked that it has read? Each takes "
        "the entropy of the classes.",
        mistakes={
            "The word just read will be asked for, too.": without_the_word,
            "That is in nats: a bit is a logarithm to base 2.": in_nats,
            "Common classes take less than rare ones; that is what all would take if "
            "they were equally frequent.": all_alike,
            "So much one word takes. How many are held at a time?": one_word,
        },
    )
