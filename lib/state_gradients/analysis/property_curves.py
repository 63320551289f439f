"""A property of words by delay: how well it is remembered, and what chance makes of it.

The labelled face of :mod:`state_gradients.analysis.properties`: from mean gradients and
an embedding to m of Eq. 20 at every delay, with its interval and two bands by chance,
of directions drawn at random and of the same words split at random.
"""

import functools
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from state_gradients.analysis import properties, spectra
from state_gradients.analysis.properties import Halves
from state_gradients.analysis.whitening import (
    Whitening,
    fit_whitening,
    whiten_gradient,
)
from state_gradients.foundation.checks import in_own_name
from state_gradients.foundation.labels import apply, described

NULLS = "random directions", "random splits"  # by which a property is remembered
LEAST_STEP = 1e-10  # in standard deviations: below it is rounding, and no direction
N_RESAMPLES, N_SPLITS, N_DIRECTIONS = 1_000, 1_000, 20_000
_OWN = "observed", "estimate", "lower", "upper"  # of a measure
_ENDS = "lower", "middle", "upper"  # of a band by chance


@in_own_name
def whitened_step(
    embedding: ArrayLike,
    halves: Halves,
    *,
    shrinkage: float | Literal["auto"] | None = None,
) -> tuple[Whitening, np.ndarray, np.ndarray]:
    """Return the whitening of an embedding, its whitened rows, and a property's step.

    Parameters
    ----------
    embedding : array_like or DataArray of shape (vocabulary, embedding)
    halves : Halves
    shrinkage : "auto" or float, optional
        Of :func:`state_gradients.analysis.whitening.fit_whitening`.

    Returns
    -------
    whitening : Whitening
    table : ndarray of shape (vocabulary, embedding)
    step : ndarray of shape (embedding,)

    Raises
    ------
    ValueError
        If a half has fewer than two words, the embedding cannot be whitened, or the
        means of the halves are the same.
    """
    properties.require_halves(halves)
    whitening = fit_whitening(embedding, shrinkage=shrinkage)
    table = (np.asarray(embedding, np.float64) - whitening.mean) @ whitening.Z.T
    step = properties.step_between(table, halves)
    if np.linalg.norm(step) <= LEAST_STEP:
        raise ValueError(
            "properties: the means of the halves must differ, received a step of "
            f"length {np.linalg.norm(step):.1e} between them: it has no direction."
        )
    return whitening, table, step


@in_own_name
def property_curves(
    gradient: ArrayLike,
    embedding: ArrayLike,
    halves: Halves,
    *,
    shrinkage: float | Literal["auto"] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Return how well a property is remembered by delay, and what chance makes of it.

    Parameters
    ----------
    gradient : array_like or DataArray of shape (..., delay, state, embedding)
        Raw: with respect to the embedding as it is.
    embedding : array_like or DataArray of shape (vocabulary, embedding)
    halves : Halves
    shrinkage : "auto" or float, optional
        Of :func:`state_gradients.analysis.whitening.fit_whitening`.
    seed : int

    Returns
    -------
    Dataset
        ``relative_memory`` (..., delay), m of Eq. 20; ``relative_memory_estimate``,
        ``_lower``, ``_upper``, the same without the noise of a step between few words,
        and the ends of its 95 % interval; ``chance_lower``, ``chance_middle``,
        ``chance_upper`` (null, ..., delay), the 90 % band of directions drawn at
        random and of the same words split at random; ``direction`` (embedding),
        whitened and of unit length; ``step_length`` in standard deviations, and
        ``noise_share`` of its square. NaN where the gradient is 0.

    Raises
    ------
    ValueError
        As :func:`whitened_step`, and if the gradient does not fit the embedding, or a
        half holds anything but whole numbers.

    Examples
    --------
    A network that keeps the first component whole, and half of the second:

    >>> import numpy as np
    >>> from state_gradients.analysis.properties import Halves
    >>> from state_gradients.analysis.property_curves import property_curves
    >>> table = np.array([[3.0, 1], [3, -1], [-3, 1], [-3, -1]]) * 0.75**0.5 / [3, 1]
    >>> second = Halves(table[:, 1] > 0, table[:, 1] < 0)
    >>> curves = property_curves([np.diag([1.0, 0.5])], table, second)
    >>> curves["relative_memory"].values.round(3).tolist()
    [0.5]
    >>> middle = curves["chance_middle"].sel(null="random directions")
    >>> middle.values.round(3).tolist()  # sqrt((1 + 1 / 4) / 2)
    [0.791]
    """
    halves = properties.read_halves(halves)
    whitening, table, step = whitened_step(embedding, halves, shrinkage=shrinkage)
    length = np.linalg.norm(step)
    steps = {
        "step": step,
        "resampled": properties.resampled_steps(
            table, halves, n=N_RESAMPLES, seed=seed
        ),
        "split": properties.split_steps(table, halves, n=N_SPLITS, seed=seed),
    }
    svd = spectra.decompose(whiten_gradient(gradient, whitening))
    cosines = properties.random_cosines(table.shape[1], n=N_DIRECTIONS, seed=seed)
    found = apply(
        functools.partial(_memory_at, steps=steps, cosines=cosines),
        svd["s"],
        svd["vt"],
        inputs=["component", "component embedding"],
        outputs=["", "", "", "", "null", "null", "null"],
        vectorize=True,
    )
    names = [f"relative_memory{end}" for end in ("", "_estimate", "_lower", "_upper")]
    names += [f"chance_{end}" for end in _ENDS]
    curves = dict(zip(names, found, strict=True))
    curves |= {
        "direction": xr.DataArray(step / length, dims="embedding"),
        "step_length": xr.DataArray(length),
        "noise_share": xr.DataArray(properties.noise_share(step, steps["resampled"])),
    }
    curves = {
        name: one.transpose("null", ...) if "null" in one.dims else one
        for name, one in curves.items()
    }
    return described(**curves).assign_coords(null=[*NULLS])


def _memory_at(s, vt, *, steps, cosines):
    """Return m of a property at one delay: own measures, then the ends by chance."""
    if s[0] == 0:
        return *[np.nan] * len(_OWN), *[np.full(len(NULLS), np.nan)] * len(_ENDS)
    weighted = properties.weights(s, ())
    own = properties.without_noise(steps["step"], steps["resampled"], vt, weighted)
    bands = [
        properties.chance_of_m(s, vt.shape[1], cosines=cosines),
        properties.band(properties.measure(steps["split"], vt, weighted)),
    ]
    ends = [np.array([np.squeeze(one[end]) for one in bands]) for end in _ENDS]
    return *(own[name].item() for name in _OWN), *ends
