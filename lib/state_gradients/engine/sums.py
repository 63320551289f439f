"""Sums of tangents over inputs: fast in float32 for a few inputs, exact in float64.

X,  X X' for the second moment,  (X R') (X R')' for the influence
"""

from collections import Counter

import numpy as np

FLUSH = 64  # inputs whose float32 sum is safe: relative error below 64 * 2^-24 = 4e-6
DEEP = 24  # rows of a basis: a product that sums over so many is worth its output
ROUNDING = 64  # times what products may lose by it at a delay: halves may lose that
FEW = 32  # rows: of so few, a general product takes half the time of syrk


def gram(x):
    """Return X X^T of each input, from x (.., row, column).

    NumPy leaves the product of an array with itself to BLAS's syrk, which pays for many
    rows only; a copy keeps it from that.
    """
    other = x.copy() if x.shape[-2] <= FEW else x
    return x @ other.swapaxes(-1, -2)


class Sums:
    """Sums over inputs for each group, of the tangents X, X X^T, and of influence.

    A group has arrays (kind, delay, embedding, units), (kind, delay, embedding,
    embedding) and, of the influence, (1, delay, embedding, embedding), those that are
    asked for, from its first input on. They run in the chain's precision over at most
    `FLUSH` inputs, then move to float64.
    """

    def __init__(self, job):
        request = job.request
        self.dtype = job.dtype
        self.n_groups = request.n_groups
        widths = [job.cells[-1].sizes[request.state_indices[0]]]
        if request.second_moment:
            widths.append(job.n_inputs)
        n_kinds, n_delays = len(request.state_indices), request.max_delay + 1
        self.shapes = [(n_kinds, n_delays, job.n_inputs, width) for width in widths]
        self.has_second_moment = request.second_moment
        if job.readout is not None:
            self.shapes.append((1, n_delays, job.n_inputs, job.n_inputs))
        self.running = {}  # group: list of arrays
        self.flushed = {}  # the same in float64
        self.added = Counter()  # group: inputs in its running sums

    def expect(self, members, n_sources):
        """Make room for a tile's inputs."""
        groups, counts = [0], [n_sources]
        if members is not None:
            groups, counts = np.unique(np.concatenate(members), return_counts=True)
        for group, n in zip(groups, counts, strict=True):
            if group not in self.running:
                self.running[group] = [np.zeros(s, self.dtype) for s in self.shapes]
            if self.added[group] and self.added[group] + n > FLUSH:
                self.flush(group)
            self.added[group] += n

    def flush(self, group):
        """Move a group's running sums into its float64 sums."""
        parts = self.running[group]
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
        self._add(0, kind, members, delays, tangents)
        if self.has_second_moment:
            self._add(1, kind, members, delays, self.square(tangents))

    def square(self, tangents):
        """Return what the second moment is the sum of, for each source."""
        return gram(tangents)

    def add_influence(self, members, delays, moved):
        """Add Y Y^T of Y = X R^T (source, embedding, row), as :meth:`add` does X."""
        self._add(-1, 0, members, delays, gram(moved))

    def _add(self, number, kind, members, delays, part):
        if members is None:
            total = self.running[0][number][kind]
            total[delays[-1] : delays[0] + 1] += part[::-1]
            return
        for groups, delay, one in zip(members, delays, part, strict=True):
            for group in groups:
                total = self.running[group][number][kind, delay]
                total += one

    def add_shared(self, members, ages, coefficients, history):
        """Add C_s W_t of sources that share a basis, t = 0.. since it was cut.

        Parameters
        ----------
        members : list of tuples of int, or None
            As for :meth:`add`.
        ages : ndarray of int, shape (source,)
            The delay of each source at t = 0, falling.
        coefficients : ndarray of shape (source, embedding, rank)
        history : list of ndarray of shape (token, rank, units)
            Of each kind, the basis W at each t.
        """
        for kind, bases in enumerate(history):
            if members is None and (np.diff(ages) == -1).all():
                self._add_neighbours(kind, int(ages[0]), coefficients, bases)
                continue
            for k, (age, one) in enumerate(
                zip(ages.tolist(), coefficients, strict=True)
            ):
                n_tokens = max(0, min(len(bases), self.shapes[0][1] - age))
                tangents = one @ bases[:n_tokens]
                parts = [tangents]
                if len(self.shapes) > 1:
                    parts.append(gram(tangents))
                for group in (0,) if members is None else members[k]:
                    for total, part in zip(self.running[group], parts, strict=True):
                        total[kind, age : age + n_tokens] += part

    def _add_neighbours(self, kind, age, coefficients, bases):
        """As :meth:`add_shared`, of sources one token apart, all in group 0."""
        first, *second = (sums[kind] for sums in self.running[0])
        by_token = coefficients.shape[-1] >= DEEP
        add = _add_by_token if by_token else _add_by_delay
        add(first, age, coefficients, bases)
        for total in second:
            _add_squares(total, age, coefficients, bases)

    def take(self, group):
        """Hand a group's sums out, as precise as they are, and forget them."""
        if group in self.flushed:
            self.flush(group)
        running = self.running.pop(group)
        return self.flushed.pop(group, running)

    def totals(self):
        """Return all in float64: arrays (kind, group, delay, embedding, ..)."""
        if self.n_groups == 1 and self.running:  # no copy, for there may be many delays
            return [part.astype(float, copy=False)[:, None] for part in self.take(0)]
        totals = [
            np.zeros((n_kinds, self.n_groups, *shape))
            for n_kinds, *shape in self.shapes
        ]
        for group in list(self.running):
            for total, part in zip(totals, self.take(group), strict=True):
                total[:, group] = part
        return totals


