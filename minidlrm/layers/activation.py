"""ReLU and Sigmoid: functions of one number, applied to each entry.

Step by step in notebooks/04_mlp_and_ncf.py.
"""

import numpy as np

from minidlrm.layers.inputs import converted, numbers
from minidlrm.module import Module


def sigmoid(x: np.ndarray) -> np.ndarray:
    r"""Return :math:`1 / (1 + e^{-x})` without overflow, for real and complex x.

    Parameters
    ----------
    x : float or complex array
        Of any shape.

    Returns
    -------
    array
        Of x's shape.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.layers import sigmoid
    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    x = numbers("x", x)
    positive = x.real >= 0
    e = np.exp(np.where(positive, -x, x))  # never above 1 in size
    return np.where(positive, 1, e) / (1 + e)


class ReLU(Module):
    r"""Rectifier, :math:`y = \max(0, x)`, entry by entry, for an array of any shape.

    For complex x the sign of the real part decides, so that the complex-step check works.

    References
    ----------
    Nair and Hinton 2010, "Rectified linear units improve restricted Boltzmann machines".

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.ReLU().forward(np.array([-1.0, 2.0]))
    array([0., 2.])
    """

    equation = r"y = \max(0, x)"

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute y (B, n) from x (B, n), or from x of any shape."""
        x = numbers("x", x)
        flat = x.real <= 0  # ① not for a NaN, which stays one
        self.keep(flat, x.dtype)
        return np.where(flat, 0, x)  # ①

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Return dL/dx, of x's shape, from dy.

        1. :math:`y = x` where :math:`x > 0`, and :math:`y = 0` elsewhere.
        2. So :math:`\partial y / \partial x` is 1 there, and 0 elsewhere. At :math:`x = 0` there
           is a corner; we take 0, as PyTorch does. Hence :math:`dx = dy \cdot [x > 0]`.
        """
        flat, dtype = self.kept()
        dy = converted("dy", self.check_dy(dy, flat.shape), dtype)
        return np.where(flat, 0, dy)  # ②

    def __repr__(self) -> str:
        return "ReLU()"


class Sigmoid(Module):
    r"""Logistic function, :math:`y = 1 / (1 + e^{-x})`, entry by entry: a logit to a probability.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.Sigmoid().forward(np.array([0.0]))
    array([0.5])
    """

    equation = r"y = 1 / (1 + e^{-x})"

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute y (B, n) from x (B, n), or from x of any shape."""
        y = sigmoid(x)  # ①
        self.keep(y)  # ②
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Return dL/dx, of x's shape, from dy.

        1. :math:`y = (1 + e^{-x})^{-1}`, so
           :math:`\partial y / \partial x = (1 + e^{-x})^{-2} e^{-x}`.
        2. :math:`e^{-x} / (1 + e^{-x}) = 1 - y`, so
           :math:`\partial y / \partial x = y (1 - y)`: the output alone is enough.
        3. :math:`dx = dy \cdot y (1 - y)`.
        """
        (y,) = self.kept()
        dy = converted("dy", self.check_dy(dy, y.shape), y.dtype)
        return dy * y * (1 - y)  # ③

    def __repr__(self) -> str:
        return "Sigmoid()"
