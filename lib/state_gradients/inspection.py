"""A reader's own network: from a saved model and a text to its memory curves.

MODEL.keras, text, vocabulary -> ids -> mean state gradients -> sigma_1, selectivity
MODEL.keras, numbers of named features -> the same, and the memory of each feature
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from state_gradients import figures
from state_gradients.analysis.influence import influence_curve
from state_gradients.analysis.properties import Halves
from state_gradients.analysis.property_curves import property_curves, whitened_step
from state_gradients.analysis.summary import spectra_of, whitenings
from state_gradients.analysis.whitening import read_shrinkage
from state_gradients.foundation.atomic import replacing_all
from state_gradients.foundation.checks import in_own_name, rename, short
from state_gradients.foundation.labels import about
from state_gradients.foundation.loading import load_keras
from state_gradients.models import saved, torch_weights
from state_gradients.project import provenance
from state_gradients.project.artifacts import ArtifactError
from state_gradients.text import reading as texts
from state_gradients.text import series as numbers
from state_gradients.text.encoding import encode, require_file
from state_gradients.text.encoding import read_ids as read_ids
from state_gradients.text.encoding import read_vocabulary as read_vocabulary
from state_gradients.text.groups import read_groups
from state_gradients.text.halves import read_halves
from state_gradients.text.tokenizer import Tokenizer
from state_gradients.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    import keras

WORDS_DRAWN = 128  # at a position, where influence is asked for in a terminal
SHOWN_DELAYS = (0, 1, 2, 3, 5, 10, 20, 30, 50, 100, 200)  # of features, in a terminal


@in_own_name
def inspect_model(
    model: "keras.Model",
    ids: ArrayLike | Sequence[ArrayLike] | None = None,
    *,
    inputs: ArrayLike | Sequence[ArrayLike] | None = None,
    max_delay: int = 50,
    state: str | tuple[str, ...] | None = None,
    layer: int = 1,
    groups: ArrayLike | None = None,
    halves: Halves | None = None,
    padding: int | None = None,
    window: int | None = None,
    dtype: Literal["float32", "float64"] | None = None,
    tolerance: float | None = None,
    shrinkage: float | Literal["auto"] | None = None,
    influence: int | Literal["exact"] | None = None,
    progress: bool = False,
) -> xr.Dataset:
    """Return how much, and how selectively, a network remembers of its inputs.

    Parameters
    ----------
    model, ids, inputs, max_delay, state, layer
    groups, padding, window, dtype, progress
        As for :func:`state_gradients.engine.means.mean_state_gradients`. Give a model
        of padded lines a list of padded arrays, and the id of `padding`.
    halves : Halves, optional
        The two sides of a property of words, see
        :class:`state_gradients.analysis.properties.Halves`.
    tolerance : float, optional
        As there: 1e-4, say, for hundreds of delays.
    shrinkage : "auto" or float, optional
        As for :func:`state_gradients.analysis.whitening.fit_whitening`: "auto" where
        there are few words, or steps, for the size of what is read.
    influence : int or "exact", optional
        As for mean_state_gradients: what the softmax above is read by, in nats.

    Returns
    -------
    xarray.Dataset
        What :func:`state_gradients.analysis.spectra.memory_curve` gives and all
        singular values ``s``, (normalization, delay, ...), for the gradient with
        respect to the embedding ("raw") and to the whitened embedding; raw alone where
        the embeddings' covariance is singular, as the attribute ``note`` then says.
        ``n_samples`` (delay), how many positions each mean is over. Of `inputs`, which
        are whitened by the covariance of their own steps, ``feature_memory`` (delay,
        feature) as well: how far a standard deviation of one feature moves the state.
        With a `tolerance` also ``tolerance_error`` (delay); with `influence` what
        :func:`state_gradients.analysis.influence.influence_curve` gives.
        With `halves` also what
        :func:`state_gradients.analysis.property_curves.property_curves` gives.

    Raises
    ------
    ValueError, FloatingPointError
        As mean_state_gradients; or if a property has no direction.

    Examples
    --------
    A linear network whose state is halved at every token, s' = s / 2 + e:

    >>> import keras
    >>> import state_gradients as sg
    >>> rnn = keras.layers.SimpleRNN(
    ...     2,
    ...     activation="linear",
    ...     kernel_initializer="identity",
    ...     recurrent_initializer=keras.initializers.Identity(0.5),
    ... )
    >>> embedding = keras.layers.Embedding(5, 2)
    >>> model = keras.Sequential([keras.Input((None,)), embedding, rnn])
    >>> curves = sg.inspect_model(model, [3, 1, 4, 1, 2], max_delay=2)
    >>> curves["memory"].sel(normalization="raw").values.round(3).tolist()
    [1.0, 0.5, 0.25]
    >>> curves["selectivity"].sel(normalization="raw").values.round(3).tolist()
    [0.5, 0.5, 0.5]
    """
    read_shrinkage(shrinkage)
    load_keras()
    from state_gradients.engine import means

    if halves is not None:
        halves = _read_halves(
            halves, means, model, inputs=inputs, state=state, layer=layer, by=shrinkage
        )
    gradients = means.mean_state_gradients(
        model,
        ids,
        inputs=inputs,
        max_delay=max_delay,
        state=state,
        layer=layer,
        groups=groups,
        padding=padding,
        window=window,
        dtype=dtype,
        tolerance=tolerance,
        influence=influence,
        progress=progress,
    )
    network, *_ = means.read(
        model, state=state, layer=layer, dtype=dtype, words=inputs is None
    )
    table = network.table if inputs is None else _steps(inputs, network)
    curves = spectra_of(gradients["state_gradient"], table, shrinkage=shrinkage)
    curves = curves.drop_dims("direction")
    if inputs is not None:
        curves = curves.assign(
            feature_memory=_feature_memory(gradients["state_gradient"], table)
        )
    if halves is not None:
        of_property = property_curves(
            gradients["state_gradient"], table, halves, shrinkage=shrinkage
        )
        curves = curves.assign(of_property.data_vars)
    if influence is not None:
        curves = curves.assign(_in_nats(gradients["influence"], table, shrinkage))
    kept = gradients.drop_vars(["state_gradient", "influence"], errors="ignore")
    return curves.assign(kept.data_vars)


def _in_nats(influence, table, shrinkage):
    """Return the curves of an influence, raw and, where that can be, whitened."""
    fitted, _ = whitenings(table, shrinkage)
    curves = [influence_curve(influence, whitening) for whitening in fitted.values()]
    names = xr.Variable("normalization", [*fitted])
    return xr.concat(curves, names, combine_attrs="drop_conflicts")


def _read_halves(halves, means, model, *, inputs, state, layer, by):
    """Return a property's halves, refused before the work where they cannot be asked.

    Parameters
    ----------
    means : module
        state_gradients.engine.means, which needs a backend.
    """
    if inputs is not None:
        raise ValueError(
            "inspect_model: `halves` are of words, received them with `inputs`; leave "
            "either out."
        )
    network, *_ = means.read(model, state=state, layer=layer)
    halves = Halves(*(np.asarray(half).astype(int) for half in halves))
    shapes = {half.shape for half in halves}
    if shapes != {(len(network.table),)}:
        raise ValueError(
            "inspect_model: `halves` must say of each of the "
            f"{len(network.table)} rows of the model's embedding whether it is in "
            f"either half, received the shapes {sorted(shapes)}."
        )
    whitened_step(network.table, halves, shrinkage=by)
    return halves


def _steps(inputs, network):
    """Return all steps of all trials, a DataArray (step, embedding) with names."""
    from state_gradients.engine.texts import read_trials

    trials = read_trials(inputs, network, max_delay=0)
    steps = xr.DataArray(np.concatenate(trials.ids), dims=("step", "embedding"))
    if trials.features is None:
        return steps
    return steps.assign_coords(embedding=trials.features)


def _feature_memory(gradient, steps):
    """Return ||G_f|| sd(x_f) of each feature f, (.., delay, feature)."""
    lengths = np.sqrt((gradient**2).sum("state", skipna=False))
    memory = lengths * steps.astype(np.float64).std("step")
    return memory.rename(embedding="feature").assign_attrs(about("feature_memory"))


def inspect_files(
    model,
    *,
    text,
    vocabulary=None,
    imports=(),
    names=None,
    reading=None,
    max_delay=50,
    state=None,
    layer=1,
    tolerance=None,
    shrinkage=None,
    groups=None,
    halves=None,
    per_position=None,
    influence=None,
    report=lambda line: None,
):
    """Read a model, a text and a vocabulary, check them, and :func:`inspect_model`.

    Parameters
    ----------
    model : path-like
    text : path-like, or a list of them
        Files, a text each; of a folder all files.
    vocabulary : path-like, optional
        See :func:`read_vocabulary`. A model with a TextVectorization or StringLookup
        layer has its own.
    imports : sequence of str
        See :func:`state_gradients.models.saved.load_model`.
    names : Names, optional
        Of PyTorch's modules, see :class:`state_gradients.models.torch_weights.Names`.
    reading : Reading, optional
        See :class:`state_gradients.text.reading.Reading`.
    max_delay, state, layer, tolerance, shrinkage, influence
        Of :func:`inspect_model`; one state.
    groups : path-like, optional
        See :func:`state_gradients.text.groups.read_groups`: the mean over the inputs
        of each group.
    halves : path-like, optional
        See :func:`state_gradients.text.halves.read_halves`: how well the property
        between them is remembered.
    per_position : path-like, optional
        A NetCDF file, for :func:`state_gradients.positions_file.write_positions`.
    report : callable
        Receives a line of text before what takes long, and how the text was read.

    Returns
    -------
    xarray.Dataset
        Its attributes say what it was made from, how the text was read, by what, and
        when.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is not there or cannot be read so, changes while it is read, or does
        not fit the others.
    """
    asked = open_files(
        model,
        text=text,
        vocabulary=vocabulary,
        imports=imports,
        names=names,
        reading=reading,
        max_delay=max_delay,
        state=state,
        layer=layer,
        report=report,
    )
    members, sides, of_words = None, None, {}
    if groups is not None:
        members, unknown = read_groups(groups, asked.types, len(asked.network.table))
        report(f"groups: {', '.join(members['group'].values)}; {_lacking(unknown)}")
        of_words |= _named("groups", groups)
    if halves is not None:
        sides, name = _read_property(halves, asked, shrinkage, report)
        of_words |= _named("halves", halves) | {"property": name}
    if per_position is not None:
        from state_gradients.positions_file import write_positions

        report(f"measuring every position, for {per_position}")
        write_positions(
            asked, per_position, max_delay=max_delay, layer=layer, shrinkage=shrinkage
        )
    settings = {"max_delay": max_delay, "state": asked.state, "layer": layer}
    settings |= {} if tolerance is None else {"tolerance": tolerance}
    settings |= {} if shrinkage is None else {"shrinkage": shrinkage}
    settings |= {} if influence is None else {"influence": influence}
    result = inspect_model(
        asked.model,
        asked.ids,
        padding=asked.rows.padding,
        groups=members,
        halves=sides,
        progress=True,
        **settings,
    )
    return result.assign_attrs(
        asked.made_from | of_words,
        vocabulary_size=len(asked.network.table),
        n_tokens=asked.rows.n_tokens,
        n_texts=len(asked.rows.ids),
        reading=asked.rows.how,
        settings=json.dumps(settings),
    )


def _named(what, path):
    """Return the name and the hash of a file of words, as attributes."""
    path = require_file(path, what)
    return {what: path.name, f"{what}_sha256": provenance.file_hash(path)}


def _read_property(path, asked, shrinkage, report):
    """Return the halves of a property, Halves, and what it is called."""
    table = asked.network.table
    members, unknown = read_halves(path, asked.types, len(table))
    names = members["half"].values.tolist()
    sizes = members.sum("vocabulary").values.tolist()
    counted = (f"{n} ({size} words)" for n, size in zip(names, sizes, strict=True))
    report(f"property: {' less '.join(counted)}; {_lacking(unknown)}")
    halves = Halves(*members.values.astype(int))
    try:  # before what takes long
        whitened_step(table, halves, shrinkage=shrinkage)
    except ValueError as error:
        rename(error, "inspect (--property)")
        raise
    return halves, " - ".join(names)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A model and the text that it is asked about, read and found to fit.

    Attributes
    ----------
    model : keras.Model
    network : state_gradients.engine.network.Network
    types : Vocabulary, Tokenizer, or a Keras layer
    state : str
    rows : state_gradients.text.reading.Rows
    made_from : dict of str
        Names and hashes of the files.
    """

    model: "keras.Model"
    network: object
    types: object
    state: str
    rows: texts.Rows
    made_from: dict

    unit = "tokens"

    @property
    def ids(self):
        """Return the ids as the engine takes them: one text, or a list of several."""
        return self.rows.ids[0] if len(self.rows.ids) == 1 else self.rows.ids

    @property
    def table(self):
        """Return what the gradient is whitened by: the embedding."""
        return self.network.table

    @property
    def lengths(self):
        """Return how long each text is, its padding counted."""
        return [len(ids) for ids in self.rows.ids]

    @property
    def n_inputs(self):
        """Return how many tokens are averaged over."""
        return self.rows.n_tokens

    @property
    def how(self):
        """Return how the text was read, in words."""
        return self.rows.how

    def means(self, **options):
        """Return the mean state gradients over the text."""
        from state_gradients.engine.means import mean_state_gradients

        return mean_state_gradients(
            self.model,
            self.ids,
            padding=self.rows.padding,
            state=self.state,
            **options,
        )


