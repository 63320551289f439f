"""Responses to one step: how long they are, and how far they agree.

The responses r = G v of all positions to one step v have a mean as long as

    norm(E r)  =  rms(r)  x  E norm(r) / rms(r)  x  norm(E r) / E norm(r),
                             lengths               directions

    rms(r)^2  =  E norm(r)^2.

Both factors are at most 1 (Jensen). Lengths: 1 where all responses are equally long.
Directions: 1 where all point the same way, and 0 where they cancel; it is the mean
cosine of a response with the mean response, each weighted by its length,

    norm(E r) / E norm(r)  =  E[norm(r) cos(r, E r)] / E norm(r),

since norm(E r) = E[r . E r] / norm(E r).
"""

import numpy as np
import xarray as xr
from scipy.stats import t as student

from state_gradients.analysis import uncertainty

TOP = 0.01  # of the positions: those with the longest responses
LEVEL = 0.95
# What each quantity means: (long name, units or None for the gradient's own, equation)
QUANTITIES = {
    "mean_response": ("length of the mean response", None, "|E r|"),
    "mean_length": ("mean length of a response", None, "E|r|"),
    "rms_length": ("root mean square of the lengths", None, "sqrt(E |r|^2)"),
    "directions": ("share left by the spread of directions", "1", "|E r| / E|r|"),
    "lengths": ("share left by the spread of lengths", "1", "E|r| / sqrt(E |r|^2)"),
    "coherence": ("share left by both", "1", "|E r| / sqrt(E |r|^2)"),
}
SHARES = "directions", "lengths", "coherence"  # at most 1
# No sign can cancel these, and noise adds to their squares.
NORMS = "mean_response", "mean_length", "rms_length", "directions", "coherence"
TOP_SHARE = "top_share"


def factors(response: xr.DataArray, moments: xr.DataArray) -> xr.Dataset:
    """Split the length of a mean response into its root mean square and two factors.

    Parameters
    ----------
    response : DataArray of shape (..., state)
        The mean response E r.
    moments : DataArray of shape (..., moment)
        ``E|r|`` and ``E|r|^2`` over the same positions.

    Returns
    -------
    Dataset of shape (...)
        `QUANTITIES`; NaN where all responses are 0.

    Examples
    --------
    Of four equally long responses three agree, and one points the other way:

    >>> import xarray as xr
    >>> from state_gradients.analysis.agreement import factors
    >>> response = xr.DataArray([1.0, 0.0], dims="state")  # (3 - 1) / 4 of length 2
    >>> moments = xr.DataArray([2.0, 4.0], dims="moment")
    >>> found = factors(response, moments)
    >>> float(found["directions"]), float(found["lengths"])
    (0.5, 1.0)
    """
    mean_response = np.sqrt((response**2).sum("state", skipna=False))
    mean_length = moments.isel(moment=0, drop=True)
    rms_length = np.sqrt(np.maximum(moments.isel(moment=1, drop=True), 0))
    found = {
        "mean_response": mean_response,
        "mean_length": mean_length,
        "rms_length": rms_length,
        "directions": mean_response / mean_length.where(mean_length > 0),
        "lengths": mean_length / rms_length.where(rms_length > 0),
        "coherence": mean_response / rms_length.where(rms_length > 0),
    }
    found = xr.Dataset({name: found[name] for name in QUANTITIES})
    for name, (long_name, units, equation) in QUANTITIES.items():
        units = units or response.attrs.get("units", "state unit per step")
        found[name].attrs = {
            "long_name": long_name,
            "units": units,
            "equation": equation,
        }
    return found


