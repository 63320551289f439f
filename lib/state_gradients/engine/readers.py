"""Keras cells as the engine reads them: in closed form, or differentiated.

A reader has ``names`` and ``sizes`` of the states, what they begin with (``starts``),
which of them the layer above reads (``output``), and three ways to run: ``run`` forward
over a text, ``differentials`` of its tokens as NumPy, each made when it is called,
``on_backend`` the same as tensors.
The formulas stand in :mod:`state_gradients.engine.formulas` and, of the cells of ours,
in :mod:`state_gradients.engine.own_formulas`; every other Keras cell is
differentiated by the backend, one bare step at a time.
"""

import inspect
import itertools
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from state_gradients.engine import formulas, own_formulas
from state_gradients.foundation import backends
from state_gradients.models import cells

BATCH = 32  # tokens that the backend differentiates in one call
N_ROWS = 4  # of a batch, on which a cell made anew is held against the old one
STEP = 1e-2  # of the largest entry: of central differences, whose error is its square
OFF = 0.1  # of a derivative, at most, that these may differ from it


def _weights(cell):
    """Return kernel, recurrent kernel and bias, zero where there is none."""
    bias = np.zeros(cell.kernel.shape[1]) if cell.bias is None else cell.bias
    weights = cell.kernel, cell.recurrent_kernel, bias
    return tuple(ops.convert_to_numpy(one) for one in weights)


def _closed_form(cell):
    """Return (step, weights) of a Keras cell with a closed form, or None."""
    tanh, sigmoid = keras.activations.tanh, keras.activations.sigmoid
    gate = getattr(cell, "recurrent_activation", sigmoid)
    if getattr(cell, "activation", None) is not tanh or gate is not sigmoid:
        return None
    if type(cell) is keras.layers.LSTMCell:
        return formulas.lstm, formulas.lstm_weights(*_weights(cell))
    if type(cell) is keras.layers.GRUCell:
        form = (
            formulas.gru_reset_after if cell.reset_after else formulas.gru_reset_before
        )
        return form, formulas.gru_weights(*_weights(cell))
    if type(cell) is keras.layers.SimpleRNNCell:
        return formulas.simple_rnn, _weights(cell)
    return None


def _of_ours(cell, sizes):
    """Return a cell of ours in closed form, its weights in float64, or None."""
    w = {v.name: ops.convert_to_numpy(v).astype(np.float64) for v in cell.weights}
    hidden = ("hidden",)
    if type(cell) is cells.MinGRUCell:
        weights = w["kernel"], w["bias"]
        span = partial(own_formulas.gates_apart, n_gates=2)
        return ClosedForm(own_formulas.min_gru, weights, sizes, hidden, span=span)
    if type(cell) is cells.MinLSTMCell:
        weights = w["kernel"], w["bias"]
        span = partial(own_formulas.gates_apart, n_gates=3)
        return ClosedForm(own_formulas.min_lstm, weights, sizes, hidden, span=span)
    if type(cell) is cells.DiagonalCell:
        weights = w["kernel"], w["bias"], w["decay"]
        span = partial(own_formulas.gates_apart, n_gates=1)
        return ClosedForm(own_formulas.diagonal, weights, sizes, hidden, span=span)
    if type(cell) is cells.SLSTMCell:
        weights = w["kernel"], w["recurrent_kernel"], w["bias"]
        names = "hidden", "normaliser", "cell"
        starts = 0.0, -np.inf, 0.0
        return ClosedForm(own_formulas.slstm, weights, sizes[:3], names, starts=starts)
    if type(cell) is cells.LRUCell:
        weights = own_formulas.lru_weights(**w)
        step, alone = own_formulas.lru_with_output, own_formulas.lru
        span = own_formulas.lru_apart
    elif type(cell) is cells.S6Cell:
        weights = own_formulas.s6_weights(**w)
        step, alone = own_formulas.s6_with_output, own_formulas.s6
        span = own_formulas.s6_apart
    else:
        return None
    sizes, names = (*sizes, cell.units), ("hidden", "output")
    return ClosedForm(
        step, weights, sizes, names, output=1, step_alone=alone, span=span
    )


