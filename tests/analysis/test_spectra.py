import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import minimize_scalar

from state_gradients.analysis import spectra, summary
from state_gradients.analysis.influence import spectrum
from state_gradients.analysis.whitening import fit_whitening, whiten_moment

THREE = ("exponential", "power", "stretched")
EPS = np.finfo(np.float64).eps
shapes = st.tuples(st.integers(1, 9), st.integers(1, 9))
seeds = st.integers(0, 2**32 - 1)


def orthonormal(rng, rows, columns):
    return np.linalg.qr(rng.normal(size=(rows, columns)))[0]


def with_spectrum(rng, sigma, state=9, embedding=6):
    """Return (G, V^T): a matrix that has the singular values `sigma`."""
    u = orthonormal(rng, state, len(sigma))
    vt = orthonormal(rng, embedding, len(sigma)).T
    return u * np.asarray(sigma) @ vt, vt


def unit(rng, *shape):
    d = rng.normal(size=shape)
    return d / np.linalg.norm(d, axis=-1, keepdims=True)


@pytest.fixture
def gradient(rng):
    return xr.DataArray(
        rng.normal(size=(2, 4, 9, 6)),
        dims=("group", "delay", "state", "embedding"),
        coords={"group": ["N", "V"], "delay": [0, 1, 2, 10]},
        attrs={"units": "furlong"},
    )


# --- decompose ---------------------------------------------------------------------


def test_an_imposed_spectrum_is_recovered(rng):
    sigma = [5.0, 3.0, 1.0, 0.25]
    matrix, vt = with_spectrum(rng, sigma)
    svd = spectra.decompose(matrix)
    # The SVD is backward stable: sigma within a few max(H, E) eps sigma_1 ~ 1e-14 ...
    np.testing.assert_allclose(svd.s, [*sigma, 0, 0], rtol=0, atol=1e-13)
    # ... and vectors within that over the smallest gap, 0.25.
    signs = np.sign(vt[np.arange(4), np.abs(vt).argmax(axis=1)])
    np.testing.assert_allclose(svd.vt[:4], signs[:, None] * vt, rtol=0, atol=1e-12)


@given(shape=shapes, n_delays=st.integers(1, 3), seed=seeds)
def test_the_factors_multiply_to_the_gradient(shape, n_delays, seed):
    g = np.random.default_rng(seed).normal(size=(n_delays, *shape))
    svd = spectra.decompose(g)
    u, s, vt = (svd[name].values for name in ("u", "s", "vt"))
    tolerance = 100 * EPS * s.max()  # backward stable; 9 x 9 at most
    np.testing.assert_allclose((u * s[:, None, :]) @ vt, g, rtol=0, atol=tolerance)
    one = np.broadcast_to(np.eye(min(shape)), (n_delays, min(shape), min(shape)))
    np.testing.assert_allclose(u.mT @ u, one, rtol=0, atol=100 * EPS)
    np.testing.assert_allclose(vt @ vt.mT, one, rtol=0, atol=100 * EPS)
    assert (np.diff(s) <= 0).all()
    assert (vt.max(axis=-1) == np.abs(vt).max(axis=-1)).all()


def test_the_signs_do_not_depend_on_those_of_the_gradient(rng):
    g = rng.normal(size=(5, 4))
    first, second = spectra.decompose(g), spectra.decompose(-g)
    # Random values have no equal singular values: vectors agree but for round-off.
    np.testing.assert_allclose(second.vt, first.vt, rtol=0, atol=1e-12)
    np.testing.assert_allclose(second.u, -first.u, rtol=0, atol=1e-12)


def test_no_unit_step_moves_the_state_more_than_sigma_1(rng):
    g = rng.normal(size=(9, 6))
    svd = spectra.decompose(g)
    steps = unit(rng, 2000, 6)
    moved = np.linalg.norm(steps @ g.T, axis=1)
    sigma_1, v1 = svd.s.values[0], svd.vt.values[0]
    assert moved.max() <= sigma_1 * (1 + 100 * EPS)
    assert moved.max() > 0.8 * sigma_1  # or the bound would say little
    np.testing.assert_allclose(np.linalg.norm(g @ v1), sigma_1, rtol=100 * EPS)


def test_plain_axes_are_named_and_labels_are_kept(gradient):
    named = spectra.decompose(gradient)
    assert named.u.dims == ("group", "delay", "state", "component")
    assert named.s.dims == ("group", "delay", "component")
    assert named.vt.dims == ("group", "delay", "component", "embedding")
    assert list(named.component) == [1, 2, 3, 4, 5, 6]
    assert list(named.delay) == [0, 1, 2, 10]
    assert named.s.attrs["units"] == "furlong"
    plain = spectra.decompose(gradient.values)
    for name in named:
        assert plain[name].dims == named[name].dims
        assert np.array_equal(plain[name], named[name])
    assert spectra.decompose(gradient.values[0]).s.dims == ("delay", "component")
    assert spectra.decompose(gradient.values[0, 0]).s.dims == ("component",)
    turned = spectra.decompose(gradient.transpose("embedding", "state", ...))
    xr.testing.assert_identical(turned, named)


