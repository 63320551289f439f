"""Targets of the exercises of Sections 4.2 to 4.3.4, and on three languages."""

import numpy as np

from state_gradients.paper.exercises.checking import Choice, Function, Value, target

SETTLED = 1.05  # times the last perplexity


@target("4.2.1")
def delay_where_readers_change_over(named):
    """Read off where readers go over from a token to its copies."""
    first, copies = (named.sel(read_as=x) for x in ("first occurrence", "copies"))
    right = int(named["delay"].values[np.argmax(copies.values > first.values)])
    return Value(
        right,
        kind="a delay, a whole number",
        hint="Follow the line of the token that was put in until the other crosses it.",
        mistakes={
            "There the copies are over. Ask where they begin to count.": right + 14,
            "There the first copy has just been read, and most are still read as what "
            "was put in.": right - 1,
        },
    )


def _ages(count):
    starts = np.flatnonzero(count == 0)
    position = np.arange(len(count))
    cycle = np.searchsorted(starts, position, side="right") - 1
    copied = starts[np.maximum(cycle - 1, 0)]
    return np.where(count > 0, position - copied, 0)


def _texts_of_cycles():
    cycle = [*range(16)]
    broken = [*cycle, *cycle, -1, *cycle, *cycle, *cycle, -1, *cycle]
    return [(np.array(cycle * 3),), (np.array(broken),)]


@target("4.2.2")
def age_of_each_copy():
    """Count how long ago the token of each copy was new."""

    def without_ends(count):
        return np.where(count > 0, 16 + count, 0)

    def own_cycle(count):
        return np.maximum(count, 0)

    return Function(
        _ages,
        _texts_of_cycles(),
        kind="a function that returns a whole number for each token",
        hint="What is copied is the new token of the cycle *before*: find the position "
        "of its start.",
        mistakes={
            "An end of line lies between some tokens and their copies, and is read, "
            "too.": without_ends,
            "A copy is of the cycle before, and not of the cycle in which it "
            "stands.": own_cycle,
        },
    )


@target("4.3.1.1")
def epochs_until_settled(perplexity):
    """Read off after which epoch a curve is near its end."""
    perplexity = np.asarray(perplexity)
    right = int(np.argmax(perplexity < SETTLED * perplexity[-1])) + 1
    return Value(
        right,
        atol=1,
        kind="a number of epochs, to within 1",
        hint="Find 5 % above the end of the validation curve on the axis; it is "
        "logarithmic, so that 5 % are equally high everywhere.",
        mistakes={"That is where training ended.": len(perplexity)},
    )


def _perplexity_of(count):
    share = count[count > 0] / count.sum()
    return np.exp(-(share * np.log(share)).sum())


@target("4.3.1.2")
def perplexity_of_frequencies():
    """Take the perplexity of a text to who knows its frequencies only."""
    trials = [(np.array([50, 30, 15, 5]),), (np.array([8, 0, 4, 4, 0]),)]

    def in_bits(count):
        share = count[count > 0] / count.sum()
        return np.exp(-(share * np.log2(share)).sum())

    def over_types(count):
        share = count[count > 0] / count.sum()
        return np.exp(-np.log(share).mean())

    def entropy(count):
        return np.log(_perplexity_of(count))

    def of_all(count):
        return float((count > 0).sum())

    return Function(
        _perplexity_of,
        trials,
        kind="a function that returns a perplexity, a number of at least 1",
        hint="Each *token* pays the surprisal of its type. A type that never occurs "
        "pays nothing.",
        mistakes={
            "The logarithm is to base 2, the power to base e: take one base.": in_bits,
            "Each type pays once in that mean; in a text it pays as often as it "
            "occurs.": over_types,
            "That is the loss, in nats; the perplexity is its exponential.": entropy,
            "That is the perplexity of who takes all types for equally likely.": of_all,
        },
    )


@target("4.3.2.1")
def delay_where_five_hold_half(share):
    """Read off where five directions hold more than half of the sum."""
    share = np.asarray(share)
    right = int(np.argmax(share > 0.5))
    return Value(
        right,
        atol=1,
        kind="a delay, to within 1",
        hint="Take the line of the five largest in the lower panel, whitened, and the "
        "level 0.5.",
    )


def _rate(forget_bias, initial_range, units):
    gate = 1 / (1 + np.exp(-forget_bias))
    return -np.log(gate + initial_range * np.sqrt(units / 3) / 4)


