"""How long a network holds the number of a noun, by what the mean gradient says.

The number of a subject must be in the state until its verb has been predicted, and no
longer. Over subjects whose verb stands `distance` tokens on, with n the unit direction
from plural to singular nouns in whitened space,

    m(distance, delay) = ||mean G_delay D n|| / sigma_1(mean G_delay D)       (Eq. 20)

and the same of root mean squares, sqrt(n^T M n / lambda_1(M)) with M the mean of
(G D)^T G D, which no cancellation makes small. The state at delay = distance - 1
predicts the verb, that at delay = distance has read it. All of this is of infinitesimal
steps; for whole ones see `swaps`.
"""

import numpy as np
import xarray as xr

from state_gradients.analysis import spectra
from state_gradients.analysis.whitening import (
    fit_whitening,
    whiten_gradient,
    whiten_moment,
)
from state_gradients.foundation.labels import about
from state_gradients.paper.grammar.agreement import VERBS
from state_gradients.text.grammar import rules, truth

NOUNS = ("NN", "NNS")
LEAST = 20  # subjects that a mean gradient is over; of fewer it is noise
_RESPONSE = "state unit / standard deviation"
MEANING = {
    "relative_memory": ("relative memory of number", "1", "|G D n| / sigma_1"),
    "rms_relative_memory": (
        "the same of root mean squares",
        "1",
        "sqrt(n^T M n / lambda_1(M))",
    ),
    "response": ("change of the state with a noun's number", _RESPONSE, "|G D n|"),
    "memory": ("largest singular value", _RESPONSE, "sigma_1(G D)"),
    "chance": (
        "relative memory of a direction drawn at random",
        "1",
        "sqrt(sum sigma^2 / size) / sigma_1",
    ),
    "v1_cosine": ("cosine of v_1 with the direction of number", "1", "|v_1 . n|"),
    "n_subjects": ("subjects averaged over", "1", "count"),
}


def subjects(text):
    """Return nouns on which one verb depends, and nothing else.

    With one verb there is no doubt until when the number is needed: of a noun with a
    relative clause, *the dog that sees the cats sleeps*, the first of its two verbs
    says it again.

    Parameters
    ----------
    text : state_gradients.text.grammar.truth.GrammarText

    Returns
    -------
    positions, distance : ndarrays of int, shape (subject,)
        Where they are, and how many tokens on their verb stands.
    """
    dependent = np.flatnonzero(text.controller != truth.NONE)
    n = np.bincount(text.controller[dependent], minlength=len(text.ids))
    until = text.needed_until
    is_noun = np.isin(text.tag, NOUNS)
    found = np.flatnonzero(is_noun & (n == 1) & np.isin(text.tag[until], VERBS))
    return found, until[found] - found


def number_direction(embedding):
    """Return the direction from plural to singular common nouns, in whitened space.

    Parameters
    ----------
    embedding : array_like of shape (vocabulary, embedding)
        Of the vocabulary of the language.

    Returns
    -------
    DataArray of shape (embedding,)
    """
    index, table = truth.vocabulary().index, np.asarray(embedding)
    halves = [
        table[[index[word] for word in rules.LEXICON[f"noun.{tag}"]]] for tag in NOUNS
    ]
    return spectra.property_direction(*halves, fit_whitening(table))


def number_memory(model, text, *, distances, max_delay, **options):
    """Measure how long a network holds the number of subjects, by where the verb is.

    Parameters
    ----------
    model : keras.Model
    text : state_gradients.text.grammar.truth.GrammarText
    distances : sequence of int
        Of the verb from its subject, a group of subjects each.
    max_delay : int
    **options
        Of :func:`state_gradients.engine.means.mean_state_gradients`.

    Returns
    -------
    xarray.Dataset
        ``relative_memory``, ``rms_relative_memory``, ``chance``, ``response``,
        ``memory``, ``v1_cosine`` (distance, delay) and ``n_subjects`` (distance).

    Raises
    ------
    ValueError
        If there are fewer than `LEAST` subjects at a distance.
    """
    from state_gradients.engine.means import mean_state_gradients

    positions, distance = subjects(text)
    masks = np.zeros((len(distances), len(text.ids)), bool)
    for mask, wanted in zip(masks, distances, strict=True):
        mask[positions[distance == wanted]] = True
    n = masks.sum(axis=1)
    if n.min(initial=LEAST) < LEAST:
        raise ValueError(
            f"number_memory: each of `distances` needs {LEAST} subjects, received "
            f"{dict(zip(distances, n.tolist(), strict=True))}; give a longer text, or "
            "leave the others out."
        )
    means = mean_state_gradients(
        model,
        text.ids,
        max_delay=max_delay,
        positions=masks,
        second_moment=True,
        **options,
    )
    means = means.rename(group="distance").assign_coords(distance=[*distances])
    table = np.asarray(model.get_layer("embedding").embeddings)
    result = memory_of(means, number_direction(table), fit_whitening(table))
    return _described(result.assign(n_subjects=("distance", n)))


def memory_of(means, direction, whitening):
    """Return how well mean gradients remember a direction, beside a random one.

    Parameters
    ----------
    means : xarray.Dataset
        ``state_gradient`` (..., state, embedding), ``second_moment``.
    direction : DataArray of shape (embedding,)
        Of unit length, whitened.
    whitening : state_gradients.analysis.whitening.Whitening

    Returns
    -------
    xarray.Dataset of shape (...)
        What `MEANING` says, but for ``n_subjects``.
    """
    gradient = whiten_gradient(means["state_gradient"], whitening)
    moment = whiten_moment(means["second_moment"], whitening)
    svd = spectra.decompose(gradient)
    memory = svd["s"].isel(component=0, drop=True)
    relative = spectra.relative_memory(gradient, direction)
    of_all = np.sqrt((svd["s"] ** 2).sum("component") / direction.sizes["embedding"])
    other = direction.rename(embedding="embedding_2")
    mean_square = (moment * direction * other).sum(("embedding", "embedding_2"))
    largest = spectra.coherence(gradient, moment)["rms_memory"]
    result = xr.Dataset(
        {
            "relative_memory": relative,
            "rms_relative_memory": np.sqrt(mean_square) / largest,
            "chance": of_all / memory,
            "response": relative * memory,
            "memory": memory,
            "v1_cosine": spectra.subspace_cosine(svd, direction, 1),
        }
    )
    return _described(result)


def around_the_verb(found, *, before, after):
    """Return the curves of :func:`number_memory` with the verb at offset 0.

    Parameters
    ----------
    found : xarray.Dataset
        With dims (distance, delay).
    before, after : int
        How many offsets to show on either side. At -1 the state predicts the verb; at
        0 it has read it.

    Returns
    -------
    xarray.Dataset
        The same variables with dims (distance, offset), NaN where there is no delay.
    """
    offset = xr.DataArray(np.arange(-before, after + 1), dims="offset")
    delay = found["distance"] + offset  # (distance, offset)
    there = delay.isin(found["delay"])
    aligned = found.sel(delay=delay.where(there, found["delay"][0]))
    of_delay = [name for name in found if "delay" in found[name].dims]
    aligned = aligned.assign({name: aligned[name].where(there) for name in of_delay})
    return aligned.drop_vars("delay").assign_coords(offset=offset)


def _described(dataset):
    for name in dataset.data_vars:
        dataset[name].attrs = about(name, meaning=MEANING)
    return dataset
