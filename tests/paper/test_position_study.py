"""Where the memory is wanted: replaced words by hand, rank correlations, their null."""

import numpy as np
import pytest
import xarray as xr
from scipy import stats

from state_gradients.analysis.whitening import fit_whitening
from state_gradients.engine.means import mean_state_gradients
from state_gradients.engine.network import read_network
from state_gradients.foundation import settings
from state_gradients.models import evaluation, language_model
from state_gradients.paper import stages
from state_gradients.paper.language import positions, replacements, surprisal, tags
from state_gradients.paper.language.subject import Subject
from state_gradients.project import artifacts
from state_gradients.text.vocabulary import EOS

N_TYPES, UNITS, SIZE = 15, 6, 4
DELAYS = 0, 1, 3, 7


def build(cell="lstm", layers=1):
    config = settings.Model(cell=cell, units=UNITS, embedding_size=SIZE, layers=layers)
    model = language_model.build_language_model(config, N_TYPES, seed=5)
    for variable in model.trainable_variables:
        if len(variable.shape) > 1:  # uniform(-0.75, 0.75): gates that curve
            variable.assign(variable.value * 15)
    return model


def softmax_of(model):
    named = language_model.weights(model)
    return [named[f"logits.{part}"].astype(float) for part in ("kernel", "bias")]


def log_p_through_keras(model, ids):
    """Return ln p of the word after the last of `ids`, (vocabulary,)."""
    logits = np.float64(model(np.asarray(ids)[None]))[0, -1]
    return logits - np.log(np.exp(logits).sum())


@pytest.fixture
def ids(rng):
    return rng.integers(N_TYPES, size=60)


@pytest.fixture
def places():
    return np.array([8, 9, 20, 41])


@pytest.fixture
def substitutes(ids, places):
    return (ids[places] + 3) % N_TYPES


def follow(model, ids, places, substitutes, layers=1):
    network = read_network(model, n_layers=layers, dtype="float64")
    softmax = softmax_of(model)
    found = replacements.follow(network, softmax, ids, places, substitutes, DELAYS)
    dims = {name: (axes, values) for name, (axes, values) in found.items()}
    return xr.Dataset(
        dims, coords={"delay": [*DELAYS], "scale": [*replacements.SCALES]}
    )


@pytest.mark.parametrize(
    ("cell", "layers"), [("lstm", 1), ("gru", 1), ("rnn", 1), ("lstm", 2)]
)
def test_a_replaced_word_does_what_keras_does_with_it(
    ids, places, substitutes, cell, layers
):
    model = build(cell, layers)
    found = follow(model, ids, places, substitutes, layers).sel(scale=1)
    for k, (place, other) in enumerate(zip(places, substitutes, strict=True)):
        replaced = ids.copy()
        replaced[place] = other
        for delay in DELAYS:
            t = place + delay + 1
            p, q = (log_p_through_keras(model, x[:t]) for x in (ids, replaced))
            one = found.isel(place=k).sel(delay=delay)
            # ln p in float32: 1e-6
            np.testing.assert_allclose(one["cost"], (p - q)[ids[t]], atol=5e-6)
            np.testing.assert_allclose(one["kl"], np.exp(p) @ (p - q), atol=5e-6)
            late = log_p_through_keras(model, ids[place:t])  # nothing before the place
            np.testing.assert_allclose(one["late_cost"], (p - late)[ids[t]], atol=5e-6)
            np.testing.assert_allclose(
                one["late_kl"], np.exp(p) @ (p - late), atol=5e-6
            )


