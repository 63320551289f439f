"""Memory follows the task: figures, tables and bounds of the page on taggers.

With d the number of words back of which a network must name the class, memory is held
against that of the word just read, so that networks compare:

    r_d(tau) = sigma_1(tau) / sigma_1(0),    whitened, of the cell

`BOUNDS` were written down before a network was trained; :func:`verdicts` judges them.
"""

import numpy as np
import pandas as pd
import xarray as xr

from state_gradients.figures import style
from state_gradients.figures.lines import draw_lines
from state_gradients.paper.book import average_memory
from state_gradients.paper.book.pages import DASH, has_run
from state_gradients.project import artifacts
from state_gradients.text import tagged

# The network that names the class of the word so many places back.
TAGGERS = {
    0: "brown-tagging-0",
    1: "brown-tagging-1",
    5: "brown-tagging-5",
    10: "brown-tagging-10",
}
LANGUAGE_MODEL = "brown-lstm-256"
LABELS = {
    back: f"class {back} back" if back else "class of the word" for back in TAGGERS
}
HELD = 0.5  # of the memory of the word just read, as long as it must be kept
LET_GO = 3.0  # factor by which memory falls ..
AFTER = 5  # .. in so many words after the last that must be kept
BROAD = 6.0  # directions, half of those that tell the classes apart
DONE = 0.5  # of the way from the commonest class to the tagger of the word itself
OF_TAGGERS = ("held", "let go", "breadth")  # bounds of one tagger each
LONGEST = 20  # delay that is drawn
BOUNDS = ("held", "let go", "in order", "language model", "breadth")


def members(experiment, state):
    """Return what is drawn, as :func:`average_memory.together` takes it.

    Parameters
    ----------
    experiment : str
        A language model beside the one on the taggers' text; may be that one.
    state : str
        Of its states.

    Returns
    -------
    dict of str to (str, str)
    """
    found = {LABELS[back]: (name, "cell") for back, name in TAGGERS.items()}
    found[f"language model {LANGUAGE_MODEL}"] = (LANGUAGE_MODEL, "cell")
    found[f"language model {experiment}"] = (experiment, state)
    return found


def relative(drawn):
    """Return memory over that at delay 0, of what has been run.

    Parameters
    ----------
    drawn : dict of str to (str, str)
        Of :func:`members`.

    Returns
    -------
    xarray.Dataset
        ``ratio``, ``lower``, ``upper`` (experiment, delay): with the 95 % interval of
        each text's blocks, delay 0 taken as it is; the ratio thrice without intervals.
        NaN beyond the longest delay of a network.
    """
    found = {}
    for label, (name, state) in drawn.items():
        if not has_run(name):
            continue
        one = average_memory.interval_of(name, state).isel(normalization=-1)
        one = one.sel(quantity="memory").reset_coords(drop=True)
        observed = one["observed"]
        curves = {"ratio": observed}
        curves |= {end: one.get(end, observed) for end in ("lower", "upper")}
        found[label] = xr.Dataset(curves) / observed.isel(delay=0)
    return _on_one_axis(found)


def effective_ranks(drawn):
    """Return the effective rank of each network's mean gradient, (experiment, delay).

    Parameters
    ----------
    drawn : dict of str to (str, str)
    """
    found = {
        label: average_memory.curves_of(name, state)["effective_rank"]
        for label, (name, state) in drawn.items()
        if has_run(name)
    }
    return _on_one_axis(found)


def _on_one_axis(found):
    bare = [one.reset_coords(drop=True).drop_attrs() for one in found.values()]
    names = pd.Index(found, name="experiment")
    return xr.concat(bare, names, join="outer").sel(delay=slice(0, LONGEST))


def plot_relative(found, *, ax=None):
    """Draw :func:`relative` with its bands against the delay.

    Parameters
    ----------
    found : Dataset
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax)
    band = found[["lower", "upper"]]
    draw_lines(ax, found["ratio"], "delay", "plot_relative", band=band)
    style.whole_numbers(ax.xaxis)
    y = "memory over that at delay 0"
    return style.finish(ax, found, x="delay (tokens)", y=y, yscale="log")


def plot_effective_ranks(found, *, ax=None):
    """Draw :func:`effective_ranks` against the delay.

    Parameters
    ----------
    found : DataArray of shape (experiment, delay)
    ax : matplotlib.axes.Axes, optional
        Drawn on; those of a new figure by default.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = style.axes_or_new(ax)
    draw_lines(ax, found, "delay", "plot_effective_ranks")
    style.whole_numbers(ax.xaxis)
    return style.finish(ax, found, x="delay (tokens)", y="effective rank")


def accuracies():
    """Return how often each tagger is right, by how far back it is asked.

    Returns
    -------
    xarray.Dataset
        ``accuracy`` on the validation text, ``guess``: that of who names the commonest
        class, and ``share``: how much of the way from there to the tagger of the word
        itself, (back); NaN of what has not been run.
    """
    backs = list(TAGGERS)
    found = {
        "accuracy": np.full(len(backs), np.nan),
        "guess": np.full(len(backs), np.nan),
    }
    for place, name in enumerate(TAGGERS.values()):
        if has_run(name, "training"):
            training = artifacts.load(name, "training")
            found["accuracy"][place] = training["valid_accuracy"]
            found["guess"][place] = training["guess_accuracy"]
    data = xr.Dataset({k: ("back", v) for k, v in found.items()}, {"back": backs})
    above = data["accuracy"] - data["guess"]
    return data.assign(share=above / above.sel(back=0))


