r"""Why the readings of Section 4.2 come out as they do: the artifact ``readings``.

Four questions about one trained network.

1. *How are the states recorded?* Along one stream, or in the rows in which a validation
   run reads the text, each from the zero state and mostly from within a cycle.
2. *Is a token gone where LDA does not read it?* Other readers of the same states: a
   Gaussian a class with a covariance of its own (QDA), the five nearest neighbours, and
   an LDA for each token that is being copied.
3. *Of what does LDA read a token?* The text is edited: another token stands at the
   first occurrence of a new token, or in its copies, and LDA names one of the two.
4. *Which are the other 45 directions?* With cov_w the covariance within classes and
   cov_b that of their means, LDA's own are the v with v^T cov_w w_i = 0 for the first
   five w_i. Since cov_b w = lambda cov_w w, they are the complement of the span of
   cov_b w_1..cov_b w_5, in which the class means no longer differ as they did along
   w_1..w_5: "means removed".
"""

import numpy as np
import xarray as xr
from sklearn.discriminant_analysis import (
    LinearDiscriminantAnalysis,
    QuadraticDiscriminantAnalysis,
)
from sklearn.neighbors import KNeighborsClassifier

from state_gradients.foundation.labels import about
from state_gradients.models import batching
from state_gradients.paper.synthetic import probes, readout, study
from state_gradients.text import synthetic

STATES = ("cell", "hidden")
READERS = ("LDA", "QDA", "5 nearest", "LDA, copy known")
EDITS = ("nothing", "first occurrence", "copies")
READ_AS = ("first occurrence", "copies")
SUBSPACES = ("counting", "means removed", "whole")
STRETCH = 250  # tokens of a row that are counted together
IN_STEP = 1e-3  # the largest difference of two cells, in any component
# A share of every class's variances in QDA is the identity: saturated units do not vary
# within a class. States are of the order of 1, so that it is small beside what varies.
REGULARIZATION = 1e-6

_SAME = (
    *("lda_accuracy", "lda_balanced_accuracy", "majority_rate", "new_recall"),
    *("count_variance_5", "sum_singular_values"),
)
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {name: study.MEANING[name] for name in _SAME} | {
    "predictions": ("predictions from the third token on", "1", "count"),
    "unexpected_mistakes": study.MEANING["unexpected_mistakes"],
    "unexpected_at_first_repeat": study.MEANING["unexpected_at_first_repeat"],
    "row_begins_at": ("label of the first token of a row, 16 is EOS", "1", "label"),
    "row_in_step_after": (
        "tokens until the row's cell stays that of the one stream",
        "token",
        f"max |c_row - c_stream| < {IN_STEP:g}",
    ),
    "read_ahead": (
        "cells out of step, by how far ahead of the text their count is read",
        "1",
        "count",
    ),
    "row_count_accuracy": (
        "count read from a row's cell by the LDA of the one stream",
        "1",
        "correct / all",
    ),
    "row_loss": ("loss in a stretch of a row", "nat", "mean of -ln p"),
    "row_mistakes": ("wrong predictions of repeated tokens", "1", "count"),
    "reader_accuracy": (
        "test accuracy for the new token at delay 0",
        "1",
        "correct / all",
    ),
    "edited_reading": (
        "how often LDA names the token that stands there, after an edit",
        "1",
        "named / all",
    ),
}
MISSING = {"reader_accuracy": "NaN where the known copy is the token to be read"}


