"""The engine in less: inputs of some age are carried in one basis that they share.

    X_{s,t} = C_s W_t,   W_t = W_{t-1} J_t        (engine.shared_basis)

One sweep over a job's tokens. An input's tangents are rows of their own at first, as
in :mod:`state_gradients.engine.tiles`; when `JOINED` inputs are `YOUNGEST` tokens old,
they become a bundle, with coefficients in the basis, which they widen. Every `JOINED`
tokens what the bundles add to the sums is made from what the basis was at each of them,
the basis is made orthonormal, and some bundles are cut to what they still need of it,
the younger ones more often, two as one where both are old. Where rows are too
independent for that, as those of a GRU are for longer than an LSTM's, they are let grow
older. All rows in flight make one product a token.
"""

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from state_gradients.engine import diagonals, shared_basis, sums, tiles
from state_gradients.engine.rows import Rows

YOUNGEST = 7  # tokens: before, the rows of some inputs are nearly independent
JOINED = 8  # inputs that become a bundle, and tokens from cut to cut
PATIENCE = 12  # tokens more: then fewer become one
ALIKE = 0.6  # ages that differ by so much of the lower: two bundles become one
ALL = 8  # every so many cuts all bundles are cut
CHECKED = 0.01  # of the inputs go both ways,
TOGETHER = 12  # of them, and more, side by side


class Bundle(NamedTuple):
    """Some inputs' coefficients in the basis."""

    sources: list  # indices into the job's
    coefficients: np.ndarray  # (source, embedding, rank)

    @property
    def rank(self):
        """Return how many directions of the basis count, the first ones."""
        return self.coefficients.shape[-1]

    def times(self, factor):
        """Return it in another basis, Q of W = L Q; `factor` is L (rank, rank)."""
        own = factor[: self.rank, : self.rank].astype(self.coefficients.dtype)
        n_rows = self.coefficients.shape[0] * self.coefficients.shape[1]
        turned = self.coefficients.reshape(n_rows, self.rank) @ own
        return self._replace(coefficients=turned.reshape(self.coefficients.shape))

    def without(self, n_sources):
        """Return it without so many inputs, the oldest."""
        return Bundle(self.sources[n_sources:], self.coefficients[n_sources:])


class Check(NamedTuple):
    """What the cuts did, and how far some inputs came out from the exact chain.

    Squares are of Frobenius norms, of sums over a group's inputs that went both ways.
    """

    residual: float  # the largest of any cut, relative to an input's norm
    n_checked: np.ndarray  # (group, delay): inputs that went both ways
    difference: np.ndarray  # (kind, group, delay): of bundles less exact
    exact: np.ndarray  # (kind, group, delay)


def both(check, other):
    """Return the Check of two jobs together; the first may be None."""
    if check is None:
        return other
    totals = map(np.add, check[1:], other[1:])
    return Check(max(check.residual, other.residual), *totals)


def job_sums(job):
    """Return the sums over a job's inputs, of :func:`tiles.job_sums`, and a Check.

    Where no state drives another by a matrix, tangents cost less than a basis of them
    would: they are carried exactly.
    """
    if not any(d.dense for d in tiles.Differentials(job).at(0)):
        n_checked = job.n_samples()
        nothing = np.zeros((len(job.request.state_indices), *n_checked.shape))
        return diagonals.job_sums(job), Check(0.0, n_checked, nothing, nothing)
    total = sums.Sums(job)
    flight = Flight(job, total)
    for _ in flight.carry():
        pass
    return total.totals(), flight.check()


def _chosen(job):
    """Return of which inputs the exact chain is computed too: some side by side.

    One in a hundred of all inputs, drawn at random: of a short job `TOGETHER`, or none.
    Of the first job they are the first: there was nothing older when those joined, and
    so no direction that grows was kept for its sake.
    """
    n_sources = len(job.sources)
    wanted = CHECKED * n_sources
    length = max(TOGETHER, round(wanted))
    if not job.number:
        return slice(0, min(length, n_sources))
    rng = np.random.default_rng(job.number)
    if rng.random() > wanted / length:
        return slice(0, 0)
    first = int(rng.integers(max(1, n_sources - length + 1)))
    return slice(first, min(first + length, n_sources))


