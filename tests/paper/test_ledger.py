import json
import math
import re

import numpy as np
import pytest
import xarray as xr
import yaml
from artifact_project import ABOUT, dataset, fill, make_project

from state_gradients.foundation import settings
from state_gradients.paper import ledger, quantities, reasons
from state_gradients.project import artifacts
from state_gradients.text import synthetic

# every claim of kind N: the numbers the paper prints
NUMBERS = [8, 13, 18, *range(20, 24), 25, 26, *range(28, 35), *range(50, 53)]
NUMBERS += [*range(55, 58), *range(59, 62), 63, 64, 66, 67, 68, 72, 73, 93, 101, 103]
NUMBERS += [113, 131, 132, *range(138, 142), 145, 156, 159, 164, 166, 167, 168]
NUMBERS += [*range(170, 190)]


@pytest.fixture
def project(tmp_path):
    (tmp_path / "data").mkdir()
    return make_project(tmp_path)


def _ledger(project, *rows):
    """Write rows with the fields that do not matter here, and judge them."""
    common = {"where": "here", "what": "something"}
    rows = [{"id": str(i)} | common | row for i, row in enumerate(rows)]
    text = yaml.safe_dump({"rows": rows}, sort_keys=False)
    (project / "data/published.yaml").write_text(text)
    return ledger.table(project).to_dict("records")


def _training(project, name, **scalars):
    experiment = settings.load_experiment(name, root=project)
    artifacts.save(dataset("training", **scalars), experiment, "training", root=project)


def _test_perplexity(published, **more):
    ours = {"artifact": "training", "variable": "test_perplexity"}
    row = {"published": published, "kind": "perplexity", "ours": ours}
    return row | {"experiment": "ptb-lstm-256"} | more


@pytest.mark.parametrize(
    ("ours", "difference", "verdict"),
    [
        (103.0, 3.0, "within"),
        (97.0, -3.0, "within"),
        (103.1, 3.1, "outside, unexplained"),
        (96.9, -3.1, "outside, unexplained"),
    ],
)
def test_a_perplexity_may_differ_by_three_per_cent_in_either_direction(
    project, ours, difference, verdict
):
    _training(project, "ptb-lstm-256", test_perplexity=ours)
    (row,) = _ledger(project, _test_perplexity(100.0))
    assert row["ours"] == ours
    assert row["difference"] == pytest.approx(difference, rel=1e-12)
    assert (row["verdict"], row["tolerance"]) == (verdict, "3 %")


def test_a_row_outside_needs_its_reason_and_a_row_within_shows_none(project):
    _training(project, "ptb-lstm-256", test_perplexity=110.0)
    rows = [_test_perplexity(p, why="measured") for p in (100.0, 110.0)]
    outside, within = _ledger(project, *rows)
    assert (outside["verdict"], outside["why"]) == ("outside", "measured")
    assert (within["verdict"], within["why"]) == ("within", "")


def test_a_reason_quotes_numbers_of_ours_and_counts_only_once_they_are_measured(
    project,
):
    _training(project, "ptb-lstm-256", test_perplexity=110.0)
    measured = {"artifact": "training", "variable": "test_perplexity"}
    row = _test_perplexity(100.0, why="without x it is {0:.1f}, not {1:.1f}")
    row["measured"] = [
        measured | {"experiment": name} for name in ("ptb-gru-256", "ptb-lstm-256")
    ]
    (before,) = _ledger(project, row)
    assert (before["verdict"], before["why"]) == ("outside, unexplained", "")
    _training(project, "ptb-gru-256", test_perplexity=101.25)
    (after,) = _ledger(project, row)
    assert after["verdict"] == "outside"
    assert after["why"] == "without x it is 101.2, not 110.0"


def test_other_values_may_differ_by_ten_per_cent(project):
    _training(project, "ptb-lstm-256", test_perplexity=0.55)
    rows = [_test_perplexity(p, kind="other") for p in (0.5, 0.499, 0.611, 0.612)]
    verdicts = [row["verdict"] for row in _ledger(project, *rows)]
    assert [v == "within" for v in verdicts] == [True, False, True, False]


