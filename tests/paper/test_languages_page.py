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
