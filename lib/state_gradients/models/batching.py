"""Cuts one stream of token ids into rows and windows, as the state is carried.

With B rows of L = floor(N / B) tokens, window k shows every row's tokens
kT .. (k + 1)T - 1 and asks for the tokens one step later, or for what else must be
named at each of them; the state at the end of window k is the one before window k + 1.
The last L - 1 - T floor((L - 1) / T) targets and the N - B L tokens that fill no row
are dropped, as in the released code.
"""

import numpy as np

from state_gradients.foundation.checks import ids_within


def _require_positive(**sizes):
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"batching: `{name}` must be at least 1, received {size}.")


def contiguous_rows(ids, batch_size):
    """Cut a stream into `batch_size` consecutive stretches of equal length.

    Parameters
    ----------
    ids : array_like of int, shape (time,)
    batch_size : int

    Returns
    -------
    ndarray of int32, shape (batch, time // batch)
        Row b holds tokens b L .. (b + 1) L - 1.

    Raises
    ------
    ValueError
        If `ids` is not a stream, or too short to give each row a token.
    """
    ids = ids_within(ids, "contiguous_rows").astype(np.int32)
    _require_positive(batch_size=batch_size)
    if ids.ndim != 1 or ids.size < batch_size:
        raise ValueError(
            "contiguous_rows: `ids` must be one stream of at least `batch_size` = "
            f"{batch_size} tokens, received shape {ids.shape}; lower `batch_size`."
        )
    length = ids.size // batch_size
    return ids[: batch_size * length].reshape(batch_size, length)


def n_windows(length, batch_size, num_steps):
    """Return how many full windows a stream of `length` tokens gives (may be 0)."""
    _require_positive(batch_size=batch_size, num_steps=num_steps)
    return max(length // batch_size - 1, 0) // num_steps


def windows(ids, batch_size, num_steps, *, asked=None):
    """Return an iterator over ``(inputs, targets)``, int32, each (batch, num_steps).

    The targets are the tokens one step later or, where they are given, the `asked`
    (time,), which stand beside the tokens; the windows are the same.

    A stream too short for one window raises ValueError at the call.
    """
    rows = contiguous_rows(ids, batch_size)
    count = n_windows(rows.size, batch_size, num_steps)
    if count == 0:
        raise ValueError(
            f"windows: one window of {batch_size} x {num_steps} and its targets needs "
            f"{batch_size * (num_steps + 1)} tokens, received {np.size(ids)}; lower "
            "`batch_size` or `num_steps`."
        )

    def cut(rows):
        kept = rows[:, : count * num_steps].reshape(batch_size, count, num_steps)
        return kept.swapaxes(0, 1)  # (window, batch, step)

    return zip(cut(rows), cut(targets_of(rows, asked)), strict=True)


def targets_of(rows, asked=None):
    """Return what is to be named at each token of rows, all but the last.

    Parameters
    ----------
    rows : ndarray of int32, shape (batch, length)
        Of :func:`contiguous_rows`.
    asked : array_like of int, shape (time,), optional
        Beside the stream that the rows were cut from; the next token by default.

    Returns
    -------
    ndarray of int32, shape (batch, length - 1)
    """
    if asked is None:
        return rows[:, 1:]
    return contiguous_rows(asked, len(rows))[:, :-1]
