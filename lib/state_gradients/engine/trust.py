"""Whether a Keras model does what is read from it: known to be right, or refused.

The engine reads weights out of layers and computes with them on its own. That is right
only if the layers do nothing else with them, so what is not known to be harmless is
refused, by three rules:

1. Layers and models are taken by their exact type, called once, on one input, in single
   or double precision, neither quantized nor with LoRA, and so is what is in their
   cells. A subclass may do anything.
2. The embedding is the table that is read: looking ids up through the *layer* gives its
   rows.
3. The first tokens, run through Keras itself, leave the stack where the network that
   was read leaves it. This sees what no rule foresaw. There the derivatives of cells
   that the backend differentiates are held against differences.
"""

from dataclasses import replace

import keras
import numpy as np
from keras import ops

from state_gradients.foundation import backends

N_TOKENS = 8  # of the run through Keras, where the model's length is free
ROUNDINGS = 8  # of ours, by which Keras's outputs may be apart from them
COARSEST = 2e-2  # of the largest, that they may be apart at all
N_LOOKED_UP = 2**24  # numbers of the table, at most, that are looked up
PRECISIONS = ("float32", "float64")
FREE = {  # what a model's class may say otherwise
    *("__init__", "__new__", "__module__", "__doc__", "__dict__", "__weakref__"),
    *("__repr__", "__str__", "__annotations__", "__firstlineno__"),
    *("__static_attributes__", "get_config", "from_config"),
}
TRANSPARENT = (  # they do nothing when the model predicts
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.GaussianNoise,
    keras.layers.GaussianDropout,
)
LOOKUPS = (keras.layers.TextVectorization, keras.layers.StringLookup)  # words to ids
DENSE = keras.layers.Dense, keras.layers.TimeDistributed  # below, of numbers alone
RECURRENT = (
    keras.layers.LSTM,
    keras.layers.GRU,
    keras.layers.SimpleRNN,
    keras.layers.RNN,
)
REMEDY = "Build such a model with the same weights."
UNMASKED = (
    "Build it without the Masking, and give the trials as a list of arrays (time, "
    "feature), each without the steps that are masked."
)


def refuse(must, layers=(), *, instead=REMEDY):
    """Raise the ValueError of a model that cannot be read."""
    received = [f"{layer.name} ({type(layer).__name__})" for layer in layers]
    raise ValueError(
        f"mean_state_gradients: the model must {must}; received {received}. {instead}"
    )


def require_model(model):
    """Refuse what is neither a built Sequential nor a functional model of Keras's own.

    Raises
    ------
    ValueError
        If `model` is of another type, or is not built.
    """
    name = f"a {type(model).__module__}.{type(model).__name__}"
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"mean_state_gradients: `model` must be a Keras model, received {name}."
        )
    point = keras.Input((1,))
    known = keras.Sequential, type(keras.Model(point, point))
    changed = _changed(type(model), known)
    if changed or not isinstance(model, known):
        raise ValueError(
            "mean_state_gradients: `model` must be Sequential or functional, so that "
            f"its layers tell what it does; received {name}, which has its own "
            f"{', '.join(changed[:3]) or 'graph'}. Build the embedding and the "
            "recurrent layers as keras.Sequential([...]) and give them its weights."
        )
    if not model.built or not getattr(model, "inputs", None):
        raise ValueError(
            f"mean_state_gradients: `model` must be built, received {name} that has "
            "no weights yet; call it on some ids once, or begin it with keras.Input."
        )


def _changed(kind, known):
    """Return what a class of models has of its own, of what it is trusted for.

    That is all by which `known` classes run; how they are trained and saved is free.
    """
    of_keras = {base for one in known for base in one.__mro__}
    running = {*known, known[-1].__mro__[1], keras.layers.Layer, keras.Operation}
    trusted = {name for base in running for name in vars(base)} - FREE
    own = [base for base in kind.__mro__ if base not in of_keras]
    return sorted(trusted & {name for base in own for name in vars(base)})


