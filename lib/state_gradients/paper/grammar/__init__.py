"""The study of the generated language: what is remembered, held against the truth.

Read `gold` (tags as the studies of words want them, from the truth), then `agreement`
(does the network give verbs the right number), `number` (how long it holds a noun's, by
mean gradients), `swaps` (and by whole nouns swapped), `needs` (until when properties
are needed), `study` (all of it, as one artifact) and `bounds` (what is expected).
"""
