import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from artifact_project import ABOUT, fill

from state_gradients.foundation import settings
from state_gradients.paper import claims, ledger
from state_gradients.paper.claims import average_memory, judging, registry
from state_gradients.project import artifacts, kinds
from state_gradients.text import synthetic

LABELS = [*map(str, range(16)), "EOS"]
DELAYS = np.arange(51)
IDENTITY = "cell, means removed"


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
    sums[1, 0, 33:] /= 2  # of the count less is left
    forget = np.where(DELAYS < [[32], [31], [0], [32]], 1.0, 0.13)
    none = np.array([2.2, *[0.0] * 15, 1.1])
    counting = none + np.eye(17)[[0, 15, 16]].sum(axis=0)
    return described(
        {
            "representation": ["cell", "hidden", "cell counting", IDENTITY],
            "target": ["token", "new", "count"],
            "label": LABELS,
            "delay": DELAYS,
            "group": groups,
            "subspace": ["counting", "means removed", "whole"],
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
        delay_accuracy=(("representation", "delay"), forget),
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
    "C015": changed("mistakes_at", 8_500, label="0"),
    "C016": changed("mistakes_at", 500, label="7"),
    "C017": changed("mistakes_at", 2_000, label="1"),
    "C019": changed("unexpected_at_first_repeat", 14),
    "C024": changed("new_recall", 0.2, representation="hidden"),
    "C027": changed("lda_accuracy", 0.9, representation="hidden", target="count"),
    "C035": changed("lda_accuracy", 0.6, representation=IDENTITY, target="count"),
    "C036": changed("plane_accuracy", 0.2),
    "C037": lambda p: p.assign(plane_means=p["plane_means"] ** 2),
    "C038": lambda p: p.assign(plane_recall=1 - p["plane_recall"]),
    "C039": changed("delay_accuracy", 0.2, delay=slice(1, 20)),
    "C040": changed("delay_accuracy", 0.5, delay=slice(33, 49)),
    "C041": changed("delay_accuracy", 1.0, representation="hidden", delay=31),
    "C042": flat("new-tokens"),
    "C043": flat("all"),
    "C044": flat("new-tokens, earlier"),
    "C045": flat("new-tokens"),
    "C046": flat("new-tokens"),
    "C047": flat("new-tokens"),
    "C048": flat("new-tokens"),
    "C049": changed("ablated_nll_at", 5.0, removed="counting", label="7"),
    "C053": changed("eos_probability", 1 / 6, cycles=5),
}


def judge(name, *runs, planned=None):
    """Judge a claim on runs that are given as Datasets."""

    def found(run):
        return claims.REGISTERED[name].test(lambda kind: run)

    return judging.by_runs([found(run) for run in runs], planned or len(runs))


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


@pytest.fixture
def project(tmp_path, root):
    (tmp_path / "data").mkdir()
    for name in ("params.yaml", "data/published.yaml"):
        (tmp_path / name).write_text((root / name).read_text())
    return tmp_path


def test_what_has_not_run_names_its_command(project):
    table = claims.table(project).set_index("id")
    by_setting = table.loc["C035"].set_index("setting")
    first = ("synthetic-seed1", "synthetic-dropout-seed1")
    assert list(by_setting["verdict"]) == [f"waits for {name}" for name in first]
    assert dict(by_setting["value"]) == {
        "without dropout": "state-gradients reproduce synthetic-seed1",
        "dropout 0.5": "state-gradients reproduce synthetic-dropout-seed1",
    }
    waits = [f"waits for {name}" for name in first for _ in range(3)]
    assert list(table.loc["C020", "verdict"]) == waits  # for each recording
    assert table.loc["C020", "value"].str.contains("state-gradients reproduce").all()
    closed = table.loc["C050"]
    assert (closed["verdict"], closed["kind"]) == ("supported", "N")
    assert f"{synthetic.published_optimum()['cycle']:.5g}" in closed["value"]


def readings(count):
    """Return readings whose other 45 directions hold so much of the count."""
    accuracy = np.stack([good()["lda_accuracy"].values] * 3)
    accuracy[:, 3, 2] = count  # by recording
    return described(
        {
            "recording": RECORDINGS,
            "representation": good()["representation"].values,
            "target": ["token", "new", "count"],
            "subspace": good()["subspace"].values,
            "group": good()["group"].values,
            "delay": DELAYS,
        },
        lda_accuracy=(("recording", "representation", "target"), accuracy),
        sum_singular_values=(
            ("group", "subspace", "delay"),
            good()["sum_singular_values"].values,
        ),
    )


RECORDINGS = ["one stream", "20 rows, row by row", "20 rows, step by step"]


def save_study(project, name, probes, explained):
    fill(project, name, ["encoder", "weights", "gradients"])
    experiment = settings.load_experiment(name, root=project)
    artifacts.save(probes, experiment, "probes", root=project)
    artifacts.save(explained, experiment, "readings", root=project)


def test_artifacts_become_values_and_verdicts(project):
    save_study(project, "synthetic-seed1", good(), readings([0.17, 0.19, 0.21]))
    table = claims.table(project)
    assert list(table["id"]) == sorted(table["id"])
    table = table.set_index(["id", "setting", "recording"]).sort_index()
    without = table.xs("without dropout", level="setting")
    assert without.loc[("C027", ""), "verdict"] == "supported"
    assert without.loc[("C027", ""), "value"] == "cell - hidden 0.07; 1 of 3 runs"
    # by the ledger, each way of recording by itself
    of_count = without.loc["C034"].loc[RECORDINGS]
    assert list(of_count["verdict"]) == ["supported"] * 2 + ["not supported"]
    assert list(of_count["value"]) == ["17", "19", "21"]
    worse = changed("lda_accuracy", 0.5, representation=IDENTITY)(good())
    save_study(project, "synthetic-seed1", worse, readings(0.5))
    table = claims.table(project).set_index("id")
    without = table[table["setting"] == "without dropout"]
    assert set(without.loc["C034", "verdict"]) == {"not supported"}
    assert without.loc["C035", "verdict"] == "not supported"


def test_a_claim_is_as_good_as_its_worst_number():
    rows = pd.DataFrame(
        {
            "kind": "other",
            "verdict": ["within", "outside"],
            "ours": [1.0, 2.0],
            "why": "",
        }
    )
    assert judging.by_rows(rows) == ("1; 2", "not supported")
    assert judging.by_rows(rows[:1]) == ("1", "supported")
    rows["verdict"] = ["within", "not comparable"]
    rows["ours"] = [1.0, np.nan]  # the words stand in the place of "nan"
    assert judging.by_rows(rows.assign(why="never")) == ("1; never", "not supported")


WAITING = "run `state-gradients reproduce a-run`"


def two_rows(*verdicts, why):
    ours = [None if verdict == "not run" else 1.0 for verdict in verdicts]
    return pd.DataFrame(
        {"kind": "other", "verdict": verdicts, "ours": ours, "why": ["", why]}
    )


def test_what_has_not_run_waits_and_hides_no_failure():
    waits = two_rows("within", "not run", why=WAITING)
    assert judging.by_rows(waits) == (f"1; {WAITING}", "waits for a-run")
    fails = two_rows("outside, unexplained", "not run", why=WAITING)
    assert judging.by_rows(fails) == (f"1; {WAITING}", "not supported")


@pytest.mark.parametrize("stand_in", ["", "a stand-in"])
def test_what_is_tested_on_a_stand_in_is_shown_and_decides_nothing(stand_in):
    entry = registry.Claim(
        name="C111",
        kind="O",
        text="",
        quantity="",
        where="",
        test=lambda artifact: ({"ratio": 2.0}, True),
        experiments=("ptb-lstm-256-glove",),
        holds_if="> 1",
        stand_in=stand_in,
    )
    [found] = judging._judgements(entry, None, None)
    if stand_in:
        assert found["verdict"] == "cannot be tested here"
        assert found["value"] == "ratio 2; a stand-in"
    else:
        assert (found["verdict"], found["value"]) == ("supported", "ratio 2")


def test_a_part_of_a_claim_that_holds_is_said_to_be_a_part():
    rows = pd.DataFrame(
        [{"claim": "C104", "setting": "", "recording": "", "kind": "order"}]
    ).assign(what="memory", ours="256 > 128", verdict="within", why="")
    [found] = judging._judgements(claims.REGISTERED["C104"], None, rows)
    assert (found["verdict"], found["why"]) == ("undecided", judging.PART_HOLDS)
    rows = rows.assign(verdict="outside", why="seeds")
    [found] = judging._judgements(claims.REGISTERED["C104"], None, rows)
    assert (found["verdict"], found["why"]) == ("not supported", "seeds")


def test_a_row_of_no_setting_has_its_say_in_each():
    row = {"claim": "C018", "kind": "other", "what": "x", "why": ""}
    of_setting = {"setting": "dropped", "recording": "rows", "ours": 2.0}
    rows = pd.DataFrame(
        [
            row | {"setting": "", "recording": "", "ours": 1.0, "verdict": "within"},
            row | of_setting | {"verdict": "outside"},
        ]
    )
    [found] = judging._judgements(claims.REGISTERED["C018"], None, rows)
    assert (found["setting"], found["recording"]) == ("dropped", "rows")
    assert (found["value"], found["verdict"]) == ("1; 2", "not supported")
    rows["verdict"] = ["outside", "within"]
    [found] = judging._judgements(claims.REGISTERED["C018"], None, rows)
    assert found["verdict"] == "not supported"


def test_a_stand_in_cannot_test_a_claim_whether_it_ran_or_not():
    ran = two_rows("within", "not comparable", why="vectors of another text")
    assert judging.by_rows(ran)[1] == "cannot be tested here"
    why = f"{WAITING}; it will not be comparable: vectors of another text"
    assert judging.by_rows(two_rows("within", "not run", why=why))[1] == (
        "cannot be tested here"
    )


def test_numbers_outweigh_orders_and_orders_count_where_there_are_none():
    rows = pd.DataFrame(
        {
            "kind": ["other", "order"],
            "what": ["size", "sizes"],
            "verdict": ["within", "outside, unexplained"],
            "ours": [1.0, "b > a"],
            "why": "",
        }
    )
    assert judging.by_rows(rows) == ("1", "supported")
    assert judging.by_rows(rows[1:]) == ("sizes: b > a", "not supported")


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [("within", "undecided"), ("outside, unexplained", "not supported")],
)
def test_a_part_of_a_claim_can_refute_it_but_not_support_it(verdict, expected):
    rows = pd.DataFrame(
        {"kind": ["other"], "verdict": [verdict], "ours": [1.0], "why": ""}
    )
    assert judging.by_rows(rows, whole=False) == ("1", expected)


