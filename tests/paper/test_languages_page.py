import numpy as np
import pytest
import xarray as xr

from state_gradients.figures import set_theme
from state_gradients.paper.book import languages
from state_gradients.project import artifacts

SEEDS = "ptb-lstm-256", "ptb-lstm-256-seed1", "ptb-lstm-256-seed3"
MEMBERS = {"ref": (SEEDS, "cell"), "brown": ("brown-lstm-256", "cell")}


@pytest.fixture(scope="module")
def found():
    return languages.ratios(MEMBERS | {"none": ("nowhere", "cell")}, "ref")


def whitened_memory(name):
    curve = artifacts.load(name, "spectra")["memory"].sel(state_kind="cell")
    return curve.sel(normalization="whitened", delay=slice(0, 49)).isel(group=0).values


def test_ratios_are_of_the_mean_over_seeds(found):
    seeds = np.array([whitened_memory(name) for name in SEEDS])
    mean = seeds.mean(axis=0)
    assert list(found["experiment"].values) == ["ref", "brown"]
    ours = found.sel(experiment="brown")
    # the observed curve of the intervals is that of the spectra, summed by blocks
    brown = whitened_memory("brown-lstm-256")
    np.testing.assert_allclose(ours["ratio"], brown / mean, rtol=1e-5)
    band = artifacts.load("brown-lstm-256", "intervals").sel(
        state_kind="cell", normalization="whitened", quantity="memory", delay=20
    )
    np.testing.assert_allclose(ours["upper"][20], band["upper"].item() / mean[20])
    np.testing.assert_allclose(ours["lower"][20], band["lower"].item() / mean[20])
    reference = found.sel(experiment="ref")
    np.testing.assert_array_equal(reference["ratio"], 1)
    np.testing.assert_allclose(reference["lower"], seeds.min(axis=0) / mean)
    np.testing.assert_allclose(reference["upper"], seeds.max(axis=0) / mean)


def test_table_numbers_and_figure_say_what_the_ratios_are(found):
    table = languages.ratios_table(found, delays=(0, 49))
    one = found.sel(experiment="brown", delay=49)
    ratio, low, high = (float(one[name]) for name in ("ratio", "lower", "upper"))
    assert table.loc["brown", "delay 49"] == f"{ratio:.2f} [{low:.2f}, {high:.2f}]"
    numbers = languages.numbers(found, "ref")
    assert numbers["farthest"] == "brown" and numbers["last-delay"] == "49"
    assert numbers["last-least"] == numbers["last-largest"] == f"{ratio:.1f}"
    first = found["ratio"].sel(experiment="brown", delay=slice(0, 10))
    assert numbers["first-least"] == f"{float(first.min()):.2f}"
    seeds = found.sel(experiment="ref")
    off = max(
        abs(float(seeds[end].values[k]) - 1)
        for end in ("lower", "upper")
        for k in range(50)
    )
    assert numbers["seeds-off"] == f"{off:.0%}".replace("%", " %")
    near = seeds.sel(delay=slice(0, 10))
    off = max(float(near["upper"].max()) - 1, 1 - float(near["lower"].min()))
    assert numbers["seeds-off-near"] == f"{off:.0%}".replace("%", " %")
    set_theme()
    ax = languages.plot_ratios(found)
    lines = {line.get_label(): line.get_ydata() for line in ax.get_lines()}
    assert any(
        np.array_equal(y, found["ratio"].sel(experiment="brown"))
        for y in lines.values()
    )


def test_a_text_that_was_not_run_has_no_perplexity():
    says = dict.fromkeys(("brown", "none"), "a text")
    members = {"brown": MEMBERS["brown"], "none": ("ptb-lstm-256-cbow", "cell")}
    table = languages.texts_table(members, says)
    training = artifacts.load("brown-lstm-256", "training")
    assert table.loc["brown", "perplexity"] == (
        f"{float(training['valid_perplexity_final']):.1f}"
    )
    assert table.loc["brown", "training tokens"] == "1,097,002"
    assert table.loc["none", "perplexity"] == languages.DASH


def test_icelandic_is_read_off_its_curve():
    from state_gradients.paper.exercises import TARGETS

    delays = np.arange(50)
    ratio = xr.DataArray(
        [np.linspace(0.5, 2.5, 50)],
        {"experiment": ["Icelandic"], "delay": delays},
        ("experiment", "delay"),
    )
    target = TARGETS["D.1"](xr.Dataset({"ratio": ratio}))
    assert target.right == 25 and target.fault(25) is None
    assert target.fault(24) == "There it is still below."


