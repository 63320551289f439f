"""Parts of speech: forms of words, tags of the three corpora, classes, properties."""

from collections import Counter

import numpy as np
import pytest
import xarray as xr

from state_gradients.foundation import settings
from state_gradients.paper.language import tags
from state_gradients.paper.language.subject import Subject
from state_gradients.text import corpora as texts


@pytest.mark.parametrize(
    ("word", "form"),
    [
        ("Japan", "japan"),
        ("1,234.5", "N"),
        ("-0.5", "N"),
        (".5", "N"),
        ("1\\/2", "N"),
        ("1987-88", "N"),
        ("1980s", "1980s"),
        ("10-year", "10-year"),
        ("'s", "'s"),
        (".", "."),
        ("-", "-"),
    ],
)
def test_a_word_is_brought_to_the_form_of_the_text(word, form):
    assert tags.in_form(word) == form


def test_genitives_take_over_the_tag_of_their_host():
    tagged = [
        ("'s", "POS"),  # at the start of a text it has no host
        ("Japan", "NNP"),
        ("'s", "POS"),
        ("'s", "POS"),  # nor after another
        ("*T*-1", "-NONE-"),
        ("banks", "NNS"),
        ("*", "-NONE-"),  # a trace stands in no text: what follows it is the next word
        ("'", "POS"),
        ("it", "PRP"),
        ("'s", "VBZ"),  # is
        ("1,000", "CD"),
        ("odd", None),
        ("s", "POS"),
    ]
    assert list(tags.joined(tagged)) == [
        ("'s", "POS"),
        ("japan's", "NNP"),
        ("'s", "POS"),
        ("banks'", "NNS"),
        ("it", "PRP"),
        ("'s", "VBZ"),
        ("N", "CD"),
        ("s", "POS"),
    ]
    assert list(tags.joined([])) == []


def test_browns_tags_become_those_of_the_treebank():
    tagged = [
        ("The", "AT"),
        ("Fulton", "NP-TL"),
        ("Jury's", "NN$-HL"),
        ("Workers'", "NNS$"),
        ("his", "PP$"),
        ("best", "JJT"),
        ("top", "JJS"),  # Brown's semantic superlative has no ending
        ("that's", "DT+BEZ"),  # two words
        ("pas", "FW-*"),
        ("odd", "NN$"),  # a genitive without its mark
        ("blank", None),
        ("1961", "CD"),
    ]
    assert list(tags._from_brown(tagged)) == [
        ("the", "DT"),
        ("fulton", "NNP"),
        ("jury's", "NN"),
        ("workers'", "NNS"),
        ("his", "PRP$"),
        ("best", "JJS"),
        ("top", "JJ"),
        ("N", "CD"),
    ]


@pytest.fixture
def table(monkeypatch):
    """The tags of seven types, by three tiny corpora."""
    sources = {
        "treebank": [("run", "NN"), ("run", "VB"), ("the", "DT"), ("absent", "NN")],
        "conll2000": [("run", "NN"), ("the", "DT"), ("runs", "NNS")],
        "brown": [("run", "VBD"), ("red", "JJ"), ("red", "JJ"), ("absent", "VB")],
    }
    monkeypatch.setattr(tags, "running_text", sources.__getitem__)
    return tags.read_tags(["the", "run", "runs", "red", "<unk>", "run's", "runs'"])


def test_tags_are_counted_and_browns_fill_in_only_for_words_the_others_lack(table):
    n_tagged = table["n_tagged"]
    assert n_tagged["tag"].values.tolist() == ["DT", "JJ", "NN", "NNS", "VB"]
    found = {
        (str(tag), str(word)): int(n_tagged.sel(tag=tag, vocabulary=word))
        for tag in n_tagged["tag"].values
        for word in n_tagged["vocabulary"].values
        if n_tagged.sel(tag=tag, vocabulary=word)
    }
    assert found == {
        ("DT", "the"): 2,
        ("NN", "run"): 2,
        ("VB", "run"): 1,
        ("NNS", "runs"): 1,
        ("JJ", "red"): 2,
    }
    by_brown = table["vocabulary"][table["by_brown"]]
    assert by_brown.values.tolist() == ["red"]


def types(can_be):
    return can_be["vocabulary"].values[can_be.values].tolist()


