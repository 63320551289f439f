"""The rules of the ledger that judge the study on the synthetic corpus."""

import math
import re
from pathlib import Path
from string import Formatter

import numpy as np
import pytest
import xarray as xr
from scipy.stats import binomtest, chi2, norm

from state_gradients.paper import counts, ledger, reasons
from state_gradients.text import synthetic

SETTINGS = ["without dropout", "dropout 0.5"]
PLACES = r"4\.2.*|Table 1|Fig 3|App 8.*"
DELAYS = np.arange(51)


@pytest.fixture(scope="module")
def table():
    return ledger.table(Path(__file__).parents[2])


@pytest.fixture(scope="module")
def published():
    return {row["id"]: row for row in ledger.read_published()}


def judged(row, *datasets):
    """Judge one row, in its first setting, whose runs hold the datasets."""
    row = ledger.by_setting(row)[0]
    names = []

    def load(name, kind):
        if name not in names:
            names.append(name)
        return datasets[names.index(name) % len(datasets)]

    return ledger._compare(row, ledger._kind(row), load)


def scalars(**values):
    return xr.Dataset({name: ((), value) for name, value in values.items()})


def number(kind, value, *runs, **more):
    """Judge a number of the variable `ours` of runs against a published value."""
    names = [f"run {k}" for k in range(len(runs))]
    row = {"kind": kind, "published": value, "experiment": names}
    row |= {"ours": {"artifact": "any", "variable": "ours"}}
    return judged(row | more, *(scalars(ours=run) for run in runs))


# Perplexities near 1


def test_the_tolerance_near_1_is_above_chance_and_below_any_rung():
    limit, _ = ledger.TOLERANCES["perplexity near 1"]
    rungs = synthetic.ladder()
    for name, rung in rungs.items():
        found = number("perplexity", rungs["optimal"], rung)
        assert (found["verdict"] == "within") == (name == "optimal"), name
    # 3 % of the perplexity would pass all of them
    assert max(rungs.values()) / min(rungs.values()) < 1.03
    # two texts of the size of the test text, read by the same predictor
    losses = [
        -synthetic.ideal_log_probabilities(
            synthetic.generate(synthetic.SIZES["test"], seed=seed)
        ).mean()
        for seed in (3, 4)
    ]
    found = number("perplexity", *np.exp(losses))
    assert found["verdict"] == "within"
    assert abs(found["difference"]) < limit / 5


# Counts


@pytest.mark.parametrize(
    ("k", "n", "j", "m"), [(3, 20, 9, 25), (0, 7, 4, 9), (15, 15, 22, 24), (5, 6, 5, 6)]
)
def test_standard_errors_are_those_of_fishers_test_by_enumeration(k, n, j, m):
    def ways(a):
        return math.comb(n, a) * math.comb(m, k + j - a)

    tables = range(max(0, k + j - m), min(n, k + j) + 1)
    as_likely = sum(ways(a) for a in tables if ways(a) <= ways(k))
    chance = as_likely / sum(map(ways, tables))
    errors = counts.standard_errors(k, n, j, m)
    assert abs(errors) == pytest.approx(norm.isf(chance / 2), rel=1e-9, abs=1e-9)
    assert np.sign(errors) == np.sign(k / n - j / m) or chance == 1
    assert counts.standard_errors(j, m, k, n) == pytest.approx(-errors, abs=1e-9)


def test_of_rare_events_it_is_the_exact_test_of_two_poisson_rates():
    n, m = 160_048, 161_345
    for k in (5, 24, 46):
        chance = binomtest(k, k + 15, n / (n + m)).pvalue
        errors = counts.standard_errors(k, n, 15, m)
        # the hypergeometric law is the binomial one to (k + 15) / n
        assert abs(errors) == pytest.approx(norm.isf(chance / 2), rel=1e-3)


def test_a_chance_below_double_precision_is_many_standard_errors():
    assert 37 < counts.standard_errors(3_614, 320_000, 15, 161_345) < 38


@pytest.mark.parametrize("bad", [(-1, 3, 1, 3), (4, 3, 1, 3), (1, 3, 0, 0)])
def test_a_count_must_be_of_so_many(bad):
    with pytest.raises(ValueError, match=r"at most what it is of.* received"):
        counts.standard_errors(*bad)


