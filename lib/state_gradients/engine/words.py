"""State gradients of every word type of a text, each averaged on its own."""

import heapq
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from state_gradients.engine import (
    bundles,
    jobs,
    long_texts,
    means,
    precision,
    sums,
    tiles,
)
from state_gradients.engine.recall import Recall
from state_gradients.engine.texts import WHO, read_texts
from state_gradients.foundation import checks

if TYPE_CHECKING:
    import keras

AHEAD = 4  # tiles that a core may be ahead of the caller
END = object()  # of an iterator


@checks.in_own_name
def type_gradients(
    model: "keras.Model",
    ids: ArrayLike | Iterator[ArrayLike],
    *,
    max_delay: int,
    state: str | tuple[str, ...] | None = None,
    layer: int = 1,
    wrt: int = 0,
    types: ArrayLike | None = None,
    window: int | None = None,
    second_moment: bool = False,
    dtype: str | None = None,
    max_bytes: float = 2.5e9,
    tolerance: float | None = None,
) -> Iterator[xr.Dataset]:
    """Average ds_t/de_{t-tau} for every input type on its own.

    A type's sums are kept from its first input to its last; the mean is handed out
    then. Types are dealt by falling frequency to as few shards as `max_bytes` and cores
    allow, and each core carries one shard at a time through the text. The cores share
    one forward pass, of which they hold the last tokens: so many shards as there are
    cores take no more passes than a plain mean, and any number no more memory.

    Parameters
    ----------
    model : keras.Model
    ids : array_like of int, (time,) or (stream, time), or list of arrays (time,)
        Or a memory-mapped array, or an iterator over the stretches of one text, as for
        :func:`state_gradients.engine.means.mean_state_gradients`.
    max_delay, state, layer, wrt, window, second_moment, dtype, tolerance
        Of :func:`state_gradients.engine.means.mean_state_gradients`.
    types : array_like of int, optional
        By default every type that occurs.
    max_bytes : float
        What the sums may take together; fewer make more shards, down to a type a shard.

    Yields
    ------
    xarray.Dataset
        Of one type: ``state_gradient`` ([state_kind], group, delay, state, embedding),
        in the chain's precision, and ``n_samples`` (group, delay); ``group`` holds the
        type's id. With second moments, which take a tenth more time,
        ``second_moment`` (.., delay, embedding, embedding_2). The order is that in
        which types end; of types on other cores, by their shards.

    Raises
    ------
    ValueError
        If an argument does not fit the model, or a type does not occur.

    Examples
    --------
    A linear network whose state is halved at every token, s' = s / 2 + e:

    >>> import keras
    >>> import state_gradients as sg
    >>> rnn = keras.layers.SimpleRNN(
    ...     2,
    ...     activation="linear",
    ...     kernel_initializer="identity",
    ...     recurrent_initializer=keras.initializers.Identity(0.5),
    ... )
    >>> embedding = keras.layers.Embedding(5, 2)
    >>> model = keras.Sequential([keras.Input((None,)), embedding, rnn])
    >>> n_samples = {}
    >>> for means in sg.type_gradients(model, [3, 1, 4, 1, 2], max_delay=1):
    ...     of_type = means.isel(group=0)
    ...     n_samples[int(of_type["group"])] = of_type["n_samples"].values.tolist()
    >>> sorted(n_samples.items())
    [(1, [2, 2]), (2, [1, 0]), (3, [1, 1]), (4, [1, 1])]
    """
    max_delay, window = means.read_delays(max_delay, window)
    tolerance = means.read_tolerance(tolerance)
    network, kinds, state_indices = means.read(
        model, state=state, layer=layer, wrt=wrt, dtype=dtype
    )
    ids = long_texts.from_iterator(ids, WHO)
    texts = read_texts(ids, network, max_delay=max_delay, window=window).ids
    occurrences = _occurrences(texts, len(network.table))
    wanted = np.flatnonzero(occurrences.counts)
    if types is not None:
        wanted = np.unique(
            checks.ids_within(types, WHO, len(network.table), name="types")
        )
    if len(absent := wanted[occurrences.counts[wanted] == 0]):
        raise ValueError(
            f"type_gradients: `types` must occur in `ids`, received {absent[:5]} of "
            f"{len(absent)} that do not."
        )
    request = jobs.Request(
        max_delay=max_delay,
        state_indices=state_indices,
        wrt=wrt,
        window=window,
        second_moment=second_moment,
        tolerance=tolerance,
    )
    asked = _Asked(request, network.cells[wrt:], texts, Recall(network, texts), kinds)
    first = asked.job(0, request)
    inputs = np.arange(min(len(texts[0]), jobs.LENGTH))
    ends = jobs.last_tokens(inputs, len(texts[0]), request)
    precision.require(replace(first, sources=inputs, ends=ends), dtype)
    shards = _dealt(first, occurrences, wanted, max_bytes)
    means_of_types = _all_means(asked, occurrences.counts, shards)
    if isinstance(state, tuple):
        return means_of_types
    return (mean.isel(state_kind=0, drop=True) for mean in means_of_types)


