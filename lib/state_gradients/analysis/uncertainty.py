"""Uncertainty: intervals for what is derived from mean gradients, and a null model.

The text is cut into blocks of consecutive positions. Block b has the mean G_b of its
n_b gradients and the share p_b = n_b / sum n of all:

    G(w) = sum_b p_b (1 + w_b - sum_c p_c w_c) G_b,    G(0) = the mean gradient G

draws or deletes blocks by their weights w; no denominator can vanish where few blocks
hold a rare group's inputs. :func:`without_each` deletes only: what two networks on one
text are compared by (:mod:`state_gradients.analysis.comparison`).
"""

import warnings
from collections.abc import Callable

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from state_gradients.foundation.checks import ids_within
from state_gradients.foundation.labels import described

BLOCK_LENGTH = 5  # a block's least length, in units of the longest delay
# Over how many equal blocks a mean's samples must be spread, and should be, or which
# share of the blocks, if that is less: block_bootstrap has the coverage.
LEAST_EFFECTIVE, FEW_EFFECTIVE = 2, 4
LEAST_SHARE, FEW_SHARE = 0.6, 0.7
HELD = 2**26  # bytes of means at once: of 51 x 256 x 64 float64 these are ten


def blocks_that_fit(n_tokens: int, max_delay: int) -> int:
    """Return into how many blocks of `BLOCK_LENGTH` longest delays a text can be cut.

    Examples
    --------
    >>> from state_gradients.analysis.uncertainty import blocks_that_fit
    >>> blocks_that_fit(1_000, max_delay=9)  # blocks of 50 tokens at least
    20
    """
    return n_tokens // (BLOCK_LENGTH * (max_delay + 1))


def effective_blocks(n_samples: xr.DataArray) -> xr.DataArray:
    """Return how many equal blocks would share a mean's samples as unequally.

    (sum n)^2 / sum n^2, the effective sample size of Kish (1965, Survey Sampling).

    Parameters
    ----------
    n_samples : DataArray of shape (..., block)

    Returns
    -------
    DataArray of shape (...)
        From 1, all samples in one block, to the number of blocks; NaN without any.

    Examples
    --------
    >>> import xarray as xr
    >>> from state_gradients.analysis.uncertainty import effective_blocks
    >>> n_samples = xr.DataArray([[5, 5, 5], [7, 1, 0]], dims=("group", "block"))
    >>> effective_blocks(n_samples).values.tolist()
    [3.0, 1.28]
    """
    n = n_samples.astype(np.float64)
    return n.sum("block") ** 2 / (n**2).sum("block")


def are_spread(n_samples: xr.DataArray) -> xr.DataArray:
    """Return of which means :func:`block_bootstrap` takes the samples by block.

    Parameters
    ----------
    n_samples : DataArray of shape (..., block)

    Returns
    -------
    DataArray of bool, shape (...)

    Examples
    --------
    >>> import xarray as xr
    >>> from state_gradients.analysis.uncertainty import are_spread
    >>> n_samples = xr.DataArray([[5, 5, 5], [7, 1, 0]], dims=("group", "block"))
    >>> are_spread(n_samples).values.tolist()
    [True, False]
    """
    least, _ = _least_and_few(n_samples.sizes["block"])
    return effective_blocks(n_samples) >= least


def _least_and_few(n_blocks):
    """Return below how many effective blocks, of n, to refuse a mean, and to warn."""
    return (
        min(LEAST_EFFECTIVE, LEAST_SHARE * n_blocks),
        min(FEW_EFFECTIVE, FEW_SHARE * n_blocks),
    )


