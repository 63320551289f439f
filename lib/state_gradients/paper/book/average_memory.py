"""Memory curves of several experiments on one axis, for the pages that compare them."""

import pandas as pd
import xarray as xr

from state_gradients.paper.book.pages import has_run
from state_gradients.project import artifacts

PAPER = slice(0, 49)  # the delays that the paper compares
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


def curves_of(name, state):
    """Return the whitened curves of one state at the paper's delays, (delay,)."""
    data = whitened(name)[CURVES].sel(state_kind=state, delay=PAPER)
    return data.reset_coords(drop=True)


def together(members):
    """Put the curves of what has been run on one axis.

    Parameters
    ----------
    members : dict of str to (str, str)
        Experiment and state by what a figure calls them.

    Returns
    -------
    xarray.Dataset of shape (experiment, delay), or an empty dict if none has been run
    """
    found = {label: curves_of(*m) for label, m in members.items() if has_run(m[0])}
    return found and xr.concat(found.values(), pd.Index(found, name="experiment"))


def bands(members):
    """Put the intervals of what has been run on one axis, as :func:`together`.

    Returns
    -------
    xarray.Dataset
        ``lower`` and ``upper`` of shape (experiment, delay, quantity).
    """
    found = {}
    for label, (name, state) in members.items():
        if has_run(name):
            band = whitened(name, "intervals")[["lower", "upper"]]
            band = band.sel(state_kind=state, delay=PAPER)
            found[label] = band.reset_coords(drop=True)
    return xr.concat(found.values(), pd.Index(found, name="experiment"))


def within(interval, quantity, delay, *, normalization=-1):
    """Return a quantity at one place along its curve with its interval, as text.

    Parameters
    ----------
    interval : Dataset
        ``observed``, ``lower``, ``upper`` of shape (normalization, delay, quantity).
    quantity : str
    delay : int
        The place along the curve; -1 is the longest delay.
    normalization : int
        0 is raw, -1 whitened.
    """
    one = interval.sel(quantity=quantity).isel(normalization=normalization, delay=delay)
    numbers = [float(one[end]) for end in ("observed", "lower", "upper")]
    return "{:.3g} [{:.3g}, {:.3g}]".format(*numbers)
