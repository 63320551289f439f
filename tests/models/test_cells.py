"""Our cells against their papers' equations, whole windows, and saving."""

import keras
import numpy as np
import pytest

from state_gradients.foundation import backends, settings
from state_gradients.models import cells, language_model

IN, H, T, ROWS = 3, 5, 11, 2
STATE = 3  # complex numbers of the LRU, numbers of each of the S6's channels
double = pytest.mark.skipif(
    not backends.supports("float64"), reason="on JAX, needs JAX_ENABLE_X64=1"
)

MAKE = {
    "mingru": lambda **options: cells.MinGRUCell(H, **options),
    "minlstm": lambda **options: cells.MinLSTMCell(H, **options),
    "diagonal": lambda **options: cells.DiagonalCell(H, **options),
    "lru": lambda **options: cells.LRUCell(H, STATE, seed=3, **options),
    "s6": lambda **options: cells.S6Cell(H, STATE, rank=2, **options),
    "slstm": lambda **options: cells.SLSTMCell(H, **options),
}
LINEAR = [name for name in MAKE if name != "slstm"]


def built(name, rng, *, dtype="float64"):
    """Return a cell with random matrices and biases, its own first values moved."""
    cell = MAKE[name](dtype=dtype)
    cell.build((None, IN))
    for weight in cell.weights:
        value = keras.ops.convert_to_numpy(weight)
        is_own = weight.name in cell.initial_weights
        value = value + rng.normal(size=value.shape) * (0.2 if is_own else 0.7)
        weight.assign(value)
    return cell


def named(cell):
    """Return the weights of a cell by name, in float64."""
    return {
        weight.name: keras.ops.convert_to_numpy(weight).astype(float)
        for weight in cell.weights
    }


def logistic(x):
    return 1 / (1 + np.exp(-x))


def mingru(w, x):
    """Feng et al. (2024), Section 3.1.2, token by token."""
    h, outputs = np.zeros(H), []
    for e in x:
        z = logistic(e @ w["kernel"][:, :H] + w["bias"][:H])
        h = (1 - z) * h + z * (e @ w["kernel"][:, H:] + w["bias"][H:])
        outputs.append(h)
    return np.array(outputs)


def minlstm(w, x):
    """Feng et al. (2024), Section 3.2.3: gates normalised by their sum."""
    h, outputs = np.zeros(H), []
    for e in x:
        f, i, candidate = np.split(e @ w["kernel"] + w["bias"], 3)
        f, i = logistic(f), logistic(i)
        h = f / (f + i) * h + i / (f + i) * candidate
        outputs.append(h)
    return np.array(outputs)


def diagonal(w, x):
    h, outputs = np.zeros(H), []
    for e in x:
        h = logistic(w["decay"]) * h + e @ w["kernel"] + w["bias"]
        outputs.append(h)
    return np.array(outputs)


def lru(w, x):
    """Orvieto et al. (2023), Eqs. 1 and 5 to 7, in complex numbers, unrolled.

    h_t = sum over k of Lambda^k gamma B e_{t-k}: no state is carried.
    """
    decay = np.exp(-np.exp(w["nu_log"]) + 1j * np.exp(w["theta_log"]))
    into = (w["kernel"][:, :STATE] + 1j * w["kernel"][:, STATE:]) * np.exp(
        w["gamma_log"]
    )
    out = w["readout"][:STATE] - 1j * w["readout"][STATE:]
    outputs = []
    for t in range(len(x)):
        h = sum(decay**k * (x[t - k] @ into) for k in range(t + 1))
        outputs.append((h @ out).real + x[t] @ w["skip"])
    return np.array(outputs)


def s6(w, x):
    """Gu and Dao (2023), Eqs. 2 and 4 and Algorithm 2, a channel at a time."""
    a = -np.exp(w["log_decay"])
    h, outputs = np.zeros((H, STATE)), []
    for e in x:
        u = e @ w["kernel"]
        step = np.log1p(np.exp(u @ w["delta_in"] @ w["delta_out"] + w["delta_bias"]))
        b, c = u @ w["b_kernel"], u @ w["c_kernel"]
        y = np.zeros(H)
        for d in range(H):
            held = np.diag(np.exp(step[d] * a[d]))
            inverse = np.linalg.inv(np.diag(step[d] * a[d]))
            drive = inverse @ (held - np.eye(STATE)) @ (step[d] * b)
            h[d] = held @ h[d] + drive * u[d]
            y[d] = c @ h[d] + w["skip"][d] * u[d]
        outputs.append(y)
    return np.array(outputs)


