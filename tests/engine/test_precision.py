"""Float32 where it is enough; float64, or a refusal, where it is not."""

import pickle

import keras
import numpy as np
import pytest

from state_gradients.engine import (
    jobs,
    means,
    network,
    precision,
    readers,
    readouts,
    trust,
    words,
)
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import backends
from state_gradients.models import cells

L = keras.layers
V, E, H = 9, 4, 6
IDS = np.random.default_rng(0).integers(V, size=300)
pytestmark = pytest.mark.skipif(
    not backends.supports("float64"), reason="needs float64 from the backend"
)


def sequential(layer, scale=1.0):
    keras.utils.set_random_seed(0)
    table = L.Embedding(
        V, E, embeddings_initializer=keras.initializers.RandomNormal(0, scale)
    )
    return keras.Sequential([keras.Input((None,), dtype="int32"), table, layer])


def gradients(model, **options):
    found = mean_state_gradients(model, IDS, max_delay=3, **options)
    return found["state_gradient"].transpose("delay", ...).values


def apart(ours, exact):
    off = np.linalg.norm(ours - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))
    return off.max()


def biased(kind, place, value, **options):
    """Return a model whose biases at `place` are large: gates that are all but shut."""
    model = sequential(kind(H, **options))
    layer = model.layers[-1]
    weights = layer.get_weights()
    weights[-1][..., place] = value
    layer.set_weights(weights)
    return model


SHUT = {
    "a simple RNN whose tanh is 1 to seven digits": (L.SimpleRNN, slice(None), 9.5),
    "a GRU that holds two units": (L.GRU, slice(0, 2), 17.0),
    # of Keras's two biases, which add up: what z leaves is known to some thousandths
    "a GRU whose update gates are shut at 10": (L.GRU, slice(0, H), 5.0),
    "a GRU whose update gates are shut at 12": (L.GRU, slice(0, H), 6.0),
    "an LSTM that forgets nothing of two units": (L.LSTM, slice(H, H + 2), 18.0),
    "an LSTM whose output gates are open": (L.LSTM, slice(3 * H, 4 * H), 18.0),
}


@pytest.mark.parametrize("name", SHUT)
def test_what_a_shut_gate_lets_through_is_known_in_float32(name):
    """1 - tanh^2 and 1 - sigmoid would be rounding, and nothing else."""
    model = biased(*SHUT[name])
    ours = gradients(model, dtype="float32")
    assert apart(ours, gradients(model, dtype="float64")) < 1e-4


@pytest.mark.parametrize(
    "dtype, bias, times", [("float32", 8.0, 1.5), ("float64", 5.0, 1.001)]
)
def test_rounding_does_not_excuse_another_network(dtype, bias, times):
    """Of gates shut at 16 float32 knows the states to a third; float64 has none."""
    model = biased(L.GRU, slice(0, H), bias, dtype=dtype)
    read = network.Network(
        model.layers[0].get_weights()[0].astype(dtype),
        (readers.read_cell(model.layers[1].cell, n_inputs=E, dtype=dtype),),
    )
    kernel, *others = model.layers[1].get_weights()
    model.layers[1].set_weights([times * kernel, *others])
    ids = trust._first_inputs(model.layers[0], read)
    _, ((state,),) = read.run_unchecked(ids, read.zero_states())
    excused = trust.ROUNDINGS * trust._rounding(read, ids, 1)
    assert excused > (times - 1) * np.abs(state).max()
    with pytest.raises(ValueError, match="must do in Keras what was read from its"):
        trust.require_same_first_steps(*model.layers[:1], model.layers[1:], read)


@pytest.mark.parametrize("kind", [cells.MinGRUCell, cells.MinLSTMCell])
def test_so_it_is_of_the_cells_of_ours(kind):
    model = sequential(L.RNN(kind(H)), scale=12.0)
    ours = gradients(model, dtype="float32")
    assert apart(ours, gradients(model, dtype="float64")) < 1e-4


def chaos():
    """A network that doubles what is rounded at each of some tokens."""
    model = sequential(L.SimpleRNN(40))
    layer = model.layers[-1]
    kernel, recurrent, bias = layer.get_weights()
    recurrent = (
        np.random.default_rng(1).normal(size=recurrent.shape) * 2.5 / np.sqrt(40)
    )
    layer.set_weights([kernel, recurrent.astype("float32"), bias])
    return model


