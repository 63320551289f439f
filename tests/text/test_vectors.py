"""Word vectors: files of a reader's own, the registered set, and their hashes."""

import dataclasses
import hashlib
import io
import zipfile

import numpy as np
import pytest

from state_gradients.foundation import settings
from state_gradients.models import checkpoints, training
from state_gradients.project import freshness, kinds
from state_gradients.text import corpora
from state_gradients.text import vectors as module
from state_gradients.text.corpora import Text
from state_gradients.text.vocabulary import Vocabulary

WORDS = Vocabulary(("<eos>", "a", "b"))


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    (tmp_path / "params.yaml").write_text("")
    return tmp_path


@pytest.fixture
def registered(tmp_path, monkeypatch):
    """A registered set of two words, as a cut and as the archive it was cut from."""
    folder = tmp_path / "corpora" / "small"
    folder.mkdir(parents=True)
    table = np.float32([[0.1, -2.5], [3, 4]])
    np.savez(folder / "cut.npz", words=np.array(["b", "z"]), vectors=table)
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.writestr("all.txt", "z 3 4\nb 0.1 -2.5\nq 1 1\n")
    hashes = {
        name: "sha256:" + hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in ("cut.npz", "all.zip")
    }
    source = corpora.Source(
        base="https://example.org",
        folder="small",
        archive="all.zip",
        files={"vectors": "cut.npz"},
        hashes=hashes,
        licence="none",
    )
    about = module.Registered(source=source, member="all.txt", covers=("ptb",))
    monkeypatch.setitem(module.REGISTRY, "small", about)
    monkeypatch.setenv(corpora.FOLDER_VARIABLE, str(tmp_path / "corpora"))
    return folder


def test_vectors_are_read_by_type(project):
    path = project / "vectors.txt"
    path.write_text("4 2\n</s> 1 2.5 \nother 9 9\nb -3e-1 4\na 5 6\n")
    vectors = module.read_vectors("vectors.txt", WORDS)
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, np.float32([[1, 2.5], [5, 6], [-0.3, 4]]))
    for content, message in {
        "</s> 1 2\n": "two whole numbers",
        "1 2\na 1\n": "line 2 .* 2 components, received 1",
        "2 2\na 1 2\nb nan 1\n": r"none for 2, such as \['<eos>', 'b'\]",
    }.items():
        path.write_text(content)
        with pytest.raises(ValueError, match=message):
            module.read_vectors(path, WORDS)
    for missing in ("else.txt", None):
        with pytest.raises(
            FileNotFoundError, match=r"must be one of .*glove.* or a file"
        ):
            module.read_vectors(missing, WORDS)


def test_what_a_registered_set_lacks_is_drawn_and_named(registered):
    table, drawn, _ = module.load("small", WORDS, corpus="ptb")
    assert drawn == ["<eos>", "a"]
    np.testing.assert_array_equal(table[2], np.float32([0.1, -2.5]))
    expected = np.random.default_rng(1).uniform(-0.05, 0.05, (2, 2))
    np.testing.assert_array_equal(table[:2], expected.astype(np.float32))


def test_the_archive_gives_the_same_as_the_cut(registered):
    cut, *_ = module.load("small", WORDS, corpus="ptb")
    with pytest.raises(ValueError, match=r"types of 'wikitext-2'.*all\.zip"):
        module.load("small", WORDS, corpus="wikitext-2")
    (registered / "cut.npz").unlink()
    for corpus in ("ptb", "wikitext-2"):
        whole, drawn, _ = module.load("small", WORDS, corpus=corpus)
        np.testing.assert_array_equal(whole, cut)
        assert drawn == ["<eos>", "a"]
    with pytest.raises(ValueError, match="received none; is the vocabulary lower"):
        module.load("small", Vocabulary(("A",)), corpus="ptb")


def test_written_vectors_are_read_back_exactly(project, rng):
    table = rng.normal(size=(3, 5)).astype(np.float32)
    stream = io.StringIO()
    module.write_vectors(stream, WORDS, table)
    (project / "vectors.txt").write_text(stream.getvalue())
    np.testing.assert_array_equal(module.read_vectors("vectors.txt", WORDS), table)


