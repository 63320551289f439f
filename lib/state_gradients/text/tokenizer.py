"""A Keras Tokenizer from its JSON: the ids that a text has where it was used.

``Tokenizer.to_json()`` says which characters part words, whether case counts, and the
id of each word, from 1 on. Of `num_words` only ids below it are used; a word without an
id gets that of `oov_token`, and is left out where there is none.
"""

import json
from dataclasses import dataclass

import numpy as np

TYPES = {
    "filters": str,
    "lower": bool,
    "split": str,
    "char_level": bool,
    "num_words": int | None,
    "oov_token": str | None,
}
FIELDS = tuple(TYPES)


@dataclass(frozen=True, kw_only=True)
class Tokenizer:
    """What ``to_json`` keeps, under its names.

    Attributes
    ----------
    word_index : dict of str to int
    filters : str
        Characters that part words.
    lower : bool
    split : str
        What parts words.
    char_level : bool
        Whether every character is a token.
    num_words : int or None
    oov_token : str or None
    """

    word_index: dict
    filters: str
    lower: bool
    split: str
    char_level: bool
    num_words: int | None
    oov_token: str | None

    def __len__(self):
        """Return the number of ids in use, with 0, which no word has."""
        largest = max(self.word_index.values(), default=0)
        n_ids = min(largest + 1, self.num_words or largest + 1)
        return max(n_ids, self.word_index.get(self.oov_token, 0) + 1)

    def encode(self, text):
        """Return a text's ids, int32 (time,), and how many tokens were left out."""
        tokens = self._tokens(text)
        unknown = self.word_index.get(self.oov_token)
        ids = [self.word_index.get(token) for token in tokens]
        limit = self.num_words or np.inf
        ids = [unknown if i is None or i >= limit else i for i in ids]
        with_id = np.array([i for i in ids if i is not None], np.int32)
        return with_id, len(ids) - len(with_id)

    def _tokens(self, text):
        text = text.lower() if self.lower else text
        if self.char_level:
            return list(text)
        text = text.translate(str.maketrans(dict.fromkeys(self.filters, self.split)))
        return [token for token in text.split(self.split) if token]


def tokenizer_from_json(text):
    """Return the Tokenizer that a text describes; None if it is not JSON.

    Parameters
    ----------
    text : str
        What ``tokenizer.to_json()`` gives, or the same as one JSON string.

    Raises
    ------
    ValueError
        If it is JSON of something else, or calls functions of its own.
    """
    try:
        content = json.loads(text)
        content = json.loads(content) if isinstance(content, str) else content
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):  # a token of digits is JSON, too
        return None
    try:
        config = content["config"]
        index = json.loads(config["word_index"])
        fields = {name: config[name] for name in FIELDS}
        if content["class_name"] != "Tokenizer" or config.get("analyzer"):
            raise ValueError(content["class_name"])
        if not all(type(i) is int and 0 < i < 2**31 for i in index.values()):
            raise ValueError("word_index")
        if wrong := [name for name in FIELDS if not _is_of_type(name, fields[name])]:
            raise ValueError(", ".join(wrong))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ValueError(
            "read_vocabulary: JSON must be what tokenizer.to_json() of a Keras "
            f"Tokenizer gives, received another ({type(error).__name__}: {error}); "
            "write that, or a token a line in the order of ids."
        ) from None
    return Tokenizer(word_index=index, **fields)


def _is_of_type(name, value):
    """Return whether a field is what Keras writes there."""
    is_number = name == "num_words" and value is not None
    if is_number and not (type(value) is int and 0 < value < 2**31):
        return False
    return isinstance(value, TYPES[name]) and (name != "split" or value != "")
