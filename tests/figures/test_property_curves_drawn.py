import numpy as np
import pytest
import xarray as xr
from drawings import legend_names
from matplotlib.collections import PolyCollection

from state_gradients.figures import plot_property

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.fixture
def data(rng):
    nulls = ["random directions", "random splits"]
    by_null = rng.random((2, 7)) / 4
    memory = rng.random(7) / 2
    return xr.Dataset(
        {
            "relative_memory": ("delay", memory),
            "relative_memory_lower": ("delay", memory - 0.1),
            "relative_memory_upper": ("delay", memory + 0.1),
            "chance_lower": (("null", "delay"), by_null),
            "chance_upper": (("null", "delay"), by_null + 0.3),
        },
        {"delay": np.arange(7), "null": nulls},
        {"experiment": "m.keras"},
    )


def test_a_property_is_drawn_between_what_chance_makes(data):
    ax = plot_property(data)
    chance, band = (
        area.get_paths()[0].vertices[:, 1]
        for area in ax.collections
        if isinstance(area, PolyCollection)
    )
    for area, ends in (
        (chance, data[["chance_lower", "chance_upper"]].isel(null=0)),
        (band, data[["relative_memory_lower", "relative_memory_upper"]]),
    ):
        expected = np.concatenate([ends[name].values for name in ends])
        assert {*np.round(expected, 12)} <= {*np.round(area, 12)}
    splits = [line.get_ydata() for line in ax.lines[:2]]
    np.testing.assert_array_equal(splits[0], data["chance_lower"][1])
    np.testing.assert_array_equal(splits[1], data["chance_upper"][1])
    np.testing.assert_array_equal(ax.lines[2].get_ydata(), data["relative_memory"])
    assert legend_names(ax) == ["random directions", "random splits"]
    assert ax.get_ylim() == (0, 1.02)
