"""The kinds of artifacts: which stage makes one, from what, and what it must hold.

train    ->  training, encoder, weights
extract  ->  gradients, intervals, controls      (from encoder)
analyse  ->  spectra, probes, vocabulary         (from gradients, encoder, weights)
explain  ->  readings, of the synthetic corpus   (from gradients, weights)

and of experiments that ask for them (`language.studies`), each by a stage of its name:

types, positions, linear                         (from encoder, weights)
classes     ->  class_gradients, classes         (from encoder)
properties                                       (from class_gradients, weights)
coherence                                        (from encoder, spectra)
influence, context, forgetting                   (from weights)
grammar, of the generated language               (from weights)
tail, stretches, layers                          (from encoder)
half-lives  ->  half_lives                       (from encoder)
tagged-classes  ->  tagged_classes               (from encoder)
boundaries                                       (from positions, encoder)
learning                                         (from training, encoder)

and of a network that reads no words:

train     ->  network
flipflop  ->  flipflop                           (from network)
"""

from dataclasses import dataclass, field

from state_gradients.text import corpora


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
    "explain": Stage(recipe=1, groups=()),
    # The studies of words. Which of them are made is no part of what they are.
    "types": Stage(recipe=1, groups=("corpus", "gradients")),
    "classes": Stage(recipe=1, groups=("corpus", "gradients")),
    "properties": Stage(recipe=1, groups=("corpus", "gradients")),
    "linear": Stage(recipe=2, groups=("corpus",)),
    "positions": Stage(recipe=1, groups=("corpus", "gradients")),
    "coherence": Stage(recipe=1, groups=("corpus", "gradients")),
    "grammar": Stage(recipe=1, groups=("corpus",)),
    "tail": Stage(recipe=1, groups=("corpus", "gradients")),
    "boundaries": Stage(recipe=1, groups=("corpus", "gradients")),
    "context": Stage(recipe=1, groups=("corpus", "gradients")),
    "forgetting": Stage(recipe=1, groups=("corpus", "gradients")),
    "learning": Stage(recipe=1, groups=("corpus", "gradients")),
    "flipflop": Stage(recipe=1, groups=("corpus", "gradients")),
    "stretches": Stage(recipe=1, groups=("corpus", "gradients")),
    "influence": Stage(recipe=1, groups=("corpus", "gradients")),
    "layers": Stage(recipe=1, groups=("corpus", "gradients")),
    "half-lives": Stage(recipe=1, groups=("corpus", "gradients")),
    "tagged-classes": Stage(recipe=1, groups=("corpus", "gradients")),
}
BASELINE = "ptb-lstm-256"
EMBEDDED = "grammar-lstm-64"  # what needs neither network nor licence: kept whole
OF_NUMBERS = "flip-flop-gru-32"  # of the networks without words, the one whose is kept

