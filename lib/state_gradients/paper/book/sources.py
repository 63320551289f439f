"""The line under a figure: what made it, from what, and what it shows as a table.

A figure's page calls :func:`made_by` with what it has just drawn. The cell's output is
the line, whose links are relative to ``notebooks/``, as JupyterLab follows them, and
the table as CSV. `rendering` writes the tables beside the executed pages, and
:mod:`state_gradients.paper.book.source_links` turns the links into the book's own.
"""

import re

import pandas as pd
import xarray as xr

from state_gradients.foundation import settings
from state_gradients.paper.book.pages import as_runs, has_run
from state_gradients.project import artifacts

TABLES = "book/sections/data"  # below the project's root
UP = "../"  # from notebooks/ to the root
DEVIATION = "state unit / standard deviation"  # of the embedding
UNITS = {  # of columns whose data do not say so themselves
    "delay": "tokens",
    "epoch": "number",
    "memory": DEVIATION,
    "memory_lower": DEVIATION,
    "memory_upper": DEVIATION,
    **dict.fromkeys(
        [
            f"{share}{end}"
            for share in ("selectivity", "selectivity_5")
            for end in ("", "_lower", "_upper")
        ],
        "share",
    ),
    "coherence": "share",
    "claims": "number",
    "perplexity": "1",
    "rank": "number",
    "lower": DEVIATION,
    "upper": DEVIATION,
    "occurrences": "occurrences in the text",
    "frequency": "occurrences in the training text",
}
_CURVES = ("memory", "selectivity", "selectivity_5")
_WORDS = "OSUb"  # kinds of columns that hold no numbers


def curve_table(data, interval=None, *, quantities=_CURVES):
    """Return memory curves with their intervals, a row for each line and delay.

    Parameters
    ----------
    data : Dataset or DataArray
        As :func:`state_gradients.figures.curves.plot_memory_and_selectivity` takes it,
        or :func:`state_gradients.figures.curves.plot_memory`.
    interval : Dataset with ``lower`` and ``upper``, optional
    quantities : sequence of str
        Those that are drawn.

    Returns
    -------
    pandas.DataFrame
        ``memory``, ``memory_lower``, ``memory_upper``, ..
    """
    if isinstance(data, xr.DataArray):
        data = data.to_dataset(name="memory")
        quantities = ("memory",)
    columns = {}
    for name in quantities:
        columns[name] = data[name].reset_coords(drop=True)
        for end in () if interval is None else ("lower", "upper"):
            of_end = interval[end]
            if "quantity" in of_end.dims:
                of_end = of_end.sel(quantity=name)
            columns[f"{name}_{end}"] = of_end.reset_coords(drop=True)
    return tidy(xr.Dataset(columns).drop_attrs())


def tidy(data):
    """Return labelled data as a table, a row for each combination of labels.

    Parameters
    ----------
    data : DataFrame, DataArray, Dataset or dict
        The rows of a DataFrame stay as they are. A dict is of several of these, one
        below the other, with its keys in the column ``part``.

    Returns
    -------
    pandas.DataFrame
        Without the rows in which every number is missing.
    """
    if isinstance(data, dict):
        return _below_each_other({name: tidy(each) for name, each in data.items()})
    if isinstance(data, pd.DataFrame):
        return data.reset_index(drop=True)
    if isinstance(data, xr.DataArray):
        data = data.to_dataset(name=data.name or "value")
    named = data.reset_coords(drop=True)
    table = named.to_dataframe().dropna(how="all").reset_index()
    table.attrs = {
        name: variable.attrs["units"]
        for name, variable in named.variables.items()
        if "units" in variable.attrs
    }
    return table


def _below_each_other(parts):
    """Return several tables as one; a column that one of them lacks is empty there."""
    table = pd.concat(parts, names=["part", "row"]).reset_index("part")
    whole = {
        name: "Int64"
        for part in parts.values()
        for name, column in part.items()
        if column.dtype.kind in "iu"
    }
    table = table.astype(whole).reset_index(drop=True)
    table.attrs = {k: unit for part in parts.values() for k, unit in part.attrs.items()}
    return table


