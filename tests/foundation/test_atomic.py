"""A file is the new one or the old one, whatever the disk does meanwhile."""

import errno
import os

import pytest

from state_gradients.foundation.atomic import replacing


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
