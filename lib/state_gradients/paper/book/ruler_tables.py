"""In how far rulers of memory agree: tables and numbers of the page of rulers.

Two rulers put networks in one order as far as they agree on pairs of them, Kendall's
tau-b: the share of pairs in the same order minus that in the other. How sure that is
has two sides: how well each end is known, and which networks there happen to be.
"""

import itertools

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.paper.book.rulers import (
    AGAINST,
    ENDS,
    LIMIT,
    RULERS,
    TENTH,
    UNTRAINED,
)
from state_gradients.project import artifacts

NAMES = {  # of rulers, in a pair
    "replacing": "one word replaced",
    "context": "context cut",
    "wrong": "wrong words",
    "order": "its order",
}
FAR = 0.5  # a tau of which the page says how often chance makes it
TOTAL_FROM = 50  # words, from which on the page speaks of a stretch's total gain
SPOKEN_OF = "LRU", "S6", "RNN"  # networks that the page names, beside its first
N_DRAWS, LEVEL, NORMAL = 2000, 0.95, 1.96
TITLES = {
    "memory": "memory: a tenth is left",
    "influence": f"influence: {LIMIT:.2f} nats",
    "replacing": f"one word replaced: {LIMIT:.2f} nats",
    "context": "context, cut",
    "wrong": "context, wrong words",
    "copying": f"copying: {LIMIT:.2f} nats",
    "order": f"its order: {LIMIT:.2f} nats",
}


def perplexities(networks):
    """Return validation perplexities by network, NaN where there is no training.

    Parameters
    ----------
    networks : dict of str to str
    """
    return {
        label: float(artifacts.load(name, "training")["valid_perplexity_final"])
        if has_run(name, "training")
        else np.nan
        for label, name in networks.items()
    }


def ends_table(networks, found):
    """Return where rulers end as text, with perplexities and what copying does at most.

    Parameters
    ----------
    networks : dict of str to str
    found : Dataset
        Of :func:`state_gradients.paper.book.rulers.ends`.
    """
    rows = {}
    for label, perplexity in perplexities(networks).items():
        one = found.sel(experiment=label)
        row = {"perplexity": told(perplexity, "{:,.0f}")}
        for ruler, title in TITLES.items():
            at = one.sel(ruler=ruler)
            row[title] = told_end(
                *(float(at[k]) for k in ("value", *ENDS, "shortest", "longest"))
            )
        row["words guessed right more, at most"] = _most_right(networks[label])
        rows[label] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def told(value, form):
    """Return a number as text, a dash for NaN."""
    return DASH if np.isnan(value) else form.format(value)


def told_end(value, lower, upper, shortest, longest):
    """Return where a ruler ends with its interval, as text."""

    def one(words):
        if np.isinf(words):
            return f"> {longest:.0f}"
        if words <= shortest:
            return f"\N{LESS-THAN OR EQUAL TO} {shortest:.0f}"
        return f"{words:.0f}" if words >= 10 else f"{words:.1f}"

    if np.isnan(value):
        return DASH
    if np.isnan(lower):
        return one(value)
    return f"{one(value)} [{one(lower)}, {one(upper)}]"


def _most_right(name):
    """Return the largest gain in accuracy, and at which length, as text."""
    if not has_run(name, "forgetting"):
        return DASH
    at = artifacts.load(name, "forgetting").sel(measure="accuracy", against="other")
    best = at.isel(length=int(at["gain"].argmax("length")))
    gain, *interval = (100 * float(best[k]) for k in ("gain", *ENDS))
    low, high = interval
    n = int(best["length"])
    return f"{gain:.1f} [{low:.1f}, {high:.1f}] in a hundred, n = {n}"


def order_table(networks, found):
    """Return the networks in the order of each ruler, first the longest, as text.

    Parameters
    ----------
    networks : dict of str to str
    found : Dataset
        Of :func:`state_gradients.paper.book.rulers.ends`.

    Returns
    -------
    pandas.DataFrame
        A row for each place, a column for perplexity (the lowest first) and each
        ruler. Those that are longer than was measured stand before the others, in the
        order of `networks`.
    """
    by_ruler = {"perplexity": {k: -x for k, x in perplexities(networks).items()}}
    for ruler, title in TITLES.items():
        values = found["value"].sel(ruler=ruler)
        by_ruler[title] = dict(zip(networks, values.values.tolist(), strict=True))
    columns = {}
    for title, values in by_ruler.items():
        known = {k: x for k, x in values.items() if not np.isnan(x)}
        columns[title] = sorted(known, key=known.get, reverse=True)
    n_rows = max(map(len, columns.values()))
    filled = {k: x + [DASH] * (n_rows - len(x)) for k, x in columns.items()}
    return pd.DataFrame(filled, index=range(1, n_rows + 1))


