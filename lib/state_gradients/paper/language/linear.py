r"""Appendix 9, Table 3: embeddings told apart by part of speech, linearly.

Logistic regression on the embeddings of (type, tag) pairs, a row of Table 3 each. The
pairs are split 80 / 10 / 10 into training, validation and test; settings are chosen by
cross-validation inside the training part. Two splits: by pair, as published, where one
type may be trained on with one tag and tested with another, and by type.

Beside each accuracy stand its binomial interval, the balanced accuracy, the rate of the
commonest class and a classifier that sees the logarithm of the type's training
frequency only.
"""

import itertools
import warnings
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.stats import binomtest
from sklearn.dummy import DummyClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, recall_score
from sklearn.model_selection import GroupKFold
from sklearn.multiclass import OneVsRestClassifier
from tqdm import tqdm

from state_gradients.foundation.labels import about
from state_gradients.paper.language.tags import CLASSES, PROPERTIES, halves

SYMBOLS = "#", "$", "''", "SYM", "LS"  # no words: Table 3's 34 tags are of words
UNTIL_IT_CONVERGES = 10_000  # iterations; on frequency alone 100 are not enough
SUBTYPES = {"nouns": "N", "verbs": "V", "adjectives": "Adj", "adverbs": "Adv"}
# Whole classes told apart: the first five, four and three of them, then in pairs.
WHOLE = "N", "V", "Adj", "Adv", "Pro"
UNIONS = (*(WHOLE[:n] for n in (5, 4, 3)), *itertools.combinations(WHOLE[:4], 2))
HALVES = {  # row: property of Section 5
    "number": "singular - plural",
    "common-proper": "common - proper",
    "genitive": "genitive - non-genitive",
    "third-person": "3rd - non-3rd",
    "past": "present - past",
    "participle": "present - past participle",
}
# The published grid, but for solvers and seeds, which `SOLVERS` shows not to matter.
STRENGTHS = 0.1, 0.4, 0.6, 0.8, 1.0, 1.2, 2.0
WEIGHTS = None, "balanced"
L1_RATIOS = 0.0, 1.0
SCHEMES = "multinomial", "one against rest"
FOLDS = 3
TO_CHOOSE = {"tol": 1e-2, "max_iter": 25}  # the solvers of L1 are slow beyond
SOLVERS = "lbfgs", "newton-cg", "saga"
SOLVED = "n-v"  # the row on which solvers and seeds vary
# Rows on which the settings are also chosen by the validation part itself.
CHOSEN_TWICE = "nouns", "verbs", "n-v", "adj-adv", "number", "participle"
PARTS = "train", "valid", "test"
SPLITS = "by pair", "by type"
# A type's rare tags are often errors of tagging: the rows are read once more with its
# commonest tag alone, over several splits, for one split's chance is large.
TAGGINGS = "every tag", "commonest tag"
N_SPLITS = 10

_SCORE = "correct / all"
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "n_classes": ("classes told apart", "1", "count"),
    "n_pairs": ("(type, tag) pairs", "1", "count"),
    "accuracy": ("accuracy", "1", _SCORE),
    "accuracy_lower": ("lower end of its 95 % interval", "1", "Wilson, binomial"),
    "accuracy_upper": ("upper end of its 95 % interval", "1", "Wilson, binomial"),
    "balanced_accuracy": ("balanced accuracy", "1", "mean recall"),
    "majority_rate": ("rate of the commonest training class", "1", _SCORE),
    "frequency_accuracy": ("accuracy from log frequency alone", "1", _SCORE),
    "frequency_balanced": ("balanced accuracy from it", "1", "mean recall"),
    "cv_accuracy": ("accuracy in cross-validation, best settings", "1", "mean"),
    "strength": ("best inverse strength of regularisation", "1", "C"),
    "l1_ratio": ("best penalty: 0 is L2, 1 is L1", "1", "chosen"),
    "is_balanced": ("whether classes are weighted by 1 / frequency", "1", "chosen"),
    "is_one_against_rest": ("whether one against rest", "1", "chosen"),
    "chosen_inside": ("accuracy, settings chosen inside training", "1", _SCORE),
    "chosen_on_valid": ("accuracy, settings chosen on validation", "1", _SCORE),
    "solver_accuracy": ("test accuracy of the row n-v, C = 1, L2", "1", _SCORE),
    "mean_accuracy": (
        "mean test accuracy over splits by type, C = 1, L2",
        "1",
        _SCORE,
    ),
    "sd_accuracy": ("standard deviation over these splits", "1", "n - 1"),
    "tag_recall": ("test recall of each tag of the row all", "1", "correct / all"),
    "tag_pairs": ("test pairs with each tag of the row all", "1", "count"),
}


