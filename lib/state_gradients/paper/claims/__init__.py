"""Claims: what the paper says that can be tested, each once, with computed verdicts.

Read `registry` (what a claim is), a section (`synthetic`, `average_memory`: a function
for each claim; the others await theirs), `judging` (verdicts), `overall` (one verdict a
claim) and `pages` (what a notebook shows). ``table()`` judges all 196.
"""

from state_gradients.paper.claims import (
    average_memory,
    comparisons,
    conclusion,
    language_models,
    linear,
    method,
    properties,
    synthetic,
    synthetic_delays,
    words,
)
from state_gradients.paper.claims.judging import as_text, table
from state_gradients.paper.claims.overall import as_json, by_section, of_each
from state_gradients.paper.claims.pages import between, counts, of_paper, verdicts
from state_gradients.paper.claims.registry import KINDS, REGISTERED

SECTIONS = (  # in the paper's order; importing them registers their claims
    method,
    synthetic,
    synthetic_delays,
    language_models,
    average_memory,
    comparisons,
    words,
    properties,
    linear,
    conclusion,
)
__all__ = [
    "KINDS",
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
