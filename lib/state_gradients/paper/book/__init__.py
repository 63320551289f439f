"""How the notebooks become the pages of the book, and what they need for it.

Read `rendering` (jupytext, papermill, what makes a page be run again), `pages` (texts
for the prose, tables, twins, what has not been run), then what single pages show:
`average_memory`, `synthetic`, `language_models`, `word_classes`, `types`, `properties`,
`forgetting`, `coherence`, `tail`, `grammar`, `conclusion`, `linear`, `effects`,
`ledger_tables`, `claims_tables`, `records` and `figures`.
"""
