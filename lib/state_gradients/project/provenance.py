"""What made a file: it is described, written whole, and read back unchanged, here only.

Every result carries a hash of its own arrays, the versions of the libraries, the
machine, the date and the commit. The stages' artifacts, a reader's inspection and the
sentence of the book are all written and read through this module.
"""

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import xarray as xr

from state_gradients.foundation.atomic import replacing

LIBRARIES = (
    *("state-gradients", "tensorflow", "jax", "keras", "numpy", "scipy"),
    *("scikit-learn", "xarray"),
)
SMALL = 2_000_000  # bytes of a file whose contents are kept for whoever asks next
DAMAGE = (OSError, ValueError, KeyError, RuntimeError)  # what a broken file may raise


class DamagedFileError(Exception):
    """A file is truncated, or was changed since it was written."""


def content_hash(dataset):
    """Return the SHA-256 of names, dims, types and values; attributes do not enter."""
    digest = hashlib.sha256()
    for name, variable in sorted(dataset.variables.items()):
        values = np.ascontiguousarray(variable.values)
        if values.dtype.kind in "OUS":  # strings come back as another string type
            kind, data = "str", json.dumps(values.astype(str).tolist()).encode()
        else:
            values = values.astype(values.dtype.newbyteorder("<"), copy=False)
            kind, data = values.dtype.str, values.tobytes()
        head = [name, list(variable.dims), list(variable.shape), kind]
        digest.update(json.dumps(head).encode() + data)
    return digest.hexdigest()


def file_hash(path, algorithm="sha256"):
    """Return the hex digest of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def versions():
    """Return the versions of Python, of the backend in use and of `LIBRARIES`."""
    found = {"python": platform.python_version()}
    if keras := sys.modules.get("keras"):  # imported by the stages that need it
        found["backend"] = keras.config.backend()
    for library in LIBRARIES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[library] = importlib.metadata.version(library)
    return found


def describe(dataset, *, root=None):
    """Return the attributes that say by what, where and when a Dataset was made.

    Parameters
    ----------
    dataset : xarray.Dataset
    root : path-like, optional
        The project whose git commit is recorded.
    """
    attrs = {
        "content": content_hash(dataset),
        "versions": json.dumps(versions()),
        "machine": _machine(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    if root is not None:
        attrs["git_commit"] = _git(root, "rev-parse", "HEAD").strip()
        attrs["git_dirty"] = int(bool(_git(root, "status", "--porcelain", "-uno")))
    return attrs


def _machine():
    """Return system, processor, cores, and the accelerators of the backend in use."""
    found = [f"{platform.system()} {platform.machine()}", f"{os.cpu_count()} cores"]
    if backends := sys.modules.get("state_gradients.foundation.backends"):
        found += backends.accelerators()
    return ", ".join(found)


def _git(root, *arguments):
    command = ["git", "-C", str(root), *arguments]
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.check_output(command, stderr=subprocess.DEVNULL, text=True)
    return "unknown"


def write(dataset, path, *, root=None):
    """Write a Dataset with its description as NetCDF, whole or not at all.

    Parameters
    ----------
    dataset : xarray.Dataset
        Its own attributes are kept, but for those of :func:`describe`.
    path : path-like
    root : path-like, optional
        As in :func:`describe`.

    Returns
    -------
    xarray.Dataset
        As written.
    """
    dataset = dataset.drop_encoding()
    dataset = dataset.assign_attrs(describe(dataset, root=root))
    packed = {"zlib": True, "complevel": 4, "shuffle": True}
    encoding = {
        name: {"_FillValue": None} | (packed if variable.size > 1000 else {})
        for name, variable in dataset.variables.items()
        if variable.dtype.kind in "fiu"
    }
    with replacing(path) as temporary:
        temporary.write_bytes(dataset.to_netcdf(engine="h5netcdf", encoding=encoding))
    return dataset


def read(path):
    """Read into memory a Dataset that :func:`write` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    DamagedFileError
        If it is truncated, or its arrays are not those that were written.
    """
    path = Path(path).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"{path} must be a file, but is not there.")
    about = path.stat()
    if about.st_size > SMALL:
        return _read(path)
    identity = about.st_ino, about.st_mtime_ns, about.st_size
    return _read_once(path, identity).copy(deep=True)


@functools.lru_cache(maxsize=256)
def _read_once(path, identity):
    """Read a small file; a page asks for some dozens of times for the same ones."""
    return _read(path)


def _read(path):
    try:
        with xr.open_dataset(
            path, engine="netcdf4", decode_times=False, decode_timedelta=False
        ) as file:
            dataset = file.load().drop_encoding()
        written = dataset.attrs["content"]
    except DAMAGE as error:
        raise DamagedFileError(f"it is truncated or damaged ({error})") from error
    if written != content_hash(dataset):
        raise DamagedFileError(
            "its arrays differ from the hash that they were written with"
        )
    return dataset
