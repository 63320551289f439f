"""Networks whose memory is planted: weights, formulas, and what the library says."""

import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, legend_names

import state_gradients as sg
from state_gradients.analysis.decays import ALL_LAWS, compare_decays
from state_gradients.paper.book import planted as page
from state_gradients.paper.book.pages import DASH
from state_gradients.paper.exercises import planted as exercises
from state_gradients.paper.planted import networks, trials

REACH = 24
RATES = (0.05, 0.1, 0.3, 1.0)
MIXING = np.array(
    [[1.0, 2, 0, 0], [0, 1, -1, 0], [3, 0, 0.5, 0], [0, 0, 4, 9]]
)  # of condition 40
CONSTANT = {
    "leaks": lambda: networks.leaky(RATES),
    "leaks of unequal gains": lambda: networks.leaky(RATES, gains=(0.1, 0.2, 0.5, 1)),
    "leaks behind another embedding": lambda: networks.leaky(RATES, mixing=MIXING),
    "constant gates": networks.constant_gates,
    "constant gates, others": lambda: networks.constant_gates((0.99, 0.3)),
    "rotation": networks.rotation,
    "rotation of six": lambda: networks.rotation((0.1, 2.0, -0.5)),
    "shear": networks.shear,
    "shear that grows long": lambda: networks.shear(0.95, 3.0),
    "shear the other way": lambda: networks.shear(0.9, -0.5),
    "delay line": networks.delay_line,
    "delay line of one sign": lambda: networks.delay_line(3, channels=1),
    "delay line behind another embedding": lambda: networks.delay_line(
        5, mixing=MIXING
    ),
}
# 24 steps of states of order 1 round by some 24 x 2e-16; behind MIXING, 40 times that
EXACT = 1e-12


@pytest.fixture(scope="module", params=CONSTANT)
def constant(request):
    """A network of which every place of a text has the same gradient."""
    return CONSTANT[request.param]()


def by_hand(planted, delay):
    """Return G of a network without memory of place: products of its Keras weights."""
    layer = planted.model.layers[1]
    weights = [np.asarray(w, np.float64) for w in layer.get_weights()]
    kind = type(layer).__name__
    if kind == "SimpleRNN":
        kernel, step, _ = weights
        return (kernel @ np.linalg.matrix_power(step, delay)).T
    if kind == "RNN":
        kernel, _, decay = weights
        return (kernel * (1 / (1 + np.exp(-decay))) ** delay).T
    kernel, recurrent, bias = weights
    assert not recurrent.any()
    entered, forget, candidate, _ = np.split(kernel, 4, axis=1)
    assert not entered.any() and not forget.any()
    i, f, *_ = np.split(1 / (1 + np.exp(-bias)), 4)
    table = planted.model.layers[0].get_weights()[0]
    [slope] = np.unique((1 - np.tanh(table @ candidate) ** 2).round(14))
    return (candidate * i * slope * f**delay).T


def text_of(planted, n_tokens=400, **options):
    return networks.text_of(planted, n_tokens, seed=4, **options)


def means_of(planted, ids, **options):
    return sg.mean_state_gradients(
        planted.model, ids, max_delay=REACH, dtype="float64", **options
    )


def whitening_of(planted):
    return sg.fit_whitening(planted.model.layers[0].get_weights()[0])


def test_words_are_all_rows_of_signs_and_have_the_covariance_one():
    for n_signs in (1, 2, 5):
        table = networks.words_of_signs(n_signs)
        assert len(np.unique(np.sign(table), axis=0)) == 2**n_signs == len(table)
        np.testing.assert_allclose(table.mean(axis=0), 0, atol=1e-15)
        covariance = np.cov(table, rowvar=False).reshape(n_signs, n_signs)
        np.testing.assert_allclose(covariance, np.eye(n_signs), atol=1e-14)


