"""Directions of properties, their noise, and what chance makes of their measures."""

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from state_gradients.analysis import properties, spectra
from state_gradients.analysis.properties import Halves

SIZE = 8


@pytest.fixture
def gradient(rng):
    return rng.normal(size=(12, SIZE)) @ np.diag(np.arange(SIZE, 0, -1.0))


@pytest.fixture
def halves():
    return Halves(np.array([1, 2, 0, 0, 1, 0]), np.array([0, 1, 1, 1, 0, 0]))


def spectrum(gradient, subspaces=(1, 2, 5)):
    _, s, vt = np.linalg.svd(gradient, full_matrices=False)
    return vt, properties.weights(s, subspaces)


def test_the_step_is_the_difference_of_means_over_pairs(rng, halves):
    table = rng.normal(size=(6, SIZE))
    a = np.mean([table[0], table[1], table[1], table[4]], axis=0)
    b = np.mean([table[1], table[2], table[3]], axis=0)
    # six products of order 1: a few eps
    np.testing.assert_allclose(
        properties.step_between(table, halves), a - b, rtol=0, atol=1e-14
    )


def test_measures_are_those_of_the_paper(rng, gradient):
    vt, weighted = spectrum(gradient)
    steps = 3 * rng.normal(size=(4, SIZE))
    found = np.sqrt(properties.measure(steps, vt, weighted))
    for row, step in zip(found, steps, strict=True):
        d = step / np.linalg.norm(step)
        m = spectra.relative_memory(gradient, d)
        cosines = [spectra.subspace_cosine(gradient, d, n) for n in (1, 2, 5)]
        np.testing.assert_allclose(row, [m, *cosines], rtol=1e-12)  # 8 products


def test_splits_keep_the_sizes_of_the_halves_and_all_pairs(halves):
    steps = properties.split_steps(np.eye(6), halves, n=250, seed=1)
    times_a = (steps + (halves.a + halves.b) / 3) / (1 / 4 + 1 / 3)
    # a pair in a adds 1 / 4, in b takes 1 / 3
    np.testing.assert_allclose(times_a, np.round(times_a), atol=1e-12)
    np.testing.assert_allclose(times_a.sum(axis=1), 4)
    assert (times_a <= halves.a + halves.b + 1e-9).all()
    assert len(np.unique(times_a.round(), axis=0)) > 10
    # each pair is in a with probability 4 / 7; of 250 the error is 0.03, times 5
    np.testing.assert_allclose(
        times_a.mean(axis=0), 4 / 7 * (halves.a + halves.b), atol=0.16
    )


def test_splits_within_bins_keep_how_many_of_each_bin_are_in_a(halves):
    bins = np.array([0, 0, 0, 1, 1, 1])
    steps = properties.split_steps(np.eye(6), halves, n=40, seed=1, bins=bins)
    times_a = (steps + (halves.a + halves.b) / 3) / (1 / 4 + 1 / 3)
    np.testing.assert_allclose(times_a[:, :3].sum(axis=1), 3)
    np.testing.assert_allclose(times_a[:, 3:].sum(axis=1), 1)
    assert len(np.unique(times_a.round(), axis=0)) > 3


def test_resamples_scatter_as_the_mean_does(rng):
    """Of two halves apart, the variance of the step is var / n_a + var / n_b."""
    table = rng.normal(size=(300, 1))
    is_a = np.arange(300) < 100
    halves = Halves(is_a.astype(int), (~is_a).astype(int))
    steps = properties.resampled_steps(table, halves, n=4_000, seed=2)
    expected = table[is_a].var() / 100 + table[~is_a].var() / 200
    # a variance from 4,000 draws is known to 2.2 %, sizes that vary add 1 %
    np.testing.assert_allclose(steps.var(), expected, rtol=0.09)


def test_types_on_both_sides_are_drawn_with_all_their_pairs():
    """A type that is all of b has the same weight in a: steps move together."""
    table = np.array([[1.0], [0.0], [0.0], [5.0]])
    halves = Halves(np.array([0, 1, 1, 1]), np.array([1, 0, 0, 1]))
    steps = properties.resampled_steps(table, halves, n=500, seed=3)[:, 0]
    known = set(np.round(steps[np.isfinite(steps)], 9))
    possible = {
        round(5 * k / (j + k) - (5 * k + i) / (i + k), 9)
        for i in range(5)
        for j in range(5 - i)
        for k in [4 - i - j]
        if j + k and i + k
    }
    assert known <= possible and len(known) > 5
    assert np.isnan(steps).any()  # a half that was not drawn at all


