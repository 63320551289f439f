from itertools import pairwise

import numpy as np
import pytest

from state_gradients.foundation import settings
from state_gradients.text import corpora, synthetic


@pytest.fixture(scope="module")
def text():
    return synthetic.generate(2_000_000, seed=7)


def parse(ids):
    """Read a stream back as lines of (new, repeated) tokens: the rule, by hand."""
    lines = []
    for line in "".join(synthetic.TOKENS[i][0] for i in ids).split("<"):
        cycles = [line[k : k + 16] for k in range(0, len(line), 16)]
        lines.append([(cycle[0], cycle[1:]) for cycle in cycles])
    assert lines.pop() == []  # the stream ends with an end of line
    return lines


def test_stream_obeys_the_rule():
    stream = synthetic.generate(200_000, seed=3)
    lines = parse(stream.ids)
    assert 200_000 <= stream.ids.size < 200_000 + 161  # the longest line
    assert {len(line) for line in lines} == {5, 6, 7, 8, 9, 10}
    cycles = [cycle for line in lines for cycle in line]  # the chain crosses lines
    for new, copies in cycles:
        assert copies == copies[0] * 15
        assert new != copies[0]
    for (new, copies), (after, copied) in pairwise(cycles):
        assert copied[0] == new
        assert after not in (new, copies[0])


def test_labels_count_within_cycles_and_cycles_within_lines():
    stream = synthetic.generate(20_000, seed=3)
    count, cycle = [], []
    for line in parse(stream.ids):
        for k in range(len(line)):
            count += range(16)
            cycle += [k] * 16
        count.append(16)
        cycle.append(len(line))
    np.testing.assert_array_equal(stream.count, count)
    np.testing.assert_array_equal(stream.cycle, cycle)
    np.testing.assert_array_equal(stream.ids == 10, stream.count == 16)


def chi_square(observed):
    expected = observed.sum() / observed.size
    return ((observed - expected) ** 2 / expected).sum()


def test_new_tokens_and_lengths_are_uniform(text):
    # chi-square with k - 1 degrees of freedom: mean k - 1, variance 2 (k - 1); the
    # bound is five standard deviations
    new = text.ids[text.count == 0]
    triples = np.zeros((10, 10, 10))
    np.add.at(triples, (new[:-2], new[1:-1], new[2:]), 1)
    allowed = triples[triples > 0]
    assert allowed.size == 10 * 9 * 8
    assert chi_square(allowed) < 719 + 5 * np.sqrt(2 * 719)
    lengths = np.bincount(text.cycle[text.count == 16])[5:]
    assert lengths.size == 6
    assert chi_square(lengths) < 5 + 5 * np.sqrt(2 * 5)


def test_first_cycle_draws_two_different_tokens_uniformly():
    pairs = np.zeros((10, 10))
    for seed in range(1800):
        first = synthetic.generate(1, seed=seed).ids[:16]
        assert (first[1:] == first[1]).all()
        pairs[first[0], first[1]] += 1
    assert (np.diag(pairs) == 0).all()
    assert chi_square(pairs[~np.eye(10, dtype=bool)]) < 89 + 5 * np.sqrt(2 * 89)


def test_published_optimum_equals_the_printed_one():
    published = synthetic.published_optimum()
    assert published["cycle"] == pytest.approx(1.1388, abs=5e-5)
    assert published["line"] == pytest.approx(1.1369, abs=1e-4)  # printed truncated
    assert published["corpus"] == pytest.approx(1.1375, abs=5e-5)


RUNGS = {
    "optimal": (1.1545, {}),
    "no cycle count": (1.1656, {"counts_cycles": False}),
    "no exclusion": (1.1706, {"excludes": False}),
    "neither": (1.1818, {"counts_cycles": False, "excludes": False}),
}


@pytest.mark.parametrize("rung", RUNGS)
def test_ladder_equals_the_simulated_ideal_predictors(rung, text):
    value, knowledge = RUNGS[rung]
    closed = synthetic.ladder()[rung]
    assert closed == pytest.approx(value, abs=5e-5)
    nats = -synthetic.ideal_log_probabilities(text, **knowledge)
    # Lines are nearly independent, so the ratio estimator r = sum(nats) / sum(tokens)
    # has standard error std(nats_i - r tokens_i) / sqrt(lines) / mean(tokens).
    starts = np.flatnonzero(np.r_[True, text.count[:-1] == 16])
    per_line, tokens = np.add.reduceat(nats, starts), np.diff([*starts, nats.size])
    mean = nats.mean()
    error = np.std(per_line - mean * tokens) / np.sqrt(tokens.size) / tokens.mean()
    assert error < 1e-4
    assert mean == pytest.approx(np.log(closed), abs=4 * error)


