"""What is compiled computes in float32 as such, on whatever backend there is."""

import keras
import numpy as np
import pytest

from state_gradients.foundation import backends


def product(a, b):
    return keras.ops.matmul(a, b)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX's products")
def test_a_product_asks_jax_for_all_of_float32():
    import jax

    a = np.eye(3, dtype=np.float32)
    asked = str(jax.make_jaxpr(backends.compiled(product))(a, a))
    assert asked.count("HIGHEST") == 2  # of both factors
    assert "HIGHEST" not in str(jax.make_jaxpr(product)(a, a))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's")
def test_a_product_asks_tensorflow_for_all_of_float32():
    import tensorflow as tf

    tf.config.experimental.enable_tensor_float_32_execution(True)
    a = np.eye(3, dtype=np.float32)
    backends.compiled(product)(a, a)
    assert not tf.config.experimental.tensor_float_32_execution_enabled()
