"""Models from files: with a cell of its own, with what is not registered; PyTorch."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import inspected
import keras
import numpy as np
import pytest
import pytorch_equations
from inspected import FILES, TOKENS, asked, refused, save
from safetensors.numpy import save_file

from state_gradients import inspection
from state_gradients.engine import means
from state_gradients.models.saved import load_model

folder, registry = inspected.folder, inspected.registry
MODULE = """
import keras
from keras import ops


@keras.saving.register_keras_serializable("theirs")
class LeakyCell(keras.layers.Layer):
    def __init__(self, units, **options):
        super().__init__(**options)
        self.units = self.state_size = units

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], self.units), name="kernel")
        self.mix = self.add_weight(shape=(self.units, self.units), name="mix")

    def call(self, inputs, states):
        h = 0.5 * states[0] + ops.sin(inputs @ self.kernel + states[0] @ self.mix)
        return h, [h]

    def get_config(self):
        return super().get_config() | {"units": self.units}
"""
BUILD = """
import keras
import their_cells

keras.utils.set_random_seed(3)
cell = their_cells.LeakyCell(5)
embed = keras.layers.Embedding(7, 4, embeddings_initializer="random_normal")
layers = [keras.Input((None,)), embed, keras.layers.RNN(cell, return_sequences=True)]
model = keras.Sequential([*layers, keras.layers.Dense(7)])
model.compile("adam", "mse")
model.save("theirs.keras")
"""


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """A folder with a model, its module, a text and a vocabulary."""
    folder = tmp_path_factory.mktemp("theirs")
    (folder / "their_cells.py").write_text(MODULE)
    run([sys.executable, "-c", BUILD], folder)
    words = np.random.default_rng(0).choice([*"abcd", "ü", "rare"], (40, 5))
    text = "\n".join(" ".join(line) for line in words) + "\n"
    (folder / "text.txt").write_text(text, "utf-8")
    (folder / "vocabulary.txt").write_text("\n".join(TOKENS) + "\n", "utf-8")
    return folder


def run(command, folder):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.slow
def test_the_command_gives_what_the_engine_gives(theirs):
    command = [Path(sys.executable).parent / "state-gradients", "inspect"]
    command += ["theirs.keras", "--text", "text.txt", "--vocabulary", "vocabulary.txt"]
    options = ["--import", "their_cells", "--max-delay", "3", "--json"]
    done = run([*command, *options], theirs)
    output = theirs / "inspection-theirs"
    curves = inspection.read(output)

    model = load_model(theirs / "theirs.keras", imports=[theirs / "their_cells.py"])
    index = {token: i for i, token in enumerate(TOKENS)}
    lines = (theirs / "text.txt").read_text("utf-8").splitlines()
    words = [w for line in lines for w in [*line.split(), "<eos>"]]
    ids = np.array([index.get(word, index["<unk>"]) for word in words])
    mean = means.mean_state_gradients(model, ids, max_delay=3)
    raw = mean["state_gradient"].values
    table = np.float64(model.layers[0].get_weights()[0])
    s = {
        "raw": np.linalg.svdvals(raw),
        "whitened": np.linalg.svdvals(raw @ np.linalg.cholesky(np.cov(table.T))),
    }
    assert list(curves["normalization"].values) == [*s]
    for name, values in s.items():
        got = curves.sel(normalization=name)
        # The engine's float32 chain is the same one; threads may add in another order.
        np.testing.assert_allclose(got["s"], values, rtol=0, atol=1e-5 * values.max())
        share = values[:, 0] / values.sum(axis=1)
        np.testing.assert_allclose(got["memory"], got["s"][:, 0])
        np.testing.assert_allclose(got["selectivity"], share, rtol=1e-4)
    np.testing.assert_array_equal(curves["n_samples"], len(ids) - np.arange(4))

    rows = json.loads(done.stdout)
    assert [row["memory"] for row in rows] == pytest.approx(
        curves["memory"].data.ravel()
    )
    assert sorted(p.name for p in output.iterdir()) == FILES
    content = (theirs / "theirs.keras").read_bytes()
    assert curves.attrs["model_sha256"] == hashlib.sha256(content).hexdigest()
    assert curves.attrs["vocabulary_size"] == 7
    settings = {"max_delay": 3, "state": "hidden", "layer": 1}
    assert json.loads(curves.attrs["settings"]) == settings
    assert str(theirs) not in str(curves.attrs)


def test_without_the_import_the_error_names_the_class_and_the_flag(theirs, monkeypatch):
    monkeypatch.chdir(theirs)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    message = refused(model="theirs.keras")
    assert "['theirs>LeakyCell']" in message
    assert "--import" in message


@pytest.mark.parametrize("kind", ["LSTM", "tanh"])
def test_weights_of_pytorch_are_asked_as_a_keras_model_is(folder, kind):
    rng = np.random.default_rng(0)
    weights = {"words.weight": rng.normal(size=(7, 4)), "norm.weight": np.ones(4)}
    weights |= pytorch_equations.state_dict(
        kind, rng, inputs=4, units=5, name="net.rnn"
    )
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    save_file(weights, "theirs.safetensors")
    options = ["--max-delay", "2", "--above", "norm", "--recurrent", "net.rnn"]
    options += ["--embedding", "words", "--state", "hidden"]
    if kind == "tanh":
        message = refused(*options, model="theirs.safetensors")
        assert "(--nonlinearity) must be given" in message
        options += ["--nonlinearity", kind]
    done = asked(*options, model="theirs.safetensors")
    assert done.exit_code == 0, done.stderr
    assert "read words, net.rnn_l0" in done.stderr
    assert "not read, for it stands above: norm" in done.stderr
    ids = [TOKENS.index(word) for word in [*"abcd", "<eos>"] * 5]

    def run(inputs):
        options = {"name": "net.rnn"}
        return pytorch_equations.states(kind, weights, inputs, **options)["hidden"]

    embedded = np.float64(weights["words.weight"])[ids]
    mean = pytorch_equations.mean_gradients(run, embedded, max_delay=2)
    found = inspection.read("inspection-theirs")["memory"].sel(normalization="raw")
    # a chain of float32, some 1e-6 of its largest entry
    np.testing.assert_allclose(found, np.linalg.svdvals(mean)[:, 0], rtol=1e-5)


def test_a_lambda_is_refused_and_safe_mode_stays_on(folder, monkeypatch):
    save("lambda.keras", keras.layers.Lambda(lambda x: 2 * x))
    message = refused("--max-delay", "2", model="lambda.keras")
    assert "Put a registered layer in its place" in message
    seen = {}
    real = keras.saving.load_model
    monkeypatch.setattr(
        keras.saving, "load_model", lambda *a, **k: seen.update(k) or real(*a, **k)
    )
    load_model("model.keras")
    assert seen["safe_mode"] is True


def test_a_function_that_is_not_registered_is_named(folder):
    def theirs(x):
        return x

    save("function.keras", keras.layers.Dense(3, activation=theirs))
    message = refused("--max-delay", "2", model="function.keras")
    assert "theirs" in message
    assert "--import" in message
