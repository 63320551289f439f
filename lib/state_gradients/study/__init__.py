"""The paper's replication: stages, probes, ledger, claims and the book's pages.

The library serves any model and any text and imports nothing from here, but for its
command line; this package serves one paper and its book.
"""
