"""Classes of Keras are not looked up for the library's pages: an extension of Sphinx.

Where ``autodoc_mock_imports`` stands in for Keras, autodoc still looks for the sources
of what a class inherits from, and so imports Keras and TensorFlow: four seconds.
"""

from sphinx.errors import PycodeError
from sphinx.pycode import ModuleAnalyzer

BASES = "keras", "keras.layers"  # modules of classes that ours inherit from


def _leave_alone(app, config):
    if "keras" in config.autodoc_mock_imports:
        for name in BASES:
            ModuleAnalyzer.cache["module", name] = PycodeError(f"{name} is mocked")


def setup(app):
    """Connect to Sphinx."""
    app.connect("config-inited", _leave_alone)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
