"""The engine against finite differences, brute force and automatic differentiation."""

import keras
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from state_gradients.analysis import sentences, whitening
from state_gradients.engine import jobs, means, readers, sums, tiles, words
from state_gradients.engine.means import mean_state_gradients
from state_gradients.engine.network import read_network
from state_gradients.foundation import backends
from state_gradients.foundation.settings import Model
from state_gradients.models import language_model
from state_gradients.models.cells import (
    DiagonalCell,
    LRUCell,
    MinGRUCell,
    MinLSTMCell,
    S6Cell,
    SLSTMCell,
)

V, E, H, T = 7, 3, 4, 9
double = pytest.mark.skipif(
    not backends.supports("float64"), reason="on JAX, needs JAX_ENABLE_X64=1"
)


@keras.saving.register_keras_serializable("tests")
class LeakyCell(keras.layers.Layer):
    """A reader's own cell: two states of different sizes, an output that is neither."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units, self.state_size, self.output_size = units, [units, units + 1], units

    def build(self, input_shape):
        shapes = {
            "kernel": (input_shape[-1], self.units),
            "recurrent": (self.units, self.units),
            "across": (self.units, self.units + 1),
            "back": (self.units + 1, self.units),
        }
        for name, shape in shapes.items():
            setattr(self, name, self.add_weight(shape=shape, name=name))

    def call(self, x, states):
        h, m = states
        slow = 0.7 * m + backends.tanh(ops.matmul(h, self.across))
        h = ops.softplus(ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent))
        output = h * ops.sigmoid(ops.matmul(slow, self.back))
        return output, [h, slow]

    def get_config(self):
        return super().get_config() | {"units": self.units}


@keras.saving.register_keras_serializable("tests")
class PlainCell(keras.layers.SimpleRNNCell):
    """A reader's own cell with one state, which it also returns."""

    def call(self, x, states):
        h = ops.matmul(x, self.kernel) + ops.matmul(states[0], self.recurrent_kernel)
        h = h * ops.sigmoid(-h)
        return h, [h]


def make_cell(name, units):
    layers = keras.layers
    return {
        "lstm": lambda: layers.LSTMCell(units),
        "lstm relu": lambda: layers.LSTMCell(units, activation="elu"),
        "lstm without bias": lambda: layers.LSTMCell(units, use_bias=False),
        "gru": lambda: layers.GRUCell(units, reset_after=False),
        "gru reset after": lambda: layers.GRUCell(units),
        "rnn": lambda: layers.SimpleRNNCell(units),
        "mingru": lambda: MinGRUCell(units),
        "diagonal": lambda: DiagonalCell(units),
        "minlstm": lambda: MinLSTMCell(units),
        "lru": lambda: LRUCell(units, 3),
        "s6": lambda: S6Cell(units, 3, rank=2),
        "slstm": lambda: SLSTMCell(units),
        "leaky": lambda: LeakyCell(units),
        "plain": lambda: PlainCell(units),
        "stacked": lambda: layers.StackedRNNCells(
            [layers.GRUCell(units), layers.LSTMCell(units)]
        ),
    }[name]()


CELLS = [
    ("lstm", ("hidden", "cell")),
    ("lstm relu", ("hidden", "cell")),
    ("lstm without bias", ("hidden", "cell")),
    ("gru", ("hidden",)),
    ("gru reset after", ("hidden",)),
    ("rnn", ("hidden",)),
    ("mingru", ("hidden",)),
    ("diagonal", ("hidden",)),
    ("minlstm", ("hidden",)),
    ("lru", ("hidden", "output")),
    ("s6", ("hidden", "output")),
    ("slstm", ("hidden", "normaliser", "cell")),
    ("leaky", ("state_1", "state_2", "output")),
    ("plain", ("hidden",)),
    ("stacked", ("state_1", "state_2", "state_3")),
]


