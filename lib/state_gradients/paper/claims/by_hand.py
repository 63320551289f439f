"""An LSTM in NumPy, written apart from the engine, for what no artifact holds.

    z = e W + h' U + b, in Keras's order i, f, a, o
    c = f c' + i a,  h = o tanh(c);  i, f, o sigmoid, a tanh of their part of z

It reads words that are drawn one by one with their training frequencies, for the read
half of the project holds no text.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import expit


class Weights(NamedTuple):
    """Kernels and bias of an LSTM, float64."""

    kernel: np.ndarray  # (in, 4 units)
    recurrent_kernel: np.ndarray  # (units, 4 units)
    bias: np.ndarray  # (4 units,)


class Step(NamedTuple):
    """Gates and states after a word, each (..., units)."""

    i: np.ndarray
    f: np.ndarray
    a: np.ndarray
    o: np.ndarray
    h: np.ndarray
    c: np.ndarray


def lstm_of(encoder):
    """Return the weights of the first recurrent layer of an artifact ``encoder``."""
    return Weights(
        *(
            encoder[f"recurrent_1.{name}"].values.astype(np.float64)
            for name in Weights._fields
        )
    )


def drawn_words(encoder, n, *, seed):
    """Return ids of `n` words, drawn with their frequencies in the training text."""
    counts = encoder["count"].values
    rng = np.random.default_rng(seed)
    return rng.choice(len(counts), size=n, p=counts / counts.sum())


def step(network, embedded, h, c):
    """Return the :class:`Step` at a word (..., in) after states (units,)."""
    z = embedded @ network.kernel + h @ network.recurrent_kernel + network.bias
    i, f, a, o = np.split(z, 4, axis=-1)
    i, f, a, o = expit(i), expit(f), np.tanh(a), expit(o)
    after = f * c + i * a
    return Step(i, f, a, o, o * np.tanh(after), after)


def run(network, embedded):
    """Return the steps at words (time, in), from the zero state."""
    steps = []
    h = c = np.zeros(len(network.recurrent_kernel))
    for word in embedded:
        steps.append(step(network, word, h, c))
        h, c = steps[-1].h, steps[-1].c
    return steps


def cell_gradient(network, now, before):
    """Return dc/de of the word that was read last, (units, in).

    dc = c' f(1-f) dz_f + a i(1-i) dz_i + i (1-a^2) dz_a, with dz = de W.
    """
    of_i, of_f, of_a, _ = np.split(network.kernel, 4, axis=-1)
    return (
        of_i * (now.a * now.i * (1 - now.i))
        + of_f * (before.c * now.f * (1 - now.f))
        + of_a * (now.i * (1 - now.a**2))
    ).T
