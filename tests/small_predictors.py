"""Small language models whose predictions two rooms differentiate, in float64."""

import keras
import pytest
from scipy.special import log_softmax

from state_gradients.foundation import backends, settings
from state_gradients.models import language_model

V, E, H = 9, 3, 4
CELLS = "lstm", "gru", "rnn", "mingru", "minlstm", "lru", "s6", "slstm"
double = pytest.mark.skipif(
    not backends.supports("float64"), reason="on JAX, needs JAX_ENABLE_X64=1"
)


@pytest.fixture
def in_float64():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_dtype_policy(before)


def model_of(cell, rng, **options):
    """A small language model whose weights are large enough that every gate curves."""
    width = None if cell in ("lstm", "gru", "rnn") else 5
    config = settings.Model(
        **{"cell": cell, "units": H, "recurrent_units": width, "embedding_size": E}
        | {"dropout": 0.5}
        | options
    )
    model = language_model.build_language_model(config, V, seed=1)
    for layer in model.layers:
        for weight in layer.weights:
            if weight.dtype.startswith("float"):
                value = keras.ops.convert_to_numpy(weight)
                weight.assign(value + 0.6 * rng.normal(size=value.shape))
    return model


def log_p(model, embedded):
    """Return log p (batch, time, V) after each token of inputs (batch, time, E)."""
    states = language_model.zero_states(model, len(embedded))
    states = [[keras.ops.cast(one, "float64") for one in layer] for layer in states]
    embedded = keras.ops.convert_to_tensor(embedded)
    logits, _ = language_model.run_layers(model, embedded, states)
    return log_softmax(keras.ops.convert_to_numpy(logits), axis=-1)
