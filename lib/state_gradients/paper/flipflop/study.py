"""The study of the flip-flop: memory by time since a pulse, and where the state rests.

All on the trials of :func:`state_gradients.text.flipflop.test_trials`, whose gaps are
longer than almost all of the training.
"""

import numpy as np
import xarray as xr

from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.flipflop import fixed_points, memory, network
from state_gradients.text import flipflop

SHOWN = 120  # steps of one trial, for the picture of the task
MEANING = {
    "shown_input": ("inputs of the first test trial", "pulse", "the task"),
    "shown_target": ("what must be said there", "1", "the last pulse"),
    "shown_said": ("what is said there", "1", "K^T h + b"),
}


def study(experiment, weights):
    """Measure a network that has learnt the flip-flop.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
    weights : xarray.Dataset
        The artifact ``network``.

    Returns
    -------
    xarray.Dataset
        ``flipflop``; `MEANING`, and that of `memory` and `fixed_points`, say what its
        variables mean.

    Raises
    ------
    ValueError
        If the longest delay does not reach beyond the longest gap, or no state rests.
    """
    max_delay = experiment.gradients.max_delay
    if max_delay <= max(flipflop.GAPS) + 1:
        raise ValueError(
            "flipflop: gradients.max_delay must reach beyond the longest gap between "
            f"pulses, {max(flipflop.GAPS)}, by two steps, received {max_delay}."
        )
    load_keras()
    from state_gradients.engine.network import read_network

    model = network.load_network(experiment, weights)
    trials = flipflop.test_trials(experiment.corpus)
    cell = read_network(model, dtype="float64", words=False).cells[0]
    readout = tuple(
        weights[f"readout.{name}"].values.astype(float) for name in ("kernel", "bias")
    )
    seed = experiment.training.seed
    places = memory.places_of(trials.inputs, max_delay)
    states = memory.states_of(cell, trials.inputs)
    starts = fixed_points.sampled_starts(
        states.reshape(-1, states.shape[-1]), seed=seed
    )
    said = states[:SHOWN, 0] @ readout[0] + readout[1]
    dims = "time", "channel"
    said = said.astype(np.float32)
    shown = xr.Dataset(
        {
            "shown_input": (dims, trials.inputs[0, :SHOWN]),
            "shown_target": (dims, trials.targets[0, :SHOWN]),
            "shown_said": (dims, said),
        }
    )
    for name in MEANING:
        shown[name].attrs = about(name, meaning=MEANING)
    gradients = memory.gradients(
        model, readout[0], trials.inputs, places, max_delay=max_delay
    )
    turned = memory.turned(
        cell, readout, trials.inputs, places, max_delay=max_delay, seed=seed
    )
    return xr.merge(
        [
            memory.over_channels(gradients),
            memory.over_channels(turned),
            fixed_points.find(cell, readout, starts),
            shown,
        ],
        combine_attrs="drop_conflicts",
    )
