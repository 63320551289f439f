"""What each stretch of a text does: against means of the rest, and whom it refuses."""

import numpy as np
import pytest
from test_tail_study import PARAMS, project  # noqa: F401
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.analysis import spectra, whitening
from state_gradients.engine.means import mean_state_gradients
from state_gradients.foundation import settings
from state_gradients.paper.language import stretches
from state_gradients.paper.language.subject import Subject
from state_gradients.project import artifacts

STUDIED = PARAMS.replace("[tail]", "[stretches]").replace("blocks: null", "blocks: 10")


@pytest.fixture
def studied(project):  # noqa: F811
    (project / "params.yaml").write_text(STUDIED)
    return project


def made(name):
    done = CliRunner().invoke(cli.app, ["reproduce", name, "--jobs", "1"])
    assert done.exit_code == 0, done.output
    return artifacts.load(name, "stretches")


def test_a_stretch_is_left_out_of_the_mean(studied):
    """Sums of stretches are put together again, without one, in float64."""
    found = made("mine")
    subject = Subject(experiment=settings.load_experiment("mine"))
    blocks = mean_state_gradients(
        subject.model, subject.ids, max_delay=4, blocks=10, dtype="float64"
    )
    n = blocks["n_samples"].values  # (block, delay)
    np.testing.assert_array_equal(found["n_samples"], n)
    sums = blocks["state_gradient"].values * n[:, :, None, None]
    fitted = whitening.fit_whitening(subject.encoder["embedding"])
    cell = found.sel(state_kind="cell")
    for left_out in range(10):
        # a block's weight is 1 - n / (n - 1) (1 - p) of its share: 0 where all have 1/n
        share = n / n.sum(axis=0)
        weights = -np.eye(10)[left_out] * 10 / 9
        weights = share * (
            1 + weights[:, None] - (share * weights[:, None]).sum(axis=0)
        )
        mean = (sums / n[:, :, None, None] * weights[:, :, None, None]).sum(axis=0)
        curves = spectra.memory_curve(whitening.whiten_gradient(mean, fitted))
        expected = [curves[name] for name in found["quantity"].values]
        one = cell["left_out"].isel(stretch=left_out)
        # float32 chains of 5 steps; the effective rank sums small singular values
        np.testing.assert_allclose(one, expected, rtol=2e-4)
        others = np.delete(sums, left_out, 0).sum(axis=0)
        others /= np.delete(n, left_out, 0).sum(axis=0)[:, None, None]
        memory = spectra.memory_curve(whitening.whiten_gradient(others, fitted))
        # shares differ by one position in 80: this is nearly the plain mean of the rest
        np.testing.assert_allclose(
            one.sel(quantity="memory"), memory["memory"], rtol=2e-3
        )


def test_the_text_is_known_by_its_words_as_the_network_reads_them(studied):
    found = made("mine")
    subject = Subject(experiment=settings.load_experiment("mine"))
    digest = stretches.text_hash(subject.ids, subject.text.vocabulary)
    assert found["text_hash"] == digest
    other = subject.ids.copy()
    other[7] = (other[7] + 1) % len(subject.text.vocabulary)
    assert stretches.text_hash(other, subject.text.vocabulary) != digest
    assert stretches.text_hash(subject.ids[:-1], subject.text.vocabulary) != digest


def test_a_text_is_cut_as_for_its_intervals():
    wanted = settings.Gradients(max_delay=50, blocks=64)
    assert stretches.count_stretches(wanted, 72_895) == 64
    assert stretches.count_stretches(wanted, 2_040) == 8


@pytest.mark.parametrize(
    ("wanted", "n_tokens", "message"),
    [
        (settings.Gradients(groups="new-tokens"), 10**5, "groups: new-tokens; set it"),
        (settings.Gradients(blocks=None), 10**5, "gradients.blocks: None"),
        (settings.Gradients(blocks=7), 10**5, "gradients.blocks: 7"),
        (settings.Gradients(), 2_039, "2040 tokens for gradients.max_delay: 50"),
    ],
)
def test_what_has_too_few_stretches_is_refused(wanted, n_tokens, message):
    with pytest.raises(ValueError, match=message):
        stretches.count_stretches(wanted, n_tokens)
