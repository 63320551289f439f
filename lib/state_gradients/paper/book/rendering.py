"""Runs the notebooks and lays them, executed, where the book reads them.

``notebooks/NAME.md`` is read by jupytext, run by papermill and written to
``book/sections/NAME.ipynb``; the tables of its figures go to ``book/sections/data``. A
page is run again only when something that it is made from has changed, and the same
sources give the same bytes.

Solutions of its exercises run with it and do not stay on it: the page with them, for
instructors, goes to ``_build/instructor/sections`` (see
:mod:`state_gradients.paper.exercises.composing`).
"""

import ast
import hashlib
import os
import re
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import get_args

import jupytext
import nbformat
import papermill
from papermill.exceptions import PapermillExecutionError
from tqdm import tqdm
from traitlets.config import Config

from state_gradients.foundation import settings
from state_gradients.foundation.atomic import (
    replacing,
    replacing_all,
    require_writable,
)
from state_gradients.paper.book import kernels, sources
from state_gradients.paper.exercises import composing
from state_gradients.project import kinds

LIBRARY = ("**/*.py", "**/*.yaml")  # below the package, the study's among them
# What a page may read, below the project's root
SETTINGS = ("params.yaml", "params.local.yaml", "requirements.lock")
DATA = ("data/**/*.yaml", "data/**/*.nc", "data/**/*.h5", "benchmarks/**/*.json")
LONGEST = (  # they begin first, so that none runs alone at the end
    "04-3-2-average-memory",
    "planted",
    "claims",
    "06-conclusion",
    "04-3-4-word-types",
)


def read_page(path):
    """Read a MyST notebook and check what papermill and the book need of it.

    Parameters
    ----------
    path : pathlib.Path
        A ``.md`` notebook.

    Returns
    -------
    nbformat.NotebookNode

    Raises
    ------
    ValueError
        If the header's kernelspec, the title or the one cell tagged ``parameters``
        after the title is missing.
    """
    page = jupytext.read(path, fmt={"extension": ".md", "format_name": "myst"})
    kernel = page.metadata.get("kernelspec", {})
    if (kernel.get("name"), kernel.get("language")) != ("python3", "python"):
        raise ValueError(
            f"{path.name}: the header must hold `kernelspec: {{name: python3, "
            f"display_name: Python 3, language: python}}`, received {dict(kernel)}."
        )
    first = page.cells[0] if page.cells else {"cell_type": "nothing", "source": ""}
    lines = first["source"].splitlines()
    if first["cell_type"] != "markdown" or not any(x.startswith("# ") for x in lines):
        raise ValueError(
            f"{path.name}: the page must open with its title, a line `# Title`, "
            f"received {first['cell_type']} {lines[:1]}."
        )
    tagged = [cell for cell in page.cells if _has_tag(cell, "parameters")]
    if len(tagged) != 1:
        raise ValueError(
            f"{path.name}: exactly one code cell must have the tag `parameters`, "
            f"received {len(tagged)}."
        )
    return page


def _has_tag(cell, tag):
    return tag in cell["metadata"].get("tags", [])


def parameter_names(page):
    """Return the set of names that the page's ``parameters`` cell assigns."""
    cell = next(cell for cell in page.cells if _has_tag(cell, "parameters"))
    names = [n for n in ast.walk(ast.parse(cell["source"])) if isinstance(n, ast.Name)]
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _default(page, name):
    """Return the value that the page's ``parameters`` cell gives to a name."""
    cell = next(cell for cell in page.cells if _has_tag(cell, "parameters"))
    for node in ast.walk(ast.parse(cell["source"])):
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == name:
            return ast.literal_eval(node.value)
    return None


def _note(experiment, usual):
    """Return the cell that tells a reader which experiment a page was run on."""
    text = (
        f":::{{admonition}} This page was run on `{experiment}`\n:class: note\n"
        f"It was written about `{usual}`. Its own figures, tables and numbers are "
        f"those of `{experiment}` now; where it compares experiments of the paper with "
        "one another, it still shows these. What the text says of the published "
        f"networks need not hold for `{experiment}`, and the paper's claims are not "
        "judged on it.\n:::"
    )
    return nbformat.v4.new_markdown_cell(text)


def _lacking(page, experiment):
    """Return the studies that a page shows and an experiment does not ask for."""
    code = "\n".join(c["source"] for c in page.cells if c["cell_type"] == "code")
    read = re.findall(r'artifacts\.load\(experiment, "(\w+)"', code)
    studies = [kinds.KINDS[kind].stage for kind in read if kind in kinds.KINDS]
    if "properties" in studies:  # which are made from the classes' gradients
        studies.insert(0, "classes")
    known = get_args(settings.Study)
    wanted = [study for study in dict.fromkeys(studies) if study in known]
    return [study for study in wanted if study not in experiment.language.studies]


