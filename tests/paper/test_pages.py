import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from artifact_project import dataset, fill, make_project

from state_gradients.foundation import settings
from state_gradients.paper.book import (
    average_memory,
    effects,
    language_models,
    ledger_tables,
    pages,
    records,
    synthetic,
)
from state_gradients.paper.book.pages import DASH
from state_gradients.project import artifacts


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project in which the baseline has been run, and nothing else."""
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    make_project(tmp_path)
    fill(tmp_path, "ptb-lstm-256")
    return tmp_path


def save(root, name, kind, data):
    artifacts.save(data, settings.load_experiment(name, root=root), kind, root=root)


def test_say_keeps_texts_as_strings(monkeypatch):
    kept = {}
    monkeypatch.setattr(pages, "glue", lambda name, x, display: kept.update({name: x}))
    pages.say(n=3, name="a <b>")
    assert kept == {"n": "3", "name": "a <b>"}


@pytest.mark.parametrize("index", [False, True])
def test_tables_show_tags_as_text_and_have_the_same_ids_at_every_run(index):
    frame = pd.DataFrame({"<unk>": ["<eos>", "a & b"]}, index=["<s>", "t"])
    first, again = (
        pages.table(frame, "one", index=index, wide=True).to_html() for _ in range(2)
    )
    assert first == again
    assert "&lt;eos&gt;" in first and "&lt;unk&gt;" in first and "a &amp; b" in first
    assert ("&lt;s&gt;" in first) is index
    assert not any(tag in first for tag in ("<eos>", "<unk>", "<s>"))
    assert 'id="T_one" class="dataframe wide"' in first
    assert 'class="dataframe"' in pages.table(frame, "two").to_html()


def test_a_twin_is_the_untrained_experiment_of_the_same_name_and_must_have_run(project):
    assert pages.twin_of("ptb-lstm-256") is None  # known, not run
    told = pages.about_twin("ptb-lstm-256").data
    assert "run `state-gradients reproduce ptb-lstm-256-untrained`" in told
    assert "define" not in told
    fill(project, "ptb-lstm-256-untrained")
    assert pages.twin_of("ptb-lstm-256") == "ptb-lstm-256-untrained"
    assert pages.about_twin("ptb-lstm-256") is None
    # another network never gets the baseline's
    assert pages.twin_of("ptb-gru-256") is None
    assert "define `ptb-gru-256-untrained`" in pages.about_twin("ptb-gru-256").data


def test_a_twin_that_the_settings_do_not_know_any_more_is_none(project):
    fill(project, "ptb-lstm-256-untrained")
    params = project / "params.yaml"
    kept = [x for x in params.read_text().splitlines() if "untrained" not in x]
    params.write_text("\n".join(kept) + "\n")
    assert pages.twin_of("ptb-lstm-256") is None


def test_what_has_not_been_run_is_named_once_with_its_command(project):
    members = {
        "cell": ("ptb-lstm-256", "cell"),
        "GRU": ("ptb-gru-256", "hidden"),
        "GRU again": ("ptb-gru-256", "hidden"),
    }
    lines = pages.missing(members).data.splitlines()
    assert lines == ["Not run yet:", "", "- `state-gradients reproduce ptb-gru-256`"]
    assert pages.missing({"cell": ("ptb-lstm-256", "cell")}) is None
    runs = {"both": (("ptb-lstm-256", "ptb-gru-256"), "hidden")}
    assert pages.missing(runs).data.splitlines() == lines


def test_control_texts_that_are_not_there_are_asked_for(project):
    assert "reproduce ptb-lstm-256`" in pages.about_controls("ptb-lstm-256").data
    (project / "data" / "artifacts" / "ptb-lstm-256" / "controls.nc").touch()
    assert pages.about_controls("ptb-lstm-256") is None


def test_results_of_scripts_are_read_from_the_root_or_asked_for(project, monkeypatch):
    (project / "notebooks").mkdir()
    monkeypatch.chdir(project / "notebooks")
    with pytest.raises(FileNotFoundError, match=r"is missing; run `python x\.py`"):
        pages.read_result("data/x.nc", "python x.py")
    data = xr.Dataset({"memory": ("delay", [1.0, 0.5])})
    data.to_netcdf(project / "data" / "x.nc", engine="h5netcdf")
    xr.testing.assert_identical(pages.read_result("data/x.nc", "python x.py"), data)


def test_curves_of_what_has_run_stand_on_one_axis_whitened(project):
    members = {"one": ("ptb-lstm-256", "hidden"), "two": ("ptb-gru-256", "hidden")}
    whole = dataset("spectra", effective_rank=1.0)
    curves = whole["memory"].assign_attrs(whole["memory"].attrs)
    whole["effective_rank"] = curves.copy(data=curves.values + 1)
    save(project, "ptb-lstm-256", "spectra", whole)
    found = average_memory.together(members)
    assert found.sizes == {"experiment": 1, "delay": 3}
    assert list(found["experiment"]) == ["one"]
    expected = whole["memory"].sel(
        state_kind="hidden", group="all", normalization="whitened"
    )
    np.testing.assert_array_equal(found["memory"][0], expected)
    assert average_memory.together({"two": members["two"]}) == {}
    lines = average_memory.lines({"x": expected, "y": 2 * expected}, "curve")
    assert lines.dims == ("curve", "delay") and list(lines["curve"]) == ["x", "y"]
    np.testing.assert_array_equal(lines.sel(curve="y"), 2 * expected)


def test_intervals_stand_on_one_axis_and_read_as_text(project):
    whole = dataset("intervals")
    whole = whole.assign_coords(quantity=["memory", "selectivity"])
    whole["observed"] = whole["estimate"]
    save(project, "ptb-lstm-256", "intervals", whole)
    band = average_memory.bands({"one": ("ptb-lstm-256", "cell")})
    assert set(band) == {"lower", "upper"}
    expected = whole.isel(group=0).sel(state_kind="cell")
    np.testing.assert_array_equal(
        band["upper"].sel(experiment="one"), expected["upper"].isel(normalization=-1)
    )
    at = {"quantity": 1, "delay": 2}
    raw = [float(expected[x].isel(at)[0]) for x in ("observed", "lower", "upper")]
    text = average_memory.within(expected, "selectivity", -1, normalization=0)
    assert text == f"{raw[0]:.3g} [{raw[1]:.3g}, {raw[2]:.3g}]"
    assert average_memory.within(expected, "selectivity", -1) != text


def test_a_band_is_missing_where_an_experiment_has_no_intervals(project):
    whole = dataset("intervals").assign_coords(quantity=["memory", "selectivity"])
    members = {"with": ("ptb-lstm-256", "cell"), "without": ("ptb-gru-256", "hidden")}
    fill(project, "ptb-gru-256")
    assert average_memory.bands(members) is None
    told = pages.about_intervals("ptb-gru-256").data
    assert "has no intervals" in told and "reproduce ptb-gru-256`" in told
    save(project, "ptb-lstm-256", "intervals", whole)
    assert pages.about_intervals("ptb-lstm-256") is None
    band = average_memory.bands(members)
    assert list(band["experiment"]) == ["with", "without"]
    assert np.isfinite(band["upper"].sel(experiment="with")).all()
    assert band["upper"].sel(experiment="without").isnull().all()


def test_without_intervals_numbers_are_read_from_the_spectra(project):
    whole = dataset("spectra", effective_rank=1.0)
    whole["effective_rank"] = whole["memory"].copy()
    save(project, "ptb-lstm-256", "spectra", whole)
    found = average_memory.interval_of("ptb-lstm-256", "hidden")
    assert set(found) == {"observed"}
    at = whole["total"].sel(state_kind="hidden", normalization="raw", delay=2)
    text = average_memory.within(found, "total", -1, normalization=0)
    assert text == f"{float(at[0]):.3g}"


def test_several_runs_are_drawn_as_their_mean_and_range(project):
    runs = ("ptb-lstm-256", "ptb-gru-256", "ptb-lstm-256-untrained")
    values = []
    for seed, name in enumerate(runs[:2]):
        spectra = dataset("spectra", seed=seed, effective_rank=1.0)
        spectra["effective_rank"] = spectra["memory"].copy()
        fill(project, name, ["encoder", "gradients"])
        save(project, name, "spectra", spectra)
        at = {"state_kind": "hidden", "group": "all", "normalization": "whitened"}
        values.append(spectra["selectivity"].sel(at).values)
    members = {"all": (runs, "hidden"), "one": (runs[0], "hidden")}
    found, ends = average_memory.together(members), average_memory.spread(members)
    mean = found["selectivity"].sel(experiment="all")
    np.testing.assert_allclose(mean, (values[0] + values[1]) / 2, rtol=1e-6)
    np.testing.assert_array_equal(found["selectivity"].sel(experiment="one"), values[0])
    for end, bound in (("lower", np.minimum), ("upper", np.maximum)):
        drawn = ends[end].sel(quantity="selectivity")
        np.testing.assert_array_equal(drawn.sel(experiment="all"), bound(*values))
        np.testing.assert_array_equal(drawn.sel(experiment="one"), values[0])
    assert average_memory.count_runs(members) == "all: 2 of 3, one: 1 of 1"
    assert average_memory.spread({"none": (runs[2], "hidden")}) is None


def test_runs_of_an_experiment_are_its_seeds_that_are_defined(project):
    assert pages.runs_of("ptb-gru-256") == ("ptb-gru-256",)
    params = project / "params.yaml"
    params.write_text(params.read_text() + "  ptb-gru-256-seed3: {}\n")
    assert pages.runs_of("ptb-gru-256") == ("ptb-gru-256", "ptb-gru-256-seed3")


def test_what_six_directions_hold_is_told_beside_what_five_hold(project):
    spectra = dataset("spectra")
    names = ("state_kind", "group", "normalization", "delay")
    s = np.ones((2, 1, 2, 3, 8)) * np.arange(8.0, 0, -1)
    spectra = spectra.drop_vars(["s", "total"])
    about = {"long_name": "x", "units": "1", "equation": "x"}
    spectra["s"] = ((*names, "component"), s, about)
    spectra["total"] = (names, s.sum(-1), about)
    save(project, "ptb-lstm-256", "spectra", spectra)
    # 8 + 7 + 6 + 5 + 4 of 36, and 3 more
    told = effects.sixth_direction("ptb-lstm-256", delays=(1, 2))
    assert told == "share of five 0.833, of six 0.917 (delays 1 to 2)"


def test_effects_are_differences_to_the_baseline_or_say_what_to_run(project):
    for name, value in (("ptb-lstm-256", 100.0), ("ptb-gru-256", 108.25)):
        save(project, name, "training", dataset("training", test_perplexity=value))
    assert effects.perplexity_effect("ptb-gru-256", "ptb-lstm-256") == 8.25
    assert effects.told_effect("ptb-gru-256", "ptb-lstm-256") == "+8.2 test perplexity"
    told = "not measured yet: state-gradients reproduce synthetic-seed1"
    assert effects.told_effect("synthetic-seed1", "ptb-lstm-256") == told
    assert effects.told_effect("ptb-lstm-256", "synthetic-seed1") == told


def test_the_effect_of_the_cut_is_relative_to_the_text(project):
    controls = dataset("controls").isel(control=[0, 0, 0])
    controls = controls.assign_coords(control=["text", "window 200", "shuffled text"])
    memory = xr.ones_like(controls["memory"])
    shares = xr.DataArray([1, 0.9, 5], coords={"control": controls["control"]})
    controls["memory"] = (memory * shares).transpose(*memory.dims)
    controls["memory"].attrs = memory.attrs
    save(project, "ptb-lstm-256", "controls", controls)
    told = effects.cut_effect("ptb-lstm-256", delays=(0, 2))
    assert told == "memory -10.0 % (delay 0), -10.0 % (delay 2)"


def test_records_give_each_way_its_time_and_nothing_to_what_was_not_measured(tmp_path):
    folder = tmp_path / "benchmarks" / "records" / "every-type"
    folder.mkdir(parents=True)
    record = {
        "engine": {"ms_per_token": 5.0},
        "peers": {"per_component": {"ms_per_token": 900.0}, "jax_jacrev": "no jax"},
    }
    (folder / "b.json").write_text(json.dumps(record))
    (folder / "a.json").write_text("{}")
    read = records.read_records("every-type", root=tmp_path)
    assert list(read) == ["a", "b"]
    times = records.times(read["b"], 4.0)
    assert list(times.index) == list(records.WAYS.values())
    expected = [4.0, 5.0, np.nan, np.nan, 900.0]
    np.testing.assert_array_equal(times.values, expected)


def probes(rng, runs, shift=0.0):
    """Return probes of several runs, with what the synthetic tables read."""
    names = {
        "run": [f"r{i}" for i in range(runs)],
        "representation": ["cell", "hidden"],
        "target": ["token", "new", "count"],
        "delay": range(51),
        "split": ["valid", "test"],
        "evaluation": ["1 x 1", "20 x 200"],
    }
    of_lda = ("run", "representation", "target")
    dims = {
        "lda_accuracy": of_lda,
        "lda_balanced_accuracy": of_lda,
        "majority_rate": ("run", "target"),
        "new_recall": ("run", "representation"),
        "delay_accuracy": ("run", "representation", "delay"),
        "perplexity": ("run", "split", "evaluation"),
        "unexpected_mistakes": ("run",),
        "predictions": ("run",),
    }
    variables = {
        name: (axes, shift + rng.random([len(names[axis]) for axis in axes]))
        for name, axes in dims.items()
    }
    return xr.Dataset(variables, coords=names)


def test_spread_is_mean_and_deviation_over_the_runs():
    values = xr.DataArray([1.0, 2.0, 4.0], dims="run")
    deviation = np.sqrt(((values - 7 / 3) ** 2).sum() / 2)
    assert synthetic.spread(values, ".3f") == f"2.333 ± {float(deviation):.3f}"
    assert synthetic.spread(values[:1], ".1f") == "1.0"


def test_table_1_sets_published_beside_ours(rng):
    data = probes(rng, 2)
    ids = {"table1-cell-token": 93, "table1-hidden-count": 80}
    ledger = pd.DataFrame({"published": ids.values()}, index=list(ids))
    table = synthetic.table_1(data, ledger)
    assert list(table.index) == ["cell", "hidden", "commonest class"]
    assert list(table["token", "published"]) == ["93", DASH, DASH]
    assert list(table["count", "published"]) == [DASH, "80", DASH]
    ours = 100 * data["lda_accuracy"].sel(representation="hidden", target="count")
    assert table.loc["hidden", ("count", "accuracy")] == synthetic.spread(ours, ".1f")
    recall = 100 * data["new_recall"].sel(representation="cell")
    expected = synthetic.spread(recall, ".1f")
    assert table.loc["cell", ("new token", "recall")] == expected
    majority = synthetic.spread(100 * data["majority_rate"].sel(target="new"), ".1f")
    assert table.loc["commonest class", ("new token", "accuracy")] == majority


def test_settings_stand_beside_each_other_and_are_never_pooled(rng, monkeypatch):
    made = {"a1": probes(rng, 1), "a2": probes(rng, 1), "b1": probes(rng, 1, shift=9)}
    monkeypatch.setattr(synthetic, "has_run", lambda name, kind: name in made)
    monkeypatch.setattr(
        synthetic.artifacts,
        "load",
        lambda name, kind: made[name].isel(run=0, drop=True),
    )
    settings_of = {"a": ["a1", "a2", "a3"], "b": ["b1"], "c": ["c1"]}
    table = synthetic.beside(settings_of)
    assert list(table["runs"]) == ["2 of 3", "1 of 1", "0 of 1"]
    assert set(table.loc["c"]) == {"0 of 1", DASH}
    test = [float(made[x]["perplexity"][0, 1, 0]) for x in ("a1", "a2", "b1")]
    mean, spread = np.mean(test[:2]), np.std(test[:2], ddof=1)
    assert table.loc["a", "test perplexity"] == f"{mean:.4f} ± {spread:.4f}"
    assert table.loc["b", "test perplexity"] == f"{test[2]:.4f}"
    read = 100 * made["b1"]["delay_accuracy"][0, 0]
    assert table.loc["b", "at 33-49, %"] == f"{float(read[33:50].mean()):.0f}"
    column = "new token read at delays 0-31, %"
    assert table.loc["b", column] == f"{float(read[:32].mean()):.0f}"


def test_table_2_has_a_row_a_model_and_dashes_for_what_has_not_run(project):
    save(project, "ptb-lstm-256", "training", dataset("training", epochs_run=27))
    rows = pd.DataFrame(
        {
            "model": ["B", "B", "A", "A"],
            "split": ["test", "valid"] * 2,
            "published": [103.8, 103.3, 648.3, 686.4],
            "ours": [101.0, 104.0, None, None],
            "uncertainty": [0.26, np.nan, np.nan, np.nan],
            "difference": [-2.7, 0.7, np.nan, np.nan],
            "verdict": ["within", "within", "not run", "not run"],
            "name": ["ptb-lstm-256", "ptb-lstm-256", "ptb-gru-256", "ptb-gru-256"],
        }
    )
    table = language_models.table_2(rows)
    assert list(table.index) == ["B", "A"]  # in the paper's order
    assert table.loc["B", ("test", "ours")] == "101.0 ± 0.3"
    assert table.loc["B", ("validation", "ours")] == "104.0"
    assert table.loc["B", ("test", "difference")] == "-2.7 %"
    assert table.loc["B", ("training", "epochs")] == "27"
    assert table.loc["A", ("validation", "published")] == "686.4"
    assert table.loc["A", ("test", "ours")] == DASH
    assert table.loc["A", ("training", "epochs")] == DASH


def test_the_ledger_reads_in_words_and_every_row_has_a_section(root):
    rows = ledger_tables.by_section(root)
    assert rows["section"].notna().all()
    counts = ledger_tables.counts(rows)
    assert counts.loc["all", "all"] == len(rows)
    assert (counts.drop(columns="all").sum(axis=1) == counts["all"]).all()
    texts = ledger_tables.readable(rows)
    row = rows.query("kind == 'percent' and difference == difference").iloc[0]
    text = texts.loc[row.name]
    assert text["difference"] == f"{row['difference']:+.1f} points"
    assert text["verdict"].endswith(row["verdict"])
    assert f"± {row['uncertainty']:.2g}" in text["ours"]
    assert (texts.loc[rows["verdict"] == "not run", "difference"] == DASH).all()
    html = ledger_tables.show(rows, "Whitening").to_html()
    assert 'class="dataframe wide"' in html and "background-color" in html
