"""Finds, checks and reads text corpora, and gives them as ids.

A text is one stream: white space separates its words, and every end of line becomes
``<eos>``. (The released reader also turns WikiText's ``" . "`` into ``<eos>``; we do
not, so that perplexities compare with the literature.)

`REGISTRY` names the known corpora. Their files are fetched into the user's cache, or
taken from the folder that the environment variable ``STATE_GRADIENTS_CORPORA`` names;
both ways their hash is checked.
"""

import difflib
import hashlib
import json
import os
import zipfile
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

import numpy as np
import yaml

from state_gradients import config, synthetic
from state_gradients.vocabulary import Text, Vocabulary, rank_types, read_lines
from state_gradients.vocabulary import read_embeddings as read_embeddings

RECIPE = 1  # raise it when `load` gives other ids for the same settings
FOLDER_VARIABLE = "STATE_GRADIENTS_CORPORA"
SPLITS = ("train", "valid", "test")


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


_LISTED = yaml.safe_load(Path(__file__).with_name("corpora.yaml").read_text("utf-8"))
REGISTRY = {name: Source(**about) for name, about in _LISTED.items()}


def _registered(corpus):
    """Return the Source of `corpus`, or None for a reader's own files."""
    own, known = [getattr(corpus, split) for split in SPLITS], [*REGISTRY, "synthetic"]
    if any(own) and not (all(own) and corpus.name not in known):
        raise ValueError(
            "corpora: a text of your own needs all of `train`, `valid`, `test` and a "
            f"`name` that is not registered, received {corpus}."
        )
    if not any(own) and corpus.name not in known:
        near = difflib.get_close_matches(corpus.name, known, n=1)
        raise ValueError(
            f"corpora: `name` must be one of {known}, or come with `train`, `valid` "
            f"and `test` files; received {corpus.name!r}"
            + (f", did you mean {near[0]!r}?" if near else ".")
        )
    return None if any(own) else REGISTRY.get(corpus.name)


def _find(source, split):
    """Return the hash-checked file of a split, or its place in a checked archive."""
    name, folder = source.files[split], os.environ.get(FOLDER_VARIABLE)
    address = f"{source.base}/{source.archive or name}"
    if folder:
        names = [n for n in (name, source.archive) if n in source.hashes]
        paths = [Path(folder, source.folder, n) for n in names]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise FileNotFoundError(
                f"corpora: {paths[0].parent} must hold {' or '.join(names)}, "
                f"which is missing; put it there, or unset {FOLDER_VARIABLE} to fetch "
                f"{address}."
            )
        algorithm, known = source.hashes[path.name].split(":")
        found = _file_hash(path, algorithm)
        if found != known:
            raise ValueError(
                f"corpora: {algorithm} of {path} must be {known}, received {found}: "
                f"replace it by {address}."
            )
    else:
        import pooch  # here: pages that read artifacts fetch nothing

        fetched, cache = source.archive or name, pooch.os_cache("state-gradients")
        known = source.hashes[fetched]
        try:
            path = Path(pooch.retrieve(address, known, fetched, cache / source.folder))
        except (OSError, ValueError) as error:
            kind = OSError if isinstance(error, OSError) else ValueError
            raise kind(
                f"corpora: {address} must be within reach and have {known}, received: "
                f"{error} Or put it into DIR/{source.folder}/ by hand and set "
                f"{FOLDER_VARIABLE}=DIR."
            ) from error
    inside = path.name == source.archive
    return zipfile.Path(path, f"{source.folder}/{name}") if inside else path


def _file_hash(path, algorithm="sha256"):
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _own(corpus, split):
    """Return the path of a reader's own file; relative ones begin at the root."""
    path = Path(getattr(corpus, split)).expanduser()
    path = path if path.is_absolute() else config.project_root() / path
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
    corpus : config.Corpus
        A name in `REGISTRY`, ``synthetic``, or a reader's own name and three files.

    Returns
    -------
    Text
        The vocabulary, and the splits train, valid and test.

    Raises
    ------
    FileNotFoundError, OSError
        If a file is missing or out of reach; it is named, with the way to get it.
    ValueError
        If a hash differs, a split is empty or not UTF-8, a token has no id, or the
        settings contradict each other.
    """
    source = _registered(corpus)
    if corpus.name == "synthetic":
        return synthetic.load(corpus)
    # Every file is found and checked before the first is read.
    files = {s: _find(source, s) if source else _own(corpus, s) for s in SPLITS}
    types = files["train"]
    if source and source.vocabulary_of:
        types = _find(REGISTRY[source.vocabulary_of], "train")
    join = bool(source and source.join_clitics)
    how = {"join": join, "repeat_eos": corpus.repeat_eos}
    frequencies = Counter()
    for tokens in read_lines(types, **how):
        frequencies.update(tokens)
    vocabulary = Vocabulary(rank_types(frequencies, corpus.vocabulary_size))
    splits = {
        split: vocabulary.encode(chain.from_iterable(read_lines(file, **how)))
        for split, file in files.items()
    }
    counts = np.bincount(splits["train"], minlength=len(vocabulary))
    return Text(Vocabulary(vocabulary.tokens, counts), splits)


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
    made_by = {
        "recipe": RECIPE,
        "files": files,
        "vocabulary_of": shared and REGISTRY[shared].hashes,
        "join_clitics": bool(source and source.join_clitics),
        "vocabulary_size": corpus.vocabulary_size,
        "repeat_eos": corpus.repeat_eos,
    }
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
