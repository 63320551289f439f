"""What a choice of the recipe changes: one experiment beside another."""

import numpy as np

from state_gradients.paper.book.average_memory import whitened
from state_gradients.paper.book.pages import has_run
from state_gradients.project import artifacts


def measured(name, variable):
    """Return a number of an experiment's training, NaN before it has run."""
    if not has_run(name, "training"):
        return np.nan
    return artifacts.load(name, "training")[variable].item()


def perplexity_effect(name, baseline):
    """Return by how much an experiment's test perplexity lies above the baseline's."""
    variable = "test_perplexity"
    return measured(name, variable) - measured(baseline, variable)


def told_effect(name, baseline):
    """Say what an experiment changes in the test perplexity, or how to find out."""
    effect = perplexity_effect(name, baseline)
    if np.isnan(effect):
        run = next(x for x in (baseline, name) if not has_run(x, "training"))
        return f"not measured yet: state-gradients reproduce {run}"
    return f"{effect:+.1f} test perplexity"


def cut_effect(baseline, delays=(10, 25, 50)):
    """Say what cutting the chain at the edges of windows changes in the memory.

    Parameters
    ----------
    baseline : str
        An experiment with the artifact ``controls``.
    delays : sequence of int
    """
    memory = whitened(baseline, "controls")["memory"].sel(state_kind="cell")
    change = memory.sel(control="window 200") / memory.sel(control="text") - 1
    rows = (100 * change.sel(delay=[*delays])).to_series().items()
    return "memory " + ", ".join(f"{x:+.1f} % (delay {d})" for d, x in rows)


def vocabulary_effect(baseline):
    """Say what the perplexities are without what another cut of the vocabulary keeps.

    Parameters
    ----------
    baseline : str
        An experiment with the artifact ``vocabulary``.
    """
    cost = artifacts.load(baseline, "vocabulary")
    parts = [
        f"{split} {float(at['perplexity']):.1f} becomes "
        f"{float(at['perplexity_without']):.1f}"
        for split, at in ((name, cost.sel(split=name)) for name in ("valid", "test"))
    ]
    return "perplexity without the targets lost by it: " + ", ".join(parts)


def sixth_direction(baseline, delays=(40, 49)):
    """Say how the share of the best directions grows when six are taken for five.

    Parameters
    ----------
    baseline : str
        An LSTM.
    delays : (int, int)
        The first and the last over which the share is averaged.
    """
    cell = whitened(baseline).sel(state_kind="cell", delay=slice(*delays))
    shares = (
        float(
            (cell["s"].isel(component=slice(n)).sum("component") / cell["total"]).mean()
        )
        for n in (5, 6)
    )
    first, last = delays
    return "share of five {:.3f}, of six {:.3f} ".format(*shares) + (
        f"(delays {first} to {last})"
    )
