"""The engine in less: inputs of some age are carried as bundles that share a basis.

    X_{s,t} = C_s W_t,   W_t = W_{t-1} J_t        (engine.shared_basis)

One sweep over a job's tokens. An input's tangents are rows of their own at first, as
in :mod:`state_gradients.engine.tiles`; when `JOINED` inputs are `YOUNGEST` tokens old,
they become a bundle, of fewer rows, and a bundle is cut again as it ages, together with
the next one where both are old. Where their rows are too independent for that, as those
of a GRU are for longer than an LSTM's, they are let grow twice as old. All rows in
flight make one product a token. What an input adds to the sums is made from what its
bundle's basis was at some tokens, when the bundle is cut the next time.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from state_gradients.engine import diagonals, sums, tiles
from state_gradients.engine.rows import Rows
from state_gradients.engine.shared_basis import Finder

YOUNGEST = 6  # tokens: before, the rows of some inputs are nearly independent
JOINED = 12  # inputs that become a bundle
PATIENCE = 12  # tokens more: then fewer become one
GROWTH = 2  # of a bundle's age from cut to cut
ALIKE = 0.6  # ages that differ by so much of the lower: two bundles become one
LATEST = 64  # tokens from cut to cut: they bound what is remembered of a bundle
CHECKED = 0.01  # of the inputs go both ways


class Bundle:
    """Inputs that share a basis, and what the basis has been since its last cut."""

    def __init__(self, sources, coefficients):
        self.sources = sources  # indices into the job's
        self.coefficients = coefficients  # (source, embedding, rank)
        self.cut_at = 0  # the token after which it is cut again
        self.first = 0  # the first token of the history
        self.history = None  # (kind, token, rank, units), up to `cut_at`
        self.n_seen = 0  # tokens of the history that have been

    @property
    def rank(self):
        """Rows that it takes."""
        return self.coefficients.shape[-1]

    def let_go(self, n_sources):
        """Leave out so many inputs, the oldest."""
        self.sources = self.sources[n_sources:]
        self.coefficients = self.coefficients[n_sources:]

    def watch(self, first, asked):
        """Begin a history at a token; `asked` are rows of each state asked for."""
        self.first, self.n_seen = first, 0
        shape = len(asked), self.cut_at + 1 - first, self.rank, asked[0].shape[-1]
        self.history = np.empty(shape, asked[0].dtype)

    def see(self, bases):
        """Remember the basis after a token, of each state asked for (rank, units)."""
        for history, basis in zip(self.history, bases, strict=True):
            history[self.n_seen] = basis
        self.n_seen += 1


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
    """Return of which inputs the exact chain is computed too: a run, drawn at random.

    One in a hundred of all inputs: of a short job a bundle's number, or none.
    """
    n_sources = len(job.sources)
    wanted = CHECKED * n_sources
    length = max(JOINED, round(wanted))
    rng = np.random.default_rng(job.number)
    if job.number and rng.random() > wanted / length:
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
        self._sums = sums_of_job
        self._finder = Finder(job.request.tolerance, of_each=job.members is not None)
        self._bundles = []
        self._own = []  # sources with rows of their own
        self._youngest = YOUNGEST  # older, once a basis was not worth it
        self._waiting_until = 0  # a token: few for whom none was worth it
        self._rows = Rows(job)
        self._residual = 0.0
        chosen = _chosen(job)
        self._chosen = range(len(job.sources))[chosen]
        one_group = pooled or job.members is None
        members = [(0,)] * len(job.sources) if one_group else job.members
        n_groups = 1 if one_group else job.request.n_groups
        self._checked = replace(
            job,
            request=replace(job.request, n_groups=n_groups, second_moment=False),
            sources=job.sources[chosen],
            ends=job.ends[chosen],
            members=members[chosen],
        )
        self._sums_of_chosen = sums.Sums(self._checked)

    def check(self):
        """Return the Check, once all inputs are in."""
        n_checked = self._checked.n_samples()
        exact = sums.Sums(self._checked)
        for _ in tiles.carry(self._checked, exact):
            pass
        squares = np.zeros((2, len(self._job.request.state_indices), *n_checked.shape))
        for group in [*exact.running]:  # those of which some were drawn
            (ours,), (theirs,) = self._sums_of_chosen.take(group), exact.take(group)
            for k, x in enumerate((ours.astype(float) - theirs, theirs)):
                squares[k, :, group] = (x.astype(float) ** 2).sum(axis=(2, 3))
        return Check(self._residual, n_checked, *squares)

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
        return sum(bundle.rank for bundle in self._bundles)

    def _asked(self, rows):
        """Return some rows in flight of each state asked for, (row, units)."""
        last = self._rows.of_layer(-1, rows)
        return [last[k] for k in self._job.request.state_indices]

    def _see_bundles(self):
        """Let each bundle remember its basis."""
        first = 0
        for bundle in self._bundles:
            bundle.see(self._asked(slice(first, first + bundle.rank)))
            first += bundle.rank

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

    def _add(self, bundle):
        """Add what a bundle's inputs were, from its history."""
        job = self._job
        history = bundle.history[:, : bundle.n_seen]
        members = job.members and [job.members[k] for k in bundle.sources]
        ages = bundle.first - job.sources[bundle.sources]
        self._sums.add_shared(members, ages, bundle.coefficients, history)
        chosen = self._which_are_chosen(bundle.sources)
        if chosen.start < chosen.stop:
            self._sums_of_chosen.add_shared(
                self._members_of_chosen(bundle.sources[chosen]),
                ages[chosen],
                bundle.coefficients[chosen],
                history,
            )

    def _which_are_chosen(self, sources):
        """Return the slice of some sources, in order, that go both ways."""
        return slice(*np.searchsorted(sources, [self._chosen.start, self._chosen.stop]))

    def _members_of_chosen(self, sources):
        """Return the groups of sources of the job that go both ways."""
        return [self._checked.members[k - self._chosen.start] for k in sources]

    def _drop(self, t, born):
        """Let go of what has reached its end; return the first source in flight."""
        ends = self._job.ends
        while self._bundles and ends[self._bundles[0].sources[-1]] <= t:
            bundle = self._bundles.pop(0)
            self._add(bundle)
            self._rows.drop(bundle.rank)
        # ends do not fall: then no bundle is left, for those are older
        while self._own and ends[self._own[0]] <= t:
            del self._own[0]
            self._rows.drop(self._job.n_inputs)
        left = [bundle.sources[0] for bundle in self._bundles] + self._own
        return left[0] if left else born

    def _cut(self, t, *, no_more):
        """Cut the bundles that are due, and let inputs that are old enough join."""
        joining = self._joining(t, no_more)
        if not joining and all(bundle.cut_at > t for bundle in self._bundles):
            return
        n_joining = self._job.n_inputs * len(joining)
        rows = self._rows[: self._n_shared() + n_joining]
        waiting, bundles, parts, first = self._bundles, [], [], 0
        while waiting:
            some, waiting = self._together(waiting, t)
            last = first + sum(bundle.rank for bundle in some)
            part = rows[first:last]
            if some[0].cut_at <= t:
                some, part = self._cut_again(some, part, t)
            bundles += some
            parts.append(part)
            first = last
        if joining:
            bundle, part = self._bundled(joining, rows[first:], t)
            parts.append(part)
            if bundle is None and len(joining) < JOINED:
                self._waiting_until = t + PATIENCE
            elif bundle is None:
                self._youngest *= GROWTH
            else:
                bundles.append(bundle)
                self._own = self._own[len(joining) :]
        self._bundles = bundles
        self._rows.replace(len(rows), np.concatenate(parts))

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

    def _together(self, bundles, t):
        """Return the bundles to be cut together, the first or two; and the others.

        A joint rank is that of the youngest inputs: where all are old, and of about one
        age, it is hardly above the rank of either.
        """
        if len(bundles) > 1 and bundles[0].cut_at <= t:
            oldest, youngest = bundles[0].sources[0], bundles[1].sources[-1]
            ages = t - self._job.sources[[oldest, youngest]]
            if ages[0] - ages[1] <= ALIKE * ages[1]:
                return bundles[:2], bundles[2:]
        return bundles[:1], bundles[1:]

    def _cut_again(self, some, rows, t):
        """Return a bundle, or two as one, cut, and its basis; or all as it was.

        Inputs that have reached their ends are left out of it: nothing is asked of them
        any more, and they would have their share in the rank.
        """
        for bundle in some:
            self._add(bundle)
            ends = self._job.ends[bundle.sources]
            bundle.let_go(int(np.searchsorted(ends, t, side="right")))
        sources = [k for bundle in some for k in bundle.sources]
        cut, part = self._bundled(sources, rows, t, _side_by_side(some))
        if cut is not None:
            return [cut], part
        for bundle in some:
            self._watch(bundle, t)
        return some, rows

    def _bundled(self, sources, rows, t, coefficients=None):
        """Return a bundle of sources and its basis; or None, and the rows."""
        age = t - int(self._job.sources[sources[-1]])
        shared = self._finder.find(
            rows, len(sources), coefficients=coefficients, age=age
        )
        if shared is None:
            return None, rows
        self._residual = max(self._residual, shared.residual)
        bundle = Bundle(sources, shared.coefficients)
        self._watch(bundle, t)
        return bundle, shared.basis

    def _watch(self, bundle, t):
        """Let a bundle remember what its basis is after token t, until it is cut."""
        if bundle.cut_at <= t:
            bundle.cut_at = t + wait(t - int(self._job.sources[bundle.sources[-1]]))
        bundle.watch(t + 1, self._asked(slice(0, 0)))


def wait(age):
    """Return in how many tokens inputs of an age are cut again."""
    return min(max(3, round((GROWTH - 1) * age)), LATEST)


def _side_by_side(bundles):
    """Return the coefficients of bundles' inputs, in the bases of all of them."""
    if len(bundles) == 1:
        return bundles[0].coefficients
    before, after = (bundle.coefficients for bundle in bundles)
    nothing = (0, 0)
    return np.concatenate(
        [
            np.pad(before, [nothing, nothing, (0, after.shape[-1])]),
            np.pad(after, [nothing, nothing, (before.shape[-1], 0)]),
        ]
    )
