"""Figures of single pages; drawn as in :mod:`state_gradients.figures.curves`."""

import numpy as np
import seaborn as sns
from IPython.display import Markdown

from state_gradients import figures
from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book.sources import curve_table


def plot_embedding_variance(data, *, ax=None):
    """Draw the embeddings' variance along their principal axes, ([line], axis)."""
    ranked = data.assign_coords(axis=np.arange(1, data.sizes.get("axis", 0) + 1))
    ax = style.axes_or_new(ax)
    draw_lines(ax, ranked, "axis", "plot_embedding_variance", every=7)
    style.whole_numbers(ax.xaxis)
    x, y = "principal axis, by rank", "variance / mean variance"
    return style.finish(ax, data, x=x, y=y, yscale="log")


def plot_whitening(data, *, ax=None):
    """Draw singular values of several embedding spaces, ([line], component)."""
    ax = draw_lines(style.axes_or_new(ax), data, "component", "plot_whitening", every=7)
    style.whole_numbers(ax.xaxis)
    x, y = "singular value, by rank", r"$\sigma$ / largest"
    return style.finish(ax, data, x=x, y=y, yscale="log")


def plot_linearization(data, *, ax=None):
    """Draw the relative error of first order by the step's length, ([line], step)."""
    ax = draw_lines(style.axes_or_new(ax), data, "step", "plot_linearization", every=1)
    x = r"length of the step $\|\Delta e\|$"
    y = r"$\|\Delta s - G\,\Delta e\| \;/\; \|G\,\Delta e\|$"
    return style.finish(ax, data, x=x, y=y, xscale="log", yscale="log")


def compare(data, *, interval=None, title=""):
    """Draw the curves of several experiments, or say that there is nothing to compare.

    Parameters
    ----------
    data : Dataset or None
        Of those of several experiments that have been run, as
        :func:`state_gradients.figures.curves.plot_memory_and_selectivity` takes them;
        None or empty for none.
    interval : Dataset, optional
        Drawn as bands.
    title : str

    Returns
    -------
    IPython.display.Markdown or None
        What stands in the figure's place while there are less than two lines.
    """
    if not _can_be_compared(data):
        return Markdown(
            "*No figure yet: a comparison needs two of them. "
            "The list above says what to run.*"
        )
    upper, _ = figures.plot_memory_and_selectivity(data, interval=interval)
    upper.set_title(style.plain(title), loc="left")
    return None


def compared(data, *, interval=None):
    """Return what :func:`compare` draws as a table, None where it draws nothing.

    Parameters
    ----------
    data, interval : Dataset or None
        As :func:`compare` takes them.

    Returns
    -------
    pandas.DataFrame or None
    """
    return curve_table(data, interval) if _can_be_compared(data) else None


def _can_be_compared(data):
    return bool(data) and data.sizes["experiment"] > 1


def plot_perplexity_ladder(data, *, ax=None):
    """Draw perplexities as marks on rungs, from the lowest up, a marker for each kind.

    Parameters
    ----------
    data : Dataset with ``perplexity``, ``error`` (standard) and ``kind``, all (rung,)
        Marks whose coordinate ``rung`` is the same share a line.
    """
    lowest = data["perplexity"].groupby("rung").min().sortby(lambda x: x)
    height = {name: row for row, name in enumerate(lowest["rung"].values)}
    ax = _rungs(ax, list(height))
    kinds = data.groupby("kind")
    colours, markers = style.colours(len(kinds)), style.markers(len(kinds))
    for number, (kind, part) in enumerate(kinds):
        ax.errorbar(
            part["perplexity"],
            [height[name] for name in part["rung"].values],
            xerr=part["error"],
            fmt=markers[number],
            color=colours[number],
            fillstyle="full" if number % 2 else "none",
            markersize=6 + 3 * (number == 0),
            label=style.plain(kind),
        )
    return style.finish(ax, data, x="perplexity", y="", legend="lower right")


def plot_table_1(data, *, ax=None):
    """Draw numbers on named rungs, a mark for each way in which they were found.

    Parameters
    ----------
    data : Dataset with ``mean``, ``lower`` and ``upper``, all (way, row), in per cent
        The first row is the highest rung. The first way, which the others are compared
        with, is drawn as rings; of the others a line goes from lower to upper.
    """
    ax = _rungs(ax, data["row"].values, height=0.42)
    ways = data["way"].values
    rungs = np.arange(data.sizes["row"])
    colours, markers = style.colours(len(ways)), style.markers(len(ways))
    beside = np.linspace(-0.27, 0.27, len(ways) - 1)  # of a rung, from its middle
    for number, way in enumerate(ways):
        one = data.sel(way=way)
        first = number == 0  # what the others are compared with stands in the middle
        ax.errorbar(
            one["mean"],
            rungs + (0 if first else beside[number - 1]),
            xerr=[one["mean"] - one["lower"], one["upper"] - one["mean"]],
            fmt=markers[number],
            color=colours[number],
            fillstyle="none" if first else "full",
            markersize=9 if first else 5,
            elinewidth=0 if first else 1,
            label=style.plain(way),
        )
    ax.invert_yaxis()
    return style.finish(ax, data, x="per cent", y="", xlim=(0, 102), legend="above")


