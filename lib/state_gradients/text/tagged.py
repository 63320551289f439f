"""Corpora whose words carry tags, read as running text: their words, or their tags.

An archive holds one file a document. Words are set in lower case, and a token with a
digit and no letter becomes ``N``, as a number does in PTB: 1961, 3.5, 1/2, $40, 6-2,
but neither 1960s nor 30-year. A line is what the corpus counts as a sentence.

`split` keeps documents whole: a permutation drawn from seed 1 gives the validation text
its first twentieth of them, the test text the next, and the training text the rest.
Within a split they stand by name. Of two halves of a corpus, which are drawn from the
same permutation, each has every other document of each split.

Of Brown the tags can be read, too: each is brought to one of thirteen `CLASSES`, the
twelve of Petrov, Das and McDonald (2012) and ``<eos>``, which is a class by itself.
"""

import fnmatch
import hashlib
import re
import zipfile
from pathlib import PurePosixPath

import numpy as np

from state_gradients.text.vocabulary import EOS

RECIPE = 1  # raise it when `split` gives other lines for the same archive
SEED = 1
HELD_OUT = 20  # one document in so many is validated on, and another one tested on

# icepahc: a leaf of a tree is "(TAG word-lemma)"; these are no words of the text
LEAF = re.compile(r"\(([^\s()]+)\s+([^\s()]+)\)")
NO_WORDS = ("CODE", "ID")
TRACE = re.compile(r"0|\*.*")  # what a parser left where nothing is written
DASH = re.compile(r"</?dash/?>")
CUT = "$"  # maður$ $inn is written maðurinn
SENTENCE_ENDS = (".", "?", "!")

# brown: its tags by class, without the marks that `class_of` takes off. `EX` is *there*
# of *there is*, `*` is *not*. What is no letter is a sign, of the class "."
WORD_CLASSES = {
    "NOUN": "NN NNS NP NPS NR NRS PN",
    "VERB": "VB VBD VBG VBN VBZ BE BED BEDZ BEG BEM BEN BER BEZ DO DOD DOZ HV HVD HVG "
    "HVN HVZ MD",
    "ADJ": "JJ JJR JJS JJT OD AP",
    "ADV": "RB RBR RBT RN QL QLP WRB WQL *",
    "PRON": "PP$$ PPL PPLS PPO PPS PPSS WPO WPS",
    "DET": "AT DT DTI DTS DTX ABL ABN ABX PP$ WDT WP$",
    "ADP": "IN CS",
    "CONJ": "CC",
    "NUM": "CD",
    "PRT": "RP TO EX",
    "X": "UH NIL",
    ".": ". ( ) -- , : `` '' '",
}
CLASSES = (*WORD_CLASSES, EOS)
CLASS_OF_TAG = {
    tag: name for name, tags in WORD_CLASSES.items() for tag in tags.split()
}
MARKS = re.compile(r"(-(TL|HL|NC))+$")  # of words in titles, in headlines, and cited
FOREIGN = "FW-"


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
    """Yield each sentence, a list of (word, tag): a line of ``word/tag``."""
    for line in content.decode("ascii").splitlines():
        if line.strip():
            tokens = [token.rpartition("/") for token in line.split()]
            yield [(word, tag) for word, _, tag in tokens]


def read_mac_morpho(content):
    """Yield each sentence, a list of (word, tag): one a line, until it ends (. ? !)."""
    tokens = []
    for line in content.decode("latin-1").split("\n"):
        word, _, tag = line.strip().rpartition("_")
        if word:
            tokens.append((word, tag))
        if word in SENTENCE_ENDS:
            yield tokens
            tokens = []
    if tokens:
        yield tokens


def read_icepahc(content):
    """Yield each tree, a main clause: its words as they are written, with their tags.

    A word that the corpus has cut in pieces has the tag of its first piece.
    """
    for tree in re.split(r"\n\s*\n", content.decode("utf-8")):
        tokens = []
        for tag, leaf in LEAF.findall(tree):
            if tag in NO_WORDS or TRACE.fullmatch(leaf.partition("-")[0]):
                continue
            word = leaf.rpartition("-")[0] or leaf
            if tokens and tokens[-1][0].endswith(CUT) and word.startswith(CUT):
                before, tag = tokens.pop()
                word = before.removesuffix(CUT) + word.removeprefix(CUT)
            tokens.append((word, tag))
        if tokens:
            written = [(DASH.sub("-", w).replace(CUT, ""), tag) for w, tag in tokens]
            yield [(word, tag) for word, tag in written if word]


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
    return {
        split: [" ".join(normalised(word) for word, _ in line) for line in lines]
        for split, lines in split_tokens(path, corpus, half=half).items()
    }


def split_tokens(path, corpus, *, half=None):
    """Return the words as they are written, and their tags, in the lines of `split`.

    Parameters
    ----------
    path, corpus, half
        As for :func:`split`.

    Returns
    -------
    dict of str to list of list of (str, str)
    """
    _, read = READERS[corpus]
    return {
        split: [line for document in members for line in read(document)]
        for split, members in _split_documents(path, corpus, half).items()
    }


def _split_documents(path, corpus, half):
    """Return the documents of each split, a dict of split to list of bytes."""
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
        split: [by_name[name] for name in sorted(members[taken])]
        for split, members in of_split.items()
    }


def split_classes(path, *, half=None):
    """Return the class of each word of Brown, in the lines of :func:`split`.

    Parameters
    ----------
    path : path-like
        The archive.
    half : {0, 1}, optional
        As for :func:`split`.

    Returns
    -------
    dict of str to list of list of str
        Of each split: a list a line, of as many names of `CLASSES` as it has words.
    """
    return {
        split: [line for document in members for line in read_brown_classes(document)]
        for split, members in _split_documents(path, "brown", half).items()
    }


def read_brown_classes(content):
    """Yield the classes of the words of each sentence, as :func:`read_brown` words."""
    for line in read_brown(content):
        yield [class_of(tag) for _, tag in line]


def class_of(tag):
    """Return the class of one of Brown's tags.

    Of a contraction (``ppss+ber``) it is that of the first part. The negation of a verb
    (``md*``) and the genitive (``nn$``) are of the class of what they are attached to;
    whatever is of another language is ``X``.

    Parameters
    ----------
    tag : str

    Returns
    -------
    str
        One of `CLASSES`.

    Raises
    ------
    ValueError
        If it is no tag of Brown's.

    Examples
    --------
    >>> from state_gradients.text.tagged import class_of
    >>> [class_of(tag) for tag in ("np$-tl", "ppss+ber", "bez*", "*", "fw-nn", "--")]
    ['NOUN', 'PRON', 'VERB', 'ADV', 'X', '.']
    """
    if tag.upper().startswith(FOREIGN):
        return "X"
    known = [CLASS_OF_TAG[form] for form in forms_of(tag) if form in CLASS_OF_TAG]
    if not known:
        raise ValueError(
            f"tagged: a tag must be one of Brown's, received {tag!r}; put it into "
            "`WORD_CLASSES`."
        )
    return known[0]


def forms_of(tag):
    """Return as what one of Brown's tags may stand in a table, the first counting.

    Parameters
    ----------
    tag : str

    Returns
    -------
    tuple of str
        Its first part without marks; without the mark of a negation; of a genitive.
    """
    first = MARKS.sub("", tag.upper().partition("+")[0])
    return first, first.removesuffix("*"), first.removesuffix("$")
