"""A model that another process has built and saved, and each way to get it wrong."""

import errno
import hashlib
import json
import os
import pickle
import subprocess
import sys
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
import pytorch_equations
import xarray as xr
from keras.src.legacy.preprocessing.text import Tokenizer
from safetensors.numpy import save_file
from through_keras import central_differences
from typer.testing import CliRunner

from state_gradients import cli, inspection
from state_gradients.analysis.properties import Halves
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.engine import means
from state_gradients.engine.positions import position_memory
from state_gradients.models.saved import load_model
from state_gradients.project.artifacts import ArtifactError

L = keras.layers
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


def run(command, folder):
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


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


def test_influence_is_what_the_engine_gives_in_nats(folder):
    save("model.keras", L.Dense(7, activation="softmax"))
    done = asked("--max-delay", "3", "--influence", "--json")
    assert done.exit_code == 0, done.stderr
    curves = inspection.read("inspection-model")
    model = load_model("model.keras")
    ids = [1, 2, 3, 4, 0] * 5
    mean = means.mean_state_gradients(
        model, ids, max_delay=3, influence=inspection.WORDS_DRAWN
    )
    raw = np.linalg.eigvalsh(mean["influence"])[:, -1]
    found = curves["influence"].sel(normalization="raw")
    np.testing.assert_allclose(found, raw, rtol=1e-6)
    table = fit_whitening(model.layers[0].get_weights()[0])
    whitened = table.D.T @ mean["influence"].values @ table.D
    found = curves["influence"].sel(normalization="whitened")
    np.testing.assert_allclose(found, np.linalg.eigvalsh(whitened)[:, -1], rtol=1e-6)
    assert "influence" in pd.read_csv("inspection-model/memory.csv").columns


def test_influence_asks_for_a_softmax(folder):
    assert "have a Dense layer above its states" in refused(
        "--max-delay", "3", "--influence"
    )


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


def test_a_tolerance_is_passed_on_and_recorded(folder, monkeypatch):
    asked_for = {}

    def watched(*given, original=means.mean_state_gradients, **options):
        asked_for.update(options)
        return original(*given, **options)

    monkeypatch.setattr(means, "mean_state_gradients", watched)
    done = asked("--tolerance", "0.001", "--max-delay", "9")
    assert done.exit_code == 0, done.output
    assert asked_for["tolerance"] == 0.001
    curves = inspection.read(Path("inspection-model"))
    assert json.loads(curves.attrs["settings"])["tolerance"] == 0.001
    assert curves["tolerance_error"].dims == ("delay",)


def test_every_position_is_written_as_the_engine_measures_it(folder, monkeypatch):
    from state_gradients.engine import jobs

    monkeypatch.setattr(jobs, "LENGTH", 8)  # several blocks
    done = asked("--per-position", "each.nc", "--max-delay", "3")
    assert done.exit_code == 0, done.output
    model = keras.saving.load_model("model.keras")
    ids = inspection.read_ids("text.txt", inspection.read_vocabulary("vocabulary.txt"))
    factor = fit_whitening(model.layers[0].get_weights()[0]).D
    whole = position_memory(model, ids, max_delay=3, factor=factor, sample=range(25))
    with xr.open_dataset("each.nc", engine="h5netcdf") as found:
        assert found["memory"].dims == ("position", "delay")
        np.testing.assert_array_equal(found["memory"], whole["largest"])
        np.testing.assert_array_equal(found["norm"], whole["norm"])
        np.testing.assert_array_equal(found["id"], ids)
        assert list(found["position"].values) == list(range(25))
        assert found["memory"].attrs["units"] == whole["largest"].attrs["units"]
        assert json.loads(found.attrs["settings"]) == {"state": "cell", "layer": 1}
        assert "text_sha256" in found.attrs


def test_groups_are_averaged_each_by_itself(folder):
    Path("groups.txt").write_text("a first\nb first\nc second\nz second\n")
    done = asked("--groups", "groups.txt", "--max-delay", "2", "--output", "of")
    assert done.exit_code == 0, done.output
    assert "groups: first, second; not in the vocabulary: ['z']" in done.stderr
    model = keras.saving.load_model("model.keras")
    ids = inspection.read_ids("text.txt", inspection.read_vocabulary("vocabulary.txt"))
    first, second = np.isin(np.arange(7), [1, 2]), np.arange(7) == 3
    curves = inspection.inspect_model(model, ids, max_delay=2, groups=[first, second])
    found = inspection.read(Path("of"))
    np.testing.assert_allclose(found["memory"], curves["memory"], rtol=1e-6)
    assert list(found["group"].values) == ["first", "second"]
    assert "groups_sha256" in found.attrs
    table = pd.read_csv("of/memory.csv")
    assert list(table.columns[:3]) == ["normalization", "group", "delay"]
    one = found["memory"].sel(normalization="whitened", group="second", delay=1)
    row = table.query(
        "normalization == 'whitened' and group == 'second' and delay == 1"
    )
    np.testing.assert_allclose(row["memory"], one)


