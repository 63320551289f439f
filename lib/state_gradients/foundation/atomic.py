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


def require_writable(folder, who):
    """Refuse a folder that could not be written to, before hours of work are lost.

    Nothing is left behind: where the folder is not there yet, the nearest one above it
    is tried, in which it will be made.

    Raises
    ------
    OSError
        If no file can be made there.
    """
    folder = Path(folder).absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise type(error)(
            f"{who}: the folder {folder} must be writable, for results are kept there, "
            f"received {error.strerror!r} from {existing}; free it, or choose another."
        ) from error


def _sync(path):
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
