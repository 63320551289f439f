r"""What is remembered and still matters: influence on the words predicted, in nats.

With G_t = dh_t / de_{t-tau} of what the softmax reads, D the whitening of the embedding
and F_t the Fisher information of the softmax,

    M_tau = mean of (G_t D)^T F_t (G_t D)

so that a step of z standard deviations changes the prediction tau words later by
z^T M z / 2 nats, as long as it is small. Where "small" ends is measured by
replacing words: the word of a place is moved towards another, drawn by its frequency,
and the network runs on.

On the first `TOKENS` of the text, which suffice: the intervals say how well.
"""

import itertools

import numpy as np
import xarray as xr
from scipy.special import log_softmax
from scipy.stats import spearmanr

from state_gradients.analysis import uncertainty
from state_gradients.analysis.influence import influence_curve
from state_gradients.analysis.summary import pooled
from state_gradients.analysis.whitening import (
    fit_whitening,
    whiten_gradient,
    whiten_moment,
)
from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language import replacements, tags
from state_gradients.paper.language.subject import (
    blocks_for_intervals,
    require_all_positions,
)

TOKENS = 10_000
WORDS = 128  # drawn at a position
CHECKED = 512  # tokens on which the draw is held against the exact influence
BLOCKS, BLOCKS_OF_GROUPS = 32, 8
KEPT = 0, 1, 2, 5, 10, 20, 30, 50  # delays whose moment is kept
QUANTITIES = "influence", "mean_influence", "influence_rank"
FREQUENCIES = 10, 100, 1_000  # training counts between the groups by frequency
N_PLACES, AT_ONCE, BLOCKS_OF_PLACES = 4_800, 200, 24
SCALES = 0.1, 1.0  # of the step to another word
STEP_DELAYS = 0, 1, 2, 5, 10, 20, 30, 40
N_RESAMPLES, LEVEL = 200, 0.95
PREDICTORS = "quadratic form", "length of G d"

LEAST = 1e-12  # nats, where the differences of float64 still hold three digits
MISSING = f"no word of the group so long ago, or a change below {LEAST:g} nats"

_NATS = "nat / (standard deviation)^2"
MEANING = {
    "spectrum": ("eigenvalues of the influence", _NATS, "eig(D^T M D)"),
    "observed": ("quantity of the influence", "of its quantity", "as its quantity"),
    "estimate": (
        "the same without the bias of noise",
        "of its quantity",
        "observed - bias",
    ),
    "lower": ("lower end of its interval", "of its quantity", "estimate - t SE"),
    "upper": ("upper end of its interval", "of its quantity", "estimate + t SE"),
    "moment": ("influence, whitened", _NATS, "D^T M D"),
    "memory": (
        "memory of what the softmax reads",
        "state unit / standard deviation",
        "sigma_1(E[G] D)",
    ),
    "rms_memory": (
        "memory that averaging cannot cancel",
        "state unit / standard deviation",
        "sqrt lambda_1(E[(G D)^T G D])",
    ),
    "alignment": (
        "cosine of the direction that matters most with the one kept best",
        "1",
        "|w_1 . v_1|",
    ),
    "share_of_kept": (
        "influence of the direction kept best, of the largest",
        "1",
        "v_1^T M v_1 / lambda_1",
    ),
    "sketch_error": (
        "distance from the exact influence, on the first tokens",
        "1",
        "|M - M exact| / |M exact|",
    ),
    "group_observed": ("as observed, of a group of words", "of its quantity", "as all"),
    "group_lower": ("lower end of its interval", "of its quantity", "estimate - t SE"),
    "group_upper": ("upper end of its interval", "of its quantity", "estimate + t SE"),
    "kl": ("change of the prediction", "nat", "mean KL(p || p')"),
    "kl_lower": ("lower end of its interval", "nat", "blocks of places resampled"),
    "kl_upper": ("upper end of its interval", "nat", "blocks of places resampled"),
    "ratio": ("change over the quadratic form", "1", "median of KL / (d^T M d / 2)"),
    "ratio_lower": ("lower end of its interval", "1", "blocks of places resampled"),
    "ratio_upper": ("upper end of its interval", "1", "blocks of places resampled"),
    "order": ("rank correlation with the change", "1", "Spearman"),
    "order_lower": ("lower end of its interval", "1", "blocks of places resampled"),
    "order_upper": ("upper end of its interval", "1", "blocks of places resampled"),
    "n_tokens": ("tokens averaged over", "tokens", "count"),
}


