"""Claims: what the paper says that can be tested, with computed verdicts.

A published number is judged by the ledger and its tolerances; every other claim by a
test in :mod:`state_gradients.claims_synthetic`, which later modules join.
"""

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
    experiments = [
        config.load_experiment(n, root=root) for n in config.experiment_names(root)
    ]
    names, runs = [e.name for e in experiments if e.corpus.name == "synthetic"], []
    for name in names:
        try:
            runs.append(artifacts.load(name, "probes", root=root))
        except artifacts.MissingArtifactError:
            continue
    rows = []
    for name, what in CLAIMS.items():
        found = (f"state-gradients reproduce {names[0]}", "not run") if names else None
        if runs:
            found = verdicts.by_runs(what.test, runs, len(names))
        rows += [(name, what.text, what.kind, what.quantity, *found)] if found else []
    ledger = tables.ledger(root)
    numbers = ledger[~ledger["claim"].isin([*CLAIMS, ""]) & (ledger["kind"] != "order")]
    for name, part in numbers.groupby("claim"):
        text = "; ".join(f"{row.what}: {row.published}" for row in part.itertuples())
        where = ", ".join(dict.fromkeys(part["where"]))
        rows.append((name, text, "N", where, *verdicts.by_ledger(part)))
    columns = ["id", "claim", "kind", "quantity", "value", "verdict"]
    return pd.DataFrame(sorted(rows), columns=columns)
