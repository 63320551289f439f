"""Where the memory is wanted: errors of the network, beside its gradients.

The paper's first open question (Section 6). For every position t of a text

    surprisal   -ln p(w_{t+1} | w_1 .. w_t), of one stream
    memory      ||G_{t,tau} D||_F of the word tau back, for every delay tau

and how the two go together (:mod:`state_gradients.paper.language.surprisal`). Then the
causal side: a word is replaced (:mod:`state_gradients.paper.language.replacements`),
and what happens is held against what is linear in the gradient.
"""

import numpy as np
import xarray as xr
from scipy.stats import norm as normal

from state_gradients.analysis import ranks
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.foundation.labels import about
from state_gradients.paper.language import replacements, surprisal
from state_gradients.text.vocabulary import EOS, UNK

DELAYS = 0, 1, 2, 3, 5, 8, 13, 20, 30, 40, 50  # those that are kept, beside the sum
PAST = "all"  # what the sum over the delays from 1 on is called
N_SAMPLED = 2_000  # positions whose sigma_1 is taken beside the norm
N_PLACES = 1_000  # words that are replaced: a rank correlation of 0 +- 0.06
N_RESAMPLES = 200
LEVEL = 0.95
PREDICTORS = "step", "memory", "state", "hidden state", "distribution"
FLOOR = 1e-30  # of a real change, for ratios: below what float64 resolves
QUANTILES = 0.1, 0.25, 0.5, 0.75, 0.9

_SIZE, _NATS, _STATE = "state unit / standard deviation", "nat", "state unit"
_SPEARMAN = "correlation of ranks"
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "surprisal": ("surprisal of the next word", _NATS, "-ln p(w_(t+1) | w_1..w_t)"),
    "memory": ("memory at one position, whitened", _SIZE, "||G_(t, delay) D||_F"),
    "past": ("memory of all words before", _SIZE, "sum from delay 1 of ||G D||_F"),
    "mean_memory": ("mean memory over positions", _SIZE, "mean of ||G D||_F"),
    "n_sampled": ("positions whose sigma_1 is taken as well", "1", "count"),
    "agreement": ("rank correlation of norm and sigma_1", "1", _SPEARMAN),
    "share_of_largest": ("sigma_1 over the norm, mean", "1", "mean sigma_1 / ||G D||"),
    "correlation": ("rank correlation of surprisal with memory", "1", _SPEARMAN),
    "lower": ("lower end of its interval", "1", "estimate - z SE, blocks drawn again"),
    "upper": ("upper end of its interval", "1", "estimate + z SE, blocks drawn again"),
    "null_lower": ("lower end, memories of other positions", "1", "2.5 % quantile"),
    "null_upper": (
        "upper end with memories of other positions",
        "1",
        "97.5 % quantile",
    ),
    "octave_correlation": ("rank correlation in one octave", "1", _SPEARMAN),
    "octave_positions": ("positions whose next word is of it", "1", "count"),
    "excess_surprisal": ("surprisal beyond its octave's", _NATS, "mean over a tenth"),
    "replaceable": ("share of tokens whose word has peers", "1", "count / all"),
    "by_class": (
        "whether peers are of one class",
        "1",
        "tagged tokens >= 1/2",
    ),
    "step": ("whitened length of the step", "standard deviation", "||Z (w - e)||"),
    "memory_of_place": ("memory of the replaced word", _SIZE, "||G_(t, delay) D||_F"),
    "change": ("change of the state", _STATE, "||s' - s||"),
    "linear_change": ("what the gradient says of it", _STATE, "||G (w - e)||, scale 1"),
    "cosine": ("cosine of real and linear change", "1", "cos(s' - s, G (w - e))"),
    "kl": ("change of the predicted distribution", _NATS, "sum p ln(p / p')"),
    "cost": ("loss that the next word gains", _NATS, "ln p - ln p'"),
    "late_kl": ("change if all words before it are forgotten", _NATS, "KL"),
    "late_cost": ("loss that the next word gains by it", _NATS, "ln p - ln p'"),
    "mean_late_kl": ("mean of it over places", _NATS, "mean over places"),
    "mean_late_kl_error": ("standard error of this mean", _NATS, "sd / sqrt n"),
    "mean_late_cost": ("mean of it over places", _NATS, "mean over places"),
    "mean_late_cost_error": ("standard error of this mean", _NATS, "sd / sqrt n"),
    "quadratic": ("quadratic form of the linear change, scale 1", _NATS, "x^T F x / 2"),
    "quadratic_of_change": ("quadratic form of the real one", _NATS, "x^T F x / 2"),
    "state_ratio": ("linear over real change of the state", "1", "quantiles of places"),
    "kl_ratio": ("quadratic form over real change", "1", "quantiles of places"),
    "kl_ratio_of_change": (
        "quadratic form of the real change of the hidden state, over KL",
        "1",
        "quantiles of places",
    ),
    "state_prediction": ("rank correlation, linear with real change", "1", _SPEARMAN),
    "prediction": ("rank correlation with KL", "1", _SPEARMAN),
    "prediction_lower": ("lower end of its interval", "1", "estimate - z SE, places"),
    "prediction_upper": ("upper end of its interval", "1", "estimate + z SE, places"),
    "mean_kl": ("mean change of the distribution", _NATS, "mean over places"),
    "mean_kl_error": ("standard error of this mean", _NATS, "sd / sqrt n"),
    "mean_cost": ("mean cost of a replaced word", _NATS, "mean over places"),
    "mean_cost_error": ("standard error of this mean", _NATS, "sd / sqrt n"),
}
MISSING = dict.fromkeys(("memory", "past"), "the text does not reach back so far")
_OF_RANKS = ("correlation", "octave_correlation", "agreement", "lower", "upper")
MISSING |= dict.fromkeys(
    (*_OF_RANKS, "null_lower", "null_upper"), "one of the two does not vary"
)


