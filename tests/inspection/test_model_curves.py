"""The command `inspect` of words, held against the engine: what may be asked for."""

import json
from pathlib import Path

import inspected
import keras
import numpy as np
import pandas as pd
import pytest
from inspected import L, asked, refused, save

from state_gradients import inspection
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.engine import means
from state_gradients.models.saved import load_model

folder, registry = inspected.folder, inspected.registry


def test_influence_is_what_the_engine_gives_in_nats(folder):
    save("model.keras", L.Dense(7, activation="softmax"))
    done = asked("--max-delay", "3", "--influence", "--json")
    assert done.exit_code == 0, done.stderr
    curves = inspection.read("inspection-model")
    model = load_model("model.keras")
    ids = [1, 2, 3, 4, 0] * 5
    mean = means.mean_state_gradients(
        model, ids, max_delay=3, influence=inspection.WORDS_DRAWN
    )
    raw = np.linalg.eigvalsh(mean["influence"])[:, -1]
    found = curves["influence"].sel(normalization="raw")
    np.testing.assert_allclose(found, raw, rtol=1e-6)
    table = fit_whitening(model.layers[0].get_weights()[0])
    whitened = table.D.T @ mean["influence"].values @ table.D
    found = curves["influence"].sel(normalization="whitened")
    np.testing.assert_allclose(found, np.linalg.eigvalsh(whitened)[:, -1], rtol=1e-6)
    assert "influence" in pd.read_csv("inspection-model/memory.csv").columns


def test_influence_asks_for_a_softmax(folder):
    assert "have a Dense layer above its states" in refused(
        "--max-delay", "3", "--influence"
    )


def test_a_tolerance_is_passed_on_and_recorded(folder, monkeypatch):
    asked_for = {}

    def watched(*given, original=means.mean_state_gradients, **options):
        asked_for.update(options)
        return original(*given, **options)

    monkeypatch.setattr(means, "mean_state_gradients", watched)
    done = asked("--tolerance", "0.001", "--max-delay", "9")
    assert done.exit_code == 0, done.output
    assert asked_for["tolerance"] == 0.001
    curves = inspection.read(Path("inspection-model"))
    assert json.loads(curves.attrs["settings"])["tolerance"] == 0.001
    assert curves["tolerance_error"].dims == ("delay",)


def test_groups_are_averaged_each_by_itself(folder):
    Path("groups.txt").write_text("a first\nb first\nc second\nz second\n")
    done = asked("--groups", "groups.txt", "--max-delay", "2", "--output", "of")
    assert done.exit_code == 0, done.output
    assert "groups: first, second; not in the vocabulary: ['z']" in done.stderr
    model = keras.saving.load_model("model.keras")
    ids = inspection.read_ids("text.txt", inspection.read_vocabulary("vocabulary.txt"))
    first, second = np.isin(np.arange(7), [1, 2]), np.arange(7) == 3
    curves = inspection.inspect_model(model, ids, max_delay=2, groups=[first, second])
    found = inspection.read(Path("of"))
    np.testing.assert_allclose(found["memory"], curves["memory"], rtol=1e-6)
    assert list(found["group"].values) == ["first", "second"]
    assert "groups_sha256" in found.attrs
    table = pd.read_csv("of/memory.csv")
    assert list(table.columns[:3]) == ["normalization", "group", "delay"]
    one = found["memory"].sel(normalization="whitened", group="second", delay=1)
    row = table.query(
        "normalization == 'whitened' and group == 'second' and delay == 1"
    )
    np.testing.assert_allclose(row["memory"], one)


def test_dependent_embeddings_leave_the_raw_curves_and_a_note(folder):
    save("wide.keras", size=9)  # 7 types span 6 dimensions
    done = asked("--max-delay", "2", model="wide.keras")
    assert "raw gradients only" in done.stderr
    assert "rank 9, received rank 6" in done.stderr
    curves = inspection.read("inspection-wide")
    assert list(curves["normalization"].values) == ["raw"]


@pytest.mark.parametrize(("option", "given"), [("auto", "auto"), ("0.25", 0.25)])
def test_dependent_embeddings_are_whitened_where_that_is_asked_for(
    folder, option, given
):
    save("wide.keras", size=9)  # 7 types span 6 dimensions
    wide = load_model("wide.keras")
    done = asked("--max-delay", "2", "--shrinkage", option, model="wide.keras")
    assert done.exit_code == 0, done.stderr
    curves = inspection.read("inspection-wide")
    assert list(curves["normalization"].values) == ["raw", "whitened"]
    assert json.loads(curves.attrs["settings"])["shrinkage"] == given
    table = wide.layers[0].get_weights()[0].astype(float)
    fitted = fit_whitening(table, shrinkage=given)
    assert f"shrunk by {fitted.shrinkage:.3g}." in done.stderr
    ids = inspection.read_ids("text.txt", inspection.read_vocabulary("vocabulary.txt"))
    gradient = means.mean_state_gradients(wide, ids, max_delay=2)["state_gradient"]
    s = np.linalg.svdvals(gradient.values @ fitted.D)
    # the same float32 sums, whitened in float64 twice
    np.testing.assert_allclose(curves["s"].sel(normalization="whitened"), s, rtol=1e-9)


def test_another_shrinkage_is_refused_before_anything_is_read(folder):
    message = refused("--shrinkage", "much", "--max-delay", "2")
    assert "--shrinkage): `shrinkage` must be 'auto', a number in 0..1" in message
    with pytest.raises(ValueError, match="inspect_model: `shrinkage` must be"):
        inspection.inspect_model(None, [1, 2], shrinkage=2)
