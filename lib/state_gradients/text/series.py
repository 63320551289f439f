"""Numbers in files, for models that read no words: trials of steps of named features.

A file is a table (time, feature), or holds trials (trial, time, feature):

- ``.csv``: a line a step, a column a feature. A column called ``trial`` tells the
  trials, one called ``time`` is left out.
- ``.npy``, ``.npz``: an array; beside it, in ``.npz``, names of the features as
  ``features``.
- ``.nc``: a variable with the axes ([trial], time, feature), or several with the axes
  ([trial], time), a feature each.
"""

import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.foundation.checks import short

WHO = "inspect"
AXES = ("trial", "time", "feature")
LABELS = ("trial", "time")  # columns of a table that are no features


@dataclass(frozen=True, kw_only=True)
class Series:
    """Trials, each from the zero state.

    Attributes
    ----------
    trials : list of DataArray of shape (time, feature)
        Of float64; their coordinate ``feature`` holds the names, or numbers from 0.
    how : str
        In words: "3 trials", "windows of 36 steps of one trial".
    """

    trials: list
    how: str

    @property
    def features(self):
        """Names of the features, a list of str."""
        return [str(name) for name in self.trials[0]["feature"].values]

    @property
    def n_steps(self):
        """Of all trials together."""
        return sum(map(len, self.trials))


def read_series(path):
    """Return the trials in a file.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Series

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is of another kind or damaged, or what it holds has
        other axes, is no number, or may be read in two ways: a first row that may be
        names, a name twice, a step without its trial, times that do not rise.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{WHO}: the inputs must be a file, received {path}; correct the path."
        )
    read = READERS.get(path.suffix)
    if read is None:
        raise ValueError(
            f"{WHO}: the inputs must be one of {sorted(READERS)}, received {path}; "
            "write them as one of these."
        )
    try:
        trials = read(path)
    except UNREADABLE as error:
        if str(error).startswith(f"{WHO}: "):
            raise
        raise ValueError(
            f"{WHO}: {path} must be a whole {path.suffix} file of numbers, received "
            f"{type(error).__name__}: {short(str(error), 200)}; write it again."
        ) from error
    if not trials or not all(trial.size for trial in trials):
        raise ValueError(
            f"{WHO}: {path} must hold steps of features, received an empty trial or "
            "none; write it again."
        )
    n = len(trials)
    return Series(trials=trials, how="one trial" if n == 1 else f"{n} trials")


def windows(series, context):
    """Return each trial cut into windows of so many steps, a trial each."""
    trials = [
        trial[start : start + context]
        for trial in series.trials
        for start in range(0, len(trial), context)
    ]
    return Series(trials=trials, how=f"windows of {context} steps of {series.how}")


def arrange(series, *, context=None, length=None):
    """Return trials as a model reads them.

    Parameters
    ----------
    series : Series
    context : int, optional
        Cut the trials into windows of so many steps.
    length : int, optional
        How many steps the model takes at a time, where that is fixed.

    Raises
    ------
    ValueError
        If a trial is longer than the model takes.
    """
    if context is not None:
        series = windows(series, context)
    longest = max(map(len, series.trials))
    if length is not None and longest > length:
        raise ValueError(
            f"{WHO}: trials must fit into the model, which takes {length} steps at a "
            f"time, received one of {longest}. Give --context {length} (windows, each "
            "from the zero state)."
        )
    return series


def _named(array, features=None):
    """Return an array's trials, a list of DataArrays, their features named."""
    if array.dtype.kind not in "iufb" or array.ndim not in (2, 3):
        raise ValueError(
            f"{WHO}: the inputs must be numbers of shape (time, feature) or (trial, "
            f"time, feature), received {array.dtype} of shape {array.shape}; write "
            "them with these axes."
        )
    names = np.arange(array.shape[-1]) if features is None else np.asarray(features)
    if names.shape != array.shape[-1:]:
        raise ValueError(
            f"{WHO}: there must be a name for each of the {array.shape[-1]} features, "
            f"received {names.size}; write a name for each."
        )
    _require_distinct(names.astype(str).tolist())
    trials = array[None] if array.ndim == 2 else array
    return [
        xr.DataArray(one.astype(np.float64), {"feature": names}, dims=AXES[1:])
        for one in trials
    ]


def _require_distinct(names):
    """Refuse names of which one is empty, or comes twice."""
    if "" in names or len({*names}) < len(names):
        raise ValueError(
            f"{WHO}: each column must have a name, and no two the same, received "
            f"{short(names, 200)}; name them, and leave out what is no feature, such "
            "as an index."
        )