def count(value, of, *runs):
    """Judge k of n in each run against a published count."""
    row = {"kind": "count", "published": value, "of": of}
    row |= {"experiment": [f"run {k}" for k in range(len(runs))]}
    row |= {"ours": {"artifact": "any", "variable": "wrong", "over": "all"}}
    return judged(row, *(scalars(wrong=k, all=n) for k, n in runs))


N = 160_048


@pytest.mark.parametrize(
    ("runs", "verdict"),
    [
        ([(24, N)], "within"),  # though 60 % more
        ([(46, N)], "outside, unexplained"),
        ([(0, N)], "outside, unexplained"),
        ([(7, N)], "within"),
        ([(7, N), (24, N)], "within"),
        ([(24, N), (24, N), (24, N)], "within"),
        ([(150, N), (1, N)], "outside"),  # its runs lie on either side
    ],
)
def test_fifteen_of_so_many_are_judged_as_a_count(runs, verdict):
    found = count(15, 161_345, *runs)
    assert found["verdict"] == verdict
    total = sum(k for k, _ in runs) / sum(n for _, n in runs)
    assert found["ours"] == pytest.approx(161_345 * total)
    assert found["difference"] * (found["ours"] - 15) >= 0


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ((24, 62, 46), "21% of cases"),  # ours without dropout
        ((40, 41, 42), ""),  # as alike as counting makes them
        ((2_868, 1_500, 4_000), ""),  # unlike, and yet all of them far away
        ((20, 22, 150), "53% of cases"),
    ],
)
def test_runs_less_alike_than_counting_makes_them_are_a_reason(runs, reason):
    found = count(15, 161_345, *[(k, N) for k in runs])
    assert found["verdict"] == ("outside" if reason else "outside, unexplained")
    assert found["why"].endswith(reason) and bool(found["why"]) == bool(reason)


def test_a_further_run_lies_as_far_off_as_the_t_distribution_says():
    # two runs, e and e^3: mean 2, deviation sqrt 2, times sqrt(1 + 1/2): sqrt 3; with
    # one degree of freedom (Cauchy) half of all lie beyond 1
    runs = np.exp([1.0, 3.0])
    as_far = counts.chance_of_a_further_run(runs, np.exp(2 + np.sqrt(3)))
    assert as_far == pytest.approx(0.5)
    assert np.isnan(counts.chance_of_a_further_run([5, 5], 7))
    assert np.isnan(counts.chance_of_a_further_run([0, 5], 7))


def test_counts_of_runs_are_as_unlike_as_the_chi_square_of_their_table():
    # 2 x 2: (n (ad - bc)^2) / product of the margins = 200 (10 * 70 - ...)^2 / ...
    statistic = 200 * (10 * 70 - 30 * 90) ** 2 / (40 * 160 * 100 * 100)
    found = counts.chance_between_runs([(10, 100), (30, 100)])
    assert found == pytest.approx(chi2.sf(statistic, 1))


def test_more_runs_tell_finer_differences():
    one = count(15, 161_345, (29, N))
    many = count(15, 161_345, *[(29, N)] * 6)
    assert (one["verdict"], many["verdict"]) == ("outside, unexplained",) * 2
    assert many["difference"] > one["difference"] > 1.96
    assert many["ours"] == pytest.approx(one["ours"])


@pytest.mark.parametrize(
    ("k", "n", "verdict"),
    [
        (22, 24, "within"),
        (60, 62, "within"),
        (22, 46, "outside, unexplained"),
        (1, 2, "within"),  # two say little
        (0, 0, "not comparable"),  # no mistake, so no place
    ],
)
def test_all_of_fifteen_are_compared_with_a_share_of_ours(k, n, verdict):
    assert count(15, 15, (k, n))["verdict"] == verdict


def test_a_count_is_one_row_and_shows_what_it_is_of(table):
    rows = table.set_index("id")
    of_claim = rows[rows["claim"] == "C018"]
    assert set(of_claim.index) == {"unexpected-count", "unexpected-predictions"}
    assert set(rows.loc["unexpected-count", "published"]) == {"15 of 161345"}
    assert set(rows.loc["unexpected-place", "published"]) == {"15 of 15"}


# What a formula gives


