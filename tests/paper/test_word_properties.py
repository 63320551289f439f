"""Sections 5.1 and 5.2 on small vocabularies and networks, against brute force."""

import itertools

import numpy as np
import pytest
import xarray as xr
from scipy.special import log_softmax

from state_gradients.analysis import spectra
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.engine.means import mean_state_gradients
from state_gradients.engine.network import read_network
from state_gradients.foundation import settings
from state_gradients.models import language_model
from state_gradients.paper.language import properties, swaps, tags
from state_gradients.text.vocabulary import Text, Vocabulary

N_TYPES, UNITS, SIZE, LAST = 24, 7, 4, 5
TAGS = ["JJ", "JJR", "NN", "NNP", "NNPS", "NNS", "VBD", "VBP", "VBZ"]


@pytest.fixture
def seen(rng):
    tokens = [f"w{k}" for k in range(N_TYPES - 2)] + ["w0's", "w1's"]
    table = (rng.random((len(TAGS), N_TYPES)) < 0.3) * rng.integers(
        1, 5, (len(TAGS), N_TYPES)
    )
    return xr.Dataset(
        {"n_tagged": (("tag", "vocabulary"), table)},
        {"tag": TAGS, "vocabulary": tokens},
    )


def test_a_type_counts_once_for_each_of_its_tags(seen):
    found = properties.halves_of(seen, "singular - plural")
    for k in range(N_TYPES):
        row = {tag: int(seen["n_tagged"].sel(tag=tag)[k]) for tag in TAGS}
        assert found.a[k] == (row["NN"] > 0) + (row["NNP"] > 0)
        assert found.b[k] == (row["NNS"] > 0) + (row["NNPS"] > 0)
    assert found.a.max() == 2


def test_genitives_and_their_hosts_count_once_each(seen):
    a, b = properties.halves_of(seen, "genitive - non-genitive")
    assert a.tolist() == [0] * (N_TYPES - 2) + [1, 1]
    assert b.tolist() == [1, 1] + [0] * (N_TYPES - 2)


def test_bins_of_frequency_hold_as_many_types_each(rng):
    frequency = rng.permutation(np.arange(100))
    none = np.zeros(100, int)
    halves = properties.properties.Halves(np.ones(100, int), none)
    bins = properties.frequency_bins(frequency, halves, 5)
    assert np.bincount(bins).tolist() == [20] * 5
    assert (np.diff(bins[np.argsort(frequency)]) >= 0).all()
    same = properties.frequency_bins(np.ones(100), halves, 5)
    assert len(np.unique(same)) == 1


@pytest.fixture
def encoder(rng):
    table = rng.normal(size=(N_TYPES, SIZE)) @ rng.normal(size=(SIZE, SIZE))
    return xr.Dataset(
        {"embedding": (("vocabulary", "embedding"), table)},
        {"count": ("vocabulary", rng.integers(1, 9, N_TYPES))},
    )


@pytest.fixture
def gradients(rng):
    names = ["all words", *tags.CLASSES, *(f"{p}: either" for p in tags.PROPERTIES)]
    dims = ("group", "delay", "state", "embedding")
    values = rng.normal(size=(len(names), 3, UNITS, SIZE))
    samples = np.full((len(names), 3), 9)
    return xr.Dataset(
        {"state_gradient": (dims, values), "n_samples": (dims[:2], samples)},
        {"group": names, "delay": [0, 1, 2]},
    )


@pytest.fixture
def few(monkeypatch):
    for name in ("N_RESAMPLES", "N_SPLITS", "N_DIRECTIONS"):
        monkeypatch.setattr(properties, name, 60)


def test_what_is_observed_equals_the_definitions_in_a_loop(
    few, seen, encoder, gradients
):
    found = properties.linear(encoder, seen, gradients, seed=1)
    table, whitening = encoder["embedding"].values, fit_whitening(encoder["embedding"])
    has = seen["n_tagged"] > 0
    for name in ("present - past", "base - comparative", "3rd - non-3rd"):
        word_class, *sides = tags.PROPERTIES[name]
        rows = [
            [table[k] for tag in side for k in np.flatnonzero(has.sel(tag=tag))]
            for side in sides
        ]
        d = spectra.property_direction(*rows, whitening)
        one = found.sel(property=name, words="all")
        np.testing.assert_allclose(one["direction"], d, atol=1e-12)
        assert one["n_pairs"].values.tolist() == [len(side) for side in rows]
        groups = {"class": word_class, "all words": "all words"}
        groups["halves"] = f"{name}: either"
        for over, delay in itertools.product(groups, (0, 2)):
            g = gradients["state_gradient"].sel(group=groups[over], delay=delay)
            white = g.values @ whitening.D
            here = one.sel(over=over, delay=delay)
            s = np.linalg.svdvals(white)
            # float64, some hundred products
            m = np.linalg.norm(white @ d.values) / s[0]
            np.testing.assert_allclose(here["observed"].sel(measure="m"), m, 1e-10)
            np.testing.assert_allclose(here["selectivity"], s[0] / s.sum(), 1e-10)
            for n in (1, 2):
                cosine = spectra.subspace_cosine(white, d, n)
                ours = here["observed"].sel(measure=f"H_{n}")
                np.testing.assert_allclose(ours, cosine, rtol=1e-9)
    # four components have no H_5; what chance makes of m is a formula
    assert found["measure"].values.tolist() == ["m", "H_1", "H_2"]
    middle = found["chance_middle"].sel(null="random directions", measure="m")
    white = gradients["state_gradient"].sel(group="N", delay=1).values @ whitening.D
    s = np.linalg.svdvals(white)
    expected = np.sqrt((s**2).sum() / SIZE) / s[0]
    ours = middle.sel(property="singular - plural", words="all", over="class", delay=1)
    assert float(ours) == pytest.approx(expected)


