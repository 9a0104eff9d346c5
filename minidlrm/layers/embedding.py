"""EmbeddingBag and EmbeddingBagCollection: rows of tables, looked up and added.

A lookup is a product with a matrix that is nearly all zeros: w^T = e^T W. For one id, e
is one-hot, and w is a row of W. For a bag of ids, e is multi-hot, and w is a sum of rows.
With weights, e holds the weights. In no guise is e ever made.
"""

from collections.abc import Sequence

import numpy as np

from minidlrm import kernels
from minidlrm.data.batch import Jagged
from minidlrm.module import Module, Parameter, SparseGrad


class EmbeddingBagCollection(Module):
    """All embedding tables of a model, in one array.

    Parameters
    ----------
    table_sizes : sequence of int
        Rows of each table, N_0 ... N_{T-1}.
    embedding_dim : int
        D, the size of a row.
    mode : "sum" or "mean"
        How a bag's rows are combined. An empty bag gives zeros.
    rng : numpy.random.Generator, optional
        Draws each table from U(-1/sqrt(N), 1/sqrt(N)), as the reference of [1]_.
    dtype : float32 or float64
        Of the table.

    Attributes
    ----------
    weight : Parameter (N_0 + ... + N_{T-1}, D)
        The tables, one below the other. Its gradient is a `SparseGrad`.

    Raises
    ------
    ValueError
        When `table_sizes` is empty, a size is below 1, or `mode` is not known.

    References
    ----------
    .. [1] Naumov et al. 2019, arXiv 1906.00091; `DLRM_Net.create_emb`.

    Examples
    --------
    >>> import numpy as np, minidlrm as md
    >>> tables = md.EmbeddingBagCollection([3, 10], embedding_dim=4)
    >>> tables.forward(np.array([[0, 7], [2, 9]])).shape      # one id a table: (B, T) -> (B, T, D)
    (2, 2, 4)
    >>> bags = md.data.Jagged(values=[0, 1, 2, 9], offsets=[0, 2, 3, 3, 4])
    >>> tables.forward(bags)[0, 1]                            # table 1, sample 0: an empty bag
    array([0., 0., 0., 0.], dtype=float32)
    >>> tables.forward(np.array([[0, 10]]))
    Traceback (most recent call last):
        ...
    IndexError: table 1: id 10 out of range [0, 10), at sample 0
    """

    equation = r"y_{bt} = \sum_{i \in bag(b,t)} \alpha_i\, W^{(t)}_{v_i}"

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int,
        mode: str = "sum",
        *,
        rng: np.random.Generator | None = None,
        dtype=np.float32,
    ):
        if len(table_sizes) == 0:
            raise ValueError("table_sizes is empty: at least one table is needed")
        for t, size in enumerate(table_sizes):
            if size < 1:
                raise ValueError(f"table_sizes[{t}] is {size}: a table needs at least one row")
        if embedding_dim < 1:
            raise ValueError(f"embedding_dim is {embedding_dim}: it must be at least 1")
        if mode not in ("sum", "mean"):
            raise ValueError(f"mode is {mode!r}: it must be 'sum' or 'mean'")
        rng = rng or np.random.default_rng(0)
        self.mode = mode
        self.starts = np.concatenate([[0], np.cumsum(table_sizes)]).astype(np.int64)  # (T + 1,)
        weight = np.empty((self.starts[-1], embedding_dim), dtype)  # (S, D)
        for t, size in enumerate(table_sizes):
            table = weight[self.starts[t] : self.starts[t + 1]]  # a view: filled in place
            rng.random(out=table, dtype=table.dtype)
            table *= 2 / np.sqrt(size)
            table -= 1 / np.sqrt(size)
        self.weight = Parameter(weight, "weight")

    @property
    def num_tables(self) -> int:
        """Number of tables, T."""
        return len(self.starts) - 1

    def table(self, t: int) -> np.ndarray:
        """Return the values of table `t` (N_t, D), a view."""
        return self.weight.value[self.starts[t] : self.starts[t + 1]]

    def forward(self, sparse: np.ndarray | Jagged) -> np.ndarray:
        """Look up ids (B, T), or the bags of a `Jagged` -> (B, T, D).

        Parameters
        ----------
        sparse : integer array (B, T), or Jagged
            One id a table; or bags, T of them for each sample.

        Returns
        -------
        float array (B, T, D)
            The rows; of bags, their sums, weighted sums or means.

        Raises
        ------
        IndexError
            When an id is out of its table's range; it names table, id and place.
        TypeError, ValueError
            When ids are no integers, or offsets or weights do not fit.
        """
        if isinstance(sparse, Jagged):
            return self._forward_bags(sparse)
        rows = self.rows_of(np.asarray(sparse))  # (B, T)
        y = kernels.gather(self.weight.value, rows.ravel())  # (B * T, D)
        y = y.reshape(*rows.shape, self.weight.value.shape[1])  # (B, T, D)
        self.keep(y.shape, rows.ravel(), None, None, False)
        return y

    def rows_of(self, ids: np.ndarray) -> np.ndarray:
        """Return the rows of `weight` (B, T) that ids (B, T), one a table, mean.

        IndexError, TypeError and ValueError as `forward`.
        """
        if ids.dtype.kind not in "iu":
            raise TypeError(f"ids have dtype {ids.dtype}: they must be integers (int64)")
        if ids.ndim != 2 or ids.shape[1] != self.num_tables:
            raise ValueError(f"ids have shape {ids.shape}, expected (B, {self.num_tables})")
        rows, bad = kernels.table_rows(ids, self.starts)  # (B, T)
        if bad >= 0:
            sample, t = divmod(bad, self.num_tables)
            raise self._out_of_range(t, ids[sample, t], f"sample {sample}")
        return rows

    def _forward_bags(self, bags: Jagged) -> np.ndarray:
        batch_size = bags.check(self.num_tables)
        if bags.weights is not None and self.mode == "mean":
            raise ValueError("per_sample_weights need mode='sum', as in PyTorch")
        rows, bad = kernels.bag_rows(bags.values, bags.offsets, self.starts)  # (nnz,)
        if bad >= 0:
            t = np.searchsorted(bags.offsets[::batch_size], bad, side="right") - 1
            raise self._out_of_range(t, bags.values[bad], f"values[{bad}]")
        lengths = np.diff(bags.offsets)  # (T * B,)
        bag = np.repeat(np.arange(len(lengths)), lengths)  # (nnz,)
        scale = bags.weights  # (nnz,) or None
        if scale is not None:
            scale = scale.astype(self.weight.value.dtype, casting="same_kind", copy=False)
        if self.mode == "mean":
            scale = (1 / lengths[bag]).astype(self.weight.value.dtype)
        y = kernels.gather_bags(self.weight.value, rows, bags.offsets, scale, self.num_tables)
        t, b = np.divmod(bag, batch_size)
        source = b * self.num_tables + t  # the place of each id's bag in y.reshape(B * T, D)
        self.keep(y.shape, rows, source, scale, bags.weights is not None)
        return y  # (B, T, D)

    def _out_of_range(self, t: int, value: int, place: str) -> IndexError:
        size = self.starts[t + 1] - self.starts[t]
        return IndexError(f"table {t}: id {value} out of range [0, {size}), at {place}")

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        r"""Add dL/dW to the gradient; return dL/dweights (nnz,) for bags with weights, or None.

        Let dy be (B, T, D), and let id i of a bag look up row :math:`v_i` with weight
        :math:`\alpha_i` (1 for a sum, 1/n for the mean of n ids):
        :math:`y_{bt} = \sum_{i \in bag(b,t)} \alpha_i W_{v_i}`.

        1. :math:`W_r` occurs once for each i with :math:`v_i = r`, in any bag of any sample,
           so the uses of a row add up:
           :math:`dW_r = \sum_{i: v_i = r} \alpha_i\, dy_{bag(i)}`. A row that no id names has
           gradient zero and is not stored.
        2. :math:`\alpha_i` scales one row in one bag:
           :math:`d\alpha_i = \langle W_{v_i}, dy_{bag(i)} \rangle`.

        Step 1 is a scatter-add. ``dW[rows] += terms`` would be wrong: NumPy buffers the
        fancy-indexed assignment, and of the terms of a repeated row only the last survives.
        """
        shape, rows, source, scale, weighted = self.kept()
        dim = shape[2]
        dy = np.ascontiguousarray(self.check_dy(dy, shape)).reshape(-1, dim)  # (B * T, D)
        table = self.weight.value
        unique, sums = kernels.scatter_add(rows, dy, source, scale, len(table))  # (u,), (u, D)
        self.weight.add_grad(SparseGrad(unique, sums, table.shape))
        return kernels.bag_weight_grad(table, rows, source, dy) if weighted else None

    def flops_per_sample(self) -> int:
        """Return 0: a lookup of one id a table copies, and computes nothing."""
        return 0

    def bytes_per_sample(self) -> int:
        """Return the bytes of the ids, of the rows read and of y, for one id a table."""
        row = self.weight.value.shape[1] * self.weight.value.itemsize
        return self.num_tables * (8 + 2 * row)

    def __repr__(self) -> str:
        total, dim = self.weight.value.shape
        return f"EmbeddingBagCollection({self.num_tables} tables, {total:,} rows, D={dim})"


