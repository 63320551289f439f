"""From rules to sentences, and how uncertain a sentence is.

`read` writes rules out: a symbol together with the values of its features is one
*state*, and each line becomes one *production* for every way to draw the features that
stand on its right side only. What is left is a context-free grammar in which a state s
becomes production p with probability P(p). A text holds it n(s) times on average,

    n(s) = [s is the start] + sum over productions p of any r that hold s: n(r) P(p)

and forms and words alike, so that a text has the entropy

    H = sum_s n(s) h(s),   h(s) = sum over productions p of s: -P(p) ln P(p)

of its derivation. No text has two derivations (a test parses them): with E tokens of a
text on average, exp(H / E) is the perplexity of the best predictor there can be.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from state_gradients.text.grammar import rules
from state_gradients.text.vocabulary import EOS

KINDS = ("number", "gender", "tense", "degree")  # of features that words bear
KIND_OF = {value: kind for kind, row in rules.FEATURES.items() for value in row}
NOBODY = -1  # the thing of a feature that a word does not bear
NEW = len(KINDS)  # from here on: the things that a production brings in


@dataclass(frozen=True)
class Production:
    """One way to write out a state.

    Attributes
    ----------
    probability : float
    children : tuple
        States (name, values), and forms, which are str.
    things : tuple of tuples of int
        For each child and each of `KINDS`: NOBODY, the kind's own number where the
        child's feature is that of its parent, or NEW + k for the k-th new thing.
    """

    probability: float
    children: tuple
    things: tuple


@dataclass(frozen=True, eq=False)
class Grammar:
    """Rules written out.

    Attributes
    ----------
    productions : dict of state to tuple of Production
        The start first.
    lexicon : dict of str to tuple of str
        The words of each form, commonest first.
    """

    productions: dict
    lexicon: dict

    @cached_property
    def words(self):
        """What a form can become, {form: {word: probability}}."""
        return {form: zipf(words) for form, words in self.lexicon.items()}

    @cached_property
    def expected(self):
        """How often a text holds each state and form on average, a dict."""
        names, children, _ = self._system
        start = np.eye(len(names))[0]
        # n = start + children^T n
        n = np.linalg.solve(np.eye(len(names)) - children.T, start)
        return dict(zip(names, n, strict=True))

    @property
    def length(self):
        """How many tokens a text has on average, ``<eos>`` counted."""
        return sum(self.expected[form] for form in self.lexicon)

    @property
    def entropy(self):
        """The entropy of a text in nats, that of its derivation."""
        names, _, own = self._system
        return float(np.array([self.expected[name] for name in names]) @ own)

    @property
    def perplexity(self):
        """The least perplexity that a predictor of the tokens can have."""
        return float(np.exp(self.entropy / self.length))

    @cached_property
    def frequencies(self):
        """The expected share of each word among the tokens, {word: share}."""
        shares = {}
        for form, words in self.words.items():
            for word, p in words.items():
                shares[word] = shares.get(word, 0) + self.expected[form] * p
        return {word: share / self.length for word, share in shares.items()}

    @cached_property
    def _system(self):
        """Names, the expected children of each (name, name), and own entropies."""
        names = [*self.productions, *self.lexicon]
        index = {name: k for k, name in enumerate(names)}
        children = np.zeros((len(names), len(names)))
        own = np.zeros(len(names))
        for state, options in self.productions.items():
            own[index[state]] = _entropy([one.probability for one in options])
            for one in options:
                for child in one.children:
                    children[index[state], index[child]] += one.probability
        for form, words in self.words.items():
            own[index[form]] = _entropy([*words.values()])
        return names, children, own


def _entropy(probabilities):
    p = np.array(probabilities)
    return float(-(p * np.log(p)).sum())


def zipf(words):
    """Return the probability of each word, the k-th in proportion to 1 / k, a dict.

    Examples
    --------
    >>> from state_gradients.text.grammar.derivation import zipf
    >>> {word: round(p, 3) for word, p in zipf(("the", "some", "no")).items()}
    {'the': 0.545, 'some': 0.273, 'no': 0.182}
    """
    p = 1 / np.arange(1, len(words) + 1)
    return dict(zip(words, (p / p.sum()).tolist(), strict=True))


def read(table, drawn, *, start=rules.START, lexicon=rules.LEXICON):
    """Write rules out.

    Parameters
    ----------
    table : sequence of (weight, left, right)
        Of :func:`state_gradients.text.grammar.rules.as_table`.
    drawn : dict
        The probabilities of a feature that stands on the right only.
    start : str
        A symbol without features.
    lexicon : dict

    Returns
    -------
    Grammar

    Raises
    ------
    ValueError
        If no line fits a symbol.
    """
    productions = {}
    waiting = [(start, ())]
    forms = {EOS: (EOS,)}
    for state in waiting:  # which grows
        if state in productions:
            continue
        productions[state] = _productions(state, table, drawn)
        for child in _children(productions[state]):
            if isinstance(child, str):
                forms[child] = lexicon.get(child, (child.partition(".")[0],))
            else:
                waiting.append(child)
    return Grammar(productions, forms)


def _children(options):
    return itertools.chain.from_iterable(one.children for one in options)


def _productions(state, table, drawn):
    name, values = state
    fitting = [
        (weight, left[1], right)
        for weight, left, right in table
        if left[0] == name and _fits(left[1], values)
    ]
    if not fitting:
        raise ValueError(
            f"rules: a line must fit {name}[{','.join(values)}], received none; write "
            "one, or correct the features of the line that asks for it."
        )
    total = sum(weight for weight, *_ in fitting)
    return tuple(
        Production(weight / total * p, children, things)
        for weight, features, right in fitting
        for p, children, things in _choices(features, values, right, drawn)
    )


def _fits(features, values):
    """Return whether a line whose left side has these features is one of the state."""
    return len(features) == len(values) and all(
        value in rules.LETTERS.get(feature, (None, (feature,)))[1]
        for feature, value in zip(features, values, strict=True)
    )


def _choices(features, values, right, drawn):
    """Yield (probability, children, things) for each way to draw the free features."""
    given = dict(zip(features, values, strict=True))
    thing = {
        feature: KINDS.index(KIND_OF[value])
        for feature, value in given.items()
        if KIND_OF[value] in KINDS
    }
    free = sorted({feature for _, row in right for feature in row} - set(given))
    thing |= {feature: NEW + k for k, feature in enumerate(free)}
    options = [_options(feature, drawn) for feature in free]
    for chosen in itertools.product(*options):
        probability = float(np.prod([p for _, p in chosen]))
        values_of = given | dict(zip(free, (value for value, _ in chosen), strict=True))
        children = tuple(_child(name, row, values_of) for name, row in right)
        things = tuple(
            _things(row if len(right) > 1 else row or features, values_of, thing)
            for _, row in right
        )
        yield probability, children, things


def _options(feature, drawn):
    """Return (value, probability) for each value that a free feature can have."""
    if feature in rules.LETTERS:
        kind, _ = rules.LETTERS[feature]
        return [*drawn[kind].items()]
    return [(feature, 1.0)]


def _child(name, row, values_of):
    """Return a form, such as ``noun.NN`` or, for c, ``c.VBZ``; or a state."""
    head, dot, tag = name.partition(".")
    if name == EOS:
        return EOS
    if dot:
        return f"{values_of.get(head, head)}.{tag}"
    return name, tuple(values_of[feature] for feature in row)


def _things(row, values_of, thing):
    """Return which thing a child's feature of each kind is of."""
    of_kind = [NOBODY] * len(KINDS)
    for feature in row:
        kind = KIND_OF[values_of[feature]]
        if kind in KINDS:
            of_kind[KINDS.index(kind)] = thing[feature]
    return tuple(of_kind)


