"""How long each page takes to read, counted in its source: an extension for Sphinx.

- ``{reading-times}`` is a table of all pages of ``_toc.yml``, by part;
- ``{minutes}`STEM STEM``` is what these pages take together, in minutes.

The minutes are ::

    words / WORDS_A_MINUTE + figures MINUTES_A_FIGURE + formulas MINUTES_A_FORMULA

of what stands before a page's exercises, rounded up to a multiple of `STEP`. Formulas
are those that have lines of their own. Code and solutions are not counted.
"""

import math
import re
from dataclasses import dataclass
from pathlib import Path

import yaml
from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective, SphinxRole

from state_gradients.foundation import settings
from state_gradients.paper.book.pages import DASH

WORDS_A_MINUTE = 100  # with a pencil; a novel is read at some 240
MINUTES_A_FIGURE = 2
MINUTES_A_FORMULA = 1
STEP = 5  # minutes: nobody reads to the minute
# What a page asks of its reader, as the course page says: 1, 2 or 3.
DEPTH = {
    "index": 1,
    "01-introduction": 1,
    "02-related-work": 2,
    "notation": 1,
    "03-state-gradients": 2,
    "04-1-whitening": 2,
    "04-2-synthetic-corpus": 2,
    "04-3-1-language-models": 2,
    "04-3-2-average-memory": 2,
    "04-3-3-word-classes": 2,
    "04-3-4-word-types": 3,
    "05-1-concept": 3,
    "05-2-properties": 3,
    "forgetting": 3,
    "06-conclusion": 1,
    "08-lowest-perplexity": 2,
    "09-linear-classification": 2,
    "influence": 3,
    "rulers": 2,
    "grammar": 1,
    "languages": 2,
    "cells": 2,
    "tasks": 2,
    "flip-flop": 2,
    "learning": 2,
    "layers": 2,
    "claims": 1,
    "ledger": 2,
    "references": 1,
    "speed": 3,
    "coherence": 3,
    "tail": 3,
    "planted": 2,
    "sentence": 1,
    "scale-out": 3,
    "own-text": 1,
    "other-networks": 1,
    "what-can-go-wrong": 1,
    "inspect": 1,
    "explorer": 1,
    "course": 1,
    "glossary": 1,
    "api": 3,
}
_BLOCK = re.compile(r"^ {0,3}([`:]{3,})")
_OF_DIRECTIVES = re.compile(r"^(?:[`:]{3,}.*|:[\w-]+:.*|\(.*\)=)$", re.MULTILINE)
_EXERCISE = re.compile(
    r"^(?:[`:]{3,}\{(?:admonition\} Exercise|exercise)|\*\*\d+\.\*\*)", re.MULTILINE
)
_WORD = re.compile(r"\w[\w'.,-]*")


@dataclass(frozen=True)
class Page:
    """What was counted in a page's source."""

    file: str  # as `_toc.yml` names it
    title: str
    words: int
    figures: int
    formulas: int
    exercises: int
    below: int = 0  # pages under it, which are for looking up

    @property
    def stem(self):
        """The name without folder and suffix."""
        return Path(self.file).stem

    @property
    def minutes(self):
        """What the page takes to read, a multiple of `STEP`."""
        exact = (
            self.words / WORDS_A_MINUTE
            + self.figures * MINUTES_A_FIGURE
            + self.formulas * MINUTES_A_FORMULA
        )
        return STEP * math.ceil(exact / STEP)


def source_of(file, root):
    """Return the path of what a page of ``_toc.yml`` is written in."""
    if file.endswith(".ipynb"):
        return root / "notebooks" / f"{Path(file).stem}.md"
    return root / f"{file}.md"


def count(text):
    """Return the words, figures, formulas and exercises of a page's MyST source.

    Parameters
    ----------
    text : str

    Returns
    -------
    dict of str to int
    """
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    before, _, after = text.partition("\n## Exercises")
    figures = len(re.findall(r"^ *name: fig-", before, re.MULTILINE))
    before = _without_code(before)
    formulas = before.count("$$") // 2
    prose = re.sub(r"\$\$.*?\$\$", " ", before, flags=re.DOTALL)
    prose = re.sub(r"\{[\w:-]+\}`[^`]*`", "x", prose)  # a role shows a word or two
    prose = re.sub(r"\]\([^)]*\)", "]", prose)  # addresses of links
    prose = re.sub(r"\$[^$]*\$", "x", prose)
    prose = _OF_DIRECTIVES.sub("", prose)
    return {
        "words": len(_WORD.findall(prose)),
        "figures": figures,
        "formulas": formulas,
        "exercises": len(_EXERCISE.findall(after)),
    }


