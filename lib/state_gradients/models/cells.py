"""Recurrent cells of ours, for ``keras.layers.RNN``.

    minGRU                 h = (1 - z) h' + z (e W_h + b_h),  z = sigmoid(e W_z + b_z)
    minLSTM                h = f' h + i' (e W_h + b_h),       f' = f / (f + i), i' = ..
    diagonal recurrence    h = a h' + e W + b,                a = sigmoid(decay)
    LRU                    h = Lambda h' + gamma (B e),       y = Re(C h) + D e
    S6                     h = exp(delta A) h' + ..,          y = C h + D u
    sLSTM                  an LSTM with exponential gates, a normaliser, a stabiliser

All but the sLSTM do not look back through a matrix: h = a h' + b, with a and b of the
input alone, so that an input's tangents are only scaled (an LRU's: turned in a plane
each) from token to token. ``keras.layers.RNN`` makes a and b step by step; training,
which knows all inputs, makes them at once (``run``), which leaves a product and a sum
to each step, and on JAX makes the steps in a tree (Blelloch 1990).
"""

import keras
import numpy as np
from keras import ops

from state_gradients.foundation import backends


class _LinearCell(keras.layers.Layer):
    """A cell h = a h' + b whose a and b are functions of the input.

    Parameters
    ----------
    units : int
    kernel_initializer : str or keras.initializers.Initializer
    """

    gates = 1  # blocks of `units` columns of the kernel, side by side
    initial_weights = ()  # names of weights whose initial values belong to the cell

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
        """Return what makes the cell again, without weights."""
        kernel_initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"units": self.units, "kernel_initializer": kernel_initializer}
        return super().get_config() | own

    def elements(self, x):
        """Return a and b, of shapes that broadcast to (.., state), from x (.., in)."""
        raise NotImplementedError

    def times(self, a, h):
        """Return the product of two elements or of an element and a state."""
        return a * h

    def read(self, x, h):
        """Return the output (.., out) of states h (.., state) after inputs x."""
        return h

    def call(self, x, states):
        """Return output and [h], from x (batch, in) and [h'] (batch, state)."""
        (h,) = states
        a, b = self.elements(x)
        h = self.times(a, h) + b
        return self.read(x, h), [h]

    def run(self, x, states):
        """Run a text whose a and b are made of all inputs at once.

        Parameters
        ----------
        x : tensor of shape (batch, time, in)
        states : list of one tensor of shape (batch, state)

        Returns
        -------
        outputs : tensor of shape (batch, time, out)
        states : list of one tensor of shape (batch, state)
            After the last step.
        """
        a, b = self.elements(x)
        a = a + ops.zeros_like(b)
        run = self._in_a_tree if keras.backend.backend() == "jax" else self._in_turn
        h = run(a, b, states[0])
        return self.read(x, h), [h[:, -1]]

    def _in_turn(self, a, b, before):
        """Return the states (batch, time, state), one step after the other."""

        def step(h, element):
            a, b = element
            h = self.times(a, h) + b
            return h, h

        by_time = tuple(ops.swapaxes(one, 0, 1) for one in (a, b))
        _, h = ops.scan(step, before, by_time)
        # the shape, which TensorFlow's graph loses
        return ops.reshape(ops.swapaxes(h, 0, 1), ops.shape(b))

    def _in_a_tree(self, a, b, before):
        """Return what :meth:`_in_turn` does, in log2(time) rounds of all steps at once.

        It does twice the work, and keeps an accelerator busy, which single steps do not
        (the parallel scan of the cells' papers).
        """
        first = self.times(a[:, :1], before[:, None]) + b[:, :1]
        b = ops.concatenate([first, b[:, 1:]], axis=1)
        _, h = ops.associative_scan(self._after, (a, b), axis=1)
        return h

    def _after(self, earlier, later):
        """Return the one step h -> a h + b that does two, the earlier first."""
        (a, b), (a_later, b_later) = earlier, later
        return self.times(a_later, a), self.times(a_later, b) + b_later


