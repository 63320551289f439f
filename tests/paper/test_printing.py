"""The PDF of the book: read back by pypdf, page by page.

A small book with the real settings is built and printed once; of the real book, once it
is built, the bound pages are checked before they are printed.
"""

import re
import unicodedata

import pytest
import small_book
from bs4 import BeautifulSoup
from conftest import NEEDS_BROWSER, ROOT
from pypdf import PdfReader

from state_gradients.paper.book import printing

HTML = ROOT / "_build" / "html"
A4 = (595, 842)  # points


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A small book, built."""
    root = tmp_path_factory.mktemp("book")
    small_book.write_book(root)
    small_book.built(root)
    return root


@pytest.fixture(scope="module")
def pdf(root):
    try:
        printing.browser()
    except RuntimeError as error:
        pytest.fail(str(error)) if NEEDS_BROWSER else pytest.skip(str(error))
    path, count = printing.print_book(root)
    printed = PdfReader(path)
    assert len(printed.pages) == count
    return printed


def words(page):
    """Return a page's text, its formulas in plain letters."""
    return unicodedata.normalize("NFKC", page.extract_text())


def text_of(pdf):
    return "\n".join(words(page) for page in pdf.pages)


def page_with(pdf, phrase):
    [number] = [i for i, page in enumerate(pdf.pages) if phrase in words(page)]
    return number


def outline(pdf, items=None, depth=0):
    """Return depth, title and page of each entry of a PDF's outline."""
    for item in pdf.outline if items is None else items:
        if isinstance(item, list):
            yield from outline(pdf, item, depth + 1)
        else:
            yield depth, item.title, pdf.get_destination_page_number(item)


pytestmark = pytest.mark.slow


def test_the_book_begins_with_its_title_and_says_what_it_is(pdf):
    first = words(pdf.pages[0])
    assert "State Gradients" in first and "CC BY 4.0" in first
    assert "Introduction" not in first and not re.search(r"^1$", first, re.MULTILINE)
    assert pdf.metadata.title == "State Gradients"
    assert pdf.metadata.author == "The State Gradients maintainers"
    assert pdf.trailer["/Root"]["/MarkInfo"]["/Marked"], (
        "a tagged PDF can be read aloud"
    )
    assert {tuple(round(x) for x in page.mediabox[2:]) for page in pdf.pages} == {A4}


def test_the_outline_has_parts_chapters_and_sections_on_their_pages(pdf):
    listed = [*outline(pdf)]
    assert [(depth, title) for depth, title, _ in listed] == [
        (0, "State Gradients"),
        (0, "The study"),
        (1, "One, with a figure"),
        (1, "Two"),
        (2, "A section"),
        (2, "Another section"),
        (2, "Three"),
        (3, "The last section"),
    ]
    for _, title, page in listed[2:]:
        assert title in words(pdf.pages[page])


def test_the_contents_give_the_page_that_is_printed_below(pdf):
    contents = words(pdf.pages[1])
    chapters = {"One, with a figure", "Two", "Three"}
    where = {title: page for _, title, page in outline(pdf) if title in chapters}
    for title, page in where.items():
        assert re.search(rf"{title}\s*{page + 1}\b", contents), contents
        assert re.search(rf"^{page + 1}$", words(pdf.pages[page]), re.MULTILINE)
    assert where["Three"] > where["Two"] + 1, "the second chapter has several pages"


def test_no_page_is_blank(pdf):
    titles = {title for _, title, _ in outline(pdf)}
    for page in pdf.pages[1:]:
        lines = [line.strip() for line in words(page).splitlines()]
        text = [x for x in lines if x and x not in titles and not x.isdigit()]
        assert text, lines


def test_formulas_are_letters(pdf):
    text = text_of(pdf)
    letters = re.sub(r"\s", "", text)
    partial, sigma, minus, tau = "\u2202", "\u03c3", "\u2212", "\u03c4"
    assert f"{partial}st/{partial}et{minus}{tau}" in letters
    assert f"{sigma}1=max" in letters and f"{sigma}2" in letters
    assert "\\partial" not in text and "$" not in text