@dataclass(frozen=True, kw_only=True)
class Task:
    """A row of Table 3: (type, tag) pairs and the classes that they belong to."""

    types: np.ndarray  # indices into the vocabulary, (pair,)
    labels: np.ndarray  # indices into `names`, (pair,)
    names: list  # of the classes


def tasks(tags):
    """Return the rows of Table 3 by name.

    Parameters
    ----------
    tags : xarray.Dataset
        Of `state_gradients.paper.language.tags.read_tags`.

    Returns
    -------
    dict of str to Task
        A row of which fewer than two classes have types is left out.
    """
    seen = tags["n_tagged"] > 0
    words = [tag for tag in tags["tag"].values.tolist() if tag not in SYMBOLS]
    rows = {"all": {tag: (tag,) for tag in words}}
    rows |= {
        row: {tag: (tag,) for tag in CLASSES[name] if tag in words}
        for row, name in SUBTYPES.items()
    }
    for names in UNIONS:
        rows["-".join(names).lower()] = {name: CLASSES[name] for name in names}
    for row, name in HALVES.items():
        _, *sides = PROPERTIES[name]
        if all(sides):
            ends = name.split(" - ")
            rows[row] = dict(zip(ends, sides, strict=True))
    made = {row: _task(seen, classes) for row, classes in rows.items()}
    made["genitive"] = _of_halves(halves(tags, HALVES["genitive"]))
    return {row: task for row, task in made.items() if len(np.unique(task.labels)) > 1}


def _task(seen, classes):
    """Return the pairs of a row whose classes are unions of tags."""
    pairs = [
        (k, label)
        for label, tags in enumerate(classes.values())
        for tag in tags
        if tag in seen["tag"]
        for k in np.flatnonzero(seen.sel(tag=tag).values)
    ]
    types, labels = np.array(pairs, int).reshape(-1, 2).T
    return Task(types=types, labels=labels, names=[*classes])


def _of_halves(sides):
    """Return the types on two sides of a property that no tag shows."""
    labels, types = np.nonzero(sides.values)
    return Task(types=types, labels=labels, names=["genitive", "non-genitive"])


def parts(groups, seed):
    """Split 80 / 10 / 10, a group to one part.

    Parameters
    ----------
    groups : ndarray of int, shape (pair,)
        What must stay together.
    seed : int

    Returns
    -------
    dict of str to ndarray of int
        Indices of the pairs of train, valid and test.
    """
    order = np.random.default_rng(seed).permutation(np.unique(groups))
    cuts = [round(0.8 * len(order)), round(0.9 * len(order))]
    return {
        part: np.flatnonzero(np.isin(groups, chosen))
        for part, chosen in zip(PARTS, np.split(order, cuts), strict=True)
    }


def classifier(
    *, strength, class_weight, l1_ratio, scheme, seed=0, tol=1e-4, max_iter=200
):
    """Return a logistic regression, not fitted.

    Parameters
    ----------
    strength : float
        C, the inverse strength of regularisation.
    class_weight : None or "balanced"
    l1_ratio : float
        0 for an L2 penalty, 1 for L1.
    scheme : "multinomial" or "one against rest"
    seed : int
        Of the solver.
    tol : float
        At which the solver stops.
    max_iter : int
        Where it stops at the latest.
    """
    one_by_one = scheme == SCHEMES[1]
    l1_solver = "liblinear" if one_by_one else "saga"
    model = LogisticRegression(
        C=strength,
        class_weight=class_weight,
        l1_ratio=l1_ratio,
        solver=l1_solver if l1_ratio else "lbfgs",
        max_iter=max_iter,
        tol=tol,
        random_state=seed,
    )
    return OneVsRestClassifier(model) if one_by_one else model


def grid(n_classes):
    """Return the settings that are tried; of two classes both schemes are one."""
    schemes = SCHEMES[1:] if n_classes == 2 else SCHEMES
    names = "strength", "class_weight", "l1_ratio", "scheme"
    tried = itertools.product(STRENGTHS, WEIGHTS, L1_RATIOS, schemes)
    return [dict(zip(names, values, strict=True)) for values in tried]


def _fitted(x, y, options, **stops):
    if len(np.unique(y)) < 2:  # where a rare class fell into the other parts
        return DummyClassifier().fit(x, y)
    model = classifier(**options, **stops)
    with warnings.catch_warnings():
        # a setting is judged by its score, however far its solver has come
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, y)


