"""Golden results per stage: whoever moves them raises the stage's recipe.

``tests/golden.json`` holds, for each stage, the recipe and a few results it gave. When
a stage is meant to compute something else, raise its recipe in
``state_gradients.project.kinds.STAGES`` and write the file again:

    python tests/test_recipes.py
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from state_gradients.analysis import summary
from state_gradients.engine import means
from state_gradients.foundation import settings
from state_gradients.models import language_model, training
from state_gradients.project import kinds
from state_gradients.text.corpora import Text
from state_gradients.text.vocabulary import Vocabulary

GOLDEN = Path(__file__).with_name("golden.json")
V = 30
SETTINGS = settings.Model(units=12, embedding_size=6)


def three_training_steps(tmp_path):
    """Sums over the weights, and perplexities, after three batches."""
    tokens = (*(f"w{k}" for k in range(V - 1)), "<eos>")
    ids = np.random.default_rng(7).integers(V, size=62).astype(np.int32)
    text = Text(Vocabulary(tokens), {"train": ids, "valid": ids, "test": ids})
    results = []
    for optimizer in ("sgd", "adagrad"):
        recipe = settings.Training(
            batch_size=2, num_steps=10, max_epochs=1, optimizer=optimizer, clip_norm=2.0
        )
        experiment = settings.Experiment(
            name=optimizer, model=SETTINGS, training=recipe
        )
        model, curves = training.train(
            experiment, text=text, root=tmp_path, progress=False
        )
        results += [
            float(np.abs(w).sum()) for w in language_model.weights(model).values()
        ]
        results += [float(curves[name][0]) for name in list(curves)[:3]]
    return results


def small_extraction(tmp_path):
    """Sums of absolute mean gradients per delay, for every cell and state."""
    results = []
    for cell in ("lstm", "gru", "rnn"):
        model = language_model.build_language_model(
            replace(SETTINGS, cell=cell), V, seed=3
        )
        for variable in model.weights:
            if len(variable.shape) > 1:  # a GRU whose gate bias is 10 hardly moves
                variable.assign(variable.value * 10)
        ids = np.random.default_rng(8).integers(V, size=90)
        for state in ("hidden", "cell") if cell == "lstm" else ("hidden",):
            mean = means.mean_state_gradients(model, ids, max_delay=4, state=state)
            mean = mean["state_gradient"]
            results += [float(x) for x in abs(mean).sum(("state", "embedding"))]
    return results


def one_analysis(tmp_path):
    """Sums of every variable of the spectra of a fixed gradient."""
    rng = np.random.default_rng(9)
    gradient = xr.DataArray(
        rng.normal(size=(1, 1, 3, 12, 6)),
        dims=("state_kind", "group", "delay", "state", "embedding"),
    )
    embedding = xr.DataArray(
        rng.normal(size=(V, 6)) * np.arange(1, 7), dims=("vocabulary", "embedding")
    )
    found = summary.spectra_of(gradient, embedding)
    spectra = found.assign(summary.spread_of(embedding))
    return [float(abs(spectra[name]).sum()) for name in sorted(spectra.data_vars)]


COMPUTE = {
    "train": three_training_steps,
    "extract": small_extraction,
    "analyse": one_analysis,
}


@pytest.mark.parametrize("stage", list(COMPUTE))
def test_results_have_not_moved_without_a_new_recipe(stage, tmp_path):
    golden = json.loads(GOLDEN.read_text())[stage]
    assert golden["recipe"] == kinds.STAGES[stage].recipe, (
        "the recipe was raised: write golden.json again (see the module's docstring)"
    )
    # float32 results of another processor or backend may differ in the last digits;
    # training repeats its round-off, an extraction sums it in float64
    np.testing.assert_allclose(
        COMPUTE[stage](tmp_path),
        golden["results"],
        rtol=1e-5 if stage == "extract" else 1e-4,
        err_msg=f"results of {stage} moved: raise its recipe, or undo the change",
    )


if __name__ == "__main__":
    import tempfile

    GOLDEN.write_text(
        json.dumps(
            {
                stage: {
                    "recipe": kinds.STAGES[stage].recipe,
                    "results": compute(tempfile.mkdtemp()),
                }
                for stage, compute in COMPUTE.items()
            },
            indent=1,
        )
        + "\n"
    )
