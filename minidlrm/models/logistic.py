"""LogisticRegression: every feature alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm.arrays import as_seed
from minidlrm.data.batch import Batch, check_batch
from minidlrm.layers.fields import LinearTerm
from minidlrm.layers.inputs import as_config, as_table_options
from minidlrm.models.model import Model


class LogisticRegression(Model):
    r"""First-order model, :math:`\hat{y} = b + \sum_j w_j x_j + \sum_t w^{(t)}_{v_t}`.

    Parameters
    ----------
    num_dense, table_sizes, shared, bag_mode
        As `DLRM`.
    seed : int
        Not used: all weights are zero at first. It is there for the models' common form.
    dtype : dtype
        Type of the parameters.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.LogisticRegression(13, [10, 20]).num_parameters()
    44
    """

    equation = r"\hat{y} = b + \sum_j w_j x_j + \sum_t w^{(t)}_{v_t}"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the logits (B,) of a batch; errors as `DLRM.forward`.

        ::

            logit = b + sum of one weight a feature
        """
        check_batch(batch, self.config["num_dense"], len(self.config["table_sizes"]))
        return self.linear.forward(batch.dense, batch.sparse)

    def backward(self, dlogits: np.ndarray) -> None:
        """Add to the gradients of all parameters, given dL/dlogits (B,)."""
        self.linear.backward(dlogits)

    def __init__(
        self,
        num_dense: int,
        table_sizes: Sequence[int],
        seed: int = 0,
        dtype: Any = np.float32,
        *,
        shared: Sequence[tuple[int, int]] = (),
        bag_mode: str = "sum",
    ):
        """Make the parts.

        Parameters: S + num_dense + 1, with S rows in all tables. FLOPs a sample: 2 num_dense + T.
        """
        self.config = as_config(num_dense=num_dense, table_sizes=table_sizes)
        tables = as_table_options(table_sizes, shared, bag_mode)
        self.config |= tables
        as_seed(seed)
        self.linear = LinearTerm(num_dense, table_sizes, dtype=dtype, **tables)

    def __repr__(self) -> str:
        return f"LogisticRegression({self.linear})"
