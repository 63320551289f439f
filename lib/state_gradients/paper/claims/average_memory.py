"""Average memory on text: Section 4.3.2, Figures 4 and 5a.

Memory is sigma_1 of the mean state gradient, selectivity its share of all singular
values; both of the cell, and whitened where nothing else is said.
"""

import numpy as np
from scipy.stats import spearmanr

from state_gradients.analysis import spectra
from state_gradients.paper.claims import curves
from state_gradients.paper.claims.registry import by_ledger, claim

BASELINE = ("ptb-lstm-256",)
UNTRAINED = "ptb-lstm-256-untrained"
PAPER = slice(0, 49)  # the delays that the paper shows
LATE = slice(40, 49)  # the ten longest of them
WHITENED = {"state_kind": "cell", "group": "all", "normalization": "whitened"}


def _curves(artifact, normalization="whitened", *, of=None):
    """Return the spectra of the cell, by delay."""
    chosen = WHITENED | {"normalization": normalization}
    return artifact("spectra", of=of).sel(chosen).sel(delay=PAPER)


@claim(
    "C078",
    "S",
    "The other singular values and their sum behave like the first.",
    "rank correlation of sigma_k and of the sum with sigma_1, over delays",
    where="4.3.2",
    experiments=BASELINE,
    holds_if="both > 0.9",
)
def singular_values_behave_alike(artifact):
    """Rank the curves of all singular values and of their sum against the first."""
    curves = _curves(artifact)
    sigmas = curves["s"].transpose("component", "delay").values
    lowest = min(spearmanr(sigma, curves["memory"])[0] for sigma in sigmas)
    of_sum = spearmanr(curves["total"], curves["memory"])[0]
    values = {"lowest rank correlation with it": lowest, "of the sum": of_sum}
    return values, min(values.values()) > 0.9


@claim(
    "C079",
    "O",
    "Whitening lowers the memory.",
    "memory, whitened over raw",
    where="Fig 4a",
    experiments=BASELINE,
    holds_if="< 1 at every delay",
)
def whitening_lowers_memory(artifact):
    """Take the ratio of the two curves."""
    whitened, raw = _curves(artifact), _curves(artifact, "raw")
    largest = (whitened["memory"] / raw["memory"]).max()
    return {"largest ratio": largest}, largest < 1


@claim(
    "C080",
    "S",
    "The trend is the same with and without whitening.",
    "rank correlation of the two curves",
    where="Fig 4a",
    experiments=BASELINE,
    holds_if="> 0.9",
)
def trend_without_whitening(artifact):
    """Rank the two curves against each other."""
    whitened, raw = _curves(artifact), _curves(artifact, "raw")
    rank = spearmanr(raw["memory"], whitened["memory"])[0]
    return {"rank correlation": rank}, rank > 0.9


@claim(
    "C081",
    "S",
    "The decay is fast, but not exponential.",
    "AIC above that of the best of three laws; R² of the exponential",
    where="Fig 4a",
    experiments=BASELINE,
    holds_if="first > 10",
)
def not_exponential(artifact):
    """Compare the exponential with a power law and a stretched exponential."""
    laws = spectra.compare_decays(_curves(artifact)["memory"])
    exponential = laws.sel(law="exponential")
    worse = exponential["aic"] - laws["aic"].min("law")
    values = {
        "AIC of the exponential above the best law's by": worse,
        "R²": exponential["r_squared"],
    }
    return values, worse > 10


@claim(
    "C082",
    "O",
    "Whitening changes the shares less than the memory.",
    "mean absolute change of the logarithm, selectivity and memory",
    where="Fig 4a",
    experiments=BASELINE,
    holds_if="first < second",
)
def shares_change_less(artifact):
    """Compare by how much whitening changes selectivity and memory."""
    whitened, raw = _curves(artifact), _curves(artifact, "raw")
    selectivity, memory = (
        np.abs(np.log(whitened[name] / raw[name])).mean()
        for name in ("selectivity", "memory")
    )
    values = {"change of the logarithm, selectivity": selectivity, "memory": memory}
    return values, selectivity < memory


@claim(
    "C083",
    "S",
    "Memory becomes more selective with the delay.",
    "rank correlation of selectivity with the delay",
    where="Fig 4a",
    experiments=BASELINE,
    holds_if="> 0.9",
)
def more_selective_with_the_delay(artifact):
    """Rank selectivity against the delay."""
    curves = _curves(artifact)
    rank = spearmanr(curves["delay"], curves["selectivity"])[0]
    return {"rank correlation": rank}, rank > 0.9


by_ledger(
    "C084",
    "O",
    "At the longest delays five directions hold nearly everything.",
    "sum_5/sum, mean over delays 40-49",
    where="Fig 4a",
)