class MinGRUCell(_LinearCell):
    """The minimal GRU of Feng et al. (2024): gate and candidate see the input only.

    The kernel (in, 2 units) holds gate z, then candidate.
    """

    gates = 2

    def elements(self, x):
        """Return 1 - z and z times the candidate."""
        z, candidate = ops.split(ops.matmul(x, self.kernel) + self.bias, 2, axis=-1)
        z = ops.sigmoid(z)
        return 1 - z, z * candidate


class MinLSTMCell(_LinearCell):
    """The minimal LSTM of Feng et al. (2024): its two gates share out one.

        f = sigmoid(e W_f + b_f),  i = sigmoid(e W_i + b_i)
        h = f / (f + i) h' + i / (f + i) (e W_h + b_h)

    The kernel (in, 3 units) holds gates f, i, then candidate. The shares are those of a
    logistic function of ln f - ln i, which do not divide by what underflows.
    """

    gates = 3

    def elements(self, x):
        """Return f / (f + i) and i / (f + i) times the candidate."""
        z = ops.matmul(x, self.kernel) + self.bias
        f, i, candidate = ops.split(z, 3, axis=-1)
        odds = ops.softplus(-i) - ops.softplus(-f)  # ln f - ln i
        return ops.sigmoid(odds), ops.sigmoid(-odds) * candidate


class DiagonalCell(_LinearCell):
    """A linear recurrence with a trained decay in (0, 1) for each unit.

    Decays start evenly spread on the logistic scale, from 0.5 to 0.98: half-lives of
    1 to 34 tokens.
    """

    initial_weights = ("decay",)

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

    def elements(self, x):
        """Return the decays and e W + b."""
        return ops.sigmoid(self.decay), ops.matmul(x, self.kernel) + self.bias


def _values(array):
    """Return an initializer that gives an array."""
    return lambda shape, dtype=None: ops.convert_to_tensor(array, dtype=dtype)


class LRUCell(_LinearCell):
    """The linear recurrent unit of Orvieto et al. (2023): complex, diagonal, linear.

        Lambda = exp(-exp(nu_log) + i exp(theta_log)),  gamma = exp(gamma_log)
        h = Lambda h' + gamma (B e),   y = Re(C h) + D e

    A complex state is two real ones, h = [Re h, Im h], and so are its matrices: kernel
    (in, 2 state) = [Re B, Im B], readout (2 state, units) = [Re C; -Im C], skip
    (in, units) = D, all transposed to (what goes in, what comes out). Lambda starts
    uniformly on the ring from `r_min` to `r_max`, of every phase, and gamma with
    ``sqrt(1 - |Lambda|^2)``, which keeps the variance of h that of B e.

    Parameters
    ----------
    units : int
        Of the output y.
    state_units : int, optional
        Complex numbers of the state; by default `units`.
    r_min, r_max : float
        Between 0 and 1.
    seed : int
        Of Lambda's first values.
    kernel_initializer : str or keras.initializers.Initializer
    """

    initial_weights = ("nu_log", "theta_log", "gamma_log")

    def __init__(
        self, units, state_units=None, *, r_min=0.0, r_max=1.0, seed=0, **options
    ):
        super().__init__(units, **options)
        self.state_units = units if state_units is None else state_units
        self.state_size = 2 * self.state_units
        self.r_min = r_min
        self.r_max = r_max
        self.seed = seed

    def build(self, input_shape):
        """Make the logarithms (state,), kernel, readout and skip."""
        for name, values in self._ring().items():
            weight = self.add_weight(
                shape=values.shape, initializer=_values(values), name=name
            )
            setattr(self, name, weight)
        shapes = {
            "kernel": (input_shape[-1], self.state_size),
            "readout": (self.state_size, self.units),
            "skip": (input_shape[-1], self.units),
        }
        for name, shape in shapes.items():
            weight = self.add_weight(
                shape=shape, initializer=self.kernel_initializer, name=name
            )
            setattr(self, name, weight)

    def _ring(self):
        """Draw |Lambda|^2 uniformly from r_min^2 to r_max^2: even on the ring's area.

        The draw is from (0, 1], so that 1 minus it is below 1 and gamma is not 0.
        """
        area, phase = 1 - np.random.default_rng(self.seed).random((2, self.state_units))
        square = self.r_max**2 - area * (self.r_max**2 - self.r_min**2)
        square = np.clip(square, 1e-12, 1 - 1e-6)  # ln and sqrt are finite, in float32
        return {
            "nu_log": np.log(-np.log(square) / 2),
            "theta_log": np.log(2 * np.pi * phase),
            "gamma_log": np.log(1 - square) / 2,
        }

    def get_config(self):
        """Return what makes the cell again, without weights."""
        own = {
            "state_units": self.state_units,
            "r_min": self.r_min,
            "r_max": self.r_max,
            "seed": self.seed,
        }
        return super().get_config() | own

    def elements(self, x):
        """Return Lambda and gamma (B e), each [real parts, imaginary parts]."""
        size, angle = ops.exp(-ops.exp(self.nu_log)), ops.exp(self.theta_log)
        parts = [size * backends.cos(angle), size * backends.sin(angle)]
        turn = ops.concatenate(parts, axis=-1)
        gamma = ops.exp(self.gamma_log)
        scale = ops.concatenate([gamma, gamma], axis=-1)
        return turn, ops.matmul(x, self.kernel) * scale

    def times(self, a, h):
        """Return the product of complex numbers [real parts, imaginary parts]."""
        (a_re, a_im), (h_re, h_im) = (ops.split(one, 2, axis=-1) for one in (a, h))
        parts = [a_re * h_re - a_im * h_im, a_re * h_im + a_im * h_re]
        return ops.concatenate(parts, axis=-1)

    def read(self, x, h):
        """Return Re(C h) + D e."""
        return ops.matmul(h, self.readout) + ops.matmul(x, self.skip)


