"""fold_in: a user whom matrix factorization has not met, by least squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from minidlrm.arrays import check_finite, check_number, doubles, integers
from minidlrm.growing import grow
from minidlrm.models.mf import MatrixFactorization
from minidlrm.recommending.catalogue import check_ids


def fold_in(
    model: MatrixFactorization, items: Any, ratings: Any, reg: float = 0.1
) -> MatrixFactorization:
    r"""Return a model with one more user, learned from the user's ratings; the items stay.

    With fixed items, the user's vector and bias are the solution of a least-squares problem:
    :math:`\min_{p, b} \sum_i (r_i - \mu - b_i - b - \langle p, q_i \rangle)^2
    + \lambda (|p|^2 + b^2)`.

    Parameters
    ----------
    model : MatrixFactorization
        It is not changed.
    items : integer array (n,)
        What the user has rated.
    ratings : array (n,)
        The ratings.
    reg : float
        λ, above 0.

    Returns
    -------
    MatrixFactorization
        The new user has the last id of the table of users. All other scores are as before.

    Raises
    ------
    TypeError
        When `model` is another model, or ids are not integers.
    ValueError
        When there are no ratings, their number is not that of the items, one is not finite, or
        reg is not above 0, or so small that it is lost in rounding.
    IndexError
        When an item is out of range.

    References
    ----------
    Sarwar et al. 2002, "Incremental singular value decomposition algorithms for highly scalable
    recommender systems", section 3.

    Examples
    --------
    >>> import minidlrm as md
    >>> model = md.MatrixFactorization([2, 4], 3, mean=3.5, seed=0)
    >>> larger = md.fold_in(model, [0, 2], [5.0, 1.0])
    >>> larger.config["table_sizes"]
    [3, 4]
    >>> md.recommend(larger, 2, 1, seen=[[2, 0], [2, 2]]).items.shape
    (1, 1)
    """
    if not isinstance(model, MatrixFactorization):
        raise TypeError(f"model is a {type(model).__name__}: only MatrixFactorization folds in")
    items = np.atleast_1d(integers("items", items))
    r = np.atleast_1d(doubles("ratings", ratings))
    if len(items) == 0 or items.shape != r.shape:
        raise ValueError(f"there are {items.size} items and {r.size} ratings: give one for each")
    check_number("reg", reg)
    if not 0 < reg < np.inf:
        raise ValueError(f"reg is {reg}: it must be above 0")
    check_finite("ratings", r)
    num_users, num_items = model.config["table_sizes"]
    check_ids("items", items, num_items)
    x = model.factors.table(1)[items].astype(np.float64)  # (n, D)
    y = r - model.config["mean"]  # (n,)
    if model.biases:
        x = np.concatenate([x, np.ones((len(x), 1))], axis=1)  # (n, D + 1)
        y = y - model.biases.table(1)[items, 0]
    try:
        solution = np.linalg.solve(x.T @ x + reg * np.eye(x.shape[1]), x.T @ y)
    except np.linalg.LinAlgError:
        raise ValueError(
            f"reg is {reg}: it is lost beside the items' vectors, which have no single solution; "
            "give a larger one"
        ) from None
    larger = grow(model, [num_users + 1, num_items])
    assert isinstance(larger, MatrixFactorization)
    dim = model.config["embedding_dim"]
    larger.factors.table(0)[num_users] = solution[:dim]
    if larger.biases:
        larger.biases.table(0)[num_users] = solution[dim:]
    return larger
