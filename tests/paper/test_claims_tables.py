"""What is said of all claims at once: one verdict each, sentences, the table's HTML."""

import json

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from state_gradients.paper import claims
from state_gradients.paper.book import claims_tables
from state_gradients.paper.claims import judging, overall


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["supported"], "supported"),
        (["supported", "supported"], "supported"),
        (["supported", "not supported"], "depends on the setting"),
        (["undecided", "supported"], "depends on the setting"),
        (["not supported", "not supported"], "not supported"),
        (["not supported", "undecided"], "undecided"),
        (["waits for a-run", "not supported"], "not supported"),
        (["waits for a-run", "waits for another"], "waits for a-run"),
        (["cannot be tested here"], "cannot be tested here"),
        (["not judged yet"], "not judged yet"),
    ],
)
def test_one_verdict_over_several_settings(verdicts, expected):
    assert overall.combined(verdicts) == expected


SIGMA = "\N{GREEK SMALL LETTER SIGMA}"
ROW = {
    **{"claim": "Something <b>.", "kind": "O", "where": "Fig 3"},
    **{"quantity": "sigma_1 & sigma", "setting": "", "recording": ""},
    **{"value": "1 `x`", "holds_if": "> 0", "verdict": "supported", "why": ""},
    "runs": "synthetic-seed1",
}


@pytest.fixture
def few():
    """Judgements of five claims, of every outcome but one."""
    by_setting = ROW | {"id": "C042", "recording": "rows"}
    rows = [
        ROW | {"id": "C003", "verdict": "waits for grammar-sov", "runs": ""},
        ROW | {"id": "C035"},
        by_setting | {"setting": "with", "verdict": "supported"},
        by_setting | {"setting": "without", "verdict": "not supported"},
        ROW | {"id": "C055", "kind": "N", "verdict": "not supported", "why": "because"},
        ROW | {"id": "C112", "verdict": "cannot be tested here", "value": "no vectors"},
    ]
    return pd.DataFrame(rows)


def test_each_claim_has_one_row_with_its_judgements(few):
    each = overall.of_each(few).set_index("id")
    assert [*each.index] == ["C003", "C035", "C042", "C055", "C112"]
    assert each["verdict"].to_dict() == {
        "C003": "waits for grammar-sov",
        "C035": "supported",
        "C042": "depends on the setting",
        "C055": "not supported",
        "C112": "cannot be tested here",
    }
    assert [one["setting"] for one in each.loc["C042", "judgements"]] == [
        *("with", "without")
    ]
    assert json.loads(overall.as_json(few))[2]["judgements"][1] == {
        **{"setting": "without", "recording": "rows", "verdict": "not supported"},
        **{"value": "1 `x`", "why": "", "runs": "synthetic-seed1"},
    }


def test_claims_are_counted_by_section_and_outcome(few):
    table = overall.by_section(few)
    assert [*table.index] == [*overall.SECTIONS]
    expected = ["supported", "depends on the setting", "not supported"]
    assert [*table.columns] == [*expected, "waits for", "cannot be tested here"]
    assert table.loc["Synthetic corpus"].to_list() == [1, 1, 0, 0, 0]
    assert table.to_numpy().sum() == 5
    assert (claims_tables.shares(few) == table.to_numpy()).all()


def test_the_sections_hold_each_claim_once():
    ends = [*overall.SECTIONS.values()]
    names = [f"C{n:03}" for n in range(1, 197)]
    assert [n for first, last in ends for n in names if first <= n <= last] == names


def _supported(judged):
    """Return the one claim of some that holds."""
    each = overall.of_each(judged)
    [name] = each.loc[each["verdict"] == "supported", "id"]
    return name


def test_numbers_of_the_prose_are_those_of_the_claims(few):
    found = claims_tables.numbers(few)
    assert found["n_claims"] == "5"
    outcomes = ("holds", "depends", "undecided", "fails", "waits", "untestable")
    assert [found[f"n_{x}"] for x in outcomes] == ["1", "1", "0", "1", "1", "1"]
    assert found["n_unjudged"] == "0"
    assert found["n_holds_once"] == "1"
    again = few.assign(id=few["id"].replace(_supported(few), "C047"))
    assert claims_tables.numbers(again)["n_holds_once"] == "0"
    assert found["by_kind"] == "a published number 0 of 1 and an order or a sign 1 of 4"
    assert (found["of_numbers"], found["of_sentences"]) == ("0 of 1", "1 of 4")


