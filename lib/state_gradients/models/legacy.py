"""Reads models in HDF5 (``.h5``), the format of Keras 2, which Keras 3 still writes.

Such a file describes its layers in JSON and names its weights. Only these two are read:
every class in the JSON must be one of Keras's own, known by name, and what Keras 2
called otherwise is renamed, where it means the same.
"""

import json
import math
import tempfile
from pathlib import Path

import h5py

from state_gradients.foundation.checks import short
from state_gradients.foundation.loading import load_keras

MODELS = ("Sequential", "Functional", "Model")
LAYERS = (  # they compute with their weights, and neither run code nor open files
    "InputLayer",
    *("Embedding", "LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional"),
    *("LSTMCell", "GRUCell", "SimpleRNNCell", "StackedRNNCells"),
    *("Dense", "TimeDistributed", "Activation", "ReLU", "LeakyReLU", "Softmax"),
    *("Dropout", "SpatialDropout1D", "GaussianNoise", "GaussianDropout"),
    *("ActivityRegularization", "BatchNormalization", "LayerNormalization"),
    *("Attention", "AdditiveAttention", "MultiHeadAttention"),
    *("Add", "Average", "Concatenate", "Dot", "Maximum", "Multiply", "Subtract"),
    *("Flatten", "Masking", "Permute", "RepeatVector", "Reshape"),
    *("Conv1D", "MaxPooling1D", "AveragePooling1D"),
    *("GlobalMaxPooling1D", "GlobalAveragePooling1D"),
)
RECURRENT = ("LSTM", "GRU", "SimpleRNN", "LSTMCell", "GRUCell", "SimpleRNNCell")
OTHERS = ("DTypePolicy", "Policy", "__keras_tensor__")  # precisions, arguments of calls
# What h5py and Keras raise on files that are damaged or describe no model.
_NOT_WHOLE = (OSError, KeyError, TypeError, AttributeError, ValueError, RuntimeError)
PARTS = ("initializers", "regularizers", "constraints")  # modules of harmless classes


def load_legacy_model(path):
    """Load a model in HDF5, whose classes must all be Keras's own.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    keras.Model

    Raises
    ------
    ValueError
        If the file is damaged, or refers to other files, a class is not one of
        `LAYERS`, or the weights do not bear the names of the layers'.
    """
    try:
        with h5py.File(path, "r") as file:
            require_self_contained(file, path, size=Path(path).stat().st_size)
            config = _config(file, path)
            _require_known(config, path)
            require_plausible(config, path, size=Path(path).stat().st_size)
            if _is_keras_2(file):
                _mend(config, path)
            model = _load(file, config)
            _require_same_names(model, file["model_weights"], path)
    except _NOT_WHOLE as error:
        if str(error).startswith("load_model:"):
            raise
        raise ValueError(
            f"load_model: Keras must load {path}, received {type(error).__name__}: "
            f"{str(error)[:500]} Is the file whole? Where it was made, write it with "
            "model.save('NAME.keras')."
        ) from error
    return model


def _load(file, config):
    """Load a copy of the file, of which no more than this can be read."""
    keras = load_keras()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "model.h5")
        with h5py.File(copy, "w") as target:
            target.attrs["model_config"] = json.dumps(config)
            file.copy("model_weights", target)
        return keras.saving.load_model(copy, compile=False, safe_mode=True)


def require_self_contained(file, path, *, size):
    """Refuse links, data in other files, and data that are larger than the file.

    Parameters
    ----------
    file : h5py.File
    path : path-like
        Named in errors.
    size : int
        Of the file, in bytes.

    Raises
    ------
    ValueError
        With the name of the link or of the data.
    """
    links = {}
    file.visititems_links(lambda name, link: links.update({name: link}))
    for name, link in links.items():
        if not isinstance(link, h5py.HardLink):
            raise ValueError(
                f"load_model: {path} must hold its data itself, received a "
                f"{type(link).__name__} at {name!r}; write it again with model.save."
            )
        data = file[name]
        if not isinstance(data, h5py.Dataset):
            continue
        if data.external or data.is_virtual or data.nbytes > size:
            raise ValueError(
                f"load_model: {path} must hold its data itself, received {name!r} of "
                f"{data.nbytes:,} bytes that are not in the file; write it again with "
                "model.save."
            )


def require_plausible(config, path, *, size):
    """Refuse layers of more weights than there are bytes, before any is built.

    Parameters
    ----------
    config : dict or list
        Of a model.
    path : path-like
        Named in errors.
    size : int
        Of the weights, in bytes.

    Raises
    ------
    ValueError
        With the layer and its size.
    """
    for name, _, _, options in objects_of(config):
        options = options if isinstance(options, dict) else {}
        keys = ("input_dim", "output_dim") if name == "Embedding" else ("units",)
        numbers = [options.get(key) for key in keys]
        if not all(type(number) is int for number in numbers):
            continue
        least = math.prod(numbers) if name not in RECURRENT else numbers[0] ** 2
        if least > 2 * size:  # the shortest numbers, of four bits, are two a byte
            raise ValueError(
                f"load_model: {path} must hold the weights of its layers, received "
                f"{size:,} bytes for {name} of {' x '.join(map(short, numbers))}; "
                "write the model again with model.save."
            )


