"""How the notebooks become the pages of the book, and what they need for it.

Read `rendering` (jupytext, papermill, what makes a page be run again) and `kernels`
(which spares pages their imports), `pages` (texts for the prose, tables, twins, what
has not been run), then what single pages show:
`average_memory`, `synthetic`, `language_models`, `word_classes`, `types`, `properties`,
`whitening`, `forgetting`, `coherence`, `tail`, `tails` and `far_back`, `planted`,
`grammar` and `grammar_networks`, `influence`, `rulers` and `ruler_tables`, `languages`
with `language_classes` and `language_class_tables`, `tasks`, `cells`, `flipflop`,
`learning`, `layers`, `conclusion`, `linear`, `effects`, `ledger_tables`,
`claims_tables`, `records` and `figures`. Under figures stand `sources` (the line that
says what made one, and its table), whose links `source_links` lays, and behind them
their `twins`. Scripts that pages load: `scripts` (which page loads which), `vega` (the
libraries that draw) and `explorer` (the networks of the page "Type a sentence").
`publishing` says where the book is read and how to answer it, `mocked` spares its build
TensorFlow, `printing` makes one PDF of it. Who teaches with it has `course` and
`slides`.
"""