def slstm(w, x):
    """Beck et al. (2024), Section 2.2, without the stabiliser."""
    h = c = n = np.zeros(H)
    outputs = []
    for e in x:
        z = e @ w["kernel"] + h @ w["recurrent_kernel"] + w["bias"]
        i, f, z, o = np.split(z, 4)
        i, f = np.exp(i), logistic(f)
        c = f * c + i * np.tanh(z)
        n = f * n + i
        h = logistic(o) * c / n
        outputs.append(h)
    return np.array(outputs)


EQUATIONS = {
    "mingru": mingru,
    "minlstm": minlstm,
    "diagonal": diagonal,
    "lru": lru,
    "s6": s6,
    "slstm": slstm,
}


def by_steps(cell, x, states=None):
    """Return outputs (row, time, out) and states, through ``keras.layers.RNN``."""
    layer = keras.layers.RNN(
        cell, return_sequences=True, return_state=True, dtype=cell.dtype
    )
    outputs, *after = layer(x, initial_state=states)
    return keras.ops.convert_to_numpy(outputs), [
        keras.ops.convert_to_numpy(state) for state in after
    ]


@double
@pytest.mark.parametrize("name", MAKE)
def test_steps_follow_the_equations_of_the_paper(name, rng):
    cell = built(name, rng)
    x = 1.5 * rng.normal(size=(ROWS, T, IN))
    outputs, _ = by_steps(cell, x)
    for row, expected in enumerate(EQUATIONS[name](named(cell), one) for one in x):
        # float64, some dozen steps of numbers of order one to ten
        np.testing.assert_allclose(outputs[row], expected, rtol=0, atol=1e-12)


@double
@pytest.mark.parametrize("name", LINEAR)
@pytest.mark.parametrize("length", [1, 2, T])
def test_a_window_at_once_equals_its_steps_from_any_state(name, length, rng):
    cell = built(name, rng)
    x = rng.normal(size=(ROWS, length, IN))
    size = cell.state_size
    start = [keras.ops.convert_to_tensor(rng.normal(size=(ROWS, size)))]
    steps, after_steps = by_steps(cell, x, start)
    window, after = cell.run(keras.ops.convert_to_tensor(x), start)
    # the same numbers, but for how many of them a matrix product takes together
    np.testing.assert_allclose(window, steps, rtol=0, atol=1e-12)
    np.testing.assert_allclose(after[0], after_steps[0], rtol=0, atol=1e-12)


def test_a_minimal_lstms_shares_hold_where_both_gates_underflow():
    cell = cells.MinLSTMCell(1)
    cell.build((None, 1))
    # f and i are exp(-200) and exp(-201), which float32 does not hold: the share is
    # that of their quotient
    cell.kernel.assign([[0.0, 0.0, 0.0]])
    cell.bias.assign([-200.0, -201.0, 3.0])
    h, _ = cell(np.zeros((1, 1), "float32"), [np.ones((1, 1), "float32")])
    f = logistic(1.0)
    np.testing.assert_allclose(h, [[f + 3 * (1 - f)]], rtol=1e-5)


def test_an_exponential_gate_neither_overflows_nor_divides_by_zero():
    """exp(200) and exp(-200) are beyond float32; the first token's share is all."""
    for gate in (200.0, -200.0):
        cell = cells.SLSTMCell(1)
        cell.build((None, 1))
        cell.recurrent_kernel.assign(np.zeros((1, 4)))
        cell.kernel.assign([[0.0, 0.0, 1.0, 0.0]])
        cell.bias.assign([gate, 0.0, 0.0, 0.0])
        outputs, _ = by_steps(cell, np.array([[[2.0], [1.0]]], "float32"))
        # n is i (1, 1 + f), f = 1/2: shares 1, then 1/3 and 2/3; o = 1/2
        first, second = np.tanh([2.0, 1.0])
        expected = [[[first / 2], [(first / 3 + 2 * second / 3) / 2]]]
        np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_an_s6_of_one_number_is_a_gated_unit(rng):
    """Gu and Dao's Theorem 1: A = -1, B = 1 make h = (1 - g) h' + g u, g a sigmoid."""
    cell = cells.S6Cell(1, 1, rank=1)
    cell.build((None, 1))
    cell.log_decay.assign([[0.0]])
    cell.delta_bias.assign([0.0])
    for weight in (cell.kernel, cell.delta_in):
        weight.assign([[1.0]])
    cell.delta_out.assign([[0.7]])
    cell.b_kernel.assign([[1.0]])
    u = rng.normal(size=(4, 1)).astype("float32")
    cell_state, _ = cell.elements(u)
    np.testing.assert_allclose(cell_state, 1 - logistic(0.7 * u), rtol=1e-5)
    h = rng.normal(size=(4, 1)).astype("float32")
    _, (after,) = cell(u, [h])
    g = logistic(0.7 * u)
    # B is u times b_kernel: the drive is g u B with B = u
    np.testing.assert_allclose(after, (1 - g) * h + g * u * u, rtol=1e-4, atol=1e-6)


