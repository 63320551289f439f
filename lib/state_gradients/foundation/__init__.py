"""The ground floor: what every room may import, and what imports none.

Read `settings` (what an experiment is, from params.yaml), then `labels` (names and
meanings of axes and variables), `atomic` (files that are whole or absent), `checks`
(arguments that are none), `plain_yaml` (files that people write), `backends` (the few
places where TensorFlow and JAX differ) and `loading` (that Keras has one).
"""
