"""Intervals: closed forms where there are any, and coverage of a known truth."""

import re

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binom
from scipy.stats import t as student

from state_gradients.analysis import uncertainty
from state_gradients.analysis.spectra import coherence, memory_curve
from state_gradients.analysis.uncertainty import block_bootstrap, shuffled

AXES = ("block", "delay", "state", "embedding")


def blocks_of(means, n_samples, **coords):
    """Label block means (block, delay, state, embedding) as the engine does."""
    gradient = xr.DataArray(means, dims=AXES[-np.ndim(means) :], coords=coords)
    n_samples = xr.DataArray(n_samples, dims=("block", "delay"))
    return xr.Dataset({"state_gradient": gradient, "n_samples": n_samples})


@pytest.fixture
def blocks(rng):
    """Nine blocks of unequal numbers of samples, without any at (4, delay 1)."""
    means = rng.normal(size=(9, 2, 4, 3)) + 3 * np.eye(4, 3)
    n_samples = rng.integers(20, 90, size=(9, 2))
    means[4, 1], n_samples[4, 1] = np.nan, 0
    return blocks_of(means, n_samples, delay=[0, 7])


def entries(gradient):
    """Return the gradient's own entries, a linear statistic."""
    return gradient.assign_attrs(units="m").rename("entries")


def linear(blocks):
    """Return the mean, and the standard error of a ratio of block sums."""
    means = blocks["state_gradient"].fillna(0).values
    share = (blocks["n_samples"] / blocks["n_samples"].sum("block")).values
    share = share[..., None, None]
    mean = (share * means).sum(0)
    variance = (share**2 * (means - mean) ** 2).sum(0) * len(means) / (len(means) - 1)
    return mean, np.sqrt(variance)


def test_a_linear_statistic_keeps_its_mean_and_has_the_ratio_s_standard_error(blocks):
    result = block_bootstrap(blocks, entries, seed=1, n_resamples=2)
    mean, error = linear(blocks)
    # round-off: sums of nine values of order 1, times B - 1 = 8
    np.testing.assert_allclose(result["observed"], mean, rtol=0, atol=1e-14)
    np.testing.assert_allclose(result["estimate"], mean, rtol=0, atol=1e-13)
    # Of the two errors the jackknife's is exact; two resamples seldom give the larger.
    ratio = result["standard_error"] / error
    assert ratio.min() > 1 - 1e-12 and np.median(ratio) < 1 + 1e-12
    half = student.ppf(0.975, 8) * result["standard_error"]
    np.testing.assert_allclose(result["upper"] - result["estimate"], half, rtol=1e-10)
    np.testing.assert_allclose(result["estimate"] - result["lower"], half, rtol=1e-10)


def test_resampled_blocks_give_the_larger_error_where_no_deletion_moves_the_norm():
    # |G| of the means 1, -1, 1, -1: every deletion gives 1 / 3, so that the jackknife
    # sees no error. Of four drawn blocks k are 1, and |G| = sqrt(4 / 3) |2 k - 4| / 4.
    means = np.reshape([1.0, -1.0, 1.0, -1.0], (4, 1, 1, 1))
    blocks = blocks_of(means, np.ones((4, 1), int))
    result = block_bootstrap(blocks, lambda g: abs(g), seed=3, n_resamples=2_000)
    size = np.sqrt(4 / 3) * abs(2 * np.arange(5) - 4) / 4
    chance = binom.pmf(np.arange(5), 4, 0.5)
    variance = chance @ size**2 - (chance @ size) ** 2
    # n resamples know it to sqrt((2.2 - 1) / 4 n) = 1.2 %, 2.2 being the kurtosis
    np.testing.assert_allclose(result["standard_error"], np.sqrt(variance), rtol=0.037)


