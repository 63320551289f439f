"""What PyTorch itself gave, held against what its weights give here.

The record, ``pytorch.npz``, was made by :mod:`pytorch_record` where PyTorch is; no
PyTorch is needed to read it. It also holds :mod:`pytorch_equations`, the statement of
PyTorch's documentation by which the other tests of weights go.
"""

from pathlib import Path

import keras
import numpy as np
import pytest
import pytorch_equations
from conftest import ROOT
from pytorch_record import CASES, DELAYS, IDS, case_name

import state_gradients as sg
from state_gradients.foundation import backends
from state_gradients.models.torch_weights import load_torch

pytestmark = pytest.mark.skipif(
    not backends.supports("float64"), reason="on JAX, needs JAX_ENABLE_X64=1"
)
RECORD = Path(__file__).parent / "pytorch.npz"
each_case = pytest.mark.parametrize(
    "case", CASES, ids=[case_name(*case) for case in CASES]
)


@pytest.fixture(scope="module")
def record():
    with np.load(RECORD) as arrays:
        return dict(arrays)


def of_case(record, case):
    """Return PyTorch's state dict, hidden states (time, unit) and means of a case."""
    name = case_name(*case)
    start = f"{name}/weights."
    weights = {
        key.removeprefix(start): value
        for key, value in record.items()
        if key.startswith(start)
    }
    return weights, record[f"{name}/hidden"], record[f"{name}/means"]


def loaded(case, weights):
    kind = case[0]
    asked = {"nonlinearity": kind} if kind in ("tanh", "relu") else {}
    return load_torch(weights, **asked)


def test_the_record_holds_every_kind_depth_and_choice_of_biases(record):
    names = {key.partition("/")[0] for key in record} - {"version"}
    assert names == {case_name(*case) for case in CASES}
    assert len(names) == 4 * 3 * 2
    for case in CASES:
        weights, hidden, means = of_case(record, case)
        _, layers, bias = case
        assert any("bias" in key for key in weights) == bias
        assert f"rnn.weight_hh_l{layers - 1}" in weights
        assert f"rnn.weight_hh_l{layers}" not in weights
        assert len(hidden) == len(IDS) and len(means) == DELAYS
        assert all(x.dtype == np.float64 for x in (*weights.values(), hidden, means))


@each_case
def test_hidden_states_are_those_of_pytorch(record, case):
    weights, hidden, _ = of_case(record, case)
    model = loaded(case, weights)
    found = keras.ops.convert_to_numpy(model(np.array(IDS)[None]))[0]
    # eight steps of three layers in float64: hundreds of roundings of 1e-16 each
    np.testing.assert_allclose(found, hidden, rtol=0, atol=1e-12)


@each_case
def test_mean_state_gradients_are_those_of_pytorchs_autograd(record, case):
    weights, _, means = of_case(record, case)
    asked = {"max_delay": DELAYS - 1, "layer": case[1], "state": "hidden"}
    found = sg.mean_state_gradients(
        loaded(case, weights), IDS, dtype="float64", **asked
    )
    # as above; of each delay's largest entry, since means fall by powers of ten
    scale = np.abs(means).max(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(
        found["state_gradient"] / scale, means / scale, rtol=0, atol=1e-12
    )


@each_case
def test_the_documented_equations_are_what_pytorch_computes(record, case):
    kind, layers, _ = case
    weights, hidden, _ = of_case(record, case)
    embedded = weights["words.weight"][IDS]
    stated = pytorch_equations.states(kind, weights, embedded, layers=layers)
    np.testing.assert_allclose(stated["hidden"], hidden, rtol=0, atol=1e-12)


def test_the_page_names_the_version_that_the_record_was_made_with(record):
    version, _, _ = str(record["version"]).partition("+")
    page = (ROOT / "book" / "other-networks.md").read_text("utf-8")
    assert f"PyTorch {version} " in page
