"""How readers find the book, know its state and answer: an extension of Sphinx.

Two addresses are settings of ``_config.yml``, and both may be empty:

    html: {baseurl: ...}      where the book is read: sitemap, social cards, page 404
    repository: {url: ...}    where its sources lie: reports of problems, Binder

What needs an address that is empty is left out, so that no link leads nowhere. Every
page says when its source was changed last, as far as git knows: the source of an
executed page is its notebook.
"""

import socket
import subprocess
import textwrap
from html import escape
from urllib.parse import quote, urlencode, urlsplit

from docutils import nodes
from sphinx.errors import ExtensionError

SECTIONS = "book/sections/"  # executed pages, which git does not know
# What needs the book's own address
PUBLIC = ("sphinx_sitemap", "sphinxext.opengraph", "notfound.extension")
NO_PAGES = ("search.html", "404.html", "genindex.html", "py-modindex.html")
SITES = ("doi.org", "arxiv.org", "github.com")  # any answers where there is a network


def source_of(page):
    """Return the file that a reader would edit, from the project's root.

    Parameters
    ----------
    page : str
        A page's name, as Sphinx has it.

    Examples
    --------
    >>> from state_gradients.paper.book.publishing import source_of
    >>> source_of("book/sections/04-1-whitening"), source_of("book/own-text")
    ('notebooks/04-1-whitening.md', 'book/own-text.md')
    """
    if page.startswith(SECTIONS):
        return f"notebooks/{page.removeprefix(SECTIONS)}.md"
    return f"{page}.md"


def commit_of(folder):
    """Return the commit that a folder is at, or None outside of git.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    str or None
        Twelve digits, and ``-dirty`` where files differ from the commit.
    """
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    except FileNotFoundError:  # no git
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def report_address(repository, page, commit):
    """Return the address of a form that reports a problem with a page.

    GitLab's form has its own names; GitHub's are those of Gitea and Forgejo, too.

    Parameters
    ----------
    repository : str
        Address of the repository.
    page : str
        The page's name, as Sphinx has it.
    commit : str or None
        What the book was made from.

    Examples
    --------
    >>> from state_gradients.paper.book.publishing import report_address
    >>> report_address("https://github.com/a/b", "book/x", "0123")
    'https://github.com/a/b/issues/new?title=book%2Fx%3A%20&body=Page%3A%20book%2Fx%0ASource%3A%20book%2Fx.md%0ACommit%3A%200123%0A%0A'
    """
    title = f"{page}: "
    body = (
        f"Page: {page}\nSource: {source_of(page)}\nCommit: {commit or 'not known'}\n\n"
    )
    if "gitlab" in urlsplit(repository).netloc:
        path, fields = (
            "-/issues/new",
            {"issue[title]": title, "issue[description]": body},
        )
    else:
        path, fields = "issues/new", {"title": title, "body": body}
    filled = urlencode(fields, quote_via=quote, safe="")
    return f"{repository.rstrip('/')}/{path}?{filled}"


def summary_of(doctree):
    """Return how a page begins: its first paragraph without formulas, shortened.

    Parameters
    ----------
    doctree : docutils.nodes.document

    Returns
    -------
    str
        At most 200 characters, empty for a page without such a paragraph.
    """
    formulas = (nodes.math, nodes.math_block)
    for paragraph in doctree.findall(nodes.paragraph):
        in_text = isinstance(paragraph.parent, nodes.section)
        if in_text and not any(isinstance(n, formulas) for n in paragraph.findall()):
            return textwrap.shorten(paragraph.astext(), 200, placeholder=" …")
    return ""


def _address_of_the_book(config):
    """Return where the book is read, with a slash at its end; empty if not known."""
    address = config.overrides.get("html_baseurl") or ""
    return f"{address.rstrip('/')}/" if address else ""


