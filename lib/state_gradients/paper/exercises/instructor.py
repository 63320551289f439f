"""Lays out the sources of the instructor's book: the student's, with solutions.

The pages that are no notebooks get theirs in the same way, from
``notebooks/solutions/NAME.md``; what is not changed is linked to. ``make instructor``
builds what stands in ``_build/instructor/source`` then.
"""

import shutil
import sys
from pathlib import Path

import nbformat
import yaml

from state_gradients.foundation import settings
from state_gradients.paper.exercises import composing

LEFT_OUT = {"_build", "book", "_config.yml"}  # what is not linked to as it is


def _with_prose(path, solutions):
    """Return the text of a page without code, each solution below its exercise."""
    lone = nbformat.v4.new_markdown_cell(path.read_text(encoding="utf-8"))
    page = nbformat.v4.new_notebook(cells=[lone])
    composed = composing.compose(page, solutions, path.stem)
    sources = [cell["source"].strip("\n") for cell in composed.cells]
    return "\n\n".join(sources) + "\n"


def _link(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(source)


def _lay_out_book(root, book):
    solved = root / "_build" / "instructor" / "sections"
    for path in sorted((root / "book").iterdir()):
        if path.name == "sections":
            continue
        solutions = root / "notebooks" / "solutions" / path.name
        if path.suffix == ".md" and solutions.is_file():
            text = _with_prose(path, composing.read_solutions(solutions))
            (book / path.name).write_text(text, encoding="utf-8")
        else:
            _link(path, book / path.name)
    for path in sorted((root / "book" / "sections").iterdir()):
        with_solutions = solved / path.name
        _link(
            with_solutions if with_solutions.is_file() else path,
            book / "sections" / path.name,
        )


def lay_out(root=None):
    """Lay out the sources of the instructor's book.

    Parameters
    ----------
    root : path-like, optional
        The project's root, with executed pages; found from the working folder by
        default.

    Returns
    -------
    pathlib.Path
        The folder ``_build/instructor/source``, made anew.

    Raises
    ------
    FileNotFoundError
        If no page has been run.
    """
    root = Path(root).resolve() if root else settings.project_root()
    if not (root / "book" / "sections").is_dir():
        raise FileNotFoundError(
            f"instructor: {root / 'book' / 'sections'} must hold the executed pages, "
            "but is missing; run `make instructor`, which runs them."
        )
    source = root / "_build" / "instructor" / "source"
    shutil.rmtree(source, ignore_errors=True)
    (source / "book").mkdir(parents=True)
    for path in sorted(root.iterdir()):
        if path.name not in LEFT_OUT and not path.name.startswith("."):
            _link(path, source / path.name)
    _lay_out_book(root, source / "book")
    config = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    config["title"] += ", with solutions"
    text = yaml.safe_dump(config, allow_unicode=True, sort_keys=False)
    (source / "_config.yml").write_text(text, encoding="utf-8")
    return source


if __name__ == "__main__":
    sys.stdout.write(f"made {lay_out()}\n")
