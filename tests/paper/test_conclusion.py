"""The page of conclusions: one fate for each claim, and a figure of them."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from drawings import legend_names

from state_gradients.paper.book import conclusion
from state_gradients.paper.claims.registry import REGISTERED

pytestmark = pytest.mark.usefixtures("closed_figures")


@pytest.mark.parametrize(
    ("verdicts", "fate"),
    [
        (["supported"], "supported"),
        (["supported", "supported"], "supported"),
        (["supported", "not supported"], "in some settings"),
        (["supported", "undecided"], "in some settings"),
        (["not supported", "undecided"], "undecided"),
        (["not supported", "not supported"], "not supported"),
        (["waits for ptb-rnn-256"], "not judged here"),
        (["not judged yet"], "not judged here"),
        (["not run", "supported"], "supported"),  # the setting that has been run
    ],
)
def test_a_claim_has_one_fate_over_its_settings(verdicts, fate):
    assert conclusion.fate(verdicts) == fate


def judgements(verdict="supported"):
    """Return a verdict for every claim that the page asks for."""
    names = sorted({n for _, group in conclusion.CONCLUSIONS.values() for n in group})
    return pd.DataFrame({"id": names, "claim": "words", "verdict": verdict})


def test_conclusions_rest_on_claims_that_are_registered_each_once():
    names = [n for _, group in conclusion.CONCLUSIONS.values() for n in group]
    assert set(names) <= set(REGISTERED)
    assert len(names) == len(set(names))


def test_fates_stand_by_conclusion_in_the_order_of_the_paper():
    judged = judgements()
    judged.loc[judged["id"] == "C044", "verdict"] = "not supported"
    again = judged[judged["id"] == "C047"].assign(verdict="not supported")
    found = conclusion.fates(pd.concat([judged, again]))
    assert list(found["claim"][:3]) == ["C042", "C044", "C047"]
    fates = ["supported", "not supported", "in some settings"]
    assert list(found["fate"][:3]) == fates
    assert conclusion.told(judged, "C042", "C044") == (
        "C042 supported, C044 not supported"
    )
    data = conclusion.in_layout(found)
    assert list(data["conclusion"].values[:2]) == [
        "needed inputs stand out",
        "states hold the task",
    ]
    assert list(data["claim"].values[0]) == ["C042", "C044", "C047", ""]
    assert list(data["fate"].values[0]) == [*fates, ""]


def test_every_claim_has_the_mark_of_its_fate_on_its_rung():
    names = {"conclusion": ["first", "second"]}
    data = xr.Dataset(
        {
            "claim": (("conclusion", "place"), np.array([["C1", "C2"], ["C3", ""]])),
            "fate": (
                ("conclusion", "place"),
                np.array([["supported", "not supported"], ["undecided", ""]]),
            ),
        },
        names,
    )
    ax = conclusion.plot_fates(data)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["first", "second"]
    assert legend_names(ax) == [*conclusion.MARKS]
    marks = {line.get_label(): np.transpose(line.get_data()) for line in ax.lines}
    np.testing.assert_array_equal(marks["supported"], [[0, 0]])
    np.testing.assert_array_equal(marks["not supported"], [[1, 0]])
    np.testing.assert_array_equal(marks["undecided"], [[0, 1]])
    assert len(marks["not judged here"]) == 0
    assert {(t.get_text(), t.xy) for t in ax.texts} == {
        ("C1", (0, 0)),
        ("C2", (1, 0)),
        ("C3", (0, 1)),
    }
    assert ax.get_ylim()[0] > ax.get_ylim()[1]