def require_plain(layer):
    """Refuse a layer whose weights are not what it computes with, or not only.

    Raises
    ------
    ValueError
        If it is quantized, has LoRA weights, or computes in mixed or half precision.
    """
    policy = layer.dtype_policy.name
    if getattr(layer, "quantization_mode", None) or "_from_" in policy:
        mode = getattr(layer, "quantization_mode", None) or policy
        refuse(f"not be quantized, as {mode}: codes are no weights", [layer])
    if getattr(layer, "lora_enabled", False):
        refuse("have no LoRA weights beside its own", [layer])
    if policy not in PRECISIONS:
        refuse(f"compute in one of {PRECISIONS} throughout, not {policy}", [layer])
    for inner in layer._flatten_layers(include_self=False, recursive=False):
        require_plain(inner)


def require_embedding(layer, calls):
    """Refuse an embedding that reads anything but the ids of one Input.

    One of `LOOKUPS` may stand between, and make ids of words.

    Parameters
    ----------
    layer : keras.layers.Embedding
    calls : list of keras Node
        Its calls in the model, of :func:`_calls`.

    Raises
    ------
    ValueError
        If it is a subclass, is called more than once, or what it looks up is computed.
    """
    if type(layer) is not keras.layers.Embedding:
        refuse("begin with a keras.layers.Embedding itself, no subclass", [layer])
    require_plain(layer)
    if bool(layer.mask_zero) != bool(layer.supports_masking):
        refuse("have an Embedding whose `mask_zero` was set when it was made", [layer])
    ids = _only_input(layer, calls)
    history = ids._keras_history
    if type(history.operation) in LOOKUPS:
        below = history.operation
        _require_ids(below)
        call = below._inbound_nodes[history.node_index]
        history = _only_input(below, [call])._keras_history
    if not isinstance(history.operation, keras.layers.InputLayer):
        refuse("look up the ids of its Input itself, unchanged", [layer])
    dtype = keras.backend.standardize_dtype(ids.dtype)
    if _largest_whole_number(dtype) < layer.input_dim - 1:
        refuse(
            f"have an Input that holds every id up to {layer.input_dim - 1}, not one "
            f"of {dtype}",
            [history.operation],
        )


def _largest_whole_number(dtype):
    """Return up to which whole number a dtype holds each of them."""
    if "int" in dtype:
        return np.iinfo(dtype).max
    bits = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
    return 2 ** bits.get(dtype, 0)


def _require_ids(layer):
    """Refuse one of `LOOKUPS` that gives anything but an id for each word."""
    options = layer.get_config()
    if options["output_mode"] != "int" or options.get("invert"):
        refuse("make ids of words, with output_mode='int', not inverted", [layer])


def input_of(model):
    """Return what a model's embedding takes.

    Parameters
    ----------
    model : keras.Model
        One that :func:`chain` takes.

    Returns
    -------
    length : int or None
        How many ids at a time, if their number is fixed.
    lookup : keras.layers.Layer or None
        The one of `LOOKUPS` that makes them of words.
    """
    embedding, _ = chain(model)
    ids = _only_input(embedding, _calls(model)[id(embedding)])
    below = ids._keras_history.operation
    length = ids.shape[1] if len(ids.shape) > 1 else None
    return length, below if type(below) in LOOKUPS else None


def require_recurrent(layer):
    """Refuse a layer that is not one of `RECURRENT`, or does not start from zero.

    Raises
    ------
    ValueError
        Also if it is a subclass, is stateful, or goes backwards.
    """
    if type(layer) not in RECURRENT:
        refuse(
            "have recurrent layers of Keras's own, no subclass",
            [layer],
            instead="Put the subclass's cell into a keras.layers.RNN.",
        )
    if layer.go_backwards or layer.stateful:
        refuse("have neither `go_backwards` nor `stateful` layers", [layer])
    require_plain(layer)
    require_plain(layer.cell)
    initial = keras.tree.flatten(layer.get_initial_state(1))
    if any(np.any(ops.convert_to_numpy(state)) for state in initial):
        refuse("have cells that start from a zero state", [layer.cell])


