"""Mean state gradients over a whole corpus, in one forward sweep.

    G_{t,tau} = ds_t / de_{t-tau},   averaged over every t >= tau of a text

The text is cut into jobs (:mod:`state_gradients.engine.jobs`); on a processor a job
runs in :mod:`state_gradients.engine.tiles`, on an accelerator in
:mod:`state_gradients.engine.sweep`.
"""

from concurrent.futures import Executor
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from state_gradients.engine import jobs
from state_gradients.engine.network import read_network
from state_gradients.foundation.labels import described

if TYPE_CHECKING:
    import keras


def mean_state_gradients(
    model: "keras.Model",
    ids: ArrayLike,
    *,
    max_delay: int,
    state: str | tuple[str, ...] | None = None,
    layer: int = 1,
    wrt: int = 0,
    groups: ArrayLike | None = None,
    positions: ArrayLike | None = None,
    window: int | None = None,
    dtype: Literal["float32", "float64"] | None = None,
    second_moment: bool = False,
    blocks: int | None = None,
    executor: Executor | None = None,
    engine: Literal["tiles", "sweep"] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Average ds_t/de_{t-tau} over a text, for every delay tau from 0 to `max_delay`.

    Delay tau averages over every t >= tau of a stream. Each stream starts from the zero
    state; dropout is off.

    Parameters
    ----------
    model : keras.Model
        Any model that begins Embedding -> recurrent layers, without masking.
    ids : array_like of int, shape (time,) or (stream, time)
    max_delay : int
    state : str or tuple of str, optional
        "hidden", an LSTM's "cell", or "state_1", "state_2", .. of other cells. By
        default the cell for an LSTM, else the first. A tuple adds a leading
        ``state_kind`` dimension.
    layer : int
        Whose state: 1 is the recurrent layer above the embedding.
    wrt : int
        With respect to what: 0 is the embedding, k the output of recurrent layer k.
    groups : array_like of bool, shape (group, vocabulary), optional
        Average only over inputs t - tau whose word type is in the group; groups may
        overlap. Adds a ``group`` dimension. A DataArray keeps its labels.
    positions : array_like of bool, (group, time) or (group, stream, time), optional
        As `groups`, by the input's place instead of its type.
    window : int, optional
        Cut the chain at multiples of `window` (the state is carried on), as the
        released code does with 200.
    dtype : "float32" or "float64", optional
        Of the whole chain; float32 by default.
    second_moment : bool
        Average G^T G as well.
    blocks : int, optional
        Cut the inputs into so many stretches and average each on its own, for
        :mod:`state_gradients.analysis.uncertainty`. Adds a leading ``block`` dimension.
    executor : concurrent.futures.Executor, optional
        Where the jobs run; by default in threads, one a core.
    engine : "tiles" or "sweep", optional
        By default the sweep where the backend has an accelerator, else the tiles.
    progress : bool
        Whether to show a bar with the time left.

    Returns
    -------
    xarray.Dataset
        ``state_gradient`` ([block], [state_kind], [group], delay, state, embedding),
        float64, state units per embedding unit; NaN where nothing was averaged.
        ``n_samples`` ([block], [group], delay), how many positions each mean is over.
        ``second_moment`` (.., delay, embedding, embedding_2).

    Raises
    ------
    ValueError
        If an argument does not fit the model.
    FloatingPointError
        If a gradient is not finite.

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
    >>> means = sg.mean_state_gradients(model, [3, 1, 4, 1, 2], max_delay=2)
    >>> means["state_gradient"].sel(delay=2).values.round(3) + 0.0
    array([[0.25, 0.  ],
           [0.  , 0.25]])
    >>> means["n_samples"].values.tolist()
    [5, 4, 3]
    """
    network, kinds, state_indices = read(
        model, state=state, layer=layer, wrt=wrt, dtype=dtype
    )
    streams = checked_ids(ids, len(network.table), max_delay, window)
    members, labels = _members(streams, groups, positions, len(network.table))
    n_groups = 1 if labels is None else len(labels)
    if blocks is not None and not 1 <= blocks <= streams.size:
        raise ValueError(
            f"mean_state_gradients: `blocks` must be in 1..{streams.size}, the number "
            f"of tokens, received {blocks}."
        )
    request = jobs.Request(
        max_delay=max_delay,
        state_indices=state_indices,
        wrt=wrt,
        window=window,
        n_groups=n_groups,
        second_moment=second_moment,
    )
    n_stretches = blocks or 1
    stretches = np.arange(streams.size) * n_stretches // streams.size
    stretches = stretches.reshape(streams.shape)
    cut = jobs.cut(network, streams, stretches, members, request)
    counts = np.zeros((n_stretches, n_groups, max_delay + 1), int)
    sums = None
    bar = tqdm(total=streams.size, unit="token", disable=not progress)
    for stretch, job, job_sums in jobs.run(cut, executor=executor, engine=engine):
        bar.update(len(job.sources))
        sums = sums or [np.zeros((n_stretches, *part.shape)) for part in job_sums]
        counts[stretch] += jobs.n_samples(job)
        for total, part in zip(sums, job_sums, strict=True):
            total[stretch] += part
    bar.close()
    result = means(sums, counts, kinds, labels)
    result = result if blocks else result.isel(block=0)
    return result if isinstance(state, tuple) else result.isel(state_kind=0, drop=True)


def checked_ids(ids, vocabulary_size, max_delay, window=None):
    """Return ids as (stream, time), or refuse them with a ValueError."""
    streams = np.atleast_2d(np.asarray(ids))
    integers = streams.ndim == 2 and np.issubdtype(streams.dtype, np.integer)
    if not integers or not streams.size:
        raise ValueError(
            "mean_state_gradients: `ids` must be integers of shape (time,) or (stream, "
            f"time), received {streams.dtype} of shape {np.shape(ids)}."
        )
    if streams.min() < 0 or streams.max() >= vocabulary_size:
        raise ValueError(
            f"mean_state_gradients: `ids` must lie in 0..{vocabulary_size - 1}, "
            f"received {streams.min()}..{streams.max()}."
        )
    length = streams.shape[1] if window is None else min(window, streams.shape[1])
    if not 0 <= max_delay < length:
        raise ValueError(
            "mean_state_gradients: `max_delay` must be below the stream's or window's "
            f"length {length}, received {max_delay}."
        )
    return streams


def read(model, *, state=None, layer=1, wrt=0, dtype=None):
    """Return a model's network, the states asked for, and their indices in its cell.

    Raises
    ------
    ValueError
        If there is no such layer or state.
    """
    if not 0 <= wrt < layer:
        raise ValueError(
            "mean_state_gradients: `wrt` must be 0 (the embedding) or a layer below "
            f"`layer` = {layer}, received {wrt}."
        )
    network = read_network(model, n_layers=layer, dtype=dtype or "float32")
    names = network.cells[-1].names
    default = "cell" if "cell" in names else names[0]
    kinds = state if isinstance(state, tuple) else (state or default,)
    for kind in kinds:
        if kind not in names:
            raise ValueError(
                f"mean_state_gradients: `state` must be among {names}, received "
                f"{kind!r}."
            )
    state_indices = tuple(names.index(kind) for kind in kinds)
    sizes = {network.cells[-1].sizes[k] for k in state_indices}
    if len(sizes) > 1:
        raise ValueError(
            "mean_state_gradients: states asked for together must have one size, "
            f"received {kinds} of sizes {sorted(sizes)}; ask for one at a time."
        )
    return network, kinds, state_indices


def _members(streams, groups, positions, vocabulary_size):
    """Return the groups of each input of each stream, or None, and the labels."""
    if groups is None and positions is None:
        return None, None
    if groups is not None and positions is not None:
        raise ValueError("mean_state_gradients: `groups` or `positions`, not both.")
    given = groups if positions is None else positions
    labels = np.arange(len(given))
    if isinstance(given, xr.DataArray):
        labels = given.coords.get(given.dims[0], xr.DataArray(labels)).values
    given = np.asarray(given, dtype=bool)
    if groups is not None and given.shape == (len(given), vocabulary_size):
        of_type = [tuple(np.flatnonzero(column)) for column in given.T]
        return [[of_type[i] for i in stream] for stream in streams], labels
    if positions is not None and given.ndim == 2:
        given = given[:, None]
    if positions is not None and given.shape[1:] == streams.shape:
        by_input = np.moveaxis(given, 0, -1)  # (stream, time, group)
        return [
            [tuple(np.flatnonzero(t)) for t in stream] for stream in by_input
        ], labels
    raise ValueError(
        f"mean_state_gradients: `groups` must have shape (group, {vocabulary_size}), "
        f"`positions` (group, *{streams.shape}); received {given.shape}."
    )


def means(sums, counts, kinds, labels):
    """Divide sums (block, kind, group, delay, embedding, ..) by counts, and label."""
    if not all(np.isfinite(total).all() for total in sums):
        raise FloatingPointError(
            "mean_state_gradients: the gradients must be finite; the model's weights "
            "or states are not, or its gradients overflow."
        )
    n_samples = counts[:, None, :, :, None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        for total in sums:
            total /= n_samples.astype(total.dtype)
    dims = ("block", "state_kind", "group", "delay")
    first = xr.DataArray(sums[0], dims=(*dims, "embedding", "state"))
    variables = {
        "state_gradient": first.transpose(..., "state", "embedding"),
        "n_samples": xr.DataArray(counts, dims=("block", "group", "delay")),
    }
    if len(sums) > 1:
        axes = (*dims, "embedding", "embedding_2")
        variables["second_moment"] = xr.DataArray(sums[1], dims=axes)
    labels = {} if labels is None else {"group": labels}
    result = described(**variables).assign_coords(
        delay=np.arange(counts.shape[-1]), state_kind=list(kinds), **labels
    )
    result["delay"].attrs = {"long_name": "delay", "units": "tokens"}
    return result if labels else result.isel(group=0)
