"""Which parts of speech a word type can have, from running text tagged by hand.

Treebank (5 % of PTB, by hand) and CoNLL-2000 (PTB sections 15-18 and 20) have PTB's
tags; Brown's tags are mapped to them for words that neither holds. Words are brought
to the form that they have in the `ptb` text: lower case, numbers ``N``, and a clitic
``'s`` or ``'`` joined to the word before, whose tags the genitive takes over.
"""

import re
from collections import Counter

import numpy as np
import xarray as xr

from state_gradients.text import corpora

_NLTK_DATA = (
    "https://raw.githubusercontent.com/nltk/nltk_data/"
    "5db857e6f7df11eabb5e5665836db9ec8df07e28/packages/corpora"
)
SOURCE = corpora.Source(
    base=_NLTK_DATA,
    folder="tagged",
    files={},
    hashes={
        "treebank.zip": "sha256:"
        "9da92d76c3666cfb6cddeaed0f7e86b344cce0f0928a286d439e555f19c37399",
        "conll2000.zip": "sha256:"
        "01e65164f268366e7caa0db92332a1955d081908c87016e2c7640c3c5279b7cd",
        "brown.zip": "sha256:"
        "9b275f9b3b95d7bd66ccfb7cd259f445a13bbe5d1f4107aba09fd3e8364bafa6",
    },
    licence="Treebank, CoNLL-2000: LDC's text, for use with NLTK; Brown: free to use",
)
NUMBER = re.compile(r"[-+.,]?\d[\d.,:/\\-]*")
GENITIVE = "'s", "'"
# Table 3 names the tags of these classes, but for Det and Conj-P, for which it names
# none: articles and other determiners; conjunctions and prepositions.
CLASSES = {
    "N": ("NN", "NNS", "NNP", "NNPS"),
    "V": ("VB", "VBD", "VBG", "VBN", "VBP", "VBZ"),
    "Adj": ("JJ", "JJR", "JJS"),
    "Adv": ("RB", "RBR", "RBS"),
    "Pro": ("PRP", "PRP$", "WP", "WP$"),
    "Det": ("DT", "PDT", "WDT"),
    "Conj-P": ("CC", "IN"),
}
USUAL = 0.05  # of a type's tags; rarer ones are mostly errors
# The properties of Section 5, each a difference within a class: tags of one half, tags
# of the other. Of genitives the tags say nothing: see `genitive_pairs`.
PROPERTIES = {
    "singular - plural": ("N", ("NN", "NNP"), ("NNS", "NNPS")),
    "common - proper": ("N", ("NN", "NNS"), ("NNP", "NNPS")),
    "genitive - non-genitive": ("N", (), ()),
    "3rd - non-3rd": ("V", ("VBZ",), ("VBP",)),
    "present - past": ("V", ("VBP", "VBZ"), ("VBD",)),
    "present - past participle": ("V", ("VBG",), ("VBN",)),
    "base - comparative": ("Adj", ("JJ",), ("JJR",)),
    "base - superlative": ("Adj", ("JJ",), ("JJS",)),
}
# Hosts of 's that are no nouns: contractions with is, has and us; the Oakland a's; and
# else, whose genitive is that of the word before.
NOT_NOUNS = (
    "it",
    "that",
    "there",
    "he",
    "she",
    "who",
    "what",
    "here",
    "let",
    "a",
    "else",
)
# Brown's tags by the PTB tag that stands for them; those of contractions and foreign
# words are left out.
BROWN = {
    "NN": "NN NR", "NNS": "NNS NRS", "NNP": "NP", "NNPS": "NPS",
    "VB": "VB BE DO HV", "VBD": "VBD BED BEDZ DOD HVD", "VBG": "VBG BEG HVG",
    "VBN": "VBN BEN HVN", "VBZ": "VBZ BEZ DOZ HVZ", "VBP": "BEM BER", "MD": "MD",
    "JJ": "JJ JJS OD", "JJR": "JJR", "JJS": "JJT",
    "RB": "RB RN QL QLP ABL *", "RBR": "RBR", "RBS": "RBT", "WRB": "WRB WQL",
    "PRP": "PPS PPSS PPO PPL PPLS PN", "PRP$": "PP$ PP$$", "WP": "WPS WPO",
    "WP$": "WP$",
    "DT": "AT DT DTI DTS DTX AP", "PDT": "ABN ABX", "WDT": "WDT",
    "CC": "CC", "IN": "IN CS", "TO": "TO", "RP": "RP", "EX": "EX", "CD": "CD",
    "UH": "UH",
}  # fmt: skip
PTB_OF_BROWN = {one: tag for tag, many in BROWN.items() for one in many.split()}
HEADLINE = re.compile(r"-(TL|HL|NC)\b")  # Brown marks words of titles and headlines


def in_form(word):
    """Return a word as it stands in the `ptb` text.

    Examples
    --------
    >>> from state_gradients.paper.language.tags import in_form
    >>> [in_form(word) for word in ("Japan", "1,234.5", "1980s")]
    ['japan', 'N', '1980s']
    """
    return "N" if NUMBER.fullmatch(word) else word.lower()


def joined(tagged):
    """Yield (word, tag) in `ptb`'s form, genitives with their host's tag.

    Parameters
    ----------
    tagged : iterable of (str, str)
        Words and PTB tags; traces and untagged words are left out.

    Examples
    --------
    >>> from state_gradients.paper.language.tags import joined
    >>> list(joined([("Japan", "NNP"), ("'s", "POS"), ("*", "-NONE-"), ("yen", "NN")]))
    [("japan's", 'NNP'), ('yen', 'NN')]
    """
    last = None
    for word, tag in tagged:
        if tag is None or tag == "-NONE-":
            continue
        if tag == "POS" and last and word in GENITIVE:
            yield last[0] + word, last[1]
            last = None
            continue
        if last:
            yield last
        last = in_form(word), tag
    if last:
        yield last


