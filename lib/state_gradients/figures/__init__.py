"""Drawings: each function takes computed, labelled data, draws on an Axes, returns it.

Read `style` (theme, sizes, axes), `lines` (curves from labelled data), `curves`
(memory, selectivity, coherence, training), `differences` (of two networks),
`properties` (of words, beside chance), `heatmaps` (one sentence, tables), `bars`
(counts), then `interactive` (specifications that a browser draws).
"""

from state_gradients.figures.bars import plot_counts
from state_gradients.figures.curves import (
    plot_coherence,
    plot_memory,
    plot_memory_and_selectivity,
    plot_selectivity,
    plot_training_curves,
)
from state_gradients.figures.differences import plot_comparison
from state_gradients.figures.heatmaps import plot_heatmap, plot_sentence
from state_gradients.figures.properties import plot_property
from state_gradients.figures.style import set_theme, stacked_axes

__all__ = [
    "plot_coherence",
    "plot_comparison",
    "plot_counts",
    "plot_heatmap",
    "plot_memory",
    "plot_memory_and_selectivity",
    "plot_property",
    "plot_selectivity",
    "plot_sentence",
    "plot_training_curves",
    "set_theme",
    "stacked_axes",
]
