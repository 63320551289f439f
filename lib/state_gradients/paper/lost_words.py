"""What cutting the vocabulary again costs: words that another cut of it would keep.

`ptb` joins clitics and then keeps its own 10,000 types. Words that PTB's 10,000 hold,
as `ptb-split` has them, become ``<unk>`` there, which is easy to predict. With the
losses l_t = -ln p(w_t | w_1..w_{t-1}) of all targets t, and L those that are lost,

    perplexity             exp(mean of l_t over all t)
    perplexity without     exp(mean of l_t over t not in L)
"""

from dataclasses import replace

import numpy as np
import xarray as xr

from state_gradients.text import corpora
from state_gradients.text.vocabulary import UNK

OTHER_CUT = "ptb-split"
TARGETS = ("word", "unknown in the text", "unknown to both", "lost")


def classes_of(words, kept, kept_by_other):
    """Return of each word which of `TARGETS` it is, an int array (time,).

    Parameters
    ----------
    words : sequence of str
        A text before it was cut.
    kept, kept_by_other : collection of str
        The types of its vocabulary, and of the other one.
    """
    of_type = {}
    for word in set(words):
        if word == UNK:
            name = "unknown in the text"
        elif word in kept:
            name = "word"
        else:
            name = "lost" if word in kept_by_other else "unknown to both"
        of_type[word] = TARGETS.index(name)
    return np.array([of_type[word] for word in words])


def split_losses(losses, classes):
    """Return the mean loss and the number of targets by class, and two perplexities.

    Parameters
    ----------
    losses : ndarray of shape (batch, predicted)
        In nats, as `evaluation.token_losses` gives them.
    classes : ndarray of int, shape (time,)
        Of the stream that the losses are of, an index of `TARGETS` for each token.

    Returns
    -------
    xarray.Dataset
        ``tokens`` and ``surprisal`` of shape (target,), ``perplexity`` and
        ``perplexity_without`` the targets that are lost.
    """
    from state_gradients.models import batching  # TensorFlow, where it is needed

    rows = batching.contiguous_rows(classes, len(losses))
    of_target = rows[:, 1 : losses.shape[1] + 1]
    tokens, sums = (
        np.bincount(of_target.ravel(), weights, len(TARGETS))
        for weights in (None, np.ravel(losses).astype(np.float64))
    )
    others = np.arange(len(TARGETS)) != TARGETS.index("lost")
    surprisal = np.divide(
        sums, tokens, out=np.full(len(sums), np.nan), where=tokens > 0
    )
    variables = {
        "tokens": ("target", tokens, "targets", "tokens", "count"),
        "surprisal": ("target", surprisal, "mean loss of a target", "nats", "-ln p"),
        "perplexity": (
            (), np.exp(sums.sum() / tokens.sum()), "perplexity", "1", "exp(mean -ln p)"
        ),
        "perplexity_without": (
            (),
            np.exp(sums[others].sum() / tokens[others].sum()),
            "perplexity of all targets but those that are lost",
            "1",
            "exp(mean -ln p)",
        ),
    }  # fmt: skip
    found = xr.Dataset(coords={"target": list(TARGETS)})
    for name, (dims, values, *about) in variables.items():
        attrs = dict(zip(("long_name", "units", "equation"), about, strict=True))
        found[name] = (dims, values, attrs)
    found["surprisal"].attrs["missing"] = "NaN: there is no such target"
    return found


def analyse(experiment, model):
    """Return what the lost words cost an experiment, by split.

    As everywhere, the validation text is read in the rows and windows of training and
    the test text in one stream.

    Parameters
    ----------
    experiment : settings.Experiment
        Of a corpus that cuts PTB another way than `OTHER_CUT`.
    model : keras.Model
        With its softmax.

    Returns
    -------
    xarray.Dataset
        Of :func:`split_losses` with a first axis split, and ``lost_types``.
    """
    from state_gradients.models import evaluation

    corpus, recipe = experiment.corpus, experiment.training
    text = corpora.load(corpus)
    whole = corpora.load(replace(corpus, vocabulary_size=None))
    other = corpora.load(replace(corpus, name=OTHER_CUT)).vocabulary
    kept, kept_by_other = set(text.vocabulary.tokens), set(other.tokens)
    sizes = {
        "valid": {"batch_size": recipe.batch_size, "num_steps": recipe.num_steps},
        "test": {"batch_size": 1, "num_steps": 1},
    }
    found = []
    for split, size in sizes.items():
        losses, _ = evaluation.token_losses(model, text.splits[split], **size)
        words = whole.vocabulary.decode(whole.splits[split])
        found.append(split_losses(losses, classes_of(words, kept, kept_by_other)))
    by_split = xr.concat(found, xr.Variable("split", list(sizes)))
    about = {"long_name": "types that only the other cut keeps", "units": "types"}
    by_split["lost_types"] = (
        (),
        len(kept_by_other - kept),
        about | {"equation": "count"},
    )
    return by_split