def explain(experiment, model, gradients, *, texts=None, n_train=study.N_TRAIN):
    """Measure why the readings of one trained model come out as they do.

    Parameters
    ----------
    experiment, model, gradients, texts, n_train
        As :func:`state_gradients.paper.synthetic.study.analyse` takes them.

    Returns
    -------
    xarray.Dataset
        The ``readings`` artifact; `MEANING` says what its variables mean.
    """
    n_rows = experiment.training.batch_size
    texts = texts or {
        s: synthetic.labels(experiment.corpus, s) for s in ("valid", "test")
    }
    streams = {s: readout.record_states(model, text.ids) for s, text in texts.items()}
    cuts = {s: cut(text, n_rows) for s, text in texts.items()}
    rows = {s: readout.record_rows(model, text.ids) for s, text in cuts.items()}
    valid, (cell, hidden, _) = texts["valid"], streams["valid"]
    counting = probes.fit_lda(cell[:n_train], valid.count[:n_train])
    basis, _ = probes.split_space(counting, study.N_COUNTING)
    _, apart = probes.split_space(counting, study.N_COUNTING, by="means")
    gradient = gradients["state_gradient"].sel(state_kind="cell")
    at_delays = valid, (cell, hidden), n_train, gradient.sizes["delay"]
    recordings = {"one stream": (valid, (cell, hidden))}
    recordings |= {
        f"{n_rows} rows, {order}": _in_order(cuts["valid"], rows["valid"], order)
        for order in ("row by row", "step by step")
    }
    variables = (
        _tables(recordings.values(), n_train)
        | _mistakes(model, texts, streams, cuts, rows)
        | _along_rows(model, cuts["valid"], rows["valid"], cell, counting)
        | _readers(*at_delays)
        | _edits(model, *at_delays, seed=experiment.training.seed)
        | study.sums(gradient, [basis, apart])
    )
    described = {
        name: (dims, np.asarray(values), about(name, meaning=MEANING))
        for name, (dims, values) in variables.items()
    }
    for name, meaning in MISSING.items():
        described[name][2]["missing"] = meaning
    return xr.Dataset(
        described,
        coords={
            "recording": [*recordings],
            "representation": [*study.views_of(cell[:1], hidden[:1], counting)],
            "target": ["token", "new", "count"],
            "split": [*texts],
            "ahead": np.arange(synthetic.COUNT_EOS),
            "token": stretches(cuts["valid"].ids.shape[1]),
            "reader": [*READERS],
            "state_kind": [*STATES],
            "delay": gradient["delay"].values,
            "edit": [*EDITS],
            "read_as": [*READ_AS],
            "group": gradient["group"].values,
            "subspace": [*SUBSPACES],
        },
    )


def cut(text, n_rows):
    """Cut a text with its labels into rows as a validation run does.

    Parameters
    ----------
    text : synthetic.SyntheticText
    n_rows : int

    Returns
    -------
    synthetic.SyntheticText
        Each attribute of shape (row, time); what fills no row is left out.
    """
    return synthetic.SyntheticText(
        *(
            batching.contiguous_rows(labels, n_rows)
            for labels in (text.ids, text.count, text.cycle)
        )
    )


def _in_order(rows, states, order):
    """Return the text and the states of rows as one sequence.

    "row by row" is the order of the text: the last row is the test. "step by step" is
    the order in which the rows are read, side by side: the ends of all rows are.
    """

    def flat(x):  # (row, time, ...)
        x = x if order == "row by row" else x.swapaxes(0, 1)
        return x.reshape(-1, *x.shape[2:])

    text = synthetic.SyntheticText(*map(flat, (rows.ids, rows.count, rows.cycle)))
    return text, [flat(state) for state in states]


def _tables(recordings, n_train):
    """Return Table 1 of each recording, its probes fitted on states recorded alike."""
    found = []
    for text, (cell, hidden) in recordings:
        counting = probes.fit_lda(cell[:n_train], text.count[:n_train])
        views = study.views_of(cell, hidden, counting)
        share = counting.explained_variance_ratio_[: study.N_COUNTING].sum()
        table = study.table_1(views, text, n_train)
        found.append(table | {"count_variance_5": ((), share)})
    return {
        name: (
            ("recording", *([dims] if isinstance(dims, str) else dims)),
            [table[name][1] for table in found],
        )
        for name, (dims, _) in found[0].items()
    }


def _losses_and_mistakes(model, ids, count, hidden):
    """Return -ln p of all tokens but the first, and which are copies guessed wrong."""
    log_p = readout.log_probabilities(model, hidden)
    losses = -np.take_along_axis(log_p, ids[1:, None], axis=-1)[:, 0]
    is_copy = (count[1:] > 0) & (count[1:] < synthetic.COUNT_EOS)
    return losses, is_copy & (log_p.argmax(axis=-1) != ids[1:])


