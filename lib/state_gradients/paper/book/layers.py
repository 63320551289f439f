"""Figures, tables and numbers of the page on what each layer of a stack holds.

Each `plot_*` draws; the others pick from the artifacts ``layers``, by the number of
layers of their networks, what is drawn and said.
"""

import numpy as np
import pandas as pd
import xarray as xr
from IPython.display import Markdown

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.foundation.settings import load_experiment
from state_gradients.paper.book.average_memory import whitened
from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.paper.language.layers import BELOW, EMBEDDING, OF_GRADIENT
from state_gradients.project import artifacts

ENDS = "lower", "upper"
SHOWN = 0, 1, 2, 5, 10, 20, 30  # delays of the tables
KEPT = 1, 10  # delays at which properties are told
LEFT = 0.01  # of the memory at delay 0: below, a layer counts as having forgotten
OF_LINE = (
    *("reach", "first", "second", "last", "left"),
    *("share", "last_share", "rank", "last_rank"),
)
HELD = {  # properties that the prose speaks of
    "number": "singular - plural",
    "names": "common - proper",
    "tense": "present - past",
    "degree": "base - comparative",
}
LABELS = {
    "memory": r"memory $\sigma_1$",
    "selectivity": "selectivity",
    "effective_rank": "effective rank",
}


def stacks_of(names):
    """Return the artifacts ``layers`` of those networks that have them.

    Parameters
    ----------
    names : sequence of str
        Experiments.

    Returns
    -------
    dict of int to xarray.Dataset
        By how many layers the network has, the fewest first.
    """
    ran = [name for name in names if has_run(name, "layers")]
    found = {load_experiment(name).model.layers: name for name in ran}
    return {depth: artifacts.load(found[depth], "layers") for depth in sorted(found)}


def missing(names):
    """Say which networks have not been asked layer by layer; if all have, nothing.

    Returns
    -------
    IPython.display.Markdown or None
    """
    lines = [
        f"- `state-gradients reproduce {name}`"
        for name in names
        if not has_run(name, "layers")
    ]
    return Markdown("\n".join(["Not run yet:", "", *lines])) if lines else None


def state_of(stacks):
    """Return the state that is told of: the cell where there is one."""
    return str(next(iter(stacks.values()))["state_kind"].values[-1])


def name_of(layer, depth):
    """Return what a figure calls a layer.

    Examples
    --------
    >>> from state_gradients.paper.book.layers import name_of
    >>> name_of(1, 1), name_of(2, 3)
    ('the only layer', 'layer 2 of 3')
    """
    return "the only layer" if depth == 1 else f"layer {layer} of {depth}"


def curves(stacks, quantity, wrt, state):
    """Return one quantity of each layer, with its interval.

    Parameters
    ----------
    stacks : dict of int to Dataset
        Of :func:`stacks_of`.
    quantity, wrt, state : str

    Returns
    -------
    xarray.Dataset
        ``observed``, ``lower``, ``upper`` of shape (line, delay), the lines by
        :func:`name_of`, the deepest network last.
    """
    found = {}
    for depth, data in stacks.items():
        if wrt not in data["wrt"].values:
            continue
        one = data[["observed", *ENDS]].sel(
            wrt=wrt, quantity=quantity, state_kind=state, drop=True
        )
        for layer in data["layer"].values[0 if wrt == EMBEDDING else 1 :]:
            found[name_of(layer, depth)] = one.sel(layer=layer, drop=True)
    names = pd.Index(found, name="line")
    return xr.concat(found.values(), names, join="inner").drop_attrs()


def by_words(stacks, quantity, state):
    """Return what is drawn of each network, :func:`curves` by its title.

    Of a network of several layers these and, to hold them against, the single layer.

    Returns
    -------
    dict of str to Dataset
    """
    one = {depth: data for depth, data in stacks.items() if depth == 1}
    deep = {depth: data for depth, data in stacks.items() if depth > 1}
    return {
        f"{depth} layers": curves(one | {depth: data}, quantity, EMBEDDING, state)
        for depth, data in deep.items()
    }


def plot_by_words(stacks, quantity, state, *, axes=None):
    """Draw a quantity of each layer by delay, of the words: a panel for each depth.

    Parameters
    ----------
    stacks : dict of int to Dataset
    quantity, state : str
    axes : sequence of matplotlib.axes.Axes, optional
        One for each network of several layers; those of a new figure by default.

    Returns
    -------
    sequence of matplotlib.axes.Axes
    """
    panels = by_words(stacks, quantity, state)
    axes = np.atleast_1d(style.stacked_axes(len(panels)) if axes is None else axes)
    for ax, (title, found) in zip(axes, panels.items(), strict=True):
        is_last = ax is axes[-1]
        _draw(ax, found.assign_coords(experiment=title), quantity, is_last=is_last)
    return axes


def plot_by_layer_below(stacks, state, *, axes=None):
    """Draw memory and selectivity of what the layer below said, by delay.

    Parameters
    ----------
    stacks : dict of int to Dataset
    state : str
    axes : two matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    two matplotlib.axes.Axes
    """
    axes = style.stacked_axes() if axes is None else axes
    for ax, quantity in zip(axes, ("memory", "selectivity"), strict=True):
        found = curves(stacks, quantity, BELOW, state)
        _draw(ax, found, quantity, is_last=ax is axes[-1], named=ax is axes[0])
    return axes