def planted(path="planted.keras"):
    """Save a network that keeps 0.9 of one axis a step and 0.1 of the other; a text.

    Six words lie three a side of the second axis, and two at their mean: the axes are
    uncorrelated and of one variance, so that whitening is a scale.
    """
    x = np.sqrt(1.5) * np.array([0, 1, -1, 0, 1, -1, 0, 0])
    table = np.column_stack([x, [0, 1, 1, 1, -1, -1, -1, 0]])
    embedding = L.Embedding(8, 2)
    kept = keras.initializers.Constant([[0.9, 0.0], [0.0, 0.1]])
    options = {"kernel_initializer": "identity", "recurrent_initializer": kept}
    layer = L.SimpleRNN(2, activation="linear", **options)
    model = keras.Sequential([keras.Input((None,)), embedding, layer])
    embedding.set_weights([table])
    model.save(path)
    words = ["<eos>", *"abcdef", "<unk>"]
    Path("vocabulary.txt").write_text("\n".join(words))
    lines = np.random.default_rng(0).choice([*"abcdef"], (30, 4))
    Path("text.txt").write_text("\n".join(" ".join(line) for line in lines))


OF_PROPERTY = ["property.csv", "property.png"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a d\nb e\nc f\ng gs\n", "first words - second words"),
        ("a\tup\nd\tdown\nb\tup\ne\tdown\nc\tup\nf\tdown\ng\tup\n", "up - down"),
    ],
)
def test_a_property_is_remembered_as_it_was_planted(folder, content, names):
    planted()
    Path("words.txt").write_text(content)
    done = asked("--property", "words.txt", "--max-delay", "3", model="planted.keras")
    assert done.exit_code == 0, done.output
    first, second = names.split(" - ")
    lacking = "['g', 'gs']" if "gs" in content else "['g']"
    said = f"property: {first} (3 words) less {second} (3 words); not in the vocabulary"
    assert f"{said}: {lacking}" in done.stderr
    output = Path("inspection-planted")
    assert sorted(path.name for path in output.iterdir()) == sorted(
        [*FILES, *OF_PROPERTY]
    )
    found, delays = inspection.read(output), np.arange(4)
    # float32 products of the second axis, 1e-7 of their own size
    memory = (1 / 9) ** delays
    np.testing.assert_allclose(found["relative_memory"], memory, rtol=1e-5)
    by_chance = np.sqrt((1 + 81.0**-delays) / 2)
    middle = found["chance_middle"].sel(null="random directions")
    np.testing.assert_allclose(middle, by_chance, rtol=1e-5)
    np.testing.assert_allclose(found["direction"], [0, 1], atol=1e-6)
    assert found.attrs["property"] == names and found.attrs["halves"] == "words.txt"
    hashed = hashlib.sha256(content.encode()).hexdigest()
    assert found.attrs["halves_sha256"] == hashed
    rows = pd.read_csv(output / "property.csv")
    np.testing.assert_allclose(rows["relative_memory"], memory, rtol=1e-5)
    np.testing.assert_allclose(rows["random directions, middle"], by_chance, rtol=1e-5)
    lines = done.stdout.splitlines()
    at = lines.index(f"memory of {names}, at some delays") + 1
    heads = "delay memory without noise random directions random splits"
    assert " ".join(lines[at].split()) == heads
    assert [line.split()[:2] for line in lines[at + 1 : at + 5]] == [
        [str(k), f"{m:.3f}"] for k, m in enumerate(memory)
    ]


def test_a_property_is_asked_of_each_group(folder):
    planted()
    Path("words.txt").write_text("a d\nb e\nc f\n")
    Path("groups.txt").write_text("a first\nb first\ne second\n")
    options = ["--property", "words.txt", "--groups", "groups.txt", "--max-delay", "2"]
    done = asked(*options, model="planted.keras")
    assert done.exit_code == 0, done.output
    found = inspection.read(Path("inspection-planted"))
    assert found["relative_memory"].dims == ("group", "delay")
    # the network is linear: it is the same over any inputs
    memory = np.tile((1 / 9) ** np.arange(3), (2, 1))
    np.testing.assert_allclose(found["relative_memory"], memory, rtol=1e-5)
    rows = pd.read_csv("inspection-planted/property.csv")
    assert rows["group"].tolist() == ["first"] * 3 + ["second"] * 3


def test_halves_in_python_are_of_words_and_of_all_of_them(folder):
    model = of_weather()
    halves = Halves(np.arange(3) < 2, np.arange(3) > 0)
    with pytest.raises(ValueError, match="inspect_model: `halves` are of words"):
        inspection.inspect_model(model, inputs=np.ones((9, 3)), halves=halves)
    model = keras.saving.load_model("model.keras")
    with pytest.raises(ValueError, match=r"each of the 7 rows .* received .*\(3,\)"):
        inspection.inspect_model(model, [1, 2, 3], max_delay=1, halves=halves)


def _no_step():
    """Save a model in which a and b lie as c and d do."""
    embedding = L.Embedding(7, 2)
    model = keras.Sequential([keras.Input((None,)), embedding, L.LSTM(3)])
    rows = [[0, 0], [1, 2], [3, 1], [1, 2], [3, 1], [5, 0], [0, 7]]
    embedding.set_weights([np.array(rows, "float32")])
    model.save("model.keras")


