"""The script behind "One sentence, word by word", and the file that it has written."""

import keras
import numpy as np
import pytest
import xarray as xr
from conftest import ROOT

from state_gradients.project import artifacts, provenance

TYPES = ["<eos>", "a", "b", "c", "d", "e"]
TOKENS = ["<eos>", "b", "a", "e", "b"]
E, H = 3, 4


@pytest.fixture
def sentence(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book")
    import sentence

    return sentence


@pytest.fixture
def table(rng):
    rows = rng.normal(size=(len(TYPES), E)).astype(np.float32)
    return xr.DataArray(rows, {"vocabulary": TYPES}, ("vocabulary", "embedding"))


@pytest.fixture
def model(table, rng):
    layers = [keras.layers.Embedding(len(TYPES), E), keras.layers.SimpleRNN(H)]
    model = keras.Sequential(layers)
    model.build((None, None))
    for variable in model.variables:
        variable.assign(rng.normal(scale=0.7, size=variable.shape))
    model.layers[0].set_weights([table.values])
    return model


def test_each_word_s_memory_is_that_of_its_own_product_of_jacobians(
    sentence, model, table
):
    found = sentence.follow(model, table, TOKENS, states=("hidden",))
    assert found["word"].values.tolist() == TOKENS
    kernel, recurrent, bias = map(np.float64, model.layers[1].get_weights())
    inputs = table.sel(vocabulary=TOKENS).values.astype(np.float64)
    states = [np.zeros(H)]
    for e in inputs:
        states.append(np.tanh(e @ kernel + states[-1] @ recurrent + bias))
    # sigma_1(G D) is the same for every D with D D^T = cov
    D = np.linalg.cholesky(np.cov(table.values.astype(np.float64), rowvar=False))
    for token in range(len(TOKENS)):
        gradient = D
        for delay, h in enumerate(states[token + 1 :]):
            step = kernel.T if delay == 0 else recurrent.T
            gradient = (1 - h**2)[:, None] * (step @ gradient)
            expected = np.linalg.svd(gradient, compute_uv=False)[0]
            memory = found["memory"].sel(state_kind="hidden", token=token, delay=delay)
            # float32: some ten roundings of 6e-8 in each of five steps
            np.testing.assert_allclose(memory, expected, rtol=1e-5)
        beyond = found["memory"].isel(token=token, delay=slice(delay + 1, None))
        assert np.isnan(beyond).all()


def test_a_word_outside_the_vocabulary_is_refused(sentence, model, table):
    with pytest.raises(ValueError, match=r"received \['zebra'\]"):
        sentence.follow(model, table, ["a", "zebra"], states=("hidden",))


def test_the_committed_file_is_of_this_sentence_and_the_committed_weights(sentence):
    path = ROOT / "data" / "sentence" / "memory.nc"
    found = xr.load_dataset(path, engine="h5netcdf")
    encoder = artifacts.load(sentence.EXPERIMENT, "encoder", root=ROOT)
    assert found["word"].values.tolist() == sentence.TEXT.split()
    assert found["state_kind"].values.tolist() == [*sentence.STATES]
    assert found.attrs["content"] == provenance.content_hash(found)
    assert found.attrs["encoder"] == encoder.attrs["content"], (
        "the weights have changed: run book/sentence.py"
    )