def _probes(project, name, accuracy):
    probes = xr.Dataset(
        {"lda_accuracy": (("representation", "target"), accuracy, ABOUT)},
        {"representation": ["cell", "hidden"], "target": ["token", "new"]},
    )
    probes["unexpected_mistakes"] = ((), 15, ABOUT)
    probes["predictions"] = ((), 161_345, ABOUT)
    experiment = fill(project, name, ["training", "encoder", "weights", "gradients"])
    artifacts.save(probes, experiment, "probes", root=project)


def test_a_perplexity_near_1_is_compared_in_nats_a_line(project):
    # 0.25 nats in a line of 121 tokens is 0.2 % of a perplexity
    near, far = (1.2 * math.exp(nats / 121) for nats in (0.249, -0.251))
    _training(project, "ptb-lstm-256", test_perplexity=near)
    _training(project, "ptb-gru-256", test_perplexity=far)
    rows = [_test_perplexity(1.2), _test_perplexity(1.2, experiment="ptb-gru-256")]
    within, outside = _ledger(project, *rows)
    assert within["difference"] == pytest.approx(0.249, rel=1e-9)
    assert outside["difference"] == pytest.approx(-0.251, rel=1e-9)
    assert (within["verdict"], within["kind"]) == ("within", "perplexity near 1")
    assert (outside["verdict"], outside["tolerance"]) == (
        "outside, unexplained",
        "0.25 nats a line",
    )
    # it is the difference of the excesses over the optimum
    excess = [121 * math.log(x / synthetic.optimal_perplexity()) for x in (near, 1.2)]
    assert within["difference"] == pytest.approx(excess[0] - excess[1], rel=1e-9)
    _training(project, "ptb-lstm-256", test_perplexity=2.05)  # 2.5 %, 3.0 nats a line
    (row,) = _ledger(project, _test_perplexity(2.0))
    assert (row["verdict"], row["kind"]) == ("within", "perplexity")


def test_the_line_of_the_rule_is_that_of_the_corpus():
    text = synthetic.generate(400_000, seed=5)
    n_lines = np.sum(text.count == synthetic.COUNT_EOS)
    # the standard deviation of a line is 16 sqrt(35 / 12) = 27 tokens
    error = 16 * math.sqrt(35 / 12 / n_lines)
    assert abs(len(text.ids) / n_lines - synthetic.LINE) < 4 * error
    choices = 7.5 + 1  # new tokens and the end of the line
    limit, _ = ledger.TOLERANCES["perplexity near 1"]
    assert limit == round(choices * math.log(1.03), 2)


SEEDS = ["synthetic-seed1", "synthetic-seed2"]
HIDDEN_TOKEN = {
    "published": 89,
    "kind": "percent",
    "experiment": SEEDS,
    "ours": {
        "artifact": "probes",
        "variable": "lda_accuracy",
        "select": {"representation": "hidden", "target": "token"},
    },
}


def test_percentages_are_means_over_the_seeds_in_points(project):
    _probes(project, SEEDS[0], [[0.1, 0.2], [0.87, 0.4]])
    (row,) = _ledger(project, HIDDEN_TOKEN)
    assert (row["ours"], row["why"]) == (pytest.approx(87), "1 of 2 runs")
    assert math.isnan(row["uncertainty"])
    _probes(project, SEEDS[1], [[0.1, 0.2], [0.97, 0.4]])
    (row,) = _ledger(project, HIDDEN_TOKEN)
    assert row["ours"] == pytest.approx(92)
    assert row["difference"] == pytest.approx(3)  # 3 points are within
    assert row["uncertainty"] == pytest.approx(10 / math.sqrt(2))  # of two values
    assert (row["verdict"], row["tolerance"]) == ("within", "3 points")


def test_a_rate_is_one_variable_over_another(project):
    _probes(project, SEEDS[0], np.zeros((2, 2)))
    ours = {"artifact": "probes", "variable": "unexpected_mistakes"}
    ours |= {"over": "predictions"}
    row = {"published": 0.009, "kind": "percent", "experiment": SEEDS, "ours": ours}
    (row,) = _ledger(project, row)
    assert row["ours"] == pytest.approx(100 * 15 / 161_345)
    assert (row["kind"], row["verdict"]) == ("percent", "within")


