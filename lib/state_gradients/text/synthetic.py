r"""Generates the synthetic corpus, whose optimal predictor is known in closed form.

Cycle k is one new token x_k and then 15 copies of x_(k-1), the new token of the cycle
before; x_k is uniform over the 8 tokens that are neither x_(k-1) nor x_(k-2), the two
of the cycle before. The first cycle of a corpus draws both of its tokens. A line is
L cycles, L uniform over 5..10, and ``<eos>``; the chain of x_k runs on across lines.

Hence a line's 16 L + 1 tokens cost L times ln 8 for the new tokens and ln 6 for L, and

    PPL* = exp((E[L] ln 8 + ln 6) / (16 E[L] + 1)) = exp((7.5 ln 8 + ln 6) / 121).
"""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from state_gradients.text.vocabulary import EOS, Text, Vocabulary

RECIPE = 1  # raise it when the same seed gives other ids
TOKENS = (*"ABCDEFGHIJ", EOS)
N_TOKENS = 10  # the id of EOS
REPEATS, FEWEST, MOST = 15, 5, 10  # copies a cycle, cycles a line
LINE = (FEWEST + MOST) / 2 * (REPEATS + 1) + 1  # tokens of a line, on average
COUNT_EOS = REPEATS + 1  # the label that EOS has where cycles have 0..15
SIZES = {"train": 16_000_000, "valid": 160_000, "test": 160_000}  # at least, tokens


@dataclass(frozen=True, eq=False)
class SyntheticText:
    """A stream and its position labels.

    Attributes
    ----------
    ids : ndarray of int32, shape (time,)
        0..9 are tokens, 10 is ``<eos>``.
    count : ndarray of int8, shape (time,)
        0 at a new token, 1..15 at its cycle's copies, 16 at ``<eos>``.
    cycle : ndarray of int8, shape (time,)
        How many cycles of its line came before: 0..9, at ``<eos>`` 5..10.
    """

    ids: np.ndarray
    count: np.ndarray
    cycle: np.ndarray


def _new_tokens(n_cycles, rng):
    """Return x_0 .. x_(n-1), each preceded by the token its cycle repeats, (n, 2)."""
    before, last = (int(token) for token in rng.permutation(N_TOKENS)[:2])
    chain = [before, last]
    for rank in rng.integers(N_TOKENS - 2, size=n_cycles - 1).tolist():
        low, high = (before, last) if before < last else (last, before)
        new = rank + (rank >= low)  # the rank-th token that is not `low` ...
        new += new >= high  # ... and not `high`
        chain.append(new)
        before, last = last, new
    chain = np.array(chain, dtype=np.int32)
    return np.stack([chain[1:], chain[:-1]], axis=1)  # (cycle, new and repeated)


def generate(n_tokens, *, seed):
    """Generate whole lines until there are at least `n_tokens` tokens.

    Parameters
    ----------
    n_tokens : int
    seed : int or sequence of int
        For ``np.random.default_rng``.

    Returns
    -------
    SyntheticText

    """
    if n_tokens < 1:
        raise ValueError(
            f"generate: `n_tokens` must be at least 1, received {n_tokens}."
        )
    rng = np.random.default_rng(seed)
    most_lines = n_tokens // (FEWEST * (REPEATS + 1) + 1) + 1
    cycles = rng.integers(FEWEST, MOST + 1, size=most_lines)  # (line,)
    lengths = np.cumsum(cycles * (REPEATS + 1) + 1)  # of the lines so far
    cycles = cycles[: np.searchsorted(lengths, n_tokens) + 1]
    tokens = _new_tokens(int(cycles.sum()), rng)
    in_line = np.concatenate([np.arange(n, dtype=np.int8) for n in cycles])  # (cycle,)
    ends = np.cumsum(cycles) * (REPEATS + 1)  # where <eos> comes between the cycles
    ids = np.repeat(tokens, (1, REPEATS), axis=1).ravel()
    count = np.tile(np.arange(REPEATS + 1, dtype=np.int8), len(tokens))
    cycle = np.repeat(in_line, REPEATS + 1)
    return SyntheticText(
        np.insert(ids, ends, N_TOKENS),
        np.insert(count, ends, COUNT_EOS),
        np.insert(cycle, ends, cycles),
    )


def labels(corpus, split):
    """Return one split of the corpus with its labels, a :class:`SyntheticText`."""
    if split not in SIZES:
        raise ValueError(
            f"labels: `split` must be one of {[*SIZES]}, received {split!r}."
        )
    return generate(SIZES[split], seed=[corpus.seed, list(SIZES).index(split)])


