"""The ledger: every published number beside ours, with a verdict.

``data/published.yaml`` lists them and where ours stand; its head explains the fields.
Some numbers are not judged by a share of themselves or by points, which would let
anything pass:

- A perplexity near 1 belongs to a text of which most tokens are certain. It is compared
  in nats a line of the synthetic corpus (121 tokens on average),
  ``121 ln(ours / published)``, which is also the difference of the two excesses over
  the optimum.
- A count, k of n, is compared with ours, summed over the runs, by an exact test at 5 %
  (:mod:`~state_gradients.paper.counts`). It knows the chance of counting, not that of
  training: where runs differ by more than counting and a further one would lie as far
  off as the published one in more than 5 % of cases, that is the reason of the row.
- A number that a formula gives must be the printed one, rounded or cut: its difference
  is counted in units of the last printed digit.
- An accuracy that is, to its last digit, what guessing the commonest class reaches
  (``guess``) shows nothing, so that ours, above it or not, is not comparable with it.

A row that is outside without a reason of its own has one in its runs where they lie on
either side of the published value, or some of them meet a bound: the spread between
seeds, with its numbers.

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
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
import yaml

from state_gradients.foundation import settings
from state_gradients.paper import counts, curves, quantities, reasons
from state_gradients.project import artifacts
from state_gradients.text import synthetic

NAMED = ("id", "setting", "recording", "claim", "where", "what")  # columns of a row
JUDGED = (
    *("kind", "published", "ours", "chance", "uncertainty", "difference", "tolerance"),
    *("verdict", "why"),
)
NEAR_1 = 2.0  # a perplexity below it is near 1
CHANCE = 0.05  # what comes up less often by chance is not chance
ALIKE = "alike"  # in `select`: recorded as the states of the row are
TOLERANCES = {  # kind: (largest difference, its unit)
    "perplexity": (3.0, "%"),
    # 3 % at each choice of a line, 7.5 new tokens and its end: 8.5 ln 1.03 = 0.25
    "perplexity near 1": (0.25, "nats a line"),
    "percent": (3.0, "points"),
    "count": (1.96, "standard errors"),  # p = 5 %
    "printed": (1.0, "of the last digit"),  # rounded or cut
    "other": (10.0, "%"),
    "range": (0.0, "inside"),
    "interval": (0.0, "in the interval"),
    "order": (0.0, "exact"),
    "shape": (0.0, "its bound"),
}


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
        names, select = spec.get("experiment"), spec.get("select", {})
        if isinstance(names, dict):
            spec = spec | {"experiment": names[setting]}
        if select.get("recording") == ALIKE:
            spec = spec | {"select": select | {"recording": recording}}
        return spec

    row = chosen(row) | {"setting": setting, "recording": recording}
    if isinstance(row.get("why"), dict):
        whys, pair = row["why"], f"{setting}, {recording}"
        row["why"] = whys.get(pair, whys.get(setting, ""))
    if "measured" in row:
        row["measured"] = reasons.changed(row["measured"], chosen)
    if "guess" in row:
        row["guess"] = chosen(row["guess"])
    if row["kind"] == "order" and row.get("ours"):
        row["ours"] = {name: chosen(member) for name, member in row["ours"].items()}
    elif recording:
        select = row["ours"].get("select", {}) | {"recording": recording}
        row["ours"] = row["ours"] | {"select": select}
    return row


def _counts(spec, name, load):
    """Return of one experiment a count and of how many it is."""
    all_of = spec | {"variable": spec["over"]}
    return [
        quantities.quantity({k: v for k, v in each.items() if k != "over"}, name, load)
        for each in (spec, all_of)
    ]


def _of_count(row, load):
    """Return of a count what :func:`_compare` needs of a number.

    Returns
    -------
    ours : float
        Of as many as are published, in all runs together.
    spread : float
        Of the runs, likewise.
    difference : float
        Standard errors; the sign is that of ours - published.
    remark : str
    """
    found, remark = quantities.by_run(_counts, row["ours"], row["experiment"], load)
    k, n = (int(total) for total in np.sum(found, axis=0))
    if not n:
        return np.nan, np.nan, np.nan, remark
    spread = quantities.deviation([row["of"] * a / b for a, b in found if b])
    difference = counts.standard_errors(k, n, row["published"], row["of"])
    return row["of"] * k / n, spread, difference, remark


def _order(text, values):
    """Return whether ``"a > b, c > d"`` holds for a dict of values, and their order.

    Of ``"a or b > c"`` the larger of a and b must be above c.
    """
    falls = ">" in text
    sign = " > " if falls else " < "
    groups = [
        [max(values[m] for m in one.split(" or ")) for one in part.split(", ")]
        for part in text.split(sign)
    ]
    pairs = itertools.pairwise(groups if falls else groups[::-1])
    ours = sorted(values, key=values.get, reverse=falls)
    return all(min(above) > max(below) for above, below in pairs), sign.join(ours)


def _order_at_each_delay(row, load):
    """Return the share of the delays at which an order holds, in words, a remark."""
    members, remarks = {}, []
    for member, spec in row["ours"].items():
        found, remark = quantities.by_run(
            quantities.curve, spec, spec["experiment"], load
        )
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


def _kind(row):
    """Return the kind that a row is judged as."""
    if row["kind"] == "perplexity" and row["published"] < NEAR_1:
        return "perplexity near 1"
    return row["kind"]


def is_within(difference, kind):
    """Return whether a difference is inside the tolerance of a kind of row."""
    return abs(difference) <= TOLERANCES[kind][0] * (1 + 1e-12)  # round-off


def _compare(row, kind, load):
    """Return ours, its difference, the verdict and the rest of one row."""
    spec, published = row.get("ours"), row["published"]
    if spec is None:
        raise quantities.NotRunError("no stage computes it yet")
    if kind == "order" and "each" in row:
        share, ours, remark = _order_at_each_delay(row, load)
        within = quantities.is_met(share, row.get("holds", ">= 1"))
        difference = spread = np.nan
        undefined = np.isnan(share)
    elif kind == "order":
        found = {
            str(k): quantities.over_runs(v, v["experiment"], load)
            for k, v in spec.items()
        }
        values = {member: mean for member, (mean, _, _) in found.items()}
        within, ours = _order(published, values)
        difference = spread = np.nan
        remark = next((remark for _, _, remark in found.values() if remark), "")
        undefined = np.isnan([*values.values()]).any()
    elif kind == "count":
        ours, spread, difference, remark = _of_count(row, load)
        within = is_within(difference, kind)
        undefined = np.isnan(ours)
    else:
        ours, spread, remark = quantities.over_runs(spec, row.get("experiment"), load)
        if kind in ("percent", "interval"):
            ours, spread = 100 * ours, 100 * spread
        if kind == "interval":
            published = _reach(row, load)
        difference = _difference(ours, published, kind)
        within = is_within(difference, kind)
        if kind == "shape":
            within = quantities.is_met(ours, row["holds"])
        undefined = np.isnan(ours)
    why = _why(row, ours, load)
    if not (within or why):
        why = _spread_told(row, kind, load)
    verdict = "outside" if why else "outside, unexplained"
    if undefined:
        verdict, why = "not comparable", "ours is not defined"
    elif "incomparable" in row and _shows_nothing(row, load):
        why = _why(row | {"why": row["incomparable"]}, ours, load)
        verdict = "not comparable"
    elif within:
        verdict, why = "within", ""
    return {
        "ours": ours,
        "chance": _by_chance(row, kind, load),
        "uncertainty": spread,
        "difference": difference,
        "verdict": verdict,
        "why": "; ".join(filter(None, (why, remark))),
    }


def _by_chance(row, kind, load):
    """Return what guessing, or a random direction, reaches, NaN where nobody asks."""
    if "chance" not in row:
        return np.nan
    value = quantities.over_runs(row["chance"], row["experiment"], load)[0]
    return 100 * value if kind == "percent" else value


def _reach(row, load):
    """Return from where to where ours may lie, in %, for the published to be ours.

    That is as far around the published percentage as the ends of the 95 % interval,
    the variables `ends`, are from ours, and half a unit of the last printed digit more.
    """
    spec, half = row["ours"], row["digit"] / 2
    ours, lower, upper = (
        100
        * quantities.over_runs(spec | {"variable": name}, row["experiment"], load)[0]
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
        return quantities.over_runs(spec, spec["experiment"], load)[0]

    compared = {"ours": ours, "published": row["published"]}
    try:
        return reasons.told(why, measured, number, **compared)
    except quantities.NotRunError:
        return ""  # a reason must be measured


def _shows_nothing(row, load):
    """Return whether a row cannot be compared: always, or where guessing gives it."""
    if "guess" not in row:
        return True
    guess = 100 * quantities.over_runs(row["guess"], row["experiment"], load)[0]
    return is_within(_difference(guess, row["published"], "printed"), "printed")


def _spread_told(row, kind, load):
    """Return how the runs lie about a published value or bound, ``""`` if apart."""
    if kind in ("order", "interval") or "over_runs" in row["ours"]:
        return ""
    if kind == "count":
        pairs = quantities.by_run(_counts, row["ours"], row["experiment"], load)[0]
        pairs = [(k, n) for k, n in pairs if n]
        runs = np.array([row["of"] * k / n for k, n in pairs])
    else:
        scale = 100 if kind == "percent" else 1
        runs = scale * np.array(
            quantities.by_run(
                quantities.quantity, row["ours"], row.get("experiment"), load
            )[0]
        )
    if len(runs) < 2:
        return ""
    reach = f"{runs.min():.4g} to {runs.max():.4g}"
    if kind == "shape":
        n_met = sum(quantities.is_met(run, row["holds"]) for run in runs)
        said = f"{n_met} of {len(runs)} runs meet the bound; they give {reach}"
        return said if n_met else ""
    low, high = np.broadcast_to(row["published"], 2)
    if runs.min() <= high and low <= runs.max():
        return f"the published value lies between our runs, which give {reach}"
    return _unlike_told(pairs, row) if kind == "count" else ""


def _unlike_told(pairs, row):
    """Return how unlike the counts of runs are, if a further one may lie as far off."""
    if not any(k for k, _ in pairs) or counts.chance_between_runs(pairs) > CHANCE:
        return ""
    runs = np.array([row["of"] * k / n for k, n in pairs])
    as_far = counts.chance_of_a_further_run(runs, row["published"])
    if not as_far > CHANCE:
        return ""
    by_counting = np.mean([row["of"] * np.sqrt(k) / n for k, n in pairs])
    return (
        f"runs differ by more than counting does: they give {runs.min():.4g} to "
        f"{runs.max():.4g}, with a standard deviation of {runs.std(ddof=1):.2g} where "
        f"counting makes {by_counting:.2g}; a further run would lie as far off as the "
        f"published one in {as_far:.0%} of cases"
    )


def _last_digit(published):
    """Return the unit of the last digit of a number as it is printed."""
    return float(Decimal(1).scaleb(Decimal(repr(published)).as_tuple().exponent))


def _difference(ours, published, kind):
    """Return how far ours is from the published value, in the tolerance's unit."""
    if kind == "shape":
        return np.nan
    if kind == "percent":
        return ours - published
    if kind == "printed":
        return (ours - published) / _last_digit(published)
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


