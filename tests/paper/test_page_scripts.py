"""The scripts that pages load: a page says which, and no other page loads them."""

import io
import re

import pytest
from sphinx.application import Sphinx

from state_gradients.paper.book import scripts, vega


def test_the_bundle_is_one_script_with_its_licence_that_names_nothing_outside(tmp_path):
    path = vega.write_bundle(tmp_path / "made")
    text = path.read_text()
    head, _, code = text.partition("*/\n")
    assert head.startswith("/*\nVega ")
    assert "copyright notice, this list of\nconditions" in head
    assert code.startswith("(() => {\n") and code.endswith("})();\n")
    for name in ("vega", "vegaLite", "vegaEmbed"):
        assert f"window.{name}=" in code
    assert not re.search(r"^\s*(import|export)\b", code, re.MULTILINE)
    before = path.stat().st_mtime_ns
    vega.write_bundle(tmp_path / "made")
    assert path.stat().st_mtime_ns == before
    path.write_text("cut off")
    vega.write_bundle(tmp_path / "made")
    assert path.read_text() == text


@pytest.fixture
def built(tmp_path, monkeypatch):
    """Builds a book of two pages, the first of which asks for scripts; gives both."""
    monkeypatch.setattr(
        scripts, "write_scripts", lambda root: made(root / scripts.MADE / "own.js")
    )
    static = tmp_path / "book" / "_static"
    for name in ("first.js", "second.js", "look.css"):
        made(static / name)
    made(tmp_path / "params.yaml")
    (tmp_path / "conf.py").write_text(
        "extensions = ['myst_parser', 'state_gradients.paper.book.scripts']\n"
        "html_static_path = ['book/_static']\n"
    )

    def build(asked):
        page = "# Title\n\n```{toctree}\nother\n```\n\n```{raw} html\n"
        (tmp_path / "index.md").write_text(
            f'{page}<p data-scripts="{asked}"></p>\n```\n'
        )
        (tmp_path / "other.md").write_text("# Other\n\nNo `data-scripts` here.\n")
        out = tmp_path / "out"
        said = io.StringIO()
        Sphinx(tmp_path, tmp_path, out, out, "html", status=None, warning=said).build()
        pages = [(out / f"{name}.html").read_text() for name in ("index", "other")]
        return *pages, said.getvalue()

    return build


def made(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("// something\n")


def test_a_page_loads_what_it_asks_for_in_its_order(built):
    asking, other, said = built("look.css second.js made/own.js first.js")
    own = r"_static/(second\.js|made/own\.js|first\.js)\?v="
    assert re.findall(own, asking) == ["second.js", "made/own.js", "first.js"]
    assert re.search(r'<script defer="defer" src="_static/second\.js', asking)
    assert re.search(r'<link rel="stylesheet"[^>]*_static/look\.css', asking)
    assert not re.search(own, other) and "look.css" not in other
    assert "data-scripts" not in said


def test_a_script_that_is_not_there_is_a_warning(built):
    *_, said = built("first.js third.js")
    assert "must stand below book/_static, received 'third.js'" in said
    assert "first.js" not in said
