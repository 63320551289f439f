"""The replication of one paper, and its book; the library knows nothing of it.

Read `stages` (train, extract, analyse, the studies of words), `reproduction` (which of
them must run), `ledger` (published numbers beside ours, with `quantities`, `counts`,
`curves`, `steps` and `reasons`) and `claims` (what the paper says, with verdicts), then
`lost_words` (what cutting the vocabulary again costs), `synthetic` (the study of
Section 4.2), `language` (those of Sections 4.3.3 to 5.2), `grammar` (a generated
language, held against its truth), `flipflop` (a network that reads no words),
`planted` (networks whose memory is known), `exercises` (which check themselves) and
`book` (how notebooks become pages).
"""
