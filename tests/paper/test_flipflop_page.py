"""What the page on a network without words shows and says equals the artifacts."""

import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, legend_names

from state_gradients.paper.book import flipflop as page
from state_gradients.paper.exercises import TARGETS
from state_gradients.paper.flipflop import bounds, memory
from state_gradients.project import artifacts
from state_gradients.text import flipflop

pytestmark = pytest.mark.usefixtures("closed_figures")
CORNERS = [(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)]


@pytest.fixture
def data():
    """A cube: corners, the saddles of its edges, and curves that are known."""
    edges = [
        (a, b)
        for a in range(8)
        for b in range(a)
        if np.abs(np.subtract(CORNERS[a], CORNERS[b])).sum() == 2
    ]
    said = np.array(CORNERS + [np.add(CORNERS[a], CORNERS[b]) / 2 for a, b in edges])
    delay = np.arange(91)
    gradient = [np.full(91, 0.98) ** delay * (k + 1) for k in range(6)]
    turned = [np.where(delay < gap, 1.4, 0.07) for gap in flipflop.GAPS] + [
        0.01 * delay
    ]
    curve = ("group", "delay")
    bits = np.array([delay < gap for gap in flipflop.GAPS] + [delay < 0], float)
    time = np.arange(9)
    return xr.Dataset(
        {
            "rms_memory": (curve, np.array(gradient)),
            "memory": (curve, np.array(gradient) / 2),
            "said_memory": (curve, np.array(gradient) / 10),
            "turned": (curve, np.array(turned)),
            "bit_turned": (curve, bits),
            "n_samples": (("group", "channel"), np.arange(18).reshape(6, 3) + 5),
            "said": (("fixed_point", "channel"), said),
            "n_unstable": ("fixed_point", [0] * 8 + [1] * 12),
            "leads_to": (("fixed_point", "side"), [(-1, -1)] * 8 + edges),
            "n_ended": ("fixed_point", np.full(20, 3)),
            "eigenvalue_size": (
                ("fixed_point", "eigenvalue"),
                np.linspace(0.9, 0.99, 20)[:, None] * [1, 0.5],
            ),
            "n_starts": 70,
            "n_slow": 6,
            "n_beyond": 4,
            "shown_input": (
                ("time", "channel"),
                (time[:, None] % [3, 4, 5] == 1) * 1.0,
            ),
            "shown_said": (("time", "channel"), time[:, None] * [0.1, 0.2, 0.3]),
        },
        coords={"group": memory.GROUPS, "delay": delay},
    ).assign_coords(experiment="mine")


@pytest.fixture
def learnt():
    return xr.Dataset(
        {"loss": ("epoch", [0.5, 0.25]), "error": 0.01, "right": 0.995},
    )


def test_the_task_is_drawn_channel_by_channel(data):
    axes = page.plot_task(data)
    assert [ax.get_ylabel() for ax in axes] == ["channel 1", "channel 2", "channel 3"]
    for channel, ax in enumerate(axes):
        (line,) = ax.lines
        np.testing.assert_array_equal(line.get_ydata(), data["shown_said"][:, channel])
        stems = np.array(ax.collections[0].get_segments())[:, 1]
        steps = np.flatnonzero(data["shown_input"][:, channel])
        np.testing.assert_array_equal(stems, np.stack([steps, np.ones(len(steps))], 1))
    assert page.drawn_task(data)["channel"].values.tolist() == [1, 2, 3]


def test_both_views_are_drawn(data):
    upper, lower = page.plot_views(data)
    names = [f"next after {gap}" for gap in flipflop.GAPS] + ["no pulse"]
    assert legend_names(upper) == names
    assert lower.get_legend() is None
    for ax, view in ((upper, "rms_memory"), (lower, "turned")):
        drawn = [line for line in ax.lines if len(line.get_xdata()) == 91]
        assert len(drawn) == 6
        for line, group in zip(drawn, memory.GROUPS, strict=True):
            np.testing.assert_array_equal(line.get_ydata(), data[view].sel(group=group))
    assert_drawn(upper, names[2], data["delay"], data["rms_memory"][2])
    assert upper.get_legend().get_title().get_text() == "mine"


