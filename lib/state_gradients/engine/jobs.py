"""Cutting a text into jobs, and running them: in threads, processes or on a cluster.

A job is some consecutive inputs together with the tokens up to which they are followed;
the forward pass runs here, once, and hands each job its states. Jobs are independent
and their sums are added in the text's order, so that the result does not depend on who
finished first. A job that is lost may simply be run again.
"""

import itertools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from state_gradients.engine import bundles, capacity, diagonals
from state_gradients.foundation import backends, checks

LENGTH = 256  # inputs a job: the tokens after it are linearised in two jobs
IN_FLIGHT = 64  # jobs handed to a caller's executor at a time: they bound the memory
ENGINES = ("tiles", "sweep")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is averaged over a text, the same in all its jobs."""

    max_delay: int
    state_indices: tuple  # which states of the last cell
    wrt: int = 0  # the layer whose output is differentiated against; 0: the embedding
    window: int | None = None  # the chain is cut at its multiples
    n_groups: int = 1
    second_moment: bool = False
    tolerance: float | None = None  # of the bundles; None: the exact chain


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one job needs: a part of the text, and whose tangents to carry through it.

    Tokens count from the part's first.
    """

    request: Request
    cells: tuple  # readers, lowest first
    trace: list  # of each cell: x, then the states before, arrays (time, size)
    sources: np.ndarray  # tokens whose inputs are carried, increasing, (source,)
    ends: np.ndarray  # the last token each source is carried to, (source,)
    members: list | None  # groups of each source, tuples of int; None: all, in one
    number: int = 0  # among the jobs of all texts
    readout: Any = None  # a `readouts.Readout`; None: what is said next is not asked
    n_steps: int | None = None  # None: one along each component of the embedding

    @property
    def dtype(self):
        """Of every array: float32, or float64 for the whole chain in double."""
        return self.trace[0][0].dtype

    @property
    def n_inputs(self):
        """Tangents that each source sends: one a step of its input."""
        return self.n_steps or self.trace[0][0].shape[1]

    def n_samples(self):
        """Return over how many positions its sums are, (group, delay)."""
        counts = np.zeros((self.request.n_groups, self.request.max_delay + 1), int)
        members = self.members or [(0,)] * len(self.sources)
        for groups, delays in zip(members, self.ends - self.sources, strict=True):
            for group in groups:
                counts[group, : delays + 1] += 1
        return counts

    def part(self, sources):
        """Return a job of a slice of its inputs."""
        return replace(
            self,
            sources=self.sources[sources],
            ends=self.ends[sources],
            members=self.members and self.members[sources],
        )

    def factors(self):
        """Return R of each token, (time, row, units): `readouts.Readout.factors`."""
        last = self.cells[-1]
        x, *before = self.trace[-1]
        output = last.run(x, [state[0] for state in before])[last.output]
        return self.readout.factors(output, self.number)


class _ForwardPass:
    """The trace of one stream, asked for part after part."""

    def __init__(self, network, ids):
        self.network = network
        self.ids = ids
        self.states = network.zero_states()  # after the last token that was run
        self.trace = None  # of the tokens first..last - 1
        self.first = 0
        self.last = 0

    def between(self, first, last):
        """Return the trace of the tokens first..last - 1; `first` never falls."""
        if last > self.last:
            new, self.states = self.network.run(self.ids[self.last : last], self.states)
            self.trace = new if self.trace is None else _joined(self.trace, new)
            self.last = last
        self.trace = _rows(self.trace, first - self.first, None)
        self.first = first
        return _rows(self.trace, 0, last - first)


def _joined(trace, following):
    return [
        [np.concatenate(arrays) for arrays in zip(*layers, strict=True)]
        for layers in zip(trace, following, strict=True)
    ]


def _rows(trace, start, stop):
    return [[array[start:stop] for array in layer] for layer in trace]


def cut(network, texts, stretches, members, request, *, length=None, readout=None):
    """Yield ``(stretch, Job)``, the jobs of some texts.

    Parameters
    ----------
    network : network.Network
    texts : list of ndarray of int, or of long_texts.OnDisk, shape (time,)
        Each from the zero state.
    stretches : list of ndarray of int, or of texts.Blocks, shape (time,)
        Which part of the result each input counts for.
    members : list of sequences of tuples of int, or None
        The groups of each input of each text; inputs without a group are left out.
    request : Request
    length : int, optional
        Inputs a job.
    readout : readouts.Readout, optional
        What stands above the network, if its influence on that is asked for.
    """
    numbers = itertools.count()
    for number, ids in enumerate(texts):
        forward = _ForwardPass(network, ids)
        for stretch, first, last in _pieces(stretches[number], length or LENGTH):
            sources = np.arange(first, last)
            ends = last_tokens(sources, len(ids), request)
            trace = forward.between(first, ends[-1] + 1)
            groups = None
            if members is not None:
                groups = members[number][first:last]
                sources = np.array([t for t in sources if groups[t - first]], int)
                groups = [groups[t - first] for t in sources]
            if len(sources) or last == len(ids):  # one at least, of zeros
                job = Job(
                    request=request,
                    cells=network.cells[request.wrt :],
                    trace=trace[request.wrt :],
                    sources=sources - first,
                    ends=ends[sources - first] - first,
                    members=groups,
                    number=next(numbers),
                    readout=readout,
                )
                yield stretch, job


