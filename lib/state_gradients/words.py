"""State gradients of single words: of a sentence, and of every type of a text."""

import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from state_gradients import blocks, chains, gradients, spectra
from state_gradients.whitening import whiten_gradient


def sentence_memory(model, ids, *, max_delay=None, whitening=None, **options):
    """Return sigma_1 of each word's own state gradients: how long it is remembered.

    Parameters
    ----------
    model : keras.Model
    ids : array_like of int, shape (time,)
        One sentence; whatever text the state is to come from stands before it.
    max_delay : int, optional
        By default the sentence's length less one.
    whitening : Whitening, optional
        Measure inputs in standard deviations of the embedding.
    **options
        Of :func:`gradients.mean_state_gradients`.

    Returns
    -------
    DataArray of shape (token, delay)
        sigma_1 of ds_{t+delay}/de_t for t = token; NaN beyond the end.
    """
    n_tokens = np.size(ids)
    max_delay = n_tokens - 1 if max_delay is None else max_delay
    alone = np.eye(n_tokens, dtype=bool)
    found = gradients.mean_state_gradients(
        model, ids, max_delay=max_delay, positions=alone, **options
    )
    gradient = found["state_gradient"].fillna(0)
    if whitening is not None:
        gradient = whiten_gradient(gradient, whitening)
    memory = spectra.memory_curve(gradient)["memory"].where(found["n_samples"] > 0)
    return memory.rename(group="token")


def type_gradients(
    model, ids, *, max_delay, types=None, memory=3e9, window=None, **options
):
    """Average ds_t/de_{t-tau} for every input type on its own, a shard at a time.

    A shard carries its own inputs only; types are dealt to shards by falling frequency,
    so that these are alike, and each core works on one. What all cost beyond one plain
    pass (half as much again, in six shards) goes to the sums, which fit in no cache,
    and to the text's differentials, which every shard needs.

    Parameters
    ----------
    model : keras.Model
    ids : array_like of int, shape (time,) or (stream, time)
        The states of the whole text are kept: 4 bytes for each unit, input and token.
    max_delay : int
    types : array_like of int, optional
        By default every type that occurs.
    memory : float
        Bytes that all shards in memory may take together.
    window : int, optional
    **options
        ``state``, ``layer``, ``wrt`` and ``dtype`` of
        :func:`gradients.mean_state_gradients`.

    Yields
    ------
    xarray.Dataset
        ``state_gradient`` ([state_kind], group, delay, state, embedding), in the
        chain's precision, and ``n_samples`` (group, delay); ``group`` holds type ids.

    Raises
    ------
    ValueError
        If an argument does not fit the model, or a type does not occur.
    """
    network, kinds, picked = gradients.read(model, **options)
    streams = gradients.checked_ids(ids, len(network.table), max_delay, window)
    found, counts = np.unique(streams, return_counts=True)
    counts = dict(zip(found.tolist(), counts.tolist(), strict=True))
    wanted = np.unique(found if types is None else types).tolist()
    if absent := [one for one in wanted if one not in counts]:
        raise ValueError(
            f"type_gradients: `types` must occur in `ids`, received {absent[:5]} of "
            f"{len(absent)} that do not."
        )
    return _shards(
        network,
        streams,
        _dealt(
            network,
            sorted(wanted, key=lambda one: -counts[one]),
            counts,
            memory,
            max_delay=max_delay,
            wrt=options.get("wrt", 0),
            picked=picked,
        ),
        kinds=kinds,
        several=isinstance(options.get("state"), tuple),
        wrt=options.get("wrt", 0),
        window=window,
        max_delay=max_delay,
        picked=picked,
    )


def _dealt(network, types, counts, memory, *, max_delay, wrt, picked):
    """Deal types to as few shards as memory and cores allow, alike in frequency."""
    below = network.table.shape[1]
    if wrt:
        below = network.cells[wrt - 1].sizes[network.cells[wrt - 1].output]
    size = (max_delay + 1) * below * network.cells[-1].sizes[picked[0]] * len(picked)
    running = network.table.itemsize
    # a frequent type's sums move to float64 as well
    bytes_ = sum(size * (running + 8 * (counts[one] > chains.FLUSH)) for one in types)
    # at work on each core, and two more: one finished, one in the caller's hands
    n_cores = blocks.n_cores()
    rounds = max(1, int(np.ceil((n_cores + 2) * bytes_ / memory / n_cores)))
    n_shards = min(rounds * n_cores, len(types))
    return [types[k::n_shards] for k in range(n_shards)]


def _shards(network, streams, shards, *, kinds, several, wrt, window, **options):
    """Yield each shard's means, as many at work as there are cores."""
    whole = [
        block
        for _, block in blocks.cut(
            network,
            streams,
            np.zeros(streams.shape, int),
            None,
            wrt=wrt,
            window=window,
            length=streams.shape[1],
            n_groups=1,
            second_moment=False,
            **options,
        )
    ]

    def work(types):
        place = {one: k for k, one in enumerate(types)}
        n_samples = np.zeros((1, len(types), options["max_delay"] + 1), int)
        sums = None
        for block, ids in zip(whole, streams, strict=True):
            sources = np.flatnonzero(np.isin(ids, types))
            part = chains.Block(
                cells=block.cells,
                trace=block.trace,
                sources=sources,
                ends=block.ends[sources],
                members=[(place[i],) for i in ids[sources].tolist()],
                n_groups=len(types),
                second_moment=False,
                **options,
            )
            sums = sums or chains.Sums(part)
            chains.accumulate(part, sums)
            n_samples[0] += blocks.n_samples(part)
        arrays = [array[None] for array in sums.merged()]
        return gradients.means(arrays, n_samples, kinds, types).isel(block=0)

    with blocks.one_thread(), ThreadPoolExecutor(blocks.n_cores()) as threads:
        rest = iter(shards)
        at_work = deque(
            threads.submit(work, types)
            for types in itertools.islice(rest, blocks.n_cores())
        )
        while at_work:
            found = at_work.popleft().result()
            yield found if several else found.isel(state_kind=0, drop=True)
            del found  # its memory is the next shard's
            at_work.extend(
                threads.submit(work, types) for types in itertools.islice(rest, 1)
            )
