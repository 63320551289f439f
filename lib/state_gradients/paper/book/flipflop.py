"""Figures, tables and numbers of the page on a network without words.

Each `plot_*` draws; the others pick from the artifacts ``network`` and ``flipflop``
what is drawn and said.
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.foundation import settings
from state_gradients.paper.flipflop import bounds, fixed_points, memory
from state_gradients.text import flipflop

SLANT = 0.45, 0.3  # how far the third channel moves a point right and up
KINDS = {0: "stable", 1: "saddle", 2: "two unstable directions", 3: "three"}


def plot_task(data, *, axes=None):
    """Draw a stretch of a trial: pulses as stems, what is said as a line.

    Parameters
    ----------
    data : Dataset
        The artifact ``flipflop``.
    axes : three matplotlib.axes.Axes, optional
        Drawn on, a channel each; those of a new figure by default.

    Returns
    -------
    sequence of matplotlib.axes.Axes
    """
    axes = style.stacked_axes(flipflop.CHANNELS, height=1.2) if axes is None else axes
    muted, line = style.MUTED, style.colours(3)[2]
    for channel, ax in enumerate(axes):
        one = data.isel(channel=channel)
        steps = np.flatnonzero(one["shown_input"])
        heights = one["shown_input"].values[steps]
        ax.vlines(steps, 0, heights, color=muted, linewidth=2.5, label="pulse")
        said = one["shown_said"]
        ax.plot(np.arange(len(said)), said, color=line, label="what is said")
        is_last = channel == flipflop.CHANNELS - 1
        style.finish(
            ax,
            data if channel == 0 else xr.Dataset(),
            x="step" if is_last else "",
            y=f"channel {channel + 1}",
            ylim=(-1.5, 1.5),
            legend="above",
        )
        if channel:
            ax.get_legend().remove()
    return axes


def drawn_task(data):
    """Return what :func:`plot_task` draws, of shape (time, channel)."""
    names = ["shown_input", "shown_said"]
    steps = np.arange(data.sizes["time"])
    channels = np.arange(flipflop.CHANNELS) + 1
    return data[names].assign_coords(time=steps, channel=channels).drop_attrs()


def curves(data):
    """Return both views of what is left of an input, by delay.

    Parameters
    ----------
    data : Dataset
        The artifact ``flipflop``.

    Returns
    -------
    xarray.Dataset
        ``rms_memory`` and ``turned`` of shape (group, delay); the groups in words.
    """
    names = [
        name if name == memory.NO_PULSE else f"next after {name}"
        for name in data["group"].values
    ]
    found = data[[*bounds.VIEWS]].assign_coords(group=names)
    return found.drop_attrs()


def plot_views(data, *, axes=None):
    """Draw what is left of an input by delay: by gradients, and by whole changes.

    Parameters
    ----------
    data : Dataset
        The artifact ``flipflop``.
    axes : two matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    two matplotlib.axes.Axes
    """
    axes = style.stacked_axes() if axes is None else axes
    labels = {
        "rms_memory": "gradient\n(state units per pulse)",
        "turned": "turned round\n(state units per pulse)",
    }
    for ax, (view, label) in zip(axes, labels.items(), strict=True):
        is_first = view == "rms_memory"
        lines = curves(data)[view]
        draw_lines(ax, lines, "delay", "plot_views", every=10, named=is_first)
        for gap in flipflop.GAPS:
            ax.axvline(gap, color=style.MUTED, linewidth=0.6, linestyle=":")
        style.finish(
            ax,
            data if is_first else xr.Dataset(),
            x="" if is_first else "delay (steps since the input)",
            y=label,
            ylim=(0, None),
            legend="above",
        )
    return axes


def seen(said):
    """Return where a point of what is said stands in a drawing of the cube, (.., 2).

    Parameters
    ----------
    said : ndarray of shape (.., channel)
    """
    return said[..., :2] + said[..., 2:] * np.array(SLANT)


def plot_fixed_points(data, *, ax=None):
    """Draw the fixed points by what the network says there, and where saddles lead.

    Parameters
    ----------
    data : Dataset
        The artifact ``flipflop``.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=4.2)
    place = seen(data["said"].values)
    n_unstable = data["n_unstable"].values
    for number, ends in enumerate(data["leads_to"].values):
        for end in ends[ends != fixed_points.NOWHERE]:
            ax.plot(*place[[number, end]].T, color=style.MUTED, linewidth=1, zorder=1)
    colours, markers = style.colours(4), style.markers(4)
    for n, name in KINDS.items():
        chosen = place[n_unstable == n]
        looks = {"color": colours[n], "marker": markers[n], "linestyle": ""}
        filled = {} if n == 0 else {"markerfacecolor": "none"}
        ax.plot(*chosen.T, label=name, markersize=8, zorder=2 + n, **looks, **filled)
    x, y = "channels 1 and, slanted, 3", "channels 2 and, slanted, 3"
    return style.finish(ax, data, x=x, y=y, legend="above")


def drawn_points(data):
    """Return what :func:`plot_fixed_points` draws, a table, a row for each point."""
    said = data["said"].values
    table = pd.DataFrame(said, columns=[f"channel {k + 1}" for k in range(3)])
    table[["to the right", "up"]] = seen(said)
    table["unstable directions"] = data["n_unstable"].values
    table[["leads to", "and to"]] = data["leads_to"].values
    return table


