import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
from artifact_project import PARAMS, dataset, fill, make_project, states

from state_gradients.foundation import settings
from state_gradients.project import artifacts, freshness, kinds
from state_gradients.text import corpora

BASELINE, TWIN, GRU = "ptb-lstm-256", "ptb-lstm-256-untrained", "ptb-gru-256"
SEEDS = ["synthetic-seed1", "synthetic-seed2"]
ALL = [BASELINE, TWIN, GRU, *SEEDS]

# the stages of every experiment
WITHOUT_STUDIES = ["train", "extract", "analyse"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    root = make_project(tmp_path_factory.mktemp("finished"))
    for name in ALL:
        fill(root, name)
    assert set(states(root).values()) == {"fresh"}
    return root


@pytest.fixture
def project(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "project")


def _edit(project, old, new):
    file = project / "params.yaml"
    text = file.read_text()
    assert text.count(old) == 1
    file.write_text(text.replace(old, new))


def _not_fresh(project):
    return {key: state for key, state in states(project).items() if state != "fresh"}


def _whole(name, state="stale"):
    kinds = ["training", "encoder", "gradients", "spectra"]
    kinds += ["weights", "vocabulary"] if name == BASELINE else []
    return {(name, kind): state for kind in kinds}


def test_all_artifacts_of_all_experiments_are_listed_with_their_stage(project):
    table = artifacts.status(project)
    columns = ["experiment", "stage", "kind", "state", "why", "command"]
    assert list(table.columns) == columns
    assert list(table["experiment"].unique()) == ALL
    rows = table[table["experiment"] == SEEDS[0]]
    assert list(zip(rows["stage"], rows["kind"], strict=True)) == [
        ("train", "training"),
        ("train", "encoder"),
        ("train", "weights"),
        ("extract", "gradients"),
        ("analyse", "spectra"),
        ("analyse", "probes"),
        ("explain", "readings"),
    ]
    assert set(table["why"]) == set(table["command"]) == {""}


def test_a_clone_without_corpora_and_with_shuffled_times_is_fresh(
    project, tmp_path_factory, monkeypatch, rng
):
    def git(*arguments):
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *identity, *arguments], check=True, cwd=project)

    git("init", "-q")
    git("add", "-A")
    git("commit", "-qm", "all")
    clone = tmp_path_factory.mktemp("clone") / "project"
    git("clone", "-q", str(project), str(clone))
    for file in (clone / "data").rglob("*.*"):
        os.utime(file, (t := int(rng.integers(1, 2**31)), t))
    monkeypatch.setenv("STATE_GRADIENTS_CORPORA", str(clone / "nowhere"))
    assert set(states(clone).values()) == {"fresh"}
    assert len(states(clone)) == 6 + 4 + 4 + 7 + 7


@pytest.mark.parametrize("name", [TWIN, GRU, BASELINE])
def test_one_training_setting_makes_exactly_its_experiment_stale(project, name):
    old, new = {
        TWIN: ("{max_epochs: 0}", "{max_epochs: 1}"),
        GRU: ("{cell: gru}}", "{cell: gru}, training: {max_epochs: 3}}"),
        BASELINE: ("ptb-lstm-256: {}", "ptb-lstm-256: {training: {max_epochs: 3}}"),
    }[name]
    _edit(project, old, new)
    assert _not_fresh(project) == _whole(name)
    table = artifacts.status(project, [name])
    assert table["why"].str.startswith("training.max_epochs: ").all()
    assert set(table["command"]) == {f"state-gradients reproduce {name}"}
    assert list(artifacts.outdated(name, root=project)) == WITHOUT_STUDIES


def test_a_setting_of_the_extraction_leaves_training_fresh(project):
    _edit(project, "{cell: gru}}", "{cell: gru}, gradients: {max_delay: 9}}")
    expected = {(GRU, "gradients"): "stale", (GRU, "spectra"): "stale"}
    assert _not_fresh(project) == expected
    assert artifacts.outdated(GRU, root=project) == {
        "extract": "gradients is stale (gradients.max_delay: 50 -> 9)",
        "analyse": "spectra is stale (gradients.max_delay: 50 -> 9)",
    }


