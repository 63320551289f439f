"""A network without words: what it must remember is known, pulse by pulse.

Read :mod:`state_gradients.text.flipflop` (the task), then `network` (a GRU that learns
it), `memory` (its state gradients by time since a pulse, and pulses turned round),
`fixed_points` (where its state rests), `study` (all of it, as one artifact) and
`bounds` (what was expected, before it was measured).
"""
