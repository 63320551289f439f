import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import artifact_project
import numpy as np
import pytest
import xarray as xr
from artifact_project import ABOUT, dataset, fill, make_project

from state_gradients.foundation import atomic, settings
from state_gradients.project import artifacts, freshness, provenance

NAME = "ptb-lstm-256"


@pytest.fixture
def project(tmp_path):
    return make_project(tmp_path)


@pytest.mark.parametrize("kind", ["training", "encoder", "weights"])
def test_what_is_loaded_equals_what_was_saved(project, kind):
    experiment = settings.load_experiment(NAME, root=project)
    saved = dataset(kind)
    place = artifacts.save(saved, experiment, kind, wall_time=1.5, root=project)
    assert place == project / "data/artifacts" / NAME / place.name
    loaded = artifacts.load(NAME, kind, root=project)
    xr.testing.assert_identical(loaded.drop_attrs(), saved.drop_attrs())
    for name in saved.data_vars:
        assert loaded[name].dtype == saved[name].dtype
        assert loaded[name].attrs == ABOUT


def test_an_artifact_says_what_made_it(project):
    experiment = fill(project, NAME)
    attrs = artifacts.load(NAME, "gradients", root=project).attrs
    assert (attrs["experiment"], attrs["kind"]) == (NAME, "gradients")
    assert (attrs["stage"], attrs["seed"]) == ("extract", 2)
    assert json.loads(attrs["config"])["gradients"]["max_delay"] == 50
    assert len(attrs["corpus"]) == 64
    upstream = json.loads(attrs["upstream"])
    assert [*upstream] == ["encoder"]
    encoder = artifacts.load(experiment, "encoder", root=project)
    assert upstream["encoder"] == freshness.record(encoder.attrs)
    assert json.loads(attrs["versions"])["xarray"] == xr.__version__
    for key in ("machine", "created", "git_commit", "git_dirty"):
        assert key in attrs


def test_a_run_without_epochs_can_be_saved(project):
    curves = dataset("training").isel(epoch=slice(0))
    experiment = settings.load_experiment(NAME, root=project)
    artifacts.save(curves, experiment, "training", root=project)
    assert artifacts.load(NAME, "training", root=project).sizes["epoch"] == 0


def test_upstream_records_what_the_stage_has_read_not_what_stands_there_now(project):
    experiment = fill(project, NAME, ["training", "encoder"])
    read = artifacts.load(experiment, "encoder", root=project)
    fill(project, NAME, ["encoder"], seed=1)  # another run ends meanwhile
    artifacts.save(
        dataset("gradients"),
        experiment,
        "gradients",
        upstream={"encoder": read},
        root=project,
    )
    attrs = artifacts.load(NAME, "gradients", root=project).attrs
    recorded = json.loads(attrs["upstream"])["encoder"]["content"]
    assert recorded == provenance.content_hash(read)
    table = artifacts.status(project, [NAME]).set_index("kind")
    assert table.loc["gradients", "why"] == "encoder: other content"


def test_content_hash_sees_values_names_dims_and_labels_only():
    base = xr.Dataset({"a": (("x", "y"), np.arange(6.0).reshape(2, 3))})
    base = base.assign_coords(x=["p", "q"])
    reference = provenance.content_hash(base)
    same = base.copy(deep=True).assign_attrs(k=1)
    same["a"].attrs["units"] = "m"
    same["x"] = np.array(["p", "q"], object)
    assert provenance.content_hash(same) == reference
    changed = base.copy(deep=True)
    changed["a"][0, 0] = 1e-300
    others = [
        changed,
        base.rename(a="b"),
        base.rename(y="z"),
        base.transpose("y", "x"),
        base.assign_coords(x=["p", "r"]),
        base.astype("float32"),
        base.assign_coords(y=[0, 1, 2]),
    ]
    hashes = {provenance.content_hash(other) for other in others}
    assert len(hashes | {reference}) == len(others) + 1


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda d: d.drop_vars("test_perplexity"), "'test_perplexity' is missing"),
        (lambda d: d.rename(epoch="step"), "must have dims"),
        (lambda d: d.assign(seconds=d["seconds"] * np.nan), "holds NaN"),
        (lambda d: d.assign(extra=d["seconds"].drop_attrs()), "lacks the attributes"),
    ],
)
def test_contents_outside_the_schema_are_refused_before_anything_is_written(
    project, spoil, complaint
):
    experiment = settings.load_experiment(NAME, root=project)
    with xr.set_options(keep_attrs=True):
        spoilt = spoil(dataset("training"))
    with pytest.raises(artifacts.ArtifactError, match=complaint):
        artifacts.save(spoilt, experiment, "training", root=project)
    assert not (project / "data").exists()


def test_nan_is_kept_where_the_variable_says_what_it_means(project):
    experiment = settings.load_experiment(NAME, root=project)
    curves = dataset("training")
    curves["seconds"][1] = np.nan
    curves["seconds"].attrs["missing"] = "not measured"
    artifacts.save(curves, experiment, "training", root=project)
    loaded = artifacts.load(NAME, "training", root=project)
    np.testing.assert_array_equal(np.isnan(loaded["seconds"]), [False, True, False])


def test_a_missing_artifact_names_the_commands(project):
    with pytest.raises(artifacts.MissingArtifactError) as error:
        artifacts.load(NAME, "gradients", root=project)
    assert f"{NAME}/gradients.nc" in str(error.value)
    assert f"state-gradients reproduce {NAME}" in str(error.value)
    assert f"state-gradients extract {NAME}" in str(error.value)


