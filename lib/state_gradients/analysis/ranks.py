"""Rank correlations within groups and given covariates, with intervals and a null.

Within a group of n the ranks r = 1..n (the mean rank where values are equal) become

    u = (r - (n + 1) / 2) / n,   of mean 0 and variance (1 - 1 / n^2) / 12,

so that all groups count alike and one correlation over all of them is the mean of the
groups' own, weighted by their sizes. Given covariates, both sides are replaced by what
their least-squares regression on the covariates' ranks leaves.
"""

import numpy as np
from numpy.typing import ArrayLike


def ranks_within(values: ArrayLike, groups: ArrayLike | None = None) -> np.ndarray:
    """Return the centred ranks u of each column, taken within each group.

    Parameters
    ----------
    values : array_like of shape (sample,) or (sample, column)
    groups : array_like of int, shape (sample,), optional
        By default all are one group.

    Returns
    -------
    ndarray of float64, of the shape of `values`
        In (-1/2, 1/2).

    Examples
    --------
    >>> from state_gradients.analysis.ranks import ranks_within
    >>> ranks_within([5.0, 1.0, 9.0, 9.0])
    array([-0.125, -0.375,  0.25 ,  0.25 ])
    >>> ranks_within([5.0, 1.0, 9.0, 7.0], groups=[0, 0, 1, 1])
    array([ 0.25, -0.25,  0.25, -0.25])
    """
    values = np.asarray(values)
    groups = np.zeros(len(values), int) if groups is None else np.asarray(groups)
    columns = values.reshape(len(values), -1).T
    ranks = np.stack([_column_ranks(one, groups) for one in columns], axis=1)
    return ranks.reshape(values.shape)


def _column_ranks(values, groups):
    order = np.lexsort((values, groups))
    group, value = groups[order], values[order]
    begins = np.append(True, group[1:] != group[:-1])
    of_run = np.cumsum(begins | np.append(True, value[1:] != value[:-1])) - 1
    place = np.arange(len(values))
    mean_place = np.bincount(of_run, place) / np.bincount(of_run)
    of_group = np.cumsum(begins) - 1
    size = np.bincount(of_group)
    centre = np.flatnonzero(begins) + (size - 1) / 2
    ranks = np.empty(len(values))
    ranks[order] = (mean_place[of_run] - centre[of_group]) / size[of_group]
    return ranks


def residuals(
    values: ArrayLike, covariates: ArrayLike | None = None, groups=None
) -> np.ndarray:
    """Return what groups' means and a regression on covariates leave of each column.

    Both are fitted together: the means of groups are taken out of the covariates as
    well (Frisch and Waugh).

    Parameters
    ----------
    values : array_like of shape (sample, column)
    covariates : array_like of shape (sample, covariate), optional
    groups : array_like of int, shape (sample,), optional
        By default all are one group.

    Returns
    -------
    ndarray of shape (sample, column)

    Examples
    --------
    >>> from state_gradients.analysis.ranks import residuals
    >>> residuals([[1.0], [2.0], [4.0]], covariates=[[0.0], [1.0], [3.0]]).round(6) + 0
    array([[0.],
           [0.],
           [0.]])
    """
    values = _without_means(np.asarray(values, float), groups)
    if covariates is None:
        return values
    covariates = _without_means(np.asarray(covariates, float), groups)
    slopes, *_ = np.linalg.lstsq(covariates, values, rcond=None)
    return values - covariates @ slopes


def _without_means(values, groups):
    if groups is None:
        return values - values.mean(axis=0)
    _, group = np.unique(groups, return_inverse=True)
    sizes = np.bincount(group)
    sums = np.stack([np.bincount(group, column) for column in values.T], axis=1)
    return values - (sums / sizes[:, None])[group]


def unit_columns(columns: ArrayLike) -> np.ndarray:
    """Return columns of mean 0 and length 1; NaN where one does not vary.

    Parameters
    ----------
    columns : array_like of shape (sample, ...)

    Examples
    --------
    >>> from state_gradients.analysis.ranks import unit_columns
    >>> unit_columns([3.0, 3.0, 5.0, 5.0])
    array([-0.5, -0.5,  0.5,  0.5])
    """
    columns = np.asarray(columns, float)
    columns = columns - columns.mean(axis=0)
    lengths = np.linalg.norm(columns, axis=0)
    return columns / np.where(lengths > 0, lengths, np.nan)


def correlations(values: ArrayLike, columns: ArrayLike) -> np.ndarray:
    """Return the correlation of `values` (sample,) with each of `columns` (.., column).

    NaN where either does not vary.

    Examples
    --------
    >>> from state_gradients.analysis.ranks import correlations
    >>> correlations([1.0, 2.0, 3.0], [[0.0, 3.0], [5.0, 2.0], [10.0, 1.0]]).round(6)
    array([ 1., -1.])
    """
    return unit_columns(values) @ unit_columns(columns)


def resampled_blocks(n_samples: int, n_blocks: int, n_resamples: int, *, seed: int):
    """Yield the samples of so many bootstraps that draw blocks of neighbours.

    Parameters
    ----------
    n_samples, n_blocks : int
        The blocks are of equal length, to one sample.
    n_resamples, seed : int

    Yields
    ------
    ndarray of int
        Samples, those of a block together.
    """
    blocks = np.array_split(np.arange(n_samples), n_blocks)
    rng = np.random.default_rng(seed)
    for _ in range(n_resamples):
        drawn = rng.integers(n_blocks, size=n_blocks)
        yield np.concatenate([blocks[k] for k in drawn])
