"""Encoders that a training keeps, and the curves of memory epoch by epoch."""

import re

import h5py
import numpy as np
import pytest
import xarray as xr
from conftest import ROOT
from drawings import legend_names
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.analysis import properties as halved
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.foundation import settings
from state_gradients.models import checkpoints, training
from state_gradients.paper import stages
from state_gradients.paper.book import learning as page
from state_gradients.paper.exercises import TARGETS
from state_gradients.paper.grammar import gold
from state_gradients.paper.language import learning, properties, tags
from state_gradients.paper.language.subject import Subject
from state_gradients.project import artifacts
from state_gradients.text.grammar import truth

pytestmark = pytest.mark.usefixtures("closed_figures")
PARAMS = """
baseline:
  corpus: {name: grammar, vocabulary_size: null}
  model: {units: 5, embedding_size: 4, dropout: 0.0, initial_range: 0.3}
  training: {batch_size: 2, num_steps: 10, max_epochs: 3, learning_rate: 0.3}
  gradients: {max_delay: 3, blocks: null}
experiments:
  plain: {}
  first: {training: {max_epochs: 1}}
  kept: {language: {studies: [learning]}}
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Three trainings that differ in when they end and what they keep."""
    root = tmp_path_factory.mktemp("learning")
    (root / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_GRADIENTS_ROOT", str(root))
        sizes = {"train": 2_000, "valid": 3_000, "test": 200}
        patch.setattr(truth, "SIZES", sizes)
        for name, keep in (("plain", None), ("first", None), ("kept", (1, 2))):
            experiment = settings.load_experiment(name)
            stages.run_train(experiment, progress=False, keep=keep)
        stages.run_extract(settings.load_experiment("first"))
        stages.run_analyse(settings.load_experiment("first"))
        stages.RUN["learning"](settings.load_experiment("kept"))
        yield root


def path_of(name):
    return checkpoints.checkpoint_path(settings.load_experiment(name))


def test_what_is_trained_does_not_depend_on_what_is_kept(project):
    for kind in ("encoder", "training"):
        one, other = (artifacts.load(name, kind) for name in ("plain", "kept"))
        xr.testing.assert_equal(
            *(x.drop_vars("seconds", errors="ignore") for x in (one, other))
        )
    values = [checkpoints.load_checkpoint(path_of(n))[0] for n in ("plain", "kept")]
    for one, other in zip(*values, strict=True):
        np.testing.assert_array_equal(one, other)
    assert checkpoints.kept_epochs(path_of("plain")) == []


def test_the_encoders_are_those_of_their_epochs(project):
    path = path_of("kept")
    assert checkpoints.kept_epochs(path) == [1, 2]
    values, squares, history = checkpoints.load_checkpoint(
        checkpoints.kept_path(path, 1)
    )
    assert squares == [] and len(history["seconds"]) == 1
    first = checkpoints.load_checkpoint(path_of("first"))[0]
    assert len(values) == len(first) - 2  # without the softmax
    for one, other in zip(values, first, strict=False):
        np.testing.assert_array_equal(one, other)


def test_a_hash_and_a_status_know_nothing_of_it(project):
    plain, kept = (settings.load_experiment(name) for name in ("plain", "kept"))
    assert path_of("plain").parent.name[-8:] == path_of("kept").parent.name[-8:]
    assert settings.hashed(plain.training) == settings.hashed(kept.training)
    states = artifacts.status(names=["kept"]).set_index("kind")["state"]
    assert states["learning"] == states["encoder"] == "fresh"


def test_the_first_epoch_has_the_memory_of_a_training_that_ended_there(project):
    found = artifacts.load("kept", "learning")
    assert found["epoch"].values.tolist() == [0, 1, 2, 3]
    whole = artifacts.load("first", "spectra").isel(group=0, drop=True)
    whole = whole.sel(normalization="whitened")
    for name in ("memory", "selectivity", "selectivity_5", "rms_memory"):
        np.testing.assert_allclose(  # float32
            found[name].sel(epoch=1), whole[name], rtol=1e-5
        )
    curves = artifacts.load("kept", "training")["valid_perplexity"]
    np.testing.assert_array_equal(found["valid_perplexity"][1:], curves)
    assert np.isnan(found["valid_perplexity"][0])
    assert int(found["n_tokens"]) == len(
        Subject(experiment=settings.load_experiment("kept")).ids
    )


def test_the_first_and_last_networks_are_the_untrained_and_the_trained(project):
    found = artifacts.load("kept", "learning")
    experiment = settings.load_experiment("kept")
    models = learning.kept_encoders(Subject(experiment=experiment))
    assert [*models] == [0, 1, 2, 3]
    table = np.asarray(models[0].get_layer("embedding").embeddings)
    rng = np.random.default_rng([experiment.training.seed, 0])
    expected = rng.uniform(-0.3, 0.3, table.shape).astype(np.float32)
    np.testing.assert_array_equal(table, expected)
    trained = artifacts.load("kept", "encoder")["embedding"]
    np.testing.assert_array_equal(models[3].get_layer("embedding").embeddings, trained)
    seen = gold.read_tags(experiment.corpus)
    for epoch, model in models.items():
        table = np.asarray(model.get_layer("embedding").embeddings, float)
        white = fit_whitening(table)
        halves = properties.halves_of(seen, "present - past")
        step = halved.step_between((table - white.mean) @ white.Z.T, halves)
        at = found.sel(epoch=epoch, property="present - past")
        assert float(at["step_length"]) == pytest.approx(np.linalg.norm(step), rel=1e-5)
    np.testing.assert_allclose(found["order"].sel(epoch=3), 1, rtol=1e-6)
    assert (np.abs(found["order"]) <= 1.000001).all()


def test_by_chance_a_step_is_as_long_as_between_halves_drawn_at_random(project, rng):
    """Of white types, whose mean square length is the size of the embedding."""
    found = artifacts.load("kept", "learning")
    experiment = settings.load_experiment("kept")
    table = artifacts.load("kept", "encoder")["embedding"].values.astype(float)
    white = fit_whitening(table)
    rows = (table - white.mean) @ white.Z.T
    halves = properties.halves_of(gold.read_tags(experiment.corpus), "3rd - non-3rd")
    squares = []
    for _ in range(2_000):
        mixed = rows[rng.permutation(len(rows))]
        squares.append((halved.step_between(mixed, halves) ** 2).sum())
    expected = np.sqrt(np.mean(squares))
    measured = float(found["step_by_chance"].sel(property="3rd - non-3rd"))
    # drawn without putting back: less by the share of the types that the halves hold
    assert measured == pytest.approx(expected, rel=0.05)


def test_relative_memory_is_beside_what_chance_makes_of_it(project):
    found = artifacts.load("kept", "learning")
    assert (
        (found["relative_memory"] > 0) & (found["relative_memory"] <= 1.00001)
    ).all()
    size = 4
    assert (found["chance"] > 1 / np.sqrt(size) - 1e-6).all()
    assert (found["chance"] <= 1.00001).all()


def test_epochs_that_have_gone_by_are_refused(project):
    experiment = settings.load_experiment("plain")
    with pytest.raises(
        ValueError, match=r"received \[2\], and the checkpoint .* epoch 3"
    ):
        training.train(experiment, progress=False, keep=(2, 9))
    with pytest.raises(ValueError, match="keep"):
        training.train(experiment, progress=False, keep=(0,))
    training.train(experiment, progress=False, keep=(9,))
    assert checkpoints.kept_epochs(path_of("plain")) == []


def test_the_study_asks_for_encoders_and_refuses_those_of_another_training(project):
    subject = Subject(experiment=settings.load_experiment("plain"))
    said = r"state-gradients train plain --restart --keep-encoders 1,2`"
    with pytest.raises(ValueError, match=said):
        learning.study(subject)
    path = checkpoints.kept_path(path_of("kept"), 2)
    values, squares, history = checkpoints.load_checkpoint(path)
    whole = path.read_bytes()
    history["valid_perplexity"][0] *= 1.001
    checkpoints.save_checkpoint(path, values, squares, history)
    try:
        with pytest.raises(ValueError, match="must be of the training whose curves"):
            learning.study(Subject(experiment=settings.load_experiment("kept")))
        with h5py.File(path, "r+") as file:
            file["values/0"][0, 0] += 1
        with pytest.raises(ValueError, match="hash"):
            learning.study(Subject(experiment=settings.load_experiment("kept")))
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("epochs", ["", "1,", "0", "two", "1;2", "-1"])
def test_epochs_that_are_none_are_refused(project, epochs):
    done = CliRunner().invoke(cli.app, ["train", "plain", f"--keep-encoders={epochs}"])
    assert done.exit_code == 1
    assert "whole numbers from 1 with commas" in done.stderr


def test_the_command_keeps_what_it_is_asked_to(project, monkeypatch):
    asked = {}
    monkeypatch.setitem(stages.RUN, "train", lambda _, **options: asked.update(options))
    done = CliRunner().invoke(
        cli.app, ["train", "plain", "--restart", "--keep-encoders", "4, 1,2,2"]
    )
    assert done.exit_code == 0, done.output
    assert asked == {"resume": False, "keep": (1, 2, 4)}


def test_an_experiment_that_asks_for_the_study_keeps_its_epochs(project, monkeypatch):
    asked = []
    monkeypatch.setattr(
        training, "train", lambda *_, keep, **options: asked.append(keep) or 1 / 0
    )
    for name in ("kept", "plain"):
        with pytest.raises(ZeroDivisionError):
            stages.run_train(settings.load_experiment(name))
    assert asked == [learning.EPOCHS, ()]


@pytest.fixture
def data():
    """Memory that is there after one epoch, far memory after three, steps between."""
    epochs, delays = np.array([0, 1, 2, 3, 4]), np.arange(13)
    when = np.where(delays < 5, 1, 3)  # the epoch at which a delay has its memory
    memory = np.where(epochs[:, None] >= when, 3.0, 1.0) / (1 + delays)
    curves = np.stack([memory * 0, memory], axis=1)  # hidden, cell
    axes = ("epoch", "state_kind", "delay")
    names = [*tags.PROPERTIES]
    steps = np.ones((5, len(names))) + np.array([0, 0, 6, 7, 7])[:, None]
    order = np.tile(np.array([0.1, 0.2, 0.3, 0.9, 1.0])[:, None], (1, len(names)))
    relative = np.broadcast_to(memory[:, None, None], (5, len(names), 2, 13)) / 3
    return xr.Dataset(
        {
            "memory": (axes, curves),
            "selectivity": (axes, curves / 5),
            "chance": (axes, np.full(curves.shape, 0.5)),
            "relative_memory": (("epoch", "property", *axes[1:]), relative),
            "step_length": (("epoch", "property"), steps),
            "step_by_chance": ("property", np.full(len(names), 2.0)),
            "order": (("epoch", "property"), order),
            "valid_perplexity": ("epoch", [np.nan, 20.0, 19.0, 18.0, 17.5]),
            "n_tokens": 30_000,
        },
        coords={"epoch": epochs, "delay": delays, "property": names},
    ).assign_coords(experiment="mine", state_kind=["hidden", "cell"])


def test_each_quantity_has_its_epoch(data):
    table = page.told_order(data).set_index("quantity")
    half = table["half way at epoch"]
    assert half["memory at 1"] == half["selectivity at 1"] == 1
    assert half["memory at 10"] == half["number at 10"] == half["degree at 10"] == 3
    assert half["order of words"] == 3
    assert half.tolist() == sorted(half)
    assert table.loc["memory at 1", "untrained"] == "0.5"
    assert table.loc["memory at 1", "trained"] == "1.5"
    shares = page.ways(data)
    np.testing.assert_allclose(shares.isel(epoch=0), 0, atol=1e-12)
    np.testing.assert_allclose(shares.isel(epoch=-1), 1)
    at = shares.sel(quantity="order of words").values
    np.testing.assert_allclose(at, np.array([0, 1, 2, 8, 9]) / 9)
    told = page.told_properties(data)
    assert (told["step, half way"] == 2).all()
    assert told["step / chance"][0] == "0.5 to 4"
    assert (told["memory at 10, half way"] == 3).all()


def test_figures_draw_the_epochs(data):
    upper, lower = page.plot_curves(data)
    names = ["untrained", "epoch 1", "epoch 2", "epoch 3", "epoch 4"]
    assert legend_names(upper) == names and lower.get_legend() is None
    for ax, name in ((upper, "memory"), (lower, "selectivity")):
        lines = [line for line in ax.lines if len(line.get_xdata())]
        for line, epoch in zip(lines, range(5), strict=True):
            expected = data[name].sel(epoch=epoch, state_kind="cell")
            np.testing.assert_array_equal(line.get_ydata(), expected)
    assert upper.get_yscale() == "log"
    assert page.chosen_epochs(range(9)) == [0, 1, 2, 6, 8]
    ax = page.plot_ways(data)
    assert legend_names(ax) == [*page.quantities(data)]


def test_the_numbers_and_the_exercises_are_of_the_data(data):
    texts = page.numbers(data)
    assert texts["epochs"] == "1, 2, 3" and texts["last"] == "4"
    assert texts["near_half"] == "1" and texts["far_half"] == "3"
    assert texts["near_share"] == "100%" and texts["order_share"] == "11%"
    assert texts["step_tense_first"] == "0.5" and texts["step_number_second"] == "3.5"
    assert texts["degree_second"] == f"{2 / 3 / 11:.3g}" and texts["second"] == "2"
    assert texts["perplexity_first"] == "20.0" and texts["n_tokens"] == "30,000"
    assert texts["steps_by_first"] == "0" and texts["n_properties"] == "8"
    target = TARGETS["M.1"](data, 10)
    assert target.fault(3) is None and "last epoch" in target.fault(4)
    assert TARGETS["M.2"]().fault(lambda v: 0) is not None


def test_a_network_that_was_not_run_has_dashes_and_no_figure(data, monkeypatch):
    made = {"mine": data.drop_vars("experiment")}
    monkeypatch.setattr(page, "has_run", lambda name, kind: name in made)
    monkeypatch.setattr(page.artifacts, "load", lambda name, kind: made[name])
    assert page.learnt("theirs") is None and page.missing("mine") is None
    assert "state-gradients reproduce theirs" in page.missing("theirs").data
    xr.testing.assert_identical(page.learnt("mine"), data)
    drawn = []
    assert page.drawn(drawn.append, data) is None and drawn == [data]
    assert "No figure yet" in page.drawn(drawn.append, None).data and len(drawn) == 1
    texts = page.numbers_or_dashes(data, "paper_")
    assert texts == {f"paper_{k}": text for k, text in page.numbers(data).items()}
    dashes = page.numbers_or_dashes(None, "paper_")
    assert {*dashes} <= {*texts} and {*dashes.values()} == {page.DASH}
    source = (ROOT / "notebooks" / "learning.md").read_text("utf-8")
    glued = set(re.findall(r"`(paper_\w+):s`", source))
    assert glued == {*dashes}  # whatever the page says of it


def test_the_kept_network_learnt_as_the_page_says(root):
    """The prose that no number is glued into."""
    data = artifacts.load("grammar-lstm-64", "learning", root=root)
    curves = artifacts.load("grammar-lstm-64", "training", root=root)
    assert data["epoch"].values.tolist() == [0, *curves["epoch"].values]
    first = page.ways(data).isel(epoch=1)
    for name in ("memory at 1", "selectivity at 1"):  # too much at first
        assert float(first.sel(quantity=name)) > 1.1
    far = page.ways(data).sel(quantity="memory at 10")
    assert float(far[1]) < 0.75 and (np.diff(far.values[2:]) > 0).all()
    told = page.told_properties(data).set_index("property")["step, half way"]
    late = {"present - past", "3rd - non-3rd", "present - past participle"}
    assert {name for name, epoch in told.items() if epoch == 2} == late
    followed = page.quantities(data)
    assert float(followed["number at 10"][1]) > 1.5  # number at once ...
    degree = followed["degree at 10"].values
    assert degree[1] < 1 < degree[2] < degree[-1]  # ... degree later


@pytest.mark.parametrize(
    ("values", "epoch"),
    [([2, 2.2, 2.9, 3.0], 2), ([5, 4, 1.5, 1], 2), ([0, 9, 0, 9], 1)],
)
def test_half_of_the_change_is_counted_from_the_untrained_network(values, epoch):
    epochs = np.array([0, 1, 2, 4])
    curve = xr.DataArray(np.array(values, float), {"epoch": epochs}, "epoch")
    assert learning.half_way(curve) == epoch