class Saturated(L.Layer):
    """A cell without a formula here: h' = tanh(x + h W + b)."""

    def __init__(self, units, shift, **options):
        super().__init__(**options)
        self.units = self.state_size = self.output_size = units
        self.shift = shift

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units))
        self.recurrent = self.add_weight(shape=(self.units, self.units))
        self.built = True

    def call(self, x, states):
        (h,) = states
        h = keras.ops.tanh(x @ self.kernel + h @ self.recurrent + self.shift)
        return h, [h]

    def get_config(self):
        return super().get_config() | {"units": self.units, "shift": self.shift}


@pytest.mark.parametrize("reads", ["words", "numbers"])
def test_a_cell_that_the_backend_differentiates_is_looked_at_too(reads):
    """1 - tanh^2 is rounding in float32 where h is 1 to seven digits."""
    keras.utils.set_random_seed(0)
    rnn = L.RNN(Saturated(H, 8.0), return_sequences=True)
    below = [L.Embedding(V, E)]
    options = {"ids": IDS}
    if reads == "numbers":
        below = [keras.Input((None, E)), L.Dense(E)]
        rng = np.random.default_rng(0)
        options = {"inputs": rng.normal(size=(300, E)).astype(np.float32)}
    model = keras.Sequential([*below, rnn])
    model.build((None, None, E) if reads == "numbers" else (None, None))

    def ask(**dtype):
        found = mean_state_gradients(model, max_delay=3, **options, **dtype)
        return found["state_gradient"].transpose("delay", ...).values

    exact = ask(dtype="float64")
    with pytest.warns(RuntimeWarning, match="float32 must be enough"):
        single = ask(dtype="float32")
    assert apart(single, exact) > 1e-3
    assert apart(ask(), exact) < 1e-12


class WithoutConfiguration(Saturated):
    def get_config(self):
        raise NotImplementedError


class SinglePrecision(Saturated):
    def call(self, x, states):
        return super().call(x + np.float32(0) * keras.ops.ones(1, "float32"), states)


@pytest.mark.parametrize("kind", [WithoutConfiguration, SinglePrecision])
def test_a_cell_that_cannot_be_made_in_float64_is_taken_as_it_is(kind):
    model = sequential(L.RNN(kind(H, 0.0), return_sequences=True))
    assert np.isfinite(gradients(model)).all()
    cell = model.layers[-1].cell
    assert readers.read_cell(cell, n_inputs=E, dtype="float32").in_double() is None


def test_where_float32_is_not_enough_the_whole_is_in_float64():
    model = chaos()
    options = {"max_delay": 60}
    ours = mean_state_gradients(model, IDS, **options)["state_gradient"]
    exact = mean_state_gradients(model, IDS, dtype="float64", **options)
    np.testing.assert_array_equal(ours, exact["state_gradient"])
    with pytest.warns(RuntimeWarning, match="float32 must be enough"):
        mean_state_gradients(model, IDS, dtype="float32", **options)
    with pytest.raises(FloatingPointError, match=r"^type_gradients: float32 must be"):
        list(words.type_gradients(model, IDS, **options))
    with pytest.warns(RuntimeWarning, match="float32 must be enough"):
        list(words.type_gradients(model, IDS, dtype="float32", **options))


def test_few_inputs_of_few_jobs_go_both_ways(monkeypatch):
    network, _, states = means.read(sequential(L.LSTM(H)))
    request = jobs.Request(max_delay=3, state_indices=states)
    ids = np.resize(IDS, 40 * jobs.LENGTH)
    cut = jobs.cut(network, [ids], [np.zeros(len(ids), int)], None, request)
    seen = []

    def look(job):
        seen.append(job.number)
        return 0.0

    monkeypatch.setattr(precision, "apart", look)
    assert len([*precision.checked(cut, None)]) == 40
    assert seen == [0, 16, 32]
    seen.clear()
    assert len([*precision.checked([(0, None)], "float64")]) == 1
    assert not seen


