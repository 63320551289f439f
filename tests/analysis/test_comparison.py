"""Bands of differences: zero of a network with itself, and as often right as said."""

import functools

import numpy as np
import pytest
import xarray as xr

from state_gradients.analysis import comparison
from state_gradients.analysis.comparison import compare_memory, stretch_curves

N_TEXTS, N_STRETCHES, N_DELAYS, STATE, EMBEDDING = 500, 64, 10, 4, 3
DIMS = ("block", "text", "delay", "state", "embedding")


def truth(rng, rate):
    """Gradients with known singular values that fall with the delay."""
    u = np.linalg.qr(rng.normal(size=(STATE, STATE)))[0][:, :EMBEDDING]
    v = np.linalg.qr(rng.normal(size=(EMBEDDING, EMBEDDING)))[0]
    delay, component = np.arange(N_DELAYS), np.arange(EMBEDDING)
    s = np.exp(-delay / rate)[:, None] * np.exp(-0.3 * component)
    return np.einsum("se,ke,ef->ksf", u, s, v), s


def noise(rng, size):
    """Noise whose neighbouring delays are alike, as those of a text are."""
    values = rng.normal(size=size)
    for delay in range(1, size[2]):
        values[:, :, delay] *= 0.6
        values[:, :, delay] += 0.8 * values[:, :, delay - 1]
    return values


def texts(rng, means, *, n_texts, n_stretches=N_STRETCHES, ratio=10):
    """Return blocks of several networks, half of whose noise is the text's.

    Stretches are of unequal noise. Of a network's mean over a text it is
    sigma_1 / `ratio` in norm.
    """
    size = (n_stretches, n_texts, N_DELAYS, STATE, EMBEDDING)
    scale = np.exp(rng.normal(0, 0.5, (n_stretches, n_texts, 1, 1, 1)) - 0.25)
    shared = noise(rng, size)
    per_block = np.sqrt(n_stretches / (STATE * EMBEDDING)) / ratio
    for mean, s in means:
        own = np.sqrt(0.5) * (shared + noise(rng, size))
        values = mean + own * scale * per_block * s[:, :1, None]
        yield as_blocks(values)


def as_blocks(values):
    n_stretches, n_delays = values.shape[0], values.shape[2]
    blocks = xr.Dataset({"state_gradient": (DIMS, values)})
    blocks["n_samples"] = ("block", "delay"), np.full((n_stretches, n_delays), 300)
    return blocks.assign_coords(delay=np.arange(n_delays))


def embedding():
    """Vectors of the covariance I, so that whitening changes nothing."""
    table = np.random.default_rng(5).normal(size=(50, EMBEDDING))
    table -= table.mean(axis=0)
    return table @ np.linalg.inv(np.linalg.cholesky(np.cov(table, rowvar=False))).T


@functools.cache
def one_network(seed=0, **options):
    rng = np.random.default_rng(seed)
    (blocks,) = texts(rng, [truth(rng, 5)], n_texts=1, **options)
    return stretch_curves(blocks.isel(text=0), embedding())


def curves_of(s):
    """The three curves of singular values (delay, component), in closed form."""
    share = s / s.sum(axis=1, keepdims=True)
    rank = np.exp(-(share * np.log(share)).sum(axis=1))
    return np.stack([np.log(s[:, 0]), share[:, 0], rank])


def test_the_curves_without_a_stretch_are_those_of_the_other_stretches():
    """By brute force: average what is left, whiten, decompose."""
    rng = np.random.default_rng(1)
    (blocks,) = texts(rng, [truth(rng, 5)], n_texts=1, n_stretches=9)
    found = stretch_curves(blocks.isel(text=0), embedding())
    gradient = blocks["state_gradient"].values[:, 0]
    for left_out in range(9):
        mean = np.delete(gradient, left_out, axis=0).mean(axis=0)
        s = np.linalg.svd(mean, compute_uv=False)
        expected = curves_of(s)
        expected[0] = np.exp(expected[0])
        one = found["left_out"].isel(stretch=left_out)
        # float64, and a covariance that is I to 1e-15
        np.testing.assert_allclose(one.values, expected, rtol=1e-12)


