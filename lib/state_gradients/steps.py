"""The steps of recurrent cells in closed form, and their differentials.

A cell takes an input x (in,) and its states before to its states after. Tangents are
rows: with B = ds/dx and J = ds_t/ds_{t-1}, both transposed to (what moves, what
follows) as Keras lays out its kernels, tangents X before the step become

    X J  of the older inputs,  and  B  of the input that the step has read.

J consists of dense blocks and diagonals between states (an LSTM's has two dense blocks,
from h, and two diagonals, from c) and is never formed as a whole.
States stand in Keras's order: ``(hidden, cell)`` for an LSTM, ``(hidden,)`` otherwise.
Each form is written once, for NumPy and for ``keras.ops`` (the argument `xp`) and for
any leading axes: ``step(xp, weights, x, states) -> (states after, differential)``, the
latter a function without arguments, so that a forward pass need not pay for it.
"""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from keras import ops
from scipy.special import expit

from state_gradients import backends

NUMPY = SimpleNamespace(
    matmul=np.matmul,
    split=np.split,
    stack=np.stack,
    reshape=np.reshape,
    einsum=np.einsum,
    tanh=np.tanh,
    sigmoid=expit,
)
BACKEND = SimpleNamespace(
    matmul=ops.matmul,
    split=ops.split,
    stack=ops.stack,
    reshape=ops.reshape,
    einsum=ops.einsum,
    tanh=backends.tanh,
    sigmoid=ops.sigmoid,
)


class Differential(NamedTuple):
    """B, and J in blocks; leading axes are the tokens'.

    States are advanced from the last to the first: a state's diagonal scales itself, or
    a later state that is already advanced. An LSTM's dh thus adds a dc, and neither its
    dense block nor its `inputs` hold what comes by way of c.
    """

    inputs: tuple  # to each state i: (in, units_i)
    dense: dict  # {(j, i): (units_j, units_i)}, from the old state j to state i
    diagonal: tuple  # to each state i: (j, vector (units_i,)), or None


def lstm(xp, weights, x, states):
    """Gates i, f, g, o; c = f c' + i g; h = o tanh(c).

    dc = f dc' + dh' (U_i [g i(1-i)] + U_f [c' f(1-f)] + U_g [i (1-g^2)])
    dh = o (1 - tanh^2 c) dc + dh' U_o [tanh(c) o(1-o)],  brackets scaling columns.
    """
    kernel, recurrent, bias = weights
    h, c = states
    z = xp.matmul(x, kernel) + xp.matmul(h, recurrent) + bias
    i, f, g, o = xp.split(z, 4, axis=-1)
    i, f, o, g = xp.sigmoid(i), xp.sigmoid(f), xp.sigmoid(o), xp.tanh(g)
    after = f * c + i * g
    squashed = xp.tanh(after)

    def differential():
        gates = xp.stack([g * i * (1 - i), c * f * (1 - f), i * (1 - g * g)], axis=-2)
        output = (squashed * o * (1 - o))[..., None, :]
        slope = o * (1 - squashed * squashed)

        def followed(matrix):  # (n, gate, units) -> to h, to c: (n, units)
            on_gates, on_output = matrix[:, :3], matrix[:, 3]
            return on_output * output, xp.einsum("ngu,...gu->...nu", on_gates, gates)

        by_gate = (-1, 4, f.shape[-1])
        to_h, to_c = followed(xp.reshape(recurrent, by_gate))
        dense = {(0, 0): to_h, (0, 1): to_c}
        inputs = followed(xp.reshape(kernel, by_gate))
        return Differential(inputs, dense, ((1, slope), (1, f)))

    return (o * squashed, after), differential


def _gru(xp, weights, x, states, *, reset_after):
    """Gates z, r; candidate k; h = z h' + (1 - z) k.

    With the reset gate before the product, k = tanh(e W_k + (r h') U_k + b),
        dk = [de W_k + (r dh' + h' r(1-r) dr) U_k] (1 - k^2),
    and after it (``reset_after``), k = tanh(e W_k + r (h' U_k + b') + b),
        dk = [de W_k + r dh' U_k + (h' U_k + b') r(1-r) dr] (1 - k^2),
    dr = de W_r + dh' U_r before the gate's slope r(1-r).
    """
    kernel, recurrent, bias = weights
    (h,) = states
    outer = xp.split(xp.matmul(x, kernel) + bias[0], 3, axis=-1)
    uz, ur, uk = xp.split(recurrent, 3, axis=-1)
    bz, br, bk = xp.split(bias[1], 3, axis=-1)
    z = xp.sigmoid(outer[0] + xp.matmul(h, uz) + bz)
    r = xp.sigmoid(outer[1] + xp.matmul(h, ur) + br)
    recalled = xp.matmul(h if reset_after else r * h, uk) + bk
    k = xp.tanh(outer[2] + (r * recalled if reset_after else recalled))

    def differential():
        update = ((h - k) * z * (1 - z))[..., None, :]
        candidate = ((1 - z) * (1 - k * k))[..., None, :]

        def followed(on_z, on_r, direct):
            if reset_after:
                through_r = on_r * (recalled * r * (1 - r))[..., None, :]
            else:
                through_r = xp.matmul(on_r * (h * r * (1 - r))[..., None, :], uk)
            return update * on_z + candidate * (direct + through_r)

        wz, wr, wk = xp.split(kernel, 3, axis=-1)
        recur = uk * r[..., None, :] if reset_after else r[..., :, None] * uk
        dense = followed(uz, ur, recur)
        return Differential((followed(wz, wr, wk),), {(0, 0): dense}, ((0, z),))

    return (z * h + (1 - z) * k,), differential


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

    def differential():
        slope = (1 - h * h)[..., None, :]
        return Differential((kernel * slope,), {(0, 0): recurrent * slope}, (None,))

    return (h,), differential


def min_gru(xp, weights, x, states):
    """State h = (1 - z) h' + z (e W_h + b_h), z = sigmoid(e W_z + b_z): J is 1 - z."""
    kernel, bias = weights
    (h,) = states
    z, candidate = xp.split(xp.matmul(x, kernel) + bias, 2, axis=-1)
    z = xp.sigmoid(z)

    def differential():
        on_z, on_h = xp.split(kernel, 2, axis=-1)
        update = ((candidate - h) * z * (1 - z))[..., None, :]
        inputs = on_z * update + on_h * z[..., None, :]
        return Differential((inputs,), {}, ((0, 1 - z),))

    return ((1 - z) * h + z * candidate,), differential


def diagonal(xp, weights, x, states):
    """State h = a h' + e W + b, a = sigmoid(decay): J is a, and B is W."""
    kernel, bias, decay = weights
    (h,) = states
    a, driven = xp.sigmoid(decay), xp.matmul(x, kernel) + bias

    def differential():  # the same for every token: 0 driven gives the leading axes
        ahead = 0 * driven
        inputs = kernel + ahead[..., None, :]
        return Differential((inputs,), {}, ((0, a + ahead),))

    return (a * h + driven,), differential
