"""A text, a model, a vocabulary: each way to get them wrong, and files that change."""

import hashlib
import zipfile
from pathlib import Path

import inspected
import keras
import numpy as np
import pytest
from inspected import TOKENS, L, asked, refused, save, write_files

from state_gradients import inspection
from state_gradients.inspection import text_files
from state_gradients.models import saved

folder, registry = inspected.folder, inspected.registry


def test_a_text_becomes_ids(folder):
    vocabulary = inspection.read_vocabulary("vocabulary.txt")
    assert vocabulary.tokens == tuple(TOKENS)
    Path("other.txt").write_text("b new  a\n\nü", "utf-8")
    ids = inspection.read_ids("other.txt", vocabulary)
    np.testing.assert_array_equal(ids, [2, 6, 1, 0, 0, 5, 0])
    Path("vocabulary.txt").write_text("\ufeffa\r\nb\r\n", "utf-8")
    vocabulary = inspection.read_vocabulary("vocabulary.txt")
    Path("other.txt").write_text("a b\nb\n")
    np.testing.assert_array_equal(
        inspection.read_ids("other.txt", vocabulary), [0, 1, 1]
    )


def written(name, content):
    """Return what writes a file into the working folder."""
    content = content if isinstance(content, bytes) else content.encode()
    return lambda: Path(name).write_bytes(content)


def _other_archive():
    with zipfile.ZipFile("model.keras", "w") as archive:
        archive.writestr("words.txt", "no model")


def _own_activation():
    @keras.saving.register_keras_serializable("theirs")
    def gate(x):
        return x

    save("model.keras", L.Dense(3, activation=gate))
    keras.saving.get_custom_objects().clear()


def _own_layer():
    @keras.saving.register_keras_serializable("theirs")
    class Gate(L.Dense):
        pass

    save("model.keras", Gate(3))
    keras.saving.get_custom_objects().clear()


NO_PICKLE = "a pickle, which is never opened here"
ASKED = {  # what is done before, options, what is said
    "no model": (lambda: Path("model.keras").unlink(), (), "model.keras"),
    "names of PyTorch's modules, for a model of Keras": (
        lambda: None,
        ("--recurrent", "rnn"),
        "what its layers are; leave them out.",
    ),
    "no text": (lambda: Path("text.txt").unlink(), (), "text.txt"),
    "no vocabulary": (lambda: Path("vocabulary.txt").unlink(), (), "vocabulary.txt"),
    "a model that is text": (
        written("model.keras", "no model"),
        (),
        "model.save('NAME.keras')",
    ),
    "a zip file that is no model": (_other_archive, (), "config.json"),
    "a model with a lambda": (
        lambda: save("model.keras", L.Lambda(lambda x: 2 * x)),
        (),
        "Put a registered layer in its place",
    ),
    "a model with a layer of somebody's own": (
        _own_layer,
        (),
        "['theirs>Gate'] without their code. Name the module or file",
    ),
    "a model with an activation of somebody's own": (
        _own_activation,
        (),
        "['theirs>gate'] without their code. Name the module or file",
    ),
    "a vocabulary with a word twice": (
        written("vocabulary.txt", "a\nb\na"),
        (),
        "'a' in line 3",
    ),
    "a vocabulary with an empty line": (
        written("vocabulary.txt", "a\n\nb"),
        (),
        "'' in line 2",
    ),
    "a vocabulary with two words in a line": (
        written("vocabulary.txt", "a\nb c"),
        (),
        "'b c' in line 2",
    ),
    "an empty vocabulary": (written("vocabulary.txt", ""), (), "'' in line 1"),
    "a vocabulary of another size": (
        written("vocabulary.txt", "a\nb\nc\nd"),
        (),
        "each of the 7 rows of the model's embedding, received 4",
    ),
    "a vocabulary that is not UTF-8": (
        written("vocabulary.txt", b"\xff\xfe"),
        (),
        "must be UTF-8",
    ),
    "a vocabulary in a pickle": (
        written("vocabulary.txt", b"\x80\x04N."),
        (),
        NO_PICKLE,
    ),
    "a dictionary in JSON, in the place of a Tokenizer": (
        written("vocabulary.txt", '{"the": 1, "cat": 2}'),
        (),
        "tokenizer.to_json()",
    ),
    "a word without an id": (
        lambda: (
            written("vocabulary.txt", "\n".join("abcdefg"))(),
            written("text.txt", "a b\nc x\n")(),
        ),
        (),
        "'x' in line 2. Tokenize the text as for training; if the model has an id "
        "for rare words, call it <unk>",
    ),
    "a text that is too short": (
        lambda: None,
        ("--max-delay", "50"),
        "received 25 tokens; at most 24 will do",
    ),
    "a module that is not there": (
        lambda: None,
        ("--import", "absent"),
        "No module named 'absent'",
    ),
    "a file that is not there, to be imported": (
        lambda: None,
        ("--import", "absent.py"),
        "'absent.py'",
    ),
    "a module that does not run": (
        written("broken.py", "1 / 0"),
        ("--import", "broken.py"),
        "ZeroDivisionError: division by zero",
    ),
    "a module that leaves Python": (
        written("leaves.py", "import sys\nsys.exit(0)\n"),
        ("--import", "leaves.py"),
        "'leaves.py' of `imports` (--import) must run, received SystemExit",
    ),
    "a state that the cell does not have": (
        lambda: None,
        ("--state", "potential"),
        "'potential'",
    ),
    "a layer that the model does not have": (
        lambda: None,
        ("--layer", "2"),
        "received 2",
    ),
    "an output below a file": (
        lambda: None,
        ("--output", "text.txt/below"),
        "text.txt/below must be writable",
    ),
    "an output that is a file": (
        lambda: None,
        ("--output", "text.txt"),
        "must be a folder, received text.txt",
    ),
}


