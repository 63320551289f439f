"""The few places where TensorFlow and JAX differ; all else is ``keras.ops``."""

import contextlib
import functools
import threading

import keras
import numpy as np

LITTLE = 4e9  # bytes, which any accelerator has


@contextlib.contextmanager
def full_float32():
    """Multiply float32 in full, also on an accelerator.

    Many would otherwise round the factors to ten bits (TensorFloat-32), and so a chain
    of fifty Jacobians.
    """
    if keras.backend.backend() == "jax":
        import jax

        with jax.default_matmul_precision("highest"):  # of this thread
            yield
        return
    _TENSORFLOW.enter()
    try:
        yield
    finally:
        _TENSORFLOW.leave()


class _TensorFlowInFull:
    """TensorFlow's setting, one for all threads: as it was when the last has left."""

    def __init__(self):
        self._lock = threading.Lock()
        self._inside = 0
        self._before = None

    def enter(self):
        import tensorflow as tf

        execution = tf.config.experimental
        with self._lock:
            if not self._inside:
                self._before = execution.tensor_float_32_execution_enabled()
                execution.enable_tensor_float_32_execution(False)
            self._inside += 1

    def leave(self):
        import tensorflow as tf

        with self._lock:
            self._inside -= 1
            if not self._inside:
                tf.config.experimental.enable_tensor_float_32_execution(self._before)


_TENSORFLOW = _TensorFlowInFull()


def compiled(function, *, jit=False, reuse=()):
    """Compile a pure function of tensors, its results reproducible bit for bit.

    On a GPU XLA is asked for deterministic operations, which keeps it from choosing
    kernels by their speed, too; whether two processes agree there was not tested.

    Parameters
    ----------
    function : callable
    jit : bool
        Whether TensorFlow shall compile with XLA, as JAX always does: slower to
        compile, fewer passes through the memory, and its need is planned before it
        runs.
    reuse : tuple of int
        Arguments whose memory the results may take, on JAX: nobody may read them again.
    """
    if keras.backend.backend() == "jax":
        import jax

        on_gpu = jax.default_backend() == "gpu"
        options = {"xla_gpu_deterministic_ops": True} if on_gpu else None
        return jax.jit(
            _in_full(function), compiler_options=options, donate_argnums=reuse
        )
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    own = functools.partial(function)  # each counted alone: all cells' have one code,
    traced = tf.function(  # and TensorFlow warns of code that it often compiles
        own, autograph=False, reduce_retracing=True, jit_compile=jit or None
    )
    return _in_full(traced)  # TensorFlow chooses when it multiplies, not when it traces


def _in_full(function):
    @functools.wraps(function)
    def in_full(*arguments):
        with full_float32():
            return function(*arguments)

    return in_full


def value_and_gradients(function, arguments):
    """Return ``(value, auxiliary), gradients`` of ``function(arguments)``.

    `function` returns a scalar and anything beside it; the gradients have the
    structure of `arguments`.
    """
    if keras.backend.backend() == "jax":
        import jax

        return jax.value_and_grad(function, has_aux=True)(arguments)
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(arguments)
        value, auxiliary = function(arguments)
    return (value, auxiliary), tape.gradient(value, arguments)


def supports(dtype):
    """Return whether the backend computes in `dtype` (JAX: float64 only if enabled)."""
    made = keras.ops.convert_to_tensor(np.ones(1, dtype))
    return keras.backend.standardize_dtype(made.dtype) == dtype


def tanh(x):
    """Return tanh in the precision of `x`, which Keras cuts to float32 on JAX."""
    return _in_own_precision("tanh", x)


def cos(x):
    """Return the cosine in the precision of `x`, as :func:`tanh`."""
    return _in_own_precision("cos", x)


def sin(x):
    """Return the sine in the precision of `x`, as :func:`tanh`."""
    return _in_own_precision("sin", x)


def _in_own_precision(name, x):
    if keras.backend.backend() == "jax":
        import jax

        return getattr(jax.numpy, name)(x)
    return getattr(keras.ops, name)(x)


def batch_jacobians(function, arguments):
    """Return dy/da (batch, out, in) for each a (batch, in) of ``y = function(*a)``.

    Each row of y (batch, out) depends on its own row of the arguments only.
    """
    if keras.backend.backend() == "jax":
        import jax

        def one_row(*rows):
            return function(*(row[None] for row in rows))[0]

        every = tuple(range(len(arguments)))
        return jax.vmap(jax.jacrev(one_row, argnums=every))(*arguments)
    import tensorflow as tf

    with tf.GradientTape(persistent=True) as tape:
        tape.watch(arguments)
        y = function(*arguments)
    zero = tf.UnconnectedGradients.ZERO
    return [tape.batch_jacobian(y, a, unconnected_gradients=zero) for a in arguments]


def accelerators():
    """Return the names of what the backend computes on other than the processor."""
    if keras.backend.backend() == "jax":
        import jax

        return [d.device_kind for d in jax.devices() if d.platform != "cpu"]
    import tensorflow as tf

    details = tf.config.experimental.get_device_details
    devices = tf.config.list_physical_devices("GPU")
    return [details(device).get("device_name", device.name) for device in devices]


def free_memory():
    """Return how many bytes the first accelerator has left for this process."""
    if keras.backend.backend() == "jax":
        import jax

        stats = jax.devices()[0].memory_stats() or {}  # not all allocators count
        return stats.get("bytes_limit", LITTLE) - stats.get("bytes_in_use", 0)
    import tensorflow as tf
    from tensorflow.python.client import device_lib

    limits = [
        device.memory_limit
        for device in device_lib.list_local_devices()
        if device.device_type == "GPU"
    ]
    return limits[0] - tf.config.experimental.get_memory_info("GPU:0")["current"]
