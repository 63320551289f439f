"""The memory of every position, written while it is measured."""

import json
from pathlib import Path

import inspected
import keras
import numpy as np
import xarray as xr
from inspected import asked, refused

from state_gradients import inspection
from state_gradients.analysis.whitening import fit_whitening
from state_gradients.engine.positions import position_memory

folder, registry = inspected.folder, inspected.registry


def test_every_position_is_written_as_the_engine_measures_it(folder, monkeypatch):
    from state_gradients.engine import jobs

    monkeypatch.setattr(jobs, "LENGTH", 8)  # several blocks
    done = asked("--per-position", "each.nc", "--max-delay", "3")
    assert done.exit_code == 0, done.output
    model = keras.saving.load_model("model.keras")
    ids = inspection.read_ids("text.txt", inspection.read_vocabulary("vocabulary.txt"))
    factor = fit_whitening(model.layers[0].get_weights()[0]).D
    whole = position_memory(model, ids, max_delay=3, factor=factor, sample=range(25))
    with xr.open_dataset("each.nc", engine="h5netcdf") as found:
        assert found["memory"].dims == ("position", "delay")
        np.testing.assert_array_equal(found["memory"], whole["largest"])
        np.testing.assert_array_equal(found["norm"], whole["norm"])
        np.testing.assert_array_equal(found["id"], ids)
        assert list(found["position"].values) == list(range(25))
        assert found["memory"].attrs["units"] == whole["largest"].attrs["units"]
        assert json.loads(found.attrs["settings"]) == {"state": "cell", "layer": 1}
        assert "text_sha256" in found.attrs


def test_positions_need_one_text_and_are_written_whole(folder, monkeypatch):
    said = refused("--per-position", "each.nc", "--by-line", "--max-delay", "2")
    assert "must follow the one before, in one text, received 5" in said
    for name, length, masks in (("masks", None, True), ("fixed", 40, False)):
        embed = keras.layers.Embedding(7, 4, mask_zero=masks)
        layers = [keras.Input((length,)), embed, keras.layers.LSTM(5)]
        keras.Sequential(layers).save(f"{name}.keras")
    options = ("--per-position", "each.nc", "--max-delay", "2", "--by-line")
    Path("text.txt").write_text("a b c d\n")
    said = refused(*options, model="masks.keras")
    assert "padding or that the model masks" in said
    pads = ("--pad", "left", "--pad-id", "6")
    said = refused(*options, *pads, model="fixed.keras")
    assert "padding or that the model masks" in said

    def stops(*given, **options):
        yield from ()
        raise ValueError("broken off")

    monkeypatch.setattr("state_gradients.engine.positions.position_blocks", stops)
    assert "broken off" in refused("--per-position", "each.nc", "--max-delay", "2")