_CURVE = ("state_kind", "group", "normalization", "delay")
_INTERVAL = (*_CURVE, "quantity")
_CLASS_CURVE = ("group", "normalization", "delay")
_MEMORIES = ("memory", "total", "selectivity", "selectivity_5")
_MEASURED = ("property", "words", "over", "delay", "measure")
_BY_CHANCE = (*_MEASURED[:4], "null", "measure")
_OF_POSITIONS = ("state_kind", "memory_of")
_OF_TEXT = ("text", "state_kind", "delay")
_ENDS = "", "_lower", "_upper"
_OF_INPUT = ("wrt", "layer")
_ENCODER = {
    "embedding": ("vocabulary", "embedding"),
    "vocabulary": ("vocabulary",),  # the tokens
    "count": ("vocabulary",),  # of each token in the training text
    "recurrent_1.kernel": None,  # and what else the cell has
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
    "readings": Kind(stage="explain", upstream=("weights", "gradients")),
    "types": Kind(
        stage="types",
        upstream=("encoder",),
        schema={
            "occurrences": ("type",),
            "frequency": ("type",),
            "tag": ("type",),
            "memory": ("normalization", "type", "delay"),
            "total": ("normalization", "type", "delay"),
            "rms_memory": ("type", "delay"),
            "rate": ("type",),
            "r_squared": ("type",),
            "aic": ("law", "type"),
            "sample_occurrences": ("sampled",),
            "sample_frequency": ("sampled",),
            "sample_tag": ("sampled",),
            "sample_memory": ("sampled", "delay"),
            "sample_rms_memory": ("sampled", "delay"),
            "sample_estimate": ("sampled", "delay"),
            "sample_lower": ("sampled", "delay"),
            "sample_upper": ("sampled", "delay"),
            "sample_rate": ("sampled",),
            "sample_equal_memory": ("sampled", "n", "quantile", "delay"),
            "sample_equal_noise": ("sampled", "n", "delay"),
            "sample_equal_rate": ("sampled", "n"),
        },
    ),
    "class_gradients": Kind(
        stage="classes",
        upstream=("encoder",),
        schema={
            "state_gradient": ("group", "delay", "state", "embedding"),
            "n_samples": ("group", "delay"),
        },
    ),
    "classes": Kind(
        stage="classes",
        upstream=("encoder",),
        schema=dict.fromkeys(_MEMORIES, ("draw", *_CLASS_CURVE))
        | dict.fromkeys(
            ("estimate", "lower", "upper"), ("draw", "group", "delay", "quantity")
        )
        | {f"shuffled_{name}": ("shuffle", *_CLASS_CURVE) for name in _MEMORIES}
        | {
            "shuffled_inputs": ("shuffle", "group"),
            "shuffled_unmoved": ("shuffle", "group"),
            "order_correlation": ("draw", "normalization", "delay"),
            "n_types": ("draw", "group"),
            "n_inputs": ("draw", "group"),
            "frequency": ("draw", "group"),
            "coverage_types": ("source",),
            "coverage_tokens": ("source",),
        },
    ),
    "properties": Kind(
        stage="properties",
        upstream=("class_gradients", "weights"),
        schema={
            "direction": ("property", "words", "embedding"),
            "n_types": ("property", "words", "half"),
            "observed": _MEASURED,
            "lower": _MEASURED,
            "upper": _MEASURED,
            "chance_middle": _BY_CHANCE,
            "chance_upper": _BY_CHANCE,
            "selectivity": ("property", "over", "delay"),
            "share": ("count_by", "pattern"),
        },
    ),
    "linear": Kind(
        stage="linear",
        upstream=("encoder",),
        schema={
            "accuracy": ("row", "split", "part"),
            "accuracy_lower": ("row", "split", "part"),
            "accuracy_upper": ("row", "split", "part"),
            "balanced_accuracy": ("row", "split", "part"),
            "majority_rate": ("row", "split", "part"),
            "frequency_accuracy": ("row", "split", "part"),
            "n_pairs": ("row", "split", "part"),
            "n_classes": ("row",),
        },
    ),
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
    "coherence": Kind(
        stage="coherence",
        upstream=("encoder", "spectra"),
        schema={
            **dict.fromkeys(
                ("observed", "estimate", "lower", "upper"), ("quantity", *_OF_TEXT)
            ),
            "length": (_OF_TEXT[0], "quantile", *_OF_TEXT[1:]),
            "share_of_block": (*_OF_TEXT, "block"),
            "step": (*_OF_TEXT[1:], "embedding"),
            "n_samples": ("text", "delay"),
        },
    ),
    "grammar": Kind(  # held against the truth of the generated language
        stage="grammar",
        upstream=("weights",),
        schema={
            **dict.fromkeys(
                ("verbs", "verbs_right"),
                ("number_of_subject", "words_between", "attractors"),
            ),
            **dict.fromkeys(("degrees", "degrees_right"), ("degree",)),
            **dict.fromkeys(
                ("relative_memory", "rms_relative_memory", "chance", "response"),
                ("distance", "delay"),
            ),
            "change": ("distance", "swap", "delay"),
            **dict.fromkeys(("held", "left", "seen", "seen_in_odds"), ("swap", "end")),
            "excess": ("end",),
            "held_by_distance": ("distance", "swap", "end"),
            "step_change": ("swap", "scale", "reading"),
            "step_odds": ("swap", "scale"),
            **dict.fromkeys(("share_of_unit", "forget_before", "forget_at"), ("unit",)),
            **dict.fromkeys(("direction", "odds_gradient"), ("embedding",)),
            **dict.fromkeys(
                ("property_memory", "property_rms_memory", "property_chance"),
                ("property", "delay"),
            ),
            "needed_for": ("property",),
            "lowest_perplexity": (),
        },
    ),
    "tail": Kind(
        stage="tail",
        upstream=("encoder",),
        schema={
            "observed": ("quantity", "delay"),
            **dict.fromkeys(("estimate", "lower", "upper"), ("quantity", "mark")),
            "n_samples": ("delay",),
            "tolerance_error": ("delay",),
            "tolerance": (),
            "largest_residual": (),
        },
    ),
    "boundaries": Kind(  # of sentences, between a word and the state
        stage="boundaries",
        upstream=("positions", "encoder"),
        schema=dict.fromkeys(
            (
                *("memory", "lower", "upper", "n_samples"),
                *("ratio", "ratio_lower", "ratio_upper"),
            ),
            ("crossed", "delay"),
        ),
    ),
    "context": Kind(  # what words far back are good for
        stage="context",
        upstream=("weights",),
        schema={
            **dict.fromkeys(("cost", "lower", "upper"), ("change", "context")),
            **dict.fromkeys(
                ("effective", "effective_lower", "effective_upper", "n_places"),
                ("change",),
            ),
            "loss": (),
        },
    ),
    "forgetting": Kind(  # is a stretch said again when it is read again
        stage="forgetting",
        upstream=("weights",),
        schema={
            **dict.fromkeys(("accuracy", "loss"), ("setting", "length")),
            **dict.fromkeys(
                ("gain", "lower", "upper"), ("against", "measure", "length")
            ),
            **dict.fromkeys(
                ("reach", "reach_lower", "reach_upper"), ("against", "measure")
            ),
            "n_stretches": ("length",),
        },
    ),
    "learning": Kind(  # memory while it is learnt, epoch by epoch
        stage="learning",
        upstream=("training", "encoder"),
        schema={
            **dict.fromkeys(_MEMORIES, ("epoch", "state_kind", "delay")),
            **dict.fromkeys(
                ("rms_memory", "effective_rank", "chance"),
                ("epoch", "state_kind", "delay"),
            ),
            "relative_memory": ("epoch", "property", "state_kind", "delay"),
            **dict.fromkeys(("step_length", "order"), ("epoch", "property")),
            "step_by_chance": ("property",),
            "valid_perplexity": ("epoch",),
            "n_tokens": (),
        },
    ),
    "network": Kind(  # of numbers: weights, and how they were learnt
        stage="train",
        suffix=".h5",
        schema={
            "recurrent_1.kernel": None,
            "recurrent_1.recurrent_kernel": None,
            "recurrent_1.bias": None,
            "readout.kernel": None,
            "readout.bias": None,
            "loss": ("epoch",),
            "error": (),
            "right": (),
        },
    ),
    "flipflop": Kind(
        stage="flipflop",
        upstream=("network",),
        schema={
            **dict.fromkeys(
                ("memory", "rms_memory", "said_memory", "turned", "bit_turned"),
                ("group", "delay"),
            ),
            **dict.fromkeys(("n_samples", "n_turned"), ("group", "channel")),
            "point": ("fixed_point", "unit"),
            "eigenvalue_size": ("fixed_point", "eigenvalue"),
            **dict.fromkeys(("q", "n_ended", "n_unstable"), ("fixed_point",)),
            "said": ("fixed_point", "channel"),
            "leads_to": ("fixed_point", "side"),
            "n_starts": (),
            "n_slow": (),
            "n_beyond": (),
            **dict.fromkeys(
                ("shown_input", "shown_target", "shown_said"), ("time", "channel")
            ),
        },
    ),
    "stretches": Kind(
        stage="stretches",
        upstream=("encoder",),
        schema={
            "observed": ("state_kind", "quantity", "delay"),
            "left_out": ("state_kind", "stretch", "quantity", "delay"),
            "n_samples": ("stretch", "delay"),
            "text_hash": (),
        },
    ),
    "influence": Kind(
        stage="influence",
        upstream=("weights",),
        schema={
            "spectrum": ("delay", "component"),
            **dict.fromkeys(
                ("observed", "estimate", "lower", "upper"), ("quantity", "delay")
            ),
            "moment": ("kept_delay", "embedding", "embedding_2"),
            **dict.fromkeys(
                ("memory", "rms_memory", "alignment", "share_of_kept", "sketch_error"),
                ("delay",),
            ),
            **dict.fromkeys(
                (f"{name}{end}" for name in ("kl", "ratio") for end in _ENDS),
                ("scale", "step_delay"),
            ),
            **dict.fromkeys(
                (f"order{end}" for end in _ENDS), ("predictor", "scale", "step_delay")
            ),
            "n_tokens": (),
        },
    ),
    "layers": Kind(
        stage="layers",
        upstream=("encoder",),
        schema={
            **dict.fromkeys(
                ("observed", "estimate", "lower", "upper"),
                (*_OF_INPUT, "quantity", "state_kind", "delay"),
            ),
            **dict.fromkeys(
                ("rms_memory", "chance"), (_OF_INPUT[1], "state_kind", "delay")
            ),
            "effective_dimension": _OF_INPUT,
            "n_samples": ("delay",),
        },
    ),
    "half_lives": Kind(
        stage="half-lives",
        upstream=("encoder",),
        schema={
            **dict.fromkeys(("decay", "half_life"), ("network", "state_kind", "unit")),
            "n_tokens": (),
        },
    ),
    "tagged_classes": Kind(  # parts of speech, token by token
        stage="tagged-classes",
        upstream=("encoder",),
        schema={
            **dict.fromkeys(
                ("observed", "estimate", "lower", "upper"),
                ("band", "group", "quantity", "delay"),
            ),
            **dict.fromkeys(("n_inputs", "n_types", "frequency"), ("band", "group")),
            "unknown": ("group",),
            "n_tokens": (),
        },
    ),
}
# studies that read the predictions
NEED_WEIGHTS = {
    *("properties", "positions", "grammar", "context", "forgetting", "influence"),
}
TOO_LARGE = {"class_gradients"}  # for git


