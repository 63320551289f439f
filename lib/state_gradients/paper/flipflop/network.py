"""A recurrent network that reads three numbers a step, and how it is trained.

The state starts from zero, and training is by Adam, on new trials in every epoch::

    h_t = cell(x_t, h_{t-1}),   y_t = K^T h_t + b,   loss = mean (y - target)^2
"""

import numpy as np
import xarray as xr
from tqdm.auto import tqdm

from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.text import flipflop

MEANING = {
    "loss": ("mean square error of the training trials", "1", "mean (y - target)^2"),
    "error": ("mean square error of the test trials", "1", "mean (y - target)^2"),
    "right": ("share of the bits said right in the test trials", "1", "y target > 0"),
}


def build_network(config, *, seed=0):
    """Build the network with its initial weights, which no backend decides.

    Matrices are uniform(-r, r), r = ``initial_range``, biases 0.

    Parameters
    ----------
    config : state_gradients.foundation.settings.Model
    seed : int

    Returns
    -------
    keras.Sequential
        From numbers (batch, time, channel) to numbers of the same shape. Its layers are
        called ``recurrent_1`` and ``readout``.
    """
    keras = load_keras()
    from state_gradients.models.language_model import CELLS

    options = {"reset_after": False} if config.cell == "gru" else {}
    model = keras.Sequential(
        [
            keras.Input((None, flipflop.CHANNELS)),
            CELLS[config.cell](
                config.units, return_sequences=True, name="recurrent_1", **options
            ),
            keras.layers.Dense(flipflop.CHANNELS, name="readout"),
        ]
    )
    for place, variable in enumerate(model.trainable_variables):
        r = 0 if variable.name == "bias" else config.initial_range
        rng = np.random.default_rng([seed, place])
        variable.assign(rng.uniform(-r, r, variable.shape).astype(np.float32))
    return model


def train(experiment, *, progress=True):
    """Train a network on the flip-flop.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
    progress : bool

    Returns
    -------
    xarray.Dataset
        The weights by name, with `MEANING`; what :func:`load_network` reads.

    Raises
    ------
    RuntimeError
        If the loss is not finite.
    """
    keras = load_keras()
    recipe = experiment.training
    model = build_network(experiment.model, seed=recipe.seed)
    optimizer = keras.optimizers.Adam(global_clipnorm=recipe.clip_norm)
    model.compile(optimizer, loss="mse")
    losses = []
    epochs = tqdm(
        range(1, recipe.max_epochs + 1), experiment.name, disable=not progress
    )
    for epoch in epochs:
        rate = recipe.learning_rate * recipe.decay ** max(epoch - recipe.decay_after, 0)
        optimizer.learning_rate = rate
        trials = flipflop.training_trials(experiment.corpus, recipe.num_steps, epoch)
        history = model.fit(
            trials.inputs,
            trials.targets,
            batch_size=recipe.batch_size,
            shuffle=False,
            verbose=0,
        )
        losses.append(history.history["loss"][0])
        epochs.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
        if not np.isfinite(losses[-1]):
            raise RuntimeError(
                f"train: the loss must stay finite, received {losses[-1]} in epoch "
                f"{epoch}; lower the learning rate."
            )
    return _as_dataset(model, losses, flipflop.test_trials(experiment.corpus))


def _as_dataset(model, losses, trials):
    said = said_by(model, trials.inputs)
    found = xr.Dataset(
        {
            "loss": ("epoch", np.array(losses, float)),
            "error": float(((said - trials.targets) ** 2).mean()),
            "right": float((said * trials.targets > 0).mean()),
        },
        coords={"epoch": np.arange(1, len(losses) + 1)},
    )
    for name in MEANING:
        found[name].attrs = about(name, meaning=MEANING)
    for name, value in _variables(model).items():
        dims = [f"{name}.{axis}" for axis in range(value.ndim)]
        attrs = {"long_name": f"weights {name}", "units": "1"}
        attrs["equation"] = "Keras order"
        found[name] = (dims, value, attrs)
    return found


def said_by(model, inputs):
    """Return what a network says, as NumPy (trial, time, channel)."""
    from keras import ops

    return ops.convert_to_numpy(model(inputs))


def _variables(model):
    from keras import ops

    return {
        f"{layer.name}.{variable.name}": ops.convert_to_numpy(variable.value)
        for layer in model.layers
        for variable in layer.weights
    }


def load_network(experiment, weights):
    """Return the network with the weights of an artifact.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
    weights : xarray.Dataset
        The artifact ``network``.
    """
    model = build_network(experiment.model)
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(weights[f"{layer.name}.{variable.name}"].values)
    return model
