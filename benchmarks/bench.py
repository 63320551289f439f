"""Measure the engine against the machine's own matrix products and its peers.

All in one run on the same inputs: an LSTM of 256 units on embeddings of 64, delays
0..50, float32. The floor is the engine's two (units x units) products a token for each
column in flight, at the fastest product rate that a library reaches here. Peers compute
the same Jacobians over one window: ``GradientTape.batch_jacobian``, one backward pass
per state component (the way of the paper's released code), and ``jax.jacrev`` where JAX
is installed. Calls that are compared take turns, so that a busy machine slows all of
them, and each number is the median over the rounds.

    python benchmarks/bench.py        # or: make bench; writes _build/bench.json

``kernels``     what each BLAS runs on
``engine``      share: the floor's time over the engine's; peak_mb: resident memory of a
                process of its own that runs the engine over twice the tokens
``peers``       ratio: the peer's time a token over the engine's
``growth``      time, and peak memory, when tokens, delays or vocabulary double
``extensions``  time over that of the plain mean of the same text just before; cells
                over the LSTM's
``low_rank``    inputs that share a basis, with the weights of the book's baseline, for
                those of a network without training forget too fast: time with a
                tolerance over that of the exact chain for delays 0..50 just before,
                process time, since many delays make few jobs; error: the mean's
                distance from the exact one, relative to its norm, at the worst delay;
                growth_in_delays: the exponent p of time ~ delays^p from 50 to 500;
                tokens: four times as many as above, for the check in float64 and the
                first inputs, which go both ways, cost a long text nothing
``gpu``         the records of ``gpu.py``, which runs on another machine; "not run" and
                its command until there is one
"""

import json
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import peers
import tensorflow as tf
from threadpoolctl import threadpool_info

from state_gradients.engine import means, words
from state_gradients.foundation import settings
from state_gradients.models import batching, training
from state_gradients.models import language_model as models
from state_gradients.models.cells import DiagonalCell, MinGRUCell
from state_gradients.paper.book import records
from state_gradients.paper.language.subject import build_model
from state_gradients.project import artifacts, kinds

V, E, H, DELAY = 10_000, 64, 256, 50
TOKENS = 2_048
AS_ONE = 4 * TOKENS  # of inputs that share a basis
LONGEST = 500  # delays, where inputs share a basis
TOLERANCES = 1e-3, 1e-4
FAR_BACK = [(limit, delay) for limit in TOLERANCES for delay in (DELAY, LONGEST)]
ROUNDS = 5
COLUMNS = E * (DELAY + 1)  # tangents in flight at a token
FLOPS = 2 * COLUMNS * H * (2 * H)  # a token: (COLUMNS, H) by (H, 2 H)
MODEL = settings.Model(units=H, embedding_size=E)


def seconds(call, clock=time.perf_counter):
    """Return how long a call takes."""
    start = clock()
    call()
    return clock() - start


def medians(calls, *, rounds=ROUNDS):
    """Return the median time of each call; they take turns, after a warm-up."""
    for call in calls.values():
        call()
    times = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(seconds(call))
    return {name: statistics.median(values) for name, values in times.items()}


def ratios(calls, to, *, rounds=ROUNDS, clock=time.perf_counter):
    """Return the time of each call relative to that of `to`, the median of pairs.

    One runs just before the other: a machine's own speed may change within minutes.
    """
    found = {}
    for name, call in calls.items():
        to()
        call()  # a warm-up
        pairs = [(seconds(to, clock), seconds(call, clock)) for _ in range(rounds)]
        found[name] = statistics.median(took / plain for plain, took in pairs)
    return found


def products(*, repeat=200):
    """Return, by library, a call that multiplies `repeat` blocks as the engine does."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(COLUMNS, H)).astype(np.float32)
    b = rng.normal(size=(H, 2 * H)).astype(np.float32)
    out, a_tensor, b_tensor = a @ b, tf.constant(a), tf.constant(b)

    def with_numpy():
        for _ in range(repeat):
            np.matmul(a, b, out=out)

    def with_tensorflow():  # not in a graph, which may take the product out of the loop
        for _ in range(repeat):
            product = tf.matmul(a_tensor, b_tensor)
        return float(product[0, 0])

    return {"numpy": with_numpy, "tensorflow": with_tensorflow}, repeat * FLOPS / 1e9


def mean(model, ids, **options):
    """Return a call of the engine."""
    options = {"max_delay": DELAY} | options
    return lambda: means.mean_state_gradients(model, ids, **options)


def peak_mb(*what):
    """Return the peak of a fresh process that runs the engine once and nothing else.

    Over so many tokens, or far back with a tolerance: see the end of this file.
    """
    command = [sys.executable, __file__, "--peak", *map(str, what)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(run.stdout)


def resident_peak():
    """Return this process's peak in MB; its rusage would hold its parent's as well."""
    status = Path("/proc/self/status")
    if status.is_file():
        return int(re.search(r"VmHWM:\s*(\d+) kB", status.read_text())[1]) / 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes there


def language_model(**changes):
    """Return an LSTM language model of the benchmark's sizes, untrained."""
    vocabulary = changes.pop("vocabulary", V)
    return models.build_language_model(replace(MODEL, **changes), vocabulary, seed=1)


