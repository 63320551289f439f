"""Mean state gradients over a whole corpus, in one forward sweep.

    G_{t,tau} = ds_t / de_{t-tau},   averaged over every t >= tau of a text

The text is cut into jobs (:mod:`state_gradients.engine.jobs`); on a processor a job
runs in :mod:`state_gradients.engine.tiles`, on an accelerator in
:mod:`state_gradients.engine.sweep`.
"""

import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from tqdm.auto import tqdm

from state_gradients.engine import bundles, jobs, long_texts, precision, readouts
from state_gradients.engine.network import StatesNotFiniteError, read_network
from state_gradients.engine.texts import WHO, read_texts, read_trials
from state_gradients.engine.trust import PRECISIONS
from state_gradients.foundation import backends, checks
from state_gradients.foundation.labels import described

if TYPE_CHECKING:
    import keras

VANISHING = 1e-32  # where float32, whose least number is 1e-38, still holds six digits


class VanishingGradientsError(FloatingPointError):
    """The gradients fall below what float32 can hold."""


@checks.in_own_name
def mean_state_gradients(
    model: "keras.Model",
    ids: ArrayLike | Sequence[ArrayLike] | Iterator[ArrayLike] | None = None,
    *,
    max_delay: int,
    inputs: ArrayLike | Sequence[ArrayLike] | None = None,
    state: str | tuple[str, ...] | None = None,
    layer: int = 1,
    wrt: int = 0,
    groups: ArrayLike | None = None,
    positions: ArrayLike | None = None,
    padding: int | None = None,
    window: int | None = None,
    dtype: Literal["float32", "float64"] | None = None,
    second_moment: bool = False,
    blocks: int | None = None,
    executor: Executor | None = None,
    engine: Literal["tiles", "sweep"] | None = None,
    tolerance: float | None = None,
    influence: int | Literal["exact"] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Average ds_t/de_{t-tau} over a text, for every delay tau from 0 to `max_delay`.

    Delay tau averages over every t >= tau of a text. Each text starts from the zero
    state; dropout is off.

    Parameters
    ----------
    model : keras.Model
        Any model that begins Embedding -> recurrent layers. Where it masks the id 0,
        delays count the tokens that are left.
    ids : array_like of int, shape (time,) or (stream, time), or list of arrays (time,)
        One text, several of one length, or a list of texts of unequal length. Texts
        that are shorter than a delay add nothing to it: ``n_samples`` says what does.
        A long text may be a memory-mapped array (``np.memmap``), or an iterator over
        its stretches, arrays (time,) that follow each other: memory does not grow with
        its length.
    max_delay : int
    inputs : array_like of shape (time, feature) or (trial, time, feature), or list
        In the place of `ids`, what a model without an embedding reads, which begins
        with recurrent layers, or with Dense ones below these; or a list of trials
        (time, feature) of unequal length. The derivative is with respect to these
        numbers. A DataArray has its axes taken by their names; it, or a DataFrame,
        gives the names of the features.
    state : str or tuple of str, optional
        "hidden", the "cell" of an LSTM or an sLSTM, the "output" of an LRU or an S6,
        or "state_1", "state_2", .. of other cells. By default the cell if there is
        one, else the first. A tuple adds a leading ``state_kind`` dimension.
    layer : int
        Whose state: 1 is the recurrent layer above the embedding.
    wrt : int
        With respect to what: 0 is the embedding, or `inputs`; k the output of
        recurrent layer k.
    groups : array_like of bool, shape (group, vocabulary), optional
        Average only over inputs t - tau whose word type is in the group; groups may
        overlap. Adds a ``group`` dimension. A DataArray keeps its labels, and has its
        axes taken by their names.
    positions : array_like of bool, (group, time) or (group, stream, time), optional
        As `groups`, by the input's place instead of its type; (group, trial, time)
        for trials. For a list of texts a list of arrays (group, time).
    padding : int, optional
        An id that is read, and moves the state, but is no input to average over.
    window : int, optional
        Cut the chain at multiples of `window` (the state is carried on), as the
        released code does with 200.
    dtype : "float32" or "float64", optional
        Of the whole chain. By default float32, and all once more in float64 where the
        gradients, or their squares for the second moment, vanish from it, where states
        overflow, or where some inputs that are carried in both are apart
        (:mod:`state_gradients.engine.precision`). A cell of your own is looked at so
        only if its `get_config` makes it again, and it computes in float64.
    second_moment : bool
        Average G^T G as well.
    blocks : int, optional
        Cut the inputs into so many stretches and average each on its own, for
        :mod:`state_gradients.analysis.uncertainty`; a list of texts is cut between
        texts. Adds a leading ``block`` dimension.
    executor : concurrent.futures.Executor, optional
        Where the jobs run; by default in threads, one a core.
    engine : "tiles" or "sweep", optional
        By default the sweep where the backend has an accelerator with memory for it,
        else the tiles.
    tolerance : float, optional
        Carry inputs of some age in a basis that they share, cut so that it leaves of
        inputs' tangents no more than this of their norms: at the root mean square over
        some of about one age, and of every input where there are groups; see
        :mod:`state_gradients.engine.bundles`. Beyond 50 delays 1e-4 is a good choice.
        By default the chain is exact.
    influence : int or "exact", optional
        Average G^T F G as well, with G of what the softmax above the highest layer
        reads and F the Fisher information of that softmax: a step d of the input
        changes the words predicted `delay` tokens later by d^T M d / 2 nats (KL
        divergence), to second order. F is estimated, without bias, from so many words
        drawn at each position, or computed; see
        :mod:`state_gradients.engine.readouts`. 128 words suffice for a text of
        some thousand tokens.
    progress : bool
        Whether to show a bar with the time left.

    Returns
    -------
    xarray.Dataset
        ``state_gradient`` ([block], [state_kind], [group], delay, state, embedding),
        float64, state units per embedding unit; NaN where nothing was averaged. Of
        `inputs` the axis ``embedding`` is the features, and has their names.
        ``n_samples`` ([block], [group], delay), how many positions each mean is over.
        ``second_moment`` (.., delay, embedding, embedding_2).
        ``influence`` ([block], [group], delay, embedding, embedding_2), nats per
        squared embedding unit.
        With a `tolerance`, ``tolerance_error`` ([state_kind], [group], delay): how far
        the mean of some inputs, one in a hundred, the first and others drawn at random,
        came out from the exact chain, relative to its norm, NaN where there is none of
        a group; and the attributes ``tolerance`` and ``largest_residual``, of any input
        at any cut (without groups above the tolerance, where others' are below).

    Warns
    -----
    RuntimeWarning
        If ``tolerance_error`` of some group is above ten times the tolerance at some
        delay; or if float32 was asked for and is not enough.

    Raises
    ------
    ValueError
        If an argument does not fit the model, has masked entries or names its axes and
        features otherwise than it is read, or the model is not known to do what is read
        from it: see :mod:`state_gradients.engine.trust`.
    FloatingPointError
        If a state or a gradient is not finite, or vanishes from a `dtype` that was
        asked for.

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
    ids = long_texts.from_iterator(ids, WHO)
    options = {
        "inputs": inputs,
        "max_delay": max_delay,
        "state": state,
        "layer": layer,
        "wrt": wrt,
        "groups": groups,
        "positions": positions,
        "padding": padding,
        "window": window,
        "second_moment": second_moment,
        "blocks": blocks,
        "executor": executor,
        "engine": engine,
        "tolerance": tolerance,
        "influence": influence,
        "progress": progress,
    }
    try:
        return _in_precision(dtype, model, ids, **options)
    except (
        VanishingGradientsError,
        precision.PrecisionLostError,
        StatesNotFiniteError,
    ):
        if dtype is not None or not backends.supports("float64"):
            raise
    return _in_precision("float64", model, ids, **options)


def _in_precision(
    dtype,
    model,
    ids,
    *,
    inputs,
    max_delay,
    state,
    layer,
    wrt,
    groups,
    positions,
    padding,
    window,
    second_moment,
    blocks,
    executor,
    engine,
    tolerance,
    influence,
    progress,
):
    """Return what :func:`mean_state_gradients` does, its chain in one precision."""
    max_delay, window = read_delays(max_delay, window)
    words = _reads_words(ids, inputs, groups, padding)
    tolerance = read_tolerance(tolerance, engine)
    influence = readouts.read_influence(influence, WHO)
    network, kinds, state_indices = read(
        model,
        state=state,
        layer=layer,
        wrt=wrt,
        dtype=dtype,
        words=words,
        output=influence is not None,
    )
    readout = None
    if influence is not None:
        _require_tiles(executor=executor, engine=engine, tolerance=tolerance)
        readout = readouts.read_readout(model, network, influence)
        engine = "tiles"
    if words:
        texts = read_texts(
            ids,
            network,
            max_delay=max_delay,
            window=window,
            blocks=blocks,
            groups=groups,
            positions=positions,
            padding=padding,
        )
    else:
        texts = read_trials(
            inputs,
            network,
            max_delay=max_delay,
            window=window,
            blocks=blocks,
            positions=positions,
        )
    labels = texts.labels
    n_groups = 1 if labels is None else len(labels)
    request = jobs.Request(
        max_delay=max_delay,
        state_indices=state_indices,
        wrt=wrt,
        window=window,
        n_groups=n_groups,
        second_moment=second_moment,
        tolerance=tolerance,
    )
    n_stretches = blocks or 1
    runs_on = jobs.engine_for(engine, executor=executor, tolerance=tolerance)
    length = None
    if tolerance is not None:  # its last inputs share no basis with the next job's
        length = max(2 * jobs.LENGTH, 4 * max_delay)
    elif runs_on == "sweep":  # what two jobs both pass is an eighth at most
        length = max(jobs.LENGTH, 8 * max_delay)
    pieces = jobs.cut(
        network,
        texts.ids,
        texts.stretches,
        texts.members,
        request,
        length=length,
        readout=readout,
    )
    cut = precision.checked(pieces, dtype)
    counts = np.zeros((n_stretches, n_groups, max_delay + 1), int)
    sums, check = None, None
    bar = tqdm(total=texts.n_tokens, unit="token", disable=not progress)
    for stretch, job, job_sums in jobs.run(cut, executor=executor, engine=engine):
        bar.update(len(job.sources))
        if tolerance is not None:
            job_sums, of_job = job_sums
            check = bundles.both(check, of_job)
        sums = sums or [np.zeros((n_stretches, *part.shape)) for part in job_sums]
        counts[stretch] += job.n_samples()
        for total, part in zip(sums, job_sums, strict=True):
            total[stretch] += part
    bar.close()
    names = ["second_moment"] * second_moment + ["influence"] * (influence is not None)
    result = means(sums, counts, kinds, labels, dtype=dtype, beside=names)
    if not words:
        result = _of_numbers(result, texts.features if wrt == 0 else None)
    result = result if blocks else result.isel(block=0)
    if tolerance is not None:
        result = _with_error(result, tolerance, check, labels)
    return result if isinstance(state, tuple) else result.isel(state_kind=0, drop=True)


def _reads_words(ids, inputs, groups, padding):
    """Return whether ids are given, rather than numbers."""
    if (ids is None) == (inputs is None):
        raise ValueError(
            f"{WHO}: `ids` must be given, or `inputs` for a model that reads numbers, "
            f"received {'neither' if ids is None else 'both'}."
        )
    if inputs is not None and not (groups is None and padding is None):
        raise ValueError(
            f"{WHO}: `groups` and `padding` are of words, received them with `inputs`; "
            "choose inputs by their `positions`."
        )
    return inputs is None


def _of_numbers(result, features):
    """Return means with the features' names, where they are known, and units."""
    if features is not None:
        axes = [axis for axis in ("embedding", "embedding_2") if axis in result.dims]
        result = result.assign_coords(dict.fromkeys(axes, features))
    units = {"state_gradient": "state unit / input unit"}
    units["second_moment"] = "(state unit / input unit)^2"
    units["influence"] = "nat / (input unit)^2"
    for name in units.keys() & result.keys():
        result[name].attrs["units"] = units[name]
    result["delay"].attrs["units"] = "steps"
    return result


def read_delays(max_delay, window):
    """Return the longest delay, and the length of the windows or None, as ints.

    Raises
    ------
    ValueError
        If they are no whole numbers, or too small.
    """
    max_delay = checks.whole_number(max_delay, WHO, "max_delay", least=0)
    if window is not None:
        window = checks.whole_number(window, WHO, "window", least=1)
    return max_delay, window


def read_tolerance(tolerance, engine=None):
    """Return the tolerance as a float or None.

    Raises
    ------
    ValueError
        If it is no number from 0 up to, but not including, 1, or the engine has none.
    """
    if tolerance is None:
        return None
    tolerance = checks.share(tolerance, WHO, "tolerance")
    if engine == "sweep":
        raise ValueError(
            f"{WHO}: `tolerance` must be None where `engine` is 'sweep', which carries "
            f"every input exactly, received {tolerance}."
        )
    return tolerance


def _require_tiles(**options):
    """Refuse what an influence is not computed with."""
    for name, value in options.items():
        if value is not None and value != "tiles":
            raise ValueError(
                f"{WHO}: with `influence`, `{name}` must be left out, received "
                f"{checks.short(value)}: it runs exactly, in threads, on the tiles."
            )


def _with_error(result, tolerance, check, labels):
    """Say how far a result is from the exact chain, and warn where that is too far."""
    error = warn_beyond_tolerance(check, tolerance, labels)
    error = xr.DataArray(error, dims=("state_kind", "group", "delay"))
    if labels is None:
        error = error.isel(group=0)
    return result.merge(described(tolerance_error=error)).assign_attrs(
        tolerance=tolerance,
        largest_residual=check.residual,
    )


def warn_beyond_tolerance(check, tolerance, labels=None):
    """Return the measured error; warn where it is ten times too large.

    Parameters
    ----------
    check : bundles.Check
        Of all jobs.
    tolerance : float
    labels : sequence, optional
        Of the groups.

    Returns
    -------
    ndarray of shape (kind, group, delay)
        NaN where no input was checked.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.sqrt(check.difference / check.exact)
    error = np.where(check.difference > 0, ratio, 0.0)
    error = np.where(check.n_checked, error, np.nan)
    largest = np.nanmax(error, initial=0)
    if tolerance and largest > 10 * tolerance:
        _, group, delay = np.unravel_index(np.nanargmax(error), error.shape)
        whose = "" if labels is None else f" of group {labels[group]}"
        warnings.warn(
            f"{WHO}: with tolerance={tolerance:g} the result should lie within ten "
            "times that of the exact chain, but of the inputs that went both ways "
            f"the mean{whose} is {largest:.2g} away at delay {delay}: what was cut "
            "when it was small has grown since. Choose a smaller tolerance, or none.",
            RuntimeWarning,
            stacklevel=2,
        )
    return error


def read(model, *, state=None, layer=1, wrt=0, dtype=None, words=True, output=False):
    """Return a model's network, the states asked for, and their indices in its cell.

    With `output`, the network keeps an output that is no state.

    Raises
    ------
    ValueError
        If there is no such layer or state.
    """
    layer = checks.whole_number(layer, WHO, "layer", least=1)
    wrt = checks.whole_number(wrt, WHO, "wrt", least=0)
    if wrt >= layer:
        raise ValueError(
            f"{WHO}: `wrt` must be 0 (the embedding) or a layer below `layer` = "
            f"{layer}, received {wrt}."
        )
    if dtype is not None and not checks.is_one_of(dtype, PRECISIONS):
        raise ValueError(
            f"{WHO}: `dtype` must be one of {PRECISIONS}, received "
            f"{checks.short(dtype)}; in less precision the sums would be noise."
        )
    network = read_network(model, n_layers=layer, dtype=dtype or "float32", words=words)
    names = network.cells[-1].names
    default = "cell" if "cell" in names else names[0]
    kinds = (default,) if state is None else state
    kinds = kinds if isinstance(kinds, tuple) else (kinds,)
    if not kinds or not all(checks.is_one_of(kind, names) for kind in kinds):
        raise ValueError(
            f"{WHO}: `state` must be among {names}, or a tuple of some, received "
            f"{checks.short(state)}."
        )
    state_indices = tuple(names.index(kind) for kind in kinds)
    sizes = {network.cells[-1].sizes[k] for k in state_indices}
    if len(sizes) > 1:
        raise ValueError(
            f"{WHO}: states asked for together must have one size, "
            f"received {kinds} of sizes {sorted(sizes)}; ask for one at a time."
        )
    if "output" not in kinds and not output:
        network = network.without_last_output()
    return network, kinds, state_indices


def means(sums, counts, kinds, labels, *, dtype=None, beside=("second_moment",)):
    """Divide sums (block, kind, group, delay, embedding, ..) by counts, and label.

    `beside` names the sums after the first, if there are any.

    Raises
    ------
    FloatingPointError
        If a sum is not finite, or of `dtype` float32, the default, and vanishes.
    """
    if not all(np.isfinite(total).all() for total in sums):
        raise FloatingPointError(
            "mean_state_gradients: the gradients must be finite; the model's weights "
            "or states are not, or its gradients overflow."
        )
    n_samples = counts[:, None, :, :, None, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        for total in sums:
            total /= n_samples.astype(total.dtype)
    if dtype != "float64" and any(vanishes(mean, delay=3) for mean in sums):
        raise VanishingGradientsError(
            "mean_state_gradients: the gradients must stay within what float32 can "
            f"hold, but at some delay all are below {VANISHING:g}, or their squares "
            'are; pass dtype="float64" (on JAX, with JAX_ENABLE_X64=1), or lower '
            "`max_delay`."
        )
    dims = ("block", "state_kind", "group", "delay")
    first = xr.DataArray(sums[0], dims=(*dims, "embedding", "state"))
    variables = {
        "state_gradient": first.transpose(..., "state", "embedding"),
        "n_samples": xr.DataArray(counts, dims=("block", "group", "delay")),
    }
    axes = (*dims, "embedding", "embedding_2")
    for name, mean in zip(beside, sums[1:], strict=False):
        variables[name] = xr.DataArray(mean, dims=axes)
        if name == "influence":  # of the output, whichever states are asked for
            variables[name] = variables[name].isel(state_kind=0)
    labels = {} if labels is None else {"group": labels}
    result = described(**variables).assign_coords(
        delay=np.arange(counts.shape[-1]), state_kind=list(kinds), **labels
    )
    result["delay"].attrs = {"long_name": "delay", "units": "tokens"}
    return result if labels else result.isel(group=0)


def vanishes(values, *, delay):
    """Return whether at some delay the largest of `values` is near float32's least.

    Each index of the axes before that of the delays, of a group or a block, is asked by
    itself. Zeros do not count: a network may forget all at once. Nor does NaN.

    Parameters
    ----------
    values : ndarray
    delay : int
        Its axis of delays.
    """
    each = tuple(range(delay + 1, values.ndim))
    # no copy, which may be of many gigabytes
    above, below = np.fmax.reduce(values, axis=each), np.fmin.reduce(values, axis=each)
    largest = np.fmax(above, -below)
    return bool(((largest > 0) & (largest < VANISHING)).any())