def _calls(model):
    """Return ``{id of a layer: its calls}`` of a model, found from its outputs back.

    A layer may have been called elsewhere, as those of a Sequential are whenever it is
    built again: such calls are not of this model.
    """
    calls, waiting, seen = {}, list(model.outputs), set()
    while waiting:
        history = waiting.pop()._keras_history
        node = history.operation._inbound_nodes[history.node_index]
        if id(node) in seen:
            continue
        seen.add(id(node))
        calls.setdefault(id(history.operation), []).append(node)
        waiting += node.input_tensors
    return calls


def _only_input(layer, calls):
    """Return what a layer reads, or refuse it if it is called twice, or on more."""
    if len(calls) != 1:
        refuse(f"have layers that are called once, not {len(calls)} times", [layer])
    arguments = calls[0].arguments
    inputs = keras.tree.flatten(arguments.args)
    given = {name for name, value in arguments.kwargs.items() if value is not None}
    if "initial_state" in given or len(inputs) != 1:
        refuse("have layers that take no `initial_state`", [layer])
    own_mask = getattr(inputs[0], "_keras_mask", None)
    if "mask" in given and arguments.kwargs["mask"] is not own_mask:
        refuse("have layers with no `mask` but that of the embedding", [layer])
    if arguments.kwargs.get("training"):  # predict() leaves it out, model(x) does not
        refuse("have layers that are not called with training=True", [layer])
    return inputs[0]


