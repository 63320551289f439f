"""Training: the recipe step by step, resumption after a kill, clear failures."""

import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

from state_gradients.foundation import settings
from state_gradients.models import (
    batching,
    checkpoints,
    evaluation,
    language_model,
    training,
)
from state_gradients.models.checkpoints import checkpoint_path, load_checkpoint
from state_gradients.text import vectors
from state_gradients.text.corpora import Text
from state_gradients.text.vocabulary import Asked, Vocabulary

V, E, H = 9, 3, 5
EXPERIMENT = settings.Experiment(
    name="small",
    model=settings.Model(units=H, embedding_size=E, dropout=0.3),
    training=settings.Training(
        seed=5, batch_size=2, num_steps=4, max_epochs=4, learning_rate=0.5
    ),
)


def small_text(seed=0, length=120):
    """A text with something to learn: the next token is one or two further on."""
    rng = np.random.default_rng(seed)

    def stream():
        return np.cumsum(rng.choice([1, 1, 1, 2], size=length)).astype(np.int32) % V

    tokens = (*(f"w{k}" for k in range(V - 1)), "<eos>")
    splits = {split: stream() for split in ("train", "valid", "test")}
    return Text(vocabulary=Vocabulary(tokens), splits=splits)


def with_training(**changes):
    return replace(EXPERIMENT, training=replace(EXPERIMENT.training, **changes))


def train(experiment, root, **options):
    return training.train(
        experiment, text=small_text(), root=root, progress=False, **options
    )


def numpy_loss(named, ids, targets, masks):
    """Summed loss over the steps divided by the batch, from zero, in float64."""
    w, u, b = (
        named[f"recurrent_1.{k}"].astype(np.float64)
        for k in ("kernel", "recurrent_kernel", "bias")
    )
    k, kb = named["logits.kernel"], named["logits.bias"]
    below, above = (1 if mask is None else mask for mask in masks)
    inputs = (named["occurrences"] + named["embedding"][ids]) * below
    total = 0.0
    for row in range(len(ids)):
        h, c = np.zeros(H), np.zeros(H)
        outputs = []
        for z in inputs[row]:
            i, f, g, o = np.split(z @ w + h @ u + b, 4)
            i, f, o = (1 / (1 + np.exp(-x)) for x in (i, f, o))
            c = f * c + i * np.tanh(g)
            h = o * np.tanh(c)
            outputs.append(h)
        logits = (np.array(outputs) * above[row]) @ k + kb
        total += np.log(np.exp(logits).sum(axis=1)).sum()
        total -= logits[np.arange(len(logits)), targets[row]].sum()
    return total / len(ids)


def central_differences(named, loss):
    """Return d loss / d x for every array x of `named`, which `loss` takes."""
    gradients, step = {}, 1e-6
    for name, values in named.items():
        gradients[name] = np.zeros_like(values)
        for entry in np.ndindex(values.shape):
            kept, sides = values[entry], []
            for sign in (1, -1):
                values[entry] = kept + sign * step
                sides.append(loss(named))
            values[entry] = kept
            gradients[name][entry] = (sides[0] - sides[1]) / (2 * step)
    return gradients


DROPPED = {"embedding_dropout": 0.4}
FROZEN = {"embedding": "frozen"}


