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


def test_counts_cap_and_sum_what_accuracy_shares():
    found = xr.Dataset(
        {"log_odds": ("verb", [1.0, -1, 2, 3, -0.5]), "share": ("verb", [0.5] * 5)},
        coords={
            "number": ("verb", ["plural", "plural", "singular", "plural", "plural"]),
            "distance": ("verb", [1, 1, 2, 4, 9]),
        },
    )
    right, n = agreement.counts(found, ["number", "distance"], most={"distance": 3})
    np.testing.assert_array_equal(right["distance"], [1, 2, 3])
    np.testing.assert_array_equal(right.sel(number="plural"), [1, 0, 1])
    np.testing.assert_array_equal(n.sel(number="plural"), [2, 0, 2])
    np.testing.assert_array_equal(n.sel(number="singular"), [0, 1, 0])
    each = agreement.with_intervals(right, n)
    shares = each["accuracy"].sel(number="plural")
    np.testing.assert_array_equal(shares, [0.5, np.nan, 0.5])
    # Wilson of 1 in 2: 1/2 -+ z / 2 sqrt(2 + z^2), and none of nothing
    half = 1.959964 / 2 / np.sqrt(2 + 1.959964**2)
    lower = each["lower"].sel(number="plural")
    np.testing.assert_allclose(lower, [0.5 - half, np.nan, 0.5 - half], rtol=1e-6)
    np.testing.assert_allclose(each["upper"].sel(number="singular")[1], 1)
    assert each["accuracy"].sel(number="singular")[1] == 1  # one of one


def test_degrees_call_for_than_and_of():
    from state_gradients.models.language_model import set_weights

    model = model_of(units=3, embedding_size=2)
    index = truth.vocabulary().index
    bias = np.zeros(N_TYPES)
    bias[index["than"]] = 2  # whatever stands before it
    kernel = np.zeros((3, N_TYPES))
    set_weights(model, {"logits.kernel": kernel, "logits.bias": bias})
    text = truth.generate(12_000, seed=3, variant="grammar-degrees-5x")
    found = agreement.degree_preferences(model, text)
    words = truth.vocabulary().decode(text.ids)
    behind = [
        words[k]
        for k in range(len(words))
        if text.tag[k] == "IN" and text.controller[k] >= 0
    ]
    assert set(behind) == {"than", "of"}
    expected = {"than": ("comparative", 2), "of": ("superlative", -2)}
    assert found["degree"].values.tolist() == [expected[word][0] for word in behind]
    np.testing.assert_allclose(
        found["log_odds"], [expected[word][1] for word in behind], atol=1e-6
    )


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
