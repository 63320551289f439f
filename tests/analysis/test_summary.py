"""What is made of the means of blocks."""

import numpy as np
import xarray as xr

from state_gradients.analysis import summary


def test_blocks_are_pooled_by_their_samples_and_empty_ones_do_not_count(rng):
    n_samples = rng.integers(1, 50, size=(3, 2, 4))
    n_samples[1, 0, 2] = 0  # no input of the group reaches this delay in this block
    n_samples[:, 1, 3] = 0  # nor in any block
    gradient = rng.normal(size=(3, 1, 2, 4, 5, 2))
    moment = rng.normal(size=(3, 1, 2, 4, 2, 2))
    for means in (gradient, moment):
        means[1, :, 0, 2] = np.nan
        means[:, :, 1, 3] = np.nan
    dims = ("block", "state_kind", "group", "delay")
    blocks = xr.Dataset(
        {
            "state_gradient": ((*dims, "state", "embedding"), gradient),
            "second_moment": ((*dims, "embedding", "embedding_2"), moment),
            "n_samples": (("block", "group", "delay"), n_samples),
        }
    )
    pooled = summary.pooled(blocks)
    np.testing.assert_array_equal(pooled["n_samples"], n_samples.sum(axis=0))
    for name, means in (("state_gradient", gradient), ("second_moment", moment)):
        assert pooled[name].dims == blocks[name].dims[1:]
        for group, delay in np.ndindex(2, 4):
            weights = n_samples[:, group, delay]
            found = pooled[name].isel(state_kind=0, group=group, delay=delay)
            if not weights.any():
                assert np.isnan(found).all()
                continue
            inside = weights > 0
            of_blocks = means[inside, 0, group, delay]
            expected = np.average(of_blocks, axis=0, weights=weights[inside])
            # five float64 roundings of numbers below 4: 5 * 4 * 2^-53
            np.testing.assert_allclose(found, expected, rtol=0, atol=3e-15)