def to_csv(table, units=None):
    """Return a table as CSV; the head of each column of numbers says their unit.

    Parameters
    ----------
    table : pandas.DataFrame
    units : dict of str to str, optional
        By column, before those that the data bring along (``table.attrs``) and UNITS.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If the unit of a column of numbers is not known.

    Examples
    --------
    >>> import pandas as pd
    >>> from state_gradients.paper.book.sources import to_csv
    >>> print(to_csv(pd.DataFrame({"word": ["the"], "rate": [0.5]}), {"rate": "1/s"}))
    word,rate (1/s)
    the,0.5
    <BLANKLINE>
    """
    known = UNITS | table.attrs | (units or {})
    names = {}
    for name, column in table.items():
        if column.dtype.kind in _WORDS:
            continue
        if name not in known:
            raise ValueError(
                f"made_by: the unit of each column of numbers must be known, received "
                f"none for {name!r}; pass `units={{{name!r}: ...}}`."
            )
        unit = "dimensionless" if known[name] == "1" else known[name]
        names[name] = f"{name} ({unit})"
    return table.rename(columns=names).to_csv(index=False, lineterminator="\n")


class Line:
    """The line under a figure, and its table; Jupyter shows the one and keeps both."""

    def __init__(self, figure, text, csv):
        self.figure, self.text, self.csv = figure, text, csv

    def _repr_mimebundle_(self, include=None, exclude=None):
        shown = {"text/markdown": self.text, "text/plain": self.text}
        return shown | {"text/csv": self.csv}, {"text/csv": {"name": self.figure}}


def made_by(
    figure, drawing, data, *, read=None, files=(), words="", note="", units=None
):
    """Say under a figure what made it, and keep what it shows as a table.

    Parameters
    ----------
    figure : str
        Its name, that of its cell's ``mystnb``.
    drawing : callable
        The function that drew it.
    data : DataFrame, DataArray, Dataset, dict or None
        Just what was drawn, as :func:`tidy` takes it; None if nothing was.
    read : dict of str to (str or sequence of str), optional
        Experiments by kind of artifact; those that have not been run are left out.
    files : sequence of str
        What else was read, below the project's root.
    words : str
        What else it is made from, for instance "the formula above".
    note : str
        A sentence that ends the line.
    units : dict of str to str, optional
        Of columns, where :func:`to_csv` cannot know them.

    Returns
    -------
    Line or None
        None if nothing was drawn.

    Raises
    ------
    ValueError
        If not just one notebook draws a figure of that name, a unit is not known, or
        nothing is said of where the figure comes from.
    """
    if data is None:
        return None
    table = tidy(data)
    sources = [*_of_artifacts(read or {}), *map(_link, files), *filter(None, [words])]
    if not sources:
        raise ValueError(
            f"made_by: {figure} must say what it is made from, received no `read`, "
            "`files` or `words`."
        )
    page = f"notebooks/{_page_of(figure)}.md"
    csv = to_csv(table, units)
    n_rows = f"{len(table):,} row{'s' * (len(table) != 1)}"
    text = (
        f"Made by {_link(page)} with {_code(drawing)} from {_listed(sources)}. "
        f"{note + ' ' if note else ''}"
        f"Data: {_link(f'{TABLES}/{figure}.csv', f'{figure}.csv')}, {n_rows}."
    )
    return Line(figure, text, csv)


def _page_of(figure):
    """Return the notebook, without folder and suffix, whose cell draws a figure."""
    name = re.escape(figure)  # as YAML has it, or, in a student's notebook, JSON
    mark = re.compile(rf'^\s+(?:name: {name}|"name": "{name}",?)$', re.MULTILINE)
    folder = settings.project_root() / "notebooks"
    found = {
        path.stem
        for path in (*folder.glob("*.md"), *folder.glob("*.ipynb"))
        if mark.search(path.read_text(encoding="utf-8"))
    }
    if len(found) != 1:
        raise ValueError(
            f"made_by: just one notebook must have a figure `name: {figure}`, received "
            f"{sorted(found)}."
        )
    return found.pop()


def _link(path, text=None):
    return f"[`{text or path}`]({UP}{path})"


def _code(function):
    """Return a link to a function of this package, named by its module."""
    module = function.__module__
    path, name = module.replace(".", "/"), f"{module}.{function.__qualname__}"
    short = name.removeprefix("state_gradients.")
    return f"[`{short}`]({UP}lib/{path}.py#{name})"


def _of_artifacts(read):
    """Return for each kind what it is called, with a link to each experiment's file."""
    root = settings.project_root()
    for kind, names in read.items():
        links = [
            _link(artifacts.path(name, kind).relative_to(root).as_posix(), name)
            for name in as_runs(names)
            if has_run(name, kind)
        ]
        if links:
            yield f"the artifact{'s' * (len(links) > 1)} *{kind}* of {_listed(links)}"


def _listed(texts):
    """Return texts as one: "a, b and c"."""
    *first, last = dict.fromkeys(texts)
    return f"{', '.join(first)} and {last}" if first else last
