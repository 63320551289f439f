"""Responses to a step: by automatic differentiation, by the means, and closed forms."""

import keras
import numpy as np
import pytest

from state_gradients.analysis import agreement
from state_gradients.engine import jobs, tiles
from state_gradients.engine.means import mean_state_gradients
from state_gradients.engine.responses import step_responses
from state_gradients.foundation.settings import Model
from state_gradients.models import language_model

N_TYPES, SIZE, UNITS = 12, 3, 5
BOTH = "hidden", "cell"


def build(cell="lstm", layers=1, seed=3):
    config = Model(cell=cell, units=UNITS, embedding_size=SIZE, layers=layers)
    model = language_model.build_language_model(config, N_TYPES, seed=seed)
    for variable in model.trainable_variables:
        if len(variable.shape) > 1:  # uniform(-0.75, 0.75): gates that curve
            variable.assign(variable.value * 15)
    return model


def neuron(activation, weight=0.5):
    """Return s = activation(e + weight s'), one unit over the inputs -8, 8, -7, 7."""
    rnn = keras.layers.SimpleRNN(
        1,
        activation=activation,
        use_bias=False,
        kernel_initializer="ones",
        recurrent_initializer=keras.initializers.Constant(weight),
    )
    embedding = keras.layers.Embedding(4, 1)
    model = keras.Sequential([keras.Input((None,)), embedding, rnn])
    embedding.set_weights([np.array([[-8.0], [8.0], [-7.0], [7.0]])])
    return model


@pytest.fixture
def ids(rng):
    return rng.integers(N_TYPES, size=18)


@pytest.fixture
def steps(rng):
    """One for each state and delay."""
    return rng.normal(size=(2, 3, SIZE))


