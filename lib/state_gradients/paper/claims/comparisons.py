"""Average memory compared, as far as rows of the ledger judge it: Figures 5b to 7.

Tests of the other claims about these figures stand in `cells`, `sizes` and `texts`.
"""

from state_gradients.paper.claims.registry import by_ledger

by_ledger(
    "C096",
    "O",
    "The GRU's memory is between the hidden state's and the cell's.",
    "order per delay",
    where="Fig 5b, 6",
    whole=False,
)
by_ledger(
    "C099",
    "O",
    "Both LSTM states are more selective than the GRU's.",
    "sigma_1/sum of three states per delay",
    where="6",
    whole=False,
)
by_ledger(
    "C101",
    "N",
    "The vanilla RNN's memory is below 1e-10 beyond delay 20.",
    "sigma_1 at 21-49",
    where="Fig 5b",
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
    "C107",
    "S",
    "With 512 units memory is more selective at long delays and still rising, where "
    "256 is flat.",
    "difference and slope over 30-49",
    where="Fig 6a",
    whole=False,
)
by_ledger(
    "C110",
    "O",
    "With pre-trained embeddings memory is larger.",
    "ratio per delay",
    where="Fig 6b",
    whole=False,
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
by_ledger(
    "C115",
    "O",
    "Beyond delay 10 the memory on WikiText-2 is larger than on PTB.",
    "ratio over 11-49",
    where="Fig 7a",
    whole=False,
)
by_ledger(
    "C118",
    "O",
    "On WikiText-103 memory is clearly less selective.",
    "sigma_1/sum difference",
    where="Fig 7a",
    whole=False,
)
by_ledger(
    "C122",
    "O",
    "On WikiText-2, 512 units remember more than 256 at every delay.",
    "ratio per delay",
    where="Fig 7b",
    whole=False,
)
