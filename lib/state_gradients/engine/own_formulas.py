"""The steps of the cells of ours in closed form, and their differentials.

As :mod:`state_gradients.engine.formulas`, of :mod:`state_gradients.models.cells`. All
but the sLSTM pass a tangent on by a diagonal alone (an LRU by 2 x 2 blocks).

An output that is no state, of an LRU or an S6, may follow the states as one more,
"output", which nothing follows: y = f(h, e), where h is the state after the token.
"""

from typing import NamedTuple

import keras
import numpy as np

from state_gradients.engine.formulas import Differential, Term, tanh_slope


def min_gru(xp, weights, x, states):
    """State h = (1 - z) h' + z (e W_h + b_h), z = sigmoid(e W_z + b_z): J is 1 - z."""
    kernel, bias = weights
    (h,) = states
    to_z, candidate = xp.split(xp.matmul(x, kernel) + bias, 2, axis=-1)
    z, kept = xp.sigmoid(to_z), xp.sigmoid(-to_z)

    def slopes():
        return ((candidate - h) * z * kept)[..., None, :], z, kept

    def differential(update, z, kept):
        def inputs():
            on_z, on_h = xp.split(kernel, 2, axis=-1)
            return (on_z * update + on_h * z[..., None, :],)

        return Differential(inputs, {}, ((Term(0, kept),),))

    return (kept * h + z * candidate,), slopes, differential


def min_lstm(xp, weights, x, states):
    """State h = s h' + (1 - s) (e W_h + b_h), s = f / (f + i): J is s.

    With s = sigmoid(ln f - ln i), and d ln f = (1 - f) de W_f,

    dh = s dh' + (h' - candidate) s (1-s) (d ln f - d ln i) + (1 - s) de W_h.
    """
    kernel, bias = weights
    (h,) = states
    f, i, candidate = xp.split(xp.matmul(x, kernel) + bias, 3, axis=-1)
    odds = xp.softplus(-i) - xp.softplus(-f)
    s, new = xp.sigmoid(odds), xp.sigmoid(-odds)

    def slopes():
        share = (h - candidate) * s * new
        on_f, on_i = share * xp.sigmoid(-f), share * xp.sigmoid(-i)
        return on_f[..., None, :], on_i[..., None, :], s, new

    def differential(on_f, on_i, s, new):
        def inputs():
            of_f, of_i, of_h = xp.split(kernel, 3, axis=-1)
            return (of_f * on_f - of_i * on_i + of_h * new[..., None, :],)

        return Differential(inputs, {}, ((Term(0, s),),))

    return (s * h + new * candidate,), slopes, differential


def diagonal(xp, weights, x, states):
    """State h = a h' + e W + b, a = sigmoid(decay): J is a, and B is W."""
    kernel, bias, decay = weights
    (h,) = states
    a = xp.sigmoid(decay)
    driven = xp.matmul(x, kernel) + bias

    def slopes():  # the same for every token: 0 driven gives the leading axes
        return (a + 0 * driven,)

    def differential(slope):
        return Differential(
            lambda: (kernel + 0 * slope[..., None, :],), {}, ((Term(0, slope),),)
        )

    return (a * h + driven,), slopes, differential


def gates_apart(weights, *, n_gates):
    """Return what B is made of, where a unit reads the input by its own gates only.

    Parameters
    ----------
    weights : tuple
        The kernel (in, gates units) first.

    Returns
    -------
    kernels : ndarray of shape (k, in, units)
        B = sum_k kernels_k diag(b_k).
    weights : tuple
        Those of the same cell whose input is the k: what it has for B are the b.
    """
    kernel, *others = weights
    kernels = np.stack(np.split(kernel, n_gates, axis=1))
    ones = np.repeat(np.eye(n_gates, dtype=kernel.dtype), kernels.shape[-1], axis=1)
    return kernels, (ones, *others)


class LRUWeights(NamedTuple):
    """An LRU's weights, its logarithms applied; complex numbers as [real, imaginary].

    h = [Re h, Im h] turns by ``straight`` h + ``across`` [Im h, Re h].
    """

    kernel: np.ndarray  # (in, 2 state), times gamma
    straight: np.ndarray  # (2 state,): [Re Lambda, Re Lambda]
    across: np.ndarray  # (2 state,): [-Im Lambda, Im Lambda]
    readout: np.ndarray  # (2 state, units)
    turned_readout: np.ndarray  # (2 state, units): J readout
    skip: np.ndarray  # (in, units)


