"""The steps of recurrent cells in closed form, and their differentials.

A cell takes an input x (in,) and its states before to its states after. Tangents are
rows: with B = ds/dx and J = ds_t/ds_{t-1}, both transposed to (what moves, what
follows) as Keras lays out its kernels, tangents X before the step become

    X J  of the older inputs,  and  B  of the input that the step has read.

J consists of dense blocks and diagonals between states (an LSTM's has two dense blocks,
from h, and two diagonals, from c) and is never formed as a whole.
States stand in Keras's order: ``(hidden, cell)`` for an LSTM, ``(hidden,)`` otherwise.
Each form is written once, for NumPy and for ``keras.ops`` (the argument `xp`) and for
any leading axes: ``step(xp, weights, x, states) -> (states after, slopes,
differential)``, where ``differential(*slopes)`` makes the matrices from vectors that
are known by then: for all tokens of `x`, or for one of them from its own slopes.
"""

from functools import cached_property
from types import SimpleNamespace

import numpy as np
from keras import ops
from scipy.special import expit

from state_gradients.foundation import backends

SHARED = ("matmul", "split", "stack", "einsum")
NUMPY = SimpleNamespace(
    **{n: getattr(np, n) for n in SHARED}, tanh=np.tanh, sigmoid=expit
)
BACKEND = SimpleNamespace(
    **{n: getattr(ops, n) for n in SHARED}, tanh=backends.tanh, sigmoid=ops.sigmoid
)


class Differential:
    """B, and J in blocks; leading axes are the tokens'.

    States are advanced from the last to the first: a state's diagonal scales itself, or
    a later state that is already advanced. An LSTM's dh thus adds a dc, and neither its
    dense block nor its `inputs` hold what comes by way of c.
    """

    def __init__(self, inputs, dense, diagonal):
        self._inputs = inputs
        self.dense = dense  # {(j, i): (units_j, units_i)}, from the old j to state i
        self.diagonal = diagonal  # to each state i: (j, vector (units_i,)), or None

    @cached_property
    def inputs(self):
        """To each state i: (in, units_i). Made when asked for: not all inputs count."""
        return self._inputs()


def lstm_weights(kernel, recurrent, bias):
    """Return them, then both kernels' gates i, f, g (n, 3, units) and o (n, units)."""
    by_gate = [matrix.reshape(len(matrix), 4, -1) for matrix in (kernel, recurrent)]
    parts = [part for matrix in by_gate for part in (matrix[:, :3], matrix[:, 3])]
    return kernel, recurrent, bias, *parts


def lstm(xp, weights, x, states):
    """Gates i, f, g, o; c = f c' + i g; h = o tanh(c).

    dc = f dc' + dh' (U_i [g i(1-i)] + U_f [c' f(1-f)] + U_g [i (1-g^2)])
    dh = o (1 - tanh^2 c) dc + dh' U_o [tanh(c) o(1-o)],  brackets scaling columns.
    """
    kernel, recurrent, bias, *by_gate = weights
    h, c = states
    z = xp.matmul(x, kernel) + xp.matmul(h, recurrent) + bias
    i, f, g, o = xp.split(z, 4, axis=-1)
    i, f, o, g = xp.sigmoid(i), xp.sigmoid(f), xp.sigmoid(o), xp.tanh(g)
    after = f * c + i * g
    squashed = xp.tanh(after)
    gates = xp.stack([g * i * (1 - i), c * f * (1 - f), i * (1 - g * g)], axis=-2)
    output = (squashed * o * (1 - o))[..., None, :]
    slopes = gates, output, o * (1 - squashed * squashed), f

    def differential(gates, output, slope, f):
        def followed(on_gates, on_output):  # (n, gate, units), (n, units)
            on_cell = xp.einsum("ngu,...gu->...nu", on_gates, gates)
            return on_output * output, on_cell

        to_h, to_c = followed(*by_gate[2:])
        return Differential(
            lambda: followed(*by_gate[:2]),
            {(0, 0): to_h, (0, 1): to_c},
            ((1, slope), (1, f)),
        )

    return (o * squashed, after), slopes, differential