@pytest.mark.parametrize(
    ("printed", "ours", "verdict"),
    [
        (1.1369, 1.13696, "within"),  # cut
        (1.1388, 1.138789, "within"),  # rounded
        (1.1369, 1.1375, "outside, unexplained"),  # 0.06 nats a line
        (1.1388, 8 ** (1 / 15), "outside, unexplained"),
        (93, 92.94, "within"),
        (93, 91.9, "outside, unexplained"),
    ],
)
def test_a_formula_must_give_the_printed_digits(printed, ours, verdict):
    assert number("printed", printed, ours)["verdict"] == verdict


def test_the_formulas_of_appendix_8_are_told_apart(published):
    ours = synthetic.published_optimum()
    names = ("cycle", "line", "corpus")
    for name in names:
        printed = published[f"appendix8-{name}"]["published"]
        within = [number("printed", printed, ours[x])["verdict"] for x in names]
        assert [names[i] for i, v in enumerate(within) if v == "within"] == [name]


# An accuracy that guessing reaches


def read(published_value, accuracy, majority):
    row = {
        "kind": "percent",
        "published": published_value,
        "experiment": ["run"],
        "ours": {"artifact": "any", "variable": "accuracy"},
        "guess": {"artifact": "any", "variable": "majority"},
        "incomparable": "guessing gives {guess:.1%}, ours finds {found:.0%}",
        "measured": {
            "guess": {"experiment": ["run"], "artifact": "any", "variable": "majority"},
            "found": {"experiment": ["run"], "artifact": "any", "variable": "recall"},
        },
    }
    return judged(row, scalars(accuracy=accuracy, majority=majority, recall=0.25))


def test_what_guessing_reaches_is_neither_reached_nor_missed():
    for accuracy in (0.9301, 0.97, 0.80):
        found = read(93, accuracy, 0.9294)
        assert found["verdict"] == "not comparable"
        assert found["why"] == "guessing gives 92.9%, ours finds 25%"
    # and where it is more than guessing, the three points judge
    assert read(96, 0.97, 0.9294)["verdict"] == "within"
    assert read(96, 0.90, 0.9294)["verdict"] == "outside, unexplained"
    assert read(93, 0.97, 0.85)["verdict"] == "outside, unexplained"


def test_the_published_accuracies_of_new_tokens_are_what_guessing_reaches(table):
    rows = table.set_index("id")
    new = rows[rows.index.str.fullmatch(r"table1-.*-new")]
    assert len(new) == 4 * 6
    assert set(new["verdict"]) == {"not comparable"}
    assert new["why"].str.contains(r"ours finds \d+\.\d%").all()
    assert rows.loc["table1-new-majority", "verdict"] == "within"


# Figure 3


def _curves(total):
    """Return an artifact `spectra` whose sums over new tokens are `total` by delay."""
    spectra = xr.DataArray(total, {"delay": DELAYS}, "delay", name="total").expand_dims(
        state_kind=["cell"], group=["new-tokens"], normalization=["raw"]
    )
    return spectra.to_dataset()


def steps(at, *, size=1.0, slope=0.03, rise=0.5):
    """Return sums that fall by steps of the logarithm, and rise before the first."""
    logarithm = -slope * DELAYS
    for delay in at:
        logarithm = logarithm - size * (delay <= DELAYS)
    return np.exp(logarithm + rise * ((DELAYS - 8) / 8) ** 2 * (DELAYS < 16))


@pytest.mark.parametrize(
    ("sums", "verdict"),
    [
        (steps([16, 32, 48]), "within"),
        (steps([17, 33, 49]), "within"),  # an end of line came between
        (steps([12, 24, 36]), "outside, unexplained"),
        (steps([16, 32]), "outside, unexplained"),  # the third is missing
        (  # in between it falls faster than at the steps
            steps([16, 32, 48], size=0.3) * np.exp(-0.5 * np.clip(DELAYS - 17, 0, 14)),
            "outside, unexplained",
        ),
        (np.exp(-0.1 * DELAYS) * (1 + 1e-3 * np.exp(-DELAYS)), "outside, unexplained"),
        ((1.0 + DELAYS) ** -2, "outside, unexplained"),
        (np.exp(-((DELAYS / 20) ** 2)), "outside, unexplained"),
        (np.exp(-np.sqrt(DELAYS)), "outside, unexplained"),
    ],
)
def test_phases_are_steps_at_multiples_of_16_and_no_other_fall(
    published, sums, verdict
):
    assert judged(published["fig3-phases"], _curves(sums))["verdict"] == verdict


