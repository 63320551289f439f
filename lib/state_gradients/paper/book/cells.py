"""Cells under one protocol: what the page on modern cells draws, tables and says.

A state may be written in any units, so its memory is shown as it is and as a share of
what the newest word does to the same state, and a curve is held against the seeds of a
reference::

    relative(tau)   = sigma_1(tau) / sigma_1(0)
    directions(tau) = how many sigma_i(tau) are above sigma_1(0) / 100
    beyond          = an interval that lies outside the range of the reference's seeds
                      by more than that range
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import Markdown
from scipy.stats import spearmanr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.foundation.settings import experiment_names, load_experiment
from state_gradients.paper.book.average_memory import whitened
from state_gradients.paper.book.pages import DASH, as_runs, has_run, runs_of
from state_gradients.project import artifacts

NETWORKS = {  # experiments by what a figure calls them, beside the reference
    "GRU": "ptb-gru-256",
    "sLSTM": "ptb-slstm-256",
    "minGRU": "ptb-mingru-256",
    "minLSTM": "ptb-minlstm-256",
    "LRU": "ptb-lru-256",
    "S6": "ptb-s6-256",
    "RNN": "ptb-rnn-256",  # last: figures without it keep the others' colours
}
NEW = ("sLSTM", "minGRU", "minLSTM", "LRU", "S6")
STATES = {  # how a width is told, by settings.model.cell
    "lru": "{width} complex numbers",
    "s6": "{width} channels of {each} numbers",
}
FACTORS = {  # by what a unit multiplies what it holds, by settings.model.cell
    "lstm": "forget gate f",
    "gru": "update gate z",
    "slstm": "share of the old, v",
    "mingru": "1 - z",
    "minlstm": "f / (f + i)",
    "lru": "|Lambda|",
    "s6": "exp(delta A)",
}
READS_NO_STATE = ("lru", "s6")  # their outputs are none, and were not measured
UNITS = {  # of the columns of tables, where `sources` does not know them
    f"{name}{end}": unit
    for name, unit in {
        "relative": "share",
        "effective_rank": "1",
        "directions": "number",
        "half_life": "tokens",
        "share": "share of units",
    }.items()
    for end in ("", "_lower", "_upper")
}
OF_INTERVALS = ("memory", "selectivity", "effective_rank")
SHOWN = 1, 2, 5, 10, 20, 30, 49  # delays of the table
FAR, MIDDLE = 49, 20  # delays at which cells are judged, where all reach so far
SHARE = 0.01  # of sigma_1 at delay 0, above which a direction counts
FLOOR = 1e-5  # of the largest: where the axes of memory end
HALF_LIVES = np.geomspace(0.1, 1000, 81)  # tokens


def label_of(experiment):
    """Return what a figure calls the reference: LSTM on the Penn Treebank, or its name.

    Parameters
    ----------
    experiment : str
    """
    settings = load_experiment(experiment)
    is_ours = (settings.corpus.name, settings.model.cell) == ("ptb", "lstm")
    return "LSTM" if is_ours else experiment


def members(experiment):
    """Return the networks by what a figure calls them, the reference first.

    Parameters
    ----------
    experiment : str
        The reference.

    Returns
    -------
    dict of str to (tuple of str, str)
        Runs and the state that is carried on: the last one of its spectra, the cell of
        an LSTM and of an sLSTM, of the others the hidden state.
    """
    names = {label_of(experiment): experiment} | NETWORKS
    return {label: (runs_of(name), _carried(name)) for label, name in names.items()}


def _carried(name):
    cell = load_experiment(name).model.cell
    return "cell" if cell in ("lstm", "slstm") else "hidden"


def with_hidden(networks):
    """Return every state that is read or carried: ``LSTM, cell``, ``LSTM, hidden``, ..

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)
        Of :func:`members`.
    """
    both = {}
    for label, (runs, state) in networks.items():
        if state == "hidden":
            both[label] = runs, state
        else:
            both |= {f"{label}, {one}": (runs, one) for one in (state, "hidden")}
    return both


def curves(networks):
    """Return the whitened curves of networks with their bands.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)

    Returns
    -------
    xarray.Dataset
        ``value``, ``lower``, ``upper`` (quantity, experiment, delay) of what has been
        run: mean and range of several seeds; of a single run its 95 % interval from
        blocks of the text, NaN if it has none. The quantities are ``memory``,
        ``selectivity``, ``effective_rank``, ``relative`` and ``directions``, of which
        a single run has no interval.
    """
    found = {}
    for label, (names, state) in networks.items():
        runs = [name for name in as_runs(names) if has_run(name)]
        if runs:
            of_runs = [_curves_of(name, state) for name in runs]
            found[label] = _over(of_runs) if len(runs) > 1 else of_runs[0]
    index = pd.Index(found, name="experiment")
    return xr.concat(found.values(), index, join="inner", combine_attrs="drop")


def _curves_of(name, state):
    """Return one run's curves and intervals, (quantity, delay)."""
    spectra = whitened(name).sel(state_kind=state)
    value = spectra[[*OF_INTERVALS]].to_array("quantity").reset_coords(drop=True)
    found = {"value": value} | dict.fromkeys(("lower", "upper"), value * np.nan)
    if has_run(name, "intervals"):
        of_text = whitened(name, "intervals").sel(state_kind=state)
        for end in ("lower", "upper"):
            ends = of_text[end].reindex(quantity=value["quantity"])
            found[end] = ends.reset_coords(drop=True)
    both = xr.Dataset(found)
    relative = both.sel(quantity=["memory"]) / both["value"].sel(
        quantity="memory", delay=0, drop=True
    )
    relative = relative.assign_coords(quantity=["relative"])
    directions = xr.full_like(relative, np.nan).assign_coords(quantity=["directions"])
    least = SHARE * float(spectra["s"].sel(delay=0).max())
    directions["value"][0] = (spectra["s"] > least).sum("component")
    return xr.concat([both, relative, directions], "quantity")


