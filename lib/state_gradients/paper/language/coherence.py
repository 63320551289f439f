"""Why a mean gradient is small: responses that are short, unequal, or disagree.

At some delays the step v_1 that the mean gradient remembers best, whitened, and what
it does at every position of the text,

    r_t = G_{t,tau} D v_1,   norm(E r) = sigma_1(E[G] D),

split into lengths and directions (:mod:`state_gradients.analysis.agreement`). An
experiment with controls has the same of half its text in random order, of which any
half is as good as another, at the same steps.
"""

import numpy as np
import xarray as xr

from state_gradients.analysis import agreement, uncertainty
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language.subject import (
    blocks_for_intervals,
    require_all_positions,
)

DELAYS = 0, 1, 2, 3, 5, 7, 10, 15, 20, 25, 30, 40, 50  # and the longest there is
IN_ORDER, SHUFFLED = "in order", "shuffled"
BLOCKS = 64  # of the text, or as many as fit
QUANTILES = 0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0
AXES = ("quantity", "text", "quantile", "state_kind", "delay", "block", "embedding")

_SIZE, _OF_QUANTITY = "state unit / standard deviation", "of its quantity"
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "observed": ("quantity of all responses", _OF_QUANTITY, "as its quantity"),
    "estimate": (
        "the same without the bias of noise",
        _OF_QUANTITY,
        "observed - bias",
    ),
    "lower": ("lower end of its interval", _OF_QUANTITY, "estimate - t SE"),
    "upper": ("upper end of its interval", _OF_QUANTITY, "estimate + t SE"),
    "length": ("quantiles of the lengths", _SIZE, "of |G_(t, delay) D v_1|"),
    "share_of_block": ("share of the squares in a block", "1", "sum |r|^2 / all"),
    "n_samples": ("positions averaged over", "1", "number of t"),
    "step": ("best remembered step, whitened", "1", "v_1 of E[G] D"),
}
MISSING = dict.fromkeys(
    ("observed", "estimate", "lower", "upper"), "all responses are 0"
)


def study(subject):
    """Split what averaging does to a model's best remembered steps.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``coherence``; `MEANING` says what its variables mean.

    Raises
    ------
    ValueError
        If the mean gradients are of groups of positions, the embedding cannot be
        whitened, or the text is too short for two blocks.
    """
    load_keras()
    wanted, texts = subject.experiment.gradients, {IN_ORDER: subject.ids}
    if wanted.controls:
        seed, half = subject.experiment.training.seed, len(subject.ids) // 2
        texts[SHUFFLED] = uncertainty.shuffled(subject.ids, seed=seed)[:half]
    n_blocks = count_blocks(wanted, min(map(len, texts.values())))
    whitening = fit_whitening(subject.encoder["embedding"])
    best = subject.load("spectra")["vt"].sel(normalization="whitened", drop=True)
    best = best.isel(group=0, direction=0, drop=True)
    best = best.sel(delay=kept_delays(wanted.max_delay))
    parts = [
        _of_text(subject, text, best, whitening, n_blocks) for text in texts.values()
    ]
    found = xr.concat(parts, xr.Variable("text", [*texts]), combine_attrs="override")
    found = found.assign(step=best).transpose(*AXES)
    for name in MEANING:
        found[name].attrs = about(name, meaning=MEANING)
        if name in MISSING:
            found[name].attrs["missing"] = MISSING[name]
    return {"coherence": found}


def kept_delays(longest):
    """Return the delays that are measured: `DELAYS` up to the longest, and that one."""
    return sorted({delay for delay in DELAYS if delay < longest} | {longest})


def count_blocks(wanted, n_tokens):
    """Return into how many blocks a text is cut: `BLOCKS`, or fewer if it is short.

    Parameters
    ----------
    wanted : state_gradients.foundation.settings.Gradients
    n_tokens : int

    Raises
    ------
    ValueError
        If it is too short for two, or the means are not of all positions.
    """
    require_all_positions(wanted, "coherence")
    return blocks_for_intervals(
        n_tokens,
        wanted.max_delay,
        most=BLOCKS,
        who="coherence",
        remedy=", or do without gradients.controls, which shuffles half the text",
    )


def _of_text(subject, ids, best, whitening, n_blocks):
    """Return what the responses to the best steps are, over one text."""
    from state_gradients.engine.responses import step_responses

    found = step_responses(
        subject.model,
        ids,
        delays=best["delay"].values,
        steps=best.values @ whitening.D.T,
        blocks=n_blocks,
        state=tuple(best["state_kind"].values.tolist()),
        window=subject.experiment.gradients.window,
        progress=subject.progress,
    )
    found["response"].attrs["units"] = _SIZE
    split = agreement.factor_intervals(found, seed=subject.experiment.training.seed)
    quantiles = found["length"].astype(float).quantile([*QUANTILES], "input")
    return split.assign_coords(quantity=split["quantity"].astype(str)).assign(
        length=quantiles.astype(np.float32),
        share_of_block=split["share_of_block"].astype(np.float32),
        n_samples=found["n_samples"].sum("block"),
    )
