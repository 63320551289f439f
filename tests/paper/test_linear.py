"""Table 3's scores against scikit-learn called by hand, and known answers."""

import warnings

import numpy as np
import pytest
import xarray as xr
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from state_gradients.paper.language import linear

TAGS = ["IN", "JJ", "JJR", "NN", "NNP", "NNS", "RB", "VB", "VBD", "VBZ"]
N_TYPES = 300


@pytest.fixture(scope="module")
def tags():
    """Each type has its first tag, and every fifth a second one."""
    rng = np.random.default_rng(3)
    n_tagged = np.zeros((len(TAGS), N_TYPES), int)
    for k in range(N_TYPES):
        n_tagged[k % len(TAGS), k] = 1 + rng.integers(9)
        if k % 5 == 0:
            n_tagged[rng.integers(len(TAGS)), k] += 1
    names = [f"w{k}" for k in range(N_TYPES - 40)]
    names += [f"w{k}'s" for k in range(40)]  # with a host each
    coords = {"tag": TAGS, "vocabulary": names}
    return xr.Dataset({"n_tagged": (("tag", "vocabulary"), n_tagged)}, coords=coords)


@pytest.fixture(scope="module")
def embedding(tags):
    """A cloud for every tag; types of two tags lie between."""
    rng = np.random.default_rng(4)
    centres = 2 * rng.normal(size=(len(TAGS), 6))
    shares = tags["n_tagged"].values / tags["n_tagged"].values.sum(axis=0)
    return shares.T @ centres + rng.normal(size=(N_TYPES, 6))


@pytest.fixture(scope="module")
def rows(tags):
    return linear.tasks(tags)


def test_rows_hold_every_pair_of_a_type_and_a_tag_of_their_classes(tags, rows):
    seen = tags["n_tagged"].values > 0
    for row, classes in {
        "all": [[tag] for tag in TAGS],
        "nouns": [["NN"], ["NNS"], ["NNP"]],  # in the order of CLASSES
        "n-v": [["NN", "NNP", "NNS"], ["VB", "VBD", "VBZ"]],
        "number": [["NN", "NNP"], ["NNS"]],
        "past": [["VBZ"], ["VBD"]],
    }.items():
        expected = [
            (k, label)
            for label, members in enumerate(classes)
            for k in range(N_TYPES)
            for tag in members
            if seen[TAGS.index(tag), k]
        ]
        found = zip(rows[row].types.tolist(), rows[row].labels.tolist(), strict=True)
        assert sorted(found) == sorted(expected), row
    genitive = rows["genitive"]
    assert genitive.names == ["genitive", "non-genitive"]
    of = dict(zip(genitive.types.tolist(), genitive.labels.tolist(), strict=True))
    assert of == {k: 1 for k in range(40)} | {N_TYPES - 40 + k: 0 for k in range(40)}
    assert "adverbs" not in rows  # one class only
    assert "third-person" not in rows


@pytest.mark.parametrize("split", linear.SPLITS)
def test_no_pair_is_in_two_parts_and_no_type_when_split_by_type(rows, split):
    task = rows["all"]
    groups = task.types if split == "by type" else np.arange(len(task.types))
    where = linear.parts(groups, 1)
    together = np.concatenate([*where.values()])
    assert sorted(together) == [*range(len(groups))]
    held = [set(task.types[where[part]]) for part in linear.PARTS]
    shared = held[0] & held[2] or held[0] & held[1]
    assert bool(shared) == (split == "by pair")
    sizes = [len(np.unique(groups[inside])) for inside in where.values()]
    n = len(np.unique(groups))
    assert sizes == [
        round(0.8 * n),
        round(0.9 * n) - round(0.8 * n),
        n - round(0.9 * n),
    ]
    assert not np.array_equal(where["test"], linear.parts(groups, 2)["test"])


