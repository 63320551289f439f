"""Tables: every published number beside ours, with a verdict.

``data/published.yaml`` lists them and where ours stand; its head explains the fields.
"""

import functools
import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from state_gradients.foundation import settings
from state_gradients.project import artifacts
from state_gradients.text import synthetic

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
    root = Path(root or settings.project_root())
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
    falls = ">" in text
    sign = " > " if falls else " < "
    groups = [[values[m] for m in part.split(", ")] for part in text.split(sign)]
    pairs = itertools.pairwise(groups if falls else groups[::-1])
    ours = sorted(values, key=values.get, reverse=falls)
    return all(min(above) > max(below) for above, below in pairs), sign.join(ours)


def _compare(row, load):
    """Return ours, its difference, the verdict and the rest of one row."""
    spec, kind, published = row.get("ours"), row["kind"], row["published"]
    if spec is None:
        raise _NotRunError("no stage computes it yet")
    if kind == "order":
        found = {str(k): _over_runs(v, v["experiment"], load) for k, v in spec.items()}
        values = {member: mean for member, (mean, _, _) in found.items()}
        within, ours = _order(published, values)
        difference = spread = np.nan
        remark = next((remark for _, _, remark in found.values() if remark), "")
        undefined = np.isnan([*values.values()]).any()
    else:
        ours, spread, remark = _over_runs(spec, row.get("experiment"), load)
        if kind == "percent":
            ours, spread = 100 * ours, 100 * spread
            difference = ours - published
        elif kind == "range":
            difference = ours - float(np.clip(ours, *published))
        else:
            difference = 100 * (ours / published - 1)
        within = abs(difference) <= TOLERANCES[kind][0] * (1 + 1e-12)  # round-off
        undefined = np.isnan(ours)
    why = row.get("why", "")
    verdict = "outside" if why else "outside, unexplained"
    if undefined or "incomparable" in row:
        verdict, why = "not comparable", row.get("incomparable", "ours is not defined")
    elif within:
        verdict, why = "within", ""
    return {
        "ours": ours,
        "uncertainty": spread,
        "difference": difference,
        "verdict": verdict,
        "why": "; ".join(filter(None, (why, remark))),
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
        found = {key: row.get(key, "") for key in ("id", "claim", "where", "what")}
        found |= {"kind": row["kind"], "published": row["published"]}
        if row["kind"] == "range":
            found["published"] = "{:g} to {:g}".format(*row["published"])
        found |= {"ours": None, "uncertainty": np.nan, "difference": np.nan}
        found |= {"tolerance": f"{limit:g} {unit}" if limit else unit}
        try:
            found |= _compare(row, load)
        except _NotRunError as error:
            needs = f"; it needs {row['needs']}" if "needs" in row else ""
            found |= {"verdict": "not run", "why": f"{error}{needs}"}
        rows.append(found)
    return pd.DataFrame(rows)
