"""Every claim of the paper once, with what judges it.

A claim has a name, a kind, our words for it and the quantity that tests it. A function
judges it (:func:`claim`), or its rows of the ledger (:func:`by_ledger`). Where neither
can, an experiment that is still to come will (:func:`waits_for`), or none of ours could
(:func:`cannot_be_tested`). Each of these registers it.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

KINDS = {
    "N": "a published number",
    "O": "an order or a sign",
    "S": "the shape of a curve",
    "I": "an identity",
    "H": "an explanation that the authors offer",
}
REGISTERED = {}  # name: Claim, filled by the modules of the sections


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of the paper that can be tested.

    Attributes
    ----------
    name : str
        C001 to C196, in the order of the paper.
    kind : str
        One of `KINDS`.
    text : str
        The claim in our words.
    quantity : str
        What tests it.
    where : str
        Section, figure, table or equation of the paper.
    test : callable or None
        Takes ``artifact(kind, of=None)``, which loads what the claim may look at, and
        returns ``({what: value}, whether it holds or None)``.
    experiments : tuple of str, or dict of str to tuple of str
        The runs that `test` is called on, one at a time. They differ in nothing but
        their seed; of a mapping, those of each setting, which is judged by itself.
    beside : tuple of str
        Other experiments that `test` may load by name, for comparison.
    holds_if : str
        The bound of `test`, in words.
    in_ledger : bool
        Whether rows of the ledger judge it.
    whole : bool
        Whether these rows say all that the claim says. Rows that cover a part of it can
        refute it, but not support it.
    stand_in : str
        What stands in the test for something that is not ours to have: what the test
        finds is shown, and decides nothing.
    waits_for : str
        The experiment that will judge it, where it is still to come.
    reason : str
        What that experiment will show, or, where `waits_for` is empty, why no run of
        ours could answer.
    """

    name: str
    kind: str
    text: str
    quantity: str
    where: str
    test: Callable | None = None
    experiments: tuple[str, ...] | dict[str, tuple[str, ...]] = ()
    beside: tuple[str, ...] = ()
    holds_if: str = ""
    in_ledger: bool = False
    whole: bool = True
    stand_in: str = ""
    waits_for: str = ""
    reason: str = ""

    @property
    def runs(self):
        """Return the experiments by setting, ``""`` where there is one only."""
        several = isinstance(self.experiments, dict)
        return self.experiments if several else {"": self.experiments}


def _register(entry):
    if not re.fullmatch(r"C\d{3}", entry.name):
        raise ValueError(
            "claims: a claim's name must be C and three digits, received "
            f"{entry.name!r}."
        )
    if entry.name in REGISTERED:
        raise ValueError(
            f"claims: {entry.name} must be registered once, but stands here already: "
            f"{REGISTERED[entry.name].text!r}; received {entry.text!r}."
        )
    if entry.kind not in KINDS:
        raise ValueError(
            f"claims: the kind of {entry.name} must be one of {[*KINDS]}, received "
            f"{entry.kind!r}."
        )
    for field, tuples in (
        ("experiments", entry.runs.values()),
        ("beside", [entry.beside]),
    ):
        for names in tuples:
            if isinstance(names, str):
                raise ValueError(
                    f"claims: `{field}` of {entry.name} must be a tuple of names, "
                    f"received the text {names!r}; put a comma behind it."
                )
    if not (entry.test or entry.in_ledger or entry.reason):
        raise ValueError(
            f"claims: {entry.name} must have a test, rows of the ledger or a reason "
            "why there are none; use one of the functions of `registry`."
        )
    if entry.test and not (all(entry.runs.values()) and entry.holds_if):
        raise ValueError(
            f"claims: {entry.name} has a test, so that it must say on which "
            f"`experiments` and what it `holds_if`, received {entry.experiments!r} and "
            f"{entry.holds_if!r}."
        )
    REGISTERED[entry.name] = entry


def claim(
    name,
    kind,
    text,
    quantity,
    *,
    where,
    experiments,
    holds_if,
    beside=(),
    stand_in="",
):
    """Register a function as the test of a claim; the function stays what it is.

    Parameters
    ----------
    name, kind, text, quantity, where, experiments, holds_if, beside, stand_in
        As in :class:`Claim`.

    Raises
    ------
    ValueError
        If the name is not C and three digits or was registered before, the kind is
        unknown, or experiments or bound are missing.
    """

    def register(test):
        _register(
            Claim(
                name=name,
                kind=kind,
                text=text,
                quantity=quantity,
                where=where,
                test=test,
                experiments=experiments,
                beside=beside,
                holds_if=holds_if,
                stand_in=stand_in,
            )
        )
        return test

    return register


def by_ledger(name, kind, text, quantity, *, where, whole=True):
    """Register a claim that its rows of ``data/published.yaml`` judge.

    These are the rows whose field ``claim`` has its name: its numbers, or, where it has
    none, its orders. See :func:`claim` for the parameters and errors.

    Parameters
    ----------
    whole : bool, default True
        False where the rows cover a part of the claim only.
    """
    _register(
        Claim(
            name=name,
            kind=kind,
            text=text,
            quantity=quantity,
            where=where,
            in_ledger=True,
            whole=whole,
        )
    )


def waits_for(
    name, kind, text, quantity, *, where, experiment, reason, holds_if="not set yet"
):
    """Register a claim whose experiment is planned, but not run.

    A claim whose experiment stands in ``params.yaml`` rather gets a test
    (:func:`claim`) or rows of the ledger: it waits by itself as long as the artifacts
    are missing, and is judged as soon as they are there.

    Parameters
    ----------
    name, kind, text, quantity, where
        As in :class:`Claim`.
    experiment : str
        Its name, such as "grammar-sov": a word without spaces.
    reason : str
        What the experiment will show, and why nothing before it can.
    holds_if : str
        The bound, in words, where it is set already.

    Raises
    ------
    ValueError
        As :func:`claim`, and if experiment or reason are missing.
    """
    if not re.fullmatch(r"[\w.-]+", experiment):
        raise ValueError(
            f"claims: `experiment` of {name} must be the name of one experiment, "
            f"without spaces, received {experiment!r}."
        )
    _without_test(
        name,
        kind,
        text,
        quantity,
        where=where,
        reason=reason,
        waits_for=experiment,
        holds_if=holds_if,
    )


def cannot_be_tested(name, kind, text, quantity, *, where, reason):
    """Register a claim that no run of ours could answer.

    Parameters
    ----------
    name, kind, text, quantity, where
        As in :class:`Claim`.
    reason : str
        What stands in the way, and could not be had.

    Raises
    ------
    ValueError
        As :func:`claim`, and if the reason is missing.
    """
    _without_test(name, kind, text, quantity, where=where, reason=reason)


def _without_test(name, kind, text, quantity, *, reason, **rest):
    if not reason.strip():
        raise ValueError(
            f"claims: {name} must say in `reason` why nothing judges it, received "
            f"{reason!r}."
        )
    entry = {"name": name, "kind": kind, "text": text, "quantity": quantity}
    _register(Claim(**entry, reason=reason, **rest))
