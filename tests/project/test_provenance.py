"""A file says what made it, and is read back unchanged or not at all."""

import json

import numpy as np
import pytest
import xarray as xr

from state_gradients.project import provenance


@pytest.fixture
def made(rng):
    return xr.Dataset({"memory": (("token", "delay"), rng.random((3, 2)))})


def test_the_file_holds_what_was_given_and_what_made_it(made, tmp_path, root):
    path = tmp_path / "memory.nc"
    provenance.write(made.assign_attrs(encoder="a hash"), path, root=root)
    found = provenance.read(path)
    xr.testing.assert_equal(found, made)
    assert found.attrs["encoder"] == "a hash"
    assert found.attrs["content"] == provenance.content_hash(made)
    assert json.loads(found.attrs["versions"])["numpy"] == np.__version__
    assert len(found.attrs["git_commit"]) == 40


def test_an_absent_a_truncated_and_a_changed_file_are_told_apart(made, tmp_path):
    path = tmp_path / "memory.nc"
    with pytest.raises(FileNotFoundError, match=r"memory\.nc must be a file"):
        provenance.read(path)
    provenance.write(made, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(provenance.DamagedFileError, match="truncated or damaged"):
        provenance.read(path)
    changed = made.assign_attrs(content=provenance.content_hash(made))
    changed["memory"][0, 0] *= -1
    changed.to_netcdf(path, engine="h5netcdf")
    with pytest.raises(provenance.DamagedFileError, match="differ from the hash"):
        provenance.read(path)


def test_a_file_that_is_read_again_is_the_one_that_stands_there(made, tmp_path):
    path = tmp_path / "memory.nc"
    provenance.write(made, path)
    first = provenance.read(path)
    first["memory"][:] = 0  # a caller's own
    first.attrs.clear()
    again = provenance.read(path)
    xr.testing.assert_equal(again, made)
    assert again.attrs["content"] == provenance.content_hash(made)
    provenance.write(made + 1, path)
    xr.testing.assert_equal(provenance.read(path), made + 1)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        provenance.read(path)


def test_the_machine_is_told_with_its_accelerators(made, tmp_path, monkeypatch):
    from state_gradients.foundation import backends

    monkeypatch.setattr(backends, "accelerators", list)
    plain = provenance.describe(made)["machine"]
    assert plain.endswith(" cores")
    monkeypatch.setattr(backends, "accelerators", lambda: ["NVIDIA H200"])
    assert provenance.describe(made)["machine"] == f"{plain}, NVIDIA H200"
