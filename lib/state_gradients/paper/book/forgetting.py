"""Figures and tables of the page that asks what forgetting costs.

Each `plot_*` draws; the others pick from the artifact ``positions`` what is drawn.
"""

import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_chance, draw_lines

REPLACED, FORGOTTEN = "one word replaced", "all words before it forgotten"
NAMES = {
    "step": "length of the step",
    "memory": "memory of the place",
    "state": "linear change of the state",
    "hidden state": "... of the hidden state",
    "distribution": "... of the prediction",
}
Z = 1.96  # standard errors to either side


def price(data, what="kl"):
    """Return what losing words costs by delay, with 95 % intervals.

    Parameters
    ----------
    data : Dataset
        The artifact ``positions``.
    what : {"kl", "cost"}
        What the network expects, or what the next word of the text has cost.

    Returns
    -------
    xarray.Dataset
        ``mean``, ``lower``, ``upper`` of shape (lost, delay), in nats.
    """
    one = data[[f"mean_{what}", f"mean_{what}_error"]].sel(scale=1, drop=True)
    rest = data[[f"mean_late_{what}", f"mean_late_{what}_error"]]
    both = [
        part.rename(dict(zip(part.data_vars, ("mean", "error"), strict=True)))
        for part in (one, rest)
    ]
    lost = pd.Index([REPLACED, FORGOTTEN], name="lost")
    both = xr.concat([part.drop_attrs() for part in both], lost)
    half = Z * both["error"]
    ends = {"lower": both["mean"] - half, "upper": both["mean"] + half}
    return both[["mean"]].assign(ends).transpose("lost", "delay")


def told_price(data, delays):
    """Return a table of :func:`price`, expected and paid, at some delays, as text."""
    columns = {}
    for what, name in (("kl", "expected"), ("cost", "paid")):
        found = price(data, what)
        for lost in (REPLACED, FORGOTTEN):
            one = found.sel(lost=lost, delay=delays)
            half = (one["upper"] - one["mean"]).values
            pairs = zip(one["mean"].values, half, strict=True)
            columns[f"{lost}, {name}"] = [f"{x:.4f} ± {e:.4f}" for x, e in pairs]
    order = sorted(columns, key=lambda name: not name.startswith(REPLACED))
    return pd.DataFrame(columns, index=pd.Index(delays, name="delay"))[order]


def rank_correlations(data, kind):
    """Return correlations of surprisal with one state's memory by delay and control.

    Returns
    -------
    xarray.Dataset
        ``correlation``, ``lower``, ``upper`` and the null's ``null_lower``,
        ``null_upper``, of shape (control, delay).
    """
    names = ["correlation", "lower", "upper", "null_lower", "null_upper"]
    one = data[names].sel(state_kind=kind, null="moved", drop=True)
    delays = data["delay"].values
    one = one.sel(memory_of=[str(delay) for delay in delays])
    return one.rename(memory_of="delay").assign_coords(delay=delays)


def told_accuracy(data, kind, scales=(0.125, 0.5, 1.0)):
    """Return a table of how far a linear quantity predicts, by step and delay, as text.

    Its columns are medians over places: linear over real change of the state, their
    cosine, and quadratic form over real change of the distribution, with quartiles.
    """
    rows = []
    middle = data.sel(state_kind=kind)
    for scale in scales:
        for delay in _some(data["delay"].values):
            at = {"scale": scale, "delay": delay}
            state = middle["state_ratio"].sel(at).sel(quantile=[0.25, 0.5, 0.75])
            kl = data["kl_ratio"].sel(at).sel(quantile=[0.25, 0.5, 0.75])
            row = {"step": f"{scale:g}", "delay": int(delay)}
            row["state"] = "{1:.2f} ({0:.2f}, {2:.2f})".format(*state.values)
            row["cosine"] = f"{float(middle['cosine'].sel(at).median()):.2f}"
            row["distribution"] = "{1:.2f} ({0:.2f}, {2:.2f})".format(*kl.values)
            rows.append(row)
    return pd.DataFrame(rows)


def numbers(data, kind):
    """Return the numbers of the page's prose, texts by name.

    Those of a delay end in ``_0``, ``_near``, ``_mid`` and ``_far``.

    Parameters
    ----------
    data : Dataset
        The artifact ``positions``.
    kind : str
        The state that memory is of.
    """
    delays = data["delay"].values
    first, middle, last = _some(delays)
    near = delays[min(1, len(delays) - 1)]
    of_state = data.sel(state_kind=kind)
    texts = {
        "n_places": f"{data.sizes['place']:,}",
        "n_positions": f"{data.sizes['position']:,}",
        "n_sampled": f"{int(data['n_sampled']):,}",
        "of_class": "of the same class" if data["by_class"] else "of any class",
        "replaceable": f"{float(data['replaceable']):.0%}",
        "agreement_least": f"{float(data['agreement'].min()):.2f}",
    }
    for name, delay in (("0", first), ("near", near), ("mid", middle), ("far", last)):
        at = _at_delay(data, of_state, delay)
        texts |= {f"{key}_{name}": text for key, text in at.items()}
    of_form = data["prediction"].sel(scale=1, predictor="distribution")
    one = data.isel(control=1).sel(state_kind="hidden", memory_of=str(last))
    texts["hidden_far"] = _with_ends(one)
    texts["form_best"] = f"{float(of_form.max()):.2f}"
    texts |= {"near": str(near), "mid": str(middle), "far": str(last)}
    return texts | _told_correlations(of_state)


