"""Figures of the synthetic study; drawn as in :mod:`state_gradients.figures.curves`."""

import matplotlib.pyplot as plt

from state_gradients.figures.curves import (
    COLOURS,
    DASHES,
    MARKERS,
    _axes,
    _draw,
    _finish,
)

CYCLE = (16, 32, 48)  # delays at which a cycle ends, where no <eos> comes between


def plot_counting_plane(data, *, ax=None):
    """Draw Fig. 2: cells on two LDA directions, grey by count, and their class means.

    Parameters
    ----------
    data : Dataset
        ``plane_states`` (sample, axis), ``plane_count`` (sample,), ``plane_means``
        (label, axis).
    """
    ax = _axes(ax, size=(7.0, 5.2))
    x, y = data["plane_states"].transpose("axis", "sample").values
    colours = plt.get_cmap("cividis", data.sizes["label"])(data["plane_count"].values)
    ax.scatter(x, y, s=5, c=colours, alpha=0.6, linewidths=0)
    means = data["plane_means"].transpose("label", "axis")
    ax.plot(*means.values[:-1].T, color="0.4", linewidth=0.8)
    for label, place in zip(means["label"].values, means.values, strict=True):
        box = {"boxstyle": "round,pad=0.15", "fc": "white", "ec": "0.6", "lw": 0.5}
        ax.annotate(label, place, ha="center", va="center", fontsize=8, bbox=box)
    return _finish(ax, data, x="LDA direction 1", y="LDA direction 2")


def plot_singular_sums(data, *, ax=None):
    """Draw Fig. 3, left axis: sums of singular values against the delay.

    Parameters
    ----------
    data : DataArray of shape ([run], group, [subspace], delay)
        Lines are means over the runs, a colour for each group and a dash for each
        subspace (without subspaces, for each group); the band spans the runs.
    """
    ax = _axes(ax, size=(7.0, 4.2))
    runs = data if "run" in data.dims else data.expand_dims("run")
    several = "subspace" in runs.dims
    runs = runs if several else runs.expand_dims(subspace=[""])
    for i, group in enumerate(runs["group"].values):
        for j, space in enumerate(runs["subspace"].values):
            part = runs.sel(group=group, subspace=space)
            style = {"color": COLOURS[i], "linestyle": DASHES[j if several else i]}
            label = f"{group}, {space}" if several else group
            ax.plot(part["delay"], part.mean("run"), label=label, **style)
            band = {"color": COLOURS[i], "alpha": 0.12, "linewidth": 0}
            ax.fill_between(part["delay"], part.min("run"), part.max("run"), **band)
    _mark_cycles(ax)
    ax.set_yscale("log")
    return _finish(ax, data, x="delay (tokens)", y=r"$\Sigma\sigma$")


def plot_delay_accuracy(data, *, ax=None):
    """Draw Fig. 3, right axis: how well a token is read from a later state.

    Parameters
    ----------
    data : DataArray of shape (representation, delay)
    """
    ax = _draw(_axes(ax), data, "delay", "plot_delay_accuracy")
    for chance, name, side in ((1 / 8, "1/8", "bottom"), (1 / 10, "1/10", "top")):
        ax.axhline(chance, color="0.6", linewidth=0.8, linestyle=DASHES[2])
        place = {"xycoords": ax.get_yaxis_transform(), "va": side, "ha": "right"}
        ax.annotate(name, (1, chance), fontsize=8, color="0.4", **place)
    _mark_cycles(ax)
    ax.set_ylim(0, 1.02)
    return _finish(ax, data, x="delay (tokens)", y="accuracy")


def _mark_cycles(ax):
    for delay in CYCLE:
        ax.axvline(delay, color="0.85", linewidth=0.8, zorder=0)


def plot_mistakes(data, *, ax=None):
    """Draw the share of wrong predictions by the label predicted, ([run], label)."""
    ax = _axes(ax)
    runs = data if "run" in data.dims else data.expand_dims("run")
    for number, run in enumerate(runs.transpose("run", "label").values):
        style = {"color": COLOURS[number], "fillstyle": "none", "linestyle": ""}
        name = str(runs["run"].values[number]) if "run" in runs.coords else None
        ax.plot(runs["label"], run, MARKERS[number], label=name, **style)
    # From the smallest share that one mistake can be: zero stands on the axis.
    ax.set_yscale("symlog", linthresh=1e-4)
    ax.set_ylim(0, 1.3)
    return _finish(ax, data, x="what is to be predicted", y="share of wrong guesses")


def plot_end_of_line(data, *, ax=None):
    """Draw p(<eos>) after each number of cycles, (line, cycles)."""
    ax = _draw(_axes(ax), data, "cycles", "plot_end_of_line", every=1)
    ax.set_xticks(data["cycles"])
    return _finish(ax, data, x="cycles that the line has had", y="p(<eos>)")
