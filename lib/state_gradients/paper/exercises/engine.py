"""Targets of exercises on coherence, forgetting, influence, speed and the tail."""

import numpy as np

from state_gradients.paper.exercises.checking import Function, Value, target


@target("A.1")
def delay_where_a_tenth_is_left(split):
    """Read off where responses have become a tenth as long as at first."""
    relative = split["observed"] / split["observed"].isel(delay=0)
    delays = split["delay"].values
    length, whole = (
        relative.sel(quantity=name).values for name in ("mean_length", "mean_response")
    )
    return Value(
        int(delays[np.argmax(length < 0.1)]),
        kind=f"one of the delays that are drawn: {', '.join(map(str, delays))}",
        hint="A tenth is one decade below where that curve begins. Which curve is it?",
        mistakes={
            "There the *memory* has fallen below a tenth, the length of the mean.": int(
                delays[np.argmax(whole < 0.1)]
            ),
            "There it still is above a tenth.": int(
                delays[max(np.argmax(length < 0.1) - 1, 0)]
            ),
        },
    )


def _directions(responses):
    length = np.linalg.norm(responses, axis=1).mean()
    return np.linalg.norm(responses.mean(axis=0)) / length


@target("A.2")
def how_far_directions_agree():
    """Hold the length of a mean against the mean of lengths."""
    rng = np.random.default_rng(0)
    scattered = rng.normal(size=(60, 5)) * rng.exponential(size=(60, 1))
    trials = [(scattered + 0.5,), (np.abs(scattered),)]

    def coherence(responses):
        square = (responses**2).sum(axis=1).mean()
        return np.linalg.norm(responses.mean(axis=0)) / np.sqrt(square)

    def mean_cosine(responses):
        mean = responses.mean(axis=0)
        lengths = np.linalg.norm(responses, axis=1) * np.linalg.norm(mean)
        return (responses @ mean / lengths).mean()

    def of_the_whole(responses):
        return np.linalg.norm(responses.mean(axis=0)) / np.linalg.norm(responses)

    return Function(
        _directions,
        trials,
        kind="a function that returns a factor, between 0 and 1",
        hint="Two lengths: that of the mean response, and the mean over positions of "
        "the length of each.",
        mistakes={
            "That divides by the root mean square, and so is small where lengths are "
            "unequal, too.": coherence,
            "That is the mean cosine, in which short responses count as much as long "
            "ones.": mean_cosine,
            "That divides by the length of all responses as one long vector.": (
                of_the_whole
            ),
        },
    )


@target("F.1")
def delay_where_the_past_outweighs_a_word(price):
    """Read off from which delay on all words before cost more than one."""
    one, rest = price["mean"].values
    delays, outweighs = price["delay"].values, rest > one
    last_below = np.flatnonzero(~outweighs)
    right = int(delays[last_below[-1] + 1]) if last_below.size else int(delays[0])
    return Value(
        right,
        kind="a delay, a whole number",
        hint="Look for where the two curves cross, and take the first delay behind it.",
        mistakes={
            "There one word still costs more.": right - 1,
        },
    )


def _expected_loss(p, changed):
    return (p * np.log(p / changed)).sum()


@target("F.2")
def expected_loss_of_a_wrong_word():
    """Compute what a network expects to lose, in nats."""
    rng = np.random.default_rng(0)
    trials = [tuple(rng.dirichlet(np.ones(6), size=2)) for _ in range(2)]

    def other_way(p, changed):
        return _expected_loss(changed, p)

    def in_bits(p, changed):
        return (p * np.log2(p / changed)).sum()

    def not_weighted(p, changed):
        return np.log(p / changed).mean()

    def of_the_likeliest(p, changed):
        return np.log(p.max() / changed[p.argmax()])

    return Function(
        _expected_loss,
        trials,
        kind="a function that returns a number of nats, 0 or more",
        hint="At the word w the loss is ln p(w) - ln p'(w). How often does the network "
        "expect w?",
        mistakes={
            "That is the expectation by the changed distribution.": other_way,
            "These are bits.": in_bits,
            "Each word is weighed alike, and not by how often it is expected.": (
                not_weighted
            ),
            "That is the loss at one word, the likeliest.": of_the_likeliest,
        },
    )