def _over(of_runs):
    """Return mean and range over runs."""
    values = xr.concat([one["value"] for one in of_runs], "run", join="inner")
    return xr.Dataset(
        {
            "value": values.mean("run"),
            "lower": values.min("run"),
            "upper": values.max("run"),
        }
    )


def cells_table(networks):
    """Return what each network is and how well it predicts, as text.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)

    Returns
    -------
    pandas.DataFrame
        Parameters with their difference from those of the first network.
    """
    rows, first = {}, None
    for label, (names, _) in networks.items():
        runs = [name for name in names if has_run(name, "training")]
        found = [artifacts.load(name, "training") for name in runs]
        n_parameters = int(found[0]["n_parameters"]) if found else None
        first = first or n_parameters
        rows[label] = {
            "state": _state_told(names[0]),
            "parameters": _parameters_told(n_parameters, first),
            "learning rate": f"{load_experiment(names[0]).training.learning_rate:g}",
            "runs": f"{len(runs)}",
            "epochs": _mean_told(found, "epochs_run", "{:.0f}"),
            "perplexity, validation": _mean_told(found, "valid_perplexity_final"),
            "perplexity, test": _mean_told(found, "test_perplexity"),
        }
    return _by_cell(rows)


def _by_cell(rows):
    """Return rows by label as a table whose first column has a head."""
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis(columns="network")


def _state_told(name):
    model = load_experiment(name).model
    width = model.recurrent_units or model.units
    each = DASH
    if has_run(name, "half_lives"):
        each = artifacts.load(name, "half_lives").sizes["unit"] // width
    return STATES.get(model.cell, "{width} units").format(width=width, each=each)


def _parameters_told(n_parameters, first):
    if n_parameters is None:
        return DASH
    if n_parameters == first:
        return f"{n_parameters:,}"
    off = round(n_parameters / first - 1, 4) + 0.0  # -0.0 is told as 0
    return f"{n_parameters:,} ({off:+.2%})".replace("%", " %")


def _mean_told(found, name, form="{:.1f}"):
    """Return the mean over runs with their range, as text."""
    values = np.array([float(one[name]) for one in found])
    if not len(values):
        return DASH
    told = form.format(values.mean())
    if np.ptp(values) == 0:
        return told
    return f"{told} [{form.format(values.min())}, {form.format(values.max())}]"


def memory_table(found, delays=SHOWN):
    """Return memory at delay 0 and what is left of it later, as text.

    Parameters
    ----------
    found : Dataset
        Of :func:`curves`.
    delays : sequence of int
    """
    relative = found["value"].sel(quantity="relative")
    delays = [delay for delay in delays if delay in found["delay"].values]
    rows = {}
    for label in found["experiment"].values:
        one = found.sel(experiment=label)
        at_0 = one["value"].sel(quantity="memory", delay=0)
        row = {"memory at 0": f"{float(at_0):.3g}"}
        row |= {
            f"left at {delay}": with_ends(one.sel(quantity="relative", delay=delay))
            for delay in delays
        }
        row["a tenth is left after"] = _delay_told(relative.sel(experiment=label), 0.1)
        rows[label] = row
    return _by_cell(rows)