def test_the_square_of_a_norm_loses_the_mean_s_variance(blocks):
    def statistic(gradient):
        return np.sqrt((gradient**2).sum(["state", "embedding"])).rename("memory")

    result = block_bootstrap(blocks, statistic, seed=1)
    mean, error = linear(blocks)
    # deleting one block adds SE^2 / (B - 1) to each squared entry, on average
    expected = np.sqrt((mean**2).sum((1, 2)) - (error**2).sum((1, 2)))
    np.testing.assert_allclose(result["estimate"], expected, rtol=1e-12)


def test_bias_is_that_of_deleting_blocks_one_by_one(rng):
    means, ones = rng.normal(size=(6, 1, 5, 3)), np.ones((6, 1), int)
    result = block_bootstrap(blocks_of(means, ones), memory_curve, seed=1)

    def selectivity(mean):
        s = np.sqrt(np.linalg.eigvalsh(mean.T @ mean))
        return s[-1] / s.sum()

    observed = selectivity(means.mean(0)[0])
    deleted = [selectivity(np.delete(means, b, 0).mean(0)[0]) for b in range(6)]
    expected = observed - 5 * (np.mean(deleted) - observed)
    chosen = result.sel(quantity="selectivity")
    np.testing.assert_allclose(chosen["estimate"], [expected], rtol=1e-10)
    jackknife = np.sqrt(5 / 6) * np.std(deleted) * np.sqrt(6)
    assert chosen["standard_error"] >= jackknife * (1 - 1e-12)  # but for round-off


def test_a_statistic_may_take_the_second_moment_too(blocks):
    # of one position a block: sums of squares over positions, by any weights
    gradient = blocks["state_gradient"]
    other = gradient.rename(embedding="embedding_2")
    blocks["second_moment"] = xr.dot(gradient, other, dim="state").transpose(
        "block", "delay", "embedding", "embedding_2"
    )
    both = ("state_gradient", "second_moment")
    result = block_bootstrap(blocks, coherence, seed=1, variables=both)
    moment = block_bootstrap(
        blocks, entries, seed=1, variables=["second_moment"], n_resamples=2
    )
    mean = block_bootstrap(blocks, entries, seed=1, n_resamples=2)
    expected = coherence(mean["observed"], moment["observed"])["coherence"]
    found = result.sel(quantity="coherence").isel(component=0)
    np.testing.assert_allclose(found["observed"], expected, rtol=1e-12)
    assert (found["standard_error"] > 0).all()


def ar1(rng, shape, phi):
    """Return stationary noise of variance 1 along the second axis."""
    noise = rng.normal(size=shape)
    for t in range(1, shape[1]):
        noise[:, t] = phi * noise[:, t - 1] + np.sqrt(1 - phi**2) * noise[:, t]
    return noise


def test_intervals_cover_the_truth(rng):
    # 32 blocks of 20 positions, correlated over 2; the truth's spectrum falls steeply
    simulations, noise = 400, ar1(rng, (400, 32 * 20, 6, 4), 0.5)
    truth = np.diag([1, 0.6, 0.4, 0.3])[[0, 1, 2, 3, 0, 1]] / [1.4, 1.4, 1, 1]
    norms = np.linalg.svdvals(noise.mean(1))[:, 0]
    ratio = np.array([20, 5, 1, 0])  # sigma_1 over the mean's noise, along `delay`
    truth = truth * (norms.mean() / np.linalg.norm(truth, 2))
    truth = ratio[:, None, None] * truth  # (delay, state, embedding)
    means = noise.reshape(400, 32, 1, 20, 6, 4).mean(3) + truth
    dims = ("simulation", *AXES)
    blocks = xr.Dataset(
        {
            "state_gradient": (dims, means),
            "n_samples": (("block", "delay"), np.full((32, 4), 20)),
        }
    )
    result = block_bootstrap(blocks, memory_curve, seed=2, n_resamples=100)
    true = memory_curve(truth).to_dataarray("quantity")
    inside = (result["lower"] <= true) & (true <= result["upper"])
    covered = inside.mean("simulation").sel(quantity=["memory", "total", "selectivity"])
    # three standard deviations of a binomial share of 400; near the noise intervals of
    # norms may be too wide, those of selectivity are known to fail
    slack = 3 * np.sqrt(0.95 * 0.05 / simulations)
    assert (abs(covered[:, 0] - 0.95) < slack).all()
    assert (covered[:2] > 0.95 - slack).all()
    assert (result["lower"].sel(quantity="memory")[:, 3] == 0).mean() > 0.95
    # where there is nothing but noise, the uncorrected memory seems significant
    seen = result["observed"] - 2 * result["standard_error"]
    assert (seen.sel(quantity="memory")[:, 3] > 0).mean() > 0.95