def study(subject):
    """Measure the influence of a text's words on the words that follow.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``influence``; `MEANING` says what its variables mean. Of experiments that have
        the study of classes, by class and by frequency too.

    Raises
    ------
    ValueError
        If the mean gradients are of groups of positions, the embedding cannot be
        whitened, or the text is too short for two blocks.
    """
    load_keras()
    wanted = subject.experiment.gradients
    require_all_positions(wanted, "influence")
    ids = subject.ids[:TOKENS]
    n_blocks = blocks_for_intervals(
        len(ids), wanted.max_delay, most=BLOCKS, who="influence"
    )
    whitening = fit_whitening(subject.encoder["embedding"])
    blocks = _means(subject, ids, blocks=n_blocks, second_moment=True)
    found = _of_all(blocks, whitening, seed=subject.experiment.training.seed)
    found["sketch_error"] = "delay", _sketch_error(subject, ids)
    if "classes" in subject.experiment.language.studies:
        names, groups = groups_of(subject)
        of_groups = _means(
            subject, ids, blocks=min(BLOCKS_OF_GROUPS, n_blocks), groups=groups
        ).assign_coords(group=names)
        found = found.merge(_of_groups(of_groups, whitening, subject))
    found = found.merge(resolved(_of_steps(subject, ids, wanted.max_delay)))
    found["n_tokens"] = len(ids)
    for name, variable in found.data_vars.items():
        if variable.dtype == np.float64:
            found[name] = variable.astype(np.float32)
        found[name].attrs = about(name, meaning=MEANING)
        if np.isnan(variable.values.astype(float)).any():
            found[name].attrs["missing"] = MISSING
    return {"influence": found}


def _means(subject, ids, *, words=WORDS, **options):
    """Return means of what the softmax reads, with their influence on it."""
    from state_gradients.engine.means import mean_state_gradients
    from state_gradients.engine.network import read_network

    n_layers = subject.experiment.model.layers
    last = read_network(subject.predictor, n_layers=n_layers).cells[-1]
    return mean_state_gradients(
        subject.predictor,
        ids,
        max_delay=subject.experiment.gradients.max_delay,
        window=subject.experiment.gradients.window,
        layer=n_layers,
        state=last.names[last.output],
        influence=words,
        progress=subject.progress,
        **options,
    )


def _intervals(blocks, whitening, seed):
    return uncertainty.block_bootstrap(
        blocks,
        lambda moment: influence_curve(moment, whitening),
        variables=("influence",),
        seed=seed,
        norms=(),
    )


def _of_all(blocks, whitening, *, seed):
    """Return spectrum, intervals and directions of the influence of all words."""
    interval = _intervals(blocks[["influence", "n_samples"]], whitening, seed)
    means = pooled(blocks)
    moment = whiten_moment(means["influence"], whitening)
    gradient = whiten_gradient(means["state_gradient"], whitening)
    second = whiten_moment(means["second_moment"], whitening)
    axes = "delay", "embedding", "embedding_2"
    of_delay = moment.transpose(*axes).values
    values, vectors = np.linalg.eigh(of_delay)
    most = vectors[..., -1]  # (delay, embedding)
    gradient = gradient.transpose("delay", "state", "embedding").values
    _, lengths, kept = np.linalg.svd(gradient, full_matrices=False)
    kept = kept[:, 0]
    influence_of_kept = np.einsum("de,def,df->d", kept, of_delay, kept)
    largest = np.maximum(values[:, -1], np.finfo(float).tiny)
    found = interval[["observed", "estimate", "lower", "upper"]]
    found = found.assign_coords(quantity=found["quantity"].astype(str))
    rms = np.linalg.eigvalsh(second.transpose(*axes).values)[:, -1]
    return found.drop_vars("units", errors="ignore").assign(
        spectrum=(("delay", "component"), np.maximum(values[:, ::-1], 0)),
        memory=("delay", lengths[:, 0]),
        rms_memory=("delay", np.sqrt(rms)),
        alignment=("delay", np.abs((most * kept).sum(axis=1))),
        share_of_kept=("delay", influence_of_kept / largest),
        moment=moment.sel(delay=_kept(moment)).rename(delay="kept_delay"),
    )


