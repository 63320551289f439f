"""What words far back are good for: figures, claims and numbers of the tail's page.

The artifact ``context`` says what it costs to change the words beyond the last n, and
``boundaries`` what is remembered of a word after the end of its sentence.
"""

import numpy as np
import pandas as pd

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.paper.language.context import CHANGES
from state_gradients.project import artifacts

ENDS = ("lower", "upper")
BESIDE = 5, 10, 20, 50, 100, 200  # contexts that the table holds beside the memory
ABOUT = 1.5  # "about 200 words" is taken as 200 / 1.5 .. 200 * 1.5
CLAIMS = {  # of Khandelwal et al. (2018): the change, the words, and what was said
    "dropped": (200, "An LSTM is helped by about the last 200 words."),
    "shuffled": (50, "It knows the order of words within about the last 50 only."),
}
CROSSED = {0: "in the same sentence", 1: "one <eos> since", 2: "two or more"}
PLACES = {"near": 5, "mid": 20, "far": 50}  # delays that the prose speaks of


def read(experiment, kind):
    """Return an artifact with its experiment's name, or None if it has not been run."""
    if not has_run(experiment, kind):
        return None
    return artifacts.load(experiment, kind).assign_coords(experiment=experiment)


def rise(cost):
    """Return by how much the perplexity rises, in per cent, from a cost in nats."""
    return 100 * np.expm1(cost)


def plot_context(data, *, ax=None):
    """Draw by how much the perplexity rises, against the words that are left as is.

    Parameters
    ----------
    data : Dataset or None
        The artifact ``context``; of None nothing is drawn.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes or None
    """
    if data is None:
        return None
    ax = style.axes_or_new(ax, height=3.4)
    shown = context_drawn(data)
    draw_lines(ax, shown["rise"], "context", "plot_context", band=shown, every=1)
    ax.axhline(1, color="0.4", linewidth=0.8, dashes=(4, 2))
    ax.axhline(0, color="0.7", linewidth=0.8)
    ax.set_xscale("log")
    ax.set_yscale("symlog", linthresh=1)
    ax.set_ylim(bottom=-1)
    x = "last words that are left as they are"
    return style.finish(ax, data, x=x, y="rise of the perplexity (%)")


def context_drawn(data):
    """Return what :func:`plot_context` draws: rise, lower, upper (change, context).

    At the longest context, where nothing is changed, only what is dropped is drawn.
    """
    if data is None:
        return None
    found = rise(data[["cost", *ENDS]].drop_attrs()).rename(cost="rise")
    last = found["context"] == found["context"][-1]
    unchanged = last & (found["change"] != "dropped")
    return found.where(~unchanged).drop_vars("experiment", errors="ignore")


def told_effective(data, change):
    """Return an effective context and its interval, as text."""
    one = data.sel(change=change)
    longest = int(data["context"][-1])

    def told(value):
        return f"{float(value):.0f}" if np.isfinite(value) else f"more than {longest}"

    ends = ", ".join(told(one[f"effective_{end}"]) for end in ENDS)
    return f"{told(one['effective'])} [{ends}]"