def _at_delay(data, of_state, delay):
    """Return what the prose says of one delay."""
    expected, memory = price(data)["mean"], of_state["mean_memory"]
    of_one = expected.sel(lost=REPLACED)
    one, rest = (expected.sel(lost=lost, delay=delay) for lost in (REPLACED, FORGOTTEN))
    whole = {"scale": 1, "delay": delay}
    predicted = data["prediction"].sel(whole)
    of_form = data["prediction"].sel(delay=delay, predictor="distribution")
    ratios = {
        "kl_ratio": data["kl_ratio"],
        "softmax_ratio": data["kl_ratio_of_change"],
        "state_ratio": of_state["state_ratio"],
    }
    return {
        "one": f"{float(one):.2g}",
        "all": f"{float(rest):.2g}",
        "share": f"{float(one / of_one.isel(delay=0)):.2%}",
        "memory": f"{float(memory.sel(delay=delay) / memory.isel(delay=0)):.0%}",
        "largest": f"{float(of_state['share_of_largest'].sel(delay=delay)):.0%}",
        "small_form": f"{float(of_form.isel(scale=0)):.2f}",
        "cosine": f"{float(of_state['cosine'].sel(whole).median()):.2f}",
        **{
            f"by_{key}": f"{float(predicted.sel(predictor=name)):.2f}"
            for key, name in (
                ("step", "step"),
                ("memory", "memory"),
                ("state", "state"),
                ("hidden", "hidden state"),
                ("form", "distribution"),
            )
        },
        **{
            name: f"{float(ratio.sel(whole).sel(quantile=0.5)):.2f}"
            for name, ratio in ratios.items()
        },
    }


def _told_correlations(of_state):
    """Return what the prose says of surprisal and memory."""
    texts = {}
    for control, key in zip(of_state["control"].values, "abcd", strict=True):
        at = of_state.sel(control=control)
        for what in (*of_state["memory_of"].values[:2], "all"):
            texts[f"rho_{key}_{what}"] = _with_ends(at.sel(memory_of=what))
    within = of_state["correlation"].isel(control=1).drop_sel(memory_of="all")
    strongest = abs(within).argmax("memory_of")
    texts["rho_b_best"] = f"{float(within[strongest]):+.2f}"
    texts["rho_b_at"] = str(within["memory_of"].values[strongest])
    excess = of_state["excess_surprisal"].sel(memory_of="all")
    texts["excess_least"] = f"{float(excess[0]):+.2f}"
    texts["excess_most"] = f"{float(excess[-1]):+.2f}"
    for null, name in (("moved", "null"), ("shuffled", "null_shuffled")):
        ends = of_state.sel(null=null)[["null_lower", "null_upper"]].to_dataarray()
        texts[name] = f"{float(abs(ends).max()):.3f}"
    return texts


def _with_ends(one):
    """Return a correlation with its interval, as text."""
    ends = [float(one[end]) for end in ("correlation", "lower", "upper")]
    return "{:+.3f} [{:+.3f}, {:+.3f}]".format(*ends)


def _some(delays):
    """Return the first, a middle and the last delay."""
    return [delays[0], delays[len(delays) // 2], delays[-1]]


def plot_price(data, *, ax=None):
    """Draw what losing words changes in the prediction against the delay.

    Parameters
    ----------
    data : Dataset
        ``mean``, ``lower``, ``upper`` of shape (lost, delay), in nats, above 0.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax)
    draw_lines(ax, data["mean"], "delay", "plot_price", band=data, every=1)
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", "change of the prediction (nats)"
    return style.finish(ax, data, x=x, y=y, yscale="log")


def plot_rank_correlations(data, *, ax=None):
    """Draw rank correlations with their intervals, and in grey what chance makes.

    Parameters
    ----------
    data : Dataset of shape (control, delay)
        ``correlation``, ``lower``, ``upper``; of ``null_lower`` and ``null_upper`` the
        widest is drawn.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.8)
    null = data["null_lower"].min("control"), data["null_upper"].max("control")
    draw_chance(ax, data["delay"], *null, "other positions")
    draw_lines(
        ax,
        data["correlation"],
        "delay",
        "plot_rank_correlations",
        band=data[["lower", "upper"]],
        every=1,
    )
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", "rank correlation"
    return style.finish(ax, data, x=x, y=y, legend="above")


def plot_predictions(data, *, ax=None):
    """Draw how well each quantity predicts by rank what a replaced word changes.

    Parameters
    ----------
    data : Dataset of shape (predictor, delay)
        ``prediction``, ``prediction_lower``, ``prediction_upper``.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=4.2)
    named = data.assign_coords(
        predictor=[NAMES[name] for name in data["predictor"].values]
    )
    band = xr.Dataset(
        {"lower": named["prediction_lower"], "upper": named["prediction_upper"]}
    )
    draw_lines(ax, named["prediction"], "delay", "plot_predictions", band=band, every=1)
    style.whole_numbers(ax.xaxis)
    x, y = "delay (tokens)", "rank correlation with the change"
    return style.finish(ax, data, x=x, y=y, legend="above")
