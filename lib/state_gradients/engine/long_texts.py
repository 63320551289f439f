"""Ids that lie in a file, of which a part at a time is in memory.

A text of a hundred million words is a file that is mapped (``np.memmap``), or comes
stretch by stretch from an iterator, which is written into a file first: what is read
twice, or must be counted before it is read, cannot come from an iterator alone.
"""

import mmap
import tempfile
from collections.abc import Iterator

import numpy as np

from state_gradients.foundation import checks

PART = 2**16  # ids that are read at a time
DTYPE = np.int32  # in a file of ours


class OnDisk:
    """One text in a mapped file: sliced as an array is, and read when it is sliced.

    Parameters
    ----------
    ids : np.memmap of int, shape (time,)
    """

    ndim = 1

    def __init__(self, ids):
        self._ids = ids
        self.shape = ids.shape
        self.dtype = ids.dtype

    def __len__(self):
        return len(self._ids)

    def __getitem__(self, key):
        part = np.array(self._ids[key])
        _let_go(self._ids)
        return part

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self[:], dtype=dtype)


def _let_go(ids):
    """Give the pages that were read back: they count as memory while they are mapped.

    They are read again from the file, and so only where nobody can have changed them.
    """
    base = ids
    while isinstance(base, np.ndarray):
        base = base.base
    if ids.mode == "r" and isinstance(base, mmap.mmap):
        advice = getattr(mmap, "MADV_DONTNEED", None)
        if advice is not None:
            base.madvise(advice)


def from_iterator(ids, who):
    """Return an iterator's stretches as one text on disk, anything else as it is.

    Parameters
    ----------
    ids : iterator of array_like of int, each of shape (time,), or anything else
    who : str
        The function, for the messages.

    Raises
    ------
    ValueError
        If a stretch is no vector of whole numbers, or there is none.
    """
    if not isinstance(ids, Iterator):
        return ids
    with tempfile.TemporaryFile() as file:  # without a name; it goes with its mapping
        n_ids = sum(_written(file, one, number, who) for number, one in enumerate(ids))
        if not n_ids:
            raise ValueError(
                f"{who}: an iterator over `ids` must yield one id at least, received "
                "none; is it used up? It can be gone through once."
            )
        file.flush()
        return OnDisk(np.memmap(file, DTYPE, mode="r", shape=(n_ids,)))


def _written(file, stretch, number, who):
    """Write a stretch into a file; return how many ids it has."""
    array = checks.as_array(stretch, who, "ids")
    if array.ndim != 1:
        raise ValueError(
            f"{who}: an iterator over `ids` must yield stretches of one text, vectors "
            f"of whole numbers, received {checks.short(stretch)} as number {number}; "
            "give several texts as a list."
        )
    if len(array):
        array = checks.ids_within(array, who)
    file.write(array.astype(DTYPE, copy=False).tobytes())
    return len(array)


def checked(text, who, n_types):
    """Return a text whose ids lie in a vocabulary, on disk or as an array.

    Parameters
    ----------
    text : OnDisk, np.memmap or array_like of int
    who : str
    n_types : int

    Raises
    ------
    ValueError
        If they are no ids of the vocabulary.
    """
    if isinstance(text, np.memmap) and text.ndim == 1:
        text = OnDisk(text)
    if not isinstance(text, OnDisk):
        return checks.ids_within(text, who, n_types)
    if not len(text):
        checks.ids_within(text[:], who, n_types)
    for _, ids in parts(text):
        checks.ids_within(ids, who, n_types)
    return text


def parts(text):
    """Yield ``(first, ids)``, a text part by part and the place of each part's first.

    Parameters
    ----------
    text : OnDisk or ndarray of int, shape (time,)
    """
    for first in range(0, len(text), PART):
        yield first, text[first : first + PART]