@pytest.mark.parametrize(
    ("optimizer", "clip_norm", "embedding"),
    [
        ("sgd", 1e3, {}),
        ("sgd", 0.05, {}),
        ("adagrad", 1e3, {}),
        ("adagrad", 0.05, {}),
        ("sgd", 0.05, DROPPED),
        ("adagrad", 1e3, DROPPED),
        ("sgd", 0.5, FROZEN),
        ("adagrad", 0.05, FROZEN | DROPPED),
    ],
)
def test_one_step_equals_central_differences_clipped_and_applied(
    optimizer, clip_norm, embedding
):
    experiment = with_training(optimizer=optimizer, clip_norm=clip_norm)
    experiment = replace(experiment, model=replace(experiment.model, **embedding))
    is_frozen = experiment.model.embedding == "frozen"
    table = np.random.default_rng(1).normal(size=(V, E)) if is_frozen else None
    model = language_model.build_language_model(
        experiment.model, V, seed=5, embeddings=table
    )
    # gates that curve; an input whose gradient, were it counted, would show in the norm
    factor = 40 if is_frozen else 10
    for variable in model.trainable_variables:
        variable.assign(variable.value * factor)
    # three words, repeated: the norm per occurrence is another one than the summed
    ids, targets = np.random.default_rng(0).integers(3, size=(2, 2, 4), dtype=np.int32)
    masks = training.dropout_masks(experiment, 1, 0)
    named = {k: v.astype(np.float64) for k, v in language_model.weights(model).items()}
    named["occurrences"] = np.zeros((2, 4, E))
    gradients = central_differences(named, lambda x: numpy_loss(x, ids, targets, masks))
    if is_frozen:  # neither moved nor counted
        del gradients["embedding"], gradients["occurrences"]
    # the embedding's part of the norm is per occurrence, before repeated words add up
    norm = np.sqrt(sum((g**2).sum() for k, g in gradients.items() if k != "embedding"))
    scale = min(1, clip_norm / norm)
    assert (scale < 1) == (clip_norm < 1)
    values = [v.value for v in model.trainable_variables]
    squares = [ops.full_like(v, 0.1) for v in values if optimizer == "adagrad"]
    run = training._training_step(model, experiment.training)
    states = language_model.zero_states(model, 2)
    after, _, _, loss = run(
        values, squares, np.float32(0.5), ids, targets, states, masks
    )
    assert float(loss) == pytest.approx(
        numpy_loss(named, ids, targets, masks), rel=1e-5
    )
    names = [name for name in gradients if name != "occurrences"]
    for name, value in zip(names, after, strict=True):
        g = gradients[name] * scale
        moved = g / np.sqrt(0.1 + g * g) if optimizer == "adagrad" else g
        # float32 gradients of order one over 4 steps: 1e-5 relative to the largest
        np.testing.assert_allclose(
            ops.convert_to_numpy(value), named[name] - 0.5 * moved, rtol=0, atol=2e-5
        )


@pytest.mark.parametrize("embedding", ["frozen", "one-hot"])
def test_a_training_leaves_fixed_embeddings_as_they_are(tmp_path, embedding):
    size = V if embedding == "one-hot" else E
    config_of = replace(EXPERIMENT.model, embedding=embedding, embedding_size=size)
    experiment = replace(EXPERIMENT, model=config_of)
    table, text = np.eye(V), small_text()
    if embedding == "frozen":
        table = np.random.default_rng(2).normal(size=(V, E)).astype(np.float32)
        path = tmp_path / "vectors.txt"
        with path.open("w") as stream:
            vectors.write_vectors(stream, text.vocabulary, table)
        config_of = replace(config_of, embedding_file=str(path))
        experiment = replace(experiment, model=config_of)
    experiment = replace(
        experiment, training=replace(experiment.training, max_epochs=1)
    )
    model, _ = train(experiment, tmp_path)
    found = language_model.weights(model)
    np.testing.assert_array_equal(found["embedding"], table)
    initial = language_model.build_language_model(
        config_of, V, seed=5, embeddings=table
    )
    for name, value in language_model.weights(initial).items():
        assert np.array_equal(found[name], value) == (name == "embedding")


def test_schedule_epochs_and_learning(tmp_path):
    experiment = with_training(decay_after=2, patience=9)
    _, curves = train(experiment, tmp_path)
    np.testing.assert_allclose(
        curves["learning_rate"], 0.5 * 0.8 ** np.array([0, 0, 1, 2])
    )
    assert list(curves["epoch"].values) == [1, 2, 3, 4]
    assert curves["valid_perplexity"][-1] < curves["valid_perplexity"][0] < 1.1 * V