@dataclass(frozen=True, kw_only=True)
class AskedOfNumbers:
    """A model and the numbers that it is asked about, read and found to fit.

    Attributes
    ----------
    model : keras.Model
    network : state_gradients.engine.network.Network
    state : str
    series : state_gradients.text.series.Series
    made_from : dict of str
        Names and hashes of the files.
    """

    model: "keras.Model"
    network: object
    state: str
    series: numbers.Series
    made_from: dict

    unit = "steps"

    @property
    def table(self):
        """Return what the gradient is whitened by: all steps, (step, embedding)."""
        steps = np.concatenate([trial.values for trial in self.series.trials])
        names = {"embedding": self.series.features}
        return xr.DataArray(steps, names, ("step", "embedding"))

    @property
    def lengths(self):
        """Return how long each trial is."""
        return [len(trial) for trial in self.series.trials]

    @property
    def n_inputs(self):
        """Return how many steps are averaged over."""
        return self.series.n_steps

    @property
    def how(self):
        """Return how the numbers were read, in words."""
        return self.series.how

    def means(self, **options):
        """Return the mean state gradients over the trials."""
        from state_gradients.engine.means import mean_state_gradients

        trials = self.series.trials
        return mean_state_gradients(
            self.model,
            inputs=trials[0] if len(trials) == 1 else trials,  # one is cut into blocks
            state=self.state,
            **options,
        )