def test_a_network_differs_from_itself_by_exactly_nothing():
    one, other = one_network(), one_network(seed=3)
    found = compare_memory(one, one)
    for name in ("difference", "lowest", "highest", "estimate", "lower", "upper"):
        assert (found[name] == 0).all(), name
    seeds = [one, other, one_network(seed=4)]
    found = compare_memory(seeds, seeds)
    assert [*found["band"].values] == ["text", "seeds"]
    assert (found["difference"] == 0).all() and (found["estimate"] == 0).all()
    assert (found["lower"].sel(band="text") == 0).all()
    # other seeds would differ, of the same network as of another
    assert (found["lower"].sel(band="seeds") < 0).all()
    assert (found["lowest"] < 0).all() and (found["highest"] > 0).all()


def test_a_and_b_change_places():
    a, b = one_network(), one_network(seed=3)
    one, other = compare_memory(a, b), compare_memory(b, a)
    np.testing.assert_array_equal(one["difference"], -other["difference"])
    np.testing.assert_array_equal(one["lower"], -other["upper"])
    np.testing.assert_allclose(
        one["difference"], one["a"] - one["b"], rtol=0, atol=1e-15
    )


def test_the_estimate_and_its_error_are_those_of_the_jackknife():
    """Independently: bias (n - 1)(mean - observed), SE of the deletions."""
    a, b = (one_network(seed=k, n_stretches=12) for k in (0, 3))
    found = compare_memory(a, b).sel(band="text")

    def curves(network, name):
        values = network[name].values.copy()
        values[..., 0, :] = np.log(values[..., 0, :])
        return values

    observed = curves(a, "observed") - curves(b, "observed")
    deleted = curves(a, "left_out") - curves(b, "left_out")
    estimate = observed - 11 * (deleted.mean(axis=0) - observed)
    error = np.sqrt(11 * deleted.var(axis=0))
    np.testing.assert_allclose(found["estimate"], estimate, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found["standard_error"], error, rtol=1e-9)
    half = found["critical"] * found["standard_error"]
    np.testing.assert_allclose(found["upper"], found["estimate"] + half, rtol=1e-12)
    np.testing.assert_allclose(found["lower"], found["estimate"] - half, rtol=1e-12)


@pytest.mark.slow
def test_bands_of_text_hold_the_whole_curve_as_often_as_they_say():
    """500 texts: of a rate of 95 % a count errs by 1 %; three of these are allowed.

    A band for each delay by itself would hold the whole curve far less often, and one
    that did not pair the stretches far more.
    """
    rng = np.random.default_rng(0)
    means = [truth(rng, rate) for rate in (6, 4)]
    expected = curves_of(means[0][1]) - curves_of(means[1][1])
    networks = [
        stretch_curves(blocks, embedding())
        for blocks in texts(rng, means, n_texts=N_TEXTS)
    ]
    held, pointwise = [], []
    for text in range(N_TEXTS):
        a, b = (network.isel(text=text) for network in networks)
        found = compare_memory(a, b, n_resamples=400, seed=text).sel(band="text")
        within = (found["lower"] <= expected) & (expected <= found["upper"])
        held.append(within.all("delay").values)
        off = np.abs(found["estimate"] - expected) / found["standard_error"]
        pointwise.append((off < 2).all("delay").values)
    rates = np.mean(held, axis=0)  # of log memory, selectivity, effective rank
    assert (np.abs(rates - 0.95) < 3 * np.sqrt(0.95 * 0.05 / N_TEXTS)).all(), rates
    assert (np.mean(pointwise, axis=0) < 0.85).all()


@pytest.mark.slow
def test_bands_of_seeds_hold_the_difference_as_often_as_they_say():
    """500 times three seeds a side, Gaussian curves of nine delays' length.

    So few seeds know the covariance of 51 delays badly: 1 to 2 % are lost by that.
    """
    rng = np.random.default_rng(1)
    delay = np.arange(51)
    covariance = np.exp(-0.5 * ((delay[:, None] - delay) / 9) ** 2)
    root = np.linalg.cholesky(covariance + 1e-8 * np.eye(51)).T
    level = np.log(np.array([2.0, 0.5, 8.0]))[:, None]

    def seeds():
        for curve in 0.1 * rng.normal(size=(3, 3, 51)) @ root + level:
            curve[0] = np.exp(curve[0])
            coords = {"quantity": [*comparison.QUANTITIES], "delay": delay}
            yield xr.DataArray(curve, coords).to_dataset(name="observed")

    held = []
    for number in range(500):
        found = compare_memory(
            [*seeds()], [*seeds()], n_resamples=400, seed=number
        ).sel(band="seeds")
        held.append(((found["lower"] <= 0) & (found["upper"] >= 0)).all("delay"))
    rate = np.mean(held)  # three quantities each: 1,500 curves
    assert 0.92 < rate < 0.97, rate


