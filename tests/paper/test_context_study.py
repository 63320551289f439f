"""The study of effective contexts, against networks whose context is known."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax

from state_gradients.foundation.settings import Model
from state_gradients.models import language_model
from state_gradients.paper.language import context

V = 9
IDS = np.random.default_rng(0).integers(V, size=500)


@pytest.fixture
def short(monkeypatch):
    """Contexts of 12 words at most."""
    monkeypatch.setattr(context, "CONTEXTS", (1, 2, 3, 6, 12))
    monkeypatch.setattr(context, "LONGEST", 12)
    monkeypatch.setattr(context, "BATCH", 50)


def network(cell="lstm", scale=25, layers=1):
    config = Model(cell=cell, units=6, embedding_size=4, layers=layers)
    model = language_model.build_language_model(config, V, seed=1)
    for weight in model.trainable_weights:
        weight.assign(weight.value * scale)
    return model


def loss(model, words, target):
    """-ln p of one word after others, by the model as it is."""
    logits = keras.ops.convert_to_numpy(model(np.array(words)[None]))[0, -1]
    return -log_softmax(logits.astype(float))[target]


def test_costs_are_those_of_every_place_by_hand(short):
    model, places = network(layers=2), {"dropped": 70, "shuffled": 64, "replaced": 64}
    found = context.measure(model, IDS, places=places, seed=3)
    order = 12 + np.random.default_rng(3).permutation(len(IDS) - 12)
    at = np.sort(order[:70])
    whole = [loss(model, IDS[:t], IDS[t]) for t in at]
    assert float(found["loss"]) == pytest.approx(np.mean(whole), rel=1e-5)
    for n in (1, 6, 12):
        cut = [loss(model, IDS[t - n : t], IDS[t]) for t in at]
        cost = float(found["cost"].sel(change="dropped", context=n))
        # float32 logits of order 10
        assert cost == pytest.approx(np.mean(cut) - np.mean(whole), abs=2e-5)
    assert found["n_places"].values.tolist() == [70, 64, 64]
    unchanged = found.sel(context=12, change=["shuffled", "replaced"])
    for name in ("cost", "lower", "upper"):
        assert (unchanged[name] == 0).all()


@pytest.mark.parametrize("change", context.CHANGES)
def test_only_what_is_further_back_is_changed(change, short):
    rng = np.random.default_rng(5)
    targets, n = np.arange(20, 120), 3
    words = context.changed(IDS, targets, n, change, rng)
    before = IDS[targets + np.arange(-12, 0)[:, None]]
    np.testing.assert_array_equal(words[-n:], before[-n:])
    if change == "dropped":
        assert len(words) == n
        return
    assert words.shape == before.shape
    moved = (words[:-n] != before[:-n]).mean()
    # of 9 equal words one in nine comes out as it was; of 9 shuffled ones, one place
    # in nine, and where two are alike
    assert 0.7 < moved < 0.97
    same = np.sort(words, axis=0) == np.sort(before, axis=0)
    assert same.all() == (change == "shuffled")
    # one place is not shuffled as another
    orders = {tuple(np.argsort(column, kind="stable")) for column in words[:-n].T}
    assert len(orders) > 90


def test_a_network_that_sees_one_word_has_a_context_of_one(short):
    model = network("rnn")
    kernel = model.get_layer("recurrent_1").cell.recurrent_kernel
    kernel.assign(0 * kernel.value)
    places = dict.fromkeys(context.CHANGES, 100)
    found = context.measure(model, IDS, places=places, seed=1)
    np.testing.assert_allclose(found["cost"], 0, atol=1e-6)
    assert (found["effective"] == 1).all() and (found["effective_upper"] == 1).all()


def test_a_network_that_adds_up_words_knows_no_order(short):
    model = network("rnn")
    cell = model.get_layer("recurrent_1").cell
    cell.recurrent_kernel.assign(0.999 * np.eye(6))
    cell.kernel.assign(cell.kernel.value / 30)
    logits = model.get_layer("logits")
    logits.kernel.assign(logits.kernel.value * 30)
    places = dict.fromkeys(context.CHANGES, 100)
    found = context.measure(model, IDS, places=places, seed=1)
    shuffled, replaced = (
        abs(float(found["cost"].sel(change=change, context=1)))
        for change in ("shuffled", "replaced")
    )
    assert shuffled < 0.1 * replaced  # of an order it knows a thousandth a word
    assert replaced > context.LIMIT


def test_the_effective_context_is_where_the_cost_crosses_the_limit(short):
    n = np.array(context.CONTEXTS)
    # a line in ln n through the limit at 4, and at a place between two contexts
    for place in (4.0, 2.5):
        cost = context.LIMIT - 0.003 * np.log(n / place)
        assert context.effective(cost) == pytest.approx(place)
    assert context.effective(np.zeros(5)) == 1
    assert np.isnan(context.effective(np.full(5, 0.02)))
    once_more = np.array([0.5, 0.0, 0.02, 0.0, 0.0])  # above again: the last counts
    assert 3 < context.effective(once_more) < 6


def test_intervals_hold_the_truth_as_often_as_they_say(short, monkeypatch):
    """Of costs drawn around known means, whose effective context is known."""
    rng, means = np.random.default_rng(0), np.array([0.3, 0.1, 0.03, 0.004, 0.0])
    truth = context.effective(means)
    monkeypatch.setattr(context, "N_RESAMPLES", 300)
    held, held_cost = 0, 0
    for _ in range(60):
        extra = means[:, None] + 0.02 * rng.normal(size=(5, 256))
        told = context._told(extra, rng)
        held += bool(told["effective_lower"] <= truth <= told["effective_upper"])
        held_cost += bool(
            (told["lower"][2] <= means[2]) & (means[2] <= told["upper"][2])
        )
    assert 52 <= held <= 60  # 57 +- 3 standard deviations of 1.7
    assert 52 <= held_cost <= 60


def test_a_text_too_short_is_refused():
    with pytest.raises(ValueError, match=r"364 tokens at least, .* received 363"):
        context.measure(network(), IDS[:363], places=context.PLACES, seed=1)
