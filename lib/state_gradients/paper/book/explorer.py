"""The networks of the page "Type a sentence", as scripts that a browser reads.

A script holds a network's weights in half precision, the whitening of its embeddings
and the directions of some properties. What the page then computes, `model_of` computes
from the same rounded weights with Keras: `tests/test_explorer.py` compares the two.
"""

import base64
import itertools
import json
from pathlib import Path

import numpy as np
import xarray as xr

from state_gradients.analysis.spectra import property_direction
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.foundation import settings
from state_gradients.foundation.atomic import replacing
from state_gradients.paper.language import subject
from state_gradients.project import artifacts
from state_gradients.text.grammar import rules
from state_gradients.text.vocabulary import UNK

NETWORKS = ("grammar-lstm-64", "ptb-lstm-256")  # LSTMs of one layer, in full
ARRAYS = {  # what a script calls the weights
    "embedding": "embedding",
    "kernel": "recurrent_1.kernel",
    "recurrentKernel": "recurrent_1.recurrent_kernel",
    "bias": "recurrent_1.bias",
    "outputKernel": "logits.kernel",
    "outputBias": "logits.bias",
}
# The properties of Section 5 that the page shows ...
OF_TEXT = (
    "singular - plural",
    "common - proper",
    "3rd - non-3rd",
    "present - past",
    "base - comparative",
)
# ... and those of the generated language, by how the forms of each half end
OF_GRAMMAR = {
    "singular - plural": ("noun.NN", "noun.NNS"),
    "feminine - masculine": ("woman.NNP", "man.NNP"),
    "3rd - non-3rd": ("VBZ", "VBP"),
    "present - past": ("VBZ VBP", "VBD"),
    "base - comparative": ("adjective.JJ", "adjective.JJR"),
}
LOWEST = np.finfo(np.float16).min  # a logit of which the softmax leaves nothing


def rounded_weights(name, *, root=None):
    """Return the weights of an experiment, rounded to half precision.

    A network that has never seen ``<unk>`` is given one: the mean of all embeddings, a
    word of which nothing is known, and which is never predicted.

    Parameters
    ----------
    name : str
        An experiment whose network is an LSTM of one layer, kept in full.
    root : path-like, optional
        The project's root; found from the working folder by default.

    Returns
    -------
    xarray.Dataset
        As the artifact ``weights``, float32, ``<unk>`` (with a count of 0) last where
        it has been added.

    Raises
    ------
    ValueError
        If the network is another.
    """
    model = settings.load_experiment(name, root=root).model
    if (model.cell, model.layers) != ("lstm", 1):
        raise ValueError(
            "explorer: the network must be an LSTM of one layer, received "
            f"{model.layers} of {model.cell!r} in {name}; show another experiment."
        )
    weights = artifacts.load(name, "weights", root=root)
    if UNK not in weights.indexes["vocabulary"]:
        weights = _with_unknown(weights)
    rounded = {
        key: value.astype(np.float16).astype(np.float32)
        for key, value in weights.data_vars.items()
    }
    embedding = weights["embedding"].astype(np.float16).astype(np.float32)
    return weights.assign(rounded).assign_coords(embedding=embedding)


def _with_unknown(weights):
    """Return the weights with a last row, or column, for ``<unk>``."""
    embedding, kernel, bias = (
        weights[name].values for name in ("embedding", "logits.kernel", "logits.bias")
    )
    never = np.zeros((len(kernel), 1))
    longer = {
        "vocabulary": [*weights["vocabulary"].values, UNK],
        "count": [*weights["count"].values, 0],
        "embedding": np.concatenate([embedding, embedding.mean(axis=0)[None]]),
        "logits.kernel": np.concatenate([kernel, never], axis=1),
        "logits.bias": np.append(bias, LOWEST),
    }
    longer = {key: (weights[key].dims, value) for key, value in longer.items()}
    return (
        weights.drop_vars(longer)
        .assign_coords(
            {key: longer.pop(key) for key in ("vocabulary", "count", "embedding")}
        )
        .assign(longer)
    )


def whitening_of(weights):
    """Return the whitening of the words that a network has seen.

    Parameters
    ----------
    weights : xarray.Dataset
        Of :func:`rounded_weights`.
    """
    return fit_whitening(weights["embedding"].values[weights["count"].values > 0])


def directions(name, weights, *, root=None):
    """Return the directions of some properties in whitened space.

    Parameters
    ----------
    name : str
        An experiment on a generated language, or one with the artifact ``properties``.
    weights : xarray.Dataset
        Of :func:`rounded_weights`.

    Returns
    -------
    DataArray of shape (property, embedding)
        float32, of unit length.
    """
    experiment = settings.load_experiment(name, root=root)
    if experiment.corpus.name not in rules.VARIANTS:
        found = artifacts.load(name, "properties", root=root)["direction"]
        found = found.sel(words="all", property=[*OF_TEXT], drop=True)
        return found.astype(np.float32).reset_coords(drop=True)
    table, whitening = weights["embedding"], whitening_of(weights)

    def of_forms(endings):
        """Return the embeddings of the words whose form ends so."""
        ends = tuple(endings.split())
        forms = [words for form, words in rules.LEXICON.items() if form.endswith(ends)]
        return table.sel(vocabulary=[*itertools.chain(*forms)]).values

    found = [
        property_direction(of_forms(first), of_forms(second), whitening)
        for first, second in OF_GRAMMAR.values()
    ]
    found = xr.concat(found, xr.Variable("property", [*OF_GRAMMAR]))
    return found.astype(np.float32)


def model_of(name, weights, *, root=None):
    """Return the Keras model of an experiment with rounded weights.

    Parameters
    ----------
    name : str
    weights : xarray.Dataset
        Of :func:`rounded_weights`.
    """
    return subject.build_model(settings.load_experiment(name, root=root), weights)


def script(name, *, root=None):
    """Return the script that gives a page a network, as text.

    Numbers are little-endian, row by row, in base64.

    Parameters
    ----------
    name : str
        The experiment.
    """
    weights = rounded_weights(name, root=root)
    toward = directions(name, weights, root=root)
    halves = {key: weights[of].values.astype("<f2") for key, of in ARRAYS.items()}
    singles = {
        "whitening": whitening_of(weights).D.astype("<f4"),
        "directions": toward.values.astype("<f4"),
    }
    network = {
        "words": weights["vocabulary"].values.tolist(),
        "properties": toward["property"].values.tolist(),
        "arrays": {key: _as_text(value) for key, value in (halves | singles).items()},
    }
    text = json.dumps(network, separators=(",", ":"))
    return f'(window.explorerNetworks ??= {{}})["{name}"] = {text};\n'


def _as_text(array):
    return {
        "shape": array.shape,
        "bits": 8 * array.itemsize,
        "base64": base64.b64encode(array.tobytes()).decode(),
    }


def write_networks(folder, *, root=None):
    """Write the scripts of the page's networks; those that are the same are left.

    Parameters
    ----------
    folder : path-like
        Made when missing.

    Returns
    -------
    list of pathlib.Path
    """
    paths = [Path(folder) / f"{name}.js" for name in NETWORKS]
    for path, name in zip(paths, NETWORKS, strict=True):
        text = script(name, root=root)
        if not path.is_file() or path.read_text() != text:
            with replacing(path) as temporary:
                temporary.write_text(text)
    return paths