def test_a_text_has_the_share_of_signs_that_is_asked_for():
    closing = networks.closing_gates(apart=True)
    ids = text_of(closing, 20_000, share=0.1)
    signs = networks.words_of_signs(8)[ids] > 0
    # five standard deviations of a share: 5 sqrt(0.25 / 20,000) = 0.018
    expected = [0.5] * 4 + [0.1] * 4
    np.testing.assert_allclose(signs.mean(axis=0), expected, atol=0.018)
    together = np.corrcoef(signs.T.astype(float)) - np.eye(8)
    assert np.abs(together).max() < 5 / np.sqrt(20_000)


@pytest.fixture(scope="module")
def means(constant):
    return means_of(constant, text_of(constant))


@pytest.mark.slow
def test_the_mean_gradient_is_the_product_of_the_weights(constant, means):
    for delay in range(REACH + 1):
        found = means["state_gradient"].sel(delay=delay)
        np.testing.assert_allclose(found, by_hand(constant, delay), atol=EXACT)


@pytest.mark.slow
def test_singular_values_are_those_of_the_formula(constant, means):
    white = sg.whiten_gradient(means["state_gradient"], whitening_of(constant))
    svd = sg.decompose(white)
    expected = constant.singular_values(REACH)
    # whitening by MIXING's inverse loses its condition times round-off
    np.testing.assert_allclose(svd["s"], expected, rtol=0, atol=1e-10)
    for delay in (0, 3, REACH):
        direct = np.linalg.svdvals(by_hand(constant, delay) @ whitening_of(constant).D)
        np.testing.assert_allclose(direct, expected.sel(delay=delay), atol=1e-10)


@pytest.mark.slow
def test_every_quantity_is_that_of_the_formula(constant):
    found = trials.beside(constant, text_of(constant), max_delay=REACH)
    measured, known = (found.sel(source=s) for s in ("measured", "formula"))
    s = constant.singular_values(REACH).values
    nothing = s.sum(axis=1) == 0
    for name in trials.QUANTITIES:
        assert (np.isnan(known[name]) <= nothing).all(), name
        np.testing.assert_allclose(measured[name], known[name], atol=1e-10, rtol=0)
    np.testing.assert_array_equal(known["memory"], s[:, 0])
    with np.errstate(invalid="ignore"):
        share = s / s.sum(axis=1, keepdims=True)
    np.testing.assert_array_equal(known["selectivity"], share[:, 0])
    surprise = -np.log(share, where=share > 0, out=np.zeros_like(share))
    rank = np.exp((share * surprise).sum(axis=1))
    np.testing.assert_allclose(known["effective_rank"], rank, rtol=1e-12)
    np.testing.assert_array_equal(known["coherence"], np.where(nothing, np.nan, 1))


@pytest.mark.slow
def test_in_single_precision_it_is_off_by_the_rounding_of_its_steps(constant):
    found = trials.measured(
        constant, text_of(constant), max_delay=REACH, dtype="float32"
    ).sel(normalization="whitened")
    known = trials.truth(constant, REACH)
    # 24 steps, each rounding by 6e-8, times the condition of MIXING, 40: 6e-5
    np.testing.assert_allclose(found["memory"], known["memory"], rtol=6e-5, atol=6e-5)


def test_another_embedding_changes_the_raw_gradient_only():
    plain, behind = networks.leaky(RATES), networks.leaky(RATES, mixing=MIXING)
    ids = text_of(plain)
    found = [trials.measured(each, ids, max_delay=REACH) for each in (plain, behind)]
    raw, white = (
        [one["memory"].sel(normalization=name) for one in found]
        for name in ("raw", "whitened")
    )
    assert np.abs(raw[1] / raw[0] - 1).max() > 0.5
    np.testing.assert_allclose(*white, rtol=1e-10)
    np.testing.assert_allclose(raw[0], white[0], rtol=1e-12)  # covariance I
    # the same states, word for word
    states = [np.asarray(each.model(ids[None])) for each in (plain, behind)]
    np.testing.assert_allclose(*states, atol=1e-10)


