import math

import numpy as np
import pytest

from state_gradients.foundation import settings
from state_gradients.foundation.settings import Corpus, Experiment
from state_gradients.models import language_model
from state_gradients.paper import lost_words
from state_gradients.paper.book import effects, language_models
from state_gradients.project import artifacts
from state_gradients.text import corpora as texts
from state_gradients.text.vocabulary import Text, Vocabulary


def test_a_word_is_lost_where_only_the_other_cut_keeps_it():
    words = ["the", "<unk>", "zebra", "zebra's", "the"]
    classes = lost_words.classes_of(words, {"the", "<unk>"}, {"the", "zebra", "<unk>"})
    assert [lost_words.TARGETS[i] for i in classes] == [
        "word",
        "unknown in the text",
        "lost",
        "unknown to both",
        "word",
    ]


def test_losses_are_those_of_the_next_tokens_of_each_row():
    lost, word = lost_words.TARGETS.index("lost"), lost_words.TARGETS.index("word")
    # two rows of five; their targets are the last four, of which three are predicted
    classes = np.array([lost, word, lost, word, lost, lost, word, word, lost, lost])
    losses = np.array([[1.0, 2.0, 4.0], [8.0, 16.0, 32.0]])
    found = lost_words.split_losses(losses, classes)
    assert float(found["tokens"].sel(target="lost")) == 2
    assert float(found["tokens"].sel(target="word")) == 4
    assert float(found["surprisal"].sel(target="lost")) == (2 + 32) / 2
    assert float(found["surprisal"].sel(target="word")) == (1 + 4 + 8 + 16) / 4
    assert float(found["perplexity"]) == pytest.approx(math.exp(63 / 6))
    assert float(found["perplexity_without"]) == pytest.approx(math.exp(29 / 4))
    assert found["surprisal"].sel(target="unknown to both").isnull()


@pytest.fixture
def cut_twice(monkeypatch):
    """A text of six types cut at four, beside another cut that keeps "d", not "c"."""
    rng = np.random.default_rng(5)
    whole = Vocabulary(("<eos>", "a", "b", "c", "d", "<unk>"))
    cut = Vocabulary(("<eos>", "a", "b", "c", "<unk>"))
    other = Vocabulary(("<eos>", "a", "b", "d", "<unk>"))
    ids = {split: rng.integers(0, 6, 50).astype(np.int32) for split in texts.SPLITS}

    def load(corpus):
        if corpus.name == lost_words.OTHER_CUT:
            return Text(other, {})
        if corpus.vocabulary_size is None:
            return Text(whole, ids)
        cut_ids = {s: cut.encode(whole.decode(x)) for s, x in ids.items()}
        return Text(cut, cut_ids)

    monkeypatch.setattr(texts, "load", load)
    return whole, cut, ids


def test_losses_are_those_of_the_model_on_both_texts(cut_twice):
    whole, cut, ids = cut_twice
    experiment = Experiment(
        name="x",
        corpus=Corpus(vocabulary_size=5),
        model=settings.Model(units=3, embedding_size=2, initial_range=1.0),
        training=settings.Training(batch_size=2, num_steps=4),
    )
    model = language_model.build_language_model(experiment.model, 5, seed=1)
    found = lost_words.analyse(experiment, model)
    assert int(found["lost_types"]) == 1
    for split, n_rows, n_predicted in (("valid", 2, 24), ("test", 1, 49)):
        words = np.array(whole.decode(ids[split])).reshape(n_rows, -1)
        read = np.array(cut.encode(words.ravel())).reshape(n_rows, -1)
        logits = np.asarray(model(read)).astype(np.float64)
        chance = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
        losses, is_lost = [], []
        for row in range(n_rows):
            for t in range(n_predicted):
                losses.append(-math.log(chance[row, t, read[row, t + 1]]))
                is_lost.append(words[row, t + 1] == "d")
        losses, is_lost = np.array(losses), np.array(is_lost)
        at = found.sel(split=split)
        assert int(at["tokens"].sel(target="lost")) == is_lost.sum() > 0
        # losses in float32: 6e-8 of some nats each
        np.testing.assert_allclose(
            at["surprisal"].sel(target="lost"), losses[is_lost].mean(), rtol=1e-5
        )
        np.testing.assert_allclose(
            at["perplexity_without"], np.exp(losses[~is_lost].mean()), rtol=1e-5
        )
        np.testing.assert_allclose(at["perplexity"], np.exp(losses.mean()), rtol=1e-5)


def test_the_baselines_artifact_holds_its_own_perplexities(root):
    cost = artifacts.load("ptb-lstm-256", "vocabulary", root=root)
    training = artifacts.load("ptb-lstm-256", "training", root=root)
    for split, name in (
        ("valid", "valid_perplexity_final"),
        ("test", "test_perplexity"),
    ):
        assert float(cost["perplexity"].sel(split=split)) == pytest.approx(
            float(training[name]), rel=1e-6
        )
    told = language_models.lost_words_told("ptb-lstm-256")
    assert told["lost_types"] == "342"
    assert told["lost_share"] == f"{844 / 72_000:.2%}"
    assert effects.vocabulary_effect("ptb-lstm-256").endswith(
        f"valid {told['with_valid']} becomes {told['without_valid']}, "
        f"test {told['with_test']} becomes {told['without_test']}"
    )
