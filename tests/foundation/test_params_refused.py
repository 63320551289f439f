"""What is refused of a params file, in one line that says what to do."""

import os
import re

import pytest

from state_gradients.foundation import settings

PARAMS = "baseline: {}\nexperiments:\n  new: "
ALIASES = "".join(
    f"  - &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
MERGES = "".join(
    f"a{n}: &m{n} {{<<: [{', '.join([f'*m{n - 1}'] * 9)}]}}\n" for n in range(1, 12)
)
DIGITS = "9" * 400
FILES = {  # a params file, and what is said of it
    "a setting twice": (
        PARAMS + "{model: {units: 3, units: 4}}",
        r"line 3 of .*params\.yaml must not name 'units' again, received it in line 3",
    ),
    "an experiment twice": (
        PARAMS + "{}\n  old: {}\n  'new': {}",
        r"line 5 of .*params\.yaml must not name 'new' again, received it in line 3",
    ),
    "a group twice": (
        "experiments:\n  new:\n    model: {}\n    training: {}\n    model: {}\n",
        r"line 5 of .*params\.yaml must not name 'model' again.* line 3; keep one",
    ),
    "a merge twice": (
        "baseline: &b {}\nexperiments: {new: {<<: *b, <<: *b}}",
        "must not name '<<' again",
    ),
    "an experiment called 3": (
        PARAMS + "{}\n  3: {}",
        r"line 4 of .*params\.yaml must name things by text, received '3', which YAML "
        "reads as int; put it in quotes",
    ),
    "an experiment called on": (PARAMS + "{}\n  on: {}", "'on', which YAML reads as b"),
    "an experiment called null": (PARAMS + "{}\n  ~: {}", "'~', which YAML reads as n"),
    "an experiment that is a date": (PARAMS + "{}\n  2024-01-01: {}", "as timestamp"),
    "a list for a name": (PARAMS + "{}\n  ? [a]\n  : {}", "reads as seq"),
    "a setting called on": (PARAMS + "{model: {on: 3}}", "'on', which YAML reads as b"),
    "a folder for a name": (PARAMS + "{}\n  ../up: {}", r"received '\.\./up'"),
    "a name of two lines": (PARAMS + '{}\n  "a\\nb": {}', r"received 'a\\nb'"),
    "a name of 300 letters": (
        PARAMS + "{}\n  " + "a" * 300 + ": {}",
        "at most 100 char",
    ),
    "a setting of two lines": (
        PARAMS + '{model: {"a\\nb": 3}}',
        r"new\.model\.'a\\nb' is no setting",
    ),
    "nested aliases": (
        "a0: &a0 [0, 0]\nb:\n" + ALIASES + "experiments: {new: {model: *a11}}",
        r"must hold at most 1,000,000 characters with its aliases written out",
    ),
    "nested aliases as merges": (
        "a0: &m0 {a: 0}\n" + MERGES,
        "with its aliases written out",
    ),
    "an alias inside itself": (
        PARAMS + "{model: &a {units: *a}}",
        "must hold no alias inside what it stands for; write it out",
    ),
    "a file of 2 MB": (
        PARAMS + "{}\n#" + "x" * 2_000_000,
        "must hold at most 1,000,000 bytes, received 2,0",
    ),
    "a value of 100,000 letters": (
        PARAMS + "{model: {cell: " + "x" * 100_000 + "}}",
        r"new\.model\.cell must be 'lstm', .* received 'xxx.* \.\.\.",
    ),
    "a mapping of 10,000 names": (
        PARAMS + "{model: {units: [" + "1, " * 10_000 + "]}}",
        r"units must be a whole number, received \[1, 1.* \.\.\.",
    ),
    "brackets 5,000 deep": (PARAMS + "[" * 5_000, "must be YAML.*RecursionError"),
    "units of 400 digits": (
        PARAMS + "{model: {units: " + DIGITS + "}}",
        r"new\.model\.units must be at most 2147483647, received 9999.* \.\.\.",
    ),
    "a seed of 400 digits": (
        PARAMS + "{training: {seed: " + DIGITS + "}}",
        r"new\.training\.seed must be at most 2147483647",
    ),
    "a rate of 400 digits": (
        PARAMS + "{training: {learning_rate: " + DIGITS + "}}",
        r"new\.training\.learning_rate must be",
    ),
    "units of 5,000 digits": (
        PARAMS + "{model: {units: " + "9" * 5_000 + "}}",
        "must be YAML.*digits",
    ),
    "no such month": (PARAMS + "{corpus: {name: 2024-13-01}}", "must be YAML.*month"),
    "no such truth": (PARAMS + "{gradients: {controls: !!bool x}}", "must be YAML"),
    "no such number": (PARAMS + "{model: {units: !!int ''}}", "must be YAML"),
    "no such date": (PARAMS + "{model: {units: !!timestamp x}}", "must be YAML"),
    "a study of words on the synthetic corpus": (
        PARAMS + "{corpus: {name: synthetic}, language: {studies: [types]}}",
        r"new\.language\.studies must be \[\] on the synthetic corpus.*'types'",
    ),
    "properties without classes": (
        PARAMS + "{language: {studies: [properties]}}",
        r"new\.language\.studies must hold 'classes' beside 'properties'",
    ),
    "the study of the grammar on another text": (
        PARAMS + "{corpus: {name: ptb}, language: {studies: [grammar]}}",
        "new.language.studies may hold 'grammar' for one LSTM layer on a corpus gram"
        ".* received 1 of lstm on ptb",
    ),
    "the study of the grammar of two layers": (
        PARAMS + "{corpus: {name: grammar-sov, vocabulary_size: null}, "
        "model: {layers: 2}, language: {studies: [grammar]}}",
        "new.language.studies may hold 'grammar' .* received 2 of lstm on grammar-sov",
    ),
    "an unknown study": (
        PARAMS + "{language: {studies: [verbs]}}",
        r"new\.language\.studies must be 'types', 'classes'",
    ),
    "five units on the synthetic corpus": (
        PARAMS + "{corpus: {name: synthetic}, model: {units: 5}}",
        r"new\.model must be one LSTM layer of at least 6 units on the synthetic",
    ),
    "a GRU on the synthetic corpus": (
        PARAMS + "{corpus: {name: synthetic}, model: {cell: gru}}",
        "must be one LSTM layer .* received 1 of gru with 256",
    ),
    "two layers on the synthetic corpus": (
        PARAMS + "{corpus: {name: synthetic}, model: {layers: 2}}",
        "must be one LSTM layer .* received 2 of lstm with 256",
    ),
    "an object": (
        PARAMS + "{model: !!python/object/apply:os.system ['exit']}",
        "must be YAML.*could not determine a constructor",
    ),
    "no YAML": (PARAMS + "{", "must be YAML.*line 3"),
    "two documents": ("--- {}\n--- {}\n", "must be YAML.*single document"),
    "not UTF-8": (
        b"experiments: {new: {corpus: {name: caf\xe9}}}",
        r"must be UTF-8, received .* at byte 38; convert it",
    ),
    "UTF-16": ("experiments: {}".encode("utf-16"), "must be UTF-8, received"),
}


def refused(project, name="new"):
    """Return what is said in refusing an experiment: one line, of no great length."""
    with pytest.raises(ValueError) as error:
        settings.load_experiment(name, root=project)
    said = str(error.value)
    assert said.startswith("params: ")
    assert "\n" not in said and len(said) < 1000
    return said


def refusal_of_file(case, project):
    content, _ = FILES[case]
    content = content if isinstance(content, bytes) else content.encode()
    (project / "params.yaml").write_bytes(content)
    return refused(project)


@pytest.mark.parametrize("case", FILES)
def test_a_params_file_that_cannot_be_meant_is_refused(tmp_path, case):
    assert re.search(FILES[case][1], refusal_of_file(case, tmp_path))


def _folder(path):
    path.mkdir()


PLACES = {  # what stands where the reader's own file should
    "a folder": (_folder, "must be a file, received a folder; move it away"),
    "a dangling link": (
        lambda path: path.symlink_to(path.parent / "nowhere.yaml"),
        r"must be a file, received a link to .*nowhere\.yaml, which is not there",
    ),
    "a link in a circle": (
        lambda path: path.symlink_to(path),
        "must be a file, received a link",
    ),
    "a pipe": (os.mkfifo, "must be a file, received something else"),
}


def refusal_of_place(case, project):
    (project / "params.yaml").write_text(PARAMS + "{}")
    PLACES[case][0](project / "params.local.yaml")
    return refused(project)


@pytest.mark.parametrize("case", PLACES)
def test_own_params_that_are_no_file_are_not_passed_over(tmp_path, case):
    assert re.search(PLACES[case][1], refusal_of_place(case, tmp_path))


def test_own_params_are_refused_like_the_published_ones(tmp_path):
    (tmp_path / "params.yaml").write_text(PARAMS + "{}")
    local = tmp_path / "params.local.yaml"
    local.write_text("experiments: {mine: {}, mine: {}}")
    assert "params.local.yaml must not name 'mine' again" in refused(tmp_path)
    local.write_text("experiments: {3: {}}")
    assert "params.local.yaml must name things by text" in refused(tmp_path)


def test_aliases_and_merges_as_params_use_them_are_read(tmp_path):
    text = """
baseline: {training: &recipe {seed: 3}}
experiments:
  one: &one {training: *recipe, model: {units: 3}}
  two: &two {<<: *one, model: {units: 4}}
  three: &three {<<: *two, training: {seed: 4}}
  four: {<<: [*three, *one]}
"""
    (tmp_path / "params.yaml").write_text(text)
    made = [settings.load_experiment(n, root=tmp_path) for n in ("two", "three")]
    assert [(e.training.seed, e.model.units) for e in made] == [(3, 4), (4, 4)]
    four = settings.load_experiment("four", root=tmp_path)
    assert (four.training.seed, four.model.units) == (4, 4)


@pytest.mark.parametrize("group", settings.GROUPS)
def test_a_value_that_is_shown_is_cut_in_python_too(group):
    with pytest.raises(ValueError) as error:
        settings.GROUPS[group](**{"seed" * 10_000: "x"})
    assert len(str(error.value)) < 1000
    with pytest.raises(ValueError) as error:
        settings.Model(units="x" * 10_000)
    assert len(str(error.value)) < 200
