"""A Keras model as a stack of cells above an embedding, and its forward pass.

    x^1_t = E[w_t],  s^l_t = cell_l(x^l_t, s^l_{t-1}),  x^{l+1}_t = output of cell l

The stack is the chain of recurrent layers that starts at the embedding; dropout between
them does nothing here, and what stands above the stack is never run. A model that reads
numbers has no embedding: x^1_t is what it reads, and Dense layers below its first cell
belong to that cell.
"""

from dataclasses import dataclass, replace

import numpy as np
from keras import ops

from state_gradients.engine import readers, trust


class StatesNotFiniteError(FloatingPointError):
    """A state overflows: a derivative of it may be anything, zero included."""


@dataclass(frozen=True)
class Network:
    """What is read from a model.

    Attributes
    ----------
    table : ndarray of shape (vocabulary, embedding)
        The embedding matrix; (0, feature) where the model reads numbers.
    cells : tuple of readers
        Lowest first.
    masks : bool
        Whether the id 0 is no token: the states pass it by unchanged.
    """

    table: np.ndarray
    cells: tuple
    masks: bool = False

    @property
    def reads_words(self):
        """Whether inputs are ids of the table's rows, rather than numbers."""
        return len(self.table) > 0

    def zero_states(self):
        """Return the zero state of each cell, tuples of arrays (units,).

        Where a reader's states are not the cell's own, it is what zero is to them.
        """
        return [
            tuple(
                np.full(n, start, self.table.dtype)
                for n, start in zip(
                    cell.sizes, cell.starts or (0,) * len(cell.sizes), strict=True
                )
            )
            for cell in self.cells
        ]

    def without_last_output(self):
        """Return the network without the highest cell's output, if it is no state."""
        *below, last = self.cells
        return replace(self, cells=(*below, last.without_output()))

    def run(self, ids, states):
        """Run over ids (time, ..), or numbers (time, .., feature), from `states`.

        Returns
        -------
        trace : list of lists of arrays (time, .., size)
            For each cell its input x, then its states before each token.
        states : list of tuples of arrays (.., units)
            After the last token.

        Raises
        ------
        StatesNotFiniteError
            If a state is not finite. The derivative of a ReLU there would be 0.
        """
        trace, after = self.run_unchecked(ids, states)
        for k, (layer, last) in enumerate(zip(trace, after, strict=True), start=1):
            # a state may begin at minus infinity
            states_after = [state[1:] for state in layer[1:]] + [*last]
            if not all(np.isfinite(state).all() for state in states_after):
                raise StatesNotFiniteError(
                    "mean_state_gradients: the model's states must be finite, received "
                    f"some of its recurrent layer {k} that are not, in "
                    f"{self.table.dtype}: its weights are not, or its states grow with "
                    'the text; with dtype="float64", or over shorter texts, they may '
                    "be."
                )
        return trace, after

    def run_unchecked(self, ids, states):
        """As :meth:`run`, whatever the states are."""
        x = self.table[ids] if self.reads_words else ids
        trace, after = [], []
        for cell, first in zip(self.cells, states, strict=True):
            states_after = cell.run(x, first)  # each token
            states_before = [
                np.concatenate([start[None], state[:-1]])
                for start, state in zip(first, states_after, strict=True)
            ]
            trace.append([x, *states_before])
            after.append(tuple(state[-1] for state in states_after))
            x = states_after[cell.output]
        return trace, after


def read_network(model, *, n_layers=1, dtype="float32", words=True):
    """Return the lowest `n_layers` of a model that begins Embedding -> recurrent layer.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional.
    n_layers : int
    dtype : "float32" or "float64"
    words : bool
        Whether it reads ids. Otherwise it begins with the recurrent layer, or with
        Dense layers below that.

    Returns
    -------
    Network
        Held against Keras's own first steps: :mod:`state_gradients.engine.trust`.

    Raises
    ------
    ValueError
        If the model does not begin so, has fewer such layers, or is not known to do
        what is read from it.
    """
    if not words:
        return _network_of_numbers(model, n_layers, dtype)
    embedding, path = trust.chain(model)
    layers, path = _lowest(path, n_layers, "embedding")
    table = ops.convert_to_numpy(embedding.embeddings).astype(dtype)
    trust.require_rows(embedding, table)
    cells = _cells(layers, table.shape[1], dtype)
    network = Network(table, cells, masks=bool(embedding.mask_zero))
    trust.require_same_first_steps(embedding, path, network)
    return network


def _network_of_numbers(model, n_layers, dtype):
    n_features, path = trust.chain_of_numbers(model)
    layers, path = _lowest(path, n_layers, "input")
    below = [layer for layer in path[: path.index(layers[0])] if trust.is_dense(layer)]
    width = below[-1].output.shape[-1] if below else n_features
    cells = _cells(layers, width, dtype)
    if below:
        first = readers.read_behind(below, cells[0], n_inputs=n_features, dtype=dtype)
        cells = (first, *cells[1:])
    network = Network(np.empty((0, n_features), dtype), cells)
    trust.require_same_first_steps(None, path, network)
    return network


def _lowest(path, n_layers, of):
    """Return the lowest `n_layers` recurrent layers of a path, and the path to them."""
    layers = [layer for layer in path if trust.is_recurrent(layer)]
    if not 1 <= n_layers <= len(layers):
        raise ValueError(
            "mean_state_gradients: `layer` must be one of the recurrent layers 1.."
            f"{len(layers)} that follow the {of} one by one, received {n_layers}."
        )
    layers = layers[:n_layers]
    return layers, path[: path.index(layers[-1]) + 1]


def _cells(layers, n_inputs, dtype):
    """Return the layers' cells, each reading the output of the one below."""
    cells = []
    for layer in layers:
        cells.append(readers.read_cell(layer.cell, n_inputs=n_inputs, dtype=dtype))
        n_inputs = cells[-1].sizes[cells[-1].output]
    return tuple(cells)
