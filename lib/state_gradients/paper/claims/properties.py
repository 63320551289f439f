"""Syntactic properties: Section 5.2, Figures 10 and 11.

What is judged is `observed` of the artifact ``properties``, of the words as they are,
with gradients averaged over their class, at the delays that the paper shows.
"""

import numpy as np
from scipy.stats import spearmanr

from state_gradients.paper.claims.registry import by_ledger, claim

BASELINE = ("ptb-lstm-256",)
NUMBER, PROPER = "singular - plural", "common - proper"
GENITIVE, THIRD = "genitive - non-genitive", "3rd - non-3rd"
TENSES = "present - past", "present - past participle"
DEGREES = "base - comparative", "base - superlative"
OF_NOUNS, OF_VERBS = (NUMBER, PROPER, GENITIVE), (THIRD, *TENSES)
SHOWN = slice(0, 49)
MIDDLE, LATE = slice(1, 20), slice(30, 49)
RISE = 16  # the delay after which the paper sees cosines rise again


def _measured(artifact, measure="m"):
    """Return a measure of every property, (property, delay)."""
    found = artifact("properties").sel(words="all", over="class", measure=measure)
    return found["observed"].sel(delay=SHOWN)


def _agreement(one, other):
    """Return the mean rank correlation of two orders of the properties, over delays."""
    pairs = zip(one.T.values, other.T.values, strict=True)
    return np.mean([spearmanr(*pair)[0] for pair in pairs])


def _slope(curve):
    return np.polyfit(curve["delay"], curve, 1)[0]


def _share_lowest(measured, name):
    """Return at which share of the delays a property is the lowest."""
    return (measured.idxmin("property") == name).mean()


by_ledger(
    "C145",
    "N",
    "Genitive is best remembered at delay 0, m a little under 0.8.",
    "m(0), order",
    where="Fig 10a",
)


@claim(
    "C146",
    "S",
    "The memory of the genitive rises a little at delay 1.",
    "m(1) - m(0)",
    where="Fig 10a",
    experiments=BASELINE,
    holds_if="> 0",
)
def genitive_rises_at_first(artifact):
    """Compare m at delays 1 and 0."""
    m = _measured(artifact).sel(property=GENITIVE)
    rise = m.sel(delay=1) - m.sel(delay=0)
    return {"m(1) - m(0)": rise}, rise > 0


@claim(
    "C147",
    "S",
    "The memory of the genitive falls at middle delays and rises at long ones.",
    "sign of slopes over 1-20 and 30-49",
    where="Fig 10a",
    experiments=BASELINE,
    holds_if="first < 0 < second",
)
def genitive_falls_and_rises(artifact):
    """Fit a line to the middle and to the long delays."""
    m = _measured(artifact).sel(property=GENITIVE)
    middle, late = _slope(m.sel(delay=MIDDLE)), _slope(m.sel(delay=LATE))
    values = {"slope over delays 1-20": middle, "over 30-49": late}
    return values, middle < 0 < late


by_ledger(
    "C148",
    "O",
    "Common-proper is second at delay 0 and first at middle delays.",
    "order per delay, crossing points",
    where="Fig 10a",
    whole=False,
)


@claim(
    "C149",
    "O",
    "Number is the least remembered of the noun properties.",
    "order per delay",
    where="Fig 10a",
    experiments=BASELINE,
    holds_if="at > 90 % of the delays",
)
def number_is_lowest(artifact):
    """Count the delays at which it is the least of the three."""
    nouns = _measured(artifact).sel(property=[NUMBER, PROPER, GENITIVE])
    share = _share_lowest(nouns, NUMBER)
    return {"share of the delays": share}, share > 0.9


@claim(
    "C150",
    "S",
    "The memory of number decays gradually.",
    "r of m with delay",
    where="Fig 10a",
    experiments=BASELINE,
    holds_if="< -0.9",
)
def number_decays(artifact):
    """Rank m against the delay."""
    m = _measured(artifact).sel(property=NUMBER)
    rank = spearmanr(m["delay"], m)[0]
    return {"rank correlation": rank}, rank < -0.9


