"""Models in files: HDF5 of two Keras generations, and what is not read of it."""

import json
import warnings

import h5py
import keras
import numpy as np
import pytest

from state_gradients.models.saved import load_model

L = keras.layers
KINDS = [("LSTM", {}), ("GRU", {}), ("SimpleRNN", {"activation": "relu"})]
ROW = np.array([[0, 0, 3, 1, 4, 2]])


def build(layer="LSTM", **options):
    keras.utils.set_random_seed(1)
    recurrent = getattr(L, layer)(4, name="rnn", **options)
    layers = [L.Embedding(7, 3, name="embedding"), recurrent, L.Dense(7, name="dense")]
    model = keras.Sequential([keras.Input((6,)), *layers])
    for variable in model.weights:  # biases are not zero, either
        variable.assign(keras.random.normal(variable.shape, seed=len(variable.path)))
    return model


def save(model, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.save(path)
    return path


def keras_2(model, path, *, version="2.9.0", **changes):
    """Write what Keras 2 wrote of `build`, with `changes` to the recurrent layer."""
    _, recurrent, dense = (layer.get_config() for layer in model.layers)
    keys = "name", "units", "activation", "use_bias"
    layers = [
        {
            "class_name": "Embedding",
            "config": {
                "name": "embedding",
                "batch_input_shape": [None, 6],
                "input_dim": 7,
                "output_dim": 3,
                "mask_zero": False,
                "input_length": 6,
                "embeddings_initializer": {
                    "class_name": "RandomUniform",
                    "config": {"minval": -0.05, "maxval": 0.05, "seed": None},
                },
            },
        },
        {
            "class_name": type(model.layers[1]).__name__,
            "config": {
                **{k: v for k, v in recurrent.items() if type(v) in (int, bool, str)},
                "time_major": False,
                "implementation": 2,
                **changes,
            },
        },
        {"class_name": "Dense", "config": {key: dense[key] for key in keys}},
    ]
    config = {"name": "sequential", "layers": layers}
    if version < "2.2.3":
        config = layers
    with h5py.File(path, "w") as file:
        file.attrs["keras_version"] = version.encode()
        file.attrs["model_config"] = json.dumps(
            {"class_name": "Sequential", "config": config}
        ).encode()
        weights = file.create_group("model_weights")
        weights.attrs["layer_names"] = [b"embedding", b"rnn", b"dense"]
        for layer in model.layers:
            group = weights.create_group(layer.name)
            names = [f"{layer.name}/cell/{w.name}:0" for w in layer.weights]
            group.attrs["weight_names"] = [name.encode() for name in names]
            for name, weight in zip(names, layer.weights, strict=True):
                group[name] = keras.ops.convert_to_numpy(weight)
    return path


@pytest.mark.parametrize(("layer", "options"), KINDS)
@pytest.mark.parametrize("write", [save, keras_2])
def test_a_model_in_hdf5_computes_what_it_did(tmp_path, layer, options, write):
    model = build(layer, **options)
    read = load_model(write(model, tmp_path / "model.h5"))
    assert read.input_shape == (None, 6)
    np.testing.assert_array_equal(read(ROW), model(ROW))


def test_the_gru_of_the_first_keras_2_resets_before(tmp_path):
    model = build("GRU", reset_after=False)
    path = keras_2(model, tmp_path / "old.h5", version="2.1.3")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        del config["config"][1]["config"]["reset_after"]
        file.attrs["model_config"] = json.dumps(config)
    np.testing.assert_array_equal(load_model(path)(ROW), model(ROW))


def test_a_functional_model_and_any_name_of_the_file(tmp_path):
    point = keras.Input((6,))
    model = keras.Model(point, L.LSTM(4)(L.Embedding(7, 3)(point)))
    save(model, tmp_path / "model.h5").rename(tmp_path / "model.best")
    np.testing.assert_array_equal(load_model(tmp_path / "model.best")(ROW), model(ROW))


def refusal(path):
    with pytest.raises(ValueError, match=r"^load_model: ") as caught:
        load_model(path)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"time_major": True}, "time_major=False, received rnn"),
        ({"recurrent_activation": "hard_sigmoid"}, r"clip(0.2 x + 0.5), as its layer"),
        ({"new_option": 1}, "new_option"),
        ({"units": 5}, "Keras must load"),
    ],
)
def test_what_keras_2_did_otherwise_is_refused(tmp_path, changes, message):
    assert message in refusal(keras_2(build(), tmp_path / "model.h5", **changes))


def function(x):
    return x


@keras.saving.register_keras_serializable("tests")
class Theirs(L.LSTM):
    pass


CODE = {"class_name": "__lambda__", "config": {"code": "4wEA"}}
EVAL = {"module": "builtins", "class_name": "function", "config": "eval"}
POPEN = {"module": "subprocess", "class_name": "Popen", "config": {"args": ["true"]}}


