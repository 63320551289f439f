"""How well properties of words are remembered: what Sections 5.1 and 5.2 show.

What is compared is `observed`, as the paper has it; intervals are without the noise of
the direction (:mod:`state_gradients.analysis.properties`), so that a value may lie
outside its own. Chance is above a measure where 95 % of it are.
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import spearmanr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_chance, draw_lines
from state_gradients.paper import ledger
from state_gradients.paper.book.average_memory import PAPER
from state_gradients.paper.book.pages import DASH
from state_gradients.paper.language import tags

SHORT = {  # for legends and tables
    "singular - plural": "number",
    "common - proper": "common - proper",
    "genitive - non-genitive": "genitive",
    "3rd - non-3rd": "3rd - non-3rd",
    "present - past": "present - past",
    "present - past participle": "participles",
    "base - comparative": "comparative",
    "base - superlative": "superlative",
}
CONTROLS = {  # what a table calls them: names in the artifact
    "random directions": "random directions",
    "random splits": "random splits",
    "of the same frequencies": "within frequency bins",
}
PATTERNS = {  # of words of degree: their rows in the ledger
    "comparative": "share-comparative",
    "comparative, than": "comparative-than",
    "superlative": "share-superlative",
    "superlative, of": "superlative-of",
}
SPLITS = "95 % of random splits"
SWAPPED = ("number", "another noun", "number, mean step", "random step")
N_RESAMPLES = 500
_ENDS = ("lower", "upper", "split_upper", "chance_lower", "chance_upper")
# Units of what `plot_beside_chance` and `plot_relative_changes` draw
MEASURE = dict.fromkeys(["observed", *_ENDS], "1") | {"share": "of all singular values"}
CHANGE = dict.fromkeys(
    ["observed", "lower", "upper", "random_lower", "random_upper"],
    "changes by a random step",
)


def of_class(data, word_class):
    """Return the properties of a class of words that an artifact holds.

    Parameters
    ----------
    data : xarray.Dataset
        The artifact ``properties``.
    word_class : str
        "N", "V" or "Adj".

    Returns
    -------
    xarray.Dataset
        With short names on the axis ``property``.
    """
    names = [
        name
        for name in data["property"].values
        if tags.PROPERTIES[name][0] == word_class
    ]
    chosen = data.sel(property=names)
    return chosen.assign_coords(property=[SHORT[name] for name in names])


def beside_chance(data, measure, *, over="class", words="all"):
    """Return a measure by delay with what chance makes of it.

    Parameters
    ----------
    data : xarray.Dataset
        Of :func:`of_class`.
    measure : str
        "m", "H_1" or "H_5".
    over, words : str
        Which gradients, and which words, of the artifact.

    Returns
    -------
    xarray.Dataset
        ``observed``, ``lower``, ``upper`` and ``split_upper`` (property, delay),
        ``chance_lower`` and ``chance_upper`` of random directions (delay,), and for a
        cosine ``share``, that of its singular values in the sum (delay,).
    """
    one = data.sel(over=over, words=words, measure=measure, delay=PAPER)
    directions = one.sel(null="random directions").isel(property=0, drop=True)
    found = xr.Dataset({name: one[name] for name in ("observed", "lower", "upper")})
    found["split_upper"] = one["chance_upper"].sel(null="random splits")
    for end in ("chance_lower", "chance_upper"):
        found[end] = directions[end]
    shares = {"H_1": "selectivity", "H_5": "selectivity_5"}
    if measure in shares:
        found["share"] = one[shares[measure]].isel(property=0)
    return found.reset_coords(drop=True)


def plot_beside_chance(data, *, y, named=True, ax=None):
    """Draw a measure of properties against the delay, with chance behind it.

    Parameters
    ----------
    data : Dataset
        Of :func:`beside_chance`. Intervals are bands in a line's colour, random
        directions the grey band, the upper ends of random splits thin lines in the
        colour of their property, and ``share`` a dotted line.
    y : str
        What stands at the axis.
    named : bool
        Whether there is a legend.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.6)
    delay = data["delay"]
    draw_chance(
        ax,
        delay,
        data["chance_lower"],
        data["chance_upper"],
        "random directions" if named else None,
    )
    caller = "plot_beside_chance"
    draw_lines(ax, data["observed"], "delay", caller, band=data, every=7, named=named)
    colours = style.colours(data.sizes["property"])
    for colour, upper in zip(colours, data["split_upper"], strict=True):
        ax.plot(delay, upper, color=colour, linewidth=0.8, dashes=(2, 2))
    if "share" in data:
        ax.plot(delay, data["share"], color=style.MUTED, dashes=(1, 1.5))
    if named:
        ax.plot([], [], color=style.MUTED, linewidth=0.8, dashes=(2, 2), label=SPLITS)
        if "share" in data:
            ax.plot(
                [], [], color=style.MUTED, dashes=(1, 1.5), label=r"share of $\sigma$"
            )
    style.whole_numbers(ax.xaxis)
    titled = data if named else xr.Dataset()
    return style.finish(
        ax, titled, x="delay (tokens)", y=y, ylim=(0, 1.02), legend="above"
    )


