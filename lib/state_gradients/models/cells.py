"""Recurrent cells whose Jacobians are diagonal, for ``keras.layers.RNN``.

    minGRU                 h = (1 - z) h' + z (e W_h + b_h),  z = sigmoid(e W_z + b_z)
    diagonal recurrence    h = a h' + e W + b,                a = sigmoid(decay)

Neither looks back through a matrix, so that an input's tangents are only scaled from
token to token: its state gradient decays unit by unit, and never turns.
"""

import keras
from keras import ops


class _InputCell(keras.layers.Layer):
    """A cell of `units` whose kernel sees the input only; `gates` blocks side by side.

    Parameters
    ----------
    units : int
    kernel_initializer : str or keras.initializers.Initializer
    """

    gates = 1

    def __init__(self, units, *, kernel_initializer="glorot_uniform", **options):
        super().__init__(**options)
        self.units = self.state_size = self.output_size = units
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        width = self.gates * self.units
        self.kernel = self.add_weight(
            shape=(input_shape[-1], width),
            initializer=self.kernel_initializer,
            name="kernel",
        )
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")

    def get_config(self):
        kernel_initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"units": self.units, "kernel_initializer": kernel_initializer}
        return super().get_config() | own


class MinGRUCell(_InputCell):
    """The minimal GRU of Feng et al. (2024): gate and candidate see the input only.

    The kernel (in, 2 units) holds gate z, then candidate.
    """

    gates = 2

    def call(self, x, states):
        """Return h and [h], from x (batch, in) and [h'] (batch, units)."""
        (h,) = states
        z, candidate = ops.split(ops.matmul(x, self.kernel) + self.bias, 2, axis=-1)
        z = ops.sigmoid(z)
        h = (1 - z) * h + z * candidate
        return h, [h]


class DiagonalCell(_InputCell):
    """A linear recurrence with a trained decay in (0, 1) for each unit.

    Decays start evenly spread on the logistic scale, from 0.5 to 0.98: half-lives of
    1 to 34 tokens.
    """

    def build(self, input_shape):
        """Make kernel, bias and ``decay`` (units,)."""
        super().build(input_shape)
        self.decay = self.add_weight(
            shape=(self.units,),
            initializer=lambda shape, dtype=None: ops.linspace(
                0.0, 4.0, shape[0], dtype=dtype
            ),
            name="decay",
        )

    def call(self, x, states):
        """Return h and [h], from x (batch, in) and [h'] (batch, units)."""
        (h,) = states
        h = ops.sigmoid(self.decay) * h + ops.matmul(x, self.kernel) + self.bias
        return h, [h]


# Not as decorators, which the book's API page, built without Keras, cannot look behind.
for _cell in (MinGRUCell, DiagonalCell):
    keras.saving.register_keras_serializable("state_gradients")(_cell)