@dataclass(frozen=True)
class _Asked:
    """What all shards go through."""

    request: jobs.Request
    cells: tuple
    texts: list
    recall: Recall
    kinds: tuple

    def job(self, number, request):
        """Return a job on a text, of no inputs as yet, whose tokens are the text's."""
        nothing = np.zeros(0, int)
        return jobs.Job(
            request=request,
            cells=self.cells,
            trace=self.recall.trace(number)[request.wrt :],
            sources=nothing,
            ends=nothing,
            members=[],
        )


class _Occurrences(NamedTuple):
    """Of each type, how often it occurs, and where: of the first of all texts on."""

    counts: np.ndarray  # (type,)
    first: np.ndarray  # (type,)
    last: np.ndarray  # (type,)


def _occurrences(texts, n_types):
    """Count the types of some texts, a part of them at a time."""
    counts, first, last = (np.zeros(n_types, int) for _ in range(3))
    start = 0
    for text in texts:
        for at, ids in long_texts.parts(text):
            inputs = start + at + np.arange(len(ids))
            is_new = counts[ids] == 0
            first[ids[is_new][::-1]] = inputs[is_new][::-1]  # the earliest stays
            last[ids] = inputs
            counts += np.bincount(ids, minlength=n_types)
        start += len(text)
    return _Occurrences(counts, first, last)


def _dealt(job, occurrences, types, max_bytes):
    """Deal types to as few shards as bytes and cores allow, alike in frequency."""
    counts = occurrences.counts[types]
    order = np.argsort(-counts, kind="stable")
    # a frequent type's sums move to float64 as well
    itemsize = job.dtype.itemsize + np.where(counts > sums.FLUSH, 8, 0)
    n_bytes = itemsize * sum(map(np.prod, sums.Sums(job).shapes))
    times = np.append(occurrences.first[types], occurrences.last[types] + 1)
    _, when = np.unique(times, return_inverse=True)
    changes = np.bincount(when, weights=np.append(n_bytes, -n_bytes))
    rounds = max(1, int(np.ceil(changes.cumsum().max() / max(max_bytes, 1))))
    n_shards = min(rounds * jobs.n_cores(), len(order))
    return [types[order[k::n_shards]].tolist() for k in range(n_shards)]


def _all_means(asked, counts, shards):
    """Yield the means of all shards, a thread a core at work, in the text's order."""
    n_cores = jobs.n_cores()

    def tiles_of(core):
        for number, types in enumerate(shards[core::n_cores]):
            for last, finished in _Shard(asked, counts, types).means():
                yield (number, last), finished

    try:
        with jobs.one_thread(), ExitStack() as stack:
            by_core = [
                stack.enter_context(_ahead(tiles_of(core), AHEAD))
                for core in range(n_cores)
            ]
            for _, finished in heapq.merge(*by_core, key=itemgetter(0)):
                yield from finished
    except FloatingPointError as error:  # of :func:`means.means`
        checks.rename(error, "type_gradients")
        raise


@contextmanager
def _ahead(items, n):
    """Give an iterator over `items` of which a thread computes `n` ahead, from now."""
    items = iter(items)
    thread = ThreadPoolExecutor(1)
    waiting = deque(thread.submit(next, items, END) for _ in range(n))

    def in_order():
        while (item := waiting.popleft().result()) is not END:
            waiting.append(thread.submit(next, items, END))
            yield item

    try:
        yield in_order()
    finally:
        thread.shutdown(cancel_futures=True)


