"""Says of an answer whether it is right and, if not, in which way it is wrong.

An exercise's *target* is what an answer is held against: a :class:`Value`, a
:class:`Choice` or a :class:`Function`. It is made from what the page has computed, so
that no answer is typed anywhere and a page that is run on another experiment asks for
that experiment's numbers. What a check says names what came, what kind of thing was
expected and a hint, and never the answer.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from state_gradients.foundation import settings
from state_gradients.paper.exercises import fields

TARGETS = {}  # the function that makes a target, by the exercise's number


class WrongAnswerError(AssertionError):
    """An answer is wrong; the message says in which way."""

    def _render_traceback_(self):
        """Let a notebook show the message alone: the way into the check is no help."""
        return [str(self)]


@dataclass(frozen=True)
class Value:
    """A number, or an array of numbers.

    Attributes
    ----------
    right : float or array-like
    kind : str
        What is expected, in words: ``"a share between 0 and 1"``.
    hint : str
        What helps who has it wrong in no known way.
    rtol, atol : float
        An answer is right within ``atol + rtol * abs(right)``. Both 0 for a count.
    mistakes : dict of str to float or array-like
        What known wrong ways lead to, by what they must be told.
    """

    right: object
    kind: str
    hint: str
    rtol: float = 0.0
    atol: float = 0.0
    mistakes: dict = field(default_factory=dict)

    def fault(self, answer):
        """Return what is wrong with an answer, or None if nothing is."""
        try:
            values = np.asarray(answer, dtype=np.float64)
        except (TypeError, ValueError):
            return f"That is a {type(answer).__name__}, and no number."
        right = np.asarray(self.right, dtype=np.float64)
        if values.shape != right.shape:
            return f"Its shape is {values.shape}, and must be {right.shape}."
        if not np.isfinite(values).all():
            return "It holds NaN or infinity."
        if self._near(values, right):
            return None
        near = (
            say for say, wrong in self.mistakes.items() if self._near(values, wrong)
        )
        return next(near, self.hint)

    def _near(self, values, expected):
        expected = np.asarray(expected, dtype=np.float64)
        return np.allclose(values, expected, rtol=self.rtol, atol=self.atol + 1e-12)

    def sealed(self, salt):
        """Return what a field of the built page needs, None for an array."""
        if np.ndim(self.right):
            return None
        tolerance = self.atol + self.rtol * abs(float(self.right))
        return fields.sealed_number(
            salt, self.right, tolerance, self.kind, self.hint, self.mistakes
        )


@dataclass(frozen=True)
class Choice:
    """One of several statements, which the exercise calls a, b, c and so on.

    Attributes
    ----------
    right : str
        Its letter.
    wrong : dict of str to str
        What speaks against each of the others, by its letter.
    """

    right: str
    wrong: dict

    @property
    def letters(self):
        """The letters of all statements, in order."""
        return sorted([self.right, *self.wrong])

    @property
    def kind(self):
        """What is expected, in words."""
        return f"one of the letters {', '.join(self.letters)}, in quotes"

    def fault(self, answer):
        """Return what is wrong with an answer, or None if nothing is."""
        letter = answer.strip().lower() if isinstance(answer, str) else answer
        if letter == self.right:
            return None
        if not isinstance(letter, str) or letter not in self.wrong:
            return "That is none of the statements."
        return self.wrong[letter]

    def sealed(self, salt):
        """Return what a field of the built page needs."""
        return fields.sealed_choice(salt, self.right, self.wrong)


@dataclass(frozen=True)
class Function:
    """A function that the reader writes, tried on arguments that the page never shows.

    Attributes
    ----------
    reference : callable
        Gives the right result.
    trials : list of tuple
        Arguments, of each trial.
    kind, hint : str
        As of a :class:`Value`, of what the function returns.
    mistakes : dict of str to callable
        Functions with a known mistake, by what who makes it must be told.
    rtol, atol : float
        Of each result.
    """

    reference: Callable
    trials: list
    kind: str
    hint: str
    mistakes: dict = field(default_factory=dict)
    rtol: float = 1e-6
    atol: float = 1e-9

    def fault(self, answer):
        """Return what is wrong with an answer, or None if nothing is."""
        if not callable(answer):
            return f"That is a {type(answer).__name__}, and no function."
        for arguments in self.trials:
            mistakes = {say: wrong(*arguments) for say, wrong in self.mistakes.items()}
            target = Value(
                self.reference(*arguments),
                self.kind,
                self.hint,
                rtol=self.rtol,
                atol=self.atol,
                mistakes=mistakes,
            )
            try:
                result = answer(*arguments)
            except Exception as error:  # a reader's function may raise anything
                return f"Called by the check, it raises {type(error).__name__}: {error}"
            if is_blank(result):
                return f"Called by the check, it returns {result!r}."
            if fault := target.fault(result):
                return f"Called by the check, it returns {shown(result)}. {fault}"
        return None

    def returns_nothing(self, answer):
        """Whether a function still has a blank: it meets `...`, or returns nothing."""
        if not callable(answer):
            return False
        try:
            return is_blank(answer(*self.trials[0]))
        except Exception as error:  # any other, `fault` reports
            return "ellipsis" in str(error)

    def sealed(self, salt):
        """Return None: a built page runs no Python."""


class Outcome:
    """What a check says of an answer that is not wrong; a notebook shows it."""

    def __init__(self, message, sealed=None):
        self.message = message
        self.sealed = sealed

    def __repr__(self):
        return self.message

    def _repr_mimebundle_(self, include=None, exclude=None):
        bundle = {"text/plain": self.message}
        if self.sealed is not None:
            bundle[fields.MIME] = self.sealed
        return bundle


def target(number):
    """Register a function as what makes the target of an exercise.

    Parameters
    ----------
    number : str
        Of the exercise, as its title has it: ``"4.3.2.1"``.
    """

    def register(function):
        if number in TARGETS:
            raise ValueError(
                f"target: each exercise must have one target, but {number} has "
                f"{TARGETS[number].__name__} and {function.__name__}; renumber one."
            )
        TARGETS[number] = function
        return function

    return register


def is_blank(answer):
    """Return whether an answer has not been filled in."""
    return answer is None or answer is ...


def shown(answer):
    """Return what came, short enough for a message."""
    if callable(answer):
        return f"the function {getattr(answer, '__name__', '')}".strip()
    if np.ndim(answer) and not isinstance(answer, str):
        return f"an array of shape {np.shape(answer)}"
    text = f"{answer:.6g}" if isinstance(answer, float) else repr(answer)
    return text if len(text) <= 60 else f"{text[:57]}..."


def check(number, answer, **page):
    """Check the answer to an exercise.

    Parameters
    ----------
    number : str
        Of the exercise, as its title has it.
    answer : object
        The reader's; ``...`` while it is not filled in.
    **page : object
        What the page has computed and the target is made from.

    Returns
    -------
    Outcome
        That the answer is right, or that there is none yet.

    Raises
    ------
    WrongAnswerError
        If it is wrong; the message says what came, what was expected, and a hint.
    ValueError
        If no exercise has the number.
    """
    if number not in TARGETS:
        hint = settings.nearest(number, sorted(TARGETS))
        raise ValueError(f"check: no exercise {number!r} has a check; {hint}")
    wanted = TARGETS[number](**page)
    name = f"Exercise {number}"
    returns_nothing = getattr(wanted, "returns_nothing", lambda answer: False)
    if is_blank(answer) or returns_nothing(answer):
        return Outcome(
            f"{name} is not filled in yet. Replace the `...` by {wanted.kind}, and run "
            "the cell again."
        )
    if (fault := wanted.fault(answer)) is not None:
        raise WrongAnswerError(
            f"{name}: not yet.\n"
            f"  received: {shown(answer)}\n"
            f"  expected: {wanted.kind}\n"
            f"  {fault}"
        )
    return Outcome(f"{name}: right.", wanted.sealed(number))


def refused(number, answer, **page):
    """Return what a check says to a wrong answer, as an instructor's page shows it.

    Raises
    ------
    ValueError
        If the check does not refuse the answer.
    """
    try:
        outcome = check(number, answer, **page)
    except WrongAnswerError as error:
        return Outcome(str(error))
    raise ValueError(
        f"refused: the check of Exercise {number} must refuse {shown(answer)}, but "
        f"said {outcome.message!r}; make its target narrower."
    )
