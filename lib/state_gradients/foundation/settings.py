"""What an experiment is: five frozen groups of settings, read from ``params.yaml``.

The file gives the baseline in full under ``baseline`` and every other experiment by
what differs from it under ``experiments``; a reader's own experiments stand in
``params.local.yaml`` beside it, with an ``experiments`` key only. The project's root
is the nearest parent folder that holds ``params.yaml``.

Whoever builds a group, from the file or in Python, is refused unknown names and wrong
values. Each setting's reason stands beside its default, its bounds in its type.
"""

import dataclasses
import difflib
import functools
import json
import os
from dataclasses import field
from pathlib import Path
from typing import Annotated, Literal, dataclass_transform

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic.dataclasses import dataclass as checked_dataclass

from state_gradients.foundation.checks import short
from state_gradients.foundation.plain_yaml import read_yaml

# Nothing is coerced, but a whole number where a number is declared.
STRICT = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

MOST = 2**31 - 1  # the largest int32, of which sizes and ids are
Positive = Annotated[int, Field(ge=1, le=MOST)]
NotNegative = Annotated[int, Field(ge=0, le=MOST)]
Amount = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]  # 1 would drop everything
FolderName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]*$", max_length=100)]


def _as_tuple(value):
    return tuple(value) if isinstance(value, list) else value  # YAML has no tuples


States = Annotated[tuple[Literal["hidden", "cell"], ...], BeforeValidator(_as_tuple)]


@dataclass_transform(kw_only_default=True, frozen_default=True)
def _checked(cls):
    """Make a class a frozen dataclass that is built by name, of what its types allow.

    It remains a dataclass to ``dataclasses.replace``, ``asdict`` and ``fields``; what
    is refused, and by ``replace`` too, is a ValueError in this project's words.
    """
    cls = checked_dataclass(frozen=True, kw_only=True, config=STRICT)(cls)
    check = cls.__init__

    @functools.wraps(check)
    def __init__(self, *positional, **values):
        try:
            check(self, *positional, **values)
        except ValidationError as error:
            raise ValueError(_in_words(error, cls)) from None

    cls.__init__ = __init__
    return cls


@_checked
class Corpus:
    """The text: a registered name, or a reader's own files."""

    name: str = "ptb"  # PTB with clitics joined, as the paper's normalisation
    vocabulary_size: NotNegative | None = 10_000  # <eos>, <unk> too; None keeps all
    seed: NotNegative = 1  # of generated corpora only
    repeat_eos: Positive = 1  # 2 repeats the doubled end of line of the 2018 paper
    train: str | None = None  # a reader's own text files, all three or none
    valid: str | None = None
    test: str | None = None
    # As the released reader does with WikiText. Without, a line ends where the file's
    # does, so that perplexities compare with the literature.
    eos_at_stops: bool = False


OF_KERAS = "lstm", "gru", "rnn"
OF_OURS = "mingru", "minlstm", "lru", "s6", "slstm"  # state_gradients.models.cells


@_checked
class Model:
    """The language model: embedding, recurrent layers, dropout, softmax."""

    cell: Literal[*OF_KERAS, *OF_OURS] = "lstm"
    units: Positive = 256  # numbers that the softmax reads
    layers: Positive = 1
    embedding: Literal["trained", "frozen", "one-hot"] = "trained"
    embedding_size: Positive = 64
    embedding_file: str | None = None  # word2vec text, for "frozen"
    dropout: Share = 0.5  # on the recurrent output only: the input stays whole
    embedding_dropout: Share = 0.0  # the released code drops 0.5, the paper does not
    initial_range: Amount = 0.05  # uniform(-r, r) for every matrix and softmax bias
    # The width of a cell of ours, if not `units`: its gates look at the input alone and
    # so have few parameters. A matrix makes `units` numbers of it, so that the softmax
    # is the same. An LRU's are complex numbers, an S6's channels of four numbers each.
    recurrent_units: Positive | None = None


@_checked
class Training:
    """The recipe: summed loss, clipping, schedule, early stop."""

    seed: NotNegative = 2  # the paper's best of three, its baseline
    batch_size: Positive = 20
    num_steps: Positive = 200  # delays up to 50 need windows well above 50
    optimizer: Literal["sgd", "adagrad", "adam"] = "sgd"  # adam: the flip-flop only
    learning_rate: Amount = 1.0  # for the loss summed over steps, not averaged
    decay: Amount = 0.8  # learning rate factor of every epoch after `decay_after`
    decay_after: NotNegative = 6
    max_epochs: NotNegative = 39  # as in the released code; 0 leaves the model random
    clip_norm: Amount = 5.0  # global norm, per mini-batch
    min_improvement: Amount = 0.001  # relative, of the validation perplexity ...
    patience: Positive = 3  # ... in each of so many epochs, or training stops
    # Ask, at each word, for the class of the word so many places back, 0 of the word
    # itself, and not for the next word. Without, the network is a language model.
    tags_back: NotNegative | None = None