def open_files(
    model,
    *,
    text,
    vocabulary=None,
    imports=(),
    names=None,
    reading=None,
    max_delay=50,
    state=None,
    layer=1,
    report=lambda line: None,
):
    """Read a model, a text and a vocabulary, and check that they fit.

    Parameters
    ----------
    model, text, vocabulary, imports, names, reading, max_delay, state, layer, report
        Of :func:`inspect_files`.

    Returns
    -------
    Asked

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`inspect_files`.
    """
    reading = reading or texts.Reading()
    model, paths = require_file(model, "model"), text
    paths = paths if isinstance(paths, list) else [paths]
    files = texts.text_files(paths)
    made_from = _made_from(model, paths, files, vocabulary)
    types = None if vocabulary is None else read_vocabulary(vocabulary)
    encoded = None if types is None else encode(files, types, reading)
    report(f"loading {model}")
    loaded = _loaded(model, imports, names or torch_weights.Names(), report)
    from state_gradients.engine import means, trust

    network, (state,), _ = means.read(loaded, state=state, layer=layer)
    length, lookup = trust.input_of(loaded)
    types = _types(types, lookup, vocabulary, len(network.table))
    if encoded is None:
        _require_as_the_layer_reads(types, reading, length)
        encoded = encode(files, types, reading)
    ids, n_unknown = encoded
    _require_unchanged(made_from, _made_from(model, paths, files, vocabulary))
    rows = texts.arrange(ids, reading, length=length, masks=network.masks)
    _require_reach(rows, max_delay, paths, network.masks)
    report(_summary(rows, n_unknown))
    return Asked(
        model=loaded,
        network=network,
        types=types,
        state=state,
        rows=rows,
        made_from=made_from,
    )


