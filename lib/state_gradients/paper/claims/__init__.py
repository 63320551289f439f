"""Claims: what the paper says that can be tested, each once, with computed verdicts.

Read `registry` (what a claim is), a section, with a function for each claim (`method`
and `concept`, `synthetic` and `synthetic_delays`, `language_models`, `average_memory`,
`comparisons` with `cells`, `sizes` and `texts`, `words`, `properties`, `linear`,
`conclusion`; `grammar`, whose networks judge claims of several sections), `judging`
(verdicts), `overall` (one verdict a claim) and `pages` (what a notebook shows). Of
these, `curves` compares the curves of runs, and `by_hand` is an LSTM in NumPy.
``table()`` judges all 196.
"""

from state_gradients.paper.claims import (
    average_memory,
    cells,
    comparisons,
    concept,
    conclusion,
    grammar,
    language_models,
    linear,
    method,
    properties,
    sizes,
    synthetic,
    synthetic_delays,
    texts,
    words,
)
from state_gradients.paper.claims.judging import as_text, table
from state_gradients.paper.claims.overall import as_json, by_section, of_each
from state_gradients.paper.claims.pages import between, counts, of_paper, verdicts
from state_gradients.paper.claims.registry import KINDS, REGISTERED

SECTIONS = (  # in the paper's order; importing them registers their claims
    method,
    concept,
    synthetic,
    synthetic_delays,
    language_models,
    average_memory,
    comparisons,
    cells,
    sizes,
    texts,
    words,
    properties,
    linear,
    conclusion,
    grammar,
)
OF_THE_GRAMMAR = grammar.HERE  # which its page shows, and no section's
__all__ = [
    "KINDS",
    "OF_THE_GRAMMAR",
    "REGISTERED",
    "SECTIONS",
    "as_json",
    "as_text",
    "between",
    "by_section",
    "counts",
    "of_each",
    "of_paper",
    "table",
    "verdicts",
]