def test_fixed_points_stand_where_they_are_said_to_be(data):
    ax = page.plot_fixed_points(data)
    by_name = {line.get_label(): line for line in ax.lines}
    corners = np.array(CORNERS, float)
    expected = corners[:, :2] + corners[:, 2:] * [0.45, 0.3]
    found = np.transpose(by_name["stable"].get_data())
    np.testing.assert_allclose(found, expected)
    assert len(by_name["saddle"].get_xdata()) == 12
    ways = [line for line in ax.lines if line.get_label().startswith("_")]
    assert len(ways) == 24
    ends = {tuple(np.round(line.get_xydata()[1], 9)) for line in ways}
    assert ends == {tuple(np.round(row, 9)) for row in expected}
    table = page.drawn_points(data)
    assert table["unstable directions"].tolist() == [0] * 8 + [1] * 12
    assert (table.loc[table["unstable directions"] == 0, "leads to"] == -1).all()


def test_tables_and_numbers_are_those_of_the_data(data, learnt):
    stable = page.told_stable(data)
    assert len(stable) == 8
    assert stable["bits"][1] == "- - +"
    life = -np.log(2) / np.log(np.linspace(0.9, 0.99, 20)[1])
    assert stable["half-life (steps)"][1] == f"{life:,.0f}"
    counts = page.told_counts({"mine": data})
    assert counts.loc["mine"].tolist() == [8, 12, 0, 0, 70, 6, 4]
    assert page.joins_neighbours(data) == 12
    data["leads_to"][8] = [0, 7]  # opposite corners
    assert page.joins_neighbours(data) == 11
    assert page.rate(data) == pytest.approx(0.98)
    texts = page.numbers({"a": data, "b": data}, {"a": learnt})
    assert texts["rate"] == "0.980" and texts["n_runs"] == "2"
    assert texts["rate_half_life"] == "34"
    assert texts["right"] == "99.50%" and texts["epochs"] == "2"
    assert texts["gradient_held"] == f"{0.98**78:.2g} to {0.98**78:.2g}"
    assert texts["turned_erased"] == "0.05 to 0.05"
    assert texts["turned_ten_after"] == "0.05"
    assert texts["bit_held"] == "100%" and texts["bit_gone"] == "0%"
    assert texts["n_samples"] == "5 to 22"
    assert texts["said_40"] == f"{0.5 * 0.98**40:.2g}"


@pytest.mark.parametrize("name", ["", "-seed1", "-seed3"])
def test_the_kept_networks_are_what_the_page_says(name, root):
    """The prose that no number is glued into: verdicts, and the cube of points."""
    data = artifacts.load(f"flip-flop-gru-32{name}", "flipflop", root=root)
    verdicts = {
        (view, bound): bounds.holds(bound, ratio)
        for view in bounds.VIEWS
        for bound, ratio in bounds.ratios(data, view).items()
    }
    assert verdicts == {
        ("rms_memory", "held"): False,
        ("rms_memory", "erased"): False,
        ("rms_memory", "nothing else"): True,
        ("turned", "held"): True,
        ("turned", "erased"): False,
        ("turned", "nothing else"): True,
    }
    assert np.bincount(data["n_unstable"]).tolist() == [8, 12, 6, 1]
    assert bounds.has_eight_memories(data)
    assert bounds.memories(data)[1] > bounds.SAID


def test_what_is_told_to_wrong_answers(data):
    target = TARGETS["B.1"](data)
    assert target.fault(3) is None
    assert "other" in target.fault(7) and "in all" in target.fault(12)
    truth = TARGETS["B.2"]()
    assert "adds the pulses up" in truth.fault(lambda x: np.cumsum(x, axis=0))