def agreement(networks, found, *, seed=0):
    """Return in how far two rulers put the networks in one order: Kendall's tau-b.

    Parameters
    ----------
    networks : dict of str to str
        The untrained twin, which is last by every ruler of predictions, is left out.
    found : Dataset
        Of :func:`state_gradients.paper.book.rulers.ends`.
    seed : int

    Returns
    -------
    pandas.DataFrame
        A row for each pair of perplexity (the lowest first) and rulers: ``first``,
        ``second``, ``n`` (networks that have both), ``tau``; ``lower``, ``upper``, 95 %
        of draws of each end from its interval, normal in its logarithm; ``least``,
        ``most``, when any one network is left out.
    """
    labels = [label for label in networks if label != UNTRAINED]
    known = found.sel(experiment=labels)
    low = perplexities({label: networks[label] for label in labels})
    rng = np.random.default_rng(seed)
    draws = {"perplexity": np.tile([-x for x in low.values()], (N_DRAWS + 1, 1))}
    for ruler in RULERS:
        draws[ruler] = _drawn(known.sel(ruler=ruler), rng)
    rows = []
    for first, second in itertools.combinations(draws, 2):
        both = ~np.isnan(draws[first][0]) & ~np.isnan(draws[second][0])
        pair = draws[first][:, both], draws[second][:, both]
        n = int(both.sum())
        row = {"first": first, "second": second, "n": n}
        if n > 2:
            taus = _taus(*pair)
            left = np.array([np.delete(np.arange(n), k) for k in range(n)])
            without = _taus(*(x[0][left] for x in pair))
            tails = (1 - LEVEL) / 2, (1 + LEVEL) / 2
            row["tau"] = taus[0]
            row["lower"], row["upper"] = np.quantile(taus[1:], tails)
            row["least"], row["most"] = without.min(), without.max()
        rows.append(row)
    columns = ["first", "second", "n", "tau", *ENDS, "least", "most"]
    return pd.DataFrame(rows, columns=columns)


def _drawn(one, rng):
    """Return ends as observed, then drawn from their intervals, (1 + draw, network)."""
    value, lower, upper = (one[k].values for k in ("value", *ENDS))
    with np.errstate(divide="ignore", invalid="ignore"):
        sides = np.log(upper / value), np.log(value / lower)
    sides = [np.where(np.isfinite(side), side, np.nan) for side in sides]
    spread = np.fmax(*sides) / NORMAL  # of what goes on beyond the longest, the other
    spread = np.where(np.isfinite(spread) & np.isfinite(value), spread, 0)
    noise = rng.normal(size=(N_DRAWS, len(value)))
    return np.vstack([value, value * np.exp(spread * noise)])


def _taus(a, b):
    """Return Kendall's tau-b of each row of a with that of b, (row, network).

    By the signs of all pairs: some thousands of calls of scipy.stats.kendalltau, each
    with its test, take twenty seconds.
    """
    first, second = np.triu_indices(a.shape[1], k=1)
    ranks = (rankdata(x, axis=1) for x in (a, b))
    signs = [np.sign(x[:, first] - x[:, second]) for x in ranks]
    untied = [np.abs(x).sum(axis=1) for x in signs]
    return (signs[0] * signs[1]).sum(axis=1) / np.sqrt(untied[0] * untied[1])


def chance_beyond(n, tau, *, seed=0):
    """Return how often two random orders of n networks agree, or oppose, so far.

    Parameters
    ----------
    n : int
    tau : float
        Kendall's, in either direction.
    seed : int
    """
    rng = np.random.default_rng(seed)
    orders = rng.permuted(np.tile(np.arange(n), (10 * N_DRAWS, 1)), axis=1)
    first, second = np.array([*itertools.combinations(range(n), 2)]).T
    of_order = np.sign(orders[:, second] - orders[:, first]).mean(axis=1)
    return float((np.abs(of_order) >= tau).mean())