def expected(experiment):
    """Return ``{kind: kept}``: what the stages make, and whether git keeps it.

    The mean gradients of most experiments are too large to be kept; full weights are
    made where a result needs them: for the baseline, on generated corpora, and for
    studies of what is predicted. Of the networks on the generated language one is kept
    whole, and of the others what they show.
    """
    if experiment.corpus.name in corpora.NUMBERS:
        return {"network": experiment.name == OF_NUMBERS, "flipflop": True}
    synthetic = experiment.corpus.name == "synthetic"
    studies = experiment.language.studies
    generated = experiment.corpus.name in corpora.GENERATED
    whole = synthetic or experiment.name in (BASELINE, EMBEDDED)
    weights = generated or whole or not NEED_WEIGHTS.isdisjoint(studies)
    made = ["training", "encoder"]
    if weights:
        made.append("weights")
    made += ["gradients", "spectra"]
    if synthetic:
        made += ["probes", "readings"]
    if experiment.name == BASELINE and experiment.corpus.name == "ptb":
        made.append("vocabulary")
    if experiment.gradients.controls:
        made.append("controls")
    if experiment.gradients.blocks:
        made.append("intervals")
    made += [kind for kind, about in KINDS.items() if about.stage in studies]
    left_out = TOO_LARGE | (set() if whole else {"gradients"})
    if not whole:
        left_out |= {"weights"}
    if generated and not whole:
        left_out |= {"encoder"}
    return {kind: kind not in left_out for kind in made}
