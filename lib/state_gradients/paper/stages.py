"""The stages that make an experiment's artifacts.

    train    text -> training curves, encoder (and full weights where they are needed)
    extract  encoder, text -> mean state gradients, their intervals, controls
    analyse  gradients, encoder -> spectra (on the synthetic corpus also probes)
    analyse  full weights of the baseline -> vocabulary, what cutting it again costs
    explain  gradients, weights -> readings (on the synthetic corpus)

of a network that reads no words, in the place of all these

    train     trials -> network
    flipflop  network, trials -> flipflop

and a stage for each study of words (`STUDIES`) that the experiment asks for.

Each stage reads artifacts, calls the library and writes artifacts; the backend is
imported inside, so that this module can be listed and documented without it.
"""

import functools
import os
import time

import numpy as np
import xarray as xr

from state_gradients.analysis import summary, uncertainty
from state_gradients.foundation.labels import described
from state_gradients.foundation.loading import load_keras
from state_gradients.paper import lost_words
from state_gradients.paper.flipflop import network
from state_gradients.paper.flipflop import study as flipflop
from state_gradients.paper.grammar import study as grammar
from state_gradients.paper.language import (
    boundaries,
    classes,
    coherence,
    context,
    forgetting,
    half_lives,
    influence,
    layers,
    learning,
    linear,
    positions,
    properties,
    stretches,
    tagged_classes,
    tail,
    types,
)
from state_gradients.paper.language.subject import (
    Subject,
    build_model,
    require_same_words,
)
from state_gradients.project import artifacts, kinds, locks
from state_gradients.text import corpora, synthetic, tasks

AXES = ("state_kind", "group", "delay", "state", "embedding", "embedding_2")
CUT = 200  # the window at whose edges the released code cuts the chain
FEW_UNITS = 64  # a training step of so few takes a quarter longer on two threads
CONTROL_BLOCKS = 10  # of the text's 64: a control compares, it need not read all
OF_NUMBERS = "run_train", "run_flipflop"
CONTROLLED = ("memory", "total", "selectivity", "selectivity_5")


def _alone(run):
    """Make a stage hold its experiment's lock while it runs."""

    @functools.wraps(run)
    def locked(experiment, *, root=None, **options):
        is_of_numbers = experiment.corpus.name in corpora.NUMBERS
        if is_of_numbers and run.__name__ not in OF_NUMBERS:
            raise ValueError(
                "stages: a network that reads no words has the stages train and "
                f"flipflop, received another for {experiment.name}; run one of these."
            )
        with locks.alone(experiment, root=root):
            run(experiment, root=root, **options)

    return locked


def refuse_short_text(experiment, text):
    """Refuse, before hours of training, a text that is too short for the extraction.

    Raises
    ------
    ValueError
        If the split that is averaged over is no longer than the longest delay, or too
        short for intervals.
    """
    wanted = experiment.gradients
    n_tokens = len(text.splits[wanted.split][: wanted.n_tokens])
    if n_tokens <= wanted.max_delay:
        raise ValueError(
            f"gradients.max_delay: it must be below the {n_tokens} tokens of the "
            f"{wanted.split} text, received {wanted.max_delay}; lower it, or set "
            "gradients.split to a longer text, or gradients.n_tokens to more of it."
        )
    n_blocks(wanted.blocks, n_tokens, wanted.max_delay)


