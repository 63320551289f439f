"""Curves as tables: for a terminal, and for a file of comma-separated values."""

import numpy as np

SHOWN_DELAYS = (0, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200)  # in a terminal


def table(curves):
    """Return the curves as a DataFrame, a row a normalization, [group] and delay."""
    names = ["memory", "selectivity", "selectivity_5", "effective_rank"]
    names += [*(name for name in ("influence",) if name in curves), "n_samples"]
    axes = [x for x in ("normalization", "group", "delay") if x in curves.dims]
    rows = curves[names].drop_attrs().to_dataframe(axes)
    return rows.reset_index()


def feature_table(curves):
    """Return the memory of each feature at some delays, the largest in all first."""
    delays = [k for k in SHOWN_DELAYS if k in curves["delay"].values]
    memory = curves["feature_memory"].sel(delay=delays).drop_attrs()
    rows = memory.transpose("feature", "delay").to_pandas()
    order = rows.sum(axis="columns").sort_values(ascending=False).index
    return rows.loc[order].reset_index()


def property_table(curves):
    """Return the memory of a property, a row for each [group and] delay.

    The columns are m, the same without noise with the ends of its interval, and the
    bands by chance: ``random directions, lower`` and so on.
    """
    names = [name for name in curves.data_vars if name.startswith("relative_memory")]
    by_chance = ("lower", "middle", "upper")
    columns = curves[names].assign(
        {
            f"{null}, {end}": curves[f"chance_{end}"].sel(null=null, drop=True)
            for null in curves["null"].values.tolist()
            for end in by_chance
        }
    )
    axes = [x for x in ("group", "delay") if x in columns.dims]
    return columns.drop_attrs().to_dataframe(axes).reset_index()


def narrow_property_table(curves):
    """Return :func:`property_table` for a terminal: some delays, bands as text."""
    rows = property_table(curves)
    rows = rows[rows["delay"].isin(SHOWN_DELAYS)]
    text = rows.map(lambda x: f"{x:.3f}" if isinstance(x, float) else str(x))
    narrow = text[[x for x in ("group", "delay") if x in text]].assign(
        memory=text["relative_memory"]
    )
    own = [f"relative_memory_{end}" for end in ("lower", "upper")]
    narrow["without noise"] = (
        text["relative_memory_estimate"] + " [" + text[own].agg(", ".join, axis=1) + "]"
    )
    for null in curves["null"].values.tolist():
        ends = [f"{null}, {end}" for end in ("lower", "upper")]
        narrow[null] = text[ends].agg(" to ".join, axis=1)
    return narrow


def sentence_table(curves):
    """Return a row for each word and delay of a sentence, a DataFrame."""
    asked = ("memory", "influence", "mean_influence", "influence_rank")
    names = [name for name in asked if name in curves]
    rows = curves[names].drop_attrs().to_dataframe(["token", "delay"]).reset_index()
    return rows.dropna(subset=["memory"])[["token", "word", "delay", *names]]


def narrow_sentence_table(values):
    """Return some delays of one quantity, a row for each word: for a terminal.

    Parameters
    ----------
    values : DataArray of shape (token, delay)
        With the ``word`` of each token.
    """
    some = values.sel(delay=[k for k in SHOWN_DELAYS if k in values["delay"].values])
    rows = some.transpose("token", "delay").to_pandas().reset_index(drop=True)
    rows = rows.map(lambda value: "" if np.isnan(value) else f"{value:.3g}")
    rows.insert(0, "word", values["word"].values)
    return rows.rename_axis(columns=None)
