"""The exercises of the executed and built books, and of the handout."""

import json
import os
import re
import subprocess
import sys
import zipfile

import jupytext
import nbformat
import papermill
import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import ROOT

from state_gradients.paper.exercises import composing, handout
from state_gradients.paper.exercises.instructor import lay_out

INSTRUCTOR = ROOT / "_build" / "instructor"
BOOKS = {"student": ROOT / "_build" / "html", "instructor": INSTRUCTOR / "html"}
SOLVED = sorted((ROOT / "notebooks" / "solutions").glob("*.md"))
KINDS = ("to read off", "to compute", "open")
TITLE = re.compile(r"\{admonition\} Exercise (\S+) \(([^)]+)\)\n:class: exercise\n")
OTHERS = (  # beside the part "The study"
    ["claims", "ledger", "speed", "coherence", "tail", "planted", "sentence", "inspect"]
)
each_solved = pytest.mark.parametrize("path", SOLVED, ids=lambda path: path.stem)


def pages_with_exercises():
    parts = yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"]
    files = [chapter["file"] for chapter in parts[0]["chapters"]]
    names = [file.split("/")[-1].removesuffix(".ipynb") for file in files]
    return [*names, *OTHERS]


def source_of(name):
    path = ROOT / "notebooks" / f"{name}.md"
    return path if path.is_file() else ROOT / "book" / f"{name}.md"


def executed(name):
    path = INSTRUCTOR / "sections" / f"{name}.ipynb"
    if not path.is_file():
        pytest.skip(f"the page is not executed: state-gradients render {name}")
    return nbformat.read(path, as_version=4)


def proofs(path):
    """Return sentences that stand in the solutions of a page and nowhere else."""
    cells = composing.read_solutions(path)
    prose = [c["source"] for part in cells.values() for c in part]
    lines = [line for text in prose for line in text.splitlines() if len(line) > 60]
    words = [re.sub(r"\$[^$]*\$|[`*{}\[\]()_]|\(.*?\)", "|", line) for line in lines]
    pieces = [max(line.split("|"), key=len).strip() for line in words]
    asked = source_of(path.stem).read_text()
    return [piece for piece in pieces if len(piece) > 40 and piece not in asked]


@pytest.mark.parametrize("name", pages_with_exercises())
def test_every_page_has_one_to_read_off_one_to_compute_and_one_that_is_open(name):
    told = TITLE.findall(source_of(name).read_text())
    assert {kind for _, kind in told} == set(KINDS)
    assert len(told) >= 3
    order = [KINDS.index(kind) for _, kind in told]
    assert order == sorted(order)


def test_numbers_of_exercises_are_of_one_each():
    names = {*pages_with_exercises(), *(path.stem for path in SOLVED)}
    numbers = [
        n for name in names for n, _ in TITLE.findall(source_of(name).read_text())
    ]
    assert len(numbers) == len(set(numbers))


@each_solved
def test_every_exercise_has_a_solution_and_remarks(path):
    solutions = composing.read_solutions(path)
    for number, cells in solutions.items():
        roles = {composing.role_of(cell) for cell in cells}
        assert not number or {"solution", "remarks"} <= roles, number


@each_solved
def test_every_solution_passes_its_check_and_wrong_answers_do_not(path):
    if not (ROOT / "notebooks" / path.name).is_file():
        pytest.skip("a page without code")
    page, said = executed(path.stem), {}
    for cell in page.cells:
        for output in cell.get("outputs", []):
            text = output.get("data", {}).get("text/plain", "")
            said.setdefault(composing.number_of(cell), []).append(text)
    checked = [c for c in page.cells if composing.role_of(c) == "blank"]
    for number in map(composing.number_of, checked):
        assert f"Exercise {number}: right." in said[number]
        refusals = [x for x in said[number] if x.startswith(f"Exercise {number}: not")]
        assert refusals, f"no wrong answer to {number} is tried"
        for text in refusals:
            assert re.search(r"received: .+\n +expected: .+\n +\S.{10}", text)


@each_solved
def test_the_students_notebook_holds_no_solution(path):
    page = ROOT / "book" / "sections" / f"{path.stem}.ipynb"
    if not page.is_file():
        pytest.skip("not executed, or a page without code")
    text = json.dumps(nbformat.read(page, as_version=4), ensure_ascii=False)
    assert [
        x for x in ("refused(", "For the lecturer", '"solution"') if x in text
    ] == []
    assert proofs(path)
    assert [proof for proof in proofs(path) if proof in text] == []


def shown(book, name):
    """Return the words of a built page, and the sources that it offers."""
    html = next(BOOKS[book].glob(f"book/**/{name}.html"), None)
    if html is None:
        pytest.skip(f"the {book}'s book is not built")
    page = BeautifulSoup(html.read_text(), "html.parser")
    sources = (BOOKS[book] / "_sources").rglob(f"{name}.*")
    return page.find("main"), [path.read_text() for path in sources]


