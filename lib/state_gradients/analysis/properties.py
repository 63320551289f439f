"""How well a difference between two classes of words is remembered, and by chance.

    d = mean of g over the pairs (type, tag) of a, less that over b          (Eq. 14)
    m^2 = sum_k (sigma_k / sigma_1)^2 c_k^2,   c_k = v_k . d / ||d||         (Eq. 20)
    cos(d, H_n)^2 = sum_{k <= n} c_k^2                                       (Eq. 16)

Every measure is the root of a weighted sum of the same c_k^2. Three things would make
one by chance, without any property: a direction drawn at random, a class split at
random, and a split at random of which the halves keep their frequencies.

d is a difference of means over few words, and noise has a c_k^2, too. With N_k the
variance of v_k . d over resamples of the types, what is left without it is

    sum_k w_k ((v_k . d)^2 - N_k) / (||d||^2 - sum_k N_k)

and a resample, which is noisy twice, has 2 N_k taken off. Steps are whitened, rows of
(step, embedding); `a` and `b` say how many pairs each type has in each half. Everything
is float64.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import beta

from state_gradients.foundation.checks import as_array, short

LEVEL = 0.95  # of intervals
CHANCE = 0.90  # of bands by chance: one in twenty lies above
DRAWN_TOGETHER = 100  # splits: a matrix (100, pairs) of a few MB


class Halves(NamedTuple):
    """The two sides of a property: how many pairs (type, tag) each type has in each.

    Attributes
    ----------
    a, b : ndarrays of int, shape (vocabulary,)
    """

    a: np.ndarray
    b: np.ndarray


def read_halves(halves):
    """Return halves as numbers of pairs, or refuse them: 0.6 of a pair is none.

    Raises
    ------
    ValueError
        If they are no whole numbers from 0 on, nor bools.
    """
    sides = Halves(*(as_array(half, "properties", "halves") for half in halves))
    for side in sides:
        is_count = side.dtype.kind in "biuf" and ((side >= 0) & (side % 1 == 0)).all()
        if not is_count:
            raise ValueError(
                "properties: `halves` must say of each type how many pairs (type, tag) "
                f"it has in a half, 0, 1, .., received {short(side.tolist())}; count "
                "a type where it belongs, and leave the others out by 0."
            )
    return Halves(*(side.astype(int) for side in sides))


def require_halves(halves):
    """Refuse halves of fewer than two pairs (type, tag): their noise is not known."""
    sizes = [int(np.sum(side)) for side in halves]
    if min(sizes) < 2:
        raise ValueError(
            "properties: each half must have two (type, tag) pairs or more, received "
            f"{sizes[0]} and {sizes[1]}; leave the property out, or tag more types."
        )


def step_between(table, halves):
    """Return the step from the mean of half b to that of half a, (..., embedding).

    Parameters
    ----------
    table : ndarray of shape (vocabulary, embedding)
        Whitened embeddings g = Z e, or g less any constant.
    halves : Halves of arrays of shape (..., vocabulary)
    """
    means = [
        side @ table / side.sum(axis=-1, keepdims=True)
        for side in (np.asarray(half, np.float64) for half in halves)
    ]
    return means[0] - means[1]


def resampled_steps(table, halves, *, n, seed):
    """Return the steps of resampled types, (n, embedding).

    Whole types are drawn, with all their pairs, from those of both halves together. A
    row is NaN where a half was not drawn at all.
    """
    require_halves(halves)
    held = np.flatnonzero(halves.a + halves.b)
    rng = np.random.default_rng(seed)
    times = rng.multinomial(len(held), np.full(len(held), 1 / len(held)), n)
    drawn = Halves(times * halves.a[held], times * halves.b[held])
    with np.errstate(invalid="ignore"):
        return step_between(table[held], drawn)


def split_steps(table, halves, *, n, seed, bins=None):
    """Return the steps of the same pairs split at random, sizes kept, (n, embedding).

    Parameters
    ----------
    bins : ndarray of int, shape (vocabulary,), optional
        Labels are permuted within each bin only: of frequency, for instance.
    """
    require_halves(halves)
    pairs = np.concatenate([np.repeat(np.arange(len(half)), half) for half in halves])
    is_a = np.arange(len(pairs)) < np.sum(halves.a)
    of_pair = np.zeros(len(pairs), int) if bins is None else bins[pairs]
    rng, size = np.random.default_rng(seed), np.array([is_a.sum(), (~is_a).sum()])
    values, steps = table[pairs], []
    for start in range(0, n, DRAWN_TOGETHER):
        labels = np.tile(is_a, (min(DRAWN_TOGETHER, n - start), 1))
        for one in np.unique(of_pair):
            within = of_pair == one
            labels[:, within] = rng.permuted(labels[:, within], axis=1)
        # mean_a - mean_b, the label's weight 1 / n_a or -1 / n_b
        steps.append(np.where(labels, 1 / size[0], -1 / size[1]) @ values)
    return np.concatenate(steps)


def matched(halves, frequency, *, ratio, seed):
    """Return as many types of either half as can be paired by their frequency.

    Parameters
    ----------
    halves : Halves
        Types on both sides are left out.
    frequency : ndarray of shape (vocabulary,)
    ratio : float
        The larger of two frequencies is at most so many times the smaller.
    seed : int
        Which of the types of one frequency are taken.

    Returns
    -------
    Halves
        A type counts once, however many tags it has. Along sorted frequencies, pairing
        the lowest that fit pairs as many as can be paired.
    """
    order = np.random.default_rng(seed).permutation(len(frequency))
    order = order[np.argsort(frequency[order], kind="stable")]
    sides = [
        [k for k in order if own[k] and not other[k]]
        for own, other in (halves, halves[::-1])
    ]
    taken = Halves(*np.zeros((2, len(frequency)), int))
    at = [0, 0]
    while at[0] < len(sides[0]) and at[1] < len(sides[1]):
        types = [side[k] for side, k in zip(sides, at, strict=True)]
        low, high = sorted(frequency[types])
        if high <= ratio * low:
            taken.a[types[0]] = taken.b[types[1]] = 1
            at = [at[0] + 1, at[1] + 1]
        else:
            at[int(np.argmin(frequency[types]))] += 1
    return taken


def weights(s, subspaces):
    """Return what each c_k^2 counts in m^2 and in each cos^2, (measure, component).

    Parameters
    ----------
    s : ndarray of shape (component,)
        Singular values, not all 0.
    subspaces : sequence of int
        The n of the subspaces H_n.
    """
    rank = np.arange(1, len(s) + 1)
    return np.stack([(s / s[0]) ** 2, *(rank <= n for n in subspaces)]).astype(float)


def measure(steps, vt, weighted):
    """Return the square of every measure of steps, (..., measure), NaN for no step."""
    with np.errstate(invalid="ignore"):
        return (steps @ vt.T) ** 2 @ weighted.T / (steps**2).sum(-1, keepdims=True)


def without_noise(step, resampled, vt, weighted):
    """Return the measures of a step, what they are without noise, and intervals.

    Parameters
    ----------
    step : ndarray of shape (embedding,)
    resampled : ndarray of shape (n, embedding)
        Of :func:`resampled_steps`. Those that tell nothing (a half was not drawn, or
        there is less of a step than of noise) count as 0 below and as 1 above.
    vt : ndarray of shape (component, embedding)
    weighted : ndarray of shape (measure, component)
        Of :func:`weights`.

    Returns
    -------
    dict of str to ndarray of shape (measure,)
        ``observed``; ``estimate``, NaN where noise is all there is; ``lower``,
        ``upper``, at LEVEL.
    """
    drawn = resampled[np.isfinite(resampled).all(axis=1)]
    noise, of_step = (x.var(axis=0, ddof=1) for x in (drawn @ vt.T, drawn))

    def corrected(steps, times):
        squares = (steps @ vt.T) ** 2 - times * noise
        length = (steps**2).sum(-1, keepdims=True) - times * of_step.sum()
        with np.errstate(divide="ignore", invalid="ignore"):
            share = squares @ weighted.T / np.where(length > 0, length, np.nan)
        return np.clip(share, 0, 1)

    shares, tails = corrected(resampled, 2), (1 - LEVEL) / 2
    ends = {
        "lower": np.quantile(np.nan_to_num(shares, nan=0.0), tails, axis=0),
        "upper": np.quantile(np.nan_to_num(shares, nan=1.0), 1 - tails, axis=0),
    }
    squares = {
        "observed": measure(step, vt, weighted),
        "estimate": corrected(step, 1),
        **ends,
    }
    return {name: np.sqrt(square) for name, square in squares.items()}


def noise_share(step, resampled):
    """Return which share of ||d||^2 is noise: the variance over resamples."""
    return np.nanvar(resampled, axis=0, ddof=1).sum() / (step @ step)


def band(squares):
    """Return {``lower``, ``middle``, ``upper``} of measures by chance, (measure,).

    Parameters
    ----------
    squares : ndarray of shape (n, measure)
        Of :func:`measure`, of random splits. `middle` is their root mean square.
    """
    tails = (1 - CHANCE) / 2
    lower, upper = np.quantile(squares, [tails, 1 - tails], axis=0)
    ends = {"lower": lower, "middle": squares.mean(axis=0), "upper": upper}
    return {name: np.sqrt(square) for name, square in ends.items()}


def random_cosines(size, *, n, seed):
    """Return squared cosines of random directions with any axes, (n, size).

    A direction that is uniform on the sphere has the same distribution in every basis:
    that of z_k^2 / ||z||^2, z normal.
    """
    z = np.random.default_rng(seed).normal(size=(n, size)) ** 2
    return z / z.sum(axis=1, keepdims=True)


def chance_of_m(s, size, *, cosines):
    """Return the band of m for random directions of `size` components.

    The root mean square is exact, sqrt(sum sigma^2 / size) / sigma_1; the ends are
    those of random directions.

    Parameters
    ----------
    s : ndarray of shape (component,)
    size : int
        Of the embedding.
    cosines : ndarray of shape (n, size)
        Of :func:`random_cosines`.
    """
    share = (s / s[0]) ** 2
    tails = (1 - CHANCE) / 2
    lower, upper = np.quantile(cosines[:, : len(s)] @ share, [tails, 1 - tails])
    ends = {"lower": lower, "middle": share.sum() / size, "upper": upper}
    return {name: float(np.sqrt(square)) for name, square in ends.items()}


def chance_of_cosine(n, size):
    """Return the band of cos(d, H_n) for random directions, exactly.

    The square is Beta(n / 2, (size - n) / 2) distributed, its mean n / size.

    Examples
    --------
    What the paper's adjectives are held against, five of 64 directions:

    >>> from state_gradients.analysis.properties import chance_of_cosine
    >>> {k: round(v, 2) for k, v in chance_of_cosine(5, 64).items()}
    {'lower': 0.14, 'middle': 0.28, 'upper': 0.41}
    """
    if n >= size:
        return dict.fromkeys(("lower", "middle", "upper"), 1.0)
    of_square = beta(n / 2, (size - n) / 2)
    tails = (1 - CHANCE) / 2
    ends = {
        "lower": of_square.ppf(tails),
        "middle": n / size,
        "upper": of_square.ppf(1 - tails),
    }
    return {name: float(np.sqrt(square)) for name, square in ends.items()}
