"""Measure the engine on an accelerator, with JAX alone, in a minute and a half.

The sizes are those of ``bench.py``: an LSTM of 256 units on embeddings of 64, delays
0..50. Needs a GPU, JAX with CUDA, Keras and what the engine imports; neither TensorFlow
nor an installation of this package.

    PYTHONPATH=lib python benchmarks/gpu.py

writes ``$OUT/gpu.json``, or ``_build/gpu.json``.
Each part stands for itself: one that fails leaves its error in the record, and the
record is written after each. Put it, named after the machine, into
``benchmarks/records/gpu/``: the page on speed shows it.

``products``    TFLOP/s by precision, of large squares and of the engine's own shape
``engine``      by lanes: milliseconds a token with and without the forward pass, which
                runs on the processor at the same time; the device's share of the rate
                of squares in the same precision; the bytes predicted and at the peak
``memory``      the bytes predicted, and those that XLA plans for on the device
``error``       largest distance from the tiles in float64, on the processor, relative
                to the largest entry of the mean at that delay
``keras_lstm``  distance of Keras's own forward pass from float64, by how it multiplies
``peers``       the same Jacobians by others, over as many windows at a time as are fast
"""

import argparse
import contextlib
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
import time
import traceback
from pathlib import Path

os.environ.setdefault("KERAS_BACKEND", "jax")
# the peak is to be what is asked for, and a second process needs room
os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")

import jax
import jax.numpy as jnp
import keras
import numpy as np

from state_gradients.engine import capacity, jobs, network, sums, sweep
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import backends

V, E, H, DELAY = 10_000, 64, 256, 50
COLUMNS = E * (DELAY + 1)
PRODUCTS = {"lstm": 2, "gru": 1, "rnn": 1}  # (units x units), a tangent and token
LENGTH = 8 * DELAY  # inputs of a job
LANES = 1, 4, 16, 32, 64  # jobs side by side
CHECKED = 600  # tokens that are held against the tiles in float64
SQUARE = 8192
SECONDS = 88  # after which no part begins
BEGAN = time.perf_counter()


def flops(cell):
    """Return the operations a token that no way round them is known for."""
    return 2 * COLUMNS * H * H * PRODUCTS[cell]


def language_model(cell="lstm"):
    """Return an untrained model of the benchmark's sizes."""
    layer = {"lstm": "LSTM", "gru": "GRU", "rnn": "SimpleRNN"}[cell]
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.layers.Embedding(V, E),
            getattr(keras.layers, layer)(H, return_sequences=True),
        ]
    )
    model.build((None, None))
    return model


def text(n_tokens):
    """Return ids drawn at random."""
    return np.random.default_rng(0).integers(V, size=n_tokens)


def milliseconds(call, repeat=5):
    """Return the median time of a call, after a first one."""
    call()
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        call()
        times.append(1e3 * (time.perf_counter() - start))
    return statistics.median(times)


# What the device is


def device():
    """Return names and versions."""
    first = jax.devices()[0]
    asked = "name,driver_version,memory.total,clocks.max.sm,power.limit"
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv,noheader"]
    stats = first.memory_stats() or {}
    return {
        "device": first.device_kind,
        "platform": first.platform,
        "nvidia_smi": subprocess.run(
            command, capture_output=True, text=True, check=True
        ).stdout.strip(),
        "xla": getattr(first.client, "platform_version", ""),
        "bytes_limit": stats.get("bytes_limit"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "python": platform.python_version(),
            **{m.__name__: m.__version__ for m in (jax, keras, np)},
        },
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }


# The rate of products


