"""Measure the engine against the machine's own matrix products and its peers.

All in one run on the same inputs: an LSTM of 256 units on embeddings of 64, delays
0..50, float32. The floor is the engine's two (units x units) products a token at the
product rate measured in this run. Peers compute the same Jacobians over one window:
``GradientTape.batch_jacobian``, one backward pass per state component (the way of the
paper's released code), and ``jax.jacrev`` where JAX is installed.

    python benchmarks/bench.py        # or: make bench; writes _build/bench.json
"""

import importlib.util
import json
import os
import platform
import resource
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from state_gradients import batching, config, gradients, models, training

V, E, H, DELAY = 10_000, 64, 256, 50
MODEL = config.Model(units=H, embedding_size=E)
FLOPS = 2 * (2 * H) * H * E * (DELAY + 1)  # a token: two H x H products on the block


def seconds(call, *, repeat=3):
    """Return the median wall time of a call, after one that warms up."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def product_gflops():
    """Return the float32 rate of the engine's own product, (2 H, H) by (H, columns)."""
    rng = np.random.default_rng(0)
    a = tf.constant(rng.normal(size=(2 * H, H)), tf.float32)
    b = tf.constant(rng.normal(size=(H, E * (DELAY + 1))), tf.float32)

    @tf.function
    def many():
        total = tf.zeros((2 * H, E * (DELAY + 1)))
        for _ in tf.range(50):
            total = tf.matmul(a, b)
        return total

    return 50 * FLOPS / seconds(many) / 1e9


def engine(model, ids, *, max_delay=DELAY):
    """Return milliseconds a token of the engine."""

    def call():
        gradients.mean_state_gradients(model, ids, max_delay=max_delay)

    return 1e3 * seconds(call) / len(ids)


def window_cell(layer, embedded):
    """Unroll the layer over one window and return its last cell state (1, units)."""
    state = layer.cell.get_initial_state(batch_size=1)
    for e in tf.unstack(embedded, axis=1):
        _, state = layer.cell(e, state)
    return state[1]


def batch_jacobian(layer, embedded):
    """Return milliseconds a token: one Jacobian of the last state per window."""

    @tf.function
    def call():
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            cell = window_cell(layer, embedded)
        return tape.batch_jacobian(cell, embedded)

    return 1e3 * seconds(call)


def per_component(layer, embedded):
    """Return milliseconds a token: a forward and a backward pass per component."""

    @tf.function
    def call(component):
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            value = window_cell(layer, embedded)[0, component]
        return tape.gradient(value, embedded)

    return 1e3 * H * seconds(lambda: call(tf.constant(3)))


def jax_jacrev(layer, embedded):
    """Return milliseconds a token of ``jax.jacrev`` under jit, or None without JAX."""
    if importlib.util.find_spec("jax") is None:
        return None
    import jax
    import jax.numpy as jnp

    w, u, b = (jnp.asarray(x) for x in layer.get_weights())

    def last_cell(window):
        def step(state, e):
            h, c = state
            i, f, g, o = jnp.split(e @ w + h @ u + b, 4)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        return jax.lax.scan(step, (jnp.zeros(H), jnp.zeros(H)), window)[0][1]

    jacobian = jax.jit(jax.jacrev(last_cell))
    window = jnp.asarray(embedded[0])
    return 1e3 * seconds(lambda: jacobian(window).block_until_ready())


def train_batch():
    """Return seconds a batch of 20 x 200: our step, and a plain Keras ``fit``."""
    experiment = config.Experiment(name="bench", model=MODEL)
    settings = experiment.training
    rng = np.random.default_rng(0)
    ids = rng.integers(V, size=settings.batch_size * (settings.num_steps + 1))
    window = next(batching.windows(ids, settings.batch_size, settings.num_steps))
    model = models.build_language_model(MODEL, V)
    step = training._training_step(model, settings)
    values = [v.value for v in model.trainable_variables]
    masks = training.dropout_masks(experiment, 1, 0)
    states = models.zero_states(model, settings.batch_size)

    def ours():
        float(step(values, [], np.float32(1), *window, states, masks)[-1])

    keras.utils.set_random_seed(0)  # our step has asked for determinism
    plain = models.build_language_model(replace(MODEL, dropout=0.5), V)
    plain.compile(
        keras.optimizers.SGD(1.0, global_clipnorm=5.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def fit():
        plain.fit(*window, batch_size=settings.batch_size, verbose=0)

    return seconds(ours), seconds(fit)


def main():
    """Run everything and write ``_build/bench.json``."""
    rng = np.random.default_rng(0)
    ids = rng.integers(V, size=512)
    model = models.build_language_model(MODEL, V, seed=1)
    layer = models.recurrent_layers(model)[0]
    table = model.get_layer("embedding").get_weights()[0]
    embedded = tf.constant(table[ids[None, : DELAY + 1]])

    rate = product_gflops()
    ours = engine(model, ids)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "date": time.strftime("%Y-%m-%d"),
        "product_gflops": rate,
        "engine": {
            "ms_per_token": ours,
            "share": FLOPS / (rate * 1e9) / (ours / 1e3),
            "peak_mb": peak,
        },
        "peers": {},
        "growth": {
            "tokens": engine(model, np.tile(ids, 2)) / ours,
            "delays": engine(model, ids, max_delay=DELAY // 2) / ours,
        },
    }
    for peer in (batch_jacobian, per_component, jax_jacrev):
        found = peer(layer, embedded)
        result["peers"][peer.__name__] = (
            "skipped: not installed"
            if found is None
            else {"ms_per_token": found, "ratio": found / ours}
        )
    step, fit = train_batch()
    result["training"] = {"seconds_per_batch": step, "keras_fit_seconds_per_batch": fit}
    text = json.dumps(result, indent=2)
    target = Path("_build/bench.json")
    target.parent.mkdir(exist_ok=True)
    target.write_text(text + "\n")
    sys.stdout.write(text + "\n")


if __name__ == "__main__":
    main()
