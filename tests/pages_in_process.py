"""The notebooks, run in the test's own process, with what each figure has drawn."""

import ast
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
from conftest import ROOT
from matplotlib.collections import PathCollection, QuadMesh
from matplotlib.ticker import FuncFormatter

from state_gradients.paper.book.rendering import read_page

SOURCES = sorted((ROOT / "notebooks").glob("*.md"))


@dataclass
class Figure:
    """What a page draws, by the `values` of lines, maps and clouds, and says of it."""

    name: str
    values: list
    line: object = None
    twin: object = None


@plt.rc_context()  # a page sets the theme: not for the tests that come after
def figures_of(path, monkeypatch):
    """Run a notebook's cells, as its kernel does; return its figures in their order."""
    monkeypatch.chdir(path.parent)
    names, figures = {"__name__": "__main__"}, []
    for cell in read_page(path).cells:
        if cell.cell_type != "code":
            continue
        plt.close("all")
        result = _run(cell.source, names)
        tags = cell.metadata.get("tags", [])
        if "figure" in cell.metadata.get("mystnb", {}):
            name = cell.metadata["mystnb"]["figure"]["name"]
            axes = [
                ax for number in plt.get_fignums() for ax in plt.figure(number).axes
            ]
            figures.append(Figure(name, [each for ax in axes for each in _values(ax)]))
        elif "made-by" in tags:
            figures[-1].line = result
        elif "twin" in tags:
            figures[-1].twin = result
    plt.close("all")
    return figures


def _run(source, names):
    """Run a cell; return what its last expression gives."""
    *statements, last = ast.parse(source).body
    if not isinstance(last, ast.Expr):
        statements, last = [*statements, last], None
    exec(compile(ast.Module(statements, []), "<cell>", "exec"), names)
    return last and eval(compile(ast.Expression(last.value), "<cell>", "eval"), names)


def _values(ax):
    """Return the numbers of everything on an Axes that shows data: (x, y) or (y,)."""
    if ax.get_label() == "<colorbar>":
        return
    for line in ax.lines:
        is_reference = line.get_transform() != ax.transData  # axhline, axvline
        if len(line.get_xdata()) and not is_reference:
            yield _on_scales(ax, line.get_xdata(), line.get_ydata())
    for drawn in ax.collections:
        if isinstance(drawn, QuadMesh):
            yield (np.ma.filled(drawn.get_array().astype(float), np.nan).ravel(),)
        elif isinstance(drawn, PathCollection):
            yield _on_scales(ax, *np.ma.filled(drawn.get_offsets(), np.nan).T)


def _on_scales(ax, x, y):
    """Return the values along axes of numbers: where names stand, a place is none."""
    named = [
        isinstance(a.get_major_formatter(), FuncFormatter) for a in (ax.xaxis, ax.yaxis)
    ]
    pairs = zip((x, y), named, strict=True)
    return tuple(
        np.asarray(values, float) for values, is_named in pairs if not is_named
    )
