"""Checks of what a caller hands in: what must hold, what came, what to do.

NumPy would take a float for an id, wrap 2^32 to 0, and read a list of ids as a mask;
each of these gives a number that looks right, and so none of it is taken.
"""

import numbers

import numpy as np


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


def ids_within(ids, who, n_types=None):
    """Return ids as an integer array of the shape given, or refuse them.

    Parameters
    ----------
    ids : array_like
    who : str
        The function, for the message.
    n_types : int, optional
        The size of the vocabulary: ids must be below it.

    Raises
    ------
    ValueError
        If they are no integers (bools are none), or do not lie in 0..n_types - 1.
    """
    array = np.asarray(ids)
    if array.dtype.kind not in "iu" or not array.size:
        raise ValueError(
            f"{who}: `ids` must be whole numbers, at least one, received "
            f"{array.dtype} of shape {array.shape}; look the words up in the "
            "vocabulary of the model."
        )
    most = np.iinfo(np.int32).max if n_types is None else n_types - 1
    if array.min() < 0 or array.max() > most:
        raise ValueError(
            f"{who}: `ids` must lie in 0..{most}, the ids of the vocabulary, received "
            f"{array.min()}..{array.max()}; is the vocabulary that of the model?"
        )
    return array


def boolean(array, who, name, *, instead):
    """Return an array of bool, or refuse it: ids or weights are no mask.

    Raises
    ------
    ValueError
        If its dtype is not bool.
    """
    array = np.asarray(array)
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


def short(value, length=80):
    """Return the repr of a value for a message, cut where it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # of nested aliases, of 400 digits
        return f"a {type(value).__name__} that is too large to show"
    return text if len(text) <= length else f"{text[: length - 4]} ..."
