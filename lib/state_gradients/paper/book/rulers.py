"""Five rulers for one memory: what their page draws, tables and says.

Each ruler is a curve over words back, of one network, and a limit where it ends::

    memory      sigma_1(tau) / sigma_1(0) of what the softmax reads       0.1
    influence   lambda_1(tau) / 2, nats that the most telling step of     ln 1.01
                one standard deviation changes
    replacing   KL(p || p') after another word tau back, in nats          ln 1.01
    context     loss without what stands more than n words back, minus    ln 1.01
                that with it
    copying     loss of a stretch of n words after another stretch,       ln 1.01
                minus that after itself

The first three are of one word tau back (artifact ``influence``), the fourth is of all
words beyond the last n together (``context``), the fifth of a stretch that is read
again (``forgetting``). Where a curve ends between two points it is taken for a straight
line: the first three in the curve's logarithm, the others in that of the words.
"""

import itertools

import numpy as np
import pandas as pd
import xarray as xr
from scipy.stats import kendalltau, rankdata

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.foundation.settings import load_experiment
from state_gradients.paper.book.cells import label_of
from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.paper.language.context import LIMIT
from state_gradients.project import artifacts

NETWORKS = {  # experiments by what a figure calls them, beside the page's own
    "LSTM, 512": "ptb-lstm-512",
    "GRU": "ptb-gru-256-seed1",
    "sLSTM": "ptb-slstm-256",
    "LRU": "ptb-lru-256",
    "S6": "ptb-s6-256",
    "minGRU": "ptb-mingru-256",
    "minLSTM": "ptb-minlstm-256",
    "RNN": "ptb-rnn-256",
}
UNTRAINED = "untrained"
RULERS = {  # by name: the axis of its curve
    "memory": "memory, share left",
    "influence": "influence (nats)",
    "replacing": "one word replaced (nats)",
    "context": "cost of cutting (nats)",
    "copying": "gain of a copy (nats)",
}
KINDS = "influence", "context", "forgetting"  # artifacts that the rulers read
TENTH = 0.1  # of the memory at delay 0
LIMITS = {"memory": TENTH} | dict.fromkeys([*RULERS][1:], LIMIT)
FAR = 0.5  # a tau of which the page says how often chance makes it
N_DRAWS, LEVEL, NORMAL = 2000, 0.95, 1.96
ENDS = "lower", "upper"


def members(experiment):
    """Return the networks of the page by what a figure calls them.

    Parameters
    ----------
    experiment : str

    Returns
    -------
    dict of str to str
        The experiment, those of `NETWORKS` that read the same corpus, and its
        untrained twin.
    """
    corpus = load_experiment(experiment).corpus
    others = {k: x for k, x in NETWORKS.items() if load_experiment(x).corpus == corpus}
    own = {label_of(experiment): experiment}
    return own | others | {UNTRAINED: f"{experiment}-untrained"}


def not_run(networks):
    """Return the experiments that lack one of `KINDS`, by the kinds that they lack.

    Parameters
    ----------
    networks : dict of str to str

    Returns
    -------
    dict of str to list of str
    """
    lacking = {
        name: [kind for kind in KINDS if not has_run(name, kind)]
        for name in networks.values()
    }
    return {name: kinds for name, kinds in lacking.items() if kinds}


def curves(networks):
    """Return the curves of the rulers, of the networks of which they have been run.

    Parameters
    ----------
    networks : dict of str to str

    Returns
    -------
    dict of str to xarray.Dataset
        By ruler: ``value``, ``lower``, ``upper`` (experiment, words). The memory has no
        interval; its ends are NaN.
    """
    found = {}
    for ruler in RULERS:
        kind = KIND_OF[ruler]
        ran = {k: name for k, name in networks.items() if has_run(name, kind)}
        if ran:
            each = [_READ[ruler](artifacts.load(name, kind)) for name in ran.values()]
            names = pd.Index(ran, name="experiment")
            found[ruler] = xr.concat(each, names, join="outer", combine_attrs="drop")
    return found


