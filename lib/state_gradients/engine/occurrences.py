"""State gradients of single inputs of a long text, each by itself.

The text is read once, forward; of each chosen input the states before it are kept, and
from them its tangents are carried on, those of some inputs side by side. What is
averaged over, and how, is the caller's.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from tqdm import tqdm

from state_gradients.engine import jobs, means
from state_gradients.foundation import checks

if TYPE_CHECKING:
    import keras

WHO = "occurrence_gradients"
LENGTH = 4096  # tokens whose states are held at a time
TOGETHER = 64  # occurrences, each with Jacobians of its own


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
    positions = checks.as_array(positions, WHO, "positions")
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
            for start in range(0, len(positions), TOGETHER):
                some = positions[start : start + TOGETHER]
                rows = np.searchsorted(wanted, some)
                states = [tuple(state[rows] for state in layer) for layer in before]
                parts = ids[np.arange(request.max_delay + 1)[:, None] + some]
                each.append(_gradients(network, parts, states, request))
                bar.update(len(some))
            labels = {"occurrence": positions}
            gradients = xr.DataArray(np.concatenate(each), dims=axes, coords=labels)
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


def _gradients(network, ids, states, request):
    """Return the tangents (occurrence, delay, embedding, state) of first tokens.

    Parameters
    ----------
    network : state_gradients.engine.network.Network
    ids : ndarray of int, shape (time, occurrence)
        Each occurrence's token and those that follow it.
    states : list of tuples of arrays (occurrence, units)
        Of each layer, before the first token.
    request : state_gradients.engine.jobs.Request
    """
    trace, _ = network.run(ids, states)
    (state_index,) = request.state_indices
    n_there, n_inputs = ids.shape[1], network.table.shape[1]
    tangents = [
        [
            np.zeros((n_there, n_inputs, size), network.table.dtype)
            for size in cell.sizes
        ]
        for cell in network.cells
    ]
    followed = []
    for t in range(len(ids)):
        below = None
        for layer, (cell, (x, *before)) in enumerate(
            zip(network.cells, trace, strict=True)
        ):
            differential = cell.stacked(x[t], [state[t] for state in before])
            driven = _driven(tangents[layer], differential, below, is_first=t == 0)
            tangents[layer] = differential.of_rows().advance(tangents[layer], driven)
            below = tangents[layer][cell.output]
        followed.append(tangents[-1][state_index])
    return np.stack(followed, axis=1)


def _driven(tangents, differential, below, *, is_first):
    """Return what drives each state's tangents, 0 if nothing does.

    The input drives the lowest layer at its own token, and `below` the layers above.
    """
    driven = [0] * len(tangents)
    for (j, i), matrix in differential.dense.items():
        driven[i] = driven[i] + tangents[j] @ matrix
    if below is not None or is_first:
        for i, matrix in enumerate(differential.inputs):
            driven[i] = driven[i] + (matrix if below is None else below @ matrix)
    return driven
