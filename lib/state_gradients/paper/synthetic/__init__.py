"""The study of Section 4.2: what an LSTM holds that has learnt the synthetic corpus.

Read `probes` (linear readers of a state), `readout` (what the network predicts, by
place in the cycle), `study` (the artifact `probes`), `readings` (why they come out as
they do: the artifact `readings`), then `figures`. What the paper
claims of it stands in `paper.claims`.
"""
