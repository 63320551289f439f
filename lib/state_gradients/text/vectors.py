"""Word vectors that somebody else has trained: a registered set, or a reader's file.

A file is word2vec text: a line with the numbers of words and of components, then a line
for each word with its components. ``</s>`` stands for ``<eos>``. A registered set gives
every type of a vocabulary a vector; those that it lacks are drawn, and named.
"""

import hashlib
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from state_gradients.foundation import settings
from state_gradients.foundation.checks import short
from state_gradients.text import corpora
from state_gradients.text.vocabulary import EOS

RECIPE = 1  # raise it when `registered_vectors` gives other vectors for the same words
SEED, RANGE = 1, 0.05  # of the vectors that are drawn: uniform(-RANGE, RANGE)

MOST_COMPONENTS = 2**16  # a file that states more would only fill the memory


@dataclass(frozen=True, kw_only=True)
class Registered:
    """A published set of vectors: where it comes from, and the cut of it that we use.

    Attributes
    ----------
    source : corpora.Source
        Its ``files`` hold the cut, its ``archive`` everything.
    member : str
        The text file of the archive that the cut was taken from.
    covers : tuple of str
        The corpora whose types the cut was made for; others need the archive.
    """

    source: corpora.Source
    member: str
    covers: tuple[str, ...]


REGISTRY = {
    "glove": Registered(
        source=corpora.Source(
            base="https://nlp.stanford.edu/data",
            folder="glove",
            archive="glove.6B.zip",
            files={"vectors": "glove.6B.50d.ptb10k.npz"},
            hashes={
                "glove.6B.50d.ptb10k.npz": "sha256:"
                "2eee94293964af6638ee13db546fe92c102aa843748dbef3b22dd3759a1eb7b8",
                "glove.6B.zip": "sha256:"
                "617afb2fe6cbd085c235baf7a465b96f4112bd7f7ccb2b2cbd649fed9cbcf2fb",
            },
            licence="PDDL 1.0; Wikipedia 2014 and Gigaword 5, 6 billion tokens",
        ),
        member="glove.6B.50d.txt",
        covers=("ptb", "ptb-split"),
    )
}


def load(file, vocabulary, *, corpus):
    """Return a vector for every type, which types were drawn, and what was read.

    Parameters
    ----------
    file : str
        A name in `REGISTRY`, or a file in word2vec's text format; relative paths begin
        at the project's root.
    vocabulary : vocabulary.Vocabulary
    corpus : str
        The name of the corpus that the vocabulary is of.

    Returns
    -------
    vectors : ndarray of float32, shape (vocabulary, embedding)
    drawn : list of str
    fingerprint : str
        Of what was read, as :func:`fingerprint` gives it.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        If there is no such file or set, it is malformed, a file lacks a type, or it
        changes while it is read.
    """
    read = fingerprint(file)
    if file in REGISTRY:
        vectors, drawn = registered_vectors(file, vocabulary, corpus=corpus)
    else:
        vectors, drawn = read_vectors(file, vocabulary), []
    if fingerprint(file) != read:
        raise ValueError(
            f"vectors: {file} must stay as it is while it is read, received other "
            "content at the end; run it again."
        )
    return vectors, drawn, read


def fingerprint(file):
    """Return a SHA-256 (hex) of what decides the vectors that :func:`load` gives.

    Raises
    ------
    FileNotFoundError
        If it is a reader's own file that is not there.
    """
    if file not in REGISTRY:
        with _existing(file).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    made_by = [RECIPE, file, REGISTRY[file].source.hashes, SEED, RANGE]
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()


