"""Figures that answer to a hand: Vega-Lite specifications of what a table holds.

Each is the twin of a drawn figure, with its order and dashes. A reader chooses lines or
groups by check boxes (parameters ``show_0``, ``show_1``, ..), and a place along the
figure, a delay, a class or a word, by pointing or by an input (parameter ``at``).
``usermeta`` tells the page's script, ``book/_static/twins.js``, what it has to read out
for that place, and the colours of either theme.

Altair is imported when a specification is made, and not before.
"""

from pandas.api.types import is_numeric_dtype

from state_gradients.figures import style

WIDTH, HEIGHT = 560, 210  # pixels; the page's script fits the width to its column
LABELS = 46  # pixels for the labels of a vertical axis, so that panels are aligned
NAME = "table"  # of the data, in a specification
_DASHES = [[1, 0], *([1.5 * n for n in dash] for dash in style.DASHES[1:])]
_SHAPES = ["circle", "square", "triangle-up", "diamond", "triangle-down"]  # MARKERS


def explore_curves(table, line, panels, *, along="delay", ticked=None, title=""):
    """Return curves with their intervals, a panel above the other.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `line`, `along` and, of each quantity, its name and, where there
        are intervals, ``NAME_lower`` and ``NAME_upper``.
    line : str
        The column whose entries are the lines.
    panels : dict of str to dict of str to str
        By its title, the quantities of a panel: what each is called, by its column. One
        quantity has a logarithmic axis; of several, which are shares, the first is
        solid and the others dashed.
    along : str
        The column of whole numbers that the horizontal axis shows.
    ticked : collection of str, optional
        The lines that are shown at first; all by default.
    title : str

    Returns
    -------
    altair.VConcatChart

    Raises
    ------
    ValueError
        If a column is missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from state_gradients.figures.interactive import explore_curves
    >>> data = {"experiment": ["a", "a"], "delay": [0, 1], "memory": [1.0, 0.5]}
    >>> panels = {"memory": {"memory": "memory"}}
    >>> chart = explore_curves(pd.DataFrame(data), "experiment", panels)
    >>> chart.to_dict()["usermeta"]["key"]
    'delay'
    """
    import altair as alt

    labels = {name: label for named in panels.values() for name, label in named.items()}
    _require(table, [line, along, *labels], "explore_curves")
    low, high = int(table[along].min()), int(table[along].max())
    slider = alt.binding_range(min=low, max=high, step=1, name=along)
    at = alt.param(name="at", value=low, bind=slider)
    last = len(panels) - 1
    drawn = [
        _panel(table, line, along, *panel, number=number, is_last=number == last)
        for number, panel in enumerate(panels.items())
    ]
    chart = alt.vconcat(*drawn, title=title, spacing=8)
    return _finished(chart, table, line, along, labels, at, ticked)


def _panel(table, line, along, title, named, *, number, is_last):
    """Return one panel: bands, lines, and a rule with marks at the chosen place."""
    import altair as alt

    names, is_single = [*table[line].unique()], len(named) == 1
    scale = alt.Scale(type="log") if is_single else alt.Scale(domain=[0, 1])
    look = {"minExtent": LABELS, "maxExtent": LABELS, "tickCount": 6}
    y_axis = alt.Axis(**look, format="~g") if is_single else alt.Axis(**look)
    x_axis = alt.Axis(tickMinStep=1, grid=False, labels=is_last)
    x = alt.X(f"{along}:Q", axis=x_axis, title=f"{along} (tokens)" if is_last else None)
    colour = _colour(line, names)
    shown = alt.Chart().transform_filter(_is_shown(line, names))
    here = shown.transform_filter(f"datum['{along}'] === at")
    layers = []
    for order, name in enumerate(named):
        y = alt.Y(f"{name}:Q", scale=scale, axis=y_axis, title=title)
        if f"{name}_lower" in table:
            lower = alt.Y(f"{name}_lower:Q", scale=scale, axis=y_axis, title=title)
            band = shown.transform_filter(f"datum['{name}_lower'] > 0")
            ends = {"x": x, "y": lower, "y2": f"{name}_upper:Q", "color": colour}
            layers.append(band.mark_area(opacity=0.2).encode(**ends))
        dash = _dash_by_line(line, names) if is_single else alt.value(_DASHES[order])
        encoded = shown.encode(x=x, y=y, color=colour, strokeDash=dash)
        layers.append(encoded.mark_line(strokeWidth=2))
        points = here.mark_point(filled=True, size=60, opacity=1)
        layers.append(points.encode(x=x, y=y, color=colour, shape=_shape(line, names)))
        if order == 0:  # unseen: pointing anywhere finds the nearest
            unseen = shown.mark_point(opacity=0, size=1).encode(x=x, y=y)
            layers.append(unseen.add_params(_hover(number, encodings=["x"])))
    rule = alt.Chart().mark_rule(strokeWidth=1, opacity=0.6, color=_MUTED)
    layers.append(rule.encode(alt.XDatum(alt.expr("at"), type="quantitative")))
    return alt.layer(*layers).properties(width=WIDTH, height=HEIGHT)


