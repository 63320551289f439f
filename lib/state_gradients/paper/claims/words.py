"""Word classes and word types: Sections 4.3.3 and 4.3.4, Figures 8 and 9."""

import numpy as np

from state_gradients.paper.claims.registry import by_ledger, claim
from state_gradients.paper.language import frequency
from state_gradients.paper.language import types as types_study

BASELINE = ("ptb-lstm-256",)
N_LISTED = 20  # types of lowest and highest memory
LEAST = 10  # occurrences of a type that is listed as one of the highest
READINGS = ("every tag", "usual tags")  # which types are of a class
LAST = 49  # the longest delay of Figure 8a
# Three times what 200 resamples leave uncertain of an interval's end: with p = 2.5 %
# and the normal density 0.058 there, sqrt(p (1 - p) / 200) / 0.058 = 0.19 standard
# errors of a correlation, each 0.06 for the 300 types of the sample.
CLEAR = 0.03
N_NEAR_0 = 2_000  # resamples where an end lies within that of 0


def _ratio(artifact, upper, lower):
    """Return the least memory of some classes over the largest of others, delay 0.

    Returns
    -------
    dict of str to float
        By the way to say which types are of a class.
    """
    memory = artifact("classes")["memory"].sel(normalization="whitened", delay=0)
    return {
        reading: float(
            memory.sel(draw=reading, group=list(upper)).min()
            / memory.sel(draw=reading, group=list(lower)).max()
        )
        for reading in READINGS
    }


def _agreed(ratios, least=1.0):
    """Return whether all ratios are above a bound, None if they disagree."""
    above = {ratio > least for ratio in ratios.values()}
    return above.pop() if len(above) == 1 else None


def _both(one, other):
    """Return the smaller of two ratios, by reading."""
    return {reading: min(one[reading], other[reading]) for reading in READINGS}


@claim(
    "C125",
    "O",
    "Nouns and verbs have the largest sigma_1 at delay 0.",
    "the lower of the two over the highest of the others, by every and by usual tags",
    where="Fig 8a",
    experiments=BASELINE,
    holds_if="> 1 both ways",
)
def nouns_and_verbs_are_largest(artifact):
    """Compare nouns and verbs with the other classes."""
    ratios = _ratio(artifact, ("N", "V"), ("Adj", "Adv", "Pro", "Conj-P", "Det"))
    return ratios, _agreed(ratios)


@claim(
    "C126",
    "O",
    "Adjectives have the third largest sigma_1 at delay 0.",
    "the smaller of two ratios: nouns, verbs over adjectives; these over the others",
    where="Fig 8a",
    experiments=BASELINE,
    holds_if="> 1 both ways",
)
def adjectives_are_third(artifact):
    """Compare adjectives with what shall be above and below them."""
    ratios = _both(
        _ratio(artifact, ("N", "V"), ("Adj",)),
        _ratio(artifact, ("Adj",), ("Adv", "Pro", "Conj-P", "Det")),
    )
    return ratios, _agreed(ratios)


@claim(
    "C127",
    "O",
    "Adverbs and pronouns come after the adjectives.",
    "the smaller of two ratios: adjectives over adverbs, pronouns; these over the rest",
    where="Fig 8a",
    experiments=BASELINE,
    holds_if="> 1 both ways",
)
def adverbs_and_pronouns_come_next(artifact):
    """Compare adverbs and pronouns with what shall be above and below them."""
    ratios = _both(
        _ratio(artifact, ("Adj",), ("Adv", "Pro")),
        _ratio(artifact, ("Adv", "Pro"), ("Conj-P", "Det")),
    )
    return ratios, _agreed(ratios)


@claim(
    "C128",
    "O",
    "Conjunctions, prepositions and determiners have the smallest sigma_1 at delay 0.",
    "the lowest of the others over the higher of the two, by every and by usual tags",
    where="Fig 8a",
    experiments=BASELINE,
    holds_if="> 1 both ways",
)
def function_words_are_smallest(artifact):
    """Compare conjunctions with prepositions, and determiners, with the others."""
    ratios = _ratio(artifact, ("N", "V", "Adj", "Adv", "Pro"), ("Conj-P", "Det"))
    return ratios, _agreed(ratios)


