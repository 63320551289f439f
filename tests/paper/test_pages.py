import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from artifact_project import dataset, fill, make_project

from state_gradients.foundation import settings
from state_gradients.paper import ledger
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
    told = average_memory.in_numbers(members | {"none": (runs[2], "hidden")}, (0, 2))
    assert list(told["runs", ""]) == ["2 of 3", "1 of 1", "0 of 1"]
    low, high = np.minimum(*values)[2], np.maximum(*values)[2]
    assert told.loc["all", ("selectivity", "delay 2")] == (
        f"{(low + high) / 2:.2g} [{low:.2g}, {high:.2g}]"
    )
    assert told.loc["one", ("selectivity", "delay 2")] == f"{values[0][2]:.2g}"
    assert set(told.loc["none"]) == {"0 of 1", DASH}
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


RECORDINGS = ["one stream", "20 rows, row by row", "20 rows, step by step"]
PARTS = ["cell", "hidden", "cell counting", "cell, means removed"]


def random_study(rng, shift):
    """Return probes and readings of one run, with what the synthetic tables read."""
    names = {
        "recording": RECORDINGS,
        "representation": PARTS,
        "target": ["token", "new", "count"],
        "split": ["valid", "test"],
        "evaluation": ["1 x 1", "20 x 200"],
    }
    of_lda = ("recording", "representation", "target")
    dims = {
        "lda_accuracy": of_lda,
        "lda_balanced_accuracy": of_lda,
        "majority_rate": ("recording", "target"),
        "new_recall": ("recording", "representation"),
        "count_variance_5": ("recording",),
        "unexpected_mistakes": ("recording", "split"),
        "perplexity": ("split", "evaluation"),
    }
    variables = {
        name: (axes, shift + rng.random([len(names[axis]) for axis in axes]))
        for name, axes in dims.items()
    }
    whole = xr.Dataset(variables, coords=names)
    whole["unexpected_mistakes"] *= 1_000  # whole numbers that differ
    kept = ["perplexity"]
    return {"probes": whole[kept], "readings": whole.drop_vars([*kept, "evaluation"])}


@pytest.fixture
def studies(rng, monkeypatch):
    """Artifacts by experiment: two runs of one setting, one of another."""
    found = {x: random_study(rng, shift=9 * (x == "b1")) for x in ("a1", "a2", "b1")}
    monkeypatch.setattr(synthetic, "has_run", lambda name, kind: name in found)
    monkeypatch.setattr(synthetic.artifacts, "load", lambda x, kind: found[x][kind])
    return found


def test_spread_is_mean_and_deviation_over_the_runs():
    values = xr.DataArray([1.0, 2.0, 4.0], dims="run")
    deviation = np.sqrt(((values - 7 / 3) ** 2).sum() / 2)
    assert synthetic.spread(values, ".3f") == f"2.333 ± {float(deviation):.3f}"
    assert synthetic.spread(values[:1], ".1f") == "1.0"


def published_numbers():
    rows = ledger.read_published()
    return {row["id"]: row["published"] for row in rows}


def test_settings_stand_beside_each_other_and_are_never_pooled(studies):
    settings_of = {"a": ["a1", "a2", "a3"], "b": ["b1"], "c": ["c1"]}
    assert synthetic.made(settings_of["a"]) == ["a1", "a2"]
    table = synthetic.read(settings_of, published_numbers())
    assert [*table] == [
        ("published", ""),
        *(("a", recording) for recording in RECORDINGS),
        *(("b", recording) for recording in RECORDINGS),
        ("c", "not run"),
    ]
    assert set(table["c", "not run"]) == {DASH}
    row = table.loc["cell, other 45: count"]
    at = {"representation": "cell, means removed", "target": "count"}
    for recording in RECORDINGS:
        ours = [
            100
            * float(
                studies[x]["readings"]["lda_accuracy"].sel(
                    at | {"recording": recording}
                )
            )
            for x in ("a1", "a2", "b1")
        ]
        mean, deviation = np.mean(ours[:2]), np.std(ours[:2], ddof=1)
        assert row["a", recording] == f"{mean:.0f} ± {deviation:.0f}"
        assert row["b", recording] == f"{ours[2]:.0f}"
    assert row["published", ""] == "17"
    share = studies["b1"]["readings"]["count_variance_5"].sel(recording=RECORDINGS[1])
    assert table.loc["variance in five", ("b", RECORDINGS[1])] == f"{100 * share:.0f}"
    assert table.loc["variance in five", ("published", "")] == "99"