def explore_groups(table, group, kind, panels, *, title=""):
    """Return marks with their intervals on a rung for each group, panel above panel.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `group`, `kind` and, of each quantity, its name, ``NAME_lower`` and
        ``NAME_upper``, and ``NAME_lowest`` and ``NAME_highest`` for the bar behind.
    group : str
        The column whose entries have a rung each.
    kind : str
        The column whose entries have a mark each on every rung.
    panels : dict of str to str
        What a quantity is called, by its column.
    title : str

    Returns
    -------
    altair.VConcatChart

    Raises
    ------
    ValueError
        If a column is missing.
    """
    import altair as alt

    ends = ("", "_lower", "_upper", "_lowest", "_highest")
    needed = [f"{name}{end}" for name in panels for end in ends]
    _require(table, [group, kind, *needed], "explore_groups")
    rungs, names = [*table[group].unique()], [*table[kind].unique()]
    select = alt.binding_select(options=rungs, name=group)
    at = alt.param(name="at", value=rungs[0], bind=select)
    drawn = []
    for number, (name, label) in enumerate(panels.items()):
        axis = alt.Axis(minExtent=LABELS, maxExtent=LABELS, title=None)
        y = alt.Y(f"{group}:N", sort=rungs, axis=axis)
        scale = alt.Scale(type="log", nice=False)
        x_axis = alt.Axis(format="~g", tickCount=5, grid=False)
        offset = alt.YOffset(f"{kind}:N", sort=names)

        def x(end, label=label, name=name, scale=scale, axis=x_axis):
            return alt.X(f"{name}{end}:Q", scale=scale, axis=axis, title=label)

        look = {"y": y, "yOffset": offset, "color": _colour(kind, names)}
        shown = alt.Chart().transform_filter(_is_shown(kind, names))
        behind = alt.Chart().transform_filter(f"datum['{kind}'] === {_text(names[0])}")
        bar = behind.mark_bar(
            opacity=0.35, color=_MUTED, height=alt.RelativeBandSize(0.8)
        )
        rule = shown.transform_filter(f"datum['{name}_lower'] > 0").mark_rule(
            strokeWidth=2
        )
        mark = shown.mark_point(
            filled=True,
            size=alt.expr(f"datum['{group}'] === at ? 130 : 55"),
            opacity=1,
        )
        layers = [
            bar.encode(x=x("_lowest"), x2=f"{name}_highest:Q", y=y),
            rule.encode(x=x("_lower"), x2=f"{name}_upper:Q", **look),
            mark.encode(x=x(""), shape=_shape(kind, names), **look).add_params(
                _hover(number, encodings=["y"])
            ),
        ]
        height = 30 * len(rungs)
        drawn.append(alt.layer(*layers).properties(width=WIDTH, height=height))
    chart = alt.vconcat(*drawn, title=title, spacing=12)
    return _finished(chart, table, kind, group, panels, at)


