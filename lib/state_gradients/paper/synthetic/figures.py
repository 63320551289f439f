"""Figures of the synthetic study; drawn as in :mod:`state_gradients.figures.curves`."""

import numpy as np
import seaborn as sns
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines

CYCLE = (16, 32, 48)  # delays at which a cycle ends, where no <eos> comes between


def plot_counting_plane(data, *, ax=None):
    """Draw Fig. 2: cells on two LDA directions, lighter by count, and class means.

    Parameters
    ----------
    data : Dataset
        ``plane_states`` (sample, axis), ``plane_count`` (sample,), ``plane_means``
        (label, axis).
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=4.4)
    n_labels = data.sizes["label"]
    x, y = data["plane_states"].transpose("axis", "sample").values
    # The light third of the palette is too pale for dots on white.
    palette = sns.color_palette("rocket", 3 * n_labels // 2)[:n_labels]
    sns.scatterplot(
        x=x,
        y=y,
        hue=data["plane_count"].values,
        hue_order=range(n_labels),
        palette=dict(enumerate(palette)),
        s=9,
        alpha=0.6,
        linewidth=0,
        legend=False,
        ax=ax,
    )
    means = data["plane_means"].transpose("label", "axis")
    ax.plot(*means.values[:-1].T, color=style.MUTED, linewidth=0.8)
    box = {"boxstyle": "round,pad=0.1", "fc": "white", "ec": "0.6", "lw": 0.5}
    look = {"ha": "center", "va": "center", "color": "black", "bbox": box}
    for label, mean in zip(means["label"].values[:-1], means.values, strict=False):
        ax.annotate(str(label), mean, **look)
    # The end of line comes after 15 and lies near it: its name stands beside.
    ax.annotate(
        str(means["label"].values[-1]),
        means.values[-1],
        xytext=(-26, -12),
        textcoords="offset points",
        arrowprops={"arrowstyle": "-", "color": style.MUTED},
        **look,
    )
    return style.finish(ax, data, x="LDA direction 1", y="LDA direction 2")


def plot_singular_sums(data, *, interval=None, ax=None):
    """Draw Fig. 3, left axis: sums of singular values against the delay.

    Parameters
    ----------
    data : DataArray of shape (group, [subspace], delay)
        For instance the mean over several runs.
    interval : Dataset with ``lower`` and ``upper`` of the same shape, optional
        Drawn as bands: for instance the least and the largest of the runs.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.4)
    if "subspace" in data.dims:
        data, interval = _by_group_and_subspace(data), _by_group_and_subspace(interval)
    draw_lines(ax, data, "delay", "plot_singular_sums", band=interval, every=6)
    _mark_cycles(ax)
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", r"$\Sigma\sigma$"
    return style.finish(ax, data, x=x, y=y, yscale="log")


def _by_group_and_subspace(data):
    """Put groups and subspaces on one dimension, named after both."""
    if data is None:
        return None
    lines = data.stack(line=("group", "subspace"))
    names = [", ".join(map(str, pair)) for pair in lines["line"].values]
    return lines.drop_vars(("line", "group", "subspace")).assign_coords(line=names)


