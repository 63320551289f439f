"""The built book as a browser shows it: widths, dark mode, accessibility, links.

Each page is opened once, from its file and without a network: wide and dark, then as
wide as a phone and light. `in_page.js` holds the questions that are asked inside.
"""

import base64
import json
import os
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import NEEDS_BROWSER, ROOT
from playwright.sync_api import TimeoutError as NotInTime

from state_gradients.paper.exercises import fields

HTML = ROOT / "_build" / "html"
# What Sphinx adds to the pages (404 needs an address: tests/paper/test_publishing.py)
ADDED = [HTML / f"{name}.html" for name in ("genindex", "py-modindex", "search")]
PAGES = [*sorted((HTML / "book").rglob("*.html")), *filter(os.path.exists, ADDED)]
WIDE, PHONE = {"width": 1400, "height": 900}, {"width": 390, "height": 844}
# The theme lets the keyboard reach what scrolls, a moment after the window has changed.
TAB_STOPS = """() => [...document.querySelectorAll("article [tabindex='-1']")].every(
    (box) => box.scrollWidth <= box.clientWidth
)"""
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


def let_in(route):
    """Answer a page's request if it is for the book's own folder, and no other."""
    own = route.request.url.startswith(f"{HTML.as_uri()}/")
    route.continue_() if own else route.abort()


@pytest.fixture(scope="module")
def offline(browser):
    with browser.new_context(viewport=WIDE, color_scheme="dark") as context:
        context.set_offline(True)
        context.route("**/*", let_in)
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
    """Return what fails after twenty seconds: the theme marks boxes after a resize."""
    try:
        page.wait_for_function(
            f"() => window.book.{question}().length === 0", timeout=20_000
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
        pytest.fail(reason) if NEEDS_BROWSER else pytest.skip(reason)


def test_a_page_asks_for_nothing_outside_of_its_folder(page):
    own = (f"{HTML.as_uri()}/", "data:", "blob:")  # the latter made by the page itself
    assert [url for url in page.asked if not url.startswith(own)] == []


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


def violations(page):
    """Return what axe finds on a page, less what the theme alone can mend."""
    return [
        f"{violation['id']}: {node['html'][:120]}"
        for violation in Axe().run(page, options=AXE_OPTIONS).response["violations"]
        for node in violation["nodes"]
        if not is_excused(page, violation["id"], node)
    ]


def test_axe_finds_nothing_on_a_wide_dark_page(page):
    assert violations(page) == []


def test_axe_finds_nothing_on_a_light_phone(phone):
    phone.wait_for_function(
        TAB_STOPS, timeout=20_000
    )  # a third of a second after resizing
    assert violations(phone) == []


@pytest.mark.skipif(not PAGES, reason="the book is not built: make book")
def test_boxes_are_marked_where_the_theme_hears_of_no_resize(offline):
    """As it was seen not to: a phone's tables that scroll have their sign anyway."""
    page = offline.new_page()
    page.add_init_script(
        "addEventListener('resize', (e) => e.stopImmediatePropagation(), true)"
    )
    page.goto((HTML / "book" / "sections" / "speed.html").as_uri())
    show(page, PHONE, "light")
    page.wait_for_timeout(1000)
    without = answers(page, "boxesWithoutSign")  # also code that is folded away
    page.close()
    assert [box for box in without if "output" in box.split()[0]] == []


def test_a_phone_shows_all_and_scrolls_down_only(phone):
    assert answers(phone, "tooWide") == []
    assert answers(phone, "tablesWithoutBox") == []
    assert answers(phone, "cutOff") == []
    assert answers(phone, "images") == []
    assert settled(phone, "boxesWithoutSign") == []


def test_a_light_page_can_be_read(phone):
    assert not answers(phone, "isDark")
    assert answers(phone, "unreadable") == []


def fields_of(page):
    """The fields of a page by the exercise's number, with what each accepts."""
    found = {}
    for form in page.locator("form.exercise-field").all():
        packed = form.get_attribute("data-sealed")
        field = json.loads(base64.b64decode(packed))
        found[form.get_attribute("data-exercise")] = (form, field)
    return found


def right_answer(field):
    """Find by trial what a field accepts, as nobody does at a glance."""
    candidates = field.get("letters") or range(100_000)
    for candidate in candidates:
        if fields.digest(f"{field['salt']}|{candidate}") in field["right"]:
            whole = field.get("letters") or field["whole"]
            return str(candidate if whole else candidate * field["step"])
    raise AssertionError(f"nothing answers {field['salt']}")


def answer(form, field, text):
    """Type an answer with the keyboard alone, and return what the page says."""
    if field.get("letters"):
        form.locator(f"input[value={text}]").focus()
        form.page.keyboard.press("Space")
    else:
        form.locator("input").focus()
        form.page.keyboard.press("ControlOrMeta+a")
        form.page.keyboard.type(text)
    form.page.keyboard.press("Enter")
    return form.get_by_role("status").inner_text()


def answer_all(page):
    """Answer all of a page's fields wrong and right; the right answer stays."""
    for form, field in fields_of(page).values():
        form.evaluate("form => form.reset()")
        right = right_answer(field)
        if letters := field.get("letters"):
            assert "Choose a statement first." in answer_nothing(form)
            others = [letter for letter in letters if letter != right]
            for letter in others:
                assert len(answer(form, field, letter)) > len("Not this one. ") + 10
        else:
            assert "That is no number." in answer(form, field, "many")
            said = answer(form, field, f"{float(right) * 3 + 7:g}")
            assert f"Not yet. Expected: {field['expected']}" in said
            assert len(said) > len(field["expected"]) + 40  # and a hint
        assert answer(form, field, right).endswith("Right.")
        if not field.get("letters"):
            comma = answer(form, field, right.replace(".", ","))
            assert comma.endswith("Right.")


def answer_nothing(form):
    form.get_by_role("button").click()
    return form.get_by_role("status").inner_text()


def test_fields_tell_right_from_wrong_wide_and_dark(page):
    answer_all(page)
    assert answers(page, "unreadable") == []


def test_fields_tell_right_from_wrong_on_a_phone(phone):
    answer_all(phone)
    assert answers(phone, "tooWide") == []
    assert answers(phone, "unreadable") == []


def test_nothing_of_a_field_is_printed(page):
    page.emulate_media(media="print")
    forms = page.locator("form.exercise-field").all()
    assert [form.is_visible() for form in forms] == [False] * len(forms)
    page.emulate_media(media="screen")


class Links(HTMLParser):
    """The addresses that a page refers to, and the anchors that it has."""

    def __init__(self):
        super().__init__()
        self.addresses, self.anchors = [], set()

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        self.anchors |= {names[key] for key in ("id", "name") if key in names}
        self.addresses += [names[key] for key in ("href", "src") if names.get(key)]
        if names.get("http-equiv") == "Refresh":
            self.addresses.append(names["content"].partition("url=")[2])


@pytest.fixture(scope="module")
def links():
    """The links of each page of the book, read once."""
    by_page = {}
    for path in HTML.rglob("*.html"):
        by_page[path] = Links()
        by_page[path].feed(path.read_text())
    return by_page


@pytest.mark.parametrize("path", [*PAGES, HTML / "index.html"], ids=page_name)
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