def test_properties_without_words_or_gradients_are_left_out(
    few, seen, encoder, gradients
):
    """No superlative is tagged; and no adjective was read."""
    all_read = properties.linear(encoder, seen, gradients, seed=1)
    names = all_read["property"].values.tolist()
    assert "base - superlative" not in names and "base - comparative" in names
    gradients["n_samples"].loc[{"group": "Adj", "delay": 2}] = 0
    read = properties.linear(encoder, seen, gradients, seed=1)
    assert [name for name in names if name not in read["property"]] == [
        "base - comparative"
    ]
    gradients["n_samples"][:] = 0
    with pytest.raises(ValueError, match="received none; the tags are of English"):
        properties.linear(encoder, seen, gradients, seed=1)


def test_degree_is_counted_by_tag_and_by_type(seen):
    running = [
        *[("more", "JJR"), (",", ","), ("than", "IN"), ("most", "JJS"), ("of", "IN")],
        *[("more", "RBR"), ("than", "IN"), ("x", "NN"), ("more", "JJR"), ("x", "NN")],
    ]
    tokens = ("more", "than", "most", "of", "x")
    table = xr.Dataset(
        {"n_tagged": (("tag", "vocabulary"), [[3, 0, 0, 0, 0], [0, 0, 1, 0, 0]])},
        {"tag": ["JJR", "JJS"], "vocabulary": list(tokens)},
    )
    ids = np.array([0, 1, 0, 4, 0, 1, 2, 4])  # more than more x more than most x
    text = Text(Vocabulary(tokens), {"train": ids})
    found = properties.shares(table, text, running)["share"]
    rows = {
        "tag": [2 / 9, 1 / 2, 1 / 9, 1],  # nine words without the comma
        "type": [3 / 8, 2 / 3, 1 / 8, 0],
    }
    for count_by, expected in rows.items():
        np.testing.assert_allclose(found.sel(count_by=count_by), expected)
    none = properties.shares(table.isel(tag=[0]), text, running)
    assert np.isnan(none["share"].sel(count_by="type", pattern="superlative, of"))
    low, high = (none[f"share_{end}"].isel(count_by=0) for end in ("lower", "upper"))
    assert ((low <= none["share"][0]) & (none["share"][0] <= high)).all()


# Swaps


def test_pairs_are_nouns_that_are_mostly_what_they_are_called():
    tokens = ["firm", "firms", "say", "says", "city", "cities", "run", "runs", "us"]
    seen = {"NN": [5, 0, 0, 0, 2, 0, 1, 0, 0], "NNS": [0, 4, 0, 1, 0, 9, 0, 2, 0]}
    seen |= {"VB": [0, 0, 9, 9, 0, 0, 3, 0, 0]}
    table = xr.Dataset(
        {"n_tagged": (("tag", "vocabulary"), list(seen.values()))},
        {"tag": list(seen), "vocabulary": tokens},
    )
    assert swaps.number_pairs(table).tolist() == [[0, 1], [4, 5]]
    none = table.isel(vocabulary=[2, 3])
    assert swaps.number_pairs(none).shape == (0, 2)


def test_places_are_inside_and_others_keep_number_and_frequency(rng):
    pairs = np.arange(40).reshape(20, 2)
    frequency = rng.integers(1, 50, size=60)
    ids = rng.integers(60, size=900)
    places, instead = swaps.choose(ids, pairs, frequency, n=50, max_delay=30, seed=4)
    words, (other, noun) = ids[places], instead
    assert (np.diff(places) > 0).all() and len(places) == 50
    assert places.min() >= swaps.CONTEXT and places.max() < 900 - 30
    assert np.count_nonzero(words % 2) == 25
    np.testing.assert_array_equal(other, words ^ 1)  # its pair
    np.testing.assert_array_equal(noun % 2, words % 2)
    assert (noun < 40).all() and (noun != words).all()
    ratio = np.maximum(frequency[noun], frequency[other])
    ratio = ratio / np.minimum(frequency[noun], frequency[other])
    for k, word in enumerate(words):
        candidates = [n for n in range(word % 2, 40, 2) if n != word]
        f = frequency[candidates] / frequency[other[k]]
        best = np.maximum(f, 1 / f).min()
        assert ratio[k] <= max(swaps.RATIO, best * (1 + 1e-9))
    assert len(np.unique(noun)) > 10