def read_cell(cell, *, n_inputs, dtype="float32"):
    """Return a built Keras cell as the engine reads it, its weights cast to `dtype`.

    Parameters
    ----------
    cell : keras.layers.Layer
        LSTM, GRU and SimpleRNN with tanh and sigmoid, and the cells of
        :mod:`state_gradients.models.cells`, have closed forms; any other that maps
        ``(x, states)`` to ``(output, states)`` is differentiated by the backend.
    n_inputs : int
        Size of x.
    dtype : "float32" or "float64"

    Raises
    ------
    ValueError
        If the backend must differentiate the cell but does not compute in `dtype`.
    """
    sizes = tuple(int(n) for n in keras.tree.flatten(cell.state_size))
    names = tuple(f"state_{k}" for k in range(1, len(sizes) + 1))
    if len(sizes) == 1:
        names = ("hidden",)
    elif isinstance(cell, keras.layers.LSTMCell):
        names = ("hidden", "cell")
    closed_form = _of_ours(cell, sizes)
    if closed_form is None and (form := _closed_form(cell)):
        closed_form = ClosedForm(*form, sizes, names)
    if closed_form is not None:
        return closed_form.in_dtype(dtype)
    if not backends.supports(dtype):
        raise ValueError(
            f"read_cell: the backend must compute in {dtype!r} to differentiate "
            f"{type(cell).__name__}; on JAX set JAX_ENABLE_X64=1."
        )
    if keras.backend.standardize_dtype(cell.compute_dtype) != dtype:
        config = _in_dtype(cell.get_config(), dtype)
        cell = _rebuilt(type(cell), config, n_inputs, cell.get_weights())
    found = Automatic(cell, sizes, names, n_inputs)
    if "cell" in names and found.output != 0:  # an LSTM's output is its hidden state
        found = Automatic(cell, sizes, ("state_1", "state_2"), n_inputs)
    return found


class Matrices(NamedTuple):
    """How many numbers a token's differential has."""

    inputs: int  # in B
    states: int  # in what J consists of
    derived: bool = False  # by the backend, which needs more to do so


class Form(NamedTuple):
    """What a program is compiled for; the weights are what it is given."""

    step: Any
    sizes: tuple
    output: int

    def on_backend(self, weights, x, states):
        """As :meth:`ClosedForm.on_backend`."""
        weights = keras.tree.map_structure(ops.convert_to_tensor, weights)
        _, slopes, differential = self.step(formulas.BACKEND, weights, x, states)
        return differential(*slopes())


class Fixed(NamedTuple):
    """A cell whose weights are compiled in."""

    cell: Any

    @property
    def output(self):
        """Which of the states the layer above reads."""
        return self.cell.output

    def on_backend(self, _, x, states):
        """As :meth:`ClosedForm.on_backend`."""
        return self.cell.on_backend(x, states)


