"""What the pages of Section 5 draw and tabulate equals the artifact."""

import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, band_ends, drawn_lines, legend_names
from scipy.stats import spearmanr

from state_gradients.analysis import spectra
from state_gradients.analysis.properties import chance_of_cosine
from state_gradients.paper.book import properties as shown

pytestmark = pytest.mark.usefixtures("closed_figures")
NAMES = ["singular - plural", "3rd - non-3rd", "genitive - non-genitive"]
NULLS = ["random directions", "random splits", "within frequency bins"]
SWAPS = ["number", "another noun", "number, mean step", "random step"]
N_PLACES = 30


@pytest.fixture
def artifact(rng):
    axes = ("property", "words", "over", "delay", "measure")
    coords = {
        "property": NAMES,
        "words": ["all", "matched"],
        "over": ["class", "all words", "halves"],
        "delay": np.arange(51),
        "measure": ["m", "H_1", "H_5"],
    }
    sizes = [len(coords[axis]) for axis in axes]
    of_swap = ("swap", "place", "delay")
    drawn = {
        name: (of_swap, rng.random((4, N_PLACES, 51)) + 0.1)
        for name in (
            *("swap_change", "swap_first_order", "swap_mean_first_order"),
            *("swap_alignment", "swap_nats"),
        )
    }
    return xr.Dataset(
        {
            **{k: (axes, rng.random(sizes)) for k in ("observed", "lower", "upper")},
            **{
                f"chance_{end}": ((*axes, "null"), rng.random((*sizes, 3)))
                for end in ("lower", "middle", "upper")
            },
            "selectivity": (("property", "over", "delay"), rng.random((3, 3, 51))),
            "selectivity_5": (("property", "over", "delay"), rng.random((3, 3, 51))),
            "n_types": ((*axes[:2], "half"), rng.integers(2, 99, (3, 2, 2))),
            "log_frequency": ((*axes[:2], "half"), rng.random((3, 2, 2))),
            "noise_share": (axes[:2], rng.random((3, 2))),
            "share": (("count_by", "pattern"), rng.random((2, 4))),
            "share_lower": (("count_by", "pattern"), rng.random((2, 4))),
            "share_upper": (("count_by", "pattern"), rng.random((2, 4))),
            **drawn,
        },
        coords
        | {
            "null": NULLS,
            "swap": SWAPS,
            "count_by": ["tag", "type"],
            "pattern": list(shown.PATTERNS),
        },
    )


def test_curves_are_those_of_a_class_beside_its_own_chance(artifact):
    data = shown.beside_chance(shown.of_class(artifact, "N"), "H_5")
    assert data["property"].values.tolist() == ["number", "genitive"]
    assert data["delay"].values.tolist() == list(range(50))
    chosen = {"words": "all", "over": "class", "delay": 7}
    here = artifact.sel(chosen).sel(measure="H_5")
    for name, full in zip(("number", "genitive"), (NAMES[0], NAMES[2]), strict=True):
        one = here.sel(property=full)
        ours = data.sel(property=name, delay=7)
        assert ours["observed"] == one["observed"]
        assert ours["lower"] == one["lower"]
        splits = one["chance_upper"].sel(null="random splits")
        assert ours["split_upper"] == splits
    directions = here["chance_upper"].sel(null="random directions", property=NAMES[0])
    assert data["chance_upper"].sel(delay=7) == directions
    five = artifact["selectivity_5"].sel(property=NAMES[0], over="class", delay=7)
    assert data["share"].sel(delay=7) == five
    assert "share" not in shown.beside_chance(shown.of_class(artifact, "N"), "m")


def test_lines_bands_splits_and_shares_are_drawn(artifact):
    data = shown.beside_chance(shown.of_class(artifact, "N"), "H_1")
    ax = shown.plot_beside_chance(data, y="cosine")
    delays = np.arange(50)
    for name in ("number", "genitive"):
        assert_drawn(ax, name, delays, data["observed"].sel(property=name))
    for number, ends in enumerate(
        (("chance_lower", "chance_upper"), ("lower", "upper"))
    ):
        x, *found = band_ends(ax, number)
        part = data if number == 0 else data.isel(property=0)
        expected = np.sort([part[end] for end in ends], axis=0)
        np.testing.assert_array_equal(x, delays)
        np.testing.assert_allclose(found, expected, atol=1e-12)
    heights = [tuple(line.get_ydata()) for line in drawn_lines(ax)]
    for upper in data["split_upper"].values:
        assert tuple(upper) in heights
    assert tuple(data["share"].values) in heights
    named = legend_names(ax)
    assert named[0] == "random directions" and "95 % of random splits" in named
    assert ax.get_ylim() == (0, 1.02)