def test_stops_when_each_of_three_epochs_gains_too_little():
    recipe = settings.Training(patience=3, min_improvement=0.001)
    assert not training.has_settled([100, 99.99, 99.98], recipe)
    assert training.has_settled([100, 99.99, 99.98, 99.97], recipe)
    assert not training.has_settled([100, 99.99, 99.0, 98.99], recipe)
    # a rise and the way back is no improvement on the best so far
    assert training.has_settled([100, 120, 110, 99.99], recipe)


def test_untrained_experiment_keeps_its_initial_weights(tmp_path):
    model, curves = train(with_training(max_epochs=0), tmp_path)
    initial = language_model.build_language_model(EXPERIMENT.model, V, seed=5)
    for name, value in language_model.weights(initial).items():
        np.testing.assert_array_equal(language_model.weights(model)[name], value)
    assert curves.sizes["epoch"] == 0


SCRIPT = """
import sys, time
from pathlib import Path
sys.path[:0] = {path!r}
import test_training

masks = test_training.training.dropout_masks

def wait_to_be_killed(experiment, epoch, batch):
    if (epoch, batch) == {cut!r}:
        Path({reached!r}).touch()
        time.sleep(600)
    return masks(experiment, epoch, batch)

test_training.training.dropout_masks = wait_to_be_killed
test_training.train(test_training.EXPERIMENT, {root!r})
"""


@pytest.mark.slow
def test_a_killed_run_resumes_to_identical_weights(tmp_path):
    whole, unbroken = train(EXPERIMENT, tmp_path / "whole")
    reached, cut = tmp_path / "reached", (3, 5)  # the sixth batch of epoch 3, of 14
    script = SCRIPT.format(
        path=[str(Path(__file__).parent)],
        cut=cut,
        reached=str(reached),
        root=str(tmp_path / "cut"),
    )
    child = subprocess.Popen([sys.executable, "-c", script])
    deadline = time.monotonic() + 300
    while not reached.is_file() and child.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    assert child.wait() == -signal.SIGKILL  # it neither ended nor stopped by itself
    path = checkpoint_path(EXPERIMENT, root=tmp_path / "cut")
    done = len(load_checkpoint(path)[2]["seconds"])
    assert 1 <= done == cut[0] - 1 < 4
    resumed, curves = train(EXPERIMENT, tmp_path / "cut")
    assert curves.sizes["epoch"] == 4
    for name in ("train_perplexity", "valid_perplexity"):
        np.testing.assert_array_equal(curves[name], unbroken[name])
    for name, value in language_model.weights(whole).items():
        np.testing.assert_array_equal(language_model.weights(resumed)[name], value)


@pytest.mark.parametrize("optimizer", ["sgd", "adagrad"])
def test_resuming_at_every_epoch_equals_an_unbroken_run(
    tmp_path, monkeypatch, optimizer
):
    experiment = with_training(optimizer=optimizer)
    whole, _ = train(experiment, tmp_path / "whole")

    class CutError(Exception):
        pass

    save = checkpoints.save_checkpoint

    def save_and_stop(*arguments):
        save(*arguments)
        raise CutError

    monkeypatch.setattr(checkpoints, "save_checkpoint", save_and_stop)
    for _ in range(4):
        with pytest.raises(CutError):
            train(experiment, tmp_path / "cut")
    monkeypatch.undo()
    resumed, curves = train(experiment, tmp_path / "cut")
    assert curves.sizes["epoch"] == 4
    for name, value in language_model.weights(whole).items():
        np.testing.assert_array_equal(language_model.weights(resumed)[name], value)


def test_a_split_too_short_for_a_window_is_refused_before_training(tmp_path):
    text = small_text()
    short = replace(text, splits=text.splits | {"valid": text.splits["valid"][:9]})
    with pytest.raises(ValueError, match="needs 10 tokens, received 9"):
        training.train(EXPERIMENT, text=short, root=tmp_path, progress=False)
    assert not list(tmp_path.iterdir())


