"""Word classes: means against central differences, curves and controls by loops."""

import functools

import numpy as np
import pytest
import xarray as xr
from scipy.special import expit
from scipy.stats import spearmanr

from state_gradients.analysis import spectra, uncertainty
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import settings
from state_gradients.models import language_model
from state_gradients.paper import stages
from state_gradients.paper.language import classes
from state_gradients.paper.language.subject import Subject
from state_gradients.text.vocabulary import Vocabulary

WORDS = ["firm", "firm's", "run", "runs", "ran", "cats", "red", "redder", "the", "x"]
# How often each was seen with each tag; once in a hundred times "the" by error
TAGGED = {
    "NN": {"firm": 9, "firm's": 2, "run": 3, "the": 1},
    "NNS": {"cats": 5, "runs": 1},
    "VBP": {"run": 4},
    "VBZ": {"runs": 8},
    "VBD": {"ran": 7},
    "JJ": {"red": 6},
    "JJR": {"redder": 1},
    "DT": {"the": 99},
}
USUAL = {
    "N": ["firm", "firm's", "run", "cats", "runs"],
    "V": ["run", "runs", "ran"],
    "Adj": ["red", "redder"],
    "Det": ["the"],
}
EVERY = USUAL | {"N": [*USUAL["N"], "the"]}
COUNTS = np.array([9, 8, 10, 11, 12, 40, 41, 9, 300, 9])
T, MAX_DELAY, SEED = 120, 2, 2
N_BLOCKS = 8  # of 15 tokens


def build_subject(cell):
    """A random network on a text of ten words, of which x has no tag."""
    table = [[seen.get(word, 0) for word in WORDS] for seen in TAGGED.values()]
    experiment = settings.Experiment(
        name="mine",
        model=settings.Model(cell=cell, units=5, embedding_size=3, initial_range=0.8),
        training=settings.Training(seed=SEED),
        gradients=settings.Gradients(max_delay=MAX_DELAY),
    )
    model = language_model.build_language_model(experiment.model, len(WORDS), seed=1)
    named = language_model.weights(model)
    encoder = {k: v for k, v in named.items() if "logits" not in k}
    vocabulary = Vocabulary(tokens=tuple(WORDS), counts=COUNTS)
    known = {  # instead of what it would read
        "ids": np.random.default_rng(5).integers(len(WORDS), size=T),
        "tags": xr.Dataset(
            {
                "n_tagged": (("tag", "vocabulary"), np.array(table)),
                "by_brown": ("vocabulary", [word == "red" for word in WORDS]),
            },
            coords={"tag": list(TAGGED), "vocabulary": WORDS},
        ),
        "encoder": stages._weights(encoder, vocabulary),
        "model": model,
    }
    found = Subject(experiment=experiment)
    found.__dict__.update(known)
    return found


@pytest.fixture(scope="module")
def subject():
    return build_subject("gru")


few_resamples = functools.partial(uncertainty.block_bootstrap, n_resamples=5)


def study(subject):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(classes, "FEWEST", 5)
        patch.setattr(classes, "BATCH", 16)  # of some 80 atoms
        patch.setattr(classes.uncertainty, "block_bootstrap", few_resamples)
        return classes.study(subject)


@pytest.fixture(scope="module")
def made(subject):
    return study(subject)


def step(x, h, weights):
    """One step of a GRU with the reset gate before the product; rows are examples."""
    kernel, recurrent, bias = weights
    z, r, candidate = np.split(x @ kernel + bias, 3, axis=-1)
    of_z, of_r, of_candidate = np.split(recurrent, 3, axis=-1)
    z, r = expit(z + h @ of_z), expit(r + h @ of_r)
    return z * h + (1 - z) * np.tanh(candidate + (r * h) @ of_candidate)


