"""What is averaged over: texts, which of their inputs count, and where each belongs.

A text starts from the zero state. An array (stream, time) is cut into stretches by its
tokens; a list of texts of unequal length by its texts, for these are what a bootstrap
may draw again.

A model that masks (``Embedding(mask_zero=True)``) passes the id 0 by: no state moves,
and the output before is the output again. Its texts are the same texts without the 0,
and delays count the tokens that are left.

Padding that is not masked moves the state as any token does, but is no input whose
memory is asked for: it is read, and not averaged over.

A model that reads numbers is given trials in the place of texts: rows of features.

What is known of an input is looked up when a job comes to it, so that a text on disk
(:mod:`state_gradients.engine.long_texts`) takes no memory for its length.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

from state_gradients.engine import long_texts
from state_gradients.foundation import checks
from state_gradients.foundation.labels import names_of, require_same_names

WHO = "mean_state_gradients"
MASKED = 0  # the id that Keras masks


@dataclass(frozen=True, kw_only=True)
class Texts:
    """Texts as the jobs are cut from them.

    Attributes
    ----------
    ids : list of ndarray of int, or of long_texts.OnDisk, shape (time,)
        Of trials of float, (time, feature).
    members : list of sequences of tuples of int, or None
        The groups of each input of each text; None if each is in the only group.
    stretches : list of ndarray of int, or of Blocks, shape (time,)
        Which block each input counts for.
    labels : ndarray or None
        Of the groups; None where none were asked for.
    features : ndarray or None
        Names of the features of trials, where they have some.
    """

    ids: list
    members: list | None
    stretches: list
    labels: np.ndarray | None
    features: np.ndarray | None = None

    @property
    def n_tokens(self):
        """Of all texts together."""
        return sum(map(len, self.ids))


class Members(Sequence):
    """The groups of each input of a text, tuples of int.

    Parameters
    ----------
    n : int
        Inputs.
    between : callable
        From the first input and the end of a part to a list of its inputs' groups.
    """

    def __init__(self, n, between):
        self._n = n
        self._between = between

    def __len__(self):
        return self._n

    def __getitem__(self, key):
        if isinstance(key, slice):
            return self._between(*key.indices(self._n)[:2])
        return self._between(key, key + 1)[0]

    def __iter__(self):
        for first in range(0, self._n, long_texts.PART):
            yield from self[first : first + long_texts.PART]


@dataclass(frozen=True)
class Blocks:
    """Which block each input of a text counts for, sliced as an array is."""

    first: int  # the text's first input, counted from the first of all texts
    n: int
    n_blocks: int
    n_tokens: int  # of all texts

    def __len__(self):
        return self.n

    def __getitem__(self, key):
        first, last, _ = key.indices(self.n)
        inputs = np.arange(self.first + first, self.first + last)
        return inputs * self.n_blocks // self.n_tokens


def read_texts(
    ids,
    network,
    *,
    max_delay,
    window=None,
    blocks=None,
    groups=None,
    positions=None,
    padding=None,
):
    """Check ids and what is asked of them against a network.

    Parameters
    ----------
    ids : array_like of int, shape (time,) or (stream, time), or list of such (time,)
        Or one text on disk: a memory-mapped array, or a long_texts.OnDisk.
    network : network.Network
    max_delay, window, blocks, groups, positions, padding
        Of :func:`state_gradients.engine.means.mean_state_gradients`.

    Returns
    -------
    Texts

    Raises
    ------
    ValueError
        If they do not fit each other or the network.
    """
    n_types = len(network.table)
    listed = _is_list_of_texts(ids)
    texts = _texts(ids, n_types, listed)
    members, labels = _members(texts, groups, positions, n_types, listed)
    if padding is not None:
        checks.whole_number(padding, WHO, "padding", least=0, most=n_types - 1)
        members = _without(padding, texts, members)
    stretches = _stretches(texts, blocks, listed)
    if network.masks:
        texts, members, stretches = _unmasked(texts, members, stretches)
    what = "longest text's" if listed else "stream's"
    _require_reach(texts, max_delay, window, what)
    return Texts(ids=texts, members=members, stretches=stretches, labels=labels)


def read_trials(
    inputs, network, *, max_delay, window=None, blocks=None, positions=None
):
    """Check numbers and what is asked of them against a network that reads numbers.

    Parameters
    ----------
    inputs : array_like of shape (time, feature) or (trial, time, feature), or a list
        of arrays (time, feature)
        A DataArray has its axes taken by their names; it and a DataFrame give the
        names of the features.
    network : network.Network
    max_delay, window, blocks, positions
        Of :func:`state_gradients.engine.means.mean_state_gradients`.

    Returns
    -------
    Texts

    Raises
    ------
    ValueError
        If they do not fit each other or the network, or a number is not finite.
    """
    listed = isinstance(inputs, list | tuple) and all(np.ndim(x) == 2 for x in inputs)
    arrays = list(inputs) if listed and len(inputs) else [inputs]
    features = names_of(arrays[0], "feature")
    for number, array in enumerate(arrays):
        names = {"trial 0": features, f"trial {number}": names_of(array, "feature")}
        require_same_names(WHO, "feature", names)
    arrays = [_numbers(array) for array in arrays]
    trials = arrays if listed else list(_trials(arrays[0]))
    n_features = network.table.shape[1]
    for number, trial in enumerate(trials):
        _require_features(trial, n_features, number, features)
    dtype = network.table.dtype
    trials = [_finite(one, dtype, k, features) for k, one in enumerate(trials)]
    members, labels = _members(trials, None, positions, 0, listed)
    stretches = _stretches(trials, blocks, listed)
    what = "longest trial's" if listed else "trials'"
    _require_reach(trials, max_delay, window, what)
    return Texts(
        ids=trials,
        members=members,
        stretches=stretches,
        labels=labels,
        features=features,
    )


def _numbers(array):
    """Return an array of real numbers, a DataArray with its axes in order."""
    if isinstance(array, xr.DataArray):
        order = [axis for axis in ("trial", "time", "feature") if axis in array.dims]
        if {*array.dims} != {*order} or not {"time", "feature"} <= {*order}:
            raise ValueError(
                f"{WHO}: `inputs` must have the axes ([trial], time, feature), "
                f"received {array.dims}; rename them, so that none is taken for "
                "another."
            )
        array = array.transpose(*order)
        times = array.indexes.get("time")
        if times is not None and not (times[1:] > times[:-1]).all():
            raise ValueError(
                f"{WHO}: `time` of `inputs` must rise, received "
                f"{checks.short(list(times))}; sort the steps by it, or drop it."
            )
    return checks.real(checks.as_array(array, WHO, "inputs"), WHO, "inputs")


def _trials(array):
    """Return an array (trial, time, feature) of one with or without trials."""
    array = array[None] if array.ndim == 2 else array
    if array.ndim != 3 or not array.size:
        raise ValueError(
            f"{WHO}: `inputs` must have the shape (time, feature) or (trial, time, "
            "feature), or be a list of such (time, feature), received shape "
            f"{array.shape}."
        )
    return array


def _require_features(trial, n_features, number, features):
    if trial.shape[1] != n_features or not len(trial):
        named = "" if features is None else f": {checks.short(list(features), 200)}"
        raise ValueError(
            f"{WHO}: `inputs` must have steps of the {n_features} features that the "
            f"model reads, received shape {trial.shape} in trial {number}{named}. Give "
            "the features of its training, in their order."
        )


def _finite(trial, dtype, number, features):
    """Return a trial in the chain's precision, or refuse what is no number there."""
    with np.errstate(over="ignore"):
        trial = trial.astype(dtype)
    steps, columns = np.nonzero(~np.isfinite(trial))
    if len(steps):
        names = np.arange(trial.shape[1]) if features is None else features
        raise ValueError(
            f"{WHO}: `inputs` must be finite in {dtype}, received {len(steps):,} "
            f"values that are not, the first in trial {number}, step {steps[0]}, "
            f"feature {names[columns[0]]}. Fill gaps as for training, or cut the "
            "trials there and give the pieces as a list."
        )
    return trial


