r"""How far back a network's predictions reach: words further back are changed.

Of the words before a predicted word the last n stay, and what stands further back is

    dropped    the network begins n words before, from the zero state;
    shuffled   the words n + 1 .. 300 before are put into a random order;
    replaced   by words of the text, drawn at random,

    cost(n) = mean of  -ln p(word | changed) + ln p(word | unchanged),   in nats

over words at random places. The change leaves the perplexity exp(cost) times as large;
the *effective context* (Khandelwal et al., 2018) is the n beyond which it rises by less
than 1 %. What is dropped is held against the whole text before, the others against the
last 300 words as they are, so that in these only the order, or the words, differ.
"""

import numpy as np
import xarray as xr
from scipy import stats

from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras

CHANGES = "dropped", "shuffled", "replaced"
CONTEXTS = 1, 2, 5, 10, 20, 30, 50, 75, 100, 150, 200, 300
LONGEST = CONTEXTS[-1]
LIMIT = float(np.log(1.01))  # nats: the perplexity rises by 1 %
PLACES = {"dropped": 4096, "shuffled": 1024, "replaced": 1024}
LEAST = 64  # places, and of these as many blocks
BATCH = 256  # places that are run together
N_RESAMPLES = 2000
LEVEL = 0.95

# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "cost": ("what the change costs", "nats / word", "mean of the losses' difference"),
    "lower": ("lower end of its interval", "nats / word", "cost - t SE"),
    "upper": ("upper end of its interval", "nats / word", "cost + t SE"),
    "effective": ("effective context", "words", "n at which cost(n) = ln 1.01"),
    "effective_lower": ("lower end of its interval", "words", "2.5 % of redrawn texts"),
    "effective_upper": ("upper end of its interval", "words", "97.5 % of them"),
    "n_places": ("words predicted", "1", "number of places"),
    "loss": ("loss of the unchanged text", "nats / word", "mean of -ln p(word)"),
}
MISSING = dict.fromkeys(
    ("effective", "effective_lower", "effective_upper"),
    f"the perplexity rises by 1 % or more at {LONGEST} words too",
)


def study(subject):
    """Change the words far back, and ask what it costs.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``context``; `MEANING` says what its variables mean.

    Raises
    ------
    ValueError
        If the text is too short.
    """
    load_keras()
    seed = subject.experiment.training.seed
    found = measure(
        subject.predictor,
        subject.ids,
        places=PLACES,
        seed=seed,
        progress=subject.progress,
    )
    return {"context": found}


