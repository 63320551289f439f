"""Counts drawn as bars: how many of each row are of which kind."""

import matplotlib as mpl
import numpy as np

from state_gradients.figures import style
from state_gradients.figures.heatmaps import COLOURS

HATCHES = ("////", "....", "xxxx")
LEAST = 0.045  # of the axis: a narrower piece has no room for its number


def plot_counts(counts, *, hollow=(), x="number", ax=None):
    """Draw how many of each row are of which kind, as one bar a row, kind beside kind.

    The kinds grow lighter from the first to the last, also in grey; their numbers stand
    in the bars.

    Parameters
    ----------
    counts : DataArray of int, shape (row, kind)
        With the names of rows and kinds as coordinates. The first row is on top.
    hollow : sequence of str
        Kinds that are drawn white and hatched: those of which nothing is known.
    x : str
        What is counted.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the counts have not two dimensions with coordinates, or are none.
    """
    dims = getattr(counts, "dims", ())
    if len(dims) != 2 or not all(dim in counts.coords for dim in dims):
        raise ValueError(
            "plot_counts: the counts must be a DataArray of (row, kind) with a "
            f"coordinate for each, received {getattr(counts, 'sizes', type(counts))}."
        )
    if not counts.sum() or (counts < 0).any():
        raise ValueError("plot_counts: the counts must be positive, or some of them 0.")
    ax = style.axes_or_new(ax, height=1.6 + 0.34 * counts.shape[0])
    rows, kinds = (counts[dim].values.tolist() for dim in dims)
    solid = [kind for kind in kinds if kind not in hollow]
    colours = mpl.colormaps[COLOURS](np.linspace(0, 1, max(len(solid), 2)))
    fill = dict(zip(solid, colours, strict=False))
    patterns = dict(zip(hollow, HATCHES, strict=False))
    most, start = counts.sum(dims[1]).max().item(), np.zeros(len(rows))
    places = np.arange(len(rows))
    for kind in kinds:
        widths = counts.sel({dims[1]: kind}).values
        colour = fill.get(kind, (1, 1, 1, 1))
        ax.barh(
            places,
            widths,
            left=start,
            color=colour,
            edgecolor="0.3" if kind in patterns else "white",
            hatch=patterns.get(kind),
            linewidth=0.5,
            label=style.plain(kind),
        )
        ink = "black" if np.dot(colour[:3], (0.3, 0.6, 0.1)) > 0.5 else "white"
        for place, width, left in zip(places, widths, start, strict=True):
            if width >= LEAST * most:
                at = (left + width / 2, place)
                box = {"facecolor": colour, "edgecolor": "none", "pad": 0.8}
                ax.text(
                    *at, f"{width:g}", color=ink, ha="center", va="center", bbox=box
                )
        start = start + widths
    ax.set_yticks(places, [*map(style.plain, rows)])
    ax.invert_yaxis()
    ax.set_xlim(0, most)
    style.whole_numbers(ax.xaxis)
    return style.finish(ax, counts, x=x, y="", legend="above")
