"""What the tests of inspections share: small models in a folder, and the command.

A fixture is taken into a module by its name, ``folder = inspected.folder``.
"""

import sys
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from state_gradients import cli

L = keras.layers
TOKENS = ["<eos>", "a", "b", "c", "d", "ü", "<unk>"]
FILES = ["memory.csv", "memory.png", "spectra.nc"]


@pytest.fixture(autouse=True)
def registry():
    """What a test registers with Keras is forgotten after it."""
    known = keras.saving.get_custom_objects()
    before = dict(known)
    yield
    known.clear()
    known.update(before)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a small LSTM, a text and a vocabulary."""
    write_files(tmp_path, monkeypatch)
    return tmp_path


def write_files(folder, patch):
    patch.chdir(folder)
    patch.setattr(sys, "path", sys.path.copy())
    save("model.keras")
    Path("text.txt").write_text("a b c d\n" * 5)
    Path("vocabulary.txt").write_text("\n".join(TOKENS), "utf-8")


def save(path, *above, size=4):
    embed, lstm = keras.layers.Embedding(7, size), keras.layers.LSTM(5)
    keras.Sequential([keras.Input((None,)), embed, lstm, *above]).save(path)


def asked(*options, model="model.keras"):
    """Run the command in this process; return it, so that it can be judged."""
    files = ["--text", "text.txt", "--vocabulary", "vocabulary.txt"]
    command = ["inspect", model, *files, *options]
    return CliRunner().invoke(cli.app, command)


def refused(*options, model="model.keras"):
    """Return the message of a command that must end in one, and write nothing."""
    before = sorted(Path().rglob("*"))
    done = asked(*options, model=model)
    assert done.exit_code == 1
    assert sorted(Path().rglob("*")) == before
    return done.stderr[done.stderr.index("error: ") :].strip()


@pytest.fixture
def curves():
    values = np.random.default_rng(0).random((2, 4))
    names = ("memory", "selectivity", "selectivity_5", "effective_rank")
    dims = ("normalization", "delay")
    labels = {"normalization": ["raw", "whitened"], "delay": np.arange(4)}
    found = xr.Dataset({name: (dims, values) for name in names}, labels)
    return found.assign(n_samples=("delay", [9, 8, 7, 6])).assign_attrs(model="m")


# ------------------------------------------------------- inputs that are no words

FEATURES = ["temperature", "humidity", "wind"]


def of_weather(path="weather.keras", *, length=6):
    """Save the everyday stack, small: LSTM, Dropout, LSTM, Dense."""
    keras.utils.set_random_seed(2)
    layers = [L.LSTM(5, return_sequences=True), L.Dropout(0.2), L.LSTM(4), L.Dense(1)]
    model = keras.Sequential([keras.Input((length, 3)), *layers])
    model.save(path)
    return model


def of_numbers(*options, inputs="inputs.csv", model="weather.keras"):
    command = ["inspect", model, "--inputs", inputs, "--max-delay", "3", *options]
    return CliRunner().invoke(cli.app, command)


def write_inputs(n_steps=13, columns=FEATURES, **changes):
    values = np.random.default_rng(0).normal(size=(n_steps, len(columns)))
    table = pd.DataFrame(values, columns=columns).assign(**changes)
    table.to_csv("inputs.csv", index=False)
    return values