def block_bootstrap(
    blocks: xr.Dataset,
    statistic: Callable[..., xr.DataArray | xr.Dataset],
    *,
    seed: int,
    variables: tuple[str, ...] = ("state_gradient",),
    n_resamples: int = 200,
    level: float = 0.95,
    norms: tuple[str, ...] = ("memory", "total"),
    vectorized: bool = False,
) -> xr.Dataset:
    """Return confidence intervals for a statistic of the mean gradient.

    Noise in the mean adds to every singular value: sigma_1 and the sum come out too
    large, the shares too small. A mean of resampled blocks is twice as noisy and errs
    twice as much, so that percentiles of the resamples (and BCa intervals) may miss
    the truth every time. Deleting one block adds little noise, and shows the bias::

        estimate   observed - (n - 1) (mean over the n deletions - observed)
        interval   estimate +- t_{n-1} max(SE of n drawn blocks, SE of the deletions)
        norms      the same for their squares, to which noise adds, then the root

    Coverage of 95 % intervals, the lowest of three simulations whose truths have full
    rank (800 texts of 32 blocks of 20 correlated matrices; noise: E ||mean - truth||):

    =====================  ====  ====  ====  ====  ====  =====
    truth's sigma_1/noise    20    10     5     3     1      0
    =====================  ====  ====  ====  ====  ====  =====
    sigma_1                93 %  94 %  94 %  95 %  95 %  100 %
    sum sigma              93 %  94 %  96 %  98 %  98 %  100 %
    selectivity            94 %  93 %  86 %  70 %   7 %      -
    percentiles, sigma_1   88 %  87 %  77 %  45 %   0 %    0 %
    percentiles, sum       59 %   9 %   0 %   0 %   0 %    0 %
    =====================  ====  ====  ====  ====  ====  =====

    So intervals of norms hold, and reach down to 0 where there is nothing but noise.
    Those of shares and of the effective rank hold only from ten times the noise on,
    and none but that of sigma_1 where the truth has singular values of exactly zero:
    no correction removes all of their noise from the sum (three of eight values not
    zero, 20 times the noise: 72 % for the sum, 62 % for the selectivity).
    Where the truth's largest singular values are equal, sigma_1 is the largest of
    several numbers that scatter, and its interval is too narrow: of four that are
    equal, 82 % (:mod:`state_gradients.paper.planted.trials`).

    Blocks must hold about as many samples each: t_{n-1} counts all of them, but where
    one is a long text and the others are short, the error is that of few. What a mean's
    samples spread over is (sum n_b)^2 / sum n_b^2 equal blocks, m in short. Where m
    blocks hold all of n, 95 % intervals of what is linear in the mean cover, least of
    all,

        P(abs(t_{m-1}) < t_{n-1} sqrt((1 - 1/m) / (1 - 1/n)));

    where one is larger than the others (20,000 simulations, 0.3 % known):

    ===================  =====  =====  =====  =====  =====
    m                    1.2    2      3      4      8
    ===================  =====  =====  =====  =====  =====
    m of 64 hold all            61 %   76 %   82 %   90 %
    one of 64 is larger  56 %   81 %   87 %   89 %   92 %
    m of 8 hold all             68 %   82 %   88 %   95 %
    one of 8 is larger   63 %   86 %   91 %   92 %   95 %
    ===================  =====  =====  =====  =====  =====

    So means of m below 2 are refused, and below 4 there is a warning. Where 0.6 n or
    0.7 n are less, they are the limits: t of so few is wide, and at these limits
    covers 91 % and 93 % where one block is larger.

    Parameters
    ----------
    blocks : Dataset
        ``state_gradient`` (block, ..., delay, state, embedding), the blocks' means, and
        ``n_samples`` (block, ..., delay), as `mean_state_gradients` gives with
        ``blocks=64``. Blocks must be far longer than the longest delay.
    statistic : callable
        From a mean gradient, a DataArray (..., delay, state, embedding), to a DataArray
        or Dataset: for instance `memory_curve`.
    seed : int
    variables : tuple of str
        Means that the statistic takes, in its arguments' order: `coherence` needs
        ``("state_gradient", "second_moment")``.
    n_resamples : int
        They only serve for a standard error: 200 know it to 5 %.
    level : float
        Of confidence, for each number by itself.
    norms : tuple of str
        Names of the statistic's variables that no sign can cancel.
    vectorized : bool
        Whether the statistic takes several means at once, along a first dimension
        ``replicate`` that its result has, too. Of small matrices it is faster then.

    Returns
    -------
    Dataset
        ``observed``, the statistic of the mean; ``estimate``, corrected for bias;
        ``lower``, ``upper``; ``standard_error``, all of the statistic's own shape. A
        Dataset's variables lie along the first dimension, ``quantity``, with their
        ``units``. NaN wherever the statistic of any mean is NaN.

    Raises
    ------
    ValueError
        If the blocks or options do not fit, a mean's samples are spread over too few
        of the blocks (:func:`effective_blocks` below 2), or a vectorized statistic
        loses ``replicate``.

    Warns
    -----
    RuntimeWarning
        If they are spread over few (below 4).

    Examples
    --------
    Eight blocks of text, whose mean gradients scatter about 2 I:

    >>> import numpy as np
    >>> import state_gradients as sg
    >>> import xarray as xr
    >>> noise = np.random.default_rng(0).normal(size=(8, 1, 2, 2))
    >>> dims = ("block", "delay", "state", "embedding")
    >>> blocks = xr.Dataset({"state_gradient": (dims, 2 * np.eye(2) + 0.1 * noise)})
    >>> blocks["n_samples"] = (("block", "delay"), np.full((8, 1), 500))
    >>> interval = sg.block_bootstrap(blocks, sg.memory_curve, seed=1)
    >>> memory = interval.sel(quantity="memory", delay=0)
    >>> round(float(memory["lower"]), 2), round(float(memory["upper"]), 2)
    (1.95, 2.05)
    """
    share = _checked_share(blocks, n_resamples, level)
    n_blocks = share.sizes["block"]
    weights = _weights(n_blocks, n_resamples, seed)
    each = _statistics(
        blocks, statistic, share, weights, variables, vectorized=vectorized
    )
    single = isinstance(each[0], xr.DataArray)
    named = [x.to_dataset(name=x.name or "statistic") if single else x for x in each]
    units = [x.attrs.get("units", "") for x in named[0].data_vars.values()]
    values = xr.concat([x.to_dataarray("quantity") for x in named], "replicate")
    values = values.transpose("replicate", ...)

    is_norm = values["quantity"].isin(norms)
    _, error = _centred(values, n_blocks)
    centre, spread = _centred(values.where(~is_norm, values**2), n_blocks)
    half = student.ppf((1 + level) / 2, n_blocks - 1) * spread
    ends = {"estimate": centre, "lower": centre - half, "upper": centre + half}
    for name, end in ends.items():
        ends[name] = end.where(~is_norm, np.sqrt(np.maximum(end, 0)))
    ends |= {"observed": values[0], "standard_error": error}
    result = described(units[0] if single else "of its quantity", **ends)
    result = result.assign_coords(units=("quantity", units)).assign_attrs(
        level=level, n_blocks=n_blocks, n_resamples=n_resamples, seed=seed
    )
    return result.isel(quantity=0, drop=True) if single else result


