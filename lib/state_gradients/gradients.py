"""Mean state gradients over a whole corpus, in one forward sweep.

    G_{t,tau} = ds_t / de_{t-tau},   X_{t,0} = B_t,   X_{t,tau} = J_t X_{t-1,tau-1}

Every token sends `embedding` tangent columns through the next `max_delay` steps, and
all columns in flight share the step's J_t: one block of (units, (max_delay + 1) x
embedding) columns a token, whatever the corpus's length. Sums run in the backend for
at most 64 tokens, then in NumPy's float64.
"""

import keras
import numpy as np
import xarray as xr
from keras import ops

from state_gradients import backends, cells
from state_gradients.labelling import described

CHUNK = 64  # tokens whose float32 sum is safe: relative error below 64 * 2^-24 = 4e-6


def mean_state_gradients(
    model,
    ids,
    *,
    max_delay,
    state=None,
    groups=None,
    positions=None,
    window=None,
    dtype=None,
):
    """Average ds_t/de_{t-tau} over a text, for every delay tau from 0 to `max_delay`.

    Delay tau averages over every t >= tau of a stream. Each stream starts from the zero
    state; dropout is off.

    Parameters
    ----------
    model : keras.Model
        Any model that begins Embedding -> LSTM, GRU or SimpleRNN, without masking.
    ids : array_like of int, shape (time,) or (stream, time)
    max_delay : int
    state : "cell", "hidden" or a tuple of them, optional
        By default the cell for an LSTM, else hidden. A tuple adds a leading
        ``state_kind`` dimension.
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

    Returns
    -------
    xarray.Dataset
        ``state_gradient`` ([state_kind], [group], delay, state, embedding), float64,
        state units per embedding unit; NaN where nothing was averaged. ``n_samples``
        ([group], delay), how many positions each mean is over.

    Raises
    ------
    ValueError, NotImplementedError
        If an argument does not fit the model, or its cell has no closed form.
    FloatingPointError
        If a gradient is not finite.
    """
    table, layer = _first_layers(model)
    dtype = dtype or "float32"
    if not backends.supports(dtype):
        raise ValueError(
            f"mean_state_gradients: the backend must compute in {dtype!r}; on JAX set "
            "JAX_ENABLE_X64=1."
        )
    streams = _checked_ids(ids, table.shape[0], max_delay, window)
    names = cells.state_names(layer.cell)
    kinds = state if isinstance(state, tuple) else (state or names[-1],)  # cell is last
    for kind in kinds:
        if kind not in names:
            raise ValueError(
                f"mean_state_gradients: `state` must be among {names}, received "
                f"{kind!r}."
            )
    masks, labels = _masks(streams, groups, positions, table.shape[0])
    sweep = _compiled_sweep(layer.cell, names, kinds, dtype)
    sizes = cells.state_sizes(layer.cell)
    sums, n_samples = 0.0, 0
    for stream, mask in zip(streams, masks, strict=True):
        part, count = _sweep_stream(
            sweep, table, stream, mask, max_delay, window, sizes, dtype
        )
        sums, n_samples = sums + part, n_samples + count
    if not np.all(np.isfinite(sums)):
        raise FloatingPointError(
            "mean_state_gradients: the gradients must be finite; the model's weights "
            "or states are not, or its gradients overflow."
        )
    with np.errstate(invalid="ignore", divide="ignore"):
        # sums (kind, group, state, delay, embedding) -> delay before state
        mean = np.moveaxis(sums, 2, 3) / n_samples[:, :, None, None]
    return _dataset(mean, n_samples, kinds, isinstance(state, tuple), labels)


def _first_layers(model):
    """Return the embedding matrix (vocabulary, embedding) and the first RNN layer."""
    layers = [x for x in model.layers if not isinstance(x, keras.layers.InputLayer)]
    fits = len(layers) > 1 and isinstance(layers[0], keras.layers.Embedding)
    fits = fits and isinstance(layers[1], keras.layers.RNN)
    if not fits or layers[0].mask_zero or layers[1].go_backwards:
        raise ValueError(
            "mean_state_gradients: the model must begin Embedding -> recurrent layer, "
            "without `mask_zero` or `go_backwards`, received "
            f"{[type(x).__name__ for x in layers[:2]]}."
        )
    return ops.convert_to_numpy(layers[0].embeddings.value), layers[1]


def _checked_ids(ids, vocabulary_size, max_delay, window):
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