PROPERTIES = {  # what is done before, the property's file, what is said
    "a property of words that the model does not have": (
        lambda: None,
        "dog dogs\ncat cats\na b\n",
        "received 1 of 'first words' and 1 of 'second words' in words.txt; not in it "
        "are ['dog', 'dogs', 'cat', 'cats']",
    ),
    "a property with one label": (
        lambda: None,
        "a\tx\nb\tx\n",
        "must have two labels, the names of the halves, received 1 in words.txt: ['x']",
    ),
    "a property with three labels": (
        lambda: None,
        "a\tx\nb\ty\nc\tz\n",
        "received 3 in words.txt: ['x', 'y', 'z']",
    ),
    "a property with a word twice": (
        lambda: None,
        "a b\nc d\nc a\n",
        "{'a': [1, 3], 'c': [2, 3]}; keep one of each.",
    ),
    "a property with a line that is no pair": (
        lambda: None,
        "a b\nc\n",
        "a line must be two words, as the others of words.txt are, received 'c' in",
    ),
    "a property in an empty file": (lambda: None, "\n", "received no line"),
    "a property whose halves have one mean": (
        _no_step,
        "a c\nb d\n",
        "inspect (--property): the means of the halves must differ, received a step of",
    ),
    "a property, where the embedding cannot be whitened": (
        lambda: save("model.keras", size=9),
        "a b\nc d\n",
        "rank 9, received rank 6",
    ),
}


def refusal_of_property(case, folder):
    """Return what is said in a folder with a model, a text and a vocabulary."""
    prepare, content, _ = PROPERTIES[case]
    with pytest.MonkeyPatch.context() as patch:
        write_files(folder, patch)
        prepare()
        Path("words.txt").write_text(content)
        return refused("--max-delay", "2", "--property", "words.txt")


@pytest.mark.parametrize("case", PROPERTIES)
def test_a_property_that_cannot_be_asked_is_refused(tmp_path, case):
    assert PROPERTIES[case][2] in refusal_of_property(case, tmp_path)


def test_positions_need_one_text_and_are_written_whole(folder, monkeypatch):
    said = refused("--per-position", "each.nc", "--by-line", "--max-delay", "2")
    assert "must follow the one before, in one text, received 5" in said
    for name, length, masks in (("masks", None, True), ("fixed", 40, False)):
        embed = keras.layers.Embedding(7, 4, mask_zero=masks)
        layers = [keras.Input((length,)), embed, keras.layers.LSTM(5)]
        keras.Sequential(layers).save(f"{name}.keras")
    options = ("--per-position", "each.nc", "--max-delay", "2", "--by-line")
    Path("text.txt").write_text("a b c d\n")
    said = refused(*options, model="masks.keras")
    assert "padding or that the model masks" in said
    pads = ("--pad", "left", "--pad-id", "6")
    said = refused(*options, *pads, model="fixed.keras")
    assert "padding or that the model masks" in said

    def stops(*given, **options):
        yield from ()
        raise ValueError("broken off")

    monkeypatch.setattr("state_gradients.engine.positions.position_blocks", stops)
    assert "broken off" in refused("--per-position", "each.nc", "--max-delay", "2")


def test_without_the_import_the_error_names_the_class_and_the_flag(theirs, monkeypatch):
    monkeypatch.chdir(theirs)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    message = refused(model="theirs.keras")
    assert "['theirs>LeakyCell']" in message
    assert "--import" in message


def test_a_text_becomes_ids(folder):
    vocabulary = inspection.read_vocabulary("vocabulary.txt")
    assert vocabulary.tokens == tuple(TOKENS)
    Path("other.txt").write_text("b new  a\n\nü", "utf-8")
    ids = inspection.read_ids("other.txt", vocabulary)
    np.testing.assert_array_equal(ids, [2, 6, 1, 0, 0, 5, 0])
    Path("vocabulary.txt").write_text("\ufeffa\r\nb\r\n", "utf-8")
    vocabulary = inspection.read_vocabulary("vocabulary.txt")
    Path("other.txt").write_text("a b\nb\n")
    np.testing.assert_array_equal(
        inspection.read_ids("other.txt", vocabulary), [0, 1, 1]
    )


def written(name, content):
    """Return what writes a file into the working folder."""
    content = content if isinstance(content, bytes) else content.encode()
    return lambda: Path(name).write_bytes(content)


def _other_archive():
    with zipfile.ZipFile("model.keras", "w") as archive:
        archive.writestr("words.txt", "no model")


def _own_activation():
    @keras.saving.register_keras_serializable("theirs")
    def gate(x):
        return x

    save("model.keras", L.Dense(3, activation=gate))
    keras.saving.get_custom_objects().clear()


def _own_layer():
    @keras.saving.register_keras_serializable("theirs")
    class Gate(L.Dense):
        pass

    save("model.keras", Gate(3))
    keras.saving.get_custom_objects().clear()