def rate(shapes, precision, dtype):
    """Return TFLOP/s of products of the shapes (.., m, k) and (.., k, n)."""
    first, second = shapes
    key = jax.random.PRNGKey(0)
    a = jax.random.normal(key, first, dtype)
    b = jax.random.normal(key, second, dtype)
    repeat = 8

    @jax.jit
    def some(a, b):
        def one(_, a):
            product = jnp.matmul(a, b, precision=precision)
            return product / jnp.abs(product[..., :1, :1])  # stays finite

        return jax.lax.fori_loop(0, repeat, one, a)

    operations = 2 * repeat * np.prod(first, dtype=float) * second[-1]
    return operations / milliseconds(lambda: some(a, b).block_until_ready(), 3) / 1e9


def products(dtype):
    """Return rates by precision."""
    square = (SQUARE, SQUARE), (SQUARE, SQUARE)
    lanes = (32, COLUMNS, H), (32, H, H)
    precisions = {"float64": "highest"}
    if dtype == "float32":
        precisions = {"float32": "highest", "tf32": "default"}
    return {
        name: {
            "squares_tflops": rate(square, precision, dtype),
            "engine_shape_tflops": rate(lanes, precision, dtype),
        }
        for name, precision in precisions.items()
    }


# The engine


def a_text(cell, dtype, n_tokens):
    """Return a function that cuts a text of an untrained network into jobs."""
    read = network.read_network(language_model(cell), dtype=dtype)
    last = len(read.cells[0].sizes) - 1  # the cell of an LSTM
    request = jobs.Request(max_delay=DELAY, state_indices=(last,))
    ids = text(n_tokens)
    stretch = np.zeros(n_tokens, int)
    return lambda: jobs.cut(read, [ids], [stretch], None, request, length=LENGTH)


def a_plan(job, lanes):
    """Return a plan of so many lanes; None: what the device has memory for."""
    if lanes is None:
        return capacity.plan(job)
    return capacity.Plan(lanes=lanes, block=sums.FLUSH, jit=True)


def engine(cell, dtype, lanes, best=None):
    """Return what the engine takes, all in all and on the device alone."""
    _, job = next(a_text(cell, dtype, LENGTH)())
    plan = a_plan(job, lanes)
    n_tokens = plan.lanes * LENGTH * 2
    cut = a_text(cell, dtype, n_tokens)
    ready = list(cut())

    def carry(some):
        start = time.perf_counter()
        for _ in sweep.run(some, plan):
            pass
        return 1e3 * (time.perf_counter() - start)

    compiling = carry(ready[: plan.lanes])
    on_device = min(carry(ready) for _ in range(2)) / n_tokens
    with jobs.one_thread():
        in_all = carry(cut()) / n_tokens
    stats = jax.devices()[0].memory_stats() or {}
    found = {
        "cell": cell,
        "dtype": dtype,
        "lanes": plan.lanes,
        "block": plan.block,
        "tokens": n_tokens,
        "ms_per_token": in_all,
        "device_ms_per_token": on_device,
        "device_tflops": flops(cell) / on_device / 1e9,
        "first_ms": compiling,
        "predicted_bytes": predicted_bytes(job, plan),
        "peak_bytes": stats.get("peak_bytes_in_use"),
    }
    return with_share(found, best)


def with_share(found, best):
    """Return a record of the engine with its share of a rate, if that is known."""
    return found | ({"share": found["device_tflops"] / best} if best else {})


def predicted_bytes(job, plan):
    """Return the peak that the engine predicts."""
    return capacity.Shape.of(job).sweep_bytes(lanes=plan.lanes, block=plan.block)


def memory(lanes):
    """Return the predicted peak, and what XLA plans for on this device."""
    _, job = next(a_text("lstm", "float32", LENGTH)())
    plan = a_plan(job, lanes)
    predicted, xla = predicted_bytes(job, plan), sweep.planned_bytes(job, plan)
    return {
        "lanes": lanes,
        "predicted_bytes": predicted,
        "xla_bytes": xla,
        "ratio": predicted / xla,
    }


def forward():
    """Return the milliseconds a token of the forward pass, on the processor."""
    read = network.read_network(language_model())
    ids = text(4_000)
    return milliseconds(lambda: read.run(ids, read.zero_states()), 3) / len(ids)


