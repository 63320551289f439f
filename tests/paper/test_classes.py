"""Word classes: means against central differences, groups and controls by loops."""

import numpy as np
import pytest
import xarray as xr
from through_keras import central_differences

from state_gradients.analysis import spectra, whitening
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import settings
from state_gradients.models import language_model
from state_gradients.paper import stages
from state_gradients.paper.language import classes, tags
from state_gradients.paper.language.subject import Subject
from state_gradients.text.vocabulary import Text, Vocabulary

WORDS = ["firm", "firm's", "run", "runs", "ran", "cats", "red", "redder", "the", "x"]
TAGGED = {
    "NN": ["firm", "firm's", "run"],
    "NNS": ["cats", "runs"],
    "VBP": ["run"],
    "VBZ": ["runs"],
    "VBD": ["ran"],
    "JJ": ["red"],
    "JJR": ["redder"],
    "DT": ["the"],
}
T, MAX_DELAY = 120, 2


@pytest.fixture
def subject(rng, monkeypatch):
    """A random GRU on a text of ten words, of which x has no tag."""
    monkeypatch.setattr(classes, "FEWEST", 5)
    table = [[word in words for word in WORDS] for words in TAGGED.values()]
    names = {"tag": list(TAGGED), "vocabulary": WORDS}
    tagged = xr.Dataset(
        {
            "n_tagged": (("tag", "vocabulary"), np.array(table, int)),
            "by_brown": ("vocabulary", [word == "red" for word in WORDS]),
        },
        coords=names,
    )
    experiment = settings.Experiment(
        name="mine",
        model=settings.Model(cell="gru", units=5, embedding_size=3, initial_range=0.8),
        gradients=settings.Gradients(max_delay=MAX_DELAY),
    )
    model = language_model.build_language_model(experiment.model, len(WORDS), seed=1)
    named = language_model.weights(model)
    encoder = {k: v for k, v in named.items() if "logits" not in k}
    counts = np.array([9, 8, 10, 11, 12, 40, 41, 9, 300, 9])
    vocabulary = Vocabulary(tokens=tuple(WORDS), counts=counts)
    found = Subject(experiment=experiment)
    known = {  # instead of what it would read
        "ids": rng.integers(len(WORDS), size=T),
        "tags": tagged,
        "encoder": stages._weights(encoder, vocabulary),
        "model": model,
    }
    found.__dict__.update(known)
    return found


@pytest.fixture
def made(subject):
    return classes.study(subject)


class Last:
    """A recurrent layer that returns its last state alone."""

    def __init__(self, layer):
        self.layer, self.units = layer, layer.units

    def __call__(self, embedded):
        return self.layer(embedded)[1]


class Unrolled:
    """What `central_differences` reads of a model: its embedding and its layer."""

    def __init__(self, model):
        embedding, layer = model.layers[1:3]
        self.layers = [embedding, Last(layer)]


def places(subject, words):
    return np.flatnonzero(np.isin(subject.ids, [WORDS.index(word) for word in words]))


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("all words", WORDS),
        ("V", ["run", "runs", "ran"]),
        ("singular - plural: second", ["cats", "runs"]),
        ("genitive - non-genitive: first", ["firm's"]),
        ("base - comparative: either", ["red", "redder"]),
    ],
)
def test_means_are_those_of_central_differences(subject, made, group, words):
    mean, count = central_differences(
        Unrolled(subject.model),
        subject.ids[None],
        [places(subject, words)],
        length=T,
        max_delay=MAX_DELAY,
    )
    found = made["class_gradients"].sel(group=group)
    np.testing.assert_array_equal(found["n_samples"], count)
    # float32 states: 6e-8 / 1e-3 each, and truncation 1e-6
    np.testing.assert_allclose(found["state_gradient"], mean, rtol=0, atol=2e-4)
