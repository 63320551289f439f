"""The rule by which states are advanced, and the weights that the formulas take."""

import numpy as np
import pytest
from keras import ops

from state_gradients.engine import formulas
from state_gradients.engine.formulas import Term

ROWS, SIZE = 5, 3


@pytest.fixture
def tangents(rng):
    return [rng.normal(size=(ROWS, SIZE)) for _ in range(3)]


@pytest.fixture
def driven(rng):
    return [rng.normal(size=(ROWS, SIZE)) for _ in range(3)]


@pytest.fixture
def scale(rng):
    return [rng.normal(size=SIZE) for _ in range(3)]


def differential(*diagonal):
    return formulas.Differential(lambda: (), {}, diagonal)


def expected(tangents, driven, scale):
    """State 0 follows state 1 after the token, 1 itself, 2 nothing but what drives."""
    second = driven[1] + scale[1] * tangents[1]
    return [driven[0] + scale[0] * second, second, driven[2]]


def test_a_diagonal_scales_the_state_itself_or_a_later_one_after_the_token(
    tangents, driven, scale
):
    rule = differential((Term(1, scale[0]),), (Term(1, scale[1]),), ())
    before = [x.copy() for x in tangents]
    after = rule.advance(tangents, driven)
    for x, y in zip(after, expected(before, driven, scale), strict=True):
        np.testing.assert_array_equal(x, y)
    for x, y in zip(tangents, before, strict=True):
        np.testing.assert_array_equal(x, y)
    rule.advance_in_place(tangents, driven)
    for x, y in zip(tangents, after, strict=True):
        np.testing.assert_array_equal(x, y)


def test_tensors_are_advanced_as_arrays_are(tangents, driven, scale):
    rule = differential((Term(1, scale[0]),), (Term(1, scale[1]),), ())
    as_tensors = [ops.convert_to_tensor(x.astype("float32")) for x in tangents]
    driven_tensors = [ops.convert_to_tensor(x.astype("float32")) for x in driven]
    single = differential(
        *[
            tuple(Term(term.state, np.float32(term.scale)) for term in terms)
            for terms in rule.diagonal
        ]
    )
    after = single.advance(as_tensors, driven_tensors)
    for x, y in zip(after, expected(tangents, driven, scale), strict=True):
        # a few float32 operations on numbers of order one
        np.testing.assert_allclose(ops.convert_to_numpy(x), y, rtol=0, atol=2e-6)


def test_terms_add_up_and_an_earlier_state_is_as_it_was_before_the_token(
    tangents, driven, scale
):
    before = [x.copy() for x in tangents]
    rule = differential(
        (Term(0, scale[0]),), (), (Term(2, scale[2]), Term(0, scale[1]))
    )
    after = rule.advance(tangents, driven)
    last = driven[2] + scale[2] * before[2] + scale[1] * before[0]
    np.testing.assert_allclose(after[2], last, rtol=1e-14)
    np.testing.assert_array_equal(after[0], driven[0] + scale[0] * before[0])
    rule.advance_in_place(tangents, driven)
    for x, y in zip(tangents, after, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-14)


def test_a_turned_term_exchanges_the_halves_of_its_own_state(rng):
    """A product of complex numbers: (a + ib)(x + iy), parts side by side."""
    factor, numbers = rng.normal(size=(2, 4, 2)) @ [1, 1j]
    x = np.concatenate([numbers.real, numbers.imag])[None]
    scale = np.tile(factor.real, 2)
    across = np.concatenate([-factor.imag, factor.imag])
    rule = differential((Term(0, scale), Term(0, across, turned=True)))
    (after,) = rule.advance([x], [0])
    product = factor * numbers
    expected = np.concatenate([product.real, product.imag])[None]
    np.testing.assert_allclose(after, expected, rtol=1e-14)
    rule.advance_in_place([x], [None])
    np.testing.assert_allclose(x, expected, rtol=1e-14)


def test_a_state_that_nothing_drives_keeps_what_its_diagonal_passes_on(tangents, scale):
    before = [x.copy() for x in tangents]
    rule = differential((Term(0, scale[0]),), (), (Term(2, scale[2]),))
    rule.advance_in_place(tangents, [None, None, None])
    np.testing.assert_array_equal(tangents[0], scale[0] * before[0])
    np.testing.assert_array_equal(tangents[1], 0)
    np.testing.assert_array_equal(tangents[2], scale[2] * before[2])


def test_an_lstms_weights_are_cut_at_keras_gates(rng):
    kernel, recurrent_kernel = rng.normal(size=(2, 12)), rng.normal(size=(SIZE, 12))
    weights = formulas.lstm_weights(kernel, recurrent_kernel, np.zeros(12))
    i, f, c, o = np.split(kernel, 4, axis=1)
    np.testing.assert_array_equal(weights.kernel_ifc, np.stack([i, f, c], axis=1))
    np.testing.assert_array_equal(weights.kernel_o, o)
    i, f, c, o = np.split(recurrent_kernel, 4, axis=1)
    np.testing.assert_array_equal(
        weights.recurrent_kernel_ifc, np.stack([i, f, c], axis=1)
    )
    np.testing.assert_array_equal(weights.recurrent_kernel_o, o)


@pytest.mark.parametrize("reset_after", [True, False])
def test_a_grus_weights_are_cut_at_keras_gates(reset_after, rng):
    kernel, recurrent_kernel = rng.normal(size=(2, 9)), rng.normal(size=(SIZE, 9))
    bias = rng.normal(size=(2, 9) if reset_after else 9)
    weights = formulas.gru_weights(kernel, recurrent_kernel, bias)
    for gate, columns in zip("zrh", (slice(3), slice(3, 6), slice(6, 9)), strict=True):
        of_gate = [getattr(one, gate) for one in weights]
        outer, inner = bias if reset_after else (bias, np.zeros(9))
        whole = (kernel, recurrent_kernel, outer, inner)
        for part, matrix in zip(of_gate, whole, strict=True):
            np.testing.assert_array_equal(part, matrix[..., columns])
