"""The two halves of a property of words, from a file.

    dog dogs                       dog <tab> singular
    cat cats      pairs, or        dogs <tab> plural       a table of two labels
    ox oxen                        sheepdog <tab> singular

A pair is left out where one of its words has no id, a line of a table where its word
has none.
"""

from collections import Counter

import numpy as np
import xarray as xr

from state_gradients.foundation.checks import short
from state_gradients.text.encoding import require_file
from state_gradients.text.groups import ids_by_word
from state_gradients.text.vocabulary import decoded_lines

WHO = "inspect (--property)"
LEAST = 2  # words in either half, so that its mean has a noise that can be told
SHOWN = 400  # letters of a list of words in a message
OF_PAIRS = "first words", "second words"


def read_halves(path, vocabulary, n_types):
    """Return which types either half of a property has, and the words without an id.

    Parameters
    ----------
    path : path-like
    vocabulary : Vocabulary, Tokenizer, or a Keras layer with `get_vocabulary`
    n_types : int
        Rows of the model's embedding.

    Returns
    -------
    halves : DataArray of bool, shape (half, vocabulary)
        Of a table the half is a label, the first in the file first; of pairs it is the
        first or the second words.
    unknown : list of str

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, a line is neither a pair nor of a table, a word stands
        twice, there are not two labels, or a half has fewer than two words with an id.
    """
    path = require_file(path, "property")
    lines = _lines(path)
    is_table = any("\t" in line for _, line in lines)
    rows = [_fields(number, line, path, is_table) for number, line in lines]
    spelled = [row[:1] if is_table else row for row in rows]
    _require_each_word_once(spelled, lines, path)
    index = ids_by_word(vocabulary)
    names, words = _of_table(rows, path) if is_table else _of_pairs(rows, index)
    unknown = [word for row in spelled for word in row if word not in index]
    members = np.zeros((2, n_types), bool)
    for member, half in zip(members, words, strict=True):
        member[[index[word] for word in half if word in index]] = True
    _require_enough(members.sum(axis=1), names, unknown, path)
    return xr.DataArray(members, {"half": [*names]}, ("half", "vocabulary")), unknown


def _lines(path):
    """Return the lines that are not empty, each with its number."""
    numbered = enumerate(decoded_lines(path), 1)
    lines = [(number, line.strip()) for number, line in numbered if line.strip()]
    if not lines:
        raise ValueError(
            f"{WHO}: {path} must hold pairs of words, or words and the names of two "
            "halves with a tab between them, received no line."
        )
    return lines


def _fields(number, line, path, is_table):
    fields = line.split("\t") if is_table else line.split()
    fields = [field.strip() for field in fields]
    if len(fields) != 2 or not all(fields):
        must = "a word, a tab and a label" if is_table else "two words"
        raise ValueError(
            f"{WHO}: a line must be {must}, as the others of {path.name} are, received "
            f"{short(line)} in line {number}."
        )
    return fields


def _require_each_word_once(words, lines, path):
    """Refuse words that would count twice, or for both halves."""
    numbers = [number for number, _ in lines]
    places = [
        (word, number)
        for row, number in zip(words, numbers, strict=True)
        for word in row
    ]
    counts = Counter(word for word, _ in places)
    twice = {
        word: [number for other, number in places if other == word]
        for word, count in counts.items()
        if count > 1
    }
    if twice:
        raise ValueError(
            f"{WHO}: each word must stand once in {path.name}, received (word: its "
            f"lines) {short(twice, SHOWN)}; keep one of each."
        )


def _of_table(rows, path):
    """Return the two labels of a table, and the words of either."""
    labels = list(dict.fromkeys(label for _, label in rows))
    if len(labels) != 2:
        raise ValueError(
            f"{WHO}: a table must have two labels, the names of the halves, received "
            f"{len(labels)} in {path.name}: {short(labels, SHOWN)}. Between the words "
            "of a pair put a space, not a tab."
        )
    return labels, [[w for w, label in rows if label == one] for one in labels]


def _of_pairs(rows, index):
    """Return what the halves of pairs are called, and the words of whole pairs."""
    whole = [row for row in rows if all(word in index for word in row)]
    return OF_PAIRS, [[row[side] for row in whole] for side in (0, 1)]


def _require_enough(sizes, names, unknown, path):
    if min(sizes) >= LEAST:
        return
    found = " and ".join(
        f"{n} of {name!r}" for n, name in zip(sizes, names, strict=True)
    )
    lacking = f"; not in it are {short(unknown, SHOWN)}" if unknown else ""
    raise ValueError(
        f"{WHO}: either half must have {LEAST} words of the vocabulary or more, "
        f"received {found} in {path.name}{lacking}. Give more words, spelled as the "
        "vocabulary spells them."
    )