def _note_of_lacking(experiment, studies, usual):
    """Return the cell that tells a reader why a page is not of an experiment."""
    listed = ", ".join(studies)
    text = (
        f":::{{admonition}} This page is not of `{experiment}`\n:class: note\n"
        f"It is of `{usual}`: `{experiment}` does not ask for what it shows. To have "
        f"it, put `language: {{studies: [{listed}]}}` into its settings and run "
        f"`state-gradients reproduce {experiment}`.\n:::"
    )
    return nbformat.v4.new_markdown_cell(text)


def _common_digest(root):
    """Hash what every page is made from: this package, settings, data, the lock."""
    digest, package = hashlib.sha256(), Path(__file__).parents[2]
    for folder, patterns in ((package, LIBRARY), (root, SETTINGS + DATA)):
        for path in sorted(p for pattern in patterns for p in folder.glob(pattern)):
            content = path.read_bytes()
            digest.update(f"{path.relative_to(folder)} {len(content)}\n".encode())
            digest.update(content)
    return digest


def _made_from(target):
    """Return the hash that an executed page carries, or None without a whole page."""
    try:
        page = nbformat.read(target, as_version=4)
    except (OSError, nbformat.reader.NotJSONError):
        return None
    return page.metadata.get("state_gradients", {}).get("made_from")


def _noted(page, experiment, usual, lacking=()):
    """Insert a note after the parameters if the experiment is not the usual one.

    `lacking` names studies, for which the page has been run on the usual one after all.
    """
    if lacking:
        tagged = [_has_tag(cell, "parameters") for cell in page.cells]
        note = _note_of_lacking(experiment, lacking, usual)
        page.cells.insert(tagged.index(True) + 1, note)
    elif experiment not in (None, usual):
        tagged = [_has_tag(cell, "injected-parameters") for cell in page.cells]
        page.cells.insert(tagged.index(True) + 1, _note(experiment, usual))
    return page


def _clean(page, made_from):
    """Leave in an executed page only what the same sources give again."""
    page.metadata.pop("papermill", None)
    page.metadata["state_gradients"] = {"made_from": made_from}
    for index, cell in enumerate(page.cells):
        cell["id"] = f"cell-{index}"
        for key in ("papermill", "execution"):  # times and durations
            cell["metadata"].pop(key, None)
        for output in cell.get("outputs", []):  # memory addresses, as of a Styler
            if "text/plain" in (data := output.get("data", {})):
                data["text/plain"] = re.sub(r" at 0x\w+", "", data["text/plain"])
        if _has_tag(cell, "injected-parameters"):
            cell["metadata"]["tags"].append("hide-cell")
    return page


def _solutions_of(source):
    return source.parent / "solutions" / source.name


def _with_solutions(target, root):
    """Return where the instructor's version of an executed page stands."""
    return root / "_build" / "instructor" / "sections" / target.name


def _run(source, target, asked, lacking, made_from, root):
    """Execute one page in its folder, as Jupyter does; replace its executed files."""
    os.environ["STATE_GRADIENTS_ROOT"] = str(root)  # as the kernel finds it from there
    os.environ["MPLBACKEND"] = "module://matplotlib_inline.backend_inline"
    os.environ["PYTHONHASHSEED"] = "0"  # sets print in the same order again
    # Pages run side by side; a matrix product in two threads waits for its neighbour's
    os.environ["OMP_NUM_THREADS"] = "1"
    # Two kernels that start at once may choose the same TCP port; sockets in a folder
    # of their own (a short path: 100 bytes is the limit) cannot meet.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        sockets = {"transport": "ipc", "ip": f"{folder}/kernel"}
        unexecuted = read_page(source)
        usual = _default(unexecuted, "experiment")
        parameters = {} if lacking or asked is None else {"experiment": asked}
        solutions = composing.read_solutions(_solutions_of(source))
        try:
            page = papermill.execute_notebook(
                composing.compose(unexecuted, solutions, source.stem),
                None,
                parameters,
                cwd=source.parent,
                progress_bar=False,
                start_timeout=300,  # seconds, for a busy machine
                config=Config(KernelManager=sockets),
                extra_arguments=["--log-level=CRITICAL"],  # the kernel's own chatter
                kernel_manager_class=kernels.manager(),
            )
        except PapermillExecutionError as error:
            begins = error.source.strip().splitlines()[0]
            raise RuntimeError(
                f"in the cell that begins with `{begins}`: "
                f"{error.ename}: {error.evalue}"
            ) from None
    page = _noted(page, asked, usual, lacking)
    with replacing_all([target, _with_solutions(target, root)]) as temporaries:
        for temporary, solved in zip(temporaries, (False, True), strict=True):
            part = composing.take_apart(page, solved=solved)
            nbformat.write(_clean(part, made_from), temporary)


