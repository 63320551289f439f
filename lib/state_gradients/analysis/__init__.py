"""What mean gradients say: whitening, spectra, decays and how sure they are.

Read `whitening` and `spectra` (the paper in NumPy), then `decays`, `uncertainty`
(intervals from blocks of text), `properties` (differences between classes, and what
chance makes of them) with `property_curves` (these by delay), `ranks` (rank
correlations of single positions), `agreement` (of the responses of all positions to one
step), `influence` (on what is predicted, in nats), `comparison` (of two networks, by
the same stretches of text), `summary` (the curves of one experiment) and `sentences`
(one sentence, word by word: the only one here that needs the engine).
"""