@claim(
    "C129",
    "O",
    "The order of the classes at delay 49 (sum of sigma) is that at delay 0.",
    "rank correlation of sum sigma at delay 49 with sigma_1 at delay 0",
    where="Fig 8a",
    experiments=BASELINE,
    holds_if="> 0.9 both ways",
)
def the_order_stays(artifact):
    """Rank the classes at the last delay against those at the first."""
    rank = artifact("classes")["order_correlation"].sel(normalization="whitened")
    at_last = {one: float(rank.sel(draw=one, delay=LAST)) for one in READINGS}
    holds = _agreed(at_last, least=0.9)
    lowest = float(rank.sel(draw="usual tags", delay=slice(0, LAST)).min())
    return at_last | {"lowest over delays, usual tags": lowest}, holds


def _have_sign(found, sign):
    """Return whether correlations have a sign, None if an interval reaches to 0.

    An interval whose end is as near to 0 as resampling knows it reaches there.
    """
    if min(sign * x["observed"].item() for x in found) <= 0:
        return False
    nearest = min(sign * x[end].item() for x in found for end in ("lower", "upper"))
    return True if nearest > CLEAR else None


@claim(
    "C130",
    "O",
    "The rarer the word in training, the larger sigma_1.",
    "rank correlation of frequency and sigma_1(0), over types: all, and at one and at "
    "equally many occurrences each",
    where="4.3.4, 2",
    experiments=BASELINE,
    holds_if=f"all below 0, and so are the intervals, by {CLEAR} at least; undecided "
    "if an interval reaches there",
)
def rarer_is_larger(artifact):
    """Correlate memory at delay 0 with frequency, as published and controlled."""
    types = artifact("types")
    of_all = frequency.all_correlations(types, delays=[0])
    one = frequency.single_correlation(types, delays=[0])
    equal = frequency.equal_correlations(types, delays=[0]).isel(n=-1)
    values = {
        "all types": of_all["observed"].item(),
        "one occurrence each": one["observed"].item(),
        f"{int(equal['n'])} each": equal["observed"].item(),
    }
    return values, _have_sign((of_all, one, equal), -1)


by_ledger(
    "C131",
    "N",
    "99 % of types seen < 10 times have sigma_1 >= 3.",
    "share",
    where="Fig 8b",
)
by_ledger(
    "C132",
    "N",
    "75 % of types seen >= 500 times have sigma_1 < 1.",
    "share",
    where="Fig 8b",
)


@claim(
    "C133",
    "S",
    "The rarer the word, the larger sigma_1: this holds at all delays.",
    "C130 per delay: the correlation nearest to 0, or above it",
    where="4.3.4",
    experiments=BASELINE,
    holds_if="below 0, at equally many occurrences the upper end of the interval too",
)
def rarer_is_larger_at_all_delays(artifact):
    """Take the largest correlation over delays, as published and controlled."""
    types = artifact("types")
    memory = types["memory"].sel(normalization="whitened")
    of_all = frequency.spearman(memory, types["frequency"]).max()
    n = frequency.most(types)
    equal = frequency.equal_correlations(types, ns=[n])
    values = {"all types": of_all, f"{n} each": equal["observed"].max()}
    return values, bool(of_all < 0 and equal["upper"].max() < 0)


@claim(
    "C134",
    "O",
    "The 20 types of lowest sigma_1 are function words.",
    "share of function words among our lowest 20, and how many of them are named (22 "
    "are)",
    where="4.3.4",
    experiments=BASELINE,
    holds_if="share >= 0.9",
)
def lowest_are_function_words(artifact):
    """Sort the types of our lowest 20 by their commonest part of speech."""
    lowest = frequency.ranked(artifact("types"), N_LISTED)
    share = (lowest["kind"] == "function").mean()
    named = lowest["word"].isin(types_study.LOWEST).sum()
    return {"share of function words": share, "named": named}, share >= 0.9


@claim(
    "C135",
    "O",
    "The types of highest sigma_1 are content words (five are named).",
    "share of content words among the highest 20 of the sampled types with ten "
    "occurrences or more, and among all of these; the highest of all types occur once, "
    "where sigma_1 is that of one position",
    where="4.3.4",
    experiments=BASELINE,
    holds_if="share >= 0.9",
)
def highest_are_content_words(artifact):
    """Sort the types of the sample's highest 20 by their commonest part of speech."""
    options = {"highest": True, "estimate": "sample", "least": LEAST}
    found = frequency.ranked(artifact("types"), None, **options)
    is_content = found["kind"] == "content"
    share, base = is_content[:N_LISTED].mean(), is_content.mean()
    return {"share of content words": share, "among all": base}, share >= 0.9


