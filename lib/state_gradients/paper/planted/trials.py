"""What the library says of planted networks, beside what is known of them.

Closing gates leave of a text the share of inputs whose trace no shut gate has met:

    p_tau = share of inputs t - tau with no gate shut at t - tau + 1, .., t

Its expectation is (1 - q)^tau. Two positions l < tau apart share tau - l gates, so that
their traces are kept together with probability (1 - q)^(tau + l), and over N inputs

    var p_tau = 1/N (g_0 + 2 sum_{l=1}^{tau-1} g_l),
    g_l = (1 - q)^(tau + l) - (1 - q)^(2 tau)
"""

import numpy as np
import xarray as xr
from scipy.special import entr

from state_gradients.analysis import spectra, uncertainty, whitening
from state_gradients.analysis.decays import ALL_LAWS, compare_decays, fit_decay
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.planted.networks import CHANNELS

QUANTITIES = (
    *("memory", "total", "selectivity", "effective_rank"),
    *("rms_memory", "coherence"),
)
ROUND_OFF = 1e-9  # of an end of an interval that has no width


def truth(planted, max_delay):
    """Return what the formula says of a network, each quantity (delay,).

    Parameters
    ----------
    planted : networks.Planted
    max_delay : int

    Returns
    -------
    xarray.Dataset
        `QUANTITIES`; shares of nothing are NaN.
    """
    s = planted.singular_values(max_delay)
    rms_memory = planted.singular_values(max_delay, rms=True).max("component")
    total = s.sum("component")
    share = s / total.where(total > 0)
    entropy = xr.apply_ufunc(entr, share).sum("component", skipna=False)
    memory = s.max("component")
    values = (memory, total, share.max("component"), np.exp(entropy), rms_memory)
    coherence = memory / rms_memory.where(rms_memory > 0)
    return xr.Dataset(dict(zip(QUANTITIES, (*values, coherence), strict=True)))


def measured(planted, ids, *, max_delay, dtype="float64"):
    """Return the same as the library measures it, on a text.

    Returns
    -------
    xarray.Dataset
        `QUANTITIES` (normalization, delay), "raw" and "whitened".
    """
    load_keras()
    from state_gradients.engine.means import mean_state_gradients

    means = mean_state_gradients(
        planted.model, ids, max_delay=max_delay, second_moment=True, dtype=dtype
    )
    gradient, moment = means["state_gradient"], means["second_moment"]
    fitted = whitening.fit_whitening(planted.model.layers[0].get_weights()[0])
    white = whitening.whiten_gradient(gradient, fitted)
    pairs = {
        "raw": (gradient, moment),
        "whitened": (white, whitening.whiten_moment(moment, fitted)),
    }
    parts = [
        xr.merge([spectra.memory_curve(g), spectra.coherence(g, m)])[list(QUANTITIES)]
        for g, m in pairs.values()
    ]
    names = xr.Variable("normalization", list(pairs))
    return xr.concat(parts, names, combine_attrs="drop")


def beside(planted, ids, *, max_delay):
    """Return measured and known quantities of a network.

    Returns
    -------
    xarray.Dataset
        `QUANTITIES` (source, delay), "measured" (whitened) and "formula".
    """
    found = measured(planted, ids, max_delay=max_delay)
    found = found.sel(normalization="whitened", drop=True)
    sources = xr.Variable("source", ["measured", "formula"])
    both = [found, truth(planted, max_delay)]
    return xr.concat(both, sources, combine_attrs="drop")


def fitted(memory):
    """Return what the fits say of a memory curve.

    Parameters
    ----------
    memory : DataArray of shape (delay,)

    Returns
    -------
    dict of str to object
        ``rate`` and ``r_squared`` of `fit_decay`; of `compare_decays` the ``law`` of
        the lowest AIC among the three that it compares by default, its rate ``b``, and
        ``m`` and ``rate_of_power``, those of the damped power.
    """
    decay = fit_decay(memory)
    three = compare_decays(memory)
    damped = compare_decays(memory, laws=ALL_LAWS).sel(law="damped power")
    law = three["aic"].idxmin("law").item()
    return {
        "rate": float(decay["b"]),
        "scale": float(decay["a"]),
        "r_squared": float(decay["r_squared"]),
        "law": str(law),
        "b": float(three["b"].sel(law=law)),
        "m": float(damped["m"]),
        "rate_of_power": float(damped["b"]),
    }


