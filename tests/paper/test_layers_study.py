"""What each layer remembers: against central differences of stacks written out here."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import expit
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import settings
from state_gradients.paper.grammar import gold
from state_gradients.paper.language import layers, properties, tags
from state_gradients.paper.language.subject import Subject
from state_gradients.project import artifacts
from state_gradients.text.grammar import truth

PARAMS = """
baseline:
  corpus: {name: grammar, vocabulary_size: null}
  model: {units: 4, embedding_size: 3, dropout: 0.0, initial_range: 0.9}
  training: {batch_size: 2, num_steps: 10, max_epochs: 0}
  gradients: {max_delay: 3, blocks: null}
  language: {studies: [layers]}
experiments:
  one: {}
  two: {model: {layers: 2}}
  three: {model: {layers: 3}}
"""
LONGEST, READ, MOST = 3, 600, 150
STEP = 1e-5


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Stacks of random weights on the generated language, and what the study makes."""
    root = tmp_path_factory.mktemp("layers")
    (root / "params.yaml").write_text(PARAMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_GRADIENTS_ROOT", str(root))
        sizes = {"train": 2_000, "valid": 900, "test": 200}
        patch.setattr(truth, "SIZES", sizes)
        patch.setattr(layers, "MOST_TOKENS", READ)
        patch.setattr(layers, "MOST_INPUTS", MOST)
        done = CliRunner().invoke(
            cli.app, ["reproduce", "one", "two", "three", "--jobs", "1"]
        )
        assert done.exit_code == 0, done.output
        yield root


class Layer(NamedTuple):
    """An LSTM layer, its weights in Keras's order: gates i, f, c, o."""

    kernel: np.ndarray
    recurrent: np.ndarray
    bias: np.ndarray

    def step(self, x, h, c):
        """Return the hidden state and the cell after x (.., input)."""
        gates = x @ self.kernel + h @ self.recurrent + self.bias
        i, f, new, o = np.split(gates, 4, axis=-1)
        c = expit(f) * c + expit(i) * np.tanh(new)
        return expit(o) * np.tanh(c), c


def stack_of(name):
    """Return an experiment's layers, and the embeddings of its text, in float64."""
    encoder = artifacts.load(name, "encoder")
    parts = ("kernel", "recurrent_kernel", "bias")
    stack = [
        Layer(*(np.float64(encoder[f"recurrent_{k}.{part}"]) for part in parts))
        for k in range(1, settings.load_experiment(name).model.layers + 1)
    ]
    subject = Subject(experiment=settings.load_experiment(name))
    return stack, np.float64(encoder["embedding"]), subject.ids[:READ]


def run(stack, inputs, states):
    """Return the states of all layers after each of inputs (time, .., input)."""
    after = []
    for x in inputs:
        moved = []
        for layer, (h, c) in zip(stack, states, strict=True):
            h, c = layer.step(x, h, c)
            moved.append((h, c))
            x = h
        states = moved
        after.append(states)
    return after


def zero(stack):
    return [(np.zeros(len(one.recurrent)),) * 2 for one in stack]


def differences(stack, inputs, sources):
    """Return d(h, c)_{t+tau} / dx_t of the highest layer, for every t of `sources`.

    Shape (source, delay, state_kind, unit, input); NaN beyond the text. All sources
    are moved at once, each from its own states, an input up and down.
    """
    before = [zero(stack), *run(stack, inputs, zero(stack))]
    starts = [
        tuple(np.array([before[t][k][j] for t in sources]) for j in (0, 1))
        for k in range(len(stack))
    ]
    reached = np.minimum(
        sources[None] + np.arange(LONGEST + 1)[:, None], len(inputs) - 1
    )
    ahead = inputs[reached]  # (delay, source, input)
    result = []
    for k in range(inputs.shape[1]):
        ends = []
        for sign in (1, -1):
            moved = ahead.copy()
            moved[0, :, k] += sign * STEP
            ends.append([states[-1] for states in run(stack, moved, starts)])
        up, down = np.array(ends)  # (delay, state_kind, source, unit)
        result.append((up - down) / (2 * STEP))
    result = np.moveaxis(np.array(result), (0, 3), (-1, 0))
    beyond = sources[:, None] + np.arange(LONGEST + 1) >= len(inputs)
    result[beyond] = np.nan
    return result


def case(name, layer, wrt):
    """Return layers, inputs and rows to whiten by, of a derivative of the study."""
    stack, table, ids = stack_of(name)
    if wrt == 0:
        return stack[:layer], table[ids], table
    below = run(stack[:wrt], table[ids], zero(stack[:wrt]))
    said = np.array([states[-1][0] for states in below])
    return stack[wrt:layer], said, said


CASES = [
    *(("one", 1, 0), ("two", 1, 0), ("two", 2, 0), ("two", 2, 1)),
    *(
        ("three", 1, 0),
        ("three", 2, 0),
        ("three", 3, 0),
        ("three", 2, 1),
        ("three", 3, 2),
    ),
]


def sources_of(inputs):
    """Return the places of the words that are followed: one in so many."""
    return np.arange(0, len(inputs), int(np.ceil(len(inputs) / MOST)))


@pytest.mark.parametrize(("name", "layer", "wrt"), CASES)
def test_the_engine_differentiates_a_layer_by_words_and_by_the_layer_below(
    project, name, layer, wrt
):
    stack, inputs, _ = case(name, layer, wrt)
    subject = Subject(experiment=settings.load_experiment(name))
    found = mean_state_gradients(
        subject.model,
        subject.ids[:READ],
        max_delay=LONGEST,
        state=("hidden", "cell"),
        layer=layer,
        wrt=wrt,
        positions=layers.followed(len(inputs))[None],
        dtype="float64",
    )
    each = differences(stack, inputs, sources_of(inputs))
    expected = np.moveaxis(np.nanmean(each, axis=0), 0, 1)
    gradient = found["state_gradient"].isel(group=0)
    # truncation STEP^2 = 1e-10 of the third derivative, round-off eps / STEP = 2e-11
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-9)
    assert np.abs(expected).max() > 0.01  # and not all of it within the tolerance


