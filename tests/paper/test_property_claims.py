"""Claims of Section 5: each verdict turns with its quantity, on made-up artifacts."""

import numpy as np
import pytest
import xarray as xr

from state_gradients.paper import claims
from state_gradients.paper.claims.properties import (
    DEGREES,
    GENITIVE,
    NUMBER,
    PROPER,
    TENSES,
    THIRD,
)

TAU = np.arange(51)
NAMES = [NUMBER, PROPER, GENITIVE, THIRD, *TENSES, *DEGREES]
MEASURES = ["m", "H_1", "H_5"]


def good():
    """Return an artifact in which all that the paper says holds."""
    early, late = np.minimum(TAU, 16), np.maximum(TAU - 16, 0)
    dip = 0.6 - 0.03 * early + 0.008 * late  # falls to delay 16, then rises
    turn = np.where(TAU < 10, 0.02, -0.02)
    genitive = 0.8 - 0.01 * np.minimum(TAU, 25) + 0.002 * late
    genitive[0] = 0.78
    fall = 0.005 * TAU
    m = [0.5 - fall, 0.75 - fall, genitive, 0.2 - 0 * TAU]
    m += [0.45 - fall / 9, 0.4 - fall / 9, 0.27 - 0 * TAU, 0.28 - 0 * TAU]
    h_1 = [dip - 0.2, dip + 0.05 - turn, dip + 0.05 + turn, 0.05 + 0 * TAU]
    h_1 += [0.3 - 0 * TAU, 0.2 - 0 * TAU, 0.1 - 0 * TAU, 0.1 + 0 * TAU]
    # smooth, and in the order of H_1
    h_5 = [0.5 - fall, 0.8 - fall - turn / 99, 0.8 - fall + turn / 99, 0.1 + 0 * TAU]
    h_5 += [0.5 - 0 * TAU, 0.45 - 0 * TAU, 0.2 - 0 * TAU, 0.2 - 0 * TAU]
    observed = np.array([m, h_1, h_5]).transpose(1, 2, 0)  # (property, delay, measure)
    axes = ("property", "words", "over", "delay", "measure")
    middle = np.broadcast_to([0.28, 0.125, 0.28], observed.shape)
    nulls = ["random directions", "random splits"]

    def every_null(values):
        return ((*axes, "null"), np.stack([values[:, None, None]] * 2, axis=-1))

    selectivity = np.broadcast_to(0.1 + 0.005 * TAU, (8, 1, 51))
    return xr.Dataset(
        {
            "observed": (axes, observed[:, None, None]),
            "chance_middle": every_null(middle),
            "chance_upper": every_null(np.full(observed.shape, 0.3)),
            "selectivity": (("property", "over", "delay"), selectivity),
        },
        {
            "property": NAMES,
            "words": ["all"],
            "over": ["class"],
            "delay": TAU,
            "measure": MEASURES,
            "null": nulls,
        },
    )


def changed(value, *, variable="observed", **where):
    def change(artifact):
        artifact = artifact.copy(deep=True)
        artifact[variable].loc[where] = value
        return artifact

    return change


FLIPS = {
    "C146": changed(0.7, property=GENITIVE, measure="m", delay=1),
    "C147": changed(0.2, property=GENITIVE, measure="m", delay=slice(45, 49)),
    "C149": changed(0.9, property=NUMBER, measure="m", delay=slice(0, 6)),
    "C150": changed(0.9, property=NUMBER, measure="m", delay=slice(30, 49)),
    "C152": changed(0.99, property=NUMBER, measure="H_1", delay=slice(0, 9)),
    "C153": changed(0.99, property=NUMBER, measure="H_1", delay=slice(8, 16)),
    "C154": changed(0.1, variable="selectivity", property=NUMBER, delay=slice(20, 49)),
    "C155": changed(0.0, property=NUMBER, measure="H_5", delay=slice(0, 49, 2)),
    "C157": changed(0.2, property=PROPER, measure="m"),
    "C161": changed(0.9, property=THIRD, measure="m", delay=slice(0, 9)),
    "C162": changed(0.9, property=THIRD, measure="H_5"),
    "C165": changed(0.31, property=DEGREES[1], measure="m", delay=0),
}


def holds(name, artifact):
    return bool(claims.REGISTERED[name].test(lambda kind: artifact)[1])


@pytest.mark.parametrize("name", FLIPS)
def test_the_verdict_on_properties_turns_with_its_quantity(name):
    assert holds(name, good())
    assert not holds(name, FLIPS[name](good()))


def test_degrees_that_differ_are_not_alike():
    artifact = changed(0.1, property=DEGREES[0], measure="m", delay=0)(good())
    assert not holds("C165", artifact)


def test_every_tested_claim_of_section_5_has_its_flip():
    tested = {
        name
        for name in claims.between("C145", "C169")
        if claims.REGISTERED[name].test is not None
        and name not in claims.OF_THE_GRAMMAR  # tests/paper/test_grammar_claims.py
    }
    assert tested == FLIPS.keys()
