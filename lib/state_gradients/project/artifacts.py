"""Artifacts: labelled files that say what made them, written whole or not at all.

A file is one xarray Dataset (NetCDF4/HDF5) at ``data/artifacts/EXPERIMENT/KIND.nc``
(``.h5`` for weights). :mod:`state_gradients.project.kinds` lists kinds and stages,
:mod:`state_gradients.project.freshness` holds the record by which a file is judged.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from state_gradients.foundation import settings
from state_gradients.project import freshness, provenance
from state_gradients.project.freshness import changes, record
from state_gradients.project.kinds import KINDS, expected

DONE = ("fresh", "not kept")


class ArtifactError(Exception):
    """An artifact cannot be used; the message names the file and what to do."""


class MissingArtifactError(ArtifactError):
    """An artifact has not been made."""


def path(experiment, kind, *, root=None):
    """Return the path of an artifact of `experiment` (an Experiment or its name)."""
    if kind not in KINDS:
        raise ArtifactError(
            f"artifacts: `kind` must be one of {[*KINDS]}, received {kind!r}."
        )
    name = getattr(experiment, "name", experiment)
    folder = Path(root or settings.project_root()) / "data" / "artifacts" / name
    return folder / f"{kind}{KINDS[kind].suffix}"


def _problems(dataset, kind):
    """Return what is wrong with the contents of an artifact, as phrases."""
    problems = []
    for name, dims in KINDS[kind].schema.items():
        if name not in dataset.variables:
            problems.append(f"variable {name!r} is missing")
        elif dims is not None and dataset[name].dims != dims:
            problems.append(
                f"{name!r} must have dims {[*dims]}, not {[*dataset[name].dims]}"
            )
    for name, variable in dataset.variables.items():
        bad = variable.dtype.kind in "fc" and not np.isfinite(variable.values).all()
        if bad and "missing" not in variable.attrs:
            problems.append(
                f"{name!r} holds NaN or infinity but no attribute `missing`"
            )
    for name, variable in dataset.data_vars.items():
        if absent := {"long_name", "units", "equation"} - set(variable.attrs):
            problems.append(f"{name!r} lacks the attributes {sorted(absent)}")
    return problems


def save(
    dataset, experiment, kind, *, upstream=None, read=None, wall_time=None, root=None
):
    """Check a Dataset, add what made it and write it as an artifact.

    Parameters
    ----------
    dataset : xarray.Dataset
        Every data variable has the attributes ``long_name``, ``units`` and
        ``equation`` (or the source); one that may hold NaN or infinity says in an
        attribute ``missing`` what they mean. The Dataset's own attributes are replaced.
    experiment : state_gradients.foundation.settings.Experiment
        The settings the stage ran with.
    kind : str
    upstream : dict of str to xarray.Dataset, optional
        The artifacts the stage has read, as loaded; by default they are loaded again.
    read : dict of str, optional
        The fingerprints of the text and the vectors that the stage has read, as they
        were then; see `state_gradients.project.freshness.describe`.
    wall_time : float, optional
        Seconds the stage took.

    Returns
    -------
    pathlib.Path
        The file written.

    Raises
    ------
    ArtifactError, OSError
        If the contents break the schema, an upstream artifact cannot be read, or the
        disk refuses; the artifact that stood there stays whole.
    """
    target = path(experiment, kind, root=root)
    if problems := _problems(dataset, kind):
        refusal = "; ".join(problems)
        raise ArtifactError(f"artifacts.save: {target} refused: {refusal}.")
    given = upstream or {}
    made_from = {
        up: given[up] if up in given else load(experiment, up, root=root)
        for up in KINDS[kind].upstream
    }
    dataset = dataset.copy()
    dataset.attrs = freshness.describe(experiment, kind, made_from, read)
    if wall_time is not None:
        dataset.attrs["wall_time_s"] = float(wall_time)
    provenance.write(dataset, target, root=root or settings.project_root())
    return target


def load(experiment, kind, *, root=None):
    """Read an artifact, an xarray.Dataset, into memory and check it.

    Parameters
    ----------
    experiment : str or state_gradients.foundation.settings.Experiment
    kind : str
        For example ``"spectra"``; see ``KINDS`` of `state_gradients.project.kinds`.

    Raises
    ------
    ArtifactError
        If the file is truncated, was changed or holds something else; as a
        MissingArtifactError, if it has not been made.
    """
    source = path(experiment, kind, root=root)
    name = getattr(experiment, "name", experiment)
    if not source.is_file():
        if name == experiment:
            settings.load_experiment(name, root=root)  # an unknown name says so itself
        raise MissingArtifactError(
            f"{source} must exist, but has not been made; run `state-gradients "
            f"reproduce {name}` (or `state-gradients {KINDS[kind].stage} {name}`)."
        )
    try:
        dataset = provenance.read(source)
        faults = _problems(dataset, kind)
        held = dataset.attrs["experiment"], dataset.attrs["kind"]
        if held != (name, kind):
            faults.append(f"it holds the {held[1]} of {held[0]}")
    except (provenance.DamagedFileError, KeyError) as error:
        faults = [str(error)]
    if faults:
        raise ArtifactError(
            f"{source} must hold the {kind} of {name}, but {'; '.join(faults)}; run "
            f"`state-gradients reproduce {name}` to make it again."
        )
    return dataset


def status(root=None, names=None):
    """Judge artifacts against what would make them now; every file is read and checked.

    An artifact is ``fresh``, ``stale`` (`why` says what changed), ``missing``,
    ``damaged``, or ``not kept``: left out of git for its size, while an artifact made
    from it shows that it was fresh.

    Returns
    -------
    pandas.DataFrame
        Columns experiment, stage, kind, state, why, command; one row an artifact of
        the experiments in `names`, or of all.
    """
    names = settings.experiment_names(root) if names is None else names
    rows = [row for name in names for row in _judged(name, root)]
    columns = ["experiment", "stage", "kind", "state", "why", "command"]
    return pd.DataFrame(rows, columns=columns)


def _judged(name, root):
    """Yield the status rows of one experiment."""
    experiment = settings.load_experiment(name, root=root)
    records, faults = _read_records(experiment, root)
    in_git = expected(experiment)
    for kind, spec in KINDS.items():
        if kind in records:
            why = changes(records[kind], experiment, records.get)
            state = "stale" if why else "fresh"
        else:
            state, why = faults[kind]
        if state == "missing":
            if kind not in in_git:
                continue
            if not in_git[kind] and _was_fresh(kind, records, experiment):
                state = "not kept"
        command = "" if state in DONE else f"state-gradients reproduce {name}"
        yield name, spec.stage, kind, state, "; ".join(why), command


def _read_records(experiment, root):
    """Return by kind the records of files, and of the others ``(state, why)``."""
    records = {}
    faults = {}
    for kind in KINDS:
        try:
            records[kind] = record(load(experiment, kind, root=root).attrs)
        except MissingArtifactError:
            faults[kind] = "missing", []
        except ArtifactError as error:
            faults[kind] = "damaged", [str(error)]
    return records, faults


def _was_fresh(kind, records, experiment):
    """Return whether an artifact made from this kind shows that it was fresh."""
    later = [records[k] for k in records if kind in KINDS[k].upstream]
    nested = [made["upstream"][kind] for made in later]
    return any(not changes(made, experiment, records.get) for made in nested)


def outdated(name, *, root=None):
    """Return ``{stage: reason}`` of the stages that must run, in their order.

    These are the stages of artifacts that are not fresh, or not kept while one made
    from them must be made again. Ask again after each stage: where its arrays came out
    the same, what is made from them is still fresh.
    """
    rows = status(root, [name])
    undone = ~rows["state"].isin(DONE)
    needed = {up for kind in rows["kind"][undone] for up in KINDS[kind].upstream}
    again = undone | (rows["state"].eq("not kept") & rows["kind"].isin(needed))
    return {
        row.stage: f"{row.kind} is {row.state}" + (f" ({row.why})" if row.why else "")
        for row in rows[again].itertuples()
    }