def _without_code(text):
    """Leave out blocks of code and what Sphinx fills in; keep those that hold prose."""
    kept, closing = [], None
    for line in text.splitlines():
        fence = _BLOCK.match(line)
        if closing:
            closing = None if line.strip() == closing else closing
        elif fence and not re.match(
            r" *[`:]{3,}(?:\{(?:admonition|div|container|note|tip|glossary)|$)", line
        ):
            closing = fence.group(1)
        else:
            kept.append(line)
    return "\n".join(kept)


def pages(root=None):
    """Return the pages of ``_toc.yml``, by part.

    Parameters
    ----------
    root : path-like, optional
        The project's root; found from the working folder by default.

    Returns
    -------
    dict of str to list of Page
        The first part, without a name, holds the front page.
    """
    root = Path(root) if root else settings.project_root()
    toc = yaml.safe_load((root / "_toc.yml").read_text(encoding="utf-8"))
    parts = {"": [{"file": toc["root"]}]}
    parts |= {part["caption"]: part["chapters"] for part in toc["parts"]}
    return {
        caption: [_page(chapter, root) for chapter in chapters]
        for caption, chapters in parts.items()
    }


def _page(chapter, root):
    file = chapter["file"]
    text = source_of(file, root).read_text(encoding="utf-8")
    title = re.search(r"^# (.*)$", text, re.MULTILINE)
    below = len(chapter.get("sections", []))
    return Page(file, title.group(1) if title else file, **count(text), below=below)


def minutes_of(stems, *, root=None):
    """Return what some pages take together, in minutes.

    Raises
    ------
    ValueError
        If a name is no page's.
    """
    known = {page.stem: page for part in pages(root).values() for page in part}
    for stem in stems:
        if stem not in known:
            hint = settings.nearest(stem, known)
            raise ValueError(f"minutes: no page {stem!r} in _toc.yml; {hint}")
    return sum(known[stem].minutes for stem in stems)


def _rows(parts):
    """Yield the lines of the table, in MyST, seen from ``book/``."""
    yield "| page | depth | minutes | figures | exercises |"
    yield "|---|---|---|---|---|"
    for caption, found in parts.items():
        if caption:
            yield f"| **{caption}** | | {sum(p.minutes for p in found)} | | |"
        for page in found:
            suffix = "" if page.file.endswith(".ipynb") else ".md"
            link = f"[{page.title}]({page.file.removeprefix('book/')}{suffix})"
            if page.below:
                link += f" and {page.below} pages below it, for looking up"
            numbers = (DEPTH.get(page.stem, DASH), page.minutes)
            shown = [*numbers, page.figures or "", page.exercises or ""]
            yield f"| {link} | " + " | ".join(map(str, shown)) + " |"


class ReadingTimes(SphinxDirective):
    """``{reading-times}``: a table of all pages, and by which rule."""

    def run(self):
        """Return the rule and the table."""
        self.env.note_dependency(str(settings.project_root() / "_toc.yml"))
        parts = pages()
        for page in (page for part in parts.values() for page in part):
            source = source_of(page.file, settings.project_root())
            self.env.note_dependency(str(source))
        rule = (
            f"Counted when this book was built: {WORDS_A_MINUTE} words a minute, "
            f"{MINUTES_A_FIGURE} minutes a figure, {MINUTES_A_FORMULA} a formula "
            f"that has a line of its own, rounded up to {STEP} minutes; exercises, "
            "code and tables are not counted."
        )
        lines = [rule, "", *_rows(parts)]
        found = nodes.container(classes=["reading-times"])
        self.state.nested_parse(StringList(lines), self.content_offset, found)
        return found.children


class MinutesRole(SphinxRole):
    """``{minutes}`STEM STEM```: what these pages take together."""

    def run(self):
        """Return the sum as text."""
        try:
            found = minutes_of(self.text.split())
        except ValueError as error:
            message = self.inliner.reporter.error(str(error), line=self.lineno)
            return [nodes.problematic(self.rawtext, self.rawtext)], [message]
        return [nodes.Text(str(found))], []


def setup(app):
    """Add the directive and the role to Sphinx."""
    app.add_directive("reading-times", ReadingTimes)
    app.add_role("minutes", MinutesRole())
    return {"parallel_read_safe": True}