def test_as_many_types_are_matched_as_can_be(rng):
    for seed in range(20):
        frequency = rng.integers(1, 30, size=40)
        sides = rng.integers(4, size=40)
        halves = Halves((sides % 2).astype(int), (sides // 2).astype(int))
        found = properties.matched(halves, frequency, ratio=1.25, seed=seed)
        a, b = (np.flatnonzero(side) for side in found)
        assert len(a) == len(b) > 0
        assert (sides[a] == 1).all() and (sides[b] == 2).all()
        pairs = np.sort(frequency[a]) / np.sort(frequency[b])
        assert pairs.max() <= 1.25 and pairs.min() >= 1 / 1.25
        own, other = (frequency[sides == k] for k in (1, 2))
        ratio = np.maximum.outer(own, other) / np.minimum.outer(own, other)
        rows = linear_sum_assignment(ratio > 1.25)
        assert len(a) == np.count_nonzero(ratio[rows] <= 1.25)


def test_which_types_of_one_frequency_are_matched_is_drawn():
    halves = Halves(np.array([1] * 9 + [0]), np.array([0] * 9 + [1]))
    taken = {
        int(np.argmax(properties.matched(halves, np.ones(10), ratio=1, seed=k).a))
        for k in range(20)
    }
    assert len(taken) > 3


# Chance. Coverage of 400 draws has a standard error of 1.5 points: three are 4.5.


def covers(low, high, values):
    return np.mean((low <= values) & (values <= high))


def test_the_band_of_random_directions_covers(rng, gradient):
    vt, weighted = spectrum(gradient)
    s = np.linalg.svdvals(gradient)
    cosines = properties.random_cosines(SIZE, n=20_000, seed=3)
    bands = [properties.chance_of_m(s, SIZE, cosines=cosines)]
    bands += [properties.chance_of_cosine(n, SIZE) for n in (1, 2, 5)]
    directions = rng.normal(size=(4_000, SIZE))
    squares = properties.measure(directions, vt, weighted)
    for band, square in zip(bands, squares.T, strict=True):
        found = np.sqrt(square)
        # 4,000 draws: 0.5 points, and 0.2 of the band's ends
        assert abs(covers(band["lower"], band["upper"], found) - 0.9) < 0.02
        assert abs(np.mean(found > band["upper"]) - 0.05) < 0.015
        # relative error of the mean square below 2 %
        np.testing.assert_allclose(band["middle"] ** 2, square.mean(), rtol=0.06)
    assert bands[0]["middle"] == pytest.approx(np.sqrt((s**2).sum() / SIZE) / s[0])
    assert properties.chance_of_cosine(SIZE, SIZE)["lower"] == 1


def labelled_at_random(rng, n=120, n_a=40):
    """Return words of unequal spread, half of which is called a."""
    table = rng.normal(size=(n, SIZE)) @ np.diag([5, 3, 1, 1, 1, 1, 1, 1.0])
    is_a = rng.permutation(n) < n_a
    return table, Halves(is_a.astype(int), (~is_a).astype(int))


def test_the_band_of_random_splits_covers_where_there_is_no_property(rng, gradient):
    vt, weighted = spectrum(gradient)
    inside, above = [], []
    for seed in range(400):
        table, halves = labelled_at_random(rng)
        splits = properties.split_steps(table, halves, n=200, seed=seed)
        band = properties.band(properties.measure(splits, vt, weighted))
        step = properties.step_between(table, halves)
        found = np.sqrt(properties.measure(step, vt, weighted))
        inside.append((band["lower"] <= found) & (found <= band["upper"]))
        above.append(found > band["upper"])
    np.testing.assert_allclose(np.mean(inside, axis=0), 0.9, atol=0.05)
    np.testing.assert_allclose(np.mean(above, axis=0), 0.05, atol=0.035)


def test_splits_within_bins_cover_where_frequency_is_all_that_differs(rng, gradient):
    """Embeddings lean with frequency, and so do labels: no property, but a step."""
    vt, weighted = spectrum(gradient)
    plain, binned = [], []
    for seed in range(200):
        bins = rng.integers(6, size=240)
        lean = np.outer(bins, vt[0])
        table = lean + rng.normal(size=(240, SIZE))
        is_a = rng.random(240) < bins / 5
        halves = Halves(is_a.astype(int), (~is_a).astype(int))
        step = properties.step_between(table, halves)
        found = np.sqrt(properties.measure(step, vt, weighted))[0]
        for kept, results in ((None, plain), (bins, binned)):
            splits = properties.split_steps(table, halves, n=100, seed=seed, bins=kept)
            band = properties.band(properties.measure(splits, vt, weighted))
            results.append(found > band["upper"][0])
    assert np.mean(plain) > 0.5
    # 200 draws have a standard error of 1.5 points, the ends of 100 splits as much
    assert np.mean(binned) < 0.12


def test_intervals_cover_and_the_noise_is_taken_off(rng, gradient):
    vt, weighted = spectrum(gradient)
    truth = np.r_[0, 0, 3.0, 0, 0, 0, 3, 0]  # not where the noise is largest
    true = np.sqrt(properties.measure(truth, vt, weighted))
    found = []
    for seed in range(400):
        table, halves = labelled_at_random(rng)
        table += np.outer(halves.a, truth)
        step = properties.step_between(table, halves)
        resampled = properties.resampled_steps(table, halves, n=300, seed=seed)
        found.append(properties.without_noise(step, resampled, vt, weighted))
    below = np.mean([true < f["lower"] for f in found], axis=0)
    above = np.mean([true > f["upper"] for f in found], axis=0)
    # 2.5 % on either side, with a standard error of 0.8 points
    assert (below < 0.055).all() and (above < 0.055).all(), (below, above)
    # m alone: a cosine that is nearly 0 is cut off at 0, and cannot be without bias
    observed, estimate = (
        abs(np.nanmean([f[name][0] ** 2 for f in found]) - true[0] ** 2)
        for name in ("observed", "estimate")
    )
    assert estimate < 0.25 * observed, (estimate, observed)


def test_intervals_take_the_noise_off_twice_in_a_loop(rng, gradient):
    vt, weighted = spectrum(gradient)
    step = 3 * rng.normal(size=SIZE)
    resampled = step + rng.normal(size=(150, SIZE)) * np.linspace(0.2, 1, SIZE)
    found = properties.without_noise(step, resampled, vt, weighted)
    noise = [np.var([v @ row for row in resampled], ddof=1) for v in vt]

    def share(one, times):
        left = np.array(
            [(v @ one) ** 2 - times * n for v, n in zip(vt, noise, strict=True)]
        )
        return np.clip(weighted @ left / (one @ one - times * np.sum(noise)), 0, 1)

    shares = [share(row, 2) for row in resampled]
    ends = np.sqrt(np.quantile(shares, [0.025, 0.975], axis=0))
    # sums of 8 products, of variances known to eps times their number
    np.testing.assert_allclose([found["lower"], found["upper"]], ends, rtol=1e-9)
    np.testing.assert_allclose(found["estimate"], np.sqrt(share(step, 1)), rtol=1e-9)
    assert (ends[0] < found["estimate"]).all() and (found["estimate"] < ends[1]).all()


def test_nothing_but_noise_leaves_everything_open(gradient):
    vt, weighted = spectrum(gradient)
    noise = np.random.default_rng(1).normal(size=(400, SIZE))
    step = 0.1 * noise[0]
    found = properties.without_noise(step, noise, vt, weighted)
    assert np.isnan(found["estimate"]).all()
    assert (found["lower"] == 0).all() and (found["upper"] == 1).all()
    expected = noise.var(axis=0, ddof=1).sum() / (step @ step)
    assert properties.noise_share(step, noise) == pytest.approx(expected)


@pytest.mark.parametrize("draw", [properties.split_steps, properties.resampled_steps])
def test_halves_of_a_single_pair_are_refused(draw):
    halves = Halves(np.array([1, 0, 0]), np.array([0, 1, 1]))
    with pytest.raises(ValueError, match="pairs or more, received 1 and 2"):
        draw(np.eye(3), halves, n=5, seed=1)
