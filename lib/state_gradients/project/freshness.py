"""Whether an artifact is what would be made now, by the record of what made it.

An artifact is fresh while what made it is what would make it now: the settings of its
stage, the corpus, the stage's recipe number and the arrays of its upstream artifacts.
File times never enter. Each upstream artifact's own record is nested in the record, so
that a file can be judged although an upstream file is too large to be kept.
"""

import contextlib
import json

from state_gradients.foundation import settings
from state_gradients.project.kinds import KINDS, STAGES
from state_gradients.text import corpora, vectors


def _settings(experiment, stage, embedding_hash=None):
    """Return the settings of a stage by group, and the hash of a frozen embedding.

    The hash is that of the vectors as they stand now, unless it is given.
    """
    found = {
        group: settings.hashed(getattr(experiment, group))
        for group in STAGES[stage].groups
    }
    model = found.get("model", {})
    if model.get("embedding") == "frozen":
        with contextlib.suppress(FileNotFoundError):  # on a machine without the vectors
            model["embedding_hash"] = embedding_hash or vectors.fingerprint(
                model["embedding_file"]
            )
    return found


def describe(experiment, kind, upstream, read=None):
    """Return the attributes by which an artifact is judged later, nested ones as JSON.

    Parameters
    ----------
    experiment : settings.Experiment
    kind : str
    upstream : dict of str to xarray.Dataset
        The artifacts that it is made from, by kind.
    read : dict of str, optional
        The fingerprints of what the stage has read, ``corpus`` and ``embedding_hash``:
        a file may be another by now. Those that are left out are taken now.
    """
    read = read or {}
    stage = KINDS[kind].stage
    uses_corpus = "corpus" in STAGES[stage].groups
    corpus = uses_corpus and (
        read.get("corpus") or corpora.fingerprint(experiment.corpus)
    )
    made_from = {name: record(data.attrs) for name, data in upstream.items()}
    return {
        "experiment": experiment.name,
        "kind": kind,
        "stage": stage,
        "recipe": STAGES[stage].recipe,
        "seed": experiment.training.seed,
        "config": json.dumps(_settings(experiment, stage, read.get("embedding_hash"))),
        "corpus": corpus if uses_corpus else "",
        "upstream": json.dumps(made_from),
    }


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
    for group, recorded in _settings(experiment, made["stage"]).items():
        default = settings.plain(settings.GROUPS[group]())
        then, now = default | made["config"].get(group, {}), default | recorded
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
