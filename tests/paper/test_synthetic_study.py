from collections import Counter

import keras
import numpy as np
import pytest
import xarray as xr
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import accuracy_score, balanced_accuracy_score

from state_gradients.engine import means
from state_gradients.foundation import settings
from state_gradients.models import evaluation, language_model
from state_gradients.paper.synthetic import readout
from state_gradients.paper.synthetic import study as study
from state_gradients.project import artifacts
from state_gradients.text import synthetic

UNITS = 8
TINY = settings.Experiment(
    name="synthetic-tiny",
    corpus=settings.Corpus(name="synthetic", vocabulary_size=None),
    model=settings.Model(
        units=UNITS,
        embedding="one-hot",
        embedding_size=11,
        dropout=0.0,
        initial_range=1.0,  # large enough for the state to tell tokens apart
    ),
    training=settings.Training(seed=3, batch_size=4, num_steps=20),
)


@pytest.fixture(scope="module")
def model():
    return language_model.build_language_model(TINY.model, 11, seed=3)


@pytest.fixture(scope="module")
def texts():
    sizes = {"valid": 6_000, "test": 3_000}
    return {
        s: synthetic.generate(n, seed=[7, k]) for k, (s, n) in enumerate(sizes.items())
    }


@pytest.fixture(scope="module")
def mean_gradients(model, texts):
    text = texts["valid"]
    return means.mean_state_gradients(
        model,
        text.ids,
        max_delay=3,
        state=("cell", "hidden"),
        positions=study.position_groups(text),
    )


@pytest.fixture(scope="module")
def found(model, texts, mean_gradients):
    return study.analyse(TINY, model, mean_gradients, texts=texts, n_train=5_000)


def test_position_groups_are_those_found_by_looking_ahead():
    text = synthetic.generate(3_000, seed=5)
    groups = study.position_groups(text)
    assert groups.sel(group="all").all()
    np.testing.assert_array_equal(groups.sel(group="new-tokens"), text.count == 0)
    places = {16: "last cycle", 32: "second last", 48: "third last"}
    for t in np.flatnonzero(text.count == 0):
        ahead = text.ids[t : t + 50].tolist()
        steps = ahead.index(10) if 10 in ahead else None
        expected = f"new-tokens, {places.get(steps, 'earlier')}"
        members = groups["group"][2:][groups[2:, t].values].values.tolist()
        assert members == [expected], t
    assert not groups[2:, text.count != 0].any()
    assert groups[2:].any("time").all()  # each kind occurs in this text


def test_recorded_states_are_those_of_keras(model, texts):
    ids = texts["test"].ids[:40]
    cell, hidden, gate = readout.record_states(model, ids)
    embedded = keras.ops.convert_to_tensor(np.eye(11, dtype="float32")[ids][None])
    for t in (1, 7, 40):
        _, h, c = language_model.recurrent_layers(model)[0](embedded[:, :t])
        # 40 steps of float32: 40 x 2^-24, times the recurrent gain
        np.testing.assert_allclose(cell[t - 1], np.array(c)[0], atol=2e-5)
        np.testing.assert_allclose(hidden[t - 1], np.array(h)[0], atol=2e-5)
    np.testing.assert_allclose(hidden, gate * np.tanh(cell), atol=1e-15)


def test_only_one_lstm_layer_can_be_recorded():
    gru = language_model.build_language_model(
        settings.Model(cell="gru", units=4, embedding_size=3), 11
    )
    with pytest.raises(ValueError, match="one LSTM layer"):
        readout.record_states(gru, np.arange(5))


def test_losses_and_mistakes_are_those_of_the_evaluation(model, texts, found):
    text = texts["test"]
    losses, guesses = evaluation.token_losses(
        model, text.ids, batch_size=1, num_steps=1
    )
    perplexity = found["perplexity"].sel(split="test", evaluation="1 x 1").item()
    assert perplexity == pytest.approx(np.exp(losses.mean(dtype=float)), rel=1e-4)
    rows = found["perplexity"].sel(split="valid", evaluation="4 x 20").item()
    size = {"batch_size": 4, "num_steps": 20}
    assert rows == evaluation.perplexity(model, texts["valid"].ids, **size)
    n, wrong, loss = np.zeros((3, 17))
    for t in range(2, len(text.ids)):
        n[text.count[t]] += 1
        wrong[text.count[t]] += guesses[0, t - 1] != text.ids[t]
        loss[text.count[t]] += losses[0, t - 1]
    np.testing.assert_array_equal(found["predictions_at"], n)
    np.testing.assert_array_equal(found["mistakes_at"], wrong)
    np.testing.assert_allclose(found["nll_at"], loss / n, rtol=1e-4)
    assert found["predictions"] == len(text.ids) - 2
    assert found["unexpected_mistakes"] == wrong[1:16].sum() > 0
    assert found["unexpected_at_first_repeat"] == wrong[1]


