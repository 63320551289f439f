"""Parts of speech on the page on three languages: from made-up measurements."""

import numpy as np
import pytest
import xarray as xr

from state_gradients.figures import set_theme
from state_gradients.paper.book import language_class_tables as tables
from state_gradients.paper.book import language_classes as page
from state_gradients.paper.language.tagged_classes import (
    ALL_BANDS,
    ALL_WORDS,
    BANDS,
    QUANTITIES,
)
from state_gradients.project import artifacts

GROUPS = [ALL_WORDS, *page.CALLED, "X", "PUNCT", "<eos>", "<unk>"]
TEXTS = ["one", "two", "half", "other half"]
HALVES = TEXTS[2:]
AXES = ("text", "band", "group", "quantity", "delay")


@pytest.fixture
def found():
    """Every value 1 within 10 %, falling by a millionth; frequencies rise as little."""
    shape = len(TEXTS), 1 + len(BANDS), len(GROUPS), len(QUANTITIES), 2
    number = np.arange(len(GROUPS))
    value = np.ones(shape) - 1e-6 * number[:, None, None]
    count = np.full(shape[:3], 300)
    return xr.Dataset(
        {
            "estimate": (AXES, value),
            "lower": (AXES, 0.9 * value),
            "upper": (AXES, 1.1 * value),
            "n_inputs": (AXES[:3], count),
            "n_types": (AXES[:3], count),
            "frequency": (AXES[:3], 1234 + 1e-3 * number * np.ones(shape[:3])),
            "unknown": (("text", "group"), np.full((len(TEXTS), len(GROUPS)), 0.25)),
        },
        {
            "text": TEXTS,
            "band": [ALL_BANDS, *BANDS],
            "group": GROUPS,
            "quantity": [*QUANTITIES],
            "delay": [1, 5],
        },
    )


def put(found, text, group, value, *, delay=1, band=ALL_BANDS, width=0.1):
    """Set one relative memory with an interval of so much of it on either side."""
    at = {"text": text, "group": group, "delay": delay, "band": band}
    at["quantity"] = page.QUANTITY
    found["estimate"].loc[at] = value
    found["lower"].loc[at] = (1 - width) * value
    found["upper"].loc[at] = (1 + width) * value


def test_classes_of_one_delay_and_band_without_those_that_no_text_has(found):
    put(found, "two", "NOUN", 2.0, delay=5)
    put(found, "two", "VERB", 3.0, delay=5, band=BANDS[0])
    for text in TEXTS:
        put(found, text, "PART", np.nan, delay=5)
    put(found, "one", "NUM", np.nan, delay=5)
    data = page.relative(found, 5)
    assert data["group"].values.tolist() == [g for g in page.CALLED if g != "PART"]
    assert float(data["value"].sel(text="two", group="NOUN")) == 2
    assert float(data["value"].sel(text="two", group="VERB")) == 1 - 3e-6
    of_band = page.relative(found, 5, band=BANDS[0])
    assert float(of_band["value"].sel(text="two", group="VERB")) == 3
    table = tables.values_table(found, 5)
    assert table.loc["noun", "two"] == "2.00 [1.80, 2.20]"
    assert table.loc["number", "one"] == tables.DASH
    assert "particle" not in table.index


def test_texts_are_apart_by_a_factor_whichever_is_larger(found):
    put(found, "one", "NOUN", 2.0)
    put(found, "one", "VERB", 0.5)
    put(found, "one", "ADJ", 1.2)
    put(found, "two", "PART", np.nan)
    apart = page.apart(page.relative(found, 1), "one", "two")
    assert "PART" not in apart["group"].values
    factors = apart["factor"].sel(group=["NOUN", "VERB", "ADJ", "ADV"]).values
    np.testing.assert_allclose(factors, [2, 2, 1.2, 1], rtol=1e-4)
    # ln 1.2 = 0.18 is beyond sqrt(ln(1/0.9)^2 + ln(1.1)^2) = 0.142, and ln 1.1 is not
    told = apart["told_apart"].sel(group=["NOUN", "VERB", "ADJ", "ADV"]).values
    assert told.tolist() == [True, True, True, False]
    put(found, "one", "ADJ", 1.1)
    again = page.apart(page.relative(found, 1), "one", "two")
    assert not again["told_apart"].sel(group="ADJ")
    put(found, "one", "NOUN", 2.0, width=1.5)  # down to below 0: nothing is known
    again = page.apart(page.relative(found, 1), "one", "two")
    assert not again["told_apart"].sel(group="NOUN")


