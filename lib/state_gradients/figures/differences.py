"""Differences between two networks against the delay, with their simultaneous bands."""

from matplotlib.colors import to_rgba

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines

_LABELS = {
    "log_memory": "log memory, A $-$ B",
    "selectivity": "selectivity, A $-$ B",
    "effective_rank": "effective rank, A $-$ B",
}
_EDGES = {"text": "-", "seeds": "--"}  # so that a grey print tells the bands apart


def plot_comparison(data, *, axes=None):
    """Draw how two networks differ, a panel a quantity, with the bands that are known.

    Parameters
    ----------
    data : Dataset
        Of :func:`state_gradients.analysis.comparison.compare_memory`: ``difference``
        (quantity, delay), ``lower``, ``upper`` (band, quantity, delay) if there are
        bands. Its attribute ``experiment`` is the title.
    axes : list of matplotlib.axes.Axes, optional
        One for each quantity; those of a new figure by default.

    Returns
    -------
    list of matplotlib.axes.Axes
    """
    quantities = data["quantity"].values.tolist()
    if axes is None:
        axes = style.stacked_axes(len(quantities), height=2.0)
    for number, (ax, name) in enumerate(zip(axes, quantities, strict=True)):
        _draw_one(ax, data.sel(quantity=name), named=number == 0)
        is_last = number == len(quantities) - 1
        style.whole_numbers(ax.xaxis)
        style.finish(
            ax,
            data if number == 0 else data[[]].drop_attrs(),
            x="delay (tokens)" if is_last else "",
            y=_LABELS.get(name, name),
            legend="above",
        )
    return list(axes)


def _draw_one(ax, data, *, named):
    ax = style.axes_or_new(ax)
    ax.axhline(0, color=style.MUTED, linewidth=1)
    bands = data["band"].values.tolist() if "band" in data.dims else []
    level = f"{100 * data.attrs.get('level', 0.95):g} %"
    for band, colour in zip(bands, style.colours(1 + len(bands))[1:], strict=True):
        ends = data.sel(band=band)
        label = f"{level} band: other {band}" if named else None
        ax.fill_between(
            ends["delay"],
            ends["lower"],
            ends["upper"],
            facecolor=to_rgba(colour, 0.2),
            edgecolor=colour,
            linestyle=_EDGES.get(band, ":"),
            label=label,
        )
    draw_lines(ax, data["difference"], "delay", "plot_comparison")
