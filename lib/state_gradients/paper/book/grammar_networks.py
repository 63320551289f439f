"""The page of the generated language: what networks remember of it.

Each `plot_*` draws; the others pick from the artifacts ``grammar`` of several networks,
seeds of one family each, what is drawn and said.
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book import pages
from state_gradients.paper.grammar import bounds
from state_gradients.paper.grammar.agreement import with_intervals
from state_gradients.paper.grammar.number import around_the_verb
from state_gradients.paper.grammar.swaps import AFTER as AFTER_VERB
from state_gradients.project import artifacts

ENDS = ("mean", "lower", "upper")  # what a line with its band is drawn from
AGREES, CONTROL = "verbs agree", "control"
NUMBER, ANOTHER = "number", "another noun"
BEFORE, AFTER = 6, 5  # words around the verb that are drawn
MOST_OF_IT = 0.9  # of the squared change
FAR = slice(7, None)  # distances of the verb with so many words before it


def networks(name):
    """Return the artifacts of the seeds of a family that were run.

    Parameters
    ----------
    name : str
        The experiment, whose own must be there.

    Returns
    -------
    dict of str to (xarray.Dataset, xarray.Dataset)
        ``grammar`` and ``training`` of each.
    """
    first, *others = pages.runs_of(name)
    runs = [first, *(run for run in others if pages.has_run(run, "grammar"))]
    return {
        run: tuple(artifacts.load(run, kind) for kind in ("grammar", "training"))
        for run in runs
    }


def over_seeds(family, pick):
    """Return the mean over seeds of what `pick` takes from an artifact, and its range.

    Parameters
    ----------
    family : dict
        Of :func:`networks`.
    pick : callable
        Takes the artifact ``grammar``, returns a DataArray.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``lower``, ``upper``: the last two are the least and the largest.
    """
    each = xr.concat([pick(found) for found, _ in family.values()], "seed")
    return xr.Dataset(
        {
            "mean": each.mean("seed"),
            "lower": each.min("seed"),
            "upper": each.max("seed"),
        }
    ).drop_attrs()


def joined(lines):
    """Return several of :func:`over_seeds` as one, {name of the line: Dataset}."""
    names = xr.Variable("line", [*lines])
    return xr.concat([*lines.values()], names, join="inner", coords="minimal")


def accuracy_by(families, dim):
    """Return how often verbs are right, the mean of both numbers, with intervals.

    Parameters
    ----------
    families : dict of str to dict
    dim : "words_between" or "attractors"

    Returns
    -------
    xarray.Dataset of shape (line, dim)
        ``mean`` over seeds; ``lower`` and ``upper``, the outermost ends of the seeds'
        intervals (Wilson); NaN where a number has no such verbs.
    """

    def of_seed(found):
        counts = found[["verbs_right", "verbs"]]
        others = {"words_between", "attractors"} - {dim}
        counts = counts.sum(others)
        each = with_intervals(counts["verbs_right"], counts["verbs"])
        return each.mean("number_of_subject", skipna=False)

    lines = {}
    for name, family in families.items():
        each = xr.concat([of_seed(found) for found, _ in family.values()], "seed")
        lines[name] = xr.Dataset(
            {
                "mean": each["accuracy"].mean("seed"),
                "lower": each["lower"].min("seed"),
                "upper": each["upper"].max("seed"),
            }
        )
    return joined(lines)


def plot_accuracy(data, *, ax=None):
    """Draw the share of right verbs against the distance of the subject.

    Parameters
    ----------
    data : Dataset of shape (line, words_between)
        Of :func:`accuracy_by`.
    """
    ax = style.axes_or_new(ax)
    draw_lines(ax, data["mean"], "words_between", "plot_accuracy", band=data)
    style.whole_numbers(ax.xaxis)
    names = {"x": "tokens from the subject to its verb", "y": "verbs right"}
    return style.finish(ax, data, **names, ylim=(0, 1.05), legend="lower right")


def accuracy_table(data):
    """Return accuracy by attractors as a table; the last row stands for more."""
    last = int(data["attractors"].max())
    rows = {}
    for name in data["line"].values:
        one = data.sel(line=name)
        rows[name] = [
            f"{x['mean']:.3f} ({x['lower']:.3f} to {x['upper']:.3f})"
            for x in (one.isel(attractors=k) for k in range(one.sizes["attractors"]))
        ]
    index = [f"{k} or more" if k == last else str(k) for k in data["attractors"].values]
    return pd.DataFrame(rows, index=pd.Index(index, name="attractors"))


def swaps_around_the_verb(families):
    """Return the change of the cell by a swap, with the verb at 0, distant verbs only.

    Parameters
    ----------
    families : dict of str to dict

    Returns
    -------
    xarray.Dataset of shape (line, offset)
        Two lines a family, for both swaps.
    """

    def pick(swap):
        def of_seed(found):
            change = found[["change"]].sel(swap=swap, distance=FAR, drop=True)
            aligned = around_the_verb(change, before=BEFORE, after=AFTER)["change"]
            return aligned.mean("distance")

        return of_seed

    return joined(
        {
            f"{swap}, {name}": over_seeds(family, pick(swap))
            for name, family in families.items()
            for swap in (NUMBER, ANOTHER)
        }
    )


def plot_swaps(data, *, ax=None):
    """Draw the change by a swapped noun against the words to the verb, which is at 0.

    Parameters
    ----------
    data : Dataset of shape (line, offset)
    """
    ax = style.axes_or_new(ax)
    ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
    draw_lines(ax, data["mean"], "offset", "plot_swaps", band=data)
    style.whole_numbers(ax.xaxis)
    names = {"x": "tokens behind the verb", "y": r"change $\|c' - c\|$"}
    return style.finish(ax, data, **names, yscale="log", legend="above")


def held_by_distance(families):
    """Return the share of a change held until the verb, by the verb's distance.

    Returns
    -------
    xarray.Dataset of shape (line, distance)
        ``mean`` over seeds; ``lower`` and ``upper`` of all seeds' intervals.
    """
    lines = {}
    for name, family in families.items():
        each = xr.concat(
            [found["held_by_distance"] for found, _ in family.values()], "seed"
        )
        for swap in (NUMBER, ANOTHER):
            ends = each.sel(swap=swap, drop=True)
            lines[f"{swap}, {name}"] = xr.Dataset(
                {
                    "mean": ends.sel(end="estimate", drop=True).mean("seed"),
                    "lower": ends.sel(end="lower", drop=True).min("seed"),
                    "upper": ends.sel(end="upper", drop=True).max("seed"),
                }
            ).drop_attrs()
    return joined(lines)


def plot_held(data, *, ax=None):
    """Draw the share of a change that is held until the verb, by its distance.

    Parameters
    ----------
    data : Dataset of shape (line, distance)
    """
    ax = style.axes_or_new(ax)
    draw_lines(ax, data["mean"], "distance", "plot_held", band=data)
    style.whole_numbers(ax.xaxis)
    names = {
        "x": "tokens from the subject to its verb",
        "y": "share held until the verb",
    }
    return style.finish(ax, data, **names, legend="above", ylim=(0, None))


def gradients_around_the_verb(families):
    """Return what gradients say of number around the verb, by seed, and of the control.

    Parameters
    ----------
    families : dict of str to dict
        The seeds of the first are lines of their own; of the others the mean is.

    Returns
    -------
    xarray.Dataset of shape (line, offset)
        ``over_chance``, relative memory over that of a random direction, and
        ``response``; distant verbs only.
    """

    def of_seed(found):
        wanted = found[["relative_memory", "chance", "response"]].sel(distance=FAR)
        aligned = around_the_verb(wanted, before=BEFORE, after=AFTER)
        ratio = aligned["relative_memory"] / aligned["chance"]
        both = {"over_chance": ratio, "response": aligned["response"]}
        return xr.Dataset(both).mean("distance")

    first, *others = families
    lines = {
        f"{first}, seed {found.attrs['seed']}": of_seed(found)
        for found, _ in families[first].values()
    }
    for name in others:
        each = [of_seed(found) for found, _ in families[name].values()]
        lines[f"{name}, mean of {len(each)} seeds"] = xr.concat(each, "seed").mean(
            "seed"
        )
    return joined(lines)


def plot_gradients(data, *, axes=None):
    """Draw relative memory and response around the verb, one below the other.

    Parameters
    ----------
    data : Dataset of shape (line, offset)
        Of :func:`gradients_around_the_verb`.
    """
    axes = style.stacked_axes() if axes is None else axes
    above, below = axes
    for ax, name in ((above, "over_chance"), (below, "response")):
        style.axes_or_new(ax)
        ax.axvline(0, color=style.MUTED, linewidth=0.8, zorder=0)
        draw_lines(ax, data[name], "offset", "plot_gradients", named=ax is above)
        style.whole_numbers(ax.xaxis)
    above.axhline(1, color=style.MUTED, linewidth=0.8, zorder=0)
    style.finish(
        above,
        data,
        x="",
        y="relative memory\nover chance",
        legend="above",
        ylim=(0, None),
    )
    y = r"response $\|G D n\|$"
    style.finish(below, data, x="tokens behind the verb", y=y, yscale="log")
    return axes


def steps(families):
    """Return the change before the verb by the size of the step, over a whole swap's.

    Returns
    -------
    xarray.Dataset of shape (line, scale)
    """

    def pick(swap):
        def of_seed(found):
            change = found["step_change"].sel(
                swap=swap, reading="before the verb", drop=True
            )
            return change / change.sel(scale=1)

        return of_seed

    first, *others = families
    lines = {
        f"{swap}, {first}": over_seeds(families[first], pick(swap))
        for swap in (NUMBER, ANOTHER)
    }
    lines |= {
        f"{NUMBER}, {name}": over_seeds(families[name], pick(NUMBER)) for name in others
    }
    return joined(lines)


def plot_steps(data, *, ax=None):
    """Draw the change against the size of the step, both as shares of a whole swap.

    Parameters
    ----------
    data : Dataset of shape (line, scale)
    """
    ax = style.axes_or_new(ax)
    ax.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.8, zorder=0)
    draw_lines(ax, data["mean"], "scale", "plot_steps", band=data, every=1)
    names = {"x": "step, as a share of the swap", "y": "change before the verb"}
    return style.finish(ax, data, **names)


def bounds_table(families):
    """Return every bound with what the seeds show, and whether it holds in all.

    Parameters
    ----------
    families : dict of str to dict
        `AGREES` and `CONTROL`.
    """
    sides = {"agrees": families[AGREES], "control": families[CONTROL]}
    parts = []
    for side, family in sides.items():
        found = bounds.judged(family, side=side)
        grouped = found.groupby("bound", sort=False)
        said = grouped.apply(_of_bound, include_groups=False)
        parts.append(said)
    rows = []
    for key, one in bounds.BOUNDS.items():
        row = {"measured": one.what}
        for title, said, bound in (
            (AGREES, parts[0], one.agrees),
            (CONTROL, parts[1], one.control),
        ):
            row[f"{title}: holds if"] = bounds.in_words(bound)
            row[title] = said.get(key, pages.DASH)
        rows.append(row)
    return pd.DataFrame(rows)


def _of_bound(rows):
    """Return estimate and outermost ends over seeds, and in how many a bound holds."""
    mark = "●" if rows["holds"].all() else "▲"
    return (
        f"{mark} {rows['estimate'].mean():.3g} ({rows['lower'].min():.3g} to "
        f"{rows['upper'].max():.3g}), {rows['holds'].sum()} of {len(rows)} seeds"
    )


def perplexities(families):
    """Return test perplexities beside the lowest, a row for each family."""
    rows = []
    for name, family in families.items():
        found = [float(training["test_perplexity"]) for _, training in family.values()]
        lowest = float(next(iter(family.values()))[0]["lowest_perplexity"])
        rows.append(
            {
                "corpus": name,
                "seeds": len(found),
                "lowest": f"{lowest:.2f}",
                "test perplexity": f"{np.mean(found):.2f} ({min(found):.2f} to "
                f"{max(found):.2f})",
            }
        )
    return pd.DataFrame(rows)


def needs_table(families, delays):
    """Return how long properties are needed, and m over chance at some delays.

    Parameters
    ----------
    families : dict of str to dict
    delays : sequence of int

    Returns
    -------
    pandas.DataFrame
        A row for each property; the mean over seeds.
    """
    first = next(iter(families.values()))
    needed = next(iter(first.values()))[0]["needed_for"]
    table = pd.DataFrame(
        {
            "property": needed["property"].values,
            "needed for": [
                pages.DASH if np.isnan(x) else f"{x:.1f}" for x in needed.values
            ],
        }
    )
    for name, family in families.items():
        m = over_seeds(
            family, lambda found: found["property_memory"] / found["property_chance"]
        )["mean"].sel(property=needed["property"])
        table[name] = [
            " / ".join(f"{x:.2f}" for x in row) for row in m.sel(delay=[*delays]).values
        ]
    return table


def said(families):
    """Return the numbers of the page's prose, as texts: means over the seeds."""
    found = [one for one, _ in families[AGREES].values()]
    control = [one for one, _ in families[CONTROL].values()]

    def percent(name):
        values = [one[name].sel(swap=NUMBER, end="estimate") for one in found]
        return f"{np.mean(values):.0%}".replace("%", " %")

    shares = [np.sort(one["share_of_unit"].values)[::-1].cumsum() for one in found]
    carriers = [int((share < MOST_OF_IT).sum()) + 1 for share in shares]
    first = [int(one["share_of_unit"].values.argmax()) for one in found]
    m, response = (
        [getattr(_before_the_verb(one), name) for one in found]
        for name in ("over_chance", "response")
    )
    of_control = [_before_the_verb(one) for one in control]
    return {
        "held": percent("held"),
        "left": percent("left"),
        "after": AFTER_VERB,
        "seen": percent("seen"),
        "seen-odds": percent("seen_in_odds"),
        "carriers": _listed(carriers, "{}"),
        "n-units": found[0].sizes["unit"],
        "share-first": _listed(
            [one["share_of_unit"][k] for one, k in zip(found, first, strict=True)],
            "{:.0%}",
        ).replace("%", " %"),
        "forget-first": _listed(
            [one["forget_before"][k] for one, k in zip(found, first, strict=True)],
            "{:.2f}",
        ),
        "forget-all": f"{np.mean([one['forget_before'].mean() for one in found]):.2f}",
        "m": _listed(m, "{:.1f}"),
        "m-control": f"{np.mean([one.over_chance for one in of_control]):.1f}",
        "response": _listed(response, "{:.3f}"),
        "response-control": f"{np.mean([one.response for one in of_control]):.3f}",
    }


def degrees_right(family):
    """Return the share of *than* and *of* that are right, of all seeds, as a text."""
    right, n = (
        sum(int(found[name].sum()) for found, _ in family.values())
        for name in ("degrees_right", "degrees")
    )
    return f"{right} of {n}"


def _before_the_verb(found):
    """Return what gradients say of number before the verb, mean over distant verbs."""
    one = gradients_around_the_verb({AGREES: {"": (found, None)}})
    return one.sel(offset=-1).isel(line=0)


def _listed(values, form):
    """Return numbers as a list in words."""
    *texts, last = (form.format(float(x)) if ":" in form else str(x) for x in values)
    return f"{', '.join(texts)} and {last}"
