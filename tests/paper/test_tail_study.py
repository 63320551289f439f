"""The study of the tail: what it holds against the exact chain, and whom it refuses."""

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.analysis import spectra, uncertainty, whitening
from state_gradients.engine import means
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import settings
from state_gradients.paper.language import tail
from state_gradients.paper.language.subject import Subject
from state_gradients.project import artifacts

PARAMS = """
baseline:
  corpus: {name: mine, train: train.txt, valid: valid.txt, test: test.txt,
           vocabulary_size: 20}
  model: {units: 12, embedding_size: 3, initial_range: 0.8}
  training: {batch_size: 2, num_steps: 8, max_epochs: 0}
  gradients: {max_delay: 4, blocks: null}
  language: {studies: [tail]}
experiments:
  mine: {}
  mine-window: {model: {cell: gru}, gradients: {window: 8}}
"""
# one cut leaves 1e-4 of an input; bundles of the small text are cut at most 3 times
CLOSE = 3 * tail.TOLERANCE


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project of one's own text of 800 tokens: a tail of 19 delays."""
    rng = np.random.default_rng(0)
    (tmp_path / "params.yaml").write_text(PARAMS)
    for split in ("train", "valid", "test"):
        lines = [
            " ".join(f"w{k}" for k in rng.zipf(1.6, size=9) % 30) for _ in range(80)
        ]
        (tmp_path / f"{split}.txt").write_text("\n".join(lines) + "\n")
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    return tmp_path


def made(name):
    done = CliRunner().invoke(cli.app, ["reproduce", name, "--jobs", "1"])
    assert done.exit_code == 0, done.output
    return artifacts.load(name, "tail")


def exact(name, **options):
    """Whitened mean gradients and second moments of the exact chain in float64."""
    subject = Subject(experiment=settings.load_experiment(name))
    found = mean_state_gradients(
        subject.model, subject.ids, second_moment=True, dtype="float64", **options
    )
    fitted = whitening.fit_whitening(subject.encoder["embedding"])
    gradient = whitening.whiten_gradient(found["state_gradient"], fitted)
    return found, gradient, whitening.whiten_moment(found["second_moment"], fitted)


def test_the_curves_are_those_of_the_exact_chain(project):
    found = made("mine")
    assert found["state_kind"] == "cell"
    assert found["tolerance"] == tail.TOLERANCE
    # of no more inputs than delays, the root mean square is within it
    assert 0 < found["largest_residual"] <= np.sqrt(20) * tail.TOLERANCE
    of_chain, gradient, moment = exact("mine", max_delay=19)
    curves = spectra.memory_curve(gradient)
    # sigma_1 is off by no more than the mean is, ||dG|| <= 3e-4 ||G||, and that norm
    # is at most sqrt(3) sigma_1
    for name in ("memory", "total"):
        observed = found["observed"].sel(quantity=name)
        np.testing.assert_allclose(observed, curves[name], rtol=2 * CLOSE)
    for name in ("selectivity", "effective_rank"):
        observed = found["observed"].sel(quantity=name)
        np.testing.assert_allclose(observed, curves[name], rtol=10 * CLOSE)
    largest = np.sqrt(np.linalg.eigvalsh(moment)[..., -1])
    rms = found["observed"].sel(quantity="rms_memory")
    np.testing.assert_allclose(rms, largest, rtol=2 * CLOSE)
    ratio = found["observed"].sel(quantity="coherence")
    np.testing.assert_allclose(ratio, curves["memory"] / largest, rtol=4 * CLOSE)
    np.testing.assert_array_equal(found["n_samples"], of_chain["n_samples"])
    assert (found["tolerance_error"] < CLOSE).all()


def test_intervals_are_those_of_the_block_bootstrap_at_the_marks(project):
    found = made("mine")
    assert found["mark"].values.tolist() == [0, 1, 2, 3, 5, 7, 10, 15, 19]
    n_blocks = uncertainty.blocks_that_fit(800, 19)
    assert n_blocks == tail.LEAST_BLOCKS
    subject = Subject(experiment=settings.load_experiment("mine"))
    blocks = mean_state_gradients(
        subject.model, subject.ids, max_delay=19, blocks=n_blocks, dtype="float64"
    )
    fitted = whitening.fit_whitening(subject.encoder["embedding"])
    expected = uncertainty.block_bootstrap(
        blocks,
        lambda g: spectra.memory_curve(whitening.whiten_gradient(g, fitted)),
        seed=subject.experiment.training.seed,
    ).sel(delay=found["mark"].values)
    for quantity in ("memory", "total", "selectivity"):
        ours, theirs = found.sel(quantity=quantity), expected.sel(quantity=quantity)
        size = np.abs(theirs["estimate"]).values
        for end in ("estimate", "lower", "upper"):
            off = np.abs(ours[end].values - theirs[end].values)
            # a jackknife's bias is (n - 1) times a difference
            assert (off < 10 * n_blocks * CLOSE * size).all(), (quantity, end)


def test_a_window_ends_the_tail(project):
    found = made("mine-window")
    assert found["state_kind"] == "hidden"
    assert found.sizes["delay"] == 8
    _, gradient, _ = exact("mine-window", max_delay=7, window=8)
    memory = found["observed"].sel(quantity="memory")
    expected = spectra.memory_curve(gradient)["memory"]
    np.testing.assert_allclose(memory, expected, rtol=2 * CLOSE)


def test_of_a_wide_state_the_means_of_fewer_blocks_are_held(project, monkeypatch):
    made("mine-window")
    subject = Subject(experiment=settings.load_experiment("mine-window"))
    each = 8 * (8 * 3 * 12)  # bytes of a float64 mean: delays, embedding, states
    held, computed = [], means.mean_state_gradients

    def spy(*args, **options):
        held.append(options["blocks"])
        return computed(*args, **options)

    monkeypatch.setattr(means, "mean_state_gradients", spy)
    for n_blocks in (100, 12.5, 2):
        monkeypatch.setattr(tail, "MOST_BYTES", n_blocks * each)
        tail.study(subject)
    assert held == [tail.BLOCKS, 12, tail.LEAST_BLOCKS]


def test_the_tail_is_as_long_as_the_text_allows():
    wanted = settings.Gradients()
    assert tail.longest_delay(wanted, 73_760) == 500
    # 8 blocks of 5 (longest + 1) tokens: 4,040 for 100 delays
    assert tail.longest_delay(wanted, 4_040) == 100
    assert tail.longest_delay(wanted, 4_039) == 99
    assert tail.longest_delay(settings.Gradients(window=200), 73_760) == 199


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (settings.Gradients(groups="new-tokens"), "must be of all positions, received"),
        (settings.Gradients(max_delay=99), "beyond gradients.max_delay, which is 99"),
        (settings.Gradients(window=51), "received 4000 tokens, whose tail ends at 50"),
    ],
)
def test_what_has_no_tail_is_refused(wanted, message):
    with pytest.raises(ValueError, match=message):
        tail.longest_delay(wanted, 4_000)


def test_every_variable_says_what_it_is(project):
    found = made("mine")
    for name in tail.MEANING:
        assert found[name].attrs["equation"] == tail.MEANING[name][2]
    assert isinstance(found, xr.Dataset)
    assert {*found["quantity"].values} == {*tail.QUANTITIES}
