"""The command line: every command, its JSON, and its errors of one line."""

import dataclasses
import hashlib
import json

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.foundation import settings
from state_gradients.paper.language import subject
from state_gradients.project import artifacts
from state_gradients.text import corpora, vectors

PARAMS = """
baseline:
  corpus: {name: mine, train: train.txt, valid: valid.txt, test: test.txt,
           vocabulary_size: 12}
  model: {units: 4, embedding_size: 3}
  training: {batch_size: 2, num_steps: 8, max_epochs: 1}
  gradients: {max_delay: 3, blocks: null}
experiments:
  mine: {}
  never-run: {training: {seed: 3}}
"""
# what Eq. 26 gives, and a number that needs a run of ours
ROWS = [
    {
        "id": "appendix8-corpus",
        "claim": "C052",
        "where": "App 8 Eq 26",
        "what": "Mean over line lengths",
        "published": 1.1375,
        "kind": "perplexity",
        "ours": {"closed_form": "corpus"},
    },
    {
        "id": "perplexity",
        "claim": "C055",
        "where": "nowhere",
        "what": "Perplexity of a run that there is not",
        "published": 100.0,
        "kind": "perplexity",
        "experiment": "never-run",
        "ours": {"artifact": "training", "variable": "test_perplexity"},
    },
]
PAGE = """---
jupytext:
  text_representation: {extension: .md, format_name: myst}
kernelspec: {name: python3, display_name: Python 3, language: python}
---

# A page

```{code-cell} ipython3
:tags: [parameters]

experiment = "mine"
```

```{code-cell} ipython3
from state_gradients.project import artifacts

training = artifacts.load(experiment, "training")
print(experiment, training.sizes["epoch"])
```
"""
COMMANDS = {
    *("corpus", "train", "extract", "analyse", "explain", "types", "classes"),
    *("properties", "linear", "positions", "coherence", "grammar", "tail"),
    *("boundaries", "context", "learning", "flipflop", "stretches", "rates"),
    *("influence", "layers", "half-lives", "tagged-classes", "forgetting"),
    "reproduce",
    *("status", "ledger", "claims", "inspect", "sentence", "compare", "render"),
}
WORDS = [f"w{k}" for k in range(11)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project of one's own text, with one small experiment run by `reproduce`."""
    root = tmp_path_factory.mktemp("project")
    rng = np.random.default_rng(0)
    (root / "params.yaml").write_text(PARAMS)
    for split in ("train", "valid", "test"):
        lines = rng.choice(WORDS, size=(9, 5))
        text = "\n".join(" ".join(line) for line in lines)
        (root / f"{split}.txt").write_text(text + "\n")
    for folder in ("data", "notebooks"):
        (root / folder).mkdir()
    (root / "data" / "published.yaml").write_text(yaml.safe_dump({"rows": ROWS}))
    (root / "notebooks" / "page.md").write_text(PAGE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_GRADIENTS_ROOT", str(root))
        patch.chdir(root)
        done = run("reproduce", "mine")
        assert done.exit_code == 0, done.output
        assert "mine: train, extract, analyse" in done.stderr
        yield root


def run(*arguments):
    return CliRunner().invoke(cli.app, [*map(str, arguments)])


def rows_of(*arguments):
    """Run a command that must succeed; return its JSON."""
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def written(kind):
    return artifacts.path("mine", kind).stat().st_mtime_ns


def test_corpus_prints_sizes(project):
    sizes = dict.fromkeys(("train", "valid", "test"), 9 * (5 + 1)) | {"vocabulary": 12}
    assert rows_of("corpus", "mine") == sizes
    done = run("corpus", "mine")
    assert done.stdout == f"mine: {sizes}\n"


@pytest.fixture
def glove(tmp_path, monkeypatch):
    """A registered set in the place of the real one, which lacks some words."""
    folder = tmp_path / "glove"
    folder.mkdir()
    table = np.arange(18, dtype=np.float32).reshape(6, 3)
    np.savez(folder / "cut.npz", words=np.array(WORDS[:6]), vectors=table)
    digest = hashlib.sha256((folder / "cut.npz").read_bytes()).hexdigest()
    real = vectors.REGISTRY["glove"]
    source = dataclasses.replace(
        real.source,
        files={"vectors": "cut.npz"},
        hashes={"cut.npz": f"sha256:{digest}"},
    )
    about = dataclasses.replace(real, source=source, covers=("mine",))
    monkeypatch.setitem(vectors.REGISTRY, "glove", about)
    monkeypatch.setenv(corpora.FOLDER_VARIABLE, str(tmp_path))
    return table


def test_corpus_glove_writes_vectors_and_names_the_drawn(project, glove, tmp_path):
    file = tmp_path / "vectors.txt"
    answer = rows_of("corpus", "glove", "--of", "mine", "--output", file)
    assert answer["types"] == 12 and answer["components"] == 3
    assert set(answer["words_drawn"]) == {*WORDS[6:], "<eos>"}
    assert answer["drawn"] == 6 and answer["file"] == str(file)
    vocabulary = corpora.load(settings.load_experiment("mine").corpus).vocabulary
    table = vectors.read_vectors(file, vocabulary)
    for word, vector in zip(WORDS, glove, strict=False):
        np.testing.assert_array_equal(table[vocabulary.index[word]], vector)
    done = run("corpus", "glove", "--of", "mine")  # in the working folder
    assert str(answer["words_drawn"][0]) in done.stdout
    assert (project / "glove-mine.txt").read_bytes() == file.read_bytes()


def test_reproduce_leaves_what_is_fresh(project):
    before = [written(kind) for kind in ("training", "gradients", "spectra")]
    done = run("reproduce", "mine")
    assert done.exit_code == 0
    assert "mine: everything is fresh" in done.stderr
    assert [written(k) for k in ("training", "gradients", "spectra")] == before


def test_the_three_stages_write_their_own_artifacts_only(project):
    kinds = {"train": "training", "extract": "gradients", "analyse": "spectra"}
    for command, kind in kinds.items():
        before = {k: (written(k), artifacts.load("mine", k)) for k in kinds.values()}
        done = run(command, "mine")
        assert done.exit_code == 0, done.output
        moved = [k for k, (at, _) in before.items() if written(k) != at]
        assert moved == [kind]
        again = artifacts.load("mine", kind).drop_vars("seconds", errors="ignore")
        assert again.equals(before[kind][1].drop_vars("seconds", errors="ignore"))


def test_train_goes_on_and_restart_begins_anew(project):
    seconds = artifacts.load("mine", "training")["seconds"]
    assert run("train", "mine").exit_code == 0
    assert artifacts.load("mine", "training")["seconds"].equals(seconds)
    assert run("train", "mine", "--restart").exit_code == 0
    assert not artifacts.load("mine", "training")["seconds"].equals(seconds)


def test_status_says_what_is_fresh_and_what_is_missing(project):
    rows = rows_of("status")
    states = {(row["experiment"], row["state"]) for row in rows}
    assert states == {("mine", "fresh"), ("never-run", "missing")}
    assert {row["command"] for row in rows if row["state"] == "missing"} == {
        "state-gradients reproduce never-run"
    }
    assert {row["experiment"] for row in rows_of("status", "mine")} == {"mine"}
    table = run("status").stdout.splitlines()
    assert len(table) == len(rows) + 1
    assert table[0].split() == [*rows[0]]


def test_ledger_judges_the_published_numbers(project):
    certain, waiting = rows_of("ledger")
    assert (certain["id"], certain["verdict"]) == ("appendix8-corpus", "within")
    mean = np.mean([8 ** (n / (16 * n + 1)) for n in range(5, 11)])
    assert certain["ours"] == pytest.approx(mean, rel=1e-9)
    assert waiting["verdict"] == "not run"
    assert "state-gradients reproduce never-run" in waiting["why"]
    lines = run("ledger").stdout.splitlines()
    assert len(lines) == 3
    assert "within" in lines[1]


def test_claims_have_verdicts(project):
    verdicts = {row["id"]: row["verdict"] for row in rows_of("claims")}
    assert verdicts["C052"] == "supported"
    assert verdicts["C055"] == "waits for never-run"
    table = run("claims").stdout
    assert "C052" in table and "supported" in table


def test_inspect_answers_for_a_saved_model(project, tmp_path):
    experiment = settings.load_experiment("mine")
    encoder = artifacts.load("mine", "encoder")
    subject.build_model(experiment, encoder).save(tmp_path / "mine.keras")
    tokens = tmp_path / "vocabulary.txt"
    tokens.write_text("\n".join(encoder["vocabulary"].values.tolist()) + "\n")
    files = [tmp_path / "mine.keras", "--text", project / "valid.txt"]
    options = ["--vocabulary", tokens, "--max-delay", 3, "--output", tmp_path / "made"]
    rows = rows_of("inspect", *files, *options)
    # the validation text, as the extraction averages over it
    spectra = artifacts.load("mine", "spectra").sel(group="all", state_kind="cell")
    for row in rows:
        at = {"normalization": row["normalization"], "delay": row["delay"]}
        # the extraction keeps its means in float32
        expected = spectra["memory"].sel(at).item()
        assert row["memory"] == pytest.approx(expected, rel=1e-5)
    assert len(rows) == 2 * 4
    made = {path.name for path in (tmp_path / "made").iterdir()}
    assert made == {"memory.png", "memory.csv", "spectra.nc"}
    hidden = rows_of("inspect", *files, *options, "--state", "hidden")
    assert hidden[0]["memory"] != rows[0]["memory"]


@pytest.mark.slow
def test_render_runs_a_page_against_the_artifacts(project):
    target = project / "book" / "sections" / "page.ipynb"
    done = run("render", "page", "--experiment", "mine")
    assert done.exit_code == 0, done.output
    assert f"made {target}" in done.stderr
    assert "mine 1" in target.read_text()
    stopped = run("render", "page", "--experiment", "never-run")
    assert stopped.exit_code == 1
    assert "state-gradients reproduce never-run" in stopped.stderr
    assert "mine 1" in target.read_text()  # the old page stays


MISSPELT = "did you mean 'mine'"
ERRORS = {
    "corpus nowhere": "nowhere",
    "corpus glove --of nowhere": "nowhere",
    "train mime": MISSPELT,
    "extract mime": MISSPELT,
    "extract never-run": "state-gradients reproduce never-run",
    "analyse mime": MISSPELT,
    "analyse never-run": "state-gradients reproduce never-run",
    "types mime": MISSPELT,
    "types never-run": "`gradients.max_delay` must be 4 at least",
    "positions mime": MISSPELT,
    "positions never-run": "state-gradients reproduce never-run",
    "reproduce mine mime": MISSPELT,
    "status mime": MISSPELT,
    "status mime --json": MISSPELT,
    "inspect no.keras --text train.txt --vocabulary train.txt": "no.keras",
    "inspect no.keras --text train.txt --vocabulary train.txt --json": "no.keras",
    "render pag": "did you mean 'page'",
    "render page --experiment mime": MISSPELT,
}


@pytest.mark.parametrize("command", list(ERRORS))
def test_an_error_is_one_line_and_status_1(project, command):
    done = run(*command.split())
    assert done.exit_code == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert ERRORS[command] in line


@pytest.mark.parametrize("command", ["ledger", "ledger --json", "claims"])
def test_tables_without_published_numbers_say_which_file(
    project, monkeypatch, tmp_path, command
):
    (tmp_path / "params.yaml").write_text(PARAMS)
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    done = run(*command.split())
    assert (done.exit_code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and "published.yaml" in line


def test_a_fault_in_the_code_is_not_taken_for_the_readers(project, monkeypatch):
    def broken(*arguments, **options):
        raise TypeError("ours")

    monkeypatch.setattr(artifacts, "status", broken)
    assert isinstance(run("status").exception, TypeError)


def test_the_commands_are_those_that_are_tried_here():
    done = run("--help")
    assert done.exit_code == 0
    for name in COMMANDS:
        helped = run(name, "--help")
        assert helped.exit_code == 0, name
        assert name in done.stdout
    registered = {
        info.name or info.callback.__name__ for info in cli.app.registered_commands
    }
    assert registered == COMMANDS