@target("S.1")
def delay_of_the_end_of_the_sentence(words, word):
    """Count how old a word is when the first sentence ends."""
    words = list(words)
    place = words.index(word)
    right = words.index("<eos>", place) - place
    return Value(
        right,
        kind="a delay, a whole number",
        hint="Go down the column of the word to where all at once it becomes darker.",
        mistakes={
            "So many words stand between the two; the delay counts the step to the end "
            "as well.": right - 1,
            "That is one row further down.": right + 1,
        },
    )


def _kept(memory, moment):
    tokens = np.arange(moment)
    after = memory[tokens, moment - tokens]
    return np.median(after / memory[tokens, moment - tokens - 1])


@target("S.2")
def what_reading_one_word_leaves():
    """Follow a diagonal of the heat map."""
    rng = np.random.default_rng(0)
    memory = np.exp(rng.normal(size=(12, 12)))
    trials = [(memory, moment) for moment in (7, 4)]

    def along_the_row(memory, moment):
        return np.median(memory[:moment, moment] / memory[:moment, moment - 1])

    def mean(memory, moment):
        tokens = np.arange(moment)
        after = memory[tokens, moment - tokens]
        return (after / memory[tokens, moment - tokens - 1]).mean()

    def of_medians(memory, moment):
        tokens = np.arange(moment)
        after = np.median(memory[tokens, moment - tokens])
        return after / np.median(memory[tokens, moment - tokens - 1])

    def next_word(memory, moment):
        return _kept(memory, moment + 1)

    return Function(
        _kept,
        trials,
        kind="a function that returns a factor, above 0",
        hint="When the word `moment` has been read, the word t stands at the delay "
        "moment - t; just before, at one less.",
        mistakes={
            "Your words have all the same age, and so were not looked at in one "
            "moment: the delay differs from word to word.": along_the_row,
            "That is the mean.": mean,
            "Divide for each word first, then take the median.": of_medians,
            "That is the moment after.": next_word,
        },
    )


@target("E.1")
def slowest_over_engine(milliseconds):
    """Read off how many times the engine's time the slowest way takes."""
    engine, ordered = milliseconds["engine"], sorted(milliseconds.values())
    return Value(
        ordered[-1] / engine,
        rtol=0.3,
        kind="a factor, to within 30 %",
        hint="On a logarithmic axis a factor is a distance: measure that of a decade.",
        mistakes={
            "That is the second slowest.": ordered[-2] / engine,
            "These are the milliseconds of the slowest, without the engine's.": ordered[
                -1
            ],
        },
    )


def _operations(units, size, max_delay):
    return 2 * (2 * units * units) * size * (max_delay + 1)


@target("E.2")
def operations_of_one_token():
    """Count the operations of one token."""
    trials = [(256, 64, 50), (100, 30, 0), (512, 50, 99)]

    def multiplications(units, size, max_delay):
        return _operations(units, size, max_delay) / 2

    def four_kernels(units, size, max_delay):
        return 2 * _operations(units, size, max_delay)

    def one_delay_less(units, size, max_delay):
        return 2 * (2 * units * units) * size * max_delay

    def backward(units, size, max_delay):
        return 2 * (2 * units * units) * units * (max_delay + 1)

    return Function(
        _operations,
        trials,
        kind="a function that returns a number of operations",
        hint="Two H x H matrices meet a block of columns; how many columns are in "
        "flight?",
        mistakes={
            "A multiplication comes with an addition: each counts.": multiplications,
            "Four kernels are merged into two matrices, before any tangent meets "
            "them.": four_kernels,
            "Delays go from 0 to the longest, both counted.": one_delay_less,
            "These are rows going backward, one for each unit.": backward,
        },
        rtol=1e-12,  # a count
    )


