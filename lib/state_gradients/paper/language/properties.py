"""The study of Sections 5.1 and 5.2: how well properties of words are remembered.

For each property of `tags.PROPERTIES` its direction d, and by delay its measures m and
cos(d, H_n) (`state_gradients.analysis.properties`), with gradients averaged over the
class of words, over all words, and over the two halves of the property alone. Beside
them intervals, by resampling types, and what chance makes of each measure. Then what
really changes when a noun's number does (`swaps`), and how often words of degree are
followed by what they announce.
"""

import functools

import numpy as np
import xarray as xr
from scipy.stats import binomtest
from threadpoolctl import threadpool_limits

from state_gradients.analysis import properties, spectra
from state_gradients.analysis.whitening import fit_whitening, whiten_gradient
from state_gradients.foundation.labels import about, apply
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language import swaps, tags

SUBSPACES = 1, 2, 5, 6  # n of H_n: the paper's 1 and 5; its released code takes n + 1
OVER = ["class", "all words", "halves"]  # what the gradients are averaged over
WORDS = ["all", "matched"]  # the halves as they are; types alike in frequency only
NULLS = ["random directions", "random splits", "within frequency bins"]
ENDS = "lower", "middle", "upper"  # of a band by chance
SHARE = "share", "share_lower", "share_upper", "share_of"
OWN = "observed", "estimate", "lower", "upper"
N_RESAMPLES, N_SPLITS, N_DIRECTIONS = 1_000, 1_000, 20_000
N_BINS = 10  # of frequency, of as many types each
RATIO = 1.25  # of two frequencies that count as alike
N_PLACES = 400  # of the text at which a noun is swapped
SWAPS = ["number", "another noun", "number, mean step", "random step"]
NUMBER, CLASS_SWAPPED = "singular - plural", "N"
LEAST_PLACES = 10
PUNCTUATION = {",", ".", ":", "``", "''", "(", ")", "-LRB-", "-RRB-"}  # none in `ptb`
DEGREES = {"comparative": ("JJR", "than"), "superlative": ("JJS", "of")}
MISSING = "NaN: too few words, or less of a step than of noise"

MEANING = {
    "direction": ("direction of the property, whitened", "1", "Eq. 14, length 1 last"),
    "step_length": ("length of the step between the halves' means", "deviation", "|d|"),
    "noise_share": ("share of its square that is noise", "1", "variance / |d|^2"),
    "n_pairs": ("pairs (type, tag) of each half", "1", "count"),
    "n_types": ("types of each half", "1", "count"),
    "log_frequency": ("mean log frequency of each half", "1", "mean of ln count"),
    "observed": ("m, and cosine with H_n", "1", "Eqs. 16, 20"),
    "estimate": ("the same without the noise of d", "1", "squares less their noise"),
    "lower": ("lower end of the 95 % interval", "1", "types resampled"),
    "upper": ("upper end of the 95 % interval", "1", "types resampled"),
    "chance_lower": ("5 % of what chance makes", "1", "quantile"),
    "chance_middle": ("what chance makes", "1", "root mean square"),
    "chance_upper": ("95 % of what chance makes", "1", "quantile"),
    "memory": ("largest singular value", "state unit / deviation", "sigma_1"),
    "selectivity": ("share of the largest", "1", "sigma_1 / sum sigma"),
    "selectivity_5": ("share of the five largest", "1", "sum_5 sigma / sum sigma"),
    "swap_step": ("length of the step, whitened", "deviation", "|Z (e' - e)|"),
    "swap_change": ("change of the state", "state unit", "|s' - s|"),
    "swap_first_order": (
        "what the gradient at the place says",
        "state unit",
        "|G (e' - e)|",
    ),
    "swap_mean_first_order": (
        "what the mean gradient of nouns says",
        "state unit",
        "|mean G (e' - e)|",
    ),
    "swap_alignment": ("cosine of the change with G (e' - e)", "1", "cosine"),
    "swap_nats": ("change of the predicted distribution", "nat", "KL(p || p')"),
    "share": ("share of the words, or of these words", "1", "n / of"),
    "share_lower": ("lower end of its 95 % interval", "1", "Wilson"),
    "share_upper": ("upper end of its 95 % interval", "1", "Wilson"),
    "share_of": ("words counted", "1", "count"),
}


