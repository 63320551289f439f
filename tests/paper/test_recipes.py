"""Golden results per stage: whoever moves them raises the stage's recipe.

The stages run on small inputs, and ``tests/paper/golden.json`` holds of everything that
they make: names, types, dims and coordinates of the variables as a hash, whole numbers
and words as a hash, and of every other variable x its norm and four projections

    p_k = <g_k, x>,    g_k fixed Gaussian vectors of independent N(0, 1)

which see signs, places and sizes. A change d of x moves each p_k by N(0, |d|^2): it is
judged beside the norm |x|, for a projection itself may be near 0. Inputs are chosen so
that no result hangs on round-off; `test_the_spectra_are_well_separated` says how.

When a stage is meant to compute something else, raise its recipe in
``state_gradients.project.kinds.STAGES`` and write the file again:

    python tests/paper/test_recipes.py
"""

import hashlib
import json
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from state_gradients.engine import means
from state_gradients.foundation import backends, settings
from state_gradients.models import checkpoints, language_model
from state_gradients.paper import stages
from state_gradients.paper.flipflop import fixed_points, network
from state_gradients.paper.language import (
    boundaries,
    classes,
    context,
    forgetting,
    linear,
    swaps,
    tagged_classes,
    tags,
)
from state_gradients.paper.synthetic import readings, study
from state_gradients.project import artifacts, kinds
from state_gradients.text import corpora, flipflop, synthetic
from state_gradients.text.grammar import truth

