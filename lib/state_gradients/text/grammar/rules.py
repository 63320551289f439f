"""An English-like language, written down: its rules, its lexicon, its frequencies.

Every line of `RULES` is a weight and a rule. Of the lines whose left side fits a symbol
one is drawn, in proportion to their weights, until only forms such as ``noun.NNS`` are
left, for each of which a word of `LEXICON` is drawn: the k-th of n with a probability
of (1/k) / (1/1 + .. + 1/n), as Zipf's law has it.

What stands in brackets are features. A letter stands for any value of its feature, and
a value for itself; the same letter or value in one line is one feature of one thing,
which the words that bear it share: they agree. A letter on the right only is drawn
(`DRAWN`). A form bears the features on the left of its line if it stands there alone.

So in ``clause[n,x,t] -> subject[n,x] predicate[n,x,t]`` the verb has the number ``n``
of its subject, however many words stand between them; nothing that follows the verb has
it. That is the point of this language: one knows what must be remembered, and until
when.

- number: a noun's, until the last verb that agrees with it: determiners say nothing of
  it, and pronouns refer to names only
- gender: a name's, until the last pronoun that refers to it, at times in the next
  sentence
- tense: a verb's, until the clauses that depend on it have theirs
- degree: an adjective's, until its *than* or *of*
- genitive: until the noun that it stands before
"""

import re

FEATURES = {  # values by feature; no value belongs to two
    "number": ("singular", "plural"),
    "gender": ("none", "feminine", "masculine", "neuter"),
    "tense": ("present", "past"),
    "degree": ("base", "comparative", "superlative"),
    "class": ("intransitive", "transitive", "reporting"),
}
GENDERS = FEATURES["gender"][1:]
LETTERS = {  # which feature a letter is of; g and h stand for a gender, x for none too
    "n": ("number", FEATURES["number"]),
    "m": ("number", FEATURES["number"]),
    "g": ("gender", GENDERS),
    "h": ("gender", GENDERS),
    "x": ("gender", FEATURES["gender"]),
    "t": ("tense", FEATURES["tense"]),
    "u": ("tense", FEATURES["tense"]),
    "d": ("degree", FEATURES["degree"]),
    "c": ("class", FEATURES["class"]),
}
DRAWN = {
    "number": {"singular": 0.55, "plural": 0.45},
    "gender": {"feminine": 0.35, "masculine": 0.35, "neuter": 0.3},
    "tense": {"present": 0.65, "past": 0.35},
    "degree": {"base": 0.9, "comparative": 0.06, "superlative": 0.04},
}
START = "text"
RULES = """
70  text            -> sentence[n,none,t] <eos>
15  text            -> sentence[singular,g,t] <eos>
15  text            -> sentence[singular,g,t] <eos> sequel[g,t] <eos>

80  sentence[n,x,t] -> clause[n,x,t]
20  sentence[n,x,t] -> clause[n,x,t] conjunction.IN dependent[x,t]
 1  sequel[g,t]     -> pronoun[singular,g] predicate[singular,g,t]

 1  dependent[none,t] -> statement[t]
60  dependent[g,t]    -> sequel[g,t]
40  dependent[g,t]    -> statement[t]
70  statement[t]      -> clause[n,none,t]
30  statement[t]      -> clause[singular,h,t]

 1  clause[n,x,t]         -> subject[n,x] predicate[n,x,t]
50  subject[n,none]       -> phrase[n]
50  subject[n,none]       -> phrase[n] modifier[n]
 1  subject[singular,g]   -> name[singular,g]

30  predicate[n,x,t] -> verb[intransitive,n,t] ending
40  predicate[n,x,t] -> verb[transitive,n,t] object[x] ending
12  predicate[n,x,t] -> verb[reporting,n,t] that.IN dependent[x,t]
18  predicate[n,x,t] -> be[n,t] quality[d]
60  ending           ->
20  ending           -> adverb.RB
20  ending           -> in.IN place.NNP

60  object[none] -> phrase[m]
20  object[none] -> phrase[m] modifier[m]
20  object[none] -> name[singular,h]
50  object[g]    -> possessive[g] core[m]
30  object[g]    -> phrase[m]
20  object[g]    -> name[singular,h]

40  modifier[n]     -> preposition.IN inner[m]
25  modifier[n]     -> that.WDT relative[n,u]
35  modifier[n]     -> which.WDT inner[m] verb[transitive,m,u]
40  relative[n,t]   -> verb[intransitive,n,t]
60  relative[n,t]   -> verb[transitive,n,t] inner[m]
60  inner[n]        -> phrase[n]
28  inner[n]        -> phrase[n] preposition.IN inner[m]
18  inner[singular] -> name[singular,h]

76  phrase[n]      -> determiner.DT core[n]
18  phrase[n]      -> genitive core[n]
12  phrase[plural] -> determiner.DT family[plural]
50  genitive       -> determiner.DT noun.NN's
20  genitive       -> determiner.DT noun.NNS's
15  genitive       -> woman.NNP's
15  genitive       -> man.NNP's
75  core[n]        -> noun[n]
25  core[n]        -> adjective.JJ noun[n]

 1  quality[base]        -> adjective[base] ending
 1  quality[comparative] -> adjective[comparative] ending after[comparative] inner[m]
 1  quality[superlative] -> the.DT adjective[superlative] ending after[superlative] many
 1  many                 -> determiner.DT core[plural]

60  verb[c,n,t] -> finite[c,n,t]
14  verb[c,n,t] -> have[n,t] c.VBN
14  verb[c,n,t] -> be[n,t] c.VBG
12  verb[c,n,t] -> modal[t] c.VB

 1  finite[c,singular,present] -> c.VBZ
 1  finite[c,plural,present]   -> c.VBP
 1  finite[c,n,past]           -> c.VBD
 1  have[singular,present]     -> has.VBZ
 1  have[plural,present]       -> have.VBP
 1  have[n,past]               -> had.VBD
 1  be[singular,present]       -> is.VBZ
 1  be[plural,present]         -> are.VBP
 1  be[singular,past]          -> was.VBD
 1  be[plural,past]            -> were.VBD
 1  modal[present]             -> will.MD
 1  modal[past]                -> would.MD

 1  noun[singular]             -> noun.NN
 1  noun[plural]               -> noun.NNS
 1  family[plural]             -> family.NNPS
 1  name[singular,feminine]    -> woman.NNP
 1  name[singular,masculine]   -> man.NNP
 1  name[singular,neuter]      -> place.NNP
 1  pronoun[singular,feminine]  -> she.PRP
 1  pronoun[singular,masculine] -> he.PRP
 1  pronoun[singular,neuter]    -> it.PRP
 1  possessive[feminine]        -> her.PRP$
 1  possessive[masculine]       -> his.PRP$
 1  possessive[neuter]          -> its.PRP$
 1  adjective[base]             -> adjective.JJ
 1  adjective[comparative]      -> adjective.JJR
 1  adjective[superlative]      -> adjective.JJS
 1  after[comparative]          -> than.IN
 1  after[superlative]          -> of.IN
"""

