r"""The study of word types (Section 4.3.4): memory, decay and frequency, controlled.

Two estimates of each type's mean gradient. The paper's own averages over what occurs in
the text that the experiment's gradients are of (here called *all* types), where most
types occur once or twice. The other takes a *sample* of types, equally many of each
class of frequency, from the training text, up to 50 occurrences of each.

A mean over n of a type's occurrences scatters about the type's own mean mu,

    G = mu + noise,    E ||noise||^2 = sigma^2 / n,

so that sigma_1 of rare types comes out too large. Within the sample, means over equally
many occurrences are compared, beside the noise that they hold: the difference of two
disjoint means over k, scaled to the variance sigma^2 / n, holds no mu.
"""

import numpy as np
import xarray as xr
from tqdm import tqdm

from state_gradients.analysis import decays, uncertainty, whitening
from state_gradients.foundation.labels import about

LOWEST = (  # the types of lowest sigma_1 that the paper names
    *("an", "a", "the", "<eos>", "of", "in", "on", "for", "at", "to", "is", "was"),
    *("has", "would", "one", "it", "its", "them", "any", "that", "because", "while"),
)
HIGHEST = ("reunification", "earthquake", "plaintiff", "bizarre", "turnpike")
NAMED = (*LOWEST, *HIGHEST, "congressional")
FREQUENCIES = (0, 10, 50, 100, 500)  # where classes of training frequency begin
N_SAMPLED = 300  # types: the named ones, the rest in equal parts from each class
N_OCCURRENCES = 50  # of each, drawn at random from the training text
N_BLOCKS = 10  # of neighbouring occurrences, for the intervals
N_RESAMPLES = 50  # they serve for a standard error: 50 know it to 10 %
EQUAL = (1, 2, 5, 10, 50)  # occurrences averaged over in the controls
N_DRAWS = 12  # means over so many
QUANTILES = (0.1, 0.5, 0.9)  # of these draws
LEAST_DELAY = 4
MAX_BYTES = 5e9  # of the open sums of types

_WHITENED = "state unit / standard deviation"
_EITHER = "state unit / embedding unit or deviation"
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "occurrences": ("occurrences in the text", "1", "count"),
    "frequency": ("occurrences in the training text", "1", "count"),
    "tag": ("commonest part of speech", "PTB tag", "most often tagged so"),
    "memory": ("memory of the type's mean gradient", _EITHER, "sigma_1"),
    "raw_memory": (
        "memory of the type's mean gradient, not whitened",
        "state unit / embedding unit",
        "sigma_1",
    ),
    "total": ("sum of its singular values", _EITHER, "sum sigma"),
    "rms_memory": (
        "memory that averaging cannot cancel, whitened",
        _WHITENED,
        "largest sqrt eig E[D^T G^T G D]",
    ),
    "scale": ("fitted scale of the decay, whitened", _WHITENED, "a of Eq. 13"),
    "rate": ("fitted rate of the decay, whitened", "1 / token", "b of Eq. 13"),
    "r_squared": ("explained share of the variance", "1", "1 - RSS / TSS"),
    "aic": ("Akaike information criterion", "1", "2 k + n (ln(2 pi RSS / n) + 1)"),
    "log_r_squared": ("explained share of ln sigma_1", "1", "1 - RSS / TSS"),
    "estimate": (
        "memory without the bias of noise",
        _WHITENED,
        "observed - bias, of squares",
    ),
    "lower": ("lower end of its 95 % interval", _WHITENED, "estimate - t SE"),
    "upper": ("upper end of its 95 % interval", _WHITENED, "estimate + t SE"),
    "rate_lower": (
        "lower end of the rate's 95 % interval",
        "1 / token",
        "estimate - t SE",
    ),
    "rate_upper": (
        "upper end of the rate's 95 % interval",
        "1 / token",
        "estimate + t SE",
    ),
    "equal_memory": (
        "memory of means over equally many occurrences",
        _WHITENED,
        "sigma_1, quantiles of draws",
    ),
    "equal_noise": (
        "memory that noise alone makes in such means",
        _WHITENED,
        "sigma_1 of a difference, median of draws",
    ),
    "equal_rate": (
        "fitted rate of the decay of such means",
        "1 / token",
        "b of Eq. 13, median of draws",
    ),
}
NO_FIT = "the fit did not converge, or a value is 0"
MISSING = {
    "scale": NO_FIT,
    "rate": NO_FIT,
    "r_squared": NO_FIT,
    "aic": NO_FIT,
    "log_r_squared": NO_FIT,
    "estimate": "one occurrence has no interval",
    "lower": "one occurrence has no interval",
    "upper": "one occurrence has no interval",
    "rate_lower": "one occurrence has no interval, or a fit did not converge",
    "rate_upper": "one occurrence has no interval, or a fit did not converge",
    "equal_memory": "the sample holds fewer occurrences of the type",
    "equal_noise": "the sample holds fewer occurrences, or one: no difference",
    "equal_rate": "the sample holds fewer occurrences, or no fit converged",
}