class EmbeddingBag(EmbeddingBagCollection):
    """One embedding table, with PyTorch's arguments: a collection with T = 1.

    Parameters
    ----------
    num_embeddings : int
        N, the rows.
    embedding_dim : int
        D, their size.
    mode : "sum" or "mean"
        How a bag's rows are combined. An empty bag gives zeros.
    rng, dtype
        See `EmbeddingBagCollection`.

    Raises
    ------
    ValueError
        As `EmbeddingBagCollection`.

    References
    ----------
    The arguments and their meaning: PyTorch's ``torch.nn.EmbeddingBag``.

    Examples
    --------
    The three guises of w^T = e^T W: one-hot, multi-hot, weighted.

    >>> import numpy as np, minidlrm as md
    >>> bag = md.EmbeddingBag(3, 2)
    >>> bag.load_state_dict({"weight": np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])})
    >>> bag.forward(np.array([2]), offsets=np.array([0, 1]))
    array([[5., 6.]], dtype=float32)
    >>> bag.forward(np.array([0, 2]), offsets=np.array([0, 2]))
    array([[6., 8.]], dtype=float32)
    >>> bag.forward(np.array([0, 2]), offsets=np.array([0, 2]),
    ...             per_sample_weights=np.array([0.5, 2.0], np.float32))
    array([[10.5, 13. ]], dtype=float32)
    """

    def __init__(
        self,
        num_embeddings: int,
        embedding_dim: int,
        mode: str = "sum",
        *,
        rng: np.random.Generator | None = None,
        dtype=np.float32,
    ):
        super().__init__([num_embeddings], embedding_dim, mode, rng=rng, dtype=dtype)

    def forward(self, input, offsets=None, per_sample_weights=None):
        """Look up bags -> (B, D).

        Parameters
        ----------
        input : integer array (nnz,) or (B, n)
            The ids, bag after bag; or a bag of n ids in each row, without offsets.
        offsets : integer array (B + 1,)
            Where each bag begins, and at last `nnz`: PyTorch's ``include_last_offset=True``.
        per_sample_weights : float array of `input`'s shape, optional
            A weight for each id, for ``mode="sum"``.

        Returns
        -------
        float array (B, D)
            One vector a bag.

        Raises
        ------
        IndexError, TypeError, ValueError
            As `EmbeddingBagCollection.forward`.
        """
        return super().forward(as_bags(input, offsets, per_sample_weights))[:, 0]

    def backward(self, dy: np.ndarray) -> np.ndarray | None:
        """Add dL/dW to the gradient; return dL/dper_sample_weights (nnz,), or None without weights.

        `EmbeddingBagCollection.backward` with T = 1, from dy (B, D).
        """
        if self._kept is not None:
            shape = self._kept[0]
            dy = self.check_dy(dy, (shape[0], shape[2]))
        return super().backward(np.asarray(dy)[:, None])


def as_bags(input, offsets=None, per_sample_weights=None) -> Jagged:
    """Turn PyTorch's arguments of an embedding bag into a `Jagged` of one table."""
    ids = np.asarray(input)
    if ids.ndim == 2 and offsets is None:
        offsets = np.arange(len(ids) + 1) * ids.shape[1]
    elif ids.ndim != 1 or offsets is None:
        raise ValueError(
            f"input has shape {ids.shape}: give ids (nnz,) with offsets (B + 1,), "
            "or ids (B, n) without"
        )
    if per_sample_weights is None:
        return Jagged(ids.ravel(), offsets)
    weights = np.asarray(per_sample_weights)
    if weights.shape != ids.shape:
        raise ValueError(
            f"per_sample_weights has shape {weights.shape}, input {ids.shape}: "
            "one weight for each id"
        )
    return Jagged(ids.ravel(), offsets, weights.ravel())
