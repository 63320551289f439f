"""The three-bit flip-flop of Sussillo and Barak (2013): trials of pulses, no words.

Each of three channels is 0 but for pulses of height 1 or -1. What must be said at
every step is, of each channel, its last pulse::

    target_t = input_t  where there is a pulse,  else target_(t-1),

so that of every channel one bit must be remembered, until its next pulse, however long
that takes, and of all else nothing. At the first step of a trial each channel has a
pulse.
"""

import hashlib
import json
from dataclasses import dataclass

import numpy as np

from state_gradients.foundation import settings

NAME = settings.FLIP_FLOP  # of the corpus
RECIPE = 1  # raise it when the same settings give other trials
CHANNELS = 3
RATE = 0.1  # pulses a step and channel in training: one in ten steps
GAPS = 5, 10, 20, 40, 80  # steps from pulse to pulse where memory is measured
N_TRIALS = {"train": 1024, "test": 64}  # of an epoch; of the measurement
TEST_STEPS = 400  # of a trial: five of the longest gaps
NONE = 0  # no pulse follows


@dataclass(frozen=True, eq=False)
class Trials:
    """What a network reads and what it must say.

    Attributes
    ----------
    inputs, targets : ndarrays of float32, shape (trial, time, channel)
    """

    inputs: np.ndarray
    targets: np.ndarray


def training_trials(corpus, n_steps, epoch):
    """Return the trials of one epoch of training; no two epochs have the same.

    Pulses come at `RATE`, whatever went before.

    Parameters
    ----------
    corpus : state_gradients.foundation.settings.Corpus
        Of which the seed counts.
    n_steps : int
    epoch : int
        From 1.
    """
    rng = np.random.default_rng([corpus.seed, 0, epoch])
    gaps = rng.geometric(RATE, size=(N_TRIALS["train"], n_steps, CHANNELS))
    return _trials(gaps, n_steps, rng)


def test_trials(corpus):
    """Return the trials on which a network is measured.

    From pulse to pulse there are as many steps as one of `GAPS`, all equally likely, in
    each channel by itself.
    """
    rng = np.random.default_rng([corpus.seed, 1])
    gaps = rng.choice(GAPS, size=(N_TRIALS["test"], TEST_STEPS, CHANNELS))
    return _trials(gaps, TEST_STEPS, rng)


test_trials.__test__ = False  # no test of pytest's


def _trials(gaps, n_steps, rng):
    """Return trials whose channels have a pulse at 0, then after each of `gaps`."""
    later = np.cumsum(gaps, axis=1)
    trial, _, channel = np.nonzero(later < n_steps)
    has_pulse = np.zeros(gaps.shape, bool)
    has_pulse[:, 0] = True
    has_pulse[trial, later[later < n_steps], channel] = True
    inputs = has_pulse * rng.choice([-1, 1], size=gaps.shape).astype(np.float32)
    return Trials(inputs=inputs, targets=last_pulses(inputs))


def last_pulses(inputs):
    """Return each channel's last pulse at every step, 0 before the first.

    Parameters
    ----------
    inputs : ndarray of shape (trial, time, channel)
    """
    steps = np.arange(inputs.shape[1])[:, None]
    last = np.maximum.accumulate(np.where(inputs != 0, steps, 0), axis=1)
    return np.take_along_axis(inputs, last, axis=1)


def steps_to_next(inputs):
    """Return how many steps on each channel's next pulse comes, `NONE` if none does.

    Parameters
    ----------
    inputs : ndarray of shape (trial, time, channel)

    Returns
    -------
    ndarray of int of the same shape
    """
    n_steps = inputs.shape[1]
    steps = np.arange(n_steps)[:, None]
    never = 2 * n_steps
    of_pulse = np.where(inputs != 0, steps, never)
    later = np.full(inputs.shape, never)
    later[:, :-1] = np.minimum.accumulate(of_pulse[:, :0:-1], axis=1)[:, ::-1]
    return np.where(later == never, NONE, later - steps)


def fingerprint(corpus):
    """Return a SHA-256 of what decides the trials: recipe, rates, seed and sizes."""
    made_by = {
        "recipe": RECIPE,
        "channels": CHANNELS,
        "rate": RATE,
        "gaps": GAPS,
        "seed": corpus.seed,
        "sizes": N_TRIALS | {"steps": TEST_STEPS},
    }
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()