def central_differences(subject, sources):
    """Return the mean of dh_t/de_source by delay, and how many each is over."""
    encoder, eps = subject.encoder, 1e-5
    names = ("kernel", "recurrent_kernel", "bias")
    weights = [encoder[f"recurrent_1.{name}"].values.astype(float) for name in names]
    embedded = encoder["embedding"].values.astype(float)[subject.ids]
    steps = eps * np.concatenate([np.eye(3), -np.eye(3)])
    total, count = np.zeros((MAX_DELAY + 1, 5, 3)), np.zeros(MAX_DELAY + 1)
    h = np.zeros(5)
    for source in range(T):
        other = np.tile(h, (6, 1))
        h = step(embedded[source], h, weights)
        for delay in range(
            min(MAX_DELAY, T - 1 - source) + 1 if sources[source] else 0
        ):
            moved = embedded[source + delay] + (0 if delay else steps)
            other = step(moved, other, weights)
            total[delay] += (other[:3] - other[3:]).T / (2 * eps)
            count[delay] += 1
    return total / count[:, None, None], count


def places(subject, words):
    return np.isin(subject.ids, [WORDS.index(word) for word in words])


@pytest.mark.parametrize(
    ("group", "words"),
    [
        ("all words", WORDS),
        ("V", ["run", "runs", "ran"]),
        ("Det", ["the"]),
        ("N", ["firm", "firm's", "run", "cats", "runs"]),
        ("N: every tag", ["firm", "firm's", "run", "cats", "runs", "the"]),
        ("singular - plural: second", ["cats", "runs"]),
        ("genitive - non-genitive: first", ["firm's"]),
        ("genitive - non-genitive: either", ["firm", "firm's"]),
        ("3rd - non-3rd: second", ["run"]),
        ("base - comparative: either", ["red", "redder"]),
    ],
)
def test_means_are_those_of_central_differences(subject, made, group, words):
    mean, count = central_differences(subject, places(subject, words))
    found = made["class_gradients"].sel(group=group)
    np.testing.assert_array_equal(found["n_samples"], count)
    # float32 chains, at most 16 atoms summed in it; truncation 1e-10
    np.testing.assert_allclose(found["state_gradient"], mean, rtol=0, atol=1e-6)


def test_groups_without_an_input_are_left_out(made):
    names = made["class_gradients"]["group"].values
    assert "base - superlative: second" not in names
    assert "common - proper: first" in names
    assert made["classes"]["group"].values.tolist() == ["N", "V", "Adj", "Det"]


def drawn_of(subject):
    of_class = np.array([places(subject, words) for words in USUAL.values()])
    return classes.draw_equal_numbers(of_class, seed=SEED)


def positions(subject):
    """The inputs of each class by the three ways to choose them."""
    every, usual = (
        np.array([places(subject, words) for words in held.values()])
        for held in (EVERY, USUAL)
    )
    ways = every, usual, drawn_of(subject)
    return dict(zip(classes.DRAWS, ways, strict=True))


@pytest.mark.parametrize("draw", classes.DRAWS)
def test_curves_and_intervals_are_those_of_the_blocks_means(subject, made, draw):
    blocks = mean_state_gradients(
        subject.model,
        subject.ids,
        max_delay=MAX_DELAY,
        positions=positions(subject)[draw],
        blocks=N_BLOCKS,
    )
    table = subject.encoder["embedding"].values.astype(float)
    whitened = blocks.assign(
        state_gradient=blocks["state_gradient"]
        .dot(xr.DataArray(np.linalg.cholesky(np.cov(table.T)), dims=("embedding", "g")))
        .rename(g="embedding")
    )
    found = made["classes"].sel(draw=draw)
    share = blocks["n_samples"] / blocks["n_samples"].sum("block")
    for normalization, one in (("raw", blocks), ("whitened", whitened)):
        text = (one["state_gradient"].fillna(0) * share).sum("block")
        expected = spectra.memory_curve(text)
        for name in classes.CURVES:
            np.testing.assert_allclose(
                found[name].sel(normalization=normalization),
                expected[name],
                rtol=1e-5,  # float32 chains
            )
    expected = few_resamples(whitened, spectra.memory_curve, seed=0)
    for end in ("estimate", "lower", "upper"):  # of the whitened
        np.testing.assert_allclose(
            found[end].transpose("quantity", "group", "delay"),
            expected[end].sel(quantity=list(classes.CURVES)),
            rtol=1e-4,
            atol=1e-6,
        )


