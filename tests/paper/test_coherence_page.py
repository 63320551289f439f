"""What the page on forgetting and cancellation shows equals the artifact."""

import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, band_ends, legend_names

from state_gradients.analysis import agreement
from state_gradients.paper.book import coherence, pages
from state_gradients.paper.language.coherence import QUANTILES

pytestmark = pytest.mark.usefixtures("closed_figures")
DELAYS = [0, 1, 2, 5, 9, 20, 40]


@pytest.fixture
def data(rng):
    """An artifact whose factors multiply, of two states and two texts."""
    shape = 2, 2, len(DELAYS)
    rms = 3 * np.exp(-0.1 * np.array(DELAYS)) * rng.uniform(0.9, 1.1, size=shape)
    lengths, directions = rng.uniform(0.4, 0.9, size=(2, *shape))
    values = {
        "mean_response": rms * lengths * directions,
        "mean_length": rms * lengths,
        "rms_length": rms,
        "directions": directions,
        "lengths": lengths,
        "coherence": lengths * directions,
        "top_share": rng.uniform(0.1, 0.3, size=shape),
    }
    assert set(values) == {*agreement.QUANTITIES, agreement.TOP_SHARE}
    observed = np.array([*values.values()])
    axes = ("text", "state_kind", "delay")
    return xr.Dataset(
        {
            "observed": (("quantity", *axes), observed),
            "lower": (("quantity", *axes), 0.9 * observed),
            "upper": (("quantity", *axes), 1.1 * observed),
            "length": (("quantile", *axes), rng.random((len(QUANTILES), *shape))),
            "share_of_block": ((*axes, "block"), rng.dirichlet([1] * 4, size=shape)),
            "n_samples": (("text", "delay"), [[400] * 7, [200] * 7]),
        },
        coords={
            "quantity": [*values],
            "text": ["in order", "shuffled"],
            "state_kind": ["hidden", "cell"],
            "delay": DELAYS,
            "quantile": [*QUANTILES],
        },
    )


@pytest.fixture
def spectra(rng):
    names = ("memory", "rms_memory", "coherence")
    return xr.Dataset(
        {name: ("delay", rng.uniform(3, 4, size=len(DELAYS))) for name in names},
        coords={"delay": DELAYS},
    )


def test_falls_multiply_and_their_logarithms_add(data):
    one = coherence.of_state(data, "cell")
    found = coherence.falls(one)
    observed = one["observed"]
    memory = observed.sel(quantity="mean_response")
    np.testing.assert_allclose(found["fall"], memory[0] / memory, rtol=1e-14)
    product = found["forgetting"] * found["cancellation"]
    np.testing.assert_allclose(product, found["fall"], rtol=1e-14)
    directions = observed.sel(quantity="directions").values
    share = np.log(directions[0] / directions[1:]) / np.log(found["fall"][1:])
    np.testing.assert_allclose(found["share"][1:], share, rtol=1e-12)
    assert np.isnan(found["share"][0])
    table = coherence.told_falls(one, [1, 20])
    assert table.loc[20, "share of cancellation"] == f"{float(share[4]):.0%}"
    assert table.loc[20, "forgetting"] == f"{float(found['forgetting'][5]):.3g}"


def test_a_network_that_only_forgets_has_no_share_of_cancellation(data):
    one = coherence.of_state(data, "cell")
    observed = one["observed"].copy()
    observed.loc[{"quantity": "directions"}] = 0.5
    length = observed.sel(quantity="mean_length")
    observed.loc[{"quantity": "mean_response"}] = 0.5 * length
    share = coherence.falls(one.assign(observed=observed))["share"]
    np.testing.assert_allclose(share[1:], 0, atol=1e-14)


def test_places_are_delays_that_there_are():
    assert coherence.places_of([0, 1, 2, 3, 5, 20, 50]) == {
        **{"0": 0, "near": 1, "mid": 5, "late": 20, "last": 50}
    }
    assert coherence.places_of(np.array([0, 1, 3, 4])) == {
        **{"0": 0, "near": 1, "mid": 4, "late": 4, "last": 4}
    }


