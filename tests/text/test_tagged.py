import dataclasses
import zipfile
from collections import Counter

import numpy as np
import pytest

from state_gradients.foundation.settings import TAGGED, Corpus
from state_gradients.project import artifacts
from state_gradients.text import corpora as registry
from state_gradients.text import tagged
from state_gradients.text.corpora import FOLDER_VARIABLE, REGISTRY, fingerprint, load

TREES = """( (META (CODE <heading>)
\t(NP (NUM-N 1.-1.))
\t(PP (P UM-um)
\t    (NP (N-A vetur$-vetur) (D-A $inn-hinn)))
\t(CODE </heading>)
\t(. .-.)) (ID 1270.GRAGAS.LAW-LAW,.1))

( (CODE <P_23>))

( (IP-MAT (NP-SBJ *pro*) (C 0) (WNP-1 *T*-1)
\t  (NPR-N Efra<dash/>Fossi-efri<dash/>foss) (, <dash/>) (N-N upp$-upp)
\t  (NUM 06-06) (, ---)) (ID 1270.GRAGAS.LAW-LAW,.2))
"""


def test_brown_is_a_line_a_sentence_and_words_may_hold_slashes():
    text = b"\n\n\tThe/at Jury/nn said/vbd ./.\n\n\tand/or/cc 1/2/cd\n"
    assert list(tagged.read_brown(text)) == [
        [("The", "at"), ("Jury", "nn"), ("said", "vbd"), (".", ".")],
        [("and/or", "cc"), ("1/2", "cd")],
    ]


def test_mac_morpho_is_a_line_a_word_and_a_sentence_ends_at_its_sign():
    text = "Não_ADV\r\nsei_V\r\n._.\r\nE_KC\n?_?\n_NPROP\nde_PREP|+\na_b_N\n\n"
    assert list(tagged.read_mac_morpho(text.encode("latin-1"))) == [
        [("Não", "ADV"), ("sei", "V"), (".", ".")],
        [("E", "KC"), ("?", "?")],
        [("de", "PREP|+"), ("a_b", "N")],
    ]


def test_icepahc_is_a_line_a_tree_of_what_is_written():
    assert list(tagged.read_icepahc(TREES.encode())) == [
        [("1.", "NUM-N"), ("UM", "P"), ("veturinn", "N-A"), (".", ".")],
        [
            *(("Efra-Fossi", "NPR-N"), ("-", ","), ("upp", "N-N")),
            *(("06", "NUM"), ("--", ",")),
        ],
    ]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("Jury", "jury"),
        ("ÞÁ", "þá"),
        *((number, "N") for number in ("1961", "3,5", "1/2", "$40", "50%", "6-2")),
        ("1960s", "1960s"),
        ("30-Year", "30-year"),
        ("1.º", "1.º"),
        ("--", "--"),
    ],
)
def test_numbers_become_n_and_letters_small(word, expected):
    assert tagged.normalised(word) == expected


# ------------------------------------------------------------ whole archives


def pack(path, documents, folder):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in documents.items():
            archive.writestr(f"{folder}{name}", content)


NUMBERS = [f"{letter}{i:02d}" for letter in "abcdefgh" for i in range(10)]


@pytest.fixture
def archive(tmp_path):
    """Eighty documents of one line, each of which says which it is."""
    path = tmp_path / "tagged" / "eighty.zip"
    path.parent.mkdir()
    documents = {f"c{n}": f"Doc-{n}/nn ./.\n" for n in reversed(NUMBERS)}
    pack(path, documents | {"README": "no/text\n", "cats.txt": "ca01 news"}, "brown/")
    return path


