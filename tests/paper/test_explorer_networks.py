"""The networks that the page "Type a sentence" carries, against their artifacts."""

import base64
import json
import re

import numpy as np
import pytest

from state_gradients.analysis.spectra import property_direction
from state_gradients.paper.book import explorer
from state_gradients.paper.grammar.number import number_direction
from state_gradients.project import artifacts
from state_gradients.text.grammar import rules

GRAMMAR, NEWSPAPER = explorer.NETWORKS
each_network = pytest.mark.parametrize("name", explorer.NETWORKS)
TYPES = {16: "<f2", 32: "<f4"}


def read_back(script):
    """Return what a browser would find in a script: the network's name, and itself."""
    name, text = re.fullmatch(
        r'\(window\.explorerNetworks \?\?= \{\}\)\["([\w-]+)"\] = (.*);\n', script
    ).groups()
    network = json.loads(text)
    for key, array in network["arrays"].items():
        values = np.frombuffer(base64.b64decode(array["base64"]), TYPES[array["bits"]])
        network[key] = values.reshape(array["shape"])
    return name, network


@each_network
def test_a_script_holds_the_weights_in_half_precision(name):
    found, network = read_back(explorer.script(name))
    weights = artifacts.load(name, "weights")
    assert found == name
    words = weights["vocabulary"].values.tolist()
    assert [word for word in network["words"] if word in set(words)] == words
    for key, of in explorer.ARRAYS.items():
        rounded = weights[of].values.astype(np.float16)
        np.testing.assert_array_equal(
            network[key][..., : rounded.shape[-1]][: len(rounded)], rounded
        )


def test_a_network_without_unk_is_given_the_mean_of_its_words_never_predicted():
    weights = explorer.rounded_weights(GRAMMAR)
    assert weights["vocabulary"].values[-1] == "<unk>"
    table = artifacts.load(GRAMMAR, "weights")["embedding"].values
    # half a unit in the last of 11 bits
    np.testing.assert_allclose(
        weights["embedding"].values[-1], table.mean(axis=0), rtol=2**-11
    )
    logits = weights["logits.kernel"].values[:, -1], weights["logits.bias"].values[-1]
    assert (logits[0] == 0).all() and np.exp(np.float64(logits[1])) == 0
    known = explorer.rounded_weights(NEWSPAPER)
    assert (
        known.sizes["vocabulary"]
        == artifacts.load(NEWSPAPER, "weights").sizes["vocabulary"]
    )


@each_network
def test_words_that_were_seen_are_whitened(name):
    _, network = read_back(explorer.script(name))
    table = network["embedding"].astype(np.float64)
    if name == GRAMMAR:
        table = table[:-1]  # <unk> was never seen
    covariance = network["whitening"].astype(np.float64)
    covariance = covariance @ covariance.T
    # float32: 24 bits of each factor
    expected = np.cov(table, rowvar=False)
    np.testing.assert_allclose(covariance, expected, atol=2**-22 * expected.max())


def test_directions_of_the_grammar_are_those_of_its_forms():
    weights = explorer.rounded_weights(GRAMMAR)
    found = explorer.directions(GRAMMAR, weights)
    seen = weights["embedding"].values[:-1]
    number = number_direction(seen)
    np.testing.assert_allclose(
        found.sel(property="singular - plural"), number, atol=1e-6
    )
    table = weights["embedding"].to_pandas()
    women, men = (table.loc[[*rules.LEXICON[f"{x}.NNP"]]] for x in ("woman", "man"))
    gender = property_direction(
        women.values, men.values, explorer.whitening_of(weights)
    )
    np.testing.assert_allclose(
        found.sel(property="feminine - masculine"), gender, atol=1e-6
    )
    kinds = ("transitive", "intransitive", "reporting")
    past = [word for kind in kinds for word in rules.LEXICON[f"{kind}.VBD"]]
    present = [
        word
        for tag in ("VBP", "VBZ")
        for kind in kinds
        for word in rules.LEXICON[f"{kind}.{tag}"]
    ]
    tense = property_direction(
        table.loc[present].values,
        table.loc[past].values,
        explorer.whitening_of(weights),
    )
    np.testing.assert_allclose(found.sel(property="present - past"), tense, atol=1e-6)


def test_directions_of_a_text_are_those_of_its_properties():
    found = explorer.directions(NEWSPAPER, explorer.rounded_weights(NEWSPAPER))
    direction = artifacts.load(NEWSPAPER, "properties")["direction"]
    for name in explorer.OF_TEXT:
        expected = direction.sel(property=name, words="all").values
        np.testing.assert_array_equal(found.sel(property=name), expected)
    np.testing.assert_allclose((found**2).sum("embedding"), 1, rtol=1e-6)


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="an LSTM of one layer, received 1 of 'gru'"):
        explorer.rounded_weights("ptb-gru-256")


@pytest.mark.slow
@pytest.mark.parametrize("quantity", ["memory", "influence"])
@each_network
def test_rounding_moves_what_is_shown_by_less_than_a_hundredth(name, quantity):
    """What the page says of its last digit."""
    import state_gradients as sg

    def shown(*given, **options):
        if quantity == "memory":
            return sg.sentence_memory(*given, **options)
        return sg.sentence_influence(*given, **options)["influence"]

    weights, rounded = artifacts.load(name, "weights"), explorer.rounded_weights(name)
    ids = np.random.default_rng(0).integers(len(weights["count"]) // 4, size=12)
    values = [
        shown(
            explorer.model_of(name, each),
            ids,
            whitening=explorer.whitening_of(each),
            dtype="float64",
        ).values
        for each in (weights, rounded)
    ]
    change = np.nanmax(np.abs(values[1] / values[0] - 1))
    assert 0 < change < 0.01


def test_scripts_are_written_once_and_again_when_they_differ(tmp_path, monkeypatch):
    monkeypatch.setattr(explorer, "NETWORKS", (GRAMMAR,))
    [path] = explorer.write_networks(tmp_path / "made")
    assert read_back(path.read_text())[0] == GRAMMAR
    before = path.stat().st_mtime_ns
    explorer.write_networks(tmp_path / "made")
    assert path.stat().st_mtime_ns == before
    path.write_text("cut off")
    explorer.write_networks(tmp_path / "made")
    assert read_back(path.read_text())[0] == GRAMMAR
