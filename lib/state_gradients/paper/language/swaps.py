"""A word swapped for another: what really changes, beside what the gradients say.

At places of the text the embedding e moves to e', that of another word or any other,
and the network runs on over the text as it is. tau words later

    real          ||s'_{t+tau} - s_{t+tau}||,   KL(p_{t+tau} || p'_{t+tau}) in nats
    at the place  ||G_{t+tau,tau} (e' - e)||
    on average    ||mean G_tau (e' - e)||

G (e' - e) is the derivative of f(x) = s(e + x (e' - e)) at 0, by the central difference
of fourth order, (8 f(h) - 8 f(-h) - f(2 h) + f(-2 h)) / (12 h). For h = 1/16 its error
of order h^4 and the round-off of float32, 1e-7 / h, are both below 1e-4 state units.
"""

import numpy as np
from scipy.special import log_softmax

STEP = 1 / 16
CONTEXT = 50  # words that stand before a place at least, or its state is no text's
RATIO = 1.25  # of the frequencies of a word and the one that is swapped for it


def plural_of(word):
    """Return the regular plural of a noun.

    Examples
    --------
    >>> from state_gradients.paper.language.swaps import plural_of
    >>> [plural_of(word) for word in ("stock", "company", "day", "business", "inch")]
    ['stocks', 'companies', 'days', 'businesses', 'inches']
    """
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2:-1] not in ("a", "e", "i", "o", "u", ""):
        return word[:-1] + "ies"
    return word + "s"


def number_pairs(tags):
    """Return the ids of singular nouns and of their regular plurals, (pair, 2).

    A pair counts where the commonest tag of the one is NN and that of the other NNS.

    Parameters
    ----------
    tags : xarray.Dataset
        Of :func:`state_gradients.paper.language.tags.read_tags`.
    """
    seen = tags["n_tagged"]
    commonest = seen["tag"].values[seen.argmax("tag").values]
    commonest = np.where(seen.sum("tag") > 0, commonest, "")
    index = {str(word): k for k, word in enumerate(tags["vocabulary"].values)}
    pairs = [
        (k, index[plural_of(word)])
        for word, k in index.items()
        if commonest[k] == "NN" and commonest[index.get(plural_of(word), k)] == "NNS"
    ]
    return np.array(pairs, int).reshape(-1, 2)


