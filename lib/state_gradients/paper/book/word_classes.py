"""Word classes on the page of Section 4.3.3: the figure, its tables, its sentences."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style

PUBLISHED = "N, V > Adj > Adv, Pro > Conj-P, Det"  # Fig. 8a, at delays 0 and 49
EVERY, USUAL, EQUAL = "every tag", "usual tags", "usual tags, equal numbers"


def at(found, quantity, delay):
    """Return one quantity of the classes at one delay, whitened where it can be.

    Parameters
    ----------
    found : xarray.Dataset
        The ``classes`` of an experiment.
    quantity : str
        "memory", "total", ..
    delay : int

    Returns
    -------
    xarray.Dataset
        ``value``, ``lower``, ``upper`` (draw, group); ``lowest``, ``highest`` and
        ``middle`` (group), of the shuffled tags: the last is their geometric mean.
    """
    ends = found[["lower", "upper"]].sel(quantity=quantity, delay=delay, drop=True)
    curves = found.isel(normalization=-1).sel(delay=delay)
    shuffled = curves[f"shuffled_{quantity}"]
    parts = {
        "value": curves[quantity],
        "lowest": shuffled.min("shuffle"),
        "highest": shuffled.max("shuffle"),
        "middle": np.exp(np.log(shuffled).mean("shuffle")),
    }
    return ends.assign(parts).reset_coords(drop=True).drop_attrs()


def plot_classes(data, *, ax=None, x=r"memory $\sigma_1$"):
    """Draw a rung for each class: marks, their intervals, and behind them a band.

    Parameters
    ----------
    data : xarray.Dataset
        Of `at`: ``value``, ``lower``, ``upper`` (draw, group), ``lowest`` and
        ``highest`` (group).
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.
    x : str
        What stands at the horizontal axis.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=1.2 + 0.4 * data.sizes["group"])
    rungs = np.arange(data.sizes["group"])
    ax.barh(
        rungs,
        data["highest"] - data["lowest"],
        left=data["lowest"],
        height=0.8,
        color=style.MUTED,
        alpha=0.3,
        label="tags shuffled",
    )
    least = 0.5 * float(data[["value", "lowest"]].to_array().min())  # left edge
    n_draws = data.sizes["draw"]
    looks = zip(style.colours(n_draws), style.markers(n_draws), strict=True)
    for number, (colour, marker) in enumerate(looks):
        one = data.isel(draw=number)
        places = rungs + 0.24 * (number - (n_draws - 1) / 2)
        ends = np.maximum(one[["lower", "upper"]].to_array().values, least)
        ax.hlines(places, *ends, color=colour)
        name = str(one["draw"].values)
        ax.plot(one["value"], places, color=colour, marker=marker, ls="", label=name)
    ax.set_yticks(rungs, data["group"].values)
    ax.invert_yaxis()
    return style.finish(ax, data, x=x, y="", xscale="log", legend="above")


def plot_both_delays(first, last, *, delay):
    """Draw Figure 8a: sigma_1 at delay 0 above, sum sigma at the last delay below."""
    figure = plt.figure(figsize=(style.WIDTH, 7.2), layout="constrained")
    upper, lower = figure.subplots(2, 1)  # each with an axis of its own
    plot_classes(first, ax=upper, x=r"memory $\sigma_1$ at delay 0")
    plot_classes(last, ax=lower, x=rf"$\sum\sigma$ at delay {delay}")
    lower.get_legend().remove()
    return upper, lower


def plot_departures(ratio, band, *, ax=None):
    """Draw by how much classes depart from their shuffles, bold where outside all.

    Parameters
    ----------
    ratio : DataArray of shape (group, delay)
        Of `ratio_to_shuffled`.
    band : xarray.Dataset
        Of `band_of_shuffled`: ``lower``, ``upper`` (group, delay).
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.6)
    ax.axhline(0, color=style.MUTED, linewidth=0.8)
    percents = 100 * (ratio - 1)
    is_outside = (ratio < band["lower"]) | (ratio > band["upper"])
    n_groups = ratio.sizes["group"]
    looks = zip(style.colours(n_groups), style.markers(n_groups), strict=True)
    for number, (colour, marker) in enumerate(looks):
        one, bold = percents[number], is_outside[number]
        fill = "full" if number < len(style.MARKERS) else "none"
        ax.plot(one["delay"], one, color=colour, linewidth=0.7)
        ax.plot(
            one["delay"],
            one.where(bold),
            color=colour,
            linewidth=2.2,
            marker=marker,
            fillstyle=fill,
            markevery=3,
            label=str(one["group"].values),
        )
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", "memory against shuffled tags (%)"
    return style.finish(ax, ratio, x=x, y=y, legend="above")


def order(values):
    """Return the classes from the largest value down, as text.

    Parameters
    ----------
    values : DataArray of shape (group,)
    """
    falling = values.sortby(-values)
    return " > ".join(map(str, falling["group"].values))


def misplaced(values, published=PUBLISHED):
    """Return which published "a > b" our values contradict, a list of (str, str)."""
    ranks = [part.split(", ") for part in published.split(" > ")]
    known = {
        str(name): float(values.sel(group=name)) for name in values["group"].values
    }
    return [
        (above, below)
        for number, upper in enumerate(ranks)
        for lower in ranks[number + 1 :]
        for above in upper
        for below in lower
        if {above, below} <= known.keys() and known[above] <= known[below]
    ]


def orders(data):
    """Return the order of the classes by each reading, and what it contradicts.

    Parameters
    ----------
    data : xarray.Dataset
        Of :func:`at`.

    Returns
    -------
    orders, contradictions : dict of str to str
        By "every" tag, "usual" tags and "equal" numbers.
    """
    readings = {"every": EVERY, "usual": USUAL, "equal": EQUAL}
    values = {name: data["value"].sel(draw=draw) for name, draw in readings.items()}
    wrong = {
        name: [f"{below} above {above}" for above, below in misplaced(one)]
        for name, one in values.items()
    }
    told = {name: ", ".join(pairs) or "nothing" for name, pairs in wrong.items()}
    return {name: order(one) for name, one in values.items()}, told


def place(data, group):
    """Say where the usual tags' value lies beside those of the shuffled tags."""
    one = data.sel(group=group)
    value = float(one["value"].sel(draw=USUAL))
    if value < one["lowest"]:
        return "below all"
    return "above all" if value > one["highest"] else "among them"