def told_stable(data):
    """Return a table of the stable points: bits, what is said, how slowly they attract.

    The half-life is that of the slowest direction, ln 2 / -ln of its eigenvalue.
    """
    stable = data.isel(fixed_point=data["n_unstable"].values == 0)
    rows = []
    for number in range(stable.sizes["fixed_point"]):
        one = stable.isel(fixed_point=number)
        said = one["said"].values
        size = float(one["eigenvalue_size"][0])
        rows.append(
            {
                "bits": " ".join("+" if bit > 0 else "-" for bit in said),
                "said": ", ".join(f"{x:.2f}" for x in said),
                "largest eigenvalue": f"{size:.4f}",
                "half-life (steps)": f"{-np.log(2) / np.log(size):,.0f}",
                "starts": int(one["n_ended"]),
            }
        )
    return pd.DataFrame(rows)


def told_counts(runs):
    """Return a table of how many fixed points there are, a row for each run."""
    rows = {}
    for run, data in runs.items():
        n_unstable = data["n_unstable"].values
        rows[run] = {name: int((n_unstable == n).sum()) for n, name in KINDS.items()}
        rows[run] |= {
            "starts": int(data["n_starts"]),
            "ended slow": int(data["n_slow"]),
            "beyond": int(data["n_beyond"]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("run")


def joins_neighbours(data):
    """Return how many saddles lead to two stable points that differ in one bit."""
    bits = np.sign(data["said"].values)
    ends = data["leads_to"].values
    whole = ends[(ends != fixed_points.NOWHERE).all(axis=1)]
    return sum(int((bits[a] != bits[b]).sum() == 1) for a, b in whole)


def rate(data):
    """Return by what factor a step the gradients fall, in the longest gap.

    From 20 steps behind the pulse to one before the next.
    """
    longest = max(flipflop.GAPS)
    curve = data["rms_memory"].sel(group=str(longest))
    first, last = 20, longest - 1
    ratio = float(curve.sel(delay=last) / curve.sel(delay=first))
    return ratio ** (1 / (last - first))


def settings_of(name):
    """Return what a network was trained and is measured on, texts by name."""
    experiment = settings.load_experiment(name)
    gaps = [str(gap) for gap in flipflop.GAPS]
    return {
        "units": str(experiment.model.units),
        "n_trials": f"{flipflop.N_TRIALS['train']:,}",
        "n_steps": str(experiment.training.num_steps),
        "test_steps": str(flipflop.TEST_STEPS),
        "gaps": f"{', '.join(gaps[:-1])} or {gaps[-1]}",
        "last": str(max(flipflop.GAPS) - 1),
        "later": str(memory.NO_PULSE_BEFORE - 1),
    }


def numbers(runs, networks):
    """Return the numbers of the page's prose, texts by name.

    Parameters
    ----------
    runs : dict of str to Dataset
        The artifacts ``flipflop``; the first is the one that is drawn.
    networks : dict of str to Dataset
        The artifacts ``network`` that there are, of which the first run's must be.
    """
    first, data = next(iter(runs.items()))
    texts = {"n_runs": str(len(runs)), "rate": f"{rate(data):.3f}"}
    texts["right"] = f"{float(networks[first]['right']):.2%}"
    texts["error"] = f"{float(networks[first]['error']):.4f}"
    texts["epochs"] = str(networks[first].sizes["epoch"])
    texts["epochs_loss"] = f"{float(networks[first]['loss'][-1]):.4f}"
    for view, short in (("rms_memory", "gradient"), ("turned", "turned")):
        found = [bounds.ratios(each, view) for each in runs.values()]
        for name in bounds.EXPECTED:
            values = [one[name] for one in found]
            key = f"{short}_{name.replace(' ', '_')}"
            texts[key] = f"{min(values):.2g} to {max(values):.2g}"
    sizes = data["eigenvalue_size"].values[data["n_unstable"].values == 0, 0]
    texts["slowest"] = f"{sizes.max():.4f}"
    texts["fastest"] = f"{sizes.min():.3f}"
    life = -np.log(2) / np.log(sizes.max())
    texts["half_life"] = f"{life:,.0f}"
    texts["rate_half_life"] = f"{-np.log(2) / np.log(rate(data)):.0f}"
    texts["off"] = f"{bounds.memories(data)[1]:.2f}"
    texts["joins"] = str(joins_neighbours(data))
    samples = data["n_samples"]
    texts["n_samples"] = f"{int(samples.min())} to {int(samples.max())}"
    curve = data["turned"]
    longest = max(flipflop.GAPS)
    at = curve.sel(group=str(longest), delay=longest + 10)
    before = curve.sel(group=str(longest), delay=longest - 1)
    texts["turned_ten_after"] = f"{float(at / before):.2g}"
    bit = data["bit_turned"].sel(group=[str(gap) for gap in flipflop.GAPS])
    held = [bit.sel(group=str(gap), delay=slice(1, gap - 1)) for gap in flipflop.GAPS]
    gone = [bit.sel(group=str(gap), delay=slice(gap, None)) for gap in flipflop.GAPS]
    texts["bit_held"] = f"{min(float(one.min()) for one in held):.0%}"
    texts["bit_gone"] = f"{max(float(one.max()) for one in gone):.0%}"
    said = data["said_memory"].sel(group=str(longest))
    state = data["memory"].sel(group=str(longest))
    for delay in (1, 40):
        texts[f"said_{delay}"] = f"{float(said.sel(delay=delay)):.2g}"
        texts[f"mean_{delay}"] = f"{float(state.sel(delay=delay)):.2g}"
    return texts
