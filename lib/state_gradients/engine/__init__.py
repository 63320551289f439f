"""The state gradients: exact, averaged over a whole text, at the rate of the machine.

Read `means` (what is asked for), `texts` (over what), `long_texts` (that lie in a file)
and `recall` (whose states are run again, not kept), `network` (a Keras model as a stack
of cells) and `trust` (only what is known to be right), `readers`, `formulas` and, of
our own cells, `own_formulas` (what a cell is, how it differentiates), `jobs` (a text in
parts), then `tiles` with `sums` (how a job is carried), `diagonals` (in a few numbers,
where units never meet), `precision` (whether float32 is enough for it), `readouts`
(what is said next, for an influence on it), `bundles`, `rows` and `shared_basis` (in
less, to a tolerance), `sweep` (the same on an accelerator) with `capacity` (how much of
a text at once), `words` (every word type on its own), `occurrences` (single inputs),
`positions` (the size of every single gradient) and `responses` (what one step does at
every position).
"""