def test_what_is_linear_is_the_engines_gradient(ids, places, substitutes):
    model = build()
    found = follow(model, ids, places, substitutes)
    alone = np.arange(len(ids)) == places[:, None]
    gradients = mean_state_gradients(
        model,
        ids,
        max_delay=max(DELAYS),
        state=("hidden", "cell"),
        positions=alone,
        dtype="float64",
    )["state_gradient"].sel(delay=[*DELAYS])
    table = language_model.weights(model)["embedding"].astype(float)
    step = xr.DataArray(
        table[substitutes] - table[ids[places]], dims=("group", "embedding")
    )
    moved = (gradients * step).sum("embedding").transpose(..., "group", "state").values
    # the central difference errs by 1e-8 of the third order
    lengths = np.linalg.norm(moved, axis=-1)
    np.testing.assert_allclose(found["linear_change"], lengths, rtol=1e-6)
    kernel, _ = softmax_of(model)
    for k, place in enumerate(places):
        for j, delay in enumerate(DELAYS):
            p = np.exp(log_p_through_keras(model, ids[: place + delay + 1]))
            fisher = kernel @ (np.diag(p) - np.outer(p, p)) @ kernel.T
            x = moved[0, j, k]  # the hidden state
            # p in float32
            form = found["quadratic"].isel(place=k, delay=j)
            np.testing.assert_allclose(form, x @ fisher @ x / 2, rtol=2e-5)


def test_a_small_step_does_what_is_linear_and_a_large_one_does_not(
    ids, places, substitutes, monkeypatch
):
    model = build()
    monkeypatch.setattr(replacements, "SCALES", (1e-4, 1e-3, 1.0))
    network = read_network(model, dtype="float64")
    found = replacements.follow(
        network, softmax_of(model), ids, places, substitutes, DELAYS
    )
    kl, form = found["kl"][1], found["quadratic"][1]
    change, linear = found["change"][1], found["linear_change"][1]
    for k, scale in enumerate((1e-4, 1e-3)):
        # first order beside the second, a constant times the scale
        np.testing.assert_allclose(
            change[:, k], scale * linear, rtol=30 * scale, atol=1e-12
        )
        np.testing.assert_allclose(
            kl[:, k], scale**2 * form, rtol=60 * scale, atol=1e-15
        )
    real = found["quadratic_of_change"][1]
    np.testing.assert_allclose(real[:, 0], 1e-8 * form, rtol=60e-4)
    assert np.abs(np.log(kl[:, 2] / form)).max() > 0.1
    assert (found["cosine"][1][:, 0] > 0.9999).all()
    assert found["cosine"][1][:, 2].min() < 0.99


def test_words_are_of_the_class_that_they_were_seen_in_most_often():
    n_tagged = xr.DataArray(
        [[2, 0, 0, 1], [2, 0, 0, 0], [3, 0, 0, 2], [0, 7, 0, 0]],
        dims=("tag", "vocabulary"),
        coords={"tag": ["NN", "NNS", "VB", "CD"]},
    )
    noun, verb = (list(tags.CLASSES).index(name) for name in ("N", "V"))
    assert replacements.classes_of(n_tagged).tolist() == [noun, -1, -1, verb]


def test_peers_share_class_and_octave_of_their_counts():
    counts = np.array([8, 15, 16, 9, 8, 0, 10])
    assert replacements.octaves(counts).tolist() == [3, 3, 4, 3, 3, -1, 3]
    classes = np.array([0, 0, 0, 1, 0, 0, -1])
    found = replacements.peers_of(classes, counts)
    assert {k: v.tolist() for k, v in found.items()} == {
        0: [1, 4],
        1: [0, 4],
        4: [0, 1],
    }


def test_places_are_drawn_once_among_words_that_have_peers():
    ids = np.array([0, 1, 2, 0, 2, 1, 0, 2, 1, 1])
    peers = {0: np.array([1, 3]), 1: np.array([0, 3])}
    options = {"first": 2, "last": 9, "seed": 1}
    places, others, share = replacements.draw(ids, peers, n=3, **options)
    assert len({*places.tolist()}) == 3 and (np.diff(places) > 0).all()
    every, others, share = replacements.draw(ids, peers, n=30, **options)
    assert every.tolist() == [3, 5, 6, 8]
    assert all(b in peers[a] for a, b in zip(ids[every].tolist(), others, strict=True))
    assert share == 0.7
    with pytest.raises(ValueError, match=r"two words of the text .* received 1 such"):
        replacements.draw(ids, {0: np.array([1])}, first=4, last=9, n=3, seed=1)


