"""Two networks compared: differences of their memory curves, with simultaneous bands.

A text is cut into n stretches of consecutive positions, the same for all networks. What
leaving out stretch b does to the curves f of a network (log memory, selectivity,
effective rank, each by delay) gives its pseudo-values, whose mean is f without most of
the bias of noise (Quenouille, Tukey)::

    f_b = n f - (n - 1) f_(-b)
    D_b = mean over A's networks of f_b - mean over B's networks of f_b

The n differences D_b are of the same stretches: whatever a stretch does to both networks
cancels. They are drawn again, n of n with replacement, and the band is as wide as the
largest deviation over all delays is in a share `level` of the draws (sup-t; Montiel Olea
and Plagborg-Moller 2019)::

    t* = max over delays |mean D*_b - mean D_b| / SE*,   SE = sd of D_b / sqrt(n)
    band = mean D_b +- c SE,   c the `level` quantile of t*

so that it holds the whole curve of differences, not each delay by itself. With several
networks, seeds of one recipe, on either side, a second band says how far other seeds
would lie; it knows nothing of the text::

    s^2 = pooled variance of f over A's and over B's seeds,  SE = s sqrt(1/n_A + 1/n_B)

with c from Gaussian curves of the same covariance over delays, as many as there are
seeds: so few curves know their own deviation badly, and c says so.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from state_gradients.analysis import spectra, uncertainty, whitening
from state_gradients.foundation.checks import in_own_name, share, short, whole_number
from state_gradients.foundation.labels import about

WHO = "compare_memory"
QUANTITIES = ("memory", "selectivity", "effective_rank")
COMPARED = ("log_memory", "selectivity", "effective_rank")
LEAST_STRETCHES = 8  # so that draws of all the same stretch do not decide
OF_TEXT, OF_SEEDS = "text", "seeds"
DIMS = ("stretch", "quantity", "delay")
_UNITS = "log memory in nats, selectivity a share, effective rank directions"
# What the variables mean: (long name, units, equation)
MEANING = {
    "observed": ("curves of the mean gradient", "of its quantity", "as its quantity"),
    "left_out": ("the same without one stretch", "of its quantity", "f_(-b)"),
    "n_samples": ("positions averaged over, by stretch", "1", "number of t"),
    "text_hash": (
        "SHA-256 of the text averaged over",
        "1",
        "of its tokens, a line each",
    ),
    "a": ("curves of A, the mean over its networks", _UNITS, "mean of f"),
    "b": ("curves of B, the mean over its networks", _UNITS, "mean of f"),
    "difference": ("A - B", _UNITS, "a - b"),
    "lowest": ("lowest difference between two networks", _UNITS, "min of f_A - f_B"),
    "highest": ("highest difference between two networks", _UNITS, "max of f_A - f_B"),
    "estimate": ("A - B without the bias of noise", _UNITS, "mean of D_b"),
    "standard_error": ("standard error of the estimate", _UNITS, "SE"),
    "lower": ("lower end of the simultaneous band", _UNITS, "estimate - c SE"),
    "upper": ("upper end of the simultaneous band", _UNITS, "estimate + c SE"),
    "critical": ("critical value of the band", "1", "quantile of max |t|"),
}
_ABSENT = "where a network's gradient is 0, or a band is not known"


@in_own_name
def stretch_curves(blocks: xr.Dataset, embedding: ArrayLike) -> xr.Dataset:
    """Return a network's whitened curves, and those without each stretch of the text.

    Parameters
    ----------
    blocks : Dataset
        Of :func:`state_gradients.engine.means.mean_state_gradients` with ``blocks=64``:
        ``state_gradient`` (block, ..., delay, state, embedding), ``n_samples``.
    embedding : array_like or DataArray of shape (vocabulary, embedding)

    Returns
    -------
    Dataset
        ``observed`` (..., quantity, delay), ``left_out`` (..., stretch, quantity,
        delay), ``n_samples`` (stretch, delay): what :func:`compare_memory` takes. The
        quantities are those of `QUANTITIES`.

    Raises
    ------
    ValueError
        If the blocks do not fit, or the embedding cannot be whitened.
    """
    fitted = whitening.fit_whitening(embedding)

    def curves(gradient):
        white = whitening.whiten_gradient(gradient, fitted)
        found = spectra.memory_curve(white)[[*QUANTITIES]]
        return found.drop_attrs().to_dataarray("quantity").reset_coords(drop=True)

    observed, left_out = uncertainty.without_each(blocks, curves)
    found = xr.Dataset(
        {
            "observed": observed.transpose(..., "quantity", "delay"),
            "left_out": left_out.transpose(..., "stretch", "quantity", "delay"),
            "n_samples": blocks["n_samples"].rename(block="stretch"),
        }
    )
    found["quantity"] = found["quantity"].astype(str)
    return labelled(found)


def labelled(found):
    """Return a Dataset whose variables say what they mean, and why values may miss."""
    for name in found.data_vars:
        found[name].attrs = about(name, meaning=MEANING)
        if found[name].dtype.kind == "f" and found[name].isnull().any():
            found[name].attrs["missing"] = _ABSENT
    return found


@in_own_name
def compare_memory(
    a: xr.Dataset | Sequence[xr.Dataset],
    b: xr.Dataset | Sequence[xr.Dataset],
    *,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> xr.Dataset:
    """Return how the memory curves of two networks differ, with simultaneous bands.

    Coverage of 95 % bands, whole curves of 51 delays that hold the truth; 500 texts of
    64 stretches (the test of this function runs them), 2,000 sets of seeds:

    ===========================================  =====
    text, log memory
    text, selectivity
    text, effective rank
    ===========================================  =====

    Parameters
    ----------
    a, b : Dataset, or several
        Of :func:`stretch_curves`, each a network's; several are seeds of one recipe.
        Those without ``left_out`` (``observed`` alone) have no band of text.
    level : float
        Of confidence, for all delays of one quantity together.
    n_resamples : int
    seed : int

    Returns
    -------
    Dataset
        ``difference`` (quantity, delay) of log memory, selectivity and effective rank,
        A's less B's, each the mean over its networks; ``estimate``, ``lower``,
        ``upper``, ``standard_error`` (band, quantity, delay) and ``critical`` (band,
        quantity), where `band` is "text", "seeds" or both, as far as they are known;
        ``lowest`` and ``highest`` (quantity, delay) of all pairs of networks; ``a``,
        ``b``. Attributes say how many networks and stretches, and which band is not
        known and why.

    Raises
    ------
    ValueError
        If nothing is given, the delays differ, or the networks were averaged over other
        stretches or another text.

    Examples
    --------
    A network's memory is half of another's on every stretch of the text:

    >>> import numpy as np
    >>> import xarray as xr
    >>> from state_gradients.analysis.comparison import compare_memory, stretch_curves
    >>> rng = np.random.default_rng(0)
    >>> dims = ("block", "delay", "state", "embedding")
    >>> values = np.diag([2.0, 1.0]) + 0.1 * rng.normal(size=(8, 3, 2, 2))
    >>> blocks = xr.Dataset({"state_gradient": (dims, values)})
    >>> blocks["n_samples"] = (("block", "delay"), np.full((8, 3), 500))
    >>> blocks = blocks.assign_coords(delay=[0, 1, 2])
    >>> embedding = rng.normal(size=(20, 2))
    >>> half = blocks.assign(state_gradient=blocks["state_gradient"] / 2)
    >>> curves = [stretch_curves(each, embedding) for each in (half, blocks)]
    >>> compared = compare_memory(*curves).sel(quantity="log_memory", band="text")
    >>> ends = compared[["lower", "upper"]].to_dataarray()
    >>> ends.round(3).values.tolist()  # log(1 / 2), and no doubt
    [[-0.693, -0.693, -0.693], [-0.693, -0.693, -0.693]]
    """
    level = share(level, WHO, "level")
    n_resamples = whole_number(n_resamples, WHO, "n_resamples", least=2)
    sides = [_networks(side, name) for side, name in ((a, "a"), (b, "b"))]
    _require_one_text(sides[0] + sides[1])
    curves = [
        xr.concat([_logged(each["observed"]) for each in side], "network")
        for side in sides
    ]
    means = [side.mean("network", skipna=False) for side in curves]
    pairs = curves[0].rename(network="network_a") - curves[1]
    rng = np.random.default_rng(seed)
    bands, notes = _bands(sides, curves, level, n_resamples, rng)
    found = xr.Dataset(
        {
            "a": means[0],
            "b": means[1],
            "difference": means[0] - means[1],
            "lowest": pairs.min(("network_a", "network"), skipna=False),
            "highest": pairs.max(("network_a", "network"), skipna=False),
        }
    )
    if bands:
        each = xr.concat(bands.values(), xr.Variable("band", [*bands]))
        found = found.merge(each)
    return labelled(found).assign_attrs(
        level=level,
        n_resamples=n_resamples,
        seed=seed,
        n_networks=[len(side) for side in sides],
        n_stretches=max(each.sizes.get("stretch", 0) for each in sides[0] + sides[1]),
        note=" ".join(notes),
    )


def _networks(side, name):
    """Return the networks of a side, a list of Datasets of one state each."""
    side = [side] if isinstance(side, xr.Dataset) else list(side)
    for each in side:
        fits = isinstance(each, xr.Dataset) and "observed" in each
        if not fits or {*each["observed"].dims} != {"quantity", "delay"}:
            sizes = getattr(each, "sizes", type(each).__name__)
            raise ValueError(
                f"{WHO}: `{name}` must hold `observed` (quantity, delay) of each "
                f"network, as stretch_curves gives it for one state, received "
                f"{short(dict(sizes) if hasattr(sizes, 'items') else sizes)}; select a "
                "state."
            )
        if lacking := {*QUANTITIES} - {*each["quantity"].values.tolist()}:
            raise ValueError(
                f"{WHO}: `{name}` must have the quantities {QUANTITIES}, received none "
                f"of {sorted(lacking)}."
            )
    if not side:
        raise ValueError(f"{WHO}: `{name}` must hold a network or more, received none.")
    return side


def _require_one_text(networks):
    """Refuse networks whose curves or stretches are not of the same positions."""
    first = networks[0]
    for other in networks[1:]:
        delays = [each["delay"].values.tolist() for each in (first, other)]
        if delays[0] != delays[1]:
            spans = [f"{min(d)} to {max(d)}, {len(d)} in all" for d in delays]
            raise ValueError(
                f"{WHO}: all networks must have the same delays, received {spans[0]}, "
                f"and {spans[1]}; compare those that they share."
            )
    of_text = [each for each in networks if "left_out" in each]
    for other in of_text[1:]:
        first = of_text[0]
        texts = [
            str(each["text_hash"].values)
            for each in (first, other)
            if "text_hash" in each
        ]
        if len(set(texts)) > 1:
            raise ValueError(
                f"{WHO}: all networks must have read the same text, received two that "
                "read others: no stretch of one is a stretch of the other."
            )
        counts = [each["n_samples"] for each in (first, other)]
        if not (
            counts[0].shape == counts[1].shape
            and (counts[0].values == counts[1].values).all()
        ):
            found = [
                f"{each.sizes['stretch']} stretches of {int(each[:, 0].sum())} positions"
                for each in (c.transpose("stretch", "delay") for c in counts)
            ]
            raise ValueError(
                f"{WHO}: the text must be cut into the same stretches for all networks, "
                f"received {found[0]}, and {found[1]}; average over one text with one "
                "number of blocks."
            )


def _logged(curves):
    """Return curves (.., quantity, delay) with the logarithm of the memory."""
    curves = curves.astype(np.float64).sel(quantity=[*QUANTITIES])
    memory = curves.sel(quantity=["memory"])
    logged = np.log(memory.where(memory > 0))  # there is none of 0
    rest = curves.sel(quantity=[*QUANTITIES[1:]])
    found = xr.concat([logged, rest], "quantity").reset_coords(drop=True)
    return found.assign_coords(quantity=[*COMPARED])


def _bands(sides, curves, level, n_resamples, rng):
    """Return the bands that can be known, {name: Dataset}, and why others cannot."""
    bands, notes = {}, []
    networks = sides[0] + sides[1]
    lacking = sum("left_out" not in each for each in networks)
    n = max(each.sizes.get("stretch", 0) for each in networks)
    if lacking:
        notes.append(
            f"No band of text: of {lacking} of the networks it is not known what each "
            "stretch of the text does to their curves."
        )
    elif n < LEAST_STRETCHES:
        notes.append(
            f"No band of text: it takes {LEAST_STRETCHES} stretches, and there are {n}."
        )
    else:
        of_side = [_side_pseudo_values(side) for side in sides]
        values = of_side[0] - of_side[1]
        bands[OF_TEXT] = _band_of_text(values, level, n_resamples, rng)
    sizes = [len(side) for side in sides]
    if min(sizes) > 1:
        bands[OF_SEEDS] = _band_of_seeds(curves, level, n_resamples, rng)
    else:
        notes.append(
            "No band of seeds: it takes two networks or more on either side, and there "
            f"are {sizes[0]} and {sizes[1]}."
        )
    return bands, notes


def _side_pseudo_values(side):
    """Return the mean over a side's networks of their pseudo-values, as `DIMS`."""
    each = [_pseudo_values(network) for network in side]
    return sum(each[1:], each[0]) / len(each)