def test_every_variable_says_what_it_means(gradient, rng):
    d = unit(rng, 6)
    memory = spectra.memory_curve(gradient)
    curve = np.exp(-np.arange(9.0))
    for dataset in (
        spectra.decompose(gradient),
        memory,
        spectra.fit_decay(curve),
        spectra.compare_decays(curve),
        {"m": spectra.relative_memory(gradient, d)},
        {"cos": spectra.subspace_cosine(gradient, d, 2)},
        {"d": spectra.property_direction([1.0], [0.0], fit_whitening([[-1.0], [1.0]]))},
    ):
        for variable in dataset.values():
            assert set(variable.attrs) == {"long_name", "units", "equation"}
    assert memory.selectivity.attrs["units"] == "1"
    assert memory.memory.attrs["units"] == memory.total.attrs["units"] == "furlong"
    assert spectra.fit_decay(memory.memory[..., :3]).a.attrs["units"] == "furlong"


# --- memory_curve ------------------------------------------------------------------


def test_memory_and_selectivity_of_an_imposed_spectrum(rng):
    sigma = np.array([8.0, 4.0, 2.0, 1.0, 0.5, 0.5])
    curve = spectra.memory_curve(with_spectrum(rng, sigma)[0])
    # sum = 16. p = 1/2, 1/4, 1/8, 1/16, 1/32, 1/32: entropy in bits
    # 1/2 + 1/2 + 3/8 + 1/4 + 5/32 + 5/32 = 31/16.
    expected = {
        "memory": 8,
        "total": 16,
        "selectivity": 1 / 2,
        "selectivity_5": 31 / 32,
        "effective_rank": 2 ** (31 / 16),
    }
    for name, value in expected.items():
        # sigma off by some eps sigma_1 each; six of them, entropy slope below 10
        np.testing.assert_allclose(curve[name], value, rtol=1e-13, err_msg=name)


def test_equal_singular_values_are_all_remembered_alike(rng):
    curve = spectra.memory_curve(3 * orthonormal(rng, 9, 6))
    np.testing.assert_allclose(curve.effective_rank, 6, rtol=1e-13)
    np.testing.assert_allclose(curve.selectivity, 1 / 6, rtol=1e-13)
    np.testing.assert_allclose(curve.selectivity_5, 5 / 6, rtol=1e-13)


def test_one_direction_alone_is_perfectly_selective(rng):
    curve = spectra.memory_curve(np.outer(rng.normal(size=9), unit(rng, 6)))
    # Five noise values of eps sigma_1 each: p ln p ~ 5 * 2e-16 * 36 = 4e-14
    np.testing.assert_allclose(curve.effective_rank, 1, rtol=1e-12)
    np.testing.assert_allclose(curve.selectivity, 1, rtol=1e-13)


def test_a_decomposition_gives_the_same_curve(gradient):
    from_gradient = spectra.memory_curve(gradient)
    from_svd = spectra.memory_curve(spectra.decompose(gradient))
    assert from_gradient.memory.dims == ("group", "delay")
    for name in from_gradient:
        assert from_gradient[name].attrs == from_svd[name].attrs
        # gesdd with and without vectors: two backward stable computations
        np.testing.assert_allclose(from_svd[name], from_gradient[name], rtol=1e-12)


def test_zero_gradient_has_no_selectivity(rng):
    curve = spectra.memory_curve(np.stack([np.zeros((4, 3)), np.eye(4, 3)]))
    np.testing.assert_array_equal(curve.memory, [0, 1])
    np.testing.assert_array_equal(curve.total, [0, 3])
    for name in ("selectivity", "selectivity_5", "effective_rank"):
        assert list(np.isnan(curve[name].values)) == [True, False]
    d = unit(rng, 3)
    for measure in (spectra.relative_memory, spectra.subspace_cosine):
        n = () if measure is spectra.relative_memory else (3,)
        result = measure(np.stack([np.zeros((4, 3)), np.eye(4, 3)]), d, *n)
        np.testing.assert_allclose(result, [np.nan, 1], rtol=10 * EPS)


# --- decays ------------------------------------------------------------------------


