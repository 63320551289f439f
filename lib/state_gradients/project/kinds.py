"""The kinds of artifacts: which stage makes one, from what, and what it must hold.

train    ->  training, encoder, weights
extract  ->  gradients, intervals, controls      (from encoder)
analyse  ->  spectra, probes, types, properties  (from gradients, encoder, weights)
analyse  ->  vocabulary                          (from weights)
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Stage:
    """What the results of a stage depend on, apart from its upstream artifacts."""

    recipe: int  # raise it whenever the stage computes something else than before
    groups: tuple[str, ...]  # groups of an experiment's settings


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One kind of artifact: its stage, its upstream kinds, its required variables."""

    stage: str
    upstream: tuple[str, ...] = ()
    schema: dict = field(default_factory=dict)  # variable -> dims, None for any dims
    suffix: str = ".nc"


STAGES = {
    "train": Stage(recipe=1, groups=("corpus", "model", "training")),
    "extract": Stage(recipe=2, groups=("corpus", "gradients")),
    "analyse": Stage(recipe=2, groups=()),
}
BASELINE = "ptb-lstm-256"

_CURVE = ("state_kind", "group", "normalization", "delay")
_INTERVAL = (*_CURVE, "quantity")
_ENCODER = {
    "embedding": ("vocabulary", "embedding"),
    "vocabulary": ("vocabulary",),  # the tokens
    "count": ("vocabulary",),  # of each token in the training text
    "recurrent_1.kernel": None,
    "recurrent_1.recurrent_kernel": None,
    "recurrent_1.bias": None,
}
KINDS = {
    "training": Kind(
        stage="train",
        schema={
            "train_perplexity": ("epoch",),
            "valid_perplexity": ("epoch",),
            "learning_rate": ("epoch",),
            "seconds": ("epoch",),
            "valid_perplexity_final": (),
            "test_perplexity": (),
            "epochs_run": (),
            "n_parameters": (),
        },
    ),
    "encoder": Kind(stage="train", suffix=".h5", schema=_ENCODER),
    "weights": Kind(
        stage="train",
        suffix=".h5",
        schema=_ENCODER | {"logits.kernel": None, "logits.bias": None},
    ),
    "gradients": Kind(
        stage="extract",
        upstream=("encoder",),
        schema={
            "state_gradient": ("state_kind", "group", "delay", "state", "embedding"),
            "n_samples": ("group", "delay"),
            "second_moment": (
                *("state_kind", "group", "delay"),
                *("embedding", "embedding_2"),
            ),
        },
    ),
    "intervals": Kind(
        stage="extract",
        upstream=("encoder",),
        schema=dict.fromkeys(("estimate", "lower", "upper"), _INTERVAL),
    ),
    "controls": Kind(
        stage="extract",
        upstream=("encoder",),
        schema=dict.fromkeys(("memory", "selectivity"), ("control", *_CURVE)),
    ),
    "spectra": Kind(
        stage="analyse",
        upstream=("gradients", "encoder"),
        schema={
            "s": (*_CURVE, "component"),
            "vt": (*_CURVE, "direction", "embedding"),  # the first ten
            "memory": _CURVE,
            "total": _CURVE,
            "selectivity": _CURVE,
            "selectivity_5": _CURVE,
            "rms_memory": _CURVE,
            "coherence": _CURVE,
        },
    ),
    "probes": Kind(stage="analyse", upstream=("weights", "gradients")),
    "vocabulary": Kind(  # what cutting it again costs
        stage="analyse",
        upstream=("weights",),
        schema=dict.fromkeys(("tokens", "surprisal"), ("split", "target"))
        | dict.fromkeys(("perplexity", "perplexity_without"), ("split",)),
    ),
    "types": Kind(stage="analyse", upstream=("encoder",)),
    "properties": Kind(stage="analyse", upstream=("gradients", "encoder")),
}


def expected(experiment):
    """Return ``{kind: kept}``: what the three stages make, and whether git keeps it.

    The mean gradients of most experiments are too large to be kept; full weights are
    made where a result needs them: for the baseline and on the synthetic corpus.
    """
    synthetic = experiment.corpus.name == "synthetic"
    full = synthetic or experiment.name == BASELINE
    made = ["training", "encoder"]
    if full:
        made.append("weights")
    made += ["gradients", "spectra"]
    if synthetic:
        made.append("probes")
    if experiment.name == BASELINE and experiment.corpus.name == "ptb":
        made.append("vocabulary")
    if experiment.gradients.controls:
        made.append("controls")
    if experiment.gradients.blocks:
        made.append("intervals")
    return dict.fromkeys(made, True) | {"gradients": full}