def test_the_summary_groups_the_central_claims(few):
    rows = BeautifulSoup(claims_tables.summary(few).data, "html.parser").select("tr")
    found = {
        row.th.get_text()[2:]: [a["href"] for a in row.select("a")] for row in rows
    }
    assert found == {
        "It holds": ["#C035"],
        "It holds in some of our settings only": ["#C042"],
        "It waits for an experiment": ["#C003"],
        "It cannot be tested here": ["#C112"],
    }
    assert "(with, rows)" in rows[1].get_text()  # the setting in which it holds


def test_the_table_has_a_row_a_claim_with_all_that_is_said_of_it(few):
    page = BeautifulSoup(claims_tables.every(few).data, "html.parser")
    rows = page.select("tbody tr[data-outcome]")
    assert [row["id"] for row in rows] == ["C003", "C035", "C042", "C055", "C112"]
    section = page.select_one("#C042").find_parent("tbody")["data-section"]
    assert section == "Synthetic corpus"
    [twice] = page.select("#C042 td dl")
    said = [(dt.get_text(), dt.find_next("dd").get_text()) for dt in twice.select("dt")]
    assert said == [
        *[("measured", f"{SIGMA}1 & {SIGMA}"), ("holds if", "> 0")],
        *[("with, rows", "● 1 x"), ("without, rows", "▲ 1 x")],
    ]
    assert "Something <b>." in page.select_one("#C042").get_text()  # text, no tag
    assert not page.select("tbody b")
    assert page.select_one("#C055 dd code").get_text() == "x"
    assert page.select_one("#C055 dl").get_text().endswith("whybecause")
    assert page.select_one("#C112 dl").get_text().endswith("whyno vectors")
    [link] = page.select("#C035 small a")
    assert (link["href"], link.get_text()) == (
        *("04-2-synthetic-corpus.html", "Section 4.2"),
    )
    menus = page.select(".claims-filter select")
    assert [o.get_text() for o in menus[0].select("option")] == [
        *("all", "Method", "Synthetic corpus", "Perplexities", "Average memory")
    ]
    shown = {row["data-outcome"] for row in rows}
    assert {o.get_text() for o in menus[1].select("option")} == {"all", *shown}


def test_every_claim_has_a_page_that_is_there(root):
    for name in (f"C{n:03}" for n in range(1, 197)):
        page, _ = claims_tables.page_of(name)
        assert (root / "notebooks" / f"{page}.md").is_file(), name
    assert claims_tables.page_of("C004")[1] == "Section 4.1"
    assert claims_tables.page_of("C196")[1] == "Section 4.3.3"
    assert set(claims_tables.CENTRAL) <= set(claims.REGISTERED)


# The sentence under a table of claims


def test_a_sentence_says_what_holds_and_on_which_runs(few, monkeypatch):
    monkeypatch.setattr(claims.pages, "of_paper", lambda names, experiments: True)
    one_setting = few[few["setting"] == ""]
    names = ["C003", "C035", "C055"]
    assert claims.counts(names, ["x"], one_setting) == (
        "1 of the 3 claims holds, 1 does not hold and 1 waits for its experiment, on "
        "synthetic-seed1"
    )
    assert claims.counts(["C035", "C042"], ["x"], few) == (
        "in the setting “with”, on synthetic-seed1, 2 of the 2 claims hold; in the "
        "setting “without”, on synthetic-seed1, 1 of the 2 claims holds and 1 does not "
        "hold; every setting supports 1 of them, “with” alone 1 and “without” alone 0"
    )
    monkeypatch.setattr(claims.pages, "of_paper", lambda names, experiments: False)
    assert claims.counts(names, ["x"], few) == "none is judged on this page"


def test_json_has_196_claims_of_known_verdicts(root):
    found = json.loads(overall.as_json(claims.table(root)))
    assert [claim["id"] for claim in found] == [f"C{n:03}" for n in range(1, 197)]
    outcomes = [judging.outcome(claim["verdict"]) for claim in found]
    assert set(outcomes) <= set(overall.OVERALL)
    assert "not judged yet" not in outcomes
    assert outcomes.count("waits for") <= 25
    assert all(claim["judgements"] for claim in found)
    several = [len(claim["judgements"]) for claim in found]
    assert np.sum(several) > 196