GOLDEN = Path(__file__).with_name("golden.json")
N_PROJECTIONS = 4  # a change of ten tolerances hides from all with probability 4e-5
N_TYPES, N_WORDS = 20, 28  # in the vocabulary, in the text: the others are <unk>
UNITS, SIZE = 7, 4
PARAMS = f"""
baseline:
  corpus: {{name: mine, vocabulary_size: {N_TYPES}, train: train.txt,
           valid: valid.txt, test: test.txt}}
  model: {{units: {UNITS}, embedding_size: {SIZE}, dropout: 0, initial_range: 0.8}}
  training: {{batch_size: 2, num_steps: 10, max_epochs: 2, decay_after: 1,
             learning_rate: 0.3, clip_norm: 2.0}}
  gradients: {{max_delay: 4, blocks: null}}
experiments:
  sgd: {{model: {{dropout: 0.5, embedding_dropout: 0.3}}}}
  adagrad: {{model: {{layers: 2, dropout: 0.5}}, training: {{optimizer: adagrad}}}}
  frozen: {{model: {{cell: gru, embedding: frozen, embedding_file: vectors.txt,
                   embedding_dropout: 0.3}}}}
  one-hot: {{model: {{cell: rnn, embedding: one-hot, embedding_size: {N_TYPES}}},
            training: {{clip_norm: 100.0}}}}
  lstm: {{gradients: {{blocks: 64, controls: true}}}}
  studied: {{language: {{studies: [types]}}}}
  gru-window: {{model: {{cell: gru}}, gradients: {{window: 8}}}}
  rnn-layers: {{model: {{cell: rnn, layers: 2}}}}
  positions: {{language: {{studies: [positions, boundaries]}}}}
  coherence: {{gradients: {{max_delay: 2, controls: true}},
              language: {{studies: [coherence]}}}}
  tail: {{gradients: {{max_delay: 2}}, language: {{studies: [tail]}}}}
  context: {{language: {{studies: [context]}}}}
  forgetting: {{language: {{studies: [forgetting]}}}}
  stretches: {{gradients: {{max_delay: 2, blocks: 64}},
              language: {{studies: [stretches]}}}}
  influence: {{gradients: {{max_delay: 2}}, language: {{studies: [influence]}}}}
  half-lives: {{model: {{cell: slstm}}, language: {{studies: [half-lives]}}}}
  new-tokens:
    corpus: {{name: synthetic, vocabulary_size: null, train: null, valid: null,
             test: null}}
    model: {{units: 16, embedding: one-hot, embedding_size: 11}}
    training: {{batch_size: 4, num_steps: 20}}
    gradients: {{groups: new-tokens}}
  words: {{language: {{studies: [classes, properties]}}}}
  grammar: &grammar
    corpus: {{name: grammar, vocabulary_size: null, train: null, valid: null,
             test: null}}
    language: {{studies: [grammar]}}
  learning: {{<<: *grammar, language: {{studies: [learning]}}}}
  layers: {{<<: *grammar, model: {{layers: 2}}, gradients: {{max_delay: 2}},
           language: {{studies: [layers]}}}}
  flip-flop:
    corpus: {{name: flip-flop, vocabulary_size: null, train: null, valid: null,
             test: null}}
    model: {{cell: gru}}
    training: {{optimizer: adam, batch_size: 8, num_steps: 20, learning_rate: 0.01}}
    gradients: {{max_delay: 83}}
"""
TOLERANCES = {  # beside the norm; another processor or backend differs in last digits
    "training": 1e-4,  # six steps repeat the round-off of float32, 6e-8 a product
    "encoder": 1e-4,
    "checkpoint": 1e-4,
    "gradients": 1e-5,  # float32 chains, at most 64 summed before float64: 4e-6
    "means": 1e-5,
    "controls": 1e-5,
    "intervals": 1e-4,  # the spread of these means, about a tenth of them
    "spectra": 1e-6,  # float64, and vectors kept in float32: 6e-8
    "readings": 1e-5,  # float64
    "class_gradients": 1e-5,
    "classes": 1e-4,  # as the intervals, of which it holds some
    "types": 1e-4,  # float32 chains, and fits, whose errors are several times theirs
    "positions": 1e-4,  # float32 norms and losses, whose ranks may change places
    "coherence": 1e-4,  # float32 chains; of the intervals, widths
    "grammar": 1e-4,  # float32 chains; float64 swaps of float32 weights
    "network": 1e-4,  # as the training
    "flipflop": 1e-5,  # float32 chains, float64 points in float32
    "learning": 1e-4,  # float32 chains of trained encoders
    "tail": 1e-4,  # as the coherence; no more than the tolerance is cut
    "boundaries": 1e-5,  # means of float32 norms
    "context": 1e-3,  # differences of float32 losses, a thousandth of them
    "forgetting": 1e-3,  # as the context
    "stretches": 1e-4,  # float32 chains; of what stretches do, a tenth of the curves
    "influence": 1e-4,  # as the coherence
    "layers": 1e-4,  # as the learning; of the intervals, widths
    "half_lives": 1e-6,  # float64 of float32 weights, kept in float32: 6e-8
    "tagged_classes": 1e-4,  # as the classes
    "probes": 1e-5,  # float64, but for perplexities from float32 losses
    "linear": 1e-9,  # counts, and their intervals
    "properties": 1e-4,  # differences of float32 states: 1e-7 over steps of 1/16
}


def write_project(folder):
    """A text whose length makes three training windows, and 14 blocks to average."""
    rng = np.random.default_rng(7)
    (folder / "params.yaml").write_text(PARAMS)
    for split, n_lines in (("train", 6), ("valid", 33), ("test", 5)):
        lines = rng.integers(N_WORDS, size=(n_lines, 10))
        text = "\n".join(" ".join(f"w{k}" for k in line) for line in lines)
        (folder / f"{split}.txt").write_text(text + "\n")
    words = ["</s>", "<unk>", *(f"w{k}" for k in range(N_WORDS))]
    rows = [
        " ".join([word, *(f"{x:.6f}" for x in rng.normal(size=SIZE) / 2)])
        for word in words
    ]
    header = f"{len(words)} {SIZE}"
    (folder / "vectors.txt").write_text("\n".join([header, *rows]) + "\n")