# Section 4.3.2: a trained network and its untrained twin

TAU = np.arange(51)


def spectra_of(memory, selectivity):
    """Return spectra with these whitened curves; raw memory is ten times larger."""
    share = np.asarray(selectivity)
    s = memory * np.stack(
        [np.ones(51), *[(1 / share - 1) / 3] * 3]
    )  # sums to 1 / share
    by_normalization = {
        "memory": np.stack([10 * memory, memory]),
        "total": np.stack([10 * memory / share, memory / share]),
        "selectivity": np.stack([share * 0.9, share]),
        "effective_rank": np.full((2, 51), 3.0),
    }
    dims = ("normalization", "state_kind", "group", "delay")
    variables = {k: (dims, v[:, None, None]) for k, v in by_normalization.items()}
    both = np.stack([10 * s, s])[:, None, None]
    return xr.Dataset(
        variables | {"s": ((*dims[:3], "component", "delay"), both)},
        {
            "normalization": ["raw", "whitened"],
            "state_kind": ["cell"],
            "group": ["all"],
            "delay": TAU,
        },
    )


def good_pair():
    """Return artifacts of a network, and its twin, that do all that the paper says."""
    trained = spectra_of((1.0 + TAU) ** -1.1, np.linspace(0.1, 0.6, 51))
    twin = spectra_of(0.1 * np.exp(-0.5 * TAU), np.linspace(0.04, 0.05, 51))
    lower = xr.full_like(trained[["memory"]].to_dataarray("quantity"), 0.01)
    intervals = xr.Dataset({"lower": lower})
    return {"trained": trained, "twin": twin, "intervals": intervals}


