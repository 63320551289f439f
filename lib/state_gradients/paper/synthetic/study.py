r"""The study of Sec. 4.2: what an LSTM holds that has learnt the synthetic corpus.

Counting is what tells the labels 0..15 and ``<eos>`` apart. The counting subspace is
the span of the first five LDA directions of the cell, Q its orthonormal basis; the
identity subspace is the complement C. A mean gradient G is looked at through Q^T G and
C^T G, whose singular values are those of the projections Q Q^T G and C C^T G.
"""

import numpy as np
import xarray as xr

from state_gradients.foundation.labels import about
from state_gradients.paper.synthetic import probes, readout
from state_gradients.text import synthetic

N_TRAIN = 150_000  # validation tokens that the probes are fitted on; they see the rest
N_COUNTING = 5  # the paper's directions
N_SHOWN = 1_500  # states in Fig. 2
LABELS = [*map(str, range(synthetic.COUNT_EOS)), "EOS"]
# Half-way between certainty and a state that holds the two current tokens only.
HALF_WAY = (1 + 1 / (synthetic.N_TOKENS - 2)) / 2

# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "lda_accuracy": ("test accuracy of LDA", "1", "correct / all"),
    "lda_balanced_accuracy": ("balanced test accuracy of LDA", "1", "mean recall"),
    "majority_rate": ("accuracy of guessing the commonest class", "1", "correct / all"),
    "new_recall": ("recall of the new tokens", "1", "correct / all"),
    "count_variance": ("discriminating variance by direction", "1", "lambda / sum"),
    "count_variance_5": ("share of the first five", "1", "sum_5 lambda / sum"),
    "principal_angle": (
        "LDA of count (5) to LDA of token (9)",
        "degree",
        "cos = sigma",
    ),
    "plane_accuracy": ("accuracy of the count in two directions", "1", "correct / all"),
    "plane_recall": ("recall of each count in two directions", "1", "correct / all"),
    "plane_means": ("mean cell on two LDA directions", "1", "w^T c"),
    "plane_states": ("cells on two LDA directions", "1", "w^T c"),
    "plane_count": ("count of each of these cells, 16 is EOS", "1", "label"),
    "delay_accuracy": (
        "LDA accuracy of the new token at delay 0",
        "1",
        "correct / all",
    ),
    "accuracy_falls_at": ("first delay below half-way", "token", "(1 + 1/8) / 2"),
    "sum_singular_values": ("sum of singular values, cell", "1", "sum sigma(Q^T G)"),
    "perplexity": ("perplexity, each token counts once", "1", "exp(mean of -ln p)"),
    "predictions_at": ("test predictions by the label predicted", "1", "count"),
    "mistakes_at": ("wrong test predictions by that label", "1", "count"),
    "nll_at": ("test loss by that label", "nat", "mean of -ln p"),
    "ideal_nll_at": ("test loss of the ideal predictor", "nat", "mean of -ln p"),
    "predictions": ("test predictions from the third token on", "1", "count"),
    "unexpected_mistakes": ("wrong predictions of repeated tokens", "1", "count"),
    "unexpected_at_first_repeat": ("of these, of the first repeat", "1", "count"),
    "eos_probability": ("mean p(<eos>) after so many cycles", "1", "softmax"),
    "ablated_nll_at": (
        "test loss, cell at its mean in a subspace",
        "nat",
        "mean of -ln p",
    ),
}


def position_groups(labels):
    """Return which inputs the gradients are averaged over: all, new tokens, and parts.

    An ``<eos>`` makes what follows one step later. New tokens are split by the cycle
    they begin: the last of its line (an ``<eos>`` 16 steps on), the second last (32),
    the third last (48) or an earlier one (none within 50 steps).

    Parameters
    ----------
    labels : synthetic.SyntheticText
        Whole lines.

    Returns
    -------
    xarray.DataArray of bool, shape (group, time)
    """
    new, eos = labels.count == 0, np.flatnonzero(labels.count == synthetic.COUNT_EOS)
    time = np.arange(len(new))
    cycles = (eos[np.searchsorted(eos, time)] - time) // (synthetic.REPEATS + 1)
    groups = {"all": np.ones_like(new), "new-tokens": new}
    for left, name in enumerate(("last cycle", "second last", "third last"), 1):
        groups[f"new-tokens, {name}"] = new & (cycles == left)
    groups["new-tokens, earlier"] = new & (cycles > 3)
    return xr.DataArray(
        list(groups.values()), dims=("group", "time"), coords={"group": list(groups)}
    )