def plot_cosines(data, *, axes=None):
    """Draw cosines with H_5 and, below, with H_1, as :func:`plot_beside_chance`.

    Parameters
    ----------
    data : dict of str to Dataset
        Of :func:`beside_chance`, "H_5" and "H_1".
    axes : two matplotlib.axes.Axes, optional

    Returns
    -------
    two matplotlib.axes.Axes
    """
    upper, lower = style.stacked_axes(height=2.9) if axes is None else axes
    plot_beside_chance(data["H_5"], y=r"$\cos(d, H_5)$", ax=upper).set_xlabel("")
    plot_beside_chance(data["H_1"], y=r"$\cos(d, H_1)$", named=False, ax=lower)
    return upper, lower


def falls_to_chance(observed, upper):
    """Return the first delay at which a measure is not above what chance makes.

    Parameters
    ----------
    observed, upper : DataArrays of shape (delay,)

    Returns
    -------
    int or None
        None where it is above chance at every delay.
    """
    inside = (observed <= upper).values
    return int(observed["delay"][inside.argmax()]) if inside.any() else None


def _until(observed, upper):
    delay = falls_to_chance(observed, upper)
    return f"after {int(observed['delay'][-1])}" if delay is None else str(delay)


def within(one, form=".2f"):
    """Return a measure with its interval as text, ``0.34 [0.30, 0.43]``.

    Parameters
    ----------
    one : Dataset of scalars ``observed``, ``lower`` and ``upper``
    form : str
    """
    ends = (float(one[name]) for name in ("observed", "lower", "upper"))
    return "{} [{}, {}]".format(*(format(end, form) for end in ends))


