"""Any bytes are read as lines of words, or refused; ids come back as their words."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from state_gradients.foundation.checks import ids_within
from state_gradients.text.vocabulary import (
    EOS,
    STOP,
    UNK,
    Vocabulary,
    rank_types,
    read_lines,
)

MANY = hypothesis_settings(hypothesis_settings.get_profile("many"))
BYTES = st.binary(max_size=80) | st.text(" .a'su\n\r\t<>\ufeff\u2028é").map(str.encode)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder for all examples."""
    return tmp_path_factory.mktemp("any")


@MANY
@given(content=BYTES, repeat=st.integers(1, 3), at_stops=st.booleans())
def test_any_bytes_join_back_or_are_refused(folder, content, repeat, at_stops):
    path = folder / "any.txt"
    path.write_bytes(content)
    lines = read_lines(path, repeat_eos=repeat, eos_at_stops=at_stops)
    try:
        lines = list(lines)
    except ValueError as error:
        assert str(path) in str(error)
        text = content.decode("utf-8-sig", "replace")
        words = text.replace(STOP, " ") if at_stops else text
        assert "\ufffd" in text or not words.replace(".", " ").split()
        return
    text = content.decode("utf-8-sig")
    assert all(line[-repeat:] == [EOS] * repeat for line in lines)
    words = [word for line in lines for word in line[:-repeat]]
    if at_stops:  # full stops between spaces are ends of lines
        assert [w for w in words if w != "."] == [w for w in text.split() if w != "."]
    else:
        assert words == text.split()
        ends = text.count("\n") + (not text.endswith("\n"))
        assert len(lines) == ends


@MANY
@given(
    words=st.lists(st.text("abcd", min_size=1, max_size=2), min_size=1),
    size=st.none() | st.integers(3, 8),
)
def test_ids_come_back_as_their_words_or_unk(words, size):
    counts = {EOS: 1} | {word: words.count(word) for word in words}
    vocabulary = Vocabulary(rank_types(counts, size))
    assert len(vocabulary) <= (size or len(counts))
    ids = ids_within(vocabulary.encode(words), "test", len(vocabulary))
    back = vocabulary.decode(ids)
    for word, read in zip(words, back, strict=True):
        assert read == (word if word in vocabulary.index else UNK)


@MANY
@given(
    values=st.lists(
        st.integers(-3, 12) | st.floats() | st.booleans() | st.text(max_size=2),
        max_size=4,
    )
)
def test_ids_are_whole_numbers_of_the_vocabulary_or_refused(values):
    are_ids = values and all(type(v) is int and 0 <= v < 10 for v in values)
    # NumPy makes numbers of bools beside whole numbers: 0 and 1, which are ids
    beside = any(type(v) is int for v in values) and all(
        type(v) in (int, bool) and 0 <= v < 10 for v in values
    )
    if are_ids or beside:
        np.testing.assert_array_equal(ids_within(values, "test", 10), values)
    else:
        with pytest.raises(ValueError, match=r"^test: `ids` must"):
            ids_within(values, "test", 10)
