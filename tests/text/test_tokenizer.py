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
