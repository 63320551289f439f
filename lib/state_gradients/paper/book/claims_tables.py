"""The claims, laid out to be read: a summary of one screen, and a table of them all.

Both are HTML that the book's style sheet knows: on a phone, a row of the table becomes
a block. The filters above it need ``book/_static/claims.js``, which shows them.
"""

import re
from html import escape

import xarray as xr
from IPython.display import HTML

from state_gradients.paper.claims import OF_THE_GRAMMAR, overall
from state_gradients.paper.claims.judging import (
    NOT_JUDGED,
    UNTESTABLE,
    WAITS,
    in_words,
    outcome,
)
from state_gradients.paper.claims.pages import MARKS
from state_gradients.paper.claims.registry import KINDS

# What the paper is cited for: its abstract and Section 6
_CITED = 3, 35, 42, 81, 85, 96, 102, 105, 109, 112, 121, 125, 136, 158, 194, 195
CENTRAL = tuple(f"C{number:03}" for number in _CITED)
PAGES = {  # the page of a claim: the first whose last claim is not before it
    "C003": ("03-state-gradients", "Section 3"),
    "C008": ("04-1-whitening", "Section 4.1"),
    "C009": ("03-state-gradients", "Section 3"),
    "C012": ("05-1-concept", "Section 5.1"),
    "C049": ("04-2-synthetic-corpus", "Section 4.2"),
    "C053": ("08-lowest-perplexity", "Appendix 8"),
    "C077": ("04-3-1-language-models", "Section 4.3.1"),
    "C124": ("04-3-2-average-memory", "Section 4.3.2"),
    "C129": ("04-3-3-word-classes", "Section 4.3.3"),
    "C143": ("04-3-4-word-types", "Section 4.3.4"),
    "C169": ("05-2-properties", "Section 5.2"),
    "C193": ("09-linear-classification", "Appendix 9"),
    "C194": ("04-3-2-average-memory", "Section 4.3.2"),
    "C195": ("04-3-4-word-types", "Section 4.3.4"),
    "C196": ("04-3-3-word-classes", "Section 4.3.3"),
}
# Claims that another one measures already: C042 turned over, and sums of earlier ones
REPEATED = ("C047", "C194", "C195", "C196")
GROUPS = {  # outcome: what the summary calls it
    "supported": "It holds",
    overall.DEPENDS: "It holds in some of our settings only",
    "not supported": "It does not hold",
    "undecided": "It is undecided: runs disagree, or a part of it is not tested",
    WAITS: "It waits for an experiment",
    UNTESTABLE: "It cannot be tested here",
    NOT_JUDGED: "It is not judged yet",
}
UNKNOWN = (WAITS, UNTESTABLE, NOT_JUDGED)  # of which nothing is known
SYMBOLS = MARKS | {overall.DEPENDS: "◐"}


def page_of(name):
    """Return the notebook that shows a claim, and what its section is called."""
    if name in OF_THE_GRAMMAR:
        return "grammar", "A language whose memory is known"
    return PAGES[next(last for last in PAGES if name <= last)]


def shares(judged):
    """Return how many claims hold, by section, to be drawn.

    Returns
    -------
    xarray.DataArray of int, shape (section, verdict)
    """
    return xr.DataArray(overall.by_section(judged))


def numbers(judged):
    """Return the counts that the page's prose names, as texts, by name.

    ``n_claims``, the number of each outcome (``n_holds``, ``n_depends``, ``n_fails``,
    ``n_undecided``, ``n_waits``, ``n_untestable``, ``n_unjudged``), and how many of
    which kind hold: ``by_kind``, ``of_numbers`` and ``of_sentences``, all but numbers.
    ``n_holds_once`` counts none of `REPEATED`.
    """
    claims = overall.of_each(judged)
    outcomes = claims["verdict"].map(outcome)
    names = ("n_holds", "n_depends", "n_undecided", "n_fails", "n_waits")
    names = (*names, "n_untestable", "n_unjudged")
    found = {
        name: str((outcomes == each).sum())
        for name, each in zip(names, overall.OVERALL, strict=True)
    }
    holds = outcomes.eq("supported").groupby(claims["kind"]).agg(["sum", "size"])
    of_kind = [
        f"{meaning} {holds['sum'][kind]} of {holds['size'][kind]}"
        for kind, meaning in KINDS.items()
        if kind in holds.index
    ]
    sentences = holds.drop("N", errors="ignore").sum()
    numbers = holds.sum() - sentences
    once = outcomes[~claims["id"].isin(REPEATED)]
    return found | {
        "n_claims": str(len(claims)),
        "n_holds_once": str((once == "supported").sum()),
        "by_kind": overall.listed(of_kind),
        "of_numbers": f"{numbers['sum']} of {numbers['size']}",
        "of_sentences": f"{sentences['sum']} of {sentences['size']}",
    }


