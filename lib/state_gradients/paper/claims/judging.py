"""Verdicts: what the artifacts and the ledger say of each claim.

A claim with a test is *supported* if it holds in every run, *not supported* if in none,
else *undecided*. A claim in the ledger is as good as its worst row. Where networks are
trained, or states recorded, in several ways, each is judged by itself. What has no run
yet *waits for* its experiment; what no run of ours could answer *cannot be tested
here*, which holds of what could be run with a stand-in only, too.
"""

import re

import pandas as pd

from state_gradients.paper import ledger
from state_gradients.paper.claims.registry import KINDS, REGISTERED
from state_gradients.project import artifacts

NOT_JUDGED = "not judged yet"
WAITS = "waits for"  # and the name of an experiment
UNTESTABLE = "cannot be tested here"
OUTCOMES = ("supported", "not supported", "undecided", WAITS, UNTESTABLE, NOT_JUDGED)
PART_HOLDS = "what was tested of it holds; a part of it was not"
COMMAND = "state-gradients reproduce"
_OF_A_JUDGEMENT = (
    *("setting", "recording", "value", "holds_if", "verdict"),
    *("why", "runs"),
)


class _NotRunError(Exception):
    """An artifact that a test asks for has not been made; the message names whose."""


def outcome(verdict):
    """Return which of `OUTCOMES` a verdict is, whatever experiment it waits for."""
    return WAITS if verdict.startswith(f"{WAITS} ") else verdict


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
        return "no row of data/published.yaml", NOT_JUDGED
    is_sentence = rows["kind"].isin(["order", "shape"])
    rows = rows if is_sentence.all() else rows[~is_sentence]
    verdicts = [_of_row(row) for row in rows.itertuples()]
    parts = [
        _value_of_row(row, verdict)
        for row, verdict in zip(rows.itertuples(), verdicts, strict=True)
    ]
    # one row outside decides, whatever the others will be
    worst_first = ("not supported", NOT_JUDGED, UNTESTABLE, WAITS, "undecided")
    order = (*worst_first, "supported")
    worst = min(verdicts, key=lambda verdict: order.index(outcome(verdict)))
    if worst == "supported" and not whole:
        worst = "undecided"
    return "; ".join(dict.fromkeys(parts)), worst


def _of_row(row):
    """Return the verdict on a claim of one row of the ledger.

    What stands in for an experiment that is not ours to make decides nothing, whether
    it was run or not; a number that ours never reaches is not ours.
    """
    if row.verdict == "within":
        return "supported"
    if row.verdict == "not run":
        waited_for = re.search(rf"{COMMAND} ([\w.-]+)", row.why)
        if "not be comparable" in row.why:
            return UNTESTABLE
        return f"{WAITS} {waited_for[1]}" if waited_for else NOT_JUDGED
    if row.verdict == "not comparable" and pd.notna(row.ours):
        return UNTESTABLE
    return "not supported"


def _value_of_row(row, verdict):
    """Return ours of one row of the ledger, in words."""
    if isinstance(row.ours, str):  # an order
        return f"{row.what}: {row.ours}"
    if pd.isna(row.ours):
        return row.why  # why there is no such number, or not yet
    value = f"{row.ours:{',.0f' if abs(row.ours) >= 1e5 else '.5g'}}"
    if pd.notna(getattr(row, "chance", None)):
        value += f" (by chance {row.chance:.3g})"
    return f"{value}: {row.why}" if verdict == UNTESTABLE else value


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
    """Return value and verdict of a claim from its runs, as far as there are any."""
    return _by_test(entry, experiments, load)[:2]


def _by_test(entry, experiments, load):
    """Return value, verdict and which runs a claim was judged on.

    Parameters
    ----------
    entry : Claim
        One with a test.
    experiments : tuple of str
        Those of one of its settings.
    load : callable
        ``load(experiment, kind)`` returns an artifact, or raises MissingArtifactError.
    """
    found, missing = {}, []
    for experiment in experiments:
        try:
            found[experiment] = _run(entry, experiment, load)
        except _NotRunError as error:
            missing.append(str(error))
    if not found:
        return f"{COMMAND} {missing[0]}", f"{WAITS} {missing[0]}", ()
    return *by_runs([*found.values()], len(experiments)), tuple(found)


