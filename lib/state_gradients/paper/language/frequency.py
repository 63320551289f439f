"""How memory and its decay go with a word's frequency, from the artifact ``types``.

Memory is whitened. A correlation is Spearman's, over types, with the training
frequency; its interval is a percentile bootstrap over types. Correlations of means over
equally many occurrences are over one set of types, those that the sample holds often
enough for all such means, so that they differ in nothing but the number averaged over.
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import rankdata

from state_gradients.analysis import ranks
from state_gradients.paper.language.types import FREQUENCIES

CLASSES = ("below 10", "10 to 49", "50 to 99", "100 to 499", "500 and more")
MEMORY_EDGES = (0, 0.5, 1, 1.5, 2, 2.5, 3, np.inf)  # of Fig. 8b
RATE_EDGES = (0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, np.inf)  # of Fig. 9b
N_RESAMPLES = 200
LEVEL = 0.95
# Parts of speech of function words, and verbs that are auxiliaries as well; of content
# words all other verbs, and those whose tags begin so.
FUNCTION_TAGS = (
    *("CC", "DT", "EX", "IN", "MD", "PDT", "PRP", "PRP$", "RP", "TO"),
    *("WDT", "WP", "WP$", "WRB"),
)
AUXILIARIES = (
    *("is", "was", "are", "were", "be", "been", "being", "am", "'s", "'re", "'m"),
    *("has", "have", "had", "having", "'ve", "do", "does", "did"),
)
CONTENT_TAGS = ("NN", "VB", "JJ", "RB")


def class_of(frequency):
    """Return the place in `CLASSES` of each frequency, ints."""
    return np.searchsorted(FREQUENCIES, frequency, side="right") - 1


def names_of(edges, form="{:g}"):
    """Return the names of the stretches between edges, the last one open.

    Examples
    --------
    >>> from state_gradients.paper.language.frequency import names_of
    >>> names_of((0, 0.5, float("inf")))
    ['0 to 0.5', '0.5 and more']
    """
    low, high = (map(form.format, ends) for ends in (edges[:-1], edges[1:]))
    names = [f"{a} to {b}" for a, b in zip(low, high, strict=True)]
    return [*names[:-1], f"{form.format(edges[-2])} and more"]


def percentages(values, frequency, edges):
    """Return the per cent of each class's types whose values lie between edges.

    Parameters
    ----------
    values : array_like of shape (type,)
        NaN counts in no class; below the first edge in the first.
    frequency : array_like of int, shape (type,)
    edges : sequence of float
        Increasing; a value on an edge belongs to what begins there.

    Returns
    -------
    DataArray of shape (frequency, value)
        Rows sum to 100; a class without types is NaN.
    """
    values, frequency = np.asarray(values), np.asarray(frequency)
    known = np.isfinite(values)
    rows, n_values = class_of(frequency[known]), len(edges) - 1
    columns = np.searchsorted(edges, values[known], side="right") - 1
    counts = np.zeros((len(CLASSES), n_values))
    np.add.at(counts, (rows, np.clip(columns, 0, n_values - 1)), 1)
    with np.errstate(invalid="ignore"):
        shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    labels = {"frequency": list(CLASSES), "value": names_of(edges)}
    found = xr.DataArray(shares, labels, ("frequency", "value"))
    found["frequency"].attrs["long_name"] = "frequency in the training text"
    return found


def rank_correlation(values, frequency, *, seed=0, n_resamples=N_RESAMPLES):
    """Return Spearman's correlation with the frequency, and its interval.

    Parameters
    ----------
    values : DataArray of shape (..., type), the types' dimension that of `frequency`
        NaN nowhere.
    frequency : DataArray of shape (type,)
    seed : int
    n_resamples : int
        Of the types, with replacement.

    Returns
    -------
    Dataset
        ``observed``, ``lower``, ``upper`` (...), and the attribute ``n_types``.
    """
    (dim,) = frequency.dims
    others = [name for name in values.dims if name != dim]
    table = values.transpose(dim, *others).values
    flat, x = table.reshape(len(table), -1), frequency.values
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(x), size=(n_resamples, len(x)))
    resampled = [_spearman(flat[rows], x[rows]) for rows in drawn]
    tail = (1 - LEVEL) / 2
    lower, upper = np.quantile(resampled, (tail, 1 - tail), axis=0)
    shape = table.shape[1:]
    ends = {"observed": _spearman(flat, x), "lower": lower, "upper": upper}
    return xr.Dataset(
        {name: (others, end.reshape(shape)) for name, end in ends.items()},
        coords={name: values[name] for name in others if name in values.coords},
        attrs={"n_types": len(x)},
    )


def spearman(values, frequency):
    """Return Spearman's correlation with the frequency, (...), without an interval.

    Parameters
    ----------
    values, frequency : DataArray
        As :func:`rank_correlation` takes them.
    """
    (dim,) = frequency.dims
    table = values.transpose(dim, ...)
    flat = table.values.reshape(len(table), -1)
    found = _spearman(flat, frequency.values).reshape(table.shape[1:])
    return table.isel({dim: 0}, drop=True).copy(data=found).drop_attrs()


def _spearman(values, x):
    """Return the rank correlation of each column of values (type, column) with x."""
    return ranks.correlations(rankdata(x), rankdata(values, axis=0))


def often_enough(types, n=None):
    """Return which sampled types the sample holds n times or more, by default most."""
    n = n or most(types)
    return (types["sample_occurrences"] >= n).values


def most(types, *, n_least=20):
    """Return the largest number of occurrences that many sampled types have."""
    at_least = [
        int(n)
        for n in types["n"]
        if (types["sample_occurrences"] >= n).sum() >= n_least
    ]
    return max(at_least, default=int(types["n"][0]))


def equal_correlations(types, *, ns=None, delays=None, seed=0):
    """Return how memory goes with frequency where means are over equal numbers.

    Parameters
    ----------
    types : Dataset
        The artifact.
    ns : sequence of int, optional
        Numbers averaged over; all, up to the largest that many types have.
    delays : sequence of int, optional

    Returns
    -------
    Dataset
        Of `rank_correlation`, (n, delay), over the types that have the largest.
    """
    largest = most(types)
    ns = [n for n in types["n"].values.tolist() if n <= largest] if ns is None else ns
    one_set = types.isel(sampled=often_enough(types))
    memory = one_set["sample_equal_memory"].sel(quantile=0.5, n=list(ns))
    if delays is not None:
        memory = memory.sel(delay=list(delays))
    return rank_correlation(memory, one_set["sample_frequency"], seed=seed)


def single_correlation(types, *, delays=None, seed=0):
    """Return how the memory of one occurrence goes with frequency, all sampled types.

    Returns
    -------
    Dataset
        Of `rank_correlation`, (delay).
    """
    memory = types["sample_equal_memory"].sel(quantile=0.5, n=1)
    if delays is not None:
        memory = memory.sel(delay=list(delays))
    return rank_correlation(memory, types["sample_frequency"], seed=seed)


def all_correlations(types, variable="memory", *, delays=None, seed=0):
    """Return how a curve of all types, over all they have, goes with frequency.

    Parameters
    ----------
    types : Dataset
    variable : "memory" or "rms_memory"

    Returns
    -------
    Dataset
        Of `rank_correlation`, (delay).
    """
    curve = types[variable]
    if "normalization" in curve.dims:
        curve = curve.sel(normalization="whitened")
    if delays is not None:
        curve = curve.sel(delay=list(delays))
    return rank_correlation(curve, types["frequency"], seed=seed)


def rate_correlation(types, *, n=None, seed=0):
    """Return how the decay's rate goes with frequency, of all types or at equal n.

    Parameters
    ----------
    types : Dataset
    n : int, optional
        Occurrences averaged over in the sample; by default all types, over all.
    """
    if n is None:
        rate, frequency = types["rate"], types["frequency"]
    else:
        one_set = types.isel(sampled=often_enough(types))
        rate = one_set["sample_equal_rate"].sel(n=n)
        frequency = one_set["sample_frequency"]
    known = np.isfinite(rate).values
    return rank_correlation(rate[known], frequency[known], seed=seed)


def kinds_of_words(words, tags):
    """Return "function", "content" or "neither" for each word, by its commonest tag.

    Parameters
    ----------
    words, tags : sequence of str
    """

    def kind(word, tag):
        if word == "<eos>" or word in AUXILIARIES or tag in FUNCTION_TAGS:
            return "function"
        return "content" if tag.startswith(CONTENT_TAGS) else "neither"

    return np.array([kind(*pair) for pair in zip(words, tags, strict=True)])


def explained(types, *, n=10, delay=0, seed=0, n_resamples=1000):
    """Return what frequency and the kind of word explain of the memory, at equal n.

    The regression ln sigma_1 = a + b log10(frequency) + c [function word], over the
    sampled types that are either function or content words and that the sample holds n
    times.

    Returns
    -------
    dict
        ``r_squared`` of "both", of "frequency" alone and of "kind" alone;
        ``frequency`` and ``kind``, b and c, each with its interval, a tuple (value,
        lower, upper); ``n_types``, ``n_function``.
    """
    kinds = kinds_of_words(types["sampled"].values, types["sample_tag"].values)
    chosen = often_enough(types, n) & (kinds != "neither")
    of_types = types.isel(sampled=chosen)
    memory = of_types["sample_equal_memory"].sel(quantile=0.5, n=n, delay=delay)
    y = np.log(memory.values.astype(np.float64))
    logarithm = np.log10(of_types["sample_frequency"].values)
    is_function = (kinds[chosen] == "function").astype(float)
    design = np.stack([np.ones_like(y), logarithm, is_function], axis=1)
    fits = {"both": [0, 1, 2], "frequency": [0, 1], "kind": [0, 2]}
    shares = {}
    for name, columns in fits.items():
        residual = y - design[:, columns] @ _least_squares(design[:, columns], y)
        shares[name] = 1 - residual @ residual / np.sum((y - y.mean()) ** 2)
    rng = np.random.default_rng(seed)
    drawn = rng.integers(len(y), size=(n_resamples, len(y)))
    resampled = [_least_squares(design[rows], y[rows]) for rows in drawn]
    tail = (1 - LEVEL) / 2
    ends = np.quantile(resampled, (tail, 1 - tail), axis=0)
    values = [_least_squares(design, y), *ends]
    return {
        "r_squared": shares,
        "frequency": tuple(float(one[1]) for one in values),
        "kind": tuple(float(one[2]) for one in values),
        "n_types": len(y),
        "n_function": int(is_function.sum()),
    }


def _least_squares(design, y):
    return np.linalg.lstsq(design, y)[0]


def ranked(types, n=20, *, highest=False, estimate="all", least=1):
    """Return the types of lowest or highest memory at delay 0, a row each.

    Parameters
    ----------
    types : Dataset
    n : int or None
        None for all.
    highest : bool
    estimate : "all" or "sample"
        Over all occurrences in the text, or of the sampled types, in the training text.
    least : int
        Types with fewer occurrences in the estimate are left out.

    Returns
    -------
    pandas.DataFrame
        Columns word, memory, occurrences, frequency, tag, kind.
    """
    if estimate == "all":
        memory = types["memory"].sel(normalization="whitened", delay=0)
        dim, start = "type", ""
    else:
        memory, dim, start = types["sample_memory"].sel(delay=0), "sampled", "sample_"
    words, tags = types[dim].values, types[f"{start}tag"].values
    table = pd.DataFrame(
        {
            "word": words,
            "memory": memory.values,
            "occurrences": types[f"{start}occurrences"].values,
            "frequency": types[f"{start}frequency"].values,
            "tag": tags,
            "kind": kinds_of_words(words, tags),
        }
    )
    table = table[table["occurrences"] >= least]
    order = table.sort_values("memory", ascending=not highest, kind="stable")
    return order[:n].reset_index(drop=True)


def best_laws(aic, chosen=None):
    """Return the share of types that each law describes best, by its AIC.

    Parameters
    ----------
    aic : DataArray of shape (law, type)
        Types without a fit are left out.
    chosen : array_like of bool, shape (type,), optional

    Returns
    -------
    pandas.Series
        By law; the shares sum to 1.
    """
    table = aic.transpose("law", ...).values
    if chosen is not None:
        table = table[:, np.asarray(chosen)]
    table = table[:, np.isfinite(table).all(axis=0)]
    counts = np.bincount(table.argmin(axis=0), minlength=len(table))
    return pd.Series(counts / max(counts.sum(), 1), index=aic["law"].values)
