"""State gradients by word class and by property (Secs. 4.3.3 and 5), in one pass.

    G(group) = sum over the group's inputs of G_{t,tau} / their number

A type is in every class of which it was seen with a tag, or else in those of its usual
tags: once in some thousand times *the* is tagged as a noun, and half of the tokens that
can be nouns by all tags are none by the usual ones.

Inputs are sorted into *atoms*, those of one block of the text, one word type and the
same draws. One pass averages every atom on its own; whatever is asked is a sum of them:
classes in blocks of the text, for their intervals; the same with as many inputs of
every class; classes of shuffled tags; and the halves of the properties.
"""

import itertools
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy import stats
from tqdm import tqdm

from state_gradients.analysis import spectra, summary, uncertainty, whitening
from state_gradients.foundation.labels import RAW, about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language import tags
from state_gradients.paper.language.subject import blocks_for_intervals, build_model

BLOCKS = 16  # 4,556 tokens of PTB each; the rarest class has some 150 inputs in one
FEWEST = 50  # tokens of a class
N_SHUFFLES = 19  # below all of them by chance: once in 20
BATCH = 128  # atoms added in float32: relative error below 128 * 2^-24 = 8e-6
CURVES = ("memory", "total", "selectivity", "selectivity_5")
ALL_WORDS = "all words"
DRAWS = ("every tag", "usual tags", "usual tags, equal numbers")
SOURCES = ("Treebank and CoNLL-2000", "with Brown")
AXES = ("draw", "shuffle", "group", "normalization", "delay", "quantity", "source")
SIDES = ("first", "second", "either")  # of a property, in `class_gradients`

MEANING = {
    "state_gradient": ("mean state gradient", None, "mean of ds_t / de_(t - delay)"),
    "n_samples": ("positions averaged over", "1", "number of t whose input counts"),
    "memory": ("largest singular value", None, "sigma_1"),
    "total": ("sum of the singular values", None, "sum sigma"),
    "selectivity": ("share of the largest", "1", "sigma_1 / sum sigma"),
    "selectivity_5": ("share of the five largest", "1", "sum_5 sigma / sum sigma"),
    "shuffled_memory": ("sigma_1, tags shuffled", None, "sigma_1"),
    "shuffled_total": ("sum sigma, tags shuffled", None, "sum sigma"),
    "shuffled_selectivity": ("selectivity, tags shuffled", "1", "sigma_1 / sum sigma"),
    "shuffled_selectivity_5": (
        "share of five, tags shuffled",
        "1",
        "sum_5 sigma / sum sigma",
    ),
    "shuffled_inputs": ("inputs of the class, tags shuffled", "1", "count"),
    "shuffled_unmoved": (
        "share of them that are of the class all the same",
        "1",
        "inputs of both / inputs",
    ),
    "observed": ("statistic of the mean gradient", None, "as its quantity"),
    "estimate": ("the same without the bias of noise", None, "observed - bias"),
    "lower": ("lower end of the confidence interval", None, "estimate - t SE"),
    "upper": ("upper end of the confidence interval", None, "estimate + t SE"),
    "order_correlation": (
        "rank correlation of the classes' sum sigma with their sigma_1 at delay 0",
        "1",
        "Spearman's r",
    ),
    "n_types": ("types averaged over", "types", "count"),
    "n_inputs": ("tokens averaged over at delay 0", "tokens", "count"),
    "frequency": (
        "training frequency of the class's inputs",
        "1",
        "exp(mean of ln count)",
    ),
    "coverage_types": ("share of the vocabulary with a tag", "1", "types / all"),
    "coverage_tokens": ("share of the text with a tag", "1", "tokens / all"),
}


