import warnings

import keras
import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import accuracy_score
from test_synthetic_study import TINY, mean_gradients, model, texts

from state_gradients.models import evaluation, language_model
from state_gradients.paper.synthetic import readings, readout, study
from state_gradients.project import artifacts
from state_gradients.text import synthetic

__all__ = ["mean_gradients", "model", "texts"]  # fixtures, shared with the study's
N_TRAIN, N_ROWS = 5_000, 4
DELAYS = 4


@pytest.fixture(scope="module")
def found(model, texts, mean_gradients):
    return readings.explain(TINY, model, mean_gradients, texts=texts, n_train=N_TRAIN)


@pytest.fixture(scope="module")
def rows(model, texts):
    """Cells and hidden states of rows as Keras runs them side by side."""
    ids = texts["valid"].ids
    length = len(ids) // N_ROWS
    side_by_side = ids[: N_ROWS * length].reshape(N_ROWS, length)
    layer = keras.layers.LSTM(
        TINY.model.units, return_sequences=True, return_state=True, stateful=False
    )
    embedded = keras.ops.convert_to_tensor(np.eye(11, dtype="float32")[side_by_side])
    layer.build(embedded.shape)
    layer.set_weights(language_model.recurrent_layers(model)[0].get_weights())
    return side_by_side, np.asarray(layer(embedded)[0])


def test_rows_are_recorded_as_keras_runs_them_side_by_side(model, texts, rows):
    cut = readings.cut(texts["valid"], N_ROWS)
    ids, hidden = rows
    np.testing.assert_array_equal(cut.ids, ids)
    length = ids.shape[1]
    for row in range(N_ROWS):
        where = slice(row * length, (row + 1) * length)
        np.testing.assert_array_equal(cut.count[row], texts["valid"].count[where])
        np.testing.assert_array_equal(cut.cycle[row], texts["valid"].cycle[where])
    cells, found = readout.record_rows(model, cut.ids)
    # float32 beside float64: 2^-24 a step, and a state that forgets
    np.testing.assert_allclose(found, hidden, rtol=0, atol=5e-5)
    for row in range(N_ROWS):  # and as each would be recorded alone
        cell, alone, _ = readout.record_states(model, ids[row])
        np.testing.assert_allclose(found[row], alone, rtol=0, atol=1e-12)
        np.testing.assert_allclose(cells[row], cell, rtol=0, atol=1e-12)


def test_a_row_goes_on_from_the_states_it_is_given(model, texts):
    ids = texts["valid"].ids[:60].reshape(2, 30)
    whole = readout.record_rows(model, ids)
    cell, hidden = whole[:, :, 9]
    rest = readout.record_rows(model, ids[:, 10:], cell=cell, hidden=hidden)
    np.testing.assert_array_equal(rest, whole[:, :, 10:])


def test_each_recording_has_the_scores_of_scikit_learn_on_its_own_states(
    found, model, texts
):
    cut = readings.cut(texts["valid"], N_ROWS)
    states = readout.record_rows(model, cut.ids)[0]
    by_row = states.reshape(-1, TINY.model.units), cut.count.ravel()
    steps = [
        (states[row, t], cut.count[row, t])
        for t in range(states.shape[1])
        for row in range(N_ROWS)
    ]
    by_step = [np.array(part) for part in zip(*steps, strict=True)]
    stream = readout.record_states(model, texts["valid"].ids)[0], texts["valid"].count
    names = ["one stream", "4 rows, row by row", "4 rows, step by step"]
    assert list(found["recording"].values) == names
    for name, (x, y) in zip(names, (stream, by_row, by_step), strict=True):
        lda = LinearDiscriminantAnalysis().fit(x[:N_TRAIN], y[:N_TRAIN])
        expected = accuracy_score(y[N_TRAIN:], lda.predict(x[N_TRAIN:]))
        at = found.sel(recording=name)
        ours = at["lda_accuracy"].sel(representation="cell", target="count")
        assert ours == expected, name
        share = lda.explained_variance_ratio_[:5].sum()
        assert at["count_variance_5"] == pytest.approx(share, rel=1e-12)


def test_one_stream_is_what_the_probes_say(found, model, texts, mean_gradients):
    probes = study.analyse(TINY, model, mean_gradients, texts=texts, n_train=N_TRAIN)
    stream = found.sel(recording="one stream")
    same = ("lda_accuracy", "lda_balanced_accuracy", "majority_rate", "new_recall")
    for name in (*same, "count_variance_5"):
        np.testing.assert_array_equal(stream[name], probes[name])
    for name in ("predictions", "unexpected_mistakes", "unexpected_at_first_repeat"):
        assert stream[name].sel(split="test") == probes[name]
    lda = found["reader_accuracy"].sel(reader="LDA")
    for state in ("cell", "hidden"):
        ours = lda.sel(state_kind=state)
        theirs = probes["delay_accuracy"].sel(representation=state)
        np.testing.assert_array_equal(ours, theirs)
    for space in ("counting", "whole"):
        np.testing.assert_allclose(
            found["sum_singular_values"].sel(subspace=space),
            probes["sum_singular_values"].sel(subspace=space),
            rtol=1e-12,
        )


