"""Decays: laws fitted to memory against delay.

exponential            sigma_1 = a exp(-b tau)                          (Eq. 13)
power                  sigma_1 = a (1 + tau)^-b
stretched exponential  sigma_1 = a exp(-b tau^beta)
damped power           sigma_1 = a k^(m - 1) rho^k,  k = 1 + tau, rho = exp(-b)

The last is how the k-th power of a matrix falls whose m largest eigenvalues, all of
size rho, share one Jordan block; with a real m it holds the first two as special cases.
"""

import functools
from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.optimize import brentq, minimize_scalar

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
N_RATES = 100  # tried of either sign: over 50 delays a factor of 1.15 apart


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


def _largest_at(b, tau):
    """Return the delay where exp(-b tau) is largest."""
    return np.where(b > 0, tau.min(), tau.max())


def _projected(b, tau, y):
    """Return a, RSS and half its slope dRSS/db of the best multiple of each wave.

    With w = exp(-b (tau - t)), t where that is largest, a = w.y / w.w and r = y - a w,
    RSS has the slope 2 a sum r (tau - t) w along b: that along a is zero. Delay t has
    no term in it, so that its round-off hides no smaller one.

    Parameters
    ----------
    b : ndarray of shape (rate, 1)
    tau, y : ndarray of shape (delay,)

    Returns
    -------
    tuple of three ndarrays of shape (rate,)
    """
    since = tau - _largest_at(b, tau)
    wave = np.exp(-b * since)  # (rate, delay)
    a = wave @ y / np.sum(wave**2, axis=1)
    residual = y - a[:, None] * wave
    half_slope = a * np.sum(residual * since * wave, axis=1)
    return a, np.sum(residual**2, axis=1), half_slope


def _rates_to_search(tau):
    """Return rates (rate,), ascending, close enough to tell minima of RSS apart."""
    # From nearly constant to e^-300 at the delay next to the largest value, whose
    # square is still above 0. Waves differ by ratios of b: they change near b tau = 1.
    gaps = np.diff(np.sort(tau))
    falling, rising = (
        np.geomspace(0.01 / np.ptp(tau), 300 / gap, N_RATES) for gap in gaps[[0, -1]]
    )
    return np.concatenate([-rising[::-1], falling])


def _best_rate(tau, y):
    """Return the rate of the least RSS over a and b, or NaN if there is none."""
    rates = _rates_to_search(tau)
    _, rss, slope = _projected(rates[:, None], tau, y)

    def slope_at(b):
        return _projected(np.array([[b]]), tau, y)[2].item()

    minima = np.array(
        [
            brentq(slope_at, *rates[i : i + 2], xtol=1e-12 / np.ptp(tau))
            for i in np.flatnonzero((slope[:-1] < 0) & (slope[1:] >= 0))
        ]
    )
    if len(minima) == 0:
        return np.nan
    of_minima = _projected(minima[:, None], tau, y)[1]
    # Where RSS still falls at an end, it falls to that of an infinite rate, a wave of
    # one value: no finite one may be as good.
    ends = rss[[0, -1]][[slope[0] > 0, slope[-1] < 0]]
    is_least = (ends > of_minima.min()).all()
    return minima[of_minima.argmin()] if is_least else np.nan


def _fit_exponential(sigma, tau):
    """Return a, b, r_squared, converged of one curve, both of shape (delay,)."""
    if np.isfinite(sigma).all() and np.count_nonzero(sigma > 0) >= 2:
        y = sigma / sigma.max()  # or the squares of 1e-200 would vanish
        with np.errstate(all="ignore"):
            b = _best_rate(tau, y)
            (a,), (rss,), _ = _projected(np.array([[b]]), tau, y)
            # a at delay 0, of logarithms: exp(b tau) alone may overflow
            log_a = np.log(np.abs(a)) + np.log(sigma.max()) + b * _largest_at(b, tau)
            a = np.sign(a) * np.exp(log_a)
        if np.isfinite(a) and a != 0:
            return a, b, _explained(rss, y), True
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
    For each b the best a is a ratio of sums, which leaves an error of b alone (variable
    projection: Golub and Pereyra 1973, SIAM J. Numer. Anal. 10, 413-432). Its slope is
    taken at `N_RATES` rates of either sign; a minimum lies wherever it turns positive,
    is found to round-off, and the least of all is the fit.

    Parameters
    ----------
    sigma_1 : array_like or DataArray of shape (..., delay)
        Delays in tokens are the coordinate ``delay``; without it 0, 1, 2, ...

    Returns
    -------
    Dataset of shape (...)
        ``a`` in units of sigma_1, ``b`` per token (1 / b is the time constant),
        ``r_squared`` (NaN for a constant) and ``converged``: False, the others NaN,
        where a value is not finite, fewer than two are positive, no finite rate is the
        best (1, 0, 0, 0.5: the first value alone), or a, at delay 0, no float64.

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
