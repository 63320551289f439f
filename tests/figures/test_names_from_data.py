r"""Names that come from data are shown as they are: no formula, and no error.

Tokens, experiments and files may hold dollars, between which Matplotlib reads a
formula, and raises where there is none.
"""

import numpy as np
import pytest
import xarray as xr
from matplotlib import cbook

from state_gradients import figures, inspection
from state_gradients.paper.book import figures as page_figures

HOSTILE = [r"$\frac$", "$x$", r"\$", "$", "<script>", "a_$y^$_"]
pytestmark = pytest.mark.usefixtures("closed_figures")


def shown(texts):
    """Return what labels show: none may be a formula."""
    labels = [text.get_text() for text in texts]
    assert not any(map(cbook.is_math_text, labels))
    return [label.replace(r"\$", "$") for label in labels]


def curves(dims, **labels):
    values = np.random.default_rng(0).random([len(HOSTILE), 4])
    names = ("memory", "selectivity", "selectivity_5", "effective_rank")
    data = {name: (dims, values) for name in names}
    return xr.Dataset(data, {"delay": range(4)} | labels)


def test_words_of_a_sentence():
    memory = curves(("token", "delay"))["memory"]
    ax = figures.plot_sentence(memory, HOSTILE)
    ax.figure.canvas.draw()
    assert shown(ax.get_xticklabels()) == HOSTILE


@pytest.mark.parametrize("kind", [figures.plot_memory, figures.plot_coherence])
def test_names_of_lines(kind):
    data = curves(("word", "delay"), word=HOSTILE)
    ax = kind(data.assign(coherence=data["memory"]))
    ax.figure.canvas.draw()
    assert shown(ax.get_legend().get_texts()) == HOSTILE


@pytest.mark.parametrize("title", HOSTILE)
def test_titles(title):
    one = curves(("word", "delay")).isel(word=0).assign_attrs(experiment=title)
    ax = figures.plot_memory(one)
    ax.figure.canvas.draw()
    assert shown([ax.title, ax._left_title])[1] == title


def test_rows_and_columns_of_a_table():
    size = len(HOSTILE)
    table = xr.DataArray(
        np.ones((size, size)), {"row": HOSTILE, "column": HOSTILE}, ("row", "column")
    )
    ax = figures.plot_heatmap(table, label="n")
    ax.figure.canvas.draw()
    for labels in (ax.get_xticklabels(), ax.get_yticklabels()):
        assert shown(labels) == HOSTILE


def test_machines_and_rungs():
    times = xr.DataArray(
        [range(1, len(HOSTILE) + 1)], {"machine": [r"$\frac$"], "way": HOSTILE}
    )
    ax = page_figures.plot_speed(times)
    ax.figure.canvas.draw()
    assert shown(ax.get_yticklabels()) == HOSTILE


def test_the_file_of_a_model(tmp_path):
    values = np.random.default_rng(0).random((2, 4))
    dims = ("normalization", "delay")
    data = xr.Dataset(
        {
            name: (dims, values)
            for name in ("memory", "selectivity", "selectivity_5", "effective_rank")
        },
        {"normalization": ["raw", "whitened"], "delay": range(4)},
    )
    data = data.assign(n_samples=("delay", [4, 3, 2, 1]))
    attrs = {"model": r"$\frac$.keras", "reading": "lines"}
    paths = inspection.write(data.assign_attrs(attrs), tmp_path)
    assert all(path.stat().st_size for path in paths)
