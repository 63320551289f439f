"""The difference of two networks as it is drawn: its line, its bands, its names."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr
from drawings import drawn_lines, legend_names
from matplotlib.colors import to_hex

from state_gradients import figures

pytestmark = pytest.mark.usefixtures("closed_figures")
QUANTITIES = ["log_memory", "selectivity", "effective_rank"]


@pytest.fixture
def compared(rng):
    """Differences with two bands, as `compare_memory` gives them."""
    difference = rng.normal(size=(3, 4))
    half = 1 + rng.random((2, 3, 4))
    data = {
        "difference": (("quantity", "delay"), difference),
        "lower": (("band", "quantity", "delay"), difference - half),
        "upper": (("band", "quantity", "delay"), difference + half),
    }
    coords = {"quantity": QUANTITIES, "delay": [0, 1, 2, 3], "band": ["text", "seeds"]}
    attrs = {"level": 0.9, "experiment": "A: one\nB: other"}
    return xr.Dataset(data, coords, attrs)


def test_lines_and_bands_are_the_data(compared):
    axes = figures.plot_comparison(compared)
    assert [ax.get_ylabel() for ax in axes] == [
        "log memory, A $-$ B",
        "selectivity, A $-$ B",
        "effective rank, A $-$ B",
    ]
    for ax, name in zip(axes, QUANTITIES, strict=True):
        one = compared.sel(quantity=name)
        line = drawn_lines(ax)[-1]
        np.testing.assert_array_equal(line.get_ydata(), one["difference"])
        for band, drawn in zip(("text", "seeds"), ax.collections, strict=True):
            corners = drawn.get_paths()[0].vertices
            for end in ("lower", "upper"):
                expected = one[end].sel(band=band).values
                found = {round(y, 9) for y in corners[:, 1]}
                assert {round(y, 9) for y in expected} <= found
    assert axes[-1].get_xlabel() == "delay (tokens)"
    assert axes[0].get_xlabel() == ""


def test_zero_is_drawn_and_the_legend_tells_the_bands_apart(compared):
    first, second, _ = figures.plot_comparison(compared)
    assert any(np.all(np.asarray(line.get_ydata()) == 0) for line in first.lines)
    assert legend_names(first) == ["90 % band: other text", "90 % band: other seeds"]
    assert first.get_legend().get_title().get_text() == "A: one\nB: other"
    assert second.get_legend() is None
    text, seeds = first.collections
    assert text.get_linestyle() != seeds.get_linestyle()  # in a grey print, too
    assert to_hex(text.get_edgecolor()[0]) != to_hex(seeds.get_edgecolor()[0])


def test_without_bands_the_line_stands_alone(compared):
    alone = compared.drop_dims("band")
    axes = plt.subplots(3)[1]
    assert figures.plot_comparison(alone, axes=axes) == [*axes]
    assert all(not ax.collections for ax in axes)
