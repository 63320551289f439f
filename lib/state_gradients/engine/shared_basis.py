"""Tangents of some inputs in a basis that they share: X_s = C_s W, cut to a tolerance.

The tangents of inputs that were read before token t pass through the same Jacobians
from then on, and so their rows, stacked, lose rank together. A shared basis W (rank,
states) with coefficients C_s (embedding, rank) for each input s then takes the place of
all their rows. With Q an orthonormal basis of the rows' range,

    C_s <- X_s Q,   W <- Q^T,   left_s = ||X_s - X_s Q Q^T|| / ||X_s||  (Frobenius).

Q comes from a random sketch of the rows, each input's scaled to norm 1 (Halko,
Martinsson and Tropp 2011, Algorithm 4.1): as many columns of it as leave no more than
`tolerance`, at the root mean square over the inputs where a mean over all of them is
asked for, which loses at most that, and of every input where it is a group's. A row of
the sketch mixes one of `PARTS` of each input's rows only: a sixteenth of the work, and
as good where the parts have about one range, as rows have that passed the same
Jacobians. With q_1.. q_n the columns of a sketch, the first k of which are kept,

    left_s^2 ||X_s||^2 = sum_{k < j <= n} ||X_s q_j||^2 + ||X_s - X_s Q_n Q_n^T||^2,

whose last term is found by some random rows g^T X_s, for E ||g^T A||^2 = ||A||^2; as a
difference of squares, ||X_s||^2 - ||X_s Q_n||^2, float32 would know it to 3e-4 only.
"""

import math
from typing import NamedTuple

import numpy as np

WORTH = 0.8  # of the rank at which a basis costs what the rows do
MARGIN = 0.15  # of the columns needed last: as many more are tried
PARTS = 16  # of the embedding, at most: each has its own rows of the sketch
PROBES = 4  # random rows of an input that find what is left of it
LEAST = 64  # times the least normal number: inputs with smaller probes are nothing


class Shared(NamedTuple):
    """Tangents of inputs as coefficients in a basis."""

    coefficients: np.ndarray  # (input, embedding, rank)
    basis: np.ndarray  # (rank, states)
    residual: float  # the largest of any input, relative to its norm


