"""What the page on whitening says of its choices: the root, the weights, the words."""

import numpy as np
import pytest
import xarray as xr

from state_gradients.analysis.whitening import fit_whitening
from state_gradients.paper.book import whitening as page
from state_gradients.paper.book.pages import DASH

SIZE = 5


@pytest.fixture
def embedding(rng):
    return rng.normal(size=(300, SIZE)) @ rng.normal(size=(SIZE, SIZE)) + 1


@pytest.fixture
def gradient(rng):
    values = rng.normal(size=(3, 8, SIZE))
    labels = {"delay": [0, 1, 7]}
    return xr.DataArray(values, labels, ("delay", "state", "embedding"))


def test_other_roots_are_roots_of_the_same_covariance(embedding):
    roots = page.other_roots(embedding)
    covariance = np.cov(embedding, rowvar=False)
    for whitening in roots.values():
        np.testing.assert_allclose(whitening.D @ whitening.D.T, covariance, rtol=1e-9)
        np.testing.assert_allclose(whitening.Z @ whitening.D, np.eye(SIZE), atol=1e-9)
    symmetric, axes = roots["ZCA"].D, roots["PCA"].D
    np.testing.assert_allclose(symmetric, symmetric.T, atol=1e-12)
    gram = axes.T @ axes  # principal axes are orthogonal
    np.testing.assert_allclose(gram, np.diag(np.diag(gram)), atol=1e-9)


def test_the_largest_change_is_that_of_the_singular_values(gradient, embedding):
    whitening = fit_whitening(embedding)
    roots = page.other_roots(embedding).values()
    # V eps cond(cov), with a condition below 1e4
    assert page.largest_change(gradient, [whitening, *roots]) < 1e-9
    twice = page.Whitening(whitening.mean, 2 * whitening.D, whitening.Z / 2)
    change = page.largest_change(gradient, [whitening, *roots, twice])
    assert change == pytest.approx(1)


def test_weights_are_those_of_the_text_written_out(gradient, embedding, rng):
    count = rng.geometric(0.1, len(embedding))
    text = np.repeat(embedding, count, axis=0)
    expected = fit_whitening(text)
    found = page.of_text(embedding, count)
    np.testing.assert_allclose(found.D, expected.D, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-12)
    curves = page.by_weights(gradient, embedding, count)
    s = np.linalg.svdvals(gradient.values @ expected.D)
    often = curves.sel(weights="as often as it occurs")
    np.testing.assert_allclose(often["memory"], s[:, 0], rtol=1e-9)
    share = s[:, 0] / s.sum(axis=1)
    np.testing.assert_allclose(often["selectivity"], share, rtol=1e-9)
    once = np.linalg.svdvals(gradient.values @ fit_whitening(embedding).D)
    memory = curves["memory"].sel(weights="each type once")
    np.testing.assert_allclose(memory, once[:, 0], rtol=1e-9)


def test_few_words_are_held_against_all(gradient, embedding):
    found = page.of_few_words(gradient, embedding, 20, seed=3)
    rng = np.random.default_rng(3)
    off = {None: [], "auto": []}
    right = np.linalg.svdvals(gradient.values @ fit_whitening(embedding).D)[:, 0]
    for _ in range(page.N_DRAWS):
        few = embedding[rng.choice(300, 20, replace=False)]
        for option, distances in off.items():
            D = fit_whitening(few, shrinkage=option).D
            s = np.linalg.svdvals(gradient.values @ D)[:, 0]
            distances.append(np.log(s / right) ** 2)
    expected = [np.sqrt(np.mean(one, axis=0)) for one in off.values()]
    np.testing.assert_allclose(found["off"], expected, rtol=1e-9)
    assert 0 < float(found["shrinkage"]) < 1


def test_fewer_words_than_dimensions_have_a_number_only_where_they_are_shrunk(
    gradient, embedding
):
    found = page.of_few_words(gradient, embedding, SIZE, seed=3)
    assert np.isnan(found["off"].sel(covariance="as it is")).all()
    assert np.isfinite(found["off"].sel(covariance="shrunk")).all()
    table = page.told_few_words({SIZE: found})
    assert table.columns.tolist()[:2] == ["delay 0, as it is", "delay 0, shrunk"]
    assert table.loc[SIZE, "delay 7, as it is"] == DASH
    off = float(found["off"].sel(covariance="shrunk", delay=7))
    assert table.loc[SIZE, "delay 7, shrunk"] == f"{np.exp(off) - 1:.0%}"
    assert table.loc[SIZE, "shrunk by"] == f"{float(found['shrinkage']):.2f}"


def test_numbers_of_words_go_from_too_few_to_half_of_all():
    assert page.sizes_of(10_000, 64) == [40, 65, 128, 256, 1024]
    assert page.sizes_of(300, 64) == [40, 65, 128]