def lru_weights(kernel, nu_log, theta_log, gamma_log, readout, skip):
    """Return the weights of an LRU, arrays in float64, as the formula takes them."""
    turn = np.exp(-np.exp(nu_log) + 1j * np.exp(theta_log))
    straight = np.tile(turn.real, 2)
    across = np.concatenate([-turn.imag, turn.imag])
    real, imaginary = np.split(readout, 2)
    # Re h moves Re h by Re Lambda and Im h by Im Lambda; Im h moves Re h by -Im Lambda
    crossed = np.concatenate([imaginary, -real]) * np.tile(turn.imag, 2)[:, None]
    return LRUWeights(
        kernel * np.tile(np.exp(gamma_log), 2),
        straight,
        across,
        readout,
        readout * straight[:, None] + crossed,
        skip,
    )


def lru(xp, weights, x, states):
    """State h = Lambda h' + gamma (e B): J turns and shortens each complex number."""
    h = states[0]
    driven = xp.matmul(x, weights.kernel)
    real, imaginary = xp.split(h, 2, axis=-1)
    swapped = xp.concatenate([imaginary, real], axis=-1)
    after = weights.straight * h + weights.across * swapped + driven

    def slopes():
        return weights.straight + 0 * driven, weights.across + 0 * driven

    def differential(straight, across):
        terms = Term(0, straight), Term(0, across, turned=True)
        return Differential(
            lambda: (weights.kernel + 0 * straight[..., None, :],), {}, (terms,)
        )

    return (after,), slopes, differential


def lru_apart(weights):
    """As :func:`gates_apart`: both numbers of a pair hold what either has read."""
    kernels, (ones,) = gates_apart(weights[:1], n_gates=2)
    return np.tile(kernels, 2), weights._replace(kernel=ones)


def lru_with_output(xp, weights, x, states):
    """As :func:`lru`, and y = h R + e D, with R the readout: dy = dh R + de D."""
    (h,), slopes, of_state = lru(xp, weights, x, states)
    y = xp.matmul(h, weights.readout) + xp.matmul(x, weights.skip)

    def differential(straight, across):
        inner = of_state(straight, across)
        leading = 0 * straight[..., :1, None]  # the tokens', if there are some

        def inputs():
            (to_h,) = inner.inputs
            return to_h, xp.matmul(to_h, weights.readout) + weights.skip

        dense = {(0, 1): weights.turned_readout + leading}
        return Differential(inputs, dense, (*inner.diagonal, ()))

    return (h, y), slopes, differential


class S6Weights(NamedTuple):
    """An S6's weights; flat states (units n,) have n fastest."""

    kernel: np.ndarray  # (in, units): u
    to_step: np.ndarray  # (in, units): the argument of delta
    step_bias: np.ndarray  # (units,)
    to_b: np.ndarray  # (in, n)
    to_c: np.ndarray  # (in, n)
    decay: np.ndarray  # (units n,): A
    skip: np.ndarray  # (units,)


def s6_weights(
    kernel, delta_in, delta_out, delta_bias, b_kernel, c_kernel, log_decay, skip
):
    """Return the weights of an S6, arrays in float64, as the formula takes them."""
    return S6Weights(
        kernel,
        kernel @ delta_in @ delta_out,
        delta_bias,
        kernel @ b_kernel,
        kernel @ c_kernel,
        -np.exp(log_decay).ravel(),
        skip,
    )


def s6(xp, weights, x, states):
    """State h = exp(delta A) h' + g B u, g = (exp(delta A) - 1) / A: J is exp(delta A).

    All of the input: with dg = exp(delta A) d delta,

    dh = exp(delta A) [dh' + (A h' + B u) d delta] + g (u dB + B du).
    """
    h = states[0]
    n_units = weights.step_bias.shape[0]
    n = weights.decay.shape[0] // n_units

    def by_unit(values):  # (.., units) to (.., units n)
        return xp.repeat(values, n, axis=-1)

    def by_number(values):  # (.., n) to (.., units n)
        return xp.concatenate([values] * n_units, axis=-1)

    argument = xp.matmul(x, weights.to_step) + weights.step_bias
    exponent = by_unit(xp.softplus(argument)) * weights.decay
    a, g = xp.exp(exponent), xp.expm1(exponent) / weights.decay
    u, b = by_unit(xp.matmul(x, weights.kernel)), by_number(xp.matmul(x, weights.to_b))

    def slopes():
        on_step = by_unit(xp.sigmoid(argument)) * a * (weights.decay * h + b * u)
        on_u, on_b = g * b, g * u
        return on_step[..., None, :], on_u[..., None, :], on_b[..., None, :], a

    def differential(on_step, on_u, on_b, a):
        def inputs():
            to_h = by_unit(weights.to_step) * on_step + by_unit(weights.kernel) * on_u
            return (to_h + by_number(weights.to_b) * on_b,)

        return Differential(inputs, {}, ((Term(0, a),),))

    return (a * h + g * b * u,), slopes, differential