def study(subject):
    """Measure a trained model's surprisals beside its memories, and replace words.

    The memory is of the lowest layer's states; the chain is never cut.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``positions``; `MEANING` says what its variables mean.
    """
    from state_gradients.engine.network import read_network
    from state_gradients.models import evaluation

    weights, model, ids = subject.load("weights"), subject.predictor, subject.ids
    longest, seed = (
        subject.experiment.gradients.max_delay,
        subject.experiment.training.seed,
    )
    tokens, counts = weights["vocabulary"].values, weights["count"].values
    whitening = fit_whitening(weights["embedding"])
    peers, by_class = _peers(subject, ids, tokens, counts)
    last = len(ids) - 1 - longest  # every place has all delays, and a next word
    places, substitutes, share = replacements.draw(
        ids, peers, first=longest, last=last, n=N_PLACES, seed=seed
    )
    losses, _ = evaluation.token_losses(model, ids, batch_size=1, num_steps=1)
    whole = np.arange(max(longest, 1), len(ids) - 1)
    kinds, memory, sizes = _memories(subject, whitening, whole, seed)
    delays = [delay for delay in DELAYS if delay < longest] + [longest]
    observed = surprisal.observe(
        losses[0], np.concatenate([*memory], axis=1), ids, tokens, counts, whole
    )
    layers = subject.experiment.model.layers
    network = read_network(model, n_layers=layers, dtype="float64")
    softmax = [weights[f"logits.{x}"].values.astype(float) for x in ("kernel", "bias")]
    followed = replacements.follow(network, softmax, ids, places, substitutes, delays)
    step = network.table[substitutes] - network.table[ids[places]]
    there = memory[-1, places[:, None] + delays, np.arange(len(delays))]
    chosen = {
        "step": ("place", np.linalg.norm(step @ whitening.Z.T, axis=-1)),
        "memory_of_place": (("delay", "place"), there.T),
    } | followed
    octave, correlated = _correlations(observed, kinds, longest, seed)
    variables = {
        "surprisal": ("position", losses[0]),
        "memory": (("position", "delay"), memory[-1, :-1, :-1]),
        "past": ("position", memory[-1, :-1, -1]),
        "replaceable": ((), share),
        "by_class": ((), by_class),
        **sizes,
        **correlated,
        **chosen,
        **_predictions(chosen, kinds, seed),
    }
    coords = {
        "delay": delays,
        "state_kind": kinds,
        "memory_of": [*map(str, delays), PAST],
        "control": list(surprisal.CONTROLS),
        "null": list(surprisal.NULLS),
        "octave": octave,
        "place": places,
        "word": ("place", tokens[ids[places]]),
        "substitute": ("place", tokens[substitutes]),
        "scale": list(replacements.SCALES),
        "predictor": list(PREDICTORS),
        "quantile": list(QUANTILES),
    }
    return {"positions": _labelled(variables, coords)}