def _of_memory(one):
    memory = one["memory"].astype(float)
    share = memory / memory.sel(delay=0)
    none = xr.full_like(share, np.nan)
    return _curve(share, none, none, "delay")


def _of_influence(one):
    at = one.sel(quantity="influence").astype(float)
    return _curve(*(at[end] / 2 for end in ("observed", *ENDS)), "delay")


def _of_replacing(one):
    at = one.sel(scale=1.0).astype(float)
    return _curve(*(at[f"kl{end}"] for end in ("", "_lower", "_upper")), "step_delay")


def _of_context(one):
    at = one.sel(change="dropped").astype(float)
    return _curve(*(at[end] for end in ("cost", *ENDS)), "context")


def _of_copying(one):
    at = one.sel(measure="nats", against="other").astype(float)
    return _curve(*(at[end] for end in ("gain", *ENDS)), "length")


def _curve(value, lower, upper, along):
    named = {"value": value, "lower": lower, "upper": upper}
    bare = {k: x.reset_coords(drop=True).drop_attrs() for k, x in named.items()}
    return xr.Dataset(bare).rename({along: "words"})


_READ = {
    "memory": _of_memory,
    "influence": _of_influence,
    "replacing": _of_replacing,
    "context": _of_context,
    "copying": _of_copying,
}
KIND_OF = {
    **dict.fromkeys(("memory", "influence", "replacing"), "influence"),
    "context": "context",
    "copying": "forgetting",
}


def plot_curves(found, *, axes=None):
    """Draw the rulers one below the other, over the same words back.

    Parameters
    ----------
    found : dict of str to Dataset
        Of :func:`drawn`.
    axes : sequence of matplotlib.axes.Axes, optional
        As many; those of a new figure by default.

    Returns
    -------
    sequence of matplotlib.axes.Axes
    """
    axes = style.stacked_axes(len(found), height=2.3) if axes is None else axes
    for ax, (ruler, one) in zip(np.atleast_1d(axes), found.items(), strict=True):
        is_last = ruler == [*found][-1]
        band = None if ruler == "memory" else one
        lines = one["value"]
        named = ruler == next(iter(found))
        draw_lines(ax, lines, "words", "plot_curves", band=band, named=named)
        ax.axhline(LIMITS[ruler], color="0.4", linewidth=0.8, dashes=(4, 2))
        scales = {"xscale": "log", "yscale": "log"}
        ax.set_ylim(LIMITS[ruler] / 20, 2 * max(float(lines.max()), LIMITS[ruler]))
        x = "words back, or length (tokens)" if is_last else ""
        style.finish(ax, xr.Dataset(), x=x, y=RULERS[ruler], legend="above", **scales)
    return axes


def drawn(found):
    """Return :func:`curves` as they are drawn: from one word back on, and above 0.

    Below a twentieth of its limit, where the axis ends, a line ends too, and one that
    rises first begins where it comes above.
    """
    shown = {}
    for ruler, one in found.items():
        one = one.sel(words=one["words"] > 0)
        floor = LIMITS[ruler] / 20
        above = one["value"] > floor
        has_begun = above.cumsum("words") > 0
        has_ended = (has_begun & ~above).cumsum("words") > 0
        shown[ruler] = one.where(has_begun & ~has_ended).clip(min=floor)
    return shown


def ends(networks):
    """Return where each ruler ends for each network.

    Parameters
    ----------
    networks : dict of str to str

    Returns
    -------
    xarray.Dataset
        ``value``, ``lower``, ``upper`` (experiment, ruler), in words: infinite where
        the curve is above its limit at its longest, NaN where it has not been run, of
        the memory without interval; ``longest`` (ruler), what it was measured up to.
    """
    of_each = np.full((len(networks), len(RULERS), 3), np.nan)
    longest = dict.fromkeys(RULERS, 0)
    for row, name in enumerate(networks.values()):
        for column, ruler in enumerate(RULERS):
            kind = KIND_OF[ruler]
            if not has_run(name, kind):
                continue
            one = artifacts.load(name, kind)
            curve = _READ[ruler](one)
            longest[ruler] = max(longest[ruler], int(curve["words"].max()))
            of_each[row, column] = _ends_of(ruler, one, curve)
    dims = "experiment", "ruler"
    parts = {k: (dims, of_each[..., n]) for n, k in enumerate(("value", *ENDS))}
    parts["longest"] = "ruler", [*longest.values()]
    return xr.Dataset(parts, {"experiment": [*networks], "ruler": [*RULERS]})


