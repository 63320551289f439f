import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import LedoitWolf

from state_gradients.analysis.spectra import memory_curve
from state_gradients.analysis.whitening import (
    Whitening,
    fit_whitening,
    whiten_gradient,
    whiten_moment,
)

EPS = np.finfo(np.float64).eps


@pytest.fixture
def embeddings(rng):
    return rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + rng.normal(size=6)


@given(
    size=st.integers(1, 12),
    more_rows=st.integers(1, 60),
    spread=st.floats(1, 1e4),
    seed=st.integers(0, 2**32 - 1),
)
def test_whitened_embeddings_have_covariance_one(size, more_rows, spread, seed):
    rng = np.random.default_rng(seed)
    # Orthonormal centred columns have covariance I / (V - 1); scaled by 1..spread and
    # turned, they have a covariance of condition spread^2 or 1.
    rows = size + more_rows
    raw = rng.normal(size=(rows, size))
    columns = np.linalg.qr(raw - raw.mean(axis=0))[0]
    turn = np.linalg.qr(rng.normal(size=(size, size)))[0]
    embeddings = columns * np.geomspace(1, spread, size) @ turn + rng.normal(size=size)
    whitening = fit_whitening(embeddings)
    assert np.array_equal(whitening.D, np.tril(whitening.D))
    covariance = np.cov((embeddings - whitening.mean) @ whitening.Z.T, rowvar=False)
    # cov_e is rounded by at most V eps of its norm, and Z cov_e Z^T magnifies by
    # cond(cov_e). 10: the Cholesky factor's own V eps and the round trip through Z.
    tolerance = 10 * rows * EPS * max(spread**2, 1)
    np.testing.assert_allclose(
        covariance.reshape(size, size), np.eye(size), rtol=0, atol=tolerance
    )


def test_the_divisor_is_one_less_than_the_vocabulary():
    # Two words at -1 and 1: sum of squares 2, divisor 1, so D = sqrt(2).
    whitening = fit_whitening([[-1.0], [1.0]])
    np.testing.assert_allclose(whitening.D, [[np.sqrt(2)]], rtol=2 * EPS)
    np.testing.assert_allclose(whitening.Z, [[np.sqrt(0.5)]], rtol=2 * EPS)
    assert whitening.mean == [0.0]


def test_float32_embeddings_are_whitened_in_float64(embeddings):
    single = embeddings.astype(np.float32)
    # Exact: the same numbers, the same arithmetic.
    assert np.array_equal(
        fit_whitening(single).D, fit_whitening(single.astype(np.float64)).D
    )


def test_embedding_axis_of_a_labelled_matrix_is_found_by_name(embeddings):
    turned = xr.DataArray(embeddings.T, dims=("embedding", "word"))
    # A transposed matrix may sum in another order: V eps, times cond(cov_e) < 1e4.
    np.testing.assert_allclose(
        fit_whitening(turned).D, fit_whitening(embeddings).D, rtol=1e-9
    )


def test_condition_number_is_the_spread_of_the_standard_deviations(rng):
    raw = rng.normal(size=(300, 5))
    columns = np.linalg.qr(raw - raw.mean(axis=0))[0]
    turn = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    whitening = fit_whitening(columns * [43.0, 20.0, 7.0, 3.0, 1.0] @ turn)
    # V eps cond(cov_e) = 300 * 2e-16 * 43^2 = 1e-10, relative
    np.testing.assert_allclose(whitening.condition_number, 43, rtol=1e-10)


def test_whitened_gradient_matches_central_differences(rng, embeddings):
    weights = rng.normal(size=(5, 6)) / 6
    whitening = fit_whitening(embeddings)

    def state(g):
        return np.tanh(weights @ (whitening.D @ g))

    g, step = rng.normal(size=6), 1e-5
    reference = np.stack(
        [(state(g + step * u) - state(g - step * u)) / (2 * step) for u in np.eye(6)],
        axis=1,
    )
    gradient = (1 - state(g) ** 2)[:, None] * weights
    # tanh''' <= 2: truncation <= step^2 / 3 * (|weights D|_max ~ 1)^3 = 3e-11;
    # round-off eps / step = 2e-11.
    np.testing.assert_allclose(
        whiten_gradient(gradient, whitening), reference, rtol=0, atol=1e-9
    )


