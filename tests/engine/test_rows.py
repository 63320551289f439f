"""The window of rows in flight."""

import numpy as np
import pytest

from state_gradients.engine import rows as rows_module
from state_gradients.engine.rows import Rows

SIZES = 3, 2  # of a layer's two states
E = 2


class Cell:
    """A cell of which only the sizes are asked."""

    sizes = SIZES


class Job:
    """What `Rows` asks of a job."""

    cells = (Cell(), Cell())
    dtype = np.dtype(np.float64)


@pytest.fixture
def begins(monkeypatch):
    """Let new rows hold the number of the token at which they begin, and stay so."""
    token = iter(range(1000))

    def step(cells, buffers, differentials, rows):
        _, last, end = rows
        now = next(token)
        for states in buffers:
            for tangents in states:
                tangents[0, last:end] = now

    monkeypatch.setattr(rows_module.tiles, "step", step)


@pytest.mark.usefixtures("begins")
def test_the_rows_are_those_of_a_list_that_is_written_anew_each_time():
    """Rows begin, end and are replaced at random, many windows long."""
    rng = np.random.default_rng(0)
    rows, expected = Rows(Job()), np.zeros((0, 2 * sum(SIZES)))
    for token in range(400):
        n_new = E * int(rng.random() < 0.8)
        rows.step(None, n_new)
        new = np.full((n_new, expected.shape[1]), token)
        expected = np.concatenate([expected, new])
        if rng.random() < 0.3:
            n_rows = int(rng.integers(len(expected) + 1))
            others = rng.random((int(rng.integers(n_rows + 1)), expected.shape[1]))
            rows.replace(n_rows, others)
            expected = np.concatenate([others, expected[n_rows:]])
        if rng.random() < 0.3 and len(expected):
            n_rows = int(rng.integers(len(expected)))
            rows.drop(n_rows)
            expected = expected[n_rows:]
        assert len(rows) == len(expected)
        np.testing.assert_array_equal(rows[:], expected)
        np.testing.assert_array_equal(rows[1:3], expected[1:3])
        last = np.concatenate(rows.of_layer(-1, slice(1, None)), axis=1)
        np.testing.assert_array_equal(last, expected[1:, sum(SIZES) :])


@pytest.mark.usefixtures("begins")
def test_the_buffers_do_not_grow_with_the_tokens():
    rows = Rows(Job())
    for token in range(1000):
        rows.step(None, E)
        if token >= 10:
            rows.drop(E)
    assert len(rows) == 10 * E
    room = rows._buffers[0][0].shape[1]
    assert room <= rows_module.ROOM * 12 * E
