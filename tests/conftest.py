import contextlib
import errno
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

os.environ["MPLBACKEND"] = "Agg"  # no window; set before anything imports pyplot
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter

ROOT = Path(__file__).resolve().parents[1]
# A reader without a browser leaves its tests out; .ci/run installs one and may not.
NEEDS_BROWSER = "STATE_GRADIENTS_NEEDS_BROWSER" in os.environ

# The same examples on every run; a slow shared machine is no failure.
settings.register_profile("repeatable", deadline=None, derandomize=True)
# What reads anything at all gets many: 500, and 10,000 that are new each time with
# STATE_GRADIENTS_NIGHTLY=1.
NIGHTLY = bool(os.environ.get("STATE_GRADIENTS_NIGHTLY"))
settings.register_profile(
    "many",
    deadline=None,
    derandomize=not NIGHTLY,
    max_examples=10_000 if NIGHTLY else 500,
)
settings.load_profile("repeatable")


@pytest.fixture
def rng():
    return np.random.default_rng(20_200_101)


@pytest.fixture
def root():
    """The project's root, whatever the working folder."""
    return ROOT


@pytest.fixture
def corpora(monkeypatch):
    """The folder of the real corpora; the test is skipped where there is none."""
    named = os.environ.get("STATE_GRADIENTS_CORPORA")
    folder = Path(named) if named else ROOT.parent / "shared" / "corpora"
    if not folder.is_dir():
        pytest.skip(f"needs the real corpora: {folder} is absent")
    monkeypatch.setenv("STATE_GRADIENTS_CORPORA", str(folder))
    return folder


@pytest.fixture
def full_disk(monkeypatch):
    """Makes a context in which the disk takes no more, as a sync of a file says."""

    def refuse(handle):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextlib.contextmanager
    def full():
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse)
            yield

    return full


@pytest.fixture
def closed_figures():
    """Close what was drawn, and give Matplotlib its own settings back."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    with mpl.rc_context():
        yield
    plt.close("all")


@pytest.fixture(scope="module")
def browser():
    """An open Chromium; the test is skipped where none is installed."""
    from playwright.sync_api import sync_playwright

    names = ("chromium", "chromium-browser", "google-chrome")
    executable = next(filter(None, map(shutil.which, names)), None)
    if executable is None:
        reason = f"no browser: none of {', '.join(names)} is installed"
        pytest.fail(reason) if NEEDS_BROWSER else pytest.skip(reason)
    # Chromium has no sandbox for root, as which containers run.
    options = {"executable_path": executable, "args": ["--no-sandbox"]}
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(**options) as browser,
    ):
        yield browser
