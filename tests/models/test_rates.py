"""Learning rates compared by short trainings, and gone on from."""

from dataclasses import replace

import numpy as np
import pytest

from state_gradients.foundation import settings
from state_gradients.models import checkpoints, rates, training
from state_gradients.text.corpora import Text
from state_gradients.text.vocabulary import Vocabulary

V = 9
EXPERIMENT = settings.Experiment(
    name="small",
    model=settings.Model(cell="rnn", units=4, embedding_size=3),
    training=settings.Training(batch_size=2, num_steps=4, max_epochs=4),
)


@pytest.fixture
def text():
    rng = np.random.default_rng(0)
    splits = {
        split: np.cumsum(rng.choice([1, 1, 2], size=120)).astype(np.int32) % V
        for split in ("train", "valid", "test")
    }
    return Text(
        vocabulary=Vocabulary((*map(str, range(V - 1)), "<eos>")), splits=splits
    )


def trained(rate, text, root, **changes):
    recipe = replace(EXPERIMENT.training, learning_rate=rate, **changes)
    experiment = replace(EXPERIMENT, training=recipe)
    return training.train(experiment, text=text, root=root, progress=False)


def compared(text, root, **options):
    return rates.compare_rates(
        EXPERIMENT, text=text, root=root, progress=False, **options
    )


def test_a_trial_is_the_training_itself_and_the_training_goes_on_from_it(
    text, tmp_path, monkeypatch
):
    found = compared(text, tmp_path / "trials", rates=(0.1, 0.5), epochs=2)
    for rate in (0.1, 0.5):
        _, whole = trained(rate, text, tmp_path / "whole")
        ours = found.sel(learning_rate=rate)
        for name in ("train_perplexity", "valid_perplexity"):
            np.testing.assert_array_equal(ours[name], whole[name][:2])
    epochs = []
    run = training._after_epoch
    monkeypatch.setattr(
        training,
        "_after_epoch",
        lambda state, *rest: (
            epochs.append(len(state.history["seconds"]) + 1) or run(state, *rest)
        ),
    )
    _, rest = trained(0.5, text, tmp_path / "trials")
    assert epochs == [3, 4]
    np.testing.assert_array_equal(rest["valid_perplexity"], whole["valid_perplexity"])


def test_a_training_that_has_gone_on_is_a_trial_of_its_first_epochs(
    text, tmp_path, monkeypatch
):
    _, whole = trained(0.5, text, tmp_path)
    monkeypatch.setattr(training, "train", lambda *_, **__: pytest.fail("trained"))
    found = compared(text, tmp_path, rates=(0.5,), epochs=2)
    np.testing.assert_array_equal(
        found["valid_perplexity"][0], whole["valid_perplexity"][:2]
    )


def test_the_best_rate_has_the_lowest_perplexity_after_the_last_epoch(text, tmp_path):
    found = compared(text, tmp_path, rates=(0.1, 0.5), epochs=2)
    ours = [(0.1, [3.0, 9.0], 9.0), (0.5, [8.0, 7.0], 7.0)]
    for rate, values, _ in ours:
        found["valid_perplexity"].loc[{"learning_rate": rate}] = values
    assert rates.best_rate(found) == 0.5
    found["valid_perplexity"].loc[{"learning_rate": 0.5}] = [8.0, np.nan]
    assert rates.best_rate(found) == 0.1


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_rate_at_which_the_training_diverges_is_none_to_take(
    epoch, text, tmp_path, monkeypatch
):
    run = training._after_epoch

    def diverge(state, model, step, text, experiment, progress):
        now = len(state.history["seconds"]) + 1
        if experiment.training.learning_rate == 0.5 and now == epoch:
            raise training.TrainingDivergedError("at 0.5")
        return run(state, model, step, text, experiment, progress)

    monkeypatch.setattr(training, "_after_epoch", diverge)
    found = compared(text, tmp_path, rates=(0.1, 0.5), epochs=2)
    missing = found["valid_perplexity"].sel(learning_rate=0.5).isnull().values
    assert missing.tolist() == [epoch == 1, True]
    assert found["valid_perplexity"].sel(learning_rate=0.1).notnull().all()
    assert rates.best_rate(found) == 0.1
    alone = found.sel(learning_rate=[0.5])
    with pytest.raises(ValueError, match=r"diverged at all of \[0.5\]"):
        rates.best_rate(alone)


def test_no_rate_and_no_epoch_are_refused(text, tmp_path):
    for options in ({"rates": ()}, {"epochs": 0}):
        with pytest.raises(ValueError, match="must be a rate and an epoch"):
            compared(text, tmp_path, **options)
    assert not any(tmp_path.iterdir())


def test_trials_stand_where_the_checkpoint_of_that_rate_does(text, tmp_path):
    compared(text, tmp_path, rates=(0.5,), epochs=1)
    recipe = replace(EXPERIMENT.training, learning_rate=0.5)
    path = checkpoints.checkpoint_path(
        replace(EXPERIMENT, training=recipe), root=tmp_path, read={}
    )
    assert path.is_file()
