"""Influence of an input on what is predicted: what its mean matrix says.

With M = E[G^T F G], nats per squared step (:mod:`state_gradients.engine.readouts`), a
small step d changes the prediction by d^T M d / 2 nats. Of its eigenvalues lambda

    influence        the largest, of the most telling step of length 1
    mean influence   the mean, of a random one
    effective rank   exp(-sum q ln q), q = lambda / sum: how many directions matter
"""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import entr

from state_gradients.analysis.whitening import (
    require_symmetric,
    require_whitening,
    whiten_moment,
)
from state_gradients.foundation.labels import labelled

AXES = ("group", "delay", "embedding", "embedding_2")
WHITENED = "nat / (standard deviation)^2"


def spectrum(influence: ArrayLike, whitening=None) -> xr.DataArray:
    """Return the eigenvalues of mean influences, the largest first.

    Parameters
    ----------
    influence : array_like or DataArray of shape (.., embedding, embedding_2)
    whitening : state_gradients.analysis.whitening.Whitening, optional
        Of the embedding; the eigenvalues are then those of D^T M D.

    Returns
    -------
    DataArray of shape (.., component)
        At least 0: what rounding leaves below is cut off.

    Raises
    ------
    ValueError
        If an axis is missing, a value not finite, or the influence not symmetric.
    """
    moment = labelled(influence, "influence", *AXES, n_core=2)
    require_symmetric(moment, "spectrum")
    if whitening is not None:
        require_whitening(whitening, "spectrum")
        moment = whiten_moment(moment, whitening)
    values = np.linalg.eigvalsh(moment.transpose(..., *AXES[2:]).values)
    dims = [dim for dim in moment.dims if dim not in AXES[2:]]
    coords = {dim: moment[dim] for dim in dims if dim in moment.coords}
    largest_first = np.maximum(values[..., ::-1], 0)
    return xr.DataArray(largest_first, dims=(*dims, "component"), coords=coords)


def influence_curve(influence: ArrayLike, whitening=None) -> xr.Dataset:
    """Return how much an input changes what is predicted, and in how many directions.

    Parameters
    ----------
    influence, whitening
        As of :func:`spectrum`.

    Returns
    -------
    Dataset of shape (..)
        ``influence`` and ``mean_influence``, in nats per squared step; and
        ``influence_rank``, NaN where there is no influence at all.

    Examples
    --------
    >>> from state_gradients.analysis.influence import influence_curve
    >>> curve = influence_curve([[[4.0, 0.0], [0.0, 4.0]], [[1.0, 0.0], [0.0, 0.0]]])
    >>> curve["influence"].values.tolist()
    [4.0, 1.0]
    >>> curve["influence_rank"].values.round(3).tolist()
    [2.0, 1.0]
    """
    values = spectrum(influence, whitening)
    total = values.sum("component")
    entropy = xr.apply_ufunc(entr, values / total).sum("component", skipna=False)
    units = WHITENED if whitening is not None else "nat / (embedding unit)^2"
    found = {
        "influence": ("largest influence", values.isel(component=0), units),
        "mean_influence": ("mean influence", values.mean("component"), units),
        "influence_rank": ("effective rank of the influence", np.exp(entropy), "1"),
    }
    curves = xr.Dataset({name: one for name, (_, one, _) in found.items()})
    for name, (long_name, _, unit) in found.items():
        equation = "of the eigenvalues of M" if unit == "1" else "eigenvalues of M"
        curves[name].attrs = {"long_name": long_name, "units": unit}
        curves[name].attrs["equation"] = equation
    return curves