def halves_of(seen, name):
    """Return the two sides of a property, in pairs (type, tag).

    Parameters
    ----------
    seen : xarray.Dataset
        Of :func:`state_gradients.paper.language.tags.read_tags`.
    name : str
        Of `tags.PROPERTIES`. A genitive and its host count once each, whatever tags
        they have.

    Returns
    -------
    state_gradients.analysis.properties.Halves
    """
    _, *sides = tags.PROPERTIES[name]
    if not any(sides):
        tokens = seen["vocabulary"].values.tolist()
        pairs = np.array(tags.genitive_pairs(tokens), str).reshape(-1, 2)
        return properties.Halves(
            *(np.isin(tokens, side).astype(int) for side in pairs.T)
        )
    has = seen["n_tagged"] > 0
    return properties.Halves(
        *(has.sel(tag=has["tag"].isin(side)).sum("tag").values for side in sides)
    )


def frequency_bins(frequency, halves, n_bins=N_BINS):
    """Return the bin of frequency of each type, (vocabulary,), from 0.

    Bins hold about as many types of the halves each, and types of one frequency are in
    one bin.
    """
    held = frequency[(halves.a + halves.b) > 0]
    edges = np.quantile(held, np.arange(1, n_bins) / n_bins)
    return np.searchsorted(edges, frequency)


def group_of(name, over):
    """Return the group of ``class_gradients`` that a property is measured by."""
    own = {"class": tags.PROPERTIES[name][0], "halves": f"{name}: either"}
    return own.get(over, over)


def steps_of(table, halves, frequency, *, seed):
    """Return the step between two halves, and those of its resamples and splits.

    Parameters
    ----------
    table : ndarray of shape (vocabulary, embedding)
        Whitened embeddings.
    halves : state_gradients.analysis.properties.Halves
    frequency : ndarray of shape (vocabulary,)
    seed : int

    Returns
    -------
    dict of str to ndarray
        ``step`` (embedding,), ``resampled`` and two of NULLS (n, embedding).
    """
    split = {"n": N_SPLITS, "seed": seed}
    bins = frequency_bins(frequency, halves)
    return {
        "step": properties.step_between(table, halves),
        "resampled": properties.resampled_steps(
            table, halves, n=N_RESAMPLES, seed=seed
        ),
        "random splits": properties.split_steps(table, halves, **split),
        "within frequency bins": properties.split_steps(
            table, halves, bins=bins, **split
        ),
    }


def measured(steps, spectrum, cosines):
    """Return the measures of a property by delay, with intervals and chance.

    Parameters
    ----------
    steps : dict
        Of :func:`steps_of`.
    spectrum : Dataset
        ``s`` (delay, component), ``vt`` (delay, component, embedding).
    cosines : ndarray of shape (n, embedding)
        Of random directions.

    Returns
    -------
    xarray.Dataset
        ``observed``, ``estimate``, ``lower``, ``upper`` of shape (delay, measure),
        ``chance_lower``, .. of shape (delay, null, measure).
    """
    size = spectrum.sizes["embedding"]
    subspaces = [n for n in SUBSPACES if n <= spectrum.sizes["component"]]
    by_chance = [properties.chance_of_cosine(n, size) for n in subspaces]

    def at_one_delay(s, vt):
        weighted = properties.weights(s, subspaces)
        own = properties.without_noise(steps["step"], steps["resampled"], vt, weighted)
        one = [properties.chance_of_m(s, size, cosines=cosines), *by_chance]
        bands = [{end: [each[end] for each in one] for end in ENDS}]
        bands += [
            properties.band(properties.measure(steps[name], vt, weighted))
            for name in NULLS[1:]
        ]
        chance = [np.stack([band[end] for band in bands]) for end in ENDS]
        return *(own[name] for name in OWN), *chance

    found = apply(
        at_one_delay,
        spectrum["s"],
        spectrum["vt"],
        inputs=["component", "component embedding"],
        outputs=["measure"] * len(OWN) + ["null measure"] * len(ENDS),
        vectorize=True,
    )
    names = [*OWN, *(f"chance_{end}" for end in ENDS)]
    labels = {"measure": ["m", *(f"H_{n}" for n in subspaces)], "null": NULLS}
    return xr.Dataset(dict(zip(names, found, strict=True)), labels)


def counted(halves, steps, frequency):
    """Return the direction of a property, and the words that it is made of."""
    step, log = steps["step"], np.log(np.maximum(frequency, 1))
    return xr.Dataset(
        {
            "direction": ("embedding", step / np.linalg.norm(step)),
            "step_length": ((), np.linalg.norm(step)),
            "noise_share": ((), properties.noise_share(step, steps["resampled"])),
            "n_pairs": ("half", [half.sum() for half in halves]),
            "n_types": ("half", [np.count_nonzero(half) for half in halves]),
            "log_frequency": ("half", [half @ log / half.sum() for half in halves]),
        },
        coords={"half": ["first", "second"]},
    )