def test_optimal_perplexity_is_the_top_of_the_ladder():
    expected = np.exp((7.5 * np.log(8) + np.log(6)) / 121)
    assert synthetic.optimal_perplexity() == pytest.approx(expected, rel=1e-12)
    assert list(synthetic.ladder()) == list(RUNGS)


def next_distribution(before, line, *, counts_cycles, excludes):
    """P(next token | what came), from the wording of the rule; `line` has no EOS."""
    p = np.zeros(11)
    cycles, place = divmod(len(line), 16)
    new = before[::-1]
    if place == 0:  # a new cycle begins, or the line ends
        possible = [n for n in range(5, 11) if n >= cycles]
        stop = possible.count(cycles) / len(possible)
        if not counts_cycles:
            stop = 1 / 7.5 if cycles else 0
        p[:10] = 1
        if excludes:
            p[new[:2]] = 0
        p[:10] *= (1 - stop) / p[:10].sum()
        p[10] = stop
    elif len(new) == 1 and place == 1:  # the corpus's first copy is free
        p[:10] = 1
        if excludes:
            p[new[0]] = 0
        p /= p.sum()
    else:
        p[line[-1] if place > 1 else new[1]] = 1
    return p


@pytest.mark.parametrize("rung", RUNGS)
def test_ideal_log_probabilities_belong_to_distributions(rung):
    knowledge = {"counts_cycles": True, "excludes": True} | RUNGS[rung][1]
    stream = synthetic.generate(2_000, seed=11)
    before, line, expected = [], [], []
    for token, count in zip(stream.ids, stream.count, strict=True):
        p = next_distribution(before, line, **knowledge)
        assert p.sum() == pytest.approx(1)
        expected.append(np.log(p[token]))
        line = [] if count == 16 else [*line, token]
        before += [token] if count == 0 else []
        if len(before) == 1 and count == 1:
            before.insert(0, token)  # what the first cycle repeats counts as seen
    np.testing.assert_allclose(
        synthetic.ideal_log_probabilities(stream, **knowledge), expected, atol=1e-12
    )


def test_load_gives_independent_splits_and_counts(monkeypatch):
    sizes = {"train": 20_000, "valid": 2_000, "test": 2_000}
    monkeypatch.setattr(synthetic, "SIZES", sizes)
    corpus = settings.Corpus(name="synthetic", vocabulary_size=None, seed=4)
    text, again = corpora.load(corpus), corpora.load(corpus)
    assert text.vocabulary.tokens == (*"ABCDEFGHIJ", "<eos>")
    for split, size in sizes.items():
        ids = text.splits[split]
        assert size <= ids.size < size + 161
        assert ids.dtype == np.int32
        np.testing.assert_array_equal(ids, again.splits[split])
        np.testing.assert_array_equal(ids, synthetic.labels(corpus, split).ids)
    np.testing.assert_array_equal(
        text.vocabulary.counts, [(text.splits["train"] == i).sum() for i in range(11)]
    )
    streams = [text.splits[s][:500].tolist() for s in sizes]
    other = corpora.load(
        settings.Corpus(name="synthetic", vocabulary_size=None, seed=5)
    )
    streams.append(other.splits["train"][:500].tolist())
    assert len({tuple(stream) for stream in streams}) == 4


def test_bad_settings_are_refused():
    for wrong in ({"vocabulary_size": 10}, {"repeat_eos": 2}, {"eos_at_stops": True}):
        with pytest.raises(ValueError, match="at least 11"):
            synthetic.load(settings.Corpus(name="synthetic", **wrong))
    with pytest.raises(ValueError, match="`n_tokens` must be at least 1, received 0"):
        synthetic.generate(0, seed=1)
    with pytest.raises(ValueError, match="received 'dev'"):
        synthetic.labels(settings.Corpus(name="synthetic"), "dev")


def test_fingerprint_names_seed_and_sizes(monkeypatch):
    def fingerprint(**changes):
        return corpora.fingerprint(settings.Corpus(name="synthetic", **changes))

    first = fingerprint(seed=1)
    assert first == fingerprint(seed=1)
    assert first != fingerprint(seed=2)
    monkeypatch.setattr(synthetic, "SIZES", synthetic.SIZES | {"test": 1})
    assert first != fingerprint(seed=1)


def test_recipe_stands_for_these_very_ids():
    # raise synthetic.RECIPE together with this value
    ids = synthetic.generate(1_000, seed=[1, 0]).ids
    weighted = int(np.arange(ids.size) @ ids)
    assert (synthetic.RECIPE, weighted) == (1, 2_404_896)