@claim(
    "C152",
    "O",
    "With H_1, genitive and common-proper are nearest, in turns.",
    "order per delay",
    where="Fig 10b",
    experiments=BASELINE,
    holds_if="third < 10 %, the others not",
)
def nearest_in_turns(artifact):
    """Count the delays at which each of the noun properties is the nearest to H_1."""
    names = {"genitive": GENITIVE, "common-proper": PROPER, "number": NUMBER}
    cosines = _measured(artifact, "H_1").sel(property=[*names.values()])
    nearest = cosines.idxmax("property")
    shares = {key: (nearest == name).mean() for key, name in names.items()}
    others = min(shares["genitive"], shares["common-proper"])
    return shares, shares["number"] < 0.1 < others


@claim(
    "C153",
    "S",
    "With H_1, number falls with delay as in m.",
    "r of cos with delay",
    where="Fig 10b",
    experiments=BASELINE,
    holds_if="< -0.5",
)
def number_leaves_the_first(artifact):
    """Rank the cosine against the delay, up to where the paper sees it rise again."""
    cosine = _measured(artifact, "H_1").sel(property=NUMBER, delay=slice(0, RISE))
    rank = spearmanr(cosine["delay"], cosine)[0]
    return {"rank correlation, delays 0-16": rank}, rank < -0.5


@claim(
    "C154",
    "S",
    "With H_1 the cosine rises again after delay 16, as sigma_1/sum does.",
    "location of minimum; correlation with sigma_1/sum",
    where="Fig 10b",
    experiments=BASELINE,
    holds_if="both > 0.5",
)
def cosine_rises_with_selectivity(artifact):
    """Rank the cosine of number, from delay 16 on, against delay and selectivity."""
    later = {"delay": slice(RISE, 49)}
    cosine = _measured(artifact, "H_1").sel(property=NUMBER).sel(later)
    share = artifact("properties")["selectivity"].sel(property=NUMBER, over="class")
    values = {
        "rank correlation with the delay": spearmanr(cosine["delay"], cosine)[0],
        "with the selectivity": spearmanr(share.sel(later), cosine)[0],
    }
    return values, min(values.values()) > 0.5


@claim(
    "C155",
    "S",
    "With H_5 the curves are smoother, in the same order.",
    "roughness (mean abs second difference), r of orders",
    where="Fig 10b",
    experiments=BASELINE,
    holds_if="first < second, third > 0.5",
)
def smoother_in_the_same_order(artifact):
    """Compare roughness, and the orders of the noun properties by delay."""
    nouns = {"property": [NUMBER, PROPER, GENITIVE]}
    five, one = (_measured(artifact, name).sel(nouns) for name in ("H_5", "H_1"))
    roughness = [np.abs(np.diff(x.values, 2, axis=1)).mean() for x in (five, one)]
    values = {"mean |second difference|, H_5": roughness[0], "H_1": roughness[1]}
    values["mean rank correlation of the orders"] = _agreement(five, one)
    return values, roughness[0] < roughness[1] and _agreement(five, one) > 0.5


by_ledger(
    "C156",
    "N",
    "At long delays five directions make up more than 90 % of the sum (noun "
    "gradients).",
    "sum_5/sum over 40-49",
    where="Fig 10b",
)


