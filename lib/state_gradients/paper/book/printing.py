"""The whole book as one PDF: the built pages, bound into one and printed by Chromium.

The pages of ``_build/html`` are read in the order of ``_toc.yml`` and laid behind a
title page and a table of contents. Links between them become links within the PDF. It
is printed twice: the first copy says on which page each chapter begins, the second has
these numbers in its contents. What only a screen can do is left out: code that is
folded away, solutions, fields and scripts; ``book/_static/print.css`` says how the rest
looks.
"""

import json
import logging
import os
import posixpath
import shutil
import sys
import time
from html import escape
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup

from state_gradients.foundation import settings
from state_gradients.foundation.atomic import replacing
from state_gradients.paper.book.publishing import commit_of

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COLUMN = 658  # CSS pixels: A4 less the margins of print.css, 174 mm
LEFT_OUT = (
    "script, style, form, button, [hidden], .headerlink, .solution, "
    "details.above-input, "
    ".admonition.dropdown:has(> .admonition-title:-soup-contains('Solution'))"
)
NOT_YET = "000"  # stands in the contents while the page is not known
# Whatever is still wider than the column is drawn smaller, never cut off.
FIT = """async column => {
  await window.MathJax.startup.promise;
  await document.fonts.ready;
  const wide = "table, pre, mjx-container, img";
  for (const element of document.querySelectorAll(`article :is(${wide})`)) {
    const room = Math.min(column, element.parentElement.closest(
      "td, li, dd, .admonition, section, article").clientWidth);
    const width = Math.max(element.scrollWidth, element.getBoundingClientRect().width);
    if (room > 0 && width > room + 1) element.style.zoom = room / width;
  }
}"""
PAPER = {"prefer_css_page_size": True, "print_background": True, "tagged": True}
NUMBER = """pages => {
  for (const number of document.querySelectorAll(".printed-contents .number")) {
    number.textContent = pages[number.dataset.anchor];
  }
}"""


def browser():
    """Return the path of an installed Chromium.

    Raises
    ------
    RuntimeError
        If there is none.
    """
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        raise RuntimeError(
            "pdf: a Chromium must be installed to print the book, but none of "
            f"{', '.join(BROWSERS)} is on the PATH; on Debian: apt install chromium."
        )
    return path


def contents(toc):
    """Return the parts of a book, and the pages of each in reading order.

    Parameters
    ----------
    toc : dict
        ``_toc.yml``, in Jupyter Book's format.

    Returns
    -------
    list of (str, list of (str, int))
        Captions; names of pages without suffix, and how deep they stand.

    Examples
    --------
    >>> from state_gradients.paper.book.printing import contents
    >>> contents({"root": "index", "parts": [{"caption": "One", "chapters": [
    ...     {"file": "a.ipynb", "sections": [{"file": "b"}]}]}]})
    [('', [('index', 0)]), ('One', [('a', 0), ('b', 1)])]
    """

    def below(chapters, depth):
        for chapter in chapters:
            yield chapter["file"].removesuffix(".ipynb"), depth
            yield from below(chapter.get("sections", []), depth + 1)

    parts = [("", [(toc["root"], 0)])]
    for part in toc["parts"]:
        parts.append((part["caption"], [*below(part["chapters"], 0)]))
    return parts


def _anchor(page, fragment=""):
    """Return a name that is the only one of its kind in the bound book."""
    return f"{page.replace('/', '-')}--{fragment}"


def _turned(address, page, pages, home):
    """Return a page's address as the bound book has it; None where it leads nowhere."""
    url = urlsplit(address)
    if url.scheme or url.netloc:
        return address
    path = posixpath.join(posixpath.dirname(page), unquote(url.path))
    path = posixpath.normpath(path)
    target = path.removesuffix(".html") if url.path else page
    if target in pages:
        return f"#{_anchor(target, unquote(url.fragment))}"
    return f"{home}{address if not url.path else path}" if home else None


def _read(html, page):
    return BeautifulSoup((html / f"{page}.html").read_text(), "html.parser")


