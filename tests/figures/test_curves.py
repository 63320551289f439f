"""What is drawn equals the data: lines, labels, marks; and Axes are given back."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, band_ends, drawn_lines, legend_names, lines_like
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from state_gradients import figures
from state_gradients.analysis import spectra

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.fixture
def curves(rng):
    """Memory curves of two experiments, as the analysis makes them."""
    gradient = rng.normal(size=(2, 4, 7, 6)) * 0.1 ** np.arange(4)[:, None, None]
    dims = ("experiment", "delay", "state", "embedding")
    names = {"experiment": ["trained", "untrained"], "delay": [0, 2, 4, 6]}
    return spectra.memory_curve(xr.DataArray(gradient, names, dims))


def test_memory_lines_are_the_data(curves):
    ax = figures.plot_memory(curves)
    assert isinstance(ax, Axes) and ax.get_yscale() == "log"
    for name in ("trained", "untrained"):
        y = curves["memory"].sel(experiment=name)
        assert_drawn(ax, name, [0, 2, 4, 6], y)
    assert len(drawn_lines(ax)) == 2
    assert legend_names(ax) == ["trained", "untrained"]


def test_line_axis_may_come_last(curves):
    ax = figures.plot_memory(curves["memory"].T)
    assert_drawn(ax, "untrained", [0, 2, 4, 6], curves["memory"][1])


def test_lines_differ_without_colour(curves):
    first, second = drawn_lines(figures.plot_memory(curves))
    assert first.get_marker() != second.get_marker()
    # on and off lengths: seaborn sets them, and leaves the line style's name alone
    assert first._unscaled_dash_pattern != second._unscaled_dash_pattern


def test_markers_of_long_lines_are_thinned_and_do_not_coincide():
    values = np.ones((2, 51))
    lines = xr.DataArray(values, {"line": ["a", "b"]}, ("line", "delay"))
    first, second = drawn_lines(figures.plot_memory(lines))
    assert first.get_markevery() == (0, 5) and second.get_markevery() == (1, 5)


def test_one_curve_has_its_experiment_as_title(curves):
    ax = figures.plot_memory(curves.sel(experiment="trained"))
    assert ax.get_title(loc="left") == "trained"
    assert ax.get_legend() is None


def test_title_from_the_attributes_of_an_artifact(curves):
    bare = curves.isel(experiment=0, drop=True).assign_attrs(experiment="mine")
    assert figures.plot_memory(bare).get_title(loc="left") == "mine"


def test_draws_on_the_given_axes(curves):
    ax = plt.figure().add_subplot()
    assert figures.plot_memory(curves, ax=ax) is ax
    assert plt.get_fignums() == [ax.figure.number]


def test_selectivity_draws_both_shares(curves):
    ax = figures.plot_selectivity(curves)
    for name in ("trained", "untrained"):
        y = curves.sel(experiment=name)
        solid, dashed = lines_like(ax, name, but_dash=True)
        np.testing.assert_array_equal(solid.get_data(), [y["delay"], y["selectivity"]])
        np.testing.assert_array_equal(
            dashed.get_data(), [y["delay"], y["selectivity_5"]]
        )
        assert not solid.is_dashed() and dashed.is_dashed()
    assert len(drawn_lines(ax)) == 4
    names = ["trained", "untrained", "largest", "five largest"]
    assert legend_names(ax) == names
    marks = [handle.is_dashed() for handle in ax.get_legend().get_lines()]
    assert marks == [False, False, False, True]


def test_both_panels_have_one_legend_for_their_lines(curves, interval):
    upper, lower = figures.plot_memory_and_selectivity(curves, interval=interval)
    assert_drawn(upper, "untrained", [0, 2, 4, 6], curves["memory"][1])
    solid, dashed = (lower_lines := drawn_lines(lower))[1], lower_lines[3]
    np.testing.assert_array_equal(solid.get_ydata(), curves["selectivity"][1])
    np.testing.assert_array_equal(dashed.get_ydata(), curves["selectivity_5"][1])
    in_upper = drawn_lines(upper)[1]
    assert solid.get_color() == dashed.get_color() == in_upper.get_color()
    assert legend_names(upper) == ["trained", "untrained"]
    assert legend_names(lower) == ["largest", "five largest"]
    assert (upper.get_xlabel(), lower.get_xlabel()) == ("", "delay (tokens)")
    np.testing.assert_array_equal(band_ends(upper, 1)[1], 0.5 * curves["memory"][1])
    np.testing.assert_array_equal(
        band_ends(lower, 3)[2], 3 * curves["selectivity_5"][1]
    )


def test_panels_are_drawn_on_the_given_axes(curves):
    axes = figures.stacked_axes()
    assert figures.plot_memory_and_selectivity(curves, axes=axes) == tuple(axes)
    assert len(plt.get_fignums()) == 1
    one = curves.sel(experiment="trained")
    upper, lower = figures.plot_memory_and_selectivity(one)
    assert upper.get_title(loc="left") == "trained"  # once a figure
    assert (
        lower.get_title(loc="left") == lower.get_legend().get_title().get_text() == ""
    )


def test_a_legend_above_takes_the_title_along(curves):
    ax = figures.plot_selectivity(curves.sel(experiment="trained"))
    assert ax.get_legend().get_title().get_text() == "trained"
    assert ax.get_title(loc="left") == ""


@pytest.fixture
def interval(curves):
    """Intervals of every quantity, as block_bootstrap gives them."""
    values = curves.to_dataarray("quantity")
    return xr.Dataset({"lower": 0.5 * values, "upper": 3 * values})


@pytest.mark.parametrize("several", [True, False])
def test_a_band_is_the_interval_in_the_line_s_colour(curves, interval, several):
    given = interval if several else interval.sel(quantity="memory", drop=True)
    ax = figures.plot_memory(curves, interval=given)
    for number, (name, line) in enumerate(
        zip(["trained", "untrained"], drawn_lines(ax), strict=True)
    ):
        x, lower, upper = band_ends(ax, number)
        y = curves["memory"].sel(experiment=name)
        np.testing.assert_array_equal(x, [0, 2, 4, 6])
        np.testing.assert_array_equal(lower, 0.5 * y)
        np.testing.assert_array_equal(upper, 3 * y)
        colour = ax.collections[number].get_facecolor()[0, :3]
        np.testing.assert_array_equal(colour, to_rgb(line.get_color()))


def test_a_band_down_to_zero_leaves_the_axis_to_the_data(curves, interval):
    memory = curves["memory"].sel(experiment="trained")
    ends = interval.sel(quantity="memory", experiment="trained", drop=True)
    ends["lower"][-1] = 0
    ax = figures.plot_memory(memory, interval=ends)
    assert ax.get_ylim()[0] > float(memory.min()) / 10


def test_selectivity_has_a_band_for_each_share(curves, interval):
    one = curves.sel(experiment="trained")
    ax = figures.plot_selectivity(one, interval=interval.sel(experiment="trained"))
    for number, name in enumerate(["selectivity", "selectivity_5"]):
        np.testing.assert_array_equal(band_ends(ax, number)[2], 3 * one[name])


def test_an_interval_of_other_delays_is_refused(curves, interval):
    with pytest.raises(ValueError, match="delay"):
        figures.plot_memory(curves, interval=interval.isel(delay=slice(3)))


def test_coherence_is_the_data_between_zero_and_one(curves):
    share = curves["selectivity"].rename("coherence")
    ax = figures.plot_coherence(share.to_dataset())
    assert_drawn(ax, "trained", [0, 2, 4, 6], share[0])
    assert ax.get_ylim() == (0, 1.02)


def test_training_curves_of_one_experiment():
    valid, train = [300.0, 200.0, 150.0], [500.0, 250.0, 170.0]
    data = xr.Dataset(
        {"valid_perplexity": ("epoch", valid), "train_perplexity": ("epoch", train)},
        coords={"epoch": [1, 2, 3]},
    )
    ax = figures.plot_training_curves(data)
    first, second = drawn_lines(ax)
    np.testing.assert_array_equal(first.get_data(), [[1, 2, 3], valid])
    np.testing.assert_array_equal(second.get_data(), [[1, 2, 3], train])
    assert not first.is_dashed() and second.is_dashed()
    assert legend_names(ax) == ["validation", "training"]
    handles = ax.get_legend().get_lines()
    assert [handle.is_dashed() for handle in handles] == [False, True]


def test_too_many_dimensions_are_refused(curves):
    data = curves["memory"].expand_dims("group")
    with pytest.raises(ValueError, match=r"plot_memory.*select one entry of every"):
        figures.plot_memory(data)


def test_missing_delay_is_refused(curves):
    with pytest.raises(ValueError, match=r"\(line, delay\), received"):
        figures.plot_memory(curves["memory"].rename(delay="lag"))


def test_two_values_at_one_delay_are_refused_and_not_averaged(curves):
    twice = curves["memory"].assign_coords(delay=[0, 2, 2, 6])
    with pytest.raises(ValueError, match=r"several of line trained at delay 2"):
        figures.plot_memory(twice)


def test_two_lines_of_one_name_are_refused(curves):
    named = curves["memory"].assign_coords(experiment=["same", "same"])
    with pytest.raises(ValueError, match=r"a name of its own.*line same at delay 0"):
        figures.plot_memory(named)


def test_a_line_may_end_early_but_has_no_holes(curves):
    values = curves["memory"].copy(deep=True)
    values[1, 3] = np.nan
    ax = figures.plot_memory(values)
    assert_drawn(ax, "trained", [0, 2, 4, 6], values[0])
    assert_drawn(ax, "untrained", [0, 2, 4], values[1, :3])
    values[1, 3], values[1, 2] = 1.0, np.nan
    with pytest.raises(ValueError, match=r"none of line untrained at delay 4"):
        figures.plot_memory(values)


@pytest.mark.parametrize("n_delays", [3, 8, 21, 51])
def test_delays_are_marked_at_whole_numbers(n_delays):
    memory = xr.DataArray(np.geomspace(1, 0.1, n_delays), dims="delay")
    upper, lower = figures.stacked_axes()
    figures.plot_memory(memory, ax=upper)
    figures.plot_coherence(memory, ax=lower)
    upper.figure.canvas.draw()
    for ax in (upper, lower):
        ticks = ax.get_xticks()
        np.testing.assert_array_equal(ticks, np.round(ticks))
        assert len(ticks) >= 3


def tick_names(axis):
    axis.axes.figure.canvas.draw()
    low, high = axis.get_view_interval()
    ticks = axis.get_major_ticks()
    return [t.label1.get_text() for t in ticks if low <= t.get_loc() <= high]


def test_a_logarithmic_axis_says_plain_numbers_where_they_are_short():
    def memory(low, high):
        values = xr.DataArray(np.geomspace(high, low, 9), dims="delay")
        return tick_names(figures.plot_memory(values).yaxis)

    assert memory(0.02, 1) == ["0.02", "0.05", "0.1", "0.2", "0.5", "1"]
    assert memory(1e-3, 1.5) == ["0.001", "0.01", "0.1", "1"]
    assert "10^{-10}" in "".join(memory(1e-12, 1))


def png(curves, interval):
    buffer = io.BytesIO()
    upper, _ = figures.plot_memory_and_selectivity(curves, interval=interval)
    upper.figure.savefig(buffer, format="png")
    return buffer.getvalue()


def test_the_same_data_give_the_same_picture(curves, interval):
    assert png(curves, interval) == png(curves, interval)


def test_the_axis_of_memory_ends_where_float64_rounds(curves):
    before = figures.plot_memory(curves).get_ylim()[0]
    curves["memory"][1, 3] = 1e-119
    low = 2.220446049250313e-16 * float(curves["memory"].max())
    assert low < before
    ax = figures.plot_memory(curves)
    assert ax.get_ylim()[0] == pytest.approx(low)
    assert_drawn(ax, "untrained", [0, 2, 4, 6], curves["memory"][1])
