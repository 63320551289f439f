"""Slides of the book's own numbers and pictures: an extension for Sphinx.

A slide types neither a number nor a picture, it names one of an executed page:

- ``{number}`PAGE::KEY``` is a text that ``notebooks/PAGE.md`` keeps for its prose;
- ``{picture} PAGE::FIGURE`` is a figure of that page with its alt text. With ``:wide:``
  the page's function draws it again, panels side by side, from the same artifacts: on
  a screen, a picture that is taller than wide shows its text too small.

Pictures stand in the slides themselves, so that one file holds them all.
"""

import ast
import base64
import html
import io
from functools import cache

import matplotlib.pyplot as plt
import nbformat
import xarray as xr
from docutils import nodes
from docutils.parsers.rst import directives
from sphinx.util.docutils import SphinxDirective, SphinxRole

from state_gradients import figures
from state_gradients.foundation import settings
from state_gradients.paper.book import average_memory, coherence
from state_gradients.paper.book import synthetic as synthetic_tables
from state_gradients.paper.book.pages import runs_of
from state_gradients.paper.synthetic import figures as synthetic_figures
from state_gradients.project import artifacts

WIDE = (7.6, 3.1)  # inches: shown 1,130 pixels wide, text of 10 points has 20
_RECORD = "application/papermill.record/text/plain"


def _path_of(page):
    path = settings.project_root() / "book" / "sections" / f"{page}.ipynb"
    if not path.is_file():
        raise ValueError(
            f"slides: the page {page!r} must have been executed, but {path} is "
            "missing; run `state-gradients render`."
        )
    return path


@cache
def _cells_of(path, changed):  # a page that has changed since is read again
    return nbformat.read(path, as_version=4).cells


def _outputs_of(page):
    """Yield the cells and the outputs of an executed page."""
    path = _path_of(page)
    for cell in _cells_of(path, path.stat().st_mtime_ns):
        for output in cell.get("outputs", []):
            yield cell, output


def texts_of(page):
    """Return the texts that a page keeps for its prose, by name.

    Parameters
    ----------
    page : str
        A notebook without folder and suffix.

    Returns
    -------
    dict of str to str

    Raises
    ------
    ValueError
        If the page has not been executed.
    """
    found = {}
    for _, output in _outputs_of(page):
        name = output.get("metadata", {}).get("scrapbook", {}).get("name")
        shown = output["data"].get(_RECORD, "") if name else ""
        if shown.startswith(("'", '"')):  # and no table or picture
            found[name] = ast.literal_eval(shown)
    return found


def number(target):
    """Return a text of a page's prose, for ``PAGE::KEY``.

    Raises
    ------
    ValueError
        If there is no such page or text.
    """
    page, _, key = target.partition("::")
    texts = texts_of(page)
    if key not in texts:
        hint = settings.nearest(key, texts)
        raise ValueError(f"slides: {page!r} must keep a text {key!r}; {hint}")
    return texts[key]


def picture(target, *, wide=False):
    """Return a page's figure as PNG with its alt text, for ``PAGE::FIGURE``.

    Parameters
    ----------
    target : str
    wide : bool
        Draw it again with its panels side by side; `AGAIN` holds those that can be.

    Returns
    -------
    png : bytes
    alt : str

    Raises
    ------
    ValueError
        If there is no such page or figure, or nothing draws it again.
    """
    page, _, name = target.partition("::")
    drawn = {}
    for cell, output in _outputs_of(page):
        notes = cell.metadata.get("mystnb", {})
        if "image/png" in output.get("data", {}) and "figure" in notes:
            drawn[notes["figure"]["name"]] = output, notes
    if name not in drawn:
        hint = settings.nearest(name, drawn)
        raise ValueError(f"slides: {page!r} must draw {name!r}; {hint}")
    if wide and name not in AGAIN:
        raise ValueError(
            f"slides: `:wide:` must be of one of {', '.join(AGAIN)}, received {name!r}."
        )
    if wide:
        draw, alt = AGAIN[name]
        return _drawn(draw), alt
    output, notes = drawn[name]
    png = base64.b64decode(output["data"]["image/png"])
    return png, " ".join(notes["image"]["alt"].split())


def _drawn(draw):
    """Return what a function draws on a wide figure, as PNG."""
    figures.set_theme()
    figure = plt.figure(figsize=WIDE, layout="constrained")
    draw(figure)
    stream = io.BytesIO()
    figure.savefig(stream, format="png")
    plt.close(figure)
    return stream.getvalue()