def test_numbers_and_tables_are_those_of_the_data(data, spectra):
    texts = coherence.numbers(data, "cell", spectra)
    one = coherence.of_state(data, "cell")
    at = one.sel(delay=5)
    value = float(at["observed"].sel(quantity="directions"))
    assert texts["dir_mid"].startswith(f"{value:#.3g} [")
    assert texts["dir_mid"] == coherence.told(one, "directions", 5)
    rms = float(at["observed"].sel(quantity="rms_length"))
    step = rms / float(spectra["rms_memory"].sel(delay=5))
    assert texts["step_mid"] == f"{step:.3f}"
    after = one["observed"].sel(quantity="directions")[1:]
    assert texts["dir_least"] == f"{float(after.min()):#.3g}"
    assert texts["dir_most"] == f"{float(after.max()):#.3g}"
    longest = float(at["length"].sel(quantile=1.0)) / rms
    assert texts["longest_mid"] == f"{longest:.0f}"
    assert texts["block_mid"] == f"{4 * float(at['share_of_block'].max()):.1f}"
    fall = coherence.falls(one)
    later = np.log(fall["cancellation"][-1] / fall["cancellation"][3])
    later /= np.log(fall["fall"][-1] / fall["fall"][3])
    assert texts["share_later"] == f"{float(later):.0%}"
    table = coherence.told_factors(one, [0, 9])
    assert table.loc[9, "lengths"] == coherence.told(one, "lengths", 9)


def test_numbers_of_the_shuffled_text_are_of_both_texts(data):
    texts = coherence.numbers_of_shuffled(data, "hidden")
    both = data["observed"].sel(state_kind="hidden", quantity="mean_length", delay=40)
    ratio = float(both.sel(text="in order") / both.sel(text="shuffled"))
    assert texts["order_mean_last"] == f"{ratio:.2f}"
    shuffled = coherence.of_state(data, "hidden", "shuffled")
    assert texts["shuffled_dir_0"] == coherence.told(shuffled, "directions", 0)
    alone = coherence.numbers_of_shuffled(data.sel(text=["in order"]), "hidden")
    assert alone == dict.fromkeys(texts, "(not run)")


def test_doubts_without_intervals_or_controls_say_so(data, monkeypatch):
    monkeypatch.setattr(pages, "has_run", lambda name, kind: False)
    texts = coherence.doubts(data, "mine", "cell")
    assert texts["floor"] == "0.0500"
    assert texts["unbiased_last"] == texts["own_last"] == "(not run)"
    hidden = coherence.of_state(data, "hidden")
    assert texts["hidden_dir_last"] == coherence.told(hidden, "directions", 40)


def test_the_figure_has_three_lengths_and_two_factors(data):
    one = coherence.of_state(data, "cell")
    upper, lower = coherence.plot_split(one)
    for ax, names in ((upper, coherence.LENGTHS), (lower, coherence.FACTORS)):
        assert legend_names(ax) == [*names.values()]
        for number, (quantity, name) in enumerate(names.items()):
            drawn = one.sel(quantity=quantity)
            assert_drawn(ax, name, DELAYS, drawn["observed"])
            ends = [DELAYS, drawn["lower"], drawn["upper"]]
            np.testing.assert_array_equal(band_ends(ax, number), ends)
    assert upper.get_yscale() == "log"


def test_both_texts_are_drawn(data):
    both = coherence.beside_shuffled(data, "cell")
    upper, lower = coherence.plot_orders(both)
    for number, text in enumerate(("in order", "shuffled")):
        length = both.sel(quantity="mean_length", text=text)
        assert_drawn(upper, text, DELAYS, length["observed"])
        directions = both.sel(quantity="directions", text=text)
        drawn = lower.lines[number].get_ydata()
        np.testing.assert_array_equal(drawn, directions["observed"])
        ends = [DELAYS, directions["lower"], directions["upper"]]
        np.testing.assert_array_equal(band_ends(lower, number), ends)
