"""Table 2: the perplexities of the paper's language models, beside ours."""

from functools import partial

import numpy as np
import pandas as pd

from state_gradients.paper import ledger
from state_gradients.paper.book.effects import measured, perplexity_effect
from state_gradients.paper.book.pages import DASH, as_runs
from state_gradients.project import artifacts


def published_perplexities():
    """Return the ledger's rows of Table 2, with model, split and experiment (name).

    Where ours are several runs, the first of them gives the name.
    """
    rows = ledger.table(only=lambda row: row["where"] == "Table 2")
    rows = rows[rows["kind"] == "perplexity"]
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
        table[title, "verdict"] = wide["verdict", split]
    differences = pd.to_numeric(wide["difference", "test"])
    in_words = partial(ledger.difference_in_words, kind="perplexity")
    table["test", "difference"] = differences.map(in_words).replace("", DASH)
    trained = {"epochs": "epochs_run", "parameters": "n_parameters"}
    for title, variable in trained.items():
        values = wide["name", "test"].map(partial(measured, variable=variable))
        table["training", title] = _shown(values, "{:,.0f}")
    table["training", "experiment"] = wide["name", "test"]
    return pd.DataFrame(table).rename_axis(None)


def controls(told, baseline):
    """Return a row for each experiment: perplexities, and what it changes.

    Parameters
    ----------
    told : dict of str to str
        What each experiment does otherwise, by name.
    baseline : str
    """
    columns = {"change": told}
    for split, variable in zip(("validation", "test"), SPLITS.values(), strict=True):
        found = pd.Series({name: measured(name, variable) for name in told})
        columns[split] = _shown(found)
    effect = pd.Series({name: perplexity_effect(name, baseline) for name in told})
    columns["test, against the baseline"] = _shown(effect, "{:+.1f}")
    columns["made by"] = {name: f"state-gradients reproduce {name}" for name in told}
    return pd.DataFrame(columns).loc[[*told]]


def over_runs(names, variable):
    """Return mean and standard deviation of a number of several trainings, as text."""
    values = pd.Series([measured(name, variable) for name in names])
    return f"{values.mean():.1f} ± {values.std():.1f}"


def told_change(name, beside):
    """Say by how much an experiment's test perplexity lies above another's."""
    effect = perplexity_effect(name, beside)
    return "an amount not measured yet" if np.isnan(effect) else f"{effect:+.1f}"


SPLITS = {"valid": "valid_perplexity_final", "test": "test_perplexity"}
NOTE_3 = {  # training: rows of the ledger, of given and of trained embeddings
    "50 steps, two <eos> a line": ("note3-2018-pretrained", "note3-2018-trained"),
    "50 steps": ("note3-50-pretrained", "note3-50-trained"),
    "200 steps": ("table2-cbow-test", "table2-baseline-test"),
}


def note_3():
    """Return footnote 3's test perplexities, published and ours, and their differences.

    A row is a training; the last column of each says by how much given embeddings lie
    above trained ones.
    """
    ids = {name for pair in NOTE_3.values() for name in pair}
    rows = ledger.table(only=lambda row: row["id"] in ids).set_index("id")
    table = {}
    for title in ("published", "ours"):
        values = pd.to_numeric(rows[title], errors="coerce")
        given, trained = (
            pd.Series({training: values[pair[k]] for training, pair in NOTE_3.items()})
            for k in (0, 1)
        )
        table[title, "given"] = _shown(given)
        table[title, "trained"] = _shown(trained)
        table[title, "given over trained"] = _shown(given - trained, "{:+.1f}")
    return pd.DataFrame(table)


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
