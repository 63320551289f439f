"""Memories within sentences and across their ends, against counting by hand."""

import numpy as np
import pytest
import xarray as xr

from state_gradients.paper.language import boundaries

T = 3000
DELAYS = 0, 1, 3, 8


@pytest.fixture
def ends():
    return np.random.default_rng(1).random(T) < 0.15


def memory_of(ends, per_end=0.5, noise=0.0):
    """Memory 1 / delay, times a factor at every end of a sentence read since."""
    rng = np.random.default_rng(2)
    values = np.full((T - 1, len(DELAYS)), np.nan)
    for column, tau in enumerate(DELAYS):
        for t in range(tau, T - 1):
            crossed = ends[t - tau + 1 : t + 1].sum()
            values[t, column] = per_end**crossed / max(tau, 1)
    values *= np.exp(noise * rng.normal(size=values.shape))
    return xr.DataArray(
        values, dims=("position", "delay"), coords={"delay": [*DELAYS]}, name="memory"
    )


def test_a_factor_at_every_end_is_found(ends):
    found = boundaries.compare(memory_of(ends), ends, seed=0)
    assert found["delay"].values.tolist() == [1, 3, 8]
    for tau in (1, 3, 8):
        one = found.sel(delay=tau)
        assert float(one["memory"].sel(crossed=0)) == pytest.approx(1 / tau)
        assert float(one["ratio"].sel(crossed=1)) == pytest.approx(0.5)
        np.testing.assert_allclose(one["ratio_lower"].sel(crossed=1), 0.5)
    assert np.isnan(found["memory"].sel(crossed=2, delay=1))  # no two in one token
    two = float(found["ratio"].sel(crossed=2, delay=8))
    assert 0.5**4 < two <= 0.5**2  # two or more


def test_words_are_counted_and_no_end_is_one(ends):
    found = boundaries.compare(memory_of(ends), ends, seed=0)
    for tau in (1, 3, 8):
        counts = np.zeros(3, int)
        for t in range(tau, T - 1):
            if not ends[t - tau]:
                counts[min(ends[t - tau + 1 : t + 1].sum(), 2)] += 1
        assert found["n_samples"].sel(delay=tau).values.tolist() == counts.tolist()


def test_intervals_of_noisy_memories_hold_the_factor(ends):
    found = boundaries.compare(memory_of(ends, noise=0.3), ends, seed=0)
    one = found.sel(crossed=1, delay=3)
    assert one["ratio_lower"] < 0.5 < one["ratio_upper"]
    # 0.3 of a size, 0.6 of its square, over some 900 positions: 2 % of the square
    width = float(one["ratio_upper"] - one["ratio_lower"])
    assert 0.01 < width < 0.06


def test_few_words_have_no_mean(ends, monkeypatch):
    monkeypatch.setattr(boundaries, "LEAST", 10**4)
    found = boundaries.compare(memory_of(ends), ends, seed=0)
    for name in boundaries.MISSING:
        assert found[name].isnull().all()


class Study:
    """What the study reads."""

    def __init__(self, ids, n_positions):
        self.ids = ids
        self._memory = xr.Dataset({"memory": ("position", np.ones(n_positions))})

    def load(self, kind):
        tokens = xr.Dataset({"vocabulary": ("vocabulary", np.array(["a", "<eos>"]))})
        return {"positions": self._memory, "encoder": tokens}[kind]


@pytest.mark.parametrize(
    ("ids", "n_positions", "message"),
    [([0, 0, 0], 2, "must have <eos>"), ([0, 1, 0], 3, "received 3 and 3 tokens")],
)
def test_a_text_that_does_not_fit_is_refused(ids, n_positions, message):
    with pytest.raises(ValueError, match=message):
        boundaries.study(Study(np.array(ids), n_positions))
