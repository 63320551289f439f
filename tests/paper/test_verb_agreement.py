import numpy as np
import pytest
import xarray as xr

from state_gradients.foundation import settings
from state_gradients.paper.grammar import agreement, gold
from state_gradients.paper.language import tags
from state_gradients.paper.language.subject import Subject
from state_gradients.text.grammar import rules, truth

N_TYPES = len(truth.vocabulary())


def model_of(seed=0, **changes):
    from state_gradients.models.language_model import build_language_model

    config = settings.Model(**({"units": 5, "embedding_size": 4} | changes))
    return build_language_model(config, N_TYPES, seed=seed)


@pytest.fixture(scope="module")
def text():
    return truth.generate(12_000, seed=3)


@pytest.fixture(scope="module")
def latch():
    """A network of one unit: +1 after a singular noun, -1 after a plural one, kept.

    tanh(4 (x + h)) has stable states near +1 and -1, of which only a noun, with
    x = +2 or -2, moves it out. Singular verbs get logits +h, plural ones -h.
    """
    from state_gradients.models.language_model import set_weights

    model = model_of(cell="rnn", units=1, embedding_size=1)
    index = truth.vocabulary().index
    nouns = np.zeros((N_TYPES, 1))
    for form, words in rules.LEXICON.items():
        tag = form.partition(".")[2].removesuffix("'s")
        for word in words:
            if tag in truth.NOMINAL:
                nouns[index[word]] = 2 if tag in ("NN", "NNP") else -2
    for word in ("she", "he", "it"):
        nouns[index[word]] = 2
    singular, plural = truth.number_pairs().T
    kernel = np.zeros((1, N_TYPES))
    kernel[:, singular], kernel[:, plural] = 1.5, -1.5
    set_weights(
        model,
        {
            "embedding": nouns,
            "recurrent_1.kernel": np.array([[4.0]]),
            "recurrent_1.recurrent_kernel": np.array([[4.0]]),
            "recurrent_1.bias": np.zeros(1),
            "logits.kernel": kernel,
            "logits.bias": np.zeros(N_TYPES),
        },
    )
    return model


def test_a_network_that_knows_the_last_noun_only_is_seen_through(latch, text):
    found = agreement.preferences(latch, text)
    verbs = agreement.verbs_that_agree(text)
    assert len(verbs) > 1_000
    np.testing.assert_array_equal(found["position"], verbs)
    for k, verb in enumerate(verbs):  # one by one: is the last noun of its number?
        subject = text.controller[verb]
        before = [j for j in range(subject, verb) if text.tag[j] in truth.NOMINAL]
        is_right = text.number[before[-1]] == text.number[subject]
        # |h| = tanh(4 (2 - 1)) > 0.999 after a noun, 0.9993 where it has settled; the
        # logits of the two forms differ by 3 |h|
        expected = 3 if is_right else -3
        assert found["log_odds"][k] == pytest.approx(expected, abs=5e-3)
        assert found["share"][k] == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-3)
    by_attractors = agreement.accuracy(found, "attractors")
    assert by_attractors["accuracy"].sel(attractors=0) == 1
    assert by_attractors["accuracy"].sel(attractors=1) < 0.5
    assert by_attractors["n"].sum() == len(verbs)


def test_the_right_form_in_the_control_is_that_of_the_subject(latch):
    control = truth.generate(12_000, seed=3, variant="grammar-control")
    found = agreement.preferences(latch, control)
    right = agreement.accuracy(found.isel(verb=found["distance"] == 1), "number")
    # the latch goes by the noun right before, whatever stands in the text
    np.testing.assert_array_equal(right["accuracy"], 1.0)


def test_accuracy_counts_what_is_above_zero_and_gives_wilson_intervals():
    found = xr.Dataset(
        {
            "log_odds": ("verb", [1.0, -1.0, 2.0, 3.0, -0.5]),
            "share": ("verb", [0.9, 0.2, 0.8, 0.7, 0.4]),
        },
        coords={
            "distance": ("verb", [1, 1, 1, 1, 5]),
            "attractors": ("verb", [0, 0, 0, 1, 1]),
        },
    )
    by = agreement.accuracy(found, "distance")
    np.testing.assert_allclose(by["accuracy"], [3 / 4, 0])
    np.testing.assert_allclose(by["share"], [0.65, 0.4])
    # Wilson: (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4 n^2)) / (1 + z^2 / n)
    z, n, p = 1.959964, 4, 0.75
    half = z * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    ends = (p + z**2 / (2 * n) + np.array([-half, half])) / (1 + z**2 / n)
    np.testing.assert_allclose([by["lower"][0], by["upper"][0]], ends, rtol=1e-6)
    both = agreement.accuracy(found, ["distance", "attractors"])
    np.testing.assert_array_equal(both["n"], [[3, 1], [0, 1]])
    assert np.isnan(both["accuracy"].sel(distance=5, attractors=0))


