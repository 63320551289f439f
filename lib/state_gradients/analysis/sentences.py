"""One sentence, word by word: how long the network holds each of its words.

    memory of the word at t, tau words on:     sigma_1 of (ds_{t+tau} / de_t) D
    influence of the word at t, tau words on:  lambda_1 of (G D)^T F_{t+tau} (G D)

with G = dh_{t+tau} / de_t of what the softmax reads, and F its Fisher information there
(:mod:`state_gradients.engine.readouts`): how far the state moves, and how much the
prediction changes. The one module of this room that needs the engine, which it loads
when it is called.
"""

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from state_gradients.analysis import spectra
from state_gradients.analysis.influence import influence_curve
from state_gradients.analysis.whitening import (
    Whitening,
    require_whitening,
    whiten_gradient,
)
from state_gradients.foundation import checks
from state_gradients.foundation.loading import load_keras

if TYPE_CHECKING:
    import keras


@checks.in_own_name
def sentence_memory(
    model: "keras.Model",
    ids: ArrayLike,
    *,
    max_delay: int | None = None,
    whitening: Whitening | None = None,
    **options: Any,
) -> xr.DataArray:
    """Return sigma_1 of each word's own state gradients: how long it is remembered.

    Parameters
    ----------
    model : keras.Model
    ids : array_like of int, shape (time,)
        One sentence; whatever text the state is to come from stands before it.
    max_delay : int, optional
        By default the sentence's length less one.
    whitening : Whitening, optional
        Measure inputs in standard deviations of the embedding.
    **options
        Of :func:`state_gradients.engine.means.mean_state_gradients`.

    Returns
    -------
    DataArray of shape (token, delay)
        sigma_1 of ds_{t+delay}/de_t for t = token; NaN beyond the end.

    Examples
    --------
    A linear network whose state is halved at every token, s' = s / 2 + e:

    >>> import keras
    >>> import state_gradients as sg
    >>> rnn = keras.layers.SimpleRNN(
    ...     2,
    ...     activation="linear",
    ...     kernel_initializer="identity",
    ...     recurrent_initializer=keras.initializers.Identity(0.5),
    ... )
    >>> embedding = keras.layers.Embedding(5, 2)
    >>> model = keras.Sequential([keras.Input((None,)), embedding, rnn])
    >>> sg.sentence_memory(model, [3, 1, 4]).values.round(3)
    array([[1.  , 0.5 , 0.25],
           [1.  , 0.5 ,  nan],
           [1.  ,  nan,  nan]])
    """
    found = _word_by_word(model, ids, max_delay, "sentence_memory", options)
    gradient = found["state_gradient"].fillna(0)
    if whitening is not None:
        gradient = whiten_gradient(gradient, whitening)
    memory = spectra.memory_curve(gradient)["memory"].where(found["n_samples"] > 0)
    return memory.rename(group="token")


@checks.in_own_name
def sentence_influence(
    model: "keras.Model",
    ids: ArrayLike,
    *,
    influence: int | Literal["exact"] = "exact",
    max_delay: int | None = None,
    whitening: Whitening | None = None,
    **options: Any,
) -> xr.Dataset:
    """Return in nats what each word changes in the words predicted after it.

    A small step d of the word at t changes the prediction `delay` words later by
    d^T M d / 2 nats (KL divergence), with M of that word and that place alone. A word
    may be held and yet change nothing that is said: then its memory is large
    (:func:`sentence_memory`), and its influence small.

    Parameters
    ----------
    model : keras.Model
        With a softmax, or its logits, above the recurrent layers.
    ids : array_like of int, shape (time,)
        One sentence; whatever text the state is to come from stands before it.
    influence : int or "exact"
        How many words are drawn at each position to estimate the softmax's Fisher
        information, which is exact by default. A mean over a text evens out what is
        drawn; a single word does not.
    max_delay : int, optional
        By default the sentence's length less one.
    whitening : Whitening, optional
        Measure inputs in standard deviations of the embedding.
    **options
        Of :func:`state_gradients.engine.means.mean_state_gradients`; `layer` must be
        the highest.

    Returns
    -------
    Dataset of shape (token, delay)
        What :func:`state_gradients.analysis.influence.influence_curve` gives:
        ``influence``, ``mean_influence`` and ``influence_rank``, for t = token; NaN
        beyond the end.

    Raises
    ------
    ValueError
        If `ids` are no sentence, an argument does not fit, or what stands above the
        states is not known to be a softmax.

    Examples
    --------
    A linear network whose state is halved at every token, s' = s / 2 + e, and which
    says with a probability of 1/2 that either of two words comes next. A step along
    (1, -1) / sqrt(2) makes one of them more likely, and the other less:

    >>> import keras
    >>> import state_gradients as sg
    >>> rnn = keras.layers.SimpleRNN(
    ...     2,
    ...     activation="linear",
    ...     kernel_initializer="identity",
    ...     recurrent_initializer=keras.initializers.Identity(0.5),
    ...     return_sequences=True,
    ... )
    >>> embedding = keras.layers.Embedding(2, 2, embeddings_initializer="zeros")
    >>> softmax = keras.layers.Dense(
    ...     2, activation="softmax", kernel_initializer="identity"
    ... )
    >>> model = keras.Sequential([keras.Input((None,)), embedding, rnn, softmax])
    >>> found = sg.sentence_influence(model, [1, 0, 1])
    >>> found["influence"].values.round(3)
    array([[0.5  , 0.125, 0.031],
           [0.5  , 0.125,   nan],
           [0.5  ,   nan,   nan]])
    """
    who = "sentence_influence"
    if influence is None:
        raise ValueError(
            f"{who}: `influence` must be 'exact', or how many words are drawn at a "
            "position, received None; for memory alone ask sentence_memory."
        )
    if whitening is not None:
        require_whitening(whitening, who)
    options = options | {"influence": influence}
    found = _word_by_word(model, ids, max_delay, who, options)
    curve = influence_curve(found["influence"].fillna(0), whitening)
    return curve.where(found["n_samples"] > 0).rename(group="token")


def _word_by_word(model, ids, max_delay, who, options):
    """Return the mean state gradients of each word alone, a group for each."""
    ids = checks.ids_within(ids, who)
    if ids.ndim != 1:
        raise ValueError(
            f"{who}: `ids` must be one sentence (time,), received shape {ids.shape}; "
            "ask for one at a time."
        )
    n_tokens = len(ids)
    max_delay = n_tokens - 1 if max_delay is None else max_delay
    alone = np.eye(n_tokens, dtype=bool)
    load_keras()
    from state_gradients.engine.means import mean_state_gradients

    return mean_state_gradients(
        model, ids, max_delay=max_delay, positions=alone, **options
    )