def _require_reach(texts, max_delay, window, what):
    longest = max(map(len, texts))
    longest = longest if window is None else min(window, longest)
    if max_delay >= longest:
        raise ValueError(
            f"{WHO}: `max_delay` must be below the {what} or window's length "
            f"{longest}, received {max_delay}."
        )


def _is_list_of_texts(ids):
    return (
        isinstance(ids, list | tuple)
        and len(ids) > 0
        and all(checks.as_array(text, WHO, "ids").ndim == 1 for text in ids)
    )


def _texts(ids, n_types, listed):
    """Return the texts as a list of arrays."""
    if listed:
        return [long_texts.checked(text, WHO, n_types) for text in ids]
    if isinstance(ids, long_texts.OnDisk | np.memmap):
        rows = ids if ids.ndim == 2 else [ids]
        return [long_texts.checked(row, WHO, n_types) for row in rows]
    streams = np.atleast_2d(checks.ids_within(ids, WHO, n_types))
    if streams.ndim != 2:
        raise ValueError(
            f"{WHO}: `ids` must have the shape (time,) or (stream, time), or be a list "
            f"of texts, received shape {streams.shape}."
        )
    return list(streams)


def _members(texts, groups, positions, n_types, listed):
    """Return the groups of each input of each text, or None, and the labels."""
    if groups is None and positions is None:
        return None, None
    if groups is not None and positions is not None:
        raise ValueError(f"{WHO}: `groups` or `positions`, not both.")
    if groups is not None:
        groups, labels = _labelled(groups, "groups", ("vocabulary",))
        if groups.ndim != 2 or groups.shape[1] != n_types:
            raise ValueError(
                f"{WHO}: `groups` must have shape (group, {n_types}), a column for "
                f"each type of the vocabulary, received {groups.shape}."
            )
        of_type = [tuple(np.flatnonzero(column)) for column in groups.T]
        return [_by_type(text, of_type) for text in texts], labels
    by_text, labels = _positions_by_text(positions, texts, listed)
    return [_by_position(of_text) for of_text in by_text], labels