# ------------------------------------------------------------------ two halves

HALVES = "brown-half-1-lstm-256", "brown-half-0-lstm-256"
NULL = "one half over the other"


@pytest.fixture(scope="module")
def beside(found):
    return languages.beside_halves(found, languages.half_ratio(HALVES), "ref", NULL)


def test_the_ratio_of_halves_has_the_interval_of_both(beside):
    assert list(beside["experiment"].values) == ["brown", NULL]
    one, delay = beside.sel(experiment=NULL), 20
    memories = [whitened_memory(name) for name in HALVES]
    np.testing.assert_allclose(one["ratio"], memories[0] / memories[1], rtol=1e-5)
    bands = [
        artifacts.load(name, "intervals")
        .isel(group=0)
        .sel(
            state_kind="cell",
            normalization="whitened",
            quantity="memory",
            delay=delay,
        )
        for name in HALVES
    ]
    above, below = (
        {end: float(band[end]) for end in ("observed", "lower", "upper")}
        for band in bands
    )
    # ln(a / b): variances of independent logarithms add up; a small b makes it large
    up = np.log(above["upper"] / above["observed"]) ** 2
    up += np.log(below["observed"] / below["lower"]) ** 2
    down = np.log(above["observed"] / above["lower"]) ** 2
    down += np.log(below["upper"] / below["observed"]) ** 2
    ratio = above["observed"] / below["observed"]
    assert float(one["upper"][delay]) == pytest.approx(ratio * np.exp(up**0.5))
    assert float(one["lower"][delay]) == pytest.approx(ratio * np.exp(-(down**0.5)))
    assert (one["lower"] < one["ratio"]).all() and (one["ratio"] < one["upper"]).all()


def test_how_far_texts_differ_is_counted_up_and_down_and_held_against_the_halves():
    delays = np.arange(50)
    ratio = np.ones((2, 50))
    ratio[0, 3], ratio[0, 30:32], ratio[1, 7] = 0.5, 3.0, 0.8
    data = xr.Dataset(
        {
            name: (("experiment", "delay"), ratio * by)
            for name, by in (("ratio", 1), ("lower", 0.95), ("upper", 1.05))
        },
        {"experiment": ["text", NULL], "delay": delays},
    )
    table = languages.differences_table(data, NULL)
    assert table.loc["text"].tolist() == ["2.00", "3.00", "30", "3 of 50"]
    assert table.loc[NULL].tolist() == ["1.25", "1.25", "7", "0 of 50"]
    members = [(name, "cell") for name in HALVES]
    whole = ("brown-lstm-256", "cell")
    numbers = languages.half_numbers(data, NULL, members, whole)
    assert numbers["half-largest"] == "1.25" and numbers["half-at"] == 7
    assert numbers["half-told-apart"] == "7"
    assert numbers["half-last"] == "1.00 [0.95, 1.05]"
    halves = np.mean([whitened_memory(name)[49] for name in HALVES])
    of_whole = halves / whitened_memory("brown-lstm-256")[49]
    assert numbers["half-of-whole"] == f"{of_whole:.2f}"
    halves = np.mean([whitened_memory(name)[1] for name in HALVES])
    of_whole = halves / whitened_memory("brown-lstm-256")[1]
    assert numbers["half-of-whole-at-1"] == f"{of_whole:.2f}"


def test_memories_stand_in_the_table_as_they_are():
    members = {"half": (HALVES[0], "cell"), "none": ("nowhere", "cell")}
    table = languages.memory_table(members, delays=(1, 49))
    memory = whitened_memory(HALVES[0])
    assert table.loc["half"].tolist() == [f"{memory[1]:.3g}", f"{memory[49]:.3g}"]
    assert table.loc["none"].tolist() == [languages.DASH] * 2


def test_halves_that_were_not_run_leave_dashes(found):
    assert languages.half_ratio((HALVES[0], "nowhere")) is None
    others = languages.beside_halves(found, None, "ref", NULL)
    assert list(others["experiment"].values) == ["brown"]
    table = languages.differences_table(others, NULL)
    assert table["delays beyond the halves' largest"].tolist() == [languages.DASH]
    nowhere = ("nowhere", "cell")
    numbers = languages.half_numbers(others, NULL, (nowhere, nowhere), nowhere)
    assert set(numbers.values()) == {languages.DASH}
