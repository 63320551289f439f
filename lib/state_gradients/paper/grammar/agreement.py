"""Does a network agree: does it give verbs the number of their subjects.

Before a verb that shows number the network gives its two forms, *sees* and *see*,

    log odds = ln p(form with the subject's number) - ln p(the other form)
    share    = p(all forms with the subject's number) / p(all forms that show number)

and agrees if the log odds are positive. The subject is known from the truth, not from
the form in the text, so that it means the same in the control language, whose verbs do
not agree with it. Likewise *than* and *of* behind a comparative or a superlative:
p(than) / p(of), by the degree of the adjective that they depend on.
"""

import numpy as np
import xarray as xr
from scipy.special import expit, log_softmax, logsumexp
from scipy.stats import binomtest

from state_gradients.foundation.labels import about
from state_gradients.text.grammar import truth

VERBS = ("VBZ", "VBP", "VBD")
LEVEL = 0.95  # of intervals
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
}
DEGREES = {"comparative": "than", "superlative": "of"}  # what follows each


def verbs_that_agree(text):
    """Return the positions of verbs that show number and have a subject, (verb,).

    Parameters
    ----------
    text : state_gradients.text.grammar.truth.GrammarText
    """
    has_subject = (text.controller != truth.NONE) & np.isin(text.tag, VERBS)
    return np.flatnonzero(has_subject & (text.number > 0))


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


def counts(found, by, *, most):
    """Count how often a network is right, by whole numbers up to a last one.

    Parameters
    ----------
    found : xarray.Dataset
        Of :func:`preferences` or :func:`degree_preferences`.
    by : sequence of str
        Coordinates.
    most : dict of str to int
        For some of them the last number, which stands for larger ones, too.

    Returns
    -------
    right, n : DataArrays of int, by these
    """
    capped = {
        name: (found[name].dims, np.minimum(found[name].values, last))
        for name, last in most.items()
    }
    counted = accuracy(found.assign_coords(capped), by)
    right = (counted["accuracy"].fillna(0) * counted["n"]).round().astype(int)
    return right, counted["n"]


def with_intervals(right, n):
    """Return shares of counts with Wilson's intervals.

    Parameters
    ----------
    right, n : DataArrays of int, of one shape

    Returns
    -------
    xarray.Dataset
        ``accuracy``, ``lower``, ``upper``, ``n``; NaN where n is 0.
    """
    pairs = zip(right.values.ravel(), n.values.ravel(), strict=True)
    ends = [_wilson(*pair) if pair[1] else (np.nan, np.nan) for pair in pairs]
    lower, upper = np.reshape(ends, (*n.shape, 2)).T
    result = xr.Dataset(
        {
            "accuracy": right / n.where(n > 0),
            "lower": (n.dims, lower.T),
            "upper": (n.dims, upper.T),
            "n": n,
        }
    )
    return _described(result)


def _wilson(right, n):
    return tuple(binomtest(int(right), int(n)).proportion_ci(LEVEL, method="wilson"))


def degree_preferences(model, text):
    """Ask a network for *than* or *of* before each, by the adjective that calls for it.

    Parameters
    ----------
    model, text
        As :func:`preferences` takes them.

    Returns
    -------
    xarray.Dataset
        ``log_odds`` of the right word and its ``share`` of the two (word), with the
        coordinates ``distance`` and ``degree`` of the adjective.
    """
    index = truth.vocabulary().index
    follows = [index[word] for word in DEGREES.values()]
    places = np.flatnonzero((text.controller != truth.NONE) & (text.tag == "IN"))
    degree = text.degree[text.controller[places]] - 2  # of none, base, comparative, ..
    log_p = _log_probabilities(model, text.ids, places)[:, follows]
    row = np.arange(len(places))
    log_odds = log_p[row, degree] - log_p[row, 1 - degree]
    result = xr.Dataset(
        {"log_odds": ("word", log_odds), "share": ("word", expit(log_odds))},
        coords={
            "distance": ("word", text.distance[places]),
            "degree": ("word", np.array([*DEGREES])[degree]),
        },
    )
    return _described(result)


def _described(dataset):
    for name in dataset.data_vars:
        dataset[name].attrs = about(name, meaning=MEANING)
    return dataset
