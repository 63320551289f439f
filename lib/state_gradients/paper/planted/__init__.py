"""Planted memory: real Keras networks whose memory is known in closed form.

Read `networks` (delay line, leaky integrators, LSTMs with gates that are set, rotation,
shear, each with its formula), then `trials` (what the library says of them, beside the
formula, and how often its intervals hold what they should).
"""
