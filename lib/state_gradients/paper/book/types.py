"""Figures and tables of the page on word types (Section 4.3.4)."""

import re

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.analysis import decays
from state_gradients.figures import heatmaps, style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper import ledger
from state_gradients.paper.book import ledger_tables, pages
from state_gradients.paper.claims.pages import Sentence
from state_gradients.paper.language import frequency


def interval(one, form="{:.2f}"):
    """Return a number with its interval, as text.

    Parameters
    ----------
    one : Dataset or (value, lower, upper)
        A Dataset of scalars ``observed``, ``lower``, ``upper``.
    """
    if isinstance(one, xr.Dataset):
        one = [one[name].item() for name in ("observed", "lower", "upper")]
    value, lower, upper = map(form.format, one)
    return f"{value} [{lower}, {upper}]".replace("-", "\N{MINUS SIGN}")


def plot_percentages(percentages, *, x, ax=None):
    """Draw the per cent of types of each frequency by value: Figs. 8b and 9b.

    Parameters
    ----------
    percentages : DataArray of shape (frequency, value)
        Of :func:`state_gradients.paper.language.frequency.percentages`.
    x : str
        What the values are.
    """
    named = percentages.assign_coords(value=percentages["value"])
    named["value"].attrs["long_name"] = x
    ax = heatmaps.plot_heatmap(named, label="% of the row's types", ax=ax)
    ax.tick_params(axis="x", labelrotation=45)
    return ax


def frequency_effect(types, *, delays=(0, 5, 20)):
    """Return what the control figure draws: memory and noise at equal numbers.

    Medians over the types of each class of frequency, of those that the sample holds
    often enough for all numbers, and for single occurrences of all.

    Returns
    -------
    Dataset
        ``memory`` and ``noise`` (frequency, delay, n), classes without a type left out.
    """
    delays = [delay for delay in delays if delay in types["delay"]]
    chosen = types.sel(delay=delays, quantile=0.5)
    of_class = frequency.class_of(types["sample_frequency"].values)
    parts = {}
    for number, name in enumerate(frequency.CLASSES):
        members = chosen.isel(sampled=of_class == number)
        if members.sizes["sampled"]:
            n_there = members["sample_equal_memory"].notnull().sum("sampled")
            known = n_there >= members.sizes["sampled"] / 2
            medians = {
                "memory": members["sample_equal_memory"].median("sampled"),
                "noise": members["sample_equal_noise"].median("sampled"),
            }
            parts[name] = xr.Dataset(medians).where(known)
    return xr.concat(parts.values(), pd.Index(parts, name="frequency"))


def plot_frequency_effect(data, *, axes=None):
    """Draw memory (solid) and what noise alone makes (dotted) by the number averaged.

    Parameters
    ----------
    data : Dataset
        Of :func:`frequency_effect`: a panel for each delay, a colour for each class.
    axes : sequence of matplotlib.axes.Axes, optional

    Returns
    -------
    sequence of matplotlib.axes.Axes
    """
    n_panels = data.sizes["delay"]
    axes = np.atleast_1d(
        style.stacked_axes(n_panels, height=2.2) if axes is None else axes
    )
    for ax, delay in zip(axes, data["delay"].values, strict=True):
        of_delay = data.sel(delay=delay, drop=True)
        for name, dash in (("memory", ""), ("noise", (1, 2))):
            draw_lines(
                ax,
                of_delay[name],
                "n",
                "plot_frequency_effect",
                dash=dash,
                every=1,
                named=name == "memory" and ax is axes[0],
            )
        x = "occurrences averaged over" if ax is axes[-1] else ""
        y = rf"$\sigma_1$, delay {delay}"
        style.finish(ax, of_delay, x=x, y=y, xscale="log", yscale="log", legend="above")
    return axes


def plot_correlations(data, *, ax=None):
    """Draw rank correlations with frequency against the delay, with their intervals.

    Parameters
    ----------
    data : Dataset with ``observed``, ``lower``, ``upper`` (line, delay)
    """
    ax = style.axes_or_new(ax, height=3.6)
    ax.axhline(0, color=style.MUTED, linewidth=1)
    draw_lines(ax, data["observed"], "delay", "plot_correlations", band=data, every=1)
    style.whole_numbers(ax.xaxis)
    y = "rank correlation with frequency"
    return style.finish(ax, data, x="delay (tokens)", y=y, ylim=(-1, 1), legend="above")


def decay_of(types, word):
    """Return a sampled word's curve, its interval and its fitted exponential.

    Returns
    -------
    Dataset
        ``memory``, ``lower``, ``upper``, ``estimate``, ``fit`` (delay); attributes n,
        rate and frequency.
    """
    one = types.sel(sampled=word)
    tau = one["delay"].astype(float)
    fit = one["sample_scale"] * np.exp(-one["sample_rate"] * tau)
    names = ("memory", "estimate", "lower", "upper")
    found = one[[f"sample_{name}" for name in names]]
    found = found.rename({f"sample_{name}": name for name in names})
    found = found.assign(fit=fit).reset_coords(drop=True)
    return found.assign_attrs(
        n=int(one["sample_occurrences"]),
        rate=float(one["sample_rate"]),
        frequency=int(one["sample_frequency"]),
    )