def test_cosines_stand_above_each_other_with_one_legend(artifact):
    nouns = shown.of_class(artifact, "N")
    both = {name: shown.beside_chance(nouns, name) for name in ("H_5", "H_1")}
    upper, lower = shown.plot_cosines(both)
    assert_drawn(upper, "number", np.arange(50), both["H_5"]["observed"][0])
    heights = [tuple(line.get_ydata()) for line in drawn_lines(lower)]
    assert tuple(both["H_1"]["observed"][0].values) in heights
    assert upper.get_legend() is not None and lower.get_legend() is None


def test_chance_is_reached_at_the_first_delay_that_is_not_above():
    observed = xr.DataArray([0.5, 0.4, 0.3, 0.4], {"delay": [0, 1, 2, 3]})
    upper = xr.full_like(observed, 0.35)
    assert shown.falls_to_chance(observed, upper) == 2
    assert shown.falls_to_chance(observed, observed) == 0  # equal is not above
    assert shown.falls_to_chance(observed, upper - 0.2) is None


def test_the_table_of_what_is_remembered(artifact):
    artifact["observed"][:] = 0.5
    upper = artifact["chance_upper"]
    upper[:] = 0.4
    third = {"property": NAMES[1], "over": "class", "measure": "m", "words": "all"}
    upper.loc[third | {"null": NULLS[0], "delay": 0}] = 0.6
    upper.loc[third | {"null": NULLS[1], "delay": [12, 30]}] = 0.6
    upper.loc[third | {"null": NULLS[1], "words": "matched", "delay": 3}] = 0.6
    artifact["n_types"].loc[{"property": NAMES[1], "words": "all"}] = [1_000, 24]
    artifact["noise_share"].loc[{"property": NAMES[1], "words": "all"}] = 0.5
    upper.loc[{"property": NAMES[2], "words": "matched"}] = np.nan
    table = shown.remembered(artifact)
    row = table.loc["3rd - non-3rd"]
    assert (row["words"], row["noise"]) == ("1,000 + 24", "50 %")
    controls = [row[each] for each in table.columns[3:]]
    assert controls == ["0", "12", "after 49", "3"]
    above = shown.above_chance(artifact)
    n_delays = artifact["delay"].sel(delay=slice(0, 49)).size
    expected = [0, 12, n_delays, 3]
    np.testing.assert_array_equal(above.sel(property="3rd - non-3rd"), expected)
    of_genitive = above.sel(property="genitive").values
    np.testing.assert_array_equal(of_genitive, [n_delays] * 3 + [np.nan])
    assert table.loc["genitive", "like frequencies"] == "\N{EN DASH}"
    assert row["at delay 0"] == shown.within(artifact.sel(third).sel(delay=0))


def test_tables_of_frequency_and_of_gradients_are_the_artifact(artifact):
    matched = {"property": NAMES[2], "words": "matched"}
    artifact["observed"].loc[matched] = np.nan
    table = shown.frequency(artifact, delay=2)
    one = artifact.sel(property=NAMES[0], over="class", measure="m", delay=2)
    upper = one["chance_upper"]
    expected = [
        " / ".join(f"{x:.1f}" for x in one["log_frequency"].sel(words="all").values),
        f"{float(one['observed'].sel(words='all')):.2f}",
        *(f"{float(upper.sel(words='all', null=null)):.2f}" for null in NULLS),
        f"{int(one['n_types'].sel(words='matched', half=0))}",
        f"{float(one['observed'].sel(words='matched')):.2f}",
        f"{float(upper.sel(words='matched', null=NULLS[1])):.2f}",
    ]
    assert table.loc["number"].tolist() == expected
    assert table.loc["genitive"].tolist()[-3:] == ["\N{EN DASH}"] * 3
    by_gradient = shown.by_gradient(artifact)
    one = artifact.sel(property=NAMES[1], words="all", measure="m", delay=0)
    for over in ("class", "all words", "halves"):
        cell = by_gradient.loc["3rd - non-3rd", over]
        assert cell == shown.within(one.sel(over=over))


