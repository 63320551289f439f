r"""What replacing one word does to the state and to what is predicted, words later.

The word e_s of a place s is moved towards another, e' = e_s + a (w - e_s), the network
runs on over the words that follow, and tau words later

    real     s_{s+tau}(e') - s_{s+tau}(e_s),    KL = sum_w p ln(p / p')   in nats
    linear   a G (w - e_s),   a^2 / 2 Var_p(K^T G_h (w - e_s))

where G is the state gradient at this very place, h the state that the softmax reads,
with the logits K^T h + b, and Var_p the variance over words: with the Fisher matrix
F = K (diag p - p p^T) K^T of the hidden state, Var_p(K^T x) = x^T F x.
Beside it, all words before the place are forgotten: the network begins there, from the
zero state.
All of it is in float64; G (w - e_s) is a central difference with a = 10^-4.
"""

import numpy as np
from scipy.special import log_softmax

from state_gradients.paper.language import tags

SCALES = 0.125, 0.25, 0.5, 1.0
TINY = 1e-4  # of the central difference: it errs by TINY^2 = 1e-8 of the third order
LEAST_TAGGED = 0.5  # share of the text's tokens with a class, for classes to be used


def classes_of(n_tagged):
    """Return the class that each type was seen with most often, by its tags.

    Parameters
    ----------
    n_tagged : DataArray of int, shape (tag, vocabulary)
        Of :func:`state_gradients.paper.language.tags.read_tags`.

    Returns
    -------
    ndarray of int, shape (vocabulary,)
        The place in ``tags.CLASSES``, -1 for a type of none.
    """
    counts = []
    for of_class in tags.CLASSES.values():
        held = [tag for tag in of_class if tag in n_tagged["tag"]]
        counts.append(n_tagged.sel(tag=held).sum("tag").values)
    counts = np.array(counts)
    return np.where(counts.any(axis=0), counts.argmax(axis=0), -1)


def octaves(counts):
    """Return floor(log2(count)) of the training counts, -1 of a type without any."""
    counts = np.asarray(counts)
    return np.where(counts > 0, np.log2(np.maximum(counts, 1)).astype(int), -1)


def peers_of(classes, counts):
    """Return the types by which each type may be replaced.

    These are the others of its class whose training counts have the same octave.

    Parameters
    ----------
    classes : ndarray of int, shape (vocabulary,)
        -1 for a type that is in no class, which has no peers.
    counts : ndarray of int, shape (vocabulary,)

    Returns
    -------
    dict of int to ndarray of int
        Of the types that have peers.
    """
    octave = octaves(counts)
    key = np.where((classes >= 0) & (octave >= 0), classes * 64 + octave, -1)
    peers = {}
    for one in np.unique(key[key >= 0]):
        members = np.flatnonzero(key == one)
        if len(members) > 1:
            peers |= {int(k): members[members != k] for k in members}
    return peers


def draw(ids, peers, *, first, last, n, seed):
    """Draw places of a text whose words have peers, and a peer for each.

    Parameters
    ----------
    ids : ndarray of int, shape (time,)
    peers : dict of int to ndarray of int
    first, last : int
        The places lie in first..last - 1.
    n : int
        Fewer are drawn where there are no more.
    seed : int

    Returns
    -------
    places, substitutes : ndarrays of int, shape (place,)
        Places in the order of the text.
    share : float
        Of the text's tokens, those that have peers.

    Raises
    ------
    ValueError
        If there are not two such places.
    """
    has_peers = np.isin(ids, list(peers))
    candidates = np.flatnonzero(has_peers[first:last]) + first
    if len(candidates) < 2:
        raise ValueError(
            "positions: two words of the text at least must have another of their "
            f"class and frequency, received {len(candidates)} such words among "
            f"{last - first}; take a longer text or a larger vocabulary."
        )
    rng = np.random.default_rng(seed)
    n = min(n, len(candidates))
    places = np.sort(rng.choice(candidates, n, replace=False))
    substitutes = np.array([rng.choice(peers[k]) for k in ids[places].tolist()])
    return places, substitutes, has_peers.mean()


def _run_on(network, x, states):
    """Run a stack of cells; return each layer's states, arrays (time, place, units)."""
    after = []
    for cell, first in zip(network.cells, states, strict=True):
        after.append(cell.run(x, first))
        x = after[-1][cell.output]
    return after


def _variance(p, logits):
    """Return Var_p over words of each row."""
    mean = np.einsum("pw,pw->p", p, logits)
    return np.einsum("pw,pw->p", p, (logits - mean[:, None]) ** 2)


