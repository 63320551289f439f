"""The memory of a property of words: as it was planted, by group, or refused."""

import hashlib
from pathlib import Path

import inspected
import keras
import numpy as np
import pandas as pd
import pytest
from inspected import FILES, L, asked, of_weather, refused, save, write_files

from state_gradients import inspection
from state_gradients.analysis.properties import Halves

folder, registry = inspected.folder, inspected.registry


def planted(path="planted.keras"):
    """Save a network that keeps 0.9 of one axis a step and 0.1 of the other; a text.

    Six words lie three a side of the second axis, and two at their mean: the axes are
    uncorrelated and of one variance, so that whitening is a scale.
    """
    x = np.sqrt(1.5) * np.array([0, 1, -1, 0, 1, -1, 0, 0])
    table = np.column_stack([x, [0, 1, 1, 1, -1, -1, -1, 0]])
    embedding = L.Embedding(8, 2)
    kept = keras.initializers.Constant([[0.9, 0.0], [0.0, 0.1]])
    options = {"kernel_initializer": "identity", "recurrent_initializer": kept}
    layer = L.SimpleRNN(2, activation="linear", **options)
    model = keras.Sequential([keras.Input((None,)), embedding, layer])
    embedding.set_weights([table])
    model.save(path)
    words = ["<eos>", *"abcdef", "<unk>"]
    Path("vocabulary.txt").write_text("\n".join(words))
    lines = np.random.default_rng(0).choice([*"abcdef"], (30, 4))
    Path("text.txt").write_text("\n".join(" ".join(line) for line in lines))


OF_PROPERTY = ["property.csv", "property.png"]


@pytest.mark.parametrize(
    ("content", "names"),
    [
        ("a d\nb e\nc f\ng gs\n", "first words - second words"),
        ("a\tup\nd\tdown\nb\tup\ne\tdown\nc\tup\nf\tdown\ng\tup\n", "up - down"),
    ],
)
def test_a_property_is_remembered_as_it_was_planted(folder, content, names):
    planted()
    Path("words.txt").write_text(content)
    done = asked("--property", "words.txt", "--max-delay", "3", model="planted.keras")
    assert done.exit_code == 0, done.output
    first, second = names.split(" - ")
    lacking = "['g', 'gs']" if "gs" in content else "['g']"
    said = f"property: {first} (3 words) less {second} (3 words); not in the vocabulary"
    assert f"{said}: {lacking}" in done.stderr
    output = Path("inspection-planted")
    assert sorted(path.name for path in output.iterdir()) == sorted(
        [*FILES, *OF_PROPERTY]
    )
    found, delays = inspection.read(output), np.arange(4)
    # float32 products of the second axis, 1e-7 of their own size
    memory = (1 / 9) ** delays
    np.testing.assert_allclose(found["relative_memory"], memory, rtol=1e-5)
    by_chance = np.sqrt((1 + 81.0**-delays) / 2)
    middle = found["chance_middle"].sel(null="random directions")
    np.testing.assert_allclose(middle, by_chance, rtol=1e-5)
    np.testing.assert_allclose(found["direction"], [0, 1], atol=1e-6)
    assert found.attrs["property"] == names and found.attrs["halves"] == "words.txt"
    hashed = hashlib.sha256(content.encode()).hexdigest()
    assert found.attrs["halves_sha256"] == hashed
    rows = pd.read_csv(output / "property.csv")
    np.testing.assert_allclose(rows["relative_memory"], memory, rtol=1e-5)
    np.testing.assert_allclose(rows["random directions, middle"], by_chance, rtol=1e-5)
    lines = done.stdout.splitlines()
    at = lines.index(f"memory of {names}, at some delays") + 1
    heads = "delay memory without noise random directions random splits"
    assert " ".join(lines[at].split()) == heads
    assert [line.split()[:2] for line in lines[at + 1 : at + 5]] == [
        [str(k), f"{m:.3f}"] for k, m in enumerate(memory)
    ]


