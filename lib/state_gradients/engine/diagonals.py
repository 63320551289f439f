"""Cells whose units never meet: of an input a unit holds a few numbers, not a row.

Where J is a diagonal (an LRU's turns each complex number), the tangents of a unit stay
within what B has put there: some fixed columns K_k of the input kernels, weighed by
numbers that change from token to token,

    B_t = sum_k K_k diag(b_{t,k}),   so that   X_{t,tau} = sum_k K_k diag(c_{t,tau,k}).

Two or three numbers of each unit are carried in the place of as many as the embedding
has, and the kernels come in when all has been summed up:

    mean X = sum_k K_k diag(mean c_k),
    mean X X' = sum_km K_k diag(mean c_k c_m) K_m'.

Where the terms of these sums all but cancel, their rounding would be what is left of
the second moment: such a job is carried by its tangents.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from state_gradients.engine import tiles
from state_gradients.engine.sums import Sums

CANCEL = 1e-2  # of the sum of what each kernel adds to |X|^2: less is left, of float32


def job_sums(job):
    """Return the sums over a job's inputs, as :func:`tiles.job_sums` does.

    By the coefficients c of its one cell, where that has them, nothing is asked for but
    its state, and they do not cancel; else by the tangents themselves.
    """
    if not _applies(job):
        return tiles.job_sums(job)
    cell = _Apart.of(job.cells[0])
    sums = _CoefficientSums(replace(job, cells=(cell,), n_steps=len(cell.kernels)))
    for _ in tiles.carry(sums.job, sums):
        pass
    coefficients, *products = sums.totals()
    kernels = cell.kernels.astype(np.float64)
    tangents = np.einsum("...ku,keu->...eu", coefficients, kernels)
    if not products:
        return [tangents]
    moment = _second_moment(products[0], kernels)
    if job.dtype == np.float32 and _cancel(products[0], kernels, moment):
        return tiles.job_sums(job)
    return [tangents, moment]


def _applies(job):
    cell, *others = job.cells
    return (
        not others
        and getattr(cell, "span", None) is not None
        and len(cell.sizes) == 1  # no output that is no state
        and job.readout is None
        and job.n_steps is None
    )


def _second_moment(products, kernels):
    """Return X X' from sums of c_k c_m (.., pair, unit) and K (k, embedding, unit)."""
    size = kernels.shape[1]
    found = np.zeros((*products.shape[:-2], size, size))
    for index in zip(*products.any(axis=(-2, -1)).nonzero(), strict=True):
        for k, m, product in zip(*_pairs(kernels), products[index], strict=True):
            part = (kernels[k] * product) @ kernels[m].T
            found[index] += part if k == m else part + part.T
    return found


def _cancel(products, kernels, moment):
    """Return whether |X|^2 is next to nothing beside sum_k |K_k diag(c_k)|^2."""
    k, m = _pairs(kernels)
    squares = (kernels**2).sum(axis=1)  # of each kernel's columns
    apart = np.einsum("...ku,ku->...", products[..., k == m, :], squares)
    together = np.trace(moment, axis1=-2, axis2=-1)
    return bool((together < CANCEL * apart).any())


def _pairs(kernels):
    """Return the indices k and m <= k of the pairs of coefficients."""
    return np.tril_indices(len(kernels))


@dataclass(frozen=True, eq=False)
class _Apart:
    """A cell of which tangents are coefficients (k, unit), for the tiles."""

    cell: Any  # a readers.ClosedForm with a span
    kernels: np.ndarray  # (k, in, unit)
    weights: tuple  # of a cell whose input is the coefficients

    @classmethod
    def of(cls, cell):
        return cls(cell, *cell.span(cell.weights))

    @property
    def sizes(self):
        return self.cell.sizes

    @property
    def output(self):
        return self.cell.output

    def differentials(self, x, states):
        """Return each token's differential, as a function; B is (k, unit)."""
        return self.cell.coefficients(self.weights, len(self.kernels), x, states)


class _CoefficientSums(Sums):
    """Sums of coefficients, and of the products of each unit's by pairs."""

    def __init__(self, job):
        super().__init__(job)
        self.job = job
        self._pairs = _pairs(job.cells[0].kernels)
        if self.has_second_moment:
            n_kinds, n_delays, _, units = self.shapes[0]
            self.shapes[1] = n_kinds, n_delays, len(self._pairs[0]), units

    def square(self, tangents):
        """Return c_k c_m of each source, from c (source, k, unit)."""
        k, m = self._pairs
        return tangents[:, k] * tangents[:, m]