def test_the_shear_grows_before_it_falls_although_its_eigenvalues_are_below_one():
    shear = networks.shear(0.85, 1.0)
    step = shear.model.layers[1].get_weights()[1]
    np.testing.assert_allclose(np.linalg.eigvals(step), 0.85, atol=1e-7)  # defective
    memory = shear.singular_values(60).sel(component=1)
    top = int(memory.argmax("delay"))
    assert abs(top + 1 / np.log(0.85)) < 1
    assert (memory.diff("delay")[:top] > 0).all()
    assert (memory.diff("delay")[top:] < 0).all()


# Fits


@pytest.mark.parametrize(
    ("make", "rate"),
    [
        (CONSTANT["leaks"], 0.05),
        (networks.constant_gates, -np.log(0.95)),
        (networks.closing_gates, -np.log(0.9)),
    ],
)
def test_of_an_exponential_all_fits_find_the_rate(make, rate):
    found = trials.fitted(memory_of(make(), 30))
    assert found["law"] == "exponential"
    # curve_fit stops at 1e-8 of its sum of squares
    np.testing.assert_allclose([found["rate"], found["b"]], rate, rtol=1e-6)
    np.testing.assert_allclose([found["m"], found["r_squared"]], 1, rtol=1e-6)
    np.testing.assert_allclose(found["rate_of_power"], rate, rtol=1e-6)


def memory_of(planted, max_delay):
    return planted.singular_values(max_delay).sel(component=1, drop=True)


def test_what_the_page_says_of_the_fits_to_a_delay_line():
    curve = memory_of(networks.delay_line(10), 30)
    found = trials.fitted(curve)
    assert bool(sg.fit_decay(curve)["converged"])  # of what is no decay
    assert 5.5 < np.log(2) / found["rate"] < 6.5
    assert found["law"] == "exponential"
    assert abs(found["b"]) < 1e-12  # the zeros are left out: it never forgets
    whole = trials.fitted(memory_of(networks.delay_line(40), 30))
    assert abs(whole["rate"]) < 1e-9 and np.isnan(whole["r_squared"])


def test_what_the_page_says_of_the_fits_to_a_shear():
    curve = memory_of(networks.shear(0.85, 1.0), 30)
    found, eigenvalue = trials.fitted(curve), -np.log(0.85)
    assert 0 < found["rate"] < eigenvalue / 3
    assert float(sg.fit_decay(curve[:7])["b"]) < 0
    compared = compare_decays(curve, laws=ALL_LAWS)
    assert compared["aic"].idxmin("law") == "damped power"
    # exactly a power and an exponential only where q = k tau is large
    assert abs(found["m"] - 2) < 0.05
    assert abs(found["rate_of_power"] / eigenvalue - 1) < 0.05


def test_leaks_make_a_power_law():
    rates = 2.0 ** -np.arange(6)
    curve = memory_of(networks.leaky(rates, gains=rates), 30)
    # the largest of b exp(-b tau) over all b > 0 is 1 / (e tau), at b = 1 / tau
    envelope = 1 / (np.e * curve["delay"][2:])
    ratio = curve[2:] / envelope
    assert float(ratio.min()) > 0.85 and float(ratio.max()) <= 1
    found = trials.fitted(curve)
    assert found["law"] == "power" and 1 < found["b"] < 1.4


# Gates that close


def shut_of(ids, *, apart):
    digits = ids[None] >> np.arange(4 if apart else 1)[::-1, None] & 1
    return digits.astype(bool)


def kept_by_hand(shut, delay):
    """Return the share of inputs behind which no gate has shut, one by one."""
    n = shut.shape[-1]
    kept = [not shut[t + 1 : t + delay + 1].any() for t in range(n - delay)]
    return np.mean(kept)