def _add_by_token(total, age, coefficients, bases):
    """Add C_k W_t of neighbouring sources to `total` (delay, embedding, units).

    After one token the sources stand at delays side by side, the last one's first.
    """
    last_first = np.ascontiguousarray(coefficients[::-1])
    delays = total[age + 1 - len(coefficients) :]
    n_delays = len(coefficients) + len(bases) - 1
    if len(delays) >= n_delays and _round_little(last_first, bases):
        _add_halves(delays[:n_delays], last_first, bases)
    else:
        _add_products(delays, last_first, bases)


def _round_little(left, right):
    """Return whether halves may lose at most `ROUNDING` times what products may.

    At a delay, products lose by rounding at most a share of the sum, over its i and j
    and over r, of ||column r of left_i|| ||row r of right_j||; halves lose a share of
    that of the largest columns and rows, at every delay. Of what is not finite they
    may lose all.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        columns = np.sqrt(np.einsum("ner,ner->nr", left, left)).astype(float)
        rows = np.sqrt(np.einsum("nru,nru->nr", right, right)).astype(float)
        sizes = columns @ rows.T  # (source, token)
        largest = columns.max(axis=0) @ rows.max(axis=0)
    delays = np.add.outer(np.arange(len(left)), np.arange(len(right)))
    at_delays = np.bincount(delays.ravel(), weights=sizes.ravel())
    return largest < ROUNDING * at_delays.min()


def _add_halves(total, left, right):
    """Add as :func:`_add_products`, all delays there: three products in place of four.

        (A + z B) (C + z D) = A C + z [(A + B) (C + D) - A C - B D] + z^2 B D

    with z a shift by half of the tokens (Karatsuba and Ofman 1962), and so on.
    """
    half, rest = divmod(len(right), 2)
    if half < 2 or rest or len(left) != len(right):
        _add_products(total, left, right)
        return
    n_delays = 2 * half - 1
    middle = total[half : half + n_delays]
    for part in (slice(0, half), slice(half, None)):
        product = np.zeros((n_delays, *total.shape[1:]), total.dtype)
        _add_halves(product, left[part], right[part])
        total[2 * part.start : 2 * part.start + n_delays] += product
        middle -= product
    _add_halves(middle, left[:half] + left[half:], right[:half] + right[half:])


def _add_products(total, left, right):
    """Add left_i right_j to total[i + j] (delay, embedding, units), where that is.

    One product [left_0 left_1 ..] right_j adds to delays side by side, a sum over the
    `rank` of the basis.
    """
    rows = left.reshape(-1, left.shape[-1])  # (source x embedding, rank)
    for delay, basis in enumerate(right):
        delays = total[delay : delay + len(left)]
        into = delays.reshape(-1, delays.shape[-1])
        into += rows[: len(into)] @ basis


def _add_by_delay(total, age, coefficients, bases):
    """As :func:`_add_by_token`, for bases of so few rows that these sums were short.

    At one delay, source k is at token t + k, and the bases that count lie side by side:
    one product adds up all sources,  sum_k C_k W_(t + k) = [C_0 C_1 ..] W.
    """
    _, size, rank = coefficients.shape
    stacked = coefficients.swapaxes(1, 2).reshape(-1, size)  # (source x rank, E)
    rows = bases.reshape(len(bases) * rank, -1)
    for delay, sources, tokens in _by_delay(total, age, coefficients, bases):
        left = stacked[sources.start * rank : sources.stop * rank]
        right = rows[tokens.start * rank : tokens.stop * rank]
        total[delay] += left.T @ right


def _add_squares(total, age, coefficients, bases):
    """Add sum_k C_k (W W^T) C_k^T of neighbouring sources to `total` (delay, E, E)."""
    _, size, rank = coefficients.shape
    stacked = coefficients.swapaxes(1, 2).reshape(-1, size)
    grams = gram(bases)
    for delay, sources, tokens in _by_delay(total, age, coefficients, bases):
        moved = coefficients[sources] @ grams[tokens]  # (source, E, rank)
        moved = moved.swapaxes(0, 1).reshape(size, -1)
        total[delay] += moved @ stacked[sources.start * rank : sources.stop * rank]


def _by_delay(total, age, coefficients, bases):
    """Yield (delay, sources, tokens): slices of which sources are there, and when.

    Source k has a delay at token  delay - age + k.
    """
    n_sources, n_tokens = len(coefficients), len(bases)
    for delay in range(age + 1 - n_sources, min(age + n_tokens, len(total))):
        sources = slice(max(0, age - delay), min(n_sources, age - delay + n_tokens))
        first = delay - age
        yield delay, sources, slice(first + sources.start, first + sources.stop)
