"""Table 2: the perplexities of the paper's language models, beside ours."""

from functools import partial

import pandas as pd

from state_gradients.paper import ledger
from state_gradients.paper.book.effects import measured
from state_gradients.paper.book.pages import DASH, as_runs
from state_gradients.project import artifacts


def published_perplexities():
    """Return the ledger's rows of Table 2, with model, split and experiment (name).

    Where ours are several runs, the first of them gives the name.
    """
    rows = ledger.table().query("where == 'Table 2' and kind == 'perplexity'")
    names = {
        row["id"]: as_runs(row["experiment"])[0]
        for row in ledger.read_published()
        if "experiment" in row
    }
    return rows.assign(
        model=rows["what"].str.split(", ", n=1).str[1],
        split=rows["id"].str.rsplit("-", n=1).str[1],
        name=rows["id"].map(names),
    )


def _shown(column, form="{:.1f}"):
    """Format numbers; a dash stands for what has not been run."""
    numbers = pd.to_numeric(column)
    return numbers.map(form.format).where(numbers.notna(), DASH)


def table_2(rows):
    """Return Table 2, a row for each model.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of :func:`published_perplexities`.

    Returns
    -------
    pandas.DataFrame
        Texts; the columns are pairs of a split, or the training, and what is shown.
    """
    wide = rows.pivot(index="model", columns="split").loc[rows["model"].unique()]
    table = {}
    for split, title in (("valid", "validation"), ("test", "test")):
        table[title, "published"] = _shown(wide["published", split])
        spread = pd.to_numeric(wide["uncertainty", split])
        spread = spread.map(" ± {:.1f}".format).where(spread.notna(), "")
        table[title, "ours"] = _shown(wide["ours", split]) + spread
    differences = pd.to_numeric(wide["difference", "test"])
    in_words = partial(ledger.difference_in_words, kind="perplexity")
    table["test", "difference"] = differences.map(in_words).replace("", DASH)
    table["test", "verdict"] = wide["verdict", "test"]
    trained = {"epochs": "epochs_run", "parameters": "n_parameters"}
    for title, variable in trained.items():
        values = wide["name", "test"].map(partial(measured, variable=variable))
        table["training", title] = _shown(values, "{:,.0f}")
    table["training", "experiment"] = wide["name", "test"]
    return pd.DataFrame(table).rename_axis(None)


def lost_words_told(name):
    """Return what cutting the vocabulary again costs, as texts by name."""
    cost = artifacts.load(name, "vocabulary")
    valid = cost.sel(split="valid")
    lost, word = valid.sel(target="lost"), valid.sel(target="word")
    told = {
        "lost_types": f"{int(cost['lost_types'])}",
        "lost_share": f"{float(lost['tokens'] / valid['tokens'].sum()):.2%}",
        "lost_loss": f"{float(lost['surprisal']):.1f}",
        "word_loss": f"{float(word['surprisal']):.1f}",
    }
    for split in ("valid", "test"):
        at = cost.sel(split=split)
        told[f"with_{split}"] = f"{float(at['perplexity']):.1f}"
        told[f"without_{split}"] = f"{float(at['perplexity_without']):.1f}"
    return told
