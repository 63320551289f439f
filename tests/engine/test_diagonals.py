"""Cells whose units never meet: by their coefficients, against the tangents."""

import keras
import numpy as np
import pytest
import xarray as xr

from state_gradients.engine import diagonals, tiles
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import backends
from state_gradients.models import cells

V, E, T = 9, 6, 300
IDS = np.random.default_rng(5).integers(V, size=T)
CELLS = {
    "mingru": lambda: cells.MinGRUCell(7),
    "minlstm": lambda: cells.MinLSTMCell(7),
    "diagonal": lambda: cells.DiagonalCell(7),
    "lru": lambda: cells.LRUCell(5, 8),
    "s6": lambda: cells.S6Cell(5, 3, rank=2),
}
double = pytest.mark.skipif(
    not backends.supports("float64"), reason="on JAX, needs JAX_ENABLE_X64=1"
)


def build(*kinds):
    keras.utils.set_random_seed(3)
    layers = [keras.layers.RNN(CELLS[k](), return_sequences=True) for k in kinds]
    model = keras.Sequential([keras.layers.Embedding(V, E), *layers])
    model.build((None, None))
    rng = np.random.default_rng(4)
    for weights in model.weights:
        weights.assign(weights + rng.normal(size=weights.shape) / 2)
    return model


@pytest.fixture
def carried(monkeypatch):
    """How many rows of tangents an input has had, of each job."""
    rows = []
    carry = tiles.carry

    def watched(job, *arguments, **options):
        rows.append(job.n_inputs)
        return carry(job, *arguments, **options)

    monkeypatch.setattr(tiles, "carry", watched)
    return rows


def both_ways(monkeypatch, model, **options):
    """The same means by coefficients, and by tangents."""
    ours = mean_state_gradients(model, IDS, **options)
    with monkeypatch.context() as patched:
        patched.setattr(diagonals, "_applies", lambda job: False)
        exact = mean_state_gradients(model, IDS, **options)
    return ours, exact


def distance(ours, exact):
    """The largest distance by delay, relative to the largest entry there."""
    axes = {"state", "embedding", "embedding_2"}
    found = []
    for name in ("state_gradient", "second_moment"):
        over = [*axes & {*exact[name].dims}]
        apart = abs(ours[name] - exact[name]).max(over)
        found.append(float((apart / abs(exact[name]).max(over)).max()))
    return max(found)


@pytest.mark.parametrize(
    ("dtype", "within"),
    [("float32", 1e-5), pytest.param("float64", 1e-12, marks=double)],
)
@pytest.mark.parametrize("kind", CELLS)
def test_coefficients_are_the_tangents(kind, dtype, within, carried, monkeypatch):
    groups = np.isin(np.arange(V), [1, 3, 5]), np.isin(np.arange(V), [3, 4])
    options = {"max_delay": 12, "second_moment": True, "dtype": dtype}
    options |= {"blocks": 3, "groups": np.stack(groups), "window": 40}
    ours, exact = both_ways(monkeypatch, build(kind), **options)
    assert distance(ours, exact) < within
    xr.testing.assert_equal(ours["n_samples"], exact["n_samples"])
    assert min(carried) < E  # and not compared with itself


def test_a_tolerance_changes_nothing_and_is_carried_by_coefficients(carried):
    model, options = build("lru"), {"max_delay": 30, "second_moment": True}
    exact = mean_state_gradients(model, IDS, **options)
    carried.clear()
    ours = mean_state_gradients(model, IDS, tolerance=1e-3, **options)
    assert distance(ours, exact) < 1e-5
    assert float(ours["tolerance_error"].max()) == 0
    assert 2 in carried


def test_what_coefficients_cannot_say_is_asked_of_the_tangents(carried, monkeypatch):
    """An output that is no state, and a cell above another."""
    for model, options in (
        (build("lru"), {"state": "output"}),
        (build("mingru", "minlstm"), {"layer": 2}),
    ):
        ours, exact = both_ways(
            monkeypatch, model, max_delay=5, second_moment=True, **options
        )
        assert distance(ours, exact) == 0
    assert set(carried) == {E}
    of_the_upper = {"layer": 2, "wrt": 1, "second_moment": True, "max_delay": 5}
    ours, exact = both_ways(monkeypatch, build("mingru", "minlstm"), **of_the_upper)
    assert distance(ours, exact) < 1e-5
    assert 3 in carried


@double
def test_kernels_that_cancel_are_carried_by_tangents(carried, monkeypatch):
    """Of a minLSTM whose gates read alike only what the two differ by is left."""
    model = build("minlstm")
    kernel = np.random.default_rng(6).normal(size=(E, 3, 7)) / 9
    kernel[:, 1] = kernel[:, 0] * (1 + 1e-3)  # of i as of f, but for so much
    kernel[:, 2] = 0  # and of no candidate
    bias = np.repeat([1.0, 1.0, 2.0], 7)
    model.layers[1].set_weights([kernel.reshape(E, -1), bias])

    def means(dtype):  # at the first tokens: later the state is the candidate
        options = {"max_delay": 2, "second_moment": True, "dtype": dtype}
        return mean_state_gradients(model, IDS[:8], **options)

    exact = means("float64")
    carried.clear()
    ours = means("float32")
    assert E in carried
    with monkeypatch.context() as patched:
        patched.setattr(diagonals, "CANCEL", 0)
        by_coefficients = means("float32")
    assert distance(by_coefficients, exact) > 10 * distance(ours, exact)
