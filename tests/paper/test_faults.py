"""What goes wrong while stages run: what is said, and what stays whole."""

import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import typer

from state_gradients import cli
from state_gradients.foundation import settings
from state_gradients.models import checkpoints, training
from state_gradients.paper import reproduction, stages
from state_gradients.paper.synthetic import study
from state_gradients.project import artifacts, locks
from state_gradients.text import corpora, vectors

PARAMS = """
baseline:
  corpus: {name: mine, train: train.txt, valid: valid.txt, test: test.txt,
           vocabulary_size: null}
  model: {units: 4, embedding_size: 2}
  training: {batch_size: 2, num_steps: 8, max_epochs: 2}
  gradients: {max_delay: 3, blocks: null}
experiments:
  mine: {}
  frozen: {model: {embedding: frozen, embedding_file: vectors.txt}}
  far: {gradients: {max_delay: 50, blocks: 64}}
  further: {gradients: {max_delay: 120}}
  longest: {gradients: {max_delay: 119}}
  long: {training: {max_epochs: 100000, patience: 100000}}
"""
WORDS = ("<eos>", *(f"w{k}" for k in range(8)))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a small text of a reader's own, and vectors."""
    rng = np.random.default_rng(0)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for split in ("train", "valid", "test"):
        lines = (" ".join(rng.choice(WORDS[1:], size=9)) for _ in range(12))
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    vectors = "".join(f"{word} {k} {k * k}\n" for k, word in enumerate(WORDS))
    (tmp_path / "vectors.txt").write_text(f"{len(WORDS)} 2\n{vectors}")
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    return tmp_path


def states(name):
    table = artifacts.status(names=[name])
    return dict(zip(table["kind"], table["state"], strict=True))


# ------------------------------------------------- what was read is what is recorded


def edit(path):
    text = path.read_text()
    path.write_text(text.replace("w1", "w2") if "w1 w" in text else text + "w9 1 1\n")


EDITED = {  # an experiment, a stage, a file that is edited while it runs, what stales
    "training text": ("mine", "train", "train.txt", {"training", "encoder"}),
    "validation text": ("mine", "train", "valid.txt", {"training", "encoder"}),
    "vectors": ("frozen", "train", "vectors.txt", {"training", "encoder"}),
    "extracted text": ("mine", "extract", "valid.txt", {"gradients"}),
}


@pytest.mark.parametrize("case", EDITED)
def test_a_file_edited_while_a_stage_runs_is_not_called_fresh(
    project, monkeypatch, case
):
    name, stage, file, stale = EDITED[case]
    experiment = settings.load_experiment(name)
    if stage == "extract":
        stages.run_train(experiment, progress=False)
    place = checkpoints.checkpoint_path(experiment)
    save = artifacts.save

    def edit_and_save(*arguments, **options):
        monkeypatch.undo()
        monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(project))
        edit(project / file)
        return save(*arguments, **options)

    monkeypatch.setattr(artifacts, "save", edit_and_save)
    before = corpora.fingerprint(experiment.corpus)
    stages.RUN[stage](experiment)
    made = {kind: state for kind, state in states(name).items() if kind in stale}
    assert made == dict.fromkeys(stale, "stale")
    for kind in stale:
        assert artifacts.load(name, kind).attrs["corpus"] == before
    assert place.is_file()
    if stage == "train":
        assert checkpoints.checkpoint_path(experiment) != place


def test_checkpoints_stand_under_the_text_that_was_read(project, monkeypatch):
    experiment = settings.load_experiment("mine")
    place = checkpoints.checkpoint_path(experiment)
    load = corpora.load

    def load_and_edit(corpus):
        text = load(corpus)
        edit(project / "train.txt")
        return text

    monkeypatch.setattr(corpora, "load", load_and_edit)
    stages.run_train(experiment, progress=False)
    assert len(checkpoints.load_checkpoint(place)[2]["seconds"]) == 2
    assert [path.parent for path in place.parent.parent.rglob("*.h5")] == [place.parent]


# ------------------------------------------------------------ refused before any work


@pytest.fixture
def no_training(monkeypatch):
    def train(*arguments, **options):
        pytest.fail("training has begun")

    monkeypatch.setattr(training, "train", train)


SHORT = {
    "far": "gradients.blocks: intervals need a text of at least 510 tokens",
    "further": "gradients.max_delay: it must be below the 120 tokens of the valid text",
}