def test_a_longer_training_goes_on_and_a_shorter_one_is_refused(tmp_path):
    whole, _ = train(with_training(patience=9), tmp_path / "whole")
    train(with_training(max_epochs=2), tmp_path / "cut")
    longer, curves = train(with_training(patience=9), tmp_path / "cut")
    assert curves.sizes["epoch"] == 4
    for name, value in language_model.weights(whole).items():
        np.testing.assert_array_equal(language_model.weights(longer)[name], value)
    with pytest.raises(ValueError, match=r"beyond epoch 3, .* holds 4 epochs"):
        train(with_training(max_epochs=3), tmp_path / "cut")
    with pytest.raises(ValueError, match=r"beyond epoch 2, .* holds 4 epochs"):
        train(with_training(patience=1, min_improvement=0.9), tmp_path / "cut")


def test_divergence_stops_and_keeps_the_last_good_checkpoint(tmp_path):
    train(with_training(), tmp_path)
    path = checkpoint_path(with_training(), root=tmp_path)
    before = path.read_bytes()
    # the largest rate of float32: the first step already overflows
    longer = with_training(max_epochs=9, learning_rate=3.4e38, patience=9)
    other = checkpoint_path(longer, root=tmp_path)
    other.parent.mkdir()
    other.write_bytes(before)
    with pytest.raises(training.TrainingDivergedError, match="epoch 5, batch 1"):
        train(longer, tmp_path)
    assert other.read_bytes() == before


def test_a_training_far_above_guessing_is_warned_of_recorded_and_goes_on(tmp_path):
    # large weights: finite losses of more than ln(10 V) nats
    loud = with_training(learning_rate=30.0, clip_norm=50.0, max_epochs=2, patience=9)
    with pytest.warns(training.FarAboveGuessingWarning, match="guess, 9; it goes on"):
        _, curves = train(loud, tmp_path)
    assert curves.sizes["epoch"] == 2
    far = curves["valid_perplexity"] > 10 * V
    assert far.any()
    np.testing.assert_array_equal(curves["far_above_guessing"], far)
    _, quiet = train(EXPERIMENT, tmp_path)
    assert "far_above_guessing" not in quiet


def test_perplexity_of_a_known_distribution():
    small = settings.Model(units=H, embedding_size=E)
    model = language_model.build_language_model(small, V, seed=1)
    bias = np.log(np.arange(1, V + 1) / np.arange(1, V + 1).sum())
    model.get_layer("logits").set_weights([np.zeros((H, V)), bias])
    ids = np.random.default_rng(0).integers(V, size=103)
    for batch_size, num_steps in ((1, 1), (2, 7), (1, 50)):
        rows = batching.windows(ids, batch_size, num_steps)
        targets = np.concatenate([t.ravel() for _, t in rows])
        found = training.perplexity(
            model, ids, batch_size=batch_size, num_steps=num_steps
        )
        assert found == pytest.approx(np.exp(-bias[targets].mean()), rel=1e-6)


