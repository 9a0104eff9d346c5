"""What a gradient check found, one line for each array."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ArrayCheck:
    """The check of one parameter or input.

    Parameters
    ----------
    name : str
        Dotted name of the parameter, or "input 0" and so on.
    shape : tuple of int
        Its shape.
    num_checked : int
        How many of its entries were perturbed.
    error : float
        The worst relative error among them, |analytic - numeric| / (max(|.|, |.|) + floor).
    index : tuple of int
        Where that was.
    analytic, numeric : float
        The two gradients there.
    passed : bool
        Whether `error` is within the tolerance.
    """

    name: str
    shape: tuple[int, ...]
    num_checked: int
    error: float
    index: tuple[int, ...]
    analytic: float
    numeric: float
    passed: bool


@dataclass(frozen=True)
class GradCheckReport:
    """All checks of one target; prints as a table.

    Parameters
    ----------
    target : str
        What was checked.
    arrays : tuple of ArrayCheck
        One check for each parameter and each differentiable input.
    rtol : float
        The relative error that passes.
    """

    target: str
    arrays: tuple[ArrayCheck, ...]
    rtol: float

    @property
    def passed(self) -> bool:
        """Whether every array passed."""
        return all(check.passed for check in self.arrays)

    def raise_if_failed(self) -> None:
        """Raise AssertionError, with the table, unless all passed."""
        if not self.passed:
            raise AssertionError(f"\n{self}")

    def __str__(self) -> str:
        rows = [("array", "shape", "checked", "worst error", "at", "analytic", "numeric", "")]
        for c in self.arrays:
            shape, index = "×".join(map(str, c.shape)), ",".join(map(str, c.index))
            numbers = (f"{c.error:.1e}", index, f"{c.analytic:+.5e}", f"{c.numeric:+.5e}")
            verdict = "ok" if c.passed else "FAILED"
            rows.append((c.name, shape, str(c.num_checked), *numbers, verdict))
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
            for row in rows
        ]
        failed = sum(not c.passed for c in self.arrays)
        verdict = f"{failed} of {len(rows) - 1} arrays FAILED" if failed else "every array passed"
        lines.append(f"{self.target}: {verdict} (relative error at most {self.rtol:g})")
        return "\n".join(lines)
