"""What holds of each claim over all its judgements, and in words.

A claim that is judged in several settings, or ways of recording, none of which the
paper states, *depends on the setting* where some of them support it and others do not.
"""

import json

import pandas as pd

from state_gradients.paper.claims.judging import (
    NOT_JUDGED,
    UNTESTABLE,
    WAITS,
    outcome,
)

DEPENDS = "depends on the setting"
OVERALL = (
    *("supported", DEPENDS, "undecided", "not supported"),
    *(WAITS, UNTESTABLE, NOT_JUDGED),
)
SECTIONS = {  # title: first and last claim, in the order of the paper
    "Method": ("C001", "C012"),
    "Synthetic corpus": ("C013", "C053"),
    "Perplexities": ("C054", "C077"),
    "Average memory": ("C078", "C124"),
    "Classes and word types": ("C125", "C143"),
    "Properties": ("C144", "C169"),
    "Linear probes": ("C170", "C193"),
    "Conclusion": ("C194", "C196"),
}
_OF_A_CLAIM = ("id", "claim", "kind", "where", "quantity", "holds_if")
_OF_A_JUDGEMENT = ("setting", "recording", "verdict", "value", "why", "runs")


def combined(verdicts):
    """Return one verdict for several settings or ways of recording.

    What waits says nothing where something else is judged. What no setting supports is
    undecided as soon as one of them is.

    Parameters
    ----------
    verdicts : iterable of str
        As :func:`state_gradients.paper.claims.judging.table` returns them.

    Returns
    -------
    str
        One of `OVERALL`, or "waits for" with the name of an experiment.
    """
    verdicts = [*dict.fromkeys(verdicts)]
    decided = {x for x in verdicts if outcome(x) not in (WAITS, UNTESTABLE, NOT_JUDGED)}
    if not decided:
        return verdicts[0]
    if "supported" in decided:
        return "supported" if len(decided) == 1 else DEPENDS
    return "undecided" if "undecided" in decided else "not supported"


def section_of(name):
    """Return the title of a claim's section, one of `SECTIONS`."""
    return next(t for t, (first, last) in SECTIONS.items() if first <= name <= last)


def of_each(judged):
    """Return a row for each claim, with one verdict.

    Parameters
    ----------
    judged : pandas.DataFrame
        What :func:`state_gradients.paper.claims.judging.table` returned.

    Returns
    -------
    pandas.DataFrame
        Columns id, claim, kind, where, quantity, holds_if, section, verdict (of
        :func:`combined`) and judgements, a list of dicts with setting, recording,
        verdict, value, why and runs.
    """
    claims = []
    for name, rows in judged.groupby("id", sort=False):
        claim = rows.iloc[0][[*_OF_A_CLAIM]].to_dict()
        claim |= {"section": section_of(name), "verdict": combined(rows["verdict"])}
        judgements = rows[[*_OF_A_JUDGEMENT]].to_dict("records")
        claims.append(claim | {"judgements": judgements})
    return pd.DataFrame(claims)


def as_json(judged):
    """Return the claims as JSON, an object each, as :func:`of_each` has them."""
    return json.dumps(of_each(judged).to_dict("records"), ensure_ascii=False, indent=1)


def by_section(judged):
    """Return how many claims of each section have which verdict.

    Returns
    -------
    pandas.DataFrame
        Of ints; rows `SECTIONS`, columns those of `OVERALL` that occur.
    """
    claims = of_each(judged)
    outcomes = claims["verdict"].map(outcome)
    table = pd.crosstab(claims["section"], outcomes)
    table = table.reindex(index=[*SECTIONS], columns=[*OVERALL], fill_value=0)
    return table.loc[:, table.any()].rename_axis(index="section", columns="verdict")


def listed(words):
    """Return words as an enumeration: "a, b and c"."""
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last


_IN_WORDS = {  # outcome: what one claim does, and what several do
    "supported": ("holds", "hold"),
    DEPENDS: ("holds in some recordings only", "hold in some recordings only"),
    "undecided": ("is undecided", "are undecided"),
    "not supported": ("does not hold", "do not hold"),
    WAITS: ("waits for its experiment", "wait for their experiments"),
    UNTESTABLE: ("cannot be tested here", "cannot be tested here"),
    NOT_JUDGED: ("is not judged yet", "are not judged yet"),
}


def told(verdicts):
    """Return how many of some claims have which verdict, in words.

    Parameters
    ----------
    verdicts : pandas.Series
        One of each claim.

    Examples
    --------
    >>> import pandas as pd
    >>> from state_gradients.paper.claims.overall import told
    >>> told(pd.Series(["supported", "waits for a-run", "supported"]))
    '2 of the 3 claims hold and 1 waits for its experiment'
    """
    counts = verdicts.map(outcome).value_counts()
    parts = []
    for each in filter(counts.get, OVERALL):
        n = counts[each]
        among = "" if parts or len(verdicts) == 1 else f" of the {len(verdicts)} claims"
        parts.append(f"{n}{among} {_IN_WORDS[each][int(n > 1)]}")
    return listed(parts)
