"""State gradients of every word type of a text, each averaged on its own."""

import heapq
from collections import Counter, deque
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from state_gradients.engine import jobs, sums
from state_gradients.engine import means as gradients
from state_gradients.engine import tiles as chains

if TYPE_CHECKING:
    import keras

AHEAD = 4  # tiles that a core may be ahead of the caller


def type_gradients(
    model: "keras.Model",
    ids: ArrayLike,
    *,
    max_delay: int,
    types: ArrayLike | None = None,
    memory: float = 2.5e9,
    window: int | None = None,
    **options: Any,
) -> Iterator[xr.Dataset]:
    """Average ds_t/de_{t-tau} for every input type on its own.

    A type's sums are kept from its first input to its last; the mean is handed out
    then. Types are dealt by falling frequency to as few shards as memory and cores
    allow, and each core carries one shard at a time through the text.

    Parameters
    ----------
    model : keras.Model
    ids : array_like of int, shape (time,) or (stream, time)
        The states of the whole text are kept: 4 bytes for each unit, input and token.
    max_delay : int
    types : array_like of int, optional
        By default every type that occurs.
    memory : float
        Bytes that the sums may take together; fewer make more shards, down to a type
        a shard.
    window : int, optional
    **options
        ``state``, ``layer``, ``wrt`` and ``dtype`` of
        :func:`gradients.mean_state_gradients`.

    Yields
    ------
    xarray.Dataset
        Of one type: ``state_gradient`` ([state_kind], group, delay, state, embedding),
        in the chain's precision, and ``n_samples`` (group, delay); ``group`` holds the
        type's id.

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
    >>> for means in sg.type_gradients(model, [3, 1, 4, 1, 2], max_delay=1):
    ...     of_type = means.isel(group=0)
    ...     print(int(of_type["group"]), of_type["n_samples"].values.tolist())
    1 [2, 2]
    2 [1, 0]
    3 [1, 1]
    4 [1, 1]
    """
    network, kinds, picked = gradients.read(model, **options)
    streams = gradients.checked_ids(ids, len(network.table), max_delay, window)
    wanted = np.unique(streams if types is None else types)
    if len(absent := np.setdiff1d(wanted, streams)):
        raise ValueError(
            f"type_gradients: `types` must occur in `ids`, received {absent[:5]} of "
            f"{len(absent)} that do not."
        )
    texts = [
        block
        for _, block in jobs.cut(
            network,
            streams,
            np.zeros(streams.shape, int),
            None,
            wrt=options.get("wrt", 0),
            window=window,
            length=streams.shape[1],
            n_groups=1,
            max_delay=max_delay,
            picked=picked,
            second_moment=False,
        )
    ]
    found = _all_means(texts, streams, _dealt(texts[0], streams, wanted, memory), kinds)
    if isinstance(options.get("state"), tuple):
        return found
    return (means.isel(state_kind=0, drop=True) for means in found)


def _dealt(text, streams, types, memory):
    """Deal types to as few shards as memory and cores allow, alike in frequency."""
    _, first, counts = np.unique(streams, return_index=True, return_counts=True)
    found, last = np.unique(streams.ravel()[::-1], return_index=True)
    order = np.argsort(-counts, kind="stable")
    order = order[np.isin(found[order], types)]
    # a frequent type's sums move to float64 as well
    itemsize = text.dtype.itemsize + 8 * (counts > sums.FLUSH)
    bytes_ = itemsize * np.prod(sums.Sums(text).shapes[0])
    changes = np.zeros(streams.size + 1)
    np.add.at(changes, first[order], bytes_[order])
    np.add.at(changes, streams.size - last[order], -bytes_[order])
    rounds = max(1, int(np.ceil(changes.cumsum().max() / max(memory, 1))))
    n_shards = min(rounds * jobs.n_cores(), len(order))
    return [found[order[k::n_shards]].tolist() for k in range(n_shards)]


def _all_means(texts, streams, shards, kinds):
    """Yield the means of all shards, a thread a core at work, in the text's order."""
    n_cores = jobs.n_cores()

    def of_core(k):
        for number, types in enumerate(shards[k::n_cores]):
            for place, finished in _shard_means(texts, streams, types, kinds):
                yield (number, place), finished

    def results(step, waiting):
        while tile := waiting.popleft().result():
            waiting.append(step())
            yield tile

    with ExitStack() as stack:
        stack.enter_context(jobs.one_thread())
        tiles = []
        for k in range(n_cores):
            thread = ThreadPoolExecutor(1)
            stack.callback(thread.shutdown, cancel_futures=True)
            step = partial(thread.submit, next, of_core(k), None)
            tiles.append(results(step, deque(step() for _ in range(AHEAD))))
        for _, finished in heapq.merge(*tiles, key=itemgetter(0)):
            yield from finished


def _shard_means(texts, streams, types, kinds):
    """Yield after each tile its place, and means of types that do not come again."""
    group = {one: k for k, one in enumerate(types)}
    left, kept = Counter(streams.ravel().tolist()), sums.Sums(texts[0])
    n_samples = np.zeros((len(types), texts[0].max_delay + 1), int)

    def mean(k):
        array = kept.take(k)[0].astype(kept.dtype, copy=False)[None, :, None]
        counts = n_samples[None, k : k + 1]
        return gradients.means([array], counts, kinds, types[k : k + 1]).isel(block=0)

    for number, (text, ids) in enumerate(zip(texts, streams, strict=True)):
        sources = np.flatnonzero(np.isin(ids, types))
        members = [(group[one],) for one in ids[sources].tolist()]
        part = replace(text, sources=sources, ends=text.ends[sources], members=members)
        part = replace(part, n_groups=len(types))
        n_samples += jobs.n_samples(part)
        for tile in chains.carry(part, kept):
            found = ids[sources[tile]].tolist()
            left.subtract(found)
            finished = [group[one] for one in sorted({*found}) if not left[one]]
            place = number * len(ids) + sources[tile][-1]
            yield place, [mean(k) for k in finished]
