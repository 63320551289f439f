"""Gives the package index the README without pictures, whose paths lead nowhere there.

All else stands in pyproject.toml.
"""

import re
from pathlib import Path

from setuptools import setup

PICTURE = re.compile(r"^!\[[^\]]*\]\([^)]*\)\n\n(?:\*[^*]+\*\n\n)?", re.MULTILINE)
readme = Path(__file__).with_name("README.md").read_text("utf-8")
setup(
    long_description=PICTURE.sub("", readme),
    long_description_content_type="text/markdown",
)