def study(subject):
    """Measure what Section 4.3.4 says of word types, and the controls.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict
        ``types``, an xarray.Dataset: of all types by ``type``, and, by ``sampled``, of
        those read in the training text, whose variables begin with ``sample_``.

    Raises
    ------
    ValueError
        If the embedding cannot be whitened, the chain is cut at windows, or there are
        too few delays to fit decays to.
    """
    wanted = subject.experiment.gradients
    if wanted.window is not None:
        raise ValueError(
            "types: `gradients.window` must be null, for the gradients of single "
            f"occurrences are not cut, received {wanted.window}."
        )
    if wanted.max_delay < LEAST_DELAY:
        raise ValueError(
            f"types: `gradients.max_delay` must be {LEAST_DELAY} at least, for decays "
            f"of four parameters are fitted, received {wanted.max_delay}."
        )
    whitened = whitening.fit_whitening(subject.encoder["embedding"])
    tags = commonest_tags(subject.tags["n_tagged"])
    sampled = {
        f"sample_{name}": variable
        for name, variable in _of_sample(subject, whitened, tags).items()
    }
    found = _of_all(subject, whitened, tags).assign(sampled)
    for name in list(found.data_vars):
        plain = name.removeprefix("sample_")
        if found[name].dtype == np.float64:
            found[name] = found[name].astype(np.float32)
        found[name].attrs = about(plain, meaning=MEANING)
        if plain in MISSING:
            found[name].attrs["missing"] = MISSING[plain]
    found["delay"].attrs = {"long_name": "delay", "units": "tokens"}
    return {"types": found}


def commonest_tags(n_tagged):
    """Return the tag that each type was seen with most, "none" where with none.

    Parameters
    ----------
    n_tagged : DataArray of int, shape (tag, vocabulary)
        Of :func:`state_gradients.paper.language.tags.read_tags`.
    """
    if not n_tagged.sizes["tag"]:
        return np.full(n_tagged.sizes["vocabulary"], "none", object)
    n_tagged = n_tagged.transpose("tag", "vocabulary")
    commonest = n_tagged["tag"].values[n_tagged.values.argmax(axis=0)]
    return np.where(n_tagged.values.any(axis=0), commonest, "none").astype(object)


def _singular_values(gram, whitened=None):
    """Return the singular values of gradients G from G^T G, smallest first.

    Parameters
    ----------
    gram : ndarray of shape (..., embedding, embedding)
        In float64: values below 1e-8 of the largest are round-off.
    whitened : Whitening, optional
        For those of G D.
    """
    if whitened is not None:
        gram = whitened.D.T @ gram @ whitened.D
    return np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0))


def _gram(gradient):
    """Return G^T G of an array (..., state, embedding), in float64."""
    gradient = np.asarray(gradient, np.float64)
    return gradient.swapaxes(-1, -2) @ gradient


def _memory(gradient, whitened):
    """Return sigma_1 of a gradient (..., state, embedding), whitened if asked for."""
    return _singular_values(_gram(gradient), whitened)[..., -1]


def _fits(memory):
    """Return how each law describes whitened memory (..., delay)."""
    fitted = decays.fit_decay(memory)
    compared = decays.compare_decays(memory, laws=decays.ALL_LAWS)
    return {
        "scale": fitted["a"],
        "rate": fitted["b"],
        "r_squared": fitted["r_squared"],
        "aic": compared["aic"].transpose("law", ...),
        "log_r_squared": compared["r_squared"].transpose("law", ...),
    }