def _public_settings(address, title):
    """Return the settings of what needs the book's own address."""
    prefix = urlsplit(address).path
    return {
        "html_baseurl": address,
        "sitemap_url_scheme": "{link}",
        "sitemap_excludes": [*NO_PAGES],
        "sitemap_show_lastmod": True,
        "sitemap_indent": 1,
        "ogp_site_url": address,
        "ogp_site_name": title,
        "ogp_description_length": 0,  # it would hold formulas as TeX: see summary_of
        "ogp_social_cards": {
            "font": "DejaVu Sans",  # Matplotlib brings it
            "image_mini": "book/_static/memory.png",
            "line_color": "#0072b2",
        },
        "notfound_urls_prefix": prefix,
        "notfound_context": {
            "title": "No such page",
            "body": (
                "<h1>No such page</h1>\n<p>The book has no page at this address: it "
                f'may have been renamed. Start from <a href="{prefix}book/index.html">'
                f'the front page</a>, or <a href="{prefix}search.html">search</a> for '
                "what you were looking for.</p>"
            ),
        },
    }


def _without_dead_buttons(app, config):
    """Launch nothing without a repository; take any host that the theme cannot name."""
    options = config.html_theme_options
    repository = options.get("repository_url") or ""
    if not repository:
        options["launch_buttons"] = {}
    elif not any(host in repository for host in ("github", "gitlab", "bitbucket")):
        options["repository_provider"] = "github"


def _require_network(app):
    """Stop the check of outer links where no site answers: all would look broken."""
    if app.builder.name != "linkcheck":
        return
    for site in SITES:
        try:
            socket.create_connection((site, 443), timeout=5).close()
        except OSError:
            continue
        return
    raise ExtensionError(
        f"check-links: a network is needed, but none of {', '.join(SITES)} answers; "
        "no link was checked."
    )


def _note_source(app, docname, source):
    """Make a notebook part of what its executed page depends on: the page's date."""
    if docname == app.env.docname and docname.startswith(SECTIONS):
        app.env.note_dependency(source_of(docname))


def _keep_sources_without_git(app, env):
    """Mark pages that git could not date as such, or their sources would be hidden."""
    for page, known in env.git_last_updated.items():
        if known is None:
            env.git_last_updated[page] = (None, True)


def _remember_commit(app):
    app.book_commit = commit_of(app.srcdir)


def _describe(app, pagename, templatename, context, doctree):
    """Say in a page's head what it is about, for searches and shared links."""
    if doctree is None or not (summary := summary_of(doctree)):
        return
    tag = f'<meta name="description" content="{escape(summary)}" />\n'
    context["metatags"] += tag
    card = f"{app.config.html_title}: {doctree.next_node(nodes.title).astext()}"
    own = {"og:description": escape(summary), "og:image:alt": escape(card)}
    context["meta"] = (context["meta"] or {}) | own


def _tell(app, pagename, templatename, context, doctree):
    """Write the foot of a page, and turn its launch button to the notebook's source."""
    repository = app.config.html_theme_options.get("repository_url")
    if not repository or doctree is None:
        return
    address = report_address(repository, pagename, app.book_commit)
    context["theme_extra_footer"] = (
        f'<p><a class="report-problem" href="{escape(address)}">Report a problem with '
        "this page</a></p>"
    )
    for group in context.get("header_buttons", ()):
        for button in group.get("buttons", ()):
            if button.get("text") == "Binder":
                executed, source = f"{pagename}.ipynb", source_of(pagename)
                button["url"] = button["url"].replace(executed, source)
                button["text"] = "Binder (never tried)"


def setup(app):
    """Load what the addresses allow, and connect the rest to Sphinx."""
    app.setup_extension("sphinx_last_updated_by_git")
    address = _address_of_the_book(app.config)
    if address:
        title = app.config.overrides["html_title"]
        app.config.overrides.update(_public_settings(address, title))
        for extension in PUBLIC:
            app.setup_extension(extension)
    app.connect("config-inited", _without_dead_buttons)
    app.connect("builder-inited", _require_network)
    app.connect("builder-inited", _remember_commit)
    app.connect("source-read", _note_source)
    app.connect("env-updated", _keep_sources_without_git, priority=900)
    app.connect("html-page-context", _describe, priority=400)
    app.connect("html-page-context", _tell, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