def without_each(
    blocks: xr.Dataset,
    statistic: Callable[..., xr.DataArray | xr.Dataset],
    *,
    variables: tuple[str, ...] = ("state_gradient",),
) -> tuple[xr.DataArray | xr.Dataset, xr.DataArray | xr.Dataset]:
    """Return a statistic of the mean gradient, and of the mean without each block.

    Parameters
    ----------
    blocks, statistic, variables
        Of :func:`block_bootstrap`.

    Returns
    -------
    tuple
        The statistic of the mean, (...), and of the means without one of the n blocks,
        (stretch, ...), in the blocks' order.

    Raises
    ------
    ValueError
        If the blocks do not fit, or a mean's samples are spread over too few of them.

    Warns
    -----
    RuntimeWarning
        If they are spread over few: both as :func:`block_bootstrap`.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> from state_gradients.analysis.uncertainty import without_each
    >>> dims = ("block", "delay", "state", "embedding")
    >>> values = np.array([1.0, 2.0, 6.0]).reshape(3, 1, 1, 1)
    >>> blocks = xr.Dataset({"state_gradient": (dims, values)})
    >>> blocks["n_samples"] = (("block", "delay"), np.full((3, 1), 500))
    >>> mean, without = without_each(blocks, lambda gradient: gradient.squeeze())
    >>> float(mean), without.values.round(3).tolist()
    (3.0, [4.0, 3.5, 1.5])
    """
    share = _checked_share(blocks, 2, 0.5, "without_each")
    deletions = _deletions(share.sizes["block"])
    weights = np.vstack([np.zeros(len(deletions)), deletions])
    observed, *each = _statistics(blocks, statistic, share, weights, variables)
    return observed, xr.concat(each, "stretch")


