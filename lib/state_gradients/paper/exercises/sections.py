"""Targets of the exercises of Sections 1 to 4.1."""

import numpy as np

from state_gradients.paper.exercises.checking import Function, Value, target


@target("1.1")
def pairs_at_delay_3(words):
    """Count the pairs of a state and the input three words before it."""
    return Value(
        len(words) - 3,
        kind="a whole number of pairs",
        hint="Write the words in a row. Which have a word three places before them?",
        mistakes={
            "That is the number of words. The first have nothing so far back.": len(
                words
            ),
            "One too few: at delay 0 there are as many pairs as words.": len(words) - 4,
        },
    )


@target("1.2")
def first_delay_below_one_per_cent(memory):
    """Count the words until a curve is below a hundredth of where it begins."""
    memory = np.asarray(memory)
    right = int(np.argmax(memory < 0.01 * memory[0]))
    return Value(
        right,
        kind="a whole number of words",
        hint="Go down two decades from where the line begins, then across to it.",
        mistakes={
            "There it is below 0.01. Ask when it is below a hundredth of its own value "
            "at delay 0.": int(np.argmax(memory < 0.01)),
            "There it still is above a hundredth.": right - 1,
        },
    )


def _gradient_of_unit(weight, states, delay):
    slopes = 1 - states[len(states) - 1 - delay :] ** 2
    return weight**delay * np.prod(slopes)


@target("1.3")
def gradient_of_one_unit():
    """Multiply the factors of the chain rule for a single unit."""
    rng = np.random.default_rng(0)
    trials = [(0.9, rng.uniform(-0.9, 0.9, 8), delay) for delay in (3, 0, 6)]

    def without_input(weight, states, delay):
        return weight**delay * np.prod(1 - states[len(states) - delay :] ** 2)

    def weight_too_often(weight, states, delay):
        return weight * _gradient_of_unit(weight, states, delay)

    def at_rest(weight, states, delay):
        return weight**delay

    return Function(
        _gradient_of_unit,
        trials,
        kind="a function that returns the gradient, a number",
        hint="Between the input and the state stand `delay` steps with a weight, and "
        "`delay + 1` slopes.",
        mistakes={
            "One slope is missing: the unit to which the input is added has one, "
            "too.": without_input,
            "The weight stands in it once too often: the input itself does not pass "
            "through it.": weight_too_often,
            "That is the unit at rest. Away from 0, tanh is flatter than 1.": at_rest,
        },
    )


@target("2.1")
def factor_a_step(memory):
    """Read off by what a falling straight line is multiplied at each step."""
    memory = np.asarray(memory)
    factor = float(memory[-1] / memory[-2])
    return Value(
        factor,
        atol=0.04,
        kind="a factor between 0 and 1",
        hint="Take two delays ten steps apart, where the line is straight: the ratio "
        "of their memories is ten factors.",
        mistakes={
            "That is the factor of ten steps; take its tenth root.": factor**10,
            "That is by what it grows when one goes back.": 1 / factor,
        },
    )


def _five_share(recurrent, kernel, delay):
    values = np.linalg.svdvals(np.linalg.matrix_power(recurrent, delay) @ kernel)
    return values[:5].sum() / values.sum()


@target("2.2")
def share_of_five():
    """Take the share of the five largest singular values of a linear network."""
    rng = np.random.default_rng(0)
    trials = [
        (rng.normal(size=(12, 12)) / 4, rng.normal(size=(12, 8)), delay)
        for delay in (3, 0)
    ]

    def squares(recurrent, kernel, delay):
        power = np.linalg.matrix_power(recurrent, delay)
        values = np.linalg.svdvals(power @ kernel) ** 2
        return values[:5].sum() / values.sum()

    def entrywise(recurrent, kernel, delay):
        values = np.linalg.svdvals(recurrent**delay @ kernel)
        return values[:5].sum() / values.sum()

    def largest(recurrent, kernel, delay):
        power = np.linalg.matrix_power(recurrent, delay)
        values = np.linalg.svdvals(power @ kernel)
        return values[0] / values.sum()

    return Function(
        _five_share,
        trials,
        kind="a function that returns a share, between 0 and 1",
        hint="The gradient is the recurrent matrix to the power of the delay, times "
        "the kernel.",
        mistakes={
            "These are shares of the *squares* of the singular values.": squares,
            "`recurrent**delay` raises each entry by itself; a power of a matrix is "
            "`np.linalg.matrix_power`.": entrywise,
            "That is the share of the largest one alone.": largest,
        },
    )


