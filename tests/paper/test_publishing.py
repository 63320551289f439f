"""What a published book says of itself, with and without its two addresses.

A small book with the real settings is built five times: with both addresses; from two
clones of one commit, and from one that is shallow; and without addresses or git.
"""

import os
import re
import socket
import tomllib
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import matplotlib.image
import pytest
import small_book
import yaml
from bs4 import BeautifulSoup
from conftest import ROOT
from sphinx.errors import ExtensionError
from test_browser import NOT_OURS, Links, is_excused

from state_gradients.paper.book import publishing

pytestmark = pytest.mark.slow
BOOK = "https://example.org/state-gradients"
REPOSITORY = "https://github.com/owner/name"
PAGES = ("index", "sections/first", "second", "third")
DATES = {name: "03 February 2021" for name in PAGES} | {
    "sections/first": "04 March 2022"  # its notebook's, for git does not know the page
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """The committed sources of a book that knows both its addresses."""
    root = tmp_path_factory.mktemp("sources")
    small_book.write_book(root, book=BOOK, repository=REPOSITORY)
    small_book.commit_book(root)
    return root


@pytest.fixture(scope="module")
def published(sources):
    return small_book.built(sources)


@pytest.fixture(scope="module")
def private(tmp_path_factory):
    """The built book of a copy without addresses, outside of git."""
    root = tmp_path_factory.mktemp("private")
    small_book.write_book(root)
    return small_book.built(root)


def cloned(sources, root, *options):
    """Build the book from a clone of its sources; executed pages are copied."""
    small_book.git(root.parent, "clone", "-q", *options, f"file://{sources}", root.name)
    small_book.write_notebook(root / "book" / "sections" / "first.ipynb")
    return small_book.built(root)


def read(html, name):
    return BeautifulSoup((html / "book" / f"{name}.html").read_text(), "html.parser")


def meta(page, key):
    """Return what a page's head says under a key, None if nothing."""
    tag = page.find("meta", property=key) or page.find("meta", attrs={"name": key})
    return tag and tag["content"]


def file_of(address):
    """Return the file, below the book's folder, that an address of the book is for."""
    assert address.startswith(f"{BOOK}/")
    return address.removeprefix(f"{BOOK}/")


def said_date(page):
    text = page.select_one(".last-updated")
    return text and re.search(r"on (.+)\.", text.get_text()).group(1)


def test_the_sitemap_names_each_page_with_its_date(published):
    tree = ElementTree.parse(published / "sitemap.xml")
    space = {"s": "http://www.sitemaps.org/schemas/sitemap/0.9"}
    listed = {
        file_of(url.find("s:loc", space).text): url.find("s:lastmod", space).text
        for url in tree.iterfind("s:url", space)
    }
    assert listed == {
        f"book/{name}.html": f"{'2022-03-04' if 'first' in name else '2021-02-03'}"
        "T12:00:00Z"
        for name in PAGES
    }


@pytest.mark.parametrize("name", PAGES)
def test_a_page_says_when_its_source_was_changed(published, name):
    assert said_date(read(published, name)) == DATES[name]


@pytest.mark.parametrize("name", PAGES)
def test_a_shared_link_shows_a_card_that_exists(published, name):
    page = read(published, name)
    assert file_of(meta(page, "og:url")) == f"book/{name}.html"
    assert meta(page, "og:site_name") == "State Gradients"
    assert page.h1.find(string=True) in meta(page, "og:image:alt")
    card = matplotlib.image.imread(published / file_of(meta(page, "og:image")))
    width, height = (
        int(meta(page, "og:image:width")),
        int(meta(page, "og:image:height")),
    )
    assert card.shape[:2] == (height, width)


def test_a_page_is_described_by_its_first_sentence_without_formulas(published, private):
    for html in (published, private):
        said = meta(read(html, "sections/first"), "description")
        assert said.startswith("A network forgets.")
    assert meta(read(published, "sections/first"), "og:description") == said


@pytest.mark.parametrize("name", PAGES)
def test_a_problem_is_reported_with_page_source_and_commit(published, sources, name):
    [link] = read(published, name).select("a.report-problem")
    url = urlsplit(link["href"])
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{REPOSITORY}/issues/new"
    fields = parse_qs(url.query)
    commit = small_book.git(sources, "rev-parse", "HEAD")[:12]
    source = "notebooks/first.md" if "first" in name else f"book/{name}.md"
    assert fields["title"] == [f"book/{name}: "]
    assert f"Source: {source}\nCommit: {commit}\n" in fields["body"][0]
    assert (sources / source).is_file()


def test_a_report_to_gitlab_has_its_fields_and_may_lack_the_commit():
    address = publishing.report_address("https://gitlab.com/a/b/", "book/x", None)
    assert address.startswith("https://gitlab.com/a/b/-/issues/new?")
    fields = parse_qs(urlsplit(address).query)
    assert "Commit: not known" in fields["issue[description]"][0]
    assert fields["issue[title]"] == ["book/x: "]


def test_changes_that_are_not_committed_are_said(tmp_path):
    assert publishing.commit_of(tmp_path) is None
    (tmp_path / "a").write_text("1")
    small_book.git(tmp_path, "init", "-q")
    small_book.git(tmp_path, "add", "a")
    small_book.git(tmp_path, "commit", "-q", "-m", "a")
    commit = small_book.git(tmp_path, "rev-parse", "HEAD")[:12]
    assert publishing.commit_of(tmp_path) == commit
    (tmp_path / "a").write_text("2")
    assert publishing.commit_of(tmp_path) == f"{commit}-dirty"


def test_binder_opens_the_source_of_a_notebook(published, sources):
    links = {
        name: [
            link
            for link in read(published, name).select("a[href]")
            if link["href"].startswith("https://mybinder.org/")
        ]
        for name in PAGES
    }
    assert [name for name, found in links.items() if found] == ["sections/first"]
    [link] = links["sections/first"]
    url = urlsplit(link["href"])
    assert url.path == "/v2/gh/owner/name/main"
    [path] = parse_qs(url.query)["urlpath"]
    assert path.startswith("lab/tree/")
    notebook = unquote(path.removeprefix("lab/tree/"))
    assert small_book.git(sources, "ls-files", notebook) == notebook
    assert "never tried" in link.get_text()


def test_binder_installs_what_the_book_was_made_with():
    folder = ROOT / ".binder"
    [line] = (folder / "requirements.txt").read_text().splitlines()
    lock = (folder / line.removeprefix("-r ")).resolve()
    assert lock == ROOT / "requirements.lock"
    pinned = {name.split("==")[0] for name in lock.read_text().splitlines()}
    assert {"jupyterlab", "jupytext", "jupyterlab-myst"} <= pinned
    python = (folder / "runtime.txt").read_text().strip().removeprefix("python-")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == f">={python}"
    assert os.access(folder / "postBuild", os.X_OK)


def test_without_addresses_no_link_leads_nowhere(private):
    assert not (private / "sitemap.xml").exists()
    assert not (private / "404.html").exists()
    for name in PAGES:
        page = read(private, name)
        assert not page.select(
            "a.report-problem, meta[property^='og:'], [rel=canonical]"
        )
        buttons = page.select(".header-article a, .header-article button")
        addresses = [button.get("href", "") for button in buttons]
        assert [a for a in addresses if urlsplit(a).netloc] == []


def test_a_host_that_the_theme_does_not_know_is_linked_too(tmp_path):
    repository = "https://codeberg.org/owner/name"
    small_book.write_book(tmp_path, repository=repository)
    page = read(small_book.built(tmp_path), "sections/first")
    [link] = page.select("a.report-problem")
    assert link["href"].startswith(f"{repository}/issues/new?title=")
    [binder] = [a["href"] for a in page.select("a") if "mybinder" in a.get("href", "")]
    assert binder.startswith("https://mybinder.org/v2/git/https%3A//codeberg.org/")


def test_without_git_pages_have_no_date_but_their_sources(private):
    for name in PAGES:
        page = read(private, name)
        assert said_date(page) is None
        [source] = page.select("a.btn-download-source-button")
        assert (
            (private / "book" / f"{name}.html")
            .parent.joinpath(source["href"])
            .resolve()
            .is_file()
        )


def test_a_shallow_clone_builds_without_dates_that_would_be_wrong(sources, tmp_path):
    html = cloned(sources, tmp_path / "shallow", "--depth", "1")
    assert [said_date(read(html, name)) for name in PAGES] == [None] * len(PAGES)


def test_the_same_commit_gives_the_same_bytes(sources, tmp_path):
    first, second = (cloned(sources, tmp_path / name) for name in ("here", "there"))
    files = [path.relative_to(first) for path in first.rglob("*") if path.is_file()]
    assert {str(path) for path in files} >= {
        "sitemap.xml",
        "404.html",
        "searchindex.js",
    }
    changed = [
        p for p in files if (first / p).read_bytes() != (second / p).read_bytes()
    ]
    assert changed == []


# The page of addresses that are none


@pytest.fixture
def visit(browser, published):
    """Open an address of the book in a browser that gets the built files and no other.

    What is not there is answered as a host would: with 404.html.
    """
    refused = []

    def answer(route):
        url = route.request.url.partition("?")[0].partition("#")[0]
        if not url.startswith(f"{BOOK}/"):
            refused.append(route.request.url)
            route.abort()
        elif (path := published / file_of(url)).is_file():
            route.fulfill(path=path)
        else:
            route.fulfill(path=published / "404.html", status=404)

    with browser.new_context() as context:
        context.route("**/*", answer)
        page = context.new_page()
        missing = []
        page.on(
            "response", lambda r: missing.append(r.url) if r.status == 404 else None
        )
        page.refused, page.missing = refused, missing
        yield lambda path: (page.goto(f"{BOOK}/{path}"), page)[1]


LOST = "book/no/such/page.html"


def test_a_lost_reader_finds_a_page_that_works(visit, published):
    page = visit(LOST)
    assert page.locator("article h1").inner_text() == "No such page"
    assert page.refused == []
    assert page.missing == [f"{BOOK}/{LOST}"], "what the page itself needs is missing"
    links = Links()
    links.feed(page.content())
    prefix = urlsplit(BOOK).path
    for address in links.addresses:
        url = urlsplit(address)
        if url.path:
            assert (published / url.path.removeprefix(f"{prefix}/")).is_file(), address


def test_a_lost_reader_can_search(visit):
    page = visit(LOST)
    page.locator("article a", has_text="search").click()
    page.wait_for_url(f"{BOOK}/search.html")
    page.wait_for_load_state()
    field = page.locator("main input[type=search]").first
    field.fill("paragraph")
    field.press("Enter")
    page.wait_for_selector("#search-results li a")
    page.locator("#search-results li a").first.click()
    page.wait_for_url(f"{BOOK}/book/second.html**")
    assert page.missing == [f"{BOOK}/{LOST}"]


def test_axe_finds_nothing_on_the_page_of_lost_readers(visit):
    from axe_playwright_python.sync_playwright import Axe

    page = visit(LOST)
    found = [
        f"{violation['id']}: {node['html'][:120]}"
        for violation in Axe().run(page).response["violations"]
        for node in violation["nodes"]
        if violation["id"] not in NOT_OURS
        or not is_excused(page, violation["id"], node)
    ]
    assert found == []


# Links out of the book


def asked(monkeypatch, answers):
    """Let these sites answer and no other; return which were asked."""
    sites = []

    def connect(address, timeout):
        sites.append(address[0])
        if address[0] not in answers:
            raise OSError("no route to host")
        return SimpleNamespace(close=lambda: None)

    monkeypatch.setattr(socket, "create_connection", connect)
    return sites


def test_links_are_not_checked_without_a_network(monkeypatch):
    asked(monkeypatch, answers=())
    app = SimpleNamespace(builder=SimpleNamespace(name="linkcheck"))
    with pytest.raises(ExtensionError, match="a network is needed, but none of"):
        publishing._require_network(app)


def test_links_are_checked_if_any_site_answers(monkeypatch):
    sites = asked(monkeypatch, answers=publishing.SITES[1:2])
    publishing._require_network(
        SimpleNamespace(builder=SimpleNamespace(name="linkcheck"))
    )
    assert sites == [*publishing.SITES[:2]]


def test_building_the_book_asks_no_network(monkeypatch):
    sites = asked(monkeypatch, answers=())
    publishing._require_network(SimpleNamespace(builder=SimpleNamespace(name="html")))
    assert sites == []


def test_the_settings_hold_no_address_of_ours_yet():
    """Whoever publishes fills in both; a made-up address would be a dead link."""
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert {"url", "branch"} <= config["repository"].keys()
    for address in (config["html"]["baseurl"], config["repository"]["url"]):
        assert address == "" or urlsplit(address).scheme == "https"