def _ends_of(ruler, one, curve):
    """Return where a curve ends, with its interval."""
    if ruler == "context":
        at, name = one.sel(change="dropped"), "effective"
    elif ruler == "copying":
        at, name = one.sel(measure="nats", against="other"), "reach"
    else:
        words = curve["words"].values
        fallen = (falls_below(curve[end].values, words, LIMITS[ruler]) for end in curve)
        return [*fallen]
    values = [float(at[f"{name}{end}"]) for end in ("", "_lower", "_upper")]
    return np.nan_to_num(values, nan=np.inf)


def falls_below(curve, words, limit):
    """Return where a curve is last above a limit.

    Parameters
    ----------
    curve, words : ndarray of shape (words,)
    limit : float

    Returns
    -------
    float
        0 where it never is, infinite where it is at the last; NaN of a curve of NaN.
        Between two words along a straight line of its logarithm, or of itself where
        that does not exist.
    """
    if np.isnan(curve).all():
        return np.nan
    above = np.flatnonzero(curve >= limit)
    if not len(above):
        return 0.0
    last = above[-1]
    if last == len(curve) - 1:
        return np.inf
    high, low = curve[last], curve[last + 1]
    if low > 0:
        high, low, limit = np.log([high, low, limit])
    share = (high - limit) / (high - low)
    return float(words[last] + share * (words[last + 1] - words[last]))


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


TITLES = {
    "memory": "memory: a tenth is left",
    "influence": "influence: 0.01 nats",
    "replacing": "one word replaced: 0.01 nats",
    "context": "effective context",
    "copying": "copying: 0.01 nats",
}


def ends_table(networks, found):
    """Return :func:`ends` as text, with perplexities and what copying does at most.

    Parameters
    ----------
    networks : dict of str to str
    found : Dataset
        Of :func:`ends`.
    """
    rows = {}
    for label, perplexity in perplexities(networks).items():
        one = found.sel(experiment=label)
        row = {"perplexity": told(perplexity, "{:,.0f}")}
        for ruler, title in TITLES.items():
            at = one.sel(ruler=ruler)
            row[title] = told_end(*(float(at[k]) for k in ("value", *ENDS, "longest")))
        row["words guessed right more, at most"] = _most_right(networks[label])
        rows[label] = row
    return pd.DataFrame.from_dict(rows, orient="index")


def told(value, form):
    """Return a number as text, a dash for NaN."""
    return DASH if np.isnan(value) else form.format(value)


def told_end(value, lower, upper, longest):
    """Return where a ruler ends with its interval, as text."""

    def one(words):
        if np.isinf(words):
            return f"more than {longest:.0f}"
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
        Of :func:`ends`.

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
        Of :func:`ends`.
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
            taus = [_tau(*one) for one in zip(*pair, strict=True)]
            once = np.array([x[0] for x in pair])
            without = [_tau(*np.delete(once, k, axis=1)) for k in range(n)]
            tails = (1 - LEVEL) / 2, (1 + LEVEL) / 2
            row["tau"] = taus[0]
            row["lower"], row["upper"] = np.quantile(taus[1:], tails)
            row["least"], row["most"] = min(without), max(without)
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