def set_to(part, name, value, **where):
    """Return a function that sets a variable of one of the artifacts."""

    def change(pair):
        pair = {key: data.copy(deep=True) for key, data in pair.items()}
        pair[part][name].loc[where] = value
        return pair

    return change


def exponential(pair):
    rate = spectra_of(np.exp(-0.1 * TAU), np.linspace(0.1, 0.6, 51))
    return pair | {"trained": rate}


WHITENED = {"normalization": "whitened"}
PAIR_FLIPS = {
    "C078": set_to("trained", "total", np.linspace(1, 2, 51), **WHITENED),
    "C079": set_to("trained", "memory", 1e3, **WHITENED, delay=7),
    "C080": set_to("trained", "memory", np.linspace(1, 2, 51), normalization="raw"),
    "C081": exponential,
    "C082": set_to("trained", "selectivity", 1e-4, normalization="raw"),
    "C083": set_to("trained", "selectivity", np.linspace(0.6, 0.1, 51), **WHITENED),
    "C086": set_to("intervals", "lower", 0.0, **WHITENED, delay=45),
    "C087": set_to("trained", "effective_rank", 6.0, **WHITENED),
    "C088": set_to("twin", "memory", (1.0 + TAU) ** -2, **WHITENED),
    "C089": set_to("twin", "memory", 0.5, **WHITENED, delay=3),
    "C090": set_to("twin", "memory", 0.1, **WHITENED, delay=40),
    "C091": set_to("twin", "selectivity", 0.3, **WHITENED, delay=4),
    "C092": set_to("twin", "selectivity", np.linspace(0.0, 0.3, 51), **WHITENED),
    "C194": set_to("trained", "selectivity", np.linspace(0.6, 0.1, 51), **WHITENED),
}


