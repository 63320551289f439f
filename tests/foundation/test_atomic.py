"""A file is the new one or the old one, whatever the disk does meanwhile."""

import errno
import os
import subprocess
import sys

import pytest

from state_gradients.foundation.atomic import replacing, replacing_all, require_writable


@pytest.mark.parametrize("name", ["page.ipynb", "checkpoint.h5", "table.csv"])
@pytest.mark.parametrize("is_there", [False, True])
def test_a_disk_that_is_full_at_the_sync_leaves_what_there_was(
    tmp_path, full_disk, name, is_there
):
    path = tmp_path / name
    if is_there:
        path.write_text("before")
    full = pytest.raises(OSError, match="No space left")
    with full_disk(), full, replacing(path) as temporary:
        temporary.write_text("after")
    assert [*tmp_path.iterdir()] == [path] * is_there
    assert not is_there or path.read_text() == "before"
    with replacing(path) as temporary:
        temporary.write_text("after")
    assert path.read_text() == "after"


@pytest.mark.parametrize("stopped_by", [OSError(errno.ENOSPC, "full"), SystemExit(3)])
def test_what_stops_a_write_half_way_leaves_what_there_was(tmp_path, stopped_by):
    path = tmp_path / "page.ipynb"
    path.write_text("before")
    with pytest.raises(type(stopped_by)), replacing(path) as temporary:
        temporary.write_text("half")
        raise stopped_by
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_text() == "before"


def test_the_file_is_synced_before_it_takes_the_place(tmp_path, monkeypatch):
    path = tmp_path / "file.txt"
    path.write_text("before")
    seen = []
    monkeypatch.setattr(os, "fsync", lambda handle: seen.append(path.read_text()))
    with replacing(path) as temporary:
        temporary.write_text("after")
    assert seen == ["before", "after"]  # the file, then its folder


@pytest.mark.parametrize("n_syncs", [0, 1, 2])
def test_several_files_are_replaced_all_or_none(tmp_path, monkeypatch, n_syncs):
    paths = [tmp_path / name for name in "abc"]
    for path in paths:
        path.write_text("before")
    synced = []

    def sync(handle):
        if len(synced) == n_syncs:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced.append(handle)

    monkeypatch.setattr(os, "fsync", sync)
    full = f"{paths[n_syncs]} must be written whole, received 'No space left"
    with pytest.raises(OSError, match=full), replacing_all(paths) as temporaries:
        for temporary in temporaries:
            temporary.write_text("after")
    assert {path.read_text() for path in paths} == {"before"}
    assert sorted(tmp_path.iterdir()) == paths


def test_the_file_is_named_once_where_one_is_written_for_another(tmp_path, full_disk):
    path = tmp_path / "page"
    full = pytest.raises(OSError, match="No space left")
    with full_disk(), full as caught, replacing(path) as outer, replacing(outer) as one:
        one.write_text("after")
    assert str(caught.value).count("must be written whole") == 1
    assert str(caught.value).startswith(f"{path} must")


def test_an_error_of_a_file_that_is_read_is_passed_on(tmp_path):
    absent = tmp_path / "elsewhere" / "absent"
    of_it = pytest.raises(FileNotFoundError, match=f"directory: '{absent}'")
    with of_it, replacing(tmp_path / "page"):
        absent.read_text()
    assert not [*tmp_path.iterdir()]


def test_a_folder_that_cannot_be_written_is_named_with_the_file(tmp_path):
    if not sys.platform.startswith("linux"):
        pytest.skip("needs a folder in which nobody can write, as /proc is")
    (tmp_path / "folder").symlink_to("/proc")
    path = tmp_path / "folder" / "page"
    refused = pytest.raises(OSError, match=f"^{path} must be written whole")
    with refused, replacing(path):
        pytest.fail("it is written")
    with pytest.raises(OSError, match="folder must be writable"):
        require_writable(path.parent, "me")


# A disk that takes 4,000 bytes of a file and no more: a write fails in the midst of it.
FULL = """
import resource, signal, sys
import numpy as np
import xarray as xr
{setup}
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    {write}
except OSError as error:
    sys.exit(f"OSError: {{error}}")
"""
ARRAY = "np.random.default_rng(0).random(9000)"
WRITERS = {
    "text": (
        "from state_gradients.foundation import atomic\n"
        "def write():\n"
        "    with atomic.replacing('text') as temporary:\n"
        "        temporary.write_text('a' * 9000)",
        "write()",
    ),
    "checkpoint.h5": (
        "from state_gradients.models import checkpoints",
        f"checkpoints.save_checkpoint('checkpoint.h5', [{ARRAY}], [], "
        "{'seconds': [1]})",
    ),
    "artifact.nc": (
        "from state_gradients.project import provenance",
        f"provenance.write(xr.Dataset({{'x': ('t', {ARRAY})}}), 'artifact.nc')",
    ),
    "page.ipynb": (
        "import nbformat; from state_gradients.foundation import atomic\n"
        "page = nbformat.v4.new_notebook(metadata={'a': 'b' * 9000})\n"
        "def write():\n"
        "    with atomic.replacing('page.ipynb') as temporary:\n"
        "        nbformat.write(page, temporary)",
        "write()",
    ),
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_write_that_fails_in_its_midst_names_the_file_and_leaves_it(tmp_path, name):
    pytest.importorskip("resource", reason="Windows limits no file's size")
    (tmp_path / name).write_text("before")
    setup, write = WRITERS[name]
    done = subprocess.run(
        [sys.executable, "-c", FULL.format(setup=setup, write=write)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"OSError: {name} must be written whole"), done.stderr
    assert "File too large" in said
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "before"
