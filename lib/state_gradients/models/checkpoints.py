"""Checkpoints of a training: one HDF5 file an epoch, whole or as it was before.

Each holds the trained weights, the optimizer's sums of squares and the history so far,
in a folder whose name tells the settings and the text: whatever else is trained never
meets its checkpoint. Settings that only say when to stop do not enter: a training may
be asked to go on.

Beside it the encoders of single epochs may be kept: a file each, of the same form, that
holds embedding and recurrent weights and the history up to its epoch.

A checkpoint carries a hash of all that it holds. One that was written before there was
a hash is taken by what can be seen of it: shapes, lengths, and that all is finite.
"""

import hashlib
import json
import re
from pathlib import Path

import h5py
import numpy as np

from state_gradients.foundation.atomic import replacing
from state_gradients.foundation.checks import short
from state_gradients.foundation.settings import hashed, project_root
from state_gradients.text import corpora, vectors

CURVES = ("train_perplexity", "valid_perplexity", "learning_rate", "seconds")
STOPPING = ("max_epochs", "min_improvement", "patience")
# What HDF5 raises for a file that is none, and for what is not there or is a group.
BROKEN = (OSError, KeyError, ValueError, RuntimeError, TypeError, AttributeError)


def checkpoint_path(experiment, *, root=None, read=None):
    """Return where the checkpoint of an experiment's training stands.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
    root : path-like, optional
    read : dict of str, optional
        The fingerprints of what the training has read, ``corpus`` and
        ``embedding_hash``; those that are left out are taken now.
    """
    read = read or {}
    corpus, model = hashed(experiment.corpus), hashed(experiment.model)
    if experiment.model.embedding == "frozen":
        file = experiment.model.embedding_file
        model["embedding_hash"] = read.get("embedding_hash") or vectors.fingerprint(
            file
        )
    recipe = hashed(experiment.training)
    recipe = {name: value for name, value in recipe.items() if name not in STOPPING}
    text = read.get("corpus") or corpora.fingerprint(experiment.corpus)
    made_by = [text, corpus, model, recipe]
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
    folder = Path(root or project_root()) / "_work" / f"{experiment.name}-{digest[:8]}"
    return folder / "checkpoint.h5"


def save_checkpoint(path, values, squares, history):
    """Write lists of arrays `values` and `squares`, and a dict of columns."""
    history = {name: np.asarray(column, float) for name, column in history.items()}
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for name, arrays in (("values", values), ("squares", squares)):
            file.create_group(name)
            for place, array in enumerate(arrays):
                file[f"{name}/{place}"] = array
        for name, column in history.items():
            file[f"history/{name}"] = column
        file.attrs["content"] = _content_hash(values, squares, history)


def kept_path(path, epoch):
    """Return where the encoder of an epoch is kept, beside the checkpoint `path`."""
    return path.with_name(f"encoder-{epoch:04d}.h5")


def kept_epochs(path):
    """Return the epochs whose encoders are kept beside a checkpoint, in order."""
    names = (file.name for file in path.parent.glob("encoder-*.h5"))
    found = (re.fullmatch(r"encoder-(\d{4,})\.h5", name) for name in names)
    return sorted(int(match[1]) for match in found if match)


def load_checkpoint(path, *, shapes=None, has_squares=None):
    """Return what :func:`save_checkpoint` wrote.

    Parameters
    ----------
    path : pathlib.Path
    shapes : list of tuple of int, optional
        What the values must have, if the checkpoint is to be gone on from.
    has_squares : bool, optional
        With `shapes`: whether the optimizer keeps sums of squares, of these shapes.

    Returns
    -------
    values, squares : list of ndarray
    history : dict of list of float
        The columns are `CURVES`, one value an epoch.

    Raises
    ------
    ValueError
        If the file is not whole, its contents are not those that were written, or its
        arrays are those of another model.
    """
    try:
        with h5py.File(path) as file:
            values, squares = (_arrays(file[name]) for name in ("values", "squares"))
            history = file["history"]
            columns = {name: np.asarray(history[name][()]) for name in CURVES}
            written = file.attrs.get("content")
    except BROKEN as error:
        said = " ".join(str(error).split())
        raise _not_whole(path, f"it is truncated or damaged ({said})") from error
    if written is not None and written != _content_hash(values, squares, columns):
        raise _not_whole(path, "its contents differ from the hash written with them")
    if fault := _visible_fault(values, squares, columns):
        raise _not_whole(path, fault)
    if shapes is not None:
        wanted = [*shapes, *shapes] if has_squares else [*shapes]
        held = [array.shape for array in (*values, *squares)]
        if held != wanted:
            raise _not_whole(
                path, f"it holds arrays of shapes {short(held)}, not {short(wanted)}"
            )
    return values, squares, {name: [*map(float, c)] for name, c in columns.items()}


def _not_whole(path, fault):
    return ValueError(
        f"train: {path} must hold the checkpoint of this training, but {fault}; put a "
        "whole copy in its place, or train with --restart, which replaces it."
    )


def _arrays(group):
    return [np.asarray(group[str(place)][()]) for place in range(len(group))]


def _visible_fault(values, squares, columns):
    """Return what cannot be of any checkpoint, None if there is nothing."""
    lengths = {name: np.shape(column) for name, column in columns.items()}
    one = next(iter(lengths.values()))
    if set(lengths.values()) != {one} or len(one) != 1 or one == (0,):
        return f"its history has not as many epochs in each column: {lengths}"
    for array in (*values, *squares, *columns.values()):
        if array.dtype.kind != "f" or not np.isfinite(array).all():
            return "it holds what is no finite number"
    if len(squares) not in (0, len(values)):
        return f"it holds {len(squares)} sums of squares of {len(values)} values"
    return None


def _content_hash(values, squares, history):
    """Return the SHA-256 of types, shapes and bytes, in the order of the lists."""
    digest = hashlib.sha256()
    columns = [history[name] for name in sorted(history)]
    for name, arrays in (("values", values), ("squares", squares), ("", columns)):
        digest.update(f"{name} {len(arrays)}".encode())
        for array in arrays:
            array = np.ascontiguousarray(array)
            array = array.astype(array.dtype.newbyteorder("<"), copy=False)
            digest.update(f"{array.dtype.str} {array.shape}".encode())
            digest.update(array.tobytes())
    return digest.hexdigest()
