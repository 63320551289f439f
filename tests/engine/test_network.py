"""Which models are read, and which are refused."""

import pickle

import keras
import numpy as np
import pytest
from test_means import E, H, V, build

from state_gradients.engine.network import read_network

L = keras.layers


def sequential(*layers):
    model = keras.Sequential([keras.Input((None,)), *layers])
    return model


def test_dropout_is_transparent_and_the_head_is_not_read():
    model = sequential(
        L.Embedding(V, E),
        L.SpatialDropout1D(0.5),
        L.LSTM(H, return_sequences=True),
        L.Dropout(0.5),
        L.GRU(H, return_sequences=True),
        L.Dense(V),
        L.LSTM(H),
    )
    network = read_network(model, n_layers=2)
    assert [cell.names for cell in network.cells] == [("hidden", "cell"), ("hidden",)]
    with pytest.raises(ValueError, match=r"layers 1\.\.2 .* received 3"):
        read_network(model, n_layers=3)


def test_a_functional_model_is_followed_along_its_graph():
    ids = keras.Input((None,), dtype="int32")
    embedded = L.Embedding(V, E)(ids)
    first = L.LSTM(H, return_sequences=True)(embedded)
    beside = L.GRU(H, return_sequences=True)(embedded)  # does not read the first
    model = keras.Model(ids, [first, beside])
    with pytest.raises(ValueError, match="not side by side"):
        read_network(model)  # which of them would hang on their order alone
    alone = keras.Model(ids, first)
    with pytest.raises(ValueError, match=r"recurrent layers 1\.\.1"):
        read_network(alone, n_layers=2)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([L.Embedding(V, E), L.LSTM(H, go_backwards=True)], "go_backwards"),
        ([L.Embedding(V, E), L.Bidirectional(L.LSTM(H))], "forwards only"),
        ([L.Embedding(V, E), L.Dense(H), L.LSTM(H)], "begin Embedding -> recurrent"),
        ([L.Embedding(V, E)], "begin Embedding -> recurrent"),
    ],
)
def test_other_models_are_refused(layers, message):
    with pytest.raises(ValueError, match=message):
        read_network(sequential(*layers))


def test_stateful_layers_are_refused():
    model = keras.Sequential(
        [
            keras.Input(batch_shape=(1, None)),
            L.Embedding(V, E),
            L.LSTM(H, stateful=True),
        ]
    )
    with pytest.raises(ValueError, match="nor `stateful`"):
        read_network(model)


def test_a_model_without_embedding_is_refused():
    model = keras.Sequential([keras.Input((None, E)), L.LSTM(H)])
    with pytest.raises(ValueError, match="begin with an Embedding"):
        read_network(model)


@pytest.mark.parametrize("cell", ["lstm", "leaky"])
def test_a_network_survives_pickling_and_runs_in_stretches(cell):
    network = read_network(build(cell))
    other = pickle.loads(pickle.dumps(network))
    ids = np.random.default_rng(0).integers(V, size=12)
    trace, states = network.run(ids, network.zero_states())
    _, half = other.run(ids[:5], other.zero_states())
    rest, end = other.run(ids[5:], half)
    for whole, part in zip(trace[0], rest[0], strict=True):
        # the same float32 operations: their order may differ by compilation
        np.testing.assert_allclose(whole[5:], part, rtol=1e-5, atol=1e-6)
    for a, b in zip(states[0], end[0], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)
    assert other.cells[0].names == network.cells[0].names