def test_subjects_have_one_verb_and_nothing_else(text):
    positions, distance = agreement.subjects(text)
    assert len(positions) > 500
    dependents = {}
    for k, c in enumerate(text.controller):
        dependents.setdefault(c, []).append(k)
    expected = {
        c: ks[0] - c
        for c, ks in dependents.items()
        if c >= 0 and len(ks) == 1 and text.tag[c] in ("NN", "NNS")
    }
    assert dict(zip(positions, distance, strict=True)) == expected


def test_number_direction_is_that_of_the_means_of_nouns(rng):
    table = rng.normal(size=(N_TYPES, 6))
    index = truth.vocabulary().index
    shift = np.array([0, 3.0, 0, 0, 0, 0])
    for word in rules.LEXICON["noun.NN"]:
        table[index[word]] = table[index[word]] * 0.01 + shift
    for word in rules.LEXICON["noun.NNS"]:
        table[index[word]] = table[index[word]] * 0.01 - shift
    direction = agreement.number_direction(table)
    whitening = agreement.fit_whitening(table)
    step = whitening.Z @ shift
    assert direction.values @ step / np.linalg.norm(step) > 0.999


def lstm_cells(weights, x):
    """The cell after each of inputs (row, time, embedding), in float64: the equations.

    z = W^T x + U^T h + b,  c = f c + i tanh(z_c),  h = o tanh(c)
    """
    kernel, recurrent, bias = (
        weights[f"recurrent_1.{name}"].astype(np.float64)
        for name in ("kernel", "recurrent_kernel", "bias")
    )
    cell = hidden = np.zeros((len(x), len(recurrent)))
    cells = []
    for step in x.swapaxes(0, 1):
        z = np.split(step @ kernel + hidden @ recurrent + bias, 4, axis=1)
        i, f, o = (1 / (1 + np.exp(-z[k])) for k in (0, 1, 3))
        cell = f * cell + i * np.tanh(z[2])
        hidden = o * np.tanh(cell)
        cells.append(cell)
    return np.stack(cells, axis=1)


def mean_gradient(named, ids, positions, steps, max_delay):
    """Mean over positions of ds_{t+tau}/dg_t by central differences, g = D^-1 e."""
    size, context = 1e-4, 30  # after so many tokens the state has forgotten: f < 0.6
    inputs, sums = named["embedding"].astype(np.float64)[ids], 0
    for t in positions:
        begin = max(t - context, 0)
        moved = inputs[None, begin : t + max_delay + 1].repeat(2 * len(steps), axis=0)
        moved[:, t - begin] += size * np.concatenate([steps, -steps])
        forward, back = np.split(lstm_cells(named, moved)[:, t - begin :], 2)
        sums += (forward - back).transpose(1, 2, 0) / (2 * size)
    return sums / len(positions)  # (delay, state, direction)


def test_number_memory_equals_central_differences_of_each_subject():
    from state_gradients.models.language_model import weights

    model, max_delay = model_of(seed=2, initial_range=0.8), 6
    text = truth.generate(2_600, seed=8)
    found = agreement.number_memory(
        model, text, distances=[1, 4], max_delay=max_delay, dtype="float64"
    )
    named = weights(model)
    whitening = agreement.fit_whitening(named["embedding"])
    direction = agreement.number_direction(named["embedding"]).values
    positions, distance = agreement.subjects(text)
    for wanted in (1, 4):
        chosen, measured = positions[distance == wanted], found.sel(distance=wanted)
        gradient = mean_gradient(named, text.ids, chosen, whitening.D.T, max_delay)
        s = np.linalg.svd(gradient, compute_uv=False)
        response = np.linalg.norm(gradient @ direction, axis=1)
        # What stood before the context moves the state by 0.6^30 = 2e-7; truncation is
        # of order size^2 = 1e-8
        for name, expected in {
            "response": response,
            "memory": s[:, 0],
            "relative_memory": response / s[:, 0],
            "chance": np.sqrt((s**2).sum(axis=1) / 4) / s[:, 0],
        }.items():
            np.testing.assert_allclose(measured[name], expected, rtol=1e-4)
        assert measured["n_subjects"] == len(chosen)