def linear(encoder, seen, gradients, *, seed):
    """Return what linear algebra says of every property.

    Parameters
    ----------
    encoder : xarray.Dataset
        The artifact: ``embedding`` and ``count``.
    seen : xarray.Dataset
        Of :func:`state_gradients.paper.language.tags.read_tags`.
    gradients : xarray.Dataset
        The artifact ``class_gradients``.
    seed : int

    Returns
    -------
    xarray.Dataset
        As `MEANING` says, but for swaps and shares.

    Raises
    ------
    ValueError
        If no property has two pairs (type, tag) in each half.
    """
    whitening = fit_whitening(encoder["embedding"])
    table = encoder["embedding"].values.astype(np.float64) - whitening.mean
    table, frequency = table @ whitening.Z.T, encoder["count"].values
    cosines = properties.random_cosines(table.shape[1], n=N_DIRECTIONS, seed=seed)
    halves = {name: halves_of(seen, name) for name in tags.PROPERTIES}
    averaged = set(gradients["group"].values[(gradients["n_samples"] > 0).all("delay")])
    halves = {
        name: sides
        for name, sides in halves.items()
        if _are_enough(sides) and averaged >= {group_of(name, over) for over in OVER}
    }
    if not halves:
        raise ValueError(
            "properties: some property must have two pairs (type, tag) in each half "
            f"among the {len(table)} types, and its class in the text, received none; "
            "the tags are of English words in the form of the corpus `ptb`: leave "
            "`properties` out of the studies of other texts."
        )

    @functools.cache
    def spectrum(group):
        raw = gradients["state_gradient"].sel(group=group, drop=True)
        return spectra.decompose(whiten_gradient(raw, whitening))[["s", "vt"]]

    def of_words(name, sides):
        steps = steps_of(table, sides, frequency, seed=seed)
        by_gradient = [
            measured(steps, spectrum(group_of(name, over)), cosines) for over in OVER
        ]
        return xr.merge(
            [counted(sides, steps, frequency), _joined("over", OVER, by_gradient)]
        )

    def of_property(name, sides):
        alike = properties.matched(sides, frequency, ratio=RATIO, seed=seed)
        words = {"all": sides, "matched": alike}
        words = {key: each for key, each in words.items() if _are_enough(each)}
        parts = [of_words(name, each) for each in words.values()]
        curves = [spectra.memory_curve(spectrum(group_of(name, over))) for over in OVER]
        curves = _joined("over", OVER, curves).drop_vars(["total", "effective_rank"])
        return xr.merge([_joined("words", [*words], parts), curves])

    with threadpool_limits(1, "blas"):
        parts = [of_property(name, sides) for name, sides in halves.items()]
    return _joined("property", [*halves], parts).reindex(words=WORDS)


def _are_enough(halves):
    return min(half.sum() for half in halves) > 1


def _joined(dim, labels, parts):
    return xr.concat(
        parts, xr.Variable(dim, labels), join="outer", combine_attrs="drop"
    )


def swap_steps(ids, instead, embedding, whitening, number, *, seed):
    """Return how far, and where, embeddings move, {name of SWAPS: (place, embedding)}.

    Parameters
    ----------
    ids : ndarray of int, shape (place,)
        The nouns that stand there.
    instead : ndarray of int, shape (2, place)
        Of :func:`state_gradients.paper.language.swaps.choose`.
    embedding : ndarray of shape (vocabulary, embedding)
    whitening : state_gradients.analysis.whitening.Whitening
    number : ndarray of shape (place, embedding)
        The step to the mean of the other number, whitened.
    seed : int
        Of the random directions.

    Returns
    -------
    dict of str to ndarray
        To the word's other number and to another noun; along the direction of number,
        and along a random one as far.
    """
    random = np.random.default_rng(seed).normal(size=number.shape)
    random /= np.linalg.norm(random, axis=1, keepdims=True)
    random *= np.linalg.norm(number, axis=1, keepdims=True)
    to_words = embedding[instead] - embedding[ids]
    steps = [*to_words, number @ whitening.D.T, random @ whitening.D.T]
    return dict(zip(SWAPS, steps, strict=True))


