"""A book of three pages with the real book's settings, built in a second process.

It has what is hard to print or to publish: an executed notebook whose source lies in
another folder, formulas, a figure, folded code, a solution, a table wider than paper,
and links between pages.
"""

import base64
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib.pyplot as plt
import nbformat
import yaml
from conftest import ROOT

TOC = {
    "format": "jb-book",
    "root": "book/index",
    "parts": [
        {
            "caption": "The study",
            "chapters": [
                {"file": "book/sections/first.ipynb"},
                {"file": "book/second", "sections": [{"file": "book/third"}]},
            ],
        }
    ],
}
FIRST = r"""# One, with a figure

A *state gradient* is $\partial s_t / \partial e_{t-\tau}$, whose memory is

$$
\sigma_1 = \max_{\lVert u \rVert = 1} \lVert G u \rVert .
$$

A network forgets. More of it in [the second page](../second.md), and in
{numref}`fig-line`.

```{admonition} Exercise 1
What is $\sigma_2$?
```

```{admonition} Solution
:class: dropdown
The answer that nobody may see on paper.
```

```{admonition} Why
:class: dropdown
Folded, but no solution.
```
"""
SECOND = """# Two

## A section

Back to [the first](sections/first.ipynb).

## Another section

"""
CELLS = range(24)
TABLE = (
    "<table><tbody><tr>"
    + "".join(f"<td>column-number-{i}</td>" for i in CELLS)
    + "</tr></tbody></table>"
)
PYTHON = {
    "kernelspec": {"name": "python3", "display_name": "Python 3"},
    "language_info": {"name": "python", "pygments_lexer": "python3"},
}
DATES = ("2021-02-03T12:00:00+0000", "2022-03-04T12:00:00+0000")


def picture():
    """Return a drawn line as base64."""
    figure, ax = plt.subplots(figsize=(4, 3))
    ax.plot([0, 1])
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    plt.close(figure)
    return base64.b64encode(file.getvalue()).decode()


def write_notebook(path):
    """Write the executed page, as rendering does."""
    figure = {"figure": {"caption": "A line.", "name": "fig-line"}}
    drawn = nbformat.v4.new_code_cell(
        "draw_what_is_folded_away()",
        metadata={
            "tags": ["hide-input"],
            "mystnb": figure | {"image": {"alt": "a line that goes up"}},
        },
        outputs=[nbformat.v4.new_output("display_data", {"image/png": picture()})],
    )
    table = nbformat.v4.new_code_cell(
        "shown_code()",
        outputs=[nbformat.v4.new_output("display_data", {"text/html": TABLE})],
    )
    page = nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_markdown_cell(FIRST), drawn, table],
        metadata=PYTHON,
    )
    for index, cell in enumerate(page.cells):
        cell["id"] = f"cell-{index}"
    path.parent.mkdir(parents=True)
    nbformat.write(page, path)


def git(folder, *arguments, date=DATES[0]):
    """Run git with a date and a name of its own; return what it prints."""
    name = {"GIT_AUTHOR_NAME": "A", "GIT_AUTHOR_EMAIL": "a@example.org"}
    name |= {k.replace("AUTHOR", "COMMITTER"): v for k, v in name.items()}
    dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date}
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        env=os.environ | name | dates,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def write_book(root, *, book="", repository=""):
    """Write the sources of the small book, with these two addresses in its settings."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    config["html"]["baseurl"] = book
    config["repository"]["url"] = repository
    shutil.copytree(ROOT / "book" / "_static", root / "book" / "_static")
    for name in ("params.yaml", "book/references.bib"):
        shutil.copy(ROOT / name, root / name)
    (root / "_config.yml").write_text(yaml.safe_dump(config))
    (root / "_toc.yml").write_text(yaml.safe_dump(TOC))
    (root / ".gitignore").write_text("_build/\nbook/sections/\n")
    (root / "book" / "index.md").write_text("# State Gradients\n\nThe front page.\n")
    paragraphs = "A paragraph that fills the page.\n\n" * 80
    (root / "book" / "second.md").write_text(SECOND + paragraphs)
    (root / "book" / "third.md").write_text("# Three\n\n## The last section\n\nEnd.\n")
    (root / "notebooks").mkdir()
    (root / "notebooks" / "first.md").write_text("# One, with a figure\n")
    write_notebook(root / "book" / "sections" / "first.ipynb")


def commit_book(root):
    """Commit the small book, its notebook a year after the other pages."""
    git(root, "init", "-q", "-b", "main")
    git(root, "add", ".", ":!notebooks")
    git(root, "commit", "-q", "-m", "Write the pages")
    git(root, "add", "notebooks")
    git(root, "commit", "-q", "-m", "Write the notebook", date=DATES[1])


def build(root, *options, **environment):
    """Build the book as `make book` does; return the finished process."""
    command = Path(sys.executable).with_name("jupyter-book")
    usual = ("build", ".", "-W", "-n", "--keep-going", "-q", "--all")
    return subprocess.run(
        [command, *usual, *options],
        cwd=root,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def built(root):
    """Build the book, which must go without a warning; return its HTML folder."""
    done = build(root)
    assert done.returncode == 0, done.stderr[-3000:]
    return root / "_build" / "html"
