"""The engine's jobs on a real Dask cluster of processes on this machine."""

import os
import signal
from concurrent.futures import Executor

import keras
import numpy as np
import pytest

from state_gradients.engine import jobs, means

distributed = pytest.importorskip("distributed", reason="needs `make extras`")
V, E, H = 7, 3, 4
N_JOBS = 6
IDS = np.random.default_rng(0).integers(V, size=N_JOBS * jobs.LENGTH)
OPTIONS = {"max_delay": 5, "dtype": "float64", "state": ("hidden", "cell")}


@pytest.fixture(scope="module")
def client():
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def model():
    layers = [keras.layers.Embedding(V, E), keras.layers.LSTM(H)]
    model = keras.Sequential(layers)
    model.build((None, None))
    rng = np.random.default_rng(1)
    for variable in model.variables:
        variable.assign(rng.normal(scale=0.7, size=variable.shape))
    return model


def die_once(mark, function, *arguments):
    """Do a job; the first time, take the worker's process along in the middle of it."""
    done = function(*arguments)
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return done


class Fragile(Executor):
    """An executor that counts its jobs, and whose fourth kills the worker."""

    def __init__(self, inner, mark):
        self.inner, self.mark, self.n_jobs = inner, mark, 0

    def submit(self, function, *arguments):
        self.n_jobs += 1
        if self.n_jobs == 4:
            function, arguments = die_once, (self.mark, function, *arguments)
        return self.inner.submit(function, *arguments)


def assert_same(found, expected):
    np.testing.assert_array_equal(found["n_samples"], expected["n_samples"])
    # the same sums in the same order: what differs is how a product of length H and
    # sums over 64 inputs are vectorised, some 100 roundings of 2^-53
    scale = float(abs(expected["state_gradient"]).max())
    np.testing.assert_allclose(
        found["state_gradient"], expected["state_gradient"], rtol=0, atol=1e-14 * scale
    )


@pytest.mark.slow
def test_a_cluster_gives_the_sums_of_one_process(client, model):
    expected = means.mean_state_gradients(model, IDS, **OPTIONS)
    executor = client.get_executor()
    found = means.mean_state_gradients(model, IDS, executor=executor, **OPTIONS)
    assert_same(found, expected)


@pytest.mark.slow
def test_a_worker_killed_half_way_loses_nothing(client, model, tmp_path):
    expected = means.mean_state_gradients(model, IDS, **OPTIONS)
    before = set(client.run(os.getpid).values())
    executor = Fragile(client.get_executor(), tmp_path / "killed")
    found = means.mean_state_gradients(model, IDS, executor=executor, **OPTIONS)
    assert executor.n_jobs == N_JOBS and executor.mark.exists()
    client.wait_for_workers(2, timeout=60)
    after = set(client.run(os.getpid).values())
    assert len(before & after) == 1, "one worker died"
    assert_same(found, expected)