@given(a=st.floats(1e-12, 1e12), b=st.floats(-0.05, 3.0), n_delays=st.integers(5, 51))
def test_an_exponential_is_recovered(a, b, n_delays):
    tau = np.arange(n_delays)
    fit = spectra.fit_decay(a * np.exp(-b * tau))
    assert fit.converged
    # MINPACK stops at a relative change of 1.5e-8; the start is already exact.
    np.testing.assert_allclose(fit.a, a, rtol=1e-6)
    np.testing.assert_allclose(fit.b, b, rtol=0, atol=1e-6)
    assert abs(b) < 1e-6 or fit.r_squared > 1 - 1e-9
    # All residuals are round-off, so the law with fewest parameters wins.
    laws = spectra.compare_decays(a * np.exp(-b * tau))
    assert laws.aic.idxmin("law") == "exponential"


def test_the_fit_minimises_the_squared_error(rng):
    tau = np.arange(51)
    sigma = 2.7 / (1 + tau) ** 0.8 * np.exp(0.1 * rng.normal(size=51))
    fit = spectra.fit_decay(sigma)

    def loss(b):  # for fixed b, the best a is a ratio of sums
        wave = np.exp(-b * tau)
        return np.sum((sigma - wave * (wave @ sigma) / (wave @ wave)) ** 2)

    best = minimize_scalar(loss, bounds=(0, 3), options={"xatol": 1e-10})
    # At a minimum the loss is flat: a relative loss of eps shifts b by ~ sqrt(eps),
    # and MINPACK stops at 1.5e-8 in the loss, so b by ~ 1e-4.
    np.testing.assert_allclose(fit.b, best.x, rtol=1e-3)
    tss = np.sum((sigma - sigma.mean()) ** 2)
    np.testing.assert_allclose(fit.r_squared, 1 - best.fun / tss, rtol=1e-7)
    log_slope = -np.polyfit(tau, np.log(sigma), 1)[0]
    assert abs(fit.b - log_slope) > 0.1  # not merely the start


def least_squares(sigma, tau):
    """Return RSS and rate of the best exponential of some 30,000 rates of either sign.

    For each rate the best factor is a ratio of sums.
    """
    falling = np.geomspace(1e-4, 60, 20_000)
    rates = np.concatenate([-np.geomspace(1e-4, 1, 8_000), falling])
    first = np.where(rates > 0, tau.min(), tau.max())
    waves = np.exp(-rates[:, None] * (tau - first[:, None]))
    a = waves @ sigma / np.sum(waves**2, axis=1)
    rss = np.sum((sigma - a[:, None] * waves) ** 2, axis=1)
    return rss.min(), rates[rss.argmin()]


CURVES = {
    f"exp(-{c} tau^{p})": lambda tau, c=c, p=p: np.exp(-c * tau**p)
    for p in (0.9, 1.1, 1.3, 1.6, 2.0)
    for c in (0.1, 0.5, 1.0, 1.6, 2.0)
}
CURVES |= {  # of two rates, whose RSS has a minimum near either
    f"{floor} of slow memory": lambda tau, floor=floor: (
        np.exp(-2 * tau) + floor * np.exp(-0.01 * tau)
    )
    for floor in (0.05, 0.15, 0.2, 0.25, 0.3, 0.5)
}
CURVES |= {
    "a power law": lambda tau: (1 + tau) ** -4.0,
    "a floor": lambda tau: np.exp(-10 * tau) + 1e-3,
    "growth": lambda tau: np.exp(0.02 * tau**1.3),
    "noise": lambda tau: np.random.default_rng(1).uniform(0.01, 1, tau.size),
}


@pytest.mark.parametrize("curve", CURVES)
def test_no_rate_fits_better_than_the_one_that_is_said(curve):
    tau = np.arange(51.0)
    sigma = CURVES[curve](tau)
    fit = spectra.fit_decay(sigma)
    assert fit.converged
    rss = np.sum((sigma - float(fit.a) * np.exp(-float(fit.b) * tau)) ** 2)
    best, rate = least_squares(sigma, tau)
    # Of the sum of squares some eps are round-off, of RSS as said and as computed.
    assert rss <= best + 1e-14 * np.sum(sigma**2)
    tss = np.sum((sigma - sigma.mean()) ** 2)
    np.testing.assert_allclose(1 - fit.r_squared, rss / tss, rtol=1e-9, atol=1e-14)
    # Rates tried are 7e-4 apart; a growth that explains nothing is near 0.
    np.testing.assert_allclose(fit.b, rate, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("sigma", "infinite"),
    [
        ([1, 0, 0, 0.5], True),
        ([0.5, 0, 0, 1], True),  # an infinite growth
        ([1, 0.5, 0, 0], False),
        ([1, 1e-100, 0, 0.5], False),  # a finite one is better, by 1e-200
        ([1, 0, 0.9, 0.9], False),  # nearly a constant is better
    ],
)
def test_a_least_error_at_an_infinite_rate_is_no_fit(sigma, infinite):
    fit = spectra.fit_decay(sigma)
    assert fit.converged != infinite
    assert np.isnan([fit.a, fit.b, fit.r_squared]).all() == infinite