def test_an_lru_starts_on_its_ring_and_keeps_the_variance():
    cell = cells.LRUCell(2, 40_000, r_min=0.4, r_max=0.9, seed=1)
    cell.build((None, 1))
    w = named(cell)
    size = np.exp(-np.exp(w["nu_log"]))
    assert 0.4 <= size.min() < 0.41
    assert 0.89 < size.max() <= 0.9
    # even on the ring's area: |Lambda|^2 has the mean and variance of a uniform
    # number; 40,000 draws, four standard errors
    square, width = size**2, 0.9**2 - 0.4**2
    assert abs(square.mean() - (0.9**2 + 0.4**2) / 2) < 4 * width / np.sqrt(12 * 4e4)
    assert abs(square.var() * 12 / width**2 - 1) < 0.02
    phase = np.exp(w["theta_log"])
    assert phase.min() > 0
    assert abs(phase.mean() - np.pi) < 4 * 2 * np.pi / np.sqrt(12 * 4e4)
    # of white input, h has variance gamma^2 / (1 - |Lambda|^2) of B e
    np.testing.assert_allclose(np.exp(2 * w["gamma_log"]) / (1 - size**2), 1, rtol=1e-4)


def test_an_lru_of_the_whole_disc_has_finite_first_values():
    cell = cells.LRUCell(2, 200_000, seed=5)
    assert all(np.isfinite(values).all() for values in cell._ring().values())
    size = np.exp(-np.exp(cell._ring()["nu_log"]))
    assert size.min() > 0
    assert size.max() < 1


@pytest.mark.parametrize("name", MAKE)
def test_a_saved_model_is_the_same_model(name, rng, tmp_path):
    layers = [
        keras.layers.Embedding(7, IN),
        keras.layers.RNN(built(name, rng, dtype="float32"), return_sequences=True),
    ]
    model = keras.Sequential([keras.Input((None,)), *layers])
    ids = rng.integers(0, 7, size=(ROWS, T))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(model(ids), loaded(ids))
    cell, again = model.layers[1].cell, loaded.layers[1].cell
    assert cell.get_config() == again.get_config()
    assert [w.name for w in cell.weights] == [w.name for w in again.weights]


@pytest.mark.parametrize("name", settings.OF_OURS)
def test_a_language_model_has_its_papers_first_values_and_runs_by_steps(name, rng):
    config = settings.Model(
        cell=name, units=H, recurrent_units=4, embedding_size=IN, layers=2
    )
    model = language_model.build_language_model(config, 9, seed=4)
    again = language_model.build_language_model(config, 9, seed=4)
    other = language_model.build_language_model(config, 9, seed=5)
    weights = [language_model.weights(one) for one in (model, again, other)]
    for cell_name, cell in [
        (layer.name, layer.cell) for layer in language_model.recurrent_layers(model)
    ]:
        for weight in cell.weights:
            key = f"{cell_name}.{weight.name}"
            np.testing.assert_array_equal(weights[0][key], weights[1][key])
            if weight.name == "bias":
                np.testing.assert_array_equal(weights[0][key], 0)
            elif weight.name not in cell.initial_weights:
                assert np.abs(weights[0][key]).max() <= config.initial_range
                assert np.any(weights[0][key] != weights[2][key])
            elif name == "lru":
                assert np.any(weights[0][key] != weights[2][key])
    if name == "lru":
        assert np.any(
            weights[0]["recurrent_1.nu_log"] != weights[0]["recurrent_2.nu_log"]
        )
    if name == "s6":
        np.testing.assert_array_equal(weights[0]["recurrent_1.skip"], 1)
        np.testing.assert_allclose(
            -np.exp(weights[0]["recurrent_1.log_decay"][2]), [-1, -2, -3, -4], rtol=1e-6
        )
    ids = rng.integers(0, 9, size=(ROWS, T))
    states = language_model.zero_states(model, ROWS)
    embedded = model.get_layer("embedding")(ids)
    logits, _ = language_model.run_layers(model, embedded, states)
    # as training has it, and by the model's own steps, in float32
    np.testing.assert_allclose(logits, model(ids), rtol=0, atol=1e-6)