def choose(ids, pairs, frequency, *, n, max_delay, seed):
    """Return places of nouns in a text, each with two words to put there instead.

    Parameters
    ----------
    ids : ndarray of int, shape (time,)
    pairs : ndarray of int, shape (pair, 2)
        Of :func:`number_pairs`.
    frequency : ndarray of int, shape (vocabulary,)
        In the training text.
    n : int
        How many places at most, half of them singular and half plural as far as there
        are any.
    max_delay : int
        So many words follow each place.

    Returns
    -------
    places : ndarray of int, shape (place,), in the text's order
    instead : ndarray of int, shape (2, place)
        The word's other number; and a control, another noun of the pairs that keeps the
        word's number, of about the other number's frequency.
    """
    rng = np.random.default_rng(seed)
    inside = np.arange(len(ids))
    inside = (inside >= CONTEXT) & (inside < len(ids) - max_delay)
    places = []
    for side in pairs.T:
        there = np.flatnonzero(np.isin(ids, side) & inside)
        places.append(rng.permutation(there)[: n // 2])
    places = np.sort(np.concatenate(places))
    partner = np.full(len(frequency), -1)
    partner[pairs] = pairs[:, ::-1]
    words, others = ids[places], []
    for word, other in zip(words, partner[words], strict=True):
        [same] = [side for side in pairs.T if word in side]
        f, wanted = frequency[same], frequency[other]
        alike = np.maximum(f, wanted) <= RATIO * np.minimum(f, wanted)
        alike &= same != word
        # else the nearest: a word that is commoner or rarer than any other
        nearest = np.argsort(np.abs(np.log(f / wanted)) + (same == word) * 1e9)[:1]
        others.append(rng.choice(same[alike]) if alike.any() else same[nearest[0]])
    return places, np.stack([partner[words], others])


def states_before(network, ids, places):
    """Return the states before each place, for each layer a list of (place, units)."""
    trace, _ = network.run(ids[: places.max() + 1], network.zero_states())
    return [[state[places] for state in states] for _, *states in trace]


def _stepper(model, names):
    """Return a function of embeddings and states: states, the one measured, logits.

    That is the cell of an LSTM, the first state of other cells, as
    :func:`state_gradients.engine.means.mean_state_gradients` has it.
    """
    from keras import ops

    from state_gradients.foundation import backends
    from state_gradients.models import language_model

    def step(x, states):
        logits, states = language_model.run_layers(model, x, states)
        return logits[:, 0], states

    step = backends.compiled(step)
    measured = names.index("cell") if "cell" in names else 0

    def on_arrays(x, states):
        logits, states = step(ops.convert_to_tensor(x[:, None]), states)
        state = ops.convert_to_numpy(states[0][measured])
        return states, state.astype(np.float64), logits

    return on_arrays


def divergence(logits, other):
    """Return KL(p || p') of two softmax distributions in nats, (batch,), in float64."""
    log_p, log_q = (
        log_softmax(np.asarray(x, np.float64), axis=-1) for x in (logits, other)
    )
    return (np.exp(log_p) * (log_p - log_q)).sum(axis=-1)


def compare(model, network, ids, places, steps, mean_gradient):
    """Move embeddings, run on, and return what changes beside what gradients say.

    Parameters
    ----------
    model : keras.Model
        Of :func:`state_gradients.models.language_model.build_language_model`, with all
        its weights.
    network : state_gradients.engine.network.Network
        Of the same model, with all its layers.
    ids, places : ndarrays of int, shapes (time,) and (place,)
    steps : dict of str to ndarray of shape (place, embedding)
        What is added to the embedding at each place: e' - e.
    mean_gradient : ndarray of shape (delay, state, embedding)
        Raw, of the lowest layer; its delays say how far to run on.

    Returns
    -------
    dict of str to ndarray
        ``change``, ``first_order``, ``mean_first_order`` and ``alignment``, the cosine
        of the real change with the first order's at the place; and ``nats``: each of
        shape (step, place, delay).
    """
    step_on = _stepper(model, network.cells[0].names)
    words = ids[places[:, None] + np.arange(len(mean_gradient))].T
    start = states_before(network, ids, places)

    def run(moved_by):
        """Yield the state, float64, and the logits after each word."""
        states = start
        for delay, word in enumerate(words):
            x = network.table[word] + (0 if delay else np.float32(moved_by))
            states, state, logits = step_on(x, states)
            yield state, logits

    def of_step(step):
        sizes = (0, 1, STEP, -STEP, 2 * STEP, -2 * STEP)
        runs = zip(*(run(size * step) for size in sizes), strict=True)
        for delay, ((s, logits), (moved, other), *near) in enumerate(runs):
            f = [state for state, _ in near]
            change = moved - s
            first = (8 * (f[0] - f[1]) - (f[2] - f[3])) / (12 * STEP)
            mean = step @ mean_gradient[delay].T
            norms = [np.linalg.norm(x, axis=-1) for x in (change, first, mean)]
            alignment = (change * first).sum(axis=-1) / (norms[0] * norms[1])
            yield *norms, alignment, divergence(logits, other)

    names = ("change", "first_order", "mean_first_order", "alignment", "nats")
    by_step = []
    for step in steps.values():
        columns = zip(*of_step(step), strict=True)
        by_step.append([np.stack(column, axis=-1) for column in columns])
    columns = map(np.stack, zip(*by_step, strict=True))
    return dict(zip(names, columns, strict=True))