def test_number_memory_refuses_distances_without_subjects(text):
    with pytest.raises(ValueError, match=r"needs 20 subjects, received \{1: .*, 70: 0"):
        agreement.number_memory(model_of(), text, distances=[1, 70], max_delay=3)


def test_a_swapped_number_stays_in_a_latch_until_the_next_noun(latch, text):
    max_delay = 8
    found = agreement.number_swaps(
        latch, text, distances=[2, 5, 90], max_delay=max_delay, n=10_000, seed=1
    )
    positions, distance = agreement.subjects(text)
    for wanted in (2, 5):
        chosen = positions[distance == wanted]
        chosen = chosen[chosen < len(text.ids) - max_delay - 1]
        assert found["n_subjects"].sel(distance=wanted) == len(chosen)
        held = np.zeros(max_delay + 1)
        for t in chosen:  # +1 and -1, up to 1 - tanh(4), until a noun says it anew
            for delay in range(max_delay + 1):
                between = text.tag[t + 1 : t + delay + 1]
                held[delay] += 2 * (not np.isin(between, truth.NOMINAL).any())
        change = found["change"].sel(distance=wanted)
        np.testing.assert_allclose(
            change.sel(swap="number"), held / len(chosen), atol=3e-3
        )
        np.testing.assert_array_equal(change.sel(swap="another noun"), 0)
    assert found["n_subjects"].sel(distance=90) == 0
    assert found["change"].sel(distance=90).isnull().all()


def test_a_noun_is_swapped_for_its_other_number_and_for_another_of_its_own(rng):
    index, tokens = truth.vocabulary().index, truth.vocabulary().tokens
    drawn = [agreement._instead(index["child"], rng) for _ in range(300)]
    assert {tokens[other] for other, _ in drawn} == {"children"}
    assert {tokens[k] for _, k in drawn} == {*rules.LEXICON["noun.NN"]} - {"child"}
    other, another = agreement._instead(index["wolves"], rng)
    assert tokens[other] == "wolf"
    assert tokens[another] in rules.LEXICON["noun.NNS"]


def test_curves_are_aligned_at_the_verb():
    delay = np.arange(6)
    found = xr.Dataset(
        {
            "memory": (("distance", "delay"), 10 * np.array([[1], [3]]) + delay),
            "n_subjects": ("distance", [7, 8]),
        },
        coords={"distance": [1, 3], "delay": delay},
    )
    aligned = agreement.around_the_verb(found, before=2, after=3)
    nan = np.nan
    assert aligned["memory"].dims == ("distance", "offset")
    np.testing.assert_array_equal(aligned["offset"], [-2, -1, 0, 1, 2, 3])
    np.testing.assert_array_equal(
        aligned["memory"], [[nan, 10, 11, 12, 13, 14], [31, 32, 33, 34, 35, nan]]
    )
    np.testing.assert_array_equal(aligned["n_subjects"], [7, 8])


def test_gold_tags_are_those_of_the_training_text(monkeypatch):
    monkeypatch.setattr(truth, "SIZES", {"train": 20_000, "valid": 100, "test": 100})
    corpus = settings.Corpus(name="grammar", vocabulary_size=None)
    seen = gold.read_tags(corpus)
    text = truth.labels(corpus, "train")
    words = truth.vocabulary().decode(text.ids)
    n = seen["n_tagged"]
    assert n.sel(tag="WDT", vocabulary="that") == sum(
        (word, tag) == ("that", "WDT")
        for word, tag in zip(words, text.tag, strict=True)
    )
    assert n.sel(tag="IN", vocabulary="that") > 0
    assert n.sum() == (text.tag != "").sum()
    assert n.sel(vocabulary="<eos>").sum() == 0
    assert set(seen["tag"].values) <= set(tags.PTB_OF_BROWN.values())
    singular, plural = tags.halves(seen, "singular - plural")
    assert bool(singular.sel(vocabulary="dog"))
    assert bool(plural.sel(vocabulary="smiths"))
    genitive, host = tags.halves(seen, "genitive - non-genitive")
    assert bool(genitive.sel(vocabulary="dogs'"))
    assert bool(host.sel(vocabulary="dogs"))
    experiment = settings.Experiment(name="grammar-lstm-64", corpus=corpus)
    assert Subject(experiment=experiment).tags.identical(seen)