def refusal_of_command(case, folder):
    """Return what is said in a folder with a model, a text and a vocabulary."""
    prepare, options, _ = ASKED[case]
    known = dict(keras.saving.get_custom_objects())
    with pytest.MonkeyPatch.context() as patch:
        write_files(folder, patch)
        prepare()
        keras.saving.get_custom_objects().update(known)
        return refused("--max-delay", "2", *options)


@pytest.mark.parametrize("case", ASKED)
def test_a_command_that_cannot_be_meant_is_refused(tmp_path, case):
    assert ASKED[case][2] in refusal_of_command(case, tmp_path)


def test_a_text_that_is_too_short_says_which_delay_would_do(folder):
    assert "received 25 tokens; at most 24 will do" in refused()
    done = asked("--max-delay", "24")
    assert (done.exit_code, done.stderr.count("made ")) == (0, 3)


def test_an_output_that_cannot_be_written_is_refused_before_the_work(folder):
    message = refused("--output", "text.txt/below", "--max-delay", "2")
    assert "text.txt/below must be writable" in message
    done = asked("--output", "text.txt/below", "--max-delay", "2")
    assert "averaging" not in done.stderr  # refused before, not after


def test_a_file_in_the_place_of_the_output_stays(folder):
    message = refused("--max-delay", "2", "--output", "text.txt")
    assert "must be a folder, received text.txt" in message
    assert Path("text.txt").read_text().startswith("a b c d")


EDITED = ["model.keras", "text.txt", "vocabulary.txt"]


def edited_when(monkeypatch, name, file):
    """Edit a file when a function of the module is called."""
    function = getattr(text_files, name)

    def edit_and_call(*arguments, **options):
        with Path(file).open("a") as opened:
            opened.write("a\n" if file == "text.txt" else "\n")
        return function(*arguments, **options)

    monkeypatch.setattr(text_files, name, edit_and_call)


@pytest.mark.parametrize("file", EDITED)
def test_a_file_edited_while_it_is_read_is_refused(folder, monkeypatch, file):
    edited_when(monkeypatch, "read_vocabulary", file)
    message = refused("--max-delay", "2")
    assert f"inspection: {file} must stay as it is while it is read" in message
    assert not Path("inspection-model").exists()


@pytest.mark.parametrize("file", EDITED)
def test_a_file_edited_while_the_model_is_loaded_is_refused(folder, monkeypatch, file):
    load = saved.load_model

    def load_and_edit(*arguments, **options):
        loaded = load(*arguments, **options)
        Path(file).write_bytes(Path(file).read_bytes() + b"\n")
        return loaded

    monkeypatch.setattr(saved, "load_model", load_and_edit)
    done = asked("--max-delay", "2")
    assert done.exit_code == 1
    assert f"inspection: {file} must stay as it is while it is read" in done.stderr
    assert not Path("inspection-model").exists()


@pytest.mark.parametrize("file", EDITED)
def test_a_file_that_is_edited_later_is_recorded_as_read(folder, monkeypatch, file):
    before = hashlib.sha256(Path(file).read_bytes()).hexdigest()
    edited_when(monkeypatch, "inspect_model", file)
    done = asked("--max-delay", "2")
    assert done.exit_code == 0, done.stderr
    attrs = inspection.read("inspection-model").attrs
    assert attrs[f"{file.split('.')[0]}_sha256"] == before
    assert hashlib.sha256(Path(file).read_bytes()).hexdigest() != before
