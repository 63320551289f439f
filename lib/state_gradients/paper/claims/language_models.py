"""The language models: Section 4.3.1, Table 2 and note 3."""

from state_gradients.paper.claims.registry import by_ledger, claim, not_judged

not_judged(
    "C054",
    "O",
    "A larger embedding with embedding dropout is slightly better.",
    "PPL of that model minus baseline",
    where="4.3.1",
)
by_ledger(
    "C055",
    "N",
    "PTB LSTM 256 seed 1: 107.6 valid, 104.9 test.",
    "PPL",
    where="Table 2",
)
by_ledger(
    "C056",
    "N",
    "PTB LSTM 256 seed 2 (baseline): 103.3 valid, 103.8 test.",
    "PPL",
    where="Table 2",
)
by_ledger(
    "C057",
    "N",
    "PTB LSTM 256 seed 3: 106.4 valid, 104.2 test.",
    "PPL",
    where="Table 2",
)
by_ledger(
    "C058",
    "O",
    "Seeds differ little; seed 2 is best on both splits.",
    "range over seeds",
    where="4.3.1, Table 2",
    whole=False,
)
by_ledger(
    "C059",
    "N",
    "Pre-trained cbow embeddings improve the baseline: 99.1 valid, 95.7 test.",
    "PPL difference to baseline",
    where="Table 2, 4.3.1",
)
by_ledger(
    "C060",
    "N",
    "PTB GRU: 110.4 valid, 108.2 test, worse than the LSTM.",
    "PPL",
    where="Table 2",
)
by_ledger(
    "C061",
    "N",
    "PTB vanilla RNN: 686.4 valid, 648.3 test, extremely bad though the best of three.",
    "PPL",
    where="Table 2, 4.3.1",
)
not_judged(
    "C062",
    "O",
    "The three RNN runs differ very much.",
    "range over seeds, relative",
    where="4.3.1",
)
by_ledger(
    "C063",
    "N",
    "PTB LSTM 128: 119.1 valid, 115.3 test, clearly worse than 256.",
    "PPL",
    where="Table 2",
)
by_ledger(
    "C064",
    "N",
    "PTB LSTM 512: 101.1 valid, 99.8 test, slightly better than 256.",
    "PPL",
    where="Table 2",
)
by_ledger(
    "C065",
    "O",
    "Parameters: LSTM > GRU > RNN.",
    "counts of the recurrent layer: 328,704 > 246,528 > 82,176",
    where="4.3.1",
)
by_ledger(
    "C066",
    "N",
    "WikiText-2 LSTM 256: 126.2 valid, 118.0 test.",
    "PPL",
    where="Table 2",
)
by_ledger(
    "C067",
    "N",
    "WikiText-2 LSTM 512: 119.5 valid, 111.8 test.",
    "PPL",
    where="Table 2",
)
by_ledger(
    "C068",
    "N",
    "WikiText-103 LSTM 512: 43.4 valid, 42.1 test.",
    "PPL",
    where="Table 2",
)
not_judged(
    "C069",
    "O",
    "From 128 to 256 units the perplexity on PTB improves considerably.",
    "test PPL ratio 0.900 published",
    where="6",
)
not_judged(
    "C070",
    "O",
    "From 256 to 512 units PTB gains less than WikiText.",
    "test PPL ratios 0.961 and 0.947 published",
    where="6",
)


@claim(
    "C071",
    "O",
    "Embeddings from the larger corpus are more linearly separable than embeddings "
    "from PTB.",
    "Table 3 on GloVe (in the place of embeddings of 110 million words of the Wall "
    "Street Journal) and on trained embeddings of 50 components: rows that GloVe wins",
    where="4.3.1",
    experiments=("ptb-lstm-256-glove",),
    beside=("ptb-lstm-256-e50",),
    holds_if="GloVe above in more than three quarters of the rows",
)
def larger_corpora_separate_better(artifact):
    """Compare test accuracies, split by type, row by row."""
    accuracy = [
        artifact("linear", of=of)["accuracy"].sel(split="by type", part="test")
        for of in ("ptb-lstm-256-glove", "ptb-lstm-256-e50")
    ]
    difference = accuracy[0] - accuracy[1]
    share = float((difference > 0).mean())
    values = {"share of rows": share, "mean difference": float(difference.mean())}
    return values, share > 0.75


by_ledger(
    "C072",
    "N",
    "In the earlier paper, at 50 steps with a doubled EOS: 83.0 pre-trained, 78.8 "
    "trained.",
    "PPL with EOS doubled",
    where="note 3",
)
by_ledger(
    "C073",
    "N",
    "At 50 steps with a single EOS: 101.3 pre-trained, 95.9 trained.",
    "PPL at 50 steps",
    where="note 3",
)
by_ledger(
    "C074",
    "O",
    "At 200 steps the order of pre-trained and trained turns: 95.7 and 103.8.",
    "sign of the difference at 50 and at 200",
    where="note 3",
)
not_judged(
    "C075",
    "O",
    "A doubled EOS lowers perplexity.",
    "PPL with and without, same model",
    where="note 3",
)
not_judged(
    "C076",
    "H",
    "That order turns because of the window's length, not because of the EOS.",
    "2 x 2: steps 50/200, EOS 1/2",
    where="note 3",
)
not_judged(
    "C077",
    "H",
    "Embedding dropout could disturb the analysis.",
    "sigma_1, selectivity with and without it (released code has it on)",
    where="4.3.1",
)
