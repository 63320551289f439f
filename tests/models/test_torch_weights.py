"""PyTorch's weights, held against PyTorch's documented equations, and what is refused.

PyTorch itself is not among the project's packages: its Linux wheel brings gigabytes.
The reference is :mod:`pytorch_equations`, which `test_pytorch_record` holds against
what PyTorch gave; where PyTorch is installed, the last test asks it anew.
"""

import importlib.util
import json
import re
import struct
import sys
import zipfile

import keras
import numpy as np
import pytest
import pytorch_equations as pytorch
from safetensors.numpy import save as to_bytes
from safetensors.numpy import save_file

import state_gradients as sg
from state_gradients.foundation import backends
from state_gradients.foundation.loading import load_keras
from state_gradients.models.saved import load_model
from state_gradients.models.torch_weights import load_torch

V, E, H = 9, 3, 4
IDS = np.array([3, 1, 4, 1, 5, 8, 2, 6])
double = pytest.mark.skipif(
    not backends.supports("float64"), reason="on JAX, needs JAX_ENABLE_X64=1"
)
KINDS = [("LSTM", "hidden"), ("LSTM", "cell")]
KINDS += [(kind, "hidden") for kind in ("GRU", "tanh", "relu")]


def of_model(kind="LSTM", *, seed=0, head=True, **options):
    """Return the state dict of words -> recurrent module -> linear."""
    rng = np.random.default_rng(seed)
    options = {"inputs": E, "units": H} | options
    weights = {"words.weight": rng.normal(size=(V, E))}
    weights |= pytorch.state_dict(kind, rng, **options)
    if head:
        weights["linear.weight"] = rng.normal(size=(5, H))
        weights["linear.bias"] = rng.normal(size=5)
    return weights


def asked_of(kind):
    return {"nonlinearity": kind} if kind in ("tanh", "relu") else {}


def reference(kind, weights, state, *, layers=1, max_delay=4):
    def run(inputs):
        return pytorch.states(kind, weights, inputs, layers=layers)[state]

    embedded = weights["words.weight"][IDS]
    return pytorch.mean_gradients(run, embedded, max_delay=max_delay)


@double
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize(("kind", "state"), KINDS)
def test_state_gradients_are_those_of_pytorchs_equations(kind, state, layers, bias):
    weights = of_model(kind, layers=layers, bias=bias)
    model = load_torch(weights, **asked_of(kind))
    asked = {"max_delay": 4, "layer": layers, "state": state, "dtype": "float64"}
    means = sg.mean_state_gradients(model, IDS, **asked)
    expected = reference(kind, weights, state, layers=layers)
    # step 1e-5: O(step^2) times third derivatives, which three layers multiply, and
    # O(eps / step) = 1e-11; a wrong gate is wrong in the first digit
    scale = np.abs(expected).max()
    found = means["state_gradient"].values
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-7 * scale)


@double
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "tanh", "relu"])
def test_outputs_and_head_are_those_of_pytorchs_equations(kind):
    weights = of_model(kind, layers=2)
    model = load_torch(weights, output="linear", **asked_of(kind))
    hidden = pytorch.states(kind, weights, weights["words.weight"][IDS], layers=2)
    expected = hidden["hidden"] @ weights["linear.weight"].T + weights["linear.bias"]
    found = keras.ops.convert_to_numpy(model(IDS[None]))[0]
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)
    assert [type(layer).__name__ for layer in model.layers][-1] == "Dense"
    assert len(load_torch(weights, **asked_of(kind)).layers) == 3  # no head: not built


def test_a_head_without_a_bias():
    weights = of_model()
    del weights["linear.bias"]
    model = load_torch(weights, output="linear")
    assert len(model.layers[-1].get_weights()) == 1


# ------------------------------------------------------------------- what is stored


def save(folder, weights, *, dtype=np.float32, name="model.safetensors", **options):
    arrays = {key: value.astype(dtype) for key, value in weights.items()}
    save_file(arrays, folder / name, **options)
    return folder / name


def test_a_file_gives_what_its_state_dict_gives(tmp_path):
    weights = of_model("GRU")
    path = save(tmp_path, weights)
    for model in (load_torch(path), load_torch(str(path)), load_model(path)):
        assert model.layers[1].dtype == "float32"
        for found, given in zip(
            model.layers[1].get_weights(),
            load_torch(weights).layers[1].get_weights(),
            strict=True,
        ):
            np.testing.assert_array_equal(found, given.astype("float32"))