@pytest.mark.parametrize("b", [-200.0, -5.0, 5.0, 200.0])
def test_a_steep_exponential_is_recovered_from_delays_in_any_order(b):
    tau = np.array([3, 0, 1, 2])
    sigma = xr.DataArray(
        2 * np.exp(-b * tau), dims="delay", coords={"delay": tau}, name="sigma"
    )
    fit = spectra.fit_decay(sigma)
    assert fit.converged
    # ln a = ln 2 + b t + a round-off of 600 eps, and what b lacks three times
    np.testing.assert_allclose(fit.a, 2, rtol=1e-11)
    np.testing.assert_allclose(fit.b, b, rtol=1e-14)


@pytest.mark.parametrize(("b", "is_number"), [(5.0, True), (8.0, False)])
def test_a_fit_needs_a_value_at_delay_zero_that_is_a_number(b, is_number):
    tau = np.arange(100, 106)  # exp(8 x 100) is none
    sigma = xr.DataArray(np.exp(-b * (tau - 100)), dims="delay", coords={"delay": tau})
    fit = spectra.fit_decay(sigma)
    assert fit.converged == is_number
    if is_number:
        np.testing.assert_allclose(fit.a, np.exp(500), rtol=1e-11)
    else:
        assert np.isnan([fit.a, fit.b, fit.r_squared]).all()


def test_decays_follow_the_delay_coordinate_and_keep_groups():
    tau = np.array([0, 1, 2, 5, 10, 20])
    rates = np.array([0.66, 0.11])
    sigma = xr.DataArray(
        np.exp(-rates[:, None] * tau),
        dims=("word", "delay"),
        coords={"word": ["the", "congressional"], "delay": tau},
    )
    fit, laws = spectra.fit_decay(sigma), spectra.compare_decays(sigma)
    np.testing.assert_allclose(fit.b.sel(word=["the", "congressional"]), rates, 1e-6)
    # a line through exact logarithms, round-off some eps |y| / |tau|
    np.testing.assert_allclose(laws.b.sel(law="exponential"), rates, rtol=1e-12)
    assert laws.aic.dims == ("word", "law")
    xr.testing.assert_identical(spectra.fit_decay(sigma.T), fit)


def test_a_failed_fit_is_flagged_and_spares_the_others():
    good = np.exp(-0.3 * np.arange(8.0))
    bad = [np.zeros(8), np.eye(8)[0], np.where(np.arange(8) == 3, np.nan, good)]
    fit = spectra.fit_decay(np.stack([good, *bad]))
    assert fit.b.dims == ("group",)
    assert list(fit.converged.values) == [True, False, False, False]
    for name in ("a", "b", "r_squared"):
        assert list(np.isnan(fit[name].values)) == [False, True, True, True]
    laws = spectra.compare_decays(np.stack([good, *bad]))
    assert np.isfinite(laws.aic[0]).all()
    assert np.isnan(laws.aic[1:]).all()


def test_values_far_below_one_are_fitted_alike():
    sigma = 1e-200 * np.exp(-0.4 * np.arange(20.0))
    fit = spectra.fit_decay(sigma)
    np.testing.assert_allclose(fit.b, 0.4, rtol=1e-6)
    np.testing.assert_allclose(fit.a, 1e-200, rtol=1e-6)


def test_a_constant_has_rate_zero_and_no_explained_variance():
    fit = spectra.fit_decay(np.full(6, 0.3))
    assert fit.converged
    np.testing.assert_allclose(fit.b, 0, atol=1e-8)
    assert np.isnan(fit.r_squared)


@pytest.mark.parametrize(
    ("law", "sigma"),
    [
        ("exponential", lambda tau: 2 * np.exp(-0.3 * tau)),
        ("power", lambda tau: 2 * (1 + tau) ** -1.5),
        ("stretched", lambda tau: 2 * np.exp(-0.9 * tau**0.6)),
    ],
)
def test_the_law_that_made_a_curve_has_the_lowest_aic(law, sigma, rng):
    tau = np.arange(51)
    noise = np.exp(0.02 * rng.normal(size=51))
    for curve in (sigma(tau), sigma(tau) * noise):
        laws = spectra.compare_decays(curve)
        assert laws.aic.idxmin("law") == law
    exact = spectra.compare_decays(sigma(tau)).sel(law=law)
    expected = {"exponential": 0.3, "power": 1.5, "stretched": 0.9}[law]
    # beta is searched to 1e-5; the others are lines through exact values
    np.testing.assert_allclose(exact.b, expected, rtol=1e-4)
    np.testing.assert_allclose(exact.a, 2, rtol=1e-4)
    if law == "stretched":
        np.testing.assert_allclose(exact.beta, 0.6, rtol=1e-4)