def study(subject):
    """Average the state gradients of classes and of properties.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``class_gradients``, the means of all words, of each class, and of either side
        of each property and both together ("singular - plural: first"); ``classes``,
        the classes' curves with intervals and controls. Of the cell of an LSTM, of the
        only state of others.

    Raises
    ------
    ValueError
        If no word of the text has a tag, or the text is too short for two blocks.
    """
    load_keras()
    ids, gradients = subject.ids, subject.experiment.gradients
    seed, counts = subject.experiment.training.seed, subject.encoder["count"].values
    by_any = read_classes(subject.tags, ids, least=0.0)
    classes = read_classes(subject.tags, ids, least=tags.USUAL)
    by_any = by_any.sel(group=classes["group"])
    drawn = draw_equal_numbers(classes.values[:, ids], seed=seed)
    shuffled = shuffle_tags(classes.values, counts, is_tagged(subject.tags), seed=seed)
    groups = {ALL_WORDS: np.ones(len(counts), dtype=bool)}
    names = classes["group"].values
    groups |= dict(zip(names.tolist(), classes.values, strict=True))
    groups |= {f"{name}: every tag": by_any.sel(group=name).values for name in names}
    groups |= property_groups(subject.tags)

    n_blocks = count_blocks(len(ids), gradients.max_delay)
    atoms = sort_inputs(ids, drawn, n_blocks)
    rows = {
        "block": _in_blocks(atoms, [by_any.values, classes.values], n_blocks),
        "group": np.array(list(groups.values()))[:, atoms.types],
        "shuffle": shuffled[..., atoms.types],
    }
    means = average(subject, atoms, rows)
    table = subject.encoder["embedding"]
    by_group = means["group"].assign_coords(group=list(groups))
    of_blocks = means["block"].assign_coords(draw=list(DRAWS), group=names)
    of_shuffles = means["shuffle"].assign_coords(group=names)
    parts = [
        _with_intervals(of_blocks, table),
        _of_shuffles(of_shuffles, table),
        _about_words(subject, [by_any.values, classes.values], drawn, shuffled),
    ]
    found = xr.merge(parts, combine_attrs="drop_conflicts").transpose(*AXES)
    made = {"class_gradients": _kept(by_group), "classes": found}
    return {kind: _described(data) for kind, data in made.items()}


def read_classes(table, ids, *, least):
    """Return which types can be of which class, bool (group, vocabulary).

    Parameters
    ----------
    table : xarray.Dataset
        Of `tags.read_tags`.
    ids : ndarray of int, shape (time,)
        Classes with fewer than `FEWEST` tokens here are left out.
    least : float
        Of `tags.members`: the share that a class must have of a type's tags.

    Raises
    ------
    ValueError
        If no class has so many.
    """
    n_tagged = table["n_tagged"]
    found = {
        name: tags.members(n_tagged, held, least=least)
        for name, held in tags.CLASSES.items()
    }
    n_inputs = {name: int(can_be.values[ids].sum()) for name, can_be in found.items()}
    found = {name: found[name] for name, n in n_inputs.items() if n >= FEWEST}
    if not found:
        raise ValueError(
            f"classes: a class must have {FEWEST} tokens in the text, received "
            f"{n_inputs}; the tags are of English words: leave `classes` out of the "
            "studies of other texts."
        )
    return xr.concat(found.values(), xr.Variable("group", list(found)))


def is_tagged(table):
    """Return which types have a tag, bool (vocabulary,)."""
    return (table["n_tagged"] > 0).any("tag").values


def draw_equal_numbers(of_class, *, seed):
    """Draw as many inputs of every class as the rarest has, bool (group, time).

    Parameters
    ----------
    of_class : ndarray of bool, shape (group, time)
    seed : int
    """
    rng, fewest = np.random.default_rng(seed), of_class.sum(axis=1).min()
    drawn = np.zeros_like(of_class)
    for row, places in zip(drawn, map(np.flatnonzero, of_class), strict=True):
        row[rng.choice(places, fewest, replace=False)] = True
    return drawn


def shuffle_tags(classes, counts, tagged, *, seed, n_shuffles=N_SHUFFLES):
    """Let tagged types of one frequency exchange all their classes at random.

    Parameters
    ----------
    classes : ndarray of bool, shape (group, vocabulary)
    counts : ndarray of int, shape (vocabulary,)
        In the training text; types of one bin have the same whole part of log2.
    tagged : ndarray of bool, shape (vocabulary,)
        Types without a tag keep none.
    seed : int

    Returns
    -------
    ndarray of bool, shape (shuffle, group, vocabulary)
    """
    rng = np.random.default_rng(seed)
    bins = np.floor(np.log2(np.maximum(counts, 1))).astype(int)
    shuffled = np.repeat(classes[None], n_shuffles, axis=0)
    for one in shuffled:
        for number in np.unique(bins):
            alike = np.flatnonzero(tagged & (bins == number))
            one[:, alike] = classes[:, rng.permutation(alike)]
    return shuffled


def property_groups(table):
    """Return the types of either side of each property, and of both sides together.

    Parameters
    ----------
    table : xarray.Dataset
        Of `tags.read_tags`.

    Returns
    -------
    dict of str to ndarray of bool, shape (vocabulary,)
        By "singular - plural: first", "...: second" and "...: either".
    """
    groups = {}
    for name in tags.PROPERTIES:
        first, second = tags.halves(table, name).values
        for side, types in zip(SIDES, (first, second, first | second), strict=True):
            groups[f"{name}: {side}"] = types
    return groups