def _of_all(subject, whitened, tags):
    """Return the curves of every type of the text, by ``type``.

    A type that occurs among the last tokens only has no mean at the longest delays, and
    is left out.
    """
    from state_gradients.engine.words import type_gradients

    ids = subject.ids
    max_delay = subject.experiment.gradients.max_delay
    types = np.unique(ids[: len(ids) - max_delay])
    means = type_gradients(
        subject.model,
        ids,
        max_delay=max_delay,
        types=types,
        second_moment=True,
        max_bytes=MAX_BYTES,
    )
    shape = (len(types), max_delay + 1)
    memory, total = np.empty((2, *shape)), np.empty((2, *shape))
    rms_memory = np.empty(shape)
    for mean in tqdm(
        means, total=len(types), unit="type", disable=not subject.progress
    ):
        mean = mean.isel(group=0)
        row = np.searchsorted(types, int(mean["group"]))
        axes = ("delay", "state", "embedding")
        gram = _gram(mean["state_gradient"].transpose(*axes).values)
        for k, version in enumerate((None, whitened)):
            sigma = _singular_values(gram, version)
            memory[k, row] = sigma[:, -1]
            total[k, row] = sigma.sum(axis=-1)
        moment = mean["second_moment"].values.astype(np.float64)
        rms_memory[row] = _singular_values(moment, whitened)[:, -1]
    encoder = subject.encoder
    curve = ("normalization", "type", "delay")
    found = xr.Dataset(
        {
            "occurrences": ("type", np.bincount(ids)[types]),
            "frequency": ("type", encoder["count"].values[types]),
            "tag": ("type", tags[types]),
            "memory": (curve, memory),
            "total": (curve, total),
            "rms_memory": (curve[1:], rms_memory),
        },
        coords={
            "type": encoder["vocabulary"].values[types],
            "delay": np.arange(max_delay + 1),
            "normalization": ["raw", "whitened"],
        },
    )
    return found.assign(_fits(found["memory"].sel(normalization="whitened", drop=True)))