def inspect_inputs(
    model,
    *,
    inputs,
    imports=(),
    names=None,
    context=None,
    max_delay=50,
    state=None,
    layer=1,
    tolerance=None,
    shrinkage=None,
    report=lambda line: None,
):
    """Read a model and numbers, check them, and :func:`inspect_model`.

    Parameters
    ----------
    model : path-like
        Of a model that begins with a recurrent layer, or with Dense layers below it.
    inputs : path-like
        See :mod:`state_gradients.text.series`.
    context : int, optional
        Cut the trials into windows of so many steps, each from the zero state.
    imports, names, max_delay, state, layer, tolerance, shrinkage, report
        Of :func:`inspect_files`.

    Returns
    -------
    xarray.Dataset
        Its attributes say what it was made from, how, by what, and when.

    Raises
    ------
    FileNotFoundError, ValueError
        As :func:`open_inputs`.
    """
    asked = open_inputs(
        model,
        inputs=inputs,
        imports=imports,
        names=names,
        context=context,
        max_delay=max_delay,
        state=state,
        layer=layer,
        report=report,
    )
    settings = {"max_delay": max_delay, "state": asked.state, "layer": layer}
    settings |= {} if tolerance is None else {"tolerance": tolerance}
    settings |= {} if shrinkage is None else {"shrinkage": shrinkage}
    trials = asked.series.trials
    result = inspect_model(asked.model, inputs=trials, progress=True, **settings)
    return result.assign_attrs(
        asked.made_from,
        n_features=len(asked.series.features),
        n_tokens=asked.n_inputs,
        n_texts=len(trials),
        reading=asked.how,
        settings=json.dumps(settings),
    )


