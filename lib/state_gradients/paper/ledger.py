"""The ledger: every published number beside ours, with a verdict.

``data/published.yaml`` lists them and where ours stand; its head explains the fields.
Two kinds of row are not judged as they are listed, because their tolerance would let
anything pass:

- A perplexity near 1 belongs to a text of which most tokens are certain. It is compared
  in nats a line of the synthetic corpus (121 tokens on average),
  ``121 ln(ours / published)``, which is also the difference of the two excesses over
  the optimum.
- A rate whose numerator has a row of its own is that count once more, and takes its
  difference and verdict.

Two kinds of row judge a sentence of the paper instead of a number:

- An order with ``each: delay`` must hold at every delay that `select` leaves, since a
  mean over delays is ruled by the first, and one delay says nothing of the others.
  Runs are averaged on the logarithm, on which the paper draws its curves.
- A shape has a bound, ``holds``, for a number that :mod:`~state_gradients.paper.curves`
  finds in a curve, and says ``because`` of what the bound is where it is. Bounds are
  set before ours is looked at.

Where the paper leaves open how its network was trained or its states were recorded, a
number is judged in each setting and each way of recording by itself; no value and no
verdict is taken over two of them.
"""

import functools
import itertools
import operator
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import yaml
from scipy.stats import rankdata

from state_gradients.foundation import settings
from state_gradients.paper import curves, reasons
from state_gradients.project import artifacts
from state_gradients.text import corpora, synthetic

COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">=": operator.ge,
    ">": operator.gt,
}
NEAR_1 = 2.0  # a perplexity below it is near 1
TOLERANCES = {  # kind: (largest difference, its unit)
    "perplexity": (3.0, "%"),
    # 3 % at each choice of a line, 7.5 new tokens and its end: 8.5 ln 1.03 = 0.25
    "perplexity near 1": (0.25, "nats a line"),
    "percent": (3.0, "points"),
    "rate": (10.0, "% of its count"),
    "other": (10.0, "%"),
    "range": (0.0, "inside"),
    "interval": (0.0, "in the interval"),
    "order": (0.0, "exact"),
    "shape": (0.0, "its bound"),
}


class _NotRunError(Exception):
    """A quantity has no value yet; the message says why."""


def read_published(root=None):
    """Return the rows of ``data/published.yaml``, a list of dicts."""
    root = Path(root or settings.project_root())
    return yaml.safe_load((root / "data" / "published.yaml").read_text())["rows"]


def by_setting(row):
    """Return a row of ``data/published.yaml`` as it is judged, once for each setting.

    Parameters
    ----------
    row : dict
        Its ``experiment``, or that of each member of an order, is one setting's, or a
        mapping of settings; ``recordings`` names entries of the dimension `recording`.

    Returns
    -------
    list of dict
        Each of one setting and one recording (``""`` where there are no several), with
        the experiments and the selection that go with them.
    """
    members = row.get("ours") if row["kind"] == "order" else {"": row}
    several = [
        member["experiment"]
        for member in (members or {}).values()
        if isinstance(member.get("experiment"), dict)
    ]
    settings_of = [*several[0]] if several else [""]
    return [
        _of_setting(row, setting, recording)
        for setting in settings_of
        for recording in row.get("recordings", [""])
    ]


def _of_setting(row, setting, recording):
    """Return a row as it is judged in one setting and one way of recording."""

    def chosen(spec):
        names = spec.get("experiment")
        return (
            spec | {"experiment": names[setting]} if isinstance(names, dict) else spec
        )

    row = chosen(row) | {"setting": setting, "recording": recording}
    if isinstance(row.get("why"), dict):
        reasons, pair = row["why"], f"{setting}, {recording}"
        row["why"] = reasons.get(pair, reasons.get(setting, ""))
    if row["kind"] == "order" and row.get("ours"):
        row["ours"] = {name: chosen(member) for name, member in row["ours"].items()}
    if recording:
        select = row["ours"].get("select", {}) | {"recording": recording}
        row["ours"] = row["ours"] | {"select": select}
    return row


