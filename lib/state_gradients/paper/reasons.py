"""Reasons: sentences of the ledger whose numbers are read when they are printed.

A row outside its tolerance has ``why``, a sentence such as "the mean of ten splits is
{mean:.1%}", and ``measured``, which says for each name where its number is found:

    {experiment, artifact, variable, select, ...}   as `ours` of a row
    a number                                        itself
    a name                                          an earlier one, `ours`, `published`
    {product: [...]}, {ratio: [...]}, {difference: [...]}   of two or more of these

A list in place of names gives the numbers {0}, {1}, ...
"""

import functools
import operator

OPERATIONS = {
    "product": operator.mul,
    "ratio": operator.truediv,
    "difference": operator.sub,
}


def value(form, known, number):
    """Return the number that a form describes.

    Parameters
    ----------
    form : dict, str, int or float
        Of those above. An operation that names an experiment is a specification: its
        parts are taken run by run.
    known : dict of str to float
        What names stand for.
    number : callable
        ``number(spec)`` returns what an artifact holds.
    """
    if isinstance(form, str):
        return known[form]
    if isinstance(form, int | float):
        return form
    for name, operation in OPERATIONS.items():
        if name in _inner(form):
            parts = [value(part, known, number) for part in form[name]]
            return functools.reduce(operation, parts)
    return number(form)


def _inner(form):
    """Return the operation on other forms that a form is, with these, or ``{}``."""
    operations = OPERATIONS.keys() & form
    return {} if "experiment" in form else {name: form[name] for name in operations}


def told(why, measured, number, *, ours=None, published=None):
    """Return a reason with its numbers.

    Parameters
    ----------
    why : str
    measured : dict or list
        Where the numbers of `why` are found.
    number : callable
        ``number(spec)`` returns what an artifact holds.
    ours, published : float, optional
        What the row compares, in its unit.

    Returns
    -------
    str
    """
    if isinstance(measured, list):
        return why.format(*(value(form, {}, number) for form in measured))
    known = {"ours": ours, "published": published}
    for name, form in measured.items():
        known[name] = value(form, known, number)
    return why.format(**known)


def forms(measured):
    """Return the specifications among the entries of `measured`, however deep."""
    entries = measured.values() if isinstance(measured, dict) else measured
    found = []
    for form in entries:
        if isinstance(form, dict):
            inner = [*_inner(form).values()]
            found += forms(inner[0]) if inner else [form]
    return found


def changed(measured, change):
    """Return `measured` with ``change(spec)`` for each specification, however deep."""
    if isinstance(measured, list):
        return [_changed(form, change) for form in measured]
    return {name: _changed(form, change) for name, form in measured.items()}


def _changed(form, change):
    if not isinstance(form, dict):
        return form
    parts = _inner(form)
    return {name: changed(parts[name], change) for name in parts} or change(form)
