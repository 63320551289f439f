"""Syntactic properties: Section 5.2, Figures 10 and 11."""

from state_gradients.paper.claims.registry import by_ledger, not_judged

not_judged(
    "C144",
    "O",
    "Every property used is linearly separable.",
    "Table 3 rows against majority rate",
    where="5.2.1",
)
by_ledger(
    "C145",
    "N",
    "Genitive is best remembered at delay 0, m a little under 0.8.",
    "m(0), order",
    where="Fig 10a",
)
not_judged(
    "C146",
    "S",
    "The memory of the genitive rises a little at delay 1.",
    "m(1) - m(0)",
    where="Fig 10a",
)
not_judged(
    "C147",
    "S",
    "The memory of the genitive falls at middle delays and rises at long ones.",
    "sign of slopes over 1-20 and 30-49",
    where="Fig 10a",
)
by_ledger(
    "C148",
    "O",
    "Common-proper is second at delay 0 and first at middle delays.",
    "order per delay, crossing points",
    where="Fig 10a",
    whole=False,
)
not_judged(
    "C149",
    "O",
    "Number is the least remembered of the noun properties.",
    "order per delay",
    where="Fig 10a",
)
not_judged(
    "C150",
    "S",
    "The memory of number decays gradually.",
    "r of m with delay",
    where="Fig 10a",
)
not_judged(
    "C151",
    "H",
    "Genitive and number matter only for what follows at once; proper nouns for long.",
    "grammar: m against the delay at which the property is last used",
    where="5.2.2",
)
not_judged(
    "C152",
    "O",
    "With H_1, genitive and common-proper are nearest, in turns.",
    "order per delay",
    where="Fig 10b",
)
not_judged(
    "C153",
    "S",
    "With H_1, number falls with delay as in m.",
    "r of cos with delay",
    where="Fig 10b",
)
not_judged(
    "C154",
    "S",
    "With H_1 the cosine rises again after delay 16, as sigma_1/sum does.",
    "location of minimum; correlation with sigma_1/sum",
    where="Fig 10b",
)
not_judged(
    "C155",
    "S",
    "With H_5 the curves are smoother, in the same order.",
    "roughness (mean abs second difference), r of orders",
    where="Fig 10b",
)
by_ledger(
    "C156",
    "N",
    "At long delays five directions make up more than 90 % of the sum (noun "
    "gradients).",
    "sum_5/sum over 40-49",
    where="Fig 10b",
)
not_judged(
    "C157",
    "O",
    "Where cos H_5 far exceeds cos H_1 the property is remembered though not best.",
    "cos H_5 - cos H_1, beside sqrt(5/64) and sqrt(1/64) of a random direction",
    where="5.2.2",
)
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
not_judged(
    "C161",
    "O",
    "Present-past and present-past participle are remembered better than 3rd-non-3rd.",
    "order",
    where="Fig 11a",
)
not_judged(
    "C162",
    "O",
    "Cosines agree largely with m for verbs.",
    "r of orders per delay",
    where="Fig 11b",
)
not_judged(
    "C163",
    "H",
    "Verb number is low because English is SVO: after the verb it is no longer needed.",
    "grammar with SOV order as control; Portuguese",
    where="5.2.2",
)
by_ledger(
    "C164",
    "N",
    "Adjectives: m(0) 0.27 base-comparative, 0.28 base-superlative.",
    "m(0)",
    where="5.2.2",
)
not_judged(
    "C165",
    "O",
    "The adjectives' degree is remembered little, both kinds almost alike.",
    "difference with interval; against random directions",
    where="5.2.2",
)
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
not_judged(
    "C169",
    "H",
    "Too little data is why the degree is not learnt.",
    "grammar with more or fewer degree patterns",
    where="5.2.2",
)
