"""What the conclusion, Section 6, adds to the claims before it."""

from state_gradients.paper.claims import average_memory, curves, properties, words
from state_gradients.paper.claims.registry import claim


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
    holds_if="both hold; undecided if one is and none fails",
)
def frequent_is_smaller_and_shorter(artifact):
    """Put two claims on word types together."""
    of_memory, smaller = words.rarer_is_larger(artifact)
    of_rate, shorter = words.frequent_decays_faster(artifact)
    both = {f"memory, {name}": value for name, value in of_memory.items()}
    both |= {f"rate, {name}": value for name, value in of_rate.items()}
    if False in (smaller, shorter):
        return both, False
    return both, True if smaller and shorter else None


@claim(
    "C196",
    "O",
    "Verbs as a class are remembered as well as nouns, their syntactic properties "
    "less well.",
    "sigma_1 at delay 0, verbs over nouns, by every and by usual tags; mean m of three "
    "properties of verbs over that of three of nouns, at delay 0 and over delays 0-49",
    where="6",
    experiments=words.BASELINE,
    holds_if="first two ≥ 0.9 (as well: less by a tenth at most), last two < 1; if a "
    "pair disagrees, undecided",
)
def verbs_but_not_their_properties(artifact):
    """Compare the class with its properties."""
    memory = artifact("classes")["memory"].sel(normalization="whitened", delay=0)
    m = artifact("properties")["observed"].sel(
        words="all", over="class", measure="m", delay=curves.PAPER
    )
    nouns, verbs = (
        m.sel(property=[*names]).mean("property")
        for names in (properties.OF_NOUNS, properties.OF_VERBS)
    )
    of_class = {
        f"class, {reading}": float(
            memory.sel(draw=reading, group="V") / memory.sel(draw=reading, group="N")
        )
        for reading in words.READINGS
    }
    of_properties = {
        "properties, delay 0": float((verbs / nouns).sel(delay=0)),
        "mean": float(verbs.mean() / nouns.mean()),
    }
    as_well = curves.both(*(ratio >= 0.9 for ratio in of_class.values()))
    less = curves.both(*(ratio < 1 for ratio in of_properties.values()))
    if False in (as_well, less):
        return of_class | of_properties, False
    return of_class | of_properties, True if as_well and less else None
