"""Which scripts a page of the book loads: an extension of Sphinx.

A page says itself what it needs, on any of its elements, and no other page loads it:

    <div data-scripts="explorer.css made/vega.js explorer.js">

Scripts and style sheets stand below ``book/_static`` and are loaded in this order;
scripts run once the page has been read. What is made at build time is written to
``book/_static/made`` before.
"""

import re
from pathlib import Path

from sphinx.util import logging

from state_gradients.foundation import settings
from state_gradients.paper.book import explorer, vega

LOGGER = logging.getLogger(__name__)
EXPLORER = "notebooks/explorer.md"
MADE = "book/_static/made"  # below the project's root; not in git


def write_scripts(root):
    """Write the scripts that are made at build time.

    Parameters
    ----------
    root : path-like
        The project's root.
    """
    root = Path(root)
    vega.write_bundle(root / MADE)
    if (root / EXPLORER).is_file():  # a book without the page needs no networks
        explorer.write_networks(root / MADE, root=root)


def asked_for(html):
    """Return the files that a page asks for, each once and in their order.

    Parameters
    ----------
    html : str

    Examples
    --------
    >>> from state_gradients.paper.book.scripts import asked_for
    >>> asked_for('<div data-scripts="a.js b.js"></div><p data-scripts="b.js c.js">')
    ['a.js', 'b.js', 'c.js']
    """
    lists = re.findall(r'<[^<>]*\sdata-scripts="([^"]*)"', html)
    return [*dict.fromkeys(name for each in lists for name in each.split())]


def _write(app):
    if app.builder.format == "html":
        write_scripts(settings.project_root(app.srcdir))


def _add(app, pagename, templatename, context, doctree):
    for name in asked_for(context.get("body", "")):
        if not (app.outdir / "_static" / name).is_file():
            LOGGER.warning(
                "data-scripts: each must stand below book/_static, received %r",
                name,
                location=pagename,
            )
        if name.endswith(".css"):
            app.add_css_file(name)
        else:
            app.add_js_file(name, loading_method="defer")


def setup(app):
    """Tell Sphinx when to write scripts, and where to add them."""
    app.connect("builder-inited", _write)
    app.connect("html-page-context", _add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