@pytest.mark.parametrize(
    ("sums", "verdict"),
    [
        (steps([16, 32, 48]), "within"),
        (np.exp(-0.1 * DELAYS), "outside, unexplained"),
        (np.exp(0.1 * DELAYS), "outside, unexplained"),
    ],
)
def test_in_the_first_phase_the_sum_falls_and_rises(published, sums, verdict):
    assert judged(published["fig3-first-phase"], _curves(sums))["verdict"] == verdict


@pytest.mark.parametrize(
    ("left", "verdict"), [(0.05, "within"), (0.3, "outside, unexplained")]
)
def test_little_is_left_after_the_copies(published, left, verdict):
    sums = np.where(DELAYS < 33, 2.0, 2.0 * left)
    found = judged(published["fig3-left"], _curves(sums))
    assert found["ours"] == pytest.approx(left)
    assert found["verdict"] == verdict


def subspaces(counting, identity, group):
    values = xr.DataArray(
        [counting, identity],
        {"subspace": ["counting", "means removed"], "delay": DELAYS},
        name="sum_singular_values",
    )
    return values.expand_dims(group=[group]).to_dataset()


def test_what_is_left_is_compared_with_what_was_in_the_same_subspace(published):
    row = published["fig3-left-identity"]
    kept, lost = (np.where(DELAYS < 33, 1.0, left) for left in (0.1, 0.05))
    # 45 directions hold more than 5, early and late: that decides nothing
    within = judged(row, subspaces(lost, 9 * kept, "new-tokens"))
    outside = judged(row, subspaces(kept, 9 * lost, "new-tokens"))
    assert within["verdict"] == "within"
    assert outside["verdict"] == "outside, unexplained"


@pytest.mark.parametrize("subspace", ["counting", "identity"])
def test_over_all_tokens_the_sum_falls_from_cycle_to_cycle(published, subspace):
    row = published[f"fig3-all-{subspace}"]
    falls, returns = np.exp(-0.1 * DELAYS), np.where(DELAYS < 16, 1.0, DELAYS / 100)
    both = {"counting": returns, "identity": returns} | {subspace: falls}
    assert judged(row, subspaces(*both.values(), "all"))["verdict"] == "within"
    both[subspace] = returns
    assert judged(row, subspaces(*both.values(), "all"))["verdict"] == (
        "outside, unexplained"
    )


def accuracies(cell, hidden):
    """Return an artifact `probes` with these accuracies by delay."""
    values = xr.DataArray(
        [cell, hidden],
        {"representation": ["cell", "hidden"], "delay": DELAYS},
        name="delay_accuracy",
    )
    return values.to_dataset()


def until(last, *, floor=0.12, dip=1.0):
    """Return an accuracy that is 1 until a delay, but for a dip at 3 to 8."""
    curve = np.where(last >= DELAYS, 1.0, floor)
    return np.where((DELAYS >= 3) & (DELAYS <= 8), np.minimum(curve, dip), curve)


def verdicts(published, cell, hidden):
    """Return whether the rows of Fig 3's right axis are met."""
    names = ("read-cell", "read-hidden", "falls-cell", "falls-hidden")
    names += ("hidden-earlier", "after-cell", "after-hidden")
    met = {}
    for name in names:
        row = published[f"fig3-{name}"]
        row = {k: v for k, v in row.items() if k not in ("why", "measured")}
        met[name] = judged(row, accuracies(cell, hidden))["verdict"] == "within"
    return met


def test_the_sentences_on_reading_hold_for_a_curve_that_they_describe(published):
    assert all(verdicts(published, until(31), until(30)).values())
    assert all(verdicts(published, until(32), until(31)).values())


