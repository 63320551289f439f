"""How figures look: theme, colours, sizes and axes, for everything that is drawn here.

A figure is WIDTH inches wide and its smallest text is TEXT points high. A browser that
fits it into w pixels shows that text TEXT / 72 * w / WIDTH pixels high: 17 in a column
of 620, and still 9.5 in the 342 that a phone has. (Saving crops or pads WIDTH by about
a tenth of an inch.)

Lines differ in colour (Okabe and Ito's, safe for the colour-blind), in dash and in
marker, so that a grey print tells them apart.
"""

import itertools

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
from matplotlib.ticker import (
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    StrMethodFormatter,
)

WIDTH = 5.0  # inches
TEXT = 10  # points
MUTED = "0.45"  # what stands behind the data, readable on white and on black
DASHES = ("", (5, 2), (1, 1.2), (6, 2, 1, 2), (3, 1, 1, 1))  # "" is a solid line
MARKERS = "os^Dv"

ON_LIGHT = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00")
ON_DARK = ("#FFFFFF", "#E69F00", "#56B4E9", "#2FC59A", "#CC79A7", "#F0E442")
GREYS = ("#000000", "#6E6E6E", "#A0A0A0")

_SIZES = (
    "font.size",
    "axes.labelsize",
    "axes.titlesize",
    "xtick.labelsize",
    "ytick.labelsize",
    "legend.fontsize",
    "legend.title_fontsize",
)
_SHARED = dict.fromkeys(_SIZES, TEXT) | {
    "axes.titlelocation": "left",
    "axes.spines.right": False,
    "axes.spines.top": False,
    "figure.figsize": (WIDTH, 3.1),
    "figure.dpi": 220,
    "grid.color": "0.85",
    "legend.frameon": False,
    "lines.linewidth": 1.5,
    "lines.markersize": 6,
    "savefig.dpi": "figure",
    "savefig.facecolor": "auto",  # the figure's own
}
_INK, _NIGHT = "#E8E8E8", "#1B1B1F"
_DARK = dict.fromkeys(
    ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"),
    _INK,
) | {
    "axes.facecolor": _NIGHT,
    "figure.facecolor": _NIGHT,
    "grid.color": "0.3",
}
_THEMES = {
    "light": (ON_LIGHT, {}),
    "dark": (ON_DARK, _DARK),
    "print": (GREYS, {"figure.dpi": 300}),
}


def set_theme(variant="light"):
    """Set the look of all figures that are begun from now on, with seaborn's theme.

    Parameters
    ----------
    variant : {"light", "dark", "print"}
        For pages on white, for slides on black, and for paper without colours.

    Raises
    ------
    ValueError
        If there is no such variant.

    Examples
    --------
    >>> from state_gradients import figures
    >>> figures.set_theme("print")
    """
    if variant not in _THEMES:
        raise ValueError(
            f"set_theme: `variant` must be one of {', '.join(_THEMES)}, "
            f"received {variant!r}."
        )
    palette, settings = _THEMES[variant]
    sns.set_theme(
        context="paper",
        style="ticks",
        palette=palette,
        font="DejaVu Sans",
        rc=_SHARED | settings,
    )


def colours(n_colours):
    """Return as many colours, from the first again where there are too few.

    They are those of the theme or the cycle that has been set; where none has been,
    the light theme's.
    """
    cycle = mpl.rcParams["axes.prop_cycle"]
    none_set = cycle == mpl.rcParamsDefault["axes.prop_cycle"]
    known = ON_LIGHT if none_set else cycle.by_key().get("color", ON_LIGHT)
    return list(itertools.islice(itertools.cycle(known), n_colours))


def dashes(n_dashes):
    """Return as many dashes as seaborn and Matplotlib's ``dashes`` take them."""
    return list(itertools.islice(itertools.cycle(DASHES), n_dashes))


def markers(n_markers):
    """Return as many filled markers."""
    return list(itertools.islice(itertools.cycle(MARKERS), n_markers))


def axes_or_new(ax=None, *, height=3.1):
    """Return the Axes given, or those of a new figure, without upper and right spine.

    Parameters
    ----------
    ax : matplotlib.axes.Axes, optional
    height : float
        Of the new figure, in inches; it is WIDTH wide.
    """
    if ax is None:
        ax = plt.subplots(figsize=(WIDTH, height), layout="constrained")[1]
    sns.despine(ax=ax)
    return ax


def stacked_axes(n_axes=2, *, height=2.7):
    """Return the Axes of a new figure, one below the other, with one horizontal axis.

    Parameters
    ----------
    n_axes : int
    height : float
        Of each, in inches.
    """
    size = (WIDTH, n_axes * height)
    figure = plt.figure(figsize=size, layout="constrained")
    return figure.subplots(n_axes, 1, sharex=True)


def whole_numbers(axis):
    """Mark an axis of delays, epochs or ranks at whole numbers only."""
    axis.set_major_locator(MaxNLocator("auto", steps=[1, 2, 5, 10], integer=True))


def log_ticks(axis):
    """Label a logarithmic axis for what it spans, once everything has been drawn.

    Over less than two and a half decades also at 2 and 5 times a power of ten; as plain
    numbers, not powers, between 0.0001 and 100,000.
    """
    low, high = sorted(axis.get_view_interval())
    narrow = np.log10(high / low) < 2.5
    plain = low >= 0.9e-4 and high <= 1.1e5
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if narrow else (1,)))
    axis.set_major_formatter(
        StrMethodFormatter("{x:g}") if plain else LogFormatterMathtext()
    )
    axis.set_minor_formatter(NullFormatter())


def plain(text):
    r"""Return what Matplotlib shows as `text`, letter by letter.

    It takes what stands between two dollars for a formula. Names that come from data,
    words above all, are none: ``$\frac$`` may be a token.
    """
    return str(text).replace("$", r"\$")


def finish(ax, data, *, x, y, legend="best", **settings):
    """Label the axes; the title is the experiment's name, the legend has what is named.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
        On which everything has been drawn.
    data : Dataset or DataArray
        Whose coordinate or attribute ``experiment``, if one, is the title.
    x, y : str
        What stands at the axes.
    legend : str
        Where the legend stands: ``"above"`` the axes, or a place of Matplotlib's.
    **settings
        Of the Axes, for instance ``yscale="log"``.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax.set(xlabel=x, ylabel=y, **settings)
    for axis in (ax.xaxis, ax.yaxis):
        if axis.get_scale() == "log":
            log_ticks(axis)
    experiment = data.coords.get("experiment", data.attrs.get("experiment"))
    if experiment is not None and np.ndim(experiment) == 0:
        ax.set_title(plain(getattr(experiment, "values", experiment)), loc="left")
    if ax.get_legend_handles_labels()[1]:
        place_legend(ax, legend)
    return ax


def place_legend(ax, place="best"):
    """Put a legend inside the axes, or above them, where it can cover nothing.

    Above, the title moves into the legend, as its heading.
    """
    names = ax.get_legend_handles_labels()[1]
    looks = {"frameon": False, "title": None, "handlelength": 2.8}
    if place != "above":
        return ax.legend(loc=place, **looks)
    if title := ax.get_title(loc="left"):
        ax.set_title("", loc="left")
        looks["title"] = title
    fit = 44 // (max(map(len, names)) + 6)  # a line holds some 44 letters
    return ax.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=max(1, min(fit, len(names))),
        alignment="left",
        borderaxespad=0.2,
        **looks,
    )
