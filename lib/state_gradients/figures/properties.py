"""How well a property of words is remembered, beside what chance makes of it."""

from state_gradients.figures import style
from state_gradients.figures.lines import draw_chance, draw_lines

DIRECTIONS, SPLITS = "random directions", "random splits"


def plot_property(data, *, ax=None):
    """Draw the relative memory of a property against the delay.

    Parameters
    ----------
    data : Dataset
        Of :func:`state_gradients.analysis.property_curves.property_curves`:
        ``relative_memory``, ``relative_memory_lower`` and ``_upper`` (delay), the line
        and its band; ``chance_lower``, ``chance_upper`` (null, delay), grey for random
        directions, between dashed lines for random splits of the words. Its attribute
        ``experiment`` is the title.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.6)
    ends = {end: data[f"chance_{end}"] for end in ("lower", "upper")}
    of_directions = [one.sel(null=DIRECTIONS) for one in ends.values()]
    draw_chance(ax, data["delay"], *of_directions, DIRECTIONS)
    look = {"color": style.MUTED, "linewidth": 1, "dashes": (3, 2)}
    for end, one in ends.items():
        label = SPLITS if end == "upper" else None
        ax.plot(data["delay"], one.sel(null=SPLITS), label=label, **look)
    band = data[["relative_memory_lower", "relative_memory_upper"]].rename(
        relative_memory_lower="lower", relative_memory_upper="upper"
    )
    draw_lines(ax, data["relative_memory"], "delay", "plot_property", band=band)
    style.whole_numbers(ax.xaxis)
    y = r"memory of the property, $m$"
    return style.finish(
        ax, data, x="delay (tokens)", y=y, ylim=(0, 1.02), legend="above"
    )
