"""A sentence of a reader's own, word by word, by a network from its file.

MODEL.keras, words, vocabulary -> ids -> sentence_memory, sentence_influence
"""

from state_gradients.analysis.sentences import sentence_influence, sentence_memory
from state_gradients.analysis.summary import whitenings
from state_gradients.foundation.checks import rename
from state_gradients.inspection import model_files
from state_gradients.inspection.text_files import types_of
from state_gradients.models import torch_weights
from state_gradients.text.encoding import encode_sentence, read_vocabulary, require_file

WHO = "sentence"


def inspect_sentence(
    model,
    sentence,
    *,
    vocabulary=None,
    imports=(),
    names=None,
    max_delay=None,
    state=None,
    layer=1,
    shrinkage=None,
    influence=False,
    report=lambda line: None,
):
    """Read a model, a sentence and a vocabulary, and follow each of the words.

    Parameters
    ----------
    model, vocabulary, imports, names, state, layer, shrinkage, report
        Of :func:`state_gradients.inspection.text_files.inspect_files`.
    sentence : str
        Its words, between white space or as the vocabulary's file parts them. It is
        read from the zero state: what the state is to come from stands before it.
    max_delay : int, optional
        By default the sentence's length less one.
    influence : bool
        Whether to ask, too, what a word changes in the words predicted later.

    Returns
    -------
    Dataset of shape (token, delay)
        ``memory``, as :func:`state_gradients.analysis.sentences.sentence_memory` gives
        it, and with `influence` what
        :func:`state_gradients.analysis.sentences.sentence_influence` gives, exactly;
        ``word`` (token), as the vocabulary has it. By the whitened embedding, or raw
        where its covariance is singular, as the attribute ``note`` then says.

    Raises
    ------
    FileNotFoundError, ValueError
        If a file is not there or cannot be read so, a word has no id, or the model does
        not fit.
    """
    path = require_file(model, "model")
    types = None if vocabulary is None else read_vocabulary(vocabulary)
    report(f"loading {path}")
    loaded = model_files.load(path, imports, names or torch_weights.Names(), report)
    from state_gradients.engine import means, trust

    network, (state,), _ = means.read(loaded, state=state, layer=layer)
    length, lookup = trust.input_of(loaded)
    types = types_of(types, lookup, vocabulary, len(network.table))
    ids, words = encode_sentence(sentence, types)
    _require_fit(ids, length)
    fitted, note = whitenings(network.table, shrinkage)
    asked = {
        "max_delay": len(ids) - 1 if max_delay is None else max_delay,
        "whitening": [*fitted.values()][-1],
        "layer": layer,
    }
    try:
        curves = sentence_memory(loaded, ids, state=state, **asked).to_dataset(
            name="memory"
        )
        if influence:
            curves = curves.merge(sentence_influence(loaded, ids, **asked))
    except ValueError as error:
        rename(error, WHO)
        raise
    return curves.assign_coords(word=("token", words)).assign_attrs(note=note)


def _require_fit(ids, length):
    """Refuse a sentence without a word, or longer than the model takes."""
    if not len(ids):
        raise ValueError(
            f"{WHO}: the sentence must hold a word with an id, received none; write "
            "words of the vocabulary."
        )
    if length is not None and len(ids) > length:
        raise ValueError(
            f"{WHO}: the sentence must fit into the model, which takes {length} tokens "
            f"at a time, received {len(ids)}; leave out some words."
        )
