"""EmbeddingBag: one table, with PyTorch's arguments.

Step by step in notebooks/01_embeddings.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minidlrm.arrays import as_flag, check_room, floats, integers
from minidlrm.data.batch import Jagged
from minidlrm.layers.embedding import EmbeddingBagCollection
from minidlrm.layers.inputs import as_size


class EmbeddingBag(EmbeddingBagCollection):
    r"""One embedding table W (N, D), with the arguments and defaults of PyTorch's.

    Parameters
    ----------
    num_embeddings, embedding_dim : int
        N, the rows, and D, their size.
    mode : "mean" or "sum"
        How a bag's rows are combined. An empty bag gives zeros.
    include_last_offset : bool
        Whether `offsets` ends with the number of all ids: B + 1 entries in the place of B.
    rng, dtype
        As `EmbeddingBagCollection`.

    References
    ----------
    The arguments and their meaning: PyTorch's ``torch.nn.EmbeddingBag``.

    Examples
    --------
    The three guises of :math:`w = W^\top e`: one-hot, multi-hot, weighted.

    >>> import numpy as np, minidlrm as md
    >>> bag = md.EmbeddingBag(3, 2, mode="sum", rng=np.random.default_rng(0))
    >>> bag.load_state_dict({"weight": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])})
    >>> bag.forward(np.array([2, 0, 2]), offsets=np.array([0, 1]))         # bags {2} and {0, 2}
    array([[5., 6.],
           [6., 8.]], dtype=float32)
    >>> bag.forward(np.array([[0, 2]]), per_sample_weights=np.array([[0.5, 2.0]], np.float32))
    array([[10.5, 13. ]], dtype=float32)
    """

    def forward(
        self, input: Any, offsets: Any = None, per_sample_weights: Any = None
    ) -> np.ndarray:
        """Look up bags -> y (B, D).

        Parameters
        ----------
        input : integer array (nnz,) or (B, n)
            The ids, bag after bag; or a bag of n ids in each row, without offsets.
        offsets : integer array (B,), or (B + 1,) with ``include_last_offset=True``
            Where each bag begins; at last `nnz`, where the constructor was told so.
        per_sample_weights : float array (nnz,) or (B, n), optional
            A weight for each id of `input`, for ``mode="sum"``.

        Raises
        ------
        IndexError, TypeError, ValueError
            As `EmbeddingBagCollection.forward`; or when the shapes do not fit together.
        """
        bags = as_bags(input, offsets, per_sample_weights, self.include_last_offset)
        y = super().forward(bags)[:, 0]  # ① (B, D)
        _, *rest = self.kept()
        self.keep(y.shape, *rest)
        return y

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        r"""Add dL/dW to the gradient; return dL/dper_sample_weights (nnz,), or None.

        1. One table is a collection with :math:`T = 1`: its y (B, 1, D) without the middle axis.
        2. So dy (B, D) holds the numbers that `EmbeddingBagCollection.backward` takes, and
           :math:`dW_r = \sum_{i: v_i = r} \alpha_i\, dy_{bag(i)}`.
        """
        return super().backward(dy)  # ②

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        *,
        mode: str = "mean",
        include_last_offset: bool = False,
        rng: np.random.Generator,
        dtype: Any = np.float32,
    ):
        rows, dim = (
            as_size("num_embeddings", num_embeddings),
            as_size("embedding_dim", embedding_dim),
        )
        check_room("num_embeddings or embedding_dim", rows, dim)
        super().__init__([rows], dim, mode, rng=rng, dtype=dtype)
        self.include_last_offset = as_flag("include_last_offset", include_last_offset)

    def __repr__(self) -> str:
        rows, dim = self.weight.value.shape
        return f"EmbeddingBag({rows:,}, {dim}, mode={self.mode!r})"


def as_bags(input: Any, offsets: Any, per_sample_weights: Any, include_last_offset: bool) -> Jagged:
    """Turn PyTorch's arguments of an embedding bag into a `Jagged` of one table."""
    ids = integers("input", input)
    if ids.ndim == 2 and offsets is None:
        offsets = np.arange(len(ids) + 1) * ids.shape[1]
    elif ids.ndim != 1 or offsets is None:
        entries = "B + 1" if include_last_offset else "B"
        raise ValueError(
            f"input has shape {ids.shape}: give ids (nnz,) with {entries} offsets, "
            "or ids (B, n) without"
        )
    elif not include_last_offset:
        offsets = np.append(integers("offsets", offsets, 1), len(ids))
    weights = None
    if per_sample_weights is not None:
        weights = floats("per_sample_weights", per_sample_weights)
        if weights.shape != ids.shape:
            raise ValueError(
                f"per_sample_weights has shape {weights.shape}, input {ids.shape}: "
                "one weight for each id"
            )
        weights = weights.ravel()
    try:
        bags = Jagged(ids.ravel(), offsets, weights)
        bags.check(1)  # at least one bag
    except ValueError as error:
        raise ValueError(f"{error}; input has shape {ids.shape}") from None
    return bags