def follow(network, softmax, ids, places, substitutes, delays):
    """Replace words, run on, and compare what changes with what is linear in the step.

    Parameters
    ----------
    network : state_gradients.engine.network.Network
        All the layers, in float64.
    softmax : (ndarray of shape (units, vocabulary), ndarray of shape (vocabulary,))
        K and b of the logits K^T h + b.
    ids : ndarray of int, shape (time,)
    places, substitutes : ndarray of int, shape (place,)
    delays : sequence of int
        Every place must have delays[-1] + 1 words after it.

    Returns
    -------
    dict of str to (dims, ndarray)
        ``kl``, ``cost`` and ``quadratic_of_change`` (delay, scale, place), in nats;
        ``quadratic`` (delay, place), for a step of scale 1; ``late_kl``, ``late_cost``
        (delay, place), where the network begins at the place; ``change`` (state_kind,
        scale, delay, place), ``linear_change`` (state_kind, delay, place) and
        ``cosine`` between the two, of the lowest layer's states.
    """
    delays = np.asarray(delays)
    trace, _ = network.run(ids[: places[-1] + 1], network.zero_states())
    before = [[array[places] for array in layer[1:]] for layer in trace]
    del trace
    following = ids[places + np.arange(delays[-1] + 1)[:, None]]  # (time, place)
    embedded = network.table[following]
    step = network.table[substitutes] - embedded[0]

    def states_after(scale, *, start=before):
        x = embedded.copy()
        x[0] += scale * step
        after = _run_on(network, x, start)
        lowest = np.stack([state[delays] for state in after[0]])
        read = after[-1][network.cells[-1].output][delays]
        return lowest, read  # (state_kind, delay, place, units), (delay, place, units)

    lowest, read = states_after(0)
    nothing = [[np.zeros_like(state) for state in layer] for layer in before]
    _, late = states_after(0, start=nothing)
    (ahead, ahead_read), (behind, behind_read) = states_after(TINY), states_after(-TINY)
    linear = (ahead - behind) / (2 * TINY)
    linear_read = (ahead_read - behind_read) / (2 * TINY)
    moved, moved_read = zip(*map(states_after, SCALES), strict=True)
    change = np.stack(moved, axis=1) - lowest[:, None]  # (state_kind, scale, ..)
    real, length = np.linalg.norm(change, axis=-1), np.linalg.norm(linear, axis=-1)
    along = np.einsum("kadpu,kdpu->kadp", change, linear)
    lengths = real * length[:, None]
    cosine = np.divide(along, lengths, out=np.zeros_like(along), where=lengths > 0)
    targets = ids[places + delays[:, None] + 1]  # (delay, place)
    told = [
        _predicted(softmax, *of_delay)
        for of_delay in zip(
            read, np.stack(moved_read, 1), late, linear_read, targets, strict=True
        )
    ]
    kl, cost, quadratic_of_change, late_kl, late_cost, quadratic = map(
        np.stack, zip(*told, strict=True)
    )
    of_state = ("state_kind", "scale", "delay", "place")
    of_delay = ("delay", "scale", "place")
    return {
        "change": (of_state, real),
        "cosine": (of_state, cosine),
        "linear_change": (("state_kind", "delay", "place"), length),
        "kl": (of_delay, kl),
        "cost": (of_delay, cost),
        "quadratic_of_change": (of_delay, quadratic_of_change),
        "late_kl": (("delay", "place"), late_kl),
        "late_cost": (("delay", "place"), late_cost),
        "quadratic": (("delay", "place"), quadratic),
    }


def _predicted(softmax, hidden, moved, late, linear, targets):
    """Return what changes of the prediction after hidden states of one delay.

    Parameters
    ----------
    softmax : (ndarray of shape (units, vocabulary), ndarray of shape (vocabulary,))
    hidden, late : ndarray of shape (place, units)
        Of the text as it is; and where it begins at the place.
    moved : ndarray of shape (scale, place, units)
    linear : ndarray of shape (place, units)
        How the hidden state moves, linearly, with a step of scale 1.
    targets : ndarray of int, shape (place,)

    Returns
    -------
    kl, cost, quadratic_of_change : ndarray of shape (scale, place)
    late_kl, late_cost, quadratic : ndarray of shape (place,)
    """
    kernel, bias = softmax
    log_p = log_softmax(hidden @ kernel + bias, axis=-1)
    p = np.exp(log_p)

    def changed(other):
        lost = log_p - log_softmax(other @ kernel + bias, axis=-1)
        kl = np.einsum("pw,pw->p", p, lost)
        return kl, np.take_along_axis(lost, targets[:, None], axis=-1)[:, 0]

    kl, cost = map(np.stack, zip(*map(changed, moved), strict=True))
    of_change = np.stack([_variance(p, (one - hidden) @ kernel) / 2 for one in moved])
    return kl, cost, of_change, *changed(late), _variance(p, linear @ kernel) / 2
