"""The learning rate of an experiment, chosen from a few by short trainings.

    rate  =  the one with the lowest validation perplexity after `epochs` epochs

A trial is the training itself, stopped early: its checkpoint stands where a training at
that rate goes on from, so that the chosen rate's epochs are not trained twice.
"""

from dataclasses import replace

import numpy as np
import xarray as xr

from state_gradients.foundation.checks import short
from state_gradients.foundation.labels import about
from state_gradients.models import checkpoints, training
from state_gradients.text import tasks

RATES = 0.1, 0.3, 1.0  # the LSTM's is 1; cells whose states are unbounded need less
EPOCHS = 2  # before the rate decays


def compare_rates(
    experiment, *, rates=RATES, epochs=EPOCHS, text=None, root=None, progress=True
):
    """Train an experiment for some epochs at each of some learning rates.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
        Its own rate counts only if it is one of `rates`.
    rates : sequence of float
    epochs : int
    text : state_gradients.text.vocabulary.Text, optional
        Loaded by name when absent.
    root : path-like, optional
        The project's root, under which the checkpoints stand.
    progress : bool

    Returns
    -------
    xarray.Dataset
        ``train_perplexity`` and ``valid_perplexity`` (learning_rate, epoch), NaN from
        the epoch on in which a training diverged.

    Raises
    ------
    ValueError
        If no rate or no epoch is asked for, or as :func:`training.train` does.
    """
    if not len(rates) or epochs < 1:
        raise ValueError(
            "compare_rates: there must be a rate and an epoch to compare, received "
            f"rates={short(rates)} and epochs={epochs}."
        )
    text = tasks.load(experiment) if text is None else text
    histories = [
        _history(_at_rate(experiment, rate, epochs), text, root, progress)
        for rate in rates
    ]
    columns = {
        name: np.array([_filled(history[name], epochs) for history in histories])
        for name in ("train_perplexity", "valid_perplexity")
    }
    axes = ("learning_rate", "epoch")
    return xr.Dataset(
        {name: (axes, column, about(name)) for name, column in columns.items()},
        coords={"learning_rate": list(rates), "epoch": np.arange(1, epochs + 1)},
    )


def best_rate(curves):
    """Return the rate with the lowest validation perplexity after the last epoch.

    Parameters
    ----------
    curves : xarray.Dataset
        Of :func:`compare_rates`.

    Raises
    ------
    ValueError
        If the training diverged at every rate.
    """
    last = curves["valid_perplexity"].isel(epoch=-1)
    if last.isnull().all():
        rates = curves["learning_rate"].values.tolist()
        raise ValueError(
            "best_rate: at one rate at least the training must stay finite, it "
            f"diverged at all of {rates}; try lower ones."
        )
    return float(last.idxmin())


def _at_rate(experiment, rate, epochs):
    recipe = replace(experiment.training, learning_rate=float(rate), max_epochs=epochs)
    return replace(experiment, training=recipe)


def _history(trial, text, root, progress):
    """Return the columns of a trial's epochs, of a training that stands if it does."""
    read = {"corpus": text.fingerprint} if text.fingerprint else {}
    path = checkpoints.checkpoint_path(trial, root=root, read=read)
    wanted = trial.training.max_epochs
    if not _has_epochs(path, wanted):
        try:
            training.train(trial, text=text, root=root, progress=progress)
        except training.TrainingDivergedError:
            if not path.is_file():  # in the first epoch
                return {name: [] for name in checkpoints.CURVES}
    return checkpoints.load_checkpoint(path)[2]


def _has_epochs(path, wanted):
    if not path.is_file():
        return False
    return len(checkpoints.load_checkpoint(path)[2]["seconds"]) >= wanted


def _filled(column, n_epochs):
    """Return the first epochs of a column, NaN where there is none."""
    return [*column[:n_epochs], *[np.nan] * (n_epochs - len(column))]