def _config(file, path):
    if "model_config" not in file.attrs or "model_weights" not in file:
        raise ValueError(
            f"load_model: {path} must hold a model, its layers and weights, received "
            f"{sorted(file.attrs) + sorted(file)}. Weights alone do not say what to do "
            "with them: build the model, model.load_weights, model.save('NAME.keras')."
        )
    try:
        return json.loads(file.attrs["model_config"])
    except ValueError as error:
        raise ValueError(
            f"load_model: {path} must describe its layers in JSON, received {error}; "
            "write it again with model.save."
        ) from None


def _require_known(config, path):
    """Refuse every class, anywhere in a configuration, that is not known by name."""
    keras = load_keras()
    known = {*MODELS, *LAYERS, *OTHERS}
    for part in PARTS:
        module = getattr(keras, part)
        known |= {name for name in dir(module) if isinstance(vars(module)[name], type)}
    for name, module, registered, _ in objects_of(config):
        is_keras = not module or str(module).split(".")[0] == "keras"
        if name not in known or not is_keras or registered not in (None, name):
            raise ValueError(
                f"load_model: {path} must be made of Keras's own layers, received "
                f"{registered or name!r}"
                f"{'' if is_keras else f' of {module}'}. In HDF5 no other class is "
                "read: write the model with model.save('NAME.keras') where its "
                "classes are defined, or save the layers up to the recurrent ones "
                "alone."
            )


def objects_of(config):
    """Yield every object's class_name, module, registered_name and own config.

    What bears a module or a registered name is an object as well, though it may lack
    a class: Keras would look it up.
    """
    if isinstance(config, dict):
        keys = "class_name", "module", "registered_name", "config"
        if any(key in config for key in keys[:3]):
            yield tuple(config.get(key) for key in keys)
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from objects_of(part)


def _is_keras_2(file):
    version = file.attrs.get("keras_version", "2")
    version = version.decode() if isinstance(version, bytes) else str(version)
    return int(version.split(".")[0]) < 3


def _mend(config, path):
    """Rename what Keras 2 called otherwise, in place; refuse what it computed so."""
    if isinstance(config, list):
        for part in config:
            _mend(part, path)
        return
    if not isinstance(config, dict):
        return
    options, name = config.get("config"), config.get("class_name")
    for key in ("module", "registered_name", "build_config"):  # where Keras 2 had it
        config.pop(key, None)
    if name == "Sequential":
        if isinstance(options, list):  # before Keras 2.2.3
            options = config["config"] = {"name": "sequential", "layers": options}
        _begin_with_input(options["layers"])
    elif name in LAYERS:
        _mend_layer(name, options, path)
    for part in config.values():
        _mend(part, path)


def _begin_with_input(layers):
    """Give a Sequential the InputLayer that Keras 2 kept in its first layer."""
    first = layers[0]
    if first["class_name"] == "InputLayer":
        return
    shape = first["config"].get("batch_input_shape")
    if shape is not None:
        config = {"batch_shape": shape, "dtype": "float32", "name": "input_of_keras_2"}
        layers.insert(0, {"class_name": "InputLayer", "config": config})


def _mend_layer(name, options, path):
    shape = options.pop("batch_input_shape", None)
    if name == "InputLayer" and shape is not None:
        options["batch_shape"] = shape
    for option in ("implementation", "input_length"):
        options.pop(option, None)  # how fast; how long, which the input says, too
    if options.pop("time_major", False):
        raise ValueError(
            f"load_model: {path} must have layers with time_major=False, received "
            f"{options.get('name')}, whose first axis is time; Keras 3 has none such."
        )
    if name in ("GRU", "GRUCell"):
        options.setdefault("reset_after", False)  # the only one before Keras 2.1.5
    activations = options.get("activation"), options.get("recurrent_activation")
    if "hard_sigmoid" in activations:
        raise ValueError(
            f"load_model: {path} must not use Keras 2's hard_sigmoid, clip(0.2 x + "
            f"0.5), as its layer {options.get('name')} does: Keras 3 calls "
            "clip(x / 6 + 0.5) so, and would compute something else. Train it with "
            "sigmoid, or give the weights to a cell of your own (--import)."
        )


def _require_same_names(model, group, path):
    """Refuse weights that were given to layers or variables of another name."""
    in_model = {
        layer.name: [w.name for w in layer.trainable_weights]
        + [w.name for w in layer.non_trainable_weights]
        for layer in model.layers
        if layer.weights
    }
    in_file = {}
    for layer in _names(group, "layer_names"):
        if weights := _names(group[layer], "weight_names"):
            in_file[layer] = [w.split("/")[-1].split(":")[0] for w in weights]
    if list(in_model.items()) != list(in_file.items()):
        raise ValueError(
            f"load_model: {path} must hold the weights {in_model}, in this order, "
            f"received {in_file}; write it again with model.save."
        )


def _names(group, key):
    """Return an attribute's names; Keras splits long lists into key0, key1, ..."""
    parts = []
    while f"{key}{len(parts)}" in group.attrs:
        parts.append(group.attrs[f"{key}{len(parts)}"])
    parts = parts or [group.attrs[key]]
    names = [name for part in parts for name in part]
    return [n.decode() if isinstance(n, bytes) else str(n) for n in names]