def test_the_order_is_compared_with_that_of_the_memory_at_delay_0(made):
    found = made["classes"]
    for draw in classes.DRAWS:
        for normalization in ("raw", "whitened"):
            one = found.sel(draw=draw, normalization=normalization)
            for delay in range(MAX_DELAY + 1):
                pair = one["memory"].sel(delay=0), one["total"].sel(delay=delay)
                rank = float(one["order_correlation"].sel(delay=delay))
                assert rank == pytest.approx(spearmanr(*pair)[0])


def test_shuffled_classes_are_those_of_the_exchanged_types(subject, made):
    can_be = np.array([[w in words for w in WORDS] for words in USUAL.values()])
    tagged = np.array([word != "x" for word in WORDS])
    shuffled = classes.shuffle_tags(can_be, COUNTS, tagged, seed=SEED)
    assert len(shuffled) == classes.N_SHUFFLES
    for number in (0, 7, 18):
        of_class = shuffled[number][:, subject.ids]
        found = made["classes"].sel(normalization="raw").isel(shuffle=number)
        inputs, same = of_class.sum(1), (of_class & can_be[:, subject.ids]).sum(1)
        np.testing.assert_array_equal(found["shuffled_inputs"], inputs)
        np.testing.assert_allclose(found["shuffled_unmoved"], same / inputs)
        mean = mean_state_gradients(
            subject.model, subject.ids, max_delay=MAX_DELAY, positions=of_class
        )
        expected = spectra.memory_curve(mean["state_gradient"])
        for name in classes.CURVES:
            np.testing.assert_allclose(
                found[f"shuffled_{name}"], expected[name], rtol=1e-5
            )


def test_words_are_counted(subject, made):
    found, words = made["classes"], np.array(WORDS)[subject.ids]
    for draw, chosen in positions(subject).items():
        for group, rows in zip(USUAL, chosen, strict=True):
            one = found.sel(draw=draw, group=group)
            assert one["n_inputs"] == sum(rows)
            assert one["n_types"] == len({*words[rows]})
            counts = [COUNTS[WORDS.index(word)] for word in words[rows]]
            mean = np.prod(np.power(counts, 1 / len(counts), dtype=float))
            assert float(one["frequency"]) == pytest.approx(mean)
    in_tokens = [np.mean((words != "x") & (words != "red")), np.mean(words != "x")]
    np.testing.assert_allclose(found["coverage_types"], [0.8, 0.9])
    np.testing.assert_allclose(found["coverage_tokens"], in_tokens)


def test_equal_numbers_are_drawn_evenly_from_each_class():
    of_class = np.array([[1, 1, 1, 1, 1, 0], [0, 0, 1, 1, 0, 0], [0, 1, 1, 1, 0, 0]])
    of_class = of_class.astype(bool)
    n = 2_000
    drawn = [classes.draw_equal_numbers(of_class, seed=k) for k in range(n)]
    assert all((one.sum(axis=1) == 2).all() for one in drawn)
    expected = of_class * 2 / of_class.sum(axis=1, keepdims=True)
    # four standard errors of a share: sqrt(p (1 - p) / n) <= 0.011
    np.testing.assert_allclose(np.mean(drawn, axis=0), expected, rtol=0, atol=0.045)
    again = classes.draw_equal_numbers(of_class, seed=0)
    np.testing.assert_array_equal(again, drawn[0])