def load(corpus):
    """Return the :class:`Text`, its splits from independent streams of the seed."""
    size, eos_at_stops = corpus.vocabulary_size, corpus.eos_at_stops
    too_small = size is not None and size < len(TOKENS)
    if too_small or corpus.repeat_eos != 1 or eos_at_stops:
        raise ValueError(
            "synthetic: `vocabulary_size` must be null or at least 11, `repeat_eos` 1 "
            f"and `eos_at_stops` false, received {size}, {corpus.repeat_eos} and "
            f"{eos_at_stops}."
        )
    splits = {split: labels(corpus, split).ids for split in SIZES}
    counts = np.bincount(splits["train"], minlength=len(TOKENS))
    return Text(Vocabulary(TOKENS, counts), splits)


def fingerprint(corpus):
    """Return a SHA-256 of what decides the ids: recipe, seed and sizes."""
    made_by = {"recipe": RECIPE, "seed": corpus.seed, "sizes": SIZES}
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()


def published_optimum():
    """Return Eqs. 24-26, where ``<eos>`` is certain: of a cycle, line and corpus."""
    # Eq. 25 takes a line of 5 cycles; Eq. 26 averages perplexities over the lengths.
    line = {n: 8.0 ** (n / (16 * n + 1)) for n in range(FEWEST, MOST + 1)}
    return {
        "cycle": 8.0 ** (1 / 16),
        "line": line[FEWEST],
        "corpus": sum(line.values()) / len(line),
    }


def ladder():
    """Return the perplexity of the optimum and of predictors that lack something.

    In the order "optimal", "no cycle count", "no exclusion", "neither".
    """
    mean = (FEWEST + MOST) / 2
    # The five chances to stop at 5..9 cycles together decide L: -ln P(L) = ln 6.
    counted = np.log(MOST - FEWEST + 1)
    # Without a count, each of the L boundaries of a line is one with rate 1 / E[L]:
    # E[L] H(1 / E[L]) = ln E[L] + (E[L] - 1) ln(E[L] / (E[L] - 1)).
    uncounted = np.log(mean) + (mean - 1) * np.log(mean / (mean - 1))
    # A new token is one of 8, or of all 10 where the two just seen are not excluded.
    excluded, included = mean * np.log(N_TOKENS - 2), mean * np.log(N_TOKENS)
    nats = {  # of a line of 16 E[L] + 1 tokens on average
        "optimal": excluded + counted,
        "no cycle count": excluded + uncounted,
        "no exclusion": included + counted,
        "neither": included + uncounted,
    }
    length = mean * (REPEATS + 1) + 1
    return {name: float(np.exp(value / length)) for name, value in nats.items()}


def optimal_perplexity():
    """Return PPL* = exp((7.5 ln 8 + ln 6) / 121) = 1.1545."""
    return ladder()["optimal"]


def ideal_log_probabilities(text, *, counts_cycles=True, excludes=True):
    """Return what the ideal predictor, or a rung below it, gives each token.

    Parameters
    ----------
    text : SyntheticText
        From the beginning of a corpus.
    counts_cycles, excludes : bool, default True
        Whether it knows how many cycles the line has had, and that a new token is
        unlike the two before it. Without the count it stops with the mean rate.

    Returns
    -------
    ndarray of float64, shape (time,)
        Natural logarithms; the perplexity is ``exp(-mean)``.
    """
    new, stop = text.count == 0, text.count == COUNT_EOS
    cycle = text.cycle.astype(int)
    # P(L = n | L >= n) = 1 / (11 - n) for n = 5..10, and 0 below.
    rate = np.where(cycle < FEWEST, 0.0, 1.0 / (MOST + 1 - cycle))
    if not counts_cycles:
        rate = np.where(cycle == 0, 0.0, 2.0 / (FEWEST + MOST))  # never an empty line
    choices = N_TOKENS - 2 if excludes else N_TOKENS
    log_p = np.zeros(text.ids.size)
    log_p[stop] = np.log(rate[stop])
    log_p[new] = np.log1p(-rate[new]) - np.log(choices)
    # Nothing precedes the first token, and only it the first copy.
    log_p[0] = -np.log(N_TOKENS)
    log_p[1] = -np.log(N_TOKENS - 1 if excludes else N_TOKENS)
    return log_p