@pytest.mark.parametrize(
    ("cell", "hidden", "unmet"),
    [
        # lost on the way and read again: the first fall says nothing of the last
        (until(31, dip=0.3), until(30), {"read-cell"}),
        (until(31), until(30, dip=0.3), {"read-hidden"}),
        # at some delays, though not on the average
        (until(31, dip=0.8), until(30, dip=0.8), {"read-cell", "read-hidden"}),
        (
            until(40),
            until(39),
            {"falls-cell", "falls-hidden", "after-cell", "after-hidden"},
        ),
        (
            until(20),
            until(19),
            {"read-cell", "read-hidden", "falls-cell", "falls-hidden"},
        ),
        (until(31), until(31), {"hidden-earlier"}),
        (until(32), until(30), {"hidden-earlier"}),
        (until(31, floor=0.4), until(30), {"after-cell"}),
        (until(31), until(30, floor=0.09), {"after-hidden"}),  # by no more than chance
    ],
)
def test_each_sentence_on_reading_can_fail(published, cell, hidden, unmet):
    met = verdicts(published, cell, hidden)
    assert {name for name, holds in met.items() if not holds} == unmet


def test_what_guessing_reaches_stands_beside_ours():
    row = {"kind": "percent", "published": 80.0, "experiment": "one"}
    row |= {"ours": {"artifact": "any", "variable": "found"}}
    data = scalars(found=0.81, guessed=0.79)
    assert np.isnan(judged(row, data)["chance"])
    row |= {"chance": {"artifact": "any", "variable": "guessed"}}
    assert judged(row, data)["chance"] == pytest.approx(79)


# Reasons


def test_the_spread_between_runs_is_a_reason_only_where_they_lie_on_either_side():
    apart = number("other", 100.0, 85.0, 80.0)
    assert (apart["verdict"], apart["why"]) == ("outside, unexplained", "")
    between = number("other", 100.0, 60.0, 101.0)
    assert between["verdict"] == "outside"
    assert between["why"].endswith("between our runs, which give 60 to 101")
    assert number("other", 100.0, 60.0)["verdict"] == "outside, unexplained"
    assert number("other", 100.0, 90.0, 111.0)["why"] == ""  # within needs none
    percent = number("percent", 80, 0.70, 0.81)
    assert percent["why"].endswith("which give 70 to 81")
    reach = number("range", [1, 2], 1.5, 4.0)
    assert reach["why"].endswith("which give 1.5 to 4")
    shape = {"holds": ">= 31, <= 32"}
    some = number("shape", "until 31", 32.0, 34.0, 36.0, **shape)
    assert some["why"] == "1 of 3 runs meet the bound; they give 32 to 36"
    none = number("shape", "until 31", 30.0, 33.0, **shape)  # neither, their mean does
    assert none["verdict"] == "within"
    assert number("shape", "until 31", 35.0, 33.0, **shape)["verdict"] == (
        "outside, unexplained"
    )


def test_a_reason_of_its_own_comes_before_the_spread():
    found = number("other", 100.0, 60.0, 101.0, why="measured")
    assert found["why"] == "measured"


def test_forms_are_taken_run_by_run_where_they_name_an_experiment():
    runs = {"a": 1.0, "b": 3.0}
    form = {"ratio": [{"variable": "x"}, 2], "experiment": ["a", "b"]}
    asked = []
    reasons.told("{r}", {"r": form}, lambda spec: asked.append(spec) or 0.0)
    assert asked == [form]
    # one without is an operation on means
    inner = {"ratio": [{"experiment": "a"}, {"experiment": "b"}]}
    told = reasons.told("{r:.2f}", {"r": inner}, lambda spec: runs[spec["experiment"]])
    assert told == "0.33"
    row = {
        "kind": "other",
        "published": 1.5,
        "experiment": ["one", "two"],
        "ours": {
            "ratio": [
                {"artifact": "any", "variable": "x"},
                {"artifact": "any", "variable": "y"},
            ]
        },
    }
    found = judged(row, scalars(x=2.0, y=1.0), scalars(x=4.0, y=4.0))
    assert found["ours"] == 1.5  # (2 + 1) / 2, and not 6 / 5


def test_changed_reaches_every_specification():
    measured = {
        "a": {"artifact": "x"},
        "b": {"ratio": [{"artifact": "y"}, "a", 3]},
        "c": {"difference": [{"product": [2, {"artifact": "z"}]}, 1]},
    }
    marked = reasons.changed(measured, lambda spec: spec | {"seen": True})
    assert reasons.forms(marked) == [
        {"artifact": name, "seen": True} for name in ("x", "y", "z")
    ]
    assert marked["b"]["ratio"][1:] == ["a", 3]
    assert "seen" not in measured["a"]