def _statistics(blocks, statistic, share, weights, variables, *, vectorized=False):
    """Return the statistic of G(w) for the rows of `weights`, in order.

    A list: of one row each, or, if `vectorized`, of some along ``replicate``.
    """
    # The SVD of one small matrix after the other: threads would only wait for another.
    with threadpool_limits(1, "blas"):
        largest = max(blocks[name].isel(block=0).size for name in variables)
        n_parts = -(-len(weights) * largest * 8 // HELD)
        parts = np.array_split(weights, min(n_parts, len(weights)))
        means = [_means(blocks[name], share, parts) for name in variables]
        if vectorized:
            return [
                _each_kept(statistic(*some), some[0].sizes["replicate"])
                for some in zip(*means, strict=True)
            ]
        return [
            statistic(*(mean.isel(replicate=row) for mean in some))
            for some in zip(*means, strict=True)
            for row in range(some[0].sizes["replicate"])
        ]


def _each_kept(found, n):
    """Return what a vectorized statistic gave of n means, if it has one of each."""
    variables = [found] if isinstance(found, xr.DataArray) else found.data_vars.values()
    for variable in variables:
        if variable.sizes.get("replicate") != n:
            raise ValueError(
                "block_bootstrap: a vectorized statistic must keep the dimension "
                f"`replicate`, of {n} means here, received a result of "
                f"{dict(variable.sizes)}; keep it, or leave `vectorized` out."
            )
    return found


def _checked_share(blocks, n_resamples, level, who="block_bootstrap"):
    """Return each block's share (..., block, delay) of a mean's samples."""
    sizes, n_blocks = dict(blocks.sizes), blocks.sizes.get("block", 0)
    if n_blocks < 2 or n_resamples < 2 or not 0 < level < 1:
        raise ValueError(
            f"{who}: `blocks` must have a dimension `block` of two or more, "
            f"`n_resamples` be two or more, `level` between 0 and 1; received {sizes}, "
            f"{n_resamples} and {level}; average with mean_state_gradients(blocks=64)."
        )
    n_samples = blocks["n_samples"]
    if not (n_samples >= 0).all():
        raise ValueError(
            "block_bootstrap: `n_samples` must be 0 or more, received "
            f"{float(n_samples.min())} at least, {int(n_samples.isnull().sum())} of "
            "them missing; average with mean_state_gradients(blocks=64)."
        )
    n_filled = (n_samples > 0).sum("block")
    if (n_filled < 2).any():
        raise ValueError(
            f"{who}: every mean must have samples in two blocks or more, "
            f"received {int(n_filled.min())}; leave out the groups or "
            "delays that are too rare, or make shorter blocks."
        )
    share = n_samples / n_samples.sum("block")
    _require_spread(n_samples, share, who)
    return share


def _require_spread(n_samples, share, who):
    """Refuse means whose samples are in too few of the blocks, warn of few."""
    n_blocks = n_samples.sizes["block"]
    of_means = effective_blocks(n_samples)
    effective = float(of_means.min())
    largest = float(share.max("block").where(of_means == effective).max())
    least, few = _least_and_few(n_blocks)
    received = (
        f"received {effective:.3g} of {n_blocks}, one of which has "
        f"{100 * largest:.0f} % of the samples"
    )
    remedy = (
        "average over texts of like length (cut the long one), make fewer, longer "
        "blocks, or leave out the groups or delays that are too rare."
    )
    if effective < least:
        raise ValueError(
            f"{who}: the samples of every mean must be spread as over {least:.2g} "
            f"equal blocks or more, (sum n)^2 / sum n^2, {received}; {remedy}"
        )
    if effective < few:
        warnings.warn(
            f"{who}: the samples of every mean should be spread as over {few:.2g} "
            f"equal blocks or more, (sum n)^2 / sum n^2, {received}; intervals come "
            f"out too narrow, and hold the truth less often than they say: {remedy}",
            RuntimeWarning,
            stacklevel=4,  # the caller of `who`
        )


def _weights(n_blocks, n_resamples, seed):
    """Return w (replicate, block): observed, resamples, then deletions of one block."""
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_blocks, np.full(n_blocks, 1 / n_blocks), n_resamples)
    # The variance of n drawn blocks is 1 - 1 / n of what it estimates.
    resampled = counts * np.sqrt(n_blocks / (n_blocks - 1))
    return np.vstack([np.zeros(n_blocks), resampled, _deletions(n_blocks)])


