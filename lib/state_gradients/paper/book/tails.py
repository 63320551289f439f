"""The tails of further networks: how much of a word is left, cell by cell.

States of two cells have different scales, so each network's memory is taken over its
own at delay 0. All are from artifacts ``tail``.
"""

import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book import tail

SHOWN = 20, 50, 100, 200, 500  # delays of the table
ENDS = "lower", "upper"
LEAST = 1e-6  # of what is left: a figure of lines that halve at each word ends there


def left(found, quantity="rms_memory"):
    """Return what is left of a quantity of each network, over its own at delay 0.

    Parameters
    ----------
    found : dict of str to Dataset
    quantity : str
        ``rms_memory``, or ``memory`` of the mean gradient.

    Returns
    -------
    xarray.Dataset of shape (experiment, delay) or None
        ``left``, without the bias of noise, with ``lower`` and ``upper``; NaN where
        the text of a network is too short, and from the mark on from which its interval
        holds 0 for good: the rest may be noise. Of a single network None: there is
        nothing to hold it against.
    """
    if len(found) < 2:
        return None
    of_each = []
    for one in found.values():
        at = one[["estimate", *ENDS]].sel(quantity=quantity, drop=True)
        at = at.reset_coords(drop=True).drop_attrs()
        share = at / at["estimate"].sel(mark=0)
        noise = tail.meets_noise(one, quantity)
        of_each.append(share if noise is None else share.sel(mark=slice(noise - 1)))
    names = pd.Index(found, name="experiment")
    both = xr.concat(of_each, names, join="outer", combine_attrs="drop")
    both = both.rename(estimate="left", mark="delay")
    return both.where(both["left"] > 0)


def plot_left(data, *, ax=None):
    """Draw :func:`left` against the delay, down to `LEAST`.

    Parameters
    ----------
    data : Dataset or None
        Of None nothing is drawn.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes or None
    """
    if data is None:
        return None
    ax = style.axes_or_new(ax, height=3.6)
    floor = max(float(data["left"].min()) / 3, LEAST)
    band = data[[*ENDS]].clip(min=floor)  # an interval may reach down to 0
    draw_lines(ax, data["left"], "delay", "plot_left", band=band, every=3)
    ax.set_ylim(bottom=floor)
    x, y = "delay (tokens)", "root mean square over that at delay 0"
    return style.finish(ax, data, x=x, y=y, yscale="log", legend="above")


def table(found, quantity="memory"):
    """Return what is left at some delays with its interval, and where noise begins.

    Parameters
    ----------
    found : dict of str to Dataset
    quantity : str
        ``memory`` of the mean gradient, or ``rms_memory``.
    """
    rows = {}
    for label, one in found.items():
        of_one = one.sel(quantity=quantity)
        first, row = float(of_one["estimate"].sel(mark=0)), {}
        for delay in SHOWN:
            told = "too short a text"
            if delay in one["mark"].values:
                at = of_one.sel(mark=delay)
                value, *ends = (float(at[end]) / first for end in ("estimate", *ENDS))
                told = f"{value:.2g} [{', '.join(f'{end:.2g}' for end in ends)}]"
            row[f"left at {delay}"] = told if "nan" not in told else "(0 in float32)"
        noise = tail.meets_noise(one, quantity)
        row["may be noise from"] = str(noise) if noise else "not before the end"
        rows[label] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def told(found, members, delays=(50, 200)):
    """Return, as text, the networks by what is left in them, and what is not run.

    Parameters
    ----------
    found, members : dict
        The networks that have a tail, and all, by label.
    delays : tuple of int
        Of the artifacts' marks; those that all texts are too short for are left out.
    """
    lines = []
    for quantity, named in (("rms_memory", "Root mean square"), ("memory", "Memory")):
        shares = left(found, quantity)
        for delay in delays if shares is not None else ():
            if delay in shares["delay"]:
                at = shares["left"].sel(delay=delay).dropna("experiment")
                at = at.sortby(at, ascending=False)
                pairs = zip(at["experiment"].values, at.values, strict=True)
                values = ", ".join(f"{name} {value:.2g}" for name, value in pairs)
                lines.append(f"{named} {delay} words after: {values}.")
    lines += _too_little(left(found))
    absent = [members[label] for label in members if label not in found]
    if absent:
        commands = ", ".join(f"`state-gradients tail {name}`" for name in absent)
        lines.append(f"Not run yet: {commands}.")
    return "\n\n".join(lines)


def _too_little(shares):
    """Return, as a line of text or none, from where on networks are not drawn."""
    if shares is None:
        return []
    little = shares["left"] < LEAST
    ends = [
        f"{name} from {int(shares['delay'][little.sel(experiment=name)][0])} words on"
        for name in shares["experiment"].values
        if little.sel(experiment=name).any()
    ]
    return [f"Of {', of '.join(ends)} less than {LEAST:g} is left."] if ends else []
