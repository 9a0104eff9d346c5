"""Formulas in sentences: what the checker calls an array is code, but for a few words."""

from __future__ import annotations

import re

from minidlrm.languages import Message, filled, joined

_NUMBER = r"(-?\w+)"
_PHRASES = (  # each is its own regular expression
    Message("item {k} of the cache", k=_NUMBER),
    Message(" along axis {k}", k=_NUMBER),
    Message(" shifted by {k}", k=_NUMBER),
    Message(" added to the rows {k}", k=_NUMBER),
    Message(" the first of each"),
    Message(" first"),
    Message(" less its mean"),
    Message(" transposed"),
    Message(" reversed"),
    Message("0 everywhere"),
    Message("1 everywhere"),
    Message("dy of one of them"),
    Message("the identity"),
    Message("the sum of "),
    Message("the mean of "),
    Message("the norm of "),
    Message("the deviation of "),
    Message("the largest of "),
    Message("the square of "),
    Message("the root of "),
    Message("the logit of "),
    Message(" times "),
    Message("minus "),
)
_ANY = re.compile("|".join(f"(?P<p{k}>{phrase})" for k, phrase in enumerate(_PHRASES)))


def in_words(formula: str) -> Message:
    """Return a formula as a message: the words in it are translated, the rest stays.

    Parameters
    ----------
    formula : str
        As the checker writes it.

    Examples
    --------
    >>> from minidlrm.checking.words import in_words
    >>> from minidlrm.languages import say
    >>> formula = in_words("0.5 * softmax(x) along axis 1")
    >>> formula, say(formula, "ko")
    ('0.5 * softmax(x) along axis 1', '0.5 * softmax(x), 축 1')
    """
    parts: list[str] = []
    start = 0
    for found in _ANY.finditer(formula):
        name = str(found.lastgroup)
        values = [group for group in found.groups()[_ANY.groupindex[name] :] if group is not None]
        phrase = _PHRASES[int(name[1:])]
        parts += [formula[start : found.start()]]
        parts += [filled(phrase.pattern, **dict(zip(phrase.values, values, strict=False)))]
        start = found.end()
    return joined([*parts, formula[start:]])
