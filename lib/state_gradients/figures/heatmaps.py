"""Tables drawn as heat maps: a sentence's memory, and frequencies by value."""

from collections.abc import Sequence

import numpy as np
import seaborn as sns
import xarray as xr
from matplotlib.axes import Axes

from state_gradients.figures import style

COLOURS = "cividis"  # grows lighter all the way, also in grey and for the colour-blind
MISSING = "0.88"


def plot_sentence(
    memory: xr.DataArray, words: Sequence[str], *, ax: Axes | None = None
) -> Axes:
    """Draw sigma_1 in a sentence, a column for each word and a row for each delay.

    A word's memory starts in the top row and runs down its own column.

    Parameters
    ----------
    memory : DataArray of shape (token, delay)
        As :func:`state_gradients.analysis.sentences.sentence_memory` gives, by the word
        that is remembered; NaN, beyond the text's end, is grey.
    words : sequence of str
        The tokens.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import state_gradients as sg
    >>> import xarray as xr
    >>> memory = xr.DataArray([[1.0, 0.5], [1.0, 0.5]], dims=("token", "delay"))
    >>> ax = sg.plot_sentence(memory, ["state", "gradients"])
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['state', 'gradients']
    """
    sizes = getattr(memory, "sizes", {})
    n_tokens, n_delays = (sizes.get(dim) for dim in ("token", "delay"))
    if len(sizes) != 2 or n_tokens != len(words) or not n_delays:
        raise ValueError(
            "plot_sentence: `memory` must be a DataArray (token, delay) with a token "
            f"for each of the {len(words)} words, received "
            f"{dict(sizes) or type(memory)}."
        )
    ax = style.axes_or_new(ax, height=2.0 + 0.1 * n_delays)
    ax.set_facecolor(MISSING)
    bar = {"label": r"memory $\sigma_1$", "location": "top", "pad": 0.02, "aspect": 40}
    sns.heatmap(
        memory.transpose("delay", "token").to_pandas(),
        norm="log",
        cmap=COLOURS,
        cbar_kws=bar,
        xticklabels=[*map(style.plain, words)],
        yticklabels=1 + (n_delays - 1) // 10,
        ax=ax,
    )
    style.log_ticks(ax.collections[0].colorbar.ax.xaxis)
    ax.tick_params(axis="x", labelrotation=90)
    ax.tick_params(axis="y", labelrotation=0)
    return style.finish(ax, memory, x="word", y="delay (tokens)")


def plot_heatmap(data, *, label, form="{:.0f}", ax=None):
    """Draw a table as a heat map, each value written in its cell.

    For instance the per cent of word types in classes of frequency (rows) and memory
    (columns), as in Figs. 8b and 9b. The first row is at the bottom, as on an axis.

    Parameters
    ----------
    data : DataArray of shape (row, column)
        With the names of rows and columns as coordinates; the axes are called by the
        coordinates' ``long_name``, else by the dimensions. NaN is grey, without a word.
    label : str
        What the values are, with their unit.
    form : str
        How a value is written.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If the data have not two dimensions with coordinates, or nothing is known.
    """
    dims = getattr(data, "dims", ())
    if len(dims) != 2 or not all(dim in data.coords for dim in dims):
        raise ValueError(
            "plot_heatmap: the data must be a DataArray of (row, column) with a "
            f"coordinate for each, received {getattr(data, 'sizes', type(data))}."
        )
    if not np.isfinite(data).any():
        raise ValueError("plot_heatmap: at least one value must be finite.")
    ax = style.axes_or_new(ax, height=1.5 + 0.35 * data.shape[0])
    ax.set_facecolor(MISSING)
    table = data.transpose(*dims).to_pandas().rename(index=_name, columns=_name)
    sns.heatmap(
        table,
        cmap=COLOURS,
        annot=table.map(form.format),
        fmt="",
        annot_kws={"size": style.TEXT},
        cbar_kws={"label": label},
        linewidths=0.5,
        ax=ax,
    )
    ax.invert_yaxis()
    ax.tick_params(axis="y", labelrotation=0)
    y, x = (data[dim].attrs.get("long_name", dim) for dim in dims)
    return style.finish(ax, data, x=x, y=y)


def _name(label):
    """Return the label of a row or column as it is to be read."""
    return style.plain(label) if isinstance(label, str) else label
