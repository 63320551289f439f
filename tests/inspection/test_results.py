"""What an inspection leaves in its folder: all or none, and read back whole."""

import errno
import os
from pathlib import Path

import inspected
import pytest
import xarray as xr
from inspected import FILES

from state_gradients import figures, inspection
from state_gradients.project.artifacts import ArtifactError

folder, registry, curves = inspected.folder, inspected.registry, inspected.curves


def test_what_is_written_is_read_back(folder, curves):
    paths = inspection.write(curves, "made")
    assert sorted(path.name for path in paths) == FILES
    xr.testing.assert_identical(
        inspection.read("made").drop_attrs(), curves.drop_attrs()
    )
    rows = Path("made", "memory.csv").read_text().splitlines()
    assert rows[0].startswith("normalization,delay,memory,")
    assert rows[5].startswith(f"whitened,0,{curves['memory'].values[1, 0]},")
    assert Path("made", "memory.png").read_bytes()[1:4] == b"PNG"


def test_a_failed_write_leaves_the_old_files(folder, curves, monkeypatch):
    inspection.write(curves, "made")
    before = {path: path.read_bytes() for path in Path("made").iterdir()}

    def full(*arguments, **options):
        raise OSError("no space left")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(OSError, match="no space left"):
        inspection.write(2 * curves, "made")
    assert {path: path.read_bytes() for path in Path("made").iterdir()} == before


@pytest.mark.parametrize("n_syncs", range(4))
def test_a_disk_that_fills_up_leaves_all_old_files(
    folder, curves, monkeypatch, n_syncs
):
    inspection.write(curves, "made")
    before = {path: path.read_bytes() for path in Path("made").iterdir()}
    synced = []

    def sync(handle):
        synced.append(handle)
        if len(synced) > n_syncs:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(
        OSError, match=r"^made/\w+\.\w+.* must be written whole, .*No sp"
    ):
        inspection.write(2 * curves, "made")
    assert {path: path.read_bytes() for path in Path("made").iterdir()} == before


def test_a_missing_or_damaged_inspection_says_how_to_make_it(folder, curves):
    with pytest.raises(ArtifactError, match="state-gradients inspect MODEL"):
        inspection.read("made")
    inspection.write(curves, "made")
    path = Path("made", "spectra.nc")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ArtifactError, match="missing or damaged"):
        inspection.read("made")
    changed = (2 * curves).assign_attrs(content="0")
    changed.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(ArtifactError, match="missing or damaged"):
        inspection.read("made")


def test_the_figure_says_how_the_text_was_read(folder, curves, monkeypatch):
    titles = []
    draw = figures.plot_memory
    monkeypatch.setattr(
        figures,
        "plot_memory",
        lambda data, ax: titles.append(draw(data, ax=ax).get_title(loc="left")),
    )
    inspection.write(curves.assign_attrs(reading="windows of 5 tokens"), "made")
    assert titles == ["m\nwindows of 5 tokens"]
