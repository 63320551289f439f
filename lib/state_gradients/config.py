"""What an experiment is: four frozen groups of settings, read from ``params.yaml``.

The file gives the baseline in full under ``baseline`` and every other experiment by
what differs from it under ``experiments``; a reader's own experiments stand in
``params.local.yaml`` beside it, with an ``experiments`` key only. The project's root
is the nearest parent folder that holds ``params.yaml``.
"""

import dataclasses
import difflib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """The text: a registered name, or a reader's own files."""

    name: str = "ptb"  # PTB with clitics joined, as the paper's normalisation
    vocabulary_size: int | None = 10_000  # <eos> and <unk> included; None keeps all
    seed: int = 1  # of generated corpora only
    repeat_eos: int = 1  # 2 repeats the doubled end of line of the 2018 paper
    train: str | None = None  # a reader's own text files, all three or none
    valid: str | None = None
    test: str | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """The language model: embedding, recurrent layers, dropout, softmax."""

    cell: str = "lstm"  # "lstm", "gru" or "rnn"
    units: int = 256
    layers: int = 1
    embedding: str = "trained"  # "trained", "frozen" (from a file) or "one-hot"
    embedding_size: int = 64
    embedding_file: str | None = None  # word2vec text format, for "frozen"
    dropout: float = 0.5  # on the recurrent output only: the input stays whole
    embedding_dropout: float = 0.0  # the released code drops 0.5, the paper does not
    initial_range: float = 0.05  # uniform(-r, r) for every matrix and softmax bias


@dataclass(frozen=True, kw_only=True)
class Training:
    """The recipe: summed loss, clipping, schedule, early stop."""

    seed: int = 2  # the paper's best of three, its baseline
    batch_size: int = 20
    num_steps: int = 200  # delays up to 50 need windows well above 50
    optimizer: str = "sgd"  # "sgd" or "adagrad"
    learning_rate: float = 1.0  # for the loss summed over steps, not averaged
    decay: float = 0.8  # learning rate factor of every epoch after `decay_after`
    decay_after: int = 6
    max_epochs: int = 39  # as in the released configurations; 0 leaves the model random
    clip_norm: float = 5.0  # global norm, per mini-batch
    min_improvement: float = 0.001  # relative, of the validation perplexity ...
    patience: int = 3  # ... in each of so many epochs, or training stops


@dataclass(frozen=True, kw_only=True)
class Gradients:
    """What is averaged into state gradients."""

    split: str = "valid"
    max_delay: int = 50  # delays 0..50; the paper compares 0..49
    states: tuple[str, ...] = ()  # () means every state of the cell
    groups: str = "all"  # "all", or "new-tokens" on the synthetic corpus
    window: int | None = None  # 200 cuts the chain as the released code does


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One row of Table 2: a name and its four groups of settings."""

    name: str
    corpus: Corpus = field(default_factory=Corpus)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    gradients: Gradients = field(default_factory=Gradients)


GROUPS = {
    "corpus": Corpus,
    "model": Model,
    "training": Training,
    "gradients": Gradients,
}
CHOICES = {
    ("model", "cell"): ("lstm", "gru", "rnn"),
    ("model", "embedding"): ("trained", "frozen", "one-hot"),
    ("training", "optimizer"): ("sgd", "adagrad"),
    ("gradients", "split"): ("train", "valid", "test"),
    ("gradients", "groups"): ("all", "new-tokens"),
}


def project_root(start=None):
    """Return the nearest folder at or above `start` that holds ``params.yaml``.

    The environment variable ``STATE_GRADIENTS_ROOT`` overrides the search.

    Raises
    ------
    FileNotFoundError
        If there is none.
    """
    start = Path(start or os.environ.get("STATE_GRADIENTS_ROOT") or Path.cwd())
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "params.yaml").is_file():
            return folder
    raise FileNotFoundError(
        f"project_root: a folder at or above {start} must hold params.yaml; run inside "
        "the project or set STATE_GRADIENTS_ROOT."
    )


def _refuse_unknown(names, known, where):
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known: {sorted(known)}."
            raise ValueError(f"params: unknown name {name!r} in {where}; {hint}")


def _checked(group, values, where):
    """Build one frozen group, refusing unknown names, types and choices."""
    fields = {f.name: f for f in dataclasses.fields(GROUPS[group])}
    _refuse_unknown(values, fields, f"{where}.{group}")
    kept = {}
    for name, value in values.items():
        default = fields[name].default
        if isinstance(default, float) and type(value) is int:
            value = float(value)
        if isinstance(default, tuple) and isinstance(value, list):
            value = tuple(value)
        optional = value is None and "None" in str(fields[name].type)
        if default is not None and not optional and type(value) is not type(default):
            raise ValueError(
                f"params: {where}.{group}.{name} must be a "
                f"{type(default).__name__}, received {value!r}."
            )
        allowed = CHOICES.get((group, name))
        if allowed and value not in allowed:
            raise ValueError(
                f"params: {where}.{group}.{name} must be one of {allowed}, "
                f"received {value!r}."
            )
        if type(value) in (int, float) and value < 0:
            raise ValueError(
                f"params: {where}.{group}.{name} must not be negative, "
                f"received {value!r}."
            )
        kept[name] = value
    return GROUPS[group](**kept)


def _read(path):
    values = yaml.safe_load(path.read_text()) if path.is_file() else None
    if values is not None and not isinstance(values, dict):
        raise ValueError(f"params: {path} must hold a mapping of settings.")
    return values or {}


def read_params(root=None):
    """Return ``(baseline, experiments)``, two dicts of plain settings."""
    root = Path(root) if root else project_root()
    params, local = _read(root / "params.yaml"), _read(root / "params.local.yaml")
    _refuse_unknown(params, ("baseline", "experiments"), "params.yaml")
    _refuse_unknown(local, ("experiments",), "params.local.yaml")
    baseline = params.get("baseline") or {}
    experiments = dict(params.get("experiments") or {})
    twice = sorted(set(experiments) & set(local.get("experiments") or {}))
    if twice:
        raise ValueError(
            f"params: {twice[0]!r} stands in both params files; rename yours."
        )
    return baseline, experiments | (local.get("experiments") or {})


def experiment_names(root=None):
    """Return the names of all experiments, the published ones first."""
    return list(read_params(root)[1])


def load_experiment(name, *, root=None):
    """Return the :class:`Experiment` called `name`, resolved against the baseline.

    Raises
    ------
    ValueError
        If the name, a setting, a type or a choice is unknown; the nearest is named.
    """
    baseline, experiments = read_params(root)
    _refuse_unknown([name], experiments, "experiments")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise ValueError(
            "params: an experiment's name must be lower-case letters, digits, '-' and "
            f"'.', received {name!r}."
        )
    changes = experiments[name] or {}
    _refuse_unknown(baseline, GROUPS, "baseline")
    _refuse_unknown(changes, GROUPS, f"experiments.{name}")
    groups = {
        group: _checked(
            group, (baseline.get(group) or {}) | (changes.get(group) or {}), name
        )
        for group in GROUPS
    }
    return Experiment(name=name, **groups)
