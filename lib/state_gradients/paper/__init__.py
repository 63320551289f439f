"""The replication of one paper, and its book; the library knows nothing of it.

Read `stages` (train, extract, analyse), `ledger` (published numbers beside ours) and
`claims` (what the paper says, with verdicts), then `lost_words` (what cutting the
vocabulary again costs), `synthetic` (the study of Section 4.2) and `book` (how
notebooks become pages).
"""
