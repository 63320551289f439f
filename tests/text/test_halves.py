import numpy as np
import pytest

from state_gradients.text.halves import read_halves
from state_gradients.text.vocabulary import Vocabulary

WORDS = Vocabulary(("<eos>", "dog", "dogs", "cat", "cats", "ox", "oxen", "<unk>"))


def halves_of(tmp_path, content):
    path = tmp_path / "property.txt"
    path.write_text(content, "utf-8")
    members, unknown = read_halves(path, WORDS, len(WORDS))
    return members, unknown


def words_of(members):
    return [[WORDS.tokens[k] for k in np.flatnonzero(half)] for half in members.values]


def test_pairs_are_the_first_and_the_second_words(tmp_path):
    members, unknown = halves_of(tmp_path, "dog dogs\n\n  cat   cats \n")
    assert members.dims == ("half", "vocabulary")
    assert list(members["half"].values) == ["first words", "second words"]
    assert words_of(members) == [["dog", "cat"], ["dogs", "cats"]]
    assert unknown == []


def test_a_pair_without_one_of_its_words_is_left_out(tmp_path):
    members, unknown = halves_of(tmp_path, "dog dogs\ncat cats\nox unicorns\n")
    assert words_of(members) == [["dog", "cat"], ["dogs", "cats"]]  # and no ox
    assert unknown == ["unicorns"]


def test_a_table_has_its_labels_in_the_order_of_the_file(tmp_path):
    content = "oxen\tmany\ndog\tone\n\ncats\tmany\nunicorn\tone\ncat\tone\nox \t one\n"
    members, unknown = halves_of(tmp_path, content)
    assert list(members["half"].values) == ["many", "one"]
    assert words_of(members) == [["cats", "oxen"], ["dog", "cat", "ox"]]
    assert unknown == ["unicorn"]


REFUSED = {  # content, words of the message
    "nothing": ("\n \n", ("must hold pairs of words", "received no line")),
    "three words in a line": (
        "dog dogs\ncat cats felines\n",
        ("a line must be two words", "'cat cats felines' in line 2"),
    ),
    "one word in a line of a table": (
        "dog\tone\ndogs\n",
        ("a word, a tab and a label", "'dogs' in line 2"),
    ),
    "a label alone": ("dog\tone\n\tmany\n", ("a word, a tab", "in line 2")),
    "one label": (
        "dog\tone\ncat\tone\n",
        ("two labels", "received 1 in property.txt: ['one']"),
    ),
    "pairs with tabs": (
        "dog\tdogs\ncat\tcats\nox\toxen\n",
        ("received 3 in", "put a space, not a tab"),
    ),
    "a word in two pairs": (
        "dog dogs\ncat cats\n\ncat oxen\n",
        ("stand once in property.txt", "{'cat': [2, 4]}"),
    ),
    "a word on both sides": ("ox ox\ndog dogs\n", ("{'ox': [1, 1]}", "keep one")),
    "a word with both labels": (
        "dog\tone\ndog\tmany\n",
        ("{'dog': [1, 2]}", "keep one"),
    ),
    "too few words that are known": (
        "dog dogs\nunicorn unicorns\nhen hens\n",
        (
            "2 words of the vocabulary or more, received 1 of 'first words' and 1 of "
            "'second words'",
            "['unicorn', 'unicorns', 'hen', 'hens']",
        ),
    ),
    "a half of one word": (
        "dog\tone\ncat\tone\noxen\tmany\n",
        ("received 2 of 'one' and 1 of 'many' in property.txt. Give more",),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_two_halves_is_refused(tmp_path, case):
    content, words = REFUSED[case]
    with pytest.raises(ValueError, match=r"^inspect \(--property\): ") as caught:
        halves_of(tmp_path, content)
    assert [each for each in words if each not in str(caught.value)] == []


def test_a_file_there_must_be(tmp_path):
    with pytest.raises(FileNotFoundError, match="property"):
        read_halves(tmp_path / "nowhere", WORDS, len(WORDS))