def trained(name):
    """Everything that a training leaves, but for the time it took."""
    experiment = settings.load_experiment(name)
    stages.run_train(experiment, progress=False)
    path = checkpoints.checkpoint_path(experiment)  # all weights and sums of squares
    values, squares, history = checkpoints.load_checkpoint(path)
    parts = {f"value {k}": value for k, value in enumerate(values)}
    parts |= {f"squares {k}": value for k, value in enumerate(squares)}
    parts |= {k: column for k, column in history.items() if k != "seconds"}
    whole = {k: xr.DataArray(np.asarray(value)) for k, value in parts.items()}
    for key, array in whole.items():
        axes = {axis: f"{key}.{axis}" for axis in array.dims}
        whole[key] = array.rename(axes)
    return {
        "training": artifacts.load(name, "training").drop_vars("seconds"),
        "encoder": artifacts.load(name, "encoder"),
        "checkpoint": xr.Dataset(whole),
    }


def write_encoder(experiment):
    """Random weights, the same on every machine, where the training would be."""
    tokens = corpora.load(experiment.corpus).vocabulary
    model = language_model.build_language_model(experiment.model, len(tokens), seed=3)
    named = language_model.weights(model)
    kinds_of = {"encoder": {k: v for k, v in named.items() if "logits" not in k}}
    kinds_of |= {"weights": named}
    for kind in kinds_of.keys() & artifacts.expected(experiment).keys():
        data = stages._weights(kinds_of[kind], tokens)
        artifacts.save(data, experiment, kind)
    return model


def extracted(name):
    """Mean gradients, their intervals and the controls, as the stage writes them."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    stages.run_extract(experiment)
    wanted = ("gradients", "intervals", "controls")
    made = [kind for kind in wanted if kind in artifacts.expected(experiment)]
    found = {kind: artifacts.load(name, kind) for kind in made}
    if "intervals" in found:  # widths: beside the estimate their changes would vanish
        ends = found["intervals"]
        widths = {end: ends[end] - ends["estimate"] for end in ("lower", "upper")}
        found["intervals"] = ends.assign(widths)
    return found


def upper_layers(_):
    """Means of groups that overlap, of two streams, through two layers."""
    config = settings.Model(units=UNITS, embedding_size=SIZE, layers=2, dropout=0.0)
    model = language_model.build_language_model(config, N_TYPES, seed=4)
    for variable in model.trainable_variables:
        variable.assign(variable.value * 12)  # uniform(-0.6, 0.6): gates that curve
    rng = np.random.default_rng(8)
    options = {
        "max_delay": 3,
        "layer": 2,
        "groups": rng.random((3, N_TYPES)) < 0.4,
        "second_moment": True,
    }
    ids, both = rng.integers(N_TYPES, size=(2, 60)), ("hidden", "cell")
    words = means.mean_state_gradients(model, ids, state=both, **options)
    below = means.mean_state_gradients(model, ids, wrt=1, blocks=2, **options)
    return {
        "means": xr.merge(
            [
                words.rename({k: f"{k} by word" for k in words.data_vars}),
                below.rename({k: f"{k} by layer 1" for k in below.data_vars}).rename(
                    embedding="below", embedding_2="below_2", group="types"
                ),
            ]
        )
    }


def orthogonal(rng, *shape):
    q, r = np.linalg.qr(rng.normal(size=shape))
    return q * np.sign(np.diagonal(r, axis1=-2, axis2=-1))[..., None, :]


def imposed_gradients(size):
    """Gradients of singular values 8, 4, 2, .. times what falls with the delay."""
    rng, head = np.random.default_rng(0), (2, 2, 3)  # state_kind, group, delay
    n = min(UNITS, size)
    u, v = (orthogonal(rng, *head, k, k)[..., :n] for k in (UNITS, size))
    fall = np.array([1.0, 0.7]).reshape(2, 1, 1) * [[1.0], [0.8]] * [1, 0.6, 0.5]
    g = fall[..., None, None] * (u * 8 / 2.0 ** np.arange(n)) @ v.swapaxes(-1, -2)
    noise = rng.normal(size=(*head, size, size))  # what averaging has cancelled
    moment = g.swapaxes(-1, -2) @ g + noise @ noise.swapaxes(-1, -2)
    about = {"long_name": "imposed", "units": "1", "equation": "U S V^T"}
    axes = ("state_kind", "group", "delay", "state", "embedding", "embedding_2")
    return xr.Dataset(
        {
            "state_gradient": (axes[:-1], g.astype(np.float32), about),
            "second_moment": (axes[:3] + axes[4:], moment.astype(np.float32), about),
            "n_samples": (axes[1:3], np.full(head[1:], 9), about),
        },
        coords={"state_kind": ["hidden", "cell"], "delay": [0, 1, 2]},
    )


def decomposed(name):
    """Spectra, whitened where the embedding can be, coherence and spread."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    gradients = imposed_gradients(experiment.model.embedding_size)
    artifacts.save(gradients, experiment, "gradients")
    stages.run_analyse(experiment)
    return {"spectra": artifacts.load(name, "spectra")}


