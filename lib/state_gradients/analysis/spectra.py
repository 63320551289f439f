"""Spectra: what the singular values and vectors of mean state gradients say.

    G = U S V^T,  sigma_1 >= sigma_2 >= ... >= 0                          (Eq. 1)
    memory sigma_1,  selectivity sigma_1 / sum sigma                      (Sec. 4)
    coherence sigma_1(E[G]) / sqrt(lambda_1(E[G^T G]))
    sigma_1(tau) = a exp(-b tau)                                          (Eq. 13)
    d = Z (mean_a - mean_b), then scaled to unit length                   (Eq. 14)
    cos(d, H_n) = ||V_n^T d||,  m = ||G d|| / sigma_1                     (Eqs. 16, 20)

A DataArray keeps its names and coordinates; a plain array's axes are named from the
last: (group, delay, state, embedding), (group, delay) or (property, embedding).
Results are labelled and float64. Every function raises ValueError where an axis is
missing or a value is not finite. Decays: :mod:`state_gradients.analysis.decays`.
"""

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.special import entr

from state_gradients.analysis.decays import compare_decays as compare_decays
from state_gradients.analysis.decays import fit_decay as fit_decay
from state_gradients.analysis.whitening import (
    Whitening,
    require_symmetric,
    require_whitening,
)
from state_gradients.foundation.checks import in_own_name, whole_number
from state_gradients.foundation.labels import (
    RAW,
    apply,
    described,
    labelled,
    names_of,
    require_same_labels,
    require_same_names,
)


def _gradient(array):
    return labelled(array, "gradient", "group", "delay", "state", "embedding", n_core=2)


def _unit(array):
    array = labelled(array, "direction", "property", "embedding", n_core=1)
    length = np.sqrt((array**2).sum("embedding"))
    # A unit vector kept in float32 is off by up to 6e-8; Eqs. 16 and 19 need length 1.
    if np.any(np.abs(length - 1) > 1e-6):
        raise ValueError(
            f"spectra: `direction` must have length 1, received {length.values}; "
            "divide by the norm, as property_direction does."
        )
    return array


def _signed_svd(gradient):
    u, s, vt = np.linalg.svd(gradient, full_matrices=False)
    # G = sum_i s_i u_i v_i^T is unchanged when u_i and v_i change sign together: let
    # v_i's entry of largest magnitude be positive (cf. scikit-learn's svd_flip).
    largest = np.take_along_axis(vt, np.abs(vt).argmax(-1, keepdims=True), axis=-1)
    sign = np.copysign(1.0, largest)  # (..., component, 1)
    return u * np.swapaxes(sign, -1, -2), s, vt * sign


@in_own_name
def decompose(gradient: ArrayLike) -> xr.Dataset:
    """Return the reduced singular value decomposition of each state gradient (Eq. 1).

    Parameters
    ----------
    gradient : array_like or DataArray of shape (..., state, embedding)

    Returns
    -------
    Dataset
        ``u`` (..., state, component), ``s`` (..., component) in the gradient's units,
        ``vt`` (..., component, embedding), its entry of largest magnitude in each row
        positive. The coordinate ``component`` counts from 1, as sigma_1 does.

    Examples
    --------
    >>> import state_gradients as sg
    >>> svd = sg.decompose([[3.0, 0.0], [0.0, 4.0]])
    >>> svd["s"].values.round(3).tolist()
    [4.0, 3.0]
    >>> svd["vt"].sel(component=1).values.round(3).tolist()  # the best remembered
    [0.0, 1.0]
    """
    gradient = _gradient(gradient)
    outputs = ["state component", "component", "component embedding"]
    u, s, vt = apply(_signed_svd, gradient, inputs=["state embedding"], outputs=outputs)
    svd = described(gradient.attrs.get("units", RAW), u=u, s=s, vt=vt)
    return svd.assign_coords(component=np.arange(1, svd.sizes["component"] + 1))


def _singular_values(gradient):
    """Return sigma and its units; of gradients without forming U and V."""
    if isinstance(gradient, xr.Dataset):
        s = gradient["s"].astype(np.float64)
    else:
        gradient = _gradient(gradient)
        axes = {"inputs": ["state embedding"], "outputs": ["component"]}
        s = apply(np.linalg.svdvals, gradient, **axes, keep_attrs=True)
    return s, s.attrs.get("units", RAW)


