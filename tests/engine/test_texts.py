"""Lists of texts, padded and masked: held against one text at a time, and Keras."""

import keras
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from through_keras import central_differences

from state_gradients.analysis import uncertainty
from state_gradients.analysis.spectra import memory_curve
from state_gradients.engine import means, words

L = keras.layers
V, E, H, D = 7, 3, 4, 2


def build(layer="LSTM", *, length=None, mask_zero=False, seed=1, **options):
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((length,), dtype="int32"),
            L.Embedding(V, E, mask_zero=mask_zero, embeddings_initializer="normal"),
            getattr(L, layer)(H, **options),
        ]
    )
    for variable in model.weights:  # gates that curve
        variable.assign(variable.value * (20 if "embeddings" in variable.path else 1.5))
    return model


MODEL = build()


def texts_of(lengths, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.integers(1, V, size=n) for n in lengths]


def pooled(texts, **options):
    """The mean over texts, from the means of each text alone and their counts."""
    total, count = 0, 0
    for text in texts:
        delay = min(D, len(text) - 1)
        one = means.mean_state_gradients(MODEL, text, max_delay=delay, **options)
        wide = one.reindex(delay=range(D + 1))
        n = wide["n_samples"].fillna(0)
        total = total + (wide["state_gradient"] * n).fillna(0)
        count = count + n
    return total / count.where(count > 0), count


@settings(max_examples=20)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=6))
def test_a_list_of_texts_is_averaged_as_its_texts_one_by_one(lengths):
    texts = texts_of([*lengths, D + 1])
    found = means.mean_state_gradients(MODEL, texts, max_delay=D, dtype="float64")
    mean, count = pooled(texts, dtype="float64")
    np.testing.assert_array_equal(found["n_samples"], count)
    # sums of float64 in another order
    np.testing.assert_allclose(found["state_gradient"], mean, rtol=0, atol=1e-12)
    counted = [sum(max(n - tau, 0) for n in [*lengths, D + 1]) for tau in range(D + 1)]
    np.testing.assert_array_equal(found["n_samples"], counted)


def test_blocks_are_whole_texts():
    texts = texts_of([5, 3, 8, 4, 6])
    found = means.mean_state_gradients(MODEL, texts, max_delay=D, blocks=2)
    for block, part in enumerate((texts[:3], texts[3:])):  # texts 0 1 2 | 3 4
        alone = means.mean_state_gradients(MODEL, part, max_delay=D)
        xr.testing.assert_allclose(found.isel(block=block), alone, atol=1e-6)
    curves = uncertainty.block_bootstrap(
        means.mean_state_gradients(MODEL, texts, max_delay=D, blocks=5),
        memory_curve,
        seed=0,
        n_resamples=20,
    )
    assert np.isfinite(curves["standard_error"].sel(quantity="memory")).all()
    with pytest.raises(ValueError, match=r"`blocks` must be .* 1\.\.5, received 6"):
        means.mean_state_gradients(MODEL, texts, max_delay=D, blocks=6)


def test_groups_and_positions_of_a_list(rng):
    texts = texts_of([5, 3, 8])
    groups = rng.random((2, V)) < 0.6
    by_type = means.mean_state_gradients(MODEL, texts, max_delay=D, groups=groups)
    positions = [groups[:, text] for text in texts]
    by_place = means.mean_state_gradients(
        MODEL, texts, max_delay=D, positions=positions
    )
    xr.testing.assert_identical(by_type, by_place)
    with pytest.raises(ValueError, match="a list of 3 arrays"):
        means.mean_state_gradients(MODEL, texts, max_delay=D, positions=positions[:2])
    with pytest.raises(ValueError, match="`positions` must have shape"):
        means.mean_state_gradients(
            MODEL, texts, max_delay=D, positions=[p[:, :2] for p in positions]
        )


