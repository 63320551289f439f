"""Keras language models: how they are built, trained, resumed and measured.

Read `language_model` (the layers), `batching` (a stream in rows and windows),
`training` (the recipe) with `checkpoints`, and `evaluation` (perplexity). `rates` finds
a learning rate. `cells` are recurrent cells of our own, `saved` loads the model of a
reader; `archives` says what its file may hold, `legacy` loads one in HDF5, and
`torch_weights` builds one from the weights of PyTorch.
"""
