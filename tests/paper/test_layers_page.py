"""What the page on layers shows and says equals the artifacts."""

import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, band_ends, legend_names

from state_gradients.figures import set_theme
from state_gradients.paper.book import layers as page
from state_gradients.paper.book import sources
from state_gradients.paper.exercises import TARGETS
from state_gradients.paper.language.layers import BELOW, EMBEDDING
from state_gradients.project import artifacts

pytestmark = pytest.mark.usefixtures("closed_figures")
NAMES = "ptb-lstm-256", "ptb-lstm-256-layers2", "ptb-lstm-256-layers3"
DELAYS = [0, 1, 2, 5, 10, 20]
QUANTITIES = ["memory", "total", "selectivity", "effective_rank"]
QUANTITIES += ["singular - plural", "present - past"]


def artifact(depth):
    """Curves that fall faster, the higher the layer; of the layer below, faster yet."""
    delay = np.array(DELAYS)
    wrt = [EMBEDDING, BELOW][: min(depth, 2)]
    layer = np.arange(1, depth + 1)
    shape = (len(wrt), depth, len(QUANTITIES), 2, len(delay))
    rate = layer[None, :, None, None, None] / 4 + 0.5 * np.arange(len(wrt)).reshape(
        -1, 1, 1, 1, 1
    )
    start = depth * np.arange(1, 3)[:, None]  # of the hidden state and of the cell
    observed = np.broadcast_to(start * np.exp(-rate * delay), shape).copy()
    observed[:, :, 2] = 0.1 * layer[:, None, None]  # selectivity
    observed[:, :, 3] = 7
    observed[:, :, 4] = 0.3
    observed[:, :, 5] = 0.1 * layer[:, None, None]
    if depth > 1:
        observed[1, :, 4:] = np.nan
        observed[1, 0] = np.nan
    dims = ("wrt", "layer", "quantity", "state_kind", "delay")
    dimension = np.array([[30.0] * depth, [np.nan, *np.arange(8.0, 7 + depth)]])
    return xr.Dataset(
        {
            "observed": (dims, observed),
            "estimate": (dims, 0.9 * observed),
            "lower": (dims, 0.8 * observed),
            "upper": (dims, 1.12 * observed),
            "rms_memory": (dims[1::2], np.ones((depth, 2))),
            "chance": (("layer", *dims[3:]), np.full((depth, 2, len(delay)), 0.2)),
            "effective_dimension": (dims[:2], dimension[: len(wrt)]),
            "n_samples": ("delay", 1000 - delay),
        },
        coords={
            "wrt": wrt,
            "layer": layer,
            "quantity": QUANTITIES,
            "state_kind": ["hidden", "cell"],
            "delay": delay,
        },
    )


@pytest.fixture
def stacks():
    return {depth: artifact(depth) for depth in (1, 2, 3)}


def of_words(depth, layer):
    return 2 * depth * np.exp(-layer / 4 * np.array(DELAYS))


def of_below(depth, layer):
    return 2 * depth * np.exp(-(layer / 4 + 0.5) * np.array(DELAYS))


def test_networks_are_known_by_their_layers(stacks, monkeypatch, tmp_path):
    held = dict(zip(NAMES[::-1], (3, 2, 1), strict=True))
    monkeypatch.setattr(page, "has_run", lambda name, kind: name != NAMES[1])
    monkeypatch.setattr(artifacts, "load", lambda name, kind: (kind, held[name]))
    assert page.stacks_of(NAMES[::-1]) == {1: ("layers", 1), 3: ("layers", 3)}
    assert page.state_of(stacks) == "cell"
    assert NAMES[1] in page.missing(NAMES).data
    monkeypatch.setattr(page, "has_run", lambda name, kind: True)
    assert page.missing(NAMES) is None


def test_curves_are_of_one_state_and_one_input(stacks):
    found = page.curves(stacks, "memory", EMBEDDING, "cell")
    lines = ["the only layer", "layer 1 of 2", "layer 2 of 2"]
    lines += [f"layer {k} of 3" for k in (1, 2, 3)]
    assert found["line"].values.tolist() == lines
    np.testing.assert_allclose(
        found["observed"].sel(line="layer 2 of 3"), of_words(3, 2)
    )
    hidden = page.curves(stacks, "memory", EMBEDDING, "hidden")
    np.testing.assert_allclose(found["upper"], 2 * hidden["upper"])
    below = page.curves(stacks, "memory", BELOW, "cell")
    assert below["line"].values.tolist() == ["layer 2 of 2", *lines[-2:]]
    np.testing.assert_allclose(
        below["observed"].sel(line="layer 3 of 3"), of_below(3, 3)
    )