@pytest.mark.parametrize(("name", "layer", "wrt"), CASES)
def test_the_study_whitens_and_decomposes_these(project, name, layer, wrt):
    stack, inputs, rows = case(name, layer, wrt)
    D = np.linalg.cholesky(np.cov(rows, rowvar=False))
    each = differences(stack, inputs, sources_of(inputs)) @ D  # whitened
    mean = np.nanmean(each, axis=0)  # (delay, state_kind, unit, input)
    s = np.linalg.svd(mean, compute_uv=False)
    p = s / s.sum(axis=-1, keepdims=True)
    expected = {
        "memory": s[..., 0],
        "total": s.sum(axis=-1),
        "selectivity": p[..., 0],
        "effective_rank": np.exp(-(p * np.log(p)).sum(axis=-1)),
    }
    by = layers.EMBEDDING if wrt == 0 else layers.BELOW
    kept = artifacts.load(name, "layers")
    found = kept.sel(layer=layer, wrt=by)
    observed = found["observed"].sel(state_kind=["hidden", "cell"])
    for quantity, values in expected.items():
        # float32 chains of some steps; the rank sums small singular values
        np.testing.assert_allclose(
            observed.sel(quantity=quantity).T, values, rtol=1e-4, err_msg=quantity
        )
    covariance = np.cov(rows, rowvar=False)
    eigenvalues = np.linalg.eigvalsh(covariance)
    dimension = eigenvalues.sum() ** 2 / (eigenvalues**2).sum()
    assert float(found["effective_dimension"]) == pytest.approx(dimension, rel=1e-5)
    of_property = found["observed"].drop_sel(quantity=[*layers.OF_GRADIENT])
    if wrt:
        assert of_property.isnull().all() and of_property.size
        return
    moment = np.nanmean(np.einsum("tdkui,tdkuj->tdkij", each, each), axis=0)
    rms = np.sqrt(np.linalg.eigvalsh(moment)[..., -1])
    one = found.sel(state_kind=["hidden", "cell"])
    np.testing.assert_allclose(one["rms_memory"].T, rms, rtol=1e-4)
    chance = np.sqrt((s**2).sum(axis=-1) / 3) / s[..., 0]
    np.testing.assert_allclose(one["chance"].T, chance, rtol=1e-4)
    np.testing.assert_array_equal(
        found["n_samples"], np.isfinite(each[:, :, 0, 0, 0]).sum(axis=0)
    )
    seen = gold.read_tags(settings.load_experiment(name).corpus)
    for quantity in of_property["quantity"].values:
        a, b = properties.halves_of(seen, quantity)
        step = np.linalg.solve(D, a @ rows / a.sum() - b @ rows / b.sum())
        kept_of = np.linalg.norm(mean @ step, axis=-1) / np.linalg.norm(step)
        np.testing.assert_allclose(
            observed.sel(quantity=quantity).T, kept_of / s[..., 0], rtol=1e-4
        )
    assert of_property["quantity"].values.tolist() == [
        name
        for name in tags.PROPERTIES
        if min(side.sum() for side in properties.halves_of(seen, name)) > 1
    ]


