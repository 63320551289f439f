"""Makes the example of "Networks from elsewhere": a small forecast, and its inputs.

Run ``.venv/bin/python book/weather.py FOLDER`` at the project's root: in a minute it
writes a Keras model, the same network's weights as PyTorch stores them, and a table of
the inputs. The weather is drawn: in 2,000 hours, wind and humidity turn with the
temperature of six hours before.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # TensorFlow's start-up chatter

import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd

N_HOURS, STEPS, LAG = 2_000, 36, 6
NAMES = ["temperature", "humidity", "wind", "noise"]


def hours():
    """Return the inputs, a table of hours and features, each of variance one."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(N_HOURS, len(NAMES)))
    temperature = np.zeros(N_HOURS)
    for t in range(1, N_HOURS):
        temperature[t] = 0.9 * temperature[t - 1] + drawn[t, 0]
    before = np.roll(temperature, LAG)
    columns = temperature, before + drawn[:, 1], drawn[:, 2] - before, drawn[:, 3]
    table = pd.DataFrame(np.stack(columns, axis=1), columns=NAMES)
    return (table - table.mean()) / table.std()


def build():
    """Return a forecast as many are: two LSTMs with dropout between, and one number."""
    return keras.Sequential(
        [
            keras.Input((STEPS, len(NAMES))),
            keras.layers.LSTM(32, return_sequences=True),
            keras.layers.Dropout(0.2),
            keras.layers.LSTM(16),
            keras.layers.Dense(1),
        ]
    )


def main(folder):
    """Train on windows of the table to foretell the humidity two hours later."""
    keras.utils.set_random_seed(1)
    table = hours()
    values = table.to_numpy("float32")
    starts = np.arange(0, N_HOURS - STEPS - 2, 4)
    windows = np.stack([values[start : start + STEPS] for start in starts])
    model = build()
    model.compile(keras.optimizers.Adam(0.005), "mse")
    model.fit(windows, values[starts + STEPS + 1, 1], epochs=6, verbose=0)
    folder.mkdir(exist_ok=True)
    model.save(folder / "weather.keras")
    table.round(4).to_csv(folder / "hours.csv", index=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