def require_rows(embedding, table):
    """Refuse an embedding that does not look up the rows of `table`.

    Parameters
    ----------
    embedding : keras.layers.Embedding
    table : ndarray of shape (vocabulary, embedding)

    Raises
    ------
    ValueError
        If a looked-up row is another one. Large tables are sampled.
    """
    n_rows = max(1, min(len(table), N_LOOKED_UP // table.shape[1]))
    ids = np.random.default_rng(0).permutation(len(table))[:n_rows].astype(np.int32)
    looked_up = ops.convert_to_numpy(embedding(ids[None]))[0]
    if not np.array_equal(looked_up.astype(table.dtype), table[ids], equal_nan=True):
        refuse("have an Embedding that looks up the rows of its table", [embedding])


def require_same_first_steps(embedding, layers, network):
    """Refuse layers that Keras runs differently from the network that was read.

    Parameters
    ----------
    embedding : keras.layers.Embedding or None
        None if the model reads numbers.
    layers : list of keras.layers.Layer
        Above it, lowest first: those of the network, and what is transparent between.
    network : network.Network

    Raises
    ------
    ValueError
        If a recurrent layer's output after `N_TOKENS` tokens differs by more than the
        round-off of float32 explains: that of most networks, or that of this one, as
        far as it is known.
    """
    inputs = _first_inputs(embedding, network)
    trace, after = network.run_unchecked(inputs, network.zero_states())
    pairs = zip(after, network.cells, strict=True)
    outputs = iter([states[cell.output] for states, cell in pairs])
    recurrent = filter(is_recurrent, layers)
    for layer, cell, (of_cell, *states) in zip(
        recurrent, network.cells, trace, strict=True
    ):
        if fault := cell.fault_of_derivative(of_cell, states):
            refuse(f"have cells that {fault}", [layer.cell])
    x = inputs[None] if embedding is None else embedding(inputs[None])
    n_recurrent = 0
    for layer in layers:
        with backends.full_float32():
            x = keras.tree.flatten(layer(x, training=False))[0]
        if not is_recurrent(layer):
            continue
        theirs = ops.convert_to_numpy(x)[0]
        theirs = theirs[-1] if layer.return_sequences else theirs
        ours = next(outputs)
        n_recurrent += 1
        if not np.isfinite(theirs).all() and not np.isfinite(ours).all():
            continue  # weights that are not finite: the mean says so itself
        # Eight steps of float32 err by some 1e-6 of the largest value; a state that
        # does not start from zero, or a shifted input, by far more than 1e-4.
        scale = max(np.abs(theirs).max(), np.finfo(np.float32).tiny)
        error = np.abs(ours - theirs).max() / scale
        if error <= 1e-4:
            continue
        # Gates that are all but shut let 1 - z through, with its rounding: there ours
        # err by more, and so may theirs. Where that is all there is, nothing is known.
        in_single = np.float32 in (ours.dtype, theirs.dtype)
        rounding = _rounding(network, inputs, n_recurrent) if in_single else 0.0
        if not error <= min(ROUNDINGS * rounding / scale, COARSEST):
            refuse(
                "do in Keras what was read from its layers: after "
                f"{N_TOKENS} tokens the outputs differ by {error:.2g} of the largest",
                [layer],
            )


def _rounding(network, inputs, n_layers):
    """Return how far the last of some layers ends in float32 from float64, at most.

    0 where not all of their cells have a formula, which either precision takes.
    """
    cells = network.cells[:n_layers]
    if not all(hasattr(cell, "in_dtype") for cell in cells):
        return 0.0
    last = []
    for dtype in PRECISIONS:
        one = replace(
            network,
            table=network.table.astype(dtype),
            cells=[cell.in_dtype(dtype) for cell in cells],
        )
        x = inputs if one.reads_words else inputs.astype(dtype)
        _, after = one.run_unchecked(x, one.zero_states())
        last.append(after[-1][cells[-1].output])
    return np.abs(last[0] - last[1]).max()


def _first_inputs(embedding, network):
    """Return `N_TOKENS` ids, or rows of numbers, drawn at random."""
    rng, (n_types, size) = np.random.default_rng(1), network.table.shape
    if embedding is None:
        return rng.normal(size=(N_TOKENS, size)).astype(network.table.dtype)
    lowest = min(int(embedding.mask_zero), n_types - 1)  # a masked id is no token
    return rng.integers(lowest, n_types, N_TOKENS).astype(np.int32)


def chain(model):
    """Return the embedding, and the layers that follow it one by one.

    These are recurrent, or transparent (dropout); what stands above them is never run.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    embedding : keras.layers.Embedding
    layers : list of keras.layers.Layer
        Lowest first; the last is recurrent.

    Raises
    ------
    ValueError
        If the model does not begin so, or a layer of the chain is not known.
    """
    require_model(model)
    layers = [x for x in model.layers if not isinstance(x, keras.layers.InputLayer)]
    if layers and type(layers[0]) in LOOKUPS:
        layers = layers[1:]
    if not layers or not isinstance(layers[0], keras.layers.Embedding):
        instead = f"{REMEDY} One that reads numbers is given `inputs`, and no ids."
        refuse("begin with an Embedding", layers[:2], instead=instead)
    calls = _calls(model)
    embedding = layers[0]
    require_embedding(embedding, calls.get(id(embedding), []))
    path = _path(layers[1:], embedding, calls, begin="Embedding -> recurrent layer")
    if not path:
        refuse("begin Embedding -> recurrent layer", layers[:2])
    return embedding, path


def chain_of_numbers(model):
    """Return how many features a model reads, and its layers one by one.

    These are Dense, below the first that is recurrent; recurrent; or transparent.

    Parameters
    ----------
    model : keras.Model

    Returns
    -------
    n_features : int
    layers : list of keras.layers.Layer
        Lowest first; the last is recurrent.

    Raises
    ------
    ValueError
        If the model reads ids, does not begin so, or a layer of it is not known.
    """
    require_model(model)
    layers = [x for x in model.layers if not isinstance(x, keras.layers.InputLayer)]
    if layers and isinstance(layers[0], (keras.layers.Embedding, *LOOKUPS)):
        instead = "Give it ids, and no `inputs`."
        refuse(
            "read numbers, not ids, to be given `inputs`", layers[:1], instead=instead
        )
    if len(model.inputs) != 1 or len(model.inputs[0].shape) != 3:
        shapes = [tuple(one.shape) for one in model.inputs]
        raise ValueError(
            "mean_state_gradients: the model must have one Input (batch, time, "
            f"feature), received {shapes}. {REMEDY}"
        )
    below = model.inputs[0]._keras_history.operation
    begin = "with recurrent layers, or Dense layers below these"
    path = _path(layers, below, _calls(model), begin=begin, numbers=True)
    if not path:
        refuse(f"begin {begin}", layers[:2])
    dtype = keras.backend.standardize_dtype(model.inputs[0].dtype)
    if dtype not in PRECISIONS:
        refuse(f"have an Input of one of {PRECISIONS}, not of {dtype}", layers[:1])
    n_features = model.inputs[0].shape[-1]
    if n_features is None:
        refuse("have a fixed number of features", layers[:1])
    return int(n_features), path


def _path(layers, below, calls, *, begin, numbers=False):
    """Return the layers that follow `below` one by one, up to the highest recurrent."""
    path = []
    for layer in layers:
        if not _reads(layer, below, calls):
            break
        beside = [x for x in layers if isinstance(x, keras.layers.RNN)]
        beside = [x for x in beside if _reads(x, below, calls)]
        if len(beside) > 1:
            refuse(
                "have recurrent layers one above the other, not side by side",
                beside,
                instead="Give a keras.Model of its inputs and the one that is meant.",
            )
        has_begun = any(map(is_recurrent, path))
        if isinstance(layer, keras.layers.Bidirectional):
            refuse("read forwards only", [layer])
        if numbers and isinstance(layer, keras.layers.Masking):
            refuse("mask no steps", [layer], instead=UNMASKED)
        if type(layer) in TRANSPARENT:
            require_plain(layer)
        elif isinstance(layer, keras.layers.RNN):
            require_recurrent(layer)
        elif numbers and not has_begun and isinstance(layer, DENSE):
            require_dense(layer)
        elif has_begun and not isinstance(layer, TRANSPARENT):
            break  # what reads the chain: it is never run
        else:
            own = "" if numbers else "s"
            refuse(f"begin {begin}{own}, all of Keras's own", [layer])
        _only_input(layer, calls[id(layer)])
        path.append(layer)
        below = layer
        if is_recurrent(layer) and not layer.return_sequences:
            break
    while path and not is_recurrent(path[-1]):
        path.pop()
    return path


def above(model, *, n_layers, words=True):
    """Return the layers that follow a model's highest recurrent one, up to its output.

    Parameters
    ----------
    model : keras.Model
    n_layers : int
        Recurrent layers that are known of.
    words : bool
        Whether it reads ids.

    Raises
    ------
    ValueError
        If they do not follow one by one, or there are more recurrent layers.
    """
    _, path = chain(model) if words else chain_of_numbers(model)
    recurrent = [layer for layer in path if is_recurrent(layer)]
    if len(recurrent) > n_layers:
        raise ValueError(
            "mean_state_gradients: with `influence`, `layer` must be the highest of "
            f"{len(recurrent)} recurrent layers, which the softmax reads, received "
            f"{n_layers}."
        )
    (output,) = model.outputs if len(model.outputs) == 1 else (None,)
    last = None if output is None else output._keras_history.operation
    calls, found = _calls(model), []
    below = path[-1]
    while below is not last:
        readers = [x for x in model.layers if _reads(x, below, calls)]
        if len(readers) != 1:
            refuse("have layers one by one up to one output, for `influence`", readers)
        (below,) = readers
        _only_input(below, calls[id(below)])
        require_plain(below)
        found.append(below)
    return found


def require_dense(layer):
    """Refuse a layer that is no Dense, applied to each step by itself."""
    inner = layer.layer if type(layer) is keras.layers.TimeDistributed else layer
    if type(inner) is not keras.layers.Dense:
        refuse("have Dense layers itself below the recurrent ones", [layer, inner])
    require_plain(layer)
    require_plain(inner)


def is_dense(layer):
    """Return whether a layer of a chain is Dense, rather than transparent."""
    return type(layer) in DENSE


def is_recurrent(layer):
    """Return whether a layer of a chain is recurrent, rather than transparent."""
    return type(layer) in RECURRENT


def _reads(layer, below, calls):
    """Return whether a call of a layer in the model reads the layer `below`."""
    nodes = calls.get(id(layer), [])
    inputs = [tensor for node in nodes for tensor in node.input_tensors[:1]]
    return below in [tensor._keras_history.operation for tensor in inputs]
