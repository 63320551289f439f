"""State gradients: what a recurrent network still holds of an input, tau steps on.

This is the public surface. A name is loaded when it is first used, and a backend by the
names that compute with a network. What stands in other modules serves these::

    ask a network    mean_state_gradients, type_gradients, sentence_memory,
                     sentence_influence;
                     load_model, load_torch, inspect_model (all of it in one call)
    whiten           fit_whitening (gives a Whitening), whiten_gradient, whiten_moment
    decompose        decompose, memory_curve, coherence
    fit decays       fit_decay, compare_decays
    compare networks compare_memory, stretch_curves
    properties       property_direction, relative_memory, subspace_cosine
    doubt            block_bootstrap, shuffled
    draw             plot_memory, plot_selectivity, plot_coherence, plot_sentence
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # editors and type checkers run no __getattr__
    from state_gradients.analysis.comparison import compare_memory, stretch_curves
    from state_gradients.analysis.decays import compare_decays, fit_decay
    from state_gradients.analysis.sentences import sentence_influence, sentence_memory
    from state_gradients.analysis.spectra import (
        coherence,
        decompose,
        memory_curve,
        property_direction,
        relative_memory,
        subspace_cosine,
    )
    from state_gradients.analysis.uncertainty import block_bootstrap, shuffled
    from state_gradients.analysis.whitening import (
        Whitening,
        fit_whitening,
        whiten_gradient,
        whiten_moment,
    )
    from state_gradients.engine.means import mean_state_gradients
    from state_gradients.engine.words import type_gradients
    from state_gradients.figures import (
        plot_coherence,
        plot_memory,
        plot_selectivity,
        plot_sentence,
    )
    from state_gradients.inspection import inspect_model
    from state_gradients.models.saved import load_model
    from state_gradients.models.torch_weights import load_torch

__version__ = "0.1.0"
__all__ = [
    "Whitening",
    "block_bootstrap",
    "coherence",
    "compare_decays",
    "compare_memory",
    "decompose",
    "fit_decay",
    "fit_whitening",
    "inspect_model",
    "load_model",
    "load_torch",
    "mean_state_gradients",
    "memory_curve",
    "plot_coherence",
    "plot_memory",
    "plot_selectivity",
    "plot_sentence",
    "property_direction",
    "relative_memory",
    "sentence_influence",
    "sentence_memory",
    "shuffled",
    "stretch_curves",
    "subspace_cosine",
    "type_gradients",
    "whiten_gradient",
    "whiten_moment",
]
_MODULES = {  # name: where it stands
    "Whitening": "analysis.whitening",
    "block_bootstrap": "analysis.uncertainty",
    "coherence": "analysis.spectra",
    "compare_decays": "analysis.decays",
    "compare_memory": "analysis.comparison",
    "decompose": "analysis.spectra",
    "fit_decay": "analysis.decays",
    "fit_whitening": "analysis.whitening",
    "inspect_model": "inspection",
    "load_model": "models.saved",
    "load_torch": "models.torch_weights",
    "mean_state_gradients": "engine.means",
    "memory_curve": "analysis.spectra",
    "plot_coherence": "figures",
    "plot_memory": "figures",
    "plot_selectivity": "figures",
    "plot_sentence": "figures",
    "property_direction": "analysis.spectra",
    "relative_memory": "analysis.spectra",
    "sentence_influence": "analysis.sentences",
    "sentence_memory": "analysis.sentences",
    "shuffled": "analysis.uncertainty",
    "stretch_curves": "analysis.comparison",
    "subspace_cosine": "analysis.spectra",
    "type_gradients": "engine.words",
    "whiten_gradient": "analysis.whitening",
    "whiten_moment": "analysis.whitening",
}


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name not in _MODULES:
        raise AttributeError(
            f"module {__name__!r} has no public name {name!r}",
            name=name,
            obj=sys.modules[__name__],  # Python finds the nearest name in its dir()
        )
    if _MODULES[name].startswith("engine."):
        from state_gradients.foundation.loading import load_keras

        load_keras()  # says what to install where there is no backend
    module = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    globals()[name] = getattr(module, name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
