"""A reader's text: from files to ids, by the vocabulary that comes with the model.

text, vocabulary.txt or tokenizer.json or a layer of the model -> ids
"""

from pathlib import Path

import numpy as np

from state_gradients.text.tokenizer import Tokenizer, tokenizer_from_json
from state_gradients.text.vocabulary import EOS, UNK, Vocabulary, read_lines


def require_file(path, what):
    """Return a path of a file, a Path.

    Raises
    ------
    FileNotFoundError
        If there is none; `what` says of what.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"inspection: the {what} must be a file, received {path}; correct the path."
        )
    return path


def read_vocabulary(path):
    """Return the vocabulary in a file.

    Parameters
    ----------
    path : path-like
        In UTF-8, a token a line, in the order of ids; or what ``to_json`` of a Keras
        Tokenizer gives.

    Returns
    -------
    Vocabulary or Tokenizer

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is a pickle or not UTF-8, or a line holds no new
        token.
    """
    path, tokens = require_file(path, "vocabulary"), {}
    content = path.read_bytes()
    if content.startswith(b"\x80") or path.suffix in (".pkl", ".pickle"):
        raise ValueError(
            f"read_vocabulary: {path} must be text, received a pickle, which is never "
            "opened here, for it may run any code. If you trust it, two lines make "
            "JSON of its Keras Tokenizer, with the Keras that wrote it:\n"
            "  import pickle, pathlib; "
            f"t = pickle.loads(pathlib.Path({path.name!r}).read_bytes())\n"
            f"  pathlib.Path({path.stem + '.json'!r}).write_text(t.to_json(), 'utf-8')"
        )
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"read_vocabulary: {path} must be UTF-8, received {error}; convert it."
        ) from None
    if tokenizer := tokenizer_from_json(text):
        return tokenizer
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    for number, line in enumerate(lines, 1):
        token = line.strip()
        if len(line.split()) != 1 or token in tokens:
            raise ValueError(
                f"read_vocabulary: each line of {path} must hold one token, new to the "
                f"file, received {token!r} in line {number}. Lines stand in the order "
                f"of ids: name each, say <pad> for padding and {UNK} for rare words."
            )
        tokens[token] = number
    return Vocabulary(tuple(tokens))


def read_ids(path, vocabulary):
    """Return a text as ids, int32 (time,).

    White space separates tokens. An end of line is ``<eos>``, and a token that the
    vocabulary lacks ``<unk>``, where the vocabulary has these. A Keras Tokenizer reads
    as it does in Keras.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is empty or not UTF-8, or a token has no id.
    """
    return np.concatenate(_encoded(require_file(path, "text"), vocabulary)[0])


def _encoded(path, vocabulary, *, by_line=False):
    """Return a file's texts as ids, a list, and how many tokens had none.

    By line there is an array for each, empty where a line is. `vocabulary` is a
    Vocabulary, a Tokenizer, or a Keras layer.
    """
    if isinstance(vocabulary, Vocabulary):
        lines = list(_lines_of_ids(path, vocabulary))
        end = int(EOS in vocabulary.index)
        lines = [ids[:0] if len(ids) == end and by_line else ids for ids in lines]
        return lines if by_line else [np.concatenate(lines)], 0
    list(read_lines(path))  # refused with the line, if it is not UTF-8
    text = path.read_text("utf-8-sig")
    parts = text.removesuffix("\n").split("\n") if by_line else [text]
    if isinstance(vocabulary, Tokenizer):
        pairs = [vocabulary.encode(part) for part in parts]
    else:
        pairs = [(_looked_up(part, vocabulary), 0) for part in parts]
    return [ids for ids, _ in pairs], sum(n_lost for _, n_lost in pairs)


def _lines_of_ids(path, vocabulary):
    lines = read_lines(path, repeat_eos=int(EOS in vocabulary.index))
    for number, tokens in enumerate(lines, 1):
        try:
            yield vocabulary.encode(tokens)
        except ValueError:
            unknown = next(t for t in tokens if t not in vocabulary.index)
            raise ValueError(
                f"read_ids: every token of {path} must be in the vocabulary, received "
                f"{unknown!r} in line {number}. Tokenize the text as for training; if "
                f"the model has an id for rare words, call it {UNK}."
            ) from None


def _looked_up(text, layer):
    """Return the ids that a TextVectorization or StringLookup layer gives a text."""
    import keras

    is_lookup = type(layer) is keras.layers.StringLookup
    words = text.split() if is_lookup else [text]
    if not text.strip():
        return np.zeros(0, np.int32)
    ids = keras.ops.convert_to_numpy(layer(words)).ravel().astype(np.int32)
    if is_lookup:
        return ids
    return ids[: len(np.trim_zeros(ids, "b"))]  # it pads with 0 at the right


def encode(files, vocabulary, reading):
    """Return the texts of all files as ids, and how many tokens had no id.

    Parameters
    ----------
    files : list of Path
    vocabulary : Vocabulary, Tokenizer, or a Keras layer
    reading : state_gradients.text.reading.Reading
    """
    pairs = [_encoded(path, vocabulary, by_line=reading.by_line) for path in files]
    return [ids for found, _ in pairs for ids in found], sum(n for _, n in pairs)


def encode_sentence(sentence, vocabulary):
    """Return a sentence's ids, int32 (time,), and the word of each as it is known.

    No end of a line is added: ``<eos>`` is read where it is written.

    Parameters
    ----------
    sentence : str
    vocabulary : Vocabulary, Tokenizer, or a Keras layer

    Raises
    ------
    ValueError
        If a word has no id, and the vocabulary no ``<unk>``.
    """
    if isinstance(vocabulary, Vocabulary):
        words = sentence.split()
        unknown = [word for word in words if word not in vocabulary.index]
        if unknown and UNK not in vocabulary.index:
            raise ValueError(
                f"sentence: every word must be in the vocabulary, received {unknown}. "
                "Write the words as for training; if the model has an id for rare "
                f"words, call it {UNK}."
            )
        ids = vocabulary.encode(words)
        return ids, vocabulary.decode(ids)
    if isinstance(vocabulary, Tokenizer):
        ids, _ = vocabulary.encode(sentence)
        words = {i: word for word, i in vocabulary.word_index.items()}
    else:
        ids = _looked_up(sentence, vocabulary)
        words = dict(enumerate(vocabulary.get_vocabulary()))
    return ids, [words[i] for i in ids.tolist()]
