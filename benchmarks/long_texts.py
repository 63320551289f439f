"""Measure that memory and speed stay the same as a text grows to 10 million tokens.

Each text runs in a process of its own, and comes from an iterator over its stretches,
so that no part of it need be in memory; the network is small, for it is the length that
is measured. The means of all types follow each type apart.

    python benchmarks/long_texts.py            # 0.3, 1, 3 and 10 million tokens
    python benchmarks/long_texts.py 300000     # so many

writes ``_build/long-texts.json`` after each text: ``forward``, milliseconds a token of
the forward pass of an LSTM of 512 units; ``means`` and ``types``, each a list
of tokens, tokens a second of the processor's time, and the peak of resident memory,
Keras and its backend included, with what the process took before.
"""

import json
import os
import subprocess
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

from state_gradients.engine import jobs, means, words
from state_gradients.engine.network import read_network
from state_gradients.foundation import settings
from state_gradients.models import language_model

LENGTHS = 300_000, 1_000_000, 3_000_000, 10_000_000
V, E, H, DELAY = 200, 2, 4, 4
STRETCH = 50_000  # tokens that the iterator yields at a time


def network():
    """Return a small model."""
    keras.utils.set_random_seed(0)
    embedding, rnn = keras.layers.Embedding(V, E), keras.layers.SimpleRNN(H)
    return keras.Sequential([keras.Input((None,)), embedding, rnn])


def stretches(n_tokens):
    """Yield a text, words drawn with frequencies as Zipf's law has them."""
    shares = 1 / np.arange(1, V + 1)
    for number, first in enumerate(range(0, n_tokens, STRETCH)):
        rng = np.random.default_rng(number)
        n = min(STRETCH, n_tokens - first)
        yield rng.choice(V, size=n, p=shares / shares.sum())


def run(what, n_tokens):
    """Go through a text, "means" or "types"."""
    model = network()
    if what == "means":
        means.mean_state_gradients(model, stretches(n_tokens), max_delay=DELAY)
        return
    for _ in words.type_gradients(model, stretches(n_tokens), max_delay=DELAY):
        pass


def one(what, n_tokens):
    """Measure one text, in this process."""
    import bench

    run(what, 1_000)  # a warm-up, which loads what is needed
    before, start = bench.resident_peak(), time.process_time()
    run(what, n_tokens)
    seconds = time.process_time() - start
    return {
        "tokens": n_tokens,
        "tokens_per_second": n_tokens / seconds,
        "peak_mb": bench.resident_peak(),
        "peak_before_mb": before,
    }


def forward(units=512, embedding=64, n_tokens=1_500):
    """Measure the forward pass of a large LSTM, which one process must make."""
    config = settings.Model(units=units, embedding_size=embedding)
    model = language_model.build_language_model(config, V, seed=1)
    ids = np.random.default_rng(0).integers(V, size=n_tokens)
    reader = read_network(model)
    times = []
    with jobs.one_thread():
        for _ in range(4):  # the first is a warm-up
            start = time.process_time()
            reader.run(ids, reader.zero_states())
            times.append(time.process_time() - start)
    ms_per_token = 1000 * min(times[1:]) / n_tokens
    return {"units": units, "embedding": embedding, "ms_per_token": ms_per_token}


def main(lengths=LENGTHS):
    """Measure each length in a process of its own, and keep the record."""
    import bench

    network_of = {"cell": "rnn", "units": H, "embedding": E, "max_delay": DELAY}
    record = {
        "machine": bench.machine(),
        "processor": bench.processor(),
        "cores": jobs.n_cores(),  # that this run may use
        "date": time.strftime("%Y-%m-%d"),
        "network": network_of,
        "forward": forward(),
        "means": [],
        "types": [],
    }
    for n_tokens in lengths:
        for what in ("means", "types"):
            command = [sys.executable, __file__, "one", what, str(n_tokens)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
            record[what].append(json.loads(done.stdout.splitlines()[-1]))
            bench.write(record, "long-texts")


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        sys.stdout.write(json.dumps(one(sys.argv[2], int(sys.argv[3]))) + "\n")
    else:
        main([int(n) for n in sys.argv[1:]] or LENGTHS)