def rate_in_text(types, word):
    """Return the rate of a type's mean over all it has in the text, NaN if none."""
    known = word in types["type"].values
    return types["rate"].sel(type=word).item() if known else np.nan


def plot_decays(curves, *, ax=None):
    """Draw words' memory (marks), intervals (bands) and fitted exponentials: Fig. 9a.

    Parameters
    ----------
    curves : dict of str to Dataset
        By word, as :func:`decay_of` gives.
    """
    ax = style.axes_or_new(ax, height=3.6)
    looks = zip(style.colours(len(curves)), style.markers(len(curves)), strict=True)
    for (word, curve), (colour, marker) in zip(curves.items(), looks, strict=True):
        ends = curve["lower"], curve["upper"]
        ax.fill_between(curve["delay"], *ends, color=colour, alpha=0.2, linewidth=0)
        label = f"{word}: b = {curve.attrs['rate']:.2f}"
        look = {"color": colour, "marker": marker, "markersize": 4, "linestyle": ""}
        ax.plot(curve["delay"], curve["memory"], label=label, **look)
        ax.plot(curve["delay"], curve["fit"], color=colour)
    style.whole_numbers(ax.xaxis)
    data = next(iter(curves.values()))
    return style.finish(ax, data, x="delay (tokens)", y=r"memory $\sigma_1$")


def plot_ranked(table, *, ax=None):
    """Draw memory of some types, one below the other, with their occurrences.

    Parameters
    ----------
    table : DataFrame
        Of :func:`state_gradients.paper.language.frequency.ranked`, with columns
        ``lower`` and ``upper`` where there are intervals.
    """
    ax = style.axes_or_new(ax, height=1.0 + 0.24 * len(table))
    rungs = np.arange(len(table))
    kinds = ("function", "content", "neither")
    looks = zip(kinds, style.colours(3), style.markers(3), strict=True)
    for kind, colour, marker in looks:
        of_kind = (table["kind"] == kind).values
        if of_kind.any():
            x, y = table["memory"].values[of_kind], rungs[of_kind]
            if "lower" in table:
                ends = table[["lower", "upper"]].values[of_kind].T
                ax.hlines(y, *ends, color=colour, linewidth=1.2)
            look = {"color": colour, "marker": marker, "linestyle": ""}
            ax.plot(x, y, label=f"{kind} word" if kind != "neither" else kind, **look)
    names = [f"{row.word} ({row.occurrences:,})" for row in table.itertuples()]
    ax.set_yticks(rungs, names)
    ax.invert_yaxis()
    x = r"memory $\sigma_1$ at delay 0"
    return style.finish(ax, xr.Dataset(), x=x, y="", legend="above")


def with_intervals(table, types):
    """Add the intervals of the sample to a table of sampled words."""
    of_words = types.sel(delay=0, sampled=list(table["word"]))
    return table.assign(
        lower=of_words["sample_lower"].values, upper=of_words["sample_upper"].values
    )


def laws_table(types):
    """Return which share of the types each law describes best, for several estimates.

    Returns
    -------
    pandas.DataFrame
        A row a law, a column an estimate, as texts.
    """
    n = frequency.most(types)
    often = frequency.often_enough(types)
    columns = {
        "all types": frequency.best_laws(types["aic"]),
        "of these, 10 occurrences or more": frequency.best_laws(
            types["aic"], types["occurrences"].values >= 10
        ),
        f"sample, {n} occurrences": frequency.best_laws(types["sample_aic"], often),
    }
    table = pd.DataFrame(columns).map("{:.0%}".format)
    table.index = [f"{law}, {decays.FORMULAS[law]}" for law in table.index]
    return table


def published(experiment, ids="fig8b|fig9"):
    """Return the published numbers of Figs. 8b and 9 beside ours, a table to show.

    Parameters
    ----------
    experiment : str
        That the page shows; where it is none of these rows', a sentence says so.
    ids : str
        A regular expression that the rows' ids begin with.
    """
    of_figure = [row for row in ledger.read_published() if re.match(ids, row["id"])]
    if {row["experiment"] for row in of_figure} != {experiment}:
        return Sentence(
            f"*The published numbers are of another network than {experiment}; "
            "[the ledger](ledger.ipynb) has them beside ours.*"
        )
    shown = {row["id"] for row in of_figure}
    rows = ledger.table(only=lambda row: row["id"] in shown)
    return pages.table(ledger_tables.readable(rows), "types-published", wide=True)
