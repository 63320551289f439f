"""The engine: tangents of a few inputs at a time, carried while they are in the cache.

    G_{t,tau} = ds_t / de_{t-tau},   X_{t,0} = B_t,   X_{t,tau} = X_{t-1,tau-1} J_t

An input sends `embedding` tangent rows through the next `max_delay` tokens. All rows in
flight share J_t, so a *tile* of neighbouring inputs is carried together: one product a
token, in a core's cache from the tile's first token to its last. Tiles do not depend on
each other; a *block* of them is one job, and its sums merge with any other's.
"""

from collections import Counter
from dataclasses import dataclass
from functools import cache

import numpy as np

from state_gradients.engine.sums import FLUSH, Sums

TILE = 3 * 2**16  # tangent entries of one state: 0.75 MB in float32
AHEAD = 32  # tokens that are read in one call
LONGEST = 256  # inputs of a tile, of which few are in flight at a time


@dataclass(frozen=True, kw_only=True)
class Block:
    """What one job needs: a stretch of text, and whose tangents to carry through it."""

    cells: tuple  # readers, lowest first
    trace: list  # of each cell: x, then the states before, arrays (time, size)
    sources: np.ndarray  # increasing places in the stretch, (source,)
    ends: np.ndarray  # the last token each source is carried to, (source,)
    members: list | None  # groups of each source, tuples of int; None: all, in one
    n_groups: int
    max_delay: int
    picked: tuple  # which states of the last cell
    second_moment: bool

    @property
    def dtype(self):
        """Of every array: float32, or float64 for the whole chain in double."""
        return self.trace[0][0].dtype

    @property
    def n_inputs(self):
        """Tangents that each source sends: the embedding's size."""
        return self.trace[0][0].shape[1]


class _Differentials:
    """Each layer's differential at a token, computed once for all tiles."""

    def __init__(self, block):
        self.layers = list(zip(block.cells, block.trace, strict=True))
        self.kept = {}

    def at(self, t):
        """Return the differentials of the cells at token t, lowest first."""
        if t not in self.kept:
            rows = slice(t, t + AHEAD)
            layers = [
                map(cache, cell.differentials(x[rows], [s[rows] for s in before]))
                for cell, (x, *before) in self.layers
            ]
            self.kept |= dict(enumerate(zip(*layers, strict=True), start=t))
        return [make() for make in self.kept[t]]


def block_sums(block):
    """Return the sums over a block's inputs: :meth:`Sums.totals`."""
    sums = Sums(block)
    for _ in carry(block, sums):
        pass
    return sums.totals()


def carry(block, sums):
    """Add the tangents of a block's inputs to `sums`; yield each tile when it is in."""
    differentials = _Differentials(block)
    tiles = list(_tiles(block))
    n = max((len(block.sources[tile]) for tile in tiles), default=0)
    room = [  # of each layer: tangents, and their products with dense blocks
        [np.empty((2, n * block.n_inputs, size), block.dtype) for size in cell.sizes]
        for cell in block.cells
    ]
    for tile in tiles:
        _carry(block, tile, differentials, room, sums)
        yield tile


def _tiles(block):
    """Cut the sources into slices, with no more than `FLUSH` of one group."""
    sources = block.sources
    size = max(1, TILE // (block.n_inputs * max(block.cells[-1].sizes)))
    if len(sources):  # apart, few are in flight
        apart = (sources[-1] + 1 - sources[0]) // len(sources)
        size = min(size * max(1, apart), LONGEST)
    start, found = 0, Counter()
    for k, groups in enumerate(block.members or [(0,)] * len(sources)):
        found.update(groups)
        if k - start == size or max(found[group] for group in groups) > FLUSH:
            yield slice(start, k)
            start, found = k, Counter(groups)
    if start < len(sources):
        yield slice(start, len(sources))


def _carry(block, tile, differentials, room, sums):
    """Carry the tangents of one tile from its first token to its last."""
    sources, ends = block.sources[tile].tolist(), block.ends[tile].tolist()
    members = None if block.members is None else block.members[tile]
    later = block.sources[tile.stop] if tile.stop < len(block.sources) else np.inf
    sums.expect(members, len(sources))
    for t in [t for t in differentials.kept if t < sources[0]]:
        del differentials.kept[t]  # of the gap before this tile
    size = block.n_inputs
    dead = alive = 0  # sources dead:alive are in flight
    for t in range(sources[0], ends[-1] + 1):
        while dead < alive and ends[dead] < t:
            dead += 1
        born = alive + (alive < len(sources) and sources[alive] == t)
        if dead < born:
            rows = (size * dead, size * alive, size * born)
            _step(block.cells, room, differentials.at(t), rows)
        if t < later:
            differentials.kept.pop(t, None)
        alive = born
        if dead == alive:
            continue
        delays = [t - source for source in sources[dead:alive]]
        groups = members if members is None else members[dead:alive]
        for kind, place in enumerate(block.picked):
            tangents = room[-1][place][0, size * dead : size * alive]
            shape = (alive - dead, size, -1)
            sums.add(kind, groups, delays, tangents.reshape(shape))


def _step(cells, room, differentials, rows):
    """Advance each layer's rows in flight by a token, and let new rows begin."""
    first, last, end = rows
    below = None
    for cell, states, d in zip(cells, room, differentials, strict=True):
        if below is not None:  # above the first layer, rows begin as zero
            for tangents, _ in states:
                tangents[last:end] = 0
            _advance([state[:, first:end] for state in states], d, below[first:end])
        elif last > first:
            _advance([state[:, first:last] for state in states], d)
        if below is None and end > last:
            _begin([state[0][last:end] for state in states], d)
        below = states[cell.output][0]


def _begin(states, d):
    """Set tangents (row, units) to B, those of the input that this token is."""
    for i in reversed(range(len(states))):
        states[i][:] = d.inputs[i]
        j, scale = d.diagonal[i] or (i, None)
        if j > i:
            states[i] += states[j] * scale


def _advance(states, d, below=None):
    """Advance tangents by a token in place: X_i = sum_j X_j dense_ji + X_j diagonal_i.

    `states` are pairs (tangents, room) of (row, units); `below` are the tangents of the
    input where a lower layer drives this one.
    """
    factors = [(states[j][0], i, matrix) for (j, i), matrix in d.dense.items()]
    if below is not None:
        factors += [(below, i, matrix) for i, matrix in enumerate(d.inputs)]
    moved = set()
    for tangents, i, matrix in factors:
        if i in moved:
            states[i][1] += tangents @ matrix
        else:
            np.matmul(tangents, matrix, out=states[i][1])
        moved.add(i)
    for i in reversed(range(len(states))):
        tangents, product = states[i]
        if d.diagonal[i] is None:
            tangents[:] = product if i in moved else 0
            continue
        j, scale = d.diagonal[i]
        np.multiply(states[j][0], scale, out=tangents)
        if i in moved:
            tangents += product