@_checked
class Gradients:
    """What is averaged into state gradients."""

    split: Literal["train", "valid", "test"] = "valid"
    max_delay: NotNegative = 50  # delays 0..50; the paper compares 0..49
    states: States = ()  # () means every one there is
    groups: Literal["all", "new-tokens"] = "all"  # the latter: synthetic corpus only
    window: Positive | None = None  # 200 cuts the chain as the released code does
    blocks: Positive | None = 64  # stretches of text that intervals are drawn from
    controls: bool = False  # also the text cut at 200 tokens, and shuffled
    n_tokens: Positive | None = None  # the first of the split; None: all that it has


Study = Literal[
    *("types", "classes", "properties", "linear", "positions", "coherence"),
    *("grammar", "tail", "boundaries", "context", "learning", "stretches"),
    *("influence", "layers", "half-lives", "tagged-classes", "forgetting"),
]


@_checked
class Language:
    """What is asked about the words of a text; see `state_gradients.paper.language`."""

    studies: Annotated[tuple[Study, ...], BeforeValidator(_as_tuple)] = ()


GROUPS = {
    group.__name__.lower(): group
    for group in (Corpus, Model, Training, Gradients, Language)
}


# The study of the synthetic corpus splits the cell into the five directions that count,
# and a rest that must not be empty.
LEAST_UNITS_TO_STUDY = 6
FLIP_FLOP = "flip-flop"  # the corpus of numbers; `state_gradients.text.flipflop`
TAGGED = "brown", "brown-half-0", "brown-half-1"  # whose tags can be asked for
WITH_TAGS = (*TAGGED, "mac-morpho", "icepahc")  # whose tokens carry tags
READ_PREDICTIONS = "properties", "positions"  # studies of what word comes next


