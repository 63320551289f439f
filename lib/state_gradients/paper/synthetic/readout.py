"""What a one-layer LSTM predicts on the synthetic corpus, by place in the cycle.

The states are run along one stream from zero, so that a prediction follows every token
and the cell can be changed before it is read out:

    hidden = gate * tanh(cell),  p = softmax(K^T hidden + b)

Results are dicts of name -> (dims, values), by the label of the token predicted.
"""

import numpy as np
from scipy.special import expit, log_softmax

from state_gradients.text import synthetic

N_LABELS = synthetic.COUNT_EOS + 1  # 0..15 and <eos>


def record_states(model, ids):
    """Run a one-layer LSTM along one stream from the zero state.

    What a token contributes to the gates, W^T e + b, is in the model's float32, as a
    table by token; everything after it is in float64. (The engine's
    :meth:`state_gradients.engine.network.Network.run` computes that part in float64
    too; the states would differ by up to 5e-5, and with them the artifact.)

    Returns
    -------
    cell, hidden, gate : ndarrays of shape (time, units)
        After each token; hidden = gate * tanh(cell).
    """
    by_token, recurrent_kernel = _gates(model, "record_states")
    units = len(recurrent_kernel)
    trajectory = np.zeros((3, len(ids), units))
    cell = hidden = np.zeros(units)
    for t, token in enumerate(ids):
        z = by_token[token] + hidden @ recurrent_kernel
        z_i, z_f, z_c, z_o = z.reshape(4, units)  # Keras's order
        cell = expit(z_f) * cell + expit(z_i) * np.tanh(z_c)
        gate = expit(z_o)
        hidden = gate * np.tanh(cell)
        trajectory[:, t] = cell, hidden, gate
    return trajectory


def record_rows(model, ids, *, cell=None, hidden=None):
    """Run a one-layer LSTM along several rows at once; see :func:`record_states`.

    Parameters
    ----------
    model : keras.Model
    ids : ndarray of int, shape (row, time)
    cell, hidden : ndarray of shape (row, units), optional
        The states before the first tokens; zero by default.

    Returns
    -------
    cell, hidden : ndarrays of float64, shape (row, time, units)
        After each token.
    """
    by_token, recurrent_kernel = _gates(model, "record_rows")
    units = len(recurrent_kernel)
    zeros = np.zeros((len(ids), units))
    cell, hidden = (zeros if state is None else state for state in (cell, hidden))
    trajectory = np.zeros((2, *np.shape(ids), units))
    for t, tokens in enumerate(np.transpose(ids)):
        z = by_token[tokens] + hidden @ recurrent_kernel
        z_i, z_f, z_c, z_o = np.split(z, 4, axis=1)  # Keras's order
        cell = expit(z_f) * cell + expit(z_i) * np.tanh(z_c)
        hidden = expit(z_o) * np.tanh(cell)
        trajectory[:, :, t] = cell, hidden
    return trajectory


def _gates(model, caller):
    """Return what each token gives the gates, and the recurrent kernel in float64."""
    from state_gradients.models import language_model

    w = language_model.weights(model)
    recurrent_kernel = w["recurrent_1.recurrent_kernel"].astype(np.float64)
    if "recurrent_2.kernel" in w or recurrent_kernel.shape[1] != 4 * len(
        recurrent_kernel
    ):
        raise ValueError(
            f"{caller}: the model must be one LSTM layer, received the weights "
            f"{sorted(w)} with a recurrent kernel of shape {recurrent_kernel.shape}."
        )
    by_token = w["embedding"] @ w["recurrent_1.kernel"] + w["recurrent_1.bias"]
    return by_token, recurrent_kernel


def log_probabilities(model, hidden):
    """Return ln p of the token after each of the states but the last.

    Returns
    -------
    ndarray of float64, shape (time - 1, vocabulary)
    """
    from state_gradients.models import language_model

    w = language_model.weights(model)
    logits = hidden[:-1] @ w["logits.kernel"].astype(np.float64) + w["logits.bias"]
    return log_softmax(logits, axis=-1)


def losses(log_p, text):
    """Return -ln p of each token but the first, in nats, shape (time - 1,)."""
    return -np.take_along_axis(log_p, text.ids[1:, None], axis=-1)[:, 0]


def _sums(text, values=None):
    """Return sums of `values` by label; nothing announces the first two tokens."""
    values = None if values is None else values[-len(text.ids) + 2 :]
    return np.bincount(text.count[2:], values, N_LABELS)


def predictions(model, text, hidden):
    """Return losses and mistakes, the ideal predictor's losses and p(<eos>)."""
    log_p = log_probabilities(model, hidden)
    n = _sums(text)
    mistakes = _sums(text, log_p.argmax(axis=-1) != text.ids[1:]).astype(int)
    ideal = -synthetic.ideal_log_probabilities(text)
    boundary = text.count[:-1] == synthetic.REPEATS
    cycles = text.cycle[:-1][boundary]  # before the one that ends here
    stops = np.bincount(cycles, np.exp(log_p[boundary, -1]), synthetic.MOST)
    return {
        "predictions_at": ("label", n),
        "mistakes_at": ("label", mistakes),
        "nll_at": ("label", _sums(text, losses(log_p, text)) / n),
        "ideal_nll_at": ("label", _sums(text, ideal) / n),
        "predictions": ((), n.sum()),
        "unexpected_mistakes": ((), mistakes[1:-1].sum()),
        "unexpected_at_first_repeat": ((), mistakes[1]),
        "eos_probability": ("cycles", stops / np.bincount(cycles)),
    }


def ablation(model, text, states, basis, *, seed):
    """Return losses when the cell is read out with a subspace set to its mean.

    The recurrence is left alone: this is what the subspace tells the next prediction.
    The control takes random subspaces of the same size, the mean of five.
    """
    cell, _, gate = states
    n = _sums(text)
    rng = np.random.default_rng(seed)
    random = [np.linalg.qr(rng.normal(size=basis.shape))[0] for _ in range(5)]

    def without(removed):
        changed = cell - (cell - cell.mean(axis=0)) @ removed @ removed.T
        log_p = log_probabilities(model, gate * np.tanh(changed))
        return _sums(text, losses(log_p, text)) / n

    rows = [
        without(0 * basis),
        without(basis),
        np.mean([*map(without, random)], axis=0),
    ]
    return {"ablated_nll_at": (("removed", "label"), rows)}
