"""The kinds of artifacts: which stage makes one, from what, and what it must hold.

train    ->  training, encoder, weights
extract  ->  gradients, intervals, controls      (from encoder)
analyse  ->  spectra, probes                     (from gradients, encoder, weights)

and of experiments that ask for them (`language.studies`), each by a stage of its name:

types, positions, linear                         (from encoder, weights)
classes     ->  class_gradients, classes         (from encoder)
properties                                       (from class_gradients, weights)
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
    # The studies of words. Which of them are made is no part of what they are.
    "types": Stage(recipe=1, groups=("corpus", "gradients")),
    "classes": Stage(recipe=1, groups=("corpus", "gradients")),
    "properties": Stage(recipe=1, groups=("corpus", "gradients")),
    "linear": Stage(recipe=1, groups=("corpus",)),
    "positions": Stage(recipe=1, groups=("corpus", "gradients")),
}
BASELINE = "ptb-lstm-256"

_CURVE = ("state_kind", "group", "normalization", "delay")
_INTERVAL = (*_CURVE, "quantity")
_OF_POSITIONS = ("state_kind", "memory_of")
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
    "types": Kind(stage="types", upstream=("encoder",)),
    "class_gradients": Kind(stage="classes", upstream=("encoder",)),
    "classes": Kind(stage="classes", upstream=("encoder",)),
    "properties": Kind(stage="properties", upstream=("class_gradients", "weights")),
    "linear": Kind(stage="linear", upstream=("encoder",)),
    "positions": Kind(
        stage="positions",
        upstream=("weights",),
        schema={
            "surprisal": ("position",),
            "memory": ("position", "delay"),
            "past": ("position",),
            **dict.fromkeys(
                ("correlation", "lower", "upper"), ("control", *_OF_POSITIONS)
            ),
            **dict.fromkeys(
                ("null_lower", "null_upper"), ("null", "control", *_OF_POSITIONS)
            ),
            "agreement": ("state_kind", "delay"),
            "excess_surprisal": ("tenth", *_OF_POSITIONS),
            "octave_correlation": ("octave", *_OF_POSITIONS),
            "change": ("state_kind", "scale", "delay", "place"),
            "linear_change": ("state_kind", "delay", "place"),
            **dict.fromkeys(("kl", "cost"), ("delay", "scale", "place")),
            **dict.fromkeys(("late_kl", "late_cost"), ("delay", "place")),
            "quadratic": ("delay", "place"),
            "prediction": ("delay", "predictor", "scale"),
        },
    ),
}
NEED_WEIGHTS = {"properties", "positions"}  # studies that read the predictions
TOO_LARGE = {"class_gradients"}  # for git


def expected(experiment):
    """Return ``{kind: kept}``: what the stages make, and whether git keeps it.

    The mean gradients of most experiments are too large to be kept; full weights are
    made where a result needs them: for the baseline, on the synthetic corpus, and for
    studies of what is predicted.
    """
    synthetic = experiment.corpus.name == "synthetic"
    studies = experiment.language.studies
    full = synthetic or experiment.name == BASELINE
    weights = full or not NEED_WEIGHTS.isdisjoint(studies)
    made = ["training", "encoder"]
    if weights:
        made.append("weights")
    made += ["gradients", "spectra"]
    if synthetic:
        made.append("probes")
    if experiment.gradients.controls:
        made.append("controls")
    if experiment.gradients.blocks:
        made.append("intervals")
    made += [kind for kind, about in KINDS.items() if about.stage in studies]
    return dict.fromkeys(made, True) | {
        kind: kind not in TOO_LARGE and (full or kind != "gradients") for kind in made
    }
