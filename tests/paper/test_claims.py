import numpy as np
import pandas as pd
import pytest
import xarray as xr
from artifact_project import ABOUT, fill

from state_gradients.foundation import settings
from state_gradients.paper import claims
from state_gradients.paper.synthetic import claims as claims_synthetic
from state_gradients.project import artifacts
from state_gradients.text import synthetic

LABELS = [*map(str, range(16)), "EOS"]
DELAYS = np.arange(51)


def described(coords, **variables):
    named = {k: (*v, dict(ABOUT)) for k, v in variables.items()}
    return xr.Dataset(named, coords)


def good():
    """Return probes of a network that does all that the paper says."""
    accuracy = [
        [0.93, 0.93, 0.87],
        [0.89, 0.93, 0.8],
        [0.11, 0.93, 0.86],
        [0.93, 0.93, 0.17],
    ]
    n = np.array([*[10_000] * 16, 1_300])
    angle = 2 * np.pi * np.arange(17) / 17
    # falls, rises up to 15, and has steps at 16, 32 and 48
    phases = [np.full(16, 3.0), np.full(16, 0.3), np.full(2, 0.1)]
    new = np.concatenate([np.linspace(10, 8, 9), np.linspace(8.1, 9.9, 8), *phases])
    fall = np.exp(-DELAYS / 5.0)
    groups = ["all", "new-tokens", "new-tokens, earlier"]
    sums = np.stack([fall, new, new])[:, None] * np.array([0.4, 0.8, 1.0])[:, None]
    forget = np.where(DELAYS < 32, 1.0, 0.13)
    none = np.array([2.2, *[0.0] * 15, 1.1])
    counting = none + np.eye(17)[[0, 15, 16]].sum(axis=0)
    return described(
        {
            "representation": ["cell", "hidden", "cell counting", "cell identity"],
            "target": ["token", "new", "count"],
            "label": LABELS,
            "delay": DELAYS,
            "group": groups,
            "subspace": ["counting", "identity", "whole"],
            "split": ["valid", "test"],
            "evaluation": ["1 x 1", "20 x 200"],
            "cycles": np.arange(1, 11),
            "removed": ["nothing", "counting", "random"],
        },
        perplexity=(("split", "evaluation"), np.full((2, 2), 1.16)),
        lda_accuracy=(("representation", "target"), accuracy),
        lda_balanced_accuracy=(("representation", "target"), np.full((4, 3), 0.95)),
        majority_rate=("target", [0.1, 0.9298, 0.062]),
        new_recall=("representation", np.full(4, 0.95)),
        count_variance_5=((), 0.99),
        principal_angle=("angle", [80.0, 85.0]),
        plane_accuracy=((), 0.6),
        plane_recall=("label", np.linspace(0.2, 0.9, 17)),
        plane_means=(
            ("label", "axis"),
            np.stack([np.cos(angle), np.sin(angle)], axis=1),
        ),
        delay_accuracy=(("representation", "delay"), np.tile(forget, (4, 1))),
        accuracy_falls_at=("representation", [32, 31, 0, 32]),
        sum_singular_values=(("group", "subspace", "delay"), sums),
        predictions_at=("label", n),
        mistakes_at=("label", [9_170, 15, *[0] * 15]),
        predictions=((), 161_345),
        unexpected_mistakes=((), 15),
        unexpected_at_first_repeat=((), 15),
        nll_at=("label", none),
        ideal_nll_at=("label", none),
        eos_probability=("cycles", np.ones(10)),
        ablated_nll_at=(("removed", "label"), np.stack([none, counting, none])),
    )


def changed(name, value, **where):
    """Return a function that sets part of a variable."""

    def change(p):
        p = p.copy(deep=True)
        p[name].loc[where] = value
        return p

    return change


def flat(group):
    return changed("sum_singular_values", 1.0, group=group)


# One quantity that turns each claim round.
FLIPS = {
    "C014": changed("perplexity", 1.19),
    "C015": changed("mistakes_at", 8_000, label="0"),
    "C016": changed("mistakes_at", 500, label="7"),
    "C017": changed("mistakes_at", 2_000, label="1"),
    "C019": changed("unexpected_at_first_repeat", 14),
    "C024": changed("new_recall", 0.2, representation="hidden"),
    "C027": changed("lda_accuracy", 0.9, representation="hidden", target="count"),
    "C035": changed(
        "lda_accuracy", 0.6, representation="cell identity", target="count"
    ),
    "C036": changed("plane_accuracy", 0.2),
    "C037": lambda p: p.assign(plane_means=p["plane_means"] ** 2),
    "C038": lambda p: p.assign(plane_recall=1 - p["plane_recall"]),
    "C039": changed("delay_accuracy", 0.2, delay=slice(1, 20)),
    "C040": changed("delay_accuracy", 0.5, delay=slice(33, 49)),
    "C041": changed("accuracy_falls_at", 32, representation="hidden"),
    "C042": flat("new-tokens"),
    "C043": flat("all"),
    "C044": flat("new-tokens, earlier"),
    "C045": flat("new-tokens"),
    "C046": flat("new-tokens"),
    "C047": flat("new-tokens"),
    "C048": flat("new-tokens"),
    "C049": changed("ablated_nll_at", 5.0, removed="random"),
    "C053": changed("eos_probability", 1 / 6, cycles=5),
}


