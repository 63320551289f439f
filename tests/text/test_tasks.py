import dataclasses
import zipfile

import numpy as np
import pytest

from state_gradients.foundation import settings
from state_gradients.text import corpora, tagged, tasks
from state_gradients.text.corpora import FOLDER_VARIABLE, REGISTRY

# Eighty documents of two sentences; a word with slashes, and one that is two.
SENTENCES = """
\tThe/at-tl jury/nn and/or/cc he's/pps+bez ./.

\tDoc-{number}/np runs/vbz ./.
"""
CLASSES = ["DET", "NOUN", "CONJ", "PRON", ".", "<eos>", "NOUN", "VERB", ".", "<eos>"]


@pytest.fixture
def eighty(tmp_path, monkeypatch):
    path = tmp_path / "tagged" / "eighty.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(80):
            name = f"c{'abcdefgh'[number // 10]}{number % 10:02d}"
            archive.writestr(f"brown/{name}", SENTENCES.format(number=number))
    source = corpora.Source(
        base="https://example.org",
        folder="tagged",
        archive="eighty.zip",
        documents="brown",
        hashes={"eighty.zip": f"documents:{tagged.digest(path, 'brown')}"},
        licence="",
    )
    monkeypatch.setitem(REGISTRY, "brown", source)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))


def experiment(back, **corpus):
    return settings.Experiment(
        name="tagger",
        corpus=settings.Corpus(name="brown", vocabulary_size=50, **corpus),
        training=settings.Training(tags_back=back),
    )


@pytest.mark.parametrize("back", [0, 1, 5])
def test_what_is_asked_is_the_class_of_the_word_so_many_places_back(eighty, back):
    text = tasks.load(experiment(back))
    classes = text.asked.classes
    assert classes == tagged.CLASSES and len(set(classes)) == 13
    for split, n_documents in {"train": 72, "valid": 4, "test": 4}.items():
        asked = text.asked.splits[split]
        assert asked.dtype == np.int32 and len(asked) == len(text.splits[split])
        every = CLASSES * n_documents
        expected = ["<eos>"] * back + every[: len(every) - back]
        assert [classes[k] for k in asked] == expected
    words = text.vocabulary.decode(text.splits["valid"][:6])
    assert words == ["the", "jury", "and/or", "he's", ".", "<eos>"]
    assert text.n_answers == 13


def test_ends_of_lines_are_asked_for_as_often_as_they_stand_in_the_text(eighty):
    text = tasks.load(experiment(0, repeat_eos=2))
    is_end = text.splits["valid"] == text.vocabulary.index["<eos>"]
    asked = text.asked.splits["valid"] == tagged.CLASSES.index("<eos>")
    np.testing.assert_array_equal(asked, is_end)
    assert is_end.sum() == 4 * 2 * 2


def test_a_language_model_is_asked_for_nothing_but_the_next_word(eighty):
    text = tasks.load(experiment(None))
    assert text.asked is None and text.n_answers == len(text.vocabulary)
    same = tasks.load(experiment(3))
    assert text.fingerprint == same.fingerprint
    np.testing.assert_array_equal(text.splits["train"], same.splits["train"])


def test_halves_have_their_own_tags(eighty, monkeypatch):
    for half in (0, 1):
        source = dataclasses.replace(
            REGISTRY["brown"], half=half, vocabulary_of="brown"
        )
        monkeypatch.setitem(REGISTRY, f"brown-half-{half}", source)
    for name in settings.TAGGED[1:]:
        corpus = settings.Corpus(name=name, vocabulary_size=50)
        asked = settings.Training(tags_back=0)
        text = tasks.load(
            settings.Experiment(name="tagger", corpus=corpus, training=asked)
        )
        assert [
            text.asked.classes[k] for k in text.asked.splits["valid"]
        ] == 2 * CLASSES


def test_tags_out_of_step_with_the_words_are_refused(eighty, monkeypatch):
    monkeypatch.setattr(tagged, "read_brown_classes", lambda content: [["NOUN"]])
    with pytest.raises(ValueError, match=r"720 tokens of the train .* received 144"):
        tasks.load(experiment(1))


def test_every_tag_of_brown_has_a_class(corpora):
    text = tasks.load(experiment(0))
    for split, ids in text.splits.items():
        assert len(text.asked.splits[split]) == len(ids)
    share = np.bincount(text.asked.splits["train"], minlength=13) / 1_097_002
    assert share.min() > 1e-3  # no class is empty
    # nouns are the commonest, and a sentence ends once
    assert share.argmax() == tagged.CLASSES.index("NOUN")
    ends = text.asked.splits["valid"] == tagged.CLASSES.index("<eos>")
    np.testing.assert_array_equal(
        ends, text.splits["valid"] == text.vocabulary.index["<eos>"]
    )


@pytest.mark.parametrize(
    ("corpus", "studies", "fault"),
    [
        ({"name": "ptb"}, (), "received 5 on ptb; tags are kept of brown"),
        ({"name": "brown", "eos_at_stops": True}, (), "received 5 on brown"),
        ({"name": "brown"}, ("positions",), "must not hold 'positions'"),
        ({"name": "brown"}, ("classes", "properties"), "must not hold 'properties'"),
    ],
)
def test_taggers_that_cannot_be_are_refused(corpus, studies, fault):
    with pytest.raises(ValueError, match=fault):
        settings.Experiment(
            name="tagger",
            corpus=settings.Corpus(**corpus),
            training=settings.Training(tags_back=5),
            language=settings.Language(studies=studies),
        )


def test_a_language_models_settings_are_hashed_as_before_there_were_taggers():
    assert "tags_back" not in settings.hashed(settings.Training())
    assert settings.hashed(settings.Training(tags_back=0))["tags_back"] == 0
