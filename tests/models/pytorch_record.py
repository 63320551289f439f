"""Run PyTorch itself, and keep what it gives: weights, outputs and state gradients.

Made once, where PyTorch is installed, for it is not among the project's packages:

    python tests/models/pytorch_record.py tests/models/pytorch.npz

Of every kind of network, of one to three layers, with and without biases, in float64:
the state dict, the hidden states of the highest layer after `IDS`, and the means over t
of dh_t/de_{t-tau} by PyTorch's own autograd.
"""

import itertools
import sys

import numpy as np

V, E, H, DELAYS = 9, 3, 4, 5
IDS = [3, 1, 4, 1, 5, 8, 2, 6]
KINDS = {"LSTM": {}, "GRU": {}, "tanh": {"nonlinearity": "tanh"}}
KINDS["relu"] = {"nonlinearity": "relu"}
CASES = list(itertools.product(KINDS, (1, 2, 3), (True, False)))


def case_name(kind, layers, bias):
    """Return what a case's arrays are called by."""
    return f"{kind}-{layers}-{'biases' if bias else 'none'}"


def of_pytorch(kind, layers, bias):
    """Return the arrays of one case by name."""
    import torch

    torch.manual_seed(layers)
    module = {"LSTM": torch.nn.LSTM, "GRU": torch.nn.GRU}.get(kind, torch.nn.RNN)
    options = {"num_layers": layers, "bias": bias, "batch_first": True}
    net = torch.nn.Module()
    net.words = torch.nn.Embedding(V, E)
    net.rnn = module(E, H, **options, **KINDS[kind])
    net = net.double()

    def hidden(embedded):
        return net.rnn(embedded[None])[0][0]

    embedded = net.words(torch.tensor(IDS)).detach()
    jacobian = torch.autograd.functional.jacobian(hidden, embedded)  # t, unit, s, e
    means = [
        torch.stack([jacobian[t, :, t - delay] for t in range(delay, len(IDS))]).mean(0)
        for delay in range(DELAYS)
    ]
    arrays = {f"weights.{k}": v.numpy() for k, v in net.state_dict().items()}
    arrays["hidden"] = hidden(embedded).detach().numpy()
    arrays["means"] = torch.stack(means).numpy()
    return arrays


def main(path):
    """Write every case, and PyTorch's version."""
    import torch

    arrays = {
        f"{case_name(*case)}/{name}": array
        for case in CASES
        for name, array in of_pytorch(*case).items()
    }
    np.savez_compressed(path, version=torch.__version__, **arrays)


if __name__ == "__main__":
    main(sys.argv[1])
