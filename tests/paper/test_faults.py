"""What goes wrong while stages run: what is said, and what stays whole."""

import numpy as np
import pytest

from state_gradients.foundation import settings
from state_gradients.models import checkpoints
from state_gradients.paper import stages
from state_gradients.project import artifacts

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
    stages.RUN[stage](experiment)
    made = {kind: state for kind, state in states(name).items() if kind in stale}
    assert made == dict.fromkeys(stale, "stale")
    assert place.is_file() and checkpoints.checkpoint_path(experiment) != place


def test_checkpoints_stand_under_the_text_that_was_read(project, monkeypatch):
    experiment = settings.load_experiment("mine")
    place = checkpoints.checkpoint_path(experiment)
    save = checkpoints.save_checkpoint

    def save_and_edit(*arguments):
        save(*arguments)
        edit(project / "train.txt")

    monkeypatch.setattr(checkpoints, "save_checkpoint", save_and_edit)
    stages.run_train(experiment, progress=False)
    assert len(checkpoints.load_checkpoint(place)[2]["seconds"]) == 2
    assert [path.parent for path in place.parent.parent.rglob("*.h5")] == [place.parent]
