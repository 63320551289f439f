"""Follows each word of a sentence, for the page "One sentence, word by word".

Run ``.venv/bin/python book/sentence.py`` at the project's root: in some seconds it
reads the sentence with the baseline's committed weights and writes how long each word
is remembered to data/sentence/memory.nc.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # TensorFlow's start-up chatter

import numpy as np

from state_gradients.analysis import whitening
from state_gradients.analysis.sentences import sentence_memory
from state_gradients.foundation import settings
from state_gradients.paper.language import subject
from state_gradients.project import artifacts, provenance

EXPERIMENT = "ptb-lstm-256"
STATES = ("cell", "hidden")
# Ours, in words of the vocabulary: a subject far from its verb, then a new sentence.
TEXT = """
<eos> the teachers who moved into the old house near the river last summer
say that their garden is too small for apple trees
<eos> they have sold it since <eos>
"""


def follow(model, table, tokens, *, states):
    """Return sigma_1 of each token's own state gradients, whitened.

    Parameters
    ----------
    model : keras.Model
    table : DataArray of shape (vocabulary, embedding)
        The model's embeddings; ``vocabulary`` names the rows.
    tokens : sequence of str
        The text, read from the zero state.
    states : tuple of str

    Returns
    -------
    xarray.Dataset
        ``memory`` (state_kind, token, delay), NaN beyond the end; ``word`` (token).

    Raises
    ------
    ValueError
        If a token is not in the vocabulary.
    """
    ids = table.indexes["vocabulary"].get_indexer(tokens)
    if (ids < 0).any():
        unknown = [x for x, i in zip(tokens, ids, strict=True) if i < 0]
        raise ValueError(
            "follow: `tokens` must be in the vocabulary, received "
            f"{unknown} that are not; choose other words."
        )
    fitted = whitening.fit_whitening(table.values.astype(np.float64))
    memory = sentence_memory(model, ids, whitening=fitted, state=states)
    memory.attrs |= {
        "long_name": "memory sigma_1 of the word's own state gradient",
        "units": "state units per standard deviation of the embedding",
        "equation": "sigma_1 of (ds_{t+delay} / de_t) D, t = token",
        "missing": "the text ends before the delay",
    }
    return memory.to_dataset(name="memory").assign_coords(word=("token", [*tokens]))


def main():
    """Read the committed weights, follow the sentence's words, write the result."""
    encoder = artifacts.load(EXPERIMENT, "encoder")
    model = subject.build_model(settings.load_experiment(EXPERIMENT), encoder)
    found = follow(model, encoder["embedding"], TEXT.split(), states=STATES)
    found = found.assign_attrs(
        experiment=EXPERIMENT,
        encoder=encoder.attrs["content"],
        made_by="book/sentence.py",
    )
    path = settings.project_root() / "data" / "sentence" / "memory.nc"
    provenance.write(found, path, root=settings.project_root())


if __name__ == "__main__":
    main()
