"""One sentence, word by word: how long the network holds each of its words.

    memory of the word at t, tau words on:  sigma_1 of (ds_{t+tau} / de_t) D

The one module of this room that needs the engine, which it loads when it is called.
"""

import numpy as np

from state_gradients.analysis import spectra
from state_gradients.analysis.whitening import whiten_gradient


def sentence_memory(model, ids, *, max_delay=None, whitening=None, **options):
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
    """
    n_tokens = np.size(ids)
    max_delay = n_tokens - 1 if max_delay is None else max_delay
    alone = np.eye(n_tokens, dtype=bool)
    from state_gradients.engine.means import mean_state_gradients

    found = mean_state_gradients(
        model, ids, max_delay=max_delay, positions=alone, **options
    )
    gradient = found["state_gradient"].fillna(0)
    if whitening is not None:
        gradient = whiten_gradient(gradient, whitening)
    memory = spectra.memory_curve(gradient)["memory"].where(found["n_samples"] > 0)
    return memory.rename(group="token")
