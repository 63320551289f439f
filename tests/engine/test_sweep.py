"""Jobs side by side, compiled for an accelerator: as exact as alone, in full float32.

There is no accelerator here: what one would be asked for is read from the program.
"""

import re

import keras
import numpy as np
import pytest
from engine.test_means import V, build
from keras import ops

from state_gradients.engine import capacity, jobs, sums, sweep
from state_gradients.engine.means import mean_state_gradients
from state_gradients.engine.network import read_network
from state_gradients.foundation import backends

ON_JAX = keras.backend.backend() == "jax"
DELAY = 6
IDS = np.random.default_rng(11).integers(V, size=3 * sums.FLUSH + 5)


def a_job(model, n_tokens=40):
    network = read_network(model)
    request = jobs.Request(max_delay=DELAY, state_indices=(0,))
    ids = [IDS[:n_tokens]]
    stretches = [np.zeros(n_tokens, int)]
    ((_, job),) = jobs.cut(network, ids, stretches, None, request)
    return job


def asked(monkeypatch, plan, model, ids, **options):
    """Return the mean by the sweep with a plan."""
    monkeypatch.setattr(capacity, "plan", lambda job: plan)
    return mean_state_gradients(
        model, ids, max_delay=DELAY, engine="sweep", second_moment=True, **options
    )


# 5 texts of unequal length in 3 lanes: two calls, the last lane of which stays empty
UNEQUAL = [IDS[:70], IDS[70:75], IDS[75:140], IDS[140:], IDS[:20]]
PLANS = [
    capacity.Plan(lanes=3, block=16, jit=False),
    capacity.Plan(lanes=3, block=64, jit=True),
    capacity.Plan(lanes=8, block=1, jit=True),
]


@pytest.mark.parametrize("plan", PLANS, ids=str)
@pytest.mark.parametrize("names", [("lstm",), ("gru", "rnn"), ("leaky",)], ids=str)
def test_jobs_side_by_side_have_the_sums_that_each_has_alone(names, plan, monkeypatch):
    model = build(*names)
    groups = np.array([[1, 1, 0, 0, 1, 0, 0], [0, 1, 1, 0, 0, 0, 1]], bool)
    options = {"layer": len(names), "groups": groups}
    found = asked(monkeypatch, plan, model, UNEQUAL, **options)
    reference = mean_state_gradients(
        model, UNEQUAL, max_delay=DELAY, engine="tiles", second_moment=True, **options
    )
    np.testing.assert_array_equal(found.n_samples, reference.n_samples)
    for name in ("state_gradient", "second_moment"):
        scale = float(abs(reference[name]).max())
        # 64 float32 additions and a few products: below 100 * 2^-24 of the largest
        np.testing.assert_allclose(
            found[name], reference[name], rtol=0, atol=6e-6 * scale
        )


def test_sums_over_many_blocks_are_as_exact_as_in_double():
    """Large terms that cancel: float32 alone would keep nothing of the small one."""
    rng = np.random.default_rng(0)
    large = rng.normal(size=1000).astype(np.float32) * 1e4
    parts = np.concatenate([large, -large, [np.float32(1 / 3)]]).astype(np.float32)
    rng.shuffle(parts)
    exact = parts.astype(np.float64).sum()
    total = (ops.zeros((1,)), ops.zeros((1,)))
    add = backends.compiled(sweep._added, jit=True)
    for part in parts[:, None]:
        total = add(total, part)
    high, low = (float(ops.convert_to_numpy(half)[0]) for half in total)
    # the lost parts, each below 2^-24 of 1e6, add up in float32: 2000 * 2^-24 of them
    assert high + low == pytest.approx(exact, abs=2e-5)
    in_single = np.float32(0)
    for part in parts:
        in_single += part
    assert abs(in_single - exact) > 1e-3


