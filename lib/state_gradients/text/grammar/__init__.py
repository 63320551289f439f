"""A generated, English-like language of which everything is known.

Read `rules` (what the language is: the rules and the lexicon, as tables), then
`derivation` (rules become sentences, and say how uncertain a sentence is) and `truth`
(the corpus, and what each of its tokens is, agrees with and refers to).
"""
