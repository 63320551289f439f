"""Figures, tables and numbers of the page that asks whether memory is forgotten.

Each `plot_*` draws; the others pick from the artifacts ``coherence`` and ``spectra``
what is drawn and said.
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book import pages
from state_gradients.paper.book.average_memory import whitened

LENGTHS = {
    "rms_length": "root mean square of the lengths",
    "mean_length": "mean length",
    "mean_response": "length of the mean: memory",
}
FACTORS = {"lengths": "lengths", "directions": "directions"}
ENDS = ("lower", "upper")
UNKNOWN = "(not run)"
PLACES = {"near": 1, "mid": 5, "late": 20}  # delays of the prose, or those before them


def of_state(data, kind, text="in order"):
    """Return what one text says of one state.

    Parameters
    ----------
    data : Dataset
        The artifact ``coherence``.
    kind, text : str

    Returns
    -------
    xarray.Dataset
        ``observed``, ``lower``, ``upper``, .. of shape (quantity, delay).
    """
    return data.sel(state_kind=kind, text=text, drop=True)


def places_of(delays):
    """Return the delays that the prose speaks of by name: 0, `PLACES` and the last."""
    delays = [int(delay) for delay in delays]
    named = {
        name: max(delay for delay in delays if delay <= place)
        for name, place in PLACES.items()
    }
    return {"0": delays[0]} | named | {"last": delays[-1]}


def falls(one):
    """Return how far a memory has fallen since delay 0, and by what.

    Parameters
    ----------
    one : Dataset
        Of :func:`of_state`.

    Returns
    -------
    xarray.Dataset of shape (delay,)
        ``fall`` = ``forgetting`` x ``cancellation``, of the memory, the mean length and
        the directions; ``share``, that of the cancellation in the logarithm, NaN at
        delay 0.
    """
    names = {"mean_response": "fall", "mean_length": "forgetting"}
    names["directions"] = "cancellation"
    observed = one["observed"].sel(quantity=[*names])
    ratio = observed.isel(delay=0) / observed
    found = {new: ratio.sel(quantity=old, drop=True) for old, new in names.items()}
    fall = np.log(found["fall"])
    share = np.log(found["cancellation"]) / fall.where(fall != 0)
    return xr.Dataset(found).assign(share=share).reset_coords(drop=True)


def told_factors(one, delays):
    """Return a table of the factors at some delays, with their intervals, as text."""
    columns = {
        "mean_length": "mean length",
        "directions": "directions",
        "mean_response": "memory",
        "lengths": "lengths",
        "top_share": "longest hundredth",
    }
    rows = [
        {name: told(one, quantity, delay) for quantity, name in columns.items()}
        for delay in delays
    ]
    return pd.DataFrame(rows, index=pd.Index(delays, name="delay"))


def told_falls(one, delays):
    """Return a table of :func:`falls` at some delays, as text."""
    at = falls(one).sel(delay=delays)
    columns = {
        "fall of the memory": at["fall"],
        "forgetting": at["forgetting"],
        "cancellation": at["cancellation"],
    }
    table = {name: [f"{x:.3g}" for x in col.values] for name, col in columns.items()}
    table["share of cancellation"] = [f"{x:.0%}" for x in at["share"].values]
    return pd.DataFrame(table, index=pd.Index(delays, name="delay"))


def told(one, quantity, delay):
    """Return a quantity at a delay with its interval, as text."""
    at = one.sel(quantity=quantity, delay=delay)
    values = [float(at[end]) for end in ("observed", *ENDS)]
    value, *ends = (f"{x:#.3g}" for x in values)
    return f"{value} [{', '.join(ends)}]"


def numbers(data, kind, spectra):
    """Return the numbers of the page's prose on one text, texts by name.

    Those of a delay end in ``_0``, ``_near``, ``_mid``, ``_late`` and ``_last``.

    Parameters
    ----------
    data : Dataset
        The artifact ``coherence``.
    kind : str
    spectra : Dataset
        ``memory``, ``rms_memory`` and ``coherence`` of the same state, whitened.
    """
    one = of_state(data, kind)
    quantities = {
        "dir": "directions",
        "len": "lengths",
        "top": "top_share",
        "mean": "mean_length",
        "memory": "mean_response",
    }
    fall, texts = falls(one), {}
    block = one["share_of_block"].max("block") * one.sizes["block"]
    rms = one["observed"].sel(quantity="rms_length", drop=True)
    step = rms / spectra["rms_memory"]
    for place, delay in places_of(one["delay"].values).items():
        at = fall.sel(delay=delay)
        median = one["length"].sel(quantile=0.5, delay=delay)
        longest = one["length"].sel(quantile=1.0, delay=delay)
        found = {
            "delay": str(delay),
            "fall": f"{float(at['fall']):.3g}",
            "forgets": f"{float(at['forgetting']):.3g}",
            "cancels": f"{float(at['cancellation']):.3g}",
            "share": f"{float(at['share']):.0%}",
            "median": f"{float(median):.2g}",
            "longest": f"{float(longest / rms.sel(delay=delay)):.0f}",
            "block": f"{float(block.sel(delay=delay)):.1f}",
            "step": f"{float(step.sel(delay=delay)):.3f}",
            "one_over_step": f"{1 / float(step.sel(delay=delay)):.1f}",
            "old": f"{float(spectra['coherence'].sel(delay=delay)):.3f}",
        }
        for key, quantity in quantities.items():
            found[key] = told(one, quantity, delay)
            value = float(one["observed"].sel(quantity=quantity, delay=delay))
            found[f"{key}_alone"] = f"{value:.0%}" if key == "top" else f"{value:#.3g}"
        texts |= {f"{key}_{place}": text for key, text in found.items()}
    places = places_of(one["delay"].values)
    later = {
        name: np.log(fall[name].sel(delay=places["last"]))
        - np.log(fall[name].sel(delay=places["mid"]))
        for name in ("fall", "cancellation")
    }
    after = one["observed"].sel(
        quantity="directions", delay=slice(places["near"], None)
    )
    texts["dir_least"] = f"{float(after.min()):#.3g}"
    texts["dir_most"] = f"{float(after.max()):#.3g}"
    texts["share_later"] = f"{float(later['cancellation'] / later['fall']):.0%}"
    return texts


def beside_shuffled(data, kind):
    """Return the quantities of both texts that the figure compares.

    Returns
    -------
    xarray.Dataset
        ``observed``, ``lower``, ``upper`` of shape (quantity, text, delay).
    """
    one = data.sel(state_kind=kind, drop=True)[["observed", *ENDS]]
    return one.transpose("quantity", "text", "delay")


def numbers_of_shuffled(data, kind):
    """Return the numbers of the page's prose on the shuffled text, texts by name."""
    both = beside_shuffled(data, kind)["observed"]
    names = {"mean_response": "memory", "mean_length": "mean", "directions": "dir"}
    texts = {}
    for place, delay in places_of(data["delay"].values).items():
        for quantity, name in names.items():
            texts[f"order_{name}_{place}"] = UNKNOWN
            texts[f"shuffled_{name}_{place}"] = UNKNOWN
            if "shuffled" in both["text"]:
                at = both.sel(quantity=quantity, delay=delay)
                ratio = float(at.sel(text="in order") / at.sel(text="shuffled"))
                shuffled = of_state(data, kind, "shuffled")
                texts[f"order_{name}_{place}"] = f"{ratio:.2f}"
                texts[f"shuffled_{name}_{place}"] = told(shuffled, quantity, delay)
    return texts


