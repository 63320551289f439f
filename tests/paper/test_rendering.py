import os
import sys
from pathlib import Path

import nbformat
import pytest

from state_gradients.paper.book import rendering
from state_gradients.paper.book.rendering import parameter_names, read_page, render

SET_FOR_PAGES = (
    "STATE_GRADIENTS_ROOT",
    "MPLBACKEND",
    "PYTHONHASHSEED",
    "OMP_NUM_THREADS",
)
HEADER = """---
jupytext:
  text_representation:
    extension: .md
    format_name: myst
kernelspec:
  name: python3
  display_name: Python 3
  language: python
---
"""
PARAMETERS = """
```{code-cell} ipython3
:tags: [parameters]

experiment = "first"
```
"""
BODY = """
```{code-cell} ipython3
from pathlib import Path

count = int(Path("../data/number.yaml").read_text())  # from where Jupyter starts it
print(experiment, count, {"a", "b", "c"})
```
"""
FIGURE = """
```{code-cell} ipython3
import matplotlib.pyplot as plt

plt.plot(range(count));
```
"""


def write_page(root, text, name="page"):
    path = root / "notebooks" / f"{name}.md"
    path.write_text(text)
    return path


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one page, which reads a file below data/ and prints it."""
    for folder in ("notebooks", "data", "lib"):
        (tmp_path / folder).mkdir()
    (tmp_path / "params.yaml").write_text("experiments: {first: {}, second: {}}\n")
    (tmp_path / "data" / "number.yaml").write_text("3\n")
    write_page(tmp_path, HEADER + "# A page\n" + PARAMETERS + BODY)
    # the library whose change makes pages stale
    file = tmp_path / "lib" / "paper" / "book" / "rendering.py"
    monkeypatch.setattr(rendering, "__file__", str(file))
    return tmp_path


def printed(page):
    cells = nbformat.read(page, as_version=4).cells
    streams = [o.text for c in cells for o in c.get("outputs", []) if "text" in o]
    return "".join(streams)


@pytest.mark.slow
def test_the_same_sources_give_the_same_bytes_and_run_once(project):
    write_page(project, HEADER + "# A page\n" + PARAMETERS + BODY + FIGURE)
    (page,) = render(root=project)
    first, seen = page.read_bytes(), page.stat().st_mtime_ns
    assert page == project / "book" / "sections" / "page.ipynb"
    assert printed(page).startswith("first 3 {")
    notebook = nbformat.read(page, as_version=4)
    assert [cell.id for cell in notebook.cells] == [f"cell-{i}" for i in range(4)]
    assert "papermill" not in first.decode() and "iopub" not in first.decode()
    assert any("image/png" in o.get("data", {}) for o in notebook.cells[3].outputs)
    assert list(page.parent.iterdir()) == [page]  # nothing temporary stays

    render(root=project)
    assert page.stat().st_mtime_ns == seen  # up to date: not run again
    page.unlink()
    render(root=project)
    assert page.read_bytes() == first


@pytest.mark.slow
def test_changed_sources_data_and_experiment_run_the_page_again(project):
    (page,) = render(root=project)
    (project / "data" / "number.yaml").write_text("4\n")
    render(root=project)
    assert printed(page).startswith("first 4")
    page.write_bytes(page.read_bytes()[:100])  # a truncated page is no page
    render(root=project, experiment="second")
    assert printed(page).startswith("second 4")
    injected, note = nbformat.read(page, as_version=4).cells[2:4]
    assert injected.metadata.tags == ["injected-parameters", "hide-cell"]
    assert "This page was run on `second`" in note.source
    assert "written about `first`" in note.source
    render(root=project, experiment="first")  # the page's own: nothing to note
    assert printed(page).startswith("first 4")
    assert "was run on" not in page.read_text()
    render(root=project, experiment="second")
    # file times alone change nothing
    seen = page.stat().st_mtime_ns
    os.utime(project / "data" / "number.yaml", (1, 1))
    render(root=project, experiment="second")
    assert page.stat().st_mtime_ns == seen


@pytest.mark.slow
def test_a_page_of_words_stays_the_papers_where_no_study_is_asked_for(project):
    params = (
        "experiments: {first: {}, second: {}, third: {language: {studies: [types]}}}"
    )
    (project / "params.yaml").write_text(params + "\n")
    reads = BODY.replace(
        "print(", 'if count > 9:\n    artifacts.load(experiment, "types")\nprint('
    )
    write_page(project, HEADER + "# A page\n" + PARAMETERS + reads)
    (page,) = render(root=project, experiment="second")
    assert printed(page).startswith("first 3")
    text = page.read_text()
    assert "This page is not of `second`" in text
    assert "`language: {studies: [types]}`" in text
    with pytest.raises(ValueError, match=r"must ask for what 'page' shows, .*types"):
        render(["page"], root=project, experiment="second")
    (page,) = render(root=project, experiment="third")
    assert printed(page).startswith("third 3")
    assert "This page was run on `third`" in page.read_text()


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("lib/spectra.py", True),
        ("lib/variables.yaml", True),
        ("lib/study/tables.py", True),
        ("lib/study/claims.yaml", True),
        ("params.yaml", True),
        ("params.local.yaml", True),
        ("requirements.lock", True),
        ("data/number.yaml", True),
        ("data/artifacts/first/spectra.nc", True),
        ("data/artifacts/first/encoder.h5", True),
        ("benchmarks/records/machine.json", True),
        ("data/README.md", False),
        ("README.md", False),
    ],
)
def test_what_pages_are_made_from_is_what_makes_them_stale(project, file, counts):
    before = rendering._common_digest(project).hexdigest()
    path = project / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("changed: 1\n")
    assert (rendering._common_digest(project).hexdigest() != before) is counts


@pytest.mark.slow
def test_a_page_that_stops_is_named_and_leaves_the_others_and_the_old_file(project):
    (old,) = render(root=project)
    before = old.read_bytes()
    write_page(project, HEADER + "# A page\n" + PARAMETERS + BODY, "other")
    broken = "\n```{code-cell} ipython3\nvalue = 1\nraise KeyError('run me')\n```\n"
    write_page(project, HEADER + "# A page\n" + PARAMETERS + broken)
    with pytest.raises(
        RuntimeError, match=r"page\.md: .*`value = 1`: KeyError.*run me"
    ):
        render(root=project)
    assert old.read_bytes() == before
    assert printed(old.with_name("other.ipynb")).startswith("first 3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# No header\n" + PARAMETERS, "kernelspec"),
        (
            HEADER.replace("  language: python\n", "") + "# A\n" + PARAMETERS,
            "kernelspec",
        ),
        (HEADER + "No title.\n" + PARAMETERS, "open with its title"),
        (HEADER + PARAMETERS + "\n# Late\n", "open with its title"),
        (HEADER + "# None\n", "exactly one.* received 0"),
        (HEADER + "# Two\n" + PARAMETERS + PARAMETERS, "exactly one.* received 2"),
    ],
)
def test_what_is_not_a_page_is_refused_before_anything_runs(project, text, message):
    write_page(project, text, "wrong")
    with pytest.raises(ValueError, match=message):
        render(root=project)
    assert not (project / "book").exists()


def test_pages_that_begin_first_are_there():
    notebooks = Path(__file__).parents[2] / "notebooks"
    assert {path.stem for path in notebooks.glob("*.md")} >= set(rendering.LONGEST)


@pytest.mark.slow
def test_a_page_has_one_thread(project):
    page = project / "notebooks" / "page.md"
    asked = (
        "import os\n\nimport numpy\nfrom threadpoolctl import threadpool_info\n\n"
        "n = {pool['num_threads'] for pool in threadpool_info()}\n"
        "print('threads:', os.environ['OMP_NUM_THREADS'], n)"
    )
    text = f"{page.read_text()}\n```{{code-cell}} ipython3\n{asked}\n```\n"
    page.write_text(text)
    [target] = render(root=project)
    assert "threads: 1 {1}" in printed(target)


@pytest.mark.slow
def test_a_full_disk_leaves_the_page_that_there_was(project, full_disk, monkeypatch):
    for name in SET_FOR_PAGES:
        monkeypatch.setenv(name, "")  # put back after the page has set it
    source = project / "notebooks" / "page.md"
    target = project / "book" / "sections" / "page.ipynb"
    target.parent.mkdir(parents=True)
    target.write_text("before")
    full = f"{target} must be written whole, received 'No space left"
    with full_disk(), pytest.raises(OSError, match=full):
        rendering._run(source, target, None, [], "hash", project)
    assert [*target.parent.iterdir()] == [target]
    assert target.read_text() == "before"
    rendering._run(source, target, None, [], "hash", project)
    assert printed(target).startswith("first 3 {")


def test_a_project_that_cannot_be_written_is_refused_before_a_page_runs(
    project, monkeypatch
):
    if not sys.platform.startswith("linux"):
        pytest.skip("needs a folder in which nobody can write, as /proc is")
    (project / "book").mkdir()
    (project / "book" / "sections").symlink_to("/proc")
    monkeypatch.setattr(rendering, "_run_all", lambda *a: pytest.fail("a page runs"))
    with pytest.raises(OSError, match=r"render: the folder .*sections must be writabl"):
        render(root=project)


def test_unknown_names_are_refused_with_the_nearest(project):
    with pytest.raises(ValueError, match="did you mean 'page'"):
        render(["pag"], root=project)
    with pytest.raises(ValueError, match="did you mean 'second'"):
        render(experiment="secnd", root=project)


def test_an_experiment_needs_the_parameter(project):
    text = PARAMETERS.replace('experiment = "first"', 'experiments = ["first"]')
    path = write_page(project, HEADER + "# Many\n" + text, "many")
    assert parameter_names(read_page(path)) == {"experiments"}
    with pytest.raises(ValueError, match="must have the parameter `experiment`"):
        render(["many"], experiment="second", root=project)
