"""The method: what Sections 3, 4.1 and 5.1 say of it."""

from state_gradients.paper.claims.registry import by_ledger, not_judged

not_judged(
    "C001",
    "I",
    "A small step in embedding space moves the state by about G times the step.",
    "norm(s(e+d) - s(e) - G d) / norm(G d) against step size; slope 1 in step size",
    where="3, 5.1 Eq 17",
)
not_judged(
    "C002",
    "I",
    "The step that moves the averaged state most is v1, by sigma_1.",
    "norm(Gbar v1) - sigma_1; no random unit step exceeds sigma_1",
    where="3 Eq 1, 5.1 Eq 19",
)
not_judged(
    "C003",
    "O",
    "Properties the task does not need leave little trace in the state; needed ones "
    "do, without labels being given.",
    "grammar or synthetic: relative memory of an unneeded direction against a needed "
    "one; cosine of v1 with the known direction",
    where="3",
)
not_judged(
    "C004",
    "O",
    "Trained embeddings do not have equal variance in all directions.",
    "eigenvalue spread of cov_e, trained against initial",
    where="4.1",
)
not_judged(
    "C005",
    "I",
    "Raw singular values depend on the scale of the embedding, whitened ones do not.",
    "rescale embedding by any invertible A and input kernel by its inverse: spectrum "
    "of G changes, spectrum of G D does not",
    where="4.1",
)
not_judged(
    "C006",
    "I",
    "After Z the embeddings have covariance I.",
    "max abs of cov_g - I (state the divisor V or V-1)",
    where="4.1 Eq 6-7",
)
not_judged(
    "C007",
    "I",
    "The gradient with respect to Z e is G D.",
    "finite difference in g against G D",
    where="4.1 Eq 8-10",
)
by_ledger(
    "C008",
    "N",
    "Condition number of Z lies in 1 to 43, so whitening is numerically safe.",
    "cond(Z) of every model",
    where="4.1 note 2",
)
not_judged(
    "C009",
    "O",
    "The method works for any recurrent cell.",
    "same engine, same test, for LSTM, GRU, SimpleRNN",
    where="1, 3",
)
not_judged(
    "C010",
    "I",
    "Cosine of a unit vector with the span of the first n right-singular vectors is "
    "norm(V_n^T d).",
    "identity to round-off; fails if d is not of unit length",
    where="5.1 Eq 15-16",
)
not_judged(
    "C011",
    "I",
    "Relative memory equals the cosine with H_n when the first n singular values are "
    "equal and the rest are 0.",
    "constructed matrix, both measures",
    where="5.1 Eq 21-23",
)
not_judged(
    "C012",
    "O",
    "The two measures answer different questions and can disagree elsewhere.",
    "m and cos H_5 per property and delay: differences, rank agreement",
    where="5.1",
)