def factor_intervals(responses: xr.Dataset, *, seed: int) -> xr.Dataset:
    """Return the factors of a mean response with intervals from blocks of the text.

    The step is taken as given: where it was chosen on the same text, the intervals do
    not know of the choice.

    Parameters
    ----------
    responses : Dataset
        As :func:`state_gradients.engine.responses.step_responses` gives them, with two
        blocks or more.
    seed : int

    Returns
    -------
    Dataset of shape (quantity, [state_kind], delay)
        ``observed``, ``estimate`` (without the bias of noise), ``lower`` and ``upper``
        at 95 %, of `QUANTITIES` and of ``top_share``, the share of the sum of squares
        in the longest `TOP` of the responses. ``share_of_block`` ([state_kind], delay,
        block), each block's share of the squares.
    """
    length, block_of = responses["length"].astype(float), responses["block_of"].values
    moments = _moments_by_block(length, block_of)
    n_samples = responses["n_samples"]
    blocks = xr.Dataset(
        {
            "response": responses["response"].expand_dims("step", -1),
            "moments": moments.expand_dims("step", -1),
            "n_samples": n_samples,
        }
    )

    def statistic(response, moments):
        return factors(response.isel(step=0), moments.isel(step=0))

    found = uncertainty.block_bootstrap(
        blocks,
        statistic,
        seed=seed,
        variables=("response", "moments"),
        level=LEVEL,
        norms=NORMS,
    )[["observed", "estimate", "lower", "upper"]]
    most = xr.where(found["quantity"].isin(SHARES), 1.0, np.inf)
    found = found.map(lambda ends: np.minimum(ends, most), keep_attrs=True)
    top = _top_share_interval(length, block_of)
    squares = moments.isel(moment=1) * n_samples
    share = (squares / squares.sum("block")).fillna(0).transpose(..., "block")
    both = xr.concat([found, top], "quantity", combine_attrs="override")
    return both.assign(share_of_block=share)


def _moments_by_block(length, block_of):
    """Return the mean length and mean square of each block, (block, .., moment)."""
    moments = []
    for block in range(block_of[-1] + 1):
        inputs = np.flatnonzero(block_of == block)
        one = length.isel(input=slice(inputs[0], inputs[-1] + 1))
        both = [one.mean("input"), (one**2).mean("input")]
        moments.append(xr.concat(both, "moment"))
    return xr.concat(moments, "block").transpose("block", ..., "moment")


def top_share(squares: np.ndarray, *, top: float = TOP) -> float:
    """Return the share of a sum of squares that its largest terms hold.

    Parameters
    ----------
    squares : ndarray of shape (position,)
        From the largest to the smallest.
    top : float
        Which share of the positions. Where it is no whole number of them, the next
        one counts for the part that is missing.

    Examples
    --------
    >>> import numpy as np
    >>> from state_gradients.analysis.agreement import top_share
    >>> top_share(np.array([6.0, 2.0, 1.0, 1.0]), top=0.25)
    0.6
    >>> top_share(np.array([6.0, 2.0, 1.0, 1.0]), top=0.375)  # and half of the second
    0.7
    """
    n_top = top * len(squares)
    whole = int(n_top)
    part = (n_top - whole) * squares[whole : whole + 1].sum()
    return float((squares[:whole].sum() + part) / squares.sum())


def _top_share_interval(length, block_of):
    """Return `TOP_SHARE`, observed +- t SE, of blocks that are deleted in turn."""
    n_blocks = block_of[-1] + 1

    def of_column(column):
        there = ~np.isnan(column)
        order = np.argsort(-column[there], kind="stable")
        squares, blocks = column[there][order] ** 2, block_of[there][order]
        deleted = [top_share(squares[blocks != block]) for block in range(n_blocks)]
        return top_share(squares), np.sqrt(n_blocks - 1) * np.std(deleted)

    observed, error = xr.apply_ufunc(
        of_column,
        length,
        input_core_dims=[["input"]],
        output_core_dims=[[], []],
        vectorize=True,
    )
    half = student.ppf((1 + LEVEL) / 2, n_blocks - 1) * error
    ends = {
        "observed": observed,
        "estimate": observed,
        "lower": np.maximum(observed - half, 0),
        "upper": np.minimum(observed + half, 1),
    }
    found = xr.Dataset(ends).expand_dims(quantity=[TOP_SHARE])
    return found.assign_coords(units=("quantity", ["1"]))
