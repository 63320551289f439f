"""Memory of parts of speech on a text that carries tags, token by token.

    G(class) = mean over the class's inputs of G_{t,tau}
    relative memory = sigma_1(G(class) D) / sigma_1(G(all words) D)

and beside sigma_1 of the mean the root mean square that averaging cannot cancel. The
class is that of the token in its place, and not of its type, as in
:mod:`state_gradients.paper.language.classes`, for the corpus says of every token what
it is. All this is also asked of the words of one band of frequency alone, relative to
all words of that band: classes differ in frequency, and frequent words are kept least.

A token that is read as ``<unk>`` has a class, but not to the network, which reads one
and the same word whatever stood there: it counts as ``<unk>``. Words are what is no
sign, no end of a line and no ``<unk>``.

So that texts compare, as many inputs are followed in each, evenly spread over the whole
text; all of it is read.
"""

import numpy as np
import xarray as xr

from state_gradients.analysis import spectra, summary, uncertainty
from state_gradients.analysis.whitening import (
    fit_whitening,
    whiten_gradient,
    whiten_moment,
)
from state_gradients.foundation import settings
from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language.subject import (
    blocks_for_intervals,
    require_all_positions,
)
from state_gradients.text import parts_of_speech
from state_gradients.text.vocabulary import UNK

N_INPUTS = 12_000  # followed: a minute or so of one core
LONGEST = 10
DELAYS = 0, 1, 2, 5, 10  # that are kept, and the longest, if it is shorter
BLOCKS = 12  # of the text: 45 means of each are two gigabytes
N_RESAMPLES = 50  # they know a standard error to 10 %
FEWEST = 200  # inputs of a class, or of its part in a band
MILLION = 1_000_000
EDGES = 100, 1_000  # of the bands, in training tokens of a million
BANDS = ("below 100", "100 to 1,000", "1,000 and more")
ALL_BANDS, ALL_WORDS = "all", "all words"
QUANTITIES = ("memory", "rms_memory", "total", "relative_memory", "relative_rms_memory")
NORMS = QUANTITIES[:3]  # to which noise adds
AXES = ("band", "group", "quantity", "delay")

_OF_QUANTITY = "of its quantity"
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "observed": ("quantity of the class", _OF_QUANTITY, "as its quantity"),
    "estimate": (
        "the same without the bias of noise",
        _OF_QUANTITY,
        "observed - bias",
    ),
    "lower": ("lower end of its interval", _OF_QUANTITY, "estimate - t SE"),
    "upper": ("upper end of its interval", _OF_QUANTITY, "estimate + t SE"),
    "n_inputs": ("inputs averaged over at delay 0", "tokens", "count"),
    "n_types": ("types among them", "types", "count"),
    "frequency": (
        "training frequency of the inputs",
        "1 / million tokens",
        "exp(mean of ln count)",
    ),
    "unknown": (
        "share of the class's tokens that are read as <unk>",
        "1",
        "tokens / all of the class",
    ),
    "n_tokens": ("tokens that are read", "tokens", "count"),
}
MISSING = {
    **dict.fromkeys(
        ("observed", "estimate", "lower", "upper"),
        f"fewer than {FEWEST} inputs, or in a single block",
    ),
    "frequency": "no input of the class, or of this band",
    "unknown": "no token of the class",
}


def study(subject):
    """Average the state gradients of parts of speech, and of their frequent words.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject
        Of a corpus of `settings.WITH_TAGS`.

    Returns
    -------
    dict of str to xarray.Dataset
        ``tagged_classes``; `MEANING` says what its variables mean. Of the cell of an
        LSTM, of the only state of others.

    Raises
    ------
    ValueError
        If tags and words are not in step, no class has `FEWEST` inputs, the text is
        too short for two blocks, or the embedding cannot be whitened.
    """
    require_tags(subject.experiment)
    load_keras()
    wanted, ids = subject.experiment.gradients, subject.ids
    require_all_positions(wanted, "tagged-classes")
    longest = min(wanted.max_delay, LONGEST)
    n_blocks = blocks_for_intervals(
        len(ids), longest, most=BLOCKS, who="tagged-classes"
    )
    rate = training_rates(subject.encoder["count"].values)
    by_tag, is_followed = read_classes(subject), followed(len(ids))
    classes = as_read(by_tag, ids, subject.text.vocabulary)
    cells = sort_inputs(ids, classes, rate, is_followed)
    means = average(subject, cells, longest, n_blocks)
    means = means.sel(delay=[d for d in DELAYS if d < longest] + [longest])
    rows = rows_of(cells, means["n_samples"].isel(delay=0))
    fitted = fit_whitening(subject.encoder["embedding"])
    found = xr.merge(
        [
            measured(means, rows, fitted, seed=subject.experiment.training.seed),
            about_words(cells, ids, rate),
            share_unknown(by_tag[is_followed], classes[is_followed]),
        ],
        join="outer",
        combine_attrs="drop",
    )
    found["n_tokens"] = len(ids)
    return {"tagged_classes": _described(found)}


