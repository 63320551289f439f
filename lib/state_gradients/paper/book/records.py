"""Records of the engine's speed, as ``benchmarks/records`` keeps them."""

import json

import pandas as pd

from state_gradients.foundation import settings

WAYS = {  # of computing the same gradients, by their names in a record
    "floor": "floor",
    "engine": "engine",
    "jax_jacrev": "jax.jacrev, windows",
    "batch_jacobian": "batch_jacobian, windows",
    "per_component": "a backward pass a component",
}


def read_records(folder="", *, root=None):
    """Return the records of a folder of ``benchmarks/records``, by machine."""
    base = (root or settings.project_root()) / "benchmarks" / "records"
    paths = sorted((base / folder).glob("*.json"), key=lambda path: path.stem)
    return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}


GROUPS = {"growth": "when it doubles", "extensions": "beside the plain mean"}


def relative(made):
    """Return, by machine and date, times relative to the plain mean's, as text.

    Each record is of the engine as it was on its date; what it does not have is
    "not measured".

    Parameters
    ----------
    made : dict of str to dict
        As :func:`read_records` has read them.

    Returns
    -------
    pandas.DataFrame
    """
    columns = {
        f"{name}, {record['date']}": pd.concat(
            {title: pd.Series(record.get(key, {})) for key, title in GROUPS.items()}
        )
        for name, record in made.items()
    }
    rows = dict.fromkeys(row for column in columns.values() for row in column.index)
    rows = sorted(rows, key=lambda row: [*GROUPS.values()].index(row[0]))
    index = pd.MultiIndex.from_tuples(rows, names=["", "what"])
    table = pd.DataFrame(columns).reindex(index)
    table = table.map(
        lambda value: "not measured" if pd.isna(value) else f"{value:.2f}"
    )
    return table.rename(index=lambda text: text.replace("_", " "))


SHARED = {  # of inputs that share a basis: the names in a record, and for readers
    "tokens": "tokens",
    "ratio_50": "time of delays 0..50",
    "ratio_500": "time of delays 0..500",
    "growth_in_delays": "grows with the delays' power",
    "error": "distance of the mean",
    "peak_mb": "peak memory (MB)",
}
DIGITS = {"tokens": ",.0f", "peak_mb": ",.0f", "ratio_50": ".3g", "ratio_500": ".3g"}


def shared(record):
    """Return what inputs that share a basis cost, by tolerance, as text.

    Times are relative to the exact chain's of delays 0..50. A record that was made
    before has no rows.

    Parameters
    ----------
    record : dict
        What ``make bench`` wrote.

    Returns
    -------
    pandas.DataFrame
    """
    rows = [{"tokens": record["tokens"]} | row for row in record.get("low_rank", [])]
    table = [
        {
            title: format(row[name], DIGITS.get(name, ".2g"))
            for name, title in SHARED.items()
        }
        for row in rows
    ]
    index = pd.Index([f"{row['tolerance']:g}" for row in rows], name="tolerance")
    return pd.DataFrame(table, index=index, columns=[*SHARED.values()])


AIMED_AT = 1e-3  # the tolerance of the aims
AIMS = {"ratio_50": 0.45, "ratio_500": 1.0}  # of the exact time for delays 0..50


def aims(record):
    """Return in words which of `AIMS` a record of ``make bench`` meets."""
    for row in record.get("low_rank", []):
        if row["tolerance"] == AIMED_AT:
            met = tuple(row[name] <= aim for name, aim in AIMS.items())
            return {
                (True, True): "both are met",
                (True, False): "the former is met, the latter is not",
                (False, True): "the latter is met, the former is not",
                (False, False): "neither is met",
            }[met]
    return "not measured in this record"


def times(record, floor):
    """Return the milliseconds a token that each way takes, NaN where not measured.

    Parameters
    ----------
    record : dict
        What ``make bench`` wrote.
    floor : float
        Milliseconds a token that the products alone must take.

    Returns
    -------
    pandas.Series
        Indexed by the ways' names for readers, in the order of `WAYS`.
    """
    ways = {"engine": record["engine"], **record.get("peers", {})}
    found = {k: v["ms_per_token"] for k, v in ways.items() if isinstance(v, dict)}
    return pd.Series({"floor": floor, **found}).reindex(WAYS).rename(WAYS)


LONG = "python benchmarks/long_texts.py"  # what measures long texts
WIKITEXT_103 = 103_227_021  # tokens of its training text (Merity et al., 2017)
CORES = 1, 16, 64
ADDED = 1e9  # bytes a second that one process adds up, and a network of 10 Gbit/s sends
JOB = 256  # inputs


def long_texts(record):
    """Return how time and memory grow with the text's length, as text.

    Parameters
    ----------
    record : dict or None
        What ``benchmarks/long_texts.py`` wrote.

    Returns
    -------
    pandas.DataFrame
        Empty without a record.
    """
    rows = {}
    for what in ("means", "types") if record else ():
        for row in record[what]:
            rows[what, f"{row['tokens']:,}"] = {
                "tokens a second": f"{row['tokens_per_second']:,.0f}",
                "peak memory (MB)": f"{row['peak_mb']:,.0f}",
                "before the text (MB)": f"{row['peak_before_mb']:,.0f}",
            }
    table = pd.DataFrame.from_dict(rows, orient="index")
    if len(table):
        table.index.names = ["what", "tokens"]
    return table