def test_differences_are_counted_beside_those_of_the_halves(found):
    for number, group in enumerate(page.CALLED):
        for text in TEXTS:
            put(found, text, group, 1 + 0.01 * number)
    put(found, "one", "NOUN", 3.0)
    put(found, "one", "VERB", 1.2)
    put(found, "half", "ADV", 1.5 * 1.04)
    table = tables.differences_table(found, HALVES, delays=(1,))
    assert table.index.tolist() == [
        "one and two, delay 1",
        "half and other half, delay 1",
    ]
    languages, halves = table.iloc[0], table.iloc[1]
    assert languages["largest factor"] == "3.00" and languages["of"] == "noun"
    assert halves["largest factor"] == "1.50" and halves["of"] == "adverb"
    assert languages["middle factor"] == "1.00"
    assert languages["beyond the halves' largest"] == "1 of 11"
    assert halves["beyond the halves' largest"] == "0 of 11"
    assert languages["intervals of the ratio leave out 1"] == "2 of 11"
    data = page.relative(found, 1)
    ranks = np.arange(1, 12)
    moved = np.array([11, 1, 10, 2, 3, 4, 5, 6, 7, 8, 9])  # noun first, verb below it
    expected = 1 - 6 * ((ranks - moved) ** 2).sum() / (11 * 120)
    assert page.rank_correlation(data, "two", "one") == pytest.approx(expected)
    without = found.sel(text=["one", "two", "half"])
    alone = tables.differences_table(without, HALVES, delays=(1,))
    assert alone["beyond the halves' largest"].tolist() == [tables.DASH]


def test_a_side_is_common_where_every_text_has_it_with_its_whole_interval(found):
    for text in TEXTS:
        put(found, text, "NOUN", 2.0)
        put(found, text, "DET", 0.5)
        put(found, text, "ADP", 0.5)
        put(found, text, "VERB", 1.2)
        put(found, text, "NUM", 2.0)
    put(found, "two", "VERB", 1.2, width=0.2)
    put(found, "one", "ADP", 0.95)
    put(found, "one", "NUM", np.nan)
    data = page.relative(found, 1)
    assert page.kept_better(data, ["one", "two"]) == (["NOUN"], ["DET"])
    assert page.kept_better(data, ["one"]) == (["NOUN", "VERB"], ["DET"])
    table = tables.sides_table(found, ["one", "two"], delays=(1, 5, 20))
    assert table.values.tolist() == [["noun", "determiner"], ["none", "none"]]
    assert tables.order(data, "two").startswith("noun > number > verb > ")
    orders = tables.orders_table(found, ["two"], delays=(1,))
    assert orders.loc["two, delay 1", "best kept first"] == tables.order(data, "two")


def test_what_is_left_at_like_frequency_is_told_beside_all(found):
    rms = {"quantity": page.ROOT_MEAN_SQUARE, "text": "one", "delay": 5}
    found["estimate"].loc[rms | {"band": ALL_BANDS, "group": "NOUN"}] = 3.0
    found["estimate"].loc[rms | {"band": ALL_BANDS, "group": "DET"}] = 0.5
    found["frequency"].loc[{"text": "one", "group": "NOUN"}] = 10.0
    found["frequency"].loc[{"text": "one", "group": "DET"}] = 20_000.0
    for group in [*page.CALLED][2:]:
        found["estimate"].loc[rms | {"band": BANDS[0], "group": group}] = np.nan
    found["estimate"].loc[rms | {"band": BANDS[0], "group": "PROPN"}] = 0.8
    for group in [*page.CALLED][1:]:
        found["estimate"].loc[rms | {"band": BANDS[2], "group": group}] = np.nan
    table = tables.frequency_table(found, ["one"])
    assert table.loc["one"].tolist()[0] == "-1.00"
    assert table.loc["one"].tolist()[1:] == [
        *(
            "6.00 (11 classes)",
            "1.25 (2 classes), of 3.00",
            "1.00 (11 classes), of 6.00",
            tables.DASH,
        ),
    ]
    numbers = tables.numbers(found.sel(text=["one"]), HALVES, "one")
    assert numbers["classes-range"] == "6.0 to 6.0"