def write(path, header, data=b"", *, length=None):
    """Write a safetensors file byte by byte."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", length or len(text)) + text + data)
    return path


def half(folder, weights, code):
    """Write weights in half precision; bfloat16 is what NumPy does not have."""
    parts, header, at = [], {}, 0
    for name, value in weights.items():
        if code == "BF16":
            bits = value.astype("<f4").view("<u4") >> 16
            parts.append(bits.astype("<u2").tobytes())
        else:
            parts.append(value.astype("<f2").tobytes())
        ends = [at, at := at + len(parts[-1])]
        header[name] = {"dtype": code, "shape": value.shape, "data_offsets": ends}
    return write(folder / "half.safetensors", header, b"".join(parts))


@pytest.mark.parametrize(("code", "bits"), [("F16", 10), ("BF16", 7)])
def test_half_precision_is_read_in_single_and_said(tmp_path, code, bits):
    weights = of_model()
    path = half(tmp_path, weights, code)
    with pytest.warns(UserWarning, match=r"read as float32, but are rounded"):
        model = load_torch(path)
    said = []
    load_torch(path, report=said.append)  # where somebody listens, no warning
    assert f"part in 2^{bits + 1})" in said[-1]
    table = model.layers[0].get_weights()[0]
    assert table.dtype == np.float32
    # to nearest for F16, towards zero as written above for BF16
    np.testing.assert_allclose(table, weights["words.weight"], rtol=2.0**-bits)
    assert np.any(table != weights["words.weight"].astype("float32"))


def test_tied_weights_are_an_embedding_by_either_name(tmp_path):
    weights = of_model(units=E, head=False)
    # in single precision, which every backend keeps digit for digit
    weights = {name: weight.astype(np.float32) for name, weight in weights.items()}
    tied = weights | {
        "decoder.weight": weights["words.weight"],
        "decoder.bias": np.ones(V, np.float32),
    }
    for given in (tied, {k: v for k, v in tied.items() if k != "decoder.bias"}):
        model = load_torch(given)
        np.testing.assert_array_equal(
            model.layers[0].get_weights()[0], weights["words.weight"]
        )
    # save_model keeps the name that comes first, and notes the other
    stored = {k: v for k, v in tied.items() if k != "words.weight"}
    noted = {"format": "pt", "words.weight": "decoder.weight"}
    model = load_torch(save(tmp_path, stored, metadata=noted), output="decoder")
    assert [layer.name for layer in model.layers] == ["words", "rnn_l0", "decoder"]
    kernel = model.layers[-1].get_weights()[0]
    np.testing.assert_array_equal(kernel.T, model.layers[0].get_weights()[0])


# ------------------------------------------------------------- which module is which


def test_the_only_modules_are_found_under_any_prefix():
    weights = {f"module.net.{k}": v for k, v in of_model().items()}
    model = load_torch(weights)
    assert [layer.name for layer in model.layers] == [
        "module_net_words",
        "module_net_rnn_l0",
    ]
    bare = pytorch.state_dict("LSTM", np.random.default_rng(0), inputs=E, units=H)
    bare = {k.removeprefix("rnn."): v for k, v in bare.items()}  # nn.LSTM's own
    assert load_torch(bare, embedding=False).input_shape == (None, None, E)


@double
def test_modules_that_read_one_another_are_stacked_in_their_order():
    rng = np.random.default_rng(0)
    lower = pytorch.state_dict("LSTM", rng, inputs=E, units=5, name="low")
    upper = pytorch.state_dict("GRU", rng, inputs=5, units=H, name="high")
    weights = of_model(head=False) | lower | upper
    for name in [name for name in weights if name.startswith("rnn.")]:
        del weights[name]
    model = load_torch(weights, recurrent=("low", "high"))
    asked = {"max_delay": 3, "layer": 2, "dtype": "float64"}
    found = sg.mean_state_gradients(model, IDS, **asked)["state_gradient"]

    def run(inputs):
        low = pytorch.states("LSTM", weights, inputs, name="low")["hidden"]
        return pytorch.states("GRU", weights, low, name="high")["hidden"]

    expected = pytorch.mean_gradients(run, weights["words.weight"][IDS], max_delay=3)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-8)


ABOVE = {  # what cannot stand below by its shape: nothing is asked
    "an attention over the states": {"att.in_proj_weight": np.ones((3 * H, H))},
    "two linear layers": {"a.weight": np.ones((7, H)), "b.weight": np.ones((2, 7))},
    "a norm of the states": {"norm.weight": np.ones(H), "norm.bias": np.ones(H)},
}


@pytest.mark.parametrize("case", ABOVE)
def test_what_cannot_stand_below_is_not_asked_about(case):
    assert len(load_torch(of_model() | ABOVE[case]).layers) == 2


BETWEEN = {  # what could
    "a norm of the embedding": {"norm.weight": np.ones(E), "norm.bias": np.ones(E)},
    "a square linear layer": {"mix.weight": np.ones((E, E)), "mix.bias": np.ones(E)},
    "a convolution": {"conv.weight": np.ones((E, E, 3)), "conv.bias": np.ones(E)},
    "a chain of two": {
        **{"down.weight": np.ones((2, E)), "down.bias": np.ones(2)},
        **{"up.weight": np.ones((E, 2)), "up.bias": np.ones(E)},
    },
    "a chain of three": {
        **{"in.weight": np.ones((2, E)), "in.bias": np.ones(2)},
        **{"mid.weight": np.ones((7, 2)), "mid.bias": np.ones(7)},
        **{"out.weight": np.ones((E, 7)), "out.bias": np.ones(E)},
    },
    "a state to start from": {"h0": np.ones((1, 1, H))},
    "a recurrent module": pytorch.state_dict(
        "GRU", np.random.default_rng(5), inputs=E, units=E, name="other"
    ),
    "a convolution of each column": {"conv.weight": np.ones((E, 1, 3))},
    "a convolution in groups, and one back": {
        **{"wide.weight": np.ones((2 * E, 1, 3)), "wide.bias": np.ones(2 * E)},
        **{"back.weight": np.ones((E, 2 * E, 1)), "back.bias": np.ones(E)},
    },
    "a recurrent cell": {
        "cell.weight_ih": np.ones((3 * E, E)),
        "cell.weight_hh": np.ones((3 * E, E)),
    },
    "a module that reads both ways, and a layer": {
        **{f"other.weight_ih_l0{way}": np.ones((8, E)) for way in ("", "_reverse")},
        **{f"other.weight_hh_l0{way}": np.ones((8, 2)) for way in ("", "_reverse")},
        **{"back.weight": np.ones((E, 4)), "back.bias": np.ones(E)},
    },
}


@pytest.mark.parametrize("case", BETWEEN)
def test_what_could_stand_below_must_be_named(case):
    weights = of_model() | BETWEEN[case]
    asked = {"recurrent": "rnn"}
    with pytest.raises(ValueError, match=r"^load_torch: what stands below") as caught:
        load_torch(weights, **asked)
    names = {name.rpartition(".")[0] or name for name in BETWEEN[case]}
    assert all(repr(name) in str(caught.value) for name in names)
    assert len(load_torch(weights, above=sorted(names), **asked).layers) == 2


def test_below_numbers_stands_whatever_gives_their_width():
    weights = of_model(head=False)
    del weights["words.weight"]
    assert len(load_torch(weights, embedding=False).layers) == 1
    weights["front.weight"] = np.ones((E, 7))
    weights["front.bias"] = np.ones(E)
    with pytest.raises(ValueError, match=r"received \['front'\]"):
        load_torch(weights, embedding=False)


IN_MODULES = {  # not read, in a module that is: case: shapes
    "norms of the gates": {"rnn.ln_ih.weight": (4 * H,), "rnn.ln_ih.bias": (4 * H,)},
    "a norm of the cell": {"rnn.ln_c.weight": (H,), "rnn.ln_c.bias": (H,)},
    "peepholes": {"rnn.peephole": (3, H)},
    "peepholes, called as weights are": {"rnn.weight_ch_l0": (3 * H,)},
    "a decay of the state": {"rnn.gamma_h.weight": (H, 5), "rnn.gamma_h.bias": (H,)},
    "LoRA of the recurrence": {"rnn.lora_hh_A": (2, H), "rnn.lora_hh_B": (4 * H, 2)},
    "LoRA of the table": {"words.lora_A": (2, V), "words.lora_B": (E, 2)},
    "a scale of the table": {"words.scale": (1,)},
    "a state to start from": {"rnn.h0": (1, 1, H)},
}
BESIDE = {  # not read, and not seen to be above
    "a scale": {"scale.alpha": (1,)},
    "a scale without an axis": {"scale.weight": ()},
    "a scale in a Sequential": {"front.0.weight": (1,)},
    "bare positions": {"pe": (1, 50, E)},
    "a module of positions": {"positions.pe": (50, 1, E)},
    "a module of positions, a matrix": {"positions.table": (50, E)},
    "states to start from": {"h0": (1, 1, H), "c0": (1, 1, H)},
    "states to start from, without axes": {"h0": (H,), "c0": (H,)},
    "states to start from, in a list": {"starts.0": (H,), "starts.1": (H,)},
    "a module of a state": {"begin.hidden": (1, 1, H)},
    "a module of both states": {"begin.states": (2, H)},
    "a module that is called as a state": {"h_0.vector": (H,)},
    "a state made of a context": {"init_h.weight": (H, 7), "init_h.bias": (H,)},
    "a bare gain": {"gain": (E,)},
    "a bare number": {"gain": ()},
}
PREFIXES = ("", "enc.", "module.enc.")
each_prefix = pytest.mark.parametrize("prefix", PREFIXES)


def in_encoder(prefix, shapes, *, kind="LSTM", others=()):
    """Return the usual state dict, words, rnn and weights of ones below a prefix."""
    weights = {
        name if name.startswith("linear.") else f"{prefix}{name}": value
        for name, value in of_model(kind).items()
    }
    weights |= {f"{prefix}{name}": np.ones(shape) for name, shape in shapes.items()}
    return weights | {name: np.ones(shape) for name, shape in dict(others).items()}


def refusal_of_others(weights, **options):
    with pytest.raises(ValueError, match=r"^load_torch: ") as caught:
        load_torch(weights, **options)
    return str(caught.value)


@each_prefix
@pytest.mark.parametrize("case", IN_MODULES)
def test_what_stands_in_a_module_that_is_read_must_be_read(case, prefix):
    shapes = {f"{prefix}{name}": shape for name, shape in IN_MODULES[case].items()}
    weights = in_encoder(prefix, IN_MODULES[case])
    module = prefix + min(IN_MODULES[case]).partition(".")[0]
    # neither the module itself nor what holds it can be said to stand above it
    for above in ((), module, prefix.rstrip(".") or module):
        said = refusal_of_others(weights, above=above)
        assert said.startswith(f"load_torch: all weights in {module} of the state dict")
        assert f"received others, {shapes}, " in said
        assert "build the model in Keras" in said and "take them out" in said
    assert len(load_torch(weights, above=list(shapes)).layers) == 2


@each_prefix
@pytest.mark.parametrize("case", BESIDE)
def test_what_may_act_between_embedding_and_state_must_be_named(case, prefix):
    shapes = {f"{prefix}{name}": shape for name, shape in BESIDE[case].items()}
    weights = in_encoder(prefix, BESIDE[case])
    for above in ((), prefix.rstrip(".")):
        said = refusal_of_others(weights, above=above)
        assert said.startswith("load_torch: what stands below the recurrent layers")
        assert f"would fit there: {dict(sorted(shapes.items()))}. Name" in said
        assert "build the model in Keras" in said and "take them out" in said
    assert len(load_torch(weights, above=list(shapes)).layers) == 2


@each_prefix
def test_numbers_are_read_with_all_that_acts_on_them(prefix):
    shapes = {"positions.pe": (50, 1, E), "rnn.peephole": (3, H), "gain": (E,)}
    for name, shape in shapes.items():
        weights = in_encoder(prefix, {name: shape})
        del weights[f"{prefix}words.weight"]
        assert f"'{prefix}{name}': {shape}" in refusal_of_others(
            weights, embedding=False
        )


def test_what_stands_in_a_module_without_a_name_must_be_read():
    weights = pytorch.state_dict("LSTM", np.random.default_rng(0), inputs=E, units=H)
    weights = {k.removeprefix("rnn."): v for k, v in weights.items()}
    weights["peephole"] = np.ones((3, H))
    said = refusal_of_others(weights, embedding=False)
    assert "all weights in the recurrent module of" in said
    assert "{'peephole': (3, 4)}" in said


def test_a_table_without_a_module_is_no_embedding():
    weights = of_model()
    weights["weight"] = weights.pop("words.weight")
    assert "must hold one nn.Embedding of 3 columns" in refusal_of_others(weights)


def test_lora_of_a_table_that_peft_has_wrapped_must_be_read():
    lora = {"words.lora_embedding_A.default": (2, V)}
    lora["words.lora_embedding_B.default"] = (E, 2)
    weights = in_encoder("enc.", lora)
    weights["enc.words.base_layer.weight"] = weights.pop("enc.words.weight")
    said = refusal_of_others(weights)
    assert "all weights in enc.words of" in said
    assert "'enc.words.lora_embedding_A.default': (2, 9)" in said


def test_all_names_of_a_tied_embedding_are_those_of_a_module_that_is_read():
    weights = of_model(units=E, head=False)
    weights["decoder.weight"] = weights["words.weight"]
    for scaled in ("decoder", "words"):
        scales = {f"{scaled}.scale": np.ones(1)}
        said = refusal_of_others(weights | scales)
        assert f"all weights in {scaled} of the state dict" in said
    # a head, by its bias or because it is said to be one
    biased = weights | {"decoder.bias": np.ones(V)}
    for asked in ("words", "decoder", None):
        assert len(load_torch(biased, embedding=asked).layers) == 2
    scaled = weights | {"decoder.scale": np.ones(1)}
    assert len(load_torch(scaled, above="decoder").layers) == 2


STILL_ABOVE = {  # clear by its shape, or by what stands with it
    "a head": {"head.weight": (V, H), "head.bias": (V,)},
    "a head of one output": {"head.weight": (1, H), "head.bias": (1,)},
    "a head with a PReLU and a norm": {
        **{"head.0.weight": (7, H), "head.0.bias": (7,), "head.1.weight": (1,)},
        **{"head.2.weight": (7,), "head.2.bias": (7,), "head.2.running_mean": (7,)},
        **{"head.2.num_batches_tracked": (), "head.3.weight": (2, 7)},
    },
    "an attention of somebody's own": {"att.query": (H,), "att.keys.weight": (7, H)},
    "an attention of PyTorch's, with a bias": {
        **{"att.in_proj_weight": (3 * H, H), "att.bias_k": (1, 1, H)},
        **{"att.out_proj.weight": (H, H), "att.out_proj.bias": (H,)},
    },
    "a norm of the states": {"norm.weight": (H,), "norm.bias": (H,)},
    "a tagger that is called after what it reads": {"hidden2tag.weight": (5, H)},
    "a convolution of the states": {"conv.weight": (7, H, 3), "conv.bias": (7,)},
    "a field of transitions": {"crf.transitions": (5, 5), "crf.start": (5,)},
    "a loss": {"loss.weight": (V,)},
}


@each_prefix
@pytest.mark.parametrize("case", STILL_ABOVE)
def test_what_is_clearly_above_is_not_asked_about(case, prefix):
    shapes = STILL_ABOVE[case]
    assert len(load_torch(in_encoder(prefix, shapes)).layers) == 2
    assert len(load_torch(in_encoder(prefix, {}, others=shapes)).layers) == 2


def test_numbers_outside_of_what_holds_all_that_is_read_are_above():
    numbers = {"loss.temperature": (), "activation.weight": (1,)}
    assert len(load_torch(in_encoder("enc.", {}, others=numbers)).layers) == 2


# ------------------------------------------------------------------ what is refused


def changed(**changes):
    """Return the usual state dict with some weights replaced, or (None) left out."""
    weights = of_model() | {k.replace("__", "."): v for k, v in changes.items()}
    return {name: value for name, value in weights.items() if value is not None}


def two_modules():
    other = np.random.default_rng(1)
    return of_model() | pytorch.state_dict(
        "GRU", other, inputs=E, units=H, layers=2, name="old"
    )


def with_nan():
    weights = of_model()
    weights["rnn.weight_hh_l0"][2, 1] = np.nan
    return weights


REFUSED = {  # case: (weights, options, words of the message)
    "an nn.RNN of unknown nonlinearity": (
        lambda: of_model("tanh"),
        {},
        ("(--nonlinearity) must be given for rnn", "None", "default is 'tanh'"),
    ),
    "an nn.RNN with a nonlinearity of another kind": (
        lambda: of_model("tanh"),
        {"nonlinearity": "sigmoid"},
        ("one of ('tanh', 'relu'), received 'sigmoid'",),
    ),
    "a bidirectional module": (
        lambda: changed(rnn__weight_ih_l0_reverse=np.ones((4 * H, E))),
        {},
        ("bidirectional", "rnn.weight_ih_l0_reverse"),
    ),
    "projections (`proj_size`)": (
        lambda: changed(rnn__weight_hr_l0=np.ones((2, H))),
        {},
        ("`proj_size`", "rnn.weight_hr_l0"),
    ),
    "weights under weight_norm": (
        lambda: changed(rnn__weight_hh_l0_g=np.ones((4 * H, 1))),
        {},
        ("compute with the weights as they are", "rnn.weight_hh_l0_g"),
    ),
    "two recurrent modules": (
        two_modules,
        {},
        ("(--recurrent) must name it", "'old' (2 layers), 'rnn' (1 layers)"),
    ),
    "a recurrent module of another name": (
        of_model,
        {"recurrent": "lstm"},
        ("received ['lstm']", "'rnn' (1 layers)"),
    ),
    "no recurrent module": (
        lambda: {"linear.weight": np.ones((2, 3))},
        {},
        ("NAME.weight_ih_l0", "received no such name"),
    ),
    "two embeddings": (
        lambda: changed(tags__weight=np.ones((6, E))),
        {},
        ("(--embedding) must name it", "'tags' (6, 3), 'words' (9, 3)"),
    ),
    "no embedding": (
        lambda: changed(words__weight=None),
        {},
        ("if that layer reads numbers", "received none"),
    ),
    "an embedding of another name": (
        of_model,
        {"embedding": "emb"},
        ("received 'emb'", "those that fit are 'words' (9, 3)"),
    ),
    "an embedding of another width": (
        lambda: changed(words__weight=np.ones((V, 2))),
        {"embedding": "words"},
        ("must read what words gives, of width 2, received weights for width 3",),
    ),
    "modules in the wrong order": (
        two_modules,
        {"recurrent": ("rnn", "old")},
        ("old_l0", "must read what rnn_l0 gives, of width 4"),
    ),
    "a layer that is missing": (
        lambda: changed(rnn__weight_ih_l2=np.ones((4 * H, H))),
        {},
        ("rnn_l1", "are all weights of the module there?"),
    ),
    "one bias of two": (
        lambda: changed(rnn__bias_hh_l0=None),
        {},
        ("both biases (n,) or neither",),
    ),
    "a matrix of the wrong shape": (
        lambda: changed(rnn__weight_hh_l0=np.ones((2 * H, H))),
        {},
        ("1 (nn.RNN), 3 (nn.GRU) or 4 (nn.LSTM) times", "'weight_hh': (8, 4)"),
    ),
    "a weight that could stand below": (
        lambda: of_model() | BETWEEN["a norm of the embedding"],
        {},
        ("received ['norm']", "`above`"),
    ),
    "peepholes": (
        lambda: changed(rnn__peephole=np.ones((3, H))),
        {},
        ("all weights in rnn of", "{'rnn.peephole': (3, 4)}", "take them out"),
    ),
    "LoRA weights beside the embedding": (
        lambda: changed(words__lora_A=np.ones((2, V)), words__lora_B=np.ones((E, 2))),
        {},
        ("all weights in words of", "'words.lora_A': (2, 9)", "take them out"),
    ),
    "a learnt state to start from": (
        lambda: changed(h0=np.ones((1, 1, H)), c0=np.ones((1, 1, H))),
        {},
        ("received ['c0', 'h0']", "'h0': (1, 1, 4)", "a state to start from"),
    ),
    "a table of positions": (
        lambda: changed(positions__pe=np.ones((50, 1, E))),
        {},
        ("received ['positions']", "{'positions.pe': (50, 1, 3)}"),
    ),
    "a learnt scale": (
        lambda: changed(scale__alpha=np.ones(1)),
        {},
        ("received ['scale']", "{'scale.alpha': (1,)}"),
    ),
    "an output that reads something else": (
        lambda: changed(linear__weight=np.ones((5, H + 1))),
        {"output": "linear"},
        ("reads the 4 units of rnn_l0", "(5, 5)"),
    ),
    "weights that are not finite": (
        with_nan,
        {},
        ("received 1 of 64 in rnn.weight_hh_l0",),
    ),
    "quantized weights": (
        lambda: changed(rnn__weight_hh_l0=np.ones((4 * H, H), np.int8)),
        {},
        ("must not be quantized", "int8"),
    ),
    "an empty embedding": (
        lambda: changed(words__weight=np.ones((0, E))),
        {},
        ("words.weight", "must hold numbers, received shape (0, 3)"),
    ),
    "tensors that are no arrays": (
        lambda: changed(words__weight=[[1.0, 2.0], [3.0]]),
        {},
        ("must hold arrays, received 'words.weight'", ".cpu().float().numpy()"),
    ),
    "a module in the place of its state dict": (
        lambda: keras.layers.LSTM,
        {},
        ("a file or a state dict", "module.state_dict()"),
    ),
}


def refusal_of_torch(case):
    """Return what is said of some weights."""
    make, options, _ = REFUSED[case]
    with pytest.raises(ValueError, match=r"^load_torch: ") as caught:
        load_torch(make(), **options)
    return str(caught.value)


@pytest.mark.parametrize("case", REFUSED)
def test_weights_that_are_not_known_to_be_right_are_refused_by_name(case):
    said = refusal_of_torch(case)
    assert [words for words in REFUSED[case][2] if words not in said] == []


def whole():
    """Return the bytes of a file that is whole."""
    weights = of_model()
    return to_bytes({name: value.astype("f4") for name, value in weights.items()})


def edited(**changes):
    """Return a whole file whose first tensor's header is changed."""
    content = whole()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    first = next(name for name in header if name != "__metadata__")
    header[first] |= changes
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + content[8 + length :]


