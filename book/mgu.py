"""A recurrent cell of one's own: the minimal gated unit of Zhou et al. (2016).

    f = sigmoid(W_f e + U_f h' + b_f)
    k = tanh(W_k e + U_k (f h') + b_k)
    h = (1 - f) h' + f k

A GRU whose one gate does the work of two. Keras can save a model with it because it is
registered, and load it again wherever this module is imported.
"""

import keras
from keras import ops


@keras.saving.register_keras_serializable("book")
class MGUCell(keras.layers.Layer):
    """The cell, for ``keras.layers.RNN``; `units` is the size of its state."""

    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = self.state_size = units

    def build(self, input_shape):
        """Make the weights of the gate and of the candidate, side by side."""
        sizes = {"kernel": input_shape[-1], "recurrent_kernel": self.units}
        for name, rows in sizes.items():
            weight = self.add_weight(shape=(rows, 2 * self.units), name=name)
            setattr(self, name, weight)
        self.bias = self.add_weight(
            shape=(2 * self.units,), initializer="zeros", name="bias"
        )

    def call(self, inputs, states):
        """Return the output and the states after one token."""
        (h,) = states
        gate, candidate = ops.split(inputs @ self.kernel + self.bias, 2, axis=-1)
        to_gate, to_candidate = ops.split(self.recurrent_kernel, 2, axis=-1)
        f = ops.sigmoid(gate + h @ to_gate)
        h = (1 - f) * h + f * ops.tanh(candidate + (f * h) @ to_candidate)
        return h, [h]

    def get_config(self):
        """Return what makes the same cell again."""
        return super().get_config() | {"units": self.units}