def imitated_study(name):
    """A random network, small texts, and its mean gradients on one of them."""
    experiment = settings.load_experiment(name)
    model = write_encoder(experiment)
    sizes = {"valid": 12_000, "test": 1_500}  # 99 lines: more than Fig. 2 shows
    texts = {
        split: synthetic.generate(size, seed=[9, k])
        for k, (split, size) in enumerate(sizes.items())
    }
    gradient = means.mean_state_gradients(
        model,
        texts["valid"].ids[:600],
        max_delay=3,
        state=("cell",),
        positions=study.position_groups(texts["valid"])[:, :600],
    )
    return experiment, model, gradient, texts


def probed(name):
    """What Sec. 4.2 says of a random network on a small text."""
    *of, texts = imitated_study(name)
    found = study.analyse(*of, texts=texts, n_train=9_000)
    # LAPACK chooses the sign of a direction: let its largest class mean be positive
    plane = found["plane_means"]
    largest = plane.isel(label=abs(plane).argmax("label"))
    for drawn in ("plane_means", "plane_states"):
        found[drawn] = (found[drawn] * np.sign(largest)).transpose(*found[drawn].dims)
    return {"probes": found}


def explained(name):
    """Why the states of a random network on a small text read as they do."""
    *of, texts = imitated_study(name)
    return {"readings": readings.explain(*of, texts=texts, n_train=9_000)}


def told_apart(_):
    """Table 3 of three clouds of types, of which one has two tags."""
    rng = np.random.default_rng(12)
    seen = np.repeat(np.eye(3, dtype=int), 60, axis=1)
    seen[2, :30] = 1
    coords = {"tag": ["NN", "NNS", "VB"], "vocabulary": [f"w{k}" for k in range(180)]}
    tags = xr.Dataset({"n_tagged": (("tag", "vocabulary"), seen)}, coords=coords)
    centres = np.array([[0.0, 0, 0], [2.5, 0, 1], [0, 2.5, -1]])
    table = seen.T @ centres + rng.normal(size=(180, 3))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(linear, "STRENGTHS", (0.4, 1.0))
        rows = linear.tasks(tags)
        of_commonest = linear.tasks(linear.commonest(tags))
        frequency = rng.normal(size=180)
        made = linear.measure(table, frequency, rows, of_commonest, seed=1)
    return {"linear": made}


def of_classes(name):
    """Classes of a text whose tags are dealt by number, and the properties' halves."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)

    def deal(tokens):
        """Tag w0 NN, w1 NNS, ..; every other word can be the next tag, too."""
        names = [tag for held in tags.CLASSES.values() for tag in held]
        table = np.zeros((len(names), len(tokens)), int)
        for k, token in enumerate(tokens):
            if token.startswith("w"):
                table[k % len(names), k] = 1
                table[(k + 1) % len(names), k] = k % 2
        by_brown = np.arange(len(tokens)) % 5 == 0
        return xr.Dataset(
            {
                "n_tagged": (("tag", "vocabulary"), table),
                "by_brown": ("vocabulary", by_brown),
            },
            coords={"tag": names, "vocabulary": list(tokens)},
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tags, "read_tags", deal)
        patch.setattr(classes, "FEWEST", 20)
        stages.RUN["classes"](experiment)
    found = artifacts.load(name, "classes")
    widths = {end: found[end] - found["estimate"] for end in ("lower", "upper")}
    gradients = artifacts.load(name, "class_gradients")
    return {"class_gradients": gradients, "classes": found.assign(widths)}


def of_types(name):
    """Curves of word types and of a sample, some of them tagged."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    tagged = [("w1", "NN"), ("w2", "DT"), ("w2", "NN"), ("w2", "DT"), ("x", "JJ")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tags, "running_text", lambda corpus: tagged)
        stages.RUN["types"](experiment)
    return {"types": artifacts.load(name, "types")}


