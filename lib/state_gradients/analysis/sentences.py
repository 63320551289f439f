"""One sentence, word by word: how long the network holds each of its words.

    memory of the word at t, tau words on:  sigma_1 of (ds_{t+tau} / de_t) D

The one module of this room that needs the engine, which it loads when it is called.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from state_gradients.analysis import spectra
from state_gradients.analysis.whitening import Whitening, whiten_gradient
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
    ids = checks.ids_within(ids, "sentence_memory")
    if ids.ndim != 1:
        raise ValueError(
            "sentence_memory: `ids` must be one sentence (time,), received shape "
            f"{ids.shape}; ask for one at a time."
        )
    n_tokens = len(ids)
    max_delay = n_tokens - 1 if max_delay is None else max_delay
    alone = np.eye(n_tokens, dtype=bool)
    load_keras()
    from state_gradients.engine.means import mean_state_gradients

    found = mean_state_gradients(
        model, ids, max_delay=max_delay, positions=alone, **options
    )
    gradient = found["state_gradient"].fillna(0)
    if whitening is not None:
        gradient = whiten_gradient(gradient, whitening)
    memory = spectra.memory_curve(gradient)["memory"].where(found["n_samples"] > 0)
    return memory.rename(group="token")
