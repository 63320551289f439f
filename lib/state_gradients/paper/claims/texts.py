"""Texts compared: tests of what Sections 4.3.2 and 6 say of Figure 7.

What rows of the ledger judge of it stands in `comparisons`. PTB, WikiText-2 and
WikiText-103 are compared at 512 units, as in Figure 7a.
"""

import numpy as np

from state_gradients.paper.claims import curves
from state_gradients.paper.claims.registry import claim

PTB, WIKI_2, WIKI_103 = (
    "ptb-lstm-512",
    "wikitext-2-lstm-512",
    "wikitext-103-lstm-512",
)
SMALL = {PTB: "ptb-lstm-256", WIKI_2: "wikitext-2-lstm-256"}  # with 256 units


@claim(
    "C114",
    "O",
    "PTB and WikiText-2 have close memories at short delays.",
    "the larger over the smaller memory, largest over delays 0-10",
    where="Fig 7a",
    experiments=(WIKI_2,),
    beside=(PTB,),
    holds_if="≤ 1.5, a fifth of a decade on the figure's axis",
)
def close_at_short_delays(artifact):
    """Take the ratio of two memories."""
    ratio = curves.of_run(artifact) / curves.of_run(artifact, of=PTB)
    apart = np.exp(np.abs(np.log(ratio.sel(delay=curves.EARLY))).max())
    return {"largest ratio": apart}, apart <= curves.ALIKE


@claim(
    "C116",
    "O",
    "In selectivity WikiText-2 is nearer to PTB than to WikiText-103.",
    "mean |difference| of the logarithms of two selectivities, delays 0-49",
    where="Fig 7a",
    experiments=(WIKI_2,),
    beside=(PTB, WIKI_103, *curves.SEEDS),
    holds_if="first < second by more than seeds of the baseline are apart; by less, "
    "undecided",
)
def nearer_to_ptb(artifact):
    """Compare two distances, and how far apart seeds are."""
    own, ptb, large, *seeds = (
        curves.of_run(artifact, "selectivity", of=of)
        for of in (None, PTB, WIKI_103, *curves.SEEDS)
    )
    to_ptb, to_large = curves.distance(own, ptb), curves.distance(own, large)
    by_seed = curves.farthest(seeds)
    values = {"to PTB": to_ptb, "to WikiText-103": to_large, "of seeds": by_seed}
    return values, curves.below(to_ptb - to_large, [-by_seed, by_seed])


@claim(
    "C117",
    "O",
    "On WikiText-103 memory decays fastest.",
    "fall of the logarithm of the memory, a word, over delays 0-49",
    where="Fig 7a",
    experiments=(WIKI_103,),
    beside=(PTB, WIKI_2, *curves.SEEDS),
    holds_if="above both others by a larger factor than seeds of the baseline differ "
    "by; by a smaller one, undecided",
)
def large_text_decays_fastest(artifact):
    """Compare the slopes of three logarithms."""
    own, ptb, wiki, *seeds = (
        curves.rate(curves.of_run(artifact, of=of))
        for of in (None, PTB, WIKI_2, *curves.SEEDS)
    )
    values = {"WikiText-103": own, "WikiText-2": wiki, "PTB": ptb}
    return values, curves.larger(own / max(ptb, wiki), seeds)


@claim(
    "C119",
    "S",
    "On WikiText-103 selectivity stops rising near delay 10, then falls.",
    "delay of the largest selectivity; mean over delays 40-49 over the largest",
    where="Fig 7a",
    experiments=(WIKI_103,),
    holds_if="first from 5 to 15, second < 0.9: falls by a tenth at least",
)
def selectivity_turns(artifact):
    """Look for the maximum, and what is left of it."""
    curve = curves.of_run(artifact, "selectivity")
    at = float(curve.idxmax("delay"))
    kept = float(curve.sel(delay=curves.LATE).mean() / curve.max())
    return {"largest at delay": at, "left of it": kept}, 5 <= at <= 15 and kept < 0.9


