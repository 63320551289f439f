"""The engine against finite differences, brute force and automatic differentiation."""

import keras
import numpy as np
import pytest
import xarray as xr
from keras import ops

from state_gradients import config, gradients, models

V, E, H, T = 7, 3, 4, 9


def build(cell, *, reset_after=False, seed=3):
    """A small model with weights large enough that every gate curves."""
    layers = {
        "lstm": lambda: keras.layers.LSTM(H, return_sequences=True),
        "gru": lambda: keras.layers.GRU(
            H, return_sequences=True, reset_after=reset_after
        ),
        "rnn": lambda: keras.layers.SimpleRNN(H, return_sequences=True),
    }
    model = keras.Sequential(
        [keras.layers.Embedding(V, E), layers[cell](), keras.layers.Dense(V)]
    )
    model.build((None, None))
    rng = np.random.default_rng(seed)
    for variable in model.variables:
        variable.assign(rng.normal(scale=0.7, size=variable.shape))
    return model


def numpy_states(model, embedded):
    """States (state kind, time, H) of the unrolled model, in float64 NumPy."""
    layer = model.layers[1]
    w, u, b = (np.asarray(v, np.float64) for v in layer.get_weights())

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    h, c, kept = np.zeros(H), np.zeros(H), []
    for e in embedded:
        if isinstance(layer, keras.layers.LSTM):
            i, f, g, o = np.split(e @ w + h @ u + b, 4)
            c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
            h = sigmoid(o) * np.tanh(c)
        elif isinstance(layer, keras.layers.GRU):
            b_in, b_rec = b if layer.cell.reset_after else (b, np.zeros_like(b))
            ez, er, ek = np.split(e @ w + b_in, 3)
            uz, ur, uk = np.split(u, 3, axis=1)
            bz, br, bk = np.split(b_rec, 3)
            z, r = sigmoid(ez + h @ uz + bz), sigmoid(er + h @ ur + br)
            inner = r * (h @ uk + bk) if layer.cell.reset_after else (r * h) @ uk
            h = z * h + (1 - z) * np.tanh(ek + inner)
        else:
            h = np.tanh(e @ w + h @ u + b)
        kept.append((h, c))
    return np.array(kept).transpose(1, 0, 2)


def central_differences(model, ids, step=1e-5):
    """G[kind, t, p] = ds_t / de_p of the whole unrolled model, (2, T, T, H, E)."""
    table = np.asarray(model.layers[0].get_weights()[0], np.float64)
    embedded = table[ids]
    result = np.zeros((2, len(ids), len(ids), H, E))
    for p in range(len(ids)):
        for k in range(E):
            shifted = []
            for sign in (1, -1):
                moved = embedded.copy()
                moved[p, k] += sign * step
                shifted.append(numpy_states(model, moved))
            result[:, :, p, :, k] = (shifted[0] - shifted[1]) / (2 * step)
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
        means.append(np.mean(chosen, axis=0) if chosen else np.full((H, E), np.nan))
    return np.array(means), np.array(numbers)


CELLS = [("lstm", False), ("gru", False), ("gru", True), ("rnn", False)]


@pytest.mark.parametrize(("cell", "reset_after"), CELLS)
def test_mean_equals_central_differences_of_the_unrolled_model(cell, reset_after):
    model = build(cell, reset_after=reset_after)
    ids = np.random.default_rng(0).integers(V, size=T)
    reference = central_differences(model, ids)
    for kind, state in enumerate(("hidden", "cell")):
        if state == "cell" and cell != "lstm":
            continue
        result = gradients.mean_state_gradients(
            model, ids, max_delay=4, state=state, dtype="float64"
        )
        mean, numbers = averaged(reference[kind], 4)
        # truncation step^2 times third derivatives (about 10) and round-off eps/step
        # = 2e-11: both below 1e-8 for weights of order one
        np.testing.assert_allclose(result["state_gradient"], mean, rtol=0, atol=1e-8)
        np.testing.assert_array_equal(result["n_samples"], numbers)


