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
    paths = sorted((base / folder).glob("*.json"))
    return {path.stem: json.loads(path.read_text("utf-8")) for path in paths}


SHARED = {  # of inputs that share a basis: the names in a record, and for readers
    "ratio_50": "time of delays 0..50",
    "ratio_500": "time of delays 0..500",
    "growth_in_delays": "grows with the delays' power",
    "error": "distance of the mean",
    "peak_mb": "peak memory (MB)",
}


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
    rows = record.get("low_rank", [])
    table = [
        {
            title: f"{row[name]:,.0f}" if name == "peak_mb" else f"{row[name]:.2g}"
            for name, title in SHARED.items()
        }
        for row in rows
    ]
    index = pd.Index([f"{row['tolerance']:g}" for row in rows], name="tolerance")
    return pd.DataFrame(table, index=index, columns=[*SHARED.values()])


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
