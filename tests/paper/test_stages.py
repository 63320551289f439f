"""From a reader's own text to fresh artifacts, and what becomes stale when."""

import functools
import json

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.analysis import spectra, summary, uncertainty, whitening
from state_gradients.engine import means as engine
from state_gradients.foundation import settings
from state_gradients.paper import reproduction, stages
from state_gradients.paper.language import subject
from state_gradients.paper.synthetic import readings, study
from state_gradients.project import artifacts
from state_gradients.text import corpora, synthetic

PARAMS = """
baseline:
  corpus: {name: mine, train: train.txt, valid: valid.txt, test: test.txt,
           vocabulary_size: 20}
  model: {units: 6, embedding_size: 3}
  training: {batch_size: 2, num_steps: 8, max_epochs: 2}
  gradients: {max_delay: 4}
experiments:
  mine: {}
  mine-untrained: {training: {max_epochs: 0}}
  mine-window: {gradients: {window: 8, blocks: null}}
  mine-controls: {gradients: {controls: true}}
  mine-part: {gradients: {n_tokens: 60, blocks: 2}}
  mine-short: {gradients: {max_delay: 50}}
  synthetic-small:
    corpus: {name: synthetic, train: null, valid: null, test: null,
             vocabulary_size: null}
    model: {units: 8, embedding: one-hot, embedding_size: 11, dropout: 0,
            initial_range: 1}
    training: {batch_size: 4, num_steps: 20, max_epochs: 1, learning_rate: 0.1}
    gradients: {groups: new-tokens, max_delay: 3, blocks: null}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a small text of a reader's own."""
    rng = np.random.default_rng(0)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for split in ("train", "valid", "test"):
        lines = [
            " ".join(f"w{k}" for k in rng.zipf(1.6, size=9) % 30) for _ in range(12)
        ]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(cli.app, list(arguments))


def states(name):
    table = artifacts.status(names=[name])
    return dict(zip(table["kind"], table["state"], strict=True))


def test_a_part_of_the_text_is_averaged_over_and_makes_another_artifact(project):
    assert run("reproduce", "mine-part").exit_code == 0
    made = artifacts.load("mine-part", "gradients")
    assert made["n_samples"].sel(delay=0).item() == 60
    assert json.loads(made.attrs["config"])["gradients"]["n_tokens"] == 60
    text = (project / "params.yaml").read_text()
    (project / "params.yaml").write_text(text.replace("n_tokens: 60", "n_tokens: 50"))
    assert states("mine-part")["gradients"] == "stale"
    assert states("mine-part")["training"] == "fresh"


def test_the_large_text_is_averaged_over_for_as_long_as_the_small_one():
    """So says params.yaml; the committed mean of the baseline knows how long it is."""
    wanted = settings.load_experiment("wikitext-2-lstm-512").gradients.n_tokens
    small = artifacts.load("ptb-lstm-256", "gradients")["n_samples"]
    assert wanted == small.sel(delay=0).item()


def test_reproduce_makes_what_is_missing_and_then_nothing(project):
    first = run("reproduce", "mine")
    assert first.exit_code == 0, first.output
    assert states("mine") == dict.fromkeys(
        ("training", "encoder", "gradients", "intervals", "spectra"), "fresh"
    )
    again = run("reproduce", "mine")
    assert "everything is fresh" in again.output

    gradients = artifacts.load("mine", "gradients")
    assert gradients["state_gradient"].dims == (
        "state_kind",
        "group",
        "delay",
        "state",
        "embedding",
    )
    assert list(gradients["state_kind"].values) == ["hidden", "cell"]
    # 12 lines of 9 words and <eos>; delay tau has 120 - tau positions
    np.testing.assert_array_equal(gradients["n_samples"][0], 120 - np.arange(5))

    found = artifacts.load("mine", "spectra")
    encoder = artifacts.load("mine", "encoder")
    cell = gradients["state_gradient"].sel(state_kind="cell", group="all")
    fitted = whitening.fit_whitening(encoder["embedding"])
    expected = spectra.memory_curve(whitening.whiten_gradient(cell, fitted))
    whitened = found.sel(state_kind="cell", group="all", normalization="whitened")
    for name in ("memory", "total", "selectivity", "selectivity_5"):
        np.testing.assert_allclose(whitened[name], expected[name], rtol=1e-9)
    assert float(found["condition_number"]) == pytest.approx(fitted.condition_number)
    training = artifacts.load("mine", "training")
    assert int(training["epochs_run"]) == training.sizes["epoch"] == 2
    shapes = ((20, 3), (3, 24), (6, 24), (24,), (6, 20), (20,))
    parameters = sum(int(np.prod(shape)) for shape in shapes)
    assert int(training["n_parameters"]) == parameters


