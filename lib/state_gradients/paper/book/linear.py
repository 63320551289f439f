"""Table 3: how well parts of speech are told apart in the embeddings, beside others."""

import numpy as np
import pandas as pd

from state_gradients.figures import style
from state_gradients.paper import ledger
from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.paper.language.linear import UNIONS
from state_gradients.project import artifacts

ROW_NAMES = {
    "all": "all tags",
    "nouns": "nouns",
    "verbs": "verbs",
    "adjectives": "adjectives",
    "adverbs": "adverbs",
    **{"-".join(names).lower(): ", ".join(names) for names in UNIONS},
    "number": "singular, plural",
    "common-proper": "common, proper",
    "genitive": "genitive, other",
    "third-person": "3rd person, other",
    "past": "present, past",
    "participle": "present, past participle",
}


def published_accuracies():
    """Return Table 3 as published, in %, a row by its name, columns valid and test."""
    rows = [row for row in ledger.read_published() if row["where"] == "Table 3"]
    names = [row["id"].removeprefix("table3-").rsplit("-", 1) for row in rows]
    index = pd.MultiIndex.from_tuples(map(tuple, names), names=["row", "part"])
    values = pd.Series([row["published"] for row in rows], index, dtype=float)
    return values.unstack("part")


def _per_cent(values):
    return (100 * values).to_series().map("{:.1f}".format)


def table_3(linear, *, split="by pair"):
    """Return Table 3: published and ours, with what each accuracy has to be held to.

    Parameters
    ----------
    linear : xarray.Dataset
        The ``linear`` artifact.
    split : "by pair" or "by type"

    Returns
    -------
    pandas.DataFrame
        Texts, in %; the columns are pairs of a part and what is shown.
    """
    published = published_accuracies()
    of = linear.sel(split=split)
    rows = of["row"].values
    test = of.sel(part="test")
    low, high = (100 * test[f"accuracy_{end}"].values for end in ("lower", "upper"))
    columns = {("", "classes"): of["n_classes"].to_series().map("{:d}".format)}
    for part, title in (("valid", "validation"), ("test", "test")):
        printed = published[part].reindex(rows).map("{:.1f}".format)
        columns[title, "published"] = printed.replace("nan", DASH)
        columns[title, "ours"] = _per_cent(of["accuracy"].sel(part=part))
    columns["test", "95 % interval"] = pd.Series(
        [f"{a:.1f} to {b:.1f}" for a, b in zip(low, high, strict=True)], rows
    )
    columns["test", "balanced"] = _per_cent(test["balanced_accuracy"])
    columns["test, without the embedding", "commonest"] = _per_cent(
        test["majority_rate"]
    )
    columns["test, without the embedding", "frequency"] = _per_cent(
        test["frequency_accuracy"]
    )
    table = pd.DataFrame(columns)
    return table.rename(index=ROW_NAMES).rename_axis(None)


def others(names, *, split="by type"):
    """Return test accuracies of several experiments' embeddings, a column each.

    Parameters
    ----------
    names : dict of str to str
        Title of a column by experiment; those that have not been run are left out.

    Returns
    -------
    pandas.DataFrame
        Numbers in %, by row of Table 3.
    """
    columns = {}
    for name, title in names.items():
        if has_run(name, "linear"):
            accuracy = artifacts.load(name, "linear")["accuracy"]
            columns[title] = 100 * accuracy.sel(split=split, part="test").to_series()
    return pd.DataFrame(columns)


DRAWN = (  # columns of `drawn_accuracies`
    "accuracy",
    "accuracy_lower",
    "accuracy_upper",
    "majority_rate",
    "frequency_accuracy",
    "published",
)


def drawn_accuracies(linear, published, *, split="by type"):
    """Return what :func:`plot_accuracies` draws: numbers in %, a row for each row."""
    test = linear.sel(split=split, part="test", drop=True)
    ours = 100 * test[[*DRAWN[:-1]]].to_dataframe()[[*DRAWN[:-1]]]
    return ours.assign(published=published.reindex(ours.index)).reset_index()


def plot_accuracies(linear, published, *, split="by type", ax=None):
    """Draw each row's test accuracy with its interval beside what needs no embedding.

    Parameters
    ----------
    linear : xarray.Dataset
        The ``linear`` artifact.
    published : pandas.Series
        Published test accuracies in %, by row.
    """
    test = linear.sel(split=split, part="test")
    rows = test["row"].values
    ax = style.axes_or_new(ax, height=1.2 + 0.26 * len(rows))
    height = np.arange(len(rows))
    ink, *hues = style.colours(4)
    accuracy, low, high = (
        100 * test[name].values
        for name in ("accuracy", "accuracy_lower", "accuracy_upper")
    )
    ax.hlines(height, low, high, color=hues[0], linewidth=2)
    marks = {
        "ours, with 95 % interval": (accuracy, "o", hues[0], "full"),
        "published": (published.reindex(rows).values, "|", ink, "full"),
        "commonest class": (100 * test["majority_rate"].values, "s", hues[1], "none"),
        "frequency alone": (
            100 * test["frequency_accuracy"].values,
            "^",
            hues[2],
            "none",
        ),
    }
    for label, (values, marker, colour, fill) in marks.items():
        ax.plot(
            values,
            height,
            linestyle="",
            marker=marker,
            color=colour,
            fillstyle=fill,
            markersize=9 if marker == "|" else 5,
            markeredgewidth=2 if marker == "|" else 1,
            label=label,
        )
    ax.set_yticks(height, [ROW_NAMES.get(row, row) for row in rows])
    ax.invert_yaxis()
    ax.set_axisbelow(True)
    return style.finish(ax, test, x="test accuracy (%)", y="", legend="above")