def _quantity(spec, name, load):
    """Return one number of one experiment, as `spec` (a row's ``ours``) describes."""
    if "closed_form" in spec:
        return (synthetic.published_optimum() | synthetic.ladder())[spec["closed_form"]]
    if "corpus" in spec:
        return corpora.REGISTRY[spec["corpus"]].tokens[spec["split"]]
    if "curve" in spec:
        return curves.ask(spec["curve"], _curve(spec, name, load))
    data = load(name, spec["artifact"])
    select = _selection(spec)
    try:
        values = _chosen(data[spec["variable"]].sel(select), spec, data)
        below = data[spec["over"]] if "over" in spec else xr.DataArray(1)
    except KeyError as error:
        lacks = f"the {spec['artifact']} of {name} hold no {error.args[0]}"
        raise _NotRunError(lacks) from error
    below = below.sel({dim: select[dim] for dim in select if dim in below.dims})
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.mean(np.asarray(values / below.values, np.float64)))


def _selection(spec):
    """Return what `select` asks for; a list is the first and the last label."""
    return {
        dim: slice(*wanted) if isinstance(wanted, list) else wanted
        for dim, wanted in spec.get("select", {}).items()
    }


def _curve(spec, name, load):
    """Return a variable of one experiment by delay, other axes as geometric means."""
    data = load(name, spec["artifact"])
    try:
        values = data[spec["variable"]].sel(_selection(spec))
    except KeyError as error:
        lacks = f"the {spec['artifact']} of {name} hold no {error.args[0]}"
        raise _NotRunError(lacks) from error
    others = set(values.dims) - {"delay"}
    return curves.geometric_mean(values, others) if others else values


def _chosen(values, spec, data):
    """Return the values that `where` leaves, or what is asked of them.

    `sum` names an axis that is summed first.
    `where` names variables with their least and largest values; `share` and `first` are
    comparisons such as "< 1": the share of the known values for which it holds, and the
    first label for which it does, NaN if for none. Of the labels `words`, `among` is
    how many are among so many of the lowest (or, negative, of the highest) values, and
    `above` the share of all values that they exceed, on the average.
    """
    if "sum" in spec:
        values = values.sum(spec["sum"])
    for name, (low, high) in spec.get("where", {}).items():
        among = (data[name] >= low) & (data[name] <= high)
        values = values[among.values]  # along the one axis of both
    if "words" in spec:
        return _of_words(values, spec)
    if "share" in spec:
        return _holds(values[np.isfinite(values).values], spec["share"])
    if "first" in spec:
        labels = values[values.dims[0]].values[_holds(values, spec["first"])]
        return labels[0] if len(labels) else np.nan
    return values.values


def _of_words(values, spec):
    """Return where the labels `words` stand among all values."""
    ranks = rankdata(values)  # from 1
    named = ranks[values[values.dims[0]].isin(spec["words"]).values]
    if "above" in spec:
        return (named - 1) / (ranks.size - 1)
    n = spec["among"]
    return np.sum(named <= n if n > 0 else named > ranks.size + n)


def _holds(values, comparison):
    """Return where a comparison such as "<= 0.2" holds."""
    sign, bound = comparison.split()
    return COMPARISONS[sign](np.asarray(values), float(bound))


def _by_run(read, spec, experiment, load):
    """Return what `read` finds in the runs there are, and a remark on the others."""
    names = experiment if isinstance(experiment, list) else [experiment]
    found, missing = [], []
    for name in names:
        try:
            found.append(read(spec, name, load))
        except artifacts.MissingArtifactError:
            missing.append(f"`state-gradients reproduce {name}`")
    if not found:
        raise _NotRunError(f"run {missing[0]}")
    return found, f"{len(found)} of {len(names)} runs" if missing else ""


def _over_runs(spec, experiment, load):
    """Return mean, standard deviation and a remark over the runs there are."""
    if "over_runs" in spec:  # of fewer runs it would be smaller
        found, remark = _by_run(_curve, spec, experiment, load)
        if remark:
            raise _NotRunError(f"it compares all runs, of which there are {remark}")
        return curves.largest_ratio(found), np.nan, ""
    found, remark = _by_run(_quantity, spec, experiment, load)
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


