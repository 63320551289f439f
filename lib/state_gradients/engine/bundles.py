"""The engine in less: inputs of some age are carried as bundles that share a basis.

    X_{s,t} = C_s W_t,   W_t = W_{t-1} J_t        (engine.shared_basis)

One sweep over a job's tokens. An input's tangents are rows of their own at first, as
in :mod:`state_gradients.engine.tiles`; when `JOINED` inputs are `YOUNGEST` tokens old,
they become a bundle, of fewer rows, and a bundle is cut again as it ages. Where their
rows are too independent for that, as those of a GRU are for longer than an LSTM's, they
are let grow twice as old. All rows in flight make one product a token. What an input
adds to the sums is made from what its bundle's basis was at some tokens, when the
bundle is cut the next time.
"""

import itertools
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from state_gradients.engine import sums, tiles
from state_gradients.engine.shared_basis import Finder

YOUNGEST = 6  # tokens: before, the rows of some inputs are nearly independent
JOINED = 12  # inputs that become a bundle
PATIENCE = 10  # tokens more: then fewer become one
GROWTH = 2  # of a bundle's age from cut to cut
CHECKED = 0.01  # of the inputs go both ways
LATEST = 64  # tokens from cut to cut: they bound what is remembered of a bundle


@dataclass
class Bundle:
    """Inputs that share a basis, and what the basis was since it was cut."""

    sources: list  # indices into the job's
    coefficients: np.ndarray  # (source, embedding, rank)
    cut_at: int  # the token at which it is cut again
    first: int  # the first token of the history
    history: list = field(default_factory=list)  # of each token: (kind, rank, units)

    @property
    def rank(self):
        """Rows that it takes."""
        return self.coefficients.shape[-1]


class Check(NamedTuple):
    """What the cuts did, and how far some inputs came out from the exact chain.

    Squares are of Frobenius norms, of sums over the inputs that went both ways.
    """

    residual: float  # the largest of any cut, relative to an input's norm
    difference: np.ndarray  # (kind, delay): of bundles less exact
    exact: np.ndarray  # (kind, delay)


def both(check, other):
    """Return the Check of two jobs together; the first may be None."""
    if check is None:
        return other
    return Check(
        max(check.residual, other.residual),
        check.difference + other.difference,
        check.exact + other.exact,
    )


