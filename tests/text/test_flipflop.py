"""The flip-flop: pulses, what must be said of them, and when the next one comes."""

import dataclasses

import numpy as np
import pytest

from state_gradients.foundation import settings
from state_gradients.text import corpora, flipflop

CORPUS = settings.Corpus(name="flip-flop", vocabulary_size=None)


def gaps_of(channel):
    return np.diff(np.flatnonzero(channel))


def test_what_must_be_said_is_each_channels_last_pulse():
    trials = flipflop.training_trials(CORPUS, 40, epoch=1)
    assert trials.inputs.shape == (flipflop.N_TRIALS["train"], 40, 3)
    for inputs, targets in zip(trials.inputs[:20], trials.targets, strict=False):
        last = np.zeros(3)
        for pulses, said in zip(inputs, targets, strict=True):
            last = np.where(pulses != 0, pulses, last)
            np.testing.assert_array_equal(said, last)


def test_pulses_have_height_one_and_come_at_the_rate_of_training():
    inputs = flipflop.training_trials(CORPUS, 100, epoch=1).inputs
    assert set(np.unique(inputs)) == {-1, 0, 1}
    assert (inputs[:, 0] != 0).all()
    n = inputs[:, 1:].size
    share = (inputs[:, 1:] != 0).mean()
    error = np.sqrt(flipflop.RATE * (1 - flipflop.RATE) / n)
    assert abs(share - flipflop.RATE) < 5 * error
    ups = inputs[inputs != 0] > 0
    assert abs(ups.mean() - 0.5) < 5 * 0.5 / np.sqrt(ups.size)


def test_the_gaps_of_the_test_trials_are_those_that_are_measured():
    inputs = flipflop.test_trials(CORPUS).inputs
    by_channel = np.moveaxis(inputs, 1, -1).reshape(-1, flipflop.TEST_STEPS)
    gaps = np.concatenate([gaps_of(one) for one in by_channel])
    assert set(gaps.tolist()) == set(flipflop.GAPS)
    together = (inputs[:, 1:] != 0).all(axis=-1).mean()  # channels go by themselves
    assert together < 0.01


def test_the_next_pulse_is_counted_from_every_step(rng):
    inputs = rng.choice([-1, 0, 0, 0, 1], size=(3, 12, 2))
    found = flipflop.steps_to_next(inputs)
    for trial, time, channel in np.ndindex(*inputs.shape):
        later = np.flatnonzero(inputs[trial, time + 1 :, channel])
        expected = later[0] + 1 if len(later) else flipflop.NONE
        assert found[trial, time, channel] == expected


def test_trials_are_of_the_seed_and_the_epoch():
    def first(seed, epoch):
        corpus = dataclasses.replace(CORPUS, seed=seed)
        return flipflop.training_trials(corpus, 30, epoch).inputs

    np.testing.assert_array_equal(first(1, 1), first(1, 1))
    assert (first(1, 1) != first(1, 2)).any()
    assert (first(1, 1) != first(2, 1)).any()


@pytest.mark.parametrize("name", ["RATE", "GAPS", "TEST_STEPS", "RECIPE"])
def test_the_fingerprint_is_of_all_that_decides_the_trials(name, monkeypatch):
    before = corpora.fingerprint(CORPUS)
    assert before == flipflop.fingerprint(CORPUS)
    assert before != corpora.fingerprint(dataclasses.replace(CORPUS, seed=2))
    value = getattr(flipflop, name)
    monkeypatch.setattr(flipflop, name, value * 2)
    assert corpora.fingerprint(CORPUS) != before


def test_it_is_no_text():
    with pytest.raises(ValueError, match="must be of words, received flip-flop"):
        corpora.load(CORPUS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"training": settings.Training()}, "optimizer must be 'adam' on the corpus"),
        ({"corpus": settings.Corpus()}, "and nowhere else, received 'adam' on ptb"),
        ({"model": settings.Model(cell="lstm")}, "received 1 of lstm"),
        ({"model": settings.Model(cell="gru", layers=2)}, "received 2 of gru"),
        ({"language": settings.Language(studies=("types",))}, "must be \\[\\] on the"),
    ],
)
def test_settings_that_do_not_fit_the_flip_flop_are_refused(changes, said):
    fits = {
        "corpus": CORPUS,
        "model": settings.Model(cell="gru"),
        "training": settings.Training(optimizer="adam"),
    }
    settings.Experiment(name="mine", **fits)
    with pytest.raises(ValueError, match=said):
        settings.Experiment(name="mine", **fits | changes)
