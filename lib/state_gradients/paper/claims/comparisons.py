"""Average memory compared: cells, sizes, embeddings, texts; Figures 5b to 7."""

from state_gradients.paper.claims.registry import by_ledger, not_judged

not_judged(
    "C094",
    "O",
    "The hidden state's memory is below the cell's.",
    "ratio per delay",
    where="Fig 5b",
)
not_judged(
    "C095",
    "H",
    "It is, because the tanh and the output gate only shrink.",
    "hidden gradient split into its factors",
    where="Fig 5b",
)
by_ledger(
    "C096",
    "O",
    "The GRU's memory is between the hidden state's and the cell's.",
    "order per delay",
    where="Fig 5b, 6",
    whole=False,
)
not_judged(
    "C097",
    "S",
    "The GRU's memory decays like the cell's, slightly slower.",
    "log-slope, GRU against cell",
    where="Fig 5b",
)
not_judged(
    "C098",
    "S",
    "The GRU becomes selective more slowly than the LSTM.",
    "delay at which sigma_1/sum passes a level; slope",
    where="Fig 5b",
)
by_ledger(
    "C099",
    "O",
    "Both LSTM states are more selective than the GRU's.",
    "sigma_1/sum of three states per delay",
    where="6",
    whole=False,
)
not_judged(
    "C100",
    "H",
    "Separate gates for keeping and adding make the LSTM more selective.",
    "f + i of the LSTM against 1; a coupled-gate LSTM as control",
    where="4.3.2",
)
by_ledger(
    "C101",
    "N",
    "The vanilla RNN's memory is below 1e-10 beyond delay 20.",
    "sigma_1 at 21-49",
    where="Fig 5b",
)
not_judged(
    "C102",
    "O",
    "The vanilla RNN's memory is much shorter than the LSTM's and the GRU's.",
    "delay at which sigma_1 falls to 1 % of delay 0",
    where="4.3.2, 6",
)
by_ledger(
    "C103",
    "N",
    "The axis of LSTM and GRU is marked from 1e-2 to 1, that of the RNN from 1e-11 to"
    " 10.",
    "sigma_1 at 0 and 49 inside these decades",
    where="Fig 5b axes",
)
by_ledger(
    "C104",
    "O",
    "With 128 units memory is lower overall.",
    "ratio to 256 per delay",
    where="Fig 6a",
    whole=False,
)
by_ledger(
    "C105",
    "O",
    "With 128 units memory is more selective; 256 make it much less so.",
    "sigma_1/sum difference",
    where="Fig 6a, 6",
    whole=False,
)
not_judged(
    "C106",
    "S",
    "With 512 units selectivity at first rises less quickly than with 256.",
    "slope over 0-10",
    where="Fig 6a",
)
by_ledger(
    "C107",
    "S",
    "With 512 units memory is more selective at long delays and still rising, where "
    "256 is flat.",
    "difference and slope over 30-49",
    where="Fig 6a",
    whole=False,
)
not_judged(
    "C108",
    "O",
    "More units do not simply mean less selective.",
    "sign changes of the difference over delays",
    where="4.3.2",
)
not_judged(
    "C109",
    "O",
    "Selectivity and perplexity are not linearly related.",
    "scatter over all models, r",
    where="4.3.2, 6",
)
by_ledger(
    "C110",
    "O",
    "With pre-trained embeddings memory is larger.",
    "ratio per delay",
    where="Fig 6b",
    whole=False,
)
not_judged(
    "C111",
    "O",
    "With pre-trained embeddings memory decays more slowly.",
    "sigma_1(40)/sigma_1(0)",
    where="Fig 6b",
)
by_ledger(
    "C112",
    "O",
    "With pre-trained embeddings memory is less selective, and longer.",
    "sigma_1/sum difference",
    where="Fig 6b, 6",
    whole=False,
)
by_ledger(
    "C113",
    "N",
    "Before whitening the order is the other way: sigma_1(0) 2.66 trained, 0.55 pre-"
    "trained.",
    "raw sigma_1(0) of both",
    where="4.3.2",
)
not_judged(
    "C114",
    "O",
    "PTB and WikiText-2 have close memories at short delays.",
    "ratio over 0-10",
    where="Fig 7a",
)
by_ledger(
    "C115",
    "O",
    "Beyond delay 10 the memory on WikiText-2 is larger than on PTB.",
    "ratio over 11-49",
    where="Fig 7a",
    whole=False,
)
not_judged(
    "C116",
    "O",
    "In selectivity WikiText-2 is nearer to PTB than to WikiText-103.",
    "mean abs difference of curves",
    where="Fig 7a",
)
not_judged(
    "C117",
    "O",
    "On WikiText-103 memory decays fastest.",
    "log-slope",
    where="Fig 7a",
)
by_ledger(
    "C118",
    "O",
    "On WikiText-103 memory is clearly less selective.",
    "sigma_1/sum difference",
    where="Fig 7a",
    whole=False,
)
not_judged(
    "C119",
    "S",
    "On WikiText-103 selectivity stops rising near delay 10, then falls.",
    "delay of the maximum",
    where="Fig 7a",
)
not_judged(
    "C120",
    "H",
    "It does, because sigma_1 falls faster there than the sum.",
    "log-slopes of both over 0-10 (note: the fall comes after 10, the given cause "
    "before it)",
    where="4.3.2",
)
not_judged(
    "C121",
    "O",
    "Size of data drives selectivity, type of data drives memory; WikiText models "
    "remember longer.",
    "factorial comparison; note the conflict with C117",
    where="6",
)
by_ledger(
    "C122",
    "O",
    "On WikiText-2, 512 units remember more than 256 at every delay.",
    "ratio per delay",
    where="Fig 7b",
    whole=False,
)
not_judged(
    "C123",
    "S",
    "On WikiText-2 the selectivity of 512 units keeps rising, that of 256 goes flat.",
    "slope over 30-49",
    where="Fig 7b",
)
not_judged(
    "C124",
    "O",
    "The effect of 512 units is larger on WikiText-2 than on PTB.",
    "log ratios of both corpora",
    where="Fig 7b",
)