class S6Cell(_LinearCell):
    """The selective state space of Mamba (Gu and Dao 2023), its S6, without the block.

        u = e W,   delta = softplus((u W_1) W_2 + b),   B = u W_B,   C = u W_C
        h_dn = exp(delta_d A_dn) h'_dn + (exp(delta_d A_dn) - 1) / A_dn B_n u_d
        y_d = sum_n C_n h_dn + D_d u_d,                 A = -exp(log_decay)

    The zero-order hold of the paper's Eq. 4, channel by channel d, each with
    `state_units` numbers n: h stands flat, (.., units state_units), n fastest. Neither
    Mamba's convolution nor its second branch is here. A starts at -1, -2, .., the steps
    delta evenly spread in logarithm over 0.001 to 0.1, and D at 1, as Mamba's do.

    Parameters
    ----------
    units : int
        Channels d of u and of the output y.
    state_units : int
        Numbers n of each channel's state.
    rank : int
        Columns of W_1: how many directions of u make the steps.
    kernel_initializer : str or keras.initializers.Initializer
    """

    initial_weights = ("log_decay", "delta_bias", "skip")

    def __init__(self, units, state_units=4, *, rank=4, **options):
        super().__init__(units, **options)
        self.state_units = state_units
        self.rank = rank
        self.state_size = units * state_units

    def build(self, input_shape):
        """Make kernel W, the kernels of delta, B and C, log_decay, delta_bias, skip."""
        units, n = self.units, self.state_units
        shapes = {
            "kernel": (input_shape[-1], units),
            "delta_in": (units, self.rank),
            "delta_out": (self.rank, units),
            "b_kernel": (units, n),
            "c_kernel": (units, n),
        }
        for name, shape in shapes.items():
            weight = self.add_weight(
                shape=shape, initializer=self.kernel_initializer, name=name
            )
            setattr(self, name, weight)
        steps = np.geomspace(1e-3, 1e-1, units)
        own = {
            "log_decay": np.log(np.tile(np.arange(1.0, n + 1), (units, 1))),
            "delta_bias": np.log(np.expm1(steps)),  # softplus makes steps of it
            "skip": np.ones(units),
        }
        for name, values in own.items():
            weight = self.add_weight(
                shape=values.shape, initializer=_values(values), name=name
            )
            setattr(self, name, weight)

    def get_config(self):
        """Return what makes the cell again, without weights."""
        own = {"state_units": self.state_units, "rank": self.rank}
        return super().get_config() | own

    def elements(self, x):
        """Return exp(delta A) and what the hold makes of B u, both flat."""
        u = ops.matmul(x, self.kernel)
        delta = ops.matmul(ops.matmul(u, self.delta_in), self.delta_out)
        delta = ops.softplus(delta + self.delta_bias)
        b = ops.matmul(u, self.b_kernel)
        decay = -ops.exp(self.log_decay)
        exponent = delta[..., None] * decay
        drive = ops.expm1(exponent) / decay * b[..., None, :] * u[..., None]
        flat = (*ops.shape(x)[:-1], self.state_size)
        return ops.reshape(ops.exp(exponent), flat), ops.reshape(drive, flat)

    def read(self, x, h):
        """Return C h + D u, by channel."""
        u = ops.matmul(x, self.kernel)
        c = ops.matmul(u, self.c_kernel)
        by_channel = (*ops.shape(x)[:-1], self.units, self.state_units)
        h = ops.reshape(h, by_channel)
        return ops.sum(h * c[..., None, :], axis=-1) + self.skip * u


