import dataclasses
import functools
import hashlib
import http.server
import re
import threading
import zipfile
from collections import Counter
from itertools import chain

import numpy as np
import pytest

from state_gradients.foundation.settings import Corpus
from state_gradients.models import batching
from state_gradients.text import corpora as module
from state_gradients.text.corpora import (
    FOLDER_VARIABLE,
    REGISTRY,
    Source,
    fingerprint,
    load,
)
from state_gradients.text.vocabulary import (
    Vocabulary,
    join_clitics,
    rank_types,
    read_lines,
)

TEXTS = {
    "train": "the cat sat\nthe cat 's mat <unk>\n",
    "valid": "the cats ' mat\n",
    "test": "a cat's mat",  # no end of line
}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Three text files at a project's root."""
    monkeypatch.setenv("STATE_GRADIENTS_ROOT", str(tmp_path))
    return write_own(tmp_path)


def write_own(folder):
    (folder / "params.yaml").write_text("")
    for split, text in TEXTS.items():
        (folder / f"{split}.txt").write_text(text)
    return Corpus(
        name="mine",
        train="train.txt",
        valid=str(folder / "valid.txt"),  # absolute paths do as well
        test="test.txt",
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A corpora folder with a registered zip, ``tiny``, and files, ``tiny-files``."""
    files = {split: f"{split}.txt" for split in TEXTS}
    archive = tmp_path / "tiny" / "tiny.zip"
    archive.parent.mkdir()
    with zipfile.ZipFile(archive, "w") as stream:
        for split, text in TEXTS.items():
            stream.writestr(f"tiny/{split}.txt", text)
            (tmp_path / "tiny" / f"{split}.txt").write_text(text)

    def digest(path):
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"

    hashes = {name: digest(archive.parent / name) for name in files.values()}
    common = {"base": "http://127.0.0.1:1", "folder": "tiny", "files": files}
    source = Source(
        **common, licence="", archive="tiny.zip", hashes={"tiny.zip": digest(archive)}
    )
    monkeypatch.setitem(REGISTRY, "tiny", source)
    monkeypatch.setitem(
        REGISTRY, "tiny-files", Source(**common, licence="", hashes=hashes)
    )
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    return tmp_path


# ---------------------------------------------------------------- vocabulary


def test_types_stand_by_frequency_then_word_and_the_cut_becomes_unk():
    counts = Counter({"b": 3, "a": 3, "<eos>": 9, "c": 1, "d": 2, "<unk>": 1})
    assert rank_types(counts) == ("<eos>", "a", "b", "d", "<unk>", "c")
    assert rank_types(counts, 6) == rank_types(counts)
    assert rank_types(counts, 4) == ("<eos>", "a", "b", "<unk>")
    del counts["<unk>"]
    assert rank_types(counts) == ("<eos>", "a", "b", "d", "c")
    assert rank_types(counts, 4) == ("<eos>", "a", "b", "<unk>")
    with pytest.raises(ValueError, match="at least 3; received 2"):
        rank_types(counts, 2)


def test_encode_and_decode():
    vocabulary = Vocabulary(("<eos>", "a", "<unk>"))
    ids = vocabulary.encode(["a", "b", "<eos>"])
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids, [1, 2, 0])
    assert vocabulary.decode(ids) == ["a", "<unk>", "<eos>"]
    assert len(vocabulary) == 3
    with pytest.raises(ValueError, match=r"2 types, or <unk> .* received 'b'\. Set"):
        Vocabulary(("<eos>", "a")).encode(["a", "b"])


@pytest.mark.parametrize(
    ("split", "joined"),
    [
        ("japan 's firms ' profit", "japan's firms' profit"),
        ("<unk> 's N 's $ ' N '", "<unk> 's N 's $ ' N '"),
        ("'s it ca n't they 're", "'s it ca n't they 're"),
        ("<unk> 's ' dogs ' 's", "<unk> 's ' dogs''s"),
    ],
)
def test_clitics_join_words_only(split, joined):
    assert join_clitics(split.split()) == joined.split()


# ----------------------------------------------------------- a reader's text


def test_own_files_become_ids(own):
    text = load(own)
    # training counts: the 2, cat 2, <eos> 2, <unk> 1, 's 1, mat 1, sat 1
    assert text.vocabulary.tokens == (
        "<eos>",
        "cat",
        "the",
        "'s",
        "<unk>",
        "mat",
        "sat",
    )
    np.testing.assert_array_equal(text.vocabulary.counts, [2, 2, 2, 1, 1, 1, 1])
    np.testing.assert_array_equal(text.splits["train"], [2, 1, 6, 0, 2, 1, 3, 5, 4, 0])
    np.testing.assert_array_equal(text.splits["valid"], [2, 4, 4, 5, 0])
    np.testing.assert_array_equal(text.splits["test"], [4, 4, 5, 0])


def test_a_cut_counts_what_it_leaves_out(own):
    text = load(dataclasses.replace(own, vocabulary_size=4))
    assert text.vocabulary.tokens == ("<eos>", "cat", "the", "<unk>")
    np.testing.assert_array_equal(text.vocabulary.counts, [2, 2, 2, 4])
    np.testing.assert_array_equal(text.splits["train"], [2, 1, 3, 0, 2, 1, 3, 3, 3, 0])


def test_repeat_eos_doubles_each_end_of_line(own):
    once, twice = load(own), load(dataclasses.replace(own, repeat_eos=2))
    np.testing.assert_array_equal(
        twice.vocabulary.decode(twice.splits["test"]),
        ["<unk>"] * 2 + ["mat"] + 2 * ["<eos>"],
    )
    assert twice.splits["train"].size == once.splits["train"].size + 2


def test_blank_lines_and_byte_order_marks(tmp_path):
    path = tmp_path / "text"
    path.write_bytes(b"\xef\xbb\xbfa\xe2\x80\xa8b\r\n\n c \n")
    assert list(read_lines(path)) == [["a", "b", "<eos>"], ["<eos>"], ["c", "<eos>"]]


def at_stops(path, text, **options):
    path.write_text(text)
    return list(read_lines(path, eos_at_stops=True, **options))


def test_a_stop_between_words_ends_a_line_and_is_no_word(tmp_path):
    path = tmp_path / "text"
    first, second = at_stops(path, "A . B .c d. @.@ .\tE\n")
    assert first == ["A", "<eos>"]
    assert second == ["B", ".c", "d.", "@.@", ".", "E", "<eos>"]
    # each end of a line is doubled, whatever made it; clitics join within lines
    lines = at_stops(path, "A . 's B 's\n", repeat_eos=2, join=True)
    assert lines == [["A", "<eos>", "<eos>"], ["'s", "B's", "<eos>", "<eos>"]]
    path.write_text("A . B\n")
    assert list(read_lines(path)) == [["A", ".", "B", "<eos>"]]


def test_a_stop_before_a_newline_ends_the_line_twice(tmp_path):
    path, twice = tmp_path / "text", [["A", "<eos>"], ["<eos>"]]
    for text in (" A . \n", "A .\n", "A .", "A .\r\n"):
        assert at_stops(path, text) == twice
    assert at_stops(path, "A\n . B\n") == [["A", "<eos>"], ["<eos>"], ["B", "<eos>"]]
    with pytest.raises(ValueError, match="must hold words, received none"):
        at_stops(path, " . \n . \n")


@pytest.mark.parametrize(
    "text",
    [
        " a . b . \n = c = \n \n",
        " a . . b . . . c . . . . \n . d\n",
        "a .  . b\n.\n. .\nc",
    ],
)
def test_lines_end_where_the_released_reader_ends_them(tmp_path, text):
    # newlines first and then stops, of the whole text: two string replacements
    released = text.replace("\n", " <eos> ").replace(" . ", " <eos> ").split()
    words = [word for line in at_stops(tmp_path / "text", text) for word in line]
    assert words == released + ([] if text.endswith("\n") else ["<eos>"])


def test_a_text_that_ends_lines_at_stops_becomes_ids(own, tmp_path):
    (tmp_path / "train.txt").write_text("the cat . <unk> sat .\n")
    text = load(dataclasses.replace(own, eos_at_stops=True))
    assert text.vocabulary.tokens == ("<eos>", "<unk>", "cat", "sat", "the")
    np.testing.assert_array_equal(text.vocabulary.counts, [3, 1, 1, 1, 1])
    np.testing.assert_array_equal(text.splits["train"], [4, 2, 0, 1, 3, 0, 0])
    lines = load(own)
    assert "." in lines.vocabulary.tokens
    assert lines.splits["train"].size == text.splits["train"].size
    assert fingerprint(own) != fingerprint(dataclasses.replace(own, eos_at_stops=True))


def test_a_mark_within_the_text_stays_and_a_blank_end_is_no_empty_text(tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("a\n\ufeffb\n\n", "utf-8")
    assert [*read_lines(path)] == [["a", "<eos>"], ["\ufeffb", "<eos>"], ["<eos>"]]


def test_a_text_with_no_more_types_than_are_kept_is_not_cut():
    frequencies = {"b": 1, "<eos>": 1, "a": 2}
    assert rank_types(frequencies, 3) == ("a", "<eos>", "b")


def test_missing_own_file_is_named(own, tmp_path):
    (tmp_path / "test.txt").unlink()
    for function in (load, fingerprint):
        with pytest.raises(FileNotFoundError, match=r"`test` of 'mine' .*test\.txt"):
            function(own)


NO_WORDS = r"valid\.txt must hold words, received none"
TEXTS_REFUSED = {  # a file, what stands in it, what is said
    "a text that is not there": ("test.txt", None, r"`test` of 'mine' .*test\.txt"),
    "an empty text": ("valid.txt", b"", NO_WORDS),
    "a text of white space": ("valid.txt", b"\n \n\n", NO_WORDS),
    "a text that is not UTF-8": (
        "valid.txt",
        b"fine\nna\xefve\n",
        r"valid\.txt must be UTF-8, received .* byte 2 of line 2",
    ),
    "a word that the training text lacks": (
        "train.txt",
        b"the cat sat\n",
        r"received 'cats'\. Set `vocabulary_size` to 3",
    ),
}


def refusal_of_text(case, folder):
    corpus, (file, content, _) = write_own(folder), TEXTS_REFUSED[case]
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(content)
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        load(corpus)
    return str(caught.value)


@pytest.mark.parametrize("case", TEXTS_REFUSED)
def test_a_text_that_cannot_be_read_is_refused(own, tmp_path, case):
    assert re.search(TEXTS_REFUSED[case][2], refusal_of_text(case, tmp_path))


def test_token_outside_the_vocabulary_is_named(own, tmp_path):
    (tmp_path / "train.txt").write_text("the cat sat\n")
    with pytest.raises(
        ValueError, match=r"received 'cats'\. Set `vocabulary_size` to 3"
    ):
        load(own)
    # and the advice works
    text = load(dataclasses.replace(own, vocabulary_size=3))
    assert text.vocabulary.tokens == ("<eos>", "cat", "<unk>")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "mine", "train": "a"}, "all of `train`, `valid`, `test`"),
        ({"train": "a", "valid": "b", "test": "c"}, "`name` that is not registered"),
        ({"name": "wikitex-2"}, "did you mean 'wikitext-2'"),
        ({"name": "mine"}, "or come with `train`"),
    ],
)
def test_contradicting_settings_are_refused(settings, message):
    for function in (load, fingerprint):
        with pytest.raises(ValueError, match=message):
            function(Corpus(**settings))


# ------------------------------------------------------- registered corpora


@pytest.mark.parametrize("name", ["tiny", "tiny-files"])
def test_folder_gives_the_same_text_from_archive_and_files(folder, own, name):
    text, expected = load(Corpus(name=name)), load(own)
    assert text.vocabulary == expected.vocabulary
    for split in TEXTS:
        np.testing.assert_array_equal(text.splits[split], expected.splits[split])


@pytest.mark.parametrize(
    ("name", "file"), [("tiny", "tiny.zip"), ("tiny-files", "valid.txt")]
)
def test_wrong_hash_and_missing_file_are_named(folder, name, file):
    path = folder / "tiny" / file
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ValueError, match=rf"sha256 of .*{file} must be .* replace it"):
        load(Corpus(name=name))
    path.unlink()
    with pytest.raises(FileNotFoundError, match=rf"tiny must hold {file}, .* to fetch"):
        load(Corpus(name=name))


def test_shared_vocabulary_comes_from_the_other_corpus(folder, monkeypatch, own):
    larger = dataclasses.replace(
        REGISTRY["tiny"], vocabulary_of="tiny-files", files=REGISTRY["tiny"].files
    )
    monkeypatch.setitem(REGISTRY, "larger", dataclasses.replace(
        larger, files={"train": "test.txt", "valid": "test.txt", "test": "test.txt"}
    ))  # fmt: skip
    text = load(Corpus(name="larger"))
    assert text.vocabulary == load(own).vocabulary
    # "a cat's mat" in its own training text: two <unk>, mat, <eos>
    np.testing.assert_array_equal(text.vocabulary.counts, [1, 0, 0, 0, 2, 1, 0])


@pytest.fixture
def server(folder, tmp_path_factory, monkeypatch):
    """The folder behind HTTP, an empty cache, and no corpora folder."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=folder / "tiny"
    )
    monkeypatch.setattr(handler.func, "log_message", lambda *_: None)
    cache = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("pooch.os_cache", lambda _: cache)
    monkeypatch.delenv(FOLDER_VARIABLE)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        base = f"http://127.0.0.1:{running.server_port}"
        for name in ("tiny", "tiny-files"):
            source = dataclasses.replace(REGISTRY[name], base=base)
            monkeypatch.setitem(REGISTRY, name, source)
        yield cache
        running.shutdown()


