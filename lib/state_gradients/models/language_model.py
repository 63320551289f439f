"""The Keras language model: embedding, recurrent layers, dropout, logits.

    e_t = E[w_t],  s_t = cell(e_t, s_{t-1}),  logits_t = K^T h_t + b

Layers are called ``embedding``, ``recurrent_1..n``, ``dropout`` and ``logits``; where
the cells' outputs are not ``units`` numbers, a matrix ``projection`` below the dropout
makes them so, h_t = P^T output_t. The model maps ids (batch, time) to logits (batch,
time, vocabulary); training and the gradient engine carry the states themselves, through
:func:`run_layers`.
"""

import keras
import numpy as np
from keras import ops

from state_gradients.models import cells

CELLS = {
    "lstm": keras.layers.LSTM,
    "gru": keras.layers.GRU,
    "rnn": keras.layers.SimpleRNN,
}
OWN_CELLS = {  # of state_gradients.models.cells; see `_own_cell`
    "mingru": cells.MinGRUCell,
    "minlstm": cells.MinLSTMCell,
    "lru": cells.LRUCell,
    "s6": cells.S6Cell,
    "slstm": cells.SLSTMCell,
}
PRECISIONS = ("float32", "float64")


def build_language_model(
    config, vocabulary_size, *, seed=0, embeddings=None, n_answers=None
):
    """Build the language model of one experiment, with its initial weights.

    Every matrix and the softmax bias are uniform(-r, r), r = ``initial_range``, each
    variable drawn on its own from (`seed`, its place); recurrent biases are 0, the
    GRU's gates 1, as in TensorFlow 1's cells, and what a cell's paper gives a first
    value of its own keeps it. The numbers do not depend on the backend.

    Parameters
    ----------
    config : state_gradients.foundation.settings.Model
    vocabulary_size : int
    seed : int
        The run's seed.
    embeddings : ndarray of shape (vocabulary, embedding), optional
        The fixed vectors of a "frozen" embedding; identity for "one-hot".
    n_answers : int, optional
        Of what the softmax is: the classes of a tagger. The vocabulary by default.

    Returns
    -------
    keras.Model
        From int ids (batch, time) to float logits (batch, time, n_answers).

    Raises
    ------
    ValueError
        If the embedding settings do not fit the vocabulary, or Keras is set to compute
        in another precision than those that results are kept for.
    """
    if (policy := keras.config.dtype_policy().name) not in PRECISIONS:
        raise ValueError(
            f"build_language_model: Keras must compute in one of {PRECISIONS}, "
            f"received the policy {policy!r}; undo keras.config.set_dtype_policy or "
            "set_floatx, or what ~/.keras/keras.json says of it."
        )
    if config.embedding == "one-hot":
        embeddings = np.eye(vocabulary_size, dtype=np.float32)
    size = (vocabulary_size, config.embedding_size)
    if config.embedding != "trained" and np.shape(embeddings) != size:
        raise ValueError(
            f"build_language_model: a {config.embedding} embedding must have shape "
            f"(vocabulary, embedding_size) = {size}, received {np.shape(embeddings)}."
        )
    ids = keras.Input((None,), dtype="int32", name="ids")
    x = keras.layers.Embedding(
        *size, trainable=config.embedding == "trained", name="embedding"
    )(ids)
    for number in range(1, config.layers + 1):
        x, *_ = _recurrent_layer(config, number, seed)(x)
    if x.shape[-1] != config.units:
        x = keras.layers.Dense(config.units, use_bias=False, name="projection")(x)
    x = keras.layers.Dropout(config.dropout, name="dropout")(x)
    logits = keras.layers.Dense(n_answers or vocabulary_size, name="logits")(x)
    model = keras.Model(ids, logits)
    own = _initial_weights_of_cells(model)
    for place, variable in enumerate(model.variables):
        if not any(variable is weight for weight in model.weights):
            continue  # the dropout layer's seed, which is never used
        if id(variable) in own:
            continue
        rng = np.random.default_rng([seed, place])
        r = config.initial_range
        value = rng.uniform(-r, r, variable.shape)
        if variable.name == "bias" and "recurrent" in variable.path:
            value = np.zeros(variable.shape)
            if config.cell == "gru":
                value[: 2 * config.units] = 1
        variable.assign(value.astype(np.float32))
    if embeddings is not None:
        model.get_layer("embedding").embeddings.assign(embeddings)
    return model


