"""Where the links under figures lead in the book: an extension of Sphinx.

A cell tagged ``made-by`` links files of the project, relative to ``notebooks/``. In the
book a function leads to its place in the library's pages, and a table is offered for
download. Any other file is shown in the repository, if ``repository: {url, branch}`` in
_config.yml says where that is; if not, a copy lies in the book, so that every link
works without a network, and the name of a file too large to be copied is no link.
"""

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

from state_gradients.paper.book.sources import TABLES, UP

LARGEST = 1_000_000  # bytes: the book is some 60 MB, and shall stay so
MARK = "tag_made-by"  # the class that myst-nb makes of the cell's tag


class SourceLinks(SphinxTransform):
    """Let the links of cells tagged ``made-by`` lead where the book's readers are."""

    default_priority = 200  # before references are resolved

    def apply(self, **kwargs):
        """Replace the links of a page."""
        cells = [
            each
            for each in self.document.findall(nodes.container)
            if MARK in each.get("classes", ())
        ]
        for cell in cells:
            for link in [*cell.findall(nodes.reference)]:
                path, _, name = link["refuri"].removeprefix(UP).partition("#")
                link.replace_self(self._replacement(link, path, name))

    def _replacement(self, link, path, name):
        """Return what stands for a link to a file below the project's root."""
        at = {"refdoc": self.env.docname, "refexplicit": True}
        address, file = self.config.source_address, self.app.srcdir / path
        if name:
            # a name that the library's pages lack is a warning, which fails the build
            found = addnodes.pending_xref(
                refdomain="py", reftype="obj", reftarget=name, refwarn=True, **at
            )
        elif address and not path.startswith(f"{TABLES}/"):
            found = nodes.reference(refuri=f"{address}/{path}", internal=False)
        elif file.is_file() and file.stat().st_size > LARGEST:
            return link.children
        else:
            found = addnodes.download_reference(
                reftype="download", reftarget=f"/{path}", **at
            )
        found += link.children
        return found


def _find_address(app, config):
    """Keep where the repository shows its files; pages are read again when it moves."""
    options = config.html_theme_options
    if url := (options.get("repository_url") or "").rstrip("/"):
        branch = options.get("repository_branch", "main")
        config.source_address = f"{url}/blob/{branch}"


def setup(app):
    """Tell Sphinx what to replace."""
    app.add_config_value("source_address", "", "env")
    app.connect("config-inited", _find_address)
    app.add_transform(SourceLinks)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
