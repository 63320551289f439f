"""Under each figure: what made it, and its data, which are those that it has drawn."""

import io

import numpy as np
import pandas as pd
import pytest
from pages_in_process import SOURCES, figures_of

# The concept's two spaces are drawn beside each other, one moved; the steps have their
# diagonal below them.
BESIDE = {"fig-concept", "fig-grammar-steps"}


def numbers_of(csv):
    """Return every number of a table, as float32 at most, sorted."""
    table = pd.read_csv(io.StringIO(csv))
    columns = [table[name].to_numpy(float) for name in table.select_dtypes("number")]
    return np.unique(np.concatenate([c[np.isfinite(c)] for c in columns]))


def is_in(values, numbers):
    """Whether each finite value is a number of the table, to float32's precision."""
    values = values[np.isfinite(values)]
    at = np.clip(np.searchsorted(numbers, values), 1, len(numbers) - 1)
    near = np.minimum(abs(numbers[at] - values), abs(numbers[at - 1] - values))
    return bool((near <= 1e-6 * abs(values) + 1e-300).all())


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_figure_has_a_table_of_what_it_has_drawn(path, monkeypatch):
    for figure in figures_of(path, monkeypatch):
        if not figure.values or figure.name in BESIDE:
            continue
        assert figure.line is not None, figure.name
        numbers = numbers_of(figure.line.csv)
        missing = [v for v in figure.values if not all(is_in(c, numbers) for c in v)]
        assert missing == [], f"{figure.name}: drawn, and not in its table"
