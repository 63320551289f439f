"""The steps of recurrent cells in closed form, and their differentials.

A cell takes an input x (in,) and its states before to its states after. Tangents are
rows: with B = ds/dx and J = ds_t/ds_{t-1}, both transposed to (what moves, what
follows) as Keras lays out its kernels, tangents X before the step become

    X J  of the older inputs,  and  B  of the input that the step has read.

J consists of dense matrices and diagonals between states (an LSTM's has two matrices,
from h, and two diagonals, from c) and is never formed as a whole.
States stand in Keras's order: ``(hidden, cell)`` for an LSTM, ``(hidden,)`` otherwise.
(The cells of :mod:`state_gradients.models.cells` have theirs in
:mod:`state_gradients.engine.own_formulas`.)
Each form is written once, for NumPy and for ``keras.ops`` (the argument `xp`) and for
any leading axes: ``step(xp, weights, x, states) -> (states after, slopes,
differential)``, where ``slopes()`` gives vectors, which who only runs the cell need not
have, and ``differential(*slopes())`` makes the matrices from them: for all tokens of
`x`, or for one of them from its own slopes.
"""

from functools import cached_property, partial
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
from keras import ops
from scipy.special import expit

from state_gradients.foundation import backends

SHARED = (
    *("matmul", "stack", "einsum", "concatenate", "reshape", "repeat", "tile"),
    *("exp", "expm1"),
)


def _merged(kernels, slopes):
    """Return sum_g kernels[:, g] slopes[.., g], (.., in, units): one pass in NumPy."""
    return np.einsum("ngu,...gu->...nu", kernels, slopes)


def _merged_on_backend(kernels, slopes):
    """As :func:`_merged`: XLA fuses the terms, but would multiply and transpose."""
    by_gate = [kernels[:, g] * slopes[..., g : g + 1, :] for g in range(3)]
    return by_gate[0] + by_gate[1] + by_gate[2]


def _split(x, n, axis):
    """Return n equal parts along the last axis: np.split takes two fifths of a step."""
    size = x.shape[axis] // n
    return [x[..., k * size : (k + 1) * size] for k in range(n)]


def _softplus(x):
    return np.logaddexp(0, x)


NUMPY = SimpleNamespace(
    **{n: getattr(np, n) for n in SHARED},
    tanh=np.tanh,
    sigmoid=expit,
    merged=_merged,
    softplus=_softplus,
    split=_split,
)
BACKEND = SimpleNamespace(
    **{n: getattr(ops, n) for n in SHARED},
    tanh=backends.tanh,
    sigmoid=ops.sigmoid,
    merged=_merged_on_backend,
    softplus=ops.softplus,
    split=ops.split,
)


def tanh_slope(xp, z):
    """Return 1 - tanh^2(z) as 4 sigmoid(2 z) sigmoid(-2 z).

    The difference itself is nothing but rounding where tanh is near 1. So is 1 -
    sigmoid(z), for which sigmoid(-z) stands everywhere here.
    """
    return 4 * xp.sigmoid(2 * z) * xp.sigmoid(-2 * z)


class Term(NamedTuple):
    """What state j passes on by itself: X_j times a vector, column by column.

    Where it is `turned`, the halves of X_j are exchanged first: the real and imaginary
    parts of complex states.
    """

    state: int
    scale: np.ndarray  # (units,)
    turned: bool = False

    def of(self, tangents):
        """Return the term, a new array or tensor, from the tangents of all states."""
        x = tangents[self.state]
        if self.turned:
            in_arrays = isinstance(x, np.ndarray)
            xp = np if in_arrays else ops
            x = xp.concatenate(xp.split(x, 2, axis=-1)[::-1], axis=-1)
        return x * self.scale


