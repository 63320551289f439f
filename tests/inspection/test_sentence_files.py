"""The command `sentence`: each word of a sentence, held against the engine."""

import json
from pathlib import Path

import inspected
import keras
import numpy as np
import pandas as pd
import pytest
from inspected import TOKENS, L, save, write_files
from keras.src.legacy.preprocessing.text import Tokenizer
from typer.testing import CliRunner

import state_gradients as sg
from state_gradients import cli, inspection
from state_gradients.models.saved import load_model

folder, registry = inspected.folder, inspected.registry
WORDS, IDS = "b a new c", [2, 1, 6, 3]  # `new` is read as <unk>


def asked(words, *options, model="model.keras", vocabulary="vocabulary.txt"):
    files = [] if vocabulary is None else ["--vocabulary", vocabulary]
    return CliRunner().invoke(cli.app, ["sentence", model, words, *files, *options])


def rows_of(*arguments, **options):
    done = asked(*arguments, "--json", **options)
    assert done.exit_code == 0, done.stderr
    return pd.DataFrame(json.loads(done.stdout))


def by_delay(rows, name):
    """Return a quantity as (token, delay), NaN beyond the end."""
    return rows.pivot(index="token", columns="delay", values=name).values


def whitening_of(model):
    return sg.fit_whitening(model.layers[0].get_weights()[0])


def test_its_memory_and_influence_are_those_of_the_library(folder):
    save("model.keras", L.Dense(7, activation="softmax"))
    model = load_model("model.keras")
    whitening = whitening_of(model)
    rows = rows_of(WORDS, "--influence")
    assert rows["word"].unique().tolist() == ["b", "a", "<unk>", "c"]
    assert len(rows) == 4 + 3 + 2 + 1  # none beyond the end
    memory = sg.sentence_memory(model, IDS, whitening=whitening)
    # 15 decimals are printed of numbers below 1
    np.testing.assert_allclose(by_delay(rows, "memory"), memory, rtol=1e-9)
    influence = sg.sentence_influence(model, IDS, whitening=whitening)
    for name in influence:
        np.testing.assert_allclose(by_delay(rows, name), influence[name], rtol=1e-6)
    alone = rows_of(WORDS)
    assert [*alone] == ["token", "word", "delay", "memory"]
    np.testing.assert_array_equal(alone["memory"], rows["memory"])


def test_options_are_passed_on(folder):
    model = load_model("model.keras")
    rows = rows_of(WORDS, "--state", "hidden", "--max-delay", "1")
    options = {"whitening": whitening_of(model), "state": "hidden", "max_delay": 1}
    expected = sg.sentence_memory(model, IDS, **options)
    np.testing.assert_allclose(by_delay(rows, "memory"), expected, rtol=1e-9)
    save("model.keras", size=9)  # 7 types span 6 dimensions
    model = load_model("model.keras")
    done = asked(WORDS)
    assert "raw gradients only" in done.stderr
    rows = rows_of(WORDS)
    raw = sg.sentence_memory(model, IDS)
    np.testing.assert_allclose(by_delay(rows, "memory"), raw, rtol=1e-9)
    rows = rows_of(WORDS, "--shrinkage", "0.5")
    shrunk = sg.fit_whitening(model.layers[0].get_weights()[0], shrinkage=0.5)
    expected = sg.sentence_memory(model, IDS, whitening=shrunk)
    np.testing.assert_allclose(by_delay(rows, "memory"), expected, rtol=1e-9)


def test_a_terminal_shows_a_row_for_each_word_and_the_unit(folder):
    save("model.keras", L.Dense(7, activation="softmax"))
    done = asked(WORDS, "--influence")
    assert done.exit_code == 0, done.stderr
    lines = done.stdout.splitlines()
    model = load_model("model.keras")
    options = {"whitening": whitening_of(model)}
    tables = {
        "memory": sg.sentence_memory(model, IDS, **options),
        "influence": sg.sentence_influence(model, IDS, **options)["influence"],
    }
    assert len(lines) == 2 * (2 + len(IDS))
    units = ("state unit / standard deviation", "nat / (standard deviation)^2")
    for k, (name, expected) in enumerate(tables.items()):
        title, heads, *rows = lines[6 * k : 6 * (k + 1)]
        assert title == f"{name} of each word by delay, in {units[k]}"
        assert heads.split() == ["word", "0", "1", "2", "3"]
        for row, word, values in zip(
            rows, ["b", "a", "<unk>", "c"], expected.values, strict=True
        ):
            shown = [f"{value:.3g}" for value in values[np.isfinite(values)]]
            assert row.split() == [word, *shown]


