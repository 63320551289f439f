"""The study of word types against loops over a small text, and its controls."""

from types import SimpleNamespace

import keras
import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, band_ends, drawn_lines, legend_names
from scipy.stats import spearmanr

from state_gradients.analysis.whitening import fit_whitening
from state_gradients.engine.network import read_network
from state_gradients.paper import claims
from state_gradients.paper.book import types as drawn
from state_gradients.paper.language import frequency, types
from state_gradients.project.kinds import KINDS

pytestmark = pytest.mark.usefixtures("closed_figures")
V, E, H, D = 7, 3, 4, 4  # types, embedding, units, longest delay
MINUS = "\N{MINUS SIGN}"
WORDS = ["the", "of", "cat", "dog", "<eos>", "sat", "absent"]


@pytest.fixture(scope="module")
def subject():
    """A small LSTM, of weights that curve every gate, and texts as the study reads."""
    layers = keras.layers.Embedding(V, E), keras.layers.LSTM(H, return_sequences=True)
    model, rng = keras.Sequential(layers), np.random.default_rng(4)
    model.build((None, None))
    for variable in model.weights:
        variable.assign(rng.normal(scale=0.8, size=variable.shape))
    ids = {"valid": rng.integers(V - 1, size=40), "train": rng.integers(V - 1, size=90)}
    ids["valid"][-1] = V - 1  # a type without a mean at longer delays
    table = read_network(model).table
    encoder = xr.Dataset(
        {"embedding": (("vocabulary", "embedding"), table)},
        coords={
            "vocabulary": WORDS,
            "count": ("vocabulary", np.bincount(ids["train"], minlength=V)),
        },
    )
    n_tagged = np.zeros((2, V), int)
    n_tagged[:, :3] = [[1, 0, 5], [4, 2, 0]]
    tags = {"tag": ["NN", "DT"], "vocabulary": WORDS}
    settings = SimpleNamespace(
        gradients=SimpleNamespace(max_delay=D, window=None),
        training=SimpleNamespace(seed=3),
    )
    return SimpleNamespace(
        experiment=settings,
        progress=False,
        model=model,
        ids=ids["valid"],
        text=SimpleNamespace(splits=ids),
        encoder=encoder,
        tags={"n_tagged": xr.DataArray(n_tagged, tags)},
    )


@pytest.fixture(scope="module")
def found(subject):
    return types.study(subject)["types"]


def by_differences(model, ids):
    """Return ds_(t + tau) / de_t of every token by central differences, whitened.

    Returns
    -------
    list over tokens of ndarray of shape (delay, state, embedding)
    """
    network, step = read_network(model, dtype="float64"), 1e-6
    states, whitened = network.zero_states()[0], fit_whitening(network.table)

    def cells(t, change):
        x = network.table[ids]
        x[t] += change
        return network.cells[0].run(x, states)[1]

    gradients = []
    for t in range(len(ids)):
        moves = [
            (cells(t, u * step) - cells(t, -u * step))[t : t + D + 1] / (2 * step)
            for u in np.eye(E)
        ]
        gradients.append(np.stack(moves, axis=-1) @ whitened.D)
    return gradients


def by_type(gradients, ids, one, delay):
    """Return the gradients of a type's occurrences that reach a delay."""
    there = [t for t in range(len(ids) - delay) if ids[t] == one]
    return np.array([gradients[t][delay] for t in there])


def test_every_type_has_the_curves_of_its_mean_gradient(subject, found):
    gradients = by_differences(subject.model, subject.ids)
    words = [WORDS[one] for one in sorted({*subject.ids[:-D].tolist()})]
    assert found["type"].values.tolist() == words
    whitened = found.sel(normalization="whitened")
    for word in words:
        one = WORDS.index(word)
        count = sum(int(token == one) for token in subject.ids)
        assert whitened["occurrences"].sel(type=word) == count
        assert whitened["frequency"].sel(type=word) == subject.encoder["count"][one]
        for delay in range(D + 1):
            each = by_type(gradients, subject.ids, one, delay)
            sigma = np.linalg.svd(each.mean(axis=0), compute_uv=False)
            squares = np.mean([g.T @ g for g in each], axis=0)
            place = whitened.sel(type=word, delay=delay)
            # float32 chains: 6e-8 a product, of which some ten follow each other
            np.testing.assert_allclose(place["memory"], sigma[0], rtol=2e-5)
            np.testing.assert_allclose(place["total"], sigma.sum(), rtol=2e-5)
            rms = np.sqrt(np.linalg.eigvalsh(squares)[-1])
            np.testing.assert_allclose(place["rms_memory"], rms, rtol=2e-5)
    assert found["tag"].sel(type=["the", "of", "cat"]).values.tolist() == [
        *("DT", "DT", "NN")
    ]
    assert found["tag"].sel(type="dog") == "none"