@dataclass(frozen=True, eq=False)
class ClosedForm:
    """A cell whose step and differential are written out."""

    step: Any
    weights: tuple  # as `step` takes them
    sizes: tuple
    names: tuple
    output: int = 0
    starts: tuple | None = None  # what each state begins with; None: zero
    step_alone: Any = None  # without an output that is no state, if there is one
    span: Any = None  # of a cell whose units never meet: see engine.diagonals

    def in_double(self):
        """Return the cell in float64."""
        return self.in_dtype("float64")

    def in_dtype(self, dtype):
        """Return the cell with its weights cast."""
        weights = keras.tree.map_structure(
            lambda w: ops.convert_to_numpy(w).astype(dtype), self.weights
        )
        return replace(self, weights=weights)

    def without_output(self):
        """Return the cell without an output that is no state: it costs a product."""
        if self.step_alone is None:
            return self
        return replace(
            self,
            step=self.step_alone,
            sizes=self.sizes[: self.output],
            names=self.names[: self.output],
            output=0,
            step_alone=None,
        )

    def run(self, x, states):
        """Return each state (time, .., units) after every token of x (time, .., in)."""
        after = tuple(np.empty((*x.shape[:-1], n), x.dtype) for n in self.sizes)
        for t, token in enumerate(x):
            states, *_ = self.step(formulas.NUMPY, self.weights, token, states)
            for trajectory, state in zip(after, states, strict=True):
                trajectory[t] = state
        return after

    def differentials(self, x, states):
        """Return each token's differential, as a function; `states` stand before it."""
        _, slopes, differential = self.step(formulas.NUMPY, self.weights, x, states)
        return [partial(differential, *one) for one in zip(*slopes(), strict=True)]

    def coefficients(self, weights, n_inputs, x, states):
        """As :meth:`differentials`, but by what `weights` have for an input.

        At a token a step differentiates by its slopes, which are those of x; what by
        stands in its weights.
        """
        _, slopes, _ = self.step(formulas.NUMPY, self.weights, x, states)
        nothing = np.zeros((len(x), n_inputs), x.dtype)
        _, _, differential = self.step(formulas.NUMPY, weights, nothing, states)
        return [partial(differential, *one) for one in zip(*slopes(), strict=True)]

    def stacked(self, x, states):
        """Return the differentials of all tokens, arrays with a leading time axis."""
        _, slopes, differential = self.step(formulas.NUMPY, self.weights, x, states)
        return differential(*slopes())

    def matrices(self, n_inputs):
        """Return how many numbers a token's differential has."""
        zeros = [np.zeros((1, n), np.float32) for n in (n_inputs, *self.sizes)]
        differential = self.stacked(zeros[0], zeros[1:])
        diagonals = [term.scale for terms in differential.diagonal for term in terms]
        of_states = [*differential.dense.values(), *diagonals]
        return Matrices(
            inputs=sum(matrix.size for matrix in differential.inputs),
            states=sum(matrix.size for matrix in of_states),
        )

    def on_backend(self, x, states):
        """Return the differentials of all tokens, tensors with a leading time axis."""
        return self.form.on_backend(self.weights, x, states)

    def fault_of_derivative(self, x, states):
        """Return nothing: the formula is tested."""

    @property
    def form(self):
        """The cell without its weights, equal to any of the same formula and sizes."""
        return Form(self.step, self.sizes, self.output)


def read_behind(layers, cell, *, n_inputs, dtype="float32"):
    """Return a cell as one that reads what Dense layers below it read.

    Parameters
    ----------
    layers : list of keras.layers.Dense, or TimeDistributed of one
        Lowest first.
    cell : ClosedForm or Automatic
        What reads the highest of them.
    n_inputs : int
        How many features the lowest reads.
    dtype : "float32" or "float64"

    Raises
    ------
    ValueError
        If the backend does not compute in `dtype`.
    """
    if not backends.supports(dtype):
        raise ValueError(
            f"read_behind: the backend must compute in {dtype!r} to differentiate "
            f"{layers[0].name}; on JAX set JAX_ENABLE_X64=1."
        )
    dense = []
    for layer in layers:
        inner = layer if type(layer) is keras.layers.Dense else layer.layer
        config = _in_dtype(inner.get_config(), dtype)
        dense.append(
            _rebuilt(keras.layers.Dense, config, n_inputs, inner.get_weights())
        )
        n_inputs = inner.units
    return Behind(dense, cell)