def of_properties(name):
    """What is said of tags drawn at random, and of nouns swapped for others."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    names = ["all words", *tags.CLASSES]
    names += [f"{each}: either" for each in tags.PROPERTIES]
    four = imposed_gradients(SIZE)["state_gradient"].values.reshape(4, 3, UNITS, SIZE)
    about = {"long_name": "imposed", "units": "1", "equation": "U S V^T"}
    axes = ("group", "delay", "state", "embedding")
    gradients = xr.Dataset(
        {
            "state_gradient": (axes, four[np.arange(len(names)) % 4], about),
            "n_samples": (axes[:2], np.full((len(names), 3), 9), about),
        },
        coords={"group": names, "delay": [0, 1, 2]},
    )
    artifacts.save(gradients, experiment, "class_gradients")
    kinds_of_tag = sorted(
        {tag for _, a, b in tags.PROPERTIES.values() for tag in a + b}
    )
    # halves that differ: a tag is where one component of the embedding is low, or high
    ranks = artifacts.load(name, "encoder")["embedding"].values.argsort(0).argsort(0).T
    ranks = np.tile(ranks, (len(kinds_of_tag), 1))[: len(kinds_of_tag)]
    seen = ranks < N_TYPES // 3
    seen[1::2] = ranks[1::2] >= N_TYPES // 2
    running = [("better", "JJR"), ("than", "IN"), ("w1", "NN"), ("best", "JJS")]

    def read_tags(tokens):
        coords = {"tag": kinds_of_tag, "vocabulary": list(tokens)}
        return xr.Dataset(
            {"n_tagged": (("tag", "vocabulary"), seen.astype(int))}, coords
        )

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tags, "read_tags", read_tags)
        patch.setattr(tags, "running_text", lambda corpus: running)
        pairs = np.arange(2, N_TYPES).reshape(-1, 2)
        patch.setattr(swaps, "number_pairs", lambda seen: pairs)
        stages.RUN["properties"](experiment)
    return {"properties": artifacts.load(name, "properties")}


def replaced(name):
    """Surprisals beside memories, and words replaced within two made-up classes."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tags, "read_tags", two_classes)
        stages.RUN["positions"](experiment)
    return {"positions": artifacts.load(name, "positions")}


def split(name):
    """What the best steps of imposed mean gradients do over a text, and shuffled."""
    decomposed(name)
    stages.RUN["coherence"](settings.load_experiment(name))
    found = artifacts.load(name, "coherence")
    widths = {end: found[end] - found["estimate"] for end in ("lower", "upper")}
    return {"coherence": found.assign(widths)}


def held_against_the_truth(name):
    """What a random network says of the generated language."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    stages.RUN["grammar"](experiment)
    found = artifacts.load(name, "grammar")
    ends = ("held", "left", "seen", "seen_in_odds", "excess")  # and their widths
    widths = {each: found[each] - found[each].sel(end="estimate") for each in ends}
    widths = {f"{each} about its estimate": x for each, x in widths.items()}
    return {"grammar": found.assign(widths)}


def far_back(name):
    """Curves with intervals, by inputs that share a basis; of what is cut, no digits.

    That is round-off here, where hardly anything is cut.
    """
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    stages.RUN["tail"](experiment)
    found = artifacts.load(name, "tail")
    found = found.drop_vars(["tolerance_error", "largest_residual"])
    widths = {end: found[end] - found["estimate"] for end in ("lower", "upper")}
    return {"tail": found.assign(widths)}


def changed(name):
    """What it costs to change the words before, up to 20 of them."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(context, "CONTEXTS", (1, 3, 20))
        patch.setattr(context, "LONGEST", 20)
        stages.RUN["context"](experiment)
    return {"context": artifacts.load(name, "context")}


