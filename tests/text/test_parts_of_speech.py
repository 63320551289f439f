"""Parts of speech: tags of three corpora, each of which must be known by name."""

import dataclasses
import zipfile

import numpy as np
import pytest

from state_gradients.foundation.settings import TAGGED, WITH_TAGS, Corpus
from state_gradients.text import corpora as registry
from state_gradients.text import parts_of_speech, tagged
from state_gradients.text.corpora import FOLDER_VARIABLE, REGISTRY
from state_gradients.text.parts_of_speech import CLASSES, TAGS, class_of


@pytest.mark.parametrize(
    ("corpus", "tag", "expected"),
    [
        ("brown", "np$-tl", "PROPN"),
        ("brown", "nr$-tl", "NOUN"),  # today's
        ("brown", "ppss+bem", "PRON"),
        ("brown", "md*", "VERB"),
        ("brown", "*", "ADV"),
        ("brown", "cs", "CONJ"),
        ("brown", "in-hl", "ADP"),
        ("brown", "ap$", "DET"),
        ("brown", "fw-cs", "X"),
        ("brown", "--", "PUNCT"),
        ("mac-morpho", "PREP|+", "ADP"),
        ("mac-morpho", "N|AP", "NOUN"),
        ("mac-morpho", "PRO-KS-REL", "PRON"),
        ("mac-morpho", "KC|[", "CONJ"),
        ("mac-morpho", "PCP", "VERB"),
        ("mac-morpho", "...", "PUNCT"),
        ("icepahc", "NS-G", "NOUN"),
        ("icepahc", "NPR21-A", "PROPN"),
        ("icepahc", "ADVR+ADJ-N", "ADJ"),  # jafngamall, as old
        ("icepahc", "ONE+Q-A", "DET"),
        ("icepahc", "OTHER+G", "DET"),  # a slip for OTHER-G
        ("icepahc", "PRO-TTT-A", "PRON"),
        ("icepahc", "VAN-A-4", "VERB"),
        ("icepahc", "-", "PUNCT"),
        ("icepahc", ".-TTT", "PUNCT"),
    ],
)
def test_a_tag_is_of_one_class(corpus, tag, expected):
    assert class_of(tag, corpus) == expected


@pytest.mark.parametrize("corpus", TAGS)
def test_a_tag_that_is_unknown_is_refused_by_its_name(corpus):
    with pytest.raises(ValueError, match=rf"those of {corpus}, received 'NONE'"):
        class_of("NONE", corpus)


@pytest.mark.parametrize("corpus", TAGS)
def test_no_tag_stands_in_two_classes_and_classes_are_known(corpus):
    tags = [tag for each in TAGS[corpus].values() for tag in each.split()]
    assert len(tags) == len(set(tags))
    assert set(TAGS[corpus]) <= set(CLASSES)
    # Portuguese has no particles by its tags
    without = {"PART"} if corpus == "mac-morpho" else set()
    assert {*CLASSES} - {*TAGS[corpus]} == {"<eos>"} | without


TREE = """( (IP-MAT (NP-SBJ *pro*) (C 0) (P Um-um) (N-A vetur$-vetur) (D-A $inn-hinn)
\t(VBDI fór-fara) (. .-.)) (ID 1270.GRAGAS.LAW-LAW,.1))
"""
OF_TREE = ["ADP", "NOUN", "VERB", "PUNCT", "<eos>"]


@pytest.fixture
def trees(tmp_path, monkeypatch):
    """Forty documents of one tree as a registered corpus."""
    path = tmp_path / "tagged" / "trees.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(40):
            archive.writestr(f"{number:02d}.psd", TREE)
    source = dataclasses.replace(
        REGISTRY["icepahc"],
        archive="trees.zip",
        hashes={"trees.zip": f"documents:{tagged.digest(path, 'icepahc')}"},
    )
    monkeypatch.setitem(REGISTRY, "icepahc", source)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return Corpus(name="icepahc", vocabulary_size=None)