def summary(judged):
    """Return the central claims, grouped by what became of them.

    Parameters
    ----------
    judged : pandas.DataFrame
        What :func:`state_gradients.paper.claims.judging.table` returned.

    Returns
    -------
    IPython.display.HTML
    """
    claims = overall.of_each(judged).set_index("id")
    central = claims.loc[[name for name in CENTRAL if name in claims.index]]
    outcomes = central["verdict"].map(outcome)
    rows = []
    for each, title in GROUPS.items():
        items = [_item(claim) for claim in central[outcomes == each].itertuples()]
        if items:
            head = f'<th scope="row">{SYMBOLS[each]} {title}</th>'
            rows.append(f"<tr>{head}<td><ul>{''.join(items)}</ul></td></tr>")
    return HTML(f'<table class="dataframe claims summary">{"".join(rows)}</table>')


def _item(claim):
    """Return a central claim as an item of a list, with how it holds if it does so."""
    holds = {
        in_words(one["setting"], one["recording"])
        for one in claim.judgements
        if one["verdict"] == "supported"
    }
    depends = claim.verdict == overall.DEPENDS
    where = f" ({escape('; '.join(sorted(holds)))})" if depends else ""
    text = _text(claim.claim)
    return f'<li><a href="#{claim.Index}">{claim.Index}</a> {text}{where}</li>'


def every(judged):
    """Return all claims as a table with filters by section and by verdict.

    Parameters
    ----------
    judged : pandas.DataFrame
        What :func:`state_gradients.paper.claims.judging.table` returned.

    Returns
    -------
    IPython.display.HTML
        Of each claim the verdict, our words, kind, place, page, quantity, bound, and
        of each judgement its value and why.
    """
    claims = overall.of_each(judged)
    heads = "".join(
        f'<th scope="col">{head}</th>'
        for head in ("claim", "in our words", "bound, value, why")
    )
    bodies = [
        _section(title, claims[claims["section"] == title])
        for title in overall.SECTIONS
        if (claims["section"] == title).any()
    ]
    table = f"<thead><tr>{heads}</tr></thead>{''.join(bodies)}"
    table = f'<table class="dataframe claims" id="claims">{table}</table>'
    return HTML(_filters(claims) + table)


def _filters(claims):
    """Return two menus, hidden where no script shows them."""
    outcomes = claims["verdict"].map(outcome)
    found = {
        "section": [x for x in overall.SECTIONS if (claims["section"] == x).any()],
        "outcome": [x for x in overall.OVERALL if (outcomes == x).any()],
    }
    said = {"section": "Section", "outcome": "Verdict"}
    menus = []
    for name, entries in found.items():
        options = "".join(f"<option>{escape(entry)}</option>" for entry in entries)
        menu = f'<select data-filter="{name}"><option value="">all</option>{options}'
        menus.append(f"<label>{said[name]} {menu}</select></label>")
    n_shown = '<output aria-live="polite"></output>'
    return f'<div class="claims-filter" hidden>{" ".join(menus)} {n_shown}</div>'


def _section(title, claims):
    """Return the rows of a section, below its title."""
    head = f'<tr class="section"><th colspan="3" scope="rowgroup">{title}</th></tr>'
    rows = "".join(map(_row, claims.itertuples()))
    return f'<tbody data-section="{title}">{head}{rows}</tbody>'


def _row(claim):
    each = outcome(claim.verdict)
    page, section = page_of(claim.id)
    cells = (
        f'<th scope="row"><a href="#{claim.id}">{claim.id}</a> '
        f'<span class="verdict">{SYMBOLS[each]} {escape(claim.verdict)}</span></th>',
        f"<td>{_text(claim.claim)}<small>{KINDS[claim.kind]}; paper: {claim.where}; "
        f'shown in <a href="{page}.html">{section}</a></small></td>',
        f"<td>{_findings(claim)}</td>",
    )
    return f'<tr id="{claim.id}" data-outcome="{each}">{"".join(cells)}</tr>'


def _findings(claim):
    """Return quantity, bound, and of each judgement its value and why, as a list."""
    lines = [("measured", _text(claim.quantity))]
    if claim.holds_if:
        lines.append(("holds if", _text(claim.holds_if)))
    several = len(claim.judgements) > 1
    for one in claim.judgements:
        of_which = in_words(one["setting"], one["recording"]) if several else ""
        verdict = f"{SYMBOLS[outcome(one['verdict'])]} " if several else ""
        is_reason = outcome(one["verdict"]) in (WAITS, UNTESTABLE)
        if one["value"] and not is_reason:
            lines.append((of_which or "value", verdict + _text(one["value"])))
        why = one["value"] if is_reason else one["why"]
        if why:
            lines.append((f"why{f', {of_which}' if of_which else ''}", _text(why)))
    parts = "".join(f"<dt>{escape(name)}</dt><dd>{text}</dd>" for name, text in lines)
    return f"<dl>{parts}</dl>"


def _text(words):
    """Return words as HTML, what stands between backticks as code, sigmas as such."""
    words = re.sub("`([^`]+)`", r"<code>\1</code>", escape(str(words)))
    words = re.sub(r"\bsigma_(\w)\b", r"&sigma;<sub>\1</sub>", words)
    return re.sub(r"(?<!&)\bsigma\b", "&sigma;", words)
