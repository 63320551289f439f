"""How well a step between two groups of words is remembered, from kept artifacts alone.

    m(tau) = ||G d|| / (sigma_1 ||d||),   d = mean of g over one group - over the other

with G the whitened mean gradient over all words. Which words stand for a property is a
choice that the paper leaves open in part; each entry of `STEPS` is one choice.
"""

import numpy as np

from state_gradients.analysis import spectra
from state_gradients.analysis.whitening import fit_whitening, whiten_gradient
from state_gradients.paper.language import tags

NOUNS = {  # tags of one group, tags of the other; a type counts by its commonest
    "number": (("NN", "NNP"), ("NNS", "NNPS")),
    "number of common nouns": (("NN",), ("NNS",)),
}


def _of_tags(name, encoder, types):
    """Return which types of a vocabulary stand on either side, two arrays of ids."""
    tag = dict(zip(types["type"].values, types["tag"].values, strict=True))
    of_each = np.array([tag.get(word, "") for word in encoder["vocabulary"].values])
    return [np.flatnonzero(np.isin(of_each, side)) for side in NOUNS[name]]


def _of_pairs(pairs, encoder):
    """Return ids of the first and of the second words of pairs."""
    place = {word: k for k, word in enumerate(encoder["vocabulary"].values)}
    return [np.array([place[pair[side]] for pair in pairs]) for side in (0, 1)]


def _every_word_in_s(words):
    """Return each word in 's that has a counterpart, whatever that is, with it."""
    held = set(words)
    pairs = [(word, word.removesuffix("'s")) for word in words if word.endswith("'s")]
    return [pair for pair in pairs if pair[1] in held]


PAIRS = {  # from the words of a vocabulary to pairs
    "genitive": tags.genitive_pairs,
    "every word in 's": _every_word_in_s,
}
STEPS = (*NOUNS, *PAIRS)


def _step(name, whitened, encoder, types):
    """Return a step, whitened, (embedding,)."""
    if name in PAIRS:
        pairs = PAIRS[name](encoder["vocabulary"].values.tolist())
        sides = _of_pairs(pairs, encoder)
    else:
        sides = _of_tags(name, encoder, types)
    table = encoder["embedding"].values.astype(np.float64)
    first, second = (table[side].mean(axis=0) for side in sides)
    return whitened.Z @ (first - second)


def memory_of_property(name, encoder, gradients, types):
    """Return m of a step by delay, over all words.

    Parameters
    ----------
    name : str
        One of `STEPS`.
    encoder, gradients, types : xarray.Dataset
        Artifacts of one experiment; the tags are those of the words of `types`.

    Returns
    -------
    xarray.DataArray of shape (delay,)
    """
    whitened = fit_whitening(encoder["embedding"])
    mean = gradients["state_gradient"].isel(group=0, drop=True)
    mean = whiten_gradient(mean.sel(state_kind="cell", drop=True), whitened)
    step = _step(name, whitened, encoder, types)
    return spectra.relative_memory(mean, step / np.linalg.norm(step))