def test_each_depth_is_drawn_beside_the_single_layer(stacks):
    set_theme()
    upper, lower = page.plot_by_words(stacks, "memory", "cell")
    names = legend_names(upper)
    assert names == ["the only layer", "layer 1 of 2", "layer 2 of 2"]
    assert upper.get_yscale() == "log" and lower.get_xlabel() == "delay (tokens)"
    for ax, depth in ((upper, 2), (lower, 3)):
        assert_drawn(ax, "the only layer", DELAYS, of_words(1, 1))
        for layer in range(1, depth + 1):
            name = f"layer {layer} of {depth}"
            assert_drawn(ax, name, DELAYS, of_words(depth, layer))
    x, low, high = band_ends(lower, 2)
    np.testing.assert_allclose(x, DELAYS)
    np.testing.assert_allclose(low, 0.8 * of_words(3, 2))
    np.testing.assert_allclose(high, 1.12 * of_words(3, 2))
    # and the table under the figure holds what is drawn, and nothing else
    table = sources.tidy(page.by_words(stacks, "memory", "cell"))
    row = table.query("part == '3 layers' and line == 'layer 3 of 3' and delay == 5")
    assert row["observed"].item() == pytest.approx(6 * np.exp(-15 / 4))
    assert len(table) == (3 + 4) * len(DELAYS)
    (single,) = page.plot_by_words({2: stacks[2]}, "selectivity", "cell")
    assert single.get_yscale() == "linear"
    assert_drawn(single, "layer 2 of 2", DELAYS, np.full(6, 0.2))


def test_what_the_layer_below_said_is_drawn(stacks):
    set_theme()
    upper, lower = page.plot_by_layer_below(stacks, "cell")
    assert legend_names(upper) == ["layer 2 of 2", "layer 2 of 3", "layer 3 of 3"]
    assert_drawn(upper, "layer 3 of 3", DELAYS, of_below(3, 3))
    assert lower.get_legend() is None and lower.get_yscale() == "linear"
    np.testing.assert_allclose(lower.get_lines()[2].get_ydata(), 0.1 * 3)
    held = page.drawn_by_layer_below(stacks, "cell")
    np.testing.assert_allclose(
        held["memory"]["observed"].sel(line="layer 2 of 2"), of_below(2, 2)
    )
    assert float(held["selectivity"]["upper"].sel(line="layer 3 of 3")[0]) == (
        pytest.approx(1.12 * 0.3)
    )


def test_a_band_that_reaches_zero_ends_there(stacks):
    set_theme()
    stacks[2]["lower"][{"delay": 5}] = 0
    upper, _ = page.plot_by_words(stacks, "memory", "cell")
    x, low, _ = band_ends(upper, 1)
    assert x.max() == 10 and min(low) > 0


def test_tables_say_what_the_curves_are(stacks):
    table = page.curves_table(stacks, "memory", EMBEDDING, "cell").set_index("layer")
    value = 4 * np.exp(-0.5 * 2)
    told = f"{value:#.2g} [{0.8 * value:#.2g}, {1.12 * value:#.2g}]"
    assert table.loc["layer 2 of 2", "delay 2"] == told
    assert [*table.columns] == [f"delay {d}" for d in DELAYS]
    # 0.3 and 0.1 k over a chance of 0.2
    kept = page.kept_table(stacks, "cell", 7).set_index("property")
    told = "1.5 [1.2, 1.7]"
    assert kept.loc["singular - plural", "layer 2 of 3"] == told
    assert kept.loc["present - past", "layer 3 of 3"] == told
    assert kept.loc["present - past", "the only layer"] == "0.50 [0.40, 0.56]"
    assert [*kept.columns][:2] == ["the only layer", "layer 1 of 2"]


def test_a_layer_reaches_as_far_as_a_hundredth_is_left(stacks):
    found = page.curves(stacks, "memory", EMBEDDING, "cell")
    # exp(-k tau / 4) is 0.01 at tau = 18.4, 9.2, 6.1
    assert page.reaches(found) == {
        "the only layer": 10,
        **{"layer 1 of 2": 10, "layer 2 of 2": 5},
        **{"layer 1 of 3": 10, "layer 2 of 3": 5, "layer 3 of 3": 5},
    }
    assert page.reaches(found, 1e-9)["layer 1 of 3"] == 20  # never below
    again = found.copy(deep=True)
    again["observed"][{"delay": 2}] = 0
    assert set(page.reaches(again).values()) == {1}


