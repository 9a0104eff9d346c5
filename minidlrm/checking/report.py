"""What a gradient check found: a line for each array, what broke a rule, and likely causes."""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from minidlrm.arrays import check_type
from minidlrm.languages import Message, as_message, joined, say, say_if_message
from minidlrm.printing import as_html, as_text, wrapped


@dataclass(frozen=True)
class ArrayCheck:
    """The check of one parameter or input.

    Parameters
    ----------
    name : str
        Dotted name of the parameter, or the name of forward's argument.
    shape : tuple of int
        Its shape.
    num_checked : int
        How many of its entries were compared: one by one, or all at once along one direction.
    error : float
        The worst relative error among them:
        ``|analytic - numeric| / (max(|analytic|, |numeric|) + floor)``.
    index : tuple of int
        The entry with that error.
    analytic, numeric : float
        The two gradients there.
    passed : bool
        Whether every entry is within the tolerance.
    kinks : int
        Entries set aside, because the function has a corner there.
    method : str
        How the numeric gradient was made: "complex", "richardson" or "central".
    numeric_error : float
        The largest estimate of the numeric gradient's own error.
    indices : int array (n, ndim)
        The entries compared one by one.
    analytics, numerics : array (n,)
        Their gradients.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> layer = md.Linear(3, 2, rng=np.random.default_rng(0))
    >>> report = md.gradcheck(layer, np.ones((4, 3)), verbose=False)
    >>> [(check.name, check.shape, check.passed) for check in report.arrays]
    [('weight', (2, 3), True), ('bias', (2,), True), ('x', (4, 3), True)]
    """

    name: str
    shape: tuple[int, ...]
    num_checked: int
    error: float
    index: tuple[int, ...]
    analytic: float
    numeric: float
    passed: bool
    kinks: int = 0
    method: str = "complex"
    numeric_error: float = 0.0
    indices: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), int), repr=False)
    analytics: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)
    numerics: np.ndarray = field(default_factory=lambda: np.zeros(0), repr=False)


@dataclass(frozen=True)
class Cause:
    """A likely reason for a wrong gradient.

    Parameters
    ----------
    key : str
        Its name in the catalogue of mistakes.
    title : str
        What is wrong, in a few words.
    array : str
        Whose gradient shows it; "" for all.
    evidence : str
        What the numbers say.
    hint : str
        What to look at.
    score : float
        How much of what was seen it explains; causes are ranked by it.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> x = np.array([1.0, 2.0])
    >>> report = md.gradcheck((np.square, lambda dy: -2 * x * dy), x, verbose=False)
    >>> report.diagnosis[0].key
    'sign'
    """

    key: str
    title: str
    array: str
    evidence: str
    hint: str
    score: float

    @property
    def text(self) -> Message:
        """All of it, in sentences."""
        title, evidence, hint = map(as_message, (self.title, self.evidence, self.hint))
        return joined((title + ".", evidence, hint), " ")

    def __str__(self) -> str:
        return str(self.text)