def _pseudo_values(network):
    """Return n f - (n - 1) f_(-b) of one network, as `DIMS`."""
    observed, left_out = (_logged(network[key]) for key in ("observed", "left_out"))
    n = left_out.sizes["stretch"]
    return (n * observed - (n - 1) * left_out).transpose(*DIMS)


def _band_of_text(values, level, n_resamples, rng):
    """Return the sup-t band of the mean of `values`, as `DIMS`."""
    n = values.sizes["stretch"]
    mean = values.mean("stretch", skipna=False)
    error = values.std("stretch", ddof=1, skipna=False) / np.sqrt(n)
    drawn = rng.multinomial(n, np.full(n, 1 / n), n_resamples) / n
    centred = (values - mean).values  # (stretch, quantity, delay)
    flat = np.nan_to_num(centred).reshape(n, -1)
    means = drawn @ flat
    squares = drawn @ flat**2 - means**2
    errors = np.sqrt(np.maximum(squares, 0) / (n - 1))
    shape = (n_resamples, *centred.shape[1:])
    critical = _critical(means.reshape(shape), errors.reshape(shape), error, level)
    return _band(mean, error, critical)


def _band_of_seeds(curves, level, n_resamples, rng):
    """Return the sup-t band of the difference of two means over seeds."""
    sizes = [side.sizes["network"] for side in curves]
    means = [side.mean("network", skipna=False) for side in curves]
    residuals = np.concatenate(
        [
            (side - mean).transpose("network", "quantity", "delay").values
            for side, mean in zip(curves, means, strict=True)
        ]
    )
    freedom = sum(sizes) - 2
    inverse = sum(1 / size for size in sizes)
    mean = means[0] - means[1]
    variance = (residuals**2).sum(axis=0) / freedom
    error = mean.copy(data=np.sqrt(variance * inverse))
    # Gaussian curves of the residuals' covariance: U^T g / sqrt(df), g of N(0, I)
    flat = np.nan_to_num(residuals).reshape(len(residuals), -1) / np.sqrt(freedom)
    drawn = rng.normal(size=(n_resamples, sum(sizes), len(residuals))) @ flat
    drawn = [drawn[:, : sizes[0]], drawn[:, sizes[0] :]]
    shape = (n_resamples, *residuals.shape[1:])
    difference = drawn[0].mean(axis=1) - drawn[1].mean(axis=1)
    squares = sum(side.var(axis=1) * side.shape[1] for side in drawn) / freedom
    errors = np.sqrt(squares * inverse)
    critical = _critical(difference.reshape(shape), errors.reshape(shape), error, level)
    return _band(mean, error, critical)


def _critical(deviations, errors, error, level):
    """Return the `level` quantile of max |deviation| / error over delays, (quantity,).

    Delays at which nothing varies, or nothing is known, do not count.
    """
    counts = (error > 0).values  # False for NaN
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(counts, np.abs(deviations) / errors, 0.0)
    largest = np.nan_to_num(t, nan=0.0, posinf=np.inf).max(axis=-1)
    quantile = np.quantile(largest, level, axis=0)
    return xr.DataArray(quantile, {"quantity": error["quantity"]}, "quantity")


def _band(mean, error, critical):
    half = critical * error
    return xr.Dataset(
        {
            "estimate": mean,
            "standard_error": error,
            "lower": mean - half,
            "upper": mean + half,
            "critical": critical,
        }
    )