def said_again(name):
    """What a network that knows its words is helped by having read them before.

    The reach hangs on which of the redrawn gains lie above the limit, and some of these
    gains are 0 but for round-off.
    """
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forgetting, "BLOCKS", 8)
        patch.setattr(forgetting, "AT_ONCE", 50)
        stages.RUN["forgetting"](experiment)
    found = artifacts.load(name, "forgetting")
    return {"forgetting": found.drop_vars(["reach", "reach_lower", "reach_upper"])}


def across(name):
    """Memories before and behind the ends of lines."""
    replaced(name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(boundaries, "LEAST", 5)
        stages.RUN["boundaries"](settings.load_experiment(name))
    return {"boundaries": artifacts.load(name, "boundaries")}


def without_words(name):
    """A network that learns pulses for two epochs, of few trials."""
    experiment = settings.load_experiment(name)
    stages.run_train(experiment, progress=False)
    return {"network": artifacts.load(name, "network")}


def held_of_pulses(name):
    """What a network holds of pulses whose first two units are bits: 9 fixed points.

    With r = 1/2 these have h = tanh(3 h), the others 0. How many starts end at which
    point hangs on round-off, and is not kept.
    """
    experiment = settings.load_experiment(name)
    model = network.build_network(experiment.model, seed=3)
    cell = model.get_layer("recurrent_1").cell
    of_candidate = np.zeros((UNITS, 3 * UNITS))
    of_candidate[[0, 1], [2 * UNITS, 2 * UNITS + 1]] = 6
    cell.recurrent_kernel.assign(of_candidate)
    trials = flipflop.test_trials(experiment.corpus)
    learnt = network._as_dataset(model, [1.0], trials)
    artifacts.save(learnt, experiment, "network")
    stages.RUN["flipflop"](experiment)
    found = artifacts.load(name, "flipflop")
    return {"flipflop": found.drop_vars(["q", "n_ended", "n_slow", "n_beyond"])}


def learnt(name):
    """Curves of the encoders that a training of two epochs has kept."""
    experiment = settings.load_experiment(name)
    stages.run_train(experiment, progress=False)
    stages.RUN["learning"](experiment)
    return {"learning": artifacts.load(name, "learning")}


def left_out(name):
    """Curves without each stretch, and how far that is from the whole text's."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    stages.RUN["stretches"](experiment)
    found = artifacts.load(name, "stretches")
    found["effect"] = found["left_out"] - found["observed"]
    return {"stretches": found}


def in_nats(name):
    """Influence on a random softmax, and by how much its intervals are wide."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    stages.RUN["influence"](experiment)
    found = artifacts.load(name, "influence")
    widths = {end: found[end] - found["estimate"] for end in ("lower", "upper")}
    return {"influence": found.assign(widths)}


def of_layers(name):
    """What each of two layers remembers, and the widths of the intervals."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    stages.RUN["layers"](experiment)
    found = artifacts.load(name, "layers")
    widths = {end: found[end] - found["estimate"] for end in ("lower", "upper")}
    return {"layers": found.assign(widths)}


def held_by_units(name):
    """Half-lives of the units of an sLSTM, whose factor no gate is alone."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)
    stages.RUN["half-lives"](experiment)
    return {"half_lives": artifacts.load(name, "half_lives")}


def of_tagged_classes(name):
    """Nouns, verbs, signs, dealt by word and place, and the widths of the intervals."""
    experiment = settings.load_experiment(name)
    write_encoder(experiment)

    def deal(corpus):
        ids = corpora.load(corpus).splits["valid"]
        names = ("NOUN", "VERB", "PUNCT")
        places = [tagged_classes.parts_of_speech.CLASSES.index(n) for n in names]
        return {"valid": np.array(places)[(ids + np.arange(len(ids)) % 2) % 3]}

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "WITH_TAGS", ("mine",))
        patch.setattr(tagged_classes.parts_of_speech, "read_classes", deal)
        patch.setattr(tagged_classes, "FEWEST", 30)
        patch.setattr(tagged_classes, "EDGES", (40_000, 80_000))
        stages.RUN["tagged-classes"](experiment)
    found = artifacts.load(name, "tagged_classes")
    widths = {end: found[end] - found["estimate"] for end in ("lower", "upper")}
    return {"tagged_classes": found.assign(widths)}