def s6_apart(weights):
    """As :func:`gates_apart`, by the step, by u and by B."""
    n_units, n = len(weights.step_bias), weights.to_b.shape[1]
    kernels = np.stack(
        [
            np.repeat(weights.to_step, n, axis=1),
            np.repeat(weights.kernel, n, axis=1),
            np.tile(weights.to_b, n_units),
        ]
    )
    by_step, by_u, by_b = np.eye(3, dtype=weights.kernel.dtype)[..., None]
    return kernels, weights._replace(
        to_step=np.tile(by_step, n_units),
        kernel=np.tile(by_u, n_units),
        to_b=np.tile(by_b, n),
    )


def s6_with_output(xp, weights, x, states):
    """As :func:`s6`, and y_d = sum_n C_n h_dn + D_d u_d, C = e W_C.

    dy_d = sum_n (C_n dh_dn + h_dn dC_n) + D_d du_d.
    """
    (h,), slopes_of_state, of_state = s6(xp, weights, x, states)
    n_units = weights.step_bias.shape[0]
    n = weights.decay.shape[0] // n_units
    c = xp.matmul(x, weights.to_c)
    c = xp.concatenate([c] * n_units, axis=-1)
    dtype = keras.backend.standardize_dtype(weights.skip.dtype)
    unit_of = np.repeat(np.eye(n_units, dtype=dtype), n, axis=0)
    y = xp.matmul(c * h, unit_of)
    y = y + weights.skip * xp.matmul(x, weights.kernel)

    def differential(c, h, *slopes):
        inner = of_state(*slopes)
        a = slopes[-1]

        def inputs():
            (to_h,) = inner.inputs
            to_c = xp.concatenate([weights.to_c] * n_units, axis=-1)
            to_y = xp.matmul(to_h * c[..., None, :] + to_c * h[..., None, :], unit_of)
            return to_h, to_y + weights.kernel * weights.skip

        dense = {(0, 1): (c * a)[..., None] * unit_of}
        return Differential(inputs, dense, (*inner.diagonal, ()))

    return (h, y), lambda: (c, h, *slopes_of_state()), differential


def slstm(xp, weights, x, states):
    """States that the stabiliser leaves alone: h, l = m + ln n, q = c / n.

    The paper's c and n are known but for a common factor exp(-m), which m may choose;
    q, a weighted mean of all z so far, and l, the logarithm of the sum of the weights,
    are what they say. With w the share of the new token, and v = 1 - w that of the old,

        w = i / (f n' + i) = sigmoid(i~ - ln f - l')
        q = v q' + w z,   l = ln(f exp(l') + exp(i~)),   h = o q

    in which no maximum is left. Before the first token l is minus infinity, and w is 1.

    dl = v (dl' + d ln f) + w di~,               d ln f = (1 - f) df~
    dq = v dq' + k (di~ - d ln f - dl') + w dz,  k = (z - q') w v
    dh = o dq + q do
    """
    kernel, recurrent_kernel, bias = weights
    h, l_before, q_before = states
    z = xp.matmul(x, kernel) + xp.matmul(h, recurrent_kernel) + bias
    i, f, z, o = xp.split(z, 4, axis=-1)
    odds = l_before - xp.softplus(-f) - i  # of the old against the new
    v, w = xp.sigmoid(odds), xp.sigmoid(-odds)
    of_z, of_o = tanh_slope(xp, z), xp.sigmoid(o) * xp.sigmoid(-o)
    z, o = xp.tanh(z), xp.sigmoid(o)
    q = v * q_before + w * z

    def slopes():
        k = (z - q_before) * w * v
        leaky = xp.sigmoid(-f)
        on_l = xp.stack([w, v * leaky], axis=-2)
        on_q = xp.stack([k, -k * leaky, w * of_z], axis=-2)
        on_o = (q * of_o)[..., None, :]
        return on_l, on_q, on_o, v, k, o

    def differential(on_l, on_q, on_o, v, k, o):
        def on_states(matrix):
            gates = xp.reshape(matrix, (matrix.shape[0], 4, -1))
            to_l = xp.einsum("ngu,...gu->...nu", gates[:, :2], on_l)
            to_q = xp.einsum("ngu,...gu->...nu", gates[:, :3], on_q)
            return gates[:, 3] * on_o, to_l, to_q

        to_h, to_l, to_q = on_states(recurrent_kernel)
        return Differential(
            lambda: on_states(kernel),
            {(0, 0): to_h, (0, 1): to_l, (0, 2): to_q},
            ((Term(2, o),), (Term(1, v),), (Term(2, v), Term(1, -k))),
        )

    after = (o * q, i + xp.softplus(odds), q)
    return after, slopes, differential
