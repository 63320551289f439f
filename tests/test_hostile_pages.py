r"""Words and names made to be taken for HTML or formulas stay text on every page.

A copy of the project is given words of a text, file names and experiments' notes that
are tags, and its pages are run: whatever a cell puts out for a browser is parsed.
"""

import shutil
from html.parser import HTMLParser

import nbformat
import pandas as pd
import pytest
import xarray as xr
import yaml
from artifact_project import dataset, make_project
from test_tutorials import copy_project

from state_gradients.foundation import settings
from state_gradients.paper.book import ledger_tables, pages, rendering
from state_gradients.project import artifacts, provenance

SCRIPT, IMAGE = "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>'
FORMULA = r"$\frac$"
WORDS = {"trees": SCRIPT, "sold": IMAGE, "apple": FORMULA, "small": "</td><iframe>"}
BASELINE = "ptb-lstm-256"
PAGES = ("sentence", "inspect", "04-1-whitening", "04-3-2-average-memory", "coherence")
# what the pages themselves put into their tables, notes and pictures
TAGS = {
    *(
        "a",
        "b",
        "br",
        "code",
        "div",
        "em",
        "figure",
        "i",
        "img",
        "li",
        "ol",
        "p",
        "pre",
    ),
    *(
        "small",
        "span",
        "strong",
        "style",
        "sub",
        "sup",
        "table",
        "tbody",
        "td",
        "tfoot",
    ),
    *("caption", "th", "thead", "tr", "ul"),
}


class Elements(HTMLParser):
    """Collects what a browser would run, load or not expect."""

    def __init__(self, text):
        super().__init__()
        self.hostile = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        values = {name: value or "" for name, value in attrs}
        runs = any(name.startswith("on") for name in values)
        loads = {values.get("src", "data:"), values.get("href", "data:")}
        own = all(link.startswith(("data:", "https://", "#")) for link in loads)
        # what a twin is drawn from: a browser reads it as text, up to its end
        is_data = tag == "script" and values == {"type": "application/json"}
        if (tag not in TAGS and not is_data) or runs or not own:
            self.hostile.append((tag, attrs))


def hostile_elements(page):
    """Return what of an executed page's outputs, HTML or Markdown, is hostile."""
    outputs = [x for cell in page.cells for x in cell.get("outputs", [])]
    shown = [output.get("data", {}) for output in outputs]
    texts = [
        str(data[kind])
        for data in shown
        for kind in ("text/html", "text/markdown", "image/svg+xml")
        if kind in data
    ]
    return [found for text in texts for found in Elements(text).hostile], "".join(texts)


@pytest.mark.parametrize("text", [SCRIPT, f'<b title="{IMAGE}', WORDS["small"]])
def test_what_the_pages_are_searched_for_is_seen(text):
    output = nbformat.v4.new_output("display_data", {"text/html": f"<p>{text}</p>"})
    page = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(outputs=[output])])
    assert hostile_elements(page)[0]
    output["data"]["text/html"] = f"<p>{text.replace('<', '&lt;')}</p>"
    assert not hostile_elements(page)[0]


def rename(labels):
    return [WORDS.get(str(word), str(word)) for word in labels]


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    """A copy of the project, whose words and names are hostile; its executed pages."""
    folder = copy_project(tmp_path_factory.mktemp("hostile"))
    shutil.rmtree(folder / "book" / "sections", ignore_errors=True)
    encoder = artifacts.load(BASELINE, "encoder", root=folder)
    encoder = encoder.assign_coords(vocabulary=rename(encoder["vocabulary"].values))
    provenance.write(encoder, artifacts.path(BASELINE, "encoder", root=folder))

    path = folder / "data" / "sentence" / "memory.nc"
    sentence = xr.load_dataset(path, engine="h5netcdf")
    words = rename(sentence["word"].values)
    assert set(WORDS.values()) <= set(words)
    sentence = sentence.assign_coords(word=("token", words))
    provenance.write(sentence, path)

    for name in ("trained", "untrained"):
        path = folder / "data" / "inspection" / name / "spectra.nc"
        files = {"model": FORMULA + IMAGE, "text": SCRIPT, "reading": IMAGE}
        provenance.write(provenance.read(path).assign_attrs(files), path)
        path = path.with_name("model.yaml")
        measured = yaml.safe_load(path.read_text())
        measured["direction"] |= {SCRIPT: 0.0, IMAGE: 1.0}
        path.write_text(yaml.safe_dump(measured))
    made = rendering.render(PAGES, root=folder)
    return {path.stem: nbformat.read(path, as_version=4) for path in made}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_no_page_has_an_element_that_comes_from_data(poisoned, name):
    hostile, text = hostile_elements(poisoned[name])
    assert hostile == []
    shows_words = name in ("sentence", "inspect")
    assert ("&lt;script&gt;" in text) == shows_words  # it is there, as text


def test_tables_of_the_ledger_and_of_any_page_show_tags_as_text(root):
    rows = ledger_tables.by_section(root)
    title = next(iter(ledger_tables.SECTIONS))
    rows = rows.assign(what=SCRIPT, why=IMAGE)
    rows.loc[rows.index[0], "claim"] = IMAGE
    html = ledger_tables.show(rows, title).to_html()
    assert Elements(html).hostile == []
    assert "&lt;script&gt;" in html and "&lt;img" in html
    frame = pd.DataFrame({SCRIPT: [IMAGE]}, index=[IMAGE])
    assert Elements(frame.to_html()).hostile == []  # what a bare frame shows
    for index in (False, True):
        assert Elements(pages.table(frame, "a", index=index).to_html()).hostile == []


@pytest.mark.parametrize("name", [SCRIPT, IMAGE, FORMULA, "../outside", "a/b", "A", ""])
def test_an_experiment_of_such_a_name_is_refused_by_all(tmp_path, name):
    params = {"baseline": {}, "experiments": {name: {}}}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    with pytest.raises(ValueError, match="must be lower-case letters"):
        settings.load_experiment(name, root=tmp_path)
    with pytest.raises(ValueError, match="must be lower-case letters"):
        settings.Experiment(name=name)


def test_words_that_are_tags_come_back_from_an_artifact_as_they_were(tmp_path):
    make_project(tmp_path)
    experiment = settings.load_experiment(BASELINE, root=tmp_path)
    data = dataset("encoder")
    data = data.assign_coords(vocabulary=list(WORDS.values()))
    artifacts.save(data, experiment, "encoder", root=tmp_path)
    read = artifacts.load(BASELINE, "encoder", root=tmp_path)
    assert list(read["vocabulary"].values) == list(WORDS.values())
    assert Elements(artifacts.status(tmp_path).to_html()).hostile == []