def test_each_setting_and_recording_is_judged_by_itself(project):
    names = ("recording", "representation", "target", "split")
    for name, shift in zip(SEEDS, (0.0, 0.5), strict=True):
        accuracy = shift + np.array([0.11, 0.31]).reshape(2, 1, 1)
        mistakes = 100 * shift + np.array([[1, 2], [3, 4]])
        found = xr.Dataset(
            {
                "lda_accuracy": (names[:3], accuracy, ABOUT),
                "mistakes": ((names[0], names[3]), mistakes, ABOUT),
                "all": ((names[0], names[3]), [[10, 20], [30, 40]], ABOUT),
            },
            {
                "recording": ["stream", "rows"],
                "representation": ["cell"],
                "target": ["token"],
                "split": ["valid", "test"],
            },
        )
        experiment = fill(project, name, ["encoder", "weights", "gradients"])
        artifacts.save(found, experiment, "readings", root=project)
    common = {
        "kind": "percent",
        "experiment": {"plain": SEEDS[:1], "dropped": SEEDS[1:]},
        "recordings": ["stream", "rows"],
    }
    why = {"plain": "not dropped", "dropped, rows": "in rows"}
    select = {"representation": "cell", "target": "token"}
    ours = {"artifact": "readings", "variable": "lda_accuracy", "select": select}
    share = ours | {"variable": "mistakes", "over": "all", "select": {"split": "test"}}
    rows = _ledger(
        project,
        common | {"published": 61, "ours": ours, "why": why},
        common | {"published": 10, "ours": share},
    )
    keys = [(row["setting"], row["recording"]) for row in rows]
    pairs = [(s, r) for s in ("plain", "dropped") for r in ("stream", "rows")]
    assert keys == pairs * 2
    assert [row["ours"] for row in rows[:4]] == pytest.approx([11, 31, 61, 81])
    assert [row["verdict"] for row in rows[:4]] == [
        *("outside", "outside", "within", "outside"),
    ]
    assert [row["why"] for row in rows[:4]] == ["not dropped"] * 2 + ["", "in rows"]
    # mistakes of the test text over predictions of the test text, recorded alike
    shares = [100 * 2 / 20, 100 * 4 / 40, 100 * 52 / 20, 100 * 54 / 40]
    assert [row["ours"] for row in rows[4:]] == pytest.approx(shares)


def test_the_members_of_an_order_are_those_of_one_setting(project):
    for name, value in zip(SEEDS, (1.0, 5.0), strict=True):
        _memory(project, name, [value, 3.0, 3.0])
    experiment = {"plain": SEEDS[:1], "dropped": SEEDS[1:]}
    members = {str(delay): _mean_memory(experiment=experiment) for delay in (0, 1)}
    for delay, member in members.items():
        member["select"] = member["select"] | {"delay": int(delay)}
    row = {"published": "0 > 1", "kind": "order", "ours": members}
    plain, dropped = _ledger(project, row)
    assert (plain["setting"], plain["ours"]) == ("plain", "1 > 0")
    assert (dropped["setting"], dropped["ours"]) == ("dropped", "0 > 1")


@pytest.mark.parametrize(
    ("difference", "kind", "text"),
    [
        (-3.048, "perplexity", "-3.05 %"),
        (2.982, "percent", "+3.0 points"),
        (3.0000004, "percent", "+3.0000004 points"),
        (3.0, "perplexity", "+3.0 %"),
        (-9.96, "other", "-10.0 %"),
        (10.04, "other", "+10.04 %"),
        (1.9597, "count", "+1.96 standard errors"),
        (-0.1, "printed", "-0.1 of the last digit"),
        (0.2512, "perplexity near 1", "+0.251 nats a line"),
        (-0.78979, "perplexity near 1", "-0.79 nats a line"),
        (-0.0017, "range", "-0.0017"),
        (math.nan, "order", ""),
    ],
)
def test_printed_digits_do_not_belie_the_verdict(difference, kind, text):
    assert ledger.difference_in_words(difference, kind) == text


