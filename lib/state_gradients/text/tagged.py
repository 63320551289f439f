"""Corpora whose words carry tags, read as running text: their words, and no tags.

An archive holds one file a document. Words are set in lower case, and a token with a
digit and no letter becomes ``N``, as a number does in PTB: 1961, 3.5, 1/2, $40, 6-2,
but neither 1960s nor 30-year. A line is what the corpus counts as a sentence.

`split` keeps documents whole: a permutation drawn from seed 1 gives the validation text
its first twentieth of them, the test text the next, and the training text the rest.
Within a split they stand by name. Of two halves of a corpus, which are drawn from the
same permutation, each has every other document of each split.
"""

import fnmatch
import hashlib
import re
import zipfile
from pathlib import PurePosixPath

import numpy as np

RECIPE = 1  # raise it when `split` gives other lines for the same archive
SEED = 1
HELD_OUT = 20  # one document in so many is validated on, and another one tested on

# icepahc: a leaf of a tree is "(TAG word-lemma)"; these are no words of the text
LEAF = re.compile(r"\(([^\s()]+)\s+([^\s()]+)\)")
NO_WORDS = ("CODE", "ID")
TRACE = re.compile(r"0|\*.*")  # what a parser left where nothing is written
DASH = re.compile(r"</?dash/?>")
CUT_IN_PIECES = "$ $"  # maður$ $inn is written maðurinn
SENTENCE_ENDS = (".", "?", "!")


def documents(path, corpus):
    """Return the bytes of an archive's documents by file name, in order of their names.

    Parameters
    ----------
    path : path-like
        A zip; folders inside it do not matter.
    corpus : str
        A name in `READERS`, which knows the documents' names.
    """
    names, _ = READERS[corpus]
    with zipfile.ZipFile(path) as archive:
        found = {PurePosixPath(name).name: name for name in archive.namelist()}
        wanted = sorted(fnmatch.filter(found, names))
        return {name: archive.read(found[name]) for name in wanted}


def digest(path, corpus):
    """Return a SHA-256 (hex) of the documents, however their archive was packed."""
    total = hashlib.sha256()
    for name, content in documents(path, corpus).items():
        total.update(f"{name}\n{len(content)}\n".encode() + content)
    return total.hexdigest()


def read_brown(content):
    """Yield the words of each sentence: a line of ``word/tag``, blank lines between."""
    for line in content.decode("ascii").splitlines():
        if line.strip():
            yield [token.rpartition("/")[0] for token in line.split()]


def read_mac_morpho(content):
    """Yield the words of each sentence: ``word_tag`` a line, until it ends (. ? !)."""
    words = []
    for line in content.decode("latin-1").split("\n"):
        word = line.strip().rpartition("_")[0]
        if word:
            words.append(word)
        if word in SENTENCE_ENDS:
            yield words
            words = []
    if words:
        yield words


def read_icepahc(content):
    """Yield the words of each tree, as they are written; a tree is a main clause."""
    for tree in re.split(r"\n\s*\n", content.decode("utf-8")):
        leaves = [leaf for tag, leaf in LEAF.findall(tree) if tag not in NO_WORDS]
        words = [
            leaf.rpartition("-")[0] or leaf
            for leaf in leaves
            if not TRACE.fullmatch(leaf.partition("-")[0])
        ]
        joined = DASH.sub("-", " ".join(words).replace(CUT_IN_PIECES, ""))
        if words:
            yield joined.replace("$", "").split()


READERS = {  # of a corpus: its documents' names, and who reads one
    "brown": ("c[a-r][0-9][0-9]", read_brown),
    "mac-morpho": ("*.txt", read_mac_morpho),
    "icepahc": ("*.psd", read_icepahc),
}


def normalised(word):
    """Return a word in lower case, or ``N`` where it has digits and no letter."""
    number = any(map(str.isdigit, word)) and not any(map(str.isalpha, word))
    return "N" if number else word.lower()


def split(path, corpus, *, half=None):
    """Return the lines of an archive, a dict of split to list of str.

    Parameters
    ----------
    path : path-like
        The archive.
    corpus : str
        A name in `READERS`.
    half : {0, 1}, optional
        Which half of each split's documents, at random; by default all of them.
    """
    _, read = READERS[corpus]
    by_name = documents(path, corpus)
    order = np.random.default_rng(SEED).permutation(list(by_name)).tolist()
    held = round(len(order) / HELD_OUT)
    of_split = {
        "train": order[2 * held :],
        "valid": order[:held],
        "test": order[held : 2 * held],
    }
    taken = slice(None) if half is None else slice(half, None, 2)
    return {
        split: [
            " ".join(map(normalised, words))
            for name in sorted(members[taken])
            for words in read(by_name[name])
        ]
        for split, members in of_split.items()
    }
