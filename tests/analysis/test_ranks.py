"""Rank correlations: against SciPy group by group, and against regressions by hand."""

import numpy as np
import pytest
from scipy import stats

from state_gradients.analysis import ranks


@pytest.fixture
def groups(rng):
    return rng.integers(4, size=300) * 3 - 1  # -1, 2, 5, 8


def test_ranks_within_groups_are_scipys_with_ties(rng, groups):
    values = rng.integers(20, size=(300, 2)).astype(float)
    found = ranks.ranks_within(values, groups)
    for one in np.unique(groups):
        there = groups == one
        n = there.sum()
        expected = (stats.rankdata(values[there], axis=0) - (n + 1) / 2) / n
        np.testing.assert_allclose(found[there], expected, atol=1e-15)
    # where all are equal, all have the mean rank, though groups meet in it
    assert not ranks.ranks_within(np.ones(300), groups).any()


def test_one_group_gives_spearmans_rho(rng):
    x, y = rng.normal(size=(2, 200))
    y = y + x
    found = ranks.correlations(ranks.ranks_within(x), ranks.ranks_within(y[:, None]))
    np.testing.assert_allclose(found, stats.spearmanr(x, y).statistic, rtol=1e-12)


def test_ranks_within_groups_see_nothing_of_what_differs_between_them(rng, groups):
    x, y = rng.normal(size=(2, 300)) + 100 * groups
    overall, within = (
        ranks.correlations(ranks.ranks_within(x, g), ranks.ranks_within(y, g))
        for g in (None, groups)
    )
    rhos, sizes = [], []
    for one in np.unique(groups):
        there = groups == one
        rhos.append(stats.spearmanr(x[there], y[there]).statistic)
        sizes.append(there.sum())
    assert overall > 0.8
    # u has the variance (1 - 1 / n^2) / 12 in a group of n: equal weights to 1 / n^2
    np.testing.assert_allclose(within, np.average(rhos, weights=sizes), atol=1e-3)


def test_residuals_are_those_of_one_regression_on_dummies_and_covariates(rng, groups):
    covariates, values = rng.normal(size=(300, 2)), rng.normal(size=(300, 3))
    values += covariates @ rng.normal(size=(2, 3)) + groups[:, None]
    dummies = groups[:, None] == np.unique(groups)
    for given, by, design in (
        (covariates, groups, np.hstack([dummies, covariates])),
        (covariates, None, np.hstack([np.ones((300, 1)), covariates])),
        (None, groups, dummies.astype(float)),
    ):
        fitted = design @ np.linalg.lstsq(design, values, rcond=None)[0]
        found = ranks.residuals(values, given, by)
        np.testing.assert_allclose(found, values - fitted, atol=1e-12)


def test_what_does_not_vary_has_no_correlation():
    found = ranks.correlations([1.0, 2.0, 4.0], [[3.0, 1.0], [3.0, 0.0], [3.0, -2.0]])
    np.testing.assert_allclose(found, [np.nan, -1], rtol=1e-12)


def test_blocks_are_drawn_whole_and_each_as_often_as_chance_has_it():
    drawn = list(ranks.resampled_blocks(103, 10, 500, seed=3))
    ends = [[*block[[0, -1]]] for block in np.array_split(np.arange(103), 10)]
    counts = np.zeros(10)
    for positions in drawn:
        cuts = np.flatnonzero(np.diff(positions) != 1) + 1
        for part in np.split(positions, cuts):  # neighbours by chance make one part
            assert part[0] in [a for a, _ in ends] and part[-1] in [b for _, b in ends]
        counts += [np.sum(positions == a) for a, _ in ends]
    assert counts.sum() == 5_000
    # each block is drawn 500 +- 21 times
    assert np.abs(counts - 500).max() < 4 * 21.2
    assert len({len(positions) for positions in drawn}) > 1  # 10 and 11 long
