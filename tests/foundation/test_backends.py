"""Products of float32 are float32's own, also where a backend would round the factors.

Here is no accelerator: what can be seen is what is asked of the backend.
"""

import keras
import numpy as np
import pytest

from state_gradients.foundation import backends

MATRIX = np.eye(3, dtype=np.float32)


def product(a, b):
    return keras.ops.matmul(a, b)


@pytest.mark.skipif(keras.backend.backend() != "jax", reason="of JAX's products")
@pytest.mark.parametrize("how", [backends.compiled, backends._in_full])
def test_a_product_asks_jax_for_all_of_float32(how):
    import jax

    asked = str(jax.make_jaxpr(how(product))(MATRIX, MATRIX))
    assert asked.count("HIGHEST") == 2  # of both factors
    assert "HIGHEST" not in str(jax.make_jaxpr(product)(MATRIX, MATRIX))


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's")
def test_a_product_asks_tensorflow_for_all_of_float32():
    import tensorflow as tf

    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    tf.config.experimental.enable_tensor_float_32_execution(True)
    with backends.full_float32():
        assert not enabled()
    assert enabled()  # a caller's own setting is as it was
    with backends.full_float32(), backends.full_float32():
        pass
    assert enabled()
    seen = []
    backends._in_full(lambda: seen.append(enabled()))()
    assert seen == [False]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's")
def test_a_thread_that_is_done_takes_full_products_from_no_other():
    import tensorflow as tf

    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    tf.config.experimental.enable_tensor_float_32_execution(True)
    first, second = backends.full_float32(), backends.full_float32()
    first.__enter__()  # in one thread
    second.__enter__()  # in another, while the first is at work
    first.__exit__(None, None, None)
    assert not enabled()
    second.__exit__(None, None, None)
    assert enabled()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="of TensorFlow's")
def test_functions_of_one_code_are_not_taken_for_one_that_is_compiled_too_often(
    caplog,
):
    """As of the cells of several models, or of one in two precisions."""
    import tensorflow as tf

    tf.get_logger().addHandler(caplog.handler)
    try:
        for _ in range(8):
            backends.compiled(lambda a: product(a, a))(MATRIX)
        assert not caplog.records
        for n in range(1, 9):  # one that does it is still told of
            tf.function(lambda a: product(a, a))(MATRIX[:n, :n])
        assert "retracing" in caplog.text
    finally:
        tf.get_logger().removeHandler(caplog.handler)
