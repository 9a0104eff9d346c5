"""Sums over the blocks of a step, in one order: a balanced binary tree over the blocks.

    ((g_0 + g_1) + (g_2 + g_3))        K = 4; each + is done by whoever brings its second part

The last two levels are not: they are left for the end, where the sum of each parameter is one pass
over four arrays, and several threads can share the parameters out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from minidlrm import kernels
from minidlrm.arrays import DTYPES, as_size
from minidlrm.parameter import SparseGrad

__all__ = ["Gradient", "TreeSum", "add_both", "add_gradients", "balanced", "gradient_of"]

_LEFT = 4  # sums that a tree leaves

Gradient = None | np.ndarray | list[SparseGrad]  # of a table: those of its blocks, in their order


class TreeSum:
    """The sum of `count` leaves as a balanced binary tree, whoever brings them, in any order.

    The nodes have the numbers of a heap: 1 is the root, node n has the children 2 n and 2 n + 1,
    and leaf k is the node `count` + k.

    Parameters
    ----------
    count : int
        A power of two.
    add : callable
        The sum of two values, the left one first.

    Examples
    --------
    >>> from minidlrm.summing import TreeSum
    >>> tree = TreeSum(8, lambda a, b: f"({a} + {b})")
    >>> for k in (2, 0, 3, 1, 7, 6, 5, 4):
    ...     tree.put(k, k)
    >>> tree.left()
    ['(0 + 1)', '(2 + 3)', '(4 + 5)', '(6 + 7)']
    >>> tree.total()
    '(((0 + 1) + (2 + 3)) + ((4 + 5) + (6 + 7)))'
    """

    def __init__(self, count: int, add: Callable[[Any, Any], Any]):
        self.count, self.add = as_size("count", count), add
        if count & (count - 1):
            raise ValueError(f"count is {count}: it must be a power of two")
        self.lock = Lock()
        self.waiting: dict[int, Any] = {}  # values whose neighbour is still to come, or is left

    def put(self, leaf: int, value: Any) -> None:
        """Take the value of a leaf, and add all that is complete with it, down to four sums."""
        node = self.count + leaf
        while True:
            with self.lock:
                if node < 2 * _LEFT or node ^ 1 not in self.waiting:
                    self.waiting[node] = value
                    return
                other = self.waiting.pop(node ^ 1)
            value = self.add(other, value) if node % 2 else self.add(value, other)
            node //= 2

    def left(self) -> list[Any]:
        """Return the sums that are left, in order: four of them, or as many as there are leaves."""
        return [self.waiting[node] for node in sorted(self.waiting)]

    def total(self) -> Any:
        """Return the sum of all leaves."""
        return balanced(self.left(), self.add)


def balanced(values: Sequence[Any], add: Callable[[Any, Any], Any]) -> Any:
    """Return the sum of values, a power of two of them, as a balanced binary tree.

    Examples
    --------
    >>> from minidlrm.summing import balanced
    >>> balanced("abcd", lambda a, b: f"({a} + {b})")
    '((a + b) + (c + d))'
    """
    while len(values) > 1:
        values = [add(*values[k : k + 2]) for k in range(0, len(values), 2)]
    return values[0]


def add_both(
    first: tuple[float, list[Gradient]], second: tuple[float, list[Gradient]]
) -> tuple[float, list[Gradient]]:
    """Add two subtrees' losses and gradients."""
    return first[0] + second[0], add_gradients(first[1], second[1])


def add_gradients(first: list[Gradient], second: list[Gradient]) -> list[Gradient]:
    """Add two subtrees' gradients, parameter by parameter; those of a table are only joined.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.summing import add_gradients
    >>> add_gradients([np.ones(2), None], [np.ones(2), np.ones(1)])
    [array([2., 2.]), array([1.])]
    """
    return [_add(a, b) for a, b in zip(first, second, strict=True)]


def _add(a: Gradient, b: Gradient) -> Gradient:
    if a is None or b is None:
        return a if b is None else b
    if isinstance(a, list) != isinstance(b, list):  # a table that one block has used as a whole
        a, b = (SparseGrad.sum(x).to_dense() if isinstance(x, list) else x for x in (a, b))
    return a + b


def gradient_of(terms: Sequence[Gradient]) -> Any:
    """Return one parameter's gradient as an optimizer takes it: None, an array or a `SparseGrad`.

    Parameters
    ----------
    terms : list of gradients
        The sums that are left of it, a power of two of them. Arrays are added as a balanced tree;
        the terms of a table's row in the order of the blocks.

    Examples
    --------
    >>> import numpy as np
    >>> from minidlrm.summing import gradient_of
    >>> gradient_of([np.ones(2), np.ones(2), None, None])
    array([2., 2.])
    """
    if len(terms) == _LEFT and all(_like(terms[0], term) for term in terms):
        return kernels.sum_of_four(*terms)
    total = balanced(terms, _add)
    return SparseGrad.sum(total) if isinstance(total, list) else total


def _like(first: Gradient, other: Gradient) -> bool:
    """Whether both are arrays of one shape and dtype, as a kernel takes them."""
    if type(first) is not np.ndarray or type(other) is not np.ndarray:
        return False
    return first.dtype in DTYPES and (first.shape, first.dtype) == (other.shape, other.dtype)
