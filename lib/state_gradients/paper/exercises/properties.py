"""Targets of the exercises of Sections 5 and 6 and of Appendices 8 and 9."""

import numpy as np

from state_gradients.paper.exercises.checking import Function, Value, target


@target("5.1.1")
def directions_until_the_property_is_held(cosines):
    """Read off how many directions hold a property to a cosine of 0.9."""
    cosines = np.asarray(cosines)
    right = int(np.argmax(cosines >= 0.9)) + 1
    return Value(
        right,
        atol=2,
        kind=f"a number of directions, between 1 and {len(cosines)}, to within 2",
        hint="Go across at the height of 0.9, from the axis to the curve, and down.",
        mistakes={
            "That is where the square of the cosine, its share, comes to 0.9.": int(
                np.argmax(cosines**2 >= 0.9)
            )
            + 1,
        },
    )


def _direction(first, second, Z):
    step = Z @ (first.mean(axis=0) - second.mean(axis=0))
    return step / np.linalg.norm(step)


@target("5.1.2")
def direction_of_two_classes():
    """Take the difference of two means, whitened and of length 1."""
    rng = np.random.default_rng(0)
    Z = np.tril(rng.normal(size=(4, 4))) + 2 * np.eye(4)
    trials = [(rng.normal(size=(30, 4)) + 1, rng.normal(size=(20, 4)), Z)]

    def as_printed(first, second, Z):
        step = first.mean(axis=0) - second.mean(axis=0)
        return Z @ (step / np.linalg.norm(step))

    def other_side(first, second, Z):
        step = (first.mean(axis=0) - second.mean(axis=0)) @ Z
        return step / np.linalg.norm(step)

    def not_scaled(first, second, Z):
        return Z @ (first.mean(axis=0) - second.mean(axis=0))

    def backwards(first, second, Z):
        return -_direction(first, second, Z)

    def raw(first, second, Z):
        return _direction(first, second, np.eye(len(Z)))

    return Function(
        _direction,
        trials,
        kind="a function that returns a vector of length 1, (embedding,)",
        hint="Average each class, subtract, whiten, and only then scale.",
        mistakes={
            "That is the formula as the paper prints it: the length is taken before Z, "
            "and the result has another.": as_printed,
            "Z stands on the left of a column: g = Z e. Yours multiplies from the "
            "other side, by the transpose.": other_side,
            "Its length is not 1.": not_scaled,
            "It points from the first class to the second.": backwards,
            "It is not whitened.": raw,
        },
    )


@target("5.2.1")
def properties_above_splits_of_like_frequency(above):
    """Count the properties that stay above splits of the same frequencies."""
    counts = np.asarray(above)  # (control, property): delays above, from 0 on
    longest = np.nanmax(counts)
    each = (counts == longest).sum(axis=1)
    return Value(
        int(each[2]),
        kind="a whole number of properties",
        hint="Which of the marks is that control's? Count those at the right edge.",
        mistakes={
            "So many have that mark anywhere but at the left edge.": int(
                (counts[2] > 0).sum()
            ),
            "That is the number of all properties.": counts.shape[1],
        },
    )


def _split(embeddings, order, n_first):
    first, second = embeddings[order[:n_first]], embeddings[order[n_first:]]
    step = first.mean(axis=0) - second.mean(axis=0)
    return step / np.linalg.norm(step)


@target("5.2.2")
def direction_of_a_random_split():
    """Deal the words of a class into two halves that mean nothing."""
    rng = np.random.default_rng(0)
    words = rng.normal(size=(40, 5)) + np.arange(5)
    trials = [(words, rng.permutation(40), n_first) for n_first in (12, 25)]

    def not_dealt(embeddings, order, n_first):
        return _split(embeddings, np.arange(len(order)), n_first)

    def against_all(embeddings, order, n_first):
        step = embeddings[order[:n_first]].mean(axis=0) - embeddings.mean(axis=0)
        return step

    def sums(embeddings, order, n_first):
        first, second = embeddings[order[:n_first]], embeddings[order[n_first:]]
        step = first.sum(axis=0) - second.sum(axis=0)
        return step / np.linalg.norm(step)

    def not_scaled(embeddings, order, n_first):
        first, second = embeddings[order[:n_first]], embeddings[order[n_first:]]
        return first.mean(axis=0) - second.mean(axis=0)

    return Function(
        _split,
        trials,
        kind="a function that returns a vector of length 1, (embedding,)",
        hint="`order[:n_first]` are the rows of one half, the rest those of the other.",
        mistakes={
            "The halves are the first rows and the last: they are those that the words "
            "came in, and need not be random.": not_dealt,
            "The mean of a half is held against that of all words, and the result has "
            "another length.": against_all,
            "Sums of halves of different sizes differ for their sizes alone.": sums,
            "Its length is not 1.": not_scaled,
        },
    )


@target("6.1")
def conclusions_with_a_refuted_claim(fates):
    """Count the conclusions behind which a claim is not supported."""
    refuted = fates[fates["fate"] == "not supported"]
    return Value(
        int(refuted["short"].nunique()),
        kind="a whole number of conclusions",
        hint="Look for triangles, and count the rungs that have one.",
        mistakes={
            "That counts claims: a rung with two of them is one conclusion.": len(
                refuted
            ),
            "That is the number of conclusions without one.": int(
                fates["short"].nunique() - refuted["short"].nunique()
            ),
        },
    )


def _probability_after(prior, if_true, if_false, n_claims):
    odds = prior / (1 - prior) * (if_true / if_false) ** n_claims
    return odds / (1 + odds)