def tiles():
    """Return the milliseconds a token of the tiles, on this machine's processor."""
    model, ids = language_model(), text(16 * jobs.LENGTH)
    call = functools.partial(
        mean_state_gradients, model, ids, max_delay=DELAY, engine="tiles"
    )
    return milliseconds(call, 1) / len(ids)


def error(cell, dtype):
    """Return how far the sweep is from the tiles in float64.

    Through the public door, with its check of what Keras does.
    """
    model, ids = language_model(cell), text(CHECKED)
    ask = functools.partial(mean_state_gradients, model, ids, max_delay=DELAY)
    reference = ask(engine="tiles", dtype="float64")["state_gradient"]
    ours = ask(engine="sweep", dtype=dtype)["state_gradient"]
    scale = abs(reference).max(("state", "embedding"))
    away = abs(ours - reference).max(("state", "embedding")) / scale
    return {"worst": float(away.max()), "longest_delay": float(away[-1])}


def of_keras():
    """Return how far Keras's own LSTM is from float64, as it is and in full float32."""
    model, ids = language_model(), text(200)
    embedding, layer = model.layers
    double = network.read_network(model, dtype="float64")
    (trace,), _ = double.run(np.append(ids, 0), double.zero_states())
    reference = trace[1][1:]  # h after each token
    found = {}
    full = {"as it is": contextlib.nullcontext, "in full": backends.full_float32}
    for name, context in full.items():
        with context():
            theirs = keras.ops.convert_to_numpy(layer(embedding(ids[None])))[0]
        away = np.abs(theirs - reference).max() / np.abs(reference).max()
        found[name] = float(away)
    return found


# The peers


def lstm_weights():
    """Return kernel, recurrent kernel and bias of the benchmark's LSTM."""
    return language_model().layers[1].get_weights()


def windows(n):
    """Return windows (n, delays, embedding) of the benchmark's text."""
    table = language_model().layers[0].get_weights()[0]
    ids = text(n + DELAY)
    return table[np.lib.stride_tricks.sliding_window_view(ids, DELAY + 1)]


def with_jax(n, derivative):
    """Return the milliseconds a token of vmap(jacrev) or (jacfwd) under jit."""
    w, u, b = map(jnp.asarray, lstm_weights())

    def last_cell(window):
        def step(state, e):
            h, c = state
            i, f, g, o = jnp.split(e @ w + h @ u + b, 4)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            return (jax.nn.sigmoid(o) * jnp.tanh(c), c), None

        zero = jnp.zeros(H)
        return jax.lax.scan(step, (zero, zero), window)[0][1]

    some = jnp.asarray(windows(n))
    with jax.default_matmul_precision("highest"):
        jacobians = jax.jit(jax.vmap(derivative(last_cell)))
        ms = milliseconds(lambda: jacobians(some).block_until_ready(), 3) / n
    return {"ms_per_token": ms, "windows": n}


def with_torch(n):
    """Return the milliseconds a token of torch.func's vmap(jacrev)."""
    import torch

    torch.set_float32_matmul_precision("highest")
    w, u, b = (torch.tensor(x, device="cuda") for x in lstm_weights())

    def last_cell(window):
        h = c = torch.zeros(H, device="cuda")
        for e in window.unbind(0):
            i, f, g, o = torch.chunk(e @ w + h @ u + b, 4)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return c

    jacobians = torch.func.vmap(torch.func.jacrev(last_cell))
    some = torch.tensor(windows(n), device="cuda")

    def call():
        jacobians(some)
        torch.cuda.synchronize()

    ms = milliseconds(call, 2) / n
    return {"ms_per_token": ms, "windows": n, "torch": torch.__version__}


# All of it


