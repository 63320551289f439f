"""What a model says next, and how a step of its state changes that, in nats.

    p = softmax(K' h + b),  KL(p(h), p(h + d)) = d' F d / 2 + O(d^3)
    F = K (diag p - p p') K' = sum_w p_w r_w r_w',  r_w = K_w - sum_v p_v K_v

F is the Fisher information of the softmax about the state h, and K_w the column of word
w. Of n words drawn from p, F is the mean of r_w r_w': of few, for the sum is over all
words. Words are drawn systematically (Madow 1949), one from each n-th of the cumulated
p, which leaves the mean what it is and draws what is likely as often as it should be.

Below the softmax may stand Dense layers, h = f(h_0), which map r_w to J_f' r_w.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import keras
import numpy as np
from keras import ops
from scipy.special import expit, softmax

from state_gradients.engine import trust
from state_gradients.foundation import backends, checks

AT_A_TIME = 16  # states: what is made of all words is then still in the cache
N_CHECKED = 8  # states whose prediction is held against Keras's own
ACTIVATIONS = {  # of Dense layers below the softmax: value, and slope from the value
    "linear": (lambda z: z, np.ones_like),
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "sigmoid": (expit, lambda a: a * (1 - a)),
    "relu": (lambda z: np.maximum(z, 0), lambda a: (a > 0).astype(a.dtype)),
}


@dataclass(frozen=True, eq=False)
class Readout:
    """The Dense layers between a network's highest output and its softmax.

    Attributes
    ----------
    layers : tuple of (kernel, bias, activation)
        Lowest first; the last gives the logits.
    words : int or "exact"
        How many words are drawn at a position; exact: F itself.
    """

    layers: tuple
    words: int | Literal["exact"]

    def values(self, h):
        """Return what each layer reads of states h (.., units), and the logits."""
        values = [h]
        for kernel, bias, activation in self.layers:
            value, _ = ACTIVATIONS[activation]
            values.append(value(values[-1] @ kernel + bias))
        return values

    def factors(self, h, number):
        """Return R of each state of h (time, units), with F = R' R or its estimate.

        Parameters
        ----------
        h : ndarray of shape (time, units)
        number : int
            Decides what is drawn.

        Returns
        -------
        ndarray of shape (time, row, units)
        """
        offsets = np.zeros((len(h), 1))
        if self.words != "exact":
            rng = np.random.default_rng([number, self.words])
            offsets = rng.random(offsets.shape)
        some = range(AT_A_TIME, len(h), AT_A_TIME)
        pairs = zip(np.split(h, some), np.split(offsets, some), strict=True)
        return np.concatenate([self._factors(*pair) for pair in pairs])

    def _factors(self, h, offsets):
        """Return R of some states; of drawn words the first stands at an offset."""
        *below, logits = self.values(h)
        p = softmax(logits.astype(np.float64), axis=-1)
        if self.words == "exact":
            rows = _roots(p, self._columns)
        else:
            rows = _drawn(p, self._columns, self.words, offsets)
        for (kernel, _, activation), values in zip(
            self.layers[-2::-1], below[:0:-1], strict=True
        ):
            _, slope = ACTIVATIONS[activation]
            rows = (rows * slope(values)[:, None]) @ kernel.T
        return rows.astype(h.dtype)

    @cached_property
    def _columns(self):
        """Return K_w of each word w, (vocabulary, units)."""
        kernel, *_ = self.layers[-1]
        return np.ascontiguousarray(kernel.T)


def _roots(p, columns):
    """Return a square root of each F (time, units, units), by its eigenvectors."""
    columns = columns.astype(np.float64)
    roots = []
    for of_token in p:
        centred = columns - of_token @ columns  # before squares: one p may be near 1
        information = (centred.T * of_token) @ centred
        values, vectors = np.linalg.eigh(information)
        roots.append((vectors * np.sqrt(np.maximum(values, 0))).T)
    return np.array(roots)


def _drawn(p, columns, n_words, offsets):
    """Return r_w / sqrt(n) of n words drawn from each p, (time, n, units)."""
    at = (np.arange(n_words) + offsets) / n_words
    cumulated = np.cumsum(p, axis=-1)
    cumulated /= cumulated[:, -1:]  # to 1, below which each place is found
    pairs = zip(cumulated, at, strict=True)
    words = np.stack([np.searchsorted(*pair, side="right") for pair in pairs])
    words = np.minimum(words, len(columns) - 1)
    mean = p.astype(columns.dtype) @ columns
    return (columns[words] - mean[:, None]) / np.sqrt(columns.dtype.type(n_words))


def read_influence(influence, who):
    """Return how many words are drawn, "exact", or None.

    Raises
    ------
    ValueError
        If it is neither a whole number from 1 on nor "exact".
    """
    if influence is None or checks.is_one_of(influence, ("exact",)):
        return influence
    return checks.whole_number(influence, who, "influence", least=1)


def read_readout(model, network, words):
    """Return what stands between a model's highest recurrent layer and its softmax.

    A last Dense layer without an activation is taken to give the logits of a softmax
    only where it has a number for each word of the model's own embedding: of any other
    output, of a regression, say, nothing tells that there is a softmax above it.

    Parameters
    ----------
    model : keras.Model
    network : network.Network
        Read from it, with all its layers, and its output if that is no state.
    words : int or "exact"

    Raises
    ------
    ValueError
        If that is anything but Dense layers with the activations of `ACTIVATIONS`, or
        does not lead to a softmax over the model's output, or if Keras's own prediction
        is another.
    """
    path = trust.above(model, n_layers=len(network.cells), words=network.reads_words)
    layers, softmax_at = [], None
    for place, layer in enumerate(path):
        if type(layer) in trust.TRANSPARENT:
            continue
        if softmax_at is not None:
            _refuse("end with the softmax", layer)
        if type(layer) is keras.layers.Softmax or _is_softmax(layer):
            softmax_at = place
        if type(layer) in trust.DENSE:
            layers.append(_dense(layer, network.table.dtype))
        elif softmax_at is None:
            _refuse("have only Dense layers between its states and its softmax", layer)
    if not layers:
        _refuse("have a Dense layer above its states, which gives logits", *path)
    kernel, bias, activation = layers[-1]
    is_logits = activation == "linear" and kernel.shape[1] == len(network.table)
    if softmax_at is None and not is_logits:
        _refuse(
            "end with a softmax, or with its logits, one for each word of its "
            "embedding (add a keras.layers.Softmax if these are others')",
            path[-1],
        )
    readout = Readout((*layers[:-1], (kernel, bias, "linear")), words)
    _require_same_prediction(path, network, readout, softmax_at is not None)
    return readout


def _is_softmax(layer):
    inner = layer.layer if type(layer) is keras.layers.TimeDistributed else layer
    return getattr(inner, "activation", None) is keras.activations.softmax


def _dense(layer, dtype):
    """Return kernel, bias and activation of a Dense layer, or refuse it."""
    trust.require_dense(layer)
    inner = layer.layer if type(layer) is keras.layers.TimeDistributed else layer
    name = keras.activations.serialize(inner.activation)
    if name != "softmax" and name not in ACTIVATIONS:
        _refuse(f"have activations among {[*ACTIVATIONS]} below its softmax", layer)
    kernel = ops.convert_to_numpy(inner.kernel).astype(dtype)
    bias = np.zeros(kernel.shape[1], dtype)
    if inner.bias is not None:
        bias = ops.convert_to_numpy(inner.bias).astype(dtype)
    return kernel, bias, name


def _require_same_prediction(path, network, readout, has_softmax):
    """Refuse layers that Keras runs differently from what was read of them."""
    last = network.cells[-1]
    rng = np.random.default_rng(1)
    h = rng.uniform(-1, 1, (N_CHECKED, last.sizes[last.output]))
    h = h.astype(network.table.dtype)
    x = ops.convert_to_tensor(h[None].astype("float32"))
    with backends.full_float32():
        for layer in path:
            x = layer(x, training=False)
    theirs = ops.convert_to_numpy(x)[0]
    ours = readout.values(h)[-1]
    ours = softmax(ours, axis=-1) if has_softmax else ours
    error = np.abs(ours - theirs).max() / np.abs(theirs).max()
    if not error <= 1e-4:
        _refuse(f"predict what was read of it; it differs by {error:.2g}", *path)


def _refuse(must, *layers):
    trust.refuse(f"{must}, for `influence`", layers)
