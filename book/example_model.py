"""Trains the example of "Ask your own model", and inspects it.

Run ``.venv/bin/python book/example_model.py`` at the project's root: in a minute or so
it writes a model, trained and with its random initial weights, a text and its
vocabulary to data/example/, and what the models remember to data/inspection/.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter

from pathlib import Path

import agreement
import keras
import mgu
import numpy as np
import yaml

from state_gradients import cli, inspection
from state_gradients.analysis import spectra, whitening
from state_gradients.engine import means as gradients
from state_gradients.foundation import settings
from state_gradients.models import saved

EXAMPLE, RESULTS = Path("data/example"), Path("data/inspection")
STEPS, EPOCHS = 50, 10


def build(vocabulary_size):
    """Return a language model: embedding, a recurrent layer, the next word's logits."""
    return keras.Sequential(
        [
            keras.Input((None,), dtype="int32"),
            keras.layers.Embedding(vocabulary_size, 8),
            keras.layers.RNN(mgu.MGUCell(32), return_sequences=True),
            keras.layers.Dense(vocabulary_size),
        ]
    )


def perplexity(model, ids):
    """Return exp(mean cost) of the text, read as one stream."""
    logits = model.predict(ids[None, :-1], verbose=0)
    cost = keras.losses.sparse_categorical_crossentropy(ids[None, 1:], logits, True)
    return float(np.exp(np.mean(cost)))


def train(model, ids):
    """Train on windows of the text, each from the zero state."""
    n_windows = (len(ids) - 1) // STEPS
    inputs, targets = (
        ids[first : first + n_windows * STEPS].reshape(n_windows, STEPS)
        for first in (0, 1)
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.003), loss)
    model.fit(inputs, targets, batch_size=32, epochs=EPOCHS, verbose=2)


def words_along_direction(path, ids, *, delay):
    """Return each word's place along the direction remembered best, in deviations."""
    model = saved.load_model(path, imports=["book/mgu.py"])
    table = model.layers[0].get_weights()[0]  # (vocabulary, embedding)
    fitted = whitening.fit_whitening(table)
    means = gradients.mean_state_gradients(model, ids, max_delay=delay)
    gradient = whitening.whiten_gradient(means["state_gradient"], fitted)
    best = spectra.decompose(gradient)["vt"].isel(delay=delay, component=0)
    return (table - fitted.mean) @ fitted.Z.T @ best.values


def main():
    """Write text, models, inspections."""
    os.chdir(settings.project_root())
    texts = {split: EXAMPLE / f"{split}.txt" for split in ("train", "valid", "test")}
    agreement.write(EXAMPLE)
    vocabulary = inspection.read_vocabulary(EXAMPLE / "vocabulary.txt")
    ids = {split: inspection.read_ids(texts[split], vocabulary) for split in texts}
    for split in ("train", "test"):  # large, and written again in a second
        texts[split].unlink()
    keras.utils.set_random_seed(1)
    model = build(len(vocabulary))
    for name in ("untrained", "trained"):
        if name == "trained":
            train(model, ids["train"])
        path = EXAMPLE / f"{name}.keras"
        model.save(path)
        command = f"inspect {path} --text {texts['valid']} --import book/mgu.py"
        command += f" --vocabulary {EXAMPLE / 'vocabulary.txt'} --max-delay 20"
        command += f" --output {RESULTS / name}"
        cli.app(command.split(), standalone_mode=False)
        places = words_along_direction(path, ids["valid"], delay=5).round(4).tolist()
        measured = {
            "perplexity": perplexity(model, ids["valid"]),
            "direction": dict(zip(vocabulary.tokens, places, strict=True)),
        }
        (RESULTS / name / "model.yaml").write_text(yaml.safe_dump(measured))


if __name__ == "__main__":
    main()
