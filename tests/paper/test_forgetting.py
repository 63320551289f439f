"""What the page on the price of forgetting shows equals the artifact."""

import numpy as np
import pytest
import xarray as xr
from drawings import assert_drawn, band_ends, legend_names

from state_gradients.paper.book import forgetting
from state_gradients.paper.language.positions import PREDICTORS, QUANTILES
from state_gradients.paper.language.surprisal import CONTROLS

pytestmark = pytest.mark.usefixtures("closed_figures")
DELAYS = [0, 1, 2, 5, 9]


@pytest.fixture
def data(rng):
    """An artifact of random numbers, of two states and 30 places."""
    sizes = {"delay": 5, "scale": 3, "place": 30, "state_kind": 2, "control": 4}
    sizes |= {"memory_of": 6, "null": 2, "tenth": 10, "predictor": 5, "quantile": 5}

    def drawn(*dims):
        return dims, rng.random([sizes[dim] for dim in dims])

    by_state = ("state_kind", "memory_of")
    found = xr.Dataset(
        {
            "mean_kl": drawn("delay", "scale"),
            "mean_kl_error": drawn("delay", "scale"),
            "mean_cost": drawn("delay", "scale"),
            "mean_cost_error": drawn("delay", "scale"),
            "mean_late_kl": drawn("delay"),
            "mean_late_kl_error": drawn("delay"),
            "mean_late_cost": drawn("delay"),
            "mean_late_cost_error": drawn("delay"),
            "correlation": drawn("control", *by_state),
            "lower": drawn("control", *by_state),
            "upper": drawn("control", *by_state),
            "null_lower": drawn("null", "control", *by_state),
            "null_upper": drawn("null", "control", *by_state),
            "excess_surprisal": drawn("tenth", *by_state),
            "agreement": drawn("state_kind", "delay"),
            "mean_memory": drawn("state_kind", "delay"),
            "share_of_largest": drawn("state_kind", "delay"),
            "prediction": drawn("delay", "predictor", "scale"),
            "prediction_lower": drawn("delay", "predictor", "scale"),
            "prediction_upper": drawn("delay", "predictor", "scale"),
            "state_ratio": drawn("quantile", "state_kind", "scale", "delay"),
            "kl_ratio": drawn("quantile", "delay", "scale"),
            "kl_ratio_of_change": drawn("quantile", "delay", "scale"),
            "cosine": drawn("state_kind", "scale", "delay", "place"),
            "surprisal": ("position", rng.random(77)),
            "n_sampled": ((), 44),
            "by_class": ((), 1),
            "replaceable": ((), 0.75),
        },
        coords={
            "delay": DELAYS,
            "scale": [0.125, 0.5, 1.0],
            "state_kind": ["hidden", "cell"],
            "control": list(CONTROLS),
            "memory_of": ["0", "1", "2", "5", "9", "all"],
            "null": ["shuffled", "moved"],
            "predictor": list(PREDICTORS),
            "quantile": list(QUANTILES),
        },
    )
    return found


@pytest.mark.parametrize("what", ["kl", "cost"])
def test_the_price_is_of_the_whole_step_with_two_errors_to_either_side(data, what):
    found = forgetting.price(data, what)
    for lost, name in ((forgetting.REPLACED, ""), (forgetting.FORGOTTEN, "late_")):
        mean = data[f"mean_{name}{what}"]
        error = data[f"mean_{name}{what}_error"]
        if not name:
            mean, error = mean.sel(scale=1), error.sel(scale=1)
        one = found.sel(lost=lost)
        np.testing.assert_array_equal(one["mean"], mean)
        np.testing.assert_allclose(one["lower"], mean - 1.96 * error)
        np.testing.assert_allclose(one["upper"], mean + 1.96 * error)
    table = forgetting.told_price(data, [1, 9])
    column = {"kl": "expected", "cost": "paid"}[what]
    mean, error = (
        float(data[f"mean_late_{what}{end}"].sel(delay=9)) for end in ("", "_error")
    )
    told = table.loc[9, f"{forgetting.FORGOTTEN}, {column}"]
    assert told == f"{mean:.4f} ± {1.96 * error:.4f}"


def test_the_prices_are_drawn(data):
    found = forgetting.price(data)
    ax = forgetting.plot_price(found)
    for lost in (forgetting.REPLACED, forgetting.FORGOTTEN):
        assert_drawn(ax, lost, DELAYS, found["mean"].sel(lost=lost))
    assert ax.get_yscale() == "log"


def test_correlations_are_drawn_with_the_widest_null(data):
    found = forgetting.rank_correlations(data, "cell")
    one = data.sel(state_kind="cell", null="moved").isel(memory_of=slice(5))
    ax = forgetting.plot_rank_correlations(found)
    for control in CONTROLS:
        assert_drawn(ax, control, DELAYS, one["correlation"].sel(control=control))
    assert "other positions" in legend_names(ax)
    corners = ax.collections[0].get_paths()[0].vertices
    for delay in DELAYS:
        at = one.sel(memory_of=str(delay))
        there = corners[corners[:, 0] == delay, 1]
        assert there.min() == at["null_lower"].min()
        assert there.max() == at["null_upper"].max()