def frozen(file):
    model = settings.Model(embedding="frozen", embedding_file=file, embedding_size=2)
    return settings.Experiment(name="own", model=dataclasses.replace(model, units=3))


def test_a_file_that_changes_makes_another_checkpoint_and_a_stale_stage(project):
    path = project / "vectors.txt"
    path.write_text("3 2\n<eos> 1 2\na 3 4\nb 5 6\n")
    experiment = frozen("vectors.txt")
    before = checkpoints.checkpoint_path(experiment, root=project)
    made = {
        "stage": "train",
        "corpus": "",
        "recipe": kinds.STAGES["train"].recipe,
        "upstream": {},
        "config": freshness._settings(experiment, "train"),
    }
    assert freshness.changes(made, experiment, lambda kind: None) == []
    path.write_text("3 2\n<eos> 1 2\na 3 4\nb 5 -6\n")
    (why,) = freshness.changes(made, experiment, lambda kind: None)
    assert why.startswith("model.embedding_hash: ")
    assert checkpoints.checkpoint_path(experiment, root=project) != before
    path.unlink()  # a fresh clone lacks the reader's vectors, and judges without them
    assert freshness.changes(made, experiment, lambda kind: None) == []


def test_a_training_counts_the_drawn_vectors_and_keeps_them_frozen(
    registered, tmp_path
):
    ids = np.random.default_rng(0).integers(3, size=60).astype(np.int32)
    text = Text(WORDS, dict.fromkeys(("train", "valid", "test"), ids))
    recipe = settings.Training(batch_size=2, num_steps=5, max_epochs=2)
    experiment = dataclasses.replace(frozen("small"), training=recipe)
    model, curves = training.train(experiment, text=text, root=tmp_path, progress=False)
    assert int(curves["n_drawn_vectors"]) == 2
    table, *_ = module.load("small", WORDS, corpus="ptb")
    kept = model.get_layer("embedding").get_weights()[0]
    np.testing.assert_array_equal(kept, table)


def test_glove_for_ptb_lacks_only_named_words(corpora):
    text = settings.Corpus(name="ptb")
    vocabulary = module.corpora.load(text).vocabulary
    table, drawn, _ = module.load("glove", vocabulary, corpus="ptb")
    assert table.shape == (10_000, 50)
    genitives = [word for word in drawn if word.endswith(("'s", "'"))]
    assert {"<eos>", "<unk>", "N"} <= set(drawn)
    # joined genitives and specials are most of what GloVe lacks
    assert len(genitives) > len(drawn) / 2
    np.testing.assert_allclose(table[vocabulary.index["the"]][:2], [0.418, 0.24968])


def test_vectors_carry_the_fingerprint_of_what_was_read(project, monkeypatch):
    path = project / "vectors.txt"
    path.write_text("2 2\na 3 4\nb 5 6\n")
    words = Vocabulary(("a", "b"))
    *_, read = module.load("vectors.txt", words, corpus="own")
    assert read == module.fingerprint("vectors.txt")
    real = module.read_vectors

    def edit_meanwhile(*arguments):
        path.write_text("2 2\na 3 4\nb 5 -6\n")
        return real(*arguments)

    monkeypatch.setattr(module, "read_vectors", edit_meanwhile)
    with pytest.raises(ValueError, match="must stay as it is while it is read"):
        module.load("vectors.txt", words, corpus="own")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("2 999999999999\na 3\n", "at most 65536 of these, received"),
        ("2 99999\na 3\n", "at most 65536 of these, received"),
        ("2 0\na\n", "at most 65536 of these, received"),
        (f"{'9' * 5000} {'9' * 5000}\n", "at most 65536 of these, received"),
        ("2 \u0662\na 3 4\n", "two whole numbers"),  # a digit, of another script
        ("2 2\na 3 x\n", "line 2 of .* must hold numbers after its word"),
        (b"2 2\na \xff 4\n", "must be UTF-8"),
        (b"\xff\xfe", "must be UTF-8"),
    ],
)
def test_a_file_that_holds_no_vectors_is_refused_by_name(project, content, message):
    path = project / "vectors.txt"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ValueError, match=rf"^read_vectors: .*{message}") as caught:
        module.read_vectors("vectors.txt", Vocabulary(("a", "b")))
    assert str(path) in str(caught.value)
    assert len(str(caught.value)) < 500