def contexts_table(networks):
    """Return the effective contexts of several networks, as text.

    Parameters
    ----------
    networks : dict of str to str
        By what a table calls them; of those that have no ``context`` a dash.

    Returns
    -------
    pandas.DataFrame
    """
    rows = {}
    for label, name in networks.items():
        data = read(name, "context")
        loss = DASH if data is None else f"{float(data['loss']):.2f}"
        rows[label] = {"loss (nats)": loss} | {
            change: DASH if data is None else told_effective(data, change)
            for change in CHANGES
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def verdict(data, change):
    """Return how a claim stands here: "supported", "not supported" or "open".

    Supported if the whole interval lies within `ABOUT` of what was said; not, if none
    of it does.
    """
    said, _ = CLAIMS[change]
    one = data.sel(change=change)
    lower, upper = (
        float(np.nan_to_num(one[f"effective_{end}"], nan=np.inf)) for end in ENDS
    )
    if said / ABOUT <= lower and upper <= said * ABOUT:
        return "supported"
    return "not supported" if upper < said / ABOUT or lower > said * ABOUT else "open"


def claims(data):
    """Return a table of the claims with what was measured here, and a verdict."""
    rows = [
        {
            "claim": text,
            "said": f"{said} words",
            "measured": DASH if data is None else told_effective(data, change),
            "verdict": "not run" if data is None else verdict(data, change),
        }
        for change, (said, text) in CLAIMS.items()
    ]
    return pd.DataFrame(rows)


def beside(tail, data):
    """Return a table: what is left of the memory, and what words that far are good for.

    Parameters
    ----------
    tail : Dataset
        The artifact ``tail``.
    data : Dataset or None
        The artifact ``context``.
    """
    first = tail["estimate"].sel(mark=0)
    rows = {}
    for n in BESIDE:
        row = {}
        for title, quantity in (
            ("memory left", "memory"),
            ("root mean square left", "rms_memory"),
        ):
            known = n in tail["mark"]
            share = (
                (tail["estimate"].sel(mark=n) / first).sel(quantity=quantity)
                if known
                else np.nan
            )
            row[title] = f"{float(share):.2g}" if known else DASH
        if data is not None:
            for change in data["change"].values:
                one = rise(data[["cost", *ENDS]].sel(change=change, context=n))
                ends = ", ".join(f"{float(one[end]):.1f}" for end in ENDS)
                row[f"{change}: rise (%)"] = f"{float(one['cost']):.1f} [{ends}]"
        rows[n] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("words back")


def plot_boundaries(data, *, ax=None):
    """Draw the memory against the delay, by how many sentences have ended since.

    Parameters
    ----------
    data : Dataset or None
        The artifact ``boundaries``; of None nothing is drawn.
    ax : matplotlib.axes.Axes, optional

    Returns
    -------
    matplotlib.axes.Axes or None
    """
    if data is None:
        return None
    ax = style.axes_or_new(ax, height=3.4)
    shown = boundaries_drawn(data)
    draw_lines(ax, shown["memory"], "delay", "plot_boundaries", band=shown, every=1)
    y = "state units per standard deviation"
    return style.finish(ax, data, x="delay (tokens)", y=y, yscale="log")


def boundaries_drawn(data):
    """Return what :func:`plot_boundaries` draws: memory, lower, upper."""
    if data is None:
        return None
    names = [CROSSED[int(k)] for k in data["crossed"].values]
    shown = data[["memory", *ENDS]].drop_attrs().assign_coords(crossed=names)
    return shown.drop_vars("experiment", errors="ignore")


def told_ratio(data, crossed, delay):
    """Return memory over that within the sentence and its interval, as text."""
    one = data.sel(crossed=crossed, delay=delay)
    if not np.isfinite(one["ratio"]):
        return DASH
    ends = ", ".join(f"{float(one[f'ratio_{end}']):.2f}" for end in ENDS)
    return f"{float(one['ratio']):.2f} [{ends}]"


def boundaries_table(data):
    """Return a table of ratios by delay, with how many positions they are over."""
    if data is None:
        return pd.DataFrame()
    rows = {}
    for delay in data["delay"].values.tolist():
        row = {f"{CROSSED[k]}, ratio": told_ratio(data, k, delay) for k in (1, 2)}
        counts = data["n_samples"].sel(delay=delay)
        row |= {
            f"{name}, positions": f"{int(counts.sel(crossed=k)):,}"
            for k, name in CROSSED.items()
        }
        rows[delay] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("delay")


def twin_table(tail, twin):
    """Return the memory of a network and of its untrained twin at common marks.

    Parameters
    ----------
    tail, twin : Dataset or None
        Artifacts ``tail``.
    """
    if twin is None:
        return pd.DataFrame()
    marks = [m for m in tail["mark"].values.tolist() if m in twin["mark"].values]
    rows = {}
    for mark in marks:
        row = {}
        for name, data in (("trained", tail), ("untrained", twin)):
            at = data["estimate"].sel(mark=mark)
            for title, quantity in (("memory", "memory"), ("coherence", "coherence")):
                value = float(at.sel(quantity=quantity))
                told = f"{value:.3g}" if np.isfinite(value) else DASH
                row[f"{title}, {name}"] = told
        rows[mark] = row
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("delay")


def numbers(tail, context, boundaries, twin):
    """Return the numbers of the page's prose, texts by name; of what is missing a dash.

    Parameters
    ----------
    tail : Dataset
    context, boundaries, twin : Dataset or None
    """
    texts = {
        f"context_{change}": DASH for change in ("dropped", "shuffled", "replaced")
    }
    texts |= dict.fromkeys(("places", "changed_places", "loss", "longest"), DASH)
    texts["about"] = f"{ABOUT:g}"
    if context is not None:
        for change in context["change"].values:
            texts[f"context_{change}"] = told_effective(context, change)
        counts = context["n_places"]
        texts["places"] = f"{int(counts.sel(change='dropped')):,}"
        texts["changed_places"] = f"{int(counts.sel(change='shuffled')):,}"
        texts["loss"] = f"{float(context['loss']):.2f}"
        texts["longest"] = str(int(context["context"][-1]))
    for name, delay in PLACES.items():
        known = boundaries is not None and delay in boundaries["delay"]
        texts[f"word_{name}"] = str(delay)
        for k in (1, 2):
            told = told_ratio(boundaries, k, delay) if known else DASH
            texts[f"ratio_{k}_{name}"] = told
    texts |= dict.fromkeys(("within_far", "across_far"), DASH)
    if boundaries is not None and PLACES["far"] in boundaries["delay"]:
        counts = boundaries["n_samples"].sel(delay=PLACES["far"])
        within = int(counts.sel(crossed=0))
        texts["within_far"] = f"{within:,}"
        texts["across_far"] = f"{1 - within / int(counts.sum()):.1%}"
    texts |= dict.fromkeys(
        ("twin_per_word", "twin_last", "twin_delay", "twin_tokens"), DASH
    )
    if twin is not None:
        memory = twin["observed"].sel(quantity="memory")
        last = int(memory["delay"][-1])
        ten = float(memory.sel(delay=last) / memory.sel(delay=last - 10))
        texts["twin_per_word"] = f"{ten ** (1 / 10):.2f}"
        texts["twin_last"] = f"{float(memory[-1] / memory[0]):.1g}"
        texts["twin_delay"] = str(last)
        texts["twin_tokens"] = f"{int(twin['n_samples'][0]):,}"
    return texts
