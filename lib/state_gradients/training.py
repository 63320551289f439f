"""Training as the paper's recipe has it, resumable, and perplexity.

    loss = sum over steps and rows of -ln p(w_{t+1}) / batch_size,
    clipped at a global norm, with the embedding's part taken per occurrence.

A mean over tokens would make the gradient `num_steps` times smaller and, with the
learning rate of 1, be another training regime. Dropout masks are a function of (seed,
epoch, batch), so that a resumed run equals an unbroken one bit for bit.
"""

import time

import keras
import numpy as np
import xarray as xr
from keras import ops
from tqdm.auto import tqdm

from state_gradients import backends, batching, corpora, evaluation, labelling, models
from state_gradients.checkpoints import (
    checkpoint_path,
    load_checkpoint,
    save_checkpoint,
)
from state_gradients.evaluation import perplexity, token_losses

__all__ = ["dropout_masks", "has_settled", "perplexity", "token_losses", "train"]

CURVES = ("train_perplexity", "valid_perplexity", "learning_rate", "seconds")


class TrainingDivergedError(RuntimeError):
    """The loss is not finite, or far above a uniform guess."""


def _training_step(model, config):
    """Return the compiled step: values and a window to new values, states, loss."""
    table, inner = model.get_layer("embedding"), model.trainable_variables
    trained = table.trainable
    inner = inner[1:] if trained else inner

    def step(values, squares, rate, ids, targets, states, masks):
        inner_values = values[1:] if trained else values
        weights = values[0] if trained else table.embeddings.value
        embedded = ops.take(weights, ids, axis=0)

        def loss_of(arguments):
            inner_values, embedded = arguments
            mapping = list(zip(inner, inner_values, strict=True))
            with keras.StatelessScope(state_mapping=mapping):
                if masks[0] is not None:
                    embedded = embedded * masks[0]
                logits, after = models.run_layers(model, embedded, states, masks[1])
            losses = evaluation.token_nll(logits, targets)
            return ops.sum(losses) / config.batch_size, after

        (loss, states), (gradients, occurrences) = backends.value_and_gradients(
            loss_of, (list(inner_values), embedded)
        )
        if trained:
            norms = [*gradients, occurrences]
            rows = ops.reshape(occurrences, (-1, occurrences.shape[-1]))
            summed = ops.segment_sum(rows, ops.reshape(ids, (-1,)), weights.shape[0])
            gradients = [summed, *gradients]
        else:
            norms = gradients
        norm = ops.sqrt(sum(ops.sum(ops.square(g)) for g in norms))
        scale = config.clip_norm / ops.maximum(norm, config.clip_norm)
        gradients = [g * scale for g in gradients]
        if config.optimizer == "adagrad":  # as in TensorFlow 1: no epsilon, start 0.1
            squares = [a + g * g for a, g in zip(squares, gradients, strict=True)]
            gradients = [
                g / ops.sqrt(a) for a, g in zip(squares, gradients, strict=True)
            ]
        values = [v - rate * g for v, g in zip(values, gradients, strict=True)]
        return values, squares, states, loss

    return backends.compiled(step)


def dropout_masks(experiment, epoch, batch):
    """Return the masks ``(embedding, output)`` of one batch, None where nothing drops.

    Kept entries are 1 / (1 - rate). A function of (seed, epoch, batch) alone.
    """
    model, config = experiment.model, experiment.training
    shape, masks = (config.batch_size, config.num_steps), []
    rates = (model.embedding_dropout, model.dropout)
    for place, rate in enumerate(rates):
        size = (model.embedding_size, model.units)[place]
        rng = np.random.default_rng([config.seed, epoch, batch, place])
        kept = rng.random((*shape, size), dtype=np.float32) >= rate if rate else None
        masks.append(None if kept is None else kept.astype(np.float32) / (1 - rate))
    return masks


def _assign(model, values):
    for variable, value in zip(model.trainable_variables, values, strict=True):
        variable.assign(value)


def has_settled(valid_perplexity, config):
    """Return whether each of the last `patience` epochs improved too little."""
    best = np.minimum.accumulate(valid_perplexity)
    gains = 1 - np.asarray(valid_perplexity[1:]) / best[:-1]
    last = gains[-config.patience :]
    return len(last) == config.patience and bool(np.all(last < config.min_improvement))


