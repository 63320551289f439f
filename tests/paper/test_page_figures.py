"""What the figures of single pages draw equals the data."""

import ast
import re
from pathlib import Path

import jupytext
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, drawn_lines, legend_names
from IPython.display import Markdown
from matplotlib.colors import to_rgb

from state_gradients.analysis import spectra
from state_gradients.paper.book import figures as page_figures

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.md"))
pytestmark = pytest.mark.usefixtures("closed_figures")


def test_embedding_variance_is_ranked_from_one(rng):
    data = xr.DataArray(rng.random(5), dims="axis")
    [line] = drawn_lines(page_figures.plot_embedding_variance(data))
    np.testing.assert_array_equal(line.get_data(), [np.arange(1, 6), data])


@pytest.mark.parametrize(
    ("plot", "dim"),
    [
        (page_figures.plot_whitening, "component"),
        (page_figures.plot_linearization, "step"),
    ],
)
def test_spaces_and_errors_are_the_data(rng, plot, dim):
    data = xr.DataArray(
        rng.random((2, 4)), {"line": ["a", "b"], dim: [1, 2, 5, 9]}, ("line", dim)
    )
    assert_drawn(plot(data), "b", [1, 2, 5, 9], data[1])


def test_ways_of_table_1_stand_about_the_ring_of_the_published():
    values = {
        "mean": [[50.0, 20.0], [48.0, 30.0], [51.0, 31.0]],
        "lower": [[50.0, 20.0], [47.0, 25.0], [51.0, 31.0]],
        "upper": [[50.0, 20.0], [52.0, 32.0], [51.0, 31.0]],
    }
    names = {"way": ["published", "b", "a"], "row": ["first", "second"]}
    data = xr.Dataset({k: (("way", "row"), v) for k, v in values.items()}, names)
    ax = page_figures.plot_table_1(data)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["first", "second"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is the highest
    assert legend_names(ax) == ["published", "b", "a"]
    marks = {c.get_label(): c for c in ax.containers}
    np.testing.assert_array_equal(
        marks["published"].lines[0].get_data(), [[50, 20], [0, 1]]
    )
    assert marks["published"].lines[0].get_fillstyle() == "none"
    x, y = marks["b"].lines[0].get_data()
    np.testing.assert_array_equal(x, [48, 30])
    assert (np.abs(y - [0, 1]) < 0.5).all() and (
        y != marks["a"].lines[0].get_ydata()
    ).all()
    [segment, other] = marks["b"].lines[2][0].get_segments()
    np.testing.assert_allclose([segment[:, 0], other[:, 0]], [[47, 52], [25, 32]])


def test_properties_have_a_mark_for_each_control_on_their_rung():
    names = {"control": ["one", "two"], "property": ["first", "second"]}
    data = xr.DataArray([[50.0, 3.0], [0.0, np.nan]], names)
    ax = page_figures.plot_above_chance(data)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["first", "second"]
    assert legend_names(ax) == ["one", "two"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first row is the highest
    for number, line in enumerate(ax.lines):
        x, y = line.get_data()
        np.testing.assert_array_equal(x, data[number])
        assert (np.abs(y - [0, 1]) < 0.5).all()


def test_ladder_marks_stand_on_their_rungs():
    data = xr.Dataset(
        {
            "perplexity": ("rung", [1.2, 1.1, 1.12]),
            "error": ("rung", [0.0, 0.0, 0.01]),
            "kind": ("rung", ["derived", "derived", "simulated"]),
        },
        coords={"rung": ["worse", "best", "best"]},
    )
    ax = page_figures.plot_perplexity_ladder(data)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["best", "worse"]
    marks = {c.get_label(): c for c in ax.containers}
    np.testing.assert_array_equal(
        marks["derived"].lines[0].get_data(), [[1.2, 1.1], [1, 0]]
    )
    segment = marks["simulated"].lines[2][0].get_segments()[0]
    np.testing.assert_allclose(segment, [[1.11, 0], [1.13, 0]], rtol=1e-15)


def test_concept_draws_steps_and_singular_vectors():
    gradient = np.array([[0.6, 0.2], [-0.1, 0.5]])
    angle = np.linspace(0, 2 * np.pi, 9)
    step = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    svd = spectra.decompose(gradient)
    data = svd.assign(
        step=(("angle", "embedding"), step),
        first_order=(("angle", "state"), step @ gradient.T),
        change=(("angle", "state"), 0.9 * step @ gradient.T),
        property=(("name", "embedding"), [[0.5, 0.5]]),
        image=(("name", "state"), [gradient @ [0.5, 0.5]]),
        name=["P"],
    )
    ax = page_figures.plot_concept(data)
    circle, ellipse, dots = (line.get_xydata() for line in ax.get_lines())
    np.testing.assert_array_equal(circle, step)
    gap = ellipse[0, 0] - gradient[0, 0]  # where the state space has its origin
    np.testing.assert_allclose(ellipse - [gap, 0], step @ gradient.T, atol=1e-12)
    np.testing.assert_allclose(dots - [gap, 0], 0.9 * step @ gradient.T, atol=1e-12)
    tips = [text.xy for text in ax.texts if hasattr(text, "xy") and not text.get_text()]
    sigma_u = svd["u"].values * svd["s"].values + [[gap], [0]]
    expected = [svd["vt"][0], sigma_u[:, 0], svd["vt"][1], sigma_u[:, 1]]
    expected += [[0.5, 0.5], gradient @ [0.5, 0.5] + [gap, 0]]
    np.testing.assert_allclose(tips[:6], expected, atol=1e-12)


def test_a_plain_array_is_refused():
    with pytest.raises(ValueError, match="must be a DataArray"):
        page_figures.plot_whitening(np.ones((2, 3)))


def test_speed_is_a_mark_for_each_way_and_machine():
    ways, machines = ["floor", "engine", "other"], ["small", "large"]
    values = np.array([[4.0, 5.0, 100.0], [1.0, 1.5, np.nan]])
    coords = {"machine": machines, "way": ways}
    ax = page_figures.plot_speed(xr.DataArray(values.T, coords, ("way", "machine")))
    assert ax.get_xscale() == "log"
    rungs = [label.get_text() for label in ax.get_yticklabels()]
    assert rungs == ways and ax.yaxis_inverted()
    [marks] = ax.collections
    expected = [[t, rung] for times in values for rung, t in enumerate(times)]
    known = [point for point in expected if not np.isnan(point[0])]
    np.testing.assert_array_equal(sorted(marks.get_offsets().tolist()), sorted(known))
    assert legend_names(ax) == machines
    small, large = ax.get_legend().legend_handles
    assert small.get_marker() != large.get_marker()
    for point, colour in zip(marks.get_offsets(), marks.get_facecolors(), strict=True):
        machine = small if point[0] in values[0] else large
        np.testing.assert_array_equal(colour[:3], to_rgb(machine.get_color()))


def test_one_machine_is_the_title():
    data = xr.DataArray([[4.0, 5.0]], {"machine": ["one"], "way": ["a", "b"]})
    data = data if data.dims == ("machine", "way") else data.transpose("machine", "way")
    ax = page_figures.plot_speed(data)
    assert ax.get_title(loc="left") == "one" and ax.get_legend() is None


@pytest.fixture
def two():
    curves = xr.DataArray([[1.0, 0.5], [1.0, 0.2]], dims=("experiment", "delay"))
    curves = curves.assign_coords(experiment=["a", "b"])
    return xr.Dataset(dict.fromkeys(["memory", "selectivity", "selectivity_5"], curves))


def test_a_comparison_draws_both_panels(two):
    assert page_figures.compare(two, title="a title") is None
    upper, lower = plt.gcf().axes
    assert_drawn(upper, "b", [0, 1], [1.0, 0.2])
    assert len(drawn_lines(lower)) == 4
    assert upper.get_title(loc="left") == "a title"


def test_fewer_than_two_are_no_figure(two):
    for data in (None, {}, two.isel(experiment=[0])):
        assert isinstance(page_figures.compare(data), Markdown)
    assert plt.get_fignums() == []


def imports_of(page):
    """Return what each name stands for that a page imports from this package."""
    found = {}
    for cell in page.cells:
        lines = [x for x in cell.source.splitlines() if x.startswith("from state_")]
        for node in (
            ast.parse("\n".join(lines)).body if cell.cell_type == "code" else ()
        ):
            for alias in node.names:
                found[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_under_each_figure_stands_what_drew_it(path):
    cells = [c for c in jupytext.read(path).cells if c.cell_type == "code"]
    lines = [c.source for c in cells if "made-by" in c.metadata.get("tags", [])]
    drawn = [c.metadata["mystnb"]["figure"]["name"] for c in cells if is_figure(c)]
    told = [re.search(r'made_by\(\s*"([\w-]+)",\s*([\w.]+),', x) for x in lines]
    assert [line[1] for line in told] == drawn
    code = "\n".join(c.source for c in cells if c.source not in lines)
    for line in told:
        assert f"{line[2]}(" in code, f"{line[2]} draws {line[1]}, but is not called"


def is_figure(cell):
    return "figure" in cell.metadata.get("mystnb", {})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_pages_that_draw_set_the_theme(path):
    code = path.read_text()
    if re.search(r"\bplot_\w+\(", code):
        assert code.count("figures.set_theme()") == 1
        assert (
            code.index("figures.set_theme()") < re.search(r"plot_\w+\(", code).start()
        )
