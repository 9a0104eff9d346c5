"""ElementwiseProduct: the interaction of generalized matrix factorization.

Step by step in notebooks/04_mlp_and_ncf.py.
"""

import numpy as np

from minidlrm.layers.inputs import converted, numbers
from minidlrm.module import Module


class ElementwiseProduct(Module):
    r"""Product of two vectors, entry by entry, :math:`y = u \odot v`.

    References
    ----------
    He et al. 2017, "Neural collaborative filtering", section 3.2 (GMF).

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.ElementwiseProduct().forward(np.array([[1.0, 2.0]]), np.array([[3.0, 4.0]]))
    array([[3., 8.]])
    """

    equation = r"y = u \odot v"

    def forward(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Compute y (B, D) from u and v (B, D); ValueError when their shapes differ."""
        u = numbers("u", u)
        v = numbers("v", v, u)
        if u.shape != v.shape:
            raise ValueError(f"ElementwiseProduct: u has shape {u.shape}, v {v.shape}")
        u = u.astype(v.dtype, copy=False)
        self.keep(u, v)
        return u * v  # ① (B, D)

    def backward(self, dy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        r"""Return dL/du and dL/dv (B, D).

        1. :math:`y_d = u_d v_d`.
        2. The slope by one factor is the other: :math:`\partial y_d / \partial u_d = v_d`. So
           :math:`du = dy \odot v` and :math:`dv = dy \odot u`.
        """
        u, v = self.kept()
        dy = converted("dy", self.check_dy(dy, u.shape), u.dtype)
        return dy * v, dy * u  # ② (B, D), (B, D)

    def __repr__(self) -> str:
        return "ElementwiseProduct()"
