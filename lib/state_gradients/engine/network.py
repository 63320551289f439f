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
    """Embedding matrix (vocabulary, embedding) and cells, lowest first."""

    table: np.ndarray
    cells: tuple

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
            found = cell.run(x, first)
            pairs = zip(first, found, strict=True)
            trace.append([x, *(np.concatenate([s[None], f])[:-1] for s, f in pairs)])
            after.append(tuple(f[-1] for f in found))
            x = found[cell.output]
        return trace, after


def read_network(model, *, n_layers=1, dtype="float32"):
    """Return the lowest `n_layers` of a model that begins Embedding -> recurrent layer.

    Parameters
    ----------
    model : keras.Model
        Sequential or functional.
    n_layers : int
    dtype : "float32" or "float64"

    Raises
    ------
    ValueError
        If the model does not begin so, masks, is stateful, goes backwards, or has fewer
        such layers.
    """
    embedding, path = trust.chain(model)
    places = [k for k, layer in enumerate(path) if trust.is_recurrent(layer)]
    if not 1 <= n_layers <= len(places):
        raise ValueError(
            "mean_state_gradients: `layer` must be one of the recurrent layers 1.."
            f"{len(places)} that follow the embedding one by one, received {n_layers}."
        )
    path = path[: places[n_layers - 1] + 1]
    table = ops.convert_to_numpy(embedding.embeddings).astype(dtype)
    trust.require_rows(embedding, table)
    cells, size = [], table.shape[1]
    for layer in filter(trust.is_recurrent, path):
        cells.append(readers.read_cell(layer.cell, n_inputs=size, dtype=dtype))
        size = cells[-1].sizes[cells[-1].output]
    network = Network(table, tuple(cells))
    trust.require_same_first_steps(embedding, path, network)
    return network
