"""What each stretch of the text does to the memory curves, to compare networks by it.

The curves of the mean gradient, and of the mean without each of the stretches into
which the text is cut for intervals: small enough to keep, and all that
:func:`state_gradients.analysis.comparison.compare_memory` needs of a network. The
stretches' means themselves would take hundreds of megabytes.
"""

import hashlib

import numpy as np
import xarray as xr

from state_gradients.analysis import comparison, uncertainty
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language.subject import require_all_positions


def study(subject):
    """Leave out each stretch of a text in turn.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``stretches``: ``observed`` (state_kind, quantity, delay), ``left_out``
        (state_kind, stretch, quantity, delay), ``n_samples`` (stretch, delay) and the
        ``text_hash``.

    Raises
    ------
    ValueError
        If the mean gradients are of groups of positions, the embedding cannot be
        whitened, or the text is too short.
    """
    load_keras()
    from state_gradients.engine.means import mean_state_gradients
    from state_gradients.engine.network import read_network

    wanted = subject.experiment.gradients
    blocks = mean_state_gradients(
        subject.model,
        subject.ids,
        max_delay=wanted.max_delay,
        state=wanted.states or read_network(subject.model).cells[0].names,
        window=wanted.window,
        blocks=count_stretches(wanted, len(subject.ids)),
        progress=subject.progress,
    )
    found = comparison.stretch_curves(blocks, subject.encoder["embedding"])
    found = found.assign(text_hash=text_hash(subject.ids, subject.text.vocabulary))
    # n f - (n - 1) f_(-b) of float32 errs by 64 x 6e-8, stretches differ by 1e-2
    found["left_out"] = found["left_out"].astype(np.float32)
    return {"stretches": comparison.described(found)}


def count_stretches(wanted, n_tokens):
    """Return into how many stretches a text is cut: as its intervals, if they can be.

    Parameters
    ----------
    wanted : state_gradients.foundation.settings.Gradients
    n_tokens : int

    Raises
    ------
    ValueError
        If the text is too short for a band, or the means are not of all positions.
    """
    require_all_positions(wanted, "stretches")
    least = comparison.LEAST_STRETCHES
    fitting = uncertainty.blocks_that_fit(n_tokens, wanted.max_delay)
    n_stretches = min(wanted.blocks or 0, fitting)
    if n_stretches < least:
        length = least * uncertainty.BLOCK_LENGTH * (wanted.max_delay + 1)
        raise ValueError(
            f"stretches: a band takes {least} stretches of text or more, {length} "
            f"tokens for gradients.max_delay: {wanted.max_delay}, received {n_tokens} "
            f"tokens and gradients.blocks: {wanted.blocks}; set gradients.split to a "
            "longer text, or lower gradients.max_delay."
        )
    return n_stretches


def text_hash(ids, vocabulary):
    """Return the SHA-256 of a text's tokens, as the network reads them, a DataArray."""
    tokens = np.array(vocabulary.tokens, dtype=object)[ids]
    digest = hashlib.sha256("\n".join(tokens).encode()).hexdigest()
    return xr.DataArray(digest)