def test_unknown_names_are_refused(project):
    with pytest.raises(ValueError, match="did you mean 'ptb-gru-256'"):
        artifacts.load("ptb-gru-255", "training", root=project)
    with pytest.raises(artifacts.ArtifactError, match="received 'spectrum'"):
        artifacts.load(NAME, "spectrum", root=project)


def test_an_upstream_artifact_must_be_there(project):
    experiment = settings.load_experiment(NAME, root=project)
    with pytest.raises(artifacts.MissingArtifactError, match=r"encoder\.h5"):
        artifacts.save(dataset("gradients"), experiment, "gradients", root=project)


def _refused(project, kind, match):
    with pytest.raises(artifacts.ArtifactError, match=match) as error:
        artifacts.load(NAME, kind, root=project)
    assert str(project / "data/artifacts" / NAME / kind) in str(error.value)
    assert f"state-gradients reproduce {NAME}" in str(error.value)


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.5, 0.999])
def test_a_truncated_file_is_named(project, kept):
    fill(project, NAME, ["training"])
    place = artifacts.path(NAME, "training", root=project)
    whole = place.read_bytes()
    place.write_bytes(whole[: int(kept * len(whole))])
    _refused(project, "training", "truncated or damaged")


def test_a_changed_number_is_noticed(project):
    import h5py

    fill(project, NAME, ["training"])
    with h5py.File(artifacts.path(NAME, "training", root=project), "r+") as file:
        file["test_perplexity"][()] *= np.float32(0.99)
    _refused(project, "training", "differ from the hash")


def test_a_file_of_another_kind_or_experiment_is_named(project):
    fill(project, NAME, ["training", "encoder"])
    fill(project, "ptb-gru-256", ["training"])

    def place(name, kind):
        return artifacts.path(name, kind, root=project)

    place("ptb-gru-256", "training").replace(place(NAME, "training"))
    _refused(project, "training", "holds the training of ptb-gru-256")
    place(NAME, "encoder").replace(place(NAME, "training"))
    _refused(project, "training", "'train_perplexity' is missing")
    place(NAME, "training").write_text("not a NetCDF file")
    _refused(project, "training", "truncated or damaged")


def _cut(place):
    place.write_bytes(place.read_bytes()[:200])


def _of_another(place):
    root = place.parents[3]
    fill(root, "ptb-gru-256", ["training"])
    artifacts.path("ptb-gru-256", "training", root=root).replace(place)


ON_DISK = {  # what becomes of an artifact, and what is said
    "an artifact that is not there": (
        lambda place: place.unlink(),
        f"run `state-gradients reproduce {NAME}`",
    ),
    "an artifact cut short": (_cut, "truncated or damaged"),
    "another experiment's artifact in its place": (
        _of_another,
        "holds the training of ptb-gru-256",
    ),
}


def refusal_of_artifact(case, folder):
    fill(make_project(folder), NAME, ["training"])
    ON_DISK[case][0](artifacts.path(NAME, "training", root=folder))
    with pytest.raises(artifacts.ArtifactError) as caught:
        artifacts.load(NAME, "training", root=folder)
    return str(caught.value)


@pytest.mark.parametrize("case", ON_DISK)
def test_an_artifact_that_cannot_be_read_says_how_to_make_it(tmp_path, case):
    assert ON_DISK[case][1] in refusal_of_artifact(case, tmp_path)


def _no_space(*_arguments):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("owner", "function"),
    [(os, "fsync"), (Path, "write_bytes"), (Path, "replace")],
)
def test_a_full_disk_leaves_the_old_artifact_whole(
    project, monkeypatch, owner, function
):
    experiment = fill(project, NAME, ["training"])
    place = artifacts.path(NAME, "training", root=project)
    before = place.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(owner, function, _no_space)
        with pytest.raises(OSError, match="No space left"):
            artifacts.save(dataset("training", 1), experiment, "training", root=project)
    assert place.read_bytes() == before
    assert [*place.parent.iterdir()] == [place]
    artifacts.load(NAME, "training", root=project)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["before the sync", "before the rename"])
def test_sigkill_during_the_write_leaves_the_old_artifact_whole(project, moment):
    fill(project, NAME, ["training"])
    place = artifacts.path(NAME, "training", root=project)
    before = place.read_bytes()
    owner = {"before the sync": "os, 'fsync'", "before the rename": "Path, 'replace'"}
    script = f"""
        import os, signal, sys
        from pathlib import Path
        sys.path.insert(0, {str(Path(artifact_project.__file__).parent)!r})
        from artifact_project import fill

        def die(*arguments):
            os.kill(os.getpid(), signal.SIGKILL)

        setattr({owner[moment]}, die)
        fill(Path({str(project)!r}), {NAME!r}, ["training"], seed=1)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], check=False, timeout=120
    )
    assert done.returncode == -signal.SIGKILL
    assert len([*place.parent.iterdir()]) == 2  # the writer died with its file open
    assert place.read_bytes() == before
    artifacts.load(NAME, "training", root=project)
    fill(project, NAME, ["training"], seed=1)
    assert place.read_bytes() != before


def test_the_file_and_then_its_folder_are_synced(project, monkeypatch):
    experiment = settings.load_experiment(NAME, root=project)
    events, sync, rename = [], atomic._sync, Path.replace

    def noted(path):
        events.append("folder" if Path(path).is_dir() else "file")
        sync(path)

    def renamed(self, target):
        events.append("rename")
        return rename(self, target)

    monkeypatch.setattr(atomic, "_sync", noted)
    monkeypatch.setattr(Path, "replace", renamed)
    artifacts.save(dataset("training"), experiment, "training", root=project)
    assert events == ["file", "rename", "folder"]
