"""What is left far back: the memory curves up to 500 words, with their intervals.

Ten times the delays of the other studies, by inputs that share a basis
(:mod:`state_gradients.engine.bundles`), cut to a tolerance; how far that is from the
exact chain is measured on inputs drawn at random, and kept. All delays have their
curves; some, the marks, have intervals as well, from blocks of the text. A network
without training is followed over the first tokens of the text only.
"""

import math

import numpy as np
import xarray as xr

from state_gradients.analysis import spectra, summary, uncertainty, whitening
from state_gradients.foundation import labels
from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language.subject import require_all_positions

LONGEST = 500  # words: the effective context of Khandelwal et al. (2018) is 200
UNTRAINED = 4096  # tokens for a network without training: its gradients hardly differ
TOLERANCE = 1e-4  # what `mean_state_gradients` recommends beyond 50 delays
BLOCKS = 16  # of the text: their means are held at all delays, mostly 0.13 GB each,
MOST_BYTES = 8e9  # so that of a wide state, as an S6's, there are fewer
LEAST_BLOCKS = 8  # a shorter text has a shorter tail
MARKS = (
    *(0, 1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50, 60, 80, 100, 125, 150, 175, 200),
    *(225, 250, 275, 300, 325, 350, 375, 400, 425, 450, 475, 500),
)
NORMS = "memory", "total", "rms_memory"
QUANTITIES = (*NORMS, "coherence", "selectivity", "selectivity_5", "effective_rank")

_OF_QUANTITY = "state unit / standard deviation; of shares and ranks 1"
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "observed": ("quantity of the mean gradient", _OF_QUANTITY, "as its quantity"),
    "estimate": ("without the bias of noise", _OF_QUANTITY, "observed - bias"),
    "lower": ("lower end of its interval", _OF_QUANTITY, "estimate - t SE"),
    "upper": ("upper end of its interval", _OF_QUANTITY, "estimate + t SE"),
    "n_samples": ("positions averaged over", "1", "number of t"),
    "tolerance_error": labels.MEANING["tolerance_error"],
    "tolerance": ("what a cut may leave of inputs, r.m.s.", "1", "|X - X Q Q^T| / |X|"),
    "largest_residual": ("the most that one left", "1", "largest |X - X Q Q^T| / |X|"),
}
MISSING = dict.fromkeys(
    ("observed", "estimate", "lower", "upper"),
    "the gradient is 0, or its squares are too small for float32 to be sure of",
)


def study(subject):
    """Follow a model's memory as far back as its text allows.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``tail``; `MEANING` says what its variables mean. The coordinate ``state_kind``
        names the state: an LSTM's cell, else the hidden state.

    Raises
    ------
    ValueError
        If the mean gradients are of groups of positions, the embedding cannot be
        whitened, or the text is too short.
    """
    load_keras()
    from state_gradients.engine.means import mean_state_gradients
    from state_gradients.engine.network import read_network

    wanted, ids = subject.experiment.gradients, subject.ids
    if not subject.experiment.training.max_epochs:
        ids = ids[:UNTRAINED]
    n_tokens = len(ids)
    longest = longest_delay(wanted, n_tokens)
    fitted = whitening.fit_whitening(subject.encoder["embedding"])
    cell = read_network(subject.model).cells[0]
    state = "cell" if "cell" in cell.names else cell.names[0]
    n_states = cell.sizes[cell.names.index(state)]
    blocks = mean_state_gradients(
        subject.model,
        ids,
        max_delay=longest,
        state=state,
        window=wanted.window,
        second_moment=True,
        blocks=min(
            uncertainty.blocks_that_fit(n_tokens, longest),
            blocks_in_memory(longest, len(fitted.D), n_states),
        ),
        tolerance=TOLERANCE,
        progress=subject.progress,
    )

    def curves(gradient, moment):
        gradient = whitening.whiten_gradient(gradient, fitted)
        stretch = np.linalg.norm(fitted.D, 2) ** 2
        moment = whitening.whiten_moment(moment, fitted)
        rms = spectra.coherence(gradient, moment, stretch=stretch)
        return spectra.memory_curve(gradient).assign(rms.data_vars)[[*QUANTITIES]]

    means = summary.pooled(blocks)
    observed = curves(means["state_gradient"], means["second_moment"])
    marks = [mark for mark in MARKS if mark < longest] + [longest]
    intervals = uncertainty.block_bootstrap(
        blocks[["state_gradient", "second_moment", "n_samples"]].sel(delay=marks),
        curves,
        seed=subject.experiment.training.seed,
        variables=("state_gradient", "second_moment"),
        norms=NORMS,
    )
    found = xr.Dataset(
        intervals[["estimate", "lower", "upper"]]
        .drop_vars("units", errors="ignore")
        .rename(delay="mark")
        .data_vars
    ).assign(
        observed=observed.to_dataarray("quantity").drop_attrs(),
        n_samples=means["n_samples"],
        tolerance_error=blocks["tolerance_error"],
        tolerance=blocks.attrs["tolerance"],
        largest_residual=blocks.attrs["largest_residual"],
    )
    found = found.assign_coords(
        quantity=found["quantity"].astype(str), state_kind=state
    )
    for name in MEANING:
        found[name].attrs = about(name, meaning=MEANING)
        if name in MISSING:
            found[name].attrs["missing"] = MISSING[name]
    return {"tail": found.transpose("quantity", ...)}


def blocks_in_memory(longest, *sizes):
    """Return of how many blocks the means (delay, embedding, states) can be held.

    `BLOCKS`, or as many as are within `MOST_BYTES`, but `LEAST_BLOCKS` in any case.
    """
    each = np.dtype(float).itemsize * (longest + 1) * math.prod(sizes)
    return min(BLOCKS, max(LEAST_BLOCKS, int(MOST_BYTES / each)))


def longest_delay(wanted, n_tokens):
    """Return how far back a text is followed: `LONGEST`, or as far as it allows.

    Parameters
    ----------
    wanted : state_gradients.foundation.settings.Gradients
    n_tokens : int

    Raises
    ------
    ValueError
        If a tail would be no longer than the curve itself, or the means are not of all
        positions.
    """
    require_all_positions(wanted, "tail")
    longest = n_tokens // (uncertainty.BLOCK_LENGTH * LEAST_BLOCKS) - 1
    longest = min(longest, LONGEST, (wanted.window or n_tokens) - 1)
    if longest <= wanted.max_delay:
        raise ValueError(
            "tail: the text must allow delays beyond gradients.max_delay, which is "
            f"{wanted.max_delay}, received {n_tokens} tokens, whose tail ends at "
            f"{longest}; set gradients.split to a longer text, or do without windows."
        )
    return longest
