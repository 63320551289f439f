"""What is drawn equals the data: lines, labels, marks; and Axes are given back."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb

from state_gradients import figures
from state_gradients.analysis import spectra
from state_gradients.paper.book import figures as page_figures


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


@pytest.fixture
def curves(rng):
    """Memory curves of two experiments, as the analysis makes them."""
    gradient = rng.normal(size=(2, 4, 7, 6)) * 0.1 ** np.arange(4)[:, None, None]
    dims = ("experiment", "delay", "state", "embedding")
    names = {"experiment": ["trained", "untrained"], "delay": [0, 2, 4, 6]}
    return spectra.memory_curve(xr.DataArray(gradient, names, dims))


def drawn(ax):
    """Return {label: (x, y)} of the lines on an Axes."""
    return {line.get_label(): line.get_data() for line in ax.get_lines()}


def assert_drawn(ax, label, x, y):
    np.testing.assert_array_equal(drawn(ax)[label][0], x)
    np.testing.assert_array_equal(drawn(ax)[label][1], y)


def test_memory_lines_are_the_data(curves):
    ax = figures.plot_memory(curves)
    assert isinstance(ax, Axes) and ax.get_yscale() == "log"
    for name in ("trained", "untrained"):
        y = curves["memory"].sel(experiment=name)
        assert_drawn(ax, name, [0, 2, 4, 6], y)
    assert len(ax.get_lines()) == 2


def test_line_axis_may_come_last(curves):
    ax = figures.plot_memory(curves["memory"].T)
    assert_drawn(ax, "untrained", [0, 2, 4, 6], curves["memory"][1])


def test_lines_differ_without_colour(curves):
    first, second = figures.plot_memory(curves).get_lines()
    assert first.get_marker() != second.get_marker()
    assert first.get_linestyle() != second.get_linestyle()


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
    one, five = r"$\sigma_1 / \Sigma\sigma$", r"$\Sigma_5\sigma / \Sigma\sigma$"
    y = curves.sel(experiment="untrained")
    assert_drawn(ax, f"untrained {one}", y["delay"], y["selectivity"])
    assert_drawn(ax, f"untrained {five}", y["delay"], y["selectivity_5"])
    assert len(ax.get_lines()) == 4


@pytest.fixture
def interval(curves):
    """Intervals of every quantity, as block_bootstrap gives them."""
    values = curves.to_dataarray("quantity")
    return xr.Dataset({"lower": 0.5 * values, "upper": 3 * values})


def band_ends(ax, number):
    """Return the x, lower and upper ends of one band."""
    vertices = ax.collections[number].get_paths()[0].vertices
    x = np.unique(vertices[:, 0])
    ends = [[f(vertices[vertices[:, 0] == at, 1]) for at in x] for f in (min, max)]
    return x, *ends


@pytest.mark.parametrize("several", [True, False])
def test_a_band_is_the_interval_in_the_line_s_colour(curves, interval, several):
    given = interval if several else interval.sel(quantity="memory", drop=True)
    ax = figures.plot_memory(curves, interval=given)
    for number, (name, line) in enumerate(
        zip(["trained", "untrained"], ax.get_lines(), strict=True)
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


def test_a_sentence_has_words_as_columns_and_delays_as_rows(rng):
    memory = xr.DataArray(rng.random((4, 3)) + 0.1, dims=("token", "delay"))
    memory = memory.where(memory["token"] + memory["delay"] < 4)
    ax = figures.plot_sentence(memory, ["the", "cat", "sat", "down"])
    image = ax.get_images()[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("word", "delay (tokens)")
    np.testing.assert_array_equal(image.get_array().filled(np.nan), memory.T)
    assert [t.get_text() for t in ax.get_xticklabels()] == ["the", "cat", "sat", "down"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "1", "2"]
    missing, dark = image.cmap(image.norm(np.ma.masked_invalid([np.nan, 0.1])))
    assert missing[0] == missing[1] == missing[2] != dark[0]
    least, most = float(memory.min()), float(memory.max())
    # a logarithmic scale: the geometric mean has the middle colour
    middle = image.norm([least, np.sqrt(least * most), most])
    np.testing.assert_allclose(middle, [0, 0.5, 1], atol=1e-12)


def test_words_that_do_not_fit_the_sentence_are_refused():
    memory = xr.DataArray(np.ones((4, 3)), dims=("token", "delay"))
    with pytest.raises(ValueError, match=r"each of the 2 words, received.*'token': 4"):
        figures.plot_sentence(memory, ["the", "cat"])


def test_training_curves_of_one_experiment():
    valid, train = [300.0, 200.0, 150.0], [500.0, 250.0, 170.0]
    data = xr.Dataset(
        {"valid_perplexity": ("epoch", valid), "train_perplexity": ("epoch", train)},
        coords={"epoch": [1, 2, 3]},
    )
    ax = figures.plot_training_curves(data)
    assert_drawn(ax, "validation", [1, 2, 3], valid)
    assert_drawn(ax, "training", [1, 2, 3], train)


def test_embedding_variance_is_ranked_from_one(rng):
    data = xr.DataArray(rng.random(5), dims="axis")
    line = page_figures.plot_embedding_variance(data).get_lines()[0]
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


def test_too_many_dimensions_are_refused(curves):
    data = curves["memory"].expand_dims("group")
    with pytest.raises(ValueError, match=r"plot_memory.*select one entry of every"):
        figures.plot_memory(data)


def test_missing_delay_is_refused(curves):
    with pytest.raises(ValueError, match=r"\(line, delay\), received"):
        figures.plot_memory(curves["memory"].rename(delay="lag"))


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
    for machine, times in zip(machines, values, strict=True):
        assert_drawn(ax, machine, times, range(3))
    first, second = ax.get_lines()
    assert first.get_marker() != second.get_marker()