def train(experiment, *, text=None, resume=True, root=None, progress=True):
    """Train a language model to its stop, one checkpoint an epoch.

    Parameters
    ----------
    experiment : state_gradients.config.Experiment
    text : state_gradients.vocabulary.Text, optional
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
        epoch (dim ``epoch``, from 1).

    Raises
    ------
    ValueError
        If the checkpoint has seen more epochs than the experiment may.
    TrainingDivergedError
        If a loss is not finite or the validation perplexity is ten times that of a
        uniform guess; the last good checkpoint stays.
    ValueError
        If the training or validation text is too short for one window, or the
        embedding does not fit the vocabulary; before any work.
    """
    config, shown = experiment.training, experiment.name if progress else None
    text = corpora.load(experiment.corpus) if text is None else text
    for split in ("train", "valid"):  # too short: not first known after an epoch
        batching.windows(text.splits[split], config.batch_size, config.num_steps)
    size, embeddings = len(text.vocabulary), None
    if experiment.model.embedding == "frozen":
        embeddings = corpora.read_embeddings(
            experiment.model.embedding_file, text.vocabulary
        )
    model = models.build_language_model(
        experiment.model, size, seed=config.seed, embeddings=embeddings
    )
    values = [variable.value for variable in model.trainable_variables]
    squares = [ops.full_like(v, 0.1) for v in values if config.optimizer == "adagrad"]
    history = {name: [] for name in CURVES}
    path = checkpoint_path(experiment, root=root)
    if resume and path.is_file():
        values, squares, history = load_checkpoint(path)
        done, valid = len(history["seconds"]), history["valid_perplexity"]
        stops = [k for k in range(done) if has_settled(valid[:k], config)]
        if done > (end := min([config.max_epochs, *stops])):
            raise ValueError(
                f"train: {path} must not be beyond epoch {end}, where these settings "
                f"stop; it holds {done} epochs. Raise `max_epochs` or `patience`, or "
                "train with --restart, which replaces it."
            )
        _assign(model, values)
    step = _training_step(model, config)
    while len(history["seconds"]) < config.max_epochs:
        if has_settled(history["valid_perplexity"], config):
            break
        started, epoch = time.monotonic(), len(history["seconds"]) + 1
        rate = config.learning_rate * config.decay ** max(epoch - config.decay_after, 0)

        def run(values, squares, states, batch, window, epoch=epoch, rate=rate):
            masks = dropout_masks(experiment, epoch, batch)
            return step(values, squares, np.float32(rate), *window, states, masks)

        values, squares, fitted = _run_epoch(
            run, values, squares, model, config, text, epoch, shown
        )
        _assign(model, values)
        valid = perplexity(
            model,
            text.splits["valid"],
            batch_size=config.batch_size,
            num_steps=config.num_steps,
        )
        _check(np.log(valid), np.log(10 * size), f"validation, epoch {epoch}")
        row = (fitted, valid, rate, time.monotonic() - started)
        for name, value in zip(CURVES, row, strict=True):
            history[name].append(float(value))
        arrays = [ops.convert_to_numpy(v) for v in (*values, *squares)]
        save_checkpoint(path, arrays[: len(values)], arrays[len(values) :], history)
        if shown:
            tqdm.write(f"{shown} epoch {epoch}: valid {valid:.3f}, {row[3]:.0f} s")
    return model, _curves(history)


def _run_epoch(run, values, squares, model, config, text, epoch, shown):
    """Run every window of the training text once; the state starts from zero."""
    ids, sizes = text.splits["train"], (config.batch_size, config.num_steps)
    states, total = models.zero_states(model, config.batch_size), 0.0
    n_batches = batching.n_windows(len(ids), *sizes)
    bar = tqdm(
        batching.windows(ids, *sizes),
        total=n_batches,
        desc=f"{shown} epoch {epoch}/{config.max_epochs}",
        disable=shown is None,
        mininterval=5,
    )
    for batch, window in enumerate(bar):
        values, squares, states, loss = run(values, squares, states, batch, window)
        loss = float(loss) / config.num_steps
        _check(loss, np.inf, f"epoch {epoch}, batch {batch}")
        total += loss
        bar.set_postfix(perplexity=f"{np.exp(total / (batch + 1)):.2f}", refresh=False)
    return values, squares, np.exp(total / n_batches)


def _check(loss, bound, where):
    if not loss < bound:
        raise TrainingDivergedError(
            "train: the loss must stay finite, and on the validation text below ten "
            f"times a uniform guess, received {loss:.4g} nats a token at {where}; "
            "lower the learning rate. The checkpoint of the last good epoch stays."
        )


def _curves(history):
    epochs = np.arange(1, len(history["seconds"]) + 1)
    variables = {
        name: ("epoch", np.asarray(history[name], np.float64), labelling.about(name))
        for name in CURVES
    }
    return xr.Dataset(variables, coords={"epoch": epochs})
