"""A property of words by delay, of gradients whose answer is known."""

import itertools

import numpy as np
import pytest
import xarray as xr

from state_gradients.analysis import properties
from state_gradients.analysis.properties import Halves
from state_gradients.analysis.property_curves import property_curves, whitened_step

# six words, three a side of the second axis, and two at their mean: uncorrelated, of
# one variance; so that whitening is a scale, and no split of the six has no step
X = np.sqrt(1.5) * np.array([1.0, -1, 0, 1, -1, 0, 0, 0])
Y = np.array([1.0, 1, 1, -1, -1, -1, 0, 0])
TABLE = np.column_stack([X, Y])
SECOND = Halves(Y > 0, Y < 0)
KEPT = np.array([0.9, 0.1])  # of either axis, a step
GRADIENT = np.stack([np.diag(KEPT**k) for k in range(4)])


@pytest.fixture(scope="module")
def curves():
    return property_curves(GRADIENT, TABLE, SECOND)


def memory_along(steps):
    """Return m of steps (.., embedding) at every delay, (.., delay)."""
    units = steps / np.linalg.norm(steps, axis=-1, keepdims=True)
    moved = np.linalg.norm(np.einsum("kse,...e->...ks", GRADIENT, units), axis=-1)
    return moved / KEPT[0] ** np.arange(4)


def test_memory_is_that_of_its_axis(curves):
    np.testing.assert_allclose(
        curves["relative_memory"], (1 / 9) ** np.arange(4), rtol=1e-12
    )
    np.testing.assert_allclose(curves["direction"], [0, 1], atol=1e-12)
    deviation = np.sqrt(6 / 7)  # of Y over eight words
    np.testing.assert_allclose(curves["step_length"], 2 / deviation, rtol=1e-12)


def test_the_band_of_random_directions_is_that_of_two_axes(curves):
    band = curves.sel(null="random directions")
    k = np.arange(4)
    expected = np.sqrt((1 + 81.0**-k) / 2)
    np.testing.assert_allclose(band["chance_middle"], expected, rtol=1e-12)
    for end, share in (("lower", 0.05), ("upper", 0.95)):
        # a direction at a uniform angle: cos^2 has the quantile sin^2(pi share / 2)
        cos2 = np.sin(np.pi * share / 2) ** 2
        known = np.sqrt(cos2 + (1 - cos2) * 81.0**-k)
        # 20,000 draws: 0.0015 of the angle's quantile, times pi / 2 and 4 errors
        np.testing.assert_allclose(band[f"chance_{end}"], known, atol=0.01)


def test_the_band_of_random_splits_is_that_of_all_splits(curves):
    words = TABLE[:6]
    firsts = itertools.combinations(range(6), 3)
    chosen = [np.isin(np.arange(6), first) for first in firsts]
    steps = [words[one].mean(axis=0) - words[~one].mean(axis=0) for one in chosen]
    memory = memory_along(np.stack(steps))
    band = curves.sel(null="random splits")
    # of 20 splits, turned round in pairs, the smallest and the largest have a tenth or
    # more of the draws each
    np.testing.assert_allclose(band["chance_lower"], memory.min(axis=0), rtol=1e-9)
    np.testing.assert_allclose(band["chance_upper"], memory.max(axis=0), rtol=1e-9)
    # 1,000 draws of what lies in 0..1: an error of 0.5 / sqrt(1000), times 4
    middle = np.sqrt((memory**2).mean(axis=0))
    np.testing.assert_allclose(band["chance_middle"], middle, atol=0.065)


def test_the_interval_is_that_of_resampled_words(rng):
    table = rng.normal(size=(60, 3))
    halves = Halves(np.arange(60) < 25, np.arange(60) >= 30)
    table[:25] += [1.0, 2.0, 0.0]  # longer than its noise
    gradient = np.stack([np.diag([1.0, 0.4, 0.7]), np.diag([0.5, 0.3, 0.1])])
    gradient = gradient + 0.1 * rng.normal(size=(2, 3, 3))
    found = property_curves(gradient, table, halves, seed=3)
    _, white, step = whitened_step(table, Halves(*(half * 1 for half in halves)))
    drawn = properties.resampled_steps(
        white, Halves(*(half * 1 for half in halves)), n=1000, seed=3
    )
    factor = np.linalg.cholesky(np.cov(table.T))
    for k in range(2):
        _, s, vt = np.linalg.svd(gradient[k] @ factor, full_matrices=False)
        own = properties.without_noise(step, drawn, vt, properties.weights(s, ()))
        assert 0.01 < own["lower"] < own["estimate"] < 0.99  # more than noise
        np.testing.assert_allclose(
            found["relative_memory"][k], own["observed"].item(), rtol=1e-9
        )
        for name in ("estimate", "lower", "upper"):
            value = found[f"relative_memory_{name}"][k]
            np.testing.assert_allclose(value, own[name].item(), rtol=1e-9)
    share = np.nanvar(drawn, axis=0, ddof=1).sum() / (step @ step)
    np.testing.assert_allclose(found["noise_share"], share, rtol=1e-12)


def test_groups_keep_their_axis_and_a_zero_gradient_has_no_memory():
    both = np.stack([GRADIENT, GRADIENT[:, ::-1, ::-1]])
    both[1, 3] = 0
    array = xr.DataArray(both, dims=("group", "delay", "state", "embedding"))
    found = property_curves(array, TABLE, SECOND)
    assert found["relative_memory"].dims == ("group", "delay")
    assert found["chance_upper"].dims == ("null", "group", "delay")
    np.testing.assert_allclose(found["relative_memory"][1, :3], 1, rtol=1e-12)
    for name in ("relative_memory", "relative_memory_lower", "chance_middle"):
        assert np.isnan(found[name].isel(group=1, delay=3)).all()
        assert found[name].attrs["missing"] == "where the gradient is 0"
    assert "missing" not in found["direction"].attrs


@pytest.mark.parametrize("share", [0.6, -1, np.nan])
def test_halves_are_whole_numbers(share):
    halves = Halves((X > 0) * share, X < 0)
    with pytest.raises(ValueError, match=r"^property_curves: `halves` must say"):
        property_curves([np.eye(2)], TABLE, halves)


def test_what_has_no_direction_is_refused():
    same = Halves(X > 0, X < 0)
    turned = TABLE.copy()
    turned[:, 0] = [1, -1, 0, -1, 1, 0, 2, -2]
    halves = Halves(np.arange(8) < 2, (np.arange(8) > 2) & (np.arange(8) < 5))
    turned[[3, 4], 1] = 1
    with pytest.raises(ValueError, match=r"^property_curves: the means .* a step of"):
        property_curves(GRADIENT, turned, halves)
    one = Halves(np.arange(8) < 1, same.b)
    with pytest.raises(ValueError, match=r"two \(type, tag\) pairs or more, received"):
        property_curves(GRADIENT, TABLE, one)
    with pytest.raises(ValueError, match=r"^property_curves: .*rank"):
        property_curves(GRADIENT, TABLE[:, [0, 0]], SECOND)