def build(*names, seed=3, units=H, size=E, vocabulary=V):
    """A small model with weights large enough that every gate curves."""
    layers = [
        keras.layers.RNN(make_cell(name, units), return_sequences=True)
        for name in names
    ]
    if names == ("lstm",):  # the layer that people use
        layers = [keras.layers.LSTM(units, return_sequences=True)]
    model = keras.Sequential(
        [keras.layers.Embedding(vocabulary, size), *layers, keras.layers.Dense(V)]
    )
    model.build((None, None))
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        variable.assign(rng.normal(scale=0.7, size=variable.shape))
    return model


def in_double(cell, n_inputs):
    config = cell.get_config() | {"dtype": "float64"}
    for inner in config.get("cells", []):
        inner["config"]["dtype"] = "float64"
    clone = type(cell).from_config(config)
    clone.build((None, n_inputs))
    for inner in (clone, *getattr(clone, "cells", ())):
        if getattr(inner, "activation", None) is keras.activations.tanh:
            inner.activation = backends.tanh  # Keras's is float32 on JAX
    for ours, theirs in zip(clone.weights, cell.weights, strict=True):
        ours.assign(ops.convert_to_numpy(theirs).astype(np.float64))
    return clone


def bare_states(cells, inputs):
    """Every layer's flat states and output (time, size), by Keras's own steps.

    Rows of a batch run beside each other; inputs (batch, time, in), float64.
    """
    x = ops.convert_to_tensor(inputs)
    found = []
    for cell in cells:
        sizes = keras.tree.flatten(cell.state_size)
        flat = [ops.zeros((len(inputs), n), dtype="float64") for n in sizes]
        nested = keras.tree.is_nested(cell.state_size)
        outputs, kept = [], []
        for t in range(inputs.shape[1]):
            packed = (
                keras.tree.pack_sequence_as(cell.state_size, flat) if nested else flat
            )
            output, after = cell(x[:, t], packed)
            flat = keras.tree.flatten(after)
            outputs.append(output)
            kept.append([ops.convert_to_numpy(s) for s in (*flat, output)])
        x = ops.stack(outputs, axis=1)
        by_state = [np.stack(s, axis=1) for s in zip(*kept, strict=True)]
        if isinstance(cell, SLSTMCell):  # what the stabiliser m leaves alone
            h, c, n, m, output = by_state
            by_state = [h, m + np.log(n), c / n, output]
        found.append(by_state)
    return found


def central_differences(model, ids, *, layer=1, wrt=0, step=3e-6):
    """G[state][t, p] = ds_t/dx_p of the unrolled stack, (T, T, units, in) each."""
    table = ops.convert_to_numpy(model.layers[0].embeddings).astype(np.float64)
    cells, n_inputs = [], table.shape[1]
    for part in model.layers[1 : 1 + layer]:
        cells.append(in_double(part.cell, n_inputs))
        n_inputs = part.cell.output_size or part.cell.units
    x = table[ids][None]
    if wrt:
        x = bare_states(cells[:wrt], x)[-1][-1]
    n_steps, size = x.shape[1:]
    shifts = step * np.eye(n_steps * size).reshape(-1, n_steps, size)
    states = bare_states(cells[wrt:], np.concatenate([x + shifts, x - shifts]))[-1]
    result = []
    for state in states:
        plus, minus = np.split(state, 2)  # (T in, T, units)
        slope = ((plus - minus) / (2 * step)).reshape(n_steps, size, n_steps, -1)
        result.append(slope.transpose(2, 0, 3, 1))
    return result


def averaged(jacobians, max_delay, counts=lambda t, p: True):
    """Average G[t, t - tau] over every t >= tau that counts; brute force."""
    means, numbers = [], []
    for delay in range(max_delay + 1):
        chosen = [
            jacobians[t, t - delay]
            for t in range(delay, len(jacobians))
            if counts(t, t - delay)
        ]
        numbers.append(len(chosen))
        empty = np.full(jacobians.shape[2:], np.nan)
        means.append(np.mean(chosen, axis=0) if chosen else empty)
    return np.array(means), np.array(numbers)


# Truncation step^2 / 6 times third derivatives (some 100) and round-off eps / step =
# 7e-11: both below 1e-8 for weights of order one
DIFFERENCES = {"rtol": 0, "atol": 1e-8}