NO_PICKLE = "a pickle, which is never opened here"
ASKED = {  # what is done before, options, what is said
    "no model": (lambda: Path("model.keras").unlink(), (), "model.keras"),
    "names of PyTorch's modules, for a model of Keras": (
        lambda: None,
        ("--recurrent", "rnn"),
        "what its layers are; leave them out.",
    ),
    "no text": (lambda: Path("text.txt").unlink(), (), "text.txt"),
    "no vocabulary": (lambda: Path("vocabulary.txt").unlink(), (), "vocabulary.txt"),
    "a model that is text": (
        written("model.keras", "no model"),
        (),
        "model.save('NAME.keras')",
    ),
    "a zip file that is no model": (_other_archive, (), "config.json"),
    "a model with a lambda": (
        lambda: save("model.keras", L.Lambda(lambda x: 2 * x)),
        (),
        "Put a registered layer in its place",
    ),
    "a model with a layer of somebody's own": (
        _own_layer,
        (),
        "['theirs>Gate'] without their code. Name the module or file",
    ),
    "a model with an activation of somebody's own": (
        _own_activation,
        (),
        "['theirs>gate'] without their code. Name the module or file",
    ),
    "a vocabulary with a word twice": (
        written("vocabulary.txt", "a\nb\na"),
        (),
        "'a' in line 3",
    ),
    "a vocabulary with an empty line": (
        written("vocabulary.txt", "a\n\nb"),
        (),
        "'' in line 2",
    ),
    "a vocabulary with two words in a line": (
        written("vocabulary.txt", "a\nb c"),
        (),
        "'b c' in line 2",
    ),
    "an empty vocabulary": (written("vocabulary.txt", ""), (), "'' in line 1"),
    "a vocabulary of another size": (
        written("vocabulary.txt", "a\nb\nc\nd"),
        (),
        "each of the 7 rows of the model's embedding, received 4",
    ),
    "a vocabulary that is not UTF-8": (
        written("vocabulary.txt", b"\xff\xfe"),
        (),
        "must be UTF-8",
    ),
    "a vocabulary in a pickle": (
        written("vocabulary.txt", b"\x80\x04N."),
        (),
        NO_PICKLE,
    ),
    "a dictionary in JSON, in the place of a Tokenizer": (
        written("vocabulary.txt", '{"the": 1, "cat": 2}'),
        (),
        "tokenizer.to_json()",
    ),
    "a word without an id": (
        lambda: (
            written("vocabulary.txt", "\n".join("abcdefg"))(),
            written("text.txt", "a b\nc x\n")(),
        ),
        (),
        "'x' in line 2. Tokenize the text as for training; if the model has an id "
        "for rare words, call it <unk>",
    ),
    "a text that is too short": (
        lambda: None,
        ("--max-delay", "50"),
        "received 25 tokens; at most 24 will do",
    ),
    "a module that is not there": (
        lambda: None,
        ("--import", "absent"),
        "No module named 'absent'",
    ),
    "a file that is not there, to be imported": (
        lambda: None,
        ("--import", "absent.py"),
        "'absent.py'",
    ),
    "a module that does not run": (
        written("broken.py", "1 / 0"),
        ("--import", "broken.py"),
        "ZeroDivisionError: division by zero",
    ),
    "a module that leaves Python": (
        written("leaves.py", "import sys\nsys.exit(0)\n"),
        ("--import", "leaves.py"),
        "'leaves.py' of `imports` (--import) must run, received SystemExit",
    ),
    "a state that the cell does not have": (
        lambda: None,
        ("--state", "potential"),
        "'potential'",
    ),
    "a layer that the model does not have": (
        lambda: None,
        ("--layer", "2"),
        "received 2",
    ),
    "an output below a file": (
        lambda: None,
        ("--output", "text.txt/below"),
        "text.txt/below must be writable",
    ),
    "an output that is a file": (
        lambda: None,
        ("--output", "text.txt"),
        "must be a folder, received text.txt",
    ),
}


def refusal_of_command(case, folder):
    """Return what is said in a folder with a model, a text and a vocabulary."""
    prepare, options, _ = ASKED[case]
    known = dict(keras.saving.get_custom_objects())
    with pytest.MonkeyPatch.context() as patch:
        write_files(folder, patch)
        prepare()
        keras.saving.get_custom_objects().update(known)
        return refused("--max-delay", "2", *options)


@pytest.mark.parametrize("case", ASKED)
def test_a_command_that_cannot_be_meant_is_refused(tmp_path, case):
    assert ASKED[case][2] in refusal_of_command(case, tmp_path)


def test_a_text_that_is_too_short_says_which_delay_would_do(folder):
    assert "received 25 tokens; at most 24 will do" in refused()
    done = asked("--max-delay", "24")
    assert (done.exit_code, done.stderr.count("made ")) == (0, 3)


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


def test_numbers_are_asked_in_windows_as_the_engine_is(folder):
    model, values = of_weather(), write_inputs()
    done = of_numbers("--context", "6", "--layer", "2", "--state", "hidden")
    assert done.exit_code == 0, done.stderr
    curves = inspection.read("inspection-weather")
    trials = [values[:6], values[6:12], values[12:]]
    expected = inspection.inspect_model(
        model, inputs=trials, layer=2, state="hidden", max_delay=3
    )
    for name in ("memory", "s", "feature_memory", "n_samples"):
        np.testing.assert_allclose(curves[name], expected[name], rtol=1e-6)
    assert curves["feature"].values.tolist() == FEATURES
    assert curves["n_samples"].values.tolist() == [13, 10, 8, 6]
    reading = "windows of 6 steps of one trial"
    assert (curves.attrs["reading"], curves.attrs["n_features"]) == (reading, 3)
    assert done.stdout.startswith(f"weather.keras, inputs read as {reading}\n")
    memory = curves["feature_memory"].values  # delays 0..3
    best_first = [FEATURES[k] for k in np.argsort(-memory.sum(axis=0))]
    rows = done.stdout.splitlines()[3:6]
    assert [row.split()[0] for row in rows] == best_first
    at_zero = [float(row.split()[1]) for row in rows]
    np.testing.assert_allclose(sorted(at_zero), sorted(memory[0]), atol=1e-5)
    for file in ("weather.keras", "inputs.csv"):
        key = "model_sha256" if file == "weather.keras" else "inputs_sha256"
        hashed = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        assert curves.attrs[key] == hashed


def test_the_figure_of_numbers_counts_steps(folder, curves, monkeypatch):
    axes = []
    draw = inspection.figures.plot_selectivity
    monkeypatch.setattr(
        inspection.figures,
        "plot_selectivity",
        lambda data, ax: axes.append(draw(data, ax=ax)),
    )
    inspection.write(curves.assign_attrs(inputs="inputs.csv"), "made")
    assert axes[0].get_xlabel() == "delay (steps)"


