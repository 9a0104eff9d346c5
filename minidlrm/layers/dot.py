"""DotInteraction: the dot product of every pair of feature vectors.

Step by step in notebooks/05_dlrm.py.
"""

from __future__ import annotations

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import as_flag
from minidlrm.layers.inputs import converted
from minidlrm.layers.interaction import Interaction


class DotInteraction(Interaction):
    r"""Pairwise dot products, :math:`y_{ij} = \langle z_i, z_j \rangle` for i > j.

    F vectors of size D give P = F (F - 1) / 2 numbers, or F (F + 1) / 2 with the diagonal:
    the strict lower triangle of :math:`z z^\top`, row by row, as in the reference
    implementation of Naumov et al.

    Parameters
    ----------
    num_features : int
        F, the vectors of a sample.
    embedding_dim : int
        D, their size.
    self_interaction : bool
        Whether the pairs (i, i) are included.

    References
    ----------
    Naumov et al. 2019, arXiv 1906.00091, sections 2.1.3 and 2.2.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> z = np.array([[[1.0, 0.0], [1.0, 1.0], [0.0, 3.0]]])    # (1, 3, 2)
    >>> md.DotInteraction(3, 2).forward(z)                      # (1, 0), (2, 0), (2, 1)
    array([[1., 0., 3.]])
    """

    equation = r"y_{ij} = \langle z_i, z_j \rangle,\ i > j"

    def forward(self, z: np.ndarray) -> np.ndarray:
        """Compute the pairs (B, P) from z (B, F, D); ValueError on another shape."""
        z = self.check_z(z)
        self.keep(z)
        return kernels.pairs(z, self.self_interaction)  # (B, P)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Return dL/dz (B, F, D).

        For one sample, :math:`L` depends on :math:`z_k` through each pair that holds k:

        1. :math:`y_{kj} = \langle z_k, z_j \rangle` for j < k, with
           :math:`\partial y_{kj} / \partial z_k = z_j`.
        2. :math:`y_{ik} = \langle z_i, z_k \rangle` for i > k, with
           :math:`\partial y_{ik} / \partial z_k = z_i`.
        3. On the diagonal :math:`y_{kk} = \langle z_k, z_k \rangle`, with
           :math:`\partial y_{kk} / \partial z_k = 2 z_k`.
        4. Write dy as the matrix G, zero above the diagonal. Then
           :math:`dz_k = \sum_j (G_{kj} + G_{jk}) z_j`, that is
           :math:`dz = (G + G^\top) z`. The diagonal's 2 comes out by itself.
        """
        (z,) = self.kept()
        dy = converted("dy", self.check_dy(dy, (len(z), self.num_outputs)), z.dtype)
        return kernels.pairs_backward(dy, z, self.self_interaction)  # (B, F, D)

    def __init__(self, num_features: int, embedding_dim: int, self_interaction: bool = False):
        super().__init__(num_features, embedding_dim)
        self_interaction = as_flag("self_interaction", self_interaction)
        self.self_interaction = self.config["self_interaction"] = self_interaction
        diagonal = self.num_features if self_interaction else 0
        self.num_outputs = self.num_features * (self.num_features - 1) // 2 + diagonal  # P
        if self_interaction:
            self.equation = r"y_{ij} = \langle z_i, z_j \rangle,\ i \geq j"

    def flops_per_sample(self) -> int:
        """Return 2 P D: the triangle only, one multiply-add for each entry of a product."""
        return 2 * self.num_outputs * self.embedding_dim

    def bytes_per_sample(self) -> int:
        """Return the bytes of z and y in float32."""
        return 4 * (self.num_features * self.embedding_dim + self.num_outputs)

    def __repr__(self) -> str:
        return f"DotInteraction({self.num_features}, {self.embedding_dim}, {self.self_interaction})"
