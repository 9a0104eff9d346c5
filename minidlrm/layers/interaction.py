"""Interaction and Flatten: what DLRM takes as its interaction, and the one that mixes nothing.

Step by step in notebooks/05_dlrm.py.
"""

from __future__ import annotations

import numpy as np

from minidlrm.layers.inputs import as_size, converted, numbers
from minidlrm.module import Module


class Interaction(Module):
    """A module that maps z (B, F, D) to y (B, M): F vectors of a sample to M numbers.

    A subclass sets `num_outputs`, M, and writes `forward` and `backward`. `DLRM` puts the dense
    vector before y, unless `keeps_dense` says that y holds it already. `config` holds the
    arguments that make another one: `save` stores them.

    Parameters
    ----------
    num_features, embedding_dim : int
        F and D, each at least 1.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> class MeanVector(md.Interaction):
    ...     num_outputs = 4
    ...     def forward(self, z):
    ...         return self.check_z(z).mean(axis=1)
    >>> model = md.DLRM(13, [5, 6], 4, (8,), (8,), interaction=MeanVector(3, 4))
    >>> model.top
    MLP(8-8-1)
    """

    num_outputs: int
    keeps_dense = False

    def __init__(self, num_features: int, embedding_dim: int):
        self.num_features = as_size("num_features", num_features)
        self.embedding_dim = as_size("embedding_dim", embedding_dim)
        self.config = {"num_features": self.num_features, "embedding_dim": self.embedding_dim}

    def forward(self, z: np.ndarray) -> np.ndarray:
        """Compute y (B, M) from z (B, F, D)."""
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def check_z(self, z: np.ndarray) -> np.ndarray:
        """Return z (B, F, D) as floats; ValueError on another shape."""
        z = numbers("z", z, *(parameter.value for parameter in self.parameters()))
        if z.ndim != 3 or z.shape[1:] != (self.num_features, self.embedding_dim):
            raise ValueError(
                f"{type(self).__name__}: z has shape {z.shape}, "
                f"expected (B, {self.num_features}, {self.embedding_dim})"
            )
        return z

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.num_features}, {self.embedding_dim})"


class Flatten(Interaction):
    r"""All vectors one after another, :math:`y = [z_1, \dots, z_F]`: the top MLP does the mixing.

    Parameters
    ----------
    num_features, embedding_dim : int
        F and D; y has F D entries.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> md.Flatten(2, 3).forward(np.ones((4, 2, 3))).shape
    (4, 6)
    """

    equation = r"y = [z_1, \dots, z_F]"
    keeps_dense = True

    def forward(self, z: np.ndarray) -> np.ndarray:
        """Return y (B, F D) from z (B, F, D); ValueError on another shape."""
        z = self.check_z(z)
        self.keep(z.shape, z.dtype)
        return z.reshape(len(z), self.num_outputs).copy()  # ① (B, F D)

    def backward(self, dy: np.ndarray) -> np.ndarray:
        r"""Return dL/dz (B, F, D).

        1. No number is changed: :math:`y_{fD+d} = z_{fd}`.
        2. So dz holds the numbers of dy in z's shape: :math:`dz_{fd} = dy_{fD+d}`.
        """
        shape, dtype = self.kept()
        dy = self.check_dy(dy, (shape[0], self.num_outputs))
        return converted("dy", dy, dtype).reshape(shape).copy()  # ② (B, F, D)

    def __init__(self, num_features: int, embedding_dim: int):
        super().__init__(num_features, embedding_dim)
        self.num_outputs = self.num_features * self.embedding_dim

    def bytes_per_sample(self) -> int:
        """Return 0: no number is changed."""
        return 0