def test_weights_of_pytorch_are_given_numbers(folder):
    rng = np.random.default_rng(0)
    weights = pytorch_equations.state_dict("GRU", rng, inputs=3, units=5)
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    save_file(weights, "weather.safetensors")
    values = write_inputs()
    done = of_numbers(model="weather.safetensors")
    assert done.exit_code == 0, done.stderr

    def run(inputs):
        return pytorch_equations.states("GRU", weights, inputs)["hidden"]

    mean = pytorch_equations.mean_gradients(run, values, max_delay=3)
    found = inspection.read("inspection-weather")["memory"].sel(normalization="raw")
    # a chain of float32, some 1e-6 of its largest entry
    np.testing.assert_allclose(found, np.linalg.svdvals(mean)[:, 0], rtol=1e-5)


NUMBERS = {  # what is done before, options, what is said
    "inputs longer than the model takes, without --context": (
        write_inputs,
        (),
        "takes 6 steps at a time, received one of 13. Give --context 6",
    ),
    "--context beyond the model's length": (
        write_inputs,
        ("--context", "7"),
        "takes 6 steps at a time, received one of 7",
    ),
    "inputs with other features": (
        lambda: write_inputs(columns=["temperature", "wind"]),
        (),
        "3 features that the model reads, received 2: ['temperature', 'wind']",
    ),
    "inputs with a gap, in a file": (
        lambda: write_inputs(5, wind=[1, 2, np.nan, 3, 4]),
        (),
        "the first in trial 0, step 2, feature wind",
    ),
    "inputs shorter than the delays": (
        lambda: write_inputs(3),
        (),
        "received 3 steps, read as one trial; at most 2 will do",
    ),
    "inputs and options of words": (
        lambda: write_inputs(5),
        ("--by-line",),
        "--property, --per-position and --influence are of words",
    ),
    "inputs and a text": (
        lambda: write_inputs(5),
        ("--text", "text.txt"),
        "--text must be given, or --inputs for a model that reads numbers, received b",
    ),
    "inputs for a model of words": (
        lambda: (write_inputs(5), save("weather.keras", size=3)),
        (),
        "read numbers, not ids",
    ),
}


def refusal_of_numbers(case, folder):
    """Return what is said in a folder with a model of numbers."""
    prepare, options, _ = NUMBERS[case]
    with pytest.MonkeyPatch.context() as patch:
        write_files(folder, patch)
        of_weather()
        prepare()
        before = sorted(Path().rglob("*"))
        done = of_numbers(*options)
        assert done.exit_code == 1, done.stdout
        assert sorted(Path().rglob("*")) == before
    return done.stderr[done.stderr.index("error: ") :].strip()


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_that_do_not_fit_the_model_are_refused(tmp_path, case):
    assert NUMBERS[case][2] in refusal_of_numbers(case, tmp_path)


def test_inputs_edited_while_they_are_read_are_refused(folder, monkeypatch):
    of_weather()
    write_inputs(5)
    load = inspection.saved.load_model

    def load_and_edit(*arguments, **options):
        Path("inputs.csv").write_bytes(Path("inputs.csv").read_bytes() + b"\n")
        return load(*arguments, **options)

    monkeypatch.setattr(inspection.saved, "load_model", load_and_edit)
    done = of_numbers()
    assert done.exit_code == 1
    assert "inspection: inputs.csv must stay as it is while it is read" in done.stderr


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


def test_an_output_that_cannot_be_written_is_refused_before_the_work(folder):
    message = refused("--output", "text.txt/below", "--max-delay", "2")
    assert "text.txt/below must be writable" in message
    done = asked("--output", "text.txt/below", "--max-delay", "2")
    assert "averaging" not in done.stderr  # refused before, not after


def test_a_file_in_the_place_of_the_output_stays(folder):
    message = refused("--max-delay", "2", "--output", "text.txt")
    assert "must be a folder, received text.txt" in message
    assert Path("text.txt").read_text().startswith("a b c d")


EDITED = ["model.keras", "text.txt", "vocabulary.txt"]


def edited_when(monkeypatch, name, file):
    """Edit a file when a function of the module is called."""
    function = getattr(inspection, name)

    def edit_and_call(*arguments, **options):
        with Path(file).open("a") as opened:
            opened.write("a\n" if file == "text.txt" else "\n")
        return function(*arguments, **options)

    monkeypatch.setattr(inspection, name, edit_and_call)


@pytest.mark.parametrize("file", EDITED)
def test_a_file_edited_while_it_is_read_is_refused(folder, monkeypatch, file):
    edited_when(monkeypatch, "read_vocabulary", file)
    message = refused("--max-delay", "2")
    assert f"inspection: {file} must stay as it is while it is read" in message
    assert not Path("inspection-model").exists()


@pytest.mark.parametrize("file", EDITED)
def test_a_file_edited_while_the_model_is_loaded_is_refused(folder, monkeypatch, file):
    load = inspection.saved.load_model

    def load_and_edit(*arguments, **options):
        loaded = load(*arguments, **options)
        Path(file).write_bytes(Path(file).read_bytes() + b"\n")
        return loaded

    monkeypatch.setattr(inspection.saved, "load_model", load_and_edit)
    done = asked("--max-delay", "2")
    assert done.exit_code == 1
    assert f"inspection: {file} must stay as it is while it is read" in done.stderr
    assert not Path("inspection-model").exists()


