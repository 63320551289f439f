"""A reader's own network of numbers: read, found to fit them, and inspected.

MODEL.keras, numbers of named features -> inspect_model -> curves
"""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from state_gradients.foundation.checks import short
from state_gradients.inspection import model_files
from state_gradients.inspection.model_curves import inspect_model
from state_gradients.models import torch_weights
from state_gradients.project import provenance
from state_gradients.text import series as numbers
from state_gradients.text.encoding import require_file

if TYPE_CHECKING:
    import keras


def inspect_inputs(
    model,
    *,
    inputs,
    imports=(),
    names=None,
    context=None,
    max_delay=50,
    state=None,
    layer=1,
    tolerance=None,
    shrinkage=None,
    report=lambda line: None,
):
    """Read a model and numbers, check that they fit, and inspect them.

    Parameters
    ----------
    model : path-like
        Of a model that begins with a recurrent layer, or with Dense layers below it.
    inputs : path-like
        See :mod:`state_gradients.text.series`.
    context : int, optional
        Cut the trials into windows of so many steps, each from the zero state.
    imports, names, max_delay, state, layer, tolerance, shrinkage, report
        Of :func:`state_gradients.inspection.text_files.inspect_files`.

    Returns
    -------
    xarray.Dataset
        Its attributes say what it was made from, how, by what, and when.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`open_inputs`.
    """
    asked = open_inputs(
        model,
        inputs=inputs,
        imports=imports,
        names=names,
        context=context,
        max_delay=max_delay,
        state=state,
        layer=layer,
        report=report,
    )
    settings = {"max_delay": max_delay, "state": asked.state, "layer": layer}
    settings |= {} if tolerance is None else {"tolerance": tolerance}
    settings |= {} if shrinkage is None else {"shrinkage": shrinkage}
    trials = asked.series.trials
    result = inspect_model(asked.model, inputs=trials, progress=True, **settings)
    return result.assign_attrs(
        asked.made_from,
        n_features=len(asked.series.features),
        n_tokens=asked.n_inputs,
        n_texts=len(trials),
        reading=asked.how,
        settings=json.dumps(settings),
    )


@dataclass(frozen=True, kw_only=True)
class AskedOfNumbers:
    """A model and the numbers that it is asked about, read and found to fit.

    Attributes
    ----------
    model : keras.Model
    network : state_gradients.engine.network.Network
    state : str
    series : state_gradients.text.series.Series
    made_from : dict of str
        Names and hashes of the files.
    """

    model: "keras.Model"
    network: object
    state: str
    series: numbers.Series
    made_from: dict

    unit = "steps"

    @property
    def table(self):
        """Return what the gradient is whitened by: all steps, (step, embedding)."""
        steps = np.concatenate([trial.values for trial in self.series.trials])
        names = {"embedding": self.series.trials[0]["feature"].values}
        return xr.DataArray(steps, names, ("step", "embedding"))

    @property
    def lengths(self):
        """Return how long each trial is."""
        return [len(trial) for trial in self.series.trials]

    @property
    def n_inputs(self):
        """Return how many steps are averaged over."""
        return self.series.n_steps

    @property
    def how(self):
        """Return how the numbers were read, in words."""
        return self.series.how

    def means(self, **options):
        """Return the mean state gradients over the trials."""
        from state_gradients.engine.means import mean_state_gradients

        trials = self.series.trials
        return mean_state_gradients(
            self.model,
            inputs=trials[0] if len(trials) == 1 else trials,  # one is cut into blocks
            state=self.state,
            **options,
        )


def open_inputs(
    model,
    *,
    inputs,
    imports=(),
    names=None,
    context=None,
    max_delay=50,
    state=None,
    layer=1,
    report=lambda line: None,
):
    """Read a model and numbers, and check that they fit.

    Parameters
    ----------
    model, inputs, imports, names, context, max_delay, state, layer, report
        Of :func:`inspect_inputs`.

    Returns
    -------
    AskedOfNumbers

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is not there or cannot be read so, changes while it is read, or does
        not fit the other.
    """
    model, path = require_file(model, "model"), require_file(inputs, "inputs")

    def made_from():
        return {
            "model": model.name,
            "model_sha256": provenance.file_hash(model),
            "inputs": path.name,
            "inputs_sha256": provenance.file_hash(path),
        }

    before, series = made_from(), numbers.read_series(path)
    report(f"loading {model}")
    names = replace(names or torch_weights.Names(), embedding=False)
    loaded = model_files.load(model, imports, names, report)
    from state_gradients.engine import means

    network, (state,), _ = means.read(loaded, state=state, layer=layer, words=False)
    n_features = network.table.shape[1]
    if len(series.features) != n_features:
        raise ValueError(
            f"inspection: {path} must hold the {n_features} features that the model "
            f"reads, received {len(series.features)}: {short(series.features, 400)}. "
            "Give those of its training, in their order."
        )
    series = numbers.arrange(series, context=context, length=loaded.input_shape[1])
    longest = max(map(len, series.trials))
    if max_delay >= longest:
        raise ValueError(
            f"inspection: {path} must be longer than `max_delay` (--max-delay), "
            f"{max_delay}, received {longest} steps, read as {series.how}; at most "
            f"{longest - 1} will do."
        )
    model_files.require_unchanged(before, made_from())
    report(f"averaging over {series.n_steps:,} steps, read as {series.how}")
    return AskedOfNumbers(
        model=loaded, network=network, state=state, series=series, made_from=before
    )
