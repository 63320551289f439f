"""What a network holds of a pulse, by time since the pulse, and until the next.

Inputs are sorted by channel and by how many steps on the channel's next pulse comes. Of
each group, with e_c the channel's own input::

    memory      ||mean G_tau e_c||,   sqrt(mean ||G_tau e_c||^2),   G = dh_(t+tau)/dx_t
    turned      mean ||h'_(t+tau) - h_(t+tau)|| / |x'_t - x_t|

the first for a change without size, the second for a whole one: the pulse turned round.
Beside the pulses stand steps at which the channel has none, where the change is a tenth
of a pulse.
"""

import numpy as np
import xarray as xr

from state_gradients.foundation.labels import about
from state_gradients.text import flipflop

NO_PULSE = "no pulse"  # the group of steps without one, `NO_PULSE_BEFORE` the next
NO_PULSE_BEFORE = 40
DISTURBANCE = 0.1  # of a step without a pulse; a pulse has the height 1
N_PLACES = 60  # turned round at most, of each group and channel
GROUPS = [*map(str, flipflop.GAPS), NO_PULSE]
MEANING = {
    "memory": (
        "memory of the channel's input: length of the mean gradient's column",
        "state unit / pulse",
        "||mean G e_c||",
    ),
    "rms_memory": (
        "root mean square of that column's length",
        "state unit / pulse",
        "sqrt(mean ||G e_c||^2)",
    ),
    "said_memory": (
        "mean derivative of what is said of the channel",
        "1 / pulse",
        "k_c . mean G e_c",
    ),
    "n_samples": ("inputs averaged over", "1", "count"),
    "turned": (
        "what a whole change of the input does to the state",
        "state unit / pulse",
        "mean ||h' - h|| / |x' - x|",
    ),
    "bit_turned": (
        "share of the places at which the channel's bit is said otherwise",
        "1",
        "y y' < 0",
    ),
    "n_turned": ("inputs changed", "1", "count"),
}


def places_of(inputs, max_delay):
    """Return which inputs are in which group, for every channel.

    An input counts if it has the same next pulse as the others of its group, and if the
    trial goes on for `max_delay` steps: so that all delays are of the same inputs.

    Parameters
    ----------
    inputs : ndarray of shape (trial, time, channel)
    max_delay : int

    Returns
    -------
    ndarray of bool, shape (group, channel, trial, time)
    """
    steps = flipflop.steps_to_next(inputs)
    has_pulse = inputs != 0
    masks = [has_pulse & (steps == gap) for gap in flipflop.GAPS]
    masks.append(~has_pulse & (steps == NO_PULSE_BEFORE))
    found = np.moveaxis(np.array(masks), -1, 1)
    found[..., 0] = False  # every channel begins with a pulse, out of the zero state
    found[..., inputs.shape[1] - max_delay :] = False
    return found


def gradients(model, readout, inputs, places, *, max_delay):
    """Return the memory of each group's input, by delay.

    Parameters
    ----------
    model : keras.Model
    readout : ndarray of shape (unit, channel)
        The kernel of what is said.
    inputs : ndarray of shape (trial, time, channel)
    places : ndarray of bool, shape (group, channel, trial, time)
    max_delay : int

    Returns
    -------
    xarray.Dataset
        ``memory``, ``rms_memory``, ``said_memory`` (group, channel, delay) and
        ``n_samples`` (group, channel); of `MEANING`.
    """
    from state_gradients.engine.means import mean_state_gradients

    n_groups, n_channels = places.shape[:2]
    means = mean_state_gradients(
        model,
        inputs=inputs,
        max_delay=max_delay,
        positions=places.reshape(-1, *places.shape[2:]),
        second_moment=True,
    )
    shape = n_groups, n_channels, max_delay + 1
    gradient = means["state_gradient"].values.reshape(*shape, -1, n_channels)
    moment = means["second_moment"].values.reshape(*shape, n_channels, n_channels)
    own = np.arange(n_channels)
    column = gradient[:, own, :, :, own]  # (channel, group, delay, state)
    square = moment[:, own, :, own, own]  # (channel, group, delay)
    dims = "group", "channel", "delay"
    found = {
        "memory": (dims, np.linalg.norm(column, axis=-1).swapaxes(0, 1)),
        "rms_memory": (dims, np.sqrt(square).swapaxes(0, 1)),
        "said_memory": (dims, np.einsum("cgds,sc->gcd", column, readout)),
        "n_samples": (dims[:2], places.sum(axis=(2, 3))),
    }
    return _described(found, max_delay)