def test_rescaled_embeddings_leave_whitened_singular_values(rng, embeddings):
    # e' = A e and W' = W A^-1 make the same network, with ds/de' = (ds/de) A^-1.
    gradient = rng.normal(size=(9, 6))
    scale = np.diag(np.geomspace(0.1, 10, 6)) @ np.linalg.qr(rng.normal(size=(6, 6)))[0]
    rescaled = gradient @ np.linalg.inv(scale)

    def spectrum(g, e):
        return np.linalg.svd(whiten_gradient(g, fit_whitening(e)), compute_uv=False)

    before, after = (
        spectrum(gradient, embeddings),
        spectrum(rescaled, embeddings @ scale.T),
    )
    # cov_e's V eps times its condition, below (100 cond(D))^2 < 1e8: 5e-6 at worst
    np.testing.assert_allclose(after, before, rtol=5e-6)
    raw = [np.linalg.svd(g, compute_uv=False) for g in (gradient, rescaled)]
    assert np.max(np.abs(raw[1] / raw[0] - 1)) > 0.5


def test_names_and_coordinates_are_kept(rng, embeddings):
    whitening = fit_whitening(embeddings)
    values = rng.normal(size=(2, 3, 4, 6)).astype(np.float32)
    gradient = xr.DataArray(
        values,
        dims=("group", "delay", "state", "embedding"),
        coords={"group": ["N", "V"], "delay": [0, 1, 5]},
        name="state_gradient",
    )
    whitened = whiten_gradient(gradient, whitening)
    assert whitened.dims == gradient.dims
    assert whitened.name == "state_gradient"
    xr.testing.assert_identical(whitened["delay"], gradient["delay"])
    assert list(whitened["group"].values) == ["N", "V"]
    assert whitened.dtype == np.float64
    assert {"long_name", "units", "equation"} <= set(whitened.attrs)
    plain = whiten_gradient(values, whitening)
    assert isinstance(plain, np.ndarray)
    # Sums of six products in any order; entries of D are of order 1.
    np.testing.assert_allclose(whitened, plain, rtol=0, atol=1e-13)
    by_name = whiten_gradient(gradient.transpose("embedding", ...), whitening)
    np.testing.assert_allclose(by_name, plain, rtol=0, atol=1e-13)
    expected = np.einsum("gdse,ef->gdsf", values.astype(np.float64), whitening.D)
    np.testing.assert_allclose(plain, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [
        (np.eye(4), "full rank 4, received rank 3"),
        (np.tile(np.eye(4), (3, 1)), "full rank 4, received rank 3"),  # one-hot
        (np.random.default_rng(0).normal(size=(3, 5)), "received rank 2"),
        (np.random.default_rng(0).normal(size=(1, 5)), "received rank 0"),
        (np.ones((9, 1)), "received rank 0"),
        (np.ones(5), r"finite matrix .* received shape \(5,\)"),
        (np.ones((0, 5)), r"received shape \(0, 5\)"),
        ([[1.0, np.nan], [0.0, 1.0], [np.inf, 1.0]], "2 non-finite"),
        (np.ma.masked_less(np.eye(3), 1), "no masked entries, .* received 6; fill"),
        ([np.ma.masked_less([1, 0], 1), [0, 1]], "no masked entries, .* received 1"),
    ],
)
def test_unfit_embeddings_are_refused(embeddings, message):
    with pytest.raises(ValueError, match=message):
        fit_whitening(embeddings)


def test_dependent_columns_are_refused(embeddings):
    dependent = np.column_stack([embeddings, embeddings @ np.arange(6)])
    with pytest.raises(ValueError, match="full rank 7, received rank 6"):
        fit_whitening(dependent)


