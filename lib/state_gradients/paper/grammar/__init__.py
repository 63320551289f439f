"""The study of the generated language: what is remembered, held against the truth.

Read `gold` (tags as the studies of words want them, from the truth), then `agreement`
(does the network give verbs the right number, and how long does it hold a noun's).
"""