@claim(
    "C157",
    "O",
    "Where cos H_5 far exceeds cos H_1 the property is remembered though not best.",
    "cos H_5 - cos H_1, beside sqrt(5/64) and sqrt(1/64) of a random direction",
    where="5.2.2",
    experiments=BASELINE,
    holds_if="> 90 %",
)
def remembered_though_not_best(artifact):
    """Where the gap is beyond a random direction's, look whether m is beyond chance."""
    found = artifact("properties").sel(words="all", over="class", delay=SHOWN)
    five, one = (_measured(artifact, name) for name in ("H_5", "H_1"))
    by_chance = found["chance_middle"].sel(null="random directions")
    gap = by_chance.sel(measure="H_5") - by_chance.sel(measure="H_1")
    far = five - one > gap
    beyond = found["chance_upper"].sel(null="random splits", measure="m")
    share = (_measured(artifact) > beyond).where(far).mean()
    return {"share of m above 95 % of random splits": share}, share > 0.9


by_ledger(
    "C158",
    "O",
    "Verb properties have lower m than noun properties (class gradients).",
    "means at delay 0 and over delays",
    where="Fig 11a",
    whole=False,
)
by_ledger(
    "C159",
    "N",
    "With the all-words gradient, mean m(0) is 0.72 for nouns, 0.47 for verbs.",
    "the two means (the text says sigma_1, m must be meant)",
    where="5.2.2",
)
by_ledger(
    "C160",
    "O",
    "Of the verb properties, 3rd-non-3rd is remembered least.",
    "order",
    where="Fig 11a",
)


@claim(
    "C161",
    "O",
    "Present-past and present-past participle are remembered better than 3rd-non-3rd.",
    "order",
    where="Fig 11a",
    experiments=BASELINE,
    holds_if="both at > 90 % of the delays",
)
def tenses_above_the_third_person(artifact):
    """Count the delays at which each of the two lies above."""
    m = _measured(artifact)
    above = {
        name: (m.sel(property=name) > m.sel(property=THIRD)).mean() for name in TENSES
    }
    return above, min(above.values()) > 0.9


@claim(
    "C162",
    "O",
    "Cosines agree largely with m for verbs.",
    "r of orders per delay",
    where="Fig 11b",
    experiments=BASELINE,
    holds_if="> 0.5",
)
def cosines_agree_with_m(artifact):
    """Correlate the orders of the three verb properties, delay by delay."""
    verbs = {"property": [THIRD, *TENSES]}
    m = _measured(artifact).sel(verbs)
    values = {
        f"mean rank correlation, H_{n}": _agreement(
            m, _measured(artifact, f"H_{n}").sel(verbs)
        )
        for n in (1, 5)
    }
    return values, min(values.values()) > 0.5


by_ledger(
    "C164",
    "N",
    "Adjectives: m(0) 0.27 base-comparative, 0.28 base-superlative.",
    "m(0)",
    where="5.2.2",
)


@claim(
    "C165",
    "O",
    "The adjectives' degree is remembered little, both kinds almost alike.",
    "difference with interval; against random directions",
    where="5.2.2",
    experiments=BASELINE,
    holds_if="first two < third, difference < 0.1",
)
def degree_is_remembered_by_chance(artifact):
    """Compare both at delay 0 with 95 % of random directions, and with each other."""
    at_once = artifact("properties").sel(
        words="all", over="class", delay=0, measure="m"
    )
    values = {name: at_once["observed"].sel(property=name) for name in DEGREES}
    ends = at_once["chance_upper"].sel(null="random directions", property=DEGREES[0])
    differ = abs(values[DEGREES[0]] - values[DEGREES[1]])
    holds = max(values.values()) < ends and differ < 0.1
    return {**values, "95 % of random directions": ends}, holds


by_ledger(
    "C166",
    "N",
    "Adjectives: cos H_5(0) 0.34 and 0.26.",
    "cos H_5(0) (compare sqrt(5/64) = 0.28 of a random direction)",
    where="5.2.2",
)
by_ledger(
    "C167",
    "N",
    "Comparatives are 0.6 % and superlatives 0.4 % of training words.",
    "token shares in tagged text",
    where="5.2.2",
)
by_ledger(
    "C168",
    "N",
    'Of comparatives 18 % are followed by "than", of superlatives 7 % by "of".',
    "shares in tagged text",
    where="5.2.2",
)