def plot_above_chance(data, *, ax=None):
    """Draw for how many delays each property is above each control, on rungs.

    Parameters
    ----------
    data : DataArray of shape (control, property)
        Of :func:`state_gradients.paper.book.properties.above_chance`.
    """
    ax = _rungs(ax, data["property"].values, height=0.4)
    controls = data["control"].values
    rungs = np.arange(data.sizes["property"])
    colours, markers = style.colours(len(controls)), style.markers(len(controls))
    beside = np.linspace(-0.24, 0.24, len(controls))  # of a rung, from its middle
    for number, control in enumerate(controls):
        ax.plot(
            data.sel(control=control),
            rungs + beside[number],
            markers[number],
            color=colours[number],
            markersize=5,
            label=style.plain(control),
            clip_on=False,
        )
    ax.invert_yaxis()
    ax.set_xlim(left=0)
    x = "delays above 95 % of chance, from 0 on"
    return style.finish(ax, data, x=x, y="", legend="above")


def _rungs(ax, names, *, height=0.3):
    """Return axes with a named, horizontal rung for each name, so many inches apart."""
    ax = style.axes_or_new(ax, height=1.1 + height * len(names))
    ax.set_yticks(range(len(names)), [*map(style.plain, names)])
    ax.grid(axis="y", linewidth=0.8)
    ax.set_axisbelow(True)
    return ax


def plot_concept(data, *, ax=None):
    """Draw a circle of embedding steps and, beside it, what the state makes of them.

    Parameters
    ----------
    data : Dataset
        Per length of a step, in the plane: ``step`` (angle, embedding) round a circle,
        ``first_order`` (angle, state) G times it, ``change`` what the network does;
        ``property`` and ``image`` (name, ...), likewise; ``u``, ``s``, ``vt`` of G.
    """
    ax = style.axes_or_new(ax, height=2.5)
    ink, *hues = style.colours(1 + data.sizes["name"])
    gap = 2.0 + float(abs(data["first_order"]).max())

    def arrow(origin, tip, label, colour, dash=""):
        tip, at = np.asarray(tip), np.array([origin, 0.0])
        look = {"arrowstyle": "-|>", "color": colour, "lw": 1.6}
        look["linestyle"] = (0, dash) if dash else "-"
        ax.annotate("", at + tip, at, arrowprops=look | {"shrinkA": 0, "shrinkB": 0})
        along = tip / np.linalg.norm(tip)
        side = "left" if along[0] > 0.3 else "right" if along[0] < -0.3 else "center"
        beyond = 0.1 if side != "center" else 0.22
        far = at + tip + beyond * along
        ax.annotate(label, far, color=colour, ha=side, va="center")

    for name, origin in (("step", 0), ("first_order", gap), ("change", gap)):
        x, y = data[name].values.T
        look = {"marker": "o", "ls": ""} if name == "change" else {}
        ax.plot(x + origin, y, color="0.5", linewidth=1, markersize=2, **look)
    for i, (u, v) in enumerate(zip(data["u"].values.T, data["vt"].values, strict=True)):
        arrow(0, v, f"$v_{i + 1}$", ink, style.DASHES[i])
        tip = float(data["s"][i]) * u
        arrow(gap, tip, rf"$\sigma_{i + 1} u_{i + 1}$", ink, style.DASHES[i])
    for i, name in enumerate(data["name"].values):
        arrow(0, data["property"][i], name, hues[i])
        arrow(gap, data["image"][i], f"{name}$'$", hues[i])
    ax.text(0, 1.5, "embedding space, then", ha="center")
    ax.text(gap, 1.5, "state space, now", ha="center")
    look = {"arrowstyle": "->", "color": "0.4", "connectionstyle": "arc3,rad=-0.2"}
    ax.annotate("", (gap - 1.0, 0.9), (1.0, 0.9), arrowprops=look)
    ax.text(gap / 2, 1.3, "$G$", ha="center")
    ax.set(aspect="equal", xlim=(-1.5, gap + 1.5), ylim=(-1.4, 1.7))
    ax.set_axis_off()
    return ax


def plot_speed(data, *, ax=None):
    """Draw the time each way of computing takes, logarithmically, a mark a machine.

    Parameters
    ----------
    data : DataArray of shape (machine, way)
        Milliseconds a token; NaN where a way was not measured.
    """
    ax = _rungs(ax, data["way"].values)
    n_machines = data.sizes["machine"]
    rung = data["way"].copy(data=range(data.sizes["way"]))
    table = data.rename("time").to_dataset().assign(rung=rung).to_dataframe()
    sns.scatterplot(
        table.reset_index(),
        x="time",
        y="rung",
        hue="machine",
        style="machine",
        palette=style.colours(n_machines),
        markers=style.markers(n_machines),
        s=50,
        legend="full" if n_machines > 1 else False,
        ax=ax,
    )
    ax.invert_yaxis()
    if n_machines == 1:
        ax.set_title(style.plain(data["machine"].values[0]), loc="left")
    x = "milliseconds a token"
    return style.finish(ax, data, x=x, y="", xscale="log", legend="above")
