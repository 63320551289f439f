"""Lays a page and its solutions together, and takes them apart once they have run.

``notebooks/NAME.md`` holds the exercises of a page: each an admonition of the class
``exercise`` whose title begins with ``Exercise NUMBER``, and below it, where an answer
can be checked, a code cell of the tag ``exercise`` with a blank and a check.
``notebooks/solutions/NAME.md`` holds, under a heading ``## NUMBER`` for each, what
solves it, and under ``### For the lecturer`` remarks. Both run as one notebook, the
solutions in the place of the blanks. Out of it come

- the student's page, with the blanks, which have not run; an answer that is to be read
  off (tag ``read-off``) has a field there;
- the instructor's page, with all of it.
"""

import re
from copy import deepcopy

import jupytext
import nbformat

from state_gradients.paper.exercises import fields

EXERCISE = re.compile(
    r"^(?P<fence>`{3,}|:{3,})\{admonition\} Exercise (?P<number>\S+)[^\n]*\n"
    r"(?=(?::[^\n]*\n)*:class:[^\n]*\bexercise\b).*?^(?P=fence)[ \t]*$\n?",
    re.MULTILINE | re.DOTALL,
)
CHECKED = re.compile(r"\bcheck\(\s*\"([^\"]+)\"")
SECTION = re.compile(r"^## (\S+)[ \t]*$\n?", re.MULTILINE)
REMARKS = re.compile(r"^### For the lecturer[ \t]*$\n?", re.MULTILINE)
HEADING = re.compile(r"^## Exercises[ \t]*$\n?", re.MULTILINE)
HOW = (
    "Cells with `...` are to be filled in, in the notebook of this page: `make lab` "
    "opens it, and a lecturer's handout holds it. The check in the last line says what "
    "is wrong with an answer, and does not tell the right one.\n"
)


def _mark(cell, number, role):
    cell["metadata"]["exercise"] = {"number": number, "role": role}
    return cell


def role_of(cell):
    """Return what a cell is to an exercise: "blank", "solution", ..., or None."""
    return cell["metadata"].get("exercise", {}).get("role")


def number_of(cell):
    """Return the number of the exercise that a cell belongs to, or None."""
    return cell["metadata"].get("exercise", {}).get("number")


def is_tagged(cell, tag):
    """Return whether a cell has a tag."""
    return tag in cell["metadata"].get("tags", [])


def read_solutions(path):
    """Read the solutions of a page.

    Parameters
    ----------
    path : pathlib.Path
        A MyST notebook; it need not exist.

    Returns
    -------
    dict of str to list of nbformat.NotebookNode
        The marked cells by the exercise's number, in order; under ``""`` those before
        the first.
    """
    if not path.is_file():
        return {}
    page = jupytext.read(path, fmt={"extension": ".md", "format_name": "myst"})
    solutions, number = {"": []}, ""
    role = "solution"
    for cell in page.cells:
        if cell["cell_type"] == "code":
            solutions[number].append(_mark(cell, number, role))
            continue
        first, *sections = SECTION.split(cell["source"])
        chunks = [(number, first), *zip(sections[::2], sections[1::2], strict=True)]
        for index, (number, text) in enumerate(chunks):
            if index:
                if number in solutions:
                    raise ValueError(f"{path}: the heading `## {number}` stands twice.")
                solutions[number], role = [], "solution"
            if number:
                role = _add_prose(solutions[number], number, text, role)
    return solutions


def _add_prose(cells, number, text, role):
    """Add the prose of a section, solution and remarks apart; return the last role."""
    for index, part in enumerate(REMARKS.split(text, maxsplit=1)):
        if index:
            role = "remarks"
        if part.strip():
            cell = nbformat.v4.new_markdown_cell(_framed(part.strip(), number, role))
            cells.append(_mark(cell, number, role))
    return role


def _framed(text, number, role):
    title = {"solution": "Solution", "remarks": "For the lecturer:"}[role]
    fence = ":" * 7  # more than anything inside has
    return (
        f"{fence}{{admonition}} {title} {number}\n:class: {role}\n\n{text}\n{fence}\n"
    )