def test_aic_equals_the_log_likelihood_computed_from_normal_densities(rng):
    from scipy.stats import norm

    tau = np.arange(30)
    log_sigma = -0.2 * tau + 0.1 * rng.normal(size=30)
    laws = spectra.compare_decays(np.exp(log_sigma))
    references = {"exponential": tau, "power": np.log1p(tau)}
    for law, x in references.items():
        residuals = log_sigma - np.polyval(np.polyfit(x, log_sigma, 1), x)
        deviation = np.sqrt(np.mean(residuals**2))
        log_likelihood = norm.logpdf(residuals, scale=deviation).sum()
        # thirty sums of order 1, condition of the line below 1e3
        np.testing.assert_allclose(
            laws.aic.sel(law=law), 2 * 3 - 2 * log_likelihood, rtol=1e-11
        )
        np.testing.assert_allclose(
            laws.r_squared.sel(law=law), 1 - residuals.var() / log_sigma.var(), 1e-11
        )
    # The exponential is the stretched one at beta = 1: at most one parameter worse.
    assert laws.aic.sel(law="stretched") <= laws.aic.sel(law="exponential") + 2 + 1e-9


def test_zeros_are_left_out_of_the_logarithms():
    tau = np.arange(30)
    sigma = np.where(tau < 12, np.exp(-0.5 * tau), 0)
    whole, cut = spectra.compare_decays(sigma), spectra.compare_decays(sigma[:12])
    xr.testing.assert_identical(whole, cut)


@pytest.mark.parametrize(
    ("n_positive", "fits", "compares"),
    [(1, False, False), (2, True, False), (4, True, False), (5, True, True)],
)
def test_a_fit_takes_two_positive_values_and_a_comparison_five(
    n_positive, fits, compares
):
    tau = np.arange(8.0)
    curve = np.where(tau < n_positive, np.exp(-0.3 * tau), 0)
    assert spectra.fit_decay(curve).converged == fits
    assert np.isfinite(spectra.compare_decays(curve).aic).all() == compares


@pytest.mark.parametrize("beta", [0.15, 0.4, 2.5, 7.5])
def test_the_stretch_is_found_wherever_it_lies(beta):
    tau = np.arange(21)
    laws = spectra.compare_decays(3 * np.exp(-4 * (tau / 20) ** beta))
    # the search stops at 1e-5 of beta
    np.testing.assert_allclose(laws.beta, beta, rtol=1e-4)
    assert laws.aic.idxmin("law") == "stretched"


@pytest.mark.parametrize(("m", "b"), [(3.0, 0.4), (-0.5, 0.05), (1.0, 0.3), (0.2, 0)])
def test_a_damped_power_is_found_and_holds_the_exponential_and_the_power(m, b, rng):
    tau = np.arange(40)
    sigma = 2 * (1 + tau) ** (m - 1) * np.exp(-b * (1 + tau))
    laws = ["damped power", "stretched", "power", "exponential"]
    exact = spectra.compare_decays(sigma, laws=laws)
    damped = exact.sel(law="damped power")
    for found, put_in in ((damped.m, m), (damped.b, b), (damped.a, 2)):
        # a plane through exact values, of condition 100
        np.testing.assert_allclose(found, put_in, rtol=1e-10, atol=1e-12)
    special = {1.0: "exponential", 0.2: "power"}.get(m, "damped power")
    noisy = sigma * np.exp(0.01 * rng.normal(size=40))
    aic = spectra.compare_decays(noisy, laws=laws).aic
    assert aic.sel(law=special) <= aic.min("law") + 2  # the price of a parameter
    assert (
        aic.sel(law="damped power") <= aic.sel(law=["power", "exponential"]).min() + 2
    )
    assert exact.law.values.tolist() == laws


def test_laws_that_are_not_asked_for_leave_the_others_as_they_are(rng):
    curve = np.exp(rng.normal(size=30))
    three, one = spectra.compare_decays(curve), ["stretched"]
    assert "m" not in three and three.law.values.tolist() == [*THREE]
    xr.testing.assert_identical(
        spectra.compare_decays(curve, laws=one)["aic"], three["aic"].sel(law=one)
    )
    assert "beta" not in spectra.compare_decays(curve, laws=["power"])
    with pytest.raises(ValueError, match="`laws` must be among"):
        spectra.compare_decays(curve, laws=["linear"])


