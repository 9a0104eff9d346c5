"""What if one number were another? The finite difference, made visible."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import Any

import numpy as np

from minidlrm.checking.subject import as_dense


@dataclass(frozen=True)
class WhatIf:
    """How the change of one parameter travels to the loss.

    Parameters
    ----------
    param : str
        The parameter.
    index : tuple of int
        Which of its numbers.
    eps : float
        What was added.
    moved : list of (str, float, int)
        For each forward operation: its name, the largest change of its output, and how many
        of its numbers changed.
    slopes : list of (float, float)
        Steps eps, eps / 10, eps / 100, and (loss after - loss before) / step.
    gradient : float
        What backward says.
    """

    param: str
    index: tuple[int, ...]
    eps: float
    moved: list[tuple[str, float, int]]
    slopes: list[tuple[float, float]]
    gradient: np.float64

    def _title(self) -> str:
        place = ", ".join(map(str, self.index))
        return f"{self.param}[{place}] += {self.eps:g}"

    def _tables(self) -> list[list[tuple[str, ...]]]:
        moved: list[tuple[str, ...]] = [
            ("operation", "largest change of its output", "numbers changed")
        ]
        moved += [(name, f"{change:.3e}", f"{count:,}") for name, change, count in self.moved]
        slopes: list[tuple[str, ...]] = [("step", "slope of the loss", "gradient", "difference")]
        for step, slope in self.slopes:
            numbers = (f"{slope:+.8f}", f"{self.gradient:+.8f}", f"{slope - self.gradient:+.1e}")
            slopes.append((f"{step:g}", *numbers))
        return [moved, slopes]

    def __str__(self) -> str:
        lines = [self._title()]
        for rows in self._tables():
            widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
            lines += [
                "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
                for row in rows
            ]
            lines.append("")
        return "\n".join(lines).rstrip()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        text = f"<p><b>{html.escape(self._title())}</b></p>"
        for head, *body in self._tables():
            text += "<table><tr>" + "".join(f'<th scope="col">{c}</th>' for c in head) + "</tr>"
            for row in body:
                text += "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in row) + "</tr>"
            text += "</table>"
        return text

    def plot(self, ax: Any = None) -> Any:
        """Draw how far each operation's output moved, in the order of the forward pass.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw.

        Returns
        -------
        matplotlib Axes
        """
        from minidlrm.plots import _new_axes

        ax = ax or _new_axes()
        names, changes, _ = zip(*self.moved, strict=True)
        ax.barh(names, changes, color="#0072b2")
        ax.invert_yaxis()
        ax.set(xlabel="largest change of its output", title=self._title())
        ax.grid(axis="x", alpha=0.3)
        return ax


def what_if(trace: Any, param: str, index: Any, eps: float) -> WhatIf:
    """Change one number of the traced model, run forward again, and put it back.

    Parameters
    ----------
    trace, param, index, eps
        See `Trace.perturb`.
    """
    from minidlrm.tracing import trace as run

    parameters = dict(trace.model.named_parameters())
    if param not in parameters:
        raise KeyError(f"no parameter {param!r}: {', '.join(parameters)}")
    if not eps or not np.isfinite(eps):
        raise ValueError(f"eps is {eps}: it must be a number other than 0")
    value = parameters[param].value
    index = tuple(index) if isinstance(index, (tuple, list)) else (int(index),)
    if len(index) != value.ndim or not all(
        -n <= k < n for k, n in zip(index, value.shape, strict=True)
    ):
        raise IndexError(f"{param} has shape {value.shape}: there is no entry {list(index)}")
    model = trace.model.astype(np.float64)  # float32 would hide small changes
    array = dict(model.named_parameters())[param].value
    base = run(model, trace.batch, trace.criterion)
    before = array[index]
    slopes: list[tuple[float, float]] = []
    moved: list[tuple[str, float, int]] = []
    for step in (eps, eps / 10, eps / 100):
        array[index] = before + step
        after = run(model, trace.batch, trace.criterion)
        slopes.append((step, (after.loss - base.loss) / step))
        moved = moved or _moved(base, after)
    gradient = as_dense(base.grads[param])[index]
    return WhatIf(param, index, eps, moved, slopes, np.float64(gradient))


def _moved(base: Any, after: Any) -> list[tuple[str, float, int]]:
    found = []
    for old, new in zip(base.operations, after.operations, strict=True):
        if old.phase == "forward":
            changes = [np.abs(new.outputs[k] - a).ravel() for k, a in old.outputs.items()]
            change = np.concatenate(changes)
            found.append((old.name, float(change.max(initial=0)), int((change > 0).sum())))
    return found
