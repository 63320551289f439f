"""The study of influence, and what its page makes of it."""

import keras
import numpy as np
import pandas as pd
import pytest
import xarray as xr

import state_gradients as sg
from state_gradients.analysis.influence import influence_curve
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.foundation import backends, settings
from state_gradients.models import language_model
from state_gradients.paper.book import influence as page
from state_gradients.paper.book import pages
from state_gradients.paper.language import influence
from state_gradients.project import artifacts

double = pytest.mark.skipif(
    not backends.supports("float64"), reason="on JAX, needs JAX_ENABLE_X64=1"
)


class Small:
    """As a Subject: a network of three types, and an experiment."""

    def __init__(self, cell, rng, **options):
        config = settings.Model(
            cell=cell, units=4, embedding_size=2, dropout=0.0, **options
        )
        self.experiment = settings.Experiment(name="small", model=config)
        self.predictor = language_model.build_language_model(config, 3, seed=1)
        for weight in self.predictor.weights:
            if weight.dtype == "float32":
                value = keras.ops.convert_to_numpy(weight)
                weight.assign(value + 0.7 * rng.normal(size=value.shape))


@double
@pytest.mark.parametrize("cell", ["lstm", "slstm", "s6"])
def test_the_quadratic_form_of_places_is_that_of_their_mean_influence(
    cell, rng, monkeypatch
):
    monkeypatch.setattr(influence, "SCALES", (1e-3, 1.0))
    options = {} if cell == "lstm" else {"recurrent_units": 5}
    subject = Small(cell, rng, **options)
    ids = rng.integers(2, size=60)  # the types 0 and 1: one step, back and forth
    delays = np.array([0, 1, 3])
    places = np.flatnonzero(ids[:56] == 0)[1:]
    kl, quadratic, length = influence.follow(
        subject, ids, places, np.ones(len(places), int), delays
    )
    assert kl.shape == (2, 3, len(places))
    assert np.all(kl >= 0)
    assert length.shape == quadratic.shape == (3, len(places))
    at_place = np.zeros((1, 60), bool)
    at_place[0, places] = True
    found = sg.mean_state_gradients(
        subject.predictor,
        ids,
        max_delay=3,
        positions=at_place,
        influence="exact",
        dtype="float64",
    ).isel(group=0)
    table = subject.predictor.layers[1].get_weights()[0].astype(float)
    step = table[1] - table[0]
    expected = step @ found["influence"].values[delays] @ step / 2
    # central differences of 1e-4: 1e-8 of the third derivative
    np.testing.assert_allclose(quadratic.mean(axis=1), expected, rtol=1e-6)
    np.testing.assert_allclose(kl[0].mean(axis=1), 1e-6 * expected, rtol=0.02)


def test_others_are_drawn_by_frequency_and_never_the_word_itself():
    ids = np.tile([0, 1, 2], 2_000)
    counts = np.array([10, 1, 1])
    places, others = influence._draw(ids, counts, 5, seed=0)
    assert len(places) == influence.N_PLACES
    assert places[0] == 1
    assert places[-1] == len(ids) - 6
    assert np.all(np.diff(places) > 0)
    assert np.all(others != ids[places])
    share = np.mean(others[ids[places] == 1] == 0)
    assert abs(share - 10 / 11) < 0.03


def test_what_rounding_leaves_of_a_change_is_not_told(rng):
    axes = ("scale", "step_delay")
    found = xr.Dataset(
        {
            "kl": (axes, [[1.0, 1e-13], [1.0, 1e-3]]),
            "ratio": (axes, np.ones((2, 2))),
            "order": (("predictor", *axes), np.ones((1, 2, 2))),
        }
    )
    told = influence.resolved(found)
    assert told["ratio"].isnull().values.tolist() == [[False, True], [False, False]]
    assert told["order"].dims == ("predictor", *axes)
    assert told["order"].isnull().sum() == 1
    assert told["kl"].notnull().all()


def test_quantities_are_those_of_the_eigenvalues(rng):
    table = rng.normal(size=(50, 3)) @ np.diag([1.0, 2.0, 0.5])
    whitening = fit_whitening(table)
    wanted = np.diag([4.0, 1.0, 0.0])
    inverse = np.linalg.inv(whitening.D)
    moment = xr.DataArray(
        (inverse.T @ wanted @ inverse)[None],
        dims=("delay", "embedding", "embedding_2"),
        coords={"delay": [0]},
    )
    found = influence_curve(moment, whitening).isel(delay=0)
    assert float(found["influence"]) == pytest.approx(4)
    assert float(found["mean_influence"]) == pytest.approx(5 / 3)
    entropy = -(0.8 * np.log(0.8) + 0.2 * np.log(0.2))
    assert float(found["influence_rank"]) == pytest.approx(np.exp(entropy))


def test_groups_are_classes_and_frequencies_and_none_is_empty():
    tagged = xr.DataArray(
        [[5, 0, 0, 0], [0, 3, 0, 0]],
        dims=("tag", "vocabulary"),
        coords={"tag": ["NN", "VB"]},
    )
    counts = xr.DataArray([5, 50, 5_000, 0], dims="vocabulary")

    class Tagged:
        tags = xr.Dataset({"n_tagged": tagged})
        encoder = xr.Dataset({"count": counts})

    names, members = influence.groups_of(Tagged)
    by_name = dict(zip(names, members.tolist(), strict=True))
    assert by_name == {
        "N": [True, False, False, False],
        "V": [False, True, False, False],
        "seen 0 to 9 times": [True, False, False, True],
        "seen 10 to 99 times": [False, True, False, False],
        "seen 1000 or more times": [False, False, True, False],
    }