@each_solved
def test_the_students_book_holds_no_solution(path):
    main, sources = shown("student", path.stem)
    assert sources
    for text in (main.get_text(), *sources):
        flat = " ".join(text.split())
        assert [proof for proof in proofs(path) if proof in flat] == []
        assert "For the lecturer" not in flat
    assert main.select(".admonition.solution, .admonition.remarks") == []
    assert len(main.select(".admonition.exercise")) >= 3


@each_solved
def test_the_instructors_book_holds_all(path):
    main, _ = shown("instructor", path.stem)
    solutions = composing.read_solutions(path)
    for number in filter(None, solutions):
        titles = [x.get_text().strip() for x in main.select(".admonition-title")]
        assert f"Solution {number}" in titles
        assert f"For the lecturer: {number}" in titles


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory):
    folder = tmp_path_factory.mktemp("handout")
    with zipfile.ZipFile(handout.pack(ROOT)) as archive:
        archive.extractall(folder)
    return folder / handout.NAME


@pytest.mark.slow
def test_the_handout_says_how_to_start_and_holds_no_solution(unpacked):
    assert {"README.md", "start.py", "params.yaml", "requirements.lock"} <= {
        path.name for path in unpacked.iterdir()
    }
    size = sum(path.stat().st_size for path in unpacked.rglob("*"))
    assert size < 80e6, "what the pages read; a class may have to carry it on a stick"
    texts = [p.read_text() for p in (unpacked / "notebooks").rglob("*") if p.is_file()]
    assert len(texts) == len([*(ROOT / "notebooks").glob("*.md")])
    for path in SOLVED:
        words = [proof for proof in proofs(path) for text in texts if proof in text]
        assert words == []
    command = [sys.executable, str(unpacked / "start.py"), "--test"]
    outside = {k: v for k, v in os.environ.items() if not k.startswith("STATE_GRAD")}
    outside.pop("PYTHONPATH", None)
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=outside, cwd="/"
    )
    assert done.stdout.strip() == "Package, checks and artifacts are there.", done


@pytest.mark.slow
@pytest.mark.parametrize("solved", [False, True])
def test_a_notebook_of_the_handout_runs_with_and_without_answers(
    unpacked, tmp_path, monkeypatch, solved
):
    """Section 4.1, which reads artifacts: its blanks, or what solves them."""
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(unpacked))
    monkeypatch.setenv("PYTHONPATH", str(unpacked / "lib"))
    page = nbformat.read(unpacked / "notebooks" / "04-1-whitening.ipynb", 4)
    if solved:
        path = ROOT / "notebooks" / "solutions" / "04-1-whitening.md"
        page = composing.compose(page, composing.read_solutions(path), path.stem)
    page = papermill.execute_notebook(
        page, None, cwd=unpacked / "notebooks", progress_bar=False
    )
    outputs = [o for c in page.cells for o in c.get("outputs", [])]
    said = [o.get("data", {}).get("text/plain", "") for o in outputs]
    for number in ("4.1.1", "4.1.2"):
        blank = f"Exercise {number} is not filled in yet. Replace the `...` by"
        assert (f"Exercise {number}: right." in said) == solved
        assert any(text.startswith(blank) for text in said) != solved


def test_a_page_without_code_gets_its_solutions_too(tmp_path):
    for folder in ("book/sections", "notebooks/solutions", "lib"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "params.yaml").write_text("experiments: {}\n")
    (tmp_path / "_config.yml").write_text("title: A book\n")
    exercise = "```{admonition} Exercise N.1 (open)\n:class: exercise\nWhy?\n```\n"
    (tmp_path / "book" / "prose.md").write_text(f"# Prose\n\n{exercise}\nAnd so on.\n")
    (tmp_path / "book" / "other.md").write_text("# Other\n")
    solution = "# Solutions\n\n## N.1\n\nBecause.\n\n### For the lecturer\n\nAn hour.\n"
    path = tmp_path / "notebooks" / "solutions" / "prose.md"
    page = jupytext.reads("", "md:myst")
    page.cells = [nbformat.v4.new_markdown_cell(solution)]
    path.write_text(jupytext.writes(page, "md:myst"))
    source = lay_out(tmp_path)
    text = (source / "book" / "prose.md").read_text()
    assert text.index("Why?") < text.index("Because.") < text.index("An hour.")
    assert text.rstrip().endswith("And so on.")
    assert (source / "book" / "other.md").is_symlink()
    assert "with solutions" in (source / "_config.yml").read_text()
    assert "Because" not in (tmp_path / "book" / "prose.md").read_text()
