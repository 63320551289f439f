"""Whitening: gradients with respect to embeddings of equal variance in all directions.

Over the V word types, each counted once,

    cov_e = sum_i (e_i - mean) (e_i - mean)^T / (V - 1) = D D^T,  Z = D^-1  (Eqs. 6, 7)
    g = Z e,  hence  cov_g = Z D D^T Z^T = I                                (Eq. 5)
    ds/dg = (ds/de) D                                                       (Eqs. 8-10)

The paper divides by V, its released code by V - 1; we follow the code. The choice
scales every whitened gradient by sqrt(V / (V - 1)), 0.005 % at V = 10,000.

Of few types for their size the covariance is singular, or nearly so. Then it can be
shrunk towards equal variance in all directions, as scikit-learn does:

    (1 - delta) cov_e + delta tr(cov_e) / E I,   delta in 0..1
"""

import numbers
from dataclasses import dataclass
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.linalg import solve_triangular

from state_gradients.foundation.checks import as_array, in_own_name, real, short
from state_gradients.foundation.labels import (
    about,
    labelled,
    names_of,
    require_same_names,
)

SHRINK = "shrink the covariance (`shrinkage='auto'`, --shrinkage auto), "


@dataclass(frozen=True, eq=False)  # arrays have no single truth value to compare
class Whitening:
    """The change of variables g = Z e that gives the embeddings unit covariance.

    Parameters
    ----------
    mean : ndarray of shape (embedding,)
        Over word types; a constant shift, which no gradient sees.
    D : ndarray of shape (embedding, embedding)
        Lower Cholesky factor of the covariance, in embedding units. Any other D with
        D D^T = cov_e, say its symmetric root, gives the same singular values.
    Z : ndarray of shape (embedding, embedding)
        Inverse of D.
    shrinkage : float
        delta, by which the covariance was shrunk.
    names : ndarray of shape (embedding,), or None
        What the columns of the embeddings were called.

    Examples
    --------
    >>> import numpy as np
    >>> import state_gradients as sg
    >>> half = sg.Whitening(mean=np.zeros(1), D=np.array([[2.0]]), Z=np.array([[0.5]]))
    >>> half.Z @ [3.0]  # 3 is one and a half standard deviations of 2
    array([1.5])
    """

    mean: np.ndarray
    D: np.ndarray
    Z: np.ndarray
    shrinkage: float = 0.0
    names: np.ndarray | None = None

    @property
    def condition_number(self) -> float:
        """Largest over smallest singular value of Z; 1 if all directions vary alike."""
        return float(np.linalg.cond(self.Z))


def require_whitening(whitening, who):
    """Refuse what is no :class:`Whitening`, say a matrix or the embeddings.

    Raises
    ------
    ValueError
        In the name of the function `who`.
    """
    if not isinstance(whitening, Whitening):
        raise ValueError(
            f"{who}: `whitening` must be what fit_whitening returns, received "
            f"{short(whitening)}."
        )


