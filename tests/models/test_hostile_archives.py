"""Archives made to harm: each is refused by name, and none of their code runs."""

import base64
import io
import json
import marshal
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from state_gradients.models import archives
from state_gradients.models.saved import load_model

L = keras.layers
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
PLANTED = "import pathlib\npathlib.Path('ran').touch()\nclass Evil:\n    pass\n"


class Opened:
    """An object that leaves a file where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


@pytest.fixture(scope="module")
def members(tmp_path_factory):
    """The members of a whole archive, by name."""
    keras.utils.set_random_seed(1)
    layers = [L.Embedding(7, 3, name="embedding"), L.LSTM(4, name="rnn"), L.Dense(7)]
    model = keras.Sequential([keras.Input((None,)), *layers])
    model.compile("adam", "mse")
    path = tmp_path_factory.mktemp("whole") / "model.keras"
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with a module that leaves a file behind if it is run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("planted.py").write_text(PLANTED)
    Path("keras_planted.py").write_text(PLANTED)
    yield tmp_path
    assert not Path("ran").exists(), "its code has run"
    assert not {"planted", "keras_planted"} & set(sys.modules)


def packed(members, *, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile("model.keras", "w", method) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return Path("model.keras")


def refusal(path, monkeypatch):
    """Return the message of a file that is refused before Keras reads it."""
    with monkeypatch.context() as patch:
        patch.setattr(
            keras.saving, "load_model", lambda *a, **o: pytest.fail("Keras reads it")
        )
        with pytest.raises(ValueError, match=r"^load_model: ") as caught:
            load_model(path)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


def test_a_whole_archive_is_read_and_packed_again_too(folder, members):
    for method in archives.METHODS:
        model = load_model(packed(members, method=method))
        assert [type(layer).__name__ for layer in model.layers[1:]] == ["LSTM", "Dense"]


# ----------------------------------------------------------------- the zip itself

ZEROS = bytes(2**25)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS, "metadata.json", "assets/words"])
@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2])
def test_what_would_inflate_is_not_inflated(folder, members, monkeypatch, name, method):
    path = packed(members | {name: ZEROS}, method=method)
    monkeypatch.setattr(zipfile.ZipFile, "open", None)  # its directory says enough
    message = refusal(path, monkeypatch)
    assert "must hold its data itself" in message
    assert "are to inflate to 33," in message


def test_a_directory_that_states_too_little_is_not_believed(
    folder, members, monkeypatch
):
    path = packed(members | {CONFIG: ZEROS}, method=zipfile.ZIP_DEFLATED)
    content, size = path.read_bytes(), len(ZEROS).to_bytes(4, "little")
    assert content.count(size) == 2  # before the member, and in the directory
    path.write_bytes(content.replace(size, (9).to_bytes(4, "little")))
    largest = []
    read = zipfile.ZipExtFile.read
    monkeypatch.setattr(
        zipfile.ZipExtFile,
        "read",
        lambda *a: largest.append(read(*a)) or largest[-1],
    )
    assert "BadZipFile: Bad CRC-32" in refusal(path, monkeypatch)
    assert all(len(part) <= 9 for part in largest)


def test_a_configuration_longer_than_any_is_not_read(folder, members, monkeypatch):
    monkeypatch.setattr(archives, "LONGEST_JSON", 100)
    assert "must hold its data itself" in refusal(packed(members), monkeypatch)


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "assets/../../outside",
        "assets/..\\outside",
        "/outside",
        "model.weights.npz",
        "planted.py",
        "model.pkl",
    ],
)
def test_a_member_that_is_none_of_keras(folder, members, monkeypatch, name):
    path = packed(members | {name: pickle.dumps(Opened())})
    assert repr(name) in refusal(path, monkeypatch)
    assert sorted(p.name for p in folder.iterdir() if p.suffix != ".py") == [path.name]
    assert not Path("..", "outside").exists()


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_member_that_is_there_twice(folder, members, monkeypatch):
    with zipfile.ZipFile(packed(members), "a") as archive:
        archive.writestr(CONFIG, members[CONFIG])
    assert "each once, received 'config.json'" in refusal("model.keras", monkeypatch)


@pytest.mark.parametrize("name", [CONFIG, WEIGHTS])
def test_an_archive_without_its_parts(folder, members, monkeypatch, name):
    path = packed({key: members[key] for key in members if key != name})
    assert name in refusal(path, monkeypatch)


def test_an_archive_that_is_encrypted_or_cut(folder, members, monkeypatch):
    path = packed(members)
    content = path.read_bytes()
    with zipfile.ZipFile(path) as archive:
        place = content.rindex(b"PK\x01\x02" + content[:0])
        assert archive.infolist()[-1].filename.encode() in content[place:]
    flag = place + 8
    path.write_bytes(content[:flag] + b"\x01" + content[flag + 1 :])
    assert "by another method" in refusal(path, monkeypatch)
    path.write_bytes(content[: len(content) // 2])
    assert "BadZipFile" in refusal(path, monkeypatch)


@pytest.mark.parametrize("content", [b"[" * 10**5, b"9" * 10**4, b"null", b"{}"])
def test_a_configuration_that_is_none(folder, members, monkeypatch, content):
    path = packed(members | {CONFIG: content})
    assert "in Keras's own format" in refusal(path, monkeypatch)


# ------------------------------------------------------------------- its classes


def edited(members, change):
    """Pack an archive whose LSTM is changed by a function of its configuration."""
    config = json.loads(members[CONFIG])
    change(config["config"]["layers"][2])
    return packed(members | {CONFIG: json.dumps(config).encode()})


def code(source):
    """What Keras writes of a lambda, with code that leaves a file behind."""
    function = eval(source)
    value = base64.b64encode(marshal.dumps(function.__code__)).decode()
    return {
        "class_name": "__lambda__",
        "config": {"code": value, "defaults": None, "closure": None},
    }


TOUCH = code("lambda x: __import__('pathlib').Path('ran').touch()")
CLASSES = {  # a layer, an option or what stands in its place, and what is named
    "module": ({"module": "planted", "class_name": "Evil"}, "'planted.Evil'"),
    "prefix": ({"module": "keras_planted", "class_name": "Evil"}, "'keras_planted.Ev"),
    "hub": ({"module": "keras_hub.models", "class_name": "Evil"}, "'keras_hub.models."),
    "system": ({"module": "os", "class_name": "system"}, "'os.system'"),
    "download": (
        {"module": "keras.utils", "class_name": "get_file"},
        "'keras.utils.get_file'",
    ),
    "unsafe": (
        {"module": "keras.config", "class_name": "enable_unsafe_deserialization"},
        "'keras.config.enable_unsafe_deserialization'",
    ),
    "model": ({"module": "keras.saving", "class_name": "load_model"}, "'keras.saving."),
    "tensorflow": (
        {"module": "keras.layers", "class_name": "TFSMLayer"},
        "'keras.layers.TFSMLayer'",
    ),
    "torch": (
        {"module": "keras.layers", "class_name": "TorchModuleWrapper"},
        "'keras.layers.TorchModuleWrapper'",
    ),
    "jax": (
        {"module": "keras.layers", "class_name": "JaxLayer"},
        "'keras.layers.JaxLayer'",
    ),
    "lambda": ({"module": "keras.layers", "class_name": "Lambda"}, "no Lambda layer"),
    "internal lambda": (
        {"module": "keras.src.layers.core.lambda_layer", "class_name": "Lambda"},
        "'keras.src.layers.core.lambda_layer.Lambda'",
    ),
    "code": (TOUCH, "no Lambda layer"),
    "registered": (
        {"class_name": "LSTM", "module": "keras.layers", "registered_name": "a>Theirs"},
        "'a>Theirs'",
    ),
    "type": ({"class_name": "__typespec__", "spec_name": "E"}, "'__typespec__'"),
    "function": (
        {"class_name": "function", "module": "builtins", "config": "eval"},
        "'eval'",
    ),
    "function of a module": (
        {"class_name": "function", "module": "planted", "config": "Evil"},
        "'Evil'",
    ),
    "no class": ({"module": "planted", "config": {}}, "'planted.None'"),
    "class that is a list": ({"class_name": ["LSTM"], "config": {}}, "['LSTM']"),
}


@pytest.mark.parametrize("where", ["layer", "kernel_initializer", "nested"])
@pytest.mark.parametrize("case", CLASSES)
def test_a_class_that_does_more_than_compute_is_refused_by_name(
    folder, members, monkeypatch, case, where
):
    value, named = CLASSES[case]

    def change(layer):
        whole = {"config": {}, "registered_name": None} | value
        if where == "layer":
            layer.clear()
            layer.update(whole)
        elif where == "nested":  # of a model within, of which Keras reads this, too
            layer["compile_config"] = {"loss": [whole]}
        else:
            layer["config"][where] = whole

    assert named in refusal(edited(members, change), monkeypatch)


def test_how_the_model_was_compiled_is_not_read(folder, members):
    config = json.loads(members[CONFIG])
    config["compile_config"] = {"loss": CLASSES["module"][0] | {"config": {}}}
    model = load_model(packed(members | {CONFIG: json.dumps(config).encode()}))
    assert not model.compiled


@pytest.mark.parametrize("layer", ["StringLookup", "IntegerLookup"])
def test_a_vocabulary_that_is_a_path_is_not_read(folder, members, monkeypatch, layer):
    path = edited(
        members,
        lambda config: config.update(
            class_name=layer, config={"vocabulary": "/etc/passwd"}
        ),
    )
    assert f"a {layer} that reads '/etc/passwd'" in refusal(path, monkeypatch)


def test_code_that_the_reader_names_is_known_beside_what_is_not(
    folder, members, monkeypatch
):
    def change(layer):
        layer["config"]["kernel_initializer"] = {
            "module": None,
            "class_name": "Theirs",
            "config": {},
            "registered_name": "hostile>Theirs",
        }

    path = edited(members, change)
    assert "'hostile>Theirs'" in refusal(path, monkeypatch)
    Path("theirs.py").write_text(
        "import keras\n\n"
        "@keras.saving.register_keras_serializable('hostile')\n"
        "class Theirs(keras.initializers.Zeros):\n    pass\n"
    )
    with keras.saving.CustomObjectScope({}):
        load_model(path, imports=["theirs.py"])
    keras.saving.get_custom_objects().pop("hostile>Theirs")


# ------------------------------------------------------------------- its weights


def with_weights(members, change):
    """Pack an archive after a function has changed its HDF5, given a place in it."""
    content = io.BytesIO(members[WEIGHTS])
    with h5py.File(content, "r+") as file:
        place = "layers/embedding/vars/0"
        assert place in file
        del file[place]
        change(file, place)
    return packed(members | {WEIGHTS: content.getvalue()})


@pytest.fixture
def other(folder):
    with h5py.File("other.h5", "w") as file:
        file["data"] = np.zeros((7, 3), "f4")
    return str(folder / "other.h5")


def virtual(file, place, other):
    layout = h5py.VirtualLayout((7, 3), "f4")
    layout[:] = h5py.VirtualSource(other, "data", (7, 3))
    file.create_virtual_dataset(place, layout)


ELSEWHERE = {
    "ExternalLink at": lambda file, place, other: file.__setitem__(
        place, h5py.ExternalLink(other, "data")
    ),
    "SoftLink at": lambda file, place, other: file.__setitem__(
        place, h5py.SoftLink("/layers/rnn")
    ),
    "of 84 bytes that are not in the file": lambda file, place, other: (
        file.create_dataset(place, (7, 3), "f4", external=[(other, 0, 84)])
    ),
    "84 bytes that are not in the file": virtual,
    "4,000,000,000,000 bytes that are not in the file": lambda file, place, other: (
        file.create_dataset(place, (10**6, 10**6), "f4", chunks=(100, 100))
    ),
    "4,000,000 bytes that are not in the file": lambda file, place, other: (
        file.create_dataset(place, data=np.zeros(10**6, "f4"), compression="gzip")
    ),
}


@pytest.mark.parametrize("message", ELSEWHERE)
def test_weights_that_are_elsewhere_are_refused(members, monkeypatch, other, message):
    path = with_weights(members, lambda *at: ELSEWHERE[message](*at, other))
    assert message in refusal(path, monkeypatch)


def test_weights_that_are_no_hdf5(folder, members, monkeypatch):
    path = packed(members | {WEIGHTS: pickle.dumps(Opened())})
    assert "in Keras's own format" in refusal(path, monkeypatch)


@pytest.mark.parametrize(
    ("place", "options", "named"),
    [
        (1, {"input_dim": 10**9}, "Embedding of 1000000000 x 3"),
        (2, {"units": 10**9}, "LSTM of 1000000000"),
        (3, {"units": 10**400}, "Dense of "),
    ],
)
@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_layers_of_more_weights_than_the_file_has_bytes_are_not_built(
    folder, members, monkeypatch, place, options, named, suffix
):
    config = json.loads(members[CONFIG])
    config["config"]["layers"][place]["config"].update(options)
    path = packed(members | {CONFIG: json.dumps(config).encode()})
    if suffix == "h5":
        del config["compile_config"]
        path = Path("model.h5")
        with h5py.File(path, "w") as file:
            file.attrs["keras_version"] = "3.9.0"
            file.attrs["model_config"] = json.dumps(config)
            file.create_group("model_weights")
    assert named in refusal(path, monkeypatch)


def test_the_command_refuses_and_runs_nothing(folder, members):
    path = edited(members, lambda layer: layer.update(CLASSES["module"][0]))
    Path("text.txt").write_text("a b c\n")
    Path("words.txt").write_text("\n".join("abcdefg"))
    words = ["--text", "text.txt", "--vocabulary", "words.txt", "--max-delay", "1"]
    done = subprocess.run(
        [sys.executable, "-m", "state_gradients.cli", "inspect", path, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "'planted.Evil'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert not list(Path().glob("inspection*"))