def _kept(moment):
    return [delay for delay in KEPT if delay in moment["delay"].values]


def _sketch_error(subject, ids):
    """Return by delay how far the drawn influence is from the exact one."""
    first = ids[:CHECKED]
    drawn, exact = (
        _means(subject, first, words=words)["influence"] for words in (WORDS, "exact")
    )
    over = ["embedding", "embedding_2"]
    norms = [np.sqrt((one**2).sum(over)).values for one in (drawn - exact, exact)]
    return norms[0] / np.maximum(norms[1], np.finfo(float).tiny)


def groups_of(subject):
    """Return names of groups of words, and which types are in each.

    Returns
    -------
    names : list of str
    members : ndarray of bool, shape (group, vocabulary)
        The classes of words, by the tag that a type has most often, and types by their
        frequency in training.
    """
    classes = replacements.classes_of(subject.tags["n_tagged"])
    counts = subject.encoder["count"].values
    groups = {name: classes == k for k, name in enumerate(tags.CLASSES)}
    edges = [0, *FREQUENCIES, np.inf]
    for low, high in itertools.pairwise(edges):
        name = f"{low} or more" if np.isinf(high) else f"{low} to {high - 1}"
        groups[f"seen {name} times"] = (counts >= low) & (counts < high)
    held = {name: of_type for name, of_type in groups.items() if of_type.any()}
    return [*held], np.array([*held.values()])


def _of_groups(blocks, whitening, subject):
    interval = _intervals(
        blocks[["influence", "n_samples"]], whitening, subject.experiment.training.seed
    )
    interval = interval.assign_coords(quantity=interval["quantity"].astype(str))
    ends = {f"group_{end}": interval[end] for end in ("observed", "lower", "upper")}
    return xr.Dataset(ends).drop_vars("units", errors="ignore")


def _of_steps(subject, ids, max_delay):
    """Replace words, and hold what changes against what is linear in the step."""
    delays = np.array([delay for delay in STEP_DELAYS if delay <= max_delay])
    seed = subject.experiment.training.seed
    places, others = _draw(ids, subject.encoder["count"].values, delays[-1], seed)
    kl, quadratic, length = follow(subject, ids, places, others, delays)
    blocks = np.arange(len(places)) * BLOCKS_OF_PLACES // len(places)
    rng = np.random.default_rng(seed)
    picks = [np.arange(len(places))]
    of_block = [np.flatnonzero(blocks == b) for b in range(blocks[-1] + 1)]
    for _ in range(N_RESAMPLES):
        drawn = rng.integers(len(of_block), size=len(of_block))
        picks.append(np.concatenate([of_block[b] for b in drawn]))
    squares = np.array(SCALES)[:, None, None] ** 2 * quadratic  # (scale, delay, place)
    found = {"kl": [], "ratio": [], "order": []}
    for pick in picks:
        kl_of, squares_of = kl[..., pick], squares[..., pick]
        found["kl"].append(kl_of.mean(axis=-1))
        with np.errstate(divide="ignore", invalid="ignore"):
            found["ratio"].append(np.median(kl_of / squares_of, axis=-1))
        found["order"].append(_orders(kl_of, squares_of, length[:, pick]))
    axes = {"order": ("predictor", "scale", "step_delay")}
    variables = {}
    tails = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    for name, values in found.items():
        dims = axes.get(name, ("scale", "step_delay"))
        observed, *resampled = values
        variables[name] = dims, observed
        for end, tail in zip(("lower", "upper"), tails, strict=True):
            variables[f"{name}_{end}"] = dims, np.quantile(resampled, tail, axis=0)
    coords = {"scale": [*SCALES], "step_delay": delays, "predictor": [*PREDICTORS]}
    return xr.Dataset(variables, coords).assign_attrs(n_places=len(places))