def gru_weights(kernel, recurrent, bias):
    """Return both kernels' gates, and the biases before and after the reset gate."""
    outer, inner = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    gates = [*np.split(kernel, 3, axis=1), *np.split(recurrent, 3, axis=1)]
    return *gates, outer.reshape(3, -1), inner.reshape(3, -1)


def _gru(xp, weights, x, states, *, reset_after):
    """Gates z, r; candidate k; h = z h' + (1 - z) k.

    With the reset gate before the product, k = tanh(e W_k + (r h') U_k + b),
        dk = [de W_k + (r dh' + h' r(1-r) dr) U_k] (1 - k^2),
    and after it (``reset_after``), k = tanh(e W_k + r (h' U_k + b') + b),
        dk = [de W_k + r dh' U_k + (h' U_k + b') r(1-r) dr] (1 - k^2),
    dr = de W_r + dh' U_r before the gate's slope r(1-r).
    """
    wz, wr, wk, uz, ur, uk, outer, inner = weights
    (h,) = states
    z, r, k = (xp.matmul(x, w) + outer[n] for n, w in enumerate((wz, wr, wk)))
    z = xp.sigmoid(z + xp.matmul(h, uz) + inner[0])
    r = xp.sigmoid(r + xp.matmul(h, ur) + inner[1])
    recalled = xp.matmul(h if reset_after else r * h, uk) + inner[2]
    k = xp.tanh(k + (r * recalled if reset_after else recalled))
    update = ((h - k) * z * (1 - z))[..., None, :]
    candidate = ((1 - z) * (1 - k * k))[..., None, :]
    reset = ((recalled if reset_after else h) * r * (1 - r))[..., None, :]

    def differential(update, candidate, reset, r, z):
        def followed(on_z, on_r, direct):
            through_r = on_r * reset
            if not reset_after:
                through_r = xp.matmul(through_r, uk)
            return update * on_z + candidate * (direct + through_r)

        recur = uk * r[..., None, :] if reset_after else r[..., :, None] * uk
        return Differential(
            lambda: (followed(wz, wr, wk),),
            {(0, 0): followed(uz, ur, recur)},
            ((0, z),),
        )

    return (z * h + (1 - z) * k,), (update, candidate, reset, r, z), differential


def gru_reset_after(xp, weights, x, states):
    """As :func:`_gru`, Keras's default form."""
    return _gru(xp, weights, x, states, reset_after=True)


def gru_reset_before(xp, weights, x, states):
    """As :func:`_gru`, the form of TensorFlow 1 and of the paper."""
    return _gru(xp, weights, x, states, reset_after=False)


def simple_rnn(xp, weights, x, states):
    """State h = tanh(e W + h' U + b); dh = (de W + dh' U) (1 - h^2)."""
    kernel, recurrent, bias = weights
    h = xp.tanh(xp.matmul(x, kernel) + xp.matmul(states[0], recurrent) + bias)

    def differential(slope):
        dense = {(0, 0): recurrent * slope}
        return Differential(lambda: (kernel * slope,), dense, (None,))

    return (h,), ((1 - h * h)[..., None, :],), differential


def min_gru(xp, weights, x, states):
    """State h = (1 - z) h' + z (e W_h + b_h), z = sigmoid(e W_z + b_z): J is 1 - z."""
    kernel, bias = weights
    (h,) = states
    z, candidate = xp.split(xp.matmul(x, kernel) + bias, 2, axis=-1)
    z = xp.sigmoid(z)
    update = ((candidate - h) * z * (1 - z))[..., None, :]

    def differential(update, z):
        def inputs():
            on_z, on_h = xp.split(kernel, 2, axis=-1)
            return (on_z * update + on_h * z[..., None, :],)

        return Differential(inputs, {}, ((0, 1 - z),))

    return ((1 - z) * h + z * candidate,), (update, z), differential


def diagonal(xp, weights, x, states):
    """State h = a h' + e W + b, a = sigmoid(decay): J is a, and B is W."""
    kernel, bias, decay = weights
    (h,) = states
    a, driven = xp.sigmoid(decay), xp.matmul(x, kernel) + bias
    slope = a + 0 * driven  # the same for every token: 0 driven gives the leading axes

    def differential(slope):
        return Differential(
            lambda: (kernel + 0 * slope[..., None, :],), {}, ((0, slope),)
        )

    return (a * h + driven,), (slope,), differential