def _by_type(text, of_type):
    def between(first, last):
        return [of_type[i] for i in text[first:last].tolist()]

    return Members(len(text), between)


def _by_position(of_text):
    def between(first, last):
        return [tuple(np.flatnonzero(column)) for column in of_text[:, first:last].T]

    return Members(of_text.shape[1], between)


def _positions_by_text(positions, texts, listed):
    """Return an array (group, time) of bool for each text, and the groups' labels."""
    if listed:
        if len(positions) != len(texts):
            raise ValueError(
                f"{WHO}: `positions` must be a list of {len(texts)} arrays, one for "
                f"each text, received {len(positions)}."
            )
        pairs = [_labelled(one, "positions", ("time",)) for one in positions]
        by_text, labels = [one for one, _ in pairs], pairs[0][1]
        for number, (_, own) in enumerate(pairs):
            names = {"`positions` of text 0": labels, f"of text {number}": own}
            require_same_names(WHO, "group", names)
    else:
        positions, labels = _labelled(positions, "positions", ("stream", "time"))
        if positions.ndim == 2:
            positions = positions[:, None]
        by_text = list(positions.swapaxes(0, 1)) if positions.ndim == 3 else []
    shapes = [one.shape for one in by_text]
    if shapes != [(len(labels), len(text)) for text in texts]:
        raise ValueError(
            f"{WHO}: `positions` must have shape (group, time) or (group, stream, "
            f"time), as the {len(texts)} streams or texts, received {shapes[:3]}."
        )
    return by_text, labels


def _labelled(array, name, other_axes):
    """Return a boolean array, groups first, and their labels."""
    if isinstance(array, xr.DataArray):
        known = {"group", *other_axes}
        if "group" not in array.dims or not set(array.dims) <= known:
            raise ValueError(
                f"{WHO}: `{name}` must have the axes group and "
                f"{' and '.join(other_axes)}, received {array.dims}; rename them, so "
                "that none is taken for another."
            )
        order = [axis for axis in ("group", *other_axes) if axis in array.dims]
        array = array.transpose(*order)
        for axis in order[1:]:
            _require_counted(array, name, axis)
        labels = array.coords.get("group", xr.DataArray(np.arange(len(array)))).values
        array = array.values
    else:
        array = checks.as_array(array, WHO, name)
        labels = np.arange(len(array))
    instead = "of ids, make np.isin(np.arange(n_types), ids)[None]."
    return checks.boolean(array, WHO, name, instead=instead), labels


def _require_counted(array, name, axis):
    """Refuse labels along an axis that do not say what place an entry has anyhow."""
    labels = names_of(array, axis)
    if labels is not None and labels.tolist() != [*range(len(labels))]:
        raise ValueError(
            f"{WHO}: `{axis}` of `{name}` must count from 0, for entries are taken by "
            f"their place, received {checks.short(labels.tolist())}; put them into the "
            f"order of the ids, and drop `{axis}` (.drop_vars)."
        )


def _without(padding, texts, members):
    """Take the inputs that are padding out of every group."""
    if members is None:
        members = [
            Members(len(text), lambda first, last: [(0,)] * (last - first))
            for text in texts
        ]
    pairs = zip(texts, members, strict=True)
    return [_but_padding(padding, text, of_text) for text, of_text in pairs]


def _but_padding(padding, text, of_text):
    def between(first, last):
        pairs = zip(text[first:last].tolist(), of_text[first:last], strict=True)
        return [() if token == padding else groups for token, groups in pairs]

    return Members(len(text), between)


def _stretches(texts, blocks, listed):
    """Return the block of each input: by tokens of streams, by texts of a list."""
    lengths = [len(text) for text in texts]
    n_units = len(texts) if listed else sum(lengths)
    n_blocks = 1
    if blocks is not None:
        n_blocks = checks.whole_number(blocks, WHO, "blocks", least=1, most=n_units)
    if listed:
        return [
            np.broadcast_to(number * n_blocks // len(texts), length)
            for number, length in enumerate(lengths)
        ]
    firsts = np.cumsum([0, *lengths[:-1]]).tolist()
    return [
        Blocks(first, length, n_blocks, sum(lengths))
        for first, length in zip(firsts, lengths, strict=True)
    ]


def _unmasked(texts, members, stretches):
    """Drop what the model masks from the texts; one of masked ids only is none."""
    texts = [text[:] for text in texts]
    stretches = [of_text[:] for of_text in stretches]
    kept = [text != MASKED for text in texts]
    if not any(places.any() for places in kept):
        raise ValueError(
            f"{WHO}: the model masks the id {MASKED}, so that some `ids` must be "
            "others, received none."
        )
    if members is not None:
        members = [
            [groups for groups, stays in zip(of_text, places, strict=True) if stays]
            for of_text, places in zip(members, kept, strict=True)
            if places.any()
        ]
    return _where(texts, kept), members, _where(stretches, kept)


def _where(arrays, kept):
    """Return the kept entries of each array that has any."""
    pairs = zip(arrays, kept, strict=True)
    return [array[places] for array, places in pairs if places.any()]