class Behind:
    """A cell whose input layers below make of the same step's features.

    With y = f(x) and F = dy/dx, transposed as kernels are, B becomes F B; J stays.
    """

    def __init__(self, dense, cell):
        self.dense = dense
        self.cell = cell
        self.sizes = cell.sizes
        self.names = cell.names
        self.output = cell.output
        self.starts = cell.starts

    def without_output(self):
        """Return the cell without an output that is no state."""
        return Behind(self.dense, self.cell.without_output())

    def in_double(self):
        """Return the cell and the layers in float64; None where it cannot be made."""
        cell = self.cell.in_double() if backends.supports("float64") else None
        if cell is None:
            return None
        parts = [
            (_in_dtype(config, "float64"), n_inputs, weights)
            for config, n_inputs, weights in self._parts()
        ]
        return _behind(parts, cell)

    def _parts(self):
        """Return of each layer below its configuration, inputs and weights."""
        return [
            (d.get_config(), int(d.kernel.shape[0]), d.get_weights())
            for d in self.dense
        ]

    def fault_of_derivative(self, x, states):
        """Return what is wrong with the derivatives of the cell, or None."""
        forward, _ = self._compiled
        return self.cell.fault_of_derivative(self._by_parts(forward, x), states)

    def __reduce__(self):
        return _behind, (self._parts(), self.cell)

    def _forward(self, x):
        for layer in self.dense:
            x = layer(x)
        return x

    def _slopes(self, x):
        """Return F of each step, (time, in, out)."""
        (jacobians,) = backends.batch_jacobians(self._forward, (x,))
        return ops.swapaxes(jacobians, 1, 2)

    @cached_property
    def _compiled(self):
        return backends.compiled(self._forward), backends.compiled(self._slopes)

    def _by_parts(self, function, x):
        """Return a compiled function of x (.., in), `BATCH` steps a call, as NumPy."""
        parts, leading = [], x.shape[:-1]
        x = x.reshape(-1, x.shape[-1])
        for start in range(0, len(x), BATCH):
            part = x[start : start + BATCH]
            padded = np.pad(part, [(0, BATCH - len(part)), (0, 0)])
            padded = ops.convert_to_tensor(padded)
            parts.append(ops.convert_to_numpy(function(padded))[: len(part)])
        found = np.concatenate(parts)
        return found.reshape(*leading, *found.shape[1:])

    def run(self, x, states):
        """Return each state (time, .., units) after every step of x (time, .., in)."""
        forward, _ = self._compiled
        return self.cell.run(self._by_parts(forward, x), states)

    def differentials(self, x, states):
        """Return each step's differential, as a function; `states` stand before it."""
        forward, slopes = self._compiled
        makers = self.cell.differentials(self._by_parts(forward, x), states)
        pairs = zip(self._by_parts(slopes, x), makers, strict=True)
        return [partial(self._differential, *pair) for pair in pairs]

    def stacked(self, x, states):
        """Return the differentials of all steps, arrays with a leading time axis."""
        forward, slopes = self._compiled
        inner = self.cell.stacked(self._by_parts(forward, x), states)
        return self._differential(self._by_parts(slopes, x), lambda: inner)

    weights = ()

    @property
    def form(self):
        """The cell, with its weights."""
        return Fixed(self)

    def matrices(self, n_inputs):
        """Return how many numbers a step's differential has, with F."""
        width = self.dense[-1].units
        of_cell = self.cell.matrices(width)
        inputs = of_cell.inputs + n_inputs * (width + sum(self.sizes))
        return of_cell._replace(inputs=inputs)

    def on_backend(self, x, states):
        """Return the differentials of all steps, tensors with a leading time axis."""
        x = ops.convert_to_tensor(x)
        after = self.cell.on_backend(self._forward(x), states)
        return self._differential(self._slopes(x), lambda: after)

    @staticmethod
    def _differential(slope, make):
        inner = make()

        def inputs():
            matmul = np.matmul if isinstance(slope, np.ndarray) else ops.matmul
            return [matmul(slope, matrix) for matrix in inner.inputs]

        return formulas.Differential(inputs, inner.dense, inner.diagonal)


def _behind(parts, cell):
    dense = [
        _rebuilt(keras.layers.Dense, config, n_inputs, weights)
        for config, n_inputs, weights in parts
    ]
    return Behind(dense, cell)


def _in_dtype(config, dtype):
    """Set the dtype of a cell's configuration, and of the cells within it."""
    if isinstance(config, dict):
        inner = {key: _in_dtype(value, dtype) for key, value in config.items()}
        return inner | ({"dtype": dtype} if "dtype" in inner else {})
    if isinstance(config, list):
        return [_in_dtype(value, dtype) for value in config]
    return config


def _rebuilt(kind, config, n_inputs, weights):
    cell = kind.from_config(config)
    cell.build((None, n_inputs))
    cell.set_weights(weights)
    return cell


def _reread(kind, config, n_inputs, weights, dtype):
    cell = _rebuilt(kind, config, n_inputs, weights)
    return read_cell(cell, n_inputs=n_inputs, dtype=dtype)