def _pieces(stretches, length):
    """Yield ``(stretch, first, last)`` of pieces that count for one stretch each."""
    for start in range(0, len(stretches), length):
        numbers = stretches[start : start + length]
        edges = np.flatnonzero(np.diff(numbers)) + 1
        for first, last in itertools.pairwise([0, *edges.tolist(), len(numbers)]):
            yield int(numbers[first]), start + first, start + last


def last_tokens(inputs, n_tokens, request):
    """Return up to which token each of some inputs of a stream is carried."""
    window = request.window or n_tokens
    next_window = (inputs // window + 1) * window
    return np.minimum(inputs + request.max_delay, np.minimum(next_window, n_tokens) - 1)


def one_thread():
    """Keep BLAS to one thread: the jobs are as many as the cores."""
    return threadpool_limits(1, user_api="blas")


def n_cores():
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _job_sums(job):
    if job.request.tolerance is None:
        return diagonals.job_sums(job)
    return bundles.job_sums(job)


def _in_one_thread(job):
    with one_thread():
        return _job_sums(job)


def engine_for(engine, *, executor=None, tolerance=None):
    """Return which engine is to run.

    Parameters
    ----------
    engine : "tiles" or "sweep", or None
        None: the sweep where the backend has an accelerator, and nothing is asked for
        that only the tiles do.
    executor : concurrent.futures.Executor or None
    tolerance : float or None

    Raises
    ------
    ValueError
        If there is no such engine, or the sweep is asked for on an executor.
    """
    is_known = engine is None or checks.is_one_of(engine, ENGINES)
    if not is_known or (engine == "sweep" and executor):
        raise ValueError(
            f"mean_state_gradients: `engine` must be one of {ENGINES}, and 'tiles' on "
            f"an executor, received {checks.short(engine)}."
        )
    if engine is not None:
        return engine
    of_tiles = executor is not None or tolerance is not None
    return "sweep" if not of_tiles and backends.accelerators() else "tiles"


def run(jobs, *, executor=None, engine=None):
    """Yield ``(stretch, job, sums)`` of each job, in order.

    Parameters
    ----------
    jobs : iterable of (int, Job)
    executor : concurrent.futures.Executor, optional
        By default threads, one a core.
    engine : "tiles" or "sweep", optional
        By default the sweep where the backend has an accelerator with memory for it.

    Raises
    ------
    ValueError
        If there is no such engine, or the sweep is asked for on an executor, in a
        precision that the backend lacks, or where the device has no memory for it.
    """
    jobs = iter(jobs)
    first = next(jobs)
    _, job = first
    jobs = itertools.chain([first], jobs)
    limit = job.request.tolerance
    plan = None
    if engine_for(engine, executor=executor, tolerance=limit) == "sweep":
        plan = _plan(job, must=engine == "sweep")
    if plan is not None:
        from state_gradients.engine import sweep

        with one_thread():  # the forward pass multiplies vectors
            yield from sweep.run(jobs, plan)
        return
    if executor is not None:
        yield from _submitted(jobs, executor, _in_one_thread, at_a_time=IN_FLIGHT)
    else:
        yield from in_threads(jobs, _job_sums)


def _plan(job, *, must):
    """Return how the sweep is to go through jobs like one; None if it cannot.

    Raises
    ------
    ValueError
        If it cannot, but must.
    """
    plan = None
    if not backends.supports(job.dtype.name):
        why = f"the backend must compute in {job.dtype.name}; set JAX_ENABLE_X64=1"
    elif (plan := capacity.plan(job)) is None:
        needed = capacity.Shape.of(job).sweep_bytes(lanes=1, block=1)
        why = f"the device must have {2 * needed / 1e9:.2g} GB free for one job"
    if plan is None and must:
        raise ValueError(
            f"mean_state_gradients: for `engine` 'sweep' {why}, or pass 'tiles', which "
            "runs on the processor."
        )
    return plan


def in_threads(jobs, work):
    """Yield ``(stretch, job, work(job))`` of each job, in order, a thread a core."""
    with one_thread(), ThreadPoolExecutor(n_cores()) as threads:
        yield from _submitted(jobs, threads, work, at_a_time=2 * n_cores())


def _submitted(jobs, executor, job_sums, *, at_a_time):
    """Yield ``(stretch, job, sums)`` in order, few enough at a time for the memory."""
    waiting = deque()
    for stretch, job in jobs:
        waiting.append((stretch, job, executor.submit(job_sums, job)))
        if len(waiting) >= at_a_time:
            stretch, job, sums = waiting.popleft()
            yield stretch, job, sums.result()
    for stretch, job, sums in waiting:
        yield stretch, job, sums.result()