def _deletions(n_blocks):
    """Return the weights (deletion, block) that leave out one block each."""
    return -np.eye(n_blocks) * n_blocks / (n_blocks - 1)


def _means(blocks, share, parts):
    """Yield G(w) of the rows of each part of weights, (replicate, ..., row, column)."""
    if (share == 0).any():  # a mean over nothing is NaN
        blocks = blocks.where(share > 0, 0)
    matrix = blocks.dims[-2:]
    blocks = blocks.transpose(..., "block", *matrix).astype(np.float64, copy=False)
    mean = blocks.isel(block=0, drop=True)
    each = blocks.isel(dict.fromkeys(matrix, 0), drop=True)
    share = share.broadcast_like(each).transpose(*each.dims).values  # (..., block)
    flat = blocks.values.reshape(*each.shape, -1)  # a view
    for w in parts:
        centred = w - (share @ w.T)[..., None]  # (..., replicate, block)
        drawn = (share[..., None, :] * (1 + centred)) @ flat
        drawn = np.moveaxis(drawn, -2, 0).reshape(-1, *mean.shape)
        yield mean.expand_dims(replicate=len(w)).copy(data=drawn)


def _centred(values, n_blocks):
    """Return the bias-corrected estimate and the larger of the two standard errors."""
    observed, resampled = values[0], values[1:-n_blocks]
    deleted = values[-n_blocks:]
    along = {"dim": "replicate", "skipna": False}
    bias = (n_blocks - 1) * (deleted.mean(**along) - observed)
    jackknife = np.sqrt(n_blocks - 1) * deleted.std(**along)
    return observed - bias, np.maximum(resampled.std(ddof=1, **along), jackknife)


def shuffled(ids: ArrayLike, *, seed: int, keep: ArrayLike | None = None) -> np.ndarray:
    """Return the text in random order: the null model for what order does.

    Frequencies stay, so that a gradient averaged over shuffled text shows what the
    network keeps of tokens whatever their context. The other null model, what random
    weights do, is the experiment ``ptb-lstm-256-untrained`` of params.yaml.

    Parameters
    ----------
    ids : array_like of int, shape (time,) or (stream, time)
        Every stream is permuted for itself.
    seed : int
    keep : int or array_like of int, optional
        Word types that keep their places: with ``<eos>``, sentences keep their lengths.

    Returns
    -------
    ndarray of the shape and dtype of `ids`

    Raises
    ------
    ValueError
        If `ids` are no ids, or `keep` are none.

    Examples
    --------
    >>> import state_gradients as sg
    >>> sg.shuffled([5, 6, 7, 0, 8, 9, 0], seed=1, keep=0)  # 0 ends a sentence
    array([9, 5, 6, 0, 7, 8, 0])
    """
    ids = np.array(ids_within(ids, "shuffled"))
    if ids.ndim not in (1, 2):
        raise ValueError(
            "shuffled: `ids` must have the shape (time,) or (stream, time), received "
            f"shape {ids.shape}."
        )
    keep = [] if keep is None else keep
    if np.size(keep):  # a mask is no list of types
        keep = ids_within(keep, "shuffled", name="keep")
    rng = np.random.default_rng(seed)
    for stream in np.atleast_2d(ids):  # views
        moved = ~np.isin(stream, keep)
        stream[moved] = rng.permutation(stream[moved])
    return ids
