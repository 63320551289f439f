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

    Raises
    ------
    OSError
        Of `path`, if the disk is full or the folder cannot be written.
    """
    with replacing_all([path]) as (temporary,):
        yield temporary


@contextlib.contextmanager
def replacing_all(paths):
    """Yield a temporary path for each of `paths`, which all are replaced, or none.

    As :func:`replacing`; no file is replaced before all are on the disk.

    Parameters
    ----------
    paths : sequence of path-like

    Yields
    ------
    list of pathlib.Path
    """
    paths, temporaries = [*map(Path, paths)], []
    try:
        for path in paths:
            path.parent.mkdir(parents=True, exist_ok=True)
            with _of(path):
                temporaries.append(_temporary(path))
        with _of(*paths):
            yield temporaries
        for path, temporary in zip(paths, temporaries, strict=True):
            with _of(path):
                _sync(temporary)
                temporary.chmod(0o644)
        for path, temporary in zip(paths, temporaries, strict=True):
            with _of(path):
                temporary.replace(path)
        for folder in {path.parent for path in paths}:
            _sync(folder)
    finally:
        for temporary in temporaries:
            temporary.unlink(missing_ok=True)


def _temporary(path):
    beside = {"prefix": f".{path.stem}-", "suffix": path.suffix, "dir": path.parent}
    with tempfile.NamedTemporaryFile(delete=False, **beside) as file:
        return Path(file.name)


@contextlib.contextmanager
def _of(*paths):
    """Say which files could not be written, if the error says none of its own."""
    folders = {str(path.parent) for path in paths}
    try:
        yield
    except OSError as error:
        named = error.filename
        if named is not None and str(Path(os.fsdecode(named)).parent) not in folders:
            raise  # of another file, which was read
        while isinstance(error.__cause__, OSError):  # of a file that stands for it
            error = error.__cause__
        raise type(error)(
            f"{', '.join(map(str, paths))} must be written whole, received "
            f"{error.strerror or str(error)!r}; nothing is changed: free the disk or "
            "the folder, and run again."
        ) from error


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