def test_a_result_is_labelled_and_repeats_from_its_seed(blocks):
    curves = block_bootstrap(blocks, memory_curve, seed=5, n_resamples=20)
    assert curves["lower"].dims == ("quantity", "delay")
    np.testing.assert_array_equal(curves["delay"], [0, 7])
    units = dict(zip(curves["quantity"].values, curves["units"].values, strict=True))
    assert units["memory"] == "state unit / embedding unit"
    assert units["selectivity"] == "1"

    def first(gradient):
        return memory_curve(gradient)["memory"]

    memory = block_bootstrap(blocks, first, seed=5, n_resamples=20)
    chosen = curves["lower"].sel(quantity="memory", drop=True)
    xr.testing.assert_equal(memory["lower"], chosen)
    assert memory["lower"].attrs["units"] == "state unit / embedding unit"
    other = block_bootstrap(blocks, memory_curve, seed=6, n_resamples=20)
    assert (other["estimate"] == curves["estimate"]).all()  # the jackknife's
    assert (other["upper"] != curves["upper"]).any()


def test_a_narrower_level_gives_narrower_intervals(blocks):
    wide, narrow = (
        block_bootstrap(blocks, entries, seed=1, level=p) for p in (0.9, 0.5)
    )
    ratio = (narrow["upper"] - narrow["lower"]) / (wide["upper"] - wide["lower"])
    expected = student.ppf(0.75, 8) / student.ppf(0.95, 8)
    np.testing.assert_allclose(ratio, expected, rtol=1e-10)


def test_unfit_blocks_and_options_are_refused(blocks):
    for unfit in ({"level": 1.0}, {"n_resamples": 1}):
        with pytest.raises(
            ValueError, match=r"block_bootstrap: `blocks` must.*received"
        ):
            block_bootstrap(blocks, entries, seed=1, **unfit)
    with pytest.raises(ValueError, match="two or more"):
        block_bootstrap(blocks.isel(block=[0]), entries, seed=1)
    below = blocks.assign(n_samples=blocks["n_samples"] - 1_000)
    with pytest.raises(ValueError, match=r"`n_samples` must be 0 or more, received -"):
        block_bootstrap(below, entries, seed=1)
    blocks["n_samples"][1:, 0] = 0
    with pytest.raises(ValueError, match=r"samples in two blocks or more, received 1"):
        block_bootstrap(blocks, entries, seed=1)


# --- samples that few blocks hold ---------------------------------------------------

REFUSED = {  # the samples of each block, and what is said
    "a text that holds most of the samples of an interval": (
        [30_000] + 7 * [300],
        r"2 equal blocks or more, .* received 1\.14 of 8, .* 93 % .* like length",
    ),
    "an interval from one block alone": (
        [500, 0, 0, 0],
        "samples in two blocks or more, received 1; leave out",
    ),
}
TOO_FEW = [[100_000] + 7 * [1], [160] + 63 * [1], [11, 1], [20, 1, 1]]
FEW = [[8_000] + 7 * [1_000], 2 * [9] + 6 * [0], [150] + 63 * [1], [5, 1], [4, 1, 1, 1]]
ENOUGH = [8 * [7], 4 * [9] + 60 * [0], [3, 3], [501, 500], [3, 2, 2], [2, 2, 1, 2]]