def control_table(found, quantity, delay):
    """Return the classes beside classes of shuffled tags, a row a class.

    Returns
    -------
    pandas.DataFrame
        Columns class, ours (with its interval), shuffled (lowest to highest), place,
        and "own words": the share of the shuffled classes' inputs that belong to the
        class all the same.
    """
    data = at(found, quantity, delay)
    rows = []
    for group in data["group"].values:
        one = data.sel(group=group)
        ends = [float(one[end].sel(draw=USUAL)) for end in ("value", "lower", "upper")]
        same = float(found["shuffled_unmoved"].sel(group=group).mean())
        rows.append(
            {
                "class": str(group),
                "ours": "{:.3g} [{:.3g}, {:.3g}]".format(*ends),
                "shuffled": f"{one['lowest']:.3g} to {one['highest']:.3g}",
                "place": place(data, group),
                "own words": f"{same:.0%}",
            }
        )
    return pd.DataFrame(rows)


def word_table(found):
    """Return how many words each class has, and how frequent, a row a class."""
    rows = []
    for group in found["group"].values:
        row = {"class": str(group)}
        for draw, name in ((EVERY, "every tag"), (USUAL, "usual tags")):
            one = found.sel(draw=draw, group=group)
            row[f"types, {name}"] = f"{int(one['n_types']):,}"
            row[f"tokens, {name}"] = f"{int(one['n_inputs']):,}"
            row[f"frequency, {name}"] = f"{float(one['frequency']):,.0f}"
        rows.append(row)
    return pd.DataFrame(rows)


def explained(data):
    """Return how much of the classes' differences their shuffled tags have, too.

    Parameters
    ----------
    data : xarray.Dataset
        Of `at`.

    Returns
    -------
    float
        1 - sum (ln value - ln middle - mean)^2 / sum (ln value - mean)^2 over classes,
        of the usual tags: 1 if frequency accounts for every difference, 0 for none; it
        may be below 0.
    """
    value = np.log(data["value"].sel(draw=USUAL))
    rest = value - np.log(data["middle"])
    return float(1 - rest.var("group") / value.var("group"))


def percent(ratio):
    """Return by how much a ratio departs from 1, as text: "+7 %"."""
    return f"{100 * (ratio - 1):+.0f} %"


def outside(data):
    """Return the classes outside all their shuffles, and by how much, as text.

    Parameters
    ----------
    data : xarray.Dataset
        Of `at`; the departure is from the geometric mean of the shuffles.
    """
    departures = data["value"].sel(draw=USUAL) / data["middle"]
    told = [
        f"{group} {percent(float(departures.sel(group=group)))}"
        for group in data["group"].values
        if place(data, group) != "among them"
    ]
    return ", ".join(told) or "none"


def departure_table(found, last, quantity="memory"):
    """Return by how much each class departs from its shuffles, a row a class.

    Parameters
    ----------
    found : xarray.Dataset
        The ``classes`` of an experiment.
    last : int
        The longest delay that is looked at.

    Returns
    -------
    pandas.DataFrame
        Columns class, at delay 0, largest (with its delay), at the last delay; from the
        geometric mean of the shuffles, in brackets where it lies among them.
    """
    ratio = ratio_to_shuffled(found, quantity).sel(delay=slice(0, last))
    band = band_of_shuffled(found, quantity)
    rows = []
    for group in ratio["group"].values:
        one, ends = ratio.sel(group=group), band.sel(group=group)
        largest = int(one["delay"][int(abs(np.log(one)).argmax("delay"))])

        def told(delay, one=one, ends=ends):
            value, here = float(one.sel(delay=delay)), ends.sel(delay=delay)
            among = float(here["lower"]) <= value <= float(here["upper"])
            return f"({percent(value)})" if among else percent(value)

        row = {"class": str(group), "at delay 0": told(0)}
        row["largest"] = f"{told(largest)} at delay {largest}"
        rows.append(row | {f"at delay {last}": told(last)})
    return pd.DataFrame(rows)


def ratio_to_shuffled(found, quantity="memory"):
    """Return the usual tags' curves over the geometric mean of the shuffled ones.

    Returns
    -------
    DataArray of shape (group, delay)
    """
    curves = found.isel(normalization=-1).sel(draw=USUAL)
    shuffled = np.log(curves[f"shuffled_{quantity}"]).mean("shuffle")
    return (curves[quantity] / np.exp(shuffled)).reset_coords(drop=True)


def band_of_shuffled(found, quantity="memory"):
    """Return the range of the shuffled curves over their geometric mean.

    Returns
    -------
    xarray.Dataset
        ``lower``, ``upper`` (group, delay): the lowest and highest of the shuffles.
    """
    shuffled = found.isel(normalization=-1)[f"shuffled_{quantity}"]
    ratio = shuffled / np.exp(np.log(shuffled).mean("shuffle"))
    ends = {"lower": ratio.min("shuffle"), "upper": ratio.max("shuffle")}
    return xr.Dataset(ends).reset_coords(drop=True)
