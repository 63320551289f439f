"""Verdicts: a claim, its test, and what the runs say of it.

A test looks at the artifact of one run, and its threshold stands in it. A claim is
supported if it holds in every run, not supported if in none, else undecided.
"""

from dataclasses import dataclass

import pandas as pd

CLAIMS = {}  # id -> Claim, filled by the decorator


@dataclass(frozen=True)
class Claim:
    """A claim in our words, and the function that tests it on one run."""

    kind: str  # O order or sign, S shape of a curve, H explanation (N is a number)
    text: str
    quantity: str
    test: object  # artifact -> ({what: value}, whether it holds or None)


def claim(name, kind, text, quantity):
    """Register the decorated function as the test of a claim."""

    def register(test):
        CLAIMS[name] = Claim(kind, text, quantity, test)
        return test

    return register


def by_runs(test, runs, n_planned):
    """Return value and verdict of a claim from the artifacts of every run there is.

    The value gives the mean over the runs and, in brackets, their range.
    """
    found = [test(run) for run in runs]
    values = pd.DataFrame([values for values, _ in found]).astype(float)
    several = " ({:.4g} to {:.4g})" if len(runs) > 1 else ""
    parts = [
        f"{name} {column.mean():.4g}" + several.format(column.min(), column.max())
        for name, column in values.items()
    ]
    if len(runs) < n_planned:
        parts.append(f"{len(runs)} of {n_planned} runs")
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
