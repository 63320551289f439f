"""Two networks compared: from experiments or saved models to a figure and a table.

A B, experiments   -> their artifacts ``stretches``, or ``spectra`` alone -> differences
A B, saved models  -> means over the same stretches, of words or numbers  -> differences

Several on a side, A1,A2 B1,B2, are seeds of one recipe.
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from state_gradients import figures, inspection
from state_gradients.analysis import comparison, uncertainty, whitening
from state_gradients.analysis.comparison import LEAST_STRETCHES, QUANTITIES
from state_gradients.foundation import settings
from state_gradients.foundation.atomic import replacing_all
from state_gradients.project import artifacts, provenance

WHO = "compare"
N_STRETCHES = 64  # of a text, or as many as fit
_DIGITS = {"log_memory": 3, "selectivity": 3, "effective_rank": 2}
UNITS = {"log_memory": "nats", "selectivity": "share", "effective_rank": "directions"}


def compare_experiments(
    a, b, *, states=(), max_delay=None, level=0.95, seed=0, root=None
):
    """Compare experiments by what their artifacts hold.

    Parameters
    ----------
    a, b : sequence of str
        Experiments; several on a side are seeds of one recipe.
    states : sequence of str
        Whose memory: none for the cell of an LSTM and the state of others, one for
        both sides, or one for each.
    max_delay : int, optional
        Leave out longer delays.
    level, seed
        Of :func:`state_gradients.analysis.comparison.compare_memory`.
    root : path-like, optional
        The project.

    Returns
    -------
    xarray.Dataset
        Of `compare_memory`. Its attributes say what was compared.

    Raises
    ------
    ValueError, ArtifactError
        If an experiment is not known or has not been made, has no such state, or reads
        another text, another split or other positions than the rest; or what two
        networks hold is not of one kind.
    """
    sides = []
    for names, state in zip((a, b), _by_side(states), strict=True):
        sides.append([_of_experiment(name, state, root) for name in names])
    _require_same_settings([each for side in sides for each in side])
    networks = [[_shortened(x["curves"], max_delay) for x in side] for side in sides]
    compared = _compare(*networks, level=level, seed=seed)
    labels = [[x["label"] for x in side] for side in sides]
    return compared.assign_attrs(
        a=", ".join(labels[0]),
        b=", ".join(labels[1]),
        experiment=_title(labels),
        made_from=json.dumps([x["content"] for side in sides for x in side]),
    )


def _by_side(states):
    """Return the state of A and that of B, None where it is the default."""
    if len(states) > 2:
        raise ValueError(
            f"{WHO}: --state must be given once, for both sides, or twice, for A and "
            f"for B, received {list(states)}."
        )
    if len(states) == 2:
        return tuple(states)
    return (states[0] if states else None,) * 2


def _of_experiment(name, state, root):
    """Return an experiment's curves, what they are called, and what they are of."""
    experiment = settings.load_experiment(name, root=root)
    spectra = artifacts.load(experiment, "spectra", root=root)
    lacking = []
    if "whitened" not in spectra["normalization"].values:
        lacking.append("its embedding cannot be whitened")
    if spectra["group"].values.tolist() != ["all"]:
        lacking.append(f"its means are of the groups {spectra['group'].values}")
    if lacking:
        raise ValueError(
            f"{WHO}: an experiment must have whitened curves over all positions, which "
            f"alone two networks have in common, received {name}: "
            f"{' and '.join(lacking)}."
        )
    states = spectra["state_kind"].values.tolist()
    state = state or ("cell" if "cell" in states else states[0])
    if state not in states:
        raise ValueError(
            f"{WHO}: --state must be among the states of {name}, {states}, received "
            f"{state!r}; give one for A and one for B (--state .. --state ..)."
        )
    curves, content = _curves_of(experiment, spectra, state, root)
    label = name if len(states) == 1 else f"{name} ({state})"
    made = json.loads(spectra.attrs["upstream"])["gradients"]
    return {
        "name": name,
        "label": label,
        "curves": curves,
        "content": {name: content},
        "split": experiment.gradients.split,
        "window": experiment.gradients.window,
        "corpus": made["corpus"],
    }


def _curves_of(experiment, spectra, state, root):
    """Return the curves by stretch if they are kept, else those of the whole text."""
    try:
        kept = artifacts.load(experiment, "stretches", root=root)
    except artifacts.MissingArtifactError:
        whole = spectra[[*QUANTITIES]].sel(
            state_kind=state, normalization="whitened", group="all"
        )
        observed = whole.reset_coords(drop=True).to_dataarray("quantity")
        return observed.to_dataset(name="observed"), spectra.attrs["content"]
    return kept.sel(state_kind=state, drop=True), kept.attrs["content"]