def drawn_by_layer_below(stacks, state):
    """Return what :func:`plot_by_layer_below` draws, :func:`curves` by quantity."""
    return {
        quantity: curves(stacks, quantity, BELOW, state)
        for quantity in ("memory", "selectivity")
    }


def _draw(ax, found, quantity, *, is_last, named=True):
    band = found[[*ENDS]]
    if quantity == "memory":  # a logarithmic axis has no zero: the band ends there
        band = band.where(band > 0)
    options = {"every": 1, "band": band, "named": named}
    draw_lines(ax, found["observed"], "delay", "plot_layers", **options)
    style.whole_numbers(ax.xaxis)
    style.finish(
        ax,
        found,
        x="delay (tokens)" if is_last else "",
        y=LABELS[quantity],
        yscale="log" if quantity == "memory" else "linear",
        legend="above",
    )


def networks_table(names):
    """Return how well each network predicts, as text.

    Parameters
    ----------
    names : sequence of str
        Experiments.

    Returns
    -------
    pandas.DataFrame
    """
    rows = []
    for name in names:
        row = {"network": name, "layers": load_experiment(name).model.layers}
        row |= dict.fromkeys(("parameters", "epochs", "validation", "test"), DASH)
        if has_run(name, "training"):
            data = artifacts.load(name, "training")
            row |= {
                "parameters": f"{int(data['n_parameters']):,}",
                "epochs": str(int(data["epochs_run"])),
                "validation": f"{float(data['valid_perplexity_final']):.1f}",
                "test": f"{float(data['test_perplexity']):.1f}",
            }
        rows.append(row)
    return pd.DataFrame(rows)


def told(one, delay):
    """Return a quantity at a delay with its interval, as text.

    Parameters
    ----------
    one : Dataset
        ``observed``, ``lower``, ``upper`` of shape (delay,).
    delay : int
    """
    value, *ends = (float(one[end].sel(delay=delay)) for end in ("observed", *ENDS))
    value, lower, upper = (f"{x:#.2g}".rstrip(".") for x in (value, *ends))
    return f"{value} [{lower}, {upper}]"


def curves_table(stacks, quantity, wrt, state):
    """Return a quantity of each layer at some delays, as text.

    Returns
    -------
    pandas.DataFrame
        A row for each layer.
    """
    found = curves(stacks, quantity, wrt, state)
    delays = [delay for delay in SHOWN if delay in found["delay"].values]
    rows = [
        {"layer": str(line)}
        | {f"delay {d}": told(found.sel(line=line), d) for d in delays}
        for line in found["line"].values
    ]
    return pd.DataFrame(rows)


def reaches(found, left=LEFT):
    """Return the last delay at which a share of the memory at delay 0 is left.

    Parameters
    ----------
    found : Dataset
        Of :func:`curves`, of the memory.
    left : float

    Returns
    -------
    dict of str to int
        By line; of a memory that falls below and rises again, before it first falls.
    """
    share = found["observed"] / found["observed"].isel(delay=0)
    below = (share < left).values
    delays = found["delay"].values
    return {
        str(line): int(delays[np.argmax(row) - 1] if row.any() else delays[-1])
        for line, row in zip(found["line"].values, below, strict=True)
    }


def kept(stacks, state):
    """Return the memory of each property, over that of a direction drawn at random.

    Parameters
    ----------
    stacks : dict of int to Dataset
    state : str

    Returns
    -------
    xarray.Dataset
        ``observed``, ``lower``, ``upper`` of shape (line, property, delay): 1 is
        chance.
    """
    found = {}
    for depth, data in stacks.items():
        names = [x for x in data["quantity"].values if x not in OF_GRADIENT]
        one = data[["observed", *ENDS]].sel(wrt=EMBEDDING, quantity=names)
        one = (one / data["chance"]).sel(state_kind=state, drop=True)
        for layer in data["layer"].values:
            found[name_of(layer, depth)] = one.sel(layer=layer, drop=True)
    names = pd.Index(found, name="line")
    joined = xr.concat(found.values(), names, join="inner")
    return joined.reset_coords(drop=True).rename(quantity="property").drop_attrs()


def kept_table(stacks, state, delay):
    """Return :func:`kept` at a delay, as text, a row for each property.

    Returns
    -------
    pandas.DataFrame
        A column for each layer, the interval in brackets.
    """
    found = kept(stacks, state)
    delay = _nearest(found, delay)
    rows = [
        {"property": str(name)}
        | {
            str(line): told(found.sel(property=name, line=line), delay)
            for line in found["line"].values
        }
        for name in found["property"].values
    ]
    return pd.DataFrame(rows)


def _nearest(found, delay):
    """Return the last delay there is up to one that is asked for."""
    return int(max(d for d in found["delay"].values if d <= delay))