def two_classes(tokens):
    """Tag every other type as a noun, the rest as verbs."""
    is_noun = np.arange(len(tokens)) % 2 == 0
    return xr.Dataset(
        {
            "n_tagged": (
                ("tag", "vocabulary"),
                np.array([is_noun, ~is_noun]).astype(int),
            )
        },
        coords={"tag": ["NN", "VB"]},
    )


CASES = {
    ("train", "sgd"): trained,
    ("train", "adagrad"): trained,
    ("train", "frozen"): trained,
    ("train", "one-hot"): trained,
    ("extract", "lstm"): extracted,
    ("extract", "gru-window"): extracted,
    ("extract", "rnn-layers"): extracted,
    ("extract", "new-tokens"): extracted,
    ("extract", "upper layers"): upper_layers,
    ("analyse", "lstm"): decomposed,
    ("analyse", "one-hot"): decomposed,
    ("analyse", "new-tokens"): probed,
    ("explain", "new-tokens"): explained,
    ("linear", "clouds"): told_apart,
    ("classes", "lstm"): of_classes,
    ("types", "studied"): of_types,
    ("properties", "words"): of_properties,
    ("positions", "positions"): replaced,
    ("coherence", "coherence"): split,
    ("grammar", "grammar"): held_against_the_truth,
    ("tail", "tail"): far_back,
    ("boundaries", "positions"): across,
    ("context", "context"): changed,
    ("forgetting", "forgetting"): said_again,
    ("train", "flip-flop"): without_words,
    ("flipflop", "flip-flop"): held_of_pulses,
    ("learning", "learning"): learnt,
    ("stretches", "stretches"): left_out,
    ("influence", "influence"): in_nats,
    ("layers", "layers"): of_layers,
    ("half-lives", "half-lives"): held_by_units,
    ("tagged-classes", "studied"): of_tagged_classes,
}


def compute(stage, name, patch):
    """Run a stage in a project of its own; return {variable: fingerprint}."""
    with tempfile.TemporaryDirectory() as folder:
        patch.setenv("STATE_GRADIENTS_ROOT", folder)
        patch.setattr(synthetic, "SIZES", {"train": 200, "valid": 700, "test": 200})
        of_grammar = {"train": 2_000, "valid": 9_000, "test": 200}
        patch.setattr(truth, "SIZES", of_grammar)
        patch.setattr(flipflop, "N_TRIALS", {"train": 24, "test": 4})
        patch.setattr(fixed_points, "N_STARTS", 100)
        write_project(Path(folder))
        made = CASES[stage, name](name)
    return {
        f"{kind}: {variable}": fingerprint(variable, data[variable])
        for kind, data in made.items()
        for variable in data.variables
    }


def _hash(*parts):
    return hashlib.sha256("\n".join(map(str, parts)).encode()).hexdigest()[:16]


def fingerprint(name, array):
    """What golden.json holds of one variable."""
    values, coords = array.values, sorted(map(str, array.coords))
    is_float = values.dtype.kind == "f"
    missing = np.isnan(values) if is_float else np.zeros(0)
    kind = "words" if values.dtype.kind in "OUST" else values.dtype
    shape = dict(zip(array.dims, array.shape, strict=True))
    form = f"{kind} {shape} {_hash(coords, missing.tolist())}"
    if not is_float:
        return {"form": form, "values": _hash(values.tolist())}
    values = np.where(missing, 0, values).astype(np.float64).ravel()
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    numbers = [np.linalg.norm(values)]
    numbers += list(rng.normal(size=(N_PROJECTIONS, values.size)) @ values)
    # nine digits: a thousand times finer than the finest tolerance
    return {"form": form, "norm and projections": [float(f"{x:.9g}") for x in numbers]}


