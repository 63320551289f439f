"""The engine on an accelerator: all delays in flight at once, compiled.

The same sums as :mod:`state_gradients.engine.tiles`, by the same formulas, ordered for
a device that wants few large steps: at every token one block of (max_delay + 1) x
embedding tangent rows moves on by one delay, in a loop that the backend compiles.
"""

from functools import lru_cache

import keras
import numpy as np
from keras import ops

from state_gradients.engine.sums import FLUSH
from state_gradients.foundation import backends

CHUNK = FLUSH  # tokens whose float32 sum is safe


def block_sums(block):
    """Return the sums over a block's inputs, as :func:`chains.block_sums` does."""
    n_tokens, width = len(block.trace[0][0]), block.max_delay + 1
    chosen = _chosen(block, n_tokens)
    tangents = [
        [np.zeros((width, block.n_inputs, n), block.dtype) for n in cell.sizes]
        for cell in block.cells
    ]
    totals = [0] * (1 + block.second_moment)
    sweep = _compiled(block.cells, block.picked, block.second_moment)
    for start in range(0, n_tokens, CHUNK):
        rows = slice(start, start + CHUNK)
        trace = [
            [_padded(a[rows], block.dtype) for a in layer] for layer in block.trace
        ]
        parts, tangents = sweep(trace, _padded(chosen[rows], block.dtype), tangents)
        parts = [ops.convert_to_numpy(part).astype(np.float64) for part in parts]
        totals = [a + b for a, b in zip(totals, parts, strict=True)]
    return totals


def _chosen(block, n_tokens):
    """Return (token, group, delay): 1 where the input that far back counts."""
    chosen = np.zeros((n_tokens, block.n_groups, block.max_delay + 1))
    members = block.members or [(0,)] * len(block.sources)
    for source, end, groups in zip(block.sources, block.ends, members, strict=True):
        delays = np.arange(end - source + 1)
        for group in groups:
            chosen[source + delays, group, delays] = 1
    return chosen


def _padded(values, dtype):
    """Fill a chunk's last tokens with zeros, which do not count."""
    missing = [(0, CHUNK - len(values))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values.astype(dtype), missing)


@lru_cache(maxsize=1)  # a text's blocks share one; the next text may have other cells
def _compiled(cells, picked, second_moment):
    """Return ``sweep(trace, chosen, tangents) -> sums, tangents`` over one chunk."""

    def sweep(trace, chosen, tangents):
        found = []
        for cell, (x, *states) in zip(cells, trace, strict=True):
            d = cell.on_backend(x, states)
            found.append((d.inputs, d.dense, d.diagonal))

        def one_token(t, carry):
            tangents, sums = carry
            at = keras.tree.map_structure(
                lambda a: a if a is None or isinstance(a, int) else a[t], found
            )
            after, below = [], None
            for cell, states, d in zip(cells, tangents, at, strict=True):
                after.append(_moved(states, d, below))
                below = after[-1][cell.output]
            added = []
            for kind, place in enumerate(picked):
                x = after[-1][place]
                parts = [x]
                if second_moment:
                    parts.append(ops.matmul(x, ops.swapaxes(x, 1, 2)))
                added.append(
                    [
                        total + chosen[t][:, :, None, None] * part
                        for total, part in zip(sums[kind], parts, strict=True)
                    ]
                )
            return after, added

        zeros = []
        for place in picked:
            x = tangents[-1][place]
            shapes = [x.shape, (*x.shape[:2], x.shape[1])][: 1 + second_moment]
            zeros.append(
                [ops.zeros((chosen.shape[1], *s), dtype=chosen.dtype) for s in shapes]
            )
        tangents, sums = ops.fori_loop(0, CHUNK, one_token, (tangents, zeros))
        return [ops.stack(parts) for parts in zip(*sums, strict=True)], tangents

    return backends.compiled(sweep)


def _moved(states, d, below):
    """Return tangents (delay, embedding, units), all one delay on; delay 0 begins.

    On every layer the oldest delay leaves; above the first, delay 0 begins at zero and
    `below` drives it as it drives the others.
    """
    inputs, dense, diagonal = d
    old = [ops.pad(x[:-1], [(1, 0), (0, 0), (0, 0)]) for x in states]
    moved = [0] * len(states)
    for (j, i), matrix in dense.items():
        moved[i] = moved[i] + ops.matmul(old[j], matrix)
    for i, matrix in enumerate(inputs):
        if below is None:
            fresh = ops.pad(matrix[None], [(0, old[i].shape[0] - 1), (0, 0), (0, 0)])
        else:
            fresh = ops.matmul(below, matrix)
        moved[i] = moved[i] + fresh
    for i in reversed(range(len(states))):
        if diagonal[i] is not None:
            j, scale = diagonal[i]
            moved[i] = moved[i] + scale * (moved[j] if j > i else old[j])
    return moved