def test_the_sample_is_held_against_the_whole_text(stacks):
    whole = {
        name: artifacts.load(name, "spectra")["memory"]
        .sel(state_kind="cell", normalization="whitened", delay=DELAYS)
        .isel(group=0)
        .values
        for name in NAMES
    }
    found = page.beside_the_whole(NAMES, stacks, "cell")
    assert found["line"].values.tolist() == [
        "the only layer",
        *("layer 1 of 2", "layer 1 of 3"),
    ]
    for depth, name in enumerate(NAMES, start=1):
        own = of_words(depth, 1)
        one = found.sel(line=page.name_of(1, depth))
        np.testing.assert_allclose(one["ratio"], own / whole[name])
        within = (0.8 * own <= whole[name]) & (whole[name] <= 1.12 * own)
        np.testing.assert_array_equal(one["within"], within)
    texts = page.numbers(NAMES, stacks, "cell")
    off = np.abs(np.log(found["ratio"].values))
    assert texts["whole_off"] == f"{100 * (np.exp(off.max()) - 1):.0f} %"
    assert texts["whole_of"] == str(3 * len(DELAYS))
    assert texts["whole_within"] == str(int(found["within"].sum()))


def test_the_numbers_are_those_of_the_data(stacks):
    texts = page.numbers(NAMES, stacks, "cell")
    assert texts["reach_1of1"] == "10" and texts["reach_3of3"] == "5"
    assert texts["first_2of2"] == "4"
    assert texts["second_2of2"] == f"{4 * np.exp(-0.5):.2g}"
    assert texts["last_2of3"] == f"{6 * np.exp(-10):.2g}"
    assert texts["left_1of2"] == f"{100 * np.exp(-5):.2g} %"
    assert texts["share_3of3"] == texts["last_share_3of3"] == "0.30"
    assert texts["below_first_3of3"] == "6"
    assert texts["below_left_2of2"] == f"{100 * np.exp(-20):.2g} %"
    assert texts["below_reach_2of2"] == "2"  # exp(-tau) is 0.01 at 4.6
    assert texts["dimension_1of2"] == "8" and texts["dimension_2of3"] == "9"
    assert texts["words_2"] == "30" and texts["n_directions"] == "64"
    assert texts["rank_2of3"] == texts["below_last_rank_2of3"] == "7"
    assert texts["n_inputs"] == "1,000" and texts["last"] == "20"
    assert texts["state"] == "cell"
    assert texts["held_number_2of3"] == texts["held_tense_3of3"] == "1.5"
    assert texts["held_degree_3of3"] == page.DASH  # which this text has none of
    alone = page.numbers(NAMES, {1: stacks[1]}, "cell")
    assert alone.keys() == texts.keys()
    assert alone["reach_1of1"] == "10"
    assert {alone[k] for k in ("reach_2of2", "below_left_3of3", "dimension_1of2")} == {
        page.DASH
    }


def test_the_table_of_networks_says_how_they_predict():
    table = page.networks_table((*NAMES, "ptb-lstm-256-cbow"))
    one = artifacts.load(NAMES[2], "training")
    row = table.set_index("network").loc[NAMES[2]]
    assert row["layers"] == 3
    assert row["validation"] == f"{float(one['valid_perplexity_final']):.1f}"
    assert row["test"] == f"{float(one['test_perplexity']):.1f}"
    assert row["parameters"] == "4,589,328"
    assert table.iloc[-1]["validation"] == page.DASH


def test_exercises_know_their_mistakes(stacks, rng):
    memory = of_words(1, 1)
    read_off = TARGETS["J.1"](memory, DELAYS)
    assert read_off.right == 10 and read_off.fault(10) is None
    assert "a tenth" in read_off.fault(5) and "already" in read_off.fault(20)
    upper, lower = rng.normal(size=(4, 2, 3)), rng.normal(size=(4, 3, 2))
    # the response of h2_t = sum_k upper[k] h1_{t-k} to an impulse in h1's input
    impulse = np.zeros((4, 2, 2))
    for t in range(4):
        for k in range(t + 1):
            impulse[t] += upper[k] @ lower[t - k]
    np.testing.assert_allclose(TARGETS["J.2"]().reference(upper, lower), impulse)
