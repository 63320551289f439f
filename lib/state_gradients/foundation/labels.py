"""Labelling: plain arrays get named axes, and results say what they mean."""

import itertools

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.foundation.checks import as_array, real, short

RAW = "state unit / embedding unit"  # of a gradient that does not say its units
# name: (long name, units or None for the gradient's own, equation)
MEANING = {
    # Training, where it applies
    "far_above_guessing": (
        "whether the validation perplexity was far above that of a uniform guess",
        "1",
        "perplexity > 10 x number of types",
    ),
    "n_drawn_vectors": (
        "word types whose frozen vector was drawn",
        "types",
        "uniform(-0.05, 0.05)",
    ),
    # Gradients, spectra, decays
    "state_gradient": ("mean state gradient", None, "mean of ds_t / de_(t - delay)"),
    "second_moment": (
        "mean of the gradient's Gram matrix",
        "(state unit / embedding unit)^2",
        "mean of G^T G",
    ),
    "influence": (
        "what a step of the input changes in the words predicted",
        "nat / (embedding unit)^2",
        "mean of G^T F G",
    ),
    "whitened_gradient": (
        "state gradient with respect to the whitened embedding",
        "state unit / standard deviation",
        "Eq. 10: G D",
    ),
    "n_samples": ("positions averaged over", "1", "number of t whose input counts"),
    "embedding_variance": ("variance along the principal axes", "1", "eig(cov_e)"),
    "condition_number": ("condition number of Z", "1", "Eq. 7"),
    "u": ("left singular vectors: directions in the state space", "1", "Eq. 1"),
    "s": ("singular values", None, "Eq. 1"),
    "vt": ("right singular vectors: directions in the embedding space", "1", "Eq. 1"),
    "memory": ("largest singular value", None, "sigma_1"),
    "total": ("sum of the singular values", None, "sum sigma"),
    "selectivity": ("share of the largest", "1", "sigma_1 / sum sigma"),
    "selectivity_5": ("share of the five largest", "1", "sum_5 sigma / sum sigma"),
    "effective_rank": ("effective rank", "1", "exp(-sum p ln p), p = sigma / sum"),
    "a": ("fitted scale of the decay", None, "Eq. 13"),
    "b": ("fitted rate of the decay", "1 / token", "Eq. 13"),
    "beta": ("stretching exponent", "1", "sigma_1 = a exp(-b tau^beta)"),
    "m": ("exponent of the damped power, plus one", "1", "sigma_1 = a k^(m-1) rho^k"),
    "r_squared": ("explained share of the variance", "1", "1 - RSS / TSS"),
    "converged": ("whether the fit succeeded", "1", "Eq. 13"),
    "aic": ("Akaike information criterion", "1", "2 k + n (ln(2 pi RSS / n) + 1)"),
    "direction": ("direction of a property, whitened", "1", "Eq. 14"),
    "relative_memory": ("memory relative to the best direction", "1", "Eq. 20"),
    "subspace_cosine": ("cosine with the best directions", "1", "Eq. 16"),
    "relative_memory_estimate": (
        "the same without the noise of a step between few words",
        "1",
        "Eq. 20, of d without its variance over resamples",
    ),
    "relative_memory_lower": ("lower end of its 95 % interval", "1", "resampled types"),
    "relative_memory_upper": ("upper end of its 95 % interval", "1", "resampled types"),
    "chance_lower": ("lower end of the band by chance", "1", "5 % quantile of m"),
    "chance_middle": ("root mean square by chance", "1", "sqrt mean m^2"),
    "chance_upper": ("upper end of the band by chance", "1", "95 % quantile of m"),
    "step_length": ("length of the step between the halves", "deviation", "|d|"),
    "noise_share": ("share of its square that is noise", "1", "sum N_k / |d|^2"),
    "feature_memory": (
        "memory of one feature: length of its column, times its standard deviation",
        "state unit / standard deviation",
        "||G_f|| sd(x_f)",
    ),
    # Uncertainty
    "observed": ("statistic of the mean gradient", None, "as its quantity"),
    "estimate": ("the same without the bias of noise", None, "observed - bias"),
    "lower": ("lower end of the confidence interval", None, "estimate - t SE"),
    "upper": ("upper end of the confidence interval", None, "estimate + t SE"),
    "standard_error": ("standard error", None, "larger of bootstrap and jackknife"),
    # Cancellation
    "rms_s": ("root-mean-square singular values", None, "sqrt eig M, M = E[G^T G]"),
    "rms_memory": ("memory that averaging cannot cancel", None, "largest sqrt eig M"),
    "tolerance_error": (
        "distance from the exact chain, of inputs that went both ways",
        "1",
        "|sum G - sum G exact| / |sum G exact|",
    ),
    "coherence": ("share of it that averaging leaves", "1", "sigma_1 / rms_memory"),
    # Training
    "train_perplexity": ("training perplexity, with dropout", "1", "exp(mean -ln p)"),
    "valid_perplexity": ("validation perplexity", "1", "exp(mean -ln p)"),
    "learning_rate": ("learning rate", "1", "rate * decay^max(k - decay_after, 0)"),
    "seconds": ("wall time of the epoch", "s", "measured"),
    "valid_perplexity_final": (
        "validation perplexity, cut as in training",
        "1",
        "exp(mean of -ln p)",
    ),
    "test_perplexity": ("test perplexity, 1 x 1", "1", "exp(mean of -ln p)"),
    "epochs_run": ("epochs run", "1", "measured"),
    "valid_accuracy": (
        "share of the validation text's tokens at which the right class is named",
        "1",
        "right / asked",
    ),
    "test_accuracy": (
        "share of the test text's tokens at which the right class is named",
        "1",
        "right / asked",
    ),
    "guess_accuracy": (
        "the same of the validation text, if the commonest class is always named",
        "1",
        "right / asked",
    ),
    "n_parameters": ("parameters, all layers", "1", "measured"),
}


