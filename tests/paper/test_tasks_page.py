import dataclasses
import zipfile

import numpy as np
import pytest
import xarray as xr

from state_gradients.figures import set_theme
from state_gradients.foundation import settings
from state_gradients.paper import reproduction, stages
from state_gradients.paper.book import tasks
from state_gradients.paper.exercises import TARGETS
from state_gradients.project import artifacts
from state_gradients.text import corpora, tagged

DELAYS = np.arange(21)
MODEL = f"language model {tasks.LANGUAGE_MODEL}"


def steps(back, *, after=0.05):
    """Hold all until delay `back`, then let go."""
    return np.where(back >= DELAYS, 1.0, after)


@pytest.fixture
def found():
    ratio = {tasks.LABELS[back]: steps(back) for back in tasks.TAGGERS}
    ratio[MODEL] = np.exp(-DELAYS / 8)
    axes = ("experiment", "delay")
    coords = {"experiment": list(ratio), "delay": DELAYS}
    values = np.array(list(ratio.values()))
    return xr.Dataset({"ratio": (axes, values)}, coords)


@pytest.fixture
def ranks(found):
    ranks = xr.full_like(found["ratio"], 8.0)
    ranks.loc[MODEL] = 20.0
    return ranks


@pytest.fixture
def learnt():
    share = xr.DataArray([1.0, 0.9, 0.8, 0.5], {"back": list(tasks.TAGGERS)}, ("back",))
    guess = xr.full_like(share, 0.2)
    return xr.Dataset({"accuracy": 0.2 + 0.7 * share, "guess": guess, "share": share})


def judged(found, ranks, learnt):
    table = tasks.verdicts(found, ranks, learnt)
    return {(row.bound, row.of): row.holds for row in table.itertuples()}


def test_networks_that_hold_what_they_must_keep_every_bound(found, ranks, learnt):
    held = judged(found, ranks, learnt)
    assert len(held) == 15 and all(held.values())
    table = tasks.verdicts(found, ranks, learnt).set_index(["bound", "of"])
    fall = table.loc[("let go", tasks.LABELS[5]), "found"]
    assert fall == pytest.approx(1 / 0.05)
    assert table.loc[("in order", "delay 5"), "found"] == pytest.approx(1 / 0.05)
    assert list(dict.fromkeys(tasks.verdicts(found, ranks, learnt)["bound"])) == [
        *tasks.BOUNDS
    ]


@pytest.mark.parametrize(
    ("label", "delay", "value", "broken"),
    [
        (tasks.LABELS[5], 3, 0.49, {("held", tasks.LABELS[5])}),
        (tasks.LABELS[5], 3, 0.51, set()),
        (tasks.LABELS[5], 10, 0.34, {("let go", tasks.LABELS[5])}),
        (tasks.LABELS[5], 10, 0.33, set()),
        (tasks.LABELS[0], 1, 0.95, {("language model", "delay 1")}),
        (
            tasks.LABELS[0],
            1,
            1.01,
            {("in order", "delay 1"), ("language model", "delay 1")},
        ),
        (
            tasks.LABELS[5],
            10,
            1.2,
            {("in order", "delay 10"), ("let go", "class 5 back")},
        ),
        (MODEL, 5, 0.04, {("language model", "delay 5")}),
        (MODEL, 5, 1.1, {("language model", "delay 5")}),
    ],
)
def test_each_bound_is_broken_where_it_is(
    found, ranks, learnt, label, delay, value, broken
):
    found["ratio"].loc[label, delay] = value
    held = judged(found, ranks, learnt)
    assert {key for key, holds in held.items() if not holds} == broken


def test_each_network_that_must_lies_above_each_that_need_not(found, ranks, learnt):
    found["ratio"].loc[tasks.LABELS[10], 5] = 0.6  # the other that must is at 1
    found["ratio"].loc[tasks.LABELS[1], 5] = 0.7
    held = judged(found, ranks, learnt)
    assert not held["in order", "delay 5"] and held["in order", "delay 10"]


@pytest.mark.parametrize(("rank", "holds"), [(5.9, False), (6.0, True), (20.0, False)])
def test_breadth_lies_between_half_of_the_classes_and_the_language_model(
    found, ranks, learnt, rank, holds
):
    ranks.loc[tasks.LABELS[10], 10] = rank
    assert judged(found, ranks, learnt)["breadth", tasks.LABELS[10]] is holds


