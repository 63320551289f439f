"""Cutting a text into jobs, and running them: in threads, processes or on a cluster.

A job is a block of consecutive inputs together with the tokens up to which they are
followed; the forward pass runs here, once, and hands each job its states. Jobs are
independent and their sums are added in the text's order, so that the result does not
depend on who finished first. A job that is lost may simply be run again.
"""

import contextlib
import itertools
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from threadpoolctl import threadpool_limits

from state_gradients.engine import tiles
from state_gradients.foundation import backends

LENGTH = 256  # inputs a job: the tokens after it are linearised in two jobs
IN_FLIGHT = 64  # jobs handed to a caller's executor at a time: they bound the memory
ENGINES = ("tiles", "sweep")


class _Walk:
    """The forward pass over one stream, asked for stretch after stretch."""

    def __init__(self, network, ids):
        self.network, self.ids = network, ids
        self.states, self.trace, self.start, self.done = None, None, 0, 0

    def between(self, first, last):
        """Return the trace of the tokens first..last - 1."""
        if last > self.done:
            states = self.states or self.network.zero_states()
            more = self.ids[self.done : last]
            trace, self.states = self.network.run(more, states)
            if self.trace:
                trace = [
                    [np.concatenate(pair) for pair in zip(*layers, strict=True)]
                    for layers in zip(self.trace, trace, strict=True)
                ]
            self.trace, self.done = trace, last
        self.trace = [[a[first - self.start :] for a in layer] for layer in self.trace]
        self.start = first
        return [[a[: last - first] for a in layer] for layer in self.trace]


def cut(network, streams, stretches, members, *, wrt, window, length=None, **options):
    """Yield ``(stretch, Block)``, the jobs of a text.

    Parameters
    ----------
    network : networks.Network
    streams : ndarray of int, shape (stream, time)
    stretches : ndarray of int, shape (stream, time)
        Which part of the result each input counts for.
    members : list of lists of tuples of int, or None
        The groups of each input of each stream; inputs without a group are left out.
    wrt : int
        The layer whose output is differentiated against; 0 is the embedding.
    window : int or None
    length : int, optional
        Inputs a job.
    **options
        Further fields of :class:`chains.Block`.
    """
    for number, ids in enumerate(streams):
        places = np.arange(len(ids))
        span = window or len(ids)
        limit = np.minimum((places // span + 1) * span, len(ids))
        ends = np.minimum(places + options["max_delay"], limit - 1)
        new = np.flatnonzero(np.diff(stretches[number])) + 1
        regular = range(0, len(ids), length or LENGTH)
        edges = sorted({*regular, *new.tolist(), len(ids)})
        walk = _Walk(network, ids)
        for first, last in itertools.pairwise(edges):
            trace = walk.between(first, ends[last - 1] + 1)
            groups, sources = None, places[first:last]
            if members is not None:
                sources = np.array([p for p in sources if members[number][p]], int)
                groups = [members[number][p] for p in sources]
            if len(sources) or last == len(ids):  # one at least, of zeros
                yield (
                    stretches[number, first],
                    tiles.Block(
                        cells=network.cells[wrt:],
                        trace=trace[wrt:],
                        sources=sources - first,
                        ends=ends[sources] - first,
                        members=groups,
                        **options,
                    ),
                )


def n_samples(block):
    """Return how many positions a block's sums are over, (group, delay)."""
    counts = np.zeros((block.n_groups, block.max_delay + 1), int)
    members = block.members or [(0,)] * len(block.sources)
    for groups, carried in zip(members, block.ends - block.sources, strict=True):
        for group in groups:
            counts[group, : carried + 1] += 1
    return counts


def one_thread():
    """Keep BLAS to one thread: the jobs are as many as the cores."""
    return threadpool_limits(1, user_api="blas")


def n_cores():
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _alone(block):
    with one_thread():
        return tiles.block_sums(block)


def run(jobs, *, executor=None, engine=None):
    """Yield ``(stretch, block, sums)`` of each job, in order.

    Parameters
    ----------
    jobs : iterable of (int, Block)
    executor : concurrent.futures.Executor, optional
        By default threads, one a core.
    engine : "tiles" or "sweep", optional
        By default the sweep where the backend has an accelerator.

    Raises
    ------
    ValueError
        If there is no such engine, or the sweep is asked for on an executor.
    """
    if engine not in (None, *ENGINES) or (engine == "sweep" and executor):
        raise ValueError(
            f"mean_state_gradients: `engine` must be one of {ENGINES}, and 'tiles' on "
            f"an executor, received {engine!r}."
        )
    engine = engine or ("sweep" if backends.has_accelerator() else "tiles")
    if engine == "sweep" and executor is None:
        from state_gradients.engine import sweep

        for place, block in jobs:
            yield place, block, sweep.block_sums(block)
        return
    with contextlib.ExitStack() as stack:
        job, room = _alone, IN_FLIGHT
        if executor is None:
            stack.enter_context(one_thread())
            executor = stack.enter_context(ThreadPoolExecutor(n_cores()))
            job, room = tiles.block_sums, 2 * n_cores()
        waiting = deque()
        for place, block in jobs:
            waiting.append((place, block, executor.submit(job, block)))
            if len(waiting) >= room:
                place, block, future = waiting.popleft()
                yield place, block, future.result()
        for place, block, future in waiting:
            yield place, block, future.result()