def _masks(streams, groups, positions, vocabulary_size):
    """Return a mask (group, time) for each stream, or Nones, and the group labels."""
    if groups is None and positions is None:
        return [None] * len(streams), None
    if groups is not None and positions is not None:
        raise ValueError("mean_state_gradients: `groups` or `positions`, not both.")
    given = groups if positions is None else positions
    labels = np.arange(len(given))
    if isinstance(given, xr.DataArray):
        labels = given.coords.get(given.dims[0], xr.DataArray(labels)).values
    given = np.asarray(given, dtype=bool)
    if groups is not None and given.shape == (len(given), vocabulary_size):
        return [given[:, stream] for stream in streams], labels
    if positions is not None and given.ndim == 2:
        given = given[:, None]
    if positions is not None and given.shape[1:] == streams.shape:
        return list(np.moveaxis(given, 1, 0)), labels
    raise ValueError(
        f"mean_state_gradients: `groups` must have shape (group, {vocabulary_size}), "
        f"`positions` (group, *{streams.shape}); received {given.shape}."
    )


def _compiled_sweep(cell, names, kinds, dtype):
    """Return the compiled sweep over one chunk of tokens.

    ``sweep(embedded, carries, chosen, states, tangents) -> sums, states, tangents``;
    tangents are (units, delay, embedding) blocks, sums (kind, group, units, delay,
    embedding). ``carries`` (token, 2): whether the chain comes over from the token
    before, and whether the token exists. ``chosen`` (token, group, delay): 1 where the
    input that many tokens back counts for the group, or None for all.
    """
    step = cells.closed_form(cell, dtype=dtype)
    picked = [names.index(kind) for kind in kinds]

    def sweep(embedded, carries, chosen, states, tangents):
        def one_token(t, carry):
            states, tangents, sums = carry
            done = step(embedded[t], states)
            _, width, size = tangents[0].shape
            flat = [ops.reshape(x[:, :-1], (-1, (width - 1) * size)) for x in tangents]
            blocks = []
            for old, new in zip(done.propagate(flat), done.inputs, strict=True):
                old = ops.reshape(old * carries[t, 0], (-1, width - 1, size))
                fresh = ops.expand_dims(new * carries[t, 1], 1)
                blocks.append(ops.concatenate([fresh, old], axis=1))
            added = []
            for total, k in zip(sums, picked, strict=True):
                if chosen is None:
                    added.append(total + blocks[k][None])
                else:
                    added.append(total + blocks[k][None] * chosen[t][:, None, :, None])
            return done.states, tuple(blocks), tuple(added)

        groups = 1 if chosen is None else chosen.shape[1]
        zeros = [ops.zeros((groups, *tangents[k].shape), dtype=dtype) for k in picked]
        start = (tuple(states), tuple(tangents), tuple(zeros))
        states, tangents, sums = ops.fori_loop(0, CHUNK, one_token, start)
        return ops.stack(sums), states, tangents

    return backends.compiled(sweep)


def _sweep_stream(sweep, table, ids, mask, max_delay, window, sizes, dtype):
    """Return sums (kind, group, state, delay, embedding) and counts of one stream."""
    age = np.arange(len(ids)) % (window or len(ids))  # tokens since the chain began
    delays = np.arange(max_delay + 1)
    states = tuple(np.zeros(size, dtype) for size in sizes)
    width = (max_delay + 1, table.shape[1])
    tangents = tuple(np.zeros((size, *width), dtype) for size in sizes)
    sums, counts = 0.0, 0
    for start in range(0, len(ids), CHUNK):
        t = np.arange(start, min(start + CHUNK, len(ids)))
        counted = (age[t, None] >= delays)[:, None]  # (token, group, delay)
        if mask is not None:
            source = np.maximum(t[:, None] - delays, 0)
            counted = counted & np.moveaxis(mask[:, source], 0, 1)
        counts = counts + counted.sum(axis=0)
        carries = np.stack([age[t] > 0, np.ones(len(t))], axis=1)
        chosen = None if mask is None else _padded(counted, dtype)
        part, states, tangents = sweep(
            _padded(table[ids[t]], dtype),
            _padded(carries, dtype),
            chosen,
            states,
            tangents,
        )
        sums = sums + ops.convert_to_numpy(part).astype(np.float64)
    return sums, counts


def _padded(values, dtype):
    """Fill a chunk's last tokens with zeros, which neither carry nor count."""
    missing = [(0, CHUNK - len(values))] + [(0, 0)] * (values.ndim - 1)
    return np.pad(values.astype(dtype), missing)


def _dataset(mean, n_samples, kinds, several, labels):
    dims = ("state_kind", "group", "delay", "state", "embedding")
    result = described(
        state_gradient=xr.DataArray(mean, dims=dims),
        n_samples=xr.DataArray(n_samples, dims=("group", "delay")),
    ).assign_coords(delay=np.arange(mean.shape[2]), state_kind=list(kinds))
    result["delay"].attrs = {"long_name": "delay", "units": "tokens"}
    grouped = labels is not None
    result = result.assign_coords(group=labels) if grouped else result.isel(group=0)
    return result if several else result.isel(state_kind=0, drop=True)
