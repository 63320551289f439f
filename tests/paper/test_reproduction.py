"""`reproduce`: one stage after another, or those that follow training side by side."""

import contextlib
import itertools
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.foundation import settings
from state_gradients.paper import reproduction, stages
from state_gradients.project import artifacts, locks

PARAMS = """
baseline:
  corpus: {name: mine, train: train.txt, valid: valid.txt, test: test.txt,
           vocabulary_size: null}
  model: {units: 4, embedding_size: 2}
  training: {batch_size: 2, num_steps: 8, max_epochs: 2}
  gradients: {max_delay: 4, blocks: 8}
experiments:
  mine: {language: {studies: [coherence, stretches, half-lives]}}
  short: {corpus: {valid: short.txt}, gradients: {blocks: null},
          language: {studies: [coherence, half-lives]}}
"""
STUDIES = ["coherence", "stretches", "half-lives"]
AFTER = ["extract", "analyse", *STUDIES]  # training, side by side


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a small text of a reader's own, and three studies of it."""
    rng = np.random.default_rng(0)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for split, n_lines in (("train", 20), ("valid", 40), ("test", 20), ("short", 3)):
        lines = [
            " ".join(f"w{k}" for k in rng.integers(0, 9, size=9))
            for _ in range(n_lines)
        ]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    return tmp_path


def test_chains_hold_every_stage_once_after_what_it_is_made_from():
    chains = reproduction.chains()
    assert sorted(["train", *itertools.chain(*chains)]) == sorted(stages.RUN)
    assert ["classes", "properties"] in chains
    assert ["positions", "boundaries"] in chains
    assert ["extract", "analyse", "explain", "coherence"] in chains
    assert {chain[0] for chain in chains} >= set(reproduction.LONGEST)


def test_a_study_that_is_made_from_two_joins_their_chains(monkeypatch):
    kinds = reproduction.kinds.KINDS
    both = kinds["properties"].__class__(
        stage="properties", upstream=("class_gradients", "types", "weights")
    )
    monkeypatch.setitem(kinds, "properties", both)
    assert ["types", "classes", "properties"] in reproduction.chains()


@pytest.mark.slow
def test_studies_side_by_side_are_those_made_in_order(project):
    said = []
    ran = reproduction.reproduce("mine", jobs=2, report=said.append)
    assert ran == ["train", "extract", "analyse", *STUDIES]
    assert f"mine: {', '.join(AFTER)}, 2 at a time" in said
    assert {line for line in said if line.endswith(" made")} == {
        "mine: extract, analyse, coherence made",
        "mine: stretches made",
        "mine: half-lives made",
    }
    kinds = "gradients", "intervals", "spectra", "coherence", "stretches", "half_lives"
    made = {kind: artifacts.load("mine", kind).load() for kind in kinds}
    for kind in kinds:
        next(artifacts.path("mine", kind).parent.glob(f"{kind}.*")).unlink()
    assert reproduction.reproduce("mine", jobs=1) == ["extract", "analyse", *STUDIES]
    for kind in kinds:
        xr.testing.assert_equal(made[kind], artifacts.load("mine", kind))
    assert reproduction.reproduce("mine", jobs=2) == []
    assert not locks._HELD
    assert not multiprocessing.active_children()


@pytest.mark.slow
def test_a_study_that_cannot_be_made_side_by_side_says_why_in_one_line(project):
    done = CliRunner().invoke(cli.app, ["reproduce", "short"])
    assert done.exit_code == 1
    said = done.output.splitlines()[-1]
    assert said.startswith("error: coherence: intervals need a text of")
    assert artifacts.outdated("short").keys() >= {"coherence"}
    assert not locks._HELD


@pytest.mark.parametrize("jobs", [0, -1])
def test_as_many_jobs_as_none_are_refused(project, jobs):
    with pytest.raises(ValueError, match=f"must be 1 or more, received {jobs}"):
        reproduction.reproduce("mine", jobs=jobs)
    assert CliRunner().invoke(cli.app, ["reproduce", "mine", "--jobs", "0"]).exit_code


@pytest.fixture
def trained(project):
    experiment = settings.load_experiment("mine")
    for stage in ("train", "extract", "analyse"):
        stages.RUN[stage](experiment)
    return project


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_stop_ends_all_studies_that_run_side_by_side(trained, name):
    process = subprocess.Popen(
        [sys.executable, "-m", "state_gradients.cli", "reproduce", "mine"],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        while process.stderr.readline() != f"mine: {', '.join(STUDIES)}, 2 at a time\n":
            assert process.poll() is None
        time.sleep(1)  # they are still loading what they need
        process.send_signal(getattr(signal, name))
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 128 + getattr(signal, name)
    assert said.splitlines()[-1] == (
        "mine: stopped; the checkpoint of epoch 2 stays; go on with "
        "`state-gradients reproduce mine`."
    )
    assert "Traceback" not in said
    deadline = time.monotonic() + 30
    with pytest.raises(ProcessLookupError):  # of its group nobody is left
        while time.monotonic() < deadline:
            os.killpg(process.pid, 0)
            time.sleep(0.05)
    assert not [*(trained / "data").rglob(".*")]  # nothing is half-written
    assert artifacts.outdated("mine").keys() == {*STUDIES}  # nor begun since
    with locks.alone(settings.load_experiment("mine")):
        pass


IN_THE_POOL = """
import os, signal, time
from state_gradients.paper import reproduction

def stage(*_, **__):
    try:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)
    finally:
        os.kill(os.getpid(), signal.SIGTERM)  # as a pool that is broken does
        print("taken back", flush=True)

reproduction._in_order = stage
reproduction._set_up(1)
try:
    reproduction._run_chain("mine", ["train"], None)
except BaseException:
    print("the pool goes on")
"""


def test_a_signal_ends_a_process_of_the_pool(project):
    """The pool catches any error of what it runs, and would wait for this process."""
    done = subprocess.run(
        [sys.executable, "-c", IN_THE_POOL], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "taken back\n")
    with locks.alone(settings.load_experiment("mine")):
        pass


@pytest.mark.slow
def test_a_study_whose_process_is_killed_is_named_and_leaves_no_lock(trained):
    def kill():
        while not (children := multiprocessing.active_children()):
            time.sleep(0.05)
        with contextlib.suppress(ProcessLookupError):
            os.kill(children[0].pid, signal.SIGKILL)

    killing = threading.Thread(target=kill)
    killing.start()
    with pytest.raises(RuntimeError, match=r"mine: a stage .* reproduce mine --jobs 1"):
        reproduction.reproduce("mine", jobs=2)
    killing.join()
    assert not locks._HELD
