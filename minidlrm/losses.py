"""BCEWithLogits and MSE: from predictions and labels to one number, and back.

Step by step in notebooks/06_click_logs.py.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import check_finite, check_number, check_word, doubles, native
from minidlrm.module import Module

__all__ = ["MSE", "BCEWithLogits", "Loss"]


class Loss(Module):
    """What both losses share: the reduction, and the checks.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
        What is made of the terms.

    Raises
    ------
    ValueError
        When `reduction` is not known.

    Examples
    --------
    >>> import minidlrm as md
    >>> from minidlrm.losses import Loss
    >>> issubclass(md.BCEWithLogits, Loss), issubclass(md.MSE, Loss)
    (True, True)
    """

    task = "ratings"  # what the predictions are: ratings, or the logits of "clicks"

    def forward(self, prediction: Any, label: Any, weight: Any = None) -> Any:
        """Compute the loss of `prediction` and `label` of one shape, each term times `weight`."""
        raise NotImplementedError

    def check_label(self, label: np.ndarray) -> None:
        """Raise ValueError when a label (B,) does not suit this loss; it names the first one.

        TypeError when labels are no numbers.
        """
        check_finite("label", _numbers("label", label))

    def backward(self, dy: Any = 1.0) -> np.ndarray:
        """Return dL/dprediction, of the predictions' shape.

        `dy` is 1 unless the loss is a part of something larger; for "none" it has a number for each
        term.
        """
        raise NotImplementedError

    def __init__(self, reduction: str = "mean"):
        check_word("reduction", reduction, "mean", "sum", "none")
        self.reduction = reduction

    def _pair(
        self, prediction: Any, label: Any, name: str = "prediction"
    ) -> tuple[np.ndarray, np.ndarray]:
        prediction, label = _numbers(name, prediction), _numbers("label", label)
        if prediction.dtype.kind in "biu":
            prediction = prediction.astype(np.float64)
        if label.dtype.kind == "c" and prediction.dtype.kind != "c":
            raise TypeError(f"label is of {label.dtype}, which does not fit {prediction.dtype}")
        if prediction.shape != label.shape:
            raise ValueError(
                f"{type(self).__name__}: {name} has shape {prediction.shape}, "
                f"label {label.shape}: they must be the same"
            )
        if prediction.size == 0:
            raise ValueError(f"{type(self).__name__}: {name} is empty: there is nothing to average")
        self.check_label(label)
        return prediction, label

    def _weights(self, weight: Any, like: np.ndarray) -> np.ndarray | None:
        """Return the weights of the terms, checked; None stands for 1."""
        if weight is None:
            return None
        weight = doubles("weight", weight)
        if weight.shape != like.shape:
            raise ValueError(f"weight has shape {weight.shape}, the predictions {like.shape}")
        wrong = ~(np.isfinite(weight) & (weight >= 0))
        if wrong.any():
            bad = int(wrong.argmax())
            raise ValueError(f"weight[{bad}] is {weight[bad]}: it must be a number of at least 0")
        return weight.astype(like.real.dtype, copy=False)

    def _reduce(self, values: np.ndarray) -> Any:
        if self.reduction == "none":
            return values
        total = np.add.reduce(values, axis=None, dtype=np.result_type(values, np.float64))
        return (total if self.reduction == "sum" else total / values.size).item()

    def _spread(self, dy: Any, slope: np.ndarray) -> np.ndarray:
        """Chain rule through the reduction: the gradient of each term, times its slope."""
        if self.reduction == "none":
            return self.check_dy(dy, slope.shape) * slope
        if self.reduction == "mean":
            dy = dy / slope.size
        return slope * slope.dtype.type(dy)


def _numbers(name: str, array: Any) -> np.ndarray:
    array = native(name, array)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name} has dtype {array.dtype}: it must hold numbers")
    return array


class BCEWithLogits(Loss):
    r"""Binary cross-entropy of a logit x and a label y.

    :math:`\ell = -[p\, y \log \sigma(x) + (1 - y) \log(1 - \sigma(x))]` with
    :math:`\sigma(x) = 1 / (1 + e^{-x})`, computed without overflow at any x.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
        What is made of the B terms.
    pos_weight : float, optional
        p, the weight of the clicks. The default is 1.

    Raises
    ------
    ValueError
        When `reduction` is not known, or `pos_weight` is not a positive number.

    References
    ----------
    PyTorch's ``BCEWithLogitsLoss`` computes the same.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> loss = md.BCEWithLogits()
    >>> round(loss.forward(np.array([0.0, 1000.0]), np.array([1.0, 1.0])), 4)   # ln(2) / 2
    0.3466
    >>> loss.backward()
    array([-0.25,  0.  ])
    """

    task = "clicks"
    equation = r"\ell = -[y \log \sigma(x) + (1 - y) \log (1 - \sigma(x))]"

    def __init__(self, reduction: str = "mean", pos_weight: float | None = None):
        super().__init__(reduction)
        if pos_weight is not None:
            check_number("pos_weight", pos_weight)
        if pos_weight is not None and not (math.isfinite(pos_weight) and pos_weight > 0):
            raise ValueError(f"pos_weight is {pos_weight}: it must be a positive number")
        self.pos_weight = pos_weight

    def check_label(self, label: np.ndarray) -> None:
        """Raise ValueError when a label (B,) is outside [0, 1]; rates between them are labels.

        TypeError when labels are no numbers.
        """
        label = _numbers("label", label)
        if label.size and not (label.real.min() >= 0 and label.real.max() <= 1):
            bad = int(((label.real >= 0) & (label.real <= 1)).argmin())
            raise ValueError(f"label[{bad}] is {label.flat[bad]}: it must lie in [0, 1]")

    def forward(self, logits: Any, label: Any, weight: Any = None) -> Any:
        """Compute the loss of logits (B,) and labels (B,): a number, or (B,) for "none".

        Parameters
        ----------
        logits : float array (B,)
            x.
        label : array (B,)
            y, in [0, 1].
        weight : array (B,), optional
            Multiplies each term; a mean still divides by B, as PyTorch's ``weight``.

        Returns
        -------
        float, or array (B,)
            The mean or the sum; or every term.

        Raises
        ------
        ValueError
            When the shapes differ, B is 0, a weight is negative, or a label is outside [0, 1]:
            the loss would have no lower bound.
        TypeError
            When either is not an array of numbers.
        """
        logits, label = self._pair(logits, label, "logits")
        if np.isrealobj(logits):
            label = label.astype(logits.dtype, copy=False)
        rows = self._weights(weight, logits)  # (B,) or None
        weight = 1  # p for a click, 1 for none
        if self.pos_weight is not None:
            weight = 1 + (self.pos_weight - 1) * label  # w (B,)
        self.keep(logits, label, weight, rows)
        terms = kernels.bce(logits, label, float(self.pos_weight or 1))  # ①② (B,)
        return self._reduce(terms if rows is None else rows * terms)  # ②

    def backward(self, dy: Any = 1.0) -> np.ndarray:
        r"""Return dL/dlogits (B,); `dy` is 1 unless the loss is a part of something larger.

        1. :math:`-\log \sigma(x) = \log(1 + e^{-x}) =: s(x)`, and
           :math:`-\log(1 - \sigma(x)) = x + s(x)`.
        2. So :math:`\ell = p\,y\,s + (1 - y)(x + s) = (1 - y) x + w s` with
           :math:`w = 1 + (p - 1) y`, since :math:`p y + 1 - y = w`.
        3. :math:`ds/dx = -e^{-x} / (1 + e^{-x}) = \sigma(x) - 1`, which is :math:`-\sigma(-x)`.
        4. :math:`d\ell/dx = (1 - y) + w (\sigma(x) - 1)`. With :math:`p = 1`, :math:`w = 1`, and
           this is :math:`\sigma(x) - y`: no sigmoid derivative is left over. Since
           :math:`w = p y + 1 - y`, it is :math:`(1 - y) \sigma(x) - p\,y\,\sigma(-x)`, which loses
           no digit where a prediction is sure, and right.
        5. A row's weight multiplies its term, and so its slope; the mean over B samples divides
           each by B.
        """
        logits, label, weight, rows = self.kept()
        slope = kernels.bce_backward(logits, label, weight)  # ③④ (B,)
        return self._spread(dy, slope if rows is None else rows * slope)  # ⑤ (B,)

    def __repr__(self) -> str:
        return f"BCEWithLogits(reduction={self.reduction!r}, pos_weight={self.pos_weight})"


class MSE(Loss):
    r"""Squared error, :math:`\ell = (x - y)^2`, of a prediction x and a target y.

    Parameters
    ----------
    reduction : "mean", "sum" or "none"
        What is made of the terms.

    Raises
    ------
    ValueError
        When `reduction` is not known.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> loss = md.MSE()
    >>> loss.forward(np.array([1.0, 3.0]), np.array([0.0, 1.0])), loss.backward()
    (2.5, array([1., 2.]))
    """

    equation = r"\ell = (x - y)^2"

    def forward(self, prediction: Any, label: Any, weight: Any = None) -> Any:
        """Compute the loss of prediction and label (B,), or of any one shape.

        It is a number; all terms for "none". `weight`, of the same shape, multiplies each term; see
        `BCEWithLogits`.

        ValueError when the shapes differ, there are no terms, or a label is not finite; TypeError
        when either is not an array of numbers.
        """
        prediction, label = self._pair(prediction, label)
        difference = prediction - label.astype(prediction.dtype, casting="same_kind", copy=False)
        rows = self._weights(weight, prediction)
        self.keep(difference, rows)
        terms = difference * difference  # ① (B,)
        return self._reduce(terms if rows is None else rows * terms)  # ①

    def backward(self, dy: Any = 1.0) -> np.ndarray:
        r"""Return dL/dprediction (B,), of the prediction's shape; `dy` as `BCEWithLogits`.

        1. Each term is :math:`\ell = (x - y)^2`.
        2. :math:`d\ell/dx = 2 (x - y)`.
        3. A row's weight multiplies its term, and so its slope; the mean over B terms divides each
           by B.
        """
        difference, rows = self.kept()
        slope = 2 * difference  # ② (B,)
        return self._spread(dy, slope if rows is None else rows * slope)  # ③ (B,)

    def __repr__(self) -> str:
        return f"MSE(reduction={self.reduction!r})"