@pytest.mark.parametrize("name", ["tiny", "tiny-files"])
def test_download_is_checked_and_kept(server, folder, own, name):
    text, expected = load(Corpus(name=name)), load(own)
    for split in TEXTS:
        np.testing.assert_array_equal(text.splits[split], expected.splits[split])
    kept = {path.name for path in (server / "tiny").iterdir()}
    assert kept == set(REGISTRY[name].hashes)
    for path in (folder / "tiny").iterdir():
        path.unlink()
    assert load(Corpus(name=name)).vocabulary == expected.vocabulary  # from the cache


def test_wrong_download_leaves_nothing(server, folder):
    (folder / "tiny" / "tiny.zip").write_bytes(b"another version")
    with pytest.raises(ValueError, match=r"have sha256:.*does not match.*by hand"):
        load(Corpus(name="tiny"))
    assert list((server / "tiny").iterdir()) == []
    (folder / "tiny" / "tiny.zip").unlink()
    with pytest.raises(OSError, match=r"tiny\.zip must be within reach.*404"):
        load(Corpus(name="tiny"))
    assert list((server / "tiny").iterdir()) == []


# --------------------------------------------------------------- fingerprints


def test_fingerprint_needs_no_files_and_sees_what_matters(monkeypatch):
    monkeypatch.setenv(FOLDER_VARIABLE, "/nowhere")
    seen = [
        fingerprint(Corpus(**settings))
        for settings in (
            {},
            {"name": "ptb-split"},
            {"name": "wikitext-2"},
            {"name": "wikitext-103"},
            {"vocabulary_size": None},
            {"repeat_eos": 2},
        )
    ]
    assert len(set(seen)) == len(seen)
    assert all(len(digest) == 64 for digest in seen)
    assert fingerprint(Corpus(seed=9)) == seen[0]  # of generated corpora only
    monkeypatch.setattr(module, "RECIPE", module.RECIPE + 1)
    assert fingerprint(Corpus()) != seen[0]


