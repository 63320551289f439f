r"""Linear probes: what can be read from a state by linear discriminant analysis (LDA).

Each class is a Gaussian, all with one covariance W (within classes); with B the
covariance of the class means, the directions w of  B w = lambda W w  tell the classes
apart, and lambda_i / sum lambda is the share of the discriminating variance in w_i.
"""

import numpy as np
from scipy.linalg import subspace_angles
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import confusion_matrix


def fit_lda(states, labels):
    """Fit LDA with a shared covariance and the classes' frequencies as priors.

    Parameters
    ----------
    states : ndarray of shape (sample, state)
    labels : ndarray of shape (sample,)

    Returns
    -------
    sklearn.discriminant_analysis.LinearDiscriminantAnalysis
        Its `scalings_` (state, direction) are the w, scaled to within-class variance 1.

    Raises
    ------
    ValueError
        If the shapes differ, there is one class only, or a state is not finite.
    """
    if np.shape(labels) != np.shape(states)[:1] or len(np.unique(labels)) < 2:
        raise ValueError(
            "fit_lda: `states` (sample, state) need one label each, of at least two "
            f"classes, received shapes {np.shape(states)}, {np.shape(labels)} and "
            f"{len(np.unique(labels))} classes."
        )
    return LinearDiscriminantAnalysis(solver="svd").fit(states, labels)


def score(probe, states, labels):
    """Return accuracy, balanced accuracy and the recall of each class of the probe.

    Returns
    -------
    accuracy : float
    balanced : float
        Mean recall of the classes that occur in `labels`.
    recall : ndarray of shape (class,)
        In the order of ``probe.classes_``; NaN where a class does not occur.
    """
    hits = confusion_matrix(labels, probe.predict(states), labels=probe.classes_)
    with np.errstate(invalid="ignore"):
        recall = np.diag(hits) / hits.sum(axis=1)
    return float(np.trace(hits) / hits.sum()), float(np.nanmean(recall)), recall


def majority_rate(train_labels, test_labels):
    """Return the test accuracy of always guessing the commonest training class."""
    classes, counts = np.unique(train_labels, return_counts=True)
    return float(np.mean(test_labels == classes[counts.argmax()]))


def split_space(probe, n, *, by="readings"):
    """Return orthonormal bases of an n-dimensional span and of its complement.

    LDA reads a state s through w^T s. With ``by="readings"`` the span is that of
    w_1..w_n: their readings survive whole in it, and vanish from the complement. There
    the class means may still differ: with cov_b their covariance they differ along
    cov_b w, which is not w unless that within classes, cov_w, is a multiple of I.
    With ``by="means"`` the span is that of cov_b w_1..cov_b w_n, so that what the means
    differ by is gone from the complement.

    Returns
    -------
    basis : ndarray of shape (state, n)
    complement : ndarray of shape (state, state - n)
    """
    size, available = probe.scalings_.shape
    if not 1 <= n <= min(available, size - 1):
        raise ValueError(
            f"split_space: `n` must be in 1..{min(available, size - 1)}, so that both "
            f"spaces have a direction, received {n}."
        )
    span = probe.scalings_[:, :n]
    if by == "means":
        means = probe.means_ - probe.xbar_
        span = means.T @ (probe.priors_[:, None] * (means @ span))
    q, _ = np.linalg.qr(span, mode="complete")
    return q[:, :n], q[:, n:]


def principal_angles(a, b):
    """Return the principal angles of two spans of columns, in degrees, ascending."""
    return np.degrees(np.sort(subspace_angles(a, b)))