def test_a_changed_setting_reruns_only_what_depends_on_it(project):
    for name in ("mine", "mine-window"):
        assert run("reproduce", name).exit_code == 0
    path = project / "params.yaml"
    path.write_text(PARAMS.replace("max_delay: 4", "max_delay: 3"))
    assert states("mine") == {
        "training": "fresh",
        "encoder": "fresh",
        "gradients": "stale",
        "intervals": "stale",
        "spectra": "stale",
    }
    assert reproduction.reproduce("mine") == ["extract", "analyse"]
    before = artifacts.load("mine", "encoder")
    text = (project / "train.txt").read_text()
    (project / "train.txt").write_text(text.replace("w1 ", "w0 "))
    assert set(states("mine").values()) == {"stale"}
    # the checkpoint of the other text is not resumed
    assert reproduction.reproduce("mine") == ["train", "extract", "analyse"]
    after = artifacts.load("mine", "encoder")
    assert not np.array_equal(after["embedding"], before["embedding"])


def test_intervals_and_controls_are_those_of_the_library(project):
    done = run("reproduce", "mine-controls")
    assert done.exit_code == 0, done.output
    encoder, means, intervals, controls, found = (
        artifacts.load("mine-controls", kind)
        for kind in ("encoder", "gradients", "intervals", "controls", "spectra")
    )
    # the blocks' means pool to the mean, up to float32
    raw = found["memory"].sel(normalization="raw").expand_dims(quantity=["memory"])
    observed = intervals["observed"].sel(normalization="raw", quantity=["memory"])
    xr.testing.assert_allclose(observed, raw.transpose(*observed.dims), rtol=1e-5)
    assert (intervals["lower"] <= intervals["estimate"]).all()

    text = stages.corpora.load(settings.load_experiment("mine").corpus)
    model = subject.build_model(settings.load_experiment("mine"), encoder)
    options = {"max_delay": 4, "state": ("cell",)}
    other = uncertainty.shuffled(text.splits["valid"], seed=2)
    order = engine.mean_state_gradients(model, other, **options)
    expected = spectra.memory_curve(order["state_gradient"][0])
    shuffled = controls.sel(
        control="shuffled text", state_kind="cell", group="all", normalization="raw"
    )
    for name in ("memory", "selectivity"):
        np.testing.assert_allclose(shuffled[name], expected[name], rtol=1e-5)
    whitened = summary.spectra_of(
        means["state_gradient"], encoder["embedding"], means["second_moment"]
    )
    xr.testing.assert_allclose(whitened["coherence"], found["coherence"])
    assert (found["coherence"] <= 1).all()
    # a window of 200 tokens cuts nothing in a text of 120
    for control in ("text", "window 200"):
        same = controls["memory"].sel(control=control, normalization="raw")
        whole = found["memory"].sel(normalization="raw")
        np.testing.assert_allclose(same, whole, rtol=1e-5)
    assert means["second_moment"].dims[-1] == "embedding_2"


def test_a_text_too_short_for_intervals_says_what_to_set(project):
    wrong = run("reproduce", "mine-short")
    assert wrong.exit_code == 1
    assert "at least 510 tokens" in wrong.output
    assert "blocks: null" in wrong.output


def test_untrained_twin_shares_the_initial_weights(project):
    assert run("reproduce", "mine-untrained").exit_code == 0
    encoder = artifacts.load("mine-untrained", "encoder")
    assert float(abs(encoder["embedding"]).max()) <= 0.05
    assert float(artifacts.load("mine-untrained", "training")["epochs_run"]) == 0