def observed_of(rng, n=1_500, *, slope=0.0, smooth=0.0, n_columns=1):
    """Surprisal and memories, related by `slope`, both of them slow if `smooth`."""
    noise = rng.normal(size=(n, 1 + n_columns))
    for t in range(1, n):
        noise[t] += smooth * noise[t - 1]
    octave = rng.integers(3, size=n)
    return surprisal.Observed(
        surprisal=noise[:, 0] + slope * noise[:, 1] + octave,
        memory=noise[:, 1:] + octave[:, None],
        octave=octave,
        frequency=2**octave + rng.integers(2, size=n),
        before=rng.normal(size=n),
        last=rng.integers(9, size=n),
        begun=rng.integers(20, size=n),
    )


def test_each_control_is_its_definition(rng):
    observed = observed_of(rng, slope=0.5, n_columns=2)
    found = surprisal.correlations(observed)
    for k in range(2):
        memory = observed.memory[:, k]
        plain = stats.spearmanr(observed.surprisal, memory).statistic
        np.testing.assert_allclose(found[0, k], plain, rtol=1e-12)
        rhos, sizes = [], []
        by_octave = np.empty((5, len(memory)))
        columns = observed.surprisal, memory, observed.frequency, observed.before
        columns += (observed.begun,)
        for octave in range(3):
            there = observed.octave == octave
            n = there.sum()
            rhos.append(
                stats.spearmanr(observed.surprisal[there], memory[there]).statistic
            )
            sizes.append(n)
            for row, column in zip(by_octave, columns, strict=True):
                row[there] = (stats.rankdata(column[there]) - (n + 1) / 2) / n
        # groups of 500 weigh alike to 1 / n^2
        np.testing.assert_allclose(
            found[1, k], np.average(rhos, weights=sizes), atol=1e-4
        )
        dummies = (observed.last[:, None] == np.arange(9)).astype(float)
        ones = np.ones((len(memory), 1))
        designs = (
            np.hstack([ones, by_octave[2:4].T]),
            np.hstack([dummies, by_octave[2:].T]),
        )
        for control, design in zip((2, 3), designs, strict=True):
            x, y = (
                one - design @ np.linalg.lstsq(design, one, rcond=None)[0]
                for one in by_octave[:2]
            )
            np.testing.assert_allclose(
                found[control, k], np.corrcoef(x, y)[0, 1], atol=1e-12
            )


def test_what_stands_beside_a_position_is_what_the_text_has_there():
    ids = np.array([2, 0, 1, 1, 0, 2, 2])
    losses = np.arange(6) / 10  # of the word after each
    tokens, counts = np.array([EOS, "a", "b"]), np.array([40, 9, 2])
    memory = np.arange(14.0).reshape(7, 2)
    found = surprisal.observe(
        losses, memory, ids, tokens, counts, np.array([1, 2, 3, 4, 5])
    )
    np.testing.assert_array_equal(found.surprisal, [0.1, 0.2, 0.3, 0.4, 0.5])
    np.testing.assert_array_equal(found.before, [0, 0.1, 0.2, 0.3, 0.4])
    np.testing.assert_array_equal(found.memory, memory[1:6])
    assert found.frequency.tolist() == [9, 9, 40, 2, 2]
    assert found.octave.tolist() == [3, 3, 5, 1, 1]
    assert found.last.tolist() == [0, 1, 1, 0, 2]
    assert found.begun.tolist() == [0, 1, 2, 0, 1]


