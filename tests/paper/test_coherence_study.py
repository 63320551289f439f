"""The study of coherence: what it holds against the spectra, and against the engine."""

import numpy as np
import pytest
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.analysis import agreement, uncertainty
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.engine.responses import step_responses
from state_gradients.foundation import settings
from state_gradients.paper import stages
from state_gradients.paper.language import coherence
from state_gradients.paper.language.subject import Subject
from state_gradients.project import artifacts

PARAMS = """
baseline:
  corpus: {name: mine, train: train.txt, valid: valid.txt, test: test.txt,
           vocabulary_size: 20}
  model: {units: 6, embedding_size: 3, initial_range: 0.8}
  training: {batch_size: 2, num_steps: 8, max_epochs: 0}
  gradients: {max_delay: 4}
  language: {studies: [coherence]}
experiments:
  mine: {}
  mine-controls: {gradients: {controls: true}}
  mine-window: {model: {cell: gru}, gradients: {window: 8, max_delay: 3}}
  mine-short: {gradients: {max_delay: 30, blocks: null}}
  mine-one-hot: {model: {embedding: one-hot, embedding_size: 20}}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with a small text of a reader's own."""
    rng = np.random.default_rng(0)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for split in ("train", "valid", "test"):
        lines = [
            " ".join(f"w{k}" for k in rng.zipf(1.6, size=9) % 30) for _ in range(20)
        ]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    return tmp_path


def made(name):
    done = CliRunner().invoke(cli.app, ["reproduce", name, "--jobs", "1"])
    assert done.exit_code == 0, done.output
    return artifacts.load(name, "coherence")


def test_the_factors_multiply_to_the_memory_of_the_mean_gradient(project):
    found = made("mine-controls")
    spectra = artifacts.load("mine-controls", "spectra").isel(group=0)
    memory = spectra["memory"].sel(normalization="whitened", delay=found["delay"])
    observed = found["observed"].sel(text=coherence.IN_ORDER)
    assert found["delay"].values.tolist() == [0, 1, 2, 3, 4]
    # sigma_1 of float32 means, at v_1 in float32
    of_mean = observed.sel(quantity="mean_response")
    np.testing.assert_allclose(of_mean, memory, rtol=1e-5)
    named = {name: observed.sel(quantity=name) for name in agreement.QUANTITIES}
    product = named["rms_length"] * named["lengths"] * named["directions"]
    np.testing.assert_allclose(product, of_mean, rtol=1e-12)
    # what the best step of the mean is to the best step of the squares
    rms_memory = spectra["rms_memory"].sel(normalization="whitened")
    assert (named["rms_length"] <= rms_memory * (1 + 1e-5)).all()
    assert (found["lower"] <= found["upper"]).all()
    share = found["share_of_block"].sum("block")
    np.testing.assert_allclose(share, 1, rtol=1e-6)
    assert found["n_samples"].values.tolist() == [
        [200, 199, 198, 197, 196],
        [100, 99, 98, 97, 96],
    ]


def test_the_shuffled_text_takes_the_steps_of_the_text_in_order(project):
    found = made("mine-controls")
    subject = Subject(experiment=settings.load_experiment("mine-controls"))
    whitening = fit_whitening(subject.encoder["embedding"])
    expected = step_responses(
        subject.model,
        uncertainty.shuffled(subject.ids, seed=2)[:100],
        delays=range(5),
        steps=found["step"].sel(state_kind="cell").values @ whitening.D.T,
    )
    lengths = expected["length"].astype(float)
    shuffled = found.sel(text=coherence.SHUFFLED, state_kind="cell")
    mean = shuffled["observed"].sel(quantity="mean_length")
    np.testing.assert_allclose(mean, lengths.mean("input"), rtol=1e-5)
    median = shuffled["length"].sel(quantile=0.5)
    np.testing.assert_allclose(median, lengths.median("input"), rtol=1e-5)
    in_order = found.sel(text=coherence.IN_ORDER, state_kind="cell")
    other = in_order["observed"].sel(quantity="mean_length")
    assert (abs(other - mean) > 1e-4 * mean).all()


def test_windows_are_those_of_the_mean_gradients(project):
    found = made("mine-window")
    gradients = artifacts.load("mine-window", "gradients")
    n_samples = gradients["n_samples"][0]
    np.testing.assert_array_equal(found["n_samples"].sel(text="in order"), n_samples)
    assert found["text"].values.tolist() == [coherence.IN_ORDER]
    assert found["state_kind"].values.tolist() == ["hidden"]


def test_a_delay_that_is_the_longest_is_kept_though_it_is_none_of_the_list():
    assert coherence.kept_delays(12) == [0, 1, 2, 3, 5, 7, 10, 12]
    assert coherence.kept_delays(50) == list(coherence.DELAYS)
    assert coherence.kept_delays(60)[-2:] == [50, 60]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "mine-short",
            "coherence: intervals need a text of 310 tokens .* received 200",
        ),
        ("mine-one-hot", "must have full rank"),
    ],
)
def test_what_has_no_intervals_or_no_whitening_is_refused(project, name, message):
    for stage in ("train", "extract", "analyse"):
        stages.RUN[stage](settings.load_experiment(name))
    with pytest.raises(ValueError, match=message):
        stages.RUN["coherence"](settings.load_experiment(name))
    assert not artifacts.path(name, "coherence").is_file()


def test_means_of_groups_are_refused():
    grouped = settings.Gradients(groups="new-tokens", max_delay=4)
    with pytest.raises(ValueError, match="must be of all positions, received"):
        coherence.count_blocks(grouped, 200)
    assert coherence.count_blocks(settings.Gradients(max_delay=4), 200) == 8
