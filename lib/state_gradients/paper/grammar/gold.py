"""Tags of a generated language, from the truth, in the form of `language.tags`."""

import numpy as np
import xarray as xr

from state_gradients.text.grammar import truth


def running_text(corpus):
    """Return the words of the training text with their tags, list of (str, str).

    As :func:`state_gradients.paper.language.tags.running_text` has it; ``<eos>`` is no
    word of it.

    Parameters
    ----------
    corpus : state_gradients.foundation.settings.Corpus
        A variant of the generated language.
    """
    text = truth.labels(corpus, "train")
    words = np.array(truth.vocabulary().tokens)[text.ids]
    has_tag = text.tag != ""
    return list(zip(words[has_tag].tolist(), text.tag[has_tag].tolist(), strict=True))


def read_tags(corpus):
    """Return how often each type stands with each tag in the training text.

    Parameters
    ----------
    corpus : state_gradients.foundation.settings.Corpus
        A variant of the generated language.

    Returns
    -------
    xarray.Dataset
        As :func:`state_gradients.paper.language.tags.read_tags` has it: ``n_tagged``
        (tag, vocabulary), int; ``by_brown`` (vocabulary), false. ``<eos>`` has no tag.
    """
    text = truth.labels(corpus, "train")
    tokens = truth.vocabulary().tokens
    names, tag = np.unique(text.tag, return_inverse=True)
    table = np.zeros((len(names), len(tokens)), int)
    np.add.at(table, (tag, text.ids), 1)
    tagged = names != ""
    return xr.Dataset(
        {
            "n_tagged": (("tag", "vocabulary"), table[tagged]),
            "by_brown": ("vocabulary", np.zeros(len(tokens), bool)),
        },
        coords={"tag": names[tagged], "vocabulary": list(tokens)},
    )