def open_inputs(
    model,
    *,
    inputs,
    imports=(),
    names=None,
    context=None,
    max_delay=50,
    state=None,
    layer=1,
    report=lambda line: None,
):
    """Read a model and numbers, and check that they fit.

    Parameters
    ----------
    model, inputs, imports, names, context, max_delay, state, layer, report
        Of :func:`inspect_inputs`.

    Returns
    -------
    AskedOfNumbers

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is not there or cannot be read so, changes while it is read, or does
        not fit the other.
    """
    model, path = require_file(model, "model"), require_file(inputs, "inputs")

    def made_from():
        return {
            "model": model.name,
            "model_sha256": provenance.file_hash(model),
            "inputs": path.name,
            "inputs_sha256": provenance.file_hash(path),
        }

    before, series = made_from(), numbers.read_series(path)
    report(f"loading {model}")
    names = replace(names or torch_weights.Names(), embedding=False)
    loaded = _loaded(model, imports, names, report)
    from state_gradients.engine import means

    network, (state,), _ = means.read(loaded, state=state, layer=layer, words=False)
    n_features = network.table.shape[1]
    if len(series.features) != n_features:
        raise ValueError(
            f"inspection: {path} must hold the {n_features} features that the model "
            f"reads, received {len(series.features)}: {short(series.features, 400)}. "
            "Give those of its training, in their order."
        )
    series = numbers.arrange(series, context=context, length=loaded.input_shape[1])
    longest = max(map(len, series.trials))
    if max_delay >= longest:
        raise ValueError(
            f"inspection: {path} must be longer than `max_delay` (--max-delay), "
            f"{max_delay}, received {longest} steps, read as {series.how}; at most "
            f"{longest - 1} will do."
        )
    _require_unchanged(before, made_from())
    report(f"averaging over {series.n_steps:,} steps, read as {series.how}")
    return AskedOfNumbers(
        model=loaded, network=network, state=state, series=series, made_from=before
    )


def _loaded(model, imports, names, report):
    """Return a Keras model from its file, which PyTorch may have written."""
    if torch_weights.is_of_torch(model):
        return names.load(model, report=report)
    if replace(names, embedding=None) != torch_weights.Names() or names.embedding:
        raise ValueError(
            "inspection: --embedding, --recurrent, --nonlinearity and --above name "
            f"what is in PyTorch's weights, received {model}, which says by itself "
            "what its layers are; leave them out."
        )
    return saved.load_model(model, imports=imports)


