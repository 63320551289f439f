"""Claims: what the paper says that can be tested, with computed verdicts.

A published number is judged by the ledger and its tolerances; every other claim, of
those in ``claims.yaml``, by a test in
:mod:`state_gradients.paper.synthetic.claims`: it is supported if it holds in every run,
not supported if in none, else undecided.
"""

import contextlib
from pathlib import Path

import pandas as pd
import yaml

from state_gradients.foundation import settings
from state_gradients.paper import ledger as tables
from state_gradients.paper.synthetic import claims
from state_gradients.project import artifacts

CLAIMS = yaml.safe_load(Path(__file__).with_name("claims.yaml").read_text("utf-8"))


def by_runs(found, n_planned):
    """Return value and verdict of a claim from what it was found to be in every run.

    The value gives the mean over the runs and, in brackets, their range.

    Parameters
    ----------
    found : list of ({what: value}, whether the claim holds or None)
    n_planned : int
        How many runs there will be.
    """
    values = pd.DataFrame([values for values, _ in found]).astype(float)
    several = " ({:.4g} to {:.4g})" if len(found) > 1 else ""
    parts = [
        f"{name} {column.mean():.4g}" + several.format(column.min(), column.max())
        for name, column in values.items()
    ]
    if len(found) < n_planned:
        parts.append(f"{len(found)} of {n_planned} runs")
    holds = {None if holds is None else bool(holds) for _, holds in found}
    decided = len(holds) == 1 and None not in holds
    verdict = ("supported" if holds == {True} else "not supported") if decided else ""
    return "; ".join(parts), verdict or "undecided"


def by_ledger(rows):
    """Return value and verdict of a published number from its rows of the ledger."""
    known = {"within": "supported", "not run": "not run", "not comparable": "undecided"}
    found = [known.get(verdict, "not supported") for verdict in rows["verdict"]]
    parts = [
        row.why if done == "not run" else f"{row.ours:.5g}"
        for row, done in zip(rows.itertuples(), found, strict=True)
    ]
    order = ("not run", "not supported", "undecided", "supported")
    return "; ".join(dict.fromkeys(parts)), min(found, key=order.index)


def table(root=None):
    """Return the claims that can be judged, in their order.

    Returns
    -------
    pandas.DataFrame
        Columns id, claim, kind, quantity, value, verdict ("supported", "not supported",
        "undecided" or "not run", whose value is the command that runs it).

    Raises
    ------
    artifacts.ArtifactError
        If an artifact is damaged.
    """
    everything = settings.experiment_names(root)
    experiments = [settings.load_experiment(name, root=root) for name in everything]
    # the runs without dropout; those with it are another setting, never pooled
    names = [
        e.name
        for e in experiments
        if e.corpus.name == "synthetic" and not e.model.dropout
    ]
    runs, rows = [], []
    for name in names:
        with contextlib.suppress(artifacts.MissingArtifactError):
            probes = artifacts.load(name, "probes", root=root)
            runs.append(claims.judge(probes))
    for name, (kind, text, quantity) in CLAIMS.items() if names else ():
        found = f"state-gradients reproduce {names[0]}", "not run"
        if runs:
            found = by_runs([run[name] for run in runs], len(names))
        rows.append((name, text, kind, quantity, *found))
    ledger = tables.ledger(root)
    numbers = ledger[~ledger["claim"].isin([*CLAIMS, ""]) & (ledger["kind"] != "order")]
    for name, part in numbers.groupby("claim"):
        text = "; ".join(f"{row.what}: {row.published}" for row in part.itertuples())
        where = ", ".join(dict.fromkeys(part["where"]))
        rows.append((name, text, "N", where, *by_ledger(part)))
    columns = ["id", "claim", "kind", "quantity", "value", "verdict"]
    return pd.DataFrame(sorted(rows), columns=columns)