def accuracies_table(data):
    """Return :func:`accuracies` as text, a row for each tagger."""
    rows = {}
    for back, name in TAGGERS.items():
        one = data.sel(back=back)
        epochs = DASH
        if has_run(name, "training"):
            epochs = str(int(artifacts.load(name, "training")["epochs_run"]))
        rows[LABELS[back]] = {
            "epochs": epochs,
            "right": _percent(one["accuracy"]),
            "commonest class": _percent(one["guess"]),
            "does its task": _answer(_does(one)),
        }
    return pd.DataFrame.from_dict(rows, orient="index")


def _does(one):
    share = float(one["share"])
    return None if np.isnan(share) else share >= DONE


def _percent(value):
    value = float(value)
    return DASH if np.isnan(value) else f"{value:.1%}".replace("%", " %")


def _answer(holds):
    return {None: DASH, True: "yes", False: "no"}[holds]


def verdicts(found, ranks, learnt):
    """Judge `BOUNDS`, each for the taggers that do their task.

    Parameters
    ----------
    found : Dataset
        Of :func:`relative`, of :func:`members`.
    ranks : DataArray
        Of :func:`effective_ranks`.
    learnt : Dataset
        Of :func:`accuracies`.

    Returns
    -------
    pandas.DataFrame
        ``bound``, ``of`` (a tagger or a delay), ``asked``, ``found`` (a number) and
        ``holds``: True, False, or None of what cannot be judged.
    """
    measured = found["experiment"].values
    backs = [
        back
        for back in TAGGERS
        if LABELS[back] in measured and _does(learnt.sel(back=back))
    ]
    ratio = {back: found["ratio"].sel(experiment=LABELS[back]) for back in backs}
    rows = []
    for back in list(TAGGERS)[1:]:
        of = LABELS[back]
        if back not in backs:
            rows += [(bound, of, DASH, np.nan, None) for bound in OF_TAGGERS]
            continue
        least = float(ratio[back].sel(delay=slice(0, back)).min())
        rows.append(("held", of, f"at least {HELD:g}", least, least >= HELD))
        fall = float(ratio[back].sel(delay=back) / ratio[back].sel(delay=back + AFTER))
        rows.append(("let go", of, f"at least {LET_GO:g}", fall, fall >= LET_GO))
        rows.append(_breadth(ranks.sel(delay=back), of))
    for delay in list(TAGGERS)[1:]:
        rows.append(_in_order(ratio, delay))
        rows.append(_language_model(found, ratio, delay))
    table = pd.DataFrame(rows, columns=["bound", "of", "asked", "found", "holds"])
    places = {bound: place for place, bound in enumerate(BOUNDS)}
    return table.sort_values("bound", key=lambda x: x.map(places), kind="stable")


def _breadth(ranks, of):
    """Judge the effective rank of a tagger, beside the language model's."""
    label = f"language model {LANGUAGE_MODEL}"
    if label not in ranks["experiment"]:
        return "breadth", of, DASH, np.nan, None
    rank, most = (float(ranks.sel(experiment=name)) for name in (of, label))
    asked = f"between {BROAD:g} and {most:.1f}"
    return "breadth", of, asked, rank, BROAD <= rank < most


def _in_order(ratio, delay):
    """Judge at a delay whether who must still name the word lies above who need not."""
    must = [float(r.sel(delay=delay)) for back, r in ratio.items() if back >= delay]
    need_not = [float(r.sel(delay=delay)) for back, r in ratio.items() if back < delay]
    if not must or not need_not:
        return "in order", f"delay {delay}", DASH, np.nan, None
    apart = min(must) / max(need_not)
    return "in order", f"delay {delay}", "above 1", apart, apart > 1


def _language_model(found, ratio, delay):
    """Judge whether the language model lies between the least and the longest task."""
    label = f"language model {LANGUAGE_MODEL}"
    of = f"delay {delay}"
    longest = max(TAGGERS)
    if label not in found["experiment"] or not {0, longest} <= set(ratio):
        return "language model", of, DASH, np.nan, None
    low, high = (float(ratio[back].sel(delay=delay)) for back in (0, longest))
    own = float(found["ratio"].sel(experiment=label, delay=delay))
    asked = f"between {low:.2f} and {high:.2f}"
    return "language model", of, asked, own, low < own < high


def verdicts_table(judged):
    """Return :func:`verdicts` as text."""
    return pd.DataFrame(
        {
            "bound": judged["bound"],
            "of": judged["of"],
            "asked": judged["asked"],
            "found": [DASH if np.isnan(x) else f"{x:.3g}" for x in judged["found"]],
            "holds": [_answer(holds) for holds in judged["holds"]],
        }
    )


def results(judged):
    """Return what was found, for the page's prose; `DASH` of what is not judged.

    Parameters
    ----------
    judged : DataFrame
        Of :func:`verdicts`.
    """
    told = {
        f"{row.bound} {row.of}".replace(" ", "-"): (
            DASH if np.isnan(row.found) else f"{row.found:.3g}"
        )
        for row in judged.itertuples()
    }
    holds = list(judged["holds"])
    return told | {"kept": holds.count(True), "judged": len(holds) - holds.count(None)}


def numbers():
    """Return the numbers of the bounds, for the page's prose."""
    n_classes, longest = len(tagged.CLASSES), max(TAGGERS)
    return {
        "n-classes": n_classes,
        "directions": n_classes - 1,
        "most-directions": (n_classes - 1) * (longest + 1),
        "held": f"{HELD:g}",
        "let-go": f"{LET_GO:g}",
        "after": AFTER,
        "broad": f"{BROAD:g}",
        "done": f"{DONE:g}",
    }