def test_mistakes_in_rows_are_those_of_the_evaluation(found, model, texts):
    for split, text in texts.items():
        losses, guesses = evaluation.token_losses(
            model, text.ids, batch_size=N_ROWS, num_steps=1
        )
        length = len(text.ids) // N_ROWS
        wrong = first = 0
        for row in range(N_ROWS):
            for t in range(2, length):
                at = row * length + t
                missed = guesses[row, t - 1] != text.ids[at]
                wrong += missed and 1 <= text.count[at] <= 15
                first += missed and text.count[at] == 1
        for recording in found["recording"].values[1:]:
            at = found.sel(recording=recording, split=split)
            assert at["predictions"] == N_ROWS * (length - 2)
            assert at["unexpected_mistakes"] == wrong > 0
            assert at["unexpected_at_first_repeat"] == first
    # along the rows of the validation text, the first token's guess counted too
    losses, _ = evaluation.token_losses(
        model, texts["valid"].ids, batch_size=N_ROWS, num_steps=1
    )
    n = len(texts["valid"].ids) // N_ROWS
    for k, start in enumerate(found["token"].values):
        end = n if k == found.sizes["token"] - 1 else start + readings.STRETCH
        of_stretch = losses[:, max(start - 1, 0) : end - 1].mean(axis=1)
        np.testing.assert_allclose(found["row_loss"][:, k], of_stretch, rtol=1e-4)


def test_rows_fall_into_step_when_their_cells_become_those_of_the_stream(
    found, model, texts
):
    text = texts["valid"]
    cell = readout.record_states(model, text.ids)[0]
    lda = LinearDiscriminantAnalysis().fit(cell[:N_TRAIN], text.count[:N_TRAIN])
    length = len(text.ids) // N_ROWS
    ahead = np.zeros(16, dtype=int)
    for row in range(N_ROWS):
        where = slice(row * length, (row + 1) * length)
        assert found["row_begins_at"][row] == text.count[row * length]
        alone = readout.record_states(model, text.ids[where])[0]
        n = length
        while n and np.abs(alone[n - 1] - cell[where][n - 1]).max() < 1e-3:
            n -= 1
        assert found["row_in_step_after"][row] == n
        read = lda.predict(alone).astype(int)
        right = np.mean(read[:250] == text.count[where][:250])
        assert found["row_count_accuracy"][row, 0] == pytest.approx(right)
        for guess, true in zip(read[:n], text.count[where][:n], strict=True):
            if guess < 16 and true < 16:
                ahead[(guess - int(true)) % 16] += 1
    assert found["row_in_step_after"][0] == 0 < found["row_in_step_after"].max()
    np.testing.assert_array_equal(found["read_ahead"], ahead)


def test_stretches_cover_a_row_and_the_last_takes_the_rest():
    assert readings.stretches(800).tolist() == [0, 250, 500]
    assert readings.stretches(750).tolist() == [0, 250, 500]
    assert readings.stretches(100).tolist() == [0]


def test_the_copied_token_is_that_of_the_cycle():
    text = synthetic.generate(2_000, seed=4)
    copied = readings.copied_tokens(text)
    is_copy = (text.count > 0) & (text.count < 16)
    np.testing.assert_array_equal(copied[is_copy], text.ids[is_copy])
    new = np.flatnonzero(text.count == 0)
    np.testing.assert_array_equal(copied[new], text.ids[new + 1])
    eos = np.flatnonzero(text.count == 16)
    np.testing.assert_array_equal(copied[eos], text.ids[eos - 1])


def test_a_token_whose_code_depends_on_the_copy_needs_the_copy_to_be_known(rng):
    # The place of a token is shifted by the copied one: LDA alone is blind to it.
    token, copied = rng.integers(10, size=(2, 12_000))
    states = np.eye(10)[(token + copied) % 10] + 0.05 * rng.normal(size=(12_000, 10))
    accuracy = readings._with_copy_known(states, token, copied, 9_000)
    assert accuracy > 0.99
    blind = LinearDiscriminantAnalysis().fit(states[:9_000], token[:9_000])
    # one in ten, with four standard errors sqrt(0.09 / 3000)
    assert blind.score(states[9_000:], token[9_000:]) == pytest.approx(0.1, abs=0.022)
    assert np.isnan(readings._with_copy_known(states, token, token, 9_000))