def _recurrent_layer(config, number, seed):
    """Return recurrent layer `number`, 1 the lowest, of a configuration."""
    options = {"return_sequences": True, "return_state": True}
    options["name"] = f"recurrent_{number}"
    if config.cell in OWN_CELLS:
        return keras.layers.RNN(_own_cell(config, seed + number - 1), **options)
    if config.cell == "gru":
        options["reset_after"] = False
    return CELLS[config.cell](config.units, **options)


def _own_cell(config, seed):
    """Return a cell of ours, `recurrent_units` wide; an LRU gives `units` numbers."""
    width = config.recurrent_units or config.units
    if config.cell == "lru":
        return cells.LRUCell(config.units, width, seed=seed)
    return OWN_CELLS[config.cell](width)


def _initial_weights_of_cells(model):
    """Return the ids of the variables that cells of ours give their first values."""
    return {
        id(variable)
        for layer in recurrent_layers(model)
        for variable in layer.weights
        if variable.name in getattr(layer.cell, "initial_weights", ())
    }


def recurrent_layers(model):
    """Return the recurrent layers in order."""
    return [layer for layer in model.layers if isinstance(layer, keras.layers.RNN)]


def zero_states(model, batch_size):
    """Return the zero state of each recurrent layer, arrays of (batch, units)."""
    return [
        [
            ops.zeros((batch_size, size))
            for size in keras.tree.flatten(layer.cell.state_size)
        ]
        for layer in recurrent_layers(model)
    ]


def run_layers(model, embedded, states, mask=None):
    """Run the layers above the embedding over a window, from given states.

    Parameters
    ----------
    model : keras.Model
        Made by :func:`build_language_model`.
    embedded : tensor of shape (batch, time, embedding)
    states : list of lists of tensors of shape (batch, units)
        The state of each recurrent layer before the window.
    mask : tensor of shape (batch, time, units), optional
        Dropout: multiplies the last recurrent output.

    Returns
    -------
    logits : tensor of shape (batch, time, vocabulary)
    states : list of lists of tensors
        The states after the window.
    """
    x, after = embedded, []
    for layer, before in zip(recurrent_layers(model), states, strict=True):
        x, state = _run_layer(layer, x, before)
        after.append(state)
    for layer in model.layers:
        if layer.name == "projection":
            x = layer(x)
    return model.get_layer("logits")(x if mask is None else x * mask), after


def _run_layer(layer, x, states):
    """Return a layer's outputs and the list of its states, after a window."""
    length = x.shape[1]  # None where TensorFlow compiles for texts of any length
    if length is not None and hasattr(layer.cell, "run"):
        return layer.cell.run(x, states)
    x, *states = layer(x, initial_state=states)
    return x, states


def _variables(model):
    return {
        "embedding" if layer.name == "embedding" else f"{layer.name}.{v.name}": v
        for layer in model.layers
        for v in layer.weights
    }


def encoder_variables(model):
    """Return what is trained of a model's encoder: all but its softmax, in order."""
    return [v for v in model.trainable_variables if "logits" not in v.path]


def weights(model):
    """Return the model's weights by name, e.g. ``recurrent_1.kernel``, as NumPy."""
    return {k: ops.convert_to_numpy(v.value) for k, v in _variables(model).items()}


def set_weights(model, named):
    """Set the weights that `named` holds; the inverse of :func:`weights`.

    Raises
    ------
    ValueError
        If a name is not a weight of the model, or a shape differs.
    """
    variables = _variables(model)
    unknown = sorted(set(named) - set(variables))
    if unknown:
        raise ValueError(f"set_weights: the model has no weight {unknown[0]!r}.")
    for name, value in named.items():
        variables[name].assign(np.asarray(value))