def with_ends(one):
    """Return a value with its band, as text: ``0.045 [0.043, 0.047]``."""
    value, *ends = (f"{float(one[name]):.2g}" for name in ("value", "lower", "upper"))
    return value if "nan" in ends else f"{value} [{', '.join(ends)}]"


def first_below(curve, share):
    """Return the first delay at which a curve is below a share, None if it never is.

    Parameters
    ----------
    curve : DataArray of shape (delay,)
    share : float
    """
    below = np.flatnonzero(curve.values < share)
    return int(curve["delay"][below[0]]) if len(below) else None


def _delay_told(curve, share):
    delay = first_below(curve, share)
    return f"over {int(curve['delay'][-1])}" if delay is None else str(delay)


def plot_memory(found, *, axes=None):
    """Draw memory as it is and, below, as a share of that at delay 0.

    The axes end at `FLOOR` of the largest.

    Parameters
    ----------
    found : Dataset
        Of :func:`curves`.
    axes : two matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    two matplotlib.axes.Axes
    """
    upper, lower = _stacked(found, ("memory", "relative"), axes)
    for ax, quantity in ((upper, "memory"), (lower, "relative")):
        largest = float(found["value"].sel(quantity=quantity).max())
        ax.set_ylim(FLOOR * largest, 2 * largest)
        ax.set_yscale("log")
        style.log_ticks(ax.yaxis)
    upper.set_ylabel(r"memory $\sigma_1$")
    lower.set_ylabel("share of that at delay 0")
    return upper, lower


def columns(found, quantities):
    """Return quantities of :func:`curves` as variables, for the table under a figure.

    Parameters
    ----------
    found : Dataset
    quantities : sequence of str

    Returns
    -------
    xarray.Dataset of shape (experiment, delay)
        ``memory``, ``memory_lower``, ``memory_upper``, ..
    """
    ends = {"": "value", "_lower": "lower", "_upper": "upper"}
    return xr.Dataset(
        {
            f"{quantity}{end}": found[name].sel(quantity=quantity, drop=True)
            for quantity in quantities
            for end, name in ends.items()
        }
    )


def plot_directions(found, *, axes=None):
    """Draw selectivity, effective rank and how many directions hold something.

    Parameters
    ----------
    found : Dataset
        Of :func:`curves`.
    axes : three matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    three matplotlib.axes.Axes
    """
    quantities = "selectivity", "effective_rank", "directions"
    axes = _stacked(found, quantities, axes)
    labels = "selectivity", "effective rank", f"directions above {SHARE:.0%}"
    for ax, label in zip(axes, labels, strict=True):
        ax.set_ylabel(label.replace("%", " %"))
    return axes


def _stacked(found, quantities, axes):
    n_axes = len(quantities)
    axes = style.stacked_axes(n_axes, height=2.7) if axes is None else axes
    for ax, quantity in zip(axes, quantities, strict=True):
        one = found.sel(quantity=quantity, drop=True)
        is_first, is_last = quantity == quantities[0], quantity == quantities[-1]
        band = one[["lower", "upper"]]
        draw_lines(ax, one["value"], "delay", "cells", band=band, named=is_first)
        style.whole_numbers(ax.xaxis)
        x = "delay (tokens)" if is_last else ""
        style.finish(ax, xr.Dataset(), x=x, y="", legend="above")
    return axes


def half_lives(networks, of="trained"):
    """Return the half-lives of single units, of the state that is carried.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)
    of : "trained" or "untrained"
        Which network: as it is, or as its training began.

    Returns
    -------
    dict of str to dict of str to ndarray of shape (unit,)
        By network and run, those that have been measured.
    """
    found = {}
    for label, (names, state) in networks.items():
        runs = [name for name in names if has_run(name, "half_lives")]
        of_runs = {name: artifacts.load(name, "half_lives") for name in runs}
        if of_runs:
            found[label] = {
                name: one["half_life"].sel(network=of, state_kind=state).values
                for name, one in of_runs.items()
            }
    return found


def about_half_lives(networks):
    """Say of which networks half-lives have not been measured; of none, nothing.

    Returns
    -------
    IPython.display.Markdown or None
    """
    lines = [
        f"- `state-gradients half-lives {name}`"
        for names, _ in networks.values()
        if not any(has_run(name, "half_lives") for name in names)
        for name in names[:1]
        if load_experiment(name).model.cell in FACTORS
    ]
    return Markdown("\n".join(["Not measured yet:", "", *lines])) if lines else None


