"""From text to ids: corpora, vocabularies, word vectors, generated languages.

Read `vocabulary` (words, types, ids), then `corpora` (where texts come from, and that
they are the right ones) with `tagged` (corpora of words with tags, read as running
text), `parts_of_speech` (their tags in one set of classes), `tasks` (tags to be named,
in the place of next words), `vectors` (embeddings that others trained) and `synthetic`
(the generated language of Section 4.2, whose optimum is known), then `grammar` (a
generated, English-like one, of which all is known); `flipflop` generates what is no
text: trials of pulses. For a reader's own model there are `tokenizer` (the ids of a
Keras Tokenizer), `encoding` (files to ids, by its vocabulary) and `reading` (lines,
windows, padding); `groups` reads words and what they are grouped by, `halves` those of
a property, `series` the numbers of one that reads no words. `writing` writes a corpus
as plain text, with a card.
"""