def hours(record, long, *, units=512, embedding=64, max_delay=50):
    """Return the hours of WikiText-103 by the number of cores, from measured rates.

    The tangents go to all cores. The forward pass, and with Dask the adding of the
    sums that come back, stay with one process, whatever the number of cores.

    Parameters
    ----------
    record : dict
        What ``make bench`` wrote: the product rate, and the engine's share of it.
    long : dict or None
        What ``benchmarks/long_texts.py`` wrote, with the forward pass.
    units, embedding, max_delay : int

    Returns
    -------
    pandas.DataFrame
        By cores, in hours: ``tangents``; ``tangents, every type``; ``forward pass``;
        ``sums by Dask``; ``at least``, the longest of what goes on side by side. NaN
        where the forward pass has not been measured.
    """
    n_cores = int(record["machine"].split(",")[1].split()[0])
    rate = 1e9 * record["product_gflops"] * record["engine"]["share"] / n_cores
    columns = embedding * (max_delay + 1)
    tangents = WIKITEXT_103 * 2 * columns * units * 2 * units / rate / 3600
    forward = float("nan")
    if long and long["forward"]["units"] == units:
        forward = WIKITEXT_103 * long["forward"]["ms_per_token"] / 1000 / 3600
    sums = WIKITEXT_103 / JOB * columns * units * 8 / ADDED / 3600
    rows = {
        cores: {
            "tangents": tangents / cores,
            "tangents, every type": tangents * _every_type(record) / cores,
            "forward pass": forward,
            "sums by Dask": sums,
            "at least": max(tangents / cores, forward + sums),
        }
        for cores in CORES
    }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("cores")


def _every_type(record):
    return record["extensions"]["every_type"]


ON_A_GPU = "PYTHONPATH=lib python benchmarks/gpu.py"
OF_A_GPU = {  # what benchmarks/gpu.py measures: the path in its record, and for readers
    ("products", "float32", "squares_tflops"): "products in float32 (TFLOP/s)",
    ("products", "tf32", "squares_tflops"): "products in TensorFloat-32 (TFLOP/s)",
    ("float64", "products", "float64", "squares_tflops"): "in float64 (TFLOP/s)",
    ("products", "float32", "engine_shape_tflops"): "float32, as in 32 lanes (TFLOP/s)",
    ("error, lstm", "worst"): "error of the sweep, float32",
    ("float64", "error, lstm", "worst"): "error of the sweep, float64",
    ("keras_lstm", "as it is"): "error of Keras's LSTM as it is",
    ("keras_lstm", "in full"): "error of Keras's LSTM in full float32",
    ("forward_ms_per_token",): "forward pass, on the processor (ms a token)",
    ("tiles_ms_per_token",): "tiles, on the processor (ms a token)",
    ("peers, jax.jacrev", "ms_per_token"): "jax.jacrev, 64 windows (ms a token)",
    ("peers, jax.jacfwd", "ms_per_token"): "jax.jacfwd, 64 windows (ms a token)",
    ("peers, torch.func.jacrev", "ms_per_token"): "torch.func.jacrev (ms a token)",
}


def gpu_slot(*, root=None):
    """Return the records of GPUs by name, or, of none, what makes one."""
    return read_records("gpu", root=root) or {"not run": ON_A_GPU}


def of_gpus(slot):
    """Return what was measured on GPUs, a column each, as text.

    Parameters
    ----------
    slot : dict
        :func:`gpu_slot`.

    Returns
    -------
    pandas.DataFrame
        Without a record one line, with the command that makes one.
    """
    if "not run" in slot:
        return pd.DataFrame({"a GPU": {slot["not run"]: "not run"}})
    columns = {
        name: {title: _number(record, path) for path, title in OF_A_GPU.items()}
        for name, record in slot.items()
    }
    return pd.DataFrame(columns)


def by_lanes(slot):
    """Return how the sweep runs on GPUs, a row a machine and plan, as text.

    Parameters
    ----------
    slot : dict
        :func:`gpu_slot`.

    Returns
    -------
    pandas.DataFrame
        Empty without a record.
    """
    rows = {}
    for name, record in slot.items():
        if name == "not run":
            continue
        parts = {"float32": record, "float64": record.get("float64", {})}
        for dtype, part in parts.items():
            for key, run in part.items() if isinstance(part, dict) else ():
                if key.startswith("engine") and isinstance(run, dict):
                    rows[name, run["cell"], dtype, run["lanes"]] = _row(key, run)
    table = pd.DataFrame.from_dict(rows, orient="index")
    if len(table):
        table.index.names = ["machine", "cell", "dtype", "lanes"]
    return table


def _row(key, run):
    # a process's peak never falls: it is that of runs with ever more lanes only
    peak = run.get("peak_bytes") if key.endswith("lanes") else None
    return {
        "ms a token": f"{run['ms_per_token']:.3f}",
        "on the device": f"{run['device_ms_per_token']:.3f}",
        "of the products' rate": f"{run['share']:.0%}" if "share" in run else "",
        "predicted (MB)": f"{run['predicted_bytes'] / 1e6:,.0f}",
        "at the peak (MB)": f"{peak / 1e6:,.0f}" if peak else "",
    }


def _number(record, path):
    """Return what stands at a path of a record, as text; a part may have failed."""
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return f"{record:.3g}" if isinstance(record, int | float) else "not measured"
