"""Claims: what the paper says that can be tested, with computed verdicts.

A published number is judged by the ledger and its tolerances; every other claim by a
test in :mod:`state_gradients.claims_synthetic`, which later modules join.
"""

import contextlib

import pandas as pd

from state_gradients import artifacts, claims_synthetic, config, tables, verdicts

CLAIMS = claims_synthetic.CLAIMS  # id -> verdicts.Claim


def table(root=None):
    """Return the claims that can be judged, in their order.

    Returns
    -------
    pandas.DataFrame
        Columns id, claim, kind, quantity, value, verdict ("supported", "not supported",
        "undecided" or "not run", whose value is the command that runs it).

    Raises
    ------
    artifacts.ArtifactError
        If an artifact is damaged.
    """
    everything = config.experiment_names(root)
    experiments = [config.load_experiment(name, root=root) for name in everything]
    names = [e.name for e in experiments if e.corpus.name == "synthetic"]
    runs, rows = [], []
    for name in names:
        with contextlib.suppress(artifacts.MissingArtifactError):
            runs.append(artifacts.load(name, "probes", root=root))
    for name, what in CLAIMS.items() if names else ():
        found = f"state-gradients reproduce {names[0]}", "not run"
        if runs:
            found = verdicts.by_runs(what.test, runs, len(names))
        rows.append((name, what.text, what.kind, what.quantity, *found))
    ledger = tables.ledger(root)
    numbers = ledger[~ledger["claim"].isin([*CLAIMS, ""]) & (ledger["kind"] != "order")]
    for name, part in numbers.groupby("claim"):
        text = "; ".join(f"{row.what}: {row.published}" for row in part.itertuples())
        where = ", ".join(dict.fromkeys(part["where"]))
        rows.append((name, text, "N", where, *verdicts.by_ledger(part)))
    columns = ["id", "claim", "kind", "quantity", "value", "verdict"]
    return pd.DataFrame(sorted(rows), columns=columns)