def doubts(data, experiment, kind):
    """Return the numbers of what could be wrong with the page, texts by name.

    Parameters
    ----------
    data : Dataset
        The artifact ``coherence``.
    experiment : str
    kind : str
    """
    places, hidden = places_of(data["delay"].values), of_state(data, "hidden")
    n_samples = int(of_state(data, kind)["n_samples"].max())
    texts = {"floor": f"{1 / np.sqrt(n_samples):.4f}"}
    for place, delay in places.items():
        texts[f"hidden_dir_{place}"] = told(hidden, "directions", delay)
    at = {"state_kind": kind, "delay": places["last"]}
    texts["unbiased_last"] = texts["own_last"] = UNKNOWN
    if pages.has_run(experiment, "intervals"):
        memory = whitened(experiment, "intervals").sel(at).sel(quantity="memory")
        texts["unbiased_last"] = f"{float(memory['estimate'] / memory['observed']):.0%}"
    if pages.has_run(experiment, "controls"):
        memory = whitened(experiment, "controls")["memory"].sel(at)
        own = memory.sel(control="text") / memory.sel(control="shuffled text")
        texts["own_last"] = f"{float(own):.2f}"
    return texts


def plot_split(one, *, axes=None):
    """Draw the three lengths by delay and, below, the two factors between them.

    Parameters
    ----------
    one : Dataset
        Of :func:`of_state`.
    axes : two matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    two matplotlib.axes.Axes
        The upper and the lower.
    """
    upper, lower = style.stacked_axes() if axes is None else axes
    _draw(upper, one, LENGTHS, "plot_split")
    y = r"response to the step $v_1$"
    style.finish(upper, one, x="", y=y, yscale="log", legend="above")
    _draw(lower, one, FACTORS, "plot_split")
    style.whole_numbers(lower.xaxis)
    x, y = "delay (tokens)", "factor"
    style.finish(lower, xr.Dataset(), x=x, y=y, ylim=(0, 1.02), legend="above")
    return upper, lower


def drawn_split(one):
    """Return what :func:`plot_split` draws, of shape (quantity, delay)."""
    names = LENGTHS | FACTORS
    chosen = one[["observed", *ENDS]].sel(quantity=[*names]).reset_coords(drop=True)
    return chosen.assign_coords(quantity=[*names.values()]).drop_attrs()


def plot_orders(both, *, axes=None):
    """Draw mean length and directions of the text in order and shuffled.

    Parameters
    ----------
    both : Dataset
        Of :func:`beside_shuffled`.
    axes : two matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    two matplotlib.axes.Axes
        The upper, of the lengths, and the lower, of the directions.
    """
    upper, lower = style.stacked_axes() if axes is None else axes
    for ax, quantity in ((upper, "mean_length"), (lower, "directions")):
        of_quantity = both.sel(quantity=quantity, drop=True)
        named = quantity == "mean_length"
        draw_lines(
            ax,
            of_quantity["observed"],
            "delay",
            "plot_orders",
            band=of_quantity[list(ENDS)],
            every=1,
            named=named,
        )
    style.finish(upper, both, x="", y="mean length", yscale="log", legend="above")
    style.whole_numbers(lower.xaxis)
    x, y = "delay (tokens)", "directions"
    style.finish(lower, xr.Dataset(), x=x, y=y, ylim=(0, None))
    return upper, lower


def _draw(ax, one, names, caller):
    """Draw some quantities with their intervals, each under its name."""
    chosen = one[["observed", *ENDS]].sel(quantity=[*names]).reset_coords(drop=True)
    chosen = chosen.assign_coords(quantity=[*names.values()])
    draw_lines(ax, chosen["observed"], "delay", caller, band=chosen, every=1)
