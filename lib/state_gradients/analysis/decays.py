"""Decays: laws fitted to memory against delay.

exponential            sigma_1 = a exp(-b tau)                          (Eq. 13)
power                  sigma_1 = a (1 + tau)^-b
stretched exponential  sigma_1 = a exp(-b tau^beta)
damped power           sigma_1 = a k^(m - 1) rho^k,  k = 1 + tau, rho = exp(-b)

The last is how the k-th power of a matrix falls whose m largest eigenvalues, all of
size rho, share one Jordan block; with a real m it holds the first two as special cases.
"""

import contextlib
import functools
import warnings
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import OptimizeWarning, curve_fit, minimize_scalar

from state_gradients.foundation.checks import in_own_name
from state_gradients.foundation.labels import RAW, apply, described, labelled

LAWS = ["exponential", "power", "stretched"]
ALL_LAWS = [*LAWS, "damped power"]
FORMULAS = {
    "exponential": "a exp(-b tau)",
    "power": "a (1 + tau)^-b",
    "stretched": "a exp(-b tau^beta)",
    "damped power": "a (1 + tau)^(m - 1) exp(-b (1 + tau))",
}
RATES = {"exponential": "1 / token", "power": "1", "stretched": "1 / token^beta"}
RATES |= {"damped power": "1 / token"}
N_PARAMETERS = {"exponential": 3, "power": 3, "stretched": 4, "damped power": 4}


def _line(x, y):
    """Return (exp(intercept), -slope, RSS) of the least-squares line of y on x."""
    dx, dy = x - x.mean(), y - y.mean()
    slope = dx @ dy / (dx @ dx)
    with np.errstate(over="ignore"):  # a steep line, far from delay 0
        scale = np.exp(y.mean() - slope * x.mean())
    return scale, -slope, np.sum((dy - slope * dx) ** 2)


def _explained(rss, y):
    tss = np.sum((y - y.mean()) ** 2)
    return 1 - rss / tss if tss > 0 else rss * np.nan


def _exponential(tau, a, b):
    return a * np.exp(-b * tau)


def _fit_exponential(sigma, tau):
    """Return a, b, r_squared, converged of one curve, both of shape (delay,)."""
    kept = sigma > 0
    if np.isfinite(sigma).all() and np.count_nonzero(kept) >= 2:
        y = sigma / sigma.max()  # or the squares of 1e-200 would vanish
        start = _line(tau[kept], np.log(y[kept]))[:2]
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", OptimizeWarning)  # of the unused covariance
            with contextlib.suppress(RuntimeError, ValueError):  # did not converge
                (a, b), _ = curve_fit(_exponential, tau, y, p0=start)
                if np.isfinite([a, b]).all():
                    rss = np.sum((y - _exponential(tau, a, b)) ** 2)
                    return a * sigma.max(), b, _explained(rss, y), True
    return np.nan, np.nan, np.nan, False


def _damped_power(x, y):
    """Return a, b, RSS and m of the least squares of y on 1, ln(1 + x) and 1 + x."""
    columns = np.stack([np.ones_like(x), np.log1p(x), 1 + x], axis=1)
    (constant, power, slope), *_ = np.linalg.lstsq(columns, y)
    rss = np.sum((y - columns @ [constant, power, slope]) ** 2)
    return np.exp(constant), -slope, rss, 1 + power


def _stretched(x, y):
    """Return a, b, RSS and beta of the least squares of y on 1 and x^beta."""
    # For fixed beta the stretched exponential is a line in tau^beta: search beta alone,
    # on a grid that holds 1 (the exponential), then between the best one's neighbours.
    grid = np.geomspace(1 / 8, 8, 25)
    losses = [_line(x**beta, y)[2] for beta in grid]
    best = grid[np.argmin(losses)]
    near = (max(best * grid[11], grid[0]), min(best / grid[11], grid[-1]))
    found = minimize_scalar(lambda beta: _line(x**beta, y)[2], bounds=near)
    beta = found.x if found.fun < min(losses) else best
    return *_line(x**beta, y), beta


def _compare_laws(sigma, tau, laws):
    """Return aic, r_squared, a, b, each of shape (law,), beta and m of one curve."""
    kept = sigma > 0
    n = np.count_nonzero(kept)
    if not np.isfinite(sigma).all() or n < 5:  # one more than the most parameters
        return *np.full((4, len(laws)), np.nan), np.nan, np.nan
    x, y = tau[kept], np.log(sigma[kept])
    *stretched, beta = _stretched(x, y)
    *damped, m = _damped_power(x, y)
    fits = {
        "exponential": _line(x, y),
        "power": _line(np.log1p(x), y),
        "stretched": stretched,
        "damped power": damped,
    }
    a, b, rss = np.array([fits[law] for law in laws]).T  # (law,)
    # Normal errors of variance v on ln sigma_1: -2 ln L = n ln(2 pi v) + RSS / v, least
    # at v = RSS / n, where it is n ln(2 pi RSS / n) + n. AIC adds 2 k, k counting v.
    # Residuals below 10 eps |y| are round-off: there only k may decide.
    round_off = 10 * np.finfo(np.float64).eps * max(1, np.abs(y).max())
    variance = np.maximum(rss / n, round_off**2)
    k = np.array([N_PARAMETERS[law] for law in laws])
    aic = 2 * k + n * (np.log(2 * np.pi * variance) + 1)
    return aic, _explained(rss, y), a, b, beta, m