@target("3.1")
def delay_where_half_is_lost(mean, single):
    """Read off where the mean keeps less than a share of what positions hold."""
    right = int(np.argmax(np.asarray(mean) / np.asarray(single) < 0.6))
    return Value(
        right,
        kind="a delay, a whole number",
        hint="On a logarithmic axis a constant share is a constant gap between the "
        "lines. How wide is the gap of 60 % beside a decade?",
        mistakes={
            "There the mean still keeps more.": right - 1,
            "It keeps less than that already one delay before.": right + 1,
        },
    )


def _mean_at(jacobian, at_input, delay):
    gradient = at_input
    for step in range(1, delay + 1):
        gradient = jacobian[step:] @ gradient[:-1]
    return gradient.mean(axis=0)


@target("3.2")
def mean_state_gradient_by_hand():
    """Sweep forward through a text, and average."""
    rng = np.random.default_rng(0)
    jacobian, at_input = rng.normal(size=(9, 4, 4)) / 2, rng.normal(size=(9, 4, 3))
    trials = [(jacobian, at_input, delay) for delay in (2, 0, 5)]

    def too_few(jacobian, at_input, delay):
        share = (len(at_input) - delay) / len(at_input)
        return share * _mean_at(jacobian, at_input, delay)

    def one_early(jacobian, at_input, delay):
        gradient = at_input
        for _ in range(delay):
            gradient = jacobian[: len(gradient) - 1] @ gradient[:-1]
        return gradient.mean(axis=0)

    def same_again(jacobian, at_input, delay):
        gradient = at_input
        for _ in range(delay):
            gradient = jacobian[len(jacobian) - len(gradient) :] @ gradient
        return gradient.mean(axis=0)

    return Function(
        _mean_at,
        trials,
        kind="a function that returns a matrix (state, embedding)",
        hint="At delay 0 it is the mean of `at_input`. One step on, the gradient of "
        "position t is J_t times that of position t - 1.",
        mistakes={
            "The sum is right, the divisor is not: how many positions have an input so "
            "far back?": too_few,
            "The Jacobians are those of the position before: J_t belongs to the state "
            "at t, at which the gradient arrives.": one_early,
            "The gradients stay where they were: each moves on by one position with "
            "each step.": same_again,
        },
    )


@target("4.1.1")
def axes_above_the_mean(relative):
    """Count the principal axes along which embeddings vary more than on average."""
    count = int((np.asarray(relative) > 1).sum())
    size = len(relative)
    return Value(
        count,
        atol=2,
        kind=f"a number of axes, between 1 and {size}, to within 2",
        hint="Where does the line of the trained network cross the level of 1?",
        mistakes={
            "That is the number of axes below the mean.": size - count,
            "Half of them would be above if the median were the level of 1.": size // 2,
        },
    )


def _covariance_of_text(embedding, count):
    weights = count / count.sum()
    centred = embedding - weights @ embedding
    return centred.T * weights @ centred


@target("4.1.2")
def covariance_of_running_text():
    """Weigh each type by how often it occurs, in the mean and in the covariance."""
    rng = np.random.default_rng(0)
    trials = [(rng.normal(size=(40, 3)) + 1, rng.integers(1, 200, 40))]

    def unweighted(embedding, count):
        return np.cov(embedding.T)

    def mean_of_types(embedding, count):
        weights = count / count.sum()
        centred = embedding - embedding.mean(axis=0)
        return centred.T * weights @ centred

    def second_moment(embedding, count):
        weights = count / count.sum()
        return embedding.T * weights @ embedding

    def of_counts(embedding, count):
        return _covariance_of_text(embedding, count) * count.sum()

    return Function(
        _covariance_of_text,
        trials,
        kind="a function that returns a matrix (embedding, embedding)",
        hint="Write the text out, each token as a row, and take the covariance of the "
        "rows: what does a type that occurs n times contribute?",
        mistakes={
            "That counts each type once, as the page does.": unweighted,
            "The mean that you subtract still counts each type once.": mean_of_types,
            "Nothing is subtracted: a covariance is about the mean.": second_moment,
            "The weights do not sum to 1.": of_counts,
        },
    )
