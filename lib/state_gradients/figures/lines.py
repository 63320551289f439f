"""Lines from labelled data: what all curves here are drawn with.

Data have the axis that the figure runs along and at most one other, whose labels name
the lines. Each becomes a tidy table, a row for each value, and seaborn draws it: every
value as it is, none averaged, none estimated.
"""

import seaborn as sns
import xarray as xr

from state_gradients.figures import style


def draw_chance(ax, along, lower, upper, label):
    """Draw what chance makes as a grey band, behind the lines; without a label if None.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    along, lower, upper : array_like of shape (along,)
    label : str or None
    """
    look = {"color": style.MUTED, "alpha": 0.25, "linewidth": 0}
    ax.fill_between(along, lower, upper, label=label, **look)


def draw_lines(ax, data, along, caller, *, band=None, dash=None, every=5, named=True):
    """Draw `data` along one axis, a line for each entry of the other, if any.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    data : DataArray of shape ([line], along)
        A line may end early: NaN from there on.
    along : str
        The dimension that runs along the horizontal axis.
    caller : str
        Who is named in errors.
    band : Dataset with ``lower`` and ``upper`` of the shape of `data`, optional
        Filled behind each line, in its colour.
    dash : sequence of float or "", optional
        Of all lines; by default each has its own.
    every : int
        One value in so many has a marker, at another place on each line.
    named : bool
        Whether the lines enter the legend.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If `data` are no DataArray of that shape, have several values in one place or
        none between two others, or if `band` has other labels.
    """
    by = _line_dimension(data, along, caller)
    table = _tidy(data, along, by)
    _check(table, along, caller)
    table = table.assign(line=table["line"].map(style.plain))
    names = list(table["line"].unique())
    colours = style.colours(len(names))
    if band is not None:
        ends = xr.align(data, band[["lower", "upper"]], join="exact")[1]
        for number, colour in enumerate(colours):
            one = ends.isel({by: number}) if by else ends
            ax.fill_between(
                one[along],
                one["lower"],
                one["upper"],
                color=colour,
                alpha=0.2,
                linewidth=0,
            )
    n_before = len(ax.lines)
    sns.lineplot(
        table,
        x=along,
        y="value",
        hue="line",
        hue_order=names,
        palette=colours,
        style="line",
        style_order=names,
        markers=style.markers(len(names)),
        dashes=style.dashes(len(names)) if dash is None else [dash] * len(names),
        estimator=None,
        errorbar=None,
        sort=False,
        legend="full" if named and by in data.coords else False,
        ax=ax,
    )
    drawn = [line for line in ax.lines[n_before:] if len(line.get_xdata())]
    for number, line in enumerate(drawn):
        line.set_markevery((number % every, every))
    return ax


def _line_dimension(data, along, caller):
    """Return the dimension whose entries are the lines, or None for a single line."""
    dims = getattr(data, "dims", ())
    others = [dim for dim in dims if dim != along]
    if len(others) > 1 or along not in dims:
        raise ValueError(
            f"{caller}: the data must be a DataArray with the dimensions ({along}) or "
            f"(line, {along}), received {getattr(data, 'sizes', type(data))}; select "
            "one entry of every other dimension first."
        )
    return others[0] if others else None


def _tidy(data, along, by):
    """Return a row for each value, with its place and the name of its `line`."""
    lines = data.reset_coords(drop=True).rename("value")
    lines = lines.transpose(by, along) if by else lines.expand_dims("line")
    table = lines.to_dataframe().reset_index()
    return table.assign(line=table[by or "line"].astype(str))


def _check(table, along, caller):
    """Refuse what a line could only draw by leaving out or making up a value."""
    twice = table[table.duplicated(["line", along])]
    if len(twice):
        name, place = twice.iloc[0][["line", along]]
        raise ValueError(
            f"{caller}: each line needs a name of its own and one value for each "
            f"{along}, received several of line {name} at {along} {place}; nothing is "
            "averaged here: select one, or average them first."
        )
    for name, line in table.groupby("line", sort=False):
        known = line["value"].notna()
        gap = ~known & known[::-1].cummax()[::-1] & known.cummax()
        if gap.any():
            raise ValueError(
                f"{caller}: a line must not have values missing between others, "
                f"received none of line {name} at {along} {line[along][gap].iloc[0]}; "
                "select the stretches that are known."
            )