def responses_by_autodiff(model, ids, delays, steps):
    """Return G_{t,tau} d_tau position by position, (state_kind, input, delay, unit)."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the accumulator is TensorFlow's")
    table, layer = (
        model.get_layer("embedding").get_weights()[0],
        model.get_layer("recurrent_1"),
    )
    embedded = [tf.constant(table[token][None]) for token in ids]
    states = layer.cell.get_initial_state(batch_size=1)
    found = np.full((len(states), len(ids), len(delays), UNITS), np.nan)
    for source in range(len(ids)):
        for kind, which in np.ndindex(len(states), len(delays)):
            after = embedded[source : source + delays[which] + 1]
            if len(after) > delays[which]:
                step = tf.constant(steps[kind, which][None], tf.float32)
                with tf.autodiff.ForwardAccumulator(after[0], step) as accumulator:
                    moved = states
                    for row in after:
                        _, moved = layer.cell(row, moved)
                response = accumulator.jvp(moved[kind])
                found[kind, source, which] = response[0]
        _, states = layer.cell(embedded[source], states)
    return found


@pytest.mark.parametrize(
    ("cell", "names"), [("lstm", BOTH), ("gru", ("hidden",)), ("rnn", ("hidden",))]
)
def test_every_response_is_that_of_automatic_differentiation(
    ids, steps, cell, names, monkeypatch
):
    monkeypatch.setattr(jobs, "LENGTH", 5)  # several jobs, and several tiles of each
    monkeypatch.setattr(tiles, "TILE", 2 * 3 * len(names) * UNITS)
    model, delays, steps = build(cell), [0, 2, 5], steps[: len(names)]
    found = step_responses(
        model, ids, delays=delays, steps=steps, blocks=3, state=names
    )
    expected = responses_by_autodiff(model, ids, delays, steps)
    # float32 twice, over chains of some 10 products: 1e-6
    lengths = np.linalg.norm(expected, axis=-1)
    np.testing.assert_allclose(found["length"], lengths, rtol=1e-5, atol=1e-7)
    assert np.isnan(found["length"].values).sum() == len(names) * (2 + 5)
    block_of = np.arange(18) // 6
    np.testing.assert_array_equal(found["block_of"], block_of)
    for block in range(3):
        means = np.nanmean(expected[:, block_of == block], axis=1)
        one = found["response"].sel(block=block)
        np.testing.assert_allclose(one, means, rtol=1e-5, atol=1e-6)
    assert found["n_samples"].values.tolist() == [[6, 6, 6], [6, 6, 6], [6, 4, 1]]


@pytest.mark.parametrize(
    ("cell", "layers", "window"), [("lstm", 1, None), ("lstm", 2, 7), ("gru", 2, None)]
)
def test_means_and_squares_are_those_of_the_mean_gradients(
    ids, steps, cell, layers, window
):
    model, delays, step = build(cell, layers), [0, 1, 4], steps[0]
    options = {"layer": layers, "window": window, "blocks": 2, "dtype": "float64"}
    found = step_responses(model, ids, delays=delays, steps=step, **options)
    means = mean_state_gradients(
        model, ids, max_delay=4, second_moment=True, **options
    ).sel(delay=delays)
    # sums in float64, of the same chains in float64
    mean = np.einsum("bdse,de->bds", means["state_gradient"], step)
    np.testing.assert_allclose(found["response"], mean, rtol=1e-9, atol=1e-12)
    squares = np.einsum("bdef,de,df->bd", means["second_moment"], step, step)
    moments = agreement._moments_by_block(found["length"], found["block_of"].values)
    # lengths in float32
    np.testing.assert_allclose(moments.isel(moment=1), squares, rtol=1e-6)
    np.testing.assert_array_equal(found["n_samples"], means["n_samples"])
    assert found["length"].dims == ("input", "delay")


def test_a_response_does_not_depend_on_what_else_is_asked_for(ids, steps):
    model = build()
    three = step_responses(model, ids, delays=[0, 1, 4], steps=steps, state=BOTH)
    one = step_responses(model, ids, delays=[4], steps=steps[1, 2:])
    three = three.sel(state_kind="cell", delay=[4])
    np.testing.assert_allclose(one["length"], three["length"], rtol=1e-6)
    np.testing.assert_allclose(one["response"], three["response"], rtol=1e-5)


def split(model, ids, delays):
    """Return the factors of what a unit step does to a neuron."""
    steps = np.ones((len(delays), 1))
    found = step_responses(model, ids, delays=delays, steps=steps, blocks=4)
    return agreement.factor_intervals(found, seed=1)


def test_where_the_gradient_is_one_and_the_same_both_factors_are_1(rng):
    found = split(neuron("linear"), rng.integers(4, size=200), [0, 1, 3])
    for name in ("directions", "lengths", "coherence"):
        for end in ("observed", "estimate", "lower", "upper"):
            share = found[end].sel(quantity=name)
            np.testing.assert_allclose(share, 1, rtol=1e-9)
    of_mean = found["observed"].sel(quantity="mean_response")
    np.testing.assert_allclose(of_mean, [1, 1 / 2, 1 / 8], rtol=1e-6)


def test_where_the_gradient_changes_its_sign_at_random_directions_are_lost(rng):
    # s = |e + s' / 2|, whose slope is the sign of e: |s| / 2 stays below 8
    found = split(neuron(keras.ops.abs), rng.integers(4, size=4_000), [0, 1, 3])
    observed = found["observed"]
    np.testing.assert_allclose(observed.sel(quantity="lengths"), 1, rtol=1e-9)
    # a mean of n signs: 1 / sqrt(n), three of them for the neighbours' sake
    assert (observed.sel(quantity="directions") < 3 / np.sqrt(4_000)).all()
    assert (found["lower"].sel(quantity="directions") == 0).all()


def test_two_lengths_have_the_closed_form(rng):
    # slope 1 where e > 0, 0.2 where e < 0; s' / 2 changes no sign, for |s| <= 16
    ids = rng.integers(4, size=400)
    activation = keras.layers.LeakyReLU(negative_slope=0.2)
    found = split(neuron(activation, weight=0.0), ids, [0])["observed"].isel(delay=0)
    p = np.mean(ids % 2 == 1)
    mean, square = p + 0.2 * (1 - p), p + 0.04 * (1 - p)
    expected = mean / np.sqrt(square)
    np.testing.assert_allclose(found.sel(quantity="lengths"), expected, rtol=1e-6)
    np.testing.assert_allclose(found.sel(quantity="directions"), 1, rtol=1e-9)
    share = 4 / (400 * square)  # four of the 400 have the larger square 1
    np.testing.assert_allclose(found.sel(quantity="top_share"), share, rtol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": np.zeros((2, 9), int)}, "`ids` must be one text"),
        ({"delays": [0, 2, 2]}, r"in rising order, received \[0, 2, 2\]"),
        ({"delays": [-1, 2, 3]}, r"whole numbers of at least 0"),
        ({"delays": [0, 1.5, 2]}, r"whole numbers of at least 0"),
        ({"delays": []}, r"whole numbers of at least 0 in rising order, received \[\]"),
        ({"delays": [0, 1, 18]}, "`max_delay` must be below"),
        ({"steps": np.zeros((2, SIZE))}, r"shape \(delay, embedding\) = \(3, 3\)"),
        ({"steps": np.full((3, SIZE), np.nan)}, "`steps` must be finite"),
        ({"state": BOTH}, r"\(state_kind, delay, embedding\) = \(2, 3, 3\)"),
        ({"state": "memory"}, "`state` must be among"),
        ({"blocks": 0}, "`blocks` must be a whole number"),
    ],
)
def test_bad_input_is_refused(ids, steps, change, message):
    options = {"ids": ids, "delays": [0, 1, 4], "steps": steps[0]} | change
    with pytest.raises(ValueError, match=message):
        step_responses(build(), **options)


def test_responses_that_are_not_finite_are_named(ids, steps):
    model = build()
    weights = model.get_weights()
    weights[0][ids[3]] = np.nan
    model.set_weights(weights)
    with pytest.raises(FloatingPointError, match=r"^step_responses: .* must be finite"):
        step_responses(model, ids, delays=[0, 1, 4], steps=steps[0])