def test_a_baseline_setting_reaches_every_experiment_that_does_not_set_it(project):
    _edit(project, "corpus: {name: ptb}", "corpus: {name: ptb, repeat_eos: 2}")
    stale = {name for name, _ in _not_fresh(project)}
    # the generated corpus inherits the setting too, as the files' `config` records
    assert stale == set(ALL)
    _edit(project, "repeat_eos: 2", "repeat_eos: 1")
    assert _not_fresh(project) == {}


@pytest.mark.parametrize(
    ("stage", "stale"),
    [
        (
            "train",
            {"training", "encoder", "weights"}
            | {"gradients", "spectra", "probes", "readings", "vocabulary"},
        ),
        ("extract", {"gradients", "spectra", "probes", "readings"}),
        ("analyse", {"spectra", "probes", "vocabulary"}),
        ("explain", {"readings"}),
    ],
)
def test_a_raised_recipe_leaves_the_stages_before_it_fresh(
    project, monkeypatch, stage, stale
):
    then = kinds.STAGES[stage].recipe
    raised = replace(kinds.STAGES[stage], recipe=99)
    monkeypatch.setitem(kinds.STAGES, stage, raised)
    assert {kind for _, kind in _not_fresh(project)} == stale
    why = artifacts.status(project)["why"]
    assert set(why) <= {"", f"recipe of {stage}: {then} -> 99"}


def test_another_corpus_behind_the_same_settings_makes_all_stale(project, monkeypatch):
    fingerprint = corpora.fingerprint

    def changed(corpus):
        return "0" * 64 if corpus.name == "ptb" else fingerprint(corpus)

    monkeypatch.setattr(corpora, "fingerprint", changed)
    assert _not_fresh(project) == _whole(BASELINE) | _whole(TWIN) | _whole(GRU)
    why = set(artifacts.status(project, [GRU])["why"])
    assert why == {"the corpus ptb: other text"}


def test_an_absent_text_of_the_readers_own_is_not_judged(project, monkeypatch):
    def absent(corpus):
        raise FileNotFoundError("mine.txt")

    monkeypatch.setattr(corpora, "fingerprint", absent)
    assert _not_fresh(project) == {}


def test_other_upstream_arrays_are_noticed_and_equal_ones_are_not(project):
    fill(project, GRU, ["encoder"])  # the same arrays again
    assert _not_fresh(project) == {}
    fill(project, GRU, ["encoder"], seed=1)
    assert _not_fresh(project) == {
        (GRU, "gradients"): "stale",
        (GRU, "spectra"): "stale",
    }
    why = set(artifacts.status(project, [GRU])["why"])
    assert why == {"", "encoder: other content"}
    fill(project, GRU, ["gradients"])  # comes out the same: spectra ...
    assert artifacts.outdated(GRU, root=project).keys() == {"analyse"}
    fill(project, GRU, ["spectra"])  # ... were made from the encoder too
    assert _not_fresh(project) == {}


def test_a_deleted_and_a_truncated_artifact_are_named(project):
    artifacts.path(GRU, "encoder", root=project).unlink()
    place = artifacts.path(TWIN, "spectra", root=project)
    place.write_bytes(place.read_bytes()[:-9])
    assert _not_fresh(project) == {
        (GRU, "encoder"): "missing",
        (TWIN, "spectra"): "damaged",
    }
    assert list(artifacts.outdated(GRU, root=project)) == ["train"]
    reasons = artifacts.outdated(TWIN, root=project)
    assert list(reasons) == ["analyse"]
    assert str(place) in reasons["analyse"]


def test_gradients_not_kept_are_judged_by_the_record_in_the_spectra(
    project, monkeypatch
):
    artifacts.path(GRU, "gradients", root=project).unlink()
    artifacts.path(BASELINE, "gradients", root=project).unlink()
    assert _not_fresh(project) == {
        (GRU, "gradients"): "not kept",
        (BASELINE, "gradients"): "missing",  # git keeps the baseline's
    }
    assert artifacts.outdated(GRU, root=project) == {}
    with monkeypatch.context() as patch:  # new spectra need the gradients again
        raised = replace(kinds.STAGES["analyse"], recipe=99)
        patch.setitem(kinds.STAGES, "analyse", raised)
        assert list(artifacts.outdated(GRU, root=project)) == ["extract", "analyse"]
        assert states(project, GRU)[GRU, "gradients"] == "not kept"
    delays = "{cell: gru}, gradients: {max_delay: 9}}"
    _edit(project, "{cell: gru}}", delays)
    assert states(project, GRU) == _whole(GRU, "fresh") | {
        (GRU, "gradients"): "missing",
        (GRU, "spectra"): "stale",
    }
    _edit(project, delays, "{cell: gru}}")
    _edit(project, "{cell: gru}}", "{cell: gru}, training: {max_epochs: 3}}")
    assert states(project, GRU) == _whole(GRU) | {(GRU, "gradients"): "missing"}


