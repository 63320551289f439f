"""The library's pages are made without Keras: what autodoc would look up of it."""

import subprocess
import sys

BUILD = """
import sys
from pathlib import Path
from sphinx.application import Sphinx

folder = Path(sys.argv[1])
app = Sphinx(folder, None, folder / "out", folder / "trees", "html", {
    "extensions": ["sphinx.ext.autodoc", *sys.argv[2:]],
    "autodoc_mock_imports": ["keras", "tensorflow"],
}, status=None)
app.build()
page = (folder / "out" / "index.html").read_text()
print("keras" in sys.modules, page.count("OurCell"))
"""
PAGE = "Cells\n=====\n\n.. automodule:: our_cells\n   :members:\n"
CELLS = '''"""Cells."""

import keras


class OurCell(keras.layers.Layer):
    """A cell."""
'''


def built(folder, *extensions):
    (folder / "index.rst").write_text(PAGE)
    (folder / "our_cells.py").write_text(CELLS)
    done = subprocess.run(
        [sys.executable, "-c", BUILD, folder, *extensions],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    imported, n_names = done.stdout.split()[-2:]
    assert int(n_names) > 0  # the class is on the page
    return imported == "True"


def test_a_class_above_keras_is_told_without_importing_keras(tmp_path):
    assert not built(tmp_path, "state_gradients.paper.book.mocked")


def test_autodoc_alone_imports_keras(tmp_path):  # else the extension can go
    assert built(tmp_path)
