"""A Keras model as a stack of cells above an embedding, and its forward pass.

    x^1_t = E[w_t],  s^l_t = cell_l(x^l_t, s^l_{t-1}),  x^{l+1}_t = output of cell l

The stack is the chain of recurrent layers that starts at the embedding; dropout between
them does nothing here, and what stands above the stack is never run.
"""

from dataclasses import dataclass

import numpy as np
from keras import ops

from state_gradients.engine import readers, trust


@dataclass(frozen=True)
class Network:
    """What is read from a model.

    Attributes
    ----------
    table : ndarray of shape (vocabulary, embedding)
        The embedding matrix.
    cells : tuple of readers
        Lowest first.
    masks : bool
        Whether the id 0 is no token: the states pass it by unchanged.
    """

    table: np.ndarray
    cells: tuple
    masks: bool = False

    def zero_states(self):
        """Return the zero state of each cell, tuples of arrays (units,)."""
        return [
            tuple(np.zeros(n, self.table.dtype) for n in cell.sizes)
            for cell in self.cells
        ]

    def run(self, ids, states):
        """Run over ids (time,) from `states`.

        Returns
        -------
        trace : list of lists of arrays (time, size)
            For each cell its input x, then its states before each token.
        states : list of tuples of arrays (units,)
            After the last token.
        """
        x, trace, after = self.table[ids], [], []
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


def read_network(model, *, n_layers=1, dtype="float32"):
    """Return the lowest `n_layers` of a model that begins Embedding -> recurrent layer.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional.
    n_layers : int
    dtype : "float32" or "float64"

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
    embedding, path = trust.chain(model)
    layers = [layer for layer in path if trust.is_recurrent(layer)]
    if not 1 <= n_layers <= len(layers):
        raise ValueError(
            "mean_state_gradients: `layer` must be one of the recurrent layers 1.."
            f"{len(layers)} that follow the embedding one by one, received {n_layers}."
        )
    path = path[: path.index(layers[n_layers - 1]) + 1]
    table = ops.convert_to_numpy(embedding.embeddings).astype(dtype)
    trust.require_rows(embedding, table)
    cells = _cells(layers[:n_layers], table.shape[1], dtype)
    network = Network(table, cells, masks=bool(embedding.mask_zero))
    trust.require_same_first_steps(embedding, path, network)
    return network


def _cells(layers, n_inputs, dtype):
    """Return the layers' cells, each reading the output of the one below."""
    cells = []
    for layer in layers:
        cells.append(readers.read_cell(layer.cell, n_inputs=n_inputs, dtype=dtype))
        n_inputs = cells[-1].sizes[cells[-1].output]
    return tuple(cells)