class Flight:
    """All rows in flight over a job: the bundles', oldest first, then inputs' own.

    Parameters
    ----------
    job : jobs.Job
        Its request has a tolerance.
    sums : sums.Sums
    pooled : bool
        Whether what goes both ways is checked as one group: of many small ones, as word
        types are, each would need sums of its own.
    """

    def __init__(self, job, sums_of_job, *, pooled=False):
        self._job = job
        self._ends = job.ends.tolist()
        self._sums = sums_of_job
        of_each = job.members is not None
        self._finder = shared_basis.Finder(job.request.tolerance, of_each=of_each)
        self._bundles = []
        self._own = []  # sources with rows of their own
        self._youngest = YOUNGEST  # older, once a basis was not worth it
        self._waiting_until = 0  # a token: few for whom none was worth it
        self._seen = []  # the basis after each token since the last cut
        self._rows = Rows(job)
        chosen = _chosen(job)
        self._chosen = range(len(job.sources))[chosen]
        members = [(0,)] * len(job.sources) if pooled else job.members
        n_groups = 1 if pooled else job.request.n_groups
        request = replace(job.request, n_groups=n_groups, second_moment=False)
        self._checked = replace(job, request=request, members=members).part(chosen)
        self._sums_of_chosen = sums.Sums(self._checked)

    def check(self):
        """Return the Check, once all inputs are in."""
        checked = self._checked
        n_checked = checked.n_samples()
        exact = sums.Sums(checked)
        for tile in tiles.cut(checked):  # each its own job, which forgets its matrices
            for _ in tiles.carry(checked.part(tile), exact):
                pass
        squares = np.zeros((2, len(self._job.request.state_indices), *n_checked.shape))
        for group in [*exact.running]:  # those of which some were drawn
            (ours,), (theirs,) = self._sums_of_chosen.take(group), exact.take(group)
            for delay in range(ours.shape[1]):
                right = theirs[:, delay].astype(float)
                for k, x in enumerate((ours[:, delay] - right, right)):
                    squares[k, :, group, delay] = (x**2).sum(axis=(1, 2))
        return Check(self._finder.residual, n_checked, *squares)

    def carry(self):
        """Carry all inputs to their ends; yield slices of sources that are in."""
        job = self._job
        differentials = tiles.Differentials(job)
        sources, ends = job.sources.tolist(), job.ends.tolist()
        born = done = 0
        for t in range(sources[0], ends[-1] + 1) if sources else ():
            begins = born < len(sources) and sources[born] == t
            if begins:
                self._sums.expect(job.members and job.members[born : born + 1], 1)
                if born in self._chosen:
                    self._sums_of_chosen.expect(self._members_of_chosen([born]), 1)
            if begins or done < born:
                self._rows.step(differentials.at(t), job.n_inputs if begins else 0)
                if begins:
                    self._own.append(born)
                self._see_bundles()
                self._add_own(t)
                born += begins
                in_flight = self._drop(t, born)
                if done < in_flight:
                    yield slice(done, in_flight)
                    done = in_flight
                self._cut(t, no_more=born == len(sources))
            differentials.forget_before(t + 1)

    def _n_shared(self):
        return self._bundles[-1].rank if self._bundles else 0

    def _asked(self, rows):
        """Return some rows in flight of each state asked for, (row, units)."""
        last = self._rows.of_layer(-1, rows)
        return [last[k] for k in self._job.request.state_indices]

    def _see_bundles(self):
        """See what the basis is after a token."""
        if self._bundles:
            asked = self._asked(slice(0, self._n_shared()))
            self._seen.append([basis.copy() for basis in asked])

    def _history(self):
        """Return what was seen since a cut, of each kind (token, rank, units)."""
        return [np.stack(kind) for kind in zip(*self._seen, strict=True)]

    def _add_own(self, t):
        """Add what the inputs with rows of their own are after token t."""
        if not self._own:
            return
        job = self._job
        delays = [t - int(job.sources[k]) for k in self._own]
        members = job.members and [job.members[k] for k in self._own]
        chosen = self._which_are_chosen(self._own)
        groups = self._members_of_chosen(self._own[chosen])
        own = self._asked(slice(self._n_shared(), len(self._rows)))
        for kind, tangents in enumerate(own):
            by_source = tangents.reshape(len(self._own), job.n_inputs, -1)
            self._sums.add(kind, members, delays, by_source)
            if chosen.start < chosen.stop:
                self._sums_of_chosen.add(
                    kind, groups, delays[chosen], by_source[chosen]
                )

    def _add(self, bundle, history, t):
        """Add what a bundle's inputs were in the tokens of a history, the last t."""
        job = self._job
        bases = [kind[:, : bundle.rank] for kind in history]
        members = job.members and [job.members[k] for k in bundle.sources]
        ages = t + 1 - len(bases[0]) - job.sources[bundle.sources]
        self._sums.add_shared(members, ages, bundle.coefficients, bases)
        chosen = self._which_are_chosen(bundle.sources)
        if chosen.start < chosen.stop:
            self._sums_of_chosen.add_shared(
                self._members_of_chosen(bundle.sources[chosen]),
                ages[chosen],
                bundle.coefficients[chosen],
                bases,
            )

    def _which_are_chosen(self, sources):
        """Return the slice of some sources, in order, that go both ways."""
        return slice(*np.searchsorted(sources, [self._chosen.start, self._chosen.stop]))

    def _members_of_chosen(self, sources):
        """Return the groups of sources that go both ways; None where its are None."""
        members = self._checked.members
        return members and [members[k - self._chosen.start] for k in sources]

    def _drop(self, t, born):
        """Let go of what has reached its end; return the first source in flight."""
        n_inputs = self._job.n_inputs
        while self._bundles and self._ends[self._bundles[0].sources[-1]] <= t:
            rank = self._n_shared()
            self._add(self._bundles.pop(0), self._history(), t)
            if not self._bundles:
                self._rows.drop(rank)
                self._seen = []
        # ends do not fall: then no bundle is left, for those are older
        while self._own and self._ends[self._own[0]] <= t:
            del self._own[0]
            self._rows.drop(n_inputs)
        if self._bundles:
            return self._bundles[0].sources[0]
        return self._own[0] if self._own else born

    def _cut(self, t, *, no_more):
        """Add up, cut the bundles that are due, and let inputs join, now and then."""
        if t % JOINED:
            return
        joining = self._joining(t, no_more)
        if not (self._bundles or joining):
            return
        rank = self._n_shared()
        rows = self._rows[: rank + self._job.n_inputs * len(joining)]
        if self._bundles:
            history = self._history()
            for bundle in self._bundles:
                self._add(bundle, history, t)
            self._seen = []
        if not np.isfinite(rows).all():  # which the sums will tell
            return
        basis = self._cut_due(rows[:rank], t) if rank else rows[:0]
        own = rows[rank:].reshape(len(joining), self._job.n_inputs, rows.shape[1])
        basis, n_joined = self._join(basis, joining, own, t)
        left = rows[rank + n_joined * self._job.n_inputs :]
        self._rows.replace(len(rows), np.concatenate([basis, left]))

    def _age(self, sources, t):
        """Return the age of the youngest of some sources after token t."""
        return t - int(self._job.sources[sources[-1]])

    def _cut_due(self, basis, t):
        """Return the basis cut to what the bundles need; those that are due need less.

        Inputs that have reached their ends are left out: nothing is asked of them any
        more, and they would have their share in the rank.
        """
        factor = shared_basis.lower_factor(basis)
        bundles = []
        for bundle in self._bundles:
            n_ended = sum(self._ends[k] <= t for k in bundle.sources)
            bundles.append(bundle.without(n_ended).times(factor))
        goes_back = phase(t // JOINED)
        oldest = reach(self._youngest, goes_back)
        n_kept = sum(self._age(bundle.sources, t) > oldest for bundle in bundles)
        kept, due = bundles[:n_kept], self._together(bundles[n_kept:], t)
        ages = [self._age(bundle.sources, t) for bundle in due]
        basis, coefficients = self._finder.cut(
            basis,
            factor,
            kept[-1].rank if kept else 0,
            [bundle.coefficients for bundle in due],
            ages,
            goes_back,
        )
        cut = zip([bundle.sources for bundle in due], coefficients, strict=True)
        self._bundles = kept + [Bundle(*one) for one in cut]
        return basis

    def _together(self, bundles, t):
        """Return bundles, two as one where they are alike.

        The rank is that of the youngest inputs: where all are old, and of about one
        age, it is hardly above the rank of either.
        """
        together = []
        while bundles:
            first, *bundles = bundles
            if bundles:
                oldest = t - int(self._job.sources[first.sources[0]])
                if oldest <= (1 + ALIKE) * self._age(bundles[0].sources, t):
                    second, *bundles = bundles
                    first = _as_one(first, second)
            together.append(first)
        return together

    def _join(self, basis, joining, own, t):
        """Let inputs join, some at a time; return the wider basis, and how many did."""
        n_joined = 0
        while n_joined < len(joining):
            n_left = len(joining) - n_joined
            n_some = n_left if n_left < 2 * JOINED else JOINED
            some = slice(n_joined, n_joined + n_some)
            age = self._age(joining[some], t)
            joined = self._finder.join(basis, own[some], age, phase(t // JOINED))
            if joined is None:
                self._wait(joining[some], t)
                break
            basis, coefficients = joined
            self._bundles.append(Bundle(joining[some], coefficients))
            n_joined += n_some
        self._own = self._own[n_joined:]
        return basis, n_joined

    def _wait(self, sources, t):
        """Let inputs for which a basis was not worth it grow older."""
        if not self._bundles:
            self._waiting_until = t + self._age(sources, t)
        elif len(sources) < JOINED:
            self._waiting_until = t + PATIENCE
        else:
            self._youngest += JOINED

    def _joining(self, t, no_more):
        """Return the inputs that become a bundle; none, if it is too early for them."""
        if t < self._waiting_until:
            return []
        sources = self._job.sources
        joining = [k for k in self._own if t - sources[k] >= self._youngest]
        enough = (
            len(joining) >= JOINED
            or (no_more and len(joining) == len(self._own))
            or (joining and t - sources[joining[0]] >= self._youngest + PATIENCE)
        )
        return joining if enough else []


def phase(number):
    """Return how far back cut 1, 2, 3, .. goes: 1, 2, 1, 4, 1, 2, 1, `ALL`, 1, 2, .."""
    return math.gcd(number, ALL)


def reach(youngest, phase_of_cut):
    """Return up to which age inputs are cut, where some of age `youngest` join.

    Each cut that goes back twice as far is half as frequent: an input is cut each time
    that its age has about doubled, until all are.
    """
    return math.inf if phase_of_cut == ALL else youngest + 2 * JOINED * phase_of_cut


def most_cuts(delay):
    """Return how often an input is cut at most, up to a delay: first when it joins."""
    ages = range(YOUNGEST, delay + 1, JOINED)
    cuts = [
        sum(age <= reach(YOUNGEST, phase(first + k)) for k, age in enumerate(ages))
        for first in range(ALL)
    ]
    return max(cuts)


def _as_one(before, after):
    """Return two bundles as one; of the older one's directions there are no more."""
    wider = after.rank - before.rank
    padded = np.pad(before.coefficients, [(0, 0), (0, 0), (0, wider)])
    return Bundle(
        before.sources + after.sources,
        np.concatenate([padded, after.coefficients]),
    )