def test_documents_stay_whole_and_a_twentieth_each_is_held_out(archive):
    lines = tagged.split(archive, "brown")
    assert {split: len(found) for split, found in lines.items()} == {
        "train": 72,
        "valid": 4,
        "test": 4,
    }
    together = [line for found in lines.values() for line in found]
    lines_by_name = [f"doc-{number} ." for number in NUMBERS]
    assert sorted(together) == lines_by_name
    assert all(found == sorted(found) for found in lines.values())
    # whoever draws the permutation by hand finds the same documents
    order = np.random.default_rng(1).permutation(80)
    for split, members in (("valid", order[:4]), ("test", order[4:8])):
        assert lines[split] == [lines_by_name[i] for i in sorted(members)]
        assert list(members) != sorted(members)


def test_a_digest_is_of_the_documents_and_not_of_their_archive(tmp_path):
    one, other = tmp_path / "one.zip", tmp_path / "other.zip"
    pack(one, {"b.psd": "b", "a.psd": "a"}, "")
    pack(other, {"a.psd": "a", "README": "more", "b.psd": "b"}, "corpus-e1a/finished/")
    assert one.read_bytes() != other.read_bytes()
    assert tagged.digest(one, "icepahc") == tagged.digest(other, "icepahc")
    for documents in (
        {"a.psd": "ab", "b.psd": ""},
        {"a.psd": "ab.psd\n\nb"},
        {"a.psd": "a", "c.psd": "b"},
    ):
        pack(other, documents, "")
        assert tagged.digest(one, "icepahc") != tagged.digest(other, "icepahc")


@pytest.fixture
def eighty(archive, monkeypatch):
    """The eighty documents as a registered corpus that is got by hand."""
    source = registry.Source(
        base="https://example.org",
        folder="tagged",
        archive="eighty.zip",
        documents="brown",
        by_hand="ask for eighty documents",
        hashes={"eighty.zip": f"documents:{tagged.digest(archive, 'brown')}"},
        licence="",
    )
    monkeypatch.setitem(REGISTRY, "eighty", source)
    monkeypatch.setenv(FOLDER_VARIABLE, str(archive.parents[1]))
    return Corpus(name="eighty", vocabulary_size=None)


def test_documents_become_ids(eighty):
    text = load(dataclasses.replace(eighty, vocabulary_size=10))
    assert {split: ids.size for split, ids in text.splits.items()} == {
        "train": 216,
        "valid": 12,
        "test": 12,
    }
    unknown, stop, end = (text.vocabulary.index[t] for t in ("<unk>", ".", "<eos>"))
    np.testing.assert_array_equal(text.splits["valid"], 4 * [unknown, stop, end])
    assert text.fingerprint == fingerprint(
        dataclasses.replace(eighty, vocabulary_size=10)
    )


def test_changed_and_missing_documents_say_how_to_get_them(
    eighty, archive, monkeypatch
):
    pack(archive, {"ca01": "another/nn\n"}, "")
    with pytest.raises(ValueError, match=r"documents of .*: replace it by ask for"):
        load(eighty)
    archive.unlink()
    with pytest.raises(FileNotFoundError, match="put it there, or ask for eighty"):
        load(eighty)
    monkeypatch.delenv(FOLDER_VARIABLE)
    with pytest.raises(
        FileNotFoundError, match=r"by hand, .* ask for eighty documents"
    ):
        load(eighty)


def test_a_fingerprint_knows_how_documents_are_read(eighty, monkeypatch):
    before = fingerprint(eighty)
    monkeypatch.setattr(tagged, "RECIPE", tagged.RECIPE + 1)
    assert fingerprint(eighty) != before


# ------------------------------------------------------------------- halves


def test_halves_are_disjoint_together_the_whole_and_drawn_at_random(archive):
    whole = tagged.split(archive, "brown")
    halves = [tagged.split(archive, "brown", half=half) for half in (0, 1)]
    order = np.random.default_rng(1).permutation(80)
    members = {"valid": order[:4], "test": order[4:8], "train": order[8:]}
    for split, lines in whole.items():
        first, second = (half[split] for half in halves)
        assert len(first) == len(second) == len(lines) // 2
        assert not set(first) & set(second)
        assert sorted(first + second) == lines  # which stand by name
        # every other one as they were drawn, and neither the first of them by name nor
        # every other one by name
        drawn = [f"doc-{NUMBERS[i]} ." for i in sorted(members[split][0::2])]
        assert first == drawn == sorted(first)
        if split == "train":
            assert first not in (lines[:36], lines[0::2], lines[1::2])


