"""What a study of words reads: a network with its weights, its text, and tags."""

import functools
import itertools
from dataclasses import dataclass
from pathlib import Path

from state_gradients.analysis import uncertainty
from state_gradients.foundation import settings
from state_gradients.foundation.loading import load_keras
from state_gradients.project import artifacts
from state_gradients.text import corpora
from state_gradients.text.grammar import rules


def build_model(experiment, weights):
    """Return the Keras model of an experiment with the weights of an artifact.

    Parameters
    ----------
    experiment : state_gradients.foundation.settings.Experiment
    weights : xarray.Dataset
        The ``encoder`` or ``weights`` artifact; the former leaves the softmax random.

    Raises
    ------
    ValueError
        If another weight is missing, or one is no weight of the network.
    """
    load_keras()
    from state_gradients.models import language_model

    model = language_model.build_language_model(
        experiment.model,
        weights.sizes["vocabulary"],
        embeddings=weights["embedding"].values,
    )
    of_model = [name for name in language_model.weights(model) if name[:6] != "logits"]
    if missing := [name for name in of_model if name not in weights.variables]:
        raise ValueError(
            f"build_model: the weights of {experiment.name} must hold {of_model}, "
            f"received them without {missing}; train it again."
        )
    language_model.set_weights(
        model, {k: v.values for k, v in weights.data_vars.items()}
    )
    return model


def require_same_words(weights, text, experiment):
    """Refuse a network whose ids stand for other words than those of a text.

    Parameters
    ----------
    weights : xarray.Dataset
        The ``encoder`` or ``weights`` artifact.
    text : state_gradients.text.vocabulary.Text
    experiment : state_gradients.foundation.settings.Experiment

    Raises
    ------
    ValueError
        If they do: every number about words would be another word's.
    """
    learnt, read = weights["vocabulary"].values.tolist(), [*text.vocabulary.tokens]
    if learnt != read:
        pairs = itertools.zip_longest(learnt, read)
        place, (one, other) = next((k, p) for k, p in enumerate(pairs) if p[0] != p[1])
        raise ValueError(
            f"{experiment.name}: the network's words must be those of the corpus "
            f"{experiment.corpus.name}, received the id {place} for {one!r} in the one "
            f"and for {other!r} in the other; train it again."
        )


def require_all_positions(wanted, who):
    """Refuse mean gradients of groups of positions.

    Parameters
    ----------
    wanted : state_gradients.foundation.settings.Gradients
    who : str
        The study.

    Raises
    ------
    ValueError
        If they are.
    """
    if wanted.groups != "all":
        raise ValueError(
            f"{who}: the mean gradients must be of all positions, received "
            f"gradients.groups: {wanted.groups}; set it to all."
        )


def blocks_for_intervals(n_tokens, max_delay, *, most, who, remedy=""):
    """Return into how many blocks a text is cut for intervals: `most`, or what fits.

    Parameters
    ----------
    n_tokens, max_delay, most : int
    who : str
        The study.
    remedy : str
        What else can be done where it is too short.

    Raises
    ------
    ValueError
        If it is too short for two.
    """
    n_blocks = min(most, uncertainty.blocks_that_fit(n_tokens, max_delay))
    if n_blocks < 2:
        least = 2 * uncertainty.BLOCK_LENGTH * (max_delay + 1)
        raise ValueError(
            f"{who}: intervals need a text of {least} tokens for delays up to "
            f"{max_delay}, received {n_tokens}; lower gradients.max_delay, or set "
            f"gradients.split to a longer text{remedy}."
        )
    return n_blocks


@dataclass(frozen=True, kw_only=True)
class Subject:
    """An experiment whose words are studied; each part is read once, when asked for."""

    experiment: settings.Experiment
    root: Path | None = None
    progress: bool = True  # bars, while it is studied

    def load(self, kind):
        """Return an artifact of the experiment, an xarray.Dataset."""
        return artifacts.load(self.experiment, kind, root=self.root)

    @functools.cached_property
    def text(self):
        """Return the corpus, a `state_gradients.text.vocabulary.Text`."""
        return corpora.load(self.experiment.corpus)

    @functools.cached_property
    def ids(self):
        """Return the ids of the split that gradients are averaged over, (time,)."""
        wanted = self.experiment.gradients
        return self.text.splits[wanted.split][: wanted.n_tokens]

    @functools.cached_property
    def encoder(self):
        """Return embedding and recurrent weights, with the words of the text."""
        encoder = self.load("encoder")
        require_same_words(encoder, self.text, self.experiment)
        return encoder

    @functools.cached_property
    def model(self):
        """Return the Keras model with its encoder's weights; its softmax is random."""
        return build_model(self.experiment, self.encoder)

    @functools.cached_property
    def predictor(self):
        """Return the Keras model with all its weights: it predicts words."""
        weights = self.load("weights")
        require_same_words(weights, self.text, self.experiment)
        return build_model(self.experiment, weights)

    @functools.cached_property
    def tags(self):
        """Return how often each type was seen with each tag: `tags.read_tags`.

        A generated language knows its own.
        """
        from state_gradients.paper.grammar import gold
        from state_gradients.paper.language import tags

        if self.experiment.corpus.name in rules.VARIANTS:
            return gold.read_tags(self.experiment.corpus)
        return tags.read_tags(self.text.vocabulary.tokens)

    def running_text(self):
        """Return tagged running text of the language, a list of (word, tag).

        Of English, what NLTK has of the newspaper's; a generated language's own.
        """
        from state_gradients.paper.grammar import gold
        from state_gradients.paper.language import tags

        if self.experiment.corpus.name in rules.VARIANTS:
            return gold.running_text(self.experiment.corpus)
        return tags.running_text("treebank") + tags.running_text("conll2000")