def test_predictions_stand_beside_the_published_by_way_of_reading(studies):
    settings_of = {"a": ["a1", "a2"], "b": ["b1"], "c": ["c1"]}
    table = synthetic.predicted(settings_of, published_numbers())
    ways = ["1 x 1", "20 x 200"]
    assert [*table] == [
        ("published", ""),
        *(("a", way) for way in ways),
        *(("b", way) for way in ways),
        ("c", "not run"),
    ]
    assert list(table["published", ""]) == ["1.2906", "1.1932", DASH, "15"]
    for way, recording in zip(ways, (RECORDINGS[0], RECORDINGS[2]), strict=True):
        for split, title in (("valid", "validation"), ("test", "test")):
            of_runs = [
                float(
                    studies[x]["probes"]["perplexity"].sel(split=split, evaluation=way)
                )
                for x in ("a1", "a2")
            ]
            mean, deviation = np.mean(of_runs), np.std(of_runs, ddof=1)
            told = table.loc[f"perplexity, {title}", ("a", way)]
            assert told == f"{mean:.4f} ± {deviation:.4f}"
            mistakes = studies["b1"]["readings"]["unexpected_mistakes"]
            expected = mistakes.sel(split=split, recording=recording)
            told = table.loc[f"unexpected mistakes, {title}", ("b", way)]
            assert told == f"{float(expected):.0f}"


def test_table_1_has_the_published_ring_and_mean_and_range_of_each_way(studies):
    published = published_numbers()
    ways = {"rows": (["a1", "a2"], RECORDINGS[1]), "stream": (["b1"], RECORDINGS[0])}
    marks = synthetic.table_1(ways, published)
    assert list(marks["way"]) == ["published", "rows", "stream"]
    row = "cell, other 45: count"
    at = {"representation": "cell, means removed", "target": "count"}
    a1, a2, b1 = (
        100 * studies[x]["readings"]["lda_accuracy"].sel(at) for x in ("a1", "a2", "b1")
    )
    pair = [float(x.sel(recording=RECORDINGS[1])) for x in (a1, a2)]
    ours = marks.sel(way="rows", row=row)
    found = [float(ours[name]) for name in ("mean", "lower", "upper")]
    np.testing.assert_allclose(found, [np.mean(pair), min(pair), max(pair)], rtol=1e-12)
    one = marks["mean"].sel(way="stream", row=row)
    assert float(one) == float(b1.sel(recording=RECORDINGS[0]))
    assert float(marks["mean"].sel(way="published", row=row)) == 17
    share = 100 * studies["b1"]["readings"]["count_variance_5"].sel(
        recording="one stream"
    )
    assert float(marks["mean"].sel(way="stream", row="variance in five")) == share
    # the rows are those of the table in numbers
    table = synthetic.read({"a": ["a1", "a2"]}, published)
    assert list(marks["row"].values) == list(table.index)


def test_published_numbers_are_counted_by_their_distance_from_the_range():
    ends = {
        "mean": [50, 50, 50, 50],
        "lower": [47, 50, 54, 10],
        "upper": [49, 50, 55, 90],
    }
    marks = xr.Dataset(
        {name: (("row",), np.array(x, float)) for name, x in ends.items()}
    )
    theirs = xr.full_like(marks, 50.0)
    both = xr.concat([theirs, marks], pd.Index(["published", "ours"], name="way"))
    counts = [synthetic.n_within(both, "ours", points) for points in (0, 1, 3.9, 4)]
    assert counts == [2, 3, 3, 4]  # inside twice; 1 above one range, 4 below another


def test_new_tokens_are_told_by_measures_that_the_commonest_class_cannot_win(studies):
    table = synthetic.new_tokens({"a": ["a1", "a2"], "c": ["c1"], "b": ["b1"]})
    measures = ("accuracy", "balanced", "recall")
    assert [*table] == [(title, m) for title in "ab" for m in measures]
    readings = studies["b1"]["readings"].sel(recording="one stream")
    at = readings.sel(representation="hidden")
    expected = [
        at["lda_accuracy"].sel(target="new"),
        at["lda_balanced_accuracy"].sel(target="new"),
        at["new_recall"],
    ]
    assert list(table.loc["hidden", "b"]) == [f"{100 * float(x):.1f}" for x in expected]
    guess = 100 * float(readings["majority_rate"].sel(target="new"))
    assert list(table.loc["commonest class", "b"]) == [f"{guess:.1f}", "33.3", "0.0"]


