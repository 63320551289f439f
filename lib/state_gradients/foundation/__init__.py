"""The ground floor: what every room may import, and what imports none.

Read `settings` (what an experiment is, from params.yaml), then `labels` (names and
meanings of axes and variables), `atomic` (files that are whole or absent) and
`backends` (the few places where TensorFlow and JAX differ); `checks` refuses what looks
like an argument and is none.
"""
