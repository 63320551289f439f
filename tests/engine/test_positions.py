"""Norms of single positions: against the network run by hand, and against the means."""

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit

from state_gradients.engine import jobs, tiles
from state_gradients.engine.means import mean_state_gradients
from state_gradients.engine.positions import position_blocks, position_memory
from state_gradients.foundation.settings import Model
from state_gradients.models import language_model

N_TYPES, SIZE, UNITS = 12, 3, 5


def build(cell="lstm", layers=1, seed=3):
    config = Model(cell=cell, units=UNITS, embedding_size=SIZE, layers=layers)
    model = language_model.build_language_model(config, N_TYPES, seed=seed)
    for variable in model.trainable_variables:
        if len(variable.shape) > 1:  # uniform(-0.75, 0.75): gates that curve
            variable.assign(variable.value * 15)
    return model


@pytest.fixture
def ids(rng):
    return rng.integers(N_TYPES, size=40)


@pytest.fixture
def factor(rng):
    return rng.normal(size=(SIZE, SIZE))


def lstm_by_hand(weights, embedded):
    """Return the (hidden, cell) states after each embedding, from Keras's weights."""
    h = c = np.zeros(UNITS)
    states = []
    for x in embedded:
        z = (
            x @ weights["recurrent_1.kernel"]
            + h @ weights["recurrent_1.recurrent_kernel"]
        )
        i, f, a, o = np.split(z + weights["recurrent_1.bias"], 4)
        c = expit(f) * c + expit(i) * np.tanh(a)
        h = expit(o) * np.tanh(c)
        states.append((h, c))
    return np.array(states).swapaxes(0, 1)  # (state_kind, time, units)


def gradients_by_hand(model, ids, max_delay, step=1e-5):
    """Return ds_t/de_(t-delay) by central differences, (kind, t, delay, units, in)."""
    weights = {k: v.astype(float) for k, v in language_model.weights(model).items()}
    embedded = weights["embedding"][ids]
    n = len(ids)
    found = np.full((2, n, max_delay + 1, UNITS, SIZE), np.nan)
    for source in range(n):
        for k in range(SIZE):
            ahead, behind = embedded.copy(), embedded.copy()
            ahead[source, k] += step
            behind[source, k] -= step
            slopes = lstm_by_hand(weights, ahead) - lstm_by_hand(weights, behind)
            for delay in range(min(max_delay, n - 1 - source) + 1):
                found[:, source + delay, delay, :, k] = slopes[:, source + delay]
    return found / (2 * step)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_norms_and_largest_values_are_those_of_the_network_run_by_hand(
    ids, factor, dtype, monkeypatch
):
    monkeypatch.setattr(jobs, "LENGTH", 7)  # several jobs, and several tiles of each
    monkeypatch.setattr(tiles, "TILE", 3 * SIZE * UNITS)
    model, sample = build(), [0, 11, 3, 39, 20]
    sizes = position_memory(
        model,
        ids,
        max_delay=6,
        factor=factor,
        sample=sample,
        state=("hidden", "cell"),
        dtype=dtype,
    )
    whitened = gradients_by_hand(model, ids, 6) @ factor
    # central differences err by step^2 = 1e-10 and eps / step = 1e-11, the chain in
    # float32 by some 1e-6, the table by 6e-8
    tolerance = {"rtol": 1e-5 if dtype == "float32" else 2e-7, "atol": 1e-9}
    norms = np.linalg.norm(whitened, axis=(-2, -1))
    np.testing.assert_allclose(sizes["norm"], norms, **tolerance)
    assert np.isnan(sizes["norm"].values).sum() == 2 * 6 * 7 / 2
    assert sizes["sampled"].values.tolist() == sorted(sample)
    there = whitened[:, sorted(sample)]
    known = ~np.isnan(there).any(axis=(-2, -1))
    largest = np.full(there.shape[:-2], np.nan)
    largest[known] = np.linalg.norm(there[known], ord=2, axis=(-2, -1))
    # a square root of an eigenvalue: half its error; eigenvalues err by eps |G|^2
    np.testing.assert_allclose(sizes["largest"], largest, **tolerance | {"rtol": 2e-5})


@pytest.mark.parametrize(("cell", "layers"), [("gru", 1), ("rnn", 2), ("lstm", 2)])
def test_mean_squares_are_the_trace_of_the_second_moment(ids, factor, cell, layers):
    model, options = build(cell, layers), {"max_delay": 5, "layer": layers}
    sizes = position_memory(model, ids, factor=factor, **options)
    means = mean_state_gradients(model, ids, second_moment=True, **options)
    trace = np.einsum("dab,ac,bc->d", means["second_moment"].values, factor, factor)
    squares = (sizes["norm"].astype(float) ** 2).mean("position")
    np.testing.assert_allclose(squares, trace, rtol=1e-5)  # float32 twice


def test_without_a_factor_the_input_is_the_embedding(ids):
    model = build()
    plain = position_memory(model, ids, max_delay=2)
    double = position_memory(model, ids, max_delay=2, factor=2 * np.eye(SIZE))
    np.testing.assert_allclose(double["norm"], 2 * plain["norm"], rtol=1e-6)
    assert plain["norm"].dims == ("position", "delay")
    assert plain.sizes["sampled"] == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.zeros((2, 9), int)}, "`ids` must be one text"),
        ({"factor": np.eye(SIZE + 1)}, r"`factor` must have shape .* \(3, 3\)"),
        ({"sample": [0, 40]}, r"`sample` must hold positions in 0..39, received 0..40"),
        ({"max_delay": 40}, "`max_delay` must be below"),
        ({"max_delay": 1.5}, "`max_delay` must be a whole number"),
        ({"state": "memory"}, "`state` must be among"),
    ],
)
def test_bad_input_is_refused(ids, change, message):
    options = {"model": build(), "ids": ids, "max_delay": 3} | change
    with pytest.raises(ValueError, match=message):
        position_memory(options.pop("model"), options.pop("ids"), **options)


@pytest.mark.parametrize("state", [None, ("hidden", "cell")], ids=str)
def test_blocks_are_the_table_cut_into_pieces(ids, factor, state, monkeypatch):
    monkeypatch.setattr(jobs, "LENGTH", 7)
    options = {"max_delay": 9, "factor": factor, "state": state}
    whole = position_memory(build(), ids, sample=np.arange(len(ids)), **options)
    blocks = list(position_blocks(build(), ids, **options))
    assert [block.sizes["position"] for block in blocks] == [7, 7, 7, 7, 7, 5]
    found = xr.concat(blocks, "position")
    xr.testing.assert_identical(found["norm"], whole["norm"])
    largest = whole["largest"].rename(sampled="position")
    np.testing.assert_array_equal(found["largest"], largest)
    assert found["largest"].dims == found["norm"].dims
    assert list(found["position"].values) == list(range(len(ids)))


def test_blocks_say_what_does_not_fit_before_they_begin(ids):
    with pytest.raises(ValueError, match=r"one text of shape"):
        next(position_blocks(build(), [ids, ids], max_delay=2))