@claim(
    "C120",
    "H",
    "It does, because sigma_1 falls faster there than the sum.",
    "fall of the logarithms of sigma_1 and of the sum, a word, over delays 0-10, as "
    "the paper gives it; and over 10-49, where the selectivity is said to fall",
    where="4.3.2",
    experiments=(WIKI_103,),
    holds_if="sigma_1 faster over 0-10 and over 10-49; of the second alone the fall "
    "follows, but not from what happens at short delays",
)
def memory_falls_faster_than_the_sum(artifact):
    """Compare the slopes of the logarithms before and after delay 10."""
    memory, total = (curves.of_run(artifact, name) for name in ("memory", "total"))
    over = {"0-10": curves.EARLY, "10-49": slice(curves.EARLY.stop, curves.PAPER.stop)}
    faster = {
        f"sigma_1 faster over {delays}": curves.rate(memory, where)
        - curves.rate(total, where)
        for delays, where in over.items()
    }
    return faster, min(faster.values()) > 0


@claim(
    "C121",
    "O",
    "Size of data drives selectivity, type of data drives memory; WikiText models "
    "remember longer.",
    "mean |difference| of the logarithms over delays 0-49, by size (WikiText-103 and "
    "-2) and by type (WikiText-2 and PTB); memory of either over PTB's, geometric mean "
    "over delays 30-49",
    where="6",
    experiments=(WIKI_103,),
    beside=(PTB, WIKI_2),
    holds_if="selectivity: size > type; memory: type > size; both memories over PTB's "
    "> 1",
)
def size_and_type_drive(artifact):
    """Compare the effects of size and type on both curves."""
    names = {"WikiText-103": None, "WikiText-2": WIKI_2, "PTB": PTB}
    effects, longer = {}, {}
    for what in ("selectivity", "memory"):
        of = {k: curves.of_run(artifact, what, of=v) for k, v in names.items()}
        effects[what, "size"] = curves.distance(of["WikiText-103"], of["WikiText-2"])
        effects[what, "type"] = curves.distance(of["WikiText-2"], of["PTB"])
    for name in ("WikiText-103", "WikiText-2"):  # `of` holds the memories
        ratio = (of[name] / of["PTB"]).sel(delay=curves.LONG)
        longer[name] = float(np.exp(np.log(ratio).mean()))
    values = {f"{what}, {by}": effect for (what, by), effect in effects.items()}
    values |= {f"memory over PTB's, {name}": ratio for name, ratio in longer.items()}
    holds = effects["selectivity", "size"] > effects["selectivity", "type"]
    holds &= effects["memory", "type"] > effects["memory", "size"]
    return values, holds and min(longer.values()) > 1


@claim(
    "C123",
    "S",
    "On WikiText-2 the selectivity of 512 units keeps rising, that of 256 goes flat.",
    "slope of the selectivity a word, over delays 30-49",
    where="Fig 7b",
    experiments=(WIKI_2,),
    beside=(SMALL[WIKI_2],),
    holds_if="512: > 0; 256: less than half as steep, up or down",
)
def large_keeps_rising(artifact):
    """Compare the slopes at long delays."""
    slopes = {
        name: curves.slope(
            curves.of_run(artifact, "selectivity", of=of).sel(delay=curves.LONG)
        )
        for name, of in {"512": None, "256": SMALL[WIKI_2]}.items()
    }
    return slopes, abs(slopes["256"]) < slopes["512"] / 2  # which is above 0, then


@claim(
    "C124",
    "O",
    "The effect of 512 units is larger on WikiText-2 than on PTB.",
    "mean |difference| of the logarithms, 512 and 256 units, delays 0-49",
    where="Fig 7b",
    experiments=(WIKI_2,),
    beside=(SMALL[WIKI_2], PTB, SMALL[PTB]),
    holds_if="larger on WikiText-2 in memory and in selectivity; in one of them, "
    "undecided",
)
def units_matter_more_on_wikitext(artifact):
    """Compare the effects of size on both texts and both curves."""
    values, larger = {}, []
    for what in ("memory", "selectivity"):
        wiki, ptb = (
            curves.distance(
                curves.of_run(artifact, what, of=text),
                curves.of_run(artifact, what, of=SMALL[text]),
            )
            for text in (WIKI_2, PTB)
        )
        values |= {f"{what}, WikiText-2": wiki, f"{what}, PTB": ptb}
        larger.append(wiki > ptb)
    return values, curves.both(*larger)
