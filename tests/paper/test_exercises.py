"""Checks refuse what is wrong and say why; solutions leave the student's page."""

import base64
import inspect
import json
import re

import jupytext
import numpy as np
import pytest
from conftest import ROOT

from state_gradients.paper.exercises import TARGETS, check, composing, fields, refused
from state_gradients.paper.exercises.checking import (
    Choice,
    Function,
    Value,
    WrongAnswerError,
)

FUNCTIONS = {
    number: make()
    for number, make in TARGETS.items()
    if not inspect.signature(make).parameters
}
HEADER = """---
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---
# A page

"""
PAGE = (
    HEADER
    + """## Exercises

```{admonition} Exercise 1.1 (to read off)
:class: exercise
:name: exercise-1-1
How many?
```

```{code-cell} python
:tags: [exercise, read-off]
pairs = ...
check("1.1", pairs, words=words)
```

```{admonition} Exercise 1.2 (to compute)
:class: exercise
A function.
```

```{code-cell} python
:tags: [exercise]
f = ...
check("1.2", f)
```

```{admonition} Exercise 1.3 (open)
:class: exercise
Why?
```
"""
)
SOLUTIONS = (
    HEADER
    + """
## 1.1

```{code-cell} python
check("1.1", 5, words=words)
```

It is five.

### For the lecturer

Two minutes.

## 1.2

```{code-cell} python
f = abs
check("1.2", f)
```

The absolute value.

## 1.3

Because.
"""
)


def read(tmp_path, text, name="page.md"):
    path = tmp_path / name
    path.write_text(text)
    return jupytext.read(path, fmt={"extension": ".md", "format_name": "myst"})


def composed(tmp_path, page=PAGE, solutions=SOLUTIONS):
    (tmp_path / "solved.md").write_text(solutions)
    solutions = composing.read_solutions(tmp_path / "solved.md")
    return composing.compose(read(tmp_path, page), solutions, "page")


def executed(page):
    """Stand for a kernel: the check of 1.1 has sealed its answer in its output."""
    sealed = fields.sealed_number("1.1", 5, 0, "pairs", "count", {})
    for cell in page.cells:
        if cell["cell_type"] == "code" and "1.1" in cell["source"]:
            data = {"text/plain": "right", fields.MIME: sealed}
            output = {"output_type": "display_data", "data": data, "metadata": {}}
            cell["outputs"] = [output]
    return page


@pytest.mark.parametrize("number", FUNCTIONS)
def test_a_check_takes_the_right_function_and_tells_known_mistakes_apart(number):
    wanted = FUNCTIONS[number]
    assert isinstance(wanted, Function)
    assert repr(check(number, wanted.reference)) == f"Exercise {number}: right."
    assert wanted.mistakes
    for say, wrong in wanted.mistakes.items():
        with pytest.raises(WrongAnswerError) as error:
            check(number, wrong)
        assert say in str(error.value)
        assert f"expected: {wanted.kind}" in str(error.value)


@pytest.mark.parametrize("number", FUNCTIONS)
def test_a_check_does_not_tell_the_result_of_its_trials(number):
    wanted = FUNCTIONS[number]
    results = [np.ravel(wanted.reference(*trial)) for trial in wanted.trials]
    with pytest.raises(WrongAnswerError) as error:
        check(number, lambda *trial: wanted.reference(*trial) + 0.123)
    said = str(error.value).split("expected:")[1]
    shown = {f"{x:.3g}" for result in results for x in result if x not in (0, 1, 2)}
    assert not shown & set(re.findall(r"-?[\d.]+\d", said))
    assert "  received: the function <lambda>" in str(error.value)


@pytest.mark.parametrize("number", FUNCTIONS)
@pytest.mark.parametrize("blank", [..., None, lambda *trial: ..., lambda *trial: None])
def test_a_blank_is_no_mistake_and_is_told_what_to_do(number, blank):
    said = repr(check(number, blank))
    assert "is not filled in yet. Replace the `...` by a function" in said


def test_a_blank_inside_a_function_is_one_as_well():
    def half_done(weight, states, delay):
        slopes = ...
        return weight**delay * slopes

    assert "is not filled in yet" in repr(check("1.3", half_done))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ("five", "That is a str, and no number."),
        ([5, 5], "Its shape is (2,), and must be ()."),
        (float("nan"), "It holds NaN or infinity."),
        (8, "That is the number of words."),
        (7, "Write the words in a row."),
    ],
)
def test_a_wrong_number_is_told_in_which_way(answer, says):
    with pytest.raises(WrongAnswerError) as error:
        check("1.1", answer, words=["word"] * 8)
    assert says in str(error.value)
    assert "expected: a whole number of pairs" in str(error.value)
    assert "5" not in str(error.value).split("expected")[1]


def test_tolerances_are_of_a_value():
    value = Value(10.0, "a number", "look", rtol=0.01, atol=0.2)
    assert [value.fault(x) for x in (9.71, 10.29)] == [None, None]
    assert [value.fault(x) for x in (9.69, 10.31)] == ["look", "look"]


def test_a_function_that_raises_is_told_what_it_raised():
    with pytest.raises(WrongAnswerError, match="it raises ZeroDivisionError"):
        check("1.3", lambda weight, states, delay: 1 / 0)
    with pytest.raises(WrongAnswerError, match="That is a int, and no function"):
        check("1.3", 3)