def holds(name, pair):
    def artifact(kind, *, of=None):
        if kind == "intervals":
            return pair["intervals"]
        return pair["twin" if of == average_memory.UNTRAINED else "trained"]

    return bool(claims.REGISTERED[name].test(artifact)[1])


@pytest.mark.parametrize("name", PAIR_FLIPS)
def test_the_verdict_on_average_memory_turns_with_its_quantity(name):
    assert holds(name, good_pair())
    assert not holds(name, PAIR_FLIPS[name](good_pair()))


def test_a_slower_twin_turns_the_conclusion_too():
    assert not holds("C194", PAIR_FLIPS["C090"](good_pair()))


# The registry


@pytest.fixture(scope="module")
def judged():
    return claims.table(Path(__file__).parents[2])


def test_the_196_claims_stand_once_in_five_kinds(judged):
    table = judged
    assert list(table["id"].unique()) == [f"C{n:03}" for n in range(1, 197)]
    assert not table.duplicated(["id", "setting", "recording"]).any()
    assert set(table["kind"]) == set(claims.KINDS) == set("NOSHI")
    assert table.drop_duplicates("id")["claim"].is_unique
    assert {judging.outcome(x) for x in table["verdict"]} <= set(judging.OUTCOMES)
    for column in ("claim", "quantity", "where"):
        assert table[column].str.len().min() > 0
    unjudged = table["verdict"] == "not judged yet"
    assert (table["value"][~unjudged].str.len() > 0).all()
    assert not table["value"][unjudged].any()


def test_what_the_ledger_judges_has_rows_and_the_rows_have_claims(root):
    rows = pd.DataFrame(ledger.read_published(root))
    entries = claims.REGISTERED.values()
    in_ledger = {entry.name for entry in entries if entry.in_ledger}
    tested = {entry.name for entry in entries if entry.test}
    assert not in_ledger & tested
    # sizes of corpora belong to no claim; some rows belong to claims without a test yet
    assert in_ledger <= set(rows["claim"].dropna()) <= set(claims.REGISTERED)
    # every published number is judged by the ledger
    numbers = {entry.name for entry in entries if entry.kind == "N"}
    assert numbers <= in_ledger


def test_a_claims_words_hold_the_numbers_that_the_ledger_compares(root):
    for row in ledger.read_published(root):
        if "claim" not in row:
            continue
        entry = claims.REGISTERED[row["claim"]]
        if entry.kind == "N" and isinstance(row["published"], int | float):
            words = re.findall(r"\d+(?:\.\d+)?", entry.text.replace(",", ""))
            assert float(row["published"]) in {float(word) for word in words}, row["id"]


