"""Inputs that are no words: as the engine is asked, and each way to get them wrong."""

import hashlib
from pathlib import Path

import inspected
import numpy as np
import pytest
import pytorch_equations
from inspected import FEATURES, of_numbers, of_weather, save, write_files, write_inputs
from safetensors.numpy import save_file

from state_gradients import figures, inspection
from state_gradients.models import saved

folder, registry, curves = inspected.folder, inspected.registry, inspected.curves


def test_numbers_are_asked_in_windows_as_the_engine_is(folder):
    model, values = of_weather(), write_inputs()
    done = of_numbers("--context", "6", "--layer", "2", "--state", "hidden")
    assert done.exit_code == 0, done.stderr
    curves = inspection.read("inspection-weather")
    trials = [values[:6], values[6:12], values[12:]]
    expected = inspection.inspect_model(
        model, inputs=trials, layer=2, state="hidden", max_delay=3
    )
    for name in ("memory", "s", "feature_memory", "n_samples"):
        np.testing.assert_allclose(curves[name], expected[name], rtol=1e-6)
    assert curves["feature"].values.tolist() == FEATURES
    assert curves["n_samples"].values.tolist() == [13, 10, 8, 6]
    reading = "windows of 6 steps of one trial"
    assert (curves.attrs["reading"], curves.attrs["n_features"]) == (reading, 3)
    assert done.stdout.startswith(f"weather.keras, inputs read as {reading}\n")
    memory = curves["feature_memory"].values  # delays 0..3
    best_first = [FEATURES[k] for k in np.argsort(-memory.sum(axis=0))]
    rows = done.stdout.splitlines()[3:6]
    assert [row.split()[0] for row in rows] == best_first
    at_zero = [float(row.split()[1]) for row in rows]
    np.testing.assert_allclose(sorted(at_zero), sorted(memory[0]), atol=1e-5)
    for file in ("weather.keras", "inputs.csv"):
        key = "model_sha256" if file == "weather.keras" else "inputs_sha256"
        hashed = hashlib.sha256(Path(file).read_bytes()).hexdigest()
        assert curves.attrs[key] == hashed


def test_the_figure_of_numbers_counts_steps(folder, curves, monkeypatch):
    axes = []
    draw = figures.plot_selectivity
    monkeypatch.setattr(
        figures,
        "plot_selectivity",
        lambda data, ax: axes.append(draw(data, ax=ax)),
    )
    inspection.write(curves.assign_attrs(inputs="inputs.csv"), "made")
    assert axes[0].get_xlabel() == "delay (steps)"


def test_weights_of_pytorch_are_given_numbers(folder):
    rng = np.random.default_rng(0)
    weights = pytorch_equations.state_dict("GRU", rng, inputs=3, units=5)
    weights = {name: value.astype(np.float32) for name, value in weights.items()}
    save_file(weights, "weather.safetensors")
    values = write_inputs()
    done = of_numbers(model="weather.safetensors")
    assert done.exit_code == 0, done.stderr

    def run(inputs):
        return pytorch_equations.states("GRU", weights, inputs)["hidden"]

    mean = pytorch_equations.mean_gradients(run, values, max_delay=3)
    found = inspection.read("inspection-weather")["memory"].sel(normalization="raw")
    # a chain of float32, some 1e-6 of its largest entry
    np.testing.assert_allclose(found, np.linalg.svdvals(mean)[:, 0], rtol=1e-5)


NUMBERS = {  # what is done before, options, what is said
    "inputs longer than the model takes, without --context": (
        write_inputs,
        (),
        "takes 6 steps at a time, received one of 13. Give --context 6",
    ),
    "--context beyond the model's length": (
        write_inputs,
        ("--context", "7"),
        "takes 6 steps at a time, received one of 7",
    ),
    "inputs with other features": (
        lambda: write_inputs(columns=["temperature", "wind"]),
        (),
        "3 features that the model reads, received 2: ['temperature', 'wind']",
    ),
    "inputs with a gap, in a file": (
        lambda: write_inputs(5, wind=[1, 2, np.nan, 3, 4]),
        (),
        "the first in trial 0, step 2, feature wind",
    ),
    "inputs shorter than the delays": (
        lambda: write_inputs(3),
        (),
        "received 3 steps, read as one trial; at most 2 will do",
    ),
    "inputs and options of words": (
        lambda: write_inputs(5),
        ("--by-line",),
        "--property, --per-position and --influence are of words",
    ),
    "inputs and a text": (
        lambda: write_inputs(5),
        ("--text", "text.txt"),
        "--text must be given, or --inputs for a model that reads numbers, received b",
    ),
    "inputs for a model of words": (
        lambda: (write_inputs(5), save("weather.keras", size=3)),
        (),
        "read numbers, not ids",
    ),
}


def refusal_of_numbers(case, folder):
    """Return what is said in a folder with a model of numbers."""
    prepare, options, _ = NUMBERS[case]
    with pytest.MonkeyPatch.context() as patch:
        write_files(folder, patch)
        of_weather()
        prepare()
        before = sorted(Path().rglob("*"))
        done = of_numbers(*options)
        assert done.exit_code == 1, done.stdout
        assert sorted(Path().rglob("*")) == before
    return done.stderr[done.stderr.index("error: ") :].strip()


@pytest.mark.parametrize("case", NUMBERS)
def test_numbers_that_do_not_fit_the_model_are_refused(tmp_path, case):
    assert NUMBERS[case][2] in refusal_of_numbers(case, tmp_path)


def test_inputs_edited_while_they_are_read_are_refused(folder, monkeypatch):
    of_weather()
    write_inputs(5)
    load = saved.load_model

    def load_and_edit(*arguments, **options):
        Path("inputs.csv").write_bytes(Path("inputs.csv").read_bytes() + b"\n")
        return load(*arguments, **options)

    monkeypatch.setattr(saved, "load_model", load_and_edit)
    done = of_numbers()
    assert done.exit_code == 1
    assert "inspection: inputs.csv must stay as it is while it is read" in done.stderr
