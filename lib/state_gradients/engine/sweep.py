"""The engine on an accelerator: all delays in flight at once, compiled.

The same sums as :mod:`state_gradients.engine.tiles`, by the same formulas, ordered for
a device that wants few large steps: at every token one array of (max_delay + 1) x
embedding tangent rows moves on by one delay, in a loop that the backend compiles.
"""

from functools import lru_cache

import numpy as np
from keras import ops

from state_gradients.engine.sums import FLUSH
from state_gradients.foundation import backends

CHUNK = FLUSH  # tokens whose float32 sum is safe


def job_sums(job):
    """Return the sums over a job's inputs, as :func:`tiles.job_sums` does."""
    request = job.request
    n_tokens = len(job.trace[0][0])
    chosen = _chosen(job, n_tokens)
    tangents = [
        [
            np.zeros((request.max_delay + 1, job.n_inputs, size), job.dtype)
            for size in cell.sizes
        ]
        for cell in job.cells
    ]
    sweep = _compiled(job.cells, request.state_indices, request.second_moment)
    totals = None
    for start in range(0, n_tokens, CHUNK):
        rows = slice(start, start + CHUNK)
        trace = [[_padded(a[rows], job.dtype) for a in layer] for layer in job.trace]
        stop = np.int32(min(CHUNK, n_tokens - start))
        parts, tangents = sweep(trace, _padded(chosen[rows], job.dtype), stop, tangents)
        parts = [ops.convert_to_numpy(part).astype(np.float64) for part in parts]
        if totals is not None:
            parts = [a + b for a, b in zip(totals, parts, strict=True)]
        totals = parts
    return totals


def _chosen(job, n_tokens):
    """Return (token, group, delay): 1 where the input that far back counts."""
    chosen = np.zeros((n_tokens, job.request.n_groups, job.request.max_delay + 1))
    members = job.members or [(0,)] * len(job.sources)
    for source, end, groups in zip(job.sources, job.ends, members, strict=True):
        delays = np.arange(end - source + 1)
        for group in groups:
            chosen[source + delays, group, delays] = 1
    return chosen


def _padded(values, dtype):
    """Fill a text's last chunk with zeros, which are not reached."""
    missing = [(0, CHUNK - len(values))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values.astype(dtype), missing)


@lru_cache(maxsize=1)  # a text's jobs share one; the next text may have other cells
def _compiled(cells, state_indices, second_moment):
    """Return ``sweep(trace, chosen, stop, tangents) -> sums, tangents``, of a chunk."""

    def sweep(trace, chosen, stop, tangents):
        differentials = [
            cell.on_backend(x, states).by_token()
            for cell, (x, *states) in zip(cells, trace, strict=True)
        ]

        def summands(tangents):
            """Return X, and X X^T if asked for, of each state asked for."""
            by_state = []
            for state_index in state_indices:
                x = tangents[-1][state_index]
                parts = [x]
                if second_moment:
                    parts.append(ops.matmul(x, ops.swapaxes(x, 1, 2)))
                by_state.append(parts)
            return by_state

        def one_token(t, carry):
            tangents, sums = carry
            after = []
            below = None
            for cell, states, at in zip(cells, tangents, differentials, strict=True):
                after.append(_advanced(states, at(t), below))
                below = after[-1][cell.output]
            weights = chosen[t][:, :, None, None]
            sums = [
                [total + weights * part for total, part in zip(*pair, strict=True)]
                for pair in zip(sums, summands(after), strict=True)
            ]
            return after, sums

        zeros = [
            [ops.zeros((chosen.shape[1], *x.shape), dtype=chosen.dtype) for x in parts]
            for parts in summands(tangents)
        ]
        tangents, sums = ops.fori_loop(0, stop, one_token, (tangents, zeros))
        return [ops.stack(parts) for parts in zip(*sums, strict=True)], tangents

    return backends.compiled(sweep)


def _advanced(tangents, differential, below):
    """Return tangents (delay, embedding, units), all one delay on; delay 0 begins.

    On every layer the oldest delay leaves and delay 0 begins as zeros. In the first
    layer B drives delay 0, above it `below` drives every delay.
    """
    tangents = [ops.pad(x[:-1], [(1, 0), (0, 0), (0, 0)]) for x in tangents]
    driven = [0] * len(tangents)
    for (j, i), matrix in differential.dense.items():
        driven[i] = driven[i] + ops.matmul(tangents[j], matrix)
    for i, matrix in enumerate(differential.inputs):
        if below is None:
            older = [(0, tangents[i].shape[0] - 1), (0, 0), (0, 0)]
            driven[i] = driven[i] + ops.pad(matrix[None], older)
        else:
            driven[i] = driven[i] + ops.matmul(below, matrix)
    return differential.advance(tangents, driven)
