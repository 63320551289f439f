"""Tables of the study on the synthetic corpus, over runs that differ in their seed."""

import pandas as pd
import xarray as xr

from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.project import artifacts

TARGETS = {"token": "token", "new": "new token", "count": "count"}
NEEDED, LATER = slice(0, 31), slice(33, 49)  # delays: until its last copy, and after


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


def table_1(probes, ledger):
    """Return what LDA reads from each part of the state, published and ours, in %.

    Parameters
    ----------
    probes : Dataset
        Of several :func:`runs`.
    ledger : pandas.DataFrame
        Indexed by the ids of its rows.

    Returns
    -------
    pandas.DataFrame
        A row for each representation and one for the commonest class; the columns are
        pairs of what is read and how it is counted.
    """
    states = [str(name) for name in probes["representation"].values]

    def published(state, target):
        name = f"table1-{state.replace(' ', '-')}-{target}"
        return f"{ledger.loc[name, 'published']:.0f}" if name in ledger.index else DASH

    def ours(variable):
        part = 100 * variable.transpose("representation", "run")
        return [spread(row, ".1f") for row in part]

    table = {}
    for target, title in TARGETS.items():
        majority = spread(100 * probes["majority_rate"].sel(target=target), ".1f")
        accuracy = ours(probes["lda_accuracy"].sel(target=target))
        balanced = ours(probes["lda_balanced_accuracy"].sel(target=target))
        named = [published(state, target) for state in states]
        table[title, "published"] = [*named, DASH]
        table[title, "accuracy"] = [*accuracy, majority]
        table[title, "balanced"] = [*balanced, DASH]
        if target == "new":
            table[title, "recall"] = [*ours(probes["new_recall"]), "0.0"]
    return pd.DataFrame(table, index=[*states, "commonest class"]).rename_axis("LDA, %")


def beside(settings):
    """Return settings beside each other, each by the runs of its own that there are.

    Parameters
    ----------
    settings : dict of str to sequence of str
        What a setting is called, and its experiments, run or not. No number is taken
        over two settings.

    Returns
    -------
    pandas.DataFrame
        A row for each setting, as text: means over its runs ± standard deviation.
    """
    rows = {}
    for title, names in settings.items():
        made = [name for name in names if has_run(name, "probes")]
        row = {"runs": f"{len(made)} of {len(names)}"}
        if made:
            probes = runs(made, "probes")
            cell = 100 * probes["lda_accuracy"].sel(representation="cell")
            unexpected = probes["unexpected_mistakes"] / probes["predictions"]
            test = probes["perplexity"].sel(split="test", evaluation="1 x 1")
            read = 100 * probes["delay_accuracy"].sel(representation="cell")
            needed, later = (
                read.sel(delay=stretch).mean("delay") for stretch in (NEEDED, LATER)
            )
            row |= {
                "test perplexity": spread(test, ".4f"),
                "token, %": spread(cell.sel(target="token"), ".1f"),
                "count, %": spread(cell.sel(target="count"), ".1f"),
                "unexpected mistakes, %": spread(100 * unexpected, ".3f"),
                "new token read at delays 0-31, %": spread(needed, ".0f"),
                "at 33-49, %": spread(later, ".0f"),
            }
        rows[title] = row
    return pd.DataFrame.from_dict(rows, orient="index").fillna(DASH)