@pytest.mark.slow
@pytest.mark.parametrize("apart", [False, True])
def test_closing_gates_keep_what_no_gate_has_met(apart):
    closing = networks.closing_gates(0.1, apart=apart)
    ids = text_of(closing, 600, share=0.1)
    means = means_of(closing, ids, second_moment=True)
    s = np.abs(networks.words_of_signs(closing.n_signs)[0, 0])
    entry = (1 - np.tanh(s) ** 2) / 2
    shut = np.repeat(shut_of(ids, apart=apart), 1 if apart else 4, axis=0)
    for delay in (0, 1, 2, 7, REACH):
        kept = np.diag([kept_by_hand(one, delay) for one in shut])
        gradient = means["state_gradient"].sel(delay=delay).values
        moment = means["second_moment"].sel(delay=delay).values
        np.testing.assert_allclose(gradient[:, :4], entry * kept, atol=EXACT)
        # a trace is whole or gone: its square has the same mean, times the entry
        np.testing.assert_allclose(moment[:4, :4], entry**2 * kept, atol=EXACT)
        assert not gradient[:, 4:].any() and not moment[4:].any()


@pytest.mark.parametrize("apart", [False, True])
def test_over_a_long_text_closing_gates_follow_their_formula(apart):
    closing = networks.closing_gates(0.1, apart=apart)
    n_tokens = 60_000
    shut = shut_of(text_of(closing, n_tokens, share=0.1), apart=apart)
    delays = [0, 1, 5, 20]
    shares, _ = trials.kept_shares(shut, delays, 1)
    expected = closing.singular_values(20).sel(delay=delays, component=1)
    mean_square = closing.singular_values(20, rms=True).sel(delay=delays, component=1)
    entry = float(expected[0])
    for delay, kept, known, rms in zip(
        delays, shares[0], expected.values, mean_square.values, strict=True
    ):
        error = trials.standard_error(delay, 0.1, n_tokens)
        np.testing.assert_allclose(kept, known / entry, atol=4.5 * error + EXACT)
        np.testing.assert_allclose(kept, (rms / entry) ** 2, atol=4.5 * error + EXACT)


@pytest.mark.slow
@pytest.mark.parametrize("apart", [False, True])
def test_counted_shares_are_the_engines_blocks(apart):
    closing = networks.closing_gates(0.1, apart=apart)
    ids, delays = text_of(closing, 605, share=0.1), [0, 1, 5, REACH]
    blocks = means_of(closing, ids, blocks=4)
    shares, n_samples = trials.kept_shares(shut_of(ids, apart=apart), delays, 4)
    gradient = blocks["state_gradient"].sel(delay=delays).values
    diagonal = gradient[..., range(4), range(4)]
    shares = np.broadcast_to(shares, diagonal.shape)  # one gate for all, or one each
    np.testing.assert_allclose(diagonal / diagonal[0, 0, 0], shares, atol=EXACT)
    np.testing.assert_array_equal(blocks["n_samples"].sel(delay=delays), n_samples)


@pytest.mark.parametrize("delay", [0, 1, 4, 12])
def test_the_standard_error_is_that_of_texts_drawn_at_random(delay):
    n_texts, length = 4000, 300
    shut = np.random.default_rng(1).random((n_texts, length)) < 0.15
    [[kept]], [[n_inputs]] = trials.kept_shares(shut, [delay], 1)
    expected = trials.standard_error(delay, 0.15, n_inputs)
    # a standard deviation from 4,000 texts errs by 1 / sqrt(8,000) = 1.1 %; the
    # formula counts n pairs a lag where there are n - lag, 4 % too many at lag 12
    np.testing.assert_allclose(kept.std(), expected, rtol=0.05)


# Intervals


@pytest.mark.slow
def test_intervals_have_no_width_where_nothing_varies(constant):
    blocks = means_of(constant, text_of(constant, 1250), blocks=10)
    white = whitening_of(constant)

    def statistic(gradient):
        return sg.memory_curve(sg.whiten_gradient(gradient, white))

    found = sg.block_bootstrap(blocks, statistic, seed=0, n_resamples=20)
    known = trials.truth(constant, REACH)
    for name in ("memory", "total", "selectivity", "effective_rank"):
        one = found.sel(quantity=name)
        # of norms the squares have the width, ten blocks magnify round-off by 9
        np.testing.assert_allclose(one["lower"], known[name], atol=1e-6, rtol=0)
        np.testing.assert_allclose(one["upper"], known[name], atol=1e-6, rtol=0)


