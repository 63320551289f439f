"""Loads a reader's own saved Keras model, in Keras's safe mode.

Safe mode runs no code that the file brings along: classes of the reader's own come from
modules that the reader names. (A module is code, and is run.)
"""

import importlib.util
import os
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py

from state_gradients.foundation import checks
from state_gradients.foundation.loading import load_keras
from state_gradients.models import archives, torch_weights
from state_gradients.models.legacy import load_legacy_model

if TYPE_CHECKING:
    import keras

# What zipfile, h5py and json raise on what is no archive, or is damaged.
NO_ARCHIVE = (
    *(OSError, KeyError, ValueError, RuntimeError, NotImplementedError, EOFError),
    *(zipfile.BadZipFile, zlib.error),
)


def _run(module):
    """Import a module by name, or run a ``.py`` file, for the classes it registers."""
    try:
        if not module.endswith(".py"):
            importlib.import_module(module)
            return
        spec = importlib.util.spec_from_file_location(Path(module).stem, module)
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    except (Exception, SystemExit) as error:  # whatever the reader's own code raises
        raise ValueError(
            f"load_model: the module {module!r} of `imports` (--import) must run, "
            f"received {type(error).__name__}: {error}; run it alone to see where."
        ) from error


def load_model(
    path: str | os.PathLike[str], *, imports: Sequence[str | os.PathLike[str]] = ()
) -> "keras.Model":
    """Load a saved Keras model in safe mode, without its optimizer and losses.

    Parameters
    ----------
    path : path-like
        ``MODEL.keras``, as ``model.save`` writes it; ``MODEL.h5``, the format of
        Keras 2, if all its layers are Keras's own
        (:mod:`state_gradients.models.legacy`); or PyTorch's ``MODEL.safetensors``, if
        it says by itself which module is which
        (:func:`state_gradients.models.torch_weights.load_torch`).
    imports : sequence of str or path-like
        Modules, by name or as ``.py`` files, that define the model's own classes with
        ``@keras.saving.register_keras_serializable()``. They are run.

    Returns
    -------
    keras.Model

    Raises
    ------
    ValueError
        If there is no such model, a module does not run, a class is registered by none
        of them (it is named), or loading would run code that the file brings along.
    BackendError
        If no backend is installed that is known to be right.

    Examples
    --------
    >>> import tempfile
    >>> import keras
    >>> import state_gradients as sg
    >>> layers = [keras.layers.Embedding(5, 2), keras.layers.GRU(3)]
    >>> model = keras.Sequential([keras.Input((None,)), *layers])
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/small.keras")
    ...     loaded = sg.load_model(f"{folder}/small.keras")
    >>> [type(layer).__name__ for layer in loaded.layers]
    ['Embedding', 'GRU']
    """
    if Path(path).is_file():
        checks.require_no_pointer(path, "load_model")
        if h5py.is_hdf5(path):
            return load_legacy_model(path)
        if torch_weights.is_of_torch(path):
            return torch_weights.load_torch(path)
    try:
        config = archives.read_config(path)
    except NO_ARCHIVE as error:
        if str(error).startswith("load_model:"):
            raise
        raise ValueError(
            f"load_model: {path} must be a model in Keras's own format, received "
            f"{type(error).__name__}: {error}; write it with model.save('NAME.keras')."
        ) from error
    keras = load_keras()
    from state_gradients.models import cells  # noqa: F401  registers our own cells

    for module in imports:
        _run(str(module))
    archives.require_known(config, path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except (*NO_ARCHIVE, TypeError, AttributeError, IndexError) as error:
        reason = str(error).rpartition("Exception encountered: ")[-1][:500]
        raise ValueError(
            f"load_model: Keras must load {path} in safe mode, received: {reason} "
            "Registered functions need --import, too."
        ) from error
