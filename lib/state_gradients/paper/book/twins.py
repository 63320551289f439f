"""Twins of the book's figures: what their pages show when a reader wants to explore.

A cell tagged ``twin`` after a figure's cell ends in one of these functions. Its output
holds a specification of :mod:`state_gradients.figures.interactive`, with its data. The
script ``book/_static/twins.js`` puts it into the figure, behind a button; without
JavaScript, and in print, the drawn figure stays alone.
"""

import json

import pandas as pd
from IPython.display import HTML

from state_gradients.figures import interactive
from state_gradients.foundation import settings
from state_gradients.paper.book import average_memory
from state_gradients.paper.book.pages import has_run
from state_gradients.paper.book.sources import curve_table, tidy
from state_gradients.paper.language import frequency

MEMORY = "memory \N{GREEK SMALL LETTER SIGMA}\N{SUBSCRIPT ONE}"
TOTAL = "\N{N-ARY SUMMATION}\N{GREEK SMALL LETTER SIGMA}"  # of all singular values
PANELS = {
    MEMORY: {"memory": MEMORY},
    "share of all singular values": {
        "selectivity": "share of the largest",
        "selectivity_5": "of the five largest",
    },
}
SCRIPT = "twins.js"  # below book/_static; it loads Vega when it is needed


def embed(figure, chart):
    """Return what puts a specification into a page, beside the figure of a name.

    Parameters
    ----------
    figure : str
    chart : altair.TopLevelMixin

    Returns
    -------
    IPython.display.HTML
    """
    # words of a text are in it, <unk> among them: no tag may begin inside
    spec = json.dumps(chart.to_dict(), ensure_ascii=False).replace("<", "\\u003c")
    return HTML(
        f'<div class="twin" data-figure="{figure}" data-scripts="{SCRIPT}">'
        f'<script type="application/json">{spec}</script></div>'
    )


def of_curves(figure, table, *, line="experiment", ticked=None, title=""):
    """Return the twin of memory curves, with selectivity where the table has it.

    Parameters
    ----------
    figure : str
    table : pandas.DataFrame or None
        Of :func:`state_gradients.paper.book.sources.curve_table`; None where nothing
        has been drawn.
    line : str
        The column that names the lines.
    ticked : collection of str, optional
        The lines that are shown at first; all by default.
    title : str

    Returns
    -------
    IPython.display.HTML or None
    """
    if table is None:
        return None
    panels = {k: v for k, v in PANELS.items() if all(name in table for name in v)}
    chart = interactive.explore_curves(
        table.dropna(subset="memory"), line, panels, ticked=ticked, title=title
    )
    return embed(figure, chart)


def beside_others(table, experiment):
    """Add the whitened curves of every other experiment with intervals to a table.

    Parameters
    ----------
    table : pandas.DataFrame
        Of one experiment; its column ``normalization`` becomes ``experiment``.
    experiment : str
        Its name, which is not added again.

    Returns
    -------
    pandas.DataFrame
    """
    tables = [table.rename(columns={"normalization": "experiment"})]
    for name in settings.experiment_names():
        if name != experiment and has_run(name) and has_run(name, "intervals"):
            state = str(average_memory.whitened(name)["state_kind"].values[-1])
            one = {f"{name}, {state}": (name, state)}
            data, ends = average_memory.together(one), average_memory.bands(one)
            tables.append(curve_table(data, ends))
    return pd.concat(tables, ignore_index=True)


def of_classes(figure, first, last, *, delay, title=""):
    """Return the twin of Figure 8a: memory at once, and the sum at a later delay.

    Parameters
    ----------
    figure : str
    first, last : xarray.Dataset
        Of :func:`state_gradients.paper.book.word_classes.at`.
    delay : int
        Of the latter.
    title : str

    Returns
    -------
    IPython.display.HTML
    """
    columns = []
    for name, data in (("memory", first), ("total", last)):
        table = tidy(data.drop_vars("middle")).set_index(["draw", "group"])
        ends = {end: f"{name}_{end}" for end in table}
        columns.append(table.rename(columns=ends | {"value": name}))
    both = pd.concat(columns, axis=1).reset_index()
    panels = {"memory": f"{MEMORY} at delay 0", "total": f"{TOTAL} at delay {delay}"}
    chart = interactive.explore_groups(both, "group", "draw", panels, title=title)
    return embed(figure, chart)


def of_types(figure, types, quantity, label, *, title=""):
    """Return the twin of Figures 8b and 9b: a point is a word.

    Parameters
    ----------
    figure : str
    types : xarray.Dataset
        The artifact ``types``.
    quantity : {"memory", "rate"}
        At delay 0, or of the decay, each type's mean over all its occurrences.
    label : str
        What it is called.
    title : str

    Returns
    -------
    IPython.display.HTML
    """
    table = frequency.ranked(types, None)
    rates = types["rate"].to_series()
    table["rate"] = rates.loc[table["word"]].to_numpy()
    is_drawn = (table["frequency"] > 0) & (table[quantity] > 0)
    chart = interactive.explore_points(
        table.loc[is_drawn, ["word", "kind", "frequency", "occurrences", quantity]],
        "word",
        "kind",
        x="frequency",
        y=quantity,
        labels={
            quantity: label,
            "frequency": "occurrences in the training text",
            "occurrences": "in the text read",
        },
        title=title,
    )
    return embed(figure, chart)