@pytest.mark.parametrize("file", EDITED)
def test_a_file_that_is_edited_later_is_recorded_as_read(folder, monkeypatch, file):
    before = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    edited_when(monkeypatch, "inspect_model", file)
    done = asked("--max-delay", "2")
    assert done.exit_code == 0, done.stderr
    attrs = inspection.read("inspection-model").attrs
    assert attrs[f"{file.split('.')[0]}_sha256"] == before
    assert hashlib.sha256(Path(file).read_bytes()).hexdigest() != before


def test_dependent_embeddings_leave_the_raw_curves_and_a_note(folder):
    save("wide.keras", size=9)  # 7 types span 6 dimensions
    done = asked("--max-delay", "2", model="wide.keras")
    assert "raw gradients only" in done.stderr
    assert "rank 9, received rank 6" in done.stderr
    curves = inspection.read("inspection-wide")
    assert list(curves["normalization"].values) == ["raw"]


@pytest.mark.parametrize(("option", "given"), [("auto", "auto"), ("0.25", 0.25)])
def test_dependent_embeddings_are_whitened_where_that_is_asked_for(
    folder, option, given
):
    save("wide.keras", size=9)  # 7 types span 6 dimensions
    wide = load_model("wide.keras")
    done = asked("--max-delay", "2", "--shrinkage", option, model="wide.keras")
    assert done.exit_code == 0, done.stderr
    curves = inspection.read("inspection-wide")
    assert list(curves["normalization"].values) == ["raw", "whitened"]
    assert json.loads(curves.attrs["settings"])["shrinkage"] == given
    table = wide.layers[0].get_weights()[0].astype(float)
    fitted = fit_whitening(table, shrinkage=given)
    assert f"shrunk by {fitted.shrinkage:.3g}." in done.stderr
    ids = inspection.read_ids("text.txt", inspection.read_vocabulary("vocabulary.txt"))
    gradient = means.mean_state_gradients(wide, ids, max_delay=2)["state_gradient"]
    s = np.linalg.svdvals(gradient.values @ fitted.D)
    # the same float32 sums, whitened in float64 twice
    np.testing.assert_allclose(curves["s"].sel(normalization="whitened"), s, rtol=1e-9)


def test_another_shrinkage_is_refused_before_anything_is_read(folder):
    message = refused("--shrinkage", "much", "--max-delay", "2")
    assert "--shrinkage): `shrinkage` must be 'auto', a number in 0..1" in message
    with pytest.raises(ValueError, match="inspect_model: `shrinkage` must be"):
        inspection.inspect_model(None, [1, 2], shrinkage=2)


@pytest.fixture
def curves():
    values = np.random.default_rng(0).random((2, 4))
    names = ("memory", "selectivity", "selectivity_5", "effective_rank")
    dims = ("normalization", "delay")
    labels = {"normalization": ["raw", "whitened"], "delay": np.arange(4)}
    found = xr.Dataset({name: (dims, values) for name in names}, labels)
    return found.assign(n_samples=("delay", [9, 8, 7, 6])).assign_attrs(model="m")


def test_what_is_written_is_read_back(folder, curves):
    paths = inspection.write(curves, "made")
    assert sorted(path.name for path in paths) == FILES
    xr.testing.assert_identical(
        inspection.read("made").drop_attrs(), curves.drop_attrs()
    )
    rows = Path("made", "memory.csv").read_text().splitlines()
    assert rows[0].startswith("normalization,delay,memory,")
    assert rows[5].startswith(f"whitened,0,{curves['memory'].values[1, 0]},")
    assert Path("made", "memory.png").read_bytes()[1:4] == b"PNG"


def test_a_failed_write_leaves_the_old_files(folder, curves, monkeypatch):
    inspection.write(curves, "made")
    before = {path: path.read_bytes() for path in Path("made").iterdir()}

    def full(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(OSError, match="no space left"):
        inspection.write(2 * curves, "made")
    assert {path: path.read_bytes() for path in Path("made").iterdir()} == before


@pytest.mark.parametrize("n_syncs", range(4))
def test_a_disk_that_fills_up_leaves_all_old_files(
    folder, curves, monkeypatch, n_syncs
):
    inspection.write(curves, "made")
    before = {path: path.read_bytes() for path in Path("made").iterdir()}
    synced = []

    def sync(handle):
        synced.append(handle)
        if len(synced) > n_syncs:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(
        OSError, match=r"^made/\w+\.\w+.* must be written whole, .*No sp"
    ):
        inspection.write(2 * curves, "made")
    assert {path: path.read_bytes() for path in Path("made").iterdir()} == before


def test_a_missing_or_damaged_inspection_says_how_to_make_it(folder, curves):
    with pytest.raises(ArtifactError, match="state-gradients inspect MODEL"):
        inspection.read("made")
    inspection.write(curves, "made")
    path = Path("made", "spectra.nc")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="missing or damaged"):
        inspection.read("made")
    changed = (2 * curves).assign_attrs(content="0")
    changed.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ArtifactError, match="missing or damaged"):
        inspection.read("made")


# ----------------------------------------------------------- how a text is read

LENGTH, WORDS = 6, ["<pad>", *"abcdef"]
LINES = ["b a d", "f", "", "c e a b d", "a f f c e b d a", "e c"]
PADDED = ["--by-line", "--pad", "left", "--max-delay", "2"]