def test_by_octave_and_by_tenth_by_hand(rng):
    observed = observed_of(rng, slope=1.0)
    octave, n, found = surprisal.by_octave(observed)
    assert octave.tolist() == [0, 1, 2] and n.sum() == 1_500
    excess = observed.surprisal.copy()
    tenth = np.empty(1_500, int)
    for one in range(3):
        there = observed.octave == one
        rho = stats.spearmanr(observed.surprisal[there], observed.memory[there, 0])
        np.testing.assert_allclose(found[one, 0], rho.statistic, rtol=1e-12)
        excess[there] -= excess[there].mean()
        # a rank on the edge of two tenths may fall to either: as it rounds here
        rank, size = stats.rankdata(observed.memory[there, 0]), there.sum()
        tenth[there] = np.minimum(((rank - (size + 1) / 2) / size + 0.5) * 10, 9)
    table = surprisal.excess_by_tenth(observed)
    means = [excess[tenth == k].mean() for k in range(10)]
    np.testing.assert_allclose(table[:, 0], means, atol=1e-12)
    assert (np.diff(table[:, 0]) > 0).all()


@pytest.mark.slow
def test_bands_and_intervals_cover_what_they_should(monkeypatch):
    """120 texts whose memory says nothing, half of it kept from word to word."""
    monkeypatch.setattr(surprisal, "N_NULL", 100)
    monkeypatch.setattr(surprisal, "N_RESAMPLES", 60)
    options = {"longest_delay": 9, "seed": 1}
    within = np.zeros(3)
    for seed in range(120):
        observed = observed_of(np.random.default_rng(seed), 1_200, smooth=0.8)
        found = surprisal.correlations(observed)[1, 0]
        lower, upper = (
            end[:, 1, 0] for end in surprisal.null_bands(observed, **options)
        )
        within[:2] += (lower <= found) & (found <= upper)
        lower, upper = (end[1, 0] for end in surprisal.intervals(observed, **options))
        within[2] += lower <= 0 <= upper
    shuffled, moved, interval = within / 120
    # 95 % of 120 are 114 +- 2.4; 24 blocks and 60 draws make the interval a bit narrow
    assert moved > 0.89 and interval > 0.87
    assert shuffled < 0.85  # it takes neighbours for independent, and is too narrow


def test_the_interval_of_a_real_relation_does_not_hold_zero(rng):
    observed = observed_of(rng, slope=0.5)
    lower, upper = surprisal.intervals(observed, longest_delay=5, seed=1)
    estimate = surprisal.correlations(observed)
    assert (lower > 0.3).all() and (lower < estimate).all() and (estimate < upper).all()
    null_lower, null_upper = surprisal.null_bands(observed, longest_delay=5, seed=1)
    assert null_lower.shape == (2, 4, 1)
    assert (null_lower < 0).all() and (null_upper > 0).all()
    assert null_upper.max() < 0.1


PARAMS = """
baseline:
  corpus: {name: mine, vocabulary_size: 20, train: a.txt, valid: a.txt, test: a.txt}
  model: {units: 7, embedding_size: 4, initial_range: 0.8}
  training: {batch_size: 2, num_steps: 10, max_epochs: 1}
  gradients: {max_delay: 6, blocks: null}
  language: {studies: [positions]}
experiments:
  lstm: {}
  gru: {model: {cell: gru}}
  lstm-layers: {model: {layers: 2}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A text of 500 words whose nouns are half of its types."""
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    (tmp_path / "params.yaml").write_text(PARAMS)
    rng = np.random.default_rng(4)
    words = rng.choice(24, size=(50, 9), p=np.arange(1, 25) / 300)
    lines = [" ".join(f"w{k}" for k in line) for line in words]
    (tmp_path / "a.txt").write_text("\n".join(lines) + "\n")

    def read_tags(tokens):
        nouns = np.array([token[-1] in "02468" for token in tokens])
        n_tagged = np.array([nouns, ~nouns & (np.array(tokens) != EOS)]).astype(int)
        return xr.Dataset(
            {"n_tagged": (("tag", "vocabulary"), n_tagged)},
            coords={"tag": ["NN", "VB"], "vocabulary": list(tokens)},
        )

    monkeypatch.setattr(tags, "read_tags", read_tags)
    return tmp_path


