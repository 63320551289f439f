"""A Keras model as a stack of cells above an embedding, and its forward pass.

    x^1_t = E[w_t],  s^l_t = cell_l(x^l_t, s^l_{t-1}),  x^{l+1}_t = output of cell l

The stack is the chain of recurrent layers that starts at the embedding; dropout between
them does nothing here, and what stands above the stack is never run.
"""

from dataclasses import dataclass

import keras
import numpy as np
from keras import ops

from state_gradients.engine import readers

RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)
TRANSPARENT = (
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
)


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

    Raises
    ------
    ValueError
        If the model does not begin so, masks, is stateful, goes backwards, or has fewer
        such layers.
    """
    layers = [x for x in model.layers if not isinstance(x, keras.layers.InputLayer)]
    if not layers or not isinstance(layers[0], keras.layers.Embedding):
        _refuse("begin with an Embedding", layers[:2])
    if layers[0].mask_zero:
        _refuse("not mask (`mask_zero=True`)", layers[:1])
    chain = _recurrent_chain(layers)
    for layer in chain:
        _refuse_unless_readable(layer)
    if not chain:
        _refuse("begin Embedding -> recurrent layer", layers[:2])
    if not 1 <= n_layers <= len(chain):
        raise ValueError(
            "read_network: `layer` must be one of the recurrent layers 1.."
            f"{len(chain)} that follow the embedding one by one, received {n_layers}."
        )
    table = ops.convert_to_numpy(layers[0].embeddings).astype(dtype)
    return Network(table, _cells(chain[:n_layers], table.shape[1], dtype))


def _recurrent_chain(layers):
    """Return the recurrent layers that follow the first layer one by one."""
    below, *rest = layers
    chain = []
    for layer in rest:
        if not _reads(layer, below) or not isinstance(layer, RECURRENT + TRANSPARENT):
            break
        below = layer
        if isinstance(layer, RECURRENT):
            chain.append(layer)
            if not layer.return_sequences:
                break
    return chain


def _refuse_unless_readable(layer):
    """Refuse a recurrent layer whose states are not those of a text read forwards."""
    if isinstance(layer, keras.layers.Bidirectional):
        _refuse("read forwards only", [layer])
    if layer.go_backwards or layer.stateful:
        _refuse("have neither `go_backwards` nor `stateful` layers", [layer])


def _cells(chain, n_inputs, dtype):
    """Return the layers' cells, each reading the output of the one below."""
    cells = []
    for layer in chain:
        cell = getattr(layer, "cell", None)
        if cell is None:
            _refuse("have layers with a cell (not ConvLSTM and the like)", [layer])
        cells.append(readers.read_cell(cell, n_inputs=n_inputs, dtype=dtype))
        n_inputs = cells[-1].sizes[cells[-1].output]
    return tuple(cells)


def _reads(layer, below):
    """Return whether a layer's input is the output of the layer `below`."""
    source = keras.tree.flatten(layer.input)[0]._keras_history.operation
    return source is below


def _refuse(must, layers):
    raise ValueError(
        f"read_network: the model must {must}; received "
        f"{[f'{layer.name} ({type(layer).__name__})' for layer in layers]}. Build such "
        "a model with the same weights."
    )