def _tau(a, b):
    return kendalltau(rankdata(a), rankdata(b)).statistic


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
        rows[f"{row.first}, {row.second}"] = {
            "networks": row.n,
            "tau": of_all if has_tau else DASH,
            "without any one": f"{row.least:.2f} to {row.most:.2f}"
            if has_tau
            else DASH,
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def plot_said_again(one, *, ax=None):
    """Draw how many words are guessed right, by what was read before.

    Parameters
    ----------
    one : DataArray of shape (setting, length)
        Of :func:`said_again`.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax)
    draw_lines(ax, one, "length", "plot_said_again", every=1)
    ax.set_xscale("log")
    ax.set_ylim(bottom=0)
    return style.finish(ax, one, x="length n (tokens)", y="words guessed right (%)")


def said_again(name):
    """Return what :func:`plot_said_again` draws, in per cent.

    Parameters
    ----------
    name : str
        Of an experiment.

    Returns
    -------
    DataArray of shape (setting, length)
    """
    says = {
        "copy": "after itself",
        "shuffled": "after its words, shuffled",
        "other": "after another stretch",
    }
    share = artifacts.load(name, "forgetting")["accuracy"].astype(float)
    named = share.assign_coords(setting=[says[str(k)] for k in share["setting"].values])
    return (100 * named.drop_attrs()).rename("right").assign_attrs(experiment=name)


def numbers(networks, found, agreed):
    """Return the numbers of the page's prose, texts by name; a dash of what is missing.

    Parameters
    ----------
    networks : dict of str to str
    found : Dataset
        Of :func:`ends`.
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
    chance = chance_beyond(max(int(of_all.sum()), 2), FAR)
    texts |= {"far-tau": f"{FAR:g}", "far-chance": f"{100 * chance:.0f}"}
    for ruler in RULERS:
        at = found.sel(experiment=first, ruler=ruler)
        ends_of = (float(at[k]) for k in ("value", *ENDS, "longest"))
        texts[f"{ruler}-end"] = told_end(*ends_of)
        texts[f"{ruler}-longest"] = str(int(at["longest"]))
    for row in agreed.itertuples():
        has_tau = np.isfinite(row.tau)
        texts[f"tau-{row.first}-{row.second}"] = (
            f"{row.tau:.2f} [{row.lower:.2f}, {row.upper:.2f}]" if has_tau else DASH
        )
    return texts | _of_copies(networks[first])


def _of_copies(name):
    """Return the numbers of one network's forgetting curve, texts by name."""
    keys = "short", "short-gain", "best-gain", "best-at", "nats-most", "nats-at"
    more = "order-most", "order-end", "order-share", "right-most", "right-long", "long"
    if not has_run(name, "forgetting"):
        return dict.fromkeys((*keys, *more), DASH)
    one = artifacts.load(name, "forgetting")
    hits, nats = (
        one[["gain", *ENDS]].sel(measure=measure, against="other")
        for measure in ("accuracy", "nats")
    )
    best, most = (int(each["gain"].argmax("length")) for each in (hits, nats))
    order = one.sel(measure="nats", against="shuffled")
    ends_of = (float(order[f"reach{e}"]) for e in ("", "_lower", "_upper"))
    longest = int(one["length"][-1])
    of_order = float(order["gain"][most]) / float(nats["gain"][most])
    right = one["accuracy"].sel(setting="copy")
    return {
        "short": str(int(one["length"][0])),
        "short-gain": _with_ends(hits.isel(length=0), 100, "{:.1f}"),
        "best-gain": _with_ends(hits.isel(length=best), 100, "{:.1f}"),
        "best-at": str(int(one["length"][best])),
        "nats-most": _with_ends(nats.isel(length=most), 1, "{:.2f}"),
        "nats-at": str(int(one["length"][most])),
        "order-most": _with_ends(order.isel(length=most), 1, "{:.2f}"),
        "order-end": told_end(*np.nan_to_num([*ends_of], nan=np.inf), longest),
        "order-share": f"{of_order:.0%}".replace("%", " %"),
        "right-most": f"{float(right.max()):.0%}".replace("%", " %"),
        "right-long": _with_ends(hits.isel(length=-1), 100, "{:.1f}"),
        "long": str(longest),
    }


def _with_ends(at, factor, form):
    """Return a gain with its interval, as text."""
    value, low, high = (form.format(factor * float(at[k])) for k in ("gain", *ENDS))
    return f"{value} [{low}, {high}]"