def test_relative_changes_are_ratios_of_root_mean_squares(artifact):
    found = shown.relative_changes(artifact)
    values = artifact["swap_first_order"].sel(delay=9)
    number, random = (
        np.sqrt((values.sel(swap=swap) ** 2).mean()) for swap in SWAPS[2:]
    )
    ours = found.sel(change="gradient at the place", delay=9)
    np.testing.assert_allclose(ours["observed"], number / random)
    assert ours["lower"] < ours["observed"] < ours["upper"]
    # the interval of a ratio of root mean squares, by the delta method
    squares = [(values.sel(swap=swap) ** 2).values for swap in SWAPS[2:]]
    relative = squares[0] / squares[0].mean() - squares[1] / squares[1].mean()
    error = relative.std() / 2 / np.sqrt(N_PLACES) * float(ours["observed"])
    width = float(ours["upper"] - ours["lower"])
    # a quantile of 500 resamples is known to a tenth of its distance from the middle
    np.testing.assert_allclose(width, 2 * 1.96 * error, rtol=0.25)
    own = artifact["swap_change"].sel(swap="random step", delay=9).values
    own = own / np.sqrt((own**2).mean())
    ends = np.quantile(own, [0.05, 0.95])
    bands = [found[f"random_{end}"].sel(delay=9) for end in ("lower", "upper")]
    np.testing.assert_allclose(bands, ends)
    ax = shown.plot_relative_changes(found)
    line = found["observed"].sel(change="mean gradient")
    assert_drawn(ax, "mean gradient", np.arange(50), line)
    np.testing.assert_allclose(band_ends(ax, 0)[1], found["random_lower"])
    assert ax.get_ylim()[0] == 0


def test_changes_are_means_over_places(artifact):
    found = shown.changes_of_number(artifact)
    for name, variable, swap in (
        ("real change", "swap_change", "number"),
        ("mean gradient", "swap_mean_first_order", "number"),
        ("another noun, real", "swap_change", "another noun"),
    ):
        expected = artifact[variable].sel(swap=swap, delay=11).mean()
        np.testing.assert_allclose(found.sel(change=name, delay=11), expected)
    ax = shown.plot_changes(found)
    line = found.sel(change="gradient at the place")
    assert_drawn(ax, "gradient at the place", np.arange(50), line)
    assert ax.get_yscale() == "log"


def test_the_table_of_swaps_ranks_places(artifact):
    row = shown.swap_table(artifact, [0, 5]).loc[5]
    one = artifact.sel(delay=5)
    for swap in SWAPS:
        nats = float(one["swap_nats"].sel(swap=swap).mean())
        assert row[f"nats, {swap}"] == f"{nats:.2g}"
    number = one.sel(swap="number")
    rank = spearmanr(number["swap_change"], number["swap_first_order"])[0]
    assert row["rank r, at the place"] == f"{rank:.2f}"
    assert row["cosine"] == f"{float(number['swap_alignment'].mean()):.2f}"


def test_shares_stand_beside_those_published(artifact):
    table = shown.shares_table(artifact)
    assert table["published"].tolist() == ["0.6", "18", "0.4", "7"]
    one = 100 * artifact.sel(count_by="type", pattern="superlative, of")
    numbers = [float(one[f"share{end}"]) for end in ("", "_lower", "_upper")]
    expected = "{:.2g} [{:.2g}, {:.2g}]".format(*numbers)
    assert table.loc["superlative, of", "by type"] == expected


def test_cosines_by_size_are_the_definition(rng):
    gradient = rng.normal(size=(7, 5))
    d = rng.normal(size=(2, 5))
    d /= np.linalg.norm(d, axis=1, keepdims=True)
    directions = xr.DataArray(d, {"property": ["a", "b"]}, ("property", "embedding"))
    svd = spectra.decompose(gradient)
    found = shown.cosines_by_size(svd, directions, chance_of_cosine)
    for n in range(1, 6):
        for name, direction in zip("ab", d, strict=True):
            expected = spectra.subspace_cosine(gradient, direction, n)
            ours = found["cosine"].sel(property=name, n=n)
            np.testing.assert_allclose(ours, expected, rtol=1e-10)
        band = chance_of_cosine(n, 5)
        assert float(found["upper"].sel(n=n)) == band["upper"]
    ax = shown.plot_cosines_by_size(found)
    assert_drawn(ax, "a", np.arange(1, 6), found["cosine"].sel(property="a"))
    np.testing.assert_allclose(band_ends(ax, 0)[2], found["upper"])
