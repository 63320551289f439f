"""What is drawn on an Axes, as a reader takes it from the legend."""

import numpy as np


def drawn_lines(ax):
    """Return the lines that have data, in their order; others stand for the legend."""
    return [line for line in ax.get_lines() if len(line.get_xdata())]


def legend_names(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


def lines_like(ax, name, *, but_dash=False):
    """Return the lines that look as `name` in the legend, perhaps but for dashes."""
    at = legend_names(ax).index(name)
    handle = ax.get_legend().legend_handles[at]

    def look(line):
        dash = None if but_dash else line._unscaled_dash_pattern
        return line.get_color(), line.get_marker(), dash

    return [line for line in drawn_lines(ax) if look(line) == look(handle)]


def assert_drawn(ax, name, x, y):
    """Exactly one line looks as `name` does in the legend, and it is (x, y)."""
    [line] = lines_like(ax, name)
    np.testing.assert_array_equal(line.get_xdata(), x)
    np.testing.assert_array_equal(line.get_ydata(), y)


def band_ends(ax, number):
    """Return the x, lower and upper ends of one band."""
    vertices = ax.collections[number].get_paths()[0].vertices
    x = np.unique(vertices[:, 0])
    ends = [[f(vertices[vertices[:, 0] == at, 1]) for at in x] for f in (min, max)]
    return x, *ends