def _article(html, page, pages, home):
    """Return a page's text, ready to stand between others."""
    article = _read(html, page).find("article")
    for element in article.select(LEFT_OUT):
        element.decompose()
    for element in article.select("[id]"):
        element["id"] = _anchor(page, element["id"])
    for link in article.select("a[href]"):
        address = _turned(link["href"], page, pages, home)
        if address is None:
            link.name = "span"
            del link["href"]
        else:
            link["href"] = address
    for image in article.select("img[src]:not([src^='data:'])"):
        source = posixpath.join(posixpath.dirname(page), image["src"])
        image["src"] = posixpath.normpath(posixpath.join("../html", source))
    for details in article.select("details"):  # on paper all is unfolded
        details.summary.decompose()
        details.name = "div"
    article["id"] = _anchor(page)
    article["class"] = ["bd-article", "chapter"]
    return article


def _head(html, page):
    """Return a built page's styles and what sets its formulas, for the bound book."""
    folder, kept = posixpath.join("../html", posixpath.dirname(page)), []
    head = _read(html, page).head
    for element in head.select("link[rel=stylesheet], script"):
        asked = element.get("href") or element.get("src")
        if asked:
            key = "href" if element.get("href") else "src"
            element[key] = posixpath.normpath(posixpath.join(folder, asked))
        if element.name == "link" or "mathjax" in f"{asked}{element.text}".lower():
            kept.append(str(element))
    return "\n".join(kept)


def _title_of(article):
    heading = article.find("h1")
    return " ".join(heading.get_text().split()) if heading else "Contents"


def bind(root):
    """Write the built pages as one, and return it with what its contents name.

    Parameters
    ----------
    root : pathlib.Path
        The project's root, with ``_build/html``.

    Returns
    -------
    tuple of (str, list of (int, str, str))
        The document, with `NOT_YET` as every page's number; depth, title and anchor of
        each entry of its outline.

    Raises
    ------
    FileNotFoundError
        If the book is not built.
    """
    config = yaml.safe_load((root / "_config.yml").read_text())
    parts = contents(yaml.safe_load((root / "_toc.yml").read_text()))
    html = root / "_build" / "html"
    pages = [page for _, listed in parts for page, _ in listed]
    missing = [page for page in pages if not (html / f"{page}.html").is_file()]
    if missing:
        raise FileNotFoundError(
            f"pdf: the book must be built, but {missing[0]}.html is not in {html}; "
            "run `make book`."
        )
    home = config.get("html", {}).get("baseurl") or ""
    home = f"{home.rstrip('/')}/" if home else ""
    articles = {page: _article(html, page, set(pages), home) for page in pages}
    listed, outline, running = [], [], []
    for caption, chapters in parts:
        if caption:
            listed.append(f'<p class="part">{escape(caption)}</p>')
            outline.append((0, caption, articles[chapters[0][0]]["id"]))
        for page, depth in chapters:
            article = articles[page]
            title, anchor = _title_of(article), article["id"]
            name = f"page-{len(running)}"
            article["style"] = f"page: {name}"
            head = json.dumps(title, ensure_ascii=False)
            running.append(f"@page {name} {{ @top-right {{ content: {head} }} }}")
            listed.append(
                f'<p class="depth-{depth}"><a href="#{anchor}">{escape(title)}</a>'
                f'<span class="number" data-anchor="{anchor}">{NOT_YET}</span></p>'
            )
            outline.append((bool(caption) + depth, title, anchor))
            for section in article.select("section > section:has(> h2)"):
                heading = " ".join(section.find("h2").get_text().split())
                outline.append((bool(caption) + depth + 1, heading, section["id"]))
    # Chromium names in the PDF only what something links to.
    targets = "".join(f'<a href="#{anchor}"></a>' for _, _, anchor in outline)
    commit = commit_of(root)
    made_from = f"<p>Made from commit {escape(commit)}.</p>" if commit else ""
    document = f"""<!DOCTYPE html>
<html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">
<title>{escape(config["title"])}</title>
{_head(html, pages[0])}
<style>{"".join(running)}</style></head>
<body class="printed-book">
<header class="title-page"><h1>{escape(config["title"])}</h1>
<p>{escape(config["author"])}</p>
<footer>{made_from}<p>© {escape(config["copyright"])}</p></footer></header>
<nav class="printed-contents"><h1>Contents</h1>{"".join(listed)}{targets}</nav>
<main class="bd-content">{"".join(map(str, articles.values()))}</main>
</body></html>"""
    return document, outline


