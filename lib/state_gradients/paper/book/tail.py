"""Figure, tables and numbers of the page on what is left after 500 words.

Laws are fitted to the memory's logarithm over the delays of the other pages, and held
against those beyond:

    miss = sqrt mean (ln law - ln memory)^2,   delays after the fit, before the noise
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.analysis import decays
from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines

FITTED = 50  # the last delay that laws are fitted to, where other pages end
PLACES = {"short": 50, "near": 100, "mid": 200, "late": 300}  # and the last
CURVES = {"rms_memory": "root mean square", "memory": "memory"}
ENDS = ("lower", "upper")
DASHES = (1, 1), (3, 1), (5, 1, 1, 1), (7, 2)  # of the laws, all in one grey


def places_of(marks):
    """Return the marks that the prose speaks of by name, as near `PLACES` as can be."""
    marks = [int(mark) for mark in marks]
    named = {
        name: max(mark for mark in marks if mark <= place)
        for name, place in PLACES.items()
    }
    return {"first": marks[0]} | named | {"last": marks[-1]}


def meets_noise(data, quantity):
    """Return the first mark from which on a quantity's interval holds 0, None if none.

    Parameters
    ----------
    data : Dataset
        The artifact ``tail``.
    quantity : str
        A norm: ``memory``, ``rms_memory`` or ``total``, whose interval can reach 0.
    """
    lower = data["lower"].sel(quantity=quantity)
    stands = np.flatnonzero(lower.values > 0)
    after = stands[-1] + 1 if len(stands) else 0
    return None if after == lower.sizes["mark"] else int(lower["mark"][after])


def reach(data):
    """Return the last delay before the memory meets its noise."""
    noise = meets_noise(data, "memory")
    return int(data["delay"][-1]) if noise is None else noise - 1


def laws(data):
    """Fit the laws of decay over the first delays, and follow them to the last.

    Parameters
    ----------
    data : Dataset
        The artifact ``tail``.

    Returns
    -------
    xarray.Dataset
        ``aic``, ``r_squared`` (law) of the fit up to `FITTED`; ``memory`` (law, delay),
        what each law says; ``miss`` (law), how far it is off beyond, in units of the
        natural logarithm, NaN where no delay is left before the noise.
    """
    memory = data["observed"].sel(quantity="memory", drop=True)
    fit = decays.compare_decays(memory.sel(delay=slice(FITTED)), laws=decays.ALL_LAWS)
    a, b = (fit[name].drop_attrs() for name in ("a", "b"))
    tau = memory["delay"].astype(float)
    exponents = {
        "exponential": b * tau,
        "power": b * np.log1p(tau),
        "stretched": b * tau ** fit["beta"],
        "damped power": b * (1 + tau) - (fit["m"] - 1) * np.log1p(tau),
    }
    named = [one.sel(law=law, drop=True) for law, one in exponents.items()]
    exponent = xr.concat(named, xr.Variable("law", [*exponents]), coords="minimal")
    said = a * np.exp(-exponent.sel(law=fit["law"]))
    beyond = slice(FITTED + 1, reach(data))
    off = np.log(said.sel(delay=beyond) / memory.sel(delay=beyond))
    miss = np.sqrt((off**2).mean("delay"))
    return fit[["aic", "r_squared"]].assign(memory=said, miss=miss)


def told_laws(data):
    """Return a table of the laws: how well they describe, and where they lead."""
    fitted, places = laws(data), places_of(data["mark"].values)
    memory = data["observed"].sel(quantity="memory")
    table = {"law": [decays.FORMULAS[law] for law in fitted["law"].values]}
    least = float(fitted["aic"].min())
    table["AIC above the best"] = [f"{x - least:.0f}" for x in fitted["aic"].values]
    for place in ("near", "mid", "last"):
        ratio = fitted["memory"] / memory
        at = ratio.sel(delay=places[place]).values
        table[f"law / memory at {places[place]}"] = [f"{x:.2g}" for x in at]
    table[f"off, {FITTED + 1}..{reach(data)}"] = [
        "(no delay)" if np.isnan(x) else f"a factor of {np.exp(x):.2f}"
        for x in fitted["miss"].values
    ]
    return pd.DataFrame(table, index=pd.Index(fitted["law"].values, name="name"))


def told(data, quantity, mark):
    """Return a quantity without the bias of noise, and its interval, as text."""
    at = data.sel(quantity=quantity, mark=mark)
    value, *ends = (f"{float(at[name]):#.3g}" for name in ("estimate", *ENDS))
    return f"{value} [{', '.join(ends)}]"


def told_quantities(data):
    """Return a table of all quantities at the marks of the prose, as text."""
    columns = {
        "memory": "memory",
        "rms_memory": "root mean square",
        "coherence": "coherence",
        "selectivity": "selectivity",
        "effective_rank": "effective rank",
    }
    marks = dict.fromkeys(places_of(data["mark"].values).values())
    rows = [
        {title: told(data, name, mark) for name, title in columns.items()}
        for mark in marks
    ]
    return pd.DataFrame(rows, index=pd.Index([*marks], name="delay"))


def numbers(data):
    """Return the numbers of the page's prose, texts by name.

    Parameters
    ----------
    data : Dataset
        The artifact ``tail``.
    """
    places = places_of(data["mark"].values)
    texts = {f"delay_{name}": str(mark) for name, mark in places.items()}
    memory = data["estimate"].sel(quantity="memory")
    first = float(memory.sel(mark=places["first"]))
    for name, mark in places.items():
        texts[f"memory_{name}"] = told(data, "memory", mark)
        texts[f"rms_{name}"] = told(data, "rms_memory", mark)
        texts[f"rank_{name}"] = told(data, "effective_rank", mark)
        texts[f"coherence_{name}"] = told(data, "coherence", mark)
        texts[f"left_{name}"] = f"{float(memory.sel(mark=mark)) / first:.2g}"
    for name, quantity in (("memory", "memory"), ("rms", "rms_memory")):
        noise = meets_noise(data, quantity)
        within = f"before delay {places['last']}"
        texts[f"noise_{name}"] = f"at {noise}" if noise else f"not {within}"
    fitted = laws(data)
    best = str(fitted["aic"].idxmin("law").item())
    texts |= {"best_law": best, "reach": str(reach(data)), "fitted": str(FITTED)}
    off = fitted["miss"]
    if off.notnull().all():
        nearest = str(off.idxmin("law").item())
        texts["nearest_law"] = nearest
        texts["off_best"] = f"{float(np.exp(off.sel(law=best))):.2f}"
        texts["off_nearest"] = f"{float(np.exp(off.sel(law=nearest))):.2f}"
        texts["off_worst"] = f"{float(np.exp(off.max())):.3g}"
    else:
        names = ("nearest_law", "off_best", "off_nearest", "off_worst")
        texts |= dict.fromkeys(names, "(no delay left)")
    error = float(data["tolerance_error"].max())
    texts |= {"error": f"{error:.1g}", "tolerance": f"{float(data['tolerance']):g}"}
    texts["n_first"] = f"{int(data['n_samples'][0]):,}"
    return texts


def drawn(data):
    """Return what :func:`plot_tail` draws, a dict of a Dataset and a DataArray.

    Parameters
    ----------
    data : Dataset
        The artifact ``tail``.
    """
    chosen = data[[*ENDS]].sel(quantity=[*CURVES]).rename(mark="delay")
    chosen["observed"] = data["observed"].sel(delay=data["mark"].values)
    chosen = chosen.drop_vars("state_kind", errors="ignore")
    curves = chosen.assign_coords(quantity=[*CURVES.values()])
    return {"curves": curves, "laws": laws(data)["memory"]}


def plot_tail(data, *, ax=None):
    """Draw memory and its root mean square with intervals, and where the laws lead.

    The curves are those of the mean gradient, noise and all, the bands intervals
    without its bias: a curve above its band is noise.

    Parameters
    ----------
    data : Dataset
        The artifact ``tail``.
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax, height=3.6)
    chosen = drawn(data)["curves"]
    band = chosen[[*ENDS]]
    draw_lines(ax, chosen["observed"], "delay", "plot_tail", band=band, every=3)
    floor = float(chosen["observed"].min()) / 10
    fitted = drawn(data)["laws"]
    for law, dashes in zip(fitted["law"].values, DASHES, strict=True):
        line = fitted.sel(law=law)
        line = line.where(line > floor).dropna("delay")
        looks = {"color": "0.4", "linewidth": 1.2, "dashes": dashes}
        ax.plot(line["delay"], line, label=law, **looks)
    ax.axvline(FITTED, color="0.7", linewidth=0.8)
    x, y = "delay (tokens)", r"state units per standard deviation"
    return style.finish(ax, data, x=x, y=y, yscale="log", legend="above")
