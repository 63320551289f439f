"""Verdicts: what the artifacts and the ledger say of each claim.

A claim with a test is *supported* if it holds in every run, *not supported* if in none,
else *undecided*. A claim in the ledger is as good as its worst row.
"""

import pandas as pd

from state_gradients.paper import ledger
from state_gradients.paper.claims.registry import KINDS, REGISTERED
from state_gradients.project import artifacts

NOT_JUDGED = "not judged yet"
VERDICTS = ("supported", "not supported", "undecided", "not run", NOT_JUDGED)


class _NotRunError(Exception):
    """An artifact that a test asks for has not been made; the message names whose."""


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


def by_rows(rows, *, whole=True):
    """Return value and verdict of a claim from its rows of the ledger.

    Its numbers judge it, or, where it has none, its orders.

    Parameters
    ----------
    rows : pandas.DataFrame
        As :func:`state_gradients.paper.ledger.table` returns them.
    whole : bool, default True
        Whether the rows say all that the claim says; else they can refute it only.
    """
    if rows.empty:  # of a project whose published.yaml leaves them out
        return "no row of data/published.yaml", "not run"
    is_order = rows["kind"] == "order"
    rows = rows if is_order.all() else rows[~is_order]
    known = {"within": "supported", "not run": "not run", "not comparable": "undecided"}
    verdicts = [known.get(verdict, "not supported") for verdict in rows["verdict"]]
    parts = []
    for row, verdict in zip(rows.itertuples(), verdicts, strict=True):
        if verdict == "not run":
            parts.append(row.why)
        elif row.kind == "order":
            parts.append(f"{row.what}: {row.ours}")
        else:
            digits = ",.0f" if abs(row.ours) >= 1e5 else ".5g"
            parts.append(f"{row.ours:{digits}}")
    order = ("not run", "not supported", "undecided", "supported")
    worst = min(verdicts, key=order.index)
    if worst == "supported" and not whole:
        worst = "undecided"
    return "; ".join(dict.fromkeys(parts)), worst


def _run(entry, experiment, load):
    """Call the test of a claim on one experiment, with what it may look at."""

    def artifact(kind, *, of=None):
        name = experiment if of is None else of
        if name not in (experiment, *entry.beside):
            raise ValueError(
                f"claims: the test of {entry.name} may load {experiment} and what it "
                f"declares in `beside`, {entry.beside}, received {name!r}."
            )
        try:
            return load(name, kind)
        except artifacts.MissingArtifactError as error:
            raise _NotRunError(name) from error

    return entry.test(artifact)


def by_test(entry, load):
    """Return value and verdict of a claim from its runs, as far as there are any.

    Parameters
    ----------
    entry : Claim
        One with a test.
    load : callable
        ``load(experiment, kind)`` returns an artifact, or raises MissingArtifactError.
    """
    found, missing = [], []
    for experiment in entry.experiments:
        try:
            found.append(_run(entry, experiment, load))
        except _NotRunError as error:
            missing.append(str(error))
    if not found:
        return f"state-gradients reproduce {missing[0]}", "not run"
    return by_runs(found, len(entry.experiments))


def _judge(entry, load, rows):
    """Return value, bound and verdict of a claim."""
    if entry.test:
        value, verdict = by_test(entry, load)
        return value, entry.holds_if, verdict
    if entry.in_ledger:
        rows = rows[rows["claim"] == entry.name]
        value, verdict = by_rows(rows, whole=entry.whole)
        part = "" if entry.whole else " (a part of the claim)"
        return value, f"within the ledger's tolerance{part}", verdict
    return "", "", NOT_JUDGED


def table(root=None):
    """Return every claim of the paper with its verdict, in the paper's order.

    Returns
    -------
    pandas.DataFrame
        Columns id, claim, kind, where, quantity, value, holds_if, verdict ("supported",
        "not supported", "undecided", "not run", whose value is the command that runs
        it, or "not judged yet").

    Raises
    ------
    artifacts.ArtifactError
        If an artifact is damaged.
    """
    load = ledger.loader(root)
    rows = ledger.table(root, load=load)
    judged = []
    for name, entry in sorted(REGISTERED.items()):
        value, holds_if, verdict = _judge(entry, load, rows)
        judged.append(
            {
                "id": name,
                "claim": entry.text,
                "kind": entry.kind,
                "where": entry.where,
                "quantity": entry.quantity,
                "value": value,
                "holds_if": holds_if,
                "verdict": verdict,
            }
        )
    return pd.DataFrame(judged)


def as_text(judged):
    """Return claims as lines for a terminal, with the kinds and a count of verdicts."""
    lines = []
    for row in judged.itertuples():
        lines.append(f"{row.id} {row.kind}  {row.verdict:<14}  {row.claim}")
        if row.value:
            lines.append(f"{'':24}{row.value}")
    kinds = ", ".join(f"{letter} {meaning}" for letter, meaning in KINDS.items())
    counts = judged["verdict"].value_counts().reindex(VERDICTS, fill_value=0)
    sums = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    return "\n".join([*lines, "", f"Kinds: {kinds}.", f"{len(judged)} claims: {sums}."])
