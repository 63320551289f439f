"""The book: its sources always, its executed and built pages once they are made."""

import ast
import re

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import ROOT

import state_gradients as public
from state_gradients.paper.book.rendering import read_page

SOURCES = sorted((ROOT / "notebooks").glob("*.md"))
SECTIONS = sorted((ROOT / "book" / "sections").glob("*.ipynb"))
HTML = ROOT / "_build" / "html"
PAGES = sorted((HTML / "book").rglob("*.html"))
# The paper's figures and tables: our page, and what stands for it there.
PUBLISHED = {
    "Figure 1": ("03-state-gradients", "name: fig-concept"),
    "Figure 2": ("04-2-synthetic-corpus", "name: fig-synthetic-plane"),
    "Figure 3": ("04-2-synthetic-corpus", "name: fig-synthetic-sums"),
    "Figure 4a": ("04-3-2-average-memory", "name: fig-average-memory"),
    "Figure 5a": ("04-3-2-average-memory", "name: fig-memory-untrained"),
    "Figure 8a": ("04-3-3-word-classes", "name: fig-classes"),
    "Figure 8b": ("04-3-4-word-types", "name: fig-types-memory"),
    "Figure 9a": ("04-3-4-word-types", "name: fig-types-decay"),
    "Figure 9b": ("04-3-4-word-types", "name: fig-types-rate"),
    "Figure 10a": ("05-2-properties", "name: fig-nouns-memory"),
    "Figure 10b": ("05-2-properties", "name: fig-nouns-cosines"),
    "Figure 11a": ("05-2-properties", "name: fig-verbs-memory"),
    "Figure 11b": ("05-2-properties", "name: fig-verbs-cosines"),
    "Table 1": ("04-2-synthetic-corpus", "name: fig-synthetic-table-1"),
    "Table 2": ("04-3-1-language-models", "Table 2"),
}
RANDOM = re.compile(r"\bat 0x[0-9a-f]{6,}|[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-")
# Pages that end in a box of what to take away.
TAKE_AWAY = [p for p in SOURCES if p.stem[0] == "0" or p.stem == "forgetting"]
NO_NUMBERS = (  # what may hold digits that are no results
    r"\{[\w:]+\}`[^`]*`",  # roles: numbers from artifacts, figures
    r"\[[^]]*\]\([^)]*\)",  # links
    r"\$[^$]*\$",  # formulas
    r"(?:Figure|Table) \d+[a-c]?",
)
each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
each_section = pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path.stem)
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)


def pages_of_toc():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter for part in toc["parts"] for chapter in part["chapters"]]
    sections = [section for c in chapters for section in c.get("sections", [])]
    return [toc["root"], *(page["file"] for page in [*chapters, *sections])]


def code_of(page):
    return [cell for cell in page.cells if cell.cell_type == "code"]


def names_a_figure(cell):
    """Whether a cell's figure has a caption, a name and alt text."""
    notes = cell.metadata.get("mystnb", {})
    figure, image = notes.get("figure", {}), notes.get("image", {})
    return all((figure.get("caption"), figure.get("name"), image.get("alt")))


@pytest.mark.parametrize("file", pages_of_toc())
def test_every_page_of_the_toc_has_a_source(file):
    if file.endswith(".ipynb"):
        source = file.replace("book/sections/", "notebooks/").replace(".ipynb", ".md")
    else:
        source = f"{file}.md"
    assert (ROOT / source).is_file(), f"_toc.yml names {file}: {source} is missing"


def test_every_notebook_is_in_the_toc():
    listed = {file.split("/")[-1] for file in pages_of_toc()}
    assert {f"{path.stem}.ipynb" for path in SOURCES} <= listed


@pytest.mark.parametrize("item", PUBLISHED)
def test_every_published_figure_and_table_has_a_page(item):
    page, mark = PUBLISHED[item]
    text = (ROOT / "notebooks" / f"{page}.md").read_text()
    assert re.search(rf"{mark}\b", text), f"{page} must hold {item} as `{mark}`"


def test_the_pages_of_the_library_name_every_module():
    pages = (ROOT / "book" / "api").glob("*.md")
    text = "\n".join(page.read_text() for page in pages)
    named = re.findall(r"automodule:: ([\w.]+)", text)
    paths = (ROOT / "lib" / "state_gradients").rglob("*.py")
    modules = [p.relative_to(ROOT / "lib").with_suffix("") for p in paths]
    names = [".".join(m.parts).removesuffix(".__init__") for m in modules]
    assert sorted(named) == sorted(set(names) - {"state_gradients"})


def test_the_overview_of_the_library_links_every_public_name():
    text = (ROOT / "book" / "api.md").read_text()
    assert sorted(re.findall(r"{py:\w+}`(?:\.\w+)*\.(\w+)`", text)) == sorted(
        public.__all__
    )


@pytest.mark.skipif(not PAGES, reason="the book is not built: make book")
def test_the_links_of_the_overview_lead_to_the_rooms():
    table = BeautifulSoup((HTML / "book" / "api.html").read_text(), "html.parser")
    names = table.select("td code.xref")
    assert [str(code) for code in names if not code.find_parent("a")] == []


@each_source
def test_headers_are_what_papermill_and_the_book_need(path):
    kernel = read_page(path).metadata.kernelspec  # raises on a wrong one
    assert kernel.display_name == "Python 3"


def parsed(path):
    """Return the syntax trees of a notebook's cells, without magics."""
    for cell in code_of(read_page(path)):
        lines = [x for x in cell.source.splitlines() if not x.startswith(("%", ":"))]
        yield ast.parse("\n".join(lines))


