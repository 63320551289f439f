"""Writes a corpus as plain text, with a card that says what it is.

A line is what stands before an ``<eos>``, words between single spaces, so that the
files are texts that anybody can read: `inspect --text` does, and a project of one's own
that names them as `train`, `valid` and `test`.
"""

import hashlib
from pathlib import Path

import numpy as np

import state_gradients
from state_gradients.foundation import settings
from state_gradients.foundation.atomic import replacing_all
from state_gradients.text import corpora
from state_gradients.text.vocabulary import EOS, UNK

TYPES, CARD = "vocabulary.txt", "README.md"


def write(corpus, text, folder):
    """Write the splits, the types in the order of their ids, and a data card.

    Parameters
    ----------
    corpus : settings.Corpus
    text : state_gradients.text.vocabulary.Text
        What :func:`state_gradients.text.corpora.load` makes of it.
    folder : path-like
        Made if it is missing. Holds ``train.txt``, ``valid.txt`` and ``test.txt``,
        ``vocabulary.txt`` (a type a line, the first has id 0) and ``README.md``.

    Returns
    -------
    list of pathlib.Path
        The files, the card last. Either all are written or none.

    Raises
    ------
    FileExistsError
        If one of them is there.
    OSError
        If they cannot be written.
    """
    folder = Path(folder)
    names = [f"{split}.txt" for split in text.splits] + [TYPES, CARD]
    paths = [folder / name for name in names]
    if there := [path for path in paths if path.exists()]:
        raise FileExistsError(
            f"corpus: {folder} must hold none of the files that are to be written, "
            f"received {', '.join(path.name for path in there)}; choose another folder."
        )
    with replacing_all(paths) as temporaries:
        *texts, types, card = temporaries
        for path, ids in zip(texts, text.splits.values(), strict=True):
            with path.open("w", encoding="utf-8", newline="\n") as file:
                file.writelines(_lines(text.vocabulary, ids))
        types.write_text("\n".join(text.vocabulary.tokens) + "\n", encoding="utf-8")
        files = dict(zip(names, [*texts, types], strict=False))
        card.write_text(data_card(corpus, text, files), encoding="utf-8")
    return paths


def _lines(vocabulary, ids):
    """Yield the lines of a stream of ids; where there is no ``<eos>``, one line."""
    ends = np.flatnonzero(ids == vocabulary.index.get(EOS, -1))
    for sentence in filter(len, np.split(ids, ends + 1)):
        words = vocabulary.decode(sentence)
        yield " ".join(words[:-1] if words[-1] == EOS else words) + "\n"


def data_card(corpus, text, files):
    """Return what a corpus is, whose, how it was counted, and how to know it again.

    Parameters
    ----------
    corpus : settings.Corpus
    text : state_gradients.text.vocabulary.Text
    files : dict of str to path-like
        The files that were written, by the names that they will have.

    Returns
    -------
    str
        Markdown.
    """
    source = corpora.REGISTRY.get(corpus.name)
    whose, origin = _origin(corpus, source)
    read = settings.hashed(corpus) | {"name": corpus.name}
    asked = ", ".join(f"{k} {v}" for k, v in sorted(read.items()) if v is not None)
    rows = [_counted(split, text, ids) for split, ids in text.splits.items()]
    hashes = [f"    {_sha256(path)}  {name}" for name, path in files.items()]
    return "\n".join(
        [
            f"# {corpus.name}",
            "",
            f"- **Whose**: {whose}",
            f"- **From**: {origin}",
            f"- **Read with**: {asked}",
            f"- **Types**: {len(text.vocabulary):,}, in the order of their ids in "
            f"`{TYPES}`: by frequency in the training text, then by spelling",
            f"- **Fingerprint** of what decides the ids (SHA-256): {text.fingerprint}",
            f"- **Written by**: state-gradients {state_gradients.__version__}",
            "",
            f"A line ends where the text has {EOS}; what the vocabulary leaves out "
            f"stands as {UNK}. Words are as they were counted, joined by a space.",
            "",
            "| split | tokens, each end counted | ends of lines | types | unknown |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "SHA-256 of the files (`sha256sum --check` reads these lines):",
            "",
            *hashes,
            "",
        ]
    )


def _origin(corpus, source):
    if source is not None:
        place = source.by_hand or f"{source.base}/{source.archive or ''}".rstrip("/")
        known = "; ".join(f"{name} {code}" for name, code in source.hashes.items())
        return source.licence, f"{place} ({known})"
    if corpus.name in corpora.GENERATED:
        return "state-gradients, MIT", f"generated, with seed {corpus.seed}"
    return (
        "not known: files of one's own",
        ", ".join(str(getattr(corpus, split)) for split in corpora.SPLITS),
    )


def _counted(split, text, ids):
    index = text.vocabulary.index
    ends, unknown = (int((ids == index.get(token, -1)).sum()) for token in (EOS, UNK))
    types = len(np.unique(ids))
    return (
        f"| {split} | {len(ids):,} | {ends:,} | {types:,} | {unknown / len(ids):.2%} |"
    )


def _sha256(path):
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