class Finder:
    """Finds bases, and learns from each how many columns the next will need.

    Parameters
    ----------
    tolerance : float
        What may be left of inputs' tangents, relative to their norms.
    of_each : bool
        Of each input, or else at the root mean square over the inputs of a basis.
    """

    def __init__(self, tolerance, *, of_each=True):
        self._tolerance = tolerance
        self._over_inputs = np.max if of_each else np.mean
        self._needed = {}  # (whether in a basis before, age): columns
        self._normal = np.zeros(0, np.float32)  # random numbers, drawn once

    def find(self, rows, n_inputs, *, coefficients=None, age=0):
        """Return tangents in a smaller basis, None if none is worth it.

        Parameters
        ----------
        rows : ndarray of shape (input x embedding, states)
            The tangents; with `coefficients` a basis (rank, states) of them.
        n_inputs : int
        coefficients : ndarray of shape (input, embedding, rank), optional
        age : int
            Of the youngest input, in tokens: tangents of one age need about as many
            columns.

        Returns
        -------
        Shared or None
        """
        tangents = _Tangents(rows, coefficients, n_inputs)
        probes = self._probes(tangents)
        peaks = np.abs(probes).max(axis=(1, 2), keepdims=True)
        least = LEAST * np.finfo(peaks.dtype).tiny
        most = int(WORTH * tangents.break_even())
        # all may be forgotten, or be NaN, which the sums will tell
        if not least <= peaks.max() < np.inf or most < 1:
            return None
        weights = np.where(peaks >= least, 1 / np.maximum(peaks, least), 0)
        probes *= weights
        key = coefficients is not None, age
        n_columns = self._needed.get(key, most // 2 + 1)
        while True:
            n_columns = min(n_columns, most)
            columns = self._range(tangents, probes, weights, n_columns)
            projected = tangents @ columns
            left = _left(projected * weights, probes, columns)
            over_inputs = self._over_inputs(left, axis=0)
            enough = np.flatnonzero(over_inputs <= self._tolerance**2)
            if len(enough):
                break
            if n_columns == most:
                return None
            n_columns += n_columns // 4 + 4
        rank = int(enough[0])
        self._needed[key] = rank + 2 + int(MARGIN * rank)
        return Shared(
            np.ascontiguousarray(projected[..., :rank]),
            np.ascontiguousarray(columns[:, :rank].T),
            float(np.sqrt(left[:, rank].max())),
        )

    def _draw(self, *shape):
        """Return normal random numbers, of which one draw serves all sketches."""
        size = int(np.prod(shape))
        if size > len(self._normal):
            rng = np.random.default_rng(0)
            self._normal = rng.standard_normal(size, dtype=np.float32)
        return self._normal[:size].reshape(shape)

    def _probes(self, tangents):
        """Return random rows g^T X_s of each input, (input, probe, states)."""
        n_inputs, size, _ = tangents.shape
        normal = self._draw(n_inputs * PROBES * size)[::-1]  # not those of the sketch
        return tangents.probed(normal.reshape(n_inputs, PROBES, size))

    def _range(self, tangents, probes, weights, n_columns):
        """Return an orthonormal basis (states, column) of a sketch of the rows.

        The probes, times the weights, give the inputs' norms, to within what a weight
        need be.
        """
        norms = np.linalg.norm(probes, axis=(1, 2), keepdims=True)
        weights = weights / np.maximum(norms, 1)  # their peak is 1, or 0
        n_inputs, size, _ = tangents.shape
        n_parts = math.gcd(PARTS, size)
        n_each = -(-n_columns // n_parts)
        mixture = self._draw(n_parts, n_each, n_inputs, size // n_parts)
        sketch = tangents.mixed(mixture * weights[..., 0])[:n_columns]
        return _orthonormal(sketch.astype(np.float64)).astype(probes.dtype)


def _left(projected, probes, columns):
    """Return what the first k columns leave, k = 0..all, of each input (input, k).

    Squares, relative to an input's norm, of the inputs that have tangents.
    """
    squares = np.einsum("sek,sek->sk", projected, projected).astype(np.float64)
    beyond = probes - (probes @ columns) @ columns.T
    beyond = np.einsum("spi,spi->s", beyond, beyond)[:, None] / PROBES
    tails = np.cumsum(np.append(beyond, squares[:, ::-1], axis=1), axis=1)[:, ::-1]
    tails = tails[tails[:, 0] > 0]
    return tails / tails[:, :1]


class _Tangents:
    """Rows (input x embedding, states), or coefficients and a basis of them."""

    def __init__(self, rows, coefficients, n_inputs):
        self.rows, self.coefficients = rows, coefficients
        size = len(rows) // n_inputs if coefficients is None else coefficients.shape[1]
        self.shape = n_inputs, size, rows.shape[1]

    def __matmul__(self, columns):
        """Return X_s Q, (input, embedding, column)."""
        projected = self.rows @ columns
        if self.coefficients is None:
            return projected.reshape(*self.shape[:2], -1)
        return self.coefficients @ projected

    def mixed(self, mixture):
        """Return rows (row, states), mixed of one part of each input's, in turns.

        `mixture` has the axes (part, row, input, embedding / part).
        """
        n_parts, n_rows, n_inputs, n_own = mixture.shape
        mixture = mixture.reshape(n_parts, n_rows, -1)
        mixture = mixture.astype(self.rows.dtype, copy=False)
        own = self.rows if self.coefficients is None else self.coefficients
        parts = own.reshape(n_inputs, n_parts, n_own, -1).swapaxes(0, 1)
        mixed = mixture @ parts.reshape(n_parts, n_inputs * n_own, -1)
        mixed = mixed.swapaxes(0, 1).reshape(n_parts * n_rows, -1)
        return mixed if self.coefficients is None else mixed @ self.rows

    def probed(self, probes):
        """Return rows (input, probe, states) that are mixed of each input's own."""
        probes = probes.astype(self.rows.dtype, copy=False)
        if self.coefficients is not None:
            return (probes @ self.coefficients) @ self.rows
        return probes @ self.rows.reshape(self.shape)

    def break_even(self):
        """Return the rank at which a basis costs what the rows do.

        A token of R rows takes 2 R states units operations, of `rank` rows as many a
        row, and their coefficients 2 R rank units more: R states = rank (states + R).
        Rows that are a basis have their coefficients to pay, with any rank.
        """
        n_rows, n_states = self.rows.shape
        if self.coefficients is not None:
            return n_rows
        return n_rows * n_states / (n_rows + n_states)


def _orthonormal(rows):
    """Return an orthonormal basis (states, row) of rows: Q^T = L^-1 rows, L L^T = Gram.

    Half the work of a QR decomposition, which is used where the Gram matrix, of the
    square of the rows' condition, is singular in float64. (NumPy lets other jobs'
    threads go on meanwhile, as SciPy does not: so an inverse, and no triangular solve.)
    """
    try:
        factor = np.linalg.cholesky(rows @ rows.T)
    except np.linalg.LinAlgError:
        return np.linalg.qr(rows.T)[0]
    return (np.linalg.inv(factor) @ rows).T