def _require_same_settings(networks):
    """Refuse networks that were averaged over other texts, splits or windows."""
    by_stretch = all("left_out" in each["curves"] for each in networks)
    first = networks[0]
    for other in networks[1:]:
        if first["split"] != other["split"]:
            raise ValueError(
                f"{WHO}: all must be averaged over one split of the text, received "
                f"{first['split']} of {first['name']} and {other['split']} of "
                f"{other['name']}; set gradients.split."
            )
        if first["window"] != other["window"]:
            raise ValueError(
                f"{WHO}: the chain must be cut alike in all, received gradients.window "
                f"{first['window']} of {first['name']} and {other['window']} of "
                f"{other['name']}."
            )
        if by_stretch:
            hashes = {str(x["curves"]["text_hash"].values) for x in (first, other)}
        else:
            hashes = {first["corpus"], other["corpus"]}
        if len(hashes) > 1:
            raise ValueError(
                f"{WHO}: all must be averaged over the same text, received "
                f"{first['name']} and {other['name']}, whose texts differ: what one "
                "network does on a stretch of its text has no partner in the other's."
            )


def _shortened(curves, max_delay):
    if max_delay is None:
        return curves
    return curves.sel(delay=slice(0, max_delay))


def _compare(a, b, **options):
    """Compare, and name the option that helps where delays differ."""
    try:
        return comparison.compare_memory(a, b, **options)
    except ValueError as error:
        advice = " (--max-delay)" if "delays" in str(error) else ""
        text = str(error).replace("compare_memory", WHO, 1).removesuffix(".")
        raise ValueError(f"{text}{advice}.") from error


def _title(labels):
    """Return what stands above a figure: of several networks the first and how many."""
    short = [
        names[0] + (f" and {len(names) - 1} more" if len(names) > 1 else "")
        for names in labels
    ]
    return f"A: {short[0]}\nB: {short[1]}"


def compare_files(
    a,
    b,
    *,
    text,
    vocabularies=(),
    imports=(),
    reading=None,
    states=(),
    layer=1,
    max_delay=50,
    level=0.95,
    seed=0,
    report=lambda line: None,
):
    """Compare saved models on the same stretches of a text.

    Parameters
    ----------
    a, b : sequence of path-like
        Models; several on a side are seeds of one recipe.
    text, imports, reading, layer, report
        Of :func:`state_gradients.inspection.text_files.inspect_files`.
    vocabularies : sequence of path-like
        None where each model has its own, one for all, or one for A and one for B.
    states, level, seed
        Of :func:`compare_experiments`.
    max_delay : int

    Returns
    -------
    xarray.Dataset
        As :func:`compare_experiments`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `inspect_files`, for each model; or if the models read the text as different
        numbers of tokens, it is too short for a band, or an embedding cannot be
        whitened: before the first is asked.
    """
    vocabularies = [*vocabularies] or [None]
    if len(vocabularies) > 2:
        raise ValueError(
            f"{WHO}: --vocabulary must be given once, for all, or twice, for A and for "
            f"B, received {len(vocabularies)}."
        )
    vocabularies = vocabularies * 2 if len(vocabularies) == 1 else vocabularies
    opened = []
    for models, vocabulary, state in zip(
        (a, b), vocabularies, _by_side(states), strict=True
    ):
        side = [
            inspection.open_files(
                model,
                text=text,
                vocabulary=vocabulary,
                imports=imports,
                reading=reading,
                max_delay=max_delay,
                state=state,
                layer=layer,
                report=report,
            )
            for model in models
        ]
        opened.append(side)
    return _compare_opened(opened, max_delay, layer, report, level=level, seed=seed)


