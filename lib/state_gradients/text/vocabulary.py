"""From text files to word types and their ids.

White space separates words and every end of line becomes ``<eos>``. Types stand by
(-frequency, word) in the training text; what a cut to n types leaves out becomes
``<unk>``, and ``<eos>`` and ``<unk>`` are two of the n.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

EOS, UNK = "<eos>", "<unk>"
STOP = " . "  # where the released reader of WikiText ends a line, too
# The paper writes genitives as one word; n't, 're, 've, 'll, 'm and 'd stay split.
CLITICS = ("'s", "'")
NO_HOSTS = (UNK, "N", "$", *CLITICS)  # no words, so that nothing joins them


def join_clitics(words):
    """Join ``'s`` and ``'`` to the word before, unless that is one of `NO_HOSTS`."""
    joined = []
    for word in words:
        if word in CLITICS and joined and joined[-1] not in NO_HOSTS:
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def read_lines(path, **options):
    """Yield each line's words and then its ``<eos>``, as :func:`end_lines` does.

    Parameters
    ----------
    path : pathlib.Path or zipfile.Path
        A text in UTF-8.
    **options
        Of :func:`end_lines`.

    Raises
    ------
    ValueError
        If a line is not UTF-8, or the text holds no word.
    """
    return end_lines(decoded_lines(path), path, **options)


def decoded_lines(path):
    """Yield each line of a text in UTF-8, its end included.

    Raises
    ------
    ValueError
        If a line is not UTF-8.
    """
    with path.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            try:  # a byte order mark is no part of the first word
                yield line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"corpora: {path} must be UTF-8, received {error.reason} at byte "
                    f"{error.start} of line {number}; convert it (see `iconv`)."
                ) from None


def end_lines(lines, path, *, join=False, repeat_eos=1, eos_at_stops=False):
    """Yield each line's words and then its ``<eos>``, a list of str.

    With `eos_at_stops` a line ends at each full stop between spaces as well, which is
    dropped: every ``" . "`` becomes ``<eos>``. As in the released reader of WikiText,
    newlines are replaced first. So a line that ends with a stop has two ends, one for
    the stop and one for the newline, and holds as many tokens as without the setting;
    of stops in a row every second one stays a word, for two share a space.

    Parameters
    ----------
    lines : iterable of str
    path : path-like
        Where they come from, for what is said of a text without words.
    join : bool, default False
        Whether to join clitics.
    repeat_eos : int, default 1
        How many ``<eos>`` to write for an end of line.
    eos_at_stops : bool, default False
        Whether ``" . "`` ends a line.

    Raises
    ------
    ValueError
        If the text holds no word.
    """
    empty = True
    for line in lines:
        parts = f" {line.strip()} ".split(STOP) if eos_at_stops else [line]
        for words in map(str.split, parts):
            empty = empty and not words
            yield (join_clitics(words) if join else words) + [EOS] * repeat_eos
    if empty:
        raise ValueError(
            f"corpora: {path} must hold words, received none; a split that is trained "
            "on or measured cannot be empty."
        )


@dataclass(frozen=True)
class Vocabulary:
    """Word types and their ids 0, 1, ...

    Attributes
    ----------
    tokens : tuple of str
        The type of each id.
    counts : ndarray of int64, shape (vocabulary,), or None
        Occurrences in the training text after the cut, so that they sum to its length.
    """

    tokens: tuple[str, ...]
    counts: np.ndarray | None = field(default=None, compare=False, repr=False)

    def __len__(self):
        """Return the number of types."""
        return len(self.tokens)

    @cached_property
    def index(self):
        """The id of each type, a dict."""
        return {token: i for i, token in enumerate(self.tokens)}

    def encode(self, tokens):
        """Return the ids of an iterable of tokens, int32; others become ``<unk>``.

        Raises
        ------
        ValueError
            If a token is not in the vocabulary and ``<unk>`` is not there either.
        """
        index = self.index
        if UNK in index:
            return np.fromiter((index.get(t, index[UNK]) for t in tokens), np.int32)
        try:
            return np.fromiter((index[t] for t in tokens), np.int32)
        except KeyError as error:
            raise ValueError(
                f"Vocabulary: every token must be one of the {len(self)} types, or "
                f"{UNK} among them; received {error.args[0]!r}. Set `vocabulary_size` "
                f"to {len(self) - 1} or less, or write {UNK} for rare words."
            ) from None

    def decode(self, ids):
        """Return the tokens of an array of ids, a list of str."""
        return [self.tokens[i] for i in np.asarray(ids).ravel()]


@dataclass(frozen=True, eq=False)
class Asked:
    """What a network must name at each token: one of some classes.

    Attributes
    ----------
    classes : tuple of str
    splits : dict of str to ndarray of int32, shape (time,)
        The number of the class that is right, at each token of each split.
    """

    classes: tuple[str, ...]
    splits: dict[str, np.ndarray]


@dataclass(frozen=True, eq=False)
class Text:
    """A corpus as ids: `splits` maps train, valid, test to int32 arrays (time,).

    `fingerprint` is the SHA-256 (hex) of what decides the ids, as it was when they were
    read; None where nobody has taken it. `asked` is None where the network must name
    the next token.
    """

    vocabulary: Vocabulary
    splits: dict[str, np.ndarray]
    fingerprint: str | None = None
    asked: Asked | None = None

    @property
    def n_answers(self):
        """How many answers there are to what is asked: classes, or types."""
        return len(self.asked.classes if self.asked else self.vocabulary)


def rank_types(frequencies, size=None):
    """Return the types by (-frequency, word), at most `size` of them, a tuple.

    A cut keeps ``<eos>`` and ``<unk>``; an ``<unk>`` new to the text comes last.

    Raises
    ------
    ValueError
        If `size` leaves no place beside ``<eos>`` and ``<unk>``.
    """
    if size is not None and size < 3:
        raise ValueError(
            f"rank_types: `vocabulary_size` must be None or at least 3; received "
            f"{size}, which leaves no word beside {EOS} and {UNK}."
        )
    ranked = sorted(frequencies, key=lambda token: (-frequencies[token], token))
    if size is None or len(ranked) <= size:
        return tuple(ranked)
    words = [token for token in ranked if token not in (EOS, UNK)]
    kept = {EOS, UNK, *words[: size - 2]}
    cut = [token for token in ranked if token in kept]
    return (*cut, UNK) if UNK not in frequencies else tuple(cut)
