"""State gradients of single inputs of a long text, each by itself.

The text is read once, forward; of each chosen input the states before it are kept, and
from them its tangents are carried on. What is averaged over, and how, is the caller's.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from tqdm import tqdm

from state_gradients.engine import jobs, means, sums, tiles
from state_gradients.foundation import checks

if TYPE_CHECKING:
    import keras

WHO = "occurrence_gradients"
LENGTH = 4096  # tokens whose states are held at a time


def occurrence_gradients(
    model: "keras.Model",
    ids: ArrayLike,
    positions: Sequence[ArrayLike],
    *,
    max_delay: int,
    state: str | None = None,
    layer: int = 1,
    dtype: str | None = None,
    progress: bool = False,
) -> Iterator[xr.DataArray]:
    """Yield ds_t/de_{t-tau} of chosen inputs, one set of them after the other.

    Parameters
    ----------
    model : keras.Model
    ids : array_like of int, shape (time,)
        Read from the zero state.
    positions : sequence of array_like of int, each of shape (occurrence,)
        The sets: tokens of the text that are followed by `max_delay` more.
    max_delay, state, layer, dtype
        Of :func:`state_gradients.engine.means.mean_state_gradients`.
    progress : bool
        Whether to show bars with the time left: of the text, then of the inputs.

    Yields
    ------
    xarray.DataArray
        (occurrence, delay, state, embedding) in the chain's precision;
        ``occurrence`` holds the positions.

    Raises
    ------
    ValueError
        If an argument does not fit the model, or a position is no token that
        `max_delay` more follow.

    Examples
    --------
    A linear network whose state is halved at every token, s' = s / 2 + e:

    >>> import keras
    >>> from state_gradients.engine.occurrences import occurrence_gradients
    >>> rnn = keras.layers.SimpleRNN(
    ...     1,
    ...     activation="linear",
    ...     kernel_initializer="identity",
    ...     recurrent_initializer=keras.initializers.Identity(0.5),
    ... )
    >>> embedding = keras.layers.Embedding(5, 1)
    >>> model = keras.Sequential([keras.Input((None,)), embedding, rnn])
    >>> sets = occurrence_gradients(model, [3, 1, 4, 1, 2], [[1, 3], [0]], max_delay=1)
    >>> [one.values.squeeze().tolist() for one in sets]
    [[[1.0, 0.5], [1.0, 0.5]], [1.0, 0.5]]
    """
    max_delay = checks.whole_number(max_delay, WHO, "max_delay", least=0)
    if isinstance(state, tuple):
        raise ValueError(f"{WHO}: `state` must be one of them, received {state}.")
    network, _, state_indices = means.read(
        model, state=state, layer=layer, wrt=0, dtype=dtype
    )
    if network.masks:
        raise ValueError(
            f"{WHO}: the model must not mask the id 0, for then positions have no "
            "meaning; drop the zeros and use an embedding without `mask_zero`."
        )
    ids = checks.ids_within(ids, WHO, len(network.table))
    sets = [_checked(one, len(ids) - max_delay) for one in positions]
    if not sets:
        raise ValueError(f"{WHO}: `positions` must hold one set at least.")
    request = jobs.Request(max_delay=max_delay, state_indices=state_indices)
    return _all_sets(network, ids, sets, request, progress)


def _checked(positions, n_followed):
    positions = np.asarray(positions)
    is_list = positions.ndim == 1 and positions.size and positions.dtype.kind in "iu"
    if not is_list or positions.min() < 0 or positions.max() >= n_followed:
        raise ValueError(
            f"{WHO}: each of `positions` must be a vector of whole numbers, at least "
            f"one, in 0..{n_followed - 1}, tokens that `max_delay` more follow, "
            f"received {positions}."
        )
    return positions


def _all_sets(network, ids, sets, request, progress):
    wanted = np.unique(np.concatenate(sets))
    before = _states_before(network, ids, wanted, progress)
    axes = ("occurrence", "delay", "embedding", "state")
    n_inputs = sum(map(len, sets))
    bar = tqdm(total=n_inputs, unit="input", disable=not progress)
    with jobs.one_thread():
        for positions in sets:
            each = []
            for t in positions.tolist():
                row = np.searchsorted(wanted, t)
                states = [tuple(state[row] for state in layer) for layer in before]
                part = ids[t : t + request.max_delay + 1]
                each.append(_one_gradient(network, part, states, request))
                bar.update()
            labels = {"occurrence": positions}
            gradients = xr.DataArray(np.stack(each), dims=axes, coords=labels)
            yield gradients.transpose(..., "state", "embedding")
    bar.close()


def _states_before(network, ids, wanted, progress):
    """Return of each layer each state before some tokens, arrays (token, units)."""
    states = network.zero_states()
    before = [[[] for _ in cell.sizes] for cell in network.cells]
    stop = int(wanted[-1]) + 1
    bar = tqdm(total=stop, unit="token", disable=not progress)
    for first in range(0, stop, LENGTH):
        part = ids[first : min(first + LENGTH, stop)]
        trace, states = network.run(part, states)
        here = wanted[(wanted >= first) & (wanted < first + LENGTH)] - first
        for layer, (_, *of_layer) in zip(before, trace, strict=True):
            for rows, state in zip(layer, of_layer, strict=True):
                rows.append(state[here])
        bar.update(len(part))
    bar.close()
    return [[np.concatenate(rows) for rows in layer] for layer in before]


def _one_gradient(network, ids, states, request):
    """Return the tangents (delay, embedding, state) of the first of some tokens."""
    trace, _ = network.run(ids, states)
    job = jobs.Job(
        request=request,
        cells=network.cells,
        trace=trace,
        sources=np.array([0]),
        ends=np.array([len(ids) - 1]),
        members=None,
    )
    total = sums.Sums(job)
    for _ in tiles.carry(job, total):
        pass
    return total.take(0)[0][0]
