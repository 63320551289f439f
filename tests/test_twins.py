"""The twins of figures in a browser, from file, with everything else shut out."""

import json
import shutil

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import ROOT
from playwright.sync_api import expect, sync_playwright

from state_gradients.project import artifacts

HTML = (ROOT / "_build" / "html").resolve()
SECTIONS = HTML / "book" / "sections"
NAME = "ptb-lstm-256"
CURVES = ("04-3-2-average-memory", "fig-average-memory")
CLASSES = ("04-3-3-word-classes", "fig-classes")
TYPES = ("04-3-4-word-types", "fig-types-memory")
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(
    BROWSER is None or not SECTIONS.is_dir(), reason="no browser, or no book: make book"
)


@pytest.fixture(scope="module")
def context():
    options = {"executable_path": BROWSER, "args": ["--no-sandbox"]}
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(**options) as browser,
        browser.new_context(viewport={"width": 1300, "height": 1000}) as context,
    ):
        context.route(is_elsewhere, lambda route: route.abort())
        yield context


def is_elsewhere(url):
    return not url.startswith(HTML.as_uri())


@pytest.fixture
def page(context):
    page = context.new_page()
    yield page
    page.close()


def explored(page, place):
    name, figure = place
    page.goto((SECTIONS / f"{name}.html").as_uri())
    found = page.locator(f"#{figure}")
    found.get_by_role("button", name="Explore").press("Enter")  # as a keyboard does
    found.locator("canvas").wait_for()
    return found


def values(figure, row):
    """Return the exact numbers that are read out in a row."""
    cells = figure.locator(f"tr:has(th:text-is({json.dumps(row)})) td")
    return [
        float(text) for text in cells.evaluate_all("x => x.map(e => e.dataset.value)")
    ]


def point_at(page, figure, x, y):
    box = figure.locator("canvas").bounding_box()
    for nudge in (0, 2):  # a pointer moves: one event alone finds nothing yet
        page.mouse.move(
            box["x"] + x * box["width"] + nudge, box["y"] + y * box["height"]
        )


def memory_of(delay, normalization="whitened", name=NAME):
    data = artifacts.load(name, "spectra")["memory"].isel(group=0, state_kind=-1)
    return float(data.sel(normalization=normalization, delay=delay))


def test_pointing_reads_out_the_memory_of_the_artifact(page):
    figure = explored(page, CURVES)
    point_at(page, figure, 0.5, 0.3)
    expect(figure.locator("caption")).not_to_have_text("delay 0")
    delay = int(figure.locator("caption").inner_text().split()[-1])
    assert values(figure, "whitened")[0] == memory_of(delay)
    assert values(figure, "raw")[0] == memory_of(delay, "raw")


def test_choosing_an_experiment_draws_it_and_reads_it_out(page):
    figure = explored(page, CURVES)
    picture = "figure => figure.querySelector('canvas').toDataURL()"
    before = figure.evaluate(picture)
    figure.get_by_label("ptb-gru-256, hidden").check()
    row = figure.locator("th:text-is('ptb-gru-256, hidden')")
    expect(row).to_be_visible()
    assert values(figure, "ptb-gru-256, hidden")[0] == memory_of(0, name="ptb-gru-256")
    assert figure.evaluate(picture) != before
    figure.get_by_role("checkbox", name="whitened").uncheck()
    expect(figure.locator("th:text-is('whitened')")).to_have_count(0)


def test_arrow_keys_move_along_the_delays(page):
    figure = explored(page, CURVES)
    figure.get_by_role("slider").press("ArrowRight")
    expect(figure.locator("caption")).to_have_text("delay 1")
    assert values(figure, "whitened")[0] == memory_of(1)


def test_a_class_that_is_chosen_is_read_out(page):
    figure = explored(page, CLASSES)
    figure.get_by_role("combobox").select_option("Det")
    expect(figure.locator("caption")).to_have_text("group Det")
    found = artifacts.load(NAME, "classes").isel(normalization=-1)
    one = found.sel(group="Det", draw="usual tags")
    expected = [float(one["memory"].sel(delay=0)), float(one["total"].sel(delay=49))]
    assert values(figure, "usual tags") == expected


def test_a_word_that_is_searched_for_is_found_with_its_numbers(page):
    figure = explored(page, TYPES)
    figure.get_by_role("searchbox").fill("the")
    types = artifacts.load(NAME, "types").sel(type="the", normalization="whitened")
    expect(figure.locator("tbody tr")).to_have_count(1)
    memory, frequency, occurrences = values(figure, "the")
    assert memory == pytest.approx(
        float(types["memory"].sel(delay=0)), rel=1e-6
    )  # float32
    assert (frequency, occurrences) == (types["frequency"], types["occurrences"])
    point_at(page, figure, 0.4, 0.4)  # a point is a word
    expect(figure.locator("tbody th")).not_to_have_text("the")
    word = figure.locator("tbody th").inner_text()
    assert word == figure.get_by_role("searchbox").input_value()


@pytest.mark.parametrize("place", [CURVES, CLASSES, TYPES], ids=lambda place: place[1])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_twin_fits_a_phone_in_either_theme_and_axe_finds_nothing(page, place, theme):
    page.set_viewport_size({"width": 390, "height": 844})
    page.emulate_media(color_scheme=theme)
    figure = explored(page, place)
    page.wait_for_timeout(400)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert figure.locator("canvas").bounding_box()["width"] <= 390
    assert figure.locator(".twin-chart").get_attribute("aria-label") is not None
    found = Axe().run(page, context=f"#{place[1]}").response["violations"]
    assert [(each["id"], each["nodes"][0]["html"][:90]) for each in found] == []


def test_the_theme_changes_the_colours_and_keeps_what_was_chosen(page):
    page.emulate_media(color_scheme="light")
    figure = explored(page, CURVES)
    figure.get_by_role("slider").press("ArrowRight")
    drawn = "figure => figure.querySelector('.vega-bind path').getAttribute('stroke')"
    assert figure.evaluate(drawn) == "#000000"
    page.evaluate("document.documentElement.dataset.theme = 'dark'")
    page.wait_for_function(
        f"() => ({drawn})(document.querySelector('#{CURVES[1]}')) === '#FFFFFF'"
    )
    expect(figure.locator("caption")).to_have_text("delay 1")


def test_print_and_a_browser_without_scripts_show_the_figure_alone(page, context):
    figure = explored(page, CURVES)
    page.emulate_media(media="print")
    expect(figure.locator("img")).to_be_visible()
    expect(figure.locator("canvas")).to_be_hidden()
    expect(figure.locator(".twin-switch")).to_be_hidden()
    with context.browser.new_context(java_script_enabled=False) as plain:
        bare = plain.new_page()
        bare.goto((SECTIONS / f"{CURVES[0]}.html").as_uri())
        expect(bare.locator(f"#{CURVES[1]} img")).to_be_visible()
        expect(bare.locator(".twin").first).to_be_hidden()


@pytest.mark.parametrize("name", [CURVES[0], CLASSES[0], TYPES[0]])
def test_a_page_with_twins_is_light_and_loads_vega_only_when_asked(page, name):
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    path = SECTIONS / f"{name}.html"
    page.goto(path.as_uri())
    page.wait_for_timeout(300)
    assert not [url for url in asked if "vega.js" in url]
    vega = (HTML / "_static" / "made" / "vega.js").stat().st_size
    assert path.stat().st_size + vega < 3_000_000