@pytest.fixture(scope="module")
def held():
    delays = (1, 5, 10, 20)
    return {
        apart: trials.coverage(
            trials.drawn_blocks(500, delays=delays, share=0.1, apart=apart), 0.1
        )
        for apart in (False, True)
    }


@pytest.mark.slow
def test_intervals_hold_as_often_as_they_say_where_one_number_varies(held):
    # 500 texts: a share of 95 % errs by 1 %; the blocks' shares are skewed at delay 20
    memory = held[False].sel(quantity=["memory", "total"])
    assert float(memory["held"].min()) > 0.90 and float(memory["held"].max()) < 0.98
    shares = held[False].sel(quantity=["selectivity", "effective_rank"])
    assert float(shares["held"].min()) == 1  # they do not vary
    np.testing.assert_allclose(shares["observed"], shares["truth"], rtol=1e-12)


@pytest.mark.slow
def test_the_bootstraps_standard_error_is_the_formulas(held):
    error = held[False]["standard_error"].sel(quantity="memory")
    expected = [trials.standard_error(d, 0.1, 4096 - d) for d in error["delay"].values]
    # the larger of two estimates, each scattering by 1 / sqrt(64) = 12 %
    np.testing.assert_allclose(error, expected, rtol=0.1)


@pytest.mark.slow
def test_intervals_hold_too_rarely_where_singular_values_are_equal(held):
    apart = held[True]
    early = apart.sel(delay=[1, 5, 10])
    assert float(early["held"].sel(quantity="memory").max()) < 0.90
    assert float(early["held"].sel(quantity="selectivity").max()) < 0.90
    assert float(apart["held"].sel(quantity="total").min()) > 0.91  # no maximum
    above = apart["observed"] > apart["truth"]
    assert bool(above.sel(quantity=["memory", "selectivity"]).all())
    left = apart["estimate"] - apart["truth"]
    taken = apart["observed"] - apart["estimate"]
    late = {"quantity": "memory", "delay": [5, 10, 20]}
    assert (taken.sel(late) > 0).all() and (left.sel(late) > 0).all()
    assert float(apart["held"].sel(quantity="effective_rank").min()) > 0.98


# The page


@pytest.fixture(scope="module")
def both():
    made = [CONSTANT[name]() for name in ("leaks", "delay line")]
    found = [trials.beside(each, text_of(each), max_delay=20) for each in made]
    names = [each.name for each in made]
    return page.joined(dict(zip(names, found, strict=True)))


def test_the_tables_are_those_of_the_data(both):
    off = both.copy()
    off["memory"] = both["memory"].copy()
    off["memory"].loc[{"network": "leaks", "source": "measured", "delay": 3}] += 0.02
    table = page.told_errors(off)
    assert table.loc["leaks", "memory"] == "2e-02"
    assert all(float(x) < 1e-10 for x in table.loc["delay line"])
    ranks = page.told_ranks(both, (0, 20))
    assert ranks.loc["delay line"].tolist() == ["0.25", DASH, "4.00", DASH]
    share = 1 / np.exp(-20 * (np.array(RATES) - RATES[0])).sum()
    assert ranks.loc["leaks", "selectivity at 20"] == f"{share:.2f}"


def test_the_table_of_fits_says_what_is_planted_and_what_was_found():
    curves = {"line": memory_of(networks.delay_line(40), 30)}
    curves["shear"] = memory_of(networks.shear(), 30)
    table = page.told_fits(curves, {"line": "all", "shear": "a push"})
    assert table["planted"].tolist() == ["all", "a push"]
    assert table.loc["line"].tolist()[1:5] == ["0.000", DASH, "exponential", "0.000"]
    found = trials.fitted(curves["shear"])
    assert table.loc["shear", "fit_decay: b"] == f"{found['rate']:.3f}"
    assert table.loc["shear", "compare_decays"] == found["law"]