def _pages_of(pdf, anchors):
    """Return the page, from 0, and the height at which each anchor stands in a PDF."""
    named, found = pdf.named_destinations, {}
    for anchor in anchors:
        destination = named.get(anchor) or named.get(f"/{anchor}")
        if destination is None:
            raise RuntimeError(
                "pdf: Chromium must name all that the contents link to, but received "
                f"no {anchor}; is it on its page?"
            )
        found[anchor] = (pdf.get_destination_page_number(destination), destination.top)
    return found


def print_book(root, target=None):
    """Print the built book into one PDF.

    Parameters
    ----------
    root : path-like
        The project's root.
    target : path-like, optional
        The PDF; by default ``_build/pdf/state-gradients.pdf``.

    Returns
    -------
    tuple of (pathlib.Path, int)
        The PDF and the number of its pages.

    Raises
    ------
    FileNotFoundError
        If the book is not built.
    RuntimeError
        If no Chromium is installed, or a chapter got lost on its way.
    """
    from playwright.sync_api import sync_playwright
    from pypdf import PdfReader, PdfWriter
    from pypdf.generic import Fit

    logging.getLogger("pypdf").setLevel(logging.ERROR)  # it counts Chromium's objects
    root, executable = Path(root).resolve(), browser()
    document, outline = bind(root)
    folder = root / "_build" / "pdf"
    target = Path(target) if target else folder / "state-gradients.pdf"
    folder.mkdir(parents=True, exist_ok=True)
    bound, copy = folder / "book.html", folder / "copy.pdf"
    bound.write_text(document)
    anchors = [anchor for _, _, anchor in outline]
    # Chromium has no sandbox for root, as which containers run.
    options = ["--no-sandbox"] if os.geteuid() == 0 else []
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=executable, args=options) as opened,
    ):
        page = opened.new_page(viewport={"width": COLUMN, "height": 960})
        page.context.set_offline(True)
        page.set_default_timeout(600_000)  # ms, for a busy machine
        page.emulate_media(media="print", color_scheme="light")
        page.goto(bound.as_uri())
        page.evaluate(FIT, COLUMN)
        for _ in range(2):
            page.pdf(path=copy, **PAPER)
            pages = _pages_of(PdfReader(copy), anchors)
            page.evaluate(NUMBER, {name: at + 1 for name, (at, _) in pages.items()})
    writer = PdfWriter(clone_from=copy)
    above = []
    for depth, title, anchor in outline:
        number, top = pages[anchor]
        parent = above[depth - 1] if depth else None
        item = writer.add_outline_item(
            title=title, page_number=number, parent=parent, fit=Fit.xyz(0, top)
        )
        above[depth:] = [item]
    config = yaml.safe_load((root / "_config.yml").read_text())
    writer.add_metadata({"/Title": config["title"], "/Author": config["author"]})
    with replacing(target) as temporary:
        writer.write(temporary)
    copy.unlink()
    return target, len(writer.pages)


if __name__ == "__main__":
    begun = time.monotonic()
    try:
        made, count = print_book(settings.project_root())
    except (RuntimeError, FileNotFoundError) as error:
        sys.exit(f"error: {error}")
    size, seconds = made.stat().st_size / 1e6, time.monotonic() - begun
    sys.stdout.write(
        f"The book on paper: {made} ({count} pages, {size:.0f} MB, {seconds:.0f} s)\n"
    )
