"""Word classes and word types: Sections 4.3.3 and 4.3.4, Figures 8 and 9."""

from state_gradients.paper.claims.registry import by_ledger, claim, not_judged

BASELINE = ("ptb-lstm-256",)
READINGS = ("every tag", "usual tags")  # which types are of a class
LAST = 49  # the longest delay of Figure 8a


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


not_judged(
    "C130",
    "O",
    "The rarer the word in training, the larger sigma_1.",
    "r of log frequency and sigma_1(0)",
    where="4.3.4, 2",
)
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
not_judged(
    "C133",
    "S",
    "The rarer the word, the larger sigma_1: this holds at all delays.",
    "C130 per delay",
    where="4.3.4",
)
not_judged(
    "C134",
    "O",
    "The 20 types of lowest sigma_1 are function words.",
    "overlap of our lowest 20 with the named words (22 are named); share of function "
    "words",
    where="4.3.4",
)
not_judged(
    "C135",
    "O",
    "The types of highest sigma_1 are content words (five are named).",
    "share of content words among our highest 20; ranks of the five",
    where="4.3.4",
)
not_judged(
    "C136",
    "H",
    "The frequency effect is one of meaning.",
    "sigma_1 by class at equal frequency (regression on both; number of occurrences "
    "averaged over as covariate)",
    where="4.3.4",
)
not_judged(
    "C137",
    "O",
    "sigma_1 of frequent words decays faster.",
    "r of log frequency and b",
    where="4.3.4",
)
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
not_judged(
    "C142",
    "O",
    "Frequent types mostly have a large decay rate b.",
    "median b of the highest frequency bin; share with b <= 0.2",
    where="Fig 9b",
)
not_judged(
    "C143",
    "H",
    "An exponential describes one type's decay.",
    "R2 per type, AIC against power law (compare C081: the mean is not exponential)",
    where="Eq 13",
)