@claim(
    "C085",
    "O",
    "Three seeds agree, in shape and in size.",
    "lowest rank correlation between two seeds' curves, and the largest ratio of two "
    "at a delay: memory, and selectivity",
    where="Fig 4b, 6",
    experiments=BASELINE,
    beside=curves.SEEDS[1:],
    holds_if="correlations > 0.9, ratios < 1.5 (a fifth of a decade)",
)
def seeds_agree(artifact):
    """Compare the curves of three seeds, at every delay."""
    values, holds = {}, True
    for what in ("memory", "selectivity"):
        of_seeds = np.stack(
            [curves.of_run(artifact, what, of=of) for of in curves.SEEDS]
        )
        rank = spearmanr(of_seeds.T).statistic.min()
        ratio = (of_seeds.max(axis=0) / of_seeds.min(axis=0)).max()
        values |= {f"{what}, correlation": rank, f"{what}, largest ratio": ratio}
        holds &= bool(rank > 0.9 and ratio < curves.ALIKE)
    return values, holds


@claim(
    "C086",
    "O",
    "At the longest delays some information remains.",
    "lowest end of an interval of the memory, delays 40-49",
    where="Fig 4b",
    experiments=BASELINE,
    holds_if="> 0",
)
def information_remains(artifact):
    """Take the lowest end of the intervals of the memory at the longest delays."""
    lower = artifact("intervals")["lower"].sel(WHITENED)
    lowest = lower.sel(quantity="memory", delay=LATE).min()
    return {"lowest end of an interval": lowest}, lowest > 0


@claim(
    "C087",
    "O",
    "Beyond twenty words one or a few properties remain.",
    "effective rank, mean over delays 20-49",
    where="Fig 4b",
    experiments=BASELINE,
    holds_if="≤ 5",
)
def few_properties_remain(artifact):
    """Average the effective rank beyond twenty words."""
    rank = _curves(artifact)["effective_rank"].sel(delay=slice(20, None)).mean()
    return {"effective rank": rank}, rank <= 5


@claim(
    "C088",
    "S",
    "With random weights the memory decays exponentially.",
    "R² of a line through the logarithm of the memory; its rate",
    where="Fig 5a",
    experiments=BASELINE,
    beside=(UNTRAINED,),
    holds_if="R² > 0.99",
)
def random_memory_is_exponential(artifact):
    """Fit a line to the logarithm of the random network's memory."""
    laws = spectra.compare_decays(_curves(artifact, of=UNTRAINED)["memory"])
    line = laws.sel(law="exponential")
    values = {"R² of the line": line["r_squared"], "rate": line["b"]}
    return values, line["r_squared"] > 0.99


@claim(
    "C089",
    "O",
    "Training makes the memory larger.",
    "memory, trained over random",
    where="Fig 5a",
    experiments=BASELINE,
    beside=(UNTRAINED,),
    holds_if="> 1 at every delay",
)
def training_enlarges_memory(artifact):
    """Take the ratio of the trained and the random memory."""
    trained, random = _curves(artifact), _curves(artifact, of=UNTRAINED)
    ratio = trained["memory"] / random["memory"]
    values = {"trained over random from": ratio.min(), "to": ratio.max()}
    return values, ratio.min() > 1


@claim(
    "C090",
    "O",
    "Training makes the decay slower.",
    "memory at delay 40 over that at 0",
    where="Fig 5a",
    experiments=BASELINE,
    beside=(UNTRAINED,),
    holds_if="first > second",
)
def training_slows_the_decay(artifact):
    """Compare what is left at delay 40."""
    trained, random = (
        memory.sel(delay=LATE.start) / memory.sel(delay=0)
        for memory in (
            _curves(artifact)["memory"],
            _curves(artifact, of=UNTRAINED)["memory"],
        )
    )
    values = {"left at delay 40, trained": trained, "random": random}
    return values, trained > random


@claim(
    "C091",
    "O",
    "Training makes the memory more selective.",
    "selectivity, trained minus random",
    where="Fig 5a",
    experiments=BASELINE,
    beside=(UNTRAINED,),
    holds_if="> 0 at every delay",
)
def training_makes_selective(artifact):
    """Take the difference of the two selectivities."""
    trained, random = _curves(artifact), _curves(artifact, of=UNTRAINED)
    gap = trained["selectivity"] - random["selectivity"]
    values = {
        "difference from": gap.min(),
        "to": gap.max(),
        "positive at a share of delays": (gap > 0).mean(),
    }
    return values, gap.min() > 0


@claim(
    "C092",
    "S",
    "With random weights selectivity rises only slowly.",
    "slope of selectivity a word",
    where="6",
    experiments=BASELINE,
    beside=(UNTRAINED,),
    holds_if="random < half of trained",
)
def random_selectivity_rises_slowly(artifact):
    """Compare the slopes of lines through the two selectivities."""
    slope = {}
    for name, of in {"random": UNTRAINED, "trained": None}.items():
        line = _curves(artifact, of=of)["selectivity"].polyfit("delay", 1)
        slope[name] = line["polyfit_coefficients"][0]
    values = {"slope a word, random": slope["random"], "trained": slope["trained"]}
    return values, slope["random"] < slope["trained"] / 2


by_ledger(
    "C093",
    "N",
    "The random memory stays on an axis marked from 1e-13 to 1e-1.",
    "sigma_1 of the random model at 49",
    where="Fig 5a axis",
)