def resolved(found):
    """Leave out ratios and orders of changes that float64 cannot tell from rounding."""
    told = [name for name in found if name.startswith(("ratio", "order"))]
    enough = found["kl"] > LEAST
    return found.assign(
        {name: found[name].where(enough).transpose(*found[name].dims) for name in told}
    )


def _orders(kl, squares, length):
    """Return rank correlations of the change, (predictor, scale, delay)."""
    return np.array(
        [
            [
                [spearmanr(kl[a, d], by[a, d]).statistic for d in range(kl.shape[1])]
                for a in range(len(kl))
            ]
            for by in (squares, np.broadcast_to(length, kl.shape))
        ]
    )


def _draw(ids, counts, longest, seed):
    """Return places all over a text, and for each another word by its frequency."""
    last = len(ids) - longest - 1
    places = np.unique(np.linspace(1, last, min(N_PLACES, last)).astype(int))
    rng = np.random.default_rng(seed)
    share = counts / counts.sum()
    others = rng.choice(len(counts), size=len(places), p=share)
    while (same := others == ids[places]).any():
        others[same] = rng.choice(len(counts), size=same.sum(), p=share)
    return places, others


def follow(subject, ids, places, others, delays):
    """Move words towards others, run on, and say what changes.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject
    ids : ndarray of int, shape (time,)
    places, others : ndarray of int, shape (place,)
        Increasing places, and the types that their words are moved towards.
    delays : ndarray of int

    Returns
    -------
    kl : ndarray of shape (scale, delay, place)
        Of the predictions before and after the step, nats.
    quadratic : ndarray of shape (delay, place)
        Var_p(K^T G d) / 2 for the whole step d, nats.
    length : ndarray of shape (delay, place)
        Of G d, where G is the derivative of what the softmax reads.
    """
    from state_gradients.engine import readouts
    from state_gradients.engine.network import read_network

    n_layers = subject.experiment.model.layers
    network = read_network(subject.predictor, n_layers=n_layers, dtype="float64")
    readout = readouts.read_readout(subject.predictor, network, "exact")
    parts = []
    states, done = network.zero_states(), 0
    for start in range(0, len(places), AT_ONCE):
        some = slice(start, start + AT_ONCE)
        at = places[some]
        trace, states = network.run(ids[done : at[-1] + 1], states)
        before = [[array[at - done] for array in layer[1:]] for layer in trace]
        done = at[-1] + 1
        following = network.table[ids[at + np.arange(delays[-1] + 1)[:, None]]]
        step = network.table[others[some]] - following[0]

        def read_after(scale, x=following, step=step, before=before):
            moved = x.copy()
            moved[0] += scale * step
            for cell, first in zip(network.cells, before, strict=True):
                moved = cell.run(moved, first)[cell.output]
            return moved[delays]  # (delay, place, units)

        h = read_after(0)
        tiny = replacements.TINY
        slope = (read_after(tiny) - read_after(-tiny)) / (2 * tiny)
        after = [read_after(scale) for scale in SCALES]
        parts.append(
            (*_changes(readout, h, after, slope), np.linalg.norm(slope, axis=-1))
        )
    return [np.concatenate(one, axis=-1) for one in zip(*parts, strict=True)]


def _changes(readout, h, after, slope):
    """Return KL (scale, delay, place) and the quadratic form (delay, place).

    The layers of our language models between state and softmax are linear.
    """
    kl, quadratic = [], []
    for d in range(len(h)):  # one delay's predictions at a time: they are large
        logits = readout.values(h[d])[-1]
        log_p = log_softmax(logits, axis=-1)
        p = np.exp(log_p)
        moved = [log_softmax(readout.values(one[d])[-1], axis=-1) for one in after]
        kl.append([(p * (log_p - one)).sum(axis=-1).clip(0) for one in moved])
        change = readout.values(h[d] + slope[d])[-1] - logits
        mean = (p * change).sum(axis=-1, keepdims=True)
        quadratic.append((p * (change - mean) ** 2).sum(axis=-1) / 2)
    return np.swapaxes(kl, 0, 1), np.array(quadratic)