def require_tags(experiment):
    """Refuse an experiment on a corpus without tags.

    Raises
    ------
    ValueError
        If it is.
    """
    if experiment.corpus.name not in settings.WITH_TAGS:
        raise ValueError(
            "tagged-classes: the corpus must be one whose tokens carry tags, "
            f"{', '.join(settings.WITH_TAGS)}, received {experiment.corpus.name}; ask "
            "for `classes`, which takes the tags of types from other text, if it is "
            "English."
        )


def read_classes(subject):
    """Return the class of each token of the text that gradients are averaged over.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    ndarray of str, shape (time,)
        Names in `parts_of_speech.CLASSES`.

    Raises
    ------
    ValueError
        If tags and words are not in step.
    """
    experiment, ids = subject.experiment, subject.ids
    split = experiment.gradients.split
    places = parts_of_speech.read_classes(experiment.corpus)[split]
    if len(places) != len(ids):
        raise ValueError(
            f"tagged-classes: each of the {len(ids)} tokens of the {split} text must "
            f"have a class, received {len(places)}; leave corpus.eos_at_stops false."
        )
    return np.array(parts_of_speech.CLASSES)[places]


def as_read(classes, ids, vocabulary):
    """Return the classes of tokens, but ``<unk>`` where that is read.

    Parameters
    ----------
    classes : ndarray of str, shape (time,)
    ids : ndarray of int, shape (time,)
    vocabulary : state_gradients.text.vocabulary.Vocabulary
    """
    if UNK not in vocabulary.index:
        return classes
    return np.where(ids == vocabulary.index[UNK], UNK, classes)


def training_rates(counts):
    """Return how often each type occurs in a million tokens of the training text.

    Parameters
    ----------
    counts : ndarray of int, shape (vocabulary,)

    Examples
    --------
    >>> import numpy as np
    >>> from state_gradients.paper.language.tagged_classes import training_rates
    >>> training_rates(np.array([1, 3])).tolist()
    [250000.0, 750000.0]
    """
    return MILLION * counts / counts.sum()


def followed(n_tokens, most=N_INPUTS):
    """Return which tokens of a text are followed, bool (time,), evenly spread.

    Examples
    --------
    >>> from state_gradients.paper.language.tagged_classes import followed
    >>> followed(5, most=2).astype(int).tolist()
    [0, 0, 1, 0, 1]
    """
    share = np.arange(n_tokens + 1) * min(most, n_tokens) // n_tokens
    return np.diff(share) > 0


def sort_inputs(ids, classes, rate, is_followed):
    """Sort the followed inputs by class and band of frequency.

    Parameters
    ----------
    ids : ndarray of int, shape (time,)
    classes : ndarray of str, shape (time,)
    rate : ndarray of shape (vocabulary,)
        Training tokens of a million.
    is_followed : ndarray of bool, shape (time,)

    Returns
    -------
    DataArray of bool, shape (cell, time)
        With the coordinates ``group`` and ``band`` of each cell; no cell is empty.
    """
    bands = np.array(BANDS)[np.searchsorted(EDGES, rate[ids], side="right")]
    keys = [
        (group, band)
        for group in (*parts_of_speech.CLASSES, UNK)
        for band in BANDS
        if (is_followed & (classes == group) & (bands == band)).any()
    ]
    members = [is_followed & (classes == g) & (bands == b) for g, b in keys]
    groups, of_bands = zip(*keys, strict=True)
    return xr.DataArray(
        np.array(members),
        {"group": ("cell", list(groups)), "band": ("cell", list(of_bands))},
        ("cell", "time"),
    )