def swapped(subject, seen, gradients, directions):
    """Return what changes when the number of a noun does, and when the noun does.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject
    seen, gradients : xarray.Dataset
        As of :func:`linear`.
    directions : xarray.Dataset
        What :func:`linear` returned.

    Returns
    -------
    xarray.Dataset
        The variables ``swap_..`` of `MEANING`; empty if the text has too few nouns
        whose other number is in the vocabulary.
    """
    load_keras()
    from state_gradients.engine.network import read_network
    from state_gradients.models import language_model

    ids, seed = subject.ids, subject.experiment.training.seed
    encoder, pairs = subject.encoder, swaps.number_pairs(seen)
    places, instead = swaps.choose(
        ids,
        pairs,
        encoder["count"].values,
        n=N_PLACES,
        max_delay=int(gradients["delay"].max()),
        seed=seed,
    )
    if len(places) < LEAST_PLACES or NUMBER not in directions["property"]:
        return xr.Dataset()
    model = subject.predictor
    n_layers = len(language_model.recurrent_layers(model))
    network = read_network(model, n_layers=n_layers)
    mean = gradients["state_gradient"].sel(group=CLASS_SWAPPED)
    mean = mean.transpose("delay", "state", "embedding")

    table = encoder["embedding"].values.astype(np.float64)
    whitening = fit_whitening(table)
    number = directions.sel(property=NUMBER, words="all")
    is_plural = np.isin(ids[places], pairs[:, 1])
    to_other = np.where(is_plural, 1, -1) * number["step_length"].item()
    number = to_other[:, None] * number["direction"].values
    steps = swap_steps(ids[places], instead, table, whitening, number, seed=seed)
    found = swaps.compare(model, network, ids, places, steps, mean.values)
    lengths = [np.linalg.norm(step @ whitening.Z.T, axis=1) for step in steps.values()]
    axes = "swap", "place", "delay"
    variables = {f"swap_{name}": (axes, values) for name, values in found.items()}
    tokens = encoder["vocabulary"].values.astype(str)
    coords = {
        "swap": SWAPS,
        "place": places,
        "word": ("place", tokens[ids[places]]),
        "other_number": ("place", tokens[instead[0]]),
        "other_noun": ("place", tokens[instead[1]]),
        "delay": gradients["delay"].values,
    }
    variables["swap_step"] = (("swap", "place"), np.stack(lengths))
    return xr.Dataset(variables, coords)


def _share(count):
    """Return a share, the ends of its interval, and of how many it is one."""
    n, of = map(int, count)
    if not of:
        return np.nan, np.nan, np.nan, 0
    ends = binomtest(n, of).proportion_ci(method="wilson")
    return n / of, ends.low, ends.high, of


def shares(seen, text, running):
    """Return how common words of degree are, and what follows them.

    Parameters
    ----------
    seen : xarray.Dataset
        Tags by type.
    text : state_gradients.text.vocabulary.Text
    running : list of (str, str)
        Words with their tags.

    Returns
    -------
    xarray.Dataset
        ``share``, its ends, ``share_of`` (count_by, pattern): counted by the tag that a
        word has where it stands, in tagged text, and by those that its type can have,
        in the training text, as the paper's classes are.
    """
    words = [pair for pair in running if pair[1] not in PUNCTUATION]
    spelled, at = (np.array(column) for column in zip(*words, strict=True))
    ids, tokens = text.splits["train"], np.array(text.vocabulary.tokens)
    counts = []
    for followed, is_tag in (
        (spelled, lambda tag: at == tag),
        (tokens[ids], lambda tag: tags.members(seen["n_tagged"], [tag]).values[ids]),
    ):
        for tag, next_word in DEGREES.values():
            is_one = is_tag(tag)
            n_next = np.count_nonzero(is_one[:-1] & (followed[1:] == next_word))
            counts += [(is_one.sum(), len(is_one)), (n_next, is_one.sum())]
    columns = dict(zip(SHARE, zip(*map(_share, counts), strict=True), strict=True))
    patterns = [
        name
        for degree, (_, next_word) in DEGREES.items()
        for name in (degree, f"{degree}, {next_word}")
    ]
    axes = "count_by", "pattern"
    shaped = {k: (axes, np.reshape(v, (2, -1))) for k, v in columns.items()}
    return xr.Dataset(shaped, {"count_by": ["tag", "type"], "pattern": patterns})


def study(subject):
    """Return the artifact ``properties`` of an experiment.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``properties``: `MEANING` says what its variables mean.
    """
    seen, gradients = subject.tags, subject.load("class_gradients")
    seed = subject.experiment.training.seed
    by_algebra = linear(subject.encoder, seen, gradients, seed=seed)
    by_swaps = swapped(subject, seen, gradients, by_algebra)
    of_degree = shares(seen, subject.text, subject.running_text())
    found = xr.merge([by_algebra, by_swaps, of_degree], combine_attrs="drop")
    for name, variable in found.data_vars.items():
        if variable.dtype == np.float64 and variable.ndim:
            found[name] = variable.astype(np.float32)
        found[name].attrs = about(name, meaning=MEANING)
        if np.isnan(variable.values.astype(float)).any():
            found[name].attrs["missing"] = MISSING
    return {"properties": found}
