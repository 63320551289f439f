import dataclasses

import pytest
import yaml

from state_gradients.foundation import settings

BASELINE = """
baseline:
  corpus: {name: ptb}
  model: {units: 8}
  training: {learning_rate: 1.0}
  gradients: {max_delay: 5}
experiments:
  base: {}
  wide: {model: {units: 16}}
"""


@pytest.fixture
def project(tmp_path):
    (tmp_path / "params.yaml").write_text(BASELINE)
    return tmp_path


def add(project, setting):
    path = project / "params.yaml"
    path.write_text(f"{path.read_text()}  new: {setting}\n")
    return project


def test_an_experiment_is_the_baseline_and_what_differs(project):
    wide = settings.load_experiment("wide", root=project)
    base = settings.load_experiment("base", root=project)
    assert (wide.name, wide.model.units, base.model.units) == ("wide", 16, 8)
    assert dataclasses.replace(wide, name="base", model=base.model) == base
    # what neither says is the dataclass's default
    assert wide.training == dataclasses.replace(settings.Training(), learning_rate=1.0)


def test_settings_are_frozen_and_keyword_only(project):
    base = settings.load_experiment("base", root=project)
    with pytest.raises(dataclasses.FrozenInstanceError):
        base.model.units = 3
    with pytest.raises(dataclasses.FrozenInstanceError):
        base.model = settings.Model()
    with pytest.raises(ValueError, match="model must be given settings by name, rec"):
        settings.Model("lstm")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("{model: {unit: 3}}", "new.model.unit is no setting; did you mean 'units'"),
        ("{model: {on: 3}}", "must name things by text, received 'on', which YAML"),
        ("{modle: {units: 3}}", "'modle' in experiments.new; did you mean 'model'"),
        ("{model: {qqqq: 3}}", "new.model.qqqq is no setting; known: .*'units'"),
        ("{model: {units: many}}", "units must be a whole number, received 'many'"),
        ("{model: {units: '1'}}", "units must be a whole number, received '1'"),
        ("{model: {units: 2.0}}", "units must be a whole number, received 2.0"),
        ("{model: {units: true}}", "units must be a whole number, received True"),
        ("{model: {units: null}}", "units must be a whole number, received None"),
        ("{model: {units: 0}}", "new.model.units must be at least 1, received 0"),
        ("{training: {seed: -1}}", "new.training.seed must be at least 0, received -1"),
        ("{training: {patience: 0}}", "new.training.patience must be at least 1"),
        (
            "{training: {decay: '1'}}",
            "new.training.decay must be a number, received '1",
        ),
        (
            "{training: {decay: true}}",
            "new.training.decay must be a number, received T",
        ),
        ("{training: {decay: -0.1}}", "decay must be at least 0, received -0.1"),
        ("{training: {clip_norm: .nan}}", "clip_norm must be finite, received nan"),
        ("{training: {clip_norm: .inf}}", "clip_norm must be finite, received inf"),
        ("{model: {dropout: 1}}", "new.model.dropout must be below 1, received 1"),
        (
            "{model: {cell: lstmm}}",
            "new.model.cell must be 'lstm', 'gru', 'rnn', 'mingru', ",
        ),
        (
            "{training: {optimizer: adamm}}",
            "optimizer must be 'sgd', 'adagrad' or 'adam', rec",
        ),
        ("{gradients: {split: dev}}", "split must be 'train', 'valid' or 'test', rec"),
        ("{gradients: {states: cell}}", "states must be a list, received 'cell'"),
        ("{gradients: {states: [memory]}}", "states must be 'hidden' or 'cell', rec"),
        ("{gradients: {window: '200'}}", "new.gradients.window must be a whole number"),
        ("{gradients: {window: 0}}", "new.gradients.window must be at least 1"),
        ("{gradients: {n_tokens: 0}}", "new.gradients.n_tokens must be at least 1"),
        (
            "{corpus: {name: synthetic}, gradients: {groups: new-tokens, n_tokens: 9}}",
            "gradients.n_tokens must be null where gradients.groups is 'new-tokens'",
        ),
        ("{gradients: {controls: 1}}", "controls must be true or false, received 1"),
        ("{corpus: {train: 5}}", "new.corpus.train must be text, received 5"),
        ("{corpus: {eos_at_stops: 'no'}}", "must be true or false, received 'no'"),
        ("{model: 5}", "new.model must be a mapping, received 5"),
        (
            "{gradients: {groups: new-tokens}}",
            "new.gradients.groups must be 'all', .* only the synthetic corpus has",
        ),
        (
            "{model: {cell: gru}, gradients: {states: [cell]}}",
            r"new.gradients.states must be \('hidden',\) for a gru, received",
        ),
        ("{", "params.yaml must be YAML, received: "),
    ],
)
def test_wrong_settings_are_refused_by_name(project, setting, message):
    with pytest.raises(ValueError, match=message) as refused:
        settings.load_experiment("new", root=add(project, setting))
    assert str(refused.value).startswith("params: ")
    assert "pydantic" not in str(refused.value)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: settings.Model(unitz=3), "model.unitz is no setting; did you mean 'u"),
        (
            lambda: settings.Training(batch_size=0),
            "training.batch_size must be at least",
        ),
        (lambda: settings.Experiment(), "name must be given."),
        (lambda: settings.Experiment(name="A b"), "name must be lower-case .* 'A b'"),
        (
            lambda: settings.Experiment(name="new", model={"units": 3}),
            "model must be a Model, received {'units': 3}",
        ),
        (
            lambda: settings.Experiment(name="new", model=settings.Training()),
            "model must be a Model, received Training",
        ),
        (
            lambda: settings.Experiment(
                name="new",
                model=settings.Model(cell="rnn"),
                gradients=settings.Gradients(states=("cell",)),
            ),
            "gradients.states must be .* for a rnn, received",
        ),
        (
            lambda: dataclasses.replace(settings.Model(), units=0),
            "model.units must be at least 1, received 0",
        ),
        (
            lambda: dataclasses.replace(settings.Model(), unit=3),
            "model.unit is no setting; did you mean 'units'",
        ),
    ],
)
def test_wrong_settings_are_refused_in_python_too(build, message):
    with pytest.raises(ValueError, match=f"^{message}") as refused:
        build()
    assert "pydantic" not in str(refused.value)