def survival(lives):
    """Return the share of units whose half-life is longer than each of `HALF_LIVES`.

    Parameters
    ----------
    lives : dict of str to dict of str to ndarray
        Of :func:`half_lives`; of several runs the mean share.

    Returns
    -------
    DataArray of shape (experiment, half_life)
        NaN where no unit is left.
    """
    shares = [
        np.mean([_beyond(run, HALF_LIVES) for run in runs.values()], axis=0)
        for runs in lives.values()
    ]
    labels = {"experiment": [*lives], "half_life": HALF_LIVES}
    found = xr.DataArray(shares, labels, ("experiment", "half_life"), name="share")
    return found.where(found > 0)


def _beyond(run, tokens):
    """Return the share of a run's units beyond each of some half-lives."""
    return (run > np.asarray(tokens)[..., None]).mean(axis=-1)


def plot_half_lives(before, lives, *, axes=None):
    """Draw for each cell the share of units that hold longer than so many tokens.

    Parameters
    ----------
    before, lives : dict of str to dict of str to ndarray
        Of :func:`half_lives`, of the untrained and the trained networks.
    axes : two matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    two matplotlib.axes.Axes
    """
    axes = style.stacked_axes(height=2.9) if axes is None else axes
    for ax, (name, each) in zip(axes, _by_network(before, lives), strict=True):
        is_first = each is before
        shares = survival(each)
        caller = "plot_half_lives"
        draw_lines(ax, shares, "half_life", caller, every=8, named=is_first)
        x = "" if is_first else "half-life (tokens)"
        scales = {"xscale": "log", "yscale": "log"}
        y = f"share beyond, {name}"
        style.finish(ax, xr.Dataset(), x=x, y=y, legend="above", **scales)
    return axes


def _by_network(before, lives):
    return ("untrained", before), ("trained", lives)


def half_lives_table(networks, before, lives, beyond=(10, 50)):
    """Return quantiles of the units' half-lives, as text; of several runs, means.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)
    before, lives : dict of str to dict of str to ndarray
        Of :func:`half_lives`, of the untrained and the trained networks.
    beyond : sequence of int
        Tokens.
    """
    rows = {}
    for label, runs in lives.items():
        model = load_experiment(networks[label][0][0]).model
        units, at_first = [*runs.values()], [*before[label].values()]
        row = {
            "what a unit holds is multiplied by": FACTORS[model.cell],
            "numbers": f"{len(units[0]):,}",
            "median, untrained": _mean_of(at_first, np.median),
            "median": _mean_of(units, np.median),
            "nine in ten are below": _mean_of(units, lambda run: np.quantile(run, 0.9)),
        }
        for tokens in beyond:
            share = np.mean([_beyond(run, tokens) for run in units])
            row[f"beyond {tokens}"] = f"{share:.1%}".replace("%", " %")
        row["longest"] = _mean_of(units, np.max)
        row["order kept from the start"] = f"{order_kept(before, lives, label):.2f}"
        rows[label] = row
    return _by_cell(rows)


def order_kept(before, lives, label):
    """Return the rank correlation of units' half-lives before and after training.

    Parameters
    ----------
    before, lives : dict of str to dict of str to ndarray
    label : str
        The network; of several runs the mean is taken.

    Returns
    -------
    float
    """
    runs = lives[label]
    return np.mean(
        [spearmanr(before[label][k], run).statistic for k, run in runs.items()]
    )


def _mean_of(units, measure):
    value = np.mean([measure(run) for run in units])
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"


class Judged(NamedTuple):
    """How a cell stands to the reference's seeds in one respect."""

    verdict: str  # "more", "less" or "alike"
    ratio: float  # to the mean of the seeds; infinite if that is 0, and this is not


def judged(value, lower, upper, seeds):
    """Say whether a value lies beyond the seeds of a reference.

    Parameters
    ----------
    value, lower, upper : float
        With its interval; the value itself where there is none.
    seeds : array_like of shape (seed,)

    Returns
    -------
    Judged
        More (less) if the interval is above (below) the range of the seeds by more than
        that range, for a further seed would leave the range itself half of the time.
    """
    low, high = np.min(seeds), np.max(seeds)
    margin = high - low
    verdict = "alike"
    if lower > high + margin:
        verdict = "more"
    elif upper < low - margin:
        verdict = "less"
    mean = np.mean(seeds)
    ratio = value / mean if mean else np.inf if value else 1.0
    return Judged(verdict, float(ratio))