def _draw_memory(figure):
    """Draw memory and selectivity of the experiment of the page on average memory."""
    texts = texts_of("04-3-2-average-memory")
    name, state = texts["name"], texts["state"]
    spectrum = artifacts.load(name, "spectra").isel(group=0)
    spectrum = spectrum.sel(state_kind=state, delay=average_memory.PAPER)
    spectrum = spectrum.assign_attrs(experiment=f"{name}, {state}")
    figures.plot_memory_and_selectivity(
        spectrum,
        interval=average_memory.interval_of(name, state),
        axes=figure.subplots(1, 2),
    )


def _draw_cells(figure):
    """Draw memory and selectivity of the cells that the page compares."""
    cells = {
        "LSTM cell": (runs_of("ptb-lstm-256"), "cell"),
        "LSTM hidden": (runs_of("ptb-lstm-256"), "hidden"),
        "GRU": (runs_of("ptb-gru-256"), "hidden"),
    }
    figures.plot_memory_and_selectivity(
        average_memory.together(cells),
        interval=average_memory.spread(cells),
        axes=figure.subplots(1, 2),
    )


def _draw_split(figure):
    """Draw how the memory divides into lengths and directions."""
    texts = texts_of("coherence")
    data = artifacts.load(texts["experiment"], "coherence")
    one = coherence.of_state(data, texts["state"])
    coherence.plot_split(one, axes=figure.subplots(1, 2))


def _draw_sums(figure):
    """Draw the sums of singular values of the synthetic text, with dropout."""
    names = [f"synthetic-dropout-seed{seed}" for seed in (1, 2, 3)]
    names = synthetic_tables.made(names)
    sums = synthetic_tables.runs(names, "readings")["sum_singular_values"]
    sums = sums.sel(
        subspace="whole", delay=average_memory.PAPER, group=["all", "new-tokens"]
    )
    sums = sums.assign_coords(group=["mean over all tokens", "over new tokens"])
    band = xr.Dataset({"lower": sums.min("run"), "upper": sums.max("run")})
    synthetic_figures.plot_singular_sums(
        sums.mean("run", keep_attrs=True), interval=band, ax=figure.subplots()
    )


AGAIN = {  # figure: what draws it for a wide screen, and its alt text
    "fig-average-memory": (
        _draw_memory,
        "Two panels against the delay. Left, memory on a logarithmic axis, raw and "
        "whitened: both fall steeply at first and ever more slowly. Right, the shares "
        "of the largest and of the five largest singular values rise and level off.",
    ),
    "fig-memory-cells": (
        _draw_cells,
        "Two panels against the delay. Left, memory of an LSTM's cell, its hidden "
        "state and a GRU, with bands of the seeds, narrower than the distances. Right, "
        "the shares of the largest and of the five largest singular values.",
    ),
    "fig-split": (
        _draw_split,
        "Two panels against the delay. Left, three falling curves on a logarithmic "
        "axis: the lower two part in the first delays and run in parallel from there. "
        "Right, two factors: directions drops within the first two delays and stays "
        "nearly level, lengths falls slowly.",
    ),
    "fig-synthetic-sums": (
        _draw_sums,
        "Two lines against the delay on a logarithmic axis, with verticals where "
        "cycles end. That of new tokens lies higher and steps down at the verticals; "
        "that of all tokens falls smoothly.",
    ),
}


class NumberRole(SphinxRole):
    """``{number}`PAGE::KEY```: a text of an executed page."""

    def run(self):
        """Return the text as a node."""
        try:
            found = number(self.text)
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [nodes.problematic(self.rawtext, self.rawtext)], [message]
        self.env.note_dependency(str(_path_of(self.text.partition("::")[0])))
        short = ["number"] if len(found) < 25 else []  # is set apart, and not broken
        return [nodes.inline("", found, classes=short)], []


class PictureDirective(SphinxDirective):
    """``{picture} PAGE::FIGURE``: a figure of an executed page, and its source."""

    required_arguments = 1
    option_spec = {"wide": directives.flag}  # noqa: RUF012 (docutils reads it so)

    def run(self):
        """Return the figure as HTML, its picture within."""
        target, wide = self.arguments[0], "wide" in self.options
        try:
            png, alt = picture(target, wide=wide)
        except ValueError as error:
            raise self.error(str(error)) from None
        page, _, name = target.partition("::")
        self.env.note_dependency(str(_path_of(page)))
        data = base64.b64encode(png).decode()
        text = (
            f'<figure class="picture{" wide" if wide else ""}">'
            f'<img alt="{html.escape(alt)}" '
            f'src="data:image/png;base64,{data}">'
            f"<figcaption>notebooks/{page}.md, {name}</figcaption></figure>"
        )
        return [nodes.raw("", text, format="html")]


def setup(app):
    """Add the role and the directive to Sphinx."""
    app.add_role("number", NumberRole())
    app.add_directive("picture", PictureDirective)
    return {"parallel_read_safe": True}
