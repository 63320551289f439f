import numpy as np
import pytest
from scipy.stats import norm

from state_gradients.paper.synthetic import probes


def test_lda_reaches_the_accuracy_of_bayes_and_its_direction(rng):
    # Two Gaussians at +-m with covariance S: the best accuracy is Phi(sqrt(m S^-1 m)),
    # the best direction S^-1 m.
    size, n = 4, 40_000
    factor = rng.normal(size=(size, size))
    covariance, mean = factor @ factor.T, rng.normal(size=size)
    labels = rng.integers(2, size=n)
    states = (
        rng.normal(size=(n, size)) @ factor.T + np.where(labels, 1, -1)[:, None] * mean
    )
    best = np.linalg.solve(covariance, mean)
    half = n // 2
    probe = probes.fit_lda(states[:half], labels[:half])
    accuracy, balanced, _ = probes.score(probe, states[half:], labels[half:])
    # four standard errors of a share over 20,000 draws
    atol = 4 * np.sqrt(0.25 / half)
    expected = norm.cdf(np.sqrt(mean @ best))
    assert 0.6 < expected < 0.999
    assert accuracy == pytest.approx(expected, abs=atol)
    assert balanced == pytest.approx(expected, abs=2 * atol)
    found = probe.scalings_[:, 0]
    cosine = found @ best / np.linalg.norm(found) / np.linalg.norm(best)
    assert abs(cosine) > 0.999


def test_scores_are_those_counted_by_hand():
    states = np.array([[0.0], [0.1], [1.0], [1.1], [2.0], [2.1]])
    probe = probes.fit_lda(states, [0, 0, 1, 1, 2, 2])
    # the last state lies with class 1; class 2 does not occur
    accuracy, balanced, recall = probes.score(
        probe, [[0], [0.2], [1], [1.1]], [0, 0, 1, 0]
    )
    assert (accuracy, balanced) == (3 / 4, (2 / 3 + 1) / 2)
    np.testing.assert_array_equal(recall, [2 / 3, 1, np.nan])


def test_majority_rate_takes_the_class_of_the_training_text():
    assert probes.majority_rate([1, 1, 0], np.array([0, 0, 0, 1])) == 0.25


def constructed(rng, mixing, n=6_000):
    """States of 12 components: 6 places of a token, 4 of a count, mixed."""
    token, count = rng.integers(6, size=n), rng.integers(4, size=n)
    clean = np.concatenate([8 * np.eye(6)[token], 8 * np.eye(4)[count]], axis=1)
    clean = np.pad(clean, ((0, 0), (0, 2))) + rng.normal(size=(n, 12))
    return clean @ mixing, token, count


def accuracy_of(states, labels):
    half = len(states) // 2
    probe = probes.fit_lda(states[:half], labels[:half])
    return probes.score(probe, states[half:], labels[half:])[0]


@pytest.mark.parametrize("by", ["readings", "means"])
def test_two_properties_in_orthogonal_subspaces_dissociate(rng, by):
    rotation, _ = np.linalg.qr(rng.normal(size=(12, 12)))
    states, token, count = constructed(rng, rotation)
    probe = probes.fit_lda(states, count)
    basis, complement = probes.split_space(probe, 3, by=by)
    assert accuracy_of(states @ basis, count) > 0.99
    assert accuracy_of(states @ complement, token) > 0.99
    # 1/6, with 4 standard errors sqrt(p q / 3000) of at most 0.032
    assert accuracy_of(states @ basis, token) == pytest.approx(1 / 6, abs=0.04)
    # w is off by O(1 / sqrt(3000)) and the means are 8 apart: a little leaks
    assert accuracy_of(states @ complement, count) < 0.35


def test_where_noise_is_not_round_only_removing_the_means_hides_a_property(rng):
    states, _, count = constructed(rng, rng.normal(size=(12, 12)))
    probe = probes.fit_lda(states, count)
    basis, complement = probes.split_space(probe, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(basis.T @ complement, 0, atol=1e-12)
    # readings: w^T x is whole in Q^T x and absent from C^T x ...
    np.testing.assert_allclose(complement.T @ probe.scalings_, 0, atol=1e-12)
    # ... but the class means differ there
    assert np.ptp(probe.means_ @ complement, axis=0).max() > 0.5
    assert accuracy_of(states @ complement, count) > 0.4
    _, apart = probes.split_space(probe, 3, by="means")
    np.testing.assert_allclose(np.ptp(probe.means_ @ apart, axis=0), 0, atol=1e-9)
    assert accuracy_of(states @ apart, count) == pytest.approx(1 / 4, abs=0.04)


def test_principal_angles_of_tilted_planes():
    tilt = np.radians(30)
    a = np.eye(4)[:, :2]
    b = np.stack(
        [np.eye(4)[0], np.cos(tilt) * np.eye(4)[1] + np.sin(tilt) * np.eye(4)[2]]
    )
    np.testing.assert_allclose(probes.principal_angles(a, b.T), [0, 30], atol=1e-6)


def test_bad_input_is_named(rng):
    states = rng.normal(size=(10, 3))
    with pytest.raises(ValueError, match="one label each"):
        probes.fit_lda(states, np.zeros(9))
    with pytest.raises(ValueError, match="1 classes"):
        probes.fit_lda(states, np.zeros(10))
    probe = probes.fit_lda(states, np.arange(10) % 3)
    with pytest.raises(ValueError, match=r"`n` must be in 1..2.*received 3"):
        probes.split_space(probe, 3)