def test_a_gradient_of_another_size_is_refused(embeddings):
    whitening = fit_whitening(embeddings)
    for gradient in (
        np.ones((4, 5)),
        np.float64(1),
        xr.DataArray(np.ones((4, 6)), dims=("state", "input")),
    ):
        with pytest.raises(ValueError, match="must be the embedding; expected size 6"):
            whiten_gradient(gradient, whitening)


@pytest.mark.parametrize("kind", ["DataArray", "DataFrame"])
def test_features_in_another_order_than_the_whitening_are_refused(kind, rng):
    names, table = ["a", "b", "c"], rng.normal(size=(20, 3))
    axes = ("state", "embedding")
    given = {
        "DataArray": xr.DataArray(table, {"embedding": names}, ("row", "embedding")),
        "DataFrame": pd.DataFrame(table, columns=names),
    }[kind]
    whitening, gradient = fit_whitening(given), rng.normal(size=(2, 3))
    of_names = xr.DataArray(gradient, {"embedding": names}, axes)
    whitened = whiten_gradient(of_names, whitening)
    np.testing.assert_array_equal(whitened, whiten_gradient(gradient, whitening))
    with pytest.raises(ValueError, match=r"^whiten_gradient: .*\['c', 'b', 'a'\] and"):
        whiten_gradient(of_names[:, ::-1], whitening)
    moment = xr.DataArray(
        np.eye(3), dict.fromkeys(("embedding", "embedding_2"), names[::-1])
    )
    with pytest.raises(ValueError, match=r"^whiten_moment: .*\['c', 'b', 'a'\] and"):
        whiten_moment(moment, whitening)


def test_a_whitened_moment_is_that_of_whitened_gradients(embeddings, rng):
    whitening = fit_whitening(embeddings)
    each = rng.normal(size=(9, 2, 4, 6))  # position, delay, state, embedding
    whitened = each @ whitening.D
    moments = [np.einsum("pdse,pdsf->def", g, g) / 9 for g in (each, whitened)]
    found = whiten_moment(moments[0], whitening)
    assert found.dims == ("delay", "embedding", "embedding_2")
    # sums of 36 products of order 1, through D twice
    np.testing.assert_allclose(found, moments[1], rtol=0, atol=1e-12)


def roots_of(covariance):
    """Return D of the other usual whitenings, D D^T = cov, made without Cholesky."""
    values, vectors = np.linalg.eigh(covariance)
    principal = vectors * np.sqrt(values)
    return {"PCA": principal, "ZCA": principal @ vectors.T}


@pytest.mark.parametrize("kind", ["PCA", "ZCA"])
def test_every_whitening_has_the_same_singular_values(rng, embeddings, kind):
    covariance = np.cov(embeddings, rowvar=False)
    D = roots_of(covariance)[kind]
    other = Whitening(embeddings.mean(axis=0), D, np.linalg.inv(D))
    one = fit_whitening(embeddings)
    assert np.abs(D - one.D).max() > 0.1  # another matrix, in which
    white = (embeddings - other.mean) @ other.Z.T  # embeddings are white as well
    np.testing.assert_allclose(np.cov(white, rowvar=False), np.eye(6), atol=1e-10)
    gradient = rng.normal(size=(3, 9, 6))
    curves = [memory_curve(whiten_gradient(gradient, each)) for each in (one, other)]
    for name in curves[0]:
        # G D Q: an orthogonal Q leaves sigma; D itself is off by V eps cond(cov) < 1e-9
        np.testing.assert_allclose(curves[0][name], curves[1][name], rtol=1e-9)
    vt = [np.linalg.svd(whiten_gradient(gradient, each))[2] for each in (one, other)]
    assert np.abs(np.abs(vt[0]) - np.abs(vt[1])).max() > 0.1  # but turns directions


def test_weights_of_the_types_change_the_singular_values(rng, embeddings):
    counts = rng.geometric(0.05, len(embeddings))
    weighted = np.cov(embeddings, rowvar=False, fweights=counts)
    written_out = np.cov(np.repeat(embeddings, counts, axis=0), rowvar=False)
    np.testing.assert_allclose(weighted, written_out, rtol=1e-10)
    gradient = rng.normal(size=(9, 6))
    s = np.linalg.svdvals(whiten_gradient(gradient, fit_whitening(embeddings)))
    of_text = np.linalg.svdvals(gradient @ np.linalg.cholesky(weighted))
    assert np.abs(of_text / s - 1).max() > 0.01


