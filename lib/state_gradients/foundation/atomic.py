"""Files that are whole or absent: write beside the target, sync, then rename."""

import contextlib
import os
import tempfile
from pathlib import Path


@contextlib.contextmanager
def replacing(path):
    """Yield a temporary path that becomes `path` when the block ends without error.

    The temporary file stands in the same folder, so that the rename is atomic; it is
    synced before and its folder after the rename. On an error, or when the process
    is killed, the old file stays as it was.

    Parameters
    ----------
    path : path-like
        The file to replace; its folder is made when missing.

    Yields
    ------
    pathlib.Path
        An empty file of the same suffix, to be written or overwritten.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = {"prefix": f".{path.stem}-", "suffix": path.suffix, "dir": path.parent}
    with tempfile.NamedTemporaryFile(delete=False, **beside) as file:
        temporary = Path(file.name)
    try:
        yield temporary
        _sync(temporary)
        temporary.chmod(0o644)
        temporary.replace(path)
        _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