@in_own_name
def memory_curve(gradient: ArrayLike | xr.Dataset) -> xr.Dataset:
    """Return how much, and how selectively, each gradient remembers.

    Parameters
    ----------
    gradient : array_like or DataArray of shape (..., state, embedding), or Dataset
        State gradients, or their decomposition with all its singular values ``s``.

    Returns
    -------
    Dataset of shape (...)
        ``memory`` sigma_1 and ``total`` sum sigma, in the gradient's units;
        ``selectivity`` sigma_1 / sum, ``selectivity_5`` (sum of the first five) / sum,
        ``effective_rank``, from 1 to the number of components: NaN for a zero gradient.

    Examples
    --------
    >>> import state_gradients as sg
    >>> curve = sg.memory_curve([[[3.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [0.0, 1.0]]])
    >>> curve["memory"].values.round(3).tolist()  # at delays 0 and 1
    [3.0, 1.0]
    >>> curve["selectivity"].values.round(3).tolist()
    [0.75, 0.5]
    """
    s, units = _singular_values(gradient)
    total = s.sum("component")
    share = s / total  # 0 / 0 is NaN
    entropy = xr.apply_ufunc(entr, share).sum("component", skipna=False)
    return described(
        units,
        memory=s.isel(component=0, drop=True),
        total=total,
        selectivity=share.isel(component=0, drop=True),
        selectivity_5=share[{"component": slice(5)}].sum("component", skipna=False),
        effective_rank=np.exp(entropy),  # Roy and Vetterli (2007)
    )


@in_own_name
def coherence(
    gradient: ArrayLike, second_moment: ArrayLike, *, stretch: float = 1.0
) -> xr.Dataset:
    """Return how much of the memory averaging leaves: 1 if all agree, 0 if they cancel.

    With M = E[G^T G], no direction's mean response exceeds its root mean square,
    ||E[G] v||^2 <= E ||G v||^2 = v^T M v (Jensen), so that sigma_1 of the mean is at
    most sqrt(lambda_1(M)), the memory that averaging cannot cancel.

    Parameters
    ----------
    gradient : array_like or DataArray of shape (..., state, embedding)
        Mean state gradients.
    second_moment : array_like or DataArray of shape (..., embedding, embedding_2)
        M, over the same positions; whitened (`whiten_moment`) if the gradient is.
    stretch : float
        How much larger whitening has made the largest of M: sigma_1(D)^2.

    Returns
    -------
    Dataset of shape (...)
        ``rms_s`` (..., component), the root-mean-square singular values sqrt(lambda);
        ``rms_memory``, the largest; ``coherence`` sigma_1 / rms_memory, NaN where that
        is 0, or so small that float32, in which the squares are summed, may have lost a
        thousandth of it: below 4e-16 for 256 states and 64 components.

    Raises
    ------
    ValueError
        If the second moment is not symmetric, or not that of the gradient's positions.

    Examples
    --------
    Three positions agree, and one pulls the other way: half is left.

    >>> import numpy as np
    >>> import state_gradients as sg
    >>> each = np.array([1.0, 1.0, 1.0, -1.0])[:, None, None] * np.eye(2)
    >>> moment = (each.swapaxes(1, 2) @ each).mean(axis=0)
    >>> round(float(sg.coherence(each.mean(axis=0), moment)["coherence"]), 3)
    0.5
    """
    gradient = _gradient(gradient)
    names = ("group", "delay", "embedding", "embedding_2")
    moment = labelled(second_moment, "second_moment", *names, n_core=2)
    require_symmetric(moment, "coherence")
    require_same_labels(gradient, moment)
    axes = {"inputs": ["embedding embedding_2"], "outputs": ["component"]}
    eigenvalues = apply(np.linalg.eigvalsh, moment, **axes)[..., ::-1]
    rms_s = np.sqrt(np.maximum(eigenvalues, 0))  # round-off may leave -1e-17
    rms_memory = rms_s.isel(component=0, drop=True)
    sigma, units = _singular_values(gradient)
    # Squares below float32's `tiny` become 0, so that each of M's entries, a sum over
    # states, may lack n_states * tiny, and lambda_1 n_embedding times that (Weyl).
    n_summands = gradient.sizes["state"] * moment.sizes["embedding"]
    lost = stretch * n_summands * np.finfo(np.float32).tiny
    share = sigma.isel(component=0, drop=True) / rms_memory.where(
        rms_memory > np.sqrt(1e3 * lost)
    )
    if (share > 1.001).any():  # float32 sums err by 1e-5
        raise ValueError(
            "coherence: sigma_1 of `gradient` must not exceed the root mean square of "
            f"`second_moment`, received {float(share.max()):.4g} times that; give both "
            "raw or both whitened, over the same positions."
        )
    return described(units, rms_s=rms_s, rms_memory=rms_memory, coherence=share)


