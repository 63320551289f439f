"""Linear probes of the embeddings: Appendix 9, Table 3."""

from state_gradients.paper.claims.registry import by_ledger, not_judged

by_ledger(
    "C170",
    "N",
    "All 34 tags: 42.0 % valid, 40.8 % test.",
    "accuracy, majority rate beside it (all rows)",
    where="Table 3",
)
by_ledger(
    "C171",
    "N",
    "Nouns (NN NNS NNP NNPS): 70.8 % valid, 72.0 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C172",
    "N",
    "Verbs (6 tags, so VB included): 37.9 % valid, 39.6 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C173",
    "N",
    "Adjectives (JJ JJR JJS): 96.3 % valid, 95.9 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C174",
    "N",
    "Adverbs (RB RBR RBS): 100 % valid, 94.4 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C175",
    "N",
    "N-V-Adj-Adv-Pro: 67.8 % valid, 66.7 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C176",
    "N",
    "N-V-Adj-Adv: 67.9 % valid, 66.9 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C177",
    "N",
    "N-V-Adj: 69.3 % valid, 68.0 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C178",
    "N",
    "N-V: 78.2 % valid, 77.2 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C179",
    "N",
    "N-Adj: 84.2 % valid, 81.1 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C180",
    "N",
    "N-Adv: 94.6 % valid, 93.4 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C181",
    "N",
    "V-Adj: 82.4 % valid, 80.7 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C182",
    "N",
    "V-Adv: 94.6 % valid, 94.2 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C183",
    "N",
    "Adj-Adv: 84.4 % valid, 86.9 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C184",
    "N",
    "Singular-plural (NN+NNP, NNS+NNPS): 85.7 % valid, 88.2 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C185",
    "N",
    "Common-proper (NN+NNS, NNP+NNPS): 83.3 % valid, 82.0 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C186",
    "N",
    "Genitive-non-genitive (words in 's and their counterparts): 93.0 % valid, 89.4 %"
    " test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C187",
    "N",
    "3rd-non-3rd (VBZ, VBP): 70.5 % valid, 71.5 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C188",
    "N",
    "Present-past (VBP+VBZ, VBD): 76.4 % valid, 80.0 % test.",
    "accuracy",
    where="Table 3",
)
by_ledger(
    "C189",
    "N",
    "Present-past participle (VBG, VBN): 73.9 % valid, 79.6 % test.",
    "accuracy",
    where="Table 3",
)
not_judged(
    "C190",
    "O",
    "All tags at once is too hard: many classes, some rare.",
    "accuracy against number of classes; recall of rare tags",
    where="App 9",
)
not_judged(
    "C191",
    "O",
    "Sub-types of one class are usually easier (verbs are not).",
    "C171-C174 against C170",
    where="App 9",
)
not_judged(
    "C192",
    "O",
    "With few classes accuracy is fair.",
    "accuracy minus majority rate against number of classes",
    where="App 9",
)
not_judged(
    "C193",
    "O",
    "Noun properties are easier to classify than verb properties.",
    "means of C184-C186 and C187-C189 (minus majority rate)",
    where="App 9, 5.2.2",
)