def test_who_does_not_do_its_task_is_not_judged(found, ranks, learnt):
    learnt["share"].loc[10] = 0.49
    held = judged(found, ranks, learnt)
    not_judged = {key for key, holds in held.items() if holds is None}
    assert not_judged == {
        *((bound, tasks.LABELS[10]) for bound in tasks.OF_TAGGERS),
        *(("language model", f"delay {delay}") for delay in (1, 5, 10)),
        ("in order", "delay 10"),
    }
    table = tasks.verdicts_table(tasks.verdicts(found, ranks, learnt))
    of_ten = table[table["of"] == tasks.LABELS[10]]
    assert set(of_ten["holds"]) == set(of_ten["found"]) == {tasks.DASH}
    assert set(table["holds"]) == {tasks.DASH, "yes"}
    told = tasks.results(tasks.verdicts(found, ranks, learnt))
    assert told["kept"] == told["judged"] == 8
    assert told["held-class-10-back"] == told["in-order-delay-10"] == tasks.DASH
    assert told["let-go-class-5-back"] == "20"


def test_nothing_is_judged_of_what_has_not_been_run(monkeypatch):
    monkeypatch.setattr(tasks, "TAGGERS", dict.fromkeys(tasks.TAGGERS, "nowhere"))
    drawn = tasks.members("ptb-lstm-256", "cell")
    found, ranks = tasks.relative(drawn), tasks.effective_ranks(drawn)
    names = [MODEL, "language model ptb-lstm-256"]
    assert found["experiment"].values.tolist() == names
    assert ranks["experiment"].values.tolist() == names
    learnt = tasks.accuracies()
    assert learnt["accuracy"].isnull().all()
    assert tasks.verdicts(found, ranks, learnt)["holds"].isnull().all()
    trained = learnt.assign(share=xr.ones_like(learnt["share"]))  # and not extracted
    assert tasks.verdicts(found, ranks, trained)["holds"].isnull().all()
    assert set(tasks.accuracies_table(learnt)["right"]) == {tasks.DASH}


def test_ratios_and_ranks_are_those_of_the_artifacts():
    drawn = tasks.members("ptb-lstm-256", "hidden")
    found, ranks = tasks.relative(drawn), tasks.effective_ranks(drawn)
    for label, name, state in (
        (MODEL, "brown-lstm-256", "cell"),
        ("language model ptb-lstm-256", "ptb-lstm-256", "hidden"),
    ):
        whitened = {"state_kind": state, "normalization": "whitened", "group": "all"}
        spectra = artifacts.load(name, "spectra").sel(whitened)
        memory = spectra["memory"].values[:21]
        one = found.sel(experiment=label)
        np.testing.assert_allclose(one["ratio"], memory / memory[0], rtol=1e-5)
        rank = spectra["effective_rank"].values[:21]
        np.testing.assert_allclose(ranks.sel(experiment=label), rank)
        band = artifacts.load(name, "intervals").sel(
            whitened | {"quantity": "memory", "delay": 7}
        )
        assert float(one["upper"][7]) == pytest.approx(
            float(band["upper"]) / memory[0], rel=1e-5
        )
    set_theme()
    lines = {
        line.get_label(): line.get_ydata()
        for line in tasks.plot_relative(found).get_lines()
    }
    assert any(
        np.array_equal(drawn_line, found["ratio"].sel(experiment=MODEL))
        for drawn_line in lines.values()
    )
    ax = tasks.plot_effective_ranks(ranks)
    assert any(
        np.array_equal(line.get_ydata(), ranks.sel(experiment=MODEL))
        for line in ax.get_lines()
    )


def test_a_network_with_shorter_delays_ends_early(monkeypatch):
    interval = tasks.average_memory.interval_of

    def cut(name, state):
        found = interval(name, state)
        return found.isel(delay=slice(6)) if name == "ptb-lstm-256" else found

    monkeypatch.setattr(tasks.average_memory, "interval_of", cut)
    found = tasks.relative(tasks.members("ptb-lstm-256", "cell"))
    short = found["ratio"].sel(experiment="language model ptb-lstm-256")
    assert short.notnull().values.tolist() == [True] * 6 + [False] * 15
    assert found["ratio"].sel(experiment=MODEL).notnull().all()


