"""Whether float32 is enough for a network on a text: some inputs go both ways.

A gate that is all but shut passes on 1 - z, and a saturated tanh 1 - h^2: where z or h
are 1 to float32's last digit, nothing is left of either. No rule knows that beforehand.
So of some jobs a few inputs are carried in float64 too, from the same states, and where
the two are apart the text needs float64 throughout.
"""

import warnings
from dataclasses import replace

import numpy as np

from state_gradients.engine import tiles

EVERY = 16  # jobs, of which one is looked at; the first always
INPUTS = 8  # of a job, that go both ways
WITHIN = 32  # tokens, that these stand in
DELAYS = 64  # over which they are followed, at most
APART = 1e-3  # of the gradients' norm at a delay, at most: rounding makes some 1e-5


class PrecisionLostError(FloatingPointError):
    """The gradients are not what float32 says they are."""


def checked(cut, dtype):
    """Yield jobs, and look at some of them on the way.

    Parameters
    ----------
    cut : iterable of (int, jobs.Job)
    dtype : str or None
        That was asked for; None: float32 unless that is not enough.

    Raises
    ------
    PrecisionLostError
        If `dtype` is None and float32 is not enough; with "float32" it warns.
    """
    is_known = dtype == "float64"  # or has been said
    for stretch, job in cut:
        if not is_known and job.number % EVERY == 0:
            is_known = require(job, dtype)
        yield stretch, job


def require(job, dtype):
    """Look at a job; return whether it warned, and raise as :func:`checked` does."""
    error = apart(job)
    if error <= APART:
        return False
    message = (
        "mean_state_gradients: float32 must be enough for the network's gates, but "
        f"gradients of some inputs are {error:.2g} of their norm from those in "
        'float64; pass dtype="float64" (on JAX, with JAX_ENABLE_X64=1).'
    )
    if dtype is None:
        raise PrecisionLostError(message)
    warnings.warn(message, RuntimeWarning, stacklevel=2)
    return True


def apart(job):
    """Return how far some of a job's gradients are from those in float64.

    Returns
    -------
    float
        The largest over kinds and delays, relative to the Frobenius norm there; 0 where
        nothing is carried, or a cell cannot be made in float64.
    """
    cells = tuple(cell.in_double() for cell in job.cells)
    if not len(job.sources) or None in cells:
        return 0.0
    some = _some(job)
    double = _in_double(some, cells)
    (ours,), (exact,) = tiles.job_sums(some), tiles.job_sums(double)
    difference, size = (
        np.linalg.norm(sums[:, 0], axis=(2, 3)) for sums in (ours - exact, exact)
    )
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.where(difference > 0, difference / size, 0.0).max())


def _some(job):
    """Return a job of a few neighbours among a job's inputs, drawn at random."""
    rng = np.random.default_rng(job.number)
    first = int(rng.integers(max(1, len(job.sources) - INPUTS + 1)))
    sources = job.sources[first : first + INPUTS]
    sources = sources[sources < sources[0] + WITHIN]
    ends = np.minimum(job.ends[first : first + len(sources)], sources + DELAYS)
    begin, end = int(sources[0]), int(ends[-1]) + 1
    request = job.request
    return replace(
        job,
        request=replace(
            request,
            max_delay=min(request.max_delay, DELAYS),
            n_groups=1,
            second_moment=False,
            tolerance=None,
        ),
        trace=[[np.asarray(x[begin:end]) for x in layer] for layer in job.trace],
        sources=sources - begin,
        ends=ends - begin,
        members=[(0,)] * len(sources),
        readout=None,
    )


def _in_double(job, cells):
    """Return a job with cells in float64, run over its tokens from where it begins."""
    x, trace = job.trace[0][0].astype(np.float64), []
    for cell, (_, *before) in zip(cells, job.trace, strict=True):
        starts = [state[0].astype(np.float64) for state in before]
        after = cell.run(x, starts)
        states = [
            np.concatenate([start[None], state[:-1]])
            for start, state in zip(starts, after, strict=True)
        ]
        trace.append([x, *states])
        x = after[cell.output]
    return replace(job, cells=cells, trace=trace)