@_alone
def run_train(experiment, *, root=None, resume=True, progress=True, keep=None):
    """Train, measure the perplexities and write ``training``, ``encoder``, weights.

    Validation perplexity is taken at batch_size x num_steps as in training, test
    perplexity on one stream, as the paper does. On the flip-flop: ``network``.

    Encoders of the epochs `keep` are kept beside the checkpoint; by default of those
    that the study of learning asks for, if the experiment has it. Of a tagger the
    accuracies are written, too.
    """
    if experiment.corpus.name in corpora.NUMBERS:
        if keep:
            raise ValueError(
                "train: encoders are kept of networks of words, received "
                f"--keep-encoders for {experiment.name}; leave it out."
            )
        _train_on_numbers(experiment, root=root, progress=progress)
        return
    if experiment.model.units <= FEW_UNITS:  # TensorFlow asks when it starts
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
        os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")
    load_keras()
    from state_gradients.models import language_model, training

    started = time.monotonic()
    text = tasks.load(experiment)
    refuse_short_text(experiment, text)
    if keep is None:
        keep = learning.EPOCHS if "learning" in experiment.language.studies else ()
    model, curves = training.train(
        experiment, text=text, root=root, resume=resume, progress=progress, keep=keep
    )
    recipe = experiment.training
    sizes = {"batch_size": recipe.batch_size, "num_steps": recipe.num_steps}
    asked = text.asked.splits if text.asked else dict.fromkeys(text.splits)
    valid, test = (
        training.perplexity(model, text.splits[split], **cut, asked=asked[split])
        for split, cut in (
            ("valid", sizes),
            ("test", {"batch_size": 1, "num_steps": 1}),
        )
    )
    final = {"valid_perplexity_final": valid, "test_perplexity": test}
    if text.asked:
        final |= _accuracies(model, text)
    final |= {"epochs_run": curves.sizes["epoch"], "n_parameters": model.count_params()}
    final = {name: xr.DataArray(value) for name, value in final.items()}
    curves = curves.assign(described(**final))
    seconds = float(curves["seconds"].sum()) or time.monotonic() - started
    named, kept = language_model.weights(model), artifacts.expected(experiment)
    read = curves.attrs  # what was read, though the files may have changed since
    encoder = {k: v for k, v in named.items() if not k.startswith("logits")}
    for kind, data in (
        ("training", curves),
        ("encoder", _weights(encoder, text.vocabulary)),
        ("weights", _weights(named, text.vocabulary)),
    ):
        if kind in kept:
            artifacts.save(
                data, experiment, kind, read=read, wall_time=seconds, root=root
            )


def _accuracies(model, text):
    """Return how often a tagger is right, and who always names the commonest class."""
    from state_gradients.models import evaluation

    asked = text.asked.splits
    commonest = np.bincount(asked["train"]).argmax()
    found = {"guess_accuracy": float(np.mean(asked["valid"] == commonest))}
    for split in ("valid", "test"):
        found[f"{split}_accuracy"] = evaluation.accuracy(
            model, text.splits[split], asked[split]
        )
    return found


def _train_on_numbers(experiment, *, root, progress):
    """Train a network on the flip-flop, always from the start: it takes seconds."""
    started = time.monotonic()
    learnt = network.train(experiment, progress=progress)
    seconds = time.monotonic() - started
    artifacts.save(learnt, experiment, "network", wall_time=seconds, root=root)


@_alone
def run_flipflop(experiment, *, root=None, progress=True):
    """Measure a network that has learnt the flip-flop, and write ``flipflop``.

    Raises
    ------
    ValueError
        If the experiment is on another corpus.
    """
    if experiment.corpus.name not in corpora.NUMBERS:
        raise ValueError(
            "flipflop: the experiment must be on the corpus flip-flop, received "
            f"{experiment.name}, on the corpus {experiment.corpus.name}."
        )
    started = time.monotonic()
    learnt = artifacts.load(experiment, "network", root=root)
    artifacts.save(
        flipflop.study(experiment, learnt),
        experiment,
        "flipflop",
        upstream={"network": learnt},
        wall_time=time.monotonic() - started,
        root=root,
    )


def _weights(named, vocabulary):
    """Return weights as a Dataset; every matrix keeps Keras's axis order."""
    variables = {}
    for name, value in named.items():
        dims = [f"{name}.{axis}" for axis in range(value.ndim)]
        if name == "embedding":
            dims = ["vocabulary", "embedding"]
        attrs = {
            "long_name": f"weights {name}",
            "units": "1",
            "equation": "Keras order",
        }
        variables[name] = (dims, value.astype(np.float32), attrs)
    coords = {
        "vocabulary": list(vocabulary.tokens),
        "count": ("vocabulary", vocabulary.counts),
    }
    return xr.Dataset(variables, coords=coords)