def test_shuffling_moves_whole_types_within_their_frequency_only():
    can_be = np.array([[1, 0, 0, 1, 0, 1, 0], [1, 0, 1, 0, 0, 1, 0]], dtype=bool)
    counts = np.array([5, 4, 7, 8, 15, 6, 9])  # bins: 4 to 7, 8 to 15
    tagged = np.array([1, 1, 1, 1, 1, 0, 0], dtype=bool)
    shuffled = classes.shuffle_tags(can_be, counts, tagged, seed=1, n_shuffles=3_000)
    np.testing.assert_array_equal(
        shuffled[..., 5:], can_be[None, :, 5:].repeat(3_000, 0)
    )
    for places in ([0, 1, 2], [3, 4]):
        before = sorted(map(tuple, can_be[:, places].T.tolist()))
        for one in shuffled[:50]:
            assert sorted(map(tuple, one[:, places].T.tolist())) == before
    # each type has each kind of membership equally often: one in three, one in two
    n_both = shuffled.all(axis=1)[:, :3].mean(axis=0)
    np.testing.assert_allclose(n_both, 1 / 3, rtol=0, atol=0.035)  # four SE
    assert shuffled[:, 0, 3].mean() == pytest.approx(0.5, abs=0.04)


def test_classes_that_are_chance_lie_below_all_shuffles_once_in_twenty(rng):
    """The null band's size: real classes that depend on nothing but frequency."""
    n_types, n_runs = 60, 600
    counts = rng.integers(4, 64, size=n_types)
    per_type = rng.normal(size=n_types) - np.log(counts)  # rarer types have more
    tagged, below = np.ones(n_types, dtype=bool), 0
    start = counts[None] > 20  # no chance at all: a class of frequent types, shuffled
    for k in range(n_runs):
        real = classes.shuffle_tags(start, counts, tagged, seed=[k, 0], n_shuffles=1)[0]
        others = classes.shuffle_tags(real, counts, tagged, seed=[k, 1])
        statistic = [(one[0] * counts) @ per_type for one in (real, *others)]
        below += statistic[0] < min(statistic[1:])
    # 1 in 20, and four standard errors sqrt(0.05 * 0.95 / 600) = 0.009
    assert below / n_runs == pytest.approx(1 / 20, abs=0.036)


def test_atoms_are_one_block_one_type_and_the_same_draws(rng):
    ids, drawn = rng.integers(4, size=50), rng.random((2, 50)) < 0.5
    atoms = classes.sort_inputs(ids, drawn, 3)
    blocks = np.repeat([0, 1, 2], [17, 17, 16])
    np.testing.assert_array_equal(atoms.types[atoms.inputs], ids)
    np.testing.assert_array_equal(atoms.blocks[atoms.inputs], blocks)
    np.testing.assert_array_equal(atoms.drawn[:, atoms.inputs], drawn)
    kinds = {*zip(blocks, ids, *drawn, strict=True)}
    assert len(atoms.types) == len(kinds)


def test_an_lstms_cell_is_looked_at():
    subject = build_subject("lstm")
    found = study(subject)["class_gradients"]
    expected = mean_state_gradients(
        subject.model, subject.ids, max_delay=MAX_DELAY, state="cell"
    )
    np.testing.assert_allclose(
        found["state_gradient"].sel(group="all words"),
        expected["state_gradient"],
        rtol=0,
        atol=1e-6,
    )


def test_a_text_without_english_words_is_refused(subject):
    with pytest.raises(ValueError, match="a class must have 50 tokens"):
        classes.read_classes(subject.tags, subject.ids[:40], least=0.0)


def test_a_text_too_short_for_two_blocks_is_refused():
    assert classes.count_blocks(72_895, 50) == 16
    assert classes.count_blocks(510, 50) == 2
    with pytest.raises(ValueError, match="a text of 510 tokens"):
        classes.count_blocks(509, 50)