def _require_rising(times, path):
    """Refuse an index of times that does not rise, for steps follow each other."""
    rises = times[1:] > times[:-1]  # not where one is missing, or no date
    if not rises.all():
        step = rises.argmin() + 1
        raise ValueError(
            f"{WHO}: `time` of {path} must be numbers or dates that rise within a "
            f"trial, received {times[step]} in step {step}, after {times[step - 1]}; "
            "sort the steps, tell trials apart by `trial`, or leave `time` out."
        )


def _dates(times, *, dayfirst):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of a format that is guessed
        return pd.to_datetime(times, dayfirst=dayfirst, errors="coerce", utc=True)


def _times(column):
    """Return a column of times as an index: numbers, or dates of either order."""
    times = pd.Index(column)
    if pd.api.types.is_numeric_dtype(times):
        return times
    dates = _dates(times, dayfirst=False)
    return _dates(times, dayfirst=True) if dates.hasnans else dates


def _header(path):
    """Return the names in the first row, or None if it is a step."""
    first = pd.read_csv(path, header=None, nrows=1)
    if first.select_dtypes(["number", "bool"]).shape == first.shape:
        row = [str(value) for value in first.to_numpy()[0].tolist()]
        is_counted = row == [str(column) for column in range(len(row))]
        if is_counted or first.isna().to_numpy().any():
            raise ValueError(
                f"{WHO}: the first row of {path} must be names or a step, received "
                f"{short(','.join(row))}, which may be either; write names, or neither "
                "header nor index (pandas: `header=False, index=False`)."
            )
        return None
    # Of a first row as data, pandas renames nothing, and takes no longer row below it.
    rows = pd.read_csv(path, header=None, nrows=2, dtype=str, keep_default_na=False)
    return rows.iloc[0].str.strip().tolist()


def _read_csv(path):
    names = _header(path)
    if names is None:
        return _named(pd.read_csv(path, header=None).to_numpy())
    names = [name.lower() if name.lower() in LABELS else name for name in names]
    _require_distinct(names)
    table = pd.read_csv(path)
    if table.empty:
        return []
    table = table.set_axis(names, axis="columns")
    features = table.drop(columns=[*LABELS], errors="ignore")
    other = features.select_dtypes(exclude=["number", "bool"]).columns
    if len(other):
        raise ValueError(
            f"{WHO}: the columns of {path} must be numbers, received "
            f"{short(list(other), 200)}. Call a column of times `time`, one that tells "
            "trials `trial`; leave others out, or write them as numbers."
        )
    trials = table.get("trial", pd.Series(0, table.index))
    if trials.isna().any():
        raise ValueError(
            f"{WHO}: each row of {path} must name its `trial`, received none in step "
            f"{trials.isna().argmax()}, counted from 0; name it, or drop the row."
        )
    if "time" in table:
        times = _times(table["time"])
        for rows in trials.groupby(trials, sort=False).indices.values():
            _require_rising(times[rows], path)
    names = [*features.columns]
    by_trial = features.groupby(trials, sort=False)
    return [_named(part.to_numpy(np.float64), names)[0] for _, part in by_trial]


def _read_npy(path):
    with path.open("rb") as file:
        return _named(np.load(file, allow_pickle=False))


def _read_npz(path):
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        names = [name for name in file.files if name != "features"]
        if len(names) != 1:
            raise ValueError(
                f"{WHO}: {path} must hold one array (and names, `features`), received "
                f"{short(names)}; write the array of the inputs alone."
            )
        features = file["features"] if "features" in file.files else None
        return _named(file[names[0]], features)


def _read_netcdf(path):
    is_old = path.read_bytes()[:3] == b"CDF"  # NetCDF 3
    with xr.open_dataset(path, engine="scipy" if is_old else "h5netcdf") as file:
        data = file.load()
    whole = [name for name in data.data_vars if "feature" in data[name].dims]
    if not whole and data.data_vars:
        data = data.to_array("feature", name="inputs").to_dataset()
        whole = ["inputs"]
    axes = set(data[whole[0]].dims) if len(whole) == 1 else set()
    if not {"time", "feature"} <= axes <= {*AXES}:
        raise ValueError(
            f"{WHO}: {path} must hold one variable ([trial], time, feature), or "
            "variables ([trial], time), a feature each, received "
            f"{short({name: data[name].dims for name in data.data_vars}, 200)}; rename "
            "the axes, and leave other variables out."
        )
    array = data[whole[0]].transpose(*(axis for axis in AXES if axis in axes))
    if "time" in array.indexes:
        _require_rising(array.indexes["time"], path)
    features = array["feature"].values if "feature" in array.coords else None
    return _named(array.values, features)


READERS = {
    ".csv": _read_csv,
    ".nc": _read_netcdf,
    ".npy": _read_npy,
    ".npz": _read_npz,
}
# What pandas, NumPy and h5netcdf raise on what is none of theirs, or is damaged.
UNREADABLE = (ValueError, OSError, KeyError, TypeError, EOFError, zipfile.BadZipFile)