def n_blocks(wanted, n_tokens, max_delay):
    """Return into how many blocks a text is cut: `wanted`, or fewer if it is short.

    Raises
    ------
    ValueError
        If it is too short for two blocks that are longer than the longest delay.
    """
    found = min(wanted or 1, uncertainty.blocks_that_fit(n_tokens, max_delay))
    if wanted and found < 2:
        least = 2 * uncertainty.BLOCK_LENGTH * (max_delay + 1)
        raise ValueError(
            "gradients.blocks: intervals need a text of at least "
            f"{least} tokens for `max_delay` = {max_delay}, received {n_tokens}; lower "
            "gradients.max_delay, or do without intervals by gradients.blocks: null."
        )
    return max(found, 1)


@_alone
def run_extract(experiment, *, root=None, progress=True):
    """Average the state gradients over the text and write ``gradients``.

    Beside them ``intervals`` from blocks of the text, and for an experiment with
    controls the curves of the text cut and of the text shuffled.
    """
    load_keras()
    from state_gradients.engine.means import mean_state_gradients
    from state_gradients.engine.network import read_network

    started, wanted = time.monotonic(), experiment.gradients
    encoder = artifacts.load(experiment, "encoder", root=root)
    model = build_model(experiment, encoder)
    text = corpora.load(experiment.corpus)
    require_same_words(encoder, text, experiment)
    refuse_short_text(experiment, text)
    ids = text.splits[wanted.split][: wanted.n_tokens]
    options = {
        "max_delay": wanted.max_delay,
        "state": wanted.states or _states(read_network(model).cells[0]),
    }
    if wanted.groups == "new-tokens":
        from state_gradients.paper.synthetic import study

        labels = synthetic.labels(experiment.corpus, wanted.split)
        options["positions"] = study.position_groups(labels)

    def save(data, kind):
        seconds = time.monotonic() - started
        artifacts.save(
            data,
            experiment,
            kind,
            upstream={"encoder": encoder},
            read={"corpus": text.fingerprint},
            wall_time=seconds,
            root=root,
        )

    blocks = mean_state_gradients(
        model,
        ids,
        window=wanted.window,
        blocks=n_blocks(wanted.blocks, len(ids), wanted.max_delay),
        second_moment=True,
        progress=progress,
        **options,
    )
    if "group" not in blocks.dims:
        blocks = blocks.expand_dims(group=["all"], axis=1)
    means = summary.pooled(blocks).transpose(*AXES, missing_dims="ignore")
    save(_as_kept(means), "gradients")
    if wanted.blocks:
        save(summary.intervals(blocks, encoder["embedding"]), "intervals")
    if wanted.controls:
        seed, table = experiment.training.seed, encoder["embedding"]
        save(_controls(model, ids, blocks, table, seed=seed, **options), "controls")


def _states(cell):
    """Return the names of a cell's states, without an output that is none."""
    return tuple(name for name in cell.names if name != "output")


def _as_kept(means):
    """Return mean gradients in float32, or as they are if they vanish from it."""
    from state_gradients.engine.means import vanishes

    arrays = means["state_gradient"], means["second_moment"]
    if any(vanishes(a.values, delay=a.dims.index("delay")) for a in arrays):
        return means
    return means.astype(np.float32).assign(n_samples=means["n_samples"])


def _controls(model, ids, blocks, embedding, *, seed, **options):
    """Return the curves of the text's first blocks as they are, cut, and shuffled."""
    from state_gradients.engine.means import mean_state_gradients

    first = blocks.isel(block=slice(CONTROL_BLOCKS))
    share = first.sizes["block"] / blocks.sizes["block"]
    ids = ids[: int(np.ceil(len(ids) * share))]
    other = uncertainty.shuffled(ids, seed=seed)
    means = {
        "text": summary.pooled(first).isel(group=0),
        f"window {CUT}": mean_state_gradients(model, ids, window=CUT, **options),
        "shuffled text": mean_state_gradients(model, other, **options),
    }
    found = [
        summary.spectra_of(mean["state_gradient"], embedding)[[*CONTROLLED]]
        for mean in means.values()
    ]
    names = xr.Variable("control", [*means])
    return xr.concat(found, names).expand_dims(group=["all"], axis=2)


