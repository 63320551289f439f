"""Rows of tangents in flight: a window that moves on through longer buffers.

The oldest rows stand first. What ends leaves at the front and what begins comes in at
the end, so that rows stay where they are: but at a cut, which writes the bases anew, of
few rows, and when the window reaches the end of its buffers.
"""

import numpy as np

from state_gradients.engine import tiles

ROOM = 4  # windows that new buffers have room for; they are kept while it is for two


class Rows:
    """Rows of the tangents of all states of all layers.

    Parameters
    ----------
    job : jobs.Job
    """

    def __init__(self, job):
        self._cells = job.cells
        self._buffers = [  # of each layer's states: tangents, and what drives them
            [np.empty((2, 0, size), job.dtype) for size in cell.sizes]
            for cell in job.cells
        ]
        self._first = self._last = 0

    def __len__(self):
        """Return how many are in flight."""
        return self._last - self._first

    def of_layer(self, layer, rows):
        """Return a slice of the rows, of each state of a layer (row, units)."""
        start, stop, _ = rows.indices(len(self))
        rows = slice(self._first + start, self._first + stop)
        return [tangents[0, rows] for tangents in self._buffers[layer]]

    def __getitem__(self, rows):
        """Return a copy of a slice of the rows, all states side by side."""
        layers = range(len(self._buffers))
        return np.concatenate([x for k in layers for x in self.of_layer(k, rows)], 1)

    def step(self, differentials, n_new):
        """Advance all by a token; let so many more begin behind them."""
        self._make_room(n_new)
        end = self._last + n_new
        rows = self._first, self._last, end
        tiles.step(self._cells, self._buffers, differentials, rows)
        self._last = end

    def drop(self, n_rows):
        """Let go of so many, the oldest."""
        self._first += n_rows

    def replace(self, n_rows, rows):
        """Put fewer, or as many, in the place of the oldest: (row, states)."""
        self._first += n_rows - len(rows)
        here = slice(self._first, self._first + len(rows))
        start = 0
        for states in self._buffers:
            for tangents in states:
                stop = start + tangents.shape[-1]
                tangents[0, here] = rows[:, start:stop]
                start = stop

    def _make_room(self, n_new):
        """Move the window to the start of its buffers where their end is reached."""
        room = self._buffers[0][0].shape[1]
        if self._last + n_new <= room:
            return
        here, n_rows = slice(self._first, self._last), len(self)
        is_tight = ROOM * (n_rows + n_new) > 2 * room
        for states in self._buffers:
            for k, tangents in enumerate(states):
                if is_tight:
                    wider = 2, ROOM * (n_rows + n_new), tangents.shape[-1]
                    states[k] = np.empty(wider, tangents.dtype)
                states[k][0, :n_rows] = tangents[0, here]
        self._first, self._last = 0, n_rows
