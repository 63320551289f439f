"""A tiny project with valid artifacts, for the tests of artifacts and the ledger."""

import numpy as np
import xarray as xr

from state_gradients.foundation import settings
from state_gradients.project import artifacts
from state_gradients.project.kinds import KINDS, expected

PARAMS = """\
baseline:
  corpus: {name: ptb}
  gradients: {blocks: null}
experiments:
  ptb-lstm-256: {}
  ptb-lstm-256-untrained: {training: {max_epochs: 0}}
  ptb-gru-256: {model: {cell: gru}}
  synthetic-seed1: &synthetic
    corpus: {name: synthetic, vocabulary_size: null}
    model: {embedding: one-hot, embedding_size: 4}
    training: {seed: 1}
  synthetic-seed2:
    <<: *synthetic
    training: {seed: 2}
"""
SIZES = {
    "vocabulary": 4,
    "epoch": 3,
    "state_kind": 2,
    "group": 1,
    "delay": 3,
    "state": 2,
    "embedding": 4,
    "normalization": 2,
    "component": 4,
    "direction": 3,
}
LABELS = {
    "vocabulary": ["the", "<eos>", "ü", "<unk>"],
    "state_kind": ["cell", "hidden"],
    "group": ["all"],
    "normalization": ["raw", "whitened"],
    "delay": [0, 1, 2],
}
ABOUT = {"long_name": "a number", "units": "1", "equation": "test"}


def make_project(root):
    (root / "params.yaml").write_text(PARAMS)
    return root


def dataset(kind, seed=0, **scalars):
    """Return a Dataset of random numbers that fits the schema of `kind`."""
    rng, made = np.random.default_rng(seed), xr.Dataset()
    for name, dims in KINDS[kind].schema.items():
        dims = ("a", "b") if dims is None else dims
        if dims != [name]:
            values = rng.random([SIZES.get(dim, 2) for dim in dims])
            made[name] = (dims, values.astype("float32"), dict(ABOUT))
    for name, value in scalars.items():
        made[name] = ((), value, dict(ABOUT))
    return made.assign_coords({d: v for d, v in LABELS.items() if d in made.dims})


def fill(root, name, kinds=None, seed=0):
    """Save artifacts of one experiment, all that its stages make by default."""
    experiment = settings.load_experiment(name, root=root)
    for kind in kinds or expected(experiment):
        artifacts.save(dataset(kind, seed), experiment, kind, root=root)
    return experiment


def states(root, name=None):
    """Return ``{(experiment, kind): state}``."""
    table = artifacts.status(root, name and [name])
    return {(r.experiment, r.kind): r.state for r in table.itertuples()}
