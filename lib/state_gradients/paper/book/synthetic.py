"""Tables of the study on the synthetic corpus, over runs that differ in their seed."""

import numpy as np
import pandas as pd
import xarray as xr
from numpy.lib.stride_tricks import sliding_window_view

from state_gradients.paper.book.pages import DASH, has_run, say
from state_gradients.project import artifacts

TARGETS = {"token": "token", "new": "new token", "count": "count"}
PARTS = {  # representation: what a table calls it, and its rows of the ledger
    "cell": ("cell", "cell"),
    "hidden": ("hidden", "hidden"),
    "cell counting": ("cell, five directions", "cell-counting"),
    "cell, means removed": ("cell, other 45", "cell-identity"),
}


def runs(names, kind):
    """Return an artifact of several runs on one axis, ``run``.

    Parameters
    ----------
    names : sequence of str
        Experiments that differ in their seed only.
    kind : str
    """
    return xr.concat(
        [artifacts.load(name, kind) for name in names],
        xr.Variable("run", list(names)),
        join="outer",
        combine_attrs="drop_conflicts",
    )


def spread(values, form=".2f"):
    """Return the mean over the runs ± the standard deviation between them, as text.

    Parameters
    ----------
    values : DataArray of shape (run,)
    form : str
        Of a format specification.
    """
    several = values.sizes["run"] > 1
    deviation = f" ± {values.std('run', ddof=1):{form}}" if several else ""
    return f"{values.mean('run'):{form}}{deviation}"


def say_of(setting, **texts):
    """Keep texts for the prose of a page, under names that end in the setting's.

    Parameters
    ----------
    setting : str
        Such as ``"dropped"``: ``loss`` becomes ``{glue:text}`loss_dropped:s```.
    **texts : object
        As :func:`state_gradients.paper.book.pages.say` takes them.
    """
    say(**{f"{name}_{setting}": text for name, text in texts.items()})


def numbers(values, form=""):
    """Return a number for each run, as text: ``6, 150``."""
    return ", ".join(f"{value:{form}}" for value in np.ravel(values))


def made(names):
    """Return those of the experiments whose study has been made."""
    kinds = ("training", "probes", "readings")
    return [name for name in names if all(has_run(name, kind) for kind in kinds)]


def predicted(settings, published):
    """Return how well each setting predicts, published and ours by way of reading.

    Parameters
    ----------
    settings : dict of str to sequence of str
        What a setting is called, and its experiments, run or not. No number is taken
        over two settings.
    published : dict of str to float
        By the id of a row of the ledger.

    Returns
    -------
    pandas.DataFrame
        A row for each number; a column for each setting and each way in which the text
        is read, as text: means over the runs ± standard deviation.
    """
    rows = {
        "perplexity, validation": f"{published['synthetic-valid']:.4f}",
        "perplexity, test": f"{published['synthetic-test']:.4f}",
        "unexpected mistakes, validation": DASH,
        "unexpected mistakes, test": f"{published['unexpected-count']}",
    }

    def ours(names):
        perplexity = runs(names, "probes")["perplexity"]
        mistakes = runs(names, "readings")["unexpected_mistakes"]
        ways = perplexity["evaluation"].values
        for way, recording in zip(ways, (0, -1), strict=True):  # the orders are alike
            parts = perplexity.sel(evaluation=way), mistakes.isel(recording=recording)
            texts = [
                spread(part.sel(split=split), form)
                for part, form in zip(parts, (".4f", ".0f"), strict=True)
                for split in ("valid", "test")
            ]
            yield way, dict(zip(rows, texts, strict=True))

    return _beside(settings, rows, ours)


def read(settings, published):
    """Return what LDA reads in each setting, published and ours by recording, in %.

    Parameters
    ----------
    settings, published
        As :func:`predicted` takes them.

    Returns
    -------
    pandas.DataFrame
        A row for each part of the state and each target of Table 1, and the share of
        the count's variance in five directions; a column for each setting and each way
        in which states are recorded.
    """
    rows = {
        f"{part}: {title}": f"{published[f'table1-{row}-{target}']}"
        for part, row in PARTS.values()
        for target, title in TARGETS.items()
    }
    rows["variance in five"] = f"{published['count-variance']}"

    def ours(names):
        readings = runs(names, "readings")
        for recording in readings["recording"].values:
            at = 100 * readings.sel(recording=recording)
            accuracy = at["lda_accuracy"]
            texts = [
                spread(accuracy.sel(representation=part, target=target), ".0f")
                for part in PARTS
                for target in TARGETS
            ]
            texts.append(spread(at["count_variance_5"], ".0f"))
            yield recording, dict(zip(rows, texts, strict=True))

    return _beside(settings, rows, ours)


