"""State gradients of every word type of a text, each averaged on its own."""

import heapq
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from state_gradients.engine import bundles, jobs, means, sums, tiles
from state_gradients.engine.texts import WHO, read_texts
from state_gradients.foundation import checks

if TYPE_CHECKING:
    import keras

AHEAD = 4  # tiles that a core may be ahead of the caller
END = object()  # of an iterator


@checks.in_own_name
def type_gradients(
    model: "keras.Model",
    ids: ArrayLike,
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
    allow, and each core carries one shard at a time through the text.

    Parameters
    ----------
    model : keras.Model
    ids : array_like of int, (time,) or (stream, time), or list of arrays (time,)
        The states of the whole text are kept: 4 bytes for each unit, input and token.
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
    texts = read_texts(ids, network, max_delay=max_delay, window=window)
    tokens = np.concatenate(texts.ids)
    if types is not None:
        types = checks.ids_within(types, WHO, len(network.table), name="types")
    wanted = np.unique(tokens if types is None else types)
    if len(absent := np.setdiff1d(wanted, tokens)):
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
    longest = max(map(len, texts.ids))
    cut = jobs.cut(network, texts.ids, texts.stretches, None, request, length=longest)
    whole = [job for _, job in cut]  # one for each text, with all its inputs
    shards = _dealt(whole[0], tokens, wanted, max_bytes)
    means_of_types = _all_means(whole, texts.ids, shards, kinds)
    if isinstance(state, tuple):
        return means_of_types
    return (mean.isel(state_kind=0, drop=True) for mean in means_of_types)


def _dealt(job, tokens, types, max_bytes):
    """Deal types to as few shards as bytes and cores allow, alike in frequency."""
    occurring, first, counts = np.unique(tokens, return_index=True, return_counts=True)
    _, from_end = np.unique(tokens[::-1], return_index=True)
    order = np.argsort(-counts, kind="stable")
    order = order[np.isin(occurring[order], types)]
    # a frequent type's sums move to float64 as well
    itemsize = job.dtype.itemsize + np.where(counts > sums.FLUSH, 8, 0)
    n_bytes = itemsize * sum(map(np.prod, sums.Sums(job).shapes))
    changes = np.zeros(len(tokens) + 1)
    np.add.at(changes, first[order], n_bytes[order])
    np.add.at(changes, len(tokens) - from_end[order], -n_bytes[order])
    rounds = max(1, int(np.ceil(changes.cumsum().max() / max(max_bytes, 1))))
    n_shards = min(rounds * jobs.n_cores(), len(order))
    return [occurring[order[k::n_shards]].tolist() for k in range(n_shards)]


def _all_means(whole, texts, shards, kinds):
    """Yield the means of all shards, a thread a core at work, in the text's order."""
    n_cores = jobs.n_cores()

    def tiles_of(core):
        for number, types in enumerate(shards[core::n_cores]):
            for last, finished in _shard_means(whole, texts, types, kinds):
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


def _carry(shard, open_sums):
    """Carry a shard's inputs, exactly or to its tolerance; yield slices that are in."""
    if shard.request.tolerance is None:
        yield from tiles.carry(shard, open_sums)
        return
    flight = bundles.Flight(shard, open_sums)
    yield from flight.carry()
    means.warn_beyond_tolerance([flight.check()], shard.request.tolerance)


def _shard_means(whole, texts, types, kinds):
    """Yield after each tile its last input, and means of types that do not come again.

    The input counts from the first of all texts.
    """
    group = {one: k for k, one in enumerate(types)}
    left = Counter(
        np.concatenate(texts).tolist()
    )  # inputs of each type that are to come
    request = replace(whole[0].request, n_groups=len(types))
    n_samples = np.zeros((len(types), request.max_delay + 1), int)
    open_sums = sums.Sums(whole[0])

    def mean(k):
        totals = open_sums.take(k)
        totals = [total.astype(open_sums.dtype, copy=False) for total in totals]
        totals = [total[None, :, None] for total in totals]
        counts = n_samples[None, k : k + 1]
        labels = types[k : k + 1]
        labelled = means.means(totals, counts, kinds, labels, dtype=whole[0].dtype)
        return labelled.isel(block=0)

    first = 0  # of the text, counted from the first of all
    for job, ids in zip(whole, texts, strict=True):
        sources = np.flatnonzero(np.isin(ids, types))
        shard = replace(
            job,
            request=request,
            sources=sources,
            ends=job.ends[sources],
            members=[(group[one],) for one in ids[sources].tolist()],
        )
        n_samples += jobs.n_samples(shard)
        for tile in _carry(shard, open_sums):
            of_tile = ids[sources[tile]].tolist()
            left.subtract(of_tile)
            finished = [group[one] for one in sorted({*of_tile}) if not left[one]]
            yield first + sources[tile][-1], [mean(k) for k in finished]
        first += len(ids)
