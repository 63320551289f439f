"""What a ``.keras`` archive may hold, checked before Keras reads any of it.

Such a file is a zip: a configuration in JSON, which names classes, and weights in
HDF5. Keras's safe mode refuses code, but it looks up whatever class is named, reads
files that a vocabulary names, and inflates what it is given. So this is read first: the
zip's directory, for names, sizes and methods; the weights, for data that are elsewhere;
the configuration, for its classes. A class is known by where Keras defines it, or it is
registered by a module that the reader names.
"""

import io
import json
import re
import sys
import zipfile
from pathlib import Path

import h5py

from state_gradients.foundation.checks import short
from state_gradients.foundation.loading import load_keras
from state_gradients.models.legacy import (
    objects_of,
    require_plausible,
    require_self_contained,
)

CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MEMBERS = re.compile(r"config\.json|metadata\.json|model\.weights\.h5|assets/.*")
METHODS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
# Keras stores its members as they are; weights that somebody has packed again shrink to
# no less than a twentieth, for their mantissas are noise. Small files may be all JSON.
MOST_INFLATED, SMALL = 20, 2**20
LONGEST_JSON = 2**26  # bytes: a vocabulary of three million words
HOMES = tuple(  # where Keras defines what only computes
    f"keras.src.{part}"
    for part in (
        *("models", "ops", "initializers", "regularizers", "constraints"),
        *("dtype_policies", "quantizers", "losses", "metrics", "optimizers"),
        *("layers.core", "layers.activations", "layers.attention", "layers.rnn"),
        *("layers.convolutional", "layers.merging", "layers.normalization"),
        *("layers.pooling", "layers.regularization", "layers.reshaping"),
        *("layers.preprocessing",),
    )
)
FUNCTIONS = "activations", "ops", "initializers", "losses", "metrics"
PLAIN = (  # values that Keras writes as if they were objects
    *("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__"),
    "__slice__",
)
LAMBDA = "keras.src.layers.core.lambda_layer"  # which runs the code in its options


def read_config(path):
    """Return the configuration of an archive whose members are whole and its own.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict

    Raises
    ------
    ValueError
        If a member inflates to far more than is stored, climbs out of the archive, is
        none of Keras's, or refers to other files.
    OSError, KeyError, RuntimeError, zipfile.BadZipFile
        If the file is no archive, has no configuration, or is damaged.
    """
    with zipfile.ZipFile(path) as archive:
        _require_members(archive, path)
        config = archive.read(CONFIG)  # no more than its stated size
        weights = archive.read(WEIGHTS)
    config = json.loads(config)
    if not isinstance(config, dict) or "class_name" not in config:
        raise ValueError(f"{CONFIG} describes no model: {short(config)}")
    require_plausible(config, path, size=len(weights))
    with h5py.File(io.BytesIO(weights), "r") as file:
        require_self_contained(file, path, size=len(weights))
    return config


def _require_members(archive, path):
    """Refuse a zip by its directory alone: names, methods and stated sizes."""
    members, size = archive.infolist(), Path(path).stat().st_size
    names = [member.filename for member in members]
    for name in names:
        parts = name.replace("\\", "/").split("/")
        if not MEMBERS.fullmatch(name) or ".." in parts or names.count(name) > 1:
            raise ValueError(
                f"load_model: {path} must hold what Keras writes ({CONFIG}, {WEIGHTS}, "
                f"assets/), each once, received {short(name)}; write the model again "
                "with model.save('NAME.keras')."
            )
    stated = sum(member.file_size for member in members)
    texts = [member for member in members if member.filename.endswith(".json")]
    longest = max((member.file_size for member in texts), default=0)
    odd = [m for m in members if m.compress_type not in METHODS or m.flag_bits & 1]
    if stated > MOST_INFLATED * size + SMALL or longest > LONGEST_JSON or odd:
        raise ValueError(
            f"load_model: {path} must hold its data itself, received {size:,} bytes "
            f"that are to inflate to {stated:,}{' by another method' if odd else ''}; "
            "write the model again with model.save('NAME.keras')."
        )


def require_known(config, path):
    """Refuse every object of a configuration whose code is not known.

    Parameters
    ----------
    config : dict
        Of :func:`read_config`; how the model was compiled is not looked at, nor used.
    path : path-like
        Named in errors.

    Raises
    ------
    ValueError
        If there is a Lambda, a vocabulary in another file, a class that is neither
        registered nor one of Keras's that only compute.
    """
    model = {key: part for key, part in config.items() if key != "compile_config"}
    missing = set()
    for name, module, registered, options in objects_of(model):
        if isinstance(options, dict):
            _require_own_vocabulary(name, options, path)
        if name == "function":
            if not _is_known_function(options, registered):
                missing.add(str(options))
        elif not (
            name in PLAIN
            or _is_registered(registered or name)
            or _only_computes(name, module, registered)
        ):
            missing.add(_full_name(name, module, registered))
    if missing & {"__lambda__", "keras.layers.Lambda"}:
        raise ValueError(
            f"load_model: {path} must hold no Lambda layer, whose code only Keras's "
            "unsafe mode would run. Put a registered layer in its place, or save the "
            "layers up to the recurrent ones alone."
        )
    if missing:
        raise ValueError(
            f"load_model: the classes of {path} must be registered, received "
            f"{short(sorted(missing))} without their code. Name the module or file "
            "that defines them (--import MODULE or FILE.py), each with "
            "@keras.saving.register_keras_serializable() when the model was saved."
        )


def _full_name(name, module, registered):
    """Return what an object is called in an error."""
    if registered and registered != name:
        return str(registered)
    return f"{module}.{name}" if module else str(name)


def _is_registered(name):
    known = load_keras().saving.get_registered_object
    return isinstance(name, str) and known(name) is not None


def _only_computes(name, module, registered):
    """Return whether Keras defines a class of that name in one of `HOMES`.

    Nothing is imported: what Keras has not loaded by itself is not known.
    """
    if not (isinstance(name, str) and isinstance(module, str)):
        return False
    home = sys.modules.get(module)
    is_keras = home is not None and module.split(".")[0] == "keras"
    if not is_keras or registered not in (None, name):
        return False
    kind = vars(home).get(name)
    if not isinstance(kind, type) or kind.__module__ == LAMBDA:
        return False
    return any(f"{kind.__module__}.".startswith(f"{place}.") for place in HOMES)


def _is_known_function(name, registered):
    """Return whether a function is registered, or one of Keras's that compute."""
    if not isinstance(name, str):
        return False
    modules = [getattr(load_keras(), part) for part in FUNCTIONS]
    if any(callable(vars(module).get(name)) for module in modules):
        return True
    return _is_registered(name) or _is_registered(registered)


def _require_own_vocabulary(name, options, path):
    """Refuse a vocabulary that is the path of a file, which Keras would read."""
    if isinstance(options.get("vocabulary"), str):
        raise ValueError(
            f"load_model: {path} must hold its vocabulary itself, received a {name} "
            f"that reads {short(options['vocabulary'])}; give the layer the words as a "
            "list, and save the model again."
        )
