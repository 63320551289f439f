"""Tangents of inputs in one basis that all share: X_s = C_s W, cut to a tolerance.

The tangents of inputs that were read before token t pass through the same Jacobians
from then on, and so their rows, stacked, lose rank together. One basis W (rank, states)
with coefficients C_s (embedding, rank) for each input s then takes the place of all
their rows. It is nested: fewer directions are left of older inputs, which come first,
so that of an input so many of the first count, and its coefficients end there.

    W = L Q,   C_s W = (C_s L) Q        (Q Q^T = 1, L lower triangular)

is nested as before. From the oldest inputs to the youngest, as many directions, the
rows of V, are added to those found so far, B, as leave, of some inputs of about one
age,

    left_s = ||X_s - X_s B^T B - X_s V^T V|| / ||X_s||  (Frobenius)

within the tolerance: at the root mean square over the inputs where a mean over all of
them is asked for, which loses at most that, and of every input where it is a group's. V
comes from a random sketch of the inputs' rows, each scaled to about norm 1 (Halko,
Martinsson and Tropp 2011, Algorithm 4.1). A row of the sketch mixes one of `PARTS` of
each input's rows only: a sixteenth of the work, and as good where the parts have about
one range, as rows have that passed the same Jacobians. With v_1.. v_n the directions of
a sketch, the first k of which are kept, and A those of B and v_1.. v_n,

    left_s^2 ||X_s||^2 = sum_{k < j <= n} ||X_s v_j||^2 + ||X_s - X_s A^T A||^2,

whose last term is found by some random rows g^T X_s, for E ||g^T M||^2 = ||M||^2; as a
difference of squares float32 would know it to 3e-4 only.
"""

import math
from typing import NamedTuple

import numpy as np

WORTH = 0.8  # of the directions at which a basis costs what the rows do
MARGIN = 1 / 8  # of the directions needed last: as many more are tried
PARTS = 16  # of the embedding, at most: each has its own rows of the sketch
PROBES = 4  # random rows of an input that find what is left of it
LEAST = 64  # times the least normal number: inputs with smaller probes are nothing
RIDGE = np.finfo(np.float32).eps ** 2  # on a singular Gram matrix of rows of norm 1


class Found(NamedTuple):
    """What of some tangents counts."""

    coefficients: np.ndarray  # (input, embedding, inside + more)
    more: np.ndarray  # (more, size): orthonormal directions beyond those inside