@target("4.3.2.2")
def rate_of_an_untrained_lstm():
    """Predict how fast an untrained LSTM forgets, from its initialisation."""
    trials = [(0.0, 0.05, 256), (1.0, 0.05, 256), (0.5, 0.1, 64)]

    def gate_alone(forget_bias, initial_range, units):
        return -np.log(1 / (1 + np.exp(-forget_bias)))

    def always_half(forget_bias, initial_range, units):
        return _rate(0.0, initial_range, units)

    def factor(forget_bias, initial_range, units):
        return np.exp(-_rate(forget_bias, initial_range, units))

    def wide(forget_bias, initial_range, units):
        gate = 1 / (1 + np.exp(-forget_bias))
        return -np.log(gate + initial_range * np.sqrt(units) / 4)

    return Function(
        _rate,
        trials,
        kind="a function that returns a rate a word, above 0",
        hint="The forget gate stands near logistic(bias) now. The feedback through the "
        "candidate stays what it was.",
        mistakes={
            "That is the forget gate alone; the state feeds back, too.": gate_alone,
            "That still has a forget gate of one half.": always_half,
            "That is by what memory is multiplied at a word; the rate is minus its "
            "logarithm.": factor,
            "A uniform number between -r and r has the variance of r squared over "
            "3.": wide,
        },
        rtol=1e-3,
    )


CLASSES = {"a": "N", "b": "V", "c": "Adj", "d": "Pro"}


@target("4.3.3.1")
def class_that_wrong_tags_change_most(memory):
    """Choose the class whose memory depends most on which tags count."""
    every, usual = memory.sel(draw="every tag"), memory.isel(draw=1)
    change = {
        letter: abs(float(np.log(usual.sel(group=name) / every.sel(group=name))))
        for letter, name in CLASSES.items()
    }
    right = max(change, key=change.get)
    wrong = {
        letter: f"Its marks lie a factor of {np.exp(change[letter]):.1f} apart. On a "
        "logarithmic axis a factor is a length: another class has a longer one."
        for letter in CLASSES
        if letter != right
    }
    return Choice(right, wrong)


def _class_mean(gradients, count, is_member):
    return np.tensordot(count * is_member, gradients, 1) / (count * is_member).sum()


@target("4.3.3.2")
def mean_gradient_of_a_class():
    """Average the mean gradients of types into that of a class."""
    rng = np.random.default_rng(0)
    gradients = rng.normal(size=(6, 4, 3))
    count = np.array([120, 3, 40, 7, 1, 15])
    is_member = np.array([True, True, False, False, True, True])

    def types_alike(gradients, count, is_member):
        return gradients[is_member].mean(axis=0)

    def of_all_tokens(gradients, count, is_member):
        return np.tensordot(count * is_member, gradients, 1) / count.sum()

    return Function(
        _class_mean,
        [(gradients, count, is_member)],
        kind="a function that returns a matrix (state, embedding)",
        hint="The mean goes over the tokens of the class: a type enters as often as it "
        "was read.",
        mistakes={
            "That gives each type one voice; the mean goes over tokens.": types_alike,
            "The divisor counts the tokens of all types, and not of the class "
            "alone.": of_all_tokens,
        },
    )


@target("4.3.4.1")
def factor_of_noise_over_ten(noise):
    """Read off by which factor ten times as many occurrences lower the noise."""
    factor = float(noise.sel(n=1) / noise.sel(n=10))
    return Value(
        factor,
        rtol=0.12,
        kind="a factor above 1",
        hint="Read a dotted line at 1 and at 10 occurrences, and divide.",
        mistakes={
            "That would be so if the mean itself, and not its variance, fell as "
            "1/n.": 10,
            "That is what is left; by which factor does it fall?": 1 / factor,
        },
    )


def _noise_memory(first, second):
    return np.linalg.norm(first - second, ord=2) / 2


@target("4.3.4.2")
def memory_of_noise():
    """Make what noise alone would give, from the means of two halves."""
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(6, 4))
    trials = [tuple(signal + rng.normal(size=(2, 6, 4)))]

    def unscaled(first, second):
        return np.linalg.norm(first - second, ord=2)

    def as_one_half(first, second):
        return np.linalg.norm(first - second, ord=2) / np.sqrt(2)

    def frobenius(first, second):
        return np.linalg.norm(first - second) / 2

    def of_mean(first, second):
        return np.linalg.norm(first + second, ord=2) / 2

    return Function(
        _noise_memory,
        trials,
        kind="a function that returns a singular value",
        hint="Each half has the variance 2 nu^2 / n. Which has their difference, and "
        "by what must it be divided to have nu^2 / n?",
        mistakes={
            "The difference varies more than the mean of all: scale it.": unscaled,
            "So it has the variance of one half, a mean over n/2.": as_one_half,
            "`np.linalg.norm` of a matrix is the Frobenius norm; ask for the largest "
            "singular value.": frobenius,
            "The sum keeps the signal; only the difference is rid of it.": of_mean,
        },
    )