def _judgements(entry, load, rows):
    """Yield what differs between the judgements of a claim, a dict each."""
    if entry.test:
        for setting, experiments in entry.runs.items():
            value, verdict, runs = _by_test(entry, experiments, load)
            if entry.stand_in and runs:
                value, verdict = f"{value}; {entry.stand_in}", UNTESTABLE
            yield {
                "setting": setting,
                "value": value,
                "holds_if": entry.holds_if,
                "verdict": verdict,
                "runs": ", ".join(runs),
            }
    elif entry.in_ledger:
        yield from _judgements_of_rows(entry, rows[rows["claim"] == entry.name])
    else:
        verdict = f"{WAITS} {entry.waits_for}" if entry.waits_for else UNTESTABLE
        yield {"value": entry.reason, "holds_if": entry.holds_if, "verdict": verdict}


def _judgements_of_rows(entry, rows):
    """Yield the judgements of a claim by its rows, one for each way of recording.

    A row that hangs on neither has its say in each.
    """
    part = "" if entry.whole else " (a part of the claim)"
    pairs = [*dict.fromkeys(zip(rows["setting"], rows["recording"], strict=True))]
    of_all = (rows["setting"] == "") & (rows["recording"] == "")
    for setting, recording in [*filter(any, pairs)] or [("", "")]:
        of_pair = (rows["setting"] == setting) & (rows["recording"] == recording)
        of_pair |= of_all
        value, verdict = by_rows(rows[of_pair], whole=entry.whole)
        outside = of_pair & rows["verdict"].str.startswith("outside")
        reasons = dict.fromkeys(filter(None, rows["why"][outside]))
        if verdict == "undecided" and not entry.whole:
            reasons[PART_HOLDS] = None
        yield {
            "setting": setting,
            "recording": recording,
            "value": value,
            "holds_if": f"within the ledger's tolerance{part}",
            "verdict": verdict,
            "why": "; ".join(reasons),
        }


def table(root=None, *, names=None):
    """Return claims of the paper with their verdicts, in the paper's order.

    Parameters
    ----------
    root : path-like, optional
        The project's root; found from the working folder by default.
    names : iterable of str, optional
        Which claims; by default all.

    Returns
    -------
    pandas.DataFrame
        A row for each claim, and for each setting in which it is judged by itself.
        Columns id, claim, kind, where, quantity; setting and recording (``""`` where
        there is one only), value, holds_if, verdict ("supported", "not supported",
        "undecided", "waits for EXPERIMENT", whose value says how it is run or what it
        will show, "cannot be tested here", whose value says why, or "not judged yet"),
        why (the ledger's measured reason, where its rows are outside their tolerance)
        and runs (that a test was called on, separated by commas).

    Raises
    ------
    artifacts.ArtifactError
        If an artifact is damaged.
    """
    load, names = ledger.loader(root), set(REGISTERED if names is None else names)
    rows = ledger.table(root, load=load, only=lambda row: row.get("claim") in names)
    judged = []
    for name, entry in sorted(REGISTERED.items()):
        if name not in names:
            continue
        said = {
            "id": name,
            "claim": entry.text,
            "kind": entry.kind,
            "where": entry.where,
            "quantity": entry.quantity,
        }
        empty = dict.fromkeys(_OF_A_JUDGEMENT, "")
        judged += [said | empty | each for each in _judgements(entry, load, rows)]
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
    counts = judged["verdict"].map(outcome).value_counts()
    counts = counts.reindex(OUTCOMES, fill_value=0)
    sums = ", ".join(f"{n} {verdict}" for verdict, n in counts.items())
    n_claims = judged["id"].nunique()
    judgements = f", {len(judged)} judgements" if len(judged) > n_claims else ""
    last = f"{n_claims} claims{judgements}: {sums}."
    return "\n".join([*lines, "", f"Kinds: {kinds}.", last])