def test_an_exponential_is_not_stretched_at_all():
    laws = spectra.compare_decays(2 * np.exp(-0.3 * np.arange(30)))
    # the grid's own 1, which a search to 1e-5 does not reach
    np.testing.assert_allclose(laws.beta, 1, rtol=1e-12)


# --- properties --------------------------------------------------------------------


@pytest.fixture
def moments(rng):
    """Gradients of eleven positions at three delays, their mean and second moment."""
    each = rng.normal(size=(11, 3, 5, 4)) + 0.5
    dims = ("delay", "embedding", "embedding_2")
    second = xr.DataArray(np.einsum("pdse,pdsf->def", each, each) / 11, dims=dims)
    return (
        each,
        xr.DataArray(each.mean(0), dims=("delay", "state", "embedding")),
        second,
    )


def test_rms_spectrum_is_that_of_the_stacked_gradients(moments):
    each, mean, second = moments
    result = spectra.coherence(mean, second)
    # M = A^T A / n with the positions' gradients below one another in A
    stacked = np.concatenate(each, axis=1)  # (delay, position * state, embedding)
    s = np.linalg.svdvals(stacked) / np.sqrt(11)
    np.testing.assert_allclose(result["rms_s"], s, rtol=1e-12)
    np.testing.assert_allclose(result["rms_memory"], s[:, 0], rtol=1e-12)
    sigma_1 = np.linalg.norm(mean, 2, axis=(1, 2))
    np.testing.assert_allclose(result["coherence"], sigma_1 / s[:, 0], rtol=1e-12)
    assert result["rms_memory"].attrs["units"] == "state unit / embedding unit"


def test_coherence_is_one_if_positions_agree_and_zero_if_they_cancel(rng):
    gradient = rng.normal(size=(5, 4))
    moment = gradient.T @ gradient  # also of equally many G and -G
    for mean, expected in ((gradient, 1), (0 * gradient, 0)):
        share = spectra.coherence(mean, moment)["coherence"]
        np.testing.assert_allclose(share, expected, rtol=1e-12)
    assert np.isnan(spectra.coherence(0 * gradient, 0 * moment)["coherence"])


def test_a_moment_of_other_positions_is_refused(moments):
    _, mean, second = moments
    with pytest.raises(ValueError, match=r"coherence: sigma_1 .* received .* both raw"):
        spectra.coherence(mean, 0.1 * second)
    delays = mean.assign_coords(delay=[0, 1, 2]), second.assign_coords(delay=[0, 2, 1])
    with pytest.raises(ValueError, match=r"^coherence: .* names along `delay`"):
        spectra.coherence(*delays)


@pytest.mark.parametrize("scale", [1e-14, 1e-17, 3e-19, 1e-20, 1e-30, 0])
def test_coherence_is_missing_where_float32_lost_the_squares(rng, scale):
    each = np.float32(scale * rng.normal(size=(11, 64, 3)))
    products = each.swapaxes(1, 2) @ each
    products[np.abs(products) < np.finfo(np.float32).tiny] = 0  # as TensorFlow does
    mean, moment = each.mean(axis=0, dtype=float), products.mean(axis=0, dtype=float)
    share = spectra.coherence(mean, moment)["coherence"]
    # 192 tiny, a thousandth of which is 1e-3: sqrt(1e3 * 192 * 1.2e-38) = 4.7e-17
    assert np.isnan(share) == (scale < 1e-17)
    assert share.attrs.get("missing", "").startswith("where") == (scale < 1e-17)
    if scale >= 1e-17:
        rms = np.linalg.norm(each.reshape(-1, 3) / np.sqrt(11), 2)
        np.testing.assert_allclose(share, np.linalg.svdvals(mean)[0] / rms, rtol=1e-3)


@pytest.mark.parametrize("spread", [1e-3, 1, 1e3])
def test_a_mean_whose_squares_float32_lost_has_spectra_whitened_or_not(rng, spread):
    each = np.float32(5e-20 * rng.normal(size=(11, 1, 64, 3)))
    moment = (each.swapaxes(2, 3) @ each).mean(axis=0, dtype=float)
    dims = ("delay", "state", "embedding")
    curves = summary.spectra_of(
        xr.DataArray(each.mean(axis=0, dtype=float), dims=dims),
        spread * rng.normal(size=(20, 3)),
        xr.DataArray(0.5 * moment, dims=("delay", "embedding", "embedding_2")),
    )
    assert curves["coherence"].isnull().all()
    assert curves["coherence"].attrs["missing"]
    assert (curves["memory"] > 0).all()


