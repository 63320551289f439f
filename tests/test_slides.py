"""The slides of a lecture: their source always, and built, as a browser shows them."""

import base64
import io
import os
import re
import shutil
import subprocess
import sys
import unicodedata

import nbformat
import pytest
from bs4 import BeautifulSoup
from conftest import ROOT
from playwright.sync_api import sync_playwright
from pypdf import PdfReader

from state_gradients.paper.book import slides

SOURCE = (ROOT / "book" / "slides" / "index.md").read_text("utf-8")
HEADINGS = re.findall(r"^##? (.*)$", SOURCE, re.MULTILINE)
PICTURES = re.findall(r"^```\{picture\} (\S+)(\n:wide:)?$", SOURCE, re.MULTILINE)
SECTIONS = ROOT / "book" / "sections"
SIZE = {"width": 1280, "height": 720}
LEGIBLE = 30  # pixels of 720: a letter as high as a fortieth of the screen
# A reader without a browser leaves these tests out; .ci/run installs one and may not.
NEEDED = "STATE_GRADIENTS_NEEDS_BROWSER" in os.environ
needs_pages = pytest.mark.skipif(
    not SECTIONS.is_dir(), reason="the pages are not executed: make book"
)
slow = pytest.mark.slow

# What of a slide's own is not inside it, or too small: text, how far, how small.
MISFITS = """smallest => {
  const slide = Reveal.getCurrentSlide();
  const own = [...slide.querySelectorAll("h1, h2, p, li, td, th, pre, figure, img")];
  const edge = slide.getBoundingClientRect();
  return own.filter(x => !x.closest("aside")).flatMap(x => {
    const box = x.getBoundingClientRect();
    const size = parseFloat(getComputedStyle(x).fontSize);
    const outside = box.right > edge.right + 1 || box.bottom > innerHeight - 8;
    const small = size < smallest && x.matches("h1, h2, p, li, td, th, pre");
    return outside || small ? [[x.textContent.slice(0, 60), box.bottom, size]] : [];
  });
}"""


def test_no_number_is_typed_on_a_slide():
    said = re.sub(r"```text\n.*?```|\$\$.*?\$\$", "", SOURCE, flags=re.DOTALL)
    said = re.sub(r"\{[\w:-]+\}`[^`]*`|\$[^$]*\$|```\{picture\}.*", "", said)
    assert re.findall(r"^.*\d.*$", said, re.MULTILINE) == []


def test_every_slide_says_something_else_and_has_notes():
    assert len(set(HEADINGS)) == len(HEADINGS)
    each = re.split(r"^##? ", SOURCE, flags=re.MULTILINE)[1:]
    assert [x.splitlines()[0] for x in each if ":::{revealjs-notes}" not in x] == []


@needs_pages
def test_numbers_and_pictures_are_those_of_the_pages():
    page = "04-3-2-average-memory"
    kept = nbformat.read(SECTIONS / f"{page}.ipynb", as_version=4)
    outputs = [output for cell in kept.cells for output in cell.get("outputs", [])]
    [gain] = [
        output
        for output in outputs
        if output.get("metadata", {}).get("scrapbook", {}).get("name") == "gain"
    ]
    [shown] = gain["data"].values()
    assert slides.number(f"{page}::gain") == shown.strip("'")


@needs_pages
@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda: slides.number("04-1-whitening::spread-traned"), "'spread-trained'"),
        (lambda: slides.number("4-1-whitening::far"), "state-gradients render"),
        (lambda: slides.picture("coherence::fig-splt"), "'fig-split'"),
        (
            lambda: slides.picture("coherence::fig-coherence", wide=True),
            "fig-average-memory, fig-memory-cells",
        ),
    ],
)
def test_what_is_not_there_is_refused(ask, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        ask()


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder of the slides, built with warnings as errors."""
    if not SECTIONS.is_dir():
        pytest.skip("the pages are not executed: make book")
    folder = tmp_path_factory.mktemp("slides")
    command = [sys.executable, "-m", "sphinx", "-b", "revealjs", "-E", "-W", "-n", "-q"]
    places = ["-d", folder / "doctrees", ROOT / "book" / "slides", folder / "html"]
    done = subprocess.run([*command, *places], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def deck(built):
    """The slides in a browser without a network, their formulas set."""
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        reason = f"no browser: none of {', '.join(names)} is installed"
        pytest.fail(reason) if NEEDED else pytest.skip(reason)
    options = {"executable_path": executable, "args": ["--no-sandbox"]}
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(**options) as browser,
        browser.new_context(viewport=SIZE) as context,
    ):
        context.set_offline(True)
        page = context.new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.goto((built / "index.html").as_uri())
        page.wait_for_function("Reveal.isReady()")
        page.evaluate("() => window.MathJax.startup.promise")
        yield page


@slow
def test_each_picture_is_the_page_s_own_and_says_what_it_shows(built):
    html = BeautifulSoup((built / "index.html").read_text("utf-8"), "html.parser")
    shown = html.select("figure.picture")
    assert len(shown) == len(PICTURES) > 10
    for figure, (target, wide) in zip(shown, PICTURES, strict=True):
        png, alt = slides.picture(target, wide=bool(wide))
        source = figure.img["src"].removeprefix("data:image/png;base64,")
        if not wide:
            assert base64.b64decode(source) == png, target
        assert figure.img["alt"] == alt
        page, name = target.split("::")
        assert figure.figcaption.get_text() == f"notebooks/{page}.md, {name}"


@slow
def test_the_slides_ask_nothing_of_the_network(deck, built):
    inside = built.as_uri()
    strange = [x for x in deck.asked if not x.startswith((inside, "data:", "blob:"))]
    assert strange == []
    assert any("mathjax" in x for x in deck.asked), "formulas were not set at all"
    assert deck.said == []


@slow
def test_each_slide_fits_and_is_read_from_the_last_row(deck):
    deck.evaluate("() => Reveal.slide(0, 0)")
    n_slides = deck.evaluate("Reveal.getTotalSlides()")
    assert n_slides == len(HEADINGS)
    title = "Reveal.getCurrentSlide().querySelector('h1, h2').innerText"
    for heading in HEADINGS:
        assert deck.evaluate(title) == heading
        assert deck.evaluate(MISFITS, LEGIBLE) == [], heading
        notes = deck.evaluate("Reveal.getSlideNotes()")
        assert notes and "{" not in notes, heading
        deck.keyboard.press("ArrowRight")
    assert deck.evaluate("document.querySelectorAll('mjx-merror').length") == 0


@slow
def test_the_slides_print_one_to_a_page(deck, built):
    page = deck.context.new_page()
    page.goto(f"{(built / 'index.html').as_uri()}?print-pdf")
    page.wait_for_function("document.querySelectorAll('.pdf-page').length > 0")
    page.evaluate("() => window.MathJax.startup.promise")
    margins = page.evaluate(
        "() => [...document.querySelectorAll('.pdf-page h2')].map(x => "
        "x.getBoundingClientRect().left - x.closest('.pdf-page')"
        ".getBoundingClientRect().left)"
    )
    assert min(margins) > 40, "printed slides begin at the edge of the paper"
    printed = PdfReader(io.BytesIO(page.pdf(prefer_css_page_size=True)))
    page.close()
    assert len(printed.pages) == len(HEADINGS)
    for sheet, heading in zip(printed.pages, HEADINGS, strict=True):
        text = unicodedata.normalize("NFKC", sheet.extract_text())  # ligatures
        assert heading in " ".join(text.split())
