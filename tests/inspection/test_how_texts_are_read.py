"""How a text is read: lines, windows, folders, padding; and its vocabularies."""

import json
import pickle
import warnings
from pathlib import Path

import inspected
import keras
import numpy as np
import pytest
import xarray as xr
from inspected import L, asked, refused
from keras.src.legacy.preprocessing.text import Tokenizer
from through_keras import central_differences
from typer.testing import CliRunner

from state_gradients import cli, inspection
from state_gradients.engine import means

folder, registry = inspected.folder, inspected.registry

LENGTH, WORDS = 6, ["<pad>", *"abcdef"]
LINES = ["b a d", "f", "", "c e a b d", "a f f c e b d a", "e c"]
PADDED = ["--by-line", "--pad", "left", "--max-delay", "2"]


def of_lines(path, layer="LSTM", *below, length=LENGTH, mask_zero=False, **options):
    """Save a model of lines, a text and a vocabulary for it; return the model."""
    keras.utils.set_random_seed(2)
    recurrent = getattr(L, layer)(4, **options)
    embedding = L.Embedding(
        7,
        3,
        mask_zero=mask_zero,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1),
    )
    first = [] if below else [keras.Input((length,))]
    model = keras.Sequential([*first, *below, embedding, recurrent, L.Dense(7)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras advises against .h5
        model.save(path)
    Path("text.txt").write_text("\n".join(LINES) + "\n")
    Path("vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    return model


def as_used(side):
    """Return the lines as rows of the model's length, and where their words stand."""
    rows, places = [], []
    for line in filter(None, LINES):
        ids = [WORDS.index(word) for word in line.split()][-LENGTH:]
        pads = [0] * (LENGTH - len(ids))
        rows.append(np.array(pads + ids if side == "left" else ids + pads))
        first = len(pads) if side == "left" else 0
        places.append(range(first, first + len(ids)))
    return rows, places


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize(
    ("layer", "options"),
    [("LSTM", {}), ("GRU", {}), ("SimpleRNN", {"activation": "relu"})],
)
def test_a_model_of_padded_lines_is_asked_as_it_is_used(
    folder, layer, options, suffix, side
):
    model = of_lines(f"lines.{suffix}", layer, **options)
    options = ["--by-line", "--pad", side, "--max-delay", "2", "--state", "hidden"]
    done = asked(*options, model=f"lines.{suffix}")
    assert done.exit_code == 0, done.stderr
    curves = inspection.read("inspection-lines")
    rows, places = as_used(side)
    mean, count = central_differences(model, rows, places, length=LENGTH, max_delay=2)
    np.testing.assert_array_equal(curves["n_samples"], count)
    s = np.linalg.svdvals(mean)
    # by Weyl at most the error of the mean, 12 entries of 1e-3 (tests/engine)
    np.testing.assert_allclose(
        curves["memory"].sel(normalization="raw"), s[:, 0], rtol=0, atol=3.5e-3
    )
    assert curves.attrs["reading"] == f"lines, padded {side} with 0 to 6"
    assert (curves.attrs["n_texts"], curves.attrs["n_tokens"]) == (5, 17)
    said = f"17 tokens, read as lines, padded {side} with 0 to 6; 5 texts"
    assert said in done.stderr
    head, columns = done.stdout.splitlines()[:2]  # of the table
    reading = f"text read as lines, padded {side} with 0 to 6"
    assert head == f"lines.{suffix}, {reading}"
    assert columns.startswith("normalization")
    assert "1 too long" in done.stderr
    assert "1 empty" in done.stderr


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_model_that_is_not_made_for_streams_asks_how_to_read(folder, suffix):
    of_lines(f"lines.{suffix}")
    message = refused("--max-delay", "2", model=f"lines.{suffix}")
    assert "a model that takes 6 tokens at a time" in message
    assert "--by-line --pad left" in message
    assert "--context 6" in message
    of_lines(f"masking.{suffix}", length=None, mask_zero=True)
    message = refused("--max-delay", "2", model=f"masking.{suffix}")
    assert "masks the id 0" in message


def test_windows_files_and_folders(folder):
    model = of_lines("lines.keras")
    rows = [[WORDS.index(word) for word in line.split()] for line in LINES]
    stream = np.concatenate([row for row in rows if row])

    def memory(*options):
        done = asked(*options, "--max-delay", "2", model="lines.keras")
        assert done.exit_code == 0, done.stderr
        return inspection.read("inspection-lines")

    windows = [stream[start : start + 5] for start in range(0, len(stream), 5)]
    expected = inspection.inspect_model(model, windows, max_delay=2)
    found = memory("--context", "5")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)
    assert found.attrs["reading"] == "windows of 5 tokens"
    Path("texts").mkdir()
    for name, line in zip("ab", LINES, strict=False):
        Path("texts", name).write_text(line)
    Path("text.txt").write_text(LINES[3])
    expected = inspection.inspect_model(model, [rows[3], rows[0], rows[1]], max_delay=2)
    found = memory("--text", "texts")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)
    assert found.attrs["reading"] == "3 texts"
    assert found.attrs["text"] == "text.txt, texts"


def test_delays_that_no_padded_line_reaches_are_refused(folder):
    of_lines("lines.keras")
    Path("text.txt").write_text("a b c\nd\n")
    message = refused(*PADDED[:3], "--max-delay", "3", model="lines.keras")
    assert "received 3 tokens" in message
    assert "at most 2 will do" in message


def test_a_text_with_the_id_of_padding_is_refused(folder):
    of_lines("lines.keras")
    Path("vocabulary.txt").write_text("\n".join([*WORDS[1:], "<pad>"]))
    message = refused(*PADDED, model="lines.keras")
    assert "--pad-id must be no token of the text, received 0" in message


# ------------------------------------------------------------------ vocabularies


@pytest.mark.parametrize("oov_token", [None, "<oov>"])
def test_a_tokenizer_gives_the_ids_that_it_gives_in_keras(folder, oov_token):
    model = of_lines("lines.keras")
    tokenizer = Tokenizer(num_words=6, oov_token=oov_token)
    tokenizer.fit_on_texts(LINES)
    Path("vocabulary.txt").write_text(tokenizer.to_json())
    done = asked(*PADDED, model="lines.keras")
    assert done.exit_code == 0, done.stderr
    ids = [row for row in tokenizer.texts_to_sequences(LINES) if row]
    rows = list(keras.utils.pad_sequences(ids, LENGTH))
    expected = inspection.inspect_model(model, rows, max_delay=2, padding=0)
    found = inspection.read("inspection-lines")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)
    words = " ".join(LINES).split()
    n_left_out = len(words) - sum(map(len, ids))
    assert (n_left_out > 0) == (oov_token is None)
    said = f"{n_left_out} tokens without an id, left out"
    assert (said in done.stderr) == (oov_token is None)