class Differential:
    """B, and J in parts; leading axes are the tokens'.

    Tangents are advanced by a token as

        X_i  <-  driven_i + sum of X_j diagonal_ij,  from the last state i to the first,

    where `driven` comes by the dense matrices, and at an input's own token from B. A
    later state j is advanced already, i itself and an earlier one are not. An LSTM's dh
    thus adds a dc, and neither its dense matrix nor its `inputs` hold what comes by way
    of c. Tangents of an input begin as zeros.
    """

    def __init__(self, inputs, dense, diagonal):
        self._inputs = inputs
        self.dense = dense  # {(j, i): (units_j, units_i)}, from the old j to state i
        self.diagonal = diagonal  # to each state i: the terms (Term, ..) it adds up

    @cached_property
    def inputs(self):
        """To each state i: (in, units_i). Made when asked for: not all inputs count."""
        return self._inputs()

    def _last_to_first(self):
        """Yield ``(i, terms)`` in the order in which states are advanced.

        Whoever replaces X_i at each turn finds in X_j what the equation asks for.
        """
        yield from reversed(list(enumerate(self.diagonal)))

    def advance(self, tangents, driven):
        """Return the tangents after the token, new arrays or tensors (.., units_i)."""
        tangents = list(tangents)
        for i, terms in self._last_to_first():
            tangents[i] = sum((term.of(tangents) for term in terms), start=driven[i])
        return tangents

    def advance_in_place(self, tangents, driven):
        """As :meth:`advance`, in NumPy arrays; what nothing drives is None."""
        for i, terms in self._last_to_first():
            if not terms:
                tangents[i][:] = 0 if driven[i] is None else driven[i]
                continue
            first, *others = terms
            others = [term.of(tangents) for term in others]  # before X_i is replaced
            np.multiply(tangents[first.state], first.scale, out=tangents[i])
            for term in others:
                tangents[i] += term
            if driven[i] is not None:
                tangents[i] += driven[i]

    def of_rows(self):
        """Return it with its diagonals (.., 1, units), to scale rows (.., row, units).

        For where the leading axes have matrices of their own.
        """
        return Differential(
            self._inputs,
            self.dense,
            [
                tuple(term._replace(scale=term.scale[..., None, :]) for term in terms)
                for terms in self.diagonal
            ],
        )

    def by_token(self, lanes):
        """Return a function from a token to its differential, of all lanes.

        The leading axis is the tokens', and within a token the lanes'. A token's
        matrices are (lane, .., ..), its diagonals (lane, 1, units), to scale rows.
        """
        inputs = self.inputs  # of all tokens, before a compiled loop asks for one
        token = partial(_at, lanes=lanes)

        def at(t):
            return Differential(
                lambda: [token(matrix, t) for matrix in inputs],
                {states: token(matrix, t) for states, matrix in self.dense.items()},
                [
                    tuple(term._replace(scale=token(term.scale, t)) for term in terms)
                    for terms in self.diagonal
                ],
            ).of_rows()

        return at


def _at(array, t, *, lanes):
    return ops.reshape(array, (-1, lanes, *array.shape[1:]))[t]


class LSTMWeights(NamedTuple):
    """Keras's weights, gates i, f, c, o; and its kernels cut after the cell's gates."""

    kernel: np.ndarray  # (in, 4 units)
    recurrent_kernel: np.ndarray  # (units, 4 units)
    bias: np.ndarray  # (4 units,)
    kernel_ifc: np.ndarray  # (in, 3, units)
    kernel_o: np.ndarray  # (in, units)
    recurrent_kernel_ifc: np.ndarray  # (units, 3, units)
    recurrent_kernel_o: np.ndarray  # (units, units)


def lstm_weights(kernel, recurrent_kernel, bias):
    """Return Keras's weights of an LSTM as the formula takes them."""
    of_input = kernel.reshape(len(kernel), 4, -1)
    of_state = recurrent_kernel.reshape(len(recurrent_kernel), 4, -1)
    return LSTMWeights(
        kernel,
        recurrent_kernel,
        bias,
        kernel_ifc=of_input[:, :3],
        kernel_o=of_input[:, 3],
        recurrent_kernel_ifc=of_state[:, :3],
        recurrent_kernel_o=of_state[:, 3],
    )


def lstm(xp, weights, x, states):
    """Gates i, f, o, candidate a; c = f c' + i a; h = o tanh(c).

    With U the recurrent kernel, whose part for a Keras calls that of its gate c,

    dc = f dc' + dh' (U_i [a i(1-i)] + U_f [c' f(1-f)] + U_c [i (1-a^2)])
    dh = o (1 - tanh^2 c) dc + dh' U_o [tanh(c) o(1-o)],  brackets scaling columns.
    """
    h, c = states
    z = xp.matmul(x, weights.kernel) + xp.matmul(h, weights.recurrent_kernel)
    z_i, z_f, z_a, z_o = xp.split(z + weights.bias, 4, axis=-1)
    i, f, o, a = xp.sigmoid(z_i), xp.sigmoid(z_f), xp.sigmoid(z_o), xp.tanh(z_a)
    after = f * c + i * a
    squashed = xp.tanh(after)

    def slopes():
        of_i, of_f = i * xp.sigmoid(-z_i), f * xp.sigmoid(-z_f)
        ifc = xp.stack([a * of_i, c * of_f, i * tanh_slope(xp, z_a)], axis=-2)
        output = (squashed * o * xp.sigmoid(-z_o))[..., None, :]
        return ifc, output, o * tanh_slope(xp, after), f

    def differential(ifc, output, slope, f):
        def on_states(kernel_ifc, kernel_o):
            return kernel_o * output, xp.merged(kernel_ifc, ifc)

        to_h, to_c = on_states(weights.recurrent_kernel_ifc, weights.recurrent_kernel_o)
        return Differential(
            lambda: on_states(weights.kernel_ifc, weights.kernel_o),
            {(0, 0): to_h, (0, 1): to_c},
            ((Term(1, slope),), (Term(1, f),)),
        )

    return (o * squashed, after), slopes, differential