def analyse(experiment, model, gradients, *, texts=None, n_train=N_TRAIN):
    """Measure what Sec. 4.2 says of one trained model.

    Parameters
    ----------
    experiment : settings.Experiment
    model : keras.Model
        A one-layer LSTM.
    gradients : xarray.Dataset
        Its mean state gradients, by the groups of :func:`position_groups`.
    texts : dict of str to synthetic.SyntheticText, optional
        ``valid`` and ``test``; generated from the experiment's corpus when absent.
    n_train : int
        Validation tokens that the probes are fitted on; the others test them.

    Returns
    -------
    xarray.Dataset
        The ``probes`` artifact; `MEANING` says what its variables mean.
    """
    settings = experiment.training
    texts = texts or {
        s: synthetic.labels(experiment.corpus, s) for s in ("valid", "test")
    }
    states = {s: readout.record_states(model, text.ids) for s, text in texts.items()}
    valid, (cell, hidden, _) = texts["valid"], states["valid"]
    counting = probes.fit_lda(cell[:n_train], valid.count[:n_train])
    basis, rest = probes.split_space(counting, N_COUNTING)
    views = views_of(cell, hidden, counting)
    size = {"batch_size": settings.batch_size, "num_steps": settings.num_steps}
    gradient = gradients["state_gradient"].sel(state_kind="cell")
    of_test = model, texts["test"]
    variables = (
        table_1(views, valid, n_train)
        | _counting(counting, views, valid, n_train, settings.seed)
        | _delays(views, valid, n_train, gradient.sizes["delay"])
        | sums(gradient, [basis, rest])
        | _perplexities(model, texts, states, size)
        | readout.predictions(*of_test, states["test"][1])
        | readout.ablation(*of_test, states["test"], basis, seed=settings.seed)
    )
    return xr.Dataset(
        {
            name: (dims, np.asarray(values), about(name, meaning=MEANING))
            for name, (dims, values) in variables.items()
        },
        coords={
            "representation": list(views),
            "target": ["token", "new", "count"],
            "label": LABELS,
            "delay": gradient["delay"].values,
            "group": gradient["group"].values,
            "subspace": ["counting", "identity", "whole"],
            "split": list(texts),
            "evaluation": ["1 x 1", "{batch_size} x {num_steps}".format(**size)],
            "cycles": np.arange(1, synthetic.MOST + 1),
            "removed": ["nothing", "counting", "random"],
        },
    )


def views_of(cell, hidden, counting):
    """Return the states and the parts of the cell by name, each (sample, component).

    Parameters
    ----------
    cell, hidden : ndarray of shape (sample, state)
    counting : sklearn.discriminant_analysis.LinearDiscriminantAnalysis
        Of the cell's count; its first five directions are the counting subspace.
    """
    basis, rest = probes.split_space(counting, N_COUNTING)
    _, apart = probes.split_space(counting, N_COUNTING, by="means")
    return {
        "cell": cell,
        "hidden": hidden,
        "cell counting": cell @ basis,
        "cell identity": cell @ rest,
        "cell, means removed": cell @ apart,
    }


def _probe(states, labels, n_train):
    """Return the scores on later states of LDA fitted on the first `n_train`."""
    probe = probes.fit_lda(states[:n_train], labels[:n_train])
    return probes.score(probe, states[n_train:], labels[n_train:])