def compare_inputs(
    a,
    b,
    *,
    inputs,
    imports=(),
    context=None,
    states=(),
    layer=1,
    max_delay=50,
    level=0.95,
    seed=0,
    report=lambda line: None,
):
    """Compare saved models on the same stretches of numbers.

    Parameters
    ----------
    a, b : sequence of path-like
        Models; several on a side are seeds of one recipe.
    inputs, imports, context, layer, max_delay, report
        Of :func:`state_gradients.inspection.number_files.inspect_inputs`.
    states, level, seed
        Of :func:`compare_experiments`.

    Returns
    -------
    xarray.Dataset
        As :func:`compare_experiments`; whitened by the covariance of the inputs' own
        steps, which is the same for all models.

    Raises
    ------
    FileNotFoundError, ValueError
        As `inspect_inputs`, for each model; or if the inputs are too short for a band,
        or cannot be whitened: before the first model is asked.
    """
    opened = [
        [
            inspection.open_inputs(
                model,
                inputs=inputs,
                imports=imports,
                context=context,
                max_delay=max_delay,
                state=state,
                layer=layer,
                report=report,
            )
            for model in models
        ]
        for models, state in zip((a, b), _by_side(states), strict=True)
    ]
    return _compare_opened(opened, max_delay, layer, report, level=level, seed=seed)


def _compare_opened(opened, max_delay, layer, report, *, level, seed):
    """Compare two sides of models, each read together with what it is asked about."""
    everything = opened[0] + opened[1]
    n_stretches = _require_one_reading(everything, max_delay)
    for each in everything:
        whitening.fit_whitening(each.table)  # refused before hours of work
    networks = [
        [_ask(each, max_delay, layer, n_stretches, report) for each in side]
        for side in opened
    ]
    compared = _compare(*networks, level=level, seed=seed)
    labels = [[_label(each) for each in side] for side in opened]
    return compared.assign_attrs(
        a=", ".join(labels[0]),
        b=", ".join(labels[1]),
        experiment=_title(labels),
        reading=everything[0].how,
        counted=everything[0].unit,
        made_from=json.dumps([each.made_from for each in everything]),
    )


def _label(asked):
    states = asked.network.cells[-1].names
    model = asked.made_from["model"]
    return model if len(states) == 1 else f"{model} ({asked.state})"


def _require_one_reading(opened, max_delay):
    """Return into how many stretches a text is cut that all models read alike."""
    first = opened[0]
    for other in opened[1:]:
        lengths = [each.lengths for each in (first, other)]
        if lengths[0] != lengths[1]:
            sizes = [f"{sum(n):,} in {len(n):,} texts" for n in lengths]
            raise ValueError(
                f"{WHO}: all models must read the text as the same tokens, received "
                f"{sizes[0]} by {first.made_from['model']}, and {sizes[1]} by "
                f"{other.made_from['model']}: no stretch of one is a stretch of the "
                "other."
            )
    n_parts, n_inputs = len(first.lengths), first.n_inputs
    fitting = uncertainty.blocks_that_fit(n_inputs, max_delay)
    fitting = fitting if n_parts == 1 else min(fitting, n_parts)
    if fitting < LEAST_STRETCHES:
        least = LEAST_STRETCHES * uncertainty.BLOCK_LENGTH * (max_delay + 1)
        part = "text" if first.unit == "tokens" else "trial or window"
        raise ValueError(
            f"{WHO}: a band takes {LEAST_STRETCHES} stretches or more: {least:,} "
            f"{first.unit} for --max-delay {max_delay}, in one {part} or in as many; "
            f"received {n_inputs:,} {first.unit} in {n_parts:,}; give more, or lower "
            "--max-delay."
        )
    return min(N_STRETCHES, fitting)


def _ask(asked, max_delay, layer, n_stretches, report):
    """Return the curves of one model by stretch."""
    model = asked.made_from["model"]
    report(f"{model}: averaging over {asked.n_inputs:,} {asked.unit}")
    blocks = asked.means(
        max_delay=max_delay, layer=layer, blocks=n_stretches, progress=True
    )
    curves = comparison.stretch_curves(blocks, asked.table)
    read = "text_sha256" if asked.unit == "tokens" else "inputs_sha256"
    return curves.assign(text_hash=xr.DataArray(asked.made_from[read]))


def table(compared):
    """Return the differences as a DataFrame, a row for each band and delay.

    The columns are a quantity's difference and the ends of its band, quantity after
    quantity; ``attrs`` has their units. Where no band is known, its name and ends are
    missing.
    """
    bands = compared["band"].values.tolist() if "band" in compared.dims else [None]
    rows = pd.concat([_rows(compared, band) for band in bands], ignore_index=True)
    rows.attrs = {
        f"{name}{end}": unit
        for name, unit in UNITS.items()
        for end in ("", "_lower", "_upper")
    }
    return rows