def test_property_direction_is_the_whitened_difference_of_means(rng):
    embeddings = rng.normal(size=(50, 6)) @ rng.normal(size=(6, 6))
    a, b = embeddings[:20], embeddings[20:27]
    direction = spectra.property_direction(a, b, fit_whitening(embeddings))
    # Independently: Z undoes the Cholesky factor of the covariance.
    factor = np.linalg.cholesky(np.cov(embeddings.T))
    expected = np.linalg.solve(factor, a.mean(axis=0) - b.mean(axis=0))
    expected /= np.linalg.norm(expected)
    # cond(D) below 1e3 here
    np.testing.assert_allclose(direction, expected, rtol=0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(direction), 1, rtol=10 * EPS)
    assert direction.dims == ("embedding",)
    labelled = [
        xr.DataArray(x, dims=("word", "embedding"), coords={"embedding": range(6)})
        for x in (a, b)
    ]
    named = spectra.property_direction(*labelled, fit_whitening(embeddings))
    np.testing.assert_allclose(named, direction, rtol=0, atol=1e-14)
    assert list(named.embedding) == list(range(6))


def test_cosine_equals_that_of_the_orthogonal_projection(gradient, rng):
    d = unit(rng, 6)
    svd = spectra.decompose(gradient)
    for n in (1, 3, 6):
        cosine = spectra.subspace_cosine(svd, d, n)
        for group, delay in np.ndindex(2, 4):
            # The projection on H_n by least squares, Eq. 16's left side.
            best = np.linalg.svd(gradient.values[group, delay])[2][:n].T
            y = best @ np.linalg.lstsq(best, d, rcond=None)[0]
            expected = d @ y / (np.linalg.norm(d) * np.linalg.norm(y))
            # vectors of random matrices: gaps above 1e-2, so 1e-13 / 1e-2
            np.testing.assert_allclose(cosine[group, delay], expected, rtol=1e-10)
    np.testing.assert_allclose(spectra.subspace_cosine(gradient, d, 6), 1, rtol=1e-13)
    xr.testing.assert_identical(
        spectra.subspace_cosine(gradient, d, 2), spectra.subspace_cosine(svd, d, 2)
    )


def test_relative_memory_is_the_response_over_the_largest(gradient, rng):
    d = xr.DataArray(
        unit(rng, 3, 6),
        dims=("property", "embedding"),
        coords={"property": ["number", "genitive", "tense"]},
    )
    m = spectra.relative_memory(gradient, d)
    assert m.dims == ("group", "delay", "property")
    for group, delay, which in np.ndindex(2, 4, 3):
        g = gradient.values[group, delay]
        expected = np.linalg.norm(g @ d.values[which]) / np.linalg.norm(g, 2)
        np.testing.assert_allclose(m[group, delay, which], expected, rtol=1e-13)
    assert list(m.property) == ["number", "genitive", "tense"]
    assert spectra.subspace_cosine(gradient, d, 1).dims == m.dims
    plain = spectra.relative_memory(gradient.values, d.values)
    assert np.array_equal(plain, m)
    # v_1 itself is remembered best, v_i by sigma_i / sigma_1 (Eq. 19).
    svd = spectra.decompose(gradient.values[0, 0])
    m = spectra.relative_memory(gradient.values[0, 0], svd.vt.values)
    np.testing.assert_allclose(m, svd.s / svd.s[0], rtol=1e-12)


@given(
    n=st.integers(1, 6),
    sigma=st.floats(1e-200, 1e6),
    d=hnp.arrays(float, 6),
    seed=seeds,
)
def test_both_measures_agree_on_a_flat_spectrum_of_rank_n(n, sigma, d, seed):
    rng = np.random.default_rng(seed)
    with np.errstate(all="ignore"):
        d = d / np.linalg.norm(d)
    if not (np.isfinite(d).all() and abs(d @ d - 1) < 1e-9):
        d = unit(rng, 6)
    g = with_spectrum(rng, [sigma] * n)[0]
    m, cosine = spectra.relative_memory(g, d), spectra.subspace_cosine(g, d, n)
    # Eq. 23. H_n is determined up to eps sigma_n / gap = eps, for sizes below 10.
    np.testing.assert_allclose(m, cosine, rtol=0, atol=1e-13)


def test_the_measures_disagree_where_the_spectrum_is_not_flat(rng):
    g, vt = with_spectrum(rng, [4.0, 1.0])
    np.testing.assert_allclose(spectra.subspace_cosine(g, vt[1], 2), 1, rtol=1e-13)
    np.testing.assert_allclose(spectra.relative_memory(g, vt[1]), 1 / 4, rtol=1e-13)


# --- errors ------------------------------------------------------------------------

