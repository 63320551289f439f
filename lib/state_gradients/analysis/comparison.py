"""Two networks compared: differences of their memory curves, with simultaneous bands.

A text is cut into n stretches of consecutive positions, the same for all networks. What
leaving out stretch b does to the curves f of a network (log memory, selectivity,
effective rank, each by delay) gives its pseudo-values, whose mean is f without most of
the bias of noise (Quenouille, Tukey)::

    f_b = n f - (n - 1) f_(-b)
    D_b = mean over A's networks of f_b - mean over B's networks of f_b

The n differences D_b are of the same stretches: whatever a stretch does to both
networks cancels. They are drawn again, n of n with replacement, and the band is as wide
as the largest deviation over all delays is in a share `level` of the draws (sup-t;
Montiel Olea and Plagborg-Moller 2019)::

    t* = max over delays |mean D*_b - mean D_b| / SE*,   SE = sd of D_b / sqrt(n)
    band = mean D_b +- c SE,   c the `level` quantile of t*

so that it holds the whole curve of differences, not each delay by itself. With three
networks or more on either side, seeds of one recipe, a second band says how far other
seeds would lie; it knows nothing of the text::

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
LEAST_STRETCHES = 8  # so that draws of nearly the same stretches do not decide
LEAST_SEEDS = 3  # on either side: bands of two and two would cover 88 to 93 %
OF_TEXT, OF_SEEDS = "text", "seeds"
_ENDS = ("estimate", "standard_error", "lower", "upper")
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
        If the blocks do not fit, a mean's samples are spread over too few of them, or
        the embedding cannot be whitened.

    Warns
    -----
    RuntimeWarning
        If they are spread over few
        (:func:`state_gradients.analysis.uncertainty.block_bootstrap`).

    Examples
    --------
    Of three stretches the last has twice the others' gradient:

    >>> import numpy as np
    >>> import state_gradients as sg
    >>> import xarray as xr
    >>> dims = ("block", "delay", "state", "embedding")
    >>> each = np.array([1.0, 1.0, 2.0]).reshape(3, 1, 1, 1) * np.eye(2)
    >>> blocks = xr.Dataset({"state_gradient": (dims, each)})
    >>> blocks["n_samples"] = (("block", "delay"), np.full((3, 1), 500))
    >>> embedding = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    >>> curves = sg.stretch_curves(blocks, embedding * np.sqrt(3 / 4))  # variance 1
    >>> memory = curves.sel(quantity="memory").squeeze()
    >>> round(float(memory["observed"]), 3), memory["left_out"].values.round(3).tolist()
    (1.333, [1.5, 1.5, 1.0])
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
    return described(found)


def described(found):
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

    How often 95 % bands hold the whole curve, of 500 texts and 16 delays; the ratio is
    that of sigma_1 to the noise, the norm of the mean's error:

    ======================  ==========  ===========  ==============
    text                    log memory  selectivity  effective rank
    ======================  ==========  ===========  ==============
    64 stretches, ratio 30  97 %        95 %         95 %
    64 stretches, ratio 10  96 %        95 %         95 %
    64 stretches, ratio 5   96 %        94 %         95 %
    64 stretches, ratio 3   91 %        86 %         94 %
    24 stretches, ratio 10  97 %        98 %         97 %
    8 stretches, ratio 10   99 %        100 %        100 %
    ======================  ==========  ===========  ==============

    Few stretches make bands that are too wide, much noise too narrow. Of seeds, 700
    draws of Gaussian curves of 51 delays, alike over 20 or over 3 of them: five a side
    95 and 93 %, three 96 and 94 %, two 93 and 88 %, for which no band is given.

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
    >>> import state_gradients as sg
    >>> import xarray as xr
    >>> rng = np.random.default_rng(0)
    >>> dims = ("block", "delay", "state", "embedding")
    >>> values = np.diag([2.0, 1.0]) + 0.1 * rng.normal(size=(8, 3, 2, 2))
    >>> blocks = xr.Dataset({"state_gradient": (dims, values)})
    >>> blocks["n_samples"] = (("block", "delay"), np.full((8, 3), 500))
    >>> blocks = blocks.assign_coords(delay=[0, 1, 2])
    >>> embedding = rng.normal(size=(20, 2))
    >>> half = blocks.assign(state_gradient=blocks["state_gradient"] / 2)
    >>> curves = [sg.stretch_curves(each, embedding) for each in (half, blocks)]
    >>> compared = sg.compare_memory(*curves).sel(quantity="log_memory", band="text")
    >>> ends = compared[["lower", "upper"]].to_dataarray()
    >>> ends.round(3).values.tolist()  # log(1 / 2), and no doubt
    [[-0.693, -0.693, -0.693], [-0.693, -0.693, -0.693]]
    """
    level = share(level, WHO, "level")
    n_resamples = whole_number(n_resamples, WHO, "n_resamples", least=2)
    sides = [_networks(side, name) for side, name in ((a, "a"), (b, "b"))]
    require_one_text(sides[0] + sides[1])
    curves = [np.stack([_logged(each["observed"]) for each in side]) for side in sides]
    means = [side.mean(axis=0) for side in curves]
    pairs = curves[0][:, None] - curves[1]
    by_delay = ("quantity", "delay")
    found = {
        "a": (by_delay, means[0]),
        "b": (by_delay, means[1]),
        "difference": (by_delay, means[0] - means[1]),
        "lowest": (by_delay, pairs.min(axis=(0, 1))),
        "highest": (by_delay, pairs.max(axis=(0, 1))),
    }
    bands, notes = _bands(sides, curves, level, n_resamples, seed)
    for name in (*_ENDS, "critical") if bands else ():
        dims = ("band", "quantity", "delay")[: 2 if name == "critical" else 3]
        found[name] = dims, np.stack([band[name] for band in bands.values()])
    coords = {"quantity": [*COMPARED], "delay": sides[0][0]["delay"].values}
    coords |= {"band": [*bands]} if bands else {}
    n_stretches = sides[0][0].sizes.get("stretch", 0) if OF_TEXT in bands else 0
    return described(xr.Dataset(found, coords)).assign_attrs(
        level=level,
        n_resamples=n_resamples,
        seed=seed,
        n_networks=[len(side) for side in sides],
        n_stretches=n_stretches,
        note=" ".join(notes),
    )