def test_types_of_a_list_sum_to_its_mean():
    texts = texts_of([5, 3, 8, 4])
    mean = means.mean_state_gradients(MODEL, texts, max_delay=D)
    total = 0
    for one in words.type_gradients(MODEL, texts, max_delay=D):
        gradient = one["state_gradient"].astype(float).fillna(0)
        total = total + (gradient * one["n_samples"]).isel(group=0, drop=True)
    np.testing.assert_allclose(
        total / mean["n_samples"], mean["state_gradient"], rtol=0, atol=1e-5
    )


@pytest.mark.parametrize("texts", [[[1, 2, 3], []], [[1, 2, 3], [1.0, 2.0]], [[1, V]]])
def test_a_text_that_is_none_is_refused(texts):
    with pytest.raises(ValueError, match="mean_state_gradients: `ids` must"):
        means.mean_state_gradients(MODEL, texts, max_delay=1)


def test_the_longest_text_bounds_the_delay():
    with pytest.raises(ValueError, match=r"longest text's .* length 4, received 4"):
        means.mean_state_gradients(MODEL, texts_of([2, 4, 3]), max_delay=4)


# ------------------------------------------ as a padded, fixed-length model is used


@pytest.mark.parametrize(
    ("layer", "options"),
    [("LSTM", {}), ("GRU", {}), ("SimpleRNN", {"activation": "relu"})],
)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_moves_the_state_and_is_no_input(layer, options, side):
    length = 6
    model = build(layer, length=length, **options)
    lines = texts_of([4, 2, 6, 3], seed=3)
    rows, sources = [], []
    for line in lines:
        pads = np.zeros(length - len(line), int)
        first = len(pads) if side == "left" else 0
        rows.append(np.concatenate([pads, line] if side == "left" else [line, pads]))
        sources.append(range(first, first + len(line)))
    found = means.mean_state_gradients(
        model, rows, max_delay=D, padding=0, state="hidden"
    )
    expected, count = central_differences(
        model, rows, sources, length=length, max_delay=D
    )
    np.testing.assert_array_equal(found["n_samples"], count)
    # float32 outputs of order 1, differences over 2e-3: 1e-7 / 2e-3 = 5e-5 of each,
    # and h^2 / 6 times a third derivative of some tens
    np.testing.assert_allclose(found["state_gradient"], expected, rtol=0, atol=1e-3)


@pytest.mark.parametrize("layer", ["LSTM", "GRU", "SimpleRNN"])
@settings(max_examples=10)
@given(st.data())
def test_a_masking_model_is_read_as_keras_reads_it(layer, data):
    """Keras's own last output on a masked row is that of the text without the 0."""
    model = build(layer, mask_zero=True)
    plain = build(layer)
    plain.set_weights(model.get_weights())
    row = data.draw(st.lists(st.integers(0, V - 1), min_size=4, max_size=9))
    row = np.array([*row, 1, 2, 3])
    without = row[row != 0]
    # Keras runs masked steps and then puts the old state back: the same numbers
    np.testing.assert_allclose(model(row[None]), plain(without[None]), atol=1e-6)
    masked = means.mean_state_gradients(model, row, max_delay=D)
    expected = means.mean_state_gradients(plain, without, max_delay=D)
    xr.testing.assert_identical(masked, expected)


def test_masked_texts_lose_their_positions_too(rng):
    model = build(mask_zero=True)
    plain = build()
    plain.set_weights(model.get_weights())
    rows = [np.array([0, 0, 1, 5, 2]), np.array([3, 0, 4, 4, 0]), np.zeros(4, int)]
    positions = [rng.random((2, len(row))) < 0.7 for row in rows]
    masked = means.mean_state_gradients(
        model, rows, max_delay=D, positions=positions, blocks=3
    )
    kept = [row != 0 for row in rows]
    plainly = means.mean_state_gradients(
        plain,
        [row[k] for row, k in zip(rows[:2], kept, strict=False)],
        max_delay=D,
        positions=[p[:, k] for p, k in zip(positions[:2], kept, strict=False)],
        blocks=2,
    )
    xr.testing.assert_identical(masked.isel(block=slice(2)), plainly)
    assert not masked["n_samples"].isel(block=2).any()
    with pytest.raises(ValueError, match="masks the id 0"):
        means.mean_state_gradients(model, rows[2], max_delay=1)
