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