def _networks(side, name):
    """Return the networks of a side, a list of Datasets of one state each."""
    side = list(side) if isinstance(side, (list, tuple)) else [side]
    if not side:
        raise ValueError(f"{WHO}: `{name}` must hold a network or more, received none.")
    for each in side:
        fits = isinstance(each, xr.Dataset) and "observed" in each
        if not fits or {*each["observed"].dims} != {"quantity", "delay"}:
            given = dict(each.sizes) if isinstance(each, xr.Dataset) else each
            raise ValueError(
                f"{WHO}: `{name}` must hold `observed` (quantity, delay) of each "
                "network, as stretch_curves gives it for one state, received "
                f"{short(given)}; select a state."
            )
        if lacking := {*QUANTITIES} - {*each["quantity"].values.tolist()}:
            raise ValueError(
                f"{WHO}: `{name}` must have the quantities {QUANTITIES}, received none "
                f"of {sorted(lacking)}."
            )
    return side


def require_one_text(networks):
    """Refuse networks whose curves are not of the same delays, text and stretches.

    Parameters
    ----------
    networks : list of Dataset
        As :func:`compare_memory` takes them.

    Raises
    ------
    ValueError
        If they are not.
    """
    first = networks[0]
    for other in networks[1:]:
        delays = [each["delay"].values for each in (first, other)]
        if not np.array_equal(*delays):
            spans = " and ".join(f"{d[0]} to {d[-1]} ({len(d)})" for d in delays)
            raise ValueError(
                f"{WHO}: all networks must have the same delays, received {spans}; "
                "compare those that they share."
            )
    of_text = [each for each in networks if "left_out" in each]
    for other in of_text[1:]:
        first = of_text[0]
        hashes = {
            str(x["text_hash"].values) for x in (first, other) if "text_hash" in x
        }
        if len(hashes) > 1:
            raise ValueError(
                f"{WHO}: all networks must have read the same text, received networks "
                f"that read others, of the hashes {' and '.join(sorted(hashes))}: no "
                "stretch of one is a stretch of the other."
            )
        counts = [
            each["n_samples"].transpose("stretch", "delay").values
            for each in (first, other)
        ]
        if not np.array_equal(*counts):
            cut = " and ".join(
                f"{len(n)} of {n[:, 0].sum():,} positions" for n in counts
            )
            raise ValueError(
                f"{WHO}: the text must be cut into the same stretches for all "
                f"networks, received {cut}; average over one text, in as many blocks."
            )


