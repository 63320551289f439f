"""Gradients of single inputs, against differences and against means."""

import numpy as np
import pytest
from test_means import CELLS, V, build

from state_gradients.engine import occurrences
from state_gradients.engine.means import mean_state_gradients
from state_gradients.engine.network import read_network

D = 4


def test_each_occurrence_has_the_gradient_of_central_differences(monkeypatch):
    monkeypatch.setattr(occurrences, "LENGTH", 7)  # so that the text has parts
    model, ids = build("lstm"), np.random.default_rng(1).integers(V, size=30)
    positions = [[25, 0], [6, 7, 13]]
    found = list(
        occurrences.occurrence_gradients(
            model, ids, positions, max_delay=D, dtype="float64"
        )
    )
    network = read_network(model, dtype="float64")
    states, step = network.zero_states()[0], 1e-6

    def cells(t, change):
        """Return the cell after each token, with the input at t changed."""
        x = network.table[ids]
        x[t] += change
        return network.cells[0].run(x, states)[1]

    for of_set, ts in zip(found, positions, strict=True):
        assert of_set.dims == ("occurrence", "delay", "state", "embedding")
        assert of_set["occurrence"].values.tolist() == ts
        for t in ts:
            moves = [
                (cells(t, u * step) - cells(t, -u * step))[t : t + D + 1] / (2 * step)
                for u in np.eye(network.table.shape[1])
            ]
            reference = np.stack(moves, axis=-1)  # (delay, state, embedding)
            # O(step^2) truncation and O(eps / step) ~ 1e-10 round-off
            np.testing.assert_allclose(
                of_set.sel(occurrence=t), reference, rtol=0, atol=1e-8
            )


STACKS = [("lstm", "gru"), ("plain", "lstm"), ("lru", "s6")]


@pytest.mark.parametrize("cells", [*((name,) for name, _ in CELLS), *STACKS])
def test_their_mean_is_the_mean_state_gradient(cells, monkeypatch):
    monkeypatch.setattr(occurrences, "TOGETHER", 3)  # so that a set has parts
    model, ids = build(*cells), np.random.default_rng(2).integers(V, size=60)
    chosen = np.array([3, 4, 30, 55])
    options = {"max_delay": D, "layer": len(cells)}
    (found,) = occurrences.occurrence_gradients(model, ids, [chosen], **options)
    positions = np.isin(np.arange(60), chosen)[None]
    whole = mean_state_gradients(model, ids, positions=positions, **options)
    mean, reference = found.mean("occurrence"), whole["state_gradient"].isel(group=0)
    assert mean.sizes == reference.sizes
    error = 1e-6 * float(abs(reference).max())
    np.testing.assert_allclose(mean, reference, rtol=0, atol=error)


@pytest.mark.parametrize(
    ("positions", "options", "message"),
    [
        ([[56]], {}, "0..55"),
        ([[-1]], {}, "0..55"),
        ([[0.5]], {}, "whole numbers"),
        ([[]], {}, "at least one"),
        ([], {}, "one set"),
        ([[1]], {"state": ("hidden", "cell")}, "`state` must be one"),
        ([[1]], {"max_delay": -1}, "max_delay"),
    ],
)
def test_bad_requests_are_refused(positions, options, message):
    ids = np.zeros(60, int)
    options = {"max_delay": D} | options
    with pytest.raises(ValueError, match=message):
        occurrences.occurrence_gradients(build("lstm"), ids, positions, **options)
