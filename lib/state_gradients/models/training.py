"""Training as the paper's recipe has it, resumable, and perplexity.

    loss = sum over steps and rows of -ln p(target) / batch_size,
    clipped at a global norm, with the embedding's part taken per occurrence.

The target is the next word; of a tagger it is the class of a word that has been read.
A mean over tokens would make the gradient `num_steps` times smaller and, with the
learning rate of 1, be another training regime. Dropout masks are a function of (seed,
epoch, batch), so that a resumed run equals an unbroken one bit for bit.
"""

import sys
import time
import warnings
from dataclasses import dataclass

import keras
import numpy as np
import xarray as xr
from keras import ops
from tqdm.auto import tqdm

from state_gradients.foundation import backends
from state_gradients.foundation.checks import whole_number
from state_gradients.foundation.labels import about
from state_gradients.models import batching, checkpoints, evaluation, language_model
from state_gradients.models.checkpoints import CURVES
from state_gradients.models.evaluation import perplexity
from state_gradients.text import tasks, vectors

FAR = 10  # times a uniform guess, at which a training is warned of, and let go on


class TrainingDivergedError(RuntimeError):
    """The loss is not finite."""


class FarAboveGuessingWarning(RuntimeWarning):
    """The validation perplexity is more than `FAR` times that of a uniform guess."""