def test_a_shift_of_the_text_that_both_share_makes_the_band_no_wider():
    """Both memories are multiplied by a factor of the stretch: it cancels."""
    rng = np.random.default_rng(2)
    loud = np.exp(rng.normal(0, 0.3, (16, 1, 1, 1, 1)))
    size = (16, 1, N_DELAYS, STATE, EMBEDDING)
    networks = [
        stretch_curves(
            as_blocks(loud * (mean + np.zeros(size))).isel(text=0), embedding()
        )
        for mean, _ in (truth(rng, 6), truth(rng, 4))
    ]
    paired = compare_memory(*networks).sel(band="text", quantity="log_memory")
    alone = networks[0]["left_out"].sel(quantity="memory")
    assert float(np.log(alone).std("stretch").min()) > 1e-3
    np.testing.assert_allclose(paired["standard_error"], 0, atol=1e-13)


def test_three_seeds_a_side_give_the_spread_between_them():
    """The lowest and highest of nine pairs, and the pooled error, by hand."""
    a = [one_network(seed=k) for k in (0, 1, 2)]
    b = [one_network(seed=k) for k in (3, 4, 5)]
    found = compare_memory(a, b)
    curves = [
        np.stack(
            [network["observed"].sel(quantity="memory").values for network in side]
        )
        for side in (a, b)
    ]
    logs = [np.log(side) for side in curves]
    pairs = (logs[0][:, None] - logs[1][None]).reshape(9, -1)
    one = found.sel(quantity="log_memory")
    np.testing.assert_allclose(one["lowest"], pairs.min(axis=0), atol=1e-14)
    np.testing.assert_allclose(one["highest"], pairs.max(axis=0), atol=1e-14)
    pooled = (logs[0].var(axis=0, ddof=1) + logs[1].var(axis=0, ddof=1)) / 2
    np.testing.assert_allclose(
        one["standard_error"].sel(band="seeds"), np.sqrt(pooled * 2 / 3), rtol=1e-12
    )
    assert found.attrs["n_networks"] == [3, 3] and found.attrs["note"] == ""


def test_what_is_not_known_is_said():
    one = one_network()
    whole = one[["observed"]]
    found = compare_memory(whole, whole)
    assert "band" not in found.dims and "lower" not in found
    assert found.attrs["note"].startswith("No band of text: what each stretch of it")
    assert "No band of seeds: it takes 3 networks" in found.attrs["note"]
    short = one_network(n_stretches=7)
    assert "8 stretches or more, and there are 7" in compare_memory(short, short).note


def test_a_memory_of_zero_has_no_logarithm():
    one = one_network()
    gone = one.copy(deep=True)
    for name in ("observed", "left_out"):
        gone[name][{"delay": slice(7, None)}] = 0.0
    found = compare_memory(gone, one).sel(quantity="log_memory")
    assert found["difference"].isnull().sum() == 3
    assert "gradient is 0" in found["difference"].attrs["missing"]
    assert np.isfinite(found["lower"].isel(delay=slice(7))).all()
    assert np.isfinite(found["critical"]).all()


def cut(network):
    return network.isel(stretch=slice(32))


REFUSED = {
    "nothing": (lambda one: ([], one), "`a` must hold a network or more, received no"),
    "several states": (
        lambda one: (one.expand_dims(state_kind=2), one),
        "of each network, as stretch_curves gives it for one state",
    ),
    "no Dataset": (lambda one: (one, 3), "`b` must hold `observed`.*received 3;"),
    "other quantities": (
        lambda one: (one.isel(quantity=[0, 1]), one),
        r"received none of \['effective_rank'\]",
    ),
    "other delays": (
        lambda one: (one, one.isel(delay=slice(6))),
        r"the same delays, received 0 to 9 \(10\) and 0 to 5 \(6\)",
    ),
    "other text": (
        lambda one: (one.assign(text_hash="x"), one.assign(text_hash="y")),
        "the same text, received networks that read others, of the hashes x and y",
    ),
    "other stretches": (
        lambda one: (one, cut(one)),
        "64 of 19,200 positions and 32 of 9,600 positions",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_networks_with_nothing_in_common_are_refused(case):
    make, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        compare_memory(*make(one_network()))


@pytest.mark.parametrize(
    "options", [{"level": 1.0}, {"level": "95 %"}, {"n_resamples": 1}]
)
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=f"`{next(iter(options))}` must be"):
        compare_memory(one_network(), one_network(), **options)
