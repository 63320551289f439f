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
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args, get_origin

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

    cell: Literal["lstm", "gru", "rnn"] = "lstm"
    units: int = 256
    layers: int = 1
    embedding: Literal["trained", "frozen", "one-hot"] = "trained"
    embedding_size: int = 64
    embedding_file: str | None = None  # word2vec text, for "frozen"
    dropout: float = 0.5  # on the recurrent output only: the input stays whole
    embedding_dropout: float = 0.0  # the released code drops 0.5, the paper does not
    initial_range: float = 0.05  # uniform(-r, r) for every matrix and softmax bias


@dataclass(frozen=True, kw_only=True)
class Training:
    """The recipe: summed loss, clipping, schedule, early stop."""

    seed: int = 2  # the paper's best of three, its baseline
    batch_size: int = 20
    num_steps: int = 200  # delays up to 50 need windows well above 50
    optimizer: Literal["sgd", "adagrad"] = "sgd"
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

    split: Literal["train", "valid", "test"] = "valid"
    max_delay: int = 50  # delays 0..50; the paper compares 0..49
    states: tuple[Literal["hidden", "cell"], ...] = ()  # () means every one there is
    groups: Literal["all", "new-tokens"] = "all"  # the latter: synthetic corpus only
    window: int | None = None  # 200 cuts the chain as the released code does
    blocks: int | None = 64  # stretches of text that intervals are drawn from
    controls: bool = False  # also the text cut at 200 tokens, and shuffled


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One row of Table 2: a name and its four groups of settings."""

    name: str
    corpus: Corpus = field(default_factory=Corpus)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    gradients: Gradients = field(default_factory=Gradients)


GROUPS = {
    group.__name__.lower(): group for group in (Corpus, Model, Training, Gradients)
}
AT_LEAST_ONE = {"repeat_eos", "units", "layers", "embedding_size", "batch_size"}
AT_LEAST_ONE |= {"num_steps", "patience", "window", "blocks"}
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


def nearest(name, known):
    """Return what to say of an unknown name: the nearest of the known, or all."""
    near = difflib.get_close_matches(str(name), map(str, known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {sorted(known)}."


def _refuse_unknown(names, known, where):
    for name in names:
        if name not in known:
            hint = nearest(name, known)
            raise ValueError(f"params: unknown name {name!r} in {where}; {hint}")


def _mapping(values, where, known=None):
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ValueError(f"params: {where} must be a mapping, received {values!r}.")
    _refuse_unknown(values, values if known is None else known, where)
    return values


def _fault(name, kind, value):
    """Return what a setting declared as `kind` must be but is not, or None."""
    if isinstance(kind, types.UnionType):  # int | None, say
        if value is None:
            return None
        kind = get_args(kind)[0]
    several = get_origin(kind) is tuple
    if several and type(value) is not tuple:
        return "be a tuple"
    if allowed := get_args(get_args(kind)[0] if several else kind):
        fits = all(one in allowed for one in (value if several else (value,)))
        return None if fits else f"be one of {allowed}"
    if type(value) is not kind:
        return f"be a {kind.__name__}"
    if kind is str:
        return None
    if not 0 <= value < float("inf"):
        return "not be negative" if value < 0 else "be finite"
    if name in AT_LEAST_ONE and value < 1:
        return "be at least 1"
    return "be below 1" if name in BELOW_ONE and value >= 1 else None


def _checked(group, values, where):
    """Build one frozen group of settings, refusing unknown names and wrong values."""
    kinds = {f.name: f.type for f in dataclasses.fields(GROUPS[group])}
    _refuse_unknown(values, kinds, f"{where}.{group}")
    kept = dict(values)
    for name, value in values.items():
        if kinds[name] is float and type(value) is int:
            kept[name] = float(value)
        elif get_origin(kinds[name]) is tuple and type(value) is list:
            kept[name] = tuple(value)
        if must := _fault(name, kinds[name], kept[name]):
            raise ValueError(
                f"params: {where}.{group}.{name} must {must}, received {kept[name]!r}."
            )
    return GROUPS[group](**kept)


def _read(path, known):
    try:
        values = yaml.safe_load(path.read_text("utf-8")) if path.is_file() else None
    except yaml.YAMLError as error:
        raise ValueError(f"params: {path} must be YAML, received {error}") from error
    return _mapping(values, path.name, known)


def read_params(root=None):
    """Return ``(baseline, experiments)``, two dicts of plain settings."""
    root = Path(root) if root else project_root()
    params = _read(root / "params.yaml", ("baseline", "experiments"))
    local = _read(root / "params.local.yaml", ("experiments",))
    experiments, own = (
        _mapping(each.get("experiments"), "experiments") for each in (params, local)
    )
    if twice := sorted(set(experiments) & set(own)):
        raise ValueError(
            f"params: {twice[0]!r} stands in both params files; rename yours."
        )
    return _mapping(params.get("baseline"), "baseline", GROUPS), experiments | own


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
    changes = _mapping(experiments[name], f"experiments.{name}", GROUPS)
    groups = {}
    for group in GROUPS:
        base, own = (
            _mapping(each.get(group), f"{name}.{group}") for each in (baseline, changes)
        )
        groups[group] = _checked(group, base | own, name)
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