def with_float8():
    header = {"words.weight": {"dtype": "F8_E4M3", "shape": [9, 3]}}
    header["words.weight"]["data_offsets"] = [0, 27]
    at = 27
    data = bytes(27)
    for name, value in of_model().items():
        if name != "words.weight":
            raw = value.astype("<f4").tobytes()
            ends = [at, at := at + len(raw)]
            header[name] = {"dtype": "F32", "shape": value.shape, "data_offsets": ends}
            data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


ONES = np.ones((2, 2), "<f4").tobytes()
ONE = {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}
FILES = {  # case: (name, content or None, words of the message)
    "a file that is not there": ("model.safetensors", None, ("must be a file",)),
    "a truncated file": (
        "model.safetensors",
        lambda: whole()[:-40],
        ("must be a whole",),
    ),
    "an empty file": ("model.safetensors", lambda: b"", ("must be a whole",)),
    "a header longer than the file": (
        "model.safetensors",
        lambda: struct.pack("<Q", 2**60) + whole()[8:],
        ("must be a whole",),
    ),
    "a header that is no JSON": (
        "model.safetensors",
        lambda: struct.pack("<Q", 4) + b"{{{{",
        ("must be a whole",),
    ),
    "a dtype that is not known": (
        "model.safetensors",
        lambda: edited(dtype="F31"),
        ("must be a whole",),
    ),
    "a shape of other size than its data": (
        "model.safetensors",
        lambda: edited(shape=[2**40, 2]),
        ("must be a whole",),
    ),
    "tensors that overlap": (
        "model.safetensors",
        lambda: struct.pack("<Q", len(OVERLAPPING)) + OVERLAPPING + ONES,
        ("must be a whole",),
    ),
    "bytes after the last tensor": (
        "model.safetensors",
        lambda: whole() + b"more",
        ("must be a whole",),
    ),
    "weights of eight bits": (
        "model.safetensors",
        with_float8,
        ("words.weight of", "quantized", "F8_E4M3"),
    ),
    "a pointer of Git LFS": (
        "model.safetensors",
        lambda: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
        ("git lfs pull",),
    ),
    "a pickle": (
        "model.pt",
        lambda: b"PK\x03\x04 archive/data.pkl",
        ("never opened", "weights_only=True", "'model.safetensors'"),
    ),
    "a pickle by another name": (
        "model.safetensors",
        lambda: b"\x80\x02}q\x00.",
        ("never opened", "torch.load('model.safetensors'"),
    ),
}
# The second begins within the first: of two that begin at one place, chance names one.
OVERLAPPING = json.dumps({"a": ONE, "b": ONE | {"data_offsets": [8, 24]}}).encode()


