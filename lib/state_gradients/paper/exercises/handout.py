"""Packs what a class needs to work on the exercises, without solutions, into one zip.

The notebooks have their blanks and have not run; beside them stand the package, the
settings and the artifacts that pages read. ``start.py`` opens them in JupyterLab.
"""

import sys
import zipfile
from pathlib import Path

import nbformat

from state_gradients.foundation import settings
from state_gradients.foundation.atomic import replacing
from state_gradients.paper.book import rendering

NAME = "state-gradients-handout"
PLAIN = ("params.yaml", "requirements.lock", "LICENSE", "LICENSE-text", "CITATION.cff")
FOLDERS = {
    "lib": ("**/*.py", "**/*.yaml", "**/py.typed"),
    "data": ("*.md", "*.yaml", "example/*", "inspection/**/*", "sentence/*"),
    "benchmarks": ("**/*.json",),
}
# What pages do not read: the softmax, and means that only other artifacts are made of.
NOT_READ = ("weights.h5", "class_gradients.nc", "checkpoint.h5")
STORED = (".h5", ".nc", ".png", ".keras")  # compressed already

README = """\
# State Gradients: notebooks with exercises

Each notebook in `notebooks/` is a page of the book. At its end stand exercises; cells
with `...` are to be filled in, and the check in their last line says what is wrong with
an answer. It does not tell the right one. What a check compares with is computed in
`lib/state_gradients/paper/exercises`: whoever reads it there has been warned.

## Start

Python 3.11 or newer is needed, and a network once, for the installation:

    python3 -m venv .venv
    .venv/bin/python -m pip install --require-hashes -r requirements.lock
    .venv/bin/python start.py

(On Windows: `.venv\\Scripts\\python` in the place of `.venv/bin/python`.) From then on
nothing asks for a network, and no page needs more than a minute. To check that all is
there, without JupyterLab: `.venv/bin/python start.py --test`.

## What is in it

- `notebooks/`: the pages, with blanks, not executed.
- `data/artifacts/`: what the pages read. No corpus is among it: Penn Treebank is not
  free, and no page needs its text.
- `lib/`: the package. `params.yaml`: the settings of all experiments.
- `LICENSE` (code, MIT) and `LICENSE-text` (texts, CC BY 4.0).
"""

START = '''\
"""Opens the notebooks in JupyterLab, with the package beside them."""

import os
import subprocess
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
found = [str(here / "lib"), os.environ.get("PYTHONPATH", "")]
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, found))
os.environ["STATE_GRADIENTS_ROOT"] = str(here)
TEST = (
    "from state_gradients.paper.exercises import check; "
    "from state_gradients.project import artifacts; "
    "artifacts.load('ptb-lstm-256', 'spectra'); "
    "print('Package, checks and artifacts are there.')"
)
arguments = ["-c", TEST] if "--test" in sys.argv else ["-m", "jupyterlab", "notebooks"]
sys.exit(subprocess.call([sys.executable, *arguments], cwd=here))
'''


def notebook(path):
    """Return a page's notebook as a student gets it: with blanks, not executed.

    Parameters
    ----------
    path : pathlib.Path
        Of ``notebooks/``.

    Returns
    -------
    str
        JSON, the same for the same source.
    """
    page = rendering.read_page(path)
    page.metadata.pop("jupytext", None)
    for index, cell in enumerate(page.cells):
        cell["id"] = f"cell-{index}"
    return nbformat.writes(page)


def files(root):
    """Return the paths of what is packed as it stands, in order."""
    paths = {root / name for name in PLAIN}
    for folder, patterns in FOLDERS.items():
        paths |= {p for pattern in patterns for p in (root / folder).glob(pattern)}
    paths |= set((root / "data" / "artifacts").glob("*/[!.]*"))
    kept = (p for p in paths if p.is_file() and p.name not in NOT_READ)
    return sorted(p for p in kept if "__pycache__" not in p.parts)


def pack(root=None):
    """Write the handout.

    Parameters
    ----------
    root : path-like, optional
        The project's root; found from the working folder by default.

    Returns
    -------
    pathlib.Path
        ``_build/handout/state-gradients-handout.zip``.
    """
    root = Path(root).resolve() if root else settings.project_root()
    target = root / "_build" / "handout" / f"{NAME}.zip"
    texts = {"README.md": README, "start.py": START}
    for path in sorted((root / "notebooks").glob("*.md")):
        texts[f"notebooks/{path.stem}.ipynb"] = notebook(path)
    with (
        replacing(target) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for name, text in texts.items():
            archive.writestr(zipfile.ZipInfo(f"{NAME}/{name}"), text)
        for path in files(root):
            stored = path.suffix in STORED
            archive.write(
                path,
                f"{NAME}/{path.relative_to(root)}",
                zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED,
            )
    return target


if __name__ == "__main__":
    made = pack()
    size = made.stat().st_size / 1e6
    sys.stdout.write(f"The handout: {made} ({size:.0f} MB)\n")