def test_the_ideal_predictor_pays_for_choice_and_length_only(found):
    ideal = found["ideal_nll_at"]
    np.testing.assert_allclose(ideal.sel(label=slice("1", "15")), 0, atol=1e-15)
    assert np.log(8) < ideal.sel(label="0") < np.log(8) + np.log(6) / 5
    # -ln of 1/6 .. 1 at the ends of lines
    assert 0 < ideal.sel(label="EOS") < np.log(6)


def test_end_of_line_probabilities_are_means_over_their_boundaries(model, texts, found):
    text = texts["test"]
    _, hidden, _ = readout.record_states(model, text.ids)
    p = np.exp(readout.log_probabilities(model, hidden))
    np.testing.assert_allclose(p.sum(axis=1), 1)
    last = np.flatnonzero((text.count[:-1] == 15) & (text.cycle[:-1] == 6))
    expected = np.mean([p[t, 10] for t in last])
    assert found["eos_probability"].sel(cycles=7) == pytest.approx(expected)


def test_sums_are_nuclear_norms_of_projected_gradients(found, mean_gradients):
    g = mean_gradients["state_gradient"].sel(state_kind="cell", group="new-tokens")
    sums = found["sum_singular_values"].sel(group="new-tokens")
    for delay in range(4):
        whole = np.linalg.norm(g.sel(delay=delay), ord="nuc")
        assert sums.sel(subspace="whole", delay=delay) == pytest.approx(whole)
        parts = [sums.sel(subspace=s, delay=delay) for s in ("counting", "identity")]
        # |QQ'G|, |CC'G| <= |G| <= |QQ'G| + |CC'G|, the triangle inequality
        assert max(parts) <= whole <= sum(parts)


def test_removing_nothing_changes_nothing_and_a_random_subspace_does(found):
    losses = found["ablated_nll_at"]
    np.testing.assert_allclose(
        losses.sel(removed="nothing"), found["nll_at"], rtol=1e-9
    )
    assert (losses.sel(removed="random") != losses.sel(removed="nothing")).all()


def test_tokens_are_read_at_once_and_the_sample_has_every_label_as_often(found, texts):
    accuracy = found["lda_accuracy"].sel(target="token")
    assert accuracy.sel(representation="cell").item() > 0.9
    at_once = found["delay_accuracy"].sel(representation="cell", delay=0)
    assert at_once > 0.5  # few new tokens, eight units; chance is 0.1
    train, test = texts["valid"].ids[:5_000], texts["valid"].ids[5_000:]
    commonest = Counter(train.tolist()).most_common(1)[0][0]
    share = np.mean(test[test < 10] == commonest)
    # 15 of 16 tokens are copies, each count is one of 16: up to the ends of the text
    expected = [share, 15 / 16 * 120 / 121, 1 / 16 * 120 / 121]
    np.testing.assert_allclose(found["majority_rate"], expected, atol=0.005)
    per_label = np.bincount(found["plane_count"], minlength=17)
    assert per_label.min() == per_label.max() > 10


def test_the_table_holds_the_scores_of_scikit_learn(found, model, texts):
    text = texts["valid"]
    _, hidden, _ = readout.record_states(model, text.ids)
    is_new = np.where(text.count == 16, 2, text.count == 0)
    lda = LinearDiscriminantAnalysis().fit(hidden[:5_000], is_new[:5_000])
    truth, guess = is_new[5_000:], lda.predict(hidden[5_000:])
    at = found.sel(representation="hidden")
    assert at["lda_accuracy"].sel(target="new") == accuracy_score(truth, guess)
    balanced = at["lda_balanced_accuracy"].sel(target="new")
    assert balanced == pytest.approx(balanced_accuracy_score(truth, guess), rel=1e-12)
    recall = np.mean(guess[truth == 1] == 1)
    assert at["new_recall"] == pytest.approx(recall, rel=1e-12)


def test_the_first_fall_is_that_of_the_accuracy(found):
    accuracy = found["delay_accuracy"].transpose("representation", "delay").values
    for row, falls_at in zip(accuracy, found["accuracy_falls_at"].values, strict=True):
        expected = next((d for d, a in enumerate(row) if a < 0.5625), len(row))
        assert falls_at == expected


def test_the_result_is_an_artifact_and_the_same_again(
    found, model, texts, mean_gradients
):
    assert artifacts._problems(found, "probes") == []
    again = study.analyse(TINY, model, mean_gradients, texts=texts, n_train=5_000)
    xr.testing.assert_identical(found, again)
