"""Tags of a generated language, from the truth, in the form of `language.tags`."""

import numpy as np
import xarray as xr

from state_gradients.text.grammar import truth


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
