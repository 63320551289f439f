"""Exercises that check themselves: what a right answer is, and who sees which solution.

Read `checking` (what a check says of an answer), the targets of the pages' exercises
(`sections` for those of the text's own sections up to 4.1, `language` for 4.2 to 4.3.4
and three languages, `properties` for 5.1 to 9, `engine` for coherence, forgetting, one
sentence, speed and the tail, `planted` for networks whose memory is known, `numbers`
for a network without words, learning and tasks, `layers` for stacks, `cells` for modern
cells, `rulers` for measures of one memory, `replication` for the ledger, the
claims, the grammar and models of one's own),
`fields` (answers that are read off in the built book), `composing` (page and solutions,
laid together and taken apart), then `instructor` (the book with solutions) and
`handout` (notebooks with blanks, to give away).

In a notebook::

    from state_gradients.paper.exercises import check

    check("1.1", answer, words=words)
"""

from state_gradients.paper.exercises import (
    cells,
    engine,
    language,
    layers,
    numbers,
    planted,
    properties,
    replication,
    rulers,
    sections,
)
from state_gradients.paper.exercises.checking import TARGETS, check, refused

__all__ = [
    "TARGETS",
    "cells",
    "check",
    "engine",
    "language",
    "layers",
    "numbers",
    "planted",
    "properties",
    "refused",
    "replication",
    "rulers",
    "sections",
]
