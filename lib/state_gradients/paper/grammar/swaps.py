"""A noun set in its other number: what the state really holds of it, and until when.

The embedding e of a subject moves to e + a (e' - e), e' that of its other number or, as
a control, of another noun of its own; the words behind it stay as they are. With
change(a, delay) the mean of ||c' - c|| over subjects, and their verbs d tokens on,

    held    change(1, d - 1) / change(1, 1)          from the next word to the verb's
    left    change(1, d + 3) / change(1, d - 1)      three words behind the verb
    excess  change(1, d - 1) over that of another noun
    seen    change(a, d - 1) / a change(1, d - 1)    a = 0.001: all that a gradient sees

and the last of the change of ln p(singular verbs) - ln p(plural verbs), too. Changes
that are linear in the step have 1 there, and a bit that is thrown has less: to a switch
that stands firmly, no small push does anything.
"""

import numpy as np
import xarray as xr
from scipy.special import expit, logsumexp

from state_gradients.foundation.labels import about
from state_gradients.paper.grammar.number import NOUNS, subjects
from state_gradients.text.grammar import rules, truth

SWAPS = "number", "another noun"
SCALES = 0.001, 0.0625, 0.125, 0.25, 0.5, 0.75, 1.0
READINGS = "noun", "next word", "before the verb", "after the verb"
AFTER = 3  # words behind the verb
ENDS = "estimate", "lower", "upper"
N_RESAMPLES, LEVEL = 2_000, 0.95
TINY = 1e-4  # of central differences in float64: TINY^2 = 1e-8 of the third order
_STATE = "state unit"
MEANING = {
    "change": ("change of the cell when the noun is swapped", _STATE, "|c' - c|"),
    "held": ("share held until the verb", "1", "change(d - 1) / change(1)"),
    "left": ("share left behind the verb", "1", "change(d + 3) / change(d - 1)"),
    "excess": ("number over another noun, before the verb", "1", "ratio of changes"),
    "held_by_distance": ("share held until the verb", "1", "as held"),
    "left_by_distance": ("share left behind the verb", "1", "as left"),
    "excess_by_distance": ("number over another noun", "1", "as excess"),
    "step_change": ("change of the cell by the step's size", _STATE, "|c' - c|"),
    "step_odds": (
        "change of ln p(singular verbs) - ln p(plural verbs)",
        "nat",
        "mean of its size",
    ),
    "seen": ("share of the change that a gradient sees", "1", "a = 0.001 over a = 1"),
    "seen_in_odds": ("the same of the log odds of number", "1", "as seen"),
    "share_of_unit": ("share of the squared change in a unit", "1", "before the verb"),
    "forget_before": ("mean forget gate from noun to verb", "1", "f"),
    "forget_at": ("mean forget gate at the verb", "1", "f"),
    "odds_gradient": (
        "mean gradient of ln p(singular) - ln p(plural), whitened",
        "nat / standard deviation",
        "central differences",
    ),
    "n_swapped": ("subjects swapped", "1", "count"),
}


def choose(text, *, distances, n, longest, seed):
    """Return subjects of a text, and two nouns to put instead of each.

    Parameters
    ----------
    text : state_gradients.text.grammar.truth.GrammarText
    distances : sequence of int
        Of their verbs.
    n : int
        How many at most at each distance.
    longest : int
        So many words follow each subject.
    seed : int

    Returns
    -------
    places, distance : ndarrays of int, shape (place,)
    instead : ndarray of int, shape (2, place)
        The noun's other number; another noun of its own number.
    """
    rng = np.random.default_rng(seed)
    positions, distance = subjects(text)
    inside = positions < len(text.ids) - longest
    places = np.concatenate(
        [
            rng.permutation(positions[inside & (distance == wanted)])[:n]
            for wanted in distances
        ]
    )
    instead = np.array([_instead(noun, rng) for noun in text.ids[places]]).T
    return places, text.needed_until[places] - places, instead.reshape(2, -1)


def _instead(noun, rng):
    """Return a noun's other number, and another noun of its own number, as ids."""
    index = truth.vocabulary().index
    pairs = np.array(
        [[index[word] for word in rules.LEXICON[f"noun.{tag}"]] for tag in NOUNS]
    )
    [[number], [lemma]] = np.nonzero(pairs == noun)
    others = np.delete(pairs[number], lemma)
    return pairs[1 - number, lemma], rng.choice(others)


