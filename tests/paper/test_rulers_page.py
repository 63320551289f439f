"""What the page of rulers draws and says, on networks of which that is known."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from drawings import legend_names
from scipy.stats import kendalltau, rankdata

from state_gradients.figures import set_theme
from state_gradients.paper.book import far_back
from state_gradients.paper.book import ruler_tables as tables
from state_gradients.paper.book import rulers as page
from state_gradients.project import artifacts

pytestmark = pytest.mark.usefixtures("closed_figures")
GRAMMAR = "grammar-lstm-64"
NETWORKS = {"LSTM": GRAMMAR, "none": "wikitext-103-lstm-512"}


def test_a_curve_ends_where_it_is_last_above_its_limit():
    words = np.array([0, 1, 2, 5, 10, 20])
    decay = np.exp(-words / 3)  # a line in the logarithm, so that its end is exact
    assert page.falls_below(decay, words, 0.1) == pytest.approx(3 * np.log(10))
    assert page.falls_below(decay, words, 2.0) == 0
    assert page.falls_below(decay, words, 1e-9) == np.inf
    assert np.isnan(page.falls_below(np.full(6, np.nan), words, 0.1))
    again = np.array([1.0, 0.01, 0.5, -0.5, 0.0, 0.0])  # the last time counts
    # from 0.5 at 2 to -0.5 at 5, which has no logarithm: 0.25 is a quarter of the way
    assert page.falls_below(again, words, 0.25) == pytest.approx(2.75)


def test_ends_are_those_of_the_artifacts():
    found = page.ends(NETWORKS)
    assert found.sel(experiment="none")["value"].isnull().all()
    one = found.sel(experiment="LSTM")
    influence, context, forgetting = (artifacts.load(GRAMMAR, k) for k in page.KINDS)
    at = context.sel(change="dropped")
    expected = [float(at[f"effective{end}"]) for end in ("", "_lower", "_upper")]
    got = [float(one[k].sel(ruler="context")) for k in ("value", "lower", "upper")]
    np.testing.assert_array_equal(got, np.nan_to_num(expected, nan=np.inf))
    at = forgetting.sel(measure="nats", against="other")
    expected = [float(at[f"reach{end}"]) for end in ("", "_lower", "_upper")]
    got = [float(one[k].sel(ruler="copying")) for k in ("value", "lower", "upper")]
    np.testing.assert_array_equal(got, np.nan_to_num(expected, nan=np.inf))
    # memory: the first delay below a tenth is just behind the end, with no interval
    share = influence["memory"] / influence["memory"][0]
    end = float(one["value"].sel(ruler="memory"))
    assert share[int(np.floor(end))] >= 0.1 > share[int(np.ceil(end))]
    assert one["lower"].sel(ruler="memory").isnull()
    # influence: half the largest eigenvalue, and its own interval
    half = influence["observed"].sel(quantity="influence") / 2
    end = float(one["value"].sel(ruler="influence"))
    assert half[int(np.floor(end))] >= page.LIMIT > half[int(np.ceil(end))]
    bounds = [float(one[k].sel(ruler="influence")) for k in ("lower", "upper")]
    assert bounds[0] < bounds[1]
    # a word replaced: the whole way, and no tenth of it
    kl = influence["kl"].sel(scale=1.0)
    end = float(one["value"].sel(ruler="replacing"))
    before = kl.sel(step_delay=kl["step_delay"] <= end)
    behind = kl.sel(step_delay=kl["step_delay"] > end)
    assert before[-1] >= page.LIMIT and (behind < page.LIMIT).all()
    wrong = context.sel(change="replaced")["effective"]
    assert float(one["value"].sel(ruler="wrong")) == float(wrong)
    at = forgetting.sel(measure="nats", against="shuffled")
    expected = np.nan_to_num(float(at["reach"]), nan=np.inf)
    assert float(one["value"].sel(ruler="order")) == expected
    longest = [int(x) for x in found["longest"]]
    last = int(influence["delay"][-1])
    assert longest[:2] == [last, last] and longest[2] == int(kl["step_delay"][-1])


def test_what_is_drawn_begins_a_word_back_and_ends_at_the_axis(monkeypatch):
    found = page.curves(NETWORKS)
    assert [*found] == [*page.RULERS]
    shown = page.drawn(found)
    for ruler, one in shown.items():
        assert one["experiment"].values.tolist() == ["LSTM"]
        assert int(one["words"][0]) >= 1
        value = one["value"].isel(experiment=0).values
        known = np.isfinite(value)
        assert np.all(np.diff(np.flatnonzero(known)) == 1)  # once ended, for good
        assert known.any() or ruler == "order"
        assert np.all(value[known] > page.LIMITS[ruler] / 20)
        kept = found[ruler].sel(words=one["words"])["value"].isel(experiment=0)
        np.testing.assert_array_equal(value[known], kept.values[known])
    # a network has its place, and so its colour, in every panel
    known = page.has_run
    monkeypatch.setattr(
        page,
        "has_run",
        lambda name, kind: known(name, kind) and name[0] + kind != "pcontext",
    )
    both = page.curves({"LSTM": GRAMMAR, "other": "ptb-lru-256"})
    labels = [one["experiment"].values.tolist() for one in both.values()]
    assert labels == [["LSTM", "other"]] * 7
    set_theme()
    axes = page.plot_curves(shown)
    assert len(axes) == 7 and legend_names(axes[0]) == ["LSTM"]
    assert axes[0].get_ylabel() == page.RULERS["memory"]
    assert [ax.get_xlabel() != "" for ax in axes] == [False] * 6 + [True]


@pytest.fixture
def five(monkeypatch):
    """Five networks and a twin, in one order by all rulers but the memory."""
    names = [*"abcde", page.UNTRAINED]
    value = np.tile(np.array([50.0, 40, 30, 20, 10, 0])[:, None], (1, 7))
    value[:5, 0] = value[:5, 0][::-1]
    value[4, 5], value[0, 3] = np.nan, np.inf  # of copying, of context
    lower, upper = 0.99 * value, 1.01 * value
    lower[:, 0] = upper[:, 0] = np.nan
    lower[:, 2], upper[:, 2] = value[:, 2] / 4, value[:, 2] * 4  # hardly known
    dims = "experiment", "ruler"
    parts = {"value": value, "lower": lower, "upper": upper}
    found = xr.Dataset(
        {k: (dims, x) for k, x in parts.items()}
        | {"shortest": ("ruler", [0, 0, 0, 1, 1, 2, 2])}
        | {"longest": ("ruler", [50, 50, 40, 300, 300, 400, 400])},
        {"experiment": names, "ruler": [*page.RULERS]},
    )
    low = dict(zip(names, [90.0, 100, 110, 120, 130, 10_000], strict=True))
    monkeypatch.setattr(
        tables, "perplexities", lambda networks: {k: low.get(k, 5.0) for k in networks}
    )
    return dict.fromkeys(names, "nowhere"), found


def test_orders_agree_as_their_pairs_say(five):
    networks, found = five
    table = tables.agreement(networks, found).set_index(["first", "second"])
    assert len(table) == 28
    same = table.loc[("perplexity", "influence")]
    assert same["n"] == 5
    # far apart beside their intervals
    np.testing.assert_allclose(
        same[["tau", "lower", "upper", "least", "most"]].astype(float), 1
    )
    of_context = table.loc[("perplexity", "context"), "tau"]
    assert of_context == pytest.approx(1)  # infinite is the longest
    turned = table.loc[("memory", "influence")]
    assert turned["tau"] == pytest.approx(-1) and turned["upper"] < -0.99
    unsure = table.loc[("influence", "replacing")]
    assert unsure["tau"] == pytest.approx(1) and unsure["lower"] < 0.5
    assert table.loc[("memory", "copying"), "n"] == 4  # one has not been run
    # one pair of ten turned round, and what is left when one of the two is left out
    other = found.copy(deep=True)
    other["value"].loc[{"ruler": "influence", "experiment": ["a", "b"]}] = [40.0, 50.0]
    one = tables.agreement(networks, other).set_index(["first", "second"])
    row = one.loc[("perplexity", "influence")]
    assert row["tau"] == pytest.approx(1 - 2 / 10)
    assert row["least"] == pytest.approx(1 - 2 / 6)
    assert row["most"] == pytest.approx(1)
    told = tables.agreement_table(tables.agreement(networks, other))
    assert told.loc["perplexity / influence", "without any one"] == "0.67 to 1.00"


def test_tables_say_which_is_longest(five):
    networks, found = five
    order = tables.order_table(networks, found)
    assert order["perplexity"].tolist() == [*"abcde", page.UNTRAINED]
    assert order[tables.TITLES["memory"]].tolist() == [*"edcba", page.UNTRAINED]
    assert order[tables.TITLES["copying"]].tolist() == [
        *"abcd",
        page.UNTRAINED,
        tables.DASH,
    ]
    table = tables.ends_table(networks, found)
    assert table.loc["a", tables.TITLES["context"]].startswith("> 300 [")
    assert table.loc["e", tables.TITLES["copying"]] == tables.DASH
    assert table.loc["b", tables.TITLES["influence"]] == "40 [40, 40]"
    assert table.loc["b", tables.TITLES["memory"]] == "20"
    assert (
        tables.told_end(4.26, 2.0, np.inf, 2, 400)
        == "4.3 [\N{LESS-THAN OR EQUAL TO} 2, > 400]"
    )


def test_prose_takes_its_numbers_from_the_artifacts(five):
    networks, found = five
    agreed = tables.agreement(networks, found)
    without = tables.numbers(networks, found, agreed)
    assert without["best-gain"] == without["long"] == tables.DASH
    assert without["n-networks"] == "4"  # have all rulers
    of_grammar = page.ends(NETWORKS)
    said = tables.numbers(NETWORKS, of_grammar, tables.agreement(NETWORKS, of_grammar))
    assert (
        said["tau-context-copying"] == tables.DASH
    )  # of one network there is no order
    assert without.keys() == said.keys()
    gain = artifacts.load(GRAMMAR, "forgetting")["gain"].sel(against="other")
    nats = gain.sel(measure="nats")
    assert said["nats-most"].startswith(f"{float(nats.max()):.2f} [")
    at = int(nats.argmax("length"))
    assert said["nats-at"] == str(int(nats["length"][at]))
    long = nats.sel(length=slice(50, None))
    totals = [
        float(g) * (int(n) - 1) for g, n in zip(long, long["length"], strict=True)
    ]
    assert said["total-least"] == f"{min(totals):.1f}"
    assert said["total-most"] == f"{max(totals):.1f}"
    first = 100 * float(gain.sel(measure="accuracy")[0])
    assert said["short-gain"].startswith(f"{first:.1f} [")


def test_chance_is_that_of_orders_drawn_at_random():
    # of 3! = 6 orders of three, tau is 1, 1/3, 1/3, -1/3, -1/3, -1
    assert tables.chance_beyond(3, 0.5) == pytest.approx(2 / 6, abs=0.02)
    assert tables.chance_beyond(9, 0.5) == pytest.approx(0.075, abs=0.01)


def test_right_words_are_shown_in_per_cent():
    right = page.said_again(GRAMMAR)
    share = artifacts.load(GRAMMAR, "forgetting")["accuracy"]
    np.testing.assert_allclose(right, 100 * share)
    ax = page.plot_said_again(right)
    assert legend_names(ax) == [
        "after itself",
        "after its words, shuffled",
        "after another stretch",
    ]


def test_the_page_is_of_one_corpus():
    of_ptb = page.members("ptb-lstm-256")
    assert len(of_ptb) == 10 and of_ptb["LRU"] == "ptb-lru-256"
    assert [*page.members(GRAMMAR).values()] == [GRAMMAR]  # it has no twin
    of_lru = [*page.members("ptb-lru-256").values()]
    assert of_lru[0] == "ptb-lru-256" and of_lru.count("ptb-lru-256") == 1
    lacking = page.not_run(NETWORKS)
    assert lacking == {"wikitext-103-lstm-512": [*page.KINDS]}


def test_effective_contexts_stand_side_by_side():
    table = far_back.contexts_table(NETWORKS)
    assert isinstance(table, pd.DataFrame)
    data = artifacts.load(GRAMMAR, "context")
    assert table.loc["LSTM", "dropped"] == far_back.told_effective(data, "dropped")
    assert table.loc["LSTM", "loss (nats)"] == f"{float(data['loss']):.2f}"
    assert set(table.loc["none"]) == {far_back.DASH}


def test_the_agreement_of_many_orders_at_once_is_kendalls(rng):
    first, second = rng.integers(0, 5, (50, 9)).astype(float), rng.normal(size=(50, 9))
    second[:, 1] = second[:, 2]
    second[3, 4:6] = np.inf
    expected = [
        kendalltau(rankdata(a), rankdata(b)).statistic
        for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(tables._taus(first, second), expected)