SQUARE = np.eye(3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: spectra.decompose(np.ones(3)), "axes .*state.*embedding"),
        (lambda: spectra.decompose(np.float64(1)), "axes .*state.*embedding"),
        (lambda: spectra.decompose(np.ones((1,) * 5)), "axes .*state.*embedding"),
        (lambda: spectra.decompose(np.ones((0, 3))), r"\{'state': 0"),
        (lambda: spectra.decompose([[1, np.nan]]), "1 non-finite"),
        (
            lambda: spectra.memory_curve(xr.DataArray(SQUARE, dims=("state", "x"))),
            r"received \{'state': 3, 'x': 3\}",
        ),
        (lambda: spectra.relative_memory(SQUARE, [1.0, 1.0, 0.0]), "length 1"),
        (lambda: spectra.subspace_cosine(SQUARE, [1.0, 1.0, 0.0], 1), "length 1"),
        (lambda: spectra.subspace_cosine(SQUARE, SQUARE[0], 0), r"`n` .* in 1\.\.3"),
        (lambda: spectra.subspace_cosine(SQUARE, SQUARE[0], 4), r"received 4"),
        (lambda: spectra.fit_decay([1.0, 0.5]), "at least 3 different delays"),
        (lambda: spectra.compare_decays(np.ones(4)), "at least 5 different delays"),
        (
            lambda: spectra.fit_decay(
                xr.DataArray(np.ones(3), dims="delay", coords={"delay": [-1, 0, 1]})
            ),
            "delays >= 0",
        ),
        (
            lambda: spectra.property_direction(
                [[1.0], [3.0]], [2.0], fit_whitening([[-1.0], [1.0]])
            ),
            "must have different means",
        ),
        (
            lambda: spectra.property_direction(
                SQUARE, SQUARE[0], fit_whitening([[-1.0], [1.0]])
            ),
            "sizes 3 and 3",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_direction_with_other_coordinates_is_refused(gradient):
    labelled = gradient.assign_coords(embedding=np.arange(6))
    other = xr.DataArray(
        np.eye(6)[0], dims="embedding", coords={"embedding": np.arange(1, 7)}
    )
    for function, options in (
        (spectra.relative_memory, {}),
        (spectra.subspace_cosine, {"n": 1}),
    ):
        named = rf"^{function.__name__}: .*same names along `embedding`"
        with pytest.raises(ValueError, match=named):
            function(labelled, other, **options)


def test_classes_with_their_embedding_in_two_orders_are_refused(rng):
    table, axes = rng.normal(size=(20, 3)), ("word", "embedding")
    named = xr.DataArray(table, {"embedding": ["a", "b", "c"]}, axes)
    a, b, whitening = named[:10], named[10:], fit_whitening(named)
    direction = spectra.property_direction(a, b, whitening)
    plain = spectra.property_direction(table[:10], table[10:], fit_whitening(table))
    np.testing.assert_array_equal(direction, plain)
    turned = slice(None, None, -1)
    for classes in (
        (a, b[:, turned]),
        (a[:, turned], b[:, turned]),
        (table[:10], b[:, turned]),
    ):
        with pytest.raises(ValueError, match=r"^property_direction: .*same names"):
            spectra.property_direction(*classes, whitening)


@pytest.mark.parametrize("index", [[10, 11, 12, 13, 20], range(10, 15), range(5)])
def test_the_index_of_a_series_is_its_delays(index):
    sigma = 2 * np.exp(-0.3 * np.array(index))
    for fit in (spectra.fit_decay, spectra.compare_decays):
        found = fit(pd.Series(sigma, index))
        same = fit(xr.DataArray(sigma, {"delay": list(index)}))
        xr.testing.assert_identical(found, same)
    # an exact curve, to the tolerance of curve_fit
    np.testing.assert_allclose(spectra.fit_decay(pd.Series(sigma, index)).a, 2, 1e-6)


def test_a_second_moment_must_be_symmetric(moments):
    _, mean, second = moments
    whitening = fit_whitening(np.random.default_rng(0).normal(size=(20, 4)))
    rounded = second + 1e-6 * np.triu(np.ones((4, 4)))
    xr.testing.assert_allclose(
        spectra.coherence(mean, rounded), spectra.coherence(mean, second), rtol=1e-4
    )
    other = second + np.triu(np.ones((4, 4)), 1)
    with pytest.raises(ValueError, match=r"^coherence: .* differ by 1; give"):
        spectra.coherence(mean, other)
    for function in (whiten_moment, spectrum):
        with pytest.raises(ValueError, match=rf"^{function.__name__}: .* symmetric"):
            function(other, whitening)


def test_masked_gradients_are_refused():
    masked = np.ma.masked_less(SQUARE, 1)
    for function in (spectra.decompose, spectra.memory_curve):
        with pytest.raises(ValueError, match=rf"^{function.__name__}: .*no masked"):
            function(masked)