class SLSTMCell(keras.layers.Layer):
    """The sLSTM of Beck et al. (2024): exponential input gate, normaliser, stabiliser.

        z = tanh(z~),  i = exp(i~),  f = sigmoid(f~),  o = sigmoid(o~),  each of
        e W + h' U + b;
        m  = max(ln f + m', i~)
        c  = exp(ln f + m' - m) c' + exp(i~ - m) z
        n  = exp(ln f + m' - m) n' + exp(i~ - m)
        h  = o c / n

    The states are h, c, n, m; the kernels hold i, f, z, o, where an LSTM's have their
    gates i, f, c, o. Of the paper's two forget gates this is the sigmoid, of its heads
    one. c and n are those of the unstabilised equations times exp(-m): m itself changes
    nothing, and where nothing is stored yet (n' = 0) it begins with i~.

    Parameters
    ----------
    units : int
    kernel_initializer : str or keras.initializers.Initializer
        Of both kernels.
    """

    initial_weights = ()

    def __init__(self, units, *, kernel_initializer="glorot_uniform", **options):
        super().__init__(**options)
        self.units = self.output_size = units
        self.state_size = [units] * 4
        self.kernel_initializer = keras.initializers.get(kernel_initializer)

    def build(self, input_shape):
        """Make kernel (in, 4 units), recurrent_kernel (units, 4 units) and bias."""
        width = 4 * self.units
        for name, n_rows in (
            ("kernel", input_shape[-1]),
            ("recurrent_kernel", self.units),
        ):
            weight = self.add_weight(
                shape=(n_rows, width), initializer=self.kernel_initializer, name=name
            )
            setattr(self, name, weight)
        self.bias = self.add_weight(shape=(width,), initializer="zeros", name="bias")

    def get_config(self):
        """Return what makes the cell again, without weights."""
        kernel_initializer = keras.initializers.serialize(self.kernel_initializer)
        own = {"units": self.units, "kernel_initializer": kernel_initializer}
        return super().get_config() | own

    def call(self, x, states):
        """Return h and [h, c, n, m], all (batch, units), from x (batch, in)."""
        h, c, n, m = states
        z = ops.matmul(x, self.kernel) + ops.matmul(h, self.recurrent_kernel)
        i, f, z, o = ops.split(z + self.bias, 4, axis=-1)
        kept = m - ops.softplus(-f)  # ln f + m'
        m = ops.where(n > 0, ops.maximum(kept, i), i)
        # Where n' = 0 so is c': what stands before them must only be finite.
        f, i = ops.exp(ops.minimum(kept - m, 0)), ops.exp(i - m)
        c = f * c + i * backends.tanh(z)
        n = f * n + i
        h = ops.sigmoid(o) * c / n
        return h, [h, c, n, m]


# Not as decorators, which the book's API page, built without Keras, cannot look behind.
for _cell in (
    MinGRUCell,
    MinLSTMCell,
    DiagonalCell,
    LRUCell,
    S6Cell,
    SLSTMCell,
):
    keras.saving.register_keras_serializable("state_gradients")(_cell)
