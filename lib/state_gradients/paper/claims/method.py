"""The method: what Sections 3 and 4.1 say of it; Section 5.1 stands in `concept`.

Identities are computed from what the artifacts of the baseline hold: its weights, its
mean gradients G (of the cell), and the states that followed when a word was replaced.
"""

import numpy as np

from state_gradients.analysis import whitening
from state_gradients.paper.claims import by_hand
from state_gradients.paper.claims.registry import by_ledger, claim

BASELINE = ("ptb-lstm-256",)
UNTRAINED = "ptb-lstm-256-untrained"
CELLS = {  # experiment: its state. The RNN is the one that learns
    "ptb-lstm-256": "cell",
    "ptb-gru-256": "hidden",
    "ptb-rnn-256-rate0.1": "hidden",
}
SHORT = slice(0, 5)  # the delays that every kind of cell remembers
N_STEPS = 300  # random steps that are tried
FLOAT32 = 1e-5  # 64 products, each of two numbers that were kept to 6e-8
FLOAT64 = 1e-8  # V eps cond(cov_e) = 1e4 x 2e-16 x 1e3, and a margin


def _gradient(artifact):
    """Return mean gradients of the cell as they are, and whitening of the embedding."""
    embedding = artifact("encoder")["embedding"].values
    gradient = artifact("gradients")["state_gradient"]
    gradient = gradient.sel(state_kind="cell", group="all")
    return (
        gradient.transpose("delay", "state", "embedding").values,
        whitening.fit_whitening(embedding),
    )


@claim(
    "C001",
    "I",
    "A small step in embedding space moves the state by about G times the step.",
    "norm(s(e+d) - s(e) - G d) / norm(G d), median over 1,000 words that are moved "
    "1/8, 1/4, 1/2 and all of the way to another; by delay",
    where="3, 5.1 Eq 17",
    experiments=BASELINE,
    holds_if="at every delay the error at 1/8 < 0.25, and it grows as the step does: "
    "to the power of 1, give or take 0.25",
)
def a_small_step_is_linear(artifact):
    """Compare the real change of the cell with the linear one, by size of the step.

    What G leaves out begins with the square of the step, so that the relative error is
    proportional to it, and a quarter at most says that G tells most of it.
    """
    found = artifact("positions").sel(state_kind="cell")
    length = found["change"] / (found["scale"] * found["linear_change"])
    # |real - linear|^2 / |linear|^2, from the ratio of the lengths and their cosine
    square = length**2 + 1 - 2 * length * found["cosine"]
    error = np.sqrt(np.maximum(square, 0)).median("place")
    at = {scale: error.sel(scale=scale) for scale in (0.125, 0.25, 1.0)}
    power = np.log2(at[0.25] / at[0.125])
    values = {
        "error at 1/8 of a word": at[0.125].max(),
        "power of the step from": power.min(),
        "to": power.max(),
        "error of a whole word": at[1.0].max(),
    }
    return values, at[0.125].max() < 0.25 and np.abs(power - 1).max() < 0.25


@claim(
    "C002",
    "I",
    "The step that moves the averaged state most is v1, by sigma_1.",
    "norm(G v1) / sigma_1, with v1 and sigma_1 as they were kept; the longest norm(G "
    "d) / sigma_1 of 300 random unit steps d, by delay",
    where="3 Eq 1, 5.1 Eq 19",
    experiments=BASELINE,
    holds_if="first within 1e-5 of 1, which is float32's precision; second ≤ 1",
)
def first_direction_moves_most(artifact):
    """Apply the whitened mean gradients to v_1 and to random steps."""
    gradient, of_embedding = _gradient(artifact)
    whitened = whitening.whiten_gradient(gradient, of_embedding)
    kept = artifact("spectra").sel(
        state_kind="cell", group="all", normalization="whitened"
    )
    sigma = kept["s"].sel(component=1).values
    first = kept["vt"].sel(direction=1).transpose("delay", "embedding").values
    moved = np.linalg.norm(np.matvec(whitened, first), axis=-1) / sigma
    steps = np.random.default_rng(0).normal(size=(whitened.shape[-1], N_STEPS))
    steps /= np.linalg.norm(steps, axis=0)
    at_random = np.linalg.norm(whitened @ steps, axis=1) / sigma[:, None]
    off = np.abs(moved - 1).max()
    values = {"norm(G v1) / sigma_1 off 1 by": off, "random steps": at_random.max()}
    return values, off < FLOAT32 and at_random.max() <= 1


@claim(
    "C004",
    "O",
    "Trained embeddings do not have equal variance in all directions.",
    "largest over smallest variance along the principal axes, trained and as they were "
    "initialised",
    where="4.1",
    experiments=BASELINE,
    beside=(UNTRAINED,),
    holds_if="first > 2 x second, which sampling alone makes of equal variances",
)
def variances_differ(artifact):
    """Compare the spread of variances with what 10,000 draws of equal ones have.

    These spread by ((1 + r) / (1 - r))^2 = 1.38, r = sqrt(64 / 10,000).
    """
    trained, initial = (
        artifact("spectra", of=of)["embedding_variance"] for of in (None, UNTRAINED)
    )
    spread, by_chance = (x.max() / x.min() for x in (trained, initial))
    values = {"largest over smallest, trained": spread, "initial": by_chance}
    return values, spread > 2 * by_chance


