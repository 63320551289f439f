"""The command `compare`: experiments, saved models, and what cannot be compared."""

import json
from pathlib import Path

import inspected
import numpy as np
import pandas as pd
import pytest
import yaml
from typer.testing import CliRunner

from state_gradients import cli, compare_memory, comparison, stretch_curves
from state_gradients.engine.means import mean_state_gradients
from state_gradients.inspection import read_ids, read_vocabulary
from state_gradients.models.saved import load_model
from state_gradients.project import artifacts, provenance

FILES = ["comparison.csv", "comparison.nc", "comparison.png"]
ENDS = ("difference", "lower", "upper")
PARAMS = """
baseline:
  corpus: {name: mine, train: train.txt, valid: valid.txt, test: test.txt,
           vocabulary_size: 20}
  model: {units: 12, embedding_size: 3, initial_range: 0.8}
  training: {batch_size: 2, num_steps: 8, max_epochs: 0}
  gradients: {max_delay: 4, blocks: 10}
  language: {studies: [stretches]}
experiments:
  mine: {}
  mine-seed1: {training: {seed: 1}}
  mine-seed3: {training: {seed: 3}}
  mine-gru: {model: {cell: gru}}
  mine-long: {gradients: {max_delay: 6}, language: {studies: []}}
  mine-test: {gradients: {split: test}, language: {studies: []}}
  mine-cut: {gradients: {window: 50}, language: {studies: []}}
  mine-other: {corpus: {valid: test.txt}}
  mine-whole: {training: {seed: 4}, language: {studies: []}}
  mine-one-hot: {model: {embedding: one-hot, embedding_size: 20},
                 language: {studies: []}}
"""


def asked(*arguments):
    return CliRunner().invoke(cli.app, ["compare", *map(str, arguments)])