@claim(
    "C136",
    "H",
    "The frequency effect is one of meaning.",
    "what frequency explains of ln sigma_1(0) beyond the kind of word (function or "
    "content), and the reverse, at ten occurrences each",
    where="4.3.4",
    experiments=BASELINE,
    holds_if="kind explains more beyond frequency than frequency beyond kind",
)
def frequency_is_meaning(artifact):
    """Regress the logarithm of memory on both and on either alone."""
    r_squared = frequency.explained(artifact("types"))["r_squared"]
    beyond = {
        "frequency beyond kind": r_squared["both"] - r_squared["kind"],
        "kind beyond frequency": r_squared["both"] - r_squared["frequency"],
    }
    return beyond, beyond["kind beyond frequency"] > beyond["frequency beyond kind"]


@claim(
    "C137",
    "O",
    "sigma_1 of frequent words decays faster.",
    "rank correlation of frequency and rate b, over types: all, and at one and at "
    "equally many occurrences each",
    where="4.3.4",
    experiments=BASELINE,
    holds_if=f"all above 0, and so are the intervals, by {CLEAR} at least; undecided "
    "if an interval reaches there",
)
def frequent_decays_faster(artifact):
    """Correlate the rate of the exponential with frequency."""
    types = artifact("types")
    n = frequency.most(types)
    of_all, equal = (frequency.rate_correlation(types, n=k) for k in (None, n))
    one = types["sample_equal_rate"].sel(n=1)
    known = np.isfinite(one).values
    one = frequency.rank_correlation(
        one[known], types["sample_frequency"][known], n_resamples=N_NEAR_0
    )
    values = {
        "all types": of_all["observed"].item(),
        "one occurrence each": one["observed"].item(),
        "its interval from": one["lower"].item(),
        f"{n} each": equal["observed"].item(),
    }
    return values, _have_sign((of_all, one, equal), 1)


by_ledger(
    "C138",
    "N",
    'The decay rate b is 0.66 for "the".',
    "fit",
    where="Fig 9a",
)
by_ledger(
    "C139",
    "N",
    'The decay rate b is 0.11 for "congressional".',
    "fit",
    where="Fig 9a",
)
by_ledger(
    "C140",
    "N",
    'sigma_1 of "the" is zero from delay 37 on.',
    "first delay below a stated floor",
    where="4.3.4",
)
by_ledger(
    "C141",
    "N",
    "76 % of types seen < 10 times have b <= 0.2.",
    "share",
    where="Fig 9b",
)


@claim(
    "C142",
    "O",
    "Frequent types mostly have a large decay rate b.",
    "median b of the types seen 500 times or more; share of them with b <= 0.2",
    where="Fig 9b",
    experiments=BASELINE,
    holds_if="median > 0.2, share < 0.5",
)
def frequent_have_large_rates(artifact):
    """Look at the rates of the most frequent class."""
    types = artifact("types")
    is_frequent = types["frequency"] >= types_study.FREQUENCIES[-1]
    rate = types["rate"].values[is_frequent.values]
    rate = rate[np.isfinite(rate)]
    values = {"median b": np.median(rate), "share b <= 0.2": np.mean(rate <= 0.2)}
    return values, values["median b"] > 0.2 and values["share b <= 0.2"] < 0.5


@claim(
    "C143",
    "H",
    "An exponential describes one type's decay.",
    "share of types of which it has the lowest AIC of four laws; median R² of sigma_1 "
    "(compare C081: the mean is not exponential)",
    where="Eq 13",
    experiments=BASELINE,
    holds_if="share > 0.5",
)
def one_types_decay_is_exponential(artifact):
    """Compare the laws' criteria of every type."""
    types = artifact("types")
    share = frequency.best_laws(types["aic"])["exponential"]
    median = np.nanmedian(types["r_squared"])
    return {"share": share, "median R²": median}, share > 0.5