def test_predictions_are_drawn_by_their_names(data):
    whole = data.sel(scale=1).transpose(..., "predictor", "delay")
    ax = forgetting.plot_predictions(whole)
    for k, (predictor, name) in enumerate(forgetting.NAMES.items()):
        one = whole.sel(predictor=predictor)
        ends = np.sort([one["prediction_lower"], one["prediction_upper"]], axis=0)
        np.testing.assert_array_equal(band_ends(ax, k), [DELAYS, *ends])
        assert_drawn(ax, name, DELAYS, whole["prediction"].sel(predictor=predictor))


def test_the_table_of_accuracies_holds_medians_and_quartiles(data):
    table = forgetting.told_accuracy(data, "cell")
    assert table[["step", "delay"]].values.tolist() == [
        [step, delay] for step in ("0.125", "0.5", "1") for delay in (0, 2, 9)
    ]
    row = table.query("step == '0.5' and delay == 9").iloc[0]
    at = data.sel(scale=0.5, delay=9)
    low, middle, high = (at["kl_ratio"].sel(quantile=q) for q in (0.25, 0.5, 0.75))
    assert row["distribution"] == f"{middle:.2f} ({low:.2f}, {high:.2f})"
    of_cell = at.sel(state_kind="cell")
    low, middle, high = (
        of_cell["state_ratio"].sel(quantile=q) for q in (0.25, 0.5, 0.75)
    )
    assert row["state"] == f"{middle:.2f} ({low:.2f}, {high:.2f})"
    assert row["cosine"] == f"{np.median(of_cell['cosine']):.2f}"


def test_the_numbers_of_the_prose_are_the_artifacts(data):
    told = forgetting.numbers(data, "cell")
    assert (told["near"], told["mid"], told["far"]) == ("1", "2", "9")
    assert (told["n_places"], told["n_positions"], told["n_sampled"]) == (
        "30",
        "77",
        "44",
    )
    assert told["replaceable"] == "75%" and told["of_class"] == "of the same class"
    whole, cell = data.sel(scale=1), data.sel(state_kind="cell")
    kl = whole["mean_kl"].values
    assert told["one_mid"] == f"{kl[2]:.2g}"
    assert told["all_far"] == f"{data['mean_late_kl'].values[-1]:.2g}"
    assert told["share_mid"] == f"{kl[2] / kl[0]:.2%}"
    memory = cell["mean_memory"].values
    assert told["memory_far"] == f"{memory[-1] / memory[0]:.0%}"
    assert told["largest_0"] == f"{cell['share_of_largest'].values[0]:.0%}"
    assert told["agreement_least"] == f"{data['agreement'].values.min():.2f}"
    form = whole["prediction"].sel(delay=1, predictor="distribution")
    assert told["by_form_near"] == f"{form:.2f}"
    real = whole["kl_ratio_of_change"].sel(delay=0, quantile=0.5)
    assert told["softmax_ratio_0"] == f"{real:.2f}"
    one = cell.isel(control=3).sel(memory_of="all")
    ends = (one["correlation"], one["lower"], one["upper"])
    assert told["rho_d_all"] == "{:+.3f} [{:+.3f}, {:+.3f}]".format(*ends)
    assert told["excess_most"] == f"{one['excess_surprisal'][-1]:+.2f}"
    within = cell["correlation"].values[1, :5]
    assert told["rho_b_best"] == f"{within.max():+.2f}"  # none is negative here
    assert told["rho_b_at"] == str(DELAYS[within.argmax()])
    forms = whole["prediction"].sel(predictor="distribution").values
    assert told["form_best"] == f"{forms.max():.2f}"
    small = data["prediction"].sel(scale=0.125, delay=9, predictor="distribution")
    assert told["small_form_far"] == f"{small:.2f}"
    null = cell.sel(null="moved")
    widest = max(abs(null["null_lower"]).max(), abs(null["null_upper"]).max())
    assert told["null"] == f"{widest:.3f}"
    null = cell.sel(null="shuffled")
    widest = max(abs(null["null_lower"]).max(), abs(null["null_upper"]).max())
    assert told["null_shuffled"] == f"{widest:.3f}"
    one = data.isel(control=1).sel(state_kind="hidden", memory_of="9")
    assert told["hidden_far"].startswith(f"{one['correlation']:+.3f} [")
    other = forgetting.numbers(data.assign(by_class=0), "hidden")
    assert other["of_class"] == "of any class"
    assert other["rho_d_all"] != told["rho_d_all"]
