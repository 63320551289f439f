"""What a network must name, where that is not the next word: tags of earlier words.

A tagger that has read w_1 .. w_t is asked for the class of the word d places back,

    y_t = class(w_{t-d}),   d = `training.tags_back`,

and must therefore keep the classes of d + 1 words. An end of line is a token like any
other, with a class of its own. The first d tokens are asked for what stands before the
text, and that is taken to be ends of lines.
"""

from dataclasses import replace
from itertools import chain

import numpy as np

from state_gradients.text import corpora, tagged
from state_gradients.text.vocabulary import EOS, Asked


def load(experiment):
    """Read the text of an experiment as ids, and what its network is asked.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment

    Returns
    -------
    state_gradients.text.vocabulary.Text
        Its `asked` is None for a language model.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As :func:`corpora.load`.
    ValueError
        If tags and words are not in step.
    """
    text = corpora.load(experiment.corpus)
    back = experiment.training.tags_back
    if back is None:
        return text
    classes = read_classes(experiment.corpus)
    for split, ids in text.splits.items():
        if len(classes[split]) != len(ids):
            raise ValueError(
                f"tasks: each of the {len(ids)} tokens of the {split} text must have a "
                f"class, received {len(classes[split])}; leave corpus.eos_at_stops "
                "false where tags are asked for."
            )
    splits = {split: places_back(found, back) for split, found in classes.items()}
    return replace(text, asked=Asked(tagged.CLASSES, splits))


def read_classes(corpus):
    """Return the class of each token, a dict of split to int32 (time,).

    Parameters
    ----------
    corpus : state_gradients.foundation.settings.Corpus
        One of `settings.TAGGED`, by its name.
    """
    source = corpora.REGISTRY[corpus.name]
    path = corpora.find(source, source.archive)
    index = {name: k for k, name in enumerate(tagged.CLASSES)}
    ends = [EOS] * corpus.repeat_eos
    return {
        split: np.fromiter(
            map(index.get, chain.from_iterable(line + ends for line in lines)), np.int32
        )
        for split, lines in tagged.split_classes(path, half=source.half).items()
    }


def places_back(classes, back):
    """Return the class of the token `back` places back, at each token.

    Parameters
    ----------
    classes : ndarray of int32, shape (time,)
        Of `tagged.CLASSES`.
    back : int

    Returns
    -------
    ndarray of int32, shape (time,)
        The first `back` are the class of ``<eos>``.

    Examples
    --------
    >>> from state_gradients.text.tasks import places_back
    >>> places_back([0, 1, 2, 3], 2).tolist()
    [12, 12, 0, 1]
    """
    before = np.full(back, tagged.CLASSES.index(EOS), np.int32)
    return np.concatenate([before, np.asarray(classes, np.int32)])[: len(classes)]
