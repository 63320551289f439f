"""The engine: tangents of a few inputs at a time, carried while they are in the cache.

    G_{t,tau} = ds_t / de_{t-tau},   X_{t,0} = B_t,   X_{t,tau} = X_{t-1,tau-1} J_t

An input sends `embedding` tangent rows through the next `max_delay` tokens. All rows in
flight share J_t, so a *tile* of neighbouring inputs is carried together: one product a
token, in a core's cache from the tile's first token to its last. Tiles do not depend on
each other; a *job* carries some hundred inputs, and its sums merge with any other's.
"""

from collections import Counter

import numpy as np

from state_gradients.engine.sums import FLUSH, Sums

TILE = 3 * 2**16  # tangent entries of one state: 0.75 MB in float32
AHEAD = 32  # tokens that are read in one call
LONGEST = 256  # inputs of a tile, of which few are in flight at a time


class Differentials:
    """Each layer's differentials by token: made once, forgotten behind the tiles.

    They are big, and neighbouring tiles pass the same tokens. A cell reads `AHEAD`
    tokens in one call; the matrices of a token are made when a tile comes to it.
    """

    def __init__(self, job):
        self._layers = list(zip(job.cells, job.trace, strict=True))
        self._makers = {}  # token: a function a layer, until the token is asked for
        self._differentials = {}  # token: a Differential a layer
        self._first = 0  # the first token that is not forgotten

    def __len__(self):
        """Return of how many tokens something is held."""
        return len(self._makers) + len(self._differentials)

    def at(self, t):
        """Return the differentials of the cells at token t, lowest first."""
        if t not in self._differentials:
            if t not in self._makers:
                self._read_from(t)
            self._differentials[t] = [make() for make in self._makers.pop(t)]
        return self._differentials[t]

    def _read_from(self, t):
        rows = slice(t, t + AHEAD)
        by_layer = [
            cell.differentials(x[rows], [s[rows] for s in states])
            for cell, (x, *states) in self._layers
        ]
        self._makers |= dict(enumerate(zip(*by_layer, strict=True), start=t))

    def forget_before(self, t):
        """Forget the tokens before t: no tile will come to them again."""
        for token in range(self._first, t):
            self._makers.pop(token, None)
            self._differentials.pop(token, None)
        self._first = max(self._first, t)


def job_sums(job):
    """Return the sums over a job's inputs: :meth:`Sums.totals`."""
    sums = Sums(job)
    for _ in carry(job, sums):
        pass
    return sums.totals()


def carry(job, sums, *, tiles=None, differentials=None):
    """Add the tangents of a job's inputs to `sums`; yield each tile when it is in.

    Parameters
    ----------
    job : jobs.Job
    sums : sums.Sums
    tiles : list of slices, optional
        Of the job's sources; what they leave out at the end is not carried.
    differentials : Differentials, optional
        Of the tokens, where those of a job before are to be used again.
    """
    factors = None if job.readout is None else job.factors()
    differentials = Differentials(job) if differentials is None else differentials
    tiles = list(cut(job)) if tiles is None else tiles
    longest = max((len(job.sources[tile]) for tile in tiles), default=0)
    buffers = [  # of each layer's states: tangents, and what drives them
        [np.empty((2, longest * job.n_inputs, size), job.dtype) for size in cell.sizes]
        for cell in job.cells
    ]
    for tile in tiles:
        _carry(job, tile, differentials, buffers, sums, factors)
        yield tile


def cut(job):
    """Yield a job's tiles: slices of its sources, at most `FLUSH` of one group each."""
    sources = job.sources
    span = sources[-1] + 1 - sources[0] if len(sources) else 0
    members = job.members or [(0,)] * len(sources)
    yield from slices(members, inputs_of_tile(job, len(sources), span))


def inputs_of_tile(job, n_sources, span):
    """Return how many inputs go into a tile, of so many among `span` tokens."""
    size = max(1, TILE // (job.n_inputs * max(job.cells[-1].sizes)))
    if n_sources:  # apart, few are in flight
        size = min(size * max(1, span // n_sources), LONGEST)
    return size


def slices(members, size):
    """Yield slices of inputs, `size` each, with at most `FLUSH` of one group."""
    start = 0
    in_tile = Counter()  # inputs of each group
    for k, groups in enumerate(members):
        in_tile.update(groups)
        if k - start == size or max(in_tile[group] for group in groups) > FLUSH:
            yield slice(start, k)
            start = k
            in_tile = Counter(groups)
    if start < len(members):
        yield slice(start, len(members))


def _carry(job, tile, differentials, buffers, sums, factors):
    """Carry the tangents of one tile from its first token to its last.

    `factors` are R of each token, or None if no influence is asked for.
    """
    sources, ends = job.sources[tile].tolist(), job.ends[tile].tolist()
    members = None if job.members is None else job.members[tile]
    is_last = tile.stop == len(job.sources)
    next_tile = len(job.trace[0][0]) if is_last else int(job.sources[tile.stop])
    size = job.n_inputs
    sums.expect(members, len(sources))
    dead = alive = 0  # sources dead:alive are in flight
    for t in range(sources[0], ends[-1] + 1):
        while dead < alive and ends[dead] < t:
            dead += 1
        begins = alive < len(sources) and sources[alive] == t
        born = alive + 1 if begins else alive
        if dead < born:
            rows = size * dead, size * alive, size * born
            step(job.cells, buffers, differentials.at(t), rows)
            alive = born
            in_flight = slice(dead, alive)
            delays = [t - source for source in sources[in_flight]]
            groups = None if members is None else members[in_flight]
            by_source = alive - dead, size, -1
            for kind, state_index in enumerate(job.request.state_indices):
                tangents, _ = buffers[-1][state_index]
                flown = tangents[size * dead : size * alive]
                sums.add(kind, groups, delays, flown.reshape(by_source))
            if factors is not None:
                tangents, _ = buffers[-1][job.cells[-1].output]
                moved = tangents[size * dead : size * alive] @ factors[t].T
                sums.add_influence(groups, delays, moved.reshape(by_source))
        differentials.forget_before(min(t + 1, next_tile))
    differentials.forget_before(next_tile)


def step(cells, buffers, differentials, rows):
    """Advance each layer's rows in flight by a token, and let new rows begin."""
    first, last, end = rows
    below = None
    for cell, states, d in zip(cells, buffers, differentials, strict=True):
        for tangents, _ in states:
            tangents[last:end] = 0
        if below is None:
            _advance([state[:, first:last] for state in states], d)
            if end > last:
                d.advance_in_place([state[0, last:end] for state in states], d.inputs)
        else:
            _advance([state[:, first:end] for state in states], d, below[first:end])
        below, _ = states[cell.output]


def _advance(states, d, below=None):
    """Advance tangents by a token in place.

    `states` are pairs (tangents, what drives them) of (row, units); `below` are the
    tangents of the input where a lower layer drives this one.
    """
    factors = [(states[j][0], i, matrix) for (j, i), matrix in d.dense.items()]
    if below is not None:
        factors += [(below, i, matrix) for i, matrix in enumerate(d.inputs)]
    driven = [None] * len(states)
    for tangents, i, matrix in factors:
        if driven[i] is None:
            driven[i] = np.matmul(tangents, matrix, out=states[i][1])
        else:
            driven[i] += tangents @ matrix
    d.advance_in_place([tangents for tangents, _ in states], driven)
