"""Word classes and word types: Sections 4.3.3 and 4.3.4, Figures 8 and 9."""

from state_gradients.paper.claims.registry import by_ledger, not_judged

by_ledger(
    "C125",
    "O",
    "Nouns and verbs have the largest sigma_1 at delay 0.",
    "order with intervals",
    where="Fig 8a",
)
not_judged(
    "C126",
    "O",
    "Adjectives have the third largest sigma_1 at delay 0.",
    "the same",
    where="Fig 8a",
)
not_judged(
    "C127",
    "O",
    "Adverbs and pronouns come after the adjectives.",
    "the same",
    where="Fig 8a",
)
not_judged(
    "C128",
    "O",
    "Conjunctions, prepositions and determiners have the smallest sigma_1 at delay 0.",
    "the same",
    where="Fig 8a",
)
by_ledger(
    "C129",
    "O",
    "The order of the classes at delay 49 (sum of sigma) is that at delay 0.",
    "r of the two orders, all delays",
    where="Fig 8a",
    whole=False,
)
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