def rows_of(*arguments):
    """Run a command that must succeed; return its JSON."""
    done = asked(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return pd.DataFrame(json.loads(done.stdout))


def refused(*arguments):
    """Return the message of a command that must end in one, and write nothing."""
    before = sorted(Path().rglob("*"))
    done = asked(*arguments)
    assert done.exit_code == 1, done.output
    assert sorted(Path().rglob("*")) == before
    return done.stderr.strip().splitlines()[-1]


# ------------------------------------------------------------------------ saved models


@pytest.fixture
def models(tmp_path, monkeypatch):
    """Two LSTMs, a GRU, a text of 400 tokens and a vocabulary."""
    inspected.write_files(tmp_path, monkeypatch)
    keras = inspected.keras
    keras.utils.set_random_seed(1)
    inspected.save("other.keras")
    gru = [inspected.L.Embedding(7, 4), inspected.L.GRU(5)]
    keras.Sequential([keras.Input((None,)), *gru]).save("gru.keras")
    words = np.random.default_rng(2).choice([*"abcd"], (80, 4))
    Path("text.txt").write_text("\n".join(" ".join(line) for line in words) + "\n")
    Path("short.txt").write_text("a b c d\n" * 20)


def of(a, b, *options, text="text.txt"):
    files = ["--text", text, "--vocabulary", "vocabulary.txt", "--max-delay", "4"]
    return [a, b, *files, *options]


def test_two_models_are_compared_on_the_same_stretches(models):
    rows = rows_of(*of("model.keras", "gru.keras"))
    assert sorted(p.name for p in Path("comparison-model-gru").iterdir()) == FILES
    vocabulary = read_vocabulary("vocabulary.txt")
    ids = read_ids("text.txt", vocabulary)
    curves = []
    for name in ("model.keras", "gru.keras"):
        model = load_model(name)
        blocks = mean_state_gradients(model, ids, max_delay=4, blocks=16)
        curves.append(stretch_curves(blocks, model.layers[0].get_weights()[0]))
    expected = compare_memory(*curves).sel(band="text")
    assert rows["band"].eq("text").all() and [*rows["delay"]] == [0, 1, 2, 3, 4]
    for name in expected["quantity"].values:
        for end, suffix in zip(ENDS, ("", "_lower", "_upper"), strict=True):
            one = expected[end].sel(quantity=name)
            # the same float32 chains; JSON keeps 15 digits
            np.testing.assert_allclose(rows[name + suffix], one, rtol=1e-5, atol=1e-7)
    kept = provenance.read("comparison-model-gru/comparison.nc")
    assert kept.attrs["a"] == "model.keras (cell)" and kept.attrs["b"] == "gru.keras"
    made_from = json.loads(kept.attrs["made_from"])
    assert [each["model"] for each in made_from] == ["model.keras", "gru.keras"]
    assert len({each["text_sha256"] for each in made_from}) == 1


def test_a_model_compared_with_itself_gives_exactly_zero(models):
    rows = rows_of(*of("model.keras", "model.keras"))
    assert (rows.drop(columns=["band", "delay"]) == 0).all(axis=None)


def test_the_table_of_the_terminal_says_where_zero_is_outside(models):
    done = asked(*of("model.keras", "other.keras", "--output", "there"))
    assert done.exit_code == 0, done.output
    first = done.stdout.splitlines()
    assert first[:2] == ["A: model.keras (cell)", "B: other.keras (cell)"]
    assert first[2].startswith("log_memory, 95 % band of text: ")
    assert "No band of seeds: it takes 3 networks or more" in done.stderr
    assert "made there/comparison.png" in done.stderr


def test_each_side_can_have_its_state(models):
    files = of("model.keras", "gru.keras", "--state", "hidden")
    assert rows_of(*files)["log_memory"].notna().all()
    both = of("model.keras", "model.keras", "--state", "hidden", "--state", "cell")
    assert (rows_of(*both)["log_memory"] < 0).all()  # h = o tanh c shrinks


MODELS_REFUSED = {
    "no text": (
        ["model.keras", "other.keras", "--vocabulary", "vocabulary.txt"],
        "wit",
    ),
    "no model": (of("model.keras", "none.keras"), "the model must be a file, received"),
    "no such state": (
        of("model.keras", "gru.keras", "--state", "cell"),
        "`state` must",
    ),
    "three states": (
        of("model.keras", "gru.keras", *["--state", "hidden"] * 3),
        "--state must be given once, for both sides, or twice",
    ),
    "three vocabularies": (
        of("model.keras", "gru.keras", *["--vocabulary", "vocabulary.txt"] * 2),
        "--vocabulary must be given once, for all, or twice, for A and for B, received",
    ),
    "a short text": (
        of("model.keras", "gru.keras", text="short.txt"),
        "a band takes 8 stretches or more: 200 tokens for --max-delay 4, in one text "
        "or in as many; received 100 tokens in 1;",
    ),
    "nobody": (
        of("model.keras", ","),
        "compare: A and B must name an experiment or mod",
    ),
}


def refusal_of_models(case, folder):
    """Return what is said in a folder with two LSTMs, a GRU and a text."""
    with pytest.MonkeyPatch.context() as patch:
        models.__wrapped__(folder, patch)
        return refused(*MODELS_REFUSED[case][0])


@pytest.mark.parametrize("case", MODELS_REFUSED)
def test_models_that_cannot_be_compared_are_refused(tmp_path, case):
    assert MODELS_REFUSED[case][1] in refusal_of_models(case, tmp_path)


def test_models_that_read_other_tokens_are_refused(models):
    """A vocabulary without an end of line reads another number of tokens."""
    words = [*inspected.TOKENS[1:], "other"]
    Path("words.txt").write_text("\n".join(words))
    said = refused(*of("model.keras", "gru.keras", "--vocabulary", "words.txt"))
    assert "compare: all models must read the text as the same tokens, received" in said
    assert "400 in 1 texts by model.keras, and 320 in 1 texts by gru.keras" in said


# ------------------------------------------------- models that read numbers, no words


@pytest.fixture
def numbers(tmp_path, monkeypatch):
    """Two small stacks that read three features, and 400 steps of them."""
    inspected.write_files(tmp_path, monkeypatch)
    keras = inspected.keras
    for seed, name in enumerate(("one.keras", "other.keras")):
        keras.utils.set_random_seed(seed)
        layers = [inspected.L.GRU(4, return_sequences=True), inspected.L.Dense(1)]
        keras.Sequential([keras.Input((None, 3)), *layers]).save(name)
    return inspected.write_inputs(400)


def of_numbers(a, b, *options, inputs="inputs.csv"):
    return [a, b, "--inputs", inputs, "--max-delay", "4", *options]


@pytest.mark.parametrize(("options", "n_windows"), [((), 1), (("--context", "20"), 20)])
def test_models_of_numbers_are_compared_on_the_same_stretches(
    numbers, options, n_windows, monkeypatch
):
    labels = []
    draw = comparison.figures.plot_comparison
    monkeypatch.setattr(
        comparison.figures,
        "plot_comparison",
        lambda *given, **asked: labels.append(draw(*given, **asked)) or labels[-1],
    )
    rows = rows_of(*of_numbers("one.keras", "other.keras", *options))
    trials = numbers if n_windows == 1 else np.split(numbers, n_windows)
    curves = []
    for name in ("one.keras", "other.keras"):
        blocks = mean_state_gradients(
            load_model(name), inputs=trials, max_delay=4, blocks=16
        )
        curves.append(stretch_curves(blocks, numbers))  # whitened by their own steps
    expected = compare_memory(*curves).sel(band="text")
    for name in expected["quantity"].values:
        for end, suffix in zip(ENDS, ("", "_lower", "_upper"), strict=True):
            one = expected[end].sel(quantity=name)
            # the same float32 chains; JSON keeps 15 digits
            np.testing.assert_allclose(rows[name + suffix], one, rtol=1e-5, atol=1e-7)
    kept = provenance.read("comparison-one-other/comparison.nc")
    made_from = json.loads(kept.attrs["made_from"])
    assert [each["inputs"] for each in made_from] == ["inputs.csv"] * 2
    assert len({each["inputs_sha256"] for each in made_from}) == 1
    reading = "one trial" if n_windows == 1 else "windows of 20 steps of one trial"
    assert kept.attrs["reading"] == reading
    assert labels[0][-1].get_xlabel() == "delay (steps)"


def test_a_model_of_numbers_compared_with_itself_gives_exactly_zero(numbers):
    rows = rows_of(*of_numbers("one.keras", "one.keras"))
    assert (rows.drop(columns=["band", "delay"]) == 0).all(axis=None)


NUMBERS_REFUSED = {
    "inputs and a text": (
        of_numbers("one.keras", "other.keras", "--text", "text.txt"),
        "--text must be given, or --inputs for models that read numbers, received both",
    ),
    "inputs and options of words": (
        of_numbers("one.keras", "other.keras", "--by-line"),
        "--pad-id are of words, received them with --inputs inputs.csv; leave them out",
    ),
    "no inputs": (
        of_numbers("one.keras", "other.keras", inputs="none.csv"),
        "the inputs must be a file, received",
    ),
    "one model of words": (
        of_numbers("one.keras", "model.keras"),
        "read numbers, not ids",
    ),
    "a few inputs": (
        of_numbers("one.keras", "other.keras", inputs="few.csv"),
        "a band takes 8 stretches or more: 200 steps for --max-delay 4, in one trial "
        "or window or in as many; received 30 steps in 1;",
    ),
    "inputs that cannot be whitened": (
        of_numbers("one.keras", "other.keras", inputs="constant.csv"),
        "wind",
    ),
}


def refusal_of_numbers(case, folder):
    """Return what is said in a folder with two models of numbers."""
    with pytest.MonkeyPatch.context() as patch:
        numbers.__wrapped__(folder, patch)
        table = pd.read_csv("inputs.csv")
        table[:30].to_csv("few.csv", index=False)
        table.assign(wind=1.0).to_csv("constant.csv", index=False)
        return refused(*NUMBERS_REFUSED[case][0])


@pytest.mark.parametrize("case", NUMBERS_REFUSED)
def test_numbers_that_cannot_be_compared_on_are_refused(tmp_path, case):
    assert NUMBERS_REFUSED[case][1] in refusal_of_numbers(case, tmp_path)


# ------------------------------------------------------------------------- experiments


def make_project(root):
    """Make experiments with random weights on one text, and others that differ."""
    (root / "params.yaml").write_text(PARAMS)
    names = yaml.safe_load(PARAMS)["experiments"]
    rng = np.random.default_rng(0)
    for split in ("train", "valid", "test"):
        lines = [
            " ".join(f"w{k}" for k in rng.zipf(1.6, size=9) % 30) for _ in range(80)
        ]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_GRADIENTS_ROOT", str(root))
        patch.chdir(root)
        done = CliRunner().invoke(cli.app, ["reproduce", *names])
        assert done.exit_code == 0, done.output


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("compared")
    make_project(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STATE_GRADIENTS_ROOT", str(root))
        patch.chdir(root)
        yield root


def test_experiments_are_compared_by_their_artifacts(project):
    rows = rows_of("mine", "mine-gru")
    kept = [artifacts.load(name, "stretches") for name in ("mine", "mine-gru")]
    curves = [kept[0].sel(state_kind="cell"), kept[1].sel(state_kind="hidden")]
    expected = compare_memory(*curves).sel(band="text")
    for name in expected["quantity"].values:
        for end, suffix in zip(ENDS, ("", "_lower", "_upper"), strict=True):
            one = expected[end].sel(quantity=name)
            np.testing.assert_allclose(rows[name + suffix], one, rtol=0, atol=1e-14)


def test_an_experiment_compared_with_itself_gives_exactly_zero(project):
    rows = rows_of("mine", "mine")
    assert (rows.drop(columns=["band", "delay"]) == 0).all(axis=None)


def test_seeds_have_a_band_of_their_own(project):
    side = "mine,mine-seed1,mine-seed3"
    done = asked(side, side)
    assert done.exit_code == 0, done.output
    assert "95 % band of text" in done.stdout and "95 % band of seeds" in done.stdout
    rows = rows_of(side, side)
    assert [*rows["band"]] == ["text"] * 5 + ["seeds"] * 5
    assert (rows["log_memory"] == 0).all()
    assert (rows["log_memory_lower"][5:] < 0).all()


def test_curves_alone_have_no_band_of_text(project):
    done = asked("mine", "mine-whole")
    assert done.exit_code == 0, done.output
    assert (
        "No band of text: what each stretch of it does is not known of" in done.stderr
    )
    rows = rows_of("mine", "mine-whole")
    assert rows["band"].isna().all() and "log_memory_lower" not in rows
    spectra = [artifacts.load(n, "spectra") for n in ("mine", "mine-whole")]
    memory = [
        s["memory"].sel(state_kind="cell", normalization="whitened", group="all")
        for s in spectra
    ]
    # float64 curves of means that one keeps in float32
    expected = np.log(memory[0].values / memory[1].values)
    np.testing.assert_allclose(rows["log_memory"], expected, atol=1e-5)


EXPERIMENTS_REFUSED = {
    "unknown": (["mine", "yours"], "yours"),
    "other delays": (
        ["mine", "mine-long"],
        "compare: all networks must have the same delays, received 0 to 4 (5) and 0 to "
        "6 (7); compare those that they share (--max-delay).",
    ),
    "another split": (
        ["mine", "mine-test"],
        "one split of the text, received valid of mine and test of mine-test; set",
    ),
    "another window": (
        ["mine", "mine-cut"],
        "received gradients.window None of mine and 50 of mine-cut.",
    ),
    "another text": (
        ["mine", "mine-other"],
        "over the same text, received mine and mine-other, whose texts differ",
    ),
    "not whitened": (
        ["mine", "mine-one-hot"],
        "received mine-one-hot: its embedding cannot be whitened.",
    ),
    "another state": (
        ["mine", "mine-gru", "--state", "cell"],
        "--state must be among the states of mine-gru, ['hidden'], received 'cell';",
    ),
    "a model's option": (
        ["mine", "mine-gru", "--by-line"],
        "--layer are of saved models, which are compared on a --text or on --inputs, "
        "received them without either.",
    ),
    "no folder": (["mine", "mine-gru", "--output", "params.yaml"], "must be a folder"),
    "a sure thing": (["mine", "mine-gru", "--level", "1"], "`level` must be a number"),
}


@pytest.mark.parametrize("case", EXPERIMENTS_REFUSED)
def test_experiments_that_cannot_be_compared_are_refused(project, case):
    command, message = EXPERIMENTS_REFUSED[case]
    assert message in refused(*command)


def test_shared_delays_can_be_compared(project):
    rows = rows_of("mine", "mine-long", "--max-delay", "4")
    assert [*rows["delay"]] == [0, 1, 2, 3, 4]


def test_a_fault_while_writing_leaves_the_old_files(project, monkeypatch):
    assert asked("mine", "mine-gru", "--output", "kept").exit_code == 0
    before = {p: p.read_bytes() for p in Path("kept").iterdir()}
    assert len(before) == 3

    def full(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(provenance, "write", full)
    assert asked("mine", "mine-seed1", "--output", "kept").exit_code == 1
    assert {p: p.read_bytes() for p in Path("kept").iterdir()} == before


def test_several_comparisons_are_summed_up_in_a_table(project):
    side = ["mine", "mine-seed1", "mine-seed3"]
    seeds = comparison.compare_experiments(side, ["mine-gru"] * 3)
    alone = comparison.compare_experiments(["mine"], ["mine-gru"])
    none = comparison.compare_experiments(["mine"], ["mine-whole"])
    table = comparison.summary({"one": alone, "three": seeds, "neither": none})
    assert table[["A - B", "band of"]].values.tolist() == [
        ["one", "text"],
        ["three", "text"],
        ["three", "seeds"],
    ]
    logs = alone["a"].sel(quantity="log_memory") - alone["b"].sel(quantity="log_memory")
    ratio = np.exp(np.abs(logs.values))  # of either over the other, whichever is larger
    assert (ratio >= 1).all()
    np.testing.assert_allclose(comparison.factors(alone), ratio, rtol=1e-12)
    assert table["factor"][0] == f"{ratio.min():.2f} to {ratio.max():.2f}"
    for band, row in zip(("text", "seeds"), table.index[1:], strict=True):
        ends = seeds.sel(band=band, quantity="effective_rank")
        said = table["effective rank"][row]
        above = seeds["delay"].values[(ends["lower"] > 0).values]
        below = seeds["delay"].values[(ends["upper"] < 0).values]
        for word, delays in (("above", above), ("below", below)):
            assert (word in said) == bool(delays.size)
            if delays.size:
                assert f"{word} at {comparison.spans(delays)}" in said


def test_runs_of_delays_are_said_in_words():
    assert comparison.spans([4]) == "delay 4"
    assert comparison.spans(range(51)) == "delays 0 to 50"
    assert comparison.spans([1, 2, 3, 7, 9, 10]) == "delays 1 to 3, 7, 9 to 10"