@pytest.mark.parametrize("name", ["lstm", "gru", "lstm-layers"])
def test_the_stage_writes_what_the_pieces_give(project, name):
    experiment = settings.load_experiment(name)
    stages.run_train(experiment, progress=False)
    stages.RUN["positions"](experiment)
    found = artifacts.load(name, "positions")
    subject = Subject(experiment=experiment)
    losses, _ = evaluation.token_losses(
        subject.predictor, subject.ids, batch_size=1, num_steps=1
    )
    np.testing.assert_array_equal(found["surprisal"], losses[0])
    whitening = fit_whitening(subject.encoder["embedding"])
    means = mean_state_gradients(
        subject.predictor, subject.ids[:-1], max_delay=6, second_moment=True
    )
    D, moment = whitening.D, means["second_moment"].sel(delay=found["delay"]).values
    squares = (found["memory"].astype(float) ** 2).mean("position")
    np.testing.assert_allclose(
        squares, np.einsum("dab,ac,bc->d", moment, D, D), rtol=1e-5
    )
    assert found["delay"].values.tolist() == [0, 1, 2, 3, 5, 6]
    assert found["by_class"].item() == 1
    last = "cell" if "lstm" in name else "hidden"
    assert found["state_kind"].values[-1] == last
    # what is kept of the cell at the places is what the text has there
    for j, delay in enumerate(found["delay"].values):
        np.testing.assert_array_equal(
            found["memory_of_place"][j],
            found["memory"].values[found["place"].values + delay, j],
        )
    words, others = found["word"].values, found["substitute"].values
    is_noun, stays_noun = (
        np.array([word[-1] in "02468" for word in drawn]) for drawn in (words, others)
    )
    np.testing.assert_array_equal(is_noun, stays_noun)
    assert (words != others).all() and EOS not in words
    for name_of, dims in (("kl", ("place",)), ("late_cost", ("place",))):
        np.testing.assert_allclose(
            found[f"mean_{name_of}"], found[name_of].astype(float).mean(dims), rtol=1e-5
        )
    rho = stats.spearmanr(
        found["quadratic"].sel(delay=2), found["kl"].sel(delay=2, scale=0.5)
    )
    of_form = found["prediction"].sel(predictor="distribution", delay=2, scale=0.5)
    np.testing.assert_allclose(of_form, rho.statistic, atol=1e-6)
    ratio = 0.25 * found["quadratic"] / found["kl"].sel(scale=0.5)
    np.testing.assert_allclose(
        found["kl_ratio"].sel(scale=0.5, quantile=0.5), ratio.median("place"), rtol=1e-4
    )
    last_state = found.isel(state_kind=-1)
    ratio = 0.25 * last_state["linear_change"] / last_state["change"].sel(scale=0.25)
    np.testing.assert_allclose(
        last_state["state_ratio"].sel(scale=0.25, quantile=0.9),
        ratio.quantile(0.9, "place"),
        rtol=1e-5,
    )
    rows = found[["linear_change", "change"]].isel(state_kind=-1).sel(delay=3)
    rho = stats.spearmanr(rows["linear_change"], rows["change"].sel(scale=1))
    of_state = found["state_prediction"].isel(state_kind=-1).sel(delay=3, scale=1)
    np.testing.assert_allclose(of_state, rho.statistic, atol=1e-6)


def test_a_text_without_tags_replaces_by_frequency_but_no_end_of_line(project):
    experiment = settings.load_experiment("lstm")
    subject = Subject(experiment=experiment)
    tokens = np.array(subject.text.vocabulary.tokens)
    counts = np.array(subject.text.vocabulary.counts)
    none = np.zeros((1, len(tokens)), int)
    n_tagged = xr.DataArray(none, {"tag": ["NN"]}, ("tag", "vocabulary"))
    subject.__dict__["tags"] = xr.Dataset({"n_tagged": n_tagged})
    peers, by_class = positions._peers(subject, subject.ids, tokens, counts)
    assert by_class == 0
    octave = replacements.octaves(counts)
    special = np.isin(tokens, [EOS, "<unk>"])
    for k in range(len(tokens)):
        alike = (octave == octave[k]) & ~special & (np.arange(len(tokens)) != k)
        expected = [] if special[k] else np.flatnonzero(alike).tolist()
        assert peers.get(k, np.zeros(0)).tolist() == expected
