"""Does a network agree: the number of its verbs, and how long it holds a noun's.

Before a verb that shows number the network gives its two forms, *sees* and *see*,

    log odds = ln p(form with the subject's number) - ln p(the other form)
    share    = p(all forms with the subject's number) / p(all forms that show number)

and agrees if the log odds are positive. The subject is known from the truth, not from
the form in the text, so that it means the same in the control language, whose verbs do
not agree with it.

The number of a subject must be in the state until its verb has been predicted, and no
longer. Over subjects whose verb stands `distance` tokens on, with n the unit direction
from plural to singular nouns in whitened space,

    m(distance, delay) = ||mean G_delay D n|| / sigma_1(mean G_delay D)       (Eq. 20)

the state at delay = distance - 1 predicts the verb, that at delay = distance has read
it. That is of infinitesimal steps: of a number that is held firmly they tell little,
and so `number_swaps` sets the noun in its other number, and takes ||s' - s||.
"""

import numpy as np
import xarray as xr
from scipy.special import log_softmax, logsumexp
from scipy.stats import binomtest

from state_gradients.analysis import spectra
from state_gradients.analysis.whitening import fit_whitening, whiten_gradient
from state_gradients.foundation.labels import about
from state_gradients.text.grammar import rules, truth

VERBS = ("VBZ", "VBP", "VBD")
NOUNS = ("NN", "NNS")
LEVEL = 0.95  # of intervals
LEAST = 20  # subjects that a mean gradient is over; of fewer it is noise
MEANING = {
    "log_odds": (
        "preference for the subject's number",
        "nat",
        "ln p(right) / p(wrong)",
    ),
    "share": ("share of the subject's number", "1", "p(right forms) / p(both)"),
    "accuracy": ("share of verbs whose number is right", "1", "n(log odds > 0) / n"),
    "lower": ("lower end of its 95 % interval", "1", "Wilson"),
    "upper": ("upper end of its 95 % interval", "1", "Wilson"),
    "n": ("verbs counted", "1", "count"),
    "relative_memory": ("relative memory of number", "1", "|G D n| / sigma_1"),
    "response": (
        "change of the state with a noun's number",
        "state unit / standard deviation",
        "|G D n|",
    ),
    "memory": (
        "largest singular value",
        "state unit / standard deviation",
        "sigma_1(G D)",
    ),
    "chance": (
        "relative memory of a direction drawn at random",
        "1",
        "sqrt(sum sigma^2 / size) / sigma_1",
    ),
    "n_subjects": ("subjects averaged over", "1", "count"),
    "change": (
        "change of the state when the noun is swapped",
        "state unit",
        "|s' - s|",
    ),
}


def verbs_that_agree(text):
    """Return the positions of verbs that show number and have a subject, (verb,).

    Parameters
    ----------
    text : state_gradients.text.grammar.truth.GrammarText
    """
    has_subject = (text.controller != truth.NONE) & np.isin(text.tag, VERBS)
    return np.flatnonzero(has_subject & (text.number > 0))


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


def preferences(model, text):
    """Ask a network for the number of every verb of a text.

    Parameters
    ----------
    model : keras.Model
        Of :func:`state_gradients.models.language_model.build_language_model`, over
        the vocabulary of the language.
    text : state_gradients.text.grammar.truth.GrammarText

    Returns
    -------
    xarray.Dataset
        ``log_odds`` and ``share`` (verb), with the coordinates ``position``,
        ``distance``, ``attractors`` and ``number`` of the subject.
    """
    verbs = verbs_that_agree(text)
    subject = text.controller[verbs]
    log_p = _log_probabilities(model, text.ids, verbs)  # (verb, vocabulary)
    agrees = text.number[verbs] == text.number[subject]
    shown = text.ids[verbs]
    other = truth.other_number()[shown]
    right, wrong = np.where(agrees, shown, other), np.where(agrees, other, shown)
    row = np.arange(len(verbs))
    of_number = np.stack(
        [logsumexp(log_p[:, forms], axis=1) for forms in truth.number_pairs().T]
    )
    of_subject = of_number[text.number[subject] - 1, row]
    result = xr.Dataset(
        {
            "log_odds": ("verb", log_p[row, right] - log_p[row, wrong]),
            "share": ("verb", np.exp(of_subject - np.logaddexp(*of_number))),
        },
        coords={
            "position": ("verb", verbs),
            "distance": ("verb", text.distance[verbs]),
            "attractors": ("verb", text.attractors[verbs]),
            "number": ("verb", np.array(truth.SHOWS["number"])[text.number[subject]]),
        },
    )
    return _described(result)


def _log_probabilities(model, ids, positions):
    """Return ln p of every type before each position, (position, vocabulary)."""
    from state_gradients.engine.network import read_network
    from state_gradients.models import language_model

    n_layers = len(language_model.recurrent_layers(model))
    network = read_network(model, n_layers=n_layers)
    trace, _ = network.run(ids, network.zero_states())
    before = trace[-1][1 + network.cells[-1].output]  # each token, as (time, units)
    weights = language_model.weights(model)
    logits = before[positions] @ weights["logits.kernel"] + weights["logits.bias"]
    return log_softmax(logits.astype(np.float64), axis=-1)