def test_a_fault_without_words_of_its_own_still_names_place_and_value(monkeypatch):
    monkeypatch.delitem(settings.MUST, "int_type")
    with pytest.raises(
        ValueError, match=r"^model.units must be valid, received 'x'\.$"
    ):
        settings.Model(units="x")


def test_settings_remain_dataclasses_that_compare_and_hash():
    one, same = (settings.Experiment(name="one") for _ in range(2))
    assert one == same
    assert len({one, same, dataclasses.replace(one, name="two")}) == 2
    assert dataclasses.asdict(one)["model"]["units"] == 256
    assert [field.name for field in dataclasses.fields(one)][1:] == [*settings.GROUPS]


# ------------------------------------------------------------ what enters a hash


def test_the_settings_from_the_first_are_hashed_whatever_their_value():
    for name, group in settings.GROUPS.items():
        names = {field.name for field in dataclasses.fields(group)}
        assert settings.FROM_THE_FIRST[name] <= names
        assert settings.hashed(group()).keys() == settings.FROM_THE_FIRST[name]
    states = settings.Gradients(states=("cell",))
    assert settings.hashed(states)["states"] == ["cell"]  # as JSON gives it back


def test_a_setting_added_later_enters_only_where_it_differs_from_its_default():
    @settings._checked
    class Model(settings.Model):
        peepholes: bool = False
        kinds: tuple[str, ...] = ()

    before = settings.hashed(settings.Model(units=3))
    assert settings.hashed(Model(units=3)) == before
    assert settings.hashed(Model(units=3, peepholes=False, kinds=())) == before
    more = settings.hashed(Model(units=3, peepholes=True, kinds=("a",)))
    assert more == before | {"peepholes": True, "kinds": ["a"]}


def test_line_ends_at_stops_were_added_later():
    before = settings.hashed(settings.Corpus())
    assert settings.hashed(settings.Corpus(eos_at_stops=False)) == before
    at_stops = settings.hashed(settings.Corpus(eos_at_stops=True))
    assert at_stops == before | {"eos_at_stops": True}


def test_right_settings_are_converted_to_their_type(project):
    setting = "{training: {learning_rate: 2}, gradients: {states: [cell, hidden]}}"
    new = settings.load_experiment("new", root=add(project, setting))
    assert new.training.learning_rate == 2.0
    assert type(new.training.learning_rate) is float
    assert new.gradients.states == ("cell", "hidden")


def test_settings_that_may_be_absent_may_be_null(project):
    setting = "{corpus: {vocabulary_size: null}, gradients: {window: 200}}"
    new = settings.load_experiment("new", root=add(project, setting))
    assert new.corpus.vocabulary_size is None
    assert new.gradients.window == 200


