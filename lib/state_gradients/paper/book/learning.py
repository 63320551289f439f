"""Figures, tables and numbers of the page on memory while it is learnt.

Each `plot_*` draws; the others pick from the artifact ``learning`` what is drawn and
said.
"""

import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import Markdown

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.paper.language.learning import half_way
from state_gradients.project import artifacts

DRAWN = 5  # epochs at most that a figure shows
NEAR, FAR = 1, 10  # delays that are followed through training
SHORT = ("near", "far", "selectivity", "order", "number", "degree")  # of `quantities`
NUMBER, DEGREE, TENSE = "singular - plural", "base - comparative", "present - past"


def learnt(name):
    """Return the artifact ``learning`` of an experiment, None if it was not made."""
    if not has_run(name, "learning"):
        return None
    return artifacts.load(name, "learning").assign_coords(experiment=name)


def missing(name):
    """Say how the artifact ``learning`` is made; if it has been, nothing."""
    if has_run(name, "learning"):
        return None
    return Markdown(f"Not run yet:\n\n- `state-gradients reproduce {name}`")


def drawn(plot, data):
    """Draw what a network has learnt, or say that there is nothing yet.

    Parameters
    ----------
    plot : callable
        Takes `data`.
    data : Dataset or None

    Returns
    -------
    IPython.display.Markdown or None
        What stands in the figure's place.
    """
    if data is None:
        return Markdown("*No figure yet. The list above says what to run.*")
    plot(data)
    return None


def numbers_or_dashes(data, prefix):
    """Return :func:`numbers` under names that begin with `prefix`.

    Parameters
    ----------
    data : Dataset or None
        Of a network that has not been run every number is a dash.
    prefix : str
    """
    if data is not None:
        return {f"{prefix}{name}": text for name, text in numbers(data).items()}
    halves = [f"{key}_half" for key in SHORT]
    names = ["epochs", "last", "n_tokens", "near_share", "far_share", *halves]
    return {f"{prefix}{name}": DASH for name in names}


def of_state(data):
    """Return what the artifact says of one state: an LSTM's cell, else the hidden."""
    return data.isel(state_kind=-1, drop=True)