def count_blocks(n_tokens, max_delay):
    """Return into how many blocks a text is cut: `BLOCKS`, or fewer if it is short.

    Raises
    ------
    ValueError
        If it is too short for two.
    """
    return blocks_for_intervals(n_tokens, max_delay, most=BLOCKS, who="classes")


@dataclass(frozen=True, kw_only=True)
class Atoms:
    """Inputs that every question treats alike: one block, one type, the same draws."""

    inputs: np.ndarray  # the atom of every token, (time,)
    types: np.ndarray  # its word type, (atom,)
    blocks: np.ndarray  # its block of the text, (atom,)
    drawn: np.ndarray  # whether its inputs are drawn for a class, bool (group, atom)


def sort_inputs(ids, drawn, n_blocks):
    """Sort the tokens of a text into atoms.

    Parameters
    ----------
    ids : ndarray of int, shape (time,)
    drawn : ndarray of bool, shape (group, time)
    n_blocks : int

    Returns
    -------
    Atoms
        In the order of their blocks.
    """
    block = np.arange(len(ids)) * n_blocks // len(ids)
    keys = np.vstack([block, ids, drawn])
    atoms, inputs = np.unique(keys, axis=1, return_inverse=True)
    return Atoms(
        inputs=inputs.ravel(),
        blocks=atoms[0],
        types=atoms[1],
        drawn=atoms[2:].astype(bool),
    )


def _in_blocks(atoms, classes, n_blocks):
    """Return which atoms count for which mean, bool (draw, group, block, atom)."""
    in_block = np.arange(n_blocks)[:, None] == atoms.blocks
    each = np.stack([*(one[:, atoms.types] for one in classes), atoms.drawn])
    return each[:, :, None] & in_block


def average(subject, atoms, rows):
    """Average the state gradients over groups of atoms, in one pass over the text.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject
    atoms : Atoms
    rows : dict of str to ndarray of bool, shape (..., atom)
        Axes before the last are called ("draw", "group", "block") for "block",
        ("group",) for "group" and ("shuffle", "group") for "shuffle".

    Returns
    -------
    dict of str to xarray.Dataset
        ``state_gradient`` (..., delay, state, embedding), float64, NaN where nothing
        was averaged, and ``n_samples`` (..., delay).
    """
    axes = {
        "block": ("draw", "group", "block"),
        "group": ("group",),
        "shuffle": ("shuffle", "group"),
    }
    members = [member.reshape(-1, member.shape[-1]) for member in rows.values()]
    sums, counts = _sums(subject, atoms, np.concatenate(members))
    means, first = {}, 0
    for name, member in rows.items():
        last = first + len(members[len(means)])
        total, n = sums[first:last], counts[first:last]
        with np.errstate(invalid="ignore"):
            total /= n[..., None, None]  # 0 / 0 is NaN
        dims = (*axes[name], "delay")
        shape = (*member.shape[:-1], *total.shape[1:])
        gradient = xr.DataArray(
            total.reshape(shape), dims=(*dims, "embedding", "state")
        )
        means[name] = xr.Dataset(
            {
                "state_gradient": gradient.transpose(..., "state", "embedding"),
                "n_samples": (dims, n.reshape(shape[:-2])),
            },
            coords={"delay": np.arange(n.shape[1])},
        )
        first = last
    return means


def _sums(subject, atoms, members):
    """Return sums (row, delay, embedding, state) and counts (row, delay) of atoms.

    An atom is a word type to the engine: the table gets a row for each.
    """
    from state_gradients.engine.words import type_gradients

    wanted = subject.experiment.gradients
    table = subject.encoder.isel(vocabulary=atoms.types)
    each = type_gradients(
        build_model(subject.experiment, table),
        atoms.inputs,
        max_delay=wanted.max_delay,
        window=wanted.window,
    )
    sums, counts = None, np.zeros((len(members), wanted.max_delay + 1), int)
    bar = tqdm(total=members.shape[1], unit="atom", disable=not subject.progress)
    while batch := list(itertools.islice(each, BATCH)):
        numbers = [int(mean["group"].item()) for mean in batch]
        n = np.array([mean["n_samples"].values[0] for mean in batch])
        in_rows = np.flatnonzero(members[:, numbers].any(axis=1))
        weights = members[np.ix_(in_rows, numbers)]
        counts[in_rows] += weights.astype(int) @ n
        totals = np.stack([_total(mean) for mean in batch])  # (atom, delay, ..)
        if sums is None:
            sums = np.zeros((len(members), *totals.shape[1:]))
        for delay in range(totals.shape[1]):
            of_delay = totals[:, delay].reshape(len(batch), -1)
            parts = weights.astype(of_delay.dtype) @ of_delay
            for row, part in zip(in_rows, parts, strict=True):
                sums[row, delay] += part.reshape(sums.shape[2:])
        bar.update(len(batch))
    bar.close()
    return sums, counts