def judge(name, *runs, planned=None):
    found = [claims_synthetic.judge(run)[name] for run in runs]
    return claims.by_runs(found, planned or len(runs))


def test_every_claim_of_the_section_is_tested_or_in_the_ledger(root):
    listed = set(claims.table(root)["id"])
    expected = {f"C{n:03}" for n in [*range(13, 50), 50, 51, 52, 53]}
    assert expected <= listed
    assert set(FLIPS) == set(claims.CLAIMS)


@pytest.mark.parametrize("name", FLIPS)
def test_the_verdict_turns_with_its_quantity(name):
    value, verdict = judge(name, good(), good())
    assert verdict == "supported", value
    value, verdict = judge(name, FLIPS[name](good()), FLIPS[name](good()))
    assert verdict == "not supported", value


def test_runs_that_disagree_decide_nothing():
    worse = FLIPS["C036"](good())
    value, verdict = judge("C036", good(), worse, planned=3)
    assert verdict == "undecided"
    assert value == "two 0.4 (0.2 to 0.6); all 0.87 (0.87 to 0.87); 2 of 3 runs"


def test_no_mistakes_leave_open_where_mistakes_fall():
    none = changed("unexpected_mistakes", 0)(good())
    assert judge("C019", none)[1] == "undecided"


def test_the_loop_must_close_once_whatever_its_sense():
    mirrored = good()
    mirrored["plane_means"] = mirrored["plane_means"] * xr.DataArray(
        [1, -1], dims="axis"
    )
    assert judge("C037", mirrored)[1] == "supported"
    twice = good().assign(plane_means=good()["plane_means"].copy())
    angle = 4 * np.pi * np.arange(17) / 17
    twice["plane_means"].values[:] = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    assert judge("C037", twice)[1] == "not supported"


def test_the_bound_of_luck_is_three_standard_errors_above_one_twelfth():
    n = 10_000
    for z, expected in ((2.9, "supported"), (3.1, "not supported")):
        right = 1 / 12 + z * np.sqrt(1 / 12 * 11 / 12 / n)
        p = good().assign(mistakes_at=good()["mistakes_at"].astype(float))
        p["mistakes_at"].loc[{"label": "0"}] = n * (1 - right)
        assert judge("C015", p)[1] == expected


@pytest.fixture
def project(tmp_path, root):
    (tmp_path / "data").mkdir()
    for name in ("params.yaml", "data/published.yaml"):
        (tmp_path / name).write_text((root / name).read_text())
    return tmp_path


def test_what_has_not_run_names_its_command(project):
    table = claims.table(project).set_index("id")
    assert table.loc["C035", "verdict"] == "not run"
    assert table.loc["C035", "value"] == "state-gradients reproduce synthetic-seed1"
    assert table.loc["C020", "verdict"] == "not run"
    assert "state-gradients reproduce" in table.loc["C020", "value"]
    closed = table.loc["C050"]
    assert (closed["verdict"], closed["kind"]) == ("supported", "N")
    assert f"{synthetic.published_optimum()['cycle']:.5g}" in closed["value"]


def test_artifacts_become_values_and_verdicts(project):
    fill(project, "synthetic-seed1", ["encoder", "weights", "gradients"])
    experiment = settings.load_experiment("synthetic-seed1", root=project)
    artifacts.save(good(), experiment, "probes", root=project)
    table = claims.table(project).set_index("id")
    assert list(table.index) == sorted(table.index)
    assert table.loc["C027", "verdict"] == "supported"
    assert table.loc["C027", "value"] == "cell - hidden 0.07; 1 of 3 runs"
    assert table.loc["C034", "verdict"] == "supported"  # by the ledger
    assert table.loc["C034", "value"] == "17"
    worse = changed("lda_accuracy", 0.5, representation="cell identity")(good())
    artifacts.save(worse, experiment, "probes", root=project)
    table = claims.table(project).set_index("id")
    assert table.loc["C034", "verdict"] == "not supported"
    assert table.loc["C035", "verdict"] == "not supported"


def test_a_claim_is_as_good_as_its_worst_number():
    rows = pd.DataFrame(
        {"verdict": ["within", "outside"], "ours": [1.0, 2.0], "why": ""}
    )
    assert claims.by_ledger(rows) == ("1; 2", "not supported")
    assert claims.by_ledger(rows[:1]) == ("1", "supported")
    rows["verdict"] = ["within", "not run"]
    assert claims.by_ledger(rows.assign(why="run it")) == ("1; run it", "not run")