def test_an_unknown_experiment_is_refused_with_the_nearest(project):
    with pytest.raises(ValueError, match="'wid' in experiments; did you mean 'wide'"):
        settings.load_experiment("wid", root=project)


def test_an_experiments_name_is_a_folder_name(project):
    path = project / "params.yaml"
    path.write_text(f"{path.read_text()}  ../up: {{}}\n")
    with pytest.raises(ValueError, match=r"received '\.\./up'"):
        settings.load_experiment("../up", root=project)


def test_a_readers_experiments_stand_beside_the_published_ones(project):
    local = project / "params.local.yaml"
    local.write_text("experiments: {mine: {model: {units: 4}}}\n")
    assert settings.experiment_names(project) == ["base", "wide", "mine"]
    assert settings.load_experiment("mine", root=project).model.units == 4
    local.write_text("experiments: {wide: {}}\n")
    with pytest.raises(ValueError, match="'wide' stands in both"):
        settings.experiment_names(project)
    local.write_text("baseline: {model: {units: 4}}\n")
    with pytest.raises(ValueError, match=r"'baseline' in params\.local\.yaml"):
        settings.experiment_names(project)


def test_the_projects_root_is_the_nearest_folder_with_params(project, monkeypatch):
    deep = project / "a" / "b"
    deep.mkdir(parents=True)
    assert settings.project_root(deep) == project
    monkeypatch.chdir(deep)
    monkeypatch.delenv("STATE_GRADIENTS_ROOT", raising=False)
    assert settings.project_root() == project
    (deep / "params.yaml").write_text(BASELINE)
    assert settings.project_root() == deep
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(project))
    assert settings.project_root() == project


def test_outside_a_project_the_error_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match="set STATE_GRADIENTS_ROOT"):
        settings.project_root(tmp_path)


def test_every_published_experiment_loads(root):
    names = settings.experiment_names(root)
    assert {"synthetic-seed1", "ptb-lstm-256", "ptb-lstm-256-untrained"} <= set(names)
    for name in names:
        assert settings.load_experiment(name, root=root).name == name


def test_the_baseline_in_full_is_what_the_defaults_say(root):
    # the reasons stand beside the defaults: the two must not drift apart
    baseline = settings.load_experiment("ptb-lstm-256", root=root)
    alone = settings.Gradients(controls=True)  # measured on the baseline only
    asked = settings.Language(
        studies=(
            *("types", "classes", "properties", "linear", "positions"),
            *("coherence", "tail", "boundaries", "context", "stretches"),
            *("layers", "influence", "half-lives", "forgetting"),
        )
    )
    assert baseline == settings.Experiment(
        name="ptb-lstm-256", gradients=alone, language=asked
    )
    stated, _ = settings.read_params(root)
    for group in ("model", "training"):
        fields = {f.name for f in dataclasses.fields(settings.GROUPS[group])}
        assert fields - set(stated[group]) <= {
            *("embedding_file", "recurrent_units", "tags_back"),
        }


def test_twins_differ_from_the_baseline_in_one_group(root):
    baseline = settings.load_experiment("ptb-lstm-256", root=root)
    twin = settings.load_experiment("ptb-lstm-256-untrained", root=root)
    untrained = dataclasses.replace(baseline.training, max_epochs=0)
    # which results are made, not how
    asked = settings.Language(
        studies=("linear", "tail", "influence", "context", "forgetting")
    )
    same = dataclasses.replace(baseline, gradients=settings.Gradients(), language=asked)
    assert twin == dataclasses.replace(same, name=twin.name, training=untrained)


def test_the_lock_is_hashed_and_names_no_place(root):
    text = (root / "requirements.lock").read_text()
    lines = [x for x in text.splitlines() if not x.lstrip().startswith("#")]
    pins = [x for x in "\n".join(lines).replace("\\\n", " ").splitlines() if x]
    assert len(pins) > 100
    assert all("==" in pin and " --hash=sha256:" in pin for pin in pins)
    names = {pin.split("==")[0] for pin in pins}
    assert {"tensorflow", "keras", "jupyter-book", "pytest", "setuptools"} <= names
    assert not [name for name in names if "nvidia" in name or "cuda" in name]
    assert "jupyter-book==1.0.4.post1" in text
    for place in ("://", "--index", "--find-links", "file:", str(root)):
        assert place not in text


def test_the_conda_environment_is_python_and_the_lock(root):
    environment = yaml.safe_load((root / "environment.yml").read_text())
    lock = {"pip": ["-r requirements.lock"]}
    assert environment["dependencies"] == ["python=3.11", "pip", lock]