def split_exercises(page):
    """Cut the Markdown of a page behind every exercise, and mark exercises and blanks.

    Parameters
    ----------
    page : nbformat.NotebookNode

    Returns
    -------
    list of nbformat.NotebookNode
        Cells; exercises have the role ``exercise``, blanks the role ``blank``.
    """
    cells = []
    for cell in page.cells:
        if cell["cell_type"] == "code":
            cell = deepcopy(cell)
            if is_tagged(cell, "exercise") and (called := CHECKED.search(cell.source)):
                _mark(cell, called.group(1), "blank")
            cells.append(cell)
            continue
        start = 0
        for match in EXERCISE.finditer(cell["source"]):
            part = nbformat.v4.new_markdown_cell(cell["source"][start : match.end()])
            cells.append(_mark(part, match["number"], "exercise"))
            start = match.end()
        if start == 0:
            cells.append(deepcopy(cell))
        elif rest := cell["source"][start:].strip():
            cells.append(nbformat.v4.new_markdown_cell(rest))
    return cells


def compose(page, solutions, name):
    """Return the page with its solutions in the place of the blanks.

    Parameters
    ----------
    page : nbformat.NotebookNode
        Not executed.
    solutions : dict of str to list of nbformat.NotebookNode
        See :func:`read_solutions`.
    name : str
        Of the page, for messages.

    Returns
    -------
    nbformat.NotebookNode
        The blanks have become raw cells, which do not run.

    Raises
    ------
    ValueError
        If exercises and solutions are not of the same numbers, or a check is not of the
        exercise that it stands below.
    """
    cells = split_exercises(page)
    numbers = [number_of(cell) for cell in cells if role_of(cell) == "exercise"]
    solved = [number for number in solutions if number]
    if sorted(numbers) != sorted(solved):
        raise ValueError(
            f"{name}: notebooks/solutions/{name}.md must solve the page's exercises "
            f"{numbers}, each under its heading `## NUMBER`, but solves {solved}."
        )
    composed, waiting = [], list(solutions.get("", []))
    for cell, following in zip(cells, [*cells[1:], None], strict=True):
        role, number = role_of(cell), number_of(cell)
        if role == "blank":
            before = number_of(composed[-1]) if composed else None
            if number != before:
                raise ValueError(
                    f"{name}: the cell with the check of Exercise {number} must stand "
                    f"below that exercise, but stands below {before or 'none'}."
                )
            cell = _as_raw(cell)
        composed.append(cell)
        is_checked = following is not None and role_of(following) == "blank"
        if role == "blank" or (role == "exercise" and not is_checked):
            composed += waiting + solutions[number]
            waiting = []
    page = deepcopy(page)
    page["cells"] = [deepcopy(cell) for cell in composed]
    return page


def _as_raw(cell):
    raw = nbformat.v4.new_raw_cell(cell["source"])
    raw["metadata"] = cell["metadata"]
    return raw


def _sealed(cells, number):
    """Take what the solution's check has sealed out of its output, and return it."""
    sealed = None
    for cell in (cell for cell in cells if number_of(cell) == number):
        for output in cell.get("outputs", []):
            sealed = output.get("data", {}).get(fields.MIME, sealed)
    return sealed


def take_apart(page, *, solved):
    """Return the page of an executed, composed notebook as one reader sees it.

    Parameters
    ----------
    page : nbformat.NotebookNode
        As :func:`compose` made it, and executed.
    solved : bool
        Whether solutions and remarks stay: the instructor's page.

    Returns
    -------
    nbformat.NotebookNode
    """
    cells = []
    has_blanks = any(
        role_of(cell) == "blank" and not is_tagged(cell, "read-off")
        for cell in page.cells
    )
    for cell in page.cells:
        role, number = role_of(cell), number_of(cell)
        if role in ("solution", "remarks") and not solved:
            continue
        shown = deepcopy(cell)
        if role == "blank":
            shown = _blank(cell, _sealed(page.cells, number))
        elif cell["cell_type"] == "markdown" and has_blanks:
            shown["source"] = HEADING.sub(f"## Exercises\n\n{HOW}", cell["source"])
        cells.append(shown)
    for cell in cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(fields.MIME, None)
    apart = deepcopy(page)
    apart["cells"] = cells
    return apart


def _blank(cell, sealed):
    """Return the field of an answer that is read off, else the code with its blank."""
    if is_tagged(cell, "read-off"):
        if sealed is None:
            raise ValueError(
                f"Exercise {number_of(cell)} is to be read off: the last line of its "
                "solution must be the check of one number or one letter."
            )
        shown = nbformat.v4.new_markdown_cell(fields.html(sealed))
    else:
        shown = nbformat.v4.new_code_cell(cell["source"])
    shown["metadata"] = cell["metadata"]
    return shown


def numbers_on(page):
    """Return the numbers of a page's exercises, in order."""
    cells = split_exercises(page)
    return [number_of(cell) for cell in cells if role_of(cell) == "exercise"]
