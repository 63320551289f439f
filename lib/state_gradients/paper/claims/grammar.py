"""What the generated language says of four explanations of the paper.

Of this language it is known what each word's properties are needed for, and until when
(`state_gradients.text.grammar`). What is judged is the artifact ``grammar``; bounds
were set from one network with agreement and one without, before the other seeds were
looked at.
"""

import numpy as np
from scipy.stats import spearmanr

from state_gradients.paper.claims.registry import claim
from state_gradients.paper.grammar.bounds import relative_memory_at_the_verb

HERE = "C003", "C151", "C163", "C169"  # the claims that this module judges
SEEDS = ("", "-seed1", "-seed3")
NETWORKS = tuple(f"grammar-lstm-64{seed}" for seed in SEEDS)
CONTROLS = tuple(f"grammar-control-lstm-64{seed}" for seed in SEEDS)
SOV = tuple(f"grammar-sov-lstm-64{seed}" for seed in SEEDS)
OFTEN = tuple(f"grammar-degrees-5x-lstm-64{seed}" for seed in SEEDS)
THIRD, TENSE = "3rd - non-3rd", "present - past"
DEGREES = "base - comparative", "base - superlative"
NEXT, LATE = 1, 8  # delays between which a property is kept, or lost
FIRST_WORDS, WHILE_NEEDED = slice(0, 3), slice(3, 8)


def over_chance(found):
    """Return m of every property over that of a random direction, (property, delay)."""
    return found["property_memory"] / found["property_chance"]


@claim(
    "C003",
    "O",
    "Properties the task does not need leave little trace in the state; needed ones "
    "do, without labels being given.",
    "relative memory of a noun's number before its verb, over that of a random "
    "direction, where verbs agree and where they do not; change of the state by a swap "
    "of number over that by a swap for another noun",
    where="3",
    experiments=NETWORKS,
    beside=CONTROLS,
    holds_if="with agreement > 1 at every distance, and > 5; without < 1 at every "
    "distance, and < 2, in every seed",
)
def what_is_needed_leaves_a_trace(artifact):
    """Compare the number of subjects where verbs need it, and where they do not."""

    def traces(found):
        m = relative_memory_at_the_verb(found)
        return m["before"] / m["chance"], found["excess"].sel(end="estimate")

    needed = traces(artifact("grammar"))
    unneeded = [traces(artifact("grammar", of=name)) for name in CONTROLS]
    values = {
        "needed, least m over chance": needed[0].min(),
        "swap over another noun": needed[1],
        "unneeded, largest m over chance": max(m.max() for m, _ in unneeded),
        "swap": max(excess for _, excess in unneeded),
    }
    least, by_swap, most, without = values.values()
    return values, least > 1 > most and by_swap > 5 and without < 2


@claim(
    "C151",
    "H",
    "Genitive and number matter only for what follows at once; proper nouns for long.",
    "rank correlation, over the six properties of nouns, verbs and adjectives that any "
    "word depends on, of how many words on the last such word stands with m at delay 8 "
    "over m at delay 1",
    where="5.2.2",
    experiments=NETWORKS,
    holds_if="> 0.5: what is needed for long is kept for long",
)
def memory_lasts_as_long_as_the_need(artifact):
    """Rank the properties by their need, and by what is left of their memory."""
    found = artifact("grammar")
    needed = found["needed_for"].dropna("property")
    needed = needed.drop_sel(property="feminine - masculine")
    m = found["property_memory"].sel(property=needed["property"])
    kept = m.sel(delay=LATE) / m.sel(delay=NEXT)
    rank = spearmanr(needed, kept)[0]
    values = {"rank correlation": rank} | {
        f"{name}, words": needed.sel(property=name)
        for name in ("genitive - non-genitive", "singular - plural", "common - proper")
    }
    return values, rank > 0.5


@claim(
    "C163",
    "H",
    "Verb number is low because English is SVO: after the verb it is no longer needed.",
    "m over that of a random direction, with the verb behind its subject and with the "
    "verb last: of a verb's number, which nothing needs behind it in either, at delays "
    "0-3, and of its tense, which later verbs need, at delays 3-8",
    where="5.2.2",
    experiments=NETWORKS,
    beside=SOV,
    holds_if="number < 1 < tense, at each of these delays, in both orders",
)
def what_no_word_needs_of_a_verb_is_not_kept(artifact):
    """Compare number and tense of verbs with random directions."""

    def number_and_tense(found):
        m = over_chance(found)
        number = m.sel(property=THIRD, delay=FIRST_WORDS).max()
        return number, m.sel(property=TENSE, delay=WHILE_NEEDED).min()

    second = number_and_tense(artifact("grammar"))
    last = [number_and_tense(artifact("grammar", of=name)) for name in SOV]
    values = {
        "verb second: number, largest": second[0],
        "tense, least": second[1],
        "verb last: number, largest": max(number for number, _ in last),
        "tense": min(tense for _, tense in last),
    }
    return values, all(number < 1 < tense for number, tense in (second, *last))


@claim(
    "C169",
    "H",
    "Too little data is why the degree is not learnt.",
    "m of the degree at delay 0 over that of a random direction, and the share of the "
    "words behind a degree (than, of) that are right, with comparatives rarer than in "
    "PTB and with five times as many",
    where="5.2.2",
    experiments=NETWORKS,
    beside=OFTEN,
    holds_if="m < 1 with few, > 1 with many, and fewer right with few",
)
def more_data_teaches_the_degree(artifact):
    """Compare what is remembered, and what is predicted, of degrees."""

    def degree(found):
        m = over_chance(found).sel(property=[*DEGREES], delay=0)
        right = found["degrees_right"].sum() / found["degrees"].sum()
        return m.max(), right

    few = degree(artifact("grammar"))
    many = [degree(artifact("grammar", of=name)) for name in OFTEN]
    values = {
        "few, m over chance": few[0],
        "right": few[1],
        "many, m over chance": np.mean([m for m, _ in many]),
        "right with many": np.mean([right for _, right in many]),
    }
    holds = few[0] < 1 < values["many, m over chance"]
    return values, holds and few[1] < values["right with many"]
