"""What the grammar's page shows of networks, against loops over the kept artifacts."""

import numpy as np
import pytest
import xarray as xr
from conftest import ROOT

from state_gradients.paper.book import grammar_networks as of
from state_gradients.project import artifacts

pytestmark = pytest.mark.usefixtures("closed_figures")
RUNS = ["grammar-lstm-64", "grammar-lstm-64-seed1", "grammar-lstm-64-seed3"]


@pytest.fixture(scope="module")
def families():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_GRADIENTS_ROOT", str(ROOT))
        return {
            of.AGREES: of.networks("grammar-lstm-64"),
            of.CONTROL: of.networks("grammar-control-lstm-64"),
        }


@pytest.fixture(scope="module")
def found():
    return [artifacts.load(run, "grammar", root=ROOT) for run in RUNS]


def drawn(ax):
    """The lines of an Axes that carry data, by their order."""
    return [line for line in ax.lines if len(line.get_xdata()) > 2]


def test_families_hold_all_seeds(families):
    assert [*families[of.AGREES]] == RUNS
    assert len(families[of.CONTROL]) == 3


def test_accuracy_is_counted_and_balanced(families, found):
    by = of.accuracy_by(families, "attractors")
    for k in range(4):
        shares = []
        for one in found:
            right, verbs = (
                one[name].sel(attractors=k).sum("words_between").values
                for name in ("verbs_right", "verbs")
            )
            shares.append((right / verbs).mean())
        measured = by.sel(line=of.AGREES, attractors=k)
        assert measured["mean"] == pytest.approx(np.mean(shares))
        assert measured["lower"] <= min(shares) <= max(shares) <= measured["upper"]
    table = of.accuracy_table(by)
    assert [*table.index] == ["0", "1", "2", "3 or more"]
    assert table[of.CONTROL].iloc[0].startswith("0.50")
    distance = of.accuracy_by(families, "words_between")
    [agrees, control] = drawn(of.plot_accuracy(distance))
    np.testing.assert_allclose(agrees.get_ydata(), distance["mean"].sel(line=of.AGREES))
    assert np.nanmax(control.get_ydata()) < 0.6


def test_swaps_stand_around_the_verb(families, found):
    around = of.swaps_around_the_verb(families)
    for offset in (-6, -1, 0, 4):
        each = [
            np.mean(
                [
                    one["change"].sel(swap="number", distance=d, delay=d + offset)
                    for d in (7, 8, 9, 10)
                ]
            )
            for one in found
        ]
        measured = around.sel(line=f"number, {of.AGREES}", offset=offset)
        assert measured["mean"] == pytest.approx(np.mean(each))
        assert measured["lower"] == pytest.approx(min(each))
        assert measured["upper"] == pytest.approx(max(each))
    lines = drawn(of.plot_swaps(around))
    np.testing.assert_allclose(lines[0].get_ydata(), around["mean"][0])


def test_held_by_distance_has_the_ends_of_all_seeds(families, found):
    held = of.held_by_distance(families)
    ends = np.array([one["held_by_distance"].sel(swap="number") for one in found])
    measured = held.sel(line=f"number, {of.AGREES}")
    np.testing.assert_allclose(measured["mean"], ends[:, :, 0].mean(axis=0))
    np.testing.assert_allclose(measured["lower"], ends[:, :, 1].min(axis=0))
    np.testing.assert_allclose(measured["upper"], ends[:, :, 2].max(axis=0))
    assert len(drawn(of.plot_held(held))) == 4


def test_gradients_are_shown_by_seed(families, found):
    data = of.gradients_around_the_verb(families)
    assert [*data["line"].values] == [
        *(f"{of.AGREES}, seed {k}" for k in (2, 1, 3)),
        f"{of.CONTROL}, mean of 3 seeds",
    ]
    for row, one in zip(data["over_chance"], found, strict=False):
        expected = [
            one["relative_memory"].sel(distance=d, delay=d - 1)
            / one["chance"].sel(distance=d, delay=d - 1)
            for d in (7, 8, 9, 10)
        ]
        assert row.sel(offset=-1) == pytest.approx(np.mean(expected))
    above, below = of.plot_gradients(data)
    assert len(drawn(above)) == 4
    assert below.get_yscale() == "log"
    np.testing.assert_allclose(drawn(below)[1].get_ydata(), data["response"][1])