class _Shard:
    """Some types, carried together through all texts.

    Parameters
    ----------
    asked : _Asked
    counts : ndarray of int, shape (type,)
        Of all types of the vocabulary.
    types : list of int
    """

    def __init__(self, asked, counts, types):
        self._asked = asked
        self._request = replace(asked.request, n_groups=len(types))
        self._types = types  # of each group
        self._group_of = np.full(len(counts), -1)
        self._group_of[types] = np.arange(len(types))
        self._left = counts[types]  # inputs of each group that are to come
        self._n_samples = np.zeros((len(types), self._request.max_delay + 1), int)
        self._sums = sums.Sums(asked.job(0, self._request))
        self._check = None

    def means(self):
        """Yield after each tile its last input, and means of types that are over.

        The input counts from the first of all texts.
        """
        start = n_parts = 0
        for number, text in enumerate(self._asked.texts):
            job = self._asked.job(number, self._request)
            differentials = tiles.Differentials(job)
            for inputs, groups, whole in _in_tiles(text, self._group_of, job):
                part = replace(
                    job,
                    sources=inputs,
                    ends=jobs.last_tokens(inputs, len(text), self._request),
                    members=[(k,) for k in groups.tolist()],
                    number=n_parts,
                )
                for tile in self._carry(part, whole, differentials):
                    yield start + inputs[tile][-1], self._over(groups[tile])
                n_parts += 1
            start += len(text)
        if self._check is not None:
            means.warn_beyond_tolerance(self._check, self._request.tolerance)

    def _carry(self, part, whole, differentials):
        """Carry a part's tiles, exactly or to the tolerance; yield what is in."""
        end = whole[-1].stop
        carried = replace(
            part,
            sources=part.sources[:end],
            ends=part.ends[:end],
            members=part.members[:end],
        )
        self._n_samples += carried.n_samples()
        if self._request.tolerance is None:
            yield from tiles.carry(
                part, self._sums, tiles=whole, differentials=differentials
            )
            return
        flight = bundles.Flight(carried, self._sums, pooled=True)
        yield from flight.carry()
        self._check = bundles.both(self._check, flight.check())

    def _over(self, groups):
        """Count some inputs as done; return means of groups that do not come again."""
        self._left -= np.bincount(groups, minlength=len(self._left))
        over = [k for k in np.unique(groups).tolist() if not self._left[k]]
        return [self._mean(k) for k in sorted(over, key=self._types.__getitem__)]

    def _mean(self, k):
        dtype = self._sums.dtype
        totals = [total.astype(dtype, copy=False) for total in self._sums.take(k)]
        labelled = means.means(
            [total[None, :, None] for total in totals],
            self._n_samples[None, k : k + 1],
            self._asked.kinds,
            self._types[k : k + 1],
            dtype=dtype,
        )
        return labelled.isel(block=0)


def _in_tiles(text, group_of, job):
    """Yield ``(inputs, groups, tiles)``: a shard's inputs of a text, in whole tiles.

    The tiles are those of the whole text, whatever part of it is read at a time. Behind
    them stands one more input, at which the next begin; but nothing behind the last.
    """
    size = _inputs_of_tile(text, group_of, job)
    inputs = groups = np.zeros(0, int)
    for first, ids in long_texts.parts(text):
        in_part = group_of[ids]
        here = np.flatnonzero(in_part >= 0)
        inputs = np.append(inputs, first + here)
        groups = np.append(groups, in_part[here])
        whole = [*tiles.slices([(k,) for k in groups], size)]
        rest = slice(len(inputs), None)
        if whole and first + len(ids) < len(text):
            *whole, rest = whole
        if whole:
            yield inputs[: rest.start + 1], groups[: rest.start + 1], whole
        inputs, groups = inputs[rest.start :], groups[rest.start :]


def _inputs_of_tile(text, group_of, job):
    n_inputs, first, last = 0, None, 0
    for start, ids in long_texts.parts(text):
        here = start + np.flatnonzero(group_of[ids] >= 0)
        if len(here):
            first = here[0] if first is None else first
            last = here[-1]
            n_inputs += len(here)
    return tiles.inputs_of_tile(job, n_inputs, last + 1 - (first or 0))
