r"""The forgetting curve: whether a network says again what it has just read.

A stretch S of n words is read twice, and the second time the network predicts each word
before it is shown the true one (Liu et al., 2024)::

    copy      S_1 .. S_n, S_1 .. S_{k-1}   ->  S_k,    k = 2 .. n
    shuffled  the same, with the first S in a random order
    other     R_1 .. R_n, S_1 .. S_{k-1}   ->  S_k,    R another stretch of the text

    gain(n) = accuracy(copy) - accuracy(other),   or   loss(other) - loss(copy) in nats

and the gain over shuffled, which is due to the order of what was read: the rest is due
to which words they were, or to their subject. From the zero state, with the same S in
all. The first word of a copy does not count, for nothing before it says that a copy
begins: a network that sees one word alone has a gain of exactly 0. A word and its copy
are n words apart at every k, so that the gain is what is still known after n words, and
asked for by a repetition. Where it ends:

    reach = the n beyond which it is below one word in a hundred; or below ln 1.01 nats,
            where having read S before lowers the perplexity by less than 1 %

the second being the limit of the effective context
(:mod:`state_gradients.paper.language.context`).
"""

import numpy as np
import xarray as xr
from scipy import stats
from tqdm.auto import tqdm

from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language import context

SETTINGS = "copy", "shuffled", "other"  # of what is read first
AGAINST = "other", "shuffled"  # what a copy is held against
LENGTHS = 2, 3, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300, 400
WORDS = 16_384  # of all stretches of a length together
BLOCKS = 32  # of the text; of each length at least as many stretches
LIMITS = {"accuracy": 0.01, "nats": context.LIMIT}  # by measure of the gain
AT_ONCE = 2_048  # words that are predicted together: 80 MB for 10,000 types
N_RESAMPLES, LEVEL = 2000, 0.95

# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "accuracy": ("words guessed right", "share", "mean of argmax p = S_k"),
    "loss": ("loss", "nats / word", "mean of -ln p(S_k)"),
    "gain": (
        "what having read it before is good for",
        "of its measure",
        "accuracy(copy) - accuracy(against); loss(against) - loss(copy)",
    ),
    "lower": ("lower end of its interval", "of its measure", "gain - t SE"),
    "upper": ("upper end of its interval", "of its measure", "gain + t SE"),
    "reach": ("length at which the gain ends", "words", "gain(n) = its limit"),
    "reach_lower": ("lower end of its interval", "words", "2.5 % of redrawn texts"),
    "reach_upper": ("upper end of its interval", "words", "97.5 % of them"),
    "n_stretches": ("stretches read", "1", "count"),
}
MISSING = dict.fromkeys(
    ("reach", "reach_lower", "reach_upper"),
    "the gain is above its limit at the longest stretches too",
)


def study(subject):
    """Let a network read stretches of its text twice.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``forgetting``; `MEANING` says what its variables mean.

    Raises
    ------
    ValueError
        If the text is too short.
    """
    load_keras()
    seed = subject.experiment.training.seed
    found = measure(
        subject.predictor, subject.ids, seed=seed, progress=subject.progress
    )
    return {"forgetting": found}