def _chosen(names, folder):
    known = sorted(path.stem for path in folder.glob("*.md"))
    for name in names or ():
        if name not in known:
            hint = settings.nearest(name, known)
            raise ValueError(f"render: no notebook {name!r} in {folder}; {hint}")
    return known if names is None else list(names)


def render(names=None, *, experiment=None, jobs=2, root=None):
    """Run notebooks and write them, executed, to ``book/sections``.

    Every page runs, also when another one stops; a page that stops leaves its old
    executed file whole.

    Parameters
    ----------
    names : sequence of str, optional
        Notebooks without folder and suffix; all of ``notebooks/`` by default.
    experiment : str, optional
        Value of the parameter ``experiment``, for the pages that have it; where it is
        not the page's own, a note on the page says so. The other pages run as they are,
        and so do those that show a study which the experiment does not ask for: a note
        says how to ask for it.
    jobs : int
        Pages that run at a time.
    root : path-like, optional
        The project's root; found from the working folder by default.

    Returns
    -------
    list of pathlib.Path
        The executed pages, those that were up to date included.

    Raises
    ------
    ValueError
        If a name or the experiment is unknown, a page that is named cannot show the
        experiment, or a notebook is not a page (see :func:`read_page`); nothing has run
        then.
    OSError
        If the folder of the executed pages cannot be written; nothing has run then.
    RuntimeError
        If pages stopped; the message names each, its cell and the error.
    """
    root = Path(root).resolve() if root else settings.project_root()
    loaded = experiment and settings.load_experiment(experiment, root=root)
    common, waiting, targets = _common_digest(root), {}, []
    for name in _chosen(names, root / "notebooks"):
        source = root / "notebooks" / f"{name}.md"
        page = read_page(source)
        accepted = parameter_names(page)
        takes = experiment is not None and "experiment" in accepted
        if experiment is not None and names is not None and not takes:
            raise ValueError(
                f"render: {name!r} must have the parameter `experiment` to be run "
                f"with another one; it has {sorted(accepted)}."
            )
        lacking = _lacking(page, loaded) if takes else []
        if lacking and names is not None:
            raise ValueError(
                f"render: {experiment} must ask for what {name!r} shows, received no "
                f"{lacking} in its `language.studies`; add them, and run "
                f"`state-gradients reproduce {experiment}`."
            )
        asked = experiment if takes else None
        digest = common.copy()
        digest.update(source.read_bytes() + repr((asked, lacking)).encode())
        solutions = _solutions_of(source)
        digest.update(solutions.read_bytes() if solutions.is_file() else b"")
        targets.append(root / "book" / "sections" / f"{name}.ipynb")
        made_from = digest.hexdigest()
        both = (targets[-1], _with_solutions(targets[-1], root))
        if any(_made_from(path) != made_from for path in both):
            waiting[name] = (source, targets[-1], asked, lacking, made_from, root)
    if waiting:
        require_writable(root / "book" / "sections", "render")
        _run_all(waiting, jobs)
    for target in targets:
        write_tables(target, root)
    return targets


def _run_all(waiting, jobs):
    stopped = []
    # papermill changes the working folder: a process each, not a thread
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        first = sorted(waiting, key=lambda name: name not in LONGEST)
        runs = {pool.submit(_run, *waiting[name]): name for name in first}
        for run in tqdm(as_completed(runs), total=len(runs), desc="pages"):
            if (error := run.exception()) is not None:
                stopped.append(f"notebooks/{runs[run]}.md: {error}")
    if stopped:
        raise RuntimeError(
            f"render: {len(stopped)} of {len(waiting)} pages stopped:\n"
            + "\n".join(sorted(stopped))
        )


def write_tables(page, root):
    """Write the tables of an executed page's figures, those that have changed.

    This stands here, and not beside what makes them, for a page that imported
    ``nbformat`` would take a second more.

    Parameters
    ----------
    page : path-like
        An executed notebook.
    root : path-like
        The project's root.

    Returns
    -------
    list of pathlib.Path
    """
    paths = []
    for cell in nbformat.read(page, as_version=4).cells:
        for output in cell.get("outputs", []):
            if name := output.get("metadata", {}).get("text/csv", {}).get("name"):
                paths.append(root / sources.TABLES / f"{name}.csv")
                _write(paths[-1], "".join(output["data"]["text/csv"]))
    return paths


def _write(path, text):
    if path.is_file() and path.read_text(encoding="utf-8") == text:
        return
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")
