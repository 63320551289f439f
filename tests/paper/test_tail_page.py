"""What the page on the tail shows and says equals the artifact."""

import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, band_ends, legend_names

from state_gradients.analysis import decays
from state_gradients.paper.book import tail as page
from state_gradients.paper.book import tails
from state_gradients.paper.language.tail import MARKS, QUANTITIES

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.fixture
def data():
    """A tail whose memory is a power law, and is lost in noise from delay 350 on."""
    delay, mark = np.arange(501), np.array(MARKS)
    memory = 3 / (1 + delay) ** 1.5
    observed = np.array([memory * (k + 1) for k in range(len(QUANTITIES))])
    estimate = 0.99 * observed[:, mark]  # noise is a hundredth
    lower = 0.9 * estimate
    lower[0, mark >= 350] = 0
    lower[0, mark == 300] = 0  # once before: it stands again after
    return xr.Dataset(
        {
            "observed": (("quantity", "delay"), observed),
            "estimate": (("quantity", "mark"), estimate),
            "lower": (("quantity", "mark"), lower),
            "upper": (("quantity", "mark"), 1.1 * estimate),
            "n_samples": ("delay", 1000 - delay),
            "tolerance_error": ("delay", np.linspace(0, 2e-5, 501)),
            "tolerance": 1e-4,
            "largest_residual": 9e-5,
        },
        coords={
            "quantity": [*QUANTITIES],
            "delay": delay,
            "mark": mark,
            "state_kind": "cell",
        },
    )


def test_a_curve_meets_its_noise_where_its_interval_holds_zero_for_good(data):
    assert page.meets_noise(data, "memory") == 350
    assert page.meets_noise(data, "rms_memory") is None
    assert page.reach(data) == 349
    nothing = data.assign(lower=0 * data["lower"])
    assert page.meets_noise(nothing, "memory") == 0


def test_the_law_that_made_the_curve_leads_to_its_end(data):
    found = page.laws(data)
    power = found["memory"].sel(law="power")
    np.testing.assert_allclose(power, 3 / (1 + np.arange(501)) ** 1.5, rtol=1e-9)
    assert float(found["miss"].sel(law="power")) < 1e-9
    # the damped power holds the power law as a special case, m = 1 - 1.5, rho = 1
    damped = found["memory"].sel(law="damped power")
    np.testing.assert_allclose(damped, power, rtol=1e-6)
    # of the line through ln memory, by least squares
    slope, start = np.polyfit(np.arange(51), np.log(power[:51]), 1)
    said = found["memory"].sel(law="exponential")
    np.testing.assert_allclose(said, np.exp(start + slope * np.arange(501)), rtol=1e-9)
    beyond = slice(51, 350)
    off = np.log(said[beyond].values / power[beyond].values)
    expected = np.sqrt(np.mean(off**2))
    assert float(found["miss"].sel(law="exponential")) == pytest.approx(expected)


def test_a_stretched_exponential_is_followed_too(data):
    tau = np.arange(501)
    observed = data["observed"].copy()
    observed.loc[{"quantity": "memory"}] = 2 * np.exp(-0.8 * tau**0.5)
    found = page.laws(data.assign(observed=observed))
    said = found["memory"].sel(law="stretched")
    # beta is searched for to 1e-5, which is that times b tau^beta ln tau = 111 at 500
    np.testing.assert_allclose(said, 2 * np.exp(-0.8 * tau**0.5), rtol=2e-2)
    assert found["aic"].idxmin("law") == "stretched"


def test_the_numbers_are_those_of_the_data(data):
    texts = page.numbers(data)
    assert texts["noise_memory"] == "at 350"
    assert texts["noise_rms"] == "not before delay 500"
    assert texts["reach"] == "349"
    assert texts["delay_mid"] == "200"
    assert texts["memory_first"] == "2.97 [2.67, 3.27]"
    value = 0.99 * 3 / 201**1.5
    assert texts["memory_mid"].startswith(f"{value:#.3g} [")
    assert texts["left_mid"] == f"{value / 2.97:.2g}"
    assert {texts["best_law"], texts["nearest_law"]} <= {"power", "damped power"}
    assert texts["off_nearest"] == "1.00"
    assert texts["error"] == "2e-05" and texts["tolerance"] == "0.0001"
    rank = 7 * value  # of the last of QUANTITIES
    assert texts["rank_mid"].startswith(f"{rank:#.3g} [")


def test_without_a_delay_before_the_noise_no_law_is_held_against_anything(data):
    lower = data["lower"].where(data["mark"] < 40, 0)
    texts = page.numbers(data.assign(lower=lower))
    assert texts["off_nearest"] == texts["nearest_law"] == "(no delay left)"
    table = page.told_laws(data.assign(lower=lower))
    assert (table.iloc[:, -1] == "(no delay)").all()


