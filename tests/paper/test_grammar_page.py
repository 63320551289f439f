import numpy as np
import pytest

from state_gradients.paper.book import grammar as page
from state_gradients.text.grammar import truth

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.fixture(scope="module")
def text():
    return truth.generate(30_000, seed=1)


def test_the_lexicon_is_told_by_form():
    table = page.lexicon_table().set_index("form")
    assert table.loc["determiner.DT", "commonest"] == "the, some, no"
    assert table.loc["noun.NN", "commonest"] == "dog, girl, boy, .."
    assert table.loc["adjective.JJR", "words"] == 18
    assert "is.VBZ" not in table.index  # it is itself a word
    counted = np.isin(truth.generate(200_000, seed=2).tag, ["DT"]).mean()
    # determiners, but *the* before superlatives; 0.1 % is four standard errors
    told = float(table.loc["determiner.DT", "share"].rstrip("%")) / 100
    assert told == pytest.approx(counted, abs=4e-3)


def test_a_reading_names_what_the_truth_numbers():
    text = truth.generate(12, seed=31)
    table = page.reading(text, 0, 10).set_index("word")
    assert list(table.index[:6]) == ["robert", "sees", "his", "girls", "<eos>", "he"]
    assert table.loc["he"].to_list() == [
        "PRP", "singular, masculine", "robert", 5, 0, "\N{EN DASH}",
    ]  # fmt: skip
    assert table.loc["will", "has the tense of"] == "sees"
    assert set(table.loc["<eos>", "tag"]) == {"\N{EN DASH}"}
    singer = page.reading(text, 9, 12)
    assert singer["shows"].to_list()[-1] == "singular, genitive"


def test_sentences_are_those_of_the_text():
    first, second = page.sentences("grammar", n=2, seed=31)
    words = truth.vocabulary().decode(truth.generate(80, seed=31).ids)
    assert (
        f"{first} <eos> {second} <eos>".split()
        == words[: len(first.split()) + len(second.split()) + 2]
    )
    assert len(page.sentences("grammar-sov", n=7, seed=1)) == 7


def test_frequencies_stand_by_rank(text):
    shares = page.frequencies(text)
    tokens = truth.vocabulary().tokens
    np.testing.assert_allclose(shares.sum("rank"), 1)
    words = truth.vocabulary().decode(text.ids)
    assert shares.sel(of="text", rank=2) == words.count(tokens[1]) / len(words)
    assert (np.diff(shares.sel(of="rules")) <= 0).all()
    ax = page.plot_frequencies(shares)
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    np.testing.assert_allclose(ax.lines[0].get_ydata(), shares.sel(of="rules"))


def test_distances_are_shares_at_or_beyond(text):
    texts = {
        "grammar": text,
        "sov": truth.generate(9_000, seed=1, variant="grammar-sov"),
    }
    shares = page.distances(texts, most=4)
    verbs = [
        text.distance[k]
        for k in range(len(text.ids))
        if text.tag[k].startswith("VB") and text.controller[k] >= 0 and text.number[k]
    ]
    for distance in (1, 2, 4):
        expected = sum(d >= distance for d in verbs) / len(verbs)
        assert shares.sel(corpus="grammar", distance=distance) == expected
    ax = page.plot_distances(shares)
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["grammar", "sov"]
    np.testing.assert_allclose(ax.lines[0].get_ydata(), shares.sel(corpus="grammar"))