def test_extremes_are_taken_of_values_and_of_runs():
    row = {
        "kind": "other",
        "published": 1,
        "experiment": ["one", "two"],
        "ours": {"artifact": "any", "variable": "x"},
        "why": "{low} to {high}, {runs} in a run",
        "measured": {
            "low": {"take": "least", "runs": "least"},
            "high": {"take": "largest", "runs": "largest"},
            "runs": {"take": "least"},
        },
    }
    spec = {"experiment": ["one", "two"], "artifact": "any", "variable": "x"}
    row["measured"] = {name: spec | more for name, more in row["measured"].items()}
    runs = [xr.Dataset({"x": ("epoch", values)}) for values in ([2.0, 9.0], [4.0, 5.0])]
    assert judged(row, *runs)["why"] == "2.0 to 9.0, 3.0 in a run"


def test_reasons_and_members_are_of_the_setting_and_the_recording_of_their_row():
    select = {"recording": "alike", "part": "cell"}
    settings = {"plain": ["p1"], "dropped": ["d1"]}
    member = {"experiment": settings, "artifact": "any", "select": select}
    row = {
        "kind": "order",
        "published": "a > b",
        "recordings": ["stream", "rows"],
        "ours": {"a": member, "b": member},
        "why": {"dropped": "all", "dropped, rows": "in rows"},
        "measured": {"x": member, "y": {"ratio": [member | {"experiment": ["q"]}, 2]}},
        "guess": member,
    }
    rows = ledger.by_setting(row)
    pairs = [(r["setting"], r["recording"]) for r in rows]
    assert pairs == [(s, r) for s in settings for r in ("stream", "rows")]
    for each in rows:
        names = settings[each["setting"]]
        specs = [*each["ours"].values(), each["measured"]["x"], each["guess"]]
        specs.append(each["measured"]["y"]["ratio"][0])
        chosen = {"recording": each["recording"], "part": "cell"}
        assert [spec["select"] for spec in specs] == [chosen] * 5
        assert [spec["experiment"] for spec in specs] == [names] * 4 + [["q"]]
    assert [each["why"] for each in rows] == ["", "", "all", "in rows"]
    assert select["recording"] == "alike"


# The rows


def _of_the_study(rows):
    return [row for row in rows if re.fullmatch(PLACES, row["where"])]


def test_every_reason_quotes_numbers_and_they_are_measured(published):
    recordings = {r for row in published.values() for r in row.get("recordings", [])}
    pairs = {f"{s}, {r}" for s in SETTINGS for r in recordings}
    for row in _of_the_study(published.values()):
        whys = row.get("why", {})
        whys = whys if isinstance(whys, dict) else {"": whys}
        assert whys.keys() <= {""} | {*SETTINGS} | pairs, row["id"]
        texts = [*whys.values(), *filter(None, [row.get("incomparable")])]
        for text in texts:
            quoted = {name for _, name, _, _ in Formatter().parse(text) if name}
            assert quoted, (row["id"], text)  # no reason without a number
            assert quoted <= row["measured"].keys(), row["id"]


def test_what_is_outside_in_the_study_says_why_with_its_numbers(table):
    rows = table[table["where"].str.fullmatch(PLACES)]
    outside = rows[rows["verdict"].str.startswith("outside")]
    assert len(outside) > 20
    assert (rows["verdict"] == "outside, unexplained").sum() <= 2
    told = outside[outside["verdict"] == "outside"]["why"]
    assert told.str.contains(r"\d").all()
    assert not told.str.contains(r"[{}]|nan").any()


def test_the_sizes_of_the_corpus_are_those_that_it_is_generated_in(published):
    for split, size in synthetic.SIZES.items():
        row = published[f"size-synthetic-{split}"]
        assert row["published"] == size
        assert judged(row)["ours"] == size
    text = synthetic.generate(synthetic.SIZES["test"], seed=1)
    longest = synthetic.MOST * (synthetic.REPEATS + 1) + 1
    assert 0 <= len(text.ids) - synthetic.SIZES["test"] < longest
