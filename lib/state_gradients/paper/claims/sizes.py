"""Sizes and embeddings compared: tests of what Section 4.3.2 says of Figure 6.

What rows of the ledger judge of it stands in `comparisons`.
"""

import numpy as np
import xarray as xr

from state_gradients.paper.claims import curves
from state_gradients.paper.claims.registry import claim

BASELINE = ("ptb-lstm-256",)
SIZE_128 = ("ptb-lstm-128", "ptb-lstm-128-seed1", "ptb-lstm-128-seed3")
SIZE_512 = ("ptb-lstm-512", "ptb-lstm-512-seed1", "ptb-lstm-512-seed3")
TRAINED = (*SIZE_128, *curves.SEEDS, SIZE_512[0], "ptb-lstm-256-e50")
GLOVE = (
    "GloVe vectors stand in for embeddings of the Wall Street Journal, which only the "
    "LDC distributes, and decide nothing of these"
)


@claim(
    "C105",
    "O",
    "With 128 units memory is more selective; 256 make it much less so.",
    "shares of the delays 0-49 at which 128 units are more selective than three runs "
    "of 256, and less than all three; ratio to their mean over the delays, and by how "
    "much the three differ",
    where="Fig 6a, 6",
    experiments=SIZE_128,
    beside=curves.SEEDS,
    holds_if="first = 1; it does not if second > 0, beyond what seeds differ by; "
    "undecided if it lies among the three somewhere",
)
def small_is_more_selective(artifact):
    """Count the delays at which the smaller network lies beyond all of the larger."""
    own = curves.of_run(artifact, "selectivity")
    of_256 = xr.concat(
        [curves.of_run(artifact, "selectivity", of=of) for of in curves.SEEDS], "run"
    )
    lowest, highest = of_256.min("run"), of_256.max("run")
    more, less = float((own > highest).mean()), float((own < lowest).mean())
    values = {"more selective at": more, "less at": less}
    values["ratio"] = float(np.exp(np.log(own / of_256).mean()))
    values["seeds differ by"] = float((highest / lowest).max())
    return values, False if less else (True if more == 1 else None)


@claim(
    "C106",
    "S",
    "With 512 units selectivity at first rises less quickly than with 256.",
    "slope of the selectivity a word, over delays 0-10: 512, and the range of three of "
    "256",
    where="Fig 6a",
    experiments=SIZE_512,
    beside=curves.SEEDS,
    holds_if="below all three; among them decides nothing",
)
def large_rises_less_quickly(artifact):
    """Compare the slopes over the first delays."""

    def early_slope(of=None):
        curve = curves.of_run(artifact, "selectivity", of=of)
        return curves.slope(curve.sel(delay=curves.EARLY))

    own, of_256 = early_slope(), [early_slope(of) for of in curves.SEEDS]
    values = {"slope, 512": own, "256 from": min(of_256), "to": max(of_256)}
    return values, curves.below(own, of_256)


@claim(
    "C108",
    "O",
    "More units do not simply mean less selective.",
    "share of the delays at which 512 units are more selective than three runs of 256, "
    "and at which they are less selective than all three",
    where="4.3.2",
    experiments=SIZE_512,
    beside=curves.SEEDS,
    holds_if="first ≥ 0.1 (five delays of 50); it does not if first = 0",
)
def more_units_are_not_less_selective(artifact):
    """Count where the larger network lies beyond all of the smaller ones."""
    own = curves.of_run(artifact, "selectivity")
    of_256 = np.stack(
        [curves.of_run(artifact, "selectivity", of=of) for of in curves.SEEDS]
    )
    more = float((own.values > of_256.max(axis=0)).mean())
    less = float((own.values < of_256.min(axis=0)).mean())
    values = {"more selective at": more, "less at": less}
    return values, True if more >= 0.1 else (False if more == 0 else None)


@claim(
    "C109",
    "O",
    "Selectivity and perplexity are not linearly related.",
    "squared correlation of validation perplexity with the mean selectivity over "
    "delays 0-49, of eight LSTMs on PTB: three of 128 units, four of 256, one of 512",
    where="4.3.2, 6",
    experiments=BASELINE,
    beside=tuple(name for name in TRAINED if name not in BASELINE),
    holds_if="< 0.5: a line explains less than it leaves; it does not if > 0.9",
)
def no_line_through_selectivity(artifact):
    """Correlate over all trained LSTMs on PTB."""
    selectivity = [
        float(curves.of_run(artifact, "selectivity", of=of).mean()) for of in TRAINED
    ]
    perplexity = [
        float(artifact("training", of=of)["valid_perplexity_final"]) for of in TRAINED
    ]
    r = np.corrcoef(selectivity, perplexity)[0, 1]
    values = {"r": r, "r squared": r**2}
    return values, True if r**2 < 0.5 else (False if r**2 > 0.9 else None)


@claim(
    "C111",
    "O",
    "With pre-trained embeddings memory decays more slowly.",
    "memory at delay 40 over that at 0: GloVe (in the place of embeddings of the Wall "
    "Street Journal), and its ratio to trained embeddings of 50 components",
    where="Fig 6b",
    experiments=("ptb-lstm-256-glove",),
    beside=("ptb-lstm-256-e50", *curves.SEEDS),
    holds_if="ratio above what three seeds of the baseline differ by; within it, "
    "undecided",
    stand_in=GLOVE,
)
def pretrained_decays_slowly(artifact):
    """Compare what is left at delay 40, by more than seeds do."""
    own, trained, *of_seeds = (
        curves.left(curves.of_run(artifact, of=of))
        for of in (None, "ptb-lstm-256-e50", *curves.SEEDS)
    )
    by_seed = max(of_seeds) / min(of_seeds)
    ratio = own / trained
    values = {"GloVe": own, "over trained": ratio, "seeds differ by": by_seed}
    return values, curves.larger(ratio, of_seeds)