# As they were before `eos_at_stops`: every artifact records one of them.
FINGERPRINTS = {
    "ptb": "8ceded1097c94692b15bf352d84b6ed719ad223abe7b4dff8f2e977b0695a58e",
    "ptb-split": "5f6679efd31b21b2d701185e45d53ef33fe9e2f4c8813d199f23f02a51e05517",
    "wikitext-2": "d6c06d7b1f9026b6bb5a33a1db59f4454dda9fa575a4bd6a397d4d4dec5eb998",
    "wikitext-103": "e97d35ccc10bac495d4e272b9c36236c2215b712cda9c8983a820df91c1d4348",
    "synthetic": "45ba079f9ab586b73871321ab0ce064c656992ad57c69c4919fb8248bdd131cb",
}
DOUBLED = "24747526e3cf458d7c64a4346317ec9879aa401dc36fc8a88816bb908d8f6848"


def test_fingerprints_know_of_stops_only_where_lines_end_at_them():
    by_lines = {name: fingerprint(Corpus(name=name)) for name in FINGERPRINTS}
    assert by_lines == FINGERPRINTS
    assert fingerprint(Corpus(repeat_eos=2)) == DOUBLED
    at_stops = {fingerprint(Corpus(name=name, eos_at_stops=True)) for name in REGISTRY}
    assert len(at_stops) == len(REGISTRY)
    assert not at_stops & set(by_lines.values())