def test_a_type_is_in_every_class_of_which_it_has_a_tag_often_enough(table):
    n_tagged = table["n_tagged"]
    assert types(tags.members(n_tagged, tags.CLASSES["N"])) == ["run", "runs"]
    assert types(tags.members(n_tagged, tags.CLASSES["V"])) == ["run"]
    assert types(tags.members(n_tagged, ["RB", "UH"])) == []
    for least, usual in ((1 / 3, ["run"]), (0.34, [])):
        assert types(tags.members(n_tagged, ["VB"], least=least)) == usual
    # together the tags of a class make the share, though each alone would not
    both = tags.members(n_tagged, ["NN", "VB"], least=0.9)
    assert types(both) == ["run"]


def test_genitives_pair_with_nouns_that_the_vocabulary_holds():
    tokens = ["it", "it's", "firm's", "firm", "firms", "firms'", "arby's", "'s", "'"]
    tokens += ["sears's", "sears", "boss'", "news", "a", "a's"]
    assert tags.genitive_pairs(tokens) == [
        ("firm's", "firm"),
        ("firms'", "firms"),
        ("sears's", "sears"),
    ]


def test_halves_are_the_usual_tags_or_genitives_and_their_hosts(table):
    singular, plural = tags.halves(table, "singular - plural")
    assert (types(singular), types(plural)) == (["run"], ["runs"])
    base, comparative = tags.halves(table, "base - comparative")
    assert (types(base), types(comparative)) == (["red"], [])
    genitive, host = tags.halves(table, "genitive - non-genitive")
    assert (types(genitive), types(host)) == (["run's", "runs'"], ["run", "runs"])
    none = table.isel(vocabulary=slice(4))
    assert not tags.halves(none, "genitive - non-genitive").any()


def test_halves_leave_out_a_tag_that_is_rare_for_its_type():
    table = xr.Dataset(
        {"n_tagged": (("tag", "vocabulary"), [[96, 95], [4, 5]])},
        coords={"tag": ["NN", "NNS"], "vocabulary": ["error", "sheep"]},
    )
    singular, plural = tags.halves(table, "singular - plural")
    assert types(singular) == ["error", "sheep"]
    assert types(plural) == ["sheep"]


def test_every_tag_of_a_property_belongs_to_its_class():
    for name, (group, first, second) in tags.PROPERTIES.items():
        assert {*first, *second} <= {*tags.CLASSES[group]}, name
        assert not {*first} & {*second}, name


def test_the_corpora_cover_the_vocabulary_as_the_page_says(corpora):
    missing = [n for n in tags.SOURCE.hashes if not (corpora / "tagged" / n).is_file()]
    if missing:
        pytest.skip(f"needs the tagged corpora: {missing} are absent from {corpora}")
    text = texts.load(settings.Corpus())
    table = tags.read_tags(text.vocabulary.tokens)
    tagged = (table["n_tagged"] > 0).any("tag").values
    by_others = tagged & ~table["by_brown"].values
    assert (by_others.sum(), tagged.sum()) == (9_295, 9_628)
    ids = text.splits["valid"]
    assert (by_others[ids].sum(), tagged[ids].sum()) == (64_552, 64_718)
    words = Counter(text.vocabulary.tokens[k] for k in ids[~tagged[ids]])
    assert [word for word, _ in words.most_common(2)] == ["<unk>", "<eos>"]
    the = table["n_tagged"].sel(vocabulary="the")
    assert the["tag"][int(the.argmax("tag"))] == "DT"
    assert {"NNP", "JJ", "IN"} <= {*the["tag"].values[the > 0]}  # errors
    for name, held in tags.CLASSES.items():
        usual = tags.members(table["n_tagged"], held, least=tags.USUAL)
        assert usual.sel(vocabulary="the") == (name == "Det")
    assert np.count_nonzero(tags.halves(table, "genitive - non-genitive")) == 2 * 318


def test_a_generated_languages_running_text_is_its_own(monkeypatch):
    def fetch(name):
        raise FileNotFoundError(name)

    monkeypatch.setattr(tags, "running_text", fetch)
    of_grammar = Subject(experiment=settings.load_experiment("grammar-lstm-64"))
    running = of_grammar.running_text()
    seen = of_grammar.tags["n_tagged"]
    assert len(running) == int(seen.sum())
    words, kinds = map(set, zip(*running, strict=True))
    assert kinds == set(seen["tag"].values.tolist())
    assert words < set(of_grammar.text.vocabulary.tokens)
    of_english = Subject(experiment=settings.load_experiment("ptb-lstm-256"))
    with pytest.raises(FileNotFoundError, match="treebank"):
        of_english.running_text()