def _made_from(model, paths, files, vocabulary):
    """Return names and hashes of what is read, as it is before it is read."""
    hashes = [provenance.file_hash(path) for path in files]
    if len(files) > 1:  # the hash of a list of hashes
        hashes = [hashlib.sha256("\n".join(hashes).encode()).hexdigest()]
    names = {
        "model": model.name,
        "model_sha256": provenance.file_hash(model),
        "text": ", ".join(Path(path).name for path in paths),
        "text_sha256": hashes[0],
    }
    if vocabulary is not None:
        path = require_file(vocabulary, "vocabulary")
        names["vocabulary"] = path.name
        names["vocabulary_sha256"] = provenance.file_hash(path)
    return names


def _require_unchanged(before, after):
    """Refuse files that were written while they were read: which was read is unsaid."""
    for key in ("model", "text", "vocabulary", "inputs"):
        if before.get(f"{key}_sha256") != after.get(f"{key}_sha256"):
            raise ValueError(
                f"inspection: {before[key]} must stay as it is while it is read, "
                "received other contents after it was read than before; run it again."
            )


def _types(types, lookup, vocabulary, n_rows):
    """Return a model's vocabulary, which comes from a file or is a layer of it."""
    if (types is None) == (lookup is None):
        what = "neither" if lookup is None else f"both, {vocabulary} and {lookup.name}"
        raise ValueError(
            "inspection: the vocabulary must come from a file (--vocabulary) or be a "
            f"TextVectorization or StringLookup layer of the model, received {what}."
        )
    if isinstance(types, Vocabulary) and len(types) != n_rows:
        raise ValueError(
            f"inspection: {vocabulary} must hold a line for each of the {n_rows} rows "
            f"of the model's embedding, received {len(types)} lines."
        )
    if isinstance(types, Tokenizer) and len(types) > n_rows:
        raise ValueError(
            f"inspection: the ids of {vocabulary} must be below {n_rows}, the rows of "
            f"the model's embedding, received a Tokenizer of {len(types)} ids."
        )
    return lookup if types is None else types


def _require_as_the_layer_reads(layer, reading, length):
    """Refuse readings that a TextVectorization layer of fixed length does not give."""
    import keras

    fixed = type(layer) is keras.layers.TextVectorization and length is not None
    if fixed and (not reading.by_line or reading.pad == "left" or reading.pad_id):
        raise ValueError(
            f"inspect: the model's TextVectorization cuts each line to {length} tokens "
            "and pads it at the right with 0, so that its texts must be read --by-line "
            f"--pad right; received {reading}."
        )


def _require_reach(rows, max_delay, paths, masks):
    reach = texts.reach(rows, masks=masks)
    if max_delay >= reach:
        names = ", ".join(map(str, paths))
        longest = "" if len(rows.ids) == 1 else " from an input on in the longest text"
        raise ValueError(
            f"inspection: {names} must be longer than `max_delay` (--max-delay), "
            f"{max_delay}, received {reach} tokens{longest}; at most {reach - 1} will "
            "do."
        )


def _summary(rows, n_unknown):
    """Return how a text was read, in a line."""
    line = f"averaging over {rows.n_tokens:,} tokens, read as {rows.how}"
    counts = {
        "texts, each from the zero state": len(rows.ids) * (len(rows.ids) > 1),
        "too long, of which the last tokens are read": rows.n_cut,
        "empty, not read": rows.n_empty,
        "tokens without an id, left out": n_unknown,
    }
    return "; ".join([line, *(f"{n:,} {what}" for what, n in counts.items() if n)])


def _lacking(unknown):
    """Return what there is to say of words that have no id."""
    if not unknown:
        return "every word of theirs is in the vocabulary"
    return f"not in the vocabulary: {short(sorted(set(unknown)))}"


def table(curves):
    """Return the curves as a DataFrame, a row a normalization, [group] and delay."""
    names = ["memory", "selectivity", "selectivity_5", "effective_rank"]
    names += [*(name for name in ("influence",) if name in curves), "n_samples"]
    axes = [x for x in ("normalization", "group", "delay") if x in curves.dims]
    rows = curves[names].drop_attrs().to_dataframe(axes)
    return rows.reset_index()