def test_fingerprint_sees_the_corpus_whose_types_are_shared(monkeypatch):
    first = fingerprint(Corpus(name="wikitext-103"))
    other = dataclasses.replace(REGISTRY["wikitext-2"], hashes={"wiki": "md5:0"})
    monkeypatch.setitem(REGISTRY, "wikitext-2", other)
    assert fingerprint(Corpus(name="wikitext-103")) != first


def test_fingerprint_of_own_files_is_their_content(own, tmp_path):
    first = fingerprint(own)
    (tmp_path / "valid.txt").rename(tmp_path / "moved.txt")
    assert fingerprint(dataclasses.replace(own, valid="moved.txt", name="its")) == first
    (tmp_path / "test.txt").write_text("other")
    assert fingerprint(dataclasses.replace(own, valid="moved.txt")) != first


def test_registry_is_complete():
    for source in REGISTRY.values():
        assert set(source.tokens) == {"train", "valid", "test"}
        assert source.documents or set(source.files) == set(source.tokens)
        assert source.licence
        assert source.base.startswith("https://")
        lengths = {"md5": 32, "sha1": 40, "sha256": 64, "documents": 64}
        for known in source.hashes.values():
            algorithm, digest = known.split(":")
            assert len(digest) == lengths[algorithm]
        holders = {source.archive} if source.archive else set(source.files.values())
        assert holders <= set(source.hashes)


