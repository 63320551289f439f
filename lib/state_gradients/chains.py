"""The engine: tangents of a few inputs at a time, carried while they are in the cache.

    G_{t,tau} = ds_t / de_{t-tau},   X_{t,0} = B_t,   X_{t,tau} = X_{t-1,tau-1} J_t

An input sends `embedding` tangent rows through the next `max_delay` tokens. All rows in
flight share J_t, so a *tile* of neighbouring inputs is carried together: one product a
token, in a core's cache from the tile's first token to its last. Tiles do not depend on
each other; a *block* of them is one job, and its sums merge with any other's. Sums run
in float32 over at most 64 inputs, then in float64.
"""

from dataclasses import dataclass

import numpy as np

TILE = 3 * 2**16  # tangent entries of one state: 0.75 MB in float32
FLUSH = 64  # inputs whose float32 sum is safe: relative error below 64 * 2^-24 = 4e-6


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


class Sums:
    """Sums over inputs for each group, of the tangents X and of X X^T.

    Arrays (kind, group, delay, embedding, units) and (kind, group, delay, embedding,
    embedding). A group's sums run in the chain's precision over at most `FLUSH` inputs,
    then move to its float64 sums.
    """

    def __init__(self, block):
        head = (len(block.picked), block.n_groups, block.max_delay + 1, block.n_inputs)
        widths = [block.cells[-1].sizes[block.picked[0]]]
        widths += [block.n_inputs] * block.second_moment
        self.running = [np.zeros((*head, n), block.dtype) for n in widths]
        self.flushed = {}  # group: list of float64 arrays
        self.added = np.zeros(block.n_groups, int)

    def expect(self, members, n_sources):
        """Make room for a tile's inputs."""
        found = [[0], [n_sources]]
        if members is not None:
            found = np.unique(np.concatenate(members), return_counts=True)
        for group, n in zip(*found, strict=True):
            if self.added[group] and self.added[group] + n > FLUSH:
                self.flush(group)
            self.added[group] += n

    def flush(self, group):
        """Move a group's running sums into its float64 sums."""
        parts = [part[:, group] for part in self.running]
        if group in self.flushed:
            for total, part in zip(self.flushed[group], parts, strict=True):
                total += part
        else:
            self.flushed[group] = [part.astype(np.float64) for part in parts]
        self.added[group] = 0
        for part in parts:
            part[:] = 0

    def add(self, kind, members, delays, tangents):
        """Add tangents (source, embedding, units) that have reached their delays.

        `members` are the sources' groups; None if the sources are neighbours, so that
        `delays` fall one by one, and all stand in group 0.
        """
        parts = [tangents]
        if len(self.running) > 1:
            parts.append(tangents @ tangents.swapaxes(1, 2))
        for running, part in zip(self.running, parts, strict=True):
            if members is None:
                running[kind, 0, delays[-1] : delays[0] + 1] += part[::-1]
                continue
            for groups, delay, one in zip(members, delays, part, strict=True):
                for group in groups:
                    running[kind, group, delay] += one

    def totals(self):
        """Return the float64 sums, a list of one array or two."""
        found = [part.astype(np.float64) for part in self.running]
        for group, parts in self.flushed.items():
            for total, part in zip(found, parts, strict=True):
                total[:, group] += part
        return found

    def merged(self):
        """Return the sums in the chain's precision, in the place they have."""
        for group, parts in self.flushed.items():
            for total, part in zip(self.running, parts, strict=True):
                total[:, group] += part
        self.flushed = {}
        return self.running


class _Differentials:
    """Each layer's differential at a token, computed once for all tiles."""

    def __init__(self, block):
        self.block, self.kept = block, {}

    def at(self, t):
        """Return the differentials of the cells at token t, lowest first."""
        if t not in self.kept:
            rows = slice(t, t + max(cell.batch for cell in self.block.cells))
            layers = [
                cell.differentials(x[rows], [s[rows] for s in before])
                for cell, (x, *before) in zip(
                    self.block.cells, self.block.trace, strict=True
                )
            ]
            self.kept |= dict(enumerate(zip(*layers, strict=True), start=t))
        return self.kept[t]


def block_sums(block):
    """Return the sums over a block's inputs: :meth:`Sums.totals`."""
    sums = Sums(block)
    accumulate(block, sums)
    return sums.totals()


def accumulate(block, sums):
    """Add the tangents of a block's inputs to `sums`, tile by tile."""
    differentials = _Differentials(block)
    sources = block.sources
    span = sources[-1] - sources[0] + 1 if len(sources) else 1
    n = TILE // (block.n_inputs * max(block.cells[-1].sizes))
    n = max(n, 1) * max(span // max(len(sources), 1), 1)  # apart, few are in flight
    n = max(1, min(n, FLUSH, len(sources)))
    room = [  # of each layer: tangents, and their products with dense blocks
        [np.empty((2, n * block.n_inputs, size), block.dtype) for size in cell.sizes]
        for cell in block.cells
    ]
    for start in range(0, len(sources), n):
        _carry(block, slice(start, start + n), differentials, room, sums)


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