def test_every_difference_of_the_ledger_reads_as_it_was_judged(root):
    rows = ledger.table(root)
    judged = rows[rows["verdict"].str.startswith(("within", "outside"))]
    judged = judged[~judged["kind"].isin(["order", "range", "shape", "interval"])]
    assert len(judged) > 20
    for row in judged.itertuples():
        text = ledger.difference_in_words(row.difference, row.kind)
        limit = float(row.tolerance.split()[0])
        within = abs(float(text.split()[0])) <= limit
        assert within == (row.verdict == "within"), (row.id, text)


def _memory(project, name, values):
    spectra = dataset("spectra")
    spectra["memory"][:] = 0
    spectra["memory"].loc[{"state_kind": "cell", "normalization": "whitened"}] = values
    experiment = fill(project, name, ["encoder", "gradients"])
    artifacts.save(spectra, experiment, "spectra", root=project)


def _mean_memory(**more):
    select = {"state_kind": "cell", "group": "all", "normalization": "whitened"}
    select |= {"delay": [1, 2]}
    return {"artifact": "spectra", "variable": "memory", "select": select} | more


def test_a_range_of_delays_is_averaged_and_held_against_a_published_range(project):
    _memory(project, "ptb-lstm-256", [100.0, 2.0, 3.0])
    row = {"kind": "range", "experiment": "ptb-lstm-256", "ours": _mean_memory()}
    rows = [row | {"published": limits} for limits in ([1, 2.5], [2.6, 9], [0, 2.25])]
    inside, below, above = _ledger(project, *rows)
    assert inside["ours"] == 2.5
    assert (inside["difference"], inside["verdict"]) == (0, "within")
    assert inside["published"] == "1 to 2.5"
    assert below["difference"] == pytest.approx(-0.1)
    assert above["difference"] == pytest.approx(0.25)
    assert {below["verdict"], above["verdict"]} == {"outside, unexplained"}
    _memory(project, "ptb-gru-256", [0.0, 5e-10, 5e-10])  # small is not round-off
    row["experiment"] = "ptb-gru-256"
    rows = [row | {"published": [0, limit]} for limit in (1e-10, 1e-9)]
    verdicts = [row["verdict"] for row in _ledger(project, *rows)]
    assert verdicts == ["outside, unexplained", "within"]


def test_a_share_of_several_is_their_sum_at_each_delay_over_the_total(project):
    spectra = dataset("spectra").assign_coords(component=[1, 2, 3, 4])
    experiment = fill(project, "ptb-lstm-256", ["encoder", "gradients"])
    artifacts.save(spectra, experiment, "spectra", root=project)
    select = _mean_memory()["select"] | {"component": [1, 3]}
    ours = {"artifact": "spectra", "variable": "s", "sum": "component"}
    ours |= {"over": "total", "select": select}
    row = {"published": 1, "kind": "other", "experiment": "ptb-lstm-256", "ours": ours}
    at = spectra.sel(state_kind="cell", group="all", normalization="whitened")
    share = [
        sum(float(at["s"][delay, i]) for i in range(3)) / float(at["total"][delay])
        for delay in (1, 2)
    ]
    (found,) = _ledger(project, row)
    assert found["ours"] == pytest.approx(sum(share) / 2, rel=1e-6)  # float32


def test_orders_are_exact(project):
    names = ["ptb-lstm-256", "ptb-lstm-256-untrained", "ptb-gru-256"]
    for name, value in zip(names, (3.0, 1.0, 2.0), strict=True):
        _memory(project, name, [0.0, value, value])
    members = {
        key: _mean_memory(experiment=name)
        for key, name in zip("abc", names, strict=True)
    }
    texts = ["a > c > b", "b < c < a", "a, c > b", "a > b, c", "a > b > c", "c < a, b"]
    rows = [{"published": t, "kind": "order", "ours": members} for t in texts]
    found = _ledger(project, *rows)
    assert [row["verdict"] == "within" for row in found] == [True] * 4 + [False] * 2
    assert [found[0]["ours"], found[1]["ours"]] == ["a > c > b", "b < c < a"]
    assert {row["tolerance"] for row in found} == {"exact"}
    artifacts.path(names[2], "spectra", root=project).unlink()
    row = _ledger(project, rows[0])[0]
    assert row["verdict"] == "not run"
    assert row["why"] == "run `state-gradients reproduce ptb-gru-256`"