def _order_at_each_delay(row, load):
    """Return the share of the delays at which an order holds, in words, a remark."""
    members, remarks = {}, []
    for member, spec in row["ours"].items():
        found, remark = _by_run(_curve, spec, spec["experiment"], load)
        members[str(member)] = curves.geometric_mean(
            xr.concat(found, "run", join="exact"), "run"
        )
        remarks.append(remark)
    middles = xr.concat(
        [curve.drop_vars(set(curve.coords) - {"delay"}) for curve in members.values()],
        "member",
        join="exact",
    ).assign_coords(member=list(members))
    if middles.isnull().any():
        return np.nan, "", ""
    delays = middles["delay"].values
    holds = np.array(
        [
            _order(row["published"], at.to_series().to_dict())[0]
            for at in middles.transpose("delay", "member")
        ]
    )
    if holds.all():
        ours = f"{row['published']} at all {len(delays)} delays"
    else:
        fails = curves.in_words(delays[~holds])
        ours = f"{row['published']} at {holds.sum()} of {len(delays)} delays"
        ours += f", not at {fails}"
    return holds.mean(), ours, next(filter(None, remarks), "")


def _is_met(value, bounds):
    """Return whether a number meets bounds such as "> 0.5" or ">= 5, <= 15"."""
    return all(_holds(np.float64(value), bound) for bound in bounds.split(", "))


def _kind(row, counts):
    """Return the kind that a row is judged as."""
    if row["kind"] == "perplexity" and row["published"] < NEAR_1:
        return "perplexity near 1"
    return "rate" if _numerator(row) in counts else row["kind"]


def _numerator(row):
    """Return what a rate counts, as a key; None where the row is no rate."""
    spec = row.get("ours") or {}
    if "over" not in spec:
        return None
    return _key(row | {"ours": {k: v for k, v in spec.items() if k != "over"}})


def _key(row):
    """Return what a row measures, and in which experiments, as a key."""
    return repr((row.get("experiment"), sorted((row.get("ours") or {}).items())))


def is_within(difference, kind):
    """Return whether a difference is inside the tolerance of a kind of row."""
    return abs(difference) <= TOLERANCES[kind][0] * (1 + 1e-12)  # round-off


def _compare(row, kind, load):
    """Return ours, its difference, the verdict and the rest of one row."""
    spec, published = row.get("ours"), row["published"]
    if spec is None:
        raise _NotRunError("no stage computes it yet")
    if kind == "order" and "each" in row:
        share, ours, remark = _order_at_each_delay(row, load)
        within = _is_met(share, row.get("holds", ">= 1"))
        difference = spread = np.nan
        undefined = np.isnan(share)
    elif kind == "order":
        found = {str(k): _over_runs(v, v["experiment"], load) for k, v in spec.items()}
        values = {member: mean for member, (mean, _, _) in found.items()}
        within, ours = _order(published, values)
        difference = spread = np.nan
        remark = next((remark for _, _, remark in found.values() if remark), "")
        undefined = np.isnan([*values.values()]).any()
    else:
        ours, spread, remark = _over_runs(spec, row.get("experiment"), load)
        if kind in ("percent", "rate", "interval"):
            ours, spread = 100 * ours, 100 * spread
        if kind == "interval":
            published = _reach(row, load)
        difference = _difference(ours, published, kind)
        within = is_within(difference, kind)
        if kind == "shape":
            within = _is_met(ours, row["holds"])
        undefined = np.isnan(ours)
    why = _why(row, ours, load)
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


def _reach(row, load):
    """Return from where to where ours may lie, in %, for the published to be ours.

    That is as far around the published percentage as the ends of the 95 % interval,
    the variables `ends`, are from ours, and half a unit of the last printed digit more.
    """
    spec, half = row["ours"], row["digit"] / 2
    ours, lower, upper = (
        100 * _over_runs(spec | {"variable": name}, row["experiment"], load)[0]
        for name in (spec["variable"], *row["ends"])
    )
    return [
        row["published"] - (upper - ours) - half,
        row["published"] + (ours - lower) + half,
    ]


def _why(row, ours, load):
    """Return the reason of a row with its numbers, ``""`` if one is not measured."""
    why, measured = row.get("why", ""), row.get("measured", [])
    if not measured:
        return why

    def number(spec):
        return _over_runs(spec, spec["experiment"], load)[0]

    compared = {"ours": ours, "published": row["published"]}
    try:
        return reasons.told(why, measured, number, **compared)
    except _NotRunError:
        return ""  # a reason must be measured