@target("R.1")
def root_mean_square_over_memory(tail):
    """Read off the ratio of the two curves at the last delay."""
    last = tail["observed"].isel(delay=-1)
    ratio = float(last.sel(quantity="rms_memory") / last.sel(quantity="memory"))
    first = tail["observed"].isel(delay=0)
    return Value(
        ratio,
        rtol=0.3,
        kind="a factor above 1, to within 30 %",
        hint="On a logarithmic axis a factor is a distance: measure that of a decade.",
        mistakes={
            "That is the memory over the root mean square, the coherence.": 1 / ratio,
            "That is the factor at the other end, at delay 0.": float(
                first.sel(quantity="rms_memory") / first.sel(quantity="memory")
            ),
        },
    )


def _factor_off(law, memory):
    return np.exp(np.sqrt(np.mean(np.log(law / memory) ** 2)))


@target("R.2")
def factor_by_which_a_law_is_off():
    """Take the root mean square of a logarithm as a factor."""
    rng = np.random.default_rng(0)
    trials = [tuple(np.exp(rng.normal(size=(2, n)))) for n in (20, 7)]

    def logarithm(law, memory):
        return np.log(_factor_off(law, memory))

    def mean(law, memory):
        return np.exp(np.mean(np.log(law / memory)))

    def mean_length(law, memory):
        return np.exp(np.mean(np.abs(np.log(law / memory))))

    def of_the_ratio(law, memory):
        return np.sqrt(np.mean((law / memory) ** 2))

    def decades(law, memory):
        return np.sqrt(np.mean(np.log10(law / memory) ** 2))

    return Function(
        _factor_off,
        trials,
        kind="a function that returns a factor, 1 or more",
        hint="Take the logarithm of the ratio at each delay, then the root of the mean "
        "of the squares; what turns a logarithm back into a factor?",
        mistakes={
            "That is the logarithm of the factor.": logarithm,
            "In the mean logarithm, too much here and too little there cancel.": mean,
            "That is the mean of the logarithm's absolute value.": mean_length,
            "That is the root mean square of the ratio itself, in which too much "
            "counts for more than too little.": of_the_ratio,
            "That is the logarithm to base 10, and no factor.": decades,
        },
    )


@target("U.1")
def delay_where_a_hundredth_of_the_influence_is_left(curves):
    """Read off where the first network's influence is below a hundredth."""
    influence = curves["observed"].isel(experiment=0)
    relative = (influence / influence.isel(delay=0)).values
    delays = influence["delay"].values
    below = np.flatnonzero(relative < 0.01)
    tenth = np.flatnonzero(relative < 0.1)
    right = int(delays[below[0]])
    return Value(
        right,
        kind="a delay, a whole number",
        hint="Go down two decades from where the line begins, then across to it.",
        mistakes={
            "There a tenth is left.": int(delays[tenth[0]]),
            "There it still is above a hundredth.": right - 1,
        },
    )


def _fisher(K, p):
    mean = K @ p
    return (K * p) @ K.T - np.outer(mean, mean)


@target("U.2")
def fisher_information_of_a_softmax():
    """Write the information of a softmax about the state that it reads."""
    rng = np.random.default_rng(0)
    trials = [(rng.normal(size=(3, n)), rng.dirichlet(np.ones(n))) for n in (5, 7)]

    def second_moment(K, p):
        return (K * p) @ K.T

    def of_the_mean(K, p):
        return np.outer(K @ p, K @ p)

    def unweighted(K, p):
        return np.cov(K)

    def by_squares(K, p):
        return (K * p**2) @ K.T

    return Function(
        _fisher,
        trials,
        kind="a function that returns a matrix (units, units)",
        hint="It is the covariance of the columns of K, each as likely as its word.",
        mistakes={
            "That is E[k k']: the mean column must be taken off, for what all logits "
            "have in common changes nothing.": second_moment,
            "That is the square of the mean column; the information is how far the "
            "columns scatter about it.": of_the_mean,
            "There every word counts alike: weight them by p.": unweighted,
            "p stands once in diag p, not squared.": by_squares,
        },
    )