def job_sums(job):
    """Return the sums over a job's inputs, of :func:`tiles.job_sums`, and a Check.

    Where no state drives another by a matrix, tangents cost less than a basis of them
    would: they are carried exactly.
    """
    if not any(d.dense for d in tiles.Differentials(job).at(0)):
        nothing = np.zeros((len(job.request.state_indices), job.request.max_delay + 1))
        return tiles.job_sums(job), Check(0.0, nothing, nothing)
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
    """

    def __init__(self, job, sums_of_job):
        self._job = job
        self._sums = sums_of_job
        self._finder = Finder(job.request.tolerance)
        self._bundles = []
        self._own = []  # sources with rows of their own
        self._youngest = YOUNGEST  # older, once a basis was not worth it
        self._buffers = [
            [np.empty((2, 0, size), job.dtype) for size in cell.sizes]
            for cell in job.cells
        ]
        self._residual = 0.0
        chosen = _chosen(job)
        self._chosen = range(len(job.sources))[chosen]
        self._checked = replace(
            job,
            request=replace(job.request, n_groups=1, second_moment=False),
            sources=job.sources[chosen],
            ends=job.ends[chosen],
            members=[(0,)] * len(self._chosen),
        )
        self._sums_of_chosen = sums.Sums(self._checked)

    def check(self):
        """Return the Check, once all inputs are in."""
        (ours,), (exact,) = self._sums_of_chosen.totals(), tiles.job_sums(self._checked)
        squares = [((x[:, 0]) ** 2).sum(axis=(2, 3)) for x in (ours - exact, exact)]
        return Check(self._residual, *squares)

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
                    self._sums_of_chosen.expect([(0,)], 1)
            if begins or done < born:
                self._step(differentials.at(t), born if begins else None)
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

    def _n_rows(self):
        return self._n_shared() + self._job.n_inputs * len(self._own)

    def _step(self, differentials, new):
        """Advance all rows by a token; let a source begin; remember the bundles'."""
        n_rows = self._n_rows()
        end = n_rows + (0 if new is None else self._job.n_inputs)
        self._make_room(end)
        tiles.step(self._job.cells, self._buffers, differentials, (0, n_rows, end))
        if new is not None:
            self._own.append(new)
        bases = self._bases()
        starts = itertools.accumulate((b.rank for b in self._bundles), initial=0)
        for bundle, start in zip(self._bundles, starts, strict=False):
            bundle.history.append(bases[:, start : start + bundle.rank])

    def _make_room(self, n_rows):
        """Let the buffers hold so many rows, and half as many more."""
        if n_rows <= self._buffers[0][0].shape[1]:
            return
        self._buffers = [
            [
                np.pad(state, [(0, 0), (0, n_rows * 3 // 2 - state.shape[1]), (0, 0)])
                for state in states
            ]
            for states in self._buffers
        ]

    def _bases(self):
        """Return a copy of the bundles' rows of the states asked for."""
        states, rows = self._buffers[-1], slice(0, self._n_shared())
        return np.stack([states[k][0, rows] for k in self._job.request.state_indices])

    def _add_own(self, t):
        """Add what the inputs with rows of their own are after token t."""
        if not self._own:
            return
        job = self._job
        delays = [t - int(job.sources[k]) for k in self._own]
        members = job.members and [job.members[k] for k in self._own]
        rows = slice(self._n_shared(), self._n_rows())
        chosen = self._which_are_chosen(self._own)
        alone = [(0,)] * (chosen.stop - chosen.start)
        for kind, state_index in enumerate(job.request.state_indices):
            tangents = self._buffers[-1][state_index][0, rows]
            by_source = tangents.reshape(len(self._own), job.n_inputs, -1)
            self._sums.add(kind, members, delays, by_source)
            if chosen.start < chosen.stop:
                self._sums_of_chosen.add(kind, alone, delays[chosen], by_source[chosen])

    def _add(self, bundle, t):
        """Add what a bundle's inputs were up to token t, from its history."""
        job = self._job
        if bundle.history:
            history = np.stack(bundle.history, axis=1)  # (kind, token, rank, units)
            members = job.members and [job.members[k] for k in bundle.sources]
            ages = bundle.first - job.sources[bundle.sources]
            self._sums.add_shared(members, ages, bundle.coefficients, history)
            chosen = self._which_are_chosen(bundle.sources)
            if chosen.start < chosen.stop:
                alone = [(0,)] * (chosen.stop - chosen.start)
                self._sums_of_chosen.add_shared(
                    alone, ages[chosen], bundle.coefficients[chosen], history
                )
        bundle.first, bundle.history = t + 1, []

    def _which_are_chosen(self, sources):
        """Return the slice of some sources, in order, that go both ways."""
        return slice(*np.searchsorted(sources, [self._chosen.start, self._chosen.stop]))

    def _drop(self, t, born):
        """Let go of what has reached its end; return the first source in flight."""
        ends = self._job.ends
        over = [bundle for bundle in self._bundles if ends[bundle.sources[-1]] <= t]
        own = [k for k in self._own if ends[k] <= t]
        if over or own:
            rows, first_own = self._rows(), self._n_shared()
            for bundle in over:
                self._add(bundle, t)
            self._bundles = self._bundles[len(over) :]
            self._own = self._own[len(own) :]
            shared = rows[first_own - self._n_shared() : first_own]
            self._lay_out([shared, rows[first_own + self._job.n_inputs * len(own) :]])
        left = [bundle.sources[0] for bundle in self._bundles] + self._own
        return left[0] if left else born

    def _rows(self):
        """Return the rows in flight, all states side by side, (row, states)."""
        rows = slice(0, self._n_rows())
        return np.concatenate(
            [tangents[0, rows] for states in self._buffers for tangents in states],
            axis=1,
        )

    def _lay_out(self, parts):
        """Put rows (row, states) into the buffers, one part after another."""
        rows = np.concatenate(parts)
        first = 0
        for states in self._buffers:
            for tangents in states:
                last = first + tangents.shape[-1]
                tangents[0, : len(rows)] = rows[:, first:last]
                first = last

    def _cut(self, t, *, no_more):
        """Cut the bundles that are due, and let inputs that are old enough join."""
        sources = self._job.sources
        joining = [k for k in self._own if t - sources[k] >= self._youngest]
        enough = (
            len(joining) >= JOINED
            or (no_more and len(joining) == len(self._own))
            or (joining and t - sources[joining[0]] >= self._youngest + PATIENCE)
        )
        if not enough:
            joining = []
        due = [bundle.cut_at <= t for bundle in self._bundles]
        if not joining and not any(due):
            return
        rows, bundles, parts, first = self._rows(), [], [], 0
        for bundle, is_due in zip(self._bundles, due, strict=True):
            last = first + bundle.rank
            part, first = rows[first:last], last
            if is_due:
                self._add(bundle, t)
                bundle, part = self._bundled(bundle.sources, part, t, bundle)
            bundles.append(bundle)
            parts.append(part)
        if joining:
            last = first + self._job.n_inputs * len(joining)
            bundle, part = self._bundled(joining, rows[first:last], t)
            if bundle is not None:
                bundles.append(bundle)
                parts.append(part)
                self._own, first = self._own[len(joining) :], last
            else:
                self._youngest *= GROWTH
        self._bundles = bundles
        self._lay_out([*parts, rows[first:]])

    def _bundled(self, sources, rows, t, bundle=None):
        """Return a bundle of sources and its basis; if none is worth it, what was."""
        age = t - int(self._job.sources[sources[-1]])
        cut_at = t + _wait(age)
        known = None if bundle is None else bundle.coefficients
        shared = self._finder.find(rows, len(sources), coefficients=known, age=age)
        if shared is not None:
            self._residual = max(self._residual, shared.residual)
            return Bundle(sources, shared.coefficients, cut_at, t + 1), shared.basis
        if bundle is not None:
            bundle.cut_at = cut_at
        return bundle, rows


def _wait(age):
    """Return in how many tokens inputs of an age are cut again."""
    return min(max(3, round((GROWTH - 1) * age)), LATEST)