def test_steps_are_shares_of_a_whole_swap(families, found):
    data = of.steps(families)
    change = np.array(
        [
            one["step_change"].sel(swap="number", reading="before the verb")
            for one in found
        ]
    )
    shares = change / change[:, -1:]
    measured = data.sel(line=f"number, {of.AGREES}")
    np.testing.assert_allclose(measured["mean"], shares.mean(axis=0))
    np.testing.assert_allclose(measured["lower"], shares.min(axis=0))
    assert (data["mean"].sel(scale=1) == 1).all()
    assert len(drawn(of.plot_steps(data))) == 3


def test_bounds_say_in_how_many_seeds_they_hold(families, found):
    table = of.bounds_table(families).set_index("measured")
    held = table.loc["change by a swap of number: before the verb over the next word"]
    ends = np.array([one["held"].sel(swap="number") for one in found])
    assert held[of.AGREES] == (
        f"● {ends[:, 0].mean():.3g} ({ends[:, 1].min():.3g} to "
        f"{ends[:, 2].max():.3g}), 3 of 3 seeds"
    )
    m = table.loc["relative memory before the verb over that of a random direction"]
    assert m[of.AGREES].startswith("▲ ") and m[of.AGREES].endswith("2 of 3 seeds")
    assert m[of.CONTROL].startswith("● ")
    left = [name for name in table.index if name.startswith("the same change")]
    assert table.loc[left[0], of.CONTROL] == "\N{EN DASH}"


def test_needs_stand_beside_memory_over_chance(families, found):
    table = of.needs_table({"a": families[of.AGREES]}, [0, 8]).set_index("property")
    name = "genitive - non-genitive"
    m = [
        [
            float(one["property_memory"].sel(property=name, delay=delay))
            / float(one["property_chance"].sel(property=name, delay=delay))
            for delay in (0, 8)
        ]
        for one in found
    ]
    expected = " / ".join(f"{x:.2f}" for x in np.mean(m, axis=0))
    assert table.loc[name, "a"] == expected
    assert table.loc["3rd - non-3rd", "needed for"] == "\N{EN DASH}"


def test_perplexities_stand_beside_the_lowest(families):
    table = of.perplexities({"grammar": families[of.AGREES]})
    tests = [float(t["test_perplexity"]) for _, t in families[of.AGREES].values()]
    [said] = table["test perplexity"]
    assert said == f"{np.mean(tests):.2f} ({min(tests):.2f} to {max(tests):.2f})"
    assert table["lowest"].tolist() == ["15.57"]


def test_degrees_are_counted_over_seeds(families, found):
    right = sum(int(one["degrees_right"].sum()) for one in found)
    n = sum(int(one["degrees"].sum()) for one in found)
    assert 0 < right <= n
    assert of.degrees_right(families[of.AGREES]) == f"{right} of {n}"


def test_what_the_prose_says_is_of_the_seeds(families, found):
    said = of.said(families)
    seen = [float(one["seen"].sel(swap="number", end="estimate")) for one in found]
    assert said["seen"] == f"{100 * np.mean(seen):.0f} %"
    for k, one in enumerate(found):
        shares = sorted(one["share_of_unit"].values, reverse=True)
        n = next(n for n in range(65) if sum(shares[:n]) >= 0.9)
        assert said["carriers"].replace(" and", ",").split(", ")[k] == str(n)
        assert f"{100 * shares[0]:.0f} %" in said["share-first"]
    assert isinstance(
        of.over_seeds(families[of.AGREES], lambda x: x["seen"]), xr.Dataset
    )