@double
@pytest.mark.parametrize("engine", jobs.ENGINES)
@pytest.mark.parametrize(("cell", "names"), CELLS)
def test_mean_equals_central_differences_of_the_unrolled_cell(cell, names, engine):
    model = build(cell)
    ids = np.random.default_rng(0).integers(V, size=T)
    reference = central_differences(model, ids)
    for name, jacobians in zip(names, reference, strict=False):
        result = mean_state_gradients(
            model, ids, max_delay=4, state=name, dtype="float64", engine=engine
        )
        mean, numbers = averaged(jacobians, 4)
        tolerance = DIFFERENCES
        if cell == "stacked" and keras.backend.backend() == "jax":
            tolerance = {"rtol": 0, "atol": 1e-6}  # Keras's tanh is float32 on JAX
        np.testing.assert_allclose(result["state_gradient"], mean, **tolerance)
        np.testing.assert_array_equal(result["n_samples"], numbers)


@double
@pytest.mark.parametrize("engine", jobs.ENGINES)
@pytest.mark.parametrize(
    ("cells", "layer", "wrt"),
    [
        (("lstm", "gru"), 2, 0),
        (("lstm", "gru"), 2, 1),
        (("rnn", "lstm", "mingru"), 3, 0),
        (("rnn", "lstm", "mingru"), 3, 1),
        (("rnn", "lstm", "mingru"), 2, 1),
        (("leaky", "lstm"), 2, 0),
        (("leaky", "diagonal"), 2, 1),
        (("diagonal", "leaky"), 2, 0),
        (("lru", "minlstm"), 2, 0),
        (("slstm", "lru"), 2, 0),
        (("slstm", "lru"), 2, 1),
        (("s6", "lstm"), 2, 0),
        (("lru", "slstm", "s6"), 3, 1),
    ],
)
def test_any_layer_with_respect_to_any_lower_one(cells, layer, wrt, engine):
    model = build(*cells)
    ids = np.random.default_rng(5).integers(V, size=T)
    reference = central_differences(model, ids, layer=layer, wrt=wrt)
    names = dict(CELLS)[cells[layer - 1]]
    for name, jacobians in zip(names, reference, strict=False):
        result = mean_state_gradients(
            model,
            ids,
            max_delay=4,
            layer=layer,
            wrt=wrt,
            state=name,
            dtype="float64",
            engine=engine,
        )
        mean, _ = averaged(jacobians, 4)
        np.testing.assert_allclose(result["state_gradient"], mean, **DIFFERENCES)


@double
@settings(max_examples=12)
@given(
    cell=st.sampled_from(
        [
            *("lstm", "gru", "gru reset after", "rnn", "mingru", "leaky"),
            *("minlstm", "lru", "slstm"),
        ]
    ),
    units=st.integers(1, 6),
    size=st.integers(1, 5),
    length=st.integers(2, 12),
    window=st.one_of(st.none(), st.integers(2, 12)),
    data=st.data(),
)
def test_random_shapes_equal_central_differences(
    cell, units, size, length, window, data
):
    window = window if window is None else min(window, length)
    max_delay = data.draw(st.integers(0, (window or length) - 1))
    model = build(cell, units=units, size=size)
    ids = np.random.default_rng(length).integers(V, size=length)
    span = window or length
    mean, numbers = averaged(
        central_differences(model, ids)[0],
        max_delay,
        lambda t, p: t // span == p // span,
    )
    result = mean_state_gradients(
        model,
        ids,
        max_delay=max_delay,
        state=dict(CELLS)[cell][0],
        window=window,
        dtype="float64",
    )
    np.testing.assert_allclose(result["state_gradient"], mean, **DIFFERENCES)
    np.testing.assert_array_equal(result["n_samples"], numbers)


