"""Measure the means of every input type against one plain pass, at full scale.

The text is the validation text of the Penn Treebank (or its first tokens), the model an
untrained LSTM of the baseline's sizes. Half of the plain pass comes before and half
after, so that a machine whose speed drifts slows both alike.

    STATE_GRADIENTS_CORPORA=DIR python benchmarks/every_type.py [tokens]

prints, and writes to ``_build/every-type.json``: the number of types, seconds of both,
their ratio, and the peak of resident memory, TensorFlow's own included.
"""

import sys
import time

import bench
import numpy as np

from state_gradients.engine import means, words
from state_gradients.foundation import settings
from state_gradients.text import corpora


def seconds(call):
    """Return the wall time of a call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def main(tokens=None):
    """Run both and write the record."""
    corpus = settings.load_experiment("ptb-lstm-256").corpus
    ids = corpora.load(corpus).splits["valid"][: tokens and int(tokens)]
    model, delay, found = bench.language_model(), bench.DELAY, set()

    def plain(part):
        means.mean_state_gradients(model, part, max_delay=delay)

    def every_type():
        for mean in words.type_gradients(model, ids, max_delay=delay):
            found.update(mean["group"].values.tolist())

    plain(ids[:300])  # a warm-up
    halves = np.array_split(ids, 2)
    before, each, after = (
        seconds(lambda: plain(halves[0])),
        seconds(every_type),
        seconds(lambda: plain(halves[1])),
    )
    if found != set(ids.tolist()):
        sys.exit("every_type: a mean must come for every type of the text.")
    record = {
        "machine": bench.machine(),
        "date": time.strftime("%Y-%m-%d"),
        "corpus": corpus.name,
        "tokens": len(ids),
        "types": len(found),
        "plain_seconds": before + after,
        "every_type_seconds": each,
        "ratio": each / (before + after),
        "peak_mb": bench.resident_peak(),
    }
    bench.write(record, "every-type")


if __name__ == "__main__":
    main(*sys.argv[1:])