@dataclass(frozen=True)
class GradCheckReport:
    """All checks of one target; prints as a table, with the likeliest causes below.

    Parameters
    ----------
    target : str
        What was checked.
    arrays : tuple of ArrayCheck
        One check for each parameter and each differentiable input.
    rtol : float
        The relative error that passes.
    faults : tuple of str
        Rules that were broken, found without any difference quotient.
    diagnosis : tuple of Cause
        Likely causes, the likeliest first.
    remarks : tuple of str
        What was changed for the check, and what these inputs do not show.
    unchecked : tuple of (str, tuple of int, str)
        Inputs whose gradient backward does not return: name, shape, and why it need not.

    Attributes
    ----------
    notes : tuple of str
        What the check could not see.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> report = md.gradcheck((np.sin, lambda dy: dy), np.ones(3), verbose=False)
    >>> report.passed, report.arrays[0].passed
    (False, False)
    """

    target: str
    arrays: tuple[ArrayCheck, ...]
    rtol: float
    faults: tuple[str, ...] = ()
    diagnosis: tuple[Cause, ...] = ()
    remarks: tuple[str, ...] = ()
    unchecked: tuple[tuple[str, tuple[int, ...], str], ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every array passed, and no rule was broken."""
        return not self.faults and all(check.passed for check in self.arrays)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the check could not see: arrays whose gradient is 0, right or wrong code alike."""
        flat = [c.name for c in self.arrays if c.num_checked and not c.numerics.any()]
        if not flat:
            return self.remarks
        names = ", ".join(flat[:4]) + (", ..." if len(flat) > 4 else "")
        return (
            *self.remarks,
            Message(
                "the true gradient is 0 at every entry checked of {names}: this says little. Are "
                "all ReLUs off? Try other inputs",
                names=names,
            ),
        )

    def raise_if_failed(self) -> None:
        """Raise AssertionError, with the table and the causes, unless all passed."""
        if not self.passed:
            raise AssertionError(f"\n{self}")

    def _verdict(self, lang: str | None) -> str:
        failed, rtol = sum(not check.passed for check in self.arrays), f"{self.rtol:g}"
        if failed:
            counts = {"failed": failed, "number": len(self.arrays)}
            verdict = say("{failed} of {number} arrays FAILED", lang, **counts)
        elif self.faults:
            verdict = say("FAILED: a rule was broken", lang)
        else:
            verdict = say("every array passed", lang)
        limit = say("(relative error at most {rtol})", lang, rtol=rtol)
        return f"{say_if_message(self.target, lang)}: {verdict} {limit}"

    def _head(self, lang: str | None) -> tuple[str, ...]:
        return (
            say("array", lang),
            say("shape", lang),
            say("checked", lang),
            say("kinks", lang),
            say("worst error", lang),
            say("at", lang),
            say("analytic", lang),
            say("numeric", lang),
            "",
        )

    def _rows(self, lang: str | None) -> list[tuple[str, ...]]:
        rows = [self._head(lang)]
        for c in self.arrays:
            shape, index = "×".join(map(str, c.shape)), ",".join(map(str, c.index))
            counts = (str(c.num_checked), str(c.kinks))
            numbers = (f"{c.error:.1e}", index, f"{c.analytic:+.5e}", f"{c.numeric:+.5e}")
            verdict = "ok" if c.passed else "FAILED"
            rows.append((say_if_message(c.name, lang), shape, *counts, *numbers, verdict))
        for name, sizes, why in self.unchecked:
            rows.append(
                (name, "×".join(map(str, sizes)), "0", "-", "-", "-", "-", "-", say(why, lang))
            )
        return rows

    def _causes(self, lang: str | None) -> list[tuple[str, str]]:
        """Return the likeliest causes as (title, text)."""
        found = []
        first: dict[str, Cause] = {}
        for cause in self.diagnosis:
            first.setdefault(cause.key, cause)
        for k, cause in enumerate(list(first.values())[:3]):
            rank = say("likeliest cause", lang) if k == 0 else say("or", lang)
            where = f" ({cause.array})" if cause.array else ""
            title, evidence = say(cause.title, lang), say(cause.evidence, lang)
            found.append((f"{rank}{where}: {title}", f"{evidence} {say(cause.hint, lang)}"))
        return found

    def to_text(self, lang: str | None = None) -> str:
        """Return the report as text, in a language; by default in the user's.

        Parameters
        ----------
        lang : str, optional
            Such as "ko". `minidlrm.languages.languages` names those that there are.

        Raises
        ------
        ValueError
            When there are no messages in this language.

        Examples
        --------
        >>> import numpy as np, minidlrm as md
        >>> report = md.gradcheck((np.sin, lambda dy: dy), np.ones(3), verbose=False)
        >>> print(report.to_text("ko").splitlines()[0])
        배열  모양  검사  꺾인 점  최대 오차  자리  역전파        수치
        """
        lines = [as_text(self._rows(lang)), self._verdict(lang)]
        lines += [f"- {say(fault, lang)}" for fault in self.faults]
        for note in self.notes:
            lines += wrapped(say("note: {text}", lang, text=say(note, lang)), 100)
        for title, text in self._causes(lang):
            lines += ["", *wrapped(title, 100), *wrapped(text, 98, "  ")]
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        failed = [k for k, check in enumerate(self.arrays) if not check.passed]
        text = f"<p>{html.escape(self._verdict(None))}</p>"
        if self.faults:
            faults = (html.escape(say(fault)) for fault in self.faults)
            text += "<ul>" + "".join(f"<li>{fault}</li>" for fault in faults) + "</ul>"
        text += "".join(f"<p>{html.escape(say(note))}</p>" for note in self.notes)
        for title, words in self._causes(None):
            text += f"<p><b>{html.escape(title)}</b><br>{html.escape(words)}</p>"
        return as_html(self._rows(None), bold=failed) + text

    def plot(self, name: str | None = None, axes: Any = None) -> Any:
        """Draw analytic against numeric, and the error over the array.

        Parameters
        ----------
        name : str, optional
            Which array; the default is the first that failed, or the first of all.
        axes : pair of matplotlib Axes, optional
            Where to draw.

        Returns
        -------
        array of two matplotlib Axes

        Raises
        ------
        KeyError
            When there is no array of that name.
        """
        from minidlrm.plots import gradient_errors

        if name is not None:
            check_type("name", name, str)
        checks = {check.name: check for check in self.arrays}
        if name is None:
            failed = [check.name for check in self.arrays if not check.passed]
            name = (failed or list(checks))[0]
        if name not in checks:
            raise KeyError(f"name is {name!r}, an array that was not checked: {', '.join(checks)}")
        return gradient_errors(checks[name], axes)
