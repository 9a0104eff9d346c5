"""trace: run one batch forward and backward, and show every operation on the way."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from minidlrm.data.batch import Batch
from minidlrm.languages import say
from minidlrm.losses import Loss
from minidlrm.module import Module
from minidlrm.printing import as_text
from minidlrm.tracing.operations import Operation, Step, run_step
from minidlrm.tracing.page import html_page, write
from minidlrm.tracing.what_if import WhatIf, perturbed
from minidlrm.tracing.widget import stepper

if TYPE_CHECKING:
    from ipywidgets import VBox


class Trace(Step):
    """All operations of one step, in order, and the gradients of all parameters.

    It prints as a table; in Jupyter it can be stepped through.

    Parameters
    ----------
    operations : tuple of Operation
        Forward, then backward.
    loss : float
        The loss of the batch.
    grads : dict of str to ndarray or SparseGrad
        The gradient of each parameter.
    model, batch, criterion
        What was traced; `perturb` runs them again.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> steps = md.trace(md.DLRM(13, clicks.table_sizes, 8, (16,), (16,)), clicks.train[:4])
    >>> steps.operations[-1].phase, "top.layers.0.weight" in steps.grads
    ('backward', True)
    """

    def to_text(self, lang: str | None = None) -> str:
        """Return the steps as a table, in a language; by default in the user's.

        Parameters
        ----------
        lang : str, optional
            Such as "ko".

        Raises
        ------
        ValueError
            When there is no catalogue for `lang`.
        """
        shapes = say("in", lang), say("out", lang)
        costs = say("FLOPs", lang), say("bytes", lang)
        head = ("", say("operation", lang), say("layer", lang), *shapes, *costs)
        rows = [(*head, say("first values out", lang))]
        for op in self.operations:
            arrow = "->" if op.phase == "forward" else "<-"
            costs = (f"{op.flops:,}", f"{op.bytes:,}") if op.phase == "forward" else ("", "")
            shapes = (_shapes(op.inputs), _shapes(op.outputs))
            rows.append((arrow, op.name, op.layer, *shapes, *costs, _peek(op)))
        return f"{as_text(rows)}\n" + say("loss {loss}", lang, loss=f"{self.loss:.6f}")

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_html()

    def to_html(
        self, path: str | os.PathLike | None = None, sample: int = 0, lang: str | None = None
    ) -> str:
        """Return the steps as a page of their own, to be stepped through without a kernel.

        Parameters
        ----------
        path : path, optional
            A file to write the page to as well.
        sample : int
            The row of the batch that the equations show.
        lang : str, optional
            Such as "ko"; by default the user's language.

        Returns
        -------
        str
            HTML. It loads nothing from anywhere.

        Raises
        ------
        IndexError
            When the batch has no such row.
        ValueError
            When there is no catalogue for `lang`.
        """
        text = html_page(self, sample, lang)
        if path is not None:
            write(path, text, lang)
        return text

    def stepper(self, sample: int = 0, lang: str | None = None) -> VBox:
        """Return the steps as a widget, for Jupyter: previous, next, and a slider.

        Parameters
        ----------
        sample : int
            The row of the batch that the equations show.
        lang : str, optional
            Such as "ko"; by default the user's language.

        Returns
        -------
        ipywidgets.VBox

        Raises
        ------
        ImportError
            Without ipywidgets.
        IndexError
            When the batch has no such row.
        ValueError
            When there is no catalogue for `lang`.
        """
        return stepper(self, sample, lang)

    def perturb(self, param: str, index: int | Sequence[int], eps: float) -> WhatIf:
        """Change one number of a parameter, and follow the change to the loss.

        Parameters
        ----------
        param : str
            Dotted name of the parameter.
        index : int or tuple of int
            The place of the number in the parameter.
        eps : float
            How much is added to it.

        Returns
        -------
        WhatIf
            Prints as a table: how far each operation's output moved, and the slope of the
            loss beside the gradient. The model is as before.

        Raises
        ------
        KeyError, IndexError, ValueError
            When the parameter or the entry does not exist, or eps is 0.

        Examples
        --------
        >>> import minidlrm as md
        >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
        >>> steps = md.trace(md.DLRM(13, clicks.table_sizes, 8, (16,), (16,)), clicks.train[:4])
        >>> steps.perturb("top.layers.0.bias", 3, 0.1).gradient.shape
        ()
        """
        return perturbed(self, param, index, eps)


def trace(model: Module, batch: Batch, loss: Loss | None = None) -> Trace:
    """Run a model forward and backward on one batch, and record each operation.

    Parameters
    ----------
    model : Module
        The model. Its parameters and their gradients are as before afterwards.
    batch : Batch
        A few labelled rows.
    loss : Module, optional
        The default is `BCEWithLogits`.

    Returns
    -------
    Trace
        Prints as a table; in Jupyter it can be stepped through.

    Raises
    ------
    ValueError
        When the batch has no labels.

    Examples
    --------
    >>> import minidlrm as md
    >>> clicks = md.data.synthetic_clicks(rows=1000, seed=0)
    >>> model = md.DLRM(13, clicks.table_sizes, 8, (16,), (16,))
    >>> steps = md.trace(model, clicks.train[:4])
    >>> [op.name for op in steps.operations if op.phase == "forward"][:4]
    ['embeddings', 'bottom.layers.0', 'bottom.layers.1', 'interaction']
    >>> list(steps.operations[1].inputs), list(steps.operations[-2].outputs)
    (['x'], ['dx', 'dweight', 'dbias'])
    """
    return Trace(**vars(run_step(model, batch, loss)))


def _shapes(arrays: dict[str, np.ndarray]) -> str:
    return ", ".join(f"{k} {'×'.join(map(str, a.shape)) or '1'}" for k, a in arrays.items()) or "-"


def _peek(op: Operation) -> str:
    floats = [a for a in op.outputs.values() if a.dtype.kind == "f"]
    return " ".join(f"{value:.4f}" for value in floats[0].ravel()[:4]) if floats else ""