@target("D.1")
def delay_from_which_icelandic_is_remembered_better(ratios, above=1.5):
    """Read off where a ratio passes 1.5 for the first time."""
    ratio = ratios["ratio"].sel(experiment="Icelandic")
    delays = ratio["delay"].values
    right = int(delays[np.argmax(ratio.values > above)])
    return Value(
        right,
        kind="a delay, a whole number",
        hint="Find 1.5 on the axis, go across to the curve, then down.",
        mistakes={
            "There it is still below.": right - 1,
            "That is where it passes 2.": int(delays[np.argmax(ratio.values > 2)]),
            "That is where it passes 1 for good.": int(
                delays[np.flatnonzero(ratio.values <= 1).max(initial=0) + 1]
            ),
        },
    )


def _outside(memory, seeds):
    return np.mean((memory < seeds.min(axis=0)) | (memory > seeds.max(axis=0)))


@target("D.2")
def share_of_delays_outside_the_seeds():
    """Count where a curve leaves the range of others."""
    rng = np.random.default_rng(0)
    trials = [(rng.normal(size=n), rng.normal(size=(3, n))) for n in (40, 25)]

    def above_only(memory, seeds):
        return np.mean(memory > seeds.max(axis=0))

    def of_all(memory, seeds):
        return np.mean((memory < seeds.min()) | (memory > seeds.max()))

    def count(memory, seeds):
        return _outside(memory, seeds) * len(memory)

    def inside(memory, seeds):
        return 1 - _outside(memory, seeds)

    def above_the_mean(memory, seeds):
        return np.mean(memory > seeds.mean(axis=0))

    return Function(
        _outside,
        trials,
        kind="a function that returns a share, between 0 and 1",
        hint="At each delay the seeds have a smallest and a largest value.",
        mistakes={
            "A curve may leave the range at its lower end, too.": above_only,
            "That is the range over all delays: take it delay by delay.": of_all,
            "That is a number of delays, and no share of them.": count,
            "That is the share inside.": inside,
            "That is the share above the mean of the seeds.": above_the_mean,
        },
    )


ENOUGH = 200  # inputs of a class in a band


def _at_like_frequency(first, second, n_first, n_second):
    both = (n_first >= ENOUGH) & (n_second >= ENOUGH)
    return np.exp(np.log(first / second)[both].mean())


@target("D.3")
def two_classes_at_like_frequency():
    """Compare two classes band by band of frequency."""
    rng = np.random.default_rng(0)
    trials = [
        (
            *np.exp(rng.normal(size=(2, n_bands))),
            *(np.roll(np.array(counts), shift) for shift in (0, 1)),
        )
        for n_bands, counts in ((4, (900, 300, 40, 200)), (5, (5, 700, 800, 250, 990)))
    ]

    def every_band(first, second, n_first, n_second):
        return np.exp(np.log(first / second).mean())

    def of_the_first(first, second, n_first, n_second):
        return np.exp(np.log(first / second)[n_first >= ENOUGH].mean())

    def arithmetic(first, second, n_first, n_second):
        both = (n_first >= ENOUGH) & (n_second >= ENOUGH)
        return (first / second)[both].mean()

    def of_means(first, second, n_first, n_second):
        both = (n_first >= ENOUGH) & (n_second >= ENOUGH)
        return first[both].mean() / second[both].mean()

    def not_banded(first, second, n_first, n_second):
        return np.average(first, weights=n_first) / np.average(second, weights=n_second)

    def upside_down(first, second, n_first, n_second):
        return 1 / _at_like_frequency(first, second, n_first, n_second)

    return Function(
        _at_like_frequency,
        trials,
        kind="a function that returns a ratio",
        hint="Which bands have 200 inputs of both? Of the ratios there, average ln.",
        mistakes={
            "Leave out the bands in which either class has fewer than 200 "
            "inputs.": every_band,
            "Both classes must have 200 inputs, not the first alone.": of_the_first,
            "That is the arithmetic mean: of 2 and 1/2 it is above 1.": arithmetic,
            "That is the ratio of means: take the ratio in each band first.": of_means,
            "That mixes the bands, each class by its own frequencies.": not_banded,
            "That is the second over the first.": upside_down,
        },
    )