MODERN = [f"ptb-{name}-256" for name in settings.OF_OURS]


@pytest.mark.parametrize("name", MODERN)
def test_modern_networks_have_as_many_parameters_as_the_lstm(name):
    def count(name):
        """Return the parameters of the recurrent part, and of the whole network."""
        config = settings.load_experiment(name).model
        assert (config.embedding_size, config.units, config.dropout) == (64, 256, 0.5)
        model = language_model.build_language_model(config, 10_000)
        logits = model.get_layer("logits")
        assert logits.kernel.shape == (256, 10_000)
        rest = model.get_layer("embedding").count_params() + logits.count_params()
        return model.count_params() - rest, model.count_params()

    ours, lstm = count(name), count("ptb-lstm-256")
    assert lstm == (328_704, 3_538_704)
    for n, of_lstm in zip(ours, lstm, strict=True):
        assert abs(n / of_lstm - 1) < 1e-3


@pytest.mark.parametrize("name", MODERN)
def test_no_other_width_comes_nearer_to_the_lstms_parameters(name):
    config = settings.load_experiment(name).model
    if config.recurrent_units is None:
        assert config.cell == "slstm"  # as many as an LSTM's, exactly
        return

    def distance(width):
        cell = language_model._own_cell(
            settings.Model(cell=config.cell, recurrent_units=width), 0
        )
        cell.build((None, 64))
        projection = 0 if cell.output_size == 256 else cell.output_size * 256
        return abs(cell.count_params() + projection - 328_704)

    width = config.recurrent_units
    assert distance(width) <= min(distance(width - 1), distance(width + 1))


PARAMS = """
baseline:
  corpus: {{name: mine, vocabulary_size: 9, train: text.txt, valid: text.txt,
           test: text.txt}}
  model: {{units: 5, embedding_size: 3, cell: {cell}, recurrent_units: 4}}
  training: {{batch_size: 2, num_steps: 10, max_epochs: 1, learning_rate: 0.1}}
  gradients: {{max_delay: 2, blocks: 2}}
experiments: {{small: {{}}}}
"""


@pytest.mark.parametrize("name", settings.OF_OURS)
def test_an_experiment_is_reproduced_from_its_text_to_its_spectra(
    name, rng, tmp_path, monkeypatch
):
    from state_gradients.paper import reproduction
    from state_gradients.paper.language import subject
    from state_gradients.project import artifacts

    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    (tmp_path / "params.yaml").write_text(PARAMS.format(cell=name))
    words = [" ".join(f"w{k}" for k in line) for line in rng.integers(0, 7, (40, 10))]
    (tmp_path / "text.txt").write_text("\n".join(words) + "\n")
    assert reproduction.reproduce("small") == ["train", "extract", "analyse"]
    assert reproduction.reproduce("small") == []
    spectra, encoder = (
        artifacts.load("small", kind) for kind in ("spectra", "encoder")
    )
    states = ["hidden", "normaliser", "cell"] if name == "slstm" else ["hidden"]
    assert spectra["state_kind"].values.tolist() == states
    assert np.all(spectra["memory"].values > 0)
    experiment = settings.load_experiment("small")
    model = subject.build_model(experiment, encoder)
    for key, value in language_model.weights(model).items():
        if not key.startswith("logits"):
            np.testing.assert_array_equal(value, encoder[key].values)
    last = [key for key in encoder.data_vars if key.startswith("recurrent")][-1]
    with pytest.raises(ValueError, match=f"without .*{last}"):
        subject.build_model(experiment, encoder.drop_vars(last))
