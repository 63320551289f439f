"""What an artifact depends on: stages, kinds, and the record that judges them later.

An artifact is fresh while what made it is what would make it now: the settings of its
stage, the corpus, the stage's recipe number and the arrays of its upstream artifacts.
File times never enter. Each upstream artifact's own record is nested in the record, so
that a file can be judged although an upstream file is too large to be kept.
"""

import contextlib
import dataclasses
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime

import numpy as np

from state_gradients import config, corpora, vectors


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the results of a stage depend on, apart from its upstream artifacts."""

    recipe: int  # raise it whenever the stage computes something else than before
    groups: tuple[str, ...]  # groups of an experiment's settings


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of artifact: its stage, its upstream kinds, its required variables."""

    stage: str
    upstream: list[str] = field(default_factory=list)
    schema: dict = field(default_factory=dict)  # variable -> dims, None for any dims
    suffix: str = ".nc"


STAGES = {
    "train": Stage(recipe=1, groups=("corpus", "model", "training")),
    "extract": Stage(recipe=2, groups=("corpus", "gradients")),
    "analyse": Stage(recipe=2, groups=()),
}

KINDS = {name: Kind(**about) for name, about in config.shipped("kinds.yaml").items()}
BASELINE = "ptb-lstm-256"
LIBRARIES = "state-gradients tensorflow jax keras numpy scipy scikit-learn xarray"


def expected(experiment):
    """Return ``{kind: kept}``: what the three stages make, and whether git keeps it.

    The mean gradients of most experiments are too large to be kept; full weights are
    made where a result needs them: for the baseline and on the synthetic corpus.
    """
    synthetic = experiment.corpus.name == "synthetic"
    full = synthetic or experiment.name == BASELINE
    made = ["training", "encoder", *["weights"] * full, "gradients", "spectra"]
    made += ["probes"] * synthetic + ["controls"] * experiment.gradients.controls
    made += ["intervals"] * bool(experiment.gradients.blocks)
    return dict.fromkeys(made, True) | {"gradients": full}


def content_hash(dataset):
    """Return the SHA-256 of names, dims, types and values; attributes do not enter."""
    digest = hashlib.sha256()
    for name, variable in sorted(dataset.variables.items()):
        values = np.ascontiguousarray(variable.values)
        if values.dtype.kind in "OUS":  # strings come back as another string type
            kind, data = "str", json.dumps(values.astype(str).tolist()).encode()
        else:
            values = values.astype(values.dtype.newbyteorder("<"), copy=False)
            kind, data = values.dtype.str, values.tobytes()
        head = [name, list(variable.dims), list(variable.shape), kind]
        digest.update(json.dumps(head).encode() + data)
    return digest.hexdigest()


def _plain(settings):
    # tuples as the lists they are read back as
    return json.loads(json.dumps(dataclasses.asdict(settings)))


def _settings(experiment, stage):
    """Return the settings of a stage by group, and the hash of a frozen embedding."""
    found = {g: _plain(getattr(experiment, g)) for g in STAGES[stage].groups}
    model = found.get("model", {})
    if model.get("embedding") == "frozen":
        with contextlib.suppress(FileNotFoundError):  # on a machine without the vectors
            model["embedding_hash"] = vectors.fingerprint(model["embedding_file"])
    return found


def describe(dataset, experiment, kind, *, upstream, root, wall_time=None):
    """Return the attributes that say what made an artifact, nested ones as JSON."""
    stage = KINDS[kind].stage
    uses_corpus = "corpus" in STAGES[stage].groups
    made_from = {name: record(data.attrs) for name, data in upstream.items()}
    attrs = {
        "experiment": experiment.name,
        "kind": kind,
        "stage": stage,
        "recipe": STAGES[stage].recipe,
        "seed": experiment.training.seed,
        "config": json.dumps(_settings(experiment, stage)),
        "corpus": corpora.fingerprint(experiment.corpus) if uses_corpus else "",
        "upstream": json.dumps(made_from),
        "content": content_hash(dataset),
        "versions": json.dumps(_versions()),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "git_commit": _git(root, "rev-parse", "HEAD").strip(),
        "git_dirty": int(bool(_git(root, "status", "--porcelain", "-uno"))),
    }
    return attrs | ({} if wall_time is None else {"wall_time_s": float(wall_time)})


def _versions():
    found = {"python": platform.python_version()}
    if keras := sys.modules.get("keras"):  # imported by the stages that need it
        found["backend"] = keras.config.backend()
    for library in LIBRARIES.split():
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def _git(root, *arguments):
    command = ["git", "-C", str(root), *arguments]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True)
    return "unknown"


def record(attrs):
    """Return the part of an artifact's attributes that decides on its freshness."""
    nested = {key: json.loads(attrs[key]) for key in ("config", "upstream")}
    plain = {key: str(attrs[key]) for key in ("stage", "corpus", "content")}
    return nested | plain | {"recipe": int(attrs["recipe"])}


def _is_other_text(corpus, fingerprint):
    try:
        return corpora.fingerprint(corpus) != fingerprint
    except FileNotFoundError:  # a reader's own text, on a machine without it
        return False


def changes(made, experiment, current):
    """Return what differs between a record and what would make the artifact now.

    `made` is a :func:`record`; ``current(kind)`` returns the record of a file as it is
    now, None if there is none. The list of phrases is empty if the artifact is fresh.
    A setting that did not exist when it was made counts as its default, and one that
    has gone is ignored: neither may change results unless the recipe is raised.
    """
    stage, found = STAGES[made["stage"]], []
    for group, now in _settings(experiment, made["stage"]).items():
        then = _plain(config.GROUPS[group]()) | made["config"].get(group, {})
        found += [
            f"{group}.{key}: {then.get(key, 'unknown')} -> {value}"
            for key, value in now.items()
            if value != then.get(key, "unknown")
        ]
    corpus = experiment.corpus
    if made["corpus"] and not found and _is_other_text(corpus, made["corpus"]):
        found.append(f"the corpus {corpus.name}: other text")
    if made["recipe"] != stage.recipe:
        found.append(f"recipe of {made['stage']}: {made['recipe']} -> {stage.recipe}")
    for kind, then in made["upstream"].items():
        now = current(kind)
        if now is not None and now["content"] != then["content"]:
            found.append(f"{kind}: other content")
        found += changes(now or then, experiment, current)
    return list(dict.fromkeys(found))