def table_1(views, text, n_train):
    """Return Table 1 as ``{variable: (dims, values)}``.

    ``<eos>`` is none of the ten tokens: token identity leaves it out.

    Parameters
    ----------
    views : dict of str to ndarray of shape (sample, component)
        As :func:`views_of` returns them.
    text : synthetic.SyntheticText
        The token of each sample, with its labels.
    n_train : int
        Samples that the probes are fitted on; the others test them.
    """
    is_token, all_of = text.ids < synthetic.N_TOKENS, np.ones(len(text.ids), dtype=bool)
    new = np.where(text.count == synthetic.COUNT_EOS, 2, text.count == 0)
    scores, majority = [], []
    for labels, kept in ((text.ids, is_token), (new, all_of), (text.count, all_of)):
        labels, n = labels[kept], int(kept[:n_train].sum())
        majority.append(probes.majority_rate(labels[:n], labels[n:]))
        scores.append([_probe(states[kept], labels, n) for states in views.values()])
    accuracy, balanced = (
        [[s[i] for s in of_views] for of_views in scores] for i in (0, 1)
    )
    return {
        "lda_accuracy": (("representation", "target"), np.transpose(accuracy)),
        "lda_balanced_accuracy": (("representation", "target"), np.transpose(balanced)),
        "majority_rate": ("target", majority),
        "new_recall": ("representation", [recall[1] for _, _, recall in scores[1]]),
    }


def _counting(counting, views, text, n_train, seed):
    """Return the counting directions, and Fig. 2: a sample with each label as often."""
    cell, shares = views["cell"], counting.explained_variance_ratio_
    is_token = text.ids[:n_train] < synthetic.N_TOKENS
    token = probes.fit_lda(cell[:n_train][is_token], text.ids[:n_train][is_token])
    basis = counting.scalings_[:, :N_COUNTING]
    plane = counting.transform(cell)[:, :2]
    accuracy, _, recall = _probe(plane, text.count, n_train)
    rng = np.random.default_rng(seed)
    places = [np.flatnonzero(text.count == kind) for kind in range(len(LABELS))]
    fewest = min(N_SHOWN // len(LABELS), *map(len, places))
    shown = np.concatenate([rng.choice(p, fewest, replace=False) for p in places])
    return {
        "count_variance": ("direction", shares),
        "count_variance_5": ((), shares[:N_COUNTING].sum()),
        "principal_angle": ("angle", probes.principal_angles(basis, token.scalings_)),
        "plane_accuracy": ((), accuracy),
        "plane_recall": ("label", recall),
        "plane_means": (("label", "axis"), [plane[p].mean(axis=0) for p in places]),
        "plane_states": (("sample", "axis"), plane[shown].astype(np.float32)),
        "plane_count": ("sample", text.count[shown]),
    }


def _delays(views, text, n_train, n_delays):
    """Return how well a new token is read from the state some steps later."""
    new = np.flatnonzero(text.count == 0)

    def accuracy_of(states, delay):
        source = new[new + delay < len(text.ids)]
        n = np.searchsorted(source + delay, n_train)
        return _probe(states[source + delay], text.ids[source], n)[0]

    delays = range(n_delays)
    accuracy = np.array([[accuracy_of(s, d) for d in delays] for s in views.values()])
    low = np.pad(accuracy < HALF_WAY, ((0, 0), (0, 1)), constant_values=True)
    return {
        "delay_accuracy": (("representation", "delay"), accuracy),
        "accuracy_falls_at": ("representation", low.argmax(axis=1)),
    }


def sums(gradient, bases):
    """Return Fig. 3: sums of singular values through each subspace and as a whole.

    Parameters
    ----------
    gradient : xarray.DataArray
        Dims group, delay, state and embedding.
    bases : list of ndarray of shape (state, n)
    """
    dims = ("group", "delay", "state", "embedding")
    values = gradient.transpose(*dims).values.astype(np.float64)
    seen = [*(q.T @ values for q in bases), values]
    summed = [np.linalg.svdvals(part).sum(axis=-1) for part in seen]
    return {"sum_singular_values": (("subspace", "group", "delay"), summed)}


def _perplexities(model, texts, states, size):
    """Return the perplexities of one stream, and of rows as in training."""
    from state_gradients.models import evaluation

    table = []
    for text, (_, hidden, _) in zip(texts.values(), states.values(), strict=True):
        losses = readout.losses(readout.log_probabilities(model, hidden), text)
        rows = evaluation.perplexity(model, text.ids, **size)
        table.append([np.exp(losses.mean()), rows])
    return {"perplexity": (("split", "evaluation"), table)}