def test_the_tables_are_those_of_the_data(data):
    table = page.told_quantities(data)
    assert table.index.tolist() == [0, 50, 100, 200, 300, 500]
    assert table.loc[300, "memory"].endswith(f"[0.00, {1.1 * 2.97 / 301**1.5:#.3g}]")
    assert table.loc[50, "effective rank"] == page.told(data, "effective_rank", 50)
    laws = page.told_laws(data)
    assert laws.loc["power", "law / memory at 500"] == "1"
    assert laws["AIC above the best"].astype(int).min() == 0


def test_the_figure_has_curves_bands_and_laws(data):
    ax = page.plot_tail(data)
    assert legend_names(ax) == [*page.CURVES.values(), *decays.ALL_LAWS]
    for number, (quantity, name) in enumerate(page.CURVES.items()):
        drawn = data.sel(quantity=quantity)
        at_marks = drawn["observed"].sel(delay=[*MARKS])
        assert_drawn(ax, name, [*MARKS], at_marks)
        ends = [[*MARKS], drawn["lower"], drawn["upper"]]
        np.testing.assert_array_equal(band_ends(ax, number), ends)
    said = page.laws(data)["memory"]
    floor = float(data["observed"].sel(quantity="memory").min()) / 10
    for line in ax.lines:
        if line.get_label() in decays.ALL_LAWS:
            whole = said.sel(law=line.get_label())
            np.testing.assert_array_equal(line.get_ydata(), whole[whole > floor])
    assert ax.get_yscale() == "log"


def test_other_networks_are_held_against_themselves(data):
    """What is left at a mark is over the same network's own at delay 0."""
    slow = data.assign({end: 5 * data[end] for end in ("estimate", "lower", "upper")})
    found = {"one": data, "five times": slow}
    left = tails.left(found)
    assert left.sizes == {"experiment": 2, "delay": len(MARKS)}
    own = data["estimate"].sel(quantity="rms_memory") / data["estimate"].sel(
        quantity="rms_memory", mark=0
    )
    for name in found:
        np.testing.assert_allclose(left["left"].sel(experiment=name), own)
        lower = data["lower"].sel(quantity="rms_memory")
        first = data["estimate"].sel(quantity="rms_memory", mark=0)
        np.testing.assert_allclose(left["lower"].sel(experiment=name), lower / first)
    ax = tails.plot_left(left)
    assert legend_names(ax) == ["one", "five times"]
    for name in found:
        assert_drawn(ax, name, left["delay"], left["left"].sel(experiment=name))


def test_what_may_be_noise_is_not_drawn_and_a_short_text_ends_early(data):
    """The memory of the fixture holds 0 in its interval from 350 on."""
    memory = tails.left({"one": data, "same": data}, "memory")["left"]
    assert memory["delay"][-1] == 325
    short = data.sel(mark=slice(100), delay=slice(100))
    left = tails.left({"one": data, "short": short})["left"]
    of_short = left.sel(experiment="short").dropna("delay")
    assert of_short["delay"][-1] == 100
    shown = tails.table({"one": data, "short": short})
    assert shown.loc["short", "left at 500"] == "too short a text"
    assert shown["may be noise from"].to_list() == ["350", "not before the end"]
    first, at = (
        float(data["estimate"].sel(quantity="memory", mark=m)) for m in (0, 50)
    )
    assert shown.loc["one", "left at 50"].startswith(f"{at / first:.2g} [")


def test_networks_are_named_in_the_order_of_what_they_keep(data):
    faster = data.copy(deep=True)
    faster["estimate"] = faster["estimate"] * np.exp(-0.01 * faster["mark"])
    found = {"faster": faster, "slower": data}
    near, far, *of_means, absent = tails.told(found, found | {"absent": "x-1"}).split(
        "\n\n"
    )
    assert near.index("slower") < near.index("faster")
    assert far.startswith("Root mean square 200 words after: slower ")
    assert of_means[0].startswith("Memory 50 words after: slower ")
    assert absent == "Not run yet: `state-gradients tail x-1`."
    short = {name: one.sel(mark=slice(20)) for name, one in found.items()}
    assert tails.told(short, short) == ""


def test_a_network_that_halves_at_each_word_leaves_the_figure(data):
    halved = data.copy(deep=True)
    for end in ("estimate", "lower", "upper"):
        halved[end] = data[end].sel(mark=0) * 0.5 ** data["mark"]
    found = {"halved": halved, "slower": data}
    *_, line = tails.told(found, found).split("\n\n")
    assert line == "Of halved from 20 words on less than 1e-06 is left."
    ax = tails.plot_left(tails.left(found))
    assert ax.get_ylim()[0] == 1e-6


def test_a_single_network_has_nothing_to_be_held_against(data):
    assert tails.left({"one": data}) is None
    assert tails.plot_left(None) is None
    assert tails.told({"one": data}, {"one": "a", "two": "b"}).startswith("Not run yet")