# Where a value may be missing, and why.
MISSING = dict.fromkeys(
    ("selectivity", "selectivity_5", "effective_rank"), "where the gradient is 0"
) | {"coherence": "where the squares that it is of are below float32"}
MISSING |= dict.fromkeys(
    (
        *("relative_memory", "relative_memory_lower", "relative_memory_upper"),
        *("chance_lower", "chance_middle", "chance_upper"),
    ),
    "where the gradient is 0",
)
MISSING["relative_memory_estimate"] = (
    "where the gradient is 0, or the step no longer than its noise"
)


def about(name, units=RAW, *, meaning=MEANING):
    """Return what a variable of `meaning` means, a dict of attributes."""
    long_name, own, equation = meaning[name]
    return {"long_name": long_name, "units": own or units, "equation": equation}


def described(units=RAW, **variables):
    """Return a Dataset whose variables carry what they mean as attributes.

    Parameters
    ----------
    units : str
        Of the gradient that the variables come from.
    **variables : DataArray
        Names from `MEANING`. Those of `MISSING` that lack values say why.
    """
    found = xr.Dataset(variables)
    for name in variables:
        found[name].attrs = about(name, units)
        if name in MISSING and found[name].isnull().any():
            found[name].attrs["missing"] = MISSING[name]
    return found


def labelled(array, what, *names, n_core, finite=True):
    """Return a float64 DataArray that has the last `n_core` of `names` as axes.

    A plain array's axes are named from the last; a DataArray keeps its own names, and
    a Series its index as labels, if that does not just count from 0.

    Raises
    ------
    ValueError
        If an axis is missing, there is no value, or (`finite`) one is not finite; the
        message calls the array `what`.
    """
    if isinstance(array, pd.Series) and not array.index.equals(
        pd.RangeIndex(len(array))
    ):
        array = xr.DataArray(array.to_numpy(), {names[-1]: array.index.to_numpy()})
    if not isinstance(array, xr.DataArray):
        array = real(as_array(array, "spectra", what), "spectra", what)
        fits = 0 < array.ndim <= len(names)
        array = xr.DataArray(array, dims=names[-array.ndim :] if fits else None)
    real(array, "spectra", what)
    core, n_bad = names[-n_core:], np.count_nonzero(~np.isfinite(array)) * finite
    if not set(core) <= set(array.dims) or not array.size or n_bad:
        raise ValueError(
            f"spectra: `{what}` must have the axes {core} and finite values, received "
            f"{dict(array.sizes)} with {n_bad} non-finite values; name the axes, and "
            "check the training for divergence."
        )
    return array.astype(np.float64, copy=False)


def names_of(array, axis):
    """Return the names along an axis of a DataArray, or of columns, or None."""
    if isinstance(array, xr.DataArray):
        return array[axis].values if axis in array.indexes else None
    columns = getattr(array, "columns", None)  # of a DataFrame
    return None if columns is None else np.asarray(columns)


def require_same_names(who, axis, names):
    """Refuse arrays that name the entries of an axis otherwise, or in another order.

    Parameters
    ----------
    who, axis : str
    names : dict of str to ndarray or None
        By what the message calls the arrays; None are of an array that has no names.

    Raises
    ------
    ValueError
        In the name of the function `who`.
    """
    named = [(what, own.tolist()) for what, own in names.items() if own is not None]
    for (one, first), (other, second) in itertools.pairwise(named):
        if first != second:
            raise ValueError(
                f"{who}: {one} and {other} must have the same names along `{axis}`, in "
                f"one order, received {short(first)} and {short(second)}; put one into "
                "the order of the other."
            )


def require_same_labels(*arrays):
    """Refuse DataArrays whose labels differ along an axis that they share.

    Raises
    ------
    ValueError
        If they are not the same, in one order.
    """
    for axis in {axis: None for array in arrays for axis in array.dims}:
        names = {f"argument {k}": names_of(x, axis) for k, x in enumerate(arrays, 1)}
        require_same_names("spectra", axis, names)


def apply(function, *arrays, inputs, outputs, **options):
    """Call `function` on labelled arrays; "state embedding" names two core axes.

    Raises
    ------
    ValueError
        If the labels of an axis that arrays share are not the same, in one order.
    """
    inputs, outputs = ([axes.split() for axes in each] for each in (inputs, outputs))
    require_same_labels(*arrays)
    return xr.apply_ufunc(
        function, *arrays, input_core_dims=inputs, output_core_dims=outputs, **options
    )