def moved(found, golden):
    """Return what differs between two dicts of fingerprints, a line each."""
    lines = [f"{name}: no longer made" for name in golden.keys() - found.keys()]
    lines += [f"{name}: new" for name in found.keys() - golden.keys()]
    for name in sorted(found.keys() & golden.keys()):
        now, then = found[name], golden[name]
        for exact in ("form", "values"):
            if now.get(exact) != then.get(exact):
                lines.append(f"{name}: {then.get(exact)} -> {now.get(exact)}")
        if now["form"] != then["form"] or "values" in then:
            continue
        now, then = now["norm and projections"], then["norm and projections"]
        by = np.abs(np.subtract(now, then)).max() / (then[0] or 1)
        if not by <= TOLERANCES[name.split(":")[0]]:
            lines.append(f"{name}: by {by:.1e} of its norm")
    return lines


@pytest.mark.parametrize(("stage", "name"), list(CASES))
def test_results_have_not_moved_without_a_new_recipe(stage, name, monkeypatch):
    if stage == "flipflop" and not backends.supports("float64"):
        pytest.skip("gradients that float32 cannot hold: set JAX_ENABLE_X64=1")
    golden = json.loads(GOLDEN.read_text())[stage]
    assert golden["recipe"] == kinds.STAGES[stage].recipe, (
        "the recipe was raised: write golden.json again (see the module's docstring)"
    )
    lines = moved(compute(stage, name, monkeypatch), golden["results"][name])
    assert not lines, (
        f"results of {stage} moved: raise its recipe, or undo the change\n"
        + "\n".join(lines)
    )


def test_golden_holds_every_case_of_every_stage():
    golden = json.loads(GOLDEN.read_text())
    held = {(stage, name) for stage in golden for name in golden[stage]["results"]}
    assert held == CASES.keys()
    assert golden.keys() == stages.RUN.keys()


def test_the_spectra_are_well_separated(monkeypatch, tmp_path):
    """Vectors turn by round-off / gap, and change sign where two entries are alike."""
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    write_project(tmp_path)
    for name in ("lstm", "one-hot"):
        spectra = decomposed(name)["spectra"]
        ratios = spectra["s"].values[..., 1:] / spectra["s"].values[..., :-1]
        assert ratios.max() < 0.95
        entries = np.sort(np.abs(spectra["vt"].values))
        assert (entries[..., -2] / entries[..., -1]).max() < 0.9999


def test_a_change_of_any_sign_place_or_size_is_seen(rng):
    array = xr.DataArray(rng.normal(size=(3, 4)), dims=("delay", "state"))
    golden = {"gradients: g": fingerprint("g", array)}
    other = array.copy()
    other[2, 3] *= -1
    swapped = array.copy(data=array.values[::-1])
    relabelled = array.assign_coords(delay=[0, 1, 3])
    for changed in (-array, other, swapped, array * 1.001, array.T, relabelled):
        assert moved({"gradients: g": fingerprint("g", changed)}, golden)
    same = array * (1 + 1e-6)
    assert not moved({"gradients: g": fingerprint("g", same)}, golden)
    assert moved({}, golden) == ["gradients: g: no longer made"]
    assert moved(golden | {"gradients: h": {}}, golden) == ["gradients: h: new"]


if __name__ == "__main__":
    results = {
        stage: {"recipe": about.recipe, "results": {}}
        for stage, about in kinds.STAGES.items()
        if stage in stages.RUN
    }
    for stage, name in CASES:
        with pytest.MonkeyPatch.context() as patch:
            results[stage]["results"][name] = compute(stage, name, patch)
    GOLDEN.write_text(json.dumps(results, indent=1) + "\n")