def test_readers_read_what_is_there_to_be_read(rng):
    """A token is the size of a number of either sign: no mean tells it."""
    text = synthetic.generate(40_000, seed=8)
    states = 0.01 * rng.normal(size=(len(text.ids), 2))
    states[:, 1] = 0  # a unit that never varies
    states[:, 0] += 0.3 * rng.choice([-1, 1], len(text.ids)) * (text.ids + 1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # LDA says that a unit never varies
        found = readings._readers(text, (states, states), 30_000, 1)
    dims, accuracy = found["reader_accuracy"]
    assert dims == ("reader", "state_kind", "delay")
    lda, qda, nearest, _ = accuracy[:, 0, 0]
    assert lda < 0.3 < nearest and nearest > 0.99
    # the formulas: a Gaussian a class with S + r (I - S), and a vote of five
    new = np.flatnonzero(text.count == 0)
    x, y, n = states[new], text.ids[new], np.searchsorted(new, 30_000)
    score = np.empty((len(x) - n, 10))
    votes = np.empty_like(score)
    nearest_5 = np.argsort(np.abs(x[n:, :1] - x[:n, 0]), axis=1)[:, :5]
    for token in range(10):
        mine = x[:n][y[:n] == token]
        covariance = 1e-6 * np.eye(2) + (1 - 1e-6) * np.cov(mine.T)
        normal = multivariate_normal(mine.mean(axis=0), covariance)
        score[:, token] = normal.logpdf(x[n:]) + np.log(len(mine) / n)
        votes[:, token] = (y[:n][nearest_5] == token).sum(axis=1)
    assert qda == np.mean(score.argmax(axis=1) == y[n:])
    assert nearest == np.mean(votes.argmax(axis=1) == y[n:])


def test_edits_change_one_place_and_keep_the_rule():
    text = synthetic.generate(6_000, seed=6)
    start, ids, named = readings.edited(text, n_after=40, begin=3_000, seed=1)
    assert len(start) > 100 and start.min() >= 3_000
    for n, at in enumerate(start):
        plain = text.ids[at : at + 40]
        np.testing.assert_array_equal(ids["nothing"][n], plain)
        own = plain[0]
        first, copies = ids["first occurrence"][n], ids["copies"][n]
        other = first[0]
        np.testing.assert_array_equal(first[1:], plain[1:])
        changed = np.flatnonzero(copies != plain)
        assert len(changed) == 15 and set(copies[changed]) == {other}
        assert set(plain[changed]) == {own}
        # the copies follow the next new token, an <eos> apart at most
        assert changed[0] in (17, 18) and changed[-1] - changed[0] == 14
        cycles = np.flatnonzero(text.count == 0)
        k = np.searchsorted(cycles, at)
        assert other not in text.ids[cycles[k - 2 : k + 3]]
        assert other < 10
        assert named["nothing"]["copies"][n] == own
        assert named["first occurrence"]["first occurrence"][n] == other
        assert named["first occurrence"]["copies"][n] == own
        assert named["copies"]["copies"][n] == other


def test_after_an_edit_the_reader_names_what_stands_there(found, model, texts):
    text = texts["valid"]
    states = readout.record_states(model, text.ids)[:2]
    start, ids, named = readings.edited(
        text, n_after=DELAYS, begin=N_TRAIN, seed=TINY.training.seed
    )
    new = np.flatnonzero(text.count == 0)
    right = {"first occurrence": 0, "copies": 0}
    source = new[new + 2 < N_TRAIN]
    lda = LinearDiscriminantAnalysis().fit(states[0][source + 2], text.ids[source])
    for n, at in enumerate(start):
        whole = np.concatenate([text.ids[:at], ids["first occurrence"][n]])
        cell = readout.record_states(model, whole)[0][at + 2]
        guess = lda.predict(cell[None])[0]
        for place in right:
            right[place] += guess == named["first occurrence"][place][n]
    at = found["edited_reading"].sel(
        edit="first occurrence", state_kind="cell", delay=2
    )
    for place, n in right.items():
        assert at.sel(read_as=place) == pytest.approx(n / len(start), rel=1e-12)
    plain = found["edited_reading"].sel(edit="nothing")
    np.testing.assert_array_equal(plain[0], plain[1])


def test_the_means_do_not_differ_in_the_directions_that_are_left(found, model, texts):
    """LDA's own other directions: v^T W w_i = 0 for the first five w_i."""
    text = texts["valid"]
    cell = readout.record_states(model, text.ids)[0][:N_TRAIN]
    labels = text.count[:N_TRAIN]
    lda = LinearDiscriminantAnalysis().fit(cell, labels)
    within = sum(
        (labels == k).mean() * np.cov(cell[labels == k].T, bias=True) for k in range(17)
    )
    w = lda.scalings_[:, :5]
    # the left directions by their definition, without the class means
    _, _, vt = np.linalg.svd((within @ w).T)
    left = vt[5:].T
    mine = LinearDiscriminantAnalysis().fit(cell @ left, labels)
    later = readout.record_states(model, text.ids)[0][N_TRAIN:]
    expected = mine.score(later @ left, text.count[N_TRAIN:])
    ours = found["lda_accuracy"].sel(
        recording="one stream", representation="cell, means removed", target="count"
    )
    assert ours == pytest.approx(expected, abs=1e-9)


def test_the_readings_are_an_artifact_and_the_same_again(
    found, model, texts, mean_gradients
):
    assert artifacts._problems(found, "readings") == []
    again = readings.explain(TINY, model, mean_gradients, texts=texts, n_train=N_TRAIN)
    assert found.identical(again)