@pytest.mark.parametrize(
    ("perplexity", "epochs"),
    [
        ([9.0, 8.0, 8.1, 8.2, 7.9999, 5.0], 5),  # little better than the best counts
        ([9.0, 8.0, 8.1, 8.2, 7.0, 6.0], None),
        ([9.0, 9.0, 9.0, 9.0], 4),
        ([9.0, 9.0, 9.0], None),
    ],
)
def test_a_run_would_stop_where_training_would_have(perplexity, epochs):
    from state_gradients.models import training

    rule = settings.Training(patience=3, min_improvement=0.0002)
    assert synthetic.stops_after(perplexity, rule) == epochs
    ends = [training.has_settled(perplexity[:n], rule) for n in range(1, 7)]
    assert (ends.index(True) + 1 if any(ends) else None) == epochs


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


def test_a_control_is_shown_beside_the_baseline_and_a_dash_before_it_has_run(project):
    for name, test in (("ptb-lstm-256", 100.0), ("ptb-gru-256", 108.25)):
        made = dataset("training", test_perplexity=test, valid_perplexity_final=90.0)
        save(project, name, "training", made)
    names = ["ptb-gru-256", "ptb-lstm-256", "synthetic-seed1"]
    told = {name: f"what {name} changes" for name in names}
    table = language_models.controls(told, "ptb-lstm-256")
    assert list(table.index) == names
    effect = "test, against the baseline"
    assert list(table[effect]) == ["+8.2", "+0.0", DASH]
    assert list(table["validation"]) == ["90.0", "90.0", DASH]
    assert table.loc["ptb-gru-256", "change"] == "what ptb-gru-256 changes"
    assert language_models.told_change(names[0], names[1]) == "+8.2"
    assert "not measured" in language_models.told_change(names[2], names[1])


def test_footnote_3_sets_given_embeddings_beside_trained_ones(monkeypatch):
    known = {"note3-50-pretrained": 111.0, "note3-50-trained": 99.0}
    ids = [name for pair in language_models.NOTE_3.values() for name in pair]
    rows = pd.DataFrame({"id": ids, "published": np.arange(6.0)})
    rows = rows.assign(ours=rows["id"].map(known).astype(object), kind="perplexity")
    monkeypatch.setattr(language_models.ledger, "table", lambda only: rows)
    table = language_models.note_3()
    assert list(table.index) == [*language_models.NOTE_3]
    assert list(table["published", "given over trained"]) == ["-1.0"] * 3
    assert list(table["ours", "given over trained"]) == [DASH, "+12.0", DASH]
    assert table.loc["200 steps", ("published", "given")] == "4.0"
    assert table.loc["200 steps", ("ours", "trained")] == DASH


def test_the_ledger_reads_in_words_and_every_row_has_a_section(root):
    rows = ledger_tables.by_section(root)
    assert rows["section"].notna().all()
    counts = ledger_tables.counts(rows)
    assert counts.loc["all", "all"] == len(rows)
    assert (counts.drop(columns="all").sum(axis=1) == counts["all"]).all()
    texts = ledger_tables.readable(rows)
    row = rows.query("kind == 'percent' and uncertainty == uncertainty").iloc[0]
    text = texts.loc[row.name]
    assert f"({row['setting']}, {row['recording']})" in text["what"]
    assert text["difference"] == f"{row['difference']:+.1f} points"
    assert text["verdict"].endswith(row["verdict"])
    assert f"± {row['uncertainty']:.2g}" in text["ours"]
    assert (texts.loc[rows["verdict"] == "not run", "difference"] == DASH).all()
    html = ledger_tables.show(rows, "Whitening").to_html()
    assert 'class="dataframe wide"' in html and "background-color" in html


