"""The corpus, and the truth about it: what each token is, and what it depends on.

A verb depends on the noun, name or pronoun whose number it has, a pronoun on the name
(or on the pronoun nearer by) whose gender it has, *than* and *of* on the adjective
whose degree they follow. That is the token's *controller*; between the two may stand
*attractors*, words that show another value of the same feature. The tense of a verb has
a controller of its own: the verb before it whose tense it takes.

A text is a sentence or two; ``<eos>`` ends each sentence, and no text knows of another.
"""

import functools
import hashlib
import json
from dataclasses import dataclass

import numpy as np

from state_gradients.text.grammar import derivation, rules
from state_gradients.text.vocabulary import EOS, Text, Vocabulary

RECIPE = 1  # raise it when the same seed and rules give other ids
SIZES = {"train": 1_000_000, "valid": 100_000, "test": 100_000}  # at least, tokens
TOGETHER = 50_000  # texts that are written out at once: some 40 MB
NONE = -1  # no controller, no distance, no later token
NOMINAL = ("NN", "NNS", "NNP", "NNPS", "PRP")
FINITE = ("VBZ", "VBP", "VBD", "MD")
# kind of feature: tags that depend, tags that they can depend on
DEPENDS = {
    "number": (("VBZ", "VBP", "VBD"), NOMINAL),
    "gender": (("PRP", "PRP$"), ("NNP", "PRP")),
    "degree": (("IN",), ("JJR", "JJS")),
    "tense": (FINITE, FINITE),
}


@dataclass(frozen=True, eq=False)
class GrammarText:
    """A stream and the truth about each of its tokens.

    Attributes
    ----------
    ids : ndarray of int32, shape (time,)
        Into :func:`vocabulary`.
    tag : ndarray of str, shape (time,)
        PTB's; a genitive has that of its host, ``<eos>`` none.
    number, gender, tense, degree : ndarrays of int8, shape (time,)
        What the word itself shows: 0 if nothing, else k for the k-th value in
        `SHOWS`.
    genitive : ndarray of bool, shape (time,)
    controller : ndarray of int, shape (time,)
        Position of the token that this one agrees with, refers to or follows in
        degree; NONE if there is none.
    tense_controller : ndarray of int, shape (time,)
        Position of the verb whose tense this one takes, or NONE.
    attractors : ndarray of int, shape (time,)
        How many tokens between a token and its controller show another value of what
        they share; 0 without a controller.
    """

    ids: np.ndarray
    tag: np.ndarray
    number: np.ndarray
    gender: np.ndarray
    tense: np.ndarray
    degree: np.ndarray
    genitive: np.ndarray
    controller: np.ndarray
    tense_controller: np.ndarray
    attractors: np.ndarray

    @functools.cached_property
    def distance(self):
        """How many tokens after its controller a token stands, or NONE; (time,)."""
        away = np.arange(len(self.ids)) - self.controller
        return np.where(self.controller == NONE, NONE, away)

    @functools.cached_property
    def needed_until(self):
        """Position of the last token that depends on this one, or NONE; (time,)."""
        last = np.full(len(self.ids), NONE)
        dependent = np.flatnonzero(self.controller != NONE)
        last[self.controller[dependent]] = dependent  # later ones overwrite
        return last


DIGITS = 12  # of frequencies: unlike ones are 2e-8 apart
TIED = (
    *("waiting", "laughed", "fell"),
    *("singing", "sung", "rested", "grew"),
    *("kindest", "cleaner"),
)
SHOWS = {kind: ("none", *values) for kind, values in rules.SHOWN.items()}


@functools.cache
def grammar(variant):
    """Return the rules of a corpus written out, a `derivation.Grammar`.

    Raises
    ------
    ValueError
        If there is no such variant.
    """
    if variant not in rules.VARIANTS:
        raise ValueError(
            f"grammar: the variant must be one of {[*rules.VARIANTS]}, received "
            f"{variant!r}."
        )
    return derivation.read(*rules.VARIANTS[variant])


