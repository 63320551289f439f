import numpy as np
import pytest

from state_gradients.models.batching import contiguous_rows, n_windows, windows


def test_windows_equal_the_literal_ones():
    # 17 tokens in 2 rows of 8; each row shows 2 windows of 3 and its next token
    np.testing.assert_array_equal(
        contiguous_rows(range(17), 2), [range(8), range(8, 16)]
    )
    first, second = windows(range(17), 2, 3)
    np.testing.assert_array_equal(first[0], [[0, 1, 2], [8, 9, 10]])
    np.testing.assert_array_equal(first[1], [[1, 2, 3], [9, 10, 11]])
    np.testing.assert_array_equal(second[0], [[3, 4, 5], [11, 12, 13]])
    np.testing.assert_array_equal(second[1], [[4, 5, 6], [12, 13, 14]])
    assert {a.dtype for pair in (first, second) for a in pair} == {np.dtype("int32")}


def test_what_else_is_asked_stands_beside_the_tokens():
    # 17 tokens in 2 rows of 8, of which the windows are those without it
    first, second = windows(range(17), 2, 3, asked=range(100, 117))
    np.testing.assert_array_equal(first[0], [[0, 1, 2], [8, 9, 10]])
    np.testing.assert_array_equal(first[1], [[100, 101, 102], [108, 109, 110]])
    np.testing.assert_array_equal(second[0], [[3, 4, 5], [11, 12, 13]])
    np.testing.assert_array_equal(second[1], [[103, 104, 105], [111, 112, 113]])


@pytest.mark.parametrize("length", range(1, 40))
@pytest.mark.parametrize(("batch_size", "num_steps"), [(1, 1), (2, 3), (3, 4)])
def test_windows_visit_every_target_once_in_order(length, batch_size, num_steps):
    rows = [range(b * (length // batch_size), (b + 1) * (length // batch_size))
            for b in range(batch_size)]  # fmt: skip
    count = n_windows(length, batch_size, num_steps)
    # the brute-force count: windows fit while their last target is in the row
    fitting = sum((k + 1) * num_steps < len(rows[0]) for k in range(length))
    assert count == fitting
    if count == 0:
        with pytest.raises(ValueError, match="batch_size"):
            windows(range(length), batch_size, num_steps)
        return
    seen = list(windows(range(length), batch_size, num_steps))
    assert len(seen) == count
    inputs = np.concatenate([i for i, _ in seen], axis=1)
    targets = np.concatenate([t for _, t in seen], axis=1)
    expected = [list(row)[: count * num_steps] for row in rows]
    np.testing.assert_array_equal(inputs, expected)
    np.testing.assert_array_equal(targets, np.array(expected) + 1)


def test_too_short_streams_and_bad_sizes_are_refused_at_the_call():
    with pytest.raises(ValueError, match=r"needs 4020 tokens, received 4019"):
        windows(np.zeros(4019, int), 20, 200)
    windows(np.zeros(4020, int), 20, 200)
    with pytest.raises(ValueError, match=r"one stream .* received shape \(2, 8\)"):
        contiguous_rows(np.zeros((2, 8), int), 2)
    with pytest.raises(ValueError, match=r"at least `batch_size` = 4 .* shape \(3,\)"):
        contiguous_rows(range(3), 4)
    with pytest.raises(ValueError, match="`batch_size` must be at least 1, received 0"):
        contiguous_rows(range(8), 0)
    with pytest.raises(ValueError, match="`num_steps` must be at least 1"):
        n_windows(8, 1, 0)
