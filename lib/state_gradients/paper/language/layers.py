"""What each layer of a stack remembers: of the words, and of what the layer below said.

    of the words          mean over t of ds^l_t / de_{t-tau}, whitened by e
    of the layer below    mean over t of ds^l_t / dh^{l-1}_{t-tau}, whitened by h^{l-1}
    of a property         ||mean G D d|| / sigma_1(mean G D)                       (20)

s^l are the states of layer l, h^{l-1} what the layer below hands up. The second
derivative is that of layer l alone, run on the outputs of the layer below as its text:
what h^{l-1} does to later states of its own layer is no part of it. By the chain rule,

    ds^l_t / de_{t-tau} = sum_k (ds^l_t / dh^{l-1}_{t-k}) (dh^{l-1}_{t-k} / de_{t-tau})

with k from 0 to tau, of which the two means say the parts, and not how they meet.

A layer above the first has as many inputs as the layer below has units, so that every
word of a text would take hours. Followed is one in so many of its first words; all of
these are read.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr

from state_gradients.analysis import properties as halved
from state_gradients.analysis import spectra, summary, uncertainty
from state_gradients.analysis.whitening import (
    fit_whitening,
    whiten_gradient,
    whiten_moment,
)
from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language import properties, tags
from state_gradients.paper.language.subject import (
    blocks_for_intervals,
    require_all_positions,
)

MOST_TOKENS = 20_000  # of the text that are read
MOST_INPUTS = 2_000  # of these that are followed, one in so many
DELAYS = 0, 1, 2, 3, 4, 5, 7, 10, 15, 20  # and the longest, if it is shorter
BLOCKS = 16  # of the text, or as many as fit: of 256 x 256 means half a gigabyte
N_RESAMPLES = 50  # they know a standard error to 10 %
READ_AT_ONCE = 1_000  # words of which all states are held
OF_GRADIENT = "memory", "total", "selectivity", "effective_rank"
EMBEDDING, BELOW = "embedding", "layer below"
AXES = ("wrt", "layer", "quantity", "state_kind", "delay")

_SIZE, _OF_QUANTITY = "state unit / standard deviation", "of its quantity"
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "observed": ("quantity of the mean gradient", _OF_QUANTITY, "as its quantity"),
    "estimate": (
        "the same without the bias of noise",
        _OF_QUANTITY,
        "observed - bias",
    ),
    "lower": ("lower end of its interval", _OF_QUANTITY, "estimate - t SE"),
    "upper": ("upper end of its interval", _OF_QUANTITY, "estimate + t SE"),
    "rms_memory": ("memory that averaging cannot cancel", _SIZE, "largest sqrt eig M"),
    "chance": (
        "memory of a direction drawn at random, of the largest",
        "1",
        "sqrt(sum sigma^2 / size) / sigma_1",
    ),
    "effective_dimension": (
        "of what is differentiated by: how many directions vary",
        "1",
        "(tr cov)^2 / tr cov^2",
    ),
    "n_samples": ("positions averaged over", "1", "number of t"),
}
MISSING = {
    **dict.fromkeys(
        ("observed", "estimate", "lower", "upper"),
        "there is no layer below the first, and a property is of words",
    ),
    "effective_dimension": "there is no layer below the first",
}


class Input(NamedTuple):
    """What the states of a layer are differentiated by."""

    wrt: int  # 0: the embedding; k: the output of layer k
    whitening: object  # its Whitening
    effective_dimension: float
    directions: xr.DataArray | None = None  # of properties (property, embedding)


def study(subject):
    """Measure what each layer of a model remembers.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``layers``; `MEANING` says what its variables mean.

    Raises
    ------
    ValueError
        If the mean gradients are of groups of positions, the text is too short, or the
        embedding or the outputs of a layer cannot be whitened.
    """
    load_keras()
    wanted, n_layers = subject.experiment.gradients, subject.experiment.model.layers
    delays = kept_delays(wanted.max_delay)
    n_blocks = count_blocks(wanted, len(words(subject)))
    inputs = {0: of_words(subject), **of_layers(subject)}
    parts = [
        _measured(subject, layer, inputs[wrt], delays, n_blocks)
        for layer in range(1, n_layers + 1)
        for wrt in sorted({0, layer - 1})
    ]
    found = xr.merge(parts, join="outer", compat="no_conflicts", combine_attrs="drop")
    found = found.sel(quantity=[*OF_GRADIENT, *inputs[0].directions["property"].values])
    found = found.transpose(*AXES).astype(np.float32)
    found["n_samples"] = found["n_samples"].astype(int)
    for name in MEANING:
        found[name].attrs = about(name, meaning=MEANING)
        if np.isnan(found[name].values).any():
            found[name].attrs["missing"] = MISSING[name]
    return {"layers": found}


def kept_delays(longest):
    """Return the delays that are measured: `DELAYS`, up to the longest and with it."""
    longest = min(longest, max(DELAYS))
    return sorted({delay for delay in DELAYS if delay < longest} | {longest})


def count_blocks(wanted, n_tokens):
    """Return into how many blocks a text is cut: `BLOCKS`, or fewer if it is short.

    Parameters
    ----------
    wanted : state_gradients.foundation.settings.Gradients
    n_tokens : int

    Raises
    ------
    ValueError
        If it is too short for two, or the means are not of all positions.
    """
    require_all_positions(wanted, "layers")
    longest = max(kept_delays(wanted.max_delay))
    return blocks_for_intervals(n_tokens, longest, most=BLOCKS, who="layers")


def words(subject):
    """Return the ids of the words that are read, the first of the text, (time,)."""
    return subject.ids[:MOST_TOKENS]


def followed(n_tokens):
    """Return which words of a text are followed, (time,) of bool: one in so many."""
    return np.arange(n_tokens) % -(-n_tokens // MOST_INPUTS) == 0


def of_words(subject):
    """Return the embedding, as what is differentiated by, with its properties.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    Input
        Its ``directions`` are of the properties that have two pairs (type, tag) in each
        half.
    """
    table = subject.encoder["embedding"].values.astype(np.float64)
    fitted = fit_whitening(table)
    white = (table - fitted.mean) @ fitted.Z.T
    halves = {
        name: properties.halves_of(subject.tags, name) for name in tags.PROPERTIES
    }
    steps = {
        name: halved.step_between(white, sides)
        for name, sides in halves.items()
        if min(side.sum() for side in sides) > 1
    }
    units = [step / np.linalg.norm(step) for step in steps.values()]
    directions = xr.DataArray(
        np.reshape(units, (len(steps), table.shape[1])),
        {"property": np.array([*steps], dtype=str)},
        ("property", "embedding"),
    )
    return Input(0, fitted, effective_dimension(table), directions)


def of_layers(subject):
    """Return what each layer but the last hands up, as what is differentiated by.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of int to Input
        By layer, the lowest 1; whitened by the covariance over all words that are read.

    Raises
    ------
    ValueError
        If a covariance is singular: units that never move, or move as others do.
    """
    found = {}
    for layer, values in outputs(subject).items():
        try:
            fitted = fit_whitening(values)
        except ValueError as error:
            raise ValueError(
                f"layers: the outputs of layer {layer} must vary in all directions "
                "over the text, so that they can be whitened; leave `layers` out of "
                f"language.studies, or set gradients.split to a longer text. {error}"
            ) from error
        found[layer] = Input(layer, fitted, effective_dimension(values))
    return found


def outputs(subject):
    """Return what each layer but the last hands up, ``{layer: (time, unit)}``.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject
    """
    from state_gradients.engine.network import read_network

    n_layers, ids = subject.experiment.model.layers, words(subject)
    if n_layers == 1:
        return {}
    network = read_network(subject.model, n_layers=n_layers)
    states, parts = network.zero_states(), []
    for start in range(0, len(ids), READ_AT_ONCE):
        trace, states = network.run(ids[start : start + READ_AT_ONCE], states)
        parts.append([x for x, *_ in trace[1:]])  # what a layer above reads
    by_layer = zip(*parts, strict=True)
    return {k: np.concatenate(part) for k, part in enumerate(by_layer, start=1)}


def effective_dimension(values):
    """Return in how many directions values (row, component) vary, from 1 up.

    That many directions of equal variance have the same (tr cov)^2 / tr cov^2.

    Examples
    --------
    >>> import numpy as np
    >>> from state_gradients.paper.language.layers import effective_dimension
    >>> round(effective_dimension(np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])), 9)
    2.0
    >>> round(effective_dimension(np.array([[1.0, 1], [-1, -1]])), 9)
    1.0
    """
    covariance = np.cov(np.asarray(values, np.float64), rowvar=False)
    return float(np.trace(covariance) ** 2 / (covariance**2).sum())


def _measured(subject, layer, below, delays, n_blocks):
    """Return what a layer's states remember of one input, with intervals."""
    from state_gradients.engine.means import mean_state_gradients
    from state_gradients.engine.network import read_network

    wanted, ids = subject.experiment.gradients, words(subject)
    last = read_network(subject.model, n_layers=layer).cells[-1]
    blocks = mean_state_gradients(
        subject.model,
        ids,
        max_delay=max(delays),
        state=wanted.states or tuple(name for name in last.names if name != "output"),
        layer=layer,
        wrt=below.wrt,
        positions=followed(len(ids))[None],
        window=wanted.window,
        blocks=n_blocks,
        second_moment=below.wrt == 0,
        progress=subject.progress,
    )
    blocks = blocks.isel(group=0, drop=True).sel(delay=delays)

    def statistic(gradient):
        return curves(whiten_gradient(gradient, below.whitening), below.directions)

    seed = subject.experiment.training.seed
    interval = uncertainty.block_bootstrap(
        blocks, statistic, seed=seed, n_resamples=N_RESAMPLES
    )
    place = {"wrt": [EMBEDDING if below.wrt == 0 else BELOW], "layer": [layer]}
    found = interval[["observed", "estimate", "lower", "upper"]].drop_vars("units")
    found = found.assign(effective_dimension=below.effective_dimension)
    found = found.expand_dims(place)
    if below.wrt:
        return found
    whole = summary.pooled(blocks)
    gradient = whiten_gradient(whole["state_gradient"], below.whitening)
    moment = whiten_moment(whole["second_moment"], below.whitening)
    stretch = np.linalg.norm(below.whitening.D, 2) ** 2
    rms = spectra.coherence(gradient, moment, stretch=stretch)["rms_memory"]
    s = spectra.decompose(gradient)["s"]
    of_all = np.sqrt((s**2).sum("component") / gradient.sizes["embedding"])
    chance = of_all / s.isel(component=0, drop=True)
    return found.assign(
        rms_memory=rms.expand_dims(layer=[layer]),
        chance=chance.expand_dims(layer=[layer]),
        n_samples=whole["n_samples"],
    )


def curves(gradient, directions=None):
    """Return what is measured of whitened gradients, and of properties by their names.

    Parameters
    ----------
    gradient : DataArray of shape (..., delay, state, embedding)
    directions : DataArray of shape (property, embedding), optional
        Of unit length.

    Returns
    -------
    xarray.Dataset of shape (..., delay)
        `OF_GRADIENT`, and the relative memory of each property.
    """
    found = spectra.memory_curve(gradient)[[*OF_GRADIENT]]
    if directions is None or not directions.sizes["property"]:
        return found
    relative = spectra.relative_memory(gradient, directions).to_dataset("property")
    return found.merge(relative, combine_attrs="drop")
