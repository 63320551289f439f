"""Which properties of words are needed until when, and how long they are remembered.

Of each property of `language.tags.PROPERTIES` that the lexicon has, the direction d
between its halves in whitened space, and with gradients averaged over all words of its
class

    m(delay) = ||mean G_delay D d|| / sigma_1(mean G_delay D)                 (Eq. 20)

beside what a direction drawn at random has. The truth says until when a property is
needed: how many words behind a word stands the last one that depends on it.
"""

import numpy as np
import xarray as xr

from state_gradients.analysis.whitening import fit_whitening
from state_gradients.foundation.labels import about
from state_gradients.paper.grammar.agreement import VERBS
from state_gradients.paper.grammar.number import memory_of
from state_gradients.paper.language import properties, tags
from state_gradients.text.grammar import rules, truth

GENDER = "feminine - masculine"  # of names, beside the properties of PTB's tags
MEANING = {
    "property_memory": ("relative memory of a property", "1", "|G D d| / sigma_1"),
    "property_rms_memory": ("the same of root mean squares", "1", "as m, of squares"),
    "property_chance": (
        "relative memory of a direction drawn at random",
        "1",
        "sqrt(sum sigma^2 / size) / sigma_1",
    ),
    "needed_for": ("words until the last that depends on it, mean", "1", "the truth"),
    "needed_by": ("share of the words on which any depends", "1", "the truth"),
}


def directions(table, seen):
    """Return the direction of each property, whitened and of length 1.

    Parameters
    ----------
    table : ndarray of shape (vocabulary, embedding)
        Whitened embeddings.
    seen : xarray.Dataset
        Tags, of :func:`state_gradients.paper.grammar.gold.read_tags`.

    Returns
    -------
    DataArray of shape (property, embedding)
    """
    steps = {}
    for name in tags.PROPERTIES:
        first, second = properties.halves_of(seen, name)
        steps[name] = first @ table / first.sum() - second @ table / second.sum()
    index = truth.vocabulary().index
    women, men = (
        table[[index[word] for word in rules.LEXICON[f"{host}.NNP"]]].mean(axis=0)
        for host in ("woman", "man")
    )
    steps[GENDER] = women - men
    return xr.DataArray(
        [step / np.linalg.norm(step) for step in steps.values()],
        dims=("property", "embedding"),
        coords={"property": [*steps]},
    )


def class_of(name):
    """Return the class of words whose property it is, of `tags.CLASSES`."""
    return tags.PROPERTIES[name][0] if name in tags.PROPERTIES else "N"


def needed(text):
    """Return how long each property is needed, by the truth.

    Parameters
    ----------
    text : state_gradients.text.grammar.truth.GrammarText

    Returns
    -------
    xarray.Dataset
        ``needed_for`` (property), NaN where no word depends on any; ``needed_by``.
    """
    number = _until(text, text.controller, VERBS)
    gender = _until(text, text.controller, ("PRP", "PRP$"))
    degree = _until(text, text.controller, ("IN",))
    tense = _until(text, text.tense_controller, truth.FINITE)
    of_name = np.maximum(number, gender)
    nothing = np.full(len(text.ids), truth.NONE)
    host = ~text.genitive
    of_property = {  # words that have it, and until when it is needed of each
        "singular - plural": (np.isin(text.tag, ("NN", "NNS")) & host, number),
        "common - proper": ((text.tag == "NNP") & host, of_name),
        "genitive - non-genitive": (text.genitive, _host_after(text)),
        "3rd - non-3rd": (np.isin(text.tag, ("VBZ", "VBP")), nothing),
        "present - past": (np.isin(text.tag, VERBS), tense),
        "present - past participle": (np.isin(text.tag, ("VBG", "VBN")), nothing),
        "base - comparative": (text.tag == "JJR", degree),
        "base - superlative": (text.tag == "JJS", degree),
        GENDER: ((text.tag == "NNP") & host, gender),
    }
    far, share = [], []
    for has_it, until in of_property.values():
        is_needed = has_it & (until != truth.NONE)
        far.append(until[is_needed].mean() if is_needed.any() else np.nan)
        share.append(is_needed.sum() / max(has_it.sum(), 1))
    result = xr.Dataset(
        {"needed_for": ("property", far), "needed_by": ("property", share)},
        coords={"property": [*of_property]},
    )
    return _described(result)


def _until(text, controller, depends):
    """Return how far on the last dependent of each word stands, or NONE; (time,).

    Parameters
    ----------
    text : state_gradients.text.grammar.truth.GrammarText
    controller : ndarray of int, shape (time,)
        Of each dependent.
    depends : tuple of str
        The tags of dependents.
    """
    later = np.flatnonzero((controller != truth.NONE) & np.isin(text.tag, depends))
    far = np.full(len(text.ids), truth.NONE)
    far[controller[later]] = later - controller[later]  # later ones overwrite
    return far


def _host_after(text):
    """Return how far on the next noun without a genitive stands, (time,)."""
    place = np.arange(len(text.ids))
    is_host = np.isin(text.tag, ("NN", "NNS")) & ~text.genitive
    following = np.where(is_host, place, 2 * len(place))
    return np.minimum.accumulate(following[::-1])[::-1] - place


def memories(model, text, seen, *, max_delay):
    """Measure how well every property is remembered, by delay.

    Parameters
    ----------
    model : keras.Model
    text : state_gradients.text.grammar.truth.GrammarText
    seen : xarray.Dataset
        Tags, of :func:`state_gradients.paper.grammar.gold.read_tags`.
    max_delay : int

    Returns
    -------
    xarray.Dataset
        ``property_memory``, ``property_rms_memory`` and ``property_chance``
        (property, delay).
    """
    from state_gradients.engine.means import mean_state_gradients

    names = sorted({class_of(name) for name in tags.PROPERTIES})
    masks = np.array([np.isin(text.tag, tags.CLASSES[name]) for name in names])
    means = mean_state_gradients(
        model, text.ids, max_delay=max_delay, positions=masks, second_moment=True
    ).assign_coords(group=names)
    table = np.asarray(model.get_layer("embedding").embeddings, np.float64)
    whitening = fit_whitening(table)
    found = directions((table - whitening.mean) @ whitening.Z.T, seen)
    parts = []
    for one in found:
        of_class = means.sel(group=class_of(str(one["property"].values)), drop=True)
        parts.append(memory_of(of_class, one, whitening))
    joined = xr.concat(parts, "property", combine_attrs="drop")
    result = xr.Dataset(
        {
            "property_memory": joined["relative_memory"],
            "property_rms_memory": joined["rms_relative_memory"],
            "property_chance": joined["chance"],
        }
    )
    return _described(result)


def _described(dataset):
    for name in dataset.data_vars:
        dataset[name].attrs = about(name, meaning=MEANING)
    return dataset
