"""Influence against a loop over positions through Keras, and what is refused.

M_t = E_p[(d log p / d e) (d log p / d e)']   (the Fisher information, as defined)
"""

import keras
import numpy as np
import pytest
import small_predictors
from scipy.special import log_softmax, rel_entr
from small_predictors import CELLS, E, H, V, double, log_p, model_of

import state_gradients as sg
from state_gradients.engine import readouts

T, DELAYS = 10, 4
STEP = 1e-5
in_float64 = small_predictors.in_float64


def by_differences(model, ids):
    """Return the mean of M by delay: central differences, position by position."""
    embedded = keras.ops.convert_to_numpy(model.layers[1].embeddings)[ids]
    p = np.exp(log_p(model, embedded[None]))[0]
    found = [[] for _ in range(DELAYS + 1)]
    for source in range(len(ids)):
        moved = np.repeat(embedded[None], 2 * E, axis=0)
        for k in range(E):
            moved[2 * k, source, k] += STEP
            moved[2 * k + 1, source, k] -= STEP
        after = log_p(model, moved)
        slopes = (after[::2] - after[1::2]) / (2 * STEP)  # (E, time, V)
        for delay in range(min(DELAYS, len(ids) - 1 - source) + 1):
            slope = slopes[:, source + delay]
            found[delay].append((slope * p[source + delay]) @ slope.T)
    return np.array([np.mean(one, axis=0) for one in found])


def influence(model, ids, words="exact", **options):
    options = {"max_delay": DELAYS, "influence": words} | options
    return sg.mean_state_gradients(model, ids, **options)


@double
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_it_is_the_fisher_information_of_the_prediction(cell, layers, rng, in_float64):
    model = model_of(cell, rng, layers=layers)
    ids = rng.integers(V, size=T)
    found = influence(model, ids, dtype="float64", layer=layers)["influence"].values
    expected = by_differences(model, ids)
    # differences: O(step^2) = 1e-10 of third derivatives, and 1e-16 / step = 1e-11
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=2e-8 * scale)


@double
@pytest.mark.parametrize("cell", ["lstm", "s6"])
def test_half_its_quadratic_form_is_the_divergence_of_a_small_step(
    cell, rng, in_float64
):
    model, ids = model_of(cell, rng), rng.integers(V, size=T)
    moments = influence(model, ids, dtype="float64")["influence"].values
    embedded = keras.ops.convert_to_numpy(model.layers[1].embeddings)[ids]
    for _ in range(3):
        step = rng.normal(size=E)
        step *= 1e-3 / np.linalg.norm(step)
        divergences = [[] for _ in range(DELAYS + 1)]
        for source in range(T):
            moved = np.stack([embedded, embedded])
            moved[1, source] += step
            before, after = np.exp(log_p(model, moved))
            for delay in range(min(DELAYS, T - 1 - source) + 1):
                t = source + delay
                divergences[delay].append(rel_entr(before[t], after[t]).sum())
        measured = np.array([np.mean(one) for one in divergences])
        np.testing.assert_allclose(
            0.5 * step @ moments @ step, measured, rtol=0.01, atol=0
        )


def test_what_is_drawn_is_unbiased_and_converges(rng):
    kernel, bias = rng.normal(size=(H, V)), rng.normal(size=V)
    h = 0.5 * rng.normal(size=(3, H))

    def information(words, number=0):
        layers = ((kernel, bias, "linear"),)
        rows = readouts.Readout(layers, words).factors(h, number)
        return np.swapaxes(rows, 1, 2) @ rows

    exact = information("exact")
    p = np.exp(log_softmax(h @ kernel + bias, axis=-1))
    for found, of_token in zip(exact, p, strict=True):
        brute = kernel @ (np.diag(of_token) - np.outer(of_token, of_token)) @ kernel.T
        np.testing.assert_allclose(found, brute, rtol=0, atol=1e-12)
    drawn = np.array([information(2, number) for number in range(2000)])
    error = drawn.std(axis=0) / np.sqrt(len(drawn))
    assert np.all(np.abs(drawn.mean(axis=0) - exact) < 5 * error + 1e-12)
    assert error.max() > 1e-3  # so that the bound means something
    # of n words drawn systematically no count is off by more than one
    columns = kernel.T - (p @ kernel.T)[:, None]
    largest = (columns[..., None] * columns[..., None, :]).sum(axis=1)
    many = 10_000
    assert np.all(np.abs(information(many) - exact) <= np.abs(largest).max() * V / many)


def test_it_is_reproducible_and_near_the_exact_one(rng):
    model, ids = model_of("lstm", rng), rng.integers(V, size=600)
    exact = influence(model, ids)["influence"]
    drawn = [influence(model, ids, 16)["influence"] for _ in range(2)]
    np.testing.assert_array_equal(*drawn)
    distance = np.abs(drawn[0] - exact).max(["embedding", "embedding_2"])
    largest = exact.max(["embedding", "embedding_2"])
    assert 0 < float((distance / largest).max()) < 0.05


def test_the_other_means_are_what_they_are_without_it(rng):
    model, ids = model_of("lstm", rng), rng.integers(V, size=60)
    both = "hidden", "cell"
    options = {"max_delay": DELAYS, "second_moment": True, "state": both}
    plain = sg.mean_state_gradients(model, ids, engine="tiles", **options)
    beside = influence(model, ids, second_moment=True, state=both)
    assert "state_kind" not in beside["influence"].dims
    for name in plain:
        np.testing.assert_array_equal(plain[name], beside[name])
    alone = influence(model, ids, state="cell")
    np.testing.assert_array_equal(alone["influence"], beside["influence"])


