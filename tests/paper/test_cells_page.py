"""The page on modern cells: curves, tables, verdicts and figures, from artifacts."""

import keras
import numpy as np
import pytest
import xarray as xr
from drawings import legend_names

from state_gradients.analysis.whitening import fit_whitening, whiten_gradient
from state_gradients.engine.means import mean_state_gradients
from state_gradients.figures import set_theme
from state_gradients.foundation import settings
from state_gradients.models import language_model
from state_gradients.paper.book import cells
from state_gradients.paper.exercises import TARGETS
from state_gradients.project import artifacts

pytestmark = pytest.mark.usefixtures("closed_figures")
SEEDS = "ptb-lstm-256", "ptb-lstm-256-seed1", "ptb-lstm-256-seed3"


@pytest.fixture(scope="module")
def networks():
    return cells.members("ptb-lstm-256")


@pytest.fixture(scope="module")
def curves(networks):
    return cells.curves(networks)


@pytest.fixture(scope="module")
def lives(networks):
    return cells.half_lives(networks)


@pytest.fixture(scope="module")
def before(networks):
    return cells.half_lives(networks, "untrained")


def spectra_of(name, state):
    return artifacts.load(name, "spectra").sel(
        state_kind=state, normalization="whitened", group="all"
    )


def test_the_reference_is_first_and_called_by_what_it_is(networks):
    assert list(networks) == ["LSTM", *cells.NETWORKS]
    assert networks["LSTM"] == (SEEDS, "cell")
    assert networks["sLSTM"][1] == "cell" and networks["S6"][1] == "hidden"
    other = cells.members("grammar-lstm-64")
    assert next(iter(other)) == "grammar-lstm-64"
    both = cells.with_hidden(networks)
    assert [k for k in both if "," in k] == [
        *("LSTM, cell", "LSTM, hidden", "sLSTM, cell", "sLSTM, hidden")
    ]
    assert both["LSTM, hidden"] == (SEEDS, "hidden") and both["LRU"] == networks["LRU"]


def test_curves_are_those_of_the_artifacts(curves):
    lru = spectra_of("ptb-lru-256", "hidden")
    ours = curves.sel(experiment="LRU")
    memory = lru["memory"].values
    np.testing.assert_array_equal(ours["value"].sel(quantity="memory"), memory)
    relative = ours.sel(quantity="relative")
    np.testing.assert_allclose(relative["value"], memory / memory[0], rtol=1e-12)
    ends = artifacts.load("ptb-s6-256", "intervals").sel(
        state_kind="hidden", normalization="whitened", group="all"
    )
    s6, of_s6 = curves.sel(experiment="S6"), spectra_of("ptb-s6-256", "hidden")
    for end in ("lower", "upper"):
        expected = ends[end].sel(quantity="selectivity")
        np.testing.assert_array_equal(s6[end].sel(quantity="selectivity"), expected)
        expected = ends[end].sel(quantity="memory") / of_s6["memory"][0]
        np.testing.assert_allclose(s6[end].sel(quantity="relative"), expected)
    assert s6["lower"].sel(quantity="directions").isnull().all()


def test_columns_are_the_quantities_with_their_ends(curves):
    found = cells.columns(curves, ["relative", "directions"])
    assert [*found][:3] == ["relative", "relative_lower", "relative_upper"]
    for end, name in (("", "value"), ("_lower", "lower"), ("_upper", "upper")):
        expected = curves[name].sel(quantity="relative")
        np.testing.assert_array_equal(found[f"relative{end}"], expected)
    assert set(found) <= set(cells.UNITS)


