"""Texts on disk: the numbers of a text in memory, in memory that does not grow."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from test_means import build

from state_gradients.engine import (
    bundles,
    jobs,
    long_texts,
    means,
    recall,
    sums,
    tiles,
    words,
)
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import backends

pytestmark = pytest.mark.skipif(
    not backends.supports("float64"), reason="on JAX, needs JAX_ENABLE_X64=1"
)
V, N, D = 40, 1500, 12
IDS = np.random.default_rng(3).zipf(1.4, size=N) % V


def small(*cells):
    model = build(*cells, units=8, size=3, vocabulary=V)
    for weight in model.trainable_weights:
        weight.assign(weight.value * 0.5)  # no chain of 12 overflows
    return model


@pytest.fixture
def many_parts(monkeypatch):
    """Read and run so little at a time that the text has many parts."""
    monkeypatch.setattr(long_texts, "PART", 130)
    monkeypatch.setattr(recall, "STRETCH", 32)
    monkeypatch.setattr(recall, "HELD", 100)
    monkeypatch.setattr(recall, "MARKS", 5)


def mapped(path, ids, dtype=np.int32):
    ids.astype(dtype).tofile(path)
    return np.memmap(path, dtype, mode="r", shape=ids.shape)


def in_stretches(ids):
    return iter(np.split(ids, [1, 40, 41, 900]))


def whole_text(model, ids, types, **options):
    """Sums of some types over one whole job, all its states in memory."""
    network, _, states = means.read(model, layer=options.pop("layer", 1))
    request = jobs.Request(max_delay=D, state_indices=states, **options)
    cut = jobs.cut(network, [ids], [np.zeros(N, int)], None, request, length=len(ids))
    ((_, job),) = cut
    group = {one: k for k, one in enumerate(types)}
    sources = np.flatnonzero(np.isin(ids, types))
    shard = replace(
        job,
        request=replace(request, n_groups=len(types)),
        sources=sources,
        ends=job.ends[sources],
        members=[(group[one],) for one in ids[sources].tolist()],
    )
    total = sums.Sums(shard)
    with jobs.one_thread():
        for _ in tiles.carry(shard, total):
            pass
    return {
        one: [part.astype(np.float32) for part in total.take(k)]
        for one, k in group.items()
    }


@pytest.mark.parametrize(
    ("cells", "max_bytes"), [(("lstm",), 2.5e9), (("gru", "rnn"), 1e4)]
)
def test_types_are_those_of_the_whole_text_to_the_bit(
    cells, max_bytes, many_parts, monkeypatch
):
    shards, dealt = [], words._dealt
    monkeypatch.setattr(words, "_dealt", lambda *a: shards.extend(dealt(*a)) or shards)
    model = small(*cells)
    found = words.type_gradients(
        model,
        IDS,
        max_delay=D,
        second_moment=True,
        max_bytes=max_bytes,
        layer=len(cells),
    )
    found = {int(one["group"][0]): one for one in found}
    assert (len(shards) > 2 * jobs.n_cores()) == (max_bytes < 1e5)
    for types in shards:
        expected = whole_text(model, IDS, types, second_moment=True, layer=len(cells))
        for one, (first, second) in expected.items():
            n = found[one]["n_samples"].values[0]
            for name, total in (("state_gradient", first), ("second_moment", second)):
                mean = total[0] / n[:, None, None].astype(np.float32)
                ours = found[one][name].isel(group=0)
                axes = ("delay", "embedding", "state" if total is first else ...)
                np.testing.assert_array_equal(ours.transpose(*axes), mean)


@pytest.mark.parametrize("given", ["mapped", "stretches", "streams", "list", "written"])
def test_ids_on_disk_are_ids_in_memory(given, many_parts, tmp_path):
    model = small("lstm")
    ids = {"streams": IDS.reshape(2, -1), "list": np.split(IDS, [700])}.get(given, IDS)
    options = {"max_delay": D, "second_moment": True}

    def again():
        if given == "stretches":
            return in_stretches(IDS)
        if given == "list":
            return [mapped(tmp_path / str(len(one)), one) for one in ids]
        if given == "written":  # by somebody who may go on writing
            open_file = mapped(tmp_path / "w", IDS)
            return np.memmap(open_file.filename, np.int32, mode="r+")
        return mapped(tmp_path / "ids", ids, np.uint16)

    for asked in (
        {"blocks": 2},
        {"groups": np.random.default_rng(1).random((3, V)) < 0.4, "padding": 2},
        {"tolerance": 1e-3},
        {"window": 100},
    ):
        in_memory = mean_state_gradients(model, ids, **options, **asked)
        on_disk = mean_state_gradients(model, again(), **options, **asked)
        xr.testing.assert_identical(on_disk, in_memory)
    in_memory = [*words.type_gradients(model, ids, **options)]
    on_disk = [*words.type_gradients(model, again(), **options)]
    for one, other in zip(on_disk, in_memory, strict=True):
        xr.testing.assert_identical(one, other)


def test_positions_of_a_text_on_disk(many_parts, tmp_path):
    model, ids = small("rnn"), mapped(tmp_path / "ids", IDS)
    positions = np.random.default_rng(2).random((2, N)) < 0.3
    found, expected = (
        mean_state_gradients(model, text, max_delay=D, positions=positions)
        for text in (ids, IDS)
    )
    xr.testing.assert_identical(found, expected)


def test_a_tolerance_is_kept_from_part_to_part(many_parts):
    model = small("lstm")
    exact = {
        int(one["group"][0]): one["state_gradient"]
        for one in words.type_gradients(model, IDS, max_delay=D)
    }
    for one in words.type_gradients(model, IDS, max_delay=D, tolerance=1e-3):
        mean = exact.pop(int(one["group"][0]))
        square = ((one["state_gradient"] - mean) ** 2).sum(("state", "embedding"))
        size = (mean**2).sum(("state", "embedding"))
        assert float(np.sqrt(square / size).max()) < 10 * 1e-3
    assert not exact


def test_checks_of_jobs_are_put_together():
    one, other = (
        bundles.Check(residual, *(np.array([[x]]) for x in of_groups))
        for residual, *of_groups in ((0.1, 7, 1.0, 4.0), (0.3, 8, 2.0, 5.0))
    )
    assert bundles.both(None, one) is one
    assert bundles.both(one, other) == (0.3, 15, 3.0, 9.0)


# ------------------------------------------------------- what is run again


def test_any_part_is_run_again_as_it_was(many_parts):
    network, *_ = means.read(small("gru", "lstm"), layer=2)
    texts = [IDS, IDS[:20], IDS[5:500]]
    again = recall.Recall(network, texts)
    rng = np.random.default_rng(0)
    for _ in range(60):
        number = int(rng.integers(3))
        first, last = np.sort(rng.integers(0, len(texts[number]) + 1, size=2))
        whole, _ = network.run(texts[number], network.zero_states())
        found = again.between(number, first, max(last, first + 1))
        columns = again.trace(number)
        for layer, of_layer in enumerate(whole):
            for k, array in enumerate(of_layer):
                rows = array[first : max(last, first + 1)]
                np.testing.assert_array_equal(found[layer][k], rows)
                np.testing.assert_array_equal(
                    columns[layer][k][first:last], array[first:last]
                )
                assert columns[layer][k].shape == array.shape
        assert again._n_held <= recall.HELD
        assert len(again._marks) <= recall.MARKS


def test_who_goes_side_by_side_shares_one_pass(many_parts):
    network, *_ = means.read(small("rnn"))
    tokens = []

    class Counting:
        zero_states = staticmethod(network.zero_states)

        def run(self, ids, states):
            tokens.append(len(ids))
            return network.run(ids, states)

    again = recall.Recall(Counting(), [IDS])
    for _ in range(2):  # rounds of shards: a pass each
        for first in range(0, N, 20):
            for behind in (0, 10):  # two cores
                again.between(0, max(0, first - behind), first + 20)
    assert sum(tokens) == 2 * N


def test_a_mark_keeps_no_more_than_its_states(many_parts):
    network, *_ = means.read(small("lstm"))
    again = recall.Recall(network, [IDS])
    again.between(0, N - 1, N)
    assert len(again._marks) > 1
    for states in again._marks.values():
        assert all(state.base is None for layer in states for state in layer)


def test_a_core_left_behind_begins_at_a_mark(many_parts):
    network, *_ = means.read(small("rnn"))
    again = recall.Recall(network, [IDS])
    again.between(0, N - 1, N)
    run, ran = again._run, []
    again._run = lambda number, k, states: ran.append(k) or run(number, k, states)
    again.between(0, 700, 701)
    assert ran[-1] == 700 // 32
    assert ran[0] > 0 and len(ran) <= again._spacing


# ---------------------------------------------------------------- refusals


@pytest.mark.parametrize("function", [mean_state_gradients, words.type_gradients])
@pytest.mark.parametrize(
    ("stretches", "message"),
    [
        ([], "one id at least, received none"),
        ([[]], "one id at least, received none"),
        ([[1, 2], [[3]]], "stretches of one text, .* as number 1"),
        ([[1, 2], 3], "stretches of one text"),
        ([[1.0, 2.0]], "must be whole numbers"),
        ([[1, 2], [V]], rf"lie in 0\.\.{V - 1}"),
        ([[1, 2], [-1]], r"lie in 0\.\."),
    ],
)
def test_stretches_that_are_no_text_are_refused(function, stretches, message):
    with pytest.raises(ValueError, match=rf"^{function.__name__}: .*{message}"):
        function(small("rnn"), iter(stretches), max_delay=1)


@pytest.mark.parametrize(
    ("ids", "message"),
    [(IDS + V, "lie in 0.."), (IDS * 0.5, "must be whole numbers")],
)
def test_a_mapped_file_without_ids_is_refused(ids, message, tmp_path):
    ids = mapped(tmp_path / "ids", ids, ids.dtype)
    with pytest.raises(ValueError, match=message):
        mean_state_gradients(small("rnn"), ids, max_delay=1)


def test_a_file_of_ours_is_left_nowhere(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text = long_texts.from_iterator(in_stretches(IDS), "test")
    np.testing.assert_array_equal(text, IDS)
    assert isinstance(text[5:7], np.ndarray) and len(text) == N
    assert [*tmp_path.iterdir()] == []


# ------------------------------------------------------------------ memory

LENGTHS = 300_000, 1_000_000


@pytest.mark.parametrize("what", ["means", "types"])
def test_memory_does_not_grow_with_the_text(what):
    """The 0.7 million tokens between take 2.8 MB as int32, 5.6 as a pointer each.

    Their states take 67. Allocation adds some MB to a peak, now and then: of two
    measurements the lower is nearer to what is needed.
    """
    short, long = (_peak(what, n) for n in LENGTHS)
    if long - short >= 5:
        short, long = (
            min(peak, _peak(what, n))
            for n, peak in zip(LENGTHS, (short, long), strict=True)
        )
    assert long - short < 5, (short, long)


def _peak(what, n_tokens):
    """Return the peak of memory of a process that reads so many tokens, in MB."""
    script = Path(__file__).parents[2] / "benchmarks" / "long_texts.py"
    done = subprocess.run(
        [sys.executable, script, "one", what, str(n_tokens)],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ,
    )
    return json.loads(done.stdout.splitlines()[-1])["peak_mb"]