def test_only_the_synthetic_corpus_can_be_explained(project):
    with pytest.raises(ValueError, match=r"synthetic corpus.* received mine, on the"):
        stages.run_explain(settings.load_experiment("mine"))


@pytest.mark.slow
def test_the_synthetic_corpus_is_averaged_by_its_new_tokens_and_probed(
    project, monkeypatch
):
    sizes = {"train": 1_500, "valid": 3_000, "test": 1_500}
    monkeypatch.setattr(synthetic, "SIZES", sizes)
    # the paper's 150,000 tokens to fit on are more than this text has
    fewer = functools.partial(study.analyse, n_train=2_300)
    monkeypatch.setattr(study, "analyse", fewer)
    fewer = functools.partial(readings.explain, n_train=2_300)
    monkeypatch.setattr(readings, "explain", fewer)
    name = "synthetic-small"
    experiment = settings.load_experiment(name)
    assert reproduction.reproduce(name) == ["train", "extract", "analyse", "explain"]
    made = ("training", "encoder", "weights", "gradients", "spectra", "probes")
    made += ("readings",)
    assert states(name) == dict.fromkeys(made, "fresh")
    training, weights, gradients, found, probes = (
        artifacts.load(name, kind)
        for kind in ("training", "weights", "gradients", "spectra", "probes")
    )
    text = synthetic.labels(experiment.corpus, "valid")
    new = text.count == 0
    groups = gradients["group"].values.tolist()
    assert groups[:2] == ["all", "new-tokens"]
    for group, members in (("all", new | True), ("new-tokens", new)):
        n = [members[: len(new) - delay].sum() for delay in range(4)]
        np.testing.assert_array_equal(gradients["n_samples"].sel(group=group), n)
    model = subject.build_model(experiment, weights)
    means = engine.mean_state_gradients(
        model, text.ids, max_delay=3, state=("hidden", "cell"), positions=new[None]
    )
    kept = gradients["state_gradient"].sel(group="new-tokens")
    expected = means["state_gradient"].isel(group=0)
    # kept in float32: 6e-8 of the largest, 1e-6 beside the sums' other order
    atol = 1e-6 * float(abs(expected).max())
    np.testing.assert_allclose(kept, expected, rtol=0, atol=atol)
    # one-hot input: raw gradients only, and the probes see the same ones
    assert list(found["normalization"].values) == ["raw"]
    total = found["total"].sel(state_kind="cell", normalization="raw")
    sums = probes["sum_singular_values"].sel(subspace="whole")
    np.testing.assert_allclose(sums, total, rtol=1e-9)
    # the probed network is the trained one, softmax included
    perplexity = probes["perplexity"].sel(split="test", evaluation="1 x 1")
    assert perplexity == pytest.approx(float(training["test_perplexity"]), rel=1e-5)
    upstream = json.loads(probes.attrs["upstream"])
    assert upstream["weights"]["content"] == weights.attrs["content"]
    assert upstream["gradients"]["content"] == gradients.attrs["content"]


def test_one_hot_input_is_never_whitened():
    gradient = xr.DataArray(
        np.random.default_rng(0).normal(size=(1, 1, 2, 4, 3)),
        dims=("state_kind", "group", "delay", "state", "embedding"),
    )
    embedding = xr.DataArray(np.eye(3), dims=("vocabulary", "embedding"))
    found = summary.spectra_of(gradient, embedding)
    assert list(found["normalization"].values) == ["raw"]
    assert "received rank 2" in found.attrs["note"]
    spread = summary.spread_of(embedding)
    # Centred, I - 1/3 is a projection on 2 of the 3 dimensions; divided by V - 1 = 2.
    np.testing.assert_allclose(spread["embedding_variance"], [0.5, 0.5, 0], atol=1e-15)
    assert list(spread) == ["embedding_variance"]