def scattered(n_samples, n_means=1, seed=0):
    """Return blocks of means of normal numbers about 0, of so many each."""
    n = np.array(n_samples, float).reshape(len(n_samples), -1, 1, 1)
    shape = (*n.shape[:2], n_means, 1)
    noise = np.random.default_rng(seed).normal(size=shape)
    return blocks_of(noise / np.sqrt(np.maximum(n, 1e-300)), n[..., 0, 0])


def refusal_of_samples(case, _=None):
    """Return what is said of the samples of a case of `REFUSED`."""
    with pytest.raises(ValueError) as refused:
        block_bootstrap(scattered(REFUSED[case][0]), entries, seed=1)
    return str(refused.value)


@pytest.mark.parametrize("case", REFUSED)
def test_samples_that_one_block_holds_are_refused(case):
    said = refusal_of_samples(case)
    assert said.startswith("block_bootstrap: ")
    assert re.search(REFUSED[case][1], said)


@pytest.mark.parametrize("n_samples", TOO_FEW)
def test_means_over_too_few_effective_blocks_are_refused(n_samples):
    blocks = scattered(n_samples)
    effective = sum(n_samples) ** 2 / sum(n**2 for n in n_samples)
    said = f"received {effective:.3g} of {len(n_samples)}, one of which"
    with pytest.raises(ValueError, match=f"block_bootstrap: .*{said}"):
        block_bootstrap(blocks, entries, seed=1)
    with pytest.raises(ValueError, match=f"without_each: .*{said}"):
        uncertainty.without_each(blocks, entries)
    assert not uncertainty.are_spread(blocks["n_samples"])


@pytest.mark.parametrize("n_samples", FEW)
def test_there_is_a_warning_of_means_over_few_effective_blocks(n_samples):
    blocks = scattered(n_samples)
    with pytest.warns(RuntimeWarning, match="block_bootstrap: .* too narrow") as warned:
        block_bootstrap(blocks, entries, seed=1)
    assert [warning.filename for warning in warned] == [__file__]
    with pytest.warns(RuntimeWarning, match="without_each: .* too narrow"):
        uncertainty.without_each(blocks, entries)
    assert uncertainty.are_spread(blocks["n_samples"])


@pytest.mark.parametrize("n_samples", ENOUGH)
def test_means_over_enough_blocks_or_equal_ones_pass_in_silence(n_samples):
    blocks = scattered(n_samples)
    block_bootstrap(blocks, entries, seed=1)  # a warning would be an error
    uncertainty.without_each(blocks, entries)


def test_one_mean_of_several_decides():
    n_samples = np.array([8 * [9], [90] + 7 * [1]]).T  # (block, delay)
    with pytest.raises(ValueError, match=r"received 1\.16 of 8, .* 93 %"):
        block_bootstrap(scattered(n_samples), entries, seed=1)


def test_intervals_cover_less_where_few_blocks_hold_the_samples():
    n_blocks, n_means = 16, 4_000
    m = np.array([2, 3, 4, 8, 16])
    holds = np.arange(n_blocks)[:, None] < m  # (block, delay)
    blocks = scattered(np.where(holds, 1e9, 1), n_means)
    with pytest.warns(RuntimeWarning, match="received 2 of 16"):
        found = block_bootstrap(blocks, entries, seed=1)
    covered = ((found["lower"] < 0) & (found["upper"] > 0)).mean(["state", "embedding"])
    # The m blocks' error is sqrt((1 - 1/m) / (1 - 1/n)) of what it should be, on
    # average, and t of m - 1 degrees.
    quantile = student.ppf(0.975, n_blocks - 1)
    ratio = np.sqrt((1 - 1 / m) / (1 - 1 / n_blocks))
    expected = 1 - 2 * student.sf(quantile * ratio, m - 1)
    # three deviations of a share of 4,000; the larger of two errors may add 1 %
    slack = 3 * np.sqrt(expected * (1 - expected) / n_means)
    assert (covered.values > expected - slack).all()
    assert (covered.values < expected + slack + 0.01).all()
    assert (np.diff(expected) > 0).all() and expected[0] < 0.65