def test_blocks_and_groups_make_up_the_whole(rng):
    model, ids = model_of("gru", rng), rng.integers(V, size=90)
    whole = influence(model, ids, dtype=None)
    blocks = influence(model, ids, blocks=3)
    shares = blocks["n_samples"] / blocks["n_samples"].sum("block")
    together = (blocks["influence"] * shares).sum("block")
    np.testing.assert_allclose(together, whole["influence"], rtol=1e-5, atol=1e-9)
    member = np.arange(V) < 4
    groups = influence(model, ids, groups=[member, ~member])
    shares = groups["n_samples"] / groups["n_samples"].sum("group")
    together = (groups["influence"] * shares).sum("group")
    np.testing.assert_allclose(together, whole["influence"], rtol=1e-5, atol=1e-9)


def above(*layers, last="softmax", recurrent=None):
    """A Sequential of an Embedding, an LSTM, `layers`, and a Dense of V words."""
    recurrent = recurrent or keras.layers.LSTM(H, return_sequences=True)
    dense = [] if last is None else [keras.layers.Dense(V, activation=last)]
    ids = keras.Input((None,), dtype="int32")
    return keras.Sequential(
        [ids, keras.layers.Embedding(V, E), recurrent, *layers, *dense]
    )


@double
@pytest.mark.parametrize("activation", [*readouts.ACTIVATIONS])
@pytest.mark.parametrize("last", ["softmax", "linear", "a layer"])
def test_dense_layers_below_the_softmax_are_differentiated(
    activation, last, rng, in_float64
):
    middle = [
        keras.layers.Dense(6, activation=activation),
        keras.layers.Dropout(0.3),
        keras.layers.TimeDistributed(keras.layers.Dense(5, activation="tanh")),
    ]
    ends = "linear" if last == "a layer" else last
    model = above(*middle, last=ends)
    if last == "a layer":
        model.add(keras.layers.Softmax())
    for weight in model.weights:
        if weight.dtype.startswith("float"):
            weight.assign(rng.normal(size=weight.shape))
    ids = rng.integers(V, size=T)
    found = influence(model, ids, dtype="float64")["influence"].values
    table = keras.ops.convert_to_numpy(model.layers[0].embeddings)

    def predict(embedded):
        x = keras.ops.convert_to_tensor(embedded)
        for layer in model.layers[1:]:
            x = layer(x, training=False)
        x = keras.ops.convert_to_numpy(x)
        return log_softmax(x, axis=-1) if last == "linear" else np.log(x)

    delay_0 = []
    for source in range(T):
        moved = np.repeat(table[ids][None], 2 * E, axis=0)
        for k in range(E):
            moved[2 * k, source, k] += STEP
            moved[2 * k + 1, source, k] -= STEP
        after = predict(moved)[:, source]
        slope = (after[::2] - after[1::2]) / (2 * STEP)
        p = np.exp(predict(table[ids][None])[0, source])
        delay_0.append((slope * p) @ slope.T)
    expected = np.mean(delay_0, axis=0)
    scale = np.abs(expected).max()
    np.testing.assert_allclose(found[0], expected, rtol=0, atol=1e-7 * scale)


def of_two_layers():
    below = keras.layers.LSTM(H, return_sequences=True)
    return above(below, recurrent=keras.layers.LSTM(H, return_sequences=True))


def beyond():
    """A model with a layer above its softmax."""
    model = above()
    model.add(keras.layers.Dense(3))
    return model


REFUSED = {  # a model, options, and what the error says
    "no softmax": (lambda: above(last=None), {}, "have a Dense layer above its states"),
    "another end": (lambda: above(last="sigmoid"), {}, "end with a softmax"),
    "a regression": (
        lambda: above(keras.layers.Dense(V + 1), last=None),
        {},
        "one for each word of its embedding",
    ),
    "another activation": (
        lambda: above(keras.layers.Dense(4, activation="swish")),
        {},
        "activations among",
    ),
    "another layer": (
        lambda: above(keras.layers.LayerNormalization()),
        {},
        "only Dense layers between",
    ),
    "after the softmax": (beyond, {}, "end with the softmax"),
    "a lower layer": (of_two_layers, {"layer": 1}, "must be the highest of 2"),
    "an executor": (above, {"executor": object()}, "`executor` must be left out"),
    "the sweep": (above, {"engine": "sweep"}, "`engine` must be left out"),
    "a tolerance": (above, {"tolerance": 1e-3}, "`tolerance` must be left out"),
    "no words": (above, {"influence": 0}, "`influence` must be"),
    "a word": (above, {"influence": "all"}, "`influence` must be"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_known_to_be_right_is_refused_by_name(case):
    build, options, message = REFUSED[case]
    with pytest.raises(ValueError, match=message):
        influence(build(), [1, 2, 3, 4, 5, 6, 7], **options)


def test_a_regression_on_numbers_is_no_softmax(rng):
    inputs = keras.Input((None, E))
    states = keras.layers.LSTM(H, return_sequences=True)(inputs)
    options = {"inputs": rng.normal(size=(12, E)), "max_delay": 2, "influence": 4}
    linear = keras.Model(inputs, keras.layers.Dense(V)(states))
    with pytest.raises(ValueError, match="end with a softmax"):
        sg.mean_state_gradients(linear, **options)
    told = keras.Model(inputs, keras.layers.Dense(V, activation="softmax")(states))
    assert "influence" in sg.mean_state_gradients(told, **options)
