"""Linear: the affine map, with the ReLU that follows it fused in when asked.

Step by step in notebooks/04_mlp_and_ncf.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import as_dtype, as_flag, check_room
from minidlrm.layers.inputs import as_size, check_rng, converted, numbers
from minidlrm.module import Module, Parameter


class Linear(Module):
    r"""Affine map, :math:`y = x W^\top + b`; with ``activation="relu"`` the ReLU of it.

    Parameters
    ----------
    in_features, out_features : int
        Sizes of x and y.
    bias : bool
        Whether to add b.
    activation : None or "relu"
        What follows the affine map, in the same pass over y.
    rng : numpy.random.Generator
        Draws W (out, in) from :math:`N(0, \sqrt{2 / (in + out)})` and b (out,) from
        :math:`N(0, \sqrt{1 / out})`. The second number is the standard deviation.
    dtype : dtype
        Type of the parameters.

    References
    ----------
    Naumov et al. 2019, arXiv 1906.00091; `DLRM_Net.create_mlp` draws the weights so.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> layer = md.Linear(2, 1, rng=np.random.default_rng(0))
    >>> layer.load_state_dict({"weight": np.array([[1.0, 2.0]]), "bias": np.array([3.0])})
    >>> layer.forward(np.array([[1.0, 1.0]], np.float32))
    array([[6.]], dtype=float32)
    """

    equation = r"y = x W^\top + b"

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute y (B, out) from x (B, in); ValueError on another shape."""
        weight = self.weight.value
        x = numbers("x", x, weight)
        if x.ndim != 2 or x.shape[1] != weight.shape[1]:
            raise ValueError(f"Linear: x has shape {x.shape}, expected (B, {weight.shape[1]})")
        y = x @ weight.T  # ① (B, out)
        if self.bias is not None:
            bias = self.bias.value.astype(y.dtype, copy=False)
            kernels.add_bias(y, bias, self.activation == "relu")  # in place: one pass over y
        elif self.activation:
            y[y.real <= 0] = 0
        self.keep(x, y)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Add dL/dW and dL/db to the gradients; return dL/dx (B, in).

        1. :math:`z_{bo} = \sum_i x_{bi} W_{oi} + b_o`, and :math:`y = z`, or
           :math:`y = \max(0, z)`.
        2. With :math:`dy = \partial L / \partial y`: :math:`dz_{bo} = dy_{bo}`, times
           :math:`[y_{bo} > 0]` after a ReLU.
        3. :math:`W_{oi}` meets :math:`x_{bi}` in every sample b, so the samples add up:
           :math:`dW_{oi} = \sum_b dz_{bo} x_{bi}`, that is :math:`dW = dz^\top x`.
        4. :math:`b_o` is added in every sample: :math:`db_o = \sum_b dz_{bo}`.
        5. :math:`x_{bi}` goes to every output o: :math:`dx_{bi} = \sum_o dz_{bo} W_{oi}`,
           that is :math:`dx = dz\, W`.
        """
        x, y = self.kept()
        weight = self.weight.value
        dy = converted("dy", self.check_dy(dy, y.shape), y.dtype)
        dz, dbias = kernels.bias_backward(dy, y, self.activation == "relu")  # ②④ (B, out), (out,)
        dweight = dz.T @ x if len(x) != 1 else kernels.outer(dz, x)  # ③ (out, in)
        self.weight.add_grad(dweight)
        if self.bias is not None:
            self.bias.add_grad(dbias)
        # ⑤ (B, in): with one output it is an outer product, which BLAS does not have
        return dz @ weight if len(weight) != 1 else dz * weight

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        activation: str | None = None,
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        inputs, outputs = as_size("in_features", in_features), as_size("out_features", out_features)
        bias = as_flag("bias", bias)
        if not (activation is None or (isinstance(activation, str) and activation == "relu")):
            raise ValueError(f"activation is {activation!r}: it must be None or 'relu'")
        check_rng(rng)
        dtype = as_dtype(dtype)
        check_room("in_features or out_features", outputs, inputs, itemsize=8)
        weight = rng.normal(0, np.sqrt(2 / (inputs + outputs)), (outputs, inputs))
        self.weight = Parameter(weight.astype(dtype), "weight")  # W
        self.bias: Parameter | None = None
        if bias:
            values = rng.normal(0, np.sqrt(1 / outputs), outputs)
            self.bias = Parameter(values.astype(dtype), "bias")  # b
        self.activation = activation
        if activation:
            self.equation = r"y = \max(0, x W^\top + b)"

    def flops_per_sample(self) -> int:
        r"""Return :math:`2 \cdot in \cdot out`: one multiply-add for each weight."""
        return 2 * self.weight.value.size

    def bytes_per_sample(self) -> int:
        """Return the bytes of x and y."""
        return sum(self.weight.value.shape) * self.weight.value.itemsize

    def __repr__(self) -> str:
        out_features, in_features = self.weight.value.shape
        activation = f", activation={self.activation!r}" if self.activation else ""
        return f"Linear({in_features}, {out_features}{activation})"
