"""FMInteraction and BiInteraction: the sum of all pairwise products, in linear time.

Step by step in notebooks/03_factorization_machines.py.
"""

import numpy as np

from minidlrm import kernels
from minidlrm.layers.inputs import converted
from minidlrm.layers.interaction import Interaction


class BiInteraction(Interaction):
    r"""Bi-interaction pooling, :math:`y = \sum_{i<j} z_i \odot z_j`, a vector of size D.

    Parameters
    ----------
    num_features : int
        F, the vectors of a sample.
    embedding_dim : int
        D, their size.

    References
    ----------
    He and Chua 2017, "Neural factorization machines", equation 3; the identity is lemma 3.1
    of Rendle 2010, "Factorization machines".

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.BiInteraction(3, 2).forward(np.array([[[1.0, 1.0], [2.0, 0.0], [3.0, 5.0]]]))
    array([[11.,  5.]])
    """

    equation = r"y = \frac12 [(\sum_i z_i)^2 - \sum_i z_i^2]"

    def forward(self, z: np.ndarray) -> np.ndarray:
        r"""Compute y (B, D) from z (B, F, D) in :math:`O(FD)`; ValueError on another shape.

        :math:`(\sum_i z_i)^2 = \sum_i z_i^2 + 2 \sum_{i<j} z_i z_j`, entry by entry. So the
        sum over the :math:`F(F - 1)/2` pairs is half of (the square of the sum, less the sum of
        the squares).
        """
        z = self.check_z(z)
        y, total = kernels.bi_interaction(z)  # ① (B, D), and s (B, D)
        self.keep(z, total)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Return dL/dz (B, F, D).

        1. :math:`y = \frac12 [s^2 - \sum_i z_i^2]` with :math:`s = \sum_i z_i`.
        2. :math:`\partial s / \partial z_k = 1`, so
           :math:`\partial y / \partial z_k = \frac12 [2 s - 2 z_k] = s - z_k`: the sum of the
           other vectors.
        3. :math:`dz_k = dy \odot (s - z_k)`.
        """
        z, total = self.kept()
        dy = converted("dy", self.check_dy(dy, total.shape), z.dtype)
        return kernels.bi_interaction_backward(dy, z, total)  # ②③ (B, F, D)

    def __init__(self, num_features: int, embedding_dim: int):
        super().__init__(num_features, embedding_dim)
        self.num_outputs = self.embedding_dim

    def flops_per_sample(self) -> int:
        r"""Return about :math:`4FD`: sum, square, sum of squares."""
        return 4 * self.num_features * self.embedding_dim

    def bytes_per_sample(self) -> int:
        """Return the bytes of z and y in float32."""
        return 4 * (self.num_features * self.embedding_dim + self.num_outputs)


class FMInteraction(BiInteraction):
    r"""Second-order term of an FM, :math:`y = \sum_{i<j} \langle z_i, z_j \rangle`.

    The entries of `BiInteraction`'s vector, added up. It is also the sum of the outputs of
    `DotInteraction`, which keeps the pairs apart.

    Parameters
    ----------
    num_features, embedding_dim : int
        F and D, as `BiInteraction`.

    References
    ----------
    Rendle 2010, "Factorization machines", lemma 3.1.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.FMInteraction(3, 2).forward(np.array([[[1.0, 1.0], [2.0, 0.0], [3.0, 5.0]]]))
    array([16.])
    """

    equation = r"y = \frac12 \sum_d [(\sum_i z_{id})^2 - \sum_i z_{id}^2]"

    def forward(self, z: np.ndarray) -> np.ndarray:
        """Compute y (B,) from z (B, F, D); ValueError on another shape."""
        # einsum: over a short axis `sum` takes four times as long
        return np.einsum("bd->b", super().forward(z))  # ① (B,)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Return dL/dz (B, F, D).

        1. y adds up the D entries of `BiInteraction`'s vector, so each of them gets dy.
        2. The slope of one entry is that of `BiInteraction.backward`, :math:`s - z_k`.
        3. :math:`dz_k = dy\,(s - z_k)`.
        """
        z, total = self.kept()
        dy = converted("dy", self.check_dy(dy, total.shape[:1]), z.dtype)
        return kernels.bi_interaction_backward(dy[:, None], z, total)  # ②③ (B, F, D)

    def __init__(self, num_features: int, embedding_dim: int):
        super().__init__(num_features, embedding_dim)
        self.num_outputs = 1