@_checked
class Experiment:
    """One row of Table 2: a name and its groups of settings."""

    name: FolderName
    corpus: Corpus = field(default_factory=Corpus)
    model: Model = field(default_factory=Model)
    training: Training = field(default_factory=Training)
    gradients: Gradients = field(default_factory=Gradients)
    language: Language = field(default_factory=Language)

    @model_validator(mode="after")
    def _only_the_synthetic_corpus_has_new_tokens(self):
        if self.gradients.groups == "new-tokens" and self.corpus.name != "synthetic":
            raise ValueError(
                "gradients.groups must be 'all', received 'new-tokens', which only the "
                "synthetic corpus has."
            )
        return self

    @model_validator(mode="after")
    def _new_tokens_are_of_the_whole_text(self):
        n_tokens = self.gradients.n_tokens
        if self.gradients.groups == "new-tokens" and n_tokens is not None:
            raise ValueError(
                "gradients.n_tokens must be null where gradients.groups is "
                f"'new-tokens', received {n_tokens}."
            )
        return self

    @model_validator(mode="after")
    def _the_synthetic_corpus_is_studied_in_one_lstm_layer(self):
        model, least = self.model, LEAST_UNITS_TO_STUDY
        can_be_studied = (model.cell, model.layers) == ("lstm", 1)
        if self.corpus.name == "synthetic" and (
            not can_be_studied or model.units < least
        ):
            raise ValueError(
                f"model must be one LSTM layer of at least {least} units on the "
                "synthetic corpus, whose probes read its cell, received "
                f"{model.layers} of {model.cell} with {model.units} units."
            )
        return self

    @model_validator(mode="after")
    def _properties_are_of_classes(self):
        studies = self.language.studies
        if "properties" in studies and "classes" not in studies:
            raise ValueError(
                "language.studies must hold 'classes' beside 'properties', which reads "
                f"the classes' mean gradients, received {list(studies)}."
            )
        return self

    @model_validator(mode="after")
    def _the_grammar_is_studied_in_one_lstm_layer(self):
        """Its truth is that of the generated language, and its gates an LSTM's."""
        if "grammar" not in self.language.studies:
            return self
        model, is_grammar = self.model, self.corpus.name.split("-")[0] == "grammar"
        if not is_grammar or (model.cell, model.layers) != ("lstm", 1):
            raise ValueError(
                "language.studies may hold 'grammar' for one LSTM layer on a corpus "
                f"grammar, grammar-control, .., received {model.layers} of "
                f"{model.cell} on {self.corpus.name}."
            )
        return self

    @model_validator(mode="after")
    def _some_corpora_have_no_words(self):
        without = {"synthetic": "whose tokens are no words", FLIP_FLOP: "of numbers"}
        why = without.get(self.corpus.name)
        if self.language.studies and why:
            raise ValueError(
                f"language.studies must be [] on the {self.corpus.name} corpus, {why}, "
                f"received {list(self.language.studies)}."
            )
        return self

    @model_validator(mode="after")
    def _taggers_need_a_corpus_with_tags(self):
        back, corpus = self.training.tags_back, self.corpus
        if back is not None and (corpus.name not in TAGGED or corpus.eos_at_stops):
            raise ValueError(
                "training.tags_back must be null on a corpus without tags, or with "
                f"corpus.eos_at_stops, received {back} on {corpus.name}; tags are kept "
                f"of {', '.join(TAGGED)}."
            )
        return self

    @model_validator(mode="after")
    def _tagged_classes_need_a_corpus_with_tags(self):
        is_asked = "tagged-classes" in self.language.studies
        if is_asked and self.corpus.name not in WITH_TAGS:
            raise ValueError(
                "language.studies may hold 'tagged-classes' on a corpus whose tokens "
                f"carry tags, {', '.join(WITH_TAGS)}, received {self.corpus.name}."
            )
        return self

    @model_validator(mode="after")
    def _taggers_predict_no_words(self):
        of_words = [name for name in self.language.studies if name in READ_PREDICTIONS]
        if self.training.tags_back is not None and of_words:
            raise ValueError(
                f"language.studies must not hold {of_words[0]!r}, which reads what is "
                "predicted of the next word, where training.tags_back is a number, "
                f"received {self.training.tags_back}."
            )
        return self

    @model_validator(mode="after")
    def _the_flip_flop_is_learnt_by_adam_in_one_state(self):
        is_flip_flop = self.corpus.name == FLIP_FLOP
        if is_flip_flop != (self.training.optimizer == "adam"):
            raise ValueError(
                f"training.optimizer must be 'adam' on the corpus {FLIP_FLOP}, and "
                f"nowhere else, received {self.training.optimizer!r} on "
                f"{self.corpus.name}."
            )
        model = self.model
        if is_flip_flop and (model.cell == "lstm" or model.layers != 1):
            raise ValueError(
                f"model must be one layer of gru or rnn on the corpus {FLIP_FLOP}, "
                "whose study asks where one state rests, received "
                f"{model.layers} of {model.cell}."
            )
        return self

    @model_validator(mode="after")
    def _keras_cells_are_as_wide_as_the_softmax_reads(self):
        if self.model.cell in OF_KERAS and self.model.recurrent_units is not None:
            raise ValueError(
                f"model.recurrent_units must be null for a {self.model.cell}, whose "
                f"width is `units`, received {self.model.recurrent_units}; it is for "
                f"{', '.join(OF_OURS)}."
            )
        return self

    @model_validator(mode="after")
    def _only_an_lstm_has_a_cell_state(self):
        has_cell = self.model.cell in ("lstm", "slstm")
        if "cell" in self.gradients.states and not has_cell:
            raise ValueError(
                f"gradients.states must be ('hidden',) for a {self.model.cell}, "
                f"received {self.gradients.states}."
            )
        return self


# What each kind of fault violates, in terms of a params file; the names are pydantic's.
MUST = {
    "int_type": "be a whole number",
    "float_type": "be a number",
    "finite_number": "be finite",
    "bool_type": "be true or false",
    "string_type": "be text",
    "tuple_type": "be a list",
    "literal_error": "be {expected}",
    "greater_than_equal": "be at least {ge:g}",
    "less_than": "be below {lt:g}",
    "less_than_equal": "be at most {le}",
    "string_too_long": "have at most {max_length} characters",
    "string_pattern_mismatch": "be lower-case letters, digits, '-' and '.'",
    "dataclass_exact_type": "be a {class_name}",
}


