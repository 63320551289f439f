"""Verdicts: what the artifacts and the ledger say of each claim.

A claim with a test is *supported* if it holds in every run, *not supported* if in none,
else *undecided*. A claim in the ledger is as good as its worst row. Where networks are
trained, or states recorded, in several ways, each is judged by itself.
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

    Its numbers judge it, or, where it has none, its orders and shapes.

    Parameters
    ----------
    rows : pandas.DataFrame
        As :func:`state_gradients.paper.ledger.table` returns them.
    whole : bool, default True
        Whether the rows say all that the claim says; else they can refute it only.
    """
    if rows.empty:  # of a project whose published.yaml leaves them out
        return "no row of data/published.yaml", "not run"
    is_sentence = rows["kind"].isin(["order", "shape"])
    rows = rows if is_sentence.all() else rows[~is_sentence]
    known = {"within": "supported", "not run": "not run", "not comparable": "undecided"}
    verdicts = [known.get(verdict, "not supported") for verdict in rows["verdict"]]
    parts = []
    for row, verdict in zip(rows.itertuples(), verdicts, strict=True):
        if verdict == "not run":
            parts.append(row.why)
        elif row.kind == "order":
            parts.append(f"{row.what}: {row.ours}")
        elif pd.isna(row.ours):
            parts.append(row.why)  # why there is no such number
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


def by_test(entry, experiments, load):
    """Return value and verdict of a claim from its runs, as far as there are any.

    Parameters
    ----------
    entry : Claim
        One with a test.
    experiments : tuple of str
        Those of one of its settings.
    load : callable
        ``load(experiment, kind)`` returns an artifact, or raises MissingArtifactError.
    """
    found, missing = [], []
    for experiment in experiments:
        try:
            found.append(_run(entry, experiment, load))
        except _NotRunError as error:
            missing.append(str(error))
    if not found:
        return f"state-gradients reproduce {missing[0]}", "not run"
    return by_runs(found, len(experiments))


def _judgements(entry, load, rows):
    """Yield setting, recording, value, bound and verdict of a claim."""
    if entry.test:
        for setting, experiments in entry.runs.items():
            value, verdict = by_test(entry, experiments, load)
            yield setting, "", value, entry.holds_if, verdict
    elif entry.in_ledger:
        part = "" if entry.whole else " (a part of the claim)"
        holds_if = f"within the ledger's tolerance{part}"
        rows = rows[rows["claim"] == entry.name]
        pairs = [*dict.fromkeys(zip(rows["setting"], rows["recording"], strict=True))]
        for setting, recording in pairs or [("", "")]:
            of_pair = (rows["setting"] == setting) & (rows["recording"] == recording)
            value, verdict = by_rows(rows[of_pair], whole=entry.whole)
            yield setting, recording, value, holds_if, verdict
    else:
        yield "", "", "", "", NOT_JUDGED


def table(root=None):
    """Return every claim of the paper with its verdicts, in the paper's order.

    Returns
    -------
    pandas.DataFrame
        A row for each claim, and for each setting in which it is judged by itself.
        Columns id, claim, kind, where, quantity, setting and recording (``""`` where
        there is one only), value, holds_if, verdict ("supported", "not supported",
        "undecided", "not run", whose value is the command that runs it, or "not judged
        yet").

    Raises
    ------
    artifacts.ArtifactError
        If an artifact is damaged.
    """
    load = ledger.loader(root)
    rows = ledger.table(root, load=load)
    judged = []
    for name, entry in sorted(REGISTERED.items()):
        for setting, recording, value, bound, verdict in _judgements(entry, load, rows):
            judged.append(
                {
                    "id": name,
                    "claim": entry.text,
                    "kind": entry.kind,
                    "where": entry.where,
                    "quantity": entry.quantity,
                    "setting": setting,
                    "recording": recording,
                    "value": value,
                    "holds_if": bound,
                    "verdict": verdict,
                }
            )
    return pd.DataFrame(judged)


def in_words(setting, recording):
    """Return of which setting and recording a verdict is, ``""`` if of the only one."""
    return ", ".join(filter(None, (setting, recording)))


def as_text(judged):
    """Return claims as lines for a terminal, with the kinds and a count of verdicts.

    A claim that is judged in several settings has a line for each.
    """
    lines = []
    for name, rows in judged.groupby("id"):
        first, several = rows.iloc[0], len(rows) > 1
        verdict = "by setting" if several else first["verdict"]
        lines.append(f"{name} {first['kind']}  {verdict:<14}  {first['claim']}")
        for row in rows.itertuples():
            where = in_words(row.setting, row.recording)
            mine = f"{where}: {row.verdict}" if several else ""
            said = ": ".join(filter(None, (mine, row.value)))
            if said:
                lines.append(f"{'':24}{said}")
    kinds = ", ".join(f"{letter} {meaning}" for letter, meaning in KINDS.items())
    counts = judged["verdict"].value_counts().reindex(VERDICTS, fill_value=0)
    sums = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    n_claims = judged["id"].nunique()
    judgements = f", {len(judged)} judgements" if len(judged) > n_claims else ""
    last = f"{n_claims} claims{judgements}: {sums}."
    return "\n".join([*lines, "", f"Kinds: {kinds}.", last])