def test_several_seeds_are_a_mean_and_a_range(curves):
    found = [spectra_of(name, "cell") for name in SEEDS]
    relative = np.array([one["memory"] / one["memory"][0] for one in found])
    ours = curves.sel(experiment="LSTM", quantity="relative")
    np.testing.assert_allclose(ours["value"], relative.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(ours["lower"], relative.min(axis=0), rtol=1e-12)
    np.testing.assert_allclose(ours["upper"], relative.max(axis=0), rtol=1e-12)


def test_directions_hold_a_hundredth_of_the_newest_words(curves):
    s = spectra_of("ptb-lru-256", "hidden")["s"].values  # (delay, component)
    expected = [sum(value > s[0].max() / 100 for value in row) for row in s]
    ours = curves["value"].sel(experiment="LRU", quantity="directions")
    assert ours.values.tolist() == expected
    assert 0 < expected[20] < expected[0]


def test_the_new_cells_have_as_many_parameters_as_the_lstm(networks):
    table = cells.cells_table(networks)
    n = {
        label: int(artifacts.load(names[0], "training")["n_parameters"])
        for label, (names, _) in networks.items()
    }
    for label in cells.NEW:
        assert abs(n[label] / n["LSTM"] - 1) < 0.05
        share = f"{n[label] / n['LSTM'] - 1:+.2%}".replace("%", " %")
        share = share.replace("-0.00", "+0.00")
        same = n[label] == n["LSTM"]
        expected = f"{n[label]:,}" if same else f"{n[label]:,} ({share})"
        assert table.loc[label, "parameters"] == expected
    assert table.loc["S6", "state"] == "961 channels of 4 numbers"
    assert table.loc["LRU", "state"] == "486 complex numbers"
    assert table.loc["minGRU", "learning rate"] == "0.1"
    of_seeds = [
        float(artifacts.load(name, "training")["test_perplexity"]) for name in SEEDS
    ]
    assert table.loc["LSTM", "perplexity, test"] == (
        f"{np.mean(of_seeds):.1f} [{min(of_seeds):.1f}, {max(of_seeds):.1f}]"
    )
    assert table.loc["LSTM", "runs"] == "3" and table.loc["S6", "runs"] == "1"


def test_a_network_that_was_not_run_is_left_out_or_dashed(networks):
    some = {"LSTM": networks["LSTM"], "none": (("ptb-lstm-256-cbow",), "cell")}
    assert cells.curves(some)["experiment"].values.tolist() == ["LSTM"]
    assert set(cells.half_lives(some)) == {"LSTM"}
    table = cells.cells_table(some)
    assert table.loc["none", "parameters"] == cells.DASH
    assert table.loc["none", "perplexity, test"] == cells.DASH
    said = cells.about_half_lives(some).data
    assert "half-lives ptb-lstm-256-cbow" in said
    assert cells.about_half_lives({"RNN": networks["RNN"]}) is None  # it has none


def test_the_memory_table_says_what_is_left_and_when_a_tenth(curves):
    table = cells.memory_table(curves, delays=(10,))
    one = curves.sel(experiment="S6", quantity="relative")
    value, low, high = (float(one[k][10]) for k in ("value", "lower", "upper"))
    assert table.loc["S6", "left at 10"] == f"{value:.2g} [{low:.2g}, {high:.2g}]"
    after = int(table.loc["S6", "a tenth is left after"])
    assert one["value"][after] < 0.1 <= one["value"][after - 1]
    slow = xr.DataArray(np.full(5, 0.5), {"delay": range(5)}, ("delay",))
    assert cells.first_below(slow, 0.1) is None
    assert cells._delay_told(slow, 0.1) == "over 4"


@pytest.mark.parametrize(
    ("numbers", "verdict"),
    [
        ((5, 4.1, 6), "more"),  # the seeds' 2 to 3, and as much again above
        ((5, 3.9, 6), "alike"),
        ((1, 0.5, 1.1), "alike"),
        ((0.5, 0.2, 0.9), "less"),
        ((2.5, 2.5, 2.5), "alike"),
    ],
)
def test_a_verdict_takes_more_than_the_range_of_the_seeds(numbers, verdict):
    found = cells.judged(*numbers, [2, 3, 2.5])
    assert found.verdict == verdict
    assert found.ratio == numbers[0] / 2.5


def units_of(name, network="trained"):
    """Half-lives of the last state of a network, the one that is carried."""
    found = artifacts.load(name, "half_lives")["half_life"].sel(network=network)
    return found.isel(state_kind=-1).values


def test_verdicts_hold_a_cell_against_the_same_state_of_the_seeds(networks, lives):
    found = cells.verdicts(networks, lives)
    assert set(found["read"]) == {"sLSTM", "minGRU", "minLSTM"}  # no state is read
    for respect, state in (("carried", "cell"), ("read", "hidden")):
        left = {
            name: spectra_of(name, state)["memory"].values
            for name in (*SEEDS, "ptb-slstm-256")
        }
        left = {name: one[49] / one[0] for name, one in left.items()}
        ratio = left["ptb-slstm-256"] / np.mean([left[name] for name in SEEDS])
        np.testing.assert_allclose(found[respect]["sLSTM"].ratio, ratio)
    units = units_of("ptb-lru-256")
    of_seeds = [np.median(units_of(name)) for name in SEEDS]
    np.testing.assert_allclose(
        found["half_life"]["LRU"].ratio, np.median(units) / np.mean(of_seeds)
    )
    table = cells.verdicts_table(found, networks)
    assert table.index.tolist() == list(cells.NEW)
    assert table.loc["LRU", "left at 49, read"] == cells.DASH
    perplexity = {
        name: float(artifacts.load(name, "training")["valid_perplexity_final"])
        for name in ("ptb-lru-256", *SEEDS)
    }
    ratio = perplexity["ptb-lru-256"] / np.mean([perplexity[name] for name in SEEDS])
    assert table.loc["LRU", "perplexity"] == f"worse ({ratio:.2f} times)"
    more = [k for k, one in found["directions"].items() if one.verdict == "more"]
    assert cells.listed(found, "directions", "more") == " and ".join(more)
    assert cells.listed({"x": {}}, "x", "more") == "no cell"


def test_two_trainings_from_one_seed_stand_side_by_side(networks, lives):
    table = cells.twice_table(networks)
    assert set(table.index) == set(cells.trained_before(networks)) >= {"LRU"}
    first, second = (
        artifacts.load(name, "training")["valid_perplexity_final"]
        for name in ("ptb-lru-256-first", "ptb-lru-256")
    )
    assert table.loc["LRU", "perplexity"] == f"{first:.3g} | {second:.3g}"
    assert cells.DASH in table.loc["LRU", "left at 49, read"]
    once = {"LSTM": networks["LSTM"], "S6": networks["S6"]}
    assert cells.twice_table(once).empty


def test_a_verdict_that_another_training_turns_is_named(networks, lives, monkeypatch):
    judge = cells.verdicts

    def turning(some, of_some):
        found = judge(some, of_some)
        if some["LRU"][0] == ("ptb-lru-256-first",):
            one = found["carried"]["LRU"]
            found["carried"]["LRU"] = one._replace(verdict="less")
        return found

    as_they_are = cells.turned(networks, lives)
    monkeypatch.setattr(cells, "verdicts", turning)
    assert "LRU, left at 49, carried" in cells.turned(networks, lives)
    assert "LRU, left at 49, carried" not in as_they_are


def test_what_no_seed_has_is_told_without_a_ratio():
    some, none = cells.judged(3, 3, 3, [0, 0]), cells.judged(0, 0, 0, [0, 0])
    assert some == cells.Judged("more", np.inf) and none == cells.Judged("alike", 1)
    of_none = {key: {} for key in cells.WORDS}
    of_none["directions"] = {"LRU": some, "S6": none}
    table = cells.verdicts_table(of_none, {})
    assert table.iloc[:, -1].to_list() == ["more (there: none)", "alike (1.00 times)"]


def test_cells_are_judged_at_a_delay_that_all_reach():
    short = cells.members("grammar-lstm-64")
    (seeds, state), *_ = short.values()
    of_seeds = [spectra_of(name, state)["memory"] for name in seeds]
    last = min(int(one["delay"][-1]) for one in of_seeds)
    assert cells.MIDDLE <= last < cells.FAR
    assert cells.judged_at(short) == (last, cells.MIDDLE)
    judged = cells.verdicts(short, cells.half_lives(short))
    lru, *own = (
        one.values[last] / one.values[0]
        for one in (spectra_of("ptb-lru-256", "hidden")["memory"], *of_seeds)
    )
    np.testing.assert_allclose(judged["carried"]["LRU"].ratio, lru / np.mean(own))
    table = cells.verdicts_table(judged, short)
    assert f"left at {last}, carried" in table.columns
    texts = cells.numbers(short, cells.curves(short), {}, {}, judged)
    assert texts["far"] == str(last)
    assert texts["lru-left"] == f"{100 * lru:.2g} %"


def test_near_the_end_all_is_judged_at_the_last_delay(monkeypatch, networks):
    shortest = xr.Dataset(coords={"delay": range(8)})
    monkeypatch.setattr(cells, "whitened", lambda run: shortest)
    assert cells.judged_at(networks) == (7, 7)
    assert cells.judged_at({"x": (("no-run",), "cell")}) == (cells.FAR, cells.MIDDLE)


def test_numbers_of_the_prose_are_those_of_the_curves(networks, curves, before, lives):
    judged = cells.verdicts(networks, lives)
    texts = cells.numbers(networks, curves, before, lives, judged)
    assert (
        texts["lru-first"] == f"{np.median(units_of('ptb-lru-256', 'untrained')):.2g}"
    )
    assert texts["lru-longest"] == f"{units_of('ptb-lru-256').max():,.0f}"
    assert texts["rnn-median"] == cells.DASH
    relative = curves["value"].sel(experiment="LRU", quantity="relative")
    assert texts["lru-left"] == f"{100 * float(relative[49]):.2g} %"
    assert texts["lru-tenth"] == str(int(np.argmax(relative.values < 0.1)))
    assert texts["reference"] == "LSTM" and texts["n-seeds"] == "3"
    n_tokens = int(artifacts.load(SEEDS[0], "half_lives")["n_tokens"])
    assert texts["n-tokens"] == f"{n_tokens:,}"


def test_survival_and_table_are_shares_of_units(networks, before, lives):
    one = {"LRU": lives["LRU"], "LSTM": lives["LSTM"]}
    shares = cells.survival(one)
    tokens = shares["half_life"].values[40]
    (lru,) = one["LRU"].values()
    np.testing.assert_allclose(shares.sel(experiment="LRU")[40], np.mean(lru > tokens))
    seeds = [np.mean(run > tokens) for run in one["LSTM"].values()]
    np.testing.assert_allclose(shares.sel(experiment="LSTM")[40], np.mean(seeds))
    assert len(seeds) == 3
    table = cells.half_lives_table(networks, before, one)
    assert table.loc["LRU", "beyond 10"] == f"{np.mean(lru > 10):.1%}".replace(
        "%", " %"
    )
    assert table.loc["LRU", "median"] == f"{np.median(lru):.2g}"
    assert table.loc["LRU", "numbers"] == "486"
    (at_first,) = before["LRU"].values()
    assert table.loc["LRU", "median, untrained"] == f"{np.median(at_first):.2g}"
    kept = np.corrcoef(at_first.argsort().argsort(), lru.argsort().argsort())[0, 1]
    assert table.loc["LRU", "order kept from the start"] == f"{kept:.2f}"
    assert shares.sel(experiment="LSTM").isnull().any()  # none holds for 1,000 tokens


def test_untrained_half_lives_are_those_of_the_first_values(before):
    """Gates half open hold for a token; an S6's steps are spread, its A is -1 to -4."""
    for label in ("LSTM", "minGRU", "minLSTM"):
        for units in before[label].values():
            np.testing.assert_allclose(units, 1, atol=0.1)  # weights of 0.05 at most
    (s6,) = before["S6"].values()
    steps = np.geomspace(1e-3, 1e-1, 961)[:, None] * np.arange(1, 5)
    # u moves the argument of a step by 1e-3 or less
    np.testing.assert_allclose(s6, np.log(2) / steps.ravel(), rtol=1e-2)


def test_an_lrus_half_lives_are_those_of_its_eigenvalues(lives):
    (lru,) = lives["LRU"].values()
    encoder = artifacts.path("ptb-lru-256", "encoder")
    if not encoder.is_file():
        pytest.skip("the encoder is not kept in git")
    nu = artifacts.load("ptb-lru-256", "encoder")["recurrent_1.nu_log"].values
    np.testing.assert_allclose(lru, np.log(2) / np.exp(nu.astype(float)), rtol=1e-5)


@pytest.mark.parametrize("name", ["ptb-lru-256", "ptb-s6-256"])
def test_what_states_hold_longer_predictions_hear_less_of(name):
    """As the page "What still matters" says."""
    began, later, of_lstm, later_of_lstm = (
        artifacts.load(experiment, "influence")[["lower", "upper"]]
        .sel(quantity="influence", delay=delay)
        .load()
        for experiment in (name, "ptb-lstm-256")
        for delay in (0, 20)
    )
    assert began["lower"] > of_lstm["upper"]
    falls_to = later["upper"] / began["lower"]  # at most
    assert falls_to < later_of_lstm["lower"] / of_lstm["upper"]


def lines_of(ax):
    return [line.get_ydata() for line in ax.get_lines() if len(line.get_ydata()) > 5]


def test_figures_draw_the_curves(curves, before, lives):
    set_theme()
    drawn = curves.sel(experiment=["LSTM", "LRU", "minGRU"])
    for plot, quantities in (
        (cells.plot_memory, ("memory", "relative")),
        (cells.plot_directions, ("selectivity", "effective_rank", "directions")),
    ):
        axes = plot(drawn)
        assert legend_names(axes[0]) == ["LSTM", "LRU", "minGRU"]
        for ax, quantity in zip(axes, quantities, strict=True):
            expected = drawn["value"].sel(quantity=quantity).values
            np.testing.assert_array_equal(lines_of(ax), expected)
    upper, lower = cells.plot_memory(drawn)
    assert lower.get_yscale() == upper.get_yscale() == "log"
    np.testing.assert_allclose(lower.get_ylim(), (cells.FLOOR, 2))
    one = [{"LRU": each["LRU"]} for each in (before, lives)]
    for ax, each in zip(cells.plot_half_lives(*one), one, strict=True):
        (line,) = lines_of(ax)
        shares = cells.survival(each).sel(experiment="LRU").dropna("half_life")
        np.testing.assert_array_equal(line[np.isfinite(line)], shares)


def test_an_s6_may_be_written_in_other_units(rng):
    """B times ten, C by ten: the same predictions, and ten times the memory."""
    config = settings.Model(cell="s6", units=5, embedding_size=3, initial_range=0.8)
    model = language_model.build_language_model(config, 11, seed=1)
    ids = rng.integers(11, size=60)
    table = keras.ops.convert_to_numpy(model.get_layer("embedding").embeddings)

    def said_and_memory():
        means = mean_state_gradients(model, ids, max_delay=5, dtype="float64")
        gradient = whiten_gradient(means["state_gradient"], fit_whitening(table))
        return model.predict(ids[None], verbose=0), np.linalg.norm(
            gradient.values, ord=2, axis=(-2, -1)
        )

    said, memory = said_and_memory()
    cell = language_model.recurrent_layers(model)[0].cell
    cell.b_kernel.assign(10 * cell.b_kernel)
    cell.c_kernel.assign(cell.c_kernel / 10)
    said_again, memory_again = said_and_memory()
    # float32 logits of size 1, weights rounded to 24 bits once more
    np.testing.assert_allclose(said_again, said, atol=1e-5)
    np.testing.assert_allclose(memory_again, 10 * memory, rtol=1e-5)


def test_the_delay_is_read_off_the_lower_panel():
    delays = np.arange(50)
    value = np.stack([2 * 0.9**delays, 0.9**delays])[:, None]
    axes = {"quantity": ["memory", "relative"], "experiment": ["LRU"], "delay": delays}
    curves = xr.Dataset({"value": xr.DataArray(value, axes, tuple(axes))})
    target = TARGETS["H.1"](curves)
    assert target.right == 22  # 0.9^21 is 0.109
    assert target.fault(22) is None and target.fault(21) is None  # to within a word
    assert "take the lower panel" in target.fault(29)  # 2 x 0.9^28 is 0.105
    assert target.fault(7) == "That is where half is left."


def test_each_mistake_with_half_lives_is_told_what_it_is():
    target = TARGETS["H.2"]()
    assert target.fault(lambda factors: np.log(0.5) / np.log(factors).mean(0)) is None
    told = {say: target.fault(wrong) for say, wrong in target.mistakes.items()}
    assert all(fault.endswith(say) for say, fault in told.items())
    assert "shape" in target.fault(lambda factors: np.log(factors).mean(axis=1))