def sample(tokens, frequency, n_usable, *, n=N_SAMPLED, seed):
    """Return ids of the named types and of a sample of each class of frequency.

    Parameters
    ----------
    tokens : sequence of str, shape (vocabulary,)
    frequency : array_like of int, shape (vocabulary,)
        By which classes are made.
    n_usable : array_like of int, shape (vocabulary,)
        Occurrences that can be read; a type without any is not drawn.
    n : int
        Types to draw; fewer if a class holds fewer.
    seed : int

    Returns
    -------
    ndarray of int
        Increasing.
    """
    rng = np.random.default_rng(seed)
    usable = np.asarray(n_usable) > 0
    named = np.flatnonzero(np.isin(tokens, NAMED) & usable)
    of_class = np.searchsorted(FREQUENCIES, frequency, side="right") - 1
    drawn = [named]
    for number in range(len(FREQUENCIES)):
        there = np.setdiff1d(np.flatnonzero(usable & (of_class == number)), named)
        n_drawn = min(len(there), max(n - len(named), 0) // len(FREQUENCIES))
        drawn.append(rng.choice(there, n_drawn, replace=False))
    return np.sort(np.concatenate(drawn))


def _of_sample(subject, whitened, tags):
    """Return what the sample's occurrences in the training text say, by ``sampled``."""
    from state_gradients.engine import jobs
    from state_gradients.engine.occurrences import occurrence_gradients

    encoder, seed = subject.encoder, subject.experiment.training.seed
    ids = subject.text.splits["train"]
    max_delay = subject.experiment.gradients.max_delay
    readable = ids[: len(ids) - max_delay]
    tokens, frequency = encoder["vocabulary"].values, encoder["count"].values
    n_usable = np.bincount(readable, minlength=len(tokens))
    types = sample(tokens, frequency, n_usable, seed=seed)
    rng = np.random.default_rng(seed)
    positions = []
    for one in types:
        there = np.flatnonzero(readable == one)
        drawn = rng.choice(there, min(len(there), N_OCCURRENCES), replace=False)
        positions.append(np.sort(drawn))
    sets = occurrence_gradients(
        subject.model,
        ids,
        positions,
        max_delay=max_delay,
        progress=subject.progress,
    )

    def curves(of_type):
        one, gradients = of_type
        return _curves(gradients, whitened, seed=[seed, int(one)])

    numbered = enumerate(zip(types, sets, strict=True))
    by_type = [found for *_, found in jobs.in_threads(numbered, curves)]
    found = xr.concat(by_type, "sampled")
    found = found.assign(
        occurrences=("sampled", list(map(len, positions))),
        frequency=("sampled", frequency[types]),
        tag=("sampled", tags[types]),
    )
    found = found.assign_coords(sampled=tokens[types], delay=np.arange(max_delay + 1))
    return found.assign(_fits(found["memory"]))


def _curves(gradients, whitened, *, seed):
    """Return a type's curves from single gradients (occurrence, delay, ..)."""
    values = gradients.values
    mean = values.mean(axis=0, dtype=np.float64)
    moment = sum(map(_gram, values)) / len(values)
    found = xr.Dataset(
        {
            "memory": ("delay", _memory(mean, whitened)),
            "raw_memory": ("delay", _memory(mean, None)),
            "rms_memory": ("delay", _singular_values(moment, whitened)[:, -1]),
        }
    )
    found = found.assign(_intervals(values, whitened, seed=seed))
    return found.assign(_equal(values, whitened, seed=seed))


def _intervals(values, whitened, *, seed):
    """Return memory without its bias, and intervals, from blocks of occurrences."""
    n_delays = values.shape[1]
    unknown = np.full(n_delays, np.nan)
    ends = {name: ("delay", unknown) for name in ("estimate", "lower", "upper")}
    rates = {name: ((), np.nan) for name in ("rate_lower", "rate_upper")}
    if len(values) == 1:
        return ends | rates
    parts = np.array_split(values, min(N_BLOCKS, len(values)))
    means = [part.mean(axis=0, dtype=np.float64) for part in parts]
    n_samples = np.repeat([[len(part)] for part in parts], n_delays, axis=1)
    blocks = xr.Dataset(
        {
            "state_gradient": (("block", "delay", "state", "embedding"), means),
            "n_samples": (("block", "delay"), n_samples),
        }
    )

    def statistic(mean):
        memory = xr.DataArray(_memory(mean.values, whitened), dims=mean.dims[:-2])
        return xr.Dataset({"memory": memory, "rate": decays.fit_decay(memory)["b"]})

    found = uncertainty.block_bootstrap(
        blocks, statistic, seed=seed, n_resamples=N_RESAMPLES, vectorized=True
    )
    memory, rate = (found.sel(quantity=name) for name in ("memory", "rate"))
    ends = {name: ("delay", memory[name].values) for name in ends}
    for end in ("lower", "upper"):  # the same at every delay
        rates[f"rate_{end}"] = ((), rate[end].values[0])
    return ends | rates


def weights_of_draws(n, n_there, *, n_draws=N_DRAWS, rng):
    """Return the weights of means over n occurrences, and of their noise alone.

    The noise is the difference of two disjoint means over k = min(n, n_there // 2)
    occurrences, of variance 2 sigma^2 / k, times sqrt(k / (2 n)).

    Parameters
    ----------
    n, n_there : int
        Occurrences in a mean, and in all.
    n_draws : int
    rng : numpy.random.Generator

    Returns
    -------
    means, noise : ndarray of shape (draw, occurrence)
        The rows of the second are zero where there is one occurrence.
    """
    means, noise = np.zeros((2, n_draws, n_there))
    k = min(n, n_there // 2)
    for of_mean, of_noise in zip(means, noise, strict=True):
        order = rng.permutation(n_there)
        of_mean[order[:n]] = 1 / n
        if k:
            of_noise[order[:k]] = 1 / np.sqrt(2 * n * k)
            of_noise[order[k : 2 * k]] = -1 / np.sqrt(2 * n * k)
    return means, noise


def _equal(values, whitened, *, seed):
    """Return memory and decay of means over equally many occurrences, and noise."""
    rng = np.random.default_rng(seed)
    n_there, n_delays = values.shape[:2]
    memory = np.full((len(EQUAL), len(QUANTILES), n_delays), np.nan)
    noise = np.full((len(EQUAL), n_delays), np.nan)
    rate = np.full(len(EQUAL), np.nan)
    flat = values.reshape(n_there, -1)

    def of_means(weights):
        means = weights.astype(flat.dtype) @ flat
        each = (_memory(mean.reshape(values.shape[1:]), whitened) for mean in means)
        return np.stack(list(each))  # (draw, delay)

    for k, n in enumerate(EQUAL):
        if n > n_there:
            break
        of_mean, of_noise = weights_of_draws(n, n_there, rng=rng)
        if n == n_there:  # of all: each draw is the same
            of_mean = of_mean[:1]
        drawn = of_means(of_mean)
        memory[k] = np.quantile(drawn, QUANTILES, axis=0)
        rates = decays.fit_decay(drawn)["b"].values
        if np.isfinite(rates).any():
            rate[k] = np.nanmedian(rates)
        if n_there > 1:
            noise[k] = np.median(of_means(of_noise), axis=0)
    labels = {"n": list(EQUAL), "quantile": list(QUANTILES)}
    found = xr.Dataset(
        {
            "equal_memory": (("n", "quantile", "delay"), memory),
            "equal_noise": (("n", "delay"), noise),
            "equal_rate": ("n", rate),
        },
        coords=labels,
    )
    return found
