"""Numbers in files: each format gives the same trials, or is refused by name."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from state_gradients.text import series

NAMES = ["temperature", "wind"]
TRIALS = np.random.default_rng(0).normal(size=(3, 4, 2)).round(6)
AXES = ("trial", "time", "feature")


def frame(trials, **labels):
    return pd.DataFrame(np.concatenate(trials), columns=NAMES).assign(**labels)


def labelled(trials):
    return xr.DataArray(trials, {"feature": NAMES}, dims=AXES, name="weather")


def csv_of_trials(path):
    table = frame(TRIALS, trial=np.repeat(["a", "b", "c"], 4))
    table.insert(0, " Time", pd.date_range("2026-01-01", periods=12))
    table.to_csv(path, index=False)


def netcdf_of_features(path):
    data = labelled(TRIALS).to_dataset("feature")
    data.to_netcdf(path, engine="h5netcdf")


WRITE = {  # name of the file: how it is written, whether features have names
    "table.csv": (csv_of_trials, True),
    "trials.npy": (lambda path: np.save(path, TRIALS), False),
    "named.npz": (lambda path: np.savez(path, x=TRIALS, features=NAMES), True),
    "whole.nc": (
        lambda path: (
            labelled(TRIALS)
            .transpose("feature", "time", "trial")
            .to_netcdf(path, engine="h5netcdf")
        ),
        True,
    ),
    "old.nc": (lambda path: labelled(TRIALS).to_netcdf(path, engine="scipy"), True),
    "features.nc": (netcdf_of_features, True),
}


@pytest.mark.parametrize("name", WRITE)
def test_every_format_gives_the_trials_and_the_names(tmp_path, name):
    write, is_named = WRITE[name]
    write(tmp_path / name)
    found = series.read_series(tmp_path / name)
    np.testing.assert_array_equal(np.stack(found.trials), TRIALS)
    assert found.features == (NAMES if is_named else ["0", "1"])
    assert (found.how, found.n_steps) == ("3 trials", 12)


def test_trials_of_a_table_may_be_of_unequal_length_and_apart(tmp_path):
    frame(TRIALS[:1], trial=[7, 2, 7, 7]).to_csv(tmp_path / "t.csv", index=False)
    found = series.read_series(tmp_path / "t.csv").trials
    np.testing.assert_array_equal(found[0], TRIALS[0][[0, 2, 3]])
    np.testing.assert_array_equal(found[1], TRIALS[0][[1]])


def test_a_table_without_a_header_loses_no_step(tmp_path):
    np.savetxt(tmp_path / "t.csv", TRIALS[0], delimiter=",")
    found = series.read_series(tmp_path / "t.csv")
    np.testing.assert_array_equal(found.trials[0], TRIALS[0])
    assert (found.features, found.how) == (["0", "1"], "one trial")


@pytest.mark.parametrize("first", ["0,0", "0.5,0.5", "0.0,1.0", "3,3"])
def test_a_first_step_that_repeats_a_number_is_no_header(tmp_path, first):
    (tmp_path / "t.csv").write_text(f"{first}\n1,2\n")
    (trial,) = series.read_series(tmp_path / "t.csv").trials
    step = [float(number) for number in first.split(",")]
    np.testing.assert_array_equal(trial, [step, [1, 2]])


@pytest.mark.parametrize(
    "times",
    [
        ["1", "1.5", "10"],
        ["2026-01-31 23:00", "2026-02-01 00:00", "2026-02-01 01:00"],
        ["31.01.2026 23:00", "01.02.2026 00:00", "13.02.2026 00:00"],
        ["01/31/2026", "02/01/2026", "02/02/2026"],
        ["2026-03-29T01:30+01:00", "2026-03-29T03:30+02:00", "2026-03-29T04:30+02:00"],
    ],
)
def test_times_are_numbers_or_dates_that_rise_within_a_trial(tmp_path, times):
    rows = [f"{trial},{time},1" for trial in "ab" for time in times]
    lines("Trial,Time,wind", *rows)(tmp_path / "t.csv")
    found = series.read_series(tmp_path / "t.csv")
    assert (found.features, found.how, found.n_steps) == (["wind"], "2 trials", 6)


def test_windows_cut_each_trial_and_lose_no_step(tmp_path):
    np.save(tmp_path / "t.npy", TRIALS)
    found = series.arrange(series.read_series(tmp_path / "t.npy"), context=3, length=3)
    assert [len(trial) for trial in found.trials] == [3, 1] * 3
    np.testing.assert_array_equal(np.concatenate(found.trials), TRIALS.reshape(-1, 2))
    assert found.how == "windows of 3 steps of 3 trials"


def a_pickle(path):
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)


def two_arrays(path):
    np.savez(path, x=TRIALS, y=TRIALS)


def cut_short(path):
    np.savez(path, x=TRIALS)
    path.write_bytes(path.read_bytes()[:200])


def with_words(path):
    frame(TRIALS[:1], sky=["clear", "clear", "rain", "rain"]).to_csv(path, index=False)


def other_axes(path):
    array = labelled(TRIALS).rename(time="day")
    array.to_netcdf(path, engine="h5netcdf")


def names_too_few(path):
    np.savez(path, x=TRIALS, features=["temperature"])


def lines(*rows):
    return lambda path: path.write_text("\n".join(rows) + "\n")


def falling(path):
    dates = pd.date_range("2026-01-01", periods=4)[::-1]
    labelled(TRIALS).assign_coords(time=dates).to_netcdf(path, engine="h5netcdf")


REFUSED = {  # case: (name of the file, how it is written, words of the message)
    "inputs that are not there": ("i.csv", lambda path: None, "must be a file"),
    "inputs of another kind": (
        "i.xlsx",
        lambda path: path.write_bytes(b"PK"),
        "one of ['.csv', '.nc', '.npy', '.npz']",
    ),
    "a pickle in .npy": ("i.npy", a_pickle, "allow_pickle=False"),
    "a damaged .npz": ("i.npz", cut_short, "must be a whole .npz file of numbers"),
    "two arrays in .npz": ("i.npz", two_arrays, "one array (and names, `features`)"),
    "names of other features in .npz": ("i.npz", names_too_few, "each of the 2 feat"),
    "a text in the place of .nc": (
        "i.nc",
        lambda path: path.write_text("no numbers"),
        "must be a whole .nc file of numbers",
    ),
    "other axes in .nc": ("i.nc", other_axes, "([trial], time, feature)"),
    "an array of one axis": (
        "i.npy",
        lambda path: np.save(path, TRIALS[0, :, 0]),
        "float64 of shape (4,)",
    ),
    "a column of words in .csv": ("i.csv", with_words, "received ['sky']"),
    "a table without a step": (
        "i.csv",
        lambda path: frame(TRIALS[:, :0]).astype(float).to_csv(path, index=False),
        "an empty trial or none",
    ),
    "column numbers in the place of names in .csv": (
        "i.csv",
        lambda path: pd.DataFrame(TRIALS[0]).to_csv(path, index=False),
        "received '0,1', which may be either",
    ),
    "column numbers above an index in .csv": (
        "i.csv",
        lambda path: pd.DataFrame(TRIALS[0]).to_csv(path),
        "received 'nan,0.0,1.0', which may be either",
    ),
    "an index in .csv": (
        "i.csv",
        lambda path: frame(TRIALS).to_csv(path),
        "must have a name, and no two the same, received ['', 'temperature', 'wind']",
    ),
    "two columns of one name in .csv": (
        "i.csv",
        lines("wind,wind ", "1,2", "3,4"),
        "no two the same, received ['wind', 'wind']",
    ),
    "two columns of trials in .csv": (
        "i.csv",
        lines("Trial,trial,wind", "1,1,2", "1,2,4"),
        "no two the same, received ['trial', 'trial', 'wind']",
    ),
    "two features of one name in .npz": (
        "i.npz",
        lambda path: np.savez(path, x=TRIALS, features=["wind", "wind"]),
        "no two the same, received ['wind', 'wind']",
    ),
    "a step without its trial in .csv": (
        "i.csv",
        lines("trial,wind", "1,1", ",3", "1,5"),
        "name its `trial`, received none in step 1",
    ),
    "rows with more fields than columns in .csv": (
        "i.csv",
        lines("temperature,wind", "1,2,3", "4,5,6"),
        "Expected 2 fields in line 2, saw 3",
    ),
    "a row with more fields than others in .csv": (
        "i.csv",
        lines("temperature,wind", "1,2", "4,5,6"),
        "Expected 2 fields in line 3, saw 3",
    ),
    "times that fall in .csv": (
        "i.csv",
        lines("time,wind", "1,1", "3,3", "2,5"),
        "received 2 in step 2, after 3",
    ),
    "dates that fall in .csv": (
        "i.csv",
        lines("time,wind", "30/01/2026,1", "02/01/2026,3"),
        "received 2026-01-02 00:00:00+00:00 in step 1, after 2026-01-30",
    ),
    "times of which one is missing in .csv": (
        "i.csv",
        lines("time,wind", "1,1", ",3", "3,5"),
        "received nan in step 1, after 1.0",
    ),
    "times that fall in .nc": ("i.nc", falling, "in step 1, after 2026-01-04"),
    "an empty file of inputs": (
        "i.csv",
        lambda path: path.touch(),
        "must be a whole .csv file of numbers",
    ),
}


def refusal_of_series(case, folder):
    """Return what is said of a file in an empty folder."""
    name, write, _ = REFUSED[case]
    write(folder / name)
    with pytest.raises((ValueError, FileNotFoundError), match=r"^inspect: ") as caught:
        series.read_series(folder / name)
    return str(caught.value)


@pytest.mark.parametrize("case", REFUSED)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, case):
    said = refusal_of_series(case, tmp_path)
    assert REFUSED[case][2] in said
    assert REFUSED[case][0] in said or "feat" in said or "shape" in said
