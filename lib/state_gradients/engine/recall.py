"""The forward pass over texts too long to keep: any part of it, as often as asked for.

States are kept at marks, and between them the network is run again. Of the last
stretches that somebody asked for the whole trace is held, so that several who go
through a text side by side share one pass.
"""

import threading
from collections import OrderedDict

import numpy as np

STRETCH = 2048  # tokens that are run in one go
HELD = 2**15  # tokens whose trace is held
MARKS = 512  # states that are kept, at most


class Recall:
    """The trace of texts, as a network's :meth:`Network.run` gives it.

    Parameters
    ----------
    network : network.Network
    texts : list of arrays of int, shape (time,), or of long_texts.OnDisk
        Each from the zero state.
    """

    def __init__(self, network, texts):
        self._network = network
        self._texts = texts
        self._held = OrderedDict()  # (text, stretch): its trace, and the states after
        self._n_held = 0  # tokens
        self._marks = {}  # (text, stretch): the states before it
        self._spacing = 1  # stretches from mark to mark
        self._lock = threading.Lock()

    def trace(self, number):
        """Return the trace of a text: lists of columns that are read when sliced."""
        return [
            [
                Column(self, number, (layer, k), array)
                for k, array in enumerate(of_layer)
            ]
            for layer, of_layer in enumerate(self.between(number, 0, 1))
        ]

    def n_tokens(self, number):
        """Return the length of a text."""
        return len(self._texts[number])

    def between(self, number, first, last):
        """Return the trace of the tokens first..last - 1 of a text."""
        last = min(last, self.n_tokens(number))
        stretches = range(first // STRETCH, max(first, last - 1) // STRETCH + 1)
        traces = []
        for k in stretches:
            start = k * STRETCH
            rows = slice(max(first - start, 0), last - start)
            traces.append([[array[rows] for array in of] for of in self._of(number, k)])
        if len(traces) == 1:
            return traces[0]
        return [
            [np.concatenate(arrays) for arrays in zip(*layers, strict=True)]
            for layers in zip(*traces, strict=True)
        ]

    def _of(self, number, k):
        """Return the trace of a stretch, run again if it is not held."""
        with self._lock:
            if (number, k) not in self._held:
                start, states = self._states_before(number, k)
                for stretch in range(start, k + 1):
                    if (number, stretch) in self._held:
                        states = self._held[number, stretch][1]
                    else:
                        states = self._run(number, stretch, states)
            self._held.move_to_end((number, k))
            return self._held[number, k][0]

    def _states_before(self, number, k):
        """Return the last stretch up to k before which states are known, and these."""
        if (number, k - 1) in self._held:
            return k, self._held[number, k - 1][1]
        marks = [mark for text, mark in self._marks if text == number and mark <= k]
        if not marks:
            return 0, self._network.zero_states()
        return max(marks), self._marks[number, max(marks)]

    def _run(self, number, k, states):
        """Run over a stretch, and hold what it gives; return the states after it."""
        ids = self._texts[number][k * STRETCH : (k + 1) * STRETCH]
        trace, after = self._network.run(ids, states)
        self._held[number, k] = trace, after
        self._n_held += len(ids)
        while self._n_held > HELD and len(self._held) > 1:
            (text, first), _ = self._held.popitem(last=False)
            left = self.n_tokens(text) - first * STRETCH
            self._n_held -= min(left, STRETCH)
        self._mark(number, k + 1, after)
        return after

    def _mark(self, number, k, states):
        """Keep the states before a stretch; of too many marks every other one."""
        if k * STRETCH >= self.n_tokens(number) or k % self._spacing:
            return
        # copies: rows of a stretch's arrays would keep all of it
        self._marks[number, k] = [tuple(map(np.array, layer)) for layer in states]
        while len(self._marks) > MARKS:
            self._spacing *= 2
            self._marks = {
                place: of_place
                for place, of_place in self._marks.items()
                if place[1] % self._spacing == 0
            }


class Column:
    """One array (time, size) of a text's trace, whose rows are run when asked for."""

    def __init__(self, recall, number, place, sample):
        self._recall = recall
        self._number = number
        self._place = place
        self.dtype = sample.dtype
        self.shape = recall.n_tokens(number), *sample.shape[1:]

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, rows):
        first, last, _ = rows.indices(len(self))
        layer, k = self._place
        return self._recall.between(self._number, first, last)[layer][k]