def feature_table(curves):
    """Return the memory of each feature at some delays, the largest in all first."""
    delays = [k for k in SHOWN_DELAYS if k in curves["delay"].values]
    memory = curves["feature_memory"].sel(delay=delays).drop_attrs()
    rows = memory.transpose("feature", "delay").to_pandas()
    order = rows.sum(axis="columns").sort_values(ascending=False).index
    return rows.loc[order].reset_index()


def property_table(curves):
    """Return the memory of a property, a row for each [group and] delay.

    The columns are m, the same without noise with the ends of its interval, and the
    bands by chance: ``random directions, lower`` and so on.
    """
    names = [name for name in curves.data_vars if name.startswith("relative_memory")]
    by_chance = ("lower", "middle", "upper")
    columns = curves[names].assign(
        {
            f"{null}, {end}": curves[f"chance_{end}"].sel(null=null, drop=True)
            for null in curves["null"].values.tolist()
            for end in by_chance
        }
    )
    axes = [x for x in ("group", "delay") if x in columns.dims]
    return columns.drop_attrs().to_dataframe(axes).reset_index()


def narrow_property_table(curves):
    """Return :func:`property_table` for a terminal: some delays, bands as text."""
    rows = property_table(curves)
    rows = rows[rows["delay"].isin(SHOWN_DELAYS)]
    text = rows.map(lambda x: f"{x:.3f}" if isinstance(x, float) else str(x))
    narrow = text[[x for x in ("group", "delay") if x in text]].assign(
        memory=text["relative_memory"]
    )
    own = [f"relative_memory_{end}" for end in ("lower", "upper")]
    narrow["without noise"] = (
        text["relative_memory_estimate"] + " [" + text[own].agg(", ".join, axis=1) + "]"
    )
    for null in curves["null"].values.tolist():
        ends = [f"{null}, {end}" for end in ("lower", "upper")]
        narrow[null] = text[ends].agg(" to ".join, axis=1)
    return narrow


def write(curves, folder):
    """Write memory.png, memory.csv and spectra.nc, all or none; return their paths.

    Of a property of words also property.png and property.csv.
    """
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    title = [curves.attrs[key] for key in ("model", "reading") if key in curves.attrs]
    named = curves.assign_attrs(experiment="\n".join(title))
    if "group" in curves.dims:  # a line for each: whitened, if that can be
        named = named.isel(normalization=-1)
    figures.plot_memory(named, ax=left)
    figures.plot_selectivity(named.drop_attrs(deep=False), ax=right)
    if "inputs" in curves.attrs:  # no words
        for ax in (left, right):
            ax.set_xlabel("delay (steps)")
    names = ["memory.png", "memory.csv", "spectra.nc"]
    if "relative_memory" in curves:
        names += ["property.png", "property.csv"]
    paths = [Path(folder, name) for name in names]
    with replacing_all(paths) as (picture, rows, data, *of_property):
        figure.savefig(picture, dpi=160)
        table(curves).to_csv(rows, index=False)
        provenance.write(curves, data)
        if of_property:
            _property_figure(curves).savefig(of_property[0], dpi=160)
            property_table(curves).to_csv(of_property[1], index=False)
    return paths


def _property_figure(curves):
    """Return the memory of a property, a panel for each group."""
    named = curves if "group" in curves.dims else curves.expand_dims(group=[""])
    n_groups = named.sizes["group"]
    figure = Figure(figsize=(5 * n_groups, 3.8), layout="constrained")
    known = [curves.attrs[key] for key in ("model", "property") if key in curves.attrs]
    title = "\n".join(known)
    panels = figure.subplots(1, n_groups, squeeze=False)[0]
    for ax, group in zip(panels, named["group"].values.tolist(), strict=True):
        one = named.sel(group=group, drop=True)
        over = f", over {group}" if group else ""
        figures.plot_property(one.assign_attrs(experiment=title + over), ax=ax)
    return figure


def read(folder):
    """Read the ``spectra.nc`` that :func:`write` wrote, and check that it is whole.

    Raises
    ------
    ArtifactError
        If it is missing or damaged.
    """
    path = Path(folder, "spectra.nc")
    try:
        return provenance.read(path)
    except (FileNotFoundError, provenance.DamagedFileError) as error:
        raise ArtifactError(
            f"{path} must be an inspection, but is missing or damaged; run "
            f"`state-gradients inspect MODEL.keras ... --output {folder}` again."
        ) from error