def test_groups_positions_and_windows_choose_the_input_that_counts():
    model = build("lstm")
    ids = np.random.default_rng(1).integers(V, size=T)
    jacobians = central_differences(model, ids)[1]
    groups = xr.DataArray(
        np.array([np.arange(V) % 2 == 0, np.arange(V) < 5, np.ones(V, bool)]),
        dims=("group", "vocabulary"),
        coords={"group": ["even", "low", "all"]},
    )
    positions = np.arange(T)[None] % 3 == 1
    options = {"max_delay": 4, "dtype": "float64"}
    by_type = gradients.mean_state_gradients(model, ids, groups=groups, **options)
    assert list(by_type.group.values) == ["even", "low", "all"]
    assert by_type.state_gradient.dims == ("group", "delay", "state", "embedding")
    for name, members in zip(groups.group.values, groups.values, strict=True):
        mean, numbers = averaged(jacobians, 4, lambda t, p, m=members: m[ids[p]])
        found = by_type.sel(group=name)
        np.testing.assert_allclose(found.state_gradient, mean, rtol=0, atol=1e-8)
        np.testing.assert_array_equal(found.n_samples, numbers)
    by_place = gradients.mean_state_gradients(
        model, ids, positions=positions, **options
    )
    mean, numbers = averaged(jacobians, 4, lambda t, p: positions[0, p])
    np.testing.assert_allclose(by_place.state_gradient[0], mean, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(by_place.n_samples[0], numbers)
    cut = gradients.mean_state_gradients(model, ids, window=5, **options)
    mean, numbers = averaged(jacobians, 4, lambda t, p: t // 5 == p // 5)
    np.testing.assert_allclose(cut.state_gradient, mean, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(cut.n_samples, numbers)


def test_streams_start_from_zero_and_are_pooled():
    model = build("gru")
    ids = np.random.default_rng(2).integers(V, size=(2, T))
    both = gradients.mean_state_gradients(model, ids, max_delay=3, dtype="float64")
    parts = [averaged(central_differences(model, row)[0], 3) for row in ids]
    expected = (parts[0][0] + parts[1][0]) / 2
    np.testing.assert_allclose(both.state_gradient, expected, rtol=0, atol=1e-8)
    np.testing.assert_array_equal(both.n_samples, parts[0][1] + parts[1][1])


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
    result = gradients.mean_state_gradients(model, ids, max_delay=10)
    # float32 products over ten steps: 10 * sqrt(H) * 2^-24 relative, to entries <= 1
    np.testing.assert_allclose(
        result.state_gradient.sel(delay=10), reference, rtol=1e-4, atol=1e-6
    )


def test_float32_sums_over_chunks_agree_with_float64():
    model = build("lstm")
    ids = np.random.default_rng(5).integers(V, size=3 * gradients.CHUNK + 5)
    single = gradients.mean_state_gradients(
        model, ids, max_delay=6, state=("hidden", "cell")
    )
    double = gradients.mean_state_gradients(
        model, ids, max_delay=6, state=("hidden", "cell"), dtype="float64"
    )
    assert single.state_gradient.dims[0] == "state_kind"
    assert single.state_gradient.dtype == np.float64
    scale = float(abs(double.state_gradient).max())
    # 64 float32 additions and a few products: below 100 * 2^-24 of the largest entry
    np.testing.assert_allclose(
        single.state_gradient, double.state_gradient, rtol=0, atol=6e-6 * scale
    )


def test_a_mean_over_nothing_is_nan_with_no_samples():
    model = build("rnn")
    groups = np.zeros((1, V), bool)
    result = gradients.mean_state_gradients(
        model, np.zeros(T, int), max_delay=2, groups=groups
    )
    assert np.isnan(result.state_gradient).all()
    assert (result.n_samples == 0).all()


def test_built_language_model_is_accepted():
    settings = config.Model(units=H, embedding_size=E)
    model = models.build_language_model(settings, V, seed=1)
    result = gradients.mean_state_gradients(model, np.arange(V), max_delay=2)
    assert result.state_gradient.shape == (3, H, E)
    assert float(abs(result.state_gradient).max()) > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"max_delay": T}, "below the stream's or window's length 9, received 9"),
        ({"window": 2}, "window's length 2, received 3"),
        ({"window": 0}, "window's length 0, received 3"),
        ({"ids": np.zeros(0, int)}, "integers of shape .*received int64 of shape .0,."),
        ({"state": "memory"}, "among .* received 'memory'"),
        ({"ids": np.array([0, V])}, "must lie in 0..6, received 0..7"),
        ({"ids": np.zeros(T)}, "integers"),
        ({"groups": np.ones((2, V + 1), bool)}, "shape .group, 7."),
        ({"groups": np.ones((1, V), bool), "positions": np.ones((1, T))}, "not both"),
    ],
)
def test_bad_input_is_refused(change, message):
    arguments = {"ids": np.zeros(T, int), "max_delay": 3} | change
    with pytest.raises(ValueError, match=message):
        gradients.mean_state_gradients(build("lstm"), **arguments)


@pytest.mark.parametrize(
    "layers",
    [
        [keras.Input((None, E)), keras.layers.LSTM(H)],
        [keras.layers.Embedding(V, E, mask_zero=True), keras.layers.LSTM(H)],
        [keras.layers.Embedding(V, E), keras.layers.LSTM(H, go_backwards=True)],
    ],
)
def test_a_model_that_is_not_embedding_then_rnn_forwards_is_refused(layers):
    with pytest.raises(ValueError, match="must begin Embedding"):
        gradients.mean_state_gradients(
            keras.Sequential(layers), np.zeros(T, int), max_delay=1
        )


def test_other_activations_have_no_closed_form():
    model = keras.Sequential(
        [keras.layers.Embedding(V, E), keras.layers.LSTM(H, activation="relu")]
    )
    model.build((None, None))
    with pytest.raises(NotImplementedError, match="tanh and sigmoid"):
        gradients.mean_state_gradients(model, np.zeros(T, int), max_delay=1)


def test_dropout_and_backend_state_do_not_enter():
    settings = config.Model(units=H, embedding_size=E, dropout=0.9)
    model = models.build_language_model(settings, V, seed=1)
    ids = np.arange(V)
    first = gradients.mean_state_gradients(model, ids, max_delay=2)
    model(ops.convert_to_tensor(ids[None]), training=True)
    second = gradients.mean_state_gradients(model, ids, max_delay=2)
    xr.testing.assert_identical(first, second)