def kept_shares(shut, delays, n_blocks):
    """Return which share of the inputs of each block no gate has shut out.

    Parameters
    ----------
    shut : ndarray of bool, shape (..., time)
        Whether a gate shuts at a word.
    delays : sequence of int
    n_blocks : int
        Of equal length, to one input, as `mean_state_gradients` cuts a text.

    Returns
    -------
    shares : ndarray of shape (block, delay, ...)
    n_samples : ndarray of int, shape (block, delay)
    """
    n_tokens = shut.shape[-1]
    far = n_tokens + max(delays) + 1
    places = np.where(shut, np.arange(n_tokens), far)
    nearest = np.minimum.accumulate(places[..., ::-1], axis=-1)[..., ::-1]
    after = np.concatenate([nearest[..., 1:], np.full_like(nearest[..., :1], far)], -1)
    lasts = after - np.arange(n_tokens)  # so many words on, the trace is shut out
    shares, n_samples = [], []
    block = np.arange(n_tokens) * n_blocks // n_tokens
    for number in range(n_blocks):
        inputs = np.flatnonzero(block == number)
        within = [inputs[inputs < n_tokens - delay] for delay in delays]
        shares.append(
            [(lasts[..., i] > d).mean(-1) for i, d in zip(within, delays, strict=True)]
        )
        n_samples.append([len(i) for i in within])
    return np.array(shares), np.array(n_samples)


def drawn_blocks(n_texts, *, delays, share, apart, n_blocks=32, length=128, seed=0):
    """Return the blocks' mean gradients of closing gates over texts drawn at random.

    They are those that `mean_state_gradients` gives with ``blocks``, divided by what
    enters, and found by counting: a test holds one text against the engine.

    Parameters
    ----------
    n_texts : int
    delays : sequence of int
    share, apart
        Of :func:`state_gradients.paper.planted.networks.closing_gates`.
    n_blocks, length : int
        Blocks of a text, and their length, five times the longest delay or more.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``state_gradient`` (block, text, delay, state, embedding), ``n_samples``.
    """
    rng = np.random.default_rng(seed)
    shape = (n_texts, CHANNELS if apart else 1, n_blocks * length)
    shares, n_samples = kept_shares(rng.random(shape) < share, delays, n_blocks)
    on_diagonal = np.moveaxis(shares, 2, 1)[..., None] * np.eye(CHANNELS)
    gradients = ("block", "text", "delay", "state", "embedding")
    blocks = {
        "state_gradient": (gradients, on_diagonal),
        "n_samples": (("block", "delay"), n_samples),
    }
    return xr.Dataset(blocks, {"delay": list(delays)})


def coverage(blocks, share, *, seed=0):
    """Return how often 95 % intervals hold the truth, over texts.

    Parameters
    ----------
    blocks : Dataset
        Of :func:`drawn_blocks`.
    share : float

    Returns
    -------
    xarray.Dataset of shape (quantity, delay)
        ``held``, the share of texts; means over the texts of what is ``observed``,
        of the ``estimate`` without the bias of noise, and of the ``standard_error``;
        ``truth``.
    """
    kept = (1 - share) ** blocks["delay"].astype(float)
    known = {
        "memory": kept,
        "total": CHANNELS * kept,
        "selectivity": xr.full_like(kept, 1 / CHANNELS),
        "effective_rank": xr.full_like(kept, CHANNELS),
    }
    right = xr.Dataset(known).to_dataarray("quantity")
    found = uncertainty.block_bootstrap(blocks, spectra.memory_curve, seed=seed)
    found = found.sel(quantity=right["quantity"])
    above = found["lower"] <= right + ROUND_OFF
    below = right - ROUND_OFF <= found["upper"]
    averaged = ("observed", "estimate", "standard_error")
    means = {name: found[name].mean("text") for name in averaged}
    held = (above & below).mean("text")
    return xr.Dataset({"held": held, **means, "truth": right}).drop_attrs()


def standard_error(delay, share, n_inputs):
    """Return the standard deviation of p_tau over texts, by the formula above.

    Parameters
    ----------
    delay : int
    share : float
        q.
    n_inputs : int
        N.

    Examples
    --------
    At delay 1 neighbours share no gate: the error of a share of independent draws.

    >>> from state_gradients.paper.planted.trials import standard_error
    >>> round(standard_error(1, 0.5, 100), 3)
    0.05
    """
    apart = np.arange(delay)
    together = (1 - share) ** (delay + apart) - (1 - share) ** (2 * delay)
    weights = np.where(apart == 0, 1, 2)
    return float(np.sqrt(weights @ together / n_inputs)) if delay else 0.0
