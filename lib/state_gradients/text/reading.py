"""How a text is read: as a stream, by lines, in windows, padded to a length.

ids of texts -> windows -> rows of one length, each read from the zero state

A network remembers what it was used on. One that only ever saw lines of 39 places,
padded at the left, is in states on a running text that it never met in use.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from state_gradients.foundation import checks

WHO = "inspect"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What is asked for.

    Attributes
    ----------
    by_line : bool
        Whether each line is a text, rather than each file.
    context : int, optional
        Cut each text into windows of so many tokens; the last may be shorter.
    pad : "left" or "right", optional
        Fill each text up to the model's input length, or to `context`.
    pad_id : int
        With what.
    """

    by_line: bool = False
    context: int | None = None
    pad: Literal["left", "right"] | None = None
    pad_id: int = 0

    def __post_init__(self):
        if self.context is not None:
            checks.whole_number(self.context, WHO, "context", least=1)
        if self.pad not in (None, "left", "right"):
            raise ValueError(
                f"{WHO}: `pad` (--pad) must be left or right, received {self.pad!r}."
            )


@dataclass(frozen=True, kw_only=True)
class Rows:
    """What is read.

    Attributes
    ----------
    ids : list of ndarray of int32, shape (time,)
        Each is read from the zero state.
    padding : int or None
        The id in `ids` that is padding.
    how : str
        In words: "lines, padded left with 0 to 39".
    n_tokens : int
        Without padding.
    n_cut : int
        Texts that were too long, of which the last tokens are read.
    n_empty : int
        Texts without a token, which are not read.
    """

    ids: list
    padding: int | None
    how: str
    n_tokens: int
    n_cut: int
    n_empty: int


def text_files(paths):
    """Return the files in a sequence of files and folders, those of a folder by name.

    Raises
    ------
    FileNotFoundError, ValueError
        If a path is neither, or a folder has no file.
    """
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(
                file
                for file in path.iterdir()
                if file.is_file() and not file.name.startswith(".")
            )
            if not inside:
                raise ValueError(
                    f"inspection: the folder {path} must hold texts, a file each, "
                    "received none."
                )
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise FileNotFoundError(
                f"inspection: the text must be a file or a folder, received {path}; "
                "correct the path."
            )
    return files


def arrange(texts, reading, *, length=None, masks=False):
    """Return the rows in which a model reads texts.

    Parameters
    ----------
    texts : list of ndarray of int32, shape (time,)
        Files; or lines, if `reading` is by line.
    reading : Reading
    length : int, optional
        The number of places of the model's input, where it is fixed.
    masks : bool
        Whether the model passes the id 0 by.

    Raises
    ------
    ValueError
        If one text would be read as a stream by a model that is not used so, a text is
        longer than the model's input, or padding is asked for to no length.
    """
    is_stream = len(texts) == 1 and not reading.by_line and not reading.context
    kind = _kind(length, masks)
    if is_stream and (kind or reading.pad):
        raise ValueError(_ask(reading, kind, length))
    filled = [text for text in texts if len(text)]
    n_tokens = sum(map(len, filled))
    if not filled:
        raise ValueError(f"{WHO}: the text must hold tokens with an id, received none.")
    rows, how = filled, _texts(len(texts), reading)
    if reading.context:
        if length is not None and reading.context > length:
            raise ValueError(
                f"{WHO}: --context must be at most {length}, the tokens that the model "
                f"takes at a time, received {reading.context}."
            )
        rows, how = _windows(filled, reading.context), _windows_of(how, reading)
    n_cut = 0
    if reading.pad:
        places = length or reading.context
        if places is None:
            raise ValueError(
                f"{WHO}: --pad must have a length to pad to, received a model whose "
                "input has any; give that of its training by --context."
            )
        n_cut = sum(len(row) > places for row in rows)
        _require_no_padding(rows, reading.pad_id)
        rows = [_padded(row, places, reading) for row in rows]
        how += f", padded {reading.pad} with {reading.pad_id} to {places}"
        n_tokens = sum(int((row != reading.pad_id).sum()) for row in rows)
    longest = max(map(len, rows))
    if length is not None and longest > length:
        raise ValueError(
            f"{WHO}: texts must fit into the model, which takes {length} tokens at a "
            f"time, received one of {longest}. Give --context {length} (windows), or "
            "--pad left (the last tokens of each, as Keras's pad_sequences keeps)."
        )
    return Rows(
        ids=rows,
        padding=reading.pad_id if reading.pad else None,
        how=how,
        n_tokens=n_tokens,
        n_cut=n_cut,
        n_empty=len(texts) - len(filled),
    )


def reach(rows, *, masks=False):
    """Return how many tokens there are from an input to the end of its row, at most.

    Parameters
    ----------
    rows : Rows
    masks : bool
        Whether the id 0 is passed by.
    """
    reaches = []
    for row in rows.ids:
        row = row[row != 0] if masks else row
        inputs = (
            np.flatnonzero(row != rows.padding) if rows.padding is not None else [0]
        )
        reaches.append(len(row) - inputs[0] if len(row) and len(inputs) else 0)
    return int(max(reaches))


def _kind(length, masks):
    """Return what a model is, in words, if it is not made for streams."""
    kinds = []
    if length is not None:
        kinds.append(f"takes {length} tokens at a time")
    if masks:
        kinds.append("masks the id 0, as models of padded texts do")
    return " and ".join(kinds)


def _ask(reading, kind, length):
    """Return the message that asks how a text is to be read."""
    received = "one text and --pad" if reading.pad else "one text, as a stream"
    what = f"of a model that {kind}" if kind else "with --pad"
    return (
        f"{WHO}: how to read the text {what} must be said, received {received}. Read "
        "it as the model is used: by lines that are padded, --by-line --pad left (or "
        f"right, with --pad-id if not 0); in windows, --context {length or 'N'}; or "
        "several texts, each from the zero state, by several --text or a folder."
    )


def _texts(n_texts, reading):
    if reading.by_line:
        return "lines"
    return "one stream" if n_texts == 1 else f"{n_texts} texts"


def _windows_of(how, reading):
    of = "" if how == "one stream" else f" of {how}"
    return f"windows of {reading.context} tokens{of}"


def _windows(texts, context):
    return [
        text[start : start + context]
        for text in texts
        for start in range(0, len(text), context)
    ]


def _require_no_padding(rows, pad_id):
    """Refuse texts with the id of padding: as an input it would be left out."""
    n_inside = sum(int((row == pad_id).sum()) for row in rows)
    if n_inside:
        raise ValueError(
            f"{WHO}: --pad-id must be no token of the text, received {pad_id}, which "
            f"occurs {n_inside:,} times in it; give the id that the model was padded "
            "with."
        )


def _padded(row, places, reading):
    """Fill a row up to `places`, or keep its last, as Keras's pad_sequences does."""
    row = row[-places:]
    pads = np.full(places - len(row), reading.pad_id, row.dtype)
    return np.concatenate([pads, row] if reading.pad == "left" else [row, pads])