def average(subject, cells, longest, n_blocks):
    """Return the mean gradients of each cell in each block, with second moments.

    Returns
    -------
    xarray.Dataset
        As of `mean_state_gradients`, with ``cell`` in the place of ``group``.
    """
    from state_gradients.engine.means import mean_state_gradients

    means = mean_state_gradients(
        subject.model,
        subject.ids,
        max_delay=longest,
        positions=cells.values,
        window=subject.experiment.gradients.window,
        blocks=n_blocks,
        second_moment=True,
        progress=subject.progress,
    )
    return means.drop_vars("group", errors="ignore").rename(group="cell")


def rows_of(cells, n_samples):
    """Return what is averaged: classes and all words, of every band and of each.

    Parameters
    ----------
    cells : DataArray
        Of `sort_inputs`.
    n_samples : DataArray of int, shape (block, cell)

    Returns
    -------
    DataArray of bool, shape (row, cell)
        With the coordinates ``group`` and ``band`` of each row, those that have
        `FEWEST` inputs and are spread over two blocks at least. All words of a band
        come before its classes.

    Raises
    ------
    ValueError
        If no class has so many.
    """
    group, band = cells["group"].values, cells["band"].values
    is_word = np.isin(group, parts_of_speech.WORDS)
    keys, members = [], []
    for of_band in (ALL_BANDS, *BANDS):
        in_band = (band == of_band) | (of_band == ALL_BANDS)
        classes = {ALL_WORDS: is_word}
        classes |= {name: group == name for name in (*parts_of_speech.CLASSES, UNK)}
        for name, in_class in classes.items():
            row = in_band & in_class
            if of_band != ALL_BANDS and name not in (ALL_WORDS, *parts_of_speech.WORDS):
                continue
            of_row = n_samples.isel(cell=row).sum("cell")
            if of_row.sum() >= FEWEST and uncertainty.are_spread(of_row):
                keys.append((name, of_band))
                members.append(row)
    names = {name for name, _ in keys}
    if names.isdisjoint(parts_of_speech.WORDS):
        n_inputs = n_samples.sum("block").values[is_word]
        raise ValueError(
            f"tagged-classes: a class must have {FEWEST} tokens in two blocks of the "
            f"text, received {n_inputs.tolist()} by class and frequency; set "
            "gradients.split to a longer text."
        )
    groups, bands = zip(*keys, strict=True)
    return xr.DataArray(
        np.array(members),
        {"group": ("row", list(groups)), "band": ("row", list(bands))},
        ("row", "cell"),
    )


def measured(means, rows, fitted, *, seed):
    """Return the quantities of every row, with intervals from the blocks.

    Parameters
    ----------
    means : xarray.Dataset
        Of `average`.
    rows : DataArray of bool, shape (row, cell)
        Of `rows_of`.
    fitted : state_gradients.analysis.whitening.Whitening
    seed : int

    Returns
    -------
    xarray.Dataset of shape (band, group, quantity, delay)
        ``observed``, ``estimate``, ``lower``, ``upper``.
    """
    blocks = xr.concat([_pooled(means, row) for row in rows.values], "row")
    blocks = blocks.transpose("block", "row", ...)
    base = base_of(rows)

    def statistic(gradient, moment):
        return quantities(gradient, moment, base, fitted)

    interval = uncertainty.block_bootstrap(
        blocks,
        statistic,
        seed=seed,
        variables=("state_gradient", "second_moment"),
        n_resamples=N_RESAMPLES,
        norms=NORMS,
    )
    found = interval[["observed", "estimate", "lower", "upper"]].drop_vars("units")
    labels = {name: ("row", rows[name].values) for name in ("band", "group")}
    found = found.drop_vars(["group", "band"], errors="ignore").assign_coords(labels)
    return found.set_index(row=["band", "group"]).unstack("row").drop_attrs()


def base_of(rows):
    """Return the row of all words in the band of each row, int (row,)."""
    is_base = rows["group"].values == ALL_WORDS
    band = rows["band"].values
    return np.array([np.flatnonzero(is_base & (band == b))[0] for b in band])


