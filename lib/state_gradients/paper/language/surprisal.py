"""Surprisal of the next word beside the memory of the words before, by rank.

Four comparisons, each within more than the one before (`CONTROLS`):

1. of nothing: ranks over all positions;
2. of the frequency: ranks within each octave of the predicted word's training count;
3. of the surprisal before: of 2., what is left by a regression on the ranks of that
   count and of the surprisal of the word that was read last;
4. of the word read last: the same within each type read last, given its distance from
   the beginning of its line as well.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import norm as normal

from state_gradients.analysis import ranks, uncertainty
from state_gradients.paper.language.replacements import octaves
from state_gradients.text.vocabulary import EOS

CONTROLS = "nothing", "frequency", "surprisal before", "word read last"
NULLS = "shuffled", "moved"
N_BLOCKS = 64
N_RESAMPLES = 100  # for standard errors: they know them to 7 %
N_NULL = 400  # draws of the null: their 2.5 % quantile is known to a third of itself
LEVEL = 0.95
LEAST_IN_OCTAVE = 100  # positions of an octave that is shown: 0 +- 0.1
N_TENTHS = 10


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Positions of a text with what is compared there, arrays (position, ..)."""

    surprisal: np.ndarray  # of the next word
    memory: np.ndarray  # (position, column): a state and how far back
    octave: np.ndarray  # of the next word's training count
    frequency: np.ndarray  # that count
    before: np.ndarray  # the surprisal of the word read last
    last: np.ndarray  # the id of the word read last
    begun: np.ndarray  # how many words its line has so far

    def take(self, positions):
        """Return the same at some positions only, or at some more often."""
        return Observed(**{name: one[positions] for name, one in vars(self).items()})


def observe(losses, memory, ids, tokens, counts, positions):
    """Put together what is compared at some positions of a text.

    Parameters
    ----------
    losses : ndarray of shape (time - 1,)
        Of the word after each.
    memory : ndarray of shape (time, column)
    ids : ndarray of int, shape (time,)
    tokens, counts : ndarrays of shape (vocabulary,)
    positions : ndarray of int
        Of 1..time - 2.
    """
    time = np.arange(len(ids))
    ends = np.where(tokens[ids] == EOS, time, 0)
    return Observed(
        surprisal=losses[positions].astype(float),
        memory=memory[positions].astype(float),
        octave=octaves(counts)[ids[positions + 1]],
        frequency=counts[ids[positions + 1]],
        before=losses[positions - 1].astype(float),
        last=ids[positions],
        begun=(time - np.maximum.accumulate(ends))[positions],
    )


def _sides(observed):
    """Yield for each control the two sides, (position,) and (position, column)."""

    def both(groups):
        surprisal = ranks.ranks_within(observed.surprisal, groups)
        return surprisal[:, None], ranks.ranks_within(observed.memory, groups)

    yield both(None)
    surprisal, memory = both(observed.octave)
    yield surprisal, memory
    covariates = np.stack([observed.frequency, observed.before, observed.begun], axis=1)
    covariates = ranks.ranks_within(covariates, observed.octave)
    for given, groups in ((covariates[:, :2], None), (covariates, observed.last)):
        yield tuple(
            ranks.residuals(side, given, groups) for side in (surprisal, memory)
        )


def correlations(observed):
    """Return the rank correlations of surprisal with each memory, (control, column)."""
    return np.array(
        [ranks.correlations(x[:, 0], memory) for x, memory in _sides(observed)]
    )


def intervals(observed, *, longest_delay, seed):
    """Return both ends of the correlations' intervals, each (control, column).

    They are estimates +- z standard errors, of blocks of the text drawn again; ranks
    and regressions are those of each drawn text.
    """
    n = len(observed.surprisal)
    n_blocks = max(2, min(N_BLOCKS, uncertainty.blocks_that_fit(n, longest_delay)))
    drawn = [
        correlations(observed.take(positions))
        for positions in ranks.resampled_blocks(n, n_blocks, N_RESAMPLES, seed=seed)
    ]
    half = normal.ppf((1 + LEVEL) / 2) * np.std(drawn, axis=0, ddof=1)
    estimate = correlations(observed)
    return estimate - half, estimate + half


def null_bands(observed, *, longest_delay, seed):
    """Return both ends of the correlations with memories of other positions.

    ``shuffled`` gives every position that of any other; ``moved`` gives all of them
    that of the position so many words on, in a circle, so that neighbours stay
    neighbours. Ranks and regressions are those of the text itself.

    Returns
    -------
    lower, upper : ndarray of shape (null, control, column)
    """
    n = len(observed.surprisal)
    far = min(uncertainty.BLOCK_LENGTH * (longest_delay + 1), n // 3)
    rng = np.random.default_rng(seed)
    time = np.arange(n)
    sides = [tuple(map(ranks.unit_columns, pair)) for pair in _sides(observed)]
    drawn = [
        [
            [surprisal[order, 0] @ memory for surprisal, memory in sides]
            for order in (rng.permutation(n), np.roll(time, rng.integers(far, n - far)))
        ]
        for _ in range(N_NULL)
    ]
    ends = (1 - LEVEL) / 2, (1 + LEVEL) / 2
    return tuple(np.quantile(drawn, ends, axis=0))


def by_octave(observed):
    """Return octaves with enough positions, their sizes, and their own correlations.

    Returns
    -------
    octave, n_positions : ndarray of int, shape (octave,)
    correlation : ndarray of shape (octave, column)
    """
    octave, n = np.unique(observed.octave, return_counts=True)
    shown = n >= min(LEAST_IN_OCTAVE, n.max())
    rows = []
    for one in octave[shown]:
        there = observed.take(observed.octave == one)
        rows.append(
            ranks.correlations(
                ranks.ranks_within(there.surprisal), ranks.ranks_within(there.memory)
            )
        )
    return octave[shown], n[shown], np.array(rows)


def excess_by_tenth(observed):
    """Return the mean surprisal beyond that of its octave, by tenth of the memory.

    Tenths are of each octave's own positions, so that each holds all frequencies.

    Returns
    -------
    ndarray of shape (tenth, column), in nats
        From the least memory to the most.
    """
    excess = ranks.residuals(observed.surprisal[:, None], groups=observed.octave)[:, 0]
    places = (ranks.ranks_within(observed.memory, observed.octave) + 0.5) * N_TENTHS
    tenths = np.clip(places.astype(int), 0, N_TENTHS - 1)
    table = np.empty((N_TENTHS, tenths.shape[1]))
    for k, tenth in enumerate(tenths.T):
        sums = np.bincount(tenth, excess, N_TENTHS)
        table[:, k] = sums / np.maximum(np.bincount(tenth, minlength=N_TENTHS), 1)
    return table
