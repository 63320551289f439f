"""Steps between chosen words: m from the singular values, by hand."""

import numpy as np
import pytest
import xarray as xr

from state_gradients.paper import quantities, steps

WORDS = ["cat", "cats", "adams", "japan", "japan's", "it", "it's", "firms", "firms'"]
TAGS = ["NN", "NNS", "NNP", "NNP", "NNP", "PRP", "PRP", "NNS", "NNS"]


@pytest.fixture
def kept(rng):
    encoder = xr.Dataset(
        {"embedding": (("vocabulary", "embedding"), rng.normal(size=(9, 3)))},
        {"vocabulary": WORDS},
    )
    gradients = xr.Dataset(
        {
            "state_gradient": (
                ("state_kind", "group", "delay", "state", "embedding"),
                rng.normal(size=(2, 1, 4, 5, 3)),
            )
        },
        {"state_kind": ["hidden", "cell"], "group": ["all"], "delay": range(4)},
    )
    types = xr.Dataset({"tag": ("type", TAGS)}, {"type": WORDS})
    return {"encoder": encoder, "gradients": gradients, "types": types}


def by_hand(kept, first, second):
    """Return m of the step between the means of two groups of words, by delay."""
    table = kept["encoder"]["embedding"].values
    of = [
        table[[WORDS.index(word) for word in side]].mean(0) for side in (first, second)
    ]
    root = np.linalg.cholesky(np.cov(table.T))
    step = np.linalg.solve(root, of[0] - of[1])
    m = []
    for gradient in kept["gradients"]["state_gradient"].values[1, 0]:
        whitened = gradient @ root
        moved = np.linalg.norm(whitened @ step) / np.linalg.norm(step)
        m.append(moved / np.linalg.svd(whitened)[1][0])
    return m


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        (
            "number",
            ["cat", "adams", "japan", "japan's"],
            ["cats", "firms", "firms'"],
        ),
        ("number of common nouns", ["cat"], ["cats", "firms", "firms'"]),
        ("genitive", ["japan's", "firms'"], ["japan", "firms"]),
        ("every word in 's", ["japan's", "it's"], ["japan", "it"]),
    ],
)
def test_m_is_that_of_the_words_by_hand(kept, name, first, second):
    found = steps.memory_of_property(name, **kept)
    # a 3 x 3 solve and an SVD in double precision
    np.testing.assert_allclose(found, by_hand(kept, first, second), rtol=1e-10)


def test_a_step_is_a_quantity_at_a_delay_and_below_another_at_some(kept):
    def load(name, kind):
        return kept[kind]

    spec = {"artifact": "gradients", "step": "number", "select": {"delay": 2}}
    m, other = (steps.memory_of_property(x, **kept) for x in ("number", "genitive"))
    assert quantities.quantity(spec, "any", load) == pytest.approx(float(m[2]))
    spec |= {"below": "genitive", "select": {"delay": [1, 3]}}
    share = np.mean(m.values[1:] < other.values[1:])
    assert quantities.quantity(spec, "any", load) == pytest.approx(share)
