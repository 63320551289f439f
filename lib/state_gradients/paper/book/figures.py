"""Figures of single pages; drawn as in :mod:`state_gradients.figures.curves`."""

import numpy as np

from state_gradients.figures.curves import (
    COLOURS,
    DASHES,
    MARKERS,
    _axes,
    _draw,
    _finish,
)


def plot_embedding_variance(data, *, ax=None):
    """Draw the embeddings' variance along their principal axes, ([line], axis)."""
    ranked = data.assign_coords(axis=np.arange(1, data.sizes.get("axis", 0) + 1))
    ax = _draw(_axes(ax), ranked, "axis", "plot_embedding_variance", every=7)
    x, y = "principal axis, by rank", "variance / mean variance"
    return _finish(ax, data, x=x, y=y, yscale="log")


def plot_whitening(data, *, ax=None):
    """Draw singular values of several embedding spaces, ([line], component)."""
    ax = _draw(_axes(ax), data, "component", "plot_whitening", every=7)
    x, y = "singular value, by rank", r"$\sigma$ / largest"
    return _finish(ax, data, x=x, y=y, yscale="log")


def plot_linearization(data, *, ax=None):
    """Draw the relative error of first order by the step's length, ([line], step)."""
    ax = _draw(_axes(ax), data, "step", "plot_linearization", every=1)
    x = r"length of the step $\|\Delta e\|$"
    y = r"$\|\Delta s - G\,\Delta e\| \;/\; \|G\,\Delta e\|$"
    return _finish(ax, data, x=x, y=y, xscale="log", yscale="log")


def plot_perplexity_ladder(data, *, ax=None):
    """Draw perplexities as marks on rungs, from the lowest up, a marker for each kind.

    Parameters
    ----------
    data : Dataset with ``perplexity``, ``error`` (standard) and ``kind``, all (rung,)
        Marks whose coordinate ``rung`` is the same share a line.
    """
    lowest = data["perplexity"].groupby("rung").min().sortby(lambda x: x)
    height = {name: row for row, name in enumerate(lowest["rung"].values)}
    ax = _axes(ax, size=(7.0, 0.8 + 0.36 * len(height)))
    ax.set_yticks(range(len(height)), height)
    ax.grid(axis="y", color="0.85", linewidth=0.8)
    for number, (kind, part) in enumerate(data.groupby("kind")):
        ax.errorbar(
            part["perplexity"],
            [height[name] for name in part["rung"].values],
            xerr=part["error"],
            fmt=MARKERS[number],
            color=COLOURS[number],
            fillstyle="full" if number % 2 else "none",
            markersize=6 + 3 * (number == 0),
            label=kind,
        )
    return _finish(ax, data, x="perplexity", y="", legend="lower right")


def plot_concept(data, *, ax=None):
    """Draw a circle of embedding steps and, beside it, what the state makes of them.

    Parameters
    ----------
    data : Dataset
        Per length of a step, in the plane: ``step`` (angle, embedding) round a circle,
        ``first_order`` (angle, state) G times it, ``change`` what the network does;
        ``property`` and ``image`` (name, ...), likewise; ``u``, ``s``, ``vt`` of G.
    """
    ax = _axes(ax, size=(7.0, 3.4))
    gap = 2.0 + float(abs(data["first_order"]).max())

    def arrow(origin, tip, label, colour, dash="-"):
        tip, at = np.asarray(tip), np.array([origin, 0.0])
        look = {"arrowstyle": "-|>", "color": colour, "lw": 1.6, "linestyle": dash}
        ax.annotate("", at + tip, at, arrowprops=look | {"shrinkA": 0, "shrinkB": 0})
        far = at + tip + 0.2 * tip / np.linalg.norm(tip)
        ax.annotate(label, far, color=colour, ha="center", va="center")

    for name, origin in (("step", 0), ("first_order", gap), ("change", gap)):
        x, y = data[name].values.T
        look = {"marker": "o", "ls": ""} if name == "change" else {}
        ax.plot(x + origin, y, color="0.5", linewidth=1, markersize=2, **look)
    for i, (u, v) in enumerate(zip(data["u"].values.T, data["vt"].values, strict=True)):
        arrow(0, v, f"$v_{i + 1}$", COLOURS[0], DASHES[i])
        tip = float(data["s"][i]) * u
        arrow(gap, tip, rf"$\sigma_{i + 1} u_{i + 1}$", COLOURS[0], DASHES[i])
    for i, name in enumerate(data["name"].values):
        arrow(0, data["property"][i], name, COLOURS[1 + i])
        arrow(gap, data["image"][i], f"{name}$'$", COLOURS[1 + i])
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
    ax = _axes(ax, size=(7.0, 0.9 + 0.36 * data.sizes["way"]))
    ax.set_yticks(range(data.sizes["way"]), data["way"].values)
    ax.grid(axis="y", color="0.85", linewidth=0.8)
    for number, line in enumerate(data.transpose("machine", "way")):
        ax.plot(
            line,
            range(line.size),
            color=COLOURS[number % len(COLOURS)],
            linestyle="",
            marker=MARKERS[number % len(MARKERS)],
            markersize=7,
            label=str(line["machine"].values),
        )
    ax.invert_yaxis()
    return _finish(ax, data, x="milliseconds a token", y="", xscale="log")
