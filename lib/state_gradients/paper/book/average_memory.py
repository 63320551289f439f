"""Memory curves of several experiments on one axis, for the pages that compare them.

What is compared may be one experiment or several runs of one, which differ in their
seeds. Then a curve is the mean over the runs there are, and its spread goes from the
lowest to the highest of them.
"""

import itertools

import pandas as pd
import xarray as xr

from state_gradients.paper.book.pages import DASH, as_runs, has_run
from state_gradients.project import artifacts

PAPER = slice(0, 49)  # the delays that the paper compares
ENDS = ("observed", "lower", "upper")
CURVES = ["memory", "total", "selectivity", "selectivity_5", "effective_rank"]


def whitened(name, kind="spectra"):
    """Return what an artifact holds with respect to the whitened embedding.

    Returns
    -------
    xarray.Dataset of shape (..., state_kind, delay, ...)
    """
    return artifacts.load(name, kind).isel(group=0, normalization=-1, drop=True)


def lines(curves, dim):
    """Put named curves on one new axis.

    Parameters
    ----------
    curves : dict of str to DataArray
    dim : str
        What the new axis, the first, is called.
    """
    bare = [curve.reset_coords(drop=True).drop_attrs() for curve in curves.values()]
    return xr.concat(bare, pd.Index(curves, name=dim))


def curves_of(names, state):
    """Return the whitened curves of one state at the paper's delays, (delay,).

    Parameters
    ----------
    names : str or tuple of str
        An experiment, or several runs of one, of which the mean is taken.
    state : str
    """
    curves = _runs(names, state)
    return curves.mean("run") if curves.sizes["run"] > 1 else curves.isel(run=0)


def _runs(names, state):
    """Return the curves of the runs there are, (run, delay).

    One that is followed less far than the first is left out: of a mean that is of fewer
    runs from some delay on, the step there would look like something learnt.
    """
    found = [
        whitened(name)[CURVES].sel(state_kind=state, delay=PAPER)
        for name in as_runs(names)
        if has_run(name)
    ]
    alike = [one for one in found if one.sizes["delay"] >= found[0].sizes["delay"]]
    bare = [curves.reset_coords(drop=True) for curves in alike]
    return xr.concat(bare, "run", combine_attrs="override", join="inner")


def _that_ran(members):
    return {
        label: member
        for label, member in members.items()
        if any(map(has_run, as_runs(member[0])))
    }


def together(members):
    """Put the curves of what has been run on one axis.

    Parameters
    ----------
    members : dict of str to (str or tuple of str, str)
        Experiment, or several runs of one, and state by what a figure calls them.

    Returns
    -------
    xarray.Dataset of shape (experiment, delay), or an empty dict if none has been run
    """
    found = {label: curves_of(*m) for label, m in _that_ran(members).items()}
    names = pd.Index(found, name="experiment")  # at the delays that all of them have
    return found and xr.concat(found.values(), names, join="inner")


def runs_in(members):
    """Return every experiment of a comparison, each once, a tuple."""
    return tuple(
        dict.fromkeys(run for names, _ in members.values() for run in as_runs(names))
    )


def spread(members):
    """Return the lowest and the highest run of each member, None if none has been run.

    Returns
    -------
    xarray.Dataset or None
        ``lower`` and ``upper`` of shape (quantity, experiment, delay).
    """
    found = {label: _runs(*m) for label, m in _that_ran(members).items()}
    if not found:
        return None
    names = pd.Index(found, name="experiment")
    ends = {
        end: xr.concat(
            [pick(runs, "run") for runs in found.values()], names, join="inner"
        )
        for end, pick in {"lower": xr.Dataset.min, "upper": xr.Dataset.max}.items()
    }
    return xr.Dataset({end: data.to_array("quantity") for end, data in ends.items()})


def in_numbers(members, delays=(0, 20, 49)):
    """Return memory and selectivity of each member at some delays, as text.

    Parameters
    ----------
    members : dict of str to (str or tuple of str, str)
        As :func:`together` takes them.
    delays : sequence of int

    Returns
    -------
    pandas.DataFrame
        A row for each member: how many of its runs there are, and the mean over them
        with the range from the lowest to the highest, where there are several.
    """
    rows = {}
    for label, (names, state) in members.items():
        all_runs = as_runs(names)
        found = _runs(names, state) if any(map(has_run, all_runs)) else None
        n_runs = found.sizes["run"] if found else 0
        row = {("runs", ""): f"{n_runs} of {len(all_runs)}"}
        for quantity, delay in itertools.product(("memory", "selectivity"), delays):
            at = found and found[quantity].sel(delay=delay)
            row[quantity, f"delay {delay}"] = DASH if at is None else _with_range(at)
        rows[label] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def _with_range(values):
    """Return the mean over runs with their range, as text: ``0.030 [0.028, 0.032]``."""
    ends = f" [{values.min():.2g}, {values.max():.2g}]" if values.size > 1 else ""
    return f"{values.mean():.2g}{ends}"


def bands(members):
    """Put the intervals of what has been run on one axis, as :func:`together`.

    Parameters
    ----------
    members : dict of str to (str, str)
        Experiment and state by what a figure calls them.

    Returns
    -------
    xarray.Dataset or None
        ``lower`` and ``upper`` of shape (experiment, delay, quantity); NaN for an
        experiment without intervals, None if there are no others.
    """
    found = {}
    for label, (name, state) in members.items():
        if has_run(name, "intervals"):
            band = whitened(name, "intervals")[["lower", "upper"]]
            band = band.sel(state_kind=state, delay=PAPER)
            found[label] = band.reset_coords(drop=True)
    if not found:
        return None
    both = xr.concat(found.values(), pd.Index(found, name="experiment"))
    return both.reindex(experiment=[*_that_ran(members)])


def interval_of(name, state):
    """Return the intervals of one state's curves at the paper's delays.

    Returns
    -------
    xarray.Dataset
        ``observed``, ``lower`` and ``upper`` of shape (normalization, delay, quantity);
        without intervals ``observed`` alone.
    """
    if has_run(name, "intervals"):
        found = artifacts.load(name, "intervals").isel(group=0)
    else:
        curves = artifacts.load(name, "spectra").isel(group=0)[CURVES]
        found = curves.to_array("quantity").to_dataset(name="observed")
    return found.sel(state_kind=state, delay=PAPER)


def within(interval, quantity, delay, *, normalization=-1):
    """Return a quantity at one place along its curve with its interval, as text.

    Parameters
    ----------
    interval : Dataset
        Of :func:`interval_of`; the text of one without intervals has none.
    quantity : str
    delay : int
        The place along the curve; -1 is the longest delay.
    normalization : int
        0 is raw, -1 whitened.
    """
    one = interval.sel(quantity=quantity).isel(normalization=normalization, delay=delay)
    value, *ends = (f"{float(one[end]):.3g}" for end in ENDS if end in one)
    return f"{value} [{', '.join(ends)}]" if ends else value
