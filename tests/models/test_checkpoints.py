"""Where a training's checkpoint stands: a folder whose name tells the settings."""

import re
from dataclasses import replace

import h5py
import numpy as np
import pytest

from state_gradients.foundation import settings
from state_gradients.models.checkpoints import (
    CURVES,
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from state_gradients.text.corpora import FOLDER_VARIABLE

# As they were before settings could be added: trainings were begun under these names,
# and must be found.
DIGESTS = {
    "synthetic-seed1": "ba3b3c27",
    "synthetic-seed2": "8002341d",
    "synthetic-seed3": "6bd34e6d",
    "synthetic-dropout-seed1": "62f86f25",
    "synthetic-dropout-seed2": "5a7b58d3",
    "synthetic-dropout-seed3": "80fd2da2",
    "ptb-lstm-256": "07463a6f",
    "ptb-lstm-256-untrained": "07463a6f",
    "ptb-gru-256": "db52551d",
    "ptb-rnn-256": "5bf00bb8",
    "ptb-lstm-128": "7105e8b0",
    "ptb-lstm-256-seed1": "8a309539",
    "ptb-lstm-256-seed3": "3d77d15f",
    "ptb-lstm-512": "54bec82b",
    "ptb-rnn-256-seed1": "8b121c2f",
    "ptb-rnn-256-seed3": "339e84b1",
    "ptb-rnn-256-rate0.1": "b82d6ac6",
    "ptb-gru-256-seed1": "51ab6d1e",
    "ptb-lstm-128-seed1": "9d0308e3",
    "ptb-lstm-256-glove": "12f783e9",
    "ptb-lstm-256-e50": "7a055e77",
    "ptb-lstm-256-glove-steps50": "3e5aede1",
    "ptb-lstm-256-glove-steps50-double-eos": "cf30a0d1",
    "ptb-split-lstm-256": "9e8199f5",
    "ptb-lstm-256-embedding-dropout": "da5c5ccb",
    "ptb-lstm-256-steps50": "faf18d06",
    "ptb-lstm-256-double-eos": "9ec1a507",
    "ptb-lstm-256-steps50-double-eos": "00bf8b4f",
    "ptb-lstm-256-e128-embedding-dropout": "dafe800f",
    "ptb-lstm-256-layers2": "e1f075ab",
    "ptb-lstm-256-layers3": "f9959890",
}
LINES = {  # read by lines, as all texts were when these names were given
    "wikitext-2-lines-lstm-256": "4fd90061",
    "wikitext-2-lstm-256": "4fd90061",
    "wikitext-2-lstm-512": "d4a9ae16",
    "wikitext-103-lstm-512": "5609b8c2",
}


def digest(experiment):
    path = checkpoint_path(experiment, root="/")
    assert path.parts[:2] == ("/", "_work")
    assert path.parts[3:] == ("checkpoint.h5",)
    assert path.parts[2].startswith(f"{experiment.name}-")
    return path.parts[2].removeprefix(f"{experiment.name}-")


@pytest.fixture(autouse=True)
def no_corpora(monkeypatch):
    """Names must not depend on what texts a machine has."""
    monkeypatch.setenv(FOLDER_VARIABLE, "/nowhere")


def test_published_experiments_keep_the_digests_that_their_checkpoints_have(root):
    digests = {
        name: digest(settings.load_experiment(name, root=root)) for name in DIGESTS
    }
    assert digests == DIGESTS


def test_texts_read_by_lines_keep_their_digests_and_stops_give_others(root):
    for name, stored in LINES.items():
        experiment = settings.load_experiment(name, root=root)
        corpus = replace(experiment.corpus, eos_at_stops=False)
        assert digest(replace(experiment, corpus=corpus)) == stored
        corpus = replace(experiment.corpus, eos_at_stops=True)
        assert digest(replace(experiment, corpus=corpus)) != stored


def test_settings_that_only_say_when_to_stop_do_not_enter():
    experiment = settings.Experiment(name="one")
    for stopping in ({"max_epochs": 7}, {"min_improvement": 0.5}, {"patience": 9}):
        training = settings.Training(**stopping)
        assert digest(replace(experiment, training=training)) == digest(experiment)
    for other in ({"seed": 7}, {"decay": 0.5}, {"optimizer": "adagrad"}):
        training = settings.Training(**other)
        assert digest(replace(experiment, training=training)) != digest(experiment)


# ---------------------------------------------------- what is not gone on from

SHAPES = [(3, 2), (2, 4)]
HISTORY = {name: [9.0, 8.0] for name in CURVES}


def _written(path, squares=True, history=HISTORY):
    values = [np.arange(1, np.prod(s) + 1, dtype=np.float32).reshape(s) for s in SHAPES]
    save_checkpoint(path, values, [v + 0.1 for v in values] if squares else [], history)
    return values


def _edited(change):
    def damage(path):
        with h5py.File(path, "r+") as file:
            change(file)

    return damage


def _flip(file):
    file["values/1"][0, 3] *= -1


def _shorten(file, names):
    for name in names:
        column = file[f"history/{name}"][:1]
        del file[f"history/{name}"]
        file[f"history/{name}"] = column


def _replace(file, name, value):
    del file[name]
    file[name] = value


def _unhashed(change):
    """A change of a checkpoint as they were before they carried a hash."""

    def damage(file):
        del file.attrs["content"]
        change(file)

    return _edited(damage)


HASH = "its contents differ from the hash written with them"
DAMAGES = {
    "truncated": (lambda p: p.write_bytes(p.read_bytes()[:-100]), "truncated or damag"),
    "cut to its head": (lambda p: p.write_bytes(p.read_bytes()[:100]), "truncated or"),
    "empty": (lambda p: p.write_bytes(b""), "truncated or damaged"),
    "text": (lambda p: p.write_text("version https://git-lfs"), "truncated or damaged"),
    "a folder": (lambda p: (p.unlink(), p.mkdir()), "truncated or damaged"),
    "without values": (
        _edited(lambda f: f.pop("values")),
        "truncated or damaged .*val",
    ),
    "without squares": (_edited(lambda f: f.pop("squares")), "damaged .*squares"),
    "without history": (_edited(lambda f: f.pop("history")), "damaged .*history"),
    "without a column": (_edited(lambda f: f.pop("history/seconds")), "damaged .*sec"),
    "without an array": (_edited(lambda f: f.pop("values/0")), "truncated or damaged"),
    "a group for an array": (
        _edited(lambda f: (f.pop("values/0"), f.create_group("values/0"))),
        "truncated or damaged",
    ),
    "a flipped sign": (_edited(_flip), HASH),
    "a flipped square": (
        _edited(lambda f: f["squares/0"].write_direct(-f["squares/0"][()])),
        HASH,
    ),
    "a shortened history": (_edited(lambda f: _shorten(f, CURVES)), HASH),
    "a changed history": (
        _edited(lambda f: _replace(f, "history/seconds", [9.0, 9.0])),
        HASH,
    ),
    "another hash": (_edited(lambda f: f.attrs.modify("content", "0" * 64)), HASH),
    "old, one column short": (
        _unhashed(lambda f: _shorten(f, ["seconds"])),
        r"not as many epochs in each column: .*'seconds': \(1,\)",
    ),
    "old, no epochs": (
        _unhashed(lambda f: [_replace(f, f"history/{n}", np.zeros(0)) for n in CURVES]),
        "not as many epochs",
    ),
    "old, NaN": (
        _unhashed(lambda f: _replace(f, "values/0", np.full((3, 2), np.nan, "f4"))),
        "no finite number",
    ),
    "old, text": (
        _unhashed(lambda f: _replace(f, "squares/1", "x")),
        "damaged|no finit",
    ),
    "old, a square too few": (
        _unhashed(lambda f: f.pop("squares/1")),
        "holds 1 sums of squares of 2 values",
    ),
    "old, another shape": (
        _unhashed(lambda f: _replace(f, "values/0", np.zeros((2, 3), "f4"))),
        r"arrays of shapes \[\(2, 3\), .*not \[\(3, 2\)",
    ),
    "of the other optimizer": (
        lambda p: _written(p, squares=False),
        r"arrays of shapes \[\(3, 2\), \(2, 4\)\], not",
    ),
}


def refusal_of_checkpoint(case, folder):
    path = folder / "checkpoint.h5"
    _written(path)
    DAMAGES[case][0](path)
    with pytest.raises(ValueError) as refused:
        load_checkpoint(path, shapes=SHAPES, has_squares=True)
    return str(refused.value)


@pytest.mark.parametrize("case", DAMAGES)
def test_a_checkpoint_that_is_not_whole_names_itself_and_restart(tmp_path, case):
    path = tmp_path / "checkpoint.h5"
    said = refusal_of_checkpoint(case, tmp_path)
    assert re.search(DAMAGES[case][1], said)
    assert said.startswith(f"train: {path} must hold the checkpoint of this training")
    assert said.endswith("or train with --restart, which replaces it.")
    assert "\n" not in said


@pytest.mark.parametrize("is_old", [False, True])
def test_a_whole_checkpoint_comes_back_and_an_old_one_too(tmp_path, is_old):
    path = tmp_path / "checkpoint.h5"
    values = _written(path)
    if is_old:
        _unhashed(lambda file: None)(path)
    held, squares, history = load_checkpoint(path, shapes=SHAPES, has_squares=True)
    for array, square, value in zip(held, squares, values, strict=True):
        np.testing.assert_array_equal(array, value)
        np.testing.assert_array_equal(square, value + np.float32(0.1))
    assert history == HISTORY


def test_a_disk_that_is_full_leaves_the_old_checkpoint(tmp_path, full_disk):
    path = tmp_path / "checkpoint.h5"
    _written(path)
    before = path.read_bytes()
    with full_disk(), pytest.raises(OSError, match="No space left"):
        _written(path, history=HISTORY | {"seconds": [1.0, 1.0]})
    assert path.read_bytes() == before
    assert [*tmp_path.iterdir()] == [path]