@dataclass(frozen=True, eq=False)
class Derived:
    """Texts written out, one behind the other.

    Attributes
    ----------
    form : ndarray of int, shape (time,)
        Index into the forms of the grammar's lexicon.
    thing : ndarray of int, shape (time, kind)
        Whose number, gender, tense and degree the word bears; words with one number
        agree in the feature. NOBODY where it bears none.
    """

    form: np.ndarray
    thing: np.ndarray


def expand(grammar, n_texts, *, rng):
    """Write out `n_texts` texts at once: every state becomes its children, repeatedly.

    Parameters
    ----------
    grammar : Grammar
    n_texts : int
    rng : numpy.random.Generator

    Returns
    -------
    Derived
    """
    table = _Arrays.of(grammar)
    symbol = np.full(n_texts, table.n_forms)  # the start is the first state
    thing = np.full((n_texts, len(KINDS)), NOBODY)
    n_things = 0
    while (is_state := symbol >= table.n_forms).any():
        chosen = table.draw(symbol[is_state], rng)
        sizes = np.ones(len(symbol), int)
        sizes[is_state] = table.sizes[chosen]
        parent = np.repeat(np.arange(len(symbol)), sizes)
        from_state = is_state[parent]
        # where the children of each production stand, one behind the other
        slot = np.repeat(table.first[chosen], table.sizes[chosen])
        slot += _ranks(table.sizes[chosen])
        new = np.zeros(len(symbol), int)
        new[is_state] = n_things + np.cumsum(table.n_new[chosen]) - table.n_new[chosen]
        n_things += int(table.n_new[chosen].sum())
        symbol, inherited, brought = symbol[parent], thing[parent], new[parent]
        symbol[from_state] = table.children[slot]
        rule = table.things[slot]  # (child, kind)
        passed = np.where(rule == NOBODY, NOBODY, inherited[from_state])
        inherited[from_state] = np.where(
            rule >= NEW, brought[from_state][:, None] + rule - NEW, passed
        )
        thing = inherited
    return Derived(symbol, thing)