def test_sampled_types_are_read_in_the_training_text(subject, found):
    ids = subject.text.splits["train"]
    gradients = by_differences(subject.model, ids)
    assert found["sampled"].values.tolist() == WORDS[:-1]  # what does not occur
    for word in WORDS[:-1]:
        one = WORDS.index(word)
        there = [t for t in range(len(ids) - D) if ids[t] == one]
        each = np.array([gradients[t] for t in there])
        place = found.sel(sampled=word)
        assert place["sample_occurrences"] == len(there) < types.N_OCCURRENCES
        memory = np.linalg.svd(each.mean(axis=0), compute_uv=False)[:, 0]
        np.testing.assert_allclose(place["sample_memory"], memory, rtol=2e-5)
        squares = np.mean(each.swapaxes(-1, -2) @ each, axis=0)
        rms = np.sqrt(np.linalg.eigvalsh(squares)[:, -1])
        np.testing.assert_allclose(place["sample_rms_memory"], rms, rtol=2e-5)
        singles = np.linalg.svd(each, compute_uv=False)[..., 0]  # (occurrence, delay)
        of_one = place["sample_equal_memory"].sel(n=1)
        low, high = singles.min(axis=0), singles.max(axis=0)
        assert (of_one >= low * (1 - 1e-5)).all() and (of_one <= high * 1.00001).all()
        too_many = [n for n in types.EQUAL if n > len(there)]
        assert np.isnan(place["sample_equal_memory"].sel(n=too_many)).all()
        ends = place["sample_lower"], place["sample_estimate"], place["sample_upper"]
        assert (np.diff(ends, axis=0) >= 0).all()


def test_the_artifact_has_what_its_kind_promises(found):
    for name, dims in KINDS["types"].schema.items():
        assert found[name].dims == dims
    assert all({"long_name", "units"} <= v.attrs.keys() for v in found.values())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"max_delay": D, "window": 8}, "`gradients.window` must be null"),
        ({"max_delay": 3, "window": None}, "`gradients.max_delay` must be 4 at least"),
    ],
)
def test_settings_that_do_not_fit_are_refused_at_once(settings, message):
    experiment = SimpleNamespace(gradients=SimpleNamespace(**settings))
    with pytest.raises(ValueError, match=message):
        types.study(SimpleNamespace(experiment=experiment))


def test_means_over_all_occurrences_are_the_mean(rng):
    values = rng.normal(size=(5, 3, H, E))
    identity = SimpleNamespace(D=np.eye(E))
    found = types._equal(values, identity, seed=1)
    memory = np.linalg.svd(values.mean(axis=0), compute_uv=False)[:, 0]
    of_five = found["equal_memory"].sel(n=5)
    np.testing.assert_allclose(of_five, np.tile(memory, (3, 1)), rtol=1e-12)