# The words, commonest first; what stands between slashes are the forms of one word.
_NOUNS = """
dog/dogs girl/girls boy/boys teacher/teachers cat/cats child/children friend/friends
doctor/doctors farmer/farmers horse/horses bird/birds student/students writer/writers
king/kings woman/women man/men house/houses car/cars book/books tree/trees boat/boats
singer/singers lawyer/lawyers baker/bakers guest/guests cousin/cousins painter/painters
soldier/soldiers driver/drivers tower/towers bridge/bridges wolf/wolves mouse/mice
sheriff/sheriffs sailor/sailors poet/poets judge/judges train/trains queen/queens
"""
_GENITIVES = 14, 8  # so many nouns have one in the singular, in the plural
_NAMES = {
    "woman": "mary anna julia emma laura helen sarah nora clara alice",
    "man": "john peter paul david thomas robert henry simon martin oscar",
    "place": "paris london rome vienna oslo madrid berlin dublin athens lisbon",
}
_NAMED_GENITIVES = 6  # so many women, so many men
_FAMILIES = "smiths joneses browns millers taylors wilsons walkers clarks"
_VERBS = {
    "transitive": """
    see/sees/saw/seeing/seen know/knows/knew/knowing/known
    find/finds/found/finding/found help/helps/helped/helping/helped
    follow/follows/followed/following/followed love/loves/loved/loving/loved
    meet/meets/met/meeting/met call/calls/called/calling/called
    chase/chases/chased/chasing/chased fear/fears/feared/fearing/feared
    hear/hears/heard/hearing/heard draw/draws/drew/drawing/drawn
    choose/chooses/chose/choosing/chosen visit/visits/visited/visiting/visited
    watch/watches/watched/watching/watched miss/misses/missed/missing/missed
    """,
    "intransitive": """
    sleep/sleeps/slept/sleeping/slept wait/waits/waited/waiting/waited
    fall/falls/fell/falling/fallen sing/sings/sang/singing/sung
    laugh/laughs/laughed/laughing/laughed grow/grows/grew/growing/grown
    wake/wakes/woke/waking/woken travel/travels/traveled/traveling/traveled
    vanish/vanishes/vanished/vanishing/vanished rest/rests/rested/resting/rested
    """,
    "reporting": """
    say/says/said/saying/said think/thinks/thought/thinking/thought
    believe/believes/believed/believing/believed hope/hopes/hoped/hoping/hoped
    claim/claims/claimed/claiming/claimed
    """,
}
_ADJECTIVES = """
old/older/oldest small/smaller/smallest young/younger/youngest big/bigger/biggest
tall/taller/tallest strong/stronger/strongest quick/quicker/quickest
kind/kinder/kindest quiet/quieter/quietest dark/darker/darkest rich/richer/richest
clean/cleaner/cleanest cold/colder/coldest proud/prouder/proudest
brave/braver/bravest warm/warmer/warmest slow/slower/slowest wise/wiser/wisest
"""
_OTHERS = {
    "determiner.DT": "the some no",
    "preposition.IN": "near behind with beside under above",
    "conjunction.IN": "because while although",
    "adverb.RB": "today now again often always here",
}