def test_a_setting_added_later_counts_as_its_default(project, monkeypatch):
    made = freshness.record(artifacts.load(GRU, "training", root=project).attrs)
    del made["config"]["training"]["clip_norm"]
    made["config"]["training"]["gone"] = 1
    experiment = settings.load_experiment(GRU, root=project)
    assert freshness.changes(made, experiment, lambda kind: None) == []
    training = replace(experiment.training, clip_norm=1.0)
    changed = replace(experiment, training=training)
    assert freshness.changes(made, changed, lambda kind: None) == [
        "training.clip_norm: 5.0 -> 1.0"
    ]


def test_a_setting_added_later_is_recorded_only_off_its_default(project):
    def recorded(experiment):
        described = freshness.describe(experiment, "training", {}) | {"content": ""}
        return freshness.record(described)

    at_lines = settings.load_experiment(GRU, root=project)
    corpus = replace(at_lines.corpus, eos_at_stops=True)
    at_stops = replace(at_lines, corpus=corpus)
    assert "eos_at_stops" not in recorded(at_lines)["config"]["corpus"]
    assert recorded(at_stops)["config"]["corpus"]["eos_at_stops"] is True
    for made, wanted, why in (
        (at_lines, at_lines, []),
        (at_stops, at_stops, []),
        (at_lines, at_stops, ["corpus.eos_at_stops: False -> True"]),
        (at_stops, at_lines, ["corpus.eos_at_stops: True -> False"]),
    ):
        assert freshness.changes(recorded(made), wanted, lambda kind: None) == why


def test_nothing_made_yet_is_missing(tmp_path):
    make_project(tmp_path)
    assert set(states(tmp_path).values()) == {"missing"}
    assert list(artifacts.outdated(GRU, root=tmp_path)) == WITHOUT_STUDIES
    assert "weights" not in {kind for _, kind in states(tmp_path, GRU)}


def test_studies_of_words_are_made_where_they_are_asked_for(project):
    studies = "language: {studies: [types, linear]}"
    local = f"experiments:\n  mine: {{model: {{units: 8}}, {studies}}}\n"
    (project / "params.local.yaml").write_text(local)
    outdated = artifacts.outdated("mine", root=project)
    assert list(outdated) == [*WITHOUT_STUDIES, "types", "linear"]
    fill(project, "mine")
    before = states(project, "mine")
    assert set(before.values()) == {"fresh"}
    # one more study leaves the others as they are
    local = local.replace("[types, linear]", "[types, linear, positions]")
    (project / "params.local.yaml").write_text(local)
    new = dict.fromkeys([("mine", "positions"), ("mine", "weights")], "missing")
    assert states(project, "mine") == before | new


def test_an_experiment_of_the_readers_own_is_judged_like_the_others(project):
    local = "experiments:\n  mine: {model: {units: 8}}\n"
    (project / "params.local.yaml").write_text(local)
    fill(project, "mine")
    assert states(project, "mine") == _whole("mine", "fresh")
    shutil.rmtree(project / "data/artifacts/mine")
    assert states(project, "mine") == _whole("mine", "missing")


def test_status_needs_no_backend(project):
    script = (
        "import sys; from state_gradients.project import artifacts; "
        f"artifacts.status({str(project)!r}); "
        "print(*{'tensorflow', 'jax', 'keras', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == ""


def test_every_kind_names_a_stage_and_upstream_kinds_of_no_later_stage():
    order = [*kinds.STAGES]
    for spec in kinds.KINDS.values():
        for kind in spec.upstream:
            made_in = kinds.KINDS[kind].stage
            assert order.index(made_in) < order.index(spec.stage)
    assert "max_epochs: 0" in PARAMS
    assert dataset("training").sizes["epoch"] == 3
