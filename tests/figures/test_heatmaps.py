"""Heat maps show the values that they are given, in their cells and as text."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb

from state_gradients import figures

pytestmark = pytest.mark.usefixtures("closed_figures")


def test_a_sentence_has_words_as_columns_and_delays_as_rows(rng):
    memory = xr.DataArray(rng.random((4, 3)) + 0.1, dims=("token", "delay"))
    memory = memory.where(memory["token"] + memory["delay"] < 4)
    ax = figures.plot_sentence(memory, ["the", "cat", "sat", "down"])
    [image] = ax.collections
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("word", "delay (tokens)")
    np.testing.assert_array_equal(image.get_array().filled(np.nan), memory.T)
    assert ax.yaxis_inverted()
    assert [t.get_text() for t in ax.get_xticklabels()] == ["the", "cat", "sat", "down"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["0", "1", "2"]
    missing = to_rgb(ax.get_facecolor())  # shows where the image has nothing
    assert missing[0] == missing[1] == missing[2] < 1
    least, most = float(memory.min()), float(memory.max())
    # a logarithmic scale: the geometric mean has the middle colour
    middle = image.norm([least, np.sqrt(least * most), most])
    np.testing.assert_allclose(middle, [0, 0.5, 1], atol=1e-12)


def test_words_that_do_not_fit_the_sentence_are_refused():
    memory = xr.DataArray(np.ones((4, 3)), dims=("token", "delay"))
    with pytest.raises(ValueError, match=r"each of the 2 words, received.*'token': 4"):
        figures.plot_sentence(memory, ["the", "cat"])


def test_long_texts_have_every_word_and_some_delays():
    memory = xr.DataArray(np.ones((31, 31)), dims=("token", "delay"))
    ax = figures.plot_sentence(memory, [f"word{i}" for i in range(31)])
    assert len(ax.get_xticklabels()) == 31
    names = [label.get_text() for label in ax.get_yticklabels()]
    assert names == [str(delay) for delay in range(0, 31, 4)]


@pytest.fixture
def shares():
    """Per cent of the types of each class of frequency in each class of memory."""
    values = [[1.0, 99.0], [75.2, 24.8], [np.nan, np.nan]]
    names = {"frequency": ["< 10", "10 to 499", "500 and more"]}
    table = xr.DataArray(
        values, names | {"memory": ["< 3", ">= 3"]}, [*names, "memory"]
    )
    table["memory"].attrs["long_name"] = "memory at delay 0"
    return table


def test_a_heat_map_says_what_each_cell_holds(shares):
    ax = figures.plot_heatmap(shares, label="types (%)")
    [image] = ax.collections
    np.testing.assert_array_equal(image.get_array().filled(np.nan), shares)
    at = {tuple(text.get_position()): text.get_text() for text in ax.texts}
    expected = {(0.5, 0.5): "1", (1.5, 0.5): "99", (0.5, 1.5): "75", (1.5, 1.5): "25"}
    assert at == expected  # and nothing where nothing is known
    assert not ax.yaxis_inverted()  # the first row is at the bottom
    assert [t.get_text() for t in ax.get_yticklabels()] == list(shares["frequency"])
    assert [t.get_text() for t in ax.get_xticklabels()] == ["< 3", ">= 3"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("memory at delay 0", "frequency")
    assert image.colorbar.ax.get_ylabel() == "types (%)"


def test_a_heat_map_is_drawn_on_the_given_axes_in_the_given_form(shares):
    ax = plt.figure().add_subplot()
    assert figures.plot_heatmap(shares, label="%", form="{:.1f}", ax=ax) is ax
    assert [text.get_text() for text in ax.texts] == ["1.0", "99.0", "75.2", "24.8"]


def test_what_is_no_table_is_refused(shares):
    with pytest.raises(ValueError, match=r"\(row, column\) with a coordinate"):
        figures.plot_heatmap(shares.drop_vars("memory"), label="%")
    with pytest.raises(ValueError, match=r"received .*'frequency': 3"):
        figures.plot_heatmap(shares[:, 0], label="%")
    with pytest.raises(ValueError, match="at least one value must be finite"):
        figures.plot_heatmap(shares * np.nan, label="%")