def measure(model, ids, *, seed, progress=True):
    """Return how well stretches of each length are said again.

    Parameters
    ----------
    model : keras.Model
        Of :func:`state_gradients.models.language_model.build_language_model`.
    ids : ndarray of int, shape (time,)
    seed : int
        Of the other stretches.

    Returns
    -------
    xarray.Dataset
        Of those `LENGTHS` of which the text has `BLOCKS` stretches.

    Raises
    ------
    ValueError
        If these are fewer than two.
    """
    lengths = [n for n in LENGTHS if len(ids) >= BLOCKS * n]
    if len(lengths) < 2:
        raise ValueError(
            f"forgetting: the text must have {BLOCKS * LENGTHS[1]} tokens at least, so "
            f"that it has {BLOCKS} stretches of {LENGTHS[1]}, received {len(ids)}; set "
            "gradients.split to a longer text."
        )
    rng = np.random.default_rng(seed)
    read = _reader(model)
    drawn = [stretches(len(ids), n, rng) for n in lengths]
    n_drawn = sum(len(starts) for starts, *_ in drawn)
    bar = tqdm(total=n_drawn, unit="stretch", disable=not progress)
    scores = {}
    for n, of_length in zip(lengths, drawn, strict=True):
        parts = []
        for at in range(0, len(of_length[0]), max(AT_ONCE // n, 1)):
            some = slice(at, at + max(AT_ONCE // n, 1))
            inputs, targets = texts(ids, *(one[some] for one in of_length))
            parts.append([read(words, targets) for words in inputs])
            bar.update(len(targets))
        scores[n] = np.concatenate(parts, axis=2)  # (setting, score, stretch, word)
    bar.close()
    result = summary(scores, np.random.default_rng(seed))
    for name in MEANING:
        result[name].attrs = about(name, meaning=MEANING)
        if name in MISSING:
            result[name].attrs["missing"] = MISSING[name]
    return result


def stretches(n_tokens, n, rng):
    """Return stretches that lie all over a text, and for each another and an order.

    Parameters
    ----------
    n_tokens, n : int
        Of the text and of a stretch.
    rng : numpy.random.Generator

    Returns
    -------
    starts : ndarray of int, shape (stretch,)
        Where they begin, increasing; no two overlap.
    others : ndarray of int, shape (stretch,)
        Drawn from all stretches that do not overlap the first.
    orders : ndarray of int, shape (stretch, n)
        Of the words, at random.
    """
    n_stretches = min(WORDS, n_tokens) // n
    last = n_tokens - n
    starts = np.linspace(0, last, n_stretches).astype(int)
    n_before = np.maximum(starts - n + 1, 0)
    n_after = np.maximum(last - (starts + n) + 1, 0)
    drawn = rng.integers(n_before + n_after)
    others = np.where(drawn < n_before, drawn, starts + n + drawn - n_before)
    orders = rng.permuted(np.tile(np.arange(n), (n_stretches, 1)), axis=1)
    return starts, others, orders


def texts(ids, starts, others, orders):
    """Return what is read in each of `SETTINGS`, and the words to be predicted.

    Parameters
    ----------
    ids : ndarray of int, shape (time,)
    starts, others, orders : ndarray of int
        Of :func:`stretches`.

    Returns
    -------
    inputs : tuple of ndarrays of int, shape (stretch, 2 n - 1)
        The last n - 1 words of each are followed by those of `targets`.
    targets : ndarray of int, shape (stretch, n - 1)
    """
    n = orders.shape[1]
    again, other = (ids[at[:, None] + np.arange(n)] for at in (starts, others))
    first = again, np.take_along_axis(again, orders, axis=1), other
    return tuple(np.hstack([one, again[:, :-1]]) for one in first), again[:, 1:]


def _reader(model):
    """Return a function: words, targets -> losses and hits, (score, stretch, word)."""
    import keras
    from keras import ops

    from state_gradients.foundation import backends

    logits = model.get_layer("logits")
    below = keras.Model(model.inputs, logits.input)

    def score(words, targets):
        n_asked = ops.shape(targets)[1]  # the softmax is the dear part
        told = logits(below(words, training=False)[:, -n_asked:])
        losses = keras.losses.sparse_categorical_crossentropy(
            targets, told, from_logits=True
        )
        hits = ops.argmax(told, axis=-1) == ops.cast(targets, "int32")
        return losses, ops.cast(hits, "float32")

    compiled = backends.compiled(score)

    def read(words, targets):
        scores = compiled(words.astype(np.int32), targets.astype(np.int32))
        return np.stack([ops.convert_to_numpy(one) for one in scores]).astype(float)

    return read


def summary(scores, rng):
    """Return accuracies, losses and gains with intervals, and where the gains end.

    Parameters
    ----------
    scores : dict of int to ndarray of shape (setting, score, stretch, word)
        By length; the scores are loss and hit.
    rng : numpy.random.Generator

    Returns
    -------
    xarray.Dataset
        The stretches are in the text's order; blocks of them are drawn again, the
        same of every length.
    """
    lengths, measures = [*scores], [*LIMITS]
    means = np.array([one.mean(axis=(2, 3)) for one in scores.values()])
    loss, accuracy = means.transpose(2, 1, 0)  # (setting, length)
    gain = _gains(means.transpose(1, 2, 0))  # (against, measure, length)
    blocks = np.stack(  # ... and block, of sizes that differ by one
        [
            np.stack([part.mean(axis=-1) for part in parts], axis=-1)
            for parts in (
                np.array_split(_gains(one.mean(axis=3)), BLOCKS, axis=-1)
                for one in scores.values()
            )
        ],
        axis=2,
    )
    error = blocks.std(axis=-1, ddof=1) / np.sqrt(BLOCKS)
    half = stats.t.ppf((1 + LEVEL) / 2, BLOCKS - 1) * error
    drawn = rng.integers(BLOCKS, size=(N_RESAMPLES, BLOCKS))
    reach = [
        [
            _reach(gain[a, m], blocks[a, m], limit, drawn, lengths)
            for m, limit in enumerate(LIMITS.values())
        ]
        for a in range(len(AGAINST))
    ]
    values, lower, upper = np.moveaxis(reach, -1, 0)
    of_end = "against", "measure"
    of_gain = *of_end, "length"
    return xr.Dataset(
        {
            "accuracy": (("setting", "length"), accuracy),
            "loss": (("setting", "length"), loss),
            "gain": (of_gain, gain),
            "lower": (of_gain, gain - half),
            "upper": (of_gain, gain + half),
            "reach": (of_end, values),
            "reach_lower": (of_end, lower),
            "reach_upper": (of_end, upper),
            "n_stretches": ("length", [one.shape[2] for one in scores.values()]),
        },
        {
            "setting": [*SETTINGS],
            "against": [*AGAINST],
            "length": lengths,
            "measure": measures,
        },
    )


def _gains(scores):
    """Return gains (against, measure, ..) from losses and hits (setting, score, ..)."""
    loss, hit = np.moveaxis(scores, 1, 0)
    copy, against = SETTINGS.index("copy"), [SETTINGS.index(x) for x in AGAINST]
    pairs = [(hit[copy] - hit[k], loss[k] - loss[copy]) for k in against]
    return np.array(pairs)


def _reach(gain, blocks, limit, drawn, lengths):
    """Return where a gain ends, with the ends of an interval; NaN: not within them."""

    def ends_at(one):
        return context.effective(one, limit=limit, contexts=lengths)

    redrawn = [ends_at(blocks[:, rows].mean(axis=1)) for rows in drawn]
    tails = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    ends = np.quantile(np.nan_to_num(redrawn, nan=np.inf), tails, method="lower")
    return ends_at(gain), *np.where(np.isfinite(ends), ends, np.nan)