@pytest.mark.parametrize(("layer", "wrt"), [(2, 0), (2, 1)])
def test_estimates_are_without_the_bias_of_blocks(project, layer, wrt):
    """The jackknife of squares, of means of blocks of the text."""
    stack, inputs, rows = case("two", layer, wrt)
    D = np.linalg.cholesky(np.cov(rows, rowvar=False))
    each = differences(stack, inputs, sources_of(inputs)) @ D
    n_blocks = layers.BLOCKS  # of 20 tokens at least, five times the four delays
    of_block = sources_of(inputs) * n_blocks // len(inputs)
    means = np.array([np.nanmean(each[of_block == k], axis=0) for k in range(n_blocks)])
    counts = np.array(
        [
            np.isfinite(each[of_block == k][:, :, 0, 0, 0]).sum(axis=0)
            for k in range(n_blocks)
        ]
    )
    share = counts / counts.sum(axis=0)  # (block, delay)

    def squared(weights):
        mean = np.einsum("bd,bdkui->dkui", share * weights, means)
        return np.linalg.svd(mean, compute_uv=False)[..., 0] ** 2

    whole, without = squared(np.ones((n_blocks, 1))), []
    for k in range(n_blocks):
        w = np.where(np.arange(n_blocks) == k, -n_blocks / (n_blocks - 1), 0)[:, None]
        without.append(squared(1 + w - (share * w).sum(axis=0)))
    bias = (n_blocks - 1) * (np.mean(without, axis=0) - whole)
    expected = np.sqrt(np.maximum(whole - bias, 0))
    by = layers.EMBEDDING if wrt == 0 else layers.BELOW
    found = artifacts.load("two", "layers").sel(
        layer=layer, wrt=by, quantity="memory", state_kind=["hidden", "cell"]
    )
    np.testing.assert_allclose(found["estimate"].T, expected, rtol=1e-3)
    assert (found["lower"] < found["estimate"]).all()
    assert (found["estimate"] < found["upper"]).all()


def test_a_single_layer_has_none_below(project):
    found = artifacts.load("one", "layers")
    assert found["wrt"].values.tolist() == [layers.EMBEDDING]
    assert found["layer"].values.tolist() == [1]
    two = artifacts.load("two", "layers")
    assert two["observed"].sel(layer=1, wrt=layers.BELOW).isnull().all()


def test_words_are_followed_evenly_and_delays_kept_up_to_the_longest(monkeypatch):
    monkeypatch.setattr(layers, "MOST_INPUTS", 5_000)
    assert layers.followed(5_000).all() and layers.followed(5_001).sum() == 2_501
    taken = np.flatnonzero(layers.followed(72_895))
    assert set(np.diff(taken)) == {15} and taken[0] == 0
    assert layers.kept_delays(50) == [*layers.DELAYS]
    assert layers.kept_delays(6) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(
    ("wanted", "n_tokens", "message"),
    [
        ({"groups": "new-tokens"}, 10**5, "groups: new-tokens; set it"),
        ({}, 209, "a text of 210 tokens for delays up to 20, received 209"),
    ],
)
def test_what_cannot_be_cut_into_blocks_is_refused(wanted, n_tokens, message):
    wanted = dataclasses.replace(settings.Gradients(), **wanted)
    with pytest.raises(ValueError, match=message):
        layers.count_blocks(wanted, n_tokens)


def test_outputs_that_never_move_are_refused(project, monkeypatch):
    subject = Subject(experiment=settings.load_experiment("two"))
    said = layers.outputs(subject)
    assert said.keys() == {1} and said[1].shape == (READ, 4)
    monkeypatch.setattr(layers, "outputs", lambda _: {1: said[1] * [1, 1, 0, 1]})
    with pytest.raises(ValueError, match=r"outputs of layer 1 must vary .* rank 3"):
        layers.of_layers(subject)
