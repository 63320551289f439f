"""Loads Keras: on a backend that is known to be right, and without its chatter."""

import contextlib
import os
import re
import sys
import tempfile

BACKENDS = ("tensorflow", "jax")
OTHERS = ("torch", "openvino")  # which Keras knows too
# Information of TensorFlow's C++ log, which no setting silences before it has loaded.
# Its warnings and errors begin with W, E and F, and are passed on.
CHATTER = re.compile(
    rb"I\d{4} |WARNING: All log messages before absl::InitializeLog"
    rb"|To enable the following instructions"
)


class BackendError(ImportError):
    """Keras has no backend, or one that is not known to be right."""


def load_keras():
    """Return the module ``keras``; call it before what imports Keras by itself.

    Raises
    ------
    BackendError
        If Keras's backend is not installed, or is neither TensorFlow nor JAX.
    """
    try:
        with _without_chatter():
            import keras
    except ModuleNotFoundError as error:
        missing = str(error.name).partition(".")[0]
        if missing in OTHERS:
            raise _refused(missing) from None
        if missing not in BACKENDS:
            raise
        other = next(name for name in BACKENDS if name != missing)
        raise BackendError(
            f"state_gradients: Keras's backend, {missing}, must be installed, but is "
            f"not; pip install 'state-gradients[{missing}]', or set "
            f"KERAS_BACKEND={other} where {other} is installed."
        ) from None
    if (backend := keras.config.backend()) not in BACKENDS:
        raise _refused(backend)
    return keras


def _refused(backend):
    return BackendError(
        f"state_gradients: Keras's backend must be {' or '.join(BACKENDS)}, "
        f"received {backend}, on which the gradients are not known to be right; set "
        f"KERAS_BACKEND={BACKENDS[0]} before Keras is imported."
    )


@contextlib.contextmanager
def _without_chatter():
    """Hold back what is written to standard error, then pass on all but chatter."""
    if "keras" in sys.modules:
        yield
        return
    with tempfile.TemporaryFile() as held:
        stderr = os.dup(2)
        os.dup2(held.fileno(), 2)  # C++ writes to the descriptor, not to sys.stderr
        try:
            yield
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            held.seek(0)
            for line in held:
                if not CHATTER.match(line):
                    os.write(2, line)