def accuracy(found, by):
    """Return how often a network agrees, with Wilson's intervals.

    Parameters
    ----------
    found : xarray.Dataset
        Of :func:`preferences`.
    by : str or sequence of str
        The coordinates by whose values to count: ``distance``, ``attractors``,
        ``number``.

    Returns
    -------
    xarray.Dataset
        ``accuracy``, ``lower``, ``upper``, ``n`` and the mean ``share`` by these, NaN
        and 0 where there is no verb.
    """
    by = [by] if isinstance(by, str) else [*by]
    table = found.reset_coords()[[*by, "log_odds", "share"]].to_dataframe()
    table["is_right"] = table["log_odds"] > 0
    groups = table.groupby(by)
    counts = groups["is_right"].agg(["sum", "size"])
    ends = [_wilson(*row) for row in counts.itertuples(index=False)]
    counts[["lower", "upper"]] = ends
    counts["accuracy"] = counts["sum"] / counts["size"]
    counts["share"] = groups["share"].mean()
    result = counts.rename(columns={"size": "n"}).drop(columns="sum").to_xarray()
    return _described(result.assign(n=result["n"].fillna(0).astype(int)))


def _wilson(right, n):
    return tuple(binomtest(int(right), int(n)).proportion_ci(LEVEL, method="wilson"))


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
        ``relative_memory``, ``chance``, ``response``, ``memory`` (distance, delay)
        and ``n_subjects`` (distance).

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
        model, text.ids, max_delay=max_delay, positions=masks, **options
    )
    table = np.asarray(model.get_layer("embedding").embeddings)
    gradient = whiten_gradient(means["state_gradient"], fit_whitening(table))
    gradient = gradient.rename(group="distance").assign_coords(distance=[*distances])
    direction = number_direction(table)
    s = spectra.decompose(gradient)["s"]
    memory = s.isel(component=0, drop=True)
    relative = spectra.relative_memory(gradient, direction)
    of_all = np.sqrt((s**2).sum("component") / table.shape[1])
    result = xr.Dataset(
        {
            "relative_memory": relative,
            "chance": of_all / memory,
            "response": relative * memory,
            "memory": memory,
            "n_subjects": ("distance", n),
        }
    )
    return _described(result)


def number_swaps(model, text, *, distances, max_delay, n, seed):
    """Measure what the state really holds of a subject's number: swap it, and run on.

    The noun is set in its other number, and the words after it stay as they are. A
    gradient says what an infinitesimal step does: of a bit that is held firmly, in
    units that are saturated, it sees next to nothing.

    Parameters
    ----------
    model, text, distances, max_delay
        As :func:`number_memory` takes them.
    n : int
        How many subjects at most at each distance.
    seed : int
        Which ones, and what other noun each is swapped for as a control.

    Returns
    -------
    xarray.Dataset
        ``change`` (swap, distance, delay), the mean of ||s' - s|| where the noun is
        swapped for its other ``number``, and for ``another noun`` of its own number;
        ``n_subjects`` (distance).
    """
    from state_gradients.engine import means

    rng = np.random.default_rng(seed)
    network, _, [state_index] = means.read(model)
    trace, _ = network.run(text.ids, network.zero_states())
    _, *before = trace[0]
    positions, distance = subjects(text)
    inside = positions < len(text.ids) - max_delay - 1
    change = np.full((2, len(distances), max_delay + 1), np.nan)
    n_subjects = []
    for k, wanted in enumerate(distances):
        chosen = rng.permutation(positions[inside & (distance == wanted)])[:n]
        n_subjects.append(len(chosen))
        rows = [
            _changes(network, state_index, text.ids, t, before, max_delay, rng)
            for t in chosen
        ]
        change[:, k] = np.mean(rows, axis=0) if rows else np.nan
    result = xr.Dataset(
        {
            "change": (("swap", "distance", "delay"), change),
            "n_subjects": ("distance", n_subjects),
        },
        coords={
            "swap": ["number", "another noun"],
            "distance": [*distances],
            "delay": np.arange(max_delay + 1),
        },
    )
    return _described(result)


def _changes(network, state_index, ids, position, before, max_delay, rng):
    """Return ||s' - s|| by delay for both swaps of one noun, (swap, delay)."""
    first = [tuple(state[position] for state in before)]
    # the states before a token are those after the one before it: one token more
    following = ids[position : position + max_delay + 2]

    def states(noun):
        trace, _ = network.run(np.concatenate([[noun], following[1:]]), first)
        return trace[0][1 + state_index][1:]

    own = states(following[0])
    instead = _instead(following[0], rng)
    return [np.linalg.norm(states(noun) - own, axis=1) for noun in instead]


def _instead(noun, rng):
    """Return a noun's other number, and another noun of its own number, as ids."""
    index = truth.vocabulary().index
    pairs = np.array(
        [[index[word] for word in rules.LEXICON[f"noun.{tag}"]] for tag in NOUNS]
    )
    [[number], [lemma]] = np.nonzero(pairs == noun)
    others = np.delete(pairs[number], lemma)
    return pairs[1 - number, lemma], rng.choice(others)


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