def _forms(words, tags, name):
    """Return {form: words} of a table whose rows hold a word's forms in order."""
    columns = zip(*(word.split("/") for word in words.split()), strict=True)
    return {f"{name}.{tag}": column for tag, column in zip(tags, columns, strict=True)}


def genitive(word):
    """Return a word with its genitive joined: *dog's*, *dogs'*, *children's*.

    Examples
    --------
    >>> from state_gradients.text.grammar.rules import genitive
    >>> [genitive(word) for word in ("dog", "dogs", "children")]
    ["dog's", "dogs'", "children's"]
    """
    return word + ("'" if word.endswith("s") else "'s")


def _lexicon():
    forms = _forms(_NOUNS, ("NN", "NNS"), "noun")
    for tag, number in zip(("NN", "NNS"), _GENITIVES, strict=True):
        forms[f"noun.{tag}'s"] = tuple(map(genitive, forms[f"noun.{tag}"][:number]))
    for name, words in _NAMES.items():
        forms[f"{name}.NNP"] = tuple(words.split())
    for name in ("woman", "man"):
        names = forms[f"{name}.NNP"][:_NAMED_GENITIVES]
        forms[f"{name}.NNP's"] = tuple(map(genitive, names))
    forms["family.NNPS"] = tuple(_FAMILIES.split())
    for name, words in _VERBS.items():
        of_verbs = _forms(words, ("VBP", "VBZ", "VBD", "VBG", "VBN"), name)
        forms |= of_verbs | {f"{name}.VB": of_verbs[f"{name}.VBP"]}
    forms |= _forms(_ADJECTIVES, ("JJ", "JJR", "JJS"), "adjective")
    return forms | {form: tuple(words.split()) for form, words in _OTHERS.items()}


LEXICON = _lexicon()  # {form: words}; a form that is not here is itself a word

# What a form shows by itself. A verb in the past shows no number, but *was* and *were*.
SHOWN = {
    "number": {
        "singular": ("NN", "NNP", "PRP", "VBZ", "was.VBD"),
        "plural": ("NNS", "NNPS", "VBP", "were.VBD"),
    },
    "gender": {
        "feminine": ("woman.NNP", "she.PRP", "her.PRP$"),
        "masculine": ("man.NNP", "he.PRP", "his.PRP$"),
        "neuter": ("place.NNP", "it.PRP", "its.PRP$"),
    },
    "tense": {"present": ("VBZ", "VBP", "will.MD"), "past": ("VBD", "would.MD")},
    "degree": {"base": ("JJ",), "comparative": ("JJR",), "superlative": ("JJS",)},
}
NUMBER_OF_VERBS = {"singular": 0.7, "plural": 0.3}  # of those that show it


def as_table(text):
    """Return lines of rules as (weight, left, right): symbols are (name, features).

    Raises
    ------
    ValueError
        If a line is no rule.
    """
    table = []
    for line in filter(str.strip, text.splitlines()):
        match = re.fullmatch(r"\s*([\d.]+)\s+(\S+)\s+->\s*(.*)", line)
        if not match:
            raise ValueError(
                "rules: a line must be `weight  left -> right ..`, received "
                f"{line.strip()!r}."
            )
        weight, left, right = match.groups()
        table.append((float(weight), symbol(left), tuple(map(symbol, right.split()))))
    return tuple(table)


def symbol(text):
    """Return a symbol as (name, features).

    Examples
    --------
    >>> from state_gradients.text.grammar.rules import symbol
    >>> symbol("subject[n,none]")
    ('subject', ('n', 'none'))
    """
    name, _, features = text.removesuffix("]").partition("[")
    return name, tuple(features.split(",")) if features else ()


def verb_last(table):
    """Return rules in which the verb stands last in predicates and relative clauses."""
    return tuple(
        (
            weight,
            left,
            right[1:] + right[:1] if left[0] in ("predicate", "relative") else right,
        )
        for weight, left, right in table
    )


def without_agreement(table):
    """Return rules in which a verb's number is drawn, whatever that of its subject is.

    Singular verbs remain as frequent as they were (`NUMBER_OF_VERBS`).
    """
    free = []
    for weight, (name, features), right in table:
        number = next((one for one in features if one in NUMBER_OF_VERBS), None)
        if name in ("finite", "have", "be") and number:
            features = tuple("n" if one == number else one for one in features)
            weight *= NUMBER_OF_VERBS[number]
        free.append((weight, (name, features), right))
    return tuple(free)


_TABLE = as_table(RULES)
_DEGREES = {"base": 0.5, "comparative": 0.3, "superlative": 0.2}
VARIANTS = {  # name of the corpus: its rules, and how features are drawn
    "grammar": (_TABLE, DRAWN),
    "grammar-control": (without_agreement(_TABLE), DRAWN),
    "grammar-sov": (verb_last(_TABLE), DRAWN),
    "grammar-degrees-5x": (_TABLE, DRAWN | {"degree": _DEGREES}),
}
