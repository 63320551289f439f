"""Figures: each function draws computed, labelled data on one Axes and returns it.

Lines differ in colour (Okabe and Ito's, safe for the colour-blind), in dash and in
marker, so that a grey print tells them apart. Data have the axis that the figure runs
along and at most one other, whose labels name the lines; the title is the experiment's.
"""

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr

COLOURS = ("#000000", "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00")
DASHES = ("-", (0, (5, 2)), (0, (1, 1.2)), (0, (6, 2, 1, 2)), (0, (3, 1, 1, 1)))
MARKERS = "os^Dv"


def _axes(ax, size=(7.0, 3.8)):
    if ax is None:
        ax = plt.subplots(figsize=size, dpi=160, layout="constrained")[1]
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def _draw(ax, data, along, who, *, band=None, dash=None, suffix=None, every=5):
    """Draw `data` along one axis, a line for each entry of the other, if any."""
    dims = getattr(data, "dims", ())
    others = [dim for dim in dims if dim != along]
    if len(others) > 1 or along not in dims:
        raise ValueError(
            f"{who}: the data must be a DataArray with the dimensions ({along}) or "
            f"(line, {along}), received {getattr(data, 'sizes', type(data))}; select "
            "one entry of every other dimension first."
        )
    lines = data.transpose(*others, along) if others else [data]
    if band is not None:
        band = xr.align(data, band[["lower", "upper"]], join="exact")[1]
    for number, line in enumerate(lines):
        names = [str(line[dim].values) for dim in others if dim in line.coords]
        colour = COLOURS[number % len(COLOURS)]
        if band is not None:
            ends = band.isel({dim: number for dim in others})
            look = {"color": colour, "alpha": 0.2, "linewidth": 0}
            ax.fill_between(line[along], ends["lower"], ends["upper"], **look)
        ax.plot(
            line[along],
            line,
            label=" ".join([*names, suffix] if suffix else names) or None,
            color=colour,
            linestyle=DASHES[number % len(DASHES)] if dash is None else dash,
            marker=MARKERS[number % len(MARKERS)],
            markevery=(number % every, every),
            markersize=4.5,
        )
    return ax


def _interval_of(interval, name):
    """Return one quantity's interval from the result of a block bootstrap, if any."""
    several = interval is not None and "quantity" in interval.dims
    return interval.sel(quantity=name, drop=True) if several else interval


def _finish(ax, data, *, x, y, legend="best", **settings):
    named = data.coords.get("experiment", data.attrs.get("experiment"))
    ax.set(xlabel=x, ylabel=y, **settings)
    if named is not None and np.ndim(named) == 0:
        ax.set_title(str(getattr(named, "values", named)), loc="left", fontsize=10)
    if ax.get_legend_handles_labels()[1]:
        ax.legend(frameon=False, fontsize=9, loc=legend)
    return ax


def plot_memory(data, *, interval=None, ax=None):
    """Draw sigma_1 against the delay, logarithmically.

    Parameters
    ----------
    data : Dataset with ``memory``, or DataArray, of shape ([line], delay)
        For instance ``spectra``, selected to one state and one group.
    interval : Dataset with ``lower`` and ``upper`` of shape ([quantity], [line], delay)
        Of a block bootstrap, drawn as a band: without an end where it reaches to zero.
    """
    memory = data["memory"] if isinstance(data, xr.Dataset) else data
    band = _interval_of(interval, "memory")
    ax = _draw(_axes(ax), memory, "delay", "plot_memory", band=band)
    x, y = "delay (tokens)", r"memory $\sigma_1$"
    return _finish(ax, data, x=x, y=y, yscale="log")


def plot_selectivity(data, *, interval=None, ax=None):
    """Draw the shares of the largest (solid) and the five largest (dashed) of sigma.

    Parameters
    ----------
    data : Dataset with ``selectivity`` and ``selectivity_5`` of shape ([line], delay)
    interval : Dataset with ``lower``, ``upper`` of shape (quantity, [line], delay)
        Of a block bootstrap, drawn as bands.
    """
    ax, who = _axes(ax), "plot_selectivity"
    one, five = r"$\sigma_1 / \Sigma\sigma$", r"$\Sigma_5\sigma / \Sigma\sigma$"
    looks = {"selectivity": ("-", one), "selectivity_5": ((0, (4, 2)), five)}
    for name, (dash, suffix) in looks.items():
        band = _interval_of(interval, name)
        _draw(ax, data[name], "delay", who, band=band, dash=dash, suffix=suffix)
    x, y = "delay (tokens)", "share of all singular values"
    return _finish(ax, data, x=x, y=y, ylim=(0, 1.02))


def plot_training_curves(data, *, ax=None):
    """Draw validation (solid) and training (dashed) perplexity against the epoch.

    Parameters
    ----------
    data : Dataset with ``valid_perplexity`` and ``train_perplexity``, ([line], epoch)
    """
    ax, who = _axes(ax), "plot_training_curves"
    curves = {"valid": ("-", "validation"), "train": ((0, (4, 2)), "training")}
    for split, (dash, suffix) in curves.items():
        curve = data[f"{split}_perplexity"]
        _draw(ax, curve, "epoch", who, dash=dash, suffix=suffix, every=1)
    ax.xaxis.get_major_locator().set_params(integer=True)
    return _finish(ax, data, x="epoch", y="perplexity", yscale="log")


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