def states_of(cell, inputs):
    """Return the states after every step, from the zero state, (time, trial, unit)."""
    by_time = inputs.swapaxes(0, 1).astype(np.float64)
    return cell.run(by_time, (np.zeros((len(inputs), cell.sizes[0])),))[0]


def turned(cell, readout, inputs, places, *, max_delay, seed):
    """Return what it does to state and readout to turn a pulse round.

    Parameters
    ----------
    cell : state_gradients.engine.readers.ClosedForm
        In float64.
    readout : tuple of ndarray
        Kernel (unit, channel) and bias (channel,).
    inputs : ndarray of shape (trial, time, channel)
    places : ndarray of bool, shape (group, channel, trial, time)
    max_delay : int
    seed : int
        Decides which `N_PLACES` of a group are changed.

    Returns
    -------
    xarray.Dataset
        ``turned``, ``bit_turned`` (group, channel, delay) and ``n_turned`` (group,
        channel); of `MEANING`.
    """
    rng = np.random.default_rng(seed)
    by_time = inputs.swapaxes(0, 1).astype(np.float64)
    states = states_of(cell, inputs)
    shape = (*places.shape[:2], max_delay + 1)
    change, bit = np.empty(shape), np.empty(shape)
    count = np.empty(shape[:2], int)
    for group, channel in np.ndindex(*shape[:2]):
        trial, time = np.nonzero(places[group, channel])
        chosen = rng.permutation(len(trial))[:N_PLACES]
        trial, time = trial[chosen], time[chosen]
        span = time + np.arange(max_delay + 1)[:, None]  # (delay, place)
        x = by_time[span, trial]  # (delay, place, channel)
        other = x.copy()
        is_pulse = GROUPS[group] != NO_PULSE
        other[0, :, channel] = -x[0, :, channel] if is_pulse else DISTURBANCE
        size = np.abs(other[0, :, channel] - x[0, :, channel])
        before = states[time - 1, trial]
        after, otherwise = (cell.run(each, (before,))[0] for each in (x, other))
        change[group, channel] = (
            np.linalg.norm(otherwise - after, axis=-1) / size
        ).mean(axis=1)
        said, said_otherwise = (
            h @ readout[0][:, channel] + readout[1][channel] for h in (after, otherwise)
        )
        bit[group, channel] = (said * said_otherwise < 0).mean(axis=1)
        count[group, channel] = len(chosen)
    dims = "group", "channel", "delay"
    found = {
        "turned": (dims, change),
        "bit_turned": (dims, bit),
        "n_turned": (dims[:2], count),
    }
    return _described(found, max_delay)


def over_channels(found):
    """Return curves as their means over the channels, which are alike; counts stay."""
    curves = [name for name in found if "delay" in found[name].dims]
    return found.assign(found[curves].mean("channel", keep_attrs=True))


def _described(variables, max_delay):
    coords = {"group": GROUPS, "delay": np.arange(max_delay + 1)}
    found = xr.Dataset(variables, coords=coords)
    for name, (_, values) in variables.items():
        if values.dtype.kind == "f":
            found[name] = found[name].astype(np.float32)
    for name in variables:
        found[name].attrs = about(name, meaning=MEANING)
    return found
