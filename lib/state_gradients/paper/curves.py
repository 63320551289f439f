"""What the ledger asks of a curve over delays, by the name that a row gives it.

    rate            -b of the least-squares line  ln y = a - b tau
    exponential     the share of the variance of ln y that this line explains
    bend            AIC of this line above that of the best of three laws
    change          of the line  y = a + b tau : its rise from end to end / mean of y
    trend           rank correlation of y with tau
    half rise       first delay with  y >= y(0) + (max y - y(0)) / 2
    largest, peak   max y, and the delay at which it stands

A curve is a DataArray with the one axis ``delay``; an answer is a float. Where a
question has none, such as the rate of a curve that touches 0, it is NaN.
"""

import numpy as np
import xarray as xr
from scipy.stats import spearmanr

from state_gradients.analysis import spectra

FLAT = 0.1  # a line that changes less is flat: the tolerance of any single value


def _slope(values, delays):
    return np.polyfit(delays, values, 1)[0]


def _rate(curve):
    if not (curve > 0).all():
        return np.nan
    return -_slope(np.log(curve.values), curve["delay"].values)


def _exponential(curve):
    laws = spectra.compare_decays(curve)
    return laws["r_squared"].sel(law="exponential")


def _bend(curve):
    laws = spectra.compare_decays(curve)
    return laws["aic"].sel(law="exponential") - laws["aic"].min("law")


def _change(curve):
    delays = curve["delay"].values
    rise = _slope(curve.values, delays) * (delays[-1] - delays[0])
    return rise / curve.values.mean()


def _trend(curve):
    return spearmanr(curve["delay"].values, curve.values)[0]


def _half_rise(curve):
    start = curve.values[0]
    if not curve.max() > start:
        return np.nan  # it never rises
    level = start + (curve.values.max() - start) / 2
    return curve["delay"].values[curve.values >= level][0]


QUESTIONS = {
    "rate": _rate,
    "exponential": _exponential,
    "bend": _bend,
    "change": _change,
    "trend": _trend,
    "half rise": _half_rise,
    "largest": lambda curve: curve.max(),
    "peak": lambda curve: curve["delay"].values[np.argmax(curve.values)],
}


def ask(question, curve):
    """Return the answer of a curve to a question.

    Parameters
    ----------
    question : str
        One of `QUESTIONS`.
    curve : xarray.DataArray of shape (delay,)
        In the order of its delays.

    Returns
    -------
    float
    """
    return float(QUESTIONS[question](curve))


def largest_ratio(found):
    """Return the largest ratio of two curves at any delay.

    Parameters
    ----------
    found : list of xarray.DataArray
        Of positive values, all over the same delays, or of one value each.
    """
    found = xr.concat(found, "run", join="exact")
    return float((found.max("run") / found.min("run")).max())


def geometric_mean(curves, dim):
    """Return the mean of curves on the logarithm, on which the paper draws them.

    A mean of the curves themselves would be ruled by the one that lies highest. Where
    one of them is 0, so is the mean.
    """
    with np.errstate(divide="ignore"):
        return np.exp(np.log(curves).mean(dim))


def in_words(delays):
    """Return delays as text, runs of them shortened: "0-3, 7, 20-49"."""
    stretches = np.split(delays, np.flatnonzero(np.diff(delays) > 1) + 1)
    return ", ".join(
        f"{each[0]}-{each[-1]}" if len(each) > 1 else f"{each[0]}"
        for each in stretches
        if len(each)
    )