def narrow_table(compared):
    """Return :func:`table` for a terminal: each difference with its band, as text."""
    rows = table(compared)
    narrow = rows[["band", "delay"]].fillna({"band": "none"})
    for name, n_digits in _DIGITS.items():
        ends = [f"{name}_{end}" for end in ("lower", "upper")]
        shown = rows.filter([name, *ends]).map(lambda x, n=n_digits: f"{x:.{n}f}")
        narrow[name] = shown[name]
        if ends[0] in shown:
            narrow[name] += " [" + shown[ends].agg(", ".join, axis="columns") + "]"
    return narrow


def _rows(compared, band):
    columns = {"band": band, "delay": compared["delay"].values}
    ends = {} if band is None else compared[["lower", "upper"]].sel(band=band)
    for name in compared["quantity"].values.tolist():
        columns[name] = compared["difference"].sel(quantity=name).values
        for end in ends:
            columns[f"{name}_{end}"] = ends[end].sel(quantity=name).values
    return pd.DataFrame(columns)


def in_words(compared):
    """Return for each band and quantity, as a line, at which delays 0 lies outside."""
    level = f"{100 * compared.attrs['level']:g} %"
    bands = compared["band"].values.tolist() if "band" in compared.dims else []
    return [
        f"{name}, {level} band of {band}: {apart(compared, band, name)}"
        for band in bands
        for name in compared["quantity"].values.tolist()
    ]


def apart(compared, band, quantity):
    """Return as text at which delays a band leaves out 0, and on which side.

    Parameters
    ----------
    compared : Dataset
    band : {"text", "seeds"}
    quantity : str
    """
    one = compared.sel(band=band, quantity=quantity)
    outside = {"above": one["lower"] > 0, "below": one["upper"] < 0}
    parts = [
        f"A {what} B at {spans(one['delay'].values[where.values])}"
        for what, where in outside.items()
        if where.any()
    ]
    return "; ".join(parts) or "0 is within the band at every delay"


def factors(compared):
    """Return by which factor the larger memory exceeds the smaller, (delay,).

    Parameters
    ----------
    compared : Dataset
    """
    return np.exp(np.abs(compared["difference"].sel(quantity="log_memory", drop=True)))


def summary(comparisons):
    """Return a table of several comparisons: where their bands leave out 0.

    Parameters
    ----------
    comparisons : dict of str to Dataset
        Of :func:`compare_experiments`, by what the table calls them.

    Returns
    -------
    pandas.DataFrame
        A row for each comparison and band: between which factors the memories differ,
        and, of each quantity, at which delays A is above B, and below.
    """
    rows = []
    for label, compared in comparisons.items():
        ratio = factors(compared)
        spread = f"{ratio.min():.2f} to {ratio.max():.2f}"
        bands = compared["band"].values.tolist() if "band" in compared.dims else []
        for band in bands:
            said = {
                name.replace("_", " "): apart(compared, band, name)
                for name in compared["quantity"].values.tolist()
            }
            rows.append({"A - B": label, "band of": band, "factor": spread} | said)
    table = pd.DataFrame(rows)
    return table.replace({"A above B": "above", "A below B": "below"}, regex=True)


def spans(delays):
    """Return whole numbers in order as text: ``delays 1 to 3, 7``.

    Examples
    --------
    >>> from state_gradients.comparison import spans
    >>> spans([1, 2, 3, 7])
    'delays 1 to 3, 7'
    """
    delays = np.asarray(delays)
    runs = np.split(delays, np.flatnonzero(np.diff(delays) > 1) + 1)
    named = [f"{r[0]} to {r[-1]}" if len(r) > 1 else f"{r[0]}" for r in runs]
    return ("delays " if len(delays) > 1 else "delay ") + ", ".join(named)


def write(compared, folder):
    """Write comparison.png, comparison.csv and comparison.nc; return their paths."""
    figure = Figure(figsize=(6, 7.5), layout="constrained")
    n_quantities = compared.sizes["quantity"]
    panels = figures.plot_comparison(
        compared, axes=figure.subplots(n_quantities, 1, sharex=True)
    )
    if compared.attrs.get("counted") == "steps":  # no words
        panels[-1].set_xlabel("delay (steps)")
    names = ("comparison.png", "comparison.csv", "comparison.nc")
    paths = [Path(folder, name) for name in names]
    with replacing_all(paths) as (picture, rows, data):
        figure.savefig(picture, dpi=160)
        table(compared).to_csv(rows, index=False)
        provenance.write(compared, data)
    return paths
