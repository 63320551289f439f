"""Targets of the exercises on the ledger, the claims, the grammar and own models."""

import math

import numpy as np

from state_gradients.paper.exercises.checking import Function, Value, target


@target("G.1")
def distance_of_the_verb(text):
    """Read off how far the verb of the page's sentence stands from its subject."""
    two = (text.attractors == 2) & (text.distance >= 7) & (text.number > 0)
    right = int(text.distance[np.flatnonzero(two)[0]])
    return Value(
        right,
        kind="a whole number of tokens",
        hint="Find the verb with two attractors in the table, then the noun that it "
        "agrees with, and count the steps.",
        mistakes={
            "Those are the tokens between the two; the verb itself is one more "
            "step.": right - 1,
            "That is its number of attractors.": 2,
        },
    )


def _attractors(number, subject, verb):
    between = number[subject + 1 : verb]
    return int(((between > 0) & (between != number[subject])).sum())


@target("G.2")
def number_of_attractors():
    """Count the words between subject and verb that show another number."""
    number = np.array([2, 0, 0, 0, 1, 2, 2, 1, 0, 1, 2])
    trials = [(number, 0, 7), (number, 4, 9), (number, 6, 10)]

    def any_noun(number, subject, verb):
        return int((number[subject + 1 : verb] > 0).sum())

    def silent_too(number, subject, verb):
        return int((number[subject + 1 : verb] != number[subject]).sum())

    def with_verb(number, subject, verb):
        between = number[subject + 1 : verb + 1]
        return int(((between > 0) & (between != number[subject])).sum())

    return Function(
        _attractors,
        trials,
        kind="a function that returns a whole number",
        hint="Of the tokens strictly between the two, count those whose number is "
        "known and another than the subject's.",
        mistakes={
            "That counts words of the subject's own number, too.": any_noun,
            "Words that show no number (0) are no attractors.": silent_too,
            "The verb itself does not stand between the two.": with_verb,
        },
    )


@target("C.1")
def claims_supported_of_the_synthetic_corpus(by_section):
    """Read a number off the bars of the claims."""
    row = by_section.sel(section="Synthetic corpus")
    return Value(
        int(row.sel(verdict="supported")),
        kind="a whole number of claims",
        hint="The legend says which colour is *supported*; the piece has its number.",
        mistakes={"That is the number of all its claims.": int(row.sum())},
    )


def _odds(chance, runs):
    return np.array([chance**runs, (1 - chance) ** runs, _mixed(chance, runs)])


def _mixed(chance, runs):
    return 1 - chance**runs - (1 - chance) ** runs


@target("C.2")
def odds_of_verdicts():
    """Give the chances of the three verdicts if each run holds by luck."""
    trials = [(0.5, 3), (0.2, 1), (0.9, 5)]

    def two_ways(chance, runs):
        return np.array([chance**runs, 1 - chance**runs, 0])

    def swapped(chance, runs):
        return np.array([chance**runs, _mixed(chance, runs), (1 - chance) ** runs])

    return Function(
        lambda chance, runs: _odds(chance, runs),
        trials,
        kind="a function that returns three probabilities: supported, not supported, "
        "undecided",
        hint="Supported: in every run. Not supported: in none. They sum to 1 with the "
        "third.",
        mistakes={
            "Not in every run is not the same as in none.": two_ways,
            "The order is: supported, not supported, undecided.": swapped,
        },
    )


@target("L.1")
def rows_within_of_perplexities(ledger):
    """Count rows of one section and verdict."""
    rows = ledger[ledger["section"] == "Perplexities"]
    within = int((rows["verdict"] == "within").sum())
    judged = int(rows["verdict"].isin(["within", "outside"]).sum())
    return Value(
        within,
        kind="a whole number of rows",
        hint="The table of verdicts by section has a row for perplexities.",
        mistakes={
            "That counts rows that cannot be judged, too.": len(rows),
            "That is how many can be judged.": judged,
        },
    )


def _standard_errors_apart(ours, published, n):
    variance = (ours * (1 - ours) + published * (1 - published)) / n
    return abs(ours - published) / math.sqrt(variance)


@target("L.2")
def standard_errors_between_two_accuracies():
    """Measure a difference of two accuracies in standard errors."""
    trials = [(0.904, 0.93, 10_000), (0.5, 0.4, 100), (0.93, 0.904, 400)]

    def of_one(ours, published, n):
        return abs(ours - published) / math.sqrt(published * (1 - published) / n)

    def signed(ours, published, n):
        apart = _standard_errors_apart(ours, published, n)
        return apart if ours > published else -apart

    def sum_of_errors(ours, published, n):
        errors = (math.sqrt(p * (1 - p) / n) for p in (ours, published))
        return abs(ours - published) / sum(errors)

    def spread(ours, published, n):
        return _standard_errors_apart(ours, published, 1)

    return Function(
        _standard_errors_apart,
        trials,
        kind="a function that returns a number of standard errors, not negative",
        hint="A proportion p of n has the variance p (1 - p) / n; variances of "
        "independent tests add up.",
        mistakes={
            "That is the error of one test alone; the published accuracy has one, "
            "too.": of_one,
            "It should not be negative: take the size of the difference.": signed,
            "Variances add up, standard errors do not.": sum_of_errors,
            "The number of tokens does not enter yet.": spread,
        },
        rtol=0.02,  # one pooled proportion in the place of two is right as well
    )


@target("I.1")
def delay_below_a_hundredth(memory):
    """Read off where a memory is below a hundredth of where it began."""
    memory = np.asarray(memory)
    right = int(np.argmax(memory < 0.01 * memory[0]))
    return Value(
        right,
        kind="a delay, a whole number",
        hint="Two decades below the start of the trained cell's line.",
        mistakes={
            "There it is below 0.01 itself, and not below a hundredth of its "
            "start.": int(np.argmax(memory < 0.01)),
            "That is a tenth.": int(np.argmax(memory < 0.1 * memory[0])),
            "There a little more is left.": right - 1,
        },
    )


def _factor(memory, first, last):
    return (memory[first] / memory[last]) ** (1 / (last - first))


@target("I.2")
def factor_a_word():
    """Take the mean factor by which memory falls from word to word."""
    rng = np.random.default_rng(0)
    memory = np.exp(-np.cumsum(rng.uniform(0.1, 1, 12)))
    trials = [(memory, 1, 5), (memory, 0, 11)]

    def mean_of_ratios(memory, first, last):
        part = memory[first : last + 1]
        return (part[:-1] / part[1:]).mean()

    def upside_down(memory, first, last):
        return 1 / _factor(memory, first, last)

    def one_too_many(memory, first, last):
        return (memory[first] / memory[last]) ** (1 / (last - first + 1))

    return Function(
        _factor,
        trials,
        kind="a function that returns a factor of at least 1",
        hint="The same factor, `last - first` times in a row, must lead from the one "
        "value to the other.",
        mistakes={
            "Factors multiply: their mean is geometric.": mean_of_ratios,
            "That is below 1: by what does it *fall*?": upside_down,
            "Between two delays there are fewer steps than delays.": one_too_many,
        },
    )