def _total(mean):
    """Return an atom's sums (delay, embedding, state) from its means."""
    mean = mean.isel(group=0)
    gradient = mean["state_gradient"].transpose("delay", "embedding", "state").values
    n = mean["n_samples"].values[:, None, None]
    return np.where(n > 0, gradient, 0) * n.astype(gradient.dtype)


def _with_intervals(blocks, embedding):
    """Return the classes' curves, and intervals of those with respect to g."""
    share = blocks["n_samples"] / blocks["n_samples"].sum("block")
    text = xr.dot(blocks["state_gradient"].fillna(0), share, dim="block")
    curves = summary.spectra_of(text, embedding)[[*CURVES]]
    statistic = _statistic(embedding)
    each = [
        uncertainty.block_bootstrap(
            blocks.sel(draw=draw), statistic, seed=0, vectorized=True
        )
        for draw in blocks["draw"]
    ]
    ends = xr.concat(each, "draw")[["estimate", "lower", "upper"]].drop_vars("units")
    first, later = _ranks(curves["memory"].sel(delay=0)), _ranks(curves["total"])
    correlation = xr.corr(first, later, "group")
    found = xr.merge([curves, ends], combine_attrs="drop_conflicts")
    return found.assign(order_correlation=correlation)


def _statistic(embedding):
    """Return what gives a gradient's curves, whitened where the embedding can be."""
    try:
        fitted = whitening.fit_whitening(embedding)
    except ValueError:  # a singular covariance, as that of one-hot input

        def statistic(gradient):
            return spectra.memory_curve(gradient)[[*CURVES]]
    else:

        def statistic(gradient):
            whitened = whitening.whiten_gradient(gradient, fitted)
            return spectra.memory_curve(whitened)[[*CURVES]]

    return statistic


def _ranks(values):
    """Return the ranks of the groups, the mean rank for equal values."""
    axis = values.get_axis_num("group")
    return values.copy(data=stats.rankdata(values, axis=axis))


def _of_shuffles(shuffles, embedding):
    """Return the curves of the classes of shuffled tags."""
    each = [
        summary.spectra_of(one, embedding)[[*CURVES]]
        for one in shuffles["state_gradient"]
    ]
    curves = xr.concat(each, "shuffle")
    return curves.rename({name: f"shuffled_{name}" for name in CURVES})


def _about_words(subject, classes, drawn, shuffled):
    """Return how many types and tokens there are, and how frequent."""
    ids, counts = subject.ids, subject.encoder["count"].values
    inputs = np.array([*(one[:, ids] for one in classes), drawn])
    n_types = [[len(np.unique(ids[row])) for row in of_draw] for of_draw in inputs]
    logs = np.log(np.maximum(counts, 1))[ids]
    in_shuffle = shuffled[..., ids].sum(axis=-1)
    in_both = (shuffled[..., ids] & inputs[1]).sum(axis=-1)
    tagged, by_brown = is_tagged(subject.tags), subject.tags["by_brown"].values
    of_source = np.array([tagged & ~by_brown, tagged])
    by_class, by_shuffle = ("draw", "group"), ("shuffle", "group")
    return xr.Dataset(
        {
            "n_types": (by_class, n_types),
            "n_inputs": (by_class, inputs.sum(axis=-1)),
            "frequency": (by_class, np.exp(inputs @ logs / inputs.sum(axis=-1))),
            "shuffled_inputs": (by_shuffle, in_shuffle),
            "shuffled_unmoved": (by_shuffle, in_both / in_shuffle),
            "coverage_types": ("source", of_source.mean(axis=1)),
            "coverage_tokens": ("source", of_source[:, ids].mean(axis=1)),
        },
        coords={"source": list(SOURCES)},
    )


def _kept(means):
    """Return the means in single precision; a group without an input is left out."""
    means = means.isel(group=np.flatnonzero(means["n_samples"].isel(delay=0) > 0))
    return means.assign(state_gradient=means["state_gradient"].astype(np.float32))


def _described(data):
    """Return data whose variables carry what they mean."""
    for name in data.data_vars:
        units = data[name].attrs.get("units", RAW)
        data[name].attrs = about(name, units, meaning=MEANING)
    data["delay"].attrs = {"long_name": "delay", "units": "tokens"}
    return data