def test_what_has_not_run_says_what_would_give_it(project):
    _training(project, "ptb-lstm-256")
    missing, variable, uncomputed = _ledger(
        project,
        _test_perplexity(1.0, experiment="ptb-gru-256", needs="a corpus"),
        _test_perplexity(1.0, ours={"artifact": "training", "variable": "nothing"}),
        {"published": 1, "kind": "other"},
    )
    run = "run `state-gradients reproduce ptb-gru-256`; it needs a corpus"
    assert (missing["verdict"], missing["why"]) == ("not run", run)
    assert missing["ours"] is None
    assert "training of ptb-lstm-256 hold no" in variable["why"]
    assert "nothing" in variable["why"]
    assert uncomputed["why"] == "no stage computes it yet"


def test_what_cannot_be_compared_shows_ours_and_no_verdict(project):
    _training(project, "ptb-lstm-256", test_perplexity=100.0)
    row = _ledger(project, _test_perplexity(100.0, incomparable="another text"))[0]
    assert (row["ours"], row["verdict"]) == (100, "not comparable")
    assert row["why"] == "another text"
    not_run = {"experiment": "ptb-gru-256", "incomparable": "another text"}
    row = _ledger(project, _test_perplexity(100.0, **not_run))[0]
    assert row["verdict"] == "not run"
    assert row["why"].endswith("; it will not be comparable: another text")


def test_a_quantity_without_a_value_is_not_comparable(project):
    _training(project, "ptb-lstm-256", mistakes=0, late=0)
    ours = {"artifact": "training", "variable": "late", "over": "mistakes"}
    row = _ledger(project, _test_perplexity(100, kind="percent", ours=ours))[0]
    assert (row["verdict"], row["why"]) == ("not comparable", "ours is not defined")


def test_a_damaged_artifact_stops_the_ledger(project):
    _training(project, "ptb-lstm-256")
    artifacts.path("ptb-lstm-256", "training", root=project).write_bytes(b"")
    with pytest.raises(artifacts.ArtifactError, match=r"training\.nc"):
        _ledger(project, _test_perplexity(1.0))


@pytest.fixture
def published(root):
    return ledger.read_published(root)


def test_every_published_number_has_a_row(published):
    assert {f"C{n:03d}" for n in NUMBERS} <= {row.get("claim") for row in published}
    table3 = [row for row in published if row["where"] == "Table 3"]
    table2 = [row for row in published if row["where"] == "Table 2"]
    table2 = [row for row in table2 if row["kind"] == "perplexity"]
    table1 = [row for row in published if row["where"] == "Table 1"]
    assert (len(table1), len(table2), len(table3)) == (12, 22, 40)
    # the printed columns, summed
    assert sum(row["published"] for row in table1) == 928
    assert sum(row["published"] for row in table2) == pytest.approx(3374.6)
    assert sum(row["published"] for row in table3) == pytest.approx(3101.7)