def _peers(subject, ids, tokens, counts):
    """Return by what each type may be replaced, and whether within its class.

    In a text of a language that has no tags here, it is by frequency alone.
    """
    classes = replacements.classes_of(subject.tags["n_tagged"])
    by_class = np.mean(classes[ids] >= 0) >= replacements.LEAST_TAGGED
    if not by_class:
        classes = np.where(np.isin(tokens, (EOS, UNK)), -1, 0)
    return replacements.peers_of(classes, counts), int(by_class)


def _memories(subject, whitening, whole, seed):
    """Return what the states are called, their memories, and what is said of them.

    Returns
    -------
    kinds : list of str
        Of the lowest layer; an LSTM's cell comes last.
    memory : ndarray of float32, shape (state_kind, position, delay and PAST)
    variables : dict of str to (dims, ndarray)
    """
    from state_gradients.engine.network import read_network
    from state_gradients.engine.positions import position_memory

    longest = subject.experiment.gradients.max_delay
    rng = np.random.default_rng(seed)
    sizes = position_memory(
        subject.predictor,
        subject.ids,
        max_delay=longest,
        factor=whitening.D,
        sample=rng.permutation(whole)[:N_SAMPLED],
        state=read_network(subject.predictor).cells[0].names,
        progress=subject.progress,
    )
    past = sizes["norm"].isel(delay=slice(1, None)).sum("delay", skipna=False).values
    kept = sizes.isel(delay=[*(d for d in DELAYS if d < longest), longest])
    memory = np.concatenate([kept["norm"].values, past[..., None]], axis=-1)
    of_sample = kept["norm"].sel(position=kept["sampled"]).values
    ranked = [
        [
            ranks.correlations(*map(ranks.ranks_within, pair))[0]
            for pair in zip(norms.T, largest.T[..., None], strict=True)
        ]
        for norms, largest in zip(of_sample, kept["largest"].values, strict=True)
    ]
    by_state = ("state_kind", "delay")
    shares = kept["largest"].values / of_sample
    kinds = sizes["state_kind"].values.tolist()
    means = kept["norm"].mean("position", dtype=float)
    variables = {
        "n_sampled": ((), kept.sizes["sampled"]),
        "agreement": (by_state, ranked),
        "share_of_largest": (by_state, shares.mean(axis=1, dtype=float)),
        "mean_memory": (by_state, means.values),
    }
    return kinds, memory, variables


def _correlations(observed, kinds, longest, seed):
    """Return the octaves, and the correlations with all that is said of them."""
    options = {"longest_delay": longest, "seed": seed}
    octave, n_positions, in_octave = surprisal.by_octave(observed)
    lower, upper = surprisal.intervals(observed, **options)
    null_lower, null_upper = surprisal.null_bands(observed, **options)
    columns = ("state_kind", "memory_of")

    def by_state(*axes, values):
        shape = *values.shape[:-1], len(kinds), -1
        return (*axes, *columns), values.reshape(shape)

    return octave, {
        "correlation": by_state("control", values=surprisal.correlations(observed)),
        "lower": by_state("control", values=lower),
        "upper": by_state("control", values=upper),
        "null_lower": by_state("null", "control", values=null_lower),
        "null_upper": by_state("null", "control", values=null_upper),
        "octave_positions": ("octave", n_positions),
        "octave_correlation": by_state("octave", values=in_octave),
        "excess_surprisal": by_state(
            "tenth", values=surprisal.excess_by_tenth(observed)
        ),
    }


