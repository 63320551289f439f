"""The page for lecturers and the glossary, held against what they speak of."""

import re

import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from test_book import HTML, PAGES, pages_of_toc

from state_gradients.paper.book import course
from state_gradients.project import kinds
from state_gradients.text import corpora

COURSE = (ROOT / "book" / "course.md").read_text("utf-8")
GLOSSARY = (ROOT / "book" / "glossary.md").read_text("utf-8")
[ENTRIES] = re.findall(r"```\{glossary\}\n(.*?)\n```", GLOSSARY, re.DOTALL)
TERMS = re.findall(r"^(\S.*)$", ENTRIES, re.MULTILINE)
PROSE = [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.md")]
needs_book = pytest.mark.skipif(not PAGES, reason="the book is not built: make book")
SMALL = """---
kernelspec: {name: python3}
---

# A page

Three words {cite:p}`nobody2020` and $a + b$ and [a link](somewhere-far/away.md).

$$
x = \\text{not counted}
$$

```{code-cell} python
---
mystnb: {figure: {caption: not counted}}
    name: fig-one
---
not_counted = 1
```

```{admonition} What to take away
:class: tip
Five more words of prose.
```

## Exercises

```{admonition} Exercise 1
Not counted.
```

**2.** Nor this.
"""


def test_words_figures_formulas_and_exercises_are_counted():
    # A page; Three words x and x and a link; Five more words of prose
    found = course.count(SMALL)
    assert found == {"words": 2 + 8 + 5, "figures": 1, "formulas": 1, "exercises": 2}


def test_minutes_follow_the_rule_and_are_rounded_up():
    page = course.Page("x", "x", words=1000, figures=2, formulas=1, exercises=0)
    assert page.minutes == 15  # 10 + 4 + 1
    assert course.Page("x", "x", 1, 0, 0, 0).minutes == 5
    assert course.Page("x", "x", 1001, 2, 1, 0).minutes == 20


def test_every_page_of_the_toc_is_in_the_table_with_its_depth():
    found = [page for part in course.pages(ROOT).values() for page in part]
    assert len(found) + sum(page.below for page in found) == len(pages_of_toc())
    assert {page.file for page in found} <= set(pages_of_toc())
    missing = {page.stem for page in found} - course.DEPTH.keys()
    assert not missing, f"course.DEPTH must say how deep these pages are: {missing}"
    assert not course.DEPTH.keys() - {page.stem for page in found}, "no such page"


def test_minutes_of_several_pages_are_their_sum():
    each = [course.minutes_of([x], root=ROOT) for x in ("notation", "coherence")]
    assert course.minutes_of(["notation", "coherence"], root=ROOT) == sum(each)
    with pytest.raises(ValueError, match="did you mean 'notation'"):
        course.minutes_of(["notations"], root=ROOT)


def licences():
    """Return the rows of the table of licences, each its cells."""
    rows = COURSE.split("## What may be handed out")[1].split("\n## ")[0]
    lines = re.findall(r"^\|.*", rows, re.MULTILINE)
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_the_licence_table_names_what_every_file_of_results_is_from():
    named = set(re.findall(r"`(\w+)`", " ".join(what for what, *_ in licences()[2:])))
    assert not kinds.KINDS.keys() - named, "kinds of artifacts without a licence"
    folders = {path.name for path in (ROOT / "data").iterdir() if path.is_dir()}
    text = " ".join(what for what, *_ in licences())
    assert {x for x in folders - {"artifacts"} if f"data/{x}/" not in text} == set()


def test_the_licence_table_names_every_corpus_and_agrees_with_its_source():
    rows = {what: terms for what, _, terms, _ in licences()}
    for name, source in corpora.REGISTRY.items():
        base = re.sub(
            r"-(half(-[01])?|quarter|split|control|sov|degrees-5x)$", "", name
        )
        found = [terms for what, terms in rows.items() if f"`{base}`" in what]
        assert len(found) == 1, name
        marks = r"CC BY(?:-SA)? \d\.\d|LDC|NILC|permi\w+"
        for mark in re.findall(marks, source.licence):
            assert mark.lower() in found[0].lower(), (name, mark)


def test_the_commands_of_the_page_are_in_the_makefile():
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    said = r"`make ([a-z ]+)`|^make ([a-z ]+?)(?: +#.*)?$"
    found = re.findall(said, COURSE, re.MULTILINE)
    named = {target for pair in found for target in "".join(pair).split()}
    assert {"slides", "book", "lab"} <= named <= set(targets)


def test_terms_are_unique_sorted_and_used():
    keys = [term.lower() for term in TERMS]
    assert len(keys) > 40
    assert keys == sorted(set(keys))
    text = " ".join(p.read_text("utf-8") for p in PROSE if p.stem != "glossary").lower()
    text = " ".join(text.split())
    assert [term for term in keys if term not in text] == []


def test_the_first_uses_of_terms_lead_to_the_glossary():
    linked, role = set(), r"\{term\}`(?:[^`<]*<)?([^`>]+)>?`"
    for path in PROSE:
        if path.stem != "glossary":
            found = re.findall(role, path.read_text("utf-8"))
            assert len(found) == len(set(found)), f"{path.name} links a term twice"
            linked |= {term.lower() for term in found}
    assert len(linked) > 15
    assert linked <= {term.lower() for term in TERMS}


@needs_book
def test_the_built_page_lists_all_pages():
    text = (HTML / "book" / "course.html").read_text("utf-8")
    page = BeautifulSoup(text, "html.parser")
    [table] = [t for t in page.find_all("table") if t.th.get_text(strip=True) == "page"]
    links = {a["href"].split("#")[0] for a in table.find_all("a")}
    chapters = {p.file for part in course.pages(ROOT).values() for p in part}
    expected = {
        f"{x.removesuffix('.ipynb').removeprefix('book/')}.html" for x in chapters
    }
    assert expected - {"course.html"} <= links
