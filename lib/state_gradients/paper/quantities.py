"""Numbers of ours, as the specifications of ``data/published.yaml`` describe them.

    {artifact, variable, select, ...}  ->  one number of one experiment
                                       ->  its mean, or another summary, over the runs

The head of that file says what a specification may hold. ``load(experiment, kind)``
reads an artifact, or raises MissingArtifactError.
"""

import operator

import numpy as np
import xarray as xr
from scipy.stats import rankdata

from state_gradients.paper import curves, reasons, steps
from state_gradients.project import artifacts
from state_gradients.text import corpora, synthetic

COMPARISONS = {
    "<": operator.lt,
    "<=": operator.le,
    ">=": operator.ge,
    ">": operator.gt,
}
EXTREMES = {"least": np.min, "largest": np.max}  # what `take` and `runs` ask for


class NotRunError(Exception):
    """A quantity has no value yet; the message says why."""


def quantity(spec, name, load):
    """Return one number of one experiment.

    Parameters
    ----------
    spec : dict
        A row's ``ours``, a member of it, or an entry of ``measured``.
    name : str
        Of the experiment.
    load : callable

    Raises
    ------
    NotRunError
        If the artifact holds no such thing.
    """
    if "closed_form" in spec:
        closed = synthetic.published_optimum() | synthetic.ladder() | synthetic.SIZES
        return closed[spec["closed_form"]]
    if operations := reasons.OPERATIONS.keys() & spec:
        form = {operation: spec[operation] for operation in operations}
        return reasons.value(form, {}, lambda part: quantity(part, name, load))
    if "corpus" in spec:
        return corpora.REGISTRY[spec["corpus"]].tokens[spec["split"]]
    if "step" in spec:
        return _of_step(spec, name, load)
    if "curve" in spec:
        return curves.ask(spec["curve"], curve(spec, name, load))
    data = load(name, spec["artifact"])
    select = _selection(spec)
    try:
        values = _chosen(data[spec["variable"]].sel(select), spec, data)
        below = data[spec["over"]] if "over" in spec else xr.DataArray(1)
    except KeyError as error:
        lacks = f"the {spec['artifact']} of {name} hold no {error.args[0]}"
        raise NotRunError(lacks) from error
    below = below.sel({dim: select[dim] for dim in select if dim in below.dims})
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(np.mean(np.asarray(values / below.values, np.float64)))


def _of_step(spec, name, load):
    """Return m of a step, or at which share of the delays it is below another's."""
    known = [load(name, kind) for kind in ("encoder", "gradients", "types")]
    select = _selection(spec)
    m, *others = (
        steps.memory_of_property(one, *known).sel(select)
        for one in (spec["step"], *filter(None, [spec.get("below")]))
    )
    return float((m < others[0]).mean() if others else m.mean())


def _selection(spec):
    """Return what `select` asks for; a list is the first and the last label."""
    return {
        dim: slice(*wanted) if isinstance(wanted, list) else wanted
        for dim, wanted in spec.get("select", {}).items()
    }


def curve(spec, name, load):
    """Return a variable of one experiment by delay, other axes as geometric means."""
    data = load(name, spec["artifact"])
    try:
        values = data[spec["variable"]].sel(_selection(spec))
    except KeyError as error:
        lacks = f"the {spec['artifact']} of {name} hold no {error.args[0]}"
        raise NotRunError(lacks) from error
    others = set(values.dims) - {"delay"}
    return curves.geometric_mean(values, others) if others else values


def _chosen(values, spec, data):
    """Return the values that `where` leaves, or what is asked of them.

    `sum` names an axis that is summed first.
    `where` names variables with their least and largest values; `share`, `first` and
    `last` are comparisons such as "< 1": the share of the known values for which it
    holds, and the first or last label for which it does, NaN if for none; `take` is
    one of `EXTREMES`. Of the labels `words`, `among` is how many are among so many of
    the lowest (or, negative, of the highest) values, and `above` the share of all
    values that they exceed, on the average.
    """
    if "sum" in spec:
        values = values.sum(spec["sum"])
    limits = spec.get("where", {}).items()
    inside = [
        (data[name] >= low) & (data[name] <= high) for name, (low, high) in limits
    ]
    if inside:  # along the one axis of all
        values = values[np.logical_and.reduce([each.values for each in inside])]
    if "words" in spec:
        return _of_words(values, spec)
    if "share" in spec:
        return _holds(values[np.isfinite(values).values], spec["share"])
    for end, place in (("first", 0), ("last", -1)):
        if end in spec:
            labels = values[values.dims[0]].values[_holds(values, spec[end])]
            return labels[place] if len(labels) else np.nan
    if "take" in spec:
        return EXTREMES[spec["take"]](values.values)
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


def by_run(read, spec, experiment, load):
    """Return what `read` finds in the runs there are, and a remark on the others."""
    names = experiment if isinstance(experiment, list) else [experiment]
    found, missing = [], []
    for name in names:
        try:
            found.append(read(spec, name, load))
        except artifacts.MissingArtifactError:
            missing.append(f"`state-gradients reproduce {name}`")
    if not found:
        raise NotRunError(f"run {missing[0]}")
    return found, f"{len(found)} of {len(names)} runs" if missing else ""


def over_runs(spec, experiment, load):
    """Return mean, standard deviation and a remark over the runs there are.

    The standard deviation belongs to the mean: of another summary it is NaN.
    """
    if "over_runs" in spec:  # of fewer runs it would be smaller
        found, remark = by_run(curve, spec, experiment, load)
        if remark:
            raise NotRunError(f"it compares all runs, of which there are {remark}")
        return curves.largest_ratio(found), np.nan, ""
    found, remark = by_run(quantity, spec, experiment, load)
    if "runs" in spec:
        return float(EXTREMES[spec["runs"]](found)), np.nan, remark
    if spec.get("average") == "logarithm":  # runs that differ by orders of magnitude
        with np.errstate(divide="ignore"):  # where one is 0, so is the mean
            return float(np.exp(np.mean(np.log(found)))), np.nan, remark
    return float(np.mean(found)), deviation(found), remark


def deviation(found):
    """Return the standard deviation between runs, NaN for one."""
    return float(np.std(found, ddof=1)) if len(found) > 1 else np.nan


def is_met(value, bounds):
    """Return whether a number meets bounds such as "> 0.5" or ">= 5, <= 15"."""
    return all(_holds(np.float64(value), bound) for bound in bounds.split(", "))