class Record:
    """What was measured so far, in a file."""

    def __init__(self, path, within):
        self.path = path
        self.within = within
        self.content = {}
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def measure(self, name, call, *arguments):
        """Put what a call returns, or why there is nothing, under a name."""
        start = time.perf_counter()
        if start - BEGAN > self.within:
            found = "skipped: no time left"
        else:
            try:
                found = call(*arguments)
            except Exception as wrong:
                traceback.print_exc()
                found = f"failed: {type(wrong).__name__}: {str(wrong)[:400]}"
        took = time.perf_counter() - start
        self.content[name] = found
        self.write()
        total = time.perf_counter() - BEGAN
        print(f"[{total:5.1f} s, +{took:4.1f}] {name}: {json.dumps(found)}", flush=True)
        return found

    def write(self):
        """Write what there is."""
        self.path.write_text(json.dumps(self.content, indent=2) + "\n")


def in_double(path):
    """Return what a process of its own measures, in which JAX has float64."""
    other = path.with_name(f"{path.stem}-float64.json")
    command = [sys.executable, *sys.argv, "--double", "--output", str(other)]
    left = min(30, SECONDS - (time.perf_counter() - BEGAN))
    environment = os.environ | {"JAX_ENABLE_X64": "1"}
    try:
        subprocess.run(command, check=True, timeout=left, env=environment)
    except subprocess.TimeoutExpired:
        print("float64: no time left", flush=True)
    return json.loads(other.read_text())


def give_shares(record, precision):
    """Give the engine's measurements so far their share of the rate of squares."""
    rates = record.content["products"]
    for name, found in record.content.items():
        if name.startswith("engine") and isinstance(rates, dict):
            best = rates[precision]["squares_tflops"]
            if isinstance(found, dict):
                record.content[name] = with_share(found, best)


def double(record):
    """Measure what needs float64 on the device."""
    record.measure("engine, lstm", engine, "lstm", "float64", 16)
    record.measure("products", products, "float64")
    give_shares(record, "float64")
    record.measure("error, lstm", error, "lstm", "float64")


def single(record):
    """Measure all else, what says most first."""
    record.measure("device", device)
    for lanes in LANES:  # rising: the peak of a process never falls
        record.measure(f"engine, {lanes} lanes", engine, "lstm", "float32", lanes)
    record.measure("products", products, "float32")
    give_shares(record, "float32")
    record.measure("error, lstm", error, "lstm", "float32")
    record.measure("keras_lstm", of_keras)
    record.measure("peers, jax.jacrev", with_jax, 64, jax.jacrev)
    record.measure("peers, jax.jacfwd", with_jax, 64, jax.jacfwd)
    record.measure("float64", in_double, record.path)
    record.measure("forward_ms_per_token", forward)
    record.measure("memory", memory, LANES[2])
    for cell in ("gru", "rnn"):
        record.measure(f"engine, {cell}", engine, cell, "float32", None)
    give_shares(record, "float32")
    record.measure("tiles_ms_per_token", tiles)
    record.measure("peers, torch.func.jacrev", with_torch, 32)
    for cell in ("gru", "rnn"):
        record.measure(f"error, {cell}", error, cell, "float32")
    record.content["seconds"] = time.perf_counter() - BEGAN
    record.write()


def main():
    """Measure, and write the record."""
    out = Path(os.environ.get("OUT", "_build")) / "gpu.json"
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--output", type=Path, default=out)
    parser.add_argument("--double", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--tiny", action="store_true", help="small, to try the script")
    options = parser.parse_args()
    if options.tiny:
        global E, H, V, DELAY, COLUMNS, LENGTH, LANES, CHECKED, SQUARE
        E, H, V, DELAY, CHECKED, SQUARE, LANES = 4, 8, 50, 5, 60, 64, (1, 2, 3)
        COLUMNS, LENGTH = E * (DELAY + 1), 64
    (double if options.double else single)(Record(options.output, SECONDS))


if __name__ == "__main__":
    main()