@_alone
def run_analyse(experiment, *, root=None, progress=True):
    """Decompose the gradients, whitened and not, and write ``spectra`` (and probes)."""
    started = time.monotonic()
    encoder, gradients = (
        artifacts.load(experiment, kind, root=root) for kind in ("encoder", "gradients")
    )
    means = [gradients[name] for name in ("state_gradient", "second_moment")]
    table = encoder["embedding"]
    artifacts.save(
        summary.spectra_of(means[0], table, means[1]).assign(summary.spread_of(table)),
        experiment,
        "spectra",
        upstream={"encoder": encoder, "gradients": gradients},
        wall_time=time.monotonic() - started,
        root=root,
    )
    if "vocabulary" in artifacts.expected(experiment):
        analyse_vocabulary(experiment, root=root)
    if experiment.corpus.name == "synthetic":
        from state_gradients.paper.synthetic import study

        weights = artifacts.load(experiment, "weights", root=root)
        model = build_model(experiment, weights)
        artifacts.save(
            study.analyse(experiment, model, gradients),
            experiment,
            "probes",
            upstream={"weights": weights, "gradients": gradients},
            wall_time=time.monotonic() - started,
            root=root,
        )


def analyse_vocabulary(experiment, *, root=None):
    """Measure what cutting the vocabulary again costs, and write ``vocabulary``."""
    started = time.monotonic()
    weights = artifacts.load(experiment, "weights", root=root)
    artifacts.save(
        lost_words.analyse(experiment, build_model(experiment, weights)),
        experiment,
        "vocabulary",
        upstream={"weights": weights},
        wall_time=time.monotonic() - started,
        root=root,
    )


@_alone
def run_explain(experiment, *, root=None, progress=True):
    """Find out why the states of the synthetic corpus read as they do: ``readings``.

    Raises
    ------
    ValueError
        If the experiment is on another corpus.
    """
    from state_gradients.paper.synthetic import readings

    if experiment.corpus.name != "synthetic":
        raise ValueError(
            "explain: the experiment must be on the synthetic corpus, of which it is "
            f"known what must be remembered; received {experiment.name}, on the corpus "
            f"{experiment.corpus.name}."
        )
    started = time.monotonic()
    weights, gradients = (
        artifacts.load(experiment, kind, root=root) for kind in ("weights", "gradients")
    )
    artifacts.save(
        readings.explain(experiment, build_model(experiment, weights), gradients),
        experiment,
        "readings",
        upstream={"weights": weights, "gradients": gradients},
        wall_time=time.monotonic() - started,
        root=root,
    )


def _study(make):
    """Return the stage that makes a study of words, from the study's function."""

    @_alone
    def run(experiment, *, root=None, progress=True):
        started = time.monotonic()
        subject = Subject(experiment=experiment, root=root, progress=progress)
        for kind, data in make(subject).items():
            artifacts.save(
                data,
                experiment,
                kind,
                upstream={up: subject.load(up) for up in kinds.KINDS[kind].upstream},
                read={"corpus": subject.text.fingerprint},
                wall_time=time.monotonic() - started,
                root=root,
            )

    return run


STUDIES = {  # name of a study: a function of a Subject that returns {kind: Dataset}
    "types": types.study,
    "classes": classes.study,
    "properties": properties.study,
    "linear": linear.study,
    "positions": positions.study,
    "coherence": coherence.study,
    "grammar": grammar.study,
    "tail": tail.study,
    "boundaries": boundaries.study,
    "context": context.study,
    "forgetting": forgetting.study,
    "learning": learning.study,
    "stretches": stretches.study,
    "influence": influence.study,
    "layers": layers.study,
    "half-lives": half_lives.study,
    "tagged-classes": tagged_classes.study,
}
# All take `progress`; those that end in seconds have none to show
RUN = {"train": run_train, "extract": run_extract, "analyse": run_analyse}
RUN |= {"explain": run_explain, "flipflop": run_flipflop}
RUN |= {name: _study(make) for name, make in STUDIES.items()}