@pytest.mark.parametrize("run", [reproduction.reproduce, "train"])
@pytest.mark.parametrize("name", SHORT)
def test_a_text_too_short_to_extract_is_refused_before_training(
    project, no_training, name, run
):
    with pytest.raises(ValueError, match=SHORT[name]):
        if run == "train":
            stages.run_train(settings.load_experiment(name))
        else:
            run(name)


def test_a_text_as_short_as_can_be_is_extracted(project):
    experiment = settings.load_experiment("longest")
    for run in (stages.run_train, stages.run_extract):
        run(experiment)
    assert artifacts.load("longest", "gradients")["n_samples"].values[0, -1] == 1


def test_the_least_units_are_those_that_the_probes_need():
    assert settings.LEAST_UNITS_TO_STUDY == study.N_COUNTING + 1


HOLD = """
import sys
from state_gradients.foundation import settings
from state_gradients.project import locks
with locks.alone(settings.load_experiment("mine")):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def held(project):
    """Another process that runs a stage of ``mine``."""
    pytest.importorskip("fcntl", reason="Windows has no flock")
    with subprocess.Popen(
        [sys.executable, "-c", HOLD],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.parametrize("stage", ["reproduce", *stages.RUN])
def test_a_second_run_of_an_experiment_says_so_at_once(held, no_training, stage):
    with pytest.raises(RuntimeError, match=f"mine: one stage .* process {held.pid} ru"):
        if stage == "reproduce":
            reproduction.reproduce("mine")
        else:
            stages.RUN[stage](settings.load_experiment("mine"))
    with locks.alone(settings.load_experiment("frozen")):  # another may run beside it
        pass
    held.kill()
    held.wait()  # a lock is freed however its process ends
    with locks.alone(settings.load_experiment("mine")):
        pass


def test_a_lock_is_freed_when_the_stage_fails(project, monkeypatch):
    experiment = settings.load_experiment("mine")
    with pytest.raises(artifacts.ArtifactError, match="must exist"):
        stages.run_analyse(experiment)
    assert not locks._HELD
    with locks.alone(experiment), locks.alone(experiment):  # a stage of `reproduce`
        assert locks._HELD
    assert not locks._HELD


@pytest.mark.parametrize("folder", ["_work", "data/artifacts"])
@pytest.mark.parametrize("run", [reproduction.reproduce, "train"])
def test_a_project_that_cannot_be_written_is_refused_before_training(
    project, no_training, folder, run
):
    if not sys.platform.startswith("linux"):
        pytest.skip("needs a folder in which nobody can write, as /proc is")
    (project / folder).parent.mkdir(exist_ok=True)
    (project / folder).symlink_to("/proc")
    with pytest.raises(OSError, match=f"mine: the folder .*{folder}.* must be writabl"):
        if run == "train":
            stages.run_train(settings.load_experiment("mine"))
        else:
            run("mine")


def test_a_fresh_experiment_needs_no_project_to_write_in(project, monkeypatch):
    reproduction.reproduce("mine")
    monkeypatch.setattr(
        locks, "alone", lambda *a, **o: pytest.fail("it wants to write")
    )
    assert reproduction.reproduce("mine") == []


# ------------------------------------------------------------------ stopped by a signal

SIGNALS = {"SIGINT": 130, "SIGTERM": 143}
# the command, with a stage that waits once it is in the midst of its work
WAITING = """
import time
from state_gradients import cli
from state_gradients.project import provenance

def wait(dataset, path, **options):
    with provenance.replacing(path) as temporary:
        temporary.write_bytes(b"half")
        print("waiting", flush=True)
        time.sleep(600)