def _over_delays(function, sigma_1, n_least, outputs):
    """Call `function(sigma, tau)` on every curve; return units and variables."""
    sigma_1 = labelled(sigma_1, "sigma_1", "group", "delay", n_core=1, finite=False)
    tau = sigma_1["delay"].astype(np.float64)
    if tau.size < n_least or len(np.unique(tau)) < tau.size or (tau < 0).any():
        raise ValueError(
            f"spectra: `sigma_1` must have at least {n_least} different delays >= 0, "
            f"received {tau.values}; take gradients up to a larger max_delay."
        )
    axes = {"inputs": ["delay", "delay"], "outputs": outputs}
    fit = apply(function, sigma_1, tau, **axes, vectorize=True)
    return sigma_1.attrs.get("units", RAW), fit


@in_own_name
def fit_decay(sigma_1: ArrayLike) -> xr.Dataset:
    """Fit sigma_1 = a exp(-b tau) by non-linear least squares (Eq. 13).

    The squared error is that of sigma_1, not of its logarithm: large values decide.
    The search starts from the line through ln sigma_1.

    Parameters
    ----------
    sigma_1 : array_like or DataArray of shape (..., delay)
        Delays in tokens are the coordinate ``delay``; without it 0, 1, 2, ...

    Returns
    -------
    Dataset of shape (...)
        ``a`` in units of sigma_1, ``b`` per token (1 / b is the time constant),
        ``r_squared`` (NaN for a constant) and ``converged``: False, the others NaN,
        where a value is not finite, fewer than two are positive or the search fails.

    Raises
    ------
    ValueError
        If there are fewer than three delays, or some repeat or are negative.

    Examples
    --------
    >>> import state_gradients as sg
    >>> fitted = sg.fit_decay([2.0, 1.0, 0.5, 0.25])  # halves at every token
    >>> round(float(fitted["a"]), 3), round(float(fitted["b"]), 3)  # b is ln 2
    (2.0, 0.693)
    """
    units, (a, b, r_squared, ok) = _over_delays(_fit_exponential, sigma_1, 3, [""] * 4)
    return described(units, a=a, b=b, r_squared=r_squared, converged=ok)


@in_own_name
def compare_decays(sigma_1: ArrayLike, *, laws: Sequence[str] = LAWS) -> xr.Dataset:
    """Compare laws, fitted by least squares to ln sigma_1, by their AIC.

    The lowest AIC describes best. Residuals of neighbouring delays are alike, so that
    differences of AIC rank the laws but overstate the odds.

    Parameters
    ----------
    sigma_1 : array_like or DataArray of shape (..., delay)
        As in :func:`fit_decay`. Zeros have no logarithm and are left out.
    laws : sequence of str
        Among "exponential", "power", "stretched" and "damped power".

    Returns
    -------
    Dataset
        ``aic``, ``r_squared`` (of ln sigma_1), ``a``, ``b`` of shape (..., law) and
        ``beta`` (...), within 1/8..8, of the stretched exponential, and ``m`` (...) of
        the damped power, where they are asked for; all NaN where a value is not finite
        or fewer than five are positive. The coordinate ``law`` names the laws.

    Raises
    ------
    ValueError
        If there is no such law, there are fewer than five delays, or some repeat or are
        negative.

    Examples
    --------
    >>> import numpy as np
    >>> import state_gradients as sg
    >>> compared = sg.compare_decays(1 / (1 + np.arange(20)))
    >>> str(compared["aic"].idxmin("law").item())
    'power'
    >>> round(float(compared["b"].sel(law="power")), 3)
    1.0
    """
    laws = list(laws)
    if not laws or not set(laws) <= set(ALL_LAWS):
        raise ValueError(
            f"compare_decays: `laws` must be among {ALL_LAWS}, received {laws}."
        )
    compare = functools.partial(_compare_laws, laws=laws)
    units, fit = _over_delays(compare, sigma_1, 5, ["law"] * 4 + [""] * 2)
    names = ("aic", "r_squared", "a", "b", "beta", "m")
    compared = described(units, **dict(zip(names, fit, strict=True)))
    for name in ("a", "b"):
        compared[name].attrs["equation"] = ", ".join(FORMULAS[law] for law in laws)
    compared["b"].attrs["units"] = ", ".join(RATES[law] for law in laws)
    unused = {"beta": "stretched", "m": "damped power"}
    unused = [name for name, law in unused.items() if law not in laws]
    return compared.drop_vars(unused).assign_coords(law=laws)