# -------------------------------------------------------------- the real text

NOT_NOUNS = {"it", "that", "there", "he", "she", "what", "who", "let", "here"}


def test_ptb_is_the_expected_text(corpora):
    text, raw = load(Corpus()), load(Corpus(name="ptb-split"))
    for name, loaded in (("ptb", text), ("ptb-split", raw)):
        sizes = {split: ids.size for split, ids in loaded.splits.items()}
        assert sizes == REGISTRY[name].tokens
        assert len(loaded.vocabulary) == 10_000
        assert loaded.vocabulary.counts.sum() == sizes["train"]
    everything = load(Corpus(vocabulary_size=None, name="ptb")).vocabulary
    assert len(everything) == 11_651
    index = text.vocabulary.index
    pairs = [w for w in index if w.endswith("'s") and w[:-2] in index and w != "'s"]
    assert len(pairs) == 301
    assert len([w for w in pairs if w[:-2] not in NOT_NOUNS]) == 292
    # 9,784 's and 651 ' in training, of which 518 and 38 follow <unk>, N, $ or nothing
    left = [text.vocabulary.counts[index[clitic]] for clitic in ("'s", "'")]
    assert left == [518, 38]
    assert 9_784 + 651 - sum(left) == 929_589 - 919_710  # the tokens joined away
    assert batching.n_windows(text.splits["train"].size, 20, 200) == 229
    opening = (
        "consumers may want to move their <unk> a little closer to the tv set <eos>"
    )
    assert text.vocabulary.decode(text.splits["valid"][:15]) == opening.split()


