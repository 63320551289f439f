"""Two counts, k of n and j of m: how far apart they are, in standard errors.

Fisher's exact test is two-sided: p is the chance of a table

    k  n - k
    j  m - j

at most as likely as this one, given its margins. Where k is much less than n and j than
m, it is the exact test of two Poisson rates, k ~ Binomial(k + j, n / (n + m)). The
standard errors are those beyond which a normal variable lies with chance p.
"""

import numpy as np
from scipy.stats import fisher_exact, norm


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
