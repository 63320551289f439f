"""Networks that remember what is planted in them, with the formula of what that is.

A word is a row of signs, e = s (+-1, .., +-1), and the vocabulary has every such row
once, so that the embedding's covariance is I for s^2 = (V - 1) / V: whitening changes
nothing. (`mixing`, A, puts A e in the place of e, and A^-1 before the network: raw
gradients change, whitened ones must not.) In double precision::

    delay line      h_k = h'_{k-1}, h_0 = e        1 up to the length n, then 0
    leaks           h = a h' + g e                 g_k a_k^tau
    constant gates  c = f c' + tanh(e) / 2         (1 - tanh(s)^2) / 2  f_k^tau
    rotation        h = R h' + e                   1, whatever the angles
    shear           h = a (I + k N) h' + e         see `shear`
    closing gates   c = f(e) c' + tanh(e) / 2,     (1 - tanh(s)^2) / 2  (1 - q)^tau
                    f = 0 at a sign of share q,
                    else 1
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.special import logit

from state_gradients.foundation.loading import load_keras

SHUT = 1000.0  # of a gate's input: in either precision sigmoid gives 0 or 1 exactly
CHANNELS = 4


@dataclass(frozen=True, eq=False)
class Planted:
    """A network, and what is known of it.

    Attributes
    ----------
    name : str
    model : keras.Model
        Embedding -> one recurrent layer, in double precision.
    n_signs : int
        Of a word, the size of the embedding; there are 2^n_signs words.
    formula : callable
        From delays (delay,) to the singular values (delay, component) of the mean state
        gradient over a text without end, in any order.
    rms_formula : callable
        The same of sqrt eig E[G^T G], the root-mean-square singular values.
    """

    name: str
    model: object
    n_signs: int
    formula: Callable[[np.ndarray], np.ndarray]
    rms_formula: Callable[[np.ndarray], np.ndarray]

    def singular_values(self, max_delay, *, rms=False):
        """Return what the formula says, a DataArray (delay, component), largest first.

        Parameters
        ----------
        max_delay : int
        rms : bool
            Whether of the root mean square.
        """
        delays = np.arange(max_delay + 1)
        formula = self.rms_formula if rms else self.formula
        values = np.sort(formula(delays.astype(float)), axis=1)[:, ::-1]
        components = np.arange(1, values.shape[1] + 1)
        coords = {"delay": delays, "component": components}
        return xr.DataArray(values, coords, ("delay", "component"))


def words_of_signs(n_signs):
    """Return the embedding of all 2^n words, (vocabulary, embedding), of covariance I.

    Word k has the signs of its binary digits, the first sign being the first digit.

    Examples
    --------
    >>> from state_gradients.paper.planted.networks import words_of_signs
    >>> words_of_signs(2).round(3)
    array([[-0.866, -0.866],
           [-0.866,  0.866],
           [ 0.866, -0.866],
           [ 0.866,  0.866]])
    """
    n_words = 2**n_signs
    digits = np.arange(n_words)[:, None] >> np.arange(n_signs)[::-1] & 1
    return (2.0 * digits - 1) * np.sqrt((n_words - 1) / n_words)


def text_of(planted, n_tokens, *, seed, share=0.5):
    """Draw a text for a network: words whose signs are independent of each other.

    Parameters
    ----------
    planted : Planted
    n_tokens : int
    seed : int
    share : float
        Of + among the signs behind the first four: those at which gates close.

    Returns
    -------
    ndarray of int, shape (time,)
    """
    rng = np.random.default_rng(seed)
    shares = np.where(np.arange(planted.n_signs) < CHANNELS, 0.5, share)
    digits = rng.random((n_tokens, planted.n_signs)) < shares
    return digits @ 2 ** np.arange(planted.n_signs)[::-1]


def delay_line(length=10, *, channels=CHANNELS, mixing=None):
    """Return a line of `length` steps for each sign: what enters comes out as it was.

    The state has `length` + 1 places a sign. It forgets nothing for `length` words, and
    then all at once.
    """
    kernel = np.eye(channels, channels * (length + 1))
    step = np.eye(channels * (length + 1), k=channels)

    def formula(delay):
        return np.repeat((delay <= length).astype(float)[:, None], channels, axis=1)

    return _linear("delay line", kernel, step, formula, mixing)


def leaky(rates, gains=None, *, mixing=None):
    """Return integrators that leak, one a sign, each at its own rate.

    Parameters
    ----------
    rates : sequence of float
        b of exp(-b tau), a word: a = exp(-b).
    gains : sequence of float, optional
        g, how far a sign moves its integrator; 1 by default.
    mixing : ndarray of shape (sign, sign), optional
    """
    keras = load_keras()
    from state_gradients.models.cells import DiagonalCell

    rates = np.asarray(rates, float)
    gains = np.ones(len(rates)) if gains is None else np.asarray(gains, float)
    cell = DiagonalCell(len(rates), dtype="float64")
    layer = keras.layers.RNN(cell, dtype="float64")

    def formula(delay):
        return gains * np.exp(-np.outer(delay, rates))

    weights = [np.diag(gains), np.zeros(len(rates)), logit(np.exp(-rates))]
    return _planted("leaks", layer, weights, len(rates), formula, mixing=mixing)


def rotation(angles=(0.3, 1.1), *, mixing=None):
    """Return a network that turns its state, two signs in each plane, by fixed angles.

    Whatever enters stays, at its full length and in another direction at each delay.
    """
    step = np.zeros((2 * len(angles), 2 * len(angles)))
    for plane, angle in enumerate(angles):
        cos, sin = np.cos(angle), np.sin(angle)
        at = slice(2 * plane, 2 * plane + 2)
        step[at, at] = [[cos, sin], [-sin, cos]]

    def formula(delay):
        return np.ones((len(delay), len(step)))

    return _linear("rotation", np.eye(len(step)), step, formula, mixing)


def shear(keep=0.85, push=1.0, *, mixing=None):
    r"""Return two leaky units, the first of which pushes the second: J is not normal.

    h_1 = a h_1' + e_1 and h_2 = a (h_2' + k h_1') + e_2, so that J^tau is a^tau times
    (1, 0; k tau, 1). With q = k tau the singular values of the latter are
    sqrt(1 + q^2 / 4) + q / 2 and one over that, for their product is its determinant,
    1, and the sum of their squares that of its entries, 2 + q^2. Both eigenvalues are
    a, below 1, and yet the first grows until about tau = -1 / ln a (Ganguli, Huh and
    Sompolinsky 2008).

    Parameters
    ----------
    keep : float
        a.
    push : float
        k.
    mixing : ndarray of shape (2, 2), optional
    """
    step = keep * np.array([[1.0, push], [0.0, 1.0]])  # (what moves, what follows)

    def formula(delay):
        half = push * delay / 2
        first = np.hypot(1, half) + half
        return keep ** delay[:, None] * np.stack([first, 1 / first], axis=1)

    return _linear("shear", np.eye(2), step, formula, mixing)


def constant_gates(keep=(0.95, 0.9, 0.8, 0.5), *, mixing=None):
    """Return an LSTM whose gates are set: forget gates to `keep`, the others to 1/2.

    Its gates see nothing, so that each unit is a leaky integrator of tanh(e) / 2.
    """
    keep = np.asarray(keep, float)
    weights = _lstm_weights(len(keep), len(keep), forget_bias=logit(keep))

    def formula(delay):
        return _entry(len(keep)) * keep ** delay[:, None]

    return _lstm("constant gates", weights, len(keep), formula, mixing=mixing)


def closing_gates(share=0.1, *, apart=False):
    """Return an LSTM whose forget gates are open, and shut at words of one sign.

    A word's trace stays as it is, until all at once nothing is left of it. The mean
    over a text whose words have that sign with probability q is (1 - q)^tau times what
    entered: the formula of a leak, in a network in which nothing leaks. The mean of the
    squares is the same power, and so the root mean square its root.

    Parameters
    ----------
    share : float
        q.
    apart : bool
        Whether each of the four units has a sign of its own, the fifth to the eighth;
        otherwise the fifth shuts all.
    """
    n_gates = CHANNELS if apart else 1
    n_signs = CHANNELS + n_gates
    weights = _lstm_weights(n_signs, CHANNELS, forget_bias=0.0)
    for unit in range(CHANNELS):
        sign = CHANNELS + (unit if apart else 0)
        weights[0][sign, CHANNELS + unit] = -SHUT

    def kept(delay, power):
        values = _entry(n_signs) * (1 - share) ** (power * delay)
        return np.repeat(values[:, None], CHANNELS, axis=1)

    name = "closing gates, apart" if apart else "closing gates"
    mean, rms = (lambda delay, power=power: kept(delay, power) for power in (1, 0.5))
    return _lstm(name, weights, n_signs, mean, rms_formula=rms)


def _entry(n_signs):
    """Return how far a sign moves a cell state: half the slope of tanh at s."""
    s = np.sqrt(1 - 0.5**n_signs)
    return (1 - np.tanh(s) ** 2) / 2


def _lstm_weights(n_inputs, units, *, forget_bias):
    """Return kernel, recurrent kernel and bias of an LSTM, gates i, f, c, o."""
    kernel = np.zeros((n_inputs, 4 * units))
    kernel[:units, 2 * units : 3 * units] = np.eye(units)
    bias = np.zeros(4 * units)
    bias[units : 2 * units] = forget_bias
    return [kernel, np.zeros((units, 4 * units)), bias]


def _lstm(name, weights, n_signs, formula, **options):
    units = len(weights[1])
    layer = load_keras().layers.LSTM(units, dtype="float64")
    return _planted(name, layer, weights, n_signs, formula, **options)


def _linear(name, kernel, step, formula, mixing):
    layer = load_keras().layers.SimpleRNN(
        len(step), activation="linear", dtype="float64"
    )
    weights = [kernel, step, np.zeros(len(step))]
    return _planted(name, layer, weights, len(kernel), formula, mixing=mixing)


def _planted(name, layer, weights, n_signs, formula, *, rms_formula=None, mixing=None):
    """Return a network of one recurrent layer above the words of signs."""
    keras = load_keras()
    table, (kernel, *others) = words_of_signs(n_signs), weights
    if mixing is not None:
        # x W = e W for x = e A^T and W -> A^-T W, with e and x as rows
        table, kernel = table @ mixing.T, np.linalg.solve(mixing.T, kernel)
    embedding = keras.layers.Embedding(*table.shape, dtype="float64")
    model = keras.Sequential([keras.Input((None,), dtype="int32"), embedding, layer])
    embedding.set_weights([table])
    layer.set_weights([kernel, *others])
    return Planted(name, model, n_signs, formula, rms_formula or formula)
