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

    F vectors of size D give :math:`P = F(F - 1)/2` numbers, or :math:`F(F + 1)/2` with the
    diagonal: the strict lower triangle of :math:`z z^\top`, row by row, as in the reference
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
        """Compute y (B, P), the pairs, from z (B, F, D); ValueError on another shape."""
        z = self.check_z(z)
        self.keep(z)
        return kernels.pairs(z, self.self_interaction)  # ① (B, P)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Return dL/dz (B, F, D).

        1. For one sample, y is the lower triangle of the matrix :math:`z z^\top`:
           :math:`y_{ij} = \langle z_i, z_j \rangle` for :math:`i > j`.
        2. Put dy back at the places of y: :math:`G_{ij} = \partial L / \partial y_{ij}`, and
           :math:`G_{ij} = 0` where there is no pair.
        3. :math:`z_k` is the first vector of the pairs in row k of G, whose slope is
           :math:`\partial y_{kj} / \partial z_k = z_j`, and the second of those in column k,
           with :math:`\partial y_{ik} / \partial z_k = z_i`. So
           :math:`dz_k = \sum_j G_{kj} z_j + \sum_i G_{ik} z_i`, that is
           :math:`dz = (G + G^\top) z`. On the diagonal :math:`y_{kk} = \langle z_k, z_k \rangle`
           has the slope :math:`2 z_k`: :math:`G_{kk}` occurs in both sums, and the 2 comes out by
           itself.
        """
        (z,) = self.kept()
        dy = self.check_dy(dy, (len(z), self.num_outputs))
        if dy.dtype != z.dtype:  # only then: the kernel reads a slice of dtop as it lies
            dy = converted("dy", dy, z.dtype)
        return kernels.pairs_backward(dy, z, self.self_interaction)  # ②③ (B, F, D)

    def __init__(self, num_features: int, embedding_dim: int, self_interaction: bool = False):
        super().__init__(num_features, embedding_dim)
        self_interaction = as_flag("self_interaction", self_interaction)
        self.self_interaction = self.config["self_interaction"] = self_interaction
        diagonal = self.num_features if self_interaction else 0
        self.num_outputs = self.num_features * (self.num_features - 1) // 2 + diagonal  # P
        if self_interaction:
            self.equation = r"y_{ij} = \langle z_i, z_j \rangle,\ i \geq j"

    def flops_per_sample(self) -> int:
        r"""Return :math:`2 P D`: one multiply-add for each entry of a product of the triangle."""
        return 2 * self.num_outputs * self.embedding_dim

    def bytes_per_sample(self) -> int:
        """Return the bytes of z and y in float32."""
        return 4 * (self.num_features * self.embedding_dim + self.num_outputs)

    def __repr__(self) -> str:
        return f"DotInteraction({self.num_features}, {self.embedding_dim}, {self.self_interaction})"