def test_a_tokenizer_with_more_ids_than_the_model(folder):
    of_lines("lines.keras")
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts([*LINES, "g h"])
    Path("vocabulary.txt").write_text(tokenizer.to_json())
    message = refused(*PADDED, model="lines.keras")
    assert "must be below 7" in message
    assert "a Tokenizer of 9 ids" in message
    Path("vocabulary.txt").write_text(json.dumps(tokenizer.word_index))
    assert "tokenizer.to_json()" in refused(*PADDED, model="lines.keras")


@pytest.mark.parametrize("name", ["tokenizer.pickle", "tokenizer.bin"])
def test_a_pickle_stays_closed_and_two_lines_make_json_of_it(folder, name):
    Path(name).write_bytes(pickle.dumps(Opened()))
    done = asked("--vocabulary", name)
    assert done.exit_code == 1
    assert not Path("opened").exists()
    lines = [line.strip() for line in done.stderr.splitlines()[-2:]]
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(LINES)
    Path(name).write_bytes(pickle.dumps(tokenizer))
    exec("\n".join(lines))
    assert (
        inspection.read_vocabulary("tokenizer.json").word_index == tokenizer.word_index
    )


class Opened:
    """An object that leaves a file where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("opened"),)


def asked_of_layer(*options, model="lines.keras"):
    command = ["inspect", model, "--text", "text.txt", "--max-delay", "2", *options]
    return CliRunner().invoke(cli.app, command)


@pytest.mark.parametrize("fixed", [None, LENGTH])
def test_a_layer_of_the_model_is_its_vocabulary(folder, fixed):
    lookup = L.TextVectorization(output_sequence_length=fixed, vocabulary=[*"abcde"])
    model = of_lines("lines.keras", "GRU", keras.Input((1,), dtype="string"), lookup)
    pad = ["--by-line", *(["--pad", "right"] if fixed else [])]
    done = asked_of_layer(*pad)
    assert done.exit_code == 0, done.stderr
    rows = [np.array(lookup([line]))[0] for line in filter(None, LINES)]
    expected = inspection.inspect_model(
        model, rows, max_delay=2, padding=0 if fixed else None
    )
    found = inspection.read("inspection-lines")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)
    np.testing.assert_array_equal(found["n_samples"], expected["n_samples"])
    assert "vocabulary" not in found.attrs
    both = asked_of_layer(*pad, "--vocabulary", "vocabulary.txt")
    assert "received both" in both.stderr
    if fixed:
        done = asked_of_layer("--by-line", "--pad", "left")
        assert "--by-line --pad right" in done.stderr


def test_a_lookup_of_words_is_a_vocabulary(folder):
    lookup = L.StringLookup(vocabulary=[*"abcdef"])
    below = keras.Input((None,), dtype="string"), lookup
    model = of_lines("lines.keras", "GRU", *below)
    done = asked_of_layer()
    assert done.exit_code == 0, done.stderr
    ids = np.array(lookup(" ".join(LINES).split()))
    expected = inspection.inspect_model(model, ids, max_delay=2)
    found = inspection.read("inspection-lines")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)


def test_a_vocabulary_there_must_be(folder):
    done = asked_of_layer(model="model.keras")
    assert "received neither" in done.stderr


class Reversed(L.TextVectorization):
    def call(self, inputs):
        return super().call(inputs)[:, ::-1]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Reversed(vocabulary=["a"]), r"begin with an Embedding; .*\(Reversed\)"),
        (L.StringLookup(vocabulary=["a"], output_mode="multi_hot"), "mode='int'"),
        (L.IntegerLookup(vocabulary=[3, 4]), r"begin with an .*\(IntegerLookup\)"),
    ],
)
def test_other_layers_below_the_embedding_are_refused(layer, message):
    kind = "int64" if isinstance(layer, L.IntegerLookup) else "string"
    point = keras.Input((1,), dtype=kind)
    looked_up = layer(point)
    model = keras.Model(point, L.GRU(3)(L.Embedding(5, 2)(looked_up)))
    with pytest.raises(ValueError, match=message):
        means.mean_state_gradients(model, [1, 0, 1], max_delay=1)
