"""One step of a recurrent cell and its differential, in closed form.

A step takes the embedded token e (embedding,) and the states (units,) before it, and
returns the states after it, the input's Jacobians B = ds_t/de_t (units, embedding), and
the map from tangents before the step to tangents after it,

    X_t = J_t X_{t-1},  J_t = ds_t/ds_{t-1},

for blocks X of shape (units, columns). J_t is never formed: an LSTM's takes two
(units x units) products and a few element-wise ones. States, tangents and Jacobians
are tuples in Keras's order: ``(hidden, cell)`` for an LSTM, ``(hidden,)`` otherwise.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import ops

from state_gradients.backends import tanh


class Step(NamedTuple):
    """The states after a step, and its differential."""

    states: tuple[Any, ...]  # (units,) each
    inputs: tuple[Any, ...]  # B: (units, embedding) each
    propagate: Callable  # tangents before -> tangents after, (units, columns) each


def _columns(vector):
    return vector[:, None]


def _lstm(cell, dtype):
    """Gates i, f, g, o; c = f c' + i g; h = o tanh(c).

    dc = f dc' + [g i(1-i) U_i + c' f(1-f) U_f + i(1-g^2) U_g]^T dh'
    dh = o (1 - tanh^2 c) dc + [tanh(c) o(1-o) U_o]^T dh'
    """
    kernel, recurrent, bias = _weights(cell, dtype)

    def step(e, states):
        h, c = states
        z = ops.matmul(e, kernel) + ops.matmul(h, recurrent) + bias
        i, f, g, o = ops.split(z, 4)
        i, f, o, g = ops.sigmoid(i), ops.sigmoid(f), ops.sigmoid(o), tanh(g)
        after = f * c + i * g
        squashed = tanh(after)
        slope = _columns(o * (1 - squashed * squashed))
        gates = (g * i * (1 - i), c * f * (1 - f), i * (1 - g * g))
        output = squashed * o * (1 - o)

        def merged(matrix):  # (n, 4 units) -> two of (units, n)
            *inner, outer = ops.split(matrix, 4, axis=1)
            cell_part = sum(a * m for a, m in zip(gates, inner, strict=True))
            return ops.transpose(cell_part), ops.transpose(output * outer)

        to_cell, to_hidden = merged(recurrent)
        in_cell, in_hidden = merged(kernel)
        forget = _columns(f)

        def propagate(tangents):
            dh, dc = tangents
            dc = forget * dc + ops.matmul(to_cell, dh)
            return slope * dc + ops.matmul(to_hidden, dh), dc

        inputs = (slope * in_cell + in_hidden, in_cell)
        return Step((o * squashed, after), inputs, propagate)

    return step


def _gru(cell, dtype):
    """Gates z, r; candidate k; h = z h' + (1 - z) k.

    With the reset gate before the product, k = tanh(W_k e + U_k (r h') + b),
        dk / (1 - k^2) = W_k de + U_k [r dh' + h' r(1-r) dr],
    and after it (``reset_after``), k = tanh(W_k e + r (U_k h' + b') + b),
        dk / (1 - k^2) = W_k de + r U_k dh' + (U_k h' + b') r(1-r) dr,
    dr = W_r de + U_r dh' before the gate's slope r(1-r).
    """
    kernel, recurrent, bias = _weights(cell, dtype)
    wz, wr, wk = (ops.transpose(m) for m in ops.split(kernel, 3, axis=1))
    uz, ur, uk = (ops.transpose(m) for m in ops.split(recurrent, 3, axis=1))
    biases = ops.reshape(bias, (-1, 3, cell.units))  # (1 or 2, gate, units)

    def step(e, states):
        (h,) = states
        inner = biases[-1] if cell.reset_after else ops.zeros_like(biases[0])
        outer = biases[0]
        z = ops.sigmoid(ops.matmul(wz, e) + ops.matmul(uz, h) + outer[0] + inner[0])
        r = ops.sigmoid(ops.matmul(wr, e) + ops.matmul(ur, h) + outer[1] + inner[1])
        if cell.reset_after:
            recalled = ops.matmul(uk, h) + inner[2]
            k = tanh(ops.matmul(wk, e) + outer[2] + r * recalled)
            through = _columns(r) * uk
            reset = ops.diag(recalled * r * (1 - r))
        else:
            k = tanh(ops.matmul(wk, e) + outer[2] + ops.matmul(uk, r * h))
            through = uk * r
            reset = uk * (h * r * (1 - r))
        update = _columns((h - k) * z * (1 - z))
        candidate = _columns((1 - z) * (1 - k * k))
        keep = _columns(z)
        recur = update * uz + candidate * (through + ops.matmul(reset, ur))

        def propagate(tangents):
            (dh,) = tangents
            return (keep * dh + ops.matmul(recur, dh),)

        inputs = (update * wz + candidate * (wk + ops.matmul(reset, wr)),)
        return Step((z * h + (1 - z) * k,), inputs, propagate)

    return step


def _simple_rnn(cell, dtype):
    """State h = tanh(W e + U h' + b); dh = (1 - h^2) (W de + U dh')."""
    kernel, recurrent, bias = _weights(cell, dtype)
    w, u = ops.transpose(kernel), ops.transpose(recurrent)

    def step(e, states):
        (h,) = states
        h = tanh(ops.matmul(w, e) + ops.matmul(u, h) + bias)
        slope = _columns(1 - h * h)
        recur = slope * u
        return Step((h,), (slope * w,), lambda x: (ops.matmul(recur, x[0]),))

    return step


def _weights(cell, dtype):
    bias = cell.bias
    if bias is None:
        bias = ops.zeros(cell.recurrent_kernel.shape[-1:])
    values = (cell.kernel, cell.recurrent_kernel, bias)
    return tuple(ops.cast(ops.convert_to_tensor(v), dtype) for v in values)


CLOSED_FORMS = {
    keras.layers.LSTMCell: _lstm,
    keras.layers.GRUCell: _gru,
    keras.layers.SimpleRNNCell: _simple_rnn,
}


def state_names(cell):
    """Return the names of a cell's states, in Keras's order."""
    return ("hidden", "cell") if len(state_sizes(cell)) == 2 else ("hidden",)


def state_sizes(cell):
    """Return the sizes of a cell's states, in Keras's order."""
    sizes = cell.state_size
    return tuple(sizes) if isinstance(sizes, list | tuple) else (sizes,)


def closed_form(cell, *, dtype="float32"):
    """Return the step function of a Keras cell, with its weights cast to `dtype`.

    Parameters
    ----------
    cell : keras.layers.LSTMCell, GRUCell or SimpleRNNCell
        With the standard activations: tanh, and sigmoid for the gates.
    dtype : str
        "float32" or "float64".

    Returns
    -------
    callable
        ``step(e, states) -> Step``.

    Raises
    ------
    NotImplementedError
        If the cell, or one of its activations, has no closed form here.
    """
    make = CLOSED_FORMS.get(type(cell))
    activations = [getattr(cell, "activation", None)]
    gates = [getattr(cell, "recurrent_activation", keras.activations.sigmoid)]
    if (
        make is None
        or activations != [keras.activations.tanh]
        or gates != [keras.activations.sigmoid]
    ):
        raise NotImplementedError(
            "closed_form: the cell must be an LSTM, GRU or SimpleRNN with tanh and "
            f"sigmoid activations, received {type(cell).__name__} with activation "
            f"{activations[0]!r} and gate activation {gates[0]!r}."
        )
    return make(cell, dtype)