class Sample:
    """Subjects whose embeddings can be moved, and what follows from that.

    Parameters
    ----------
    network : state_gradients.engine.network.Network
        One LSTM layer, in float64.
    softmax : (ndarray of shape (units, vocabulary), ndarray of shape (vocabulary,))
    ids : ndarray of int, shape (time,)
    places, distance, instead : ndarrays of int
        Of :func:`choose`.
    longest : int
    """

    def __init__(self, network, softmax, ids, places, distance, instead, *, longest):
        self.distance, self.softmax = distance, softmax
        self._cell = network.cells[0]
        self._hidden, self._state = map(self._cell.names.index, ("hidden", "cell"))
        trace, _ = network.run(ids, network.zero_states())
        self.before = tuple(state[places] for state in trace[0][1:])
        following = ids[places + np.arange(longest + 1)[:, None]]
        self.embedded = network.table[following]  # (time, place, embedding)
        self.steps = network.table[instead] - self.embedded[0]  # (swap, place, ..)
        self.hidden, self.cell = self.moved(0)

    def moved(self, by):
        """Return hidden states and cells (time, place, units) with the nouns moved."""
        x = self.embedded.copy()
        x[0] += by
        after = self._cell.run(x, self.before)
        return after[self._hidden], after[self._state]

    def at(self, delay, states):
        """Return the states of each place at its own delay, (place, units)."""
        return states[delay, np.arange(len(self.distance))]

    def odds(self, hidden):
        """Return ln p(singular verbs) - ln p(plural verbs) next, (place,)."""
        kernel, bias = self.softmax
        logits = self.at(self.distance - 1, hidden) @ kernel + bias
        singular, plural = truth.number_pairs().T
        return logsumexp(logits[:, singular], axis=1) - logsumexp(
            logits[:, plural], axis=1
        )

    def readings(self):
        """Return the delay of each of `READINGS`, (reading, place)."""
        d = self.distance
        return np.stack([0 * d, 0 * d + 1, d - 1, d + AFTER])


def lengths(sample):
    """Return ||c' - c|| of whole swaps, (swap, place, delay)."""
    changes = [sample.moved(step)[1] - sample.cell for step in sample.steps]
    return np.linalg.norm(changes, axis=-1).swapaxes(1, 2)


def ratio(above, below, *, seed):
    """Return a ratio of sums over subjects, with its interval: `ENDS`.

    Parameters
    ----------
    above, below : ndarrays of shape (place,)
    seed : int
        Subjects are drawn with replacement `N_RESAMPLES` times.
    """
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(above), [1 / len(above)] * len(above), N_RESAMPLES)
    drawn = (weights @ above) / (weights @ below)
    tail = (1 - LEVEL) / 2
    return [above.sum() / below.sum(), *np.quantile(drawn, [tail, 1 - tail])]


def whole_swaps(sample, *, seed):
    """Measure what is held of a noun until its verb, and what is left behind it.

    Parameters
    ----------
    sample : Sample
    seed : int

    Returns
    -------
    xarray.Dataset
        ``change`` (swap, distance, delay); ``held``, ``left`` (swap, end), ``excess``
        (end); the same for each distance; ``n_swapped`` (distance).
    """
    found = lengths(sample)
    place = np.arange(len(sample.distance))
    _, first, before, after = (
        found[:, place, delay] for delay in sample.readings()
    )  # (swap, place) each

    def ratios(chosen):
        held = [
            ratio(b[chosen], f[chosen], seed=seed)
            for b, f in zip(before, first, strict=True)
        ]
        left = [
            ratio(a[chosen], b[chosen], seed=seed)
            for a, b in zip(after, before, strict=True)
        ]
        return held, left, ratio(*before[:, chosen], seed=seed)

    distances, n = np.unique(sample.distance, return_counts=True)
    held, left, excess = ratios(place)
    each = [ratios(sample.distance == wanted) for wanted in distances]
    by_distance = [np.array(column) for column in zip(*each, strict=True)]
    change = [found[:, sample.distance == wanted].mean(axis=1) for wanted in distances]
    of_each = ("distance", "swap", "end")
    result = xr.Dataset(
        {
            "change": (("distance", "swap", "delay"), np.array(change)),
            "held": (("swap", "end"), held),
            "left": (("swap", "end"), left),
            "excess": ("end", excess),
            "held_by_distance": (of_each, by_distance[0]),
            "left_by_distance": (of_each, by_distance[1]),
            "excess_by_distance": (("distance", "end"), by_distance[2]),
            "n_swapped": ("distance", n),
        },
        coords={
            "swap": [*SWAPS],
            "distance": distances,
            "delay": np.arange(found.shape[-1]),
            "end": [*ENDS],
        },
    )
    return _described(result)


