"""What if one number were another? The finite difference, made visible."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from minidlrm.languages import say
from minidlrm.module import SparseGrad
from minidlrm.plots import new_axes
from minidlrm.printing import as_html, as_text
from minidlrm.tracing.operations import Step, run_step

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class WhatIf:
    """How the change of one parameter travels to the loss.

    Parameters
    ----------
    param : str
        The parameter.
    index : tuple of int
        The place of the number in it.
    eps : float
        What was added.
    moved : list of (str, float, int)
        For each forward operation: its name, the largest change of its output, and how many
        of its numbers changed.
    slopes : list of (float, float)
        Steps eps, eps / 10, eps / 100, and (loss after - loss before) / step.
    gradient : float
        What backward says.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> steps = md.trace(md.DLRM(13, clicks.table_sizes, 8, (16,), (16,)), clicks.train[:4])
    >>> what = steps.perturb("top.layers.1.bias", 0, 0.1)
    >>> [name for name, change, count in what.moved if count]
    ['top.layers.1', 'loss']
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

    def _tables(self, lang: str | None) -> list[list[tuple[str, ...]]]:
        heads = say("largest change of its output", lang), say("numbers changed", lang)
        moved: list[tuple[str, ...]] = [(say("operation", lang), *heads)]
        moved += [(name, f"{change:.3e}", f"{count:,}") for name, change, count in self.moved]
        heads = say("step", lang), say("slope of the loss", lang)
        slopes: list[tuple[str, ...]] = [
            (*heads, say("gradient", lang), say("difference", lang)),
        ]
        for step, slope in self.slopes:
            numbers = (f"{slope:+.8f}", f"{self.gradient:+.8f}", f"{slope - self.gradient:+.1e}")
            slopes.append((f"{step:g}", *numbers))
        return [moved, slopes]

    def to_text(self, lang: str | None = None) -> str:
        """Return the tables as text, in a language; by default in the user's.

        Parameters
        ----------
        lang : str, optional
            Such as "ko".

        Raises
        ------
        ValueError
            When there is no catalogue for `lang`.
        """
        return f"{self._title()}\n" + "\n\n".join(map(as_text, self._tables(lang)))

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        tables = "".join(map(as_html, self._tables(None)))
        return f"<p><b>{html.escape(self._title())}</b></p>{tables}"

    def plot(self, ax: Axes | None = None) -> Axes:
        """Draw how far each operation's output moved, in the order of the forward pass.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw.

        Returns
        -------
        matplotlib Axes
        """
        ax = ax or new_axes()
        names, changes, _ = zip(*self.moved, strict=True)
        ax.barh(names, changes, color="#0072b2")
        ax.invert_yaxis()
        ax.set(xlabel="largest change of its output", title=self._title())
        ax.grid(axis="x", alpha=0.3)
        return ax


def perturbed(step: Step, param: str, index: int | Sequence[int], eps: float) -> WhatIf:
    """Change one number of a step's model, run a copy forward again; see `Trace.perturb`."""
    place = _place(step, param, index)
    if not eps or not np.isfinite(eps):
        raise ValueError(f"eps is {eps}: it must be a number other than 0")
    model = step.model.astype(np.float64)  # float32 would hide small changes
    array = dict(model.named_parameters())[param].value
    base = run_step(model, step.batch, step.criterion)
    before = array[place]
    slopes: list[tuple[float, float]] = []
    moved: list[tuple[str, float, int]] = []
    for size in (eps, eps / 10, eps / 100):
        array[place] = before + size
        after = run_step(model, step.batch, step.criterion)
        slopes.append((size, (after.loss - base.loss) / size))
        moved = moved or _moved(base, after)
    grad = base.grads[param]
    dense = grad.to_dense() if isinstance(grad, SparseGrad) else np.asarray(grad)
    return WhatIf(param, place, eps, moved, slopes, np.float64(dense[place]))


def _place(step: Step, param: str, index: int | Sequence[int]) -> tuple[int, ...]:
    parameters = dict(step.model.named_parameters())
    if param not in parameters:
        raise KeyError(f"no parameter {param!r}: {', '.join(parameters)}")
    shape = parameters[param].value.shape
    place = tuple(index) if isinstance(index, Sequence) else (int(index),)
    fits = len(place) == len(shape)
    if not fits or not all(-n <= k < n for k, n in zip(place, shape, strict=True)):
        raise IndexError(f"{param} has shape {shape}: it has no entry {list(place)}")
    return place


def _moved(base: Step, after: Step) -> list[tuple[str, float, int]]:
    found = []
    for old, new in zip(base.operations, after.operations, strict=True):
        if old.phase == "forward":
            changes = [np.abs(new.outputs[k] - a).ravel() for k, a in old.outputs.items()]
            change = np.concatenate(changes)
            found.append((old.name, float(change.max(initial=0)), int((change > 0).sum())))
    return found
