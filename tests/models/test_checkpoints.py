"""Where a training's checkpoint stands: a folder whose name tells the settings."""

from dataclasses import replace

import pytest

from state_gradients.foundation import settings
from state_gradients.models.checkpoints import checkpoint_path
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
