"""Figures of what the engine adds, as in :mod:`state_gradients.figures.curves`."""

from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from state_gradients.figures.curves import _axes, _draw, _finish


def plot_coherence(data: xr.Dataset | xr.DataArray, *, ax: Axes | None = None) -> Axes:
    """Draw against the delay how much of the memory averaging leaves, from 0 to 1.

    Parameters
    ----------
    data : Dataset with ``coherence``, or DataArray, of shape ([line], delay)

    Examples
    --------
    >>> import state_gradients as sg
    >>> import xarray as xr
    >>> ax = sg.plot_coherence(xr.DataArray([1.0, 0.8, 0.5], dims="delay"))
    >>> ax.get_xlabel()
    'delay (tokens)'
    """
    share = data["coherence"] if isinstance(data, xr.Dataset) else data
    ax = _draw(_axes(ax), share, "delay", "plot_coherence")
    x, y = "delay (tokens)", r"coherence: $\sigma_1$ of mean / root mean square"
    return _finish(ax, data, x=x, y=y, ylim=(0, 1.02), legend="center right")


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

    Examples
    --------
    >>> import state_gradients as sg
    >>> import xarray as xr
    >>> memory = xr.DataArray([[1.0, 0.5], [1.0, 0.5]], dims=("token", "delay"))
    >>> ax = sg.plot_sentence(memory, ["state", "gradients"])
    >>> [tick.get_text() for tick in ax.get_xticklabels()]
    ['state', 'gradients']
    """
    n_tokens, n_delays = (memory.sizes.get(dim) for dim in ("token", "delay"))
    if len(memory.dims) != 2 or n_tokens != len(words) or not n_delays:
        raise ValueError(
            "plot_sentence: `memory` must have the dimensions (token, delay) and a "
            f"token for each of the {len(words)} words, received {dict(memory.sizes)}."
        )
    ax = _axes(ax, size=(1.6 + 0.28 * n_tokens, 1.4 + 0.16 * n_delays))
    colours = plt.get_cmap("cividis").with_extremes(bad="0.88")
    values = memory.transpose("delay", "token").values
    image = ax.imshow(values, cmap=colours, norm="log", aspect="auto")
    bar = ax.figure.colorbar(image, ax=ax, pad=0.02, label=r"memory $\sigma_1$")
    bar.outline.set_visible(False)
    ax.set_xticks(range(n_tokens), words, rotation=90, fontsize=8)
    rows = np.arange(0, n_delays, 1 + (n_delays - 1) // 10)
    ax.set_yticks(rows, memory["delay"].values[rows])
    return _finish(ax, memory, x="word", y="delay (tokens)")