def _ranks(sizes):
    """Return 0 .. size - 1 for each size, one behind the other."""
    return np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)


@dataclass(frozen=True, eq=False)
class _Arrays:
    """Productions as arrays: symbols are forms, then states, by number."""

    n_forms: int
    ends: np.ndarray  # of each production in 0..n: s + P(those of state s up to it)
    sizes: np.ndarray  # how many children each production has
    first: np.ndarray  # where they begin in `children`
    n_new: np.ndarray  # how many things it brings in
    children: np.ndarray
    things: np.ndarray  # (child, kind)

    @classmethod
    def of(cls, grammar):
        names = [*grammar.lexicon, *grammar.productions]
        index = {name: k for k, name in enumerate(names)}
        options = [*itertools.chain(*grammar.productions.values())]
        rows = [row for one in options for row in one.things]
        sizes = np.array([len(one.children) for one in options])
        return cls(
            n_forms=len(grammar.lexicon),
            ends=_ends(
                [one.probability for one in row] for row in grammar.productions.values()
            ),
            sizes=sizes,
            first=np.cumsum(sizes) - sizes,
            n_new=np.array([_n_new(one) for one in options]),
            children=np.array([index[child] for child in _children(options)]),
            things=np.array(rows).reshape(-1, len(KINDS)),
        )

    def draw(self, states, rng):
        """Return a production of each state, drawn by its probability."""
        at = states - self.n_forms + rng.random(len(states))
        return np.searchsorted(self.ends, at, side="right")


def _n_new(production):
    return 1 + max([NEW - 1, *itertools.chain(*production.things)]) - NEW


def _ends(rows):
    """Return k + the cumulative probabilities of each k-th row, the last k + 1."""
    ends = []
    for k, row in enumerate(rows):
        cumulative = np.cumsum(row)
        cumulative[-1] = 1.0  # no round-off, or a draw might fall behind the last
        ends.append(k + cumulative)
    return np.concatenate(ends)


def draw_words(grammar, form, *, rng):
    """Return a word of each form, a number in the row of all words of all forms."""
    ends = _ends([*row.values()] for row in grammar.words.values())
    return np.searchsorted(ends, form + rng.random(len(form)), side="right")
