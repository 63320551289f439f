"""Drawings: each function takes computed, labelled data, draws on an Axes, returns it.

Read `curves` (memory, selectivity, training), then `engine` (coherence, one sentence).
"""

from state_gradients.figures.curves import (
    plot_memory,
    plot_selectivity,
    plot_training_curves,
)
from state_gradients.figures.engine import plot_coherence, plot_sentence

__all__ = [
    "plot_coherence",
    "plot_memory",
    "plot_selectivity",
    "plot_sentence",
    "plot_training_curves",
]
