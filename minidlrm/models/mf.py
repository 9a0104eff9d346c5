"""MatrixFactorization: a rating as the product of a user's and an item's vector."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import as_flag, check_finite, check_number, check_rate, shuffling
from minidlrm.data.batch import Batch, Jagged, check_batch
from minidlrm.guard import bad_number
from minidlrm.layers.embedding import make_tables, table_rows
from minidlrm.layers.fm import FMInteraction
from minidlrm.layers.inputs import as_config, seeded
from minidlrm.models.model import Model
from minidlrm.models.ncf import check_two


class MatrixFactorization(Model):
    r"""Matrix factorization, :math:`\hat{r} = \mu + b_u + b_i + \langle p_u, q_i \rangle`.
    Without biases it is the plain factorization that minimizes
    :math:`\sum (r_{ui} - \langle p_u, q_i \rangle)^2`. It is a factorization machine on the
    one-hot user and item.

    Parameters
    ----------
    table_sizes : (int, int)
        Users and items.
    embedding_dim : int
        D, the number of factors.
    biases : bool
        Whether to add b_u and b_i.
    mean : float
        μ, a constant: the mean of the training ratings, or 0.
    seed : int
        Seed of the vectors, drawn from N(0, 0.1). Biases are 0 at first.
    dtype : dtype
        Type of the parameters.

    References
    ----------
    Koren, Bell and Volinsky 2009, "Matrix factorization techniques for recommender systems",
    equation 4.

    Examples
    --------
    >>> import minidlrm as md
    >>> md.MatrixFactorization([10, 20], embedding_dim=4).num_parameters()
    150
    """

    task = "ratings"
    equation = r"\hat{r} = \mu + b_u + b_i + \langle p_u, q_i \rangle"

    def forward(self, batch: Batch) -> np.ndarray:
        """Compute the ratings (B,) of a batch; errors as `DLRM.forward`.

        ::

            rating = mean + b_u + b_i + <p_u, q_i>
                             |     |      |    |
                            user  item   user item
        """
        check_batch(batch, 0, 2)
        y = self.product.forward(self.factors.forward(batch.sparse))  # (B,)
        y += y.dtype.type(self.config["mean"])
        if self.biases:
            b = self.biases.forward(batch.sparse)  # (B, 2, 1)
            y += b[:, 0, 0] + b[:, 1, 0]
        self.keep(y.shape)
        return y

    def backward(self, dratings: np.ndarray) -> None:
        r"""Add to the gradients of all parameters, given dL/dratings (B,).

        :math:`dp_u = dr\, q_i`, :math:`dq_i = dr\, p_u`, and :math:`db_u = db_i = dr`, added up
        over the ratings of a user and of an item.
        """
        (shape,) = self.kept()
        dratings = self.check_dy(dratings, shape)
        self.factors.backward(self.product.backward(dratings))
        if self.biases:
            self.biases.backward(np.broadcast_to(dratings[:, None, None], (len(dratings), 2, 1)))

    def __init__(
        self,
        table_sizes: Sequence[int],
        embedding_dim: int = 16,
        biases: bool = True,
        mean: float = 0.0,
        seed: int = 0,
        dtype: Any = np.float32,
    ):
        """Make the parts.

        Parameters: (users + items) (D + 1) with biases. FLOPs a sample: 8 D, as the FM of two
        fields.
        """
        sizes = check_two(table_sizes, "MatrixFactorization")
        self.config = as_config(table_sizes=sizes, embedding_dim=embedding_dim)
        embedding_dim = self.config["embedding_dim"]
        biases = as_flag("biases", biases)
        check_number("mean", mean)
        check_finite("mean", np.asarray(mean, np.float64))
        self.config |= {"biases": biases, "mean": float(mean)}
        rng, unused = seeded(seed), np.random.default_rng(0)  # not kept
        self.factors = make_tables(sizes, embedding_dim, rng=unused, dtype=dtype)
        self.factors.fill(lambda shape: rng.normal(0, 0.1, shape))
        self.product = FMInteraction(2, embedding_dim)
        self.biases = None
        if biases:
            self.biases = make_tables(sizes, 1, rng=unused, dtype=dtype)
            self.biases.weight.value[...] = 0

    def sgd_epoch(self, data: Batch, lr: float, reg: float, seed: int | Sequence[int]) -> float:
        r"""Run one epoch of sequential SGD, one rating at a time; return the mean squared error.

        For each rating, in an order shuffled by `seed`, with e = r - r̂:
        :math:`b_u \mathrel{+}= \eta (e - \lambda b_u)`, and likewise b_i;
        :math:`p_u \mathrel{+}= \eta (e\, q_i - \lambda p_u)`,
        :math:`q_i \mathrel{+}= \eta (e\, p_u - \lambda q_i)`, with the old p_u in both. This is
        the rule of Koren et al. 2009, with L2 on what the rating touches.

        Parameters
        ----------
        data : Batch
            Labelled ratings, one user and one item each.
        lr, reg : float
            η and λ.
        seed : int or sequence of int
            Seed of the order.

        Raises
        ------
        ValueError, IndexError
            As `forward`, or when a rating is not finite; before anything is changed.
        FloatingPointError
            When the factors grow without bound. They are as they were before the rating whose
            error is not finite.
        """
        check_batch(data, 0, 2, "data")
        check_rate("lr", lr)
        check_rate("reg", reg)
        if data.label is None:
            raise ValueError("the ratings are missing: sgd_epoch needs labels")
        check_finite("label", data.label)
        for parameter in self.parameters():
            parameter.check()
        if isinstance(data.sparse, Jagged):
            raise ValueError("sgd_epoch needs one user and one item a row; these are bags")
        rows = table_rows(data.sparse, self.factors.starts)  # (B, 2)
        order = shuffling(seed).permutation(len(data))
        factors = self.factors.weight.value
        scalar = factors.dtype.type
        biases = self.biases.weight.value[:, 0] if self.biases else np.zeros(0, factors.dtype)
        ratings = np.asarray(data.label, factors.dtype)
        options = scalar(self.config["mean"]), scalar(lr), scalar(reg)
        error = float(kernels.mf_epoch(factors, biases, rows, ratings, order, *options))
        if not np.isfinite(error):
            largest = float(np.abs(ratings).max())
            what = f"sgd_epoch: the error of a rating is not finite; ratings go up to {largest:g}"
            raise bad_number(what, self, advice="Try a smaller lr, or ratings of a few units")
        return error

    def __repr__(self) -> str:
        biases = self.config["biases"]
        return f"MatrixFactorization({self.factors}, biases={biases})"
