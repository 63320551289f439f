"""Lengths and directions: closed forms, blocks deleted by hand, and noise alone."""

import numpy as np
import pytest
import xarray as xr
from scipy.stats import t as student

from state_gradients.analysis import agreement

N_BLOCKS, N, UNITS = 6, 240, 4


def of_vectors(vectors, n_blocks=N_BLOCKS):
    """Label responses (input, delay, state), NaN where there is none, as the engine."""
    n_delays = vectors.shape[1]
    block_of = np.arange(len(vectors)) * n_blocks // len(vectors)
    there = ~np.isnan(vectors[..., 0])
    blocks = [block_of == block for block in range(n_blocks)]
    means = [np.nanmean(vectors[block], axis=0) for block in blocks]
    length = np.linalg.norm(vectors, axis=-1).astype(np.float32)
    return xr.Dataset(
        {
            "length": (("input", "delay"), length),
            "response": (("block", "delay", "state"), means),
            "n_samples": (("block", "delay"), [there[b].sum(axis=0) for b in blocks]),
            "block_of": ("input", block_of),
        },
        coords={"delay": [0, 7][:n_delays]},
    )


@pytest.fixture
def vectors(rng):
    """Responses of two delays, the last seven of which there are not at the second."""
    vectors = rng.normal(loc=[1, 0, 0, 0], size=(N, 2, UNITS))
    vectors *= rng.exponential(size=(N, 2, 1))
    vectors[-7:, 1] = np.nan
    return vectors


def by_hand(vectors):
    """Return |E r|, E|r|, sqrt(E|r|^2) of responses (input, state)."""
    vectors = vectors[~np.isnan(vectors[:, 0])]
    length = np.linalg.norm(vectors, axis=-1)
    mean = np.linalg.norm(vectors.mean(axis=0))
    return mean, length.mean(), np.sqrt((length**2).mean())


def test_the_factors_multiply_to_the_coherence_and_are_those_of_all_responses(vectors):
    found = agreement.factor_intervals(of_vectors(vectors), seed=1)["observed"]
    for which in range(2):
        one = found.isel(delay=which)
        mean, length, rms = by_hand(vectors[:, which])
        expected = {
            "mean_response": mean,
            "mean_length": length,
            "rms_length": rms,
            "directions": mean / length,
            "lengths": length / rms,
            "coherence": mean / rms,
        }
        for name, value in expected.items():  # lengths in float32
            assert float(one.sel(quantity=name)) == pytest.approx(value, rel=1e-6)
        product = one.sel(quantity="directions") * one.sel(quantity="lengths")
        assert float(product) == pytest.approx(
            float(one.sel(quantity="coherence")), rel=1e-14
        )


def test_directions_are_the_mean_cosine_weighted_by_length(vectors):
    one = vectors[:, 0]
    mean, length = one.mean(axis=0), np.linalg.norm(one, axis=-1)
    cosine = one @ mean / (length * np.linalg.norm(mean))
    expected = (length * cosine).mean() / length.mean()
    found = agreement.factor_intervals(of_vectors(vectors), seed=1)["observed"]
    directions = float(found.sel(quantity="directions", delay=0))
    assert directions == pytest.approx(expected, rel=1e-6)


def test_the_bias_is_taken_from_the_square_of_norms_and_from_lengths_as_they_are(
    vectors,
):
    data = of_vectors(vectors)
    found = agreement.factor_intervals(data, seed=1).isel(delay=0)
    block_of, one = data["block_of"].values, vectors[:, 0]
    deleted = [by_hand(one[block_of != block]) for block in range(N_BLOCKS)]

    def corrected(statistic):
        each = np.mean([statistic(*values) for values in deleted])
        observed = statistic(*by_hand(one))
        return observed - (N_BLOCKS - 1) * (each - observed)

    lengths = corrected(lambda mean, length, rms: length / rms)
    squared = corrected(lambda mean, length, rms: (mean / length) ** 2)
    estimate = found["estimate"]
    # blocks of one size: to delete one by its weight is to leave its responses out
    assert float(estimate.sel(quantity="lengths")) == pytest.approx(lengths, rel=1e-6)
    directions = float(estimate.sel(quantity="directions"))
    assert directions**2 == pytest.approx(squared, rel=1e-5)


def test_directions_of_nothing_but_noise_have_an_interval_that_begins_at_0(rng):
    found = agreement.factor_intervals(
        of_vectors(rng.normal(size=(6_400, 2, UNITS)), n_blocks=64), seed=1
    )
    directions = found.sel(quantity="directions")
    # Each mean component has variance 1 / n, and E|r| = 1.88 in four dimensions.
    expected = 2 / np.sqrt(6_400) / 1.88
    assert (directions["observed"] > expected / 5).all()
    assert (directions["observed"] < 3 * expected).all()
    np.testing.assert_array_equal(directions["lower"], 0)
    assert (directions["upper"] > 0).all()


def test_the_share_of_the_longest_is_that_of_the_sorted_squares(vectors):
    data = of_vectors(vectors)
    found = agreement.factor_intervals(data, seed=1).sel(quantity="top_share")
    block_of = data["block_of"].values
    for which, delay in enumerate((0, 7)):
        length = data["length"].values[:, which].astype(float)
        there = ~np.isnan(length)

        def share(chosen, length=length):
            squares = np.sort(length[chosen] ** 2)[::-1]
            top = 0.01 * len(squares)  # between 1.93 and 2.4 of them
            summed = np.append(0, squares.cumsum())
            return np.interp(top, np.arange(len(summed)), summed) / squares.sum()

        deleted = [share(there & (block_of != block)) for block in range(N_BLOCKS)]
        mean = np.mean(deleted)
        error = np.sqrt((N_BLOCKS - 1) / N_BLOCKS * np.sum((deleted - mean) ** 2))
        half = student.ppf(0.975, N_BLOCKS - 1) * error
        one, expected = found.sel(delay=delay), share(there)
        assert float(one["observed"]) == pytest.approx(expected, rel=1e-12)
        upper = min(1, expected + half)
        lower = max(0, expected - half)
        assert float(one["upper"]) == pytest.approx(upper, rel=1e-9)
        assert float(one["lower"]) == pytest.approx(lower, rel=1e-9, abs=1e-12)


def test_equal_lengths_give_the_longest_hundredth_a_hundredth():
    assert agreement.top_share(np.full(250, 4.0)) == pytest.approx(0.01, rel=1e-12)


def test_each_block_has_its_share_of_the_squares(vectors):
    data = of_vectors(vectors)
    share = agreement.factor_intervals(data, seed=1)["share_of_block"]
    squares = np.nansum(
        data["length"].values.astype(float)[:, 1].reshape(6, -1) ** 2, 1
    )
    np.testing.assert_allclose(share.sel(delay=7), squares / squares.sum(), rtol=1e-6)


def test_responses_of_zero_have_no_factors():
    nothing = xr.DataArray(np.zeros(3), dims="state")
    found = agreement.factors(nothing, xr.DataArray(np.zeros(2), dims="moment"))
    assert np.isnan([found[name] for name in agreement.SHARES]).all()
    assert float(found["mean_response"]) == 0