@claim(
    "C005",
    "I",
    "Raw singular values depend on the scale of the embedding, whitened ones do not.",
    "embedding mapped by a matrix A (stretched 1/4 to 4 times along random axes), "
    "input kernel by its inverse: largest change of a sigma_k over sigma_1, of G and "
    "of G D, at delays 0, 10, .. 50",
    where="4.1",
    experiments=BASELINE,
    holds_if="raw > 0.1; of G D all sigma_k change by less than 1e-8 of sigma_1",
)
def whitening_forgets_the_scale(artifact):
    """Rescale the embedding; the states stay, so that the new gradient is G A^-1.

    With D D^T = cov_e, A D has the covariance of the new embedding, hence the new D is
    A D Q with an orthogonal Q, and the whitened gradient G A^-1 A D Q = G D Q.
    """
    gradient, before = _gradient(artifact)
    gradient, size = gradient[::10], gradient.shape[-1]
    rng = np.random.default_rng(0)
    axes = [np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2)]
    mapping = axes[0] * np.geomspace(0.25, 4, size) @ axes[1]
    embedding = artifact("encoder")["embedding"].values.astype(np.float64)
    after = whitening.fit_whitening(embedding @ mapping.T)
    mapped = gradient @ np.linalg.inv(mapping)
    changes = {}
    for name, (one, other) in {
        "raw": (gradient, mapped),
        "whitened": (gradient @ before.D, mapped @ after.D),
    }.items():
        sigma, sigma_after = (np.linalg.svdvals(x) for x in (one, other))
        changes[name] = np.abs(sigma_after - sigma).max(axis=-1) / sigma[:, 0]
    raw, whitened = changes["raw"].min(), changes["whitened"].max()
    values = {"raw, least over delays": raw, "whitened, largest": whitened}
    return values, raw > 0.1 and whitened < FLOAT64


@claim(
    "C006",
    "I",
    "After Z the embeddings have covariance I.",
    "largest entry of |cov(Z e) - I|, divided by V - 1 as Z is fitted (and the code of "
    "the paper does), and by V as it is printed",
    where="4.1 Eq 6-7",
    experiments=BASELINE,
    holds_if="< 1e-8 with V - 1: round-off",
)
def whitened_covariance_is_one(artifact):
    """Whiten the embeddings of all types, and take their covariance."""
    embedding = artifact("encoder")["embedding"].values.astype(np.float64)
    Z = whitening.fit_whitening(embedding).Z
    off = {
        divisor: np.abs(np.cov(Z @ embedding.T, bias=bias) - np.eye(len(Z))).max()
        for divisor, bias in {"V - 1": False, "V": True}.items()
    }
    return {f"off by, with {k}": v for k, v in off.items()}, off["V - 1"] < FLOAT64


@claim(
    "C007",
    "I",
    "The gradient with respect to Z e is G D.",
    "central differences of the cell in g = Z e against G D with G in closed form, of "
    "the word read last; and sigma_k of G D against those that were kept, over sigma_1",
    where="4.1 Eq 8-10",
    experiments=BASELINE,
    holds_if="first < 1e-6: the square of the step (1e-4) and its round-off; second < "
    "1e-5: float32",
)
def gradient_of_the_whitened(artifact):
    """Move g by a little along each of its axes, and read the word again."""
    encoder = artifact("encoder")
    gradient, of_embedding = _gradient(artifact)
    network = by_hand.lstm_of(encoder)
    embedding = encoder["embedding"].values.astype(np.float64)
    ids = by_hand.drawn_words(encoder, 50, seed=0)
    *_, before, last = by_hand.run(network, embedding[ids])
    at = embedding[ids[-1]]
    closed_form = by_hand.cell_gradient(network, last, before) @ of_embedding.D
    step = 1e-4 * of_embedding.D.T  # a row for each axis of g
    ahead, behind = (
        by_hand.step(network, x, before.h, before.c).c for x in (at + step, at - step)
    )
    difference = (ahead - behind).T / 2e-4
    off = np.linalg.norm(difference - closed_form) / np.linalg.norm(closed_form)
    kept = artifact("spectra")["s"].sel(
        state_kind="cell", group="all", normalization="whitened"
    )
    kept = kept.transpose("delay", "component").values
    sigma = np.linalg.svdvals(gradient @ of_embedding.D)
    of_kept = (np.abs(sigma - kept).max(axis=1) / kept[:, 0]).max()
    values = {"differences off by": off, "kept singular values by": of_kept}
    return values, off < 1e-6 and of_kept < FLOAT32


by_ledger(
    "C008",
    "N",
    "Condition number of Z lies in 1 to 43, so whitening is numerically safe.",
    "cond(Z) of every kind of network trained on PTB, the largest",
    where="4.1 note 2",
)


@claim(
    "C009",
    "O",
    "The method works for any recurrent cell.",
    "of LSTM, GRU and vanilla RNN: lower end of the memory's interval over the memory, "
    "least over delays 0-5; largest sigma_1 of the mean over its root mean square",
    where="1, 3",
    experiments=BASELINE,
    beside=tuple(CELLS)[1:],
    holds_if="of each kind all singular values are there, first > 0 (a memory beyond "
    "noise), second ≤ 1 (which no mean exceeds; 0.1 % for float32's sums)",
)
def works_for_three_kinds_of_cell(artifact):
    """Ask the same of each kind of cell; "any" is as far as three of them go."""
    values, holds = {}, True
    for experiment, state in CELLS.items():
        chosen = {"state_kind": state, "group": "all", "normalization": "whitened"}
        of_cell = artifact("spectra", of=experiment).sel(chosen)
        interval = artifact("intervals", of=experiment).sel(
            chosen | {"quantity": "memory", "delay": SHORT}
        )
        certain = (interval["lower"] / interval["observed"]).min()
        of_bound = of_cell["coherence"].max()  # not where float32 lost the squares
        kind = experiment.split("-")[1].upper()
        values |= {f"{kind}: lower end": certain, f"{kind}: of the bound": of_bound}
        whole = np.isfinite(of_cell["s"]).all()
        holds &= bool(whole and certain > 0 and of_bound <= 1.001)
    return values, holds