@pytest.mark.parametrize(
    ("where", "value", "named"),
    [
        ("layer", "Lambda", "'Lambda'"),
        ("layer", "TFSMLayer", "'TFSMLayer'"),
        ("layer", "StringLookup", "'StringLookup'"),  # a vocabulary may be a path
        ("layer", "tests>Theirs", "'tests>Theirs'"),
        ("layer", "LSTM2", "'LSTM2'"),
        ("activation", CODE, "'__lambda__'"),
        ("activation", EVAL, "'function' of builtins"),
        ("kernel_initializer", POPEN, "'Popen' of subprocess"),
        ("kernel_initializer", {"registered_name": "tests>Theirs"}, "'tests>Theirs'"),
        ("module", "theirs", "'LSTM' of theirs"),
    ],
)
def test_a_class_that_is_not_keras_own_is_refused_by_name(
    tmp_path, monkeypatch, where, value, named
):
    path = save(build(), tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        layer = config["config"]["layers"][2]
        if where == "layer":
            layer["class_name"] = value
        elif where == "module":
            layer["module"] = value
        else:
            layer["config"][where] = value
        file.attrs["model_config"] = json.dumps(config)
    monkeypatch.setattr(keras.saving, "load_model", None)  # refused before Keras reads
    assert named in refusal(path)


def test_links_and_data_elsewhere_are_refused(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.zeros((7, 3))
    whole = save(build(), tmp_path / "model.h5").read_bytes()

    def changed(change):
        path = tmp_path / "changed.h5"
        path.write_bytes(whole)
        with h5py.File(path, "r+") as file:
            group = file["model_weights/embedding"]
            at = f"{group.name}/{group.attrs['weight_names'][0]}"
            del file[at]
            change(file, at)
        return refusal(path)

    other = str(tmp_path / "other.h5")
    layout = h5py.VirtualLayout((7, 3), "f4")
    layout[:] = h5py.VirtualSource(other, "data", (7, 3))

    def external(file, at):
        file[at] = h5py.ExternalLink(other, "data")

    def soft(file, at):
        file[at] = h5py.SoftLink("/model_weights/rnn")

    def elsewhere(file, at):
        file.create_dataset(at, (7, 3), "f4", external=[(other, 0, 84)])

    def virtual(file, at):
        file.create_virtual_dataset(at, layout)

    def bomb(file, at):
        file.create_dataset(at, (10**6, 10**6), "f4", chunks=(100, 100))

    assert "ExternalLink at" in changed(external)
    assert "SoftLink at" in changed(soft)
    for change in (elsewhere, virtual, bomb):
        assert "bytes that are not in the file" in changed(change)


def test_weights_of_another_name_or_order_are_refused(tmp_path):
    path = save(build("LSTM", use_bias=False), tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        attributes = file["model_weights/rnn"].attrs
        attributes["weight_names"] = attributes["weight_names"][::-1]
    assert "Keras must load" in refusal(path)
    path = keras_2(build(), tmp_path / "named.h5")
    with h5py.File(path, "r+") as file:
        file["model_weights"].move("dense", "head")
        names = [b"embedding", b"rnn", b"head"]
        file["model_weights"].attrs["layer_names"] = names
    assert "must hold the weights" in refusal(path)


def _halved(path):
    whole = save(build(), path).read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def _weights_alone(path):
    build().save_weights(path.with_suffix(".weights.h5"))
    path.with_suffix(".weights.h5").rename(path)


def _with_config(change):
    def write(path):
        save(build(), path)
        with h5py.File(path, "r+") as file:
            change(file.attrs)

    return write


def _with_layer(name):
    def change(attributes):
        config = json.loads(attributes["model_config"])
        config["config"]["layers"][2]["class_name"] = name
        attributes["model_config"] = json.dumps(config)

    return _with_config(change)


def _linked(path):
    save(build(), path)
    with h5py.File(path, "r+") as file:
        del file["model_weights/dense"]
        file["model_weights/dense"] = h5py.ExternalLink("other.h5", "dense")


def _pointer(path):
    path.write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n"
    )


HDF5 = {  # how a file is written, what is said of it
    "half of a model": (_halved, "Is the file whole?"),
    "weights without a model": (_weights_alone, "Weights alone"),
    "layers that are not described in JSON": (
        _with_config(lambda attributes: attributes.modify("model_config", "{")),
        "in JSON",
    ),
    "a Lambda layer": (_with_layer("Lambda"), "'Lambda'"),
    "a layer of somebody's own": (_with_layer("theirs>Gate"), "'theirs>Gate'"),
    "weights that stand in another file": (_linked, "ExternalLink at"),
    "Keras 2's hard_sigmoid": (
        lambda path: keras_2(build(), path, recurrent_activation="hard_sigmoid"),
        "clip(0.2 x + 0.5), as its layer",
    ),
    "a pointer of Git LFS": (_pointer, "git lfs pull"),
}


def refusal_of_hdf5(case, folder, name="model.h5"):
    HDF5[case][0](folder / name)
    return refusal(folder / name)


@pytest.mark.parametrize("case", HDF5)
def test_files_that_hold_no_model_that_can_be_read(tmp_path, case):
    assert HDF5[case][1] in refusal_of_hdf5(case, tmp_path)


def test_a_pointer_to_a_large_file_says_what_fetches_it(tmp_path):
    said = refusal_of_hdf5("a pointer of Git LFS", tmp_path, "model.keras")
    assert "git lfs pull" in said