@double
@pytest.mark.parametrize("engine", jobs.ENGINES)
def test_groups_positions_and_windows_choose_the_input_that_counts(engine):
    model = build("lstm")
    ids = np.random.default_rng(1).integers(V, size=T)
    jacobians = central_differences(model, ids)[1]
    groups = xr.DataArray(
        np.array([np.arange(V) % 2 == 0, np.arange(V) < 5, np.ones(V, bool)]),
        dims=("group", "vocabulary"),
        coords={"group": ["even", "low", "all"]},
    )
    positions = np.arange(T)[None] % 3 == 1
    options = {"max_delay": 4, "dtype": "float64", "engine": engine}
    by_type = mean_state_gradients(model, ids, groups=groups, **options)
    assert list(by_type.group.values) == ["even", "low", "all"]
    assert by_type.state_gradient.dims == ("group", "delay", "state", "embedding")
    for name, members in zip(groups.group.values, groups.values, strict=True):
        mean, numbers = averaged(jacobians, 4, lambda t, p, m=members: m[ids[p]])
        found = by_type.sel(group=name)
        np.testing.assert_allclose(found.state_gradient, mean, **DIFFERENCES)
        np.testing.assert_array_equal(found.n_samples, numbers)
    by_place = mean_state_gradients(model, ids, positions=positions, **options)
    mean, numbers = averaged(jacobians, 4, lambda t, p: positions[0, p])
    np.testing.assert_allclose(by_place.state_gradient[0], mean, **DIFFERENCES)
    np.testing.assert_array_equal(by_place.n_samples[0], numbers)
    cut = mean_state_gradients(model, ids, window=5, **options)
    mean, numbers = averaged(jacobians, 4, lambda t, p: t // 5 == p // 5)
    np.testing.assert_allclose(cut.state_gradient, mean, **DIFFERENCES)
    np.testing.assert_array_equal(cut.n_samples, numbers)


@double
@pytest.mark.parametrize("engine", jobs.ENGINES)
def test_the_second_moment_is_the_mean_gram_matrix(engine):
    model = build("lstm")
    ids = np.random.default_rng(6).integers(V, size=T)
    groups = np.array([np.arange(V) < 4, np.ones(V, bool)])
    for kind, jacobians in enumerate(central_differences(model, ids)[:2]):
        gram = jacobians.swapaxes(-1, -2) @ jacobians
        result = mean_state_gradients(
            model,
            ids,
            max_delay=4,
            state=("hidden", "cell"),
            groups=groups,
            second_moment=True,
            dtype="float64",
            engine=engine,
        )
        for group, members in enumerate(groups):
            mean, _ = averaged(gram, 4, lambda t, p, m=members: m[ids[p]])
            found = result.second_moment[kind, group]
            np.testing.assert_allclose(found, mean, **DIFFERENCES)


@double
def test_blocks_are_means_over_stretches_of_inputs():
    model = build("gru")
    ids = np.random.default_rng(8).integers(V, size=T)
    jacobians = central_differences(model, ids)[0]
    options = {"max_delay": 3, "dtype": "float64"}
    result = mean_state_gradients(model, ids, blocks=2, **options)
    assert result.state_gradient.dims == ("block", "delay", "state", "embedding")
    for block in (0, 1):  # input p of 9 is in block p * 2 // 9
        mean, numbers = averaged(jacobians, 3, lambda t, p, b=block: p * 2 // T == b)
        np.testing.assert_allclose(result.state_gradient[block], mean, **DIFFERENCES)
        np.testing.assert_array_equal(result.n_samples[block], numbers)
    whole = mean_state_gradients(model, ids, **options)
    pooled = result.state_gradient.weighted(result.n_samples).mean("block")
    # the same float64 sums in another order
    np.testing.assert_allclose(pooled, whole.state_gradient, rtol=0, atol=1e-15)


@double
def test_streams_start_from_zero_and_are_pooled():
    model = build("gru")
    ids = np.random.default_rng(2).integers(V, size=(2, T))
    both = mean_state_gradients(model, ids, max_delay=3, dtype="float64")
    parts = [averaged(central_differences(model, row)[0], 3) for row in ids]
    expected = (parts[0][0] + parts[1][0]) / 2
    np.testing.assert_allclose(both.state_gradient, expected, **DIFFERENCES)
    np.testing.assert_array_equal(both.n_samples, parts[0][1] + parts[1][1])


@double
def test_a_sentence_gives_each_words_own_memory():
    model = build("lstm")
    ids = np.random.default_rng(3).integers(V, size=T)
    jacobians = central_differences(model, ids)[1]
    table = ops.convert_to_numpy(model.layers[0].embeddings)
    fitted = whitening.fit_whitening(table)
    memory = sentences.sentence_memory(
        model, ids, max_delay=4, whitening=fitted, dtype="float64"
    )
    assert memory.dims == ("token", "delay")
    for token in range(T):
        for delay in range(5):
            found = float(memory[token, delay])
            if token + delay >= T:
                assert np.isnan(found)
                continue
            gradient = jacobians[token + delay, token] @ fitted.D
            expected = np.linalg.svd(gradient, compute_uv=False)[0]
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7)


def test_delay_ten_equals_batch_jacobian_of_the_unrolled_cell():
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("needs KERAS_BACKEND=tensorflow")
    model = build("lstm")
    ids = np.random.default_rng(4).integers(V, size=11)
    embedded = tf.constant(model.layers[0].get_weights()[0][ids][None])
    layer = keras.layers.LSTM(H, return_state=True)
    layer.build((1, 11, E))
    layer.set_weights(model.layers[1].get_weights())
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        cell = layer(embedded)[2]
    reference = tape.batch_jacobian(cell, embedded)[0, :, 0]  # only t = 10 has delay 10
    result = mean_state_gradients(model, ids, max_delay=10)
    # float32 products over ten steps: 10 * sqrt(H) * 2^-24 relative, to entries <= 1
    np.testing.assert_allclose(
        result.state_gradient.sel(delay=10), reference, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("cell", ["lstm", "gru", "leaky", "mingru"])
@pytest.mark.parametrize("engine", jobs.ENGINES)
def test_float32_over_many_jobs_agrees_with_one_float64_job(cell, engine, monkeypatch):
    """Tiles, flushes, jobs and chunks cut the text; the mean does not show it."""
    model = build(cell)
    ids = np.random.default_rng(5).integers(V, size=3 * sums.FLUSH + 5)
    names = dict(CELLS)[cell][:1]
    options = {"max_delay": 6, "state": names, "second_moment": True}
    if backends.supports("float64"):
        reference = mean_state_gradients(
            model, ids, dtype="float64", engine="tiles", **options
        )
    else:
        reference = mean_state_gradients(model, ids, **options)
    monkeypatch.setattr(jobs, "LENGTH", 70)
    monkeypatch.setattr(tiles, "TILE", 5 * E * H)
    found = mean_state_gradients(model, ids, engine=engine, **options)
    assert found.state_gradient.dims[0] == "state_kind"
    assert found.state_gradient.dtype == np.float64
    for name in ("state_gradient", "second_moment"):
        scale = float(abs(reference[name]).max())
        # 64 float32 additions and a few products: below 100 * 2^-24 of the largest
        np.testing.assert_allclose(
            found[name], reference[name], rtol=0, atol=6e-6 * scale
        )
    np.testing.assert_array_equal(found.n_samples, reference.n_samples)


@pytest.mark.parametrize("engine", jobs.ENGINES)
def test_a_saturated_network_with_large_weights_does_not_overflow(engine):
    """Its Jacobians are small where the text has led it, and large at the zero state.

    At the zero state, fifty of them would multiply to 300^50, beyond any float32.
    """
    model = keras.Sequential(
        [keras.layers.Embedding(V, E), keras.layers.SimpleRNN(H, return_sequences=True)]
    )
    model.build((1, None))
    rng = np.random.default_rng(8)
    kernel, recurrent, bias = model.layers[1].get_weights()
    signs = np.sign(rng.normal(size=H))  # the state settles where they point
    recurrent = 300 * np.outer(signs, signs) / H
    model.layers[1].set_weights([kernel, recurrent, bias])
    model.layers[0].set_weights([rng.normal(size=(V, E))])
    ids = rng.integers(V, size=sums.FLUSH + 5)
    found = mean_state_gradients(model, ids, max_delay=50, engine=engine)
    assert float(abs(found.state_gradient).max()) < 1e3


def vanishing(factor):
    """Return a network of one unit whose state keeps `factor` of itself a token."""
    embedding = keras.layers.Embedding(V, 1)
    rnn = keras.layers.SimpleRNN(1, activation="linear")
    model = keras.Sequential([embedding, rnn])
    model.build((1, None))
    rnn.set_weights([np.ones((1, 1)), np.full((1, 1), factor), np.zeros(1)])
    return model


@double
@pytest.mark.parametrize("second_moment", [False, True])
def test_what_vanishes_from_float32_is_computed_in_float64(second_moment):
    model, ids = vanishing(2.0**-10), np.zeros(30, int)
    options = {"max_delay": 20, "second_moment": second_moment}
    found = mean_state_gradients(model, ids, **options)
    expected = 2.0 ** (-10 * np.arange(21.0))
    np.testing.assert_allclose(found.state_gradient.squeeze(), expected, rtol=1e-12)
    if second_moment:
        moment = found.second_moment.squeeze()
        np.testing.assert_allclose(moment, expected**2, rtol=1e-12)
    with pytest.raises(means.VanishingGradientsError, match='pass dtype="float64"'):
        mean_state_gradients(model, ids, dtype="float32", **options)


def test_squares_vanish_before_the_gradients_do():
    model, ids = vanishing(2.0**-10), np.zeros(30, int)
    options = {"max_delay": 9, "dtype": "float32"}  # 2^-90, and its square
    assert mean_state_gradients(model, ids, **options).state_gradient.min() > 0
    with pytest.raises(means.VanishingGradientsError, match="or their squares"):
        mean_state_gradients(model, ids, second_moment=True, **options)


def test_a_network_that_forgets_all_at_once_does_not_vanish():
    options = {"max_delay": 9, "dtype": "float32", "second_moment": True}
    found = mean_state_gradients(vanishing(0.0), np.zeros(30, int), **options)
    assert (found.state_gradient.squeeze() == [1, *[0] * 9]).all()


def test_types_say_where_they_vanish():
    model, ids = vanishing(2.0**-10), np.zeros(30, int)
    with pytest.raises(
        FloatingPointError, match=r"^type_gradients: .* float32 can hold"
    ):
        list(words.type_gradients(model, ids, max_delay=12))


def test_reruns_are_the_same_to_the_bit():
    model = build("lstm")
    ids = np.random.default_rng(5).integers(V, size=600)
    first, second = (mean_state_gradients(model, ids, max_delay=6) for _ in range(2))
    xr.testing.assert_identical(first, second)


@pytest.mark.parametrize("max_bytes", [1.0, 4e9])
def test_every_type_has_the_mean_of_its_group(max_bytes, monkeypatch):
    monkeypatch.setattr(tiles, "LONGEST", 50)  # and none of a type more than 64 times
    model = build("lstm")
    ids = np.random.default_rng(9).integers(V - 1, size=(2, 200))  # type 6 is absent
    options = {"max_delay": 5, "second_moment": True}
    found = list(words.type_gradients(model, ids, max_bytes=max_bytes, **options))
    found = xr.concat(found, "group").sortby("group")
    assert found.group.values.tolist() == list(range(V - 1))
    whole = mean_state_gradients(model, ids, groups=np.eye(V, dtype=bool), **options)
    # float32 sums of at most 64 inputs in another order
    scale = float(abs(whole.state_gradient[: V - 1]).max())
    np.testing.assert_allclose(
        found.state_gradient,
        whole.state_gradient[: V - 1],
        rtol=0,
        atol=6e-6 * scale,
    )
    np.testing.assert_array_equal(found.n_samples, whole.n_samples[: V - 1])
    moments = whole.second_moment[: V - 1]
    scale = float(abs(moments).max())
    np.testing.assert_allclose(found.second_moment, moments, rtol=0, atol=6e-6 * scale)


def test_second_moments_leave_the_means_of_types_as_they_are_to_the_bit():
    model, ids = build("lstm"), np.random.default_rng(9).integers(V, size=300)
    plain, both = (
        list(words.type_gradients(model, ids, max_delay=5, second_moment=asked))
        for asked in (False, True)
    )
    for one, other in zip(plain, both, strict=True):
        xr.testing.assert_identical(one, other.drop_vars("second_moment"))


@pytest.fixture
def short_tiles(monkeypatch):
    """Return a function that sets the number of cores, with a tile for every input."""
    monkeypatch.setattr(tiles, "TILE", 1)
    monkeypatch.setattr(tiles, "LONGEST", 1)
    return lambda n: monkeypatch.setattr(jobs, "n_cores", lambda: n)


@pytest.mark.parametrize("n_cores", [1, 2])
def test_chosen_types_are_handed_out_when_they_do_not_come_again(n_cores, short_tiles):
    short_tiles(n_cores)
    ids = np.array([[4, 2, 2, 1, 4, 3, 0, 0], [0, 6, 6, 0, 5, 5, 0, 0]])
    found = words.type_gradients(
        build("lstm"), ids, max_delay=3, types=[4, 2, 0, 5], state=("hidden", "cell")
    )
    found = list(found)
    assert [one.group.item() for one in found] == [2, 4, 5, 0]
    assert all(one.sizes["state_kind"] == 2 for one in found)


ONE = 6 * E * H * 4  # bytes of a type's sums: delays, embedding, units, float32


@pytest.mark.parametrize(
    ("ids", "max_bytes", "at_most"),
    [
        (np.tile(np.arange(V), 8), 1e9, V),  # all are open to the end
        (np.tile(np.arange(V), 8), 4 * ONE, 4),
        (np.tile(np.arange(V), 8), 0, 1),
        (np.repeat(np.arange(V), 8), 1.5 * ONE, 1),  # one after the other
        (np.tile(np.arange(V), 80), 6 * ONE, 2),  # frequent: in float64 as well
    ],
)
def test_the_sums_of_open_types_stay_within_the_bytes(
    ids, max_bytes, at_most, short_tiles, monkeypatch
):
    short_tiles(1)
    opened, took = [], sums.Sums.expect

    def expect(kept, *arguments):
        took(kept, *arguments)
        opened.append(len(kept.running))

    monkeypatch.setattr(sums.Sums, "expect", expect)
    found = list(
        words.type_gradients(build("lstm"), ids, max_delay=5, max_bytes=max_bytes)
    )
    assert len(found) == V
    assert max(opened) == at_most


def test_types_that_follow_each_other_share_a_shard(short_tiles, monkeypatch):
    short_tiles(1)
    shards, dealt = [], words._dealt
    monkeypatch.setattr(words, "_dealt", lambda *a: shards.extend(dealt(*a)) or shards)
    ids = np.repeat(np.arange(V), 8)
    list(words.type_gradients(build("lstm"), ids, max_delay=5, max_bytes=1.5 * ONE))
    assert len(shards) == 1


def test_no_float32_sum_runs_over_more_inputs_than_is_safe(monkeypatch):
    added, took = [], sums.Sums.expect

    def expect(kept, *arguments):
        took(kept, *arguments)
        added.append(max(kept.added.values()))

    monkeypatch.setattr(sums.Sums, "expect", expect)
    ids = np.zeros(1000, int)
    ids[::20] = np.arange(50) % V
    list(words.type_gradients(build("lstm"), ids, max_delay=5))
    positions = np.arange(1000)[None] % 10 == 0
    mean_state_gradients(build("lstm"), ids, max_delay=5, positions=positions)
    assert sums.FLUSH // 2 < max(added) <= sums.FLUSH


def test_inputs_far_apart_share_long_tiles(monkeypatch):
    monkeypatch.setattr(tiles, "TILE", 40 * E * H)
    job = jobs.Job(
        request=jobs.Request(max_delay=5, state_indices=(0,), n_groups=500),
        cells=read_network(build("lstm")).cells,
        trace=[[np.zeros((5000, E), np.float32)]],
        sources=np.arange(0, 5000, 10),
        ends=np.arange(0, 5000, 10) + 5,
        members=[(k,) for k in range(500)],
    )
    n = [tile.stop - tile.start for tile in tiles.cut(job)]
    assert n[:-1] == [tiles.LONGEST] * (len(n) - 1)


def test_a_mean_over_nothing_is_nan_with_no_samples():
    model = build("rnn")
    groups = np.array([np.zeros(V, bool), np.ones(V, bool)])
    result = mean_state_gradients(model, np.zeros(T, int), max_delay=2, groups=groups)
    assert np.isnan(result.state_gradient[0]).all()
    assert (result.n_samples[0] == 0).all()
    assert np.isfinite(result.state_gradient[1]).all()
    alone = mean_state_gradients(
        model, np.zeros(T, int), max_delay=2, groups=groups[:1]
    )
    assert np.isnan(alone.state_gradient).all()


def test_built_language_model_is_accepted():
    for cell in ("lstm", "gru", "rnn"):
        options = Model(units=H, embedding_size=E, cell=cell, layers=2)
        model = language_model.build_language_model(options, V, seed=1)
        result = mean_state_gradients(model, np.arange(V), max_delay=2, layer=2)
        assert result.state_gradient.shape == (3, H, E)
        assert float(abs(result.state_gradient).max()) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_delay": T}, "below the stream's or window's length 9, received 9"),
        ({"window": 2}, "window's length 2, received 3"),
        ({"window": 0}, "`window` must be a whole number of at least 1, received 0"),
        (
            {"ids": np.zeros(0, int)},
            "whole numbers, at least one, received int64 of shape .0,.",
        ),
        ({"state": "memory"}, "among .* received 'memory'"),
        ({"ids": np.array([0, V])}, r"must lie in 0\.\.6, .* received 0\.\.7"),
        ({"ids": np.zeros(T)}, "whole numbers, at least one, received float64"),
        ({"groups": np.ones((2, V + 1), bool)}, "shape .group, 7."),
        ({"groups": np.ones((1, V), bool), "positions": np.ones((1, T))}, "not both"),
        ({"layer": 2}, "one of the recurrent layers 1..1 .* received 2"),
        ({"wrt": 1}, "layer below `layer` = 1, received 1"),
        ({"blocks": T + 1}, "whole number in 1..9, received 10"),
        ({"blocks": 0}, "whole number in 1..9, received 0"),
        ({"engine": "gpu"}, "`engine` must be one of .* received 'gpu'"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {"ids": np.zeros(T, int), "max_delay": 3} | change
    with pytest.raises(ValueError, match=message):
        mean_state_gradients(build("lstm"), **arguments)


def test_states_of_different_sizes_are_asked_for_one_by_one():
    with pytest.raises(ValueError, match="must have one size"):
        mean_state_gradients(
            build("leaky"), np.zeros(T, int), max_delay=1, state=("state_1", "state_2")
        )


def test_weights_that_are_not_finite_are_named():
    model = build("rnn")
    model.layers[1].cell.kernel.assign(np.full((E, H), np.nan))
    with pytest.raises(FloatingPointError, match="must be finite"):
        mean_state_gradients(model, np.zeros(T, int), max_delay=1)


def test_dropout_and_backend_state_do_not_enter():
    options = Model(units=H, embedding_size=E, dropout=0.9)
    model = language_model.build_language_model(options, V, seed=1)
    ids = np.arange(V)
    first = mean_state_gradients(model, ids, max_delay=2)
    model(ops.convert_to_tensor(ids[None]), training=True)
    second = mean_state_gradients(model, ids, max_delay=2)
    xr.testing.assert_identical(first, second)


def test_differentials_of_a_long_text_are_forgotten(monkeypatch):
    """Inputs far apart leave behind what was differentiated between them."""
    held = []

    class Watched(tiles.Differentials):
        def at(self, t):
            differentials = super().at(t)
            held.append(len(self))
            return differentials

    monkeypatch.setattr(tiles, "Differentials", Watched)
    monkeypatch.setattr(tiles, "TILE", E * H)  # a tile for every input or few
    monkeypatch.setattr(tiles, "LONGEST", 1)
    monkeypatch.setattr(jobs, "LENGTH", 10**6)
    positions = np.arange(800)[None] % 40 == 0
    ids = np.random.default_rng(0).integers(V, size=800)
    mean_state_gradients(build("plain"), ids, max_delay=3, positions=positions)
    assert max(held) <= 2 * readers.BATCH
