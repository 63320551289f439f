"""How much a network remembers of its inputs, all of it in one call.

model, ids -> mean state gradients -> sigma_1, selectivity, raw and whitened
model, numbers of named features -> the same, and the memory of each feature
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from state_gradients.analysis.influence import influence_curve
from state_gradients.analysis.properties import Halves, read_halves
from state_gradients.analysis.property_curves import property_curves, whitened_step
from state_gradients.analysis.summary import spectra_of, whitenings
from state_gradients.analysis.whitening import read_shrinkage
from state_gradients.foundation.checks import in_own_name
from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras

if TYPE_CHECKING:
    import keras


@in_own_name
def inspect_model(
    model: "keras.Model",
    ids: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    inputs: ArrayLike | Sequence[ArrayLike] | None = None,
    max_delay: int = 50,
    state: str | tuple[str, ...] | None = None,
    layer: int = 1,
    groups: ArrayLike | None = None,
    halves: Halves | None = None,
    padding: int | None = None,
    window: int | None = None,
    dtype: Literal["float32", "float64"] | None = None,
    tolerance: float | None = None,
    shrinkage: float | Literal["auto"] | None = None,
    influence: int | Literal["exact"] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Return how much, and how selectively, a network remembers of its inputs.

    Parameters
    ----------
    model, ids, inputs, max_delay, state, layer
    groups, padding, window, dtype, progress
        As for :func:`state_gradients.engine.means.mean_state_gradients`. Give a model
        of padded lines a list of padded arrays, and the id of `padding`.
    halves : Halves, optional
        The two sides of a property of words, see
        :class:`state_gradients.analysis.properties.Halves`.
    tolerance : float, optional
        As there: 1e-4, say, for hundreds of delays.
    shrinkage : "auto" or float, optional
        As for :func:`state_gradients.analysis.whitening.fit_whitening`: "auto" where
        there are few words, or steps, for the size of what is read.
    influence : int or "exact", optional
        As for mean_state_gradients: what the softmax above is read by, in nats.

    Returns
    -------
    xarray.Dataset
        What :func:`state_gradients.analysis.spectra.memory_curve` gives and all
        singular values ``s``, (normalization, delay, ...), for the gradient with
        respect to the embedding ("raw") and to the whitened embedding; raw alone where
        the embeddings' covariance is singular, as the attribute ``note`` then says.
        ``n_samples`` (delay), how many positions each mean is over. Of `inputs`, which
        are whitened by the covariance of their own steps, ``feature_memory`` (delay,
        feature) as well: how far a standard deviation of one feature moves the state.
        With a `tolerance` also ``tolerance_error`` (delay); with `influence` what
        :func:`state_gradients.analysis.influence.influence_curve` gives.
        With `halves` also what
        :func:`state_gradients.analysis.property_curves.property_curves` gives.

    Raises
    ------
    ValueError, FloatingPointError
        As mean_state_gradients; or if a property has no direction, or its halves are
        no whole numbers.

    Examples
    --------
    A linear network whose state is halved at every token, s' = s / 2 + e:

    >>> import keras
    >>> import state_gradients as sg
    >>> rnn = keras.layers.SimpleRNN(
    ...     2,
    ...     activation="linear",
    ...     kernel_initializer="identity",
    ...     recurrent_initializer=keras.initializers.Identity(0.5),
    ... )
    >>> embedding = keras.layers.Embedding(5, 2)
    >>> model = keras.Sequential([keras.Input((None,)), embedding, rnn])
    >>> curves = sg.inspect_model(model, [3, 1, 4, 1, 2], max_delay=2)
    >>> curves["memory"].sel(normalization="raw").values.round(3).tolist()
    [1.0, 0.5, 0.25]
    >>> curves["selectivity"].sel(normalization="raw").values.round(3).tolist()
    [0.5, 0.5, 0.5]
    """
    read_shrinkage(shrinkage)
    load_keras()
    from state_gradients.engine import means

    if halves is not None:
        halves = _read_halves(
            halves, means, model, inputs=inputs, state=state, layer=layer, by=shrinkage
        )
    gradients = means.mean_state_gradients(
        model,
        ids,
        inputs=inputs,
        max_delay=max_delay,
        state=state,
        layer=layer,
        groups=groups,
        padding=padding,
        window=window,
        dtype=dtype,
        tolerance=tolerance,
        influence=influence,
        progress=progress,
    )
    network, *_ = means.read(
        model, state=state, layer=layer, dtype=dtype, words=inputs is None
    )
    table = network.table if inputs is None else _steps(inputs, network)
    curves = spectra_of(gradients["state_gradient"], table, shrinkage=shrinkage)
    curves = curves.drop_dims("direction")
    if inputs is not None:
        curves = curves.assign(
            feature_memory=_feature_memory(gradients["state_gradient"], table)
        )
    if halves is not None:
        of_property = property_curves(
            gradients["state_gradient"], table, halves, shrinkage=shrinkage
        )
        curves = curves.assign(of_property.data_vars)
    if influence is not None:
        curves = curves.assign(_in_nats(gradients["influence"], table, shrinkage))
    kept = gradients.drop_vars(["state_gradient", "influence"], errors="ignore")
    return curves.assign(kept.data_vars)


def _in_nats(influence, table, shrinkage):
    """Return the curves of an influence, raw and, where that can be, whitened."""
    fitted, _ = whitenings(table, shrinkage)
    curves = [influence_curve(influence, whitening) for whitening in fitted.values()]
    names = xr.Variable("normalization", [*fitted])
    return xr.concat(curves, names, combine_attrs="drop_conflicts")


def _read_halves(halves, means, model, *, inputs, state, layer, by):
    """Return a property's halves, refused before the work where they cannot be asked.

    Parameters
    ----------
    means : module
        state_gradients.engine.means, which needs a backend.
    """
    if inputs is not None:
        raise ValueError(
            "inspect_model: `halves` are of words, received them with `inputs`; leave "
            "either out."
        )
    network, *_ = means.read(model, state=state, layer=layer)
    halves = read_halves(halves)
    shapes = {half.shape for half in halves}
    if shapes != {(len(network.table),)}:
        raise ValueError(
            "inspect_model: `halves` must say of each of the "
            f"{len(network.table)} rows of the model's embedding whether it is in "
            f"either half, received the shapes {sorted(shapes)}."
        )
    whitened_step(network.table, halves, shrinkage=by)
    return halves


def _steps(inputs, network):
    """Return all steps of all trials, a DataArray (step, embedding) with names."""
    from state_gradients.engine.texts import read_trials

    trials = read_trials(inputs, network, max_delay=0)
    steps = xr.DataArray(np.concatenate(trials.ids), dims=("step", "embedding"))
    if trials.features is None:
        return steps
    return steps.assign_coords(embedding=trials.features)


def _feature_memory(gradient, steps):
    """Return ||G_f|| sd(x_f) of each feature f, (.., delay, feature)."""
    lengths = np.sqrt((gradient**2).sum("state", skipna=False))
    memory = lengths * steps.astype(np.float64).std("step")
    return memory.rename(embedding="feature").assign_attrs(about("feature_memory"))