def names(places):
    return [CLASSES[place] for place in places]


def test_each_token_of_a_text_has_its_class_and_each_end_of_line(trees):
    found = parts_of_speech.read_classes(trees)
    text = registry.load(trees)
    assert {split: names(places) for split, places in found.items()} == {
        "train": 36 * OF_TREE,
        "valid": 2 * OF_TREE,
        "test": 2 * OF_TREE,
    }
    assert {k: len(v) for k, v in found.items()} == {
        split: len(ids) for split, ids in text.splits.items()
    }
    # the article's tag counts for nothing: it is no word of its own
    words = text.vocabulary.decode(text.splits["valid"][:5])
    assert words == ["um", "veturinn", "fór", ".", "<eos>"]
    twice = dataclasses.replace(trees, repeat_eos=2)
    assert names(parts_of_speech.read_classes(twice)["test"])[:7] == [
        *OF_TREE,
        "<eos>",
        "ADP",
    ]


# -------------------------------------------------------------- the real text

OPENINGS = {
    "brown": [
        *(("a", "DET"), ("cookie", "NOUN"), ("with", "ADP"), ("caramel", "NOUN")),
        *(("filling", "NOUN"), ("and", "CONJ"), ("chocolate", "NOUN")),
    ],
    "mac-morpho": [
        *(("coluna", "NOUN"), ('"', "PUNCT"), ("moeda", "PROPN"), ("verde", "PROPN")),
        *(('"', "PUNCT"), ("traz", "VERB"), ("as", "DET"), ("relações", "NOUN")),
    ],
    "icepahc": [
        *(("N", "ADJ"), ("kapítuli", "NOUN"), ("<eos>", "<eos>"), ("í", "ADP")),
        *(("því", "DET"), ("landi", "NOUN"), ("er", "CONJ")),
    ],
}


@pytest.mark.parametrize("name", TAGS)
def test_every_tag_of_the_text_is_known_and_every_known_one_occurs(corpora, name):
    path = corpora / "tagged" / REGISTRY[name].archive
    occurring, used = set(), set()
    for lines in tagged.split_tokens(path, name).values():
        occurring |= {tag for line in lines for _, tag in line}
    table = parts_of_speech.CLASS_OF_TAG[name]
    for tag in occurring:
        assert class_of(tag, name) in CLASSES
        forms = parts_of_speech.forms_of(tag, name)
        used |= {next((form for form in forms if form in table), None)}
    assert set(table) <= used


@pytest.mark.parametrize("name", WITH_TAGS)
def test_tags_and_words_are_in_step(corpora, name):
    corpus = Corpus(name=name)
    found, text = parts_of_speech.read_classes(corpus), registry.load(corpus)
    ends = text.vocabulary.index["<eos>"]
    for split, ids in text.splits.items():
        assert found[split].shape == ids.shape
        is_end = found[split] == CLASSES.index("<eos>")
        np.testing.assert_array_equal(is_end, ids == ends)
    if name in OPENINGS:
        opening = OPENINGS[name]
        assert names(found["valid"][: len(opening)]) == [c for _, c in opening]
        lines = tagged.split(corpora / "tagged" / REGISTRY[name].archive, name)["valid"]
        words = " <eos> ".join(lines[:9]).split()[: len(opening)]
        assert words == [word for word, _ in opening]


def test_browns_parts_of_speech_part_its_classes_where_they_say(corpora):
    """The tagger's classes of Brown hold the same tags, but for those named here."""
    moved = {}
    for name, tags in tagged.WORD_CLASSES.items():
        for tag in tags.split():
            now = class_of(tag, "brown")
            if now != name.replace("PRT", "PART").replace(".", "PUNCT"):
                moved[tag] = now
    assert moved == {
        **dict.fromkeys(("NP", "NPS"), "PROPN"),
        **dict.fromkeys(("PN", "EX"), "PRON"),
        "AP": "DET",
        "CS": "CONJ",
    }
    assert set(TAGGED) < set(WITH_TAGS)