@functools.cache
def vocabulary():
    """Return the types of all variants, commonest first as ``grammar`` has them.

    Types that are as frequent, which round-off must not tell apart, stand in the order
    of the alphabet; those of `TIED` in the order in which networks have learnt them.
    """
    shares = grammar("grammar").frequencies

    def place(word):
        in_tied = TIED.index(word) if word in TIED else -1
        return -round(shares[word], DIGITS), in_tied, word

    return Vocabulary(tuple(sorted(shares, key=place)))


def generate(n_tokens, *, seed, variant="grammar"):
    """Generate whole texts until there are at least `n_tokens` tokens.

    Parameters
    ----------
    n_tokens : int
    seed : int or sequence of int
        For ``np.random.default_rng``.
    variant : str
        Of `rules.VARIANTS`.

    Returns
    -------
    GrammarText

    Examples
    --------
    >>> from state_gradients.text.grammar import truth
    >>> text = truth.generate(12, seed=17)
    >>> words = truth.vocabulary().decode(text.ids)
    >>> " ".join(words[:8])
    'london had helped its farmer in rome <eos>'
    >>> [(words[k], words[c]) for k, c in enumerate(text.controller[:8]) if c >= 0]
    [('had', 'london'), ('its', 'london')]
    """
    if n_tokens < 1:
        raise ValueError(
            f"generate: `n_tokens` must be at least 1, received {n_tokens}."
        )
    rng, language = np.random.default_rng(seed), grammar(variant)
    parts, length, n_things = [], 0, 0
    while length < n_tokens:
        n_texts = int((n_tokens - length) / language.length) + 1
        derived = derivation.expand(language, min(n_texts, TOGETHER), rng=rng)
        words = derivation.draw_words(language, derived.form, rng=rng)
        thing = np.where(derived.thing < 0, derived.thing, derived.thing + n_things)
        parts.append((words, derived.form, thing))
        length += len(words)
        n_things = max(n_things, thing.max() + 1)
    words, form, thing = (np.concatenate(part) for part in zip(*parts, strict=True))
    ends = np.flatnonzero(form == [*language.lexicon].index(EOS))
    whole = ends[np.searchsorted(ends, n_tokens - 1)] + 1
    return _with_truth(language, words[:whole], form[:whole], thing[:whole])


def _with_truth(language, words, form, thing):
    """Return a `GrammarText` of words, their forms and the things that they bear."""
    forms = [*language.lexicon]
    index = vocabulary().index
    ids = np.array([index[word] for row in language.words.values() for word in row])
    tags = [form.partition(".")[2] for form in forms]
    tag = np.array([tag.removesuffix("'s") for tag in tags])[form]
    shown = {kind: _shown(kind, forms)[form] for kind in SHOWS}
    controllers = {
        kind: _controllers(
            thing[:, derivation.KINDS.index(kind)],
            *(np.isin(tag, sides) for sides in DEPENDS[kind]),
        )
        for kind in DEPENDS
    }
    controller = np.full(len(form), NONE)
    attractors = np.zeros(len(form), int)
    for kind in ("number", "gender", "degree"):
        own = controllers[kind] != NONE
        controller[own] = controllers[kind][own]
        able = np.where(np.isin(tag, DEPENDS[kind][1]), shown[kind], 0)
        attractors[own] = _attractors(able, controllers[kind], own)
    return GrammarText(
        ids=ids[words].astype(np.int32),
        tag=tag,
        **shown,
        genitive=np.array([tag.endswith("'s") for tag in tags])[form],
        controller=controller,
        tense_controller=controllers["tense"],
        attractors=attractors,
    )


def _shown(kind, forms):
    """Return which value of a feature each form shows, 0 if none, (form,)."""
    values = np.zeros(len(forms), np.int8)
    for k, form in enumerate(forms):
        names = {form, form.partition(".")[2]} if form != EOS else set()
        names |= {name.removesuffix("'s") for name in names}
        for value, row in rules.SHOWN[kind].items():
            if names & set(row):
                values[k] = SHOWS[kind].index(value)
    return values