def choose(x, y, groups, *, seed):
    """Return the settings of the best mean accuracy in cross-validation, and that.

    Parameters
    ----------
    x : ndarray of shape (pair, embedding)
    y : ndarray of int, shape (pair,)
    groups : ndarray of int, shape (pair,)
        What must stay in one fold.
    seed : int
        Of the folds.
    """
    folds = [*GroupKFold(FOLDS, shuffle=True, random_state=seed).split(x, y, groups)]
    best, best_score = None, -1.0
    for options in grid(len(np.unique(y))):
        scores = [
            _fitted(x[fit], y[fit], options, **TO_CHOOSE).score(x[rest], y[rest])
            for fit, rest in folds
        ]
        if np.mean(scores) > best_score:
            best, best_score = options, float(np.mean(scores))
    return best, best_score


def _interval(accuracy, n):
    """Return the 95 % interval of a rate of n independent pairs."""
    found = binomtest(round(accuracy * n), n).proportion_ci(method="wilson")
    return found.low, found.high


def _balanced(y, predicted):
    with warnings.catch_warnings():  # a class that the part lacks has no recall
        warnings.simplefilter("ignore", UserWarning)
        return balanced_accuracy_score(y, predicted)


def judge(embedding, log_frequency, task, split, *, seed):
    """Return what is measured of one row with one split.

    Parameters
    ----------
    embedding : ndarray of shape (vocabulary, embedding)
    log_frequency : ndarray of shape (vocabulary,)
    task : Task
    split : "by pair" or "by type"
    seed : int

    Returns
    -------
    dict of str to float or list
        Lists are by part, training first.
    tuple
        The fitted classifier and its :func:`parts`.
    """
    x, y = embedding[task.types], task.labels
    groups = task.types if split == "by type" else np.arange(len(y))
    where = parts(groups, seed)
    train = where["train"]
    options, score = choose(x[train], y[train], groups[train], seed=seed)
    model = _fitted(x[train], y[train], options)
    frequency = log_frequency[task.types][:, None]
    by_frequency = LogisticRegression(max_iter=UNTIL_IT_CONVERGES)
    by_frequency.fit(frequency[train], y[train])
    majority = np.bincount(y[train]).argmax()
    found = {name: [] for name in ("n_pairs", "accuracy", "accuracy_lower")}
    found |= {name: [] for name in ("accuracy_upper", "balanced_accuracy")}
    found |= {name: [] for name in ("majority_rate", "frequency_accuracy")}
    found["frequency_balanced"] = []
    for part in PARTS:
        inside = where[part]
        predicted = model.predict(x[inside])
        guessed = by_frequency.predict(frequency[inside])
        accuracy = float(np.mean(predicted == y[inside]))
        low, high = _interval(accuracy, len(inside))
        found["n_pairs"].append(len(inside))
        found["accuracy"].append(accuracy)
        found["accuracy_lower"].append(low)
        found["accuracy_upper"].append(high)
        found["balanced_accuracy"].append(_balanced(y[inside], predicted))
        found["majority_rate"].append(float(np.mean(y[inside] == majority)))
        found["frequency_accuracy"].append(float(np.mean(guessed == y[inside])))
        found["frequency_balanced"].append(_balanced(y[inside], guessed))
    found |= {
        "cv_accuracy": score,
        "strength": options["strength"],
        "l1_ratio": options["l1_ratio"],
        "is_balanced": float(options["class_weight"] is not None),
        "is_one_against_rest": float(options["scheme"] == SCHEMES[1]),
    }
    return found, (model, where)


def chosen_on_valid(embedding, task, where):
    """Return validation and test accuracy of the settings best on validation."""
    x, y = embedding[task.types], task.labels
    train, valid, test = (where[part] for part in PARTS)
    models = [_fitted(x[train], y[train], options) for options in grid(len(task.names))]
    best = max(models, key=lambda model: model.score(x[valid], y[valid]))
    return [best.score(x[part], y[part]) for part in (valid, test)]


def commonest(tags):
    """Return tags of which each type keeps the one that it was seen with most."""
    n = tags["n_tagged"]
    is_first = n.argmax("tag") == xr.DataArray(np.arange(n.sizes["tag"]), dims="tag")
    return tags.assign(n_tagged=n.where(is_first, 0).transpose(*n.dims))


def over_splits(embedding, task):
    """Return mean and standard deviation of the test accuracy over splits by type."""
    scores = []
    for seed in range(N_SPLITS):
        where = parts(task.types, seed)
        x, y = embedding[task.types], task.labels
        options = {"strength": 1.0, "class_weight": None, "l1_ratio": 0.0}
        train, test = where["train"], where["test"]
        model = _fitted(x[train], y[train], options | {"scheme": "multinomial"})
        scores.append(model.score(x[test], y[test]))
    return np.mean(scores), np.std(scores, ddof=1)


