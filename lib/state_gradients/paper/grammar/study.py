"""The study of a generated language: what a network remembers, held against the truth.

On the validation text: how often verbs get the number of their
subjects, and *than* and *of* the degree of theirs (`agreement`); how long the number of
a subject is held, by mean gradients (`number`) and by whole swaps (`swaps`); and how
well properties are remembered, beside until when they are needed (`needs`).
"""

import numpy as np
import xarray as xr

from state_gradients.analysis.whitening import fit_whitening
from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.grammar import agreement, needs, number, swaps
from state_gradients.text.grammar import truth

DISTANCES = 4, 5, 6, 7, 8, 9, 10  # of verbs; nearer by there is nothing to hold
LONGEST = 15  # delay: some words behind the verb that is farthest
MOST = {"distance": 12, "attractors": 3}  # the last of these counts: so many or more
N_PLACES = 120  # subjects swapped, at most, at each distance
MEANING = {
    "verbs_right": ("verbs whose number is right", "1", "n(log odds > 0)"),
    "verbs": ("verbs that show number", "1", "count"),
    "degrees_right": ("*than*, *of* that are right", "1", "n(log odds > 0)"),
    "degrees": ("words of degree that *than* or *of* follows", "1", "count"),
    "direction": ("direction from plural to singular nouns, whitened", "1", "Eq. 14"),
    "lowest_perplexity": ("least perplexity that the rules allow", "1", "exp(H / E)"),
}
MISSING = {"needed_for": "no word depends on the property"}


def study(subject):
    """Hold a network against the truth of its language.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``grammar``; `MEANING`, and that of the modules named above, say what its
        variables mean.

    Raises
    ------
    ValueError
        If the text has too few subjects at every one of `DISTANCES`.
    """
    load_keras()
    from state_gradients.engine.network import read_network

    experiment, model = subject.experiment, subject.predictor
    text = truth.labels(experiment.corpus, "valid")
    seed = experiment.training.seed
    distances = enough(text)
    weights = subject.load("weights")
    table = weights["embedding"].values.astype(np.float64)
    whitening, direction = fit_whitening(table), number.number_direction(table)
    sample = swaps.Sample(
        read_network(model, dtype="float64"),
        [weights[f"logits.{k}"].values.astype(np.float64) for k in ("kernel", "bias")],
        text.ids,
        *swaps.choose(
            text, distances=distances, n=N_PLACES, longest=LONGEST, seed=seed
        ),
        longest=LONGEST,
    )
    remembered = number.number_memory(
        model, text, distances=distances, max_delay=LONGEST
    )
    found = xr.merge(
        [
            counted(model, text),
            remembered,
            swaps.whole_swaps(sample, seed=seed),
            swaps.partial_swaps(sample, seed=seed),
            swaps.carriers(sample, weights),
            swaps.odds_gradient(sample, whitening),
            needs.memories(model, text, subject.tags, max_delay=LONGEST),
            needs.needed(text),
        ],
        join="outer",
        compat="no_conflicts",
        combine_attrs="drop_conflicts",
    )
    found = found.assign(
        direction=("embedding", direction.values),
        lowest_perplexity=truth.grammar(experiment.corpus.name).perplexity,
    )
    return {"grammar": _described(found)}


def enough(text):
    """Return the `DISTANCES` at which a text has enough subjects to average over.

    Raises
    ------
    ValueError
        If there is none.
    """
    _, distance = number.subjects(text)
    n = {wanted: int((distance == wanted).sum()) for wanted in DISTANCES}
    distances = [wanted for wanted, count in n.items() if count >= number.LEAST]
    if not distances:
        raise ValueError(
            f"grammar: at one distance of {DISTANCES} at least the text must have "
            f"{number.LEAST} subjects with one verb, received {n}; raise the "
            "corpus's `SIZES`."
        )
    return distances


def counted(model, text):
    """Return how many verbs, and words behind a degree, a network gets right.

    Returns
    -------
    xarray.Dataset
        ``verbs_right``, ``verbs`` (number, distance, attractors), ``degrees_right``,
        ``degrees`` (degree).
    """
    verbs = agreement.preferences(model, text)
    verbs = verbs.rename(number="number_of_subject")
    by = ["number_of_subject", "distance", "attractors"]
    right, n = agreement.counts(verbs, by, most=MOST)
    right, n = (each.rename(distance="words_between") for each in (right, n))
    degrees = agreement.degree_preferences(model, text)
    of_degree = agreement.counts(degrees, ["degree"], most={})
    return xr.Dataset(
        {
            "verbs_right": right.drop_attrs(),
            "verbs": n.drop_attrs(),
            "degrees_right": of_degree[0].drop_attrs(),
            "degrees": of_degree[1].drop_attrs(),
        }
    )


def _described(found):
    for name, array in found.data_vars.items():
        if name in MEANING:
            array.attrs = about(name, meaning=MEANING)
        if name in MISSING:
            array.attrs["missing"] = MISSING[name]
    return found
