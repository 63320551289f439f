"""Tables: every published number beside ours, with a verdict.

``data/published.yaml`` lists them and where ours stand; its head explains the fields.
"""

import functools
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from state_gradients import artifacts, config, synthetic

TOLERANCES = {  # kind: (largest difference, its unit)
    "perplexity": (3.0, "%"),
    "percent": (3.0, "points"),
    "other": (10.0, "%"),
    "range": (0.0, "inside"),
    "order": (0.0, "exact"),
}


class _NotRunError(Exception):
    """A quantity has no value yet; the message says why."""


def read_published(root=None):
    """Return the rows of ``data/published.yaml``, a list of dicts."""
    root = Path(root or config.project_root())
    return yaml.safe_load((root / "data" / "published.yaml").read_text())["rows"]


def _quantity(spec, name, load):
    """Return one number of one experiment, as `spec` (a row's ``ours``) describes."""
    if "closed_form" in spec:
        return (synthetic.published_optimum() | synthetic.ladder())[spec["closed_form"]]
    data = load(name, spec["artifact"])
    select = {
        dim: slice(*wanted) if isinstance(wanted, list) else wanted
        for dim, wanted in spec.get("select", {}).items()
    }
    try:
        values = data[spec["variable"]].sel(select).values
        below = data[spec["over"]].values if "over" in spec else 1
    except KeyError as error:
        lacks = f"the {spec['artifact']} of {name} hold no {error.args[0]}"
        raise _NotRunError(lacks) from error
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.mean(np.asarray(values / below, np.float64)))


def _over_runs(spec, experiment, load):
    """Return mean, standard deviation and a remark over the runs there are."""
    names = experiment if isinstance(experiment, list) else [experiment]
    found, missing = [], []
    for name in names:
        try:
            found.append(_quantity(spec, name, load))
        except artifacts.MissingArtifactError:
            missing.append(f"`state-gradients reproduce {name}`")
    if not found:
        raise _NotRunError(f"run {missing[0]}")
    remark = f"{len(found)} of {len(names)} runs" if missing else ""
    spread = float(np.std(found, ddof=1)) if len(found) > 1 else np.nan
    return float(np.mean(found)), spread, remark


def _order(text, values):
    """Return whether ``"a > b, c > d"`` holds for a dict of values, and their order."""
    sign = ">" if ">" in text else "<"
    groups = [group.split(", ") for group in text.split(f" {sign} ")]
    factor = -1 if sign == ">" else 1
    holds = all(
        factor * values[first] < factor * values[then]
        for before, after in itertools.pairwise(groups)
        for first in before
        for then in after
    )
    ours = sorted(values, key=lambda name: factor * values[name])
    return holds, f" {sign} ".join(ours)


def _compare(row, load):
    """Return ours, its difference, the verdict and the rest of one row."""
    spec, kind = row.get("ours"), row["kind"]
    if spec is None:
        raise _NotRunError("no stage computes it yet")
    if kind == "order":
        members = {k: _over_runs(v, v["experiment"], load) for k, v in spec.items()}
        values = {str(member): found[0] for member, found in members.items()}
        within, ours = _order(row["published"], values)
        difference = spread = np.nan
        remark = next((found[2] for found in members.values() if found[2]), "")
        undefined = np.isnan([*values.values()]).any()
    else:
        ours, spread, remark = _over_runs(spec, row.get("experiment"), load)
        if kind == "percent":
            ours, spread = 100 * ours, 100 * spread
            difference = ours - row["published"]
        elif kind == "range":
            difference = ours - float(np.clip(ours, *row["published"]))
        else:
            difference = 100 * (ours / row["published"] - 1)
        within = abs(difference) <= TOLERANCES[kind][0] * (1 + 1e-12)  # round-off
        undefined = np.isnan(ours)
    verdict = "within" if within else "outside"
    why = "" if within else row.get("why", "")
    if undefined or "incomparable" in row:
        verdict, why = "not comparable", row.get("incomparable", "ours is not defined")
    elif not within and not why:
        verdict = "outside, unexplained"
    return {
        "ours": ours,
        "uncertainty": spread,
        "difference": difference,
        "verdict": verdict,
        "why": "; ".join(part for part in (why, remark) if part),
    }


def ledger(root=None):
    """Return a row for every published number, beside ours.

    Returns
    -------
    pandas.DataFrame
        Columns id, claim, where, what, kind, published, ours (percentages in %),
        uncertainty (standard deviation over the runs, NaN for one), difference (in the
        tolerance's unit; from a range the distance; NaN for an order), tolerance,
        verdict ("within", "outside", "outside, unexplained", "not comparable", "not
        run") and why. A damaged artifact is an ArtifactError.
    """
    load, rows = functools.cache(functools.partial(artifacts.load, root=root)), []
    for row in read_published(root):
        limit, unit = TOLERANCES[row["kind"]]
        published, needs = row["published"], row.get("needs")
        if isinstance(published, list):
            published = "{:g} to {:g}".format(*published)
        found = {key: row.get(key, "") for key in ("id", "claim", "where", "what")}
        found |= {"kind": row["kind"], "published": published}
        found |= {"ours": None, "uncertainty": np.nan, "difference": np.nan}
        found |= {"tolerance": f"{limit:g} {unit}" if limit else unit}
        try:
            found |= _compare(row, load)
        except _NotRunError as error:
            why = f"{error}; it needs {needs}" if needs else str(error)
            found |= {"verdict": "not run", "why": why}
        rows.append(found)
    return pd.DataFrame(rows)
