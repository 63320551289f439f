"""Checkpoints of a training: one HDF5 file an epoch, whole or as it was before.

Each holds the trained weights, the optimizer's sums of squares and the history so far,
in a folder whose name tells the settings and the text: whatever else is trained never
meets its checkpoint. Settings that only say when to stop do not enter: a training may
be asked to go on.
"""

import hashlib
import json
from pathlib import Path

import h5py
import numpy as np

from state_gradients.foundation.atomic import replacing
from state_gradients.foundation.settings import hashed, project_root
from state_gradients.text import corpora, vectors

STOPPING = ("max_epochs", "min_improvement", "patience")


def checkpoint_path(experiment, *, root=None):
    """Return where the checkpoint of an experiment's training stands."""
    corpus, model = hashed(experiment.corpus), hashed(experiment.model)
    if experiment.model.embedding == "frozen":
        model["embedding_hash"] = vectors.fingerprint(experiment.model.embedding_file)
    recipe = hashed(experiment.training)
    recipe = {name: value for name, value in recipe.items() if name not in STOPPING}
    made_by = [corpora.fingerprint(experiment.corpus), corpus, model, recipe]
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
    folder = Path(root or project_root()) / "_work" / f"{experiment.name}-{digest[:8]}"
    return folder / "checkpoint.h5"


def save_checkpoint(path, values, squares, history):
    """Write lists of arrays `values` and `squares`, and a dict of columns."""
    with replacing(path) as temporary, h5py.File(temporary, "w") as file:
        for name, arrays in (("values", values), ("squares", squares)):
            file.create_group(name)
            for place, array in enumerate(arrays):
                file[f"{name}/{place}"] = array
        for name, column in history.items():
            file[f"history/{name}"] = np.asarray(column, np.float64)


def load_checkpoint(path):
    """Return what :func:`save_checkpoint` wrote."""
    with h5py.File(path) as file:
        values, squares = (
            [file[f"{name}/{place}"][()] for place in range(len(file[name]))]
            for name in ("values", "squares")
        )
        return values, squares, {k: list(v) for k, v in file["history"].items()}
