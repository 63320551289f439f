"""Two counts, k of n and j of m: how far apart they are, in standard errors.

Fisher's exact test is two-sided: p is the chance of a table

    k  n - k
    j  m - j

at most as likely as this one, given its margins. Where k is much less than n and j than
m, it is the exact test of two Poisson rates, k ~ Binomial(k + j, n / (n + m)). The
standard errors are those beyond which a normal variable lies with chance p.

Runs of one network that differ in their seed may differ by more than counting does.
How far a further run may then lie off is told by the runs themselves: on the logarithm,
for such counts differ by factors,

    t = (ln j - mean ln k) / (s sqrt(1 + 1/r)),    r - 1 degrees of freedom

with s the standard deviation of ln k over the r runs.
"""

import numpy as np
from scipy.stats import chi2_contingency, fisher_exact, norm, t


def standard_errors(k, n, j, m):
    """Return by how many standard errors the share k/n lies above j/m.

    It knows the chance of counting alone: what else differs between two networks, such
    as their seeds, comes on top.

    Parameters
    ----------
    k, n, j, m : int
        With 0 <= k <= n, 0 <= j <= m, and n and m not 0.

    Returns
    -------
    float
        At most 37.5 in size, beyond which a chance is 0 in double precision.

    Raises
    ------
    ValueError
        If a count is not of so many.
    """
    if not (0 <= k <= n and 0 <= j <= m and n and m):
        raise ValueError(
            "standard_errors: a count must be at least 0 and at most what it is of, "
            f"which is not 0; received {k} of {n} and {j} of {m}."
        )
    chance = fisher_exact([[k, n - k], [j, m - j]]).pvalue
    errors = norm.isf(max(chance, np.finfo(float).tiny) / 2)
    return float(np.copysign(errors, k / n - j / m))


def chance_between_runs(counts):
    """Return the chance that counting alone makes counts of several runs so unlike.

    Parameters
    ----------
    counts : list of (int, int)
        Each k of n; two or more, of which one k is not 0.
    """
    table = [[k, n - k] for k, n in counts]
    return float(chi2_contingency(table, correction=False).pvalue)


def chance_of_a_further_run(counts, j):
    """Return the chance that a further run lies as far from the runs' mean as j does.

    Parameters
    ----------
    counts : sequence of float
        Of two or more runs, of as many as `j` is of.
    j : float

    Returns
    -------
    float
        NaN where a count is 0, which has no logarithm, or where all runs are alike.
    """
    logs = np.log(np.where(np.greater(counts, 0), counts, np.nan))
    spread = logs.std(ddof=1) * np.sqrt(1 + 1 / len(logs))
    if not spread > 0 or j <= 0:
        return np.nan
    return float(2 * t.sf(abs(np.log(j) - logs.mean()) / spread, len(logs) - 1))