def test_the_prose_has_its_numbers_and_dashes_where_nothing_was_run(found):
    assert set(tables.numbers(None, HALVES, "one").values()) == {tables.DASH, "5"}
    for text in TEXTS:
        put(found, text, "NOUN", 2.0, delay=5)
        put(found, text, "DET", 0.5, delay=5)
    put(found, "two", "DET", 1.4, delay=5)
    put(found, "two", "ADV", 1.3, delay=5)
    put(found, "two", "CONJ", 2.0, delay=5, width=1)
    put(found, "half", "VERB", 1.5, delay=5)
    put(found, "other half", "NUM", 0.25, delay=1)
    rms = {"quantity": page.ROOT_MEAN_SQUARE, "text": "two", "delay": 5}
    found["estimate"].loc[rms | {"band": BANDS[0], "group": "VERB"}] = 1.3
    found["unknown"].loc[{"text": "two", "group": "NOUN"}] = 0.5
    found["frequency"].loc[{"text": "two", "group": "DET"}] = 7.0
    numbers = tables.numbers(found, HALVES, "one")
    assert numbers["classes-better"] == "noun"
    assert numbers["classes-worse"] == "none"
    assert numbers["classes-determiner"] == "0.50 and 1.40"
    assert numbers["classes-determiner-frequency"] == "1,234 and 7"
    assert numbers["classes-noun-unknown"] == "25 % and 50 %"
    assert numbers["classes-verb-noun"] == "1.00 and 1.30"
    assert numbers["classes-halves-largest"] == "1.50"
    assert numbers["classes-halves-of"] == "verb"
    assert numbers["classes-halves-told"] == "1 of 11"
    # told apart, and further than the halves: the adverb is only the one, the
    # conjunction only the other
    assert numbers["classes-beyond"] == "determiner"
    # of the whole beside its halves, at any delay
    of_whole = [numbers[f"classes-whole-{name}"] for name in ("largest", "of", "at")]
    assert of_whole == ["4.00", "number", "1"]
    data = page.relative(found, 5)
    rank = page.rank_correlation(data, "one", "two")
    assert numbers["classes-rank-languages"] == f"{rank:.2f}"
    # fourteen groups of 300 beside all words: classes, X, signs, ends, unknown
    assert numbers["classes-inputs"] == f"{300 * (len(GROUPS) - 1):,}"


def test_words_are_told_by_share_frequency_and_what_is_unknown(found):
    found["n_inputs"].loc[{"text": "one", "group": ALL_WORDS}] = 1_000
    found["unknown"].loc[{"text": "one", "group": "NUM"}] = np.nan
    found["frequency"].loc[{"text": "one", "group": "NUM"}] = np.nan
    table = tables.words_table(found)
    assert table.loc["noun", ("one", "share")] == "30%"
    assert table.loc["noun", ("one", "frequency")] == "1,234"
    assert table.loc["noun", ("one", "<unk>")] == "25%"
    assert table.loc["number", ("one", "<unk>")] == tables.DASH
    assert table.loc["number", ("one", "frequency")] == tables.DASH


def test_the_figure_has_a_mark_for_each_text_and_a_band_for_the_halves(found):
    set_theme()
    put(found, "one", "NOUN", 2.0)
    put(found, "half", "NOUN", 1.5)
    put(found, "other half", "NOUN", 3.0)
    data = page.relative(found, 1)
    (ax,) = page.plot_classes({"delay 1": data}, HALVES)
    marks = {line.get_label(): line for line in ax.get_lines()}
    assert marks["one"].get_xdata()[0] == 2 and marks["two"].get_xdata()[0] == 1 - 1e-6
    assert "half" not in marks
    band = ax.patches[0]
    assert band.get_x() == pytest.approx(0.9 * 1.5)
    assert band.get_x() + band.get_width() == pytest.approx(1.1 * 3)
    labels = [label.get_text() for label in ax.get_yticklabels()]
    assert labels == list(page.CALLED.values())


def test_networks_that_were_not_asked_are_named_and_left_out():
    members = {"none": ("ptb-lstm-256-cbow", "cell")}
    assert page.read(members) is None
    assert "reproduce ptb-lstm-256-cbow" in page.missing(members).data
    ran = {"Brown": ("brown-lstm-256", "cell")}
    assert page.missing(ran) is None
    found = page.read(members | ran)
    assert found["text"].values.tolist() == ["Brown"]
    artifact = artifacts.load("brown-lstm-256", "tagged_classes")
    np.testing.assert_array_equal(found["estimate"][0], artifact["estimate"])