def test_models_of_the_same_sizes_share_a_program():
    sweep._compiled.cache_clear()
    for seed in (1, 2, 3):
        mean_state_gradients(
            build("lstm", seed=seed), IDS[:30], max_delay=DELAY, engine="sweep"
        )
    assert sweep._compiled.cache_info().misses == 1
    mean_state_gradients(build("gru"), IDS[:30], max_delay=DELAY, engine="sweep")
    assert sweep._compiled.cache_info().misses == 2


# Precision


def program(job, plan):
    """Return the text of the program that is handed to XLA."""
    function, arguments = sweep._arguments(job, plan)
    if ON_JAX:
        return function.lower(*arguments).as_text()
    keras.utils.set_random_seed(1)  # TensorFlow draws a number to find its device
    with backends.full_float32():
        ask = function.__wrapped__.experimental_get_compiler_ir(*arguments)
        return ask("hlo", platform_name="CPU")


@pytest.mark.parametrize("names", [("lstm",), ("gru", "rnn")], ids=str)
def test_every_product_of_the_sweep_is_asked_for_in_full(names):
    job = a_job(build(*names))
    plan = capacity.Plan(lanes=2, block=8, jit=True)
    products = re.findall(r".*=.*\b(?:dot|dot_general)\b.*", program(job, plan))
    assert len(products) >= 2  # at least J's of the loop
    for line in products:
        assert re.search(r"highest, ?highest|HIGHEST, HIGHEST", line), line


def test_what_keras_does_is_checked_in_full(monkeypatch):
    """Its own layer would round the factors on a GPU, and seem to do another thing."""
    seen = []
    call = keras.layers.LSTM.call

    def watched(self, *arguments, **options):
        seen.append(in_full())
        return call(self, *arguments, **options)

    model = build("lstm")
    monkeypatch.setattr(keras.layers.LSTM, "call", watched)
    assert not in_full()
    read_network(model)
    assert seen == [True]


def in_full():
    """Return whether the backend would multiply float32 in full on a GPU."""
    if ON_JAX:
        from jax.experimental import rnn

        return not rnn._lstm_cudnn_allow_tf32(None)  # what cuDNN's LSTM is told
    import tensorflow as tf

    return not tf.config.experimental.tensor_float_32_execution_enabled()


# Which engine runs


@pytest.fixture
def small_device(monkeypatch):
    """Returns a function that gives the backend an accelerator with so many bytes."""

    def with_bytes(n_bytes):
        monkeypatch.setattr(backends, "accelerators", lambda: ["a device"])
        monkeypatch.setattr(backends, "free_memory", lambda: n_bytes)

    ran = []
    run = sweep.run
    monkeypatch.setattr(sweep, "run", lambda *a: (ran.append(a[1]), run(*a))[1])
    with_bytes.ran = ran
    return with_bytes


def ask(**options):
    return mean_state_gradients(build("lstm"), IDS[:30], max_delay=DELAY, **options)


def test_an_accelerator_runs_the_sweep_where_it_has_memory_for_it(small_device):
    reference = ask()
    small_device(1e9)
    found = ask()
    (plan,) = small_device.ran
    assert (plan.lanes, plan.jit) == (capacity.MOST_LANES, True)
    np.testing.assert_allclose(
        found.state_gradient, reference.state_gradient, rtol=0, atol=1e-6
    )
    small_device(1e3)
    assert ask().equals(reference)  # the tiles
    assert len(small_device.ran) == 1
    with pytest.raises(ValueError, match=r"the device must have .* GB free"):
        ask(engine="sweep")


def test_a_tolerance_runs_in_the_tiles_on_an_accelerator_too(small_device):
    small_device(1e9)
    found = ask(tolerance=1e-3)
    assert "tolerance_error" in found
    assert small_device.ran == []


def test_the_sweep_refuses_double_precision_that_the_backend_lacks(
    monkeypatch, small_device
):
    small_device(1e9)
    monkeypatch.setattr(backends, "supports", lambda dtype: dtype == "float32")
    with pytest.raises(ValueError, match="must compute in float64; set JAX_ENABLE_X64"):
        ask(engine="sweep", dtype="float64")
    assert ask(dtype="float64").state_gradient.dtype == np.float64  # the tiles
    assert small_device.ran == []