@pytest.mark.parametrize("rows", [4, 30, 200])
def test_what_is_shrunk_is_as_ledoit_and_wolf_estimate(rng, rows):
    embeddings = rng.normal(size=(rows, 6)) * np.geomspace(1, 30, 6)
    whitening = fit_whitening(embeddings, shrinkage="auto")
    fitted = LedoitWolf().fit(embeddings)
    assert 0 < whitening.shrinkage == pytest.approx(fitted.shrinkage_, rel=1e-12)
    # scikit-learn divides by V, we by V - 1; round-off of V eps cond(cov) < 1e-10
    expected = fitted.covariance_ * rows / (rows - 1)
    covariance = whitening.D @ whitening.D.T
    np.testing.assert_allclose(covariance, expected, rtol=1e-10, atol=1e-10)
    identity = whitening.Z @ whitening.D
    np.testing.assert_allclose(identity, np.eye(6), atol=1e-10)


def test_a_given_share_is_shrunk_towards_equal_variances(embeddings):
    covariance = np.cov(embeddings, rowvar=False)
    for delta in (0.25, 1, np.float32(0.5)):
        D = fit_whitening(embeddings, shrinkage=delta).D
        level = np.trace(covariance) / 6 * np.eye(6)
        expected = (1 - delta) * covariance + delta * level
        np.testing.assert_allclose(D @ D.T, expected, rtol=0, atol=1e-12)


def test_by_default_nothing_is_shrunk(embeddings):
    default = fit_whitening(embeddings)
    assert default.shrinkage == 0
    for nothing in (None, 0, 0.0):
        assert np.array_equal(fit_whitening(embeddings, shrinkage=nothing).D, default.D)


def test_shrinkage_comes_nearer_to_the_truth_where_words_are_few():
    """Of 40 words in 30 dimensions, drawn from a known covariance."""
    rng = np.random.default_rng(3)
    truth = np.diag(np.geomspace(1, 9, 30)) ** 0.5
    gradient = rng.normal(size=(50, 30))
    right = np.linalg.svdvals(gradient @ truth)
    miss = {None: [], "auto": []}
    for _ in range(20):
        words = rng.normal(size=(40, 30)) @ truth
        for option, found in miss.items():
            D = fit_whitening(words, shrinkage=option).D
            found.append(np.log(np.linalg.svdvals(gradient @ D) / right))
    rms = {key: np.sqrt(np.mean(np.square(found))) for key, found in miss.items()}
    assert rms["auto"] < 0.35 * rms[None]


def test_few_words_are_whitened_where_the_covariance_is_shrunk(rng):
    few = rng.normal(size=(4, 9)) * 1e-170  # whose squares are 0
    with pytest.raises(ValueError, match=r"shrinkage='auto'.*--shrinkage auto"):
        fit_whitening(few)
    small, usual = (fit_whitening(x, shrinkage="auto") for x in (few, few * 1e170))
    assert small.shrinkage == pytest.approx(usual.shrinkage, rel=1e-12)
    np.testing.assert_allclose(small.D * 1e170, usual.D, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "shrinkage", ["yes", "Auto", -0.1, 1.1, np.nan, True, [0.5], np.array(0.5)]
)
def test_other_shrinkages_are_refused(embeddings, shrinkage):
    with pytest.raises(ValueError, match=r"must be .auto., a number in 0"):
        fit_whitening(embeddings, shrinkage=shrinkage)


@pytest.mark.parametrize("shrinkage", ["auto", 0.3, 1])
def test_what_does_not_vary_at_all_is_refused_without_a_remedy_that_is_none(shrinkage):
    for constant in (np.ones((9, 2)), np.ones((1, 2))):
        with pytest.raises(ValueError, match="rank 2, received rank 0") as refused:
            fit_whitening(constant, shrinkage=shrinkage)
        assert "shrink" not in str(refused.value)