@pytest.mark.parametrize(("n", "n_there"), [(1, 2), (1, 9), (5, 7), (10, 10), (4, 20)])
def test_weights_of_noise_have_no_mean_and_the_variance_of_a_mean(n, n_there, rng):
    means, noise = types.weights_of_draws(n, n_there, rng=rng)
    assert means.shape == noise.shape == (types.N_DRAWS, n_there)
    np.testing.assert_allclose(means.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal((means > 0).sum(axis=1), n)
    np.testing.assert_allclose(noise.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose((noise**2).sum(axis=1), 1 / n, rtol=1e-12)
    # of as few gradients as the mean, where there are enough: of its shape as well
    np.testing.assert_array_equal((noise != 0).sum(axis=1), 2 * min(n, n_there // 2))


def test_one_occurrence_has_no_noise_to_see_and_no_interval(rng):
    values, identity = rng.normal(size=(1, 5, H, E)), SimpleNamespace(D=np.eye(E))
    _, noise = types.weights_of_draws(1, 1, rng=rng)
    assert not noise.any()
    found = types._curves(SimpleNamespace(values=values), identity, seed=0)
    assert np.isnan(found[["lower", "upper", "equal_noise"]].to_array()).all()
    assert np.isfinite(found["memory"]).all()


def test_noise_alone_is_told_from_a_mean(rng):
    """Of gradients without a mean all memory is noise; a mean of 10 leaves 30 times."""
    noise = rng.normal(size=(200, 3, H, E))
    identity = SimpleNamespace(D=np.eye(E))
    for mean, least, most in ((0.0, 0.85, 1.15), (10.0, 0, 0.1)):
        found = types._equal(noise + mean, identity, seed=1)
        share = found["equal_noise"] / found["equal_memory"].sel(quantile=0.5)
        share = share.sel(n=[5, 10, 50]).values
        assert (share > least).all() and (share < most).all()


def test_the_sample_has_the_named_types_and_equally_many_of_each_class():
    tokens = np.array([f"w{k}" for k in range(1000)], dtype=object)
    tokens[[3, 999]] = ["the", "bizarre"]
    counts = np.repeat([1000, 200, 60, 20, 3], 200)
    usable = counts.copy()
    usable[tokens == "bizarre"] = 0
    usable[[998, 997]] = 0
    chosen = types.sample(tokens, counts, usable, n=101, seed=0)
    assert (np.diff(chosen) > 0).all() and 3 in chosen and 999 not in chosen
    assert np.bincount(frequency.class_of(counts[chosen])).tolist() == [20] * 4 + [21]
    assert not {998, 997} & {*chosen.tolist()}
    again = types.sample(tokens, counts, usable, n=101, seed=0)
    np.testing.assert_array_equal(chosen, again)


# What is read from the artifact


def test_percentages_are_those_of_a_loop(rng):
    values, counts = rng.normal(1, 1, size=300), rng.integers(1, 300, size=300)
    values[:5] = np.nan
    values[5:7] = 0.5  # on an edge: in what begins there
    edges = (0, 0.5, 1.5, np.inf)
    found = frequency.percentages(values, counts, edges)
    assert found["value"].values.tolist() == ["0 to 0.5", "0.5 to 1.5", "1.5 and more"]
    for name, (low, high) in {
        "below 10": (0, 10),
        "10 to 49": (10, 50),
        "100 to 499": (100, 500),
    }.items():
        row = [v for v, c in zip(values, counts, strict=True) if low <= c < high]
        row = [v for v in row if not np.isnan(v)]
        lows = [sum(v < 0.5 for v in row), sum(0.5 <= v < 1.5 for v in row)]
        expected = [100 * k / len(row) for k in (*lows, len(row) - sum(lows))]
        np.testing.assert_allclose(found.sel(frequency=name), expected, rtol=1e-12)
    assert np.isnan(found.sel(frequency="500 and more")).all()


def test_rank_correlations_are_scipys_and_their_intervals_hold(rng):
    counts = xr.DataArray(rng.integers(1, 40, size=80), dims="type")
    values = xr.DataArray(
        rng.normal(size=(3, 80)) - 0.05 * counts.values, dims=("delay", "type")
    )
    found = frequency.rank_correlation(values, counts, seed=1)
    expected = [spearmanr(row, counts)[0] for row in values.values]
    np.testing.assert_allclose(found["observed"], expected, rtol=1e-12)
    np.testing.assert_allclose(frequency.spearman(values, counts), expected, rtol=1e-12)
    assert found.attrs["n_types"] == 80
    # without any relation, intervals of 95 % hold 0 in some 95 % of 1,000 tries, whose
    # share has a standard error of 0.7 %; percentiles of 80 types are a little narrow
    nothing = xr.DataArray(rng.normal(size=(1000, 80)), dims=("delay", "type"))
    null = frequency.rank_correlation(nothing, counts)
    holds = ((null["lower"] < 0) & (null["upper"] > 0)).mean()
    assert 0.92 < holds < 0.97, holds


def artifact(memory, rate, counts, words, tags):
    """An artifact whose estimates all are these numbers, at two delays."""
    n_types = len(words)
    curve = np.stack([memory, memory / 2], axis=1)
    equal = np.broadcast_to(curve[:, None, None], (n_types, 2, 1, 2)).copy()
    equal[:, 1, :, :] *= 0.8
    about = {"occurrences": np.full(n_types, 60), "frequency": counts, "tag": tags}
    both = {k: ("type", v) for k, v in about.items()}
    both |= {f"sample_{k}": ("sampled", v) for k, v in about.items()}
    return xr.Dataset(
        both
        | {
            "memory": (
                ("normalization", "type", "delay"),
                np.stack([9 + curve, curve]),
            ),
            "rate": ("type", rate),
            "r_squared": ("type", np.full(n_types, 0.95)),
            "aic": (("law", "type"), [np.zeros(n_types), np.ones(n_types)]),
            "sample_memory": (("sampled", "delay"), curve),
            "sample_equal_memory": (("sampled", "n", "quantile", "delay"), equal),
            "sample_equal_noise": (("sampled", "n", "delay"), equal[:, :, 0] / 4),
            "sample_equal_rate": (("sampled", "n"), np.stack([rate, rate], axis=1)),
        },
        coords={
            "type": words,
            "sampled": words,
            "normalization": ["raw", "whitened"],
            "law": ["exponential", "power"],
            "n": [1, 10],
            "quantile": [0.5],
            "delay": [0, 1],
        },
    )


@pytest.fixture
def exact(rng):
    """Types whose ln sigma_1 is 1 - 0.5 log10 f - 0.3 [function word], to the digit."""
    counts = rng.integers(1, 5000, size=60)
    tags = np.array(["NN", "DT"] * 30, dtype=object)
    words = np.array([f"w{k}" for k in range(60)], dtype=object)
    memory = np.exp(1 - 0.5 * np.log10(counts) - 0.3 * (tags == "DT"))
    return artifact(memory, 0.1 + counts / 9000, counts, words, tags)


def test_a_regression_finds_what_was_put_in(exact):
    found = frequency.explained(exact)
    np.testing.assert_allclose(found["frequency"], -0.5, rtol=1e-6)
    np.testing.assert_allclose(found["kind"], -0.3, rtol=1e-6)
    assert found["r_squared"]["both"] == pytest.approx(1, abs=1e-9)
    assert found["n_types"] == 60 and found["n_function"] == 30
    alone = np.log10(exact["sample_frequency"].values)
    y = np.log(exact["sample_memory"].sel(delay=0).values)
    share = np.corrcoef(alone, y)[0, 1] ** 2
    assert found["r_squared"]["frequency"] == pytest.approx(share, rel=1e-6)


def test_correlations_are_over_the_types_that_are_often_enough(exact):
    exact["sample_occurrences"][:25] = 5
    assert frequency.most(exact) == 10
    found = frequency.equal_correlations(exact, delays=[1])
    assert found.attrs["n_types"] == 35
    few = exact.isel(sampled=slice(25, None))
    expected = spearmanr(few["sample_memory"][:, 0], few["sample_frequency"])[0]
    np.testing.assert_allclose(found["observed"], [[expected], [expected]])
    single = frequency.single_correlation(exact)
    assert single.attrs["n_types"] == 60
    assert frequency.rate_correlation(exact, n=10)["observed"] == pytest.approx(1)
    exact["rate"][3] = np.nan
    whole = frequency.rate_correlation(exact)
    assert whole.attrs["n_types"] == 59 and whole["observed"] == pytest.approx(1)


def test_words_are_sorted_by_memory_and_by_kind(exact):
    lowest = frequency.ranked(exact, 3)
    memory = exact["memory"].sel(normalization="whitened", delay=0).to_series()
    assert lowest["word"].tolist() == memory.nsmallest(3).index.tolist()
    highest = frequency.ranked(exact, 3, highest=True, estimate="sample")
    assert highest["word"].tolist() == memory.nlargest(3).index.tolist()
    exact["sample_occurrences"][:30] = 9
    often = frequency.ranked(exact, None, estimate="sample", least=10)
    assert sorted(often["word"]) == sorted(exact["sampled"].values[30:])
    words, tags = ["is", "run", "<eos>", "N", "he", "not"], ["VBZ", "VB", "none", "CD"]
    kinds = frequency.kinds_of_words(words, [*tags, "PRP", "RB"]).tolist()
    assert kinds == [
        *("function", "content", "function", "neither"),
        "function",
        "content",
    ]


def test_the_best_law_has_the_least_criterion():
    aic = xr.DataArray(
        [[1.0, 5.0, np.nan, 2.0], [2.0, 1.0, 0.0, 1.0]],
        {"law": ["exponential", "power"]},
        ("law", "type"),
    )
    shares = frequency.best_laws(aic)
    np.testing.assert_allclose(shares, [1 / 3, 2 / 3])
    assert frequency.best_laws(aic, [True, False, True, False])["exponential"] == 1


# The claims


@pytest.fixture
def good():
    """Types that do all that the paper says: 60 function words, then 60 others."""
    rng = np.random.default_rng(7)
    counts = np.concatenate([rng.integers(600, 5000, 60), rng.integers(1, 500, 60)])
    tags = np.array(["DT"] * 60 + ["NN"] * 60, dtype=object)
    words = np.array([f"w{k}" for k in range(120)], dtype=object)
    memory = np.exp(1 - 0.05 * np.log10(counts) - 1.0 * (tags == "DT"))
    return artifact(memory, 0.1 + np.log10(counts) / 8, counts, words, tags)


def with_part(name, change, **where):
    """Return a function that changes part of a variable."""

    def changed(data):
        data = data.copy(deep=True)
        data[name].loc[where] = change(data[name].loc[where])
        return data

    return changed


def shuffled(part):
    order = np.random.default_rng(0).permutation(part.sizes["sampled"])
    return part.copy(data=part.isel(sampled=order).values)


FLIPS = {
    "C130": with_part("sample_equal_memory", shuffled, n=1),
    "C133": with_part("sample_equal_memory", shuffled, n=10, delay=1),
    "C134": lambda data: data.assign(tag=("type", [*["NN", "DT"] * 30, *["NN"] * 60])),
    "C135": lambda data: data.assign(sample_tag=data["sample_tag"][::-1].variable),
    "C136": lambda data: data.assign(sample_tag=("sampled", ["DT", "NN"] * 60)),
    "C137": with_part("sample_equal_rate", shuffled, n=10),
    "C142": with_part("rate", lambda x: x / 10),
    "C143": with_part("aic", lambda x: x + 2, law="exponential"),
    "C195": with_part("sample_equal_rate", shuffled, n=10),
}


@pytest.mark.parametrize("name", FLIPS)
def test_the_verdict_on_word_types_turns_with_its_quantity(name, good):
    test = claims.REGISTERED[name].test
    values, holds = test(lambda kind: good)
    assert holds, values
    other = FLIPS[name](good)
    values, holds = test(lambda kind: other)
    assert not holds, values


# What the page draws


def test_the_control_draws_medians_of_classes_by_the_number_averaged(exact):
    exact["sample_equal_memory"][:, 1] = np.nan
    exact["sample_equal_memory"][::2, 1] = 0.5  # half the types have ten
    effect = drawn.frequency_effect(exact, delays=(0, 1, 99))
    counts = exact["sample_frequency"].values
    chosen = exact["sample_equal_memory"].values[(counts >= 100) & (counts < 500)]
    median = effect["memory"].sel(frequency="100 to 499", delay=1)
    assert median.sel(n=1) == np.median(chosen[:, 0, 0, 1])
    upper, lower = drawn.plot_frequency_effect(effect)
    names = list(effect["frequency"].values)
    assert legend_names(upper) == names and lower.get_legend() is None
    lines = [line for line in drawn_lines(lower) if line.get_linestyle() == "-"]
    known = effect.sel(delay=1, n=1)
    by_class = [line.get_ydata()[0] for line in lines]
    np.testing.assert_allclose(by_class, known["memory"])
    others = [line for line in drawn_lines(lower) if line.get_linestyle() != "-"]
    np.testing.assert_allclose([x.get_ydata()[0] for x in others], known["noise"])
    assert upper.get_xscale() == upper.get_yscale() == "log"


def test_correlations_are_drawn_with_their_bands(rng):
    ends = np.sort(rng.uniform(-1, 1, size=(3, 2, 4)), axis=0)
    names = ("lower", "observed", "upper")
    data = xr.Dataset(
        {k: (("line", "delay"), v) for k, v in zip(names, ends, strict=True)},
        {"line": ["all", "equal"], "delay": [0, 5, 10, 15]},
    )
    ax = drawn.plot_correlations(data)
    assert_drawn(ax, "equal", [0, 5, 10, 15], data["observed"][1])
    _, lower, upper = band_ends(ax, 1)
    np.testing.assert_array_equal([lower, upper], [data["lower"][1], data["upper"][1]])


def test_decays_are_marks_with_a_band_and_the_exponential(exact):
    memory = exact["sample_memory"]
    exact = exact.assign(
        sample_estimate=memory,
        sample_lower=memory / 2,
        sample_upper=memory * 2,
        sample_scale=("sampled", np.full(60, 2.0)),
        sample_rate=("sampled", np.full(60, 0.5)),
    )
    one = drawn.decay_of(exact, "w3")
    assert one.attrs["n"] == 60 and one.attrs["rate"] == 0.5
    assert one.attrs["frequency"] == exact["frequency"].values[3]
    ax = drawn.plot_decays({"w3": one})
    marks, fit = drawn_lines(ax)
    np.testing.assert_array_equal(marks.get_ydata(), exact["sample_memory"][3])
    np.testing.assert_allclose(fit.get_ydata(), 2 * np.exp([0, -0.5]), rtol=1e-12)
    _, lower, upper = band_ends(ax, 0)
    np.testing.assert_allclose(lower, memory[3] / 2)
    np.testing.assert_allclose(upper, memory[3] * 2)
    assert legend_names(ax) == ["w3: b = 0.50"]


def test_ranked_words_stand_below_each_other_with_their_occurrences(exact):
    exact = exact.assign(
        sample_lower=exact["sample_memory"] - 0.1,
        sample_upper=exact["sample_memory"] + 0.2,
    )
    table = frequency.ranked(exact, 6, highest=True, estimate="sample")
    ax = drawn.plot_ranked(drawn.with_intervals(table, exact))
    assert [t.get_text() for t in ax.get_yticklabels()] == [
        f"{word} (60)" for word in table["word"]
    ]
    points = {tuple(p) for line in drawn_lines(ax) for p in line.get_xydata()}
    assert points == {(m, k) for k, m in enumerate(table["memory"])}
    segments = [s for lines in ax.collections for s in lines.get_segments()]
    ends = {(round(a[0], 9), round(b[0], 9)) for a, b in segments}
    assert ends == {(round(m - 0.1, 9), round(m + 0.2, 9)) for m in table["memory"]}
    assert ax.yaxis_inverted()


def test_percentages_are_written_in_their_cells():
    shares = frequency.percentages([0.2, 0.7, 0.8, 4.0], [5, 5, 5, 900], (0, 0.5, 3))
    ax = drawn.plot_percentages(shares, x="memory")
    assert ax.get_xlabel() == "memory"
    assert ax.get_ylabel() == "frequency in the training text"
    written = [text.get_text() for text in ax.texts]
    assert written == ["33", "67", "0", "100"]


def test_laws_are_tabled_with_their_formulas(exact):
    exact = exact.assign(sample_aic=(("law", "sampled"), -exact["aic"].values))
    table = drawn.laws_table(exact)
    assert table.index[0] == "exponential, a exp(-b tau)"
    assert table.iloc[0].tolist() == ["100%", "100%", "0%"]


def test_the_rate_in_the_text_is_that_of_the_word(exact):
    assert drawn.rate_in_text(exact, "w7") == exact["rate"].values[7]
    assert np.isnan(drawn.rate_in_text(exact, "w99"))


def test_numbers_are_told_with_their_intervals():
    data = xr.Dataset({"observed": -0.5, "lower": -0.6, "upper": 0.4})
    assert drawn.interval(data) == "-0.50 [-0.60, 0.40]".replace("-", MINUS)
    assert drawn.interval((1, 0, 2), "{:.0f}") == "1 [0, 2]"