def partial_swaps(sample, *, seed):
    """Measure how the change grows with the size of the step.

    Parameters
    ----------
    sample : Sample
    seed : int

    Returns
    -------
    xarray.Dataset
        ``step_change`` (swap, scale, reading), ``step_odds`` (swap, scale), ``seen``
        and ``seen_in_odds`` (swap, end).
    """
    readings, own = sample.readings(), sample.odds(sample.hidden)

    def of_step(step):
        """Return |c' - c| (reading, place) and the change of the log odds (place,)."""
        hidden, cell = sample.moved(step)
        change = [sample.at(delay, cell - sample.cell) for delay in readings]
        return np.linalg.norm(change, axis=-1), np.abs(sample.odds(hidden) - own)

    found = [[of_step(scale * step) for scale in SCALES] for step in sample.steps]
    change = np.array([[of_state for of_state, _ in row] for row in found])
    odds = np.array([[of_odds for _, of_odds in row] for row in found])
    at_verb = change[:, :, READINGS.index("before the verb")]  # (swap, scale, place)
    result = xr.Dataset(
        {
            "step_change": (("swap", "scale", "reading"), change.mean(axis=-1)),
            "step_odds": (("swap", "scale"), odds.mean(axis=-1)),
            "seen": (("swap", "end"), [_seen(row, seed) for row in at_verb]),
            "seen_in_odds": (("swap", "end"), [_seen(row, seed) for row in odds]),
        },
        coords={
            "swap": [*SWAPS],
            "scale": [*SCALES],
            "reading": [*READINGS],
            "end": [*ENDS],
        },
    )
    return _described(result)


def _seen(by_scale, seed):
    return ratio(by_scale[0] / SCALES[0], by_scale[-1], seed=seed)


def carriers(sample, weights):
    """Return which units hold the number, and how firmly.

    Parameters
    ----------
    sample : Sample
    weights : xarray.Dataset
        The artifact: its kernels and bias.

    Returns
    -------
    xarray.Dataset
        ``share_of_unit``, ``forget_before``, ``forget_at`` (unit).
    """
    distance = sample.distance
    _, cell = sample.moved(sample.steps[SWAPS.index("number")])
    square = (sample.at(distance - 1, cell - sample.cell) ** 2).sum(axis=0)
    forget = _forget_gates(weights, sample.embedded[1:], sample.hidden[:-1])
    delay = np.arange(1, len(forget) + 1)[:, None]
    result = xr.Dataset(
        {
            "share_of_unit": ("unit", square / square.sum()),
            "forget_before": ("unit", forget[delay < distance].mean(axis=0)),
            "forget_at": ("unit", forget[delay == distance].mean(axis=0)),
        }
    )
    return _described(result)


def _forget_gates(weights, x, hidden):
    """Return sigmoid(x W_f + h' R_f + beta_f), (time, place, unit)."""
    named = (
        weights[f"recurrent_1.{k}"] for k in ("kernel", "recurrent_kernel", "bias")
    )
    of_gates = (np.split(each.values.astype(np.float64), 4, axis=-1) for each in named)
    # the gates stand in Keras's order i, f, c, o
    kernel, recurrent_kernel, bias = (of_f for _, of_f, _, _ in of_gates)
    return expit(x @ kernel + hidden @ recurrent_kernel + bias)


def odds_gradient(sample, whitening):
    """Return how the verb's number depends on the noun, by small steps.

    Parameters
    ----------
    sample : Sample
    whitening : state_gradients.analysis.whitening.Whitening

    Returns
    -------
    xarray.Dataset
        ``odds_gradient`` (embedding), the mean over subjects.
    """
    columns = [
        (sample.odds(sample.moved(step)[0]) - sample.odds(sample.moved(-step)[0]))
        / (2 * TINY)
        for step in TINY * whitening.D.T
    ]
    return _described(
        xr.Dataset({"odds_gradient": ("embedding", np.mean(columns, axis=1))})
    )


def _described(dataset):
    for name in dataset.data_vars:
        dataset[name].attrs = about(name, meaning=MEANING)
    return dataset
