"""A Tokenizer from its JSON, held against the one in Keras that wrote it."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras.src.legacy.preprocessing.text import Tokenizer as Theirs

from state_gradients.text.tokenizer import tokenizer_from_json

LINES = ["The cat sat; the Mat!", "a cat, a HAT\tand the end", "éclair the cat's"]


def fitted(**options):
    tokenizer = Theirs(**options)
    tokenizer.fit_on_texts(LINES)
    return tokenizer


@given(
    text=st.text(st.sampled_from("aAcCtThHeEsS'é.,!\t\n  <oov>"))
    | st.sampled_from(LINES),
    options=st.fixed_dictionaries(
        {
            "num_words": st.none() | st.integers(1, 12),
            "oov_token": st.none() | st.just("<oov>"),
            "lower": st.booleans(),
            "char_level": st.booleans(),
            "filters": st.sampled_from(["", ";,!\t", Theirs().filters]),
            "split": st.sampled_from([" ", "a"]),
        }
    ),
)
def test_ids_are_those_that_keras_gives(text, options):
    theirs = fitted(**options)
    ours = tokenizer_from_json(theirs.to_json())
    (expected,) = theirs.texts_to_sequences([text])
    found, n_left_out = ours.encode(text)
    np.testing.assert_array_equal(found, expected)
    everything = Theirs(**{**options, "oov_token": "?", "num_words": None})
    everything.word_index = {"?": 1}
    assert len(found) + n_left_out == len(everything.texts_to_sequences([text])[0])
    assert all(i < len(ours) for i in expected)


def test_json_in_json_and_what_is_no_tokenizer():
    theirs = fitted()
    twice = tokenizer_from_json(json.dumps(theirs.to_json()))
    assert twice == tokenizer_from_json(theirs.to_json())
    for words in ("the\ncat\n", "12\n", "{\n}x\n"):
        assert tokenizer_from_json(words) is None
    config = json.loads(theirs.to_json())
    for other in (
        theirs.word_index,
        config | {"class_name": "Other"},
        config | {"config": config["config"] | {"analyzer": "f"}},
        config | {"config": config["config"] | {"word_index": '{"a": "b"}'}},
        config | {"config": config["config"] | {"word_index": '{"a": 0}'}},
        config | {"config": {}},
    ):
        with pytest.raises(ValueError, match=r"what tokenizer.to_json\(\)"):
            tokenizer_from_json(json.dumps(other))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("num_words", "5"),
        ("num_words", True),
        ("num_words", 10**400),
        ("split", None),
        ("split", ""),
        ("filters", 5),
        ("lower", "no"),
        ("char_level", 0),
        ("oov_token", ["a"]),
        ("word_index", json.dumps({"a": 10**400})),
        ("word_index", json.dumps({"a": 2**31})),
        ("word_index", json.dumps({"a": True})),
        ("word_index", "[" * 100_000),
    ],
)
def test_fields_of_another_type_are_refused_by_name(field, value):
    config = json.loads(fitted().to_json())
    config["config"][field] = value
    with pytest.raises(ValueError, match=r"what tokenizer.to_json\(\)") as caught:
        tokenizer_from_json(json.dumps(config))
    assert len(str(caught.value)) < 500


def test_lists_within_lists_are_no_tokenizer():
    assert tokenizer_from_json("[" * 100_000) is None
