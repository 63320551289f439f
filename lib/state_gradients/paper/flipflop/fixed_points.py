"""Where a network's state rests while it reads nothing: its fixed points.

With F the step on an input of zeros, and as Sussillo and Barak (2013) do it, a state h
is a fixed point where the speed ::

    q(h) = 1/2 ||F(h) - h||^2

has a minimum of 0. It is minimised from many sampled states, here by SciPy's
Levenberg-Marquardt, to which q is a sum of squares and J - I the Jacobian of what is
squared, J = dF/dh. A point is stable if every eigenvalue of J there is within the unit
circle; one that is not has as many unstable directions as eigenvalues beyond it, and is
a saddle if it has others, too. A minimum beyond 1 is left out: a state is a mean of
values of tanh, so that none can be there, but where a gate is shut any would rest.
"""

import numpy as np
import xarray as xr
from scipy.optimize import least_squares

from state_gradients.foundation.labels import about

N_STARTS = 600
NOISE = 0.3  # standard deviation of what is added to a sampled state; units go to 1
Q_MOST = 1e-20  # of a fixed point: |F(h) - h| of 1e-10, far below any pulse's effect
APART = 1e-3  # two points nearer to each other are one
OFF = 1e-2  # how far from a saddle a state is let go
N_STEPS = 1_000  # that it is followed for
NOWHERE = -1
SINGLE = "point", "eigenvalue_size", "said"  # kept in float32
MEANING = {
    "point": ("fixed points", "state unit", "F(h) = h"),
    "q": ("half the squared speed there", "state unit^2", "1/2 |F(h) - h|^2"),
    "n_ended": ("starts that ended there", "1", "count"),
    "eigenvalue_size": ("sizes of the Jacobian's eigenvalues", "1", "|eig dF/dh|"),
    "n_unstable": ("unstable directions", "1", "number of |lambda| > 1"),
    "said": ("what the network says there", "1", "K^T h + b"),
    "leads_to": ("stable points that a saddle leads to", "1", "index, -1 for none"),
    "n_starts": ("states that were started from", "1", "count"),
    "n_slow": ("starts that ended where q has a minimum above 0", "1", "count"),
    "n_beyond": ("starts that ended where no state can be", "1", "count, |h| > 1"),
}


def step(cell, h):
    """Return F(h) for states (.., unit), on an input of zeros.

    Parameters
    ----------
    cell : state_gradients.engine.readers.ClosedForm
        Of one state, in float64.
    h : ndarray of shape (.., unit)
    """
    return _stepped(cell, h)[0][0]


def _stepped(cell, h):
    from state_gradients.engine.formulas import NUMPY

    kernel = cell.weights[0]
    n_inputs = len(kernel[0] if isinstance(kernel, tuple) else kernel)
    return cell.step(NUMPY, cell.weights, np.zeros((*h.shape[:-1], n_inputs)), (h,))


def jacobian(cell, h):
    """Return dF/dh at one state, (unit after, unit before)."""
    _, slopes, differential = _stepped(cell, h)
    found = differential(*slopes())
    transposed = found.dense[0, 0].copy()  # rows are what moves
    for term in found.diagonal[0]:  # a GRU's; a cell with halves to turn has two states
        transposed[np.diag_indices(len(h))] += term.scale
    return transposed.T


def minimise(cell, start):
    """Return a minimum of q near a state, and q there."""
    one = np.eye(len(start))
    result = least_squares(
        lambda h: step(cell, h) - h,
        start,
        jac=lambda h: jacobian(cell, h) - one,
        method="lm",
        xtol=1e-15,
        ftol=1e-15,
        gtol=1e-15,
    )
    return result.x, result.cost


def sampled_starts(states, *, seed):
    """Return states to start from: half sampled with noise, half between two sampled.

    Parameters
    ----------
    states : ndarray of shape (sample, unit)
        That the network has gone through.
    seed : int
    """
    rng, n = np.random.default_rng(seed), N_STARTS
    first, second = states[rng.integers(len(states), size=(2, n))]
    share = rng.random((n, 1)) * (np.arange(n) % 2)[:, None]
    noise = NOISE * rng.normal(size=first.shape) * (share == 0)
    return first + share * (second - first) + noise