def test_a_property_is_asked_of_each_group(folder):
    planted()
    Path("words.txt").write_text("a d\nb e\nc f\n")
    Path("groups.txt").write_text("a first\nb first\ne second\n")
    options = ["--property", "words.txt", "--groups", "groups.txt", "--max-delay", "2"]
    done = asked(*options, model="planted.keras")
    assert done.exit_code == 0, done.output
    found = inspection.read(Path("inspection-planted"))
    assert found["relative_memory"].dims == ("group", "delay")
    # the network is linear: it is the same over any inputs
    memory = np.tile((1 / 9) ** np.arange(3), (2, 1))
    np.testing.assert_allclose(found["relative_memory"], memory, rtol=1e-5)
    rows = pd.read_csv("inspection-planted/property.csv")
    assert rows["group"].tolist() == ["first"] * 3 + ["second"] * 3


def test_halves_in_python_are_of_words_and_of_all_of_them(folder):
    model = of_weather()
    halves = Halves(np.arange(3) < 2, np.arange(3) > 0)
    with pytest.raises(ValueError, match="inspect_model: `halves` are of words"):
        inspection.inspect_model(model, inputs=np.ones((9, 3)), halves=halves)
    model = keras.saving.load_model("model.keras")
    with pytest.raises(ValueError, match=r"each of the 7 rows .* received .*\(3,\)"):
        inspection.inspect_model(model, [1, 2, 3], max_delay=1, halves=halves)
    halves = Halves(0.6 * (np.arange(7) < 3), np.arange(7) > 3)
    with pytest.raises(ValueError, match=r"^inspect_model: `halves` must say .* 0\.6"):
        inspection.inspect_model(model, [1, 2, 3], max_delay=1, halves=halves)


def _no_step():
    """Save a model in which a and b lie as c and d do."""
    embedding = L.Embedding(7, 2)
    model = keras.Sequential([keras.Input((None,)), embedding, L.LSTM(3)])
    rows = [[0, 0], [1, 2], [3, 1], [1, 2], [3, 1], [5, 0], [0, 7]]
    embedding.set_weights([np.array(rows, "float32")])
    model.save("model.keras")


PROPERTIES = {  # what is done before, the property's file, what is said
    "a property of words that the model does not have": (
        lambda: None,
        "dog dogs\ncat cats\na b\n",
        "received 1 of 'first words' and 1 of 'second words' in words.txt; not in it "
        "are ['dog', 'dogs', 'cat', 'cats']",
    ),
    "a property with one label": (
        lambda: None,
        "a\tx\nb\tx\n",
        "must have two labels, the names of the halves, received 1 in words.txt: ['x']",
    ),
    "a property with three labels": (
        lambda: None,
        "a\tx\nb\ty\nc\tz\n",
        "received 3 in words.txt: ['x', 'y', 'z']",
    ),
    "a property with a word twice": (
        lambda: None,
        "a b\nc d\nc a\n",
        "{'a': [1, 3], 'c': [2, 3]}; keep one of each.",
    ),
    "a property with a line that is no pair": (
        lambda: None,
        "a b\nc\n",
        "a line must be two words, as the others of words.txt are, received 'c' in",
    ),
    "a property in an empty file": (lambda: None, "\n", "received no line"),
    "a property whose halves have one mean": (
        _no_step,
        "a c\nb d\n",
        "inspect (--property): the means of the halves must differ, received a step of",
    ),
    "a property, where the embedding cannot be whitened": (
        lambda: save("model.keras", size=9),
        "a b\nc d\n",
        "rank 9, received rank 6",
    ),
}


def refusal_of_property(case, folder):
    """Return what is said in a folder with a model, a text and a vocabulary."""
    prepare, content, _ = PROPERTIES[case]
    with pytest.MonkeyPatch.context() as patch:
        write_files(folder, patch)
        prepare()
        Path("words.txt").write_text(content)
        return refused("--max-delay", "2", "--property", "words.txt")


@pytest.mark.parametrize("case", PROPERTIES)
def test_a_property_that_cannot_be_asked_is_refused(tmp_path, case):
    assert PROPERTIES[case][2] in refusal_of_property(case, tmp_path)