def chosen_epochs(epochs):
    """Return the epochs that are drawn: the first ones, one half way, the last."""
    epochs = [int(epoch) for epoch in epochs]
    if len(epochs) <= DRAWN:
        return epochs
    return [*epochs[: DRAWN - 2], epochs[(DRAWN - 2 + len(epochs)) // 2], epochs[-1]]


def curves(data):
    """Return memory and selectivity by delay at the epochs that are drawn.

    Returns
    -------
    xarray.Dataset
        ``memory``, ``selectivity`` of shape (epoch, delay), the epochs in words.
    """
    one = of_state(data).sel(epoch=chosen_epochs(data["epoch"].values))
    names = [
        "untrained" if epoch == 0 else f"epoch {epoch}" for epoch in one["epoch"].values
    ]
    return one[["memory", "selectivity"]].assign_coords(epoch=names).drop_attrs()


def plot_curves(data, *, axes=None):
    """Draw memory and selectivity by delay, a line an epoch.

    Parameters
    ----------
    data : Dataset
        The artifact ``learning``.
    axes : two matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    two matplotlib.axes.Axes
    """
    axes = style.stacked_axes() if axes is None else axes
    found = curves(data)
    labels = {"memory": r"memory $\sigma_1$", "selectivity": "selectivity"}
    for ax, (name, label) in zip(axes, labels.items(), strict=True):
        is_first = name == "memory"
        draw_lines(ax, found[name], "delay", "plot_curves", named=is_first)
        style.finish(
            ax,
            data if is_first else xr.Dataset(),
            x="" if is_first else "delay (tokens)",
            y=label,
            yscale="log" if is_first else "linear",
            legend="above",
        )
    return axes


def quantities(data):
    """Return what is followed through training, each of shape (epoch,).

    Returns
    -------
    dict of str to DataArray
        Memory at two delays, selectivity; the mean of how far the properties order
        the words as in the end; and the memory of two of them, beside chance.
    """
    one = of_state(data)
    near = min(NEAR, int(one["delay"][-1]))
    far = min(FAR, int(one["delay"][-1]))
    kept = (one["relative_memory"] / one["chance"]).sel(delay=far, drop=True)
    return {
        f"memory at {near}": one["memory"].sel(delay=near, drop=True),
        f"memory at {far}": one["memory"].sel(delay=far, drop=True),
        f"selectivity at {near}": one["selectivity"].sel(delay=near, drop=True),
        "order of words": one["order"].mean("property"),
        f"number at {far}": kept.sel(property=NUMBER, drop=True),
        f"degree at {far}": kept.sel(property=DEGREE, drop=True),
    }


def ways(data):
    """Return what share of its whole change each quantity has behind it, by epoch.

    Returns
    -------
    DataArray of shape (quantity, epoch)
        0 for the untrained network, 1 for the trained one.
    """
    followed = quantities(data)
    shares = [
        (one - one.isel(epoch=0)) / (one.isel(epoch=-1) - one.isel(epoch=0))
        for one in followed.values()
    ]
    names = xr.Variable("quantity", [*followed])
    joined = xr.concat(shares, names, coords="minimal", compat="override")
    return joined.reset_coords(drop=True).drop_attrs().rename("share")


def plot_ways(data, *, ax=None):
    """Draw how far each quantity has come, by epoch.

    Parameters
    ----------
    data : Dataset
        The artifact ``learning``.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.8)
    draw_lines(ax, ways(data), "epoch", "plot_ways", every=1)
    style.whole_numbers(ax.xaxis)
    y = "share of the whole change"
    return style.finish(ax, data, x="epoch", y=y, legend="above")


def told_order(data):
    """Return a table of what has half of its change behind it when, first things first.

    Returns
    -------
    pandas.DataFrame
        A row for each quantity: untrained, after the first epoch kept, trained, and the
        first epoch with half of the change.
    """
    rows = []
    for name, one in quantities(data).items():
        untrained, first, trained = (float(one[k]) for k in (0, 1, -1))
        rows.append(
            {
                "quantity": name,
                "untrained": f"{untrained:.3g}",
                f"epoch {int(one['epoch'][1])}": f"{first:.3g}",
                "trained": f"{trained:.3g}",
                "half way at epoch": half_way(one),
            }
        )
    return pd.DataFrame(rows).sort_values("half way at epoch", kind="stable")


def told_properties(data):
    """Return a table of the properties: when words have it, and when states hold it.

    Returns
    -------
    pandas.DataFrame
        A row for each property: the length of its step beside that of halves drawn at
        random, untrained and trained; its memory beside that of a direction drawn
        at random; and the first epochs with half of either's change.
    """
    one = of_state(data)
    far = min(FAR, int(one["delay"][-1]))
    step = one["step_length"] / one["step_by_chance"]
    kept = (one["relative_memory"] / one["chance"]).sel(delay=far, drop=True)
    rows = []
    for name in one["property"].values:
        row = {"property": str(name)}
        for title, values in (("step", step), (f"memory at {far}", kept)):
            values = values.sel(property=name)
            ends = (float(values[k]) for k in (0, -1))
            row[f"{title} / chance"] = " to ".join(f"{x:.2g}" for x in ends)
            row[f"{title}, half way"] = half_way(values)
        rows.append(row)
    return pd.DataFrame(rows)


def numbers(data):
    """Return the numbers of the page's prose, texts by name.

    Parameters
    ----------
    data : Dataset
        The artifact ``learning``.
    """
    one, followed = of_state(data), quantities(data)
    epochs = one["epoch"].values
    texts = {
        "epochs": ", ".join(str(epoch) for epoch in epochs[1:-1]),
        "first": str(epochs[1]),
        "last": str(epochs[-1]),
        "n_tokens": f"{int(one['n_tokens']):,}",
    }
    for key, values in zip(SHORT, followed.values(), strict=True):
        untrained, first, trained = (float(values[k]) for k in (0, 1, -1))
        second = float(values[min(2, len(values) - 1)])
        texts |= {
            f"{key}_second": f"{second:.3g}",
            f"{key}_untrained": f"{untrained:.3g}",
            f"{key}_first": f"{first:.3g}",
            f"{key}_trained": f"{trained:.3g}",
            f"{key}_half": str(half_way(values)),
            f"{key}_share": f"{(first - untrained) / (trained - untrained):.0%}",
            f"{key}_times": f"{trained / untrained:.2g}",
        }
    for delay in (NEAR, FAR):
        place = min(delay, int(one["delay"][-1]))
        texts["near_delay" if delay == NEAR else "far_delay"] = str(place)
    perplexity = one["valid_perplexity"]
    texts["perplexity_first"] = f"{float(perplexity[1]):.1f}"
    texts["perplexity_last"] = f"{float(perplexity[-1]):.1f}"
    step = one["step_length"] / one["step_by_chance"]
    for key, name in (("step_number", NUMBER), ("step_tense", TENSE)):
        values = step.sel(property=name).values
        for place, k in (
            ("first", 1),
            ("second", min(2, len(epochs) - 1)),
            ("last", -1),
        ):
            texts[f"{key}_{place}"] = f"{values[k]:.2g}"
    texts["second"] = str(epochs[min(2, len(epochs) - 1)])
    of_properties = np.array(
        [half_way(one["step_length"].sel(property=name)) for name in one["property"]]
    )
    texts["steps_by_first"] = str(int((of_properties <= epochs[1]).sum()))
    texts["n_properties"] = str(len(of_properties))
    return texts
