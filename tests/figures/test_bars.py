"""Bars show the counts that they are given, side by side and as text."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

from state_gradients import figures

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.fixture
def counts():
    names = {"section": ["one", "two"], "verdict": ["yes", "no", "open"]}
    return xr.DataArray([[3, 1, 0], [10, 0, 20]], names, ("section", "verdict"))


def test_pieces_stand_side_by_side_with_their_numbers(counts):
    ax = figures.plot_counts(counts, hollow=["open"], x="claims")
    pieces = [[(bar.get_x(), bar.get_width()) for bar in c] for c in ax.containers]
    assert pieces == [[(0, 3), (0, 10)], [(3, 1), (10, 0)], [(4, 0), (10, 20)]]
    at = {text.get_position(): text.get_text() for text in ax.texts}
    # of 30, a piece of 1 has no room for its number, and a piece of 0 none to be seen
    assert at == {(1.5, 0): "3", (5, 1): "10", (20, 1): "20"}
    assert ax.yaxis_inverted()  # the first row is on top
    assert [t.get_text() for t in ax.get_yticklabels()] == ["one", "two"]
    assert ax.get_xlabel() == "claims"
    names = [text.get_text() for text in ax.get_legend().get_texts()]
    assert names == ["yes", "no", "open"]


def test_kinds_grow_lighter_and_what_is_unknown_is_hatched(counts):
    ax = figures.plot_counts(counts, hollow=["open"])
    grey = [np.dot(c[0].get_facecolor()[:3], (0.3, 0.6, 0.1)) for c in ax.containers]
    assert grey[0] + 0.3 < grey[1] < grey[2] == pytest.approx(1)
    assert [bool(c[0].get_hatch()) for c in ax.containers] == [False, False, True]


def test_counts_are_drawn_on_the_given_axes(counts):
    ax = plt.figure().add_subplot()
    assert figures.plot_counts(counts, ax=ax) is ax


def test_what_is_no_table_of_counts_is_refused(counts):
    with pytest.raises(ValueError, match=r"\(row, kind\) with a coordinate"):
        figures.plot_counts(counts.drop_vars("verdict"))
    for wrong in (counts * 0, -counts):
        with pytest.raises(ValueError, match="must be positive"):
            figures.plot_counts(wrong)