def _in_words(error, cls):
    """Return the first fault of a ValidationError: where, what must hold, what came.

    The place is ``group.setting``, so that the experiment's name can stand before it.
    """
    fault = error.errors(include_url=False)[0]
    kind, context = fault["type"], fault.get("ctx", {})
    if kind == "value_error":  # a validator's own words, above
        return str(context["error"])
    group = cls.__name__.lower()
    if kind == "unexpected_positional_argument":
        received = fault["input"]
        received = short(received)
        return f"{group} must be given settings by name, received {received} alone."
    setting = str(fault["loc"][0])
    if not setting.isidentifier() or len(setting) > 80:
        setting = short(setting)
    place = f"{group}.{setting}" if group in GROUPS else setting
    if kind == "unexpected_keyword_argument":
        known = [field.name for field in dataclasses.fields(cls)]
        return f"{place} is no setting; {nearest(setting, known)}"
    if kind == "missing":
        return f"{place} must be given."
    must = MUST.get(kind, "be valid").format(**context)
    return f"{place} must {must}, received {short(fault['input'])}."


# The settings that were there from the first, and are in every hash that was ever
# recorded. Never add to them: see `hashed`.
FROM_THE_FIRST = {
    "corpus": {
        "name", "vocabulary_size", "seed", "repeat_eos", "train", "valid", "test",
    },
    "model": {
        "cell", "units", "layers", "embedding", "embedding_size", "embedding_file",
        "dropout", "embedding_dropout", "initial_range",
    },
    "training": {
        "seed", "batch_size", "num_steps", "optimizer", "learning_rate", "decay",
        "decay_after", "max_epochs", "clip_norm", "min_improvement", "patience",
    },
    "gradients": {
        "split", "max_delay", "states", "groups", "window", "blocks", "controls",
    },
    "language": set(),
}  # fmt: skip


def plain(group):
    """Return the settings of a group as JSON gives them back: tuples are lists."""
    return json.loads(json.dumps(dataclasses.asdict(group)))


def hashed(group):
    """Return the settings of a group by which hashes and records know it, a dict.

    A setting that was added later enters only where it differs from its default, so
    that whatever was made before there was such a setting keeps its hash.

    Parameters
    ----------
    group : Corpus, Model, Training, Gradients or Language
    """
    first = FROM_THE_FIRST[type(group).__name__.lower()]
    default = plain(type(group)())
    return {
        name: value
        for name, value in plain(group).items()
        if name in first or value != default[name]
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


def nearest(name, known):
    """Return what to say of an unknown name: the nearest of the known, or all."""
    near = difflib.get_close_matches(str(name), map(str, known), n=1)
    return f"did you mean {near[0]!r}?" if near else f"known: {sorted(known)}."


def _refuse_unknown(names, known, where):
    for name in names:
        if name not in known:
            hint = nearest(name, known)
            raise ValueError(f"params: unknown name {short(name)} in {where}; {hint}")


def _mapping(values, where, known=None):
    values = {} if values is None else values
    if not isinstance(values, dict):
        raise ValueError(
            f"params: {where} must be a mapping, received {short(values)}."
        )
    _refuse_unknown(values, values if known is None else known, where)
    return values


def _refuse_names_of_no_folder(names):
    for name in names:
        try:
            Experiment(name=name)
        except ValueError as error:
            raise ValueError(f"params: experiments: {error}") from None


def read_params(root=None):
    """Return ``(baseline, experiments)``, two dicts of plain settings.

    Raises
    ------
    ValueError
        If a file cannot be read (see `plain_yaml`), or a name in it is unknown, stands
        in both files, or is that of no folder.
    """
    root = Path(root) if root else project_root()
    files = {
        "params.yaml": ("baseline", "experiments"),
        "params.local.yaml": ("experiments",),
    }
    params, local = (
        _mapping(read_yaml(root / name), name, known) for name, known in files.items()
    )
    experiments, own = (
        _mapping(each.get("experiments"), "experiments") for each in (params, local)
    )
    if twice := sorted(set(experiments) & set(own)):
        raise ValueError(
            f"params: {twice[0]!r} stands in both params files; rename yours."
        )
    _refuse_names_of_no_folder(experiments | own)
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
    changes = _mapping(experiments[name], f"experiments.{name}", GROUPS)
    values = {}
    for group in GROUPS:
        base, own = (
            _mapping(each.get(group), f"{name}.{group}") for each in (baseline, changes)
        )
        values[group] = base | own
    try:
        groups = {group: GROUPS[group](**values[group]) for group in GROUPS}
        return Experiment(name=name, **groups)
    except ValueError as error:
        raise ValueError(f"params: {name}.{error}") from None
