"""The page "Networks from elsewhere": its commands, and its way from Flax."""

import keras
import numpy as np
import pytest
from conftest import ROOT
from test_tutorials import TOLERANCE, blocks, copy_project, differences, run

PAGE = ROOT / "book" / "other-networks.md"
E, H = 3, 4


@pytest.fixture
def flax_weights(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book")
    import flax_weights

    return flax_weights


def cell_of(names, biased, rng):
    """Return a Flax cell's parameters; `biased` are the names that have a bias."""
    cell = {}
    for name in names:
        rows = E if name[0] == "i" else H
        cell[name] = {"kernel": rng.normal(size=(rows, H)).astype("float32")}
        if name in biased:
            cell[name]["bias"] = rng.normal(size=H).astype("float32")
    return cell


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def test_flax_weights_of_an_lstm_are_those_of_its_equations(flax_weights, rng):
    names = [kind + gate for kind in "ih" for gate in "ifgo"]
    cell = cell_of(names, [name for name in names if name[0] == "h"], rng)
    layer = keras.layers.LSTM(H)
    xs = rng.normal(size=(6, E)).astype("float32")
    layer.build((None, None, E))
    layer.set_weights(flax_weights.lstm(cell))

    def of(gate, x):
        state = cell[f"h{gate}"]
        return x @ cell[f"i{gate}"]["kernel"] + h @ state["kernel"] + state["bias"]

    h = c = np.zeros(H)
    for x in xs:
        i, f, o = (sigmoid(of(gate, x)) for gate in "ifo")
        c = f * c + i * np.tanh(of("g", x))
        h = o * np.tanh(c)
    # six steps of float32
    np.testing.assert_allclose(layer(xs[None])[0], h, rtol=0, atol=2e-6)


@pytest.mark.parametrize("biased", [("ir", "iz", "in", "hn"), ("hr", "hz", "in", "hn")])
def test_flax_weights_of_a_gru_are_those_of_its_equations(flax_weights, rng, biased):
    names = [kind + gate for kind in "ih" for gate in "rzn"]
    cell = cell_of(names, biased, rng)
    layer = keras.layers.GRU(H)
    xs = rng.normal(size=(6, E)).astype("float32")
    layer.build((None, None, E))
    layer.set_weights(flax_weights.gru(cell))

    def of(name, read):
        return read @ cell[name]["kernel"] + cell[name].get("bias", 0)

    h = np.zeros(H)
    for x in xs:
        r, z = (sigmoid(of(f"i{gate}", x) + of(f"h{gate}", h)) for gate in "rz")
        n = np.tanh(of("in", x) + r * of("hn", h))
        h = (1 - z) * n + z * h
    np.testing.assert_allclose(layer(xs[None])[0], h, rtol=0, atol=2e-6)


@pytest.mark.slow
def test_the_page_prints_what_is_shown_and_remembers_what_is_said(tmp_path):
    folder = copy_project(tmp_path)
    commands = [text for language, text in blocks(PAGE) if language == "bash"]
    (shown,) = [text for language, text in blocks(PAGE) if language == "text"]
    for command in commands:
        printed = run(["bash", "-euo", "pipefail", "-c", command], folder)
    assert len(commands) == 2
    assert differences(shown, printed, TOLERANCE) == ""
    rows = [line.split() for line in shown.splitlines()[5:9]]
    memory = {name: [float(x) for x in values] for name, *values in rows}
    assert max(memory, key=lambda name: sum(memory[name])) == "temperature"
    for k in range(6):  # delays up to ten
        assert max(memory, key=lambda name, k=k: memory[name][k]) == "temperature"
        assert memory["noise"][k] > 0.8 * memory["wind"][k]
