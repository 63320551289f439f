"""Flax's recurrent cells, as the weights of Keras's layers.

Flax names a kernel for each gate, (in, units) as in Keras, `i` reading the input and
`h` the state: ``params["cell"]["if"]["kernel"]``. A bias stands at one of the two.
"""

import numpy as np


def _side_by_side(cell, kind, gates):
    """Return the kernels and biases of some gates, in Keras's order."""
    parts = [cell[f"{kind}{gate}"] for gate in gates]
    kernel = np.concatenate([np.asarray(part["kernel"]) for part in parts], axis=1)
    units = kernel.shape[1] // len(gates)
    biases = [np.asarray(part.get("bias", np.zeros(units))) for part in parts]
    return kernel, np.concatenate(biases)


def lstm(cell):
    """Return what ``keras.layers.LSTM.set_weights`` takes."""
    kernel, of_input = _side_by_side(cell, "i", "ifgo")
    recurrent_kernel, of_state = _side_by_side(cell, "h", "ifgo")
    return [kernel, recurrent_kernel, of_input + of_state]


def gru(cell):
    """Return what ``keras.layers.GRU.set_weights`` takes."""
    kernel, of_input = _side_by_side(cell, "i", "zrn")
    recurrent_kernel, of_state = _side_by_side(cell, "h", "zrn")
    return [kernel, recurrent_kernel, np.stack([of_input, of_state])]
