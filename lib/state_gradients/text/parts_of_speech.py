"""Parts of speech of three corpora, from the tags that stand in them, in one set.

Each corpus has a tagset of its own. `TAGS` brings each to the same classes, named as in
Universal Dependencies, of which some are put together, since no tagset here tells them
apart in the same way:

- VERB holds auxiliaries and participles;
- CONJ holds conjunctions that join and those that subordinate, and complementizers;
- X holds interjections, foreign words, currencies, and what is no word of a sentence.

An end of line is of the class ``<eos>``. Three lines still run where a tagset draws
them. Icelandic's *sem*, a relative, is of CONJ, for it has the complementizer's tag;
English *which* is of DET, Portuguese *que* of PRON. Possessives are of DET in English
and Portuguese, and of PRON in Icelandic. Icelandic prepositions that open a clause
(*þegar*, when) are of ADP.
"""

from itertools import chain

import numpy as np

from state_gradients.text import corpora, tagged
from state_gradients.text.vocabulary import EOS

TAGS = {  # of a corpus: class -> its tags, without what `forms_of` takes off
    "brown": {
        "NOUN": "NN NNS NR NRS",
        "PROPN": "NP NPS",
        "VERB": "VB VBD VBG VBN VBZ BE BED BEDZ BEG BEM BEN BER BEZ DO DOD DOZ HV HVD "
        "HVG HVN HVZ MD",
        "ADJ": "JJ JJR JJS JJT OD",
        "ADV": "RB RBR RBT RN QL QLP WRB WQL *",  # * is not
        "PRON": "PN PP$$ PPL PPLS PPO PPS PPSS WPO WPS EX",
        "DET": "AT AP DT DTI DTS DTX ABL ABN ABX PP$ WDT WP$",
        "ADP": "IN",
        "CONJ": "CC CS",
        "PART": "RP TO",
        "NUM": "CD",
        "X": "UH NIL",
        "PUNCT": ". ( ) -- , : `` '' '",
    },
    "mac-morpho": {
        "NOUN": "N",
        "PROPN": "NPROP NPRO PROP",  # the last two, ten times, are slips
        "VERB": "V VAUX PCP",
        "ADJ": "ADJ",
        "ADV": "ADV ADV-KS ADV-KS-REL PDEN",  # PDEN: até, só, também
        "PRON": "PROPESS PROSUB PRO-KS PRO-KS-REL",
        "DET": "ART PROADJ",
        "ADP": "PREP",
        "CONJ": "KC KS",
        "NUM": "NUM",
        "X": "IN CUR",
        "PUNCT": ". , \" ( ) : - ? ; ! ... ' / $ [ = (( )) ` .-",
    },
    "icepahc": {
        "NOUN": "N NS",
        "PROPN": "NPR NPRS",
        "VERB": "VB VBI VBPI VBPS VBDI VBDS VBN VAN VAG "
        "BE BEI BEPI BEPS BEDI BEDS BEN BAN BAG "
        "HV HVI HVPI HVPS HVDI HVDS HVN HAN HAG "
        "DO DOI DOPI DOPS DODI DODS DON DAN DAG "
        "RD RDI RDPI RDPS RDDI RDDS RDN RAN RAG "
        "MD MDI MDPI MDPS MDDI MDDS MDN MAG "
        "VDDI HDDI BEBI BEP RBN DOG",  # once each: slips
        "ADJ": "ADJ ADJR ADJS WADJ ADJP",
        "ADV": "ADV ADVR ADVS WADV NEG ALSO FP ADVP WADVP",
        "PRON": "PRO WPRO ES MAN NP WNP",
        "DET": "D Q QR QS WD ONE ONES OTHER OTHERS SUCH",
        "ADP": "P",
        "CONJ": "C CONJ CONJP WQ",  # WQ: hvort, whether
        "PART": "RP RPX TO",
        "NUM": "NUM",
        "X": "FW INTJ LS LB XXX REP ITEM IP",
        "PUNCT": '. , " ; : -',
    },
}
WORDS = (
    *("NOUN", "PROPN", "VERB", "ADJ", "ADV", "PRON", "DET", "ADP", "CONJ", "PART"),
    *("NUM", "X"),
)
CLASSES = (*WORDS, "PUNCT", EOS)
CLASS_OF_TAG = {
    corpus: {tag: name for name, tags in table.items() for tag in tags.split()}
    for corpus, table in TAGS.items()
}


def class_of(tag, corpus):
    """Return the class of a tag.

    Of a contraction it is that of the first part, of an Icelandic compound
    (``ADVR+ADJ-N``) that of the last; foreign words are ``X``. Case, number of pieces
    and other marks behind an Icelandic tag count for nothing, and neither do those of
    dates, names and quotations behind a Portuguese one.

    Parameters
    ----------
    tag : str
    corpus : str
        A name in `TAGS`.

    Returns
    -------
    str
        One of `CLASSES`.

    Raises
    ------
    ValueError
        If it is no tag of the corpus.

    Examples
    --------
    >>> from state_gradients.text.parts_of_speech import class_of
    >>> [class_of(tag, "brown") for tag in ("np$-tl", "ppss+ber", "cs", "fw-nn")]
    ['PROPN', 'PRON', 'CONJ', 'X']
    >>> [class_of(tag, "mac-morpho") for tag in ("PREP|+", "N|AP", "PCP")]
    ['ADP', 'NOUN', 'VERB']
    >>> [class_of(tag, "icepahc") for tag in ("NS-G", "ONE+Q-A", "NPR21-N", ",")]
    ['NOUN', 'DET', 'PROPN', 'PUNCT']
    """
    if corpus == "brown" and tag.upper().startswith(tagged.FOREIGN):
        return "X"
    table = CLASS_OF_TAG[corpus]
    known = [table[form] for form in forms_of(tag, corpus) if form in table]
    if not known:
        raise ValueError(
            f"parts_of_speech: a tag must be one of those of {corpus}, received "
            f"{tag!r}; put it into `TAGS`."
        )
    return known[0]


def forms_of(tag, corpus):
    """Return as what a tag may stand in `TAGS`, the first that does counting.

    Parameters
    ----------
    tag : str
    corpus : str

    Returns
    -------
    tuple of str
    """
    if corpus == "brown":
        return tagged.forms_of(tag)
    if corpus == "mac-morpho":
        return (tag.partition("|")[0],)
    first, *_, last = 2 * tag.partition("-")[0].split("+")
    return tag, last.rstrip("0123456789"), first.rstrip("0123456789")


def read_classes(corpus):
    """Return the class of each token of a corpus, a dict of split to int8 (time,).

    Parameters
    ----------
    corpus : state_gradients.foundation.settings.Corpus
        One of `settings.WITH_TAGS`, by its name.

    Returns
    -------
    dict of str to ndarray of int8, shape (time,)
        Places in `CLASSES`.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As :func:`state_gradients.text.corpora.load`; ValueError also for a tag that is
        not in `TAGS`.
    """
    source = corpora.REGISTRY[corpus.name]
    path, name = corpora.find(source, source.archive), source.documents
    ends = [CLASSES.index(EOS)] * corpus.repeat_eos
    index = {}  # of each tag

    def of_line(line):
        for _, tag in line:
            if tag not in index:
                index[tag] = CLASSES.index(class_of(tag, name))
            yield index[tag]
        yield from ends

    lines = tagged.split_tokens(path, name, half=source.half)
    return {
        split: np.fromiter(chain.from_iterable(map(of_line, each)), np.int8)
        for split, each in lines.items()
    }