@target("6.2")
def probability_after_claims():
    """Judge a conclusion by claims that pass independently."""
    trials = [(0.5, 0.9, 0.4, 4), (0.1, 0.8, 0.3, 2), (0.3, 0.9, 0.6, 0)]

    def odds(prior, if_true, if_false, n_claims):
        return prior / (1 - prior) * (if_true / if_false) ** n_claims

    def one_claim(prior, if_true, if_false, n_claims):
        return _probability_after(prior, if_true, if_false, 1)

    def without_prior(prior, if_true, if_false, n_claims):
        return _probability_after(0.5, if_true, if_false, n_claims)

    def of_passing(prior, if_true, if_false, n_claims):
        return if_true**n_claims

    return Function(
        _probability_after,
        trials,
        kind="a function that returns a probability, between 0 and 1",
        hint="Odds are p / (1 - p); each claim that passes multiplies them by how much "
        "likelier it passes where the conclusion is true.",
        mistakes={
            "These are the odds: turn them back into a probability.": odds,
            "That is what a single claim does.": one_claim,
            "What was believed before, `prior`, is not in it.": without_prior,
            "That is how often a true conclusion passes, and not how likely one is "
            "that has passed.": of_passing,
        },
    )


@target("8.1")
def predictors_better_than_the_published_network(ladder, test):
    """Count the rungs below the published perplexity."""
    better = sum(bool(value < test) for value in ladder.values())
    return Value(
        better,
        kind="a whole number of predictors",
        hint="Start at the published network on the test text, and count downwards.",
        mistakes={
            "The published bound is no predictor: none reaches it.": better + 1,
            "The optimum is a predictor, too: the one that lacks nothing.": better - 1,
        },
    )


def _lowest(shortest, longest):
    mean = (shortest + longest) / 2
    nats = mean * np.log(8) + np.log(longest - shortest + 1)
    return np.exp(nats / (16 * mean + 1))


@target("8.2")
def lowest_perplexity_of_other_lines():
    """Derive the optimum for lines of other lengths."""
    trials = [(5.0, 10.0), (8.0, 8.0), (1.0, 20.0)]

    def end_is_free(shortest, longest):
        mean = (shortest + longest) / 2
        return np.exp(mean * np.log(8) / (16 * mean + 1))

    def end_is_no_token(shortest, longest):
        mean = (shortest + longest) / 2
        nats = mean * np.log(8) + np.log(longest - shortest + 1)
        return np.exp(nats / (16 * mean))

    def mean_over_lines(shortest, longest):
        lengths = np.arange(shortest, longest + 1)
        nats = lengths * np.log(8) + np.log(len(lengths))
        return np.exp(nats / (16 * lengths + 1)).mean()

    def one_length_too_few(shortest, longest):
        mean = (shortest + longest) / 2
        count = max(longest - shortest, 1)
        return np.exp((mean * np.log(8) + np.log(count)) / (16 * mean + 1))

    return Function(
        _lowest,
        trials,
        kind="a function that returns a perplexity, above 1",
        hint="A line costs ln 8 for each cycle and, for its length, the logarithm of "
        "how many lengths there are; divide by its tokens.",
        mistakes={
            "The length of the line costs nothing in it. Is it certain?": end_is_free,
            "A line has one more token, its end.": end_is_no_token,
            "A mean over lines gives short lines too much weight: sum costs and tokens "
            "first.": mean_over_lines,
            "From 5 to 10 there are six lengths.": one_length_too_few,
        },
    )


@target("9.1")
def rows_that_clean_tags_make_worse(mean_accuracy):
    """Count the rows that lose where each word keeps its commonest tag alone."""
    every, commonest = np.asarray(mean_accuracy, dtype=float).T
    shown_every, shown_commonest = (
        np.round(100 * values, 1) for values in (every, commonest)
    )
    return Value(
        int((shown_commonest < shown_every).sum()),
        kind="a whole number of rows",
        hint="Compare the first two columns of the table, row by row.",
        mistakes={
            "So many rows gain.": int((shown_commonest > shown_every).sum()),
        },
    )


def _balanced(labels, guesses):
    return np.mean(
        [(guesses[labels == one] == one).mean() for one in np.unique(labels)]
    )


@target("9.2")
def balanced_accuracy():
    """Average the recall of the classes."""
    rng = np.random.default_rng(0)
    labels = rng.choice(3, size=200, p=[0.8, 0.15, 0.05])
    guesses = np.where(rng.random(200) < 0.7, labels, rng.choice(3, size=200))
    trials = [(labels, guesses), (labels, np.zeros(200, dtype=int))]

    def accuracy(labels, guesses):
        return (labels == guesses).mean()

    def precision(labels, guesses):
        classes = np.unique(guesses)
        return np.mean([(labels[guesses == one] == one).mean() for one in classes])

    def of_guessed_classes(labels, guesses):
        classes = np.unique(guesses)
        return np.mean([(guesses[labels == one] == one).mean() for one in classes])

    return Function(
        _balanced,
        trials,
        kind="a function that returns a share, between 0 and 1",
        hint="Of each class: which share of *its* members was called by its name? Then "
        "average over the classes.",
        mistakes={
            "That is the accuracy, in which a frequent class rules.": accuracy,
            "That is the precision: which share of what was *called* so is so.": (
                precision
            ),
            "A class that nobody guesses counts as well, with a recall of 0.": (
                of_guessed_classes
            ),
        },
    )
