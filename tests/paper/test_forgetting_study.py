"""The study of the forgetting curve, on networks of which it is known."""

import keras
import numpy as np
import pytest
import xarray as xr
from scipy.special import log_softmax

from state_gradients.foundation.settings import Model
from state_gradients.models import language_model
from state_gradients.paper.language import forgetting

V = 9
IDS = np.random.default_rng(0).integers(V, size=2_000)


@pytest.fixture
def short(monkeypatch):
    """Stretches of 6 words at most."""
    monkeypatch.setattr(forgetting, "LENGTHS", (2, 3, 4, 6))
    monkeypatch.setattr(forgetting, "AT_ONCE", 70)
    monkeypatch.setattr(forgetting, "N_RESAMPLES", 200)


def network(cell="lstm", *, scale=25, **options):
    config = Model(cell=cell, **{"units": 6, "embedding_size": 4} | options)
    model = language_model.build_language_model(config, V, seed=1)
    for weight in model.trainable_weights:
        weight.assign(weight.value * scale)
    return model


def delay_line(length, heard):
    """A network that holds the last words, and says again the one `heard` back.

    One word is one place of V that is 1, and at every step tanh makes it smaller: never
    0. Heard at 50 times its size, it is the likeliest word.
    """
    model = network("rnn", units=V * length, embedding_size=V)
    cell = model.get_layer("recurrent_1").cell
    model.get_layer("embedding").embeddings.assign(np.eye(V))
    cell.kernel.assign(np.eye(V, V * length))
    cell.recurrent_kernel.assign(np.eye(V * length, k=V))
    cell.bias.assign(np.zeros(V * length))
    logits = model.get_layer("logits")
    logits.kernel.assign(50 * np.eye(V * length, V, k=-V * heard))
    logits.bias.assign(np.zeros(V))
    return model


def test_a_delay_line_says_again_what_is_as_long_as_itself(short):
    """S_k is asked for after S_{k-1}, where S_k of before is n - 1 words back."""
    for n in (3, 4):
        found = forgetting.measure(delay_line(5, heard=n - 1), IDS, seed=2)
        at = found["accuracy"].sel(length=n)
        assert float(at.sel(setting="copy")) == 1
        assert float(at.sel(setting="other")) == pytest.approx(1 / V, abs=0.03)
        others = found["accuracy"].sel(setting="copy").drop_sel(length=n)
        assert np.all(others < 0.25)  # chance, and words that stand there twice
        assert float(at.sel(setting="shuffled")) < 1 / n + 0.2  # right place by chance
        gain = found["gain"].sel(length=n)
        assert np.all(found["lower"].sel(length=n) > 0.85 * gain)
        reach = found["reach"].sel(measure="accuracy", against="other")
        assert n <= float(reach) or np.isnan(reach)
    # beyond: nothing
    of_hits = found["gain"].sel(measure="accuracy", against="other")
    assert abs(float(of_hits.sel(length=6))) < 0.04


def test_a_network_that_sees_one_word_gains_nothing(short):
    model = network("rnn")
    cell = model.get_layer("recurrent_1").cell
    cell.recurrent_kernel.assign(0 * cell.recurrent_kernel.value)
    found = forgetting.measure(model, IDS, seed=2)
    np.testing.assert_allclose(found["gain"], 0, atol=1e-6)
    assert np.all(found["reach"] == 2) and np.all(found["reach_upper"] == 2)
    assert np.all(found["loss"] > 0.5)  # it does read, and is not right