@pytest.fixture(scope="module")
def one():
    return artifacts.load("grammar-lstm-64", "influence")


def test_the_tables_say_what_the_artifact_holds(one):
    table = page.linear_table(one)
    assert [*table.index] == one["step_delay"].values.tolist()
    at = one.sel(scale=1.0, step_delay=5)
    value, lower, upper = (float(at[f"ratio{end}"]) for end in ("", "_lower", "_upper"))
    assert table.loc[5, "whole: ratio"] == f"{value:.2f} [{lower:.2f}, {upper:.2f}]"
    groups = page.groups_table(one)
    assert [*groups.index] == [str(name) for name in one["group"].values]
    found = one["group_observed"].sel(quantity="influence", delay=1, group="N")
    assert groups.loc["N", "delay 1"].startswith(f"{float(found):.2g} [")
    without = one.drop_vars([name for name in one if name.startswith("group_")])
    assert page.groups_table(without).iloc[0, 0] == "(not run)"
    properties = page.properties_table("grammar-lstm-64", one)
    assert properties.index[-1] == "a random direction"
    moment = one["moment"].sel(kept_delay=1).values.astype(float)
    chance = np.trace(moment) / len(moment) / np.linalg.eigvalsh(moment)[-1]
    assert properties.loc["a random direction", "delay 1"] == f"{chance:.3f}"
    shares = properties.iloc[:-1].astype(float).values
    assert np.all((shares >= 0) & (shares <= 1))
    assert page.properties_table("ptb-lstm-128", one).iloc[0, 0] == "(not run)"


def test_the_largest_is_the_first_of_the_spectrum_and_its_direction_the_best(one):
    largest = one["observed"].sel(quantity="influence")
    np.testing.assert_allclose(largest, one["spectrum"].isel(component=0), rtol=1e-5)
    assert np.all(one["share_of_kept"].values <= 1 + 1e-5)
    assert np.all(one["alignment"].values <= 1 + 1e-5)
    assert np.all(np.diff(one["spectrum"].values, axis=1) <= 0)
    three = page.answers(one)
    np.testing.assert_allclose(three.isel(delay=0), 1)


def test_experiments_stand_side_by_side_where_both_have_run(one):
    found = {"a": one, "b": one.isel(delay=slice(0, 11))}
    curves = page.by_experiment(found, "influence")
    assert curves["observed"].dims == ("experiment", "delay")
    assert curves.sizes["delay"] == 11
    table = page.experiments_table(found)
    assert isinstance(table, pd.DataFrame)
    assert [*table.index] == ["a", "b"]
    ax = page.plot_by_experiment(curves, "nats")
    assert ax.get_yscale() == "log"
    assert pages.that_ran({"x": "wikitext-103-lstm-512"}, "influence") == {}


def test_prose_takes_its_numbers_from_the_artifact(one):
    said = page.numbers(one)
    whole = one["kl"].sel(scale=1.0)
    assert said["nats-0"] == f"{float(whole.sel(step_delay=0)):.2g}"
    assert said["nats-last"] == f"{float(whole.isel(step_delay=-1)):.2g}"
    ratio = one["ratio"].sel(scale=0.1).values
    assert said["small-ratio"] == f"{ratio.min():.2f} to {ratio.max():.2f}"
    assert said["kept-least"] == f"{one['share_of_kept'].values.min():.2f}"
    spectrum = one["spectrum"].transpose("delay", "component").values
    at_random = spectrum.mean(axis=1) / spectrum[:, 0]  # of eigenvalues that fall
    assert said["at-random"] == f"{at_random.max():.2f}"


def test_the_papers_sentences_are_asked_in_nats(one):
    found = page.trends("grammar-lstm-64", {"a": one})
    assert [*found.index] == sorted(page.TRENDS)
    assert found.loc["C194", "in nats"] == "not run"
    beside = page.trends("grammar-lstm-64", {"a": one, "untrained": one})
    assert beside.loc["C194", "in nats"] == "does not"  # as large as itself
    at = one["group_observed"].sel(quantity="influence", delay=0)
    classes = at.sel(group=["N", "V", "Adj", "Adv", "Pro", "Det", "Conj-P"])
    two = set(classes["group"].values[classes.argsort()[-2:]].tolist())
    expected = "holds" if two == {"N", "V"} else "does not"
    assert found.loc["C125", "in nats"] == expected
    without = one.drop_vars([name for name in one if name.startswith("group_")])
    bare = page.trends("grammar-lstm-64", {"a": without})
    assert bare.loc[["C125", "C195"], "in nats"].tolist() == ["not run"] * 2


def test_networks_are_held_against_the_first(one):
    twice = one.copy(deep=True)
    twice["observed"] = 2 * one["observed"]
    told = page.held_against({"a": one}, {"twice": twice, "same": one}, delay=5)
    assert told.startswith("at delay 5: twice 2 [")
    assert ", same 1 [" in told
    assert page.held_against({"a": one}, {}) == "(not run)"
    last = int(one["delay"][-1])
    told = page.held_against({"a": one}, {"b": one}, delay=99)
    assert told.startswith(f"at delay {last}:")