def plot_delay_accuracy(data, *, y="accuracy", ax=None):
    """Draw Fig. 3, right axis: how well a token is read from a later state.

    Parameters
    ----------
    data : DataArray of shape (line, delay)
        The lines are states, readers, or what a reader names. Values may be missing
        where a reader has nothing to read.
    y : str
        What the vertical axis shows.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    [by] = [dim for dim in data.dims if dim != "delay"]
    ends_early = data.where(data.isnull().astype(int).cumsum("delay") == 0)
    ax = draw_lines(style.axes_or_new(ax), ends_early, "delay", "plot_delay_accuracy")
    lines = [line for line in ax.lines if len(line.get_xdata())]
    for number, line in enumerate(lines):  # go on behind what is missing
        row = data.isel({by: number})
        line.set_data(row["delay"].values, row.values)
    for chance, name, side in ((1 / 8, "1/8", "bottom"), (1 / 10, "1/10", "top")):
        ax.axhline(chance, color="0.6", linewidth=0.8, linestyle=":")
        ax.annotate(
            name,
            (1.01, chance),
            xycoords=ax.get_yaxis_transform(),
            va=side,
            color=style.MUTED,
        )
    _mark_cycles(ax)
    style.whole_numbers(ax.xaxis)
    x = "delay (tokens)"
    return style.finish(ax, data, x=x, y=y, ylim=(0, 1.02), legend="above")


def plot_figure_3(sums, accuracy):
    """Draw Fig. 3: sums of singular values above how well a token is read.

    Parameters
    ----------
    sums : DataArray of shape (run, group, subspace, delay)
        Drawn as the mean over the runs, with the range from the least to the largest.
    accuracy : DataArray of shape (run, representation, delay)
        Drawn as the mean over the runs.

    Returns
    -------
    ndarray of matplotlib.axes.Axes
        The upper and the lower one.
    """
    above, below = axes = style.stacked_axes(height=3.4)
    band = xr.Dataset({"lower": sums.min("run"), "upper": sums.max("run")})
    mean = sums.mean("run", keep_attrs=True)
    plot_singular_sums(mean, interval=band, ax=above).set_xlabel("")
    plot_delay_accuracy(accuracy.mean("run"), ax=below)
    return axes


def plot_along_rows(data, *, y, yscale="linear", ax=None):
    """Draw how what is read, or predicted, changes along the rows of a text.

    Parameters
    ----------
    data : DataArray of shape (line, token)
        By where in its row a stretch begins.
    y, yscale : str
        What the vertical axis shows, and how.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = draw_lines(style.axes_or_new(ax), data, "token", "plot_along_rows")
    x = "tokens from the beginning of the row"
    return style.finish(ax, data, x=x, y=y, yscale=yscale, legend="above")


def _mark_cycles(ax):
    for delay in CYCLE:
        ax.axvline(delay, color="0.85", linewidth=0.8, zorder=0)


def plot_mistakes(data, *, ax=None):
    """Draw the share of wrong predictions by the label predicted, runs side by side.

    Parameters
    ----------
    data : DataArray of shape ([run], label)
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax)
    runs = data if "run" in data.dims else data.expand_dims("run")
    n_runs, n_labels = runs.sizes["run"], runs.sizes["label"]
    runs = runs.reset_coords(drop=True).transpose("run", "label")
    beside = 0.5 * ((np.arange(n_runs) + 0.5) / n_runs - 0.5)  # in labels
    labels = runs["label"].values
    positions = runs.copy(data=np.arange(n_labels) + beside[:, None])
    both = xr.Dataset({"share": runs, "position": positions})
    table = both.to_dataframe().reset_index().astype({"run": str})
    sns.scatterplot(
        table,
        x="position",
        y="share",
        hue="run",
        style="run",
        palette=style.colours(n_runs),
        markers=style.markers(n_runs),
        s=36,
        legend="full" if "run" in data.coords else False,
        clip_on=False,
        ax=ax,
    )
    # A long name stands a line lower, where its neighbours leave it room.
    names = [f"\n{name}" if len(name) > 2 else name for name in map(str, labels)]
    ax.set_xticks(range(n_labels), names)
    # From the smallest share that one mistake can be: zero stands on the axis.
    ax.set_yscale("symlog", linthresh=1e-4)
    ticks = [0, 1e-4, 1e-3, 1e-2, 1e-1, 1]
    ax.set_yticks(ticks, [f"{tick:g}" for tick in ticks])
    ax.set_ylim(0, 1.3)
    x, y = "what is to be predicted", "share of wrong guesses"
    return style.finish(ax, data, x=x, y=y, legend="upper center")


def plot_end_of_line(data, *, ax=None):
    """Draw p(<eos>) after each number of cycles.

    Parameters
    ----------
    data : DataArray of shape (line, cycles)
        Lines that coincide have their markers at different numbers.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax)
    draw_lines(ax, data, "cycles", "plot_end_of_line", every=3)
    ax.set_xticks(data["cycles"])
    return style.finish(ax, data, x="cycles that the line has had", y="p(<eos>)")
