"""How well a language model predicts: the loss of every token, and perplexity.

perplexity = exp(mean of -ln p(w_{t+1} | w_1..w_t))
"""

import numpy as np
from keras import ops

from state_gradients.foundation import backends
from state_gradients.foundation.checks import ids_within
from state_gradients.models import batching, language_model

EVALUATED_TOGETHER = 200  # steps of one call


def token_nll(logits, targets):
    """Return -ln p of each target, shape (batch, time), in float32."""
    logits = ops.cast(logits, "float32")
    picked = ops.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]
    return ops.logsumexp(logits, axis=-1) - picked


def _evaluation_step(model):
    def step(ids, targets, states):
        embedded = model.get_layer("embedding")(ids)
        logits, states = language_model.run_layers(model, embedded, states)
        return token_nll(logits, targets), ops.argmax(logits, axis=-1), states

    return backends.compiled(step)


def token_losses(model, ids, *, batch_size=1, num_steps=200, asked=None):
    """Return the loss and the best guess at every predicted token, no dropout.

    The stream is cut into `batch_size` contiguous rows, the state carried along each
    from zero; the last partial window is dropped, as in training.

    Parameters
    ----------
    model : keras.Model
    ids : ndarray of int, shape (time,)
    asked : ndarray of int, shape (time,), optional
        What must be named at each token; the next token by default.

    Returns
    -------
    losses : ndarray of float32, shape (batch, predicted)
        -ln p(target | w_1..w_t), in nats.
    guesses : ndarray of int32, shape (batch, predicted)

    Raises
    ------
    ValueError
        If the stream is too short for one window.
    """
    n_types = model.get_layer("embedding").input_dim
    ids = ids_within(ids, "perplexity", n_types)
    batching.windows(ids, batch_size, num_steps)  # refuses a stream that is too short
    step, states = (
        _evaluation_step(model),
        language_model.zero_states(model, batch_size),
    )
    rows = batching.contiguous_rows(ids, batch_size)
    every_target = batching.targets_of(rows, asked)
    length = num_steps * batching.n_windows(len(ids), batch_size, num_steps)
    found = []
    # the state is carried, so that the calls need not be cut where the windows are
    for start in range(0, length, EVALUATED_TOGETHER):
        stop = min(start + EVALUATED_TOGETHER, length)
        inputs, targets = rows[:, start:stop], every_target[:, start:stop]
        *pair, states = step(inputs, targets, states)
        found.append([ops.convert_to_numpy(part) for part in pair])
    losses, guesses = zip(*found, strict=True)
    return np.concatenate(losses, axis=1), np.concatenate(guesses, axis=1)


def perplexity(model, ids, *, batch_size, num_steps, asked=None):
    """Return exp of the mean loss; see :func:`token_losses` for what counts."""
    losses, _ = token_losses(
        model, ids, batch_size=batch_size, num_steps=num_steps, asked=asked
    )
    with np.errstate(over="ignore"):  # infinite above 709 nats a token
        return float(np.exp(np.mean(losses, dtype=np.float64)))


def accuracy(model, ids, asked):
    """Return the share of tokens at which the best guess is what was asked.

    Parameters
    ----------
    model : keras.Model
    ids, asked : ndarray of int, shape (time,)
        One stream, of which all tokens but the last count.

    Returns
    -------
    float
    """
    _, guesses = token_losses(model, ids, batch_size=1, num_steps=1, asked=asked)
    return float(np.mean(guesses[0] == asked[: guesses.shape[1]]))