def test_words_are_those_of_a_tokenizer_or_of_a_layer(folder):
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(["a b c d"])
    Path("tokenizer.json").write_text(tokenizer.to_json())
    rows = rows_of("B, A! new", vocabulary="tokenizer.json")  # `new` has no id
    assert rows["word"].unique().tolist() == ["b", "a"]
    ids = tokenizer.texts_to_sequences(["B, A! new"])[0]
    model = load_model("model.keras")
    expected = sg.sentence_memory(model, ids, whitening=whitening_of(model))
    np.testing.assert_allclose(by_delay(rows, "memory"), expected, rtol=1e-9)
    lookup = L.TextVectorization(vocabulary=[*"abcde"])
    layers = [lookup, L.Embedding(7, 4), L.GRU(3)]
    model = keras.Sequential([keras.Input((1,), dtype="string"), *layers])
    model.save("words.keras")
    rows = rows_of("C new a", model="words.keras", vocabulary=None)
    assert rows["word"].unique().tolist() == ["c", "[UNK]", "a"]
    whitening = sg.fit_whitening(model.layers[1].get_weights()[0])
    expected = sg.sentence_memory(model, [4, 1, 2], whitening=whitening)
    np.testing.assert_allclose(by_delay(rows, "memory"), expected, rtol=1e-9)


def test_it_is_a_function_too(folder):
    found = inspection.inspect_sentence(
        "model.keras", WORDS, vocabulary="vocabulary.txt"
    )
    assert found["memory"].dims == ("token", "delay")
    assert found["word"].values.tolist() == ["b", "a", "<unk>", "c"]


def _fixed():
    layers = [keras.Input((3,)), L.Embedding(7, 4), L.LSTM(5)]
    keras.Sequential(layers).save("model.keras")


SENTENCES = {  # what is done before, the words, options, what is said
    "a sentence without words": (
        lambda: None,
        " ",
        (),
        "the sentence must hold a word with an id, received none",
    ),
    "a sentence with a word that has no id": (
        lambda: Path("vocabulary.txt").write_text("\n".join("abcdefg")),
        "a b x",
        (),
        "every word must be in the vocabulary, received ['x']",
    ),
    "a sentence longer than the model takes": (
        _fixed,
        WORDS,
        (),
        "which takes 3 tokens at a time, received 4",
    ),
    "a sentence shorter than the delay": (
        lambda: None,
        "a b",
        ("--max-delay", "2"),
        "sentence: `max_delay` must be below",
    ),
    "the influence of words, where the model has no softmax": (
        lambda: None,
        "a b",
        ("--influence",),
        "sentence: the model must have a Dense layer above its states",
    ),
}


def refusal_of_sentence(case, folder):
    """Return what is said in a folder with a model and a vocabulary."""
    prepare, words, options, _ = SENTENCES[case]
    with pytest.MonkeyPatch.context() as patch:
        write_files(folder, patch)
        prepare()
        before = sorted(Path().rglob("*"))
        done = asked(words, *options)
        assert done.exit_code == 1, done.stdout
        assert sorted(Path().rglob("*")) == before
    return done.stderr[done.stderr.index("error: ") :].strip()


@pytest.mark.parametrize("case", SENTENCES)
def test_a_sentence_that_cannot_be_asked_is_refused(tmp_path, case):
    assert SENTENCES[case][-1] in refusal_of_sentence(case, tmp_path)


def test_an_unknown_word_is_read_as_the_vocabulary_has_it(folder):
    assert TOKENS[6] == "<unk>"
    same = rows_of("b a <unk> c")["memory"]
    np.testing.assert_array_equal(same, rows_of(WORDS)["memory"])