class Automatic:
    """A cell that the backend differentiates.

    An output that is not one of the states counts as one more state, "output", which
    nothing follows.
    """

    starts = None

    def __init__(self, cell, sizes, names, n_inputs):
        self.cell = cell
        self.n_inputs = n_inputs
        self.cell_sizes = self.sizes = sizes
        self.names = names
        zeros = [np.zeros((1, n), cell.compute_dtype) for n in (n_inputs, *sizes)]
        output, after = self._call(*zeros)
        same = [k for k, state in enumerate(after) if state is output]
        self.output = same[0] if same else len(sizes)
        if not same:
            self.sizes += (int(output.shape[-1]),)
            self.names += ("output",)

    def without_output(self):
        """Return the cell as it is: what the backend differentiates, it knows whole."""
        return self

    def in_double(self):
        """Return the cell in float64; None where that cannot be made of it.

        As where the backend does not compute in float64, or what `get_config` says and
        the weights do not make the same cell again.
        """
        return self._in_double

    @cached_property
    def _in_double(self):
        if not backends.supports("float64"):
            return None
        try:  # the cell's own code may raise what it will
            if self._is_rebuilt_alike:
                return read_cell(self.cell, n_inputs=self.n_inputs, dtype="float64")
        except Exception:
            return None
        return None

    def __reduce__(self):
        cell = self.cell
        config, weights = cell.get_config(), cell.get_weights()
        if not self._is_rebuilt_alike:
            raise ValueError(
                "mean_state_gradients: a cell that goes to other processes must be "
                f"known by its `get_config` and weights, received a "
                f"{type(cell).__name__} that computes something else when it is made "
                "from these. Add what it lacks to `get_config`, or leave out "
                "`executor`."
            )
        return _reread, (type(cell), config, self.n_inputs, weights, cell.compute_dtype)

    @cached_property
    def _is_rebuilt_alike(self):
        """Whether the cell does the same when it is made from its configuration."""
        cell = self.cell
        other = _rebuilt(
            type(cell), cell.get_config(), self.n_inputs, cell.get_weights()
        )
        other = Automatic(other, self.cell_sizes, self.names, self.n_inputs)
        rng = np.random.default_rng(0)
        rows = [
            rng.normal(size=(N_ROWS, n)).astype(cell.compute_dtype)
            for n in (self.n_inputs, *self.cell_sizes)
        ]
        ours, theirs = (ops.convert_to_numpy(x._flat(*rows)) for x in (self, other))
        return np.allclose(ours, theirs, rtol=1e-5, atol=1e-6, equal_nan=True)

    def fault_of_derivative(self, x, states):
        """Return what is wrong with the derivatives of the cell, or None.

        The rows of a batch, here tokens, must not see each other; and along a random
        step of the input, and of each state, the derivative must be what central
        differences give, at most tokens: there may be kinks.

        Parameters
        ----------
        x : ndarray of shape (time, in)
        states : list of ndarray of shape (time, units)
            Before each token; one more for an output that is no state.
        """
        rows = [x, *states[: len(self.cell_sizes)]]
        if not all(np.isfinite(row).all() for row in rows):
            return None  # the mean says so itself
        together = ops.convert_to_numpy(self._flat(*rows))
        alone = [
            ops.convert_to_numpy(self._flat(*(row[t : t + 1] for row in rows)))
            for t in range(len(x))
        ]
        scale = np.abs(together).max(axis=1, keepdims=True)  # of each token
        if not (np.abs(together - np.concatenate(alone)) <= 1e-4 * scale).all():
            return "treat the rows of a batch one by one"
        (jacobians,) = self._by_parts(x, states)
        rng = np.random.default_rng(0)
        for k, (row, jacobian) in enumerate(zip(rows, jacobians, strict=False)):
            length = np.abs(row).max(axis=1, keepdims=True)
            length = STEP * np.where(length > 0, length, scale)
            step = (rng.uniform(-1, 1, row.shape) * length).astype(row.dtype)
            ahead, behind = (
                ops.convert_to_numpy(self._flat(*rows[:k], moved, *rows[k + 1 :]))
                for moved in (row + step, row - step)
            )
            found = np.einsum("tj,tji->ti", step, jacobian)
            off = np.linalg.norm((ahead - behind) / 2 - found, axis=1)
            size = np.linalg.norm(found, axis=1)
            size += 1e-5 * scale[:, 0] + np.finfo(row.dtype).tiny  # what rounding makes
            if not np.median(off / size) <= OFF:
                along = "the input" if k == 0 else f"the state {self.names[k - 1]!r}"
                return (
                    f"are differentiated as they compute: along {along} the derivative "
                    "is not what differences give"
                )
        return None

    def _call(self, x, *states):
        """Return the output and a flat list of states, from tensors (batch, size)."""
        size = self.cell.state_size
        states = list(states[: len(self.cell_sizes)])
        nested = keras.tree.is_nested(size)
        packed = keras.tree.pack_sequence_as(size, states) if nested else states
        accepts = inspect.signature(self.cell.call).parameters
        options = {"training": False} if "training" in accepts else {}
        x = ops.convert_to_tensor(x)
        output, after = self.cell(x, packed, **options)
        return output, keras.tree.flatten(after)

    def _flat(self, x, *states):
        output, after = self._call(x, *states)
        extra = [output] if self.output == len(after) else []
        flat = ops.concatenate([*after, *extra], axis=-1)
        return ops.cast(flat, self.cell.compute_dtype)  # on JAX, ops may cut to float32

    def _split(self, flat):
        """Return the states' parts of the last axis."""
        ends = np.cumsum([0, *self.sizes]).tolist()
        return [flat[..., a:b] for a, b in itertools.pairwise(ends)]

    @cached_property
    def _scan(self):
        def one_token(flat, token):
            flat = self._flat(token, *self._split(flat))
            return flat, flat

        return backends.compiled(lambda x, flat: ops.scan(one_token, flat, x)[1])

    @cached_property
    def _jacobians(self):
        return backends.compiled(
            lambda *arguments: backends.batch_jacobians(self._flat, arguments)
        )

    def run(self, x, states):
        """Return each state (time, .., units) after every token of x (time, .., in)."""
        rows = [np.atleast_2d(state) for state in states]
        tokens = x.reshape(len(x), len(rows[0]), -1)
        flat = self._scan(tokens, np.concatenate(rows, axis=-1))
        after = self._split(ops.convert_to_numpy(flat))
        return tuple(state.reshape(*x.shape[:-1], -1) for state in after)

    def _by_parts(self, x, states):
        """Yield Jacobians (token, units_j, units) of `BATCH` tokens at a time."""
        for start in range(0, len(x), BATCH):
            part = [a[start : start + BATCH] for a in (x, *states)]
            n_tokens = len(part[0])  # one shape, compiled once: the last one is padded
            missing = [(0, BATCH - n_tokens), (0, 0)]
            jacobians = self._jacobians(*(np.pad(a, missing) for a in part))
            yield [ops.convert_to_numpy(j)[:n_tokens].swapaxes(1, 2) for j in jacobians]

    def differentials(self, x, states):
        """Return each token's differential, as a function; `states` stand before it."""
        return [
            partial(self._differential, *of_token)
            for jacobians in self._by_parts(x, states)
            for of_token in zip(*jacobians, strict=True)
        ]

    def stacked(self, x, states):
        """Return the differentials of all tokens, arrays with a leading time axis."""
        parts = zip(*self._by_parts(x, states), strict=True)
        return self._differential(*(np.concatenate(part) for part in parts))

    weights = ()

    @property
    def form(self):
        """The cell, with its weights."""
        return Fixed(self)

    def matrices(self, n_inputs):
        """Return how many numbers a token's differential has."""
        units = sum(self.sizes)
        return Matrices(n_inputs * units, sum(self.cell_sizes) * units, derived=True)

    def on_backend(self, x, states):
        """Return the differentials of all tokens, tensors with a leading time axis."""
        jacobians = backends.batch_jacobians(self._flat, (x, *states))
        jacobians = [ops.swapaxes(j, 1, 2) for j in jacobians]
        return self._differential(*jacobians)

    def _differential(self, inputs, *dense):
        by_states = {
            (j, i): matrix
            for j, row in enumerate(dense[: len(self.cell_sizes)])
            for i, matrix in enumerate(self._split(row))
        }
        return formulas.Differential(
            lambda: self._split(inputs), by_states, ((),) * len(self.sizes)
        )