def _controllers(thing, depends, controls):
    """Return for each token that depends the nearest one before it of the same thing.

    Parameters
    ----------
    thing : ndarray of int, shape (time,)
    depends, controls : ndarrays of bool, shape (time,)

    Returns
    -------
    ndarray of int, shape (time,)
    """
    bears = np.flatnonzero((depends | controls) & (thing != derivation.NOBODY))
    order = bears[np.argsort(thing[bears], kind="stable")]  # things, each in text order
    rank = np.arange(len(order))
    latest = np.maximum.accumulate(np.where(controls[order], rank, NONE))
    before = np.concatenate([[NONE], latest[:-1]])[: len(order)]
    found = order[before]  # where `before` is NONE, any: it is masked below
    is_same = (before != NONE) & (thing[found] == thing[order]) & depends[order]
    controller = np.full(len(thing), NONE)
    controller[order[is_same]] = found[is_same]
    return controller


def _attractors(shown, controller, own):
    """Return how many of the tokens between show another value, for each of `own`."""
    position = np.flatnonzero(own)
    between = np.zeros(len(position), int)
    for value in np.unique(shown[shown > 0]):
        until = np.concatenate([[0], np.cumsum(shown == value)])  # before each position
        n = until[position] - until[controller[position] + 1]
        between += np.where(shown[controller[position]] == value, 0, n)
    return between


def labels(corpus, split):
    """Return one split of a corpus with its truth, a :class:`GrammarText`.

    Parameters
    ----------
    corpus : state_gradients.foundation.settings.Corpus
    split : "train", "valid" or "test"
    """
    if split not in SIZES:
        raise ValueError(
            f"labels: `split` must be one of {[*SIZES]}, received {split!r}."
        )
    seed = [corpus.seed, list(SIZES).index(split)]
    return generate(SIZES[split], seed=seed, variant=corpus.name)


def load(corpus):
    """Return the :class:`Text`, its splits from independent streams of the seed."""
    types = vocabulary().tokens
    size, eos_at_stops = corpus.vocabulary_size, corpus.eos_at_stops
    too_small = size is not None and size < len(types)
    if too_small or corpus.repeat_eos != 1 or eos_at_stops:
        raise ValueError(
            f"{corpus.name}: `vocabulary_size` must be null or at least {len(types)}, "
            "`repeat_eos` 1 and `eos_at_stops` false, received "
            f"{size}, {corpus.repeat_eos} and {eos_at_stops}."
        )
    splits = {split: labels(corpus, split).ids for split in SIZES}
    counts = np.bincount(splits["train"], minlength=len(types))
    return Text(Vocabulary(types, counts), splits)


def fingerprint(corpus):
    """Return a SHA-256 of what decides the ids: recipe, rules, lexicon, seed, sizes."""
    made_by = {
        "recipe": RECIPE,
        "rules": rules.VARIANTS[corpus.name],
        "lexicon": rules.LEXICON,
        "seed": corpus.seed,
        "sizes": SIZES,
    }
    return hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()


def number_pairs():
    """Return the ids of each verb's singular and plural form, int (pair, 2).

    Verbs in the present, *is* and *are*, *was* and *were*, *has* and *have*.
    """
    pairs = [("is", "are"), ("was", "were"), ("has", "have")]
    for name in rules.FEATURES["class"]:
        forms = (rules.LEXICON[f"{name}.{tag}"] for tag in ("VBZ", "VBP"))
        pairs += zip(*forms, strict=True)
    index = vocabulary().index
    return np.array([[index[word] for word in pair] for pair in pairs])


def other_number():
    """Return the id of each type's form of the other number, (vocabulary,), or NONE."""
    pairs, other = number_pairs(), np.full(len(vocabulary()), NONE)
    other[pairs] = pairs[:, ::-1]
    return other
