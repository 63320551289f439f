"""Specifications of figures that answer to a hand: their data, choices and refusals."""

import io

import numpy as np
import pandas as pd
import pytest
import vl_convert

from state_gradients.figures import interactive, style

PANELS = {
    "memory": {"memory": "memory"},
    "share": {"selectivity": "largest", "selectivity_5": "five largest"},
}


@pytest.fixture
def curves(rng):
    table = pd.DataFrame(
        {"experiment": np.repeat(["it's", "b"], 3), "delay": [0, 1, 2] * 2}
    )
    for name in ("memory", "selectivity", "selectivity_5"):
        table[name] = rng.uniform(0.2, 0.8, 6)
        table[f"{name}_lower"] = table[name] / 2
        table[f"{name}_upper"] = table[name] * 1.1
    return table


@pytest.fixture
def groups(rng):
    table = pd.DataFrame({"group": ["N", "V"] * 2, "draw": ["x", "x", "y", "y"]})
    for end in ("", "_lower", "_upper", "_lowest", "_highest"):
        table[f"memory{end}"] = rng.uniform(0.2, 0.8, 4)
    return table


@pytest.fixture
def words():
    data = {"word": ['a "b"', "<unk>", "nan"], "kind": ["f", "c", "c"], "n": [1, 20, 3]}
    return pd.DataFrame(data | {"memory": [0.1, 0.25, 0.5]})


def charts_of(curves, groups, words):
    labels = {"n": "count", "memory": "memory"}
    return {
        "curves": (interactive.explore_curves(curves, "experiment", PANELS), curves),
        "groups": (
            interactive.explore_groups(groups, "group", "draw", {"memory": "m"}),
            groups,
        ),
        "points": (
            interactive.explore_points(
                words, "word", "kind", x="n", y="memory", labels=labels
            ),
            words,
        ),
    }


@pytest.mark.parametrize("which", ["curves", "groups", "points"])
def test_a_specification_holds_the_table_and_vega_lite_accepts_it(
    curves, groups, words, which
):
    chart, table = charts_of(curves, groups, words)[which]
    spec = chart.to_dict()
    read = pd.read_csv(io.StringIO(spec["data"]["values"]), keep_default_na=False)
    pd.testing.assert_frame_equal(read, table, check_exact=True)
    is_number = {name: dtype.kind in "if" for name, dtype in table.dtypes.items()}
    parse = {
        name: "number" if number else "string" for name, number in is_number.items()
    }
    assert spec["data"]["format"]["parse"] == parse
    signals = {s["name"] for s in vl_convert.vegalite_to_vega(spec)["signals"]}
    assert {"at", "show_0", "show_1"} <= signals


def test_each_line_has_a_box_its_colour_and_what_is_ticked(curves):
    chart = interactive.explore_curves(curves, "experiment", PANELS, ticked=["b"])
    spec = chart.to_dict()
    boxes = {
        p["bind"]["name"]: p["value"] for p in spec["params"] if p["name"][0] == "s"
    }
    assert boxes == {"it's": False, "b": True}
    assert spec["usermeta"]["choices"] == ["it's", "b"]
    assert spec["usermeta"]["colours"]["dark"] == list(style.ON_DARK)
    dashed = [
        each.get("encoding", {}).get("strokeDash")
        for each in spec["vconcat"][0]["layer"]
    ]
    [scale] = [dash["scale"] for dash in dashed if dash]
    assert scale == {"domain": ["it's", "b"], "range": [[1, 0], [7.5, 3.0]]}


def test_a_missing_column_is_named(curves):
    with pytest.raises(ValueError, match=r"explore_curves: .* without \['memory'\]"):
        interactive.explore_curves(curves.drop(columns="memory"), "experiment", PANELS)


def test_an_axis_of_powers_refuses_zero(words):
    with pytest.raises(ValueError, match="'n' must be above 0"):
        interactive.explore_points(
            words.assign(n=0), "word", "kind", x="n", y="memory", labels={}
        )
