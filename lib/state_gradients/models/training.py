"""Training as the paper's recipe has it, resumable, and perplexity.

    loss = sum over steps and rows of -ln p(w_{t+1}) / batch_size,
    clipped at a global norm, with the embedding's part taken per occurrence.

A mean over tokens would make the gradient `num_steps` times smaller and, with the
learning rate of 1, be another training regime. Dropout masks are a function of (seed,
epoch, batch), so that a resumed run equals an unbroken one bit for bit.
"""

import time
import warnings

import keras
import numpy as np
import xarray as xr
from keras import ops
from tqdm.auto import tqdm

from state_gradients.foundation import backends
from state_gradients.foundation.labels import about
from state_gradients.models import batching, checkpoints, evaluation, language_model
from state_gradients.models.evaluation import perplexity as perplexity
from state_gradients.text import corpora, vectors

CURVES = ("train_perplexity", "valid_perplexity", "learning_rate", "seconds")
FAR = 10  # times a uniform guess, at which a training is warned of, and let go on


class TrainingDivergedError(RuntimeError):
    """The loss is not finite."""


class FarAboveGuessingWarning(RuntimeWarning):
    """The validation perplexity is more than `FAR` times that of a uniform guess."""


def _training_step(model, config):
    """Return the compiled step: values and a window to new values, states, loss."""
    table, variables = model.get_layer("embedding"), model.trainable_variables
    first = int(table.trainable)  # where the values after the embedding's begin

    def step(values, squares, rate, ids, targets, states, masks):
        weights = values[0] if first else table.embeddings.value
        embedded = ops.take(weights, ids, axis=0)

        def loss_of(arguments):
            inner, embedded = arguments
            mapping = list(zip(variables[first:], inner, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                if masks[0] is not None:
                    embedded = embedded * masks[0]
                logits, after = language_model.run_layers(
                    model, embedded, states, masks[1]
                )
            losses = evaluation.token_nll(logits, targets)
            return ops.sum(losses) / config.batch_size, after

        (loss, states), (gradients, occurrences) = backends.value_and_gradients(
            loss_of, (list(values[first:]), embedded)
        )
        clipped = [*gradients, occurrences] if first else gradients
        norm = ops.sqrt(sum(ops.sum(ops.square(g)) for g in clipped))
        if first:
            rows = ops.reshape(occurrences, (-1, occurrences.shape[-1]))
            summed = ops.segment_sum(rows, ops.reshape(ids, (-1,)), weights.shape[0])
            gradients = [summed, *gradients]
        scale = config.clip_norm / ops.maximum(norm, config.clip_norm)
        gradients = [g * scale for g in gradients]
        if config.optimizer == "adagrad":  # as in TensorFlow 1: no epsilon, start 0.1
            pairs = zip(squares, gradients, strict=True)
            squares = [a + g * g for a, g in pairs]
            pairs = zip(squares, gradients, strict=True)
            gradients = [g / ops.sqrt(a) for a, g in pairs]
        values = [v - rate * g for v, g in zip(values, gradients, strict=True)]
        return values, squares, states, loss

    return backends.compiled(step)


def dropout_masks(experiment, epoch, batch):
    """Return the masks ``(embedding, output)`` of one batch, None where nothing drops.

    Kept entries are 1 / (1 - rate). A function of (seed, epoch, batch) alone.
    """
    model, config = experiment.model, experiment.training

    def mask(place, size, rate):
        rng = np.random.default_rng([config.seed, epoch, batch, place])
        shape = (config.batch_size, config.num_steps, size)
        kept = rng.random(shape, dtype=np.float32) >= rate
        return kept.astype(np.float32) / (1 - rate)

    layers = (
        (model.embedding_size, model.embedding_dropout),
        (model.units, model.dropout),
    )
    return [
        mask(place, *each) if each[1] else None for place, each in enumerate(layers)
    ]


def _assign(model, values):
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)


def has_settled(valid_perplexity, config):
    """Return whether each of the last `patience` epochs improved too little."""
    best = np.minimum.accumulate(valid_perplexity)
    gains = 1 - np.asarray(valid_perplexity[1:]) / best[:-1]
    last = gains[-config.patience :]
    return len(last) == config.patience and bool(np.all(last < config.min_improvement))


def _has_ended(valid_perplexity, config):
    n_epochs = len(valid_perplexity)
    return n_epochs >= config.max_epochs or has_settled(valid_perplexity, config)


def _refuse_beyond_the_end(valid, config, path):
    for end in range(len(valid)):
        if _has_ended(valid[:end], config):
            raise ValueError(
                f"train: {path} must not be beyond epoch {end}, where these settings "
                f"stop; it holds {len(valid)} epochs. Raise `max_epochs` or "
                "`patience`, or train with --restart, which replaces it."
            )


def train(experiment, *, text=None, resume=True, root=None, progress=True):
    """Train a language model to its stop, one checkpoint an epoch.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
    text : state_gradients.text.vocabulary.Text, optional
        Loaded by name when absent.
    resume : bool
        Go on from the last checkpoint of the same settings and text, if there is one.
    root : path-like, optional
        The project's root, under which the checkpoint stands.
    progress : bool
        Whether to show a bar with perplexity and the time left.

    Returns
    -------
    model : keras.Model
    curves : xarray.Dataset
        ``train_perplexity``, ``valid_perplexity``, ``learning_rate``, ``seconds`` per
        epoch (dim ``epoch``, from 1); ``far_above_guessing`` where any epoch was so.

    Raises
    ------
    ValueError
        If the checkpoint has seen more epochs than the experiment may.
    TrainingDivergedError
        If a loss or perplexity is not finite; the last good checkpoint stays.
    ValueError
        If the training or validation text is too short for one window, or the
        embedding does not fit the vocabulary; before any work.
    """
    config = experiment.training
    sizes = {"batch_size": config.batch_size, "num_steps": config.num_steps}
    text = corpora.load(experiment.corpus) if text is None else text
    for split in ("train", "valid"):  # too short: not first known after an epoch
        batching.windows(text.splits[split], **sizes)
    vocabulary, embeddings, drawn = text.vocabulary, None, []
    if experiment.model.embedding == "frozen":
        file, of = experiment.model.embedding_file, experiment.corpus.name
        embeddings, drawn = vectors.load(file, vocabulary, corpus=of)
    model = language_model.build_language_model(
        experiment.model, len(vocabulary), seed=config.seed, embeddings=embeddings
    )
    values = [variable.value for variable in model.trainable_variables]
    squares = [ops.full_like(v, 0.1) for v in values if config.optimizer == "adagrad"]
    history = {name: [] for name in CURVES}
    path = checkpoints.checkpoint_path(experiment, root=root)
    if resume and path.is_file():
        values, squares, history = checkpoints.load_checkpoint(path)
        _refuse_beyond_the_end(history["valid_perplexity"], config, path)
        _assign(model, values)
    step = _training_step(model, config)
    while not _has_ended(history["valid_perplexity"], config):
        started, epoch = time.monotonic(), len(history["seconds"]) + 1
        rate = config.learning_rate * config.decay ** max(epoch - config.decay_after, 0)
        state = values, squares, language_model.zero_states(model, config.batch_size)
        windows = tqdm(
            batching.windows(text.splits["train"], **sizes),
            total=batching.n_windows(len(text.splits["train"]), **sizes),
            desc=f"{experiment.name} epoch {epoch}/{config.max_epochs}",
            disable=not progress,
            mininterval=5,
        )
        values, squares, fitted = _run_epoch(
            step, state, windows, rate, experiment, epoch
        )
        _assign(model, values)
        valid = perplexity(model, text.splits["valid"], **sizes)
        _refuse_unless_finite("validation perplexity", valid, f"epoch {epoch}")
        if valid > FAR * len(vocabulary):
            _warn_far_above_guessing(valid, len(vocabulary), experiment.name, epoch)
        row = (fitted, valid, rate, time.monotonic() - started)
        for name, value in zip(CURVES, row, strict=True):
            history[name].append(float(value))
        arrays = [[ops.convert_to_numpy(v) for v in each] for each in (values, squares)]
        checkpoints.save_checkpoint(path, *arrays, history)
        if progress:
            tqdm.write(f"{windows.desc}: valid {valid:.3f}, {row[3]:.0f} s")
    epochs = np.arange(1, len(history["seconds"]) + 1)
    curves = {
        name: ("epoch", np.asarray(history[name], np.float64), about(name))
        for name in CURVES
    }
    if drawn:
        curves["n_drawn_vectors"] = ((), len(drawn), about("n_drawn_vectors"))
    far = np.asarray(history["valid_perplexity"]) > FAR * len(vocabulary)
    if far.any():  # only then: most trainings have no use for the variable
        name = "far_above_guessing"
        curves[name] = ("epoch", far.astype(np.int8), about(name))
    return model, xr.Dataset(curves, coords={"epoch": epochs})


def _run_epoch(step, state, windows, rate, experiment, epoch):
    """Run every window of the training text once; the state starts from zero."""
    (values, squares, states), total = state, 0.0
    for batch, window in enumerate(windows):
        masks = dropout_masks(experiment, epoch, batch)
        values, squares, states, loss = step(
            values, squares, np.float32(rate), *window, states, masks
        )
        loss = float(loss) / experiment.training.num_steps
        _refuse_unless_finite("loss", loss, f"epoch {epoch}, batch {batch}")
        total += loss
        with np.errstate(
            over="ignore"
        ):  # refused below, if the mean itself is so large
            fitted = np.exp(total / (batch + 1))
        windows.set_postfix(perplexity=f"{fitted:.2f}", refresh=False)
    _refuse_unless_finite("training perplexity", fitted, f"the end of epoch {epoch}")
    return values, squares, fitted


def _refuse_unless_finite(what, value, where):
    if not np.isfinite(value):
        raise TrainingDivergedError(
            f"train: the {what} must stay finite, received {value:.4g} at {where}; "
            "lower the learning rate. The checkpoint of the last good epoch stays."
        )


def _warn_far_above_guessing(perplexity, n_types, name, epoch):
    warnings.warn(
        f"train: {name} has a validation perplexity of {perplexity:.4g} after epoch "
        f"{epoch}, above {FAR} times that of a uniform guess, {n_types}; it goes on, "
        "and its training curves record it. Where it does not come down, lower the "
        "learning rate.",
        FarAboveGuessingWarning,
        stacklevel=3,
    )