def _mistakes(model, texts, streams, cuts, rows):
    """Return unexpected mistakes along one stream and in rows, by split.

    What a row holds does not depend on the order of its states: the two orders of rows
    have the same mistakes.
    """

    def counted(ids, count, hidden):
        # nothing announces the first two tokens
        wrong = _losses_and_mistakes(model, ids, count, hidden)[1][1:]
        return len(wrong), wrong.sum(), (wrong & (count[2:] == 1)).sum()

    one, several = [], []
    for split, text in texts.items():
        one.append(counted(text.ids, text.count, streams[split][1]))
        of_rows = zip(cuts[split].ids, cuts[split].count, rows[split][1], strict=True)
        several.append(np.sum([counted(*row) for row in of_rows], axis=0))
    table = np.array([one, several, several])  # (recording, split, quantity)
    names = "predictions", "unexpected_mistakes", "unexpected_at_first_repeat"
    return {
        name: (("recording", "split"), table[..., k]) for k, name in enumerate(names)
    }


def stretches(length):
    """Return where the stretches of a row begin; the last takes what is left."""
    return np.arange(0, max(length - STRETCH, 0) + 1, STRETCH)


def _along_rows(model, rows, states, cell, counting):
    """Return how each row falls into step with the one stream, by stretches."""
    n_rows, length = rows.ids.shape
    starts = stretches(length)
    n_tokens = np.diff([*starts, length])

    def summed(values):  # (row, time) -> (row, stretch)
        return np.add.reduceat(np.asarray(values, dtype=float), starts, axis=1)

    row_cell, row_hidden = states
    in_stream = cell[: n_rows * length].reshape(row_cell.shape)
    apart = np.abs(row_cell - in_stream).max(axis=-1) >= IN_STEP
    in_step_after = np.where(apart, np.arange(1, length + 1), 0).max(axis=1)
    read = counting.predict(row_cell.reshape(n_rows * length, -1)).astype(int)
    read = read.reshape(n_rows, length)
    out_of_step = np.arange(length) < in_step_after[:, None]
    in_cycle = (read < synthetic.COUNT_EOS) & (rows.count < synthetic.COUNT_EOS)
    ahead = (read - rows.count)[out_of_step & in_cycle] % synthetic.COUNT_EOS
    of_rows = zip(rows.ids, rows.count, row_hidden, strict=True)
    pairs = [_losses_and_mistakes(model, *row) for row in of_rows]
    # A row's first token is not predicted.
    losses, wrong = (
        np.pad(part, ((0, 0), (1, 0))) for part in zip(*pairs, strict=True)
    )
    n_predicted = n_tokens - (starts == 0)
    by_stretch = ("row", "token")
    return {
        "row_begins_at": ("row", rows.count[:, 0]),
        "row_in_step_after": ("row", in_step_after),
        "read_ahead": ("ahead", np.bincount(ahead, minlength=synthetic.COUNT_EOS)),
        "row_count_accuracy": (
            by_stretch,
            summed(read == rows.count) / n_tokens,
        ),
        "row_loss": (by_stretch, summed(losses) / n_predicted),
        "row_mistakes": (by_stretch, summed(wrong).astype(int)),
    }


def copied_tokens(text):
    """Return which token the cycle copies that each position belongs to.

    Parameters
    ----------
    text : synthetic.SyntheticText
        From the beginning of a corpus.

    Returns
    -------
    ndarray of int, shape (time,)
        An ``<eos>`` belongs to the cycle that it ends.
    """
    is_new = text.count == 0
    before = np.concatenate([text.ids[1:2], text.ids[is_new][:-1]])
    return before[np.cumsum(is_new) - 1]


def _readers(text, states, n_train, n_delays):
    """Return how well each reader names a new token from the state some steps later."""
    new, copied = np.flatnonzero(text.count == 0), copied_tokens(text)
    readers = {
        "LDA": LinearDiscriminantAnalysis(),
        "QDA": QuadraticDiscriminantAnalysis(reg_param=REGULARIZATION, tol=0.0),
        "5 nearest": KNeighborsClassifier(n_neighbors=5),
    }
    accuracy = np.empty((len(READERS), len(states), n_delays))
    for delay in range(n_delays):
        source = new[new + delay < len(text.ids)]
        at, token = source + delay, text.ids[source]
        n = np.searchsorted(at, n_train)
        for k, trajectory in enumerate(states):
            seen = trajectory[at]
            for r, reader in enumerate(readers.values()):
                fitted = reader.fit(seen[:n], token[:n])
                accuracy[r, k, delay] = np.mean(fitted.predict(seen[n:]) == token[n:])
            accuracy[-1, k, delay] = _with_copy_known(seen, token, copied[at], n)
    return {"reader_accuracy": (("reader", "state_kind", "delay"), accuracy)}