@pytest.mark.parametrize(
    ("name", "lines", "never_seen"),
    [("ptb-half", 21_034, 321), ("ptb-quarter", 10_517, 1_152)],
)
def test_a_part_of_ptb_has_its_first_lines_and_the_types_of_the_whole(
    corpora, name, lines, never_seen
):
    whole, part = load(Corpus()), load(Corpus(name=name))
    assert part.vocabulary.tokens == whole.vocabulary.tokens
    sizes = {split: ids.size for split, ids in part.splits.items()}
    assert sizes == REGISTRY[name].tokens
    for split in ("valid", "test"):
        np.testing.assert_array_equal(part.splits[split], whole.splits[split])
    train = part.splits["train"]
    np.testing.assert_array_equal(train, whole.splits["train"][: train.size])
    end = whole.vocabulary.index["<eos>"]
    assert (train == end).sum() == lines
    assert (whole.splits["train"] == end).sum() == lines * (42_068 // lines)
    assert (part.vocabulary.counts == 0).sum() == never_seen
    np.testing.assert_array_equal(
        part.vocabulary.counts, np.bincount(train, minlength=10_000)
    )


def test_a_part_of_a_text_is_the_start_of_its_training_text_alone(folder, monkeypatch):
    first = dataclasses.replace(
        REGISTRY["tiny"], training_lines=1, vocabulary_of="tiny-files"
    )
    monkeypatch.setitem(REGISTRY, "first", first)
    whole, part = load(Corpus(name="tiny")), load(Corpus(name="first"))
    assert part.vocabulary == whole.vocabulary
    first_line = ["the", "cat", "sat", "<eos>"]
    assert part.vocabulary.decode(part.splits["train"]) == first_line
    for split in ("valid", "test"):
        np.testing.assert_array_equal(part.splits[split], whole.splits[split])
    assert part.fingerprint != fingerprint(Corpus(name="tiny"))
    monkeypatch.setitem(REGISTRY, "first", dataclasses.replace(first, training_lines=2))
    assert fingerprint(Corpus(name="first")) != part.fingerprint


def test_wikitext_without_its_training_file_says_so(corpora):
    if (corpora / "wikitext-2" / "wiki.train.tokens").is_file():
        pytest.skip("the training file is there")
    with pytest.raises(
        FileNotFoundError, match=r"wiki\.train\.tokens or wikitext-2-v1"
    ):
        load(Corpus(name="wikitext-2"))


@pytest.mark.parametrize("split", ["valid", "test"])
def test_wikitext_has_the_published_size(corpora, split):
    source = REGISTRY["wikitext-2"]
    path = module._find(source, split)
    tokens = sum(map(len, read_lines(path)))
    assert tokens == source.tokens[split]
    # as many where lines end at stops, and every one as in the released reader
    with path.open("rb") as stream:
        text = stream.read().decode("utf-8")
    released = text.replace("\n", " <eos> ").replace(" . ", " <eos> ").split()
    assert len(released) == tokens
    assert [*chain.from_iterable(read_lines(path, eos_at_stops=True))] == released


def test_a_text_carries_the_fingerprint_of_what_was_read(own, tmp_path):
    text, first = load(own), fingerprint(own)
    assert text.fingerprint == first
    (tmp_path / "valid.txt").write_text("the mat\n")
    assert text.fingerprint == first != fingerprint(own) == load(own).fingerprint
    corpus = Corpus(name="synthetic", vocabulary_size=None)
    assert load(corpus).fingerprint == fingerprint(corpus)


@pytest.mark.parametrize("split", TEXTS)
def test_a_text_that_changes_while_it_is_read_is_refused(
    own, tmp_path, monkeypatch, split
):
    rank = module.rank_types

    def edit_meanwhile(*arguments):
        (tmp_path / f"{split}.txt").write_text("the cat\n")
        return rank(*arguments)

    monkeypatch.setattr(module, "rank_types", edit_meanwhile)
    with pytest.raises(ValueError, match="files of 'mine' must stay as they are"):
        load(own)
