r"""What the end of a sentence does to the memory: words before it, and words after.

Of every word, tau words later, how many `<eos>` the network has read since; and by
their number k, over the positions of the text,

    memory_k(tau) = sqrt mean ||G_{t,tau} D||_F^2

(the root mean square of single positions, from the artifact ``positions``). Words of
one delay are compared, so that only what stands between them and the state differs; the
word itself is no `<eos>`. An interval is over the blocks of the text.
"""

import numpy as np
import xarray as xr

from state_gradients.foundation.labels import about
from state_gradients.text.vocabulary import EOS

CROSSED = 0, 1, 2  # ends of sentences; the last stands for more as well
BLOCKS = 64
LEAST = 100  # words at a delay that a mean is over
N_RESAMPLES = 2000
LEVEL = 0.95

_SIZE = "state unit / standard deviation"
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "memory": ("memory by ends of sentences since", _SIZE, "sqrt mean ||G D||_F^2"),
    "lower": ("lower end of its interval", _SIZE, "2.5 % of redrawn texts"),
    "upper": ("upper end of its interval", _SIZE, "97.5 % of redrawn texts"),
    "ratio": ("memory over that within the sentence", "1", "memory_k / memory_0"),
    "ratio_lower": ("lower end of its interval", "1", "2.5 % of redrawn texts"),
    "ratio_upper": ("upper end of its interval", "1", "97.5 % of redrawn texts"),
    "n_samples": ("positions averaged over", "1", "count"),
}
MISSING = dict.fromkeys(
    MEANING.keys() - {"n_samples"}, f"fewer than {LEAST} words at this delay"
)


def study(subject):
    """Compare the memory within a sentence with that of sentences before.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``boundaries``; `MEANING` says what its variables mean.

    Raises
    ------
    ValueError
        If the text has no `<eos>`, or is not that of the memories.
    """
    memory, ids = subject.load("positions")["memory"], np.asarray(subject.ids)
    tokens = subject.load("encoder")["vocabulary"].values
    ends = tokens[ids] == EOS
    if not ends.any():
        raise ValueError(
            f"boundaries: the text must have {EOS} at the ends of its sentences, "
            f"received {len(ids)} tokens without one."
        )
    if memory.sizes["position"] != len(ids) - 1:
        raise ValueError(
            "boundaries: the memories must be of the text, one for each token but the "
            f"last, received {memory.sizes['position']} and {len(ids)} tokens; run "
            "`positions` again."
        )
    found = compare(memory, ends, seed=subject.experiment.training.seed)
    return {"boundaries": found}


def compare(memory, ends, *, seed):
    """Return memories by how many ends of sentences stand between.

    Parameters
    ----------
    memory : DataArray (position, delay)
        ||G D||_F of the word `delay` before; NaN where there is none.
    ends : ndarray of bool, shape (time,)
        Which tokens end a sentence.
    seed : int

    Returns
    -------
    xarray.Dataset
        By ``crossed`` and ``delay``, from 1 on.
    """
    memory = memory.sel(delay=memory["delay"] > 0)
    since = np.concatenate([[0], np.cumsum(ends)])  # ends among the first t tokens
    n_positions, delays = memory.sizes["position"], memory["delay"].values
    block = np.arange(n_positions) * BLOCKS // n_positions
    squares = np.zeros((BLOCKS, len(CROSSED), len(delays)))
    counts = np.zeros_like(squares)
    for column, tau in enumerate(delays):
        t = np.arange(tau, n_positions)
        size = memory.isel(delay=column).values[tau:].astype(float)
        crossed = np.minimum(since[t + 1] - since[t - tau + 1], CROSSED[-1])
        counted = ~ends[t - tau] & ~np.isnan(size)
        place = block[t[counted]], crossed[counted], column
        np.add.at(squares, place, size[counted] ** 2)
        np.add.at(counts, place, 1)
    n_samples = counts.sum(axis=0)
    enough = n_samples >= LEAST
    weights = np.random.default_rng(seed).multinomial(
        BLOCKS, np.full(BLOCKS, 1 / BLOCKS), size=N_RESAMPLES
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        whole = np.sqrt(squares.sum(axis=0) / n_samples)
        drawn = np.tensordot(weights, squares, 1) / np.tensordot(weights, counts, 1)
    drawn = np.sqrt(drawn)
    ends_of = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    with np.errstate(invalid="ignore"):
        ratio, ratios = whole / whole[0], drawn / drawn[:, :1]
    dims = ("crossed", "delay")
    both = enough & enough[0]
    variables = {"n_samples": n_samples.astype(int)}
    for name, estimate, resampled, known in (
        ("memory", whole, drawn, enough),
        ("ratio", ratio, ratios, both),
    ):
        low, high = np.quantile(np.nan_to_num(resampled), ends_of, axis=0)
        prefix = "" if name == "memory" else "ratio_"
        variables[name] = np.where(known, estimate, np.nan)
        variables[f"{prefix}lower"] = np.where(known, low, np.nan)
        variables[f"{prefix}upper"] = np.where(known, high, np.nan)
    result = xr.Dataset(
        {name: (dims, values) for name, values in variables.items()},
        {"crossed": [*CROSSED], "delay": delays},
    )
    for name in MEANING:
        result[name].attrs = about(name, meaning=MEANING)
        if name in MISSING:
            result[name].attrs["missing"] = MISSING[name]
    return result
