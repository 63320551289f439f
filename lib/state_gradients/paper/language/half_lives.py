"""How long single units hold what they hold: half-lives, from the gates over a text.

A gated or diagonal cell multiplies what unit u holds by a factor at every token, and
adds to it. Over a text its geometric mean, and the tokens that leave a half, are::

    a_u = exp(mean over t of ln a_u(t)),    half-life = ln 2 / -mean over t of ln a_u(t)

The factor is what the cell's differential passes from the unit to itself alone:

- LSTM, of the cell: the forget gate f; GRU: the update gate z (Keras's, of the old);
- minGRU: 1 - z; minLSTM: f / (f + i); LRU: abs(Lambda); S6: exp(delta A);
- sLSTM, of cell and normaliser: v = f n' / n, the share of the old in the mean that
  c / n is. The gate f itself is known only but for the stabiliser, v without it.

What comes back to a unit through a recurrent matrix is left out: of a simple RNN that
is everything. Before the first token nothing is held, and it does not count. The same
is measured of the network before it was trained: what a unit holds for may have been
given to it, and not learnt.
"""

import numpy as np
import xarray as xr

from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.paper.language.learning import untrained

MOST_TOKENS = (
    10_000  # of the text: means over them, for two networks, in a minute or so
)
AT_ONCE = 256  # tokens whose factors are held together
# What the variables of the artifact mean: (long name, units, equation)
MEANING = {
    "decay": ("geometric mean of the factor of a token", "1", "exp(mean ln a)"),
    "half_life": ("tokens that leave a half", "tokens", "ln 2 / -mean ln a"),
    "n_tokens": ("tokens averaged over", "1", "count"),
}
MISSING = {"half_life": "infinite: of a unit that never forgets"}


def study(subject):
    """Measure how long the units of the lowest layer hold what they hold.

    Parameters
    ----------
    subject : state_gradients.paper.language.subject.Subject

    Returns
    -------
    dict of str to xarray.Dataset
        ``half_lives``: ``decay`` and ``half_life`` (network, state_kind, unit), of the
        untrained and the trained network and the states that pass themselves on, and
        ``n_tokens``. An LRU's unit is a complex number.

    Raises
    ------
    ValueError
        If no state of the network does so.
    """
    load_keras()
    models = {"untrained": untrained(subject), "trained": subject.model}
    ids = subject.ids[:MOST_TOKENS]
    means = {name: mean_logarithms(model, ids) for name, model in models.items()}
    return {"half_lives": _described(means, len(ids) - 1)}


def mean_logarithms(model, ids):
    """Return the mean of ln a over a text, of each unit of the lowest layer.

    Parameters
    ----------
    model : keras.Model
    ids : ndarray of int, shape (time,)

    Returns
    -------
    dict of str to ndarray of shape (unit,)
        By state, those that pass themselves on.

    Raises
    ------
    ValueError
        As :func:`factors_of`.
    """
    from state_gradients.engine.network import read_network

    network = read_network(model, dtype="float64").without_last_output()
    sums = {}
    with np.errstate(
        divide="ignore"
    ):  # a gate that is shut: ln 0, and a half-life of 0
        for factors in factors_of(network, ids):
            for name, values in factors.items():
                sums[name] = sums.get(name, 0) + np.log(values).sum(axis=0)
    return {name: values / (len(ids) - 1) for name, values in sums.items()}


def factors_of(network, ids):
    """Yield what each unit keeps of itself, of the tokens after the first, in turn.

    Parameters
    ----------
    network : state_gradients.engine.network.Network
        Of one cell.
    ids : ndarray of int, shape (time,)

    Yields
    ------
    dict of str to ndarray of shape (token, unit)
        By state, those that pass themselves on; at most `AT_ONCE` tokens.

    Raises
    ------
    ValueError
        If there are none, or the text has a single token.
    """
    if len(ids) < 2:
        raise ValueError(
            "half-lives: a text must have two tokens or more, for before the first "
            f"nothing is held; received {len(ids)}."
        )
    (cell,) = network.cells
    _, states = network.run(ids[:1], network.zero_states())
    for start in range(1, len(ids), AT_ONCE):
        (trace,), states = network.run(ids[start : start + AT_ONCE], states)
        x, *before = trace
        by_token = [
            _own_factors(make().diagonal) for make in cell.differentials(x, before)
        ]
        if not by_token[0]:
            raise ValueError(
                "half-lives: the cell must pass on a state of its own by a factor, and "
                f"not by a matrix alone, received states {list(cell.names)} without; "
                "a simple RNN, and a cell that the engine differentiates, have none."
            )
        yield {
            cell.names[k]: np.stack([factors[k] for factors in by_token])
            for k in by_token[0]
        }


def _own_factors(diagonal):
    """Return by what each state multiplies itself, |a| (unit,), where it does.

    Of complex numbers, whose halves are real and imaginary parts, h -> Lambda h is a
    straight term Re Lambda and a turned one -+ Im Lambda.
    """
    factors = {}
    for state, terms in enumerate(diagonal):
        own = [term for term in terms if term.state == state]
        straight = [term.scale for term in own if not term.turned]
        turned = [term.scale for term in own if term.turned]
        if turned:
            parts = np.hypot(straight[0], turned[0])
            factors[state] = parts[: len(parts) // 2]
        elif straight:
            factors[state] = np.abs(straight[0])
    return factors


def _described(means, n_tokens):
    """Return the artifact from the means of ln a, by network and state."""
    states = [*means["trained"]]
    mean = np.stack([[one[state] for state in states] for one in means.values()])
    with np.errstate(divide="ignore"):
        half_lives = np.log(2) / (0.0 - mean)  # of a mean of 0, +inf and not -inf
    dims = "network", "state_kind", "unit"
    found = xr.Dataset(
        {
            "decay": (dims, np.exp(mean).astype(np.float32)),
            "half_life": (dims, half_lives.astype(np.float32)),
            "n_tokens": n_tokens,
        },
        coords={"network": [*means], "state_kind": states},
    )
    for name in MEANING:
        found[name].attrs = about(name, meaning=MEANING)
        if name in MISSING:
            found[name].attrs["missing"] = MISSING[name]
    return found
