"""Memory while it is learnt: the curves of one network, epoch by epoch.

Of the untrained network, of the encoders that ``train --keep-encoders`` has kept, and
of the trained one, over the same text: memory and selectivity by delay, whitened by
each epoch's own embedding, and of each property of words::

    step        d = mean of its one half - mean of its other half, whitened
    by chance   sqrt(size (1/n_a + 1/n_b)), its length if the halves were drawn
    order       correlation, over the types, of their place along d with that at the end
    memory      ||mean G D d|| / (sigma_1(mean G D) ||d||),  over all words       (20)

Directions themselves cannot be held against each other, for each epoch has axes of its
own; the order in which they put the words can.
"""

import functools

import numpy as np
import xarray as xr

from state_gradients.analysis import properties as halved
from state_gradients.analysis import spectra, summary
from state_gradients.analysis.whitening import fit_whitening, whiten_gradient
from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language import properties, tags

EPOCHS = 1, 2, 4, 8, 16, 32  # what a training keeps for this study by default
MOST_TOKENS = 30_000  # of the text: epochs are compared over the same
OF_DELAY = "memory", "total", "selectivity", "selectivity_5", "effective_rank"
_SIZE = "state unit / standard deviation"
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "memory": ("largest singular value", _SIZE, "sigma_1"),
    "total": ("sum of the singular values", _SIZE, "sum sigma"),
    "selectivity": ("share of the largest", "1", "sigma_1 / sum sigma"),
    "selectivity_5": ("share of the five largest", "1", "sum_5 sigma / sum sigma"),
    "effective_rank": ("effective rank", "1", "exp(-sum p ln p)"),
    "rms_memory": ("memory that averaging cannot cancel", _SIZE, "largest sqrt eig M"),
    "relative_memory": ("memory of a property", "1", "Eq. 20"),
    "chance": (
        "the same of a direction drawn at random",
        "1",
        "sqrt(sum sigma^2 / size) / sigma_1",
    ),
    "step_length": ("length of the step between the halves", "deviation", "|d|"),
    "step_by_chance": (
        "length of the step between halves drawn at random",
        "deviation",
        "sqrt(size (1/n_a + 1/n_b))",
    ),
    "order": ("how far a property orders the types as at the end", "1", "correlation"),
    "valid_perplexity": ("validation perplexity", "1", "exp(mean -ln p)"),
    "n_tokens": ("tokens averaged over", "1", "count"),
}
MISSING = {"valid_perplexity": "of the untrained network none was taken"}


def study(subject):
    """Measure memory and properties at each epoch that was kept.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``learning``; `MEANING` says what its variables mean. The epoch 0 is the
        untrained network, the last one the trained.

    Raises
    ------
    ValueError
        If no encoder was kept, or those that were are of another training.
    """
    load_keras()
    encoders = kept_encoders(subject)
    ids = subject.ids[:MOST_TOKENS]
    measured = {epoch: _measured(subject, one, ids) for epoch, one in encoders.items()}
    places = {epoch: place for epoch, (_, place) in measured.items()}
    last = places[max(places)]
    order = [
        [np.corrcoef(*pair)[0, 1] for pair in zip(place, last, strict=True)]
        for place in places.values()
    ]
    epochs = xr.Variable("epoch", [*encoders])
    curves = subject.load("training")["valid_perplexity"]
    found = xr.concat([one for one, _ in measured.values()], epochs)
    found = found.assign(
        order=(("epoch", "property"), np.array(order, np.float32)),
        step_by_chance=("property", _by_chance(subject)),
        valid_perplexity=curves.reindex(epoch=[*encoders]),
        n_tokens=len(ids),
    ).transpose("epoch", "property", "state_kind", "delay")
    for name in MEANING:
        found[name].attrs = about(name, meaning=MEANING)
        if name in MISSING:
            found[name].attrs["missing"] = MISSING[name]
    return {"learning": found}


