"""A reader's own network and text: read, found to fit each other, and inspected.

MODEL.keras, text, vocabulary -> ids -> inspect_model -> curves
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from state_gradients.analysis.properties import Halves
from state_gradients.analysis.property_curves import whitened_step
from state_gradients.foundation.checks import rename, short
from state_gradients.inspection import model_files
from state_gradients.inspection.model_curves import inspect_model
from state_gradients.models import torch_weights
from state_gradients.project import provenance
from state_gradients.text import reading as texts
from state_gradients.text.encoding import encode, read_vocabulary, require_file
from state_gradients.text.groups import read_groups
from state_gradients.text.halves import read_halves
from state_gradients.text.tokenizer import Tokenizer
from state_gradients.text.vocabulary import Vocabulary

if TYPE_CHECKING:
    import keras

WORDS_DRAWN = 128  # at a position, where influence is asked for in a terminal


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
    """Read a model, a text and a vocabulary, check that they fit, and inspect them.

    Parameters
    ----------
    model : path-like
    text : path-like, or a list of them
        Files, a text each; of a folder all files.
    vocabulary : path-like, optional
        See :func:`state_gradients.text.encoding.read_vocabulary`. A model with a
        TextVectorization or StringLookup layer has its own.
    imports : sequence of str
        See :func:`state_gradients.models.saved.load_model`.
    names : Names, optional
        Of PyTorch's modules, see :class:`state_gradients.models.torch_weights.Names`.
    reading : Reading, optional
        See :class:`state_gradients.text.reading.Reading`.
    max_delay, state, layer, tolerance, shrinkage, influence
        Of :func:`~state_gradients.inspection.model_curves.inspect_model`; one state.
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
    loaded = model_files.load(model, imports, names or torch_weights.Names(), report)
    from state_gradients.engine import means, trust

    network, (state,), _ = means.read(loaded, state=state, layer=layer)
    length, lookup = trust.input_of(loaded)
    types = types_of(types, lookup, vocabulary, len(network.table))
    if encoded is None:
        _require_as_the_layer_reads(types, reading, length)
        encoded = encode(files, types, reading)
    ids, n_unknown = encoded
    after = _made_from(model, paths, files, vocabulary)
    model_files.require_unchanged(made_from, after)
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


def types_of(types, lookup, vocabulary, n_rows):
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