def table_1(ways, published):
    """Return what LDA reads, published and ours by how it was found, in %.

    Parameters
    ----------
    ways : dict of str to (sequence of str, str)
        What a way is called; its experiments, all of which have been run, and how
        their states were recorded.
    published : dict of str to float
        By the id of a row of the ledger.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``lower`` and ``upper`` of the runs, all (way, row): the published
        way first, the rows as :func:`read` calls them.
    """
    theirs = [
        published[f"table1-{part}-{target}"]
        for _, part in PARTS.values()
        for target in TARGETS
    ]
    theirs = xr.DataArray([[*theirs, published["count-variance"]]], dims=("run", "row"))
    of_ways = {"published": theirs.astype(float)}
    for way, (names, recording) in ways.items():
        at = 100 * runs(names, "readings").sel(recording=recording)
        accuracy = at["lda_accuracy"].sel(representation=[*PARTS], target=[*TARGETS])
        accuracy = accuracy.stack(row=("representation", "target")).reset_index("row")
        rows = [accuracy, at["count_variance_5"].expand_dims("row")]
        bare = [one.reset_coords(drop=True).drop_attrs() for one in rows]
        of_ways[way] = xr.concat(bare, "row").transpose("run", "row")
    parts = [
        f"{part}: {title}" for part, _ in PARTS.values() for title in TARGETS.values()
    ]
    ends = {"mean": "mean", "lower": "min", "upper": "max"}
    found = {
        name: xr.concat(
            [getattr(values, end)("run") for values in of_ways.values()],
            pd.Index(of_ways, name="way"),
        )
        for name, end in ends.items()
    }
    return xr.Dataset(found).assign_coords(row=[*parts, "variance in five"])


def n_within(marks, way, points):
    """Return how many published numbers lie within so many points of a way's runs.

    Parameters
    ----------
    marks : xarray.Dataset
        Of :func:`table_1`.
    way : str
    points : float
        The largest distance from the range of the runs, in percentage points.
    """
    theirs, ours = marks["mean"].sel(way="published"), marks.sel(way=way)
    outside = np.maximum(ours["lower"] - theirs, theirs - ours["upper"])
    return int((outside <= points).sum())


def _beside(settings, published, ours):
    """Return published texts, and ours of each setting there is, side by side.

    ``ours(names)`` yields what a column is called, and its texts by row.
    """
    columns = {("published", ""): published}
    for title, names in settings.items():
        if names := made(names):
            columns |= {(title, way): texts for way, texts in ours(names)}
        else:
            columns[title, "not run"] = dict.fromkeys(published, DASH)
    return pd.DataFrame(columns)


def new_tokens(settings):
    """Return by several measures how well a state tells new tokens, in %.

    Parameters
    ----------
    settings : dict of str to sequence of str
        As :func:`predicted` takes them.

    Returns
    -------
    pandas.DataFrame
        A row for each representation and one for the commonest class; for each setting
        accuracy, balanced accuracy and the recall of the new tokens, along one stream.
    """
    table = {}
    for title, names in settings.items():
        if not (names := made(names)):
            continue
        readings = runs(names, "readings").sel(recording="one stream", target="new")
        measures = {
            "accuracy": readings["lda_accuracy"],
            "balanced": readings["lda_balanced_accuracy"],
            "recall": readings["new_recall"],
        }
        guess = {
            "accuracy": spread(100 * readings["majority_rate"], ".1f"),
            "balanced": f"{100 / 3:.1f}",  # one class of three is always right
            "recall": "0.0",
        }
        for measure, values in measures.items():
            column = {
                part: spread(100 * values.sel(representation=representation), ".1f")
                for representation, (part, _) in PARTS.items()
            }
            table[title, measure] = column | {"commonest class": guess[measure]}
    return pd.DataFrame(table)


def stops_after(valid_perplexity, rule):
    """Return after how many epochs a rule would have stopped a run.

    Training stops when each of the last `patience` epochs has improved on the best
    before by less than `min_improvement`.

    Parameters
    ----------
    valid_perplexity : array_like of shape (epoch,)
    rule : state_gradients.foundation.settings.Training

    Returns
    -------
    int or None
        None where the rule would have let the run go on.
    """
    values = np.asarray(valid_perplexity)
    gains = 1 - values[1:] / np.minimum.accumulate(values)[:-1]
    if len(gains) < rule.patience:
        return None
    small = sliding_window_view(gains < rule.min_improvement, rule.patience)
    settled = small.all(axis=1)
    return int(settled.argmax()) + rule.patience + 1 if settled.any() else None


def figure_3(sums, accuracy):
    """Return what :func:`state_gradients.paper.synthetic.figures.plot_figure_3` draws.

    Returns
    -------
    dict of str to Dataset
        The sums' ``mean``, ``lower`` and ``upper``, and ``accuracy``, by panel.
    """
    ends = {"lower": sums.min("run"), "upper": sums.max("run")}
    above = xr.Dataset({"mean": sums.mean("run"), **ends})
    return {
        "sum of singular values": above.drop_attrs(),
        "what is read": accuracy.mean("run").to_dataset(name="accuracy").drop_attrs(),
    }
