"""A reader's own network: from a saved model and a text to its memory curves.

MODEL.keras, text, vocabulary -> ids -> mean state gradients -> sigma_1, selectivity
"""

import contextlib
import json
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from state_gradients import figures
from state_gradients.analysis.summary import spectra_of
from state_gradients.foundation.atomic import replacing
from state_gradients.models import saved
from state_gradients.project import provenance
from state_gradients.project.artifacts import ArtifactError
from state_gradients.text.vocabulary import EOS, UNK, Vocabulary, read_lines


def _file(path, what):
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"inspection: the {what} must be a file, received {path}; correct the path."
        )
    return path


def read_vocabulary(path):
    """Return the :class:`Vocabulary` in a file: UTF-8, a token a line, in id order.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is not UTF-8, or a line holds no new token.
    """
    path, tokens = _file(path, "vocabulary"), {}
    try:
        lines = path.read_text("utf-8-sig").removesuffix("\n").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(
            f"read_vocabulary: {path} must be UTF-8, received {error}; convert it."
        ) from None
    for number, line in enumerate(lines, 1):
        token = line.strip()
        if len(line.split()) != 1 or token in tokens:
            raise ValueError(
                f"read_vocabulary: each line of {path} must hold one token, new to the "
                f"file, received {token!r} in line {number}. Lines stand in the order "
                f"of ids: name each, say <pad> for padding and {UNK} for rare words."
            )
        tokens[token] = number
    return Vocabulary(tuple(tokens))


def read_ids(path, vocabulary):
    """Return a text as ids, int32 (time,).

    White space separates tokens. An end of line is ``<eos>``, and a token that the
    vocabulary lacks ``<unk>``, where the vocabulary has these.

    Raises
    ------
    FileNotFoundError, ValueError
        If there is no such file, it is empty or not UTF-8, or a token has no id.
    """
    path, found = _file(path, "text"), []
    lines = read_lines(path, repeat_eos=int(EOS in vocabulary.index))
    for number, tokens in enumerate(lines, 1):
        try:
            found.append(vocabulary.encode(tokens))
        except ValueError:
            unknown = next(t for t in tokens if t not in vocabulary.index)
            raise ValueError(
                f"read_ids: every token of {path} must be in the vocabulary, received "
                f"{unknown!r} in line {number}. Tokenize the text as for training; if "
                f"the model has an id for rare words, call it {UNK}."
            ) from None
    return np.concatenate(found)


def inspect(model, ids, *, max_delay=50, state=None, layer=1, dtype=None, **options):
    """Return how much, and how selectively, a network remembers of its inputs.

    Parameters
    ----------
    model, ids, max_delay, state, layer, dtype, **options
        As for :func:`state_gradients.engine.means.mean_state_gradients`.

    Returns
    -------
    xarray.Dataset
        What :func:`state_gradients.analysis.spectra.memory_curve` gives and all
        singular values ``s``, (normalization, delay, ...), for the gradient with
        respect to the embedding ("raw") and to the whitened embedding; raw alone where
        the embeddings' covariance is singular, as the attribute ``note`` then says.
        ``n_samples`` (delay), how many positions each mean is over.

    Raises
    ------
    ValueError, FloatingPointError
        As mean_state_gradients.
    """
    from state_gradients.engine import means

    network, *_ = means.read(model, state=state, layer=layer, dtype=dtype)
    gradients = means.mean_state_gradients(
        model,
        ids,
        max_delay=max_delay,
        state=state,
        layer=layer,
        dtype=dtype,
        **options,
    )
    curves = spectra_of(gradients["state_gradient"], network.table)
    return curves.drop_dims("direction").assign(n_samples=gradients["n_samples"])


def inspect_files(
    model,
    *,
    text,
    vocabulary,
    imports=(),
    max_delay=50,
    state=None,
    layer=1,
    report=lambda line: None,
):
    """Read a model, a text and a vocabulary, check them, and :func:`inspect`.

    Parameters
    ----------
    model, text, vocabulary : path-like
    imports : sequence of str
        See :func:`state_gradients.models.saved.load_model`.
    max_delay, state, layer
        Of :func:`inspect`; one state.
    report : callable
        Receives a line of text before what takes long.

    Returns
    -------
    xarray.Dataset
        Its attributes say what it was made from, by what, and when.
    """
    files = {"model": model, "text": text, "vocabulary": vocabulary}
    files = {what: _file(path, what) for what, path in files.items()}
    types = read_vocabulary(vocabulary)
    ids = read_ids(text, types)
    if max_delay >= len(ids):
        raise ValueError(
            f"inspection: {text} must be longer than `max_delay` (--max-delay), "
            f"{max_delay}, received {len(ids)} tokens; at most {len(ids) - 1} will do."
        )
    report(f"loading {model}")
    loaded = saved.load_model(model, imports=imports)
    from state_gradients.engine import means

    network, (state,), _ = means.read(loaded, state=state, layer=layer)
    rows = len(network.table)
    if len(types) != rows:
        raise ValueError(
            f"inspection: {vocabulary} must hold a line for each of the {rows} rows of "
            f"the model's embedding, received {len(types)} lines."
        )
    report(f"averaging over {len(ids):,} tokens")
    settings = {"max_delay": max_delay, "state": state, "layer": layer}
    result = inspect(loaded, ids, progress=True, **settings)
    for what, path in files.items():
        result.attrs |= {what: path.name, f"{what}_sha256": provenance.file_hash(path)}
    return result.assign_attrs(
        vocabulary_size=len(types), n_tokens=len(ids), settings=json.dumps(settings)
    )


def table(curves):
    """Return the curves as a DataFrame, a row for each normalization and delay."""
    names = ["memory", "selectivity", "selectivity_5", "effective_rank", "n_samples"]
    rows = curves[names].drop_attrs().to_dataframe(["normalization", "delay"])
    return rows.reset_index()


def write(curves, folder):
    """Write memory.png, memory.csv and spectra.nc, all or none; return their paths."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    left, right = figure.subplots(1, 2)
    named = curves.assign_attrs(experiment=curves.attrs.get("model", ""))  # the title
    figures.plot_memory(named, ax=left)
    figures.plot_selectivity(curves, ax=right)
    paths = [Path(folder, name) for name in ("memory.png", "memory.csv", "spectra.nc")]
    with contextlib.ExitStack() as stack:  # the old files stay until all are written
        picture, rows, data = (stack.enter_context(replacing(path)) for path in paths)
        figure.savefig(picture, dpi=160)
        table(curves).to_csv(rows, index=False)
        provenance.write(curves, data)
    return paths


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
