"""From mean gradients to the curves that the pages draw, with their intervals.

raw G and whitened G D  ->  singular values, memory, selectivity, coherence
"""

import numpy as np
import xarray as xr

from state_gradients.analysis import spectra, uncertainty, whitening
from state_gradients.foundation.labels import described

KEPT_DIRECTIONS = 10  # right singular vectors that the spectra keep


def pooled(blocks):
    """Return the means over a whole text from those of its blocks.

    Parameters
    ----------
    blocks : Dataset
        Means (block, ..), among them ``state_gradient``, and ``n_samples`` (block, ..).
    """
    in_block = blocks["n_samples"]
    in_text = in_block.sum("block")
    share = in_block / in_text

    def over_text(means):
        if (in_block == 0).any():
            means = means.fillna(0)  # a block without samples has no mean, and share 0
        weighted = xr.dot(means, share, dim="block")
        return weighted.transpose(*(dim for dim in means.dims if dim != "block"))

    means = {
        name: over_text(mean)
        for name, mean in blocks.items()
        if "block" in mean.dims and name != "n_samples"
    }
    return described(n_samples=in_text, **means)


def whitenings(embedding, shrinkage=None):
    """Return {name: Whitening or None}, the ways to measure inputs, and a note."""
    try:
        fitted = whitening.fit_whitening(embedding, shrinkage=shrinkage)
    except ValueError as error:  # a singular covariance, as that of one-hot input
        return {"raw": None}, f"raw gradients only. {error}"
    by = f"whitened by a covariance that is shrunk by {fitted.shrinkage:.3g}."
    return {"raw": None, "whitened": fitted}, "" if shrinkage is None else by


def _joined(parts):
    names = xr.Variable("normalization", list(parts))
    joined = xr.concat(parts.values(), names, combine_attrs="drop_conflicts")
    for name in {"memory", "total", "s", "rms_s", "rms_memory"} & set(joined):
        joined[name].attrs["units"] = "state unit / embedding unit or deviation"
    order = ("state_kind", "group", "normalization", "delay", ...)
    return joined.transpose(*order, missing_dims="ignore")


def spectra_of(gradient, embedding, second_moment=None, *, shrinkage=None):
    """Return singular values and the curves of memory, whitened and not.

    Parameters
    ----------
    gradient : DataArray of shape (..., delay, state, embedding)
    embedding : array_like or DataArray of shape (vocabulary, embedding)
    second_moment : DataArray of shape (..., delay, embedding, embedding_2), optional
        For ``rms_s``, ``rms_memory`` and ``coherence``.
    shrinkage : "auto" or float, optional
        Of :func:`state_gradients.analysis.whitening.fit_whitening`.

    Returns
    -------
    xarray.Dataset
        With a ``normalization`` axis, "raw" and "whitened"; raw alone where the
        embedding's covariance is singular, as the attribute ``note`` then says. It also
        says by how much the covariance was shrunk.
    """
    versions, note = whitenings(embedding, shrinkage)
    parts = {}
    for name, fitted in versions.items():
        one, moment, stretch = gradient, second_moment, 1.0
        if fitted is not None:
            one = whitening.whiten_gradient(gradient, fitted)
        svd = spectra.decompose(one)
        curve = spectra.memory_curve(svd)
        first = svd["vt"].isel(component=slice(KEPT_DIRECTIONS))
        curve["s"] = svd["s"]
        curve["vt"] = first.rename(component="direction").astype(np.float32)
        if moment is not None:
            if fitted is not None:
                moment = whitening.whiten_moment(moment, fitted)
                stretch = np.linalg.norm(fitted.D, 2) ** 2
            # a mean of Gram matrices may have more directions than one gradient has
            rms = spectra.coherence(one, moment, stretch=stretch)
            rms = rms.isel(component=slice(svd.sizes["component"]))
            curve = curve.assign(rms.data_vars)
        parts[name] = curve
    return _joined(parts).assign_attrs(note=note)


def spread_of(embedding):
    """Return an embedding's variances by axis, and Z's condition number if it has one.

    Parameters
    ----------
    embedding : DataArray of shape (vocabulary, embedding)

    Raises
    ------
    ValueError
        If it cannot be whitened although it is not one-hot.
    """
    table = embedding.values.astype(np.float64)
    variances = np.linalg.eigvalsh(np.cov(table, rowvar=False))[::-1]
    about = {"embedding_variance": xr.DataArray(variances, dims="axis")}
    if not np.array_equal(table, np.eye(*table.shape)):
        number = whitening.fit_whitening(table).condition_number
        about["condition_number"] = xr.DataArray(number)
    return described(**about)


def intervals(blocks, embedding, *, seed=0):
    """Return 95 % intervals of the memory curves, whitened and not.

    Parameters
    ----------
    blocks : Dataset
        Means of each block, as :func:`uncertainty.block_bootstrap` takes them.
    embedding : DataArray of shape (vocabulary, embedding)

    Returns
    -------
    xarray.Dataset
        ``estimate``, ``lower``, ``upper``, .. (state_kind, group, normalization, delay,
        quantity).
    """
    parts = {}
    for name, fitted in whitenings(embedding)[0].items():

        def statistic(gradient, fitted=fitted):
            if fitted is not None:
                gradient = whitening.whiten_gradient(gradient, fitted)
            return spectra.memory_curve(gradient)

        parts[name] = uncertainty.block_bootstrap(
            blocks, statistic, seed=seed, vectorized=True
        )
    without_units = {name: part.drop_vars("units") for name, part in parts.items()}
    units = "of its quantity; raw per embedding unit, whitened per deviation"
    return _joined(without_units).assign_attrs(units=units)
