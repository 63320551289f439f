"""State gradients by central differences, through Keras itself."""

import numpy as np


def central_differences(model, rows, sources, *, length, max_delay):
    """Return the mean of ds_t/de_source by delay, and how many each is over.

    The state after t is read as the output of the layer on the row cut at t.
    """
    embedding, layer = model.layers[:2]
    table = np.float64(embedding.get_weights()[0])
    step = 1e-3
    total = np.zeros((max_delay + 1, layer.units, table.shape[1]))
    count = np.zeros(max_delay + 1)
    for row, inputs in zip(rows, sources, strict=True):
        for source in inputs:
            for delay in range(min(max_delay, length - 1 - source) + 1):
                cut = table[row[: source + delay + 1]]
                embedded = np.repeat(cut[None], 2 * table.shape[1], 0)
                for k in range(table.shape[1]):
                    embedded[2 * k, source, k] += step
                    embedded[2 * k + 1, source, k] -= step
                states = np.float64(layer(embedded.astype("float32")))
                total[delay] += (states[::2] - states[1::2]).T / (2 * step)
                count[delay] += 1
    return total / count[:, None, None], count