@each_source
def test_notebooks_import_no_backend(path):
    for node in (node for tree in parsed(path) for node in ast.walk(tree)):
        names = [a.name for a in getattr(node, "names", []) if hasattr(a, "name")]
        roots = {n.split(".")[0] for n in [*names, getattr(node, "module", "") or ""]}
        assert not roots & {"tensorflow", "keras", "jax"}, "pages do not compute"


def test_notebooks_load_plot_and_discuss():
    """Functions have at most five lines, each name once; longer ones live in paper/."""
    found = {}
    for path in SOURCES:
        for node in (node for tree in parsed(path) for node in ast.walk(tree)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                length = node.end_lineno - node.lineno + 1
                assert length <= 5, f"{path.name}: {node.name} has {length} lines"
                found.setdefault(node.name, []).append(path.name)
    assert {name: where for name, where in found.items() if len(where) > 1} == {}


@each_source
def test_figures_that_are_named_have_caption_and_alt_text(path):
    cells = [c for c in code_of(read_page(path)) if "mystnb" in c.metadata]
    figures = [c for c in cells if "figure" in c.metadata["mystnb"]]
    assert [c.source for c in figures if not names_a_figure(c)] == []


@pytest.mark.parametrize("path", TAKE_AWAY, ids=lambda path: path.stem)
def test_pages_of_sections_end_in_a_short_box_of_what_to_take_away(path):
    text = path.read_text()
    box = re.compile(
        r"([`:]{3})\{admonition\} What to take away\n:class: tip\n(.*?)\n\1\n",
        re.DOTALL,
    )
    [found] = box.finditer(text)
    between = text[found.end() : text.index("\n## Exercises")]
    assert "\n#" not in between, "sections stand between the box and the exercises"
    said = re.sub("|".join(NO_NUMBERS), "X", found.group(2))
    assert not re.search(r"\d", said), f"a typed number in: {said}"
    sentences = [line for line in re.split(r"[.?!](?:\s+|$)", said) if line.strip()]
    assert 2 <= len(sentences) <= 3, sentences


@each_section
def test_drawn_figures_are_named_and_say_what_made_them(path):
    page = nbformat.read(path, as_version=4)
    drawn = [
        cell
        for cell in code_of(page)
        if any("image/png" in output.get("data", {}) for output in cell.outputs)
    ]
    assert [c.source for c in drawn if not names_a_figure(c)] == []
    made_by = re.findall(r"made by", path.read_text(), re.IGNORECASE)
    assert len(made_by) >= len(drawn)


@each_section
def test_each_drawn_figure_has_its_table_beside_the_page_and_a_link_to_it(path):
    cells = code_of(nbformat.read(path, as_version=4))
    built = HTML / "book" / "sections" / f"{path.stem}.html"
    for number, cell in enumerate(cells):
        if not any("image/png" in output.get("data", {}) for output in cell.outputs):
            continue
        name = cell.metadata["mystnb"]["figure"]["name"]
        below = [
            output for each in cells[number + 1 : number + 3] for output in each.outputs
        ]
        [line] = [each for each in below if "text/csv" in each.get("data", {})][:1]
        assert line.metadata["text/csv"]["name"] == name
        table = path.parent / "data" / f"{name}.csv"
        assert table.read_text() == "".join(line.data["text/csv"])
        if built.is_file():
            page = BeautifulSoup(built.read_text(), "html.parser")
            [link] = page.select(f'.tag_made-by a[href$="/{name}.csv"]')
            assert (built.parent / link["href"]).read_text() == table.read_text()


@each_section
def test_executed_pages_hold_nothing_that_changes_between_runs(path):
    for cell in code_of(nbformat.read(path, as_version=4)):
        for output in cell.outputs:
            texts = [output.get("text", ""), *output.get("data", {}).values()]
            shown = [str(text) for text in texts if len(str(text)) < 200_000]
            found = RANDOM.search("\n".join(shown))
            assert not found, f"{found} in the output of:\n{cell.source}"
    assert str(ROOT) not in path.read_text(), "an address on this machine"


@each_section
def test_tokens_in_tables_are_no_tags_of_html(path):
    for cell in code_of(nbformat.read(path, as_version=4)):
        for output in cell.outputs:
            html = "".join(output.get("data", {}).get("text/html", ""))
            assert not re.search(r"</?(?:eos|unk|s|pad)\b[^>]*>", html), cell.source


@pytest.mark.skipif(not PAGES, reason="the book is not built: make book")
def test_every_page_of_the_toc_is_built():
    expected = [file.removesuffix(".ipynb") + ".html" for file in pages_of_toc()]
    assert [file for file in expected if not (HTML / file).is_file()] == []


@each_page
def test_built_pages_hold_no_error(path):
    text = path.read_text()
    assert str(ROOT) not in text, "an address on this machine"
    main = BeautifulSoup(text, "html.parser").find("main")
    for phrase in ("Traceback (most recent call last)", "unknown document"):
        assert phrase not in main.get_text()
    marks = ".system-message, .output.traceback, .output.stderr, .problematic"
    assert [str(mark) for mark in main.select(marks)] == []
    shown = " ".join(block.get_text() for block in main.select(".cell_output"))
    assert re.findall(r"\w+(?:Error|Warning): .*", shown) == []


@each_page
def test_built_pictures_have_alt_text_and_figures_a_number(path):
    main = BeautifulSoup(path.read_text(), "html.parser").find("main")
    article = main.find("article") or main
    assert [str(i)[:80] for i in article.find_all("img") if not i.get("alt")] == []
    captions = article.select("figure figcaption")
    assert [c.get_text() for c in captions if not c.select(".caption-number")] == []