provenance.write = wait
cli.app()
"""


def _started(*arguments):
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _files(project):
    return sorted(
        path.relative_to(project).as_posix()
        for folder in ("_work", "data")
        for path in (project / folder).rglob("*")
        if path.is_file()
    )


def _until(condition, process):
    deadline = time.monotonic() + 120
    while not condition():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("name", SIGNALS)
def test_a_stop_of_which_a_library_makes_another_error_is_a_stop(project, name, capsys):
    mine = settings.load_experiment("mine")
    with pytest.raises(typer.Exit) as ended, cli._stoppable("train", mine):
        try:
            signal.raise_signal(getattr(signal, name))
        except KeyboardInterrupt as stopped:  # as compiled code does with exceptions
            raise RuntimeError("MISMATCH of exception types") from stopped
    assert ended.value.exit_code == SIGNALS[name]
    assert "mine: stopped; nothing is half-written" in capsys.readouterr().err


@pytest.mark.parametrize("name", SIGNALS)
def test_a_stop_that_python_has_to_drop_comes_again(project, name, capsys):
    number = getattr(signal, name)

    class Dropping:
        def __del__(self):  # of which no exception comes out
            signal.raise_signal(number)

    mine = settings.load_experiment("mine")
    with pytest.raises(typer.Exit) as ended, cli._stoppable("train", mine):
        dropping = Dropping()
        del dropping
        time.sleep(30)
        pytest.fail("the stop was lost")
    assert ended.value.exit_code == SIGNALS[name]
    assert "mine: stopped; nothing is half-written" in capsys.readouterr().err


@pytest.mark.parametrize("name", SIGNALS)
def test_a_stop_that_another_thread_is_given_ends_a_wait(project, name, capsys):
    number = getattr(signal, name)

    def given():
        signal.pthread_kill(threading.get_ident(), number)

    mine = settings.load_experiment("mine")
    threads = threading.active_count()
    begun = time.monotonic()
    with pytest.raises(typer.Exit) as ended, cli._stoppable("train", mine):
        threading.Timer(0.2, given).start()
        time.sleep(30)
    assert time.monotonic() - begun < 20
    assert ended.value.exit_code == SIGNALS[name]
    assert "mine: stopped; nothing is half-written" in capsys.readouterr().err
    assert threading.active_count() == threads
    assert signal.set_wakeup_fd(-1) == -1


def test_a_stop_is_one_where_no_thread_can_be_sent_a_signal(
    project, monkeypatch, capsys
):
    monkeypatch.delattr(signal, "pthread_kill")  # as on Windows
    monkeypatch.delattr(os, "set_blocking")
    mine = settings.load_experiment("mine")
    with pytest.raises(typer.Exit) as ended, cli._stoppable("train", mine):
        signal.raise_signal(signal.SIGTERM)
    assert ended.value.exit_code == SIGNALS["SIGTERM"]
    assert "mine: stopped; nothing is half-written" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("command", ["train", "reproduce"])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_training_that_is_stopped_says_what_stays(project, name, command):
    place = checkpoints.checkpoint_path(settings.load_experiment("long"))
    process = _started("-m", "state_gradients.cli", command, "long")
    _until(place.is_file, process)
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    done = len(checkpoints.load_checkpoint(place)[2]["seconds"])
    assert process.returncode == SIGNALS[name], said
    assert said.splitlines()[-1] == (
        f"long: stopped; the checkpoint of epoch {done} stays; go on with "
        f"`state-gradients {command} long`."
    )
    assert "Traceback" not in said
    place = place.relative_to(project).as_posix()
    assert _files(project) == sorted([place, "_work/long.lock"])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["extract", "analyse"])
@pytest.mark.parametrize("name", SIGNALS)
def test_a_stage_that_is_stopped_leaves_nothing_half_written(project, name, command):
    experiment = settings.load_experiment("mine")
    stages.run_train(experiment, progress=False)
    if command == "analyse":
        stages.run_extract(experiment)
    before = _files(project)
    process = _started("-c", WAITING, command, "mine")
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(getattr(signal, name))
    _, said = process.communicate(timeout=60)
    assert process.returncode == SIGNALS[name], said
    assert said.splitlines()[-1] == (
        "mine: stopped; the checkpoint of epoch 2 stays; go on with "
        f"`state-gradients {command} mine`."
    )
    assert "Traceback" not in said
    assert _files(project) == before


# ------------------------------------------------------------------------ a full disk


def test_a_full_disk_leaves_the_artifacts_that_there_were(project, full_disk):
    reproduction.reproduce("mine")
    before = {file: (project / file).read_bytes() for file in _files(project)}
    experiment = settings.load_experiment("mine")
    for stage in ("train", "extract", "analyse"):
        resume = {"resume": False} if stage == "train" else {}
        with full_disk(), pytest.raises(OSError, match="No space left"):
            stages.RUN[stage](experiment, **resume)
    assert {file: (project / file).read_bytes() for file in _files(project)} == before


def test_a_full_disk_leaves_the_word_vectors_that_there_were(
    project, full_disk, monkeypatch
):
    file = project / "made.txt"
    file.write_text("before")
    table = np.ones((9, 2), np.float32)
    monkeypatch.setattr(vectors, "registered_vectors", lambda *a, **o: (table, ["w1"]))
    with full_disk(), pytest.raises(OSError, match="No space left"):
        cli._word_vectors("glove", "mine", file, as_json=False)
    assert file.read_text() == "before"
    assert not list(project.glob(".*"))
