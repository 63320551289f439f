"""Sphinx's settings for the slides of a lecture: `make slides`, without a network."""

project = "State Gradients"
extensions = [
    "myst_parser",
    "sphinx_revealjs",
    "sphinx-mathjax-offline",
    "state_gradients.paper.book.slides",
]
myst_enable_extensions = ["colon_fence", "dollarmath"]
language = "en"
html_title = "State gradients: slides of a lecture"
html_show_sourcelink = False

revealjs_html_theme = "revealjs-simple"
revealjs_style_theme = "white"
revealjs_static_path = ["_static"]
revealjs_css_files = ["slides.css"]
revealjs_script_conf = {
    "width": 1280,
    "height": 720,
    "margin": 0.02,
    "center": False,
    "hash": True,  # a slide has an address
    "slideNumber": "c/t",
    "transition": "none",
    "controls": False,  # the keys do it; arrows would lie on the pictures
    "pdfSeparateFragments": False,
}
revealjs_script_plugins = [
    {"src": "revealjs/plugin/notes/notes.js", "name": "RevealNotes"}
]