def kept_encoders(subject):
    """Return models by epoch: untrained, those whose encoders were kept, and trained.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of int to keras.Model

    Raises
    ------
    ValueError
        If no encoder was kept, or the history of one is not that of the training.
    """
    from state_gradients.models import checkpoints, language_model

    experiment = subject.experiment
    curves = subject.load("training")["valid_perplexity"].values
    read = {"corpus": subject.text.fingerprint}
    path = checkpoints.checkpoint_path(experiment, root=subject.root, read=read)
    kept = [epoch for epoch in checkpoints.kept_epochs(path) if epoch <= len(curves)]
    if not kept:
        epochs = ",".join(str(epoch) for epoch in EPOCHS if epoch <= len(curves))
        raise ValueError(
            "learning: encoders of single epochs must have been kept, and none stands "
            f"in {path.parent}; run `state-gradients train {experiment.name} --restart "
            f"--keep-encoders {epochs}`."
        )
    new = functools.partial(untrained, subject)
    found = {0: new()}
    for epoch in kept:
        model = new()
        encoder = language_model.encoder_variables(model)
        shapes = [tuple(variable.shape) for variable in encoder]
        file = checkpoints.kept_path(path, epoch)
        values, _, history = checkpoints.load_checkpoint(file, shapes=shapes)
        if not np.array_equal(history["valid_perplexity"], curves[:epoch]):
            raise ValueError(
                f"learning: {file} must be of the training whose curves are kept, "
                f"received validation perplexities {history['valid_perplexity']}, not "
                f"{curves[:epoch].tolist()}; train with --restart and --keep-encoders."
            )
        for variable, value in zip(encoder, values, strict=True):
            variable.assign(value)
        found[epoch] = model
    return found | {len(curves): subject.model}


def untrained(subject):
    """Return the Keras model that the training of an experiment began with.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject
    """
    from state_gradients.models import language_model

    experiment, table = subject.experiment, subject.encoder["embedding"]
    return language_model.build_language_model(
        experiment.model,
        len(table),
        seed=experiment.training.seed,
        embeddings=None if experiment.model.embedding == "trained" else table.values,
    )


def _measured(subject, model, ids):
    """Return the curves of one epoch, and the types' places along each property."""
    from keras import ops

    from state_gradients.engine.means import mean_state_gradients
    from state_gradients.engine.network import read_network

    wanted = subject.experiment.gradients
    means = mean_state_gradients(
        model,
        ids,
        max_delay=wanted.max_delay,
        state=wanted.states or read_network(model).cells[0].names,
        window=wanted.window,
        second_moment=True,
        progress=subject.progress,
    )
    table = ops.convert_to_numpy(model.get_layer("embedding").embeddings)
    of_epoch = summary.spectra_of(
        means["state_gradient"], table, means["second_moment"]
    )
    curves = of_epoch.sel(normalization="whitened", drop=True)
    fitted = fit_whitening(table)
    gradient = whiten_gradient(means["state_gradient"], fitted)
    white = (table - fitted.mean) @ fitted.Z.T
    relative, lengths, places = [], [], []
    for name in tags.PROPERTIES:
        step = halved.step_between(white, properties.halves_of(subject.tags, name))
        direction = xr.DataArray(step / np.linalg.norm(step), dims="embedding")
        relative.append(spectra.relative_memory(gradient, direction))
        lengths.append(np.linalg.norm(step))
        places.append(white @ direction.values)
    names = xr.Variable("property", [*tags.PROPERTIES])
    squares = (curves["s"] ** 2).sum("component")
    found = curves[[*OF_DELAY, "rms_memory"]].assign(
        chance=np.sqrt(squares / table.shape[1]) / curves["memory"],
        relative_memory=xr.concat(relative, names),
        step_length=("property", lengths),
    )
    found = found.drop_vars("group", errors="ignore").astype(np.float32)
    return found, places


def _by_chance(subject):
    size = subject.encoder.sizes["embedding"]
    halves = (properties.halves_of(subject.tags, name) for name in tags.PROPERTIES)
    return [np.sqrt(size * (1 / each.a.sum() + 1 / each.b.sum())) for each in halves]


def half_way(values):
    """Return the first epoch at which half of the change of training has come about.

    Parameters
    ----------
    values : DataArray of shape (epoch,)
        From the untrained network to the trained.

    Returns
    -------
    int
    """
    first, last = values.values[[0, -1]]
    share = (values.values - first) / (last - first)
    return int(values["epoch"].values[np.argmax(share >= 0.5)])