def test_figures_are_printed_once_with_their_captions(pdf):
    [image] = [image for page in pdf.pages for image in page.images]
    assert image.image.size == (400, 300)  # the sign of a lost image is smaller
    assert "Fig. 1 A line." in text_of(pdf)


def test_solutions_and_folded_code_stay_off_the_paper(pdf):
    text = text_of(pdf)
    assert "The answer that nobody may see" not in text
    assert "draw_what_is_folded_away" not in text
    assert "Folded, but no solution" in text
    assert "shown_code()" in text


def test_nothing_is_cut_off_by_the_edge(pdf):
    """All columns of a table wider than the page, and all else, stand on the page."""
    edges = []

    def note(text, matrix, position, font, size):
        if text.strip():
            scale = matrix[0] * size * position[0]  # points per em, about
            x = matrix[0] * position[4] + matrix[4]
            edges.append((x, x + len(text.strip()) * scale * 0.3, text))

    for page in pdf.pages:
        page.extract_text(visitor_text=note)
    text = text_of(pdf).replace("\n", "")
    assert [i for i in small_book.CELLS if f"column-number-{i}" not in text] == []
    assert [edge for edge in edges if edge[0] < 0 or edge[1] > A4[0]] == []


def test_links_stay_in_the_book(pdf):
    named, targets = pdf.named_destinations, []
    for page in pdf.pages:
        for note in page.get("/Annots") or ():
            link = note.get_object()
            action = link.get("/A", {}).get("/URI", "")
            assert not action.startswith("file:"), action
            if "/Dest" in link:
                targets.append(str(link["/Dest"]))
    assert any("second--" in target for target in targets)
    assert [t for t in targets if t not in named and f"/{t}" not in named] == []


def test_a_book_without_pages_is_not_printed(tmp_path):
    small_book.write_book(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"run `make book`"):
        printing.bind(tmp_path)


def test_without_a_browser_it_says_what_to_install(root, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RuntimeError, match="a Chromium must be installed"):
        printing.print_book(root)


def test_links_that_leave_the_pages_need_the_books_address():
    pages = {"book/a", "book/b/c"}
    turned = {
        ("../b.html#x", ""): None,
        ("../b.html#x", "https://example.org/"): "https://example.org/b.html",
        ("b/c.html", ""): "#book-b-c--",
        ("b/c.html#d", ""): "#book-b-c--d",
        ("#e", ""): "#book-a--e",
        ("https://example.org/z", ""): "https://example.org/z",
    }
    for (address, home), expected in turned.items():
        assert printing._turned(address, "book/a", pages, home) == expected


# The real book, bound


@pytest.fixture(scope="module")
def bound():
    if not (HTML / "book").is_dir():
        pytest.skip("the book is not built: make book")
    document, listed = printing.bind(ROOT)
    return BeautifulSoup(document, "html.parser"), listed


def test_the_bound_book_has_every_figure_of_the_pages(bound):
    document, _ = bound
    pages = [
        BeautifulSoup(p.read_text(), "html.parser")
        for p in HTML.rglob("book/**/*.html")
    ]
    for kind in ("figure", "article img"):
        expected = sum(
            len(page.select(f"article {kind.split()[-1]}")) for page in pages
        )
        assert len(document.select(f"main {kind.split()[-1]}")) == expected > 0
    for image in document.select("main img:not([src^='data:'])"):
        assert (ROOT / "_build" / "pdf" / image["src"]).resolve().is_file()


def test_the_bound_book_has_each_anchor_once_and_every_link_its_target(bound):
    document, listed = bound
    names = [element["id"] for element in document.select("[id]")]
    assert len(names) == len(set(names))
    links = [a["href"] for a in document.select("a[href]")]
    inner = {link[1:] for link in links if link.startswith("#")}
    assert inner - set(names) == set()
    assert {anchor for *_, anchor in listed} <= inner
    assert [
        x for x in links if not x.startswith(("#", "https:", "http:", "mailto:"))
    ] == []


def test_the_bound_book_holds_no_solution(bound):
    document, _ = bound
    titles = [title.get_text() for title in document.select(".admonition-title")]
    assert any(title.startswith("Exercise") for title in titles)
    assert [title for title in titles if title.startswith("Solution")] == []