def measure(model, ids, *, places, seed, progress=True):
    """Return what each change of each context costs.

    Parameters
    ----------
    model : keras.Model
        Of :func:`state_gradients.models.language_model.build_language_model`.
    ids : ndarray of int, shape (time,)
    places : dict of str to int
        How many words are predicted for each of `CHANGES`.
    seed : int

    Returns
    -------
    xarray.Dataset

    Raises
    ------
    ValueError
        If the text has fewer than `LEAST` words with `LONGEST` before them.
    """
    from tqdm.auto import tqdm  # in a notebook it warns, and pages read this module

    from state_gradients.models import evaluation

    n_possible = len(ids) - LONGEST
    if n_possible < LEAST:
        raise ValueError(
            f"context: the text must have {LONGEST + LEAST} tokens at least, so that "
            f"{LEAST} of them have {LONGEST} before them, received {len(ids)}; set "
            "gradients.split to a longer text."
        )
    rng = np.random.default_rng(seed)
    order = LONGEST + rng.permutation(n_possible)  # places of predicted words
    targets = {change: np.sort(order[: places[change]]) for change in CHANGES}
    (whole,), _ = evaluation.token_losses(model, ids, batch_size=1, num_steps=1)
    whole = whole[targets["dropped"] - 1].astype(float)
    losses_after = _reader(model)
    losses = {change: [] for change in CHANGES}
    n_runs = sum(len(CONTEXTS) * -(-len(one) // BATCH) for one in targets.values())
    bar = tqdm(total=n_runs, unit="run", disable=not progress)
    for change, at in targets.items():
        for n in CONTEXTS:
            parts = []
            for start in range(0, len(at), BATCH):
                some = at[start : start + BATCH]
                words = changed(ids, some, n, change, rng)
                parts.append(losses_after(words, ids[some]))
                bar.update()
            losses[change].append(np.concatenate(parts))
    bar.close()
    extra = {
        change: np.array(rows) - (whole if change == "dropped" else rows[-1])
        for change, rows in losses.items()
    }
    each = [_told(extra[change], np.random.default_rng(seed)) for change in CHANGES]
    result = xr.concat(each, xr.Variable("change", [*CHANGES])).assign(
        n_places=("change", [len(targets[change]) for change in CHANGES]),
        loss=float(whole.mean()),
    )
    for name in MEANING:
        result[name].attrs = about(name, meaning=MEANING)
        if name in MISSING:
            result[name].attrs["missing"] = MISSING[name]
    return result


def changed(ids, targets, n, change, rng):
    """Return the words that stand before some words, all but the last n changed.

    Parameters
    ----------
    ids : ndarray of int, shape (time,)
    targets : ndarray of int, shape (place,)
        Places of the words that are to be predicted.
    n : int
    change : str
        One of `CHANGES`.
    rng : numpy.random.Generator

    Returns
    -------
    ndarray of int, shape (time, place)
        The last n words of each; before them `LONGEST` - n others, or, dropped, none.
    """
    length = n if change == "dropped" else LONGEST
    words = ids[targets + np.arange(-length, 0)[:, None]]
    further = words[: length - n]
    if change == "shuffled":
        words[: length - n] = rng.permuted(further, axis=0)
    elif change == "replaced":
        words[: length - n] = rng.choice(ids, size=further.shape)
    return words


def _reader(model):
    """Return a function: words (time, place), target (place,) -> loss (place,)."""
    import keras
    from keras import ops

    from state_gradients.foundation import backends

    logits = model.get_layer("logits")
    below = keras.Model(model.inputs, logits.input)  # logits of the last word only

    def losses(words, targets):
        told = logits(below(words, training=False)[:, -1])
        return keras.losses.sparse_categorical_crossentropy(
            targets, told, from_logits=True
        )

    compiled = backends.compiled(losses)

    def losses_after(words, targets):
        return ops.convert_to_numpy(compiled(words.T, targets)).astype(float)

    return losses_after


def _told(extra, rng):
    """Return cost and effective context with intervals, from (context, place).

    The places are in the text's order; blocks of them are drawn again.
    """
    blocks = [block.mean(axis=1) for block in np.array_split(extra, LEAST, axis=1)]
    blocks = np.stack(blocks, axis=1)  # (context, block), of sizes that differ by one
    cost = extra.mean(axis=1)
    error = blocks.std(axis=1, ddof=1) / np.sqrt(LEAST)
    half = stats.t.ppf((1 + LEVEL) / 2, LEAST - 1) * error
    drawn = rng.integers(LEAST, size=(N_RESAMPLES, LEAST))
    reached = [effective(blocks[:, rows].mean(axis=1)) for rows in drawn]
    ends = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    lower, upper = np.quantile(np.nan_to_num(reached, nan=np.inf), ends, method="lower")
    return xr.Dataset(
        {
            "cost": ("context", cost),
            "lower": ("context", cost - half),
            "upper": ("context", cost + half),
            "effective": effective(cost),
            "effective_lower": lower if np.isfinite(lower) else np.nan,
            "effective_upper": upper if np.isfinite(upper) else np.nan,
        },
        {"context": [*CONTEXTS]},
    )


def effective(cost, *, limit=LIMIT, contexts=None):
    """Return the context beyond which a change costs less than a limit.

    Parameters
    ----------
    cost : ndarray of shape (context,)
    limit : float
        In nats.
    contexts : sequence of int, optional
        `CONTEXTS` by default.

    Returns
    -------
    float
        Between two contexts the cost falls as a line in the logarithm of n. NaN where
        it is above the limit at the longest.
    """
    contexts = CONTEXTS if contexts is None else contexts
    above = np.flatnonzero(np.asarray(cost) >= limit)
    if not len(above):
        return float(contexts[0])
    last = above[-1]
    if last == len(contexts) - 1:
        return np.nan
    share = (cost[last] - limit) / (cost[last] - cost[last + 1])
    first, second = np.log(contexts[last : last + 2])
    return float(np.exp(first + share * (second - first)))