def of_lines(path, layer="LSTM", *below, length=LENGTH, mask_zero=False, **options):
    """Save a model of lines, a text and a vocabulary for it; return the model."""
    keras.utils.set_random_seed(2)
    recurrent = getattr(L, layer)(4, **options)
    embedding = L.Embedding(
        7,
        3,
        mask_zero=mask_zero,
        embeddings_initializer=keras.initializers.RandomNormal(stddev=1),
    )
    first = [] if below else [keras.Input((length,))]
    model = keras.Sequential([*first, *below, embedding, recurrent, L.Dense(7)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras advises against .h5
        model.save(path)
    Path("text.txt").write_text("\n".join(LINES) + "\n")
    Path("vocabulary.txt").write_text("\n".join(WORDS) + "\n")
    return model


def as_used(side):
    """Return the lines as rows of the model's length, and where their words stand."""
    rows, places = [], []
    for line in filter(None, LINES):
        ids = [WORDS.index(word) for word in line.split()][-LENGTH:]
        pads = [0] * (LENGTH - len(ids))
        rows.append(np.array(pads + ids if side == "left" else ids + pads))
        first = len(pads) if side == "left" else 0
        places.append(range(first, first + len(ids)))
    return rows, places


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize(
    ("layer", "options"),
    [("LSTM", {}), ("GRU", {}), ("SimpleRNN", {"activation": "relu"})],
)
def test_a_model_of_padded_lines_is_asked_as_it_is_used(
    folder, layer, options, suffix, side
):
    model = of_lines(f"lines.{suffix}", layer, **options)
    options = ["--by-line", "--pad", side, "--max-delay", "2", "--state", "hidden"]
    done = asked(*options, model=f"lines.{suffix}")
    assert done.exit_code == 0, done.stderr
    curves = inspection.read("inspection-lines")
    rows, places = as_used(side)
    mean, count = central_differences(model, rows, places, length=LENGTH, max_delay=2)
    np.testing.assert_array_equal(curves["n_samples"], count)
    s = np.linalg.svdvals(mean)
    # by Weyl at most the error of the mean, 12 entries of 1e-3 (tests/engine)
    np.testing.assert_allclose(
        curves["memory"].sel(normalization="raw"), s[:, 0], rtol=0, atol=3.5e-3
    )
    assert curves.attrs["reading"] == f"lines, padded {side} with 0 to 6"
    assert (curves.attrs["n_texts"], curves.attrs["n_tokens"]) == (5, 17)
    said = f"17 tokens, read as lines, padded {side} with 0 to 6; 5 texts"
    assert said in done.stderr
    head, columns = done.stdout.splitlines()[:2]  # of the table
    reading = f"text read as lines, padded {side} with 0 to 6"
    assert head == f"lines.{suffix}, {reading}"
    assert columns.startswith("normalization")
    assert "1 too long" in done.stderr
    assert "1 empty" in done.stderr


def test_the_figure_says_how_the_text_was_read(folder, curves, monkeypatch):
    titles = []
    draw = inspection.figures.plot_memory
    monkeypatch.setattr(
        inspection.figures,
        "plot_memory",
        lambda data, ax: titles.append(draw(data, ax=ax).get_title(loc="left")),
    )
    inspection.write(curves.assign_attrs(reading="windows of 5 tokens"), "made")
    assert titles == ["m\nwindows of 5 tokens"]


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_model_that_is_not_made_for_streams_asks_how_to_read(folder, suffix):
    of_lines(f"lines.{suffix}")
    message = refused("--max-delay", "2", model=f"lines.{suffix}")
    assert "a model that takes 6 tokens at a time" in message
    assert "--by-line --pad left" in message
    assert "--context 6" in message
    of_lines(f"masking.{suffix}", length=None, mask_zero=True)
    message = refused("--max-delay", "2", model=f"masking.{suffix}")
    assert "masks the id 0" in message


def test_windows_files_and_folders(folder):
    model = of_lines("lines.keras")
    rows = [[WORDS.index(word) for word in line.split()] for line in LINES]
    stream = np.concatenate([row for row in rows if row])

    def memory(*options):
        done = asked(*options, "--max-delay", "2", model="lines.keras")
        assert done.exit_code == 0, done.stderr
        return inspection.read("inspection-lines")

    windows = [stream[start : start + 5] for start in range(0, len(stream), 5)]
    expected = inspection.inspect_model(model, windows, max_delay=2)
    found = memory("--context", "5")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)
    assert found.attrs["reading"] == "windows of 5 tokens"
    Path("texts").mkdir()
    for name, line in zip("ab", LINES, strict=False):
        Path("texts", name).write_text(line)
    Path("text.txt").write_text(LINES[3])
    expected = inspection.inspect_model(model, [rows[3], rows[0], rows[1]], max_delay=2)
    found = memory("--text", "texts")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)
    assert found.attrs["reading"] == "3 texts"
    assert found.attrs["text"] == "text.txt, texts"


def test_delays_that_no_padded_line_reaches_are_refused(folder):
    of_lines("lines.keras")
    Path("text.txt").write_text("a b c\nd\n")
    message = refused(*PADDED[:3], "--max-delay", "3", model="lines.keras")
    assert "received 3 tokens" in message
    assert "at most 2 will do" in message


def test_a_text_with_the_id_of_padding_is_refused(folder):
    of_lines("lines.keras")
    Path("vocabulary.txt").write_text("\n".join([*WORDS[1:], "<pad>"]))
    message = refused(*PADDED, model="lines.keras")
    assert "--pad-id must be no token of the text, received 0" in message