def test_accuracy_is_held_against_the_commonest_class(monkeypatch):
    accuracy = dict(zip(tasks.TAGGERS.values(), (0.8, 0.7, 0.5, 0.45), strict=True))

    def training(name, kind):
        found = {"valid_accuracy": accuracy[name], "guess_accuracy": 0.2}
        return xr.Dataset(found | {"epochs_run": 3})

    monkeypatch.setattr(tasks, "has_run", lambda name, kind="spectra": True)
    monkeypatch.setattr(tasks.artifacts, "load", training)
    learnt = tasks.accuracies()
    np.testing.assert_allclose(learnt["share"], [1, 5 / 6, 0.5, 2.5 / 6])
    table = tasks.accuracies_table(learnt)
    assert table["right"].tolist() == ["80.0 %", "70.0 %", "50.0 %", "45.0 %"]
    assert table["does its task"].tolist()[-1] == "no"
    assert table["epochs"].tolist() == ["3"] * 4


def test_the_numbers_of_the_prose_are_those_of_the_classes():
    numbers = tasks.numbers()
    assert numbers["n-classes"] == 13 and numbers["directions"] == 12
    # more than the 128 units that hold them
    assert numbers["most-directions"] == 12 * 11 == 132
    for name in tasks.TAGGERS.values():
        assert settings.load_experiment(name).model.units == 128


# ------------------------------------------------------------------ the stage


PARAMS = """
baseline:
  corpus: {name: brown, vocabulary_size: 20}
  model: {units: 8, embedding_size: 4, dropout: 0, initial_range: 0.5}
  training: {batch_size: 2, num_steps: 10, max_epochs: 6, learning_rate: 0.5,
             tags_back: 1}
  gradients: {max_delay: 3, blocks: null}
experiments:
  tagger: {}
  words: {training: {tags_back: null}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "params.yaml").write_text(PARAMS)
    path = tmp_path / "corpora" / "tagged" / "brown.zip"
    path.parent.mkdir(parents=True)
    line = "the/at {}/nn-tl runs/vbz fast/rb ./.\n"
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(80):
            name = f"c{'abcdefgh'[number // 10]}{number % 10:02d}"
            words = ("dog", "cat", "jury")[number % 3]
            archive.writestr(f"brown/{name}", line.format(words) * (1 + number % 2))
    hashes = {"brown.zip": f"documents:{tagged.digest(path, 'brown')}"}
    source = dataclasses.replace(corpora.REGISTRY["brown"], hashes=hashes)
    monkeypatch.setitem(corpora.REGISTRY, "brown", source)
    monkeypatch.setenv(corpora.FOLDER_VARIABLE, str(tmp_path / "corpora"))
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    return tmp_path


def test_a_taggers_stages_are_those_of_any_network_and_tell_its_accuracy(project):
    assert reproduction.reproduce("tagger") == ["train", "extract", "analyse"]
    training = artifacts.load("tagger", "training")
    # the class of the word before is known as soon as its word has been read
    assert training["valid_accuracy"] > 0.95 and training["test_accuracy"] > 0.95
    assert float(training["guess_accuracy"]) == pytest.approx(1 / 6, abs=0.05)
    assert training["valid_perplexity_final"] < 1.5
    assert artifacts.status(names=["tagger"])["state"].eq("fresh").all()
    # a recurrent kernel and a bias of four gates, a softmax of thirteen
    n_types = artifacts.load("tagger", "encoder").sizes["vocabulary"]
    assert training["n_parameters"] == n_types * 4 + 4 * 8 * (4 + 8 + 1) + 13 * (8 + 1)
    # who asks for another word back has other results, and is told so
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("tags_back: 1", "tags_back: 2"))
    why = artifacts.outdated("tagger")["train"]
    assert "training.tags_back: 1 -> 2" in str(why)


def test_a_language_model_has_no_accuracy(project):
    stages.run_train(settings.load_experiment("words"))
    training = artifacts.load("words", "training")
    assert not {"valid_accuracy", "guess_accuracy"} & set(training)


# -------------------------------------------------------------- the exercises


def test_half_of_what_was_read_is_held_up_to_the_delay_that_is_read_off(found):
    label = tasks.LABELS[5]
    target = TARGETS["K.1"](found, label, 5)
    assert target.right == 5 and target.fault(5) is None
    assert "fallen below" in target.fault(6)
    found["ratio"].loc[label, 4:] = 0.4
    target = TARGETS["K.1"](found, label, 5)
    assert target.right == 3 and "how far back" in target.fault(5)


def test_bits_of_all_words_that_will_be_asked_for():
    target = TARGETS["K.2"]()
    four_alike = np.array([5, 5, 5, 5])
    assert target.reference(four_alike, 10) == pytest.approx(22)
    for mistake in target.mistakes.values():
        assert target.fault(mistake) is not None
