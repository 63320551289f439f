"""Fields in which a reader of the built book answers, without a kernel.

A page carries no answer that can be read at a glance. A field holds hashes of what is
accepted and what its messages are, as Base64 of JSON, and ``book/_static/exercises.js``
hashes what the reader types in the same way. Whoever wants to cheat can; nobody sees an
answer by looking at the page or its source.

A number x is accepted as a whole number of steps, floor(x / step + 1/2). The step is a
power of ten well below the tolerance, so that only a few numbers of steps are right.
"""

import base64
import json
import math

MIME = "application/vnd.state-gradients.field+json"


def digest(text):
    """Return the FNV-1a hash of an ASCII text, 32 bits, as eight hexadecimal digits."""
    value = 0x811C9DC5
    for byte in text.encode("ascii"):
        value = (value ^ byte) * 0x01000193 % 2**32
    return f"{value:08x}"


def steps_of(number, step):
    """Return how many steps a number is, rounded half up as in JavaScript."""
    return math.floor(number / step + 0.5)


def _accepted(number, tolerance, step):
    first, last = steps_of(number - tolerance, step), steps_of(number + tolerance, step)
    return range(first, last + 1)


def sealed_number(salt, right, tolerance, kind, hint, mistakes):
    """Return the content of a field for a number.

    Parameters
    ----------
    salt : str
        The exercise's number.
    right : float
    tolerance : float
        Absolute; 0 for a whole number.
    kind, hint : str
    mistakes : dict of str to float
        Wrong numbers, by what they must be told.

    Returns
    -------
    dict
    """
    step = 10.0 ** math.floor(math.log10(tolerance / 2)) if tolerance else 1.0
    if not tolerance and right != round(right):
        raise ValueError(
            f"sealed_number: without a tolerance the answer of {salt} must be whole, "
            f"received {right}; give the target an `rtol` or `atol`."
        )

    def hashes(number):
        accepted = _accepted(float(number), tolerance, step)
        return [digest(f"{salt}|{count}") for count in accepted]

    return {
        "salt": salt,
        "step": step,
        "whole": not tolerance,
        "right": hashes(right),
        "expected": kind,
        "hint": hint,
        "mistakes": [[hashes(wrong), say] for say, wrong in mistakes.items()],
    }


def sealed_choice(salt, right, wrong):
    """Return the content of a field for one of several statements.

    Parameters
    ----------
    salt : str
    right : str
        The letter of the right statement.
    wrong : dict of str to str
        What speaks against each other one, by its letter.

    Returns
    -------
    dict
    """
    return {
        "salt": salt,
        "letters": sorted([right, *wrong]),
        "right": [digest(f"{salt}|{right}")],
        "mistakes": [[[digest(f"{salt}|{x}")], say] for x, say in wrong.items()],
    }


def html(sealed):
    """Return the field as HTML; it stays hidden where the page's script does not run.

    Parameters
    ----------
    sealed : dict
        As :func:`sealed_number` and :func:`sealed_choice` return it.

    Returns
    -------
    str
        One line, as Markdown takes it.
    """
    text = json.dumps(sealed, ensure_ascii=False)
    hidden = base64.b64encode(text.encode()).decode()
    number = sealed["salt"]
    return f'<form class="exercise-field" data-exercise="{number}" data-sealed="{hidden}" hidden></form>'  # noqa: E501, in one piece