def refusal_of_file(case, folder, load=load_torch):
    """Return what is said of a file in an empty folder."""
    name, content, _ = FILES[case]
    if content is not None:
        (folder / name).write_bytes(content())
    with pytest.raises(ValueError, match=r"^load_(torch|model): ") as caught:
        load(folder / name)
    return str(caught.value)


@pytest.mark.parametrize("load", [load_torch, load_model])
@pytest.mark.parametrize("case", FILES)
def test_a_file_that_is_not_whole_is_refused_by_its_name(tmp_path, case, load):
    said = refusal_of_file(case, tmp_path, load)
    assert FILES[case][0] in said
    if load is load_torch or case != "a file that is not there":
        assert [words for words in FILES[case][2] if words not in said] == []


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt"])
def test_a_pickle_is_never_opened(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"theirs{suffix}"
    path.write_bytes(b"cos\nsystem\n(S'touch opened'\ntR.")  # protocol 0: plain text
    monkeypatch.chdir(tmp_path)
    for load in (load_torch, load_model):
        with pytest.raises(ValueError, match="two lines") as caught:
            load(path)
    assert not (tmp_path / "opened").exists()
    lines = str(caught.value).splitlines()[1:]
    assert len(lines) == 2
    for line in lines:
        compile(line.strip(), "message", "exec")
    assert "'theirs.safetensors'" in lines[1]


def test_a_pickle_in_a_zip_is_known_by_its_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as archive:
        archive.writestr("model/data.pkl", b"\x80\x02}q\x00.")
    with pytest.raises(ValueError, match=r"^load_torch: .* received a pickle"):
        load_model(tmp_path / "model.keras")


def test_the_missing_library_is_named(tmp_path, monkeypatch):
    path = save(tmp_path, of_model())
    monkeypatch.setitem(sys.modules, "safetensors", None)
    with pytest.raises(ModuleNotFoundError, match=r"state-gradients\[torch\]"):
        load_torch(path)


def test_what_is_read_and_what_is_not_is_reported(tmp_path):
    said = []
    load_torch(save(tmp_path, of_model("GRU")), report=said.append)
    assert re.search(r"read words, rnn_l0 \(GRU, 4 units\)$", said[0])
    assert said[1:] == ["not read, for it stands above: linear"]


@double
@pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="PyTorch is not installed"
)
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "tanh", "relu"])
def test_pytorch_computes_what_its_documentation_says(kind, tmp_path):
    """Run it where PyTorch is: ``pip install torch``, and pytest on this file."""
    import torch
    from safetensors.torch import save_model

    load_keras()
    torch.manual_seed(0)
    name = {"tanh": "RNN", "relu": "RNN"}.get(kind, kind)
    net = torch.nn.Module()
    net.words = torch.nn.Embedding(V, E)
    net.rnn = getattr(torch.nn, name)(
        E, H, num_layers=3, batch_first=True, **asked_of(kind)
    )
    net = net.double()
    with torch.no_grad():
        theirs = net.rnn(net.words(torch.from_numpy(IDS)[None]))[0][0].numpy()
    weights = {key: value.numpy() for key, value in net.state_dict().items()}
    ours = pytorch.states(kind, weights, weights["words.weight"][IDS], layers=3)
    np.testing.assert_allclose(ours["hidden"], theirs, rtol=0, atol=1e-12)
    save_model(net, str(tmp_path / "net.safetensors"))
    model = load_torch(tmp_path / "net.safetensors", **asked_of(kind))
    found = keras.ops.convert_to_numpy(model(IDS[None]))[0]
    np.testing.assert_allclose(found, theirs, rtol=0, atol=1e-12)
