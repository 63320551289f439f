"""What the conclusion, Section 6, adds to the claims before it."""

from state_gradients.paper.claims import average_memory, words
from state_gradients.paper.claims.registry import claim, not_judged


@claim(
    "C194",
    "O",
    "A trained network remembers longer and yet ever more selectively.",
    "C090 and C083",
    where="6",
    experiments=average_memory.BASELINE,
    beside=(average_memory.UNTRAINED,),
    holds_if="both hold",
)
def remembers_longer_and_more_selectively(artifact):
    """Put two claims on average memory together."""
    left, slower = average_memory.training_slows_the_decay(artifact)
    rank, selective = average_memory.more_selective_with_the_delay(artifact)
    return left | rank, bool(slower and selective)


@claim(
    "C195",
    "O",
    "Frequent words have a smaller and shorter influence.",
    "C130 and C137 together",
    where="6",
    experiments=words.BASELINE,
    holds_if="both hold",
)
def frequent_is_smaller_and_shorter(artifact):
    """Put two claims on word types together."""
    of_memory, smaller = words.rarer_is_larger(artifact)
    of_rate, shorter = words.frequent_decays_faster(artifact)
    both = {f"memory, {name}": value for name, value in of_memory.items()}
    both |= {f"rate, {name}": value for name, value in of_rate.items()}
    return both, bool(smaller and shorter)


not_judged(
    "C196",
    "O",
    "Verbs as a class are remembered as well as nouns, their syntactic properties "
    "less well.",
    "C125 and C158 together",
    where="6",
)
