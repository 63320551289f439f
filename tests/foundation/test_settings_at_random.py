"""Settings of any kind make a group that holds to its types, or a ValueError."""

import dataclasses
import math

import pytest
import yaml
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from state_gradients.foundation import settings

MANY = hypothesis_settings(hypothesis_settings.get_profile("many"))
NAMES = [
    (group, field.name)
    for group, cls in settings.GROUPS.items()
    for field in dataclasses.fields(cls)
]
CHOICES = ("lstm", "gru", "rnn", "sgd", "frozen", "valid", "cell", "hidden", "all")
# Both sides of every bound, often: a setting is drawn once in forty.
EDGES = (-1, 0, 1, 3, 2**31 - 1, 2**31, 10**400)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from(EDGES)
    | st.floats()
    | st.sampled_from(CHOICES)
    | st.text(max_size=5)
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
SETTINGS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=4)


def holds(experiment):
    """Whether every setting is of its type and within its bounds, by hand."""
    model, recipe, wanted = experiment.model, experiment.training, experiment.gradients
    whole = [model.units, model.layers, model.embedding_size, recipe.batch_size]
    whole += [recipe.num_steps, recipe.patience, experiment.corpus.repeat_eos]
    counts = [experiment.corpus.seed, recipe.seed, recipe.decay_after]
    counts += [recipe.max_epochs, wanted.max_delay]
    counts += [experiment.corpus.vocabulary_size or 0]
    perhaps = [n for n in (wanted.window, wanted.blocks) if n is not None]
    rates = [model.dropout, model.embedding_dropout]
    amounts = [model.initial_range, recipe.learning_rate, recipe.clip_norm]
    return (
        all(type(n) is int and 1 <= n < 2**31 for n in whole + perhaps)
        and all(type(n) is int and 0 <= n < 2**31 for n in counts)
        and all(type(rate) is float and 0 <= rate < 1 for rate in rates)
        and all(math.isfinite(a) and a >= 0 and type(a) is float for a in amounts)
        and model.cell in ("lstm", "gru", "rnn")
        and recipe.optimizer in ("sgd", "adagrad")
        and wanted.split in ("train", "valid", "test")
        and type(wanted.states) is tuple
        and set(wanted.states) <= {"hidden", "cell"}
        and type(wanted.controls) is bool
        and type(experiment.corpus.name) is str
    )


@MANY
@given(values=SETTINGS)
def test_settings_are_right_or_refused(values):
    groups = {group: {} for group in settings.GROUPS}
    for (group, name), value in values:
        groups[group][name] = value
    try:
        built = {name: settings.GROUPS[name](**groups[name]) for name in groups}
        experiment = settings.Experiment(name="any", **built)
    except ValueError as error:
        assert "\n" not in str(error) and len(str(error)) < 500
    else:
        assert holds(experiment)


@MANY
@given(at=st.sampled_from(NAMES), value=st.sampled_from(EDGES))
def test_numbers_at_the_bounds_are_right_or_refused(at, value):
    group, name = at
    try:
        built = settings.GROUPS[group](**{name: value})
        experiment = settings.Experiment(name="any", **{group: built})
    except ValueError as error:
        assert len(str(error)) < 500
    else:
        assert holds(experiment)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A folder for all examples; beside those of other tests, never above them."""
    return tmp_path_factory.mktemp("any")


@MANY
@given(written=SETTINGS, name=st.text(max_size=8), flow=st.booleans())
def test_params_are_read_as_they_are_written_or_refused(root, written, name, flow):
    groups = {}
    for (group, setting), value in written:
        groups.setdefault(group, {})[setting] = value
    text = yaml.safe_dump({"experiments": {name: groups}}, default_flow_style=flow)
    (root / "params.yaml").write_text(text, "utf-8")
    try:
        experiment = settings.load_experiment(name, root=root)
    except ValueError as error:
        assert str(error).startswith("params: ")
        assert "\n" not in str(error) and len(str(error)) < 1000
    else:
        assert experiment.name == name and holds(experiment)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@MANY
@given(
    content=st.binary(max_size=60)
    | st.text("{}[]&*!:-,? \n\"'ab<1", max_size=60).map(str.encode)
)
def test_any_bytes_are_params_or_refused_in_one_line(root, content):
    (root / "params.yaml").write_bytes(content)
    try:
        settings.read_params(root)
    except ValueError as error:
        assert str(error).startswith("params: ")
        assert "\n" not in str(error) and len(str(error)) < 1000