def test_frequency_alone_is_fitted_until_it_converges(embedding, rows, monkeypatch):
    monkeypatch.setattr(linear, "STRENGTHS", (0.6,))
    task = rows["all"]  # classes that frequency tells apart, far from zero
    frequency = np.random.default_rng(5).normal(size=N_TYPES)
    frequency[task.types] += 9 * np.log(2 + task.labels)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        found, (_, where) = linear.judge(embedding, frequency, task, "by type", seed=1)
    x, y = frequency[task.types][:, None], task.labels
    train, test = where["train"], where["test"]
    few, enough = (LogisticRegression(max_iter=n) for n in (100, 10_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        few.fit(x[train], y[train])
    assert few.n_iter_.max() == 100  # the default stops too early here
    score = enough.fit(x[train], y[train]).score(x[test], y[test])
    assert found["frequency_accuracy"][2] == score


def test_scores_are_those_of_scikit_learn_called_by_hand(embedding, rows, monkeypatch):
    monkeypatch.setattr(linear, "STRENGTHS", (0.6,))
    monkeypatch.setattr(linear, "WEIGHTS", ("balanced",))
    monkeypatch.setattr(linear, "L1_RATIOS", (0.0,))
    monkeypatch.setattr(linear, "SCHEMES", ("multinomial", "multinomial"))
    frequency = np.random.default_rng(5).normal(size=N_TYPES)
    task = rows["nouns"]
    found, _ = linear.judge(embedding, frequency, task, "by type", seed=1)

    order = np.random.default_rng(1).permutation(np.unique(task.types))
    cuts = round(0.8 * len(order)), round(0.9 * len(order))
    in_train, in_test = (
        np.isin(task.types, o) for o in (order[: cuts[0]], order[cuts[1] :])
    )
    x, y = embedding[task.types], task.labels
    model = LogisticRegression(C=0.6, class_weight="balanced", max_iter=200)
    predicted = model.fit(x[in_train], y[in_train]).predict(x[in_test])
    hits = predicted == y[in_test]
    recalls = [np.mean(hits[y[in_test] == label]) for label in np.unique(y[in_test])]
    assert found["accuracy"][2] == np.mean(hits)
    assert found["balanced_accuracy"][2] == pytest.approx(np.mean(recalls), rel=1e-12)
    commonest = np.bincount(y[in_train]).argmax()
    assert found["majority_rate"][2] == np.mean(y[in_test] == commonest)
    assert found["n_pairs"] == [
        in_train.sum(),
        len(y) - in_train.sum() - in_test.sum(),
        in_test.sum(),
    ]
    # Wilson's interval, from its formula
    n, p, z = len(hits), np.mean(hits), 1.959963984540054
    middle = (p + z**2 / 2 / n) / (1 + z**2 / n)
    half = z * np.sqrt(p * (1 - p) / n + z**2 / 4 / n**2) / (1 + z**2 / n)
    ends = found["accuracy_lower"][2], found["accuracy_upper"][2]
    np.testing.assert_allclose(ends, (middle - half, middle + half), rtol=1e-9)


def test_the_settings_are_the_best_in_cross_validation(embedding, rows, monkeypatch):
    task = rows["n-v"]
    x, y = embedding[task.types], task.labels
    options, score = linear.choose(x, y, task.types, seed=1)
    assert len(linear.grid(2)) == 7 * 2 * 2
    assert len(linear.grid(3)) == 7 * 2 * 2 * 2
    # of two settings of which one cannot work the other is chosen
    monkeypatch.setattr(linear, "STRENGTHS", (1e-9, 1.0))
    monkeypatch.setattr(linear, "L1_RATIOS", (1.0,))
    options, again = linear.choose(x, y, task.types, seed=1)
    assert options["strength"] == 1.0
    assert score >= again - 0.02 > 0.6


def test_a_type_keeps_its_commonest_tag(tags, rows):
    n_tagged = tags["n_tagged"].values
    kept = linear.commonest(tags)["n_tagged"].values
    for k in range(N_TYPES):
        best = n_tagged[:, k].argmax()
        assert kept[best, k] == n_tagged[best, k] > 0
        assert kept[:, k].sum() == kept[best, k]
    fewer = linear.tasks(linear.commonest(tags))
    assert len(fewer["all"].types) == N_TYPES < len(rows["all"].types)


def test_scores_over_splits_are_those_of_scikit_learn_by_hand(embedding, rows):
    task, scores = rows["nouns"], []
    for seed in range(10):
        order = np.random.default_rng(seed).permutation(np.unique(task.types))
        in_train = np.isin(task.types, order[: round(0.8 * len(order))])
        in_test = np.isin(task.types, order[round(0.9 * len(order)) :])
        x, y = embedding[task.types], task.labels
        model = LogisticRegression(max_iter=200).fit(x[in_train], y[in_train])
        scores.append(np.mean(model.predict(x[in_test]) == y[in_test]))
    found = linear.over_splits(embedding, task)
    assert found == pytest.approx((np.mean(scores), np.std(scores, ddof=1)), rel=1e-12)


def test_a_class_that_the_training_part_lacks_is_never_guessed(embedding):
    types = np.arange(20)
    labels = np.zeros(20, int)
    order = np.random.default_rng(0).permutation(types)
    labels[order[-1]] = 1  # in the test part of the first split
    task = linear.Task(types=types, labels=labels, names=["a", "b"])
    mean, _ = linear.over_splits(embedding, task)
    hits = []
    for seed in range(linear.N_SPLITS):
        test = linear.parts(types, seed)["test"]
        hits.append(np.mean(labels[test] == 0))
    assert mean == pytest.approx(np.mean(hits), abs=0.06)  # one may be guessed right


def test_an_embedding_that_knows_nothing_scores_as_the_commonest_class(rows):
    rng = np.random.default_rng(6)
    noise, frequency = rng.normal(size=(N_TYPES, 6)), rng.normal(size=N_TYPES)
    found, _ = linear.judge(noise, frequency, rows["n-v"], "by type", seed=1)
    low, high = found["accuracy_lower"][2], found["accuracy_upper"][2]
    assert low < found["majority_rate"][2] + 0.1
    assert low < 0.6 < high + 0.2
    assert abs(found["balanced_accuracy"][2] - 0.5) < 0.25


def test_the_artifact_holds_every_row_split_and_part(embedding, rows, monkeypatch):
    monkeypatch.setattr(linear, "STRENGTHS", (1.0,))
    few = {name: rows[name] for name in ("all", "nouns", "n-v")}
    frequency = np.zeros(N_TYPES)
    commonest = {name: rows[name] for name in ("all", "nouns")}
    data = linear.measure(embedding, frequency, few, commonest, seed=1)
    assert data["accuracy"].dims == ("row", "split", "part")
    assert data["row"].values.tolist() == [*few]
    found, _ = linear.judge(embedding, frequency, few["nouns"], "by type", seed=1)
    cell = data.sel(row="nouns", split="by type")
    assert cell["accuracy"].values.tolist() == found["accuracy"]
    assert float(cell["cv_accuracy"]) == found["cv_accuracy"]
    assert data["n_classes"].values.tolist() == [10, 3, 2]
    # of one tagging given twice the scores are the same; a row without it has none
    means = data["mean_accuracy"]
    assert (means.sel(row="nouns", tagging="every tag") == means.sel(row="nouns")).all()
    assert np.isnan(means.sel(row="n-v", tagging="commonest tag"))
    # solvers agree to one pair, and so do their seeds
    assert np.ptp(data["solver_accuracy"].values) <= 1.01 / found["n_pairs"][2]
    # selecting on the validation part cannot do worse there
    gain = data["chosen_on_valid"] - data["chosen_inside"]
    assert (gain.sel(held_out="valid") >= 0).all()
    # recall of the row all: its mean over pairs is the accuracy
    mean = (data["tag_recall"] * data["tag_pairs"]).sum() / data["tag_pairs"].sum()
    accuracy = data["accuracy"].sel(row="all", split="by type", part="test")
    assert float(mean) == pytest.approx(float(accuracy), rel=1e-12)
    for name, variable in data.data_vars.items():
        assert variable.attrs["long_name"], name