def test_inputs_that_share_a_basis_have_a_row_a_tolerance_and_none_in_old_records():
    row = {"ratio_50": 0.5612, "ratio_500": 0.9, "growth_in_delays": 0.2}
    row |= {"tolerance": 1e-4, "error": 1.2e-5, "peak_mb": 1234.4}
    other = row | {"tolerance": 1e-3, "error": 9e-5, "tokens": 4096}
    table = records.shared({"tokens": 2048, "low_rank": [row, other]})
    assert table.index.tolist() == ["0.0001", "0.001"]
    first = ["2,048", "0.561", "0.9", "0.2", "1.2e-05", "1,234"]
    assert table.iloc[0].tolist() == first
    assert table["tokens"].tolist() == ["2,048", "4,096"]
    assert table["distance of the mean"].tolist() == ["1.2e-05", "9e-05"]
    assert records.shared({}).shape == (0, len(records.SHARED))


def test_records_stand_side_by_side_with_what_each_has():
    old = {"date": "2026-01-01", "extensions": {"gru": 0.5}}
    new = {"date": "2026-02-02", "growth": {"tokens": 2}}
    new["extensions"] = {"gru": 0.625, "min_gru": 0.1}
    table = records.relative({"a": old, "b": new})
    assert table.index.tolist() == [
        ("when it doubles", "tokens"),
        ("beside the plain mean", "gru"),
        ("beside the plain mean", "min gru"),
    ]
    assert table["a, 2026-01-01"].tolist() == ["not measured", "0.50", "not measured"]
    assert table["b, 2026-02-02"].tolist() == ["2.00", "0.62", "0.10"]


@pytest.mark.parametrize(
    ("short", "long", "said"),
    [
        (0.44, 0.9, "both are met"),
        (0.46, 1.0, "the latter is met, the former is not"),
        (0.45, 1.1, "the former is met, the latter is not"),
        (0.5, 1.1, "neither is met"),
    ],
)
def test_the_aims_of_a_shared_basis_are_held_against_the_record(short, long, said):
    row = {"tolerance": 1e-3, "ratio_50": short, "ratio_500": long}
    better = {"tolerance": 1e-4, "ratio_50": 0, "ratio_500": 0}
    assert records.aims({"low_rank": [better, row]}) == said
    assert records.aims({"low_rank": [better]}) == "not measured in this record"


def test_a_gpu_is_not_run_until_its_record_is_there(tmp_path, root):
    slot = records.gpu_slot(root=tmp_path)
    assert slot == {"not run": records.ON_A_GPU}
    script = records.ON_A_GPU.split()[-1]
    assert (root / script).is_file()
    assert records.of_gpus(slot).loc[records.ON_A_GPU, "a GPU"] == "not run"
    assert records.by_lanes(slot).empty


def test_a_gpu_s_record_is_shown_and_what_failed_there_is_not_measured(tmp_path):
    run = {"cell": "lstm", "lanes": 4, "ms_per_token": 0.05, "share": 0.417}
    run |= {"device_ms_per_token": 0.04, "predicted_bytes": 2e8, "peak_bytes": 2.5e8}
    other = run | {"cell": "gru", "lanes": 32}
    del other["share"]
    record = {
        "engine, 4 lanes": run,
        "engine, 16 lanes": "failed: RuntimeError: no memory",
        "engine, gru": other,
        "products": {"float32": {"squares_tflops": 51.234}},
        "float64": {"engine, lstm": run | {"lanes": 16}, "products": "skipped"},
        "peers, jax.jacrev": "failed: no time",
    }
    folder = tmp_path / "benchmarks" / "records" / "gpu"
    folder.mkdir(parents=True)
    (folder / "h100.json").write_text(json.dumps(record))
    slot = records.gpu_slot(root=tmp_path)
    found = records.of_gpus(slot)["h100"]
    assert found["products in float32 (TFLOP/s)"] == "51.2"
    assert found["in float64 (TFLOP/s)"] == "not measured"
    assert found["jax.jacrev, 64 windows (ms a token)"] == "not measured"
    table = records.by_lanes(slot)
    expected = ["0.050", "0.040", "42%", "200", "250"]
    assert table.loc[("h100", "lstm", "float32", 4)].tolist() == expected
    assert table.loc[("h100", "gru", "float32", 32)].tolist()[2:] == ["", "200", ""]
    assert ("h100", "lstm", "float64", 16) in table.index
    assert len(table) == 3