def _training_step(model, config):
    """Return the compiled step: values and a window to new values, states, loss."""
    table = model.get_layer("embedding")
    variables = model.trainable_variables
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
    model = experiment.model
    config = experiment.training

    def mask(number, size, rate):
        if not rate:
            return None
        rng = np.random.default_rng([config.seed, epoch, batch, number])
        shape = (config.batch_size, config.num_steps, size)
        stays = rng.random(shape, dtype=np.float32) >= rate
        return stays.astype(np.float32) / (1 - rate)

    return [
        mask(0, model.embedding_size, model.embedding_dropout),
        mask(1, model.units, model.dropout),
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


def train(experiment, *, text=None, resume=True, root=None, progress=True, keep=()):
    """Train a language model to its stop, one checkpoint an epoch.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
    text : state_gradients.text.vocabulary.Text, optional
        Loaded by name when absent. With what is asked, if that is not the next word.
    resume : bool
        Go on from the last checkpoint of the same settings and text, if there is one.
    root : path-like, optional
        The project's root, under which the checkpoint stands.
    progress : bool
        Whether to show a bar with perplexity and the time left.
    keep : sequence of int
        Epochs after which the encoder is kept beside the checkpoint, those that are
        reached. What is trained does not depend on it.

    Returns
    -------
    model : keras.Model
    curves : xarray.Dataset
        ``train_perplexity``, ``valid_perplexity``, ``learning_rate``, ``seconds`` per
        epoch (dim ``epoch``, from 1); ``far_above_guessing`` where any epoch was so.
        Its attributes are the fingerprints of what was read: ``corpus``, unless `text`
        was given without, and of frozen vectors ``embedding_hash``.

    Raises
    ------
    ValueError
        If the checkpoint is damaged or has seen more epochs than the experiment may, or
        an encoder is to be kept of an epoch that has gone by.
    TrainingDivergedError
        If a loss or perplexity is not finite; the last good checkpoint stays.
    ValueError
        If the training or validation text is too short for one window, or the
        embedding does not fit the vocabulary, or the text does not say what is asked of
        a tagger; before any work.
    """
    text = tasks.load(experiment) if text is None else text
    _refuse_another_task(text, experiment.training)
    _refuse_short_splits(text, experiment.training)
    model, n_drawn, read = _new_model(experiment, text)
    path = checkpoints.checkpoint_path(experiment, root=root, read=read)
    if resume and path.exists():
        state = _resumed(model, experiment.training, path)
    else:
        state = _begun(model, experiment.training)
    _refuse_epochs_gone_by(keep, len(state.history["seconds"]), path)
    step = _training_step(model, experiment.training)
    while not _has_ended(state.history["valid_perplexity"], experiment.training):
        state = _after_epoch(state, model, step, text, experiment, progress)
        checkpoints.save_checkpoint(path, *state.arrays(), state.history)
        if (epoch := len(state.history["seconds"])) in keep:
            values = [
                ops.convert_to_numpy(variable.value)
                for variable in language_model.encoder_variables(model)
            ]
            kept = checkpoints.kept_path(path, epoch)
            checkpoints.save_checkpoint(kept, values, [], state.history)
    curves = _curves(state.history, text.n_answers, n_drawn)
    return model, curves.assign_attrs(read)


def _refuse_epochs_gone_by(keep, n_epochs, path):
    for epoch in keep:
        whole_number(epoch, "train", "keep", least=1)
    gone = [
        epoch
        for epoch in sorted(keep)
        if epoch <= n_epochs and not checkpoints.kept_path(path, epoch).is_file()
    ]
    if gone:
        raise ValueError(
            f"train: encoders must be kept of epochs to come, received {gone}, and the "
            f"checkpoint {path} is of epoch {n_epochs}; leave them out, or train with "
            "--restart."
        )


@dataclass(frozen=True)
class _State:
    """What training goes on from after an epoch; a checkpoint holds it."""

    values: list  # of the trainable variables
    squares: list  # Adagrad's sums of squared gradients; none without it
    history: dict  # of `CURVES`, a value an epoch

    def arrays(self):
        """Return values and squares as NumPy arrays."""
        return tuple(
            [ops.convert_to_numpy(tensor) for tensor in tensors]
            for tensors in (self.values, self.squares)
        )


def _window_sizes(config):
    return {"batch_size": config.batch_size, "num_steps": config.num_steps}


def _refuse_another_task(text, config):
    if (text.asked is None) != (config.tags_back is None):
        said = "nothing" if text.asked is None else f"{text.n_answers} classes"
        raise ValueError(
            "train: a text must ask for classes if training.tags_back is a number, and "
            f"for nothing but the next word if it is null; received {said} with "
            f"tags_back: {config.tags_back}; load it by tasks.load(experiment)."
        )


def _asked(text, split):
    return None if text.asked is None else text.asked.splits[split]


def _refuse_short_splits(text, config):
    """Refuse what would first be known after an epoch."""
    for split in ("train", "valid"):
        batching.windows(text.splits[split], **_window_sizes(config))


def _new_model(experiment, text):
    """Return the untrained model, how many vectors were drawn, and what was read."""
    embeddings = None
    drawn = []
    read = {"corpus": text.fingerprint} if text.fingerprint else {}
    if experiment.model.embedding == "frozen":
        embeddings, drawn, read["embedding_hash"] = vectors.load(
            experiment.model.embedding_file,
            text.vocabulary,
            corpus=experiment.corpus.name,
        )
    model = language_model.build_language_model(
        experiment.model,
        len(text.vocabulary),
        seed=experiment.training.seed,
        embeddings=embeddings,
        n_answers=text.n_answers,
    )
    return model, len(drawn), read


def _begun(model, config):
    values = [variable.value for variable in model.trainable_variables]
    squares = []
    if config.optimizer == "adagrad":
        squares = [ops.full_like(value, 0.1) for value in values]
    return _State(values, squares, {name: [] for name in CURVES})


def _resumed(model, config, path):
    state = _State(
        *checkpoints.load_checkpoint(
            path,
            shapes=[tuple(variable.shape) for variable in model.trainable_variables],
            has_squares=config.optimizer == "adagrad",
        )
    )
    _refuse_beyond_the_end(state.history["valid_perplexity"], config, path)
    _assign(model, state.values)
    return state


def _after_epoch(state, model, step, text, experiment, progress):
    """Train an epoch, let the model have its weights, and return the state after it."""
    started = time.monotonic()
    config, sizes = experiment.training, _window_sizes(experiment.training)
    epoch = len(state.history["seconds"]) + 1
    rate = config.learning_rate * config.decay ** max(epoch - config.decay_after, 0)
    windows = tqdm(
        batching.windows(text.splits["train"], **sizes, asked=_asked(text, "train")),
        total=batching.n_windows(len(text.splits["train"]), **sizes),
        desc=f"{experiment.name} epoch {epoch}/{config.max_epochs}",
        disable=not progress,
        mininterval=5,
    )
    states = language_model.zero_states(model, config.batch_size)
    values, squares, fitted = _run_windows(
        step, (state.values, state.squares, states), windows, rate, experiment, epoch
    )
    _assign(model, values)
    valid = perplexity(
        model, text.splits["valid"], **sizes, asked=_asked(text, "valid")
    )
    _refuse_unless_finite("validation perplexity", valid, f"epoch {epoch}")
    if _is_far_above_guessing(valid, text.n_answers):
        _warn_far_above_guessing(valid, text.n_answers, experiment.name, epoch)
    seconds = time.monotonic() - started
    if progress:
        line = f"{windows.desc}: valid {valid:.3f}, {seconds:.0f} s"
        tqdm.write(line, file=sys.stderr)  # what a command prints is its result
    row = dict(zip(CURVES, (fitted, valid, rate, seconds), strict=True))
    history = {name: [*state.history[name], float(row[name])] for name in CURVES}
    return _State(values, squares, history)


def _run_windows(step, state, windows, rate, experiment, epoch):
    """Run every window of the training text once; the state starts from zero."""
    values, squares, states = state
    total = 0.0
    for batch, window in enumerate(windows):
        masks = dropout_masks(experiment, epoch, batch)
        values, squares, states, loss = step(
            values, squares, np.float32(rate), *window, states, masks
        )
        loss = float(loss) / experiment.training.num_steps
        _refuse_unless_finite("loss", loss, f"epoch {epoch}, batch {batch}")
        total += loss
        with np.errstate(over="ignore"):  # refused below if the mean is so large
            fitted = np.exp(total / (batch + 1))
        windows.set_postfix(perplexity=f"{fitted:.2f}", refresh=False)
    _refuse_unless_finite("training perplexity", fitted, f"the end of epoch {epoch}")
    return values, squares, fitted


def _curves(history, n_types, n_drawn):
    """Return the history as a Dataset, with what few trainings have to tell."""
    curves = {
        name: ("epoch", np.asarray(history[name], np.float64), about(name))
        for name in CURVES
    }
    if n_drawn:
        curves["n_drawn_vectors"] = ((), n_drawn, about("n_drawn_vectors"))
    far = _is_far_above_guessing(np.asarray(history["valid_perplexity"]), n_types)
    if far.any():
        name = "far_above_guessing"
        curves[name] = ("epoch", far.astype(np.int8), about(name))
    epochs = np.arange(1, len(history["seconds"]) + 1)
    return xr.Dataset(curves, coords={"epoch": epochs})


def _is_far_above_guessing(valid_perplexity, n_types):
    return valid_perplexity > FAR * n_types


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
        stacklevel=4,  # the caller of `train`
    )