def fit_whitening(
    embeddings: ArrayLike, *, shrinkage: float | Literal["auto"] | None = None
) -> Whitening:
    """Return the :class:`Whitening` of an embedding matrix, computed in float64.

    Parameters
    ----------
    embeddings : array_like or DataArray of shape (vocabulary, embedding)
        One row per word type.
    shrinkage : "auto" or float, optional
        As in scikit-learn's LinearDiscriminantAnalysis: shrink the covariance, by so
        much (0 to 1) or, with "auto", by what Ledoit and Wolf (2004) estimate to be
        best. For vocabularies that are small for their embedding, where directions in
        which the words happen not to vary would otherwise be divided by almost nothing.
        What is shrunk depends on the basis of the embedding: memory and selectivity are
        no longer the same for equivalent networks, but for those that differ by a turn
        or one common scale. By default nothing is shrunk.

    Raises
    ------
    ValueError
        If the matrix is not two-dimensional and finite, has masked entries, or if its
        covariance, shrunk where that is asked for, is singular to working precision:
        too few rows, dependent columns, one-hot input.

    Examples
    --------
    >>> import numpy as np
    >>> import state_gradients as sg
    >>> table = np.random.default_rng(0).normal(size=(50, 3)) * [1, 2, 5]
    >>> whitening = sg.fit_whitening(table)
    >>> np.cov((table - whitening.mean) @ whitening.Z.T, rowvar=False).round(6) + 0.0
    array([[1., 0., 0.],
           [0., 1., 0.],
           [0., 0., 1.]])

    Three words leave five dimensions without variance in most directions:

    >>> few = np.random.default_rng(0).normal(size=(3, 5))
    >>> shrunk = sg.fit_whitening(few, shrinkage="auto")
    >>> round(shrunk.shrinkage, 3), round(shrunk.condition_number, 2)
    (0.322, 3.12)
    """
    shrinkage = read_shrinkage(shrinkage)
    remedy = "" if shrinkage else SHRINK
    names = names_of(embeddings, "embedding")
    if isinstance(embeddings, xr.DataArray) and "embedding" in embeddings.dims:
        embeddings = embeddings.transpose(..., "embedding")
    embeddings = as_array(embeddings, "fit_whitening", "embeddings")
    real(embeddings, "fit_whitening", "embeddings")
    embeddings = embeddings.astype(np.float64)
    n_bad = np.count_nonzero(~np.isfinite(embeddings))
    if embeddings.ndim != 2 or not embeddings.size or n_bad:
        raise ValueError(
            "fit_whitening: `embeddings` must be a finite matrix (vocabulary, "
            f"embedding), received shape {embeddings.shape} with {n_bad} non-finite "
            "values; check the axes, and the training for divergence."
        )
    rows, size = embeddings.shape
    # The square of 1e170 overflows, that of 1e-170 is 0. A power of two is divided out
    # first, which rounds nothing.
    exponent = int(np.frexp(np.abs(embeddings).max())[1])
    scaled = np.ldexp(embeddings, -exponent)
    mean = scaled.mean(axis=0)
    covariance = (scaled - mean).T @ (scaled - mean) / max(rows - 1, 1)
    if shrinkage and rows > 1:
        covariance, shrinkage = _shrunk(covariance, scaled, shrinkage)
    # A sum of V products rounds by up to V eps of the largest variance: directions
    # below that are noise. So cond(Z) = sqrt(cond(cov_e)) < 1 / sqrt(V eps) = 7e5 at
    # V = 10,000. Centred rows span at most V - 1 dimensions.
    noise = rows * np.finfo(np.float64).eps
    rank = np.linalg.matrix_rank(covariance, rtol=noise, hermitian=True)
    if rank < size:
        raise ValueError(
            f"fit_whitening: the covariance of the {rows} embeddings must have full "
            f"rank {size}, received rank {rank}; give more rows, drop constant or "
            f"dependent columns, {remedy}or use the unwhitened "
            "gradient (as for one-hot input)."
            + _why_singular(scaled - mean, noise, names)
        )
    D = np.linalg.cholesky(covariance)
    Z = solve_triangular(D, np.eye(size), lower=True)
    mean, D, Z = (np.ldexp(x, e * exponent) for x, e in ((mean, 1), (D, 1), (Z, -1)))
    if not np.isfinite(Z).all() or not D.diagonal().all():
        raise ValueError(
            "fit_whitening: the scale of `embeddings` must leave D and Z in float64, "
            f"received values up to 2^{exponent}; give them in other units."
        )
    return Whitening(mean=mean, D=D, Z=Z, shrinkage=shrinkage, names=names)


def read_shrinkage(shrinkage, who="fit_whitening"):
    """Return what to shrink by, a float or "auto".

    Raises
    ------
    ValueError
        In the name of the function `who`, if it is neither, nor None.
    """
    if shrinkage is None:
        return 0.0
    is_number = isinstance(shrinkage, numbers.Real) and not isinstance(shrinkage, bool)
    if is_number and 0 <= shrinkage <= 1:
        return float(shrinkage)
    if isinstance(shrinkage, str) and shrinkage == "auto":
        return shrinkage
    raise ValueError(
        f"{who}: `shrinkage` must be 'auto', a number in 0..1, or None, received "
        f"{short(shrinkage)}."
    )


def _shrunk(covariance, embeddings, shrinkage):
    """Return a covariance, shrunk, and by how much."""
    from sklearn.covariance import ledoit_wolf_shrinkage, shrunk_covariance  # 0.5 s

    if shrinkage == "auto":
        shrinkage = float(ledoit_wolf_shrinkage(embeddings))
    return shrunk_covariance(covariance, shrinkage), shrinkage


def _why_singular(centred, noise, names):
    """Return which columns make a covariance singular, a sentence, if it is a few."""
    rows, size = centred.shape
    names = np.arange(size) if names is None else names
    deviations = centred.std(axis=0)
    constant = np.ptp(centred, axis=0) == 0
    if constant.any():
        return f" Constant: {short(names[constant].tolist(), 200)}."
    if rows <= size:
        return ""  # each column depends on the others
    correlation = (centred / deviations).T @ (centred / deviations) / rows
    values, vectors = np.linalg.eigh(correlation)
    if values[0] > noise * values[-1]:
        order = names[[deviations.argmin(), deviations.argmax()]].tolist()
        return f" Columns {order[0]} and {order[1]} differ too much in scale."
    shares = np.abs(vectors[:, 0])
    dependent = names[shares > 0.1 * shares.max()].tolist()
    return f" Dependent: {short(dependent, 200)}."


