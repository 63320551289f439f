"""The language model: names, initial weights, round trips."""

import keras
import numpy as np
import pytest
from scipy import stats

from state_gradients.foundation import settings
from state_gradients.models import language_model

V = 50


@pytest.mark.parametrize(("cell", "gates"), [("lstm", 4), ("gru", 3), ("rnn", 1)])
def test_layers_shapes_and_initial_biases(cell, gates):
    small = settings.Model(cell=cell, units=8, layers=2, embedding_size=6)
    model = language_model.build_language_model(small, V, seed=1)
    names = [layer.name for layer in model.layers[1:]]
    assert names == ["embedding", "recurrent_1", "recurrent_2", "dropout", "logits"]
    weights = language_model.weights(model)
    assert weights["embedding"].shape == (V, 6)
    assert weights["recurrent_1.kernel"].shape == (6, gates * 8)
    assert weights["recurrent_2.kernel"].shape == (8, gates * 8)
    expected = np.zeros(gates * 8)
    if cell == "gru":
        expected[:16] = 1  # update and reset gate
    np.testing.assert_array_equal(weights["recurrent_1.bias"], expected)
    assert model(np.zeros((2, 3), int)).shape == (2, 3, V)


def test_every_matrix_and_the_softmax_bias_are_uniform_and_independent():
    model = language_model.build_language_model(settings.Model(units=64), 500, seed=3)
    drawn = {
        k: v
        for k, v in language_model.weights(model).items()
        if "recurrent_1.b" not in k
    }
    for value in drawn.values():
        test = stats.kstest(value.ravel(), stats.uniform(-0.05, 0.1).cdf)
        assert test.pvalue > 1e-3
    kernel, recurrent = (
        drawn["recurrent_1.kernel"],
        drawn["recurrent_1.recurrent_kernel"],
    )
    # 64 x 256 pairs: correlation of independent draws within 4 / 128
    assert abs(np.corrcoef(kernel.ravel(), recurrent.ravel())[0, 1]) < 0.032
    again = language_model.weights(
        language_model.build_language_model(settings.Model(units=64), 500, seed=3)
    )
    other = language_model.weights(
        language_model.build_language_model(settings.Model(units=64), 500, seed=4)
    )
    np.testing.assert_array_equal(again["embedding"], drawn["embedding"])
    assert not np.array_equal(other["embedding"], drawn["embedding"])


def test_published_parameter_counts():
    # C065: 4 (64 + 256 + 1) 256, 3 (...) 256, (...) 256
    counts = {
        cell: language_model.recurrent_layers(
            language_model.build_language_model(settings.Model(cell=cell), V)
        )[0].count_params()
        for cell in ("lstm", "gru", "rnn")
    }
    assert counts == {"lstm": 328_704, "gru": 246_528, "rnn": 82_176}


def test_one_hot_input_is_a_frozen_identity():
    small = settings.Model(embedding="one-hot", embedding_size=V, units=4)
    model = language_model.build_language_model(small, V)
    np.testing.assert_array_equal(language_model.weights(model)["embedding"], np.eye(V))
    assert len(model.trainable_variables) == 5
    with pytest.raises(ValueError, match="must have shape"):
        language_model.build_language_model(settings.Model(embedding="one-hot"), V)


def test_frozen_embedding_is_kept():
    table = np.random.default_rng(0).normal(size=(V, 3)).astype(np.float32)
    small = settings.Model(embedding="frozen", embedding_size=3, units=4)
    model = language_model.build_language_model(small, V, embeddings=table)
    np.testing.assert_array_equal(language_model.weights(model)["embedding"], table)
    assert not model.get_layer("embedding").trainable


def test_weights_round_trip_and_unknown_names_are_refused():
    small = settings.Model(units=4, embedding_size=3)
    one = language_model.build_language_model(small, V, seed=1)
    two = language_model.build_language_model(small, V, seed=2)
    language_model.set_weights(two, language_model.weights(one))
    for name, value in language_model.weights(one).items():
        np.testing.assert_array_equal(language_model.weights(two)[name], value)
    wrong = {"logits.bias": np.ones(V), "recurrent_9.kernel": np.zeros(3)}
    with pytest.raises(ValueError, match=r"no weight 'recurrent_9.kernel'"):
        language_model.set_weights(two, wrong)
    unchanged = language_model.weights(two)["logits.bias"]
    np.testing.assert_array_equal(unchanged, language_model.weights(one)["logits.bias"])


@pytest.mark.parametrize(
    "policy", ["mixed_float16", "mixed_bfloat16", "bfloat16", "int8_from_float32"]
)
def test_another_precision_than_results_are_kept_for_is_refused(policy):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        with pytest.raises(ValueError, match=f"Keras must compute .* '{policy}"):
            language_model.build_language_model(settings.Model(units=3), 7)
    finally:
        keras.config.set_dtype_policy(before)