def _pooled(means, row):
    """Return the means over several cells, block by block."""
    of_cells = means.isel(cell=np.flatnonzero(row)).rename(block="kept", cell="block")
    pooled = summary.pooled(of_cells)
    return pooled.rename(kept="block").drop_vars("cell", errors="ignore")


def quantities(gradient, moment, base, fitted):
    """Return what is measured of mean gradients and second moments, `QUANTITIES`.

    Parameters
    ----------
    gradient : DataArray of shape (row, delay, state, embedding)
    moment : DataArray of shape (row, delay, embedding, embedding_2)
    base : ndarray of int, shape (row,)
        The row that each is held against.
    fitted : state_gradients.analysis.whitening.Whitening

    Returns
    -------
    xarray.Dataset of shape (row, delay)
    """
    curve = spectra.memory_curve(whiten_gradient(gradient, fitted))
    largest = xr.apply_ufunc(
        lambda m: np.linalg.eigvalsh(m)[..., -1],
        whiten_moment(moment, fitted),
        input_core_dims=[["embedding", "embedding_2"]],
    )
    rms_memory = np.sqrt(np.maximum(largest, 0))
    found = curve[["memory", "total"]].assign(rms_memory=rms_memory)
    for name in ("memory", "rms_memory"):
        found[f"relative_{name}"] = found[name] / found[name].values[base]
    return found[[*QUANTITIES]].drop_attrs()


def about_words(cells, ids, rate):
    """Return how many words there are of each class and band, and how frequent.

    Parameters
    ----------
    cells : DataArray
        Of `sort_inputs`.
    ids : ndarray of int, shape (time,)
    rate : ndarray of shape (vocabulary,)

    Returns
    -------
    xarray.Dataset of shape (band, group)
        ``n_inputs``, ``n_types``, ``frequency``.
    """
    group, band = cells["group"].values, cells["band"].values
    names = [ALL_WORDS, *parts_of_speech.CLASSES, UNK]
    logs = np.log(np.maximum(rate, np.finfo(float).tiny))[ids]
    columns = {name: [] for name in ("n_inputs", "n_types", "frequency")}
    for of_band in (ALL_BANDS, *BANDS):
        for name in names:
            in_group = group == name
            if name == ALL_WORDS:
                in_group = np.isin(group, parts_of_speech.WORDS)
            in_band = (band == of_band) | (of_band == ALL_BANDS)
            here = cells.values[in_group & in_band].any(axis=0)
            columns["n_inputs"].append(here.sum())
            columns["n_types"].append(len(np.unique(ids[here])))
            columns["frequency"].append(
                np.exp(logs[here].mean()) if here.any() else np.nan
            )
    shape = 1 + len(BANDS), len(names)
    return xr.Dataset(
        {
            name: (("band", "group"), np.reshape(values, shape))
            for name, values in columns.items()
        },
        coords={"band": [ALL_BANDS, *BANDS], "group": names},
    )


def share_unknown(by_tag, classes):
    """Return which share of the tokens of each class is read as ``<unk>``.

    Parameters
    ----------
    by_tag, classes : ndarray of str, shape (token,)
        By their tags, and as they are read.

    Returns
    -------
    xarray.Dataset
        ``unknown`` (group,), NaN where there is no token.
    """
    tagged = {ALL_WORDS: np.isin(by_tag, parts_of_speech.WORDS)}
    tagged |= {name: by_tag == name for name in parts_of_speech.CLASSES}
    shares = [
        (classes[here] == UNK).mean() if here.any() else np.nan
        for here in tagged.values()
    ]
    return xr.Dataset({"unknown": ("group", shares)}, coords={"group": [*tagged]})


def _described(found):
    """Return the artifact: single precision, the axes in order, and what they mean."""
    groups = [ALL_WORDS, *parts_of_speech.CLASSES, UNK]
    found = found.reindex(
        band=[ALL_BANDS, *BANDS], group=groups, quantity=[*QUANTITIES]
    ).transpose(*AXES)
    for name in MEANING:
        if found[name].dtype.kind == "f":
            found[name] = found[name].astype(np.float32)
        found[name].attrs = about(name, meaning=MEANING)
        if found[name].isnull().any():
            found[name].attrs["missing"] = MISSING[name]
    return found