def find(cell, readout, starts):
    """Return the unique fixed points that starts lead to, the most stable first.

    Parameters
    ----------
    cell : state_gradients.engine.readers.ClosedForm
    readout : tuple of ndarray
        Kernel (unit, channel) and bias (channel,).
    starts : ndarray of shape (start, unit)

    Returns
    -------
    xarray.Dataset
        `MEANING` says of what; sorted by unstable directions.

    Raises
    ------
    ValueError
        If there is none.
    """
    points, ended = [], []
    n_slow = n_beyond = 0
    for start in starts:
        point, q = minimise(cell, start)
        if q > Q_MOST:
            n_slow += 1
            continue
        if np.abs(point).max() > 1:
            n_beyond += 1
            continue
        away = [np.linalg.norm(point - other) for other in points]
        if away and min(away) < APART:
            ended[int(np.argmin(away))] += 1
        else:
            points.append(point)
            ended.append(1)
    if not points:
        raise ValueError(
            f"fixed_points: one of {len(starts)} starts at least must lead to a fixed "
            f"point, received none with q below {Q_MOST:g}; train the network longer."
        )
    points, ended = np.array(points), np.array(ended)
    sizes = np.array(
        [np.sort(np.abs(np.linalg.eigvals(jacobian(cell, h))))[::-1] for h in points]
    )
    n_unstable = (sizes > 1).sum(axis=1)
    said = points @ readout[0] + readout[1]
    order = np.lexsort((*said.T, n_unstable))
    points, n_unstable = points[order], n_unstable[order]
    speed = step(cell, points) - points
    found = xr.Dataset(
        {
            "point": (("fixed_point", "unit"), points),
            "q": ("fixed_point", (speed**2).sum(axis=1) / 2),
            "n_ended": ("fixed_point", ended[order]),
            "eigenvalue_size": (("fixed_point", "eigenvalue"), sizes[order]),
            "n_unstable": ("fixed_point", n_unstable),
            "said": (("fixed_point", "channel"), said[order]),
            "leads_to": (
                ("fixed_point", "side"),
                [ends_of(cell, k, points, n_unstable) for k in range(len(points))],
            ),
            "n_starts": len(starts),
            "n_slow": n_slow,
            "n_beyond": n_beyond,
        }
    )
    kept = {name: found[name].astype(np.float32) for name in SINGLE}
    found = found.assign(kept)
    for name in MEANING:
        found[name].attrs = about(name, meaning=MEANING)
    return found


def ends_of(cell, number, points, n_unstable):
    """Return the stable points that the two sides of a saddle lead to.

    The state is let go a little off the saddle, along the direction of its largest
    eigenvalue and against it. Near a stable point it may go on for long, so that q is
    minimised from where it has got.

    Parameters
    ----------
    cell : state_gradients.engine.readers.ClosedForm
    number : int
        Of the saddle.
    points : ndarray of shape (fixed_point, unit)
    n_unstable : ndarray of int, shape (fixed_point,)

    Returns
    -------
    tuple of two int
        `NOWHERE` for a point without or with several unstable directions, and where
        no stable point is reached.
    """
    if n_unstable[number] != 1:
        return NOWHERE, NOWHERE
    values, vectors = np.linalg.eig(jacobian(cell, points[number]))
    direction = vectors[:, np.abs(values).argmax()].real
    states = points[number] + OFF * np.outer([-1, 1], direction)
    for _ in range(N_STEPS):
        states = step(cell, states)
    stable = np.flatnonzero(n_unstable == 0)
    ends = []
    for state in states:
        rests, _ = minimise(cell, state)
        away = np.linalg.norm(points[stable] - rests, axis=1)
        is_there = len(stable) and away.min() < APART
        ends.append(int(stable[away.argmin()]) if is_there else NOWHERE)
    return tuple(ends)