def of_cell(cell):
    """Return a model of any Keras cell above an embedding."""
    layers = [keras.layers.Embedding(V, E), keras.layers.RNN(cell)]
    model = keras.Sequential(layers)
    model.build((None, None))
    return model


def growth(model, ids):
    """Return the time when one thing doubles, relative to the time before."""
    long = np.tile(ids, 2)
    half = mean(model, ids, max_delay=DELAY // 2)
    wide = mean(language_model(vocabulary=2 * V), ids)
    calls = {"plain": mean(model, ids), "tokens": mean(model, long), "half": half}
    found = medians(calls | {"vocabulary": wide}, rounds=3)
    return {
        "tokens": found["tokens"] / found["plain"],
        "delays": found["plain"] / found["half"],
        "vocabulary": found["vocabulary"] / found["plain"],
    }


def extensions(model, ids):
    """Return the time of what the engine does beside the plain mean, relative to it."""
    rng = np.random.default_rng(1)
    seven = rng.random((7, V)) < 0.3  # overlapping, as word classes do
    common = ids % (len(ids) // 12)  # 12 tokens a type, as in PTB's validation text
    cells = {
        "gru": language_model(cell="gru"),
        "rnn": language_model(cell="rnn"),
        "min_gru": of_cell(MinGRUCell(H)),
        "diagonal": of_cell(DiagonalCell(H)),
    }

    def every_type():
        for _ in words.type_gradients(model, common, max_delay=DELAY):
            pass

    calls = {
        "second_moment": mean(model, ids, second_moment=True),
        "influence": mean(model, ids, influence=128),
        "seven_groups": mean(model, ids, groups=seven),
        "both_states": mean(model, ids, state=("hidden", "cell")),
        "every_type": every_type,
        **{name: mean(other, ids) for name, other in cells.items()},
        "min_gru_second_moment": mean(cells["min_gru"], ids, second_moment=True),
    }
    return ratios(calls, mean(model, ids), rounds=3)


def baseline():
    """Return the book's baseline, and `AS_ONE` ids drawn by its words' frequencies.

    No corpus is needed so. Words stand in no order, of which the speed hardly knows.
    """
    encoder = artifacts.load(kinds.BASELINE, "encoder")
    model = build_model(settings.load_experiment(kinds.BASELINE), encoder)
    counts = encoder["count"].values
    rng = np.random.default_rng(0)
    return model, rng.choice(len(counts), size=AS_ONE, p=counts / counts.sum())


def low_rank():
    """Return, by tolerance, what inputs that share a basis cost, and how near they are.

    What they cost is relative to the exact chain, which runs just before.
    """
    model, ids = baseline()
    wanted = {(limit, d): {"tolerance": limit, "max_delay": d} for limit, d in FAR_BACK}
    calls = {key: mean(model, ids, **options) for key, options in wanted.items()}
    plain = mean(model, ids)
    found = ratios(calls, plain, rounds=3, clock=time.process_time)
    exact = plain()["state_gradient"]
    rows = []
    for limit in TOLERANCES:
        short, long = found[limit, DELAY], found[limit, LONGEST]
        near = calls[limit, DELAY]()["state_gradient"]
        axes = ("state", "embedding")
        error = ((near - exact) ** 2).sum(axes) / (exact**2).sum(axes)
        rows.append(
            {
                "tolerance": limit,
                "tokens": len(ids),
                "ratio_50": short,
                "ratio_500": long,
                "error": float(np.sqrt(error.max())),
                "growth_in_delays": np.log(long / short) / np.log(LONGEST / DELAY),
                "peak_mb": peak_mb("tolerance", limit),
            }
        )
    return rows


def against_peers(model, ids):
    """Return the records of products, engine and peers, measured in turn."""
    layer = models.recurrent_layers(model)[0]
    table = model.get_layer("embedding").get_weights()[0]
    embedded = tf.constant(table[ids[None, : DELAY + 1]])
    rivals = (peers.batch_jacobian, peers.per_component, peers.jax_jacrev)
    made = {peer.__name__: peer(layer, embedded) for peer in rivals}
    calls, gflop = products()
    libraries = list(calls)
    calls |= {name: peer[0] for name, peer in made.items() if peer}
    found = medians(calls | {"engine": mean(model, ids)})
    rates = {name: gflop / found[name] for name in libraries}
    floor = 1e3 * FLOPS / 1e9 / max(rates.values())
    ms = 1e3 * found["engine"] / len(ids)
    of_peers = {}
    for name, peer in made.items():
        of_peers[name] = "skipped: not installed"
        if peer:
            each = 1e3 * found[name] * peer[1]
            of_peers[name] = {"ms_per_token": each, "ratio": each / ms}
    return {
        "product_gflops": max(rates.values()),
        "product_gflops_by": rates,
        "engine": {
            "ms_per_token": ms,
            "floor_ms_per_token": floor,
            "share": floor / ms,
        },
        "peers": of_peers,
    }


def train_batch():
    """Return seconds a batch of 20 x 200: our step, and a plain Keras ``fit``."""
    experiment = settings.Experiment(name="bench", model=MODEL)
    recipe = experiment.training
    rng = np.random.default_rng(0)
    ids = rng.integers(V, size=recipe.batch_size * (recipe.num_steps + 1))
    window = next(batching.windows(ids, recipe.batch_size, recipe.num_steps))
    model = models.build_language_model(MODEL, V)
    step = training._training_step(model, recipe)
    values = [v.value for v in model.trainable_variables]
    masks = training.dropout_masks(experiment, 1, 0)
    states = models.zero_states(model, recipe.batch_size)

    def ours():
        float(step(values, [], np.float32(1), *window, states, masks)[-1])

    keras.utils.set_random_seed(0)  # our step has asked for determinism
    plain = models.build_language_model(replace(MODEL, dropout=0.5), V)
    plain.compile(
        keras.optimizers.SGD(1.0, global_clipnorm=5.0),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )

    def fit():
        plain.fit(*window, batch_size=recipe.batch_size, verbose=0)

    return medians({"seconds_per_batch": ours, "keras_fit_seconds_per_batch": fit})


def processor():
    """Return the processor's name, where Linux tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [x.split(":", 1)[1].strip() for x in lines if x.startswith("model name")]
    return names[0] if names else platform.processor()


def machine():
    """Return which kind of machine this is."""
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores"


def kernels():
    """Return the kernels that each BLAS runs on, by library and version.

    OpenBLAS chooses them by the processor, unless ``OPENBLAS_CORETYPE`` does: those of
    an older one may be half as fast.
    """
    return {
        f"{blas['internal_api']} {blas['version']}": blas.get("architecture", "")
        for blas in threadpool_info()
        if blas["user_api"] == "blas"
    }


def write(record, name):
    """Print a record, and write it to ``_build/``."""
    text = json.dumps(record, indent=2) + "\n"
    target = Path("_build") / f"{name}.json"
    target.parent.mkdir(exist_ok=True)
    target.write_text(text)
    sys.stdout.write(text)


def main():
    """Run everything and write ``_build/bench.json``."""
    ids = np.random.default_rng(0).integers(V, size=TOKENS)
    model, some = language_model(), ids[: TOKENS // 2]
    result = {
        "machine": machine(),
        "processor": processor(),
        "versions": {m.__name__: m.__version__ for m in (np, tf, keras)},
        "kernels": kernels(),
        "date": time.strftime("%Y-%m-%d"),
        "tokens": TOKENS,
        **against_peers(model, ids),
        "growth": growth(model, some),
        "extensions": extensions(model, some),
        "low_rank": low_rank(),
        "training": train_batch(),
        "gpu": records.gpu_slot(),
    }
    short, long = peak_mb(2 * TOKENS), peak_mb(4 * TOKENS)
    result["engine"]["peak_mb"] = short
    result["growth"]["peak_mb"] = long / short
    write(result, "bench")


if __name__ == "__main__":
    if "tolerance" in sys.argv:
        model, ids = baseline()
        mean(model, ids, tolerance=float(sys.argv[-1]), max_delay=LONGEST)()
        sys.stdout.write(f"{resident_peak():.1f}")
    elif "--peak" in sys.argv:
        n_tokens = int(sys.argv[-1])
        mean(language_model(), np.random.default_rng(0).integers(V, size=n_tokens))()
        sys.stdout.write(f"{resident_peak():.1f}")
    else:
        main()