def test_the_gap_is_least_in_standard_errors():
    labels = {"delay": [0, 4], "component": [1, 2, 3]}
    s = xr.DataArray([[9.0, 3, 0], [5, 4.5, 4]], labels, ("delay", "component"))
    error = xr.DataArray([2.0, 0.1], {"delay": [0, 4]}, ("delay",))
    found = page.nearest_gap(s, error)
    assert found == {"delay": 0, "share": pytest.approx(1 / 3), "errors": 3}
    found = page.nearest_gap(s, error[::-1].values + 0 * error)
    assert found == {"delay": 4, "share": 0.9, "errors": 0.25}


def test_the_table_of_coverage_has_a_row_for_each_quantity(held_of_two):
    table = page.told_coverage(*held_of_two)
    assert table.columns.tolist() == ["delay 1", "delay 9"]
    assert table.loc["memory, all four together"].tolist() == ["95%", "90%"]
    assert table.loc["selectivity, each by itself"].tolist() == ["80%", "75%"]


@pytest.fixture
def held_of_two():
    names = ["memory", "selectivity", "effective_rank"]
    labels = {"quantity": names, "delay": [1, 9]}
    values = np.array([[0.95, 0.9], [0.8, 0.75], [1.0, 1.0]])
    one = xr.Dataset({"held": (("quantity", "delay"), values)}, labels)
    return one, one


@pytest.mark.usefixtures("closed_figures")
def test_curves_are_drawn_on_their_formulas(both):
    upper, lower = page.plot_planted(both)
    assert legend_names(upper) == ["formula", "leaks", "delay line"]
    measured = both.sel(source="measured")
    assert_drawn(upper, "leaks", range(21), measured["memory"].sel(network="leaks"))
    line = measured["memory"].sel(network="delay line", delay=slice(10))
    assert_drawn(upper, "delay line", range(11), line)  # zeros have no logarithm
    grey = [x for x in lower.lines if x.get_linewidth() == 4]
    known = both["selectivity"].sel(source="formula", network="leaks")
    np.testing.assert_array_equal(grey[0].get_ydata(), known)


@pytest.mark.usefixtures("closed_figures")
def test_fits_are_drawn_behind_the_curves():
    named = {"shear": networks.shear(), "line": networks.delay_line(10)}
    curves = xr.concat(
        [memory_of(each, 30) for each in named.values()],
        xr.Variable("network", [*named]),
    )
    ax = page.plot_fits(curves)
    assert legend_names(ax) == ["fitted exponentials", "shear", "line"]
    found = trials.fitted(curves.sel(network="shear"))
    expected = found["scale"] * np.exp(-found["rate"] * np.arange(31))
    np.testing.assert_allclose(ax.lines[0].get_ydata(), expected, rtol=1e-12)
    assert_drawn(ax, "line", range(11), np.ones(11))


@pytest.mark.usefixtures("closed_figures")
def test_an_interval_is_drawn_around_the_memory(both):
    one = both.sel(network="leaks")
    ends = {"lower": 0.9 * one["memory"][0], "upper": 1.1 * one["memory"][0]}
    ax = page.plot_interval(one, xr.Dataset(ends))
    assert legend_names(ax) == ["formula", "root mean square", "memory"]
    band = ax.collections[0].get_paths()[0].vertices
    assert band[:, 1].max() == pytest.approx(1.1)
    assert_drawn(ax, "memory", range(21), one["memory"].sel(source="measured"))


def test_the_coherence_of_gates_that_let_a_share_through():
    """Of the exercise, against all words that can come."""
    q, f, delay = 0.3, -0.5, 3
    factors = np.array(np.meshgrid(*[[f, 1.0]] * delay)).reshape(delay, -1)
    chance = np.where(factors == f, q, 1 - q).prod(axis=0)
    kept = factors.prod(axis=0)
    expected = (chance @ kept) / np.sqrt(chance @ kept**2)
    target = exercises.coherence_of_gates_that_let_a_share_through()
    assert target.reference(q, f, delay) == pytest.approx(expected)