class Gates(NamedTuple):
    """What a GRU holds for each gate: update z, reset r, candidate h, as Keras's."""

    z: np.ndarray
    r: np.ndarray
    h: np.ndarray


class GRUWeights(NamedTuple):
    """Keras's weights by gate; `recurrent_bias` stands before the reset gate."""

    kernel: Gates  # (in, units)
    recurrent_kernel: Gates  # (units, units)
    bias: Gates  # (units,)
    recurrent_bias: Gates  # (units,)


def gru_weights(kernel, recurrent_kernel, bias):
    """Return Keras's weights of a GRU as the formula takes them."""
    outer, inner = bias if bias.ndim == 2 else (bias, np.zeros_like(bias))
    by_kind = kernel, recurrent_kernel, outer, inner
    return GRUWeights(*(Gates(*np.split(one, 3, axis=-1)) for one in by_kind))


def _gru(xp, weights, x, states, *, reset_after):
    """Gates z, r; candidate a; h = z h' + (1 - z) a.

    With the reset gate before the product, a = tanh(e W_h + (r h') U_h + b),
        da = [de W_h + (r dh' + h' r(1-r) dr) U_h] (1 - a^2),
    and after it (``reset_after``), a = tanh(e W_h + r (h' U_h + b') + b),
        da = [de W_h + r dh' U_h + (h' U_h + b') r(1-r) dr] (1 - a^2),
    dr = de W_r + dh' U_r before the gate's slope r(1-r).
    """
    kernel, recurrent, bias, recurrent_bias = weights
    (h,) = states
    to_z, to_r, to_a = (xp.matmul(x, w) + b for w, b in zip(kernel, bias, strict=True))
    to_z = to_z + xp.matmul(h, recurrent.z) + recurrent_bias.z
    to_r = to_r + xp.matmul(h, recurrent.r) + recurrent_bias.r
    z, r = xp.sigmoid(to_z), xp.sigmoid(to_r)
    read = h if reset_after else r * h
    recalled = xp.matmul(read, recurrent.h) + recurrent_bias.h
    to_a = to_a + (r * recalled if reset_after else recalled)
    a = xp.tanh(to_a)

    def slopes():
        kept_out = xp.sigmoid(-to_z)
        update = ((h - a) * z * kept_out)[..., None, :]
        candidate = (kept_out * tanh_slope(xp, to_a))[..., None, :]
        of_r = r * xp.sigmoid(-to_r)
        reset = ((recalled if reset_after else h) * of_r)[..., None, :]
        return update, candidate, reset, r, z

    def differential(update, candidate, reset, r, z):
        def on_state(on_z, on_r, direct):
            through_r = on_r * reset
            if not reset_after:
                through_r = xp.matmul(through_r, recurrent.h)
            return update * on_z + candidate * (direct + through_r)

        scale = r[..., None, :] if reset_after else r[..., :, None]
        to_h = on_state(recurrent.z, recurrent.r, recurrent.h * scale)
        return Differential(
            lambda: (on_state(*kernel),), {(0, 0): to_h}, ((Term(0, z),),)
        )

    # 1 - z as Keras has it: of the state itself its rounding is small
    return (z * h + (1 - z) * a,), slopes, differential


def gru_reset_after(xp, weights, x, states):
    """As :func:`_gru`, Keras's default form."""
    return _gru(xp, weights, x, states, reset_after=True)


def gru_reset_before(xp, weights, x, states):
    """As :func:`_gru`, the form of TensorFlow 1 and of the paper."""
    return _gru(xp, weights, x, states, reset_after=False)


def simple_rnn(xp, weights, x, states):
    """State h = tanh(e W + h' U + b); dh = (de W + dh' U) (1 - h^2)."""
    kernel, recurrent_kernel, bias = weights
    z = xp.matmul(x, kernel) + xp.matmul(states[0], recurrent_kernel) + bias

    def differential(slope):
        dense = {(0, 0): recurrent_kernel * slope}
        return Differential(lambda: (kernel * slope,), dense, ((),))

    return (xp.tanh(z),), lambda: (tanh_slope(xp, z)[..., None, :],), differential