def remembered(data, *, measure="m", over="class"):
    """Return how well every property is remembered at once, and until when.

    Parameters
    ----------
    data : xarray.Dataset
        The artifact ``properties``.

    Returns
    -------
    pandas.DataFrame
        A row for each property: its measure at delay 0 with its interval; the first
        delay at which it is not above 95 % of random directions, of random splits, of
        splits that keep the frequencies, and of random splits of words that are alike
        in frequency. Also which share of the direction is noise.
    """
    rows = {}
    for name in data["property"].values:
        one = data.sel(property=name, over=over, measure=measure, delay=PAPER)
        every, alike = (one.sel(words=words) for words in ("all", "matched"))
        above = {
            title: _until(every["observed"], every["chance_upper"].sel(null=null))
            for title, null in CONTROLS.items()
        }
        splits = alike["chance_upper"].sel(null="random splits")
        is_known = bool(np.isfinite(splits).all())
        rows[SHORT[name]] = {
            "words": " + ".join(f"{int(n):,}" for n in every["n_types"]),
            "noise": f"{100 * float(every['noise_share']):.0f} %",
            "at delay 0": within(every.isel(delay=0)),
            **above,
            "like frequencies": _until(alike["observed"], splits) if is_known else DASH,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def above_chance(data, *, measure="m", over="class"):
    """Return for how many delays, from 0 on, a property is above 95 % of each control.

    Parameters
    ----------
    data : xarray.Dataset
        The artifact ``properties``.

    Returns
    -------
    xarray.DataArray of shape (control, property)
        0 where it is not even above at delay 0. The last control are random splits of
        words that are alike in frequency; NaN where there are none.
    """
    data = data.sel(over=over, measure=measure, delay=PAPER)
    every, alike = (data.sel(words=words) for words in ("all", "matched"))
    upper = {
        title: (every["observed"], every["chance_upper"].sel(null=null))
        for title, null in CONTROLS.items()
    }
    splits = alike["chance_upper"].sel(null="random splits")
    upper["splits of like frequencies"] = alike["observed"], splits
    counts = []
    for observed, chance in upper.values():
        above = (observed > chance).astype(int).cumprod("delay").sum("delay")
        counts.append(above.where(np.isfinite(chance).all("delay")))
    bare = [count.reset_coords(drop=True) for count in counts]
    found = xr.concat(bare, pd.Index(upper, name="control"))
    return found.assign_coords(property=[SHORT[n] for n in found["property"].values])


def frequency(data, *, delay=0):
    """Return what frequency does to m: rows of properties, columns of controls.

    Parameters
    ----------
    data : xarray.Dataset
        The artifact ``properties``.
    delay : int
    """
    rows = {}
    for name in data["property"].values:
        one = data.sel(property=name, over="class", measure="m", delay=delay)
        every, alike = (one.sel(words=words) for words in ("all", "matched"))
        upper = every["chance_upper"]
        known = bool(np.isfinite(alike["observed"]))
        rows[SHORT[name]] = {
            "ln frequency, halves": " / ".join(
                f"{x:.1f}" for x in every["log_frequency"].values
            ),
            "m": f"{float(every['observed']):.2f}",
            "95 % of directions": f"{float(upper.sel(null='random directions')):.2f}",
            "of splits": f"{float(upper.sel(null='random splits')):.2f}",
            "of the same frequencies": (
                f"{float(upper.sel(null='within frequency bins')):.2f}"
            ),
            "pairs alike": f"{int(alike['n_types'][0])}" if known else DASH,
            "m of these": f"{float(alike['observed']):.2f}" if known else DASH,
            "95 % of their splits": (
                f"{float(alike['chance_upper'].sel(null='random splits')):.2f}"
                if known
                else DASH
            ),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def by_gradient(data, *, delay=0):
    """Return m at one delay by what the gradients are averaged over.

    Parameters
    ----------
    data : xarray.Dataset
        The artifact ``properties``.
    delay : int
    """
    one = data.sel(measure="m", words="all", delay=delay)
    rows = {
        SHORT[name]: {
            str(over): within(one.sel(property=name, over=over))
            for over in data["over"].values
        }
        for name in data["property"].values
    }
    return pd.DataFrame.from_dict(rows, orient="index")


# Swaps


def _root_mean_square(values, weights):
    """Return root mean squares over places, one for each row of weights."""
    return np.sqrt(weights @ values.transpose("place", "delay").values ** 2)


def relative_changes(data, *, seed=0):
    """Return what the mean step of number changes, over a random step of its length.

    Root mean squares over the places, with 95 % intervals from resampled places.

    Parameters
    ----------
    data : xarray.Dataset
        The artifact ``properties``, with swaps.
    seed : int

    Returns
    -------
    xarray.Dataset
        ``observed``, ``lower``, ``upper`` (change, delay); ``random_lower`` and
        ``random_upper`` (delay,), between which 90 % of random steps lie, over their
        own root mean square.
    """
    shown = data.sel(delay=PAPER)
    n = shown.sizes["place"]
    drawn = np.random.default_rng(seed).multinomial(n, np.full(n, 1 / n), N_RESAMPLES)
    weights = np.vstack([np.ones(n), drawn]) / n
    lines = {
        "real change": "swap_change",
        "gradient at the place": "swap_first_order",
        "mean gradient": "swap_mean_first_order",
    }
    found = []
    for name in lines.values():
        number, random = (
            _root_mean_square(shown[name].sel(swap=swap), weights)
            for swap in ("number, mean step", "random step")
        )
        ratio = number / random
        found.append([ratio[0], *np.quantile(ratio[1:], [0.025, 0.975], axis=0)])
    random = shown["swap_change"].sel(swap="random step")
    own = random / np.sqrt((random**2).mean("place"))
    names = ("observed", "lower", "upper")
    columns = zip(names, np.swapaxes(found, 0, 1), strict=True)
    coords = {"change": [*lines], "delay": shown["delay"].values}
    result = xr.Dataset({k: (("change", "delay"), v) for k, v in columns}, coords)
    for end, q in (("random_lower", 0.05), ("random_upper", 0.95)):
        result[end] = own.quantile(q, "place").reset_coords(drop=True)
    return result


def plot_relative_changes(data, *, ax=None):
    """Draw :func:`relative_changes`; the grey band is that of random steps.

    Parameters
    ----------
    data : Dataset
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.6)
    draw_chance(
        ax, data["delay"], data["random_lower"], data["random_upper"], "random steps"
    )
    observed = data["observed"]
    draw_lines(ax, observed, "delay", "plot_relative_changes", band=data, every=7)
    style.whole_numbers(ax.xaxis)
    ax.set_ylim(bottom=0)
    x, y = "delay (tokens)", "change / that of a random step"
    return style.finish(ax, data, x=x, y=y, legend="above")


def changes_of_number(data):
    """Return what changes when a noun's number does, the mean over the places.

    Parameters
    ----------
    data : xarray.Dataset
        The artifact ``properties``, with swaps.

    Returns
    -------
    DataArray of shape (change, delay), in state units
    """
    shown = data.sel(delay=PAPER)
    number = shown.sel(swap="number")
    lines = {
        "real change": number["swap_change"],
        "gradient at the place": number["swap_first_order"],
        "mean gradient": number["swap_mean_first_order"],
        "another noun, real": shown["swap_change"].sel(swap="another noun"),
    }
    means = [line.mean("place").reset_coords(drop=True) for line in lines.values()]
    return xr.concat(means, pd.Index(lines, name="change"), combine_attrs="drop")


def plot_changes(data, *, ax=None):
    """Draw changes of the state against the delay, logarithmically, (change, delay).

    Parameters
    ----------
    data : DataArray
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = draw_lines(
        style.axes_or_new(ax, height=3.4), data, "delay", "plot_changes", every=7
    )
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", "change of the state"
    return style.finish(ax, data, x=x, y=y, yscale="log", legend="above")


def swap_table(data, delays):
    """Return nats by swap, and how well gradients order the places, at some delays.

    Parameters
    ----------
    data : xarray.Dataset
        The artifact ``properties``, with swaps.
    delays : sequence of int

    Returns
    -------
    pandas.DataFrame
        A row for each delay.
    """
    rows = {}
    for delay in delays:
        one = data.sel(delay=delay)
        nats = one["swap_nats"].mean("place")
        number = one.sel(swap="number")
        ranks = [
            spearmanr(number["swap_change"], number[name])[0]
            for name in ("swap_first_order", "swap_mean_first_order")
        ]
        rows[delay] = {
            **{
                f"nats, {swap}": f"{float(nats.sel(swap=swap)):.2g}" for swap in SWAPPED
            },
            "cosine": f"{float(number['swap_alignment'].mean()):.2f}",
            "rank r, at the place": f"{ranks[0]:.2f}",
            "mean gradient": f"{ranks[1]:.2f}",
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("delay")


def shares_table(data):
    """Return how common words of degree are, and what follows them, in per cent.

    Parameters
    ----------
    data : xarray.Dataset
        The artifact ``properties``.

    Returns
    -------
    pandas.DataFrame
        A row for each pattern; published values, and ours with 95 % intervals, counted
        by tag and by type.
    """
    published = {row["id"]: row["published"] for row in ledger.read_published()}
    rows = {}
    for pattern, name in PATTERNS.items():
        row = {"published": f"{published[name]:g}" if name in published else DASH}
        for count_by in data["count_by"].values:
            one = 100 * data.sel(count_by=count_by, pattern=pattern)
            numbers = (float(one[f"share{end}"]) for end in ("", "_lower", "_upper"))
            row[f"by {count_by}"] = "{:.2g} [{:.2g}, {:.2g}]".format(*numbers)
        rows[pattern] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("%")


# The concept


def cosines_by_size(gradient, directions, chance):
    """Return cos(d, H_n) for every n, and what random directions have.

    Parameters
    ----------
    gradient : Dataset
        A decomposition (``vt``) at one delay.
    directions : DataArray of shape (property, embedding)
    chance : callable
        :func:`state_gradients.analysis.properties.chance_of_cosine`.

    Returns
    -------
    xarray.Dataset
        ``cosine`` (property, n), ``lower``, ``middle`` and ``upper`` (n,).
    """
    each = xr.dot(directions.astype(float), gradient["vt"], dim="embedding") ** 2
    cosine = np.sqrt(each.cumsum("component")).rename(component="n")
    size = gradient.sizes["embedding"]
    numbers = np.arange(1, gradient.sizes["component"] + 1)
    bands = [chance(int(n), size) for n in numbers]
    ends = {end: ("n", [band[end] for band in bands]) for end in bands[0]}
    return xr.Dataset({"cosine": cosine, **ends}, {"n": numbers})


def plot_cosines_by_size(data, *, ax=None):
    """Draw cos(d, H_n) against n, with the band of random directions.

    Parameters
    ----------
    data : Dataset
        Of :func:`cosines_by_size`.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.4)
    draw_chance(ax, data["n"], data["lower"], data["upper"], "random directions")
    draw_lines(ax, data["cosine"], "n", "plot_cosines_by_size", every=9)
    style.whole_numbers(ax.xaxis)
    x, y = "best remembered directions, n", r"$\cos(d, H_n)$"
    return style.finish(ax, data, x=x, y=y, ylim=(0, 1.02), legend="lower right")
