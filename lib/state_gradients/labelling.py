"""Labelling: plain arrays get named axes, and results say what they mean."""

import numpy as np
import xarray as xr

from state_gradients import config

RAW = "state unit / embedding unit"  # of a gradient that does not say its units
# name: (long name, units or None for the gradient's own, equation)
MEANING = config.shipped("variables.yaml")


def about(name, units=RAW):
    """Return what a variable of `MEANING` means, a dict of attributes."""
    long_name, own, equation = MEANING[name]
    return {"long_name": long_name, "units": own or units, "equation": equation}


def described(units=RAW, **variables):
    """Return a Dataset whose variables carry what they mean as attributes.

    Parameters
    ----------
    units : str
        Of the gradient that the variables come from.
    **variables : DataArray
        Names from `MEANING`.
    """
    found = xr.Dataset(variables)
    for name in variables:
        found[name].attrs = about(name, units)
    return found


def labelled(array, what, *names, n_core, finite=True):
    """Return a float64 DataArray that has the last `n_core` of `names` as axes.

    A plain array's axes are named from the last; a DataArray keeps its own names.

    Raises
    ------
    ValueError
        If an axis is missing, there is no value, or (`finite`) one is not finite; the
        message calls the array `what`.
    """
    if not isinstance(array, xr.DataArray):
        array = np.asarray(array)
        fits = 0 < array.ndim <= len(names)
        array = xr.DataArray(array, dims=names[-array.ndim :] if fits else None)
    core, n_bad = names[-n_core:], np.count_nonzero(~np.isfinite(array)) * finite
    if not set(core) <= set(array.dims) or not array.size or n_bad:
        raise ValueError(
            f"spectra: `{what}` must have the axes {core} and finite values, received "
            f"{dict(array.sizes)} with {n_bad} non-finite values; name the axes, and "
            "check the training for divergence."
        )
    return array.astype(np.float64, copy=False)


def apply(function, *arrays, inputs, outputs, **options):
    """Call `function` on labelled arrays; "state embedding" names two core axes."""
    inputs, outputs = ([axes.split() for axes in each] for each in (inputs, outputs))
    return xr.apply_ufunc(
        function, *arrays, input_core_dims=inputs, output_core_dims=outputs, **options
    )