def test_a_state_of_fewer_units_than_the_embedding_is_analysed(rng):
    each = rng.normal(size=(9, 1, 1, 2, 3, 5))  # 3 units, 5 components
    axes = ("state_kind", "group", "delay", "state", "embedding", "embedding_2")
    gradient = xr.DataArray(each.mean(axis=0), dims=axes[:5])
    moment = np.einsum("n...se,n...sf->...ef", each, each) / 9
    moment = xr.DataArray(moment, dims=axes[:3] + axes[4:])
    table = xr.DataArray(rng.normal(size=(20, 5)), dims=("vocabulary", "embedding"))
    found = summary.spectra_of(gradient, table, moment).sel(normalization="raw")
    rows = each.transpose(1, 2, 3, 0, 4, 5).reshape(1, 1, 2, 27, 5)
    expected = np.linalg.svdvals(rows)[..., :3] / 3  # of the nine stacked, beside s
    np.testing.assert_allclose(found["rms_s"], expected, rtol=1e-9)
    assert found["s"].shape == found["rms_s"].shape


def test_other_embeddings_must_be_whitened_to_be_analysed():
    table = np.random.default_rng(0).normal(size=(9, 2))
    embedding = xr.DataArray(table, dims=("vocabulary", "embedding"))
    spread = summary.spread_of(embedding)
    # sums of 9 products: within 9 eps of the largest, which is below 10 times any other
    variances = np.linalg.svdvals(table - table.mean(axis=0)) ** 2 / 8
    np.testing.assert_allclose(spread["embedding_variance"], variances, rtol=1e-13)
    # Z^T Z inverts the covariance: cond(Z)^2 = cond(cov)
    squared = variances[0] / variances[1]
    np.testing.assert_allclose(spread["condition_number"] ** 2, squared, rtol=1e-12)
    with pytest.raises(ValueError, match="full rank 4, received rank 2"):
        summary.spread_of(xr.concat([embedding, embedding], "embedding"))


def test_json_and_errors_of_the_command_line(project):
    assert run("reproduce", "mine").exit_code == 0
    rows = json.loads(run("status", "mine", "--json").stdout)
    assert {row["state"] for row in rows} == {"fresh"}
    wrong = run("reproduce", "mime")
    assert wrong.exit_code == 1
    assert "did you mean 'mine'" in wrong.output
    (project / "train.txt").unlink()
    unknown = run("reproduce", "mine-window", "mime")  # refused before any work
    assert (unknown.exit_code, states("mine-window")["training"]) == (1, "missing")
    missing = run("train", "mine", "--restart")
    assert missing.exit_code == 1
    assert "train.txt" in missing.output
    assert "Traceback" not in missing.output


def test_corpus_prints_the_sizes_of_the_text_as_first_used(project):
    (project / "params.local.yaml").write_text(
        "experiments: {doubled: {corpus: {repeat_eos: 2}}}"
    )
    sizes = json.loads(run("corpus", "mine", "--json").stdout)
    lines = dict.fromkeys(("train", "valid", "test"), 12 * (9 + 1))
    assert sizes == lines | {"vocabulary": 20}


def test_a_network_that_has_learnt_other_ids_is_refused(project):
    assert run("train", "mine").exit_code == 0
    experiment = settings.load_experiment("mine")
    encoder = artifacts.load("mine", "encoder")
    words = encoder["vocabulary"].values.copy()
    words[[3, 4]] = words[[4, 3]]  # two words exchanged, as many rows
    wrong = encoder.assign_coords(vocabulary=words)
    artifacts.save(wrong, experiment, "encoder")
    done = run("extract", "mine")
    assert done.exit_code == 1
    said = " ".join(done.output.split())
    assert f"the id 3 for {str(words[3])!r} in the one" in said
    assert f"for {str(words[4])!r} in the other; train it again" in said
    assert not artifacts.path("mine", "gradients").is_file()
    for part in ("encoder", "model"):  # studies of the embedding read the former alone
        with pytest.raises(ValueError, match="words must be those of the corpus"):
            getattr(subject.Subject(experiment=experiment), part)
    text = corpora.load(experiment.corpus)
    with pytest.raises(ValueError, match="received the id 3 for None in the one"):
        subject.require_same_words(encoder.isel(vocabulary=slice(3)), text, experiment)


def test_extract_before_train_names_the_command(project):
    wrong = run("extract", "mine")
    assert wrong.exit_code == 1
    assert "state-gradients reproduce mine" in wrong.output
    assert settings.load_experiment("mine").name == "mine"
