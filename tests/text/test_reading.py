"""Texts as rows: held against Keras's pad_sequences, and each refusal."""

import re

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from state_gradients.text.reading import Reading, arrange, reach, text_files


def texts_of(lengths, first=1):
    return [np.arange(first, first + n, dtype=np.int32) for n in lengths]


@given(
    lengths=st.lists(st.integers(0, 9), min_size=1).filter(any),
    side=st.sampled_from(["left", "right"]),
    length=st.integers(1, 12),
)
def test_padded_lines_are_those_of_pad_sequences(lengths, side, length):
    texts = texts_of(lengths)
    reading = Reading(by_line=True, pad=side, pad_id=0)
    rows = arrange(texts, reading, length=length)
    filled = [text for text in texts if len(text)]
    sides = {"left": "pre", "right": "post"}
    expected = keras.utils.pad_sequences(filled, maxlen=length, padding=sides[side])
    np.testing.assert_array_equal(rows.ids, expected)
    assert rows.padding == 0
    assert rows.how == f"lines, padded {side} with 0 to {length}"
    assert rows.n_tokens == sum(min(n, length) for n in lengths)
    assert rows.n_cut == sum(n > length for n in lengths)
    assert rows.n_empty == lengths.count(0)
    # the states that follow the first word of a line, itself included
    longest = min(max(lengths), length)
    assert reach(rows) == (longest if side == "left" else length)
    assert reach(rows, masks=True) == longest


@given(lengths=st.lists(st.integers(1, 9), min_size=1), context=st.integers(1, 5))
def test_windows_are_cut_within_texts(lengths, context):
    texts = texts_of(lengths)
    rows = arrange(texts, Reading(context=context), length=context)
    assert max(map(len, rows.ids)) <= context
    assert len(rows.ids) == sum(-(-n // context) for n in lengths)
    np.testing.assert_array_equal(np.concatenate(rows.ids), np.concatenate(texts))
    assert rows.padding is None
    assert rows.how.startswith(f"windows of {context} tokens")


def test_how_it_was_read_is_said():
    assert arrange(texts_of([4]), Reading()).how == "one stream"
    assert arrange(texts_of([4, 2]), Reading()).how == "2 texts"
    by_line = Reading(by_line=True, context=2, pad="right", pad_id=9)
    rows = arrange(texts_of([3]), by_line)
    assert rows.how == "windows of 2 tokens of lines, padded right with 9 to 2"
    np.testing.assert_array_equal(rows.ids, [[1, 2], [3, 9]])


LEFT = {"by_line": True, "pad": "left"}
READINGS = {  # lengths of texts, how they are to be read, of a model, what is said
    "a stream, for a model of five tokens at a time": (
        ([9], {}, {"length": 5}),
        r"takes 5 tokens .* as a stream.*--context 5",
    ),
    "a stream, for a model that masks": (([9], {}, {"masks": True}), "masks the id 0"),
    "one text, to be padded": (
        ([9], {"pad": "left"}, {}),
        "one text and --pad.*--by-line --pad left",
    ),
    "padding without a length": (([9], LEFT, {}), "--pad must have a length"),
    "a text longer than the model takes": (
        ([9, 1], {}, {"length": 5}),
        "takes 5 tokens at a time, received one of 9",
    ),
    "windows longer than the model takes": (
        ([9], {"context": 6}, {"length": 5}),
        "--context must be at most 5.*received 6",
    ),
    "padding with the id of a word": (
        ([9], LEFT | {"pad_id": 3}, {"length": 5}),
        "no token",
    ),
    "nothing but empty lines": (([0], {"by_line": True}, {}), "must hold tokens"),
}


def refusal_of_reading(case, folder=None):
    (lengths, reading, model), _ = READINGS[case]
    with pytest.raises(ValueError) as caught:
        arrange(texts_of(lengths), Reading(**reading), **model)
    return str(caught.value)


@pytest.mark.parametrize("case", READINGS)
def test_what_would_be_read_otherwise_is_refused(case):
    assert re.match(f"inspect: .*{READINGS[case][1]}", refusal_of_reading(case))


def test_options_that_are_none():
    with pytest.raises(ValueError, match="must be left or right, received 'pre'"):
        Reading(pad="pre")
    with pytest.raises(ValueError, match="`context` must be a whole number"):
        Reading(context=0)


def test_files_and_folders(tmp_path):
    folder = tmp_path / "texts"
    (folder / "inner").mkdir(parents=True)
    with pytest.raises(ValueError, match="must hold texts, a file each"):
        text_files([folder])
    for name in ("b.txt", "a.txt", ".hidden"):
        (folder / name).write_text(name)
    other = tmp_path / "other.txt"
    other.write_text("other")
    found = [path.name for path in text_files([other, folder])]
    assert found == ["other.txt", "a.txt", "b.txt"]
    with pytest.raises(FileNotFoundError, match="a file or a folder"):
        text_files([tmp_path / "absent"])
