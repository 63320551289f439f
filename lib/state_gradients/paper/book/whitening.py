"""What depends on how an embedding is whitened, for the page on whitening.

Every D with D D^T = cov_e whitens: with Q orthogonal, D Q does. Which covariance it is
matters: of types or of the text, of many words or of few.
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.analysis.spectra import memory_curve
from state_gradients.analysis.whitening import (
    Whitening,
    fit_whitening,
    whiten_gradient,
)
from state_gradients.paper.book.pages import DASH

N_DRAWS = 20


def other_roots(embedding):
    """Return the whitenings by principal axes (PCA) and by the symmetric root (ZCA).

    Parameters
    ----------
    embedding : ndarray of shape (vocabulary, embedding)

    Returns
    -------
    dict of str to Whitening
    """
    values, vectors = np.linalg.eigh(np.cov(embedding, rowvar=False))
    principal = vectors * np.sqrt(values)
    roots = {"PCA": principal, "ZCA": principal @ vectors.T}
    mean = embedding.mean(axis=0)
    return {name: Whitening(mean, D, np.linalg.inv(D)) for name, D in roots.items()}


def of_text(embedding, count):
    """Return the whitening in which each word type weighs as often as it occurs.

    Parameters
    ----------
    embedding : ndarray of shape (vocabulary, embedding)
    count : ndarray of int, shape (vocabulary,)
    """
    D = np.linalg.cholesky(np.cov(embedding, rowvar=False, fweights=count))
    mean = np.average(embedding, axis=0, weights=count)
    return Whitening(mean, D, np.linalg.inv(D))


def largest_change(gradient, whitenings):
    """Return by how much singular values differ at most, relative to themselves.

    Parameters
    ----------
    gradient : DataArray of shape (delay, state, embedding)
    whitenings : sequence of Whitening
        All are held against the first.
    """
    first, *others = (
        np.linalg.svdvals(whiten_gradient(gradient, one)) for one in whitenings
    )
    return max(np.abs(other / first - 1).max() for other in others)


def by_weights(gradient, embedding, count):
    """Return curves whitened by types alike, and by types as often as they occur.

    Returns
    -------
    xarray.Dataset
        ``memory``, ``selectivity``, .. (weights, delay).
    """
    ways = {
        "each type once": fit_whitening(embedding),
        "as often as it occurs": of_text(embedding, count),
    }
    curves = [memory_curve(whiten_gradient(gradient, one)) for one in ways.values()]
    return xr.concat(curves, xr.Variable("weights", [*ways])).drop_attrs()


def sizes_of(n_types, size):
    """Return of how many words whitening is tried: from fewer than dimensions on."""
    sizes = [5 * size // 8, size + 1, 2 * size, 4 * size, 16 * size]
    return [n_words for n_words in sizes if n_words <= n_types // 2]


def of_few_words(gradient, embedding, n_words, *, seed):
    """Return how far few words lead from the memory that all words give.

    Parameters
    ----------
    gradient : DataArray of shape (delay, state, embedding)
    embedding : ndarray of shape (vocabulary, embedding)
    n_words : int
        Drawn at random, `N_DRAWS` times.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``off`` (covariance, delay), the root mean square over the draws of ln (memory
        of few words / of all), for the covariance "as it is" and "shrunk"; NaN where
        the former is singular. ``shrinkage``, its mean.
    """
    rng = np.random.default_rng(seed)

    def memory_of(fitted):
        return memory_curve(whiten_gradient(gradient, fitted))["memory"]

    right, off, shrunk_by = memory_of(fit_whitening(embedding)), [], []
    for _ in range(N_DRAWS):
        few = embedding[rng.choice(len(embedding), n_words, replace=False)]
        shrunk = fit_whitening(few, shrinkage="auto")
        shrunk_by.append(shrunk.shrinkage)
        is_full = n_words > embedding.shape[1]
        one = memory_of(fit_whitening(few)) if is_full else right * np.nan
        pair = [np.log(each / right) for each in (one, memory_of(shrunk))]
        off.append(xr.concat(pair, xr.Variable("covariance", ["as it is", "shrunk"])))
    rms = np.sqrt((xr.concat(off, "draw") ** 2).mean("draw", skipna=False))
    return xr.Dataset({"off": rms, "shrinkage": np.mean(shrunk_by)})


def told_few_words(found):
    """Return a table of :func:`of_few_words` for several numbers of words, as text.

    Parameters
    ----------
    found : dict of int to Dataset
        By the number of words.
    """
    rows = []
    for one in found.values():
        cells = {
            f"delay {delay}, {way}": one["off"].sel(delay=delay, covariance=way)
            for delay in one["delay"].values
            for way in one["covariance"].values
        }
        row = {
            title: DASH if np.isnan(x) else f"{float(np.expm1(x)):.0%}"
            for title, x in cells.items()
        }
        rows.append(row | {"shrunk by": f"{float(one['shrinkage']):.2f}"})
    return pd.DataFrame(rows, index=pd.Index(found, name="words"))