def test_the_runs_of_a_claim_differ_in_their_seed_only(root):
    groups = [
        (entry, experiments)
        for entry in claims.REGISTERED.values()
        for experiments in entry.runs.values()
    ]
    for entry, experiments in groups:
        settings_of = set()
        for name in experiments:
            experiment = settings.load_experiment(name, root=root)
            training = re.sub(r"\bseed=\d+", "", repr(experiment.training))
            rest = [experiment.corpus, experiment.model]
            if (
                entry.name not in claims.OF_THE_GRAMMAR
            ):  # whose artifact knows no others
                rest.append(experiment.gradients)
            settings_of.add((training, repr(rest)))
        assert kinds.STAGES["grammar"].groups == ("corpus",)
        assert len(settings_of) <= 1, entry.name
        for name in entry.beside:
            settings.load_experiment(name, root=root)


ENTRY = {"text": "Something.", "quantity": "a number", "where": "here"}


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setattr(registry, "REGISTERED", {})
    return registry.REGISTERED


def test_a_claim_that_nothing_judges_must_say_why(registered):
    with pytest.raises(ValueError, match=r"C001 must have a test, rows .* or a reason"):
        registry._register(registry.Claim(name="C001", kind="O", **ENTRY))


def test_a_registered_function_stays_what_it_is(registered):
    def test(artifact):
        return {"x": 1}, True

    described = {"experiments": ("a",), "holds_if": "> 0"}
    assert registry.claim("C001", "O", **ENTRY, **described)(test) is test
    assert registered["C001"].test is test


def test_a_claim_that_stands_twice_is_refused(registered):
    registry.by_ledger("C001", "O", **ENTRY)
    with pytest.raises(ValueError, match=r"C001 must be registered once.*Something"):
        registry.by_ledger("C001", "N", **ENTRY)


def test_what_waits_and_what_cannot_be_tested_say_why(registered):
    registry.waits_for(
        "C003", "O", **ENTRY, experiment="grammar-sov", reason="It has both orders."
    )
    registry.cannot_be_tested("C168", "N", **ENTRY, reason="The text has no tags.")
    judged = [
        list(judging._judgements(registered[name], None, None)) for name in registered
    ]
    waits = {"value": "It has both orders.", "holds_if": "not set yet"}
    cannot = {"value": "The text has no tags.", "holds_if": ""}
    assert judged == [
        [waits | {"verdict": "waits for grammar-sov"}],
        [cannot | {"verdict": "cannot be tested here"}],
    ]
    with pytest.raises(ValueError, match=r"C004 must be the name of one experiment"):
        registry.waits_for(
            "C004", "O", **ENTRY, experiment="a run of ours", reason="It will show."
        )
    with pytest.raises(ValueError, match=r"C005 must say in `reason` why"):
        registry.cannot_be_tested("C005", "O", **ENTRY, reason=" ")
    assert [*registered] == ["C003", "C168"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "C1"}, "C and three digits, received 'C1'"),
        ({"kind": "X"}, r"must be one of \['N', 'O', 'S', 'I', 'H'\], received 'X'"),
        ({"experiments": "synthetic-seed1"}, "must be a tuple of names"),
        ({"experiments": ()}, "must say on which `experiments`"),
        ({"holds_if": ""}, "what it `holds_if`"),
    ],
)
def test_a_claim_that_is_not_described_is_refused(registered, change, message):
    described = ENTRY | {"name": "C001", "kind": "O", "experiments": ("a",)}
    described |= {"holds_if": "> 0"} | change
    with pytest.raises(ValueError, match=message):
        registry.claim(**described)(lambda artifact: ({}, True))
    assert not registered


def test_a_test_sees_its_run_and_what_it_declares(project, monkeypatch):
    def curious(artifact):
        artifact("probes", of="synthetic-dropout-seed1")

    entry = dataclasses.replace(claims.REGISTERED["C036"], test=curious)
    monkeypatch.setitem(registry.REGISTERED, "C036", entry)
    with pytest.raises(ValueError, match=r"C036 may load synthetic-seed1 .*dropout"):
        claims.table(project)