def solvers(embedding, task, where):
    """Return the test accuracy by solver and seed, all else equal, (solver, seed)."""
    x, y = embedding[task.types], task.labels
    accuracy = np.empty((len(SOLVERS), 2))
    for k, seed in itertools.product(range(len(SOLVERS)), range(2)):
        model = LogisticRegression(solver=SOLVERS[k], random_state=seed, max_iter=1000)
        model.fit(x[where["train"]], y[where["train"]])
        accuracy[k, seed] = model.score(x[where["test"]], y[where["test"]])
    return accuracy


def study(subject):
    """Measure Table 3 of an experiment's embeddings.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict
        ``linear``: the artifact, a Dataset of `MEANING`.
    """
    encoder = subject.encoder
    seed = subject.experiment.corpus.seed
    return {
        "linear": measure(
            encoder["embedding"].values.astype(np.float64),
            np.log1p(encoder["count"].values),
            tasks(subject.tags),
            tasks(commonest(subject.tags)),
            seed=seed,
            progress=subject.progress,
        )
    }


def measure(embedding, log_frequency, rows, of_commonest, *, seed, progress=True):
    """Judge every row with both splits; see `judge` for the arguments.

    Parameters
    ----------
    rows, of_commonest : dict of str to Task
        Of every tag, and of each type's commonest. A row that the latter lacks is NaN.

    Returns
    -------
    xarray.Dataset
        Of `MEANING`: by row, split and part; of `CHOSEN_TWICE`, `SOLVED` and the row
        ``all`` what is measured of them alone.
    """
    found, fitted = {}, {}
    cells = [*itertools.product(rows, SPLITS)]
    for row, split in tqdm(cells, unit="row", disable=not progress):
        found[row, split], fitted[row, split] = judge(
            embedding, log_frequency, rows[row], split, seed=seed
        )
    shape = len(rows), len(SPLITS)
    variables = {}
    for name, example in found[cells[0]].items():
        values = np.array([found[cell][name] for cell in cells], np.float64)
        by_part = isinstance(example, list)
        dims = ("row", "split", "part")[: 3 if by_part else 2]
        variables[name] = dims, values.reshape(*shape, *values.shape[1:])
    both = [[table.get(row) for table in (rows, of_commonest)] for row in rows]
    missing = (np.nan, np.nan)
    spread = [[over_splits(embedding, t) if t else missing for t in of] for of in both]
    for k, name in enumerate(("mean_accuracy", "sd_accuracy")):
        variables[name] = ("row", "tagging"), np.array(spread)[..., k]
    n_classes = [len(np.unique(task.labels)) for task in rows.values()]
    variables["n_classes"] = "row", n_classes
    twice = [row for row in CHOSEN_TWICE if row in rows]
    inside = [[found[row, "by pair"]["accuracy"][k] for k in (1, 2)] for row in twice]
    on_valid = [
        chosen_on_valid(embedding, rows[row], fitted[row, "by pair"][1])
        for row in twice
    ]
    variables["chosen_inside"] = ("chosen_row", "held_out"), inside
    variables["chosen_on_valid"] = ("chosen_row", "held_out"), on_valid
    coords = {"row": [*rows], "split": [*SPLITS], "part": [*PARTS]}
    coords |= {"chosen_row": twice, "held_out": [*PARTS[1:]], "tagging": [*TAGGINGS]}
    if SOLVED in rows:
        where = fitted[SOLVED, "by pair"][1]
        accuracy = solvers(embedding, rows[SOLVED], where)
        variables["solver_accuracy"] = ("solver", "solver_seed"), accuracy
        coords |= {"solver": [*SOLVERS], "solver_seed": [0, 1]}
    if "all" in rows:
        task = rows["all"]
        variables |= _recall(embedding, task, *fitted["all", "by type"])
        coords["tag"] = task.names
    return xr.Dataset(
        {
            name: (dims, np.asarray(values), _about(name))
            for name, (dims, values) in variables.items()
        },
        coords=coords,
    )


def _about(name):
    attrs = about(name, meaning=MEANING)
    if name in ("mean_accuracy", "sd_accuracy"):
        attrs["missing"] = "fewer than two classes have a type's commonest tag"
    return attrs


def _recall(embedding, task, model, where):
    """Return the recall of each tag among the test pairs, 0 where there is no pair."""
    test = where["test"]
    true = task.labels[test]
    labels = np.arange(len(task.names))
    predicted = model.predict(embedding[task.types[test]])
    recall = recall_score(true, predicted, labels=labels, average=None, zero_division=0)
    pairs = np.bincount(true, minlength=len(labels))
    return {"tag_recall": ("tag", recall), "tag_pairs": ("tag", pairs)}