def test_a_noun_is_never_swapped_for_itself(rng):
    pairs, ids = np.arange(8).reshape(4, 2), rng.integers(8, size=900)
    alike = np.ones(8, int)  # every frequency fits, the word's own, too
    places, (_, noun) = swaps.choose(ids, pairs, alike, n=200, max_delay=3, seed=4)
    assert (noun != ids[places]).all()


@pytest.fixture(params=["lstm", "gru"])
def model(request):
    config = settings.Model(
        cell=request.param, units=UNITS, embedding_size=SIZE, layers=2, dropout=0.0
    )
    model = language_model.build_language_model(config, N_TYPES, seed=5)
    for variable in model.trainable_variables:
        variable.assign(variable.value * 6)  # gates that curve, far from chaos
    return model


def test_changes_are_those_of_the_text_with_another_word(model, rng):
    """The whole text is run again, from its beginning, with the other word in it."""
    ids = rng.integers(N_TYPES, size=80)
    places, instead = np.array([20, 51, 74]), np.array([1, 2, 3])
    network = read_network(model, n_layers=2)
    steps = {"swap": network.table[instead] - network.table[ids[places]]}
    mean = rng.normal(size=(LAST + 1, UNITS, SIZE))
    found = swaps.compare(model, network, ids, places, steps, mean)
    names = network.cells[0].names
    measured = 1 + (names.index("cell") if "cell" in names else 0)
    exact = read_network(model, dtype="float64")

    def run(text):
        text = np.append(text, 0)  # the trace has the states before each word
        states = exact.run(text, exact.zero_states())[0][0][measured][1:]
        logits = np.asarray(model(text[None, :-1]), np.float64)[0]
        return states, log_softmax(logits, axis=-1)

    s, log_p = run(ids)
    for k, (place, word) in enumerate(zip(places, instead, strict=True)):
        other = ids.copy()
        other[place] = word
        moved, log_q = run(other)
        after = slice(place, place + LAST + 1)
        change = (moved - s)[after]
        # float32 states and logits of order 1: 1e-7, over a few steps
        expected = np.linalg.norm(change, axis=1)
        np.testing.assert_allclose(found["change"][0, k], expected, atol=3e-6)
        nats = (np.exp(log_p) * (log_p - log_q)).sum(axis=1)[after]
        np.testing.assert_allclose(found["nats"][0, k], nats, atol=3e-6)
        alone = (np.arange(len(ids)) == place)[None]
        each = mean_state_gradients(
            model, ids, max_delay=LAST, positions=alone, dtype="float64"
        )["state_gradient"].values[0]
        first = each @ steps["swap"][k]
        norm = np.linalg.norm(first, axis=1)
        # the module says 1e-4; these embeddings are as long as trained ones
        np.testing.assert_allclose(found["first_order"][0, k], norm, atol=1e-4)
        cosine = (change * first).sum(axis=1) / (norm * expected)
        np.testing.assert_allclose(found["alignment"][0, k], cosine, atol=1e-3)
        average = np.linalg.norm(mean @ steps["swap"][k], axis=1)
        np.testing.assert_allclose(found["mean_first_order"][0, k], average, rtol=1e-5)


def test_equal_distributions_are_no_nats_apart(rng):
    logits = rng.normal(size=(3, 6))
    np.testing.assert_allclose(swaps.divergence(logits, logits + 2), 0, atol=1e-15)
    p, q = np.array([0.5, 0.5]), np.array([0.9, 0.1])
    expected = 0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1)
    [nats] = swaps.divergence(np.log(p)[None], np.log(q)[None])
    assert nats == pytest.approx(expected)


def test_mean_steps_are_as_long_as_random_ones(rng):
    table = rng.normal(size=(N_TYPES, SIZE)) @ rng.normal(size=(SIZE, SIZE))
    whitening = fit_whitening(table)
    ids, instead = np.array([1, 2, 3]), np.array([[4, 5, 6], [7, 8, 9]])
    number = np.array([[1.0], [-1.0], [1.0]]) * rng.normal(size=SIZE)
    steps = properties.swap_steps(ids, instead, table, whitening, number, seed=2)
    for name, words in zip(properties.SWAPS, instead, strict=False):
        for k in range(3):
            expected = table[words[k]] - table[ids[k]]
            np.testing.assert_array_equal(steps[name][k], expected)
    moved, random = (steps[name] @ whitening.Z.T for name in properties.SWAPS[2:])
    np.testing.assert_allclose(moved, number, atol=1e-12)
    lengths = np.linalg.norm(random, axis=1)
    np.testing.assert_allclose(lengths, np.linalg.norm(number, axis=1), rtol=1e-12)
    assert np.abs(np.corrcoef(random)[np.triu_indices(3, 1)]).max() < 0.999