def agreement_table(found):
    """Return :func:`agreement` as text."""
    rows = {}
    for row in found.itertuples():
        has_tau = np.isfinite(row.tau)
        of_all = f"{row.tau:.2f} [{row.lower:.2f}, {row.upper:.2f}]"
        pair = (NAMES.get(one, one) for one in (row.first, row.second))
        rows[" / ".join(pair)] = {
            "networks": row.n,
            "tau": of_all if has_tau else DASH,
            "without any one": f"{row.least:.2f} to {row.most:.2f}"
            if has_tau
            else DASH,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def numbers(networks, found, agreed):
    """Return the numbers of the page's prose, texts by name; a dash of what is missing.

    Parameters
    ----------
    networks : dict of str to str
    found : Dataset
        Of :func:`state_gradients.paper.book.rulers.ends`.
    agreed : pandas.DataFrame
        Of :func:`agreement`.
    """
    first = next(iter(networks))
    trained = [label for label in networks if label != UNTRAINED]
    of_all = found["value"].sel(experiment=trained).notnull().all("ruler")
    texts = {
        "limit": f"{LIMIT:.2f}",
        "tenth": f"{TENTH:g}",
        "n-networks": str(int(of_all.sum())),
        "n-pairs": str(len(agreed)),
    }
    least, most = int(of_all.sum()), int(agreed["n"].max())
    texts |= {"n-most": str(most), "far-tau": f"{FAR:g}"}
    for key, n in (("far-chance", least), ("far-chance-most", most)):
        share = chance_beyond(n, FAR) if n > 1 else 1.0
        texts[key] = f"{100 * share:.0f}"
    for ruler in RULERS:
        keys = {ruler: first} | {f"{x.lower()}-{ruler}": x for x in SPOKEN_OF}
        for key, label in keys.items():
            texts[f"{key}-end"] = DASH
            if label in networks:
                at = found.sel(experiment=label, ruler=ruler)
                ends_of = (
                    float(at[k]) for k in ("value", *ENDS, "shortest", "longest")
                )
                end = told_end(*ends_of)
                beyond = end.startswith("> ")
                texts[f"{key}-end"] = f"more than {end[2:]}" if beyond else end
    for row in agreed.itertuples():
        has_tau = np.isfinite(row.tau)
        texts[f"tau-{row.first}-{row.second}"] = (
            f"{row.tau:.2f} [{row.lower:.2f}, {row.upper:.2f}]" if has_tau else DASH
        )
    return texts | _of_copies(networks[first])


def _of_copies(name):
    """Return the numbers of one network's forgetting curve, texts by name."""
    keys = "short", "short-gain", "best-gain", "best-at", "nats-most", "nats-at"
    more = "order-most", "order-share", "right-most", "right-long", "long"
    more += "total-from", "total-least", "total-most"
    if not has_run(name, "forgetting"):
        return dict.fromkeys((*keys, *more), DASH)
    one = artifacts.load(name, "forgetting")
    hits, nats = (
        one[["gain", *ENDS]].sel(measure=measure, against="other")
        for measure in ("accuracy", "nats")
    )
    best, most = (int(each["gain"].argmax("length")) for each in (hits, nats))
    order = one.sel(measure="nats", against=AGAINST["order"])
    of_order = float(order["gain"][most]) / float(nats["gain"][most])
    right = one["accuracy"].sel(setting="copy")
    total = nats["gain"] * (nats["length"] - 1)  # of a stretch: its first word is free
    total = total.sel(length=total["length"] >= TOTAL_FROM)
    least, most_of_all = (
        (f"{float(total.min()):.1f}", f"{float(total.max()):.1f}")
        if total.size
        else (DASH, DASH)
    )
    return {
        "total-from": str(TOTAL_FROM),
        "total-least": least,
        "total-most": most_of_all,
        "short": str(int(one["length"][0])),
        "short-gain": _with_ends(hits.isel(length=0), 100, "{:.1f}"),
        "best-gain": _with_ends(hits.isel(length=best), 100, "{:.1f}"),
        "best-at": str(int(one["length"][best])),
        "nats-most": _with_ends(nats.isel(length=most), 1, "{:.2f}"),
        "nats-at": str(int(one["length"][most])),
        "order-most": _with_ends(order.isel(length=most), 1, "{:.2f}"),
        "order-share": f"{of_order:.0%}".replace("%", " %"),
        "right-most": f"{float(right.max()):.0%}".replace("%", " %"),
        "right-long": _with_ends(hits.isel(length=-1), 100, "{:.1f}"),
        "long": str(int(one["length"][-1])),
    }


def _with_ends(at, factor, form):
    """Return a gain with its interval, as text."""
    value, low, high = (form.format(factor * float(at[k])) for k in ("gain", *ENDS))
    return f"{value} [{low}, {high}]"