def explore_points(table, point, kind, *, x, y, labels, title=""):
    """Return a cloud of points with names, of which one can be searched for.

    Parameters
    ----------
    table : pandas.DataFrame
        With columns `point`, `kind`, `x`, `y` and those of `labels`.
    point : str
        The column of the points' names.
    kind : str
        The column whose entries are the groups to choose from.
    x, y : str
        The columns that the axes show, logarithmically; above 0.
    labels : dict of str to str
        What is read out of a point: what a column is called, by its name.
    title : str

    Returns
    -------
    altair.LayerChart

    Raises
    ------
    ValueError
        If a column is missing, or a number that an axis shows is not above 0.
    """
    import altair as alt

    _require(table, [point, kind, x, y, *labels], "explore_points")
    for axis in (x, y):
        if not (table[axis] > 0).all():
            raise ValueError(
                f"explore_points: {axis!r} must be above 0, for its axis is "
                f"logarithmic, received {table[axis].min()!r}; leave such rows out."
            )
    names = [*table[kind].unique()]
    search = alt.binding(input="search", name=f"{point} ", autocomplete="off")
    at = alt.param(name="at", value="", bind=search)
    shown = alt.Chart().transform_filter(_is_shown(kind, names))
    scale, look = alt.Scale(type="log"), {"format": "~s", "tickCount": 6, "grid": False}
    place = {
        "x": alt.X(f"{x}:Q", scale=scale, axis=alt.Axis(**look), title=labels[x]),
        "y": alt.Y(
            f"{y}:Q",
            scale=alt.Scale(type="log", nice=False),
            axis=alt.Axis(
                minExtent=LABELS, maxExtent=LABELS, format="~g", tickCount=6, grid=False
            ),
            title=labels[y],
        ),
    }
    cloud = shown.mark_point(filled=True, size=14, opacity=0.45)
    cloud = cloud.encode(**place, color=_colour(kind, names), shape=_shape(kind, names))
    begins = f"at !== '' && indexof(lower(datum['{point}']), lower(at)) === 0"
    found = shown.transform_filter(begins).mark_point(filled=False, size=60, opacity=1)
    one = shown.transform_filter(f"datum['{point}'] === at")
    ring = one.mark_point(filled=False, size=220, strokeWidth=3, opacity=1)
    text = one.mark_text(dy=-16, fontSize=14, fontWeight="bold")
    layers = [
        cloud.add_params(_hover(0, fields=[point])),
        found.encode(**place),
        ring.encode(**place),
        text.encode(**place, text=f"{point}:N"),
    ]
    chart = alt.layer(*layers, title=title).properties(width=WIDTH, height=2 * HEIGHT)
    return _finished(chart, table, kind, point, labels, at)


_MUTED = "#808080"  # readable on white and on black


def _require(table, columns, caller):
    """Refuse a table without the columns that a specification reads."""
    missing = [name for name in columns if name not in table]
    if missing or not len(table):
        raise ValueError(
            f"{caller}: the table must have rows and the columns {columns}, received "
            f"{len(table)} rows without {missing}."
        )


def _hover(number, **by):
    """Return what pointing at a figure finds: the place nearest to the pointer."""
    import altair as alt

    found = {
        "name": f"hover_{number}",
        "on": "pointermove",
        "clear": False,
        "nearest": True,
    }
    return alt.selection_point(**found, **by)


def _text(value):
    """Return a text as an expression reads it."""
    escaped = str(value).replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _is_shown(column, names):
    """Return the expression that holds for rows whose check box is ticked."""
    tests = [
        f"(show_{number} && datum['{column}'] === {_text(name)})"
        for number, name in enumerate(names)
    ]
    return " || ".join(tests)


def _colour(column, names):
    import altair as alt

    return alt.Color(f"{column}:N", scale=alt.Scale(domain=names), legend=None)


def _shape(column, names):
    import altair as alt

    shapes = [_SHAPES[number % len(_SHAPES)] for number in range(len(names))]
    scale = alt.Scale(domain=names, range=shapes)
    return alt.Shape(f"{column}:N", scale=scale, legend=None)


def _dash_by_line(column, names):
    import altair as alt

    dashes = [_DASHES[number % len(_DASHES)] for number in range(len(names))]
    scale = alt.Scale(domain=names, range=dashes)
    return alt.StrokeDash(f"{column}:N", scale=scale, legend=None)


def _finished(chart, table, choice, key, labels, at, ticked=None):
    """Return a chart with its data, its check boxes and what a page reads out of it."""
    import altair as alt

    names = [*map(str, table[choice].unique())]
    boxes = [
        alt.param(
            name=f"show_{n}",
            value=ticked is None or name in ticked,
            bind=alt.binding_checkbox(name=name),
        )
        for n, name in enumerate(names)
    ]
    is_number = {name: is_numeric_dtype(column) for name, column in table.items()}
    parse = {
        name: "number" if number else "string" for name, number in is_number.items()
    }
    data = alt.InlineData(
        values=table.to_csv(index=False, lineterminator="\n"),
        format=alt.CsvDataFormat(type="csv", parse=parse),
        name=NAME,
    )
    chart = chart.properties(data=data).add_params(at, *boxes)
    chart.usermeta = {
        "choice": choice,
        "choices": names,
        "key": key,
        "lines": bool(is_number[key]),
        "labels": labels,
        "colours": {"light": [*style.ON_LIGHT], "dark": [*style.ON_DARK]},
        "dashes": _DASHES[: len(style.DASHES)],
        "shapes": _SHAPES,
        "embedOptions": {"actions": False, "tooltip": False, "renderer": "canvas"},
    }
    return chart.resolve_scale(color="shared") if hasattr(chart, "vconcat") else chart
