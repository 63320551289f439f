"""One run of an experiment at a time, in a project that can be written.

The lock is the operating system's (``flock``): it is freed when its process ends,
however it ends, and the file that stays behind means nothing. Windows has no ``flock``;
there nothing is locked.
"""

import contextlib
import os
from pathlib import Path

from state_gradients.foundation import settings
from state_gradients.foundation.atomic import require_writable
from state_gradients.project import artifacts

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_HELD = set()  # by this process: `reproduce` runs stages that ask again


@contextlib.contextmanager
def alone(experiment, *, root=None):
    """Let nobody else run a stage of an experiment while the block runs.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
    root : path-like, optional

    Raises
    ------
    RuntimeError
        If another process runs a stage of it.
    OSError
        If the folder of its artifacts or of its checkpoints cannot be written.
    """
    path = _path(experiment, root)
    if path in _HELD:
        yield
        return
    work = path.parent
    for folder in (work, artifacts.path(experiment, "spectra", root=root).parent):
        require_writable(folder, experiment.name)
    work.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        _lock(file, experiment.name)
        _HELD.add(path)
        try:
            yield
        finally:
            _HELD.discard(path)


@contextlib.contextmanager
def lent(experiment, *, root=None):
    """Run stages under the lock of the process that started this one, which waits.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
    root : path-like, optional
    """
    path = _path(experiment, root)
    _HELD.add(path)
    try:
        yield
    finally:
        _HELD.discard(path)


def _path(experiment, root):
    work = Path(root or settings.project_root()) / "_work"
    return work / f"{experiment.name}.lock"


def _lock(file, name):
    if fcntl is None:
        return
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        raise RuntimeError(
            f"{name}: one stage of an experiment must run at a time, but process "
            f"{holder} runs one; wait for its end, or end it."
        ) from None
    file.truncate(0)
    file.write(f"{os.getpid()}\n")
    file.flush()
