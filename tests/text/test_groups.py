import numpy as np
import pytest

from state_gradients.text.groups import read_groups
from state_gradients.text.tokenizer import Tokenizer
from state_gradients.text.vocabulary import Vocabulary

WORDS = Vocabulary(("<eos>", "cat", "dog", "ran", "<unk>"))
PAIRS = [("dog", "noun"), ("ran", "verb"), ("cat", "noun"), ("cat", "pet")]


def written(path, pairs, *, comma=False, head=""):
    path.write_text(
        head + "".join(f"{',' if comma else '  '}".join(p) + "\n" for p in pairs)
    )
    return path


@pytest.mark.parametrize("name", ["groups.txt", "groups.csv"])
def test_groups_are_read_in_the_order_of_the_file(tmp_path, name):
    is_csv = name.endswith("csv")
    pairs = [*PAIRS, ("unicorn", "pet")]
    head = "word,label\n" if is_csv else "\n"
    path = written(tmp_path / name, pairs, comma=is_csv, head=head)
    groups, unknown = read_groups(path, WORDS, 5)
    assert groups.dims == ("group", "vocabulary")
    assert list(groups["group"].values) == ["noun", "verb", "pet"]
    np.testing.assert_array_equal(
        groups, [[0, 1, 1, 0, 0], [0, 0, 0, 1, 0], [0, 1, 0, 0, 0]]
    )
    assert unknown == ["unicorn"]


def test_ids_are_those_of_a_tokenizer_or_a_layer(tmp_path):
    import keras

    path = written(tmp_path / "g", [("cat", "noun"), ("rare", "noun")])
    tokenizer = Tokenizer(
        word_index={"<unk>": 1, "cat": 2, "rare": 3},
        filters="",
        lower=True,
        split=" ",
        char_level=False,
        num_words=3,
        oov_token="<unk>",
    )
    groups, unknown = read_groups(path, tokenizer, 4)
    assert groups.values.tolist() == [[False, False, True, False]]
    assert unknown == ["rare"]  # an id that is not in use
    layer = keras.layers.StringLookup(vocabulary=["rare"])
    groups, unknown = read_groups(path, layer, 2)
    assert groups.values.tolist() == [[False, True]] and unknown == ["cat"]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (
            "g.txt",
            "cat noun\ndog\n",
            r"a word and the name of its group.*'dog' in line 2",
        ),
        ("g.txt", "\n\n", r"must hold words and the names"),
        ("g.csv", "a,b\ncat,noun\n", r"must name its columns \['word', 'label'\]"),
        ("g.txt", "unicorn pet\ncat noun\n", r"received 'pet' in g.txt with .*unicorn"),
    ],
)
def test_what_is_no_file_of_groups_is_refused(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=message):
        read_groups(tmp_path / name, WORDS, 5)
    (tmp_path / name).write_bytes(b"cat\xff noun\n")
    with pytest.raises(ValueError, match="must be UTF-8"):
        read_groups(tmp_path / name, WORDS, 5)
    with pytest.raises(FileNotFoundError, match="groups"):
        read_groups(tmp_path / "nowhere", WORDS, 5)