def judged_at(networks):
    """Return the delays `FAR` and `MIDDLE`, or the last that all networks reach.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)
        Those that have not been run do not count.
    """
    runs = [run for names, _ in networks.values() for run in names if has_run(run)]
    last = min((int(whitened(run)["delay"][-1]) for run in runs), default=FAR)
    return min(FAR, last), min(MIDDLE, last)


def verdicts(networks, lives):
    """Hold each new cell against the first network's seeds, in five respects.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)
    lives : dict of str to dict of str to ndarray
        Of :func:`half_lives`.

    Returns
    -------
    dict of str to dict of str to Judged
        By respect and cell: ``perplexity`` (validation); relative memory at the delay
        `FAR` of the state that is ``carried`` and of the one that is ``read``, where
        that is a state; ``half_life`` (median over units); ``directions`` at `MIDDLE`,
        of the carried state. See :func:`judged_at`.
    """
    (names, state), *_ = networks.values()
    delays = judged_at(networks)
    of_label = lives.get(next(iter(networks)), {})
    seeds = [
        _measured(run, state, of_label.get(run), delays)
        for run in filter(has_run, names)
    ]
    found = {respect: {} for respect in WORDS}
    for label in NEW:
        names, state = networks[label]
        for run in filter(has_run, names):
            units = lives.get(label, {}).get(run)
            for respect, values in _measured(run, state, units, delays).items():
                of_seeds = [seed[respect][0] for seed in seeds if respect in seed]
                if of_seeds:
                    found[respect][label] = judged(*values, of_seeds)
    return found


def _measured(name, state, units, delays):
    """Return (value, lower, upper) of one run in each respect that is known of it."""
    far, middle = delays
    carried = _curves_of(name, state)
    perplexity = float(artifacts.load(name, "training")["valid_perplexity_final"])
    found = {
        "perplexity": (perplexity,) * 3,
        "carried": _at(carried, "relative", far),
        "directions": _at(carried, "directions", middle),
    }
    if load_experiment(name).model.cell not in READS_NO_STATE:
        found["read"] = _at(_curves_of(name, "hidden"), "relative", far)
    if units is not None:
        found["half_life"] = (float(np.median(units)),) * 3
    return found


def _at(curves, quantity, delay):
    """Return a value with its interval; the value itself where there is none."""
    at = curves.sel(quantity=quantity, delay=delay)
    value, *ends = (float(at[name]) for name in ("value", "lower", "upper"))
    return (value, *(value if np.isnan(end) else end for end in ends))


FIRST = "-first"  # ends the name of an experiment that was trained once more


def trained_before(networks):
    """Return the first trainings of those networks that were trained twice.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)
        Of :func:`members`.
    """
    known = experiment_names()
    found = {}
    for label, ((name, *_), state) in networks.items():
        first = name + FIRST
        if first in known and has_run(first) and has_run(name):
            found[label] = (first,), state
    return found


def twice_table(networks):
    """Return what two trainings of a cell from one seed came to, as text.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)

    Returns
    -------
    pandas.DataFrame
        ``first | second`` in each respect, a row for each network that was trained
        twice; empty if none was.
    """
    far, middle = delays = judged_at(networks)
    rows = {}
    for label, ((first,), state) in trained_before(networks).items():
        both = first, first.removesuffix(FIRST)
        units = half_lives({label: (both, state)}).get(label, {})
        found = [_measured(run, state, units.get(run), delays) for run in both]
        rows[label] = {
            title.format(far=far, middle=middle): " | ".join(
                f"{one[respect][0]:.3g}" if respect in one else DASH for one in found
            )
            for respect, (title, *_) in WORDS.items()
        }
    return _by_cell(rows)


def turned(networks, lives):
    """Return in words which verdicts another training from the same seed turns.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)
    lives : dict of str to dict of str to ndarray
        Of :func:`half_lives`.
    """
    far, middle = judged_at(networks)
    before = trained_before(networks)
    now = verdicts(networks, lives)
    then = verdicts(networks | before, lives | half_lives(before))
    lines = [
        f"{label}, {WORDS[respect][0].format(far=far, middle=middle)}"
        for respect, by_cell in now.items()
        for label, one in by_cell.items()
        if then[respect].get(label, one).verdict != one.verdict
    ]
    return "; ".join(lines) or "none"