def test_a_choice_is_a_letter_and_each_other_one_has_its_reason():
    choice = Choice("b", {"a": "too cold", "c": "too hot"})
    answers = ("b", " B ", "a", "c", "d", 2)
    none = "That is none of the statements."
    said = [None, None, "too cold", "too hot", none, none]
    assert [choice.fault(answer) for answer in answers] == said
    assert choice.letters == ["a", "b", "c"]


def test_a_wrong_answer_that_would_pass_stops_the_lecturers_page():
    with pytest.raises(ValueError, match="must refuse 5, but said"):
        refused("1.1", 5, words=["word"] * 8)
    assert "not yet" in repr(refused("1.1", 6, words=["word"] * 8))


def test_an_unknown_number_is_refused_with_the_nearest():
    with pytest.raises(ValueError, match=r"no exercise '4.3.2.9' .* '4\.3\.2"):
        check("4.3.2.9", 1)


def test_the_hash_is_fnv_1a():
    # the test vectors of its authors, Fowler, Noll and Vo
    assert fields.digest("") == "811c9dc5"
    assert fields.digest("a") == "e40c292c"
    assert fields.digest("foobar") == "bf9cf968"


@pytest.mark.parametrize(("right", "tolerance"), [(0.7, 0.04), (31.0, 2.0), (5, 0)])
def test_a_field_takes_what_the_check_takes(right, tolerance):
    sealed = fields.sealed_number("9.9", right, tolerance, "a number", "look", {})

    def takes(number):
        steps = fields.steps_of(number, sealed["step"])
        return fields.digest(f"9.9|{steps}") in sealed["right"]

    inside = [right + share * tolerance for share in (-0.99, 0, 0.99)]
    assert all(map(takes, inside))
    outside = (tolerance or 0.5) + 1.1 * sealed["step"]  # one step is its resolution
    assert not takes(right - outside)
    assert not takes(right + outside)


def test_a_field_shows_no_answer_at_a_glance():
    line = fields.html(fields.sealed_number("9.9", 31, 0, "a number", "look", {}))
    assert "31" not in re.sub(r'data-sealed="[^"]*"', "", line)
    packed = re.search(r'data-sealed="([^"]*)"', line).group(1)
    content = json.loads(base64.b64decode(packed))
    assert content["right"] == [fields.digest("9.9|31")]
    assert 31 not in content.values()


def test_solutions_run_in_the_place_of_blanks(tmp_path):
    cells = composed(tmp_path).cells
    told = [(c["cell_type"], composing.role_of(c)) for c in cells]
    assert told == [
        ("markdown", "exercise"),
        ("raw", "blank"),
        ("code", "solution"),
        ("markdown", "solution"),
        ("markdown", "remarks"),
        ("markdown", "exercise"),
        ("raw", "blank"),
        ("code", "solution"),
        ("markdown", "solution"),
        ("markdown", "exercise"),
        ("markdown", "solution"),
    ]
    ran = [c["source"] for c in cells if c["cell_type"] == "code"]
    assert [source.splitlines()[-1] for source in ran] == [
        'check("1.1", 5, words=words)',
        'check("1.2", f)',
    ]


def test_the_students_page_has_blanks_and_the_instructors_all(tmp_path):
    page = executed(composed(tmp_path))
    student = composing.take_apart(page, solved=False)
    text = "\n".join(cell["source"] for cell in student.cells)
    for secret in ("It is five", "Two minutes", "f = abs", "Because", "5, words"):
        assert secret not in text
    assert 'f = ...\ncheck("1.2", f)' in text
    assert 'pairs = ...\ncheck("1.1"' not in text  # a field stands there
    assert '<form class="exercise-field" data-exercise="1.1"' in text
    assert composing.HOW in text
    instructor = composing.take_apart(page, solved=True)
    text = "\n".join(cell["source"] for cell in instructor.cells)
    for shown in ("It is five", "Two minutes", "f = abs", "Because", "f = ..."):
        assert shown in text
    outputs = [o for c in instructor.cells for o in c.get("outputs", [])]
    assert all(fields.MIME not in output["data"] for output in outputs)


@pytest.mark.parametrize(
    ("page", "solutions", "message"),
    [
        (
            PAGE,
            SOLUTIONS.replace("## 1.3", "## 1.4"),
            r"solves \['1.1', '1.2', '1.4'\]",
        ),
        (PAGE, SOLUTIONS + "\n## 1.2\n\nAgain.\n", "stands twice"),
        (PAGE.replace('"1.2", f', '"1.1", f'), SOLUTIONS, "must stand below that"),
    ],
)
def test_what_does_not_belong_together_is_refused(tmp_path, page, solutions, message):
    with pytest.raises(ValueError, match=message):
        composed(tmp_path, page, solutions)


def test_a_page_without_exercises_stays_as_it_is(tmp_path):
    page = read(tmp_path, HEADER + "Some prose.\n\n```{code-cell} python\n1 + 1\n```\n")
    page = composing.compose(page, {}, "page")
    apart = composing.take_apart(page, solved=False)
    sources = [cell["source"] for cell in apart.cells]
    assert sources == ["# A page\n\nSome prose.", "1 + 1"]


def test_every_target_is_of_an_exercise_of_a_page():
    pages = [*(ROOT / "notebooks").glob("*.md")]
    checked = [
        number
        for path in pages
        for number in composing.CHECKED.findall(path.read_text())
    ]
    assert sorted(checked) == sorted(TARGETS)
