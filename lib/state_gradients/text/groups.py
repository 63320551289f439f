"""Groups of words from a file, for means over what they have in common.

    cat  noun            word,label
    dog  noun     or     cat,noun        (.csv, with these names in the first line)
    ran  verb            dog,noun

A word may stand in several groups, on a line each.
"""

import io

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.foundation.checks import short
from state_gradients.text.encoding import require_file
from state_gradients.text.tokenizer import Tokenizer
from state_gradients.text.vocabulary import Vocabulary, decoded_lines

WHO = "inspect (--groups)"
COLUMNS = ["word", "label"]


def read_groups(path, vocabulary, n_types):
    """Return which types each group has, and how many words of the file have no id.

    Parameters
    ----------
    path : path-like
    vocabulary : Vocabulary, Tokenizer, or a Keras layer with `get_vocabulary`
    n_types : int
        Rows of the model's embedding.

    Returns
    -------
    groups : DataArray of bool, shape (group, vocabulary)
        Groups in the order in which the file first names them.
    unknown : list of str

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it holds no groups, or a group no word that is known.
    """
    path = require_file(path, "groups")
    pairs = _from_csv(path) if path.suffix == ".csv" else _from_lines(path)
    index = ids_by_word(vocabulary)
    labels = list(dict.fromkeys(label for _, label in pairs))
    members = np.zeros((len(labels), n_types), bool)
    unknown = []
    for word, label in pairs:
        if word in index:
            members[labels.index(label), index[word]] = True
        else:
            unknown.append(word)
    for label, one in zip(labels, members, strict=True):
        if not one.any():
            words = [word for word, other in pairs if other == label]
            raise ValueError(
                f"{WHO}: a group must hold a word of the vocabulary, received "
                f"{label!r} in {path.name} with {short(words)}; leave it out, or spell "
                "its words as the vocabulary does."
            )
    return xr.DataArray(members, {"group": labels}, ("group", "vocabulary")), unknown


def _from_lines(path):
    pairs = []
    for number, line in enumerate(decoded_lines(path), 1):
        fields = line.split()
        if fields and len(fields) != len(COLUMNS):
            raise ValueError(
                f"{WHO}: a line must be a word and the name of its group, received "
                f"{short(line.strip())} in line {number} of {path.name}."
            )
        pairs += [tuple(fields)] if fields else []
    return _some(pairs, path)


def _from_csv(path):
    text = io.StringIO("".join(decoded_lines(path)))
    table = pd.read_csv(text, dtype=str, keep_default_na=False)
    if not {*COLUMNS} <= {*table.columns}:
        raise ValueError(
            f"{WHO}: {path.name} must name its columns {COLUMNS} in the first line, "
            f"received {short(list(table.columns))}."
        )
    return _some(list(table[COLUMNS].itertuples(index=False, name=None)), path)


def _some(pairs, path):
    if not pairs:
        raise ValueError(
            f"{WHO}: {path} must hold words and the names of their groups, received "
            "none."
        )
    return pairs


def ids_by_word(vocabulary):
    """Return the id of each word that has one of its own, a dict.

    Parameters
    ----------
    vocabulary : Vocabulary, Tokenizer, or a Keras layer with `get_vocabulary`
    """
    if isinstance(vocabulary, Vocabulary):
        return vocabulary.index
    if isinstance(vocabulary, Tokenizer):
        limit = vocabulary.num_words or np.inf
        return {word: i for word, i in vocabulary.word_index.items() if i < limit}
    return {word: i for i, word in enumerate(vocabulary.get_vocabulary())}
