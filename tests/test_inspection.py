"""A model that another process has built and saved, and each way to get it wrong."""

import hashlib
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from state_gradients import cli, inspection
from state_gradients.engine import means
from state_gradients.models.saved import load_model
from state_gradients.project.artifacts import ArtifactError

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
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    save("model.keras")
    Path("text.txt").write_text("a b c d\n" * 5)
    Path("vocabulary.txt").write_text("\n".join(TOKENS), "utf-8")
    return tmp_path


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
    return " ".join(done.stderr.splitlines()[-1:])


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


@pytest.mark.parametrize("absent", ["model.keras", "text.txt", "vocabulary.txt"])
def test_an_absent_file_is_named(folder, absent):
    Path(absent).unlink()
    assert absent in refused()


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ("a\nb\na", "'a' in line 3"),
        ("a\n\nb", "'' in line 2"),
        ("a\nb c", "'b c' in line 2"),
        ("", "'' in line 1"),
        ("a\nb\nc\nd", "each of the 7 rows of the model's embedding, received 4"),
        (b"\xff\xfe", "must be UTF-8"),
    ],
)
def test_a_vocabulary_that_is_none(folder, vocabulary, message):
    data = vocabulary if isinstance(vocabulary, bytes) else vocabulary.encode()
    Path("vocabulary.txt").write_bytes(data)
    assert message in refused("--max-delay", "2")


def test_a_token_without_an_id_is_named_with_its_line(folder):
    Path("vocabulary.txt").write_text("\n".join("abcdefg"))
    Path("text.txt").write_text("a b\nc x\n")
    message = refused()
    assert "'x' in line 2" in message
    assert "<unk>" in message


def test_a_text_that_is_too_short_says_which_delay_would_do(folder):
    assert "received 25 tokens; at most 24 will do" in refused()
    done = asked("--max-delay", "24")
    assert (done.exit_code, done.stderr.count("made ")) == (0, 3)


def test_modules_that_do_not_run(folder):
    options = ("--max-delay", "2", "--import")
    assert "No module named 'absent'" in refused(*options, "absent")
    assert "'absent.py'" in refused(*options, "absent.py")
    Path("broken.py").write_text("1 / 0")
    assert "ZeroDivisionError: division by zero" in refused(*options, "broken.py")


def test_models_that_are_none(folder):
    Path("text.keras").write_text("no model")
    assert "model.save('NAME.keras')" in refused("--max-delay", "2", model="text.keras")
    with zipfile.ZipFile("other.keras", "w") as archive:
        archive.writestr("words.txt", "no model")
    assert "config.json" in refused("--max-delay", "2", model="other.keras")


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


def test_a_file_in_the_place_of_the_output_stays(folder):
    message = refused("--max-delay", "2", "--output", "text.txt")
    assert "must be a folder, received text.txt" in message
    assert Path("text.txt").read_text().startswith("a b c d")


def test_settings_that_the_model_does_not_have(folder):
    assert "'potential'" in refused("--max-delay", "2", "--state", "potential")
    assert "received 2" in refused("--max-delay", "2", "--layer", "2")


def test_dependent_embeddings_leave_the_raw_curves_and_a_note(folder):
    save("wide.keras", size=9)  # 7 types span 6 dimensions
    done = asked("--max-delay", "2", model="wide.keras")
    assert "raw gradients only" in done.stderr
    assert "rank 9, received rank 6" in done.stderr
    curves = inspection.read("inspection-wide")
    assert list(curves["normalization"].values) == ["raw"]


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
