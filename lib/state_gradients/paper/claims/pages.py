"""What pages show of the claims: a table of verdicts, or why there is none."""

import pandas as pd

from state_gradients.paper.claims.judging import (
    NOT_JUDGED,
    UNTESTABLE,
    WAITS,
    outcome,
)
from state_gradients.paper.claims.overall import listed, of_each, told
from state_gradients.paper.claims.registry import REGISTERED

MARKS = {  # verdict: symbol
    "supported": "●",
    "not supported": "▲",
    "undecided": "○",
    WAITS: "□",
    UNTESTABLE: "◇",
    NOT_JUDGED: "□",
}


class Sentence(str):
    """A text that a notebook shows as Markdown."""

    __slots__ = ()

    def _repr_markdown_(self):
        return str(self)


def between(first, last):
    """Return the names of the claims from one to another, both included."""
    return [name for name in sorted(REGISTERED) if first <= name <= last]


def experiments_of(names):
    """Return the experiments that the tests of claims are about, in their order."""
    of_each = (group for name in names for group in REGISTERED[name].runs.values())
    return list(dict.fromkeys(name for group in of_each for name in group))


def of_paper(names, experiments):
    """Return whether a page that shows `experiments` can judge claims of the paper.

    It can if these are just the experiments that the claims' tests are about.

    Parameters
    ----------
    names : iterable of str
        Such as ``between("C013", "C053")``.
    experiments : iterable of str
    """
    return set(experiments) == set(experiments_of(names))


def counts(names, experiments, judged):
    """Return what becomes of the claims of a page, in words, for a sentence.

    It says in which settings and on which runs they were judged, and in how many of
    these settings they hold; see :func:`verdicts`.

    Parameters
    ----------
    names, experiments, judged
        As :func:`verdicts` takes them.

    Returns
    -------
    str
        Without a full stop.
    """
    names = list(names)
    if not of_paper(names, experiments):
        return "none is judged on this page"
    rows = judged[judged["id"].isin(names)]
    settings = [*filter(None, rows["setting"].unique())]
    if not settings:
        return told(of_each(rows)["verdict"]) + _on_runs(rows).rstrip(",")
    each = {k: rows[rows["setting"].isin(["", k])] for k in settings}
    each = {k: of_each(part).set_index("id")["verdict"] for k, part in each.items()}
    parts = [
        f"in the setting “{k}”{_on_runs(rows[rows['setting'] == k])} {told(verdicts)}"
        for k, verdicts in each.items()
    ]
    holds = pd.DataFrame(each).eq("supported")
    only = holds.loc[holds.sum(axis=1) == 1].sum()
    everywhere = f"every setting supports {holds.all(axis=1).sum()} of them"
    alone = [f"“{k}” alone {n}" for k, n in only.items()]
    return f"{'; '.join(parts)}; {listed([everywhere, *alone])}"


def _on_runs(rows):
    """Return on which runs claims with a test were judged, in words."""
    runs = ", ".join(filter(None, rows["runs"])).split(", ")
    runs = sorted({run for run in runs if run})
    return f", on {listed(runs)}," if runs else ""


def verdicts(names, experiments, judged):
    """Return what a page shows of claims: their verdicts, or why it does not judge.

    Parameters
    ----------
    names : iterable of str
        Claims, such as ``between("C013", "C053")``.
    experiments : iterable of str
        Those that the page shows.
    judged : pandas.DataFrame
        What :func:`state_gradients.paper.claims.judging.table` returned.

    Returns
    -------
    pandas.io.formats.style.Styler or Sentence
        A row for each claim, and where several settings are judged a column for each;
        else with :func:`counts` as its caption; a sentence where the page shows other
        experiments than the paper's claims are about.
    """
    names, experiments = list(names), list(experiments)
    if not of_paper(names, experiments):
        return Sentence(
            f"*This page shows {', '.join(experiments)}. The paper's claims "
            f"{names[0]} to {names[-1]} are about {', '.join(experiments_of(names))}, "
            "and are not judged here; `state-gradients claims` judges them.*"
        )
    rows = judged[judged["id"].isin(names)]
    shown = _by_setting(rows) if rows["setting"].any() else _of_one_setting(rows)
    style = shown.style.hide(axis="index").format(escape="html")
    style = style.set_properties(**{"white-space": "pre-line"})  # a line a recording
    style = style.set_uuid(f"claims-{names[0]}")
    if not rows["setting"].any():
        said = counts(names, experiments, judged)
        style = style.set_caption(f"In sum: {said}.")
    return style.set_table_attributes('class="dataframe wide"')


def _of_one_setting(rows):
    """Return a row for each claim with its value and its verdict."""
    return pd.DataFrame(
        {
            "claim": rows["id"] + " " + rows["kind"],
            "in our words": rows["claim"],
            "measured": rows["value"],
            "holds if": rows["holds_if"],
            "verdict": [f"{MARKS[outcome(x)]} {x}" for x in rows["verdict"]],
        }
    )


def _by_setting(rows):
    """Return a row for each claim, with a column of verdicts for each setting.

    What does not depend on the setting, such as a closed form, stands in each.
    """
    first = rows.drop_duplicates("id").set_index("id")
    shown = pd.DataFrame(
        {
            "claim": first.index + " " + first["kind"],
            "in our words": first["claim"],
            "holds if": first["holds_if"],
        }
    )
    said = rows.assign(line=rows.apply(_line, axis=1))
    said = said.groupby(["setting", "id"], sort=False)["line"].agg("\n".join)
    common = said.get("", pd.Series(dtype=object))
    for setting in filter(None, rows["setting"].unique()):
        shown[setting] = said[setting].reindex(shown.index).fillna(common)
    return shown


def _line(row):
    """Return a verdict in words: of which recording, symbol, verdict and value."""
    recorded = f"{row['recording']} " if row["recording"] else ""
    value = f": {row['value']}" if row["value"] else ""
    return f"{MARKS[outcome(row['verdict'])]} {recorded}{row['verdict']}{value}"
