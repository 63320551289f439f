"""The ledger, laid out to be read: by section, in words and with tinted verdicts."""

import pandas as pd

from state_gradients.paper import ledger
from state_gradients.paper.book import pages

NBSP = "\N{NO-BREAK SPACE}"
MARKS = {  # verdict: symbol, and a tint that also differs in grey
    "within": ("●", "rgba(0, 114, 178, 0.18)"),
    "outside": ("▲", "rgba(230, 159, 0, 0.25)"),
    "outside, unexplained": ("▲▲", "rgba(213, 94, 0, 0.38)"),
    "not comparable": ("≠", "rgba(128, 128, 128, 0.30)"),
    "not run": ("○", "transparent"),
}
SECTIONS = {  # title: which places of the paper it holds
    "Whitening": r"4\.1",
    "Synthetic corpus": r"4\.2.*|Table 1|Fig 3",
    "Lowest perplexity": r"App 8.*",
    "Perplexities": r"Table 2|4\.3\.1|note 3",
    "Average memory": r"4\.3\.2|Fig [4-7].*",
    "Classes and word types": r"4\.3\.4|Fig [89].*",
    "Syntactic properties": r"5.*|Figs? 1[01].*|Table 3",
}


def by_section(root=None):
    """Return the ledger with a column ``section``, one of `SECTIONS`."""
    rows = ledger.table(root)
    for title, pattern in SECTIONS.items():
        rows.loc[rows["where"].str.fullmatch(pattern), "section"] = title
    return rows


def counts(rows):
    """Return how many rows of each section have which verdict."""
    table = pd.crosstab(
        rows["section"], rows["verdict"], margins=True, margins_name="all"
    )
    table = table.reindex(index=[*SECTIONS, "all"], columns=[*MARKS, "all"])
    table = table.fillna(0).astype(int)
    return table.rename_axis(index=None, columns="rows of the ledger")


def _number(value):
    """Format a number for reading; text stays, nothing becomes a dash."""
    if isinstance(value, str) or pd.isna(value):
        return value if isinstance(value, str) else pages.DASH
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.5g}"


def _difference(row):
    """Return a difference with its unit, or what must hold where there is none."""
    words = ledger.difference_in_words(row.difference, row.kind)
    if row.verdict == "not run":
        return pages.DASH
    if row.kind == "shape":
        words = f"must be {row.tolerance}"
    elif row.kind == "order" and row.tolerance.startswith("at "):
        words = f"must hold {row.tolerance}"
    return words or pages.DASH


def _tint(verdict):
    """Return the style of a verdict's cell."""
    return f"background-color: {MARKS[verdict.split(NBSP, 1)[1]][1]}"


def _setting(rows):
    """Return in which setting and recording ours was found, in brackets."""
    pairs = zip(rows["setting"], rows["recording"], strict=True)
    said = [", ".join(filter(None, pair)) for pair in pairs]
    return pd.Series([f" ({words})" if words else "" for words in said], rows.index)


def _chance(rows):
    """Return what chance reaches, in brackets, where a row says so."""
    said = ["" if pd.isna(x) else f" (by chance {x:.3g})" for x in rows["chance"]]
    return pd.Series(said, rows.index)


def readable(rows):
    """Return rows of the ledger as texts: claim, what, published, ours, verdict, ..."""
    spread = ["" if pd.isna(x) else f" ± {x:.2g}" for x in rows["uncertainty"]]
    return pd.DataFrame(
        {
            "claim": rows["claim"],
            "what": rows["where"] + ": " + rows["what"] + _setting(rows),
            "published": rows["published"].map(_number),
            "ours": rows["ours"].map(_number) + spread + _chance(rows),
            "difference": list(map(_difference, rows.itertuples())),
            "verdict": [f"{MARKS[each][0]}{NBSP}{each}" for each in rows["verdict"]],
            "why": rows["why"].str.replace("`|run `state-gradients ", "", regex=True),
        }
    )


def bounds(root=None):
    """Return the bound of every sentence that has one, with its reason, to show."""
    rows = [row for row in ledger.read_published(root) if "holds" in row]
    table = pd.DataFrame(
        {
            "what": [f"{row['where']}: {row['what']}" for row in rows],
            "published": [row["published"] for row in rows],
            "must be": [
                f"at {row['holds']} of the delays" if "each" in row else row["holds"]
                for row in rows
            ],
            "because": [row["because"].strip() for row in rows],
        }
    )
    return pages.table(table, "ledger-bounds", wide=True)


def show(rows, title):
    """Return one section of the ledger as a table to show.

    Parameters
    ----------
    rows : pandas.DataFrame
        Of :func:`by_section`.
    title : str
        One of `SECTIONS`.
    """
    section = readable(rows[rows["section"] == title])
    style = pages.table(section, title.replace(" ", "-"), wide=True)
    return style.map(_tint, subset="verdict")
