"""The built book as a browser shows it: widths, dark mode, accessibility, links.

Each page is opened once, from its file and without a network: wide and dark, then as
wide as a phone and light. `in_page.js` holds the questions that are asked inside.
"""

import os
import shutil
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from playwright.sync_api import TimeoutError as NotInTime
from playwright.sync_api import sync_playwright

HTML = ROOT / "_build" / "html"
INDEXES = [HTML / "genindex.html", HTML / "py-modindex.html"]
PAGES = [*sorted((HTML / "book").rglob("*.html")), *filter(os.path.exists, INDEXES)]
LOCAL = ("file:", "data:", "blob:")  # a worker is made from a blob of the page
WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
# A reader without a browser leaves these tests out; .ci/run installs one and may not.
NEEDED = "STATE_GRADIENTS_NEEDS_BROWSER" in os.environ
# `unreadable` measures contrast faster than axe, in both themes and in folded code.
AXE_OPTIONS = {
    "rules": {"color-contrast": {"enabled": False}},
    "resultTypes": ["violations"],
}
# Rules of axe that the theme or docutils breaks, on elements that we do not write:
# rule: (where, why).
NOT_OURS = {
    "region": (
        ".bd-sidebar-primary",
        "the theme puts the book's title in the sidebar outside of its <nav>",
    ),
    "summary-name": (
        ".bd-sidebar-primary",
        "the theme unfolds a chapter's pages by a chevron without a name",
    ),
    "aria-allowed-role": (
        ".citation",
        "docutils gives entries of a bibliography the role doc-biblioentry",
    ),
    "aria-deprecated-role": (".citation", "the same; ARIA 1.1 still had the role"),
    "aria-required-children": (
        ".citation-list",
        "docutils calls a list what holds such entries, and no items",
    ),
}


def page_name(path):
    return str(path.relative_to(HTML).with_suffix(""))


@pytest.fixture(scope="module")
def browser():
    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        reason = f"no browser: none of {', '.join(names)} is installed"
        pytest.fail(reason) if NEEDED else pytest.skip(reason)
    # Chromium has no sandbox for root, as which containers run.
    options = {"executable_path": executable, "args": ["--no-sandbox"]}
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(**options) as browser,
    ):
        yield browser


@pytest.fixture(scope="module")
def offline(browser):
    with browser.new_context(viewport=WIDE, color_scheme="dark") as context:
        context.set_offline(True)
        context.add_init_script(path=ROOT / "tests" / "in_page.js")
        yield context


@pytest.fixture(scope="module", params=PAGES, ids=page_name)
def page(offline, request):
    """One page, wide and dark, with its formulas set; `asked` is what it loads."""
    page = offline.new_page()
    page.asked = []
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(request.param.as_uri())
    page.evaluate("() => window.MathJax?.startup?.promise")
    yield page
    page.close()


def show(page, viewport, theme):
    """Resize a page, and wait until it has taken the system's colours."""
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=theme)
    page.wait_for_function(
        "theme => document.documentElement.dataset.theme === theme", arg=theme
    )


@pytest.fixture
def phone(page):
    show(page, PHONE, "light")
    yield page
    show(page, WIDE, "dark")


def answers(page, question):
    """Return what fails on a page, by a function of in_page.js."""
    return page.evaluate(f"() => window.book.{question}()")


def settled(page, question):
    """Return what fails after a second: the theme marks boxes after each resize."""
    try:
        page.wait_for_function(
            f"() => window.book.{question}().length === 0", timeout=1000
        )
    except NotInTime:
        return answers(page, question)
    return []


def is_excused(page, rule, node):
    """Whether a violation of axe stands where the theme writes, not we."""
    where, _ = NOT_OURS.get(rule, (None, None))
    return where is not None and page.locator(node["target"][0]).first.evaluate(
        "(element, where) => element.closest(where) !== null", where
    )


def test_the_book_that_must_be_looked_at_is_built():
    if not PAGES:
        reason = "the book is not built: make book"
        pytest.fail(reason) if NEEDED else pytest.skip(reason)


def test_a_page_asks_nothing_of_the_network(page):
    assert [url for url in page.asked if not url.startswith(LOCAL)] == []


def test_a_wide_page_fits_and_its_tables_scroll(page):
    assert answers(page, "tooWide") == []
    assert answers(page, "tablesWithoutBox") == []
    assert settled(page, "boxesWithoutSign") == []


def test_a_dark_page_is_dark_and_can_be_read(page):
    assert answers(page, "isDark")
    assert answers(page, "whiteTables") == []
    assert answers(page, "unreadable") == []


def test_images_fit_and_say_what_they_show(page):
    assert answers(page, "images") == []


def test_axe_finds_nothing(page):
    found = [
        f"{violation['id']}: {node['html'][:120]}"
        for violation in Axe().run(page, options=AXE_OPTIONS).response["violations"]
        for node in violation["nodes"]
        if not is_excused(page, violation["id"], node)
    ]
    assert found == []


def test_a_phone_shows_all_and_scrolls_down_only(phone):
    assert answers(phone, "tooWide") == []
    assert answers(phone, "tablesWithoutBox") == []
    assert answers(phone, "cutOff") == []
    assert answers(phone, "images") == []
    assert settled(phone, "boxesWithoutSign") == []


def test_a_light_page_can_be_read(phone):
    assert not answers(phone, "isDark")
    assert answers(phone, "unreadable") == []


class Links(HTMLParser):
    """The addresses that a page refers to, and the anchors that it has."""

    def __init__(self):
        super().__init__()
        self.addresses, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        self.anchors |= {names[key] for key in ("id", "name") if key in names}
        self.addresses += [names[key] for key in ("href", "src") if names.get(key)]


@pytest.fixture(scope="module")
def links():
    """The links of each page of the book, read once."""
    by_page = {}
    for path in HTML.rglob("*.html"):
        by_page[path] = Links()
        by_page[path].feed(path.read_text())
    return by_page


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_every_local_link_and_anchor_exists(links, path):
    broken = []
    for address in links[path].addresses:
        url = urlsplit(address)
        if url.scheme or url.netloc:
            continue
        target = (path.parent / unquote(url.path)).resolve() if url.path else path
        anchor = unquote(url.fragment)
        known = links[target].anchors if target in links else {anchor}
        if not target.exists() or (anchor and anchor not in known):
            broken.append(address)
    assert broken == []