def table(root=None, *, load=None, only=None):
    """Return a row for every published number beside ours, in each setting of ours.

    Parameters
    ----------
    root : path-like, optional
        The project's root; found from the working folder by default.
    load : callable, optional
        Of :func:`loader`, where the caller has one.
    only : callable, optional
        Takes a row of ``data/published.yaml`` and says whether it is wanted.

    Returns
    -------
    pandas.DataFrame
        Columns id (of the published number), setting and recording (in which ours was
        found, ``""`` where there is one only), claim, where, what, kind (the one that
        the row is judged as, of `TOLERANCES`), published, ours (percentages in %),
        chance (what guessing the commonest class, or 95 % of random directions, reach),
        uncertainty (standard deviation over the runs, NaN for one), difference (in the
        tolerance's unit; from a range the distance; NaN for an order), tolerance,
        verdict ("within", "outside", "outside, unexplained", "not comparable", "not
        run") and why. A damaged artifact is an ArtifactError.
    """
    load = load or loader(root)
    wanted = [row for row in read_published(root) if only is None or only(row)]
    rows = []
    for row in (row for listed in wanted for row in by_setting(listed)):
        kind = _kind(row)
        limit, unit = TOLERANCES[kind]
        found = {key: row.get(key, "") for key in NAMED}
        found |= {"kind": kind, "published": row["published"]}
        if kind == "range":
            found["published"] = "{:g} to {:g}".format(*row["published"])
        if kind == "count":
            found["published"] = f"{row['published']} of {row['of']}"
        found |= dict.fromkeys(("chance", "uncertainty", "difference"), np.nan)
        found["ours"] = None
        found |= {"tolerance": f"{limit:g} {unit}" if limit else unit}
        if "each" in row or kind == "shape":
            found["tolerance"] = _bound_in_words(row)
        try:
            found |= _compare(row, kind, load)
        except quantities.NotRunError as error:
            needs = f"; it needs {row['needs']}" if "needs" in row else ""
            if "incomparable" in row and "guess" not in row:
                needs += f"; it will not be comparable: {row['incomparable']}"
            found |= {"verdict": "not run", "why": f"{error}{needs}"}
        rows.append(found)
    return pd.DataFrame(rows, columns=[*NAMED, *JUDGED])