class Finder:
    """Finds bases, and learns each time how many directions the next will need.

    Parameters
    ----------
    tolerance : float
        What may be left of inputs' tangents, relative to their norms.
    of_each : bool
        Of each input, or else at the root mean square over the inputs of a bundle.

    Attributes
    ----------
    residual : float
        The most that was left of any input.
    """

    def __init__(self, tolerance, *, of_each=True):
        self.residual = 0.0
        self._over_inputs = np.max if of_each else np.mean
        self._tolerance = tolerance
        self._needed = {}  # (what for, age) and (what for, age, phase): directions
        self._normal = np.zeros(0, np.float32)  # random numbers, drawn once

    def cut(self, basis, factor, n_kept, coefficients, ages, phase=0):
        """Return a basis of fewer directions, and bundles' coefficients in it.

        Parameters
        ----------
        basis : ndarray of shape (rank, states)
            W.
        factor : ndarray of shape (rank, rank)
            L of W: :func:`lower_factor`.
        n_kept : int
            So many of the first directions stay: those of other, older bundles.
        coefficients : list of ndarray of shape (input, embedding, rank)
            C_s L of the bundles' inputs, the oldest bundle first; ranks do not fall.
        ages : list of int
            Of each bundle's youngest input, in tokens.
        phase : int
            Which of the cuts that come again and again: in each, tangents of one age
            need about as many directions.

        Returns
        -------
        basis : ndarray of shape (fewer, states)
            Orthonormal to rounding, the directions that are kept first.
        coefficients : list of ndarray of shape (input, embedding, fewer)
        """
        directions = np.eye(len(basis), dtype=basis.dtype)  # the first n_found so far
        n_found, smaller = n_kept, []
        for tangents, age in zip(coefficients, ages, strict=True):
            size = tangents.shape[-1]
            inside = directions[:n_found, :size]
            found = self.find(tangents, inside, size - n_found, ("cut", age, phase))
            if found is None:  # all are needed
                found = _all(tangents, inside)
            first, n_found = n_found, n_found + len(found.more)
            directions[first:n_found] = 0
            directions[first:n_found, :size] = found.more
            smaller.append(found.coefficients)
        # V Q = (V L^-1) W: Q itself is not needed
        chosen = np.linalg.solve(factor.T, directions[:n_found].T).T
        return chosen.astype(basis.dtype) @ basis, smaller

    def join(self, basis, tangents, age, phase=0):
        """Return a wider basis, and coefficients of tangents that join it.

        Parameters
        ----------
        basis : ndarray of shape (rank, states)
            Orthonormal.
        tangents : ndarray of shape (input, embedding, states)
        age, phase : int
            As for :meth:`cut`.

        Returns
        -------
        tuple of ndarray, or None
            (more, states) and (input, embedding, more). None if rows of their own are
            cheaper: a token takes of each row 2 states units operations, and what R
            rows add to the sums takes 2 R units for each direction: k more directions
            are worth R rows while  R states > k states + R (rank + k).
        """
        (rank, n_states), n_rows = basis.shape, tangents.shape[0] * tangents.shape[1]
        most = int(WORTH * n_rows * (n_states - rank) / (n_states + n_rows))
        found = self.find(tangents, basis, most, ("join", age, phase))
        if found is None:
            return None
        return np.concatenate([basis, found.more]), found.coefficients

    def find(self, tangents, inside, most, key):
        """Return the directions that tangents need; None if those are over `most`.

        Parameters
        ----------
        tangents : ndarray of shape (input, embedding, size)
        inside : ndarray of shape (inside, size)
            Orthonormal directions that are there in any case.
        most : int
        key : (str, int, int)
            What for, age and phase.

        Returns
        -------
        Found or None
        """
        probes = self._probes(tangents)
        peaks = np.abs(probes).max(axis=(1, 2), keepdims=True)
        least = LEAST * np.finfo(peaks.dtype).tiny
        # all may be forgotten, or be NaN, which the sums will tell
        if most < 1 or not least <= peaks.max() < np.inf:
            return None
        weights = np.where(peaks >= least, 1 / np.maximum(peaks, least), 0)
        probes *= weights
        n_inside, directions = len(inside), inside
        coefficients = _coefficients(tangents, inside)
        guess = self._needed.get(key[:2], most // 2 + 1)
        n_more = min(self._needed.get(key, guess), most)
        while True:
            n_tried = len(directions) - n_inside
            sketch = self._mixed(tangents, weights, n_tried, n_more)
            more = _beyond(sketch, directions)
            directions = np.concatenate([directions, more])
            more = _coefficients(tangents, more)
            coefficients = np.concatenate([coefficients, more], axis=2)
            left = _left(coefficients * weights, probes, directions)[:, n_inside:]
            over_inputs = self._over_inputs(left, axis=0)
            enough = np.flatnonzero(over_inputs <= self._tolerance**2)
            if len(enough):
                break
            n_tried += n_more
            if n_tried == most:
                return None
            # those that were found stay, and some of what they leave are added
            n_more = min(n_tried // 4 + PARTS, most - n_tried)
        rank = int(enough[0])
        self._needed[key] = self._needed[key[:2]] = rank + 2 + int(MARGIN * rank)
        self.residual = max(self.residual, float(np.sqrt(left[:, rank].max())))
        n_all = n_inside + rank
        return Found(coefficients[..., :n_all], directions[n_inside:n_all])

    def _draw(self, *shape, start=0):
        """Return normal random numbers, of which one draw serves all sketches."""
        size = start + math.prod(shape)
        if size > len(self._normal):
            rng = np.random.default_rng(0)
            self._normal = rng.standard_normal(size, dtype=np.float32)
        return self._normal[start:size].reshape(shape)

    def _probes(self, tangents):
        """Return random rows g^T X_s of each input, (input, probe, size)."""
        n_inputs, n_rows, _ = tangents.shape
        normal = self._draw(n_inputs * PROBES * n_rows)[::-1]  # not the sketch's
        normal = normal.reshape(n_inputs, PROBES, n_rows)
        return normal.astype(tangents.dtype, copy=False) @ tangents

    def _mixed(self, tangents, weights, n_before, n_mixed):
        """Return rows (row, size), mixed of one part of each input's, in turns.

        Inputs are scaled by their weights (input, 1, 1). The random numbers are others
        than those that mixed the `n_before` rows before.
        """
        n_inputs, n_rows, size = tangents.shape
        n_parts = math.gcd(PARTS, n_rows)
        n_own = n_rows // n_parts
        turn = n_before % n_parts  # of the part that comes next
        each = n_parts, -(-(turn + n_mixed) // n_parts), n_inputs, n_own
        start = n_parts * -(-n_before // n_parts) * n_inputs * n_own
        mixture = self._draw(*each, start=start)
        mixture = mixture.astype(tangents.dtype, copy=False) * weights[..., 0]
        parts = tangents.reshape(-1, n_parts, size).swapaxes(0, 1)  # every so many rows
        mixed = mixture.reshape(n_parts, -1, n_inputs * n_own) @ parts
        return mixed.swapaxes(0, 1).reshape(-1, size)[turn : turn + n_mixed]


def _coefficients(tangents, directions):
    """Return X_s V^T of each input, (input, embedding, direction)."""
    rows = tangents.reshape(-1, tangents.shape[-1])  # one product for all inputs
    return (rows @ directions.T).reshape(*tangents.shape[:2], -1)


def _beyond(sketch, inside):
    """Return orthonormal directions (row, size) of what of a sketch is not inside."""
    sketch = sketch - (sketch @ inside.T) @ inside
    directions = _orthonormal(sketch.astype(np.float64)).astype(sketch.dtype)
    # once more: what is beyond may be small, and rounding is not
    return directions - (directions @ inside.T) @ inside


def _left(coefficients, probes, directions):
    """Return what the first k directions leave, k = 0..all, of each input (input, k).

    Squares, relative to an input's norm, of those that are something.
    """
    squares = np.einsum("sek,sek->sk", coefficients, coefficients).astype(np.float64)
    n_inputs, _, size = probes.shape
    rows = probes.reshape(-1, size)  # one product for all inputs
    beyond = (rows - (rows @ directions.T) @ directions).reshape(n_inputs, -1)
    beyond = np.einsum("si,si->s", beyond, beyond)[:, None] / PROBES
    tails = np.cumsum(np.append(beyond, squares[:, ::-1], axis=1), axis=1)[:, ::-1]
    tails = tails[tails[:, 0] > 0]
    return tails / tails[:, :1]


def _all(tangents, inside):
    """Return all directions beyond those inside."""
    complete = np.linalg.qr(inside.T, mode="complete")[0].T
    more = complete[len(inside) :]
    directions = np.concatenate([inside, more])
    return Found(_coefficients(tangents, directions), more)


def lower_factor(basis):
    """Return L (rank, rank) of a basis W = L Q (rank, states): L L^T = W W^T, float64.

    Where rows depend on others, to float32's rounding, `RIDGE` takes the place of what
    is left of them; their share in W stays what it is.
    """
    peaks = np.abs(basis).max(axis=1, initial=0).astype(np.float64)
    peaks[peaks == 0] = 1
    rows = basis / peaks[:, None]  # whose squares float64 holds
    gram = rows @ rows.T
    norms = np.sqrt(gram.diagonal())
    norms[norms == 0] = 1
    gram /= np.outer(norms, norms)
    try:
        factor = np.linalg.cholesky(gram)
    except np.linalg.LinAlgError:
        gram[np.diag_indices(len(gram))] += RIDGE
        factor = np.linalg.cholesky(gram)
    return (peaks * norms)[:, None] * factor


def _orthonormal(rows):
    """Return an orthonormal basis of rows: Q = L^-1 rows, L L^T = Gram.

    Half the work of a QR decomposition, which is used where the Gram matrix, of the
    square of the rows' condition, is singular in float64. (NumPy lets other jobs'
    threads go on meanwhile, as SciPy does not: so an inverse, and no triangular solve.)
    """
    try:
        factor = np.linalg.cholesky(rows @ rows.T)
    except np.linalg.LinAlgError:
        return np.linalg.qr(rows.T)[0].T
    return np.linalg.inv(factor) @ rows