def _with_copy_known(states, token, copied, n):
    """Return the accuracy of an LDA for each token copied, NaN where that tells all.

    Where the copied token is the one to be read, nothing is left to read: states of
    those positions are left out, and delays at which most are such.
    """
    other = copied != token
    if other.mean() < 0.5:
        return np.nan
    is_test = np.arange(len(token)) >= n
    right = []
    for copy in range(synthetic.N_TOKENS):
        mine = other & (copied == copy)
        fitted, asked = mine & ~is_test, mine & is_test
        if asked.any():
            probe = probes.fit_lda(states[fitted], token[fitted])
            right.append(probe.predict(states[asked]) == token[asked])
    return np.concatenate(right).mean()


def edited(text, *, n_after, begin, seed):
    """Return stretches of the text that begin with a new token, and edits of them.

    The token put in for x_k is drawn from those that are none of x_(k-2) .. x_(k+2), so
    that the edited text keeps to the rule but for what an edit is: that the copies are
    no longer those of the first occurrence.

    Parameters
    ----------
    text : synthetic.SyntheticText
    n_after : int
        Tokens of a stretch.
    begin : int
        Where the first stretch may begin.
    seed : int

    Returns
    -------
    start : ndarray of int, shape (stretch,)
    ids : dict of str to ndarray of int, shape (stretch, n_after)
        By what was edited, `EDITS`.
    named : dict of str to dict of str to ndarray of int, shape (stretch,)
        By edit and place, `READ_AS`: which token stands there.
    """
    is_new = text.count == 0
    start, cycle = np.flatnonzero(is_new), np.cumsum(is_new) - 1
    token = text.ids[start]
    chosen = np.arange(2, len(start) - 2)
    chosen = chosen[(start[chosen] >= begin) & (start[chosen] + n_after <= len(is_new))]
    rng = np.random.default_rng(seed)
    around = token[chosen[:, None] + np.arange(-2, 3)]  # (stretch, 5)
    free = (np.arange(synthetic.N_TOKENS) != around[..., None]).all(axis=1)
    other = np.where(free, rng.random(free.shape), -1).argmax(axis=1)
    window = start[chosen][:, None] + np.arange(n_after)
    plain, own = text.ids[window], token[chosen]
    is_copy = (cycle[window] == chosen[:, None] + 1) & (
        (text.count[window] > 0) & (text.count[window] < synthetic.COUNT_EOS)
    )
    is_first = window == window[:, :1]
    ids = {
        "nothing": plain,
        "first occurrence": np.where(is_first, other[:, None], plain),
        "copies": np.where(is_copy, other[:, None], plain),
    }
    named = {
        edit: {place: other if edit == place else own for place in READ_AS}
        for edit in EDITS
    }
    return start[chosen], ids, named


def _edits(model, text, states, n_train, n_delays, *, seed):
    """Return how often LDA, fitted on the plain text, names the token of each place."""
    new = np.flatnonzero(text.count == 0)
    start, ids, named = edited(text, n_after=n_delays, begin=n_train, seed=seed)
    before = {
        name: trajectory[start - 1]
        for name, trajectory in zip(STATES, states, strict=True)
    }
    runs = {edit: readout.record_rows(model, ids[edit], **before) for edit in EDITS}
    share = np.empty((len(EDITS), len(READ_AS), len(states), n_delays))
    for delay in range(n_delays):
        source = new[new + delay < n_train]
        for k, plain in enumerate(states):
            probe = probes.fit_lda(plain[source + delay], text.ids[source])
            for e, edit in enumerate(EDITS):
                guess = probe.predict(runs[edit][k, :, delay])
                tokens = named[edit].values()
                share[e, :, k, delay] = [np.mean(guess == token) for token in tokens]
    return {"edited_reading": (("edit", "read_as", "state_kind", "delay"), share)}
