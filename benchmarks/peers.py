"""What others offer for the same Jacobians: of the last cell state of one window.

Each function takes a Keras LSTM layer and its embedded window (1, time, embedding) and
returns a call to be timed, and how many such calls a token costs.
"""

import importlib.util

import tensorflow as tf


def window_cell(layer, embedded):
    """Unroll the layer over one window and return its last cell state (1, units)."""
    state = layer.cell.get_initial_state(batch_size=1)
    for e in tf.unstack(embedded, axis=1):
        _, state = layer.cell(e, state)
    return state[1]


def batch_jacobian(layer, embedded):
    """Return a call: one Jacobian of the last state, a window and so a token."""

    @tf.function
    def call():
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            cell = window_cell(layer, embedded)
        return tape.batch_jacobian(cell, embedded)

    return call, 1


def per_component(layer, embedded):
    """Return a call: a forward and a backward pass for one component of `units`."""

    @tf.function
    def call(component):
        with tf.GradientTape() as tape:
            tape.watch(embedded)
            value = window_cell(layer, embedded)[0, component]
        return tape.gradient(value, embedded)

    return lambda: call(tf.constant(3)), layer.units


def jax_jacrev(layer, embedded):
    """Return a call of ``jax.jacrev`` under jit, or None without JAX."""
    if importlib.util.find_spec("jax") is None:
        return None
    import jax
    import jax.numpy as jnp

    w, u, b = (jnp.asarray(x) for x in layer.get_weights())
    zero = jnp.zeros(layer.units)

    def last_cell(window):
        def step(state, e):
            h, c = state
            i, f, g, o = jnp.split(e @ w + h @ u + b, 4)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        return jax.lax.scan(step, (zero, zero), window)[0][1]

    jacobian, window = jax.jit(jax.jacrev(last_cell)), jnp.asarray(embedded[0])
    return lambda: jacobian(window).block_until_ready(), 1