WORDS = {  # of each respect: its title, what more is called, and what less
    "perplexity": ("perplexity", "worse", "better"),
    "carried": ("left at {far}, carried", "longer", "shorter"),
    "read": ("left at {far}, read", "longer", "shorter"),
    "half_life": ("median half-life", "longer", "shorter"),
    "directions": ("directions at {middle}", "more", "fewer"),
}


def verdicts_table(judged_by, networks):
    """Return :func:`verdicts` as text, a row for each cell.

    Parameters
    ----------
    judged_by : dict of str to dict of str to Judged
    networks : dict of str to (tuple of str, str)
    """
    far, middle = judged_at(networks)
    cells = list(dict.fromkeys(label for one in judged_by.values() for label in one))
    rows = {
        label: {
            words[0].format(far=far, middle=middle): _verdict_told(
                judged_by[name].get(label), words
            )
            for name, words in WORDS.items()
        }
        for label in cells
    }
    return _by_cell(rows)


def _verdict_told(one, words):
    if one is None:
        return DASH
    _, more, less = words
    told = {"more": more, "less": less, "alike": "alike"}[one.verdict]
    if np.isinf(one.ratio):
        return f"{told} (there: none)"
    ratio = f"{one.ratio:.2f}" if 0.01 <= one.ratio < 10 else f"{one.ratio:.2g}"
    return f"{told} ({ratio} times)"


def listed(judged_by, name, verdict):
    """Return the cells of a verdict in words, ``no cell`` if there is none.

    Parameters
    ----------
    judged_by : dict of str to dict of str to Judged
    name : str
        A respect.
    verdict : "more", "less" or "alike"
    """
    cells = [label for label, one in judged_by[name].items() if one.verdict == verdict]
    *first, last = cells or ["no cell"]
    return f"{', '.join(first)} and {last}" if first else last


OF_CELLS = (  # what is said of each cell; a dash where it has not been run
    *("left", "tenth", "n", "median", "first", "longest", "first-longest", "order"),
)


def numbers(networks, found, before, lives, judged_by):
    """Return the numbers of the page's prose, texts by name.

    Parameters
    ----------
    networks : dict of str to (tuple of str, str)
        Of :func:`members`.
    found : Dataset
        Of :func:`curves`, of the carried states.
    before, lives : dict of str to dict of str to ndarray
        Of :func:`half_lives`, of the untrained and the trained networks.
    judged_by : dict of str to dict of str to Judged
    """
    (names, _), *_ = networks.values()
    far, middle = judged_at(networks)
    texts = {
        "reference": next(iter(networks)),
        "n-seeds": str(sum(map(has_run, names))),
        "far": str(far),
        "middle": str(middle),
        "share": f"{SHARE:.0%}".replace("%", " %"),
        "n-tokens": DASH,
    }
    for respect, (_, *words) in WORDS.items():
        verdicts_by_word = zip(
            ("more", "less", "alike"), (*words, "alike"), strict=True
        )
        for verdict, word in verdicts_by_word:
            texts[f"{respect}-{word}"] = listed(judged_by, respect, verdict)
    for place, label in enumerate(networks):
        key = label.lower() if place else "reference"
        texts |= {f"{key}-{name}": DASH for name in OF_CELLS}
        if label in found["experiment"].values:
            one = found["value"].sel(experiment=label)
            relative = one.sel(quantity="relative")
            n_directions = one.sel(quantity="directions", delay=middle)
            texts[f"{key}-left"] = f"{100 * float(relative.sel(delay=far)):.2g} %"
            texts[f"{key}-tenth"] = _delay_told(relative, 0.1)
            texts[f"{key}-n"] = f"{float(n_directions):.0f}"
        if label in lives:
            units, at_first = [*lives[label].values()], [*before[label].values()]
            texts[f"{key}-median"] = _mean_of(units, np.median)
            texts[f"{key}-first"] = _mean_of(at_first, np.median)
            texts[f"{key}-longest"] = _mean_of(units, np.max)
            texts[f"{key}-first-longest"] = _mean_of(at_first, np.max)
            texts[f"{key}-order"] = f"{order_kept(before, lives, label):.2f}"
    for name in filter(lambda name: has_run(name, "half_lives"), names[:1]):
        n_tokens = int(artifacts.load(name, "half_lives")["n_tokens"])
        texts["n-tokens"] = f"{n_tokens:,}"
    return texts