def _logged(curves):
    """Return curves as an array (.., quantity, delay), with the memory's logarithm."""
    ordered = curves.sel(quantity=[*QUANTITIES]).transpose(..., "quantity", "delay")
    values = ordered.values.astype(np.float64)
    memory = values[..., 0, :]
    with np.errstate(divide="ignore"):
        values[..., 0, :] = np.where(memory > 0, np.log(memory), np.nan)
    return values


def _bands(sides, curves, level, n_resamples, seed):
    """Return the bands that can be known, {name: ends}, and why others cannot."""
    bands, notes, networks = {}, [], sides[0] + sides[1]
    n_lacking = sum("left_out" not in each for each in networks)
    n_stretches = networks[0].sizes.get("stretch", 0)
    if n_lacking:
        notes.append(
            "No band of text: what each stretch of it does is not known of "
            f"{n_lacking} of {len(networks)} networks."
        )
    elif n_stretches < LEAST_STRETCHES:
        notes.append(
            f"No band of text: it takes {LEAST_STRETCHES} stretches or more, and there "
            f"are {n_stretches}."
        )
    else:
        of_side = [np.mean([_pseudo_values(x) for x in side], axis=0) for side in sides]
        values = of_side[0] - of_side[1]
        bands[OF_TEXT] = _band_of_text(values, level, n_resamples, seed)
    sizes = [len(side) for side in sides]
    if min(sizes) >= LEAST_SEEDS:
        bands[OF_SEEDS] = _band_of_seeds(*curves, level, n_resamples, seed)
    else:
        notes.append(
            f"No band of seeds: it takes {LEAST_SEEDS} networks or more on either "
            f"side, and there are {sizes[0]} and {sizes[1]}."
        )
    return bands, notes


def _pseudo_values(network):
    """Return n f - (n - 1) f_(-b), (stretch, quantity, delay)."""
    left_out = _logged(network["left_out"])
    n = len(left_out)
    return n * _logged(network["observed"]) - (n - 1) * left_out


def _band_of_text(values, level, n_resamples, seed):
    """Return the sup-t band of the mean of `values` (stretch, quantity, delay)."""
    n, mean = len(values), values.mean(axis=0)
    error = values.std(axis=0, ddof=1) / np.sqrt(n)
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(n, np.full(n, 1 / n), n_resamples) / n  # shares of draws
    centred = np.nan_to_num(values - mean).reshape(n, -1)
    deviations = drawn @ centred
    variances = np.maximum(drawn @ centred**2 - deviations**2, 0)
    errors = np.sqrt(variances / (n - 1))
    return _band(mean, error, deviations, errors, level)


def _band_of_seeds(a, b, level, n_resamples, seed):
    """Return the sup-t band of the difference of the means of a, b (network, ..)."""
    n_a, n_b = len(a), len(b)
    freedom, inverse = n_a + n_b - 2, 1 / n_a + 1 / n_b
    residuals = np.concatenate([side - side.mean(axis=0) for side in (a, b)])
    error = np.sqrt((residuals**2).sum(axis=0) / freedom * inverse)
    # g of N(0, I): the curves g^T U / sqrt(df) have the residuals' covariance
    scaled = np.nan_to_num(residuals).reshape(n_a + n_b, -1) / np.sqrt(freedom)
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(n_resamples, n_a + n_b, n_a + n_b)) @ scaled
    of_a, of_b = drawn[:, :n_a], drawn[:, n_a:]
    deviations = of_a.mean(axis=1) - of_b.mean(axis=1)
    squares = of_a.var(axis=1) * n_a + of_b.var(axis=1) * n_b
    errors = np.sqrt(squares / freedom * inverse)
    mean = a.mean(axis=0) - b.mean(axis=0)
    return _band(mean, error, deviations, errors, level)


def _band(mean, error, deviations, errors, level):
    """Return mean +- c SE, c the quantile of the largest |deviation| / SE of a draw.

    Delays at which nothing varies, or nothing is known, do not count.
    """
    deviations, errors = (x.reshape(-1, *mean.shape) for x in (deviations, errors))
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(error > 0, np.abs(deviations) / errors, 0)  # NaN > 0 is False
    critical = np.quantile(np.nan_to_num(t, posinf=np.inf).max(axis=-1), level, axis=0)
    half = critical[:, None] * error
    ends = (mean, error, mean - half, mean + half)
    return dict(zip(_ENDS, ends, strict=True)) | {"critical": critical}
