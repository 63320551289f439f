"""What the figures of the synthetic study draw equals the data."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, band_ends, drawn_lines, legend_names, lines_like
from matplotlib.colors import to_rgb

from state_gradients.paper.synthetic import figures as drawn

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.fixture
def plane(rng):
    labels = [*map(str, range(16)), "EOS"]
    count = rng.integers(17, size=60)
    means = np.stack([np.cos(np.arange(17) / 3), np.sin(np.arange(17) / 3)], axis=1)
    return xr.Dataset(
        {
            "plane_states": (("sample", "axis"), rng.normal(size=(60, 2))),
            "plane_count": ("sample", count),
            "plane_means": (("label", "axis"), means),
        },
        {"label": labels, "experiment": "mine"},
    )


def luminance(colours):
    return np.asarray(colours)[:, :3] @ [0.2126, 0.7152, 0.0722]


def test_the_plane_has_a_dot_a_state_and_a_name_at_each_mean(plane):
    ax = drawn.plot_counting_plane(plane)
    [dots] = ax.collections
    np.testing.assert_array_equal(dots.get_offsets(), plane["plane_states"])
    # one colour for each count, lighter from count to count, and never pale
    by_count = luminance(dots.get_facecolors())
    order = np.argsort(plane["plane_count"].values, kind="stable")
    assert (np.diff(by_count[order]) >= 0).all()
    n_counts = len(np.unique(plane["plane_count"]))
    assert len(np.unique(dots.get_facecolors(), axis=0)) == n_counts
    assert by_count.max() < 0.6
    [line] = ax.get_lines()  # it follows the count; the end of line is none
    np.testing.assert_array_equal(line.get_xydata(), plane["plane_means"][:-1])
    names = {text.get_text(): text.xy for text in ax.texts}
    assert list(names) == list(plane["label"].values)
    np.testing.assert_array_equal(list(names.values()), plane["plane_means"])
    assert ax.get_title(loc="left") == "mine"


@pytest.fixture
def sums(rng):
    dims = ("run", "group", "subspace", "delay")
    names = {"group": ["all", "new"], "subspace": ["counting", "identity"]}
    values = rng.random((3, 2, 2, 6)) + 0.1
    return xr.DataArray(values, names | {"delay": range(6)}, dims)


def test_sums_are_drawn_by_group_and_subspace_with_their_range(sums):
    mean = sums.mean("run")
    band = xr.Dataset({"lower": sums.min("run"), "upper": sums.max("run")})
    ax = drawn.plot_singular_sums(mean, interval=band)
    pairs = [(g, s) for g in ("all", "new") for s in ("counting", "identity")]
    assert legend_names(ax) == [f"{group}, {space}" for group, space in pairs]
    for number, (group, space) in enumerate(pairs):
        chosen = {"group": group, "subspace": space}
        assert_drawn(ax, f"{group}, {space}", range(6), mean.sel(chosen))
        x, lower, upper = band_ends(ax, number)
        np.testing.assert_array_equal(x, range(6))
        np.testing.assert_array_equal(lower, band["lower"].sel(chosen))
        np.testing.assert_array_equal(upper, band["upper"].sel(chosen))
        [line] = lines_like(ax, f"{group}, {space}")
        colour = ax.collections[number].get_facecolor()[0, :3]
        np.testing.assert_array_equal(colour, to_rgb(line.get_color()))
    assert ax.get_yscale() == "log"


def test_sums_without_subspaces_are_lines_of_their_groups(sums):
    whole = sums.isel(run=0, subspace=0, drop=True)
    ax = drawn.plot_singular_sums(whole.transpose("delay", "group"))
    assert_drawn(ax, "new", range(6), whole.sel(group="new"))
    assert len(ax.collections) == 0


def test_several_runs_are_not_averaged_by_the_drawing(sums):
    with pytest.raises(ValueError, match="select one entry of every other dimension"):
        drawn.plot_singular_sums(sums.isel(subspace=0, drop=True))


def test_accuracies_are_drawn_with_their_chances():
    names = {"representation": ["cell", "hidden"], "delay": [0, 1, 2]}
    accuracy = xr.DataArray([[1.0, 0.5, 0.2], [0.9, 0.3, 0.1]], names)
    ax = drawn.plot_delay_accuracy(accuracy)
    for name in ("cell", "hidden"):
        assert_drawn(ax, name, [0, 1, 2], accuracy.sel(representation=name))
    assert {text.get_text(): text.xy[1] for text in ax.texts} == {
        "1/8": 1 / 8,
        "1/10": 0.1,
    }
    level = [line.get_ydata() for line in ax.get_lines() if line.get_linestyle() == ":"]
    assert [tuple(y) for y in level] == [(1 / 8, 1 / 8), (0.1, 0.1)]
    upright = [
        x[0] for x in (line.get_xdata() for line in ax.get_lines()) if len(x) == 2
    ]
    assert [x for x in upright if x > 1] == [16, 32, 48]


def test_figure_3_has_means_and_ranges_above_and_accuracies_below(sums, rng):
    names = {"representation": ["cell", "hidden"], "delay": range(6)}
    read = xr.DataArray(rng.random((3, 2, 6)), names, ("run", *names))
    above, below = drawn.plot_figure_3(sums.assign_attrs(experiment="mine"), read)
    at = {"group": "new", "subspace": "identity"}
    assert_drawn(above, "new, identity", range(6), sums.sel(at).mean("run"))
    _, lower, upper = band_ends(above, 3)
    np.testing.assert_array_equal(lower, sums.sel(at).min("run"))
    np.testing.assert_array_equal(upper, sums.sel(at).max("run"))
    hidden = read.sel(representation="hidden").mean("run")
    assert_drawn(below, "hidden", range(6), hidden)
    assert above.get_title(loc="left") == "mine"


def test_a_reader_that_has_nothing_to_read_goes_on_behind():
    names = {"reader": ["LDA", "with the copy"], "delay": range(5)}
    values = [[1.0, 0.8, 0.6, 0.4, 0.2], [1.0, np.nan, np.nan, 0.9, 0.7]]
    accuracy = xr.DataArray(values, names)
    ax = drawn.plot_delay_accuracy(accuracy, y="named")
    for name in names["reader"]:
        assert_drawn(ax, name, range(5), accuracy.sel(reader=name))
    assert ax.get_ylabel() == "named"


def test_rows_are_drawn_by_where_a_stretch_begins():
    names = {"setting": ["plain", "dropped"], "token": [0, 250, 500]}
    values = xr.DataArray([[1.0, 2.0, 3.0], [9.0, 5.0, 1.0]], names)
    ax = drawn.plot_along_rows(values, y="perplexity", yscale="log")
    assert_drawn(ax, "dropped", [0, 250, 500], values.sel(setting="dropped"))
    assert (ax.get_ylabel(), ax.get_yscale()) == ("perplexity", "log")


def test_mistakes_of_the_runs_stand_side_by_side_at_their_label():
    names = {"run": ["one", "two"], "label": ["0", "1", "EOS"]}
    shares = xr.DataArray([[0.9, 0.01, 0.7], [0.8, 0.0, 0.6]], names)
    ax = drawn.plot_mistakes(shares.transpose("label", "run"))
    [marks] = ax.collections
    at = {
        tuple(point): tuple(colour)
        for point, colour in zip(
            marks.get_offsets().tolist(), marks.get_facecolors(), strict=True
        )
    }
    for number, handle in enumerate(ax.get_legend().legend_handles):
        colour = to_rgb(handle.get_color())
        own = sorted(point for point in at if at[point][:3] == colour)
        np.testing.assert_array_equal([y for _, y in own], shares[number])
        places = [x for x, _ in own]
        np.testing.assert_array_equal(np.round(places), [0, 1, 2])
    assert len({x for x, _ in at}) == 6  # none covers another
    assert legend_names(ax) == ["one", "two"]
    assert [t.get_text() for t in ax.get_xticklabels()] == ["0", "1", "\nEOS"]
    low, high = ax.get_ylim()
    assert low == 0 and high > 1


def test_mistakes_of_a_single_run_need_no_legend():
    shares = xr.DataArray([0.9, 0.0], {"label": ["0", "1"]})
    ax = drawn.plot_mistakes(shares)
    [marks] = ax.collections
    np.testing.assert_array_equal(marks.get_offsets(), [[0, 0.9], [1, 0.0]])
    assert ax.get_legend() is None


def test_ends_of_line_are_drawn_for_each_number_of_cycles():
    names = {"run": ["ideal", "ours"], "cycles": [1, 2, 3, 4]}
    lines = xr.DataArray([[0, 0, 0.5, 1.0], [0.1, 0.2, 0.3, 0.4]], names)
    ax = drawn.plot_end_of_line(lines)
    assert_drawn(ax, "ours", [1, 2, 3, 4], lines.sel(run="ours"))
    np.testing.assert_array_equal(ax.get_xticks(), [1, 2, 3, 4])
    first, second = drawn_lines(ax)
    assert first.get_markevery() != second.get_markevery()


def test_drawings_return_the_axes_that_they_are_given(plane, sums):
    _, axes = plt.subplots(5)
    whole = sums.isel(run=0, subspace=0, drop=True)
    by_label = xr.DataArray([0.5, 0.1], {"label": ["0", "1"]})
    by_delay = xr.DataArray([[0.5, 0.1]], {"representation": ["cell"], "delay": [0, 1]})
    by_cycles = xr.DataArray([[0.5, 0.1]], {"run": ["ours"], "cycles": [1, 2]})
    assert drawn.plot_counting_plane(plane, ax=axes[0]) is axes[0]
    assert drawn.plot_singular_sums(whole, ax=axes[1]) is axes[1]
    assert drawn.plot_mistakes(by_label, ax=axes[2]) is axes[2]
    assert drawn.plot_delay_accuracy(by_delay, ax=axes[3]) is axes[3]
    assert drawn.plot_end_of_line(by_cycles, ax=axes[4]) is axes[4]
    assert len(plt.get_fignums()) == 1