@pytest.mark.parametrize("options", [{"layers": 2}, {"cell": "gru"}])
def test_losses_and_hits_are_those_of_every_stretch_by_hand(short, options):
    model, ids = network(**options), IDS[:192]
    found = forgetting.measure(model, ids, seed=3)
    rng = np.random.default_rng(3)
    for n in (2, 3, 4, 6):
        starts, others, orders = forgetting.stretches(len(ids), n, rng)
        assert int(found["n_stretches"].sel(length=n)) == len(starts) == 192 // n
        firsts = {
            "copy": [ids[s : s + n] for s in starts],
            "shuffled": [
                ids[s : s + n][order] for s, order in zip(starts, orders, strict=True)
            ],
            "other": [ids[r : r + n] for r in others],
        }
        for setting, first in firsts.items():
            losses, hits = [], []
            for k in range(1, n):  # a word at a time: the model's last predictions
                words = [
                    [*one, *ids[s : s + k]]
                    for s, one in zip(starts, first, strict=True)
                ]
                logits = keras.ops.convert_to_numpy(model(np.array(words)))
                for s, row in zip(starts, logits[:, -1].astype(float), strict=True):
                    again, log_p = ids[s : s + n], log_softmax(row)
                    losses.append(-log_p[again[k]])
                    hits.append(log_p.argmax() == again[k])
            at = found.sel(setting=setting, length=n)
            assert float(at["accuracy"]) == pytest.approx(np.mean(hits))
            # float32 logits of order 10
            assert float(at["loss"]) == pytest.approx(np.mean(losses), abs=2e-5)
        at = found.sel(length=n)
        for against in ("other", "shuffled"):
            gain = at["gain"].sel(against=against)
            more = at.sel(setting="copy") - at.sel(setting=against)
            assert float(gain.sel(measure="nats")) == pytest.approx(
                -float(more["loss"])
            )
            of_hits = gain.sel(measure="accuracy")
            assert float(of_hits) == pytest.approx(float(more["accuracy"]))


def test_stretches_lie_all_over_the_text_and_the_others_elsewhere():
    for n_tokens, n in ((6_400, 200), (96, 3), (73_760, 10)):
        rng = np.random.default_rng(1)
        starts, others, orders = forgetting.stretches(n_tokens, n, rng)
        np.testing.assert_array_equal(
            np.sort(orders), np.tile(range(n), (len(starts), 1))
        )
        assert starts[0] == 0 and starts[-1] == n_tokens - n
        assert np.diff(starts).min() >= n
        assert np.abs(others - starts).min() >= n
        assert others.min() >= 0 and others.max() <= n_tokens - n
    ends = n_tokens // 10
    assert others.min() < ends and others.max() > n_tokens - ends
    # before and after as often as there is room
    middle = np.abs(starts - n_tokens / 2) < n_tokens / 20
    assert 0.4 < (others < starts)[middle].mean() < 0.6


def test_intervals_hold_the_truth_as_often_as_they_say(short, monkeypatch):
    """Of hits and losses drawn around known gains, whose reach is known."""
    rng, lengths = np.random.default_rng(0), [2, 3, 4, 6]
    gains = np.array([0.30, 0.10, 0.03, -0.02])
    truth = forgetting.context.effective(gains, limit=0.01, contexts=lengths)
    assert 4 < truth < 6
    held_gain = held_reach = 0
    for _ in range(60):
        scores = {}
        for n, gain in zip(lengths, gains, strict=True):
            noise = 0.05 * rng.normal(size=(3, 2, 96, n - 1))
            noise[0, 1] += gain  # hits of the copy
            noise[1:, 0] += gain  # losses of the others
            scores[n] = noise
        told = forgetting.summary(scores, rng)
        at = told.sel(measure="accuracy", against="shuffled")
        held_gain += bool(at["lower"][1] <= 0.1 <= at["upper"][1])
        held_reach += bool(at["reach_lower"] <= truth <= at["reach_upper"])
    assert 52 <= held_gain <= 60  # 57 +- 3 standard deviations of 1.7
    assert 52 <= held_reach <= 60


def test_a_gain_that_has_no_end_has_no_reach(short):
    always = {n: np.ones((3, 2, 64, n - 1)) for n in (2, 3, 4)}
    for one in always.values():
        one[0, 0] = one[1:, 1] = 0  # no loss of the copy, no hit of the others
    told = forgetting.summary(always, np.random.default_rng(0))
    assert isinstance(told, xr.Dataset) and np.all(told["gain"] == 1)
    for name in ("reach", "reach_lower", "reach_upper"):
        assert np.isnan(told[name]).all()


def test_of_a_short_text_only_short_stretches_are_read(monkeypatch):
    monkeypatch.setattr(forgetting, "N_RESAMPLES", 20)
    found = forgetting.measure(network(), IDS[:330], seed=1)
    assert found["length"].values.tolist() == [2, 3, 5, 10]
    with pytest.raises(ValueError, match=r"96 tokens at least, .* 32 stretches of 3, "):
        forgetting.measure(network(), IDS[:95], seed=1)
