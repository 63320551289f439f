"""Rulers for one memory: their curves, where these end, and how they are drawn.

Each ruler is a curve over words back, of one network, and a limit where it ends::

    memory      sigma_1(tau) / sigma_1(0) of what the softmax reads       0.1
    influence   lambda_1(tau) / 2, nats that the most telling step of     ln 1.01
                one standard deviation changes
    replacing   KL(p || p') after another word tau back, in nats          ln 1.01
    context     loss without what stands more than n words back, minus    ln 1.01
                that with it
    wrong       the same with words drawn at random in its place          ln 1.01
    copying     loss of a stretch of n words after another stretch,       ln 1.01
                minus that after itself
    order       the same after its own words, shuffled, minus that        ln 1.01
                after itself

The first three are of one word tau back (artifact ``influence``), the next two of all
words beyond the last n together (``context``), the last two of a stretch that is read
again (``forgetting``). Where a curve ends between two points it is taken for a straight
line: the first three in the curve's logarithm, the others in that of the words.
"""

from functools import partial

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.foundation.settings import experiment_names, load_experiment
from state_gradients.paper.book.cells import label_of
from state_gradients.paper.book.pages import has_run
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
    "wrong": "cost of wrong words (nats)",
    "copying": "gain of a copy (nats)",
    "order": "gain of its order (nats)",
}
KINDS = "influence", "context", "forgetting"  # artifacts that the rulers read
TENTH = 0.1  # of the memory at delay 0
LIMITS = {"memory": TENTH} | dict.fromkeys([*RULERS][1:], LIMIT)
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
        untrained twin, if one is defined.
    """
    corpus = load_experiment(experiment).corpus
    others = {
        label: name
        for label, name in NETWORKS.items()
        if name != experiment and load_experiment(name).corpus == corpus
    }
    twin = f"{experiment}-untrained"
    last = {UNTRAINED: twin} if twin in experiment_names() else {}
    return {label_of(experiment): experiment} | others | last


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
        By ruler: ``value``, ``lower``, ``upper`` (experiment, words), each of all
        networks of which anything has been run, NaN where this has not. The memory has
        no interval.
    """
    found = {}
    shown = [k for k, name in networks.items() if any(has_run(name, x) for x in KINDS)]
    for ruler in RULERS:
        kind = KIND_OF[ruler]
        ran = {k: name for k, name in networks.items() if has_run(name, kind)}
        if ran:
            each = [_READ[ruler](artifacts.load(name, kind)) for name in ran.values()]
            names = pd.Index(ran, name="experiment")
            known = xr.concat(each, names, join="outer", combine_attrs="drop")
            found[ruler] = known.reindex(experiment=shown)
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


def _of_context(one, ruler="context"):
    at = one.sel(change=CHANGE[ruler]).astype(float)
    return _curve(*(at[end] for end in ("cost", *ENDS)), "context")


def _of_copying(one, ruler="copying"):
    at = one.sel(measure="nats", against=AGAINST[ruler]).astype(float)
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
    "wrong": partial(_of_context, ruler="wrong"),
    "copying": _of_copying,
    "order": partial(_of_copying, ruler="order"),
}
KIND_OF = {
    **dict.fromkeys(("memory", "influence", "replacing"), "influence"),
    **dict.fromkeys(("context", "wrong"), "context"),
    **dict.fromkeys(("copying", "order"), "forgetting"),
}
CHANGE = {"context": "dropped", "wrong": "replaced"}  # of what stands far back
AGAINST = {"copying": "other", "order": "shuffled"}  # what a copy is held against


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
    axes = style.stacked_axes(len(found), height=2.0) if axes is None else axes
    for ax, (ruler, one) in zip(np.atleast_1d(axes), found.items(), strict=True):
        is_last = ruler == [*found][-1]
        band = None if ruler == "memory" else one
        lines = one["value"]
        named = ruler == next(iter(found))
        draw_lines(ax, lines, "words", "plot_curves", band=band, named=named)
        ax.axhline(LIMITS[ruler], color="0.4", linewidth=0.8, dashes=(4, 2))
        scales = {"xscale": "log", "yscale": "log"}
        ax.set_ylim(LIMITS[ruler] / 20, 2 * np.nanmax([lines.max(), LIMITS[ruler]]))
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
        the memory without interval; ``shortest`` and ``longest`` (ruler), from where
        and up to where it was measured.
    """
    of_each = np.full((len(networks), len(RULERS), 3), np.nan)
    longest, shortest = dict.fromkeys(RULERS, 0), dict.fromkeys(RULERS, 0)
    for row, name in enumerate(networks.values()):
        for column, ruler in enumerate(RULERS):
            kind = KIND_OF[ruler]
            if not has_run(name, kind):
                continue
            one = artifacts.load(name, kind)
            curve = _READ[ruler](one)
            longest[ruler] = max(longest[ruler], int(curve["words"].max()))
            shortest[ruler] = int(curve["words"].min())
            of_each[row, column] = _ends_of(ruler, one, curve)
    dims = "experiment", "ruler"
    parts = {k: (dims, of_each[..., n]) for n, k in enumerate(("value", *ENDS))}
    parts["shortest"] = "ruler", [*shortest.values()]
    parts["longest"] = "ruler", [*longest.values()]
    return xr.Dataset(parts, {"experiment": [*networks], "ruler": [*RULERS]})


def _ends_of(ruler, one, curve):
    """Return where a curve ends, with its interval."""
    if ruler in CHANGE:
        at, name = one.sel(change=CHANGE[ruler]), "effective"
    elif ruler in AGAINST:
        at, name = one.sel(measure="nats", against=AGAINST[ruler]), "reach"
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