def test_state_is_carried_whatever_the_window():
    model = language_model.build_language_model(
        settings.Model(units=H, embedding_size=E), V
    )
    for variable in model.trainable_variables:
        variable.assign(variable.value * 20)
    ids = np.random.default_rng(0).integers(V, size=61)
    one, guess = evaluation.token_losses(model, ids, batch_size=1, num_steps=1)
    sixty, again = evaluation.token_losses(model, ids, batch_size=1, num_steps=60)
    assert one.shape == (1, 60)
    np.testing.assert_allclose(one, sixty, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(guess, again)
    whole = keras.ops.convert_to_numpy(model(ids[None, :-1]))
    np.testing.assert_array_equal(guess[0], whole[0].argmax(-1))


def test_dropout_masks_depend_on_seed_epoch_and_batch_alone():
    first = training.dropout_masks(EXPERIMENT, 1, 2)
    assert first[0] is None
    np.testing.assert_array_equal(first[1], training.dropout_masks(EXPERIMENT, 1, 2)[1])
    for epoch, batch in ((1, 3), (2, 2)):
        other = training.dropout_masks(EXPERIMENT, epoch, batch)[1]
        assert not np.array_equal(first[1], other)
    wide = replace(EXPERIMENT, model=replace(EXPERIMENT.model, units=5000, dropout=0.3))
    mask = training.dropout_masks(wide, 1, 1)[1]
    np.testing.assert_allclose(np.unique(mask), [0, 1 / 0.7], rtol=1e-6)
    # 40,000 draws: standard deviation of the mean 0.0023 / 0.7
    assert mask.mean() == pytest.approx(1, abs=0.013)


def test_embedding_dropout_masks_the_input():
    model = replace(EXPERIMENT.model, embedding_dropout=0.5)
    masks = training.dropout_masks(replace(EXPERIMENT, model=model), 1, 1)
    assert masks[0].shape == (2, 4, E)
    assert masks[1].shape == (2, 4, H)


# ------------------------------------------------------------------- taggers


def tagging(back, **changes):
    training_of_tags = replace(EXPERIMENT.training, tags_back=back, **changes)
    corpus = settings.Corpus(name="brown")
    return replace(EXPERIMENT, corpus=corpus, training=training_of_tags)


def asking(text, answers, n_answers):
    """Return a text that asks for `answers` of each split's ids."""
    classes = tuple(f"class{k}" for k in range(n_answers))
    splits = {split: answers(ids) for split, ids in text.splits.items()}
    return replace(text, asked=Asked(classes, splits))


def test_a_tagger_that_is_asked_for_the_next_word_is_the_language_model(tmp_path):
    def next_ones(ids):
        return np.roll(ids, -1)  # the last one is asked of nobody

    model, curves = train(EXPERIMENT, tmp_path / "words")
    tagger, same = training.train(
        tagging(0),
        text=asking(small_text(), next_ones, V),
        root=tmp_path / "tags",
        progress=False,
    )
    for name in ("train_perplexity", "valid_perplexity"):
        np.testing.assert_array_equal(same[name], curves[name])
    for name, value in language_model.weights(model).items():
        np.testing.assert_array_equal(language_model.weights(tagger)[name], value)


def test_a_tagger_learns_what_stood_before_and_its_accuracy_is_counted(tmp_path):
    def odd_before(ids):
        return np.concatenate([[0], ids[:-1] % 2]).astype(np.int32)

    text = asking(small_text(length=1200), odd_before, 2)
    experiment = replace(
        tagging(1, max_epochs=12, num_steps=8, patience=12),
        model=replace(EXPERIMENT.model, dropout=0.0, initial_range=0.5),
    )
    model, curves = training.train(experiment, text=text, root=tmp_path, progress=False)
    assert model.output_shape[-1] == text.n_answers == 2
    assert model.get_layer("embedding").input_dim == V
    # chance is a perplexity of 2; what it must name has been read: 1 is in reach
    assert curves["valid_perplexity"][-1] < 1.2
    ids, asked = text.splits["valid"], text.asked.splits["valid"]
    logits = ops.convert_to_numpy(model(ids[None]))[0]
    # asked for something else at every third token
    other = np.where(np.arange(len(ids)) % 3 == 0, 1 - asked, asked)
    right = logits.argmax(axis=1)[:-1] == other[:-1]
    assert 0.6 < right.mean() < 0.7
    assert evaluation.accuracy(model, ids, other) == pytest.approx(right.mean())


def test_a_text_must_ask_what_the_settings_say(tmp_path):
    text = small_text()
    with pytest.raises(ValueError, match="received nothing with tags_back: 1"):
        training.train(tagging(1), text=text, root=tmp_path)
    tags = asking(text, lambda ids: ids % 2, 2)
    with pytest.raises(ValueError, match="received 2 classes with tags_back: None"):
        training.train(EXPERIMENT, text=tags, root=tmp_path)
    assert not list(tmp_path.iterdir())