def test_shuffled_text_keeps_frequencies_and_loses_order(rng):
    ids = rng.integers(0, 7, size=(3, 500), dtype=np.int32)
    moved = shuffled(ids, seed=1)
    assert moved.dtype == ids.dtype
    np.testing.assert_array_equal(np.sort(moved, axis=1), np.sort(ids, axis=1))
    # tokens meet their old place by chance: 1/7 of 1,500, +- 3 sd
    assert abs((moved == ids).mean() - 1 / 7) < 3 * np.sqrt(6 / 49 / 1_500)
    np.testing.assert_array_equal(shuffled(ids, seed=1), moved)
    assert (shuffled(ids[0], seed=2) != moved[0]).any()


def test_shuffled_text_may_keep_its_sentence_ends(rng):
    ids = rng.integers(0, 7, size=400)
    moved = shuffled(ids, seed=1, keep=2)
    np.testing.assert_array_equal(moved == 2, ids == 2)
    np.testing.assert_array_equal(np.sort(moved), np.sort(ids))
    assert (moved != ids).mean() > 0.5


@pytest.mark.parametrize(("held", "at_once"), [(3, 3), (0.4, 1)])
def test_a_vectorized_statistic_gives_the_same_intervals_in_fewer_calls(
    held, at_once, monkeypatch
):
    """A mean that is larger than what may be held at once comes alone."""
    monkeypatch.setattr(uncertainty, "HELD", int(held * 8 * 5 * 4 * 2))  # in means
    rng, calls = np.random.default_rng(4), []
    dims = ("block", "delay", "state", "embedding")
    moments = xr.DataArray(rng.normal(size=(6, 5, 2, 2)), dims=dims)
    blocks = xr.Dataset(
        {
            "state_gradient": (dims, rng.normal(size=(6, 5, 4, 2))),
            "second_moment": moments.rename(state="embedding_2"),
            "n_samples": (dims[:2], rng.integers(1, 9, size=(6, 5))),
        }
    )

    def statistic(gradient, moment):
        calls.append(gradient.sizes.get("replicate", 1))
        norm = (gradient**2).sum(["state", "embedding"])
        trace = moment.sum(["embedding_2", "embedding"])
        return xr.Dataset({"memory": norm, "trace": trace.isel(delay=0, drop=True)})

    options = {"seed": 1, "n_resamples": 9}
    options["variables"] = ("state_gradient", "second_moment")
    one_by_one = uncertainty.block_bootstrap(blocks, statistic, **options)
    assert calls == [1] * (1 + 9 + 6)
    calls.clear()
    found = uncertainty.block_bootstrap(blocks, statistic, vectorized=True, **options)
    assert sum(calls) == 1 + 9 + 6
    assert min(calls) > 0 and max(calls) == at_once
    assert found.identical(one_by_one)


@pytest.mark.parametrize("lost", ["replicate", "in one of two"])
def test_a_vectorized_statistic_that_mixes_its_means_is_refused(rng, lost):
    dims = ("block", "delay", "state", "embedding")
    blocks = xr.Dataset({"state_gradient": (dims, rng.normal(size=(4, 3, 2, 2)))})
    blocks["n_samples"] = (dims[:2], np.ones((4, 3), int))

    def statistic(gradient):
        mixed = (gradient**2).sum([x for x in gradient.dims if x != "delay"])
        kept = (gradient**2).sum(["state", "embedding"])
        return mixed if lost == "replicate" else xr.Dataset({"a": kept, "b": mixed})

    with pytest.raises(ValueError, match="must keep the dimension `replicate`, of 205"):
        block_bootstrap(blocks, statistic, seed=1, vectorized=True)
