"""MLP: Linear layers one after the other, a ReLU after each.

Step by step in notebooks/04_mlp_and_ncf.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from minidlrm.arrays import as_flag, check_room
from minidlrm.layers.inputs import as_sizes
from minidlrm.layers.linear import Linear
from minidlrm.module import Module


class MLP(Module):
    r"""Multilayer perceptron, :math:`h_k = \max(0, h_{k-1} W_k^\top + b_k)`.

    Parameters
    ----------
    sizes : sequence of int
        Sizes from input to output, at least two. ``MLP([13, 512, 64])`` has two layers.
    last_activation : bool
        Whether a ReLU follows the last layer too. DLRM's bottom MLP has one; its top MLP
        has none, since its output is a logit.
    rng, dtype
        As `Linear`.

    References
    ----------
    Naumov et al. 2019, arXiv 1906.00091, section 2.1.4.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> mlp = md.MLP([13, 64, 16], rng=np.random.default_rng(0))
    >>> mlp.forward(np.zeros((5, 13), np.float32)).shape
    (5, 16)
    """

    equation = r"h_k = \max(0, h_{k-1} W_k^\top + b_k)"

    def forward(self, x: np.ndarray) -> np.ndarray:
        """Compute y (B, out), of the last layer's size, from x (B, in), of the first's."""
        for layer in self.layers:
            x = layer.forward(x)  # ①
        return x

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Add to the gradients of all layers; return dL/dx (B, in).

        1. :math:`h_0 = x`, layer k makes :math:`h_k` of :math:`h_{k-1}`, and :math:`y = h_K`.
        2. The chain rule, from dy (B, out): :math:`\partial L / \partial h_{k-1}` is what
           `Linear.backward` of layer k makes of :math:`\partial L / \partial h_k`. So the layers
           run in the other order.
        """
        for layer in reversed(self.layers):
            dy = layer.backward(dy)  # ②
        return dy

    def __init__(
        self,
        sizes: Sequence[int],
        *,
        last_activation: bool = True,
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        sizes = as_sizes("sizes", sizes)
        if len(sizes) < 2:
            raise ValueError(f"sizes is {sizes}: an MLP needs an input and an output size")
        for inputs, outputs in pairwise(sizes):
            check_room("sizes (of an mlp, bottom_mlp or top_mlp)", inputs, outputs, itemsize=8)
        last_activation = as_flag("last_activation", last_activation)
        last = len(sizes) - 2
        self.layers = [
            Linear(
                sizes[k],
                sizes[k + 1],
                activation="relu" if k < last or last_activation else None,
                rng=rng,
                dtype=dtype,
            )
            for k in range(last + 1)
        ]

    def __repr__(self) -> str:
        sizes = [self.layers[0].weight.value.shape[1]]
        sizes += [layer.weight.value.shape[0] for layer in self.layers]
        return f"MLP({'-'.join(map(str, sizes))})"