# ------------------------------------------------------------------ vocabularies


@pytest.mark.parametrize("oov_token", [None, "<oov>"])
def test_a_tokenizer_gives_the_ids_that_it_gives_in_keras(folder, oov_token):
    model = of_lines("lines.keras")
    tokenizer = Tokenizer(num_words=6, oov_token=oov_token)
    tokenizer.fit_on_texts(LINES)
    Path("vocabulary.txt").write_text(tokenizer.to_json())
    done = asked(*PADDED, model="lines.keras")
    assert done.exit_code == 0, done.stderr
    ids = [row for row in tokenizer.texts_to_sequences(LINES) if row]
    rows = list(keras.utils.pad_sequences(ids, LENGTH))
    expected = inspection.inspect_model(model, rows, max_delay=2, padding=0)
    found = inspection.read("inspection-lines")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)
    words = " ".join(LINES).split()
    n_left_out = len(words) - sum(map(len, ids))
    assert (n_left_out > 0) == (oov_token is None)
    said = f"{n_left_out} tokens without an id, left out"
    assert (said in done.stderr) == (oov_token is None)


def test_a_tokenizer_with_more_ids_than_the_model(folder):
    of_lines("lines.keras")
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts([*LINES, "g h"])
    Path("vocabulary.txt").write_text(tokenizer.to_json())
    message = refused(*PADDED, model="lines.keras")
    assert "must be below 7" in message
    assert "a Tokenizer of 9 ids" in message
    Path("vocabulary.txt").write_text(json.dumps(tokenizer.word_index))
    assert "tokenizer.to_json()" in refused(*PADDED, model="lines.keras")


@pytest.mark.parametrize("name", ["tokenizer.pickle", "tokenizer.bin"])
def test_a_pickle_stays_closed_and_two_lines_make_json_of_it(folder, name):
    Path(name).write_bytes(pickle.dumps(Opened()))
    done = asked("--vocabulary", name)
    assert done.exit_code == 1
    assert not Path("opened").exists()
    lines = [line.strip() for line in done.stderr.splitlines()[-2:]]
    tokenizer = Tokenizer()
    tokenizer.fit_on_texts(LINES)
    Path(name).write_bytes(pickle.dumps(tokenizer))
    exec("\n".join(lines))
    assert (
        inspection.read_vocabulary("tokenizer.json").word_index == tokenizer.word_index
    )


class Opened:
    """An object that leaves a file where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("opened"),)


def asked_of_layer(*options, model="lines.keras"):
    command = ["inspect", model, "--text", "text.txt", "--max-delay", "2", *options]
    return CliRunner().invoke(cli.app, command)


@pytest.mark.parametrize("fixed", [None, LENGTH])
def test_a_layer_of_the_model_is_its_vocabulary(folder, fixed):
    lookup = L.TextVectorization(output_sequence_length=fixed, vocabulary=[*"abcde"])
    model = of_lines("lines.keras", "GRU", keras.Input((1,), dtype="string"), lookup)
    pad = ["--by-line", *(["--pad", "right"] if fixed else [])]
    done = asked_of_layer(*pad)
    assert done.exit_code == 0, done.stderr
    rows = [np.array(lookup([line]))[0] for line in filter(None, LINES)]
    expected = inspection.inspect_model(
        model, rows, max_delay=2, padding=0 if fixed else None
    )
    found = inspection.read("inspection-lines")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)
    np.testing.assert_array_equal(found["n_samples"], expected["n_samples"])
    assert "vocabulary" not in found.attrs
    both = asked_of_layer(*pad, "--vocabulary", "vocabulary.txt")
    assert "received both" in both.stderr
    if fixed:
        done = asked_of_layer("--by-line", "--pad", "left")
        assert "--by-line --pad right" in done.stderr


def test_a_lookup_of_words_is_a_vocabulary(folder):
    lookup = L.StringLookup(vocabulary=[*"abcdef"])
    below = keras.Input((None,), dtype="string"), lookup
    model = of_lines("lines.keras", "GRU", *below)
    done = asked_of_layer()
    assert done.exit_code == 0, done.stderr
    ids = np.array(lookup(" ".join(LINES).split()))
    expected = inspection.inspect_model(model, ids, max_delay=2)
    found = inspection.read("inspection-lines")
    xr.testing.assert_allclose(found["memory"], expected["memory"], atol=1e-6)


def test_a_vocabulary_there_must_be(folder):
    done = asked_of_layer(model="model.keras")
    assert "received neither" in done.stderr


class Reversed(L.TextVectorization):
    def call(self, inputs):
        return super().call(inputs)[:, ::-1]


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (Reversed(vocabulary=["a"]), r"begin with an Embedding; .*\(Reversed\)"),
        (L.StringLookup(vocabulary=["a"], output_mode="multi_hot"), "mode='int'"),
        (L.IntegerLookup(vocabulary=[3, 4]), r"begin with an .*\(IntegerLookup\)"),
    ],
)
def test_other_layers_below_the_embedding_are_refused(layer, message):
    kind = "int64" if isinstance(layer, L.IntegerLookup) else "string"
    point = keras.Input((1,), dtype=kind)
    looked_up = layer(point)
    model = keras.Model(point, L.GRU(3)(L.Embedding(5, 2)(looked_up)))
    with pytest.raises(ValueError, match=message):
        means.mean_state_gradients(model, [1, 0, 1], max_delay=1)
