import hashlib
import re

import numpy as np
import pytest
from typer.testing import CliRunner

from state_gradients import cli
from state_gradients.foundation.settings import Corpus
from state_gradients.text import corpora
from state_gradients.text.vocabulary import Text, Vocabulary
from state_gradients.text.writing import write

FILES = ["train.txt", "valid.txt", "test.txt", "vocabulary.txt", "README.md"]


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A text of one's own, with an empty line and words that a cut leaves out."""
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    (tmp_path / "params.yaml").write_text("")
    (tmp_path / "a.txt").write_text("the cat sat\n\nthe dog the cat\nrare words\n")
    return dict.fromkeys(corpora.SPLITS, "a.txt") | {"name": "mine"}


@pytest.mark.parametrize(
    "setting", [{}, {"repeat_eos": 2}, {"vocabulary_size": 4}], ids=str
)
def test_what_is_written_is_read_back_as_the_same_words(own, tmp_path, setting):
    corpus = Corpus(**own, **setting)
    text = corpora.load(corpus)
    paths = write(corpus, text, tmp_path / "out")
    assert [path.name for path in paths] == FILES
    files = {split: str(tmp_path / "out" / f"{split}.txt") for split in corpora.SPLITS}
    again = corpora.load(Corpus(name="again", **files))
    for split, ids in text.splits.items():
        found = again.vocabulary.decode(again.splits[split])
        assert found == text.vocabulary.decode(ids)
    types = (tmp_path / "out" / "vocabulary.txt").read_text().splitlines()
    assert tuple(types) == text.vocabulary.tokens


def test_the_card_knows_the_files_again(own, tmp_path):
    corpus = Corpus(**own, vocabulary_size=4)
    text = corpora.load(corpus)
    *files, card = write(corpus, text, tmp_path / "out")
    card = card.read_text()
    told = re.findall(r"^    (\w{64})  (\S+)$", card, re.M)
    assert told == [
        (hashlib.sha256(path.read_bytes()).hexdigest(), path.name) for path in files
    ]
    # 13 tokens, 4 ends of lines, 4 types; dog, sat, rare, words are unknown
    assert "| train | 13 | 4 | 4 | 30.77% |" in card
    assert text.fingerprint in card


def test_a_text_without_ends_is_one_line(tmp_path):
    ids = np.array([0, 1, 1, 0], np.int32)
    text = Text(Vocabulary(("a", "b")), dict.fromkeys(corpora.SPLITS, ids), "f")
    write(Corpus(name="synthetic"), text, tmp_path / "out")
    assert (tmp_path / "out" / "train.txt").read_text() == "a b b a\n"


def test_nothing_is_overwritten_and_nothing_half_written(own, tmp_path, monkeypatch):
    corpus = Corpus(**own)
    text = corpora.load(corpus)
    (tmp_path / "valid.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"none of the files.*valid\.txt"):
        write(corpus, text, tmp_path)
    assert (tmp_path / "valid.txt").read_text() == "mine"
    assert not (tmp_path / "README.md").exists()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("state_gradients.text.writing.data_card", full)
    with pytest.raises(OSError, match="No space left"):
        write(corpus, text, tmp_path / "out")
    assert not any((tmp_path / "out").iterdir())


def test_the_command_writes_a_generated_corpus(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("STATE_GRADIENTS_ROOT", raising=False)
    done = CliRunner().invoke(cli.app, ["corpus", "grammar", "--write", "out"])
    assert done.exit_code == 0, done.output
    assert "written: out/README.md" in done.stderr
    card = (tmp_path / "out" / "README.md").read_text()
    assert "generated, with seed" in card and "state-gradients, MIT" in card
    assert len((tmp_path / "out" / "valid.txt").read_text().split()) > 80_000


def test_word_vectors_are_not_written_as_a_text(tmp_path):
    done = CliRunner().invoke(cli.app, ["corpus", "glove", "--write", str(tmp_path)])
    assert done.exit_code == 2 and "--output FILE" in done.output