def beside_the_whole(names, stacks, state):
    """Return the memory of lowest layers over that of the whole text, by delay.

    The artifact ``spectra`` is of the first layer, and of every word of the text: it
    says what following fewer of them changes.

    Parameters
    ----------
    names : sequence of str
        Experiments.
    stacks : dict of int to Dataset
    state : str

    Returns
    -------
    xarray.Dataset
        ``ratio`` of shape (line, delay), and ``within``: whether the interval holds the
        whole text's. Lines of networks that have both artifacts.
    """
    found = {}
    for name in names:
        depth = load_experiment(name).model.layers
        if depth not in stacks or not has_run(name):
            continue
        whole = whitened(name)["memory"].sel(state_kind=state)
        own = curves({depth: stacks[depth]}, "memory", EMBEDDING, state).isel(line=0)
        whole = whole.sel(delay=own["delay"]).reset_coords(drop=True)
        within = (own["lower"] <= whole) & (whole <= own["upper"])
        parts = xr.Dataset({"ratio": own["observed"] / whole, "within": within})
        found[name_of(1, depth)] = parts.reset_coords(drop=True)
    return xr.concat(found.values(), pd.Index(found, name="line"))


def numbers(names, stacks, state):
    """Return the numbers of the page's prose, texts by name.

    A layer's are named by it and the depth of its network: ``reach_2of3``. What no
    network that has run can say is a dash.

    Parameters
    ----------
    names : sequence of str
        Experiments.
    stacks : dict of int to Dataset
    state : str

    Returns
    -------
    dict of str to str
    """
    depths = [load_experiment(name).model.layers for name in names]
    texts = {
        f"{key}_{layer}of{depth}": DASH
        for depth in depths
        for layer in range(1, depth + 1)
        for key in (
            *(*OF_LINE, *(f"below_{key}" for key in OF_LINE), "dimension"),
            *(f"held_{key}" for key in HELD),
        )
    }
    found = {"": curves_by_quantity(stacks, EMBEDDING, state)}
    if any(depth > 1 for depth in stacks):
        found["below_"] = curves_by_quantity(stacks, BELOW, state)
    places = {
        name_of(layer, depth): f"{layer}of{depth}"
        for depth, data in stacks.items()
        for layer in data["layer"].values
    }
    for prefix, by_quantity in found.items():
        for line in by_quantity["memory"]["line"].values.tolist():
            of_line = {k: one.sel(line=[line]) for k, one in by_quantity.items()}
            texts |= {
                f"{prefix}{key}_{places[line]}": text
                for key, text in _of_line(of_line).items()
            }
    properties = kept(stacks, state)
    properties = properties["observed"].sel(delay=_nearest(properties, KEPT[1]))
    for key, name in HELD.items():
        if name in properties["property"].values:
            texts |= {
                f"held_{key}_{places[line]}": f"{float(value):.1f}"
                for line, value in zip(
                    properties["line"].values.tolist(),
                    properties.sel(property=name).values,
                    strict=True,
                )
            }
    texts |= {f"words_{depth}": DASH for depth in depths}
    for depth, data in stacks.items():
        words = float(data["effective_dimension"].sel(layer=1, wrt=EMBEDDING))
        texts[f"words_{depth}"] = f"{words:.0f}"
        for layer in data["layer"].values[1:]:
            said = float(data["effective_dimension"].sel(layer=layer, wrt=BELOW))
            texts[f"dimension_{layer - 1}of{depth}"] = f"{said:.0f}"
    first = next(iter(stacks.values()))
    texts |= {
        "n_directions": str(load_experiment(names[0]).model.embedding_size),
        "n_inputs": f"{int(first['n_samples'][0]):,}",
        "last": str(int(first["delay"][-1])),
        "state": state,
        "kept_near": str(KEPT[0]),
        "kept_far": str(KEPT[1]),
    }
    whole = beside_the_whole(names, stacks, state)
    off = np.exp(np.abs(np.log(whole["ratio"]))) - 1
    return texts | {
        "whole_off": f"{100 * float(off.max()):.0f} %",
        "whole_middle": f"{100 * float(off.median()):.0f} %",
        "whole_within": str(int(whole["within"].sum())),
        "whole_of": str(whole["within"].size),
    }


def curves_by_quantity(stacks, wrt, state):
    """Return :func:`curves` of all quantities of `LABELS`."""
    return {name: curves(stacks, name, wrt, state) for name in LABELS}


def _of_line(found):
    """Return the numbers of one line, by `OF_LINE`, from its curves by quantity."""
    observed = {name: one["observed"].isel(line=0) for name, one in found.items()}
    first, second, last = (float(observed["memory"][k]) for k in (0, 1, -1))
    (reach,) = reaches(found["memory"]).values()
    texts = (
        *(str(reach), f"{first:.2g}", f"{second:.2g}", f"{last:.2g}"),
        f"{100 * last / first:.2g} %",
        *(f"{float(observed['selectivity'][k]):.2f}" for k in (0, -1)),
        *(f"{float(observed['effective_rank'][k]):.2g}" for k in (0, -1)),
    )
    return dict(zip(OF_LINE, texts, strict=True))