def registered_vectors(name, vocabulary, *, corpus):
    """Return a registered set's vectors and the types drawn; see :func:`load`."""
    about = REGISTRY[name]
    path = corpora.find(about.source, about.source.files["vectors"])
    if path.name != about.source.archive:
        if corpus not in about.covers:
            raise ValueError(
                f"vectors: {path} must hold the types of {corpus!r}, but was cut to "
                f"those of {about.covers}; put {about.source.base}/"
                f"{about.source.archive} in its place."
            )
        with np.load(path, allow_pickle=False) as file:
            of_word = dict(zip(file["words"].tolist(), file["vectors"], strict=True))
    else:
        of_word = _vectors_in_archive(path, about.member, vocabulary)
    vectors, drawn = [], []
    rng, size = np.random.default_rng(SEED), len(next(iter(of_word.values())))
    for word in vocabulary.tokens:
        if word not in of_word:
            drawn.append(word)
            of_word[word] = rng.uniform(-RANGE, RANGE, size)
        vectors.append(of_word[word])
    return np.array(vectors, dtype=np.float32), drawn


def _vectors_in_archive(path, member, vocabulary):
    of_word = {}
    with zipfile.ZipFile(path) as archive, archive.open(member) as lines:
        for line in lines:
            word, *values = line.decode("utf-8").rstrip("\n").split(" ")
            if word in vocabulary.index:
                of_word[word] = np.array(values, dtype=np.float32)
    if not of_word:
        raise ValueError(
            f"vectors: {member} in {path} must hold some of the {len(vocabulary)} "
            "types, received none; is the vocabulary lower case?"
        )
    return of_word


def write_vectors(stream, vocabulary, vectors):
    """Write vectors as word2vec text, which :func:`read_vectors` reads back exactly."""
    stream.write(f"{len(vectors)} {vectors.shape[1]}\n")
    for word, vector in zip(vocabulary.tokens, vectors, strict=True):
        # the shortest decimals that are read back as the same float32
        stream.write(" ".join([word, *map(str, vector.astype(np.float32))]) + "\n")


def _existing(file):
    path = settings.project_root() / Path(file or "").expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"vectors: `embedding_file` must be one of {sorted(REGISTRY)} or a file, "
            f"received {path}; put the vectors there or correct its path in the params "
            "file."
        )
    return path


def _is_header(parts):
    """Return whether a line's words say how many words and components there are."""
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        return False
    return len(parts[1]) < 9 and 0 < int(parts[1]) <= MOST_COMPONENTS


def read_vectors(file, vocabulary):
    """Return the vector of every type, from a file in word2vec's text format.

    Parameters
    ----------
    file : str or Path
        Relative ones begin at the project's root.
    vocabulary : vocabulary.Vocabulary

    Returns
    -------
    ndarray of float32, shape (vocabulary, embedding)

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, a line is malformed, or a type has no vector.
    """
    path = _existing(file)
    try:
        vectors = _vectors_in(path, vocabulary)
    except UnicodeDecodeError as error:
        raise ValueError(
            f"read_vectors: {path} must be UTF-8, received {error}; convert it."
        ) from None
    without = vocabulary.decode(np.flatnonzero(~np.isfinite(vectors).all(axis=1)))
    if without:
        raise ValueError(
            f"read_vectors: every type must have a finite vector in {path}, "
            f"received none for {len(without)}, such as {without[:5]}; add theirs."
        )
    return vectors


def _vectors_in(path, vocabulary):
    """Return a vector for each type, NaN for those that the file lacks."""
    with path.open(encoding="utf-8") as stream:
        header = stream.readline().split()
        if not _is_header(header):
            raise ValueError(
                f"read_vectors: line 1 of {path} must hold two whole numbers, words "
                f"and components, at most {MOST_COMPONENTS} of these, received "
                f"{short(header)}; save it as word2vec text."
            )
        vectors = np.full((len(vocabulary), int(header[1])), np.nan, dtype=np.float32)
        for number, line in enumerate(stream, 2):
            word, *values = line.rstrip().split(" ")
            i = vocabulary.index.get(EOS if word == "</s>" else word)
            if i is None:
                continue
            if len(values) != vectors.shape[1]:
                raise ValueError(
                    f"read_vectors: line {number} of {path} must hold a word and "
                    f"{vectors.shape[1]} components, received {len(values)}; mend it."
                )
            try:
                vectors[i] = values
            except ValueError as error:
                raise ValueError(
                    f"read_vectors: line {number} of {path} must hold numbers after "
                    f"its word, received {short(str(error))}; mend it."
                ) from None
    return vectors