def growing(activation):
    """Return a model whose states grow beyond float32 within 200 tokens."""
    model = sequential(L.SimpleRNN(H, activation=activation))
    layer = model.layers[-1]
    kernel, _, bias = layer.get_weights()
    layer.set_weights([np.abs(kernel), np.eye(H, dtype="float32") * 1.7, bias + 1])
    return model


@pytest.mark.parametrize("activation", ["relu", "leaky_relu"])
def test_states_that_overflow_are_no_zeros(activation):
    """The derivative of a ReLU of NaN is 0: nothing would tell."""
    model = growing(activation)
    ours = mean_state_gradients(model, IDS, max_delay=2)  # in float64 they do not
    assert np.isfinite(ours["state_gradient"]).all()
    exact = mean_state_gradients(model, IDS, max_delay=2, dtype="float64")
    np.testing.assert_array_equal(ours["state_gradient"], exact["state_gradient"])
    with pytest.raises(FloatingPointError, match=r"states must be finite.*float32"):
        mean_state_gradients(model, IDS, max_delay=2, dtype="float32")
    with pytest.raises(FloatingPointError, match=r"states must be finite.*float64"):
        mean_state_gradients(model, np.resize(IDS, 2000), max_delay=2)


def test_a_group_that_vanishes_from_float32_is_seen_beside_others():
    """A word, or a class of them, may send far less than all others do."""
    values = np.ones((1, 1, 2, 4, E, H))
    assert not means.vanishes(values, delay=3)
    values[:, :, 1, 3] = 1e-35
    assert means.vanishes(values, delay=3)
    values[:, :, 1, 3] = 0  # forgotten at once
    assert not means.vanishes(values, delay=3)


class Scaled(L.SimpleRNNCell):
    """What its scale is, its configuration does not say."""

    scale = 1.0

    def call(self, sequence, states, training=False):
        return super().call(self.scale * sequence, states, training)


def test_a_cell_that_its_configuration_does_not_make_is_not_sent_elsewhere():
    cell = Scaled(H)
    cell.build((None, E))
    reader = readers.read_cell(cell, n_inputs=E)
    x = np.ones((1, E), "float32")
    (ours,) = reader.run(x, (np.zeros(H, "float32"),))
    (theirs,) = pickle.loads(pickle.dumps(reader)).run(x, (np.zeros(H, "float32"),))
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    cell.scale = 0.5
    reader = readers.read_cell(cell, n_inputs=E)
    with pytest.raises(ValueError, match=r"get_config.*a Scaled"):
        pickle.dumps(reader)


class CellFirst(L.LSTMCell):
    """An LSTM whose states are the cell and the hidden state, in this order."""

    def call(self, sequence, states, training=False):
        h, (_, c) = super().call(sequence, states[::-1], training)
        return h, [c, h]


def test_states_in_another_order_do_not_have_the_names_of_keras():
    """Two LSTMs that compute the same; each state has its own gradients."""
    one, other = L.RNN(L.LSTMCell(H)), L.RNN(CellFirst(H))
    usual, turned = sequential(one), sequential(other)
    turned.set_weights(usual.get_weights())
    options = {"max_delay": 2}
    with pytest.raises(ValueError, match=r"among .'state_1', 'state_2'"):
        mean_state_gradients(turned, IDS, state="cell", **options)
    ours = mean_state_gradients(turned, IDS, state="state_1", **options)
    exact = mean_state_gradients(usual, IDS, state="cell", **options)
    off = ours["state_gradient"].values - exact["state_gradient"].values
    assert np.abs(off).max() < 1e-5


@pytest.mark.parametrize("lead", [20.0, 40.0])
def test_the_information_of_a_sure_prediction_is_no_difference(lead):
    """F of two words is p (1 - p) (k - k')^2, however near p is to 1."""
    columns = np.array([[0.7, -0.2], [-0.4, 1.1]])
    odds = np.exp(-lead)
    p = np.array([[1 / (1 + odds), odds / (1 + odds)]])
    (root,) = readouts._roots(p, columns)
    apart = columns[0] - columns[1]
    exact = p.prod() * np.outer(apart, apart)
    np.testing.assert_allclose(root.T @ root, exact, rtol=1e-6)
