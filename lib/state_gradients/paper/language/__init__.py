"""What is asked about the words of a text: Sections 4.3.3 to 5.2 and Appendix 9.

Read `subject` (what a study reads) and `tags` (parts of speech), then the studies:
`types` (every word type, with `frequency`),
`classes` (parts of speech),
`properties` (plural, tense, .., with `swaps`),
`linear` (Table 3),
`positions` (are errors seen in the gradients, with `surprisal` and `replacements`),
`coherence` (do responses shorten, or cease to agree),
`tail` (what is left after 500 words) with `context` (what it is good
for), `forgetting` (is it said again when it is read again) and
`boundaries` (what the end of a sentence does to it),
`learning` (when memory appears in training), `stretches` (what each stretch of the
text does, for comparisons),
`influence` (what still matters for the words predicted, in nats),
`layers` (what each layer of a stack remembers),
`half_lives` (how long single units hold),
`tagged_classes` (parts of speech by the tags of the text itself).
"""
