"""What a word changes in the words predicted later: against autodiff, and divergences.

M = E_p[(d log p_t / d e)(d log p_t / d e)'] of one word's embedding e and one place t
"""

import keras
import numpy as np
import pytest
import small_predictors
from scipy.special import rel_entr
from small_predictors import CELLS, E, V, double, log_p, model_of

import state_gradients as sg

T, STEP = 7, 1e-3
INFLUENCES = ["influence", "mean_influence", "influence_rank"]
in_float64 = small_predictors.in_float64
needs_tape = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="needs KERAS_BACKEND=tensorflow"
)


def inputs_of(model, ids):
    return keras.ops.convert_to_numpy(model.layers[1].embeddings)[ids]


def by_autodiff(model, ids):
    """Return M of each word at each place, (token, time, E, E), by a tape."""
    import tensorflow as tf

    from state_gradients.models import language_model

    embedded = tf.constant(inputs_of(model, ids)[None])
    states = language_model.zero_states(model, 1)
    states = [[keras.ops.cast(one, "float64") for one in layer] for layer in states]
    with tf.GradientTape() as tape:
        tape.watch(embedded)
        logits, _ = language_model.run_layers(model, embedded, states)
        of_words = tf.nn.log_softmax(logits)[0]  # (time, V)
    slopes = tape.jacobian(of_words, embedded)[:, :, 0].numpy()  # (time, V, token, E)
    p = np.exp(of_words.numpy())
    return np.einsum("tw,twse,twsf->stef", p, slopes, slopes)


def whitening_of(rng):
    return sg.fit_whitening(rng.normal(size=(20, E)) @ rng.normal(size=(E, E)))


@needs_tape
@double
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("cell", CELLS)
def test_it_is_of_the_fisher_information_of_each_place(cell, layers, rng, in_float64):
    model, ids = model_of(cell, rng, layers=layers), rng.integers(V, size=T)
    moments, whitening = by_autodiff(model, ids), whitening_of(rng)
    options = {"dtype": "float64", "layer": layers}
    raw = sg.sentence_influence(model, ids, **options)
    whitened = sg.sentence_influence(model, ids, whitening=whitening, **options)
    assert [*raw] == INFLUENCES and raw["influence"].dims == ("token", "delay")
    for found, D in ((raw, np.eye(E)), (whitened, whitening.D)):
        for token in range(T):
            for delay in range(T):
                one = found.isel(token=token, delay=delay)
                if token + delay >= T:
                    assert all(np.isnan(one[name]) for name in INFLUENCES)
                    continue
                values = np.linalg.eigvalsh(D.T @ moments[token, token + delay] @ D)
                # Two chains in float64: some hundred roundings of 1e-16 of the largest.
                close = {"rtol": 1e-9, "atol": 0}
                np.testing.assert_allclose(one["influence"], values[-1], **close)
                np.testing.assert_allclose(
                    one["mean_influence"], values.mean(), **close
                )
                shares = np.maximum(values, 0) / values.sum()
                rank = np.prod(shares ** -np.where(shares > 0, shares, 0))
                np.testing.assert_allclose(one["influence_rank"], rank, rtol=1e-6)


@double
@pytest.mark.parametrize("cell", ["lstm", "s6"])
def test_half_of_it_is_the_divergence_of_a_small_step(cell, rng, in_float64):
    """Along the axes on average, and along the best direction, of each word alone."""
    model, ids = model_of(cell, rng), rng.integers(V, size=T)
    whitening, embedded = whitening_of(rng), inputs_of(model, ids)
    options = {"dtype": "float64", "whitening": whitening}
    found = sg.sentence_influence(model, ids, **options)
    moments = sg.mean_state_gradients(
        model,
        ids,
        max_delay=T - 1,
        positions=np.eye(T, dtype=bool),
        influence="exact",
        dtype="float64",
    )["influence"].values

    def divergences(token, steps):
        """Return KL (step, delay) of whitened steps of a word, over half their square.

        Of a step and its opposite: the terms of third order cancel.
        """
        moved = np.repeat(embedded[None], 1 + 2 * len(steps), axis=0)
        both = np.concatenate([steps, -steps]) @ whitening.D.T
        moved[1:, token] += STEP * both
        p = np.exp(log_p(model, moved))[:, token:]
        kl = rel_entr(p[0], p[1:]).sum(axis=-1).reshape(2, len(steps), -1)
        return 2 * kl.mean(axis=0) / STEP**2

    for token in range(T):
        here = found.isel(token=token, delay=slice(0, T - token))
        mean = divergences(token, np.eye(E)).mean(axis=0)
        np.testing.assert_allclose(here["mean_influence"], mean, rtol=0.01)
        whitened = whitening.D.T @ moments[token, : T - token] @ whitening.D
        best = np.linalg.eigh(whitened)[1][..., -1]
        along = np.diagonal(divergences(token, best))
        np.testing.assert_allclose(here["influence"], along, rtol=0.01)


@pytest.mark.parametrize("layers", [1, 2])
def test_its_mean_over_a_text_is_what_the_engine_averages(layers, rng):
    """Means are linear in M, whose trace they are; largest values are convex."""
    model, ids = model_of("lstm", rng, layers=layers), rng.integers(V, size=30)
    options = {"layer": layers, "max_delay": 4, "dtype": "float64"}
    alone = sg.sentence_influence(model, ids, **options)
    of_text = sg.mean_state_gradients(model, ids, influence="exact", **options)
    values = np.linalg.eigvalsh(of_text["influence"])
    assert alone.sizes == {"token": 30, "delay": 5}
    mean = alone["mean_influence"].mean("token")
    np.testing.assert_allclose(mean, values.mean(axis=-1), rtol=1e-9)
    assert np.all(alone["influence"].mean("token") > values[:, -1])


def test_words_may_be_drawn(rng):
    model, ids = model_of("gru", rng), rng.integers(V, size=T)
    exact = sg.sentence_influence(model, ids, max_delay=3)["influence"]
    few, many, again = (
        sg.sentence_influence(model, ids, influence=n, max_delay=3)["influence"]
        for n in (3, 5000, 5000)
    )
    # Drawn systematically, no word's count is off by more than one of 5,000.
    np.testing.assert_allclose(many, exact, rtol=0.01)
    np.testing.assert_array_equal(many, again)
    assert float(np.abs(few / exact - 1).max()) > 0.05
    assert many.attrs["units"] == "nat / (embedding unit)^2"


def test_what_is_no_softmax_is_refused_by_its_own_name(rng):
    layers = [keras.layers.Embedding(V, E), keras.layers.LSTM(4, return_sequences=True)]
    states = keras.Sequential([keras.Input((None,)), *layers])
    with pytest.raises(ValueError, match=r"^sentence_influence: .*a Dense layer above"):
        sg.sentence_influence(states, [1, 2, 3])
    above = [*layers, keras.layers.Dense(2)]
    regression = keras.Sequential([keras.Input((None,)), *above])
    with pytest.raises(ValueError, match=r"^sentence_influence: .*end with a softmax"):
        sg.sentence_influence(regression, [1, 2, 3])
    model = model_of("lstm", rng, layers=2)
    with pytest.raises(ValueError, match=r"^sentence_influence: .*must be the highest"):
        sg.sentence_influence(model, [1, 2, 3])
    with pytest.raises(ValueError, match=r"^sentence_influence: `influence` must be"):
        sg.sentence_influence(model, [1, 2, 3], influence=None)
    with pytest.raises(ValueError, match=r"^sentence_influence: `ids` must be one"):
        sg.sentence_influence(model, [[1, 2, 3]])