def _difference(ours, published, kind):
    """Return how far ours is from the published value, in the tolerance's unit."""
    if kind == "shape":
        return np.nan
    if kind == "percent":
        return ours - published
    if kind in ("range", "interval"):
        return ours - float(np.clip(ours, *published))
    if kind == "perplexity near 1":
        return synthetic.LINE * float(np.log(ours / published))
    return 100 * (ours / published - 1)


def _bound_in_words(row):
    """Return what a shape, or an order over delays, must meet."""
    if row["kind"] == "shape":
        return row["holds"]
    return f"at {row['holds']} of the delays" if "holds" in row else "at each delay"


def difference_in_words(difference, kind):
    """Return a difference with its unit, in digits that do not belie the verdict.

    Where rounding would carry it to the other side of its tolerance, it gets more
    digits: 3.048 % is outside 3 % and becomes "+3.05 %", not "+3.0 %". For NaN, "".
    """
    limit, unit = TOLERANCES[kind]
    if np.isnan(difference):
        return ""
    if not limit:
        return f"{difference:.2g}"
    for digits in range(1 if limit >= 1 else 2, 17):
        text = f"{difference:+.{digits}f}"
        if is_within(float(text), kind) == is_within(difference, kind):
            break
    return f"{text} {unit}"


def loader(root=None):
    """Return ``load(experiment, kind)``, which reads, or misses, each artifact once.

    In a project that does not know an experiment of the paper, its artifacts are
    missing.
    """
    known = settings.experiment_names(root)

    @functools.cache
    def result(experiment, kind):
        if experiment not in known:
            return artifacts.MissingArtifactError(f"params: no experiment {experiment}")
        try:
            return artifacts.load(experiment, kind, root=root)
        except artifacts.MissingArtifactError as error:
            return error

    def load(experiment, kind):
        found = result(experiment, kind)
        if isinstance(found, Exception):
            raise found
        return found

    return load


def table(root=None, *, load=None):
    """Return a row for every published number beside ours, in each setting of ours.

    Parameters
    ----------
    root : path-like, optional
        The project's root; found from the working folder by default.
    load : callable, optional
        Of :func:`loader`, where the caller has one.

    Returns
    -------
    pandas.DataFrame
        Columns id (of the published number), setting and recording (in which ours was
        found, ``""`` where there is one only), claim, where, what, kind (the one that
        the row is judged as, of `TOLERANCES`), published, ours (percentages in %),
        uncertainty (standard deviation over the runs, NaN for one), difference (in the
        tolerance's unit; from a range the distance; NaN for an order), tolerance,
        verdict ("within", "outside", "outside, unexplained", "not comparable", "not
        run") and why. A damaged artifact is an ArtifactError.
    """
    load = load or loader(root)
    published = [row for listed in read_published(root) for row in by_setting(listed)]
    counts = {_key(row): row for row in published if row["kind"] == "other"}
    rows = []
    for row in published:
        kind = _kind(row, counts)
        limit, unit = TOLERANCES[kind]
        named = ("id", "setting", "recording", "claim", "where", "what")
        found = {key: row.get(key, "") for key in named}
        found |= {"kind": kind, "published": row["published"]}
        if kind == "range":
            found["published"] = "{:g} to {:g}".format(*row["published"])
        found |= {"ours": None, "uncertainty": np.nan, "difference": np.nan}
        found |= {"tolerance": f"{limit:g} {unit}" if limit else unit}
        if "each" in row or kind == "shape":
            found["tolerance"] = _bound_in_words(row)
        try:
            found |= _compare(row, kind, load)
            if kind == "rate":
                count = _compare(counts[_numerator(row)], "other", load)
                found |= {k: count[k] for k in ("difference", "verdict", "why")}
        except _NotRunError as error:
            needs = f"; it needs {row['needs']}" if "needs" in row else ""
            if "incomparable" in row:
                needs += f"; it will not be comparable: {row['incomparable']}"
            found |= {"verdict": "not run", "why": f"{error}{needs}"}
        rows.append(found)
    return pd.DataFrame(rows)
