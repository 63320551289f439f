"""What the tail's page says of contexts, ends of sentences and twins; and records."""

import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, band_ends, legend_names

from state_gradients.paper.book import far_back as page
from state_gradients.paper.book import records
from state_gradients.paper.language.context import CHANGES, CONTEXTS

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.fixture
def context():
    cost = 0.4 / np.array(CONTEXTS) * np.array([[1.0], [0.5], [2.0]])
    cost[1:, -1] = 0
    by_change = {
        "effective": [160.0, 45.0, np.nan],
        "effective_lower": [140.0, 20.0, 290.0],
        "effective_upper": [290.0, 60.0, np.nan],
        "n_places": [4096, 1024, 1024],
    }
    dims = ("change", "context")
    return xr.Dataset(
        {
            "cost": (dims, cost),
            "lower": (dims, cost - 0.001),
            "upper": (dims, cost + 0.002),
            "loss": 4.5,
            **{name: ("change", values) for name, values in by_change.items()},
        },
        {"change": [*CHANGES], "context": [*CONTEXTS]},
    )


@pytest.fixture
def boundaries():
    memory = np.array([[2.0, 1.0, 0.5], [1.0, 0.4, 0.1], [np.nan, 0.3, 0.05]])
    dims = ("crossed", "delay")
    return xr.Dataset(
        {
            "memory": (dims, memory),
            "lower": (dims, 0.9 * memory),
            "upper": (dims, 1.1 * memory),
            "ratio": (dims, memory / memory[0]),
            "ratio_lower": (dims, 0.9 * memory / memory[0]),
            "ratio_upper": (dims, 1.1 * memory / memory[0]),
            "n_samples": (dims, [[90, 50, 10], [10, 40, 30], [0, 10, 60]]),
        },
        {"crossed": [0, 1, 2], "delay": [5, 20, 50]},
    )


def test_the_curves_are_rises_in_per_cent(context):
    ax = page.plot_context(context)
    assert legend_names(ax) == [*CHANGES]
    for number, change in enumerate(CHANGES):
        known = slice(None if change == "dropped" else -1)
        n = np.array(CONTEXTS)[known]
        cost = context["cost"].sel(change=change).values[known]
        assert_drawn(ax, change, n, 100 * np.expm1(cost))
        _, lower, upper = band_ends(ax, number)
        np.testing.assert_allclose(lower[: len(n)], 100 * (np.exp(cost - 0.001) - 1))
        np.testing.assert_allclose(upper[: len(n)], 100 * (np.exp(cost + 0.002) - 1))
    assert ax.get_xscale() == "log"


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ((140, 290), "supported"),  # within 133 .. 300
        ((48, 72), "not supported"),
        ((301, np.nan), "not supported"),
        ((120, 250), "open"),
        ((140, np.nan), "open"),
    ],
)
def test_a_claim_stands_where_the_interval_lies_about_it(context, ends, expected):
    lower, upper = ends
    of_dropped = context.sel(change="dropped").assign(
        effective_lower=lower, effective_upper=upper
    )
    data = xr.concat([of_dropped, context.sel(change="shuffled")], "change")
    assert page.verdict(data, "dropped") == expected


def test_the_claims_are_told(context):
    table = page.claims(context)
    assert table["measured"].tolist() == ["160 [140, 290]", "45 [20, 60]"]
    assert table["verdict"].tolist() == ["supported", "open"]
    assert (
        page.told_effective(context, "replaced") == "more than 300 [290, more than 300]"
    )
    assert page.claims(None)["verdict"].tolist() == ["not run", "not run"]


def test_ends_of_sentences_are_drawn_and_told(boundaries):
    ax = page.plot_boundaries(boundaries)
    assert len(legend_names(ax)) == 3
    assert_drawn(ax, page.CROSSED[1], [5, 20, 50], [1.0, 0.4, 0.1])
    assert page.told_ratio(boundaries, 1, 20) == "0.40 [0.36, 0.44]"
    assert page.told_ratio(boundaries, 2, 5) == page.DASH
    table = page.boundaries_table(boundaries)
    assert table.loc[50, f"{page.CROSSED[2]}, positions"] == "60"
    texts = page.numbers(None, None, boundaries, None)
    assert texts["ratio_1_far"] == "0.20 [0.18, 0.22]"
    assert texts["within_far"] == "10" and texts["across_far"] == "90.0%"
    assert texts["context_dropped"] == texts["twin_last"] == page.DASH


def test_the_twin_is_told_beside_the_network():
    def tail(per_word, last):
        delay = np.arange(last + 1)
        memory = 2 * per_word**delay
        observed = np.array([memory, 0 * memory + 0.5])
        marks = [mark for mark in (0, 10, 20, 40) if mark <= last]
        return xr.Dataset(
            {
                "observed": (("quantity", "delay"), observed),
                "estimate": (("quantity", "mark"), observed[:, marks]),
                "n_samples": ("delay", 1000 - delay),
            },
            {"quantity": ["memory", "coherence"], "delay": delay, "mark": marks},
        )

    network, twin = tail(0.9, 40), tail(0.5, 20)
    table = page.twin_table(network, twin)
    assert table.index.tolist() == [0, 10, 20]
    assert table.loc[10, "memory, trained"] == f"{2 * 0.9**10:.3g}"
    assert table.loc[10, "memory, untrained"] == f"{2 * 0.5**10:.3g}"
    texts = page.numbers(network, None, None, twin)
    assert texts["twin_per_word"] == "0.50" and texts["twin_delay"] == "20"
    assert texts["twin_last"] == f"{0.5**20:.1g}" and texts["twin_tokens"] == "1,000"
    assert page.twin_table(network, None).empty


def test_what_is_missing_is_not_drawn():
    assert page.plot_context(None) is page.plot_boundaries(None) is None
    assert page.context_drawn(None) is page.boundaries_drawn(None) is None
    assert page.boundaries_table(None).empty


def test_hours_are_those_of_the_products():
    record = {
        "machine": "Linux x86_64, 2 cores",
        "product_gflops": 200.0,
        "engine": {"share": 0.9},
        "extensions": {"every_type": 1.2},
    }
    long = {"forward": {"units": 512, "ms_per_token": 0.1}}
    found = records.hours(record, long)
    # two products of 512 x 512 for 64 x 51 columns, 90 GFLOP/s a core
    seconds = 103_227_021 * 2 * 2 * 512 * 512 * 64 * 51 / 90e9
    assert found.loc[1, "tangents"] == pytest.approx(seconds / 3600)
    assert found.loc[16, "tangents, every type"] == pytest.approx(
        1.2 * seconds / 3600 / 16
    )
    forward = 103_227_021 * 1e-4 / 3600
    sums = 103_227_021 / 256 * 51 * 64 * 512 * 8 / 1e9 / 3600
    assert found.loc[64, "forward pass"] == pytest.approx(forward)
    assert found.loc[1, "at least"] == found.loc[1, "tangents"]
    fast = records.hours(record | {"product_gflops": 2e5}, long)
    assert fast.loc[64, "at least"] == pytest.approx(forward + sums)
    assert np.isnan(records.hours(record, None)["forward pass"]).all()


def test_lengths_are_told_by_row():
    row = {"tokens": 3 * 10**5, "tokens_per_second": 44155.3, "peak_mb": 817.4}
    row["peak_before_mb"] = 815.8
    table = records.long_texts({"means": [row], "types": []})
    assert table.loc[("means", "300,000"), "tokens a second"] == "44,155"
    assert table.loc[("means", "300,000"), "peak memory (MB)"] == "817"
    assert records.long_texts(None).empty