def _from_brown(tagged):
    """Yield Brown's words with PTB tags, but those that have none or are two."""
    for word, tag in tagged:
        tag = HEADLINE.sub("", tag or "")
        genitive = word.endswith("'s") or word.endswith("s'")
        if tag.endswith("$") and genitive and tag not in PTB_OF_BROWN:
            tag = tag.removesuffix("$")
        if tag in PTB_OF_BROWN:
            yield in_form(word), PTB_OF_BROWN[tag]


def running_text(name):
    """Return the words of a tagged corpus with their PTB tags, in `ptb`'s form.

    Parameters
    ----------
    name : "treebank", "conll2000" or "brown"

    Returns
    -------
    list of (str, str)

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        If the corpus is missing, out of reach or another file.
    """
    import nltk
    from nltk.corpus import reader

    archive = corpora.find(SOURCE, f"{name}.zip")
    if str(archive.parent) not in nltk.data.path:  # NLTK opens no file elsewhere
        nltk.data.path.append(str(archive.parent))
    root = nltk.data.ZipFilePathPointer(str(archive), f"{name}/")
    if name == "treebank":
        files = reader.BracketParseCorpusReader(root, r"combined/wsj_\d+\.mrg")
    elif name == "conll2000":
        files = reader.ConllChunkCorpusReader(root, r"t.*\.txt", ("NP", "VP", "PP"))
    else:
        files = reader.TaggedCorpusReader(root, r"c[a-z]\d\d")
        return list(_from_brown(files.tagged_words()))
    return list(joined(files.tagged_words()))


def read_tags(tokens):
    """Return how often each type was seen with each tag, Brown's where others lack it.

    Parameters
    ----------
    tokens : sequence of str
        The types of a vocabulary.

    Returns
    -------
    xarray.Dataset
        ``n_tagged`` (tag, vocabulary), int; ``by_brown`` (vocabulary), bool: whether
        its tags are Brown's, for Treebank and CoNLL-2000 do not hold it. A type without
        any tag has zeros.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As `running_text`.
    """
    counts = Counter(running_text("treebank")) + Counter(running_text("conll2000"))
    held = {word for word, _ in counts}
    brown = Counter(running_text("brown"))
    counts += {pair: n for pair, n in brown.items() if pair[0] not in held}
    index = {token: k for k, token in enumerate(tokens)}
    seen = {pair: n for pair, n in counts.items() if pair[0] in index}
    names = sorted({tag for _, tag in seen})
    table = np.zeros((len(names), len(tokens)), int)
    for (word, tag), n in seen.items():
        table[names.index(tag), index[word]] = n
    by_brown = [token not in held for token in tokens] & table.any(axis=0)
    return xr.Dataset(
        {
            "n_tagged": (("tag", "vocabulary"), table),
            "by_brown": ("vocabulary", by_brown),
        },
        coords={"tag": names, "vocabulary": list(tokens)},
    )


def members(n_tagged, tags, *, least=0.0):
    """Return which types can have one of some tags, bool (vocabulary).

    Parameters
    ----------
    n_tagged : DataArray of int, shape (tag, vocabulary)
        Of `read_tags`.
    tags : sequence of str
        Tags that no type was seen with count for nothing.
    least : float
        The share that these tags must have of all that the type was seen with. Tagging
        errs: *the* is NNP, JJ and IN once in some thousand times, and counts in these
        classes unless they must have a share such as `USUAL`.
    """
    held = [tag for tag in tags if tag in n_tagged["tag"]]
    n = n_tagged.sel(tag=held).sum("tag")
    return (n > 0) & (n >= least * n_tagged.sum("tag"))


def genitive_pairs(tokens):
    """Return the genitives of a vocabulary with their hosts, where it holds both.

    Parameters
    ----------
    tokens : sequence of str

    Returns
    -------
    list of (str, str)
        Genitive and host, in the order of `tokens`: ``'s`` goes off, or the ``'``
        behind an s. Hosts among `NOT_NOUNS` are left out.

    Examples
    --------
    >>> from state_gradients.paper.language.tags import genitive_pairs
    >>> genitive_pairs(["japan", "japan's", "it", "it's", "firms'", "firms", "arby's"])
    [("japan's", 'japan'), ("firms'", 'firms')]
    """
    hosts = set(tokens).difference(NOT_NOUNS)
    pairs = [
        (token, token.removesuffix("s").removesuffix("'"))
        if token.endswith("'s")
        else (token, token.removesuffix("'"))
        for token in tokens
        if token.endswith(("'s", "s'"))
    ]
    return [(token, host) for token, host in pairs if host in hosts]


def halves(tags, name):
    """Return which types stand on either side of a property, bool (half, vocabulary).

    Parameters
    ----------
    tags : xarray.Dataset
        Of `read_tags`.
    name : str
        Of `PROPERTIES`. A type that is usually on both sides stands on both.
    """
    _, first, second = PROPERTIES[name]
    if first:
        n_tagged = tags["n_tagged"]
        sides = [members(n_tagged, side, least=USUAL) for side in (first, second)]
        return xr.concat(sides, "half")
    tokens = tags["vocabulary"]
    pairs = genitive_pairs(tokens.values.tolist())
    sides = [tokens.isin([pair[side] for pair in pairs]) for side in (0, 1)]
    return xr.concat(sides, "half")