def test_each_setting_is_judged_by_its_own_runs(project):
    save_study(project, "synthetic-dropout-seed1", good(), readings(0.17))
    worse = FLIPS["C036"](good())
    save_study(project, "synthetic-seed1", worse, readings(0.5))
    table = claims.table(project)
    verdicts = table.set_index(["id", "setting", "recording"])["verdict"].to_dict()
    assert verdicts["C036", "without dropout", ""] == "not supported"
    assert verdicts["C036", "dropout 0.5", ""] == "supported"
    for recording in RECORDINGS:
        assert verdicts["C034", "without dropout", recording] == "not supported"
        assert verdicts["C034", "dropout 0.5", recording] == "supported"
    shown = claims.as_text(table)
    [line] = [x for x in shown.splitlines() if x.startswith("C036")]
    assert "by setting" in line
    assert "without dropout: not supported: two 0.2; all 0.87; 1 of 3 runs" in shown
    assert "dropout 0.5: supported: two 0.6; all 0.87; 1 of 3 runs" in shown
    last = f"196 claims, {len(table)} judgements: "
    assert shown.splitlines()[-1].startswith(last)


def test_a_missing_twin_is_what_has_to_be_run():
    def load(experiment, kind):
        if experiment == "ptb-lstm-256":
            return good_pair()["trained"]
        raise artifacts.MissingArtifactError(experiment)

    command = "state-gradients reproduce ptb-lstm-256-untrained"
    entry = claims.REGISTERED["C089"]
    waits = "waits for ptb-lstm-256-untrained"
    assert judging.by_test(entry, entry.experiments, load) == (command, waits)


# What pages and the terminal show

SEEDS = ["synthetic-seed1", "synthetic-seed2", "synthetic-seed3"]
SEEDS += [f"synthetic-dropout-seed{seed}" for seed in (1, 2, 3)]


def test_a_page_of_other_experiments_does_not_judge(judged):
    names = claims.between("C013", "C053")
    assert claims.of_paper(names, SEEDS[::-1])
    for others in (["tiny"], SEEDS[:1], [*SEEDS, "tiny"]):
        assert not claims.of_paper(names, others)
        shown = claims.verdicts(names, others, judged)
        assert "not judged here" in shown
        assert shown._repr_markdown_() == str(shown)
        assert others[0] in shown and SEEDS[2] in shown
        assert claims.counts(names, others, judged) == "none is judged on this page"


def test_the_pages_table_has_a_verdict_a_claim(project, monkeypatch):
    planned = {"waits_for": "a-run", "reason": "a grammar"}
    entry = registry.Claim(name="C003", kind="O", **ENTRY, **planned)
    monkeypatch.setitem(claims.REGISTERED, "C003", entry)
    names, judged = ["C003", *claims.between("C049", "C053")], claims.table(project)
    shown = claims.verdicts(names, SEEDS, judged)
    table = shown.data
    assert list(table["claim"]) == [
        *("C003 O", "C049 H", "C050 N", "C051 N", "C052 N", "C053 H")
    ]
    for setting, first in (("without dropout", SEEDS[0]), ("dropout 0.5", SEEDS[3])):
        column = list(table[setting])
        assert column[0].startswith("□ waits for a-run: a grammar")
        command = f"state-gradients reproduce {first}"
        assert column[1] == column[5] == f"□ waits for {first}: {command}"
        assert [said[:11] for said in column[2:5]] == ["● supported"] * 3
    judged.loc[judged["id"] == "C049", "value"] = "at <eos>"  # a token is no tag
    assert "at &lt;eos&gt;" in claims.verdicts(names, SEEDS, judged).to_html()
    said = "3 of the 6 claims hold and 3 wait for their experiments"
    assert claims.counts(names, SEEDS, judged) == (
        f"in the setting “without dropout” {said}; "
        f"in the setting “dropout 0.5” {said}; every setting supports 3 of them, "
        "“without dropout” alone 0 and “dropout 0.5” alone 0"
    )


def test_claims_of_one_setting_have_their_value_and_verdict_in_columns(judged):
    names = ["C089"]
    table = claims.verdicts(names, claims.REGISTERED["C089"].experiments, judged).data
    assert [*table] == ["claim", "in our words", "measured", "holds if", "verdict"]
    row = judged.set_index("id").loc["C089"]
    assert table["measured"].item() == row["value"]
    assert table["verdict"].item().endswith(row["verdict"])


def test_the_terminal_lists_every_claim_once_and_the_kinds(judged):
    text = claims.as_text(judged)
    assert re.findall(r"^(C\d{3}) [NOSHI]  \w", text, re.M) == [
        f"C{n:03}" for n in range(1, 197)
    ]
    assert "H an explanation that the authors offer." in text
    assert text.endswith("not judged yet.") and "196 claims, " in text
