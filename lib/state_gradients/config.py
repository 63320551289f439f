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
import types
import typing
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
    ("gradients", "states"): ("hidden", "cell"),
    ("gradients", "groups"): ("all", "new-tokens"),
}
AT_LEAST_ONE = {"repeat_eos", "units", "layers", "embedding_size", "batch_size"}
AT_LEAST_ONE |= {"num_steps", "patience", "window"}
BELOW_ONE = {"dropout", "embedding_dropout"}


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


def _mapping(values, where):
    if values is not None and not isinstance(values, dict):
        raise ValueError(f"params: {where} must be a mapping, received {values!r}.")
    return values or {}


def _checked(group, values, where):
    """Build one frozen group, refusing unknown names, types, choices and sizes."""
    fields = {f.name: f.type for f in dataclasses.fields(GROUPS[group])}
    _refuse_unknown(values, fields, f"{where}.{group}")
    kept = {}
    for name, value in values.items():
        kind = fields[name]  # int, say, int | None or tuple[str, ...]
        union = isinstance(kind, types.UnionType)
        kinds = typing.get_args(kind) if union else (typing.get_origin(kind) or kind,)
        if kind is float and type(value) is int:
            value = float(value)
        if kinds == (tuple,) and isinstance(value, list):
            value = tuple(value)
        allowed, must = CHOICES.get((group, name)), None
        chosen = value if isinstance(value, tuple) else (value,)
        number = type(value) in (int, float)
        if type(value) not in kinds:
            must = f"be a {kinds[0].__name__}"
        elif allowed and not all(one in allowed for one in chosen):
            must = f"be one of {allowed}"
        elif number and not 0 <= value < float("inf"):
            must = "not be negative" if value < 0 else "be finite"
        elif number and name in AT_LEAST_ONE and value < 1:
            must = "be at least 1"
        elif name in BELOW_ONE and value >= 1:
            must = "be below 1"
        if must:
            raise ValueError(
                f"params: {where}.{group}.{name} must {must}, received {value!r}."
            )
        kept[name] = value
    return GROUPS[group](**kept)


def _read(path):
    try:
        values = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else None
    except yaml.YAMLError as error:
        raise ValueError(f"params: {path} must be YAML, received {error}") from error
    return _mapping(values, path)


def read_params(root=None):
    """Return ``(baseline, experiments)``, two dicts of plain settings."""
    root = Path(root) if root else project_root()
    params, local = _read(root / "params.yaml"), _read(root / "params.local.yaml")
    _refuse_unknown(params, ("baseline", "experiments"), "params.yaml")
    _refuse_unknown(local, ("experiments",), "params.local.yaml")
    baseline = _mapping(params.get("baseline"), "baseline")
    experiments, own = (
        _mapping(each.get("experiments"), "experiments") for each in (params, local)
    )
    twice = sorted(set(experiments) & set(own))
    if twice:
        raise ValueError(
            f"params: {twice[0]!r} stands in both params files; rename yours."
        )
    return baseline, experiments | own


def experiment_names(root=None):
    """Return the names of all experiments, the published ones first."""
    return list(read_params(root)[1])


def load_experiment(name, *, root=None):
    """Return the :class:`Experiment` called `name`, resolved against the baseline.

    Raises
    ------
    ValueError
        If the name, a setting, a type or a choice is unknown (the nearest is named), or
        two settings contradict each other.
    """
    baseline, experiments = read_params(root)
    _refuse_unknown([name], experiments, "experiments")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name):
        raise ValueError(
            "params: an experiment's name must be lower-case letters, digits, '-' and "
            f"'.', received {name!r}."
        )
    changes = _mapping(experiments[name], f"experiments.{name}")
    _refuse_unknown(baseline, GROUPS, "baseline")
    _refuse_unknown(changes, GROUPS, f"experiments.{name}")
    both = {
        group: [
            _mapping(each.get(group), f"{name}.{group}") for each in (baseline, changes)
        ]
        for group in GROUPS
    }
    groups = {group: _checked(group, a | b, name) for group, (a, b) in both.items()}
    experiment = Experiment(name=name, **groups)
    wanted, cell = experiment.gradients, experiment.model.cell
    if wanted.groups == "new-tokens" and experiment.corpus.name != "synthetic":
        raise ValueError(
            f"params: {name}.gradients.groups must be 'all', received 'new-tokens', "
            "which only the synthetic corpus has."
        )
    if "cell" in wanted.states and cell != "lstm":
        raise ValueError(
            f"params: {name}.gradients.states must be ('hidden',) for a {cell}, "
            f"received {wanted.states}."
        )
    return experiment
