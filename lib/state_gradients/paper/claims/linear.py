"""Linear probes of the embeddings: Appendix 9, Table 3."""

from state_gradients.paper.claims.registry import by_ledger, claim

BASELINE = ("ptb-lstm-256",)
PROPERTY_ROWS = (
    *("number", "common-proper", "genitive"),
    *("third-person", "past", "participle"),
    "adjectives",  # base, comparative and superlative
)


def _test(linear):
    """Return what was measured on the test pairs, split by type."""
    return linear.sel(split="by type", part="test")


@claim(
    "C144",
    "O",
    "Every property used is linearly separable.",
    "of the seven rows of Table 3 that tell the properties apart, for words not seen "
    "in training: the lowest accuracy; how many have the lower end of its 95 % "
    "interval above the rate of the commonest class; the lowest such difference",
    where="5.2.1",
    experiments=BASELINE,
    holds_if="all seven, that is third > 0: each is above guessing (none is separable "
    "without mistakes)",
)
def every_property_is_separable(artifact):
    """Take the rows of number, common-proper, genitive, three of verbs, and degrees."""
    test = _test(artifact("linear")).sel(row=[*PROPERTY_ROWS])
    above = test["accuracy_lower"] - test["majority_rate"]
    values = {
        "lowest accuracy": test["accuracy"].min(),
        "above guessing": (above > 0).sum(),
        "lowest difference": above.min(),
    }
    return values, bool(above.min() > 0)


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


@claim(
    "C190",
    "O",
    "All tags at once is too hard: many classes, some rare.",
    "accuracy of the row all; recall of tags with fewer than 50 test pairs",
    where="App 9",
    experiments=BASELINE,
    holds_if="accuracy below 50 %, and the rare tags' recall below the others'",
)
def all_tags_are_too_hard(artifact):
    """Compare the mean recall of rare tags with that of the others."""
    linear = artifact("linear")
    accuracy = float(_test(linear)["accuracy"].sel(row="all"))
    pairs, recall = linear["tag_pairs"], linear["tag_recall"]
    rare = float(recall.where((pairs > 0) & (pairs < 50)).mean())
    frequent = float(recall.where(pairs >= 50).mean())
    values = {"accuracy": accuracy, "recall of rare tags": rare, "of others": frequent}
    return values, accuracy < 0.5 and rare < frequent


@claim(
    "C191",
    "O",
    "Sub-types of one class are usually easier (verbs are not).",
    "accuracy of nouns, verbs, adjectives and adverbs minus that of all tags; the same "
    "of guessing the commonest class",
    where="App 9",
    experiments=BASELINE,
    holds_if="positive for nouns, adjectives and adverbs, not for verbs",
)
def subtypes_are_easier(artifact):
    """Subtract the accuracy on all tags."""
    test, rows = _test(artifact("linear")), ("nouns", "verbs", "adjectives", "adverbs")
    over, guessed = (
        {
            row: float(test[name].sel(row=row) - test[name].sel(row="all"))
            for row in rows
        }
        for name in ("accuracy", "majority_rate")
    )
    easier = all(over[row] > 0 for row in rows if row != "verbs")
    values = over | {f"{row}, guessing": gain for row, gain in guessed.items()}
    return values, easier and over["verbs"] <= 0


@claim(
    "C192",
    "O",
    "With few classes accuracy is fair.",
    "of the rows of two classes: the lowest lower end of the accuracy's interval minus "
    "the rate of the commonest class",
    where="App 9",
    experiments=BASELINE,
    holds_if="> 0: every row of two classes is above guessing",
)
def few_classes_are_fair(artifact):
    """Take the rows of two classes."""
    linear = artifact("linear")
    two = _test(linear).sel(row=linear["row"][linear["n_classes"] == 2])
    above = (two["accuracy_lower"] - two["majority_rate"]).min()
    lowest = two["accuracy"].min()
    values = {"lowest accuracy": float(lowest), "lowest above": float(above)}
    return values, float(above) > 0


@claim(
    "C193",
    "O",
    "Noun properties are easier to classify than verb properties.",
    "accuracy minus the rate of the commonest class, mean over three properties each",
    where="App 9, 5.2.2",
    experiments=BASELINE,
    holds_if="nouns above verbs, in accuracy and above guessing",
)
def nouns_are_easier_than_verbs(artifact):
    """Average number, common-proper, genitive; third person, past, participle."""
    test = _test(artifact("linear"))
    sides = {
        "nouns": ["number", "common-proper", "genitive"],
        "verbs": ["third-person", "past", "participle"],
    }
    mean = {
        side: test.sel(row=rows)[["accuracy", "majority_rate"]].mean()
        for side, rows in sides.items()
    }
    accuracy = {side: float(of["accuracy"]) for side, of in mean.items()}
    above = {
        f"{side} above guessing": float(of["accuracy"] - of["majority_rate"])
        for side, of in mean.items()
    }
    holds = accuracy["nouns"] > accuracy["verbs"]
    holds &= above["nouns above guessing"] > above["verbs above guessing"]
    return accuracy | above, holds
