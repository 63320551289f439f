"""The commands that pages tell a reader to type: run, and held against what is shown.

A page's fenced blocks are read in their order: ``yaml`` is the reader's
params.local.yaml, ``bash`` and ``python`` run at a project's root, and ``text`` is what
the block before it prints, where a line ``...`` stands for any lines.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
import yaml
from conftest import ROOT

from state_gradients.paper.book import rendering
from state_gradients.project import artifacts

OWN_TEXT, README = ROOT / "book" / "own-text.md", ROOT / "README.md"
SCALE_OUT = ROOT / "book" / "scale-out.md"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
SECONDS = re.compile(r"\b\d+ s\b")
NOISE = re.compile(r"\d+%\||^WARNING: All log|^[IWE]\d{4} |^\s*$")  # bars, TensorFlow
TOLERANCE = 0.25  # of a trained network's numbers: processors train other networks
PAGES = ("_config.yml", "_toc.yml", "params.yaml", "Makefile", "requirements.lock")
EXECUTED = ("_build/instructor/sections",)  # with those in book/: none runs in vain
IGNORED = shutil.ignore_patterns("__pycache__", ".*", "params.local.yaml")


def blocks(path):
    """Return the fenced blocks of a page that name a language, in their order."""
    return FENCE.findall(path.read_text("utf-8"))


def copy_project(folder):
    """Copy what a reader has cloned; the environment and the library stay shared."""
    for name in PAGES:
        shutil.copy2(ROOT / name, folder / name)
    for name in ("book", "notebooks", "data", "benchmarks", *EXECUTED):
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=IGNORED)
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "lib").symlink_to(ROOT / "lib")
    return folder


def run(command, folder):
    """Run a command at a project's root; return the lines that it prints."""
    env = os.environ | {"PYTHONUNBUFFERED": "1", "STATE_GRADIENTS_ROOT": str(folder)}
    env["PYTHONPATH"] = str(ROOT / "lib")
    done = subprocess.run(
        command,
        cwd=folder,
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert done.returncode == 0, f"{command}:\n{done.stdout}"
    lines = done.stdout.replace("\r", "\n").splitlines()
    return [line.rstrip() for line in lines if not NOISE.search(line)]


def agrees(shown, printed, tolerance):
    """Whether a printed line is the shown one, but for times and last digits."""
    shown, printed = (SECONDS.sub("# s", line) for line in (shown, printed))
    words = [NUMBER.sub("#", line).split() for line in (shown, printed)]
    numbers = list(zip(*(NUMBER.findall(x) for x in (shown, printed)), strict=False))
    return words[0] == words[1] and all(_close(*pair, tolerance) for pair in numbers)


def _close(shown, printed, tolerance):
    if not set(".e") & set(shown):
        return shown == printed  # a count
    digits, _, exponent = shown.partition("e")
    unit = 10.0 ** (int(exponent or 0) - len(digits.partition(".")[2]))
    limit = tolerance * abs(float(shown)) + 1.000001 * unit
    return abs(float(printed) - float(shown)) <= limit


def differences(shown, printed, tolerance=0.0):
    """Return what is shown and not printed, or printed and not shown, as a text."""
    lines, at, anywhere = shown.splitlines(), 0, False
    for line in lines:
        if line == "...":
            anywhere = True
            continue
        stretch = printed[at:] if anywhere else printed[at : at + 1]
        hits = [agrees(line, candidate, tolerance) for candidate in stretch]
        if True not in hits:
            return f"shown: {line}\nprinted: " + "\n".join(stretch[:40])
        at, anywhere = at + hits.index(True) + 1, False
    rest = [] if anywhere else printed[at:]
    return "\n".join(["printed, and not shown:", *rest]) if rest else ""


def test_what_counts_as_the_same_output():
    shown = "a 1.250e-02\n...\nend 7,375 of 3, 12 s"
    assert not differences(shown, ["a  1.251e-02", "b", "end 7,375 of 3, 7 s"])
    assert differences(shown, ["a 1.253e-02", "b", "end 7,375 of 3, 7 s"])
    assert differences(shown, ["a 1.250e-02", "b", "end 7,376 of 3, 12 s"])
    assert differences(shown, ["z", "a 1.250e-02", "end 7,375 of 3, 12 s"])
    assert differences("one", ["one", "two"]) and differences("one\ntwo", ["one"])
    assert not differences("x 0.6888", ["x 0.7100"], tolerance=0.05)
    assert differences("x 0.6888", ["x 0.7300"], tolerance=0.05)


@pytest.fixture(scope="module")
def walk(tmp_path_factory):
    """The project after "Your own text", and what each block of commands printed."""
    folder = copy_project(tmp_path_factory.mktemp("own"))
    printed, compared = [], []
    for language, text in blocks(OWN_TEXT):
        if language == "yaml":
            (folder / "params.local.yaml").write_text(text)
        elif language == "bash" and not text.startswith("make book"):
            printed = run(["bash", "-euo", "pipefail", "-c", text], folder)
        elif language == "python":
            printed = run([sys.executable, "-c", text], folder)
        elif language == "text":
            compared.append((text, printed))
    return folder, compared


@pytest.mark.slow
def test_the_walk_prints_what_its_page_shows(walk):
    _, compared = walk
    assert len(compared) == 4
    assert [d for d in (differences(*x, TOLERANCE) for x in compared) if d] == []


@pytest.mark.slow
def test_the_files_of_the_walk_are_what_its_page_says(walk):
    folder, page = walk[0], OWN_TEXT.read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)\.(?:nc|h5)` \| (.*) \|$", page, re.MULTILINE)
    assert sorted(kind for kind, _ in rows) == sorted(
        path.stem for path in (folder / "data" / "artifacts" / "tiny").iterdir()
    )
    for kind, text in rows:
        data = artifacts.load("tiny", kind, root=folder)
        for size in re.findall(r"\w+: \d+", text):
            dim, length = size.split(": ")
            assert data.sizes[dim] == int(length), f"{kind}: {size}"
    n_samples = artifacts.load("tiny", "gradients", root=folder)["n_samples"].values
    counts = {int(n.replace(",", "")) for n in re.findall(r"(\d,\d+) positions", page)}
    assert counts == {n_samples[0, 0]}
    reached = re.search(r"run above reached ([\d.]+)", page).group(1)
    last = re.findall(r"valid ([\d.]+)", page)[-1]
    assert reached == last


def build_of(name, folder):
    """Return the command with which `make book EXPERIMENT=name` builds the book."""
    make = ["make", "-n", "-o", ".venv/installed", "book", f"EXPERIMENT={name}"]
    commands = "\n".join(run(make, folder)).replace("\\\n", "")
    assert re.search(rf"state-gradients render\s+--experiment {name}", commands)
    a_build = r"^(?:\w+=\w+ )?(\S+/jupyter-book build \. -W -n .*)$"
    (build,) = re.findall(a_build, commands, re.M)
    return ["bash", "-c", build]


def own_pages(folder):
    """Return the names of the pages that take an experiment."""
    sources = {path.stem: path for path in (folder / "notebooks").glob("*.md")}
    names = {
        n: rendering.parameter_names(rendering.read_page(p)) for n, p in sources.items()
    }
    return sorted(name for name, found in names.items() if "experiment" in found)


with_pages = pytest.mark.skipif(
    not (ROOT / "book" / "sections" / "ledger.ipynb").is_file(),
    reason="the pages are not executed: make book",
)


@pytest.mark.slow
@with_pages
def test_the_whole_book_is_made_of_the_generated_language(tmp_path):
    """As `make book EXPERIMENT=grammar-lstm-64`, which asks for studies of words."""
    folder, name = copy_project(tmp_path), "grammar-lstm-64"
    build = build_of(name, folder)
    run([".venv/bin/state-gradients", "render", "--experiment", name], folder)
    for page in own_pages(folder):
        page = nbformat.read(folder / "book" / "sections" / f"{page}.ipynb", 4)
        text = "\n".join(cell.source for cell in page.cells)
        assert f"`{name}`" in text
    run(build, folder)


@pytest.mark.slow
@with_pages
def test_the_whole_book_is_made_for_an_experiment_of_ones_own(walk):
    """As `make book EXPERIMENT=tiny`; pages without the parameter are not run again."""
    folder = walk[0]
    build = build_of("tiny", folder)
    own = own_pages(folder)
    run([".venv/bin/state-gradients", "render", "--experiment", "tiny"], folder)
    shown, of_words = {}, []
    for name in own:
        page = nbformat.read(folder / "book" / "sections" / f"{name}.ipynb", 4)
        text = "\n".join(cell.source for cell in page.cells)
        if "This page is not of `tiny`" in text:  # which asks for no study of words
            of_words.append(name)
            continue
        assert "This page was run on `tiny`" in text
        shown[name] = str([cell.get("outputs") for cell in page.cells])
    assert len(own) == 16
    assert of_words == [
        *("04-3-3-word-classes", "04-3-4-word-types", "05-1-concept"),
        *("05-2-properties", "09-linear-classification", "cells", "coherence"),
        *("forgetting", "influence", "rulers", "tail"),
    ]
    assert "tiny-untrained" in shown["04-1-whitening"]  # and no other network
    assert "ptb-lstm-256" not in shown["04-1-whitening"]
    assert "(not run)" not in shown["04-3-2-average-memory"]  # the twin's rate
    assert shown["04-3-2-average-memory"].count("are not judged here") >= 2
    run(build, folder)


@pytest.mark.slow
def test_the_example_of_the_front_page_prints_what_is_shown(tmp_path):
    folder = copy_project(tmp_path)
    found = [text for language, text in blocks(README) if language in ("bash", "text")]
    command, shown = found
    printed = run(["bash", "-euo", "pipefail", "-c", command], folder)
    at = next(i for i, line in enumerate(printed) if line.startswith("normalization"))
    rows = [line for line in printed[at:] if not line.startswith("made ")]
    # one model and one text: float32 sums of another order, in the fourth digit
    assert not differences(shown, rows, tolerance=1e-3)
    assert (folder / "inspection-trained" / "memory.png").is_file()


@pytest.mark.slow
def test_a_property_of_words_is_asked_as_its_page_shows(tmp_path):
    folder, page = copy_project(tmp_path), ROOT / "notebooks" / "inspect.md"
    command, shown = [
        text
        for language, text in blocks(page)
        if language in ("bash", "text") and "property" in text
    ]
    printed = run(["bash", "-euo", "pipefail", "-c", command], folder)
    # as above; bands of draws with one seed
    assert not differences(shown, printed, tolerance=1e-3)
    rows = [line.split() for line in shown.splitlines()[6:13]]
    for row in rows:  # what the page says of them: within either band
        memory, *ends = (float(row[k]) for k in (1, 5, 7, 8, 10))
        assert ends[0] < memory < ends[1] and ends[2] < memory < ends[3]


@pytest.mark.slow
def test_the_words_of_a_sentence_are_followed_as_the_page_shows(tmp_path):
    folder, page = copy_project(tmp_path), ROOT / "notebooks" / "inspect.md"
    command, shown = [
        text
        for language, text in blocks(page)
        if "state-gradients sentence" in text or "each word by delay" in text
    ]
    printed = run(["bash", "-euo", "pipefail", "-c", command], folder)
    # three digits are shown, of which the last may be another's
    assert not differences(shown, printed, tolerance=1e-2)
    rows = [line.split() for line in shown.splitlines() if "kings" in line]
    (at_once, later), (told, told_later) = [(float(r[1]), float(r[-1])) for r in rows]
    assert 0.45 < later / at_once < 0.55  # as the page says
    assert told_later < 1e-4 * told


MODEL = """
from state_gradients.engine.means import mean_state_gradients

if __name__ == "__main__":  # workers that import this file need no model
    import keras
    import numpy as np

    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.layers.Embedding(20, 4), keras.layers.GRU(6)])
    ids = np.random.default_rng(0).integers(20, size=600)
    model(ids[None, :10])
"""
SAME = """
    alone = mean_state_gradients(model, ids, max_delay=50)["state_gradient"]
    np.testing.assert_array_equal(means["state_gradient"], alone)
    print("the same")
"""


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["ProcessPoolExecutor", "LocalCluster"])
def test_executors_of_the_page_on_scaling_out_run_as_shown(executor, tmp_path):
    """The result does not depend on where the jobs ran, to the last bit."""
    if executor == "LocalCluster":
        pytest.importorskip("distributed", reason="needs Dask: make extras")
    shown = [t for language, t in blocks(SCALE_OUT) if language == "python"]
    (text,) = [t for t in shown if executor in t and "__main__" in t]
    script = tmp_path / "scale.py"
    script.write_text(MODEL + text + SAME)
    assert run([sys.executable, str(script)], Path(tmp_path))[-1] == "the same"


def test_commands_that_a_page_shows_name_what_exists():
    """Experiments in pages' shell blocks are in params.yaml, or in the page's own."""
    known = set(yaml.safe_load((ROOT / "params.yaml").read_text())["experiments"])
    known |= {"tiny", "tiny-untrained", "NAME"}
    for page in (OWN_TEXT, SCALE_OUT, README):
        for _, text in blocks(page):
            for names in re.findall(
                r"state-gradients reproduce ([\w. -]+)$", text, re.M
            ):
                assert set(names.split()) <= known, f"{page.name}: {names}"
