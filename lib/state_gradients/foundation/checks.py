"""Checks of what a caller hands in: what must hold, what came, what to do.

NumPy would take a float for an id, wrap 2^32 to 0, and read a list of ids as a mask;
each of these gives a number that looks right, and so none of it is taken.
"""

import functools
import itertools
import numbers
import re
import reprlib
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np

Given = ParamSpec("Given")
Result = TypeVar("Result")
PREFIX = re.compile(r"\w+: ")  # of a message: the function that was called
LFS = b"version https://git-lfs.github.com/spec/"  # how a pointer to a file begins


def in_own_name(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """Let the errors of what a public function calls begin with the function's name.

    Who calls ``relative_memory`` has not heard of ``spectra``, and looks for the fault
    in what was given to ``relative_memory``.
    """

    @functools.wraps(function)
    def named(*arguments: Given.args, **options: Given.kwargs) -> Result:
        try:
            return function(*arguments, **options)
        except (ValueError, FloatingPointError) as error:
            rename(error, function.__name__)
            raise

    return named


def rename(error, who):
    """Let an error's message begin with `who`, if it begins with a name."""
    if PREFIX.match(str(error)):
        error.args = (PREFIX.sub(f"{who}: ", str(error), count=1),)


def whole_number(value, who, name, *, least, most=None, instead="whole number"):
    """Return `value` as an int, or refuse it.

    Parameters
    ----------
    value : object
    who, name : str
        The function and its argument, for the message.
    least, most : int
        What `value` must lie between, both included; no upper bound by default.

    Raises
    ------
    ValueError
        If it is no whole number (a bool is none), or lies outside.
    """
    is_whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    within = is_whole and least <= value and (most is None or value <= most)
    if not within:
        bounds = f"of at least {least}" if most is None else f"in {least}..{most}"
        raise ValueError(
            f"{who}: `{name}` must be a {instead} {bounds}, received {short(value)}."
        )
    return int(value)


def share(value, who, name):
    """Return a number from 0 up to, but not including, 1 as a float.

    Raises
    ------
    ValueError
        If it is none.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value < 1:
        raise ValueError(
            f"{who}: `{name}` must be a number from 0 up to, but not including, 1, "
            f"received {short(value)}."
        )
    return float(value)


def as_array(value, who, name):
    """Return what is given as an array, or refuse it: rows must be of one length.

    Raises
    ------
    ValueError
        If NumPy makes no array of it, or would take masked entries for others.
    """
    parts = value if isinstance(value, list | tuple) else [value]
    n_masked = sum(map(np.ma.count_masked, filter(np.ma.is_masked, parts)))
    if n_masked:
        raise ValueError(
            f"{who}: `{name}` must have no masked entries, of which the values below "
            f"the mask would be taken, received {n_masked}; fill or drop them first."
        )
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        raise ValueError(
            f"{who}: `{name}` must be an array, its rows of one length, received "
            f"{short(value)}."
        ) from None


def ids_within(ids, who, n_types=None, *, name="ids"):
    """Return ids as an integer array of the shape given, or refuse them.

    Parameters
    ----------
    ids : array_like
    who : str
        The function, for the message.
    n_types : int, optional
        The size of the vocabulary: ids must be below it.
    name : str
        The argument, for the message.

    Raises
    ------
    ValueError
        If they are no integers (bools are none), do not lie in 0..n_types - 1, or are
        streams whose last axis has another name than ``time``.
    """
    axes = getattr(ids, "dims", ())  # of a DataArray, which calls them dim_0, dim_1
    if len(axes) > 1 and axes[-1] not in ("time", f"dim_{len(axes) - 1}"):
        raise ValueError(
            f"{who}: `{name}` must have the axes (stream, time), received {axes}; "
            "transpose or rename them, so that none is taken for another."
        )
    array = as_array(ids, who, name)
    if array.dtype.kind not in "iu" or not array.size:
        raise ValueError(
            f"{who}: `{name}` must be whole numbers, at least one, received "
            f"{array.dtype} of shape {array.shape}; look the words up in the "
            "vocabulary of the model."
        )
    most = np.iinfo(np.int32).max if n_types is None else n_types - 1
    if array.min() < 0 or array.max() > most:
        raise ValueError(
            f"{who}: `{name}` must lie in 0..{most}, the ids of the vocabulary, "
            f"received {array.min()}..{array.max()}; is the vocabulary the model's?"
        )
    return array


def is_one_of(value, names):
    """Return whether a value is one of some names; an array of them is none."""
    return isinstance(value, str) and value in names


def boolean(array, who, name, *, instead):
    """Return an array of bool, or refuse it: ids or weights are no mask.

    Raises
    ------
    ValueError
        If its dtype is not bool.
    """
    array = as_array(array, who, name)
    if array.dtype != bool:
        raise ValueError(
            f"{who}: `{name}` must be boolean, received {array.dtype} of shape "
            f"{array.shape}; {instead}"
        )
    return array


def real(array, who, name):
    """Return an array of real numbers, or refuse it: float64 would drop the rest.

    Raises
    ------
    ValueError
        If its dtype is complex, or none of numbers.
    """
    if array.dtype.kind not in "iuf":
        raise ValueError(
            f"{who}: `{name}` must hold real numbers, received {array.dtype}."
        )
    return array


def require_no_pointer(path, who):
    """Refuse a Git LFS pointer, the text that stands where a file was not fetched.

    Raises
    ------
    ValueError
        In the name of the function `who`.
    """
    with Path(path).open("rb") as file:
        begins = file.read(len(LFS))
    if begins == LFS:
        raise ValueError(
            f"{who}: {path} must be a model, received the Git LFS pointer to one: "
            "the repository was cloned without its large files. Run `git lfs pull` in "
            "it (Git LFS must be installed), or download the file itself."
        )


class _Beginning(reprlib.Repr):
    """The repr of a value, of which no more is made than its beginning."""

    def __init__(self, length):
        super().__init__()
        self.maxlevel = 4
        self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = length
        self.maxdict = self.maxdeque = self.maxarray = length
        self.maxstring = self.maxlong = 4 * length
        self.maxother = self.maxstring

    def repr1(self, value, level):
        """As the kind of container that a value is, though it be a subclass."""
        for kind in (str, list, tuple, set, frozenset, dict, bytes, bytearray):
            if isinstance(value, kind):
                return getattr(self, f"repr_{kind.__name__}")(value, level)
        return super().repr1(value, level)

    def repr_bytes(self, value, level):
        return repr(value[: self.maxother])

    repr_bytearray = repr_bytes

    def repr_dict(self, value, level):
        """As of a dict, in its own order, for sorting would read all of it."""
        first = itertools.islice(value.items(), self.maxdict)
        pairs = (f"{self.repr1(k, level)}: {self.repr1(v, level)}" for k, v in first)
        return "{" + ", ".join(pairs) + "}"


def short(value, length=80):
    """Return the repr of a value for a message, in one line, cut where it is long."""
    try:
        text = " ".join(_Beginning(length).repr(value).splitlines())
    except (RecursionError, ValueError):  # of 5,000 digits
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= length else f"{text[: length - 4]} ..."
