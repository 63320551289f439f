"""What PyTorch documents of nn.RNN, nn.LSTM and nn.GRU, in NumPy and float64.

Written from the documentation alone, gate by gate, so that it shares no line, no layout
and no order of gates with what it is held against:

    weight_ih_l[k]  (W_ii|W_if|W_ig|W_io), (W_ir|W_iz|W_in), or W_ih
    nn.LSTM         i, f, o = sigmoid(W_i x + b_i + W_h h + b_h), g the same with tanh,
                    c = f c + i g,  h = o tanh(c)
    nn.GRU          r, z = sigmoid(W_i x + b_i + W_h h + b_h),
                    n = tanh(W_in x + b_in + r (W_hn h + b_hn)),  h = (1 - z) n + z h
    nn.RNN          h = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu
"""

import numpy as np

GATES = {"LSTM": "ifgo", "GRU": "rzn", "tanh": "h", "relu": "h"}


def state_dict(kind, rng, *, inputs, units, layers=1, bias=True, name="rnn"):
    """Return random weights as PyTorch names and shapes them."""
    rows = len(GATES[kind]) * units
    weights = {}
    for k in range(layers):
        width = inputs if k == 0 else units
        weights[f"{name}.weight_ih_l{k}"] = rng.normal(size=(rows, width))
        weights[f"{name}.weight_hh_l{k}"] = rng.normal(size=(rows, units)) / 2
        if bias:
            weights[f"{name}.bias_ih_l{k}"] = rng.normal(size=rows)
            weights[f"{name}.bias_hh_l{k}"] = rng.normal(size=rows)
    return weights


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def states(kind, weights, inputs, *, layers=1, name="rnn"):
    """Run from the zero state over inputs (.., time, in).

    Returns
    -------
    dict of str to ndarray of shape (.., time, units)
        Of the highest layer: "hidden", and "cell" of an LSTM.
    """
    below = inputs
    for k in range(layers):
        trajectory = _layer(kind, weights, below, f"{name}.{{}}_l{k}")
        below = trajectory["hidden"]
    return trajectory


def _layer(kind, weights, inputs, pattern):
    def of_gate(key, gate):
        """Return the rows of one gate, or zeros where there is no bias."""
        rows = weights.get(pattern.format(key))
        n = len(GATES[kind])
        if rows is None:
            return np.zeros(len(weights[pattern.format("weight_hh")]) // n)
        units = len(rows) // n
        at = GATES[kind].index(gate)
        return rows[at * units : (at + 1) * units]

    def from_input(gate, x):
        return x @ of_gate("weight_ih", gate).T + of_gate("bias_ih", gate)

    def from_state(gate, h):
        return h @ of_gate("weight_hh", gate).T + of_gate("bias_hh", gate)

    def of_both(gate, x, h):
        return from_input(gate, x) + from_state(gate, h)

    units = weights[pattern.format("weight_hh")].shape[1]
    h = c = np.zeros((*inputs.shape[:-2], units))
    hidden, cell = [], []
    for t in range(inputs.shape[-2]):
        x = inputs[..., t, :]
        if kind == "LSTM":
            i, f, o = (sigmoid(of_both(gate, x, h)) for gate in "ifo")
            c = f * c + i * np.tanh(of_both("g", x, h))
            h = o * np.tanh(c)
        elif kind == "GRU":
            r, z = (sigmoid(of_both(gate, x, h)) for gate in "rz")
            n = np.tanh(from_input("n", x) + r * from_state("n", h))
            h = (1 - z) * n + z * h
        elif kind == "tanh":
            h = np.tanh(of_both("h", x, h))
        else:
            h = np.maximum(of_both("h", x, h), 0)
        hidden.append(h)
        cell.append(c)
    return {"hidden": np.stack(hidden, axis=-2), "cell": np.stack(cell, axis=-2)}


def mean_gradients(run, inputs, *, max_delay, step=1e-5):
    """Return the mean over t of ds_t/dx_{t-tau}, by central differences.

    Parameters
    ----------
    run : callable
        From inputs (batch, time, in) to states (batch, time, units).
    inputs : ndarray of shape (time, in)
    max_delay : int

    Returns
    -------
    ndarray of shape (delay, units, in)
    """
    n_steps, width = inputs.shape
    units = run(inputs[None]).shape[-1]
    sums = np.zeros((max_delay + 1, units, width))
    for source in range(n_steps):
        moved = np.repeat(inputs[None], 2 * width, axis=0)
        for k in range(width):
            moved[2 * k, source, k] += step
            moved[2 * k + 1, source, k] -= step
        after = run(moved)
        slopes = (after[::2] - after[1::2]) / (2 * step)  # (in, time, units)
        for delay in range(min(max_delay, n_steps - 1 - source) + 1):
            sums[delay] += slopes[:, source + delay].T
    counts = n_steps - np.arange(max_delay + 1)
    return sums / counts[:, None, None]