@in_own_name
def property_direction(
    a: ArrayLike, b: ArrayLike, whitening: Whitening
) -> xr.DataArray:
    """Return the unit direction from class b to class a in whitened space (Eq. 14).

    Parameters
    ----------
    a, b : array_like or DataArray of shape (..., embedding)
        Embeddings of the two classes, a row per (type, tag) pair, all of one weight.
    whitening : Whitening

    Returns
    -------
    DataArray of shape (embedding,)
        For whitened gradients. Length 1 after Z, as Eqs. 16 and 19 need and the
        released code has it; Eq. 14 as printed divides before Z.

    Raises
    ------
    ValueError
        If the means are the same, or do not match the whitening, in size or in names.

    Examples
    --------
    >>> import state_gradients as sg
    >>> plural, singular = [[1.0, 2.0], [1.0, 0.0]], [[-1.0, 2.0], [-1.0, 0.0]]
    >>> whitening = sg.fit_whitening(plural + singular)
    >>> sg.property_direction(plural, singular, whitening).values.round(3).tolist()
    [1.0, 0.0]
    """
    require_whitening(whitening, "property_direction")
    classes = [labelled(x, "class", "token", "embedding", n_core=1) for x in (a, b)]
    a, b = (x.mean([name for name in x.dims if name != "embedding"]) for x in classes)
    names = {"`a`": names_of(a, "embedding"), "`b`": names_of(b, "embedding")}
    names["the embeddings of `whitening`"] = whitening.names
    require_same_names("property_direction", "embedding", names)
    if not a.shape == b.shape == whitening.mean.shape or np.array_equal(a, b):
        raise ValueError(
            "property_direction: `a` and `b` must have different means, of the size "
            f"{len(whitening.mean)} of the whitening; received sizes {a.size} and "
            f"{b.size}; check the rows of each class."
        )
    step = whitening.Z @ (a.values - b.values)
    return described(direction=a.copy(data=step / np.linalg.norm(step)))["direction"]


@in_own_name
def relative_memory(gradient: ArrayLike, direction: ArrayLike) -> xr.DataArray:
    """Return m = ||G d|| / sigma_1, in 0..1 (Eq. 20); NaN for a zero gradient.

    Parameters
    ----------
    gradient : array_like or DataArray of shape (..., state, embedding)
    direction : array_like or DataArray of shape (..., embedding)
        Of unit length, in the space of the gradient.

    Returns
    -------
    DataArray of shape (...), the gradient's other axes before the direction's

    Examples
    --------
    >>> import state_gradients as sg
    >>> round(float(sg.relative_memory([[4.0, 0.0], [0.0, 1.0]], [0.0, 1.0])), 3)
    0.25
    """
    gradient = _gradient(gradient)
    axes = {"inputs": ["state embedding", "embedding"], "outputs": ["state"]}
    moved = apply(np.matvec, gradient, _unit(direction), **axes)
    sigma_1 = _singular_values(gradient)[0].isel(component=0)
    relative = moved / sigma_1  # before squaring: the square of 1e-200 is 0
    m = np.sqrt((relative**2).sum("state", skipna=False))
    return described(relative_memory=m)["relative_memory"]


@in_own_name
def subspace_cosine(
    gradient: ArrayLike | xr.Dataset, direction: ArrayLike, n: int
) -> xr.DataArray:
    """Return ||V_n^T d||, the cosine of d with H_n (Eq. 16); NaN where sigma_n is 0.

    Parameters
    ----------
    gradient : array_like, DataArray (..., state, embedding) or Dataset
        State gradients, or their decomposition (``s``, ``vt``).
    direction : array_like or DataArray of shape (..., embedding)
        Of unit length, in the space of the gradient.
    n : int
        How many of the best remembered directions (the released code takes n + 1).

    Returns
    -------
    DataArray of shape (...), the gradient's other axes before the direction's

    Examples
    --------
    >>> import state_gradients as sg
    >>> svd = sg.decompose([[4.0, 0.0, 0.0], [0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    >>> [round(float(sg.subspace_cosine(svd, [0.6, 0.8, 0], n)), 3) for n in (1, 2)]
    [0.6, 1.0]
    """
    svd = gradient if isinstance(gradient, xr.Dataset) else decompose(gradient)
    n = whole_number(n, "subspace_cosine", "n", least=1, most=svd.sizes["component"])
    best = svd[["s", "vt"]].isel(component=slice(n)).astype(np.float64)
    axes = {"inputs": ["component embedding", "embedding"], "outputs": ["component"]}
    cosines = apply(np.matvec, best["vt"], _unit(direction), **axes)
    cosine = np.sqrt((cosines**2).sum("component"))
    remembered = best["s"].isel(component=-1, drop=True) > 0
    return described(subspace_cosine=cosine.where(remembered))["subspace_cosine"]