def whiten_gradient(
    gradient: ArrayLike, whitening: Whitening
) -> np.ndarray | xr.DataArray:
    """Express a state gradient with respect to the whitened embedding, G D (Eq. 10).

    Parameters
    ----------
    gradient : array_like or DataArray of shape (..., state, embedding)
        ds/de, in state units per embedding unit.
    whitening : Whitening

    Returns
    -------
    ndarray or DataArray of shape (..., state, embedding)
        ds/dg in state units per standard deviation of the embedding, float64. A
        DataArray keeps its names and coordinates; ``embedding`` comes last.

    Raises
    ------
    ValueError
        If the embedding axis is missing or does not match the whitening, in its size
        or its names, where both have some.

    Examples
    --------
    An embedding of standard deviation 2: a step of one deviation moves the state twice
    as far as a step of 1.

    >>> import state_gradients as sg
    >>> whitening = sg.fit_whitening([[-2.0], [0.0], [2.0]])
    >>> sg.whiten_gradient([[0.5]], whitening)
    array([[1.]])
    """
    who = "whiten_gradient"
    require_whitening(whitening, who)
    is_labelled = isinstance(gradient, xr.DataArray)
    gradient = gradient if is_labelled else as_array(gradient, who, "gradient")
    real(gradient, who, "gradient")
    axes = (
        gradient.sizes if is_labelled else {"embedding": (gradient.shape or (0,))[-1]}
    )
    if axes.get("embedding") != len(whitening.D):
        raise ValueError(
            f"{who}: the last axis of `gradient` must be the embedding; expected "
            f"size {len(whitening.D)}, received shape {gradient.shape}."
        )
    if is_labelled:
        names = {"what is whitened": names_of(gradient, "embedding")}
        names["the embeddings of `whitening`"] = whitening.names
        require_same_names(who, "embedding", names)
    axis = [["embedding"]]
    whitened = xr.apply_ufunc(
        lambda g: g @ whitening.D, gradient, input_core_dims=axis, output_core_dims=axis
    )
    if is_labelled:
        whitened.attrs = about("whitened_gradient")
    return whitened


def require_symmetric(moment, who):
    """Refuse a second moment that is not its own transpose: it is no mean of G^T G.

    Parameters
    ----------
    moment : DataArray of shape (..., embedding, embedding_2)
    who : str

    Raises
    ------
    ValueError
        In the name of the function `who`, if two entries across the diagonal differ by
        a thousandth of the largest entry: sums in float32 err by 1e-5.
    """
    matrices = moment.transpose(..., "embedding", "embedding_2").values
    apart = np.abs(matrices - matrices.swapaxes(-1, -2)).max((-2, -1))
    if (apart > 1e-3 * np.abs(matrices).max((-2, -1))).any():
        raise ValueError(
            f"{who}: a second moment must be symmetric, received entries across "
            f"the diagonal that differ by {apart.max():.3g}; give the mean of G^T G."
        )


@in_own_name
def whiten_moment(second_moment: ArrayLike, whitening: Whitening) -> xr.DataArray:
    """Express M = E[G^T G] with respect to the whitened embedding, D^T M D.

    Parameters
    ----------
    second_moment : array_like or DataArray of shape (..., embedding, embedding_2)
        Symmetric, as the mean of Gram matrices is.
    whitening : Whitening

    Returns
    -------
    DataArray of shape (..., embedding, embedding_2)

    Raises
    ------
    ValueError
        If it is not symmetric, or does not match the whitening.

    Examples
    --------
    >>> import state_gradients as sg
    >>> whitening = sg.fit_whitening([[-2.0], [0.0], [2.0]])
    >>> sg.whiten_moment([[0.25]], whitening).values  # as the gradient 0.5, squared
    array([[1.]])
    """
    axes = ("group", "delay", "embedding", "embedding_2")
    moment = labelled(second_moment, "second_moment", *axes, n_core=2)
    require_whitening(whitening, "whiten_moment")
    size = len(whitening.D)
    if not moment.sizes["embedding"] == moment.sizes["embedding_2"] == size:
        raise ValueError(
            f"whiten_moment: `second_moment` must be {size} x {size}, as the whitening "
            f"is, received {dict(moment.sizes)}."
        )
    require_symmetric(moment, "whiten_moment")
    swapped = {"embedding": "embedding_2", "embedding_2": "embedding"}
    half = whiten_gradient(moment, whitening).rename(swapped)
    whitened = whiten_gradient(half, whitening).transpose(..., *axes[2:])
    squared = {"units": "(state unit / standard deviation)^2"}
    return whitened.assign_attrs(about("second_moment") | squared)