def _predictions(chosen, kinds, seed):
    """Return how far what is linear predicts what happens, over the places."""
    values = {name: array for name, (_, array) in chosen.items()}
    scales = np.array(replacements.SCALES)[:, None]
    kl, change = (
        values["kl"],
        values["change"],
    )  # (delay, scale, place), (state_kind, ..)
    linear = scales[..., None] * values["linear_change"][:, None]
    quadratic = scales**2 * values["quadratic"][:, None]
    lengths = values["linear_change"]
    predictors = [
        np.broadcast_to(values["step"], values["quadratic"].shape),
        values["memory_of_place"],
        lengths[-1],
        lengths[kinds.index("hidden")],
        values["quadratic"],
    ]
    predictors = np.stack(predictors, axis=1)  # (delay, predictor, place)
    estimate = _ranked(predictors, kl)
    n = kl.shape[-1]
    rng = np.random.default_rng(seed)
    drawn = [
        _ranked(predictors[..., again], kl[..., again])
        for again in (rng.integers(n, size=n) for _ in range(N_RESAMPLES))
    ]
    half = normal.ppf((1 + LEVEL) / 2) * np.std(drawn, axis=0, ddof=1)
    of_state = ("state_kind", "scale", "delay")
    of_prediction = ("delay", "predictor", "scale")
    variables = {
        "prediction": (of_prediction, estimate),
        "prediction_lower": (of_prediction, estimate - half),
        "prediction_upper": (of_prediction, estimate + half),
        "state_prediction": (of_state, _row_by_row(linear, change)),
        "state_ratio": (("quantile", *of_state), _ratios(linear, change)),
        "kl_ratio": (("quantile", "delay", "scale"), _ratios(quadratic, kl)),
        "kl_ratio_of_change": (
            ("quantile", "delay", "scale"),
            _ratios(values["quadratic_of_change"], kl),
        ),
    }
    for name in ("kl", "cost", "late_kl", "late_cost"):
        dims, array = chosen[name]
        error = array.std(axis=-1, ddof=1) / np.sqrt(n)
        variables[f"mean_{name}"] = (dims[:-1], array.mean(axis=-1))
        variables[f"mean_{name}_error"] = (dims[:-1], error)
    return variables


def _ranked(predictors, changes):
    """Return rank correlations (.., predictor, change) of arrays (.., each, place)."""
    n_places = changes.shape[-1]

    def unit_ranks(values):
        rows = ranks.ranks_within(values.reshape(-1, n_places).T).T
        rows = rows.reshape(values.shape)
        lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
        return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)

    return unit_ranks(predictors) @ unit_ranks(changes).swapaxes(-1, -2)


def _row_by_row(values, others):
    """Return the rank correlation of each row (.., place) with its partner."""
    return _ranked(values[..., None, :], others[..., None, :])[..., 0, 0]


def _ratios(predicted, real):
    """Return quantiles over places of predicted over real change, (quantile, ..)."""
    ratio = predicted / np.maximum(real, FLOOR)
    return np.quantile(ratio, QUANTILES, axis=-1)


def _labelled(variables, coords):
    """Return the artifact: long arrays in float32, and what everything means."""
    dataset = xr.Dataset(variables, coords=coords)
    for name, variable in dataset.data_vars.items():
        if variable.dtype.kind == "f" and variable.size > 1_000:
            dataset[name] = variable.astype(np.float32)
        dataset[name].attrs = about(name, meaning=MEANING)
        if name in MISSING:
            dataset[name].attrs["missing"] = MISSING[name]
    return dataset