def test_the_rows_are_well_formed(published, root):
    identifiers = [row["id"] for row in published]
    assert len(set(identifiers)) == len(identifiers)
    known, needed = set(settings.experiment_names(root)), set()
    fields = {"id", "where", "what", "published", "kind", "claim", "experiment", "ours"}
    for row in published:
        more = {"needs", "incomparable", "why", "measured", "recordings"}
        more |= {"of", "guess", "each", "holds", "because", "digit", "ends"}
        more |= {"chance"}
        assert row.keys() <= fields | more, row["id"]
        why = row.get("why", "")
        whys = why.values() if isinstance(why, dict) else [why]
        quoted = set(re.findall(r"\{(\w+)", " ".join(whys)))
        measured = row.get("measured", {})
        assert quoted <= measured.keys(), row["id"]
        assert {"id", "where", "what", "published", "kind"} <= row.keys()
        assert isinstance(row["where"], str)
        is_size = row["id"].startswith("size-")  # of a corpus, which no claim repeats
        assert re.fullmatch(r"C\d{3}", row.get("claim", "")) or is_size, row["id"]
        form = {"range": list, "order": str, "shape": str}
        form = form.get(row["kind"], (int, float))
        assert isinstance(row["published"], form), row["id"]
        assert row["kind"] in ledger.TOLERANCES
        specs = row.get("ours") or {}
        if row["kind"] == "order" and specs:
            members = set(re.split(" [<>] |, | or ", row["published"]))
            assert members == {str(member) for member in specs}, row["id"]
        else:
            specs = {"": specs | {"experiment": row.get("experiment", [])}}
        for spec in [*specs.values(), *reasons.forms(measured)]:
            names = spec["experiment"]
            for of_setting in names.values() if isinstance(names, dict) else [names]:
                needed |= set(
                    of_setting if isinstance(of_setting, list) else [of_setting]
                )
            if "artifact" in spec:
                artifacts.path("any", spec["artifact"], root=root)
                assert names
    assert needed <= known


def test_the_ledger_of_this_project_holds_and_is_json(root):
    table = ledger.table(root)
    assert list(table["id"].unique()) == [r["id"] for r in ledger.read_published(root)]
    assert not table.duplicated(["id", "setting", "recording"]).any()
    table = table.set_index("id")
    optimum = table.loc["appendix8-optimum"]
    assert (optimum["kind"], optimum["verdict"]) == ("perplexity near 1", "outside")
    assert optimum["ours"] == pytest.approx(
        math.exp((7.5 * math.log(8) + math.log(6)) / 121)
    )
    assert table.loc["appendix8-cycle", "ours"] == pytest.approx(8 ** (1 / 16))
    for row in ("table2-cbow-test", "note3-50-pretrained", "fig6b-memory"):
        assert table.loc[row, "verdict"] in ("not run", "not comparable")
    six = table.loc["fig4a-five"]
    assert (six["verdict"], six["ours"]) == ("outside", pytest.approx(0.847, abs=5e-4))
    assert six["why"].endswith("0.906")
    why = table.loc["table2-baseline-valid", "why"]
    assert "it would be 102.7: 81% of the difference" in why
    json.loads(table.to_json(orient="records"))
    assert not table["verdict"].isna().any()


@pytest.mark.parametrize(
    ("spec", "ours"),
    [
        ({"where": {"count": [0, 9]}}, 3.5),  # the mean of 4 and 3
        ({"where": {"count": [5, 10]}}, 2.5),  # both ends belong to it
        ({"where": {"count": [0, 10]}, "share": ">= 3"}, 2 / 3),
        ({"where": {"count": [10, math.inf]}, "share": "< 1"}, 0.5),
        ({"share": "> 3"}, 0.25),
        ({"share": "<= 3"}, 0.75),
        ({"variable": "curve", "first": "< 0.5"}, 20),
        ({"variable": "curve", "first": "< 0.1"}, math.nan),
        ({"variable": "unfitted", "share": ">= 3"}, 0.5),  # of the known
    ],
)
def test_word_types_are_chosen_counted_and_searched(spec, ours):
    types = xr.Dataset(
        {
            "memory": ("type", [4.0, 3.0, 2.0, 0.5]),
            "unfitted": ("type", [4.0, np.nan, 2.0, np.nan]),
            "count": ("type", [1, 5, 10, 900]),
            "curve": ("delay", [1.0, 0.5, 0.2, 0.3]),
        },
        {"type": ["rare", "odd", "some", "the"], "delay": [0, 10, 20, 30]},
    )
    spec = {"artifact": "types", "variable": "memory"} | spec
    found = quantities.quantity(spec, "mine", lambda name, kind: types)
    assert found == pytest.approx(ours, nan_ok=True)
