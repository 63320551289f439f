"""A model from its file, of Keras or PyTorch, which stays as it is while it is read."""

from dataclasses import replace

from state_gradients.models import saved, torch_weights


def load(model, imports, names, report):
    """Return a Keras model from its file, which PyTorch may have written."""
    if torch_weights.is_of_torch(model):
        return names.load(model, report=report)
    if replace(names, embedding=None) != torch_weights.Names() or names.embedding:
        raise ValueError(
            "inspection: --embedding, --recurrent, --nonlinearity and --above name "
            f"what is in PyTorch's weights, received {model}, which says by itself "
            "what its layers are; leave them out."
        )
    return saved.load_model(model, imports=imports)


def require_unchanged(before, after):
    """Refuse files that were written while they were read: which was read is unsaid."""
    for key in ("model", "text", "vocabulary", "inputs"):
        if before.get(f"{key}_sha256") != after.get(f"{key}_sha256"):
            raise ValueError(
                f"inspection: {before[key]} must stay as it is while it is read, "
                "received other contents after it was read than before; run it again."
            )