def test_a_half_has_the_types_of_the_whole_and_another_fingerprint(eighty, monkeypatch):
    eighty = dataclasses.replace(eighty, vocabulary_size=20)
    before = fingerprint(eighty)
    texts = {}
    for half in (0, 1):
        source = dataclasses.replace(
            REGISTRY["eighty"], half=half, vocabulary_of="eighty"
        )
        monkeypatch.setitem(REGISTRY, f"eighty-{half}", source)
        texts[half] = load(dataclasses.replace(eighty, name=f"eighty-{half}"))
    whole = load(eighty)
    assert texts[0].vocabulary.tokens == texts[1].vocabulary.tokens
    assert texts[0].vocabulary.tokens == whole.vocabulary.tokens
    # counts are of the half's own text, so that half of the types never occur in it
    assert sum(text.vocabulary.counts for text in texts.values()).tolist() == (
        whole.vocabulary.counts.tolist()
    )
    assert len({before, *(text.fingerprint for text in texts.values())}) == 3
    assert fingerprint(eighty) == before


def test_the_fingerprints_of_browns_halves_differ_and_the_wholes_is_the_recorded_one():
    found = {name: fingerprint(Corpus(name=name)) for name in TAGGED}
    assert len(set(found.values())) == len(TAGGED) == 3
    for name, fingerprint_now in found.items():
        recorded = artifacts.load(f"{name}-lstm-256", "training").attrs["corpus"]
        assert fingerprint_now == recorded


# ------------------------------------------------------------------ the tags


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("nn", "NOUN"),
        ("np$-tl", "NOUN"),
        ("nns-tl-hl", "NOUN"),
        ("bez*", "VERB"),
        ("*", "ADV"),
        ("*-hl", "ADV"),
        ("ppss+ber-nc", "PRON"),
        ("nn-tl+bez", "NOUN"),
        ("pp$", "DET"),
        ("pp$$", "PRON"),
        ("fw-nn", "X"),
        ("--", "."),
        (",-hl", "."),
        ("''", "."),
        ("to", "PRT"),
        ("ap$", "ADJ"),
    ],
)
def test_a_tag_is_of_the_class_of_its_first_part_without_marks(tag, expected):
    assert tagged.class_of(tag) == expected


def test_a_tag_that_is_none_of_browns_is_refused():
    with pytest.raises(ValueError, match="one of Brown's, received 'nnx'"):
        tagged.class_of("nnx")


# -------------------------------------------------------------- the real text


@pytest.mark.parametrize(
    ("name", "n_documents", "n_types", "opening"),
    [
        ("brown", 500, 45_209, "a cookie with caramel filling and chocolate frosting"),
        ("mac-morpho", 109, 54_621, 'coluna " moeda verde " traz as relações de'),
        ("icepahc", 61, 62_362, "N kapítuli <eos> í því landi er palastinorum"),
    ],
)
def test_the_text_is_the_expected_one(corpora, name, n_documents, n_types, opening):
    text = load(Corpus(name=name))
    sizes = {split: ids.size for split, ids in text.splits.items()}
    assert sizes == REGISTRY[name].tokens
    assert len(text.vocabulary) == 10_000
    words = opening.split()
    assert text.vocabulary.decode(text.splits["valid"][: len(words)]) == [
        word if word in text.vocabulary.index else "<unk>" for word in words
    ]
    source = REGISTRY[name]
    path = corpora / "tagged" / source.archive
    assert len(tagged.documents(path, name)) == n_documents
    frequencies = Counter(
        word for line in tagged.split(path, name)["train"] for word in line.split()
    )
    assert len(frequencies) + 2 == n_types  # <eos>, <unk>
